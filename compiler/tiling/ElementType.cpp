// Widening loads and narrowing stores. bf16 is handled in integer form: a shift widens it exactly, and rounding takes
// four integer operations on targets that have no conversion instruction.
#include "tiling/ElementType.h"

using namespace mlir;

namespace weft {

int64_t byteSize(ElementType type) { return type == ElementType::F32 ? 4 : 2; }

static Type memoryType(KernelBuilder &k, ElementType type) {
  switch (type) {
  case ElementType::F32:
    return k.b.getF32Type();
  case ElementType::F16:
    return k.b.getF16Type();
  case ElementType::BF16:
    return k.b.getI16Type();
  }
  llvm_unreachable("all element types are handled");
}

/// `like`'s shape with another element.
static Type withElement(Type like, Type element) {
  if (auto vector = dyn_cast<VectorType>(like))
    return vector.clone(element);
  return element;
}

static Value constantLike(KernelBuilder &k, Type type, int64_t value) {
  TypedAttr attribute = k.b.getIntegerAttr(getElementTypeOrSelf(type), value);
  if (auto vector = dyn_cast<VectorType>(type))
    attribute = DenseElementsAttr::get(vector, attribute);
  return arith::ConstantOp::create(k.b, k.loc, attribute);
}

static Value widen(KernelBuilder &k, Value raw, ElementType type) {
  Type f32 = withElement(raw.getType(), k.b.getF32Type());
  switch (type) {
  case ElementType::F32:
    return raw;
  case ElementType::F16:
    return arith::ExtFOp::create(k.b, k.loc, f32, raw);
  case ElementType::BF16: {
    Type i32 = withElement(raw.getType(), k.b.getI32Type());
    Value bits = arith::ExtUIOp::create(k.b, k.loc, i32, raw);
    bits = arith::ShLIOp::create(k.b, k.loc, bits, constantLike(k, i32, 16));
    return arith::BitcastOp::create(k.b, k.loc, f32, bits);
  }
  }
  llvm_unreachable("all element types are handled");
}

static Value narrow(KernelBuilder &k, Value value, ElementType type) {
  switch (type) {
  case ElementType::F32:
    return value;
  case ElementType::F16:
    return arith::TruncFOp::create(k.b, k.loc, withElement(value.getType(), k.b.getF16Type()), value);
  case ElementType::BF16: {
    Type i32 = withElement(value.getType(), k.b.getI32Type()), i16 = withElement(value.getType(), k.b.getI16Type());
    if (llvm::StringRef(k.target.features).contains("+avx512bf16")) {
      Value half = arith::TruncFOp::create(k.b, k.loc, withElement(value.getType(), k.b.getBF16Type()), value);
      return arith::BitcastOp::create(k.b, k.loc, i16, half);
    }
    Value bits = arith::BitcastOp::create(k.b, k.loc, i32, value);
    Value sixteen = constantLike(k, i32, 16);
    Value odd =
        arith::AndIOp::create(k.b, k.loc, arith::ShRUIOp::create(k.b, k.loc, bits, sixteen), constantLike(k, i32, 1));
    Value rounded =
        arith::AddIOp::create(k.b, k.loc, bits, arith::AddIOp::create(k.b, k.loc, odd, constantLike(k, i32, 0x7fff)));
    Value nan = arith::CmpFOp::create(k.b, k.loc, arith::CmpFPredicate::UNO, value, value);
    rounded = arith::SelectOp::create(k.b, k.loc, nan, constantLike(k, i32, 0x7fc00000), rounded);
    return arith::TruncIOp::create(k.b, k.loc, i16, arith::ShRUIOp::create(k.b, k.loc, rounded, sixteen));
  }
  }
  llvm_unreachable("all element types are handled");
}

Value elementAt(KernelBuilder &k, Value ptr, Value index, ElementType type) {
  return k.at(ptr, index, memoryType(k, type));
}

Value loadScalar(KernelBuilder &k, Value ptr, ElementType type) {
  return widen(k, k.load(memoryType(k, type), ptr), type);
}

Value loadVector(KernelBuilder &k, Value ptr, ElementType type, Value mask) {
  VectorType vector = k.vec(memoryType(k, type));
  return widen(k, mask ? k.maskedLoad(vector, ptr, mask) : k.load(vector, ptr), type);
}

void storeVector(KernelBuilder &k, Value value, Value ptr, ElementType type, Value mask) {
  value = narrow(k, value, type);
  if (mask)
    k.maskedStore(value, ptr, mask);
  else
    k.store(value, ptr);
}

void storeScalar(KernelBuilder &k, Value value, Value ptr, ElementType type) { k.store(narrow(k, value, type), ptr); }

/// Addresses ptr + lane * stride, for all lanes.
static Value laneAddresses(KernelBuilder &k, Value ptr, Value stride, ElementType type) {
  SmallVector<int64_t> lanes(k.target.lanes);
  for (int64_t i = 0; i < k.target.lanes; ++i)
    lanes[i] = i;
  VectorType i64s = k.vec(k.b.getI64Type());
  Value lane = arith::ConstantOp::create(k.b, k.loc, DenseElementsAttr::get(i64s, ArrayRef<int64_t>(lanes)));
  Value offset = arith::MulIOp::create(k.b, k.loc, lane, k.splat(stride));
  return LLVM::GEPOp::create(k.b, k.loc, k.vec(k.ptrType()), memoryType(k, type), ptr, ArrayRef<LLVM::GEPArg>{offset});
}

static Value allLanes(KernelBuilder &k) {
  return arith::ConstantOp::create(k.b, k.loc, DenseElementsAttr::get(k.vec(k.b.getI1Type()), true));
}

Value gatherVector(KernelBuilder &k, Value ptr, Value stride, ElementType type, Value mask) {
  VectorType vector = k.vec(memoryType(k, type));
  Value zero = arith::ConstantOp::create(k.b, k.loc, k.b.getZeroAttr(vector));
  Value raw = LLVM::masked_gather::create(k.b, k.loc, vector, laneAddresses(k, ptr, stride, type),
                                          mask ? mask : allLanes(k), ValueRange{zero}, byteSize(type));
  return widen(k, raw, type);
}

void scatterVector(KernelBuilder &k, Value value, Value ptr, Value stride, ElementType type, Value mask) {
  LLVM::masked_scatter::create(k.b, k.loc, narrow(k, value, type), laneAddresses(k, ptr, stride, type),
                               mask ? mask : allLanes(k), byteSize(type));
}

} // namespace weft
