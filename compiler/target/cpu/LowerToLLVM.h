// From kernels (func, scf, arith, vector, llvm) to machine code: the LLVM dialect, LLVM IR, its optimisation, objects.
#ifndef WEFT_TARGET_CPU_LOWERTOLLVM_H
#define WEFT_TARGET_CPU_LOWERTOLLVM_H

#include "tiling/TargetInfo.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/Error.h"
#include "llvm/Target/TargetMachine.h"

namespace weft {

/// Lowers every function of `module` to the LLVM dialect, in place.
llvm::LogicalResult lowerKernelsToLLVM(mlir::ModuleOp module, const TargetInfo &target);

/// The target machine of LLVM for `target`; position-independent code.
llvm::Expected<std::unique_ptr<llvm::TargetMachine>> createTargetMachine(const TargetInfo &target);

/// Translates a module in the LLVM dialect. Functions carry the CPU and its features as attributes. Null after an
/// error, which has been reported.
std::unique_ptr<llvm::Module> translateToLLVMIR(mlir::ModuleOp module, llvm::LLVMContext &context,
                                                const TargetInfo &target, llvm::TargetMachine &machine);

/// Scalar clean-up only: kernels are vectorised, unrolled and scheduled by their emitters.
void optimizeModule(llvm::Module &module, llvm::TargetMachine &machine);

/// The bytes of a relocatable object (or of assembly text).
llvm::Expected<llvm::SmallVector<char, 0>> emitObject(llvm::Module &module, llvm::TargetMachine &machine,
                                                      bool assembly = false);

} // namespace weft

#endif // WEFT_TARGET_CPU_LOWERTOLLVM_H
