// Parameter names and ties, init rules as numbers, weights files: map, transpose, missing, paths.
#include "Helpers.h"
#include "import/Globs.h"

#include <cmath>

using namespace weft;
using namespace weft::test;

namespace {

TEST(Parameters, NamesFollowParamAndScope) {
  Reading got = readParts(
      "x:f32[B,8]",
      R"({"id": "a", "op": "linear", "in": "x", "features": 8}, {"id": "b", "op": "linear", "features": 8, "param": "net.0"},
    {"id": "c", "op": "linear", "features": 8, "param": {"weight": "a.weight"}}, {"id": "d", "op": "parameter", "shape": [8], "param": "table"}, {"id": "e", "op": "mha", "in": "y", "heads": 2},
    {"id": "z", "op": "add", "in": ["c", "d"]})",
      "z");
  EXPECT_ERROR(got, "no value 'y'");
  got = readParts(
      "x:f32[B,8] y:f32[B,T,8]",
      R"({"id": "a", "op": "linear", "in": "x", "features": 8}, {"id": "b", "op": "linear", "features": 8, "param": "net.0"},
    {"id": "c", "op": "linear", "features": 8, "param": {"weight": "a.weight"}}, {"id": "d", "op": "parameter", "shape": [8], "param": "table"}, {"id": "e", "op": "mha", "in": "y", "heads": 2},
    {"id": "z", "op": "add", "in": ["c", "d"]})",
      "z e");
  EXPECT_READS(got);
  std::vector<std::string> names;
  for (const ParamTensor &tensor : got->tensors)
    names.push_back(tensor.name);
  EXPECT_EQ(names,
            (std::vector<std::string>{"a.weight", "a.bias", "net.0.weight", "net.0.bias", "c.bias", "table",
                                      "e.in_proj_weight", "e.in_proj_bias", "e.out_proj.weight", "e.out_proj.bias"}));
  EXPECT_EQ(findNode(got->graph.nodes, "c")->params[0].role, "weight");
  EXPECT_EQ(findNode(got->graph.nodes, "c")->params[0].tensors[0], 0);
  EXPECT_EQ(findNode(got->graph.nodes, "d")->params[0].role, "");
}

TEST(Parameters, Mistakes) {
  auto one = [](const std::string &node) {
    return readParts(
        "x:f32[B,8]",
        R"({"id": "a", "op": "linear", "in": "x", "features": 8}, {"id": "y", "op": "linear", "features": 4, )" + node +
            "}",
        "y");
  };
  EXPECT_ERROR(one(R"("param": "a")"), "parameter 'a.weight' is [4, 8] here and [8, 8] at 7:1");
  EXPECT_ERROR(one(R"("param": "a b")"), "'a b.weight' is not a parameter name");
  EXPECT_ERROR(one(R"("param": "")"), "is not a parameter name");
  EXPECT_ERROR(one(R"("param": {"wieght": "w"})"), "op 'linear' has no parameter 'wieght' (did you mean 'weight'?)");
  EXPECT_ERROR(one(R"("param": 3)"), "expected a name or an object of names but got 3");
  EXPECT_ERROR(one("\"param\": \"" + std::string(2000, 'a') + "\""), "parameter name of 2007 bytes, the limit is 1024");
  EXPECT_ERROR(readParts("x:f32[B,8]", R"({"id": "y", "op": "relu", "in": "x", "param": "w"})", "y"),
               "op 'relu' has no parameters");
  EXPECT_ERROR(readParts("x:f32[B,1048576]", R"({"id": "y", "op": "linear", "in": "x", "features": 1073741824})", "y"),
               "has more elements than the limit of 1099511627776");
}

