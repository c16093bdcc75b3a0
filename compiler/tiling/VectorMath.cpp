// Elementary functions in f32: exponentials, logarithms and what is made of them. Circular functions and pow are in
// VectorMathWide.cpp. Coefficients are minimax fits (Cephes; for erf, Juffa), tested in test/tiling/VectorMathTest.cpp.
#include "tiling/VectorMathOps.h"

using namespace mlir;

namespace weft::vmath {

namespace {

/// Adding this rounds a number below 2^22 to an integer and leaves that integer in the low bits.
constexpr double roundingMagic = 12582912.0; // 1.5 * 2^23
constexpr double log2e = 1.4426950408889634;
/// 126 log 2, rounded down: e to minus this is the last normal number.
constexpr double lastNormal = 87.33654;

struct Rounded {
  Value value;   ///< f32
  Value integer; ///< i32
};

Rounded finishRounding(Ops &m, Value shifted) {
  Value bits = m.bits(shifted);
  return {m.sub(shifted, m.constant(roundingMagic)), m.isub(bits, m.integer(0x4B400000))};
}

Rounded roundToInteger(Ops &m, Value x) { return finishRounding(m, m.add(x, m.constant(roundingMagic))); }

/// 2^n as f32, for n in [-126, 127].
Value powerOfTwo(Ops &m, Value n) { return m.fromBits(m.shl(m.iadd(n, m.integer(127)), 23)); }

Value scalef(Ops &m, Value x, Value n, Value mask) {
  KernelBuilder &k = m.k;
  Value zero = k.constVec(0);
  Value bits =
      mask ? vector::BitCastOp::create(k.b, k.loc, VectorType::get({1}, k.b.getI16Type()), Value(mask)).getResult()
           : Value();
  Value lanes = mask ? vector::ExtractOp::create(k.b, k.loc, bits, int64_t(0)).getResult()
                     : arith::ConstantIntOp::create(k.b, k.loc, -1, 16).getResult();
  Value currentRounding = arith::ConstantIntOp::create(k.b, k.loc, 4, 32);
  return LLVM::CallIntrinsicOp::create(k.b, k.loc, m.type, k.b.getStringAttr("llvm.x86.avx512.mask.scalef.ps.512"),
                                       ValueRange{x, n, zero, lanes, currentRounding})
      .getResults();
}

/// x * 2^n with one rounding, for n in [-150, 129].
Value scale(Ops &m, Value x, const Rounded &n) {
  if (m.hasScalef())
    return scalef(m, x, n.value, nullptr);
  Value half = m.ashr(n.integer, 1);
  return m.mul(m.mul(x, powerOfTwo(m, half)), powerOfTwo(m, m.isub(n.integer, half)));
}

/// 2^r for r in [-1/2, 1/2].
Value exp2Polynomial(Ops &m, Value r) {
  return m.polynomial(r, {1.535336188319500e-4, 1.339887440266574e-3, 9.618437357674640e-3, 5.550332471162809e-2,
                          2.402264791363012e-1, 6.931472028550421e-1, 1.0});
}

struct Scaled {
  Value value;
  Rounded exponent;
};

/// e^x as value * 2^exponent, for |x| < 2^21.
Scaled expParts(Ops &m, Value x) {
  Rounded n = finishRounding(m, m.fma(x, m.constant(log2e), m.constant(roundingMagic)));
  Value r = m.fma(n.value, m.constant(-0.693359375), x);
  r = m.fma(n.value, m.constant(2.12194440e-4), r);
  Value q = m.polynomial(
      r, {1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1});
  return {m.add(m.fma(q, m.mul(r, r), r), m.constant(1)), n};
}

/// e^x for x in [-104, 89].
Value expClamped(Ops &m, Value x) {
  auto [value, exponent] = expParts(m, x);
  return scale(m, value, exponent);
}

/// value * 2^n where `x` is not below `low` (n >= -126), else exactly 0. What is made of exponentials of negative
/// numbers never meets denormals this way: each one costs more than a hundred cycles.
Value scaleOrZero(Ops &m, Value value, const Rounded &n, Value x, double low) {
  if (m.hasScalef()) {
    Value keep = arith::CmpFOp::create(m.k.b, m.k.loc, arith::CmpFPredicate::UGE, x, m.constant(low));
    return scalef(m, value, n.value, keep);
  }
  return m.select(m.less(x, m.constant(low)), m.constant(0), m.mul(value, powerOfTwo(m, n.integer)));
}

/// e^x for x <= 0; 0 where that would be denormal.
Value expNegative(Ops &m, Value x) {
  auto [value, exponent] = expParts(m, x);
  return scaleOrZero(m, value, exponent, x, -lastNormal);
}

/// 1 / x for normal x below 2^126. The division instruction takes as long as a whole exponential on 512-bit registers;
/// an estimate of 14 bits and one Newton step are within 1 ulp.
Value reciprocal(Ops &m, Value x) {
  if (!m.hasScalef())
    return m.div(m.constant(1), x);
  KernelBuilder &k = m.k;
  Value all = arith::ConstantIntOp::create(k.b, k.loc, -1, 16);
  Value y = LLVM::CallIntrinsicOp::create(k.b, k.loc, m.type, k.b.getStringAttr("llvm.x86.avx512.rcp14.ps.512"),
                                          ValueRange{x, k.constVec(0), all})
                .getResults();
  Value error = m.fma(m.neg(x), y, m.constant(1));
  return m.fma(y, error, y);
}

/// x = m 2^e with m in [sqrt(1/2), sqrt(2)); returns {m - 1, e}. x is positive and finite.
std::pair<Value, Value> splitMantissa(Ops &m, Value x) {
  Value tiny = m.less(x, m.constant(1.17549435e-38));
  x = m.select(tiny, m.mul(x, m.constant(8388608.0)), x);
  Value bits = m.bits(x);
  // Subtracting the bits of sqrt(1/2) moves the border between exponents to there.
  Value shifted = m.isub(bits, m.integer(0x3f3504f3));
  Value exponent = m.ashr(shifted, 23);
  Value mantissa = m.fromBits(m.isub(bits, m.shl(exponent, 23)));
  Value e = m.toFloat(exponent);
  e = m.select(tiny, m.sub(e, m.constant(23)), e);
  return {m.sub(mantissa, m.constant(1)), e};
}

/// log(1 + x) - x for x in [sqrt(1/2) - 1, sqrt(2) - 1].
Value logTail(Ops &m, Value x) {
  Value z = m.mul(x, x);
  Value p = m.polynomial(x, {7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
                             -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1});
  return m.fma(m.constant(-0.5), z, m.mul(m.mul(p, x), z));
}

/// The values of a logarithm outside the positive finite numbers.
Value logSpecial(Ops &m, Value x, Value y) {
  y = m.select(m.less(x, m.constant(INFINITY)), y, x); // inf and NaN
  y = m.select(m.equal(x, m.constant(0)), m.constant(-INFINITY), y);
  return m.select(m.less(x, m.constant(0)), m.constant(NAN), y);
}

Value logOf(Ops &m, Value x) {
  auto [f, e] = splitMantissa(m, x);
  Value y = m.fma(e, m.constant(-2.12194440e-4), logTail(m, f));
  y = m.fma(e, m.constant(0.693359375), m.add(f, y));
  return logSpecial(m, x, y);
}

/// log(erfc(t)) for t > 0.927.
Value logErfc(Ops &m, Value t) {
  Value s = m.mul(t, t);
  Value r = m.fma(m.constant(-1.72853470e-5), t, m.constant(3.83197126e-4));
  Value u = m.fma(m.constant(-3.88396438e-3), t, m.constant(2.42546219e-2));
  r = m.fma(r, s, u);
  r = m.fma(r, t, m.constant(-1.06777877e-1));
  r = m.fma(r, t, m.constant(-6.34846687e-1));
  r = m.fma(r, t, m.constant(-1.28717512e-1));
  return m.fma(r, t, m.neg(t));
}

/// erf(x) for |x| <= 0.927.
Value erfNear(Ops &m, Value x) {
  Value r = m.polynomial(m.mul(x, x),
                         {-5.96761703e-4, 4.99119423e-3, -2.67681349e-2, 1.12819925e-1, -3.76125336e-1, 1.28379166e-1});
  return m.fma(r, x, x);
}

/// 1 / (1 + e^x); zero where that would be below the normal numbers.
Value logistic(Ops &m, Value x) {
  Value e = expClamped(m, m.clamp(x, -lastNormal, lastNormal));
  return m.select(m.less(m.constant(lastNormal), x), m.constant(0), reciprocal(m, m.add(m.constant(1), e)));
}

constexpr double erfBorder = 0.927734375;

} // namespace

Value exp2Unit(KernelBuilder &k, Value x) {
  Ops m(k, x);
  Rounded n = roundToInteger(m, x);
  Value p = exp2Polynomial(m, m.sub(x, n.value));
  return scaleOrZero(m, p, n, x, -126);
}

Value exp2(KernelBuilder &k, Value x) {
  Ops m(k, x);
  Value t = m.clamp(x, -150.0, 129.0);
  Rounded n = roundToInteger(m, t);
  return scale(m, exp2Polynomial(m, m.sub(t, n.value)), n);
}

Value exp(KernelBuilder &k, Value x) {
  Ops m(k, x);
  return expClamped(m, m.clamp(x, -104.0, 89.0));
}

Value log(KernelBuilder &k, Value x) {
  Ops m(k, x);
  return logOf(m, x);
}

Value log2(KernelBuilder &k, Value x) {
  Ops m(k, x);
  auto [f, e] = splitMantissa(m, x);
  Value tail = logTail(m, f), rest = m.constant(0.44269504088896340735992);
  // log2(e) = 1 + rest: the large part is added without a rounding.
  Value y = m.fma(f, rest, m.mul(tail, rest));
  y = m.add(e, m.add(f, m.add(tail, y)));
  return logSpecial(m, x, y);
}

Value tanh(KernelBuilder &k, Value x) {
  Ops m(k, x);
  Value a = m.abs(x);
  Value e = expNegative(m, m.mul(a, m.constant(-2)));
  Value far = m.mul(m.sub(m.constant(1), e), reciprocal(m, m.add(m.constant(1), e)));
  Value z = m.mul(x, x);
  Value p =
      m.polynomial(z, {-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1});
  Value near = m.fma(m.mul(p, z), x, x);
  return m.select(m.less(m.constant(0.625), a), m.copysign(far, x), near);
}

Value erf(KernelBuilder &k, Value x) {
  Ops m(k, x);
  Value t = m.abs(x);
  Value far = m.copysign(m.sub(m.constant(1), expNegative(m, logErfc(m, t))), x);
  return m.select(m.less(m.constant(erfBorder), t), far, erfNear(m, x));
}

Value sigmoid(KernelBuilder &k, Value x) {
  Ops m(k, x);
  return logistic(m, m.neg(x));
}

Value silu(KernelBuilder &k, Value x) {
  Ops m(k, x);
  return m.mul(x, sigmoid(k, x));
}

// The negative side uses erfc itself, where 1 + erf would cancel.
Value gelu(KernelBuilder &k, Value x) {
  Ops m(k, x);
  Value u = m.mul(x, m.constant(0.70710678118654752));
  Value t = m.abs(u), half = m.constant(0.5);
  Value tail = m.mul(half, expNegative(m, logErfc(m, t)));
  Value far = m.select(m.less(x, m.constant(0)), tail, m.sub(m.constant(1), tail));
  Value near = m.fma(half, erfNear(m, u), half);
  return m.mul(x, m.select(m.less(m.constant(erfBorder), t), far, near));
}

// x sigmoid(2 sqrt(2/pi) (x + 0.044715 x^3))
Value geluTanh(KernelBuilder &k, Value x) {
  Ops m(k, x);
  Value slope = m.fma(m.mul(x, x), m.constant(-0.0713548162726), m.constant(-1.5957691216057308));
  return m.mul(x, logistic(m, m.mul(slope, x)));
}

// max(x, 0) + log(1 + e^-|x|); the rounding error of 1 + u is put back, so that small u survive.
Value softplus(KernelBuilder &k, Value x) {
  Ops m(k, x);
  Value u = expNegative(m, m.neg(m.abs(x)));
  Value w = m.add(m.constant(1), u);
  Value lost = m.sub(u, m.sub(w, m.constant(1)));
  auto [f, e] = splitMantissa(m, w);
  Value y = m.fma(e, m.constant(-2.12194440e-4), logTail(m, f));
  y = m.fma(e, m.constant(0.693359375), m.add(f, y));
  y = m.add(y, m.mul(lost, reciprocal(m, w)));
  return m.add(m.select(m.less(x, m.constant(0)), m.constant(0), x), y);
}

Value sqrt(KernelBuilder &k, Value x) { return LLVM::SqrtOp::create(k.b, k.loc, x); }

Value rsqrt(KernelBuilder &k, Value x) {
  Ops m(k, x);
  return m.div(m.constant(1), sqrt(k, x));
}

} // namespace weft::vmath
