// Emits matrix products over packed panels: a register tile of rows x panelVectors accumulators, rows of lhs read in
// place as broadcast scalars. Rows never need masks, because every number of rows has its own variant of the tile;
// columns past n exist in the panels as zeros, so only the epilogue of the last panel is masked.
#include "tiling/ContractionKernel.h"

#include "tiling/SizeMath.h"
#include "tiling/TileSizes.h"

using namespace mlir;

namespace weft {

// ---- Epilogue operands

static Value operandAddress(KernelBuilder &k, const EpiloguePoint &point, const MatrixOperand &operand) {
  Value offset = k.add(k.mul(point.row, k.size(operand.row)), k.mul(point.column, k.size(operand.column)));
  for (auto [index, stride] : llvm::zip(point.batch, operand.batch))
    offset = k.add(offset, k.mul(index, k.size(stride)));
  return elementAt(k, k.ptrSlot(operand.pointer), offset, operand.type);
}

Value loadOperand(KernelBuilder &k, const EpiloguePoint &point, const MatrixOperand &operand) {
  Value address = operandAddress(k, point, operand);
  if (operand.column.isConstant() && operand.column.value == 0)
    return k.splat(loadScalar(k, address, operand.type));
  if (operand.column.isConstant() && operand.column.value == 1)
    return loadVector(k, address, operand.type, point.mask);
  return gatherVector(k, address, k.size(operand.column), operand.type, point.mask);
}

void storeOperand(KernelBuilder &k, const EpiloguePoint &point, Value value, const MatrixOperand &operand) {
  Value address = operandAddress(k, point, operand);
  if (operand.column.isConstant() && operand.column.value == 1)
    storeVector(k, value, address, operand.type, point.mask);
  else
    scatterVector(k, value, address, k.size(operand.column), operand.type, point.mask);
}

Epilogue storeEpilogue(const MatrixOperand &out) {
  return {[out](KernelBuilder &k, const EpiloguePoint &point) { storeOperand(k, point, point.sum, out); }, false};
}

// ---- The kernel

namespace {

class ContractionEmitter {
public:
  ContractionEmitter(ModuleOp module, llvm::StringRef name, const ContractionSpec &spec, const TargetInfo &target)
      : module(module), k(module, name, target, module.getLoc()), spec(spec), tile(tileSizes(target)) {
    bool constantDepth = spec.k.isConstant();
    depthBlock = constantDepth ? tile.depthBlock : std::min<int64_t>(tile.depthBlock, 1024);
    blocked = !constantDepth || spec.k.value > depthBlock;
    if (constantDepth && spec.k.value > 0) {
      // A block of lhs rows is read once per panel; half of L2 keeps it near.
      int64_t fits = target.l2Bytes / 2 / (spec.k.value * 4) / tile.rows * tile.rows;
      tile.rowBlock = std::clamp(fits, 8 * tile.rows, tile.rowBlock);
    }
    vectors = tile.panelVectors;
    if (spec.n.isConstant() && spec.n.value < tile.panel)
      vectors = std::max<int64_t>(1, llvm::divideCeil(spec.n.value, target.lanes));
    raggedPanel = !spec.n.isConstant() || spec.n.value % (vectors * target.lanes) != 0;
  }

  EmittedKernel emit() {
    emitTasks();
    EmittedKernel kernel;
    kernel.func = k.finish();
    if (needsScratch()) {
      emitEpilogueFunction();
      kernel.scratchBytes = headerBytes + (blocked ? tile.rowBlock : tile.rows) * tile.panel * 4;
    }
    kernel.tasks = [spec = spec, tile = tile](OpBuilder &b, Location loc, ValueRange slots) {
      SizeMath math{b, loc};
      auto size = [&](Size s) { return s.isConstant() ? math.constant(s.value) : slots[s.slot]; };
      Value batch = math.constant(1);
      for (Size s : spec.batch)
        batch = math.mul(batch, size(s));
      Value panels = math.ceilDiv(size(spec.n), math.constant(tile.panel));
      Value blocks = rowBlocks(math, tile, size(spec.m), math.mul(batch, panels));
      return math.mul(math.mul(batch, panels), blocks);
    };
    return kernel;
  }

private:
  /// Rows are split so that a block stays in L2, and further while there are too few tasks to share out.
  static Value rowBlocks(SizeMath &math, const TileSizes &tile, Value m, Value columnsOfTasks) {
    Value tiles = math.ceilDiv(m, math.constant(tile.rows));
    Value forCache = math.ceilDiv(tiles, math.constant(tile.rowBlock / tile.rows));
    Value useful = math.ceilDiv(tiles, math.constant(tile.smallRowBlock / tile.rows));
    Value wanted = math.ceilDiv(math.constant(tile.wantedTasks), math.max(columnsOfTasks, math.constant(1)));
    return math.max(forCache, math.min(useful, wanted));
  }

