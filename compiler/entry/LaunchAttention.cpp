// weft.attention → append to the cache, the streaming kernel, and the map recomputed from its row statistics.
// q, k and v may be parts of one buffer: only strides differ.
#include "entry/Launch.h"
#include "tiling/AttentionKernel.h"
#include "tiling/Philox.h"
#include "tiling/TileSizes.h"

using namespace mlir;

namespace weft {
namespace {

std::string number(double value) {
  char buffer[40];
  snprintf(buffer, sizeof buffer, "%a", value);
  return buffer;
}

}  // namespace

std::string keyOf(const HeadOperand &h) {
  return "[" + std::to_string(h.pointer) + "," + std::to_string(int(h.type)) + "," + keyOf(h.batch) + keyOf(h.row) + keyOf(h.head) + "]";
}

std::string keyOf(const ScoreOperand &s) {
  return s.pointer < 0 ? "-" : "[" + std::to_string(s.pointer) + "," + keyOf(s.batch) + keyOf(s.head) + keyOf(s.query) + keyOf(s.key) + "]";
}

std::string keyOf(const AttentionSpec &s) {
  std::string dropout;
  if (s.dropout)
    dropout = "d" + number(s.dropout->p) + "," + std::to_string(s.dropout->random) + keyOf(s.dropout->site);
  return keyOf(s.batch) + keyOf(s.queries) + keyOf(s.keys) + keyOf(s.heads) + keyOf(s.kvHeads) + "," + std::to_string(s.headDim) + "," +
         std::to_string(s.valueDim) + keyOf(s.q) + keyOf(s.k) + keyOf(s.v) + keyOf(s.out) + number(s.scale) +
         (s.softcap ? "c" + number(*s.softcap) : "") + (s.causal ? "causal" : "") + (s.window ? "w" + std::to_string(*s.window) : "") +
         keyOf(s.keyMask) + keyOf(s.mask) + keyOf(s.bias) + dropout + "," + std::to_string(s.start) + "," + std::to_string(s.valid) + "," +
         std::to_string(s.lse) + "," + std::to_string(s.statistics);
}

std::optional<HeadOperand> LaunchBuilder::headOperand(SlotTable &table, Value value, int64_t size) {
  std::optional<Operand> o = operand(table, value);
  if (!o)
    return std::nullopt;
  return HeadOperand{o->pointer, elementType(o->element), table.size(o->strides[0]), table.size(o->strides[1]), Size::constant(size)};
}

std::optional<ScoreOperand> LaunchBuilder::scoreOperand(SlotTable &table, Value value) {
  if (!value)
    return ScoreOperand{};
  std::optional<Operand> o = operand(table, value);
  if (!o)
    return std::nullopt;
  Shape shape = shapeOf(value), strides(4, DimExpr(0));
  size_t lead = 4 - shape.size();
  for (size_t i = 0; i < shape.size(); ++i)
    if (shape[i].constant() != 1)
      strides[lead + i] = o->strides[i];
  return ScoreOperand{o->pointer, table.size(strides[0]), table.size(strides[1]), table.size(strides[2]), table.size(strides[3])};
}

template <typename Op> LogicalResult LaunchBuilder::attentionSpec(Op op, SlotTable &table, bool keys, AttentionSpec &spec, std::string &error) {
  auto fail = [&](const char *why) {
    error = why;
    return failure();
  };
  if (cast<RankedTensorType>(op.getQ().getType()).getElementType().isF64())
    return fail("attention over f64 values is not supported on this target; cast them to f32");
  Shape q = shapeOf(op.getQ()), k = shapeOf(op.getK()), v = shapeOf(op.getV());
  int64_t heads = op.getHeads(), kvHeads = op.getKvHeads();
  spec.batch = Size::dynamic(table.sizeSlot(q[0]));
  spec.queries = table.size(q[1]);
  spec.keys = table.size(k[1]);
  spec.heads = Size::constant(heads);
  spec.kvHeads = Size::constant(kvHeads);
  spec.headDim = *q[2].constant() / heads;
  spec.valueDim = *v[2].constant() / kvHeads;
  spec.scale = op.getScale().convertToDouble();
  if (op.getSoftcap())
    spec.softcap = op.getSoftcap()->convertToDouble();
  spec.causal = op.getCausal();
  if (op.getWindow())
    spec.window = int64_t(*op.getWindow());
  if (op.getSite() && !op.getDropout().isZero()) {
    // Sites in slots: layers of a model that is not a repeat share kernels.
    DimExpr round = op.getRound() ? *DimExpr::parse(op.getRound()->str()) : DimExpr(0);
    DimExpr site = DimExpr(int64_t(*op.getSite())) + round * DimExpr(DropoutMask::roundStep);
    int random = table.add({Slot::Kind::random, 0, {}, {}, {}, 0});
    spec.dropout = AttentionDropout{op.getDropout().convertToDouble(), random, Size::dynamic(table.sizeSlot(site))};
  }
  std::optional<HeadOperand> qh = headOperand(table, op.getQ(), spec.headDim);
  if (!qh)
    return fail("the queries of an attention have no strided form");
  spec.q = *qh;
  if (!keys)
    return success();
  std::optional<HeadOperand> kh = headOperand(table, op.getK(), spec.headDim), vh = headOperand(table, op.getV(), spec.valueDim);
  if (!kh || !vh)
    return fail("the keys or values of an attention have no strided form");
  spec.k = *kh;
  spec.v = *vh;
  if (op.getKeyMask()) {
    std::optional<Operand> mask = operand(table, op.getKeyMask());
    if (!mask)
      return fail("the key mask of an attention has no strided form");
    spec.keyMask = {mask->pointer, table.size(mask->strides[0]), Size::constant(0), Size::constant(0), table.size(mask->strides[1])};
  }
  std::optional<ScoreOperand> mask = scoreOperand(table, op.getMask()), bias = scoreOperand(table, op.getBias());
  if (!mask || !bias)
    return fail("the mask or bias of an attention has no strided form");
  spec.mask = *mask;
  spec.bias = *bias;
  return success();
}

template LogicalResult LaunchBuilder::attentionSpec(AttentionGradOp, SlotTable &, bool, AttentionSpec &, std::string &);

FailureOr<Launches> LaunchBuilder::attention(AttentionOp op, std::string &error) {
  SlotTable table;
  Launches launches;
  AttentionSpec spec;
  if (failed(attentionSpec(op, table, !op.getCache(), spec, error)))
    return failure();
  Shape q = shapeOf(op.getQ()), k = shapeOf(op.getK());
  int64_t heads = op.getHeads(), kvHeads = op.getKvHeads(), dh = spec.headDim, dv = spec.valueDim;
  DimExpr keys = k[1];

  if (op.getCache()) {
    auto state = SymbolTable::lookupNearestSymbolFrom<StateOp>(op, op.getCacheAttr());
    int number = stateLengths(op, *op.getCache()).number;
    int64_t capacity = state.getCapacity(), size = state.getHeadDim();
    DimExpr layer = DimExpr::parse(op.getLayer()->str()).value_or(DimExpr(0));
    auto cacheOperand = [&](SlotTable &t, Slot::Kind kind) {
      ElementType type = elementType(state.getElementType());
      Slot slot{kind, number, DimExpr(0), layer, {}, kvHeads * capacity * size * byteSize(type)};
      return HeadOperand{t.add(slot), type, Size::constant(kvHeads * capacity * size), Size::constant(size),
                         Size::constant(capacity * size)};
    };
    SlotTable append;
    CacheAppendSpec copy;
    copy.batch = Size::dynamic(append.sizeSlot(q[0]));
    copy.tokens = append.size(k[1]);
    copy.kvHeads = Size::constant(kvHeads);
    copy.headDim = dh;
    copy.valueDim = dv;
    std::optional<HeadOperand> kh = headOperand(append, op.getK(), dh), vh = headOperand(append, op.getV(), dv);
    if (!kh || !vh) {
      error = "the keys or values of an attention have no strided form";
      return failure();
    }
    copy.k = *kh;
    copy.v = *vh;
    copy.keyCache = cacheOperand(append, Slot::Kind::cacheKeys);
    copy.valueCache = cacheOperand(append, Slot::Kind::cacheValues);
    copy.capacity = Size::constant(capacity);
    copy.start = append.add({Slot::Kind::cacheLengths, number, {}, {}, {}, 0});
    copy.valid = append.add({Slot::Kind::valid, 0, {}, {}, {}, 0});
    std::string key = "append" + weft::keyOf(copy.batch) + weft::keyOf(copy.tokens) + std::to_string(kvHeads) + "," + std::to_string(dh) + "," +
                      std::to_string(capacity) + weft::keyOf(copy.k) + weft::keyOf(copy.v) + weft::keyOf(copy.keyCache) + weft::keyOf(copy.valueCache);
    Launch launch;
    launch.kernel = {key, "append", [copy, &target = target](ModuleOp module, StringRef name) { return emitCacheAppend(module, name, copy, target); }};
    launch.slots = append.slots;
    launch.bytes = q[0] * k[1] * DimExpr(kvHeads * (dh + dv) * 8);
    launch.kind = "cache-append";
    launch.op = op;
    launches.push_back(std::move(launch));
    spec.k = cacheOperand(table, Slot::Kind::cacheKeys);
    spec.v = cacheOperand(table, Slot::Kind::cacheValues);
    spec.start = table.add({Slot::Kind::cacheLengths, number, {}, {}, {}, 0});
    spec.valid = table.add({Slot::Kind::valid, 0, {}, {}, {}, 0});
    keys = DimExpr(capacity);
  }
  Type element = cast<RankedTensorType>(op.getY().getType()).getElementType();
  spec.out = {pointer(table, op.getY(), DimExpr(0), elementBytes(element)), elementType(element), table.size(q[1] * DimExpr(heads * dv)), Size::constant(heads * dv),
              Size::constant(dv)};
  if (op.getLse())
    spec.lse = pointer(table, op.getLse(), DimExpr(0), 4);
  if (op.getMap())
    spec.statistics = bufferPointer(table, plan.temps.at({op.getOperation(), Temp::statistics}));

  Launch launch;
  launch.kernel = {"attention" + weft::keyOf(spec), "attention",
                   [spec, &target = target](ModuleOp module, StringRef name) { return emitAttention(module, name, spec, target); }};
  launch.slots = table.slots;
  launch.flops = q[0] * q[1] * keys * DimExpr(heads * (dh + dv) * 2);
  launch.bytes = (q[0] * q[1] * DimExpr(heads * (dh + dv)) + q[0] * keys * DimExpr(kvHeads * (dh + dv))) * DimExpr(4);
  bool few = q[1].constant() && *q[1].constant() <= 3;
  launch.kind = few ? "attention-decode" : "attention";
  TileSizes tiles = tileSizes(target);
  launch.tiles = std::to_string(tiles.queryVectors * target.lanes) + " queries x " + std::to_string(tiles.keyBlock) + " keys";
  launch.op = op;
  launches.push_back(std::move(launch));

  if (op.getMap()) {
    AttentionWeightsSpec weights;
    weights.attention = spec;
    weights.mean = *op.getWeights() == "mean";
    weights.weights = pointer(table, op.getMap(), DimExpr(0), 4);
    std::string key = "map" + weft::keyOf(spec) + std::to_string(weights.weights) + (weights.mean ? "mean" : "");
    Launch map;
    map.kernel = {key, "attention_map",
                  [weights, &target = target](ModuleOp module, StringRef name) { return emitAttentionWeights(module, name, weights, target); }};
    map.slots = table.slots;
    map.flops = q[0] * q[1] * keys * DimExpr(heads * dh * 2);
    map.bytes = q[0] * q[1] * keys * DimExpr(heads * 4);
    map.kind = "attention-map";
    map.op = op;
    launches.push_back(std::move(map));
  }
  return launches;
}

}  // namespace weft
