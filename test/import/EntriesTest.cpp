// Entries and generation: defaults, bound states, fixed dims, gradients, token inputs.
#include "Helpers.h"

#include "import/CacheDims.h"
#include "import/EntryInputs.h"

using namespace weft;
using namespace weft::test;

namespace {

const char *kNodes = R"({"id": "e", "op": "embedding", "in": "i", "rows": 9, "features": 8},
  {"id": "a", "op": "attention", "in": ["e", "e", "e"], "heads": 2, "causal": true, "cache": {"state": "kv", "layer": 0}}, {"id": "y", "op": "linear", "features": 9}, {"id": "m", "op": "mean", "axis": [1, 2]})";

Reading entries(const std::string &text, const std::string &more = "") {
  return readParts("i:i32[B,T]", kNodes, "y m", more + "\"entries\": {" + text + "},");
}

const char *kTrain = R"("train": {"nodes": [{"id": "loss", "op": "mean", "in": "m"}], "loss": "loss"},)";

TEST(Entries, Defaults) {
  Reading got = readParts("i:i32[B,T]", kNodes, "y m", kTrain);
  EXPECT_READS(got);
  ASSERT_EQ(got->entries.size(), 3u);
  EXPECT_EQ(got->entries[0].name, "forward");
  EXPECT_EQ(got->entries[0].outputs, (std::vector<std::string>{"y", "m"}));
  EXPECT_EQ(got->entries[1].name, "train_step");
  EXPECT_EQ(got->entries[1].mode, EntryDesc::Mode::train);
  EXPECT_EQ(got->entries[2].name, "train_step_eval");
  EXPECT_EQ(got->entries[2].mode, EntryDesc::Mode::eval);
  EXPECT_EQ(readParts("i:i32[B,T]", kNodes, "y m")->entries.size(), 1u);
}

TEST(Entries, ValuesOfAllKinds) {
  Reading got = entries(
      R"("all": {}, "prefill": {"state": "kv", "outputs": ["y"], "last_token_only": true}, "decode": {"state": ["kv"], "dims": {"T": 1}, "outputs": "y"},
    "g": {"mode": "grad", "gradients": ["y.*"]}, "train": {"mode": "train"},
    "generate": {"prefill": "prefill", "step": "decode", "max_new_tokens": 5, "stop": [2, "1 + 2"], "sample": {"kind": "top_p", "p": 0.9, "k": 50, "temperature": 0.8, "seed": 7}})",
      kTrain);
  EXPECT_READS(got);
  ASSERT_EQ(got->entries.size(), 6u);
  EXPECT_EQ(got->entries[0].outputs.size(), 2u);
  EXPECT_TRUE(got->entries[1].lastTokenOnly);
  EXPECT_EQ(got->entries[1].states, std::vector<int32_t>{0});
  EXPECT_EQ(got->entries[2].fixedDims.at("T"), 1);
  EXPECT_EQ(got->entries[3].gradients, std::vector<std::string>{"y.*"});
  const GenerateDesc &generate = got->generates.at(0);
  EXPECT_EQ(generate.tokenInput, "i");
  EXPECT_EQ(generate.stop, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(generate.kind, "top_p");
  EXPECT_EQ(generate.seed, 7u);
  EXPECT_EQ(generate.temperature, 0.8);
}

TEST(Entries, GenerateNeedsAState) {
  const std::string rest = R"(, "decode": {"state": "kv", "dims": {"T": 1}, "outputs": "y"}, "g": {"prefill": "f", "step": "decode", "max_new_tokens": 5})";
  EXPECT_ERROR(entries(R"("f": {"outputs": ["y"]})" + rest),
               "entry 'f' binds no state, so it cannot go on from the tokens before (give it \"state\": [\"kv\"])");
  EXPECT_READS(entries(R"("f": {"state": "kv", "outputs": ["y"]})" + rest));
}

