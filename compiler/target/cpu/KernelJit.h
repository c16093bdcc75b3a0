// Compiles emitted kernels in memory and runs them: for tests and benchmarks, through the same pipeline as objects.
#ifndef WEFT_TARGET_CPU_KERNELJIT_H
#define WEFT_TARGET_CPU_KERNELJIT_H

#include "tiling/KernelBuilder.h"

#include "weft/abi.h"

#include "llvm/ADT/StringMap.h"
#include "llvm/Support/Error.h"

#include <memory>

namespace weft {

struct JitKernel {
  weft_kernel_fn function = nullptr;
  int64_t (*tasks)(const void *args) = nullptr; ///< the kernel's own count, from the slots
  int64_t scratchBytes = 0;

  /// Runs all tasks in `parts` consecutive ranges on this thread.
  void run(const void *args, int64_t parts = 1) const;
};

class KernelJit {
public:
  explicit KernelJit(const TargetInfo &target);
  ~KernelJit();

  /// Emit kernels into this module, then `add` each one.
  mlir::ModuleOp module();
  const TargetInfo &target() const;
  void add(const EmittedKernel &kernel, int slots);
  llvm::Error compile();
  /// After compile().
  JitKernel get(llvm::StringRef name) const;
  /// Bytes of the object file, after compile().
  size_t objectBytes() const;

private:
  struct State;
  std::unique_ptr<State> state;
};

} // namespace weft

#endif // WEFT_TARGET_CPU_KERNELJIT_H
