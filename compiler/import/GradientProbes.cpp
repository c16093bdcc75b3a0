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

  void writeOut(const std::string &path) {
    for (std::vector<Node> *nodes : {&model.graph.nodes, &model.train->nodes}) {
      std::vector<Node> written;
      for (Node &node : *nodes) {
        if (node.path != path || !node.body) {
          written.push_back(std::move(node));
          continue;
        }
        std::vector<ValueId> given = node.operands, last;
        for (int64_t round = 0; round < node.count; ++round) {
          last = writeOutRound(model.graph, node, round, given, written);
          for (size_t i = 0; i < node.carry.size(); ++i)
            given[size_t(node.carry[i])] = last[i];
        }
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

  /// `within`: the beginning of the paths of nodes to probe.
  void probe(const std::string &within, GradientPiece &piece, std::vector<GradientProbe> &probes) {
    for (const std::vector<Node> *nodes : {&model.graph.nodes, &model.train->nodes})
      for (const Node &node : *nodes)
        countUses(node, uses);
    std::vector<std::pair<const Node *, std::set<int32_t>>> candidates;
    for (const std::vector<Node> *nodes : {&model.graph.nodes, &model.train->nodes})
      for (const Node &node : *nodes) {
        std::set<int32_t> tensors;
        collect(node, tensors);
        if (tensors.empty() && std::none_of(node.operands.begin(), node.operands.end(), [&](ValueId v) { return varied.count(v); }))
          continue;
        for (ValueId result : node.results)
          if (isFloat(model.graph.values[size_t(result)].type.dtype))
            varied.insert(result);
        if (node.path.compare(0, within.size(), within) == 0)
          candidates.emplace_back(&node, std::move(tensors));
      }
    const size_t end = std::min(piece.end, candidates.size());
    size_t begin = end;
    for (int64_t left = piece.bytes; begin > 0; --begin) {
      const int64_t bytes = gradientBytes(*candidates[begin - 1].first, candidates[begin - 1].second, piece);
      if (begin < end && bytes > left)
        break;
      left -= std::min(bytes, left);
    }
    piece.end = begin;
    const std::map<const Node *, std::set<int32_t>> chosen(candidates.begin() + std::ptrdiff_t(begin), candidates.begin() + std::ptrdiff_t(end));
    for (std::vector<Node> *nodes : {&model.graph.nodes, &model.train->nodes}) {
      std::vector<Node> all;
      for (Node &node : *nodes) {
        if (auto found = chosen.find(&node); found != chosen.end())
          probes.push_back(probeOf(node, found->second, all));
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

  void countUses(const Node &node, std::map<int32_t, int> &counts) const {
    std::set<int32_t> tensors;
    collect(node, tensors);
    for (int32_t tensor : tensors)
      ++counts[tensor];
  }

  /// Not more than all of the piece's.
  int64_t gradientBytes(const Node &node, const std::set<int32_t> &tensors, const GradientPiece &piece) const {
    double bytes = 0; // a sum of products that may be of any size
    for (ValueId operand : node.operands)
      if (operand != kNoValue && varied.count(operand)) {
        const TensorType &type = model.graph.values[size_t(operand)].type;
        double elements = 1;
        for (const DimExpr &size : type.shape)
          elements *= double(size.evaluate(piece.sizes).value_or(piece.bytes));
        bytes += elements * (type.dtype == DType::f64 ? 8 : 4);
      }
    for (int32_t tensor : tensors) {
      double elements = 1;
      for (int64_t size : model.tensors[size_t(tensor)].shape)
        elements *= double(size);
      bytes += elements * 4;
    }
    return int64_t(std::min(bytes, double(piece.bytes)));
  }

  GradientProbe probeOf(Node &node, const std::set<int32_t> &tensors, std::vector<Node> &before) {
    GradientProbe probe;
    probe.path = node.path;
    probe.pos = node.pos;
    probe.nodes = writtenNodes(node);
    probe.isRepeat = bool(node.body);
    for (ValueId &operand : node.operands)
      if (operand != kNoValue && varied.count(operand)) {
        const std::string name = model.graph.values[size_t(operand)].name;
        operand = shifted(operand, node.pos, before);
        probe.gradients.push_back({"grad." + model.inputs.back().name, "operand " + quote(name), false});
      }
    for (int32_t tensor : tensors) {
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
  Prober prober(model, *named(entry));
  for (const std::string &path : writtenOut)
    prober.writeOut(path);
  prober.probe(writtenOut.empty() ? "" : writtenOut.back() + "[", piece, probes);
  std::set<std::string> names;
  for (const GradientProbe &probe : probes)
    for (const GradientProbe::Gradient &gradient : probe.gradients)
      names.insert(gradient.output.substr(5));
  added.gradients.assign(names.begin(), names.end());
  model.entries.push_back(added);
  return added.name;
}

} // namespace weft
