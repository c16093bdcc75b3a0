// Query tiles outside, blocks of keys inside: a tile's dq stays in scratch, dk and dv are summed where they end up, and
// the parts that need transposing are prepared once per tile. The three products here have queries or keys as rows and
// dimensions in lanes, so that both factors are read as they lie.
#include "tiling/AttentionGradKernel.h"

#include "tiling/AttentionGradTile.h"
#include "tiling/SizeMath.h"

using namespace mlir;

namespace weft {

namespace {

/// With fewer pairs (batch, kv head) than this, and more than one chunk of keys, tasks are parts of pairs.
constexpr int64_t fewPairs = 4;
/// Blocks of keys in a chunk: what is loaded per query tile should be little beside its products.
constexpr int64_t chunkBlocks = 4;

/// Sums of products: out[row][d] += sum over steps of a(row, step) * b[step][d].
struct RowProduct {
  Value a, aRow, aStep; ///< strides of rows and steps
  Value b, bRow;
  Value out, outRow;
  Value rows, steps;
  int64_t dims;
};

struct TaskMath {
  SizeMath math;
  const AttentionGradSpec &spec;
  llvm::function_ref<Value(Size)> size;
  int64_t tileQueries, chunkKeys;

  Value pairs() { return math.mul(size(spec.attention.batch), size(spec.attention.kvHeads)); }
  Value tiles() { return math.ceilDiv(size(spec.attention.queries), math.constant(tileQueries)); }
  Value chunks() { return math.ceilDiv(size(spec.attention.keys), math.constant(chunkKeys)); }
  Value queryTasks() { return math.mul(math.mul(size(spec.attention.batch), size(spec.attention.heads)), tiles()); }
  Value isSplit() {
    Value few = less(pairs(), math.constant(fewPairs)), many = less(math.constant(1), chunks());
    return math.b.createOrFold<arith::AndIOp>(math.loc, few, many);
  }
  Value tasks() {
    Value parts = math.add(queryTasks(), math.mul(pairs(), chunks()));
    return math.b.createOrFold<arith::SelectOp>(math.loc, isSplit(), parts, pairs());
  }
  Value less(Value x, Value y) {
    return math.b.createOrFold<arith::CmpIOp>(math.loc, arith::CmpIPredicate::slt, x, y);
  }
};

class AttentionGradEmitter {
public:
  AttentionGradEmitter(ModuleOp module, llvm::StringRef name, const AttentionGradSpec &spec, const TargetInfo &target)
      : k(module, name, target, module.getLoc()), spec(spec), attention(spec.attention), scores(k, attention),
        tile(k, spec, scores, ScoreGrad::Product), lanes(target.lanes), chunkKeys(chunkBlocks * scores.tile.keyBlock) {}

  EmittedKernel emit() {
    dqTile = k.scratch;
    tile.place(k.at(dqTile, k.i64(dqElements()), f32()));
    auto size = [&](Size s) { return k.size(s); };
    TaskMath count{{k.b, k.loc}, spec, size, tile.tileQueries, chunkKeys};
    Value tiles = count.tiles(), chunks = count.chunks(), queryTasks = count.queryTasks(), split = count.isSplit();
    Value heads = k.size(attention.heads), kvHeads = k.size(attention.kvHeads), group = k.udiv(heads, kvHeads);
    Value no = k.i64(0), one = k.i64(1), keys = k.size(attention.keys);

    k.loop(k.begin, k.end, one, [&](Value task) {
      Value forQueries = arith::AndIOp::create(k.b, k.loc, split, k.less(task, queryTasks));
      Value forKeys = k.sub(task, k.select(split, queryTasks, no));
      auto choose = [&](Value ofQueries, Value ofKeys) { return k.select(forQueries, ofQueries, ofKeys); };
      Value parts = choose(tiles, k.select(split, chunks, one));
      Value number = choose(task, forKeys), part = k.urem(number, parts), pair = k.udiv(number, parts);
      Work work;
      Value headsOfPair = choose(heads, kvHeads);
      work.batch = k.udiv(pair, headsOfPair);
      Value head = k.urem(pair, headsOfPair);
      work.firstHead = choose(head, k.mul(head, group));
      work.endHead = k.add(work.firstHead, choose(one, group));
      work.firstTile = choose(part, no);
      work.endTile = choose(k.add(part, one), tiles);
      Value chunk = k.mul(part, k.i64(chunkKeys));
      work.firstKey = choose(no, chunk);
      work.endKey = choose(keys, k.select(split, k.min(keys, k.add(chunk, k.i64(chunkKeys))), keys));
      Value yes = arith::ConstantIntOp::create(k.b, k.loc, 1, 1);
      work.wantsQueries = arith::SelectOp::create(k.b, k.loc, split, forQueries, yes);
      work.wantsKeys = arith::XOrIOp::create(k.b, k.loc, forQueries, yes);
      emitTask(work);
    });

    EmittedKernel kernel;
    kernel.func = k.finish();
    kernel.scratchBytes = 4 * (dqElements() + tile.elements());
    kernel.tasks = [spec = spec, tileQueries = tile.tileQueries, chunkKeys = chunkKeys](OpBuilder &b, Location loc,
                                                                                      ValueRange slots) {
      SizeMath math{b, loc};
      auto size = [&](Size s) { return s.isConstant() ? math.constant(s.value) : slots[s.slot]; };
      return TaskMath{math, spec, size, tileQueries, chunkKeys}.tasks();
    };
    return kernel;
  }

private:
  /// A range of heads of one group, of query tiles and of keys, and which gradients are summed over it.
  struct Work {
    Value batch, firstHead, endHead, firstTile, endTile, firstKey, endKey;
    Value wantsQueries, wantsKeys;
  };

