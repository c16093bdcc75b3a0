// A parameter's tensors stand in round order, the outer index slowest, so a round of the outermost repeat is one piece of
// them. Inside a round the outer index is gone from names, attributes and types.
#include "import/Rounds.h"

namespace weft {
namespace {

using Names = std::map<std::string, DimExpr>;

/// Leaves only the rounds [first, first + rounds) of `count` of the outermost repeat around the node.
void keepRounds(Node &node, const std::string &index, int64_t count, int64_t first, int64_t rounds) {
  for (ParamUse &use : node.params) {
    if (use.indices.empty() || use.indices.front() != index)
      continue;
    auto inner = static_cast<int64_t>(use.tensors.size()) / count;
    use.tensors = std::vector<int32_t>(use.tensors.begin() + first * inner, use.tensors.begin() + (first + rounds) * inner);
  }
  if (node.body)
    for (Node &nested : node.body->nodes)
      keepRounds(nested, index, count, first, rounds);
}

void substitute(std::vector<DimExpr> &sizes, const Names &names) {
  for (DimExpr &size : sizes)
    size = size.substitute(names);
}

/// Replaces the index by the round, and the path's beginning `outer` by `prefix`.
void fix(Node &node, const std::string &index, int64_t round, const std::string &outer, const std::string &prefix) {
  const Names names{{index, DimExpr(round)}};
  node.path = prefix + pathWithin(node.path, outer);
  substituteSizes(node.attrs, names);
  for (ParamUse &use : node.params) {
    if (use.indices.empty() || use.indices.front() != index)
      continue;
    use.indices.erase(use.indices.begin());
    const std::string braced = "{" + index + "}";
    for (size_t at = use.name.find(braced); at != std::string::npos; at = use.name.find(braced))
      use.name.replace(at, braced.size(), std::to_string(round));
  }
  if (!node.body)
    return;
  for (ValueDesc &value : node.body->values)
    substitute(value.type.shape, names);
  for (Node &nested : node.body->nodes)
    fix(nested, index, round, outer, prefix);
}

/// Replaces names in attributes and types.
void shift(Node &node, const Names &names) {
  substituteSizes(node.attrs, names);
  if (!node.body)
    return;
  for (ValueDesc &value : node.body->values)
    substitute(value.type.shape, names);
  for (Node &nested : node.body->nodes)
    shift(nested, names);
}

} // namespace

void substituteSizes(std::map<std::string, AttrValue> &attrs, const Names &names) {
  for (auto &[name, value] : attrs) {
    if (auto *size = std::get_if<DimExpr>(&value))
      *size = size->substitute(names);
    else if (auto *sizes = std::get_if<std::vector<DimExpr>>(&value))
      substitute(*sizes, names);
  }
}

Node cloneNode(const Node &node) {
  Node copy;
  copy.id = node.id;
  copy.op = node.op;
  copy.path = node.path;
  copy.operands = node.operands;
  copy.results = node.results;
  copy.attrs = node.attrs;
  copy.params = node.params;
  copy.pos = node.pos;
  copy.attrPos = node.attrPos;
  copy.count = node.count;
  copy.index = node.index;
  copy.carry = node.carry;
  if (node.body) {
    copy.body = std::make_unique<Graph>();
    copy.body->values = node.body->values;
    copy.body->inputs = node.body->inputs;
    copy.body->outputs = node.body->outputs;
    for (const Node &inner : node.body->nodes)
      copy.body->nodes.push_back(cloneNode(inner));
  }
  return copy;
}

Node someRounds(const Node &repeat, int64_t first, int64_t rounds) {
  Node loop = cloneNode(repeat);
  loop.count = rounds;
  const Names names{{repeat.index, DimExpr::dim(repeat.index) + DimExpr(first)}};
  for (ValueDesc &value : loop.body->values)
    substitute(value.type.shape, names);
  for (Node &inner : loop.body->nodes) {
    keepRounds(inner, repeat.index, repeat.count, first, rounds);
    shift(inner, names);
  }
  return loop;
}

std::vector<ValueId> writeOutRound(Graph &graph, const Node &repeat, int64_t round, const std::vector<ValueId> &given, std::vector<Node> &nodes) {
  const Graph &body = *repeat.body;
  std::map<ValueId, ValueId> values{{kNoValue, kNoValue}};
  for (size_t i = 0; i < body.inputs.size(); ++i)
    values[body.inputs[i]] = given[i];
  const std::string prefix = repeat.path + "[" + std::to_string(round) + "].";
  const Names names{{repeat.index, DimExpr(round)}};
  for (const Node &inner : body.nodes) {
    Node copy = cloneNode(inner);
    keepRounds(copy, repeat.index, repeat.count, round, 1);
    fix(copy, repeat.index, round, repeat.path + ".", prefix);
    for (ValueId &operand : copy.operands)
      operand = values.at(operand);
    for (ValueId &result : copy.results) {
      ValueDesc value = body.values[result];
      substitute(value.type.shape, names);
      graph.values.push_back(std::move(value));
      result = values[result] = static_cast<ValueId>(graph.values.size() - 1);
    }
    nodes.push_back(std::move(copy));
  }
  std::vector<ValueId> outputs;
  for (ValueId output : body.outputs)
    outputs.push_back(values.at(output));
  return outputs;
}

std::string pathWithin(const std::string &path, const std::string &outer) {
  return path.compare(0, outer.size(), outer) == 0 ? path.substr(outer.size()) : path;
}

} // namespace weft
