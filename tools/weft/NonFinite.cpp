// From the loss backwards, each time to an operand that is not finite, until none is: errors need not come from the first
// such value in order of execution, as a value that a mask leaves out may be infinite without harm. Infinities that an
// attribute puts there (the -inf of a mask) are no errors until a NaN comes of them.
#include "NonFinite.h"

#include "import/EntryInputs.h"
#include "import/Rounds.h"
#include "Probe.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace weft {

namespace {

constexpr int64_t kCompiling = 256 << 20; ///< of memory, in which all but very large models are compiled

enum class State : uint8_t { finite, intended, bad };

/// What is known of the values of one graph: the model's own, or those of a repeat's body in one round.
struct Level {
  std::map<ValueId, State> states;
  std::map<ValueId, std::string> elements; ///< of bad ones: "[0, 5] is inf"
  std::map<ValueId, const Node *> producers;
};

/// A repeat that is being looked into.
struct Round {
  std::string index;
  int64_t round, count;
};

bool isReal(int32_t dtype) { return dtype == WEFT_F32 || dtype == WEFT_F16 || dtype == WEFT_BF16 || dtype == WEFT_F64; }

/// `mayBeInfinite`: infinities are meant.
State stateOf(const HostTensor &tensor, bool mayBeInfinite, std::string &element) {
  int64_t infinite = -1;
  for (int64_t i = 0, count = isReal(tensor.dtype) ? tensor.elements() : 0; i < count; ++i) {
    const double value = tensor.at(i);
    if (std::isnan(value)) {
      element = elementText(tensor, infinite >= 0 && !mayBeInfinite ? infinite : i);
      return State::bad;
    }
    if (infinite < 0 && std::isinf(value))
      infinite = i;
  }
  if (infinite < 0)
    return State::finite;
  element = elementText(tensor, infinite);
  return mayBeInfinite ? State::intended : State::bad;
}

bool hasInfiniteAttribute(const Node &node) {
  for (const auto &[name, value] : node.attrs) {
    if (auto *real = std::get_if<double>(&value); real && std::isinf(*real))
      return true;
    if (auto *reals = std::get_if<std::vector<double>>(&value); reals && std::any_of(reals->begin(), reals->end(), [](double v) { return std::isinf(v); }))
      return true;
  }
  return false;
}

/// The parameter tensors that a node uses in these rounds.
std::vector<int32_t> tensorsIn(const Node &node, const std::vector<Round> &rounds) {
  std::vector<int32_t> tensors;
  for (const ParamUse &use : node.params) {
    int64_t at = 0;
    for (const Round &each : rounds)
      if (std::find(use.indices.begin(), use.indices.end(), each.index) != use.indices.end())
        at = at * each.count + each.round;
    if (at < int64_t(use.tensors.size()))
      tensors.push_back(use.tensors[size_t(at)]);
  }
  return tensors;
}

class Search {
public:
  Search(const CommonOptions &common, const NonFiniteCall &call) : options(quietly(common)), call(call) {}

  int run(std::string &text) {
    if (int code = readModelOrFail(options, model))
      return code;
    std::vector<const Node *> all;
    for (const Node &node : model.graph.nodes)
      all.push_back(&node);
    for (const Node &node : model.train->nodes)
      all.push_back(&node);
    std::set<ValueId> used;
    const std::vector<const Node *> nodes = neededNodes(all, {model.train->loss}, used);
    Level top;
    for (const std::vector<InputDesc> *inputs : {&model.inputs, &model.train->inputs})
      for (const InputDesc &input : *inputs)
        for (const HostTensor &given : call.inputs)
          if (given.name == input.name && !given.bytes.empty())
            top.states[input.value] = stateOf(given, /*mayBeInfinite=*/true, top.elements[input.value]);
    if (int code = compute(nodes, "", "", top))
      return code;
    if (top.states[model.train->loss] == State::bad)
      return follow(top, model.train->loss, "", "", {}, text);
    for (const Node *node : nodes)
      for (ValueId result : node->results)
        if (top.states[result] == State::bad)
          return follow(top, result, "", "", {}, text);
    return kOk;
  }

private:
  /// The values of these nodes of one graph, by a model compiled for them.
  int compute(const std::vector<const Node *> &nodes, const std::string &outer, const std::string &prefix, Level &level) {
    Runner runner;
    if (int code = runner.read(options))
      return code;
    ModelDesc &probed = runner.model;
    std::vector<std::string> paths, others;
    std::vector<std::pair<const Node *, ValueId>> order;
    for (const Node *node : nodes) {
      const bool isLoss = std::any_of(model.train->nodes.begin(), model.train->nodes.end(), [&](const Node &n) { return &n == node; });
      if (!isLoss)
        paths.push_back(prefix + pathWithin(node->path, outer));
      for (ValueId result : node->results) {
        level.producers[result] = node;
        order.emplace_back(node, result);
        if (isLoss) {
          others.push_back("probe#" + std::to_string(others.size()));
          probed.outputs.push_back({others.back(), result, node->pos});
        }
      }
    }
    addEntry(probed, call.entry);
    ProbeFailure failure;
    std::vector<ProbedValue> probes;
    const std::string name = addProbes(probed, call.entry, paths, probes, failure, /*maps=*/false);
    if (name.empty())
      return fail(kInternal, failure.text, failure.hint);
    EntryDesc &entry = probed.entries.back();
    entry.mode = EntryDesc::Mode::grad; // computes as training does, but for dropout
    entry.gradients = {""};             // none
    entry.outputs.insert(entry.outputs.end(), others.begin(), others.end());
    std::vector<HostTensor> values;
    if (int code = callAgain(runner, options, name, call, values))
      return code;
    for (size_t i = 0; i < order.size(); ++i) { // after the loss
      const auto [node, result] = order[i];
      bool mayBeInfinite = hasInfiniteAttribute(*node);
      for (ValueId operand : node->operands)
        mayBeInfinite |= operand != kNoValue && level.states[operand] == State::intended;
      level.states[result] = stateOf(values[i + 1], mayBeInfinite, level.elements[result]);
    }
    return kOk;
  }

