// Where the numbers of a training stop being finite: the first node, parameter or input on the way to a loss that is NaN
// or infinite. Everything is computed again for this, so it costs nothing as long as all is well.
#ifndef WEFT_TOOLS_NONFINITE_H
#define WEFT_TOOLS_NONFINITE_H

#include "Runner.h"

namespace weft {

struct NonFiniteCall {
  std::string entry;                     ///< of mode train or grad
  const weft_model *parameters = nullptr; ///< an open model whose parameters can be read
  std::vector<HostTensor> inputs;
  std::vector<int64_t> dims;
};

/// Computes the entry's loss again, without dropout, with the values of its nodes as outputs: first of the graph's own
/// nodes, then of the rounds of a repeat in a binary search. `text` continues a message ("; the first value …"), and is
/// empty when every value is finite. Errors are printed; kOk or an exit code.
int explainNonFinite(const CommonOptions &options, const NonFiniteCall &call, std::string &text);

/// The node that the backward pass reaches first of those with a parameter whose gradient is not finite, as text that
/// continues a message. `isFinite`: of the gradient of a parameter, by its full name.
std::string explainGradients(const ModelDesc &model, const std::function<bool(const std::string &)> &isFinite);

/// Whether something is dropped out in training, which explainNonFinite leaves out.
bool hasDropout(const ModelDesc &model);

} // namespace weft

#endif // WEFT_TOOLS_NONFINITE_H
