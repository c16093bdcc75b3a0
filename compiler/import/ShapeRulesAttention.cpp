// Shape rules of attention, mha and causal_mask: how q, k, v, masks, biases and a cache must fit together.
// Numbers that do not divide are named in the message, as heads are the commonest mistake.
#include "import/ShapeRules.h"

#include <cmath>

namespace weft {
namespace {

/// How many heads the keys have if a head of theirs is as wide as one of the queries; empty if that is no number of kv_heads.
std::string kvHeadsHint(OpCall &c, int64_t heads, int64_t queries) {
  const int64_t width = c.shape(1)[2].constant().value_or(0), kvHeads = width % queries ? 0 : width / queries;
  return kvHeads > 0 && kvHeads < heads && heads % kvHeads == 0 ? "kv_heads may be " + std::to_string(kvHeads) : "";
}

/// The features of one head; nullopt after an error.
std::optional<int64_t> headSize(OpCall &c, int operand, const char *attribute, int64_t heads, const std::string &hint = "") {
  auto width = c.fixedAxis(operand, 2, "as heads need");
  if (width && *width % heads) {
    c.failAt(attribute, std::to_string(*width) + " features of '" + c.op.operands[operand].name +
                            "' are not divisible by " + std::to_string(heads) + " heads", hint);
    return std::nullopt;
  }
  return width ? std::optional<int64_t>(*width / heads) : std::nullopt;
}

bool checkMask(OpCall &c, int operand, const Shape &scores) {
  if (!c.has(operand))
    return true;
  auto joined = broadcastShapes(c.shape(operand), scores);
  return (joined && *joined == scores) ||
         c.failOperand(operand, "expected a shape that broadcasts to " + shapeText(scores) + " but got " +
                                    shapeText(c.shape(operand)));
}

bool checkCache(OpCall &c, int64_t kvHeads, int64_t keySize, int64_t valueSize) {
  if (!c.given("cache_state"))
    return true;
  const StateDesc *state = c.environment.state(c.word("cache_state"));
  if (!state)
    return false;
  if (state->kvHeads != kvHeads || state->headDim != keySize || state->headDim != valueSize)
    return c.failAt("cache", "state '" + state->name + "' holds " + std::to_string(state->kvHeads) + " heads of " +
                                 std::to_string(state->headDim) + ", but keys are " + std::to_string(kvHeads) +
                                 " heads of " + std::to_string(keySize) + " and values of " +
                                 std::to_string(valueSize));
  const DimExpr &layer = std::get<DimExpr>(c.attrs.at("cache_layer"));
  auto low = c.environment.lowest(layer), high = c.environment.highest(layer);
  if (!low || !high || *low < 0 || *high >= state->layers)
    return c.failAt("cache", "layer " + layer.str() +
                                 (high ? " reaches " + std::to_string(*low < 0 ? *low : *high) : "") + ", but state '" +
                                 state->name + "' has layers 0.." + std::to_string(state->layers - 1));
  return true;
}

struct Operands {
  int q, k, v, keyMask, mask, bias;
};

/// What attention and mha share, behind the projections. `out`: features of the first result.
bool checkAttention(OpCall &c, const Operands &at, int64_t heads, int64_t kvHeads, int64_t keySize, int64_t valueSize,
                    int64_t out) {
  const Shape &q = c.shape(at.q), &k = c.shape(at.k), &v = c.shape(at.v);
  if (q[0] != k[0] || k[0] != v[0])
    return c.fail("batch sizes differ: q " + shapeText(q) + ", k " + shapeText(k) + ", v " + shapeText(v));
  if (k[1] != v[1])
    return c.fail("keys and values differ in length: k " + shapeText(k) + ", v " + shapeText(v));
  if (c.has(at.keyMask)) {
    const Shape wanted = {k[0], k[1]};
    if (c.shape(at.keyMask) != wanted)
      return c.failOperand(at.keyMask, "expected " + shapeText(wanted) + " but got " + shapeText(c.shape(at.keyMask)));
  }
  const Shape scores = {q[0], heads, q[1], k[1]};
  if (!checkMask(c, at.mask, scores) || !checkMask(c, at.bias, scores))
    return false;
  if (c.given("window") && !c.flag("causal"))
    return c.failAt("window", "'window' needs causal: true");
  if (!c.given("scale"))
    c.attrs["scale"] = 1 / std::sqrt(static_cast<double>(keySize));
  if (!checkCache(c, kvHeads, keySize, valueSize))
    return false;
  c.give(c.type(at.q), {q[0], q[1], out});
  if (!c.given("return_weights"))
    return true;
  return c.give(c.type(at.q), c.word("return_weights") == "mean" ? Shape{q[0], q[1], k[1]} : scores);
}

} // namespace

bool shapeAttention(OpCall &c) {
  const Operands at{0, 1, 2, 3, 4, 5};
  for (int operand : {at.q, at.k, at.v})
    if (!c.needRank(operand, 3))
      return false;
  if (c.type(at.q) != c.type(at.k) || c.type(at.q) != c.type(at.v) ||
      (c.has(at.bias) && c.type(at.bias) != c.type(at.q)))
    return c.fail("q, k, v and bias need one dtype", "there is no promotion; use op 'cast'");
  int64_t heads = c.integer("heads");
  if (!c.given("kv_heads"))
    c.attrs["kv_heads"] = heads;
  int64_t kvHeads = c.integer("kv_heads");
  if (heads % kvHeads)
    return c.failAt("kv_heads",
                    std::to_string(heads) + " heads are not divisible by " + std::to_string(kvHeads) + " kv_heads");
  auto queries = headSize(c, at.q, "heads", heads);
  const std::string hint = queries ? kvHeadsHint(c, heads, *queries) : "";
  auto keys = queries ? headSize(c, at.k, "kv_heads", kvHeads, hint) : std::nullopt;
  auto values = keys ? headSize(c, at.v, "kv_heads", kvHeads) : std::nullopt;
  if (!values)
    return false;
  if (*queries != *keys)
    return c.fail("heads of q have " + std::to_string(*queries) + " features, but heads of k have " +
                  std::to_string(*keys), hint);
  return checkAttention(c, at, heads, kvHeads, *keys, *values, heads * *values);
}

bool shapeMha(OpCall &c) {
  bool self = c.has(0);
  if (c.has(1) == self || c.has(2) == self || c.has(3) == self)
    return c.fail("mha takes x, or q, k and v");
  const Operands at = self ? Operands{0, 0, 0, 4, 5, 6} : Operands{1, 2, 3, 4, 5, 6};
  for (int operand : {at.q, at.k, at.v})
    if (!c.needRank(operand, 3))
      return false;
  int64_t heads = c.integer("heads");
  auto width = c.fixedAxis(at.q, 2, "as heads need");
  if (!width)
    return false;
  for (int operand : {at.k, at.v}) {
    if (c.shape(operand)[2] != DimExpr(*width))
      return c.failOperand(operand, "expected " + std::to_string(*width) + " features as in q but got " +
                                        shapeText(c.shape(operand)));
    if (c.type(operand) != c.type(at.q))
      return c.failOperand(operand, "q, k and v need one dtype", "there is no promotion; use op 'cast'");
  }
  auto size = headSize(c, at.q, "heads", heads);
  if (!size)
    return false;
  InitRule packed = initUniform(std::sqrt(6.0 / (4.0 * static_cast<double>(*width)))),
           out = initUniform(1 / std::sqrt(static_cast<double>(*width)));
  bool bias = c.flag("bias");
  if (!c.param("in_proj_weight", {DimExpr(3) * *width, *width}, packed) ||
      (bias && !c.param("in_proj_bias", {DimExpr(3) * *width}, initConstant(0))) ||
      !c.param("out_proj.weight", {*width, *width}, out) ||
      (bias && !c.param("out_proj.bias", {*width}, initConstant(0))))
    return false;
  return checkAttention(c, at, heads, heads, *size, *size, *width);
}

bool shapeCausalMask(OpCall &c) {
  const DimExpr &size = c.shape(0)[c.integer("axis")];
  return c.give(DType::boolean, {size, size});
}

} // namespace weft
