// The session is a new one, as the values are those of a call with nothing before it.
#include "Probe.h"

namespace weft {

int addProbeEntry(ModelDesc &model, const std::string &entry, const std::vector<std::string> &probes, std::string &name,
                  std::vector<ProbedValue> &values) {
  if (probes.empty())
    return kOk;
  ProbeFailure failure;
  name = addProbes(model, entry, probes, values, failure);
  return name.empty() ? fail(kUsage, failure.text, failure.hint) : int(kOk);
}

int runProbeEntry(Runner &runner, const CommonOptions &options, const std::string &name, const std::vector<HostTensor> &given,
                  std::vector<int64_t> dims, std::vector<HostTensor> &values) {
  int32_t entry = runner.entryIndex(name);
  std::vector<HostTensor> inputs;
  if (int code = bindInputs(runner.desc(), entry, given, inputs))
    return code;
  if (int code = dimsFromInputs(runner.desc(), entry, inputs, dims))
    return code;
  if (int code = runner.start(options, dims))
    return code;
  if (const int64_t bytes = outputBytes(runner.desc(), entry, dims); !canHold(bytes))
    return fail(kLimit, "the values need " + byteText(double(bytes)) + " of memory, more than there is");
  values = makeOutputs(runner.desc(), entry, dims);
  weft_status status = runner.call(entry, dims, inputs, values);
  return status == WEFT_OK ? int(kOk) : runner.failCall(status);
}

} // namespace weft
