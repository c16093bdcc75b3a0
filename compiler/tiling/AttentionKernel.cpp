// Attention over query tiles: per block of keys the scores, the online softmax and O^T += V^T P^T. The decode form for
// very few queries, where lanes would stay empty, is in AttentionDecode.cpp.
#include "tiling/AttentionKernel.h"

#include "tiling/AttentionDecode.h"
#include "tiling/AttentionScores.h"
#include "tiling/SizeMath.h"
#include "tiling/Transpose.h"
#include "tiling/VectorMath.h"

using namespace mlir;

namespace weft {

namespace {

/// Up to this many queries the decode form is used.
constexpr int64_t fewQueries = 3;

class AttentionEmitter {
public:
  AttentionEmitter(ModuleOp module, llvm::StringRef name, const AttentionSpec &spec, const TargetInfo &target)
      : k(module, name, target, module.getLoc()), spec(spec), scores(k, spec), lanes(target.lanes),
        tileQueries(scores.tile.queryVectors * target.lanes) {}

  EmittedKernel emit() {
    queries = k.size(spec.queries);
    Value few = k.less(queries, k.i64(fewQueries + 1));
    k.ifThen(few, [&] { emitAttentionDecode(k, spec, scores); }, [&] { emitTiled(); });
    EmittedKernel kernel;
    kernel.func = k.finish();
    int64_t tiled = 4 * tileQueries * (spec.headDim + scores.tile.keyBlock + spec.valueDim) +
                    4 * (valueElements() + scores.extraElements() + scores.keepElements());
    kernel.scratchBytes = std::max(tiled, attentionDecodeScratch(spec, target()));
    kernel.tasks = [spec = spec, tileQueries = tileQueries](OpBuilder &b, Location loc, ValueRange slots) {
      SizeMath math{b, loc};
      auto size = [&](Size s) { return s.isConstant() ? math.constant(s.value) : slots[s.slot]; };
      Value queries = size(spec.queries);
      Value tiles = math.ceilDiv(queries, math.constant(tileQueries));
      Value few = b.createOrFold<arith::CmpIOp>(loc, arith::CmpIPredicate::sle, queries, math.constant(fewQueries));
      Value perHead = b.createOrFold<arith::SelectOp>(loc, few, queries, tiles);
      return math.mul(math.mul(size(spec.batch), size(spec.heads)), perHead);
    };
    return kernel;
  }

private:
  const TargetInfo &target() const { return k.target; }
  Type f32() { return k.b.getF32Type(); }

  /// Values of other types than f32 are widened block by block. Copying f32 too was no faster: L1 has no room for it.
  bool widensValues() const { return spec.v.type != ElementType::F32; }
  int64_t valueElements() const {
    return widensValues() ? scores.tile.keyBlock * scores.rowElements(spec.valueDim) : 0;
  }

  void emitTiled() {
    Value tiles = k.ceilDiv(queries, k.i64(tileQueries));
    k.loop(k.begin, k.end, k.i64(1), [&](Value task) {
      Value tileIndex = k.urem(task, tiles), rest = k.udiv(task, tiles);
      Value heads = k.size(spec.heads);
      AttentionHead head = scores.head(k.udiv(rest, heads), k.urem(rest, heads));
      Value first = k.mul(tileIndex, k.i64(tileQueries));
      Value rows = k.min(k.i64(tileQueries), k.sub(queries, first));
      // What moves the data in and out is emitted once for all widths of tiles.
      packed = k.scratch;
      block = k.at(packed, k.i64(tileQueries * spec.headDim), f32());
      result = k.at(block, k.i64(tileQueries * scores.tile.keyBlock), f32());
      values = k.at(result, k.i64(tileQueries * spec.valueDim), f32());
      extra = k.at(values, k.i64(valueElements()), f32());
      keep = k.at(extra, k.i64(scores.extraElements()), f32());
      Value width = scores.widthOf(rows);
      scores.packQueries(head, first, rows, width, packed);
      scores.forWidth(width, [&](int64_t vectors) { emitTile(head, {vectors, first, rows}); });
      finishTile(head, first, rows, width);
    });
  }

