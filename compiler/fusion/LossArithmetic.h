// Arithmetic of losses on values.
// Shared by the passes that write losses with other ops.
#ifndef WEFT_FUSION_LOSSARITHMETIC_H
#define WEFT_FUSION_LOSSARITHMETIC_H

#include "dialect/Labels.h"
#include "dialect/Values.h"

#include "mlir/IR/Builders.h"

namespace weft {

/// Arithmetic on values of one float type: f64 for f64, f32 for all else, rounded once at the end.
class LossArithmetic {
public:
  LossArithmetic(mlir::OpBuilder &b, mlir::Operation *loss)
      : b(b), loc(loss->getLoc()), loss(loss), given(elementOf(loss->getResult(0))), f(given.isF64() ? given : b.getF32Type()) {}

  mlir::Type type() const { return f; }
  mlir::Value wide(mlir::Value x) { return cast(x, f); }
  mlir::Value narrow(mlir::Value x) { return cast(x, given); }
  mlir::Value number(double value) { return floatConstant(b, loc, f, value); }

  mlir::Value add(mlir::Value x, mlir::Value y) { return AddOp::create(b, loc, x, y); }
  mlir::Value sub(mlir::Value x, mlir::Value y) { return SubOp::create(b, loc, x, y); }
  mlir::Value mul(mlir::Value x, mlir::Value y) { return MulOp::create(b, loc, x, y); }
  mlir::Value scale(double factor, mlir::Value x) { return factor == 1 ? x : mul(x, number(factor)); }
  mlir::Value where(mlir::Value condition, mlir::Value x, mlir::Value y) { return WhereOp::create(b, loc, condition, x, y); }
  template <class Op> mlir::Value unary(mlir::Value x) { return Op::create(b, loc, x.getType(), x); }
  template <class Op> mlir::Value along(mlir::Value x, llvm::ArrayRef<int64_t> axes, bool keepdim = false) { return Op::create(b, loc, x, axes, keepdim); }

  mlir::Value sum(mlir::Value x) { return along<ReduceSumOp>(x, axesFrom(x, 0)); }

  /// Σ x / n, 0 if n is 0. n: all elements, or the size of axis 0 with `perBatch`.
  mlir::Value mean(mlir::Value x, bool perBatch) {
    Shape counted = shapeOf(x);
    if (perBatch) {
      x = along<ReduceSumOp>(x, axesFrom(x, 1));
      counted.truncate(1);
    }
    if (isNeverEmpty(counted))
      return along<ReduceMeanOp>(x, axesFrom(x, 0));
    return quotient(sum(x), SizeOp::create(b, loc, mlir::RankedTensorType::get({}, f), elementCount(counted).str()));
  }

  /// x / n, x if n is 0.
  mlir::Value quotient(mlir::Value x, mlir::Value n) {
    mlir::Value none = EqualOp::create(b, loc, n, number(0));
    return DivOp::create(b, loc, x, where(none, number(1), n));
  }

  /// By the word of the format; `mean` and `batchmean` divide by numbers of elements.
  mlir::Value reduce(mlir::Value losses, llvm::StringRef how) {
    if (how == "none")
      return losses;
    return how == "sum" ? sum(losses) : mean(losses, how == "batchmean");
  }

private:
  mlir::Value cast(mlir::Value x, mlir::Type element) {
    mlir::RankedTensorType type = tensorType(shapeOf(x), element);
    return x.getType() == type ? x : mlir::Value(CastOp::create(b, loc, type, x));
  }

  static llvm::SmallVector<int64_t> axesFrom(mlir::Value x, int64_t first) {
    return llvm::to_vector(llvm::seq<int64_t>(first, typeOf(x).getRank()));
  }

  /// True if sizes are at least 1 whatever the dims are.
  bool isNeverEmpty(llvm::ArrayRef<DimExpr> shape) {
    return llvm::all_of(shape, [&](const DimExpr &size) {
      if (std::optional<int64_t> constant = size.constant())
        return *constant > 0;
      std::optional<std::string> name = size.name();
      auto dim = name ? mlir::SymbolTable::lookupNearestSymbolFrom<DimOp>(loss, b.getStringAttr(*name)) : nullptr;
      return dim && dim.getMin() > 0;
    });
  }

  mlir::OpBuilder &b;
  mlir::Location loc;
  mlir::Operation *loss;
  mlir::Type given, f;
};

/// Σ w[y] over the rows that are not ignored: what a "mean" divides by. `op`: a cross entropy or its gradient.
template <class Op> mlir::Value totalWeight(LossArithmetic &m, mlir::OpBuilder &b, Op op) {
  if (isAnyLabelLighter(op))
    return m.sum(labelWeights(b, op, m.type()));
  return SizeOp::create(b, op.getLoc(), mlir::RankedTensorType::get({}, m.type()), elementCount(shapeOf(op.getLabels())).str());
}

} // namespace weft

#endif // WEFT_FUSION_LOSSARITHMETIC_H
