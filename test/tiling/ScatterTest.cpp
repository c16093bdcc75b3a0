// Scatter kernels against plain loops in the same order: the sums must be equal to the last bit, for any partition of the
// tasks, with duplicates, padding, places out of range, single rows and columns, and strided operands.
#include "KernelTest.h"

#include "tiling/ScatterKernel.h"

using namespace weft;
using namespace weft::test;

namespace {

struct Case {
  std::string name;
  int64_t outer, rows, places, columns;
  bool oneIndexPerRow = true;
  ScatterSpec::Init init = ScatterSpec::Init::zero;
  std::optional<int64_t> padding = std::nullopt;
  int64_t spread = 1;     ///< the source's columns are followed by (spread - 1) · columns others; so are the indices
  bool dynamic = true;    ///< sizes come from slots
  int64_t distinct = 0;   ///< indices are drawn from so many rows
};

enum Slots { kResult, kSource, kIndex, kInitial, kOuter, kRows, kPlaces, kColumns, kCount };

ScatterSpec specOf(const Case &c, mlir::Type element, mlir::Type index) {
  auto size = [&](int64_t value, int slot) { return c.dynamic ? Size::dynamic(slot) : Size::constant(value); };
  ScatterSpec spec;
  spec.outer = size(c.outer, kOuter), spec.rows = size(c.rows, kRows);
  spec.places = size(c.places, kPlaces), spec.columns = size(c.columns, kColumns);
  spec.element = element, spec.indexElement = index;
  spec.result = kResult, spec.source = kSource, spec.index = kIndex, spec.initial = kInitial;
  int64_t each = c.columns * c.spread, indexEach = c.oneIndexPerRow ? c.spread : c.columns;
  spec.sourceOuter = Size::constant(c.places * each), spec.sourcePlace = Size::constant(each);
  spec.indexOuter = Size::constant(c.places * indexEach), spec.indexPlace = Size::constant(indexEach);
  spec.indexColumn = Size::constant(c.oneIndexPerRow ? 0 : 1);
  spec.init = c.init, spec.initialRow = Size::constant(c.columns), spec.padding = c.padding;
  return spec;
}

template <typename Float, typename Index>
void run(const TargetInfo &target, const Case &c, mlir::Type (*element)(mlir::OpBuilder &)) {
  KernelJit jit(target);
  mlir::OpBuilder b(jit.module().getContext());
  jit.add(emitScatter(jit.module(), "scatter", specOf(c, element(b), b.getIntegerType(8 * sizeof(Index))), target), kCount);
  compileOrDie(jit);
  JitKernel kernel = jit.get("scatter");

  const int64_t each = c.columns * c.spread, indexEach = c.oneIndexPerRow ? c.spread : c.columns, size = c.outer * c.rows * c.columns;
  std::uniform_int_distribution<int64_t> row(0, (c.distinct ? std::min(c.distinct, c.rows) : c.rows) - 1);
  std::vector<Index> index(c.outer * c.places * indexEach);
  for (Index &i : index)
    i = Index(test::random()() % 19 == 0 ? (test::random()() % 2 ? c.rows : -1) : row(test::random()));
  std::vector<float> drawn = uniform(c.outer * c.places * each), first = uniform(size);
  std::vector<Float> source(drawn.begin(), drawn.end()), initial(first.begin(), first.end());

  std::vector<Float> want(size, Float(0));
  if (c.init != ScatterSpec::Init::zero)
    std::copy_n(initial.begin(), size, want.begin());
  for (int64_t o = 0; o < c.outer; ++o)
    for (int64_t p = 0; p < c.places; ++p)
      for (int64_t q = 0; q < c.columns; ++q) {
        int64_t r = index[(o * c.places + p) * indexEach + (c.oneIndexPerRow ? 0 : q)];
        if (r >= 0 && r < c.rows && r != c.padding.value_or(-1))
          want[(o * c.rows + r) * c.columns + q] += source[(o * c.places + p) * each + q];
      }

  for (int64_t parts : {1, 2, 3, 4, 7}) {
    std::vector<Float> result(size + 1, Float(guard));
    if (c.init == ScatterSpec::Init::inPlace)
      std::copy_n(initial.begin(), size, result.begin());
    Args args(kCount);
    args.set(kResult, result.data()), args.set(kSource, source.data()), args.set(kIndex, index.data());
    args.set(kInitial, c.init == ScatterSpec::Init::inPlace ? result.data() : initial.data());
    args.set(kOuter, c.outer), args.set(kRows, c.rows), args.set(kPlaces, c.places), args.set(kColumns, c.columns);
    kernel.run(args.data(), parts);
    std::string what = c.name + ", lanes " + std::to_string(target.lanes) + ", " + std::to_string(parts) + " parts";
    check(std::equal(want.begin(), want.end(), result.begin()), what + ": sums differ");
    check(result[size] == Float(guard), what + ": wrote past the end");
  }
}

} // namespace

int main() {
  using Init = ScatterSpec::Init;
  const Case cases[] = {
      {"a table", 1, 50, 300, 64},
      {"a wide table", 1, 40, 200, 300},
      {"a table with constant sizes", 1, 40, 200, 128, true, Init::zero, std::nullopt, 1, false},
      {"columns that are no whole vectors", 1, 9, 40, 37},
      {"a last slice of one column", 1, 9, 40, 129},
      {"one column", 1, 9, 40, 1},
      {"one row", 1, 1, 40, 48},
      {"one place", 1, 7, 1, 48},
      {"everything of size one", 1, 1, 1, 1},
      {"a padding row", 1, 9, 60, 33, true, Init::zero, 4},
      {"more blocks than rows", 1, 3, 60, 64},
      {"all at one row", 1, 20, 100, 40, true, Init::zero, std::nullopt, 1, true, 1},
      {"added into a copy", 1, 20, 50, 130, true, Init::copied},
      {"added in place", 1, 20, 50, 130, true, Init::inPlace, 0},
      {"rows of a wider tensor", 1, 20, 50, 20, true, Init::zero, std::nullopt, 3},
      {"rows for each outer index", 5, 6, 11, 24},
      {"elements", 3, 6, 11, 24, false},
      {"elements with constant sizes", 3, 6, 11, 5, false, Init::zero, std::nullopt, 1, false},
      {"elements of the last axis", 200, 7, 3, 1, false},
  };
  for (const TargetInfo &target : runnableTargets())
    for (const Case &c : cases) {
      run<float, int32_t>(target, c, [](mlir::OpBuilder &b) -> mlir::Type { return b.getF32Type(); });
      run<double, int64_t>(target, c, [](mlir::OpBuilder &b) -> mlir::Type { return b.getF64Type(); });
    }
  return report();
}
