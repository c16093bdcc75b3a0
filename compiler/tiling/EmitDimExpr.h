// Sizes at run time: a DimExpr becomes i64 arithmetic on the values of its names.
// Used inside kernels, where names are slots, and in entry functions, where they are fields of the execution record.
#ifndef WEFT_TILING_EMITDIMEXPR_H
#define WEFT_TILING_EMITDIMEXPR_H

#include "dialect/DimExpr.h"
#include "tiling/KernelBuilder.h"

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/StringMap.h"

namespace weft {

/// The value of `expr` as i64; `valueOf` gives the i64 value of a dim or repeat index. Constants fold.
/// Divisions are exact by the contract of DimExpr. `expr` is valid.
mlir::Value emitDimExpr(mlir::OpBuilder &b, mlir::Location loc, const DimExpr &expr,
                        llvm::function_ref<mlir::Value(llvm::StringRef name)> valueOf);

/// Inside a kernel: names are i64 slots of the launch's argument table.
mlir::Value emitDimExpr(KernelBuilder &k, const DimExpr &expr, const llvm::StringMap<int> &slots);

} // namespace weft

#endif // WEFT_TILING_EMITDIMEXPR_H
