// call and repeat: expansion, bodies, carries, args, indices, unrolling, and the mistakes of their users.
#include "Helpers.h"

using namespace weft;
using namespace weft::test;

namespace {

const char *kMlp = R"("blocks": {"mlp": {"in": ["x"], "args": {"wide": 16, "out": "wide / 2"}, "nodes": [
   {"id": "up", "op": "linear", "in": "x", "features": "wide", "activation": "relu"}, {"id": "down", "op": "linear", "features": 8}], "out": "down"}},)";

std::string block(const std::string &nodes, const std::string &out = "\"y\"", const std::string &in = "[\"x\"]") {
  return "\"blocks\": {\"b\": {\"in\": " + in + ", \"nodes\": [" + nodes + "], \"out\": " + out + "}},";
}

TEST(Blocks, CallIsExpandedInPlace) {
  Reading got = readParts(
      "x:f32[B,8]",
      R"({"id": "f", "op": "call", "block": "mlp", "in": {"x": "x"}, "args": {"wide": "2 * 16"}, "scope": "ff"}, {"id": "y", "op": "relu"})",
      "y f",
      R"("blocks": {"mlp": {"in": ["x"], "args": {"wide": 16}, "nodes": [
   {"id": "up", "op": "linear", "in": "x", "features": "wide", "activation": "relu"}, {"id": "down", "op": "linear", "features": 8}], "out": "down"}},)");
  EXPECT_READS(got);
  ASSERT_EQ(got->graph.nodes.size(), 3u);
  EXPECT_EQ(got->graph.nodes[0].path, "f.up");
  EXPECT_EQ(got->graph.nodes[0].pos.pointer, "/blocks/mlp/nodes/0");
  EXPECT_EQ(got->graph.nodes[2].operands, got->graph.nodes[1].results);
  EXPECT_EQ(findTensor(*got, "ff.up.weight")->shape, (std::vector<int64_t>{32, 8}));
  EXPECT_NE(findTensor(*got, "ff.down.bias"), nullptr);
}

TEST(Blocks, ArgDefaultsSeeConfigAndDimsOnly) {
  EXPECT_ERROR(readParts("x:f32[B,8]", R"({"id": "f", "op": "call", "block": "mlp", "in": {"x": "x"}})", "f", kMlp),
               "unknown name 'wide'");
}

TEST(Blocks, WithoutScopeWeightsAreShared) {
  std::string nodes =
      R"({"id": "f", "op": "call", "block": "b", "in": {"x": "x"}}, {"id": "g", "op": "call", "block": "b", "in": {"x": "f"}})";
  Reading got = readParts("x:f32[B,8]", nodes, "g", block(R"({"id": "y", "op": "linear", "in": "x", "features": 8})"));
  EXPECT_READS(got);
  EXPECT_EQ(got->tensors.size(), 2u);
  EXPECT_EQ(got->graph.nodes[0].params[0].tensors, got->graph.nodes[1].params[0].tensors);
}