  int follow(Level &level, ValueId value, const std::string &outer, const std::string &prefix, std::vector<Round> rounds, std::string &text) {
    for (;;) {
      auto made = level.producers.find(value);
      if (made == level.producers.end())
        return sayInput(value, level.elements[value], text);
      const Node &node = *made->second;
      auto bad = std::find_if(node.operands.begin(), node.operands.end(), [&](ValueId operand) { return operand != kNoValue && level.states[operand] == State::bad; });
      if (bad != node.operands.end()) {
        value = *bad;
        continue;
      }
      if (node.body)
        if (int code = lookInto(level, node, prefix + pathWithin(node.path, outer), rounds, text); code || !text.empty())
          return code;
      return sayNode(node, prefix + pathWithin(node.path, outer), rounds, level.elements[value], text);
    }
  }

  /// The first round of a repeat that makes something bad of what was not, by a binary search.
  int lookInto(Level &level, const Node &repeat, const std::string &path, std::vector<Round> rounds, std::string &text) {
    std::map<int64_t, std::pair<Level, ValueId>> known;
    auto look = [&](int64_t round, bool &isBad) {
      auto &[inner, found] = known[round];
      for (size_t i = 0; i < repeat.operands.size(); ++i)
        if (repeat.operands[i] != kNoValue && level.states[repeat.operands[i]] == State::intended)
          inner.states[repeat.body->inputs[i]] = State::intended;
      std::vector<const Node *> nodes;
      for (const Node &node : repeat.body->nodes)
        nodes.push_back(&node);
      if (int code = compute(nodes, repeat.path + ".", path + "[" + std::to_string(round) + "].", inner))
        return code;
      found = kNoValue;
      for (ValueId output : repeat.body->outputs)
        if (found == kNoValue && inner.states[output] == State::bad)
          found = output;
      isBad = found != kNoValue;
      return int(kOk);
    };
    int64_t low = 0, high = repeat.count - 1;
    while (low < high) {
      const int64_t middle = (low + high) / 2;
      bool isBad = false;
      if (int code = look(middle, isBad))
        return code;
      if (isBad)
        high = middle;
      else
        low = middle + 1;
    }
    bool isBad = false;
    if (!known.count(high))
      if (int code = look(high, isBad))
        return code;
    auto &[inner, found] = known[high];
    if (found == kNoValue)
      return kOk; // as separate values all are finite
    rounds.push_back({repeat.index, high, repeat.count});
    return follow(inner, found, repeat.path + ".", path + "[" + std::to_string(high) + "].", rounds, text);
  }

  int sayInput(ValueId value, const std::string &element, std::string &text) const {
    for (const std::vector<InputDesc> *inputs : {&model.inputs, &model.train->inputs})
      for (const InputDesc &input : *inputs)
        if (input.value == value)
          text = "; input " + quote(input.name) + " is not finite: " + element;
    return kOk;
  }

  int sayNode(const Node &node, const std::string &path, const std::vector<Round> &rounds, const std::string &element, std::string &text) const {
    for (int32_t number : node.body ? std::vector<int32_t>() : tensorsIn(node, rounds)) {
      const ParamTensor &tensor = model.tensors[size_t(number)];
      const void *data = nullptr;
      if (weft_model_get(call.parameters, tensor.name.c_str(), &data, nullptr) != WEFT_OK)
        continue;
      HostTensor parameter{tensor.name, int32_t(tensor.dtype), tensor.shape, {}};
      const char *bytes = static_cast<const char *>(data);
      parameter.bytes.assign(bytes, bytes + size_t(parameter.elements()) * weft_dtype_size(parameter.dtype));
      std::string found;
      if (stateOf(parameter, false, found) == State::bad) {
        text = "; parameter " + quote(tensor.name) + ", which " + nodeText(model, path, node.pos) + " reads, is not finite: " + found;
        return kOk;
      }
    }
    text = "; the first value that is not finite is that of " + nodeText(model, path, node.pos) + ": " + element;
    return kOk;
  }