TEST(Entries, Mistakes) {
  EXPECT_ERROR(entries(R"("f": {"outputs": ["yy"]})"), "no output 'yy' (did you mean 'y'?)");
  EXPECT_ERROR(entries(R"("f": {"outputs": ["y", "y"]})"), "output 'y' is named twice");
  EXPECT_ERROR(entries(R"("f": {"outputs": []})"), "entry 'f' has no outputs");
  EXPECT_ERROR(entries(R"("f": {"mode": "training"})"), "unknown word 'training'");
  EXPECT_ERROR(entries(R"("f": {"mode": "train"})"), "mode 'train' needs a 'train' section");
  EXPECT_ERROR(entries(R"("f": {"mode": "grad", "gradients": ["y.*"]})"), "mode 'grad' needs a 'train' section");
  EXPECT_ERROR(entries(R"("f": {"state": "kw"})"), "no state 'kw' (did you mean 'kv'?)");
  EXPECT_ERROR(entries(R"("f": {"dims": {"U": 1}})"), "no dim 'U'");
  EXPECT_ERROR(entries(R"("f": {"dims": {"T": 33}})"), "dim 'T' cannot be 33, its range is 1..32");
  EXPECT_ERROR(entries(R"("f": {"dims": {"E": 3}})"), "its range is 2..64 in multiples of 2");
  EXPECT_ERROR(entries(R"("f": {"outputs": ["m"], "last_token_only": true})"),
               "last_token_only needs a position axis 1, but output 'm' is [B]");
  EXPECT_ERROR(entries(R"("f": {"gradients": ["y.*"]})"), "gradients are for mode 'grad'");
  EXPECT_ERROR(entries(R"("f": {"mode": "grad", "gradients": ["zz.*"]})", kTrain),
               "gradient 'zz.*' matches no parameter");
  EXPECT_ERROR(entries(R"("f": {"mode": "grad", "state": "kv"})", kTrain), "only mode 'infer' binds a state");
  EXPECT_ERROR(entries(R"("f g": {})"), "entry 'f g' is not a name");
  EXPECT_ERROR(entries(R"("f": {"output": ["y"]})"), "entry 'f' has no key 'output' (did you mean 'outputs'?)");
}

TEST(Entries, MasksDoNotGoWithABoundCache) {
  const char *nodes =
      R"({"id": "y", "op": "attention", "in": {"q": "x", "k": "x", "v": "x", "key_mask": "k"}, "heads": 2, "cache": {"state": "kv"}})";
  EXPECT_READS(readParts("x:f32[B,T,8] k:bool[B,T]", nodes, "y"));
  EXPECT_ERROR(readParts("x:f32[B,T,8] k:bool[B,T]", nodes, "y", R"("entries": {"decode": {"state": "kv"}},)"),
               "an attention whose cache is bound (entry 'decode') takes no key_mask, mask or bias");
}

std::string attends(const char *id, const char *x, int layer) {
  return std::string(R"({"id": ")") + id + R"(", "op": "attention", "in": [")" + x + "\", \"" + x + "\", \"" + x + R"("], "heads": 2, "causal": true, "cache": {"state": "kv", "layer": )" +
         std::to_string(layer) + "}}";
}

