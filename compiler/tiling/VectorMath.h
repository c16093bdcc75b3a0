// Elementary functions on vectors of f32, as IR: range reduction and minimax polynomials, no calls.
// Every function takes and returns a vector<n x f32> (n = TargetInfo::lanes) or a scalar f32, is branch-free, and states
// its error bound in ulp (tested over sampled f32 in test/tiling). NaN propagates; infinities and overflow follow IEEE.
#ifndef WEFT_TILING_VECTORMATH_H
#define WEFT_TILING_VECTORMATH_H

#include "tiling/KernelBuilder.h"

namespace weft::vmath {

mlir::Value exp2Unit(KernelBuilder &k, mlir::Value x);  ///< 2^x for softmax: x <= 0 (or NaN), exact 0 below -126
mlir::Value exp2(KernelBuilder &k, mlir::Value x);
mlir::Value exp(KernelBuilder &k, mlir::Value x);
mlir::Value log(KernelBuilder &k, mlir::Value x);
mlir::Value log2(KernelBuilder &k, mlir::Value x);
mlir::Value tanh(KernelBuilder &k, mlir::Value x);
mlir::Value erf(KernelBuilder &k, mlir::Value x);
mlir::Value sigmoid(KernelBuilder &k, mlir::Value x);
mlir::Value silu(KernelBuilder &k, mlir::Value x);
mlir::Value gelu(KernelBuilder &k, mlir::Value x);      ///< x/2 (1 + erf(x/√2))
mlir::Value geluTanh(KernelBuilder &k, mlir::Value x);
mlir::Value softplus(KernelBuilder &k, mlir::Value x);
mlir::Value sin(KernelBuilder &k, mlir::Value x);       ///< accurate for |x| up to 2^20 at least (positions times frequency)
mlir::Value cos(KernelBuilder &k, mlir::Value x);
mlir::Value pow(KernelBuilder &k, mlir::Value x, mlir::Value y);
mlir::Value sqrt(KernelBuilder &k, mlir::Value x);
mlir::Value rsqrt(KernelBuilder &k, mlir::Value x);     ///< 1/sqrt, correctly rounded to 1 ulp

}  // namespace weft::vmath

#endif  // WEFT_TILING_VECTORMATH_H
