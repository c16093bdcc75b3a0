// Helpers of all shape rules, and the rules of embeddings, dense ops and norms.
// A rule reports one error and gives up: what depends on its result is then left alone.
#include "import/ShapeRules.h"

#include "import/Diagnostics.h"
#include "import/Expression.h"

#include <algorithm>
#include <cmath>

namespace weft {

static const std::vector<std::string> kDtypes = {"f32", "f16", "bf16", "f64", "i32", "i64", "i8", "u8", "bool"};

const std::vector<std::string> &dtypeNames() { return kDtypes; }
const char *dtypeName(DType dtype) { return kDtypes[static_cast<size_t>(dtype)].c_str(); }

std::optional<DType> dtypeOf(std::string_view name) {
  auto found = std::find(kDtypes.begin(), kDtypes.end(), name);
  return found == kDtypes.end() ? std::nullopt : std::optional<DType>(static_cast<DType>(found - kDtypes.begin()));
}

bool isFloat(DType dtype) { return dtype <= DType::f64; }
bool isIndex(DType dtype) { return dtype == DType::i32 || dtype == DType::i64; }

bool isValueOf(DType dtype, double value) {
  auto whole = [&](double low, double high) { return value == std::floor(value) && value >= low && value <= high; };
  // The least number that rounds to infinity is half a step above the largest.
  auto below = [&](double limit) { return std::isinf(value) || std::abs(value) < limit; };
  switch (dtype) {
  case DType::f64:
    return !std::isnan(value);
  case DType::f32:
    return below(0x1.ffffffp127);
  case DType::bf16:
    return below(0x1.ffp127);
  case DType::f16:
    return below(0x1.ffep15);
  case DType::boolean:
    return whole(0, 1);
  case DType::u8:
    return whole(0, 255);
  case DType::i8:
    return whole(-128, 127);
  case DType::i32:
    return whole(-0x1p31, 0x1p31 - 1);
  case DType::i64:
    return whole(-0x1p53, 0x1p53); // every whole number up to there is a double
  }
  return false;
}

std::string notValueText(DType dtype, double value) {
  bool isPlain = value == std::floor(value) && std::abs(value) < 0x1p53;
  Number number = isPlain ? Number::of(static_cast<int64_t>(value)) : Number::of(value);
  return std::string("expected a value of dtype ") + dtypeName(dtype) + " but got " + number.str();
}

std::string shapeText(const Shape &shape) {
  std::string text = "[";
  for (const DimExpr &size : shape)
    text += (text.size() > 1 ? ", " : "") + size.str();
  return text + "]";
}

std::optional<Shape> broadcastShapes(const Shape &a, const Shape &b, std::string *clash) {
  Shape result(std::max(a.size(), b.size()));
  for (size_t back = 1; back <= result.size(); ++back) {
    const DimExpr one(1), left = back <= a.size() ? a[a.size() - back] : one,
                          right = back <= b.size() ? b[b.size() - back] : one;
    if (left != right && left != one && right != one) {
      if (clash)
        *clash = "axis -" + std::to_string(back) + " is " + left.str() + " and " + right.str();
      return std::nullopt;
    }
    result[result.size() - back] = left == one ? right : left;
  }
  return result;
}

DimExpr elementCount(const Shape &shape) {
  DimExpr count(1);
  for (const DimExpr &size : shape)
    count = count * size;
  return count;
}

InitRule initConstant(double value) { return {InitKind::constant, value, 0}; }
InitRule initNormal(double std) { return {InitKind::normal, 0, std}; }
InitRule initUniform(double bound) { return {InitKind::uniform, -bound, bound}; }

bool OpCall::needRank(int operand, size_t wanted) {
  return rank(operand) == wanted ||
         failOperand(operand, "expected rank " + std::to_string(wanted) + " but got " + shapeText(shape(operand)));
}

bool OpCall::needRankAtLeast(int operand, size_t wanted) {
  return rank(operand) >= wanted || failOperand(operand, "expected rank " + std::to_string(wanted) +
                                                             " or more but got " + shapeText(shape(operand)));
}

bool OpCall::needSameType(int first) {
  int reference = -1;
  for (int i = first; i < static_cast<int>(operands.size()); ++i) {
    if (!has(i))
      continue;
    if (reference < 0)
      reference = i;
    else if (type(i) != type(reference))
      return failOperand(
          i, std::string("operands have the dtypes ") + dtypeName(type(reference)) + " and " + dtypeName(type(i)),
          "there is no promotion; use op 'cast'");
  }
  return true;
}

std::optional<int64_t> OpCall::fixedAxis(int operand, size_t axis, const char *why) {
  auto size = shape(operand)[axis].constant();
  if (!size)
    failOperand(operand,
                "axis " + std::to_string(axis) + " of " + shapeText(shape(operand)) + " has no fixed size, " + why);
  return size;
}

bool OpCall::needEqual(const DimExpr &a, const DimExpr &b, const std::string &what) {
  return a == b || fail("expected " + what + " but got " + a.str() + " and " + b.str());
}

bool shapeEmbedding(OpCall &c) {
  int64_t rows = c.integer("rows"), features = c.integer("features"),
          zeroRow = c.given("padding_idx") ? c.integer("padding_idx") : -1;
  if (zeroRow >= rows)
    return c.failAt("padding_idx",
                    "padding_idx " + std::to_string(zeroRow) + " is outside 0.." + std::to_string(rows - 1));
  Shape shape = c.shape(0);
  shape.push_back(features);
  return c.param("weight", {rows, features}, initNormal(1), zeroRow) && c.give(c.environment.floatType(), shape);
}

bool shapePositionEmbedding(OpCall &c) {
  size_t axis = c.integer("axis");
  bool learned = c.word("kind") == "learned", cached = c.given("offset_state");
  if (learned && !c.given("rows"))
    return c.fail("learned positions need 'rows'", "the number of positions in the table");
  if (!learned && c.given("rows"))
    return c.failAt("rows", "'rows' is for learned positions");
  if (cached && axis == 0)
    return c.failAt("axis", "with a state axis 0 is the batch, so the position axis must be another one");
  const DimExpr &positions = c.shape(0)[axis];
  if (learned) {
    // With a cache the session knows the position; otherwise the range of the dim says whether the table is long
    // enough.
    DimExpr last = cached ? positions : positions + std::get<DimExpr>(c.attrs.at("offset"));
    auto highest = c.environment.highest(last);
    if (!cached && highest && *highest > c.integer("rows"))
      c.environment.warn("the table has " + std::to_string(c.integer("rows")) + " rows, but " + last.str() +
                         " may be " + std::to_string(*highest));
    if (!c.param("weight", {c.integer("rows"), c.integer("features")}, initNormal(0.02)))
      return false;
  }
  Shape shape = {positions, c.integer("features")};
  if (cached)
    shape.insert(shape.begin(), c.shape(0)[0]);
  return c.give(isFloat(c.type(0)) ? c.type(0) : c.environment.floatType(), shape);
}

bool shapeRope(OpCall &c) {
  if (!c.needRank(0, 3))
    return false;
  auto width = c.fixedAxis(0, 2, "as heads need");
  if (!width)
    return false;
  int64_t heads = c.integer("heads");
  if (*width % heads)
    return c.failAt("heads",
                    std::to_string(*width) + " features are not divisible by " + std::to_string(heads) + " heads");
  int64_t dh = *width / heads;
  if (!c.given("rotary_dim"))
    c.attrs["rotary_dim"] = dh;
  int64_t rotary = c.integer("rotary_dim");
  if (rotary % 2 || rotary > dh)
    return c.failAt("rotary_dim", "rotary_dim " + std::to_string(rotary) + " must be even and at most the head size " +
                                      std::to_string(dh));
  return c.give(c.type(0), c.shape(0));
}

bool shapeLinear(OpCall &c) {
  if (!c.needRankAtLeast(0, 1))
    return false;
  auto in = c.fixedAxis(0, c.rank(0) - 1, "as a weight needs");
  if (!in)
    return false;
  int64_t features = c.integer("features");
  InitRule rule = initUniform(1 / std::sqrt(static_cast<double>(*in)));
  if (!c.param("weight", {features, *in}, rule) || (c.flag("bias") && !c.param("bias", {features}, rule)))
    return false;
  Shape shape = c.shape(0);
  shape.back() = features;
  return c.give(c.type(0), shape);
}

bool shapeMatmul(OpCall &c) {
  if (!c.needRankAtLeast(0, 2) || !c.needRankAtLeast(1, 2) || !c.needSameType())
    return false;
  Shape a = c.shape(0), b = c.shape(1);
  if (c.flag("transpose_a"))
    std::swap(a.back(), a[a.size() - 2]);
  if (c.flag("transpose_b"))
    std::swap(b.back(), b[b.size() - 2]);
  DimExpr m = a[a.size() - 2], n = b.back(), k = a.back(), other = b[b.size() - 2];
  if (k != other)
    return c.fail("inner axes differ: a " + shapeText(a) + " has " + k.str() + ", b " + shapeText(b) + " has " +
                      other.str(),
                  a.back() == b.back() ? "transpose_b may be missing" : "");
  std::string clash;
  auto batch = broadcastShapes(Shape(a.begin(), a.end() - 2), Shape(b.begin(), b.end() - 2), &clash);
  if (!batch)
    return c.fail("batch axes of a " + shapeText(c.shape(0)) + " and b " + shapeText(c.shape(1)) + " do not broadcast");
  batch->push_back(m);
  batch->push_back(n);
  return c.give(c.type(0), *batch);
}

/// Replaces "..." by letters that the equation does not use, and drops spaces.
static bool normaliseEquation(OpCall &c, std::vector<std::string> &terms, std::string &output) {
  std::string equation;
  for (char next : c.word("equation"))
    if (next != ' ')
      equation += next;
  size_t arrow = equation.find("->");
  if (arrow == std::string::npos)
    return c.failAt("equation", "equation " + quote(equation) + " has no '->'",
                    "write the result's letters, as in \"ij,jk->ik\"");
  output = equation.substr(arrow + 2);
  std::string inputs = equation.substr(0, arrow);
  for (size_t begin = 0; begin <= inputs.size();) {
    size_t end = std::min(inputs.find(',', begin), inputs.size());
    terms.push_back(inputs.substr(begin, end - begin));
    begin = end + 1;
  }
  if (terms.size() != c.operands.size())
    return c.failAt("equation", "equation names " + std::to_string(terms.size()) + " operands but got " +
                                    std::to_string(c.operands.size()));
  size_t dots = 0;
  auto lettersOf = [](const std::string &term) {
    return static_cast<size_t>(std::count_if(term.begin(), term.end(), [](char x) { return x != '.'; }));
  };
  for (size_t i = 0; i < terms.size(); ++i)
    if (terms[i].find("...") != std::string::npos && c.rank(i) >= lettersOf(terms[i]))
      dots = std::max(dots, c.rank(i) - lettersOf(terms[i]));
  std::string spare;
  for (char letter = 'a'; letter <= 'z' && spare.size() < dots; ++letter)
    if (equation.find(letter) == std::string::npos)
      spare += letter;
  for (char letter = 'A'; letter <= 'Z' && spare.size() < dots; ++letter)
    if (equation.find(letter) == std::string::npos)
      spare += letter;
  auto expand = [&](std::string &term, size_t count) {
    size_t at = term.find("...");
    if (at != std::string::npos)
      term.replace(at, 3, spare.substr(spare.size() - std::min(count, spare.size())));
  };
  for (size_t i = 0; i < terms.size(); ++i)
    expand(terms[i], c.rank(i) >= lettersOf(terms[i]) ? c.rank(i) - lettersOf(terms[i]) : 0);
  expand(output, dots);
  for (const std::string &text : {terms.front(), terms.back(), output})
    for (char letter : text)
      if (!std::isalpha(static_cast<unsigned char>(letter)))
        return c.failAt("equation", "unexpected " + quote(std::string(1, letter)) + " in equation " + quote(equation));
  return true;
}

bool shapeEinsum(OpCall &c) {
  std::vector<std::string> terms;
  std::string output;
  if (!c.needSameType() || !normaliseEquation(c, terms, output))
    return false;
  std::map<char, DimExpr> sizes;
  for (size_t i = 0; i < terms.size(); ++i) {
    if (terms[i].size() != c.rank(i))
      return c.failOperand(i, "the equation gives this operand " + std::to_string(terms[i].size()) +
                                  " axes but it is " + shapeText(c.shape(i)));
    for (size_t axis = 0; axis < terms[i].size(); ++axis) {
      auto [found, added] = sizes.emplace(terms[i][axis], c.shape(i)[axis]);
      if (!added && found->second != c.shape(i)[axis])
        return c.failAt("equation", "axis '" + std::string(1, terms[i][axis]) + "' is " + found->second.str() +
                                        " and " + c.shape(i)[axis].str());
    }
  }
  Shape shape;
  for (size_t i = 0; i < output.size(); ++i) {
    if (output.find(output[i]) != i)
      return c.failAt("equation", "axis '" + std::string(1, output[i]) + "' occurs twice in the result");
    if (!sizes.count(output[i]))
      return c.failAt("equation", "axis '" + std::string(1, output[i]) + "' of the result is in no operand");
    shape.push_back(sizes[output[i]]);
  }
  std::string text = terms.front(); // a scalar's term is empty
  for (size_t i = 1; i < terms.size(); ++i)
    text += "," + terms[i];
  c.attrs["equation"] = text + "->" + output;
  return c.give(c.type(0), shape);
}

bool shapeParameter(OpCall &c) {
  Shape shape;
  for (int64_t size : c.integers("shape"))
    shape.push_back(size);
  return c.param("", shape, initNormal(0.02)) && c.give(c.environment.floatType(), shape);
}

bool shapeLayerNorm(OpCall &c) {
  size_t axis = c.integer("axis");
  auto size = c.shape(0)[axis].constant();
  if ((c.flag("weight") || c.flag("bias")) && !size)
    return c.fixedAxis(0, axis, "as the norm's weight needs").has_value();
  if (size && *size == 1 && c.flag("unbiased"))
    return c.failAt("unbiased", "the unbiased variance of an axis of size 1 divides by zero");
  if ((c.flag("weight") && !c.param("weight", {*size}, initConstant(1))) ||
      (c.flag("bias") && !c.param("bias", {*size}, initConstant(0))))
    return false;
  return c.give(c.type(0), c.shape(0));
}

bool shapeRmsNorm(OpCall &c) {
  if (!c.needRankAtLeast(0, 1))
    return false;
  auto size = c.fixedAxis(0, c.rank(0) - 1, "as the norm's weight needs");
  return size && c.param("weight", {*size}, initConstant(1)) && c.give(c.type(0), c.shape(0));
}

bool shapeL2Normalize(OpCall &c) { return c.give(c.type(0), c.shape(0)); }

} // namespace weft
