// Pointwise ops, rows, moves of elements, positions.
// Functions with a pole or steep growth get operands from a range in which f32 serves.
#include "RandomGenerator.h"

#include <algorithm>
#include <cmath>

namespace weft::e2e {
namespace {

constexpr int64_t kMost = 30000;

std::string str(int64_t n) { return std::to_string(n); }
double most(const RandomValue &value) { return std::max(std::fabs(value.low), std::fabs(value.high)); }
std::string axisText(RandomGenerator &g, const RandomType &type, int64_t axis) {
  const RandomAxis &chosen = type.axes[static_cast<size_t>(axis)];
  bool once = std::count(type.axes.begin(), type.axes.end(), chosen) == 1 && chosen.text.size() == 1 && !chosen.isNumber();
  if (once && g.chance(0.3))
    return "\"" + chosen.text + "\"";
  return str(g.chance(0.5) ? axis : axis - static_cast<int64_t>(type.axes.size()));
}
RandomType without(RandomType type, int64_t axis) {
  type.axes.erase(type.axes.begin() + axis);
  return type;
}
bool broadcasts(const std::vector<RandomAxis> &a, const std::vector<RandomAxis> &b, std::vector<RandomAxis> &joined) {
  joined = a.size() >= b.size() ? a : b;
  const auto &shorter = a.size() >= b.size() ? b : a;
  for (size_t i = 0; i < shorter.size(); ++i) {
    RandomAxis &axis = joined[joined.size() - shorter.size() + i];
    if (axis.text == "1")
      axis = shorter[i];
    else if (shorter[i].text != "1" && !(shorter[i] == axis))
      return false;
  }
  return true;
}
bool rank(const RandomValue &value, size_t low, size_t high) { return value.type.axes.size() >= low && value.type.axes.size() <= high; }

// A second operand that broadcasts with the first: one that is there, or a new one.
RandomValue partner(RandomGenerator &g, const RandomValue &first, RandomType &joined, bool exact = false) {
  RandomValue second;
  joined = first.type;
  if (g.chance(0.6) && g.pick(second, [&](const RandomValue &value) {
        std::vector<RandomAxis> axes;
        return value.type.dtype == first.type.dtype && (value.exact || !exact) && most(value) < 1e4 && broadcasts(first.type.axes, value.type.axes, axes) &&
               RandomType{"f32", axes}.count() <= kMost;
      })) {
    broadcasts(first.type.axes, second.type.axes, joined.axes);
    return second;
  }
  double limit = first.type.dtype == "bool" ? 1 : 7;
  return g.operand({first.type.dtype, g.narrowed(first.type.axes)}, first.type.dtype == "bool" ? 0 : -limit, limit);
}

}  // namespace

bool makeUnary(RandomGenerator &g) {
  RandomValue x;
  if (!g.pickReal(x))
    return false;
  switch (g.between(0, 15)) {
  case 0: g.add("neg", "", {x}, x.type, -x.high, -x.low, x.exact); break;
  case 1: g.add("abs", "", {x}, x.type, 0, most(x), x.exact); break;
  case 2: g.add("relu", "", {x}, x.type, std::max(0.0, x.low), std::max(0.0, x.high), x.exact); break;
  case 3: x = g.tamed(x, 7); g.add("exp", "", {x}, x.type, std::exp(x.low), std::exp(x.high), false); break;
  case 4: {
    x = x.low > 0.01 ? x : g.add("abs", "", {x}, x.type, 0, most(x), x.exact);
    if (x.low < 0.01)
      x = g.add("add", "\"value\": 0.5", {x}, x.type, 0.5, x.high + 0.5, false);
    std::string op = g.oneOf<std::string>({"log", "sqrt", "rsqrt"});
    double low = op == "log" ? std::log(x.low) : op == "sqrt" ? std::sqrt(x.low) : 1 / std::sqrt(x.high);
    g.add(op, "", {x}, x.type, low, op == "log" ? std::log(x.high) : op == "sqrt" ? std::sqrt(x.high) : 1 / std::sqrt(x.low), false);
    break;
  }
  case 5: g.add(g.oneOf<std::string>({"tanh", "erf"}), "", {x}, x.type, -1, 1, false); break;
  case 6: g.add("sigmoid", "", {x}, x.type, 0, 1, false); break;
  case 7: x = g.tamed(x, 50); g.add(g.oneOf<std::string>({"sin", "cos"}), "", {x}, x.type, -1, 1, false); break;
  case 8: g.add("silu", "", {x}, x.type, -0.3, std::max(0.0, x.high), false); break;
  case 9: g.add("gelu", g.chance(0.5) ? "\"approximate\": \"tanh\"" : "", {x}, x.type, -0.2, std::max(0.0, x.high), false); break;
  case 10: g.add("leaky_relu", g.chance(0.5) ? "\"slope\": 0.25" : "", {x}, x.type, -most(x), most(x), false); break;
  case 11: g.add("elu", g.chance(0.5) ? "\"alpha\": 0.5" : "", {x}, x.type, -1, std::max(0.0, x.high), false); break;
  case 12: g.add("softplus", "", {x}, x.type, 0, most(x) + 1, false); break;
  case 13: g.add("clamp", g.oneOf<std::string>({"\"min\": -0.5, \"max\": 1", "\"min\": -0.5", "\"max\": 1"}), {x}, x.type, std::min(x.low, 0.0) - 1, std::max(x.high, 0.0) + 1, x.exact); break;
  case 14: g.add("dropout", "\"p\": 0.3", {x}, x.type, x.low, x.high, x.exact); break;
  default: g.add("cast", "\"dtype\": \"f32\"", {x}, x.type, x.low, x.high, x.exact);
  }
  return true;
}

bool makeBinary(RandomGenerator &g) {
  RandomValue x;
  if (!g.pickReal(x))
    return false;
  if (g.chance(0.25)) {
    std::string op = g.oneOf<std::string>({"add", "sub", "mul", "div", "minimum", "maximum", "pow", "add", "mul"});
    std::string value = g.oneOf<std::string>({"0.5", "-1.5", "2", "\"sqrt(3)\"", "1"});
    if (op == "pow") {
      x = g.tamed(x, 8);
      g.add(op, "\"value\": " + g.oneOf<std::string>({"2", "3", "1"}), {x}, x.type, -512, 512, false);
    } else {
      g.add(op, "\"value\": " + value, {x}, x.type, x.low * 2 - most(x) - 2, x.high * 2 + most(x) + 2, op[0] == 'm' && op[1] != 'u' && x.exact);
    }
    return true;
  }
  RandomType type;
  RandomValue y = partner(g, x, type);
  double sum = most(x) + most(y), product = most(x) * most(y);
  if (g.chance(0.3))
    std::swap(x, y);
  switch (g.between(0, 7)) {
  case 0:
  case 1: {
    std::vector<RandomValue> in = {x, y};
    if (g.chance(0.3))
      in.push_back(x);
    g.add("add", g.chance(0.15) ? "\"value\": 0.25" : "", in, type, -2 * sum - 1, 2 * sum + 1, false);
    break;
  }
  case 2: g.add("sub", "", {x, y}, type, -sum, sum, false); break;
  case 3:
  case 4: g.add("mul", "", {x, y}, type, -product, product, false); break;
  case 5: {
    // Away from zero: |y| + 0.5.
    RandomValue safe = g.add("abs", "", {y}, y.type, 0, most(y), y.exact);
    safe = g.add("add", "\"value\": 0.5", {safe}, y.type, 0.5, most(y) + 0.5, false);
    g.add("div", "", {x, safe}, type, -2 * most(x), 2 * most(x), false);
    break;
  }
  case 6: g.add(g.oneOf<std::string>({"minimum", "maximum"}), "", {x, y}, type, -sum, sum, x.exact && y.exact); break;
  default: {
    bool swi = g.chance(0.5);
    g.add(swi ? "swiglu" : "geglu", !swi && g.chance(0.5) ? "\"approximate\": \"tanh\"" : "", {x, y}, type, -product - most(y), product + most(y), false);
  }
  }
  return true;
}

bool makeLogic(RandomGenerator &g) {
  RandomValue x, y, m;
  RandomType type;
  switch (g.between(0, 4)) {
  case 0:
    if (!g.pick(x, [](const RandomValue &value) { return value.exact && value.type.dtype != "bool"; }))
      return false;
    if (g.chance(0.4)) {
      type = {"bool", x.type.axes};
      g.add(g.oneOf<std::string>({"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"}), "\"value\": " + str(g.between(-1, 3)), {x}, type, 0, 1, true);
      return true;
    }
    y = partner(g, x, type, true);
    if (!y.exact)
      return false;
    type.dtype = "bool";
    g.add(g.oneOf<std::string>({"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"}), "", {x, y}, type, 0, 1, true);
    return true;
  case 1:
    if (!g.pick(x, [](const RandomValue &value) { return value.type.dtype == "bool"; }))
      return false;
    if (g.chance(0.3)) {
      g.add("not", "", {x}, x.type, 0, 1, true);
    } else {
      y = partner(g, x, type);
      g.add(g.oneOf<std::string>({"and", "or"}), "", {x, y}, type, 0, 1, true);
    }
    return true;
  case 2:
    if (!g.pickReal(x))
      return false;
    m = g.operand({"bool", g.narrowed(x.type.axes)}, 0, 1);
    g.add("masked_fill", "\"value\": " + g.oneOf<std::string>({"0", "-2.5", "1"}), {x, m}, x.type, std::min(x.low, -2.5), std::max(x.high, 1.0), x.exact);
    return true;
  case 3:
    if (!g.pickReal(x))
      return false;
    m = g.operand({"bool", g.narrowed(x.type.axes)}, 0, 1);
    if (g.chance(0.4)) {
      bool first = g.chance(0.5);
      g.add("where", first ? "\"value_false\": 0.5" : "\"value_true\": 0.5", {m, x}, x.type, std::min(x.low, 0.5), std::max(x.high, 0.5), x.exact, first ? "cond,a" : "cond,b");
    } else {
      y = partner(g, x, type);
      g.add("where", "", {m, x, y}, type, -most(x) - most(y), most(x) + most(y), x.exact && y.exact);
    }
    return true;
  default:
    if (!g.pick(x, [](const RandomValue &value) { return value.type.dtype == "bool" || value.type.dtype[0] == 'i'; }))
      return false;
    g.add("cast", "\"dtype\": \"f32\"", {x}, {"f32", x.type.axes}, x.low, x.high, true);
    return true;
  }
}

bool makeIntegers(RandomGenerator &g) {
  RandomValue x;
  if (g.chance(0.3)) {
    RandomAxis axis = g.chance(0.5) ? g.dim("T") : g.number(g.size());
    bool shown = axis.isNumber() || std::any_of(g.model.inputs.begin(), g.model.inputs.end(), [](const RandomInput &input) {
                   return std::any_of(input.value.type.axes.begin(), input.value.type.axes.end(), [](const RandomAxis &a) { return a.text == "T"; });
                 });
    if (!shown)
      return false;
    std::string dtype = g.oneOf<std::string>({"i32", "i64", "f32"});
    g.add("iota", "\"size\": " + (axis.isNumber() ? axis.text : "\"" + axis.text + "\"") + ", \"dtype\": \"" + dtype + "\"", {}, {dtype, {axis}}, 0, 511, true);
    return true;
  }
  if (!g.pick(x, [](const RandomValue &value) { return value.type.dtype[0] == 'i' && most(value) < 1e6; }))
    return false;
  switch (g.between(0, 4)) {
  case 0: g.add("neg", "", {x}, x.type, -x.high, -x.low, true); break;
  case 1: g.add("add", "\"value\": 1", {x}, x.type, x.low + 1, x.high + 1, true); break;
  case 2: g.add("mul", "\"value\": 3", {x}, x.type, std::min(0.0, x.low * 3), std::max(0.0, x.high * 3), true); break;
  case 3: g.add("clamp", "\"min\": 0, \"max\": 4", {x}, x.type, 0, 4, true); break;
  default: {
    std::string dtype = x.type.dtype == "i32" ? "i64" : "i32";
    g.add("cast", "\"dtype\": \"" + dtype + "\"", {x}, {dtype, x.type.axes}, x.low, x.high, true);
  }
  }
  return true;
}

bool makeNorm(RandomGenerator &g) {
  RandomValue x;
  // Rows that are constant up to rounding would be noise behind a norm: only what varies is normalised.
  if (!g.pick(x, [](const RandomValue &value) { return value.type.dtype == "f32" && rank(value, 1, 4) && most(value) < 1e3 && value.high - value.low > 0.5; }))
    return false;
  int64_t axis = g.chance(0.75) ? static_cast<int64_t>(x.type.axes.size()) - 1 : g.between(0, static_cast<int64_t>(x.type.axes.size()) - 1);
  const RandomAxis &along = x.type.axes[static_cast<size_t>(axis)];
  double largest = std::sqrt(static_cast<double>(std::max({along.size[0], along.size[1], along.size[2]})));
  int64_t kind = g.between(0, 3);
  if (kind == 0 && along.isNumber() && axis + 1 == static_cast<int64_t>(x.type.axes.size())) {
    g.add("rms_norm", "\"eps\": 1e-3", {x}, x.type, -1.7 * largest, 1.7 * largest, false);
  } else if (kind == 1) {
    g.add("l2_normalize", "\"axis\": " + axisText(g, x.type, axis) + ", \"eps\": 1e-2", {x}, x.type, -1, 1, false);
  } else if (kind == 2) {
    g.add(g.chance(0.5) ? "softmax" : "log_softmax", "\"axis\": " + axisText(g, x.type, axis), {x}, x.type, -2 * most(x) - 6, 1, false);
  } else {
    std::string rest = "\"axis\": " + axisText(g, x.type, axis) + ", \"eps\": " + g.oneOf<std::string>({"1e-2", "1e-1", "1"});
    if (!along.isNumber() || g.chance(0.3))
      rest += ", \"weight\": false";
    if (!along.isNumber() || g.chance(0.3))
      rest += ", \"bias\": false";
    if (along.isNumber() && along.text != "1" && g.chance(0.2))
      rest += ", \"unbiased\": true";
    if (g.chance(0.2))
      rest += ", \"eps_outside\": true";
    g.add("layer_norm", rest, {x}, x.type, -1.7 * largest - 0.7, 1.7 * largest + 0.7, false);
  }
  return true;
}

bool makeReduction(RandomGenerator &g) {
  RandomValue x;
  if (!g.pick(x, [](const RandomValue &value) { return value.type.dtype != "bool" && rank(value, 1, 5) && most(value) < 1e3; }))
    return false;
  bool real = x.type.dtype == "f32";
  if (x.exact && g.chance(0.2)) {
    int64_t axis = g.between(0, static_cast<int64_t>(x.type.axes.size()) - 1);
    RandomType type = x.type;
    bool keep = g.chance(0.5);
    type.axes[static_cast<size_t>(axis)] = g.number(1);
    type = keep ? type : without(type, axis);
    type.dtype = "i32";
    g.add("argmax", "\"axis\": " + axisText(g, x.type, axis) + (keep ? ", \"keepdim\": true" : ""), {x}, type, 0, 600, true);
    return true;
  }
  std::vector<int64_t> axes;
  RandomType type = x.type;
  double count = 1;
  bool all = g.chance(0.1), keep = g.chance(0.5), ones = false;
  std::string list;
  for (int64_t axis = static_cast<int64_t>(x.type.axes.size()); axis-- > 0;)
    if (all || axes.empty() ? (all || axis == 0 || g.chance(0.6)) : g.chance(0.25)) {
      axes.push_back(axis);
      const RandomAxis &along = x.type.axes[static_cast<size_t>(axis)];
      count *= static_cast<double>(std::max({along.size[0], along.size[1], along.size[2]}));
      ones |= std::min({along.size[0], along.size[1], along.size[2]}) == 1;
      list += (list.empty() ? "" : ", ") + axisText(g, x.type, axis);
      type.axes[static_cast<size_t>(axis)] = g.number(1);
      if (!keep)
        type = without(type, axis);
    }
  std::string op = real ? g.oneOf<std::string>({"sum", "mean", "max", "min", "var", "sum", "mean"}) : g.oneOf<std::string>({"sum", "max", "min"});
  std::string rest = all ? "" : "\"axis\": " + (axes.size() == 1 && g.chance(0.7) ? list : "[" + list + "]");
  if (keep)
    rest += std::string(rest.empty() ? "" : ", ") + "\"keepdim\": true";
  if (op == "var" && !ones && g.chance(0.3))
    rest += std::string(rest.empty() ? "" : ", ") + "\"unbiased\": true";
  double low = x.low, high = x.high;
  bool picks = op == "max" || op == "min";
  if (op == "sum") {
    low = std::min(0.0, low * count);
    high = std::max(0.0, high * count);
  } else if (op == "var") {
    high = 2 * (high - low) * (high - low);
    low = 0;
  }
  g.add(op, rest, {x}, type, low, high, !real || (picks && x.exact));
  return true;
}

bool makePool(RandomGenerator &g) {
  RandomValue x;
  if (!g.pick(x, [](const RandomValue &value) { return value.type.dtype == "f32" && rank(value, 3, 3) && most(value) < 1e4; }))
    return false;
  int64_t axis = g.chance(0.8) ? 1 : 0;
  std::vector<RandomValue> in = {x};
  if (g.chance(0.7))
    in.push_back(g.operand({"bool", {x.type.axes[0], x.type.axes[1]}}, 0, 1));
  bool max = g.chance(0.5);
  g.add(max ? "max_pool" : "mean_pool", axis == 1 && g.chance(0.5) ? "" : "\"axis\": " + str(axis), in, without(x.type, axis), std::min(0.0, x.low), std::max(0.0, x.high), max && x.exact,
        in.size() == 2 ? "x,mask" : "");
  return true;
}

bool makeMove(RandomGenerator &g) {
  RandomValue x;
  if (!g.pick(x, [](const RandomValue &value) { return rank(value, 1, 5); }))
    return false;
  RandomType type = x.type;
  int64_t axes = static_cast<int64_t>(type.axes.size()), axis = g.between(0, axes - 1);
  auto move = [&](const char *op, const std::string &rest) { g.add(op, rest, {x}, type, x.low, x.high, x.exact); };
  switch (g.between(0, 6)) {
  case 0:
  case 1: {
    std::vector<int64_t> perm;
    for (int64_t i = 0; i < axes; ++i)
      perm.insert(perm.begin() + g.between(0, i), i);
    std::string list;
    for (int64_t i = 0; i < axes; ++i) {
      type.axes[static_cast<size_t>(i)] = x.type.axes[static_cast<size_t>(perm[static_cast<size_t>(i)])];
      list += (i ? ", " : "") + str(perm[static_cast<size_t>(i)]);
    }
    move("transpose", "\"perm\": [" + list + "]");
    return true;
  }
  case 2: {  // one axis becomes two
    int64_t size = type.axes[static_cast<size_t>(axis)].isNumber() ? type.axes[static_cast<size_t>(axis)].size[0] : 1, part = g.divisor(size, size);
    if (axes == 5)
      return false;
    if (type.axes[static_cast<size_t>(axis)].isNumber())
      type.axes[static_cast<size_t>(axis)] = g.number(size / part);
    type.axes.insert(type.axes.begin() + axis + g.between(0, 1) * (type.axes[static_cast<size_t>(axis)].isNumber()), g.number(part));
    std::string shape = type.shapeText();
    move("reshape", "\"shape\": " + shape);
    return true;
  }
  case 3: {  // two axes become one
    if (axes < 2)
      return false;
    axis = g.between(0, axes - 2);
    RandomAxis &a = type.axes[static_cast<size_t>(axis)], b = type.axes[static_cast<size_t>(axis) + 1];
    RandomAxis joined;
    for (size_t i = 0; i < kRandomRounds; ++i)
      joined.size[i] = a.size[i] * b.size[i];
    joined.text = a.isNumber() && b.isNumber() ? str(joined.size[0]) : a.text == "1" ? b.text : b.text == "1" ? a.text : "(" + a.text + ") * (" + b.text + ")";
    a = joined;
    type = without(type, axis + 1);
    if (g.chance(0.5))
      move("flatten", "\"start\": " + str(axis) + ", \"end\": " + str(axis + 1 - (g.chance(0.5) ? axes : 0)));
    else
      move("reshape", "\"shape\": " + type.shapeText());
    return true;
  }
  case 4:
    if (axes == 5)
      return false;
    axis = g.between(0, axes);
    type.axes.insert(type.axes.begin() + axis, g.number(1));
    move("unsqueeze", "\"axis\": " + str(axis));
    return true;
  case 5:
    if (type.axes[static_cast<size_t>(axis)].text != "1")
      return false;
    type = without(type, axis);
    move("squeeze", "\"axis\": " + str(axis));
    return true;
  default: {
    for (RandomAxis &next : type.axes)
      if (next.text == "1" && g.chance(0.7))
        next = g.number(g.size(17));
    if (axes < 4 && g.chance(0.5))
      type.axes.insert(type.axes.begin(), g.number(g.size(5)));
    if (type.count() > kMost)
      return false;
    move("expand", "\"shape\": " + type.shapeText());
    return true;
  }
  }
}

bool makeCut(RandomGenerator &g) {
  RandomValue x;
  if (!g.pick(x, [](const RandomValue &value) { return rank(value, 1, 5); }))
    return false;
  int64_t axes = static_cast<int64_t>(x.type.axes.size()), axis = g.between(0, axes - 1);
  RandomAxis along = x.type.axes[static_cast<size_t>(axis)];
  std::string at = "\"axis\": " + axisText(g, x.type, axis);
  RandomType type = x.type;
  int64_t size = along.isNumber() ? along.size[0] : 0;
  switch (g.between(0, 3)) {
  case 0:
    g.add("select", at + ", \"index\": " + str(size ? g.between(-size, size - 1) : g.between(-1, 0)), {x}, without(type, axis), x.low, x.high, x.exact);
    return true;
  case 1: {
    if (size < 2)
      return false;
    std::vector<RandomValue> parts;
    std::string list;
    for (int64_t left = size; left > 0;) {
      int64_t part = parts.size() == 3 ? left : g.chance(0.4) && size % 3 == 0 ? size / 3 : g.between(1, left);
      part = std::min(part, left);
      list += (list.empty() ? "" : ", ") + str(part);
      left -= part;
      type.axes[static_cast<size_t>(axis)] = g.number(part);
      parts.push_back({"", type, x.low, x.high, x.exact, 0});
    }
    if (parts.size() < 2)
      return false;
    g.addMany("split", at + ", \"sizes\": [" + list + "]", {x}, parts);
    return true;
  }
  default: {
    if (!size) {
      type.axes[static_cast<size_t>(axis)] = g.number(1);
      g.add("slice", at + (g.chance(0.5) ? ", \"start\": -1" : ", \"end\": 1"), {x}, type, x.low, x.high, x.exact);
      return true;
    }
    int64_t start = g.between(0, size - 1), end = g.between(start + 1, size), step = g.chance(0.3) ? g.between(1, 4) : 1;
    type.axes[static_cast<size_t>(axis)] = g.number((end - start + step - 1) / step);
    std::string rest = at;
    if (start || g.chance(0.5))
      rest += ", \"start\": " + str(g.chance(0.3) ? start - size : start);
    if (end != size || g.chance(0.5))
      rest += ", \"end\": " + str(end != size && g.chance(0.3) ? end - size : end);
    if (step != 1)
      rest += ", \"step\": " + str(step);
    g.add("slice", rest, {x}, type, x.low, x.high, x.exact);
    return true;
  }
  }
}

bool makeJoin(RandomGenerator &g) {
  RandomValue x, y;
  if (!g.pick(x, [](const RandomValue &value) { return rank(value, 1, 5); }))
    return false;
  int64_t axis = g.between(0, static_cast<int64_t>(x.type.axes.size()) - 1);
  RandomType other = x.type, joined = x.type;
  auto fits = [&](const RandomValue &value) {
    if (value.type.dtype != x.type.dtype || value.type.axes.size() != x.type.axes.size())
      return false;
    for (size_t i = 0; i < x.type.axes.size(); ++i)
      if (static_cast<int64_t>(i) != axis && !(value.type.axes[i] == x.type.axes[i]))
        return false;
    return true;
  };
  if (!g.chance(0.8) || !g.pick(y, fits)) {
    other.axes[static_cast<size_t>(axis)] = g.number(g.size(17));
    y = g.operand(other, x.type.dtype == "bool" ? 0 : -7, x.type.dtype == "bool" ? 1 : 7);
  }
  std::vector<RandomValue> in = {x, y};
  if (g.chance(0.3))
    in.push_back(x);
  RandomAxis sum;
  sum.size.fill(0);
  double low = x.low, high = x.high;
  bool numbers = true, exact = true;
  for (const RandomValue &value : in) {
    const RandomAxis &part = value.type.axes[static_cast<size_t>(axis)];
    numbers &= part.isNumber();
    exact &= value.exact;
    low = std::min(low, value.low);
    high = std::max(high, value.high);
    for (size_t i = 0; i < kRandomRounds; ++i)
      sum.size[i] += part.size[i];
    sum.text += (sum.text.empty() ? "(" : " + (") + part.text + ")";
  }
  if (numbers)
    sum.text = str(sum.size[0]);
  joined.axes[static_cast<size_t>(axis)] = sum;
  if (joined.count() > kMost)
    return false;
  g.add("concat", "\"axis\": " + axisText(g, x.type, axis), in, joined, low, high, exact);
  return true;
}

bool makeGather(RandomGenerator &g) {
  RandomValue x, index;
  auto indices = [](const RandomValue &value) { return value.type.dtype[0] == 'i' && value.low >= 0 && value.high < 1000; };
  if (g.chance(0.6)) {
    if (!g.pick(index, [&](const RandomValue &value) { return indices(value) && rank(value, 0, 3); }))
      index = g.input({"i32", {g.dim("B"), g.dim("T")}}, 0, static_cast<double>(g.between(0, 20)));
    int64_t rows = static_cast<int64_t>(index.high) + g.between(1, 3);
    RandomType type{"f32", index.type.axes};
    type.axes.push_back(g.number(g.size()));
    if (type.count() > kMost)
      return false;
    std::string rest = "\"rows\": " + str(rows) + ", \"features\": " + type.axes.back().text;
    if (g.chance(0.2))
      rest += ", \"padding_idx\": 0";
    g.add("embedding", rest, {index}, type, -7, 7, true);
    return true;
  }
  if (!g.pick(x, [](const RandomValue &value) {
        return rank(value, 1, 4) && std::any_of(value.type.axes.begin(), value.type.axes.end(), [](const RandomAxis &axis) { return axis.isNumber(); });
      }))
    return false;
  int64_t axis = 0;
  do
    axis = g.between(0, static_cast<int64_t>(x.type.axes.size()) - 1);
  while (!x.type.axes[static_cast<size_t>(axis)].isNumber());
  double last = static_cast<double>(x.type.axes[static_cast<size_t>(axis)].size[0] - 1);
  RandomType places{g.chance(0.7) ? "i32" : "i64", x.type.axes}, type = x.type;
  for (RandomAxis &next : places.axes)
    if (g.chance(0.3))
      next = g.number(1);
  places.axes[static_cast<size_t>(axis)] = g.chance(0.3) ? g.dim("T") : g.number(g.size(17));
  type.axes[static_cast<size_t>(axis)] = places.axes[static_cast<size_t>(axis)];
  if (type.count() > kMost)
    return false;
  index = g.operand(places, 0, last);
  g.add("gather", "\"axis\": " + axisText(g, x.type, axis), {x, index}, type, x.low, x.high, x.exact);
  return true;
}

bool makePositions(RandomGenerator &g) {
  RandomValue x;
  if (g.chance(0.5)) {
    if (!g.pick(x, [](const RandomValue &value) { return value.type.dtype == "f32" && rank(value, 3, 3) && value.type.axes[2].isNumber() && value.type.axes[2].size[0] % 2 == 0 && most(value) < 1e4; }))
      return false;
    int64_t width = x.type.axes[2].size[0], heads = g.divisor(width / 2, 8);
    std::string rest = "\"heads\": " + str(heads);
    if (g.chance(0.4))
      rest += ", \"interleaved\": true";
    if (g.chance(0.3))
      rest += ", \"rotary_dim\": " + str(2 * g.between(1, width / heads / 2));
    if (g.chance(0.3))
      rest += ", \"theta\": 500";
    if (g.chance(0.3))
      rest += ", \"offset\": 5";
    g.add("rope", rest, {x}, x.type, -1.5 * most(x), 1.5 * most(x), false);
    return true;
  }
  if (!g.pick(x, [](const RandomValue &value) { return rank(value, 2, 4) && value.type.count() < 10000; }))
    return false;
  int64_t axis = g.chance(0.7) ? 1 : g.between(0, static_cast<int64_t>(x.type.axes.size()) - 1);
  const RandomAxis tokens = x.type.axes[static_cast<size_t>(axis)];
  std::string at = axis == 1 ? "" : ", \"axis\": " + str(axis);
  if (g.chance(0.3)) {
    if (std::max({tokens.size[0], tokens.size[1], tokens.size[2]}) > 130)
      return false;
    g.add("causal_mask", at.empty() ? "" : at.substr(2), {x}, {"bool", {tokens, tokens}}, 0, 1, true);
    return true;
  }
  RandomType type{"f32", {tokens, g.chance(0.6) && x.type.axes.back().isNumber() ? x.type.axes.back() : g.number(g.size())}};
  if (type.count() > kMost)
    return false;
  int64_t offset = g.chance(0.3) ? g.between(1, 9) : 0;
  std::string rest = at + (offset ? ", \"offset\": " + str(offset) : "") + ", \"features\": " + type.axes[1].text;
  bool plain = tokens.isNumber() || tokens.text.size() == 1;
  if (plain && g.chance(0.5))
    g.add("position_embedding", "\"kind\": \"learned\", \"rows\": " + str(530) + rest, {x}, type, -0.15, 0.15, true);
  else
    g.add("position_embedding", "\"kind\": \"sinusoidal\"" + rest, {x}, type, -1, 1, false);
  return true;
}

}  // namespace weft::e2e
