// weft.last_token → a kernel that copies one row of each sequence.
// The only kernel that knows how many of a call's tokens are real.
#include "entry/Launch.h"

using namespace mlir;

namespace weft {
namespace {

enum Slots { kSource, kTarget, kValid, kTokens, kRow, kBatch };

/// Task = sequence. Rows are copied as 32-bit or single-byte elements, whatever their type is.
EmittedKernel emitLastToken(ModuleOp module, StringRef name, int64_t elementBytes, const TargetInfo &target) {
  KernelBuilder k(module, name, target, module.getLoc());
  Value source = k.ptrSlot(kSource), result = k.ptrSlot(kTarget), valid = k.ptrSlot(kValid);
  Value tokens = k.i64Slot(kTokens), row = k.i64Slot(kRow);
  Value given = LLVM::ICmpOp::create(k.b, k.loc, LLVM::ICmpPredicate::ne, valid, LLVM::ZeroOp::create(k.b, k.loc, k.ptrType()));
  Type element = elementBytes % 4 == 0 ? Type(k.b.getI32Type()) : Type(k.b.getI8Type());
  Value count = elementBytes % 4 == 0 ? k.mul(row, k.i64(elementBytes / 4)) : k.mul(row, k.i64(elementBytes));
  VectorType vector = k.vec(element);
  k.loop(k.begin, k.end, k.i64(1), [&](Value b) {
    ValueRange last = k.ifElse({k.i64Type()}, given, [&]() -> SmallVector<Value> {
      Value n = k.load(k.b.getI32Type(), k.at(valid, b, k.b.getI32Type()));
      return {Value(arith::ExtSIOp::create(k.b, k.loc, k.i64Type(), n))};
    }, [&]() -> SmallVector<Value> { return {tokens}; });
    Value from = k.mul(k.sub(k.add(k.mul(b, tokens), last[0]), k.i64(1)), count), to = k.mul(b, count);
    k.loop(k.i64(0), count, k.i64(target.lanes), [&](Value j) {
      Value mask = k.laneMask(k.sub(count, j));
      Value values = k.maskedLoad(vector, k.at(source, k.add(from, j), element), mask);
      k.maskedStore(values, k.at(result, k.add(to, j), element), mask);
    });
  });
  EmittedKernel kernel;
  kernel.func = k.finish();
  kernel.tasks = [](OpBuilder &, Location, ValueRange slots) { return slots[kBatch]; };
  return kernel;
}

}  // namespace

FailureOr<Launches> LaunchBuilder::lastToken(LastTokenOp op, std::string &error) {
  SlotTable table;
  Shape x = shapeOf(op.getX()), y = shapeOf(op.getY());
  std::optional<Operand> source = operand(table, op.getX());
  if (!source) {
    error = "the operand of a last_token has no strided form";
    return failure();
  }
  int64_t bytes = elementBytes(source->element);
  DimExpr row = elementCount(ArrayRef<DimExpr>(x).drop_front(2));
  // Slots in the order of the enum; SlotTable would join equal sizes.
  Launch launch;
  launch.slots = {table.slots[source->pointer],
                  {Slot::Kind::buffer, plan.bufferOf.lookup(op.getY()), DimExpr(0), {}, {}, 0},
                  {Slot::Kind::valid, 0, {}, {}, {}, 0},
                  {Slot::Kind::size, 0, x[1], {}, {}, 0},
                  {Slot::Kind::size, 0, row, {}, {}, 0},
                  {Slot::Kind::size, 0, x[0], {}, {}, 0}};
  launch.kernel = {"last" + std::to_string(bytes), "last_token",
                   [bytes, &target = target](ModuleOp module, StringRef name) { return emitLastToken(module, name, bytes, target); }};
  launch.bytes = elementCount(y) * DimExpr(2 * bytes);
  launch.kind = "last-token";
  launch.op = op;
  return Launches{launch};
}

}  // namespace weft
