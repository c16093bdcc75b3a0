// A node's model is built twice: once with the model's own types for the compiler, once widened for the reference.
// Values are moved by a tenth, keeping their sign: a weight of exactly one would hide that a rule forgot it.
#include "NodeCheck.h"

#include "RandomTensors.h"

#include "import/OpTable.h"
#include "import/Rounds.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace weft {

namespace {

constexpr const char *kEntry = "grad";

/// Where an operand's value comes from in a run of the whole model.
struct Source {
  bool isInput = false;
  std::string name; ///< of the input, or the path of the node in the first round of each repeat
};

std::string textOf(const AttrValue &value) {
  auto list = [](const auto &items, auto text) {
    std::string out = "[";
    for (const auto &item : items)
      out += text(item) + ",";
    return out + "]";
  };
  auto number = [](auto n) { return std::to_string(n); };
  auto size = [](const DimExpr &expr) { return expr.str(); };
  if (auto *reals = std::get_if<std::vector<double>>(&value))
    return list(*reals, number);
  if (auto *integers = std::get_if<std::vector<int64_t>>(&value))
    return list(*integers, number);
  if (auto *sizes = std::get_if<std::vector<DimExpr>>(&value))
    return list(*sizes, size);
  if (auto *expr = std::get_if<DimExpr>(&value))
    return size(*expr);
  if (auto *text = std::get_if<std::string>(&value))
    return *text;
  if (auto *real = std::get_if<double>(&value))
    return number(*real);
  if (auto *integer = std::get_if<int64_t>(&value))
    return number(*integer);
  return std::get<bool>(value) ? "true" : "false";
}

/// Builds the model of one node, with the sizes of this call in place of dims and repeat indices.
class NodeModel {
public:
  NodeModel(const ModelDesc &whole, const Graph &graph, const Node &node, const Sizes &sizes) : graph(graph), node(node) {
    for (const auto &[name, size] : sizes)
      names.emplace(name, DimExpr(size));
    model.file = whole.file;
    model.name = "node";
    model.precision = whole.precision;
    model.train.emplace();
    EntryDesc entry;
    entry.name = kEntry;
    entry.mode = EntryDesc::Mode::grad;
    entry.pos = node.pos;
    model.entries.push_back(entry);
    addNode(whole);
    addLoss();
  }

  ModelDesc model;

private:
  TensorType resolve(TensorType type) const {
    for (DimExpr &size : type.shape)
      size = size.substitute(names);
    return type;
  }

  ValueId addValue(const std::string &name, const TensorType &type) {
    model.graph.values.push_back({name, type, node.pos});
    return ValueId(model.graph.values.size() - 1);
  }

  ValueId addInput(const std::string &name, const TensorType &type) {
    InputDesc input;
    input.name = name;
    input.type = type;
    input.pos = node.pos;
    input.value = addValue(name, type);
    model.inputs.push_back(input);
    model.graph.inputs.push_back(input.value);
    return input.value;
  }

  void addNode(const ModelDesc &whole) {
    Node copy;
    copy.id = node.id;
    copy.op = node.op;
    copy.path = node.path;
    copy.pos = node.pos;
    copy.attrs = node.attrs;
    copy.attrs.erase("cache_state"); // of a state that the entry does not bind: there is no cache
    copy.attrs.erase("cache_layer");
    substituteSizes(copy.attrs, names);
    for (size_t i = 0; i < node.operands.size(); ++i) {
      const ValueId id = node.operands[i];
      copy.operands.push_back(id == kNoValue ? kNoValue : addInput("operand" + std::to_string(i + 1), resolve(graph.values[size_t(id)].type)));
    }
    for (const ParamUse &use : node.params) {
      const ParamTensor &tensor = whole.tensors[size_t(use.tensors.front())];
      int32_t number = 0;
      while (number < int32_t(model.tensors.size()) && model.tensors[size_t(number)].name != tensor.name)
        ++number;
      if (number == int32_t(model.tensors.size()))
        model.tensors.push_back(tensor);
      copy.params.push_back({use.role, tensor.name, {}, {number}});
    }
    for (ValueId result : node.results)
      copy.results.push_back(addValue(graph.values[size_t(result)].name, resolve(graph.values[size_t(result)].type)));
    model.train->nodes.push_back(std::move(copy));
  }

