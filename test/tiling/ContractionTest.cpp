// Contractions and packing against loops in double precision: sizes around tile borders, strides, batches, epilogues.
#include "KernelTest.h"

#include "tiling/ContractionKernel.h"
#include "tiling/TileSizes.h"

using namespace weft;
using namespace weft::test;

namespace {

struct Shape {
  int64_t batch, m, n, k;
};

/// Slots of every launch below.
enum Slot { Lhs, Rhs, Out, Bias, M, N, K, Lda, Batch, Packed, Ldc, SlotCount };
constexpr int RowSlot = 13, ColumnSlot = 14, RhsBatchSlot = 15, Slots = 16;

/// The last three take a right side that is not packed: columns contiguous, rows contiguous, neither.
enum class Variant { Plain, BiasInline, HeavyScratch, TransposedLhs, PacksColumns, PacksRows, PacksNeither };

bool packsItself(Variant v) { return v >= Variant::PacksColumns; }
bool addsBias(Variant v) { return v == Variant::BiasInline || v == Variant::HeavyScratch || packsItself(v); }

/// Panels as a view of a parameter has them.
std::vector<float> pack(const std::vector<float> &rhs, int64_t k, int64_t n, int64_t panel) {
  int64_t panels = (n + panel - 1) / panel;
  std::vector<float> packed(panels * k * panel + 1, 0.0f);
  for (int64_t j = 0; j < n; ++j)
    for (int64_t kk = 0; kk < k; ++kk)
      packed[((j / panel) * k + kk) * panel + j % panel] = rhs[kk * n + j];
  return packed;
}

ContractionSpec makeSpec(const Shape &shape, Variant variant, bool constants) {
  auto size = [&](int64_t value, int slot) { return constants ? Size::constant(value) : Size::dynamic(slot); };
  ContractionSpec spec;
  spec.m = Size::dynamic(M);
  if (constants && variant == Variant::Plain)
    spec.m = Size::constant(shape.m);
  spec.n = size(shape.n, N), spec.k = size(shape.k, K);
  spec.batch = {Size::dynamic(Batch)};
  spec.lhs.pointer = Lhs;
  if (variant == Variant::TransposedLhs) {
    spec.lhs.row = Size::constant(1), spec.lhs.column = size(shape.m, M);
  } else {
    spec.lhs.row = size(shape.k, Lda);
  }
  Size lhsBatch = Size::dynamic(10 + 1);
  spec.lhs.batch = {lhsBatch};
  spec.rhs = Rhs;
  if (packsItself(variant)) {
    MatrixOperand source;
    source.pointer = Rhs, source.batch = {Size::dynamic(RhsBatchSlot)};
    source.row = variant == Variant::PacksRows ? Size::constant(1) : Size::dynamic(RowSlot);
    source.column = variant == Variant::PacksColumns ? Size::constant(1) : Size::dynamic(ColumnSlot);
    spec.rhsSource = source;
  }
  MatrixOperand out;
  out.pointer = Out, out.row = size(shape.n, Ldc);
  out.batch = {Size::dynamic(10 + 2)};
  MatrixOperand bias;
  bias.pointer = Bias, bias.row = Size::constant(0);
  spec.results = {out};
  if (!addsBias(variant)) {
    spec.epilogue = storeEpilogue(out);
  } else {
    spec.epilogue.heavy = variant == Variant::HeavyScratch;
    spec.epilogue.emit = [out, bias](KernelBuilder &k, const EpiloguePoint &point) {
      storeOperand(k, point, mlir::arith::AddFOp::create(k.b, k.loc, point.sum, loadOperand(k, point, bias)), out);
    };
  }
  return spec;
}

void testShape(const TargetInfo &target, const Shape &shape, Variant variant, const JitKernel &kernel) {
  auto [batch, m, n, k] = shape;
  int64_t panel = tileSizes(target).panel;
  // Only a right side that is packed here differs from batch to batch.
  const int64_t matrices = packsItself(variant) ? batch : 1;
  const int64_t row = variant == Variant::PacksRows ? 1 : variant == Variant::PacksColumns ? n + 3 : 2;
  const int64_t column = variant == Variant::PacksColumns ? 1 : variant == Variant::PacksRows ? k + 5 : 2 * k + 1;
  const int64_t rhsBatch = k * row + n * column;
  std::vector<float> lhs = uniform(batch * m * k), rhs = uniform(matrices * k * n), bias = uniform(n);
  std::vector<float> packed = pack(rhs, k, n, panel), out = filled(batch * m * n, guard);
  std::vector<float> source = filled(matrices * rhsBatch + 1, NAN);
  for (int64_t b = 0; b < matrices; ++b)
    for (int64_t kk = 0; kk < k; ++kk)
      for (int64_t j = 0; j < n; ++j)
        source[b * rhsBatch + kk * row + j * column] = rhs[(b * k + kk) * n + j];
  Args args(Slots);
  args.set(RowSlot, row), args.set(ColumnSlot, column), args.set(RhsBatchSlot, rhsBatch);
  args.set(Lhs, lhs.data()), args.set(Rhs, packsItself(variant) ? source.data() : packed.data()), args.set(Out, out.data()), args.set(Bias, bias.data());
  args.set(M, m), args.set(N, n), args.set(K, k), args.set(Lda, k), args.set(Ldc, n), args.set(Batch, batch);
  args.set(11, m * k), args.set(12, m * n);
  kernel.run(args.data(), 3);
  std::string what = "lanes " + std::to_string(target.lanes) + " variant " + std::to_string(int(variant)) + " shape " +
                     std::to_string(batch) + "x" + std::to_string(m) + "x" + std::to_string(n) + "x" +
                     std::to_string(k);
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j) {
        double want = addsBias(variant) ? bias[j] : 0;
        for (int64_t kk = 0; kk < k; ++kk)
          want += double(variant == Variant::TransposedLhs ? lhs[b * m * k + kk * m + i] : lhs[(b * m + i) * k + kk]) *
                  rhs[((packsItself(variant) ? b : 0) * k + kk) * n + j];
        checkClose(out[(b * m + i) * n + j], want, 2e-6 * (k + 1), what);
      }
  checkGuard(out, what);
}

