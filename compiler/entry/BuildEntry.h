// Entry functions as the runtime calls them: weft_entry_fn, weft_plan_fn and weft_shapes_fn of abi.h.
// Straight-line launches, loops where the model repeats; no allocation, no state but weft_exec.
#ifndef WEFT_ENTRY_BUILDENTRY_H
#define WEFT_ENTRY_BUILDENTRY_H

#include "entry/Launch.h"

namespace weft {

struct BuiltLaunch {
  Launch launch;
  const EmittedKernel *kernel;
  DimExpr rounds;                      ///< how often it runs in one call
};

struct BuiltEntry {
  std::string run, plan, shapes;       ///< symbols of the three functions
  std::vector<BuiltLaunch> launches;
};

/// `dims`: names in descriptor order. Writes the functions into `kernels`, named PREFIX.ENTRY[.…], which no entry's name and no kernel's can be, and the kernels that the
/// cache does not have.
BuiltEntry buildEntry(const EntryPlan &plan, const ChosenLaunches &chosen, mlir::ModuleOp kernels, KernelCache &cache,
                      llvm::ArrayRef<std::string> dims, llvm::StringRef prefix);

/// A weft_shapes_fn: sizes of all axes of `tensors`, one after the other.
void writeShapeFunction(mlir::ModuleOp module, llvm::StringRef name, llvm::ArrayRef<mlir::Type> tensors, llvm::ArrayRef<std::string> dims,
                        mlir::Location loc);

}  // namespace weft

#endif  // WEFT_ENTRY_BUILDENTRY_H
