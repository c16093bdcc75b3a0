// Rules that result types alone don't state: attribute ranges, written result shapes, regions, declarations.
// Messages: "expected X but got Y".
#include "dialect/OpRules.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;

namespace weft {
using namespace rules;
namespace {

LogicalResult sameElement(Operation *op, Value x, Value y) {
  if (elementOf(x) != elementOf(y))
    return op->emitOpError() << "expected element type " << elementOf(x) << " but got " << elementOf(y);
  return success();
}

LogicalResult axisInRange(Operation *op, int64_t axis, Value x) {
  int64_t rank = cast<RankedTensorType>(x.getType()).getRank();
  if (axis < 0 || axis >= rank)
    return op->emitOpError() << "expected an axis in 0.." << rank - 1 << " but got " << axis;
  return success();
}

}  // namespace

LogicalResult DropoutOp::verify() {
  double p = getP().convertToDouble();
  if (!(p >= 0 && p < 1))
    return emitOpError() << "expected p in [0, 1) but got " << p;
  return verifyRound(*this, getSite(), getRound());
}

LogicalResult CastOp::verify() {
  if (shapeOf(getX()) != shapeOf(getY()))
    return emitOpError() << "expected shape " << text(shapeOf(getX())) << " but got " << text(shapeOf(getY()));
  return success();
}

LogicalResult ConstantOp::verify() {
  if (!isa<DenseElementsAttr>(getValue()))
    return emitOpError() << "expected dense values but got " << getValue();
  return success();
}

LogicalResult ExpandOp::verify() {
  if (failed(sameElement(*this, getX(), getY())))
    return failure();
  Shape x = shapeOf(getX()), y = shapeOf(getY());
  std::optional<Shape> joined = broadcast(x, y);
  if (x.size() > y.size() || !joined || *joined != y)
    return emitOpError() << "expected a shape that broadcasts to " << text(y) << " but got " << text(x);
  return success();
}

LogicalResult IotaOp::verify() {
  if (getY().getType().getRank() != 1 || elementOf(getY()).isInteger(1))
    return emitOpError() << "expected a numeric result of rank 1";
  return success();
}

LogicalResult ReshapeOp::verify() {
  if (failed(sameElement(*this, getX(), getY())))
    return failure();
  DimExpr x = elementCount(shapeOf(getX())), y = elementCount(shapeOf(getY()));
  if (!(x.isValid() && y.isValid() && x == y))
    return emitOpError() << "expected " << x.str() << " elements but got " << y.str();
  return success();
}

LogicalResult SliceOp::verify() {
  if (failed(sameElement(*this, getX(), getY())) || failed(axisInRange(*this, getAxis(), getX())))
    return failure();
  int64_t step = getStep();
  if (step < 1)
    return emitOpError() << "expected a step of at least 1 but got " << step;
  std::optional<DimExpr> start = DimExpr::parse(getStart().str());
  if (!start || !start->isValid())
    return emitOpError() << "expected an expression of dims as start but got '" << getStart() << "'";
  Shape x = shapeOf(getX()), y = shapeOf(getY());
  bool fits = x.size() == y.size();
  for (size_t i = 0; fits && i < x.size(); ++i)
    fits = i == getAxis() || x[i] == y[i];
  if (!fits)
    return emitOpError() << "expected shapes equal outside axis " << getAxis() << " but got " << text(x) << " and " << text(y);
  // The last element read, start + (n - 1) · step, lies inside when all are constants; symbolic bounds are the importer's.
  std::optional<int64_t> s = start->constant(), n = y[getAxis()].constant(), size = x[getAxis()].constant();
  if ((s && *s < 0) || (s && n && size && *n > 0 && *s + (*n - 1) * step >= *size))
    return emitOpError() << "expected elements inside 0.." << x[getAxis()].str() << " but got start " << getStart() << ", step "
                         << step << ", size " << y[getAxis()].str();
  return success();
}

#define WEFT_VERIFY_AXIS(Op) \
  LogicalResult Op::verify() { return axisInRange(*this, getAxis(), getX()); }
WEFT_VERIFY_AXIS(SoftmaxOp)
WEFT_VERIFY_AXIS(LogSoftmaxOp)
WEFT_VERIFY_AXIS(L2NormalizeOp)

LogicalResult LayerNormOp::verify() {
  if (failed(axisInRange(*this, getAxis(), getX())))
    return failure();
  DimExpr size = shapeOf(getX())[getAxis()];
  for (Value p : {Value(getWeight()), Value(getBias())})
    if (p && shapeOf(p) != Shape{size})
      return emitOpError() << "expected a parameter of shape " << text({size}) << " but got " << text(shapeOf(p));
  return success();
}

LogicalResult PositionsOp::verify() {
  std::optional<DimExpr> offset = DimExpr::parse(getOffset().str());
  if (!offset || !offset->isValid())
    return emitOpError() << "expected an expression as offset but got '" << getOffset() << "'";
  int64_t rank = getY().getType().getRank(), expected = getState() ? 2 : 1;
  if (rank != expected)
    return emitOpError() << "expected a result of rank " << expected << " but got rank " << rank;
  return success();
}

LogicalResult CausalMaskOp::verify() {
  if (getY().getType().getRank() != 2)
    return emitOpError() << "expected a result of rank 2 but got rank " << getY().getType().getRank();
  return success();
}

LogicalResult DimOp::verify() {
  int64_t min = getMin(), max = getMax(), hint = getHint();
  if (min < 0 || max < min || hint < min || hint > max || int64_t(getMultipleOf()) < 1)
    return emitOpError() << "expected 0 <= min <= hint <= max and multiple_of >= 1 but got " << min << ", " << hint << ", " << max
                         << ", " << int64_t(getMultipleOf());
  return success();
}

LogicalResult ParamOp::verify() {
  if (getTensors().empty())
    return emitOpError() << "expected at least one tensor";
  if (!cast<RankedTensorType>(getType()).hasStaticShape())
    return emitOpError() << "expected a static shape but got " << getType();
  return success();
}

LogicalResult StateOp::verify() {
  for (int64_t size : {int64_t(getLayers()), int64_t(getKvHeads()), int64_t(getHeadDim()), int64_t(getCapacity())})
    if (size < 1)
      return emitOpError() << "expected layers, kv_heads, head_dim and capacity of at least 1 but got " << size;
  if (!isa<FloatType>(getElementType()))
    return emitOpError() << "expected a float element type but got " << getElementType();
  return success();
}

LogicalResult ParameterOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto param = symbols.lookupNearestSymbolFrom<ParamOp>(*this, getParamAttr());
  if (!param)
    return emitOpError() << "expected a declared param but got '" << getParam() << "'";
  if (param.getType() != getY().getType())
    return emitOpError() << "expected type " << param.getType() << " but got " << getY().getType();
  llvm::StringSet<> names;
  for (StringRef rest = getParam().split('{').second; !rest.empty(); rest = rest.split('{').second)
    names.insert(rest.split('}').first);
  if (names.size() != getIndices().size())
    return emitOpError() << "expected one index for each name in braces in '" << getParam() << "' but got " << getIndices().size();
  return success();
}

