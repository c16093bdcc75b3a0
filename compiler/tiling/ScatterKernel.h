// Rows or elements added at places that indices name: gradients of embeddings and gathers.
// Every element of the result is summed by one task in the order of the places, so all partitions give the same bits.
#ifndef WEFT_TILING_SCATTERKERNEL_H
#define WEFT_TILING_SCATTERKERNEL_H

#include "tiling/KernelBuilder.h"

#include <optional>

namespace weft {

/// result[o, r, c] = init[o, r, c] + Σ source[o, j, c] over the j with index[o, j, c] = r, j ascending. The result is
/// row-major; indices outside of 0 … rows - 1 add nothing, like `padding`.
struct ScatterSpec {
  Size outer, rows, places, columns;
  mlir::Type element, indexElement;  ///< f32 or f64; an integer
  int result = 0, source = 0, index = 0;              ///< slots of pointers
  Size sourceOuter, sourcePlace;                      ///< strides in elements; columns lie next to each other
  Size indexOuter, indexPlace, indexColumn;           ///< a constant 0 for columns: one index for a whole row
  enum class Init { zero, copied, inPlace } init = Init::zero;
  int initial = 0;                                    ///< copied: slot of the pointer
  Size initialRow;                                    ///< copied: stride; there is one o
  std::optional<int64_t> padding;
};

EmittedKernel emitScatter(mlir::ModuleOp module, llvm::StringRef name, const ScatterSpec &spec, const TargetInfo &target);

} // namespace weft

#endif // WEFT_TILING_SCATTERKERNEL_H
