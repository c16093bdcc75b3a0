// "did you mean" on a hundred typos and on every single-letter typo of every op: at least 95 % must name the right
// word. Typos are the usual four: a letter missing, doubled, replaced by a neighbour, or two letters swapped.
#include "Helpers.h"

#include <random>

using namespace weft;
using namespace weft::test;

namespace {

std::string typo(const std::string &word, int kind, size_t at) {
  std::string result = word;
  switch (kind) {
  case 0:
    result.erase(at, 1);
    break;
  case 1:
    result.insert(at, 1, word[at]);
    break;
  case 2:
    result[at] = word[at] == 'z' ? 'y' : word[at] == '_' ? '-' : static_cast<char>(word[at] + 1);
    break;
  default:
    if (at + 1 < word.size())
      std::swap(result[at], result[at + 1]);
  }
  return result;
}

bool namesRight(const std::string &typed, const std::string &meant, const std::vector<std::string> &words) {
  return didYouMean(typed, words).find("'" + meant + "'") != std::string::npos;
}

TEST(Hints, SimpleTyposOfEveryOp) {
  const auto &ops = opNames();
  int right = 0, all = 0;
  std::string missed;
  for (const std::string &op : ops)
    for (int kind = 0; kind < 4; ++kind)
      for (size_t at = 0; at < op.size(); ++at) {
        std::string typed = typo(op, kind, at);
        if (typed.empty() || std::find(ops.begin(), ops.end(), typed) != ops.end())
          continue;
        ++all;
        bool good = namesRight(typed, op, ops);
        right += good;
        if (!good)
          missed += " " + typed + "(" + op + ")";
      }
  EXPECT_GE(right * 100, all * 95) << right << " of " << all << ", missed:" << missed;
  RecordProperty("right", right);
  RecordProperty("all", all);
}

/// What a port from PyTorch types first, in the place where it is typed.
TEST(Hints, WordsOfOtherFrameworksNameOurs) {
  const std::vector<std::pair<std::string, std::string>> ops = {
      {"view", "reshape"},   {"permute", "transpose"}, {"cat", "concat"},     {"bmm", "matmul"},
      {"arange", "iota"},    {"Swish", "silu"},        {"clip", "clamp"},     {"scaled_dot_product_attention", "attention"},
      {"MultiheadAttention", "mha"}, {"nll_loss", "cross_entropy"}, {"ReduceMean", "mean"}, {"loop", "repeat"},
      {"avg_pool", "mean_pool"},     {"CrossEntropyLoss", "cross_entropy"}, {"ce_loss", "cross_entropy"}, {"norm", "layer_norm"},
      {"lrelu", "leaky_relu"}};
  for (const auto &[typed, meant] : ops)
    EXPECT_EQ(didYouMean(typed, opNames()).find("did you mean '" + meant + "'"), 0u) << typed;
  auto hint = [](const std::string &node) {
    return readText(R"({"format": "1.0", "name": "m", "dims": {"B": {"max": 4}}, "inputs": {"x": {"dtype": "f32", "shape": ["B", 16, 8]}},
"blocks": {"b": {"in": ["x"], "nodes": [{"id": "inside", "op": "relu", "in": "x"}], "out": "inside"}},
"graph": [{"id": "ran", "op": "call", "block": "b", "in": {"x": "x"}}, {"id": "row", "op": "max", "in": "x", "axis": -1}, )" + node +
                    R"(], "outputs": {"y": "y"}})")
        .errors();
  };
  auto has = [&](const std::string &node, const std::string &words) { EXPECT_NE(hint(node).find(words), std::string::npos) << hint(node); };
  has(R"({"id": "y", "op": "max", "in": "x", "dim": -1})", "did you mean 'axis'?");
  has(R"({"id": "y", "op": "transpose", "in": "x", "dims": [0, 2, 1]})", "did you mean 'perm'?");
  has(R"({"id": "y", "op": "transpose", "in": "x", "perm": [2, 1]})", "perm names every axis");
  has(R"({"id": "y", "op": "conv1d", "in": "x"})", "docs/ops.md has every op");
  has(R"({"id": "y", "op": "relu", "in": "inside"})", "a node of block 'b' is called so");
  has(R"({"id": "y", "op": "mul", "in": ["x", "row"]})", "'unsqueeze' adds one of size 1 to [B, 16]");
}

/// Keys, operands and dtypes of other frameworks where they are typed.
TEST(Hints, KeysAndDtypesOfOtherFrameworksNameOurs) {
  using Words = std::vector<std::string>;
  struct Typed {
    std::string typed, meant;
    Words known;
  };
  const Words attention = {"q", "k", "v", "key_mask", "mask", "bias"}, losses = {"prediction", "target"}, labelled = {"logits", "labels", "class_weights"},
              train = {"inputs", "nodes", "loss", "optimizer", "schedule", "clip_grad_norm"},
              schedule = {"kind", "total_steps", "warmup_steps", "min_lr_ratio", "decay_steps", "step_size", "d_model", "gamma", "factor"},
              optimizer = {"kind", "lr", "betas", "eps"}, sample = {"kind", "temperature", "k", "p", "beams"};
  for (const Typed &next : std::vector<Typed>{
           {"query", "q", attention},       {"key", "k", attention},           {"value", "v", attention},         {"input", "prediction", losses},
           {"pred", "prediction", losses},  {"output", "prediction", losses},  {"labels", "target", losses},      {"y_true", "target", losses},
           {"targets", "target", losses},   {"target", "labels", labelled},    {"input", "logits", labelled},     {"max_grad_norm", "clip_grad_norm", train},
           {"T_max", "total_steps", schedule}, {"eta_min", "min_lr_ratio", schedule}, {"type", "kind", schedule}, {"type", "kind", optimizer},
           {"idx", "index", {"id", "op", "in", "axis", "index"}}, {"truncated_normal", "trunc_normal", {"normal", "trunc_normal", "uniform"}},
           {"type", "kind", sample},        {"name", "kind", optimizer},       {"type", "dtype", {"dtype", "shape", "optional", "range"}}})
    EXPECT_EQ(didYouMean(next.typed, next.known), "did you mean '" + next.meant + "'?") << next.typed;
  for (const auto &[typed, meant] : std::vector<std::pair<std::string, std::string>>{
           {"long", "i64"}, {"int", "i32"}, {"float", "f32"}, {"double", "f64"}, {"half", "f16"}, {"torch.bfloat16", "bf16"}, {"torch.long", "i64"}, {"float32", "f32"}}) {
    Reading got = readText(R"({"format": "1.0", "name": "m", "inputs": {"x": {"dtype": ")" + typed +
                           R"(", "shape": [8]}}, "graph": [{"id": "y", "op": "cast", "in": "x", "dtype": "f32"}], "outputs": {"y": "y"}})");
    EXPECT_NE(got.errors().find("did you mean '" + meant + "'?"), std::string::npos) << got.errors();
  }
}

