// Gradients of attention, and its forward pass under dropout, against loops in double precision.
// The forward kernel runs first: its result and log-sum-exp are what the backward kernels start from.
#include "KernelTest.h"
#include "Philox.h"

#include "tiling/AttentionGradKernel.h"
#include "tiling/Philox.h"

#include "llvm/ADT/STLExtras.h"

#include <algorithm>

using namespace weft;
using namespace weft::test;

namespace {

enum Slot {
  Q,
  K,
  V,
  Out,
  Lse,
  DOut,
  DQ,
  DK,
  DV,
  DBias,
  KeyMask,
  Mask,
  Bias,
  RandomSlot,
  Batch,
  Queries,
  Keys,
  QBatch,
  OutBatch,
  KBatch,
  VBatch,
  KeyMaskBatch,
  BiasBatch,
  BiasHead,
  BiasQuery,
  MaskHead,
  SlotCount
};

/// One set of kernels.
struct Config {
  const char *name;
  int64_t heads, kvHeads, headDim, valueDim;
  bool causal = false;
  int64_t window = 0; ///< 0: none
  double softcap = 0; ///< 0: none
  bool keyMask = false, mask = false;
  const char *bias = ""; ///< its axes, of "bhqk"; "1": an axis of size 1 everywhere
  double dropout = 0;
  ElementType type = ElementType::F32; ///< of q, k, v, out and dout
};

const Config configs[] = {
    {"plain", 2, 2, 32, 32},
    {"odd", 3, 3, 20, 8},
    {"wide", 1, 1, 128, 80},
    {"one", 1, 1, 1, 3},
    {"biasofsequences", 2, 2, 16, 16, false, 0, 0, false, false, "bk"},
    {"causal", 2, 1, 64, 64, true},
    {"window", 2, 2, 16, 24, true, 37},
    {"cap", 1, 1, 24, 16, true, 0, 5.0},
    {"masks", 2, 2, 32, 32, false, 0, 0, true, true},
    {"bias", 2, 2, 32, 32, false, 0, 0, false, false, "bhqk"},
    {"biasofheads", 4, 2, 16, 16, true, 0, 0, false, false, "hqk"},
    {"biasofkeys", 2, 2, 16, 16, false, 0, 3.0, false, false, "k"},
    {"biasofqueries", 2, 1, 16, 16, false, 0, 0, false, false, "q"},
    {"biasofall", 2, 2, 16, 16, false, 0, 0, false, false, "1"},
    {"dropout", 2, 2, 32, 32, false, 0, 0, false, false, "", 0.3},
    {"all", 4, 2, 40, 24, true, 50, 3.0, true, true, "hqk", 0.1},
    {"bf16", 2, 1, 40, 24, true, 0, 0, false, false, "", 0, ElementType::BF16},
    {"f16", 2, 2, 64, 64, false, 0, 0, true, false, "hqk", 0.1, ElementType::F16},
};

constexpr size_t fillConfig = 4;
constexpr double scale = 0.37;
constexpr int64_t site = 77;
const reference::RandomFields seeds = {0x1234567890abcdefull, 11, 5};

bool has(const Config &c, char axis) { return std::strchr(c.bias, axis) != nullptr; }

AttentionGradSpec makeSpec(const Config &c) {
  AttentionGradSpec spec;
  AttentionSpec &a = spec.attention;
  auto constant = [](int64_t v) { return Size::constant(v); };
  a.batch = Size::dynamic(Batch), a.queries = Size::dynamic(Queries), a.keys = Size::dynamic(Keys);
  a.heads = constant(c.heads), a.kvHeads = constant(c.kvHeads);
  a.headDim = c.headDim, a.valueDim = c.valueDim;
  auto operand = [&](Slot pointer, Slot batch, int64_t heads, int64_t dim) {
    bool gradient = pointer == DQ || pointer == DK || pointer == DV;
    return HeadOperand{pointer, gradient ? ElementType::F32 : c.type, Size::dynamic(batch), constant(heads * dim), constant(dim)};
  };
  a.q = operand(Q, QBatch, c.heads, c.headDim), spec.dq = operand(DQ, QBatch, c.heads, c.headDim);
  a.k = operand(K, KBatch, c.kvHeads, c.headDim), spec.dk = operand(DK, KBatch, c.kvHeads, c.headDim);
  a.v = operand(V, VBatch, c.kvHeads, c.valueDim), spec.dv = operand(DV, VBatch, c.kvHeads, c.valueDim);
  a.out = operand(Out, OutBatch, c.heads, c.valueDim), spec.dout = operand(DOut, OutBatch, c.heads, c.valueDim);
  a.scale = scale, a.causal = c.causal;
  if (c.window)
    a.window = c.window;
  if (c.softcap)
    a.softcap = c.softcap;
  if (c.keyMask)
    a.keyMask = {KeyMask, Size::dynamic(KeyMaskBatch), constant(0), constant(0), constant(1)};
  if (c.mask) // [heads, queries, keys], shared by the batch
    a.mask = {Mask, constant(0), Size::dynamic(MaskHead), Size::dynamic(Keys), constant(1)};
  if (*c.bias)
    a.bias = {Bias, has(c, 'b') ? Size::dynamic(BiasBatch) : constant(0), has(c, 'h') ? Size::dynamic(BiasHead) : constant(0),
              has(c, 'q') ? Size::dynamic(BiasQuery) : constant(0), constant(has(c, 'k'))};
  if (c.dropout)
    a.dropout = AttentionDropout{c.dropout, RandomSlot, Size::constant(site + 2 * DropoutMask::roundStep)};
  a.lse = Lse;
  return spec;
}

/// Data of one call, and where element (b, h, i, j) of its bias is.
struct Call {
  const Config &c;
  int64_t batch, tq, tk;
  std::vector<float> q, k, v, dout, bias;
  std::vector<uint8_t> keyMask, mask;
  int64_t biasQuery, biasHead, biasBatch;

