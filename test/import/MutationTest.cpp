// Thousands of damaged model files: each gives a model or errors with places, never a crash, and in bounded time.
// Damage is of two kinds: bytes (flipped, cut, doubled) and tokens (numbers and texts swapped for hostile ones).
#include "Helpers.h"

#include <filesystem>
#include <fstream>
#include <random>

using namespace weft;
using namespace weft::test;

namespace {

std::vector<std::string> seeds() {
  std::vector<std::string> texts;
  std::vector<std::filesystem::path> paths;
  for (const auto &entry : std::filesystem::directory_iterator(std::filesystem::path(WEFT_SOURCE_DIR) / "test/import"))
    if (entry.path().extension() == ".json")
      paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  for (const auto &path : paths) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    texts.push_back(text.str());
  }
  return texts;
}

/// Start and length of the tokens of a text: strings with their quotes, numbers, words, punctuation.
std::vector<std::pair<size_t, size_t>> tokensOf(const std::string &text) {
  std::vector<std::pair<size_t, size_t>> tokens;
  for (size_t i = 0; i < text.size();) {
    size_t begin = i;
    if (text[i] == '"') {
      for (++i; i < text.size() && text[i] != '"'; ++i)
        i += text[i] == '\\';
      ++i;
    } else if (std::isalnum(static_cast<unsigned char>(text[i])) || text[i] == '-') {
      while (i < text.size() && (std::isalnum(static_cast<unsigned char>(text[i])) || text[i] == '.' || text[i] == '-'))
        ++i;
    } else {
      ++i;
    }
    i = std::min(i, text.size());
    if (std::string_view(" \n\t").find(text[begin]) == std::string_view::npos)
      tokens.emplace_back(begin, i - begin);
  }
  return tokens;
}

TEST(Mutation, DamagedFilesGiveErrorsAndNothingElse) {
  const char *hostile[] = {"0",
                           "-1",
                           "1",
                           "2",
                           "3",
                           "9223372036854775807",
                           "-9223372036854775808",
                           "1e308",
                           "4.5",
                           "true",
                           "null",
                           "[]",
                           "{}",
                           "\"\"",
                           "\"inf\"",
                           "\"-inf\"",
                           "\"B\"",
                           "\"T\"",
                           "\"T * T\"",
                           "\"T / 2\"",
                           "\"min(T, B)\"",
                           "\"x\"",
                           "\"i\"",
                           "\"call\"",
                           "\"repeat\"",
                           "\"einsum\"",
                           "\"*\"",
                           "\"/\"",
                           "\"{i}\"",
                           "\"f16\"",
                           "\"mean\"",
                           "[0, 1]",
                           "[\"x\", \"x\"]",
                           "{\"state\": \"kv\"}",
                           "1000000",
                           "\"9223372036854775807 * T\"",
                           "-0.0"};
  const auto texts = seeds();
  ASSERT_GE(texts.size(), 3u);
  const char *wanted = std::getenv("WEFT_MUTATIONS");
  int rounds = wanted ? std::atoi(wanted) : 3000, readable = 0;
  ReadOptions options;
  options.limits.nodes = 5000;
  options.limits.rounds = 200;
  options.limits.tensors = 20000;
  std::mt19937 random(7);
  for (int round = 0; round < rounds; ++round) {
    std::string text = texts[random() % texts.size()];
    for (unsigned change = 0, count = 1 + random() % 3; change < count && !text.empty(); ++change) {
      // Swapping punctuation only breaks the JSON, so that swaps take values and keys.
      auto tokens = tokensOf(text), values = tokens;
      values.erase(std::remove_if(values.begin(), values.end(),
                                  [&](const auto &token) {
                                    return std::string_view("{}[],:/").find(text[token.first]) !=
                                           std::string_view::npos;
                                  }),
                   values.end());
      unsigned kind = random() % 8;
      if (kind >= 4 && !values.empty())
        tokens = values;
      auto [at, length] = tokens[random() % tokens.size()];
      auto [from, size] = tokens[random() % tokens.size()];
      switch (kind) {
      case 0:
        text[random() % text.size()] ^= static_cast<char>(1 << random() % 8);
        break;
      case 1:
        text.erase(at, length);
        break;
      case 2:
        text.insert(at, text.substr(from, random() % 200));
        break;
      case 3:
        text.resize(random() % text.size());
        break;
      case 4:
      case 5:
        text.replace(at, length, text.substr(from, size));
        break;
      default:
        text.replace(at, length, hostile[random() % std::size(hostile)]);
      }
      if (tokensOf(text).empty())
        break;
    }
    Reading got = readText(text, options);
    readable += static_cast<bool>(got);
    std::string shown = got.diagnostics.str() + got.diagnostics.json();
    EXPECT_EQ(shown.find('\x1b'), std::string::npos);
    for (const Diagnostic &next : got.diagnostics.sorted()) {
      EXPECT_FALSE(next.text.empty());
      EXPECT_NE(next.pos.line, 0u) << next.text;
    }
    if (got) {
      for (const ParamTensor &tensor : got->tensors)
        EXPECT_FALSE(tensor.fileName.empty() && tensor.name.empty());
    }
  }
  EXPECT_GT(readable, rounds / 150);
}

} // namespace
