// Collects diagnostics and prints them with the source line and a caret.
// Long lines are cut around the column, so that a one-line file of a megabyte still gives a readable message.
#include "import/Diagnostics.h"

#include <algorithm>

namespace weft {
namespace {

constexpr size_t kLineWidth = 120;
constexpr size_t kKept = 1000;

/// Moves `at` back to the first byte of a UTF-8 character.
size_t characterStart(std::string_view text, size_t at) {
  while (at > 0 && at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80)
    --at;
  return at;
}

size_t countCharacters(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

/// The part of a line around the column, escaped, and the caret's place below it.
std::pair<std::string, size_t> excerpt(std::string_view line, size_t column) {
  size_t target = std::min(column > 0 ? column - 1 : 0, line.size());
  size_t begin = 0, end = line.size();
  if (line.size() > kLineWidth) {
    begin = characterStart(line, target > kLineWidth / 2 ? target - kLineWidth / 2 : 0);
    end = characterStart(line, std::min(line.size(), begin + kLineWidth));
  }
  auto show = [](std::string_view part) {
    std::string spaced(part);
    std::replace(spaced.begin(), spaced.end(), '\t', ' ');
    return escapeText(spaced);
  };
  std::string before = show(line.substr(begin, target - begin)), after = show(line.substr(target, end - target));
  std::string head = begin > 0 ? "..." : "";
  return {head + before + after + (end < line.size() ? "..." : ""), countCharacters(head + before)};
}

} // namespace

std::string_view SourceText::line(uint32_t number) const {
  if (starts.empty()) {
    starts.push_back(0);
    for (size_t i = 0; i < text.size(); ++i)
      if (text[i] == '\n')
        starts.push_back(i + 1);
  }
  if (number == 0 || number > starts.size())
    return {};
  size_t begin = starts[number - 1], end = number < starts.size() ? starts[number] - 1 : text.size();
  if (end > begin && text[end - 1] == '\r')
    --end;
  return std::string_view(text).substr(begin, end - begin);
}

void Diagnostics::error(const Position &pos, std::string text, std::string hint, Failure failure) {
  add({false, failure, pos, std::move(text), std::move(hint)});
}

void Diagnostics::warning(const Position &pos, std::string text, std::string hint) {
  add({true, Failure::model, pos, std::move(text), std::move(hint)});
}

void Diagnostics::add(Diagnostic diagnostic) {
  std::string key = std::to_string(diagnostic.pos.line) + ":" + std::to_string(diagnostic.pos.column) + diagnostic.text;
  if (!seen.insert(std::move(key)).second)
    return;
  errors += !diagnostic.warning;
  if (all.size() < kKept)
    all.push_back(std::move(diagnostic));
}

int Diagnostics::exitCode() const {
  int code = 0;
  for (const Diagnostic &next : all)
    if (!next.warning)
      code = std::max(code, static_cast<int>(next.failure));
  return code;
}

std::vector<Diagnostic> Diagnostics::sorted() const {
  std::vector<std::pair<size_t, const Diagnostic *>> order;
  for (const Diagnostic &next : all)
    order.emplace_back(order.size(), &next);
  std::sort(order.begin(), order.end(), [](const auto &a, const auto &b) {
    auto key = [](const auto &x) { return std::tuple(x.second->pos.line, x.second->pos.column, x.first); };
    return key(a) < key(b);
  });
  std::vector<Diagnostic> result;
  for (const auto &[index, next] : order)
    result.push_back(*next);
  return result;
}

void Diagnostics::print(const Diagnostic &d, std::string &out) const {
  out += escapeText(file);
  if (d.pos.line != 0)
    out += ":" + std::to_string(d.pos.line) + ":" + std::to_string(d.pos.column);
  out += d.warning ? ": warning: " : ": error: ";
  out += escapeText(d.text) + "\n";
  if (!d.pos.pointer.empty())
    out += "  at " + escapeText(d.pos.pointer) + "\n";
  if (d.pos.line != 0 && source) {
    auto [text, caret] = excerpt(source->line(d.pos.line), d.pos.column);
    std::string number = std::to_string(d.pos.line);
    out +=
        " " + number + " | " + text + "\n " + std::string(number.size(), ' ') + " | " + std::string(caret, ' ') + "^\n";
  }
  if (!d.hint.empty())
    out += "  hint: " + escapeText(d.hint) + "\n";
}

std::string Diagnostics::str() const {
  std::string out;
  size_t shown = 0;
  for (const Diagnostic &next : sorted()) {
    if (!next.warning && ++shown > kShown)
      break;
    print(next, out);
  }
  if (errors > kShown)
    out += escapeText(file) + ": error: " + std::to_string(errors - kShown) + " more errors are not shown\n";
  return out;
}

std::string Diagnostics::json() const {
  std::string out = "[";
  for (const Diagnostic &next : sorted()) {
    out += out.size() > 1 ? ", {" : "{";
    out +=
        "\"severity\": " + std::string(next.warning ? "\"warning\"" : "\"error\"") + ", \"file\": " + jsonString(file);
    out += ", \"line\": " + std::to_string(next.pos.line) + ", \"column\": " + std::to_string(next.pos.column);
    out += ", \"pointer\": " + jsonString(next.pos.pointer) + ", \"text\": " + jsonString(next.text);
    out += ", \"hint\": " + jsonString(next.hint) + "}";
  }
  return out + "]";
}

} // namespace weft
