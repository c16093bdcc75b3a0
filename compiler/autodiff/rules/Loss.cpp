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

// ℓ = -(1-ε) w[y] ln p[y] - ε/K Σ_k w[k] ln p[k] over the rows whose label y is not ignored, p = softmax z:
// dz = (1-ε) w[y] (p - onehot(y)) + ε/K (p Σ w - w), times G, over Σ w[y] for "mean"
void crossEntropyRule(CrossEntropyOp op, Gradients &g) {
  Value weights = op.getClassWeights();
  if (weights && g.needs(weights))
    return g.missing("the class weights of 'weft.cross_entropy'");
  Expr given{op.getLogits(), &g}, y{op.getLabels(), &g};
  Type element = given.element().isF64() ? given.element() : Type(g.b.getF32Type());
  Expr z = given.cast(element);
  Shape shape = z.shape(), column = y.shape();
  DimExpr K = shape.back();
  int64_t last = int64_t(shape.size()) - 1;
  column.push_back(DimExpr(1));
  y = y.reshape(column);
  Expr labels{IotaOp::create(g.b, g.loc, tensorType({K}, y.element())), &g};
  Expr hot = equal(y, labels).cast(element);
  Expr valid = y.binary<NotEqualOp>(y.constant(double(int64_t(op.getIgnoreIndex())))).cast(element);
  Expr w = weights ? Expr{weights, &g}.cast(element) : hot;
  Expr row = weights ? (hot * w).sum({last}) * valid : valid;

  Expr G = Expr{g.of(op.getLoss()), &g}.cast(element);
  if (op.getReduction() == "none") {
    G = G.reshape(column);
  } else if (op.getReduction() == "mean") {
    SmallVector<int64_t> all;
    for (int64_t i = 0; i <= last; ++i)
      all.push_back(i);
    Expr total = row.sum(all, /*keepdim=*/false);
    G = where(total > 0, G / total, 0);
  }
  double smoothing = op.getLabelSmoothing().convertToDouble();
  Expr p = {SoftmaxOp::create(g.b, g.loc, z.v.getType(), z.v, last), &g};
  Expr dz = (p - hot) * (row * G * (1 - smoothing));
  if (smoothing != 0) {
    Expr n = z.count({last});
    Expr even = weights ? p * w.sum({0}, false) - w : p * n - 1;
    dz = dz + even * (valid * G * (smoothing / n));
  }
  g.add(given, dz.cast(given.element()));
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