TEST(Blocks, RepeatIsALoopWithABody) {
  Reading got = readParts(
      "x:f32[B,T,8] m:bool[B,T]",
      R"({"id": "h", "op": "repeat", "block": "b", "count": 2, "index": "i", "in": {"m": "m", "x": "x"}, "carry": "x", "scope": "h.{i}"})",
      "h",
      block(
          R"({"id": "a", "op": "attention", "in": ["x", "x", "x"], "heads": 2, "causal": true, "cache": {"state": "kv", "layer": "i"}},
     {"id": "o", "op": "linear", "features": 8}, {"id": "z", "op": "mul", "value": 2}, {"id": "u", "op": "unsqueeze", "in": "m", "axis": -1}, {"id": "y", "op": "masked_fill", "in": ["z", "u"], "value": 0})",
          "\"y\"", R"(["x", "m"])"));
  EXPECT_READS(got);
  ASSERT_EQ(got->graph.nodes.size(), 1u);
  const Node &node = got->graph.nodes[0];
  EXPECT_EQ(node.op, "repeat");
  EXPECT_EQ(node.count, 2);
  EXPECT_EQ(node.index, "i");
  EXPECT_EQ(node.carry, std::vector<int32_t>{0});
  EXPECT_EQ(node.operands, (std::vector<ValueId>{got->inputs[0].value, got->inputs[1].value}));
  ASSERT_TRUE(node.body);
  EXPECT_EQ(node.body->inputs.size(), 2u);
  EXPECT_EQ(node.body->outputs.size(), 1u);
  EXPECT_EQ(typeOf(*got, "h"), "f32 [B, T, 8]");
  const Node &attention = node.body->nodes[0], &linear = node.body->nodes[1];
  EXPECT_EQ(attention.path, "h.a");
  EXPECT_EQ(std::get<std::string>(attention.attrs.at("cache_state")), "kv");
  EXPECT_EQ(std::get<DimExpr>(attention.attrs.at("cache_layer")), DimExpr::dim("i"));
  EXPECT_EQ(linear.params[0].name, "h.{i}.o.weight");
  EXPECT_EQ(linear.params[0].indices, std::vector<std::string>{"i"});
  ASSERT_EQ(linear.params[0].tensors.size(), 2u);
  EXPECT_EQ(got->tensors[linear.params[0].tensors[1]].name, "h.1.o.weight");
}

TEST(Blocks, DeadNodesOfARepeatAreNamed) {
  Reading got = readParts(
      "x:f32[B,8]", R"({"id": "h", "op": "repeat", "block": "b", "count": 2, "index": "i", "in": {"x": "x"}, "carry": "x"})", "h",
      block(R"({"id": "q", "op": "linear", "in": "x", "features": 8}, {"id": "o", "op": "relu"}, {"id": "y", "op": "add", "in": ["x", "q"]})"));
  EXPECT_READS(got);
  EXPECT_NE(got.warnings().find("/blocks/b/nodes/1: no output depends on node 'h.o'"), std::string::npos) << got.warnings();
  EXPECT_EQ(got.warnings().find("'h.q'"), std::string::npos) << got.warnings();
}

TEST(Blocks, CacheLayersAreInRangeForAllRounds) {
  Reading got = readParts(
      "x:f32[B,T,8]",
      R"({"id": "h", "op": "repeat", "block": "b", "count": 3, "index": "i", "in": {"x": "x"}, "carry": "x"})", "h",
      block(
          R"({"id": "y", "op": "attention", "in": ["x", "x", "x"], "heads": 2, "cache": {"state": "kv", "layer": "i"}})"));
  EXPECT_ERROR(got, "layer i reaches 2, but state 'kv' has layers 0..1");
}

TEST(Blocks, CacheLayersBelongToOneAttentionEach) {
  auto repeat = [](const char *layer, const char *count) {
    return readParts("x:f32[B,T,8]",
                     R"({"id": "h", "op": "repeat", "block": "b", "index": "i", "in": {"x": "x"}, "carry": "x", "count": )" + std::string(count) + "}",
                     "h",
                     block(R"({"id": "y", "op": "attention", "in": ["x", "x", "x"], "heads": 2, "cache": {"state": "kv", "layer": )" +
                           std::string(layer) + "}}"));
  };
  EXPECT_READS(repeat("\"1 - i\"", "2"));
  EXPECT_READS(repeat("0", "1"));
  EXPECT_ERROR(repeat("0", "2"), "layer 0 of state 'kv' is the same in all 2 rounds of the repeat (name the repeat's 'index' in it");
  const std::string first = R"({"id": "a", "op": "attention", "in": ["x", "x", "x"], "heads": 2, "cache": {"state": "kv", "layer": 1}},)";
  auto second = [&](const char *layer) {
    return readParts("x:f32[B,T,8]", first + R"({"id": "b", "op": "attention", "in": ["a", "a", "a"], "heads": 2, "cache": {"state": "kv", "layer": )" + layer + "}}", "b");
  };
  EXPECT_READS(second("0"));
  EXPECT_ERROR(second("1"), "layer 1 of state 'kv' is used by two attentions, first at ");
}

