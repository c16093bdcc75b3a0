// The cases of OpNumbers.inc: one op on small operands, with the results of PyTorch.
// One table for the tests of values and of derivatives.
#ifndef WEFT_REFERENCE_OPCASES_H
#define WEFT_REFERENCE_OPCASES_H

#include "Ops.h"

#include <limits>

namespace weft::reference {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

inline Tensor reals(std::vector<int64_t> shape, std::vector<double> elements) { return Tensor(DType::f32, std::move(shape), std::move(elements)); }
inline Tensor ints(DType dtype, std::vector<int64_t> shape, std::vector<int64_t> elements) { return Tensor(dtype, std::move(shape), std::move(elements)); }

struct Case {
  const char *op;
  std::map<std::string, AttrValue> attrs;
  std::vector<std::optional<Tensor>> operands;
  std::vector<std::pair<std::string, Tensor>> parameters;
  std::vector<Tensor> results;
};

const std::vector<Case> &cases();

}  // namespace weft::reference

#endif  // WEFT_REFERENCE_OPCASES_H
