// The kernels of an update: optimizer, gradient norm, sum of micro-batches. Argument tables: weft/abi_train.h.
// Written as row kernels over the flat memories, so every target that has row kernels has these.
#ifndef WEFT_ENTRY_TRAINKERNELS_H
#define WEFT_ENTRY_TRAINKERNELS_H

#include "import/ModelDesc.h"
#include "tiling/KernelBuilder.h"

namespace weft {

/// Symbols of the kernels.
struct TrainKernels {
  std::string update, norm, add;
};

TrainKernels buildTrainKernels(const OptimizerDesc &optimizer, mlir::ModuleOp kernels, const TargetInfo &target, llvm::StringRef prefix);

} // namespace weft

#endif // WEFT_ENTRY_TRAINKERNELS_H
