// Expressions and config: precedence, exact division, functions, dims, errors at their characters, --set.
#include "import/Expression.h"
#include "Helpers.h"

#include <cmath>

using namespace weft;
using namespace weft::test;

namespace {

struct Names : NameSource {
  std::map<std::string, Number, std::less<>> values;
  bool find(std::string_view name, Number &value, ExpressionError &error) override {
    auto found = values.find(name);
    if (found == values.end()) {
      error.text = "unknown name";
      return false;
    }
    value = found->second;
    return true;
  }
};

std::string evaluate(const char *text) {
  Names names;
  names.values = {{"d", Number::of(int64_t(12))},
                  {"h", Number::of(int64_t(3))},
                  {"p", Number::of(0.5)},
                  {"T", Number::of(DimExpr::dim("T"))},
                  {"yes", Number::of(true)}};
  Number value;
  ExpressionError error;
  return evaluateExpression(text, names, value, error) ? value.str() : std::to_string(error.offset) + ": " + error.text;
}

TEST(Expression, Values) {
  for (auto [text, value] :
       {std::pair("d / h", "4"), std::pair("-(d - 2) * sqrt(h + 1)", "-20.0"), std::pair("min(d, h, 5.5)", "3"),
        std::pair("-inf", "-inf"), std::pair("0.02 / sqrt(2 * 8)", "0.005"), std::pair("2 + 3 * 4 - 1", "13"),
        std::pair("10 - 4 - 3", "3"), std::pair("8 / 2 / 2", "2"), std::pair("1e-5", "1e-05"),
        std::pair("2 * p", "1.0"), std::pair("3 * T / 3", "T"), std::pair("T * d - T", "T * 11"),
        std::pair("max(T, 4)", "max(4, T)"), std::pair("yes", "true"), std::pair("--3", "3"),
        std::pair("1 / 2.0", "0.5"), std::pair(" d ", "12"), std::pair("min(T, T + 1)", "T")})
    EXPECT_EQ(evaluate(text), value) << text;
}

TEST(Expression, Errors) {
  for (auto [text, message] : {std::pair("d / 5", "2: 12 is not divisible by 5"),
                               std::pair("d ** 2", "2: unknown operator '**'"),
                               std::pair("e + 1", "0: unknown name"),
                               std::pair("1 / 0", "2: division by zero"),
                               std::pair("1 / 0.0", "2: division by zero"),
                               std::pair("1 +", "2: expression '1 +' ends too early"),
                               std::pair("d.real", "1: unexpected '.'"),
                               std::pair("'a'", "0: unexpected '''"),
                               std::pair("exp(1)", "0: unknown function 'exp'"),
                               std::pair("(1", "2: expected ')'"),
                               std::pair("sqrt(-1)", "0: sqrt of the negative number"),
                               std::pair("sqrt(T)", "0: sqrt of 'T', whose size is known at run time only"),
                               std::pair("T / p", "2: real arithmetic with 'T'"),
                               std::pair("yes + 1", "4: expected a number but got a boolean"),
                               std::pair("9223372036854775807 + 1", "20: expression"),
                               std::pair("9223372036854775808", "0: number '9223372036854775808' does not fit 64 bits"),
                               std::pair("inf - inf", "4: expression"),
                               std::pair("1.2.3", "0: '1.2.3' is not a number"),
                               std::pair("", "0: the expression is empty"),
                               std::pair("3 4", "2: unexpected '4'")})
    EXPECT_EQ(evaluate(text).substr(0, std::string(message).size()), message) << text;
}

TEST(Expression, DeepAndLongTextsAreRefused) {
  EXPECT_NE(evaluate(std::string(100000, '(').c_str()).find("the limit is"), std::string::npos);
  EXPECT_NE(evaluate((std::string(200, '(') + "1" + std::string(200, ')')).c_str()).find("nested deeper"),
            std::string::npos);
}

const char *kLinear = R"({"id": "y", "op": "linear", "in": "x", "features": "f"})";

TEST(Config, AnyOrderAndCycles) {
  Reading good =
      readParts("x:f32[B,8]", kLinear, "y", R"("config": {"f": "2 * g", "g": "h - 1", "h": 4, "flag": true},)");
  EXPECT_READS(good);
  EXPECT_EQ(typeOf(*good, "y"), "f32 [B, 6]");
  EXPECT_EQ(good->config.at("g"), 3);
  EXPECT_EQ(good->config.at("flag"), 1);
  Reading cycle = readParts("x:f32[B,8]", kLinear, "y", R"("config": {"f": "g", "g": "h", "h": "f"},)");
  EXPECT_ERROR(cycle, "depends on itself: f -> g -> h -> f");
  EXPECT_EQ(cycle.diagnostics.errorCount(), 1u) << cycle.errors();
  Reading self = readParts("x:f32[B,8]", kLinear, "y", R"("config": {"f": "f + 1"},)");
  EXPECT_ERROR(self, "'f' depends on itself: f -> f");
  Reading wrong =
      readParts("x:f32[B,8]", kLinear, "y", R"("config": {"f": [1], "g": null, "h": 18446744073709551616},)");
  EXPECT_ERROR(wrong, "/config/f: config value 'f': expected a number or an expression but got a list");
  EXPECT_ERROR(wrong, "/config/h: config value 'h': number 18446744073709551616 does not fit 64 bits");
}

TEST(Config, SetReplacesBeforeAnythingElse) {
  ReadOptions options;
  options.sets = {{"g", "5"}, {"p", "1 / 2.0"}};
  Reading got = readParts("x:f32[B,8]", kLinear, "y", R"("config": {"f": "2 * g", "g": 4, "p": 0},)", options);
  EXPECT_READS(got);
  EXPECT_EQ(typeOf(*got, "y"), "f32 [B, 10]");
  EXPECT_EQ(got->config.at("p"), 0.5);
  options.sets = {{"ff", "5"}, {"g", "h"}};
  Reading bad = readParts("x:f32[B,8]", kLinear, "y", R"("config": {"f": 2, "g": 4},)", options);
  EXPECT_ERROR(bad, "--set ff: no such config value (did you mean 'f'?)");
  EXPECT_ERROR(bad, "--set g: unknown name 'h'");
}

TEST(Config, ErrorsPointIntoTheExpression) {
  Reading got = readText("{\"format\": \"1.0\", \"name\": \"m\", \"config\": {\"d\": 6},\n\"inputs\": {\"x\": "
                         "{\"dtype\": \"f32\", \"shape\": [2, \"d * dd\"]}},\n"
                         "\"graph\": [{\"id\": \"y\", \"op\": \"relu\", \"in\": \"x\"}], \"outputs\": {\"y\": \"y\"}}");
  EXPECT_ERROR(got, "2:52 /inputs/x/shape/1: unknown name 'dd' in an expression (did you mean 'd'?)");
}

} // namespace
