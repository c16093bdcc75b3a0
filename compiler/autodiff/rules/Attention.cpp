// Gradients of attention, of its result and of its map. Attention has one rule for every spelling: FuseAttention runs before.
// A map without a gradient leaves all to weft.attention_grad, whose kernels hold no map; with one, formulas over the map.
#include "autodiff/rules/Expr.h"
#include "dialect/Values.h"

#include <limits>

using namespace mlir;

namespace weft {
namespace {

/// x [B, T, h · d] as [B, groups, h / groups · T, d]: the heads that share keys are rows of one matrix.
Expr byGroups(Value x, int64_t heads, int64_t groups, Gradients &g) {
  Shape shape = shapeOf(x);
  DimExpr size(*shape[2].constant() / heads);
  Value split = transposeBy(g.b, g.loc, reshapeTo(g.b, g.loc, x, {shape[0], shape[1], DimExpr(heads), size}), {0, 2, 1, 3});
  return {reshapeTo(g.b, g.loc, split, {shape[0], DimExpr(groups), DimExpr(heads / groups) * shape[1], size}), &g};
}

/// The inverse of byGroups, to the shape of `like`.
Expr byRows(const Expr &x, int64_t heads, Value like) {
  Gradients &g = *x.g;
  Shape shape = shapeOf(like);
  Value split = reshapeTo(g.b, g.loc, x, {shape[0], DimExpr(heads), shape[1], x.shape().back()});
  return {reshapeTo(g.b, g.loc, transposeBy(g.b, g.loc, split, {0, 2, 1, 3}), shape), &g};
}

class SpelledOut {
public:
  SpelledOut(AttentionOp op, Gradients &g)
      : op(op), g(g), heads(op.getHeads()), groups(op.getKvHeads()), q(byGroups(op.getQ(), heads, groups, g)),
        k(byGroups(op.getK(), groups, groups, g)) {
    Shape queries = shapeOf(op.getQ()), keys = shapeOf(op.getK());
    scores = {queries[0], DimExpr(heads), queries[1], keys[1]};
    grouped = {queries[0], DimExpr(groups), DimExpr(heads / groups) * queries[1], keys[1]};
  }

  // s = scale q kᵀ, t = tanh(s / c), p = softmax(c t + bias, masked), y = drop(p) v; M is the map's gradient, for each head:
  //   dv = drop(p)ᵀ G, dp = drop(G vᵀ) + M, ds = p (dp - Σ dp p), dbias = ds, and then of s: ds (1 - t²)
  //   dq = scale ds k, dk = scale dsᵀ q
  // A masked place has p = 0, and so no part in anything.
  void add() {
    std::optional<Expr> capped;
    if (op.getSoftcap())
      capped = tanh(products() / op.getSoftcap()->convertToDouble());
    const bool isMean = *op.getWeights() == "mean";
    Expr p = isMean ? probabilities(capped) : Expr{op.getMap(), &g}, dp{g.of(op.getMap()), &g};
    if (isMean)
      dp = (dp / double(heads)).reshape({scores[0], DimExpr(1), scores[2], scores[3]});
    if (Value dy = g.of(op.getY())) {
      Expr G = byGroups(dy, heads, groups, g), v = byGroups(op.getV(), groups, groups, g);
      dp = drop(product(G, v, false, true).reshape(scores)) + dp;
      g.add(op.getV(), byRows(product(drop(p).reshape(grouped), G, true), groups, op.getV()));
    }
    Expr ds = p * (dp - (dp * p).sum({3}));
    g.add(op.getBias(), ds);
    if (capped)
      ds = ds * (1 - *capped * *capped);
    ds = (ds * scale()).reshape(grouped);
    g.add(op.getQ(), byRows(product(ds, k), heads, op.getQ()));
    g.add(op.getK(), byRows(product(ds, q, true), groups, op.getK()));
  }

private:
  static Expr product(const Expr &a, const Expr &b, bool transposeA = false, bool transposeB = false) {
    return matmul(a, b, transposeA, transposeB, /*wide=*/false);
  }

  double scale() { return op.getScale().convertToDouble(); }

  Expr products() { return product(q, k, false, true).reshape(scores) * scale(); }

  /// The mean over heads says nothing of each: p = e^(s - lse).
  Expr probabilities(const std::optional<Expr> &capped) {
    Expr s = capped ? *capped * op.getSoftcap()->convertToDouble() : products();
    if (op.getBias())
      s = s + Expr{op.getBias(), &g};
    if (std::optional<Expr> seen = visible())
      s = where(*seen, s, -std::numeric_limits<double>::infinity());
    return exp(s - Expr{op.getLse(), &g}.cast(s.element()).reshape({scores[0], scores[1], scores[2], DimExpr(1)}));
  }

  /// True where a query may see a key.
  std::optional<Expr> visible() {
    std::optional<Expr> seen;
    auto both = [&](const Expr &more) { seen = seen ? *seen & more : more; };
    if (op.getKeyMask())
      both(Expr{op.getKeyMask(), &g}.reshape({scores[0], DimExpr(1), DimExpr(1), scores[3]}));
    if (op.getMask())
      both({op.getMask(), &g});
    if (!op.getCausal())
      return seen;
    auto positions = [&](const DimExpr &count, ArrayRef<DimExpr> shape) {
      return Expr{IotaOp::create(g.b, g.loc, tensorType({count}, g.b.getI32Type())), &g}.reshape(shape);
    };
    Expr i = positions(scores[2], {scores[2], DimExpr(1)}), j = positions(scores[3], {DimExpr(1), scores[3]});
    both(j <= i);
    if (op.getWindow())
      both(j > i - double(*op.getWindow()));
    return seen;
  }

  /// Dropout as the forward pass did it: element (b, h, i, j) has the same number here.
  Expr drop(const Expr &x) {
    if (!op.getSite() || op.getDropout().isZero())
      return x;
    return {DropoutOp::create(g.b, g.loc, x.v.getType(), x, op.getDropoutAttr(), op.getSiteAttr(), op.getRoundAttr()), &g};
  }

  AttentionOp op;
  Gradients &g;
  const int64_t heads, groups;
  Expr q, k;
  Shape scores, grouped;
};

void attentionRule(AttentionOp op, Gradients &g) {
  if (op.getMap() && g.has(op.getMap()))
    return SpelledOut(op, g).add();
  bool bias = op.getBias() && g.needs(op.getBias());
  SmallVector<Type> types;
  for (Value x : {op.getQ(), op.getK(), op.getV()})
    types.push_back(tensorType(shapeOf(x), sumType(Expr{x, &g}.element())));
  auto grad = AttentionGradOp::create(g.b, g.loc, types[0], types[1], types[2], bias ? op.getBias().getType() : Type(), op.getQ(), op.getK(),
                                      op.getV(), op.getY(), op.getLse(), g.of(op.getY()), op.getKeyMask(), op.getMask(), op.getBias(),
                                      op.getHeadsAttr(), op.getKvHeadsAttr(), op.getScaleAttr(), op.getCausalAttr(), op.getWindowAttr(),
                                      op.getSoftcapAttr(), op.getDropoutAttr(), op.getSiteAttr(), op.getRoundAttr(),
                                      bias ? g.b.getUnitAttr() : UnitAttr());
  g.add(op.getQ(), grad.getDq());
  g.add(op.getK(), grad.getDk());
  g.add(op.getV(), grad.getDv());
  if (bias)
    g.add(op.getBias(), grad.getDbias());
}

} // namespace

void registerAttentionRules(MLIRContext &context) { attach<AttentionOp, attentionRule>(context); }

} // namespace weft
