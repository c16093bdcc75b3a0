// Embeddings and positions, dense ops, norms, attention.
// Each node is one op of the dialect; rope also writes the positions that it reads, which layers share.
#include "import/ImportNode.h"

using namespace mlir;

namespace weft {

Values EntryImporter::transformer(const NodeCall &c) {
  StringRef op = c.op();
  Value x = c.x();
  auto param = [&](StringRef role) { return parameter(c.node, role, c.element()); };

  if (op == "embedding")
    return {EmbeddingOp::create(b, c.loc, x, parameter(c.node, "weight", c.out.getElementType()),
                                c.attrs.has("padding_idx") ? b.getI64IntegerAttr(c.attrs.integer("padding_idx")) : IntegerAttr())};
  if (op == "position_embedding")
    return {positionEmbedding(c)};
  if (op == "rope")
    return {rope(c)};

  if (op == "linear") {
    std::string activation = c.attrs.word("activation");
    Value weight = param("weight"), bias = param("bias");
    return {LinearOp::create(b, c.loc, x, weight, bias, activation.empty() ? StringAttr() : b.getStringAttr(activation))};
  }
  if (op == "matmul")
    return {MatmulOp::create(b, c.loc, x, c.in[1], c.attrs.flag("transpose_a"), c.attrs.flag("transpose_b"))};
  if (op == "einsum")
    return {EinsumOp::create(b, c.loc, c.in, c.attrs.word("equation"))};
  if (op == "parameter")
    return {parameter(c.node, "", c.out.getElementType())};

  if (op == "layer_norm") {
    Value weight = param("weight"), bias = param("bias");
    return {LayerNormOp::create(b, c.loc, x, weight, bias, c.attrs.integer("axis", 0), APFloat(c.attrs.real("eps", 1e-5)), c.attrs.flag("unbiased"),
                                c.attrs.flag("eps_outside"))};
  }
  if (op == "rms_norm")
    return {RmsNormOp::create(b, c.loc, x, param("weight"), APFloat(c.attrs.real("eps")))};
  if (op == "l2_normalize")
    return {L2NormalizeOp::create(b, c.loc, x.getType(), x, c.attrs.integer("axis"), APFloat(c.attrs.real("eps", 1e-12)))};

  if (op == "attention")
    return attention(c);
  if (op == "mha")
    return mha(c);
  if (op == "causal_mask")
    return {CausalMaskOp::create(b, c.loc, c.out)};
  return {};
}

Value EntryImporter::positionEmbedding(const NodeCall &c) {
  Value table = c.attrs.word("kind") == "learned" ? parameter(c.node, "weight", c.out.getElementType()) : Value();
  return PositionEmbeddingOp::create(b, c.loc, c.out, c.x(), table, c.attrs.integer("axis", 1), offset(c), boundState(c, "offset_state"),
                                     APFloat(c.attrs.real("base", 10000)));
}

Value EntryImporter::rope(const NodeCall &c) {
  Shape x = shapeOf(c.x());
  FlatSymbolRefAttr state = boundState(c, "offset_state");
  RankedTensorType type = tensorType(state ? ArrayRef<DimExpr>(x).take_front(2) : ArrayRef<DimExpr>(x).slice(1, 1), element(DType::i32));
  Value p = PositionsOp::create(b, c.loc, type, state ? "0" : offset(c), state);
  int64_t heads = c.attrs.integer("heads", 1), dh = *x[2].constant() / heads;
  return RopeOp::create(b, c.loc, c.x(), p, heads, APFloat(c.attrs.real("theta", 10000)), c.attrs.integer("rotary_dim", dh), c.attrs.flag("interleaved"));
}

namespace {

/// What attention and mha say alike.
struct ScoreAttrs {
  ScoreAttrs(const NodeCall &c, OpBuilder &b, FlatSymbolRefAttr cache, bool drops, int64_t headSize)
      : heads(c.attrs.integer("heads", 1)), scale(c.attrs.real("scale", 1.0 / std::sqrt(double(headSize)))), dropout(drops ? c.attrs.real("dropout") : 0),
        causal(c.attrs.flag("causal")), cache(cache) {
    if (c.attrs.has("window"))
      window = b.getI64IntegerAttr(c.attrs.integer("window"));
    if (c.attrs.has("softcap"))
      softcap = b.getF64FloatAttr(c.attrs.real("softcap"));
    if (cache)
      layer = b.getStringAttr(c.attrs.dim("cache_layer").str());
    // A bound cache has no map: the format does not allow both to be read.
    if (std::string word = c.attrs.word("return_weights"); !cache && !word.empty())
      weights = b.getStringAttr(word);
  }

  /// Of the map of probabilities; null without one.
  Type mapType(const Shape &q, const Shape &k, Type element) const {
    if (!weights)
      return {};
    return weights.getValue() == "per_head" ? tensorType({q[0], DimExpr(heads), q[1], k[1]}, element) : tensorType({q[0], q[1], k[1]}, element);
  }

  int64_t heads;
  APFloat scale, dropout;
  bool causal;
  FlatSymbolRefAttr cache;
  IntegerAttr window;
  FloatAttr softcap;
  StringAttr layer, weights;
};

}  // namespace

Values EntryImporter::attention(const NodeCall &c) {
  Value q = c.in[0], k = c.in[1], v = c.in[2];
  Shape qs = shapeOf(q), ks = shapeOf(k), vs = shapeOf(v);
  int64_t heads = c.attrs.integer("heads", 1), kvHeads = c.attrs.integer("kv_heads", heads);
  ScoreAttrs s(c, b, boundState(c, "cache_state"), drops(), *qs[2].constant() / heads);
  Type y = tensorType({qs[0], qs[1], DimExpr(*vs[2].constant() / kvHeads * heads)}, c.element());
  SmallVector<Type> map;
  if (Type type = s.mapType(qs, ks, c.element()))
    map.push_back(type);
  auto [site, round] = dropoutSite(c.node);
  auto op = AttentionOp::create(b, c.loc, y, map, q, k, v, c.operand(3), c.operand(4), c.operand(5), s.heads, kvHeads, s.scale, s.causal, s.window,
                                s.softcap, s.dropout, s.cache, s.layer, s.weights, /*save_lse=*/false, site, round);
  return Values(op->getResults());
}

/// Operands: x, or q, k, v; then key_mask, mask, bias.
Values EntryImporter::mha(const NodeCall &c) {
  Value q = c.in[0] ? c.in[0] : c.in[1], k = c.in[0] ? Value() : c.in[2], v = c.in[0] ? Value() : c.in[3];
  Shape qs = shapeOf(q), ks = shapeOf(k ? k : q);
  Type f = cast<RankedTensorType>(q.getType()).getElementType();
  Value inWeight = parameter(c.node, "in_proj_weight", f), inBias = parameter(c.node, "in_proj_bias", f);
  Value outWeight = parameter(c.node, "out_proj.weight", f), outBias = parameter(c.node, "out_proj.bias", f);
  ScoreAttrs s(c, b, boundState(c, "cache_state"), drops(), *qs[2].constant() / c.attrs.integer("heads", 1));
  auto [site, round] = dropoutSite(c.node);
  auto op = MhaOp::create(b, c.loc, q.getType(), s.mapType(qs, ks, f), q, k, v, inWeight, inBias, outWeight, outBias, c.operand(4),
                          c.operand(5), c.operand(6), s.heads, s.scale, s.causal, s.window, s.softcap, s.dropout, s.cache, s.layer, s.weights, site, round);
  return Values(op->getResults());
}

}  // namespace weft
