// Short names for the IR that kernels are made of: slots, i64 arithmetic with folding, memory access, loops.
// Integer arithmetic folds while it is built, because emitters compose sizes that are often all constant.
#include "tiling/KernelBuilder.h"

#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "llvm/ADT/APFloat.h"

using namespace mlir;

namespace weft {

KernelBuilder::KernelBuilder(ModuleOp module, llvm::StringRef name, const TargetInfo &target, Location loc)
    : b(module.getContext()), loc(loc), target(target) {
  b.setInsertionPointToEnd(module.getBody());
  Type ptr = ptrType(), i64 = b.getI64Type();
  func = func::FuncOp::create(b, loc, name, b.getFunctionType({ptr, i64, i64, ptr}, {}));
  func.setPrivate();
  Block *entry = func.addEntryBlock();
  args = entry->getArgument(0);
  begin = entry->getArgument(1);
  end = entry->getArgument(2);
  scratch = entry->getArgument(3);
  b.setInsertionPointToStart(entry);
}

func::FuncOp KernelBuilder::finish() {
  b.setInsertionPointToEnd(&func.getBody().front());
  func::ReturnOp::create(b, loc);
  return func;
}

Type KernelBuilder::ptrType() { return LLVM::LLVMPointerType::get(b.getContext()); }

VectorType KernelBuilder::vec(Type element) { return VectorType::get({target.lanes}, element); }

// ---- Slots

static Value slotLoad(KernelBuilder &k, llvm::DenseMap<std::pair<int, int>, Value> &slots, int slot, Type type,
                      int kind) {
  Value &cached = slots[{slot, kind}];
  if (cached)
    return cached;
  OpBuilder::InsertionGuard guard(k.b);
  k.b.setInsertionPointToStart(&k.func.getBody().front());
  auto address = LLVM::GEPOp::create(k.b, k.loc, k.ptrType(), k.b.getI64Type(), k.args, ArrayRef<LLVM::GEPArg>{slot});
  auto load = LLVM::LoadOp::create(k.b, k.loc, type, address, /*alignment=*/8);
  load.setInvariant(true);
  return cached = load;
}

Value KernelBuilder::ptrSlot(int slot) { return slotLoad(*this, slots, slot, ptrType(), 0); }

Value KernelBuilder::i64Slot(int slot) { return slotLoad(*this, slots, slot, b.getI64Type(), 1); }

// ---- Integer arithmetic

Value KernelBuilder::i64(int64_t v) { return arith::ConstantIntOp::create(b, loc, v, 64); }

Value KernelBuilder::add(Value x, Value y) {
  auto cx = getConstantIntValue(x), cy = getConstantIntValue(y);
  if (cx && cy)
    return i64(*cx + *cy);
  if (cx == 0)
    return y;
  if (cy == 0)
    return x;
  return arith::AddIOp::create(b, loc, x, y, arith::IntegerOverflowFlags::nsw);
}

Value KernelBuilder::sub(Value x, Value y) {
  auto cx = getConstantIntValue(x), cy = getConstantIntValue(y);
  if (cx && cy)
    return i64(*cx - *cy);
  if (cy == 0)
    return x;
  return arith::SubIOp::create(b, loc, x, y, arith::IntegerOverflowFlags::nsw);
}

Value KernelBuilder::mul(Value x, Value y) {
  auto cx = getConstantIntValue(x), cy = getConstantIntValue(y);
  if (cx && cy)
    return i64(*cx * *cy);
  if (cx == 0 || cy == 0)
    return i64(0);
  if (cx == 1)
    return y;
  if (cy == 1)
    return x;
  return arith::MulIOp::create(b, loc, x, y, arith::IntegerOverflowFlags::nsw);
}

Value KernelBuilder::udiv(Value x, Value y) {
  auto cx = getConstantIntValue(x), cy = getConstantIntValue(y);
  if (cx && cy && *cy)
    return i64(*cx / *cy);
  if (cy == 1)
    return x;
  return arith::DivUIOp::create(b, loc, x, y);
}

Value KernelBuilder::urem(Value x, Value y) {
  auto cx = getConstantIntValue(x), cy = getConstantIntValue(y);
  if (cx && cy && *cy)
    return i64(*cx % *cy);
  if (cy == 1)
    return i64(0);
  return arith::RemUIOp::create(b, loc, x, y);
}

Value KernelBuilder::ceilDiv(Value x, Value y) { return udiv(add(x, sub(y, i64(1))), y); }

Value KernelBuilder::min(Value x, Value y) {
  auto cx = getConstantIntValue(x), cy = getConstantIntValue(y);
  if (cx && cy)
    return i64(std::min(*cx, *cy));
  return arith::MinSIOp::create(b, loc, x, y);
}

Value KernelBuilder::max(Value x, Value y) {
  auto cx = getConstantIntValue(x), cy = getConstantIntValue(y);
  if (cx && cy)
    return i64(std::max(*cx, *cy));
  return arith::MaxSIOp::create(b, loc, x, y);
}

Value KernelBuilder::less(Value x, Value y) {
  auto cx = getConstantIntValue(x), cy = getConstantIntValue(y);
  if (cx && cy)
    return arith::ConstantIntOp::create(b, loc, *cx < *cy, 1);
  return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, x, y);
}

Value KernelBuilder::select(Value c, Value x, Value y) {
  if (auto cc = getConstantIntValue(c))
    return *cc ? x : y;
  return arith::SelectOp::create(b, loc, c, x, y);
}