  Type f32() { return k.b.getF32Type(); }
  int64_t dqElements() const { return tile.tileQueries * scores.rowElements(attention.headDim); }

  Value headOf(const HeadOperand &operand, Value batch, Value head) {
    Value offset = k.add(k.mul(batch, k.size(operand.batch)), k.mul(head, k.size(operand.head)));
    return elementAt(k, k.ptrSlot(operand.pointer), offset, operand.type);
  }

  void emitTask(const Work &work) {
    Value group = k.udiv(k.size(attention.heads), k.size(attention.kvHeads));
    Value kvHead = k.udiv(work.firstHead, group);
    Value dk = headOf(spec.dk, work.batch, kvHead), dv = headOf(spec.dv, work.batch, kvHead);
    k.ifThen(work.wantsKeys, [&] {
      zeroRows(spec.dk, dk, attention.headDim, work.firstKey, work.endKey);
      zeroRows(spec.dv, dv, attention.valueDim, work.firstKey, work.endKey);
    });
    k.loop(work.firstHead, work.endHead, k.i64(1), [&](Value index) {
      AttentionHead head = scores.head(work.batch, index);
      k.loop(work.firstTile, work.endTile, k.i64(1), [&](Value number) { emitTile(work, head, number, dk, dv); });
    });
  }

  void emitTile(const Work &work, const AttentionHead &head, Value number, Value dk, Value dv) {
    Value first = k.mul(number, k.i64(tile.tileQueries)), queries = k.size(attention.queries);
    tile.first = first, tile.rows = k.min(k.i64(tile.tileQueries), k.sub(queries, first));
    Value from = k.max(tile.fromKey(head), work.firstKey), to = k.min(tile.toKey(head), work.endKey);
    int64_t rowElements = scores.rowElements(attention.headDim);
    k.ifThen(work.wantsQueries, [&] {
      k.loop(k.i64(0), k.mul(tile.rows, k.i64(rowElements)), k.i64(lanes),
             [&](Value i) { k.store(k.constVec(0), k.at(dqTile, i, f32())); });
    });
    k.ifThen(k.less(from, to), [&] {
      tile.load(head, tile.first, tile.rows);
      k.loop(from, to, k.i64(scores.tile.keyBlock), [&](Value key) {
        Value count = k.min(k.i64(scores.tile.keyBlock), k.sub(to, key)), one = k.i64(1);
        tile.block(head, key, count);
        auto rowsFrom = [&](const HeadOperand &operand, Value base) {
          return elementAt(k, base, k.mul(key, k.size(operand.row)), operand.type);
        };
        k.ifThen(work.wantsKeys, [&] {
          Value valueRow = k.i64(scores.rowElements(attention.valueDim));
          add({tile.probabilities, tile.width, one, tile.douts, valueRow, rowsFrom(spec.dv, dv), k.size(spec.dv.row),
               count, tile.rows, attention.valueDim});
          add({tile.slopes, tile.width, one, tile.queries, k.i64(rowElements), rowsFrom(spec.dk, dk),
               k.size(spec.dk.row), count, tile.rows, attention.headDim});
        });
        k.ifThen(work.wantsQueries, [&] {
          auto [keys, keyRow] = tile.keys(head, key);
          add({tile.slopes, one, tile.width, keys, keyRow, dqTile, k.i64(rowElements), tile.rows, count,
               attention.headDim});
        });
      });
    });
    k.ifThen(work.wantsQueries, [&] { storeQueries(head); });
  }

  void storeQueries(const AttentionHead &head) {
    Value dq = headOf(spec.dq, head.batch, head.head);
    k.loop(k.i64(0), tile.rows, k.i64(1), [&](Value row) {
      Value source = k.at(dqTile, k.mul(row, k.i64(scores.rowElements(attention.headDim))), f32());
      Value target = elementAt(k, dq, k.mul(k.add(tile.first, row), k.size(spec.dq.row)), spec.dq.type);
      forVectors(attention.headDim, [&](int64_t d, Value mask) {
        storeVector(k, k.load(k.vecF32(), k.at(source, k.i64(d), f32())), k.at(target, k.i64(d), f32()), spec.dq.type,
                    mask);
      });
    });
  }

