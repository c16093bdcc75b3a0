// Pointwise ops. Integers wrap in their dtype; comparisons with NaN are false, minimum and maximum pass NaN on.
// A number in place of an operand (`value`) becomes a scalar of the other operand's dtype.
#include "Ops.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace weft::reference {
namespace {

// Powers of e that cannot overflow.
template <class T> T sigmoid(T x) { return x < 0 ? exp(x) / (T(1) + exp(x)) : T(1) / (T(1) + exp(-x)); }
template <class T> T gelu(T x) { return T(0.5) * x * (T(1) + erf(x / sqrt(T(2)))); }
// 0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³)))
template <class T> T geluTanh(T x) {
  return T(0.5) * x * (T(1) + tanh(static_cast<T>(0.79788456080286535588) * (x + static_cast<T>(0.044715) * x * x * x)));
}
template <class T> T silu(T x) { return x * sigmoid(x); }
// Flat at 0; NaN stays.
template <class T> T relu(T x) { return x <= 0 ? T(0) : x; }

// Element of a dtype from a number that stands for an operand.
void setNumber(Tensor &y, int64_t i, double value) {
  if (y.real())
    y.reals[i] = roundTo(y.dtype, value);
  else
    y.integers[i] = wrapTo(y.dtype, static_cast<int64_t>(value));
}

Tensor number(DType dtype, double value) {
  Tensor y = make(dtype, {});
  setNumber(y, 0, value);
  return y;
}

// A float function of each element.
template <class T, class Fn> Results mapReal(const Tensor &x, Fn fn) {
  Tensor y = make(needReal(x).dtype, x.shape);
  for (int64_t i = 0; i < y.count(); ++i)
    store(y, i, T(fn(load<T>(x, i))));
  return {y};
}

template <class T, T (*fn)(T)> Results unary(Call &c) { return mapReal<T>(c.operand(0), fn); }

template <class T> T expOf(T x) { return exp(x); }
template <class T> T logOf(T x) { return log(x); }
template <class T> T sqrtOf(T x) { return sqrt(x); }
template <class T> T rsqrtOf(T x) { return T(1) / sqrt(x); }
template <class T> T erfOf(T x) { return erf(x); }
template <class T> T tanhOf(T x) { return tanh(x); }
template <class T> T sinOf(T x) { return sin(x); }
template <class T> T cosOf(T x) { return cos(x); }
// ln(1 + eˣ)
template <class T> T softplusOf(T x) { return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }

// -x
template <class T> Results neg(Call &c) {
  Tensor y = c.operand(0);
  for (size_t i = 0; i < y.reals.size(); ++i)
    store(y, i, T(-load<T>(y, i)));
  for (int64_t &v : y.integers)
    v = wrapTo(y.dtype, static_cast<int64_t>(-static_cast<uint64_t>(v)));
  return {y};
}

// |x|
template <class T> Results absolute(Call &c) {
  Tensor y = c.operand(0);
  for (size_t i = 0; i < y.reals.size(); ++i)
    store(y, i, T(fabs(load<T>(y, i))));
  for (int64_t &v : y.integers)
    v = v < 0 ? wrapTo(y.dtype, static_cast<int64_t>(-static_cast<uint64_t>(v))) : v;
  return {y};
}

template <class T> Results logicalNot(Call &c) {
  Tensor y = needBool(c.operand(0));
  for (int64_t &v : y.integers)
    v = !v;
  return {y};
}

template <class T> Results geluOp(Call &c) { return mapReal<T>(c.operand(0), c.word("approximate", "none") == "tanh" ? geluTanh<T> : gelu<T>); }
// x > 0 ? x : slope · x
template <class T> Results leakyRelu(Call &c) {
  return mapReal<T>(c.operand(0), [slope = static_cast<T>(c.real("slope", 0.01))](T x) { return x > 0 ? x : slope * x; });
}
// x > 0 ? x : alpha · (eˣ - 1)
template <class T> Results elu(Call &c) {
  return mapReal<T>(c.operand(0), [alpha = static_cast<T>(c.real("alpha", 1))](T x) { return x > 0 ? x : alpha * expm1(x); });
}

// min(max(x, min), max)
template <class T> Results clamp(Call &c) {
  Tensor y = c.operand(0);
  if (c.given("min")) {
    Tensor low = number(y.dtype, c.real("min"));
    // Comparisons that are false for NaN: NaN stays.
    for (size_t i = 0; i < y.reals.size(); ++i)
      if (y.reals[i] < low.reals[0])
        store(y, i, T(low.reals[0]));
    for (int64_t &v : y.integers)
      v = std::max(v, low.integers[0]);
  }
  if (c.given("max")) {
    Tensor high = number(y.dtype, c.real("max"));
    for (size_t i = 0; i < y.reals.size(); ++i)
      if (y.reals[i] > high.reals[0])
        store(y, i, T(high.reals[0]));
    for (int64_t &v : y.integers)
      v = std::min(v, high.integers[0]);
  }
  return {y};
}

int64_t truncate(DType dtype, double value) {
  // Towards zero; a number outside the dtype becomes its nearest one, NaN becomes 0.
  static const std::map<DType, std::pair<double, double>> range = {{DType::i32, {-2147483648.0, 2147483647.0}}, {DType::i8, {-128, 127}}, {DType::u8, {0, 255}}};
  if (std::isnan(value))
    return 0;
  auto found = range.find(dtype);
  if (found != range.end())
    return static_cast<int64_t>(std::clamp(value, found->second.first, found->second.second));
  if (value >= 9223372036854775808.0)
    return std::numeric_limits<int64_t>::max();
  return value < -9223372036854775808.0 ? std::numeric_limits<int64_t>::min() : static_cast<int64_t>(value);
}

// Conversion: floats round to nearest, float to integer truncates, bool is "not zero". Between floats the derivative is 1
template <class T> Results cast(Call &c) {
  const Tensor &x = c.operand(0);
  Tensor y = make(c.dtype("dtype", x.dtype), x.shape);
  if (y.real())
    y.tangents = x.tangents;
  for (int64_t i = 0; i < x.count(); ++i) {
    if (y.dtype == DType::boolean)
      y.integers[i] = x.real() ? x.reals[i] != 0 : x.integers[i] != 0;
    else if (y.real())
      // f64 arithmetic keeps unrounded values in f32, but a cast to fewer bits is the model's own rounding.
      y.reals[i] = y.dtype == x.dtype ? x.reals[i] : roundTo(y.dtype, x.at(i));
    else
      y.integers[i] = x.real() ? truncate(y.dtype, x.reals[i]) : wrapTo(y.dtype, x.integers[i]);
  }
  return {y};
}

// x / (1 - p) where the step's random numbers keep it, else 0
template <class T> Results dropout(Call &c) {
  const Tensor &x = needReal(c.operand(0));
  const Call::Kept kept = c.dropout(c.real("p"));
  Tensor y = make(x.dtype, x.shape);
  for (int64_t i = 0; i < y.count(); ++i)
    store(y, i, kept(i) ? T(load<T>(x, i) * static_cast<T>(kept.scale)) : T(0));
  return {y};
}

// Elements of a and b at every index of their common shape.
template <class Fn> void zip(const Tensor &a, const Tensor &b, const Shape &shape, Fn fn) {
  int64_t at = 0;
  forEach(shape, [&](const Shape &index) { fn(at++, place(a.shape, index), place(b.shape, index)); });
}

enum class Arith { add, sub, mul, div, pow, minimum, maximum };

template <class T, bool isMax> T extremum(T a, T b) {
  Extremum<T, isMax> best;
  best.add(a);
  best.add(b);
  return best.get();
}

template <class T> T apply(Arith op, T a, T b) {
  switch (op) {
  case Arith::add:
    return a + b;
  case Arith::sub:
    return a - b;
  case Arith::mul:
    return a * b;
  case Arith::div:
    return a / b;
  case Arith::pow:
    return pow(a, b);
  case Arith::minimum:
    return extremum<T, false>(a, b);
  case Arith::maximum:
    return extremum<T, true>(a, b);
  }
  return a;
}

int64_t applyInteger(Arith op, int64_t a, int64_t b) {
  uint64_t x = static_cast<uint64_t>(a), y = static_cast<uint64_t>(b);
  switch (op) {
  case Arith::add:
    return static_cast<int64_t>(x + y);
  case Arith::sub:
    return static_cast<int64_t>(x - y);
  case Arith::mul:
    return static_cast<int64_t>(x * y);
  case Arith::minimum:
    return std::min(a, b);
  case Arith::maximum:
    return std::max(a, b);
  default:
    fail("expected float operands");
  }
}

template <class T> Tensor combine(Arith op, const Tensor &a, const Tensor &b) {
  needSameType(a, b);
  if (a.dtype == DType::boolean)
    fail("expected numeric operands but got bool");
  Tensor y = make(a.dtype, broadcast(a.shape, b.shape));
  zip(a, b, y.shape, [&](int64_t i, int64_t l, int64_t r) {
    if (y.real())
      store(y, i, apply<T>(op, load<T>(a, l), load<T>(b, r)));
    else
      y.integers[i] = wrapTo(y.dtype, applyInteger(op, a.integers[l], b.integers[r]));
  });
  return y;
}

// The second operand, or `value`.
Tensor second(Call &c) { return c.has(1) ? c.operand(1) : number(c.operand(0).dtype, c.real("value")); }

template <class T, Arith op> Results binary(Call &c) { return {combine<T>(op, c.operand(0), second(c))}; }

// a ∘ b ∘ …, from left to right, `value` last
template <class T, Arith op> Results variadic(Call &c) {
  Tensor y = c.operand(0);
  for (size_t i = 1; i < c.in.size(); ++i)
    y = combine<T>(op, y, c.operand(i));
  if (c.given("value"))
    y = combine<T>(op, y, number(y.dtype, c.real("value")));
  return {y};
}

// act(gate) · up
template <class T> Results swiglu(Call &c) {
  return {combine<T>(Arith::mul, mapReal<T>(c.operand(0), silu<T>)[0], c.operand(1))};
}
template <class T> Results geglu(Call &c) { return {combine<T>(Arith::mul, geluOp<T>(c)[0], c.operand(1))}; }

enum class Relation { equal, notEqual, less, lessEqual, greater, greaterEqual };

template <class N> bool holds(Relation relation, N a, N b) {
  switch (relation) {
  case Relation::equal:
    return a == b;
  case Relation::notEqual:
    return a != b;
  case Relation::less:
    return a < b;
  case Relation::lessEqual:
    return a <= b;
  case Relation::greater:
    return a > b;
  case Relation::greaterEqual:
    return a >= b;
  }
  return false;
}

template <class T, Relation relation> Results compare(Call &c) {
  const Tensor &a = c.operand(0);
  Tensor b = second(c);
  needSameType(a, b);
  Tensor y = make(DType::boolean, broadcast(a.shape, b.shape));
  zip(a, b, y.shape, [&](int64_t i, int64_t l, int64_t r) {
    y.integers[i] = a.real() ? holds(relation, a.reals[l], b.reals[r]) : holds(relation, a.integers[l], b.integers[r]);
  });
  return {y};
}

template <class T, bool isAnd> Results logic(Call &c) {
  const Tensor &a = needBool(c.operand(0)), &b = needBool(c.operand(1));
  Tensor y = make(DType::boolean, broadcast(a.shape, b.shape));
  zip(a, b, y.shape, [&](int64_t i, int64_t l, int64_t r) { y.integers[i] = isAnd ? a.integers[l] && b.integers[r] : a.integers[l] || b.integers[r]; });
  return {y};
}

Tensor select(const Tensor &condition, const Tensor &a, const Tensor &b) {
  needSameType(a, b);
  Shape shape = broadcast(needBool(condition).shape, broadcast(a.shape, b.shape));
  Tensor y = make(a.dtype, shape);
  int64_t at = 0;
  forEach(shape, [&](const Shape &index) {
    bool first = condition.integers[place(condition.shape, index)];
    copyElement(y, at++, first ? a : b, place(first ? a.shape : b.shape, index));
  });
  return y;
}

// cond ? a : b
template <class T> Results where(Call &c) {
  DType dtype = c.has(1) ? c.operand(1).dtype : c.has(2) ? c.operand(2).dtype : c.floatType();
  Tensor a = c.has(1) ? c.operand(1) : number(dtype, c.real("value_true"));
  Tensor b = c.has(2) ? c.operand(2) : number(dtype, c.real("value_false"));
  return {select(c.operand(0), a, b)};
}

// mask ? value : x
template <class T> Results maskedFill(Call &c) { return {select(c.operand(1), number(c.operand(0).dtype, c.real("value")), c.operand(0))}; }

}  // namespace

