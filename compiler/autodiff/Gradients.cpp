// Sums of gradients. Contributions are kept apart until somebody reads them: slices of one value may tile it, and rows for
// a table are added into the sum of the others.
#include "autodiff/Gradients.h"

#include "dialect/Values.h"

#include "autodiff/GradientOpInterface.cpp.inc"

using namespace mlir;

namespace weft {

Value Gradients::zeros(Type type) {
  auto tensor = cast<RankedTensorType>(type);
  auto scalar = RankedTensorType::get({}, tensor.getElementType());
  Value zero = ConstantOp::create(b, loc, cast<TypedAttr>(b.getZeroAttr(scalar)));
  return tensor.getRank() ? Value(ExpandOp::create(b, loc, tensor, zero)) : zero;
}

Value Gradients::sum(ArrayRef<Value> values) {
  // A table's rows are added into the sum of everything else, in its memory.
  SmallVector<Value> rest;
  SmallVector<EmbeddingGradOp> rows;
  for (Value value : values)
    if (auto grad = value.getDefiningOp<EmbeddingGradOp>(); grad && !grad.getInit() && value.use_empty())
      rows.push_back(grad);
    else
      rest.push_back(value);
  Value total;
  for (Value value : rest)
    total = total ? AddOp::create(b, loc, total, value).getResult() : value;
  for (EmbeddingGradOp grad : rows) {
    if (!total) {
      total = grad.getDtable();
      continue;
    }
    total = EmbeddingGradOp::create(b, grad.getLoc(), grad.getType(), grad.getIds(), grad.getDy(), total, grad.getPaddingIdxAttr());
    grad.erase();
  }
  return total;
}

Value Gradients::castTo(Value gradient, Type element) {
  RankedTensorType type = tensorType(shapeOf(gradient), element);
  return gradient.getType() == type ? gradient : Value(CastOp::create(b, loc, type, gradient));
}

Value Gradients::fit(Value gradient, const Shape &to) {
  Shape from = shapeOf(gradient);
  if (from == to)
    return gradient;
  size_t lead = from.size() > to.size() ? from.size() - to.size() : 0;
  SmallVector<int64_t> axes;
  for (size_t i = 0; i < from.size(); ++i)
    if (i < lead || (to[i - lead].constant() == 1 && from[i].constant() != 1))
      axes.push_back(int64_t(i));
  if (!axes.empty())
    gradient = ReduceSumOp::create(b, loc, gradient, axes, /*keepdim=*/lead == 0);
  if (shapeOf(gradient) == to)
    return gradient;
  RankedTensorType target = tensorType(to, elementOf(gradient));
  if (elementCount(shapeOf(gradient)) == elementCount(to))
    return ReshapeOp::create(b, loc, target, gradient);
  return ExpandOp::create(b, loc, target, gradient);
}

void Gradients::add(Value operand, Value gradient) {
  if (operand && gradient && needs(operand))
    parts[operand].push_back({fit(gradient, shapeOf(operand)), -1, {}});
}

void Gradients::addSlice(Value operand, int64_t axis, const DimExpr &start, Value gradient) {
  if (needs(operand))
    parts[operand].push_back({castTo(gradient, elementOf(operand)), axis, start});
}

Value Gradients::pad(const Part &part, Type type) {
  Shape whole = shapeOf(type), shape = shapeOf(part.gradient);
  Type element = cast<RankedTensorType>(type).getElementType();
  SmallVector<Value> pieces;
  auto gap = [&](const DimExpr &size) {
    if (size == DimExpr(0))
      return;
    Shape sizes = whole;
    sizes[part.axis] = size;
    pieces.push_back(zeros(tensorType(sizes, element)));
  };
  gap(part.start);
  pieces.push_back(part.gradient);
  gap(whole[part.axis] - part.start - shape[part.axis]);
  return pieces.size() == 1 ? pieces.front() : ConcatOp::create(b, loc, pieces, part.axis).getResult();
}

Value Gradients::tile(ArrayRef<Part> slices, Type type) {
  if (slices.size() < 2)
    return {};
  int64_t axis = slices.front().axis;
  DimExpr at(0);
  SmallVector<Value> pieces;
  while (at != shapeOf(type)[axis]) {
    auto next = llvm::find_if(slices, [&](const Part &part) { return part.axis == axis && part.start == at; });
    if (next == slices.end() || shapeOf(next->gradient)[axis] == DimExpr(0))
      return {};
    pieces.push_back(next->gradient);
    at = at + shapeOf(next->gradient)[axis];
    if (pieces.size() > slices.size())
      return {};
  }
  return pieces.size() == slices.size() ? ConcatOp::create(b, loc, pieces, axis).getResult() : Value();
}

Value Gradients::unrounded(Value result) {
  auto found = parts.find(result);
  if (found == parts.end())
    return {};
  SmallVector<Value> values;
  SmallVector<Part> slices;
  for (const Part &part : found->second)
    if (part.axis < 0)
      values.push_back(part.gradient);
    else
      slices.push_back(part);
  if (Value tiled = tile(slices, result.getType()))
    values.push_back(tiled);
  else
    for (const Part &part : slices)
      values.push_back(pad(part, result.getType()));
  Type widest = elementOf(values.front());
  for (Value value : values)
    if (elementBytes(elementOf(value)) > elementBytes(widest))
      widest = elementOf(value);
  for (Value &value : values)
    value = castTo(value, widest);
  Value total = sum(values);
  parts[result] = {{total, -1, {}}};
  return total;
}

Value Gradients::of(Value result) {
  Value total = unrounded(result);
  return total ? castTo(total, elementOf(result)) : total;
}

void Gradients::addParameter(const ParameterKey &key, Value gradient) {
  for (auto &[known, values] : parameters)
    if (known == key)
      return values.push_back(gradient);
  parameters.push_back({key, {gradient}});
}

} // namespace weft
