// A binary search over the nodes in order of execution, then a look at the operands of what it found: errors need not
// spread to every later node, so a candidate counts only when all that it reads is right.
#include "Bisect.h"

#include "Probe.h"
#include "ReferenceValues.h"

#include "Compare.h"
#include "Reference.h"

#include <algorithm>
#include <set>

namespace weft {

namespace {

/// One execution of one node, in one round of each repeat.
struct Step {
  std::string path;
  const Node *node;
  std::vector<int> operands; ///< numbers of steps
};

/// All steps in order; a repeat is its rounds.
class Steps {
public:
  explicit Steps(const ModelDesc &model) {
    Producers top(model.graph.values.size(), -1);
    unroll(model.graph, top, "", "");
    for (const OutputDesc &output : model.outputs)
      outputs[output.name] = top[size_t(output.value)];
  }

  std::vector<Step> list;
  std::map<std::string, int> outputs;

  /// Steps that `step` depends on, itself last.
  std::vector<int> upTo(int step) const {
    std::set<int> found = {step};
    for (int i = step; i >= 0; --i)
      if (found.count(i))
        found.insert(list[size_t(i)].operands.begin(), list[size_t(i)].operands.end());
    return {found.begin(), found.end()};
  }

private:
  using Producers = std::vector<int>; ///< of each value the step that computes it; -1: it comes from outside

  void unroll(const Graph &graph, Producers &producers, const std::string &outer, const std::string &prefix) {
    for (const Node &node : graph.nodes) {
      std::string path = prefix + (node.path.compare(0, outer.size(), outer) == 0 ? node.path.substr(outer.size()) : node.path);
      std::vector<int> given;
      for (ValueId operand : node.operands)
        given.push_back(operand == kNoValue ? -1 : producers[size_t(operand)]);
      if (node.body) {
        for (int64_t round = 0; round < node.count; ++round) {
          Producers inner(node.body->values.size(), -1);
          for (size_t i = 0; i < given.size(); ++i)
            inner[size_t(node.body->inputs[i])] = given[i];
          unroll(*node.body, inner, node.path + ".", path + "[" + std::to_string(round) + "].");
          for (size_t i = 0; i < node.carry.size(); ++i)
            given[size_t(node.carry[i])] = inner[size_t(node.body->outputs[i])];
        }
        for (size_t i = 0; i < node.carry.size(); ++i)
          producers[size_t(node.results[i])] = given[size_t(node.carry[i])];
        continue;
      }
      given.erase(std::remove(given.begin(), given.end(), -1), given.end());
      list.push_back({path, &node, given});
      for (ValueId result : node.results)
        producers[size_t(result)] = int(list.size()) - 1;
    }
  }
};

class Search {
public:
  Search(const CommonOptions &common, const std::string &entry, const WeightsChoice &weights, const std::vector<HostTensor> &inputs,
         const Sizes &sizes)
      : options(common), entry(entry), weights(weights), inputs(inputs), sizes(sizes) {
    options.quiet = true; // what there is to say about the model has been said
    options.json = false;
  }

