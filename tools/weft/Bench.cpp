// `weft bench`: medians of whole calls of an entry, against the FMA limit of this machine measured in the same run.
// Inputs and weights are random unless given; entries with state start at --cached positions each time. A training entry
// is timed as whole steps through a trainer: one batch and its update, always with the same batch.
#include "Commands.h"
#include "OutputFiles.h"
#include "PeakProbe.h"
#include "Runner.h"

#include "weft/train.h"

#include <algorithm>
#include <fcntl.h>
#include <malloc.h>
#include <map>
#include <numeric>
#include <sys/resource.h>
#include <unistd.h>

namespace weft {

namespace {

struct BenchOptions : CommonOptions {
  std::vector<std::string> dims, inputFiles;
  std::string entry, weights, outputs;
  std::optional<uint64_t> init;
  int64_t iterations = 0, cached = 0;
  bool perKernel = false;
};

/// Peak memory from here on: the compiler's own use does not count, the program with the loaded model does.
void resetPeakMemory() {
  malloc_trim(0);
  int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
  if (fd >= 0) {
    [[maybe_unused]] ssize_t done = write(fd, "5", 1);
    close(fd);
  }
}

int64_t peakMemory() {
  // VmHWM is what clear_refs resets; getrusage keeps the peak of the whole life.
  int64_t kilobytes = 0;
  if (std::FILE *status = std::fopen("/proc/self/status", "r")) {
    char line[256];
    while (std::fgets(line, sizeof(line), status))
      if (std::sscanf(line, "VmHWM: %lld", reinterpret_cast<long long *>(&kilobytes)) == 1)
        break;
    std::fclose(status);
  }
  if (kilobytes == 0) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    kilobytes = usage.ru_maxrss;
  }
  return kilobytes * 1024;
}

/// Times of one kernel function over one call: launches in a row that belong together by name.
struct KernelTimes {
  std::map<weft_kernel_fn, std::pair<int64_t, double>> byFunction; ///< launches, milliseconds
  std::vector<weft_kernel_fn> order;
};

void traceKernel(void *user, weft_kernel_fn kernel, int64_t, int64_t nanoseconds) {
  auto &times = *static_cast<KernelTimes *>(user);
  auto [found, isNew] = times.byFunction.try_emplace(kernel, 0, 0.0);
  if (isNew)
    times.order.push_back(kernel);
  ++found->second.first;
  found->second.second += double(nanoseconds) / 1e6;
}

class Bench {
public:
  explicit Bench(BenchOptions given) : options(std::move(given)) {}
  ~Bench() { weft_trainer_destroy(trainer); }

  int run() {
    if (int code = prepare())
      return code;
    if (int code = measure())
      return code;
    return report();
  }

private:
  BenchOptions options;
  Runner runner;
  OutputFiles files;
  Sizes sizes;
  int32_t entry = -1;
  std::vector<int64_t> dims;
  std::vector<HostTensor> inputs, outputs;
  std::vector<double> times;
  double peakGflops = 0;
  weft_trainer *trainer = nullptr; ///< of a training entry; then there is no session
  int64_t arenaBytes = 0, peakBytes = 0;
  KernelTimes kernels;

  const weft_entry_desc &entryDesc() const { return runner.desc()->entry[entry]; }

  int prepare() {
    if (int code = runner.read(options))
      return code;
    if (int code = chooseEntry(runner.model, options.entry, true))
      return code;
    const bool trains = isTraining();
    if (trains && (options.cached || !options.outputs.empty()))
      return fail(kUsage, std::string("expected an entry of inference for ") + (options.cached ? "--cached" : "--outputs") + " but " + quote(options.entry) + " trains");
    if (int code = parseSizes(options.dims, runner.model, sizes))
      return code;
    sizes = entrySizes(runner.model, options.entry, sizes);
    std::vector<HostTensor> given;
    if (int code = readGivenInputs(options, options.inputFiles, {}, given))
      return code;
    if (int code = refuseInputs(options, {options.outputs}, withWeightFiles(options, runner.model, options.inputFiles, {options.weights})))
      return code;
    if (!options.outputs.empty()) {
      std::string text = files.add(options.outputs);
      if (!text.empty())
        return fail(kFile, text);
    }
    CompileOptions compile;
    if (options.cached == 0)
      compile.entries = {options.entry};
    if (int code = runner.compile(options, compile))
      return code;
    resetPeakMemory();
    WeightsChoice weights;
    weights.file = options.weights;
    weights.initSeed = options.init;
    weights.fallBackToInit = true;
    if (int code = runner.open(options, weights, trains))
      return code;
    entry = runner.entryIndex(options.entry);
    dims = runner.dimList(sizes);
    if (given.empty()) {
      inputs = randomInputs(runner.desc(), entry, dims, options.seed);
    } else {
      if (int code = bindInputs(runner.desc(), entry, std::move(given), inputs))
        return code;
      if (int code = dimsFromInputs(runner.desc(), entry, inputs, dims))
        return code;
    }
    if (trains)
      return startTrainer();
    outputs = makeOutputs(runner.desc(), entry, dims);
    arenaBytes = weft_entry_arena_bytes(runner.handle, entry, dims.data());
    std::vector<int64_t> most = dims;
    if (int code = checkCached(most))
      return code;
    return runner.start(options, most, options.perKernel ? traceKernel : nullptr, &kernels);
  }

