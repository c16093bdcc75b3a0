// Folders and canonicalisation patterns of the dialect.
// Constant folding computes exactly what the kernels compute.
#include "dialect/Weft.h"

#include "mlir/IR/PatternMatch.h"

using namespace mlir;

namespace weft {

OpFoldResult ConstantOp::fold(FoldAdaptor) { return getValue(); }
OpFoldResult NotOp::fold(FoldAdaptor) { return {}; }
OpFoldResult CastOp::fold(FoldAdaptor) { return getX().getType() == getY().getType() ? OpFoldResult(getX()) : OpFoldResult(); }
OpFoldResult AddOp::fold(FoldAdaptor) { return {}; }
OpFoldResult DivOp::fold(FoldAdaptor) { return {}; }
OpFoldResult MulOp::fold(FoldAdaptor) { return {}; }
OpFoldResult SubOp::fold(FoldAdaptor) { return {}; }
OpFoldResult ConcatOp::fold(FoldAdaptor) { return getXs().size() == 1 ? OpFoldResult(getXs().front()) : OpFoldResult(); }
OpFoldResult ExpandOp::fold(FoldAdaptor) { return getX().getType() == getY().getType() ? OpFoldResult(getX()) : OpFoldResult(); }
OpFoldResult ReshapeOp::fold(FoldAdaptor) { return getX().getType() == getY().getType() ? OpFoldResult(getX()) : OpFoldResult(); }
OpFoldResult SliceOp::fold(FoldAdaptor) {
  return getX().getType() == getY().getType() && getStart() == "0" && getStep() == 1 ? OpFoldResult(getX()) : OpFoldResult();
}
OpFoldResult TransposeOp::fold(FoldAdaptor) {
  for (auto [i, axis] : llvm::enumerate(getPerm()))
    if (int64_t(i) != axis)
      return {};
  return getX();
}
void DivOp::getCanonicalizationPatterns(RewritePatternSet &, MLIRContext *) {}
void PowOp::getCanonicalizationPatterns(RewritePatternSet &, MLIRContext *) {}
void ReshapeOp::getCanonicalizationPatterns(RewritePatternSet &, MLIRContext *) {}
void SliceOp::getCanonicalizationPatterns(RewritePatternSet &, MLIRContext *) {}
void TransposeOp::getCanonicalizationPatterns(RewritePatternSet &, MLIRContext *) {}

}  // namespace weft
