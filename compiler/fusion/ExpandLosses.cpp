// Writes losses with reductions and pointwise ops, which existing kernels compute.
// Runs after whatever wants to see a loss as one op.
#include "Passes.h"
#include "dialect/Labels.h"
#include "fusion/LossArithmetic.h"

#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/WalkPatternRewriteDriver.h"

using namespace mlir;

namespace weft {

#define GEN_PASS_DEF_EXPANDLOSSESPASS
#include "Passes.h.inc"

namespace {

/// cross_entropy  →  max, exp, sum, log along the classes; gather of the label's logit; where for ignored rows
///
/// Sound because -ln p[y] = ln Σ e^(z - m) - (z[y] - m) for any m; m = max z keeps every exponential at most 1. The label of
/// an ignored row is replaced by 0 before it is used as an index, and its loss by 0 after: what stood between is not read.
struct ExpandCrossEntropy : OpRewritePattern<CrossEntropyOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(CrossEntropyOp op, PatternRewriter &b) const override {
    Location loc = op.getLoc();
    LossArithmetic m(b, op);
    Value z = m.wide(op.getLogits());
    Shape rows = shapeOf(op.getLabels()), kept = rows;
    kept.push_back(DimExpr(1));
    int64_t last = rows.size();

    Value ignored = ignoredLabels(b, op), index = reshapeTo(b, loc, labelIndices(b, op), kept);

    Value top = m.along<ReduceMaxOp>(z, {last}, true);
    Value shifted = m.sub(z, top);
    Value logSum = m.unary<LogOp>(m.along<ReduceSumOp>(m.unary<ExpOp>(shifted), {last}, true));
    Value picked = m.wide(GatherOp::create(b, loc, op.getLogits(), index, last));
    Value losses = m.sub(logSum, m.sub(picked, top));

    Value weight;
    Value classWeights;
    if (op.getClassWeights()) {
      Shape shape(rows.size(), DimExpr(1));
      shape.push_back(shapeOf(op.getLogits()).back());
      Value table = reshapeTo(b, loc, op.getClassWeights(), shape);
      classWeights = m.wide(table);
      weight = m.wide(GatherOp::create(b, loc, table, index, last));
      losses = m.mul(losses, weight);
    }
    double smoothing = op.getLabelSmoothing().convertToDouble();
    if (smoothing != 0) {
      Value logP = m.sub(shifted, logSum);
      Value uniform = m.along<ReduceMeanOp>(classWeights ? m.mul(logP, classWeights) : logP, {last}, true);
      losses = m.sub(m.scale(1 - smoothing, losses), m.scale(smoothing, uniform));
    }
    losses = reshapeTo(b, loc, losses, rows);
    if (ignored)
      losses = m.where(ignored, m.number(0), losses);

    Value result;
    if (op.getReduction() == "mean" && isAnyLabelLighter(op)) {
      result = m.quotient(m.sum(losses), m.sum(labelWeights(b, op, m.type())));
    } else {
      result = m.reduce(losses, op.getReduction());
    }
    b.replaceOp(op, m.narrow(result));
    return success();
  }
};

/// cross_entropy_grad  →  softmax, a comparison of labels with class numbers, products of each row with its factor
///
/// Sound because ∂(-ln p[y])/∂z = p - onehot(y) and ∂(-Σ w ln p)/∂z = p Σ w - w; a row that is ignored has the factor 0.
struct ExpandCrossEntropyGrad : OpRewritePattern<CrossEntropyGradOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(CrossEntropyGradOp op, PatternRewriter &b) const override {
    Location loc = op.getLoc();
    LossArithmetic m(b, op);
    Value z = m.wide(op.getLogits()), G = m.wide(op.getDloss());
    Shape rows = shapeOf(op.getLabels()), column = rows;
    column.push_back(DimExpr(1));
    int64_t last = rows.size();

    if (op.getReduction() == "none") {
      G = reshapeTo(b, loc, G, column);
    } else if (op.getReduction() == "mean") {
      Value total = totalWeight(m, b, op);
      G = m.where(GreaterOp::create(b, loc, total, m.number(0)), DivOp::create(b, loc, G, total), m.number(0));
    }
    if (Value ignored = ignoredLabels(b, op))
      G = m.where(reshapeTo(b, loc, ignored, column), m.number(0), G);

