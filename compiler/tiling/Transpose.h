// Transposition of a square of lanes x lanes elements held in registers.
#ifndef WEFT_TILING_TRANSPOSE_H
#define WEFT_TILING_TRANSPOSE_H

#include "tiling/KernelBuilder.h"

namespace weft {

/// `rows` are target.lanes vectors of target.lanes elements; lane j of result i is lane i of row j.
llvm::SmallVector<mlir::Value> transpose(KernelBuilder &k, mlir::ValueRange rows);

/// Lane i of the result is the sum of the lanes of rows[i]; `rows` are target.lanes vectors.
mlir::Value sumRows(KernelBuilder &k, mlir::ValueRange rows);

} // namespace weft

#endif // WEFT_TILING_TRANSPOSE_H
