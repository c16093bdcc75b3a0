// Names, order, cycles, limits and recovery: one mistake gives one message, all mistakes come at once.
// Also what a finished description says about nodes: operands, paths, places, implied ranges.
#include "Helpers.h"

#include <chrono>
#include <functional>

using namespace weft;
using namespace weft::test;

namespace {

TEST(Graph, OmittedInIsTheNodeBefore) {
  Reading got = readParts(
      "x:f32[B,8]",
      R"({"id": "s", "op": "split", "in": "x", "axis": 1, "sizes": [3, 5], "out": ["p", "q"]}, {"id": "y", "op": "relu"})",
      "y q");
  EXPECT_READS(got);
  EXPECT_EQ(typeOf(*got, "y"), "f32 [B, 3]");
  EXPECT_ERROR(readParts("", R"({"id": "y", "op": "relu"})", "y"), "the first node needs 'in'");
}

TEST(Graph, OperandsKeepTheTablesOrder) {
  Reading got = readParts(
      "x:f32[B,T,8] m:bool[B,T]",
      R"({"id": "a", "op": "mha", "in": {"key_mask": "m", "x": "x"}, "heads": 2}, {"id": "w", "op": "where", "in": ["c", "a"], "value_true": 0})",
      "w");
  EXPECT_ERROR(got, "no value 'c' is defined here");
  got = readParts(
      "x:f32[B,T,8] m:bool[B,T] c:bool[8]",
      R"({"id": "a", "op": "mha", "in": {"key_mask": "m", "x": "x"}, "heads": 2}, {"id": "w", "op": "where", "in": ["c", "a"], "value_true": 0})",
      "w");
  EXPECT_READS(got);
  const Node &a = *findNode(got->graph.nodes, "a"), &w = *findNode(got->graph.nodes, "w");
  EXPECT_EQ(a.operands, (std::vector<ValueId>{got->inputs[0].value, kNoValue, kNoValue, kNoValue, got->inputs[1].value,
                                              kNoValue, kNoValue}));
  EXPECT_EQ(w.operands, (std::vector<ValueId>{got->inputs[2].value, kNoValue, a.results[0]}));
}

TEST(Graph, OneMistakeGivesOneMessage) {
  Reading got = readParts("x:f32[B,8]", R"({"id": "a", "op": "linear", "in": "x", "features": "ff"},
    {"id": "b", "op": "relu"}, {"id": "c", "op": "add", "in": ["a", "b"]}, {"id": "d", "op": "softmax", "axis": 9}, {"id": "e", "op": "split", "axis": 0, "sizes": [1], "out": ["f", "g"]},
    {"id": "h", "op": "add", "in": ["f", "g"]})",
                          "h");
  EXPECT_EQ(got.diagnostics.errorCount(), 1u) << got.errors();
  EXPECT_ERROR(got, "unknown name 'ff'");
}

TEST(Graph, AllMistakesComeAtOnce) {
  Reading got = readParts("x:f32[B,8]", R"({"id": "a", "op": "linaer", "in": "x"},
    {"id": "b", "op": "linear", "in": "x", "featurs": 3},
    {"id": "c", "op": "add", "in": ["x", "xx"]},
    {"id": "c", "op": "relu", "in": "x"},
    {"id": "9", "op": "relu", "in": "x"},
    {"op": "relu", "in": "x"},
    {"id": "f", "in": "x"},
    7)",
                          "zz");
  // "zz" may be the name that one of these nodes does not get to define.
  EXPECT_EQ(got.diagnostics.errorCount(), 8u) << got.errors();
  for (const char *part :
       {"unknown op 'linaer' (did you mean 'linear'?)", "has no attribute 'featurs' (did you mean 'features'?)",
        "no value 'xx' is defined here (did you mean 'x'?)", "node 'c' is defined twice", "node id '9' is not a name",
        "a node needs the key 'id'", "a node needs the key 'op'", "expected a node (an object) but got 7"})
    EXPECT_ERROR(got, part);
}

TEST(Graph, CyclesAreListed) {
  Reading self = readParts("x:f32[B,8]", R"({"id": "a", "op": "add", "in": ["x", "a"]})", "a");
  EXPECT_ERROR(self, "the nodes form a cycle: a -> a");
  Reading two = readParts("x:f32[B,8]",
                          R"({"id": "a", "op": "add", "in": ["x", "b"]}, {"id": "b", "op": "relu", "in": "a"})", "b");
  EXPECT_ERROR(two, "'b' is defined later");
  EXPECT_ERROR(two, "the nodes form a cycle: a -> b -> a");
  Reading order = readParts("x:f32[B,8]",
                            R"({"id": "a", "op": "add", "in": ["x", "b"]}, {"id": "b", "op": "relu", "in": "x"})", "a");
  EXPECT_ERROR(order, "move that node up");
  std::string nodes;
  for (int i = 0; i < 20000; ++i)
    nodes += "{\"id\": \"n" + std::to_string(i) + "\", \"op\": \"relu\", \"in\": \"n" +
             std::to_string((i + 1) % 20000) + "\"},\n";
  nodes.resize(nodes.size() - 2);
  auto start = std::chrono::steady_clock::now();
  Reading large = readParts("", nodes, "n0");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
  EXPECT_ERROR(large, "n0 -> ... -> ");
}

