// Checked arithmetic on DimExpr: rational polynomials over dims, their canonical text, and the parser of that text.
// Limits on terms, powers and nesting keep hostile expressions small; beyond them an expression becomes invalid.
#include "dialect/DimExpr.h"

#include <algorithm>
#include <cctype>
#include <limits>
#include <set>

namespace weft {
namespace {

constexpr size_t kMaxTerms = 512;
constexpr int kMaxPower = 16;
constexpr int kMaxNesting = 64;
constexpr size_t kMaxAtomText = 4096;

using Ratio = DimExpr::Ratio;
using Monomial = DimExpr::Monomial;
using Wide = __int128;

Wide gcd(Wide a, Wide b) {
  a = a < 0 ? -a : a;
  b = b < 0 ? -b : b;
  while (b != 0) {
    Wide rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

/// num / den in lowest terms with den > 0; nullopt if that does not fit.
std::optional<Ratio> reduce(Wide num, Wide den) {
  if (den == 0)
    return std::nullopt;
  Wide common = gcd(num, den);
  if (common == 0)
    common = 1;
  num /= common;
  den /= common;
  if (den < 0) {
    num = -num;
    den = -den;
  }
  constexpr Wide low = std::numeric_limits<int64_t>::min(), high = std::numeric_limits<int64_t>::max();
  if (num < low || num > high || den > high)
    return std::nullopt;
  return Ratio{static_cast<int64_t>(num), static_cast<int64_t>(den)};
}

std::optional<Ratio> addRatios(Ratio a, Ratio b) {
  return reduce(Wide(a.num) * b.den + Wide(b.num) * a.den, Wide(a.den) * b.den);
}

std::optional<Ratio> multiplyRatios(Ratio a, Ratio b) { return reduce(Wide(a.num) * b.num, Wide(a.den) * b.den); }

bool isNameStart(char c) { return std::isalpha(static_cast<unsigned char>(c)) || c == '_'; }
bool isNamePart(char c) { return isNameStart(c) || std::isdigit(static_cast<unsigned char>(c)) || c == '.'; }

/// Recursive descent over + - * / ( ) min max, names and integers.
class Parser {
public:
  explicit Parser(std::string_view text) : text(text) {}

  std::optional<DimExpr> parseAll() {
    auto value = parseSum();
    skipSpace();
    if (!value || !value->isValid() || at != text.size())
      return std::nullopt;
    return value;
  }

  /// The arguments of an atom "min(a, b)".
  std::vector<DimExpr> parseArguments() {
    std::vector<DimExpr> arguments;
    do {
      auto value = parseSum();
      if (!value)
        return {};
      arguments.push_back(*value);
    } while (accept(','));
    return accept(')') ? arguments : std::vector<DimExpr>();
  }

private:
  std::optional<DimExpr> parseSum() {
    auto left = parseProduct();
    while (left) {
      char op = accept('+') ? '+' : accept('-') ? '-' : 0;
      if (!op)
        break;
      auto right = parseProduct();
      if (!right)
        return std::nullopt;
      left = op == '+' ? *left + *right : *left - *right;
    }
    return left;
  }

  std::optional<DimExpr> parseProduct() {
    auto left = parseFactor();
    while (left) {
      char op = accept('*') ? '*' : accept('/') ? '/' : 0;
      if (!op)
        break;
      auto right = parseFactor();
      if (!right)
        return std::nullopt;
      left = op == '*' ? std::optional<DimExpr>(*left * *right) : left->divide(*right);
    }
    return left;
  }

  std::optional<DimExpr> parseFactor() {
    if (++depth > kMaxNesting)
      return std::nullopt;
    auto value = parseFactorBody();
    --depth;
    return value;
  }

  std::optional<DimExpr> parseFactorBody() {
    if (accept('-')) {
      auto value = parseFactor();
      return value ? std::optional<DimExpr>(DimExpr(0) - *value) : std::nullopt;
    }
    if (accept('(')) {
      auto value = parseSum();
      return value && accept(')') ? value : std::nullopt;
    }
    skipSpace();
    if (at < text.size() && std::isdigit(static_cast<unsigned char>(text[at])))
      return parseInteger();
    if (at >= text.size() || !isNameStart(text[at]))
      return std::nullopt;
    size_t begin = at;
    while (at < text.size() && isNamePart(text[at]))
      ++at;
    std::string_view name = text.substr(begin, at - begin);
    if ((name != "min" && name != "max") || !accept('('))
      return DimExpr::dim(name);
    auto arguments = parseArguments();
    if (arguments.empty())
      return std::nullopt;
    DimExpr value = arguments.front();
    for (const DimExpr &next : arguments)
      value = name == "min" ? DimExpr::min(value, next) : DimExpr::max(value, next);
    return value;
  }

  std::optional<DimExpr> parseInteger() {
    int64_t value = 0;
    for (; at < text.size() && std::isdigit(static_cast<unsigned char>(text[at])); ++at)
      if (__builtin_mul_overflow(value, int64_t(10), &value) || __builtin_add_overflow(value, text[at] - '0', &value))
        return std::nullopt;
    return DimExpr(value);
  }

  void skipSpace() {
    while (at < text.size() && text[at] == ' ')
      ++at;
  }

  bool accept(char c) {
    skipSpace();
    if (at >= text.size() || text[at] != c)
      return false;
    ++at;
    return true;
  }

  std::string_view text;
  size_t at = 0;
  int depth = 0;
};

bool isCall(const std::string &atom) { return atom.back() == ')'; }
bool isMinimum(const std::string &atom) { return atom[1] == 'i'; }
std::vector<DimExpr> argumentsOf(const std::string &atom) {
  return Parser(std::string_view(atom).substr(4)).parseArguments();
}

/// Splits min(min(a, b), c) into a, b, c so that nesting does not change the canonical form.
void collect(const DimExpr &value, bool minimum, std::vector<DimExpr> &out) {
  if (auto name = value.name(); !name && value.terms().size() == 1) {
    const auto &[monomial, ratio] = *value.terms().begin();
    if (ratio.num == 1 && ratio.den == 1 && monomial.size() == 1 && monomial.begin()->second == 1) {
      const std::string &atom = monomial.begin()->first;
      if (isCall(atom) && isMinimum(atom) == minimum) {
        for (const DimExpr &argument : argumentsOf(atom))
          out.push_back(argument);
        return;
      }
    }
  }
  out.push_back(value);
}

std::optional<Ratio> evaluateAtom(const std::string &atom, const std::map<std::string, int64_t> &sizes) {
  if (!isCall(atom)) {
    auto found = sizes.find(atom);
    return found == sizes.end() ? std::nullopt : std::optional<Ratio>(Ratio{found->second, 1});
  }
  std::optional<int64_t> best;
  for (const DimExpr &argument : argumentsOf(atom)) {
    auto value = argument.evaluate(sizes);
    if (!value)
      return std::nullopt;
    best = !best ? *value : isMinimum(atom) ? std::min(*best, *value) : std::max(*best, *value);
  }
  return best ? std::optional<Ratio>(Ratio{*best, 1}) : std::nullopt;
}

} // namespace

DimExpr::DimExpr(int64_t value) {
  if (value != 0)
    sum[{}] = {value, 1};
}

DimExpr DimExpr::dim(std::string_view name) {
  DimExpr result;
  if (name.empty() || name.size() > kMaxAtomText)
    result.valid = false;
  else
    result.sum[{{std::string(name), 1}}] = {1, 1};
  return result;
}

static DimExpr extreme(bool minimum, const DimExpr &a, const DimExpr &b) {
  DimExpr invalid = DimExpr::dim("");
  if (!a.isValid() || !b.isValid())
    return invalid;
  std::vector<DimExpr> all, kept;
  collect(a, minimum, all);
  collect(b, minimum, all);
  // Two arguments that differ by a constant need no min or max between them.
  for (const DimExpr &next : all) {
    bool absorbed = false;
    for (DimExpr &have : kept) {
      auto difference = (next - have).constant();
      if (!difference)
        continue;
      if (minimum ? *difference < 0 : *difference > 0)
        have = next;
      absorbed = true;
      break;
    }
    if (!absorbed)
      kept.push_back(next);
  }
  if (kept.size() == 1)
    return kept.front();
  std::set<std::string> texts;
  for (const DimExpr &next : kept)
    texts.insert(next.str());
  std::string atom = minimum ? "min(" : "max(";
  for (const std::string &next : texts)
    atom += (atom.size() > 4 ? ", " : "") + next;
  return DimExpr::dim(atom + ")");
}

DimExpr DimExpr::min(const DimExpr &a, const DimExpr &b) { return extreme(true, a, b); }
DimExpr DimExpr::max(const DimExpr &a, const DimExpr &b) { return extreme(false, a, b); }

std::optional<DimExpr> DimExpr::parse(std::string_view text) { return Parser(text).parseAll(); }

std::optional<int64_t> DimExpr::constant() const {
  if (!valid)
    return std::nullopt;
  if (sum.empty())
    return 0;
  const auto &[monomial, ratio] = *sum.begin();
  if (sum.size() != 1 || !monomial.empty() || ratio.den != 1)
    return std::nullopt;
  return ratio.num;
}

std::optional<std::string> DimExpr::name() const {
  if (!valid || sum.size() != 1)
    return std::nullopt;
  const auto &[monomial, ratio] = *sum.begin();
  if (ratio.num != 1 || ratio.den != 1 || monomial.size() != 1 || monomial.begin()->second != 1)
    return std::nullopt;
  const std::string &atom = monomial.begin()->first;
  return isCall(atom) ? std::nullopt : std::optional<std::string>(atom);
}

std::vector<std::string> DimExpr::names() const {
  std::set<std::string> found;
  for (const auto &[monomial, ratio] : sum)
    for (const auto &[atom, power] : monomial) {
      if (!isCall(atom)) {
        found.insert(atom);
        continue;
      }
      for (const DimExpr &argument : argumentsOf(atom))
        for (std::string &name : argument.names())
          found.insert(std::move(name));
    }
  return {found.begin(), found.end()};
}

std::optional<int64_t> DimExpr::evaluate(const std::map<std::string, int64_t> &sizes) const {
  if (!valid)
    return std::nullopt;
  std::optional<Ratio> total = Ratio{0, 1};
  for (const auto &[monomial, coefficient] : sum) {
    std::optional<Ratio> product = coefficient;
    for (const auto &[atom, power] : monomial) {
      auto value = evaluateAtom(atom, sizes);
      for (int i = 0; i < power && product; ++i)
        product = value ? multiplyRatios(*product, *value) : std::nullopt;
    }
    total = product ? addRatios(*total, *product) : std::nullopt;
    if (!total)
      return std::nullopt;
  }
  return total->den == 1 ? std::optional<int64_t>(total->num) : std::nullopt;
}

DimExpr DimExpr::substitute(const std::map<std::string, DimExpr> &values) const {
  if (!valid)
    return *this;
  DimExpr result;
  for (const auto &[monomial, coefficient] : sum) {
    DimExpr product;
    product.sum[{}] = coefficient;
    for (const auto &[atom, power] : monomial) {
      DimExpr value;
      if (isCall(atom)) {
        auto arguments = argumentsOf(atom);
        value = arguments.front().substitute(values);
        for (size_t i = 1; i < arguments.size(); ++i)
          value = extreme(isMinimum(atom), value, arguments[i].substitute(values));
      } else {
        auto found = values.find(atom);
        value = found == values.end() ? dim(atom) : found->second;
      }
      for (int i = 0; i < power; ++i)
        product = product * value;
    }
    result = result + product;
  }
  return result;
}

std::optional<DimExpr> DimExpr::divide(const DimExpr &divisor) const {
  if (!valid || !divisor.valid || divisor.sum.empty())
    return std::nullopt;
  if (sum.empty())
    return DimExpr(0);
  const auto &[factor, ratio] = *divisor.sum.begin();
  if (divisor.sum.size() > 1) {
    // A sum divides only a constant multiple of itself.
    const auto &mine = sum.begin()->second;
    auto quotient = reduce(Wide(mine.num) * ratio.den, Wide(mine.den) * ratio.num);
    if (!quotient || quotient->den != 1 || DimExpr(quotient->num) * divisor != *this)
      return std::nullopt;
    return DimExpr(quotient->num);
  }
  DimExpr result;
  for (const auto &[monomial, coefficient] : sum) {
    Monomial rest = monomial;
    for (const auto &[atom, power] : factor) {
      auto found = rest.find(atom);
      if (found == rest.end() || found->second < power)
        return std::nullopt;
      if ((found->second -= power) == 0)
        rest.erase(found);
    }
    auto quotient = reduce(Wide(coefficient.num) * ratio.den, Wide(coefficient.den) * ratio.num);
    if (!quotient)
      return std::nullopt;
    result.sum[rest] = *quotient;
  }
  // A quotient without dims must be a whole number: nothing at run time could make it exact.
  if (result.sum.size() == 1 && result.sum.begin()->first.empty() && result.sum.begin()->second.den != 1)
    return std::nullopt;
  return result;
}

std::string DimExpr::str() const {
  if (!valid)
    return "<overflow>";
  if (sum.empty())
    return "0";
  // "(T + 1) / 2", as "1 / 2" alone would not be exact.
  if (auto lone = sum.find({}); lone != sum.end() && lone->second.den != 1 && sum.size() > 1)
    if (DimExpr whole = *this * DimExpr(lone->second.den); whole.isValid())
      return "(" + whole.str() + ") / " + std::to_string(lone->second.den);
  // Positive terms first and constants last, so that texts read as people write them: "1 - T" but "T + 1".
  std::vector<const std::pair<const Monomial, Ratio> *> order;
  for (const auto &term : sum)
    order.push_back(&term);
  std::sort(order.begin(), order.end(), [](auto *a, auto *b) {
    bool negativeA = a->second.num < 0, negativeB = b->second.num < 0;
    if (negativeA != negativeB)
      return negativeB;
    if (a->first.empty() != b->first.empty())
      return b->first.empty();
    return a->first < b->first;
  });
  std::string text;
  for (const auto *term : order) {
    const auto &[monomial, ratio] = *term;
    bool negative = ratio.num < 0;
    text += text.empty() ? (negative ? "-" : "") : (negative ? " - " : " + ");
    std::string product;
    for (const auto &[atom, power] : monomial)
      for (int i = 0; i < power; ++i)
        product += (product.empty() ? "" : " * ") + atom;
    std::string magnitude = std::to_string(ratio.num);
    if (negative)
      magnitude.erase(0, 1);
    if (product.empty())
      product = magnitude;
    else if (magnitude != "1")
      product += " * " + magnitude;
    if (ratio.den != 1)
      product += " / " + std::to_string(ratio.den);
    text += product;
  }
  return text;
}

DimExpr operator+(const DimExpr &a, const DimExpr &b) {
  DimExpr result = a;
  result.valid = a.valid && b.valid;
  for (const auto &[monomial, ratio] : b.sum) {
    auto [place, added] = result.sum.emplace(monomial, ratio);
    if (added)
      continue;
    auto total = addRatios(place->second, ratio);
    if (!total)
      result.valid = false;
    else if (total->num == 0)
      result.sum.erase(place);
    else
      place->second = *total;
  }
  if (result.sum.size() > kMaxTerms)
    result.valid = false;
  if (!result.valid)
    result.sum.clear();
  return result;
}

DimExpr operator-(const DimExpr &a, const DimExpr &b) { return a + DimExpr(-1) * b; }

DimExpr operator*(const DimExpr &a, const DimExpr &b) {
  DimExpr result;
  result.valid = a.valid && b.valid && a.sum.size() * b.sum.size() <= kMaxTerms * 4;
  if (!result.valid)
    return result;
  for (const auto &[left, leftRatio] : a.sum)
    for (const auto &[right, rightRatio] : b.sum) {
      DimExpr product;
      Monomial monomial = left;
      for (const auto &[atom, power] : right)
        if ((monomial[atom] += power) > kMaxPower)
          product.valid = false;
      auto ratio = multiplyRatios(leftRatio, rightRatio);
      if (ratio && product.valid)
        product.sum[monomial] = *ratio;
      else
        product.valid = false;
      result = result + product;
      if (!result.valid)
        return result;
    }
  return result;
}

bool operator==(const DimExpr &a, const DimExpr &b) { return !(a < b) && !(b < a); }

bool operator<(const DimExpr &a, const DimExpr &b) {
  if (a.valid != b.valid)
    return a.valid;
  return std::lexicographical_compare(
      a.sum.begin(), a.sum.end(), b.sum.begin(), b.sum.end(), [](const auto &x, const auto &y) {
        if (x.first != y.first)
          return x.first < y.first;
        return std::pair(x.second.num, x.second.den) < std::pair(y.second.num, y.second.den);
      });
}

} // namespace weft