  /// body(first dimension, mask or null) for each vector of `dims` dimensions.
  void forVectors(int64_t dims, llvm::function_ref<void(int64_t, Value)> body) {
    for (int64_t d = 0; d < dims; d += lanes)
      body(d, d + lanes > dims ? k.laneMask(k.i64(dims - d)) : nullptr);
  }

  void zeroRows(const HeadOperand &operand, Value head, int64_t dims, Value from, Value to) {
    k.loop(from, to, k.i64(1), [&](Value row) {
      Value target = elementAt(k, head, k.mul(row, k.size(operand.row)), operand.type);
      forVectors(dims, [&](int64_t d, Value mask) {
        storeVector(k, k.constVec(0), k.at(target, k.i64(d), f32()), operand.type, mask);
      });
    });
  }

  // ---- Products with dimensions in lanes

  void add(const RowProduct &product) {
    int64_t panel = scores.tile.queryVectors * lanes, whole = product.dims / panel * panel;
    if (whole)
      k.loop(k.i64(0), k.i64(whole), k.i64(panel), [&](Value d) { addPanel(product, d, panel); });
    if (whole < product.dims)
      addPanel(product, k.i64(whole), product.dims - whole);
  }

  /// Dimensions [d, d + dims), at most queryVectors vectors of them.
  void addPanel(const RowProduct &product, Value d, int64_t dims) {
    int64_t vectors = llvm::divideCeil(dims, lanes);
    int64_t rows = std::min<int64_t>(12, scores.tile.attentionRows * scores.tile.queryVectors / vectors);
    Value whole = k.mul(k.udiv(product.rows, k.i64(rows)), k.i64(rows));
    auto emit = [&](llvm::function_ref<Value(int64_t)> rowAt, int64_t unroll) {
      SmallVector<Value> a, out;
      for (int64_t r = 0; r < rows; ++r) {
        a.push_back(k.at(product.a, k.mul(rowAt(r), product.aRow), f32()));
        out.push_back(k.at(product.out, k.add(k.mul(rowAt(r), product.outRow), d), f32()));
      }
      addTile(product, a, out, k.at(product.b, d, f32()), dims, unroll);
    };
    k.loop(k.i64(0), whole, k.i64(rows),
           [&](Value row) { emit([&](int64_t r) { return k.add(row, k.i64(r)); }, scores.unroll(vectors)); });
    // A last tile with too few rows repeats the last one: the same sum is stored more than once.
    k.ifThen(k.less(whole, product.rows), [&] {
      Value last = k.sub(product.rows, k.i64(1));
      emit([&](int64_t r) { return k.min(k.add(whole, k.i64(r)), last); }, 2);
    });
  }

  void addTile(const RowProduct &product, ArrayRef<Value> a, ArrayRef<Value> out, Value b, int64_t dims,
               int64_t unroll) {
    int64_t vectors = llvm::divideCeil(dims, lanes);
    Value tail = dims % lanes ? k.laneMask(k.i64(dims % lanes)) : nullptr;
    auto maskOf = [&](int64_t v) { return v == vectors - 1 ? tail : nullptr; };
    SmallVector<Value> init;
    for (Value row : out)
      for (int64_t v = 0; v < vectors; ++v)
        init.push_back(loadVector(k, k.at(row, k.i64(v * lanes), f32()), ElementType::F32, maskOf(v)));
    SmallVector<Value> sums = accumulateTile(
        k, out.size(), vectors, unroll, k.i64(0), product.steps, init,
        [&](int64_t r, Value step, int64_t ahead) {
          return k.load(f32(), k.at(k.at(a[r], k.mul(step, product.aStep), f32()), k.mul(k.i64(ahead), product.aStep),
                                    f32()));
        },
        [&](Value step, int64_t ahead, int64_t v) {
          Value row = k.at(k.at(b, k.mul(step, product.bRow), f32()), k.mul(k.i64(ahead), product.bRow), f32());
          return loadVector(k, k.at(row, k.i64(v * lanes), f32()), ElementType::F32, maskOf(v));
        });
    for (size_t r = 0; r < out.size(); ++r)
      for (int64_t v = 0; v < vectors; ++v)
        storeVector(k, sums[r * vectors + v], k.at(out[r], k.i64(v * lanes), f32()), ElementType::F32, maskOf(v));
  }

  KernelBuilder k;
  const AttentionGradSpec &spec;
  const AttentionSpec &attention;
  AttentionScores scores;
  AttentionGradTile tile;
  int64_t lanes, chunkKeys;
  Value dqTile; ///< scratch: dq of the tile, rows as tile.queries
};

} // namespace

EmittedKernel emitAttentionGrad(ModuleOp module, llvm::StringRef name, const AttentionGradSpec &spec,
                                const TargetInfo &target) {
  return AttentionGradEmitter(module, name, spec, target).emit();
}

} // namespace weft