void testContractions(const TargetInfo &target) {
  // Constant n and k, as for weights: each pair is one kernel, run for many m.
  std::vector<std::pair<int64_t, int64_t>> columnsAndDepths = {{64, 64}, {1, 5},  {130, 24}, {17, 1},
                                                               {96, 77}, {70, 0}, {40, 4100}};
  std::vector<int64_t> rows = {0, 1, 2, 5, 6, 7, 13, 200};
  KernelJit jit(target);
  auto name = [](int64_t n, int64_t k, Variant v, int64_t m = -1) {
    return "mm_" + std::to_string(n) + "_" + std::to_string(k) + "_" + std::to_string(int(v)) + "_" + std::to_string(m);
  };
  auto add = [&](const std::string &name, const Shape &shape, Variant variant, bool constants) {
    jit.add(emitContraction(jit.module(), name, makeSpec(shape, variant, constants), target), Slots);
  };
  constexpr Variant ofWeights[] = {Variant::BiasInline, Variant::HeavyScratch, Variant::PacksColumns, Variant::PacksRows};
  for (auto [n, k] : columnsAndDepths)
    for (Variant v : ofWeights)
      add(name(n, k, v), {2, 0, n, k}, v, true);
  std::vector<Shape> fixed = {{2, 9, 33, 16}, {1, 6, 64, 8}, {1, 0, 8, 8}, {3, 3, 65, 3}};
  for (const Shape &s : fixed)
    add(name(s.n, s.k, Variant::Plain, s.m), s, Variant::Plain, true);
  constexpr Variant ofAnySize[] = {Variant::BiasInline,   Variant::HeavyScratch, Variant::TransposedLhs,
                                   Variant::PacksColumns, Variant::PacksRows,    Variant::PacksNeither};
  for (Variant v : ofAnySize)
    add(name(0, 0, v), {0, 0, 0, 0}, v, false);
  compileOrDie(jit);

  for (auto [n, k] : columnsAndDepths)
    for (Variant v : ofWeights)
      for (int64_t m : rows)
        testShape(target, {k > 1000 ? 1 : 2, k > 1000 ? std::min<int64_t>(m, 7) : m, n, k}, v, jit.get(name(n, k, v)));
  for (const Shape &s : fixed)
    testShape(target, s, Variant::Plain, jit.get(name(s.n, s.k, Variant::Plain, s.m)));
  for (Variant v : ofAnySize)
    for (Shape s : {Shape{1, 1, 1, 1},
                    {2, 7, 100, 33},
                    {0, 3, 3, 3},
                    {1, 3, 0, 3},
                    {1, 3, 3, 0},
                    {1, 8, 64, 2100},
                    {1, 14, 130, 1100},
                    {3, 200, 65, 9}})
      testShape(target, s, v, jit.get(name(0, 0, v)));
}

