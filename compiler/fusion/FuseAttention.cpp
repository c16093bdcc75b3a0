// Recognises attention written as product · scale · bias · mask · softmax · product and makes it one weft.attention.
// ScoreChain.cpp reads what stands between the two products; here are the layouts and the rewrite.
#include "Passes.h"
#include "fusion/ScoreChain.h"
#include "dialect/Values.h"

#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

#include <cmath>

using namespace mlir;

namespace weft {

#define GEN_PASS_DEF_FUSEATTENTIONPASS
#include "Passes.h.inc"

namespace {

/// Stands for "masked" in a bias: so large that adding any score gives the same number, and far from -inf.
constexpr double kMaskedBias = -1e30;

/// How the batch axes of the products become [B, heads].
struct Layout {
  DimExpr batch{1};
  int64_t heads = 1, kvHeads = 1;
  DimExpr queries, keys;
  bool split = false; ///< the products' second axis is the heads

  Shape scores() const { return {batch, DimExpr(heads), queries, keys}; }
};

/// x [batch axes…, T, d] as [B, T, h · d]. The transposes and reshapes cancel with those that split the heads.
Value flatten(OpBuilder &b, Location loc, Value x, const Layout &layout, int64_t h) {
  Shape shape = shapeOf(x);
  DimExpr rows = shape[shape.size() - 2], width = shape.back();
  if (h == 1)
    return reshapeTo(b, loc, x, {layout.batch, rows, width});
  x = reshapeTo(b, loc, x, {layout.batch, DimExpr(h), rows, width});
  x = transposeBy(b, loc, x, {0, 2, 1, 3});
  return reshapeTo(b, loc, x, {layout.batch, rows, DimExpr(h) * width});
}

/// The inverse of flatten, to the type that the product had.
Value unflatten(OpBuilder &b, Location loc, Value y, const Layout &layout, RankedTensorType type) {
  Shape flat = shapeOf(y);
  DimExpr width = *flat[2].divide(DimExpr(layout.heads));
  if (layout.heads > 1) {
    y = reshapeTo(b, loc, y, {flat[0], flat[1], DimExpr(layout.heads), width});
    y = transposeBy(b, loc, y, {0, 2, 1, 3});
  }
  return reshapeTo(b, loc, y, shapeOf(type));
}

/// A mask or bias that broadcasts to scores of shape `at`, as one that broadcasts to [B, heads, Tq, Tk].
FailureOr<Value> alignExtra(OpBuilder *b, Location loc, Value extra, Shape at, const Layout &layout) {
  Shape shape = shapeOf(extra), target = layout.scores();
  auto done = [&](const Shape &to) { return b ? reshapeTo(*b, loc, extra, to) : extra; };
  if (shape.size() <= 2 || at == target)
    return extra;
  Shape leading(shape.begin(), shape.end() - 2), atLeading(at.begin() + (at.size() - shape.size()), at.end() - 2);
  Shape last(shape.end() - 2, shape.end());
  if (llvm::all_of(leading, [](const DimExpr &size) { return size.constant() == 1; }))
    return done(last);
  if (shape.size() == at.size() && leading == atLeading)
    return done({layout.batch, DimExpr(layout.heads), last[0], last[1]});
  return failure();
}

/// The batch axes of an operand of a product, with the leading ones that broadcasting leaves out.
Shape batchAxes(Value v, size_t rank) {
  Shape shape = shapeOf(v), batch(rank - shape.size(), DimExpr(1));
  batch.append(shape.begin(), shape.end() - 2);
  return batch;
}

/// [b, h, T, d] → [b · h, T, d] seen from its result: the heads as some models merge them.
std::optional<Shape> mergedHeads(Value v) {
  auto reshape = v.getDefiningOp<ReshapeOp>();
  while (!reshape && v.getDefiningOp<TransposeOp>()) {
    v = v.getDefiningOp<TransposeOp>().getX();
    reshape = v.getDefiningOp<ReshapeOp>();
  }
  if (!reshape)
    return std::nullopt;
  Shape to = shapeOf(reshape.getY()), from = shapeOf(reshape.getX());
  if (from.size() == 4 && to.size() == 3 && from[2] == to[1] && from[3] == to[2] && from[1].constant())
    return from;
  return std::nullopt;
}

/// How many kv heads an operand has, seen along the products' head axis; nullopt if another batch axis broadcasts.
std::optional<int64_t> kvHeadsOf(Value v, const Shape &batch, const Layout &layout) {
  Shape own = batchAxes(v, batch.size() + 2);
  for (size_t i = 0; i < batch.size(); ++i) {
    bool headAxis = layout.split && i + 1 == batch.size();
    if (headAxis && own[i].constant() == 1)
      return 1;
    if (own[i] != batch[i])
      return std::nullopt;
  }
  return layout.heads;
}

/// q scaled before the product: mul or div by a constant, moved past reshapes and transposes.
Value withoutScale(OpBuilder &b, Value v, double &scale) {
  Operation *op = v.getDefiningOp();
  if (isa_and_nonnull<MulOp, DivOp>(op)) {
    for (int i : {0, 1}) {
      Value x = op->getOperand(i);
      std::optional<double> factor = scalarConstant(op->getOperand(1 - i));
      if (!factor || x.getType() != v.getType() || (isa<DivOp>(op) && i == 1) || *factor == 0 ||
          !std::isfinite(*factor))
        continue;
      scale = isa<DivOp>(op) ? scale / *factor : scale * *factor;
      return withoutScale(b, x, scale);
    }
  }
  if (!isa_and_nonnull<ReshapeOp, TransposeOp>(op))
    return v;
  double own = 1;
  Value x = withoutScale(b, op->getOperand(0), own);
  if (own == 1)
    return v;
  scale *= own;
  OpBuilder::InsertionGuard guard(b);
  Operation *copy = b.clone(*op);
  copy->setOperand(0, x);
  return copy->getResult(0);
}

/// keys shared by groups of query heads: [B, kv, T, d] repeated by reshape, expand, reshape.
Value withoutRepeat(OpBuilder &b, Location loc, Value v, const Layout &layout, int64_t &kvHeads) {
  if (!layout.split || typeOf(v).getRank() != 4)
    return v;
  auto transpose = v.getDefiningOp<TransposeOp>();
  bool headsFirst = !transpose;
  if (transpose && transpose.getPerm() != ArrayRef<int64_t>{0, 2, 1, 3})
    return v;
  Value x = transpose ? transpose.getX() : v;
  auto merge = x.getDefiningOp<ReshapeOp>();
  auto expand = merge ? merge.getX().getDefiningOp<ExpandOp>() : nullptr;
  if (!expand)
    return v;
  size_t axis = headsFirst ? 1 : 2;
  Shape merged = shapeOf(x), wide = shapeOf(expand.getY()), narrow = shapeOf(expand.getX());
  if (wide.size() != 5 || narrow.size() != 5 || narrow[axis + 1].constant() != 1 || !narrow[axis].constant())
    return v;
  Shape repeated = narrow, joined = wide;
  repeated[axis + 1] = wide[axis + 1];
  joined[axis] = wide[axis] * wide[axis + 1];
  joined.erase(joined.begin() + axis + 1);
  if (repeated != wide || joined != merged)
    return v;
  Shape shared = narrow;
  shared.erase(shared.begin() + axis + 1);
  kvHeads = *narrow[axis].constant();
  Value k = reshapeTo(b, loc, expand.getX(), shared);
  return headsFirst ? k : transposeBy(b, loc, k, {0, 2, 1, 3});
}

/// 1/√n where the scale is that number up to the rounding of an f32 constant: the file said sqrt(n), and the attention
/// op written for the same model has the same attribute then.
double namedScale(double scale) {
  double n = std::round(1 / (scale * scale));
  double exact = 1 / std::sqrt(n);
  return n >= 1 && n < 1e9 && std::fabs(scale - exact) <= exact * 0x1p-23 ? exact : scale;
}

/// softmax(scale · q kᵀ + bias, masked) · v  →  weft.attention q, k, v
///
/// Sound because the op's definition is this very formula: positive factors leave -inf alone, so masks and scale
/// commute; a factor after a bias scales the bias too; a bias at a place that is masked anyway is never read. Reshapes
/// and transposes only rename places, so heads split by them are the op's heads. A finite fill x ≤ -1e4 gives the same
/// probabilities as a mask while one visible score lies above x + 104 (e^(x - s) is zero in f32), and a uniform row
/// where all are masked: both hold for a bias of -1e30, which absorbs every score added to it; under a causal mask no
/// row is masked whole. Refused: probabilities of another axis, scores with other users, fills in between.
struct FuseAttention : OpRewritePattern<MatmulOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(MatmulOp context, PatternRewriter &rewriter) const override {
    auto refuse = [&](const Twine &why) { return rewriter.notifyMatchFailure(context, why); };
    if (context.getTransposeA())
      return refuse("expected probabilities as they are on the left of the product");
    // Written out in another dtype, every step rounds to it; the kernel would not.
    if (!elementOf(context.getA()).isF32())
      return refuse("expected products of f32");

