// A model of one node, built by hand: what tests of the interpreter run without a reader.
// The declared result types are those of the expected results.
#ifndef WEFT_REFERENCE_ONENODE_H
#define WEFT_REFERENCE_ONENODE_H

#include "Reference.h"

namespace weft::reference {

inline std::vector<DimExpr> sizes(const std::vector<int64_t> &shape) { return {shape.begin(), shape.end()}; }

struct OneNode {
  ModelDesc model;
  RunOptions options;

  /// Operands without a value (nullopt) are left out.
  OneNode(const std::string &op, std::map<std::string, AttrValue> attrs, const std::vector<std::optional<Tensor>> &operands,
          const std::vector<std::pair<std::string, Tensor>> &parameters, const std::vector<TensorType> &results) {
    Node node;
    node.id = node.path = "n";
    node.op = op;
    node.attrs = std::move(attrs);
    for (const std::optional<Tensor> &operand : operands) {
      if (!operand) {
        node.operands.push_back(kNoValue);
        continue;
      }
      InputDesc input;
      input.name = "x" + std::to_string(node.operands.size());
      input.type = {operand->dtype, sizes(operand->shape)};
      input.value = value(input.name, input.type);
      node.operands.push_back(input.value);
      options.inputs[input.name] = *operand;
      model.inputs.push_back(input);
    }
    for (const auto &[role, tensor] : parameters) {
      ParamTensor param;
      param.name = "n." + role;
      param.shape = tensor.shape;
      node.params.push_back({role, param.name, {}, {static_cast<int32_t>(model.tensors.size())}});
      model.tensors.push_back(param);
      options.parameters[param.name] = tensor;
    }
    for (const TensorType &type : results) {
      std::string name = "y" + std::to_string(node.results.size());
      node.results.push_back(value(name, type));
      model.outputs.push_back({name, node.results.back(), {}});
    }
    model.graph.nodes.push_back(std::move(node));
  }

  ValueId value(const std::string &name, const TensorType &type) {
    model.graph.values.push_back({name, type, {}});
    return static_cast<ValueId>(model.graph.values.size()) - 1;
  }
};

}  // namespace weft::reference

#endif  // WEFT_REFERENCE_ONENODE_H
