// Words are kept in 64-bit lanes: a 32 × 32 → 64 product is one instruction there, its high word a shift away, and what
// stands above a word does no harm until the next product drops it.
#include "tiling/Philox.h"

#include "weft/abi.h"

#include <cmath>
#include <cstddef>

using namespace mlir;

namespace weft {
namespace {

constexpr int64_t kWord = 0xffffffff;
constexpr int64_t kMultiplier[2] = {0xD2511F53, 0xCD9E8D57};
constexpr int64_t kKeyStep[2] = {0x9E3779B9, 0xBB67AE85};

Value splatLike(KernelBuilder &k, Type type, Value scalar) {
  return isa<VectorType>(type) ? Value(vector::BroadcastOp::create(k.b, k.loc, type, scalar)) : scalar;
}

Value constantLike(KernelBuilder &k, Type type, int64_t value) {
  if (auto vector = dyn_cast<VectorType>(type))
    return arith::ConstantOp::create(k.b, k.loc, DenseElementsAttr::get(vector, Attribute(k.b.getIntegerAttr(vector.getElementType(), value))));
  return arith::ConstantIntOp::create(k.b, k.loc, type, value);
}

Value lowWord(KernelBuilder &k, Value x) { return arith::AndIOp::create(k.b, k.loc, x, constantLike(k, x.getType(), kWord)); }

Value shiftRight(KernelBuilder &k, Value x, int64_t bits) {
  return arith::ShRUIOp::create(k.b, k.loc, x, constantLike(k, x.getType(), bits));
}

} // namespace

DropoutMask::DropoutMask(KernelBuilder &k, Value random, double p, Value siteNumber) : k(k), p(p) {
  auto field = [&](size_t offset) {
    Value address = LLVM::GEPOp::create(k.b, k.loc, k.ptrType(), k.b.getI8Type(), random, ArrayRef<LLVM::GEPArg>{int32_t(offset)});
    return k.load(k.i64Type(), address);
  };
  constexpr size_t base = offsetof(weft_exec, seed);
  Value seed = field(0);
  step = lowWord(k, field(offsetof(weft_exec, step) - base));
  sample = field(offsetof(weft_exec, first_sample) - base);
  site = lowWord(k, siteNumber);
  Value halves[2] = {lowWord(k, seed), shiftRight(k, seed, 32)};
  for (int round = 0; round < 10; ++round)
    for (int half : {0, 1})
      keys[round][half] = round ? lowWord(k, k.add(halves[half], k.i64(round * kKeyStep[half]))) : halves[half];
}

std::array<Value, 4> DropoutMask::block(Value number) {
  Type type = number.getType();
  std::array<Value, 4> c{number, shiftRight(k, number, 32), splatLike(k, type, site), splatLike(k, type, step)};
  auto exclusive = [&](Value x, Value y) { return Value(arith::XOrIOp::create(k.b, k.loc, x, y)); };
  auto product = [&](Value x, int64_t by) { return Value(arith::MulIOp::create(k.b, k.loc, lowWord(k, x), constantLike(k, type, by))); };
  for (const auto &key : keys) {
    Value first = product(c[0], kMultiplier[0]), second = product(c[2], kMultiplier[1]);
    c = {exclusive(exclusive(shiftRight(k, second, 32), c[1]), splatLike(k, type, key[0])), second,
         exclusive(exclusive(shiftRight(k, first, 32), c[3]), splatLike(k, type, key[1])), first};
  }
  return c;
}

Value DropoutMask::atLeastThreshold(Value words) {
  double threshold = std::round(std::ldexp(p, 32));
  if (threshold > double(kWord)) {
    Type mask = k.b.getI1Type();
    if (auto vector = dyn_cast<VectorType>(words.getType()))
      mask = vector.clone(mask);
    return constantLike(k, mask, 0);
  }
  Value limit = constantLike(k, words.getType(), int64_t(int32_t(uint32_t(threshold))));
  return arith::CmpIOp::create(k.b, k.loc, arith::CmpIPredicate::uge, words, limit);
}

Value DropoutMask::each(Value elements) {
  Type type = elements.getType(), narrow = k.b.getI32Type();
  if (auto vector = dyn_cast<VectorType>(type))
    narrow = vector.clone(narrow);
  std::array<Value, 4> words = block(shiftRight(k, elements, 2));
  auto bit = [&](int64_t mask) {
    Value set = arith::AndIOp::create(k.b, k.loc, elements, constantLike(k, type, mask));
    return Value(arith::CmpIOp::create(k.b, k.loc, arith::CmpIPredicate::ne, set, constantLike(k, type, 0)));
  };
  auto select = [&](Value c, Value x, Value y) { return Value(arith::SelectOp::create(k.b, k.loc, c, x, y)); };
  Value odd = bit(1);
  Value word = select(bit(2), select(odd, words[3], words[2]), select(odd, words[1], words[0]));
  return atLeastThreshold(arith::TruncIOp::create(k.b, k.loc, narrow, word));
}

Value DropoutMask::consecutive(Value first, int64_t count, bool aligned) {
  // Off a block's start one more block is touched; the next power of two keeps whole registers.
  int64_t blocks = aligned ? count / 4 : count / 4 * 2;
  auto vector = VectorType::get({blocks}, k.i64Type());
  SmallVector<int64_t> numbers(blocks), order;
  for (int64_t i = 0; i < blocks; ++i) {
    numbers[i] = i;
    order.append({i, blocks + i});
  }
  Value number = arith::AddIOp::create(k.b, k.loc, splatLike(k, vector, shiftRight(k, first, 2)),
                                       arith::ConstantOp::create(k.b, k.loc, DenseElementsAttr::get(vector, ArrayRef<int64_t>(numbers))));
  std::array<Value, 4> words = block(number);
  auto pair = [&](Value low, Value high) {
    Value above = arith::ShLIOp::create(k.b, k.loc, high, constantLike(k, vector, 32));
    return Value(arith::OrIOp::create(k.b, k.loc, lowWord(k, low), above));
  };
  // Pairs of words interleave as 64-bit lanes: four words of block 0, four of block 1, …
  Value all = vector::ShuffleOp::create(k.b, k.loc, pair(words[0], words[1]), pair(words[2], words[3]), order);
  Value keep = atLeastThreshold(vector::BitCastOp::create(k.b, k.loc, VectorType::get({blocks * 4}, k.b.getI32Type()), all));
  if (aligned)
    return keep;
  // The mask moves down by the elements before `first`: as a number it is a shift.
  Type bits = k.b.getIntegerType(unsigned(blocks * 4)), half = k.b.getIntegerType(unsigned(count));
  Value mask = LLVM::BitcastOp::create(k.b, k.loc, bits, keep);
  Value before = arith::AndIOp::create(k.b, k.loc, first, k.i64(3));
  if (bits.getIntOrFloatBitWidth() < 64)
    before = arith::TruncIOp::create(k.b, k.loc, bits, before);
  else if (bits.getIntOrFloatBitWidth() > 64)
    before = arith::ExtUIOp::create(k.b, k.loc, bits, before);
  Value moved = arith::TruncIOp::create(k.b, k.loc, half, arith::ShRUIOp::create(k.b, k.loc, mask, before));
  return LLVM::BitcastOp::create(k.b, k.loc, VectorType::get({count}, k.b.getI1Type()), moved);
}

} // namespace weft
