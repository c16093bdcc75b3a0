// One label that is ignored per op; it is replaced by 0 before it is used as an index.
// Shared by the expansion of the loss and by what is counted beside it.
#include "dialect/Labels.h"

#include "dialect/Values.h"

using namespace mlir;

namespace weft {
namespace {

bool canBeIgnored(const Labels &y) {
  return llvm::isIntN(elementOf(y.labels).getIntOrFloatBitWidth(), y.ignoreIndex);
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

bool isAnyLabelLighter(const Labels &y) { return y.classWeights || canBeIgnored(y); }

Value ignoredLabels(OpBuilder &b, const Labels &y) {
  if (!canBeIgnored(y))
    return {};
  return EqualOp::create(b, y.loc, y.labels, integer(b, y.loc, y.labels, y.ignoreIndex));
}

Value labelIndices(OpBuilder &b, const Labels &y) {
  Value ignored = ignoredLabels(b, y);
  return ignored ? Value(WhereOp::create(b, y.loc, ignored, integer(b, y.loc, y.labels, 0), y.labels)) : y.labels;
}

Value countedLabels(OpBuilder &b, const Labels &y, Type f) {
  Location loc = y.loc;
  if (Value ignored = ignoredLabels(b, y))
    return WhereOp::create(b, loc, ignored, floatConstant(b, loc, f, 0), floatConstant(b, loc, f, 1));
  return ExpandOp::create(b, loc, tensorType(shapeOf(y.labels), f), floatConstant(b, loc, f, 1));
}

Value labelWeights(OpBuilder &b, const Labels &y, Type f) {
  if (!y.classWeights)
    return countedLabels(b, y, f);
  Location loc = y.loc;
  Shape rows = shapeOf(y.labels), kept = rows, table(rows.size(), DimExpr(1));
  kept.push_back(DimExpr(1));
  table.push_back(shapeOf(y.classWeights)[0]);
  Value index = reshapeTo(b, loc, labelIndices(b, y), kept);
  Value weights = GatherOp::create(b, loc, reshapeTo(b, loc, y.classWeights, table), index, int64_t(rows.size()));
  weights = reshapeTo(b, loc, castTo(b, weights, f), rows);
  if (Value ignored = ignoredLabels(b, y))
    return WhereOp::create(b, loc, ignored, floatConstant(b, loc, f, 0), weights);
  return weights;
}

} // namespace weft
