// The sections around the graph: head, dims, inputs, state, precision, train. Values that arrive, mistakes that are
// named.
#include "Helpers.h"

using namespace weft;
using namespace weft::test;

namespace {

const char *kNode = R"({"id": "y", "op": "linear", "in": "x", "features": 3})";

Reading sections(const std::string &text) { return readParts("x:f32[B,8]", kNode, "y", text + ","); }

std::string withHead(const std::string &head) {
  return "{" + head +
         ", \"inputs\": {\"x\": {\"dtype\": \"f32\", \"shape\": [2]}}, \"graph\": [{\"id\": \"y\", \"op\": \"relu\", "
         "\"in\": \"x\"}], \"outputs\": {\"y\": \"y\"}}";
}

TEST(Head, FormatAndName) {
  EXPECT_READS(readText(withHead(R"("format": "1.0", "name": "m", "$schema": "x")")));
  EXPECT_ERROR(readText(withHead(R"("name": "m")")), "the model needs the key 'format'");
  EXPECT_ERROR(readText(withHead(R"("format": "2.0", "name": "m")")),
               "format '2.0' is not supported (this compiler reads format '1.0')");
  EXPECT_ERROR(readText(withHead(R"("format": "1.0.0-\u00e9vil", "name": "m")")), "is not supported");
  EXPECT_ERROR(readText(withHead(R"("format": 1.0, "name": "m")")), "expected text but got 1.0");
  EXPECT_ERROR(readText(withHead(R"("format": "1.0", "name": "a b")")), "model name 'a b' is not a name");
  for (const std::string name : {"weft", "weft_model"})
    EXPECT_ERROR(readText(withHead("\"format\": \"1.0\", \"name\": \"" + name + "\"")),
                 "model name '" + name + "' is the prefix of the runtime's own functions");
  EXPECT_READS(readText(withHead(R"("format": "1.0", "name": "weftless")")));
  EXPECT_ERROR(readText(withHead(R"("format": "1.0", "name": "*/ \n#include")")), "is not a name");
  EXPECT_ERROR(readText(withHead(R"("format": "1.0", "name": "m", "grpah": 1)")),
               "the model has no key 'grpah' (did you mean 'graph'?)");
  for (const char *text : {"null", "[]", "3", "\"a\""})
    EXPECT_ERROR(readText(text), "1:1 : expected an object but got");
  for (const char *text :
       {"{}", "{\"format\": \"1.0\", \"name\": \"m\", \"inputs\": [], \"graph\": {}, \"outputs\": 3}",
        "{\"format\": \"1.0\", \"name\": \"m\", \"inputs\": {}, \"graph\": [], \"outputs\": {}, \"config\": 1, "
        "\"dims\": 1, \"precision\": 1, \"state\": 1, \"blocks\": 1, \"init\": 1, "
        "\"weights\": 1, \"train\": 1, \"entries\": 1}"})
    EXPECT_FALSE(readText(text)) << text;
  EXPECT_ERROR(readText("{\"format\": \"1.0\", \"name\": \"m\", \"inputs\": {}, \"graph\": [], \"outputs\": {}}"),
               "the graph has no nodes");
  EXPECT_ERROR(readText("{\"format\": \"1.0\", \"name\": \"m\", \"inputs\": {}, \"graph\": [], \"outputs\": {}}"),
               "the model has no outputs");
}

TEST(Dims, ValuesAndDefaults) {
  Reading got = readText(
      R"({"format": "1.0", "name": "m", "config": {"n": 64}, "dims": {"B": {"max": "n"}, "T": {"min": 2, "max": 10, "hint": 4, "multiple_of": 2, "specialize": [2, "n / 8"]}},
    "inputs": {"x": {"dtype": "f32", "shape": ["B", "T"]}}, "graph": [{"id": "y", "op": "relu", "in": "x"}], "outputs": {"y": "y"}})");
  EXPECT_READS(got);
  EXPECT_EQ(got->dims[0].max, 64);
  EXPECT_EQ(got->dims[0].hint, 64);
  EXPECT_EQ(got->dims[0].min, 1);
  EXPECT_EQ(got->dims[1].specialize, (std::vector<int64_t>{2, 8}));
  EXPECT_EQ(got->dims[1].multipleOf, 2);
}

TEST(Dims, Mistakes) {
  auto dims = [](const std::string &text, const std::string &config = "{}") {
    return readText("{\"format\": \"1.0\", \"name\": \"m\", \"config\": " + config + ", \"dims\": {" + text +
                    "}, \"inputs\": {\"x\": {\"dtype\": \"f32\", \"shape\": [2]}}, \"graph\": [{\"id\": \"y\", \"op\": "
                    "\"relu\", \"in\": \"x\"}], \"outputs\": {\"y\": \"y\"}}");
  };
  EXPECT_ERROR(dims(R"("B": {})"), "dim 'B' needs the key 'max'");
  EXPECT_ERROR(dims(R"("B": {"max": 0})"), "max 0 is below 1");
  EXPECT_ERROR(dims(R"("B": {"min": 5, "max": 4})"), "max 4 is below 5");
  EXPECT_ERROR(dims(R"("B": {"min": -1, "max": 4})"), "min: expected 0 or more but got -1");
  EXPECT_ERROR(dims(R"("B": {"max": 4, "multiple_of": 0})"), "multiple_of: expected 1 or more");
  EXPECT_ERROR(dims(R"("B": {"min": 5, "max": 7, "multiple_of": 4})"), "no multiple of 4 lies in 5..7");
  EXPECT_ERROR(dims(R"("B": {"max": 4, "maximum": 4})"), "dim 'B' has no key 'maximum' (did you mean 'max'?)");
  EXPECT_ERROR(dims(R"("B": {"max": 4})", R"({"B": 3})"), "'B' is also a config value");
  EXPECT_ERROR(dims(R"("B": {"max": "T"}, "T": {"max": 4})"), "unknown name 'T'");
  EXPECT_ERROR(dims(R"("a-b": {"max": 4})"), "dim 'a-b' is not a name");
  EXPECT_ERROR(dims(R"("inf": {"max": 4})"), "'inf' is a word of expressions");
  EXPECT_ERROR(dims(R"("B": 4)"), "dim 'B': expected an object but got 4");
  Reading hint = dims(R"("B": {"max": 4, "hint": 9, "specialize": [1, 7]})");
  EXPECT_READS(hint);
  EXPECT_EQ(hint->dims[0].hint, 4);
  EXPECT_EQ(hint->dims[0].specialize, std::vector<int64_t>{1});
  EXPECT_NE(hint.warnings().find("hint 9 is outside 1..4"), std::string::npos);
}

TEST(Inputs, ValuesAndMistakes) {
  auto inputs = [](const std::string &text) {
    return readText(
        "{\"format\": \"1.0\", \"name\": \"m\", \"config\": {\"v\": 9}, \"inputs\": {\"x\": {" + text +
        "}}, \"graph\": [{\"id\": \"y\", \"op\": \"equal\", \"in\": [\"x\", \"x\"]}], \"outputs\": {\"y\": \"y\"}}");
  };
  Reading got = inputs(R"("dtype": "i32", "shape": [2], "range": [0, "v - 1"], "optional": 3)");
  EXPECT_READS(got);
  EXPECT_TRUE(got->inputs[0].hasRange && got->inputs[0].optional);
  EXPECT_EQ(got->inputs[0].high, 8);
  EXPECT_EQ(got->inputs[0].fill, 3);
  EXPECT_READS(inputs(R"("dtype": "bool", "shape": [], "optional": true)"));
  EXPECT_READS(inputs(R"("dtype": "f32", "shape": [2], "optional": "-inf")"));
  EXPECT_ERROR(inputs(R"("shape": [2])"), "input 'x' needs the key 'dtype'");
  EXPECT_ERROR(inputs(R"("dtype": "f32")"), "input 'x' needs the key 'shape'");
  EXPECT_ERROR(inputs(R"("dtype": "float23", "shape": [2])"), "unknown dtype 'float23'");
  EXPECT_ERROR(inputs(R"("dtype": "float23", "shape": [2])"), "did you mean 'f32'?");
  EXPECT_ERROR(inputs(R"("dtype": "int64", "shape": [2])"), "did you mean 'i64'?");
  EXPECT_ERROR(inputs(R"("dtype": "f32", "shape": 2)"), "shape: expected a list but got 2");
  EXPECT_ERROR(inputs(R"("dtype": "f32", "shape": ["T"])"), "unknown name 'T'");
  EXPECT_ERROR(inputs(R"("dtype": "f32", "shape": [2], "range": [0, 1])"),
               "range: expected an integer input but got dtype f32");
  EXPECT_ERROR(inputs(R"("dtype": "i32", "shape": [2], "range": [1, 0])"), "lowest 1 is above highest 0");
  EXPECT_ERROR(inputs(R"("dtype": "i32", "shape": [2], "range": [1])"), "expected [lowest, highest]");
  EXPECT_ERROR(inputs(R"("dtype": "i32", "shape": [2], "optional": 0.5)"), "expected a value of dtype i32 but got 0.5");
  EXPECT_ERROR(inputs(R"("dtype": "i32", "shape": [2], "optional": 9, "range": [0, 8])"),
               "9 is outside the input's range");
}

TEST(State, ValuesAndMistakes) {
  auto state = [](const std::string &text) {
    return readText("{\"format\": \"1.0\", \"name\": \"m\", \"state\": {\"s\": {" + text +
                    "}}, \"inputs\": {\"x\": {\"dtype\": \"f32\", \"shape\": [2]}}, \"graph\": [{\"id\": \"y\", "
                    "\"op\": \"relu\", \"in\": \"x\"}], \"outputs\": {\"y\": \"y\"}}");
  };
  Reading got =
      state(R"("kind": "kv_cache", "layers": 2, "kv_heads": "2 * 2", "head_dim": 8, "capacity": 32, "dtype": "bf16")");
  EXPECT_READS(got);
  EXPECT_EQ(got->states[0].kvHeads, 4);
  EXPECT_EQ(got->states[0].dtype, DType::bf16);
  EXPECT_ERROR(state(R"("kind": "cache", "layers": 2, "kv_heads": 4, "head_dim": 8, "capacity": 32)"),
               "unknown word 'cache', expected 'kv_cache' (did you mean 'kv_cache'?)");
  EXPECT_ERROR(state(R"("kind": "kv_cache", "layers": 2, "kv_heads": 4, "head_dim": 8)"),
               "state 's' needs the key 'capacity'");
  EXPECT_ERROR(state(R"("kind": "kv_cache", "layers": 0, "kv_heads": 4, "head_dim": 8, "capacity": 32)"),
               "layers: expected at least 1 but got 0");
  EXPECT_ERROR(state(R"("kind": "kv_cache", "layers": 2, "kv_heads": 4, "head_dim": 8, "capacity": 32, "dtype": "i8")"),
               "expected a float dtype but got 'i8'");
}

TEST(Precision, ValuesAndMistakes) {
  Reading got = sections(R"("precision": {"params": "bf16", "compute": "f16", "keep_f32": ["softmax", "loss"]})");
  EXPECT_READS(got);
  EXPECT_EQ(got->precision.params, DType::bf16);
  EXPECT_EQ(got->precision.accumulate, DType::f32);
  EXPECT_EQ(got->tensors[0].dtype, DType::bf16);
  EXPECT_ERROR(sections(R"("precision": {"compute": "i8"})"), "expected a float dtype but got 'i8'");
  EXPECT_ERROR(sections(R"("precision": {"keep_f32": ["softmaxx"]})"),
               "keep_f32: no op 'softmaxx' (did you mean 'softmax'?)");
  EXPECT_ERROR(sections(R"("precision": {"copmute": "f16"})"),
               "precision has no key 'copmute' (did you mean 'compute'?)");
}

std::string train(const std::string &more) {
  return R"("train": {"inputs": {"t": {"dtype": "i32", "shape": ["B"]}}, "nodes": [{"id": "loss", "op": "cross_entropy", "in": ["y", "t"]}], "loss": "loss")" +
         more + "}";
}

TEST(Train, Values) {
  Reading got = sections(
      train(R"(, "optimizer": {"kind": "adamw", "lr": 6e-4, "betas": [0.9, 0.95], "no_decay": {"rank_below": 2}},
    "schedule": {"kind": "cosine", "warmup_steps": 7, "total_steps": 100, "min_lr_ratio": 0.1}, "clip_grad_norm": 1, "accumulate": 4, "freeze": "y.bias", "recompute": ["y*"])"));
  EXPECT_READS(got);
  const TrainDesc &desc = *got->train;
  EXPECT_EQ(desc.optimizer.weightDecay, 0.01);
  EXPECT_EQ(desc.optimizer.beta2, 0.95);
  EXPECT_EQ(desc.optimizer.noDecayRankBelow, 2);
  EXPECT_EQ(desc.schedule.kind, "cosine");
  EXPECT_EQ(desc.schedule.numbers.at("total_steps"), 100);
  EXPECT_EQ(desc.schedule.numbers.at("min_lr_ratio"), 0.1);
  EXPECT_EQ(desc.clipGradNorm, 1);
  EXPECT_EQ(desc.accumulate, 4);
  EXPECT_EQ(desc.freeze, std::vector<std::string>{"y.bias"});
  EXPECT_EQ(desc.recompute, "globs");
  EXPECT_EQ(desc.inputs[0].name, "t");
  EXPECT_EQ(typeText(got->graph.values[desc.loss].type), "f32 []");
  EXPECT_EQ(desc.nodes[0].operands[0], got->outputs[0].value);
  EXPECT_EQ(got->entries.size(), 3u);
  got = sections(train(R"(, "optimizer": {"kind": "adam"}, "schedule": {"kind": "wsd", "total_steps": 50})"));
  EXPECT_READS(got);
  EXPECT_EQ(got->train->optimizer.weightDecay, 0);
  EXPECT_EQ(got->train->schedule.numbers.at("decay_steps"), 10);
}

TEST(Train, Mistakes) {
  EXPECT_ERROR(sections(R"("train": {"nodes": [], "loss": "y"})"),
               "expected a loss that is one float but got f32 [B, 3]");
  EXPECT_ERROR(sections(R"("train": {"nodes": []})"), "train needs the key 'loss'");
  EXPECT_ERROR(sections(train(R"(, "optimiser": {"kind": "sgd"})")),
               "train has no key 'optimiser' (did you mean 'optimizer'?)");
  EXPECT_ERROR(sections(train(R"(, "optimizer": {"kind": "adamm"})")), "unknown word 'adamm'");
  EXPECT_ERROR(sections(train(R"(, "optimizer": {"kind": "adam", "momentum": 0.9})")), "'momentum' is for sgd");
  EXPECT_ERROR(sections(train(R"(, "optimizer": {"kind": "sgd", "betas": [0.9, 0.95]})")),
               "'betas' is for adam and adamw");
  EXPECT_ERROR(sections(train(R"(, "optimizer": {"kind": "sgd", "nesterov": true})")),
               "nesterov needs a momentum above 0");
  EXPECT_ERROR(sections(train(R"(, "optimizer": {"kind": "adam", "betas": [0.9]})")), "betas: expected two numbers");
  EXPECT_ERROR(sections(train(R"(, "optimizer": {"kind": "adam", "betas": [0.9, 1]})")), "from 0 to below 1 but got 1");
  EXPECT_ERROR(sections(train(R"(, "optimizer": {"kind": "adam", "lr": -1})")),
               "expected a number above 0 but got -1");
  EXPECT_ERROR(sections(train(R"(, "schedule": {"kind": "linear"})")), "schedule 'linear' needs the key 'total_steps'");
  EXPECT_ERROR(sections(train(R"(, "schedule": {"kind": "noam", "d_model": 8, "warmup_steps": 0})")),
               "warmup_steps: expected at least 1 but got 0");
  EXPECT_ERROR(sections(train(R"(, "schedule": {"kind": "constant", "gamma": 0.1})")),
               "schedule 'constant' has no key 'gamma'");
  EXPECT_ERROR(sections(train(R"(, "schedule": {"kind": "step", "step_sise": 1})")),
               "schedule has no key 'step_sise' (did you mean 'step_size'?)");
  EXPECT_ERROR(sections(train(R"(, "clip_grad_norm": 0)")), "expected a number above 0 but got 0");
  EXPECT_ERROR(sections(train(R"(, "accumulate": 0)")), "accumulate: expected at least 1 but got 0");
  EXPECT_ERROR(sections(train(R"(, "recompute": "all")")), "unknown word 'all', expected 'none' or 'block'");
  EXPECT_ERROR(sections(train(R"(, "loss_scale": "dynamic")")), "loss_scale is for precision.compute 'f16'");
  EXPECT_ERROR(readParts("x:f32[B,3] t:i32[B]", R"({"id": "l", "op": "cross_entropy", "in": ["x", "t"]})", "l"),
               "op 'cross_entropy' is a loss and belongs to train/nodes");
  EXPECT_ERROR(readParts("x:f32[B,3]", R"({"id": "y", "op": "relu", "in": "x"})", "y",
                         R"("train": {"nodes": [{"id": "l", "op": "mean", "in": "y"}], "loss": "l"},)"),
               "the model has no parameters");
  const std::string noParameters = R"("train": {"nodes": [{"id": "l", "op": "mean", "in": "y"}], "loss": "l"}, "entries": {"e": )";
  EXPECT_ERROR(readParts("x:f32[B,3]", R"({"id": "y", "op": "relu", "in": "x"})", "y", noParameters + R"({"mode": "train"}},)"),
               "the model has no parameters (mode 'grad' gives the gradients of inputs)");
  EXPECT_ERROR(readParts("x:f32[B,3]", R"({"id": "y", "op": "relu", "in": "x"})", "y", noParameters + R"({"mode": "grad"}},)"),
               "the model has no parameters (name inputs, as in \"gradients\": [\"x\"])");
  EXPECT_TRUE(static_cast<bool>(
      readParts("x:f32[B,3]", R"({"id": "y", "op": "relu", "in": "x"})", "y", noParameters + R"({"mode": "grad", "gradients": ["x"]}},)")));
  EXPECT_ERROR(
      sections(
          R"("train": {"inputs": {"t": {"dtype": "i32", "shape": ["B"]}}, "nodes": [{"id": "l", "op": "mean", "in": "y"}], "loss": "l"})"),
      "nothing uses input 't'");
}

Reading lossOf(const std::string &nodes, const std::string &more = "") {
  return readParts("x:f32[B,8]", R"({"id": "y", "op": "linear", "in": "x", "features": 3}, {"id": "best", "op": "argmax", "in": "y", "axis": -1})", "y",
                   R"("train": {"nodes": [)" + nodes + R"(], "loss": "l")" + more + "},");
}

TEST(Train, ScalesOfTheLossAndRecomputedNodes) {
  EXPECT_READS(sections(R"("precision": {"compute": "f16"}, )" + train(R"(, "loss_scale": "dynamic", "recompute": ["y"])")));
  EXPECT_ERROR(sections(train(R"(, "recompute": [1])")), "expected text");
  EXPECT_ERROR(sections(train(R"(, "loss_scale": "fixed")")), "unknown word 'fixed'");
}

TEST(States, AreObjectsOfKnownKeys) {
  EXPECT_ERROR(readText(withHead(R"("format": "1.0", "name": "m", "state": {"kv": 1})")), "expected an object but got 1");
  EXPECT_ERROR(readText(withHead(R"("format": "1.0", "name": "m", "state": {"kv": {"kind": "kv_cache", "depth": 3}})")), "has no key 'depth'");
}

TEST(Dims, SpecializedSizesAreSizesOfTheDim) {
  const std::string head = R"("format": "1.0", "name": "m", "dims": {"N": {"min": 2, "max": 8, "multiple_of": 2, "specialize": )";
  auto with = [&](const std::string &sizes) {
    return readText("{" + head + sizes + R"(}}, "inputs": {"x": {"dtype": "f32", "shape": ["N"]}}, "graph": [{"id": "y", "op": "relu", "in": "x"}], "outputs": {"y": "y"}})");
  };
  EXPECT_READS(with("[2, 8]"));
  for (const char *sizes : {"[9]", "[1]", "[3]"})
    EXPECT_NE(with(sizes).warnings().find("is no size of"), std::string::npos) << sizes;
  EXPECT_ERROR(with("4"), "specialize: expected a list but got 4");
}

TEST(Train, TheLossMustReachAParameterByFloats) {
  EXPECT_READS(lossOf(R"({"id": "l", "op": "mean", "in": "y"})"));
  const char *hits = R"({"id": "f", "op": "cast", "in": "best", "dtype": "f32"}, {"id": "l", "op": "mean"})";
  EXPECT_ERROR(lossOf(hits), "no gradient of the loss reaches a parameter (node 'best' (argmax) makes values without a gradient of floats)");
  EXPECT_ERROR(lossOf(R"({"id": "l", "op": "mean", "in": "x"})"), "no gradient of the loss reaches a parameter (the loss depends on no parameter)");
  EXPECT_READS(readParts("x:f32[B,8]", kNode, "y", R"("train": {"nodes": [{"id": "l", "op": "mean", "in": "x"}], "loss": "l"}, "entries": {"g": {"mode": "grad", "gradients": ["x"]}},)"));
}

TEST(Train, WhatFreezeLeavesMustBeReached) {
  Reading all = lossOf(R"({"id": "l", "op": "mean", "in": "y"})", R"(, "freeze": ["*"])");
  EXPECT_READS(all);
  EXPECT_NE(all.warnings().find("freeze leaves no parameter to train"), std::string::npos);
  const std::string two = R"({"id": "z", "op": "linear", "in": "x", "features": 3}, {"id": "w", "op": "add", "in": ["y", "z"]})";
  const std::string frozen = R"("train": {"nodes": [{"id": "l", "op": "mean", "in": "z"}], "loss": "l", "freeze": ["z.*"]},)";
  EXPECT_ERROR(readParts("x:f32[B,8]", std::string(kNode) + ", " + two, "w", frozen), "the loss depends on no parameter that 'freeze' leaves to train");
}

TEST(Train, ALossThatGoesThroughWholeNumbersInARepeatReachesNothing) {
  const std::string block = R"("blocks": {"step": {"in": ["a", "n"], "nodes": [{"id": "i", "op": "cast", "in": "a", "dtype": "i32"}, {"id": "m", "op": "add", "in": ["n", "i"]}], "out": ["a", "m"]}},)";
  const std::string nodes = R"({"id": "w", "op": "parameter", "shape": [3]}, {"id": "zero", "op": "constant", "value": 0, "shape": [3], "dtype": "i32"},
    {"id": "r", "op": "repeat", "block": "step", "count": 2, "in": {"a": "w", "n": "zero"}, "carry": ["a", "n"], "out": ["p", "q"]}, {"id": "f", "op": "cast", "in": "q", "dtype": "f32"})";
  const std::string train = R"("train": {"nodes": [{"id": "l", "op": "mean", "in": "f"}], "loss": "l"},)";
  EXPECT_ERROR(readParts("x:f32[B,8]", nodes + R"(, {"id": "u", "op": "neg", "in": "x"})", "f u", block + train), "no gradient of the loss reaches a parameter (node 'r' (repeat)");
}

/// Each node asks for a gradient of its condition, which has none.
TEST(Train, ALossReachesParametersThroughAnyNumberOfConditions) {
  std::string nodes = kNode, last = "y";
  for (int i = 0; i < 60000; ++i, last = "w" + std::to_string(i - 1))
    nodes += R"(, {"id": "w)" + std::to_string(i) + R"(", "op": "where", "in": ["c", ")" + last + R"(", "z"]})";
  const std::string train = R"("train": {"nodes": [{"id": "l", "op": "mean", "in": ")" + last + R"("}], "loss": "l"},)";
  EXPECT_READS(readParts("x:f32[B,8] z:f32[B,3] c:bool[B,3]", nodes, last, train));
}

/// Each round of the walk over a repeat went over the ones inside it twice.
TEST(Train, ALossReachesParametersThroughRepeatsInRepeats) {
  std::string blocks = R"("b0": {"in": ["h"], "nodes": [{"id": "r", "op": "neg", "in": "h"}], "out": "r"})";
  for (int i = 1; i < 30; ++i)
    blocks += R"(, "b)" + std::to_string(i) + R"(": {"in": ["h"], "nodes": [{"id": "n", "op": "neg", "in": "h"}, {"id": "r", "op": "repeat", "block": "b)" +
              std::to_string(i - 1) + R"(", "count": 2, "in": {"h": "n"}, "carry": "h"}], "out": "r"})";
  const std::string repeat = R"(, {"id": "r", "op": "repeat", "block": "b29", "count": 2, "in": {"h": "y"}, "carry": "h"})";
  const std::string train = R"("train": {"nodes": [{"id": "l", "op": "mean", "in": "r"}], "loss": "l"},)";
  EXPECT_READS(readParts("x:f32[B,8]", kNode + repeat, "r", "\"blocks\": {" + blocks + "}, " + train));
}

/// A repeat whose second carry is the parameters' only way out: it needs two rounds of the walk.
TEST(Train, ALossReachesParametersThroughCarriedValues) {
  const std::string block = R"("blocks": {"swap": {"in": ["a", "b"], "nodes": [{"id": "w", "op": "linear", "in": "a", "features": 8}, {"id": "n", "op": "neg", "in": "b"}], "out": ["n", "w"]}},)";
  const std::string repeat = R"({"id": "r", "op": "repeat", "block": "swap", "count": 3, "in": {"a": "x", "b": "x"}, "carry": ["a", "b"], "out": ["p", "q"]})";
  const std::string train = R"("train": {"nodes": [{"id": "l", "op": "mean", "in": "p"}], "loss": "l"},)";
  EXPECT_READS(readParts("x:f32[B,8]", repeat, "q", block + train));
}

} // namespace
