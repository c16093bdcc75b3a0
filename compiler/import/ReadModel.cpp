// The top level of a model file, section by section, and the order in which sections are read.
// Config, dims, precision, inputs and states come first because everything else refers to them.
#include "import/ReadModel.h"

#include "import/ModelReader.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace weft {

/// The smallest and the largest number of an integer type.
static std::pair<int64_t, int64_t> numbersOf(DType dtype) {
  switch (dtype) {
  case DType::i8: return {INT8_MIN, INT8_MAX};
  case DType::u8: return {0, UINT8_MAX};
  case DType::i32: return {INT32_MIN, INT32_MAX};
  default: return {INT64_MIN, INT64_MAX};
  }
}

std::optional<ModelDesc> readModel(SourceText source, const ReadOptions &options, Diagnostics &diagnostics) {
  auto text = std::make_shared<const SourceText>(std::move(source));
  diagnostics.setFile(text->file);
  diagnostics.setSource(text);
  auto document = readJson(*text, options.limits, diagnostics);
  if (!document)
    return std::nullopt;
  const JsonValue &root = *document->root();
  if (!root.isObject()) {
    diagnostics.error(root.position(), "expected an object but got " + root.describe());
    return std::nullopt;
  }
  ModelReader reader(root, options, diagnostics);
  ModelDesc model = reader.read();
  if (diagnostics.hasErrors())
    return std::nullopt;
  model.file = text->file;
  return model;
}

std::optional<ModelDesc> readModelFile(const std::string &path, const ReadOptions &options, Diagnostics &diagnostics) {
  auto source = readTextFile(path, options.limits, diagnostics);
  if (!source)
    return std::nullopt;
  return readModel(std::move(*source), options, diagnostics);
}

ModelDesc ModelReader::read() {
  readHead();
  readConfig();
  readDims();
  readPrecision();
  readInputs(root.find("inputs"), model.inputs, top, "input");
  readStates();
  readBlocks();
  top.isTrain = false;
  if (const JsonValue *graph = root.find("graph")) {
    if (graph->isArray() && graph->items.empty())
      error(*graph, "the graph has no nodes");
    readNodes(*graph, top, model.graph.nodes);
  }
  readOutputs();
  readTrain();
  checkUnusedInputs(model.inputs);
  if (model.train)
    checkUnusedInputs(model.train->inputs);
  checkUnusedBlocks();
  orderNodesAndParameters();
  readInit();
  readWeights();
  readEntries();
  if (!diagnostics.hasErrors())
    checkTraining();
  if (!diagnostics.hasErrors())
    warnDeadNodes();
  model.config = config.values();
  return std::move(model);
}

void ModelReader::readHead() {
  checkKeys(root,
            {"$schema", "format", "name", "config", "dims", "precision", "inputs", "state", "blocks", "graph",
             "outputs", "init", "weights", "train", "entries"},
            "the model");
  for (const char *key : {"inputs", "graph", "outputs"}) {
    const JsonValue *section = require(root, key, "the model");
    bool isList = std::string_view(key) == "graph";
    if (section ? isList ? !section->isArray() || section->items.empty() : !section->isObject() : true)
      top.lost = lostUses = true;
  }
  if (const JsonValue *format = require(root, "format", "the model")) {
    if (format->isNumber())
      error(*format, "expected text but got " + format->text, "write it in quotes: \"1.0\"");
    else if (std::string version; readText(*format, version) && version != "1.0")
      error(*format, "format " + quote(version) + " is not supported", "this compiler reads format '1.0'");
  }
  if (const JsonValue *name = require(root, "name", "the model");
      name && readText(*name, model.name) && !isName(model.name))
    error(*name, "model name " + quote(model.name) + " is not a name",
          "letters, digits and _; it becomes the prefix of the C functions");
  if (model.name == "weft" || model.name.compare(0, 5, "weft_") == 0)
    error(*root.find("name"), "model name " + quote(model.name) + " is the prefix of the runtime's own functions",
          "any name that does not begin with 'weft_'");
  if (model.name.size() > limits.nameBytes)
    limitError(*root.find("name"), "model name of " + std::to_string(model.name.size()) + " bytes", "nameBytes");
  if (const JsonValue *schema = root.find("$schema")) {
    std::string text;
    readText(*schema, text);
  }
  if (const JsonValue *doc = root.find("doc"); doc && doc->isString())
    model.doc = doc->text;
}

