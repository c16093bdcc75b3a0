// llama2.c's format: int32 longest piece, then for each id: float32 score, int32 length, bytes (little-endian).
// The number of pieces is not stored: the file simply ends. It has zero bytes, which a vocabulary has not.
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
  if (bytes->size() >= 2 && (*bytes)[0] == '{' && bytes->find(':') != std::string::npos)
    return damaged("expected llama2.c's binary format or a piece a line but got JSON");
  if (bytes->find('\0') == std::string::npos)
    return readVocabulary(*bytes, path, failure);
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

std::optional<Tokenizer> Tokenizer::readVocabulary(const std::string &text, const std::string &path, std::string &failure) {
  Tokenizer result;
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find('\n', at), text.size());
    std::string piece;
    for (size_t i = at; i < end; ++i) {
      const char next = text[i] == '\\' && i + 1 < end ? text[i + 1] : 0;
      const char meant = next == 'n' ? '\n' : next == 'r' ? '\r' : next == '\\' ? '\\' : 0;
      piece += meant ? meant : text[i];
      i += meant != 0;
    }
    at = end + 1;
    const size_t line = result.pieces.size() + 1;
    if (piece.empty() || !result.ids.emplace(piece, int64_t(line) - 1).second) {
      failure = "tokenizer " + quote(path) + ": line " + std::to_string(line) + ": " + (piece.empty() ? "expected a piece but the line is empty" : "piece " + quote(piece) + " is there twice");
      return std::nullopt;
    }
    result.longest = std::max(result.longest, piece.size());
    result.pieces.push_back(std::move(piece));
  }
  if (!result.pieces.empty())
    return result;
  failure = "tokenizer " + quote(path) + ": the file is empty";
  return std::nullopt;
}

std::optional<std::vector<int64_t>> Tokenizer::encode(std::string_view text, std::string &failure) const {
  if (longest > 0) {
    std::vector<int64_t> tokens;
    for (size_t at = 0; at < text.size();) {
      auto found = ids.end();
      size_t length = std::min(longest, text.size() - at);
      for (; length > 0 && found == ids.end(); --length)
        found = ids.find(std::string(text.substr(at, length)));
      if (found == ids.end()) {
        failure = "no piece of the tokenizer begins " + quote(text.substr(at, 20));
        return std::nullopt;
      }
      tokens.push_back(found->second);
      at += pieces[size_t(found->second)].size();
    }
    return tokens;
  }
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
  if (longest > 0)
    return piece;
  if (token >= int64_t(kFirstByteId) && token < int64_t(kFirstByteId) + 256)
    return std::string(1, char(token - int64_t(kFirstByteId)));
  if (previous == kBegin && !piece.empty() && piece[0] == ' ')
    return piece.substr(1);
  return piece;
}

} // namespace weft