    Value p = SoftmaxOp::create(b, loc, z.getType(), z, last);
    Value classes = IotaOp::create(b, loc, tensorType({shapeOf(z).back()}, elementOf(op.getLabels())));
    Value hot = EqualOp::create(b, loc, reshapeTo(b, loc, op.getLabels(), column), classes);
    double smoothing = op.getLabelSmoothing().convertToDouble();
    Value weighted = op.getClassWeights() ? m.mul(reshapeTo(b, loc, labelWeights(b, op, m.type()), column), G) : G;
    Value dz = m.mul(m.where(hot, m.sub(p, m.number(1)), p), m.scale(1 - smoothing, weighted));
    if (smoothing != 0) {
      Value n = SizeOp::create(b, loc, RankedTensorType::get({}, m.type()), shapeOf(z).back().str()), w = op.getClassWeights();
      w = w ? m.wide(w) : w;
      Value even = w ? m.sub(m.mul(p, m.sum(w)), w) : m.sub(m.mul(p, n), m.number(1));
      dz = m.add(dz, m.mul(even, m.scale(smoothing, DivOp::create(b, loc, G, n))));
    }
    b.replaceOp(op, m.narrow(dz));
    return success();
  }
};

/// bce_with_logits  →  (1 - t) · x + (1 + (w - 1) · t) · softplus(-x)
///
/// Sound because -ln σ(x) = softplus(-x) and -ln(1 - σ(x)) = x + softplus(-x).
struct ExpandBceWithLogits : OpRewritePattern<BceWithLogitsOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(BceWithLogitsOp op, PatternRewriter &b) const override {
    LossArithmetic m(b, op);
    Value x = m.wide(op.getLogits()), t = m.wide(op.getTargets());
    Value softplus = m.unary<SoftplusOp>(m.unary<NegOp>(x));
    if (op.getPosWeight()) {
      Value extra = m.sub(m.wide(op.getPosWeight()), m.number(1));
      softplus = m.mul(m.add(m.mul(t, extra), m.number(1)), softplus);
    }
    Value losses = m.add(m.mul(m.sub(m.number(1), t), x), softplus);
    b.replaceOp(op, m.narrow(m.reduce(losses, op.getReduction())));
    return success();
  }
};

/// mse, l1, huber, kl_div  →  their formulas, element by element, and a reduction. Sound because they are the definitions.
struct ExpandMse : OpRewritePattern<MseOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(MseOp op, PatternRewriter &b) const override {
    LossArithmetic m(b, op);
    Value d = m.sub(m.wide(op.getPrediction()), m.wide(op.getTarget()));
    b.replaceOp(op, m.narrow(m.reduce(m.mul(d, d), op.getReduction())));
    return success();
  }
};

struct ExpandL1 : OpRewritePattern<L1Op> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(L1Op op, PatternRewriter &b) const override {
    LossArithmetic m(b, op);
    Value d = m.sub(m.wide(op.getPrediction()), m.wide(op.getTarget()));
    b.replaceOp(op, m.narrow(m.reduce(m.unary<AbsOp>(d), op.getReduction())));
    return success();
  }
};

struct ExpandHuber : OpRewritePattern<HuberOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(HuberOp op, PatternRewriter &b) const override {
    LossArithmetic m(b, op);
    double delta = op.getDelta().convertToDouble();
    Value d = m.sub(m.wide(op.getPrediction()), m.wide(op.getTarget())), size = m.unary<AbsOp>(d);
    Value isNear = LessEqualOp::create(b, op.getLoc(), size, m.number(delta));
    Value square = m.scale(0.5, m.mul(d, d)), line = m.scale(delta, m.sub(size, m.number(delta / 2)));
    b.replaceOp(op, m.narrow(m.reduce(m.where(isNear, square, line), op.getReduction())));
    return success();
  }
};

struct ExpandKlDiv : OpRewritePattern<KlDivOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(KlDivOp op, PatternRewriter &b) const override {
    LossArithmetic m(b, op);
    Value p = m.wide(op.getP()), logQ = m.wide(op.getLogQ());
    Value isZero = EqualOp::create(b, op.getLoc(), p, m.number(0));
    Value entropy = m.where(isZero, m.number(0), m.mul(p, m.unary<LogOp>(p)));
    b.replaceOp(op, m.narrow(m.reduce(m.sub(entropy, m.mul(p, logQ)), op.getReduction())));
    return success();
  }
};

struct ExpandLossesPass : impl::ExpandLossesPassBase<ExpandLossesPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<ExpandBceWithLogits, ExpandCrossEntropy, ExpandCrossEntropyGrad, ExpandHuber, ExpandKlDiv, ExpandL1, ExpandMse>(&getContext());
    walkAndApplyPatterns(getOperation(), std::move(patterns));
  }
};

} // namespace
} // namespace weft