TEST(Blocks, NoUnusedBlocksAreReportedBesideErrors) {
  Reading got = readParts("x:f32[B,8]", R"({"id": "y", "op": "call", "block": "c", "in": {"x": "x"}})", "y",
                          block(R"({"id": "a", "op": "relu", "in": "x"})", "\"a\""));
  EXPECT_ERROR(got, "no block 'c'");
  EXPECT_EQ(got.warnings(), "");
}

TEST(Blocks, SeveralCarriesAndNames) {
  std::string node =
      R"({"id": "r", "op": "repeat", "block": "b", "count": 3, "in": {"a": "x", "c": "x"}, "carry": ["c", "a"], "out": ["p", "q"]})";
  Reading got = readParts("x:f32[B,8]", node, "p q",
                          block(R"({"id": "s", "op": "add", "in": ["a", "c"]}, {"id": "t", "op": "relu", "in": "a"})",
                                R"(["s", "t"])", R"(["a", "c"])"));
  EXPECT_READS(got);
  EXPECT_EQ(got->graph.nodes[0].carry, (std::vector<int32_t>{1, 0}));
  EXPECT_EQ(got->graph.nodes[0].results.size(), 2u);
}

TEST(Blocks, AnIndexThatShapesTheComputationUnrolls) {
  Reading got = readParts(
      "x:f32[B,8]",
      R"({"id": "h", "op": "repeat", "block": "b", "count": 3, "index": "i", "in": {"x": "x"}, "carry": "x", "scope": "h.{i}"}, {"id": "z", "op": "relu"})",
      "z",
      block(R"({"id": "o", "op": "linear", "in": "x", "features": 8}, {"id": "y", "op": "mul", "value": "i + 1"})"));
  EXPECT_READS(got);
  ASSERT_EQ(got->graph.nodes.size(), 7u);
  EXPECT_EQ(got->graph.nodes[3].path, "h.1.y");
  EXPECT_EQ(std::get<double>(got->graph.nodes[3].attrs.at("value")), 2.0);
  EXPECT_EQ(got->graph.nodes[2].params[0].name, "h.1.o.weight");
  EXPECT_TRUE(got->graph.nodes[2].params[0].indices.empty());
  EXPECT_EQ(got->graph.nodes[6].operands, got->graph.nodes[5].results);
  // The index also counts when it comes through an arg of an inner block.
  std::string nested =
      R"("blocks": {"inner": {"in": ["x"], "args": {"n": 0}, "nodes": [{"id": "y", "op": "mul", "in": "x", "value": "n"}], "out": "y"},
    "b": {"in": ["x"], "nodes": [{"id": "c", "op": "call", "block": "inner", "in": {"x": "x"}, "args": {"n": "2 * i"}}], "out": "c"}},)";
  got = readParts(
      "x:f32[B,8]",
      R"({"id": "h", "op": "repeat", "block": "b", "count": 2, "index": "i", "in": {"x": "x"}, "carry": "x"})", "h",
      nested);
  EXPECT_READS(got);
  ASSERT_EQ(got->graph.nodes.size(), 2u);
  EXPECT_EQ(got->graph.nodes[1].path, "h.1.c.y");
  EXPECT_EQ(std::get<double>(got->graph.nodes[1].attrs.at("value")), 2.0);
}

