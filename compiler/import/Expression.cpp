// Evaluates expressions by recursive descent, and config values on demand.
// Whole numbers are computed as integers or DimExpr, checked; a real operand makes the result real.
#include "import/Expression.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>

namespace weft {
namespace {

constexpr int kMaxNesting = 64;
constexpr size_t kMaxText = 4096;

bool isNameStart(char c) { return std::isalpha(static_cast<unsigned char>(c)) || c == '_'; }
bool isNamePart(char c) { return isNameStart(c) || std::isdigit(static_cast<unsigned char>(c)); }

class Evaluator {
public:
  Evaluator(std::string_view text, NameSource &names, ExpressionError &error)
      : text(text), names(names), error(error) {}

  bool run(Number &value) {
    if (text.size() > kMaxText)
      return fail(0, "expression of " + std::to_string(text.size()) + " characters, the limit is " +
                         std::to_string(kMaxText));
    if (!sum(value))
      return false;
    skipSpace();
    return at == text.size() ||
           fail(at, "unexpected " + quote(text.substr(at, 1)) + " in expression " + quote(text), operatorHint());
  }

private:
  bool fail(size_t offset, std::string message, std::string hint = {}) {
    error = {std::move(message), std::move(hint), offset, false};
    return false;
  }

  std::string operatorHint() const { return "an expression uses + - * / ( ) sqrt min max inf, numbers and names"; }

  bool sum(Number &left) {
    if (!product(left))
      return false;
    while (true) {
      skipSpace();
      size_t place = at;
      char op = accept('+') ? '+' : accept('-') ? '-' : 0;
      if (!op)
        return true;
      Number right;
      if (!product(right) || !combine(op, left, right, place))
        return false;
    }
  }

  bool product(Number &left) {
    if (!factor(left))
      return false;
    while (true) {
      skipSpace();
      size_t place = at;
      char op = accept('*') ? '*' : accept('/') ? '/' : 0;
      if (!op)
        return true;
      if (op == '*' && at < text.size() && text[at] == '*')
        return fail(place, "unknown operator '**' in expression " + quote(text), operatorHint());
      Number right;
      if (!factor(right) || !combine(op, left, right, place))
        return false;
    }
  }

  bool factor(Number &value) {
    if (++depth > kMaxNesting)
      return fail(at, "expression is nested deeper than " + std::to_string(kMaxNesting));
    bool good = factorBody(value);
    --depth;
    return good;
  }

  bool factorBody(Number &value) {
    skipSpace();
    size_t place = at;
    if (accept('-')) {
      Number zero = Number::of(int64_t(0)), operand;
      if (!factor(operand))
        return false;
      if (operand.kind == Number::Kind::real) {
        value = Number::of(-operand.real);
        return true;
      }
      return combine('-', zero, operand, place) && (value = zero, true);
    }
    if (accept('('))
      return sum(value) && (accept(')') || fail(at, "expected ')' in expression " + quote(text)));
    if (at < text.size() && (std::isdigit(static_cast<unsigned char>(text[at])) || text[at] == '.'))
      return literal(value);
    if (at < text.size() && isNameStart(text[at]))
      return nameOrCall(value);
    if (at >= text.size())
      return fail(text.empty() ? 0 : text.size() - 1,
                  text.empty() ? "the expression is empty" : "expression " + quote(text) + " ends too early");
    return fail(at, "unexpected " + quote(text.substr(at, 1)) + " in expression " + quote(text), operatorHint());
  }

  bool literal(Number &value) {
    size_t begin = at;
    while (at < text.size() && (std::isdigit(static_cast<unsigned char>(text[at])) || text[at] == '.'))
      ++at;
    if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
      size_t digits = at + 1 + (at + 1 < text.size() && (text[at + 1] == '+' || text[at + 1] == '-'));
      if (digits < text.size() && std::isdigit(static_cast<unsigned char>(text[digits])))
        for (at = digits; at < text.size() && std::isdigit(static_cast<unsigned char>(text[at]));)
          ++at;
    }
    std::string_view number = text.substr(begin, at - begin);
    const char *end = number.data() + number.size();
    bool whole = number.find_first_of(".eE") == std::string_view::npos;
    value = Number::of(int64_t(0));
    auto result =
        whole ? std::from_chars(number.data(), end, value.integer) : std::from_chars(number.data(), end, value.real);
    if (!whole)
      value.kind = Number::Kind::real;
    if (result.ec == std::errc::result_out_of_range)
      return fail(begin, "number " + quote(number) + (whole ? " does not fit 64 bits" : " does not fit a double"));
    return (result.ec == std::errc() && result.ptr == end) || fail(begin, quote(number) + " is not a number");
  }

