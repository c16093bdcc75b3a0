// Reductions over axes, softmax, and pools over positions.
// Sums have one accumulator and ascending order. No elements: sum 0, mean and var NaN, max -inf (the least
// integer), min +inf (the largest).
#include "Ops.h"

#include <algorithm>

namespace weft::reference {
namespace {

enum class Kind { sum, mean, max, min, var };

// The reduced axes of a node: `axis`, or all.
std::vector<bool> reducedAxes(Call &c, const Tensor &x) {
  std::vector<bool> reduced(x.shape.size(), !c.given("axis"));
  if (c.given("axis"))
    for (int64_t axis : c.integers("axis"))
      reduced.at(axis < 0 ? axis + x.rank() : axis) = true;
  return reduced;
}

template <class T> T reduceReal(Kind kind, const std::vector<T> &row, bool unbiased) {
  T n = static_cast<T>(row.size()), sum = 0, squares = 0;
  Extremum<T, true> largest;
  Extremum<T, false> least;
  for (const T &v : row) {
    sum += v;
    largest.add(v);
    least.add(v);
  }
  if (kind == Kind::max || kind == Kind::min)
    return kind == Kind::max ? largest.get() : least.get();
  if (kind == Kind::sum)
    return sum;
  if (kind == Kind::mean)
    return sum / n;
  for (const T &v : row)
    squares += (v - sum / n) * (v - sum / n);
  return squares / (unbiased && !row.empty() ? n - 1 : n);
}

int64_t reduceInteger(Kind kind, DType dtype, const std::vector<int64_t> &row) {
  if (kind == Kind::sum) {
    uint64_t sum = 0;
    for (int64_t v : row)
      sum += static_cast<uint64_t>(v);
    return wrapTo(dtype, static_cast<int64_t>(sum));
  }
  if (kind == Kind::mean || kind == Kind::var)
    fail("expected a float operand but got ", dtypeText(dtype));
  if (row.empty()) {
    int bits = dtype == DType::i64 ? 64 : dtype == DType::i32 ? 32 : 8;
    int64_t least = dtype == DType::u8 ? 0 : -1 - (INT64_MAX >> (64 - bits)), most = dtype == DType::u8 ? 255 : INT64_MAX >> (64 - bits);
    return kind == Kind::max ? least : most;
  }
  return kind == Kind::max ? *std::max_element(row.begin(), row.end()) : *std::min_element(row.begin(), row.end());
}

// y = Σ x, Σ x / n, max x, min x, Σ (x - μ)² / n (or n - 1) over the reduced axes
template <class T, Kind kind> Results reduce(Call &c) {
  const Tensor &x = c.operand(0);
  if (x.dtype == DType::boolean)
    fail("expected a numeric operand but got bool");
  std::vector<bool> reduced = reducedAxes(c, x);
  Shape kept, inner, result;
  for (size_t i = 0; i < reduced.size(); ++i) {
    kept.push_back(reduced[i] ? 1 : x.shape[i]);
    inner.push_back(reduced[i] ? x.shape[i] : 1);
    if (!reduced[i] || c.flag("keepdim"))
      result.push_back(reduced[i] ? 1 : x.shape[i]);
  }
  Tensor y = make(x.dtype, kept);
  int64_t at = 0;
  forEach(kept, [&](const Shape &index) {
    std::vector<T> row;
    std::vector<int64_t> integers;
    Shape from = index;
    forEach(inner, [&](const Shape &along) {
      for (size_t i = 0; i < from.size(); ++i)
        from[i] = index[i] + along[i];
      if (x.real())
        row.push_back(load<T>(x, place(x.shape, from)));
      else
        integers.push_back(x.integers[place(x.shape, from)]);
    });
    if (x.real())
      store(y, at++, reduceReal<T>(kind, row, c.flag("unbiased")));
    else
      y.integers[at++] = reduceInteger(kind, x.dtype, integers);
  });
  return {withShape(y, result)};
}

// Place of the largest element, the lowest of equals
Results argmax(Call &c) {
  const Tensor &x = c.operand(0);
  int64_t axis = c.axis(x.rank());
  AxisView v = axisView(x.shape, axis);
  Shape shape = x.shape;
  shape[axis] = 1;
  if (!c.flag("keepdim"))
    shape.erase(shape.begin() + axis);
  Tensor y = make(DType::i32, shape);
  for (int64_t o = 0; o < v.outer; ++o)
    for (int64_t k = 0; k < v.inner; ++k) {
      int64_t best = 0;
      for (int64_t i = 1; i < v.size; ++i) {
        int64_t a = v.at(o, i, k), b = v.at(o, best, k);
        if (x.real() ? x.reals[a] > x.reals[b] : x.integers[a] > x.integers[b])
          best = i;
      }
      y.integers[o * v.inner + k] = best;
    }
  return {y};
}

// softmax: eˣ⁻ᵐ / Σ eˣ⁻ᵐ, zeros for a row of only -inf; log_softmax: x - m - ln Σ eˣ⁻ᵐ; m = max x
template <class T, bool isLog> Results softmax(Call &c) {
  const Tensor &x = needReal(c.operand(0));
  AxisView v = axisView(x.shape, c.axis(x.rank()));
  Tensor y = make(x.dtype, x.shape);
  const T nothing = -INFINITY;
  for (int64_t o = 0; o < v.outer; ++o)
    for (int64_t k = 0; k < v.inner; ++k) {
      T top = nothing, sum = 0;
      for (int64_t i = 0; i < v.size; ++i) {
        T a = constant(load<T>(x, v.at(o, i, k)));
        top = a > top || isnan(a) ? a : top;
      }
      for (int64_t i = 0; i < v.size; ++i)
        sum += exp(load<T>(x, v.at(o, i, k)) - top);
      for (int64_t i = 0; i < v.size; ++i) {
        T d = load<T>(x, v.at(o, i, k)) - top;
        store(y, v.at(o, i, k), isLog ? T(d - log(sum)) : top == nothing ? T(0) : T(exp(d) / sum));
      }
    }
  return {y};
}

// Mean or maximum over the positions of axis 1 (or 0) of x [B, T, D] that the mask [B, T] allows; zeros if there are none
template <class T, bool isMax> Results pool(Call &c) {
  const Tensor &x = needReal(c.operand(0));
  int64_t axis = c.axis(3, 1);
  if (x.rank() != 3 || axis > 1)
    fail("expected x of rank 3 and axis 0 or 1 but got ", shapeText(x.shape));
  int64_t rows = x.shape[1 - axis], positions = x.shape[axis], features = x.shape[2];
  if (c.has(1))
    needShape(needBool(c.operand(1)), {x.shape[0], x.shape[1]}, "a mask");
  Tensor y = make(x.dtype, {rows, features});
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t d = 0; d < features; ++d) {
      T sum = 0, n = 0;
      Extremum<T, true> best;
      for (int64_t t = 0; t < positions; ++t) {
        int64_t place = axis == 1 ? row * positions + t : t * rows + row;
        if (c.has(1) && !c.operand(1).integers[place])
          continue;
        T v = load<T>(x, place * features + d);
        sum += v;
        best.add(v);
        n += 1;
      }
      store(y, row * features + d, n == 0 ? T(0) : isMax ? best.get() : T(sum / n));
    }
  return {y};
}

}  // namespace

void addReductionOps(OpTable &table) {
  forEachArithmetic([&](auto number) {
    using T = decltype(number);
    table["sum"].of<T>() = reduce<T, Kind::sum>;
    table["mean"].of<T>() = reduce<T, Kind::mean>;
    table["max"].of<T>() = reduce<T, Kind::max>;
    table["min"].of<T>() = reduce<T, Kind::min>;
    table["var"].of<T>() = reduce<T, Kind::var>;
    table["argmax"].of<T>() = argmax;
    table["softmax"].of<T>() = softmax<T, false>;
    table["log_softmax"].of<T>() = softmax<T, true>;
    table["mean_pool"].of<T>() = pool<T, false>;
    table["max_pool"].of<T>() = pool<T, true>;
  });
}

}  // namespace weft::reference
