// A node's operand x becomes x + d, d being an input of zeros of its own: the gradient of d is what this node alone passes
// to x, whatever else reads x.
#include "import/GradientProbes.h"

#include "import/Diagnostics.h"
#include "import/Globs.h"
#include "import/Rounds.h"
#include "import/ShapeRules.h"
#include "import/TrainGroups.h"

#include <algorithm>
#include <set>

namespace weft {
namespace {

int64_t writtenNodes(const Node &node) {
  if (!node.body)
    return 1;
  int64_t nodes = 0;
  for (const Node &inner : node.body->nodes)
    nodes += writtenNodes(inner);
  return node.count * nodes;
}

std::vector<Node> cloneNodes(const std::vector<Node> &nodes) {
  std::vector<Node> copies;
  for (const Node &node : nodes)
    copies.push_back(cloneNode(node));
  return copies;
}

/// A node that may be probed.
struct Candidate {
  using Name = std::pair<bool, std::string>; ///< whether it is one of the graph's, and its path
  Name name;
  std::vector<size_t> operands; ///< that have gradients in question
  std::set<int32_t> tensors;
  int64_t bytes; ///< of these gradients
};

/// Those of the piece.
std::vector<Candidate> choose(const std::vector<Candidate> &all, GradientPiece &piece) {
  const size_t end = std::min(piece.end, all.size());
  size_t begin = end;
  for (int64_t left = piece.bytes; begin > 0; --begin) {
    if (begin < end && all[begin - 1].bytes > left)
      break;
    left -= std::min(all[begin - 1].bytes, left);
  }
  piece.end = begin;
  return {all.begin() + std::ptrdiff_t(begin), all.begin() + std::ptrdiff_t(end)};
}

class Prober {
public:
  Prober(ModelDesc &model, const EntryDesc &entry) : model(model) {
    const std::vector<int32_t> tensors = entry.mode == EntryDesc::Mode::train ? trainableTensors(model) : differentiatedTensors(model, entry);
    wanted.insert(tensors.begin(), tensors.end());
    for (const std::vector<InputDesc> *inputs : {&model.inputs, &model.train->inputs})
      for (const InputDesc &input : *inputs)
        if (std::any_of(entry.gradients.begin(), entry.gradients.end(), [&](const std::string &glob) { return matchGlob(glob, input.name); }))
          varied.insert(input.value);
  }

  /// Back to these nodes, as they were before anything was written out.
  void restore(std::vector<Node> graph, std::vector<Node> train, ValueId loss) {
    model.graph.nodes = std::move(graph);
    model.train->nodes = std::move(train);
    model.train->loss = loss;
    renamed.clear();
  }

  /// The rounds [first, end) of the repeat `path`, at most all; those before and after stay loops.
  void writeOut(const std::string &path, int64_t first, int64_t end) {
    for (std::vector<Node> *nodes : {&model.graph.nodes, &model.train->nodes}) {
      std::vector<Node> written;
      for (Node &node : *nodes) {
        if (node.path != path || !node.body) {
          written.push_back(std::move(node));
          continue;
        }
        end = std::min(end, node.count);
        std::vector<ValueId> given = node.operands, last;
        if (first > 0)
          last = loop(node, 0, first, given, written);
        for (int64_t round = first; round < end; ++round) {
          last = writeOutRound(model.graph, node, round, given, written);
          for (size_t i = 0; i < node.carry.size(); ++i)
            given[size_t(node.carry[i])] = last[i];
        }
        if (end < node.count)
          last = loop(node, end, node.count, given, written);
        for (size_t i = 0; i < node.results.size() && i < last.size(); ++i)
          renamed[node.results[i]] = last[i];
      }
      *nodes = std::move(written);
    }
    for (std::vector<Node> *nodes : {&model.graph.nodes, &model.train->nodes})
      for (Node &node : *nodes)
        for (ValueId &operand : node.operands)
          rename(operand);
    rename(model.train->loss);
  }

