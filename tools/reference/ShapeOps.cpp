// Ops that move elements: every result element is an operand's element at another place, or a constant.
// Sizes are computed here from operands and attributes, not taken from the declared types.
#include "Ops.h"

#include <algorithm>

namespace weft::reference {
namespace {

// The same elements, row-major; one size may be -1
Results reshape(Call &c) {
  const Tensor &x = c.operand(0);
  Shape shape = c.integers("shape");
  auto open = std::find(shape.begin(), shape.end(), -1);
  if (open != shape.end()) {
    *open = 1;
    std::optional<int64_t> rest = elementCount(shape);
    if (!rest || *rest == 0 || x.count() % *rest)
      fail("a value of shape ", shapeText(x.shape), " cannot be reshaped to ", shapeText(c.integers("shape")));
    *open = x.count() / *rest;
  }
  return {withShape(x, shape)};
}

// y[index] = x[index by operand axis], axis i of y being axis perm[i] of x
Results transpose(Call &c) {
  const Tensor &x = c.operand(0);
  std::vector<int64_t> perm = c.integers("perm");
  if (perm.size() != x.shape.size())
    fail("perm has ", perm.size(), " axes, the operand ", x.shape.size());
  Shape shape;
  for (int64_t &axis : perm) {
    axis += axis < 0 ? x.rank() : 0;
    shape.push_back(x.shape.at(axis));
  }
  Tensor y = make(x.dtype, shape);
  Shape from(shape.size());
  int64_t at = 0;
  forEach(shape, [&](const Shape &index) {
    for (size_t i = 0; i < perm.size(); ++i)
      from[perm[i]] = index[i];
    copyElement(y, at++, x, place(x.shape, from));
  });
  return {y};
}

// Elements start, start + step … of an axis, `size` of them
Tensor part(const Tensor &x, int64_t axis, int64_t start, int64_t size, int64_t step) {
  Shape shape = x.shape;
  shape[axis] = size;
  Tensor y = make(x.dtype, shape);
  AxisView from = axisView(x.shape, axis), to = axisView(shape, axis);
  for (int64_t o = 0; o < to.outer; ++o)
    for (int64_t i = 0; i < size; ++i)
      for (int64_t k = 0; k < to.inner; ++k)
        copyElement(y, to.at(o, i, k), x, from.at(o, start + i * step, k));
  return y;
}

Results split(Call &c) {
  const Tensor &x = c.operand(0);
  int64_t axis = c.axis(x.rank()), start = 0;
  Results parts;
  for (int64_t size : c.integers("sizes")) {
    if (size < 0 || start + size > x.shape[axis])
      fail("sizes do not add up to ", x.shape[axis]);
    parts.push_back(part(x, axis, start, size, 1));
    start += size;
  }
  if (start != x.shape[axis])
    fail("sizes add up to ", start, ", but the axis has ", x.shape[axis]);
  return parts;
}

Results slice(Call &c) {
  const Tensor &x = c.operand(0);
  int64_t axis = c.axis(x.rank()), n = x.shape[axis], start = c.integer("start", 0), end = c.integer("end", n), step = c.integer("step", 1);
  start += start < 0 ? n : 0;
  end += end < 0 ? n : 0;
  if (step < 1 || start < 0 || end < start || end > n)
    fail("slice ", start, ":", end, ":", step, " of an axis of ", n);
  return {part(x, axis, start, (end - start + step - 1) / step, step)};
}

Results select(Call &c) {
  const Tensor &x = c.operand(0);
  int64_t axis = c.axis(x.rank()), n = x.shape[axis], index = c.integer("index");
  index += index < 0 ? n : 0;
  if (index < 0 || index >= n)
    fail("index ", c.integer("index"), " of an axis of ", n);
  Shape shape = x.shape;
  shape.erase(shape.begin() + axis);
  return {withShape(part(x, axis, index, 1, 1), shape)};
}

// Operands one behind the other along the axis
Results concat(Call &c) {
  const Tensor &first = c.operand(0);
  int64_t axis = c.axis(first.rank());
  Shape shape = first.shape;
  shape[axis] = 0;
  for (size_t n = 0; n < c.in.size(); ++n) {
    const Tensor &x = c.operand(n);
    needSameType(first, x);
    Shape others = x.shape;
    if (others.size() == first.shape.size())
      others[axis] = first.shape[axis];
    if (others != first.shape)
      fail("shapes ", shapeText(first.shape), " and ", shapeText(x.shape), " do not fit together");
    shape[axis] += x.shape[axis];
  }
  Tensor y = make(first.dtype, shape);
  AxisView to = axisView(shape, axis);
  int64_t start = 0;
  for (size_t n = 0; n < c.in.size(); ++n) {
    const Tensor &x = c.operand(n);
    AxisView from = axisView(x.shape, axis);
    for (int64_t o = 0; o < from.outer; ++o)
      for (int64_t i = 0; i < from.size; ++i)
        for (int64_t k = 0; k < from.inner; ++k)
          copyElement(y, to.at(o, start + i, k), x, from.at(o, i, k));
    start += from.size;
  }
  return {y};
}

Results squeeze(Call &c) {
  const Tensor &x = c.operand(0);
  int64_t axis = c.axis(x.rank());
  if (x.shape[axis] != 1)
    fail("expected an axis of size 1 but got ", x.shape[axis]);
  Shape shape = x.shape;
  shape.erase(shape.begin() + axis);
  return {withShape(x, shape)};
}

Results unsqueeze(Call &c) {
  const Tensor &x = c.operand(0);
  Shape shape = x.shape;
  shape.insert(shape.begin() + c.axis(x.rank() + 1), 1);
  return {withShape(x, shape)};
}

Results expand(Call &c) {
  const Tensor &x = c.operand(0);
  Shape shape = c.integers("shape");
  if (broadcast(x.shape, shape) != shape)
    fail("shape ", shapeText(x.shape), " does not expand to ", shapeText(shape));
  Tensor y = make(x.dtype, shape);
  int64_t at = 0;
  forEach(shape, [&](const Shape &index) { copyElement(y, at++, x, place(x.shape, index)); });
  return {y};
}

// Axes start to end become one
Results flatten(Call &c) {
  const Tensor &x = c.operand(0);
  int64_t start = c.integer("start", 0), end = c.integer("end", -1);
  start += start < 0 ? x.rank() : 0;
  end += end < 0 ? x.rank() : 0;
  if (start < 0 || end < start || end >= x.rank())
    fail("axes ", start, " to ", end, " of a value of rank ", x.rank());
  Shape shape(x.shape.begin(), x.shape.begin() + start);
  int64_t merged = 1;
  for (int64_t i = start; i <= end; ++i)
    merged *= x.shape[i];
  shape.push_back(merged);
  shape.insert(shape.end(), x.shape.begin() + end + 1, x.shape.end());
  return {withShape(x, shape)};
}

// y[…, i, …] = x[…, index[…, i, …], …]; the other axes broadcast
Results gather(Call &c) {
  const Tensor &x = c.operand(0), &index = needIndex(c.operand(1));
  int64_t axis = c.axis(x.rank());
  if (index.rank() != x.rank())
    fail("expected an index of rank ", x.rank(), " but got ", shapeText(index.shape));
  Shape xs = x.shape, is = index.shape;
  xs[axis] = is[axis] = 1;
  Shape shape = broadcast(xs, is);
  shape[axis] = index.shape[axis];
  Tensor y = make(x.dtype, shape);
  int64_t at = 0;
  forEach(shape, [&](const Shape &to) {
    // The index's own axis is indexed even when it has size 1, and so is x's.
    int64_t chosen = index.integers[place(index.shape, to)];
    if (chosen < 0 || chosen >= x.shape[axis])
      fail("index ", chosen, " is outside 0..", x.shape[axis] - 1);
    Shape from = to;
    from[axis] = chosen;
    copyElement(y, at++, x, place(x.shape, from));
  });
  return {y};
}

Results constant(Call &c) {
  Tensor y = make(c.dtype("dtype", DType::f32), c.given("shape") ? c.integers("shape") : Shape{});
  std::vector<double> values = c.given("values") ? c.reals("values") : std::vector<double>(y.count(), c.real("value"));
  if (static_cast<int64_t>(values.size()) != y.count())
    fail("expected ", y.count(), " values but got ", values.size());
  for (int64_t i = 0; i < y.count(); ++i)
    if (y.real())
      y.reals[i] = roundTo(y.dtype, values[i]);
    else
      y.integers[i] = wrapTo(y.dtype, static_cast<int64_t>(values[i]));
  return {y};
}

// y[i] = i
Results iota(Call &c) {
  Tensor y = make(c.dtype("dtype", DType::i32), {c.integer("size")});
  for (int64_t i = 0; i < y.count(); ++i)
    if (y.real())
      y.reals[i] = roundTo(y.dtype, static_cast<double>(i));
    else
      y.integers[i] = wrapTo(y.dtype, i);
  return {y};
}

// Moves are the same in every arithmetic.
OpForms all(OpFn fn) { return {fn, fn, fn, fn}; }

}  // namespace

void addShapeOps(OpTable &table) {
  table["reshape"] = all(reshape);
  table["transpose"] = all(transpose);
  table["split"] = all(split);
  table["slice"] = all(slice);
  table["select"] = all(select);
  table["concat"] = all(concat);
  table["squeeze"] = all(squeeze);
  table["unsqueeze"] = all(unsqueeze);
  table["expand"] = all(expand);
  table["flatten"] = all(flatten);
  table["gather"] = all(gather);
  table["constant"] = all(constant);
  table["iota"] = all(iota);
}

}  // namespace weft::reference
