// Folding i64 arithmetic with any builder: the number of tasks is computed by the same code inside a kernel, where
// tasks are decoded, and outside, where the launch counts them.
#ifndef WEFT_TILING_SIZEMATH_H
#define WEFT_TILING_SIZEMATH_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

namespace weft {

struct SizeMath {
  mlir::OpBuilder &b;
  mlir::Location loc;

  mlir::Value constant(int64_t v) { return mlir::arith::ConstantIntOp::create(b, loc, v, 64); }
  mlir::Value add(mlir::Value x, mlir::Value y) { return b.createOrFold<mlir::arith::AddIOp>(loc, x, y); }
  mlir::Value mul(mlir::Value x, mlir::Value y) { return b.createOrFold<mlir::arith::MulIOp>(loc, x, y); }
  mlir::Value min(mlir::Value x, mlir::Value y) { return b.createOrFold<mlir::arith::MinSIOp>(loc, x, y); }
  mlir::Value max(mlir::Value x, mlir::Value y) { return b.createOrFold<mlir::arith::MaxSIOp>(loc, x, y); }
  mlir::Value udiv(mlir::Value x, mlir::Value y) { return b.createOrFold<mlir::arith::DivUIOp>(loc, x, y); }
  /// x is not negative, y is positive.
  mlir::Value ceilDiv(mlir::Value x, mlir::Value y) {
    return udiv(add(x, b.createOrFold<mlir::arith::SubIOp>(loc, y, constant(1))), y);
  }
};

} // namespace weft

#endif // WEFT_TILING_SIZEMATH_H
