// Writes ops that are short for others with those others: linear, mha, position_embedding, gated units, masked_fill,
// split, select, squeeze, unsqueeze, flatten. And attention over half precision with a map or a cache as attention over f32.
#include "Passes.h"
#include "dialect/Values.h"

#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/WalkPatternRewriteDriver.h"

using namespace mlir;

namespace weft {

#define GEN_PASS_DEF_EXPANDSUGARPASS
#include "Passes.h.inc"

namespace {

// ---- parts

Value slice(OpBuilder &b, Location loc, Value x, int64_t axis, const DimExpr &start, const DimExpr &size) {
  Shape shape = shapeOf(x);
  shape[axis] = size;
  return SliceOp::create(b, loc, tensorType(shape, elementOf(x)), x, axis, start.str(), 1);
}

Value castTo(OpBuilder &b, Location loc, Value x, Type element) {
  if (!x || elementOf(x) == element)
    return x;
  return CastOp::create(b, loc, tensorType(shapeOf(x), element), x);
}

/// x Wᵀ + bias. A vector is a matrix of one row.
Value affine(OpBuilder &b, Location loc, Value x, Value weight, Value bias) {
  bool isVector = typeOf(x).getRank() == 1;
  if (isVector)
    x = ReshapeOp::create(b, loc, tensorType({DimExpr(1), shapeOf(x)[0]}, elementOf(x)), x);
  Value y = MatmulOp::create(b, loc, x, weight, false, true);
  if (isVector)
    y = ReshapeOp::create(b, loc, tensorType({shapeOf(weight)[0]}, elementOf(y)), y);
  return bias ? Value(AddOp::create(b, loc, y, bias)) : y;
}

Value activate(OpBuilder &b, Location loc, Value x, StringRef name) {
  Type type = x.getType();
  if (name == "relu")
    return ReluOp::create(b, loc, type, x);
  if (name == "silu")
    return SiluOp::create(b, loc, type, x);
  if (name == "tanh")
    return TanhOp::create(b, loc, type, x);
  if (name == "sigmoid")
    return SigmoidOp::create(b, loc, type, x);
  return GeluOp::create(b, loc, type, x, name == "gelu_tanh");
}

/// The attention `op` (attention or mha) of these operands. Kernels read half precision, but neither write a map nor keep
/// a cache of it: then the op is f32, and results are rounded once.
template <class Op>
SmallVector<Value> attend(OpBuilder &b, Op op, Value q, Value k, Value v, int64_t kvHeads) {
  Location loc = op.getLoc();
  bool inHalf = isHalf(elementOf(q)) && !op.getMap() && !op.getCache();
  Type given = elementOf(q), f = given.isF64() || inHalf ? given : b.getF32Type();
  auto widened = [&](Value x) { return castTo(b, loc, x, f); };
  auto typed = [&](Value like) { return Type(tensorType(shapeOf(like), f)); };
  SmallVector<Type> map;
  if (op.getMap())
    map.push_back(typed(op.getMap()));
  q = widened(q), k = widened(k), v = widened(v);
  auto attention = AttentionOp::create(b, loc, typed(op.getY()), map, q, k, v, op.getKeyMask(), op.getMask(),
                                       castTo(b, loc, op.getBias(), given.isF64() ? given : b.getF32Type()), op.getHeads(),
                                       kvHeads, op.getScale(), op.getCausal(), op.getWindowAttr(), op.getSoftcapAttr(), op.getDropout(),
                                       op.getCacheAttr(), op.getLayerAttr(), op.getWeightsAttr(), /*save_lse=*/false, op.getSiteAttr(),
                                       op.getRoundAttr());
  SmallVector<Value> results{castTo(b, loc, attention.getY(), given)};
  if (attention.getMap())
    results.push_back(castTo(b, loc, attention.getMap(), given));
  return results;
}

// ---- one rewrite an op. Each is sound because it is the op's definition.

/// linear  →  matmul, add, activation
struct ExpandLinear : OpRewritePattern<LinearOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(LinearOp op, PatternRewriter &b) const override {
    Value y = affine(b, op.getLoc(), op.getX(), op.getWeight(), op.getBias());
    b.replaceOp(op, op.getActivation() ? activate(b, op.getLoc(), y, *op.getActivation()) : y);
    return success();
  }
};

/// position_embedding  →  positions, embedding or sinusoid
struct ExpandPositionEmbedding : OpRewritePattern<PositionEmbeddingOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(PositionEmbeddingOp op, PatternRewriter &b) const override {
    Location loc = op.getLoc();
    Shape y = shapeOf(op.getY());
    DimExpr features = y.pop_back_val();
    RankedTensorType wanted = tensorType(y, b.getI32Type()), own = tensorType({y.back()}, b.getI32Type());
    Value p = PositionsOp::create(b, loc, op.getState() ? wanted : own, op.getOffset(), op.getStateAttr());
    if (p.getType() != wanted)
      p = ExpandOp::create(b, loc, wanted, p);
    if (op.getTable())
      b.replaceOpWithNewOp<EmbeddingOp>(op, p, op.getTable(), IntegerAttr());
    else
      b.replaceOpWithNewOp<SinusoidOp>(op, p, *features.constant(), op.getBase(), elementOf(op.getY()));
    return success();
  }
};

