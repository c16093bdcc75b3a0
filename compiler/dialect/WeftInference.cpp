// Result types of ops that follow from operands and attributes. The InferTypeOpInterface's verifier compares them with
// the written ones, so each rule stands once.
#include "dialect/OpRules.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;

namespace weft {
using namespace rules;
namespace {

using Types = SmallVectorImpl<Type>;

LogicalResult inferBroadcast(std::optional<Location> loc, ValueRange operands, Type element, Types &inferred) {
  Shape shape;
  for (Value operand : operands) {
    Shape next = shapeOf(operand);
    std::optional<Shape> joined = broadcast(shape, next);
    if (!joined)
      return emitOptionalError(loc, "expected shapes that broadcast but got ", text(shape), " and ", text(next));
    shape = *joined;
  }
  inferred.push_back(tensorType(shape, element));
  return success();
}

LogicalResult inferBinary(std::optional<Location> loc, Value lhs, Value rhs, bool compare, Types &inferred) {
  if (elementOf(lhs) != elementOf(rhs))
    return emitOptionalError(loc, "expected one element type but got ", elementOf(lhs), " and ", elementOf(rhs));
  Type element = compare ? IntegerType::get(lhs.getContext(), 1) : elementOf(lhs);
  return inferBroadcast(loc, {lhs, rhs}, element, inferred);
}

LogicalResult checkAxis(std::optional<Location> loc, int64_t axis, size_t rank) {
  if (axis < 0 || axis >= int64_t(rank))
    return emitOptionalError(loc, "expected an axis in 0..", int64_t(rank) - 1, " but got ", axis);
  return success();
}

LogicalResult inferReduction(std::optional<Location> loc, Value x, ArrayRef<int64_t> axes, bool keepdim, Type element, Types &inferred) {
  Shape shape = shapeOf(x), result;
  llvm::SmallDenseSet<int64_t> reduced;
  for (int64_t axis : axes) {
    if (failed(checkAxis(loc, axis, shape.size())))
      return failure();
    if (!reduced.insert(axis).second)
      return emitOptionalError(loc, "expected distinct axes but got ", axis, " twice");
  }
  for (size_t i = 0; i < shape.size(); ++i) {
    if (!reduced.count(i))
      result.push_back(shape[i]);
    else if (keepdim)
      result.push_back(DimExpr(1));
  }
  inferred.push_back(tensorType(result, element));
  return success();
}

}  // namespace

#define WEFT_INFER(Op) \
  LogicalResult Op::inferReturnTypes(MLIRContext *context, std::optional<Location> loc, Op::Adaptor a, Types &inferred)

#define WEFT_INFER_BINARY(Op, compare) \
  WEFT_INFER(Op) { return inferBinary(loc, a.getLhs(), a.getRhs(), compare, inferred); }
WEFT_INFER_BINARY(AddOp, false)
WEFT_INFER_BINARY(AndOp, false)
WEFT_INFER_BINARY(DivOp, false)
WEFT_INFER_BINARY(MaximumOp, false)
WEFT_INFER_BINARY(MinimumOp, false)
WEFT_INFER_BINARY(MulOp, false)
WEFT_INFER_BINARY(OrOp, false)
WEFT_INFER_BINARY(PowOp, false)
WEFT_INFER_BINARY(SubOp, false)
WEFT_INFER_BINARY(EqualOp, true)
WEFT_INFER_BINARY(GreaterEqualOp, true)
WEFT_INFER_BINARY(GreaterOp, true)
WEFT_INFER_BINARY(LessEqualOp, true)
WEFT_INFER_BINARY(LessOp, true)
WEFT_INFER_BINARY(NotEqualOp, true)

#define WEFT_INFER_REDUCTION(Op) \
  WEFT_INFER(Op) { return inferReduction(loc, a.getX(), a.getAxes(), a.getKeepdim(), elementOf(a.getX()), inferred); }
WEFT_INFER_REDUCTION(ReduceMaxOp)
WEFT_INFER_REDUCTION(ReduceMeanOp)
WEFT_INFER_REDUCTION(ReduceMinOp)
WEFT_INFER_REDUCTION(ReduceSumOp)
WEFT_INFER_REDUCTION(VarOp)

WEFT_INFER(ArgmaxOp) {
  return inferReduction(loc, a.getX(), {int64_t(a.getAxis())}, a.getKeepdim(), IntegerType::get(context, 32), inferred);
}

WEFT_INFER(WhereOp) {
  if (elementOf(a.getA()) != elementOf(a.getB()))
    return emitOptionalError(loc, "expected one element type but got ", elementOf(a.getA()), " and ", elementOf(a.getB()));
  return inferBroadcast(loc, {a.getCond(), a.getA(), a.getB()}, elementOf(a.getA()), inferred);
}

WEFT_INFER(ConcatOp) {
  if (a.getXs().empty())
    return emitOptionalError(loc, "expected at least one operand");
  Shape shape = shapeOf(a.getXs().front());
  int64_t axis = a.getAxis();
  if (failed(checkAxis(loc, axis, shape.size())))
    return failure();
  for (Value x : llvm::drop_begin(a.getXs())) {
    Shape next = shapeOf(x);
    if (elementOf(x) != elementOf(a.getXs().front()))
      return emitOptionalError(loc, "expected one element type but got ", elementOf(a.getXs().front()), " and ", elementOf(x));
    bool fits = next.size() == shape.size();
    for (size_t i = 0; fits && i < shape.size(); ++i)
      fits = int64_t(i) == axis || next[i] == shape[i];
    if (!fits)
      return emitOptionalError(loc, "expected shapes equal outside axis ", axis, " but got ", text(shape), " and ", text(next));
    shape[axis] = shape[axis] + next[axis];
  }
  inferred.push_back(tensorType(shape, elementOf(a.getXs().front())));
  return success();
}

WEFT_INFER(GatherOp) {
  Shape x = shapeOf(a.getX()), index = shapeOf(a.getIndex());
  int64_t axis = a.getAxis();
  if (failed(checkAxis(loc, axis, x.size())))
    return failure();
  if (x.size() != index.size())
    return emitOptionalError(loc, "expected an index of rank ", x.size(), " but got rank ", index.size());
  DimExpr picked = index[axis];
  x[axis] = index[axis] = DimExpr(1);
  std::optional<Shape> shape = broadcast(x, index);
  if (!shape)
    return emitOptionalError(loc, "expected shapes that broadcast outside axis ", axis, " but got ", text(x), " and ", text(index));
  (*shape)[axis] = picked;
  inferred.push_back(tensorType(*shape, elementOf(a.getX())));
  return success();
}

WEFT_INFER(TransposeOp) {
  Shape x = shapeOf(a.getX()), shape;
  if (a.getPerm().size() != x.size())
    return emitOptionalError(loc, "expected a permutation of ", x.size(), " axes but got ", a.getPerm().size());
  SmallVector<bool> seen(x.size());
  for (int64_t axis : a.getPerm()) {
    if (failed(checkAxis(loc, axis, x.size())))
      return failure();
    if (seen[axis])
      return emitOptionalError(loc, "expected a permutation but got axis ", axis, " twice");
    seen[axis] = true;
    shape.push_back(x[axis]);
  }
  inferred.push_back(tensorType(shape, elementOf(a.getX())));
  return success();
}

WEFT_INFER(RmsNormOp) {
  Shape x = shapeOf(a.getX());
  if (x.empty() || shapeOf(a.getWeight()) != Shape{x.back()})
    return emitOptionalError(loc, "expected a weight with the size of the last axis but got ", text(shapeOf(a.getWeight())));
  inferred.push_back(a.getX().getType());
  return success();
}

static LogicalResult inferPool(std::optional<Location> loc, Value x, Value mask, Types &inferred) {
  Shape shape = shapeOf(x);
  if (shape.size() != 3)
    return emitOptionalError(loc, "expected x of rank 3 but got rank ", shape.size());
  if (mask && shapeOf(mask) != Shape{shape[0], shape[1]})
    return emitOptionalError(loc, "expected a mask of shape ", text({shape[0], shape[1]}), " but got ", text(shapeOf(mask)));
  inferred.push_back(tensorType({shape[0], shape[2]}, elementOf(x)));
  return success();
}
WEFT_INFER(MeanPoolOp) { return inferPool(loc, a.getX(), a.getMask(), inferred); }
WEFT_INFER(MaxPoolOp) { return inferPool(loc, a.getX(), a.getMask(), inferred); }

WEFT_INFER(EmbeddingOp) {
  Shape table = shapeOf(a.getTable()), shape = shapeOf(a.getIds());
  if (table.size() != 2)
    return emitOptionalError(loc, "expected a table of rank 2 but got rank ", table.size());
  shape.push_back(table[1]);
  inferred.push_back(tensorType(shape, elementOf(a.getTable())));
  return success();
}

WEFT_INFER(SinusoidOp) {
  Shape shape = shapeOf(a.getPositions());
  if (int64_t(a.getFeatures()) < 1)
    return emitOptionalError(loc, "expected at least one feature but got ", int64_t(a.getFeatures()));
  shape.push_back(DimExpr(int64_t(a.getFeatures())));
  inferred.push_back(tensorType(shape, a.getElementType()));
  return success();
}

WEFT_INFER(RopeOp) {
  Shape x = shapeOf(a.getX()), p = shapeOf(a.getPositions());
  int64_t heads = a.getHeads(), rotary = a.getRotaryDim();
  if (x.size() != 3 || !x[2].constant())
    return emitOptionalError(loc, "expected x of shape [B, T, features] but got ", text(x));
  if (heads < 1 || *x[2].constant() % heads)
    return emitOptionalError(loc, "expected heads that divide ", *x[2].constant(), " but got ", heads);
  if (rotary < 2 || rotary % 2 || rotary > *x[2].constant() / heads)
    return emitOptionalError(loc, "expected an even rotary_dim in 2..", *x[2].constant() / heads, " but got ", rotary);
  if (p != Shape{x[1]} && p != Shape{x[0], x[1]})
    return emitOptionalError(loc, "expected positions of shape ", text({x[1]}), " or ", text({x[0], x[1]}), " but got ", text(p));
  inferred.push_back(a.getX().getType());
  return success();
}

WEFT_INFER(LastTokenOp) {
  Shape shape = shapeOf(a.getX());
  if (shape.size() < 2)
    return emitOptionalError(loc, "expected x of rank 2 or more but got rank ", shape.size());
  shape[1] = DimExpr(1);
  inferred.push_back(tensorType(shape, elementOf(a.getX())));
  return success();
}

WEFT_INFER(MatmulOp) {
  Shape x = shapeOf(a.getA()), y = shapeOf(a.getB());
  if (elementOf(a.getA()) != elementOf(a.getB()))
    return emitOptionalError(loc, "expected one element type but got ", elementOf(a.getA()), " and ", elementOf(a.getB()));
  if (x.size() < 2 || y.size() < 2)
    return emitOptionalError(loc, "expected operands of rank 2 or more but got ranks ", x.size(), " and ", y.size());
  if (a.getTransposeA())
    std::swap(x[x.size() - 1], x[x.size() - 2]);
  if (a.getTransposeB())
    std::swap(y[y.size() - 1], y[y.size() - 2]);
  if (x.back() != y[y.size() - 2])
    return emitOptionalError(loc, "expected one inner size but got ", x.back().str(), " and ", y[y.size() - 2].str());
  std::optional<Shape> batch = broadcast(Shape(x.begin(), x.end() - 2), Shape(y.begin(), y.end() - 2));
  if (!batch)
    return emitOptionalError(loc, "expected leading axes that broadcast but got ", text(x), " and ", text(y));
  batch->push_back(x[x.size() - 2]);
  batch->push_back(y.back());
  Type element = elementOf(a.getA());
  if (a.getWide() && !isHalf(element))
    return emitOptionalError(loc, "expected operands of half precision with wide but got ", element);
  inferred.push_back(tensorType(*batch, a.getWide() ? Float32Type::get(context) : element));
  return success();
}

WEFT_INFER(EinsumOp) {
  StringRef equation = a.getEquation();
  auto [inputs, output] = equation.split("->");
  SmallVector<StringRef> terms;
  inputs.split(terms, ',');
  if (!equation.contains("->") || a.getXs().empty() || a.getXs().size() > 2 || terms.size() != a.getXs().size())
    return emitOptionalError(loc, "expected one term for each of one or two operands and '->' but got '", equation, "'");
  llvm::DenseMap<char, DimExpr> sizes;
  for (auto [term, x] : llvm::zip(terms, a.getXs())) {
    Shape shape = shapeOf(x);
    term = term.trim();
    if (term.size() != shape.size())
      return emitOptionalError(loc, "expected ", shape.size(), " letters in '", term, "' for shape ", text(shape));
    for (auto [letter, size] : llvm::zip(term, shape)) {
      if (!llvm::isAlpha(letter))
        return emitOptionalError(loc, "expected letters but got '", term, "'");
      auto [it, added] = sizes.try_emplace(letter, size);
      if (!added && it->second != size)
        return emitOptionalError(loc, "expected one size for '", std::string(1, letter), "' but got ", it->second.str(), " and ", size.str());
    }
  }
  Shape shape;
  llvm::SmallDenseSet<char> used;
  for (char letter : output.trim()) {
    auto it = sizes.find(letter);
    if (it == sizes.end() || !used.insert(letter).second)
      return emitOptionalError(loc, "expected result letters of the operands, each once, but got '", output.trim(), "'");
    shape.push_back(it->second);
  }
  inferred.push_back(tensorType(shape, elementOf(a.getXs().front())));
  return success();
}

}  // namespace weft