void ModelReader::readConfig() {
  const JsonValue *json = root.find("config");
  if (json && !json->isObject())
    error(*json, "config: expected an object but got " + json->describe());
  if (isLost("config"))
    config.setLost();
  for (const JsonMember &member : membersOf(json)) {
    if (member.key == "doc" || member.key.compare(0, 2, "x-") == 0)
      continue;
    checkDeclaredName(member, "config value");
    config.add(member);
  }
  for (const auto &[key, value] : options.sets)
    config.replace(key, value);
  config.evaluateAll();
}

void ModelReader::readDims() {
  const JsonValue *json = root.find("dims");
  if (json && !json->isObject())
    error(*json, "dims: expected an object but got " + json->describe());
  for (const JsonMember &member : membersOf(json)) {
    if (member.key == "doc" || member.key.compare(0, 2, "x-") == 0)
      continue;
    const std::string what = "dim " + quote(member.key);
    DimDesc dim;
    dim.name = member.key;
    dim.pos = member.position();
    bool good = checkDeclaredName(member, "dim");
    if (config.has(member.key))
      keyError(member, quote(member.key) + " is also a config value");
    const JsonValue &value = *member.value;
    if (checkKeys(value, {"min", "max", "hint", "multiple_of", "specialize"}, what)) {
      const JsonValue *min = value.find("min"), *max = require(value, "max", what), *hint = value.find("hint"),
                      *multiple = value.find("multiple_of");
      good = (!min || readWhole(*min, config, dim.min)) && good;
      good = max && readWhole(*max, config, dim.max) && good;
      good = (!multiple || readWhole(*multiple, config, dim.multipleOf)) && good;
      if (good && dim.min < 0)
        good = error(*min, "min: expected 0 or more but got " + std::to_string(dim.min));
      if (good && (dim.max < dim.min || dim.max < 1))
        good = error(*max,
                     "max " + std::to_string(dim.max) + " is below " + std::to_string(std::max<int64_t>(dim.min, 1)));
      if (good && dim.multipleOf < 1)
        good = error(*multiple, "multiple_of: expected 1 or more but got " + std::to_string(dim.multipleOf));
      if (good && dim.max / dim.multipleOf * dim.multipleOf < dim.min)
        good = error(*multiple, "no multiple of " + std::to_string(dim.multipleOf) + " lies in " +
                                    std::to_string(dim.min) + ".." + std::to_string(dim.max));
      dim.hint = dim.max;
      if (hint && readWhole(*hint, config, dim.hint) && good && (dim.hint < dim.min || dim.hint > dim.max)) {
        diagnostics.warning(hint->position(), "hint " + std::to_string(dim.hint) + " is outside " +
                                                  std::to_string(dim.min) + ".." + std::to_string(dim.max));
        dim.hint = std::clamp(dim.hint, dim.min, dim.max);
      }
      const JsonValue *specialize = value.find("specialize");
      if (specialize && !specialize->isArray())
        error(*specialize, "specialize: expected a list but got " + specialize->describe());
      for (const JsonValue *item : itemsOf(specialize)) {
        int64_t size = 0;
        if (!readWhole(*item, config, size) || !good)
          continue;
        if (size < dim.min || size > dim.max || size % dim.multipleOf)
          diagnostics.warning(item->position(), "specialize " + std::to_string(size) + " is no size of " + what);
        else
          dim.specialize.push_back(size);
      }
    }
    if (!good)
      dim.min = dim.max = dim.hint = dim.multipleOf = 1;
    ranges[dim.name] = {dim.min, dim.max, dim.multipleOf};
    hints[dim.name] = dim.hint;
    model.dims.push_back(std::move(dim));
  }
}

void ModelReader::readPrecision() {
  const JsonValue *json = root.find("precision");
  if (!json || !checkKeys(*json, {"params", "compute", "accumulate", "keep_f32"}, "precision"))
    return;
  Precision &precision = model.precision;
  for (auto [key, dtype] : {std::pair("params", &precision.params), std::pair("compute", &precision.compute),
                            std::pair("accumulate", &precision.accumulate)})
    if (const JsonValue *value = json->find(key))
      readDtype(*value, *dtype, true);
  const JsonValue *keep = json->find("keep_f32");
  if (!keep || !readTexts(*keep, precision.keepF32))
    return;
  std::vector<std::string> known = opNames();
  known.push_back("loss");
  for (size_t i = 0; i < precision.keepF32.size(); ++i)
    if (std::find(known.begin(), known.end(), precision.keepF32[i]) == known.end())
      error(keep->isArray() ? *keep->items[i] : *keep, "keep_f32: no op " + quote(precision.keepF32[i]),
            didYouMean(precision.keepF32[i], known));
}