// ---- Memory

static unsigned elementAlignment(Type type) {
  if (isa<LLVM::LLVMPointerType>(type))
    return 8;
  Type element = getElementTypeOrSelf(type);
  return std::max<unsigned>(1, element.getIntOrFloatBitWidth() / 8);
}

Value KernelBuilder::at(Value ptr, Value index, Type element) {
  auto constant = getConstantIntValue(index);
  if (constant == 0)
    return ptr;
  if (constant && *constant == static_cast<int32_t>(*constant) &&
      static_cast<int32_t>(*constant) != LLVM::GEPOp::kDynamicIndex)
    return LLVM::GEPOp::create(b, loc, ptrType(), element, ptr,
                               ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(*constant)});
  return LLVM::GEPOp::create(b, loc, ptrType(), element, ptr, ArrayRef<LLVM::GEPArg>{index});
}

Value KernelBuilder::load(Type type, Value ptr) {
  return LLVM::LoadOp::create(b, loc, type, ptr, elementAlignment(type));
}

void KernelBuilder::store(Value value, Value ptr) {
  LLVM::StoreOp::create(b, loc, value, ptr, elementAlignment(value.getType()));
}

Value KernelBuilder::maskedLoad(VectorType type, Value ptr, Value mask) {
  Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(type));
  return LLVM::MaskedLoadOp::create(b, loc, type, ptr, mask, zero, elementAlignment(type));
}

void KernelBuilder::maskedStore(Value value, Value ptr, Value mask) {
  LLVM::MaskedStoreOp::create(b, loc, value, ptr, mask, elementAlignment(value.getType()));
}

void KernelBuilder::prefetch(Value ptr, int locality, bool write) {
  LLVM::Prefetch::create(b, loc, ptr, /*rw=*/write ? 1 : 0, /*hint=*/locality, /*cache=*/1);
}

Value KernelBuilder::laneMask(Value count) {
  SmallVector<int32_t> lanes(target.lanes);
  for (int32_t i = 0; i < target.lanes; ++i)
    lanes[i] = i;
  auto type = vec(b.getI32Type());
  Value lane = arith::ConstantOp::create(b, loc, DenseElementsAttr::get(type, ArrayRef<int32_t>(lanes)));
  Value clamped = min(count, i64(target.lanes));
  Value narrow = arith::TruncIOp::create(b, loc, b.getI32Type(), clamped);
  return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, lane, splat(narrow));
}

// ---- Values

Value KernelBuilder::f32(float v) { return arith::ConstantOp::create(b, loc, b.getF32FloatAttr(v)); }

Value KernelBuilder::splat(Value scalar) { return vector::BroadcastOp::create(b, loc, vec(scalar.getType()), scalar); }

Value KernelBuilder::constVec(double v) {
  return arith::ConstantOp::create(b, loc, DenseElementsAttr::get(vecF32(), static_cast<float>(v)));
}

// llvm.intr.fma and not vector.fma: the latter lowers to fmuladd, which may be split into two roundings. Below AVX2,
// x86 has no such instruction and every fma would be a call.
Value KernelBuilder::fma(Value x, Value y, Value z) {
  if (target.lanes < 8 && llvm::StringRef(target.triple).starts_with("x86"))
    return arith::AddFOp::create(b, loc, arith::MulFOp::create(b, loc, x, y), z);
  return LLVM::FMAOp::create(b, loc, x, y, z);
}

// ---- Control flow

ValueRange KernelBuilder::loop(Value from, Value to, Value step, ValueRange init, LoopBody body) {
  auto op = scf::ForOp::create(b, loc, from, to, step, init);
  OpBuilder::InsertionGuard guard(b);
  Block *block = op.getBody();
  if (init.empty())
    block->clear(); // the builder has added the yield itself
  b.setInsertionPointToEnd(block);
  SmallVector<Value> results = body(op.getInductionVar(), op.getRegionIterArgs());
  scf::YieldOp::create(b, loc, results);
  return op.getResults();
}

void KernelBuilder::loop(Value from, Value to, Value step, std::function<void(Value)> body) {
  loop(from, to, step, ValueRange{}, [&](Value iv, ValueRange) {
    body(iv);
    return SmallVector<Value>{};
  });
}

void KernelBuilder::ifThen(Value cond, std::function<void()> then, std::function<void()> otherwise) {
  if (auto constant = getConstantIntValue(cond)) {
    if (*constant)
      then();
    else if (otherwise)
      otherwise();
    return;
  }
  auto op = scf::IfOp::create(b, loc, cond, /*withElseRegion=*/static_cast<bool>(otherwise));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(op.thenYield());
  then();
  if (otherwise) {
    b.setInsertionPoint(op.elseYield());
    otherwise();
  }
}

ValueRange KernelBuilder::ifElse(TypeRange types, Value cond, Branch then, Branch otherwise) {
  auto op = scf::IfOp::create(b, loc, types, cond, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  for (auto [region, branch] : {std::pair<Region *, Branch *>{&op.getThenRegion(), &then},
                                std::pair<Region *, Branch *>{&op.getElseRegion(), &otherwise}}) {
    Block *block = &region->front();
    block->clear();
    b.setInsertionPointToEnd(block);
    scf::YieldOp::create(b, loc, (*branch)());
  }
  return op.getResults();
}

} // namespace weft
