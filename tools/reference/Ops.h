// What an op's loops see of their node, and the helpers they share. Internal to the interpreter.
// Ops are templates on the arithmetic type: float, double, or duals of them. Values are stored as double either way.
#ifndef WEFT_REFERENCE_OPS_H
#define WEFT_REFERENCE_OPS_H

#include "Dual.h"
#include "Philox.h"
#include "Reference.h"

#include <algorithm>
#include <functional>
#include <unordered_map>

namespace weft::reference {

/// Thrown by ops, caught by runReference.
struct Failure {
  std::string text;
};

template <class... Parts> [[noreturn]] void fail(Parts &&...parts) {
  std::string text;
  auto add = [&](const auto &part) {
    if constexpr (std::is_arithmetic_v<std::decay_t<decltype(part)>>)
      text += std::to_string(part);
    else
      text += part;
  };
  (add(parts), ...);
  throw Failure{text};
}

using Shape = std::vector<int64_t>;

/// As zeros(), but throws.
Tensor make(DType dtype, Shape shape);

/// One round of one enclosing repeat.
struct Round {
  std::string index;
  int64_t round, count;
};

/// What the nodes of one run share.
struct Run {
  const ModelDesc &model;
  std::map<std::string, TensorRef> parameters;
  std::map<std::string, int64_t> sizes;   ///< dims and repeat indices
  std::vector<Round> rounds;              ///< outermost first
  std::map<std::string, KvCache> caches;  ///< bound states
  std::map<std::string, int64_t> appended;///< tokens of this call by state
  std::vector<int64_t> valid;
  Arithmetic arithmetic;
  std::optional<Dropout> dropout;
};

/// One execution of one node.
struct Call {
  Run &run;
  const Node &node;
  const Graph &graph;         ///< that the node stands in
  std::vector<TensorRef> in;  ///< null where left out

  const Tensor &operand(size_t i) const;
  bool has(size_t i) const { return i < in.size() && in[i]; }
  const Tensor &param(const char *role) const;
  bool hasParam(const char *role) const;

  bool given(const char *name) const { return node.attrs.count(name) != 0; }
  bool flag(const char *name, bool otherwise = false) const;
  int64_t integer(const char *name, std::optional<int64_t> otherwise = std::nullopt) const;
  double real(const char *name, std::optional<double> otherwise = std::nullopt) const;
  std::string word(const char *name, const char *otherwise = "") const;
  std::vector<int64_t> integers(const char *name) const;
  std::vector<double> reals(const char *name) const;
  /// A normalised axis below `rank`.
  int64_t axis(int64_t rank, int64_t otherwise = -1) const;
  DType dtype(const char *name, DType otherwise) const;
  /// The float dtype of a result that comes from no float operand: as the description declares it.
  DType floatType() const;

  /// What becomes of this node's elements, by their number: kept ones are multiplied by `scale`, all others are 0.
  struct Kept {
    double p, scale;
    int64_t site, round;
    bool operator()(int64_t element) const { return p == 0 || kept({}, site, round, p, static_cast<uint64_t>(element)); }
  };
  Kept dropout(double p) const;

