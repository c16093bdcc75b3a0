// The probability map of an attention whose row statistics are known: the scores again, block by block, then one
// exponential each. Nothing of the size of the map is kept beside the map itself.
#include "tiling/AttentionKernel.h"

#include "tiling/AttentionScores.h"
#include "tiling/SizeMath.h"
#include "tiling/Transpose.h"
#include "tiling/VectorMath.h"

using namespace mlir;

namespace weft {

namespace {

class AttentionWeightsEmitter {
public:
  AttentionWeightsEmitter(ModuleOp module, llvm::StringRef name, const AttentionWeightsSpec &spec,
                          const TargetInfo &target)
      : k(module, name, target, module.getLoc()), weights(spec), spec(spec.attention), scores(k, this->spec),
        lanes(target.lanes), tileQueries(scores.tile.queryVectors * target.lanes) {}

  EmittedKernel emit() {
    queries = k.size(spec.queries), keys = k.size(spec.keys), heads = k.size(spec.heads);
    Value tiles = k.ceilDiv(queries, k.i64(tileQueries));
    k.loop(k.begin, k.end, k.i64(1), [&](Value task) {
      Value first = k.mul(k.urem(task, tiles), k.i64(tileQueries)), rest = k.udiv(task, tiles);
      Value rows = k.min(k.i64(tileQueries), k.sub(queries, first));
      QueryTile tile{scores.tile.queryVectors, first, rows};
      if (weights.mean)
        k.loop(k.i64(0), heads, k.i64(1), [&](Value head) { emitTile(rest, head, rest, tile); });
      else
        emitTile(k.udiv(rest, heads), k.urem(rest, heads), rest, tile);
    });
    EmittedKernel kernel;
    kernel.func = k.finish();
    kernel.scratchBytes = 4 * tileQueries * (spec.headDim + scores.tile.keyBlock + lanes) + 4 * scores.extraElements();
    kernel.tasks = [spec = spec, mean = weights.mean, tileQueries = tileQueries](OpBuilder &b, Location loc,
                                                                                 ValueRange slots) {
      SizeMath math{b, loc};
      auto size = [&](Size s) { return s.isConstant() ? math.constant(s.value) : slots[s.slot]; };
      Value tasks = math.mul(size(spec.batch), math.ceilDiv(size(spec.queries), math.constant(tileQueries)));
      return mean ? tasks : math.mul(tasks, size(spec.heads));
    };
    return kernel;
  }

private:
  Type f32() { return k.b.getF32Type(); }

  /// `map` counts the maps of size queries x keys.
  void emitTile(Value batch, Value headIndex, Value map, const QueryTile &tile) {
    AttentionHead head = scores.head(batch, headIndex);
    int64_t width = tile.vectors * lanes;
    Value packed = k.scratch, block = k.at(packed, k.i64(tileQueries * spec.headDim), f32());
    Value extra = k.at(block, k.i64(tileQueries * (scores.tile.keyBlock + lanes)), f32());
    scores.packQueries(head, tile.first, tile.rows, k.i64(width), packed);
    Value row = k.add(k.mul(batch, heads), headIndex);
    Value statistics = k.at(k.ptrSlot(spec.statistics), k.add(k.mul(row, queries), tile.first), f32());
    Value plane = k.mul(k.mul(k.size(spec.batch), heads), queries);
    Value out = k.at(k.ptrSlot(weights.weights), k.mul(k.add(k.mul(map, queries), tile.first), keys), f32());
    SmallVector<Value> ignored(tile.vectors, k.constVec(lowestScore));

    k.loop(k.i64(0), keys, k.i64(scores.tile.keyBlock), [&](Value key) {
      Value count = k.min(k.i64(scores.tile.keyBlock), k.sub(keys, key));
      scores.block(head, tile, key, count, packed, block, extra, ignored);
      k.loop(k.i64(0), k.i64(width), k.i64(lanes), [&](Value group) {
        Value exists = k.sub(tile.rows, group);
        Value queryMask = k.laneMask(exists);
        Value maximum = k.maskedLoad(k.vecF32(), k.at(statistics, group, f32()), queryMask);
        Value factor = k.maskedLoad(k.vecF32(), k.at(statistics, k.add(plane, group), f32()), queryMask);
        k.loop(k.i64(0), count, k.i64(lanes), [&](Value keyGroup) {
          emitSquare(block, width, group, keyGroup, maximum, factor, exists, k.sub(count, keyGroup),
                     k.at(out, k.add(k.mul(group, keys), k.add(key, keyGroup)), f32()), headIndex);
        });
      });
    });
  }

  /// Probabilities of `lanes` queries and keys, transposed into the map at `target`.
  void emitSquare(Value block, int64_t width, Value group, Value keyGroup, Value maximum, Value factor, Value queriesLeft, Value keysLeft,
                  Value target, Value headIndex) {
    SmallVector<Value> rows;
    for (int64_t l = 0; l < lanes; ++l) { // rows of the block past its keys hold anything; their columns are not stored
      Value score =
          k.load(k.vecF32(), k.at(block, k.add(k.mul(k.add(keyGroup, k.i64(l)), k.i64(width)), group), f32()));
      Value p = vmath::exp2Unit(k, arith::SubFOp::create(k.b, k.loc, score, maximum));
      rows.push_back(arith::MulFOp::create(k.b, k.loc, p, factor));
    }
    rows = transpose(k, rows);
    Value mask = k.laneMask(keysLeft);
    Value share, zero = k.constVec(0);
    if (weights.mean) {
      Value count = arith::SIToFPOp::create(k.b, k.loc, f32(), heads);
      share = k.splat(arith::DivFOp::create(k.b, k.loc, k.f32(1), count));
    }
    for (int64_t l = 0; l < lanes; ++l)
      k.ifThen(k.less(k.i64(l), queriesLeft), [&] {
        Value at = k.at(target, k.mul(k.i64(l), keys), f32());
        Value p = rows[l];
        if (weights.mean) {
          Value first = arith::CmpIOp::create(k.b, k.loc, arith::CmpIPredicate::eq, headIndex, k.i64(0));
          Value before = k.select(first, zero, k.maskedLoad(k.vecF32(), at, mask));
          p = k.fma(p, share, before);
        }
        k.maskedStore(p, at, mask);
      });
  }

  KernelBuilder k;
  const AttentionWeightsSpec &weights;
  const AttentionSpec &spec;
  AttentionScores scores;
  int64_t lanes, tileQueries;
  Value queries, keys, heads;
};

} // namespace

EmittedKernel emitAttentionWeights(ModuleOp module, llvm::StringRef name, const AttentionWeightsSpec &spec,
                                   const TargetInfo &target) {
  return AttentionWeightsEmitter(module, name, spec, target).emit();
}

} // namespace weft
