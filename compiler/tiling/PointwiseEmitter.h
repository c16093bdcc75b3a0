// Pointwise weft ops on kernel values: one call per op, for row kernels and for the epilogues of contractions.
//
// A kernel value is a scalar or a vector of TargetInfo::lanes elements of the *compute type* of its tensor's element type:
// f32 for f32, f16 and bf16; f64; signless integers; i1 for bool. Scalars mix with vectors and are splat where needed.
#ifndef WEFT_TILING_POINTWISEEMITTER_H
#define WEFT_TILING_POINTWISEEMITTER_H

#include "dialect/Weft.h"
#include "tiling/KernelBuilder.h"

#include "llvm/ADT/STLFunctionalExtras.h"

namespace weft {

/// The type that elements of `storage` have in registers.
mlir::Type computeType(mlir::Type storage);

/// `value` as a vector; a vector stays as it is.
mlir::Value asVector(KernelBuilder &k, mlir::Value value);

/// A literal in the shape (scalar or vector) and element type of `like`; floats and integers.
mlir::Value literal(KernelBuilder &k, mlir::Type like, double value);

/// A function of the C library on f64 scalars or vectors (lane by lane).
mlir::Value callLibrary(KernelBuilder &k, llvm::StringRef name, mlir::ValueRange xs);

/// The result of one pointwise op; `operands` are the compute values of its operands.
mlir::Value emitPointwiseOp(KernelBuilder &k, mlir::Operation *op, mlir::ValueRange operands);

/// Whether a block holds only pointwise ops and splat constants, and no dropout, whose random numbers need the elements'
/// indices.
bool canEmitPointwise(mlir::Block &block);

/// Emits such a block; `load` gives the values of block arguments and is called once for each argument that is used.
/// Returns what the terminator yields.
llvm::SmallVector<mlir::Value> emitPointwise(KernelBuilder &k, mlir::Block &block,
                                             llvm::function_ref<mlir::Value(mlir::BlockArgument)> load);

/// True if `op` costs more than about ten vector operations: exponentials and their kin, random numbers.
bool isTranscendental(mlir::Operation *op);

/// True if `block` holds such an op: Epilogue::heavy.
bool isHeavy(mlir::Block &block);

} // namespace weft

#endif // WEFT_TILING_POINTWISEEMITTER_H
