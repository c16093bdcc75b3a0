// llama2.c's format: int32 longest piece, then for each id: float32 score, int32 length, bytes (little-endian).
// The number of pieces is not stored: the file simply ends.
#include "Tokenizer.h"

#include "import/Diagnostics.h"

#include <cstdio>
#include <cstring>

namespace weft {

namespace {

constexpr size_t kFirstByteId = 3; // <unk>, <s>, </s>, then one id for each of the 256 bytes

std::optional<std::string> readWhole(const std::string &path, std::string &failure) {
  std::FILE *file = std::fopen(path.c_str(), "rb");
  if (!file) {
    failure = "can't read " + quote(path) + ": " + std::strerror(errno);
    return std::nullopt;
  }
  std::string bytes;
  char part[65536];
  size_t got;
  while ((got = std::fread(part, 1, sizeof(part), file)) > 0 && bytes.size() < (64u << 20))
    bytes.append(part, got);
  bool broken = std::ferror(file);
  std::fclose(file);
  if (broken) {
    failure = "can't read " + quote(path) + ": " + std::strerror(errno);
    return std::nullopt;
  }
  return bytes;
}

size_t characterBytes(unsigned char first) { return first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4; }

} // namespace

std::optional<Tokenizer> Tokenizer::load(const std::string &path, std::string &failure) {
  std::optional<std::string> bytes = readWhole(path, failure);
  if (!bytes)
    return std::nullopt;
  auto damaged = [&](const std::string &text) {
    failure = "tokenizer " + quote(path) + ": " + text;
    return std::nullopt;
  };
  Tokenizer result;
  size_t at = 4;
  if (bytes->size() >= 1 && (*bytes)[0] == '{')
    return damaged("expected llama2.c's binary format but got JSON");
  while (at < bytes->size()) {
    float score;
    int32_t length;
    if (bytes->size() - at < 8)
      return damaged("expected a score and a length at byte " + std::to_string(at) + " but the file ends");
    std::memcpy(&score, bytes->data() + at, 4);
    std::memcpy(&length, bytes->data() + at + 4, 4);
    at += 8;
    if (length < 0 || size_t(length) > bytes->size() - at)
      return damaged("expected a piece within the file at byte " + std::to_string(at) + " but got the length " + std::to_string(length));
    std::string piece = bytes->substr(at, size_t(length));
    at += size_t(length);
    result.ids.emplace(piece, int64_t(result.pieces.size()));
    result.pieces.push_back(std::move(piece));
    result.scores.push_back(score);
  }
  if (result.pieces.size() < kFirstByteId + 256)
    return damaged("expected at least 259 pieces but got " + std::to_string(result.pieces.size()));
  return result;
}

std::vector<int64_t> Tokenizer::encode(std::string_view text) const {
  std::vector<int64_t> tokens = {kBegin};
  if (text.empty())
    return tokens;
  if (auto space = ids.find(" "); space != ids.end())
    tokens.push_back(space->second);
  for (size_t i = 0; i < text.size();) {
    size_t length = std::min(characterBytes((unsigned char)text[i]), text.size() - i);
    auto found = ids.find(std::string(text.substr(i, length)));
    if (found != ids.end())
      tokens.push_back(found->second);
    else
      for (size_t j = 0; j < length; ++j)
        tokens.push_back(int64_t((unsigned char)text[i + j] + kFirstByteId));
    i += length;
  }
  while (true) {
    float best = -1e10f;
    size_t where = 0;
    int64_t merged = -1;
    for (size_t i = 1; i + 1 < tokens.size(); ++i) { // the begin-of-text id is never merged
      auto found = ids.find(pieces[size_t(tokens[i])] + pieces[size_t(tokens[i + 1])]);
      if (found != ids.end() && scores[size_t(found->second)] > best) {
        best = scores[size_t(found->second)];
        where = i;
        merged = found->second;
      }
    }
    if (merged < 0)
      return tokens;
    tokens[where] = merged;
    tokens.erase(tokens.begin() + std::ptrdiff_t(where) + 1);
  }
}

std::string Tokenizer::decode(int64_t previous, int64_t token) const {
  if (token < 0 || size_t(token) >= pieces.size())
    return {};
  const std::string &piece = pieces[size_t(token)];
  if (token >= int64_t(kFirstByteId) && token < int64_t(kFirstByteId) + 256)
    return std::string(1, char(token - int64_t(kFirstByteId)));
  if (previous == kBegin && !piece.empty() && piece[0] == ' ')
    return piece.substr(1);
  return piece;
}

} // namespace weft