TEST(Entries, ACacheGrowsByOneDimOfItsKeys) {
  const std::string step = R"("entries": {"decode": {"state": "kv"}},)";
  Reading got = readParts("x:f32[B,T,8]", attends("y", "x", 0), "y", step);
  EXPECT_READS(got);
  EXPECT_EQ(cacheDims(*got, got->entries[0]).token, "T");
  EXPECT_EQ(cacheDims(*got, got->entries[0]).batch, "B");
  got = readParts("i:i32[T]", R"({"id": "e", "op": "embedding", "in": "i", "rows": 9, "features": 8}, {"id": "x", "op": "unsqueeze", "axis": 0}, )" + attends("y", "x", 0), "y", step);
  EXPECT_READS(got);
  EXPECT_EQ(cacheDims(*got, got->entries[0]).token, "T");
  EXPECT_EQ(cacheDims(*got, got->entries[0]).batch, "");
  EXPECT_ERROR(readParts("x:f32[B,5,8]", attends("y", "x", 0), "y", step), "a cache that entry 'decode' binds grows by axis 1 of k, which must be a dim but is 5");
  EXPECT_ERROR(readParts("x:f32[2,T,8]", attends("y", "x", 0), "y", step), "a cache that entry 'decode' binds has a sequence for each of axis 0 of k, which must be a dim or 1 but is 2");
  EXPECT_ERROR(readParts("x:f32[B,T,8] z:f32[B,S,8]", attends("y", "x", 0) + ", " + attends("w", "z", 1), "y w", step),
               "caches that entry 'decode' binds grow alike, but k is [B, S, 8] here and [B, T, 8] at node 'y'");
  EXPECT_ERROR(readParts("x:f32[B,T,8] z:f32[E,T,8]", attends("y", "x", 0) + ", " + attends("w", "z", 1), "y w", step), "but k is [E, T, 8] here and [B, T, 8] at node 'y'");
  EXPECT_READS(readParts("x:f32[B,5,8]", attends("y", "x", 0), "y"));
  EXPECT_EQ(cacheDims(*got, got->entries[0]).token, "T");
}

TEST(Entries, ACacheOfMhaGrowsByItsInput) {
  const std::string step = R"("entries": {"decode": {"state": "kv"}, "forward": {}},)", rest = R"(, "heads": 2, "causal": true, "cache": {"state": "kv", "layer": 0}})";
  Reading got = readParts("x:f32[B,T,8]", R"({"id": "y", "op": "mha", "in": "x")" + rest, "y", step);
  EXPECT_READS(got);
  EXPECT_EQ(cacheDims(*got, got->entries[0]).token, "T");
  EXPECT_EQ(cacheDims(*got, got->entries[1]).token, "");
  got = readParts("x:f32[B,T,8] z:f32[B,S,8]", R"({"id": "y", "op": "mha", "in": {"q": "x", "k": "z", "v": "z"})" + rest, "y", step);
  EXPECT_READS(got);
  EXPECT_EQ(cacheDims(*got, got->entries[0]).token, "S");
}

TEST(Generate, Mistakes) {
  auto generate = [](const std::string &text) {
    return entries(
        R"("p": {"state": "kv", "outputs": ["y"]}, "two": {}, "s": {"state": "kv", "outputs": ["y"], "dims": {"T": 1}}, "t": {"mode": "train"}, "generate": {)" +
            text + "}",
        kTrain);
  };
  EXPECT_READS(generate(R"("prefill": "p", "step": "s", "max_new_tokens": 4)"));
  EXPECT_ERROR(generate(R"("prefill": "q", "step": "s", "max_new_tokens": 4)"), "no entry 'q'");
  EXPECT_ERROR(generate(R"("prefill": "two", "step": "s", "max_new_tokens": 4)"),
               "entry 'two' needs one output, the logits, but has 2");
  EXPECT_ERROR(generate(R"("prefill": "t", "step": "s", "max_new_tokens": 4)"), "entry 't' is not of mode 'infer'");
  EXPECT_ERROR(generate(R"("prefill": "p", "step": "p", "max_new_tokens": 4)"),
               "fixes no dim of an integer input to 1");
  EXPECT_ERROR(generate(R"("prefill": "p", "step": "s")"), "entry 'generate' needs the key 'max_new_tokens'");
  EXPECT_ERROR(generate(R"("prefill": "p", "step": "s", "max_new_tokens": 0)"),
               "max_new_tokens: expected at least 1 but got 0");
  EXPECT_ERROR(generate(R"("prefill": "p", "step": "s", "max_new_tokens": 4, "stop": [-1])"),
               "expected a token of 0 or more but got -1");
  EXPECT_ERROR(generate(R"("prefill": "p", "step": "s", "max_new_tokens": 4, "sample": {"kind": "topk"})"),
               "unknown word 'topk'");
  EXPECT_ERROR(generate(R"("prefill": "p", "step": "s", "max_new_tokens": 4, "sample": {"kind": "topk"})"),
               "did you mean 'top_k'?");
  EXPECT_ERROR(generate(R"("prefill": "p", "step": "s", "max_new_tokens": 4, "sample": {"kind": "top_k"})"),
               "kind 'top_k' needs 'k'");
  EXPECT_ERROR(generate(R"("prefill": "p", "step": "s", "max_new_tokens": 4, "sample": {"kind": "top_p", "p": 1.5})"),
               "above 0 and up to 1");
  EXPECT_ERROR(generate(R"("prefill": "p", "step": "s", "max_new_tokens": 4, "sample": {"kind": "beam", "beams": 0})"),
               "beams: expected at least 1");
}