    Value p = context.getA();
    auto dropout = p.getDefiningOp<DropoutOp>();
    if (dropout) {
      if (!p.hasOneUse())
        return refuse("expected probabilities after dropout with one use");
      p = dropout.getX();
    }
    Probabilities probabilities;
    ScoreChain scores;
    if (failed(readProbabilities(p, probabilities, refuse)) || failed(readScores(probabilities, scores, refuse)))
      return failure();

    if (scores.product->getBlock() != context->getBlock() || p.getParentBlock() != context->getBlock())
      return refuse("expected both products in one block");

    Layout layout;
    Shape batch;
    SmallVector<Operation *> readers;
    if (failed(readersAbove(context, p, readers, refuse)) || failed(readLayout(context, scores, layout, batch, refuse)))
      return failure();
    Location loc = context.getLoc();
    for (const ScoreBias &bias : scores.biases)
      if (failed(alignExtra(nullptr, loc, bias.value, bias.at, layout)))
        return refuse("expected a bias along queries and keys or of the scores' shape");
    for (const ScoreMask &mask : llvm::concat<const ScoreMask>(scores.masks, scores.fills))
      if (failed(alignExtra(nullptr, loc, mask.value, mask.at, layout)))
        return refuse("expected a mask along queries and keys or of the scores' shape");

