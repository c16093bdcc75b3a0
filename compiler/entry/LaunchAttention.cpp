// weft.attention → append to the cache, the streaming kernel, and the map recomputed from its row statistics.
// q, k and v may be parts of one buffer: only strides differ.
#include "entry/Launch.h"
#include "tiling/AttentionKernel.h"
#include "tiling/TileSizes.h"

using namespace mlir;

namespace weft {
namespace {

std::string text(const HeadOperand &h) {
  return "[" + std::to_string(h.pointer) + "," + std::to_string(int(h.type)) + "," + keyOf(h.batch) + keyOf(h.row) + keyOf(h.head) + "]";
}

std::string text(const ScoreOperand &s) {
  return s.pointer < 0 ? "-" : "[" + std::to_string(s.pointer) + "," + keyOf(s.batch) + keyOf(s.head) + keyOf(s.query) + keyOf(s.key) + "]";
}

std::string number(double value) {
  char buffer[40];
  snprintf(buffer, sizeof buffer, "%a", value);
  return buffer;
}

std::string keyOfSpec(const AttentionSpec &s) {
  return keyOf(s.batch) + keyOf(s.queries) + keyOf(s.keys) + keyOf(s.heads) + keyOf(s.kvHeads) + "," + std::to_string(s.headDim) + "," +
         std::to_string(s.valueDim) + text(s.q) + text(s.k) + text(s.v) + text(s.out) + number(s.scale) +
         (s.softcap ? "c" + number(*s.softcap) : "") + (s.causal ? "causal" : "") + (s.window ? "w" + std::to_string(*s.window) : "") +
         text(s.keyMask) + text(s.mask) + text(s.bias) + "," + std::to_string(s.start) + "," + std::to_string(s.valid) + "," +
         std::to_string(s.statistics);
}

}  // namespace

FailureOr<Launches> LaunchBuilder::attention(AttentionOp op, std::string &error) {
  if (!cast<RankedTensorType>(op.getQ().getType()).getElementType().isF32()) {
    error = "attention over values other than f32 is not supported on this target; cast them to f32";
    return failure();
  }
  SlotTable table;
  Shape q = shapeOf(op.getQ()), k = shapeOf(op.getK()), v = shapeOf(op.getV());
  int64_t heads = op.getHeads(), kvHeads = op.getKvHeads();
  int64_t dh = *q[2].constant() / heads, dv = *v[2].constant() / kvHeads;
  auto head = [&](SlotTable &t, Value value, int64_t size) -> std::optional<HeadOperand> {
    std::optional<Operand> o = operand(t, value);
    if (!o)
      return std::nullopt;
    return HeadOperand{o->pointer, ElementType::F32, t.size(o->strides[0]), t.size(o->strides[1]), Size::constant(size)};
  };
  // A mask or bias over (b, h, i, j), aligned from the right.
  auto score = [&](SlotTable &t, Value value) -> std::optional<ScoreOperand> {
    if (!value)
      return ScoreOperand{};
    std::optional<Operand> o = operand(t, value);
    if (!o)
      return std::nullopt;
    Shape shape = shapeOf(value), strides(4, DimExpr(0));
    size_t lead = 4 - shape.size();
    for (size_t i = 0; i < shape.size(); ++i)
      if (shape[i].constant() != 1)
        strides[lead + i] = o->strides[i];
    return ScoreOperand{o->pointer, t.size(strides[0]), t.size(strides[1]), t.size(strides[2]), t.size(strides[3])};
  };

  Launches launches;
  AttentionSpec spec;
  spec.batch = Size::dynamic(table.sizeSlot(q[0]));
  spec.queries = table.size(q[1]);
  spec.keys = table.size(k[1]);
  spec.heads = Size::constant(heads);
  spec.kvHeads = Size::constant(kvHeads);
  spec.headDim = dh;
  spec.valueDim = dv;
  spec.scale = op.getScale().convertToDouble();
  if (op.getSoftcap())
    spec.softcap = op.getSoftcap()->convertToDouble();
  spec.causal = op.getCausal();
  if (op.getWindow())
    spec.window = int64_t(*op.getWindow());
  std::optional<HeadOperand> qh = head(table, op.getQ(), dh);
  if (!qh) {
    error = "the queries of an attention have no strided form";
    return failure();
  }
  spec.q = *qh;
  DimExpr keys = k[1];

  if (op.getCache()) {
    auto state = SymbolTable::lookupNearestSymbolFrom<StateOp>(op, op.getCacheAttr());
    int number = stateLengths(op, *op.getCache()).number;
    int64_t capacity = state.getCapacity(), size = state.getHeadDim();
    DimExpr layer = DimExpr::parse(op.getLayer()->str()).value_or(DimExpr(0));
    auto cacheOperand = [&](SlotTable &t, Slot::Kind kind) {
      Type stored = state.getElementType();
      ElementType type = stored.isBF16() ? ElementType::BF16 : stored.isF16() ? ElementType::F16 : ElementType::F32;
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
    std::optional<HeadOperand> kh = head(append, op.getK(), dh), vh = head(append, op.getV(), dv);
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
                      std::to_string(capacity) + text(copy.k) + text(copy.v) + text(copy.keyCache) + text(copy.valueCache);
    Launch launch;
    launch.kernel = emit(key, "append", [&](StringRef name) { return emitCacheAppend(module, name, copy, target); });
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
  } else {
    std::optional<HeadOperand> kh = head(table, op.getK(), dh), vh = head(table, op.getV(), dv);
    if (!kh || !vh) {
      error = "the keys or values of an attention have no strided form";
      return failure();
    }
    spec.k = *kh;
    spec.v = *vh;
    if (op.getKeyMask()) {
      std::optional<Operand> mask = operand(table, op.getKeyMask());
      if (!mask) {
        error = "the key mask of an attention has no strided form";
        return failure();
      }
      spec.keyMask = {mask->pointer, table.size(mask->strides[0]), Size::constant(0), Size::constant(0), table.size(mask->strides[1])};
    }
    std::optional<ScoreOperand> mask = score(table, op.getMask()), bias = score(table, op.getBias());
    if (!mask || !bias) {
      error = "the mask or bias of an attention has no strided form";
      return failure();
    }
    spec.mask = *mask;
    spec.bias = *bias;
  }
  spec.out = {pointer(table, op.getY(), DimExpr(0), 4), ElementType::F32, table.size(q[1] * DimExpr(heads * dv)), Size::constant(heads * dv),
              Size::constant(dv)};
  if (op.getMap())
    spec.statistics = bufferPointer(table, plan.temps.at({op.getOperation(), Temp::statistics}));

  Launch launch;
  launch.kernel = emit("attention" + keyOfSpec(spec), "attention", [&](StringRef name) { return emitAttention(module, name, spec, target); });
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
    std::string key = "map" + keyOfSpec(spec) + std::to_string(weights.weights) + (weights.mean ? "mean" : "");
    Launch map;
    map.kernel = emit(key, "attention_map", [&](StringRef name) { return emitAttentionWeights(module, name, weights, target); });
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
