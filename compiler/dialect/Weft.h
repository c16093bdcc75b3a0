// The weft dialect as other rooms see it: ops, the #weft.dims encoding, and shapes as DimExprs.
// This is the one dialect header to include.
#ifndef WEFT_DIALECT_WEFT_H
#define WEFT_DIALECT_WEFT_H

#include "dialect/DimExpr.h"

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/IR/TensorEncoding.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace weft::OpTrait {
/// Result element i depends on the operands' elements at the broadcast position of i and on nothing else.
template <typename Op>
class Pointwise : public mlir::OpTrait::TraitBase<Op, Pointwise> {};
/// Result element i is one operand element (or a constant); no arithmetic.
template <typename Op>
class Movement : public mlir::OpTrait::TraitBase<Op, Movement> {};
/// Reduces or normalises along axes of its first operand.
template <typename Op>
class RowWise : public mlir::OpTrait::TraitBase<Op, RowWise> {};
/// Short for other ops, which ExpandSugar writes.
template <typename Op>
class Sugar : public mlir::OpTrait::TraitBase<Op, Sugar> {};
}  // namespace weft::OpTrait

#include "dialect/WeftDialect.h.inc"
#define GET_ATTRDEF_CLASSES
#include "dialect/WeftAttrs.h.inc"
#define GET_OP_CLASSES
#include "dialect/WeftOps.h.inc"

namespace weft {

using Shape = llvm::SmallVector<DimExpr, 4>;

/// Sizes of all axes of a ranked tensor type. A dynamic axis without a #weft.dims entry is an invalid DimExpr; the
/// verifiers refuse such types.
Shape shapeOf(mlir::Type type);
Shape shapeOf(mlir::Value value);

/// The tensor type with these sizes: constants become static sizes, the rest `?` with an entry in #weft.dims.
mlir::RankedTensorType tensorType(llvm::ArrayRef<DimExpr> shape, mlir::Type element);

/// NumPy's broadcast of two shapes; nullopt if an axis pair is neither equal nor 1 on one side.
std::optional<Shape> broadcast(const Shape &a, const Shape &b);

/// Product of the sizes.
DimExpr elementCount(llvm::ArrayRef<DimExpr> shape);

/// ceil((end - start) / step) for a slice; invalid if not expressible.
DimExpr sliceSize(const DimExpr &start, const DimExpr &end, int64_t step);

/// Bytes of one element as stored (bool: 1).
int64_t elementBytes(mlir::Type element);

/// f16 or bf16.
inline bool isHalf(mlir::Type element) { return element.isF16() || element.isBF16(); }

/// The rank-0 or splat value of a weft.constant, or nullopt.
std::optional<double> scalarConstant(mlir::Value value);

/// Ops that are a kernel launch after LowerToKernels: contract, attention, attention_grad, fused, last_token, embedding_grad, scatter_add.
bool isKernel(mlir::Operation *op);
bool isPointwise(mlir::Operation *op);
bool isMovement(mlir::Operation *op);
bool isRowWise(mlir::Operation *op);

}  // namespace weft

#endif  // WEFT_DIALECT_WEFT_H
