// Compile and load times are taken here, so that every command reports the same thing under the same name:
// compile is model text to object bytes, load is object bytes to a model with its weights packed.
#include "Runner.h"

#include "Signals.h"

#include <algorithm>
#include <chrono>

namespace weft {

double millisecondsNow() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Runner::~Runner() {
  weft_session_destroy(session);
  weft_model_close(handle);
}

int Runner::read(const CommonOptions &options) { return readModelOrFail(options, model); }

int Runner::compile(const CommonOptions &options, const CompileOptions &compile) {
  double start = millisecondsNow();
  int code = compileOrFail(options, model, compile, compiled);
  compileMs = millisecondsNow() - start;
  return code;
}

static void logLine(void *, weft_log_level level, const char *text) {
  std::fprintf(stderr, "weft: %s: %s\n", level == WEFT_LOG_WARNING ? "warning" : "note", escapeText(text).c_str());
}

static void logWarning(void *user, weft_log_level level, const char *text) {
  if (level == WEFT_LOG_WARNING)
    logLine(user, level, text);
}

int Runner::open(const CommonOptions &options, const WeightsChoice &weights, bool keepParameters) {
  double start = millisecondsNow();
  std::string failure;
  object = LoadedObject::load(compiled.object, compiled.descriptorSymbol, failure);
  if (!object)
    internalError("the object can't be loaded: " + failure);
  weft_model_options opening = {};
  opening.log = options.quiet ? nullptr : options.verbose ? logLine : logWarning;
  opening.keep_parameters = keepParameters;
  opening.init_seed = options.seed;
  opening.threads = options.threads;
  const weft_tensor_limits limits = tensorLimits(options);
  opening.limits = &limits;
  weft_status status = weft_model_open(object->descriptor(), &opening, &handle);
  if (status != WEFT_OK)
    return fail(exitCodeOf(status), weft_model_error(handle),
                status == WEFT_ERR_CPU ? "without --cpu the code is for this CPU; --cpu x86-64-v3 runs wherever there is AVX2" : "");
  int code = loadWeights(options, model, weights, handle);
  loadMs = millisecondsNow() - start;
  return code;
}

int Runner::start(const CommonOptions &options, const std::vector<int64_t> &maxDims, weft_trace_fn trace, void *traceUser) {
  weft_session_destroy(session);
  session = nullptr;
  if (int code = checkArena(options, maxDims))
    return code;
  weft_session_options starting = {};
  starting.threads = options.threads;
  starting.trace = trace;
  starting.trace_user = traceUser;
  weft_status status = weft_session_create(handle, maxDims.data(), &starting, &session);
  return status == WEFT_OK ? int(kOk) : fail(exitCodeOf(status), weft_session_error(session));
}

int Runner::checkArena(const CommonOptions &options, const std::vector<int64_t> &maxDims) const {
  const uint64_t limit = limitsOf(options).arenaBytes;
  for (int32_t e = 0; e < desc()->entries; ++e)
    if (int64_t bytes = weft_entry_arena_bytes(handle, e, maxDims.data()); bytes > 0 && uint64_t(bytes) > limit)
      return fail(kLimit, "entry " + quote(desc()->entry[e].name) + " needs " + std::to_string(bytes) + " bytes of memory at these sizes, the limit is " + std::to_string(limit),
                  "--limit arenaBytes=N raises it");
  return kOk;
}

std::vector<int64_t> Runner::dimList(const Sizes &sizes) const {
  std::vector<int64_t> list;
  for (int32_t d = 0; d < desc()->dims; ++d) {
    auto found = sizes.find(desc()->dim[d].name);
    list.push_back(found == sizes.end() ? desc()->dim[d].hint : found->second);
  }
  if (list.empty())
    list.push_back(0); // a pointer that may be passed on
  return list;
}

weft_status Runner::call(int32_t entry, const std::vector<int64_t> &dims, const std::vector<HostTensor> &inputs, std::vector<HostTensor> &outputs) {
  std::vector<const void *> in(inputs.size() + 1); // one more: never an array of nothing
  std::vector<void *> out(outputs.size() + 1);
  for (size_t i = 0; i < inputs.size(); ++i)
    in[i] = inputs[i].bytes.empty() ? nullptr : inputs[i].bytes.data();
  for (size_t i = 0; i < outputs.size(); ++i)
    out[i] = outputs[i].bytes.empty() ? nullptr : outputs[i].bytes.data();
  return weft_session_run(session, entry, dims.data(), in.data(), out.data());
}

int Runner::failCall(weft_status status) const {
  return fail(exitCodeOf(status), weft_session_error(session),
              status == WEFT_ERR_MISSING ? "a step goes on from its prefill: weft generate and weft bench run both; run and --probe take the prefill, or an entry that computes everything" : "");
}

} // namespace weft