TEST(Init, OpsOwnRules) {
  Reading got = readParts(
      "x:f32[B,T,16] i:i32[B]",
      R"({"id": "l", "op": "linear", "in": "x", "features": 4}, {"id": "m", "op": "mha", "in": "x", "heads": 2}, {"id": "n", "op": "layer_norm"},
    {"id": "e", "op": "embedding", "in": "i", "rows": 9, "features": 4, "padding_idx": 3}, {"id": "p", "op": "parameter", "shape": [2]})",
      "l n e p");
  EXPECT_READS(got);
  auto rule = [&](const char *name) {
    const ParamTensor &t = *findTensor(*got, name);
    return std::tuple(t.init, t.a, t.b);
  };
  EXPECT_EQ(rule("l.weight"), std::tuple(InitKind::uniform, -0.25, 0.25));
  EXPECT_EQ(rule("l.bias"), std::tuple(InitKind::uniform, -0.25, 0.25));
  EXPECT_EQ(rule("m.in_proj_weight"), std::tuple(InitKind::uniform, -std::sqrt(6.0 / 64), std::sqrt(6.0 / 64)));
  EXPECT_EQ(rule("m.in_proj_bias"), std::tuple(InitKind::constant, 0.0, 0.0));
  EXPECT_EQ(rule("m.out_proj.weight"), std::tuple(InitKind::uniform, -0.25, 0.25));
  EXPECT_EQ(rule("n.weight"), std::tuple(InitKind::constant, 1.0, 0.0));
  EXPECT_EQ(rule("e.weight"), std::tuple(InitKind::normal, 0.0, 1.0));
  EXPECT_EQ(rule("p"), std::tuple(InitKind::normal, 0.0, 0.02));
  EXPECT_EQ(findTensor(*got, "e.weight")->zeroRow, 3);
  EXPECT_EQ(findTensor(*got, "p")->zeroRow, -1);
}

const char *kTwoLayers =
    R"({"id": "a", "op": "linear", "in": "x", "features": 60}, {"id": "b", "op": "linear", "features": 70})";

TEST(Init, GlobsLastMatchWinsDefaultIsLast) {
  Reading got = readParts(
      "x:f32[B,50]", kTwoLayers, "b",
      R"x("config": {"s": 0.5}, "init": {"default": {"normal": {"std": "s"}}, "*.bias": "zeros", "b.*": {"constant": 2}, "b.weight": {"xavier_uniform": {}}, "a.w*": {"kaiming_uniform": {"a": "sqrt(5)"}}},)x");
  EXPECT_READS(got);
  auto rule = [&](const char *name) {
    const ParamTensor &t = *findTensor(*got, name);
    return std::tuple(t.init, t.a, t.b);
  };
  EXPECT_EQ(rule("a.bias"), std::tuple(InitKind::constant, 0.0, 0.0));
  EXPECT_EQ(rule("b.bias"), std::tuple(InitKind::constant, 2.0, 0.0));
  EXPECT_EQ(rule("b.weight"), std::tuple(InitKind::uniform, -std::sqrt(6.0 / 130), std::sqrt(6.0 / 130)));
  EXPECT_EQ(std::get<0>(rule("a.weight")), InitKind::uniform);
  EXPECT_NEAR(findTensor(*got, "a.weight")->b, 1 / std::sqrt(50.0), 1e-15);
  got = readParts(
      "x:f32[B,50]", kTwoLayers, "b",
      R"("init": {"default": {"trunc_normal": {"std": 3}}, "c.*": "ones", "a.bias": {"uniform": {"low": -1}}},)");
  EXPECT_READS(got);
  EXPECT_EQ(rule("b.weight"), std::tuple(InitKind::truncNormal, 0.0, 3.0));
  EXPECT_EQ(rule("a.bias"), std::tuple(InitKind::uniform, -1.0, 1.0));
  EXPECT_NE(got.warnings().find("init rule 'c.*' matches no parameter"), std::string::npos);
}

