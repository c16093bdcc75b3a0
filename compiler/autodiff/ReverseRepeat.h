// The backward loop of a repeat, and what it keeps of the forward rounds.
#ifndef WEFT_AUTODIFF_REVERSEREPEAT_H
#define WEFT_AUTODIFF_REVERSEREPEAT_H

#include "autodiff/Gradients.h"

namespace weft {

/// How much of the forward pass a backward loop computes again instead of keeping it.
struct Recompute {
  bool block = false;             ///< everything but the carried values
  std::vector<std::string> nodes; ///< paths of nodes whose values are computed again
};

/// Adds the gradients of one block's ops, last first. False stands in `missing` for each rule that is not there.
using ReverseBlock = llvm::function_ref<void(mlir::Block &, Gradients &)>;

/// Builds the backward loop of `repeat` at the builder's place of `outer`: carried are the gradients of the carried values
/// and of what the body reads from outside; gradients of parameters with this round's index are stacked. The forward loop
/// gets a stacked result for each value that the backward loop reads and does not compute again; `repeat` is replaced.
void reverseRepeat(RepeatOp repeat, Gradients &outer, const llvm::DenseSet<mlir::Value> &varied, const Recompute &recompute,
                   ReverseBlock reverseBlock);

} // namespace weft

#endif // WEFT_AUTODIFF_REVERSEREPEAT_H
