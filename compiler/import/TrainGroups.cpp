// Globs name single tensors and nodes by their full names; a group is what any of its globs matches.
// Recomputed nodes are looked for in every block, however deep.
#include "import/TrainGroups.h"

#include "import/Globs.h"

#include <algorithm>

namespace weft {
namespace {

bool matchesAny(const std::vector<std::string> &globs, const std::string &name) {
  return std::any_of(globs.begin(), globs.end(), [&](const std::string &glob) { return matchGlob(glob, name); });
}

template <typename Keep>
std::vector<int32_t> tensorsThat(const ModelDesc &model, Keep keep) {
  std::vector<int32_t> tensors;
  for (size_t i = 0; i < model.tensors.size(); ++i)
    if (keep(model.tensors[i]))
      tensors.push_back(int32_t(i));
  return tensors;
}

template <typename Fits>
void collect(const std::vector<Node> &nodes, Fits fits, std::vector<std::string> &paths) {
  for (const Node &node : nodes) {
    if (fits(node))
      paths.push_back(node.path);
    if (node.body)
      collect(node.body->nodes, fits, paths);
  }
}

} // namespace

std::vector<int32_t> trainableTensors(const ModelDesc &model) {
  return tensorsThat(model, [&](const ParamTensor &tensor) { return !matchesAny(model.train->freeze, tensor.name); });
}

std::vector<int32_t> differentiatedTensors(const ModelDesc &model, const EntryDesc &entry) {
  return tensorsThat(model, [&](const ParamTensor &tensor) { return entry.gradients.empty() || matchesAny(entry.gradients, tensor.name); });
}

bool isDecayed(const OptimizerDesc &optimizer, const ParamTensor &tensor) {
  return int64_t(tensor.shape.size()) >= optimizer.noDecayRankBelow && !matchesAny(optimizer.noDecay, tensor.name);
}

std::vector<std::string> allNodes(const ModelDesc &model) {
  std::vector<std::string> paths;
  collect(model.graph.nodes, [](const Node &) { return true; }, paths);
  return paths;
}

std::vector<std::string> recomputedNodes(const ModelDesc &model) {
  std::vector<std::string> paths;
  collect(model.graph.nodes, [&](const Node &node) { return matchesAny(model.train->recomputeGlobs, node.path); }, paths);
  return paths;
}

std::vector<std::string> nodesKeptF32(const ModelDesc &model) {
  const std::vector<std::string> &kept = model.precision.keepF32;
  auto isIn = [](const std::vector<std::string> &words, const std::string &word) { return std::find(words.begin(), words.end(), word) != words.end(); };
  std::vector<std::string> paths;
  collect(model.graph.nodes, [&](const Node &node) { return isIn(kept, node.op) && isIn({"linear", "matmul", "einsum", "attention", "mha"}, node.op); }, paths);
  return paths;
}

} // namespace weft
