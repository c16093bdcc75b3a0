// Shape rules of the ops that move elements. Numbers from the end are resolved here, and what must hold for every size
// of the dims (a slice inside its axis, a reshape that keeps the count) is proved from their ranges or refused.
#include "import/ShapeRules.h"

#include "import/Diagnostics.h"
#include "import/Expression.h"

#include <algorithm>
#include <cmath>

namespace weft {
namespace {

/// Every size is at least 1 as a number, and not negative as an expression.
bool checkSizes(OpCall &c, const char *name, const Shape &sizes) {
  for (const DimExpr &size : sizes) {
    auto fixed = size.constant();
    auto low = c.environment.lowest(size);
    if (fixed ? *fixed < 1 : !low || *low < 0)
      return c.failAt(name, "expected sizes of at least 1 but got " + size.str());
  }
  return true;
}

/// A place on an axis of `size`: negative ones from the end.
DimExpr fromEnd(OpCall &c, const DimExpr &place, const DimExpr &size) {
  auto high = c.environment.highest(place);
  return high && *high < 0 ? size + place : place;
}

bool provablyAtMost(OpCall &c, const DimExpr &a, const DimExpr &b) {
  auto low = c.environment.lowest(b - a);
  return low && *low >= 0;
}

} // namespace

bool shapeReshape(OpCall &c) {
  Shape shape = c.sizes("shape");
  auto open = std::find(shape.begin(), shape.end(), DimExpr(-1));
  if (open != shape.end() && std::find(open + 1, shape.end(), DimExpr(-1)) != shape.end())
    return c.failAt("shape", "only one entry may be -1");
  DimExpr total = elementCount(c.shape(0));
  if (open != shape.end()) {
    *open = 1;
    DimExpr rest = elementCount(shape);
    if (!checkSizes(c, "shape", shape))
      return false;
    auto size = total.divide(rest);
    if (!size)
      return c.failAt("shape",
                      shapeText(c.shape(0)) + " with " + total.str() + " elements is not divisible by " + rest.str());
    if (!c.environment.isMultiple(*size, 1))
      return c.failAt("shape",
                      shapeText(c.shape(0)) + " with " + total.str() + " elements is not always divisible by " +
                          rest.str(),
                      "give the dim a multiple_of");
    *open = *size;
  }
  if (!checkSizes(c, "shape", shape))
    return false;
  if (elementCount(shape) != total)
    return c.failAt("shape", shapeText(c.shape(0)) + " has " + total.str() + " elements, but " + shapeText(shape) +
                                 " has " + elementCount(shape).str());
  c.attrs["shape"] = shape;
  return c.give(c.type(0), shape);
}

bool shapeTranspose(OpCall &c) {
  std::vector<int64_t> perm = c.integers("perm");
  int64_t rank = c.rank(0);
  if (static_cast<int64_t>(perm.size()) != rank)
    return c.failAt("perm", "expected " + std::to_string(rank) + " axes for " + shapeText(c.shape(0)) + " but got " +
                                std::to_string(perm.size()),
                    "perm names every axis of the operand once: [0, 2, 1] swaps the last two of three");
  Shape shape;
  std::vector<bool> seen(rank);
  for (int64_t &axis : perm) {
    if (axis < -rank || axis >= rank)
      return c.failAt("perm", "axis " + std::to_string(axis) + " of a value of shape " + shapeText(c.shape(0)),
                      "axes are " + std::to_string(-rank) + ".." + std::to_string(rank - 1));
    axis += axis < 0 ? rank : 0;
    if (seen[axis])
      return c.failAt("perm", "axis " + std::to_string(axis) + " is named twice");
    seen[axis] = true;
    shape.push_back(c.shape(0)[axis]);
  }
  c.attrs["perm"] = perm;
  return c.give(c.type(0), shape);
}

bool shapeSplit(OpCall &c) {
  size_t axis = c.integer("axis");
  const Shape &sizes = c.sizes("sizes");
  if (sizes.empty())
    return c.failAt("sizes", "expected one size or more");
  DimExpr total;
  for (const DimExpr &size : sizes)
    total = total + size;
  if (!checkSizes(c, "sizes", sizes))
    return false;
  if (total != c.shape(0)[axis])
    return c.failAt("sizes", "sizes add up to " + total.str() + ", but axis " + std::to_string(axis) + " of " +
                                 shapeText(c.shape(0)) + " is " + c.shape(0)[axis].str());
  for (const DimExpr &size : sizes) {
    Shape part = c.shape(0);
    part[axis] = size;
    c.give(c.type(0), part);
  }
  return true;
}

bool shapeConcat(OpCall &c) {
  size_t axis = c.integer("axis");
  if (!c.needSameType())
    return false;
  Shape shape = c.shape(0);
  for (size_t i = 1; i < c.operands.size(); ++i) {
    const Shape &next = c.shape(i);
    if (next.size() != shape.size())
      return c.failOperand(i, "expected rank " + std::to_string(shape.size()) + " but got " + shapeText(next));
    for (size_t j = 0; j < shape.size(); ++j)
      if (j != axis && next[j] != shape[j])
        return c.failOperand(i, "axis " + std::to_string(j) + " is " + shape[j].str() + " and " + next[j].str());
    shape[axis] = shape[axis] + next[axis];
  }
  return c.give(c.type(0), shape);
}

bool shapeSlice(OpCall &c) {
  size_t axis = c.integer("axis");
  int64_t step = c.integer("step");
  const DimExpr size = c.shape(0)[axis];
  DimExpr start = fromEnd(c, std::get<DimExpr>(c.attrs["start"]), size);
  DimExpr end = c.given("end") ? fromEnd(c, std::get<DimExpr>(c.attrs["end"]), size) : size;
  DimExpr length = end - start;
  auto fixed = length.constant();
  std::string range = start.str() + ":" + end.str();
  auto mayBe = [&](const DimExpr &place) {
    auto high = c.environment.highest(place);
    return place.constant() || !high ? std::string() : ", which may be " + std::to_string(*high) + ",";
  };
  if (!provablyAtMost(c, 0, start) || !provablyAtMost(c, end, size))
    return c.failAt(c.given("end") ? "end" : "start", "slice " + range + mayBe(end) + " is not inside axis " +
                                                          std::to_string(axis) + " of " + shapeText(c.shape(0)),
                    size.constant() || !c.environment.lowest(size)
                        ? ""
                        : size.str() + " may be " + std::to_string(*c.environment.lowest(size)));
  if (fixed ? *fixed < 1 : !provablyAtMost(c, start, end))
    return c.failAt("start", "slice " + range + " of axis " + std::to_string(axis) + " is empty or runs backwards");
  if (fixed)
    length = (*fixed + step - 1) / step;
  else if (step > 1 && c.environment.isMultiple(length, step))
    length = *length.divide(step);
  else if (step > 1)
    return c.failAt("step", length.str() + " is not always a multiple of step " + std::to_string(step),
                    "give the dim a multiple_of");
  c.attrs["start"] = start;
  c.attrs["end"] = end;
  Shape shape = c.shape(0);
  shape[axis] = length;
  return c.give(c.type(0), shape);
}

bool shapeSelect(OpCall &c) {
  size_t axis = c.integer("axis");
  int64_t index = c.integer("index");
  const DimExpr &size = c.shape(0)[axis];
  auto low = c.environment.lowest(size);
  if (!low || (index >= 0 ? index >= *low : index < -*low))
    return c.failAt("index", "index " + std::to_string(index) + " of an axis of " + size.str() +
                                 (size.constant() ? "" : ", which may be " + std::to_string(low.value_or(0))));
  if (auto fixed = size.constant(); fixed && index < 0)
    c.attrs["index"] = index + *fixed;
  Shape shape = c.shape(0);
  shape.erase(shape.begin() + axis);
  return c.give(c.type(0), shape);
}

bool shapeSqueeze(OpCall &c) {
  size_t axis = c.integer("axis");
  if (c.shape(0)[axis] != DimExpr(1))
    return c.failAt("axis", "axis " + std::to_string(axis) + " of " + shapeText(c.shape(0)) + " is " +
                                c.shape(0)[axis].str() + ", not 1");
  Shape shape = c.shape(0);
  shape.erase(shape.begin() + axis);
  return c.give(c.type(0), shape);
}

bool shapeUnsqueeze(OpCall &c) {
  Shape shape = c.shape(0);
  shape.insert(shape.begin() + c.integer("axis"), 1);
  return c.give(c.type(0), shape);
}

bool shapeExpand(OpCall &c) {
  const Shape &shape = c.sizes("shape");
  if (!checkSizes(c, "shape", shape))
    return false;
  auto joined = broadcastShapes(c.shape(0), shape);
  if (!joined || *joined != shape)
    return c.failAt("shape", shapeText(c.shape(0)) + " does not expand to " + shapeText(shape),
                    "only axes of size 1 can be repeated");
  return c.give(c.type(0), shape);
}

bool shapeFlatten(OpCall &c) {
  size_t start = c.integer("start"), end = c.integer("end");
  if (start > end)
    return c.failAt("start", "axis " + std::to_string(start) + " is behind axis " + std::to_string(end));
  Shape shape = c.shape(0);
  DimExpr merged = elementCount(Shape(shape.begin() + start, shape.begin() + end + 1));
  shape.erase(shape.begin() + start + 1, shape.begin() + end + 1);
  shape[start] = merged;
  return c.give(c.type(0), shape);
}

bool shapeGather(OpCall &c) {
  size_t axis = c.integer("axis");
  if (c.rank(1) != c.rank(0))
    return c.failOperand(1, "expected rank " + std::to_string(c.rank(0)) + " as x " + shapeText(c.shape(0)) +
                                " but got " + shapeText(c.shape(1)));
  Shape x = c.shape(0), index = c.shape(1);
  DimExpr count = index[axis];
  x[axis] = index[axis] = 1;
  std::string clash;
  auto shape = broadcastShapes(x, index, &clash);
  if (!shape)
    return c.failOperand(1, "x " + shapeText(c.shape(0)) + " and index " + shapeText(c.shape(1)) +
                                " do not broadcast: " + clash);
  (*shape)[axis] = count;
  return c.give(c.type(0), *shape);
}

bool shapeConstant(OpCall &c) {
  if (c.given("value") == c.given("values"))
    return c.fail(c.given("value") ? "takes 'value' or 'values', not both" : "needs 'value' or 'values'");
  const Shape &shape = c.sizes("shape");
  if (!checkSizes(c, "shape", shape))
    return false;
  DType dtype = *dtypeOf(c.word("dtype"));
  const char *name = c.given("value") ? "value" : "values";
  std::vector<double> values;
  if (c.given("values")) {
    values = std::get<std::vector<double>>(c.attrs["values"]);
    if (elementCount(shape) != DimExpr(static_cast<int64_t>(values.size())))
      return c.failAt("values", shapeText(shape) + " needs " + elementCount(shape).str() + " values but got " +
                                    std::to_string(values.size()));
  } else if (std::holds_alternative<double>(c.attrs["value"])) {
    values.push_back(c.real("value"));
  }
  for (double value : values)
    if (!isValueOf(dtype, value))
      return c.failAt(name, notValueText(dtype, value));
  return c.give(dtype, shape);
}

bool shapeIota(OpCall &c) {
  const DimExpr &size = std::get<DimExpr>(c.attrs["size"]);
  if (c.word("dtype") == "bool")
    return c.failAt("dtype", "expected a number's dtype but got 'bool'");
  return checkSizes(c, "size", {size}) && c.give(*dtypeOf(c.word("dtype")), {size});
}

} // namespace weft
