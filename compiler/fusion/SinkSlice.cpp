// Moves slices of positions towards the producers, so that only the positions that are read are computed.
// The case that counts: the logits of the last position of a prompt.
#include "Passes.h"
#include "dialect/Values.h"

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
  if (isa<ReduceSumOp, ReduceMeanOp, ReduceMaxOp, ReduceMinOp, VarOp>(op)) {
    ArrayRef<int64_t> axes = op->getAttrOfType<DenseI64ArrayAttr>("axes").asArrayRef();
    if (op->hasAttr("keepdim"))
      return llvm::is_contained(axes, axis) ? std::nullopt : std::optional<int64_t>(axis);
    for (int64_t a = 0, kept = 0; a < own; ++a)
      if (!llvm::is_contained(axes, a) && kept++ == axis)
        return a;
  }
  return std::nullopt;
}

/// The operands' axes, or failure where the op is not one that computes positions one by one.
LogicalResult operandAxes(Operation *op, Operation *slice, int64_t axis, SmallVectorImpl<int64_t> &axes,
                          PatternRewriter &b) {
  if (!op || op->getNumResults() != 1 || !op->hasOneUse())
    return b.notifyMatchFailure(slice, "expected a producer with no other user");
  if (op->getNumOperands() == 0 || op->getBlock() != slice->getBlock())
    return b.notifyMatchFailure(slice, "expected a producer with operands in the same block");
  // A parameter of a repeat has the round as its operand.
  if (!llvm::all_of(op->getOperandTypes(), [](Type type) { return isa<RankedTensorType>(type); }))
    return b.notifyMatchFailure(slice, "expected a producer that reads tensors");
  if (axis == typeOf(op->getResult(0)).getRank() - 1)
    return b.notifyMatchFailure(slice, "expected a slice of an axis before the last");
  for (unsigned i = 0; i < op->getNumOperands(); ++i) {
    std::optional<int64_t> own = operandAxis(op, i, axis);
    if (!own)
      return b.notifyMatchFailure(slice, "expected a producer that computes positions one by one");
    axes.push_back(*own);
  }
  if (llvm::all_of(axes, [](int64_t a) { return a < 0; }))
    return b.notifyMatchFailure(slice, "expected a producer with the sliced axis");
  return success();
}

/// Replaces `slice` by a copy of the op that it reads, on these operands.
void recompute(Operation *slice, Operation *op, ArrayRef<Value> operands, PatternRewriter &b) {
  Operation *copy = b.clone(*op);
  copy->setOperands(operands);
  copy->getResult(0).setType(slice->getResult(0).getType());
  b.replaceOp(slice, copy->getResults());
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
    SmallVector<int64_t> axes;
    if (failed(operandAxes(op, slice, slice.getAxis(), axes, b)))
      return failure();
    DimExpr size = shapeOf(slice.getY())[slice.getAxis()];
    SmallVector<Value> operands(op->getOperands());
    for (auto [operand, own] : llvm::zip(operands, axes)) {
      if (own < 0)
        continue;
      Shape shape = shapeOf(operand);
      shape[own] = size;
      operand = SliceOp::create(b, slice.getLoc(), tensorType(shape, elementOf(operand)), operand, uint64_t(own),
                                slice.getStart(), uint64_t(slice.getStep()));
    }
    recompute(slice, op, operands, b);
    return success();
  }
};

/// last_token(op(x, y))  →  op(last_token(x), last_token(y))
///
/// Sound as for slices: which position is read depends on the sequence, so an operand must have the batch axis too.
struct SinkLastToken : OpRewritePattern<LastTokenOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(LastTokenOp last, PatternRewriter &b) const override {
    Operation *op = last.getX().getDefiningOp();
    SmallVector<int64_t> axes;
    if (failed(operandAxes(op, last, 1, axes, b)))
      return failure();
    DimExpr batch = shapeOf(last.getX())[0];
    for (auto [operand, own] : llvm::zip(op->getOperands(), axes))
      if (own >= 0 && (own != 1 || shapeOf(operand)[0] != batch))
        return b.notifyMatchFailure(last, "expected operands with a batch axis");
    SmallVector<Value> operands(op->getOperands());
    for (auto [operand, own] : llvm::zip(operands, axes))
      if (own >= 0)
        operand = LastTokenOp::create(b, last.getLoc(), operand);
    recompute(last, op, operands, b);
    return success();
  }
};

struct SinkSlicePass : impl::SinkSlicePassBase<SinkSlicePass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<SinkSlice, SinkLastToken>(&getContext());
    // A round may move a slice past one op only, however long the chain: each step takes it nearer to what it ends at.
    GreedyRewriteConfig config;
    config.setMaxIterations(GreedyRewriteConfig::kNoLimit);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns), config)))
      signalPassFailure();
  }
};

} // namespace
} // namespace weft