template <class T> T activate(const std::string &name, T x) {
  if (name == "relu")
    return relu(x);
  if (name == "gelu")
    return gelu(x);
  if (name == "gelu_tanh")
    return geluTanh(x);
  if (name == "silu")
    return silu(x);
  if (name == "tanh")
    return tanh(x);
  if (name == "sigmoid")
    return sigmoid(x);
  fail("unknown activation '", name, "'");
}
template float activate<float>(const std::string &, float);
template double activate<double>(const std::string &, double);
template Dual<float> activate<Dual<float>>(const std::string &, Dual<float>);
template Dual<double> activate<Dual<double>>(const std::string &, Dual<double>);

void addPointwiseOps(OpTable &table) {
  forEachArithmetic([&](auto number) {
    using T = decltype(number);
    auto add = [&](const char *name, OpFn fn) { table[name].of<T>() = fn; };
    add("neg", neg<T>);
    add("abs", absolute<T>);
    add("exp", unary<T, expOf<T>>);
    add("log", unary<T, logOf<T>>);
    add("sqrt", unary<T, sqrtOf<T>>);
    add("rsqrt", unary<T, rsqrtOf<T>>);
    add("erf", unary<T, erfOf<T>>);
    add("tanh", unary<T, tanhOf<T>>);
    add("sigmoid", unary<T, sigmoid<T>>);
    add("sin", unary<T, sinOf<T>>);
    add("cos", unary<T, cosOf<T>>);
    add("relu", unary<T, relu<T>>);
    add("silu", unary<T, silu<T>>);
    add("softplus", unary<T, softplusOf<T>>);
    add("not", logicalNot<T>);
    add("gelu", geluOp<T>);
    add("leaky_relu", leakyRelu<T>);
    add("elu", elu<T>);
    add("clamp", clamp<T>);
    add("cast", cast<T>);
    add("dropout", dropout<T>);
    add("add", variadic<T, Arith::add>);
    add("mul", variadic<T, Arith::mul>);
    add("sub", binary<T, Arith::sub>);
    add("div", binary<T, Arith::div>);
    add("pow", binary<T, Arith::pow>);
    add("minimum", binary<T, Arith::minimum>);
    add("maximum", binary<T, Arith::maximum>);
    add("swiglu", swiglu<T>);
    add("geglu", geglu<T>);
    add("equal", compare<T, Relation::equal>);
    add("not_equal", compare<T, Relation::notEqual>);
    add("less", compare<T, Relation::less>);
    add("less_equal", compare<T, Relation::lessEqual>);
    add("greater", compare<T, Relation::greater>);
    add("greater_equal", compare<T, Relation::greaterEqual>);
    add("and", logic<T, true>);
    add("or", logic<T, false>);
    add("where", where<T>);
    add("masked_fill", maskedFill<T>);
  });
}

}  // namespace weft::reference