    rewrite(context, probabilities, scores, layout, dropout, readers, rewriter);
    return success();
  }

private:
  /// A finite fill of the future alone is the op's causal mask: no row is masked whole.
  static bool makesCausal(const ScoreChain &scores) {
    return scores.masks.empty() && scores.fills.size() == 1 && isCausal(scores.fills.front());
  }

  static DimExpr headSize(MatmulOp product) {
    Shape q = shapeOf(product.getA());
    return q[q.size() - (product.getTransposeA() ? 2 : 1)];
  }

  /// The other readers of the probabilities that stand before `context`, with all that depends on them. They move below
  /// the attention op, whose second result they read then.
  static LogicalResult readersAbove(MatmulOp context, Value p, SmallVectorImpl<Operation *> &readers, Refuse refuse) {
    llvm::SmallPtrSet<Operation *, 8> found;
    Operation *dropout = context.getA() == p ? nullptr : context.getA().getDefiningOp();
    for (Operation *op = p.getDefiningOp()->getNextNode(); op != context; op = op->getNextNode()) {
      if (op == dropout)
        continue;
      bool reads = false;
      op->walk([&](Operation *inner) {
        reads |=
            llvm::any_of(inner->getOperands(), [&](Value v) { return v == p || found.contains(v.getDefiningOp()); });
      });
      if (!reads)
        continue;
      if (!isMemoryEffectFree(op))
        return refuse("expected readers of the probabilities without effects");
      found.insert(op);
      readers.push_back(op);
    }
    if (found.contains(context.getB().getDefiningOp()))
      return refuse("expected values that do not depend on the probabilities");
    return success();
  }