  bool isTraining() const {
    return std::any_of(runner.model.entries.begin(), runner.model.entries.end(),
                       [&](const EntryDesc &candidate) { return candidate.name == options.entry && candidate.mode == EntryDesc::Mode::train; });
  }

  int startTrainer() {
    weft_trainer_options creating = {};
    creating.seed = options.seed;
    creating.accumulate = 1;
    creating.threads = options.threads;
    creating.trace = options.perKernel ? traceKernel : nullptr;
    creating.trace_user = &kernels;
    weft_train_memory memory;
    weft_status status = weft_trainer_memory(runner.handle, dims.data(), &creating, &memory);
    if (status != WEFT_OK)
      return fail(exitCodeOf(status), "the memory of a training step can't be counted at these sizes");
    if (int code = runner.checkArena(options, dims))
      return code;
    arenaBytes = memory.arena;
    status = weft_trainer_create(runner.handle, dims.data(), &creating, &trainer);
    return status == WEFT_OK ? int(kOk) : fail(exitCodeOf(status), weft_trainer_error(trainer));
  }

  int64_t threads() const { return runner.session ? weft_session_threads(runner.session) : options.threads ? options.threads : weft_cpu_count(); }

  int step() {
    std::vector<const void *> pointers;
    for (const HostTensor &input : inputs)
      pointers.push_back(input.bytes.empty() ? nullptr : input.bytes.data());
    weft_status status = weft_trainer_step(trainer, dims.data(), pointers.data(), nullptr);
    return status == WEFT_OK ? int(kOk) : fail(exitCodeOf(status), weft_trainer_error(trainer));
  }

  /// The entry that fills the caches fastest: bound to the same states, with as many tokens a call as allowed.
  int32_t fillingEntry() const {
    const weft_model_desc *desc = runner.desc();
    for (int32_t e = 0; e < desc->entries; ++e) {
      const weft_entry_desc &candidate = desc->entry[e];
      if (entryDesc().recalls > candidate.keeps)
        continue; // fills the caches, but what the entry recalls is missing
      if (candidate.states == entryDesc().states && candidate.token_dim >= 0 && !candidate.fixed_dims[candidate.token_dim])
        return e;
    }
    return entry;
  }

  int checkCached(std::vector<int64_t> &most) {
    if (options.cached == 0 && !entryDesc().recalls)
      return kOk;
    if (entryDesc().states == 0)
      return fail(kUsage, "expected an entry with state for --cached but " + quote(options.entry) + " has none");
    for (int32_t s = 0; s < runner.desc()->states; ++s)
      if ((entryDesc().states >> s & 1) && options.cached >= runner.desc()->state[s].capacity)
        return fail(kUsage, "expected --cached below the capacity " + std::to_string(runner.desc()->state[s].capacity) + " but got " + std::to_string(options.cached));
    int32_t token = runner.desc()->entry[fillingEntry()].token_dim;
    if (token >= 0)
      most[size_t(token)] = std::max(most[size_t(token)], std::clamp<int64_t>(options.cached, runner.desc()->dim[token].min, runner.desc()->dim[token].max));
    return kOk;
  }

