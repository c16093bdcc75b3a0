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
    if (spec.rhsSource) {
      depthBlock = tile.packedDepth;
      tile.rowBlock = tile.packedRowBlock;
      tile.wantedTasks = tile.packedWantedTasks;
    }
    if (packsLhs() && !constantDepth) {
      // Rows of lhs are packed anew for each part of the depth: fewer rows, so that the parts can be longer.
      depthBlock *= 2;
      tile.rowBlock = tile.rowBlock / (2 * tile.rows) * tile.rows;
    }
    blocked = !constantDepth || spec.k.value > depthBlock;
    if (constantDepth && spec.k.value > 0) {
      // A block of lhs rows is read once per panel; half of L2 keeps it near.
      int64_t walked = spec.rhsSource ? std::min(depthBlock, spec.k.value) : spec.k.value;
      int64_t fits = target.l2Bytes / 2 / (walked * 4) / tile.rows * tile.rows;
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
    if (needsSums())
      emitEpilogueFunction();
    kernel.scratchBytes = needsSums() ? panelOffset() : 0;
    if (spec.rhsSource)
      kernel.scratchBytes = lhsOffset();
    if (packsLhs())
      kernel.scratchBytes = lhsOffset() + (tile.rowBlock * packedRows() + k.target.lanes) * 4;
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
    Value newRows;               ///< i1: lhs is packed here, and scratch holds other rows than the task's
    Value source, nextSource;    ///< where rhs is packed here: its matrix, and what will be packed next
    Value column;                ///< first column
    Value row0, row1;
    Value ragged; ///< i1, or null: the panel is known to be full
  };

  /// Scratch starts with the task's column and batch indices, for the epilogue function; sums follow, then the panel and
  /// the rows of lhs that are packed here.
  static constexpr int64_t headerBytes = 64;
  bool needsSums() const { return blocked || spec.epilogue.heavy || raggedPanel; }
  int64_t panelOffset() const {
    return needsSums() ? headerBytes + (blocked ? tile.rowBlock : tile.rows) * tile.panel * 4 : 0;
  }
  int64_t lhsOffset() const {
    int64_t panelBytes = spec.rhsSource ? packedRows() * tile.panel * byteSize(spec.rhsType) : 0;
    return llvm::alignTo(panelOffset() + panelBytes, 64);
  }
  /// Columns of lhs that are contiguous: its rows then lie a step of k apart, often a power of two, which lets them drive
  /// each other out of L1. A block of rows is packed, [tiles][k][rows of a tile], once for the panels it is multiplied with.
  bool isTurned() const {
    return spec.lhs.row.isConstant() && spec.lhs.row.value == 1 &&
           !(spec.lhs.column.isConstant() && spec.lhs.column.value == 1);
  }
  /// Rows of half precision are packed too, to be widened once and not for each panel: as they stand, [tiles][rows][k].
  bool packsLhs() const { return isTurned() || spec.lhs.type != ElementType::F32; }
  int64_t packedRows() const { return spec.k.isConstant() ? std::min(spec.k.value, depthBlock) : depthBlock; }
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

    k.loop(k.begin, k.end, k.i64(1), {k.i64(-1)}, [&](Value index, ValueRange carried) -> SmallVector<Value> {
      Task task;
      Value panel = k.urem(index, panels), rest = k.udiv(index, panels);
      Value same = arith::CmpIOp::create(k.b, k.loc, arith::CmpIPredicate::eq, rest, carried[0]);
      if (packsLhs())
        task.newRows = blocked ? orOf(notOf(same), k.less(k.i64(depthBlock), depth)) : notOf(same);
      Value block = k.urem(rest, blocks);
      decodeBatch(k.udiv(rest, blocks), task.batch);
      task.lhs = k.ptrSlot(spec.lhs.pointer);
      const ArrayRef<Size> rhsBatch = spec.rhsSource ? spec.rhsSource->batch : spec.rhsBatch;
      Value lhsOffset = k.i64(0), rhsOffset = spec.rhsSource ? k.i64(0) : k.mul(panel, panelElements);
      for (size_t a = 0; a < task.batch.size(); ++a) {
        if (a < spec.lhs.batch.size())
          lhsOffset = k.add(lhsOffset, k.mul(task.batch[a], k.size(spec.lhs.batch[a])));
        if (a < rhsBatch.size())
          rhsOffset = k.add(rhsOffset, k.mul(task.batch[a], k.size(rhsBatch[a])));
      }
      task.lhs = elementAt(k, task.lhs, lhsOffset, spec.lhs.type);
      task.column = k.mul(panel, k.i64(tile.panel));
      if (spec.rhsSource) {
        task.source = elementAt(k, k.ptrSlot(spec.rhsSource->pointer), rhsOffset, spec.rhsSource->type);
        task.panel = k.at(k.scratch, k.i64(panelOffset()), k.b.getI8Type());
      } else {
        task.panel = elementAt(k, k.ptrSlot(spec.rhs), rhsOffset, spec.rhsType);
        task.nextPanel = elementAt(k, task.panel, panelElements, spec.rhsType);
      }
      task.row0 = k.mul(k.udiv(k.mul(block, tiles), blocks), k.i64(tile.rows));
      task.row1 = k.min(m, k.mul(k.udiv(k.mul(k.add(block, k.i64(1)), tiles), blocks), k.i64(tile.rows)));
      if (raggedPanel)
        task.ragged = k.less(n, k.add(task.column, k.i64(vectors * k.target.lanes)));
      if (needsSums()) {
        k.store(task.column, k.scratch);
        for (size_t a = 0; a < task.batch.size(); ++a)
          k.store(task.batch[a], k.at(k.scratch, k.i64(a + 1), k.i64Type()));
      }
      if (blocked)
        emitBlocked(task);
      else
        emitWhole(task);
      return {rest};
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

  /// Packs rows [k0, k1) of the task's panel into scratch, and notes what comes after them, for prefetching.
  void packRows(Task &task, Value k0, Value k1) {
    const MatrixOperand &source = *spec.rhsSource;
    packPanel(k, task.source, source, k0, k1, task.column, n, task.panel, spec.rhsType);
    Value here = k.mul(task.column, k.size(source.column));
    Value below = k.add(here, k.mul(k1, k.size(source.row)));
    Value beside = k.add(here, k.mul(k.i64(tile.panel), k.size(source.column)));
    task.nextSource = elementAt(k, task.source, k.select(k.less(k1, depth), below, beside), source.type);
  }

  Value orOf(Value x, Value y) { return arith::OrIOp::create(k.b, k.loc, x, y); }
  Value notOf(Value x) {
    return arith::XOrIOp::create(k.b, k.loc, x, arith::ConstantIntOp::create(k.b, k.loc, 1, 1));
  }

  Value packedLhs(Value tileIndex, Value depthRows) {
    Value base = k.at(k.scratch, k.i64(lhsOffset()), k.b.getI8Type());
    return k.at(base, k.mul(k.mul(tileIndex, depthRows), k.i64(tile.rows)), k.b.getF32Type());
  }

  void packLhs(const Task &task, Value k0, Value k1) {
    if (isTurned())
      packTurned(task, k0, k1);
    else
      widenRows(task, k0, k1);
  }

  /// Widens columns [k0, k1) of the task's rows.
  void widenRows(const Task &task, Value k0, Value k1) {
    int64_t lanes = k.target.lanes;
    bool isContiguous = spec.lhs.column.isConstant() && spec.lhs.column.value == 1;
    Value whole = isContiguous ? k.add(k0, k.mul(k.udiv(k.sub(k1, k0), k.i64(lanes)), k.i64(lanes))) : k0;
    k.ifThen(task.newRows, [&] {
      k.loop(task.row0, task.row1, k.i64(1), [&](Value row) {
        Value source = elementAt(k, task.lhs, k.mul(row, k.size(spec.lhs.row)), spec.lhs.type);
        Value target = k.at(packedLhs(k.i64(0), k.i64(0)), k.mul(k.sub(row, task.row0), k.i64(packedRows())), k.b.getF32Type());
        auto from = [&](Value kk) { return elementAt(k, source, k.mul(kk, k.size(spec.lhs.column)), spec.lhs.type); };
        auto to = [&](Value kk) { return k.at(target, k.sub(kk, k0), k.b.getF32Type()); };
        if (isContiguous)
          k.loop(k0, whole, k.i64(lanes), [&](Value kk) { k.store(loadVector(k, from(kk), spec.lhs.type, nullptr), to(kk)); });
        k.loop(whole, k1, k.i64(1), [&](Value kk) { k.store(loadScalar(k, from(kk), spec.lhs.type), to(kk)); });
      });
    });
  }

  /// Packs columns [k0, k1) of the task's rows. A vector holds more than a tile's rows: what is stored past them is
  /// overwritten by the next step, or lies behind the last.
  void packTurned(const Task &task, Value k0, Value k1) {
    k.ifThen(task.newRows, [&] {
      k.loop(task.row0, task.row1, k.i64(tile.rows), [&](Value row) {
        Value rows = k.min(k.i64(tile.rows), k.sub(task.row1, row));
        Value target = packedLhs(k.udiv(k.sub(row, task.row0), k.i64(tile.rows)), k.sub(k1, k0));
        SmallVector<std::pair<int64_t, Value>> parts;
        for (int64_t r = 0; r < tile.rows; r += k.target.lanes)
          parts.emplace_back(r, k.laneMask(k.min(k.i64(k.target.lanes), k.max(k.i64(0), k.sub(rows, k.i64(r))))));
        k.loop(k0, k1, k.i64(1), [&](Value kk) {
          for (auto [r, mask] : parts) {
            Value from = k.add(k.add(row, k.i64(r)), k.mul(kk, k.size(spec.lhs.column)));
            Value to = k.add(k.mul(k.sub(kk, k0), k.i64(tile.rows)), k.i64(r));
            k.store(loadVector(k, elementAt(k, task.lhs, from, spec.lhs.type), spec.lhs.type, mask),
                    k.at(target, to, k.b.getF32Type()));
          }
        });
      });
    });
  }

  /// The whole reduction stays in registers.
  void emitWhole(Task &task) {
    if (spec.rhsSource)
      packRows(task, k.i64(0), depth);
    if (packsLhs())
      packLhs(task, k.i64(0), depth);
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
  void emitBlocked(Task &task) {
    // One round even for an empty reduction, so that the sums are written.
    k.loop(k.i64(0), k.max(depth, k.i64(1)), k.i64(depthBlock), [&](Value k0) {
      Value k1 = k.min(depth, k.add(k0, k.i64(depthBlock)));
      Value first = k.less(k0, k.i64(1));
      if (spec.rhsSource)
        packRows(task, k0, k1);
      if (packsLhs())
        packLhs(task, k0, k1);
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
    const bool inPlace = !packsLhs();
    const ElementType lhsType = inPlace ? spec.lhs.type : ElementType::F32;
    Value tileIndex = k.udiv(k.sub(row, task.row0), k.i64(tile.rows));
    Value rowStride = inPlace ? k.size(spec.lhs.row) : k.i64(isTurned() ? 1 : packedRows());
    Value columnStride = inPlace ? k.size(spec.lhs.column) : k.i64(isTurned() ? tile.rows : 1);
    Value lhs = inPlace ? elementAt(k, task.lhs, k.mul(row, rowStride), lhsType)
                        : packedLhs(tileIndex, isTurned() ? k.sub(k1, k0) : k.i64(packedRows()));
    const bool prefetching = rows == tile.rows, prefetchingLhs = prefetching && inPlace && spec.lhs.column.isConstant() && spec.lhs.column.value == 1;
    Value prefetchPanel;
    SmallVector<Value> nextResults = prefetchedResults(task, rows, row);
    if (prefetching && !spec.rhsSource) {
      // Each tile of the block fetches its share of the next panel into L2: `unroll` steps fetch one cache line.
      Value share = k.mul(depth, k.i64(64 / byteSize(spec.rhsType) / tile.unroll));
      prefetchPanel = elementAt(k, task.nextPanel, k.mul(tileIndex, share), spec.rhsType);
    }
    auto step = [&](Value kk, int64_t unroll, ValueRange carried) {
      SmallVector<Value> acc(carried);
      Value lhsAt = elementAt(k, lhs, k.mul(inPlace ? kk : k.sub(kk, k0), columnStride), lhsType);
      Value panelRow = spec.rhsSource ? k.sub(kk, k0) : kk;
      Value panelAt = elementAt(k, task.panel, k.mul(panelRow, k.i64(tile.panel)), spec.rhsType);
      if (unroll > 1)
        prefetchResults(nextResults, rows, k.udiv(k.sub(kk, k0), k.i64(tile.unroll)));
      if (prefetching && unroll > 1) {
        if (spec.rhsSource)
          prefetchSource(task, tileIndex, panelRow, k.sub(k1, k0));
        else
          k.prefetch(
              elementAt(k, prefetchPanel, k.mul(kk, k.i64(64 / byteSize(spec.rhsType) / tile.unroll)), spec.rhsType), 2);
        for (int64_t r = 0; prefetchingLhs && r < rows; ++r)
          k.prefetch(elementAt(k, lhsAt, k.mul(k.i64(rows + r), rowStride), lhsType), 3);
      }
      for (int64_t u = 0; u < unroll; ++u) {
        SmallVector<Value> columns;
        for (int64_t v = 0; v < vectors; ++v)
          columns.push_back(loadVector(
              k, elementAt(k, panelAt, k.i64(u * tile.panel + v * k.target.lanes), spec.rhsType), spec.rhsType));
        for (int64_t r = 0; r < rows; ++r) {
          Value offset = k.add(k.mul(k.i64(r), rowStride), k.mul(k.i64(u), columnStride));
          Value scalar = k.splat(loadScalar(k, elementAt(k, lhsAt, offset, lhsType), lhsType));
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

  /// Where the next tile's results go: their lines are fetched while this tile computes, for they lie in as many
  /// pages as there are rows, which no hardware prefetcher follows.
  SmallVector<Value> prefetchedResults(const Task &task, int64_t rows, Value row) {
    SmallVector<Value> addresses;
    if (rows != tile.rows)
      return addresses;
    EpiloguePoint next{nullptr, k.add(row, k.i64(rows)), task.column, nullptr, task.batch};
    for (const MatrixOperand &result : spec.results)
      if (result.column.isConstant() && result.column.value == 1)
        addresses.push_back(operandAddress(k, next, result));
      else
        addresses.push_back(nullptr);
    return addresses;
  }

  void prefetchResults(ArrayRef<Value> addresses, int64_t rows, Value step) {
    for (auto [address, result] : llvm::zip(addresses, spec.results))
      if (address)
        for (int64_t c = 0; c < vectors * k.target.lanes; c += 64 / byteSize(result.type)) {
          Value row = k.min(step, k.i64(rows - 1));
          k.prefetch(elementAt(k, address, k.add(k.mul(row, k.size(result.row)), k.i64(c)), result.type), 2);
        }
  }

  /// One of the steps of a tile, `unroll` rows each, that together fetch what is packed next: the tiles of a block walk
  /// over its rows one a step where a row is contiguous; else each tile takes eight columns and walks down them.
  void prefetchSource(const Task &task, Value tileIndex, Value panelRow, Value rows) {
    const MatrixOperand &source = *spec.rhsSource;
    const int64_t line = 64 / byteSize(source.type);
    if (source.column.isConstant() && source.column.value == 1) {
      Value step = k.udiv(k.add(k.mul(tileIndex, rows), panelRow), k.i64(tile.unroll));
      Value row = k.mul(k.min(step, rows), k.size(source.row));
      for (int64_t c = 0; c < tile.panel; c += line)
        k.prefetch(elementAt(k, task.nextSource, k.add(row, k.i64(c)), source.type), 2);
    } else if (source.row.isConstant() && source.row.value == 1) {
      Value half = k.urem(k.udiv(panelRow, k.i64(tile.unroll)), k.i64(2));
      Value column = k.add(k.mul(tileIndex, k.i64(8)), k.mul(half, k.i64(4)));
      column = k.min(column, k.i64(tile.panel - 4));
      for (int64_t c = 0; c < 4; ++c)
        k.prefetch(elementAt(k, task.nextSource,
                             k.add(k.mul(k.add(column, k.i64(c)), k.size(source.column)), panelRow), source.type),
                   2);
    }
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
