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
  for (const Tensor *each : {weight, bias})
    if (each)
      needShape(*each, {v.size}, "a weight or bias");
  Tensor y = make(x.dtype, x.shape);
  for (int64_t o = 0; o < v.outer; ++o)
    for (int64_t k = 0; k < v.inner; ++k) {
      T sum = 0, squares = 0;
      for (int64_t i = 0; i < v.size; ++i)
        sum += load<T>(x, v.at(o, i, k));
      T mean = sum / n;
      for (int64_t i = 0; i < v.size; ++i) {
        T d = load<T>(x, v.at(o, i, k)) - mean;
        squares += d * d;
      }
      T variance = squares / (unbiased ? n - 1 : n);
      T divisor = outside ? sqrt(variance) + eps : sqrt(variance + eps);
      for (int64_t i = 0; i < v.size; ++i) {
        T r = (load<T>(x, v.at(o, i, k)) - mean) / divisor;
        r = weight ? r * load<T>(*weight, i) : r;
        store(y, v.at(o, i, k), bias ? T(r + load<T>(*bias, i)) : r);
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
  needShape(weight, {v.size}, "a weight");
  Tensor y = make(x.dtype, x.shape);
  for (int64_t o = 0; o < v.outer; ++o) {
    T squares = 0;
    for (int64_t i = 0; i < v.size; ++i) {
      T a = load<T>(x, v.at(o, i, 0));
      squares += a * a;
    }
    T factor = T(1) / sqrt(squares / static_cast<T>(v.size) + eps);
    for (int64_t i = 0; i < v.size; ++i)
      store(y, v.at(o, i, 0), T(load<T>(x, v.at(o, i, 0)) * factor * load<T>(weight, i)));
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
        T a = load<T>(x, v.at(o, i, k));
        squares += a * a;
      }
      T norm = sqrt(squares);
      for (int64_t i = 0; i < v.size; ++i)
        // A comparison that is false for NaN: a row with NaN stays NaN.
        store(y, v.at(o, i, k), T(load<T>(x, v.at(o, i, k)) / (norm < eps ? eps : norm)));
    }
  return {y};
}

}  // namespace

void addNormOps(OpTable &table) {
  forEachArithmetic([&](auto number) {
    using T = decltype(number);
    table["layer_norm"].of<T>() = layerNorm<T>;
    table["rms_norm"].of<T>() = rmsNorm<T>;
    table["l2_normalize"].of<T>() = l2Normalize<T>;
  });
}

}  // namespace weft::reference