  ValueId apply(const char *op, std::vector<ValueId> operands, const TensorType &type, std::map<std::string, AttrValue> attrs = {}) {
    Node sum;
    sum.op = op;
    sum.id = sum.path = "loss" + std::to_string(model.train->nodes.size());
    sum.pos = node.pos;
    sum.operands = std::move(operands);
    sum.attrs = std::move(attrs);
    sum.results = {addValue(sum.id, type)};
    model.train->nodes.push_back(std::move(sum));
    return model.train->nodes.back().results.front();
  }

  void addLoss() {
    std::vector<ValueId> results = model.train->nodes.front().results;
    if (node.op == "attention" || node.op == "mha")
      results.resize(1); // the map that it may return has no gradient
    for (size_t i = 0; i < results.size(); ++i) {
      const TensorType type = model.graph.values[size_t(results[i])].type;
      if (!reference::isReal(type.dtype))
        continue;
      ValueId term = apply("mul", {results[i], addInput("factor" + std::to_string(i + 1), type)}, type);
      std::vector<int64_t> axes;
      for (size_t axis = 0; axis < type.shape.size(); ++axis)
        axes.push_back(int64_t(axis));
      if (!axes.empty())
        term = apply("sum", {term}, {type.dtype, {}}, {{"axis", axes}, {"keepdim", false}});
      ValueId &loss = model.train->loss;
      loss = loss == kNoValue ? term : apply("add", {loss, term}, {type.dtype, {}});
    }
  }

  const Graph &graph;
  const Node &node;
  std::map<std::string, DimExpr> names;
};

} // namespace

struct NodeCheck::Case {
  std::string path, op;
  Position pos;
  ModelDesc narrow, wide;
  std::vector<Source> operands;                            ///< of the narrow model's first inputs, which are the operands
  std::vector<std::pair<std::string, std::string>> wanted; ///< tensor, and how a message calls it

  /// With an empty reason if all was compared.
  Unchecked compare(const CommonOptions &options, const reference::RunOptions &given, const reference::RunResult &values, int directions,
                    NodeChecks &result);

private:
  bool tensorsAt(uint64_t seed, const reference::RunOptions &given, const reference::RunResult &values, reference::RunOptions &at) const;
  std::string compile(const CommonOptions &options, const std::vector<std::string> &gradients, CompiledModel &compiled);
  std::string call(const CommonOptions &options, const reference::RunOptions &at, CompiledModel compiled, std::vector<HostTensor> &outputs);
};

class NodeCheck::Collector {
public:
  Collector(const ModelDesc &model, const EntryDesc &entry, NodeCheck &out) : model(model), entry(entry), out(out) {}

  void collect(const Graph &graph, const std::vector<Node> &nodes, std::vector<Source> &sources, const std::string &outer,
               const std::string &prefix, const Sizes &sizes) {
    for (const Node &node : nodes) {
      std::string path = prefix + (node.path.compare(0, outer.size(), outer) == 0 ? node.path.substr(outer.size()) : node.path);
      for (size_t i = 0; i < node.results.size(); ++i)
        sources[size_t(node.results[i])] = {false, i ? path + "#" + std::to_string(i) : path};
      if (!node.body) {
        add(graph, node, sources, sizes);
        continue;
      }
      std::vector<Source> inner(node.body->values.size());
      for (size_t i = 0; i < node.operands.size(); ++i)
        if (node.operands[i] != kNoValue)
          inner[size_t(node.body->inputs[i])] = sources[size_t(node.operands[i])];
      Sizes first = sizes;
      first[node.index] = 0;
      if (node.count > 0)
        collect(*node.body, node.body->nodes, inner, node.path + ".", path + "[0].", first);
    }
  }

private:
  void add(const Graph &graph, const Node &node, const std::vector<Source> &sources, const Sizes &sizes) {
    NodeModel narrow(model, graph, node, sizes);
    auto made = std::make_unique<Case>();
    std::string key = node.op;
    for (const auto &[name, value] : narrow.model.train->nodes.front().attrs)
      key += "|" + name + "=" + textOf(value);
    for (const ValueDesc &value : narrow.model.graph.values)
      key += "|" + typeText(value.type);
    for (const ParamUse &use : node.params)
      key += "|" + use.role;
    for (const ParamTensor &tensor : narrow.model.tensors)
      key += "|" + typeText({tensor.dtype, {tensor.shape.begin(), tensor.shape.end()}});
    const OpInfo *info = findOp(node.op);
    for (size_t i = 0; i < node.operands.size(); ++i) {
      key += node.operands[i] == kNoValue ? "-" : "+";
      if (node.operands[i] == kNoValue)
        continue;
      made->operands.push_back(sources[size_t(node.operands[i])]);
      if (!reference::isReal(graph.values[size_t(node.operands[i])].type.dtype))
        continue;
      std::string number = std::to_string(i + 1), of = "operand " + number;
      if (info && !info->variadic && i < info->operands.size())
        of += " (" + quote(info->operands[i].name) + ")";
      made->wanted.emplace_back("operand" + number, of);
    }
    for (size_t i = 0; i < narrow.model.tensors.size(); ++i) {
      const std::string &role = node.params[std::min(i, node.params.size() - 1)].role;
      made->wanted.emplace_back(narrow.model.tensors[i].name, "parameter " + quote(role.empty() ? narrow.model.tensors[i].name : role));
    }
    if (narrow.model.train->loss == kNoValue || made->wanted.empty() || !known.insert(key).second)
      return; // nothing to differentiate, or done already
    if ((!entry.states.empty() && node.attrs.count("cache_state")) || node.attrs.count("offset_state"))
      return out.unchecked.push_back({node.path, "it reads a state"});
    made->path = node.path;
    made->op = node.op;
    made->pos = node.pos;
    narrow.model.entries.front().dropout = entry.dropout;
    made->narrow = std::move(narrow.model);
    made->wide = std::move(NodeModel(model, graph, node, sizes).model);
    widen(made->wide);
    out.cases.push_back(std::move(made));
  }