TEST(Hints, AKeyOfAnotherSectionIsSentThere) {
  EXPECT_EQ(sectionOf("lr"), "train/optimizer");
  EXPECT_EQ(sectionOf("transpose"), "weights");
  EXPECT_EQ(sectionOf("dtype"), ""); // several sections have it
  EXPECT_EQ(sectionOf(""), "");
}

TEST(Hints, ASizeOfMinusOneIsADim) {
  Reading got = readText(R"({"format": "1.0", "name": "m", "inputs": {"x": {"dtype": "f32", "shape": [-1, 8]}},
"graph": [{"id": "y", "op": "relu", "in": "x"}], "outputs": ["y"]})");
  EXPECT_NE(got.errors().find("a size known at run time is a name from 'dims'"), std::string::npos) << got.errors();
  EXPECT_NE(got.errors().find(R"(as in {"logits": "logits"}: name, value)"), std::string::npos) << got.errors();
}

/// A hundred typos in a whole model, each with one error that names the right word.
TEST(Hints, HundredTyposInAModel) {
  struct Spot {
    std::string before, word, after;
  };
  const std::string head =
      R"({"format": "1.0", "name": "m", "config": {"vocab": 9, "features_in": 8, "layers": 2}, "dims": {"B": {"max": 4}, "Time": {"max": 8, "hint": 4}},
"inputs": {"tokens": {"dtype": "i32", "shape": ["B", "Time"]}},
"blocks": {"decoder_layer": {"in": ["stream"], "nodes": [{"id": "norm", "op": "layer_norm", "in": "stream", "eps": 1e-5}, {"id": "project", "op": "linear", "features": "features_in"}], "out": "project"}},
"graph": [{"id": "table", "op": "embedding", "in": "tokens", "rows": "vocab", "features": "features_in"},
{"id": "stack", "op": "repeat", "block": "decoder_layer", "count": "layers", "in": {"stream": "table"}, "carry": "stream"},
{"id": "attend", "op": "attention", "in": {"q": "stack", "k": "stack", "v": "stack"}, "heads": 2, "causal": true},
{"id": "logits", "op": "linear", "features": "vocab", "activation": "gelu_tanh"}],
"outputs": {"logits": "logits"},
"init": {"default": {"normal": {"std": 0.02}}, "*.bias": "zeros"},
"weights": {"file": "m.safetensors", "transpose": [], "missing": {}},
"train": {"inputs": {"labels": {"dtype": "i32", "shape": ["B", "Time"]}}, "nodes": [{"id": "loss", "op": "cross_entropy", "in": {"logits": "logits", "labels": "labels"}, "label_smoothing": 0.1, "reduction": "mean"}],
"loss": "loss", "optimizer": {"kind": "adamw", "weight_decay": 0.1}, "schedule": {"kind": "cosine", "total_steps": 10, "warmup_steps": 1}, "clip_grad_norm": 1},
"entries": {"forward": {"outputs": ["logits"]}}})";
  ASSERT_TRUE(static_cast<bool>(readText(head))) << readText(head).errors();
  const std::vector<std::string> words = {"config",          "embedding",     "layer_norm", "linear",  "attention",
                                          "features_in",     "decoder_layer", "stream",     "causal",  "activation",
                                          "gelu_tanh",       "transpose",     "missing",    "normal",  "cross_entropy",
                                          "label_smoothing", "optimizer",     "adamw",      "cosine",  "total_steps",
                                          "schedule",        "weight_decay",  "heads",      "outputs", "warmup_steps",
                                          "clip_grad_norm",  "vocab",         "repeat",     "zeros",   "entries"};
  std::mt19937 random(3);
  int right = 0, all = 0;
  std::string missed;
  for (int round = 0; all < 100 && round < 1000; ++round) {
    const std::string &word = words[round % words.size()];
    std::string typed = typo(word, static_cast<int>(random() % 4), random() % (word.size() - 1));
    // The last occurrence: uses rather than declarations.
    size_t at = head.rfind("\"" + word + "\"");
    ASSERT_NE(at, std::string::npos) << word;
    if (typed == word)
      continue;
    std::string text = head;
    text.replace(at + 1, word.size(), typed);
    Reading got = readText(text);
    ++all;
    bool good = !got && got.errors().find("did you mean '" + word + "'") != std::string::npos;
    right += good;
    if (!good)
      missed += "\n" + typed + " for " + word + ": " + got.errors();
  }
  std::printf("count: planted typos whose hint names the right word, of 100 = %d\n", right);
  EXPECT_EQ(all, 100);
  EXPECT_GE(right, 95) << missed;
  RecordProperty("right", right);
}

} // namespace
