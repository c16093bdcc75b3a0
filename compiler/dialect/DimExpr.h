// Sizes as closed expressions of the named dims: "B", "384", "2 * T", "B * T / 4", "min(T, 128)".
// Plain C++ without MLIR, shared by the importer (shape rules) and the dialect (tensor encodings).
#ifndef WEFT_DIALECT_DIMEXPR_H
#define WEFT_DIALECT_DIMEXPR_H

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weft {

/// A polynomial with rational coefficients over atoms. An atom is a named dim ("T"), a repeat index ("i"), or an opaque
/// `min(...)` / `max(...)` of expressions, kept as its canonical text. Two expressions are equal exactly when their
/// canonical forms are: `operator==` is structural, and decides equality of polynomials. Division is exact by contract
/// (the format refuses a `/` that does not divide), so `T / 2` is the monomial (1/2)T.
/// All arithmetic is checked; an overflow yields an invalid expression (`isValid()` false), never a wrapped number.
class DimExpr {
public:
  DimExpr() = default;                            ///< zero
  DimExpr(int64_t value);                         ///< a constant
  static DimExpr dim(std::string_view name);      ///< an atom
  static DimExpr min(const DimExpr &a, const DimExpr &b);
  static DimExpr max(const DimExpr &a, const DimExpr &b);
  /// Parses the canonical text that str() prints (and any expression of + - * / ( ) min max over names and integers).
  static std::optional<DimExpr> parse(std::string_view text);

  bool isValid() const { return valid; }
  /// The value if no atom is left and it is an integer.
  std::optional<int64_t> constant() const;
  /// The name if this is exactly one dim or index.
  std::optional<std::string> name() const;
  /// Every name that occurs, sorted, inside min and max too.
  std::vector<std::string> names() const;

  /// Value for given sizes; nullopt on an unknown name, an inexact division or an overflow.
  std::optional<int64_t> evaluate(const std::map<std::string, int64_t> &sizes) const;
  /// Replaces names by expressions.
  DimExpr substitute(const std::map<std::string, DimExpr> &values) const;
  /// Exact quotient: constants must divide, polynomials divide by a constant or by a single monomial that every term has.
  /// nullopt if it can't be shown to be exact (constants that do not divide) or the divisor is zero.
  std::optional<DimExpr> divide(const DimExpr &divisor) const;

  std::string str() const;  ///< canonical text, e.g. "B * T * 384", "T + 1", "T / 2"

  friend DimExpr operator+(const DimExpr &a, const DimExpr &b);
  friend DimExpr operator-(const DimExpr &a, const DimExpr &b);
  friend DimExpr operator*(const DimExpr &a, const DimExpr &b);
  friend bool operator==(const DimExpr &a, const DimExpr &b);
  friend bool operator!=(const DimExpr &a, const DimExpr &b) { return !(a == b); }
  friend bool operator<(const DimExpr &a, const DimExpr &b);  ///< any total order, for maps

  struct Ratio {
    int64_t num = 0, den = 1;
  };
  using Monomial = std::map<std::string, int>;  ///< atom → power (≥ 1)
  const std::map<Monomial, Ratio> &terms() const { return sum; }

private:
  std::map<Monomial, Ratio> sum;  ///< no zero coefficients
  bool valid = true;
};

}  // namespace weft

#endif  // WEFT_DIALECT_DIMEXPR_H