  const ModelDesc &model;
  const EntryDesc &entry;
  NodeCheck &out;
  std::set<std::string> known;
};

NodeCheck::NodeCheck(const ModelDesc &model, const EntryDesc &entry, const Sizes &sizes) {
  std::vector<Source> sources(model.graph.values.size());
  for (const std::vector<InputDesc> *inputs : {&model.inputs, &model.train->inputs})
    for (const InputDesc &input : *inputs)
      sources[size_t(input.value)] = {true, input.name};
  Collector collector(model, entry, *this);
  collector.collect(model.graph, model.graph.nodes, sources, "", "", sizes);
  collector.collect(model.graph, model.train->nodes, sources, "", "", sizes);
}

NodeCheck::~NodeCheck() = default;

/// The tensors of a call of the node's model, as values of the model's own types; false if the whole model did not compute it.
bool NodeCheck::Case::tensorsAt(uint64_t seed, const reference::RunOptions &given, const reference::RunResult &values,
                                reference::RunOptions &at) const {
  auto moved = [&](const std::string &name, DType dtype, reference::Tensor tensor) {
    reference::Random random(seed, path + " " + name);
    double square = 0;
    for (double value : tensor.reals)
      square += std::isfinite(value) ? value * value : 0;
    const double typical = tensor.reals.empty() || square == 0 ? 1 : std::sqrt(square / double(tensor.reals.size()));
    for (double &value : tensor.reals) {
      double part = 0.1 * random.uniform();
      value = reference::roundTo(dtype, value == 0 ? part * typical : value * (1 + part));
    }
    tensor.dtype = dtype;
    return tensor;
  };
  at = {};
  at.entry = kEntry;
  at.dropout = given.dropout;
  for (size_t i = 0; i < operands.size(); ++i) {
    const InputDesc &input = narrow.inputs[i];
    const Source &source = operands[i];
    auto found = given.inputs.find(source.name);
    auto computed = values.values.find(source.name);
    if (source.isInput ? found == given.inputs.end() : computed == values.values.end())
      return false;
    at.inputs[input.name] = moved(input.name, input.type.dtype, source.isInput ? found->second : *computed->second);
  }
  for (size_t i = operands.size(); i < narrow.inputs.size(); ++i) {
    const InputDesc &factor = narrow.inputs[i];
    std::vector<int64_t> shape;
    for (const DimExpr &size : factor.type.shape)
      shape.push_back(*size.constant());
    at.inputs[factor.name] = reference::randomTensor(seed, factor.name, factor.type.dtype, shape);
  }
  for (const ParamTensor &tensor : narrow.tensors)
    at.parameters[tensor.name] = moved(tensor.name, tensor.dtype, given.parameters.at(tensor.name));
  return true;
}