  /// A first call of a prefill also keeps what the entry recalls.
  int fillCaches() {
    const int64_t wanted = std::max<int64_t>(options.cached, entryDesc().recalls ? 1 : 0);
    int32_t filler = fillingEntry();
    int32_t token = runner.desc()->entry[filler].token_dim;
    for (int64_t stored = 0; stored < wanted;) {
      std::vector<int64_t> call = dims;
      int64_t step = 1;
      if (token >= 0 && !runner.desc()->entry[filler].fixed_dims[token])
        step = call[size_t(token)] = std::clamp<int64_t>(wanted - stored, runner.desc()->dim[token].min, runner.desc()->dim[token].max);
      std::vector<HostTensor> in = randomInputs(runner.desc(), filler, call, options.seed + uint64_t(stored));
      std::vector<HostTensor> out = makeOutputs(runner.desc(), filler, call);
      weft_status status = runner.call(filler, call, in, out);
      if (status != WEFT_OK)
        return runner.failCall(status);
      stored += step;
    }
    return rewind();
  }

  /// Caches back to the length at which every call starts.
  int rewind() {
    for (int32_t s = 0; s < runner.desc()->states; ++s) {
      if (!(entryDesc().states >> s & 1))
        continue;
      for (int64_t b = 0; weft_session_length(runner.session, s, b) >= 0; ++b)
        if (weft_session_length(runner.session, s, b) > options.cached)
          if (weft_status status = weft_session_rewind(runner.session, s, b, options.cached))
            return runner.failCall(status);
    }
    return kOk;
  }

  int once(double &milliseconds) {
    double start = millisecondsNow();
    if (trainer) {
      int code = step();
      milliseconds = millisecondsNow() - start;
      return code;
    }
    weft_status status = runner.call(entry, dims, inputs, outputs);
    milliseconds = millisecondsNow() - start;
    if (status != WEFT_OK)
      return runner.failCall(status);
    return entryDesc().states ? rewind() : int(kOk);
  }

  int measure() {
    if (!trainer)
      if (int code = fillCaches())
        return code;
    double milliseconds = 0, warm = 0;
    for (int i = 0; i < 3 || (warm < 50 && i < 1000); ++i, warm += milliseconds)
      if (int code = once(milliseconds))
        return code;
    peakGflops = measurePeakGflops(int(threads()));
    kernels = {};
    int64_t wanted = options.iterations;
    if (wanted == 0) // about one second
      wanted = std::clamp<int64_t>(int64_t(1000 / std::max(milliseconds, 1e-3)), 5, 20000);
    for (int64_t i = 0; i < wanted; ++i) {
      if (int code = once(milliseconds))
        return code;
      times.push_back(milliseconds);
    }
    // The limit may have moved meanwhile on a shared machine: the better of two probes is the limit.
    peakGflops = std::max(peakGflops, measurePeakGflops(int(threads())));
    peakBytes = peakMemory();
    if (options.outputs.empty())
      return kOk;
    if (int code = writeTensors(files.temporary(options.outputs), options.outputs, outputs))
      return code;
    std::string text = files.commit();
    return text.empty() ? int(kOk) : fail(kFile, text);
  }

  int report() {
    std::vector<double> sorted = times;
    std::sort(sorted.begin(), sorted.end());
    size_t half = sorted.size() / 2;
    double median = sorted.size() % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
    Sizes used;
    for (int32_t d = 0; d < runner.desc()->dims; ++d)
      used[runner.desc()->dim[d].name] = dims[size_t(d)];
    double flops = -1;
    for (const EntryInfo &info : runner.compiled.entries)
      if (info.name == options.entry)
        if (auto value = info.flops.evaluate(used))
          flops = double(*value);
    double gflops = flops >= 0 ? flops / (median * 1e6) : NAN;
    double percent = peakGflops > 0 ? 100 * gflops / peakGflops : NAN;
    if (options.json) {
      JsonWriter json;
      json.open('{').key("model").string(runner.model.name).key("entry").string(options.entry).key("dims").open('{');
      for (const auto &[name, size] : used)
        json.key(name).integer(size);
      json.close().key("threads").integer(threads()).key("median_ms").number(median).key("min_ms").number(sorted.front());
      json.key("iterations").integer(int64_t(times.size())).key("compile_ms").number(runner.compileMs).key("load_ms").number(runner.loadMs);
      json.key("object_bytes").integer(int64_t(runner.compiled.object.size())).key("arena_bytes").integer(arenaBytes);
      json.key("peak_rss_bytes").integer(peakBytes).key("gflops").number(gflops).key("percent_of_peak").number(percent);
      json.key("peak_gflops").number(peakGflops);
      if (options.cached)
        json.key("cached").integer(options.cached);
      if (options.perKernel)
        writeKernels(json);
      print(json.close().text() + "\n");
      return kOk;
    }
    char line[200];
    std::snprintf(line, sizeof(line), "%s%s%s, %lld threads: median %.4g ms, min %.4g ms of %zu calls\n", options.entry.c_str(), used.empty() ? "" : " at ",
                  sizesText(used).c_str(), static_cast<long long>(threads()), median, sorted.front(), times.size());
    print(line);
    std::snprintf(line, sizeof(line), "%.4g GFLOP/s, %.3g %% of this machine's %.4g\n", gflops, percent, peakGflops);
    print(line);
    print("arena " + byteText(double(arenaBytes)) + ", peak memory " + byteText(double(peakBytes)) + ", object " + byteText(double(runner.compiled.object.size())) + "\n");
    std::snprintf(line, sizeof(line), "compiled in %.4g ms, loaded in %.4g ms\n", runner.compileMs, runner.loadMs);
    print(line);
    if (options.perKernel)
      printKernels();
    return kOk;
  }

