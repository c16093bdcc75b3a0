// The interpreter's derivatives: every op against central differences of its own values, corners as training promises,
// and gradients of a loss put together from directions. The cases are those of OpNumbers.inc, in f64.
#include "Derivatives.h"
#include "Dual.h"
#include "OneNode.h"
#include "OpCases.h"
#include "RandomTensors.h"

#include <gtest/gtest.h>

#include <set>

namespace weft::reference {
namespace {

Tensor wide(Tensor tensor) {
  tensor.dtype = tensor.real() ? DType::f64 : tensor.dtype;
  return tensor;
}

// A case in f64, where differences are sharp.
OneNode build(const Case &c) {
  std::map<std::string, AttrValue> attrs = c.attrs;
  if (auto dtype = attrs.find("dtype"); dtype != attrs.end() && isReal(c.results[0].dtype))
    dtype->second = std::string("f64");
  std::vector<std::optional<Tensor>> operands;
  for (const std::optional<Tensor> &operand : c.operands)
    operands.push_back(operand ? std::optional<Tensor>(wide(*operand)) : std::nullopt);
  std::vector<std::pair<std::string, Tensor>> parameters;
  for (const auto &[role, tensor] : c.parameters)
    parameters.emplace_back(role, wide(tensor));
  std::vector<TensorType> types;
  for (const Tensor &result : c.results)
    types.push_back({isReal(result.dtype) ? DType::f64 : result.dtype, sizes(result.shape)});
  OneNode one(c.op, attrs, operands, parameters, types);
  one.model.precision.compute = DType::f64;
  for (ParamTensor &tensor : one.model.tensors)
    tensor.dtype = DType::f64;
  return one;
}

std::vector<double> moved(const std::vector<double> &values, const std::vector<double> &direction, double step) {
  std::vector<double> result = values;
  for (size_t i = 0; i < values.size(); ++i)
    result[i] += step * direction[i];
  return result;
}

// Compares the derivatives of all results along one random direction of one tensor; counts elements that were compared.
int compareTensor(OneNode &one, Tensor &tensor, const std::string &label) {
  constexpr double kStep = 1e-6;
  Random random(7, label);
  std::vector<double> direction(tensor.reals.size());
  for (double &component : direction)
    component = random.normal();
  const std::vector<double> values = tensor.reals;
  auto run = [&](double step) {
    tensor.reals = moved(values, direction, step);
    RunResult result = runReference(one.model, one.options);
    tensor.reals = values;
    return result;
  };
  RunResult here = run(0), up = run(kStep), down = run(-kStep);
  tensor.tangents.assign(values.size() * kLanes, 0);
  for (size_t i = 0; i < values.size(); ++i)
    tensor.tangents[i * kLanes + 3] = direction[i];
  RunResult dual = runReference(one.model, one.options);
  tensor.tangents.clear();
  EXPECT_TRUE(dual.ok()) << label << ": " << dual.error;
  int compared = 0;
  for (const auto &[name, result] : dual.outputs) {
    if (!result.real())
      continue;
    for (int64_t i = 0; i < result.count(); ++i) {
      double value = here.outputs.at(name).reals[i], above = up.outputs.at(name).reals[i], below = down.outputs.at(name).reals[i];
      EXPECT_TRUE(result.reals[i] == value || (std::isnan(value) && std::isnan(result.reals[i]))) << label;
      double right = (above - value) / kStep, left = (value - below) / kStep, central = (above - below) / (2 * kStep);
      // At a corner and where there is no number, there is no difference to compare with.
      if (!std::isfinite(central) || !std::isfinite(value) || std::fabs(right - left) > 1e-3 * (std::fabs(right) + std::fabs(left)) + 1e-4)
        continue;
      double exact = result.tangents.empty() ? 0 : result.tangents[i * kLanes + 3];
      EXPECT_NEAR(exact, central, 1e-6 * (1 + std::fabs(central) + std::fabs(value))) << label << ", " << name << ", element " << i;
      EXPECT_TRUE(result.tangents.empty() || result.tangents[i * kLanes] == 0) << label << ": lane 0 does not move";
      ++compared;
    }
  }
  return compared;
}

TEST(Derivatives, OfEveryOpAreTheLimitsOfDifferences) {
  std::map<std::string, int> compared;
  for (size_t n = 0; n < cases().size(); ++n) {
    OneNode one = build(cases()[n]);
    for (std::map<std::string, Tensor> *tensors : {&one.options.inputs, &one.options.parameters})
      for (auto &[name, tensor] : *tensors)
        if (tensor.real())
          compared[cases()[n].op] += compareTensor(one, tensor, cases()[n].op + (", case " + std::to_string(n)) + ", " + name);
  }
  // These have no float operand, or no float result.
  const std::set<std::string> without = {"and",  "or",    "not",     "equal", "not_equal", "less",   "less_equal",
                                         "greater", "iota", "constant", "greater_equal", "argmax", "causal_mask"};
  for (const auto &[op, forms] : ops())
    EXPECT_EQ(compared[op] == 0, without.count(op) != 0) << op;
}

// dy/dx of elements of one operand, the others standing still.
struct Corner {
  const char *name, *op;
  std::map<std::string, AttrValue> attrs;
  std::vector<double> x, slopes;
};

TEST(Derivatives, AtCornersAreTheSubgradientsOfTraining) {
  const Corner corners[] = {
      {"relu", "relu", {}, {0.0, -0.0, 1}, {0, 0, 1}},
      {"abs", "abs", {}, {0.0, -1, 1}, {0, -1, 1}},
      {"leaky_relu", "leaky_relu", {{"slope", 0.1}}, {0.0, 2}, {0.1, 1}},
      {"elu", "elu", {}, {0.0}, {1}},
      {"silu", "silu", {}, {0.0}, {0.5}},
      {"softplus", "softplus", {}, {0.0}, {0.5}},
      {"clamp", "clamp", {{"min", -1.0}, {"max", 2.0}}, {-1, 2, -1.5, 2.5, 0}, {1, 1, 0, 0, 1}},
      {"sqrt", "sqrt", {}, {0.0}, {INFINITY}},
      {"pow_zero", "pow", {{"value", 0.0}}, {0.0, 2}, {0, 0}},
      {"pow_one", "pow", {{"value", 1.0}}, {0.0, -2}, {1, 1}},
      {"pow_two", "pow", {{"value", 2.0}}, {0.0, -2}, {0, -4}},
      {"maximum", "maximum", {{"value", 1.0}}, {1, 2, 0}, {0.5, 1, 0}},
      {"minimum", "minimum", {{"value", 1.0}}, {1, 2, 0}, {0.5, 0, 1}},
      {"silu_far", "silu", {}, {-800}, {0}},
  };
  for (const Corner &corner : corners) {
    Tensor x(DType::f64, {static_cast<int64_t>(corner.x.size())}, corner.x);
    x.tangents.assign(corner.x.size() * kLanes, 1);
    OneNode one(corner.op, corner.attrs, {x}, {}, {{DType::f64, sizes(x.shape)}});
    RunResult run = runReference(one.model, one.options);
    ASSERT_TRUE(run.ok()) << corner.name << ": " << run.error;
    for (size_t i = 0; i < corner.x.size(); ++i)
      EXPECT_EQ(run.outputs.at("y0").tangents.at(i * kLanes), corner.slopes[i]) << corner.name << " at " << corner.x[i];
  }
}

// y = op(x) as the loss of an entry, so that whole gradients can be asked for.
struct Loss : OneNode {
  Loss(const std::string &op, std::map<std::string, AttrValue> attrs, const std::vector<std::optional<Tensor>> &operands,
       const std::vector<std::pair<std::string, Tensor>> &parameters = {})
      : OneNode(op, std::move(attrs), operands, parameters, {{DType::f64, {}}}) {
    for (ParamTensor &tensor : model.tensors)
      tensor.dtype = DType::f64;
    model.train.emplace();
    model.train->loss = model.outputs[0].value;
    model.outputs.clear();
    options.loss = true;
  }
};

Tensor f64(std::vector<int64_t> shape, std::vector<double> elements) { return Tensor(DType::f64, std::move(shape), std::move(elements)); }

TEST(Derivatives, EqualElementsShareTheGradientOfAMaximum) {
  Loss largest("max", {}, {f64({4}, {3, 1, 3, 3})}), least("min", {}, {f64({3}, {1, 1, 3})});
  EXPECT_EQ(lossGradients(largest.model, largest.options, {"x0"}).of.at("x0").reals, (std::vector<double>{1.0 / 3, 0, 1.0 / 3, 1.0 / 3}));
  EXPECT_EQ(lossGradients(least.model, least.options, {"x0"}).of.at("x0").reals, (std::vector<double>{0.5, 0.5, 0}));
}

TEST(Derivatives, ALossOfLogitsIsSmoothAtZero) {
  Loss bce("bce_with_logits", {}, {f64({1}, {0}), f64({1}, {0.25})});
  EXPECT_EQ(lossGradients(bce.model, bce.options, {"x0"}).of.at("x0").reals, (std::vector<double>{0.25}));
}

TEST(Derivatives, WhereATargetHasNoMassItsGradientIsZero) {
  Loss kl("kl_div", {{"reduction", std::string("sum")}}, {f64({2}, {-1, -2}), f64({2}, {0, 1})});
  LossGradients found = lossGradients(kl.model, kl.options, {"x0", "x1"});
  EXPECT_EQ(found.of.at("x0").reals, (std::vector<double>{0, -1}));
  EXPECT_EQ(found.of.at("x1").reals, (std::vector<double>{0, 3}));
}

// More elements than lanes, in two tensors: Σ (x - t)².
TEST(Derivatives, GradientsAndDirectionsAgree) {
  std::vector<double> x, t, slopes;
  for (int i = 0; i < 11; ++i) {
    x.push_back(0.5 * i);
    t.push_back(1 - i);
    slopes.push_back(2 * (x[i] - t[i]));
  }
  Loss mse("mse", {{"reduction", std::string("sum")}}, {f64({11}, x), f64({11}, t)});
  LossGradients found = lossGradients(mse.model, mse.options, {"x0", "x1"});
  EXPECT_EQ(found.of.at("x0").reals, slopes);
  std::vector<Direction> directions;
  for (int n = 0; n < 18; ++n) {
    std::vector<double> components(11, 0.0);
    components[n % 11] = 1 + n;
    directions.push_back({n % 2 ? "x1" : "x0", components});
  }
  Derivatives along = lossDerivatives(mse.model, mse.options, directions);
  ASSERT_EQ(along.error, "");
  ASSERT_EQ(along.along.size(), 18u);
  for (int n = 0; n < 18; ++n)
    EXPECT_EQ(along.along[n], (n % 2 ? -1 : 1) * slopes[n % 11] * (1 + n));
}

TEST(Derivatives, ATensorThatIsNotThereIsAnError) {
  Loss mse("mse", {}, {f64({1}, {1}), f64({1}, {2})});
  EXPECT_EQ(lossGradients(mse.model, mse.options, {"x7"}).error, "no float tensor 'x7'");
  EXPECT_EQ(lossDerivatives(mse.model, mse.options, {{"x0", {1, 2}}}).error, "no float tensor 'x0' of 2 elements");
}

TEST(Derivatives, TangentsThatDoNotFitAreAnError) {
  Loss mse("mse", {}, {f64({1}, {1}), f64({1}, {2})});
  mse.options.inputs["x0"].tangents.assign(kLanes + 1, 0);
  EXPECT_EQ(runReference(mse.model, mse.options).error, "input 'x0': expected 8 tangents but got 9");
}

// The known answer of Philox for counter and key 0 is 6627e8d5 e169c58d bc57ac4c 9b00dbd8: at p = 0.7 two of four elements stay.
Dropout first(uint32_t site) {
  return {[site](const std::string &) { return site; }};
}

TEST(Derivatives, DropoutDropsByThePlaceOfAnElement) {
  Tensor x = f64({4}, {1, 2, 3, 4});
  x.tangents.assign(4 * kLanes, 1);
  OneNode one("dropout", {{"p", 0.7}}, {x}, {}, {{DType::f64, sizes(x.shape)}});
  one.options.dropout = first(0);
  RunResult run = runReference(one.model, one.options);
  ASSERT_TRUE(run.ok()) << run.error;
  const double scale = 1 / (1 - 0.7);
  EXPECT_EQ(run.outputs.at("y0").reals, (std::vector<double>{0, 2 * scale, 3 * scale, 0}));
  for (int64_t i = 0; i < 4; ++i)
    EXPECT_EQ(run.outputs.at("y0").tangents.at(i * kLanes), i == 1 || i == 2 ? scale : 0);
  one.options.dropout = first(1);
  EXPECT_NE(runReference(one.model, one.options).outputs.at("y0").reals, run.outputs.at("y0").reals);
}

// Scores of 0: each of four keys gets a quarter; v is the unit matrix. The map is that before dropout.
TEST(Derivatives, AttentionDropsProbabilities) {
  std::vector<double> unit(16, 0.0);
  for (int i = 0; i < 4; ++i)
    unit[5 * i] = 1;
  OneNode one("attention", {{"heads", int64_t(1)}, {"dropout", 0.7}, {"return_weights", std::string("per_head")}},
              {f64({1, 1, 4}, std::vector<double>(4, 0.0)), f64({1, 4, 4}, std::vector<double>(16, 0.0)), f64({1, 4, 4}, unit)}, {},
              {{DType::f64, {1, 1, 4}}, {DType::f64, {1, 1, 1, 4}}});
  one.options.dropout = first(0);
  RunResult run = runReference(one.model, one.options);
  ASSERT_TRUE(run.ok()) << run.error;
  const double kept = 0.25 * (1 / (1 - 0.7));
  EXPECT_EQ(run.outputs.at("y0").reals, (std::vector<double>{0, kept, kept, 0}));
  EXPECT_EQ(run.outputs.at("y1").reals, std::vector<double>(4, 0.25));
}

// Rows of padding move nothing, the same rows read as others do.
TEST(Derivatives, OfAPaddingRowAreZero) {
  Tensor table = f64({2, 1}, {5, 7});
  table.tangents.assign(2 * kLanes, 1);
  for (int64_t padding : {-1, 1}) {
    std::map<std::string, AttrValue> attrs;
    if (padding >= 0)
      attrs["padding_idx"] = padding;
    OneNode one("embedding", attrs, {Tensor(DType::i32, {3}, std::vector<int64_t>{1, 0, 1})}, {{"weight", table}}, {{DType::f64, sizes({3, 1})}});
    one.model.tensors[0].dtype = DType::f64;
    RunResult run = runReference(one.model, one.options);
    ASSERT_TRUE(run.ok()) << run.error;
    const std::vector<double> &found = run.outputs.at("y0").tangents;
    EXPECT_EQ(found[0], padding == 1 ? 0 : 1);
    EXPECT_EQ(found[kLanes], 1);
  }
}

}  // namespace
}  // namespace weft::reference
