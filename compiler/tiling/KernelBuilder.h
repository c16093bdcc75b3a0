// One kernel function under construction: its arguments, and short names for the IR that every emitter writes.
// Kernels address memory with !llvm.ptr and i64 arithmetic (no memref descriptors), loop with scf.for over i64, and
// compute on 1-D vectors of `lanes` elements with arith, math-free vector ops and VectorMath.
#ifndef WEFT_TILING_KERNELBUILDER_H
#define WEFT_TILING_KERNELBUILDER_H

#include "tiling/TargetInfo.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"

#include <functional>

namespace weft {

/// A size inside a kernel: a constant, or the number of an i64 slot of the launch's argument table.
struct Size {
  int64_t value = 0;
  int slot = -1;
  static Size constant(int64_t v) { return {v, -1}; }
  static Size dynamic(int slot) { return {0, slot}; }
  bool isConstant() const { return slot < 0; }
};

/// Builds `func.func private @name(%args: !llvm.ptr, %begin: i64, %end: i64, %scratch: !llvm.ptr)`, the calling
/// convention of weft_kernel_fn in abi.h. Slots are 8-byte entries of %args: pointers or i64 values. Slot loads are
/// emitted once, at the function's entry, and cached.
class KernelBuilder {
public:
  KernelBuilder(mlir::ModuleOp module, llvm::StringRef name, const TargetInfo &target, mlir::Location loc);
  /// Terminates the function (func.return) and returns it.
  mlir::func::FuncOp finish();

  mlir::OpBuilder b;
  mlir::Location loc;
  const TargetInfo &target;
  mlir::func::FuncOp func;
  mlir::Value args, begin, end, scratch;

  // --- types
  mlir::Type i64Type() { return b.getI64Type(); }
  mlir::Type ptrType();
  mlir::VectorType vec(mlir::Type element);            ///< target.lanes elements
  mlir::VectorType vecF32() { return vec(b.getF32Type()); }

  // --- slots
  mlir::Value ptrSlot(int slot);
  mlir::Value i64Slot(int slot);
  mlir::Value size(Size s) { return s.isConstant() ? i64(s.value) : i64Slot(s.slot); }

  // --- i64 arithmetic; folds constants
  mlir::Value i64(int64_t v);
  mlir::Value add(mlir::Value x, mlir::Value y);
  mlir::Value sub(mlir::Value x, mlir::Value y);
  mlir::Value mul(mlir::Value x, mlir::Value y);
  mlir::Value udiv(mlir::Value x, mlir::Value y);      ///< operands are never negative
  mlir::Value urem(mlir::Value x, mlir::Value y);
  mlir::Value ceilDiv(mlir::Value x, mlir::Value y);
  mlir::Value min(mlir::Value x, mlir::Value y);
  mlir::Value max(mlir::Value x, mlir::Value y);
  mlir::Value less(mlir::Value x, mlir::Value y);      ///< signed, i1
  mlir::Value select(mlir::Value c, mlir::Value x, mlir::Value y);

  // --- memory: element addresses, scalar and vector access (alignment of one element, so any address is legal)
  mlir::Value at(mlir::Value ptr, mlir::Value index, mlir::Type element);   ///< ptr + index * sizeof(element)
  mlir::Value load(mlir::Type type, mlir::Value ptr);                       ///< scalar or vector
  void store(mlir::Value value, mlir::Value ptr);
  mlir::Value maskedLoad(mlir::VectorType type, mlir::Value ptr, mlir::Value mask);  ///< lanes off: zero, not touched
  void maskedStore(mlir::Value value, mlir::Value ptr, mlir::Value mask);
  void prefetch(mlir::Value ptr, int locality, bool write = false);
  mlir::Value laneMask(mlir::Value count);             ///< vector<lanes x i1>, lane < count (count may exceed lanes)

  // --- values
  mlir::Value f32(float v);
  mlir::Value splat(mlir::Value scalar);
  mlir::Value constVec(double v);                      ///< vector of f32
  mlir::Value fma(mlir::Value x, mlir::Value y, mlir::Value z);

  // --- control flow. Bodies receive the builder positioned inside and return the yielded values.
  using LoopBody = std::function<llvm::SmallVector<mlir::Value>(mlir::Value iv, mlir::ValueRange carried)>;
  mlir::ValueRange loop(mlir::Value from, mlir::Value to, mlir::Value step, mlir::ValueRange init, LoopBody body);
  void loop(mlir::Value from, mlir::Value to, mlir::Value step, std::function<void(mlir::Value iv)> body);
  void ifThen(mlir::Value cond, std::function<void()> then, std::function<void()> otherwise = nullptr);
  using Branch = std::function<llvm::SmallVector<mlir::Value>()>;
  mlir::ValueRange ifElse(mlir::TypeRange types, mlir::Value cond, Branch then, Branch otherwise);

private:
  llvm::DenseMap<std::pair<int, int>, mlir::Value> slots;
};

/// What a launch needs to know of an emitted kernel.
struct EmittedKernel {
  mlir::func::FuncOp func;
  int64_t scratchBytes = 0;  ///< constant part of the scratch one thread needs
  /// Builds the number of tasks from the launch's slot values (i64 slots only are meaningful), outside the kernel.
  std::function<mlir::Value(mlir::OpBuilder &, mlir::Location, mlir::ValueRange slots)> tasks;
};

}  // namespace weft

#endif  // WEFT_TILING_KERNELBUILDER_H
