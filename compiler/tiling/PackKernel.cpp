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

/// One panel of a matrix, all its rows from k0 to k1.
class PanelPacker {
public:
  PanelPacker(KernelBuilder &k, Value base, const MatrixOperand &source, Value k0, Value k1, Value n, Value panel,
              ElementType panelType)
      : k(k), base(base), source(source), k0(k0), k1(k1), n(n), panel(panel), panelType(panelType),
        columns(tileSizes(k.target).panel), lanes(k.target.lanes) {}

  void emit(Value column) {
    k.loop(k.i64(0), k.i64(columns), k.i64(lanes), [&](Value c) { emitColumns(k.add(column, c), c); });
  }

private:
  static bool isOne(Size s) { return s.isConstant() && s.value == 1; }

  Value sourceAt(Value row, Value column) {
    return elementAt(k, base, k.add(k.mul(row, k.size(source.row)), k.mul(column, k.size(source.column))), source.type);
  }
  void put(Value value, Value row, Value panelColumn) {
    Value offset = k.add(k.mul(k.sub(row, k0), k.i64(columns)), panelColumn);
    storeVector(k, value, elementAt(k, panel, offset, panelType), panelType);
  }

  /// `lanes` columns of the panel, from source column `column` on.
  void emitColumns(Value column, Value panelColumn) {
    Value count = k.max(k.sub(n, column), k.i64(0));
    Value mask = k.laneMask(count);
    auto rowByRow = [&](Value from) {
      k.loop(from, k1, k.i64(1), [&](Value row) {
        Value ptr = sourceAt(row, column);
        put(isOne(source.column) ? loadVector(k, ptr, source.type, mask)
                                 : gatherVector(k, ptr, k.size(source.column), source.type, mask),
            row, panelColumn);
      });
    };
    if (!isOne(source.row) || isOne(source.column))
      return rowByRow(k0);
    // Squares are read along the rows of the source's transpose; columns past n read the last one and are masked off.
    Value squares = k.add(k0, k.mul(k.udiv(k.sub(k1, k0), k.i64(lanes)), k.i64(lanes)));
    k.ifThen(
        k.less(k.i64(0), count),
        [&] {
          k.loop(k0, squares, k.i64(lanes), [&](Value row) {
            SmallVector<Value> rows;
            for (int64_t l = 0; l < lanes; ++l)
              rows.push_back(
                  loadVector(k, sourceAt(row, k.min(k.add(column, k.i64(l)), k.sub(n, k.i64(1)))), source.type));
            rows = transpose(k, rows);
            for (int64_t l = 0; l < lanes; ++l)
              put(arith::SelectOp::create(k.b, k.loc, mask, rows[l], k.constVec(0)), k.add(row, k.i64(l)), panelColumn);
          });
          rowByRow(squares);
        },
        [&] { rowByRow(k0); });
  }

  KernelBuilder &k;
  Value base;
  const MatrixOperand &source;
  Value k0, k1, n, panel;
  ElementType panelType;
  int64_t columns, lanes;
};

} // namespace

void packPanel(KernelBuilder &k, Value base, const MatrixOperand &source, Value k0, Value k1, Value column, Value n,
               Value panel, ElementType panelType) {
  PanelPacker(k, base, source, k0, k1, n, panel, panelType).emit(column);
}

EmittedKernel emitPack(ModuleOp module, llvm::StringRef name, const PackSpec &spec, const TargetInfo &target) {
  KernelBuilder k(module, name, target, module.getLoc());
  const int64_t panel = tileSizes(target).panel;
  Value depth = k.size(spec.k), n = k.size(spec.n), panels = k.ceilDiv(n, k.i64(panel));
  k.loop(k.begin, k.end, k.i64(1), [&](Value task) {
    Value index = k.udiv(task, panels), column = k.mul(k.urem(task, panels), k.i64(panel));
    Value offset = k.i64(0), matrix = index;
    for (size_t a = spec.batch.size(); a-- > 0;) {
      Value size = k.size(spec.batch[a]);
      if (a < spec.source.batch.size())
        offset = k.add(offset, k.mul(a ? k.urem(index, size) : index, k.size(spec.source.batch[a])));
      index = k.udiv(index, size);
    }
    bool dense = spec.matrixStride.isConstant() && spec.matrixStride.value == 0;
    Value place = dense ? k.mul(task, k.mul(depth, k.i64(panel)))
                        : k.add(k.mul(matrix, k.size(spec.matrixStride)), k.mul(column, depth));
    packPanel(k, elementAt(k, k.ptrSlot(spec.source.pointer), offset, spec.source.type), spec.source, k.i64(0), depth,
              column, n, elementAt(k, k.ptrSlot(spec.panels), place, spec.panelType), spec.panelType);
  });
  EmittedKernel kernel;
  kernel.func = k.finish();
  kernel.tasks = [spec = spec, panel](OpBuilder &b, Location loc, ValueRange slots) {
    SizeMath math{b, loc};
    auto size = [&](Size s) { return s.isConstant() ? math.constant(s.value) : slots[s.slot]; };
    Value tasks = math.ceilDiv(size(spec.n), math.constant(panel));
    for (Size s : spec.batch)
      tasks = math.mul(tasks, size(s));
    return tasks;
  };
  return kernel;
}

} // namespace weft
