// Folders and canonicalisation patterns of the arithmetic ops, and the constants they make.
// A constant is folded only where the result has the very bits that a kernel would compute.
#include "dialect/Weft.h"

#include "mlir/IR/PatternMatch.h"

#include <cmath>

using namespace mlir;

namespace weft {
namespace {

/// Results above this many elements stay computed: the object carries the formula, not the table.
constexpr int64_t kLargestFold = 1024;

/// Kernels run with denormals flushed to zero; numbers that this would change are left to them.
bool isExact(const APFloat &value) { return !value.isDenormal(); }

std::optional<double> splatValue(Attribute attribute) {
  auto dense = dyn_cast_or_null<DenseElementsAttr>(attribute);
  if (!dense || !dense.isSplat())
    return std::nullopt;
  if (isa<FloatType>(dense.getElementType()))
    return dense.getSplatValue<APFloat>().convertToDouble();
  APInt bits = dense.getSplatValue<APInt>();
  return dense.getElementType().isUnsignedInteger() ? double(bits.getZExtValue()) : double(bits.getSExtValue());
}

bool isSplat(Attribute attribute, double value) { return splatValue(attribute) == value; }

/// Element-wise on dense constants of one static shape, or a splat on either side.
template <typename Float, typename Int>
OpFoldResult foldBinary(Attribute lhs, Attribute rhs, Type type, Float onFloat, Int onInt) {
  auto x = dyn_cast_or_null<DenseElementsAttr>(lhs), y = dyn_cast_or_null<DenseElementsAttr>(rhs);
  auto result = cast<RankedTensorType>(type);
  if (!x || !y || !result.hasStaticShape() || result.getNumElements() > kLargestFold)
    return {};
  bool both = x.isSplat() && y.isSplat();
  if (!both && ((!x.isSplat() && x.getType() != result) || (!y.isSplat() && y.getType() != result)))
    return {};
  int64_t count = both ? 1 : result.getNumElements();
  auto at = [](DenseElementsAttr dense, auto values, int64_t i) {
    return dense.isSplat() ? *values.begin() : *(values.begin() + i);
  };
  if (isa<FloatType>(result.getElementType())) {
    SmallVector<APFloat> values;
    for (int64_t i = 0; i < count; ++i) {
      APFloat a = at(x, x.getValues<APFloat>(), i), b = at(y, y.getValues<APFloat>(), i), z = a;
      onFloat(z, b);
      if (!isExact(a) || !isExact(b) || !isExact(z))
        return {};
      values.push_back(z);
    }
    return DenseElementsAttr::get(result, values);
  }
  SmallVector<APInt> values;
  for (int64_t i = 0; i < count; ++i)
    values.push_back(onInt(at(x, x.getValues<APInt>(), i), at(y, y.getValues<APInt>(), i)));
  return DenseElementsAttr::get(result, values);
}

constexpr APFloat::roundingMode kNearest = APFloat::rmNearestTiesToEven;

Value scalarOf(PatternRewriter &b, Location loc, Type element, double value) {
  auto dense = DenseElementsAttr::get(RankedTensorType::get({}, element), b.getFloatAttr(element, value));
  return ConstantOp::create(b, loc, cast<TypedAttr>(Attribute(dense)));
}

} // namespace

Operation *WeftDialect::materializeConstant(OpBuilder &b, Attribute value, Type type, Location loc) {
  auto dense = dyn_cast<DenseElementsAttr>(value);
  if (!dense || dense.getType() != type)
    return nullptr;
  return ConstantOp::create(b, loc, type, cast<TypedAttr>(value));
}

OpFoldResult ConstantOp::fold(FoldAdaptor) { return getValue(); }

OpFoldResult NotOp::fold(FoldAdaptor adaptor) {
  if (auto inner = getX().getDefiningOp<NotOp>())
    return inner.getX();
  if (std::optional<double> value = splatValue(adaptor.getX()); value && getType().hasStaticShape())
    return DenseElementsAttr::get(getType(), *value == 0);
  return {};
}

OpFoldResult CastOp::fold(FoldAdaptor adaptor) {
  if (getX().getType() == getY().getType())
    return getX();
  Type from = cast<RankedTensorType>(getX().getType()).getElementType();
  auto type = cast<RankedTensorType>(getY().getType());
  Type to = type.getElementType();
  // To a wider type and back: the wider one holds every number of the narrower one.
  if (auto inner = getX().getDefiningOp<CastOp>(); inner && inner.getX().getType() == getY().getType()) {
    bool floats =
        isa<FloatType>(from) && isa<FloatType>(to) && from.getIntOrFloatBitWidth() > to.getIntOrFloatBitWidth();
    bool integers =
        isa<IntegerType>(from) && isa<IntegerType>(to) && from.getIntOrFloatBitWidth() > to.getIntOrFloatBitWidth();
    if (floats || integers)
      return inner.getX();
  }
  // Small constants between floats, and from integers that a float holds exactly.
  std::optional<double> value = splatValue(adaptor.getX());
  if (!value || !type.hasStaticShape() || !isa<FloatType>(to))
    return {};
  if (from.isInteger(1))
    value = *value != 0;
  APFloat converted(*value);
  bool inexact = false;
  converted.convert(cast<FloatType>(to).getFloatSemantics(), kNearest, &inexact);
  if (!isExact(converted) || (isa<IntegerType>(from) && inexact))
    return {};
  return DenseElementsAttr::get(type, converted);
}

// x + 0 → x: equal for every x; of the two zeros, which compare equal, the sign of x stays.
OpFoldResult AddOp::fold(FoldAdaptor adaptor) {
  if (isSplat(adaptor.getRhs(), 0) && getLhs().getType() == getType())
    return getLhs();
  return foldBinary(
      adaptor.getLhs(), adaptor.getRhs(), getType(), [](APFloat &x, const APFloat &y) { x.add(y, kNearest); },
      [](APInt x, APInt y) { return x + y; });
}

// x - 0 → x
OpFoldResult SubOp::fold(FoldAdaptor adaptor) {
  if (isSplat(adaptor.getRhs(), 0) && getLhs().getType() == getType())
    return getLhs();
  return foldBinary(
      adaptor.getLhs(), adaptor.getRhs(), getType(), [](APFloat &x, const APFloat &y) { x.subtract(y, kNearest); },
      [](APInt x, APInt y) { return x - y; });
}

// x · 1 → x
OpFoldResult MulOp::fold(FoldAdaptor adaptor) {
  if (isSplat(adaptor.getRhs(), 1) && getLhs().getType() == getType())
    return getLhs();
  return foldBinary(
      adaptor.getLhs(), adaptor.getRhs(), getType(), [](APFloat &x, const APFloat &y) { x.multiply(y, kNearest); },
      [](APInt x, APInt y) { return x * y; });
}

// x / 1 → x
OpFoldResult DivOp::fold(FoldAdaptor adaptor) {
  if (isSplat(adaptor.getRhs(), 1) && getLhs().getType() == getType())
    return getLhs();
  return foldBinary(
      adaptor.getLhs(), adaptor.getRhs(), getType(), [](APFloat &x, const APFloat &y) { x.divide(y, kNearest); },
      [](APInt x, APInt y) { return x; });
}

namespace {

/// x / c → x · (1 / c) where c is a power of two: both change the exponent alone.
struct DivideByPowerOfTwo : OpRewritePattern<DivOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(DivOp op, PatternRewriter &b) const override {
    std::optional<double> divisor = scalarConstant(op.getRhs());
    if (!divisor || op.getLhs().getType() != op.getType())
      return b.notifyMatchFailure(op, "expected a constant divisor");
    int exponent = 0;
    double mantissa = std::frexp(std::fabs(*divisor), &exponent);
    if (mantissa != 0.5 || std::abs(exponent) > 14) // 14: the reciprocal is a normal number of every float type
      return b.notifyMatchFailure(op, "expected a power of two");
    Value factor = scalarOf(b, op.getLoc(), op.getType().getElementType(), 1 / *divisor);
    b.replaceOpWithNewOp<MulOp>(op, op.getLhs(), factor);
    return success();
  }
};

/// pow with the exponents 1, 2, 3, 0.5, -0.5, -1 as the operations that PyTorch runs for them.
struct SimplePower : OpRewritePattern<PowOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(PowOp op, PatternRewriter &b) const override {
    std::optional<double> exponent = scalarConstant(op.getRhs());
    Value x = op.getLhs();
    if (!exponent || x.getType() != op.getType())
      return b.notifyMatchFailure(op, "expected a constant exponent");
    Location loc = op.getLoc();
    if (*exponent == 1)
      b.replaceOp(op, x);
    else if (*exponent == 2)
      b.replaceOpWithNewOp<MulOp>(op, x, x);
    else if (*exponent == 3)
      b.replaceOpWithNewOp<MulOp>(op, MulOp::create(b, loc, x, x), x);
    else if (*exponent == 0.5)
      b.replaceOpWithNewOp<SqrtOp>(op, op.getType(), x);
    else if (*exponent == -0.5)
      b.replaceOpWithNewOp<RsqrtOp>(op, op.getType(), x);
    else if (*exponent == -1)
      b.replaceOpWithNewOp<DivOp>(op, scalarOf(b, loc, op.getType().getElementType(), 1), x);
    else
      return b.notifyMatchFailure(op, "expected an exponent of 1, 2, 3, 0.5, -0.5 or -1");
    return success();
  }
};

} // namespace

void DivOp::getCanonicalizationPatterns(RewritePatternSet &patterns, MLIRContext *context) {
  patterns.add<DivideByPowerOfTwo>(context);
}
void PowOp::getCanonicalizationPatterns(RewritePatternSet &patterns, MLIRContext *context) {
  patterns.add<SimplePower>(context);
}

/// Identity outside training, and where nothing is dropped.
OpFoldResult DropoutOp::fold(FoldAdaptor) {
  return !getSite() || getP().isZero() ? OpFoldResult(getX()) : OpFoldResult();
}

OpFoldResult SizeOp::fold(FoldAdaptor) {
  std::optional<int64_t> size = DimExpr::parse(getExpr().str())->constant();
  Type element = getType().getElementType();
  if (!size)
    return {};
  if (isa<FloatType>(element))
    return DenseElementsAttr::get(getType(), cast<FloatAttr>(FloatAttr::get(element, double(*size))).getValue());
  return DenseElementsAttr::get(getType(), APInt(element.getIntOrFloatBitWidth(), uint64_t(*size), true, true));
}

} // namespace weft
