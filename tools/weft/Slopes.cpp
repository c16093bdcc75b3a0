// The exact derivative decides: no step blurs it, and at a corner it is the subgradient that training promises. The difference of
// two losses knows nothing of derivatives, so that it would show an error of the reference's own calculus.
#include "Slopes.h"

#include "RandomTensors.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace weft {

namespace {

constexpr double kStep = 1e-6;      ///< of the tensor's size: where a central difference in f64 is best, about 1e-9
constexpr double kKink = 1e-3;      ///< of one-sided differences that disagree, relative
constexpr int kDraws = 5;           ///< of a direction, before its kink is left alone
constexpr int64_t kElements = 1024; ///< of the tensors that are compared element by element, together
constexpr double kNaive = 8;        ///< times the error of naive f32, where a gradient differs by more than is usual

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

static double normOf(const HostTensor &tensor) {
  double sum = 0;
  for (int64_t i = 0; i < tensor.elements(); ++i)
    sum += std::isfinite(tensor.at(i)) ? tensor.at(i) * tensor.at(i) : 0;
  return std::sqrt(sum);
}

/// 0 also for two that are equally not finite, and for what overflows in a type that holds no such number.
static double distance(double got, double exact, double largest) {
  if (got == exact || (std::isnan(got) && std::isnan(exact)) || (!std::isfinite(got) && !(std::abs(exact) <= largest)))
    return 0;
  return std::abs(got - exact);
}

/// A part of the tensor's own gradient, as far as floats are exact, and a fiftieth of that part of the largest gradient, since a
/// gradient that is small by cancellation is as far off as the terms that it is a sum of. The product with a direction of
/// normal numbers has the norm as its standard deviation, so norms are the measure.
void Slopes::setAllowed(std::vector<SlopeCheck> &checks) const {
  const double relative = compute == DType::f64 ? 1e-11 : compute == DType::f32 ? 1e-5 : 5e-2;
  double largest = 0;
  for (const SlopeCheck &check : checks)
    largest = std::max(largest, check.norm);
  for (SlopeCheck &check : checks)
    check.allowed = relative * check.norm + relative / 50 * largest;
}

double Slopes::lossAt(reference::Tensor &tensor, const std::vector<double> &values, const std::vector<double> &direction, double step) {
  for (size_t i = 0; i < values.size(); ++i)
    tensor.reals[i] = values[i] + step * direction[i];
  reference::RunResult run = reference::runReference(model, at);
  return run.ok() ? run.outputs.at("loss").at(0) : std::numeric_limits<double>::quiet_NaN();
}

/// A direction with the central difference along it, or none if every one that was drawn crosses a kink.
struct Slopes::Drawn {
  std::vector<double> direction;
  std::optional<double> central;
  double doubt = 0; ///< of the difference: how far the one-sided ones disagree, and what is lost by subtracting
};

std::vector<Slopes::Drawn> Slopes::draw(SlopeCheck &check, int directions) {
  auto parameter = std::find_if(model.tensors.begin(), model.tensors.end(), [&](const ParamTensor &t) { return t.name == check.name; });
  const bool isParameter = parameter != model.tensors.end();
  reference::Tensor &tensor = isParameter ? at.parameters.at(check.name) : at.inputs.at(check.name);
  const std::vector<double> values = tensor.reals;
  double square = 0;
  for (double value : values)
    square += std::isfinite(value) ? value * value : 0;
  const double step = kStep * std::max(1.0, std::sqrt(square / double(std::max<size_t>(values.size(), 1))));

  reference::Random random(seed, check.name);
  std::vector<Drawn> all(static_cast<size_t>(directions));
  for (Drawn &one : all)
    for (int draw = 0; draw < kDraws && !one.central; ++draw) {
      one.direction.resize(values.size());
      for (double &component : one.direction)
        component = random.normal();
      if (isParameter && parameter->zeroRow >= 0) { // a padding row moves the loss, but has no gradient by definition
        const size_t row = values.size() / size_t(parameter->shape[0]);
        std::fill_n(one.direction.begin() + parameter->zeroRow * int64_t(row), row, 0.0);
      }
      const double up = lossAt(tensor, values, one.direction, step), down = lossAt(tensor, values, one.direction, -step);
      const double right = (up - here) / step, left = (here - down) / step;
      const double jump = std::abs(right - left), lost = 1e-14 * std::abs(here) / step;
      if (!(jump <= kKink * std::max(std::abs(right), std::abs(left)) + lost)) {
        ++check.kinks;
        continue;
      }
      one.central = (up - down) / (2 * step);
      one.doubt = jump + lost + 1e-6 * std::abs(*one.central);
    }
  tensor.reals = values;
  return all;
}

bool Slopes::check(const std::vector<std::pair<std::string, const HostTensor *>> &gradients, int directions, std::vector<SlopeCheck> &checks,
                   std::string &reason) {
  reference::RunResult run = reference::runReference(model, at);
  if (!run.ok())
    reason = run.error;
  else if (here = run.outputs.at("loss").at(0); !std::isfinite(here))
    reason = "the loss is not finite";
  if (!reason.empty())
    return false;

  checks.assign(gradients.size(), {});
  std::vector<std::vector<Drawn>> drawn;
  std::vector<reference::Direction> all;
  std::vector<size_t> smallest;
  for (size_t n = 0; n < gradients.size(); ++n) {
    checks[n].name = gradients[n].first;
    checks[n].norm = normOf(*gradients[n].second);
    checks[n].where = "along a random direction";
    drawn.push_back(draw(checks[n], directions));
    for (const Drawn &one : drawn.back())
      all.push_back({checks[n].name, one.direction});
    smallest.push_back(n);
  }
  setAllowed(checks);
  reference::Derivatives exact = reference::lossDerivatives(model, at, all);
  std::stable_sort(smallest.begin(), smallest.end(), [&](size_t a, size_t b) { return gradients[a].second->elements() < gradients[b].second->elements(); });
  int64_t elements = 0;
  std::vector<std::string> names;
  for (size_t n : smallest)
    if (elements += gradients[n].second->elements(); elements <= kElements) {
      checks[n].byElement = true;
      names.push_back(checks[n].name);
    }
  reference::LossGradients whole = reference::lossGradients(model, at, names);
  reason = exact.error.empty() ? whole.error : exact.error;
  if (!reason.empty())
    return false;

  const double largest = reference::largestOf(compute);
  size_t next = 0;
  for (size_t n = 0; n < gradients.size(); ++n) {
    const HostTensor &gradient = *gradients[n].second;
    SlopeCheck &check = checks[n];
    const size_t first = next;
    for (const Drawn &one : drawn[n]) {
      double slope = 0;
      for (size_t i = 0; i < one.direction.size(); ++i)
        slope += one.direction[i] == 0 ? 0 : gradient.at(int64_t(i)) * one.direction[i];
      const double derivative = exact.along[next++], off = distance(slope, derivative, largest);
      if (&one == &drawn[n].front() || !(off <= check.worst)) {
        check.worst = off;
        check.gradient = slope;
        check.derivative = derivative;
        check.centralDifference = one.central.value_or(0);
      }
      check.differences += one.central.has_value();
      check.isCorner |= one.central && !(std::abs(*one.central - derivative) <= one.doubt + 1e-7 * check.norm);
    }
    for (int64_t i = 0; check.byElement && i < gradient.elements(); ++i)
      if (const double exactly = whole.of.at(check.name).reals[size_t(i)], off = distance(gradient.at(i), exactly, largest); !(off <= check.worst)) {
        check.worst = off;
        check.gradient = gradient.at(i);
        check.derivative = exactly;
        check.where = "at element " + gradient.place(i);
      }
    if (!check.agrees() && compute == DType::f32)
      check.allowed += kNaive * naiveError({all.begin() + std::ptrdiff_t(first), all.begin() + std::ptrdiff_t(next)},
                                           {exact.along.begin() + std::ptrdiff_t(first), exact.along.begin() + std::ptrdiff_t(next)});
  }
  return true;
}

/// The largest error of derivatives that plain loops in f32 have along some directions: where they are far off, so may be others.
double Slopes::naiveError(const std::vector<reference::Direction> &directions, const std::vector<double> &exact) const {
  reference::RunOptions naive = at;
  naive.arithmetic = reference::Arithmetic::f32;
  reference::Derivatives found = reference::lossDerivatives(model, naive, directions);
  double error = 0;
  for (size_t i = 0; i < found.along.size(); ++i)
    if (const double off = std::abs(found.along[i] - exact[i]); std::isfinite(off))
      error = std::max(error, off);
  return error;
}

} // namespace weft
