// Dropout's masks against Philox4x32-10, which is held to the known answers of its authors: element numbers in rows from
// any place, in steps, one by one, below and above 2³⁴.
#include "KernelTest.h"
#include "Philox.h"

#include "tiling/Philox.h"

#include <functional>

using namespace weft;
using namespace weft::test;

namespace {

void knownAnswers() {
  using Words = std::array<uint32_t, 4>;
  const uint32_t all = 0xffffffff;
  check(reference::philox({0, 0, 0, 0}, 0, 0) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}, "philox of zeros");
  check(reference::philox({all, all, all, all}, all, all) == Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}, "philox of ones");
  check(reference::philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0xa4093822, 0x299f31d0) ==
            Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1},
        "philox of pi");
}

constexpr int64_t kSite = 3000000019, kRound = 5;

/// out[i] (one byte) = the mask of element first + step · i, in groups of `count`. Slots: random, out, first, groups.
using EmitKeep = std::function<mlir::Value(KernelBuilder &, DropoutMask &, mlir::Value first)>;
void emit(KernelJit &jit, const std::string &name, double p, int64_t count, int64_t step, const EmitKeep &keep) {
  KernelBuilder k(jit.module(), name, jit.target(), jit.module().getLoc());
  DropoutMask mask(k, k.ptrSlot(0), p, k.i64(kSite + DropoutMask::roundStep * kRound));
  mlir::Type byte = k.b.getI8Type(), stored = count == 1 ? byte : mlir::Type(mlir::VectorType::get({count}, byte));
  k.loop(k.begin, k.end, k.i64(1), [&](mlir::Value task) {
    mlir::Value at = k.mul(task, k.i64(count));
    mlir::Value on = keep(k, mask, k.add(k.i64Slot(2), k.mul(at, k.i64(step))));
    k.store(mlir::arith::ExtUIOp::create(k.b, k.loc, stored, on), k.at(k.ptrSlot(1), at, byte));
  });
  EmittedKernel kernel;
  kernel.func = k.finish();
  kernel.tasks = [](mlir::OpBuilder &, mlir::Location, mlir::ValueRange slots) { return slots[3]; };
  jit.add(kernel, 4);
}

struct Way {
  std::string name;
  int64_t count, step;
  bool aligned;
  EmitKeep keep;
};

std::vector<Way> ways(int64_t lanes) {
  std::vector<Way> list;
  for (int64_t count : {lanes, 4 * lanes, 2 * lanes, int64_t(4)})
    for (bool aligned : {false, true})
      list.push_back({"row of " + std::to_string(count) + (aligned ? " aligned" : ""), count, 1, aligned,
                      [=](KernelBuilder &, DropoutMask &mask, mlir::Value first) { return mask.consecutive(first, count, aligned); }});
  list.push_back({"one", 1, 1, false, [](KernelBuilder &, DropoutMask &mask, mlir::Value first) { return mask.each(first); }});
  list.push_back({"every seventh", lanes, 7, false, [=](KernelBuilder &k, DropoutMask &mask, mlir::Value first) {
                    llvm::SmallVector<int64_t> steps;
                    for (int64_t i = 0; i < lanes; ++i)
                      steps.push_back(7 * i);
                    auto type = k.vec(k.i64Type());
                    auto numbers = mlir::arith::ConstantOp::create(k.b, k.loc, mlir::DenseElementsAttr::get(type, llvm::ArrayRef<int64_t>(steps)));
                    return mask.each(mlir::arith::AddIOp::create(k.b, k.loc, k.splat(first), numbers));
                  }});
  return list;
}

void masks(const TargetInfo &target, double p) {
  KernelJit jit(target);
  std::vector<Way> list = ways(target.lanes);
  for (const Way &way : list)
    emit(jit, way.name, p, way.count, way.step, way.keep);
  compileOrDie(jit);
  const reference::RandomFields random{0xa4093822299f31d0, 0x500000007, 0};
  for (const Way &way : list)
    for (int64_t first : {int64_t(0), int64_t(4), int64_t(1), int64_t(62), int64_t(4095), (int64_t(1) << 34) - 8, (int64_t(1) << 34) - 5, int64_t(1) << 40}) {
      if (way.aligned && first % 4)
        continue;
      const int64_t groups = 9, total = groups * way.count;
      std::vector<uint8_t> out(total + 1, 0x5a);
      Args args(4);
      args.set(0, &random), args.set(1, out.data()), args.set(2, first), args.set(3, groups);
      jit.get(way.name).run(args.data());
      int64_t wrong = 0;
      for (int64_t i = 0; i < total; ++i)
        wrong += out[i] != reference::kept(random, kSite, kRound, p, uint64_t(first + way.step * i));
      check(wrong == 0, "lanes " + std::to_string(target.lanes) + " p " + std::to_string(p) + " " + way.name + " from " +
                            std::to_string(first) + ": " + std::to_string(wrong) + " of " + std::to_string(total) + " wrong");
      check(out[total] == 0x5a, way.name + ": wrote past the end");
    }
}

} // namespace

int main() {
  knownAnswers();
  for (const TargetInfo &target : runnableTargets())
    for (double p : {0.1, 0.5, 0.9375, 1 - 1e-12})
      masks(target, p);
  return report();
}
