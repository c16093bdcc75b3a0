// The losses of train.nodes, one dialect op each.
// Lists of numbers become constants: factors of classes and of positive targets.
#include "import/ImportNode.h"
#include "import/NodeAttrs.h"

using namespace mlir;

namespace weft {

/// Null if the node is no loss.
Value EntryImporter::loss(const Node &node, ArrayRef<Value> in) {
  NodeAttrs attrs{node};
  Location loc = location(node);
  std::string reduction = attrs.word("reduction");
  auto factors = [&](const char *name, ArrayRef<DimExpr> shape) {
    return numbers(loc, attrs.reals(name), tensorType(shape, cast<RankedTensorType>(in[0].getType()).getElementType()));
  };
  if (node.op == "cross_entropy") {
    Value weights = in.size() > 2 ? in[2] : Value();
    if (attrs.has("class_weights"))
      weights = factors("class_weights", {shapeOf(in[0]).back()});
    return CrossEntropyOp::create(b, loc, in[0], in[1], weights, attrs.integer("ignore_index", -100),
                                  APFloat(attrs.real("label_smoothing")), reduction);
  }
  if (node.op == "bce_with_logits") {
    std::vector<double> weights = attrs.reals("pos_weight");
    bool isList = std::holds_alternative<std::vector<double>>(*attrs.find("pos_weight")), isOne = !isList && weights[0] == 1;
    Value weight = isOne ? Value() : factors("pos_weight", isList ? ArrayRef<DimExpr>(shapeOf(in[0]).back()) : ArrayRef<DimExpr>());
    return BceWithLogitsOp::create(b, loc, in[0], in[1], weight, reduction);
  }
  if (node.op == "huber")
    return HuberOp::create(b, loc, in[0], in[1], APFloat(attrs.real("delta", 1)), reduction);
  if (node.op == "mse")
    return MseOp::create(b, loc, in[0], in[1], reduction);
  if (node.op == "l1")
    return L1Op::create(b, loc, in[0], in[1], reduction);
  if (node.op == "kl_div")
    return KlDivOp::create(b, loc, in[0], in[1], reduction);
  return {};
}

}  // namespace weft
