// Everything a case needs is drawn from the seed and the names, so a failure is repeated by its line alone.
// Parameters that start as constants are random here: a forgotten bias of zeros would not show.
#include "RunCase.h"

#include "RandomTensors.h"

#include <algorithm>
#include <limits>
#include <sstream>

namespace weft::e2e {

using namespace reference;

namespace {

std::string sizesText(const Sizes &sizes) {
  std::string text;
  for (const auto &[name, size] : sizes)
    text += (text.empty() ? "" : ",") + name + "=" + std::to_string(size);
  return text.empty() ? "no dims" : text;
}

/// Entries of mode infer have no loss: the train section's nodes become nodes of the graph, and y the one output.
void exposeLoss(ModelDesc &desc) {
  std::move(desc.train->nodes.begin(), desc.train->nodes.end(), std::back_inserter(desc.graph.nodes));
  for (const Node &node : desc.graph.nodes)
    if (node.id == "y")
      desc.outputs = {{"y", node.results.front(), node.pos}};
  desc.train.reset();
  desc.entries.resize(1);
  desc.entries[0].outputs = {"y"};
}

Sizes largest(const std::vector<Sizes> &all) {
  Sizes result;
  for (const Sizes &sizes : all)
    for (const auto &[name, size] : sizes)
      result[name] = std::max(result[name], size);
  return result;
}

Tensor caseTensor(const CaseInput &input, const Sizes &sizes, uint64_t seed) {
  std::vector<int64_t> shape;
  for (const std::string &axis : input.axes)
    shape.push_back(sizes.count(axis) ? sizes.at(axis) : std::stoll(axis));
  DType dtype = DType::f32;
  for (int i = 0; i <= static_cast<int>(DType::boolean); ++i)
    if (input.dtype == dtypeText(static_cast<DType>(i)))
      dtype = static_cast<DType>(i);
  Tensor tensor = randomTensor(seed, input.name, dtype, shape, input.below ? 0 : -100, input.below ? input.below - 1 : 100);
  const double kInf = std::numeric_limits<double>::infinity();
  const double special[] = {kInf, -kInf, std::numeric_limits<double>::quiet_NaN(), 0, -0.0, 3e38, -3e38, 1e-30, 100, -100};
  for (size_t i = 0; i < tensor.reals.size(); ++i) {
    if (input.positive)
      tensor.reals[i] = roundTo(dtype, std::fabs(tensor.reals[i]) + 0.01);
    if (input.special && i % 3 == 1)
      tensor.reals[i] = roundTo(dtype, special[(i / 3) % std::size(special)]);
  }
  return tensor;
}

}  // namespace

Tensors randomParameters(const ModelDesc &desc, uint64_t seed) {
  Tensors parameters;
  for (const ParamTensor &param : desc.tensors)
    parameters[param.name] = randomParameter(seed, param);
  return parameters;
}

Tensors randomInputs(const ModelDesc &desc, const std::string &entry, const Sizes &sizes, uint64_t seed, Tensors given) {
  std::vector<std::string> needed = neededInputs(desc, entry);
  for (const InputDesc &input : desc.inputs) {
    if (given.count(input.name) || !std::count(needed.begin(), needed.end(), input.name))
      continue;
    std::vector<int64_t> shape;
    for (const DimExpr &size : input.type.shape)
      shape.push_back(size.evaluate(sizes).value_or(1));
    given[input.name] = randomTensor(seed, input.name, input.type.dtype, shape, input.hasRange ? input.low : -100, input.hasRange ? input.high : 100);
  }
  return given;
}

void runCase(const Case &c, const Settings &settings, Tally &tally) {
  std::optional<ModelDesc> desc = readCase(modelText(c), tally);
  if (!desc)
    return;
  Tensors parameters = randomParameters(*desc, settings.seed);
  std::string error, value;
  if (option(c, "loss", value))
    exposeLoss(*desc);
  std::unique_ptr<LoadedModel> compiled = settings.interpretOnly ? nullptr : LoadedModel::create(*desc, settings.compile, parameters, error);
  if (!error.empty()) {
    tally.failures.push_back(error);
    return;
  }
  Bound bound = option(c, "exact", value) ? Bound::exact() : defaultBound();
  if (option(c, "ofscale", value))
    bound.ofScale = std::stod(value);
  Checker checker(*desc, compiled.get(), parameters, bound, tally);
  std::vector<Sizes> all = rounds(c);
  checker.open(largest(all));
  for (const Sizes &sizes : all) {
    CallSpec spec;
    spec.entry = "forward";
    spec.dims = sizes;
    if (option(c, "error", value)) {
      spec.expectedError = value;
      std::replace(spec.expectedError.begin(), spec.expectedError.end(), '_', ' ');
    }
    for (const CaseInput &input : caseInputs(c))
      if (input.given)
        spec.inputs[input.name] = caseTensor(input, sizes, settings.seed);
    checker.call(spec, sizesText(sizes));
  }
}

void runModelCase(const ModelCase &c, const Settings &settings, Tally &tally) {
  std::optional<ModelDesc> desc = readCase(c.text, tally);
  if (!desc)
    return;
  Tensors parameters = randomParameters(*desc, settings.seed);
  std::string error;
  std::unique_ptr<LoadedModel> compiled = settings.interpretOnly ? nullptr : LoadedModel::create(*desc, settings.compile, parameters, error);
  if (!error.empty()) {
    tally.failures.push_back(error);
    return;
  }
  std::vector<CallSpec> calls;
  std::vector<Sizes> all;
  std::stringstream stream(c.calls);
  for (std::string text; std::getline(stream, text, ';');) {
    CallSpec spec;
    Sizes sizes;
    for (const DimDesc &dim : desc->dims)
      sizes[dim.name] = 1;
    std::stringstream words(text);
    for (std::string word; words >> word;) {
      size_t equals = word.find('=');
      if (word == "reset")
        spec.reset = true;
      else if (equals == std::string::npos)
        spec.entry = word;
      else if (word.rfind("error=", 0) == 0)
        spec.expectedError = word.substr(equals + 1);
      else {
        std::stringstream list(word.rfind("valid=", 0) == 0 ? word.substr(equals + 1) : word);
        for (std::string item; std::getline(list, item, ',');)
          if (size_t at = item.find('='); at == std::string::npos)
            spec.valid.push_back(std::stoll(item));
          else
            sizes[item.substr(0, at)] = std::stoll(item.substr(at + 1));
      }
    }
    spec.dims = sizes;
    spec.inputs = randomInputs(*desc, spec.entry, sizes, settings.seed + calls.size());
    calls.push_back(std::move(spec));
    all.push_back(sizes);
  }
  Checker checker(*desc, compiled.get(), parameters, defaultBound(), tally);
  checker.open(largest(all));
  for (size_t i = 0; i < calls.size(); ++i)
    checker.call(calls[i], "call " + std::to_string(i + 1) + ", " + calls[i].entry + " " + sizesText(all[i]));
}

bool runGolden(const std::string &name, const Settings &settings, Tally &tally) {
  std::string error;
  std::optional<Golden> golden = readGolden(name, error);
  if (!golden && error.empty())
    return false;
  std::unique_ptr<LoadedModel> compiled;
  if (golden) {
    CompileOptions options = settings.compile;
    options.entries = {golden->entry};
    compiled = LoadedModel::create(golden->model, options, golden->parameters, error);
  }
  if (!compiled) {
    tally.failures.push_back(error);
    return true;
  }
  // The interpreter gives the sizes of the dims; its numbers are compared with these goldens in reference_goldens.
  RunOptions options;
  options.entry = golden->entry;
  options.inputs = golden->inputs;
  options.parameters = golden->parameters;
  RunResult reference = runReference(golden->model, options);
  Tensors first;
  for (int64_t threads : {1, 2}) {
    Session session(*compiled, reference.dims, threads, error);
    Outcome outcome = error.empty() ? session.run(golden->entry, reference.dims, golden->inputs) : Outcome{error, {}};
    ++tally.calls;
    if (!outcome.error.empty()) {
      tally.failures.push_back(outcome.error);
      return true;
    }
    for (const auto &[output, expected] : golden->expected) {
      auto got = outcome.outputs.find(output);
      if (got == outcome.outputs.end()) {
        tally.failures.push_back("no output '" + output + "'");
        continue;
      }
      Comparison compared = compare(got->second, expected, nullptr, Bound::scale(1e-5));
      tally.elements += compared.elements;
      if (compared.worstRatio > tally.worstRatio) {
        tally.worstRatio = compared.worstRatio;
        tally.worst = "'" + output + "' " + compared.worst.str();
      }
      if (!compared.ok())
        tally.failures.push_back("'" + output + "': " + compared.str());
      if (threads == 2 && toBytes(got->second) != toBytes(first[output]))
        tally.failures.push_back("'" + output + "': two threads give other bits than one");
    }
    first = std::move(outcome.outputs);
  }
  return true;
}

}  // namespace weft::e2e