TEST(Blocks, NestedRepeatsNameFamiliesOfBothIndices) {
  std::string nested =
      R"("blocks": {"inner": {"in": ["x"], "nodes": [{"id": "y", "op": "linear", "in": "x", "features": 8}, {"id": "z", "op": "linear", "features": 8, "param": "/root"}], "out": "z"},
    "b": {"in": ["x"], "nodes": [{"id": "r", "op": "repeat", "block": "inner", "count": 3, "index": "i", "in": {"x": "x"}, "carry": "x", "scope": "in.{i}"}], "out": "r"}},)";
  Reading got = readParts(
      "x:f32[B,8]",
      R"({"id": "h", "op": "repeat", "block": "b", "count": 2, "index": "i", "in": {"x": "x"}, "carry": "x", "scope": "h.{i}"})",
      "h", nested);
  EXPECT_READS(got);
  const Node &inner = got->graph.nodes[0].body->nodes[0];
  EXPECT_NE(inner.index, "i");
  const ParamUse &weight = inner.body->nodes[0].params[0], &root = inner.body->nodes[1].params[0];
  EXPECT_EQ(weight.indices, (std::vector<std::string>{"i", inner.index}));
  ASSERT_EQ(weight.tensors.size(), 6u);
  EXPECT_EQ(got->tensors[weight.tensors[4]].name, "h.1.in.1.y.weight");
  EXPECT_EQ(root.tensors.size(), 1u);
  EXPECT_TRUE(root.indices.empty());
  EXPECT_EQ(got->tensors[0].name, "h.0.in.0.y.weight");
  EXPECT_EQ(got->tensors[2].name, "root.weight");
  EXPECT_EQ(got->tensors[4].name, "h.0.in.1.y.weight");
}

TEST(Blocks, MistakesOfUsers) {
  std::string good = block(R"({"id": "y", "op": "relu", "in": "x"})");
  auto use = [&](const std::string &node, const std::string &blocks) {
    return readParts("x:f32[B,8]", "{\"id\": \"h\", " + node + "}", "h", blocks);
  };
  EXPECT_ERROR(use(R"("op": "call", "block": "bb", "in": {"x": "x"})", good), "no block 'bb' (did you mean 'b'?)");
  EXPECT_ERROR(use(R"("op": "call", "block": "b", "in": "x")", good),
               "expected an object with the block's inputs but got the string 'x' (as in {\"x\": \"x\"})");
  EXPECT_ERROR(use(R"("op": "call", "block": "b", "in": {"y": "x"})", good), "block 'b' has no input 'y'");
  EXPECT_ERROR(use(R"("op": "call", "block": "b")", good), "block 'b' needs the input 'x'");
  EXPECT_ERROR(use(R"("op": "call", "block": "b", "in": {"x": "x"}, "args": {"n": 1})", good),
               "block 'b' has no arg 'n'");
  EXPECT_ERROR(use(R"("op": "call", "block": "b", "in": {"x": "x"}, "scope": "h.{i}")", good),
               "unknown index '{i}' in scope");
  EXPECT_ERROR(use(R"("op": "call", "block": "b", "in": {"x": "x"}, "count": 2)", good),
               "op 'call' has no key 'count'");
  EXPECT_ERROR(use(R"("op": "call", "block": "b", "in": {"x": "x"}, "out": ["p", "q"])", good),
               "gives 1 result but got 2 names");
  EXPECT_ERROR(use(R"("op": "repeat", "block": "b", "in": {"x": "x"}, "carry": "x")", good),
               "op 'repeat' needs the key 'count'");
  EXPECT_ERROR(use(R"("op": "repeat", "block": "b", "count": 0, "in": {"x": "x"}, "carry": "x")", good),
               "expected a count of at least 1 but got 0");
  EXPECT_ERROR(use(R"("op": "repeat", "block": "b", "count": "B", "in": {"x": "x"}, "carry": "x")", good),
               "known at run time only");
  EXPECT_ERROR(use(R"("op": "repeat", "block": "b", "count": 2, "in": {"x": "x"}, "carry": "z")", good),
               "has no input 'z' to carry");
  EXPECT_ERROR(use(R"("op": "repeat", "block": "b", "count": 2, "in": {"x": "x"})", good),
               "gives 1 result, but 'carry' names 0 inputs");
  EXPECT_ERROR(use(R"("op": "repeat", "block": "b", "count": 1000000000, "in": {"x": "x"}, "carry": "x")", good),
               "the limit is 100000");
  EXPECT_ERROR(use(R"("op": "repeat", "block": "b", "count": 2, "in": {"x": "x"}, "carry": "x")",
                   block(R"({"id": "y", "op": "linear", "in": "x", "features": 4})")),
               "carried value 'x' changes from f32 [B, 8] to f32 [B, 4]");
  EXPECT_ERROR(use(R"("op": "call", "block": "b", "in": {"x": "x"})", block(R"({"id": "y", "op": "relu"})")),
               "the first node needs 'in'");
  EXPECT_ERROR(
      use(R"("op": "call", "block": "b", "in": {"x": "x"})", block(R"({"id": "y", "op": "relu", "in": "x"})", "\"z\"")),
      "no value 'z' is defined here");
  EXPECT_ERROR(use(R"("op": "call", "block": "b", "in": {"x": "x"})",
                   block(R"({"id": "y", "op": "call", "block": "b", "in": {"x": "x"}})")),
               "block 'b' contains itself: b -> b");
}

