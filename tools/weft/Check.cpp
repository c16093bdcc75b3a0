// `weft check`: all checks without making code, then what the model takes, gives and costs.
// FLOPs and memory come from the compiler's own plan at the hints of the dims or at --dim.
#include "Commands.h"
#include "import/TrainGroups.h"

#include <algorithm>

namespace weft {

namespace {

struct CheckOptions : CommonOptions {
  std::vector<std::string> dims;
};

struct Cost {
  std::string entry;
  Sizes sizes;
  double flops = -1;
  int64_t arena = -1;
  std::vector<std::pair<std::string, int64_t>> peak; ///< node and bytes, largest first
};

int64_t parameterBytes(const ModelDesc &model, int64_t &elements) {
  int64_t bytes = 0;
  elements = 0;
  for (const ParamTensor &tensor : model.tensors) {
    int64_t count = 1;
    for (int64_t size : tensor.shape)
      count *= size;
    elements += count;
    bytes += count * int64_t(dtypeBytes(tensor.dtype));
  }
  return bytes;
}

struct TrainedMemory {
  int64_t gradients = 0, moments = 0; ///< bytes, without what aligns them
};

/// What a trainer holds beside parameters and arena.
TrainedMemory trainedMemory(const ModelDesc &model) {
  TrainedMemory memory;
  for (int32_t tensor : trainableTensors(model)) {
    int64_t bytes = int64_t(sizeof(float));
    for (int64_t size : model.tensors[size_t(tensor)].shape)
      bytes *= size;
    memory.gradients += bytes;
  }
  const OptimizerDesc &optimizer = model.train->optimizer;
  memory.moments = memory.gradients * (optimizer.kind != "sgd" ? 2 : optimizer.momentum != 0 ? 1 : 0);
  if (model.train->accumulate > 1)
    memory.gradients *= 2;
  return memory;
}

const EntryDesc *entryNamed(const ModelDesc &model, const std::string &name) {
  auto found = std::find_if(model.entries.begin(), model.entries.end(), [&](const EntryDesc &entry) { return entry.name == name; });
  return found == model.entries.end() ? nullptr : &*found;
}

/// Every entry of the file; of several that train, the first, as an object has room for one.
std::vector<std::string> entriesToCheck(const ModelDesc &model) {
  std::vector<std::string> names;
  bool trains = false;
  for (const EntryDesc &entry : model.entries) {
    bool isTraining = entry.mode == EntryDesc::Mode::train;
    if (entry.mode != EntryDesc::Mode::eval && !(isTraining && trains))
      names.push_back(entry.name);
    trains = trains || isTraining;
  }
  return names;
}

std::vector<Cost> costs(const ModelDesc &model, const CompiledModel &compiled, const Sizes &sizes) {
  std::vector<Cost> result;
  for (const EntryInfo &entry : compiled.entries) {
    if (const EntryDesc *desc = entryNamed(model, entry.name); desc && desc->mode == EntryDesc::Mode::eval)
      continue;
    Cost cost;
    cost.entry = entry.name;
    cost.sizes = entrySizes(model, entry.name, sizes);
    if (auto flops = entry.flops.evaluate(cost.sizes))
      cost.flops = double(*flops);
    cost.arena = compiled.arenaBytes(entry.name, cost.sizes).value_or(-1);
    for (const auto &[buffer, bytes] : compiled.peak(entry.name, cost.sizes))
      if (cost.peak.size() < 5)
        cost.peak.emplace_back(buffer->node, bytes);
    result.push_back(std::move(cost));
  }
  return result;
}

/// A kept value's memory in a session of the largest sizes in `sizes`.
std::string keptText(const CompiledModel &compiled, size_t number, const Sizes &sizes) {
  const KeptInfo &kept = compiled.kept[number];
  std::string by, for_;
  for (const EntryInfo &entry : compiled.entries) {
    if (std::count(entry.keeps.begin(), entry.keeps.end(), int(number)))
      by += (by.empty() ? "" : ", ") + entry.name;
    if (std::count(entry.recalls.begin(), entry.recalls.end(), int(number)))
      for_ += (for_.empty() ? "" : ", ") + entry.name;
  }
  std::optional<int64_t> bytes = kept.bytes.evaluate(sizes);
  return (kept.rounds > 1 ? std::to_string(kept.rounds) + " x " : "") + typeText(kept.type) + " from " + by + " for " + for_ + ": " +
         (bytes ? groupDigits(*bytes) + " bytes" : "out of range");
}

std::string rangeText(const InputDesc &input) {
  std::string text = input.hasRange ? ", " + std::to_string(input.low) + ".." + std::to_string(input.high) : "";
  return text + (input.optional ? ", optional" : "");
}

std::string padded(const std::string &text, size_t width) { return text + std::string(text.size() < width ? width - text.size() : 1, ' '); }

const TensorType &outputType(const ModelDesc &model, const OutputDesc &output) { return model.graph.values[size_t(output.value)].type; }

void printText(const ModelDesc &model, const CompiledModel &compiled, const Sizes &sizes, const std::vector<Cost> &costs) {
  std::string out = "model       " + model.name + " (" + escapeText(model.file) + ")\n";
  const char *title = "dims        ";
  for (const DimDesc &dim : model.dims) {
    out += title + padded(dim.name, 16) + std::to_string(dim.min) + ".." + std::to_string(dim.max) + ", hint " + std::to_string(dim.hint) +
           (dim.multipleOf > 1 ? ", a multiple of " + std::to_string(dim.multipleOf) : "") + "\n";
    title = "            ";
  }
  title = "inputs      ";
  for (const InputDesc &input : model.inputs) {
    out += title + padded(input.name, 16) + typeText(input.type) + rangeText(input) + "\n";
    title = "            ";
  }
  title = "outputs     ";
  for (const OutputDesc &output : model.outputs) {
    out += title + padded(output.name, 16) + typeText(outputType(model, output)) + "\n";
    title = "            ";
  }
  title = "state       ";
  for (const StateDesc &state : model.states) {
    int64_t bytes = 2 * state.layers * state.kvHeads * state.headDim * state.capacity * int64_t(dtypeBytes(state.dtype));
    out += title + padded(state.name, 16) + std::to_string(state.layers) + " layers, " + std::to_string(state.kvHeads) + " heads of " +
           std::to_string(state.headDim) + ", " + std::to_string(state.capacity) + " positions, " + dtypeName(state.dtype) + ": " +
           byteText(double(bytes)) + " per sequence\n";
    title = "            ";
  }
  title = "kept        ";
  for (size_t i = 0; i < compiled.kept.size(); ++i) {
    out += title + padded(compiled.kept[i].name, 16) + keptText(compiled, i, sizes) + "\n";
    title = "            ";
  }
  int64_t elements = 0, bytes = parameterBytes(model, elements);
  out += "parameters  " + groupDigits(elements) + " in " + groupDigits(int64_t(model.tensors.size())) + " tensors, " + groupDigits(bytes) + " bytes\n";
  title = "entries     ";
  for (const Cost &cost : costs) {
    out += title + padded(cost.entry, 16) + (cost.flops >= 0 ? flopText(cost.flops) : "FLOP out of range") + ", peak memory " +
           (cost.arena >= 0 ? groupDigits(cost.arena) + " bytes" : "out of range") + (cost.sizes.empty() ? "" : " at " + sizesText(cost.sizes)) + "\n";
    for (const auto &[node, size] : cost.peak)
      out += "              " + padded(node, 28) + groupDigits(size) + "\n";
    if (const EntryDesc *entry = entryNamed(model, cost.entry); entry && entry->mode == EntryDesc::Mode::train) {
      TrainedMemory memory = trainedMemory(model);
      out += "              " + padded("gradients", 28) + groupDigits(memory.gradients) + "\n              " + padded("moments", 28) +
             groupDigits(memory.moments) + "\n";
    }
    title = "            ";
  }
  for (const GenerateDesc &generate : model.generates) {
    out += title + padded(generate.name, 16) + generate.kind + ", " + generate.prefill + " and then " + generate.step + ", at most " +
           std::to_string(generate.maxNewTokens) + " new tokens\n";
    title = "            ";
  }
  print(out);
}

void writeType(JsonWriter &json, const std::string &name, const TensorType &type) {
  json.key("name").string(name).key("dtype").string(dtypeName(type.dtype)).key("shape").open('[');
  for (const DimExpr &axis : type.shape)
    json.string(axis.str());
  json.close();
}

void printJson(const ModelDesc &model, const CompiledModel &compiled, const Sizes &sizes, const std::vector<Cost> &costs) {
  JsonWriter json;
  json.open('{').key("model").string(model.name).key("file").string(model.file).key("dims").open('[');
  for (const DimDesc &dim : model.dims)
    json.open('{').key("name").string(dim.name).key("min").integer(dim.min).key("max").integer(dim.max).key("hint").integer(dim.hint).close();
  json.close().key("inputs").open('[');
  for (const InputDesc &input : model.inputs) {
    json.open('{');
    writeType(json, input.name, input.type);
    json.key("optional").boolean(input.optional);
    if (input.hasRange)
      json.key("range").open('[').integer(input.low).integer(input.high).close();
    json.close();
  }
  json.close().key("outputs").open('[');
  for (const OutputDesc &output : model.outputs) {
    json.open('{');
    writeType(json, output.name, outputType(model, output));
    json.close();
  }
  int64_t elements = 0, bytes = parameterBytes(model, elements);
  json.close().key("parameters").open('{').key("tensors").integer(int64_t(model.tensors.size())).key("elements").integer(elements);
  json.key("bytes").integer(bytes).close().key("kept").open('[');
  for (const KeptInfo &kept : compiled.kept) {
    json.open('{');
    writeType(json, kept.name, kept.type);
    json.key("rounds").integer(kept.rounds).key("bytes").integer(kept.bytes.evaluate(sizes).value_or(-1)).close();
  }
  json.close().key("entries").open('[');
  for (const Cost &cost : costs) {
    json.open('{').key("name").string(cost.entry).key("dims").open('{');
    for (const auto &[name, size] : cost.sizes)
      json.key(name).integer(size);
    json.close().key("flops").number(cost.flops).key("arena_bytes").integer(cost.arena).key("peak").open('[');
    for (const auto &[node, size] : cost.peak)
      json.open('{').key("node").string(node).key("bytes").integer(size).close();
    json.close();
    if (const EntryDesc *entry = entryNamed(model, cost.entry); entry && entry->mode == EntryDesc::Mode::train) {
      TrainedMemory memory = trainedMemory(model);
      json.key("gradient_bytes").integer(memory.gradients).key("moment_bytes").integer(memory.moments);
    }
    json.close();
  }
  json.close().close();
  print(json.text() + "\n");
}

int check(const CheckOptions &options) {
  ModelDesc model;
  if (int code = readModelOrFail(options, model))
    return code;
  Sizes sizes;
  if (int code = parseSizes(options.dims, model, sizes))
    return code;
  CompileOptions compile;
  compile.checkOnly = true;
  compile.entries = entriesToCheck(model);
  CompiledModel compiled;
  if (int code = compileOrFail(options, model, compile, compiled))
    return code;
  std::vector<Cost> list = costs(model, compiled, sizes);
  for (const Cost &cost : list)
    if (std::string text = arenaBeyond(compiled, cost.entry, cost.sizes, limitsOf(options).arenaBytes); !text.empty())
      return fail(kLimit, text, "--limit arenaBytes=N raises it");
  if (options.json)
    printJson(model, compiled, sizes, list);
  else if (!options.quiet)
    printText(model, compiled, sizes, list);
  return kOk;
}

} // namespace

void addCheck(CLI::App &root, Action &action) {
  auto options = std::make_shared<CheckOptions>();
  CLI::App *command = root.add_subcommand("check", "check a model; print its inputs, outputs, parameters, FLOPs and peak memory");
  addCommonOptions(*command, *options);
  addRepeated(*command, "--dim", options->dims, "B=8,T=128: sizes to compute costs for (default: the hints)");
  command->footer("Examples:\n  weft check gpt2.json\n  weft check gpt2.json --dim B=1,T=1024 --set layers=2");
  command->callback([=, &action] { action = [=] { return check(*options); }; });
}

} // namespace weft
