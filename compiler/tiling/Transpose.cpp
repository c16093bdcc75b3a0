// Lanes meet in log2(lanes) steps. Step s of a transposition swaps the off-diagonal blocks of size s with two-source
// shuffles.
#include "tiling/Transpose.h"

using namespace mlir;

namespace weft {

/// With a block size s: the left result has the blocks whose lane bit s is clear, from x and then y; the right one the
/// rest.
static std::pair<Value, Value> exchange(KernelBuilder &k, Value x, Value y, int64_t s) {
  int64_t lanes = k.target.lanes;
  SmallVector<int64_t> left(lanes), right(lanes);
  for (int64_t l = 0; l < lanes; ++l) {
    bool fromY = l & s;
    left[l] = fromY ? lanes + l - s : l;
    right[l] = fromY ? lanes + l : l + s;
  }
  return {vector::ShuffleOp::create(k.b, k.loc, x, y, left), vector::ShuffleOp::create(k.b, k.loc, x, y, right)};
}

SmallVector<Value> transpose(KernelBuilder &k, ValueRange rows) {
  SmallVector<Value> r(rows);
  for (int64_t s = 1; s < k.target.lanes; s *= 2)
    for (int64_t i = 0; i < k.target.lanes; ++i)
      if (!(i & s))
        std::tie(r[i], r[i + s]) = exchange(k, r[i], r[i + s], s);
  return r;
}

// Adding the two results of each exchange halves the number of vectors per step: lanes - 1 additions in all.
Value sumRows(KernelBuilder &k, ValueRange rows) {
  SmallVector<Value> r(rows);
  for (int64_t s = k.target.lanes / 2; s > 0; s /= 2)
    for (int64_t i = 0; i < s; ++i) {
      auto [left, right] = exchange(k, r[i], r[i + s], s);
      r[i] = arith::AddFOp::create(k.b, k.loc, left, right);
    }
  return r[0];
}

static Value combineLanes(KernelBuilder &k, Value x, llvm::function_ref<Value(Value, Value)> combine) {
  for (int64_t s = k.target.lanes / 2; s > 0; s /= 2) {
    SmallVector<int64_t> order(k.target.lanes);
    for (int64_t l = 0; l < k.target.lanes; ++l)
      order[l] = l ^ s;
    x = combine(x, vector::ShuffleOp::create(k.b, k.loc, x, x, order));
  }
  return x;
}

Value sumLanes(KernelBuilder &k, Value x) {
  return combineLanes(k, x, [&](Value a, Value b) -> Value { return arith::AddFOp::create(k.b, k.loc, a, b); });
}

Value maxLanes(KernelBuilder &k, Value x) {
  return combineLanes(k, x, [&](Value a, Value b) { return larger(k, a, b); });
}

Value larger(KernelBuilder &k, Value x, Value y) {
  Value less = arith::CmpFOp::create(k.b, k.loc, arith::CmpFPredicate::OLT, x, y);
  return arith::SelectOp::create(k.b, k.loc, less, y, x);
}

Value laneIndices(KernelBuilder &k) {
  SmallVector<int32_t> lanes(k.target.lanes);
  for (int32_t i = 0; i < k.target.lanes; ++i)
    lanes[i] = i;
  return arith::ConstantOp::create(k.b, k.loc,
                                   DenseElementsAttr::get(k.vec(k.b.getI32Type()), ArrayRef<int32_t>(lanes)));
}

} // namespace weft
