// A task owns a block of rows by a slice of columns of the result: it writes their initial values, then walks all places.
// Tasks read the indices again, never each other's elements: no atomics, and work is linear in places and in rows.
#include "tiling/ScatterKernel.h"

#include "tiling/SizeMath.h"

using namespace mlir;

namespace weft {
namespace {

/// Eight vectors of AVX-512: adding them costs many times as much as reading their index, which each slice does again.
constexpr int64_t kSliceColumns = 128;
/// Rows are split as well while there are fewer tasks than this.
constexpr int64_t kWantedTasks = 16;
/// A block of rows looks at every place. With this many columns for each block, looking costs less than adding.
constexpr int64_t kColumnsPerBlock = 16;

struct Grid {
  Value slices, blocks;
};

/// By sizes alone, never by the number of threads.
Grid gridOf(SizeMath math, const ScatterSpec &spec, llvm::function_ref<Value(Size)> size) {
  auto constant = [&](int64_t v) { return math.constant(v); };
  Value columns = size(spec.columns), slices = math.ceilDiv(columns, constant(kSliceColumns)), blocks = constant(1);
  if (spec.indexColumn.isConstant() && spec.indexColumn.value == 0) {
    Value affordable = math.udiv(math.min(columns, constant(kSliceColumns)), constant(kColumnsPerBlock));
    Value wanted = math.ceilDiv(constant(kWantedTasks), math.mul(size(spec.outer), slices));
    blocks = math.max(blocks, math.min(math.min(affordable, wanted), size(spec.rows)));
  }
  return {slices, blocks};
}

class ScatterEmitter {
public:
  ScatterEmitter(ModuleOp module, StringRef name, const ScatterSpec &spec, const TargetInfo &target)
      : k(module, name, target, module.getLoc()), spec(spec), vector(k.vec(spec.element)) {}

  func::FuncOp emit() {
    Value rows = k.size(spec.rows), columns = k.size(spec.columns), places = k.size(spec.places);
    Grid grid = gridOf({k.b, k.loc}, spec, [&](Size s) { return k.size(s); });
    Value blockRows = k.ceilDiv(rows, grid.blocks);
    k.loop(k.begin, k.end, k.i64(1), [&](Value task) {
      Value slice = k.urem(k.udiv(task, grid.blocks), grid.slices), outer = k.udiv(k.udiv(task, grid.blocks), grid.slices);
      firstRow = k.min(k.mul(k.urem(task, grid.blocks), blockRows), rows);
      rowCount = k.sub(k.min(k.add(firstRow, blockRows), rows), firstRow);
      firstColumn = k.mul(slice, k.i64(kSliceColumns));
      endColumn = k.min(k.add(firstColumn, k.i64(kSliceColumns)), columns);
      result = k.at(k.ptrSlot(spec.result), k.mul(outer, k.mul(rows, columns)), spec.element);
      initialize();
      Value source = k.at(k.ptrSlot(spec.source), k.mul(outer, k.size(spec.sourceOuter)), spec.element);
      Value index = k.at(k.ptrSlot(spec.index), k.mul(outer, k.size(spec.indexOuter)), spec.indexElement);
      k.loop(k.i64(0), places, k.i64(1), [&](Value place) {
        Value from = k.at(source, k.mul(place, k.size(spec.sourcePlace)), spec.element);
        Value named = k.at(index, k.mul(place, k.size(spec.indexPlace)), spec.indexElement);
        spec.indexColumn.isConstant() && spec.indexColumn.value == 0 ? addRow(from, named) : addElements(from, named);
      });
    });
    return k.finish();
  }

private:
  void initialize() {
    if (spec.init == ScatterSpec::Init::inPlace)
      return;
    k.loop(firstRow, k.add(firstRow, rowCount), k.i64(1), [&](Value row) {
      Value to = rowAt(row);
      Value from = spec.init == ScatterSpec::Init::copied ? k.at(k.ptrSlot(spec.initial), k.mul(row, k.size(spec.initialRow)), spec.element) : Value();
      overColumns([&](Value column, Value mask) {
        Value value = from ? load(from, column, mask) : arith::ConstantOp::create(k.b, k.loc, k.b.getZeroAttr(vector));
        store(value, to, column, mask);
      });
    });
  }

  void addRow(Value source, Value named) {
    Value row = indexAt(named);
    k.ifThen(isMine(row), [&] {
      Value to = rowAt(row);
      overColumns([&](Value column, Value mask) {
        store(arith::AddFOp::create(k.b, k.loc, load(to, column, mask), load(source, column, mask)), to, column, mask);
      });
    });
  }

  void addElements(Value source, Value named) {
    k.loop(firstColumn, endColumn, k.i64(1), [&](Value column) {
      Value row = indexAt(k.at(named, k.mul(column, k.size(spec.indexColumn)), spec.indexElement));
      k.ifThen(isMine(row), [&] {
        Value to = k.at(rowAt(row), column, spec.element);
        Value term = k.load(spec.element, k.at(source, column, spec.element));
        k.store(arith::AddFOp::create(k.b, k.loc, k.load(spec.element, to), term), to);
      });
    });
  }

  Value indexAt(Value address) {
    Value value = k.load(spec.indexElement, address);
    return spec.indexElement.isInteger(64) ? value : Value(arith::ExtSIOp::create(k.b, k.loc, k.i64Type(), value));
  }

  Value isMine(Value row) {
    Value mine = arith::CmpIOp::create(k.b, k.loc, arith::CmpIPredicate::ult, k.sub(row, firstRow), rowCount);
    if (!spec.padding)
      return mine;
    Value real = arith::CmpIOp::create(k.b, k.loc, arith::CmpIPredicate::ne, row, k.i64(*spec.padding));
    return arith::AndIOp::create(k.b, k.loc, mine, real);
  }

  Value rowAt(Value row) { return k.at(result, k.mul(row, k.size(spec.columns)), spec.element); }
  Value load(Value row, Value column, Value mask) {
    Value from = k.at(row, column, spec.element);
    return mask ? k.maskedLoad(vector, from, mask) : k.load(vector, from);
  }
  void store(Value value, Value row, Value column, Value mask) {
    Value to = k.at(row, column, spec.element);
    mask ? k.maskedStore(value, to, mask) : k.store(value, to);
  }

  /// The task's columns in vectors; `mask` is null for whole ones.
  void overColumns(llvm::function_ref<void(Value column, Value mask)> body) {
    Value lanes = k.i64(k.target.lanes);
    Value end = k.add(firstColumn, k.mul(k.udiv(k.sub(endColumn, firstColumn), lanes), lanes));
    k.loop(firstColumn, end, lanes, [&](Value column) { body(column, nullptr); });
    k.ifThen(k.less(end, endColumn), [&] { body(end, k.laneMask(k.sub(endColumn, end))); });
  }

  KernelBuilder k;
  const ScatterSpec &spec;
  VectorType vector;
  Value firstRow, rowCount, firstColumn, endColumn, result;
};

} // namespace

EmittedKernel emitScatter(ModuleOp module, StringRef name, const ScatterSpec &spec, const TargetInfo &target) {
  EmittedKernel kernel;
  kernel.func = ScatterEmitter(module, name, spec, target).emit();
  kernel.tasks = [spec](OpBuilder &b, Location loc, ValueRange slots) {
    SizeMath math{b, loc};
    auto size = [&](Size s) { return s.isConstant() ? math.constant(s.value) : slots[s.slot]; };
    Grid grid = gridOf(math, spec, size);
    return math.mul(size(spec.outer), math.mul(grid.slices, grid.blocks));
  };
  return kernel;
}

} // namespace weft
