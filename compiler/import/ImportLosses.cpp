// The losses of train.nodes, one dialect op each.
// Lists of numbers become constants: factors of classes and of positive targets.
#include "import/ImportNode.h"

using namespace mlir;

namespace weft {

Values EntryImporter::loss(const NodeCall &c) {
  StringRef op = c.op();
  Location loc = c.loc;
  std::string reduction = c.attrs.word("reduction");
  auto factors = [&](const char *name, ArrayRef<DimExpr> shape) { return numbers(loc, c.attrs.reals(name), tensorType(shape, c.element())); };
  if (op == "cross_entropy") {
    Value weights = c.operand(2);
    if (c.attrs.has("class_weights"))
      weights = factors("class_weights", {shapeOf(c.in[0]).back()});
    auto result = CrossEntropyOp::create(b, loc, c.in[0], c.in[1], weights, c.attrs.integer("ignore_index", -100),
                                         APFloat(c.attrs.real("label_smoothing")), reduction);
    if (!weight)
      weight = batchWeight(model);
    if (weight->counted == &c.node)
      result->setAttr("weft.counts_batch", b.getUnitAttr());
    return {result};
  }
  if (op == "bce_with_logits") {
    std::vector<double> weights = c.attrs.reals("pos_weight");
    bool isList = std::holds_alternative<std::vector<double>>(*c.attrs.find("pos_weight")), isOne = !isList && weights[0] == 1;
    Value weight = isOne ? Value() : factors("pos_weight", isList ? ArrayRef<DimExpr>(shapeOf(c.in[0]).back()) : ArrayRef<DimExpr>());
    return {BceWithLogitsOp::create(b, loc, c.in[0], c.in[1], weight, reduction)};
  }
  if (op == "huber")
    return {HuberOp::create(b, loc, c.in[0], c.in[1], APFloat(c.attrs.real("delta", 1)), reduction)};
  if (op == "mse")
    return {MseOp::create(b, loc, c.in[0], c.in[1], reduction)};
  if (op == "l1")
    return {L1Op::create(b, loc, c.in[0], c.in[1], reduction)};
  if (op == "kl_div")
    return {KlDivOp::create(b, loc, c.in[0], c.in[1], reduction)};
  return {};
}

}  // namespace weft
