// One label that is ignored per op; it is replaced by 0 before it is used as an index.
// Shared by the expansion of the loss and by what is counted beside it.
#include "fusion/Labels.h"

#include "fusion/Values.h"

using namespace mlir;

namespace weft {
namespace {

bool canBeIgnored(CrossEntropyOp op) {
  return llvm::isIntN(elementOf(op.getLabels()).getIntOrFloatBitWidth(), int64_t(op.getIgnoreIndex()));
}

Value integer(OpBuilder &b, Location loc, Value like, int64_t value) {
  auto type = RankedTensorType::get({}, elementOf(like));
  return ConstantOp::create(b, loc, cast<TypedAttr>(Attribute(DenseElementsAttr::get(type, b.getIntegerAttr(elementOf(like), value)))));
}

Value castTo(OpBuilder &b, Value x, Type element) {
  RankedTensorType type = tensorType(shapeOf(x), element);
  return x.getType() == type ? x : Value(CastOp::create(b, x.getLoc(), type, x));
}

} // namespace

bool isAnyLabelLighter(CrossEntropyOp op) { return op.getClassWeights() || canBeIgnored(op); }

Value ignoredLabels(OpBuilder &b, CrossEntropyOp op) {
  if (!canBeIgnored(op))
    return {};
  return EqualOp::create(b, op.getLoc(), op.getLabels(), integer(b, op.getLoc(), op.getLabels(), op.getIgnoreIndex()));
}

Value labelIndices(OpBuilder &b, CrossEntropyOp op) {
  Value ignored = ignoredLabels(b, op);
  return ignored ? Value(WhereOp::create(b, op.getLoc(), ignored, integer(b, op.getLoc(), op.getLabels(), 0), op.getLabels())) : op.getLabels();
}

Value countedLabels(OpBuilder &b, CrossEntropyOp op, Type f) {
  Location loc = op.getLoc();
  if (Value ignored = ignoredLabels(b, op))
    return WhereOp::create(b, loc, ignored, floatConstant(b, loc, f, 0), floatConstant(b, loc, f, 1));
  return ExpandOp::create(b, loc, tensorType(shapeOf(op.getLabels()), f), floatConstant(b, loc, f, 1));
}

Value labelWeights(OpBuilder &b, CrossEntropyOp op, Type f) {
  if (!op.getClassWeights())
    return countedLabels(b, op, f);
  Location loc = op.getLoc();
  Shape rows = shapeOf(op.getLabels()), kept = rows, table(rows.size(), DimExpr(1));
  kept.push_back(DimExpr(1));
  table.push_back(shapeOf(op.getLogits()).back());
  Value index = reshapeTo(b, loc, labelIndices(b, op), kept);
  Value weights = GatherOp::create(b, loc, reshapeTo(b, loc, op.getClassWeights(), table), index, int64_t(rows.size()));
  weights = reshapeTo(b, loc, castTo(b, weights, f), rows);
  if (Value ignored = ignoredLabels(b, op))
    return WhereOp::create(b, loc, ignored, floatConstant(b, loc, f, 0), weights);
  return weights;
}

} // namespace weft
