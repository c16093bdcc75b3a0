// Graphs: repeats with parameters per round, dims, optional inputs, entries, caches, errors of the caller.
// Models are built by hand, so that nothing here depends on the reader.
#include "Compare.h"
#include "Dual.h"
#include "OneNode.h"

#include <gtest/gtest.h>

namespace weft::reference {
namespace {

Tensor reals(std::vector<int64_t> shape, std::vector<double> elements) { return Tensor(DType::f32, std::move(shape), std::move(elements)); }

Node node(const std::string &path, const std::string &op, std::vector<ValueId> operands, std::vector<ValueId> results) {
  Node n;
  n.path = path;
  n.id = path.substr(path.rfind('.') + 1);
  n.op = op;
  n.operands = std::move(operands);
  n.results = std::move(results);
  return n;
}

ValueId add(Graph &graph, const std::string &name, std::vector<DimExpr> shape, DType dtype = DType::f32) {
  graph.values.push_back({name, {dtype, std::move(shape)}, {}});
  return static_cast<ValueId>(graph.values.size()) - 1;
}

void addInput(ModelDesc &model, const std::string &name, std::vector<DimExpr> shape, DType dtype = DType::f32) {
  InputDesc input;
  input.name = name;
  input.type = {dtype, shape};
  input.value = add(model.graph, name, shape, dtype);
  model.inputs.push_back(input);
}

// x is multiplied by w0, w1, w2 in turn, three times over (two nested repeats): rounds find their own parameters.
TEST(Structure, NestedRepeatsUseTheirRoundsParameters) {
  ModelDesc model;
  addInput(model, "x", {2});
  Node outer = node("outer", "repeat", {0}, {add(model.graph, "outer", {2})});
  outer.index = "i";
  outer.count = 2;
  outer.carry = {0};
  outer.body = std::make_unique<Graph>();
  Graph &body = *outer.body;
  body.inputs = {add(body, "x", {2})};
  Node inner = node("outer.inner", "repeat", {0}, {add(body, "inner", {2})});
  inner.index = "j";
  inner.count = 3;
  inner.carry = {0};
  inner.body = std::make_unique<Graph>();
  Graph &leaf = *inner.body;
  leaf.inputs = {add(leaf, "x", {2})};
  ValueId w = add(leaf, "w", {2}), y = add(leaf, "y", {2});
  Node parameter = node("outer.inner.w", "parameter", {}, {w});
  parameter.params.push_back({"", "w.{i}.{j}", {"i", "j"}, {}});
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 3; ++j) {
      ParamTensor tensor;
      tensor.name = "w." + std::to_string(i) + "." + std::to_string(j);
      tensor.shape = {2};
      parameter.params[0].tensors.push_back(static_cast<int32_t>(model.tensors.size()));
      model.tensors.push_back(tensor);
    }
  leaf.nodes.push_back(std::move(parameter));
  Node scale = node("outer.inner.s", "mul", {0, w}, {add(leaf, "s", {2})});
  Node shift = node("outer.inner.y", "add", {2 + 1, w}, {y});
  leaf.nodes.push_back(std::move(scale));
  leaf.nodes.push_back(std::move(shift));
  leaf.outputs = {y};
  body.nodes.push_back(std::move(inner));
  body.outputs = {1};
  model.graph.nodes.push_back(std::move(outer));
  model.outputs.push_back({"y", 1, {}});

  RunOptions options;
  options.keepAll = true;
  options.inputs["x"] = reals({2}, {1, -1});
  double a = 1, b = -1;
  for (int n = 0; n < 6; ++n) {
    double p = n + 1, q = 0.5 * n;
    options.parameters["w." + std::to_string(n / 3) + "." + std::to_string(n % 3)] = reals({2}, {p, q});
    a = a * p + p;
    b = b * q + q;
  }
  RunResult run = runReference(model, options);
  ASSERT_TRUE(run.ok()) << run.error;
  EXPECT_EQ(run.outputs.at("y").reals, (std::vector<double>{a, b}));
  ASSERT_TRUE(run.values.count("outer[1].inner[2].y"));
  EXPECT_EQ(run.values.at("outer[1].inner[2].y")->reals, (std::vector<double>{a, b}));
  EXPECT_EQ(run.values.at("outer[0].inner[0].s")->reals, (std::vector<double>{1, 0}));
  EXPECT_EQ(run.order.front(), "outer[0].inner[0].w");

