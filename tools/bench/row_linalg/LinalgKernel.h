// A row kernel made by MLIR's own passes: structured ops, a transform schedule, bufferisation, vectors, machine code.
#ifndef WEFT_TOOLS_BENCH_ROW_LINALG_LINALGKERNEL_H
#define WEFT_TOOLS_BENCH_ROW_LINALG_LINALGKERNEL_H

#include "tiling/TargetInfo.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/Error.h"

#include <memory>
#include <string>

namespace weft {

/// LLVM's part after the lowering: the clean-up that emitted kernels get, or clang's -O3.
enum class LlvmLevel { CleanUp, O3 };

class LinalgKernel {
public:
  explicit LinalgKernel(const TargetInfo &target);
  ~LinalgKernel();

  /// Compiles @linalg of `source` by the sequences @tile and @vectorize of `schedule` (texts of MLIR).
  llvm::Error compile(const std::string &source, const std::string &schedule, LlvmLevel level);
  /// Bytes of the object file.
  size_t objectBytes() const;
  /// Milliseconds of the last compile() after parsing: in MLIR's passes, and in all.
  double mlirMilliseconds() const;
  double milliseconds() const;

  /// Runs rows [begin, end) of `columns` columns. `operands` in the order of the function's arguments; `isRow` tells
  /// which of them have one row for all (bias, weight).
  void run(llvm::ArrayRef<float *> operands, llvm::ArrayRef<bool> isRow, int64_t begin, int64_t end,
           int64_t columns) const;

private:
  struct State;
  std::unique_ptr<State> state;
};

} // namespace weft

#endif // WEFT_TOOLS_BENCH_ROW_LINALG_LINALGKERNEL_H
