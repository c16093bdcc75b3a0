// See Compare.h. Typical errors of the tensor join the element's own, because a naive sum is exact now and then by luck;
// an error of zero would then forbid any other order of summation.
#include "Compare.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace weft::reference {
namespace {

std::string number(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

std::vector<int64_t> indexOf(const std::vector<int64_t> &shape, int64_t flat) {
  std::vector<int64_t> index(shape.size());
  for (size_t i = shape.size(); i-- > 0;) {
    index[i] = flat % shape[i];
    flat /= shape[i];
  }
  return index;
}

}  // namespace

std::string Difference::str() const {
  return shapeText(index) + ": expected " + number(expected) + " but got " + number(got) + ", allowed error " + number(allowed);
}

std::string Comparison::str() const {
  if (!error.empty())
    return error;
  if (wrong == 0)
    return "all " + std::to_string(elements) + " elements agree";
  return std::to_string(wrong) + " of " + std::to_string(elements) + " elements differ; first " + first.str() + "; worst " + worst.str();
}

Comparison compare(const Tensor &got, const Tensor &expected, const Tensor *naive, const Bound &bound) {
  Comparison result;
  if (got.shape != expected.shape || got.dtype != expected.dtype || (naive && naive->shape != expected.shape)) {
    result.error = std::string("expected ") + dtypeText(expected.dtype) + " " + shapeText(expected.shape) + " but got " + dtypeText(got.dtype) + " " +
                   shapeText(got.shape);
    return result;
  }
  result.elements = expected.count();
  double squares = 0, largest = 0;
  int64_t finite = 0;
  std::vector<double> relative;
  for (int64_t i = 0; i < result.elements; ++i) {
    double value = expected.at(i);
    if (!std::isfinite(value))
      continue;
    result.scale = std::max(result.scale, std::fabs(value));
    double error = naive ? naive->at(i) - value : 0;
    error = std::isfinite(error) ? std::fabs(error) : 0;
    squares += error * error;
    largest = std::max(largest, error);
    ++finite;
    if (naive && value != 0)
      relative.push_back(error / std::fabs(value));
  }
  // Errors have a tail where rows differ in magnitude (attention over large scores): a quarter of the largest is the root
  // mean square of normal errors in thousands of elements, and more where the tail is heavy.
  double typical = finite ? std::max(std::sqrt(squares / static_cast<double>(finite)), largest / 4) : 0, median = 0;
  if (!relative.empty()) {
    auto middle = relative.begin() + static_cast<int64_t>(relative.size() / 2);
    std::nth_element(relative.begin(), middle, relative.end());
    median = *middle;
  }
  for (int64_t i = 0; i < result.elements; ++i) {
    double want = expected.at(i), have = got.at(i);
    Difference here{{}, have, want, 0};
    double ratio = 0;
    if (std::isfinite(want) && expected.real()) {
      double naiveError = naive ? std::fabs(naive->at(i) - want) : 0;
      here.allowed = bound.naiveFactor * std::max({std::isfinite(naiveError) ? naiveError : 0, typical, median * std::fabs(want)}) + bound.ulps * ulp(expected.dtype, want) +
                     bound.ofScale * result.scale + bound.relative * std::fabs(want) + bound.absolute;
      double error = std::fabs(have - want);
      // What f32 cannot hold is infinite there.
      bool overflow = std::isinf(have) && naive && naive->at(i) == have;
      ratio = error == 0 || overflow ? 0 : std::isfinite(error) && here.allowed > 0 ? error / here.allowed : INFINITY;
      if (std::isfinite(error))
        result.largestError = std::max(result.largestError, error);
    } else if (!(have == want || (std::isnan(have) && std::isnan(want)))) {
      ratio = INFINITY;
    }
    bool isWorst = ratio > result.worstRatio;
    if (ratio > 1 || isWorst)
      here.index = indexOf(expected.shape, i);
    if (ratio > 1 && result.wrong++ == 0)
      result.first = here;
    if (isWorst) {
      result.worstRatio = ratio;
      result.worst = here;
    }
  }
  return result;
}

}  // namespace weft::reference