  /// Leaves result[d][query], not yet divided by the sums; the maxima and sums of the queries are in `block`.
  void emitTile(const AttentionHead &head, const QueryTile &queryTile) {
    int64_t vectors = queryTile.vectors, width = vectors * lanes;
    k.loop(k.i64(0), k.i64(spec.valueDim * width), k.i64(lanes),
           [&](Value i) { k.store(k.constVec(0), k.at(result, i, f32())); });

    Value firstPosition = k.add(head.start, queryTile.first);
    Value from = scores.alignedFirstKey(firstPosition);
    Value to = scores.endKey(head, k.add(firstPosition, k.sub(queryTile.rows, k.i64(1))));
    SmallVector<Value> init(vectors, k.constVec(lowestScore)); // running maxima, then running sums
    init.append(vectors, k.constVec(0));
    ValueRange state = k.loop(from, to, k.i64(scores.tile.keyBlock), init, [&](Value key, ValueRange carried) {
      Value count = k.min(k.i64(scores.tile.keyBlock), k.sub(to, key));
      ValueRange oldMaxima = carried.take_front(vectors), oldSums = carried.drop_front(vectors);
      SmallVector<Value> maxima = scores.block(head, queryTile, key, count, packed, block, extra, oldMaxima);
      SmallVector<Value> correction, sums;
      for (int64_t v = 0; v < vectors; ++v) {
        correction.push_back(vmath::exp2Unit(k, arith::SubFOp::create(k.b, k.loc, oldMaxima[v], maxima[v])));
        sums.push_back(arith::MulFOp::create(k.b, k.loc, oldSums[v], correction[v]));
      }
      if (spec.dropout)
        scores.keepFactors(head, queryTile.first, queryTile.rows, k.i64(width), key, count, keep);
      sums = exponentiate(count, maxima, sums, width);
      addValues(head, key, count, correction, vectors);
      SmallVector<Value> next(maxima);
      next.append(sums);
      return next;
    });
    for (int64_t v = 0; v < 2 * vectors; ++v)
      k.store(state[v], statisticAt(v / vectors, k.i64(v % vectors * lanes)));
  }

  /// block = 2^(block - maxima), without what is dropped; returns the sums plus the new probabilities.
  SmallVector<Value> exponentiate(Value count, ArrayRef<Value> maxima, ArrayRef<Value> sums, int64_t width) {
    ValueRange result = k.loop(k.i64(0), count, k.i64(1), sums, [&](Value row, ValueRange carried) {
      SmallVector<Value> next(carried);
      for (size_t v = 0; v < maxima.size(); ++v) {
        Value offset = k.add(k.mul(row, k.i64(width)), k.i64(v * lanes)), address = k.at(block, offset, f32());
        Value p = vmath::exp2Unit(k, arith::SubFOp::create(k.b, k.loc, k.load(k.vecF32(), address), maxima[v]));
        next[v] = arith::AddFOp::create(k.b, k.loc, next[v], p);
        if (spec.dropout)
          p = arith::MulFOp::create(k.b, k.loc, p, k.load(k.vecF32(), k.at(keep, offset, f32())));
        k.store(p, address);
      }
      return next;
    });
    return SmallVector<Value>(result);
  }

  /// result[d][query] = result[d][query] * correction + sum over keys of v[key][d] * block[key][query].
  void addValues(const AttentionHead &head, Value key, Value count, ArrayRef<Value> correction, int64_t vectors) {
    // Tiles of nearly equal height: 64 dimensions in tiles of at most 6 are 9 of 6 and 2 of 5.
    int64_t most = scores.tileRows(vectors), tiles = llvm::divideCeil(spec.valueDim, most);
    int64_t low = spec.valueDim / tiles, higher = spec.valueDim % tiles;
    Value rows = elementAt(k, head.v, k.mul(key, k.size(spec.v.row)), spec.v.type), stride = k.size(spec.v.row);
    if (widensValues()) {
      scores.copyRows(spec.v, head.v, spec.valueDim, key, count, values);
      rows = values, stride = k.i64(scores.rowElements(spec.valueDim));
    }
    auto range = [&](int64_t from, int64_t number, int64_t height) {
      if (!number)
        return;
      k.loop(k.i64(from), k.i64(from + number * height), k.i64(height),
             [&](Value d) { addValueTile(rows, stride, d, height, count, correction, vectors); });
    };
    range(0, higher, low + 1);
    range(higher * (low + 1), tiles - higher, low);
  }

  void addValueTile(Value rowsOfValues, Value stride, Value d, int64_t rows, Value count, ArrayRef<Value> correction,
                    int64_t vectors) {
    int64_t width = vectors * lanes;
    Value target = k.at(result, k.mul(d, k.i64(width)), f32());
    SmallVector<Value> init;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t v = 0; v < vectors; ++v) {
        Value old = k.load(k.vecF32(), k.at(target, k.i64(r * width + v * lanes), f32()));
        init.push_back(arith::MulFOp::create(k.b, k.loc, old, correction[v]));
      }
    Value column = k.at(rowsOfValues, d, f32());
    SmallVector<Value> sums = accumulateTile(
        k, rows, vectors, scores.unroll(vectors), k.i64(0), count, init,
        [&](int64_t r, Value key, int64_t ahead) {
          return k.load(f32(), k.at(k.at(column, k.mul(key, stride), f32()),
                                    k.add(k.mul(k.i64(ahead), stride), k.i64(r)), f32()));
        },
        [&](Value key, int64_t ahead, int64_t v) {
          return k.load(k.vecF32(),
                        k.at(k.at(block, k.mul(key, k.i64(width)), f32()), k.i64(ahead * width + v * lanes), f32()));
        });
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t v = 0; v < vectors; ++v)
        k.store(sums[r * vectors + v], k.at(target, k.i64(r * width + v * lanes), f32()));
  }