TEST(Graph, DuplicatesNameBothPlaces) {
  Reading got = readParts("x:f32[B,8]",
                          "{\"id\": \"a\", \"op\": \"relu\", \"in\": \"x\"},\n{\"id\": \"a\", \"op\": \"neg\", \"in\": "
                          "\"x\"},\n{\"id\": \"b\", \"op\": \"neg\", \"in\": \"x\", \"out\": [\"x\"]}",
                          "a");
  EXPECT_ERROR(got, "node 'a' is defined twice, first at 7:8");
  EXPECT_ERROR(got, "'x' is defined twice, first at 5:");
}

TEST(Graph, UnusedInputsAndDeadNodes) {
  Reading got = readParts("x:f32[B,8] m:bool[B]",
                          R"({"id": "a", "op": "relu", "in": "x"}, {"id": "b", "op": "neg", "in": "x"})", "a");
  EXPECT_ERROR(got, "nothing uses input 'm'");
  got = readParts("x:f32[B,8]", R"({"id": "a", "op": "relu", "in": "x"}, {"id": "b", "op": "neg", "in": "x"})", "a");
  EXPECT_READS(got);
  EXPECT_NE(got.warnings().find("/graph/1: no output depends on node 'b'"), std::string::npos) << got.warnings();
  // An input may be an output itself.
  EXPECT_READS(readParts("x:f32[B,8]", R"({"id": "a", "op": "relu", "in": "x"})", "a x"));
  // A node with an error still uses its operands.
  EXPECT_EQ(readParts("x:f32[B,8]", R"({"id": "a", "op": "rleu", "in": "x"})", "a").diagnostics.errorCount(), 1u);
}

TEST(Graph, LongChainsTakeLinearTimeAndLimitsHold) {
  std::string nodes;
  for (int i = 0; i < 30000; ++i)
    nodes += "{\"id\": \"n" + std::to_string(i) + "\", \"op\": \"add\", \"in\": [\"" +
             (i ? "n" + std::to_string(i - 1) + "\", \"n" + std::to_string(i - 1) : std::string("x\", \"x")) +
             "\"]},\n";
  nodes.resize(nodes.size() - 2);
  EXPECT_READS(readParts("x:f32[B,8]", nodes, "n29999"));
  ReadOptions options;
  options.limits.nodes = 100;
  Reading got = readParts("x:f32[B,8]", nodes, "n29999", "", options);
  EXPECT_ERROR(got, "more than 100 nodes");
  EXPECT_EQ(got.diagnostics.exitCode(), 4);
  // Entries have nodes of their own.
  options.limits.entryNodes = 5;
  const std::string two = R"({"id": "a", "op": "relu", "in": "x"}, {"id": "b", "op": "relu", "in": "a"})";
  EXPECT_READS(readParts("x:f32[B,8]", two, "b", R"("entries": {"one": {}, "two": {}},)", options));
  EXPECT_ERROR(readParts("x:f32[B,8]", two, "b", R"("entries": {"one": {}, "two": {}, "three": {}},)", options), "more than 5 nodes in 3 entries of a graph of 2");
  EXPECT_ERROR(readParts("x:f32[2,2,2,2,2,2,2,2,2]", R"({"id": "a", "op": "relu", "in": "x"})", "a"),
               "rank 9, the limit is 8");
  EXPECT_ERROR(readParts("x:f32[4294967296,4294967296]", R"({"id": "a", "op": "relu", "in": "x"})", "a"),
               "more elements than the limit");
  EXPECT_ERROR(readParts("x:f32[4611686018427387904,2,2]", R"({"id": "a", "op": "relu", "in": "x"})", "a"),
               "more elements than the limit");
  EXPECT_ERROR(readParts("x:f32[2000000,1] z:f32[2000000]", R"({"id": "a", "op": "mul", "in": ["x", "z"]})", "a"),
               "more elements than the limit");
  EXPECT_ERROR(readParts("x:f32[0]", R"({"id": "a", "op": "relu", "in": "x"})", "a"),
               "expected a size of at least 1 but got 0");
  EXPECT_ERROR(readParts("x:f32[18446744073709551616]", R"({"id": "a", "op": "relu", "in": "x"})", "a"),
               "number 18446744073709551616 does not fit 64 bits");
}

