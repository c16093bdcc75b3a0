// Attribute access, shapes and places: what all chapters of ops share.
// Attributes are read by meaning, not by alternative: an integer is accepted wherever a real is asked for.
#include "Ops.h"

namespace weft::reference {
namespace {

template <class... Fs> struct Overload : Fs... {
  using Fs::operator()...;
};
template <class... Fs> Overload(Fs...) -> Overload<Fs...>;

int64_t evaluate(const DimExpr &expr, const std::map<std::string, int64_t> &sizes) {
  std::optional<int64_t> value = expr.evaluate(sizes);
  if (!value)
    fail("cannot evaluate '", expr.str(), "'");
  return *value;
}

}  // namespace

Tensor make(DType dtype, Shape shape) {
  std::optional<Tensor> result = zeros(dtype, shape);
  if (!result)
    fail("expected a shape of at most 2^40 elements but got ", shapeText(shape));
  return std::move(*result);
}

const Tensor &Call::operand(size_t i) const {
  if (!has(i))
    fail("operand ", i, " is missing");
  return *in[i];
}

bool Call::hasParam(const char *role) const {
  for (const ParamUse &use : node.params)
    if (use.role == role)
      return true;
  return false;
}

const Tensor &Call::param(const char *role) const {
  for (const ParamUse &use : node.params) {
    if (use.role != role)
      continue;
    // Position among the rounds of those repeats whose index the name contains, the outer one varying slowest.
    int64_t position = 0;
    for (const Round &round : run.rounds)
      for (const std::string &index : use.indices)
        if (index == round.index)
          position = position * round.count + round.round;
    if (position < 0 || position >= static_cast<int64_t>(use.tensors.size()))
      fail("parameter '", use.name, "' has ", use.tensors.size(), " tensors, none for round ", position);
    const ParamTensor &tensor = run.model.tensors.at(use.tensors[position]);
    auto found = run.parameters.find(tensor.name);
    if (found == run.parameters.end())
      fail("parameter '", tensor.name, "' is missing");
    return *found->second;
  }
  fail("the node has no parameter '", role, "'");
}

Call::Kept Call::dropout(double p) const {
  if (!run.dropout || p == 0)
    return {0, 1, 0, 0};
  // Repeats count in the order of their indices' names.
  std::vector<Round> rounds = run.rounds;
  std::sort(rounds.begin(), rounds.end(), [](const Round &a, const Round &b) { return a.index < b.index; });
  int64_t number = 0;
  for (const Round &round : rounds)
    number = number * round.count + round.round;
  return {p, 1 / (1 - p), run.dropout->site(node.path), number};
}

bool Call::flag(const char *name, bool otherwise) const {
  auto found = node.attrs.find(name);
  if (found == node.attrs.end())
    return otherwise;
  if (const bool *value = std::get_if<bool>(&found->second))
    return *value;
  fail("attribute '", name, "' is not a bool");
}

int64_t Call::integer(const char *name, std::optional<int64_t> otherwise) const {
  auto found = node.attrs.find(name);
  if (found == node.attrs.end()) {
    if (otherwise)
      return *otherwise;
    fail("attribute '", name, "' is missing");
  }
  return std::visit(Overload{[](int64_t v) { return v; },
                             [&](const DimExpr &v) { return evaluate(v, run.sizes); },
                             [&](const auto &) -> int64_t { fail("attribute '", name, "' is not an integer"); }},
                    found->second);
}

double Call::real(const char *name, std::optional<double> otherwise) const {
  auto found = node.attrs.find(name);
  if (found == node.attrs.end()) {
    if (otherwise)
      return *otherwise;
    fail("attribute '", name, "' is missing");
  }
  return std::visit(Overload{[](double v) { return v; }, [](int64_t v) { return static_cast<double>(v); },
                             [](bool v) { return v ? 1.0 : 0.0; },
                             [&](const DimExpr &v) { return static_cast<double>(evaluate(v, run.sizes)); },
                             [&](const auto &) -> double { fail("attribute '", name, "' is not a number"); }},
                    found->second);
}

std::string Call::word(const char *name, const char *otherwise) const {
  auto found = node.attrs.find(name);
  if (found == node.attrs.end())
    return otherwise;
  if (const std::string *value = std::get_if<std::string>(&found->second))
    return *value;
  fail("attribute '", name, "' is not a word");
}

std::vector<int64_t> Call::integers(const char *name) const {
  auto found = node.attrs.find(name);
  if (found == node.attrs.end())
    fail("attribute '", name, "' is missing");
  return std::visit(Overload{[](const std::vector<int64_t> &v) { return v; }, [](int64_t v) { return std::vector<int64_t>{v}; },
                             [&](const std::vector<DimExpr> &v) {
                               std::vector<int64_t> result;
                               for (const DimExpr &next : v)
                                 result.push_back(evaluate(next, run.sizes));
                               return result;
                             },
                             [&](const auto &) -> std::vector<int64_t> { fail("attribute '", name, "' is not a list of integers"); }},
                    found->second);
}

std::vector<double> Call::reals(const char *name) const {
  auto found = node.attrs.find(name);
  if (found == node.attrs.end())
    fail("attribute '", name, "' is missing");
  return std::visit(Overload{[](const std::vector<double> &v) { return v; },
                             [](const std::vector<int64_t> &v) { return std::vector<double>(v.begin(), v.end()); },
                             [](double v) { return std::vector<double>{v}; },
                             [](int64_t v) { return std::vector<double>{static_cast<double>(v)}; },
                             [&](const auto &) -> std::vector<double> { fail("attribute '", name, "' is not a list of numbers"); }},
                    found->second);
}

int64_t Call::axis(int64_t rank, int64_t otherwise) const {
  int64_t axis = integer("axis", otherwise);
  if (axis < -rank || axis >= rank)
    fail("axis ", axis, " of a value of rank ", rank);
  return axis < 0 ? axis + rank : axis;
}

DType Call::dtype(const char *name, DType otherwise) const {
  std::string text = word(name);
  if (text.empty())
    return otherwise;
  for (int i = 0; i <= static_cast<int>(DType::boolean); ++i)
    if (text == dtypeText(static_cast<DType>(i)))
      return static_cast<DType>(i);
  fail("unknown dtype '", text, "'");
}

DType Call::floatType() const {
  DType declared = graph.values.at(node.results.at(0)).type.dtype;
  return isReal(declared) ? declared : DType::f32;
}

KvCache *Call::cache(const std::string &state) const {
  auto found = run.caches.find(state);
  return found == run.caches.end() ? nullptr : &found->second;
}

const StateDesc &Call::state(const std::string &name) const {
  for (const StateDesc &next : run.model.states)
    if (next.name == name)
      return next;
  fail("no state '", name, "'");
}

int64_t Call::validTokens(int64_t b, int64_t tokens) const {
  return run.valid.empty() ? tokens : run.valid.at(b);
}

Shape broadcast(const Shape &a, const Shape &b) {
  Shape result(std::max(a.size(), b.size()), 1);
  for (size_t i = 0; i < result.size(); ++i) {
    // Axes are matched from the right.
    int64_t x = i < a.size() ? a[a.size() - 1 - i] : 1, y = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (x != y && x != 1 && y != 1)
      fail("shapes ", shapeText(a), " and ", shapeText(b), " do not broadcast");
    result[result.size() - 1 - i] = x == 1 ? y : x;
  }
  return result;
}

void forEach(const Shape &shape, const std::function<void(const Shape &)> &body) {
  for (int64_t size : shape)
    if (size == 0)
      return;
  Shape index(shape.size(), 0);
  while (true) {
    body(index);
    size_t axis = shape.size();
    while (axis > 0 && ++index[axis - 1] == shape[axis - 1])
      index[--axis] = 0;
    if (axis == 0)
      return;
  }
}

int64_t place(const Shape &shape, const Shape &index) {
  int64_t result = 0;
  size_t skip = index.size() - shape.size();
  for (size_t i = 0; i < shape.size(); ++i)
    result = result * shape[i] + (shape[i] == 1 ? 0 : index[skip + i]);
  return result;
}

AxisView axisView(const Shape &shape, int64_t axis) {
  AxisView view{1, shape[axis], 1};
  for (int64_t i = 0; i < axis; ++i)
    view.outer *= shape[i];
  for (size_t i = axis + 1; i < shape.size(); ++i)
    view.inner *= shape[i];
  return view;
}

Tensor withShape(const Tensor &x, Shape shape) {
  std::optional<int64_t> count = elementCount(shape);
  if (!count || *count != x.count())
    fail("a value of shape ", shapeText(x.shape), " cannot have shape ", shapeText(shape));
  Tensor result = x;
  result.shape = std::move(shape);
  return result;
}

const Tensor &needReal(const Tensor &x) {
  if (!x.real())
    fail("expected a float operand but got ", dtypeText(x.dtype));
  return x;
}

const Tensor &needBool(const Tensor &x) {
  if (x.dtype != DType::boolean)
    fail("expected a bool operand but got ", dtypeText(x.dtype));
  return x;
}

const Tensor &needIndex(const Tensor &x) {
  if (x.dtype != DType::i32 && x.dtype != DType::i64)
    fail("expected i32 or i64 indices but got ", dtypeText(x.dtype));
  return x;
}

void needSameType(const Tensor &a, const Tensor &b) {
  if (a.dtype != b.dtype)
    fail("operands have different dtypes: ", dtypeText(a.dtype), " and ", dtypeText(b.dtype));
}

void needShape(const Tensor &x, const Shape &shape, const char *what) {
  if (x.shape != shape)
    fail("expected ", what, " of shape ", shapeText(shape), " but got ", shapeText(x.shape));
}

const OpTable &ops() {
  static const OpTable table = [] {
    OpTable result;
    for (auto add : {addEmbeddingOps, addDenseOps, addNormOps, addAttentionOps, addPointwiseOps, addShapeOps, addReductionOps, addLossOps})
      add(result);
    return result;
  }();
  return table;
}

}  // namespace weft::reference