  /// The bound cache of that state, or null.
  KvCache *cache(const std::string &state) const;
  const StateDesc &state(const std::string &name) const;
  /// Real tokens of sequence b out of `tokens`.
  int64_t validTokens(int64_t b, int64_t tokens) const;
};

using Results = std::vector<Tensor>;
using OpFn = Results (*)(Call &);
/// The loops of one op in each arithmetic.
struct OpForms {
  OpFn f32, f64;
  OpFn dual32, dual64;
  template <class T> OpFn &of();
};
template <> inline OpFn &OpForms::of<float>() { return f32; }
template <> inline OpFn &OpForms::of<double>() { return f64; }
template <> inline OpFn &OpForms::of<Dual<float>>() { return dual32; }
template <> inline OpFn &OpForms::of<Dual<double>>() { return dual64; }
using OpTable = std::unordered_map<std::string, OpForms>;

/// Calls `body` with a number of each arithmetic type.
template <class Body> void forEachArithmetic(Body body) {
  body(float());
  body(double());
  body(Dual<float>());
  body(Dual<double>());
}

void addEmbeddingOps(OpTable &);
void addDenseOps(OpTable &);
void addNormOps(OpTable &);
void addAttentionOps(OpTable &);
void addPointwiseOps(OpTable &);
void addShapeOps(OpTable &);
void addReductionOps(OpTable &);
void addLossOps(OpTable &);
const OpTable &ops();

// ---- Shapes and places -------------------------------------------------------------------------------------------

/// NumPy's rule.
Shape broadcast(const Shape &a, const Shape &b);
/// Calls `body(index)` for every index of `shape` in row-major order.
void forEach(const Shape &shape, const std::function<void(const Shape &index)> &body);
/// Place in a tensor of `shape` of an index of a shape that it broadcasts to.
int64_t place(const Shape &shape, const Shape &index);

/// An axis with what stands before and after it: element (o, i, k) is at (o * size + i) * inner + k.
struct AxisView {
  int64_t outer, size, inner;
  int64_t at(int64_t o, int64_t i, int64_t k) const { return (o * size + i) * inner + k; }
};
AxisView axisView(const Shape &shape, int64_t axis);

/// The same elements under another shape of as many elements.
Tensor withShape(const Tensor &x, Shape shape);

/// A float element as a number of the arithmetic type, and back.
template <class T> T load(const Tensor &x, int64_t i) {
  T number = static_cast<T>(x.reals[i]);
  if constexpr (IsDual<T>::value)
    if (!x.tangents.empty())
      std::copy_n(x.tangents.begin() + i * kLanes, kLanes, number.d.begin());
  return number;
}
/// Their product, without work for what does not move.
template <class T> T product(const Tensor &a, int64_t i, const Tensor &b, int64_t j) {
  if constexpr (IsDual<T>::value) {
    if (a.tangents.empty()) {
      const auto factor = static_cast<decltype(T::value)>(a.reals[i]);
      const T x = load<T>(b, j);
      return chain(x, factor * x.value, factor);
    }
    if (b.tangents.empty())
      return product<T>(b, j, a, i);
  }
  return load<T>(a, i) * load<T>(b, j);
}
template <class T> void store(Tensor &y, int64_t i, const T &number) {
  if constexpr (IsDual<T>::value) {
    y.reals[i] = number.value;
    y.tangents.resize(y.reals.size() * kLanes);
    std::copy_n(number.d.begin(), kLanes, y.tangents.begin() + i * kLanes);
  } else {
    y.reals[i] = number;
  }
}
/// Copies one element between tensors of one dtype, with its derivatives.
inline void copyElement(Tensor &to, int64_t i, const Tensor &from, int64_t j) {
  if (!from.real()) {
    to.integers[i] = from.integers[j];
    return;
  }
  to.reals[i] = from.reals[j];
  if (from.tangents.empty())
    return;
  to.tangents.resize(to.reals.size() * kLanes);
  std::copy_n(from.tangents.begin() + j * kLanes, kLanes, to.tangents.begin() + i * kLanes);
}
const Tensor &needReal(const Tensor &x);
const Tensor &needBool(const Tensor &x);
const Tensor &needIndex(const Tensor &x);
void needSameType(const Tensor &a, const Tensor &b);
void needShape(const Tensor &x, const Shape &shape, const char *what);

// ---- Arithmetic shared by chapters -------------------------------------------------------------------------------

/// y = act(x) for relu, gelu, gelu_tanh, silu, tanh, sigmoid.
template <class T> T activate(const std::string &name, T x);
/// x [..., in] times weight [features, in] transposed, rows [first, first + features) of weight, plus bias or nothing.
template <class T> Tensor linearRows(const Tensor &x, const Tensor &weight, const Tensor *bias, int64_t first, int64_t features);

}  // namespace weft::reference

#endif  // WEFT_REFERENCE_OPS_H
