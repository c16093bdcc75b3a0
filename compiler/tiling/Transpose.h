// Movement of elements between lanes: transposition of lanes x lanes squares held in registers, and reductions.
#ifndef WEFT_TILING_TRANSPOSE_H
#define WEFT_TILING_TRANSPOSE_H

#include "tiling/KernelBuilder.h"

namespace weft {

/// `rows` are target.lanes vectors of target.lanes elements; lane j of result i is lane i of row j.
llvm::SmallVector<mlir::Value> transpose(KernelBuilder &k, mlir::ValueRange rows);

/// Lane i of the result is the sum of the lanes of rows[i]; `rows` are target.lanes vectors.
mlir::Value sumRows(KernelBuilder &k, mlir::ValueRange rows);

/// All lanes of the result hold the sum, or the maximum, of the lanes of x; always in the same order.
mlir::Value sumLanes(KernelBuilder &k, mlir::Value x);
mlir::Value maxLanes(KernelBuilder &k, mlir::Value x);

/// The larger of x and y; NaN in y is ignored. One instruction on x86.
mlir::Value larger(KernelBuilder &k, mlir::Value x, mlir::Value y);

/// 0, 1, 2, … as vector of i32.
mlir::Value laneIndices(KernelBuilder &k);

} // namespace weft

#endif // WEFT_TILING_TRANSPOSE_H
