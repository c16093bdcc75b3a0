// A small writer of pretty JSON for generated files. Keys keep the order in which they are given.
#ifndef WEFT_IMPORT_JSONTEXT_H
#define WEFT_IMPORT_JSONTEXT_H

#include "import/Diagnostics.h"

#include <initializer_list>
#include <utility>

namespace weft {

/// A JSON value under construction: raw text, an object or an array.
class JsonText {
public:
  JsonText() = default;
  static JsonText raw(std::string text) {
    JsonText value;
    value.text = std::move(text);
    return value;
  }
  static JsonText string(std::string_view text) { return raw(jsonString(text)); }
  static JsonText strings(const std::vector<std::string> &texts) {
    JsonText list = array();
    for (const std::string &next : texts)
      list.push(string(next));
    return list;
  }
  static JsonText object(std::initializer_list<std::pair<const char *, JsonText>> members = {}) {
    JsonText value;
    value.open = '{';
    for (const auto &[key, member] : members)
      value.set(key, member);
    return value;
  }
  static JsonText array(std::initializer_list<JsonText> items = {}) {
    JsonText value;
    value.open = '[';
    for (const JsonText &item : items)
      value.push(item);
    return value;
  }

  JsonText &set(const std::string &key, JsonText value) {
    members.emplace_back(key, std::move(value));
    return *this;
  }
  JsonText &push(JsonText value) {
    members.emplace_back("", std::move(value));
    return *this;
  }

  std::string str(size_t indent = 0) const {
    if (!open)
      return text;
    std::string flat = line();
    if (flat.size() + indent <= 120)
      return flat;
    std::string out(1, open), pad(indent + 2, ' ');
    for (size_t i = 0; i < members.size(); ++i)
      out += (i ? ",\n" : "\n") + pad + key(i) + members[i].second.str(indent + 2);
    return out + "\n" + std::string(indent, ' ') + close();
  }

private:
  char close() const { return open == '{' ? '}' : ']'; }
  std::string key(size_t i) const { return open == '{' ? jsonString(members[i].first) + ": " : ""; }
  std::string line() const {
    if (!open)
      return text;
    std::string out(1, open);
    for (size_t i = 0; i < members.size(); ++i)
      out += (i ? ", " : open == '{' ? " " : "") + key(i) + members[i].second.line();
    return out + (open == '{' && !members.empty() ? " " : "") + close();
  }

  char open = 0;
  std::string text;
  std::vector<std::pair<std::string, JsonText>> members;
};

} // namespace weft

#endif // WEFT_IMPORT_JSONTEXT_H
