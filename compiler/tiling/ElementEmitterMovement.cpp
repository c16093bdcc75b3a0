// Movement ops and gathers as index arithmetic.
// Indices read from memory are checked: one out of range is recorded in the fault and replaced by 0.
#include "tiling/ElementEmitter.h"

#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;

namespace weft {

static Type storageOf(Value v) { return cast<RankedTensorType>(v.getType()).getElementType(); }

static Shape rowMajor(const Shape &shape) {
  Shape strides(shape.size());
  DimExpr stride(1);
  for (size_t i = shape.size(); i-- > 0;) {
    strides[i] = stride;
    stride = stride * shape[i];
  }
  return strides;
}

Value ElementEmitter::constantAt(ConstantOp op, const Point &point, Value mask) {
  auto values = cast<DenseElementsAttr>(op.getValue());
  Type storage = storageOf(op.getY());
  if (std::optional<double> splat = scalarConstant(op.getY())) {
    if (auto integers = dyn_cast<DenseIntElementsAttr>(values)) {
      APInt bits = integers.getSplatValue<APInt>();
      return arith::ConstantOp::create(k.b, k.loc, k.b.getIntegerAttr(computeType(storage), bits));
    }
    return literal(k, computeType(storage), *splat);
  }
  // Stored in the compute type; bools as bytes.
  Type compute = computeType(storage), stored = compute.isInteger(1) ? k.b.getI8Type() : compute;
  SmallVector<Attribute> elements;
  if (auto floats = dyn_cast<DenseFPElementsAttr>(values)) {
    for (const APFloat &value : floats.getValues<APFloat>())
      elements.push_back(k.b.getFloatAttr(stored, value.convertToDouble()));
  } else {
    for (const APInt &value : cast<DenseIntElementsAttr>(values).getValues<APInt>())
      elements.push_back(k.b.getIntegerAttr(stored, value.zextOrTrunc(stored.getIntOrFloatBitWidth())));
  }
  Value table = cached(keyOf(op.getOperation(), 1, {}, nullptr), {}, [&] {
    return globalArray(DenseElementsAttr::get(RankedTensorType::get({int64_t(elements.size())}, stored), elements));
  });
  return load({table, rowMajor(shapeOf(op.getY())), compute.isInteger(1) ? compute : stored}, point, mask);
}

Value ElementEmitter::sliceAt(SliceOp op, const Point &point, Value mask) {
  Point from = point;
  int64_t axis = op.getAxis();
  Index start = at(size(*DimExpr::parse(op.getStart().str())));
  if (auto c = getConstantIntValue(start.base); c && *c)
    start.align = *c & -*c;
  from[axis] = plus(start, times(point[axis], DimExpr(int64_t(op.getStep()))));
  return value(op.getX(), from, mask);
}

/// Along the lane axis every part is computed for the lanes that lie in it; else a branch picks the part.
Value ElementEmitter::concatAt(ConcatOp op, const Point &point, Value mask) {
  int64_t axis = op.getAxis();
  const Index &index = point[axis];
  Type element = computeType(storageOf(op.getY()));
  SmallVector<std::pair<Value, DimExpr>> parts; // operand, start
  DimExpr start(0);
  for (Value x : op.getXs()) {
    DimExpr length = shapeOf(x)[axis];
    if (length.constant() != 0)
      parts.push_back({x, start});
    start = start + length;
  }
  if (parts.empty())
    return literal(k, element, 0);
  auto pointIn = [&](size_t part) {
    Point from = point;
    from[axis] = plus(index, at(k.sub(constant(0), size(parts[part].second))));
    auto offset = parts[part].second.constant();
    if (offset && *offset % lanes() == 0 && index.align % lanes() == 0)
      from[axis].align = lanes();
    return from;
  };
  if (index.uniform()) {
    Type type = isUniform(point) ? element : Type(k.vec(element));
    std::function<Value(size_t)> pick = [&](size_t part) -> Value {
      if (part + 1 == parts.size())
        return value(parts[part].first, pointIn(part), mask);
      Value inside = k.less(index.base, size(parts[part + 1].second));
      return conditional(inside, type, [&] { return value(parts[part].first, pointIn(part), mask); }, [&] { return pick(part + 1); });
    };
    return pick(0);
  }
  Value lane = laneVector(index), result;
  for (size_t part = 0; part < parts.size(); ++part) {
    Value low = k.splat(size(parts[part].second)), high = k.splat(size(parts[part].second + shapeOf(parts[part].first)[axis]));
    Value inside = arith::AndIOp::create(k.b, k.loc, arith::CmpIOp::create(k.b, k.loc, arith::CmpIPredicate::sge, lane, low),
                                         arith::CmpIOp::create(k.b, k.loc, arith::CmpIPredicate::slt, lane, high));
    Value on = mask ? Value(arith::AndIOp::create(k.b, k.loc, inside, mask)) : inside;
    Value x = asVector(k, value(parts[part].first, pointIn(part), on));
    result = result ? Value(arith::SelectOp::create(k.b, k.loc, inside, x, result)) : x;
  }
  return result;
}

/// Axes are matched in groups of equal element count, from the left; inside a group the index is made linear and split
/// again. Unit axes and merged axes cost nothing.
Value ElementEmitter::reshapeAt(ReshapeOp op, const Point &point, Value mask) {
  Shape from = shapeOf(op.getX()), to = shapeOf(op.getY());
  if (auto argument = dyn_cast<BlockArgument>(op.getX())) {
    Memory memory = memoryOf(argument);
    if (isRowMajor(from, memory.strides))
      return load({memory.pointer, rowMajor(to), memory.element}, point, mask);
  }
  Point source(from.size(), at(int64_t(0)));
  size_t i = 0, j = 0;
  while (i < from.size() || j < to.size()) {
    size_t firstFrom = i, firstTo = j;
    DimExpr have(1), want(1);
    do {
      // The smaller constant side grows; with names on both sides, grow until the products meet.
      bool growFrom = i < from.size() && (j >= to.size() || i - firstFrom <= j - firstTo);
      auto a = have.constant(), b = want.constant();
      if (a && b && i < from.size() && j < to.size() && *a != *b)
        growFrom = *a < *b;
      else if (i < from.size() && j < to.size() && i > firstFrom && j > firstTo)
        growFrom = want.divide(have).has_value();
      if (growFrom)
        have = have * from[i++];
      else
        want = want * to[j++];
    } while ((i < from.size() || j < to.size()) && !(i > firstFrom && j > firstTo && have == want));
    if (j == firstTo)
      continue; // only unit axes are left
    Index linear = point[firstTo];
    for (size_t axis = firstTo + 1; axis < j; ++axis)
      linear = plus(times(linear, to[axis]), point[axis]);
    for (size_t axis = i; axis-- > firstFrom + 1;) {
      if (from[axis].constant() == 1)
        continue;
      bool outermost = true;
      for (size_t before = firstFrom; before < axis; ++before)
        outermost = outermost && from[before].constant() == 1;
      if (outermost) {
        source[axis] = linear;
        linear = at(int64_t(0));
        break;
      }
      auto [quotient, rest] = split(linear, from[axis]);
      source[axis] = rest;
      linear = quotient;
    }
    if (i > firstFrom && from[firstFrom].constant() != 1)
      source[firstFrom] = linear;
  }
  return value(op.getX(), source, mask);
}

Value ElementEmitter::positionsAt(PositionsOp op, const Point &point, Value mask) {
  Index position = plus(at(size(*DimExpr::parse(op.getOffset().str()))), point.back());
  if (op.getState()) {
    Value lengths = k.ptrSlot(spec.lengths(*op.getState()));
    Value length = load({lengths, {DimExpr(1)}, k.i64Type()}, {point[0]}, mask);
    position = plus(isa<VectorType>(length.getType()) ? Index{nullptr, 0, length, 1} : at(length), position);
  }
  return valueOfIndex(position, storageOf(op.getY()));
}

/// The element of `indices` at `point` as an index into an axis of `n` elements.
Index ElementEmitter::checkedIndex(Operation *op, Value indices, const Point &point, const DimExpr &n, Value mask) {
  if (isUniform(point))
    mask = nullptr;
  Value checked = cached(keyOf(op, 2, point, mask), needsOf(point, mask), [&] {
    Value index = value(indices, point, mask);
    bool vector = isa<VectorType>(index.getType());
    if (!storageOf(indices).isInteger(64))
      index = arith::ExtSIOp::create(k.b, k.loc, vector ? Type(k.vec(k.i64Type())) : k.i64Type(), index);
    Value limit = size(n);
    Value bad = arith::CmpIOp::create(k.b, k.loc, arith::CmpIPredicate::uge, index, vector ? k.splat(limit) : limit);
    if (vector && mask)
      bad = arith::AndIOp::create(k.b, k.loc, bad, mask);
    Value any = vector ? Value(vector::ReductionOp::create(k.b, k.loc, vector::CombiningKind::OR, bad)) : bad;
    k.ifThen(any, [&] {
      Value wrong = index;
      if (vector) {
        Value lowest = arith::ConstantOp::create(k.b, k.loc, DenseElementsAttr::get(k.vec(k.i64Type()), INT64_MIN));
        wrong = vector::ReductionOp::create(k.b, k.loc, vector::CombiningKind::MAXSI,
                                            arith::SelectOp::create(k.b, k.loc, bad, index, lowest));
      }
      Value fault = k.ptrSlot(spec.fault);
      int site = spec.site ? spec.site(op) : 0;
      Value record[] = {k.i64(site + 1), wrong, k.i64(0), k.sub(limit, k.i64(1))};
      for (int field : {1, 2, 3, 0})
        k.store(record[field], k.at(fault, k.i64(field), k.i64Type()));
    });
    Value first = literal(k, index.getType(), 0);
    return Value(arith::SelectOp::create(k.b, k.loc, bad, first, index));
  });
  return isa<VectorType>(checked.getType()) ? Index{nullptr, 0, checked, 1} : at(checked);
}

Value ElementEmitter::embeddingAt(EmbeddingOp op, const Point &point, Value mask) {
  Point ids(point.begin(), point.end() - 1);
  Index row = checkedIndex(op, op.getIds(), ids, shapeOf(op.getTable())[0], mask);
  return value(op.getTable(), {row, point.back()}, mask);
}

Value ElementEmitter::gatherAt(GatherOp op, const Point &point, Value mask) {
  Shape result = shapeOf(op.getY());
  int64_t axis = op.getAxis();
  DimExpr n = shapeOf(op.getX())[axis];
  auto take = [&]() -> Value {
    Index index = checkedIndex(op, op.getIndex(), broadcast(shapeOf(op.getIndex()), result, point), n, mask);
    Point from = broadcast(shapeOf(op.getX()), result, point);
    from[axis] = index;
    return value(op.getX(), from, mask);
  };
  // Nothing can be read from an empty axis, not even in place of a wrong index.
  std::optional<int64_t> c = n.constant();
  if (c && *c > 0)
    return take();
  Type element = computeType(storageOf(op.getY())), type = isUniform(point) ? element : Type(k.vec(element));
  Value some = k.less(constant(0), size(n));
  if (auto known = getConstantIntValue(some); known)
    some = hoisted({}, [&] { return Value(arith::ConstantIntOp::create(k.b, k.loc, *known != 0, 1)); });
  return conditional(some, type, take, [&] {
    checkedIndex(op, op.getIndex(), broadcast(shapeOf(op.getIndex()), result, point), n, mask);
    return literal(k, type, 0);
  });
}

} // namespace weft
