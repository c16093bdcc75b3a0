// Registration of the dialect, the #weft.dims encoding, and the shape helpers of Weft.h.
// Verifiers and inference are in their own files.
#include "dialect/Weft.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/TypeSwitch.h"

#include "dialect/WeftDialect.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "dialect/WeftAttrs.cpp.inc"

using namespace mlir;

namespace weft {

void WeftDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialect/WeftAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialect/WeftOps.cpp.inc"
      >();
}

LogicalResult DimsAttr::verifyEncoding(ArrayRef<int64_t> shape, Type,
                                       llvm::function_ref<InFlightDiagnostic()> emitError) const {
  size_t dynamic = llvm::count_if(shape, ShapedType::isDynamic);
  if (dynamic != getNames().size())
    return emitError() << "expected " << dynamic << " dims in #weft.dims, one for each '?', but got " << getNames().size();
  for (StringAttr name : getNames()) {
    std::optional<DimExpr> expr = DimExpr::parse(name.getValue().str());
    if (!expr || !expr->isValid())
      return emitError() << "expected an expression of dims but got '" << name.getValue() << "'";
    if (expr->constant())
      return emitError() << "expected a static size instead of the constant dim '" << name.getValue() << "'";
    if (expr->str() != name.getValue())
      return emitError() << "expected the canonical text '" << expr->str() << "' but got '" << name.getValue() << "'";
  }
  return success();
}

static DimExpr invalidDim() {
  return DimExpr(INT64_MAX) * DimExpr(INT64_MAX);
}

/// The same few texts are asked for again and again.
static const std::optional<DimExpr> &parsedOnce(StringRef text) {
  constexpr size_t kMost = 4096; // a process may see any number of models
  thread_local llvm::StringMap<std::optional<DimExpr>> known;
  if (known.size() >= kMost)
    known.clear();
  auto [found, added] = known.try_emplace(text);
  if (added)
    found->second = DimExpr::parse(text.str());
  return found->second;
}

Shape shapeOf(Type type) {
  auto tensor = cast<RankedTensorType>(type);
  auto dims = dyn_cast_or_null<DimsAttr>(tensor.getEncoding());
  Shape shape;
  size_t next = 0;
  for (int64_t size : tensor.getShape()) {
    if (!ShapedType::isDynamic(size)) {
      shape.push_back(DimExpr(size));
      continue;
    }
    const std::optional<DimExpr> *expr = dims && next < dims.getNames().size() ? &parsedOnce(dims.getNames()[next].getValue()) : nullptr;
    ++next;
    shape.push_back(expr && *expr ? **expr : invalidDim());
  }
  return shape;
}

Shape shapeOf(Value value) { return shapeOf(value.getType()); }

RankedTensorType tensorType(ArrayRef<DimExpr> shape, Type element) {
  SmallVector<int64_t> sizes;
  SmallVector<StringAttr> names;
  for (const DimExpr &size : shape) {
    if (std::optional<int64_t> constant = size.constant()) {
      sizes.push_back(*constant);
    } else {
      sizes.push_back(ShapedType::kDynamic);
      names.push_back(StringAttr::get(element.getContext(), size.str()));
    }
  }
  Attribute encoding = names.empty() ? Attribute() : DimsAttr::get(element.getContext(), names);
  return RankedTensorType::get(sizes, element, encoding);
}

std::optional<Shape> broadcast(const Shape &a, const Shape &b) {
  const Shape &longer = a.size() >= b.size() ? a : b, &shorter = a.size() >= b.size() ? b : a;
  Shape result = longer;
  size_t offset = longer.size() - shorter.size();
  for (size_t i = 0; i < shorter.size(); ++i) {
    const DimExpr &x = longer[offset + i], &y = shorter[i];
    if (!x.isValid() || !y.isValid())
      return std::nullopt;
    if (x == y || y.constant() == 1)
      continue;
    if (x.constant() != 1)
      return std::nullopt;
    result[offset + i] = y;
  }
  return result;
}

DimExpr elementCount(ArrayRef<DimExpr> shape) {
  DimExpr count(1);
  for (const DimExpr &size : shape)
    count = count * size;
  return count;
}

DimExpr sliceSize(const DimExpr &start, const DimExpr &end, int64_t step) {
  DimExpr length = end - start;
  if (step == 1)
    return length;
  if (std::optional<int64_t> constant = length.constant())
    return DimExpr((*constant + step - 1) / step);
  std::optional<DimExpr> quotient = length.divide(DimExpr(step));
  return quotient ? *quotient : invalidDim();
}

int64_t elementBytes(Type element) {
  unsigned bits = element.getIntOrFloatBitWidth();
  return bits < 8 ? 1 : bits / 8;
}

std::optional<double> scalarConstant(Value value) {
  auto constant = value.getDefiningOp<ConstantOp>();
  auto dense = constant ? dyn_cast<DenseElementsAttr>(constant.getValue()) : nullptr;
  if (!dense || !dense.isSplat())
    return std::nullopt;
  Type element = dense.getElementType();
  if (isa<FloatType>(element))
    return dense.getSplatValue<APFloat>().convertToDouble();
  if (element.isInteger(1))
    return dense.getSplatValue<bool>() ? 1.0 : 0.0;
  APInt bits = dense.getSplatValue<APInt>();
  return element.isUnsignedInteger() ? double(bits.getZExtValue()) : double(bits.getSExtValue());
}

bool isKernel(Operation *op) {
  return isa<ContractOp, AttentionOp, AttentionGradOp, FusedOp, LastTokenOp, EmbeddingGradOp, ScatterAddOp>(op);
}
bool isPointwise(Operation *op) { return op->hasTrait<OpTrait::Pointwise>(); }
bool isMovement(Operation *op) { return op->hasTrait<OpTrait::Movement>(); }
bool isRowWise(Operation *op) { return op->hasTrait<OpTrait::RowWise>(); }

}  // namespace weft

#define GET_OP_CLASSES
#include "dialect/WeftOps.cpp.inc"
