// One case for each op of the format: how it is spelled in the weft dialect.
// Shapes are the importer's; the dialect's inference must agree with them, which the verifier checks.
#include "import/ImportNode.h"

#include "import/NodeAttrs.h"

#include "llvm/Support/xxhash.h"

using namespace mlir;

namespace weft {

Location EntryImporter::location(const Position &pos, StringRef name) const {
  MLIRContext *context = b.getContext();
  Location place = FileLineColLoc::get(context, model.file, pos.line, pos.column);
  return name.empty() ? place : Location(NameLoc::get(StringAttr::get(context, name), place));
}

Location EntryImporter::location(const Node &node) const { return location(node.pos, node.path); }

Type EntryImporter::element(DType type) const {
  MLIRContext *context = b.getContext();
  switch (type) {
  case DType::f32: return Float32Type::get(context);
  case DType::f16: return Float16Type::get(context);
  case DType::bf16: return BFloat16Type::get(context);
  case DType::f64: return Float64Type::get(context);
  case DType::i32: return IntegerType::get(context, 32);
  case DType::i64: return IntegerType::get(context, 64);
  case DType::i8: return IntegerType::get(context, 8);
  case DType::u8: return IntegerType::get(context, 8, IntegerType::Unsigned);
  case DType::boolean: return IntegerType::get(context, 1);
  }
  return {};
}

DimExpr EntryImporter::fixed(const DimExpr &expr) const {
  std::map<std::string, DimExpr> values;
  for (auto &[name, size] : entry.fixedDims)
    values.emplace(name, DimExpr(size));
  return values.empty() ? expr : expr.substitute(values);
}

Shape EntryImporter::shape(const std::vector<DimExpr> &sizes) const {
  Shape result;
  for (const DimExpr &size : sizes)
    result.push_back(fixed(size));
  return result;
}

RankedTensorType EntryImporter::type(const TensorType &type) const { return tensorType(shape(type.shape), element(type.dtype)); }

void EntryImporter::node(const Graph &graph, const Node &node, ValueMap &values) {
  SmallVector<Value> in;
  for (ValueId id : node.operands)
    in.push_back(id == kNoValue ? Value() : values.lookup(id));
  SmallVector<Value> out = node.body ? repeat(node, in) : lower(graph, node, in);
  for (auto [id, value] : llvm::zip(node.results, out))
    values[id] = value;
}

SmallVector<Value> EntryImporter::repeat(const Node &node, ArrayRef<Value> in) {
  Graph &body = *node.body;
  SmallVector<Value> init;
  for (int32_t carried : node.carry)
    init.push_back(in[carried]);
  auto op = RepeatOp::create(b, location(node), node.count, node.index, init);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(&op.getBody().front());
  ValueMap values;
  for (auto [i, id] : llvm::enumerate(body.inputs))
    values[id] = in[i];
  for (auto [i, carried] : llvm::enumerate(node.carry))
    values[body.inputs[carried]] = op.getCarried()[i];
  rounds[node.index] = op.getRound();
  for (const Node &inner : body.nodes)
    this->node(body, inner, values);
  rounds.erase(node.index);
  SmallVector<Value> results;
  for (ValueId id : body.outputs)
    results.push_back(values.lookup(id));
  YieldOp::create(b, location(node), results);
  return SmallVector<Value>(op.getResults());
}

Value EntryImporter::parameter(const Node &node, StringRef role, Type valueType) {
  auto use = llvm::find_if(node.params, [&](const ParamUse &p) { return p.role == role; });
  if (use == node.params.end())
    return {};
  const ParamTensor &first = model.tensors[use->tensors.front()];
  SmallVector<DimExpr> sizes;
  for (int64_t n : first.shape)
    sizes.push_back(DimExpr(n));
  RankedTensorType type = tensorType(sizes, valueType);
  // The same text can stand for different tensors when two repeats use one scope, or be read as two types: a suffix.
  std::string symbol = use->name;
  SmallVector<int32_t> tensors(use->tensors.begin(), use->tensors.end());
  for (int copy = 2;; ++copy) {
    auto existing = module.lookupSymbol<ParamOp>(symbol);
    if (!existing) {
      OpBuilder top = OpBuilder::atBlockBegin(module.getBody());
      Operation *after = nullptr;
      for (Operation &op : *module.getBody())
        if (isa<DimOp, StateOp, ParamOp>(op))
          after = &op;
      if (after)
        top.setInsertionPointAfter(after);
      ParamOp::create(top, location(first.pos, use->name), symbol, type, tensors);
      break;
    }
    if (existing.getTensors() == ArrayRef<int32_t>(tensors) && existing.getType() == type)
      break;
    symbol = use->name + "#" + std::to_string(copy);
  }
  SmallVector<Value> indices;
  for (const std::string &index : use->indices)
    indices.push_back(rounds[index]);
  return ParameterOp::create(b, location(node), type, symbol, indices);
}

Value EntryImporter::scalar(Location loc, double value, Type element) {
  auto type = RankedTensorType::get({}, element);
  TypedAttr attr;
  if (auto floating = dyn_cast<FloatType>(element)) {
    APFloat number(value);
    bool inexact;
    number.convert(floating.getFloatSemantics(), APFloat::rmNearestTiesToEven, &inexact);
    attr = DenseElementsAttr::get(type, number);
  } else {
    attr = DenseElementsAttr::get(type, APInt(element.getIntOrFloatBitWidth(), uint64_t(int64_t(value)), true, true));
  }
  return ConstantOp::create(b, loc, attr);
}

/// A scalar attribute: a number, or a size that is known when the entry runs.
Value EntryImporter::scalarAttribute(const Node &node, const char *name, Type element) {
  NodeAttrs attrs{node};
  const AttrValue *value = attrs.find(name);
  Location loc = location(node);
  if (!value || !std::holds_alternative<DimExpr>(*value))
    return scalar(loc, attrs.real(name), element);
  DimExpr size = fixed(std::get<DimExpr>(*value));
  if (std::optional<int64_t> constant = size.constant())
    return scalar(loc, double(*constant), element);
  return SizeOp::create(b, loc, RankedTensorType::get({}, element), size.str());
}

Value EntryImporter::numbers(Location loc, ArrayRef<double> values, RankedTensorType type) {
  Type element = type.getElementType();
  SmallVector<Attribute> elements;
  for (double value : values)
    elements.push_back(isa<FloatType>(element) ? Attribute(b.getFloatAttr(element, value))
                                               : Attribute(b.getIntegerAttr(element, int64_t(value))));
  return ConstantOp::create(b, loc, cast<TypedAttr>(Attribute(DenseElementsAttr::get(type, elements))));
}

Value EntryImporter::slice(Location loc, Value x, int64_t axis, const DimExpr &start, const DimExpr &size, int64_t step) {
  Shape shape = shapeOf(x);
  shape[axis] = size;
  return SliceOp::create(b, loc, tensorType(shape, cast<RankedTensorType>(x.getType()).getElementType()), x, axis, start.str(), step);
}

Value EntryImporter::reshape(Location loc, Value x, ArrayRef<DimExpr> shape) {
  return ReshapeOp::create(b, loc, tensorType(shape, cast<RankedTensorType>(x.getType()).getElementType()), x);
}

Value EntryImporter::activation(Location loc, Value x, const std::string &name) {
  Type type = x.getType();
  if (name == "relu")
    return ReluOp::create(b, loc, type, x);
  if (name == "gelu" || name == "gelu_tanh")
    return GeluOp::create(b, loc, type, x, name == "gelu_tanh");
  if (name == "silu")
    return SiluOp::create(b, loc, type, x);
  if (name == "tanh")
    return TanhOp::create(b, loc, type, x);
  if (name == "sigmoid")
    return SigmoidOp::create(b, loc, type, x);
  return x;
}

Value EntryImporter::linear(Location loc, Value x, Value weight, Value bias) {
  bool vector = cast<RankedTensorType>(x.getType()).getRank() == 1;
  Shape shape = shapeOf(x);
  if (vector)
    x = reshape(loc, x, {DimExpr(1), shape[0]});
  Value y = MatmulOp::create(b, loc, x, weight, false, true);
  if (vector)
    y = reshape(loc, y, {shapeOf(weight)[0]});
  return bias ? Value(AddOp::create(b, loc, y, bias)) : y;
}

const StateDesc *EntryImporter::boundState(const Node &node, StringRef attribute) const {
  std::string name = NodeAttrs{node}.word(attribute.str().c_str());
  for (int32_t state : entry.states)
    if (!name.empty() && model.states[state].name == name)
      return &model.states[state];
  return nullptr;
}

Value EntryImporter::positions(const Node &node, const DimExpr &batch, const DimExpr &count) {
  NodeAttrs attrs{node};
  Type i32 = element(DType::i32);
  if (const StateDesc *state = boundState(node, "offset_state"))
    return PositionsOp::create(b, location(node), tensorType({batch, count}, i32), "0",
                                 FlatSymbolRefAttr::get(module.getContext(), state->name));
  DimExpr offset = attrs.has("offset") ? fixed(attrs.dim("offset")) : DimExpr(0);
  Value p = PositionsOp::create(b, location(node), tensorType({count}, i32), offset.str(), FlatSymbolRefAttr());
  // The result's shape says [B, T, …] whenever the file names a state, bound by this entry or not.
  if (attrs.has("offset_state") && node.op == "position_embedding")
    p = ExpandOp::create(b, location(node), tensorType({batch, count}, i32), p);
  return p;
}

/// The site of a node's random numbers: a hash of its path, and the round of the repeats around it.
std::pair<IntegerAttr, StringAttr> EntryImporter::dropoutSite(const Node &node) {
  if (entry.mode != EntryDesc::Mode::train)
    return {};
  DimExpr round(0);
  for (auto &[index, value] : rounds)
    round = round * DimExpr(int64_t(cast<RepeatOp>(value.getParentBlock()->getParentOp()).getCount())) + DimExpr::dim(index);
  return {b.getI64IntegerAttr(int64_t(uint32_t(llvm::xxh3_64bits(node.path)))),
          rounds.empty() ? StringAttr() : b.getStringAttr(round.str())};
}

SmallVector<Value> EntryImporter::attention(const Node &node, Value q, Value k, Value v, Value keyMask, Value mask, Value bias) {
  NodeAttrs attrs{node};
  Location loc = location(node);
  int64_t heads = attrs.integer("heads", 1), kvHeads = attrs.integer("kv_heads", heads);
  Shape qs = shapeOf(q), ks = shapeOf(k), vs = shapeOf(v);
  int64_t dh = *qs[2].constant() / heads, dv = *vs[2].constant() / kvHeads;
  // Half precision is computed in f32 and rounded once, at the end.
  Type given = cast<RankedTensorType>(q.getType()).getElementType(), f = given.isF64() ? given : element(DType::f32);
  auto as = [&](Value value, Type type) { return !value || value.getType() == tensorType(shapeOf(value), type) ? value : Value(CastOp::create(b, loc, tensorType(shapeOf(value), type), value)); };
  for (Value *operand : {&q, &k, &v, &bias})
    *operand = as(*operand, f);
  const StateDesc *state = boundState(node, "cache_state");
  std::string weights = state ? "" : attrs.word("return_weights");
  SmallVector<Type> types{tensorType({qs[0], qs[1], DimExpr(heads * dv)}, f)};
  if (weights == "per_head")
    types.push_back(tensorType({qs[0], DimExpr(heads), qs[1], ks[1]}, f));
  else if (weights == "mean")
    types.push_back(tensorType({qs[0], qs[1], ks[1]}, f));
  auto [site, round] = dropoutSite(node);
  auto op = AttentionOp::create(
      b, loc, types[0], TypeRange(types).drop_front(), q, k, v, keyMask, mask, bias, heads, kvHeads,
      APFloat(attrs.real("scale", 1.0 / std::sqrt(double(dh)))), attrs.flag("causal"),
      attrs.has("window") ? b.getI64IntegerAttr(attrs.integer("window")) : IntegerAttr(),
      attrs.has("softcap") ? b.getF64FloatAttr(attrs.real("softcap")) : FloatAttr(), APFloat(entry.mode == EntryDesc::Mode::train ? attrs.real("dropout") : 0),
      state ? FlatSymbolRefAttr::get(module.getContext(), state->name) : FlatSymbolRefAttr(),
      state ? b.getStringAttr(attrs.dim("cache_layer").str()) : StringAttr(), weights.empty() ? StringAttr() : b.getStringAttr(weights),
      /*save_lse=*/false, site, round);
  SmallVector<Value> results{as(op.getY(), given)};
  if (op.getMap())
    results.push_back(as(op.getMap(), given));
  return results;
}

SmallVector<Value> EntryImporter::mha(const Node &node, ArrayRef<Value> in) {
  Location loc = location(node);
  Type f = cast<RankedTensorType>((in[0] ? in[0] : in[1]).getType()).getElementType();
  Value x = in[0], weight = parameter(node, "in_proj_weight", f), bias = parameter(node, "in_proj_bias", f);
  DimExpr e(*shapeOf(x ? x : in[1]).back().constant());
  SmallVector<Value, 3> qkv;
  if (x) {
    Value all = linear(loc, x, weight, bias);
    for (int part = 0; part < 3; ++part)
      qkv.push_back(slice(loc, all, shapeOf(all).size() - 1, DimExpr(part) * e, e));
  } else {
    for (int part = 0; part < 3; ++part) {
      Value w = slice(loc, weight, 0, DimExpr(part) * e, e);
      qkv.push_back(linear(loc, in[1 + part], w, bias ? slice(loc, bias, 0, DimExpr(part) * e, e) : Value()));
    }
  }
  SmallVector<Value> results = attention(node, qkv[0], qkv[1], qkv[2], in[4], in[5], in[6]);
  results[0] = linear(loc, results[0], parameter(node, "out_proj.weight", f), parameter(node, "out_proj.bias", f));
  return results;
}

SmallVector<Value> EntryImporter::lower(const Graph &graph, const Node &node, ArrayRef<Value> in) {
  NodeAttrs attrs{node};
  Location loc = location(node);
  const std::string &op = node.op;
  auto operand = [&](size_t i) { return i < in.size() ? in[i] : Value(); };
  Value x = operand(0);
  Type xType = x ? x.getType() : Type();
  Type f = x ? cast<RankedTensorType>(xType).getElementType() : Type();
  RankedTensorType out = type(graph.values[node.results.front()].type);
  auto second = [&]() { return operand(1) ? operand(1) : scalarAttribute(node, "value", f); };

  // --- embeddings and positions
  if (op == "embedding")
    return {EmbeddingOp::create(b, loc, x, parameter(node, "weight", out.getElementType()),
                                attrs.has("padding_idx") ? b.getI64IntegerAttr(attrs.integer("padding_idx")) : IntegerAttr())};
  if (op == "position_embedding") {
    Value p = positions(node, shapeOf(x)[0], shapeOf(x)[attrs.integer("axis", 1)]);
    if (attrs.word("kind") == "learned")
      return {EmbeddingOp::create(b, loc, p, parameter(node, "weight", out.getElementType()), IntegerAttr())};
    return {SinusoidOp::create(b, loc, p, attrs.integer("features"), APFloat(attrs.real("base", 10000)), out.getElementType())};
  }
  if (op == "rope") {
    Value p = positions(node, shapeOf(x)[0], shapeOf(x)[1]);
    int64_t heads = attrs.integer("heads", 1), dh = *shapeOf(x)[2].constant() / heads;
    return {RopeOp::create(b, loc, x, p, heads, APFloat(attrs.real("theta", 10000)), attrs.integer("rotary_dim", dh), attrs.flag("interleaved"))};
  }

  // --- dense
  if (op == "linear")
    return {activation(loc, linear(loc, x, parameter(node, "weight", f), parameter(node, "bias", f)), attrs.word("activation"))};
  if (op == "matmul")
    return {MatmulOp::create(b, loc, x, in[1], attrs.flag("transpose_a"), attrs.flag("transpose_b"))};
  if (op == "einsum")
    return {EinsumOp::create(b, loc, in, attrs.word("equation"))};
  if (op == "parameter")
    return {parameter(node, "", out.getElementType())};

  // --- norms
  if (op == "layer_norm")
    return {LayerNormOp::create(b, loc, x, parameter(node, "weight", f), parameter(node, "bias", f), attrs.integer("axis", 0),
                                  APFloat(attrs.real("eps", 1e-5)), attrs.flag("unbiased"), attrs.flag("eps_outside"))};
  if (op == "rms_norm")
    return {RmsNormOp::create(b, loc, x, parameter(node, "weight", f), APFloat(attrs.real("eps")))};
  if (op == "l2_normalize")
    return {L2NormalizeOp::create(b, loc, xType, x, attrs.integer("axis"), APFloat(attrs.real("eps", 1e-12)))};

  // --- attention
  if (op == "attention")
    return attention(node, x, operand(1), operand(2), operand(3), operand(4), operand(5));
  if (op == "mha")
    return mha(node, in);
  if (op == "causal_mask")
    return {CausalMaskOp::create(b, loc, out)};

  // --- pointwise
#define WEFT_UNARY(NAME, OP) \
  if (op == NAME)            \
    return {OP::create(b, loc, xType, x)};
  WEFT_UNARY("neg", NegOp)
  WEFT_UNARY("abs", AbsOp)
  WEFT_UNARY("exp", ExpOp)
  WEFT_UNARY("log", LogOp)
  WEFT_UNARY("sqrt", SqrtOp)
  WEFT_UNARY("rsqrt", RsqrtOp)
  WEFT_UNARY("erf", ErfOp)
  WEFT_UNARY("tanh", TanhOp)
  WEFT_UNARY("sigmoid", SigmoidOp)
  WEFT_UNARY("sin", SinOp)
  WEFT_UNARY("cos", CosOp)
  WEFT_UNARY("relu", ReluOp)
  WEFT_UNARY("silu", SiluOp)
  WEFT_UNARY("not", NotOp)
  WEFT_UNARY("softplus", SoftplusOp)
#undef WEFT_UNARY
  if (op == "gelu")
    return {GeluOp::create(b, loc, xType, x, attrs.word("approximate") == "tanh")};
  if (op == "leaky_relu")
    return {LeakyReluOp::create(b, loc, xType, x, APFloat(attrs.real("slope", 0.01)))};
  if (op == "elu")
    return {EluOp::create(b, loc, xType, x, APFloat(attrs.real("alpha", 1)))};
  if (op == "clamp") {
    auto isSize = [&](const char *name) { return attrs.has(name) && std::holds_alternative<DimExpr>(*attrs.find(name)); };
    if (isSize("min") || isSize("max")) {
      Value low = attrs.has("min") ? MaximumOp::create(b, loc, x, scalarAttribute(node, "min", f)).getResult() : x;
      return {attrs.has("max") ? MinimumOp::create(b, loc, low, scalarAttribute(node, "max", f)).getResult() : low};
    }
    return {ClampOp::create(b, loc, xType, x, attrs.has("min") ? b.getF64FloatAttr(attrs.real("min")) : FloatAttr(),
                            attrs.has("max") ? b.getF64FloatAttr(attrs.real("max")) : FloatAttr())};
  }
  if (op == "cast")
    return {CastOp::create(b, loc, out, x)};
  if (op == "dropout" && entry.mode != EntryDesc::Mode::train)
    return {x}; // identity outside training
  if (op == "dropout")
    return {DropoutOp::create(b, loc, xType, x, APFloat(attrs.real("p")), dropoutSite(node).first, dropoutSite(node).second)};
  if (op == "swiglu" || op == "geglu") {
    Value gate = op == "swiglu" ? Value(SiluOp::create(b, loc, xType, x))
                                : Value(GeluOp::create(b, loc, xType, x, attrs.word("approximate") == "tanh"));
    return {MulOp::create(b, loc, gate, in[1])};
  }
#define WEFT_BINARY(NAME, OP) \
  if (op == NAME)             \
    return {OP::create(b, loc, x, second())};
  WEFT_BINARY("sub", SubOp)
  WEFT_BINARY("div", DivOp)
  WEFT_BINARY("pow", PowOp)
  WEFT_BINARY("minimum", MinimumOp)
  WEFT_BINARY("maximum", MaximumOp)
  WEFT_BINARY("equal", EqualOp)
  WEFT_BINARY("not_equal", NotEqualOp)
  WEFT_BINARY("less", LessOp)
  WEFT_BINARY("less_equal", LessEqualOp)
  WEFT_BINARY("greater", GreaterOp)
  WEFT_BINARY("greater_equal", GreaterEqualOp)
  WEFT_BINARY("and", AndOp)
  WEFT_BINARY("or", OrOp)
#undef WEFT_BINARY
  if (op == "add" || op == "mul") {
    Value sum = x;
    SmallVector<Value> rest(in.drop_front());
    if (attrs.has("value"))
      rest.push_back(scalarAttribute(node, "value", f));
    for (Value next : rest)
      sum = op == "add" ? Value(AddOp::create(b, loc, sum, next)) : Value(MulOp::create(b, loc, sum, next));
    return {sum};
  }
  if (op == "where") {
    Type t = out.getElementType();
    Value a = operand(1) ? operand(1) : scalarAttribute(node, "value_true", t);
    Value c = operand(2) ? operand(2) : scalarAttribute(node, "value_false", t);
    return {WhereOp::create(b, loc, x, a, c)};
  }
  if (op == "masked_fill")
    return {WhereOp::create(b, loc, in[1], scalarAttribute(node, "value", f), x)};

  // --- shapes
  if (op == "reshape" || op == "flatten" || op == "squeeze" || op == "unsqueeze")
    return {ReshapeOp::create(b, loc, out, x)};
  if (op == "transpose")
    return {TransposeOp::create(b, loc, x, attrs.integers("perm"))};
  if (op == "split") {
    SmallVector<Value> parts;
    DimExpr start(0);
    for (const DimExpr &size : attrs.dims("sizes")) {
      parts.push_back(slice(loc, x, attrs.integer("axis"), start, fixed(size)));
      start = start + fixed(size);
    }
    return parts;
  }
  if (op == "concat")
    return {ConcatOp::create(b, loc, in, attrs.integer("axis"))};
  if (op == "slice") {
    int64_t axis = attrs.integer("axis");
    return {slice(loc, x, axis, fixed(attrs.dim("start")), shapeOf(out)[axis], attrs.integer("step", 1))};
  }
  if (op == "select") {
    int64_t axis = attrs.integer("axis");
    DimExpr index = fixed(attrs.dim("index"));
    if (index.constant() && *index.constant() < 0)
      index = shapeOf(x)[axis] + index;
    return {ReshapeOp::create(b, loc, out, slice(loc, x, axis, index, DimExpr(1)))};
  }
  if (op == "expand")
    return {ExpandOp::create(b, loc, out, x)};
  if (op == "gather")
    return {GatherOp::create(b, loc, x, in[1], attrs.integer("axis"))};
  if (op == "iota")
    return {IotaOp::create(b, loc, out)};
  if (op == "constant") {
    if (!attrs.has("values"))
      return {ExpandOp::create(b, loc, out, scalarAttribute(node, "value", out.getElementType()))};
    return {numbers(loc, attrs.reals("values"), out)};
  }

  // --- reductions
  std::vector<int64_t> written = attrs.integers("axis");
  SmallVector<int64_t> axes(written.begin(), written.end());
  if (!attrs.has("axis") && x)
    for (int64_t i = 0; i < cast<RankedTensorType>(xType).getRank(); ++i)
      axes.push_back(i);
#define WEFT_REDUCTION(NAME, OP) \
  if (op == NAME)                \
    return {OP::create(b, loc, x, axes, attrs.flag("keepdim"))};
  WEFT_REDUCTION("sum", ReduceSumOp)
  WEFT_REDUCTION("mean", ReduceMeanOp)
  WEFT_REDUCTION("max", ReduceMaxOp)
  WEFT_REDUCTION("min", ReduceMinOp)
#undef WEFT_REDUCTION
  if (op == "var")
    return {VarOp::create(b, loc, x, axes, attrs.flag("keepdim"), attrs.flag("unbiased"))};
  if (op == "argmax")
    return {ArgmaxOp::create(b, loc, x, axes.back(), attrs.flag("keepdim"))};
  if (op == "softmax")
    return {SoftmaxOp::create(b, loc, xType, x, axes.back())};
  if (op == "log_softmax")
    return {LogSoftmaxOp::create(b, loc, xType, x, axes.back())};
  if (op == "mean_pool" || op == "max_pool") {
    // The dialect pools axis 1.
    Value mask = operand(1);
    if (axes.back() == 0) {
      x = TransposeOp::create(b, loc, x, {1, 0, 2});
      mask = mask ? TransposeOp::create(b, loc, mask, {1, 0}).getResult() : mask;
    }
    if (op == "mean_pool")
      return {MeanPoolOp::create(b, loc, x, mask)};
    return {MaxPoolOp::create(b, loc, x, mask)};
  }
  if (Value loss = this->loss(node, in))
    return {loss};
  llvm::report_fatal_error(Twine("op without a lowering: ") + op);
}

}  // namespace weft
