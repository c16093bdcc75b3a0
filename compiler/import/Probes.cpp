// A round of a repeat is made visible by peeling: the loop runs up to the round before, then the body follows once more
// with its index replaced by the round. Nested repeats are peeled the same way, from the outside in.
#include "import/Probes.h"

#include "import/Diagnostics.h"

#include <algorithm>
#include <charconv>
#include <set>

namespace weft {
namespace {

class Prober {
public:
  explicit Prober(Graph &graph) : graph(graph) {}

  /// Position in graph.nodes of the node of that path, after peeling what stands in the way; -1 with the reason in `failure`.
  int find(const std::string &path, ProbeFailure &failure) {
    for (;;) {
      for (size_t n = 0; n < graph.nodes.size(); ++n)
        if (graph.nodes[n].path == path)
          return static_cast<int>(n);
      int outer = enclosing(path);
      if (outer < 0)
        return unknown(path, failure);
      const Node &repeat = graph.nodes[outer];
      std::string_view rest = std::string_view(path).substr(repeat.path.size() + 1);
      int64_t round = -1;
      auto [end, problem] = std::from_chars(rest.data(), rest.data() + rest.size(), round);
      std::string_view after = rest.substr(end - rest.data());
      if (problem != std::errc() || after.substr(0, 2) != "].")
        return unknown(path, failure);
      if (round < 0 || round >= repeat.count) {
        failure = {"round " + std::to_string(round) + " of " + quote(repeat.path) + ": expected 0.." + std::to_string(repeat.count - 1), {}};
        return -1;
      }
      if (!peeled.insert(repeat.path + "[" + std::to_string(round) + "]").second)
        return unknown(path, failure);
      peel(outer, round);
    }
  }

  /// The node's results; of attention, its map as the second.
  std::vector<ValueId> valuesOf(int number) {
    const Node &node = graph.nodes[number];
    auto word = node.attrs.find("return_weights");
    bool perHead = word != node.attrs.end() && std::get<std::string>(word->second) == "per_head";
    if ((node.op != "attention" && node.op != "mha") || perHead)
      return node.results;
    Node copy = clone(node);
    const TensorType out = graph.values[node.results.front()].type;
    ValueId q = node.operands[0] == kNoValue ? node.operands[1] : node.operands[0];
    ValueId k = node.op == "attention" ? node.operands[1] : node.operands[0] == kNoValue ? node.operands[2] : node.operands[0];
    DimExpr heads(std::get<int64_t>(node.attrs.at("heads")));
    const Shape queries = graph.values[q].type.shape, keys = graph.values[k].type.shape;
    copy.attrs["return_weights"] = std::string("per_head");
    copy.results = {add({node.id, out, node.pos}), add({node.id + ".weights", {out.dtype, {queries[0], heads, queries[1], keys[1]}}, node.pos})};
    std::vector<ValueId> results = copy.results;
    graph.nodes.push_back(std::move(copy));
    return results;
  }

private:
  using Shape = std::vector<DimExpr>;
  using Names = std::map<std::string, DimExpr>;

  ValueId add(ValueDesc value) {
    graph.values.push_back(std::move(value));
    return static_cast<ValueId>(graph.values.size() - 1);
  }

  /// The repeat of the longest path that `path` goes on from with "[", or -1.
  int enclosing(const std::string &path) const {
    int found = -1;
    for (size_t n = 0; n < graph.nodes.size(); ++n) {
      const std::string &own = graph.nodes[n].path;
      if (graph.nodes[n].body && path.size() > own.size() && path.compare(0, own.size(), own) == 0 && path[own.size()] == '[' &&
          (found < 0 || own.size() > graph.nodes[found].path.size()))
        found = static_cast<int>(n);
    }
    return found;
  }

  /// What a reader of the message may write instead: paths with "[0]" after each repeat.
  static void collect(const std::vector<Node> &nodes, const std::string &outer, const std::string &prefix, std::vector<std::string> &plain,
                      std::vector<std::string> &rounds) {
    for (const Node &node : nodes) {
      std::string path = prefix + tail(node.path, outer);
      plain.push_back(node.path);
      rounds.push_back(path);
      if (node.body)
        collect(node.body->nodes, node.path + ".", path + "[0].", plain, rounds);
    }
  }

  int unknown(const std::string &path, ProbeFailure &failure) const {
    std::vector<std::string> plain, rounds;
    collect(graph.nodes, "", "", plain, rounds);
    failure.text = "expected a node of the model but got " + quote(path);
    auto inside = std::find(plain.begin(), plain.end(), path);
    failure.hint = inside != plain.end() ? "give the round: " + quote(rounds[inside - plain.begin()]) : didYouMean(path, rounds);
    return -1;
  }

