// `weft run`: one call of an entry; `weft grad`: the same for the loss and its gradients. Inputs come from files or the
// command line; outputs go to a file, are compared with expected ones, or are summarised.
#include "Bisect.h"
#include "Commands.h"
#include "GradCheck.h"
#include "NonFinite.h"
#include "OutputFiles.h"
#include "Probe.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace weft {

namespace {

struct RunOptions : CommonOptions {
  std::vector<std::string> inputFiles, inputs, dims, probes;
  std::string outputs, entry, weights, compare;
  std::optional<uint64_t> init;
  double rtol = 1e-4, atol = -1;
  bool differentiates = false, dropout = false, bisect = false, checkNodes = false;
  int check = 0; ///< directions
};

/// The entry that `weft grad` calls: the one that is asked for, else one with the gradients of all parameters.
int chooseGradients(ModelDesc &model, std::string &name) {
  if (!model.train)
    return fail(kInvalid, "expected a model with a 'train' section, which has the loss");
  if (!name.empty()) {
    for (const EntryDesc &entry : model.entries)
      if (entry.name == name && entry.mode != EntryDesc::Mode::grad)
        return fail(kUsage, "entry " + quote(name) + " is not of mode 'grad'");
    return chooseEntry(model, name);
  }
  EntryDesc entry;
  entry.name = "grad";
  for (const EntryDesc &other : model.entries)
    if (other.name == entry.name)
      entry.name += "_all";
  entry.mode = EntryDesc::Mode::grad;
  name = entry.name;
  model.entries.push_back(entry);
  return kOk;
}

std::string numberText(double value) {
  char text[40];
  std::snprintf(text, sizeof(text), "%.9g", value);
  return text;
}

void printSummaries(const std::vector<HostTensor> &outputs) {
  for (const HostTensor &tensor : outputs) {
    Summary summary = summarise(tensor);
    std::string line = tensor.name + "  " + tensor.shapeText() + " " + weft_dtype_name(tensor.dtype);
    char numbers[200];
    std::snprintf(numbers, sizeof(numbers), "  min %.6g  max %.6g  mean %.6g  std %.6g", summary.low, summary.high, summary.mean, summary.deviation);
    line += numbers;
    if (summary.nonFinite)
      line += "  not finite: " + groupDigits(summary.nonFinite);
    line += "\n   ";
    int64_t count = tensor.elements();
    for (int64_t i = 0; i < std::min<int64_t>(count, 8); ++i) {
      std::snprintf(numbers, sizeof(numbers), " %.6g", tensor.at(i));
      line += numbers;
    }
    print(line + (count > 8 ? " …\n" : "\n"));
  }
}

struct Compared {
  std::string name;
  Comparison result;
  const HostTensor *got, *expected;
};

/// `own`: how many of the outputs are the entry's; the others were asked for with --probe.
int compareOutputs(const RunOptions &options, const std::vector<HostTensor> &outputs, size_t own, const std::vector<HostTensor> &expected, std::vector<Compared> &list) {
  bool equal = true;
  size_t matched = 0;
  for (const HostTensor &want : expected) {
    auto got = std::find_if(outputs.begin(), outputs.end(), [&](const HostTensor &tensor) { return tensor.name == want.name; });
    if (got == outputs.end()) {
      note(options, "weft: warning: " + escapeText(options.compare) + ": tensor " + quote(want.name) + " is no output of this entry");
      continue;
    }
    ++matched;
    if (got->shape != want.shape)
      return fail(kInvalid, "output " + quote(want.name) + ": expected " + want.shapeText() + " but got " + got->shapeText());
    list.push_back({want.name, compareTensors(*got, want, options.rtol, options.atol), &*got, &want});
    equal &= list.back().result.equal;
  }
  if (matched == 0)
    return fail(kInvalid, quote(options.compare) + " has no tensor with the name of an output");
  std::vector<std::string> without;
  for (size_t i = 0; i < own; ++i)
    if (std::none_of(expected.begin(), expected.end(), [&](const HostTensor &tensor) { return tensor.name == outputs[i].name; }))
      without.push_back(outputs[i].name);
  if (!without.empty()) {
    std::string names;
    for (size_t i = 0; i < std::min<size_t>(without.size(), 4); ++i)
      names += (i ? ", " : "") + quote(without[i]);
    note(options, "weft: warning: " + escapeText(options.compare) + ": has no tensor for " + std::to_string(without.size()) + (without.size() == 1 ? " output" : " outputs") +
                      ", not compared: " + names + (without.size() > 4 ? ", ..." : ""));
  }
  return equal ? kOk : kInvalid;
}

void printComparisons(const std::vector<Compared> &list) {
  for (const Compared &item : list) {
    const Comparison &c = item.result;
    std::string line = item.name + ": " + (c.equal ? "equal" : "differs in " + groupDigits(c.differing) + " of " + groupDigits(item.got->elements()) + " elements");
    auto element = [&](const char *what, int64_t i) {
      return std::string("\n  ") + what + " at " + item.got->place(i) + ": got " + numberText(item.got->at(i)) + ", expected " + numberText(item.expected->at(i));
    };
    if (c.first >= 0)
      line += element("first", c.first);
    if (c.worst >= 0) {
      char text[80];
      std::snprintf(text, sizeof(text), ", difference %.3g (%.3g of the largest)", c.worstError, c.scale > 0 ? c.worstError / c.scale : c.worstError);
      line += element("worst", c.worst) + text;
    }
    print(line + "\n");
  }
}

void printBisect(const ModelDesc &model, const BisectResult &found) {
  if (found.node.empty())
    return print("bisect: every value that the outputs depend on agrees with the f64 reference (" + std::to_string(found.probes) +
                 " values compared): the expected tensors are of other weights, other inputs or another model\n");
  print("bisect: " + escapeText(model.file) + ":" + std::to_string(found.pos.line) + ":" + std::to_string(found.pos.column) + ": node " + quote(found.node) + " (" + found.op +
        ") is the first that leaves the bound around the f64 reference; what it reads is right\n  at " + escapeText(found.pos.pointer) + "\n  " + found.difference + "\n");
}

void writeBisect(JsonWriter &json, const BisectResult &found) {
  json.key("bisect").open('{').key("probes").integer(int64_t(found.probes));
  if (!found.node.empty()) {
    json.key("node").string(found.node).key("op").string(found.op).key("line").integer(found.pos.line).key("column").integer(found.pos.column);
    json.key("pointer").string(found.pos.pointer).key("difference").string(found.difference);
  }
  json.close();
}

void printJson(const std::string &entry, const std::vector<HostTensor> &outputs, const std::vector<Compared> &compared, const std::optional<BisectResult> &found,
               const std::optional<GradCheck> &checked) {
  JsonWriter json;
  json.open('{').key("entry").string(entry).key("outputs").open('[');
  for (const HostTensor &tensor : outputs) {
    Summary summary = summarise(tensor);
    json.open('{').key("name").string(tensor.name).key("dtype").string(weft_dtype_name(tensor.dtype)).key("shape").open('[');
    for (int64_t size : tensor.shape)
      json.integer(size);
    json.close().key("min").number(summary.low).key("max").number(summary.high).key("mean").number(summary.mean);
    json.key("std").number(summary.deviation).key("not_finite").integer(summary.nonFinite).close();
  }
  json.close();
  if (!compared.empty()) {
    json.key("compare").open('[');
    for (const Compared &item : compared) {
      json.open('{').key("name").string(item.name).key("equal").boolean(item.result.equal).key("differing").integer(item.result.differing);
      json.key("worst_error").number(item.result.worstError).key("scale").number(item.result.scale).close();
    }
    json.close();
  }
  if (found)
    writeBisect(json, *found);
  if (checked)
    writeGradCheck(json, *checked);
  print(json.close().text() + "\n");
}

/// A warning that says from where on the loss or its gradients are not finite.
void warnNonFinite(const RunOptions &options, const Runner &runner, const std::vector<HostTensor> &inputs, const std::vector<int64_t> &dims, const std::vector<HostTensor> &outputs) {
  std::set<std::string> wrong;
  for (const HostTensor &output : outputs)
    if (summarise(output).nonFinite && (output.name == "loss" || output.name.compare(0, 5, "grad.") == 0))
      wrong.insert(output.name);
  if (wrong.empty() || options.quiet)
    return;
  const int64_t bytes = weft_entry_arena_bytes(runner.handle, runner.entryIndex(options.entry), dims.data());
  const NonFiniteReason reason = reasonOf(
      options, runner.model, 1, [&](size_t) { return NonFiniteCall{options.entry, runner.handle, inputs, dims, bytes}; },
      [&](const std::string &name) { return wrong.count("grad." + name) == 0; });
  note(options, std::string("weft: warning: ") + (wrong.count("loss") ? "the loss is" : "gradients are") + " not finite" + escapeText(reason.text) +
                    (options.dropout && hasDropout(runner.model) ? " (computed without dropout)" : ""));
}

int run(RunOptions options) {
  Runner runner;
  if (int code = runner.read(options))
    return code;
  if (int code = options.differentiates ? chooseGradients(runner.model, options.entry) : chooseEntry(runner.model, options.entry))
    return code;
  if (options.dropout)
    std::find_if(runner.model.entries.begin(), runner.model.entries.end(), [&](const EntryDesc &e) { return e.name == options.entry; })->dropout = true;
  Sizes sizes;
  if (int code = parseSizes(options.dims, runner.model, sizes))
    return code;
  std::string probe;
  std::vector<ProbedValue> probed;
  if (int code = addProbeEntry(runner.model, options.entry, options.probes, probe, probed))
    return code;
  std::vector<HostTensor> given, expected;
  if (int code = readGivenInputs(options, options.inputFiles, options.inputs, given))
    return code;
  if (!options.compare.empty())
    if (int code = readTensors(options, options.compare, "", expected))
      return code;
  OutputFiles files;
  if (!options.outputs.empty()) {
    std::vector<std::string> inputFiles = withWeightFiles(options, runner.model, options.inputFiles, {options.weights, options.compare});
    for (const std::string &named : options.inputs)
      inputFiles.push_back(named.substr(std::min(named.size(), named.find('=') + 1)));
    if (int code = refuseInputs(options, {options.outputs}, inputFiles))
      return code;
    std::string text = files.add(options.outputs);
    if (!text.empty())
      return fail(kFile, text);
  }

  CompileOptions compile;
  compile.entries = {options.entry};
  if (!probe.empty())
    compile.entries.push_back(probe);
  if (int code = runner.compile(options, compile))
    return code;
  WeightsChoice weights;
  weights.file = options.weights;
  weights.initSeed = options.init;
  if (int code = runner.open(options, weights, /*keepParameters=*/options.differentiates))
    return code;
  int32_t entry = runner.entryIndex(options.entry);
  std::vector<int64_t> dims = runner.dimList(sizes);
  std::vector<HostTensor> inputs;
  if (int code = bindInputs(runner.desc(), entry, given, inputs))
    return code;
  const std::vector<int64_t> asked = dims;
  if (int code = dimsFromInputs(runner.desc(), entry, inputs, dims))
    return code;
  for (int32_t d = 0; d < runner.desc()->dims; ++d) {
    const char *name = runner.desc()->dim[d].name;
    bool isGiven = std::any_of(options.dims.begin(), options.dims.end(), [&](const std::string &text) { return ("," + text).find("," + std::string(name) + "=") != std::string::npos; });
    if (isGiven && !runner.desc()->entry[entry].fixed_dims[d] && asked[size_t(d)] != dims[size_t(d)])
      return fail(kUsage, "dim " + quote(name) + ": expected " + std::to_string(dims[size_t(d)]) + " as in the inputs but got " + std::to_string(asked[size_t(d)]));
  }
  if (int code = runner.start(options, dims))
    return code;
  std::vector<HostTensor> outputs = makeOutputs(runner.desc(), entry, dims);
  weft_status status = runner.call(entry, dims, inputs, outputs);
  if (status != WEFT_OK)
    return runner.failCall(status);
  const size_t own = outputs.size();
  if (!probe.empty()) {
    std::vector<HostTensor> values;
    if (int code = runProbeEntry(runner, options, probe, given, dims, values))
      return code;
    std::move(values.begin(), values.end(), std::back_inserter(outputs));
  }
  if (!options.outputs.empty()) {
    if (int code = writeTensors(files.temporary(options.outputs), options.outputs, outputs))
      return code;
    std::string text = files.commit();
    if (!text.empty())
      return fail(kFile, text);
  }
  if (options.differentiates)
    warnNonFinite(options, runner, inputs, dims, outputs);

  std::vector<Compared> compared;
  int result = kOk;
  if (!options.compare.empty()) {
    result = compareOutputs(options, outputs, own, expected, compared);
    if (result != kOk && compared.empty())
      return result;
  }
  Sizes held;
  for (int32_t d = 0; d < runner.desc()->dims; ++d)
    held[runner.desc()->dim[d].name] = dims[size_t(d)];
  std::optional<GradCheck> checked;
  if (options.check > 0) {
    if (int code = checkGradients(options, runner, options.entry, inputs, outputs, held, options.check, options.checkNodes, checked.emplace()))
      return code;
    result = checked->ok() ? result : int(kInvalid);
  }
  std::optional<BisectResult> found;
  if (options.bisect && result == kInvalid) {
    if (int code = bisect(options, options.entry, weights, given, held, found.emplace()))
      return code;
  }
  if (options.json)
    printJson(options.entry, outputs, compared, found, checked);
  else if (!options.quiet && !compared.empty())
    printComparisons(compared);
  else if (!options.quiet && options.outputs.empty() && !checked)
    printSummaries(outputs);
  if (checked && !options.json && !options.quiet)
    printGradCheck(runner.model, *checked);
  if (found && !options.json && !options.quiet)
    printBisect(runner.model, *found);
  return result;
}

} // namespace

