// Formulas over tensors: arithmetic on values, so that a gradient rule reads like the formula it implements.
// Operands broadcast as in the dialect; a number becomes a scalar of the other operand's element type.
#ifndef WEFT_AUTODIFF_RULES_EXPR_H
#define WEFT_AUTODIFF_RULES_EXPR_H

#include "autodiff/Gradients.h"

#include "mlir/IR/BuiltinOps.h"

namespace weft {

struct Expr {
  mlir::Value v;
  Gradients *g;

  mlir::Type element() const { return mlir::cast<mlir::RankedTensorType>(v.getType()).getElementType(); }
  Shape shape() const { return shapeOf(v); }
  operator mlir::Value() const { return v; }

  Expr constant(double value) const {
    auto type = mlir::RankedTensorType::get({}, element());
    mlir::Attribute number = mlir::isa<mlir::FloatType>(element()) ? mlir::Attribute(g->b.getFloatAttr(element(), value))
                                                                  : mlir::Attribute(g->b.getIntegerAttr(element(), int64_t(value)));
    return {ConstantOp::create(g->b, g->loc, mlir::cast<mlir::TypedAttr>(mlir::Attribute(mlir::DenseElementsAttr::get(type, number)))), g};
  }
  /// The number of elements along axes, as a scalar.
  Expr count(llvm::ArrayRef<int64_t> axes) const {
    DimExpr n(1);
    for (int64_t axis : axes)
      n = n * shape()[axis];
    return {SizeOp::create(g->b, g->loc, mlir::RankedTensorType::get({}, element()), n.str()), g};
  }
  template <typename Op>
  Expr unary() const {
    return {Op::create(g->b, g->loc, v.getType(), v), g};
  }
  template <typename Op>
  Expr binary(const Expr &other) const {
    return {Op::create(g->b, g->loc, v, other.v), g};
  }
  Expr sum(llvm::ArrayRef<int64_t> axes, bool keepdim = true) const { return {ReduceSumOp::create(g->b, g->loc, v, axes, keepdim), g}; }
  Expr mean(llvm::ArrayRef<int64_t> axes) const { return {ReduceMeanOp::create(g->b, g->loc, v, axes, true), g}; }
  Expr expand(mlir::Type to) const { return v.getType() == to ? *this : Expr{ExpandOp::create(g->b, g->loc, mlir::cast<mlir::RankedTensorType>(to), v), g}; }
  Expr reshape(llvm::ArrayRef<DimExpr> to) const {
    auto type = tensorType(to, element());
    return v.getType() == type ? *this : Expr{ReshapeOp::create(g->b, g->loc, type, v), g};
  }
  Expr cast(mlir::Type to) const {
    return element() == to ? *this : Expr{CastOp::create(g->b, g->loc, tensorType(shape(), to), v), g};
  }
};

inline Expr operator+(const Expr &x, const Expr &y) { return x.binary<AddOp>(y); }
inline Expr operator-(const Expr &x, const Expr &y) { return x.binary<SubOp>(y); }
inline Expr operator*(const Expr &x, const Expr &y) { return x.binary<MulOp>(y); }
inline Expr operator/(const Expr &x, const Expr &y) { return x.binary<DivOp>(y); }
inline Expr operator+(const Expr &x, double y) { return x + x.constant(y); }
inline Expr operator-(const Expr &x, double y) { return x - x.constant(y); }
inline Expr operator*(const Expr &x, double y) { return x * x.constant(y); }
inline Expr operator/(const Expr &x, double y) { return x / x.constant(y); }
inline Expr operator+(double x, const Expr &y) { return y.constant(x) + y; }
inline Expr operator-(double x, const Expr &y) { return y.constant(x) - y; }
inline Expr operator*(double x, const Expr &y) { return y.constant(x) * y; }
inline Expr operator/(double x, const Expr &y) { return y.constant(x) / y; }
inline Expr operator-(const Expr &x) { return x.unary<NegOp>(); }
inline Expr operator>(const Expr &x, const Expr &y) { return x.binary<GreaterOp>(y); }
inline Expr operator<(const Expr &x, const Expr &y) { return x.binary<LessOp>(y); }
inline Expr operator>=(const Expr &x, const Expr &y) { return x.binary<GreaterEqualOp>(y); }
inline Expr operator<=(const Expr &x, const Expr &y) { return x.binary<LessEqualOp>(y); }
inline Expr operator>(const Expr &x, double y) { return x > x.constant(y); }
inline Expr operator<(const Expr &x, double y) { return x < x.constant(y); }
inline Expr operator>=(const Expr &x, double y) { return x >= x.constant(y); }
inline Expr operator<=(const Expr &x, double y) { return x <= x.constant(y); }
inline Expr operator&(const Expr &x, const Expr &y) { return x.binary<AndOp>(y); }
inline Expr equal(const Expr &x, const Expr &y) { return x.binary<EqualOp>(y); }
inline Expr equal(const Expr &x, double y) { return equal(x, x.constant(y)); }
inline Expr exp(const Expr &x) { return x.unary<ExpOp>(); }
inline Expr log(const Expr &x) { return x.unary<LogOp>(); }
inline Expr sqrt(const Expr &x) { return x.unary<SqrtOp>(); }
inline Expr rsqrt(const Expr &x) { return x.unary<RsqrtOp>(); }
inline Expr sin(const Expr &x) { return x.unary<SinOp>(); }
inline Expr cos(const Expr &x) { return x.unary<CosOp>(); }
inline Expr tanh(const Expr &x) { return x.unary<TanhOp>(); }
inline Expr erf(const Expr &x) { return x.unary<ErfOp>(); }
inline Expr abs(const Expr &x) { return x.unary<AbsOp>(); }
inline Expr sigmoid(const Expr &x) { return x.unary<SigmoidOp>(); }
inline Expr maximum(const Expr &x, double y) { return x.binary<MaximumOp>(x.constant(y)); }
inline Expr pow(const Expr &x, const Expr &y) { return x.binary<PowOp>(y); }
inline Expr where(const Expr &c, const Expr &x, const Expr &y) { return {WhereOp::create(c.g->b, c.g->loc, c.v, x.v, y.v), c.g}; }
inline Expr where(const Expr &c, const Expr &x, double y) { return where(c, x, x.constant(y)); }
inline Expr where(const Expr &c, double x, const Expr &y) { return where(c, y.constant(x), y); }
inline Expr matmul(const Expr &a, const Expr &b, bool transposeA, bool transposeB, bool wide) {
  return {MatmulOp::create(a.g->b, a.g->loc, a.v, b.v, transposeA, transposeB, wide), a.g};
}

/// What many terms of half precision are summed in.
inline mlir::Type sumType(mlir::Type element) { return element.isF64() ? element : mlir::Type(mlir::Float32Type::get(element.getContext())); }

/// Attaches `function` as the gradient rule of `Op`.
template <typename Op, void (*function)(Op, Gradients &)>
struct Rule : GradientOpInterface::ExternalModel<Rule<Op, function>, Op> {
  llvm::LogicalResult buildGradient(mlir::Operation *op, Gradients &g) const {
    function(mlir::cast<Op>(op), g);
    return mlir::success();
  }
};
template <typename Op, void (*function)(Op, Gradients &)>
void attach(mlir::MLIRContext &context) {
  Op::template attachInterface<Rule<Op, function>>(context);
}

void registerPointwiseRules(mlir::MLIRContext &context);
void registerShapeRules(mlir::MLIRContext &context);
void registerRowRules(mlir::MLIRContext &context);
void registerTransformerRules(mlir::MLIRContext &context);
void registerAttentionRules(mlir::MLIRContext &context);
void registerLossRules(mlir::MLIRContext &context);

} // namespace weft

#endif // WEFT_AUTODIFF_RULES_EXPR_H
