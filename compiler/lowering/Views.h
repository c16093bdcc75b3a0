// How kernels see a tensor value: a root buffer, an offset and one stride per axis, all in elements.
// Movement ops that only re-index (slice, transpose, reshape of contiguous axes) never copy; they become views.
#ifndef WEFT_LOWERING_VIEWS_H
#define WEFT_LOWERING_VIEWS_H

#include "dialect/Weft.h"

namespace weft {

struct View {
  mlir::Value root;   ///< a function or block argument, a kernel's or repeat's result, a weft.parameter
  DimExpr offset;
  Shape strides;      ///< one for each axis of the viewed value
};

/// Row-major strides of a shape.
Shape contiguousStrides(llvm::ArrayRef<DimExpr> shape);

/// Strides of `to` over the same elements as `from` (with `strides`), or nullopt where the elements of a new axis are not
/// evenly spaced. Axes of size 1 get stride 0.
std::optional<Shape> reshapeStrides(const Shape &from, const Shape &strides, const Shape &to);

/// The view through the movement ops that define `value`, down to the first value that is none.
/// nullopt if one of them can't be expressed by strides.
std::optional<View> viewOf(mlir::Value value);

/// True if the view covers its root's elements in row-major order without gaps, from `offset` on.
bool isContiguous(const View &view, const Shape &shape);

/// embedding_grad and scatter_add as one loop over [outer, places, columns] into [outer, rows, columns].
struct ScatterAxes {
  DimExpr outer, rows, places, columns;
  bool isRows;  ///< embedding_grad: one index for a whole row
  Shape indexShape() const { return {outer, places, isRows ? DimExpr(1) : columns}; }
  Shape sourceShape() const { return {outer, places, columns}; }
};
ScatterAxes scatterAxes(mlir::Operation *op);

/// One part of a packed parameter view: a weft.parameter and the strided part of it that is read.
struct ParameterPart {
  mlir::Value parameter;
  int64_t offset = 0, n = 0, strideK = 0, strideN = 0;
};

/// `value` ([k, n], or [n, k] when `transposed`) as parts of parameters side by side along n; nullopt if it is anything
/// else than a parameter behind movement ops, or a concat of such along n.
std::optional<llvm::SmallVector<ParameterPart>> parameterMatrix(mlir::Value value, bool transposed);

/// What the right side of a product is packed as when it is no packed parameter: the narrower type of its two sides.
mlir::Type packedElement(ContractOp op);

/// The loop before which the right side of a product in its region can be packed, once for all chunks; null if it is made
/// inside, or there is no such loop.
ChunksOp packedBefore(ContractOp op);

/// Whether the function around `op` reads parameters as they are, because it changes them between its calls: it has the
/// attribute `weft.plain_parameters`. Nothing of it is packed beforehand, and no two parameters are one.
bool readsPlainParameters(mlir::Operation *op);

/// `value` as contiguous pieces of parameters one after the other (a bias vector, a table); nullopt if it is not.
std::optional<llvm::SmallVector<ParameterPart>> parameterPieces(mlir::Value value);

}  // namespace weft

#endif  // WEFT_LOWERING_VIEWS_H
