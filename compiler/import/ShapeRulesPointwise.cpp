// Shape rules of pointwise ops, reductions and losses.
// Binary ops take a number in place of their second operand; it must be a value of the operand's dtype.
#include "import/ShapeRules.h"

#include <algorithm>
#include <cmath>

namespace weft {
namespace {

/// The number is a value of the dtype.
bool checkScalar(OpCall &c, const char *name, DType dtype) {
  if (!c.given(name) || std::holds_alternative<DimExpr>(c.attrs.at(name)))
    return true;
  return isValueOf(dtype, c.real(name)) || c.failAt(name, notValueText(dtype, c.real(name)));
}

/// What is missing most often: a column that multiplies rows, or a transpose.
std::string broadcastHint(const Shape &a, const Shape &b) {
  const Shape &small = a.size() < b.size() ? a : b, &large = a.size() < b.size() ? b : a;
  if (small.size() == large.size())
    return std::is_permutation(a.begin(), a.end(), b.begin()) ? "the same sizes in another order: 'transpose' one of them" : "";
  for (size_t i = 0; i + small.size() < large.size(); ++i)
    if (std::equal(small.begin(), small.end(), large.begin() + i))
      return "axes are matched from the last on; 'unsqueeze' adds one of size 1 to " + shapeText(small);
  return "axes are matched from the last on";
}

/// Broadcast of all operands from `first` on; nullopt after an error.
std::optional<Shape> broadcastAll(OpCall &c, int first = 0) {
  std::optional<Shape> shape;
  for (int i = first; i < static_cast<int>(c.operands.size()); ++i) {
    if (!c.has(i))
      continue;
    std::string clash;
    auto joined = shape ? broadcastShapes(*shape, c.shape(i), &clash) : c.shape(i);
    if (!joined) {
      c.fail("shapes " + shapeText(*shape) + " and " + shapeText(c.shape(i)) + " do not broadcast: " + clash, broadcastHint(*shape, c.shape(i)));
      return std::nullopt;
    }
    shape = joined;
  }
  return shape;
}

bool checkSecond(OpCall &c) {
  if (c.has(1) == c.given("value"))
    return c.fail(c.has(1) ? "takes a second operand or 'value', not both" : "needs a second operand or 'value'");
  return c.needSameType() && checkScalar(c, "value", c.type(0));
}

bool binary(OpCall &c, bool compares) {
  if (c.op.attr("value") && !checkSecond(c))
    return false;
  if (!c.needSameType())
    return false;
  auto shape = broadcastAll(c);
  return shape && c.give(compares ? DType::boolean : c.type(0), *shape);
}

/// The result of a loss whose elements have this shape.
bool giveLoss(OpCall &c, DType dtype, const Shape &elements) {
  return c.give(dtype, c.word("reduction") == "none" ? elements : Shape{});
}

} // namespace

bool shapeSame(OpCall &c) { return c.give(c.type(0), c.shape(0)); }

bool shapeClamp(OpCall &c) {
  if (!c.given("min") && !c.given("max"))
    return c.fail("needs 'min' or 'max'");
  bool plain = c.given("min") && c.given("max") && std::holds_alternative<double>(c.attrs["min"]) &&
               std::holds_alternative<double>(c.attrs["max"]);
  if (plain && c.real("min") > c.real("max"))
    return c.failAt("min", "min is larger than max");
  return checkScalar(c, "min", c.type(0)) && checkScalar(c, "max", c.type(0)) && shapeSame(c);
}

bool shapeCast(OpCall &c) { return c.give(*dtypeOf(c.word("dtype")), c.shape(0)); }
bool shapeBinary(OpCall &c) { return binary(c, false); }
bool shapeCompare(OpCall &c) { return binary(c, true); }

bool shapeVariadic(OpCall &c) {
  size_t count = c.operands.size() + c.given("value");
  if (count < 2)
    return c.fail("needs two or more operands, or one and 'value'");
  auto shape = c.needSameType() && checkScalar(c, "value", c.type(0)) ? broadcastAll(c) : std::nullopt;
  return shape && c.give(c.type(0), *shape);
}

bool shapeGated(OpCall &c) {
  auto shape = c.needSameType() ? broadcastAll(c) : std::nullopt;
  return shape && c.give(c.type(0), *shape);
}

bool shapeWhere(OpCall &c) {
  for (auto [operand, name] : {std::pair(1, "value_true"), std::pair(2, "value_false")})
    if (c.has(operand) == c.given(name))
      return c.fail(std::string("takes operand '") + c.op.operands[operand].name + "' or '" + name + "', one of them");
  DType dtype = c.has(1) ? c.type(1) : c.has(2) ? c.type(2) : c.environment.floatType();
  if (!c.needSameType(1) || !checkScalar(c, "value_true", dtype) || !checkScalar(c, "value_false", dtype))
    return false;
  auto shape = broadcastAll(c);
  return shape && c.give(dtype, *shape);
}

bool shapeMaskedFill(OpCall &c) {
  if (!checkScalar(c, "value", c.type(0)))
    return false;
  auto shape = broadcastAll(c);
  return shape && c.give(c.type(0), *shape);
}

bool shapeReduce(OpCall &c) {
  std::vector<int64_t> axes;
  if (c.given("axis"))
    axes = c.integers("axis");
  else
    for (size_t i = 0; i < c.rank(0); ++i)
      axes.push_back(i);
  std::sort(axes.begin(), axes.end());
  if (std::adjacent_find(axes.begin(), axes.end()) != axes.end())
    return c.failAt("axis",
                    "axis " + std::to_string(*std::adjacent_find(axes.begin(), axes.end())) + " is named twice");
  c.attrs["axis"] = axes;
  Shape shape, reduced;
  for (size_t i = 0; i < c.rank(0); ++i) {
    bool gone = std::binary_search(axes.begin(), axes.end(), static_cast<int64_t>(i));
    if (gone)
      reduced.push_back(c.shape(0)[i]);
    if (!gone)
      shape.push_back(c.shape(0)[i]);
    else if (c.flag("keepdim"))
      shape.push_back(1);
  }
  if (c.op.attr("unbiased") && c.flag("unbiased") && elementCount(reduced) == DimExpr(1))
    return c.failAt("unbiased", "the unbiased variance of one element divides by zero");
  return c.give(c.type(0), shape);
}

bool shapeArgmax(OpCall &c) {
  Shape shape = c.shape(0);
  size_t axis = c.integer("axis");
  if (c.flag("keepdim"))
    shape[axis] = 1;
  else
    shape.erase(shape.begin() + axis);
  return c.give(DType::i32, shape);
}

bool shapePool(OpCall &c) {
  if (!c.needRank(0, 3))
    return false;
  Shape shape = c.shape(0);
  size_t axis = c.integer("axis");
  if (axis > 1)
    return c.failAt("axis", "expected a position axis of 0 or 1 but got " + std::to_string(axis));
  const Shape wanted = {shape[0], shape[1]};
  if (c.has(1) && c.shape(1) != wanted)
    return c.failOperand(1, "expected " + shapeText(wanted) + " but got " + shapeText(c.shape(1)));
  shape.erase(shape.begin() + axis);
  return c.give(c.type(0), shape);
}

bool shapeCrossEntropy(OpCall &c) {
  if (!c.needRankAtLeast(0, 1))
    return false;
  Shape rows = c.shape(0);
  DimExpr classes = rows.back();
  rows.pop_back();
  if (c.shape(1) != rows)
    return c.failOperand(1, "expected labels of shape " + shapeText(rows) + " but got " + shapeText(c.shape(1)));
  if (c.has(2) && c.given("class_weights"))
    return c.failAt("class_weights", "takes a third operand or 'class_weights', not both");
  if (c.has(2) && (c.shape(2) != Shape{classes} || c.type(2) != c.type(0)))
    return c.failOperand(2, std::string("expected ") + dtypeName(c.type(0)) + " [" + classes.str() + "] but got " +
                                dtypeName(c.type(2)) + " " + shapeText(c.shape(2)));
  if (c.given("class_weights") &&
      DimExpr(static_cast<int64_t>(std::get<std::vector<double>>(c.attrs["class_weights"]).size())) != classes)
    return c.failAt("class_weights",
                    "expected " + classes.str() + " weights but got " +
                        std::to_string(std::get<std::vector<double>>(c.attrs["class_weights"]).size()));
  return giveLoss(c, c.type(0), rows);
}

bool shapeDifference(OpCall &c) {
  if (!c.needSameType())
    return false;
  if (c.shape(0) != c.shape(1))
    return c.fail(std::string(c.op.operands[0].name) + " " + shapeText(c.shape(0)) + " and " + c.op.operands[1].name +
                  " " + shapeText(c.shape(1)) + " differ in shape");
  if (c.word("reduction") == "batchmean" && c.rank(0) == 0)
    return c.failAt("reduction", "batchmean needs a batch axis");
  if (auto weights = c.attrs.find("pos_weight");
      weights != c.attrs.end() && std::holds_alternative<std::vector<double>>(weights->second)) {
    int64_t count = std::get<std::vector<double>>(weights->second).size();
    if (c.rank(0) == 0 || c.shape(0).back() != DimExpr(count))
      return c.failAt("pos_weight", "expected one number for each element of the last axis of " +
                                        shapeText(c.shape(0)) + " but got " + std::to_string(count));
  }
  return giveLoss(c, c.type(0), c.shape(0));
}

} // namespace weft