  int run(BisectResult &result) {
    if (int code = readModelOrFail(options, model))
      return code;
    if (int code = compute())
      return code;
    Steps steps(model);
    std::vector<int> suspects;
    for (const EntryDesc &candidate : model.entries)
      if (candidate.name == entry)
        for (const std::string &output : candidate.outputs)
          suspects.push_back(steps.outputs.at(output));
    std::sort(suspects.begin(), suspects.end());
    int found = -1;
    if (int code = firstWrong(steps, suspects, found))
      return code;
    while (found >= 0) {
      // The search over what a wrong value depends on ends at a wrong one; the operands of that one decide.
      std::vector<int> candidates = steps.upTo(found);
      size_t low = 0, high = candidates.size() - 1;
      while (low < high) {
        size_t middle = (low + high) / 2;
        bool wrong = false;
        if (int code = check(steps.list[size_t(candidates[middle])], wrong))
          return code;
        if (wrong)
          high = middle;
        else
          low = middle + 1;
      }
      const Step &step = steps.list[size_t(candidates[high])];
      found = -1;
      if (int code = firstWrong(steps, step.operands, found))
        return code;
      if (found < 0) {
        result.node = step.path;
        result.op = step.node->op;
        result.pos = step.node->pos;
        result.difference = verdicts.at(step.path);
      }
    }
    result.probes = verdicts.size();
    return kOk;
  }

private:
  /// The values of all nodes in f64 and in naive f32.
  int compute() {
    reference::RunOptions run;
    run.entry = entry;
    run.keepAll = true;
    std::vector<std::string> needed = reference::neededInputs(model, entry);
    for (const HostTensor &tensor : inputs)
      if (std::count(needed.begin(), needed.end(), tensor.name))
        run.inputs[tensor.name] = toReference(tensor);
    run.dims = sizes;
    Runner runner;
    if (int code = runner.read(options))
      return code;
    CompileOptions compile;
    compile.entries = {entry};
    if (int code = runner.compile(options, compile))
      return code;
    if (int code = runner.open(options, weights, /*keepParameters=*/true))
      return code;
    if (int code = parametersToReference(runner, model, run.parameters))
      return code;
    exact = reference::runReference(model, run);
    run.arithmetic = reference::Arithmetic::f32;
    naive = reference::runReference(model, run);
    return exact.ok() && naive.ok() ? int(kOk)
                                    : fail(kInvalid, "the reference can't compute this: " + escapeText(exact.ok() ? naive.error : exact.error));
  }

  int firstWrong(const Steps &steps, const std::vector<int> &among, int &found) {
    for (int step : among) {
      bool wrong = false;
      if (step >= 0 && found < 0)
        if (int code = check(steps.list[size_t(step)], wrong))
          return code;
      if (wrong)
        found = step;
    }
    return kOk;
  }

  /// Compiles the model once more for this one value.
  int check(const Step &step, bool &wrong) {
    auto known = verdicts.find(step.path);
    if (known == verdicts.end()) {
      Runner runner;
      std::string probe;
      std::vector<ProbedValue> probed;
      if (int code = runner.read(options))
        return code;
      if (int code = addProbeEntry(runner.model, entry, {step.path}, probe, probed))
        return code;
      CompileOptions compile;
      compile.entries = {probe};
      if (int code = runner.compile(options, compile))
        return code;
      if (int code = runner.open(options, weights))
        return code;
      std::vector<HostTensor> values;
      if (int code = runProbeEntry(runner, options, probe, inputs, runner.dimList(sizes), values))
        return code;
      known = verdicts.emplace(step.path, judge(step.path, values)).first;
    }
    wrong = !known->second.empty();
    return kOk;
  }

  std::string judge(const std::string &path, const std::vector<HostTensor> &values) const {
    const std::string name = "probe." + path;
    for (const HostTensor &value : values) {
      auto want = exact.values.find(value.name.substr(6));
      if (value.name.compare(0, name.size(), name) != 0 || want == exact.values.end())
        continue; // a map that the model does not ask for
      reference::Comparison comparison = reference::compare(toReference(value), *want->second, naive.values.at(want->first).get(), {});
      if (!comparison.ok())
        return comparison.str();
    }
    return {};
  }

  CommonOptions options;
  const std::string &entry;
  const WeightsChoice &weights;
  const std::vector<HostTensor> &inputs;
  const Sizes &sizes;
  ModelDesc model;
  reference::RunResult exact, naive;
  std::map<std::string, std::string> verdicts; ///< by path: empty, or the difference
};

} // namespace

int bisect(const CommonOptions &options, const std::string &entry, const WeightsChoice &weights, const std::vector<HostTensor> &inputs,
           const Sizes &sizes, BisectResult &result) {
  return Search(options, entry, weights, inputs, sizes).run(result);
}

} // namespace weft