  Call(const Config &c, int64_t batch, int64_t tq, int64_t tk) : c(c), batch(batch), tq(tq), tk(tk) {
    q = uniform(batch * tq * c.heads * c.headDim, 2), k = uniform(batch * tk * c.kvHeads * c.headDim, 2);
    v = uniform(batch * tk * c.kvHeads * c.valueDim), dout = uniform(batch * tq * c.heads * c.valueDim);
    if (c.type != ElementType::F32)
      for (std::vector<float> *values : {&q, &k, &v, &dout})
        for (float &x : *values)
          x = decode(encode(x, c.type), c.type);
    biasQuery = has(c, 'k') ? tk : 1;
    biasHead = biasQuery * (has(c, 'q') ? tq : 1);
    biasBatch = biasHead * (has(c, 'h') ? c.heads : 1);
    bias = uniform(biasBatch * (has(c, 'b') ? batch : 1), 3);
    auto random = [](int of) { return weft::test::random()() % of; };
    for (int64_t i = 0; i < batch * tk; ++i)
      keyMask.push_back(i / tk == 1 ? 0 : random(4) != 0); // sequence 1 sees nothing
    for (int64_t i = 0; i < c.heads * tq * tk; ++i)
      mask.push_back(i / tk % 5 == 3 || random(3) == 0 ? 0 : 2); // every fifth row sees nothing
    if (c.bias == std::string("bhqk") && tk > 1 && tq > 1) // a row of -inf
      std::fill_n(bias.begin() + tk, tk, -INFINITY);
  }
  int64_t biasAt(int64_t b, int64_t h, int64_t i, int64_t j) const {
    return has(c, 'b') * b * biasBatch + has(c, 'h') * h * biasHead + has(c, 'q') * i * biasQuery + has(c, 'k') * j;
  }
  int64_t qAt(int64_t b, int64_t i, int64_t h) const { return ((b * tq + i) * c.heads + h) * c.headDim; }
  int64_t kAt(int64_t b, int64_t j, int64_t h) const { return ((b * tk + j) * c.kvHeads + h / (c.heads / c.kvHeads)) * c.headDim; }
  int64_t outAt(int64_t b, int64_t i, int64_t h) const { return ((b * tq + i) * c.heads + h) * c.valueDim; }
  int64_t vAt(int64_t b, int64_t j, int64_t h) const { return ((b * tk + j) * c.kvHeads + h / (c.heads / c.kvHeads)) * c.valueDim; }
  bool visible(int64_t b, int64_t h, int64_t i, int64_t j) const {
    return (!c.causal || (j <= i && (!c.window || j > i - c.window))) && (!c.keyMask || keyMask[b * tk + j]) &&
           (!c.mask || mask[(h * tq + i) * tk + j]);
  }
};

struct Results {
  std::vector<double> out, dq, dk, dv, dbias;
};

Results reference(const Call &d) {
  const Config &c = d.c;
  Results r;
  r.out.assign(d.dout.size() - 1, 0), r.dq.assign(d.q.size() - 1, 0), r.dk.assign(d.k.size() - 1, 0);
  r.dv.assign(d.v.size() - 1, 0), r.dbias.assign(d.bias.size() - 1, 0);
  std::vector<double> p(d.tk), capped(d.tk), keep(d.tk), dp(d.tk);
  for (int64_t b = 0; b < d.batch; ++b)
    for (int64_t h = 0; h < c.heads; ++h)
      for (int64_t i = 0; i < d.tq; ++i) {
        const float *q = &d.q[d.qAt(b, i, h)], *dout = &d.dout[d.outAt(b, i, h)];
        double maximum = -INFINITY, sum = 0, delta = 0;
        for (int64_t j = 0; j < d.tk; ++j) {
          double x = 0;
          for (int64_t e = 0; e < c.headDim; ++e)
            x += double(q[e]) * d.k[d.kAt(b, j, h) + e];
          x *= scale;
          capped[j] = c.softcap ? std::tanh(x / c.softcap) : 0;
          if (c.softcap)
            x = c.softcap * capped[j];
          if (*c.bias)
            x += d.bias[d.biasAt(b, h, i, j)];
          p[j] = d.visible(b, h, i, j) ? x : -INFINITY;
          maximum = std::max(maximum, p[j]);
          uint64_t element = (((b + seeds.firstSample) * c.heads + h) * d.tq + i) * d.tk + j;
          keep[j] = !c.dropout ? 1 : reference::kept(seeds, site, 2, c.dropout, element) ? 1 / (1 - c.dropout) : 0;
        }
        if (maximum == -INFINITY)
          continue;
        for (double &x : p)
          sum += x = std::exp(x - maximum);
        for (int64_t j = 0; j < d.tk; ++j) {
          p[j] /= sum, dp[j] = 0;
          for (int64_t e = 0; e < c.valueDim; ++e) {
            double v = d.v[d.vAt(b, j, h) + e];
            r.out[d.outAt(b, i, h) + e] += p[j] * keep[j] * v;
            r.dv[d.vAt(b, j, h) + e] += p[j] * keep[j] * dout[e];
            dp[j] += dout[e] * v * keep[j];
          }
          delta += p[j] * dp[j];
        }
        for (int64_t j = 0; j < d.tk; ++j) {
          double ds = p[j] * (dp[j] - delta);
          if (*c.bias)
            r.dbias[d.biasAt(b, h, i, j)] += ds;
          ds *= (1 - capped[j] * capped[j]) * scale;
          for (int64_t e = 0; e < c.headDim; ++e) {
            r.dq[d.qAt(b, i, h) + e] += ds * d.k[d.kAt(b, j, h) + e];
            r.dk[d.kAt(b, j, h) + e] += ds * q[e];
          }
        }
      }
  return r;
}

struct Outputs {
  std::vector<float> out, dq, dk, dv, dbias;
  auto all() { return std::array{&out, &dq, &dk, &dv, &dbias}; }
};

Outputs run(const KernelJit &jit, const Call &d, int64_t parts) {
  const Config &c = d.c;
  std::vector<float> lse = filled(d.batch * c.heads * d.tq, guard);
  auto like = [](const std::vector<float> &x) { return filled(x.size() - 1, NAN); };
  Outputs o{like(d.dout), like(d.q), like(d.k), like(d.v), like(d.bias)};
  Args args(SlotCount);
  args.set(Q, d.q.data()), args.set(K, d.k.data()), args.set(V, d.v.data()), args.set(Out, o.out.data());
  args.set(Lse, lse.data()), args.set(DOut, d.dout.data()), args.set(DQ, o.dq.data()), args.set(DK, o.dk.data());
  args.set(DV, o.dv.data()), args.set(DBias, o.dbias.data()), args.set(KeyMask, d.keyMask.data());
  args.set(Mask, d.mask.data()), args.set(Bias, d.bias.data()), args.set(RandomSlot, &seeds);
  args.set(Batch, d.batch), args.set(Queries, d.tq), args.set(Keys, d.tk);
  args.set(QBatch, d.tq * c.heads * c.headDim), args.set(OutBatch, d.tq * c.heads * c.valueDim);
  args.set(KBatch, d.tk * c.kvHeads * c.headDim), args.set(VBatch, d.tk * c.kvHeads * c.valueDim);
  args.set(KeyMaskBatch, d.tk), args.set(MaskHead, d.tq * d.tk);
  args.set(BiasBatch, d.biasBatch), args.set(BiasHead, d.biasHead), args.set(BiasQuery, d.biasQuery);
  bool halves = c.type != ElementType::F32;
  std::vector<uint16_t> q16, k16, v16, dout16, out16;
  if (halves) {
    q16 = encode(d.q, c.type), k16 = encode(d.k, c.type), v16 = encode(d.v, c.type), dout16 = encode(d.dout, c.type);
    out16.assign(o.out.size(), 0x7777);
    args.set(Q, q16.data()), args.set(K, k16.data()), args.set(V, v16.data()), args.set(DOut, dout16.data());
    args.set(Out, out16.data());
  }
  std::string name = c.name;
  jit.get(name).run(args.data(), parts);
  jit.get(name + "_grad").run(args.data(), parts);
  if (*c.bias)
    jit.get(name + "_bias").run(args.data(), parts);
  else
    o.dbias = filled(d.bias.size() - 1, 0);
  if (halves) {
    check(out16.back() == 0x7777, name + ": wrote past the end");
    for (size_t i = 0; i + 1 < out16.size(); ++i)
      o.out[i] = decode(out16[i], c.type);
  }
  return o;
}

void testCall(const KernelJit &jit, const Call &call) {
  const Config &c = call.c;
  int64_t batch = call.batch, tq = call.tq, tk = call.tk;
  std::string what = std::string(c.name) + " lanes " + std::to_string(jit.target().lanes) + " B" +
                     std::to_string(batch) + " " + std::to_string(tq) + "x" + std::to_string(tk);
  Outputs got = run(jit, call, 1);
  Results want = reference(call);
  // Where a softmax has one key, gradients of scores cancel to 0: the scale is the largest gradient of all.
  double largest = 1e-3;
  for (const std::vector<double> *gradients : {&want.dq, &want.dk, &want.dv, &want.dbias})
    for (double x : *gradients)
      largest = std::max(largest, std::fabs(x));
  // Of half precision, out is rounded, and the sums that gradients take from it with it.
  double bound = c.type == ElementType::BF16 ? 8e-3 : c.type == ElementType::F16 ? 1e-3 : 1e-5;
  auto compare = [&](const std::vector<float> &x, const std::vector<double> &y, double scale, const char *name) {
    for (size_t i = 0; i < y.size(); ++i)
      checkClose(x[i], y[i], bound * scale, what + " " + name + " " + std::to_string(i));
    checkGuard(x, what + " " + name);
  };
  compare(got.out, want.out, 1, "out");
  compare(got.dq, want.dq, largest, "dq");
  compare(got.dk, want.dk, largest, "dk");
  compare(got.dv, want.dv, largest, "dv");
  compare(got.dbias, want.dbias, largest, "dbias");
  for (int64_t parts : {2, 4}) {
    Outputs again = run(jit, call, parts);
    for (auto [x, y] : llvm::zip(got.all(), again.all()))
      check(std::memcmp(x->data(), y->data(), x->size() * 4) == 0, what + ": other bits in " + std::to_string(parts) + " parts");
  }
}

/// Compiling takes most of the time; narrower targets differ from the widest in numbers only.
bool wanted(const TargetInfo &target, const Config &c) {
  return target.lanes == runnableTargets().front().lanes || llvm::is_contained({"odd", "biasofsequences", "all"}, llvm::StringRef(c.name));
}

void testAttentionGrad(const TargetInfo &target) {
  KernelJit jit(target);
  for (const Config &c : configs) {
    if (!wanted(target, c))
      continue;
    AttentionGradSpec spec = makeSpec(c);
    std::string name = c.name;
    jit.add(emitAttention(jit.module(), name, spec.attention, target), SlotCount);
    jit.add(emitAttentionGrad(jit.module(), name + "_grad", spec, target), SlotCount);
    if (!*c.bias)
      continue;
    AttentionBiasGradSpec bias{spec, spec.attention.bias};
    bias.dbias.pointer = DBias;
    jit.add(emitAttentionBiasGrad(jit.module(), name + "_bias", bias, target), SlotCount);
  }
  compileOrDie(jit);
  struct {
    int64_t batch, tq, tk;
  } shapes[] = {{3, 1, 1}, {2, 3, 70}, {3, 4, 5}, {3, 17, 33}, {2, 40, 64}, {3, 65, 131}, {2, 70, 67}, {1, 1, 300}, {1, 130, 301}, {2, 0, 5}, {2, 5, 0}};
  for (const Config &c : configs)
    for (auto [batch, tq, tk] : shapes)
      if (wanted(target, c))
        testCall(jit, Call(c, batch, tq, tk));
  // A finite fill in place of a mask leaves a row with nothing else uniform.
  for (float fill : {-1e9f, -3.4028235e38f})
    for (int64_t tq : {3, 70}) {
      Call call(configs[fillConfig], 2, tq, 130);
      std::fill_n(call.q.begin(), call.q.size() - 1, 0.0f);
      std::fill_n(call.bias.begin(), 130, fill); // of the first sequence
      testCall(jit, call);
    }
}

} // namespace

int main() {
  for (const TargetInfo &target : runnableTargets())
    testAttentionGrad(target);
  return report();
}
