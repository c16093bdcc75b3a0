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
  int64_t bytes = 0; ///< that the entry itself takes
};

struct NonFiniteReason {
  std::string text; ///< continues a message
  size_t call = 0;  ///< the one that it is of
};

/// Why what these calls compute is not finite: by explainNonFinite, else explainGradients, of each in turn, else nodeOfGradient.
/// Never fails: what ends the search early is a note. `callOf` is asked again for the same call.
NonFiniteReason reasonOf(const CommonOptions &options, const ModelDesc &model, size_t calls, const std::function<NonFiniteCall(size_t)> &callOf,
                         const std::function<bool(const std::string &)> &isFinite);

/// Computes the entry's loss again, without dropout, with the values of its nodes as outputs: first of the graph's own
/// nodes, then of the rounds of a repeat in a binary search. `text` continues a message ("; the first value …"), and is
/// empty when every value is finite. Errors are printed; kOk or an exit code.
int explainNonFinite(const CommonOptions &options, const NonFiniteCall &call, std::string &text);

/// Computes the entry's gradients again, without dropout, with those that each node passes to its operands: first of the graph's
/// own nodes, then of the repeat that makes one that is not finite, with its rounds written out. Some nodes at a time, so that
/// it takes memory of the order of what the entry itself does. `text` names the node and what the gradient is of; it is empty
/// when all are finite. Errors are printed; kOk or an exit code, after which `text` may name the repeat.
int explainGradients(const CommonOptions &options, const NonFiniteCall &call, std::string &text);

/// What is left when that finds nothing: the node that the backward pass reaches first of those with a parameter whose
/// gradient is not finite. `isFinite`: of the gradient of a parameter, by its full name.
std::string nodeOfGradient(const ModelDesc &model, const std::function<bool(const std::string &)> &isFinite);

/// Compiles one entry of a model that `runner` has read, and calls it with the call's parameters and those of its inputs that
/// the entry has. Errors are printed; kOk or an exit code.
int callAgain(Runner &runner, const CommonOptions &options, const std::string &entry, const NonFiniteCall &call, std::vector<HostTensor> &values);

/// The options without what has been said about the model already, for reading it again.
CommonOptions quietly(CommonOptions options);

/// Adds the entry if it stands in no file, as that of `weft grad` may.
void addEntry(ModelDesc &model, const std::string &name);

/// "node 'h[3].sq' (deep.json:71:5)"
std::string nodeText(const ModelDesc &model, const std::string &path, const Position &pos);
/// "[0, 5] is inf"
std::string elementText(const HostTensor &tensor, int64_t at);

/// Whether something is dropped out in training, which explainNonFinite leaves out.
bool hasDropout(const ModelDesc &model);

} // namespace weft

#endif // WEFT_TOOLS_NONFINITE_H
