// The words of messages: printable forms of untrusted text, and the search for the name that was meant.
// Distances ignore case and underscores first, so that "LayerNrom" finds "layer_norm".
#include "import/Diagnostics.h"

#include <algorithm>
#include <cctype>

namespace weft {
namespace {

constexpr size_t kQuoted = 120;
constexpr size_t kComparable = 200;

struct Character {
  uint32_t code = 0;
  size_t length = 0; ///< 0: not valid UTF-8
};

Character decode(std::string_view text) {
  unsigned char first = text[0];
  if (first < 0x80)
    return {first, 1};
  size_t length = first >= 0xF0 && first < 0xF5   ? 4
                  : first >= 0xE0 && first < 0xF0 ? 3
                  : first >= 0xC2 && first < 0xE0 ? 2
                                                  : 0;
  if (length == 0 || text.size() < length)
    return {};
  uint32_t code = first & (0xFF >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80)
      return {};
    code = code << 6 | (text[i] & 0x3F);
  }
  bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
  if (overlong || (code >= 0xD800 && code < 0xE000) || code > 0x10FFFF)
    return {};
  return {code, length};
}

/// C1 controls, direction overrides and isolates, line separators, and the byte-order mark.
bool changesDisplay(uint32_t code) {
  return (code >= 0x80 && code < 0xA0) || (code >= 0x200B && code <= 0x200F) || (code >= 0x2028 && code <= 0x202E) ||
         (code >= 0x2060 && code <= 0x206F) || code == 0xFEFF;
}

std::string plain(std::string_view word) {
  std::string result;
  for (char c : word)
    if (c != '_' && c != '-')
      result += std::tolower(static_cast<unsigned char>(c));
  return result;
}

/// "attnmask" of "attentionmask": the same letters in order, from the first on.
bool isAbbreviation(std::string_view small, std::string_view large) {
  size_t next = 0;
  for (char c : large)
    next += next < small.size() && small[next] == c;
  return small[0] == large[0] && next == small.size();
}

/// "entry" of "entries", "state" of "states".
std::string singular(const std::string &word) {
  if (word.size() > 4 && word.compare(word.size() - 3, 3, "ies") == 0)
    return word.substr(0, word.size() - 3) + "y";
  return word.size() > 2 && word.back() == 's' ? word.substr(0, word.size() - 1) : word;
}

std::string hex(uint32_t value, int digits) {
  std::string result;
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4)
    result += "0123456789abcdef"[value >> shift & 15];
  return result;
}

} // namespace

std::string escapeText(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    Character next = decode(text);
    size_t length = std::max<size_t>(next.length, 1);
    if (next.length == 0 || next.code < 0x20 || next.code == 0x7F)
      out += "\\x" + hex(static_cast<unsigned char>(text[0]), 2);
    else if (changesDisplay(next.code))
      out += "\\u{" + hex(next.code, 4) + "}";
    else
      out += text.substr(0, length);
    text.remove_prefix(length);
  }
  return out;
}

std::string quote(std::string_view text) {
  std::string shown = escapeText(text.substr(0, 4 * kQuoted));
  size_t count = 0, end = 0;
  for (; end < shown.size(); ++end)
    if ((static_cast<unsigned char>(shown[end]) & 0xC0) != 0x80 && ++count > kQuoted)
      break;
  bool cut = end < shown.size() || text.size() > 4 * kQuoted;
  return "'" + shown.substr(0, end) + (cut ? "..." : "") + "'";
}

std::string listWords(const std::vector<std::string> &words) {
  std::string out;
  for (size_t i = 0; i < words.size(); ++i)
    out += (i == 0 ? "" : i + 1 == words.size() ? " or " : ", ") + quote(words[i]);
  return out;
}

std::string jsonString(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    Character next = decode(text);
    size_t length = std::max<size_t>(next.length, 1);
    char c = text[0];
    if (next.length == 0)
      out += "\\ufffd";
    else if (c == '"' || c == '\\')
      out += std::string("\\") + c;
    else if (c == '\n')
      out += "\\n";
    else if (next.code < 0x20 || next.code == 0x7F)
      out += "\\u" + hex(next.code, 4);
    else
      out += text.substr(0, length);
    text.remove_prefix(length);
  }
  return out + "\"";
}

unsigned editDistance(std::string_view a, std::string_view b) {
  std::vector<unsigned> two(b.size() + 1), one(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j)
    one[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({one[j] + 1, row[j - 1] + 1, one[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], two[j - 2] + 1);
    }
    std::swap(two, one);
    std::swap(one, row);
  }
  return one[b.size()];
}

std::vector<std::string> closest(std::string_view word, const std::vector<std::string> &candidates) {
  if (word.empty() || word.size() > kComparable)
    return {};
  std::string wanted = plain(word);
  if (std::vector<std::string> meant = foreignWord(wanted, candidates); !meant.empty())
    return meant;
  // A typo of one letter must be found in any name; more letters may differ in longer ones.
  unsigned allowed = wanted.size() <= 4 ? 1 : wanted.size() <= 8 ? 2 : 3;
  struct Found {
    unsigned distance, exact;
    const std::string *name;
  };
  std::vector<Found> found;
  for (const std::string &candidate : candidates) {
    std::string have = plain(candidate);
    if (candidate == word || candidate.size() > kComparable)
      continue;
    // One is a part of the other: "feat" for "features", "epsilon" for "eps", "num_heads" for "heads".
    const std::string &small = wanted.size() < have.size() ? wanted : have,
                      &large = wanted.size() < have.size() ? have : wanted;
    bool prefix = small.size() >= 3 && (large.compare(0, small.size(), small) == 0 ||
                                        large.compare(large.size() - small.size(), small.size(), small) == 0);
    bool similar = have.size() <= wanted.size() + allowed && wanted.size() <= have.size() + allowed;
    unsigned distance = similar ? editDistance(wanted, have) : allowed + 1;
    if (singular(wanted) == singular(have))
      distance = std::min(distance, 1u);
    if (distance <= allowed)
      found.push_back({distance, editDistance(word, candidate), &candidate});
    else if (prefix)
      found.push_back({allowed + 1, editDistance(word, candidate), &candidate});
    else if (small.size() >= 3 && isAbbreviation(small, large))
      found.push_back({allowed + 2, editDistance(word, candidate), &candidate});
  }
  std::sort(found.begin(), found.end(), [](const Found &a, const Found &b) {
    return std::tuple(a.distance, a.exact, *a.name) < std::tuple(b.distance, b.exact, *b.name);
  });
  std::vector<std::string> result;
  for (const Found &next : found)
    if (result.size() < 3 && next.distance == found.front().distance && next.exact <= found.front().exact + 1)
      result.push_back(*next.name);
  return result;
}

std::string didYouMean(std::string_view word, const std::vector<std::string> &candidates) {
  auto found = closest(word, candidates);
  return found.empty() ? "" : "did you mean " + listWords(found) + "?";
}

} // namespace weft
