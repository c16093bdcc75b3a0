// Gradients under construction: what a rule reads (gradient of a result) and writes (gradients of operands).
// One object stands for one block of the forward pass; a repeat's body has its own.
#ifndef WEFT_AUTODIFF_GRADIENTS_H
#define WEFT_AUTODIFF_GRADIENTS_H

#include "dialect/Weft.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/MapVector.h"

#include <optional>

namespace weft {
class Gradients;
}

#include "autodiff/GradientOpInterface.h.inc"

namespace weft {

/// A parameter as a gradient is summed for it: the symbol, and the repeat indices that are still open.
using ParameterKey = std::pair<mlir::StringAttr, llvm::SmallVector<mlir::Value, 2>>;

class Gradients {
public:
  /// `varied`: values that depend on something a gradient is wanted of; only they get one.
  Gradients(mlir::OpBuilder &b, const llvm::DenseSet<mlir::Value> &varied) : b(b), varied(varied) {}

  mlir::OpBuilder &b;
  mlir::Location loc = b.getUnknownLoc();  ///< of the op whose rule runs

  /// The gradient of a result (the sum of what was added, in the order it was added), or null: zero. It has the result's
  /// type: of half precision, it is rounded once, after the sum.
  mlir::Value of(mlir::Value result);
  /// The same, not rounded where what was added is wider.
  mlir::Value unrounded(mlir::Value result);
  bool has(mlir::Value result) const { return parts.count(result); }
  bool needs(mlir::Value operand) const { return varied.contains(operand); }

  /// Adds `gradient` to the operand's, if it needs one. A gradient of the broadcast shape is summed over the axes that the
  /// operand was broadcast along; a smaller one is broadcast. That of half precision may be f32.
  void add(mlir::Value operand, mlir::Value gradient);
  /// The same for the part of the operand that begins at `start` of `axis`; the rest of this contribution is zero.
  void addSlice(mlir::Value operand, int64_t axis, const DimExpr &start, mlir::Value gradient);

  /// Zeros of a tensor type.
  mlir::Value zeros(mlir::Type type);
  mlir::Value sum(llvm::ArrayRef<mlir::Value> values);

  /// Reported by a rule that does not cover a case of its op.
  void missing(const std::string &what) { missingRules.push_back(what); }
  std::vector<std::string> missingRules;

  /// Gradients of parameters read in this block or in repeats inside it.
  std::vector<std::pair<ParameterKey, llvm::SmallVector<mlir::Value>>> parameters;
  void addParameter(const ParameterKey &key, mlir::Value gradient);

private:
  struct Part {
    mlir::Value gradient;
    int64_t axis = -1;  ///< ≥ 0: a slice from `start` on
    DimExpr start;
  };
  mlir::Value fit(mlir::Value gradient, const Shape &shape);
  mlir::Value castTo(mlir::Value gradient, mlir::Type element);
  mlir::Value pad(const Part &part, mlir::Type type);
  /// Slices that tile the whole value, as one concat; null if they do not.
  mlir::Value tile(llvm::ArrayRef<Part> slices, mlir::Type type);

  const llvm::DenseSet<mlir::Value> &varied;
  llvm::DenseMap<mlir::Value, llvm::SmallVector<Part, 2>> parts;
};

/// Gives every differentiable op of the dialect its rule.
void registerGradientRules(mlir::MLIRContext &context);

} // namespace weft

#endif // WEFT_AUTODIFF_GRADIENTS_H
