// A model ready to be called: compiled in memory, loaded, opened, with weights. What run, init, generate and bench share.
#ifndef WEFT_TOOLS_RUNNER_H
#define WEFT_TOOLS_RUNNER_H

#include "Data.h"
#include "LoadObject.h"
#include "Weights.h"

namespace weft {

class Runner {
public:
  Runner() = default;
  Runner(const Runner &) = delete;
  Runner &operator=(const Runner &) = delete;
  ~Runner();

  ModelDesc model;
  CompiledModel compiled;
  weft_model *handle = nullptr;
  weft_session *session = nullptr;
  double compileMs = 0, loadMs = 0;

  /// Reads the model file. The following steps are in this order, each once; errors are printed, kOk or an exit code.
  int read(const CommonOptions &options);
  int compile(const CommonOptions &options, const CompileOptions &compile);
  int open(const CommonOptions &options, const WeightsChoice &weights, bool keepParameters = false);
  /// Once more makes a new session in place of the one before.
  int start(const CommonOptions &options, const std::vector<int64_t> &maxDims, weft_trace_fn trace = nullptr, void *traceUser = nullptr);

  /// kLimit, with a text, if an entry's arena for these sizes is beyond the limit.
  int checkArena(const CommonOptions &options, const std::vector<int64_t> &maxDims) const;

  const weft_model_desc *desc() const { return object->descriptor(); }
  int32_t entryIndex(const std::string &name) const { return weft_model_entry(handle, name.c_str()); }
  /// Symbol of a function of the loaded object; empty if unknown.
  std::string symbolOf(const void *function) const { return object->functionAt(function); }
  std::vector<int64_t> dimList(const Sizes &sizes) const;
  weft_status call(int32_t entry, const std::vector<int64_t> &dims, const std::vector<HostTensor> &inputs, std::vector<HostTensor> &outputs);
  /// Prints the session's error and returns its exit code.
  int failCall(weft_status status) const;

private:
  std::unique_ptr<LoadedObject> object;
};

double millisecondsNow();

} // namespace weft

#endif // WEFT_TOOLS_RUNNER_H
