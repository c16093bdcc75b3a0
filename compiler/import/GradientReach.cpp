// One walk against the order of the nodes: a float result asks for the float operands of its node. Carried values of a
// repeat are walked until they settle.
#include "import/GradientReach.h"

#include "import/ShapeRules.h"
#include "import/TrainGroups.h"

#include <algorithm>
#include <map>
#include <set>

namespace weft {
namespace {

using NodeList = std::vector<const Node *>;

NodeList listOf(std::initializer_list<const std::vector<Node> *> parts) {
  NodeList list;
  for (const std::vector<Node> *part : parts)
    for (const Node &node : *part)
      list.push_back(&node);
  return list;
}

bool makesOneOf(const Node &node, const std::set<ValueId> &values) {
  return std::any_of(node.results.begin(), node.results.end(), [&](ValueId result) { return values.count(result); });
}

class Walk {
public:
  explicit Walk(const ModelDesc &model) {
    for (int32_t tensor : trainableTensors(model))
      trainable.insert(tensor);
  }

  /// `asked`: values whose gradient is wanted; operands are added to it.
  void nodes(const Graph &graph, const NodeList &list, std::set<ValueId> &asked) {
    std::set<ValueId> others;
    for (auto at = list.rbegin(); at != list.rend() && !found; ++at) {
      const Node &node = **at;
      if (!makesOneOf(node, asked))
        continue;
      if (node.body) {
        repeat(node, asked);
        continue;
      }
      for (const ParamUse &use : node.params)
        found |= std::any_of(use.tensors.begin(), use.tensors.end(), [&](int32_t tensor) { return trainable.count(tensor); });
      for (ValueId operand : node.operands) {
        if (operand == kNoValue)
          continue;
        (isFloat(graph.values[size_t(operand)].type.dtype) ? asked : others).insert(operand);
      }
    }
    if (!found && !obstacle)
      obstacle = lastWithFloats(graph, list, others);
  }

  bool found = false;
  const Node *obstacle = nullptr;

private:
  void repeat(const Node &node, std::set<ValueId> &asked) {
    const Graph &body = *node.body;
    std::set<ValueId> &inner = askedIn[&body];
    for (size_t i = 0; i < node.results.size(); ++i)
      if (asked.count(node.results[i]) && isFloat(body.values[size_t(body.outputs[i])].type.dtype))
        inner.insert(body.outputs[i]);
    for (bool grows = true; grows && !found;) {
      const size_t before = inner.size();
      nodes(body, listOf({&body.nodes}), inner);
      for (size_t c = 0; c < node.carry.size(); ++c)
        if (inner.count(body.inputs[size_t(node.carry[c])]))
          inner.insert(body.outputs[c]);
      grows = inner.size() != before;
    }
    for (size_t i = 0; i < node.operands.size(); ++i)
      if (inner.count(body.inputs[i]))
        asked.insert(node.operands[i]);
  }

  /// The last node with a float operand behind the values, which are no floats, through others that are none.
  static const Node *lastWithFloats(const Graph &graph, const NodeList &list, std::set<ValueId> behind) {
    for (auto at = list.rbegin(); at != list.rend(); ++at) {
      if (!makesOneOf(**at, behind))
        continue;
      for (ValueId operand : (*at)->operands)
        if (operand != kNoValue && isFloat(graph.values[size_t(operand)].type.dtype))
          return *at;
      behind.insert((*at)->operands.begin(), (*at)->operands.end());
    }
    return nullptr;
  }

  std::set<int32_t> trainable;
  std::map<const Graph *, std::set<ValueId>> askedIn; ///< of a repeat's body: what an outer one asked for before stays
};

} // namespace

bool lossReachesParameter(const ModelDesc &model, const Node *&obstacle) {
  Walk walk(model);
  std::set<ValueId> asked = {model.train->loss};
  walk.nodes(model.graph, listOf({&model.graph.nodes, &model.train->nodes}), asked);
  obstacle = walk.obstacle;
  return walk.found;
}

} // namespace weft