  /// Maximum (0) or sum (1) of query `group` of the tile.
  Value statisticAt(int64_t which, Value group) { return k.at(block, k.add(k.i64(which * tileQueries), group), f32()); }

  /// out[query][d] = result[d][query] / sum, and the row statistics.
  void finishTile(const AttentionHead &head, Value first, Value rows, Value width) {
    Value zero = k.constVec(0), one = k.constVec(1);
    int64_t whole = spec.valueDim / lanes * lanes;
    k.loop(k.i64(0), width, k.i64(lanes), [&](Value group) {
      Value exists = k.sub(rows, group);
      Value sum = k.load(k.vecF32(), statisticAt(1, group));
      Value empty = arith::CmpFOp::create(k.b, k.loc, arith::CmpFPredicate::OEQ, sum, zero);
      Value factor = arith::SelectOp::create(k.b, k.loc, empty, zero, arith::DivFOp::create(k.b, k.loc, one, sum));
      if (spec.lse >= 0) {
        Value maximum = k.load(k.vecF32(), statisticAt(0, group));
        Value log = arith::AddFOp::create(k.b, k.loc, vmath::log2(k, sum), maximum);
        Value lse = arith::MulFOp::create(k.b, k.loc, log, k.constVec(1 / log2OfE));
        lse = arith::SelectOp::create(k.b, k.loc, empty, k.constVec(INFINITY), lse);
        Value row = k.add(k.mul(head.batch, k.size(spec.heads)), head.head);
        Value index = k.add(k.mul(row, queries), k.add(first, group));
        k.maskedStore(lse, k.at(k.ptrSlot(spec.lse), index, f32()), k.laneMask(exists));
      }
      if (spec.statistics >= 0) {
        Value row = k.add(k.mul(head.batch, k.size(spec.heads)), head.head), mask = k.laneMask(exists);
        Value index = k.add(k.mul(row, queries), k.add(first, group));
        Value plane = k.mul(k.mul(k.size(spec.batch), k.size(spec.heads)), queries);
        k.maskedStore(k.load(k.vecF32(), statisticAt(0, group)), k.at(k.ptrSlot(spec.statistics), index, f32()), mask);
        k.maskedStore(factor, k.at(k.ptrSlot(spec.statistics), k.add(plane, index), f32()), mask);
      }
      auto write = [&](Value d, int64_t dims) {
        SmallVector<Value> square(lanes, zero);
        for (int64_t l = 0; l < dims; ++l) {
          Value value = k.load(k.vecF32(), k.at(result, k.add(k.mul(k.add(d, k.i64(l)), width), group), f32()));
          square[l] = arith::MulFOp::create(k.b, k.loc, value, factor);
        }
        square = transpose(k, square);
        Value target =
            elementAt(k, head.out, k.add(k.mul(k.add(first, group), k.size(spec.out.row)), d), spec.out.type);
        Value mask = dims < lanes ? k.laneMask(k.i64(dims)) : nullptr;
        auto put = [&](int64_t l) {
          storeVector(k, square[l], elementAt(k, target, k.mul(k.i64(l), k.size(spec.out.row)), spec.out.type),
                      spec.out.type, mask);
        };
        k.ifThen(
            k.less(exists, k.i64(lanes)),
            [&] {
              for (int64_t l = 0; l < lanes; ++l)
                k.ifThen(k.less(k.i64(l), exists), [&] { put(l); });
            },
            [&] {
              for (int64_t l = 0; l < lanes; ++l)
                put(l);
            });
      };
      if (whole)
        k.loop(k.i64(0), k.i64(whole), k.i64(lanes), [&](Value d) { write(d, lanes); });
      if (whole < spec.valueDim)
        write(k.i64(whole), spec.valueDim - whole);
    });
  }

  KernelBuilder k;
  const AttentionSpec &spec;
  AttentionScores scores;
  int64_t lanes, tileQueries;
  Value queries;
  Value packed, block, result, values, extra, keep; ///< scratch
};

} // namespace

EmittedKernel emitAttention(ModuleOp module, llvm::StringRef name, const AttentionSpec &spec,
                            const TargetInfo &target) {
  return AttentionEmitter(module, name, spec, target).emit();
}

} // namespace weft