static void addCallOptions(CLI::App *command, const std::shared_ptr<RunOptions> &options) {
  addCommonOptions(*command, *options);
  addRepeated(*command, "--inputs", options->inputFiles, "safetensors file with the inputs");
  addRepeated(*command, "--input", options->inputs, "NAME=FILE.npy, or NAME=1,2,3 for a row of integers");
  addRepeated(*command, "--dim", options->dims, "B=8: sizes that no input shows (default: the hints)");
  command->add_option("--outputs", options->outputs, "safetensors or .npy file to write (default: print a summary)");
  command->add_option("--weights", options->weights, "weights file instead of the model's");
  command->add_option("--init", options->init, "SEED: random weights")->check(checkSeed);
  command->add_option("--compare", options->compare, "safetensors file with expected outputs; exit 1 if they differ");
  command->add_option("--rtol", options->rtol, "allowed relative difference (default 1e-4)")->check(notNegative());
  command->add_option("--atol", options->atol, "allowed absolute difference (default 1e-5 of the largest value)")->check(notNegative());
}

void addGrad(CLI::App &root, Action &action) {
  auto options = std::make_shared<RunOptions>();
  options->differentiates = true;
  CLI::App *command = root.add_subcommand("grad", "the loss, and its gradient by every parameter as grad.NAME");
  addCallOptions(command, options);
  command->add_option("--entry", options->entry, "entry of mode 'grad' (default: the gradients of all parameters)");
  command->add_flag("--dropout", options->dropout, "drop out as the first step of a training with seed 0 does (default: nothing)");
  command->add_option("--check", options->check, "N: compare with f64 differences along N random directions; exit 1 with the rule that is wrong")
      ->check(CLI::Range(1, 1000000));
  command->add_flag("--nodes", options->checkNodes, "with --check: check the rule of every node, even when all tensors agree")->needs("--check");
  command->footer("Examples:\n  weft grad model.json --inputs batch.safetensors --outputs gradients.safetensors\n  weft grad model.json --init 0 --check 2");
  command->callback([=, &action] { action = [=] { return run(*options); }; });
}

void addRun(CLI::App &root, Action &action) {
  auto options = std::make_shared<RunOptions>();
  CLI::App *command = root.add_subcommand("run", "compile in memory and call an entry once");
  addCallOptions(command, options);
  command->add_option("--entry", options->entry, "entry to call (default: forward)");
  addRepeated(*command, "--probe", options->probes, "also write the value of a node, of attention its map too: 'enc[3].attn' (repeatable)");
  command->add_flag("--bisect", options->bisect, "after --compare found a difference: name the first node that leaves the f64 reference")->needs("--compare");
  command->footer("Examples:\n  weft run gpt2.json --input tokens=464,3290 --init 0\n  weft run model.json --inputs in.safetensors --compare expected.safetensors");
  command->callback([=, &action] { action = [=] { return run(*options); }; });
}

} // namespace weft
