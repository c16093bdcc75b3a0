// Builds the position-carrying tree from nlohmann's SAX events. A second cursor walks over the same text and says where
// each token of an event starts; nlohmann alone decides what is valid JSON.
#include "import/ReadJson.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>

namespace weft {
namespace {

/// Steps through tokens of a text that is (so far) valid.
class Cursor {
public:
  explicit Cursor(std::string_view text) : text(text) {}

  size_t offset() const { return at; }
  uint32_t line() const { return lineNumber; }
  uint32_t column() const { return static_cast<uint32_t>(at - lineStart + 1); }
  char peek() const { return at < text.size() ? text[at] : '\0'; }

  /// To the next token; separators are tokens only if asked for.
  void skip(bool separators) {
    while (at < text.size()) {
      char c = text[at];
      if (c == '/' && at + 1 < text.size() && (text[at + 1] == '/' || text[at + 1] == '*'))
        skipComment();
      else if (c == ' ' || c == '\t' || c == '\r' || c == '\n' || (separators && (c == ',' || c == ':')))
        step();
      else
        return;
    }
  }

  /// Over one token; its text.
  std::string_view take() {
    size_t begin = at;
    if (at >= text.size())
      return {};
    if (text[at] == '"') {
      step();
      while (at < text.size() && text[at] != '"' && text[at] != '\n') {
        if (text[at] == '\\')
          step();
        step();
      }
      step();
    } else if (std::string_view("[]{},:").find(text[at]) != std::string_view::npos) {
      step();
    } else {
      do
        step();
      while (at < text.size() && std::string_view(" \t\r\n[]{},:\"/").find(text[at]) == std::string_view::npos);
    }
    return text.substr(begin, at - begin);
  }

  void seek(size_t offset) {
    while (at < offset && at < text.size())
      step();
  }

private:
  void step() {
    if (at >= text.size())
      return;
    if (text[at++] == '\n') {
      ++lineNumber;
      lineStart = at;
    }
  }

  void skipComment() {
    bool block = text[at + 1] == '*';
    step();
    step();
    while (at < text.size()) {
      if (block && text[at] == '*' && at + 1 < text.size() && text[at + 1] == '/') {
        step();
        step();
        return;
      }
      if (!block && (text[at] == '\n' || text[at] == '\r'))
        return;
      step();
    }
  }

  std::string_view text;
  size_t at = 0, lineStart = 0;
  uint32_t lineNumber = 1;
};

Position place(const Cursor &cursor, const std::string &pointer = {}) {
  return {cursor.line(), cursor.column(), pointer};
}

/// What people write from the habit of other languages.
std::string hintFor(std::string_view token, char before, bool opened) {
  if (token.empty())
    return {};
  char first = token.front();
  if ((first == '}' || first == ']') && before == ',')
    return "remove the comma before " + quote(token.substr(0, 1));
  if (first == '\'')
    return "text stands in double quotes";
  if (first == '#')
    return "a comment starts with //";
  std::string lower(token.substr(0, 20));
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  std::string unsignedWord = lower.substr(lower.find_first_not_of("+-") == 1 ? 1 : 0);
  if (unsignedWord == "nan" || unsignedWord == "inf" || unsignedWord == "infinity")
    return "JSON has no NaN or Infinity; where infinity is allowed write it as an expression: \"inf\"";
  if (lower == "true" || lower == "false" || lower == "null" || lower == "none")
    return "JSON's words are true, false and null";
  if (first == '+')
    return "a number has no leading '+'";
  if (first == '.' || lower.substr(0, 2) == "-.")
    return "a number needs a digit before the point";
  if (lower.find('x') == 1 && first == '0')
    return "numbers are decimal";
  if (token.size() > 1 && first == '0' && std::isdigit(static_cast<unsigned char>(token[1])))
    return "a number has no leading zero";
  if (std::isdigit(static_cast<unsigned char>(first)) && (before == ',' || token.find('_') != std::string_view::npos))
    return "a number has no separators between its digits";
  if (opened && std::isalpha(static_cast<unsigned char>(first)))
    return "keys and text stand in double quotes";
  if ((first == '"' || first == '{' || first == '[') && before != ',' && before != ':' && before != '\0')
    return "a comma may be missing before it";
  return {};
}

class Builder : public nlohmann::json_sax<nlohmann::json> {
public:
  Builder(const SourceText &source, const Limits &limits, Diagnostics &diagnostics)
      : source(source), limits(limits), diagnostics(diagnostics), cursor(source.text) {}

  JsonDocument document;

  bool null() override { return add(JsonValue::Kind::null) != nullptr; }
  bool boolean(bool truth) override {
    JsonValue *value = add(JsonValue::Kind::boolean);
    if (value)
      value->truth = truth;
    return value;
  }
  bool number_integer(number_integer_t) override { return number(); }
  bool number_unsigned(number_unsigned_t) override { return number(); }
  bool number_float(number_float_t, const string_t &) override { return number(); }
  bool binary(binary_t &) override { return false; }