  /// The nodes whose paths begin with `within` that have gradients in question.
  std::vector<Candidate> candidates(const std::string &within, const GradientPiece &piece) {
    std::vector<Candidate> found;
    for (const std::vector<Node> *nodes : {&model.graph.nodes, &model.train->nodes})
      for (const Node &node : *nodes) {
        Candidate candidate{{nodes == &model.graph.nodes, node.path}, {}, {}, 0};
        collect(node, candidate.tensors);
        for (int32_t tensor : candidate.tensors)
          ++uses[tensor];
        for (size_t i = 0; i < node.operands.size(); ++i)
          if (varied.count(node.operands[i]))
            candidate.operands.push_back(i);
        if (candidate.tensors.empty() && candidate.operands.empty())
          continue;
        for (ValueId result : node.results)
          if (isFloat(model.graph.values[size_t(result)].type.dtype))
            varied.insert(result);
        candidate.bytes = gradientBytes(node, candidate, piece);
        if (node.path.compare(0, within.size(), within) == 0)
          found.push_back(std::move(candidate));
      }
    return found;
  }

  void probe(const std::vector<Candidate> &chosen, std::vector<GradientProbe> &probes) {
    std::map<Candidate::Name, const Candidate *> named;
    for (const Candidate &candidate : chosen)
      named[candidate.name] = &candidate;
    for (std::vector<Node> *nodes : {&model.graph.nodes, &model.train->nodes}) {
      std::vector<Node> all;
      for (Node &node : *nodes) {
        if (auto found = named.find({nodes == &model.graph.nodes, node.path}); found != named.end())
          probes.push_back(probeOf(node, *found->second, all));
        all.push_back(std::move(node));
      }
      *nodes = std::move(all);
    }
  }

private:
  void rename(ValueId &value) const {
    if (auto found = renamed.find(value); found != renamed.end())
      value = found->second;
  }

  /// Wanted tensors of the node and of all that stands in its body.
  void collect(const Node &node, std::set<int32_t> &tensors) const {
    for (const ParamUse &use : node.params)
      for (int32_t tensor : use.tensors)
        if (wanted.count(tensor))
          tensors.insert(tensor);
    if (node.body)
      for (const Node &inner : node.body->nodes)
        collect(inner, tensors);
  }

  /// Some rounds as a loop; its results.
  std::vector<ValueId> loop(const Node &repeat, int64_t first, int64_t end, std::vector<ValueId> &given, std::vector<Node> &nodes) {
    Node part = someRounds(repeat, first, end - first);
    part.operands = given;
    for (size_t i = 0; i < part.results.size(); ++i)
      given[size_t(part.carry[i])] = part.results[i] = add(ValueDesc(model.graph.values[size_t(repeat.results[i])]));
    nodes.push_back(std::move(part));
    return nodes.back().results;
  }

  /// Not more than all of the piece's.
  int64_t gradientBytes(const Node &node, const Candidate &candidate, const GradientPiece &piece) const {
    double bytes = 0; // a sum of products that may be of any size
    for (size_t operand : candidate.operands) {
      const TensorType &type = model.graph.values[size_t(node.operands[operand])].type;
      double elements = 1;
      for (const DimExpr &size : type.shape)
        elements *= double(size.evaluate(piece.sizes).value_or(piece.bytes));
      bytes += elements * (type.dtype == DType::f64 ? 8 : 4);
    }
    for (int32_t tensor : candidate.tensors) {
      double elements = 1;
      for (int64_t size : model.tensors[size_t(tensor)].shape)
        elements *= double(size);
      bytes += elements * 4;
    }
    return int64_t(std::min(bytes, double(piece.bytes)));
  }

  GradientProbe probeOf(Node &node, const Candidate &candidate, std::vector<Node> &before) {
    GradientProbe probe;
    probe.path = node.path;
    probe.pos = node.pos;
    probe.nodes = writtenNodes(node);
    probe.isRepeat = bool(node.body);
    for (size_t i : candidate.operands) {
      ValueId &operand = node.operands[i];
      const std::string name = model.graph.values[size_t(operand)].name;
      operand = shifted(operand, node.pos, before);
      probe.gradients.push_back({"grad." + model.inputs.back().name, "operand " + quote(name), false});
    }
    for (int32_t tensor : candidate.tensors) {
      const std::string &name = model.tensors[size_t(tensor)].name;
      probe.gradients.push_back({"grad." + name, "parameter " + quote(name), uses.at(tensor) > 1});
    }
    return probe;
  }

