// What a shape rule sees of one node, and the helpers that rules share.
// Two axes agree if their DimExprs are equal or (broadcasting) one of them is the literal 1. A named dim is never
// compared with a number by its range: [B, T] and [B, 128] do not broadcast even if T's only value is 128.
#ifndef WEFT_IMPORT_SHAPERULES_H
#define WEFT_IMPORT_SHAPERULES_H

#include "import/OpTable.h"

#include <optional>

namespace weft {

using Shape = std::vector<DimExpr>;

struct InitRule {
  InitKind kind = InitKind::constant;
  double a = 0, b = 0;
};

/// What rules ask of the reader.
class OpEnvironment {
public:
  virtual ~OpEnvironment() = default;
  /// Both return false. `attribute` or `operand` says where the error is; empty / -1: the node.
  virtual bool fail(std::string text, std::string hint) = 0;
  virtual bool failAt(std::string_view attribute, std::string text, std::string hint) = 0;
  virtual bool failOperand(int operand, std::string text, std::string hint) = 0;
  virtual void warn(std::string text) = 0;
  virtual bool param(std::string_view role, const Shape &shape, const InitRule &rule, int64_t zeroRow) = 0;
  /// dtype of values that come from parameters or constants alone: f32, or f64 in an f64 model.
  virtual DType floatType() const = 0;
  virtual const StateDesc *state(std::string_view name) const = 0;
  /// Smallest and largest value over the ranges of the dims; nullopt if unknown.
  virtual std::optional<int64_t> lowest(const DimExpr &size) const = 0;
  virtual std::optional<int64_t> highest(const DimExpr &size) const = 0;
  /// `factor` divides the size for all sizes of the dims (by their multiple_of).
  virtual bool isMultiple(const DimExpr &size, int64_t factor) const = 0;
};

class OpCall {
public:
  OpCall(OpEnvironment &environment, const OpInfo &op) : environment(environment), op(op) {}

  OpEnvironment &environment;
  const OpInfo &op;
  std::vector<const TensorType *> operands; ///< by position in op.operands, nullptr where left out; variadic: all
  std::map<std::string, AttrValue> attrs;
  std::vector<TensorType> results;

  bool has(int operand) const { return operand < static_cast<int>(operands.size()) && operands[operand]; }
  const Shape &shape(int operand) const { return operands[operand]->shape; }
  DType type(int operand) const { return operands[operand]->dtype; }
  size_t rank(int operand) const { return operands[operand]->shape.size(); }

  bool given(const char *name) const { return attrs.count(name) != 0; }
  int64_t integer(const char *name) const { return std::get<int64_t>(attrs.at(name)); }
  double real(const char *name) const { return std::get<double>(attrs.at(name)); }
  bool flag(const char *name) const { return std::get<bool>(attrs.at(name)); }
  const std::string &word(const char *name) const { return std::get<std::string>(attrs.at(name)); }
  const std::vector<int64_t> &integers(const char *name) const {
    return std::get<std::vector<int64_t>>(attrs.at(name));
  }
  const Shape &sizes(const char *name) const { return std::get<Shape>(attrs.at(name)); }

  bool fail(std::string text, std::string hint = {}) { return environment.fail(std::move(text), std::move(hint)); }
  bool failAt(std::string_view attribute, std::string text, std::string hint = {}) {
    return environment.failAt(attribute, std::move(text), std::move(hint));
  }
  bool failOperand(int operand, std::string text, std::string hint = {}) {
    return environment.failOperand(operand, std::move(text), std::move(hint));
  }
  bool param(std::string_view role, const Shape &shape, const InitRule &rule, int64_t zeroRow = -1) {
    return environment.param(role, shape, rule, zeroRow);
  }
  bool give(DType dtype, Shape shape) {
    results.push_back({dtype, std::move(shape)});
    return true;
  }

  /// The operand has this rank.
  bool needRank(int operand, size_t rank);
  bool needRankAtLeast(int operand, size_t rank);
  /// All given operands from `first` on have one dtype.
  bool needSameType(int first = 0);
  /// The last axis as a number: parameters have fixed sizes.
  std::optional<int64_t> fixedAxis(int operand, size_t axis, const char *why);
  /// a and b are the same size.
  bool needEqual(const DimExpr &a, const DimExpr &b, const std::string &what);
};

std::string shapeText(const Shape &shape); ///< "[B, T, 384]"
const char *dtypeName(DType dtype);
std::optional<DType> dtypeOf(std::string_view name);
const std::vector<std::string> &dtypeNames();
bool isFloat(DType dtype);
bool isIndex(DType dtype);
/// Whole and in range for integers; of floats, infinity is one, but no finite number may become it.
bool isValueOf(DType dtype, double value);
std::string notValueText(DType dtype, double value); ///< "expected a value of dtype f16 but got 70000.0"

/// NumPy's rule with the equality above; nullopt with the two axes that clash in `clash`.
std::optional<Shape> broadcastShapes(const Shape &a, const Shape &b, std::string *clash = nullptr);
/// Product of all axes; invalid on overflow.
DimExpr elementCount(const Shape &shape);

InitRule initConstant(double value);
InitRule initNormal(double std);
InitRule initUniform(double bound);

// The rules, by chapter.
bool shapeEmbedding(OpCall &);
bool shapePositionEmbedding(OpCall &);
bool shapeRope(OpCall &);
bool shapeLinear(OpCall &);
bool shapeMatmul(OpCall &);
bool shapeEinsum(OpCall &);
bool shapeParameter(OpCall &);
bool shapeLayerNorm(OpCall &);
bool shapeRmsNorm(OpCall &);
bool shapeL2Normalize(OpCall &);
bool shapeAttention(OpCall &);
bool shapeMha(OpCall &);
bool shapeCausalMask(OpCall &);
bool shapeSame(OpCall &);
bool shapeClamp(OpCall &);
bool shapeCast(OpCall &);
bool shapeBinary(OpCall &);
bool shapeCompare(OpCall &);
bool shapeVariadic(OpCall &);
bool shapeGated(OpCall &);
bool shapeWhere(OpCall &);
bool shapeMaskedFill(OpCall &);
bool shapeReshape(OpCall &);
bool shapeTranspose(OpCall &);
bool shapeSplit(OpCall &);
bool shapeConcat(OpCall &);
bool shapeSlice(OpCall &);
bool shapeSelect(OpCall &);
bool shapeSqueeze(OpCall &);
bool shapeUnsqueeze(OpCall &);
bool shapeExpand(OpCall &);
bool shapeFlatten(OpCall &);
bool shapeGather(OpCall &);
bool shapeConstant(OpCall &);
bool shapeIota(OpCall &);
bool shapeReduce(OpCall &);
bool shapeArgmax(OpCall &);
bool shapePool(OpCall &);
bool shapeCrossEntropy(OpCall &);
bool shapeDifference(OpCall &);

} // namespace weft

#endif // WEFT_IMPORT_SHAPERULES_H
