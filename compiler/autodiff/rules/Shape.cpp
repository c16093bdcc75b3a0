// Gradients of the movement ops: what moved forward moves back, what repeated is summed.
// G is the gradient of the result y.
#include "autodiff/rules/Expr.h"

using namespace mlir;

namespace weft {
namespace {

// y = concat(x0, x1, …): dx_i is G's part at x_i's place
void concatRule(ConcatOp op, Gradients &g) {
  Value G = g.of(op.getY());
  DimExpr start(0);
  for (Value x : op.getXs()) {
    if (g.needs(x))
      g.add(x, SliceOp::create(g.b, g.loc, cast<RankedTensorType>(x.getType()), G, op.getAxis(), start.str(), 1));
    start = start + shapeOf(x)[op.getAxis()];
  }
}
// y = expand x: the sum over the axes that repeat, which Gradients::add makes
void expandRule(ExpandOp op, Gradients &g) { g.add(op.getX(), g.of(op.getY())); }
// y[…, j, …] = x[…, index[…, j, …], …]: dx[…, r, …] = Σ G[…, j, …] over j with index = r
void gatherRule(GatherOp op, Gradients &g) {
  Shape shape = shapeOf(op.getY());
  Expr G{g.of(op.getY()), &g};
  Type sums = sumType(G.element());
  Value index = op.getIndex();
  if (shapeOf(index) != shape)
    index = ExpandOp::create(g.b, g.loc, tensorType(shape, cast<RankedTensorType>(index.getType()).getElementType()), index);
  shape[op.getAxis()] = shapeOf(op.getX())[op.getAxis()];
  Expr dx{ScatterAddOp::create(g.b, g.loc, tensorType(shape, sums), index, G.cast(sums), op.getAxisAttr()), &g};
  g.add(op.getX(), dx.cast(G.element()));
}
// y = reshape x: G in x's shape
void reshapeRule(ReshapeOp op, Gradients &g) { g.add(op.getX(), Expr{g.of(op.getY()), &g}.reshape(shapeOf(op.getX()))); }
// y[…, j, …] = x[…, start + j step, …]: G at those places, zero elsewhere
void sliceRule(SliceOp op, Gradients &g) {
  int64_t axis = op.getAxis(), step = op.getStep();
  DimExpr start = *DimExpr::parse(op.getStart().str());
  Expr G{g.of(op.getY()), &g};
  Shape shape = G.shape(), whole = shapeOf(op.getX());
  if (step != 1) {
    // Each element is followed by step - 1 zeros, as far as x reaches.
    DimExpr n = shape[axis], reach = DimExpr::min(n * DimExpr(step), whole[axis] - start);
    Shape apart = shape, gaps;
    apart.insert(apart.begin() + axis + 1, DimExpr(1));
    gaps = apart;
    gaps[axis + 1] = DimExpr(step - 1);
    Value spread = ConcatOp::create(g.b, g.loc, ValueRange{G.reshape(apart), g.zeros(tensorType(gaps, G.element()))}, axis + 1);
    shape[axis] = n * DimExpr(step);
    spread = Expr{spread, &g}.reshape(shape);
    if (shape[axis] != reach) {
      shape[axis] = reach;
      spread = SliceOp::create(g.b, g.loc, tensorType(shape, G.element()), spread, axis, "0", 1);
    }
    G.v = spread;
  }
  g.addSlice(op.getX(), axis, start, G);
}
// y = transpose(x, perm): transpose(G, perm⁻¹)
void transposeRule(TransposeOp op, Gradients &g) {
  SmallVector<int64_t> inverse(op.getPerm().size());
  for (auto [i, axis] : llvm::enumerate(op.getPerm()))
    inverse[axis] = int64_t(i);
  g.add(op.getX(), TransposeOp::create(g.b, g.loc, g.of(op.getY()), inverse));
}

} // namespace

void registerShapeRules(MLIRContext &context) {
  attach<ConcatOp, concatRule>(context);
  attach<ExpandOp, expandRule>(context);
  attach<GatherOp, gatherRule>(context);
  attach<ReshapeOp, reshapeRule>(context);
  attach<SliceOp, sliceRule>(context);
  attach<TransposeOp, transposeRule>(context);
}

} // namespace weft