/// `optional` is the value that fills the input, but reads as if it were a yes or no.
static void readOptional(ModelReader &reader, const JsonValue &json, InputDesc &input) {
  Number number;
  input.optional = reader.readNumber(json, reader.config, number);
  input.fill = number.asReal();
  if (!input.optional || !isKnown(input.type))
    return;
  const bool isTruth = number.kind == Number::Kind::boolean;
  if (isTruth && input.type.dtype != DType::boolean) {
    reader.error(json, "optional: expected a number but got " + number.str(),
                 number.integer ? R"(it is the value that fills the input, as in "optional": 0)" : "leave the key out for an input that must be given");
    return;
  }
  if (json.kind == JsonValue::Kind::boolean && !json.truth)
    reader.diagnostics.warning(json.position(), "optional: the input may be left out and is then false", "leave the key out if it must be given");
  if (!isValueOf(input.type.dtype, input.fill))
    reader.error(json, "optional: " + notValueText(input.type.dtype, input.fill));
  if (input.hasRange && (input.fill < static_cast<double>(input.low) || input.fill > static_cast<double>(input.high)))
    reader.error(json, "optional: " + number.str() + " is outside the input's range");
}

void ModelReader::readInputs(const JsonValue *inputs, std::vector<InputDesc> &list, Frame &frame, const char *what) {
  if (!inputs)
    return;
  if (!inputs->isObject()) {
    error(*inputs, "inputs: expected an object but got " + inputs->describe());
    return;
  }
  for (const JsonMember &member : inputs->members) {
    if (member.key == "doc" || member.key.compare(0, 2, "x-") == 0)
      continue;
    const std::string named = std::string(what) + " " + quote(member.key);
    const JsonValue &value = *member.value;
    InputDesc input;
    input.name = member.key;
    input.pos = member.position();
    input.type = unknownType();
    bool isNamed = checkDeclaredName(member, what);
    bool good = checkKeys(value, {"dtype", "shape", "optional", "range"}, named);
    if (good) {
      const JsonValue *dtype = require(value, "dtype", named), *shape = require(value, "shape", named);
      TensorType type;
      good = dtype && readDtype(*dtype, type.dtype);
      if (shape && !shape->isArray())
        good = error(*shape, "shape: expected a list but got " + shape->describe());
      for (const JsonValue *item : itemsOf(shape)) {
        DimExpr size;
        bool readable = readSize(*item, frame, size);
        auto low = readable ? lowestValue(size, ranges) : std::nullopt;
        if (!low)
          good = readable && error(*item, "size " + quote(size.str()) + " does not fit 64 bits at the largest dims",
                                   "lower the max of its dims");
        else if (size.constant() ? *low < 1 : *low < 0)
          good = error(*item, "expected a size of at least 1 but got " + size.str(),
                       size.constant() == -1 ? "a size known at run time is a name from 'dims'" : "");
        type.shape.push_back(size);
      }
      if (good && shape) {
        if (checkSizes(*shape, type))
          input.type = type;
      }
    }
    if (good) {
      if (const JsonValue *range = value.find("range")) {
        if (isFloat(input.type.dtype) || input.type.dtype == DType::boolean)
          error(*range, "range: expected an integer input but got dtype " + std::string(dtypeName(input.type.dtype)));
        else if (!range->isArray() || range->items.size() != 2)
          error(*range, "range: expected [lowest, highest] but got " + range->describe());
        else if (readWhole(*range->items[0], config, input.low) && readWhole(*range->items[1], config, input.high)) {
          input.hasRange = true;
          if (input.low > input.high)
            error(*range,
                  "range: lowest " + std::to_string(input.low) + " is above highest " + std::to_string(input.high));
          else if (auto [least, most] = numbersOf(input.type.dtype); input.low < least || input.high > most)
            error(*range, "range: expected numbers of dtype " + std::string(dtypeName(input.type.dtype)) + ", " +
                              std::to_string(least) + ".." + std::to_string(most));
        }
      }
      if (const JsonValue *optional = value.find("optional"))
        readOptional(*this, *optional, input);
    }
    input.value = defineValue(frame, input.name, input.type, input.pos);
    if (!isNamed)
      usedValues.insert(input.value);
    auto [found, added] = frame.defined.emplace(input.name, input.pos);
    if (!added) {
      keyError(member, quote(input.name) + " is defined twice, first at " + std::to_string(found->second.line) + ":" +
                           std::to_string(found->second.column));
      usedValues.insert(input.value); // its uses are taken for uses of the first
    } else
      frame.values[input.name] = input.value;
    if (frame.graph == &model.graph && &list == &model.inputs)
      model.graph.inputs.push_back(input.value);
    list.push_back(std::move(input));
  }
}

