// Folders and canonicalisation patterns of the movement ops: chains become one op, what moves nothing goes away.
// All are sound because movement only says where each element comes from; composing two such maps is a map again.
#include "dialect/Weft.h"

#include "mlir/IR/PatternMatch.h"

using namespace mlir;

namespace weft {
namespace {

RankedTensorType typeOf(Value v) { return cast<RankedTensorType>(v.getType()); }

/// The same splat under another static type.
OpFoldResult resplat(Attribute value, Type type) {
  auto dense = dyn_cast_or_null<DenseElementsAttr>(value);
  auto result = cast<RankedTensorType>(type);
  return dense && dense.isSplat() && result.hasStaticShape() ? OpFoldResult(dense.resizeSplat(result)) : OpFoldResult();
}

DimExpr startOf(SliceOp op) { return *DimExpr::parse(op.getStart().str()); }

Value sliceOf(PatternRewriter &b, Location loc, Type type, Value x, int64_t axis, const DimExpr &start, int64_t step) {
  return SliceOp::create(b, loc, type, x, uint64_t(axis), start.str(), uint64_t(step));
}

} // namespace

OpFoldResult ConcatOp::fold(FoldAdaptor) {
  if (getXs().size() == 1)
    return getXs().front();
  // Slices that cover a value in order are that value.
  Value source;
  DimExpr next(0);
  for (Value x : getXs()) {
    auto slice = x.getDefiningOp<SliceOp>();
    if (!slice || slice.getAxis() != getAxis() || int64_t(slice.getStep()) != 1 || startOf(slice) != next ||
        (source && source != slice.getX()))
      return {};
    source = slice.getX();
    next = next + shapeOf(x)[getAxis()];
  }
  return source.getType() == getY().getType() ? OpFoldResult(source) : OpFoldResult();
}

OpFoldResult ExpandOp::fold(FoldAdaptor adaptor) {
  if (getX().getType() == getY().getType())
    return getX();
  if (auto inner = getX().getDefiningOp<ExpandOp>()) {
    getXMutable().assign(inner.getX());
    return getY();
  }
  return {};
}

OpFoldResult ReshapeOp::fold(FoldAdaptor adaptor) {
  if (getX().getType() == getY().getType())
    return getX();
  auto dense = dyn_cast_or_null<DenseElementsAttr>(adaptor.getX());
  return dense && typeOf(getY()).hasStaticShape() ? OpFoldResult(dense.reshape(typeOf(getY()))) : OpFoldResult();
}

OpFoldResult SliceOp::fold(FoldAdaptor adaptor) {
  if (getX().getType() == getY().getType() && getStart() == "0" && getStep() == 1)
    return getX();
  return resplat(adaptor.getX(), getY().getType());
}

OpFoldResult TransposeOp::fold(FoldAdaptor adaptor) {
  for (auto [i, axis] : llvm::enumerate(getPerm()))
    if (int64_t(i) != axis)
      return resplat(adaptor.getX(), getY().getType());
  return getX();
}

namespace {

/// reshape(reshape(x)) → reshape(x)
struct MergeReshapes : OpRewritePattern<ReshapeOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ReshapeOp op, PatternRewriter &b) const override {
    auto inner = op.getX().getDefiningOp<ReshapeOp>();
    if (!inner)
      return b.notifyMatchFailure(op, "expected a reshape of a reshape");
    b.replaceOpWithNewOp<ReshapeOp>(op, op.getY().getType(), inner.getX());
    return success();
  }
};

/// transpose(transpose(x)) → transpose(x)
struct MergeTransposes : OpRewritePattern<TransposeOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(TransposeOp op, PatternRewriter &b) const override {
    auto inner = op.getX().getDefiningOp<TransposeOp>();
    if (!inner)
      return b.notifyMatchFailure(op, "expected a transpose of a transpose");
    SmallVector<int64_t> perm;
    for (int64_t axis : op.getPerm())
      perm.push_back(inner.getPerm()[axis]);
    b.replaceOpWithNewOp<TransposeOp>(op, inner.getX(), perm);
    return success();
  }
};

/// transpose(x) → reshape(x) where only axes of size 1 change places
struct TransposeOfUnitAxes : OpRewritePattern<TransposeOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(TransposeOp op, PatternRewriter &b) const override {
    ArrayRef<int64_t> sizes = typeOf(op.getX()).getShape();
    int64_t last = -1;
    bool ordered = true;
    for (int64_t axis : op.getPerm()) {
      if (sizes[axis] == 1)
        continue;
      ordered &= axis > last;
      last = axis;
    }
    if (!ordered)
      return b.notifyMatchFailure(op, "expected axes larger than 1 in their order");
    b.replaceOpWithNewOp<ReshapeOp>(op, op.getY().getType(), op.getX());
    return success();
  }
};