TEST(Blocks, UnusedBlocksAreCheckedForOpsAndKeys) {
  Reading got =
      readParts("x:f32[B,8]", R"({"id": "y", "op": "relu", "in": "x"})", "y",
                block(R"({"id": "a", "op": "rleu", "in": "x"}, {"id": "b", "op": "gelu", "aproximate": "tanh"})"));
  EXPECT_ERROR(got, "unknown op 'rleu'");
  EXPECT_ERROR(got, "has no attribute 'aproximate' (did you mean 'approximate'?)");
  got = readParts("x:f32[B,8]", R"({"id": "y", "op": "relu", "in": "x"})", "y",
                  block(R"({"id": "a", "op": "relu", "in": "x"})", "\"a\""));
  EXPECT_READS(got);
  EXPECT_NE(got.warnings().find("block 'b' is not used"), std::string::npos);
}

TEST(Blocks, ExponentialExpansionMeetsTheLimit) {
  std::string blocks = "\"blocks\": {\"b0\": {\"in\": [\"x\"], \"nodes\": [{\"id\": \"y\", \"op\": \"relu\", \"in\": "
                       "\"x\"}], \"out\": \"y\"}";
  for (int i = 1; i < 30; ++i) {
    std::string inner = "b" + std::to_string(i - 1);
    blocks += ", \"b" + std::to_string(i) +
              "\": {\"in\": [\"x\"], \"nodes\": [{\"id\": \"p\", \"op\": \"call\", \"block\": \"" + inner +
              "\", \"in\": {\"x\": \"x\"}}, {\"id\": \"q\", \"op\": \"call\", \"block\": \"" + inner +
              "\", \"in\": {\"x\": \"p\"}}], \"out\": \"q\"}";
  }
  ReadOptions options;
  options.limits.nodes = 20000;
  Reading got = readParts("x:f32[B,8]", R"({"id": "y", "op": "call", "block": "b29", "in": {"x": "x"}})", "y",
                          blocks + "},", options);
  EXPECT_ERROR(got, "more than 20000 nodes after blocks are expanded");
  EXPECT_EQ(got.diagnostics.errorCount(), 1u) << got.errors();
}

TEST(Blocks, ABlockIsAskedOnceWhetherItDependsOnAnIndex) {
  std::string blocks = R"("blocks": {"b0": {"in": ["x"], "args": {"n": 0}, "nodes": [{"id": "y", "op": "relu", "in": "x"}], "out": "y"})";
  for (int i = 1; i < 30; ++i) {
    std::string inner = R"("op": "call", "block": "b)" + std::to_string(i - 1) + R"(", "args": {"n": "n"}, "in": {"x": )";
    blocks += ", \"b" + std::to_string(i) + R"(": {"in": ["x"], "args": {"n": 0}, "nodes": [{"id": "p", )" + inner + R"("x"}}, {"id": "q", )" + inner +
              R"("p"}}], "out": "q"})";
  }
  blocks += R"(, "top": {"in": ["x"], "nodes": [{"id": "y", "op": "call", "block": "b29", "in": {"x": "x"}, "args": {"n": "i"}}], "out": "y"}},)";
  ReadOptions options;
  options.limits.nodes = 20000;
  Reading got = readParts("x:f32[B,8]", R"({"id": "y", "op": "repeat", "block": "top", "count": 2, "index": "i", "in": {"x": "x"}, "carry": "x"})", "y", blocks, options);
  EXPECT_ERROR(got, "more than 20000 nodes after blocks are expanded");
}

} // namespace
