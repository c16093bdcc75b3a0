// weft.attention_grad → the kernel of dq, dk and dv, and where it is asked for the kernel of dbias.
#include "entry/Launch.h"
#include "tiling/AttentionGradKernel.h"
#include "tiling/TileSizes.h"

using namespace mlir;

namespace weft {

FailureOr<Launches> LaunchBuilder::attentionGrad(AttentionGradOp op, std::string &error) {
  SlotTable table;
  AttentionGradSpec spec;
  if (failed(attentionSpec(op, table, /*keys=*/true, spec.attention, error)))
    return failure();
  int64_t heads = op.getHeads(), kvHeads = op.getKvHeads(), dh = spec.attention.headDim, dv = spec.attention.valueDim;
  std::optional<HeadOperand> y = headOperand(table, op.getY(), dv), dy = headOperand(table, op.getDy(), dv);
  std::optional<Operand> lse = operand(table, op.getLse());
  if (!y || !dy || !lse) {
    error = "the result of an attention or its gradient has no strided form";
    return failure();
  }
  spec.attention.out = *y;
  spec.attention.lse = lse->pointer;
  spec.dout = *dy;
  auto result = [&](Value value, int64_t size) {
    Shape strides = contiguousStrides(shapeOf(value));
    return HeadOperand{pointer(table, value, DimExpr(0), 4), ElementType::F32, table.size(strides[0]), table.size(strides[1]),
                       Size::constant(size)};
  };
  spec.dq = result(op.getDq(), dh);
  spec.dk = result(op.getDk(), dh);
  spec.dv = result(op.getDv(), dv);

  Shape q = shapeOf(op.getQ()), k = shapeOf(op.getK());
  DimExpr pairs = q[0] * q[1] * k[1] * DimExpr(heads);
  TileSizes tiles = tileSizes(target);
  std::string key = weft::keyOf(spec.attention) + weft::keyOf(spec.dout);
  Launch launch;
  launch.kernel = {"attention_grad" + key + weft::keyOf(spec.dq) + weft::keyOf(spec.dk) + weft::keyOf(spec.dv), "attention_grad",
                   [spec, &target = target](ModuleOp module, StringRef name) { return emitAttentionGrad(module, name, spec, target); }};
  launch.slots = table.slots;
  launch.flops = pairs * DimExpr((3 * dh + 2 * dv) * 2);
  launch.bytes = (q[0] * q[1] * DimExpr(2 * heads * (dh + dv)) + q[0] * k[1] * DimExpr(2 * kvHeads * (dh + dv))) * DimExpr(4);
  launch.kind = "attention-grad";
  launch.tiles = std::to_string(tiles.queryVectors * target.lanes) + " queries x " + std::to_string(tiles.keyBlock) + " keys";
  launch.op = op;
  if (!op.getDbias())
    return Launches{launch};

  SlotTable biasTable = table;
  AttentionBiasGradSpec bias{spec, {}};
  bias.dbias = *scoreOperand(biasTable, op.getDbias());
  Launch second = launch;
  second.kernel = {"attention_bias_grad" + key + weft::keyOf(bias.dbias), "attention_bias_grad",
                   [bias, &target = target](ModuleOp module, StringRef name) { return emitAttentionBiasGrad(module, name, bias, target); }};
  second.slots = biasTable.slots;
  second.flops = pairs * DimExpr((dh + dv) * 2);
  second.bytes = launch.bytes + elementCount(shapeOf(op.getDbias())) * DimExpr(4);
  second.kind = "attention-bias-grad";
  return Launches{launch, second};
}

}  // namespace weft
