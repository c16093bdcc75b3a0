// Values are taken by their bits in calls of 65,536. Kernels flush subnormals: a subnormal argument may count as zero,
// a subnormal result may be zero.
#include "UnarySweep.h"

#include <cmath>
#include <cstring>

namespace weft::e2e {

using namespace reference;

namespace {

constexpr int64_t kChunk = 65536;

double fromBits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// The arguments of a sweep, one chunk after the other.
class Arguments {
public:
  explicit Arguments(uint64_t stride) : stride(stride) {}
  bool next(std::vector<double> &values) {
    values.clear();
    for (; edge < 512 * 1024 && values.size() < kChunk; ++edge) {
      // 512 exponents with sign, 1024 mantissas: the lowest and the highest of each.
      uint32_t low = edge % 1024, mantissa = low < 512 ? low : (1u << 23) - 1024 + low;
      values.push_back(fromBits(static_cast<uint32_t>(edge / 1024) << 23 | mantissa));
    }
    for (; bits < (uint64_t(1) << 32) && values.size() < kChunk; bits += stride)
      values.push_back(fromBits(static_cast<uint32_t>(bits)));
    bool any = !values.empty();
    values.resize(kChunk, 1.0);
    return any;
  }

private:
  uint64_t stride, edge = 0, bits = 0;
};

}  // namespace

const std::vector<UnaryFunction> &unaryFunctions() {
  // sin and cos reduce their argument in f32, which holds up to 2^20. gelu is a product with (1 + erf): where that cancels,
  // what is left is rounding of a number near x.
  static const std::vector<UnaryFunction> functions = {
      {"\"op\": \"exp\"", 4, 0},
      {"\"op\": \"log\"", 4, 0},
      {"\"op\": \"tanh\"", 4, 0},
      {"\"op\": \"erf\"", 4, 0},
      {"\"op\": \"sigmoid\"", 4, 0},
      {"\"op\": \"sqrt\"", 0.5, 0},
      {"\"op\": \"rsqrt\"", 4, 0},
      {"\"op\": \"sin\"", 4, 0, 0x1p20},
      {"\"op\": \"cos\"", 4, 0, 0x1p20},
      {"\"op\": \"silu\"", 4, 0x1p-125},
      {"\"op\": \"softplus\"", 4, 0},
      {"\"op\": \"elu\"", 5, 0},
      {"\"op\": \"relu\"", 0, 0},
      {"\"op\": \"gelu\"", 4, 0x1p-23},
      {"\"op\": \"gelu\", \"approximate\": \"tanh\"", 4, 0x1p-23},
  };
  return functions;
}

void sweep(const UnaryFunction &function, uint64_t stride, const Settings &settings, Tally &tally) {
  Case c{"x:[N]", function.node, ""};
  std::string text = modelText(c);
  // The dim's largest size is a chunk here.
  text.replace(text.find("512"), 3, std::to_string(kChunk));
  Diagnostics diagnostics;
  SourceText source;
  source.file = "unary.json";
  source.text = text;
  std::optional<ModelDesc> desc = readModel(std::move(source), {}, diagnostics);
  std::string error = desc ? "" : diagnostics.str();
  std::unique_ptr<LoadedModel> compiled = desc ? LoadedModel::create(*desc, settings.compile, {}, error) : nullptr;
  std::unique_ptr<Session> session;
  if (compiled)
    session = std::make_unique<Session>(*compiled, std::map<std::string, int64_t>{{"N", kChunk}}, 1, error);
  if (!error.empty()) {
    tally.failures.push_back(error);
    return;
  }
  Arguments arguments(stride);
  std::vector<double> values;
  int64_t wrong = 0;
  std::string first;
  while (arguments.next(values)) {
    RunOptions options;
    options.inputs["x"] = Tensor(DType::f32, {kChunk}, values);
    RunResult expected = runReference(*desc, options);
    Outcome outcome = session->run("forward", {{"N", kChunk}}, options.inputs);
    ++tally.calls;
    if (!expected.ok() || !outcome.error.empty()) {
      tally.failures.push_back(expected.error + outcome.error);
      return;
    }
    // What the function is at the zero of the argument's sign.
    options.inputs["x"] = Tensor(DType::f32, {2}, std::vector<double>{0.0, -0.0});
    RunResult atZero = runReference(*desc, options);
    const Tensor &got = outcome.outputs.at("y"), &want = expected.outputs.at("y");
    for (int64_t i = 0; i < kChunk; ++i) {
      double x = values[i];
      auto distance = [&](double truth) {
        if (std::isnan(truth))
          return std::isnan(got.reals[i]) ? 0.0 : INFINITY;
        double rounded = roundTo(DType::f32, truth);
        if (got.reals[i] == rounded)
          return 0.0;
        double allowance = function.ulps * ulp(DType::f32, std::isinf(rounded) ? 3.4e38 : truth) + function.ofArgument * std::fabs(x) + 0x1p-125;
        double error = std::fabs(got.reals[i] - (std::isinf(truth) ? rounded : truth));
        return allowance > 0 ? error / allowance : INFINITY;
      };
      double ratio = std::fabs(x) > function.largest && std::isfinite(x) ? 0 : distance(want.reals[i]);
      if (x != 0 && std::fabs(x) < 0x1p-126)
        ratio = std::min(ratio, distance(atZero.outputs.at("y").reals[std::signbit(x) ? 1 : 0]));
      ++tally.elements;
      if (!(ratio <= tally.worstRatio)) {
        tally.worstRatio = ratio;
        char line[160];
        std::snprintf(line, sizeof line, "x = %.9g (%a): expected %.9g but got %.9g", x, x, want.reals[i], got.reals[i]);
        tally.worst = line;
        if (ratio > 1 && first.empty())
          first = line;
      }
      wrong += !(ratio <= 1);
    }
  }
  if (wrong)
    tally.failures.push_back(std::to_string(wrong) + " of " + std::to_string(tally.elements) + " values are off; first " + first + "; worst " + tally.worst);
}

}  // namespace weft::e2e