  options.parameters.erase("w.1.0");
  run = runReference(model, options);
  EXPECT_EQ(run.error, "outer[1].inner[0].w: parameter 'w.1.0' is missing");
}

struct Dims : testing::Test {
  ModelDesc model;
  RunOptions options;

  Dims() {
    DimDesc t;
    t.name = "T";
    t.max = 4;
    model.dims.push_back(t);
    addInput(model, "x", {DimExpr::dim("T"), 2});
    addInput(model, "scale", {1});
    model.inputs[1].optional = true;
    model.inputs[1].fill = 3;
    model.graph.nodes.push_back(node("y", "mul", {0, 1}, {add(model.graph, "y", {DimExpr::dim("T"), 2})}));
    model.outputs.push_back({"y", 2, {}});
    options.inputs["x"] = reals({2, 2}, {1, 2, 3, 4});
  }
};

TEST_F(Dims, OptionalInputsAreFilled) {
  RunResult run = runReference(model, options);
  ASSERT_TRUE(run.ok()) << run.error;
  EXPECT_EQ(run.outputs.at("y").reals, (std::vector<double>{3, 6, 9, 12}));
  EXPECT_EQ(run.dims.at("T"), 2);
}

TEST_F(Dims, WrongInputsAreMessages) {
  options.inputs["x"] = reals({5, 2}, std::vector<double>(10));
  EXPECT_NE(runReference(model, options).error.find("dim 'T' = 5 is outside 1..4"), std::string::npos);
  options.inputs["x"] = reals({2, 3}, std::vector<double>(6));
  EXPECT_NE(runReference(model, options).error.find("expected shape [2, 2] but got [2, 3]"), std::string::npos);
  options.inputs["x"] = reals({2}, {1, 2});
  EXPECT_NE(runReference(model, options).error.find("expected rank 2 but got 1"), std::string::npos);
  options.inputs.erase("x");
  EXPECT_NE(runReference(model, options).error, "");
  options.entry = "nowhere";
  EXPECT_EQ(runReference(model, options).error, "no entry 'nowhere'");
}

// Attention over a cache, token by token, gives what one causal call over all tokens gives; sequences have their own lengths.
TEST(Structure, CachedStepsEqualOneCausalCall) {
  ModelDesc model;
  DimDesc b, t;
  b.name = "B";
  b.max = 8;
  t.name = "T";
  t.max = 8;
  model.dims = {b, t};
  DimExpr batch = DimExpr::dim("B"), tokens = DimExpr::dim("T");
  addInput(model, "x", {batch, tokens, 4});
  StateDesc state;
  state.name = "kv";
  state.layers = 1;
  state.kvHeads = 2;
  state.headDim = 2;
  state.capacity = 6;
  model.states.push_back(state);
  Node rope = node("r", "rope", {0}, {add(model.graph, "r", {batch, tokens, 4})});
  rope.attrs = {{"heads", int64_t(2)}, {"offset_state", std::string("kv")}};
  model.graph.nodes.push_back(std::move(rope));
  Node attention = node("a", "attention", {1, 1, 0}, {add(model.graph, "a", {batch, tokens, 4})});
  attention.attrs = {{"heads", int64_t(2)}, {"causal", true}, {"cache_state", std::string("kv")}, {"cache_layer", DimExpr(0)}};
  model.graph.nodes.push_back(std::move(attention));
  model.outputs.push_back({"y", 2, {}});
  EntryDesc whole, step;
  whole.name = "whole";
  whole.outputs = {"y"};
  step = whole;
  step.name = "step";
  step.states = {0};
  model.entries = {whole, step};

  std::vector<double> elements(2 * 5 * 4);
  for (size_t i = 0; i < elements.size(); ++i)
    elements[i] = static_cast<double>((i * 37) % 19) / 8 - 1;
  RunOptions options;
  options.entry = "whole";
  options.inputs["x"] = reals({2, 5, 4}, elements);
  // The positions of the second call move; what stands in the cache by then does not.
  auto move = [](Tensor &x, int64_t s, int64_t to, int64_t from, int64_t n) {
    x.tangents.resize(x.reals.size() * kLanes);
    for (int64_t i = 0; i < n * 4; ++i)
      x.tangents[((s * x.shape[1] + to) * 4 + i) * kLanes] = std::sin(static_cast<double>(s * 20 + from * 4 + i));
  };
  move(options.inputs["x"], 0, 3, 3, 2);
  move(options.inputs["x"], 1, 2, 2, 3);
  RunResult expected = runReference(model, options);
  ASSERT_TRUE(expected.ok()) << expected.error;

  std::map<std::string, KvCache> caches;
  options.entry = "step";
  options.caches = &caches;
  // Five tokens of sequence 0; two and then three of sequence 1, padded in the first call.
  std::vector<double> first(2 * 3 * 4, 9.0), second(2 * 3 * 4, 9.0);
  auto copy = [&](std::vector<double> &to, int64_t s, int64_t from, int64_t n) {
    for (int64_t i = 0; i < n * 4; ++i)
      to[s * 12 + i] = elements[s * 20 + from * 4 + i];
  };
  copy(first, 0, 0, 3);
  copy(first, 1, 0, 2);
  copy(second, 0, 3, 2);
  copy(second, 1, 2, 3);
  options.inputs["x"] = reals({2, 3, 4}, first);
  options.valid = {3, 2};
  RunResult one = runReference(model, options);
  ASSERT_TRUE(one.ok()) << one.error;
  EXPECT_EQ(caches.at("kv").lengths, (std::vector<int64_t>{3, 2}));
  options.inputs["x"] = reals({2, 3, 4}, second);
  move(options.inputs["x"], 0, 0, 3, 2);
  move(options.inputs["x"], 1, 0, 2, 3);
  options.valid = {2, 3};
  options.lastTokenOnly = true;
  RunResult two = runReference(model, options);
  ASSERT_TRUE(two.ok()) << two.error;
  EXPECT_EQ(caches.at("kv").lengths, (std::vector<int64_t>{5, 5}));
  const Tensor &y = expected.outputs.at("y");
  for (int64_t d = 0; d < 4; ++d) {
    EXPECT_NEAR(one.outputs.at("y").reals[1 * 4 + d], y.reals[1 * 4 + d], 1e-14);
    EXPECT_NEAR(one.outputs.at("y").reals[(3 + 1) * 4 + d], y.reals[(5 + 1) * 4 + d], 1e-14);
    for (int64_t s = 0; s < 2; ++s)
      EXPECT_NEAR(two.outputs.at("y").reals[s * 4 + d], y.reals[(s * 5 + 4) * 4 + d], 1e-14);
    for (int64_t s = 0; s < 2; ++s)
      EXPECT_NEAR(two.outputs.at("y").tangents.at((s * 4 + d) * kLanes), y.tangents.at(((s * 5 + 4) * 4 + d) * kLanes), 1e-13);
  }
  // Positions 5 and 6 do not both fit into a capacity of 6; the cache stays as it was.
  EXPECT_EQ(runReference(model, options).error, "a: the cache holds 6 positions");
  EXPECT_EQ(caches.at("kv").lengths, (std::vector<int64_t>{5, 5}));
}

}  // namespace
}  // namespace weft::reference