/// slice(slice(x)) → slice(x) along one axis: start + step · start', step · step'
struct MergeSlices : OpRewritePattern<SliceOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(SliceOp op, PatternRewriter &b) const override {
    auto inner = op.getX().getDefiningOp<SliceOp>();
    if (!inner || inner.getAxis() != op.getAxis())
      return b.notifyMatchFailure(op, "expected a slice of a slice along the same axis");
    int64_t innerStep = inner.getStep(), outerStep = op.getStep();
    DimExpr start = startOf(inner) + startOf(op) * DimExpr(innerStep);
    if (!start.isValid() || innerStep > INT32_MAX || outerStep > INT32_MAX)
      return b.notifyMatchFailure(op, "expected a start that can be written");
    b.replaceOp(op,
                sliceOf(b, op.getLoc(), op.getY().getType(), inner.getX(), op.getAxis(), start, innerStep * outerStep));
    return success();
  }
};

/// slice(concat(x, y)) → slice(x) or slice(y) where it lies in one of them
struct SliceOfConcat : OpRewritePattern<SliceOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(SliceOp op, PatternRewriter &b) const override {
    auto concat = op.getX().getDefiningOp<ConcatOp>();
    if (!concat || concat.getAxis() != op.getAxis() || int64_t(op.getStep()) != 1)
      return b.notifyMatchFailure(op, "expected a slice of a concat along its axis");
    DimExpr begin = startOf(op), size = shapeOf(op.getY())[op.getAxis()], at(0);
    for (Value x : concat.getXs()) {
      DimExpr part = shapeOf(x)[op.getAxis()];
      std::optional<int64_t> before = (begin - at).constant(), after = (at + part - begin - size).constant();
      if (before && after && *before >= 0 && *after >= 0) {
        b.replaceOp(op, sliceOf(b, op.getLoc(), op.getY().getType(), x, op.getAxis(), begin - at, 1));
        return success();
      }
      at = at + part;
    }
    return b.notifyMatchFailure(op, "expected a slice inside one part");
  }
};

/// concat(slice(x, a, b), slice(x, b, c), y) → concat(slice(x, a, c), y)
struct MergeAdjacentSlices : OpRewritePattern<ConcatOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ConcatOp op, PatternRewriter &b) const override {
    int64_t axis = op.getAxis();
    SmallVector<Value> xs;
    bool changed = false;
    for (Value x : op.getXs()) {
      auto slice = x.getDefiningOp<SliceOp>(), before = xs.empty() ? nullptr : xs.back().getDefiningOp<SliceOp>();
      bool adjacent = slice && before && slice.getX() == before.getX() && int64_t(slice.getAxis()) == axis &&
                      int64_t(before.getAxis()) == axis && int64_t(slice.getStep()) == 1 &&
                      int64_t(before.getStep()) == 1 &&
                      startOf(slice) == startOf(before) + shapeOf(before.getY())[axis];
      if (!adjacent) {
        xs.push_back(x);
        continue;
      }
      Shape joined = shapeOf(before.getY());
      joined[axis] = joined[axis] + shapeOf(x)[axis];
      xs.back() = sliceOf(b, op.getLoc(), tensorType(joined, typeOf(x).getElementType()), slice.getX(), axis,
                          startOf(before), 1);
      changed = true;
    }
    if (!changed)
      return b.notifyMatchFailure(op, "expected neighbouring slices of one value");
    b.replaceOpWithNewOp<ConcatOp>(op, op.getY().getType(), xs, op.getAxis());
    return success();
  }
};

/// concat(concat(x, y), z) → concat(x, y, z), and parts of size 0 go
struct FlattenConcat : OpRewritePattern<ConcatOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ConcatOp op, PatternRewriter &b) const override {
    SmallVector<Value> xs;
    for (Value x : op.getXs()) {
      auto inner = x.getDefiningOp<ConcatOp>();
      if (inner && inner.getAxis() == op.getAxis())
        xs.append(inner.getXs().begin(), inner.getXs().end());
      else if (shapeOf(x)[op.getAxis()].constant() != 0)
        xs.push_back(x);
    }
    if (xs.empty() || llvm::equal(xs, op.getXs()))
      return b.notifyMatchFailure(op, "expected a concat or a part of size 0 among the parts");
    b.replaceOpWithNewOp<ConcatOp>(op, op.getY().getType(), xs, op.getAxis());
    return success();
  }
};

} // namespace

void ConcatOp::getCanonicalizationPatterns(RewritePatternSet &patterns, MLIRContext *context) {
  patterns.add<FlattenConcat, MergeAdjacentSlices>(context);
}
void ReshapeOp::getCanonicalizationPatterns(RewritePatternSet &patterns, MLIRContext *context) {
  patterns.add<MergeReshapes>(context);
}
void SliceOp::getCanonicalizationPatterns(RewritePatternSet &patterns, MLIRContext *context) {
  patterns.add<MergeSlices, SliceOfConcat>(context);
}
void TransposeOp::getCanonicalizationPatterns(RewritePatternSet &patterns, MLIRContext *context) {
  patterns.add<MergeTransposes, TransposeOfUnitAxes>(context);
}

} // namespace weft