  /// Everything that is fixed within one task.
  struct Task {
    SmallVector<Value> batch;
    Value lhs, panel, nextPanel; ///< pointers
    Value column;                ///< first column
    Value row0, row1;
    Value ragged; ///< i1, or null: the panel is known to be full
  };

  /// Scratch starts with the task's column and batch indices, for the epilogue function; sums follow.
  static constexpr int64_t headerBytes = 64;
  bool needsScratch() const { return blocked || spec.epilogue.heavy || raggedPanel; }
  Value scratchRow(KernelBuilder &in, Value row) {
    return in.at(in.at(in.scratch, in.i64(headerBytes), in.b.getI8Type()), in.mul(row, in.i64(tile.panel)),
                 in.b.getF32Type());
  }

  void emitTasks() {
    m = k.size(spec.m), n = k.size(spec.n), depth = k.size(spec.k);
    Value panels = k.ceilDiv(n, k.i64(tile.panel));
    Value tiles = k.ceilDiv(m, k.i64(tile.rows));
    Value batches = k.i64(1);
    for (Size s : spec.batch)
      batches = k.mul(batches, k.size(s));
    SizeMath math{k.b, k.loc};
    Value blocks = rowBlocks(math, tile, m, k.mul(batches, panels));
    Value panelElements = k.mul(depth, k.i64(tile.panel));

    k.loop(k.begin, k.end, k.i64(1), [&](Value index) {
      Task task;
      Value panel = k.urem(index, panels), rest = k.udiv(index, panels);
      Value block = k.urem(rest, blocks);
      decodeBatch(k.udiv(rest, blocks), task.batch);
      task.lhs = k.ptrSlot(spec.lhs.pointer);
      task.panel = k.ptrSlot(spec.rhs);
      Value lhsOffset = k.i64(0), rhsOffset = k.mul(panel, panelElements);
      for (size_t a = 0; a < task.batch.size(); ++a) {
        if (a < spec.lhs.batch.size())
          lhsOffset = k.add(lhsOffset, k.mul(task.batch[a], k.size(spec.lhs.batch[a])));
        if (a < spec.rhsBatch.size())
          rhsOffset = k.add(rhsOffset, k.mul(task.batch[a], k.size(spec.rhsBatch[a])));
      }
      task.lhs = elementAt(k, task.lhs, lhsOffset, spec.lhs.type);
      task.panel = elementAt(k, task.panel, rhsOffset, spec.rhsType);
      task.nextPanel = elementAt(k, task.panel, panelElements, spec.rhsType);
      task.column = k.mul(panel, k.i64(tile.panel));
      task.row0 = k.mul(k.udiv(k.mul(block, tiles), blocks), k.i64(tile.rows));
      task.row1 = k.min(m, k.mul(k.udiv(k.mul(k.add(block, k.i64(1)), tiles), blocks), k.i64(tile.rows)));
      if (raggedPanel)
        task.ragged = k.less(n, k.add(task.column, k.i64(vectors * k.target.lanes)));
      if (needsScratch()) {
        k.store(task.column, k.scratch);
        for (size_t a = 0; a < task.batch.size(); ++a)
          k.store(task.batch[a], k.at(k.scratch, k.i64(a + 1), k.i64Type()));
      }
      if (blocked)
        emitBlocked(task);
      else
        emitWhole(task);
    });
  }

  void decodeBatch(Value index, SmallVector<Value> &indices) {
    indices.resize(spec.batch.size());
    for (size_t a = spec.batch.size(); a-- > 0;) {
      if (a == 0) {
        indices[a] = index;
        break;
      }
      Value size = k.size(spec.batch[a]);
      indices[a] = k.urem(index, size);
      index = k.udiv(index, size);
    }
  }

  /// Walks the rows of the task and emits `variant(rows, row)` for each possible number of rows.
  void forTiles(const Task &task, llvm::function_ref<void(int64_t, Value)> variant,
                llvm::function_ref<void(Value rows, Value row)> after = nullptr) {
    k.loop(task.row0, task.row1, k.i64(tile.rows), [&](Value row) {
      Value rows = k.min(k.i64(tile.rows), k.sub(task.row1, row));
      SmallVector<int64_t> possible; // block borders are multiples of the tile, so only m decides
      if (!spec.m.isConstant() || spec.m.value >= tile.rows)
        possible.push_back(tile.rows);
      for (int64_t r = tile.rows - 1; r > 0; --r)
        if (!spec.m.isConstant() || spec.m.value % tile.rows == r)
          possible.push_back(r);
      dispatch(rows, possible, row, variant);
      if (after)
        after(rows, row);
    });
  }

