// Entry functions as the runtime calls them: weft_entry_fn, weft_plan_fn and weft_shapes_fn of abi.h.
// Straight-line launches, loops where the model repeats; no allocation, no state but weft_exec.
#ifndef WEFT_ENTRY_BUILDENTRY_H
#define WEFT_ENTRY_BUILDENTRY_H

#include "entry/Launch.h"

namespace weft {

struct BuiltEntry {
  std::string run, plan, shapes;       ///< symbols of the three functions
  std::vector<Launch> launches;
  std::vector<DimExpr> rounds;         ///< how often each launch runs in one call
};

/// `dims`: names in descriptor order. Writes the functions into `kernels`, named PREFIX_ENTRY[…].
mlir::FailureOr<BuiltEntry> buildEntry(const EntryPlan &plan, mlir::ModuleOp kernels, const TargetInfo &target, ViewTable &views,
                                       KernelCache &cache, llvm::ArrayRef<std::string> dims, llvm::StringRef prefix,
                                       std::string &error, mlir::Operation *&failedOp);

/// A weft_shapes_fn: sizes of all axes of `tensors`, one after the other.
void writeShapeFunction(mlir::ModuleOp module, llvm::StringRef name, llvm::ArrayRef<mlir::Type> tensors, llvm::ArrayRef<std::string> dims,
                        mlir::Location loc);

}  // namespace weft

#endif  // WEFT_ENTRY_BUILDENTRY_H
