// weft ops on whole tensors in double precision, for the row kernel tests: plain loops over all indices.
#ifndef WEFT_TEST_TILING_ROWREFERENCE_H
#define WEFT_TEST_TILING_ROWREFERENCE_H

#include "Philox.h"

#include "dialect/Weft.h"

#include "llvm/ADT/DenseMap.h"

#include <map>
#include <string>
#include <vector>

namespace weft::test {

/// Row-major elements as doubles; integers and bools too.
struct Array {
  std::vector<int64_t> shape;
  std::vector<double> values;

  explicit Array(std::vector<int64_t> shape = {});
  /// The element at `index`, of a shape that this one broadcasts to.
  double at(const std::vector<int64_t> &index) const;
  static int64_t count(const std::vector<int64_t> &shape);
};

using Dims = std::map<std::string, int64_t>;

/// The sizes of a tensor type.
std::vector<int64_t> sizesOf(mlir::Type type, const Dims &dims);

/// What the region of `op` yields. `lengths` are those of every state.
std::vector<Array> evaluate(FusedOp op, const std::vector<Array> &operands, const Dims &dims, const std::vector<int64_t> &lengths,
                            const reference::RandomFields &random = {});

} // namespace weft::test

#endif // WEFT_TEST_TILING_ROWREFERENCE_H
