// `weft grad --check`: compiled gradients against derivatives of the f64 reference, its own and those of differences.
// For people who add a gradient rule, or whose training does what it should not: is it the gradients, and if so which rule?
#ifndef WEFT_TOOLS_GRADCHECK_H
#define WEFT_TOOLS_GRADCHECK_H

#include "NodeCheck.h"

namespace weft {

struct GradCheck {
  uint64_t seed = 0;
  int directions = 0;
  std::vector<SlopeCheck> tensors;  ///< in the order of the entry's outputs
  std::optional<NodeChecks> nodes;  ///< checked when a tensor disagrees, or when asked for

  bool ok() const;
};

/// Compares all gradients among `outputs`, the results of a call of the entry with `inputs` and `sizes`. The model keeps its
/// parameters. Its description is of no use to the compiler afterwards: its floats are f64. Errors are printed; kOk or an
/// exit code.
int checkGradients(const CommonOptions &options, Runner &runner, const std::string &entry, const std::vector<HostTensor> &inputs,
                   const std::vector<HostTensor> &outputs, const Sizes &sizes, int directions, bool allNodes, GradCheck &result);

void printGradCheck(const ModelDesc &model, const GradCheck &check);
/// The key "check" with its object.
void writeGradCheck(JsonWriter &json, const GradCheck &check);

} // namespace weft

#endif // WEFT_TOOLS_GRADCHECK_H
