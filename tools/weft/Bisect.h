// `weft run --bisect`: the first node whose compiled value leaves the bound around the f64 reference.
// For people whose compiled model disagrees with what they expected: is it the compiler, the weights or the expectation?
#ifndef WEFT_TOOLS_BISECT_H
#define WEFT_TOOLS_BISECT_H

#include "Runner.h"

namespace weft {

struct BisectResult {
  std::string node;       ///< "enc[3].attn"; empty: every value that the outputs depend on agrees
  std::string op;
  Position pos;
  std::string difference; ///< how many elements differ, the first and the worst
  size_t probes = 0;      ///< values that were compiled and compared
};

/// Searches among the nodes that the entry's outputs depend on. Each value is compiled alone, so that what leads to it
/// is fused as in the model. Errors are printed; kOk or an exit code.
int bisect(const CommonOptions &options, const std::string &entry, const WeightsChoice &weights, const std::vector<HostTensor> &inputs, const Sizes &sizes,
           BisectResult &result);

} // namespace weft

#endif // WEFT_TOOLS_BISECT_H
