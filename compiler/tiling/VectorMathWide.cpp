// Functions that need more than 24 bits on the way: sine and cosine (argument reduction), pow (its logarithm, in f64).
#include "tiling/VectorMathOps.h"

using namespace mlir;

namespace weft::vmath {

namespace {

/// x * y + z with one rounding on every target.
Value exactFma(Ops &m, Value x, Value y, Value z) {
  KernelBuilder &k = m.k;
  if (k.target.lanes >= 8 || !llvm::StringRef(k.target.triple).starts_with("x86"))
    return m.fma(x, y, z);
  Type f64 = m.withElement(k.b.getF64Type());
  auto wide = [&](Value v) -> Value { return arith::ExtFOp::create(k.b, k.loc, f64, v); };
  Value product = arith::MulFOp::create(k.b, k.loc, wide(x), wide(y));
  return arith::TruncFOp::create(k.b, k.loc, m.type, arith::AddFOp::create(k.b, k.loc, product, wide(z)));
}

/// sin(x + quarterTurns pi / 2)
Value circular(KernelBuilder &k, Value x, int32_t quarterTurns) {
  Ops m(k, x);
  // n is the nearest multiple of pi/2, found in the low bits as in VectorMath.cpp. With pi/2 in three parts of 24 bits
  // and fused operations the remainder is good to 24 bits while n has at most 22.
  Value magic = m.constant(12582912.0);
  Value shifted = m.add(m.mul(x, m.constant(0.63661977236758134)), magic);
  Value n = m.sub(shifted, magic);
  Value r = exactFma(m, n, m.constant(-1.57079637050628662109375), x);
  r = exactFma(m, n, m.constant(4.37113900018624283e-8), r);
  r = exactFma(m, n, m.constant(1.71512449e-15), r);
  Value z = m.mul(r, r);
  Value sine = m.fma(m.mul(m.polynomial(z, {-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1}), z), r, r);
  Value c = m.polynomial(z, {2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2});
  Value cosine = m.fma(m.mul(z, z), c, m.fma(m.constant(-0.5), z, m.constant(1)));
  Value quadrant = m.iadd(m.bits(shifted), m.integer(quarterTurns));
  Value y = m.select(m.nonzero(m.band(quadrant, 1)), cosine, sine);
  return m.select(m.nonzero(m.band(quadrant, 2)), m.neg(y), y);
}

/// The same operations in f64.
struct WideOps {
  KernelBuilder &k;
  Type f64, i64;
  explicit WideOps(Ops &m) : k(m.k), f64(m.withElement(k.b.getF64Type())), i64(m.withElement(k.b.getI64Type())) {}

