// Text to token ids and back, for `weft generate`. Reads llama2.c's tokenizer file (tok512.bin, tokenizer.bin): pieces
// with scores, merged greedily by the best score; what no piece covers becomes bytes. Or a vocabulary as text, one piece a
// line (\n, \r and \\ stand for themselves): the longest piece at each place.
#ifndef WEFT_TOOLS_TOKENIZER_H
#define WEFT_TOOLS_TOKENIZER_H

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace weft {

class Tokenizer {
public:
  /// nullopt and the reason in `failure` if the file can't be read or is damaged.
  static std::optional<Tokenizer> load(const std::string &path, std::string &failure);

  size_t size() const { return pieces.size(); }
  /// Ids of a text; with llama2.c's file the begin-of-text id first. nullopt and the reason if no piece covers a place.
  std::optional<std::vector<int64_t>> encode(std::string_view text, std::string &failure) const;
  /// Bytes that `token` adds after `previous`.
  std::string decode(int64_t previous, int64_t token) const;

  static constexpr int64_t kBegin = 1, kEnd = 2;

private:
  std::vector<std::string> pieces;
  std::vector<float> scores;
  std::unordered_map<std::string, int64_t> ids;
  size_t longest = 0; ///< piece of a vocabulary; 0: llama2.c's file

  static std::optional<Tokenizer> readVocabulary(const std::string &text, const std::string &path, std::string &failure);
};

} // namespace weft

#endif // WEFT_TOOLS_TOKENIZER_H