void RepeatOp::build(OpBuilder &b, OperationState &state, int64_t count, StringRef index, ValueRange init, TypeRange stacked,
                     bool reverse) {
  state.addOperands(init);
  state.addAttribute("count", b.getI64IntegerAttr(count));
  state.addAttribute("index", b.getStringAttr(index));
  if (reverse)
    state.addAttribute("reverse", b.getUnitAttr());
  state.addTypes(init.getTypes());
  state.addTypes(stacked);
  Block &block = state.addRegion()->emplaceBlock();
  block.addArgument(b.getIndexType(), state.location);
  for (Value v : init)
    block.addArgument(v.getType(), v.getLoc());
}

/// Sums of many terms are f32 or f64, like the terms.
static LogicalResult sumsFit(Operation *op, Value terms, Value sums) {
  Type element = cast<RankedTensorType>(sums.getType()).getElementType();
  if (!element.isF32() && !element.isF64())
    return op->emitOpError() << "expected a result of f32 or f64 but got " << element;
  if (Type given = cast<RankedTensorType>(terms.getType()).getElementType(); given != element)
    return op->emitOpError() << "expected dy of " << element << " like the result but got " << given;
  return success();
}

LogicalResult EmbeddingGradOp::verify() {
  if (failed(sumsFit(*this, getDy(), getDtable())))
    return failure();
  Shape rows = shapeOf(getIds());
  Shape table = shapeOf(getDtable());
  if (table.size() != 2)
    return emitOpError() << "expected a table of rank 2 but got " << text(table);
  rows.push_back(table[1]);
  if (shapeOf(getDy()) != rows)
    return emitOpError() << "expected dy of shape " << text(rows) << " but got " << text(shapeOf(getDy()));
  if (getInit() && getInit().getType() != getDtable().getType())
    return emitOpError() << "expected init of type " << getDtable().getType() << " but got " << getInit().getType();
  return success();
}

LogicalResult ScatterAddOp::verify() {
  if (failed(sumsFit(*this, getDy(), getY())))
    return failure();
  Shape index = shapeOf(getIndex()), y = shapeOf(getY());
  if (failed(axisInRange(*this, getAxis(), getIndex())))
    return failure();
  if (shapeOf(getDy()) != index)
    return emitOpError() << "expected dy of index's shape " << text(index) << " but got " << text(shapeOf(getDy()));
  Shape other = y;
  if (y.size() == index.size())
    other[getAxis()] = index[getAxis()];
  if (other != index)
    return emitOpError() << "expected a result of shape " << text(index) << " but for axis " << int64_t(getAxis()) << " but got " << text(y);
  return success();
}

