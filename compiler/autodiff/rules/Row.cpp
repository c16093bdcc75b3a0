// Gradients of reductions, normalisations and pooling. Above each rule: the op, then its derivative; G is the gradient of
// the result y. Statistics of a row are computed again from x, in the kernel that reads x anyway.
#include "autodiff/rules/Expr.h"

using namespace mlir;

namespace weft {
namespace {

/// y or its gradient with the reduced axes put back, size 1.
Expr kept(Expr y, Value x, ArrayRef<int64_t> axes) {
  Shape shape = shapeOf(x);
  for (int64_t axis : axes)
    shape[axis] = DimExpr(1);
  return y.reshape(shape);
}

// y = Σ x: G to every element
void sumRule(ReduceSumOp op, Gradients &g) {
  g.add(op.getX(), kept({g.of(op.getY()), &g}, op.getX(), op.getAxes()));
}
// y = Σ x / n: G / n
void meanRule(ReduceMeanOp op, Gradients &g) {
  Expr x{op.getX(), &g};
  g.add(x, kept({g.of(op.getY()), &g}, x, op.getAxes()) / x.count(op.getAxes()));
}
// y = max x (min x): G shared by the elements that equal it
template <typename Op>
void extremeRule(Op op, Gradients &g) {
  Expr x{op.getX(), &g};
  Expr G = kept({g.of(op.getY()), &g}, x, op.getAxes()), y = kept({op.getY(), &g}, x, op.getAxes());
  Expr hit = equal(x, y).cast(x.element());
  g.add(x, hit * (G / hit.sum(op.getAxes())));
}
// y = Σ (x - μ)² / m, m = n or n - 1: 2 (x - μ) / m
void varRule(VarOp op, Gradients &g) {
  Expr x{op.getX(), &g}, G = kept({g.of(op.getY()), &g}, x, op.getAxes());
  Expr m = x.count(op.getAxes());
  if (op.getUnbiased())
    m = m - 1;
  g.add(x, G * (x - x.mean(op.getAxes())) * (2 / m));
}
// y = softmax x: y (G - Σ G y)
void softmaxRule(SoftmaxOp op, Gradients &g) {
  Expr y{op.getY(), &g}, G{g.of(op.getY()), &g};
  g.add(op.getX(), y * (G - (G * y).sum({int64_t(op.getAxis())})));
}
// y = ln softmax x: G - e^y Σ G
void logSoftmaxRule(LogSoftmaxOp op, Gradients &g) {
  Expr y{op.getY(), &g}, G{g.of(op.getY()), &g};
  g.add(op.getX(), G - exp(y) * G.sum({int64_t(op.getAxis())}));
}
// y = x / n, n = max(‖x‖, eps): (G - y Σ G y) / n, where eps rules G / n
void l2NormalizeRule(L2NormalizeOp op, Gradients &g) {
  int64_t axis = op.getAxis();
  double eps = op.getEps().convertToDouble();
  Expr x{op.getX(), &g}, y{op.getY(), &g}, G{g.of(op.getY()), &g};
  Expr norm = sqrt((x * x).sum({axis}));
  g.add(x, (G - y * where(norm > eps, (G * y).sum({axis}), 0)) / maximum(norm, eps));
}

/// Sum of a gradient over all axes but `axis`: for a weight or bias along that axis.
void addAlong(Gradients &g, Value parameter, Expr gradient, int64_t axis) {
  if (!parameter || !g.needs(parameter))
    return;
  SmallVector<int64_t> axes;
  for (int64_t i = 0; i < int64_t(gradient.shape().size()); ++i)
    if (i != axis)
      axes.push_back(i);
  g.add(parameter, axes.empty() ? gradient : gradient.sum(axes, /*keepdim=*/false));
}

/// A vector along `axis` of x, shaped to broadcast with it.
Expr along(Gradients &g, Value vector, Value x, int64_t axis) {
  Shape shape(shapeOf(x).size() - axis, DimExpr(1));
  shape[0] = shapeOf(vector)[0];
  return Expr{vector, &g}.reshape(shape);
}

// x̂ = (x - μ) r, y = x̂ w + b, r = 1/√(σ² + eps), σ² = Σ (x - μ)² / m, m = n or n - 1, H = G w:
// dx = r (H - mean H) - r x̂ Σ H x̂ / m; dw = Σ G x̂; db = Σ G
// eps outside, r = 1/(σ + eps): dx = r (H - mean H) - x̂ Σ H x̂ / (m σ)
void layerNormRule(LayerNormOp op, Gradients &g) {
  int64_t axis = op.getAxis();
  Expr x{op.getX(), &g}, G{g.of(op.getY()), &g};
  double eps = op.getEps().convertToDouble();
  Expr centred = x - x.mean({axis}), m = x.count({axis});
  if (op.getUnbiased())
    m = m - 1;
  Expr variance = (centred * centred).sum({axis}) / m;
  Expr deviation = op.getEpsOutside() ? sqrt(variance) : variance;
  Expr r = op.getEpsOutside() ? 1 / (deviation + eps) : rsqrt(variance + eps);
  Expr hat = centred * r;
  if (g.needs(x)) {
    Expr H = op.getWeight() ? G * along(g, op.getWeight(), x, axis) : G;
    Expr slope = (H * hat).sum({axis}) / m;
    slope = op.getEpsOutside() ? where(deviation > 0, slope / deviation, 0) : slope * r;
    g.add(x, r * (H - H.mean({axis})) - hat * slope);
  }
  addAlong(g, op.getWeight(), op.getWeight() && g.needs(op.getWeight()) ? G * hat : G, axis);
  addAlong(g, op.getBias(), G, axis);
}
// x̂ = x r, y = x̂ w, r = 1/√(mean x² + eps), H = G w: dx = r (H - x̂ mean(H x̂)); dw = Σ G x̂
void rmsNormRule(RmsNormOp op, Gradients &g) {
  Expr x{op.getX(), &g}, G{g.of(op.getY()), &g}, w{op.getWeight(), &g};
  int64_t axis = int64_t(x.shape().size()) - 1;
  Expr r = rsqrt((x * x).mean({axis}) + op.getEps().convertToDouble());
  Expr hat = x * r;
  if (g.needs(x)) {
    Expr H = G * w;
    g.add(x, r * (H - hat * (H * hat).mean({axis})));
  }
  if (g.needs(w))
    addAlong(g, w, G * hat, axis);
}

/// The mask [B, T] of a pooling as [B, T, 1] numbers, or null.
Expr positions(Gradients &g, Value mask, Value x) {
  if (!mask)
    return {Value(), &g};
  Shape shape = shapeOf(mask);
  shape.push_back(DimExpr(1));
  return Expr{mask, &g}.cast(cast<RankedTensorType>(x.getType()).getElementType()).reshape(shape);
}
// y = Σ_t m x / max(Σ_t m, 1): m / max(Σ m, 1)
void meanPoolRule(MeanPoolOp op, Gradients &g) {
  Expr x{op.getX(), &g}, G = kept({g.of(op.getY()), &g}, x, {1}), m = positions(g, op.getMask(), x);
  if (m.v)
    g.add(x, m * (G / maximum(m.sum({1}), 1)));
  else
    g.add(x, G / x.count({1}));
}
// y = max_t x over m: G shared by the kept positions that equal it
void maxPoolRule(MaxPoolOp op, Gradients &g) {
  Expr x{op.getX(), &g}, G = kept({g.of(op.getY()), &g}, x, {1}), y = kept({op.getY(), &g}, x, {1}), m = positions(g, op.getMask(), x);
  Expr hit = equal(x, y).cast(x.element());
  if (m.v)
    hit = hit * m;
  g.add(x, hit * (G / maximum(hit.sum({1}), 1)));
}

} // namespace

void registerRowRules(MLIRContext &context) {
  attach<ReduceSumOp, sumRule>(context);
  attach<ReduceMeanOp, meanRule>(context);
  attach<ReduceMaxOp, extremeRule<ReduceMaxOp>>(context);
  attach<ReduceMinOp, extremeRule<ReduceMinOp>>(context);
  attach<VarOp, varRule>(context);
  attach<SoftmaxOp, softmaxRule>(context);
  attach<LogSoftmaxOp, logSoftmaxRule>(context);
  attach<L2NormalizeOp, l2NormalizeRule>(context);
  attach<LayerNormOp, layerNormRule>(context);
  attach<RmsNormOp, rmsNormRule>(context);
  attach<MeanPoolOp, meanPoolRule>(context);
  attach<MaxPoolOp, maxPoolRule>(context);
}

} // namespace weft