/// Empty, or what the compiler says.
std::string NodeCheck::Case::compile(const CommonOptions &options, const std::vector<std::string> &gradients, CompiledModel &compiled) {
  narrow.entries.front().gradients = gradients;
  CompileOptions compile;
  compile.entries = {kEntry};
  compile.cpus = splitList(options.cpu);
  Diagnostics diagnostics;
  diagnostics.setFile(narrow.file);
  if (compileModel(narrow, compile, compiled, diagnostics) == CompileResult::ok)
    return {};
  std::vector<Diagnostic> said = diagnostics.sorted();
  std::string text = said.empty() ? "it can't be compiled alone" : said.front().text;
  const std::string itself = "node " + quote(path) + ": ";
  return text.compare(0, itself.size(), itself) == 0 ? text.substr(itself.size()) : text;
}

/// Empty, or what the runtime says.
std::string NodeCheck::Case::call(const CommonOptions &options, const reference::RunOptions &at, CompiledModel compiled,
                                  std::vector<HostTensor> &outputs) {
  Runner runner;
  runner.compiled = std::move(compiled);
  WeightsChoice weights;
  weights.initSeed = options.seed;
  CommonOptions quiet = options;
  quiet.quiet = true;
  if (runner.open(quiet, weights) != kOk)
    return "its model can't be opened";
  for (const auto &[name, tensor] : at.parameters) {
    std::vector<char> bytes = reference::toBytes(tensor);
    if (weft_model_set(runner.handle, name.c_str(), bytes.data(), bytes.size()) != WEFT_OK)
      return weft_model_error(runner.handle);
  }
  std::vector<HostTensor> given, inputs;
  int32_t entry = runner.entryIndex(kEntry);
  std::vector<int64_t> dims = runner.dimList({});
  for (int32_t i = 0; i < runner.desc()->entry[entry].inputs; ++i) {
    const char *name = runner.desc()->input[runner.desc()->entry[entry].input_index[i]].name;
    const reference::Tensor &tensor = at.inputs.at(name);
    given.push_back({name, int32_t(tensor.dtype), tensor.shape, reference::toBytes(tensor)});
  }
  if (bindInputs(runner.desc(), entry, given, inputs) != kOk || runner.start(quiet, dims) != kOk)
    return "its model can't be started";
  outputs = makeOutputs(runner.desc(), entry, dims);
  return runner.call(entry, dims, inputs, outputs) == WEFT_OK ? "" : weft_session_error(runner.session);
}

Unchecked NodeCheck::Case::compare(const CommonOptions &options, const reference::RunOptions &given, const reference::RunResult &values,
                                   int directions, NodeChecks &result) {
  reference::RunOptions at;
  if (!tensorsAt(options.seed, given, values, at))
    return {path, ""}; // the loss does not depend on it
  // Some operands have no gradient by the op's definition (class weights): each is tried alone then.
  std::vector<std::string> names;
  for (const auto &[name, of] : wanted)
    names.push_back(name);
  CompiledModel compiled;
  std::string reason = compile(options, names, compiled);
  if (!reason.empty()) {
    std::vector<std::string> possible;
    for (const std::string &name : names)
      if (CompiledModel alone; compile(options, {name}, alone).empty())
        possible.push_back(name);
    if (possible.empty() || !compile(options, possible, compiled).empty())
      return {path, reason};
  }
  std::vector<HostTensor> outputs;
  if (std::string text = call(options, at, compiled, outputs); !text.empty())
    return {path, text};
  std::vector<std::pair<std::string, const HostTensor *>> gradients;
  for (const HostTensor &output : outputs)
    if (output.name != "loss")
      gradients.emplace_back(output.name.substr(5), &output); // after "grad."
  std::vector<SlopeCheck> checks;
  if (std::string text; !Slopes(wide, at, narrow.precision.compute, options.seed).check(gradients, directions, checks, text))
    return {path, text};
  for (const SlopeCheck &check : checks)
    for (const auto &[name, of] : wanted)
      if (check.wrong() && name == check.name)
        result.wrong.push_back({path, op, pos, of, check});
  const auto kinked = std::count_if(checks.begin(), checks.end(), [](const SlopeCheck &check) { return check.isKinked(); });
  if (kinked > 0)
    reason = "every direction crosses a kink";
  const bool compared = kinked < std::ptrdiff_t(checks.size());
  result.rules += compared;
  return {path, reason, compared};
}

void NodeCheck::run(const CommonOptions &options, const reference::RunOptions &given, const reference::RunResult &values, int directions,
                    NodeChecks &result) {
  result.unchecked = unchecked;
  for (const std::unique_ptr<Case> &one : cases)
    if (Unchecked left = one->compare(options, given, values, directions, result); !left.reason.empty())
      result.unchecked.push_back(left);
}

} // namespace weft
