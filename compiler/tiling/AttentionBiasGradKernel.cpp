// A kernel of its own, two products per tile: a bias that is shared by batches or heads is summed over them in one task,
// which the tasks of the other gradients would have to share.
#include "tiling/AttentionGradKernel.h"

#include "tiling/AttentionGradTile.h"
#include "tiling/SizeMath.h"
#include "tiling/Transpose.h"

using namespace mlir;

namespace weft {

namespace {

bool isSummed(Size stride) { return stride.isConstant() && stride.value == 0; }

class AttentionBiasGradEmitter {
public:
  AttentionBiasGradEmitter(ModuleOp module, llvm::StringRef name, const AttentionBiasGradSpec &spec,
                           const TargetInfo &target)
      : k(module, name, target, module.getLoc()), dbias(spec.dbias), attention(spec.grad.attention),
        scores(k, attention), tile(k, spec.grad, scores, ScoreGrad::Score), lanes(target.lanes),
        summedQueries(isSummed(dbias.query)), summedKeys(isSummed(dbias.key)) {}

  EmittedKernel emit() {
    tile.place(k.scratch);
    Value tiles = k.ceilDiv(k.size(attention.queries), k.i64(tile.tileQueries)), one = k.i64(1);
    Value tilesOfTask = summedQueries ? one : tiles, headsOfTask = isSummed(dbias.head) ? one : k.size(attention.heads);
    k.loop(k.begin, k.end, one, [&](Value task) {
      Value part = k.urem(task, tilesOfTask), pair = k.udiv(task, tilesOfTask);
      Value head = k.urem(pair, headsOfTask), batch = k.udiv(pair, headsOfTask);
      Value offset = k.add(k.mul(batch, k.size(dbias.batch)), k.mul(head, k.size(dbias.head)));
      Value target = k.at(k.ptrSlot(dbias.pointer), offset, f32());
      zero(target, part);
      range(isSummed(dbias.batch), batch, k.size(attention.batch), [&](Value b) {
        range(isSummed(dbias.head), head, k.size(attention.heads), [&](Value h) {
          AttentionHead here = scores.head(b, h);
          range(summedQueries, part, tiles, [&](Value number) { emitTile(here, number, target); });
        });
      });
    });

    EmittedKernel kernel;
    kernel.func = k.finish();
    kernel.scratchBytes = 4 * tile.elements();
    kernel.tasks = [attention = attention, dbias = dbias, tileQueries = tile.tileQueries](OpBuilder &b, Location loc,
                                                                                      ValueRange slots) {
      SizeMath math{b, loc};
      auto size = [&](Size stride, Size s) {
        return isSummed(stride) ? math.constant(1) : s.isConstant() ? math.constant(s.value) : slots[s.slot];
      };
      Value parts = isSummed(dbias.query)
                        ? math.constant(1)
                        : math.ceilDiv(size(dbias.query, attention.queries), math.constant(tileQueries));
      return math.mul(math.mul(size(dbias.batch, attention.batch), size(dbias.head, attention.heads)), parts);
    };
    return kernel;
  }

private:
  Type f32() { return k.b.getF32Type(); }

  /// body for all of [0, end), or for `one` of them.
  void range(bool all, Value one, Value end, llvm::function_ref<void(Value)> body) {
    if (all)
      k.loop(k.i64(0), end, k.i64(1), [&](Value i) { body(i); });
    else
      body(one);
  }

  Value at(Value base, Value query, Value key) {
    return k.at(base, k.add(k.mul(query, k.size(dbias.query)), k.mul(key, k.size(dbias.key))), f32());
  }

  /// The part of dbias that task `part` of a (batch, head) writes.
  void zero(Value target, Value part) {
    Value first = summedQueries ? k.i64(0) : k.mul(part, k.i64(tile.tileQueries));
    Value end = summedQueries ? k.i64(1) : k.min(k.add(first, k.i64(tile.tileQueries)), k.size(attention.queries));
    k.loop(first, end, k.i64(1), [&](Value query) {
      k.loop(k.i64(0), summedKeys ? k.i64(1) : k.size(attention.keys), k.i64(1),
             [&](Value key) { k.store(k.f32(0), at(target, query, key)); });
    });
  }

  void emitTile(const AttentionHead &head, Value number, Value target) {
    tile.first = k.mul(number, k.i64(tile.tileQueries));
    tile.rows = k.min(k.i64(tile.tileQueries), k.sub(k.size(attention.queries), tile.first));
    Value from = tile.fromKey(head), to = tile.toKey(head);
    k.ifThen(k.less(from, to), [&] {
      tile.load(head, tile.first, tile.rows);
      k.loop(from, to, k.i64(scores.tile.keyBlock), [&](Value key) {
        Value count = k.min(k.i64(scores.tile.keyBlock), k.sub(to, key));
        tile.block(head, key, count);
        k.loop(k.i64(0), tile.width, k.i64(lanes), [&](Value group) { addGroup(target, group, key, count); });
      });
    });
  }

  Value slopesAt(Value key, Value group, Value exists) {
    Value slope = k.load(k.vecF32(), k.at(tile.slopes, k.add(k.mul(key, tile.width), group), f32()));
    return arith::SelectOp::create(k.b, k.loc, exists, slope, k.constVec(0));
  }

  /// Adds `lanes` queries of a block of keys.
  void addGroup(Value target, Value group, Value key, Value count) {
    Value exists = k.laneMask(k.sub(tile.rows, group)), query = summedQueries ? k.i64(0) : k.add(tile.first, group);
    if (summedKeys) {
      ValueRange sum = k.loop(k.i64(0), count, k.i64(1), k.constVec(0), [&](Value row, ValueRange carried) {
        return SmallVector<Value>{
            arith::AddFOp::create(k.b, k.loc, carried[0], slopesAt(row, group, exists)).getResult()};
      });
      addLanes(sum[0], target, query, k.i64(0), exists);
      return;
    }
    k.loop(k.i64(0), count, k.i64(1), [&](Value row) {
      addLanes(slopesAt(row, group, exists), target, query, k.add(key, row), exists);
    });
  }

  /// dbias(query + lane, key) += values, or their sum to dbias(key).
  void addLanes(Value values, Value target, Value query, Value key, Value exists) {
    Value address = at(target, query, key);
    if (summedQueries) {
      Value sum = vector::ExtractOp::create(k.b, k.loc, sumLanes(k, values), int64_t(0));
      k.store(arith::AddFOp::create(k.b, k.loc, k.load(f32(), address), sum), address);
      return;
    }
    Value stride = k.size(dbias.query);
    Value old = gatherVector(k, address, stride, ElementType::F32, exists);
    scatterVector(k, arith::AddFOp::create(k.b, k.loc, old, values), address, stride, ElementType::F32, exists);
  }

  KernelBuilder k;
  const ScoreOperand &dbias;
  const AttentionSpec &attention;
  AttentionScores scores;
  AttentionGradTile tile;
  int64_t lanes;
  bool summedQueries, summedKeys;
};

} // namespace

EmittedKernel emitAttentionBiasGrad(ModuleOp module, llvm::StringRef name, const AttentionBiasGradSpec &spec,
                                    const TargetInfo &target) {
  return AttentionBiasGradEmitter(module, name, spec, target).emit();
}

} // namespace weft