  static LogicalResult readLayout(MatmulOp context, const ScoreChain &scores, Layout &layout, Shape &batch,
                                  Refuse refuse) {
    MatmulOp product = scores.product;
    Shape s = shapeOf(product.getY()), c = shapeOf(context.getY());
    batch.assign(s.begin(), s.end() - 2);
    layout.queries = s[s.size() - 2];
    layout.keys = s.back();
    if (Shape(c.begin(), c.end() - 2) != batch || shapeOf(context.getA()) != s)
      return refuse("expected probabilities and scores of one shape");
    if (batchAxes(product.getA(), s.size()) != batch)
      return refuse("expected queries of every batch and head");
    if (!c.back().constant() || !headSize(product).constant())
      return refuse("expected head sizes that are numbers");

    layout.batch = elementCount(batch);
    Shape seen = scores.heads;
    if (batch.size() == 1 && seen.empty())
      seen = mergedHeads(product.getA()).value_or(Shape());
    if (batch.size() >= 2 && batch.back().constant()) {
      layout.split = true;
      layout.heads = *batch.back().constant();
      layout.batch = elementCount(ArrayRef(batch).drop_back());
    } else if (batch.size() == 1 && !seen.empty() && seen[1].constant() && seen[0] * seen[1] == batch[0]) {
      layout.heads = *seen[1].constant();
      layout.batch = seen[0];
    }
    std::optional<int64_t> k = kvHeadsOf(product.getB(), batch, layout), v = kvHeadsOf(context.getB(), batch, layout);
    if (!k || !v || *k != *v)
      return refuse("expected keys and values of every batch, with one number of heads");
    if (layout.heads < 1)
      return refuse("expected at least one head");
    layout.kvHeads = *k;
    return success();
  }

  /// The masks as what the op knows: causal, a mask of keys, or a mask; finite fills as a bias.
  struct Extras {
    bool causal = false;
    Value keyMask, mask, bias;
  };

  /// Conjunctions are masks one after the other: not (x or y) = not x and not y. One that occurs again adds nothing.
  static void addMask(OpBuilder &b, Location loc, const ScoreMask &mask, const Layout &layout, Extras &out) {
    llvm::DenseSet<Value> seen[2];
    SmallVector<std::pair<Value, bool>> work{{mask.value, mask.keeps}};
    while (!work.empty()) {
      auto [m, keeps] = work.pop_back_val();
      if (!seen[keeps].insert(m).second)
        continue;
      Operation *op = m.getDefiningOp();
      if (isCausal({m, keeps, mask.at}))
        out.causal = true;
      else if (auto inverted = dyn_cast_or_null<NotOp>(op))
        work.emplace_back(inverted.getX(), !keeps);
      else if (keeps ? isa_and_nonnull<AndOp>(op) : isa_and_nonnull<OrOp>(op))
        for (Value part : llvm::reverse(op->getOperands()))
          work.emplace_back(part, keeps);
      else
        addPart(b, loc, {m, keeps, mask.at}, layout, out);
    }
  }

  static void addPart(OpBuilder &b, Location loc, const ScoreMask &mask, const Layout &layout, Extras &out) {
    Value aligned = *alignExtra(&b, loc, mask.value, mask.at, layout);
    if (!mask.keeps)
      aligned = NotOp::create(b, loc, aligned);
    Shape shape = shapeOf(aligned);
    bool ofKeys = shape == Shape{layout.batch, DimExpr(1), DimExpr(1), layout.keys};
    Value &slot = ofKeys ? out.keyMask : out.mask;
    if (ofKeys)
      aligned = reshapeTo(b, loc, aligned, {layout.batch, layout.keys});
    slot = slot ? Value(AndOp::create(b, loc, slot, aligned)) : aligned;
  }

  static Extras makeExtras(OpBuilder &b, Location loc, const ScoreChain &scores, const Layout &layout, Type element) {
    Extras out;
    for (const ScoreBias &bias : scores.biases) {
      Value value = *alignExtra(&b, loc, bias.value, bias.at, layout);
      if (bias.factor != 1)
        value = MulOp::create(b, loc, value, floatConstant(b, loc, element, bias.factor));
      out.bias = out.bias ? Value(AddOp::create(b, loc, out.bias, value)) : value;
    }
    for (const ScoreMask &mask : scores.masks)
      addMask(b, loc, mask, layout, out);
    for (const ScoreMask &fill : scores.fills) {
      if (makesCausal(scores)) {
        out.causal = true;
        continue;
      }
      Value cond = *alignExtra(&b, loc, fill.value, fill.at, layout);
      Value masked = floatConstant(b, loc, element, kMaskedBias);
      Value open = out.bias ? out.bias : floatConstant(b, loc, element, 0);
      out.bias = fill.keeps ? WhereOp::create(b, loc, cond, open, masked) : WhereOp::create(b, loc, cond, masked, open);
    }
    return out;
  }

