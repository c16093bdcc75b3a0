// The step is 1e-6 of the tensor's size: the error of a central difference in f64 is smallest there, about 1e-9.
// A kink between the two points shows as one-sided differences that disagree by far more than the curvature explains.
#include "Slopes.h"

#include "RandomTensors.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace weft {

namespace {

constexpr double kStep = 1e-6;
constexpr double kKink = 1e-3; ///< relative
constexpr int kDraws = 5;      ///< of a direction, before its kink is left alone

void widen(DType &type) {
  if (reference::isReal(type))
    type = DType::f64;
}

void widen(std::vector<Node> &nodes);

void widen(Graph &graph) {
  for (ValueDesc &value : graph.values)
    widen(value.type.dtype);
  widen(graph.nodes);
}

void widen(std::vector<Node> &nodes) {
  for (Node &node : nodes) {
    auto dtype = node.attrs.find("dtype");
    if (dtype != node.attrs.end())
      if (auto *word = std::get_if<std::string>(&dtype->second); word && (*word == "f32" || *word == "f16" || *word == "bf16"))
        *word = "f64";
    if (node.body)
      widen(*node.body);
  }
}

} // namespace

void widen(ModelDesc &model) {
  model.precision.params = model.precision.compute = model.precision.accumulate = DType::f64;
  for (ParamTensor &tensor : model.tensors)
    widen(tensor.dtype);
  for (InputDesc &input : model.inputs)
    widen(input.type.dtype);
  widen(model.graph);
  for (InputDesc &input : model.train->inputs)
    widen(input.type.dtype);
  widen(model.train->nodes);
}

double normOf(const HostTensor &tensor) {
  double sum = 0;
  for (int64_t i = 0; i < tensor.elements(); ++i)
    sum += tensor.at(i) * tensor.at(i);
  return std::sqrt(sum);
}

void setAllowed(std::vector<SlopeCheck> &checks, DType compute) {
  const double relative = compute == DType::f64 ? 1e-6 : compute == DType::f32 ? 1e-4 : 5e-2;
  double largest = 0;
  for (const SlopeCheck &check : checks)
    largest = std::max(largest, check.norm);
  for (SlopeCheck &check : checks)
    check.allowed = relative * check.norm + relative / 50 * largest;
}

bool Slopes::start(std::string &reason) {
  reference::RunResult run = reference::runReference(model, at);
  if (!run.ok())
    reason = run.error;
  else if (here = run.outputs.at("loss").at(0); !std::isfinite(here))
    reason = "the loss is not finite";
  return reason.empty();
}

double Slopes::lossAt(reference::Tensor &tensor, const std::vector<double> &values, const std::vector<double> &direction, double step) {
  for (size_t i = 0; i < values.size(); ++i)
    tensor.reals[i] = values[i] + step * direction[i];
  reference::RunResult run = reference::runReference(model, at);
  return run.ok() ? run.outputs.at("loss").at(0) : std::numeric_limits<double>::quiet_NaN();
}

void Slopes::check(const HostTensor &gradient, int directions, SlopeCheck &result) {
  auto parameter = std::find_if(model.tensors.begin(), model.tensors.end(), [&](const ParamTensor &t) { return t.name == result.name; });
  const bool isParameter = parameter != model.tensors.end();
  reference::Tensor &tensor = isParameter ? at.parameters.at(result.name) : at.inputs.at(result.name);
  const std::vector<double> values = tensor.reals;
  double square = 0;
  for (double value : values)
    square += std::isfinite(value) ? value * value : 0;
  const double step = kStep * std::max(1.0, std::sqrt(square / double(std::max<size_t>(values.size(), 1))));

  reference::Random random(seed, result.name);
  for (int d = 0; d < directions; ++d)
    for (int draw = 0; draw < kDraws; ++draw) {
      std::vector<double> direction(values.size());
      for (double &element : direction)
        element = random.normal();
      if (isParameter && parameter->zeroRow >= 0) { // a padding row has no gradient by definition
        const size_t row = values.size() / size_t(parameter->shape[0]);
        std::fill_n(direction.begin() + parameter->zeroRow * int64_t(row), row, 0.0);
      }
      const double up = lossAt(tensor, values, direction, step), down = lossAt(tensor, values, direction, -step);
      const double right = (up - here) / step, left = (here - down) / step;
      const double jump = std::abs(right - left);
      if (!(jump <= kKink * std::max(std::abs(right), std::abs(left)) || jump <= result.allowed)) {
        ++result.kinks;
        continue;
      }
      double slope = 0;
      for (size_t i = 0; i < direction.size(); ++i)
        slope += gradient.at(int64_t(i)) * direction[i];
      const double central = (up - down) / (2 * step), off = std::abs(slope - central);
      if (result.compared++ == 0 || !(off <= result.worst)) {
        result.worst = off;
        result.gradient = slope;
        result.difference = central;
      }
      break;
    }
  tensor.reals = values;
}

} // namespace weft