  CommonOptions options;
  const NonFiniteCall &call;
  ModelDesc model;
};

/// The last node with such a parameter, in the last round; empty if there is none.
std::string lastWith(const ModelDesc &model, const std::vector<Node> &nodes, const std::string &outer, const std::string &prefix, std::vector<Round> rounds,
                     const std::function<bool(const std::string &)> &isFinite) {
  for (size_t n = nodes.size(); n-- > 0;) {
    const Node &node = nodes[n];
    const std::string path = prefix + pathWithin(node.path, outer);
    for (int64_t round = node.body ? node.count : 0; round-- > 0;) {
      rounds.push_back({node.index, round, node.count});
      std::string found = lastWith(model, node.body->nodes, node.path + ".", path + "[" + std::to_string(round) + "].", rounds, isFinite);
      rounds.pop_back();
      if (!found.empty())
        return found;
    }
    for (int32_t tensor : tensorsIn(node, rounds))
      if (!isFinite(model.tensors[size_t(tensor)].name))
        return nodeText(model, path, node.pos) + ", by its parameter " + quote(model.tensors[size_t(tensor)].name);
  }
  return {};
}

bool drops(const std::vector<Node> &nodes) {
  return std::any_of(nodes.begin(), nodes.end(), [](const Node &node) {
    for (const char *name : {"p", "dropout"})
      if (auto found = node.attrs.find(name); found != node.attrs.end() && (node.op == "dropout" || name[0] == 'd'))
        if (auto *p = std::get_if<double>(&found->second); p && *p > 0)
          return true;
    return node.body && drops(node.body->nodes);
  });
}

} // namespace

std::string elementText(const HostTensor &tensor, int64_t at) {
  const double value = tensor.at(at);
  return tensor.place(at) + " is " + (std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
}

std::string nodeText(const ModelDesc &model, const std::string &path, const Position &pos) {
  return "node " + quote(path) + " (" + model.file + ":" + std::to_string(pos.line) + ":" + std::to_string(pos.column) + ")";
}

CommonOptions quietly(CommonOptions options) {
  options.quiet = true;
  options.json = false;
  return options;
}

void addEntry(ModelDesc &model, const std::string &name) {
  if (std::any_of(model.entries.begin(), model.entries.end(), [&](const EntryDesc &e) { return e.name == name; }))
    return;
  EntryDesc entry;
  entry.name = name;
  entry.mode = EntryDesc::Mode::grad;
  model.entries.push_back(entry);
}

int callAgain(Runner &runner, const CommonOptions &options, const std::string &entry, const NonFiniteCall &call, std::vector<HostTensor> &values) {
  if (!canHold(kCompiling))
    return fail(kLimit, "compiling needs " + byteText(double(kCompiling)) + " of memory, more than there is");
  CompileOptions compile;
  compile.entries = {entry};
  if (int code = runner.compile(options, compile))
    return code;
  WeightsChoice weights;
  weights.initSeed = 0; // all are replaced
  if (int code = runner.open(options, weights))
    return code;
  const weft_model_desc *desc = runner.desc();
  for (int32_t p = 0; p < desc->params; ++p) {
    const void *data = nullptr;
    const weft_param_desc *param = nullptr;
    if (weft_model_get(call.parameters, desc->param[p].name, &data, &param) != WEFT_OK)
      return fail(kInternal, "parameter " + quote(desc->param[p].name) + " has no value");
    size_t bytes = weft_dtype_size(param->dtype);
    for (int32_t axis = 0; axis < param->rank; ++axis)
      bytes *= size_t(param->shape[axis]);
    if (weft_status status = weft_model_set(runner.handle, param->name, data, bytes))
      return fail(exitCodeOf(status), weft_model_error(runner.handle));
  }
  const int32_t number = runner.entryIndex(entry);
  std::vector<HostTensor> given;
  for (const HostTensor &tensor : call.inputs)
    for (int32_t i = 0; i < desc->entry[number].inputs; ++i)
      if (!tensor.bytes.empty() && tensor.name == desc->input[desc->entry[number].input_index[i]].name)
        given.push_back(tensor);
  return runProbeEntry(runner, options, entry, given, call.dims, values);
}

int explainNonFinite(const CommonOptions &options, const NonFiniteCall &call, std::string &text) { return Search(options, call).run(text); }

std::string nodeOfGradient(const ModelDesc &model, const std::function<bool(const std::string &)> &isFinite) {
  std::string found = lastWith(model, model.train->nodes, "", "", {}, isFinite);
  if (found.empty())
    found = lastWith(model, model.graph.nodes, "", "", {}, isFinite);
  return found.empty() ? found : "; the backward pass comes to a gradient that is not finite at " + found;
}

bool hasDropout(const ModelDesc &model) { return drops(model.graph.nodes) || drops(model.train->nodes); }

} // namespace weft