  void dispatch(Value rows, ArrayRef<int64_t> possible, Value row, llvm::function_ref<void(int64_t, Value)> variant) {
    if (possible.empty())
      return;
    if (possible.size() == 1)
      return variant(possible.front(), row);
    Value here = arith::CmpIOp::create(k.b, k.loc, arith::CmpIPredicate::eq, rows, k.i64(possible.front()));
    k.ifThen(
        here, [&] { variant(possible.front(), row); }, [&] { dispatch(rows, possible.drop_front(), row, variant); });
  }

  /// The whole reduction stays in registers.
  void emitWhole(const Task &task) {
    auto variant = [&](int64_t rows, Value row) {
      SmallVector<Value> zero(rows * vectors, k.constVec(0));
      SmallVector<Value> sums = accumulate(task, rows, row, k.i64(0), depth, zero);
      if (spec.epilogue.heavy)
        return storeSums(sums, rows, k.i64(0));
      if (!task.ragged)
        return inlineEpilogue(task, sums, rows, row);
      k.ifThen(task.ragged, [&] { storeSums(sums, rows, k.i64(0)); }, [&] { inlineEpilogue(task, sums, rows, row); });
    };
    forTiles(task, variant, [&](Value rows, Value row) {
      if (spec.epilogue.heavy)
        callEpilogue(rows, row);
      else if (task.ragged)
        k.ifThen(task.ragged, [&] { callEpilogue(rows, row); });
    });
  }

  /// Partial sums of the block's rows stay in scratch between parts of the reduction.
  void emitBlocked(const Task &task) {
    // One round even for an empty reduction, so that the sums are written.
    k.loop(k.i64(0), k.max(depth, k.i64(1)), k.i64(depthBlock), [&](Value k0) {
      Value k1 = k.min(depth, k.add(k0, k.i64(depthBlock)));
      Value first = k.less(k0, k.i64(1));
      forTiles(task, [&](int64_t rows, Value row) {
        Value scratchRow0 = k.sub(row, task.row0);
        SmallVector<Type> types(rows * vectors, k.vecF32());
        ValueRange init = k.ifElse(
            types, first, [&] { return SmallVector<Value>(rows * vectors, k.constVec(0)); },
            [&] {
              SmallVector<Value> partial;
              for (int64_t r = 0; r < rows; ++r)
                for (int64_t v = 0; v < vectors; ++v)
                  partial.push_back(k.load(k.vecF32(), sumAddress(scratchRow0, r, v)));
              return partial;
            });
        storeSums(accumulate(task, rows, row, k0, k1, init), rows, scratchRow0);
      });
    });
    callEpilogue(k.sub(task.row1, task.row0), task.row0);
  }

  Value sumAddress(Value scratchRow0, int64_t row, int64_t vector) {
    return k.at(scratchRow(k, scratchRow0), k.i64(row * tile.panel + vector * k.target.lanes), k.b.getF32Type());
  }

  void storeSums(ArrayRef<Value> sums, int64_t rows, Value scratchRow0) {
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t v = 0; v < vectors; ++v)
        k.store(sums[r * vectors + v], sumAddress(scratchRow0, r, v));
  }