  static std::string tail(const std::string &path, const std::string &outer) {
    return path.compare(0, outer.size(), outer) == 0 ? path.substr(outer.size()) : path;
  }

  static Node clone(const Node &node) {
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
        copy.body->nodes.push_back(clone(inner));
    }
    return copy;
  }

  /// Leaves only the rounds [first, first + rounds) of `count` of the outermost repeat around the node.
  static void keepRounds(Node &node, const std::string &index, int64_t count, int64_t first, int64_t rounds) {
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

  static void substitute(TensorType &type, const Names &names) {
    for (DimExpr &size : type.shape)
      size = size.substitute(names);
  }

  /// Replaces the index by the round, and the path's beginning `outer` by `prefix`.
  static void fix(Node &node, const std::string &index, int64_t round, const std::string &outer, const std::string &prefix) {
    const Names names{{index, DimExpr(round)}};
    node.path = prefix + tail(node.path, outer);
    for (auto &[name, value] : node.attrs) {
      if (auto *size = std::get_if<DimExpr>(&value))
        *size = size->substitute(names);
      else if (auto *sizes = std::get_if<std::vector<DimExpr>>(&value))
        for (DimExpr &one : *sizes)
          one = one.substitute(names);
    }
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
      substitute(value.type, names);
    for (Node &nested : node.body->nodes)
      fix(nested, index, round, outer, prefix);
  }

  /// Appends the loop of the rounds before `round`, and the body of `round`, to the graph's nodes.
  void peel(int number, int64_t round) {
    const Node repeat = clone(graph.nodes[number]);
    const Graph &body = *repeat.body;
    std::vector<ValueId> given = repeat.operands;
    if (round > 0) {
      Node loop = clone(repeat);
      loop.count = round;
      for (Node &inner : loop.body->nodes)
        keepRounds(inner, repeat.index, repeat.count, 0, round);
      loop.results.clear();
      for (size_t i = 0; i < repeat.carry.size(); ++i)
        loop.results.push_back(add(graph.values[repeat.results[i]]));
      for (size_t i = 0; i < repeat.carry.size(); ++i)
        given[repeat.carry[i]] = loop.results[i];
      graph.nodes.push_back(std::move(loop));
    }
    std::map<ValueId, ValueId> values{{kNoValue, kNoValue}};
    for (size_t i = 0; i < body.inputs.size(); ++i)
      values[body.inputs[i]] = given[i];
    const std::string prefix = repeat.path + "[" + std::to_string(round) + "].";
    const Names names{{repeat.index, DimExpr(round)}};
    for (const Node &inner : body.nodes) {
      Node copy = clone(inner);
      keepRounds(copy, repeat.index, repeat.count, round, 1);
      fix(copy, repeat.index, round, repeat.path + ".", prefix);
      for (ValueId &operand : copy.operands)
        operand = values.at(operand);
      for (ValueId &result : copy.results) {
        ValueDesc value = body.values[result];
        substitute(value.type, names);
        result = values[result] = add(std::move(value));
      }
      graph.nodes.push_back(std::move(copy));
    }
  }

  Graph &graph;
  std::set<std::string> peeled;
};

}  // namespace

std::string addProbes(ModelDesc &model, const std::string &entry, const std::vector<std::string> &probes, std::vector<ProbedValue> &values,
                      ProbeFailure &failure, bool maps) {
  auto named = [&](const std::string &name) {
    return std::find_if(model.entries.begin(), model.entries.end(), [&](const EntryDesc &e) { return e.name == name; });
  };
  EntryDesc probe;
  probe.name = entry + "_probe";
  while (named(probe.name) != model.entries.end())
    probe.name += "_";
  probe.fixedDims = named(entry)->fixedDims;
  probe.pos = named(entry)->pos;
  Prober prober(model.graph);
  std::set<std::string> seen;
  for (const std::string &path : probes) {
    if (!seen.insert(path).second)
      continue;
    int node = prober.find(path, failure);
    if (node < 0)
      return {};
    const Position pos = model.graph.nodes[node].pos;
    const bool attends = model.graph.nodes[node].op == "attention" || model.graph.nodes[node].op == "mha";
    std::vector<ValueId> results = maps ? prober.valuesOf(node) : model.graph.nodes[node].results;
    for (size_t i = 0; i < results.size(); ++i) {
      std::string output = "probe." + path + (i == 0 ? "" : attends ? ".weights" : "#" + std::to_string(i));
      probe.outputs.push_back(output);
      model.outputs.push_back({output, results[i], pos});
      values.push_back({output, path, pos});
    }
  }
  model.entries.push_back(probe);
  return probe.name;
}

}  // namespace weft