/// Of step `s`: its prefills, then the inputs that they keep for it.
std::string split(const std::string &inputs, const std::string &nodes, const std::string &entries) {
  Reading got = readParts(inputs, nodes, "y", "\"entries\": {" + entries + "},");
  EXPECT_READS(got);
  for (const EntryDesc &entry : got->entries) {
    std::vector<std::string> kept;
    std::string text;
    if (entry.name != "s")
      continue;
    for (const EntryDesc *prefill : prefillsOf(*got, entry, &kept))
      text += (text.empty() ? "" : " ") + prefill->name;
    for (const std::string &name : kept)
      text += " +" + name;
    return text;
  }
  return "no step";
}

const char *kStepNodes = R"({"id": "e", "op": "embedding", "in": "i", "rows": 9, "features": 8}, {"id": "z", "op": "add", "in": ["e", "c"]},
  {"id": "y", "op": "attention", "in": ["z", "z", "z"], "heads": 2, "causal": true, "cache": {"state": "kv", "layer": 0}})";

TEST(Entries, StepsHaveThePrefillsOfTheirStates) {
  const std::string inputs = "i:i32[B,T] c:f32[B,1,8]", step = R"("s": {"state": "kv", "dims": {"T": 1}})";
  EXPECT_EQ(split(inputs, kStepNodes, R"("f": {}, "p": {"state": "kv"}, "q": {"state": "kv"}, )" + step), "p q +c");
  EXPECT_EQ(split(inputs, kStepNodes, R"("f": {}, )" + step), "");
}

TEST(Entries, AStepFixesOnlyWhatItStepsAlong) {
  const std::string inputs = "i:i32[B,T] c:f32[B,1,8]";
  EXPECT_EQ(split(inputs, kStepNodes, R"("p": {"state": "kv", "dims": {"T": 4}}, "s": {"state": "kv", "dims": {"T": 1}})"), "");
  EXPECT_EQ(split(inputs, kStepNodes, R"("p": {"state": "kv"}, "s": {"state": "kv", "dims": {"B": 2, "T": 1}})"), "");
  // Both fix B: the step steps along T. Where the prefill leaves B free, sequences are stepped, too: c is none to keep.
  EXPECT_EQ(split(inputs, kStepNodes, R"("q": {"state": "kv"}, "p": {"state": "kv", "dims": {"B": 1}}, "s": {"state": "kv", "dims": {"B": 1, "T": 1}})"), "p +c");
  EXPECT_EQ(split(inputs, kStepNodes, R"("q": {"state": "kv"}, "s": {"state": "kv", "dims": {"B": 1, "T": 1}})"), "");
}

TEST(Entries, NothingIsKeptWhereAllInputsAreStepped) {
  const std::string entries = R"("p": {"state": "kv"}, "s": {"state": "kv", "dims": {"T": 1}})";
  EXPECT_EQ(split("i:i32[B,T] c:f32[B,T,8]", kStepNodes, entries), "");
  EXPECT_EQ(split("i:i32[B,T]", kNodes, R"("p": {"state": "kv"}, "s": {"state": "kv", "dims": {"B": 1}})"), "");
}

} // namespace
