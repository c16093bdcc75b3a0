// Result types and rules of the losses: a scalar, or the shape of the elements with reduction "none".
// The rules stand in the inference, which the verifier runs.
#include "dialect/OpRules.h"

using namespace mlir;

namespace weft {
using namespace rules;
namespace {

LogicalResult inferLoss(std::optional<Location> loc, StringRef reduction, bool batchmean, const Shape &shape, Type element,
                        SmallVectorImpl<Type> &inferred) {
  if (reduction == "batchmean" && batchmean && shape.empty())
    return emitOptionalError(loc, "expected a batch axis for reduction 'batchmean' but got a scalar");
  if (reduction != "mean" && reduction != "sum" && reduction != "none" && !(reduction == "batchmean" && batchmean))
    return emitOptionalError(loc, "expected reduction 'mean', 'sum'", batchmean ? ", 'none' or 'batchmean'" : " or 'none'", " but got '",
                             reduction, "'");
  inferred.push_back(tensorType(reduction == "none" ? shape : Shape(), element));
  return success();
}

LogicalResult inferPair(std::optional<Location> loc, Value x, Value y, StringRef reduction, bool batchmean,
                        SmallVectorImpl<Type> &inferred) {
  if (x.getType() != y.getType())
    return emitOptionalError(loc, "expected operands of one type but got ", x.getType(), " and ", y.getType());
  return inferLoss(loc, reduction, batchmean, shapeOf(x), elementOf(x), inferred);
}

LogicalResult inferCrossEntropy(std::optional<Location> loc, Value logits, Value labels, Value classWeights, double smoothing, StringRef reduction,
                                SmallVectorImpl<Type> &inferred) {
  Shape rows = shapeOf(logits);
  if (rows.empty())
    return emitOptionalError(loc, "expected logits of rank 1 or more but got a scalar");
  DimExpr classes = rows.pop_back_val();
  if (shapeOf(labels) != rows)
    return emitOptionalError(loc, "expected labels of shape ", text(rows), " but got ", text(shapeOf(labels)));
  Type weights = tensorType({classes}, elementOf(logits));
  if (classWeights && classWeights.getType() != weights)
    return emitOptionalError(loc, "expected class_weights ", weights, " but got ", classWeights.getType());
  if (!(smoothing >= 0 && smoothing <= 1))
    return emitOptionalError(loc, "expected label_smoothing in [0, 1] but got ", smoothing);
  return inferLoss(loc, reduction, false, rows, elementOf(logits), inferred);
}

} // namespace

#define WEFT_INFER(Op) \
  LogicalResult Op::inferReturnTypes(MLIRContext *, std::optional<Location> loc, Op::Adaptor a, SmallVectorImpl<Type> &inferred)

WEFT_INFER(CrossEntropyOp) {
  return inferCrossEntropy(loc, a.getLogits(), a.getLabels(), a.getClassWeights(), a.getLabelSmoothing().convertToDouble(), a.getReduction(), inferred);
}

LogicalResult CrossEntropyGradOp::verify() {
  SmallVector<Type> loss;
  if (failed(inferCrossEntropy(getLoc(), getLogits(), getLabels(), getClassWeights(), getLabelSmoothing().convertToDouble(), getReduction(), loss)))
    return failure();
  if (getDloss().getType() != loss.front())
    return emitOpError() << "expected dloss of type " << loss.front() << " but got " << getDloss().getType();
  if (getDlogits().getType() != getLogits().getType())
    return emitOpError() << "expected a result of type " << getLogits().getType() << " but got " << getDlogits().getType();
  return success();
}

WEFT_INFER(BceWithLogitsOp) {
  if (Value weight = a.getPosWeight()) {
    Shape x = shapeOf(a.getLogits()), w = shapeOf(weight);
    if (elementOf(weight) != elementOf(a.getLogits()) || !(w.empty() || (!x.empty() && w == Shape{x.back()})))
      return emitOptionalError(loc, "expected pos_weight ", elementOf(a.getLogits()), " of shape []", x.empty() ? "" : " or " + text({x.back()}),
                               " but got ", weight.getType());
  }
  return inferPair(loc, a.getLogits(), a.getTargets(), a.getReduction(), false, inferred);
}

WEFT_INFER(HuberOp) {
  if (!(a.getDelta().convertToDouble() > 0))
    return emitOptionalError(loc, "expected a delta above 0 but got ", a.getDelta().convertToDouble());
  return inferPair(loc, a.getPrediction(), a.getTarget(), a.getReduction(), false, inferred);
}

WEFT_INFER(KlDivOp) { return inferPair(loc, a.getLogQ(), a.getP(), a.getReduction(), true, inferred); }
WEFT_INFER(L1Op) { return inferPair(loc, a.getPrediction(), a.getTarget(), a.getReduction(), false, inferred); }
WEFT_INFER(MseOp) { return inferPair(loc, a.getPrediction(), a.getTarget(), a.getReduction(), false, inferred); }

} // namespace weft
