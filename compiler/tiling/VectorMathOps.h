// The arithmetic that VectorMath is written in: operations on f32 of one type, vector or scalar, and on its bits.
#ifndef WEFT_TILING_VECTORMATHOPS_H
#define WEFT_TILING_VECTORMATHOPS_H

#include "tiling/VectorMath.h"

#include <cmath>

namespace weft::vmath {

struct Ops {
  using Value = mlir::Value;
  KernelBuilder &k;
  mlir::Type type;

  Ops(KernelBuilder &k, Value x) : k(k), type(x.getType()) {}

  /// Whole 512-bit vectors have an instruction for x * 2^n.
  bool hasScalef() const { return k.target.avx512 && mlir::isa<mlir::VectorType>(type) && k.target.lanes == 16; }

  mlir::Type withElement(mlir::Type element) const {
    if (auto vector = mlir::dyn_cast<mlir::VectorType>(type))
      return vector.clone(element);
    return element;
  }
  Value attribute(mlir::Type of, mlir::TypedAttr element) {
    if (auto vector = mlir::dyn_cast<mlir::VectorType>(of))
      element = mlir::DenseElementsAttr::get(vector, element);
    return mlir::arith::ConstantOp::create(k.b, k.loc, element);
  }
  Value constant(double v) { return attribute(type, k.b.getF32FloatAttr(static_cast<float>(v))); }
  Value integer(int32_t v) { return attribute(withElement(k.b.getI32Type()), k.b.getI32IntegerAttr(v)); }

  Value add(Value x, Value y) { return mlir::arith::AddFOp::create(k.b, k.loc, x, y); }
  Value sub(Value x, Value y) { return mlir::arith::SubFOp::create(k.b, k.loc, x, y); }
  Value mul(Value x, Value y) { return mlir::arith::MulFOp::create(k.b, k.loc, x, y); }
  Value div(Value x, Value y) { return mlir::arith::DivFOp::create(k.b, k.loc, x, y); }
  Value neg(Value x) { return mlir::arith::NegFOp::create(k.b, k.loc, x); }
  Value fma(Value x, Value y, Value z) { return k.fma(x, y, z); }
  Value abs(Value x) { return mlir::LLVM::FAbsOp::create(k.b, k.loc, x); }
  Value copysign(Value x, Value sign) { return mlir::LLVM::CopySignOp::create(k.b, k.loc, x, sign); }
  Value less(Value x, Value y) {
    return mlir::arith::CmpFOp::create(k.b, k.loc, mlir::arith::CmpFPredicate::OLT, x, y);
  }
  Value equal(Value x, Value y) {
    return mlir::arith::CmpFOp::create(k.b, k.loc, mlir::arith::CmpFPredicate::OEQ, x, y);
  }
  Value select(Value c, Value x, Value y) { return mlir::arith::SelectOp::create(k.b, k.loc, c, x, y); }
  /// Comparisons with NaN are false, so that NaN passes.
  Value clamp(Value x, double low, double high) {
    x = select(less(x, constant(low)), constant(low), x);
    return select(less(constant(high), x), constant(high), x);
  }
  /// Coefficients from the highest power down.
  Value polynomial(Value x, std::initializer_list<double> coefficients) {
    Value y;
    for (double c : coefficients)
      y = y ? fma(y, x, constant(c)) : constant(c);
    return y;
  }

  Value bits(Value x) { return mlir::arith::BitcastOp::create(k.b, k.loc, withElement(k.b.getI32Type()), x); }
  Value fromBits(Value x) { return mlir::arith::BitcastOp::create(k.b, k.loc, type, x); }
  Value toFloat(Value x) { return mlir::arith::SIToFPOp::create(k.b, k.loc, type, x); }
  Value iadd(Value x, Value y) { return mlir::arith::AddIOp::create(k.b, k.loc, x, y); }
  Value isub(Value x, Value y) { return mlir::arith::SubIOp::create(k.b, k.loc, x, y); }
  Value shl(Value x, int32_t n) { return mlir::arith::ShLIOp::create(k.b, k.loc, x, integer(n)); }
  Value ashr(Value x, int32_t n) { return mlir::arith::ShRSIOp::create(k.b, k.loc, x, integer(n)); }
  Value band(Value x, int32_t n) { return mlir::arith::AndIOp::create(k.b, k.loc, x, integer(n)); }
  Value nonzero(Value x) {
    return mlir::arith::CmpIOp::create(k.b, k.loc, mlir::arith::CmpIPredicate::ne, x, integer(0));
  }
};

} // namespace weft::vmath

#endif // WEFT_TILING_VECTORMATHOPS_H
