// Values from inside a model, for `weft run --probe` and `weft view attention`: an extra entry that computes them is
// compiled beside the others (import/Probes.h) and called in a session of its own.
#ifndef WEFT_TOOLS_PROBE_H
#define WEFT_TOOLS_PROBE_H

#include "Runner.h"

#include "import/Probes.h"

namespace weft {

/// Adds the entry to the model before it is compiled; `name` stays empty without probes. Errors are printed; kOk or an exit code.
int addProbeEntry(ModelDesc &model, const std::string &entry, const std::vector<std::string> &probes, std::string &name, std::vector<ProbedValue> &values);

/// Calls the entry of an open model. `dims`: sizes that no input shows. Errors are printed; kOk or an exit code.
int runProbeEntry(Runner &runner, const CommonOptions &options, const std::string &name, const std::vector<HostTensor> &given, std::vector<int64_t> dims,
                  std::vector<HostTensor> &values);

} // namespace weft

#endif // WEFT_TOOLS_PROBE_H
