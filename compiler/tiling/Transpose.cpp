// Transposition in log2(lanes) steps of two-source shuffles: step s swaps the off-diagonal blocks of size s.
#include "tiling/Transpose.h"

using namespace mlir;

namespace weft {

/// With a block size s: the left result has the blocks whose lane bit s is clear, from x and then y; the right one the rest.
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

} // namespace weft
