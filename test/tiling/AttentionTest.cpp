// Attention, its probability map and the cache against loops in double precision.
#include "KernelTest.h"

#include "tiling/AttentionKernel.h"

#include "llvm/ADT/STLExtras.h"

using namespace weft;
using namespace weft::test;

namespace {

enum Slot {
  Q,
  K,
  V,
  Out,
  Lse,
  Statistics,
  KeyMask,
  Mask,
  Bias,
  Start,
  Valid,
  Batch,
  Queries,
  Keys,
  QBatch,
  KBatch,
  MaskBatch,
  MaskHead,
  MaskQuery,
  Weights,
  Capacity,
  KeyMaskBatch,
  SlotCount
};

/// One kernel.
struct Config {
  const char *name;
  int64_t heads, kvHeads, headDim, valueDim;
  bool causal = false;
  int64_t window = 0; ///< 0: none
  double softcap = 0; ///< 0: none
  bool keyMask = false, mask = false, bias = false;
  bool cache = false;
  ElementType cacheType = ElementType::F32;
};

const Config configs[] = {
    {"plain", 2, 2, 32, 32},
    {"odd", 3, 3, 20, 8},
    {"wide", 1, 1, 128, 80},
    {"one", 1, 1, 1, 3},
    {"causal", 2, 1, 64, 64, true},
    {"window", 2, 2, 16, 24, true, 37},
    {"cap", 1, 1, 24, 16, true, 0, 5.0},
    {"keymask", 2, 2, 32, 32, false, 0, 0, true},
    {"mask", 2, 2, 32, 32, false, 0, 0, false, true},
    {"bias", 2, 2, 32, 32, false, 0, 0, false, false, true},
    {"all", 4, 2, 40, 40, true, 50, 3.0, true, true, true},
    {"cache", 4, 2, 32, 32, true, 0, 0, false, false, false, true},
    {"cachewindow", 2, 2, 20, 20, true, 9, 0, false, false, false, true},
    {"cachebf16", 2, 1, 32, 32, true, 0, 0, false, false, false, true, ElementType::BF16},
};

constexpr double scale = 0.37;
constexpr int64_t capacity = 150;

AttentionSpec makeSpec(const Config &c) {
  AttentionSpec spec;
  spec.batch = Size::dynamic(Batch), spec.queries = Size::dynamic(Queries), spec.keys = Size::dynamic(Keys);
  spec.heads = Size::constant(c.heads), spec.kvHeads = Size::constant(c.kvHeads);
  spec.headDim = c.headDim, spec.valueDim = c.valueDim;
  auto constant = [](int64_t v) { return Size::constant(v); };
  spec.q = {Q, ElementType::F32, Size::dynamic(QBatch), constant(c.heads * c.headDim), constant(c.headDim)};
  spec.out = {Out, ElementType::F32, Size::dynamic(MaskBatch), constant(c.heads * c.valueDim), constant(c.valueDim)};
  if (c.cache) {
    spec.k = {K, c.cacheType, constant(c.kvHeads * capacity * c.headDim), constant(c.headDim),
              constant(capacity * c.headDim)};
    spec.v = {V, c.cacheType, constant(c.kvHeads * capacity * c.valueDim), constant(c.valueDim),
              constant(capacity * c.valueDim)};
    spec.start = Start, spec.valid = Valid;
  } else {
    spec.k = {K, ElementType::F32, Size::dynamic(KBatch), constant(c.kvHeads * c.headDim), constant(c.headDim)};
    spec.v = {V, ElementType::F32, Size::dynamic(KeyMaskBatch), constant(c.kvHeads * c.valueDim), constant(c.valueDim)};
  }
  spec.scale = scale, spec.causal = c.causal;
  if (c.window)
    spec.window = c.window;
  if (c.softcap)
    spec.softcap = c.softcap;
  if (c.keyMask)
    spec.keyMask = {KeyMask, Size::dynamic(Keys), constant(0), constant(0), constant(1)};
  if (c.mask) // [heads, queries, keys], shared by the batch
    spec.mask = {Mask, constant(0), Size::dynamic(MaskHead), Size::dynamic(Keys), constant(1)};
  if (c.bias)
    spec.bias = {Bias, constant(0), Size::dynamic(MaskHead), Size::dynamic(Keys), constant(1)};
  spec.lse = Lse;
  spec.statistics = Statistics;
  return spec;
}

uint16_t toBf16(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  return (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}
float fromBf16(uint16_t x) {
  uint32_t bits = uint32_t(x) << 16;
  float f;
  std::memcpy(&f, &bits, 4);
  return f;
}

struct Data {
  std::vector<float> q, k, v, bias;
  std::vector<uint8_t> keyMask, mask;
  std::vector<int64_t> start;
  std::vector<int32_t> valid;
};

/// Reference result, probabilities and lse.
struct Reference {
  std::vector<double> out, weights, lse;
};

Reference reference(const Config &c, const Data &d, int64_t batch, int64_t tq, int64_t tk, bool useValid) {
  Reference r;
  r.out.assign(batch * tq * c.heads * c.valueDim, 0), r.weights.assign(batch * c.heads * tq * tk, 0);
  r.lse.assign(batch * c.heads * tq, INFINITY);
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t h = 0; h < c.heads; ++h)
      for (int64_t i = 0; i < tq; ++i) {
        int64_t g = h / (c.heads / c.kvHeads), start = c.cache ? d.start[b] : 0;
        int64_t keys = c.cache ? start + (useValid ? d.valid[b] : tq) : tk;
        std::vector<double> s(keys);
        double maximum = -INFINITY, sum = 0;
        auto kAt = [&](int64_t j, int64_t e) {
          return c.cache ? d.k[((b * c.kvHeads + g) * capacity + j) * c.headDim + e]
                         : d.k[((b * tk + j) * c.kvHeads + g) * c.headDim + e];
        };
        auto vAt = [&](int64_t j, int64_t e) {
          return c.cache ? d.v[((b * c.kvHeads + g) * capacity + j) * c.valueDim + e]
                         : d.v[((b * tk + j) * c.kvHeads + g) * c.valueDim + e];
        };
        for (int64_t j = 0; j < keys; ++j) {
          double x = 0;
          for (int64_t e = 0; e < c.headDim; ++e)
            x += double(d.q[((b * tq + i) * c.heads + h) * c.headDim + e]) * kAt(j, e);
          x *= scale;
          if (c.softcap)
            x = c.softcap * std::tanh(x / c.softcap);
          if (c.bias)
            x += d.bias[(h * tq + i) * tk + j];
          bool visible = true;
          if (c.causal)
            visible = j <= start + i && (!c.window || j > start + i - c.window);
          if (c.keyMask)
            visible = visible && d.keyMask[b * tk + j];
          if (c.mask)
            visible = visible && d.mask[(h * tq + i) * tk + j];
          s[j] = visible ? x : -INFINITY;
          maximum = std::max(maximum, s[j]);
        }
        if (maximum == -INFINITY)
          continue;
        for (double &x : s)
          sum += x = std::exp(x - maximum);
        r.lse[(b * c.heads + h) * tq + i] = maximum + std::log(sum);
        for (int64_t j = 0; j < keys; ++j) {
          if (!c.cache)
            r.weights[((b * c.heads + h) * tq + i) * tk + j] = s[j] / sum;
          for (int64_t e = 0; e < c.valueDim; ++e)
            r.out[((b * tq + i) * c.heads + h) * c.valueDim + e] += s[j] / sum * vAt(j, e);
        }
      }
  return r;
}

void testShape(const KernelJit &jit, const Config &c, int64_t batch, int64_t tq, int64_t tk, bool useValid) {
  std::string what = std::string(c.name) + " lanes " + std::to_string(jit.target().lanes) + " B" +
                     std::to_string(batch) + " " + std::to_string(tq) + "x" + std::to_string(tk);
  Data d;
  d.q = uniform(batch * tq * c.heads * c.headDim, 2);
  int64_t keyRows = c.cache ? capacity : tk;
  d.k = uniform(batch * keyRows * c.kvHeads * c.headDim, 2), d.v = uniform(batch * keyRows * c.kvHeads * c.valueDim);
  d.bias = uniform(c.heads * tq * tk, 3);
  for (int64_t i = 0; i < batch * tk; ++i)
    d.keyMask.push_back(i / std::max<int64_t>(tk, 1) == 1 ? 0
                                                          : weft::test::random()() % 4 != 0); // sequence 1 sees nothing
  for (int64_t i = 0; i < c.heads * tq * tk; ++i)
    d.mask.push_back(i / std::max<int64_t>(tk, 1) % 5 == 3 ? 0
                     : weft::test::random()() % 3 != 0     ? 2
                                                           : 0); // every fifth row sees nothing
  if (c.bias && tk > 0 && tq > 2) {                              // one row of -inf, one of the lowest number
    for (int64_t j = 0; j < tk; ++j)
      d.bias[1 * tk + j] = -INFINITY;
  }
  for (int64_t b = 0; b < batch; ++b) {
    d.start.push_back(tk ? (b * 31) % tk : 0);
    d.valid.push_back(b == 1 ? tq / 2 : tq);
  }
  std::vector<uint16_t> k16, v16;
  if (c.cacheType == ElementType::BF16) {
    for (float &x : d.k)
      k16.push_back(toBf16(x)), x = fromBf16(k16.back());
    for (float &x : d.v)
      v16.push_back(toBf16(x)), x = fromBf16(v16.back());
  }
  std::vector<float> out = filled(batch * tq * c.heads * c.valueDim, guard), lse = filled(batch * c.heads * tq, guard);
  std::vector<float> statistics = filled(2 * batch * c.heads * tq, guard);
  Args args(SlotCount);
  args.set(Q, d.q.data()), args.set(K, d.k.data()), args.set(V, d.v.data()), args.set(Out, out.data()),
      args.set(Lse, lse.data()), args.set(Statistics, statistics.data());
  if (c.cacheType == ElementType::BF16)
    args.set(K, k16.data()), args.set(V, v16.data());
  args.set(KeyMask, d.keyMask.data()), args.set(Mask, d.mask.data()), args.set(Bias, d.bias.data());
  args.set(Start, d.start.data());
  if (useValid)
    args.set(Valid, d.valid.data());
  args.set(Batch, batch), args.set(Queries, tq), args.set(Keys, tk);
  args.set(QBatch, tq * c.heads * c.headDim), args.set(MaskBatch, tq * c.heads * c.valueDim);
  args.set(KBatch, tk * c.kvHeads * c.headDim), args.set(KeyMaskBatch, tk * c.kvHeads * c.valueDim);
  args.set(MaskHead, tq * tk);
  jit.get(c.name).run(args.data(), 3);

  Reference want = reference(c, d, batch, tq, tk, useValid);
  for (size_t i = 0; i < want.out.size(); ++i)
    checkClose(out[i], want.out[i], 5e-6, what);
  for (size_t i = 0; i < want.lse.size(); ++i)
    checkClose(lse[i], want.lse[i], 1e-5, what);
  checkGuard(out, what), checkGuard(lse, what), checkGuard(statistics, what);
  if (c.cache)
    return;
  for (bool mean : {false, true}) {
    int64_t maps = mean ? batch : batch * c.heads;
    what += " weights";
    std::vector<float> weights = filled(maps * tq * tk, guard);
    args.set(Weights, weights.data());
    jit.get(c.name + std::string(mean ? "_mean" : "_weights")).run(args.data(), 2);
    for (int64_t i = 0; i < maps * tq * tk; ++i) {
      double w = 0;
      if (mean)
        for (int64_t h = 0; h < c.heads; ++h)
          w += want.weights[(i / (tq * tk) * c.heads + h) * tq * tk + i % (tq * tk)] / c.heads;
      else
        w = want.weights[i];
      checkClose(weights[i], w, 2e-5, what);
    }
    checkGuard(weights, what);
  }
}

/// Compiling takes most of the time; the narrowest target differs from the next in numbers only.
bool wanted(const TargetInfo &target, const Config &c) {
  return target.lanes >= 8 || llvm::is_contained({"plain", "odd", "all", "cachewindow"}, llvm::StringRef(c.name));
}

void testAttention(const TargetInfo &target) {
  KernelJit jit(target);
  for (const Config &c : configs) {
    if (!wanted(target, c))
      continue;
    AttentionSpec spec = makeSpec(c);
    jit.add(emitAttention(jit.module(), c.name, spec, target), SlotCount);
    if (c.cache)
      continue;
    for (bool mean : {false, true})
      jit.add(emitAttentionWeights(jit.module(), c.name + std::string(mean ? "_mean" : "_weights"),
                                   {spec, Weights, mean}, target),
              SlotCount);
  }
  compileOrDie(jit);
  std::vector<std::pair<int64_t, int64_t>> shapes = {{1, 1},    {3, 70},  {4, 5},   {17, 33}, {40, 66},
                                                     {65, 131}, {70, 67}, {1, 300}, {0, 5},   {5, 0}};
  for (const Config &c : configs)
    for (auto [tq, tk] : shapes) {
      if (!wanted(target, c))
        break;
      if (c.cache) { // here tk bounds the start positions
        if (tq + tk > capacity)
          continue;
        testShape(jit, c, 3, tq, tk, true);
      }
      testShape(jit, c, 3, tq, tk, false);
    }
}

// A finite fill in place of a mask leaves a row with nothing else uniform, as softmax does.
void testFiniteFill(const TargetInfo &target) {
  Config c = {"fill", 1, 1, 16, 16, false, 0, 0, false, false, true};
  KernelJit jit(target);
  jit.add(emitAttention(jit.module(), c.name, makeSpec(c), target), SlotCount);
  jit.add(emitAttentionWeights(jit.module(), "fill_weights", {makeSpec(c), Weights, false}, target), SlotCount);
  compileOrDie(jit);
  for (float fill : {-1e9f, -3.4028235e38f})
    for (int64_t tq : {2, 20}) {
      int64_t tk = 70;
      std::vector<float> q = uniform(tq * 16), k = uniform(tk * 16), v = uniform(tk * 16), bias = filled(tq * tk, fill);
      std::vector<float> out = filled(tq * 16, 0), lse = filled(tq, 0), statistics = filled(2 * tq, 0);
      std::vector<float> weights = filled(tq * tk, 0);
      Args args(SlotCount);
      args.set(Q, q.data()), args.set(K, k.data()), args.set(V, v.data()), args.set(Out, out.data()),
          args.set(Lse, lse.data()), args.set(Statistics, statistics.data()), args.set(Weights, weights.data());
      args.set(Bias, bias.data()), args.set(Batch, int64_t(1)), args.set(Queries, tq), args.set(Keys, tk);
      jit.get(c.name).run(args.data());
      jit.get("fill_weights").run(args.data());
      for (int64_t i = 0; i < tq * tk; ++i)
        checkClose(weights[i], 1.0 / double(tk), 1e-6, "map of a finite fill");
      for (int64_t e = 0; e < 16; ++e) {
        double mean = 0;
        for (int64_t j = 0; j < tk; ++j)
          mean += v[j * 16 + e] / double(tk);
        checkClose(out[(tq - 1) * 16 + e], mean, 1e-6, "finite fill");
      }
    }
}

void testCacheAppend(const TargetInfo &target) {
  int64_t heads = 2, dim = 20, valueDim = 16, room = 12, batch = 3, tokens = 4;
  KernelJit jit(target);
  enum { SourceK, SourceV, CacheK, CacheV, StartSlot, ValidSlot, Tokens, Slots };
  for (ElementType type : {ElementType::F32, ElementType::BF16}) {
    CacheAppendSpec spec;
    auto constant = [](int64_t v) { return Size::constant(v); };
    spec.batch = constant(batch), spec.tokens = Size::dynamic(Tokens), spec.kvHeads = constant(heads);
    spec.headDim = dim, spec.valueDim = valueDim;
    spec.k = {SourceK, ElementType::F32, constant(tokens * heads * dim), constant(heads * dim), constant(dim)};
    spec.v = {SourceV, ElementType::F32, constant(tokens * heads * valueDim), constant(heads * valueDim),
              constant(valueDim)};
    spec.keyCache = {CacheK, type, constant(heads * room * dim), constant(dim), constant(room * dim)};
    spec.valueCache = {CacheV, type, constant(heads * room * valueDim), constant(valueDim), constant(room * valueDim)};
    spec.capacity = constant(room), spec.start = StartSlot, spec.valid = ValidSlot;
    jit.add(emitCacheAppend(jit.module(), type == ElementType::F32 ? "f32" : "bf16", spec, target), Slots);
  }
  compileOrDie(jit);
  std::vector<float> k = uniform(batch * tokens * heads * dim), v = uniform(batch * tokens * heads * valueDim);
  std::vector<int64_t> start = {0, 5, 10};
  std::vector<int32_t> valid = {4, 3, 4};
  for (bool half : {false, true}) {
    std::vector<float> keys = filled(batch * heads * room * dim, 9),
                       values = filled(batch * heads * room * valueDim, 9);
    std::vector<uint16_t> keys16(keys.size(), toBf16(9)), values16(values.size(), toBf16(9));
    Args args(Slots);
    args.set(SourceK, k.data()), args.set(SourceV, v.data()), args.set(StartSlot, start.data()),
        args.set(ValidSlot, valid.data());
    args.set(CacheK, half ? (void *)keys16.data() : keys.data()),
        args.set(CacheV, half ? (void *)values16.data() : values.data());
    args.set(Tokens, tokens);
    jit.get(half ? "bf16" : "f32").run(args.data(), 2);
    for (int64_t b = 0; b < batch; ++b)
      for (int64_t h = 0; h < heads; ++h)
        for (int64_t p = 0; p < room; ++p) {
          int64_t t = p - start[b];
          bool written = t >= 0 && t < valid[b];
          for (int64_t e = 0; e < dim; ++e) {
            size_t at = ((b * heads + h) * room + p) * dim + e;
            float want = written ? k[((b * tokens + t) * heads + h) * dim + e] : 9;
            check(half ? keys16[at] == toBf16(want) : keys[at] == want, "cache keys");
          }
          for (int64_t e = 0; e < valueDim; ++e) {
            size_t at = ((b * heads + h) * room + p) * valueDim + e;
            float want = written ? v[((b * tokens + t) * heads + h) * valueDim + e] : 9;
            check(half ? values16[at] == toBf16(want) : values[at] == want, "cache values");
          }
        }
    checkGuard(keys, "cache"), checkGuard(values, "cache");
  }
}

} // namespace

int main() {
  for (const TargetInfo &target : runnableTargets()) {
    testAttention(target);
    testFiniteFill(target);
    testCacheAppend(target);
  }
  return report();
}
