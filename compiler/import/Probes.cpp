// A round of a repeat is made visible by peeling: the loop runs up to the round before, then the body follows once more
// with its index replaced by the round (Rounds.h). Nested repeats are peeled the same way, from the outside in.
#include "import/Probes.h"

#include "import/Diagnostics.h"
#include "import/Rounds.h"

#include <algorithm>
#include <charconv>
#include <set>

namespace weft {
namespace {

class Prober {
public:
  explicit Prober(Graph &graph) : graph(graph) {}

  /// Position in graph.nodes of the node of that path, after peeling what stands in the way; -1 with the reason in `failure`.
  /// The rounds of a repeat that the reader wrote out, as its index stands in attributes, are nodes "r.0.x" already.
  int find(const std::string &asked, ProbeFailure &failure) {
    for (std::string path = asked;;) {
      int found = findKept(path, failure);
      const size_t open = path.find('['), close = path.find(']', open);
      if (found >= 0 || close == std::string::npos || enclosing(path) >= 0)
        return found;
      const std::string written = path.substr(0, open) + "." + path.substr(open + 1, close - open - 1);
      auto isInside = [&](const Node &node) { return node.path == written + path.substr(close + 1) || node.path.compare(0, written.size() + 1, written + ".") == 0; };
      if (std::none_of(graph.nodes.begin(), graph.nodes.end(), isInside))
        return found;
      path = written + path.substr(close + 1);
    }
  }

  int findKept(const std::string &path, ProbeFailure &failure) {
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
    Node copy = cloneNode(node);
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
      std::string path = prefix + pathWithin(node.path, outer);
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

  /// Appends the loop of the rounds before `round`, and the body of `round`, to the graph's nodes.
  void peel(int number, int64_t round) {
    const Node repeat = cloneNode(graph.nodes[number]);
    std::vector<ValueId> given = repeat.operands;
    if (round > 0) {
      Node loop = someRounds(repeat, 0, round);
      for (size_t i = 0; i < repeat.carry.size(); ++i)
        given[repeat.carry[i]] = loop.results[i] = add(graph.values[repeat.results[i]]);
      graph.nodes.push_back(std::move(loop));
    }
    writeOutRound(graph, repeat, round, given, graph.nodes);
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