// A row's result does not depend on the rows beside it.
void testRowInvariance(const TargetInfo &target) {
  int64_t n = 80, k = 100, m = 29;
  KernelJit jit(target);
  jit.add(emitContraction(jit.module(), "mm", makeSpec({1, 0, n, k}, Variant::BiasInline, true), target), Slots);
  compileOrDie(jit);
  std::vector<float> lhs = uniform(m * k), bias = uniform(n),
                     packed = pack(uniform(k * n), k, n, tileSizes(target).panel);
  std::vector<float> together = filled(m * n, 0), alone = filled(m * n, 0);
  Args args(Slots);
  args.set(Rhs, packed.data()), args.set(Bias, bias.data());
  args.set(N, n), args.set(K, k), args.set(Lda, k), args.set(Ldc, n), args.set(Batch, int64_t(1));
  args.set(Lhs, lhs.data()), args.set(Out, together.data()), args.set(M, m);
  jit.get("mm").run(args.data(), 5);
  args.set(M, int64_t(1));
  for (int64_t i = 0; i < m; ++i) {
    args.set(Lhs, lhs.data() + i * k), args.set(Out, alone.data() + i * n);
    jit.get("mm").run(args.data());
  }
  check(!std::memcmp(together.data(), alone.data(), m * n * 4), "rows are independent of each other");
}

// Rows of lhs in every way that they are widened: along memory, across neighbouring rows, one by one; in several parts.
void testHalfTypes(const TargetInfo &target) {
  enum Form { Along, Across, Apart, Source }; // Source: along, and the product packs an f32 right side itself
  int64_t m = 15, n = 70, panel = tileSizes(target).panel;
  const int64_t depths[] = {0, 19, 512, 1101};
  KernelJit jit(target);
  auto name = [](ElementType type, int form, int64_t k) {
    return "half_" + std::to_string(int(type)) + "_" + std::to_string(form) + "_" + std::to_string(k);
  };
  for (ElementType type : {ElementType::BF16, ElementType::F16})
    for (int form : {Along, Across, Apart, Source})
      for (int64_t k : {int64_t(-1), depths[1], depths[3]}) { // -1: known when it runs
        ContractionSpec spec = makeSpec({1, m, n, k}, form == Across ? Variant::TransposedLhs : Variant::Plain, k >= 0);
        spec.m = Size::dynamic(M);
        spec.lhs.type = spec.rhsType = type;
        if (form == Apart)
          spec.lhs.row = Size::dynamic(Lda), spec.lhs.column = Size::constant(3);
        MatrixOperand out;
        out.pointer = Out, out.row = Size::constant(n), out.type = type;
        spec.n = Size::constant(n);
        if (form == Source) {
          spec.rhs = -1, spec.rhsBatch.clear();
          spec.rhsSource = MatrixOperand{Rhs, ElementType::F32, Size::constant(n), Size::constant(1), {}};
        }
        spec.epilogue = storeEpilogue(out);
        jit.add(emitContraction(jit.module(), name(type, form, k), spec, target), Slots);
      }
  compileOrDie(jit);
  auto run = [&](ElementType type, int form, int64_t k, bool known) {
    bool bf16 = type == ElementType::BF16;
    int64_t row = form == Across ? 1 : form == Apart ? 3 * k + 2 : k, column = form == Across ? m : form == Apart ? 3 : 1;
    std::string what = name(type, form, known ? k : -1);
    std::vector<uint16_t> lhs = encode(uniform(m * row + k * column), type);
    std::vector<float> rhs = uniform(k * n);
    std::vector<uint16_t> packed = encode(pack(rhs, k, n, panel), type), out(m * n + 1, 0x7777);
    Args args(Slots);
    args.set(Lhs, lhs.data()), args.set(Out, out.data()), args.set(Batch, int64_t(1));
    args.set(Rhs, form == Source ? static_cast<const void *>(rhs.data()) : packed.data());
    args.set(M, m), args.set(N, n), args.set(K, k), args.set(Lda, row), args.set(Ldc, n);
    jit.get(what).run(args.data(), 2);
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j) {
        double want = 0, size = 0;
        for (int64_t kk = 0; kk < k; ++kk) {
          double term = double(decode(lhs[i * row + kk * column], type)) * decode(packed[((j / panel) * k + kk) * panel + j % panel], type);
          want += term, size += std::fabs(term);
        }
        checkClose(decode(out[i * n + j], type), want, (bf16 ? 4e-3 : 5e-4) * std::fabs(want) + 1e-6 * size + 1e-6, what);
      }
    check(out.back() == 0x7777, what + ": wrote past the end");
  };
  for (ElementType type : {ElementType::BF16, ElementType::F16})
    for (int form : {Along, Across, Apart, Source})
      for (int64_t k : depths) {
        run(type, form, k, false);
        if (k == depths[1] || k == depths[3])
          run(type, form, k, true);
      }
}

