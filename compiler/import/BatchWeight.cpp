// A walk from the loss over what keeps a weighted mean one: sums, and factors that no batch changes.
#include "import/BatchWeight.h"

#include <algorithm>
#include <set>
#include <tuple>

namespace weft {
namespace {

using Labels = std::tuple<ValueId, ValueId, int64_t, std::vector<double>>; ///< which, weights, the ignored one, weights as a list

bool isMeanCrossEntropy(const Node &node) { return node.op == "cross_entropy" && std::get<std::string>(node.attrs.at("reduction")) == "mean"; }

Labels labelsOf(const Node &node) {
  auto weights = node.attrs.find("class_weights");
  return {node.operands[1], node.operands.size() > 2 ? node.operands[2] : kNoValue, std::get<int64_t>(node.attrs.at("ignore_index")),
          weights == node.attrs.end() ? std::vector<double>() : std::get<std::vector<double>>(weights->second)};
}

/// A graph may be a chain of a million nodes, so nothing here calls itself.
class Walk {
public:
  explicit Walk(const ModelDesc &model) : model(model) {
    for (const std::vector<InputDesc> *inputs : {&model.inputs, &model.train->inputs})
      for (const InputDesc &input : *inputs)
        varied.insert(input.value);
    for (const std::vector<Node> *nodes : {&model.graph.nodes, &model.train->nodes})
      for (const Node &node : *nodes)
        for (ValueId result : node.results) {
          producers[result] = &node;
          if (varies(node, result))
            varied.insert(result);
        }
  }

  BatchWeight run() const {
    BatchWeight weight;
    std::vector<const Node *> means;
    if (isSumOfMeans(means) && std::all_of(means.begin(), means.end(), [&](const Node *other) { return labelsOf(*other) == labelsOf(*means.front()); }))
      weight.counted = means.front();
    else
      weight.uncounted = lighterOne();
    return weight;
  }

private:
  /// Whether a value may differ from batch to batch: it depends on an input or on a size, or is drawn.
  bool varies(const Node &node, ValueId result) const {
    const std::vector<DimExpr> &shape = model.graph.values[size_t(result)].type.shape;
    return node.op == "dropout" || variesByAttr(node) || std::any_of(shape.begin(), shape.end(), [](const DimExpr &size) { return !size.constant(); }) ||
           std::any_of(node.operands.begin(), node.operands.end(), [&](ValueId operand) { return varied.count(operand); });
  }

  static bool variesByAttr(const Node &node) {
    return std::any_of(node.attrs.begin(), node.attrs.end(), [](const auto &attr) {
      auto *size = std::get_if<DimExpr>(&attr.second);
      return size && !size->constant();
    });
  }

  /// The means that the loss is a sum of, with factors that no batch changes. False if it is anything else.
  bool isSumOfMeans(std::vector<const Node *> &means) const {
    std::vector<ValueId> work = {model.train->loss};
    std::set<ValueId> seen;
    while (!work.empty()) {
      const ValueId value = work.back();
      work.pop_back();
      if (!varied.count(value) || !seen.insert(value).second)
        continue;
      auto found = producers.find(value);
      if (found == producers.end())
        return false;
      const Node &node = *found->second;
      if (isMeanCrossEntropy(node)) {
        means.push_back(&node);
        continue;
      }
      const bool isSum = node.op == "add" || node.op == "sub" || node.op == "neg" || node.op == "cast";
      const bool isScaled = (node.op == "mul" || (node.op == "div" && varied.count(node.operands[0]))) &&
                            std::count_if(node.operands.begin(), node.operands.end(), [&](ValueId operand) { return varied.count(operand); }) == 1;
      if ((!isSum && !isScaled) || variesByAttr(node))
        return false;
      work.insert(work.end(), node.operands.begin(), node.operands.end());
    }
    return !means.empty();
  }

  /// A mean behind the loss of which some label may count more or less than others. A range that is checked on every call may
  /// say that none is ignored.
  const Node *lighterOne() const {
    std::vector<ValueId> work = {model.train->loss};
    std::set<ValueId> seen;
    while (!work.empty()) {
      const ValueId value = work.back();
      work.pop_back();
      auto found = producers.find(value);
      if (!seen.insert(value).second || found == producers.end())
        continue;
      const Node &node = *found->second;
      if (isMeanCrossEntropy(node) && isLighter(node))
        return &node;
      work.insert(work.end(), node.operands.begin(), node.operands.end());
    }
    return nullptr;
  }

  bool isLighter(const Node &node) const {
    const auto &[labels, weights, ignored, classWeights] = labelsOf(node);
    if (weights != kNoValue || !classWeights.empty())
      return true;
    for (const std::vector<InputDesc> *inputs : {&model.inputs, &model.train->inputs})
      for (const InputDesc &input : *inputs)
        if (input.value == labels && input.hasRange)
          return ignored >= input.low && ignored <= input.high;
    return true;
  }

  const ModelDesc &model;
  std::map<ValueId, const Node *> producers;
  std::set<ValueId> varied;
};

} // namespace

BatchWeight batchWeight(const ModelDesc &model) { return model.train ? Walk(model).run() : BatchWeight(); }

} // namespace weft
