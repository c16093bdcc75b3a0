// Copies the keys and values of new tokens into a cache, converting to the cache's element type.
#include "tiling/AttentionKernel.h"

#include "tiling/AttentionScores.h"
#include "tiling/SizeMath.h"

using namespace mlir;

namespace weft {

static void copyRow(KernelBuilder &k, Value source, ElementType from, Value target, ElementType to, int64_t count) {
  int64_t lanes = k.target.lanes, whole = count / lanes * lanes;
  auto vector = [&](Value d, Value mask) {
    storeVector(k, loadVector(k, elementAt(k, source, d, from), from, mask), elementAt(k, target, d, to), to, mask);
  };
  if (whole)
    k.loop(k.i64(0), k.i64(whole), k.i64(lanes), [&](Value d) { vector(d, nullptr); });
  if (whole < count)
    vector(k.i64(whole), k.laneMask(k.i64(count - whole)));
}

EmittedKernel emitCacheAppend(ModuleOp module, llvm::StringRef name, const CacheAppendSpec &spec,
                              const TargetInfo &target) {
  KernelBuilder k(module, name, target, module.getLoc());
  Value tokens = k.size(spec.tokens), heads = k.size(spec.kvHeads);
  k.loop(k.begin, k.end, k.i64(1), [&](Value task) {
    Value batch = k.udiv(task, tokens), token = k.urem(task, tokens);
    Value position = k.add(startPosition(k, spec.start, batch), token);
    Value written = arith::AndIOp::create(k.b, k.loc, k.less(token, realTokens(k, spec.valid, batch, tokens)),
                                          k.less(position, k.size(spec.capacity)));
    k.ifThen(written, [&] {
      k.loop(k.i64(0), heads, k.i64(1), [&](Value head) {
        auto at = [&](const HeadOperand &operand, Value row) {
          Value offset = k.add(k.mul(batch, k.size(operand.batch)), k.mul(head, k.size(operand.head)));
          return elementAt(k, k.ptrSlot(operand.pointer), k.add(offset, k.mul(row, k.size(operand.row))), operand.type);
        };
        copyRow(k, at(spec.k, token), spec.k.type, at(spec.keyCache, position), spec.keyCache.type, spec.headDim);
        copyRow(k, at(spec.v, token), spec.v.type, at(spec.valueCache, position), spec.valueCache.type, spec.valueDim);
      });
    });
  });
  EmittedKernel kernel;
  kernel.func = k.finish();
  kernel.tasks = [spec](OpBuilder &b, Location loc, ValueRange slots) {
    SizeMath math{b, loc};
    auto size = [&](Size s) { return s.isConstant() ? math.constant(s.value) : slots[s.slot]; };
    return math.mul(size(spec.batch), size(spec.tokens));
  };
  return kernel;
}

} // namespace weft