TEST(Init, Mistakes) {
  auto init = [](const std::string &rule) {
    return readParts("x:f32[B,50]", kTwoLayers, "b", "\"init\": {\"*\": " + rule + "},");
  };
  EXPECT_ERROR(init("\"zeroes\""), "unknown init rule 'zeroes' (did you mean 'zeros'?)");
  EXPECT_ERROR(init("\"normal\""), "init rule 'normal' is an object");
  EXPECT_ERROR(init("{\"nromal\": {}}"), "unknown init rule 'nromal' (did you mean 'normal'?)");
  EXPECT_ERROR(init("{\"normal\": {\"stdev\": 1}}"), "init rule 'normal' has no key 'stdev'");
  EXPECT_ERROR(init("{\"normal\": {\"std\": -1}}"), "expected a number of 0 or more");
  EXPECT_ERROR(init("{\"uniform\": {\"low\": 2}}"), "low is above high");
  EXPECT_ERROR(init("{\"xavier_uniform\": {}}"), "needs rank 2 or more, but 'a.bias' has rank 1");
  EXPECT_ERROR(init("{\"normal\": {}, \"ones\": {}}"), "expected an init rule");
  EXPECT_ERROR(init("3"), "expected an init rule");
}

TEST(Weights, MapTransposeMissing) {
  Reading got = readParts(
      "x:f32[B,50]", kTwoLayers, "b",
      R"("weights": {"file": ["a.safetensors", "sub/b.safetensors"], "map": {"*": "net.*", "b.*": "head.*.x"}, "transpose": ["a.weight"], "missing": {"b.*": "init", "b.bias": "error"}},)");
  EXPECT_READS(got);
  EXPECT_EQ(got->weightFiles, (std::vector<std::string>{"a.safetensors", "sub/b.safetensors"}));
  EXPECT_EQ(findTensor(*got, "a.weight")->fileName, "net.a.weight");
  EXPECT_EQ(findTensor(*got, "b.weight")->fileName, "head.weight.x");
  EXPECT_TRUE(findTensor(*got, "a.weight")->transpose);
  EXPECT_FALSE(findTensor(*got, "b.weight")->transpose);
  EXPECT_TRUE(findTensor(*got, "b.weight")->mayBeMissing);
  EXPECT_FALSE(findTensor(*got, "b.bias")->mayBeMissing);
}

TEST(Weights, StarsTakeAsLittleAsPossible) {
  std::vector<std::string> parts;
  EXPECT_TRUE(matchGlob("h.*.attn.*", "h.3.attn.bias", &parts));
  EXPECT_EQ(parts, (std::vector<std::string>{"3", "bias"}));
  parts.clear();
  EXPECT_TRUE(matchGlob("*a*", "banana", &parts));
  EXPECT_EQ(parts, (std::vector<std::string>{"b", "nana"}));
  EXPECT_TRUE(matchGlob("*", ""));
  EXPECT_FALSE(matchGlob("a*b", "acbd"));
  EXPECT_FALSE(matchGlob("h.*", "ah.1"));
  std::string hostile;
  for (int i = 0; i < 500; ++i)
    hostile += "a*";
  EXPECT_FALSE(matchGlob(hostile + "b", std::string(1000, 'a')));
}

TEST(Weights, Mistakes) {
  auto weights = [](const std::string &text) {
    return readParts("x:f32[B,50]", kTwoLayers, "b", "\"weights\": {" + text + "},");
  };
  for (const char *path : {"/etc/passwd", "../w.safetensors", "a/../../w", "a\\\\w", ""})
    EXPECT_ERROR(weights(std::string("\"file\": \"") + path + "\""), "is not below the model's folder");
  EXPECT_READS(weights("\"file\": \"a..b.safetensors\""));
  EXPECT_ERROR(weights("\"map\": {\"a.*\": \"*.*\"}"), "'*.*' has more '*' than its pattern 'a.*'");
  EXPECT_ERROR(weights("\"transpose\": [\"a.*\"]"), "transpose needs rank 2, but 'a.bias' has rank 1");
  EXPECT_ERROR(weights("\"missing\": {\"a.*\": \"ignore\"}"), "unknown word 'ignore'");
  EXPECT_ERROR(weights("\"files\": \"a\""), "weights has no key 'files' (did you mean 'file'?)");
}

} // namespace
