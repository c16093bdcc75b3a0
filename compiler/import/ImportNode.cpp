// What all nodes need: locations, types, parameters, numbers, and repeats. The chapters of ops are in files of their own.
// Shapes are the importer's; the dialect's inference must agree with them, which the verifier checks.
#include "import/ImportNode.h"

#include "llvm/Support/Path.h"
#include "llvm/Support/xxhash.h"

using namespace mlir;

namespace weft {

Location EntryImporter::location(const Position &pos, StringRef name) const {
  MLIRContext *context = b.getContext();
  // The name alone: where the file lies must not show in the object.
  Location place = FileLineColLoc::get(context, llvm::sys::path::filename(model.file), pos.line, pos.column);
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
  Values out;
  if (node.body) {
    out = repeat(node, in);
  } else {
    NodeCall call{node, {node}, location(node), in, type(graph.values[node.results.front()].type)};
    for (auto chapter : {&EntryImporter::transformer, &EntryImporter::pointwise, &EntryImporter::rows, &EntryImporter::shapes, &EntryImporter::loss})
      if (out.empty())
        out = (this->*chapter)(call);
  }
  if (out.empty())
    llvm::report_fatal_error(Twine("expected an op of the format but got ") + node.op);
  for (auto [id, value] : llvm::zip(node.results, out))
    values[id] = value;
}

Values EntryImporter::repeat(const Node &node, ArrayRef<Value> in) {
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
  Values results;
  for (ValueId id : body.outputs)
    results.push_back(values.lookup(id));
  YieldOp::create(b, location(node), results);
  return Values(op.getResults());
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
  // The same text can stand for different tensors when two repeats use one scope, be read as two types, or also name an entry,
  // a dim or a state: a suffix.
  std::string symbol = use->name;
  SmallVector<int32_t> tensors(use->tensors.begin(), use->tensors.end());
  for (int copy = 2;; ++copy) {
    Operation *known = symbols.lookup(symbol);
    auto existing = dyn_cast_or_null<ParamOp>(known);
    if (!known && llvm::none_of(model.entries, [&](const EntryDesc &other) { return other.name == symbol; })) {
      if (!lastSymbol)
        for (Operation &op : *module.getBody())
          if (isa<DimOp, StateOp, ParamOp>(op))
            lastSymbol = &op;
      OpBuilder top = OpBuilder::atBlockBegin(module.getBody());
      if (lastSymbol)
        top.setInsertionPointAfter(lastSymbol);
      lastSymbol = ParamOp::create(top, location(first.pos, use->name), symbol, type, tensors);
      symbols.insert(lastSymbol);
      break;
    }
    if (existing && existing.getTensors() == ArrayRef<int32_t>(tensors) && existing.getType() == type)
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

Value EntryImporter::scalarAttribute(const NodeCall &c, const char *name, Type element) {
  const AttrValue *value = c.attrs.find(name);
  Location loc = c.loc;
  if (!value || !std::holds_alternative<DimExpr>(*value))
    return scalar(loc, c.attrs.real(name), element);
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

uint32_t randomSite(llvm::StringRef path) { return uint32_t(llvm::xxh3_64bits(path)); }

std::pair<IntegerAttr, StringAttr> EntryImporter::dropoutSite(const Node &node) {
  if (!drops())
    return {};
  DimExpr round(0);
  for (auto &[index, value] : rounds)
    round = round * DimExpr(int64_t(cast<RepeatOp>(value.getParentBlock()->getParentOp()).getCount())) + DimExpr::dim(index);
  return {b.getI64IntegerAttr(randomSite(node.path)),
          rounds.empty() ? StringAttr() : b.getStringAttr(round.str())};
}

FlatSymbolRefAttr EntryImporter::boundState(const NodeCall &c, const char *attribute) const {
  std::string name = c.attrs.word(attribute);
  for (int32_t state : entry.states)
    if (!name.empty() && model.states[state].name == name)
      return FlatSymbolRefAttr::get(b.getContext(), name);
  return {};
}

std::string EntryImporter::offset(const NodeCall &c) const { return c.attrs.has("offset") ? fixed(c.attrs.dim("offset")).str() : "0"; }

}  // namespace weft
