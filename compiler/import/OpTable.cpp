// The table itself. Adding an op to the format is one entry here and, if its shapes are new, one rule in
// ShapeRules*.cpp. Formulas and examples are what docs/ops.md prints.
#include "import/OpTable.h"

#include "import/Diagnostics.h"
#include "import/ShapeRules.h"

#include <sstream>
#include <unordered_map>

namespace weft {
namespace {

using A = AttrType;
using T = TypeClass;

AttrInfo need(const char *name, A type, const char *doc, AttrRange range = AttrRange::any,
              const char *words = nullptr) {
  return {name, type, true, nullptr, words, range, doc};
}
AttrInfo with(const char *name, A type, const char *byDefault, const char *doc, AttrRange range = AttrRange::any,
              const char *words = nullptr) {
  return {name, type, false, byDefault, words, range, doc};
}
AttrInfo maybe(const char *name, A type, const char *doc, AttrRange range = AttrRange::any,
               const char *words = nullptr) {
  return {name, type, false, nullptr, words, range, doc};
}

constexpr const char *kActivations = "relu gelu gelu_tanh silu tanh sigmoid";
constexpr int kMostOperands = 1024;
constexpr const char *kMean = "mean sum none";

AttrInfo offsetAttr() {
  return with("offset", A::offset, "0",
              "first position: a number, or `{\"state\": s}`, the first free position of that cache");
}
AttrInfo reductionAttr(const char *words = kMean) {
  return with("reduction", A::word, "\"mean\"", "how the elements' losses become one", AttrRange::any, words);
}

std::vector<AttrInfo> attentionAttrs(bool isMha) {
  std::vector<AttrInfo> attrs = {need("heads", A::count, "number of query heads")};
  if (!isMha)
    attrs.push_back(maybe("kv_heads", A::count,
                          "number of key and value heads, default `heads`; each serves heads / kv_heads query heads"));
  for (AttrInfo next : {
           with("causal", A::boolean, "false", "query i sees keys j ≤ i; with a cache, by absolute position"),
           maybe("scale", A::real, "factor of the scores, default `1/sqrt(dh)`"),
           maybe("window", A::count, "with causal: only keys with i - window < j"),
           maybe("softcap", A::real, "scores become c·tanh(s/c)", AttrRange::positive),
           with("dropout", A::real, "0", "of the probabilities, in training", AttrRange::probability),
           maybe("cache", A::cache, "`{\"state\": s, \"layer\": n}`: keys and values are kept in that cache"),
           maybe("return_weights", A::word,
                 "also gives the probabilities before dropout: `[B, heads, Tq, Tk]`, or their mean over the heads; "
                 "a loss that reads them makes the backward pass hold maps too",
                 AttrRange::any, "per_head mean false"),
       })
    attrs.push_back(next);
  if (isMha)
    attrs.insert(attrs.begin() + 1, with("bias", A::boolean, "true", "projections have a bias"));
  return attrs;
}

OpInfo unary(const char *name, const char *summary, const char *formula, T type = T::real,
             std::vector<AttrInfo> attrs = {}) {
  return {name, "Pointwise", summary, formula, nullptr, {{"x", type}}, std::move(attrs), {}, "same", shapeSame};
}
AttrInfo valueAttr() { return maybe("value", A::scalar, "number in place of the second operand"); }
OpInfo binary(const char *name, const char *summary, const char *formula, T type = T::number) {
  return {name,          "Pointwise", summary,     formula,    nullptr, {{"a", type}, {"b", type, true}},
          {valueAttr()}, {},          "broadcast", shapeBinary};
}
OpInfo compare(const char *name, const char *formula, T type = T::any) {
  return {name,          "Pointwise", "Comparison, true where it holds",
          formula,       nullptr,     {{"a", type}, {"b", type, true}},
          {valueAttr()}, {},          "bool, broadcast",
          shapeCompare};
}
OpInfo reduce(const char *name, const char *summary, const char *formula, T type = T::number) {
  return {name,
          "Reductions",
          summary,
          formula,
          nullptr,
          {{"x", type}},
          {maybe("axis", A::axes, "one axis or a list, default all"),
           with("keepdim", A::boolean, "false", "keep the axes with size 1")},
          {},
          "x without the axes",
          shapeReduce};
}
OpInfo loss(const char *name, const char *summary, const char *formula, std::vector<OperandInfo> operands,
            std::vector<AttrInfo> attrs, bool (*rule)(OpCall &)) {
  OpInfo info{name,
              "Losses",
              summary,
              formula,
              nullptr,
              std::move(operands),
              std::move(attrs),
              {},
              "`[]`, or the shape of the labels for `none`",
              rule};
  info.isLoss = true;
  return info;
}

void addEmbeddings(std::vector<OpInfo> &t) {
  t.push_back(
      {"embedding",
       "Embeddings and positions",
       "Rows of a table, one for each id",
       "y[…, :] = weight[ids[…], :]",
       R"({"id": "tok", "op": "embedding", "in": "tokens", "rows": "vocab", "features": "d"})",
       {{"ids", T::index}},
       {need("rows", A::count, "number of rows; ids are 0 .. rows - 1"), need("features", A::count, "length of a row"),
        maybe("padding_idx", A::integer, "a row that starts as zeros and gets no gradient", AttrRange::nonNegative)},
       {{"weight", "[rows, features]", "normal(1)"}},
       "[…, features]",
       shapeEmbedding});
  t.push_back(
      {"position_embedding",
       "Embeddings and positions",
       "A vector for every position, learned or sinusoidal",
       "learned: y[t, :] = weight[t + offset, :]; sinusoidal: y[p, 2i] = sin(p / base^(2i/features)), y[p, 2i+1] = "
       "cos(same)",
       R"({"id": "pos", "op": "position_embedding", "in": "tokens", "kind": "learned", "rows": "ctx", "features": "d"})",
       {{"x"}},
       {need("kind", A::word, "where the vectors come from", AttrRange::any, "learned sinusoidal"),
        need("features", A::count, "length of a vector"),
        maybe("rows", A::count, "learned: number of positions in the table"),
        with("axis", A::axis, "1", "the position axis of x"), offsetAttr(),
        with("base", A::real, "10000", "sinusoidal: the slowest wave", AttrRange::positive)},
       {{"weight", "[rows, features]", "normal(0.02)", "learned"}},
       "[T, features], with a state [B, T, features]",
       shapePositionEmbedding});
  t.push_back({"rope",
               "Embeddings and positions",
               "Rotary positions: pairs of elements of each head turn with the position",
               "(a, b) → (a·cos φ - b·sin φ, a·sin φ + b·cos φ), φ = (t + offset) / theta^(2i/rotary_dim)",
               R"({"id": "q_rot", "op": "rope", "in": "q", "heads": "heads", "offset": {"state": "kv"}})",
               {{"x", T::real}},
               {need("heads", A::count, "number of heads"),
                with("theta", A::real, "10000", "the slowest wave", AttrRange::positive),
                with("interleaved", A::boolean, "false",
                     "pairs are (0, 1), (2, 3) …; otherwise the two halves (Hugging Face Llama)"),
                maybe("rotary_dim", A::count, "only the first so many elements of each head turn, default all; even"),
                offsetAttr()},
               {},
               "same",
               shapeRope});
}

void addDense(std::vector<OpInfo> &t) {
  t.push_back(
      {"linear",
       "Dense",
       "Matrix product with a weight, bias and activation",
       "y = activation(x · weightᵀ + bias)",
       R"({"id": "up", "op": "linear", "in": "x", "features": "4 * d", "activation": "gelu"})",
       {{"x", T::real}},
       {need("features", A::count, "size of the result's last axis"), with("bias", A::boolean, "true", "add a bias"),
        maybe("activation", A::word, "applied to the result", AttrRange::any, kActivations)},
       {{"weight", "[features, in]", "uniform(±1/√in)"}, {"bias", "[features]", "uniform(±1/√in)", "bias"}},
       "[…, features]",
       shapeLinear});
  t.push_back({"matmul",
               "Dense",
               "Matrix product over the last two axes; the other axes broadcast",
               "y[…, m, n] = Σₖ a[…, m, k] · b[…, k, n]",
               R"({"id": "scores", "op": "matmul", "in": ["q", "k"], "transpose_b": true})",
               {{"a", T::real}, {"b", T::real}},
               {with("transpose_a", A::boolean, "false", "swap the last two axes of a"),
                with("transpose_b", A::boolean, "false", "swap the last two axes of b")},
               {},
               "[…, m, n]",
               shapeMatmul});
  t.push_back({"einsum",
               "Dense",
               "Sum of products in index notation, one or two operands",
               "NumPy's einsum with an explicit `->`",
               R"({"id": "energy", "op": "einsum", "in": ["q", "k"], "equation": "nqhd,nkhd->nhqk"})",
               {{"operands", T::real}},
               {need("equation", A::text, "a letter for each axis, `->`, the result's letters")},
               {},
               "as the equation says",
               shapeEinsum,
               2});
  t.push_back({"parameter",
               "Dense",
               "A parameter tensor as a value; `param` is its whole name",
               "y = parameter",
               R"({"id": "table", "op": "parameter", "shape": ["ctx", "d"]})",
               {},
               {need("shape", A::counts, "sizes, without dims")},
               {{"", "shape", "normal(0.02)"}},
               "shape",
               shapeParameter});
}

void addNorms(std::vector<OpInfo> &t) {
  t.push_back({"layer_norm",
               "Norms",
               "Mean 0 and variance 1 along an axis, then scale and shift",
               "y = (x - μ) / √(σ² + eps) · weight + bias",
               R"({"id": "n1", "op": "layer_norm", "in": "x"})",
               {{"x", T::real}},
               {with("axis", A::axis, "-1", "the axis that is normalised"),
                with("eps", A::real, "1e-5", "keeps the divisor from zero", AttrRange::nonNegative),
                with("weight", A::boolean, "true", "scale"), with("bias", A::boolean, "true", "shift"),
                with("unbiased", A::boolean, "false", "variance over n - 1 instead of n"),
                with("eps_outside", A::boolean, "false", "divide by σ + eps instead of √(σ² + eps)")},
               {{"weight", "[size of axis]", "ones", "weight"}, {"bias", "[size of axis]", "zeros", "bias"}},
               "same",
               shapeLayerNorm});
  t.push_back({"rms_norm",
               "Norms",
               "Root mean square 1 along the last axis, then scale",
               "y = x / √(mean(x²) + eps) · weight",
               R"({"id": "n", "op": "rms_norm", "in": "x", "eps": 1e-5})",
               {{"x", T::real}},
               {need("eps", A::real, "keeps the divisor from zero", AttrRange::nonNegative)},
               {{"weight", "[last size]", "ones"}},
               "same",
               shapeRmsNorm});
  t.push_back({"l2_normalize",
               "Norms",
               "Length 1 along an axis",
               "y = x / max(‖x‖, eps)",
               R"({"id": "unit", "op": "l2_normalize", "in": "x"})",
               {{"x", T::real}},
               {with("axis", A::axis, "-1", "the axis that is normalised"),
                with("eps", A::real, "1e-12", "keeps the divisor from zero", AttrRange::nonNegative)},
               {},
               "same",
               shapeL2Normalize});
}

void addAttention(std::vector<OpInfo> &t) {
  t.push_back(
      {"attention",
       "Attention",
       "Scaled dot-product attention with heads in the last axis",
       "softmax(mask(softcap(scale · q·kᵀ) + bias)) · v for each head; a row with every key masked gives zeros",
       R"({"id": "a", "op": "attention", "in": {"q": "q", "k": "k", "v": "v"}, "heads": "heads", "causal": true})",
       {{"q", T::real},
        {"k", T::real},
        {"v", T::real},
        {"key_mask", T::boolean, true},
        {"mask", T::boolean, true},
        {"bias", T::real, true}},
       attentionAttrs(false),
       {},
       "[B, Tq, heads·dv], with return_weights a second result",
       shapeAttention});
  t.push_back({"mha",
               "Attention",
               "Projections of q, k and v, attention, output projection; parameters as nn.MultiheadAttention",
               "linear(attention(q·Wqᵀ + bq, k·Wkᵀ + bk, v·Wvᵀ + bv)); takes x, or q, k and v",
               R"({"id": "a", "op": "mha", "in": {"x": "x", "key_mask": "mask"}, "heads": 8, "param": "self_attn"})",
               {{"x", T::real, true},
                {"q", T::real, true},
                {"k", T::real, true},
                {"v", T::real, true},
                {"key_mask", T::boolean, true},
                {"mask", T::boolean, true},
                {"bias", T::real, true}},
               attentionAttrs(true),
               {{"in_proj_weight", "[3E, E]", "xavier_uniform"},
                {"in_proj_bias", "[3E]", "zeros", "bias"},
                {"out_proj.weight", "[E, E]", "uniform(±1/√E)"},
                {"out_proj.bias", "[E]", "zeros", "bias"}},
               "[B, Tq, E], with return_weights a second result",
               shapeMha});
  t.push_back({"causal_mask",
               "Attention",
               "True where a query may see a key: j ≤ i",
               "y[i, j] = j ≤ i",
               R"({"id": "past", "op": "causal_mask", "in": "x"})",
               {{"x"}},
               {with("axis", A::axis, "1", "the position axis of x")},
               {},
               "bool [T, T]",
               shapeCausalMask});
}

void addPointwise(std::vector<OpInfo> &t) {
  AttrInfo approximate = with("approximate", A::word, "\"none\"", "the error function, or its tanh approximation",
                              AttrRange::any, "none tanh");
  t.push_back(unary("neg", "Negation", "-x", T::number));
  t.push_back(unary("abs", "Absolute value", "|x|", T::number));
  t.push_back(unary("exp", "Exponential", "eˣ"));
  t.push_back(unary("log", "Natural logarithm", "ln x"));
  t.push_back(unary("sqrt", "Square root", "√x"));
  t.push_back(unary("rsqrt", "Reciprocal of the square root", "1/√x"));
  t.push_back(unary("erf", "Error function", "2/√π ∫₀ˣ e^(-t²) dt"));
  t.push_back(unary("tanh", "Hyperbolic tangent", "tanh x"));
  t.push_back(unary("sigmoid", "Logistic function", "1 / (1 + e⁻ˣ)"));
  t.push_back(unary("sin", "Sine", "sin x"));
  t.push_back(unary("cos", "Cosine", "cos x"));
  t.push_back(unary("relu", "Rectifier", "max(x, 0)"));
  t.push_back(unary("silu", "Sigmoid linear unit", "x · sigmoid(x)"));
  t.push_back(unary("not", "Logical not", "¬x", T::boolean));
  t.push_back(unary("gelu", "Gaussian error linear unit", "x · Φ(x)", T::real, {approximate}));
  t.push_back(unary("leaky_relu", "Rectifier with a slope below zero", "x ≥ 0 ? x : slope·x", T::real,
                    {with("slope", A::real, "0.01", "slope below zero")}));
  t.push_back(unary("elu", "Exponential linear unit", "x > 0 ? x : alpha·(eˣ - 1)", T::real,
                    {with("alpha", A::real, "1", "limit below zero, negated")}));
  t.push_back(unary("softplus", "Smooth rectifier", "ln(1 + eˣ)"));
  t.push_back(unary("clamp", "Limits to a range; at least one of min and max", "min(max(x, min), max)", T::number,
                    {maybe("min", A::scalar, "lower limit"), maybe("max", A::scalar, "upper limit")}));
  t.back().shape = shapeClamp;
  t.push_back({"cast",
               "Pointwise",
               "Conversion to another dtype",
               "dtype(x)",
               R"({"id": "f", "op": "cast", "in": "mask", "dtype": "f32"})",
               {{"x"}},
               {need("dtype", A::dtype, "of the result")},
               {},
               "same shape",
               shapeCast});
  t.push_back(unary(
      "dropout", "In training zeroes elements with probability p and scales the others by 1/(1-p); identity otherwise",
      "x · keep / (1 - p)", T::real, {need("p", A::real, "probability", AttrRange::probability)}));
  t.push_back(binary("sub", "Difference", "a - b"));
  t.push_back(binary("div", "Quotient", "a / b", T::real));
  t.push_back(binary("pow", "Power", "aᵇ", T::real));
  t.push_back(binary("minimum", "The smaller one", "min(a, b)"));
  t.push_back(binary("maximum", "The larger one", "max(a, b)"));
  for (auto [name, summary, formula] :
       {std::tuple("add", "Sum of two or more", "a + b + …"), std::tuple("mul", "Product of two or more", "a · b · …")})
    t.push_back({name,
                 "Pointwise",
                 summary,
                 formula,
                 nullptr,
                 {{"operands", T::number}},
                 {maybe("value", A::scalar, "number as one more operand")},
                 {},
                 "broadcast",
                 shapeVariadic,
                 kMostOperands});
  t.push_back({"swiglu",
               "Pointwise",
               "Gated unit",
               "silu(gate) · up",
               R"({"id": "act", "op": "swiglu", "in": {"gate": "gate", "up": "up"}})",
               {{"gate", T::real}, {"up", T::real}},
               {},
               {},
               "broadcast",
               shapeGated});
  t.push_back({"geglu",
               "Pointwise",
               "Gated unit",
               "gelu(gate) · up",
               nullptr,
               {{"gate", T::real}, {"up", T::real}},
               {approximate},
               {},
               "broadcast",
               shapeGated});
  t.push_back(compare("equal", "a = b"));
  t.push_back(compare("not_equal", "a ≠ b"));
  t.push_back(compare("less", "a < b"));
  t.push_back(compare("less_equal", "a ≤ b"));
  t.push_back(compare("greater", "a > b"));
  t.push_back(compare("greater_equal", "a ≥ b"));
  for (auto [name, formula] : {std::pair("and", "a ∧ b"), std::pair("or", "a ∨ b")})
    t.push_back({name,
                 "Pointwise",
                 "Logic",
                 formula,
                 nullptr,
                 {{"a", T::boolean}, {"b", T::boolean}},
                 {},
                 {},
                 "broadcast",
                 shapeBinary});
  t.push_back({"where",
               "Pointwise",
               "a where cond is true, else b",
               "cond ? a : b",
               R"({"id": "w", "op": "where", "in": {"cond": "m", "a": "x"}, "value_false": 0})",
               {{"cond", T::boolean}, {"a", T::any, true}, {"b", T::any, true}},
               {maybe("value_true", A::scalar, "number in place of a"),
                maybe("value_false", A::scalar, "number in place of b")},
               {},
               "broadcast",
               shapeWhere});
  t.push_back({"masked_fill",
               "Pointwise",
               "A number where the mask is true",
               "mask ? value : x",
               R"({"id": "f", "op": "masked_fill", "in": {"x": "scores", "mask": "future"}, "value": "-inf"})",
               {{"x", T::number}, {"mask", T::boolean}},
               {need("value", A::scalar, "the number")},
               {},
               "broadcast",
               shapeMaskedFill});
}

void addShapes(std::vector<OpInfo> &t) {
  auto op = [&](const char *name, const char *summary, const char *example, std::vector<AttrInfo> attrs,
                const char *result, bool (*rule)(OpCall &)) {
    t.push_back({name, "Shapes", summary, "", example, {{"x"}}, std::move(attrs), {}, result, rule});
  };
  AttrInfo axis = need("axis", A::axis, "an axis");
  op("reshape", "The same elements in row-major order under another shape",
     R"({"id": "h", "op": "reshape", "in": "q", "shape": ["B", "T", "heads", -1]})",
     {need("shape", A::sizes, "sizes; one may be -1")}, "shape", shapeReshape);
  op("transpose", "Axes in another order", R"({"id": "t", "op": "transpose", "in": "h", "perm": [0, 2, 1, 3]})",
     {need("perm", A::integers, "result axis i is operand axis perm[i]")}, "permuted", shapeTranspose);
  op("split", "Cuts an axis into parts; one result for each, named by `out`",
     R"({"id": "s", "op": "split", "in": "qkv", "axis": -1, "sizes": ["d", "d", "d"], "out": ["q", "k", "v"]})",
     {axis, need("sizes", A::sizes, "of the parts; they add up to the axis")}, "parts", shapeSplit);
  t.push_back({"concat",
               "Shapes",
               "Values one behind the other along an axis",
               "",
               R"({"id": "c", "op": "concat", "in": ["a", "b"], "axis": 1})",
               {{"operands"}},
               {axis},
               {},
               "sum of the axes",
               shapeConcat,
               kMostOperands});
  op("slice", "Part of an axis; negative numbers count from the end, nothing is clamped",
     R"({"id": "rows", "op": "slice", "in": "table", "axis": 0, "end": "T"})",
     {axis, with("start", A::size, "0", "first element"),
      maybe("end", A::size, "behind the last element, default the size"), with("step", A::count, "1", "distance")},
     "shorter axis", shapeSlice);
  op("select", "One element of an axis, which is dropped",
     R"({"id": "last", "op": "select", "in": "x", "axis": "T", "index": -1})",
     {axis, need("index", A::integer, "of the element; -1 is the last")}, "without the axis", shapeSelect);
  op("squeeze", "Drops an axis of size 1", R"({"id": "q", "op": "squeeze", "in": "x", "axis": -1})", {axis},
     "without the axis", shapeSqueeze);
  op("unsqueeze", "A new axis of size 1", R"({"id": "u", "op": "unsqueeze", "in": "x", "axis": 1})", {axis},
     "one more axis", shapeUnsqueeze);
  op("expand", "Repeats axes of size 1, and adds axes in front",
     R"({"id": "e", "op": "expand", "in": "x", "shape": ["B", "T", "d"]})", {need("shape", A::sizes, "of the result")},
     "shape", shapeExpand);
  op("flatten", "Merges the axes start to end (inclusive)",
     R"({"id": "flat", "op": "flatten", "in": "images", "start": 1})",
     {with("start", A::axis, "0", "first axis"), with("end", A::axis, "-1", "last axis")}, "merged", shapeFlatten);
  t.push_back({"gather",
               "Shapes",
               "Elements at given places of an axis (NumPy's take_along_axis)",
               "y[…, i, …] = x[…, index[…, i, …], …]",
               R"({"id": "g", "op": "gather", "in": ["x", "places"], "axis": -1})",
               {{"x"}, {"index", T::index}},
               {axis},
               {},
               "index's axis, others broadcast",
               shapeGather});
  t.push_back({"constant",
               "Shapes",
               "A value that the file gives",
               "",
               R"({"id": "c", "op": "constant", "values": [1, 2, 3], "shape": [3]})",
               {},
               {maybe("value", A::scalar, "every element"), maybe("values", A::reals, "all elements, row-major"),
                with("shape", A::sizes, "[]", "sizes"), with("dtype", A::dtype, "\"f32\"", "of the result")},
               {},
               "shape",
               shapeConstant});
  t.push_back({"iota",
               "Shapes",
               "0, 1, 2 …",
               "y[i] = i",
               R"({"id": "n", "op": "iota", "size": "T"})",
               {},
               {need("size", A::size, "number of elements"), with("dtype", A::dtype, "\"i32\"", "of the result")},
               {},
               "[size]",
               shapeIota});
}

void addReductions(std::vector<OpInfo> &t) {
  t.push_back(reduce("sum", "Sum; of nothing 0", "Σ x"));
  t.back().example = R"({"id": "s", "op": "sum", "in": "x", "axis": [0, "T"]})";
  t.push_back(reduce("mean", "Mean; of nothing NaN", "Σ x / n", T::real));
  t.push_back(
      reduce("max", "Largest element; ties share the gradient; of nothing -inf, or the least integer", "max x"));
  t.push_back(
      reduce("min", "Smallest element; ties share the gradient; of nothing inf, or the largest integer", "min x"));
  t.push_back(reduce("var", "Variance; of nothing NaN", "Σ (x - μ)² / n", T::real));
  t.back().attrs.push_back(with("unbiased", A::boolean, "false", "divide by n - 1"));
  AttrInfo axis = with("axis", A::axis, "-1", "an axis");
  t.push_back({"argmax",
               "Reductions",
               "Place of the largest element; ties: the lowest; of nothing 0",
               "argmax x",
               R"({"id": "best", "op": "argmax", "in": "logits"})",
               {{"x", T::number}},
               {axis, with("keepdim", A::boolean, "false", "keep the axis with size 1")},
               {},
               "i32, without the axis",
               shapeArgmax});
  t.push_back({"softmax",
               "Reductions",
               "Positive and of sum 1 along an axis; a row of only -inf is zeros",
               "eˣ / Σ eˣ",
               R"({"id": "p", "op": "softmax", "in": "scores"})",
               {{"x", T::real}},
               {axis},
               {},
               "same",
               shapeSame});
  t.push_back({"log_softmax",
               "Reductions",
               "Logarithm of softmax",
               "x - ln Σ eˣ",
               nullptr,
               {{"x", T::real}},
               {axis},
               {},
               "same",
               shapeSame});
  for (auto [name, summary, example] :
       {std::tuple("mean_pool", "Mean over the positions that the mask allows; zeros if there are none",
                   R"({"id": "pooled", "op": "mean_pool", "in": {"x": "x", "mask": "mask"}, "axis": "T"})"),
        std::tuple("max_pool", "Maximum over the positions that the mask allows; zeros if there are none",
                   R"({"id": "pooled", "op": "max_pool", "in": {"x": "x", "mask": "mask"}})")})
    t.push_back({name,
                 "Reductions",
                 summary,
                 "",
                 example,
                 {{"x", T::real}, {"mask", T::boolean, true}},
                 {with("axis", A::axis, "1", "the position axis")},
                 {},
                 "[B, D]",
                 shapePool});
}

void addLosses(std::vector<OpInfo> &t) {
  t.push_back(loss("cross_entropy", "Negative log-likelihood of the labels", "-ln softmax(logits)[label]",
                   {{"logits", T::real}, {"labels", T::index}, {"class_weights", T::real, true}},
                   {with("ignore_index", A::integer, "-100", "labels that do not count"),
                    with("label_smoothing", A::real, "0", "share of the uniform distribution", AttrRange::probability),
                    maybe("class_weights", A::reals, "one factor for each class, or a third operand"), reductionAttr()},
                   shapeCrossEntropy));
  t.back().example =
      R"({"id": "loss", "op": "cross_entropy", "in": {"logits": "logits", "labels": "targets"}, "ignore_index": -1})";
  t.push_back(loss("bce_with_logits", "Binary cross entropy of logits", "-(w·t·ln σ(x) + (1-t)·ln(1-σ(x)))",
                   {{"logits", T::real}, {"targets", T::real}},
                   {with("pos_weight", A::realOrReals, "1",
                         "factor w of the positive class: a number, or one for each element of the last axis"),
                    reductionAttr()},
                   shapeDifference));
  t.push_back(loss("mse", "Squared error", "(prediction - target)²", {{"prediction", T::real}, {"target", T::real}},
                   {reductionAttr()}, shapeDifference));
  t.push_back(loss("l1", "Absolute error", "|prediction - target|", {{"prediction", T::real}, {"target", T::real}},
                   {reductionAttr()}, shapeDifference));
  t.push_back(loss("huber", "Squared error near zero, absolute error far away",
                   "|d| ≤ delta ? d²/2 : delta·(|d| - delta/2)", {{"prediction", T::real}, {"target", T::real}},
                   {with("delta", A::real, "1", "where the two meet", AttrRange::positive), reductionAttr()},
                   shapeDifference));
  t.push_back(loss("kl_div", "Kullback-Leibler divergence", "p·ln p - p·log_q", {{"log_q", T::real}, {"p", T::real}},
                   {reductionAttr("mean sum none batchmean")}, shapeDifference));
}

std::vector<OpInfo> makeTable() {
  std::vector<OpInfo> table;
  for (auto add : {addEmbeddings, addDense, addNorms, addAttention, addPointwise, addShapes, addReductions, addLosses})
    add(table);
  return table;
}

} // namespace

const AttrInfo *OpInfo::attr(std::string_view wanted) const {
  for (const AttrInfo &next : attrs)
    if (wanted == next.name)
      return &next;
  return nullptr;
}

int OpInfo::operandIndex(std::string_view wanted) const {
  for (size_t i = 0; i < operands.size(); ++i)
    if (wanted == operands[i].name)
      return static_cast<int>(i);
  return -1;
}

const std::vector<OpInfo> &opTable() {
  static const std::vector<OpInfo> table = makeTable();
  return table;
}

const OpInfo *findOp(std::string_view name) {
  static const auto index = [] {
    std::unordered_map<std::string_view, const OpInfo *> result;
    for (const OpInfo &next : opTable())
      result.emplace(next.name, &next);
    return result;
  }();
  auto found = index.find(name);
  return found == index.end() ? nullptr : found->second;
}

std::string opHint(std::string_view op) {
  std::string near = didYouMean(op, opNames());
  return near.empty() ? "docs/ops.md has every op" : near;
}

const std::vector<std::string> &opNames() {
  static const auto names = [] {
    std::vector<std::string> result;
    for (const OpInfo &next : opTable())
      result.emplace_back(next.name);
    result.insert(result.end(), {"call", "repeat"});
    return result;
  }();
  return names;
}

std::vector<std::string> splitWords(const char *words) {
  std::vector<std::string> result;
  std::istringstream stream(words ? words : "");
  for (std::string word; stream >> word;)
    result.push_back(word);
  return result;
}

} // namespace weft
