// weft-reference: computes a model's outputs with the interpreter.
// For people who want to know what a model computes, and for tests that need a file of expected numbers.
#include "Derivatives.h"
#include "RandomTensors.h"
#include "Reference.h"
#include "TensorFiles.h"

#include "import/ReadModel.h"

#include <charconv>
#include <cstdio>
#include <cstring>

using namespace weft;
using namespace weft::reference;

namespace {

const char *const kUsage = "usage: weft-reference MODEL.json --inputs FILE (--weights FILE | --random SEED) [--outputs FILE]\n"
                           "                      [--entry NAME] [--set KEY=VALUE]... [--dim NAME=SIZE]... [--all] [--f32] [--loss]\n"
                           "                      [--gradients]\n";

int fail(const std::string &text, int code) {
  std::fprintf(stderr, "weft-reference: %s\n", text.c_str());
  return code;
}

std::optional<int64_t> number(const std::string &text) {
  int64_t value = 0;
  auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  return problem == std::errc() && end == text.data() + text.size() ? std::optional<int64_t>(value) : std::nullopt;
}

void summary(const std::string &name, const Tensor &tensor) {
  std::printf("%s: %s %s", name.c_str(), dtypeText(tensor.dtype), shapeText(tensor.shape).c_str());
  for (int64_t i = 0; i < std::min<int64_t>(tensor.count(), 6); ++i)
    std::printf("%s%.9g", i ? ", " : " = ", tensor.at(i));
  std::printf("%s\n", tensor.count() > 6 ? ", ..." : "");
}

}  // namespace

int main(int argc, char **argv) {
  std::string model, inputs, weights, outputs;
  ReadOptions read;
  RunOptions options;
  std::optional<uint64_t> seed;
  bool gradients = false;
  for (int i = 1; i < argc; ++i) {
    std::string arg = argv[i];
    bool takesValue = arg.rfind("--", 0) == 0 && arg != "--all" && arg != "--f32" && arg != "--loss" && arg != "--gradients";
    if (takesValue && i + 1 == argc)
      return fail("expected a value after '" + arg + "'\n" + kUsage, 2);
    std::string value = takesValue ? argv[++i] : "";
    size_t equals = value.find('=');
    if (arg == "--inputs")
      inputs = value;
    else if (arg == "--weights")
      weights = value;
    else if (arg == "--outputs")
      outputs = value;
    else if (arg == "--entry")
      options.entry = value;
    else if (arg == "--random" && number(value))
      seed = static_cast<uint64_t>(*number(value));
    else if (arg == "--set" && equals != std::string::npos)
      read.sets.emplace_back(value.substr(0, equals), value.substr(equals + 1));
    else if (arg == "--dim" && equals != std::string::npos && number(value.substr(equals + 1)))
      options.dims[value.substr(0, equals)] = *number(value.substr(equals + 1));
    else if (arg == "--all")
      options.keepAll = true;
    else if (arg == "--loss")
      options.loss = true;
    else if (arg == "--gradients")
      options.loss = gradients = true;
    else if (arg == "--f32")
      options.arithmetic = Arithmetic::f32;
    else if (!takesValue && arg[0] != '-' && model.empty())
      model = arg;
    else
      return fail("cannot use '" + arg + (value.empty() ? "" : " " + value) + "'\n" + kUsage, 2);
  }
  if (model.empty() || (weights.empty() && !seed))
    return fail(std::string("expected a model and --weights or --random\n") + kUsage, 2);

  Diagnostics diagnostics;
  std::optional<ModelDesc> desc = readModelFile(model, read, diagnostics);
  std::fputs(diagnostics.str().c_str(), stderr);
  if (!desc)
    return diagnostics.exitCode();
  std::string error;
  if (!inputs.empty()) {
    std::optional<Tensors> tensors = readTensors(inputs, error);
    if (!tensors)
      return fail(error, 3);
    options.inputs = std::move(*tensors);
  }
  if (weights.empty()) {
    for (const ParamTensor &param : desc->tensors)
      options.parameters[param.name] = randomParameter(*seed, param);
  } else {
    std::optional<Tensors> file = readTensors(weights, error);
    std::optional<Tensors> parameters = file ? parametersOf(*desc, *file, error) : std::nullopt;
    if (!parameters)
      return fail(error, 3);
    options.parameters = std::move(*parameters);
  }
  RunResult run = runReference(*desc, options);
  if (!run.ok())
    return fail(run.error, 1);
  Tensors results = run.outputs;
  if (gradients) {
    std::vector<std::string> names;
    for (const std::map<std::string, Tensor> *tensors : {&options.parameters, &options.inputs})
      for (const auto &[name, tensor] : *tensors)
        if (tensor.real())
          names.push_back(name);
    LossGradients found = lossGradients(*desc, options, names);
    if (!found.error.empty())
      return fail(found.error, 1);
    for (auto &[name, gradient] : found.of)
      results.emplace("grad." + name, std::move(gradient));
  }
  for (const auto &[path, value] : run.values)
    results.emplace(path, *value);
  if (!outputs.empty())
    return writeTensors(outputs, results, error) ? 0 : fail(error, 3);
  for (const std::string &path : run.order)
    summary(path, *run.values.at(path));
  for (const auto &[name, tensor] : results)
    if (!run.values.count(name))
      summary(name, tensor);
  return 0;
}