  /// acc[r][v] += lhs[row + r][k] * panel[k][v] for k in [k0, k1).
  SmallVector<Value> accumulate(const Task &task, int64_t rows, Value row, Value k0, Value k1, ValueRange init) {
    Value lhs = elementAt(k, task.lhs, k.mul(row, k.size(spec.lhs.row)), spec.lhs.type);
    bool prefetching = rows == tile.rows && spec.lhs.column.isConstant() && spec.lhs.column.value == 1;
    Value prefetchPanel;
    if (prefetching) {
      // Each tile of the block fetches its share of the next panel into L2: `unroll` steps fetch one cache line.
      Value tileIndex = k.udiv(k.sub(row, task.row0), k.i64(tile.rows));
      Value share = k.mul(depth, k.i64(64 / byteSize(spec.rhsType) / tile.unroll));
      prefetchPanel = elementAt(k, task.nextPanel, k.mul(tileIndex, share), spec.rhsType);
    }
    auto step = [&](Value kk, int64_t unroll, ValueRange carried) {
      SmallVector<Value> acc(carried);
      Value lhsAt = elementAt(k, lhs, k.mul(kk, k.size(spec.lhs.column)), spec.lhs.type);
      Value panelAt = elementAt(k, task.panel, k.mul(kk, k.i64(tile.panel)), spec.rhsType);
      if (prefetching && unroll > 1) {
        k.prefetch(
            elementAt(k, prefetchPanel, k.mul(kk, k.i64(64 / byteSize(spec.rhsType) / tile.unroll)), spec.rhsType), 2);
        for (int64_t r = 0; r < rows; ++r)
          k.prefetch(elementAt(k, lhsAt, k.mul(k.i64(rows + r), k.size(spec.lhs.row)), spec.lhs.type), 3);
      }
      for (int64_t u = 0; u < unroll; ++u) {
        SmallVector<Value> columns;
        for (int64_t v = 0; v < vectors; ++v)
          columns.push_back(loadVector(
              k, elementAt(k, panelAt, k.i64(u * tile.panel + v * k.target.lanes), spec.rhsType), spec.rhsType));
        for (int64_t r = 0; r < rows; ++r) {
          Value offset = k.add(k.mul(k.i64(r), k.size(spec.lhs.row)), k.mul(k.i64(u), k.size(spec.lhs.column)));
          Value scalar = k.splat(loadScalar(k, elementAt(k, lhsAt, offset, spec.lhs.type), spec.lhs.type));
          for (int64_t v = 0; v < vectors; ++v)
            acc[r * vectors + v] = k.fma(scalar, columns[v], acc[r * vectors + v]);
        }
      }
      return acc;
    };
    Value main = k.add(k0, k.mul(k.udiv(k.sub(k1, k0), k.i64(tile.unroll)), k.i64(tile.unroll)));
    ValueRange sums = k.loop(k0, main, k.i64(tile.unroll), init,
                             [&](Value kk, ValueRange carried) { return step(kk, tile.unroll, carried); });
    if (!(spec.k.isConstant() && spec.k.value % tile.unroll == 0))
      sums = k.loop(main, k1, k.i64(1), sums, [&](Value kk, ValueRange carried) { return step(kk, 1, carried); });
    return SmallVector<Value>(sums);
  }

  void inlineEpilogue(const Task &task, ArrayRef<Value> sums, int64_t rows, Value row) {
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t v = 0; v < vectors; ++v)
        spec.epilogue.emit(k, {sums[r * vectors + v], k.add(row, k.i64(r)),
                               k.add(task.column, k.i64(v * k.target.lanes)), nullptr, task.batch});
  }

  std::string epilogueName() { return k.func.getName().str() + "_epilogue"; }

  void callEpilogue(Value rows, Value row) {
    func::CallOp::create(k.b, k.loc, epilogueName(), TypeRange{}, ValueRange{k.args, row, k.add(row, rows), k.scratch});
  }

  /// The epilogue of rows [begin, end) over the sums in scratch. A function of its own, never inlined: the constants of
  /// a heavy epilogue would otherwise be hoisted into the kernel and push its accumulators out of the registers.
  void emitEpilogueFunction() {
    KernelBuilder e(module, epilogueName(), k.target, k.loc);
    e.func->setAttr("passthrough", e.b.getStrArrayAttr({"noinline"}));
    Value column = e.load(e.i64Type(), e.scratch);
    SmallVector<Value> batch;
    for (size_t a = 0; a < spec.batch.size(); ++a)
      batch.push_back(e.load(e.i64Type(), e.at(e.scratch, e.i64(a + 1), e.i64Type())));
    int64_t full = vectors * k.target.lanes;
    if (raggedPanel) {
      Value columns = e.sub(e.size(spec.n), column);
      e.ifThen(
          e.less(columns, e.i64(full)), [&] { loopEpilogue(e, column, columns, batch, true); },
          [&] { loopEpilogue(e, column, e.i64(full), batch, false); });
    } else {
      loopEpilogue(e, column, e.i64(full), batch, false);
    }
    e.finish();
  }

  void loopEpilogue(KernelBuilder &e, Value column, Value columns, ArrayRef<Value> batch, bool masked) {
    e.loop(e.begin, e.end, e.i64(1), [&](Value row) {
      Value sums = scratchRow(e, e.sub(row, e.begin));
      e.loop(e.i64(0), columns, e.i64(e.target.lanes), [&](Value c) {
        Value mask = masked ? e.laneMask(e.sub(columns, c)) : nullptr;
        Value sum = e.load(e.vecF32(), e.at(sums, c, e.b.getF32Type()));
        spec.epilogue.emit(e, {sum, row, e.add(column, c), mask, batch});
      });
    });
  }

  ModuleOp module;
  KernelBuilder k;
  const ContractionSpec &spec;
  TileSizes tile;
  int64_t depthBlock, vectors;
  bool blocked, raggedPanel;
  Value m, n, depth;
};

} // namespace

EmittedKernel emitContraction(ModuleOp module, llvm::StringRef name, const ContractionSpec &spec,
                              const TargetInfo &target) {
  return ContractionEmitter(module, name, spec, target).emit();
}

} // namespace weft
