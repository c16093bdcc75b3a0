// The order in which the outputs need nodes, whatever order they have in the file: a node's operands come first, those of
// its first operand before those of its second. So two files that say the same give the same object.
#include "import/ModelReader.h"

#include <algorithm>
#include <numeric>
#include <tuple>

namespace weft {
namespace {

class NodeOrder {
public:
  explicit NodeOrder(std::vector<Node> &nodes) : nodes(nodes), taken(nodes.size(), false) {
    for (size_t i = 0; i < nodes.size(); ++i)
      for (ValueId result : nodes[i].results)
        producer.emplace(result, i);
  }

  /// Takes what `value` needs and was not taken before.
  void need(ValueId value) {
    auto found = producer.find(value);
    if (found != producer.end())
      take(found->second);
  }

  /// What nothing needs stands at the end.
  void finish() {
    for (size_t i = 0; i < nodes.size(); ++i)
      take(i);
    std::vector<Node> ordered;
    ordered.reserve(nodes.size());
    for (size_t i : order)
      ordered.push_back(std::move(nodes[i]));
    nodes = std::move(ordered);
  }

private:
  struct Open {
    size_t node, next; ///< next operand to look at
  };

  /// Depth first, without recursion: a chain may be as long as the model.
  void take(size_t first) {
    std::vector<Open> stack;
    auto open = [&](size_t node) {
      if (!taken[node])
        stack.push_back({node, 0});
      taken[node] = true;
    };
    open(first);
    while (!stack.empty()) {
      Open &top = stack.back();
      if (top.next == nodes[top.node].operands.size()) {
        order.push_back(top.node);
        stack.pop_back();
        continue;
      }
      auto found = producer.find(nodes[top.node].operands[top.next++]);
      if (found != producer.end())
        open(found->second);
    }
  }

  std::vector<Node> &nodes;
  std::unordered_map<ValueId, size_t> producer;
  std::vector<char> taken;
  std::vector<size_t> order;
};

void orderNodes(std::vector<Node> &nodes, const std::vector<ValueId> &targets) {
  for (Node &node : nodes)
    if (node.body)
      orderNodes(node.body->nodes, node.body->outputs);
  NodeOrder order(nodes);
  for (ValueId target : targets)
    order.need(target);
  order.finish();
}

/// Keys that sort tensors by their first use: node numbers and rounds from the outside in, then the node's parameter.
class FirstUses {
public:
  explicit FirstUses(size_t tensors) : keys(tensors) {}

  /// The nodes of a list that stands behind those visited before.
  void visit(const std::vector<Node> &nodes) {
    at.push_back(loops.empty() ? last : 0);
    for (const Node &node : nodes) {
      ++at.back();
      for (size_t i = 0; i < node.params.size(); ++i)
        use(node.params[i], static_cast<uint32_t>(i));
      if (!node.body)
        continue;
      loops.push_back({&node, at.size()});
      at.push_back(0);
      visit(node.body->nodes);
      at.pop_back();
      loops.pop_back();
    }
    if (loops.empty())
      last = at.back();
    at.pop_back();
  }

  /// The numbers of the tensors in order.
  std::vector<int32_t> sorted() const {
    std::vector<int32_t> result(keys.size());
    std::iota(result.begin(), result.end(), 0);
    std::sort(result.begin(), result.end(), [&](int32_t a, int32_t b) { return std::tie(keys[a], a) < std::tie(keys[b], b); });
    return result;
  }

private:
  struct Loop {
    const Node *repeat;
    size_t place; ///< of its round in `at`
  };

  void use(const ParamUse &use, uint32_t number) {
    for (size_t i = 0; i < use.tensors.size(); ++i) {
      std::vector<uint32_t> key = at;
      size_t rest = i;
      for (auto loop = loops.rbegin(); loop != loops.rend(); ++loop)
        if (std::find(use.indices.begin(), use.indices.end(), loop->repeat->index) != use.indices.end()) {
          key[loop->place] = static_cast<uint32_t>(rest % static_cast<size_t>(loop->repeat->count));
          rest /= static_cast<size_t>(loop->repeat->count);
        }
      key.push_back(number);
      std::vector<uint32_t> &known = keys[static_cast<size_t>(use.tensors[i])];
      if (known.empty() || key < known)
        known = std::move(key);
    }
  }

  std::vector<std::vector<uint32_t>> keys;
  std::vector<uint32_t> at;
  uint32_t last = 0;
  std::vector<Loop> loops;
};

void renumber(std::vector<Node> &nodes, const std::vector<int32_t> &place) {
  for (Node &node : nodes) {
    for (ParamUse &use : node.params)
      for (int32_t &tensor : use.tensors)
        tensor = place[static_cast<size_t>(tensor)];
    if (node.body)
      renumber(node.body->nodes, place);
  }
}

} // namespace

void ModelReader::orderNodesAndParameters() {
  std::vector<ValueId> targets;
  for (const OutputDesc &output : model.outputs)
    targets.push_back(output.value);
  if (model.train) {
    orderNodes(model.train->nodes, {model.train->loss});
    for (const Node &node : model.train->nodes)
      targets.insert(targets.end(), node.operands.begin(), node.operands.end());
  }
  orderNodes(model.graph.nodes, targets);

  FirstUses uses(model.tensors.size());
  uses.visit(model.graph.nodes);
  if (model.train)
    uses.visit(model.train->nodes);
  std::vector<int32_t> place(model.tensors.size());
  std::vector<ParamTensor> tensors;
  std::vector<InitRule> rules;
  for (int32_t old : uses.sorted()) {
    place[static_cast<size_t>(old)] = static_cast<int32_t>(tensors.size());
    tensors.push_back(std::move(model.tensors[static_cast<size_t>(old)]));
    rules.push_back(std::move(tensorRules[static_cast<size_t>(old)]));
    tensorIndex[tensors.back().name] = static_cast<int32_t>(tensors.size()) - 1;
  }
  model.tensors = std::move(tensors);
  tensorRules = std::move(rules);
  renumber(model.graph.nodes, place);
  if (model.train)
    renumber(model.train->nodes, place);
}

} // namespace weft
