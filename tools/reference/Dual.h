// Dual numbers: a value with its derivatives along a few directions. Ops whose loops run on them compute exact derivatives,
// by the sum, product and chain rules alone; where a function has a corner, its loop says what holds there.
#ifndef WEFT_REFERENCE_DUAL_H
#define WEFT_REFERENCE_DUAL_H

#include <array>
#include <cmath>
#include <type_traits>

namespace weft::reference {

constexpr int kLanes = 8;  ///< directions of one run

/// value + Σ d[lane] · ε[lane] with ε² = 0. A number has no derivative. Comparisons compare values.
template <class T> struct Dual {
  T value = 0;
  std::array<T, kLanes> d{};

  Dual() = default;
  template <class N, class = std::enable_if_t<std::is_arithmetic_v<N>>> Dual(N number) : value(static_cast<T>(number)) {}

  friend Dual operator-(const Dual &x) { return chain(x, -x.value, T(-1)); }
  friend Dual operator+(const Dual &x, const Dual &y) { return chain(x, T(1), y, T(1), x.value + y.value); }
  friend Dual operator-(const Dual &x, const Dual &y) { return chain(x, T(1), y, T(-1), x.value - y.value); }
  friend Dual operator*(const Dual &x, const Dual &y) { return chain(x, y.value, y, x.value, x.value * y.value); }
  friend Dual operator/(const Dual &x, const Dual &y) {
    T quotient = x.value / y.value;
    return chain(x, 1 / y.value, y, -quotient / y.value, quotient);
  }
  Dual &operator+=(const Dual &y) { return *this = *this + y; }
  Dual &operator*=(const Dual &y) { return *this = *this * y; }

  friend bool operator<(const Dual &x, const Dual &y) { return x.value < y.value; }
  friend bool operator>(const Dual &x, const Dual &y) { return x.value > y.value; }
  friend bool operator<=(const Dual &x, const Dual &y) { return x.value <= y.value; }
  friend bool operator>=(const Dual &x, const Dual &y) { return x.value >= y.value; }
  friend bool operator==(const Dual &x, const Dual &y) { return x.value == y.value; }
  friend bool operator!=(const Dual &x, const Dual &y) { return x.value != y.value; }

  /// f(x) from its value and f'(x).
  friend Dual chain(const Dual &x, T value, T slope) {
    Dual r(value);
    r.move(x, slope);
    return r;
  }
  /// f(x, y) from its value and both partial derivatives.
  friend Dual chain(const Dual &x, T slopeX, const Dual &y, T slopeY, T value) {
    Dual r(value);
    r.move(x, slopeX);
    r.move(y, slopeY);
    return r;
  }

private:
  /// What does not move adds nothing, also where a slope is infinite.
  void move(const Dual &x, T slope) {
    if (std::isfinite(slope))
      for (int lane = 0; lane < kLanes; ++lane)
        d[lane] += x.d[lane] * slope;
    else
      for (int lane = 0; lane < kLanes; ++lane)
        d[lane] += x.d[lane] == 0 ? T(0) : x.d[lane] * slope;
  }
};

template <class T> struct IsDual : std::false_type {};
template <class T> struct IsDual<Dual<T>> : std::true_type {};

// One spelling for numbers and for duals.
using std::cos, std::erf, std::exp, std::expm1, std::fabs, std::isnan, std::log, std::log1p, std::pow, std::sin, std::sqrt, std::tanh;

template <class T> bool isnan(const Dual<T> &x) { return std::isnan(x.value); }
template <class T> Dual<T> exp(const Dual<T> &x) { return chain(x, std::exp(x.value), std::exp(x.value)); }
template <class T> Dual<T> expm1(const Dual<T> &x) { return chain(x, std::expm1(x.value), std::exp(x.value)); }
template <class T> Dual<T> log(const Dual<T> &x) { return chain(x, std::log(x.value), 1 / x.value); }
template <class T> Dual<T> log1p(const Dual<T> &x) { return chain(x, std::log1p(x.value), 1 / (1 + x.value)); }
template <class T> Dual<T> sin(const Dual<T> &x) { return chain(x, std::sin(x.value), std::cos(x.value)); }
template <class T> Dual<T> cos(const Dual<T> &x) { return chain(x, std::cos(x.value), -std::sin(x.value)); }
template <class T> Dual<T> erf(const Dual<T> &x) {
  return chain(x, std::erf(x.value), static_cast<T>(1.1283791670955125739) * std::exp(-x.value * x.value));  // 2/√π
}
template <class T> Dual<T> tanh(const Dual<T> &x) {
  T cosh = std::cosh(x.value);
  return chain(x, std::tanh(x.value), 1 / (cosh * cosh));
}
template <class T> Dual<T> sqrt(const Dual<T> &x) {
  T root = std::sqrt(x.value);
  return chain(x, root, 1 / (2 * root));
}
// The corner of |x| at 0 counts as flat.
template <class T> Dual<T> fabs(const Dual<T> &x) { return chain(x, std::fabs(x.value), T(x.value > 0) - T(x.value < 0)); }
// xʸ: y xʸ⁻¹, 0 where y = 0; xʸ ln x, 0 where x = 0 and y ≥ 0
template <class T> Dual<T> pow(const Dual<T> &x, const Dual<T> &y) {
  T power = std::pow(x.value, y.value);
  return chain(x, y.value == 0 ? T(0) : y.value * std::pow(x.value, y.value - 1), y,
               x.value == 0 && y.value >= 0 ? T(0) : power * std::log(x.value), power);
}

/// The number itself, which moves with nothing.
template <class T> T constant(const T &x) {
  if constexpr (IsDual<T>::value)
    return T(x.value);
  else
    return x;
}

/// The largest (or smallest) of some numbers. NaN wins; equal ones share the derivative.
template <class T, bool isMax> class Extremum {
public:
  void add(const T &x) {
    if (isnan(x) || (isMax ? x > best : x < best)) {
      best = x;
      ties = 1;
    } else if (x == best) {
      ++ties;
      if constexpr (IsDual<T>::value)
        for (int lane = 0; lane < kLanes; ++lane)
          best.d[lane] += x.d[lane];
    }
  }
  T get() const {
    T result = best;
    if constexpr (IsDual<T>::value)
      for (auto &lane : result.d)
        lane /= ties > 1 ? ties : 1;
    return result;
  }

private:
  T best = isMax ? -INFINITY : INFINITY;
  int ties = 0;
};

}  // namespace weft::reference

#endif  // WEFT_REFERENCE_DUAL_H
