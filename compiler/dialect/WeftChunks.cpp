// weft.chunks: its verifier, and sizes of chunks turned into sizes of all rows.
// A chunk's rows are one atom of an expression, min(size, N - size * index), which these functions look for.
#include "dialect/OpRules.h"

using namespace mlir;

namespace weft {
using namespace rules;

DimExpr ChunksOp::getTotal() { return shapeOf(getRows().front())[0]; }

DimExpr ChunksOp::getChunkRows() {
  DimExpr size{int64_t(getSize())};
  return DimExpr::min(size, getTotal() - size * DimExpr::dim(getIndex().str()));
}

DimExpr ChunksOp::overAllChunks(const DimExpr &expr) {
  const std::string rows = getChunkRows().str();
  DimExpr sum;
  for (const auto &[monomial, ratio] : expr.terms()) {
    DimExpr product(ratio.num);
    for (const auto &[atom, power] : monomial)
      for (int i = 0; i < power; ++i)
        product = product * (atom == rows ? getTotal() : *DimExpr::parse(atom));
    sum = sum + product.divide(DimExpr(ratio.den)).value_or(product);
  }
  return sum;
}

DimExpr ChunksOp::overLargestChunk(const DimExpr &expr) { return expr.substitute({{getIndex().str(), DimExpr(0)}}); }

static RankedTensorType withRows(Type type, const DimExpr &rows) {
  Shape shape = shapeOf(type);
  shape[0] = rows;
  return tensorType(shape, cast<RankedTensorType>(type).getElementType());
}

void ChunksOp::build(OpBuilder &b, OperationState &state, int64_t size, StringRef index, ValueRange init, ValueRange rows, TypeRange rowResults) {
  state.addOperands(init);
  state.addOperands(rows);
  Properties &properties = state.getOrAddProperties<Properties>();
  properties.setSize(b.getI64IntegerAttr(size));
  properties.setIndex(b.getStringAttr(index));
  properties.operandSegmentSizes = {int32_t(init.size()), int32_t(rows.size())};
  state.addTypes(init.getTypes());
  state.addTypes(rowResults);
  Block &block = state.addRegion()->emplaceBlock();
  for (Value v : init)
    block.addArgument(v.getType(), v.getLoc());
  const DimExpr whole(size), part = DimExpr::min(whole, shapeOf(rows.front())[0] - whole * DimExpr::dim(index.str()));
  for (Value v : rows)
    block.addArgument(withRows(v.getType(), part), v.getLoc());
}

LogicalResult ChunksOp::verify() {
  if (int64_t(getSize()) < 1)
    return emitOpError() << "expected chunks of at least 1 row but got " << int64_t(getSize());
  if (getRows().empty())
    return emitOpError() << "expected rows to cut";
  auto haveRows = [&](ValueRange values) {
    return llvm::all_of(values, [&](Value v) { return !shapeOf(v).empty() && shapeOf(v)[0] == shapeOf(getRows().front())[0]; });
  };
  if (shapeOf(getRows().front()).empty() || getNumResults() < getInit().size() || !haveRows(getRows()) || !haveRows(getRowResults()))
    return emitOpError() << "expected operands and results with one size along axis 0";
  Block &block = getBody().front();
  if (block.getNumArguments() != getNumOperands() || getYielded().size() != getNumResults())
    return emitOpError() << "expected " << getNumOperands() << " block arguments and " << getNumResults() << " yielded values but got "
                         << block.getNumArguments() << " and " << getYielded().size();
  for (auto [init, argument, result, yielded] : llvm::zip(getInit(), getCarried(), getCarriedResults(), getYielded()))
    if (init.getType() != argument.getType() || init.getType() != result.getType() || init.getType() != yielded.getType())
      return emitOpError() << "expected carried type " << init.getType() << " but got " << argument.getType();
  const DimExpr rows = getChunkRows();
  auto fits = [&](Value whole, Value part) -> LogicalResult {
    Type expected = withRows(whole.getType(), rows);
    return part.getType() == expected ? success() : LogicalResult(emitOpError() << "expected a chunk " << expected << " but got " << part.getType());
  };
  for (auto [whole, part] : llvm::zip(getRows(), getParts()))
    if (failed(fits(whole, part)))
      return failure();
  for (auto [whole, part] : llvm::zip(getRowResults(), getYielded().drop_front(getInit().size())))
    if (failed(fits(whole, part)))
      return failure();
  return success();
}

} // namespace weft
