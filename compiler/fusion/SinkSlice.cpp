// Moves slices of positions towards the producers, so that only the positions that are read are computed.
// The case that counts: the logits of the last position of a prompt.
#include "Passes.h"
#include "fusion/Values.h"

#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

using namespace mlir;

namespace weft {

#define GEN_PASS_DEF_SINKSLICEPASS
#include "Passes.h.inc"

namespace {

/// Which axis of operand `i` is the result's axis `axis`; -1: the operand is the same for all of it; nullopt: the op
/// mixes elements along it.
std::optional<int64_t> operandAxis(Operation *op, unsigned i, int64_t axis) {
  int64_t rank = typeOf(op->getResult(0)).getRank(), own = typeOf(op->getOperand(i)).getRank();
  Shape shape = shapeOf(op->getOperand(i)), result = shapeOf(op->getResult(0));
  auto broadcast = [&](int64_t a) -> int64_t { return a < 0 || shape[a] != result[axis] ? -1 : a; };
  if (isa<DropoutOp>(op)) // its random numbers belong to the places of the whole tensor
    return std::nullopt;
  if (isPointwise(op))
    return broadcast(axis - (rank - own));
  if (isa<SoftmaxOp, LogSoftmaxOp, L2NormalizeOp>(op)) {
    auto reduced = op->getAttrOfType<IntegerAttr>("axis").getInt();
    return reduced == axis ? std::nullopt : std::optional<int64_t>(axis);
  }
  if (auto norm = dyn_cast<LayerNormOp>(op)) {
    if (int64_t(norm.getAxis()) == axis)
      return std::nullopt;
    return i == 0 ? axis : -1;
  }
  if (isa<RmsNormOp>(op))
    return axis == rank - 1 ? std::nullopt : std::optional<int64_t>(i == 0 ? axis : -1);
  if (isa<EmbeddingOp, SinusoidOp>(op))
    return axis == rank - 1 ? std::nullopt : std::optional<int64_t>(i == 0 ? axis : -1);
  if (isa<RopeOp>(op)) {
    if (axis == 2)
      return std::nullopt;
    return i == 0 ? axis : broadcast(axis - (2 - own));
  }
  if (auto matmul = dyn_cast<MatmulOp>(op)) {
    if (axis == rank - 1)
      return std::nullopt;
    if (axis == rank - 2)
      return i == 1 ? -1 : matmul.getTransposeA() ? own - 1 : own - 2;
    return broadcast(axis - (rank - own));
  }
  if (auto transpose = dyn_cast<TransposeOp>(op))
    return transpose.getPerm()[axis];
  return std::nullopt;
}

/// slice(op(x, y))  →  op(slice(x), slice(y))
///
/// Sound because each of these ops computes an element from operand elements at the same index of the sliced axis: what
/// is computed at other indices does not reach the slice. Operands that lack the axis, or broadcast along it, stay.
/// Only where the slice is the op's one user; elsewhere all positions are needed anyway.
struct SinkSlice : OpRewritePattern<SliceOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(SliceOp slice, PatternRewriter &b) const override {
    Operation *op = slice.getX().getDefiningOp();
    int64_t axis = slice.getAxis(), rank = typeOf(slice.getX()).getRank();
    if (axis == rank - 1)
      return b.notifyMatchFailure(slice, "expected a slice of an axis before the last");
    if (!op || op->getNumResults() != 1 || !op->hasOneUse())
      return b.notifyMatchFailure(slice, "expected a producer with no other user");
    if (op->getNumOperands() == 0 || op->getBlock() != slice->getBlock())
      return b.notifyMatchFailure(slice, "expected a producer with operands in the same block");
    SmallVector<int64_t> axes;
    for (unsigned i = 0; i < op->getNumOperands(); ++i) {
      std::optional<int64_t> own = operandAxis(op, i, axis);
      if (!own)
        return b.notifyMatchFailure(slice, "expected a producer that computes positions one by one");
      axes.push_back(*own);
    }
    if (llvm::all_of(axes, [](int64_t a) { return a < 0; }))
      return b.notifyMatchFailure(slice, "expected a producer with the sliced axis");

    DimExpr size = shapeOf(slice.getY())[axis];
    SmallVector<Value> operands;
    for (auto [operand, own] : llvm::zip(op->getOperands(), axes)) {
      operands.push_back(operand);
      if (own < 0)
        continue;
      Shape shape = shapeOf(operand);
      shape[own] = size;
      auto moved = SliceOp::create(b, slice.getLoc(), tensorType(shape, elementOf(operand)), operand, uint64_t(own), slice.getStart(),
                                   uint64_t(slice.getStep()));
      moved->setDiscardableAttrs(slice->getDiscardableAttrDictionary());
      operands.back() = moved;
    }
    Operation *copy = b.clone(*op);
    copy->setOperands(operands);
    copy->getResult(0).setType(slice.getType());
    b.replaceOp(slice, copy->getResults());
    return success();
  }
};

/// A last_token moves as the slice of position T - 1 does: for the ops above, which position it is does not matter. It
/// is that slice, marked, while the patterns run.
constexpr StringLiteral kLastToken = "weft.last_token";

void lastTokensToSlices(Operation *root) {
  root->walk([](LastTokenOp last) {
    OpBuilder b(last);
    DimExpr start = shapeOf(last.getX())[1] - DimExpr(1);
    auto slice = SliceOp::create(b, last.getLoc(), last.getY().getType(), last.getX(), 1, start.str(), 1);
    slice->setAttr(kLastToken, b.getUnitAttr());
    last.replaceAllUsesWith(slice.getY());
    last.erase();
  });
}

void slicesToLastTokens(Operation *root) {
  root->walk([](SliceOp slice) {
    if (!slice->hasAttr(kLastToken))
      return;
    OpBuilder b(slice);
    slice.replaceAllUsesWith(LastTokenOp::create(b, slice.getLoc(), slice.getX()).getY());
    slice.erase();
  });
}

struct SinkSlicePass : impl::SinkSlicePassBase<SinkSlicePass> {
  void runOnOperation() override {
    lastTokensToSlices(getOperation());
    RewritePatternSet patterns(&getContext());
    patterns.add<SinkSlice>(&getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
    slicesToLastTokens(getOperation());
  }
};

} // namespace
} // namespace weft
