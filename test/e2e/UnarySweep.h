// Unary functions over the whole range of f32: normal, subnormal, infinite, NaN, both zeros.
// Each function is one job; its error is measured in ulps of the true (f64) result.
#ifndef WEFT_E2E_UNARYSWEEP_H
#define WEFT_E2E_UNARYSWEEP_H

#include "RunCase.h"

namespace weft::e2e {

/// One function and how exact it must be.
struct UnaryFunction {
  std::string node;       ///< `"op": "exp"`
  double ulps = 4;        ///< allowed, of the result
  double ofArgument = 0;  ///< allowed besides: this part of |x|
  double largest = 3.5e38;///< of |x|; beyond it nothing but a number or NaN is expected
};
const std::vector<UnaryFunction> &unaryFunctions();

/// Every `stride`-th of the 2^32 values (1: all), and always the 2 * 512 around every power of two's bits.
void sweep(const UnaryFunction &function, uint64_t stride, const Settings &settings, Tally &tally);

}  // namespace weft::e2e

#endif  // WEFT_E2E_UNARYSWEEP_H