  struct KernelRow {
    std::string symbol;
    const KernelInfo *info = nullptr;
    int64_t launches = 0;
    double milliseconds = 0; ///< per call
  };

  std::vector<KernelRow> kernelRows() const {
    std::vector<KernelRow> rows;
    for (weft_kernel_fn function : kernels.order) {
      KernelRow row;
      row.symbol = runner.symbolOf(reinterpret_cast<const void *>(function));
      for (const KernelInfo &info : runner.compiled.kernels)
        if (info.symbol == row.symbol && (!row.info || info.entry == options.entry))
          row.info = &info;
      auto found = kernels.byFunction.find(function);
      row.launches = found->second.first / int64_t(times.size());
      row.milliseconds = found->second.second / double(times.size());
      rows.push_back(row);
    }
    return rows;
  }

  static std::string nodesText(const KernelRow &row) {
    std::string text;
    if (row.info)
      for (const std::string &node : row.info->nodes)
        text += (text.empty() ? "" : " + ") + node;
    return text;
  }

  void writeKernels(JsonWriter &json) const {
    json.key("kernels").open('[');
    for (const KernelRow &row : kernelRows()) {
      json.open('{').key("symbol").string(row.symbol).key("kind").string(row.info ? row.info->kind : "").key("nodes").open('[');
      if (row.info)
        for (const std::string &node : row.info->nodes)
          json.string(node);
      json.close().key("launches").integer(row.launches).key("ms").number(row.milliseconds).close();
    }
    json.close();
  }

  void printKernels() const {
    for (const KernelRow &row : kernelRows()) {
      char line[120];
      std::snprintf(line, sizeof(line), "%10.4f ms  %4lld x  ", row.milliseconds, static_cast<long long>(row.launches));
      print(line + (row.info ? row.info->kind + "  " + nodesText(row) : row.symbol) + "\n");
    }
  }
};

} // namespace

void addBench(CLI::App &root, Action &action) {
  auto options = std::make_shared<BenchOptions>();
  CLI::App *command = root.add_subcommand("bench", "time an entry: medians, GFLOP/s, percent of the machine's peak");
  addCommonOptions(*command, *options);
  command->add_option("--entry", options->entry, "entry to time (default: forward); of training: whole steps, one batch and its update");
  addRepeated(*command, "--dim", options->dims, "B=8,T=128: sizes of the call (default: the hints)");
  command->add_option("--iterations", options->iterations, "timed calls (default: about one second's)")->check(CLI::Range(int64_t(1), int64_t(100000000)));
  command->add_option("--cached", options->cached, "positions in the caches before each call (default 0)")->check(notNegative());
  command->add_option("--weights", options->weights, "weights file (default: the model's if it is there, else random)");
  command->add_option("--init", options->init, "SEED: random weights")->check(checkSeed);
  addRepeated(*command, "--inputs", options->inputFiles, "safetensors file with inputs (default: random)");
  command->add_option("--outputs", options->outputs, "file for the last result");
  command->add_flag("--per-kernel", options->perKernel, "also the time of each kernel");
  command->footer("Examples:\n  weft bench minilm_l6.json --dim B=8,T=128 --threads 2 --json\n  weft bench gpt2.json --entry decode --dim B=1 --cached 512");
  command->callback([=, &action] { action = [=] { return Bench(*options).run(); }; });
}

} // namespace weft
