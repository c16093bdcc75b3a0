// Element types of memory operands. Kernels compute in f32; loads widen and stores round to nearest even.
// All accessors take f32 vectors of TargetInfo::lanes elements or scalars, and addresses counted in elements.
#ifndef WEFT_TILING_ELEMENTTYPE_H
#define WEFT_TILING_ELEMENTTYPE_H

#include "tiling/KernelBuilder.h"

namespace weft {

enum class ElementType { F32, BF16, F16 };

int64_t byteSize(ElementType type);
/// Address of element `index` from `ptr`.
mlir::Value elementAt(KernelBuilder &k, mlir::Value ptr, mlir::Value index, ElementType type);
/// One element as f32.
mlir::Value loadScalar(KernelBuilder &k, mlir::Value ptr, ElementType type);
/// `lanes` elements as f32. `mask` may be null; lanes that are off read as zero and are not touched.
mlir::Value loadVector(KernelBuilder &k, mlir::Value ptr, ElementType type, mlir::Value mask = nullptr);
void storeVector(KernelBuilder &k, mlir::Value value, mlir::Value ptr, ElementType type, mlir::Value mask = nullptr);
/// As above, with `stride` elements between lanes.
mlir::Value gatherVector(KernelBuilder &k, mlir::Value ptr, mlir::Value stride, ElementType type,
                         mlir::Value mask = nullptr);
void scatterVector(KernelBuilder &k, mlir::Value value, mlir::Value ptr, mlir::Value stride, ElementType type,
                   mlir::Value mask = nullptr);
void storeScalar(KernelBuilder &k, mlir::Value value, mlir::Value ptr, ElementType type);

} // namespace weft

#endif // WEFT_TILING_ELEMENTTYPE_H
