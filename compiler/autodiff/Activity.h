// Which values depend on something a gradient is wanted of. Nothing else gets a gradient, so freezing a parameter prunes
// the part of the backward pass that only it needed.
#ifndef WEFT_AUTODIFF_ACTIVITY_H
#define WEFT_AUTODIFF_ACTIVITY_H

#include "dialect/Weft.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace weft {

/// `wanted` says of arguments and of weft.parameter results whether a gradient is wanted. Integers and bools never vary.
llvm::DenseSet<mlir::Value> variedValues(mlir::func::FuncOp func, llvm::function_ref<bool(mlir::Value)> wanted);

} // namespace weft

#endif // WEFT_AUTODIFF_ACTIVITY_H
