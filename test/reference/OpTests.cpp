// Every op of the interpreter against numbers from PyTorch, in f64 and (loosely) in f32, and its errors.
// One case is one line of OpNumbers.inc.
#include "Compare.h"
#include "OneNode.h"
#include "OpCases.h"

#include <gtest/gtest.h>

#include <set>

namespace weft::reference {
namespace {

OneNode build(const Case &c) {
  std::vector<TensorType> types;
  for (const Tensor &result : c.results)
    types.push_back({result.dtype, sizes(result.shape)});
  return OneNode(c.op, c.attrs, c.operands, c.parameters, types);
}

TEST(Ops, AgreeWithPyTorch) {
  for (size_t n = 0; n < cases().size(); ++n) {
    const Case &c = cases()[n];
    OneNode one = build(c);
    for (Arithmetic arithmetic : {Arithmetic::f64, Arithmetic::f32}) {
      one.options.arithmetic = arithmetic;
      RunResult run = runReference(one.model, one.options);
      ASSERT_TRUE(run.ok()) << c.op << ", case " << n << ": " << run.error;
      for (size_t i = 0; i < c.results.size(); ++i) {
        Bound bound{0, 0, arithmetic == Arithmetic::f64 ? 1e-12 : 3e-6, 0, 1e-30};
        Comparison found = compare(run.outputs.at("y" + std::to_string(i)), c.results[i], nullptr, bound);
        EXPECT_TRUE(found.ok()) << c.op << ", case " << n << ": " << found.str();
      }
    }
  }
}

TEST(Ops, AllHaveACase) {
  std::set<std::string> seen;
  for (const Case &c : cases())
    seen.insert(c.op);
  for (const auto &[name, forms] : ops()) {
    EXPECT_TRUE(seen.count(name)) << name;
    EXPECT_TRUE(forms.f32 && forms.f64 && forms.dual32 && forms.dual64) << name;
  }
}

// An error is a message that names the node.
void expectError(const char *part, const std::string &op, std::map<std::string, AttrValue> attrs, const std::vector<std::optional<Tensor>> &operands,
                 const std::vector<std::pair<std::string, Tensor>> &parameters, TensorType result) {
  OneNode one(op, std::move(attrs), operands, parameters, {result});
  RunResult run = runReference(one.model, one.options);
  EXPECT_FALSE(run.ok()) << op;
  EXPECT_EQ(run.error.rfind("n: ", 0), 0u) << run.error;
  EXPECT_NE(run.error.find(part), std::string::npos) << run.error;
  EXPECT_TRUE(run.outputs.empty());
}

TEST(Ops, ErrorsAreMessages) {
  TensorType any{DType::f32, {1}};
  Tensor x23 = reals({2, 3}, {1, 2, 3, 4, 5, 6}), x2 = reals({2}, {1, 2});
  expectError("index 3 is outside 0..2", "embedding", {}, {ints(DType::i32, {1}, {3})}, {{"weight", reals({3, 1}, {1, 2, 3})}}, any);
  expectError("index -1 is outside 0..2", "gather", {{"axis", int64_t(1)}}, {x23, ints(DType::i64, {2, 1}, {0, -1})}, {}, any);
  expectError("label 5 is outside 0..2", "cross_entropy", {}, {x23, ints(DType::i32, {2}, {0, 5})}, {}, any);
  expectError("do not broadcast", "add", {}, {x23, x2}, {}, any);
  expectError("different dtypes", "sub", {}, {x2, ints(DType::i32, {2}, {1, 2})}, {}, any);
  expectError("inner sizes 3 and 2", "matmul", {}, {x23, x23}, {}, any);
  expectError("declared", "neg", {}, {x2}, {}, any);
  expectError("not divisible by heads", "attention", {{"heads", int64_t(2)}}, {reals({1, 1, 3}, {1, 2, 3}), reals({1, 1, 3}, {1, 2, 3}), reals({1, 1, 3}, {1, 2, 3})}, {}, any);
  expectError("add up to", "split", {{"axis", int64_t(0)}, {"sizes", std::vector<int64_t>{1}}}, {x2}, {}, any);
  expectError("no op 'conv'", "conv", {}, {x2}, {}, any);
  expectError("attribute 'value' is missing", "sub", {}, {x2}, {}, any);
  expectError("no parameter 'weight'", "linear", {}, {x2}, {}, any);
  expectError("slice 0:4:1 of an axis of 2", "slice", {{"axis", int64_t(0)}, {"end", int64_t(4)}}, {x2}, {}, any);
}

TEST(Ops, ZeroSizes) {
  struct Empty {
    const char *op;
    std::map<std::string, AttrValue> attrs;
    std::vector<std::optional<Tensor>> operands;
    Tensor result;
  };
  Tensor none = reals({0, 3}, {}), rows = reals({2, 0}, {});
  for (const Empty &e : std::vector<Empty>{
           {"relu", {}, {none}, none},
           {"add", {}, {none, reals({3}, {1, 2, 3})}, none},
           {"matmul", {}, {rows, none}, reals({2, 3}, {0, 0, 0, 0, 0, 0})},
           {"softmax", {}, {rows}, rows},
           {"sum", {{"axis", std::vector<int64_t>{1}}}, {rows}, reals({2}, {0, 0})},
           {"max", {{"axis", std::vector<int64_t>{1}}}, {rows}, reals({2}, {-kInf, -kInf})},
           {"transpose", {{"perm", std::vector<int64_t>{1, 0}}}, {none}, reals({3, 0}, {})},
           {"concat", {{"axis", int64_t(0)}}, {none, reals({1, 3}, {1, 2, 3})}, reals({1, 3}, {1, 2, 3})},
           {"reshape", {{"shape", std::vector<int64_t>{3, 0}}}, {none}, reals({3, 0}, {})},
           {"attention", {{"heads", int64_t(1)}}, {reals({1, 1, 2}, {1, 2}), reals({1, 0, 2}, {}), reals({1, 0, 2}, {})}, reals({1, 1, 2}, {0, 0})},
           {"mean_pool", {}, {reals({1, 0, 2}, {})}, reals({1, 2}, {0, 0})},
       }) {
    OneNode one(e.op, e.attrs, e.operands, {}, {{e.result.dtype, sizes(e.result.shape)}});
    RunResult run = runReference(one.model, one.options);
    ASSERT_TRUE(run.ok()) << run.error;
    Comparison found = compare(run.outputs.at("y0"), e.result, nullptr, Bound::exact());
    EXPECT_TRUE(found.ok()) << e.op << ": " << found.str();
  }
}

TEST(Ops, CastRoundsAndSaturates) {
  struct Cast {
    DType to;
    double from, expected;
  };
  for (const Cast &c : {Cast{DType::bf16, 1.00390625, 1.0}, {DType::bf16, 1.01171875, 1.015625}, {DType::f16, 65520, kInf}, {DType::f16, 5.9604644775390625e-08, 5.9604644775390625e-08},
                        {DType::i32, 3e9, 2147483647}, {DType::i32, kNan, 0}, {DType::u8, -3, 0}, {DType::i32, -2.9, -2}, {DType::boolean, 0.25, 1}}) {
    OneNode one("cast", {{"dtype", std::string(dtypeText(c.to))}}, {reals({1}, {c.from})}, {}, {{c.to, sizes({1})}});
    RunResult run = runReference(one.model, one.options);
    ASSERT_TRUE(run.ok()) << run.error;
    EXPECT_EQ(run.outputs.at("y0").at(0), c.expected) << c.from;
  }
}

}  // namespace
}  // namespace weft::reference