  ValueId add(const ValueDesc &value) {
    model.graph.values.push_back(value);
    return ValueId(model.graph.values.size() - 1);
  }

  /// `value` plus an input of zeros.
  ValueId shifted(ValueId value, const Position &pos, std::vector<Node> &before) {
    const TensorType type = model.graph.values[size_t(value)].type;
    InputDesc zeros;
    zeros.name = "probe#" + std::to_string(model.inputs.size());
    zeros.type = type;
    zeros.optional = true;
    zeros.value = add({zeros.name, type, pos});
    zeros.pos = pos;
    Node sum;
    sum.id = sum.path = zeros.name;
    sum.op = "add";
    sum.operands = {value, zeros.value};
    sum.results = {add({zeros.name + "+", type, pos})};
    sum.pos = pos;
    model.inputs.push_back(std::move(zeros));
    before.push_back(std::move(sum));
    return before.back().results.front();
  }

  ModelDesc &model;
  std::set<int32_t> wanted;     ///< tensors in question
  std::set<ValueId> varied;     ///< floats that depend on them, or on inputs in question
  std::map<int32_t, int> uses;  ///< nodes that have a tensor
  std::map<ValueId, ValueId> renamed;
};

} // namespace

std::string addGradientProbes(ModelDesc &model, const std::string &entry, const std::vector<std::string> &writtenOut, GradientPiece &piece,
                              std::vector<GradientProbe> &probes) {
  auto named = [&](const std::string &name) { return std::find_if(model.entries.begin(), model.entries.end(), [&](const EntryDesc &e) { return e.name == name; }); };
  EntryDesc added;
  added.name = entry + "_gradients";
  while (named(added.name) != model.entries.end())
    added.name += "_";
  added.mode = EntryDesc::Mode::grad;
  added.fixedDims = named(entry)->fixedDims;
  added.pos = named(entry)->pos;
  const std::string within = writtenOut.empty() ? "" : writtenOut.back() + "[";
  /// "3" of "enc[3].inner" in "enc"
  auto roundIn = [](const std::string &path, const std::string &repeat) { return int64_t(std::stoll(path.substr(repeat.size() + 1))); };
  auto writeOut = [&](Prober &prober, int64_t first, int64_t end) {
    for (size_t i = 0; i < writtenOut.size(); ++i)
      if (i + 1 < writtenOut.size()) {
        const int64_t round = roundIn(writtenOut[i + 1], writtenOut[i]);
        prober.writeOut(writtenOut[i], round, round + 1);
      } else {
        prober.writeOut(writtenOut[i], first, end);
      }
  };
  // With all rounds written out the piece is chosen; then only those that it is in are, as the others as a loop keep less.
  std::vector<Node> graph = cloneNodes(model.graph.nodes), train = cloneNodes(model.train->nodes);
  const ValueId loss = model.train->loss;
  Prober prober(model, *named(entry));
  writeOut(prober, 0, INT64_MAX);
  const std::vector<Candidate> chosen = choose(prober.candidates(within, piece), piece);
  prober.restore(std::move(graph), std::move(train), loss);
  if (!writtenOut.empty() && !chosen.empty())
    writeOut(prober, roundIn(chosen.front().name.second, writtenOut.back()), roundIn(chosen.back().name.second, writtenOut.back()) + 1);
  prober.probe(chosen, probes);
  std::set<std::string> names;
  for (const GradientProbe &probe : probes)
    for (const GradientProbe::Gradient &gradient : probe.gradients)
      names.insert(gradient.output.substr(5));
  added.gradients.assign(names.begin(), names.end());
  model.entries.push_back(added);
  return added.name;
}

} // namespace weft
