// What comes from the call and not from tensors: the loss scale, and random numbers. Of dropout the element's number in
// the whole batch decides, so the mask does not depend on how the kernel walks.
#include "tiling/ElementEmitter.h"

#include "weft/abi.h"

#include <cstddef>

using namespace mlir;

namespace weft {

Value ElementEmitter::lossScale(LossScaleOp op) {
  int64_t offset = offsetof(weft_exec, loss_scale) - offsetof(weft_exec, seed) + (op.getInverse() ? sizeof(float) : 0);
  return k.load(k.b.getF32Type(), k.at(k.ptrSlot(spec.random), k.i64(offset), k.b.getI8Type()));
}

Value ElementEmitter::dropoutAt(DropoutOp op, const Point &point, Value mask) {
  std::unique_ptr<DropoutMask> &random = dropouts[op];
  if (!random) {
    Value round = op.getRound() ? size(*DimExpr::parse(op.getRound()->str())) : k.i64(0);
    hoist(0, [&] {
      Value site = k.add(k.i64(int64_t(*op.getSite())), k.mul(round, k.i64(DropoutMask::roundStep)));
      random = std::make_unique<DropoutMask>(k, k.ptrSlot(spec.random), op.getP().convertToDouble(), site);
    });
  }
  // Axis by axis and not by strides: what the last axes say of the number's alignment is kept.
  Shape shape = shapeOf(op.getY());
  Index number = at(int64_t(0));
  for (auto [i, index] : llvm::enumerate(point)) {
    number = plus(times(number, shape[i]), index);
    if (i == 0)
      number = plus(number, at(random->firstSample()));
  }
  Value x = value(op.getX(), point, mask);
  Value keep;
  if (number.uniform())
    keep = random->each(number.base);
  else if (!number.vec && number.step == 1)
    keep = random->consecutive(number.base, lanes(), number.align % 4 == 0);
  else
    keep = random->each(laneVector(number));
  if (!number.uniform())
    x = asVector(k, x);
  Value scaled = arith::MulFOp::create(k.b, k.loc, x, literal(k, x.getType(), random->scale()));
  return arith::SelectOp::create(k.b, k.loc, keep, scaled, literal(k, x.getType(), 0));
}

} // namespace weft