void ModelReader::readStates() {
  const JsonValue *json = root.find("state");
  if (json && !json->isObject())
    error(*json, "state: expected an object but got " + json->describe());
  for (const JsonMember &member : membersOf(json)) {
    if (member.key == "doc" || member.key.compare(0, 2, "x-") == 0)
      continue;
    const std::string what = "state " + quote(member.key);
    StateDesc state;
    state.name = member.key;
    state.pos = member.position();
    bool good = checkDeclaredName(member, "state");
    const JsonValue &value = *member.value;
    if (!checkKeys(value, {"kind", "layers", "kv_heads", "head_dim", "capacity", "dtype"}, what))
      continue;
    std::string kind;
    const JsonValue *kindJson = require(value, "kind", what);
    good = kindJson && readWord(*kindJson, {"kv_cache"}, kind) && good;
    for (auto [key, number] : {std::pair("layers", &state.layers), std::pair("kv_heads", &state.kvHeads),
                               std::pair("head_dim", &state.headDim), std::pair("capacity", &state.capacity)}) {
      const JsonValue *given = require(value, key, what);
      bool read = given && readWhole(*given, config, *number);
      if (read && *number < 1)
        read = error(*given, std::string(key) + ": expected at least 1 but got " + std::to_string(*number));
      good &= read;
    }
    if (const JsonValue *dtype = value.find("dtype"))
      good &= readDtype(*dtype, state.dtype, true);
    if (good && model.states.size() == Limits::states)
      error(value, "more than " + std::to_string(Limits::states) + " states", {}, Failure::limit);
    else if (good && std::any_of(model.dims.begin(), model.dims.end(), [&](const DimDesc &dim) { return dim.name == state.name; }))
      keyError(member, what + ": a dim has this name");
    else if (good)
      model.states.push_back(std::move(state));
  }
}

void ModelReader::readOutputs() {
  const JsonValue *json = root.find("outputs");
  if (!json)
    return;
  if (!json->isObject()) {
    error(*json, "outputs: expected an object but got " + json->describe(), R"(as in {"logits": "logits"}: name, value)");
    return;
  }
  if (json->members.empty())
    error(*json, "the model has no outputs");
  top.list = nullptr;
  for (const JsonMember &member : json->members) {
    if (member.key == "doc" || member.key.compare(0, 2, "x-") == 0)
      continue;
    checkDeclaredName(member, "output");
    OutputDesc output;
    output.name = member.key;
    output.pos = member.position();
    output.value = lookUp(*member.value, top);
    model.outputs.push_back(std::move(output));
  }
}

void ModelReader::checkUnusedInputs(const std::vector<InputDesc> &inputs) {
  for (const InputDesc &input : inputs)
    if (!usedValues.count(input.value) && !nodeLimit && !lostUses)
      diagnostics.error(input.pos, "nothing uses input " + quote(input.name), "remove it, or use it in a node");
}

void ModelReader::warnDeadNodes() {
  std::unordered_set<ValueId> needed;
  for (const OutputDesc &output : model.outputs)
    needed.insert(output.value);
  std::function<void(const std::vector<Node> &, std::unordered_set<ValueId> &)> walkNodes =
      [&](const std::vector<Node> &nodes, std::unordered_set<ValueId> &wanted) {
        for (auto node = nodes.rbegin(); node != nodes.rend(); ++node) {
          bool alive =
              std::any_of(node->results.begin(), node->results.end(), [&](ValueId id) { return wanted.count(id) != 0; });
          if (alive)
            wanted.insert(node->operands.begin(), node->operands.end());
          else
            diagnostics.warning(node->pos, "no output depends on node " + quote(node->path));
          if (alive && node->body) {
            std::unordered_set<ValueId> inside(node->body->outputs.begin(), node->body->outputs.end());
            walkNodes(node->body->nodes, inside);
          }
        }
      };
  auto walk = [&](const std::vector<Node> &nodes) { walkNodes(nodes, needed); };
  if (model.train) {
    needed.insert(model.train->loss);
    walk(model.train->nodes);
  }
  walk(model.graph.nodes);
  for (const StateDesc &state : model.states)
    if (!usedStates.count(state.name))
      diagnostics.warning(state.pos, "no attention and no position uses state " + quote(state.name));
}

} // namespace weft
