// Result types, rules and folders of the ops that are short for others.
// mha shares the rules of its masks and attributes with attention: WeftAttention.cpp.
#include "dialect/OpRules.h"

#include "mlir/IR/Builders.h"

using namespace mlir;

namespace weft {
using namespace rules;

#define WEFT_INFER(Op) \
  LogicalResult Op::inferReturnTypes(MLIRContext *, std::optional<Location> loc, Op::Adaptor a, SmallVectorImpl<Type> &inferred)

WEFT_INFER(LinearOp) {
  Shape shape = shapeOf(a.getX()), weight = shapeOf(a.getWeight());
  if (shape.empty())
    return emitOptionalError(loc, "expected x of rank 1 or more but got a scalar");
  if (weight.size() != 2 || weight[1] != shape.back() || elementOf(a.getWeight()) != elementOf(a.getX()))
    return emitOptionalError(loc, "expected a weight ", elementOf(a.getX()), " [features, ", shape.back().str(), "] but got ",
                             a.getWeight().getType());
  Type bias = tensorType({weight[0]}, elementOf(a.getX()));
  if (a.getBias() && a.getBias().getType() != bias)
    return emitOptionalError(loc, "expected a bias ", bias, " but got ", a.getBias().getType());
  static const StringRef known[] = {"relu", "gelu", "gelu_tanh", "silu", "tanh", "sigmoid"};
  if (a.getActivation() && !llvm::is_contained(known, *a.getActivation()))
    return emitOptionalError(loc, "expected activation relu, gelu, gelu_tanh, silu, tanh or sigmoid but got '", *a.getActivation(), "'");
  shape.back() = weight[0];
  inferred.push_back(tensorType(shape, elementOf(a.getX())));
  return success();
}

static LogicalResult inferBroadcast(std::optional<Location> loc, Value x, Value y, SmallVectorImpl<Type> &inferred) {
  std::optional<Shape> shape = broadcast(shapeOf(x), shapeOf(y));
  if (!shape)
    return emitOptionalError(loc, "expected shapes that broadcast but got ", text(shapeOf(x)), " and ", text(shapeOf(y)));
  inferred.push_back(tensorType(*shape, elementOf(x)));
  return success();
}

static LogicalResult inferGated(std::optional<Location> loc, Value gate, Value up, SmallVectorImpl<Type> &inferred) {
  if (elementOf(gate) != elementOf(up))
    return emitOptionalError(loc, "expected one element type but got ", elementOf(gate), " and ", elementOf(up));
  return inferBroadcast(loc, gate, up, inferred);
}
WEFT_INFER(GegluOp) { return inferGated(loc, a.getGate(), a.getUp(), inferred); }
WEFT_INFER(SwigluOp) { return inferGated(loc, a.getGate(), a.getUp(), inferred); }

WEFT_INFER(MaskedFillOp) {
  Type scalar = RankedTensorType::get({}, elementOf(a.getX()));
  if (a.getValue().getType() != scalar)
    return emitOptionalError(loc, "expected a value ", scalar, " but got ", a.getValue().getType());
  return inferBroadcast(loc, a.getX(), a.getMask(), inferred);
}

/// An axis of a shape with `rank` axes.
static LogicalResult checkAxis(std::optional<Location> loc, int64_t axis, size_t rank) {
  if (axis < 0 || axis >= int64_t(rank))
    return emitOptionalError(loc, "expected an axis in 0..", int64_t(rank) - 1, " but got ", axis);
  return success();
}

WEFT_INFER(FlattenOp) {
  Shape shape = shapeOf(a.getX());
  int64_t start = a.getStart(), end = a.getEnd();
  if (failed(checkAxis(loc, start, shape.size())) || failed(checkAxis(loc, end, shape.size())))
    return failure();
  if (start > end)
    return emitOptionalError(loc, "expected a start up to the end, ", end, ", but got ", start);
  Shape merged(shape.begin(), shape.begin() + start);
  merged.push_back(elementCount(ArrayRef(shape).slice(start, end - start + 1)));
  merged.append(shape.begin() + end + 1, shape.end());
  inferred.push_back(tensorType(merged, elementOf(a.getX())));
  return success();
}

WEFT_INFER(SelectOp) {
  Shape shape = shapeOf(a.getX());
  int64_t axis = a.getAxis();
  if (failed(checkAxis(loc, axis, shape.size())))
    return failure();
  std::optional<DimExpr> index = DimExpr::parse(a.getIndex().str());
  if (!index || !index->isValid())
    return emitOptionalError(loc, "expected an expression of dims as index but got '", a.getIndex(), "'");
  // Symbolic indices are the importer's.
  std::optional<int64_t> i = index->constant(), size = shape[axis].constant();
  if (i && (*i < 0 || (size && *i >= *size)))
    return emitOptionalError(loc, "expected an index in 0..", (shape[axis] - DimExpr(1)).str(), " but got ", *i);
  shape.erase(shape.begin() + axis);
  inferred.push_back(tensorType(shape, elementOf(a.getX())));
  return success();
}

WEFT_INFER(SqueezeOp) {
  Shape shape = shapeOf(a.getX());
  int64_t axis = a.getAxis();
  if (failed(checkAxis(loc, axis, shape.size())))
    return failure();
  if (shape[axis].constant() != 1)
    return emitOptionalError(loc, "expected an axis of size 1 but got ", shape[axis].str());
  shape.erase(shape.begin() + axis);
  inferred.push_back(tensorType(shape, elementOf(a.getX())));
  return success();
}

WEFT_INFER(UnsqueezeOp) {
  Shape shape = shapeOf(a.getX());
  int64_t axis = a.getAxis();
  if (failed(checkAxis(loc, axis, shape.size() + 1)))
    return failure();
  shape.insert(shape.begin() + axis, DimExpr(1));
  inferred.push_back(tensorType(shape, elementOf(a.getX())));
  return success();
}

LogicalResult SplitOp::verify() {
  Shape x = shapeOf(getX());
  int64_t axis = getAxis();
  if (failed(checkAxis(getLoc(), axis, x.size())))
    return failure();
  DimExpr sum(0);
  for (Value part : getParts()) {
    Shape shape = shapeOf(part);
    bool fits = shape.size() == x.size() && elementOf(part) == elementOf(getX());
    for (size_t i = 0; fits && i < x.size(); ++i)
      fits = int64_t(i) == axis || shape[i] == x[i];
    if (!fits)
      return emitOpError() << "expected parts as " << getX().getType() << " outside axis " << axis << " but got " << part.getType();
    sum = sum + shape[axis];
  }
  if (!(sum.isValid() && sum == x[axis]))
    return emitOpError() << "expected parts of sizes that add up to " << x[axis].str() << " but got " << sum.str();
  return success();
}

LogicalResult PositionEmbeddingOp::verify() {
  Shape x = shapeOf(getX()), y = shapeOf(getY());
  if (failed(checkAxis(getLoc(), getAxis(), x.size())))
    return failure();
  std::optional<DimExpr> offset = DimExpr::parse(getOffset().str());
  if (!offset || !offset->isValid())
    return emitOpError() << "expected an expression as offset but got '" << getOffset() << "'";
  if (getTable() && (shapeOf(getTable()).size() != 2 || elementOf(getTable()) != elementOf(getY())))
    return emitOpError() << "expected a table of rank 2 of " << elementOf(getY()) << " but got " << getTable().getType();
  DimExpr features = getTable() ? shapeOf(getTable())[1] : y.empty() ? DimExpr(1) : y.back();
  Shape rows{x[getAxis()], features}, batch{x[0], x[getAxis()], features};
  if (y != batch && (getState() || y != rows))
    return emitOpError() << "expected a result of shape " << (getState() ? "" : text(rows) + " or ") << text(batch) << " but got " << text(y);
  return success();
}

// ---- folders

OpFoldResult FlattenOp::fold(FoldAdaptor) { return getStart() == getEnd() ? OpFoldResult(getX()) : OpFoldResult(); }

// A mask that is false everywhere keeps x.
OpFoldResult MaskedFillOp::fold(FoldAdaptor adaptor) {
  auto mask = dyn_cast_or_null<DenseElementsAttr>(adaptor.getMask());
  bool keepsAll = mask && mask.isSplat() && !mask.getSplatValue<bool>();
  return keepsAll && getX().getType() == getY().getType() ? OpFoldResult(getX()) : OpFoldResult();
}

// The one element of an axis that was added.
OpFoldResult SelectOp::fold(FoldAdaptor) {
  auto added = getX().getDefiningOp<UnsqueezeOp>();
  return added && added.getAxis() == getAxis() ? OpFoldResult(added.getX()) : OpFoldResult();
}

LogicalResult SplitOp::fold(FoldAdaptor, SmallVectorImpl<OpFoldResult> &results) {
  if (getParts().size() != 1)
    return failure();
  results.push_back(getX());
  return success();
}

OpFoldResult SqueezeOp::fold(FoldAdaptor) {
  auto added = getX().getDefiningOp<UnsqueezeOp>();
  return added && added.getAxis() == getAxis() ? OpFoldResult(added.getX()) : OpFoldResult();
}

OpFoldResult UnsqueezeOp::fold(FoldAdaptor) {
  auto dropped = getX().getDefiningOp<SqueezeOp>();
  return dropped && dropped.getAxis() == getAxis() ? OpFoldResult(dropped.getX()) : OpFoldResult();
}

} // namespace weft
