// Questions that several passes ask about a value, and the movement ops they insert.
// The makers look through ops of their own kind, and return the operand itself where nothing has to move.
#ifndef WEFT_DIALECT_VALUES_H
#define WEFT_DIALECT_VALUES_H

#include "dialect/Weft.h"

#include "mlir/IR/Builders.h"

namespace weft {

mlir::Type elementOf(mlir::Value v);
mlir::RankedTensorType typeOf(mlir::Value v);

/// True if v is a parameter, or slices, reshapes, transposes and concatenations of parameters only.
bool isParameterOnly(mlir::Value v);

mlir::Value reshapeTo(mlir::OpBuilder &b, mlir::Location loc, mlir::Value v, llvm::ArrayRef<DimExpr> shape);
mlir::Value transposeBy(mlir::OpBuilder &b, mlir::Location loc, mlir::Value v, llvm::ArrayRef<int64_t> perm);
/// Swaps the last two axes.
mlir::Value transposeLast(mlir::OpBuilder &b, mlir::Location loc, mlir::Value v);
/// A rank-0 constant of a float type.
mlir::Value floatConstant(mlir::OpBuilder &b, mlir::Location loc, mlir::Type element, double value);

/// Values without operands: every region that reads one makes its own.
inline bool isGenerator(mlir::Operation *op) {
  return llvm::isa_and_nonnull<ConstantOp, IotaOp, PositionsOp, CausalMaskOp, SizeOp, LossScaleOp>(op);
}

/// Ops that only re-index. On memory they are strided views and stay outside of kernels' regions; on a region's value they
/// are arithmetic on indices, inside.
inline bool isView(mlir::Operation *op) { return llvm::isa_and_nonnull<ReshapeOp, SliceOp, TransposeOp, ExpandOp>(op); }

} // namespace weft

#endif // WEFT_DIALECT_VALUES_H
