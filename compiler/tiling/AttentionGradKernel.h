// Attention, backward: gradients of queries, keys, values and of the bias, from the result and the log-sum-exp of its
// rows. Probabilities are recomputed tile by tile; nothing of the size of the scores is kept.
#ifndef WEFT_TILING_ATTENTIONGRADKERNEL_H
#define WEFT_TILING_ATTENTIONGRADKERNEL_H

#include "tiling/AttentionKernel.h"

namespace weft {

/// dq, dk and dv are f32, the others of any type; there is no cache.
struct AttentionGradSpec {
  AttentionSpec attention; ///< `out` and `lse` are read; `statistics` is not used
  HeadOperand dout, dq, dk, dv;
};

/// Task = (batch, kv head). With very few of those and many keys, where threads would have nothing to do: (batch, head,
/// query tile) for dq, then (batch, kv head, some blocks of keys) for dk and dv, at 7 products per tile instead of 5.
/// Every sum is made by one task in one order.
EmittedKernel emitAttentionGrad(mlir::ModuleOp module, llvm::StringRef name, const AttentionGradSpec &spec,
                                const TargetInfo &target);

/// The gradient of the bias; dq, dk and dv are not used.
struct AttentionBiasGradSpec {
  AttentionGradSpec grad;
  /// f32; over axes with stride 0 the gradient is summed.
  ScoreOperand dbias;
};

/// Task = (batch, head, query tile), each 1 where dbias has stride 0.
EmittedKernel emitAttentionBiasGrad(mlir::ModuleOp module, llvm::StringRef name, const AttentionBiasGradSpec &spec,
                                    const TargetInfo &target);

} // namespace weft

#endif // WEFT_TILING_ATTENTIONGRADKERNEL_H