  bool nameOrCall(Number &value) {
    size_t begin = at;
    while (at < text.size() && isNamePart(text[at]))
      ++at;
    std::string_view name = text.substr(begin, at - begin);
    skipSpace();
    if (at < text.size() && text[at] == '(')
      return call(name, begin, value);
    if (name == "inf") {
      value = Number::of(std::numeric_limits<double>::infinity());
      return true;
    }
    if (names.find(name, value, error))
      return true;
    error.offset = begin;
    return false;
  }

  bool call(std::string_view name, size_t begin, Number &value) {
    if (name != "sqrt" && name != "min" && name != "max")
      return fail(begin, "unknown function " + quote(name) + " in expression " + quote(text),
                  didYouMean(name, {"sqrt", "min", "max"}));
    accept('(');
    std::vector<Number> arguments;
    do {
      arguments.emplace_back();
      if (!sum(arguments.back()))
        return false;
    } while (accept(','));
    if (!accept(')'))
      return fail(at, "expected ')' in expression " + quote(text));
    return name == "sqrt" ? squareRoot(arguments, begin, value) : extreme(name == "min", arguments, begin, value);
  }

  bool squareRoot(const std::vector<Number> &arguments, size_t begin, Number &value) {
    if (arguments.size() != 1)
      return fail(begin, "sqrt takes one argument but got " + std::to_string(arguments.size()));
    if (arguments[0].kind == Number::Kind::dims)
      return fail(begin, "sqrt of " + quote(arguments[0].str()) + ", whose size is known at run time only");
    double operand = arguments[0].asReal();
    if (!(operand >= 0))
      return fail(begin, "sqrt of the negative number " + arguments[0].str());
    value = Number::of(std::sqrt(operand));
    return true;
  }

  bool extreme(bool minimum, const std::vector<Number> &arguments, size_t begin, Number &value) {
    value = arguments.front();
    bool whole = std::all_of(arguments.begin(), arguments.end(), [](const Number &n) { return n.isWhole(); });
    for (const Number &next : arguments) {
      if (whole) {
        value = Number::of(minimum ? DimExpr::min(value.asDims(), next.asDims())
                                   : DimExpr::max(value.asDims(), next.asDims()));
        continue;
      }
      if (next.kind == Number::Kind::dims || value.kind == Number::Kind::dims)
        return fail(begin, "a dim cannot be compared with a real number in expression " + quote(text));
      if (minimum ? next.asReal() < value.asReal() : next.asReal() > value.asReal())
        value = next;
    }
    return value.kind != Number::Kind::dims || value.dims.isValid() ||
           fail(begin, "expression " + quote(text) + " is too large");
  }

  bool combine(char op, Number &left, const Number &right, size_t place) {
    if (left.kind == Number::Kind::boolean || right.kind == Number::Kind::boolean)
      return fail(place, "expected a number but got a boolean in expression " + quote(text));
    if (left.isWhole() && right.isWhole())
      return combineWhole(op, left, right, place);
    const Number &symbolic = left.kind == Number::Kind::dims ? left : right;
    if (symbolic.kind == Number::Kind::dims)
      return fail(place, "real arithmetic with " + quote(symbolic.str()) + ", whose size is known at run time only");
    double a = left.asReal(), b = right.asReal();
    if (op == '/' && b == 0)
      return fail(place, "division by zero in expression " + quote(text));
    double result = op == '+' ? a + b : op == '-' ? a - b : op == '*' ? a * b : a / b;
    if (std::isnan(result))
      return fail(place, "expression " + quote(text) + " is not a number");
    left = Number::of(result);
    return true;
  }

  bool combineWhole(char op, Number &left, const Number &right, size_t place) {
    DimExpr a = left.asDims(), b = right.asDims(), result;
    if (op == '/') {
      if (b == DimExpr(0))
        return fail(place, "division by zero in expression " + quote(text));
      auto quotient = a.divide(b);
      if (!quotient)
        return fail(place, left.str() + " is not divisible by " + right.str() + " in expression " + quote(text));
      result = *quotient;
    } else {
      result = op == '+' ? a + b : op == '-' ? a - b : a * b;
    }
    if (!result.isValid())
      return fail(place, "expression " + quote(text) + " overflows 64 bits");
    left = Number::of(result);
    return true;
  }

