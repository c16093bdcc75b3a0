// Gradients of embeddings, rotary positions, products and attention. G is the gradient of the result y.
// Attention has one rule for every spelling: FuseAttention runs before.
#include "autodiff/rules/Expr.h"

using namespace mlir;

namespace weft {
namespace {

// y = table[ids]: rows of G added at ids
void embeddingRule(EmbeddingOp op, Gradients &g) {
  if (!g.needs(op.getTable()))
    return;
  Expr G{g.of(op.getY()), &g};
  Type sums = sumType(G.element());
  Type table = tensorType(shapeOf(op.getTable()), sums);
  Expr rows{EmbeddingGradOp::create(g.b, g.loc, table, op.getIds(), G.cast(sums), Value(), op.getPaddingIdxAttr()), &g};
  g.add(op.getTable(), rows.cast(G.element()));
}
// y = x turned by the angles of its positions: G turned back
void ropeRule(RopeOp op, Gradients &g) {
  Value back = NegOp::create(g.b, g.loc, op.getPositions().getType(), op.getPositions());
  g.add(op.getX(), RopeOp::create(g.b, g.loc, g.of(op.getY()), back, op.getHeads(), op.getTheta(), op.getRotaryDim(), op.getInterleaved()));
}

// y = a b: da = G bᵀ, db = aᵀ G, with the operands' own transposes. Of half precision: G is rounded to it, and the two
// products are wide where y is.
void matmulRule(MatmulOp op, Gradients &g) {
  Expr a{op.getA(), &g}, b{op.getB(), &g}, G = Expr{g.of(op.getY()), &g}.cast(a.element());
  bool ta = op.getTransposeA(), tb = op.getTransposeB(), wide = op.getWide();
  if (g.needs(a))
    g.add(a, ta ? matmul(b, G, tb, true, wide) : matmul(G, b, false, !tb, wide));
  if (!g.needs(b))
    return;
  // One matrix for a whole batch: its gradient is one product over all rows.
  if (b.shape().size() == 2 && a.shape().size() > 2 && !ta) {
    auto rows = [](const Expr &x) {
      Shape shape = x.shape();
      DimExpr last = shape.pop_back_val();
      return x.reshape({elementCount(shape), last});
    };
    a = rows(a);
    G = rows(G);
  }
  g.add(b, tb ? matmul(G, a, true, ta, wide) : matmul(a, G, !ta, false, wide));
}

// y = attention(q, k, v): weft.attention_grad from y and its log-sum-exp
void attentionRule(AttentionOp op, Gradients &g) {
  if (op.getMap() && g.has(op.getMap()))
    return g.missing("the map that attention returns");
  Value dy = g.of(op.getY());
  bool bias = op.getBias() && g.needs(op.getBias());
  SmallVector<Type> types;
  for (Value x : {op.getQ(), op.getK(), op.getV()})
    types.push_back(tensorType(shapeOf(x), sumType(Expr{x, &g}.element())));
  auto grad = AttentionGradOp::create(g.b, g.loc, types[0], types[1], types[2], bias ? op.getBias().getType() : Type(), op.getQ(), op.getK(),
                                      op.getV(), op.getY(), op.getLse(), dy, op.getKeyMask(), op.getMask(), op.getBias(), op.getHeadsAttr(),
                                      op.getKvHeadsAttr(), op.getScaleAttr(), op.getCausalAttr(), op.getWindowAttr(), op.getSoftcapAttr(),
                                      op.getDropoutAttr(), op.getSiteAttr(), op.getRoundAttr(), bias ? g.b.getUnitAttr() : UnitAttr());
  g.add(op.getQ(), grad.getDq());
  g.add(op.getK(), grad.getDk());
  g.add(op.getV(), grad.getDv());
  if (bias)
    g.add(op.getBias(), grad.getDbias());
}

} // namespace

void registerTransformerRules(MLIRContext &context) {
  attach<EmbeddingOp, embeddingRule>(context);
  attach<RopeOp, ropeRule>(context);
  attach<MatmulOp, matmulRule>(context);
  attach<AttentionOp, attentionRule>(context);
}

} // namespace weft
