// Makes the table of OpNumbers.inc. One case is one line there.
// Compiled alone and without optimisation: it is nothing but initialisers.
#include "OpCases.h"

#include <limits>

namespace weft::reference {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

Tensor reals(std::vector<int64_t> shape, std::vector<double> elements) { return Tensor(DType::f32, std::move(shape), std::move(elements)); }
Tensor ints(DType dtype, std::vector<int64_t> shape, std::vector<int64_t> elements) { return Tensor(dtype, std::move(shape), std::move(elements)); }
std::optional<Tensor> none() { return std::nullopt; }
std::string word(const char *text) { return text; }

}  // namespace

const std::vector<Case> &cases() {
  static const std::vector<Case> all = {
#include "OpNumbers.inc"
  };
  return all;
}

}  // namespace weft::reference
