// Typed reads of JSON values and their places, and the reading of whole files.
// from_chars reads numbers: no locale, correctly rounded.
#include "import/ReadJson.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace weft {

bool JsonValue::isInteger() const { return isNumber() && text.find_first_of(".eE") == std::string::npos; }

std::optional<int64_t> JsonValue::integer() const {
  if (!isInteger())
    return std::nullopt;
  int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional<int64_t>(value) : std::nullopt;
}

std::optional<double> JsonValue::real() const {
  if (!isNumber())
    return std::nullopt;
  double value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  // Too small for a double is 0; too large never gets here (the parser refuses it).
  if (error == std::errc::result_out_of_range)
    return text[0] == '-' ? -0.0 : 0.0;
  return error == std::errc() ? std::optional<double>(value) : std::nullopt;
}

const JsonMember *JsonValue::member(std::string_view key) const {
  for (const JsonMember &next : members)
    if (next.key == key)
      return &next;
  return nullptr;
}

const JsonValue *JsonValue::find(std::string_view key) const {
  const JsonMember *found = member(key);
  return found ? found->value : nullptr;
}

const std::vector<JsonMember> &membersOf(const JsonValue *value) {
  static const std::vector<JsonMember> none;
  return value ? value->members : none;
}

const std::vector<JsonValue *> &itemsOf(const JsonValue *value) {
  static const std::vector<JsonValue *> none;
  return value ? value->items : none;
}

std::string JsonValue::pointer() const {
  std::vector<std::string> steps;
  for (const JsonValue *at = this; at->parent; at = at->parent) {
    if (at->parent->isArray()) {
      steps.push_back(std::to_string(at->index));
      continue;
    }
    std::string step;
    for (char c : at->parent->members[at->index].key)
      step += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
    steps.push_back(step);
  }
  std::string result;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step)
    result += "/" + *step;
  return result;
}

Position JsonValue::position() const { return {line, column, pointer()}; }
Position JsonMember::position() const { return {line, column, value->pointer()}; }

std::string JsonValue::describe() const {
  switch (kind) {
  case Kind::null:
    return "null";
  case Kind::boolean:
    return truth ? "true" : "false";
  case Kind::number:
    return text.size() > 40 ? text.substr(0, 40) + "..." : text;
  case Kind::string:
    return "the string " + quote(text);
  case Kind::array:
    return "a list";
  case Kind::object:
    return "an object";
  }
  return "";
}

std::optional<SourceText> readTextFile(const std::string &path, const Limits &limits, Diagnostics &diagnostics) {
  bool standardInput = path == "-";
  diagnostics.setFile(standardInput ? "<stdin>" : path);
  auto fail = [&](std::string text, Failure failure = Failure::file, std::string hint = {}) {
    diagnostics.error({}, std::move(text), std::move(hint), failure);
    return std::nullopt;
  };
  int file = standardInput ? STDIN_FILENO : -1;
  if (!standardInput) {
    // The type is looked at before opening: opening a FIFO would wait for its writer.
    struct stat status;
    if (stat(path.c_str(), &status) != 0)
      return fail(std::string("cannot open the file: ") + std::strerror(errno));
    if (S_ISDIR(status.st_mode))
      return fail("is a directory, not a model file");
    if (!S_ISREG(status.st_mode))
      return fail("not a regular file");
    file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
      return fail(std::string("cannot open the file: ") + std::strerror(errno));
  }
  SourceText source;
  source.file = standardInput ? "<stdin>" : path;
  std::string failure;
  bool large = false;
  std::vector<char> buffer(1 << 16);
  while (true) {
    ssize_t got = read(file, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      failure = std::string("cannot read the file: ") + std::strerror(errno);
    if (got <= 0)
      break;
    if (source.text.size() + got > limits.fileBytes) {
      large = true;
      break;
    }
    source.text.append(buffer.data(), got);
  }
  if (!standardInput)
    close(file);
  if (!failure.empty())
    return fail(failure);
  if (large)
    return fail("larger than the limit of " + std::to_string(limits.fileBytes) + " bytes", Failure::limit,
                "--limit fileBytes=N raises it");
  return source;
}

} // namespace weft
