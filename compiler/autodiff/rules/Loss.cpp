// Gradients of the losses. Above each rule: the loss of one element, then its derivative; G is the gradient of the loss.
// Targets get their gradient too where they are floats that depend on a parameter.
#include "autodiff/rules/Expr.h"

using namespace mlir;

namespace weft {
namespace {

/// G of one element: the loss's gradient through its reduction.
Expr perElement(Gradients &g, Value loss, StringRef reduction, Expr x) {
  Expr G{g.of(loss), &g};
  SmallVector<int64_t> axes;
  for (int64_t i = 0; i < int64_t(x.shape().size()); ++i)
    axes.push_back(i);
  if (reduction == "mean")
    return G / Expr{x}.count(axes);
  return reduction == "batchmean" ? G / x.count({0}) : G;
}

Expr sign(Expr d) { return where(d > 0, 1, where(d < 0, -1, d.constant(0))); }

/// Losses of d = prediction - target: dprediction = G ℓ'(d), dtarget = -that.
template <typename Op, typename Derivative>
void difference(Op op, Gradients &g, Derivative derivative) {
  Expr x{op.getPrediction(), &g}, t{op.getTarget(), &g};
  Expr dx = perElement(g, op.getLoss(), op.getReduction(), x) * derivative(x - t);
  g.add(x, dx);
  if (g.needs(t))
    g.add(t, -dx);
}

// ℓ = d²: 2 d
void mseRule(MseOp op, Gradients &g) {
  difference(op, g, [](Expr d) { return d * 2; });
}
// ℓ = |d|: sign(d), 0 at 0
void l1Rule(L1Op op, Gradients &g) {
  difference(op, g, [](Expr d) { return sign(d); });
}
// ℓ = d²/2 where |d| ≤ δ, else δ (|d| - δ/2): d, δ sign(d)
void huberRule(HuberOp op, Gradients &g) {
  double delta = op.getDelta().convertToDouble();
  difference(op, g, [&](Expr d) { return where(abs(d) <= delta, d, sign(d) * delta); });
}
// ℓ = (1 - t) x + L ln(1 + e^-x), L = 1 + (w - 1) t: dx = 1 - t - L σ(-x); dt = (w - 1) ln(1 + e^-x) - x
void bceRule(BceWithLogitsOp op, Gradients &g) {
  Expr x{op.getLogits(), &g}, t{op.getTargets(), &g}, w{op.getPosWeight(), &g};
  if (w.v && g.needs(w))
    return g.missing("the pos_weight of 'weft.bce_with_logits'");
  Expr G = perElement(g, op.getLoss(), op.getReduction(), x);
  g.add(x, G * (w.v ? 1 - t - (1 + (w - 1) * t) * sigmoid(-x) : sigmoid(x) - t));
  if (g.needs(t))
    g.add(t, G * (w.v ? (w - 1) * (-x).unary<SoftplusOp>() - x : -x));
}
// ℓ = p ln p - p log_q: dlog_q = -p; dp = ln p + 1 - log_q, 0 where p = 0
void klDivRule(KlDivOp op, Gradients &g) {
  Expr q{op.getLogQ(), &g}, p{op.getP(), &g};
  Expr G = perElement(g, op.getLoss(), op.getReduction(), q);
  if (g.needs(q))
    g.add(q, -(G * p));
  if (g.needs(p))
    g.add(p, where(p > 0, G * (log(p) + 1 - q), 0));
}

// weft.cross_entropy_grad, an op for as long as passes want to see the two together
void crossEntropyRule(CrossEntropyOp op, Gradients &g) {
  if (op.getClassWeights() && g.needs(op.getClassWeights()))
    return g.missing("the class weights of 'weft.cross_entropy'");
  g.add(op.getLogits(), CrossEntropyGradOp::create(g.b, g.loc, op.getLogits().getType(), op.getLogits(), op.getLabels(), g.of(op.getLoss()),
                                                   op.getClassWeights(), op.getIgnoreIndex(), op.getLabelSmoothing(), op.getReduction()));
}

} // namespace

void registerLossRules(MLIRContext &context) {
  attach<MseOp, mseRule>(context);
  attach<L1Op, l1Rule>(context);
  attach<HuberOp, huberRule>(context);
  attach<BceWithLogitsOp, bceRule>(context);
  attach<KlDivOp, klDivRule>(context);
  attach<CrossEntropyOp, crossEntropyRule>(context);
}

} // namespace weft