LogicalResult SizeOp::verify() {
  if (!shapeOf(getY()).empty())
    return emitOpError() << "expected a scalar but got " << getY().getType();
  if (!DimExpr::parse(getExpr().str()))
    return emitOpError() << "expected an expression of dims but got '" << getExpr() << "'";
  return success();
}

LogicalResult LossScaleOp::verify() {
  if (!shapeOf(getY()).empty() || !elementOf(getY()).isF32())
    return emitOpError() << "expected an f32 scalar but got " << getY().getType();
  return success();
}

LogicalResult RepeatOp::verify() {
  if (int64_t(getCount()) < 1)
    return emitOpError() << "expected a count of at least 1 but got " << int64_t(getCount());
  Block &block = getBody().front();
  if (block.getNumArguments() != getInit().size() + 1 || !block.getArgument(0).getType().isIndex())
    return emitOpError() << "expected block arguments (index, carried values)";
  if (getYielded().size() != getNumResults() || getNumResults() < getInit().size())
    return emitOpError() << "expected to yield " << getNumResults() << " values, " << getInit().size() << " of them carried, but got "
                         << getYielded().size();
  for (auto [init, argument, result] : llvm::zip(getInit(), getCarried(), getCarriedResults()))
    if (init.getType() != argument.getType() || init.getType() != result.getType())
      return emitOpError() << "expected carried type " << init.getType() << " but got " << argument.getType();
  if (!llvm::equal(getYielded().take_front(getInit().size()).getTypes(), getInit().getTypes()))
    return emitOpError() << "expected to yield the carried types";
  for (auto [yielded, result] : llvm::zip(getYielded().drop_front(getInit().size()), getStackedResults())) {
    Shape shape = shapeOf(yielded);
    shape.insert(shape.begin(), DimExpr(int64_t(getCount())));
    Type expected = tensorType(shape, cast<RankedTensorType>(yielded.getType()).getElementType());
    if (result.getType() != expected)
      return emitOpError() << "expected stacked type " << expected << " but got " << result.getType();
  }
  return success();
}

LogicalResult FusedOp::verify() {
  Block &block = getBody().front();
  if (!llvm::equal(block.getArgumentTypes(), getOperandTypes()))
    return emitOpError() << "expected block arguments of the operands' types";
  if (!llvm::equal(cast<YieldOp>(block.getTerminator()).getOperandTypes(), getResultTypes()))
    return emitOpError() << "expected to yield the results' types";
  for (Operation &op : block.without_terminator())
    if (!isPointwise(&op) && !isRowWise(&op) && !isMovement(&op) && !isa<EmbeddingOp, GatherOp, RopeOp, SinusoidOp>(op))
      return op.emitOpError() << "expected only pointwise, row and movement ops, gathers and positions in a fused region";
  return success();
}

LogicalResult ContractOp::verify() {
  Block &block = getEpilogue().front();
  Shape a = shapeOf(getA()), b = shapeOf(getB());
  if (a.size() < 2 || b.size() < 2)
    return emitOpError() << "expected operands of rank 2 or more but got " << text(a) << " and " << text(b);
  if (getTransposeA())
    std::swap(a[a.size() - 1], a[a.size() - 2]);
  if (getTransposeB())
    std::swap(b[b.size() - 1], b[b.size() - 2]);
  if (a.back() != b[b.size() - 2])
    return emitOpError() << "expected one inner size but got " << a.back().str() << " and " << b[b.size() - 2].str();
  std::optional<Shape> out = broadcast(Shape(a.begin(), a.end() - 2), Shape(b.begin(), b.end() - 2));
  if (!out)
    return emitOpError() << "expected leading axes that broadcast but got " << text(a) << " and " << text(b);
  out->push_back(a[a.size() - 2]);
  out->push_back(b.back());
  if (block.getNumArguments() != getExtras().size() + 1 || shapeOf(block.getArgument(0)) != *out)
    return emitOpError() << "expected block arguments (acc of shape " << text(*out) << ", extras)";
  for (auto [argument, extra] : llvm::zip(block.getArguments().drop_front(), getExtras())) {
    Shape shape = shapeOf(extra);
    if (argument.getType() != extra.getType())
      return emitOpError() << "expected block argument of type " << extra.getType() << " but got " << argument.getType();
    if (!shape.empty() && shape != Shape{out->back()} && shape != *out)
      return emitOpError() << "expected a scalar, " << text({out->back()}) << " or " << text(*out) << " as extra but got " << text(shape);
  }
  for (Operation &op : block.without_terminator())
    if (!isPointwise(&op) && !isa<ConstantOp>(op))
      return op.emitOpError() << "expected only pointwise ops in an epilogue";
  auto yield = cast<YieldOp>(block.getTerminator());
  if (!llvm::equal(yield.getOperandTypes(), getResultTypes()))
    return emitOpError() << "expected to yield the results' types";
  for (Value result : getResults())
    if (shapeOf(result) != *out)
      return emitOpError() << "expected results of shape " << text(*out) << " but got " << text(shapeOf(result));
  return success();
}

}  // namespace weft
