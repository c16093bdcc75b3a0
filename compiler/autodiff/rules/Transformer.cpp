// Gradients of embeddings, rotary positions and products.
// Above each rule: the op, then its derivative; G is the gradient of the result y.
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

} // namespace

void registerTransformerRules(MLIRContext &context) {
  attach<EmbeddingOp, embeddingRule>(context);
  attach<RopeOp, ropeRule>(context);
  attach<MatmulOp, matmulRule>(context);
}

} // namespace weft
