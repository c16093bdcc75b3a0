// Norms along one axis. μ, σ²: mean and variance of a row.
// Two passes: the variance is the mean of squared distances, never E[x²] - μ².
#include "Ops.h"

#include <cmath>

namespace weft::reference {
namespace {

// y = (x - μ) / √(σ² + eps) · weight + bias; eps_outside: / (σ + eps); unbiased: σ² over n - 1
template <class T> Results layerNorm(Call &c) {
  const Tensor &x = needReal(c.operand(0));
  AxisView v = axisView(x.shape, c.axis(x.rank()));
  T eps = static_cast<T>(c.real("eps", 1e-5)), n = static_cast<T>(v.size);
  bool unbiased = c.flag("unbiased"), outside = c.flag("eps_outside");
  const Tensor *weight = c.hasParam("weight") ? &c.param("weight") : nullptr, *bias = c.hasParam("bias") ? &c.param("bias") : nullptr;
  Tensor y = make(x.dtype, x.shape);
  for (int64_t o = 0; o < v.outer; ++o)
    for (int64_t k = 0; k < v.inner; ++k) {
      T sum = 0, squares = 0;
      for (int64_t i = 0; i < v.size; ++i)
        sum += static_cast<T>(x.reals[v.at(o, i, k)]);
      T mean = sum / n;
      for (int64_t i = 0; i < v.size; ++i) {
        T d = static_cast<T>(x.reals[v.at(o, i, k)]) - mean;
        squares += d * d;
      }
      T variance = squares / (unbiased ? n - 1 : n);
      T divisor = outside ? std::sqrt(variance) + eps : std::sqrt(variance + eps);
      for (int64_t i = 0; i < v.size; ++i) {
        T r = (static_cast<T>(x.reals[v.at(o, i, k)]) - mean) / divisor;
        r = weight ? r * static_cast<T>(weight->reals.at(i)) : r;
        y.reals[v.at(o, i, k)] = bias ? r + static_cast<T>(bias->reals.at(i)) : r;
      }
    }
  return {y};
}

// y = x / √(mean(x²) + eps) · weight
template <class T> Results rmsNorm(Call &c) {
  const Tensor &x = needReal(c.operand(0)), &weight = c.param("weight");
  if (x.rank() < 1)
    fail("expected an operand of rank 1 or more");
  AxisView v = axisView(x.shape, x.rank() - 1);
  T eps = static_cast<T>(c.real("eps"));
  Tensor y = make(x.dtype, x.shape);
  for (int64_t o = 0; o < v.outer; ++o) {
    T squares = 0;
    for (int64_t i = 0; i < v.size; ++i) {
      T a = static_cast<T>(x.reals[v.at(o, i, 0)]);
      squares += a * a;
    }
    T factor = T(1) / std::sqrt(squares / static_cast<T>(v.size) + eps);
    for (int64_t i = 0; i < v.size; ++i)
      y.reals[v.at(o, i, 0)] = static_cast<T>(x.reals[v.at(o, i, 0)]) * factor * static_cast<T>(weight.reals.at(i));
  }
  return {y};
}

// y = x / max(‖x‖, eps)
template <class T> Results l2Normalize(Call &c) {
  const Tensor &x = needReal(c.operand(0));
  AxisView v = axisView(x.shape, c.axis(x.rank()));
  T eps = static_cast<T>(c.real("eps", 1e-12));
  Tensor y = make(x.dtype, x.shape);
  for (int64_t o = 0; o < v.outer; ++o)
    for (int64_t k = 0; k < v.inner; ++k) {
      T squares = 0;
      for (int64_t i = 0; i < v.size; ++i) {
        T a = static_cast<T>(x.reals[v.at(o, i, k)]);
        squares += a * a;
      }
      T norm = std::sqrt(squares);
      for (int64_t i = 0; i < v.size; ++i)
        // A comparison that is false for NaN: a row with NaN stays NaN.
        y.reals[v.at(o, i, k)] = static_cast<T>(x.reals[v.at(o, i, k)]) / (norm < eps ? eps : norm);
    }
  return {y};
}

}  // namespace

void addNormOps(OpTable &table) {
  table["layer_norm"] = {layerNorm<float>, layerNorm<double>};
  table["rms_norm"] = {rmsNorm<float>, rmsNorm<double>};
  table["l2_normalize"] = {l2Normalize<float>, l2Normalize<double>};
}

}  // namespace weft::reference