  Value attribute(Type type, TypedAttr element) {
    if (auto vector = dyn_cast<VectorType>(type))
      element = DenseElementsAttr::get(vector, element);
    return arith::ConstantOp::create(k.b, k.loc, element);
  }
  Value constant(double v) { return attribute(f64, k.b.getF64FloatAttr(v)); }
  Value integer(int64_t v) { return attribute(i64, k.b.getI64IntegerAttr(v)); }
  Value add(Value x, Value y) { return arith::AddFOp::create(k.b, k.loc, x, y); }
  Value sub(Value x, Value y) { return arith::SubFOp::create(k.b, k.loc, x, y); }
  Value mul(Value x, Value y) { return arith::MulFOp::create(k.b, k.loc, x, y); }
  Value div(Value x, Value y) { return arith::DivFOp::create(k.b, k.loc, x, y); }
  Value bits(Value x) { return arith::BitcastOp::create(k.b, k.loc, i64, x); }
  Value fromBits(Value x) { return arith::BitcastOp::create(k.b, k.loc, f64, x); }
  Value iadd(Value x, Value y) { return arith::AddIOp::create(k.b, k.loc, x, y); }
  Value isub(Value x, Value y) { return arith::SubIOp::create(k.b, k.loc, x, y); }
  Value shl(Value x, int64_t n) { return arith::ShLIOp::create(k.b, k.loc, x, integer(n)); }
  Value shr(Value x, int64_t n) { return arith::ShRUIOp::create(k.b, k.loc, x, integer(n)); }
  Value band(Value x, int64_t n) { return arith::AndIOp::create(k.b, k.loc, x, integer(n)); }
  Value bor(Value x, int64_t n) { return arith::OrIOp::create(k.b, k.loc, x, integer(n)); }
  Value less(Value x, Value y) { return arith::CmpFOp::create(k.b, k.loc, arith::CmpFPredicate::OLT, x, y); }
  Value select(Value c, Value x, Value y) { return arith::SelectOp::create(k.b, k.loc, c, x, y); }
  Value polynomial(Value x, std::initializer_list<double> coefficients) {
    Value y;
    for (double c : coefficients)
      y = y ? add(mul(y, x), constant(c)) : constant(c);
    return y;
  }
};

/// log2 of a positive finite f64, to 2^-40.
Value wideLog2(WideOps &w, Value x) {
  Value bits = w.bits(x);
  Value mantissa = w.fromBits(w.bor(w.band(bits, 0x000fffffffffffff), 0x3ff0000000000000));
  // The biased exponent as f64, by placing it in the mantissa of 2^52.
  Value exponent = w.sub(w.fromBits(w.bor(w.shr(bits, 52), 0x4330000000000000)), w.constant(4503599627370496.0 + 1023));
  Value large = w.less(w.constant(1.4142135623730951), mantissa);
  mantissa = w.select(large, w.mul(mantissa, w.constant(0.5)), mantissa);
  exponent = w.select(large, w.add(exponent, w.constant(1)), exponent);
  // log2(m) = 2 / ln 2 atanh(s), |s| <= 0.172
  Value s = w.div(w.sub(mantissa, w.constant(1)), w.add(mantissa, w.constant(1)));
  Value p = w.polynomial(w.mul(s, s), {1.0 / 15, 1.0 / 13, 1.0 / 11, 1.0 / 9, 1.0 / 7, 1.0 / 5, 1.0 / 3, 1.0});
  return w.add(exponent, w.mul(w.mul(s, p), w.constant(2.8853900817779268)));
}

/// 2^t for |t| <= 300.
Value wideExp2(WideOps &w, Value t) {
  Value magic = w.constant(6755399441055744.0); // 1.5 * 2^52
  Value shifted = w.add(t, magic);
  Value r = w.mul(w.sub(t, w.sub(shifted, magic)), w.constant(0.69314718055994531));
  Value p = w.polynomial(r, {1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24,
                             1.0 / 6, 0.5, 1.0, 1.0});
  Value scale = w.fromBits(w.shl(w.iadd(w.bits(shifted), w.integer(1023)), 52));
  return w.mul(p, scale);
}

} // namespace

Value sin(KernelBuilder &k, Value x) { return circular(k, x, 0); }

Value cos(KernelBuilder &k, Value x) { return circular(k, x, 1); }

Value pow(KernelBuilder &k, Value x, Value y) {
  Ops m(k, x);
  WideOps w(m);
  auto wide = [&](Value v) -> Value { return arith::ExtFOp::create(k.b, k.loc, w.f64, v); };
  Value magnitude = m.abs(x), infinity = m.constant(INFINITY), zero = m.constant(0), one = m.constant(1);
  Value logarithm = wideLog2(w, wide(magnitude));
  Value t = w.mul(wide(y), logarithm);
  t = w.select(w.less(t, w.constant(-300)), w.constant(-300), t);
  t = w.select(w.less(w.constant(300), t), w.constant(300), t);
  Value result = arith::TruncFOp::create(k.b, k.loc, m.type, wideExp2(w, t));

  // 0 and inf have no logarithm: the result is 0 or inf by the sign of y.
  Value positive = m.less(zero, y);
  result = m.select(m.equal(magnitude, zero), m.select(positive, zero, infinity), result);
  result = m.select(m.equal(magnitude, infinity), m.select(positive, infinity, zero), result);
  // A negative base needs an integer exponent; an odd one gives the result the base's sign. Large f32 are even.
  auto whole = [&](Value v) -> Value { return LLVM::FFloorOp::create(k.b, k.loc, v); };
  Value integral = m.equal(whole(y), y);
  Value half = m.mul(y, m.constant(0.5));
  Value even = m.equal(whole(half), half);
  Value negativeZeroOrLess = m.nonzero(m.band(m.bits(x), INT32_MIN));
  Value odd = arith::AndIOp::create(k.b, k.loc, integral, arith::XOrIOp::create(k.b, k.loc, even, m.equal(zero, zero)));
  odd = arith::AndIOp::create(k.b, k.loc, odd, m.less(m.abs(y), infinity));
  result = m.select(arith::AndIOp::create(k.b, k.loc, odd, negativeZeroOrLess), m.neg(result), result);
  Value broken = arith::AndIOp::create(k.b, k.loc, m.less(x, zero),
                                       arith::XOrIOp::create(k.b, k.loc, integral, m.equal(zero, zero)));
  broken = arith::AndIOp::create(k.b, k.loc, broken, m.less(magnitude, infinity));
  result = m.select(broken, m.constant(NAN), result);
  result = m.select(m.equal(x, x), result, x);
  result = m.select(m.equal(y, y), result, y);
  Value unit = arith::OrIOp::create(k.b, k.loc, m.equal(y, zero), m.equal(x, one));
  // (-1)^±inf is 1 too
  Value infiniteExponent = arith::AndIOp::create(k.b, k.loc, m.equal(m.abs(y), infinity), m.equal(magnitude, one));
  return m.select(arith::OrIOp::create(k.b, k.loc, unit, infiniteExponent), one, result);
}

} // namespace weft::vmath
