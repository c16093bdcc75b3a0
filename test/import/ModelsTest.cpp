// Whole models: those of this folder, and, where WEFT_SHARED names a folder with them, the format's examples.
// For the latter, names and shapes of all parameters are compared with the weights files stored beside them.
#include "Helpers.h"
#include "import/ReadJson.h"

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>

using namespace weft;
using namespace weft::test;
namespace fs = std::filesystem;

namespace {

Reading readFile(const fs::path &path, const ReadOptions &options = {}) {
  Reading result;
  result.model = readModelFile(path.string(), options, result.diagnostics);
  return result;
}

std::optional<fs::path> sharedFolder() {
  const char *folder = std::getenv("WEFT_SHARED");
  if (folder && fs::is_directory(fs::path(folder) / "design/format"))
    return fs::path(folder);
  return std::nullopt;
}

#define NEED_SHARED(name)                                                                                              \
  auto name = sharedFolder();                                                                                          \
  if (!name)                                                                                                           \
  GTEST_SKIP() << "WEFT_SHARED does not name a folder with design/format"

TEST(Models, FixturesOfThisFolderRead) {
  size_t count = 0;
  for (const auto &entry : fs::directory_iterator(fs::path(WEFT_SOURCE_DIR) / "test/import"))
    if (entry.path().extension() == ".json") {
      Reading got = readFile(entry.path());
      bool wrong = entry.path().filename().string().rfind("wrong_", 0) == 0;
      EXPECT_EQ(static_cast<bool>(got), !wrong) << entry.path() << "\n" << got.errors();
      ++count;
    }
  EXPECT_GE(count, 3u);
}

TEST(Models, DecoderHasItsParametersEntriesAndLoop) {
  Reading got = readFile(fs::path(WEFT_SOURCE_DIR) / "test/import/decoder.json");
  ASSERT_TRUE(static_cast<bool>(got)) << got.errors();
  EXPECT_EQ(got->tensors.size(), 2u + 12 * 12 + 2);
  EXPECT_EQ(got->tensors[0].name, "wte.weight");
  EXPECT_EQ(findTensor(*got, "h.11.mlp.c_proj.weight")->shape, (std::vector<int64_t>{768, 3072}));
  EXPECT_TRUE(findTensor(*got, "h.3.attn.c_attn.weight")->transpose);
  EXPECT_NEAR(findTensor(*got, "h.0.attn.c_proj.weight")->b, 0.02 / std::sqrt(24.0), 1e-15);
  const Node &loop = *findNode(got->graph.nodes, "h");
  EXPECT_EQ(loop.count, 12);
  EXPECT_EQ(loop.body->nodes.size(), 11u);
  EXPECT_EQ(typeOf(*got, "logits"), "f32 [B, T, 50257]");
  EXPECT_EQ(got->generates.at(0).tokenInput, "tokens");
  // The head is tied to the embedding: one tensor, two uses.
  EXPECT_EQ(findNode(got->graph.nodes, "logits")->params[0].tensors[0],
            findNode(got->graph.nodes, "wte")->params[0].tensors[0]);
}

TEST(Models, WrongEncoderNamesEveryMistake) {
  Reading got = readFile(fs::path(WEFT_SOURCE_DIR) / "test/import/wrong_encoder.json");
  EXPECT_EQ(got.diagnostics.errorCount(), 6u) << got.errors();
  for (const char *part :
       {"7:83 /inputs/segment_ids: nothing uses input 'segment_ids'",
        "/blocks/layer/nodes/0/featuers: op 'linear' has no attribute 'featuers' (did you mean 'features'?)",
        "/graph/2/in/mask: no value 'attention_mask' is defined here (did you mean 'attn_mask'?)",
        "/graph/5/axis: axis 2 of a value of shape [B, 30]", "/train/optimizer/betas: betas: expected two numbers",
        "/entries/embed/outputs/0: no output 'emb'"})
    EXPECT_ERROR(got, part);
}

TEST(Models, FormatExamplesRead) {
  NEED_SHARED(shared);
  size_t count = 0;
  for (const auto &entry : fs::recursive_directory_iterator(*shared / "design/format"))
    if (entry.path().extension() == ".json") {
      Reading got = readFile(entry.path());
      EXPECT_READS(got) << entry.path();
      EXPECT_EQ(got.warnings(), "") << entry.path();
      ++count;
    }
  EXPECT_GE(count, 15u);
}

/// Names and shapes in the header of a safetensors file.
std::map<std::string, std::vector<int64_t>> readHeader(const fs::path &path) {
  std::ifstream file(path, std::ios::binary);
  unsigned char length[8] = {};
  file.read(reinterpret_cast<char *>(length), 8);
  uint64_t bytes = 0;
  for (int i = 7; i >= 0; --i)
    bytes = bytes << 8 | length[i];
  SourceText text;
  text.text.resize(std::min<uint64_t>(bytes, 10 << 20));
  file.read(text.text.data(), static_cast<std::streamsize>(text.text.size()));
  Diagnostics diagnostics;
  auto document = readJson(text, {}, diagnostics);
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const JsonMember &member : membersOf(document ? document->root() : nullptr)) {
    const JsonValue *shape = member.value->find("shape");
    for (const JsonValue *size : itemsOf(shape))
      shapes[member.key].push_back(*size->integer());
    if (shape)
      shapes[member.key];
  }
  return shapes;
}

TEST(Models, ParametersEqualStoredWeights) {
  NEED_SHARED(shared);
  if (!fs::is_directory(*shared / "data/goldens"))
    GTEST_SKIP() << "no data/goldens";
  size_t count = 0;
  for (const auto &entry : fs::directory_iterator(*shared / "data/goldens")) {
    fs::path golden = entry.path() / "golden.json", weights = entry.path() / "weights.safetensors";
    if (!fs::exists(golden) || !fs::exists(weights))
      continue;
    Diagnostics diagnostics;
    auto text = readTextFile(golden.string(), {}, diagnostics);
    auto document = readJson(*text, {}, diagnostics);
    ASSERT_TRUE(document.has_value()) << diagnostics.str();
    ReadOptions options;
    for (const JsonMember &member : membersOf(document->root()->find("set")))
      options.sets.emplace_back(member.key, member.value->text);
    Reading got = readFile(*shared / "design/format" / document->root()->find("model")->text, options);
    ASSERT_TRUE(static_cast<bool>(got)) << entry.path() << got.errors();
    auto stored = readHeader(weights);
    stored.erase("__metadata__");
    std::map<std::string, std::vector<int64_t>> mine;
    for (const ParamTensor &tensor : got->tensors) {
      std::vector<int64_t> shape = tensor.shape;
      if (tensor.transpose)
        std::swap(shape[0], shape[1]);
      mine[tensor.fileName] = shape;
    }
    EXPECT_EQ(mine, stored) << entry.path();
    ++count;
  }
  EXPECT_GE(count, 10u);
}

} // namespace