  static void rewrite(MatmulOp context, const Probabilities &probabilities, const ScoreChain &scores, Layout layout,
                      DropoutOp dropout, ArrayRef<Operation *> readers, PatternRewriter &b) {
    MatmulOp product = scores.product;
    SmallVector<Location> nodes{product.getLoc()};
    for (Operation *op : scores.steps)
      nodes.push_back(op->getLoc());
    nodes.append({probabilities.result.getLoc(), context.getLoc()});
    Location loc = b.getFusedLoc(nodes);
    double scale = scores.scale;
    b.setInsertionPoint(context);
    Value q = product.getTransposeA() ? transposeLast(b, loc, product.getA()) : product.getA();
    Value k = product.getTransposeB() ? product.getB() : transposeLast(b, loc, product.getB());
    Value v = context.getTransposeB() ? transposeLast(b, loc, context.getB()) : context.getB();
    q = withoutScale(b, q, scale);
    k = withoutScale(b, k, scale);
    if (layout.kvHeads == layout.heads) {
      int64_t kKv = layout.heads, vKv = layout.heads;
      Value sharedK = withoutRepeat(b, loc, k, layout, kKv), sharedV = withoutRepeat(b, loc, v, layout, vKv);
      if (kKv == vKv && layout.heads % kKv == 0) {
        k = sharedK, v = sharedV;
        layout.kvHeads = kKv;
      }
    }
    q = flatten(b, loc, q, layout, layout.heads);
    k = flatten(b, loc, k, layout, layout.kvHeads);
    v = flatten(b, loc, v, layout, layout.kvHeads);

    Type element = elementOf(q);
    Extras extras = makeExtras(b, loc, scores, layout, element);
    DimExpr width = shapeOf(context.getY()).back();
    RankedTensorType type = tensorType({layout.batch, layout.queries, DimExpr(layout.heads) * width}, element);
    bool wantsMap = !probabilities.result.hasOneUse();
    SmallVector<Type> types{type};
    if (wantsMap)
      types.push_back(tensorType(layout.scores(), element));
    auto attention = AttentionOp::create(
        b, loc, types[0], TypeRange(types).drop_front(), q, k, v, extras.keyMask,
        extras.mask, extras.bias, b.getI64IntegerAttr(layout.heads), b.getI64IntegerAttr(layout.kvHeads),
        b.getF64FloatAttr(namedScale(scale)), extras.causal ? b.getUnitAttr() : UnitAttr(), /*window=*/IntegerAttr(),
        scores.softcap ? b.getF64FloatAttr(*scores.softcap) : FloatAttr(), b.getF64FloatAttr(dropout ? dropout.getP().convertToDouble() : 0.0),
        /*cache=*/FlatSymbolRefAttr(), /*layer=*/StringAttr(), wantsMap ? b.getStringAttr("per_head") : StringAttr(),
        /*save_lse=*/UnitAttr(), dropout ? dropout.getSiteAttr() : IntegerAttr(), dropout ? dropout.getRoundAttr() : StringAttr());
    if (wantsMap) {
      Value map = reshapeTo(b, loc, attention.getMap(), shapeOf(probabilities.result));
      for (Operation *reader : llvm::reverse(readers))
        b.moveOpAfter(reader, context);
      b.replaceUsesWithIf(probabilities.result, map, [&](OpOperand &use) {
        return use.getOwner() != context && use.getOwner() != context.getA().getDefiningOp();
      });
    }
    b.replaceOp(context, unflatten(b, loc, attention.getY(), layout, typeOf(context.getY())));
  }
};

struct FuseAttentionPass : impl::FuseAttentionPassBase<FuseAttentionPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FuseAttention>(&getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
} // namespace weft
