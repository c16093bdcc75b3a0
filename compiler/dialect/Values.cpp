// Shared small questions and makers of passes.
// See Values.h for their contracts.
#include "dialect/Values.h"

using namespace mlir;

namespace weft {

RankedTensorType typeOf(Value v) { return cast<RankedTensorType>(v.getType()); }
Type elementOf(Value v) { return typeOf(v).getElementType(); }

bool isParameterOnly(Value v) {
  llvm::SmallPtrSet<Operation *, 8> seen;
  SmallVector<Value> work{v};
  while (!work.empty()) {
    Operation *op = work.pop_back_val().getDefiningOp();
    if (isa_and_nonnull<SliceOp, ReshapeOp, TransposeOp, ConcatOp>(op)) {
      if (seen.insert(op).second)
        llvm::append_range(work, op->getOperands());
    } else if (!isa_and_nonnull<ParameterOp>(op)) {
      return false;
    }
  }
  return true;
}

Value reshapeTo(OpBuilder &b, Location loc, Value v, ArrayRef<DimExpr> shape) {
  RankedTensorType type = tensorType(shape, elementOf(v));
  while (auto before = v.getType() == type ? nullptr : v.getDefiningOp<ReshapeOp>())
    v = before.getX();
  return type == v.getType() ? v : Value(ReshapeOp::create(b, loc, type, v));
}

Value transposeBy(OpBuilder &b, Location loc, Value v, ArrayRef<int64_t> perm) {
  SmallVector<int64_t> whole(perm);
  while (auto before = v.getDefiningOp<TransposeOp>()) {
    for (int64_t &axis : whole)
      axis = before.getPerm()[axis];
    v = before.getX();
  }
  bool identity = true;
  for (auto [i, axis] : llvm::enumerate(whole))
    identity &= int64_t(i) == axis;
  return identity ? v : Value(TransposeOp::create(b, loc, v, whole));
}

Value transposeLast(OpBuilder &b, Location loc, Value v) {
  SmallVector<int64_t> perm = llvm::to_vector(llvm::seq<int64_t>(0, typeOf(v).getRank()));
  std::swap(perm[perm.size() - 1], perm[perm.size() - 2]);
  return transposeBy(b, loc, v, perm);
}

Value floatConstant(OpBuilder &b, Location loc, Type element, double value) {
  auto type = RankedTensorType::get({}, element);
  return ConstantOp::create(b, loc,
                            cast<TypedAttr>(Attribute(DenseElementsAttr::get(type, b.getFloatAttr(element, value)))));
}

} // namespace weft
