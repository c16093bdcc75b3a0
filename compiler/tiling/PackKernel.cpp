// Packs a run-time matrix into the panels that contractions read. Three forms, by what is contiguous in the source:
// columns (vector copies), rows (register transposes), neither (gathers).
#include "tiling/ContractionKernel.h"
#include "tiling/SizeMath.h"
#include "tiling/TileSizes.h"
#include "tiling/Transpose.h"

using namespace mlir;

namespace weft {

int64_t packedElements(int64_t k, int64_t n, const TargetInfo &target) {
  int64_t panel = tileSizes(target).panel;
  return llvm::divideCeil(n, panel) * panel * k;
}

namespace {

class PackEmitter {
public:
  PackEmitter(ModuleOp module, llvm::StringRef name, const PackSpec &spec, const TargetInfo &target)
      : k(module, name, target, module.getLoc()), spec(spec), panel(tileSizes(target).panel), lanes(target.lanes) {}

  EmittedKernel emit() {
    depth = k.size(spec.k), n = k.size(spec.n);
    Value panels = k.ceilDiv(n, k.i64(panel));
    k.loop(k.begin, k.end, k.i64(1), [&](Value task) {
      Value index = k.udiv(task, panels), column = k.mul(k.urem(task, panels), k.i64(panel));
      Value offset = k.i64(0), matrix = index;
      for (size_t a = spec.batch.size(); a-- > 0;) {
        Value size = k.size(spec.batch[a]);
        if (a < spec.source.batch.size())
          offset = k.add(offset, k.mul(a ? k.urem(index, size) : index, k.size(spec.source.batch[a])));
        index = k.udiv(index, size);
      }
      source = elementAt(k, k.ptrSlot(spec.source.pointer), offset, spec.source.type);
      bool dense = spec.matrixStride.isConstant() && spec.matrixStride.value == 0;
      Value place = dense ? k.mul(task, k.mul(depth, k.i64(panel)))
                          : k.add(k.mul(matrix, k.size(spec.matrixStride)), k.mul(column, depth));
      target = elementAt(k, k.ptrSlot(spec.panels), place, spec.panelType);
      k.loop(k.i64(0), k.i64(panel), k.i64(lanes), [&](Value c) { emitColumns(k.add(column, c), c); });
    });
    EmittedKernel kernel;
    kernel.func = k.finish();
    kernel.tasks = [spec = spec, panel = panel](OpBuilder &b, Location loc, ValueRange slots) {
      SizeMath math{b, loc};
      auto size = [&](Size s) { return s.isConstant() ? math.constant(s.value) : slots[s.slot]; };
      Value tasks = math.ceilDiv(size(spec.n), math.constant(panel));
      for (Size s : spec.batch)
        tasks = math.mul(tasks, size(s));
      return tasks;
    };
    return kernel;
  }

private:
  bool isOne(Size s) { return s.isConstant() && s.value == 1; }

  Value sourceAt(Value row, Value column) {
    return elementAt(k, source, k.add(k.mul(row, k.size(spec.source.row)), k.mul(column, k.size(spec.source.column))),
                     spec.source.type);
  }
  void put(Value value, Value row, Value panelColumn) {
    storeVector(k, value, elementAt(k, target, k.add(k.mul(row, k.i64(panel)), panelColumn), spec.panelType),
                spec.panelType);
  }

  /// `lanes` columns of the panel, from source column `column` on.
  void emitColumns(Value column, Value panelColumn) {
    Value count = k.max(k.sub(n, column), k.i64(0));
    Value mask = k.laneMask(count);
    auto rowByRow = [&](Value from) {
      k.loop(from, depth, k.i64(1), [&](Value row) {
        Value ptr = sourceAt(row, column);
        Value stride = k.size(spec.source.column);
        put(isOne(spec.source.column) ? loadVector(k, ptr, spec.source.type, mask)
                                      : gatherVector(k, ptr, stride, spec.source.type, mask),
            row, panelColumn);
      });
    };
    if (!isOne(spec.source.row) || isOne(spec.source.column))
      return rowByRow(k.i64(0));
    // Squares are read along the rows of the source's transpose; columns past n read the last one and are masked off.
    Value squares = k.mul(k.udiv(depth, k.i64(lanes)), k.i64(lanes));
    k.ifThen(
        k.less(k.i64(0), count),
        [&] {
          k.loop(k.i64(0), squares, k.i64(lanes), [&](Value row) {
            SmallVector<Value> rows;
            for (int64_t l = 0; l < lanes; ++l)
              rows.push_back(
                  loadVector(k, sourceAt(row, k.min(k.add(column, k.i64(l)), k.sub(n, k.i64(1)))), spec.source.type));
            rows = transpose(k, rows);
            for (int64_t l = 0; l < lanes; ++l)
              put(arith::SelectOp::create(k.b, k.loc, mask, rows[l], k.constVec(0)), k.add(row, k.i64(l)), panelColumn);
          });
          rowByRow(squares);
        },
        [&] { rowByRow(k.i64(0)); });
  }

  KernelBuilder k;
  const PackSpec &spec;
  int64_t panel, lanes;
  Value depth, n, source, target;
};

} // namespace

EmittedKernel emitPack(ModuleOp module, llvm::StringRef name, const PackSpec &spec, const TargetInfo &target) {
  return PackEmitter(module, name, spec, target).emit();
}

} // namespace weft
