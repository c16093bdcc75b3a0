// Matrix products: out(b, i, j) = epilogue(sum over k of lhs(b, i, k) * rhs(b, k, j)), with rhs in packed panels.
// Also the kernel that packs a run-time matrix into such panels, for products that do not pack it themselves.
//
// Slots are numbers in the launch's argument table. The caller chooses them freely: every pointer and every dynamic
// size names its own slot. Strides count elements. Sizes and strides may be constants or i64 slots; constant strides
// give the fastest code (row addresses become displacements).
#ifndef WEFT_TILING_CONTRACTIONKERNEL_H
#define WEFT_TILING_CONTRACTIONKERNEL_H

#include "tiling/ElementType.h"
#include "tiling/KernelBuilder.h"

namespace weft {

/// A matrix in memory: element (b, i, j) is at pointer[sum of b[a] * batch[a] + i * row + j * column].
/// `batch` is empty (the same for every batch index) or has one stride per batch axis; stride 0 broadcasts.
struct MatrixOperand {
  int pointer = -1;
  ElementType type = ElementType::F32;
  Size row, column = Size::constant(1);
  llvm::SmallVector<Size, 3> batch;
};

/// Where an epilogue is called: `lanes` results of one row, columns [column, column + lanes).
struct EpiloguePoint {
  mlir::Value sum;                   ///< vector of f32
  mlir::Value row, column;           ///< i64
  mlir::Value mask;                  ///< null: all lanes are results; else vector<lanes x i1>
  llvm::ArrayRef<mlir::Value> batch; ///< i64 index of each batch axis
};

/// Reads the operand at the point: column stride 0 gives a splat, 1 a vector load, others a gather; row stride 0 and an
/// empty `batch` broadcast. A bias is {pointer, F32, row = 0}.
mlir::Value loadOperand(KernelBuilder &k, const EpiloguePoint &point, const MatrixOperand &operand);
/// Writes `value` to the operand at the point; column stride 1, or any other through a scatter.
void storeOperand(KernelBuilder &k, const EpiloguePoint &point, mlir::Value value, const MatrixOperand &operand);

struct Epilogue {
  /// Emits the IR that consumes one vector of sums: loads, arithmetic and the stores of all results. Called several
  /// times, in two functions: it may use no values but those of the builder and the point that it is given. The code
  /// must not read what other points of the launch write.
  std::function<void(KernelBuilder &, const EpiloguePoint &)> emit;
  /// True when `emit` is more than about ten vector operations (any function of VectorMath): it is then emitted in a
  /// loop over the tile's sums in scratch memory, once, in a function `<kernel>_epilogue`, and not inline for each
  /// accumulator.
  bool heavy = false;
};

/// The epilogue that only stores the sums.
Epilogue storeEpilogue(const MatrixOperand &out);

struct ContractionSpec {
  Size m, n, k;
  llvm::SmallVector<Size, 3> batch; ///< sizes of the batch axes, outermost first; empty: one product
  MatrixOperand lhs;                ///< rows are m, columns are k
  int rhs = -1;                     ///< pointer to panels [ceil(n / nr)][k][nr], nr = tileSizes(target).panel
  ElementType rhsType = ElementType::F32; ///< of the panels
  llvm::SmallVector<Size, 3> rhsBatch; ///< element stride of rhs along each batch axis; empty: shared
  /// Set instead of `rhs` and `rhsBatch`: the matrix as it stands in memory (rows are k, columns are n, any strides).
  /// Each task packs its own panel in its scratch memory, which costs next to nothing where few blocks of rows share it.
  std::optional<MatrixOperand> rhsSource;
  llvm::SmallVector<MatrixOperand> results; ///< what the epilogue stores; each tile fetches the next one's lines
  Epilogue epilogue;
};

/// Task = (batch, row block, panel), panel fastest. Each sum is one chain of fused multiply-adds in the order of k,
/// so a row's result depends neither on m nor on the partition of tasks. Empty sizes are fine: k = 0 gives sums of
/// zero. Besides `name`, the module may get a private function `name`_epilogue.
EmittedKernel emitContraction(mlir::ModuleOp module, llvm::StringRef name, const ContractionSpec &spec,
                              const TargetInfo &target);

struct PackSpec {
  Size k, n;
  llvm::SmallVector<Size, 3> batch;
  MatrixOperand source; ///< rows are k, columns are n, any strides
  int panels = -1;      ///< pointer to the result [batch…][ceil(n / nr)][k][nr]; columns past n are zero
  ElementType panelType = ElementType::F32;
  Size matrixStride = Size::constant(0); ///< elements from one matrix of the batch to the next; 0: without a gap
};

/// Task = (batch, panel).
EmittedKernel emitPack(mlir::ModuleOp module, llvm::StringRef name, const PackSpec &spec, const TargetInfo &target);

/// Emits the packing of rows [k0, k1) of `source`, columns [column, column + nr) of its n, into [k1 - k0][nr] elements at
/// `panel`; `base` is where the matrix of this batch index starts. Columns past n become zero.
void packPanel(KernelBuilder &k, mlir::Value base, const MatrixOperand &source, mlir::Value k0, mlir::Value k1,
               mlir::Value column, mlir::Value n, mlir::Value panel, ElementType panelType);

/// Elements of the packed form of one [k, n] matrix.
int64_t packedElements(int64_t k, int64_t n, const TargetInfo &target);

} // namespace weft

#endif // WEFT_TILING_CONTRACTIONKERNEL_H
