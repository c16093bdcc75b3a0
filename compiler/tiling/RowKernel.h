// Kernels of weft.fused regions: pointwise work, reductions, norms, softmax, pooling, gathers, positions, movement.
// Also what fusion and memory planning ask about such a region before any code exists.
//
// A kernel walks the elements of its results. Everything else in the region is computed where it is needed: movement ops
// are index arithmetic, reductions are loops emitted once per row. Tasks are rows, or blocks of a row.
#ifndef WEFT_TILING_ROWKERNEL_H
#define WEFT_TILING_ROWKERNEL_H

#include "dialect/Weft.h"
#include "tiling/KernelBuilder.h"

#include "llvm/ADT/StringMap.h"

#include <functional>
#include <string>

namespace weft {

/// Memory of an operand or result: element (i, j, …) is at pointer[i * strides[0] + j * strides[1] + …], counted in
/// elements of the tensor's type (bool: one byte). The slot's address includes the view's offset.
struct RowOperand {
  int pointer = -1;
  Shape strides;
};

struct RowKernelSpec {
  FusedOp op;
  llvm::SmallVector<RowOperand> operands, results;
  /// i64 slot of every dim and repeat index that occurs in shapes, strides and attributes.
  llvm::StringMap<int> dims;
  /// Slot of the address of weft_exec.fault, where the region reads indices (embedding, gather).
  int fault = -1;
  /// Slot of the address of weft_exec.seed, where the region has random numbers (dropout) or the loss scale, which follow it.
  int random = -1;
  /// Number of an op's site in the model's table; null: 0 for all.
  std::function<int(mlir::Operation *)> site;
  /// Slot of the address of a state's int64 lengths [B] (weft.positions).
  std::function<int(llvm::StringRef state)> lengths;
};

/// Any partition of the tasks gives the same bits. Never fails: what canEmitRowKernel refuses comes out right but slow.
/// A result may lie in the memory of an operand where mayAlias says so.
EmittedKernel emitRowKernel(mlir::ModuleOp module, llvm::StringRef name, const RowKernelSpec &spec, const TargetInfo &target);

/// Bytes of scratch that one thread needs beyond EmittedKernel::scratchBytes: row buffers of dynamic length.
DimExpr rowKernelScratch(FusedOp op);

/// Whether the region is one kernel's worth of work: no value is computed more than a small number of times. Otherwise
/// `why` says what stands against it. Always succeeds for a region with one op.
llvm::LogicalResult canEmitRowKernel(FusedOp op, std::string &why);

/// True if the kernel reads `operand` only at the row (or the element) that it is about to write to `result`, so that both
/// may be one memory of equal shape, strides and element type.
bool mayAlias(FusedOp op, unsigned operand, unsigned result);

} // namespace weft

#endif // WEFT_TILING_ROWKERNEL_H
