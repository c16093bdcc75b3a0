// Typed reads of JSON values with errors at their places: numbers and expressions, words, names, keys, globs.
// Every function reports its own error and returns false; callers only stop using the value.
#include "import/ModelReader.h"

#include <algorithm>
#include <cctype>
#include <cmath>

namespace weft {

TensorType unknownType() { return {DType::f32, {DimExpr::dim("")}}; }
bool isKnown(const TensorType &type) { return type.shape.size() != 1 || type.shape[0].isValid(); }

static bool isNameOf(std::string_view text, bool dots) {
  if (text.empty() || !(std::isalpha(static_cast<unsigned char>(text[0])) || text[0] == '_'))
    return false;
  return std::all_of(text.begin(), text.end(), [&](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || (dots && c == '.');
  });
}

bool isName(std::string_view text) { return isNameOf(text, false); }
bool isParameterName(std::string_view text) { return isNameOf(text, true); }

bool Frame::find(std::string_view name, Number &value, ExpressionError &error) {
  if (auto local = locals.find(std::string(name)); local != locals.end()) {
    value = local->second;
    return true;
  }
  if (reader.config.has(name))
    return reader.config.find(name, value, error);
  for (const DimDesc &dim : reader.model.dims)
    if (dim.name == name) {
      value = Number::of(DimExpr::dim(name));
      return true;
    }
  error = {"unknown name " + quote(name) + " in an expression", didYouMean(name, reader.expressionNames(this)), 0,
           reader.isLost("config") || reader.isLost("dims")};
  return false;
}

std::vector<std::string> ModelReader::expressionNames(const Frame *frame) const {
  std::vector<std::string> names = config.names();
  for (const DimDesc &dim : model.dims)
    names.push_back(dim.name);
  if (frame)
    for (const auto &[name, value] : frame->locals)
      names.push_back(name);
  return names;
}

bool ModelReader::error(const JsonValue &at, std::string text, std::string hint, Failure failure) {
  diagnostics.error(at.position(), std::move(text), std::move(hint), failure);
  return false;
}

bool ModelReader::limitError(const JsonValue &at, std::string text, const char *limit) {
  return error(at, std::move(text), "--limit " + std::string(limit) + "=N raises it", Failure::limit);
}

bool ModelReader::isLost(const char *section) const {
  const JsonValue *found = root.find(section);
  return found ? !found->isObject() : isMisspelt(root, section);
}

bool ModelReader::keyError(const JsonMember &at, std::string text, std::string hint) {
  diagnostics.error(at.position(), std::move(text), std::move(hint));
  return false;
}

bool ModelReader::checkKeys(const JsonValue &object, const std::vector<std::string> &allowed, const std::string &what) {
  if (!object.isObject())
    return error(object, what + ": expected an object but got " + object.describe());
  for (const JsonMember &member : object.members) {
    if (member.key.compare(0, 2, "x-") == 0)
      continue;
    if (member.key == "doc") {
      std::string text;
      readText(*member.value, text);
    } else if (std::find(allowed.begin(), allowed.end(), member.key) == allowed.end()) {
      std::string hint = didYouMean(member.key, allowed), section = sectionOf(member.key);
      if (hint.empty() && !section.empty())
        hint = "it stands under " + quote(section);
      keyError(member, what + " has no key " + quote(member.key), hint);
      unknownKeys[&object].push_back(member.key);
    }
  }
  return true;
}

bool ModelReader::isMisspelt(const JsonValue &object, const std::string &key) const {
  auto found = unknownKeys.find(&object);
  return found != unknownKeys.end() &&
         std::any_of(found->second.begin(), found->second.end(),
                     [&](const std::string &unknown) { return !closest(unknown, {key}).empty(); });
}

const JsonValue *ModelReader::require(const JsonValue &object, const char *key, const std::string &what) {
  const JsonValue *found = object.find(key);
  if (!found && !isMisspelt(object, key))
    error(object, what + " needs the key '" + key + "'");
  return found;
}

bool ModelReader::readNumber(const JsonValue &value, NameSource &names, Number &number) {
  if (value.kind == JsonValue::Kind::boolean) {
    number = Number::of(value.truth);
    return true;
  }
  if (value.isNumber()) {
    if (!value.isInteger()) {
      number = Number::of(*value.real());
      return true;
    }
    auto whole = value.integer();
    number = Number::of(whole.value_or(0));
    return whole || error(value, "number " + value.describe() + " does not fit 64 bits");
  }
  if (!value.isString())
    return error(value, "expected a number or an expression but got " + value.describe());
  ExpressionError problem;
  if (evaluateExpression(value.text, names, number, problem))
    return true;
  if (!problem.silent) {
    Position pos = value.position();
    if (!value.escaped)
      pos.column += 1 + problem.offset;
    diagnostics.error(pos, problem.text, problem.hint);
  }
  return false;
}

bool ModelReader::readSize(const JsonValue &value, NameSource &names, DimExpr &size) {
  Number number;
  if (!readNumber(value, names, number))
    return false;
  size = number.asDims();
  return number.isWhole() || error(value, "expected an integer but got " + number.str());
}

bool ModelReader::readWhole(const JsonValue &value, NameSource &names, int64_t &whole) {
  Number number;
  if (!readNumber(value, names, number))
    return false;
  whole = number.integer;
  if (number.kind == Number::Kind::dims)
    return error(value,
                 "expected a fixed integer but got " + quote(number.str()) + ", whose size is known at run time only");
  return number.kind == Number::Kind::integer || error(value, "expected an integer but got " + number.str());
}

bool ModelReader::readReal(const JsonValue &value, NameSource &names, double &real, AttrRange range) {
  Number number;
  if (!readNumber(value, names, number))
    return false;
  if (number.kind == Number::Kind::boolean || number.kind == Number::Kind::dims)
    return error(value, "expected a number but got " + number.str());
  real = number.asReal();
  if (!std::isfinite(real))
    return error(value, "expected a finite number but got " + number.str());
  if (range == AttrRange::probability && !(real >= 0 && real < 1))
    return error(value, "expected a number from 0 to below 1 but got " + number.str());
  if (range == AttrRange::positive && !(real > 0))
    return error(value, "expected a number above 0 but got " + number.str());
  if (range == AttrRange::nonNegative && !(real >= 0))
    return error(value, "expected a number of 0 or more but got " + number.str());
  return true;
}

bool ModelReader::readBoolean(const JsonValue &value, NameSource &names, bool &truth) {
  if (value.isString() && (value.text == "true" || value.text == "false"))
    return error(value, "expected true or false but got " + value.describe(), "write it without quotes");
  for (const char *word : {"yes", "no", "on", "off", "True", "False"})
    if (Number unused; value.isString() && value.text == word) {
      if (ExpressionError ignored; !names.find(value.text, unused, ignored))
        return error(value, "expected true or false but got " + value.describe(), "write true or false, without quotes");
    }
  Number number;
  if (!readNumber(value, names, number))
    return false;
  truth = number.integer != 0;
  return number.kind == Number::Kind::boolean || error(value, "expected true or false but got " + number.str());
}

bool ModelReader::readText(const JsonValue &value, std::string &text) {
  text = value.text;
  return value.isString() || error(value, "expected text but got " + value.describe());
}

bool ModelReader::readWord(const JsonValue &value, const std::vector<std::string> &words, std::string &word) {
  if (!value.isString())
    return error(value, "expected " + listWords(words) + " but got " + value.describe());
  word = value.text;
  if (std::find(words.begin(), words.end(), word) != words.end())
    return true;
  std::string hint = didYouMean(word, words);
  return error(value, "unknown word " + quote(word) + ", expected " + listWords(words), hint);
}

bool ModelReader::readTexts(const JsonValue &value, std::vector<std::string> &texts) {
  if (value.isString()) {
    texts.push_back(value.text);
    return true;
  }
  if (!value.isArray())
    return error(value, "expected text or a list of texts but got " + value.describe());
  bool good = true;
  for (const JsonValue *item : value.items) {
    texts.emplace_back();
    good &= readText(*item, texts.back());
  }
  return good;
}

bool ModelReader::readGlobs(const JsonValue &value, std::vector<std::string> &globs) { return readTexts(value, globs); }

bool ModelReader::readDtype(const JsonValue &value, DType &dtype, bool onlyFloat) {
  std::string name;
  if (!readText(value, name))
    return false;
  auto found = dtypeOf(name);
  if (!found) {
    // Names of other systems: "float32", "torch.bfloat16", "int64", "long".
    std::string brief = name.substr(name.rfind('.') + 1);
    const std::vector<std::string> foreign = foreignWord(brief, dtypeNames());
    for (auto [from, to] :
         {std::pair("float", "f"), std::pair("uint", "u"), std::pair("int", "i"), std::pair("fp", "f")})
      if (size_t at = brief.find(from); at != std::string::npos)
        brief.replace(at, std::string_view(from).size(), to);
    std::vector<std::string> family;
    for (const std::string &known : dtypeNames())
      if (known[0] == brief[0])
        family.push_back(known);
    std::string hint = !foreign.empty() ? "did you mean " + listWords(foreign) + "?" : dtypeOf(brief) ? "did you mean " + quote(brief) + "?" : didYouMean(brief, family);
    return error(value, "unknown dtype " + quote(name) + ", expected " + listWords(dtypeNames()), hint);
  }
  dtype = *found;
  return !onlyFloat || isFloat(dtype) || error(value, "expected a float dtype but got " + quote(name));
}

bool ModelReader::checkDeclaredName(const JsonMember &member, const char *what) {
  static const std::vector<std::string> reserved = {"inf", "sqrt", "min", "max"};
  if (!isName(member.key))
    return keyError(member, std::string(what) + " " + quote(member.key) + " is not a name",
                    "names are letters, digits and _, and start with no digit");
  if (std::find(reserved.begin(), reserved.end(), member.key) != reserved.end())
    return keyError(member, quote(member.key) + " is a word of expressions and cannot be the name of " +
                                (std::string_view("aeiou").find(what[0]) == std::string_view::npos ? "a " : "an ") + what);
  return true;
}

} // namespace weft