void testPack(const TargetInfo &target) {
  int64_t panel = tileSizes(target).panel;
  KernelJit jit(target);
  enum { Row = 4, Column = 5, BatchStride = 6 };
  for (int form = 0; form < 3; ++form) {
    PackSpec spec;
    spec.k = Size::dynamic(0), spec.n = Size::dynamic(1), spec.batch = {Size::dynamic(2)};
    spec.source.pointer = 3;
    spec.source.row = form == 1 ? Size::constant(1) : Size::dynamic(Row);
    spec.source.column = form == 0 ? Size::constant(1) : Size::dynamic(Column);
    spec.source.batch = {Size::dynamic(BatchStride)};
    spec.panels = 7;
    jit.add(emitPack(jit.module(), "pack" + std::to_string(form), spec, target), Slots);
  }
  compileOrDie(jit);
  for (int form = 0; form < 3; ++form)
    for (auto [k, n] : {std::pair<int64_t, int64_t>{1, 1}, {0, 5}, {5, 0}, {16, 64}, {37, 65}, {33, 130}, {3, 17}}) {
      int64_t batch = 2,
              row = form == 0   ? n + 3
                    : form == 1 ? 1
                                : 2,
              column = form == 0   ? 1
                       : form == 1 ? k + 2
                                   : 2 * k + 1;
      int64_t batchStride = form == 0 ? k * row : n * column;
      std::vector<float> source = uniform(batch * batchStride + 2);
      int64_t elements = packedElements(k, n, target);
      std::vector<float> out = filled(batch * elements, 77.0f);
      Args args(Slots);
      args.set(0, k), args.set(1, n), args.set(2, batch), args.set(3, source.data()), args.set(Row, row);
      args.set(Column, column), args.set(BatchStride, batchStride), args.set(7, out.data());
      jit.get("pack" + std::to_string(form)).run(args.data(), 2);
      for (int64_t b = 0; b < batch; ++b)
        for (int64_t e = 0; e < elements; ++e) {
          int64_t j = e / (k * panel) * panel + e % panel, kk = e / panel % k;
          float want = j < n ? source[b * batchStride + kk * row + j * column] : 0.0f;
          check(out[b * elements + e] == want, "pack form " + std::to_string(form));
        }
      checkGuard(out, "pack");
    }
}

} // namespace

int main() {
  for (const TargetInfo &target : runnableTargets()) {
    testContractions(target);
    testRowInvariance(target);
    testHalfTypes(target);
    testPack(target);
  }
  return report();
}