  void skipSpace() {
    while (at < text.size() && (text[at] == ' ' || text[at] == '\t'))
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
  NameSource &names;
  ExpressionError &error;
  size_t at = 0;
  int depth = 0;
};

} // namespace

Number Number::of(bool value) {
  Number n;
  n.kind = Kind::boolean;
  n.integer = value;
  return n;
}

Number Number::of(int64_t value) {
  Number n;
  n.integer = value;
  return n;
}

Number Number::of(double value) {
  Number n;
  n.kind = Kind::real;
  n.real = value;
  return n;
}

Number Number::of(const DimExpr &value) {
  if (auto constant = value.constant())
    return of(*constant);
  Number n;
  n.kind = Kind::dims;
  n.dims = value;
  return n;
}

std::string Number::str() const {
  switch (kind) {
  case Kind::boolean:
    return integer ? "true" : "false";
  case Kind::integer:
    return std::to_string(integer);
  case Kind::dims:
    return dims.str();
  case Kind::real:
    break;
  }
  if (std::isinf(real))
    return real < 0 ? "-inf" : "inf";
  char buffer[32];
  auto [end, failure] = std::to_chars(buffer, buffer + sizeof(buffer), real);
  std::string result(buffer, end);
  return result.find_first_of(".e") == std::string::npos ? result + ".0" : result;
}

bool evaluateExpression(std::string_view text, NameSource &names, Number &value, ExpressionError &error) {
  return Evaluator(text, names, error).run(value);
}

std::vector<std::string> identifiersIn(std::string_view text) {
  std::vector<std::string> found;
  for (size_t i = 0; i < text.size();) {
    if (!isNamePart(text[i])) {
      ++i;
      continue;
    }
    size_t begin = i;
    while (i < text.size() && isNamePart(text[i]))
      ++i;
    if (isNameStart(text[begin]))
      found.emplace_back(text.substr(begin, i - begin));
  }
  return found;
}

void Config::add(const JsonMember &member) {
  Entry entry;
  entry.member = &member;
  if (entries.emplace(member.key, entry).second)
    order.push_back(member.key);
}

bool Config::replace(const std::string &key, const std::string &text) {
  auto found = entries.find(key);
  if (found == entries.end()) {
    std::string hint = didYouMean(key, order), section = sectionOf(key);
    if (hint.empty() && !section.empty())
      hint = "it stands under " + quote(section) + "; --set replaces a value of 'config', which may be named there";
    diagnostics.error({}, "--set " + key + ": no such config value", hint);
    return false;
  }
  found->second.set = text;
  return true;
}

void Config::evaluateAll() {
  for (const std::string &name : order) {
    Entry &entry = entries[name];
    if (entry.state == Entry::State::fresh)
      evaluate(entry);
  }
}

void Config::evaluate(Entry &entry) {
  const JsonMember &member = *entry.member;
  const JsonValue &value = *member.value;
  entry.state = Entry::State::busy;
  path.push_back(member.key);
  ExpressionError error;
  bool good = true;
  const std::string *text = entry.set ? &*entry.set : value.isString() ? &value.text : nullptr;
  if (entry.set && (*text == "true" || *text == "false")) {
    entry.value = Number::of(*text == "true");
  } else if (text) {
    good = evaluateExpression(*text, *this, entry.value, error);
  } else if (value.kind == JsonValue::Kind::boolean) {
    entry.value = Number::of(value.truth);
  } else if (auto whole = value.integer()) {
    entry.value = Number::of(*whole);
  } else if (value.isNumber() && !value.isInteger()) {
    entry.value = Number::of(*value.real());
  } else {
    good = false;
    error.text = value.isNumber() ? "number " + value.describe() + " does not fit 64 bits"
                                  : "expected a number or an expression but got " + value.describe();
  }
  path.pop_back();
  entry.state = good ? Entry::State::good : Entry::State::bad;
  if (good || error.silent)
    return;
  Position pos = value.position();
  if (entry.set)
    pos = {};
  else if (text && !value.escaped)
    pos.column += 1 + error.offset;
  diagnostics.error(
      pos, (entry.set ? "--set " : "config value ") + (entry.set ? member.key : quote(member.key)) + ": " + error.text,
      error.hint);
}

bool Config::find(std::string_view name, Number &value, ExpressionError &error) {
  auto found = entries.find(std::string(name));
  if (found == entries.end()) {
    error = {"unknown name " + quote(name) + " in an expression", didYouMean(name, order), 0, lost};
    return false;
  }
  Entry &entry = found->second;
  if (entry.state == Entry::State::busy) {
    std::string cycle;
    for (auto step = std::find(path.begin(), path.end(), name); step != path.end() && cycle.size() < 200; ++step)
      cycle += *step + " -> ";
    error = {"config value " + quote(name) + " depends on itself: " + cycle + std::string(name), {}, 0, false};
    return false;
  }
  if (path.size() > 200) {
    error = {"config values depend on each other in a chain longer than 200", {}, 0, false};
    return false;
  }
  if (entry.state == Entry::State::fresh)
    evaluate(entry);
  error.silent = entry.state == Entry::State::bad;
  value = entry.value;
  return entry.state == Entry::State::good;
}

std::vector<std::string> Config::names() const { return order; }

std::map<std::string, double> Config::values() const {
  std::map<std::string, double> result;
  for (const auto &[name, entry] : entries)
    if (entry.state == Entry::State::good)
      result[name] = entry.value.asReal();
  return result;
}

} // namespace weft
