// Numbers written as expressions: + - * / ( ) sqrt min max inf over config values, block args, a repeat's index and
// dims. Integers divide exactly or not at all; an expression with dims stays symbolic (DimExpr).
#ifndef WEFT_IMPORT_EXPRESSION_H
#define WEFT_IMPORT_EXPRESSION_H

#include "import/ReadJson.h"

#include <functional>
#include <unordered_map>

namespace weft {

/// The value of an expression. `dims` is an integer that depends on dims (or an index) and is known at run time only.
struct Number {
  enum class Kind : uint8_t { boolean, integer, real, dims };
  Kind kind = Kind::integer;
  int64_t integer = 0; ///< also 0 or 1 of a boolean
  double real = 0;
  DimExpr dims;

  static Number of(bool value);
  static Number of(int64_t value);
  static Number of(double value);
  static Number of(const DimExpr &value); ///< an integer if it is constant

  bool isWhole() const { return kind == Kind::integer || kind == Kind::dims; }
  DimExpr asDims() const { return kind == Kind::dims ? dims : DimExpr(integer); }
  double asReal() const { return kind == Kind::real ? real : static_cast<double>(integer); }
  std::string str() const;
};

/// Why an expression has no value. `silent`: the cause is already reported elsewhere.
struct ExpressionError {
  std::string text, hint;
  size_t offset = 0; ///< in the expression's text
  bool silent = false;
};

/// Where the names of an expression come from.
class NameSource {
public:
  virtual ~NameSource() = default;
  /// The value of `name`; false with `error` filled in if there is none.
  virtual bool find(std::string_view name, Number &value, ExpressionError &error) = 0;
};

/// false with `error` filled in if the text is no expression or has no value.
bool evaluateExpression(std::string_view text, NameSource &names, Number &value, ExpressionError &error);

/// The identifiers that occur in an expression (or in any other text).
std::vector<std::string> identifiersIn(std::string_view text);

/// The `config` of a model: values may use each other in any order, but not themselves. Errors are reported once, at
/// the value.
class Config : public NameSource {
public:
  explicit Config(Diagnostics &diagnostics) : diagnostics(diagnostics) {}

  void add(const JsonMember &member);
  /// `--set`; false (and an error) if there is no such key.
  bool replace(const std::string &key, const std::string &text);
  void evaluateAll();

  bool find(std::string_view name, Number &value, ExpressionError &error) override;
  std::vector<std::string> names() const;
  /// The section could not be read: names that it may declare are no errors of their own.
  void setLost() { lost = true; }
  bool has(std::string_view name) const { return entries.count(std::string(name)) != 0; }
  std::map<std::string, double> values() const;

private:
  struct Entry {
    const JsonMember *member = nullptr;
    std::optional<std::string> set;
    enum class State : uint8_t { fresh, busy, good, bad } state = State::fresh;
    Number value;
  };
  void evaluate(Entry &entry);

  Diagnostics &diagnostics;
  bool lost = false;
  std::unordered_map<std::string, Entry> entries;
  std::vector<std::string> order, path;
};

} // namespace weft

#endif // WEFT_IMPORT_EXPRESSION_H
