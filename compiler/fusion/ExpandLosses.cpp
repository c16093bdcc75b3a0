// Writes losses with reductions and pointwise ops, which existing kernels compute.
// Runs after whatever wants to see a loss as one op.
#include "Passes.h"
#include "fusion/Labels.h"
#include "fusion/Values.h"

#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/WalkPatternRewriteDriver.h"

using namespace mlir;

namespace weft {

#define GEN_PASS_DEF_EXPANDLOSSESPASS
#include "Passes.h.inc"

namespace {

/// Arithmetic on values of one float type: f64 for f64, f32 for all else, rounded once at the end.
class Arithmetic {
public:
  Arithmetic(OpBuilder &b, Operation *loss)
      : b(b), loc(loss->getLoc()), loss(loss), given(elementOf(loss->getResult(0))), f(given.isF64() ? given : b.getF32Type()) {}

  Type type() const { return f; }
  Value wide(Value x) { return cast(x, f); }
  Value narrow(Value x) { return cast(x, given); }
  Value number(double value) { return floatConstant(b, loc, f, value); }

  Value add(Value x, Value y) { return AddOp::create(b, loc, x, y); }
  Value sub(Value x, Value y) { return SubOp::create(b, loc, x, y); }
  Value mul(Value x, Value y) { return MulOp::create(b, loc, x, y); }
  Value scale(double factor, Value x) { return factor == 1 ? x : mul(x, number(factor)); }
  Value where(Value condition, Value x, Value y) { return WhereOp::create(b, loc, condition, x, y); }
  template <class Op> Value unary(Value x) { return Op::create(b, loc, x.getType(), x); }
  template <class Op> Value along(Value x, ArrayRef<int64_t> axes, bool keepdim = false) { return Op::create(b, loc, x, axes, keepdim); }

  Value sum(Value x) { return along<ReduceSumOp>(x, axesFrom(x, 0)); }

  /// Σ x / n, 0 if n is 0. n: all elements, or the size of axis 0 with `perBatch`.
  Value mean(Value x, bool perBatch) {
    Shape counted = shapeOf(x);
    if (perBatch) {
      x = along<ReduceSumOp>(x, axesFrom(x, 1));
      counted.truncate(1);
    }
    if (isNeverEmpty(counted))
      return along<ReduceMeanOp>(x, axesFrom(x, 0));
    return quotient(sum(x), SizeOp::create(b, loc, RankedTensorType::get({}, f), elementCount(counted).str()));
  }

  /// x / n, x if n is 0.
  Value quotient(Value x, Value n) {
    Value none = EqualOp::create(b, loc, n, number(0));
    return DivOp::create(b, loc, x, where(none, number(1), n));
  }

  /// By the word of the format; `mean` and `batchmean` divide by numbers of elements.
  Value reduce(Value losses, StringRef how) {
    if (how == "none")
      return losses;
    return how == "sum" ? sum(losses) : mean(losses, how == "batchmean");
  }

private:
  Value cast(Value x, Type element) {
    RankedTensorType type = tensorType(shapeOf(x), element);
    return x.getType() == type ? x : Value(CastOp::create(b, loc, type, x));
  }

  static SmallVector<int64_t> axesFrom(Value x, int64_t first) {
    return llvm::to_vector(llvm::seq<int64_t>(first, typeOf(x).getRank()));
  }

  /// True if sizes are at least 1 whatever the dims are.
  bool isNeverEmpty(ArrayRef<DimExpr> shape) {
    return llvm::all_of(shape, [&](const DimExpr &size) {
      if (std::optional<int64_t> constant = size.constant())
        return *constant > 0;
      std::optional<std::string> name = size.name();
      auto dim = name ? SymbolTable::lookupNearestSymbolFrom<DimOp>(loss, b.getStringAttr(*name)) : nullptr;
      return dim && dim.getMin() > 0;
    });
  }

  OpBuilder &b;
  Location loc;
  Operation *loss;
  Type given, f;
};

/// cross_entropy  →  max, exp, sum, log along the classes; gather of the label's logit; where for ignored rows
///
/// Sound because -ln p[y] = ln Σ e^(z - m) - (z[y] - m) for any m; m = max z keeps every exponential at most 1. The label of
/// an ignored row is replaced by 0 before it is used as an index, and its loss by 0 after: what stood between is not read.
struct ExpandCrossEntropy : OpRewritePattern<CrossEntropyOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(CrossEntropyOp op, PatternRewriter &b) const override {
    Location loc = op.getLoc();
    Arithmetic m(b, op);
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

/// bce_with_logits  →  (1 - t) · x + (1 + (w - 1) · t) · softplus(-x)
///
/// Sound because -ln σ(x) = softplus(-x) and -ln(1 - σ(x)) = x + softplus(-x).
struct ExpandBceWithLogits : OpRewritePattern<BceWithLogitsOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(BceWithLogitsOp op, PatternRewriter &b) const override {
    Arithmetic m(b, op);
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
    Arithmetic m(b, op);
    Value d = m.sub(m.wide(op.getPrediction()), m.wide(op.getTarget()));
    b.replaceOp(op, m.narrow(m.reduce(m.mul(d, d), op.getReduction())));
    return success();
  }
};

struct ExpandL1 : OpRewritePattern<L1Op> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(L1Op op, PatternRewriter &b) const override {
    Arithmetic m(b, op);
    Value d = m.sub(m.wide(op.getPrediction()), m.wide(op.getTarget()));
    b.replaceOp(op, m.narrow(m.reduce(m.unary<AbsOp>(d), op.getReduction())));
    return success();
  }
};

struct ExpandHuber : OpRewritePattern<HuberOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(HuberOp op, PatternRewriter &b) const override {
    Arithmetic m(b, op);
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
    Arithmetic m(b, op);
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
    patterns.add<ExpandBceWithLogits, ExpandCrossEntropy, ExpandHuber, ExpandKlDiv, ExpandL1, ExpandMse>(&getContext());
    walkAndApplyPatterns(getOperation(), std::move(patterns));
  }
};

} // namespace
} // namespace weft
