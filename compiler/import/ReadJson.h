// JSON text -> a tree that knows where every key and value stands. The only user of nlohmann/json (SAX interface).
// Numbers stay text until somebody asks for an integer or a real, so nothing is rounded behind the reader's back.
#ifndef WEFT_IMPORT_READJSON_H
#define WEFT_IMPORT_READJSON_H

#include "import/Diagnostics.h"
#include "import/Limits.h"

#include <deque>
#include <optional>

namespace weft {

struct JsonMember;

struct JsonValue {
  enum class Kind : uint8_t { null, boolean, number, string, array, object };
  Kind kind = Kind::null;
  bool truth = false;
  bool escaped = false; ///< a string with escapes: offsets in `text` are not columns
  std::string text;     ///< a string's characters; a number as written
  std::vector<JsonValue *> items;
  std::vector<JsonMember> members;
  uint32_t line = 0, column = 0;
  JsonValue *parent = nullptr;
  uint32_t index = 0; ///< in the parent's items or members

  bool isString() const { return kind == Kind::string; }
  bool isNumber() const { return kind == Kind::number; }
  bool isArray() const { return kind == Kind::array; }
  bool isObject() const { return kind == Kind::object; }
  /// A number without '.' and exponent.
  bool isInteger() const;
  /// nullopt: not an integer, or outside 64 bits.
  std::optional<int64_t> integer() const;
  /// The nearest double; nullopt: not a number.
  std::optional<double> real() const;

  const JsonMember *member(std::string_view key) const;
  const JsonValue *find(std::string_view key) const;
  std::string pointer() const;
  Position position() const;
  /// "an object", "the string 'x'": for "expected A but got B".
  std::string describe() const;
};

struct JsonMember {
  std::string key;
  uint32_t line = 0, column = 0;
  JsonValue *value = nullptr;

  Position position() const; ///< of the key; the pointer names the member
};

/// Empty for nullptr and for values without members or items.
const std::vector<JsonMember> &membersOf(const JsonValue *value);
const std::vector<JsonValue *> &itemsOf(const JsonValue *value);

/// Owns every value; destruction is flat however deep the text nests.
struct JsonDocument {
  std::deque<JsonValue> values;
  const JsonValue *root() const { return values.empty() ? nullptr : &values.front(); }
};

/// Reads one JSON text with // and /* */ comments. nullopt after an error, which is in `diagnostics`.
std::optional<JsonDocument> readJson(const SourceText &source, const Limits &limits, Diagnostics &diagnostics);

/// Reads a whole regular file, or standard input for "-". nullopt after an error (Failure::file or Failure::limit).
std::optional<SourceText> readTextFile(const std::string &path, const Limits &limits, Diagnostics &diagnostics);

} // namespace weft

#endif // WEFT_IMPORT_READJSON_H