TEST(Graph, SizesAreIntegers) {
  auto size = [](const std::string &text) {
    return readText("{\"format\": \"1.0\", \"name\": \"m\", \"inputs\": {\"x\": {\"dtype\": \"f32\", \"shape\": [" +
                    text +
                    "]}}, \"graph\": [{\"id\": \"a\", \"op\": \"relu\", \"in\": \"x\"}], \"outputs\": {\"a\": \"a\"}}");
  };
  EXPECT_READS(size("4"));
  EXPECT_READS(size("\"4\""));
  EXPECT_ERROR(size("4.0"), "expected an integer but got 4.0");
  EXPECT_ERROR(size("4e0"), "expected an integer but got 4.0");
  EXPECT_ERROR(size("4.5"), "expected an integer but got 4.5");
  EXPECT_ERROR(size("true"), "expected an integer but got true");
  EXPECT_ERROR(size("-1"), "expected a size of at least 1 but got -1");
  EXPECT_ERROR(size("null"), "expected a number or an expression but got null");
  EXPECT_ERROR(size("9223372036854775808"), "does not fit 64 bits");
}

TEST(Graph, ImpliedRangesOfIds) {
  Reading got = readParts(
      "i:i32[B,T] g:i32[B,3]",
      R"({"id": "e", "op": "embedding", "in": "i", "rows": 9, "features": 4}, {"id": "l", "op": "constant", "value": 0, "shape": ["B", 7]},
    {"id": "y", "op": "gather", "in": ["l", "g"], "axis": 1})",
      "e y");
  EXPECT_READS(got);
  for (auto [input, high] : {std::pair(0, 8), std::pair(1, 6)}) {
    EXPECT_TRUE(got->inputs[input].hasRange);
    EXPECT_EQ(got->inputs[input].low, 0);
    EXPECT_EQ(got->inputs[input].high, high);
  }
}

TEST(Graph, PlacesOfNodesAndAttributes) {
  Reading got = readParts("x:f32[B,8]", R"({"id": "a", "op": "linear", "in": "x", "features": 4})", "a");
  EXPECT_READS(got);
  const Node &node = got->graph.nodes[0];
  EXPECT_EQ(node.pos.pointer, "/graph/0");
  EXPECT_EQ(node.pos.line, 7u);
  EXPECT_EQ(node.attrPos.at("features").pointer, "/graph/0/features");
  EXPECT_EQ(node.attrPos.at("features").column, 52u);
  EXPECT_EQ(got->inputs[0].pos.pointer, "/inputs/x");
}

TEST(Graph, XKeysAndDocsAreAllowedEverywhere) {
  EXPECT_READS(readText(
      R"({"format": "1.0", "name": "m", "doc": "d", "x-a": [1], "config": {"x-c": [], "d": 2, "doc": "c"}, "dims": {"B": {"max": 2, "doc": "d", "x-b": 1}},
    "inputs": {"x": {"dtype": "f32", "shape": ["B"], "doc": "d", "x-b": {}}}, "graph": [{"id": "a", "op": "relu", "in": "x", "doc": "d", "x-pos": [3]}], "outputs": {"a": "a"}})"));
}

/// Ids of the nodes, those of a body behind their repeat, then the names of all parameters.
std::string orderOf(const Reading &got) {
  std::string text;
  std::function<void(const std::vector<Node> &)> add = [&](const std::vector<Node> &nodes) {
    for (const Node &node : nodes) {
      text += node.id + " ";
      if (node.body)
        add(node.body->nodes);
    }
  };
  add(got->graph.nodes);
  for (const ParamTensor &tensor : got->tensors)
    text += tensor.name + " ";
  return text;
}

TEST(Graph, NodesAndParametersStandInTheOrderOfTheirUse) {
  const std::string block = R"("blocks": {"b": {"in": ["x"], "nodes": [{"id": "v", "op": "linear", "in": "x", "features": 8, "bias": false},
    {"id": "u", "op": "linear", "in": "x", "features": 8, "bias": false}, {"id": "s", "op": "sub", "in": ["u", "v"]}], "out": "s"}},)";
  const char *p = R"({"id": "p", "op": "linear", "in": "x", "features": 8, "bias": false})", *q = R"({"id": "q", "op": "relu", "in": "x"})";
  const std::string rest = R"(, {"id": "h", "op": "repeat", "block": "b", "count": 2, "index": "i", "in": {"x": "q"}, "carry": "x", "scope": "h.{i}"},
    {"id": "y", "op": "sub", "in": ["h", "p"]}, {"id": "dead", "op": "relu", "in": "x"})";
  Reading one = readParts("x:f32[B,8]", std::string(p) + ", " + q + rest, "y", block), other = readParts("x:f32[B,8]", std::string(q) + ", " + p + rest, "y", block);
  EXPECT_READS(one);
  EXPECT_READS(other);
  EXPECT_EQ(orderOf(one), "q h u v s p y dead h.0.u.weight h.0.v.weight h.1.u.weight h.1.v.weight p.weight ");
  EXPECT_EQ(orderOf(other), orderOf(one));
}

} // namespace