/// attention over half precision with a map, a cache or a bias of half precision  →  casts, attention, casts
struct WidenAttention : OpRewritePattern<AttentionOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(AttentionOp op, PatternRewriter &b) const override {
    Type element = elementOf(op.getQ());
    bool fits = !op.getMap() && !op.getCache() && !(op.getBias() && isHalf(elementOf(op.getBias())));
    if (!isHalf(element) || fits)
      return b.notifyMatchFailure(op, "expected half precision that no kernel reads");
    b.replaceOp(op, attend(b, op, op.getQ(), op.getK(), op.getV(), op.getKvHeads()));
    return success();
  }
};

/// mha  →  projections, attention, projection: one product for q, k and v if they are projections of one value
struct ExpandMha : OpRewritePattern<MhaOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(MhaOp op, PatternRewriter &b) const override {
    Location loc = op.getLoc();
    Value weight = op.getInWeight(), bias = op.getInBias(), qkv[3] = {op.getQ(), op.getK(), op.getV()};
    DimExpr e = shapeOf(op.getOutWeight())[0];
    if (op.getK()) {
      for (int part = 0; part < 3; ++part) {
        Value w = slice(b, loc, weight, 0, DimExpr(part) * e, e);
        Value c = bias ? slice(b, loc, bias, 0, DimExpr(part) * e, e) : Value();
        qkv[part] = affine(b, loc, qkv[part], w, c);
      }
    } else {
      Value all = affine(b, loc, op.getQ(), weight, bias);
      for (int part = 0; part < 3; ++part)
        qkv[part] = slice(b, loc, all, 2, DimExpr(part) * e, e);
    }
    SmallVector<Value> results = attend(b, op, qkv[0], qkv[1], qkv[2], op.getHeads());
    results[0] = affine(b, loc, results[0], op.getOutWeight(), op.getOutBias());
    b.replaceOp(op, results);
    return success();
  }
};

/// swiglu  →  silu, mul
struct ExpandSwiglu : OpRewritePattern<SwigluOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(SwigluOp op, PatternRewriter &b) const override {
    Value gate = SiluOp::create(b, op.getLoc(), op.getGate().getType(), op.getGate());
    b.replaceOpWithNewOp<MulOp>(op, gate, op.getUp());
    return success();
  }
};

/// geglu  →  gelu, mul
struct ExpandGeglu : OpRewritePattern<GegluOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(GegluOp op, PatternRewriter &b) const override {
    Value gate = GeluOp::create(b, op.getLoc(), op.getGate().getType(), op.getGate(), op.getApproximate());
    b.replaceOpWithNewOp<MulOp>(op, gate, op.getUp());
    return success();
  }
};

/// masked_fill(x, mask, v)  →  where(mask, v, x)
struct ExpandMaskedFill : OpRewritePattern<MaskedFillOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(MaskedFillOp op, PatternRewriter &b) const override {
    b.replaceOpWithNewOp<WhereOp>(op, op.getMask(), op.getValue(), op.getX());
    return success();
  }
};

/// split  →  one slice for each part
struct ExpandSplit : OpRewritePattern<SplitOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(SplitOp op, PatternRewriter &b) const override {
    SmallVector<Value> parts;
    DimExpr start(0);
    for (Value part : op.getParts()) {
      DimExpr size = shapeOf(part)[op.getAxis()];
      parts.push_back(slice(b, op.getLoc(), op.getX(), op.getAxis(), start, size));
      start = start + size;
    }
    b.replaceOp(op, parts);
    return success();
  }
};

/// select  →  slice of size 1, reshape
struct ExpandSelect : OpRewritePattern<SelectOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(SelectOp op, PatternRewriter &b) const override {
    Value one = slice(b, op.getLoc(), op.getX(), op.getAxis(), *DimExpr::parse(op.getIndex().str()), DimExpr(1));
    b.replaceOpWithNewOp<ReshapeOp>(op, op.getY().getType(), one);
    return success();
  }
};

/// squeeze, unsqueeze, flatten  →  reshape
template <class Op>
struct ExpandReshape : OpRewritePattern<Op> {
  using OpRewritePattern<Op>::OpRewritePattern;

  LogicalResult matchAndRewrite(Op op, PatternRewriter &b) const override {
    b.replaceOpWithNewOp<ReshapeOp>(op, op.getY().getType(), op.getX());
    return success();
  }
};

struct ExpandSugarPass : impl::ExpandSugarPassBase<ExpandSugarPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<ExpandGeglu, ExpandLinear, ExpandMaskedFill, ExpandMha, ExpandPositionEmbedding, ExpandSelect, ExpandSplit, ExpandSwiglu,
                 ExpandReshape<FlattenOp>, ExpandReshape<SqueezeOp>, ExpandReshape<UnsqueezeOp>, WidenAttention>(&getContext());
    walkAndApplyPatterns(getOperation(), std::move(patterns));
  }
};

} // namespace
} // namespace weft