  bool string(string_t &text) override {
    JsonValue *value = add(JsonValue::Kind::string);
    if (!value || !checkText(text, value->position()))
      return false;
    value->escaped = token.size() != text.size() + 2;
    value->text = std::move(text);
    return true;
  }

  bool start_object(std::size_t) override { return open(JsonValue::Kind::object); }
  bool start_array(std::size_t) override { return open(JsonValue::Kind::array); }
  bool end_array() override { return close(); }

  bool end_object() override {
    bool unique = checkDuplicates(*stack.back());
    return close() && unique;
  }

  bool key(string_t &text) override {
    cursor.skip(true);
    JsonMember member;
    member.line = cursor.line();
    member.column = cursor.column();
    Position pos = place(cursor, stack.back()->pointer());
    cursor.take();
    if (!checkText(text, pos))
      return false;
    if (text.size() > limits.nameBytes) {
      diagnostics.error(
          pos, "key of " + std::to_string(text.size()) + " bytes, the limit is " + std::to_string(limits.nameBytes),
          "--limit nameBytes=N raises it",
          Failure::limit);
      return false;
    }
    member.key = std::move(text);
    stack.back()->members.push_back(std::move(member));
    return true;
  }

  bool parse_error(std::size_t position, const std::string &, const nlohmann::detail::exception &what) override {
    explain(std::min(position, source.text.size() + 1), what.what());
    return false;
  }

private:
  JsonValue *add(JsonValue::Kind kind) {
    cursor.skip(true);
    document.values.emplace_back();
    JsonValue *value = &document.values.back();
    value->kind = kind;
    value->line = cursor.line();
    value->column = cursor.column();
    token = cursor.take();
    if (stack.empty())
      return value;
    JsonValue *parent = stack.back();
    value->parent = parent;
    if (parent->isArray()) {
      value->index = static_cast<uint32_t>(parent->items.size());
      parent->items.push_back(value);
    } else {
      value->index = static_cast<uint32_t>(parent->members.size() - 1);
      parent->members.back().value = value;
    }
    return value;
  }

  bool number() {
    JsonValue *value = add(JsonValue::Kind::number);
    value->text = std::string(token);
    // The parser stops a number at the first character that does not fit ("01" is 0, then 1); the cursor does not.
    std::string_view digits = token.substr(token[0] == '-');
    bool zero = digits.size() > 1 && digits[0] == '0' &&
                (std::isalnum(static_cast<unsigned char>(digits[1])) && digits[1] != 'e' && digits[1] != 'E');
    if (zero || token.find_first_not_of("0123456789+-.eE") != std::string_view::npos) {
      diagnostics.error(value->position(), quote(token.substr(0, 40)) + " is not a number", hintFor(token, '\0', true));
      return false;
    }
    return true;
  }

  bool open(JsonValue::Kind kind) {
    JsonValue *value = add(kind);
    stack.push_back(value);
    if (stack.size() <= limits.depth)
      return true;
    Position pos = value->position();
    pos.pointer.clear();
    diagnostics.error(pos, "nested deeper than the limit of " + std::to_string(limits.depth),
                      "--limit depth=N raises it", Failure::limit);
    return false;
  }

  bool close() {
    cursor.skip(true);
    cursor.take();
    stack.pop_back();
    return true;
  }

  bool checkText(const std::string &text, const Position &pos) {
    if (text.find('\0') == std::string::npos)
      return true;
    diagnostics.error(pos, "text contains a NUL character");
    return false;
  }

  bool checkDuplicates(const JsonValue &object) {
    std::unordered_map<std::string_view, const JsonMember *> first;
    bool unique = true;
    for (const JsonMember &member : object.members) {
      auto [found, added] = first.emplace(member.key, &member);
      if (added)
        continue;
      const JsonMember &earlier = *found->second;
      diagnostics.error(member.position(), "duplicate key " + quote(member.key) + ", first at " +
                                               std::to_string(earlier.line) + ":" + std::to_string(earlier.column));
      unique = false;
    }
    return unique;
  }

  void explain(size_t position, std::string_view what);

