// Interval arithmetic over the terms of a DimExpr, after taking out the factor that all terms share.
// Sharing matters: the bound of "B * T - T" is that of T times that of "B - 1".
#include "import/DimRange.h"

#include <algorithm>

namespace weft {
namespace {

using Wide = __int128;
constexpr Wide kHuge = Wide(1) << 100;

struct Interval {
  Wide low, high;
};

std::optional<Interval> interval(const DimExpr &size, const DimRanges &ranges);

std::optional<Interval> atomInterval(const std::string &atom, const DimRanges &ranges) {
  if (atom.back() != ')') {
    auto found = ranges.find(atom);
    if (found == ranges.end())
      return std::nullopt;
    return Interval{found->second.low, found->second.high};
  }
  bool minimum = atom[1] == 'i';
  std::optional<Interval> result;
  // Split at the top-level commas of "min(a, b)".
  int depth = 0;
  for (size_t begin = 4, i = 4; i < atom.size(); ++i) {
    bool last = i + 1 == atom.size();
    depth += (atom[i] == '(') - (atom[i] == ')' && !last);
    if (!last && (atom[i] != ',' || depth != 0))
      continue;
    auto argument = DimExpr::parse(std::string_view(atom).substr(begin, i - begin));
    auto next = argument ? interval(*argument, ranges) : std::nullopt;
    if (!next)
      return std::nullopt;
    auto pick = [&](Wide a, Wide b) { return minimum ? std::min(a, b) : std::max(a, b); };
    result = result ? Interval{pick(result->low, next->low), pick(result->high, next->high)} : *next;
    begin = i + 1;
  }
  return result;
}

bool tooLarge(Wide value) { return value > kHuge || value < -kHuge; }

/// Interval of coefficient * monomial; nullopt if an atom may be negative or numbers get out of hand.
std::optional<Interval> termInterval(const DimExpr::Monomial &monomial, Wide num, Wide den, const DimRanges &ranges) {
  Interval product{1, 1};
  for (const auto &[atom, power] : monomial) {
    auto range = atomInterval(atom, ranges);
    if (!range || range->low < 0)
      return std::nullopt;
    for (int i = 0; i < power; ++i) {
      product = {product.low * range->low, product.high * range->high};
      if (tooLarge(product.high) || tooLarge(product.high * 8))
        return std::nullopt;
      if (product.high > (Wide(1) << 62))
        return std::nullopt;
    }
  }
  auto floorDivide = [](Wide a, Wide b) { return a >= 0 ? a / b : -((-a + b - 1) / b); };
  Wide low = num >= 0 ? product.low * num : product.high * num,
       high = num >= 0 ? product.high * num : product.low * num;
  return Interval{floorDivide(low, den), -floorDivide(-high, den)};
}

std::optional<Interval> interval(const DimExpr &size, const DimRanges &ranges) {
  if (!size.isValid())
    return std::nullopt;
  const auto &terms = size.terms();
  if (terms.empty())
    return Interval{0, 0};
  DimExpr::Monomial shared = terms.begin()->first;
  for (const auto &[monomial, ratio] : terms)
    for (auto at = shared.begin(); at != shared.end();) {
      auto found = monomial.find(at->first);
      at->second = found == monomial.end() ? 0 : std::min(at->second, found->second);
      at = at->second == 0 ? shared.erase(at) : std::next(at);
    }
  Interval total{0, 0};
  for (const auto &[monomial, ratio] : terms) {
    DimExpr::Monomial rest = monomial;
    for (const auto &[atom, power] : shared)
      if ((rest[atom] -= power) == 0)
        rest.erase(atom);
    auto term = termInterval(rest, ratio.num, ratio.den, ranges);
    if (!term)
      return std::nullopt;
    total = {total.low + term->low, total.high + term->high};
  }
  auto factor = termInterval(shared, 1, 1, ranges);
  if (!factor || tooLarge(total.low) || tooLarge(total.high) || total.low < -(Wide(1) << 62) ||
      total.high > (Wide(1) << 62))
    return std::nullopt;
  return Interval{total.low >= 0 ? total.low * factor->low : total.low * factor->high,
                  total.high >= 0 ? total.high * factor->high : total.high * factor->low};
}

std::optional<int64_t> fit(Wide value) {
  if (value > INT64_MAX || value < INT64_MIN)
    return std::nullopt;
  return static_cast<int64_t>(value);
}

} // namespace

std::optional<int64_t> lowestValue(const DimExpr &size, const DimRanges &ranges) {
  auto found = interval(size, ranges);
  return found ? fit(found->low) : std::nullopt;
}

std::optional<int64_t> highestValue(const DimExpr &size, const DimRanges &ranges) {
  auto found = interval(size, ranges);
  return found ? fit(found->high) : std::nullopt;
}

bool alwaysMultiple(const DimExpr &size, int64_t factor, const DimRanges &ranges) {
  for (const auto &[monomial, ratio] : size.terms()) {
    Wide modulus = Wide(factor) * ratio.den, rest = Wide(ratio.num) % modulus;
    for (const auto &[atom, power] : monomial) {
      auto found = ranges.find(atom);
      for (int i = 0; i < power && found != ranges.end(); ++i)
        rest = rest * (found->second.multipleOf % modulus) % modulus;
    }
    if (rest != 0)
      return false;
  }
  return size.isValid();
}

} // namespace weft
