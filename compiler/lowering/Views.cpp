// Stride arithmetic on DimExprs. Sizes that are equal as expressions are equal for every size of the dims, so a view
// found here is right for all of them.
#include "lowering/Views.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;

namespace weft {

Shape contiguousStrides(ArrayRef<DimExpr> shape) {
  Shape strides(shape.size(), DimExpr(1));
  for (size_t i = shape.size(); i-- > 1;)
    strides[i - 1] = strides[i] * shape[i];
  return strides;
}

std::optional<Shape> reshapeStrides(const Shape &from, const Shape &strides, const Shape &to) {
  // Walk both shapes from the front and match groups of axes with equal products; inside a group the old axes must be
  // contiguous among themselves, and the new ones are then row-major over the group's innermost stride.
  Shape result(to.size(), DimExpr(0));
  size_t i = 0, j = 0;
  while (true) {
    while (i < from.size() && from[i].constant() == 1)
      ++i;
    while (j < to.size() && to[j].constant() == 1)
      ++j;
    if (i == from.size() || j == to.size())
      return i == from.size() && j == to.size() ? std::optional<Shape>(result) : std::nullopt;
    size_t iEnd = i + 1, jEnd = j + 1;
    DimExpr a = from[i], b = to[j];
    while (a != b) {
      // Grow the side that divides the other; when neither is known to, grow both as far as needed.
      std::optional<DimExpr> aOverB = a.divide(b), bOverA = b.divide(a);
      bool bDividesA = aOverB && aOverB->isValid() && (!a.constant() || !b.constant() || *a.constant() % *b.constant() == 0);
      bool aDividesB = bOverA && bOverA->isValid() && (!a.constant() || !b.constant() || *b.constant() % *a.constant() == 0);
      if (bDividesA && !aDividesB && jEnd < to.size())
        b = b * to[jEnd++];
      else if (aDividesB && !bDividesA && iEnd < from.size())
        a = a * from[iEnd++];
      else if (jEnd < to.size() && jEnd - j <= iEnd - i)
        b = b * to[jEnd++];
      else if (iEnd < from.size())
        a = a * from[iEnd++];
      else if (jEnd < to.size())
        b = b * to[jEnd++];
      else
        return std::nullopt;
    }
    // A unit axis has no spacing of its own: each other one is compared with the next that is none.
    for (size_t axis = i, next = i + 1; next < iEnd; ++next)
      if (from[next].constant() != 1) {
        if (strides[axis] != strides[next] * from[next])
          return std::nullopt;
        axis = next;
      }
    size_t innermost = iEnd;
    while (innermost > i + 1 && from[innermost - 1].constant() == 1)
      --innermost;
    DimExpr stride = strides[innermost - 1];
    for (size_t axis = jEnd; axis-- > j;) {
      result[axis] = to[axis].constant() == 1 ? DimExpr(0) : stride;
      stride = stride * to[axis];
    }
    i = iEnd;
    j = jEnd;
  }
}

std::optional<View> viewOf(Value value) {
  Operation *op = value.getDefiningOp();
  if (auto slice = dyn_cast_or_null<SliceOp>(op)) {
    std::optional<View> view = viewOf(slice.getX());
    std::optional<DimExpr> start = DimExpr::parse(slice.getStart().str());
    if (!view || !start)
      return std::nullopt;
    DimExpr &stride = view->strides[slice.getAxis()];
    view->offset = view->offset + *start * stride;
    stride = stride * DimExpr(int64_t(slice.getStep()));
    return view;
  }
  if (auto transpose = dyn_cast_or_null<TransposeOp>(op)) {
    std::optional<View> view = viewOf(transpose.getX());
    if (!view)
      return std::nullopt;
    Shape strides;
    for (int64_t axis : transpose.getPerm())
      strides.push_back(view->strides[axis]);
    view->strides = strides;
    return view;
  }
  if (auto reshape = dyn_cast_or_null<ReshapeOp>(op)) {
    std::optional<View> view = viewOf(reshape.getX());
    if (!view)
      return std::nullopt;
    std::optional<Shape> strides = reshapeStrides(shapeOf(reshape.getX()), view->strides, shapeOf(reshape.getY()));
    if (!strides)
      return std::nullopt;
    view->strides = *strides;
    return view;
  }
  if (auto expand = dyn_cast_or_null<ExpandOp>(op)) {
    std::optional<View> view = viewOf(expand.getX());
    if (!view)
      return std::nullopt;
    Shape x = shapeOf(expand.getX()), y = shapeOf(expand.getY()), strides(y.size(), DimExpr(0));
    size_t lead = y.size() - x.size();
    for (size_t i = 0; i < x.size(); ++i)
      strides[lead + i] = x[i] == y[lead + i] ? view->strides[i] : DimExpr(0);
    view->strides = strides;
    return view;
  }
  return View{value, DimExpr(0), contiguousStrides(shapeOf(value))};
}

bool isContiguous(const View &view, const Shape &shape) {
  Shape dense = contiguousStrides(shape);
  for (size_t i = 0; i < shape.size(); ++i)
    if (shape[i].constant() != 1 && view.strides[i] != dense[i])
      return false;
  return true;
}

Type packedElement(ContractOp op) {
  Type a = cast<RankedTensorType>(op.getA().getType()).getElementType(), b = cast<RankedTensorType>(op.getB().getType()).getElementType();
  return elementBytes(a) < elementBytes(b) ? a : b;
}

ChunksOp packedBefore(ContractOp op) {
  auto chunks = dyn_cast<ChunksOp>(op->getParentOp());
  std::optional<View> view = chunks ? viewOf(op.getB()) : std::nullopt;
  bool isOutside = view && !chunks.getBody().isAncestor(view->root.getParentRegion());
  return isOutside ? chunks : ChunksOp();
}

ScatterAxes scatterAxes(Operation *op) {
  Shape result = shapeOf(op->getResult(0)), index = shapeOf(op->getOperand(0));
  if (isa<EmbeddingGradOp>(op))
    return {DimExpr(1), result[0], elementCount(index), result[1], true};
  size_t axis = cast<ScatterAddOp>(op).getAxis();
  ArrayRef<DimExpr> sizes = index;
  return {elementCount(sizes.take_front(axis)), result[axis], index[axis], elementCount(sizes.drop_front(axis + 1)), false};
}

bool readsPlainParameters(Operation *op) {
  auto func = op->getParentOfType<func::FuncOp>();
  return func && func->hasAttr("weft.plain_parameters");
}

static std::optional<ParameterPart> matrixPart(Value value, bool transposed) {
  std::optional<View> view = viewOf(value);
  auto parameter = view ? view->root.getDefiningOp<ParameterOp>() : ParameterOp();
  if (!parameter || readsPlainParameters(parameter))
    return std::nullopt;
  Shape shape = shapeOf(value);
  for (size_t i = 0; i + 2 < shape.size(); ++i)
    if (shape[i].constant() != 1)
      return std::nullopt;
  if (shape.size() < 2)
    return std::nullopt;
  size_t nAxis = shape.size() - (transposed ? 2 : 1), kAxis = shape.size() - (transposed ? 1 : 2);
  std::optional<int64_t> offset = view->offset.constant(), n = shape[nAxis].constant(), k = shape[kAxis].constant();
  std::optional<int64_t> strideN = view->strides[nAxis].constant(), strideK = view->strides[kAxis].constant();
  if (!offset || !n || !k || !strideN || !strideK)
    return std::nullopt;
  return ParameterPart{view->root, *offset, *n, *strideK, *strideN};
}

std::optional<SmallVector<ParameterPart>> parameterMatrix(Value value, bool transposed) {
  auto concat = value.getDefiningOp<ConcatOp>();
  int64_t rank = cast<RankedTensorType>(value.getType()).getRank();
  SmallVector<Value> sources;
  if (concat && int64_t(concat.getAxis()) == rank - (transposed ? 2 : 1))
    sources.assign(concat.getXs().begin(), concat.getXs().end());
  else
    sources.push_back(value);
  SmallVector<ParameterPart> parts;
  for (Value source : sources) {
    std::optional<ParameterPart> part = matrixPart(source, transposed);
    if (!part)
      return std::nullopt;
    parts.push_back(*part);
  }
  return parts;
}

std::optional<SmallVector<ParameterPart>> parameterPieces(Value value) {
  SmallVector<Value> sources{value};
  if (auto concat = value.getDefiningOp<ConcatOp>()) {
    if (concat.getAxis() != 0 || readsPlainParameters(concat))
      return std::nullopt;
    sources.assign(concat.getXs().begin(), concat.getXs().end());
  }
  SmallVector<ParameterPart> pieces;
  for (Value source : sources) {
    std::optional<View> view = viewOf(source);
    if (!view || !view->root.getDefiningOp<ParameterOp>() || !isContiguous(*view, shapeOf(source)))
      return std::nullopt;
    std::optional<int64_t> offset = view->offset.constant(), count = elementCount(shapeOf(source)).constant();
    if (!offset || !count)
      return std::nullopt;
    pieces.push_back({view->root, *offset, *count, 0, 1});
  }
  return pieces;
}

}  // namespace weft