  const SourceText &source;
  const Limits &limits;
  Diagnostics &diagnostics;
  Cursor cursor;
  std::string_view token;
  std::vector<JsonValue *> stack;
};

void Builder::explain(size_t position, std::string_view what) {
  // Walk from the last good token to the one that ends at or behind the parser's place.
  const std::string &text = source.text;
  char before = cursor.offset() > 0 ? text[cursor.offset() - 1] : '\0';
  std::string_view bad;
  Cursor start = cursor;
  while (true) {
    cursor.skip(false);
    start = cursor;
    bad = cursor.take();
    if (bad.empty() || cursor.offset() >= position)
      break;
    before = bad.back();
  }
  bool end = what.find("unexpected end of input") != std::string_view::npos || bad.empty();
  std::string pointer = stack.empty() ? "" : stack.back()->pointer();
  auto part = [&](std::string_view after, std::string_view until) {
    size_t from = what.find(after);
    if (from == std::string_view::npos)
      return std::string_view();
    std::string_view rest = what.substr(from + after.size());
    return rest.substr(0, rest.find(until));
  };
  std::string expected(part("; expected ", ";"));
  for (auto [from, to] :
       {std::pair("string literal", "a key in double quotes"), std::pair("end of input", "the end of the text"),
        std::pair("'[', '{', or a literal", "a value"), std::pair("'}'", "',' or '}'"), std::pair("']'", "',' or ']'")})
    if (expected == from)
      expected = to;
  if (expected.empty())
    expected = stack.empty() ? "a value" : !stack.back()->isArray() && before == ':' ? "a value" : "";
  if (what.find("number overflow") != std::string_view::npos) {
    diagnostics.error(place(start, pointer), "number " + quote(bad.substr(0, 40)) + " does not fit a double");
    return;
  }
  std::string message(part("invalid string: ", "; last read"));
  if (!message.empty()) {
    if (message.find("missing closing quote") != std::string::npos) {
      diagnostics.error(place(start, pointer), "unexpected end of the file inside a string");
      return;
    }
    if (message.find("control character") == 0)
      message = message.find("U+000A") != std::string::npos || message.find("U+000D") != std::string::npos
                    ? "the line ends before its closing quote"
                    : message.substr(0, message.find(" must be")) + " must be escaped";
    start.seek(std::min(position, text.size()) - 1);
    diagnostics.error(place(start, pointer), "invalid string: " + message);
    return;
  }
  if (what.find("invalid comment") != std::string_view::npos) {
    start.seek(std::min(position, text.size()));
    bool open = what.find("missing closing") != std::string_view::npos;
    diagnostics.error(place(start, pointer), open ? "unexpected end of the file inside a comment" : "invalid comment",
                      open ? "" : "comments are // to the end of the line, or /* */");
    return;
  }
  if (end) {
    diagnostics.error(
        place(start, pointer), "unexpected end of the file" + (expected.empty() ? "" : ", expected " + expected),
        stack.empty() ? "" : std::string("an opened '") + (stack.back()->isArray() ? "[" : "{") + "' was not closed");
    return;
  }
  std::string wanted = expected.empty() ? "" : "expected " + expected + " but got ";
  bool opened = before == '{' || before == ',' || before == '[' || before == ':';
  diagnostics.error(place(start, pointer), wanted.empty() ? "unexpected " + quote(bad) : wanted + quote(bad),
                    hintFor(bad, before, opened));
}

/// Byte-order marks, other encodings, NUL bytes and broken UTF-8, each with its place.
bool checkEncoding(const SourceText &source, Diagnostics &diagnostics) {
  const std::string &text = source.text;
  auto starts = [&](std::string_view bytes) { return std::string_view(text).substr(0, bytes.size()) == bytes; };
  using namespace std::string_view_literals;
  std::string encoding =
      starts("\xFF\xFE\0\0"sv) || starts("\0\0\xFE\xFF"sv) || starts("\0\0\0{"sv) || starts("{\0\0\0"sv) ? "UTF-32"
      : starts("\xFF\xFE"sv) || starts("\xFE\xFF"sv) || starts("\0{"sv) || starts("{\0"sv)               ? "UTF-16"
                                                                                                         : "";
  if (!encoding.empty()) {
    diagnostics.error({1, 1, ""}, "the file is " + encoding + ", expected UTF-8");
    return false;
  }
  if (starts("\xEF\xBB\xBF")) {
    diagnostics.error({1, 1, ""}, "the file starts with a byte-order mark at offset 0",
                      "save it as UTF-8 without a mark");
    return false;
  }
  Cursor cursor(text);
  for (size_t i = 0; i < text.size();) {
    unsigned char c = text[i];
    if (c != 0 && c < 0x80) {
      ++i;
      continue;
    }
    // escapeText leaves exactly the valid characters as they are (C1 controls and marks become \u{...}).
    size_t length = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
    std::string shown = c == 0 ? "" : escapeText(std::string_view(text).substr(i, length));
    if (c == 0 || shown.compare(0, 2, "\\x") == 0) {
      cursor.seek(i);
      diagnostics.error(place(cursor),
                        c == 0 ? "NUL byte at offset " + std::to_string(i)
                               : "invalid UTF-8 at byte offset " + std::to_string(i) + ": " + shown.substr(0, 4));
      return false;
    }
    i += length;
  }
  return true;
}

} // namespace

std::optional<JsonDocument> readJson(const SourceText &source, const Limits &limits, Diagnostics &diagnostics) {
  if (source.text.size() > limits.fileBytes) {
    diagnostics.error({}, "larger than the limit of " + std::to_string(limits.fileBytes) + " bytes",
                      "--limit fileBytes=N raises it",
                      Failure::limit);
    return std::nullopt;
  }
  if (!checkEncoding(source, diagnostics))
    return std::nullopt;
  Builder builder(source, limits, diagnostics);
  bool valid = nlohmann::json::sax_parse(source.text, &builder, nlohmann::json::input_format_t::json, true, true);
  if (!valid)
    return std::nullopt;
  return std::move(builder.document);
}

} // namespace weft
