// Dependences of entries on nodes and inputs, and the pairing of steps with prefills by states and fixed dims.
// A dim that both fix says nothing about steps; one that only the step fixes, to 1, is the dim it steps along.
#include "import/EntryInputs.h"

#include <algorithm>

namespace weft {

std::vector<const Node *> neededNodes(const std::vector<const Node *> &all, const std::vector<ValueId> &targets, std::set<ValueId> &used) {
  used.insert(targets.begin(), targets.end());
  std::vector<const Node *> wanted;
  for (size_t i = all.size(); i-- > 0;)
    if (std::any_of(all[i]->results.begin(), all[i]->results.end(), [&](ValueId result) { return used.count(result) > 0; })) {
      wanted.push_back(all[i]);
      used.insert(all[i]->operands.begin(), all[i]->operands.end());
    }
  std::reverse(wanted.begin(), wanted.end());
  return wanted;
}

namespace {

/// The dims that `step` fixes to 1 and `prefill` leaves free; empty if they differ in anything else.
std::set<std::string> steppedDims(const EntryDesc &step, const EntryDesc &prefill) {
  std::set<std::string> dims;
  for (auto &[name, size] : step.fixedDims) {
    auto found = prefill.fixedDims.find(name);
    if (found == prefill.fixedDims.end() && size == 1)
      dims.insert(name);
    else if (found == prefill.fixedDims.end() || found->second != size)
      return {};
  }
  for (auto &[name, size] : prefill.fixedDims)
    if (!step.fixedDims.count(name))
      return {};
  return dims;
}

/// Number of the first axis from `first` on that has one of the dims, or -1.
int axisOf(const TensorType &type, const std::set<std::string> &dims, size_t first = 0) {
  for (size_t axis = first; axis < type.shape.size(); ++axis)
    for (const std::string &name : type.shape[axis].names())
      if (dims.count(name))
        return static_cast<int>(axis);
  return -1;
}

/// Tokens: whole numbers with a stepped axis that does not count sequences.
bool isTokens(const TensorType &type, const std::set<std::string> &dims) {
  bool index = type.dtype == DType::i32 || type.dtype == DType::i64;
  return index && axisOf(type, dims, type.shape.size() > 1 ? 1 : 0) >= 0;
}

}  // namespace

std::vector<const EntryDesc *> prefillsOf(const ModelDesc &model, const EntryDesc &step, std::vector<std::string> *keptInputs) {
  std::vector<const EntryDesc *> prefills;
  std::set<std::string> dims;
  std::set<int32_t> states(step.states.begin(), step.states.end());
  if (step.mode != EntryDesc::Mode::infer || states.empty())
    return {};
  for (const EntryDesc &entry : model.entries) {
    if (entry.mode != EntryDesc::Mode::infer || std::set<int32_t>(entry.states.begin(), entry.states.end()) != states)
      continue;
    std::set<std::string> free = steppedDims(step, entry);
    if (free.empty() || (!dims.empty() && free != dims && free.size() >= dims.size()))
      continue;
    if (free != dims)
      prefills.clear();
    dims = free;
    prefills.push_back(&entry);
  }
  std::vector<const Node *> nodes;
  for (const Node &node : model.graph.nodes)
    nodes.push_back(&node);
  std::vector<ValueId> targets;
  for (const OutputDesc &output : model.outputs)
    if (std::find(step.outputs.begin(), step.outputs.end(), output.name) != step.outputs.end())
      targets.push_back(output.value);
  std::set<ValueId> used;
  neededNodes(nodes, targets, used);
  bool steps = false;
  std::vector<std::string> kept;
  for (const InputDesc &input : model.inputs) {
    if (!used.count(input.value))
      continue;
    steps = steps || isTokens(input.type, dims);
    if (axisOf(input.type, dims) < 0)
      kept.push_back(input.name);
  }
  if (!steps || kept.empty())
    return {};
  if (keptInputs)
    *keptInputs = std::move(kept);
  return prefills;
}

}  // namespace weft
