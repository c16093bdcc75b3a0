// Lanes are dimensions while a row of keys or values is read, and keys in between: `lanes` keys are multiplied side by
// side, and one transposed sum gives their scores.
#include "tiling/AttentionDecode.h"

#include "tiling/Transpose.h"
#include "tiling/VectorMath.h"

using namespace mlir;

namespace weft {

namespace {

/// Keys per step of the online softmax; long enough to hide the reductions over lanes, short enough for L1.
constexpr int64_t decodeBlock = 256;

class DecodeEmitter {
public:
  DecodeEmitter(KernelBuilder &k, const AttentionSpec &spec, AttentionScores &scores)
      : k(k), spec(spec), scores(scores), lanes(k.target.lanes) {}

  void emit() {
    Value queries = k.size(spec.queries), heads = k.size(spec.heads);
    // Scratch: query [headDim, padded], probabilities [decodeBlock], result [valueDim, padded].
    query = k.scratch;
    block = k.at(query, k.i64(llvm::alignTo(spec.headDim, lanes)), f32());
    result = k.at(block, k.i64(decodeBlock), f32());
    k.loop(k.begin, k.end, k.i64(1), [&](Value task) {
      Value index = k.urem(task, queries), rest = k.udiv(task, queries);
      AttentionHead head = scores.head(k.udiv(rest, heads), k.urem(rest, heads));
      emitQuery(head, index);
    });
  }

private:
  Type f32() { return k.b.getF32Type(); }
  Value sub(Value x, Value y) { return arith::SubFOp::create(k.b, k.loc, x, y); }
  Value mul(Value x, Value y) { return arith::MulFOp::create(k.b, k.loc, x, y); }
  Value add(Value x, Value y) { return arith::AddFOp::create(k.b, k.loc, x, y); }

  /// body(first dimension, mask or null) for each vector of `dims` dimensions.
  void forVectors(int64_t dims, llvm::function_ref<void(int64_t, Value)> body) {
    for (int64_t d = 0; d < dims; d += lanes)
      body(d, d + lanes > dims ? k.laneMask(k.i64(dims - d)) : nullptr);
  }

  void emitQuery(const AttentionHead &head, Value index) {
    Value source = elementAt(k, head.q, k.mul(index, k.size(spec.q.row)), spec.q.type);
    forVectors(spec.headDim, [&](int64_t d, Value mask) {
      Value x = loadVector(k, elementAt(k, source, k.i64(d), spec.q.type), spec.q.type, mask);
      k.store(mul(x, k.constVec(scores.queryScale())), k.at(query, k.i64(d), f32()));
    });
    forVectors(spec.valueDim, [&](int64_t d, Value) { k.store(k.constVec(0), k.at(result, k.i64(d), f32())); });

    Value position = k.add(head.start, index);
    Value from = scores.firstKey(position), to = scores.endKey(head, position);
    SmallVector<Value> init = {k.constVec(lowestScore), k.constVec(0)}; // maximum in all lanes; sums by lane
    ValueRange state = k.loop(from, to, k.i64(decodeBlock), init, [&](Value key, ValueRange carried) {
      Value count = k.min(k.i64(decodeBlock), k.sub(to, key));
      ValueRange found =
          k.loop(k.i64(0), count, k.i64(lanes), carried.take_front(1), [&](Value group, ValueRange running) {
            Value score = scoreGroup(head, index, key, group, count);
            k.store(score, k.at(block, group, f32()));
            return SmallVector<Value>{larger(k, running[0], score)};
          });
      Value maximum = maxLanes(k, found[0]);
      Value correction = vmath::exp2Unit(k, sub(carried[0], maximum));
      SmallVector<Value> sums = {mul(carried[1], correction)};
      ValueRange sum = k.loop(k.i64(0), count, k.i64(lanes), sums, [&](Value group, ValueRange running) {
        Value address = k.at(block, group, f32());
        Value p = vmath::exp2Unit(k, sub(k.load(k.vecF32(), address), maximum));
        k.store(spec.dropout ? mul(p, scores.keepFactor(head, index, k.add(key, group))) : p, address);
        return SmallVector<Value>{add(running[0], p)};
      });
      addValues(head, key, count, correction);
      return SmallVector<Value>{maximum, sum[0]};
    });

    Value total = sumLanes(k, state[1]), zero = k.constVec(0);
    Value empty = arith::CmpFOp::create(k.b, k.loc, arith::CmpFPredicate::OEQ, total, zero);
    Value factor =
        arith::SelectOp::create(k.b, k.loc, empty, zero, arith::DivFOp::create(k.b, k.loc, k.constVec(1), total));
    Value target = elementAt(k, head.out, k.mul(index, k.size(spec.out.row)), spec.out.type);
    forVectors(spec.valueDim, [&](int64_t d, Value mask) {
      storeVector(k, mul(k.load(k.vecF32(), k.at(result, k.i64(d), f32())), factor),
                  elementAt(k, target, k.i64(d), spec.out.type), spec.out.type, mask);
    });
    if (spec.statistics >= 0) {
      Value row = k.add(k.mul(head.batch, k.size(spec.heads)), head.head);
      Value at = k.add(k.mul(row, k.size(spec.queries)), index);
      Value plane = k.mul(k.mul(k.size(spec.batch), k.size(spec.heads)), k.size(spec.queries));
      auto put = [&](Value vector, Value where) {
        k.store(vector::ExtractOp::create(k.b, k.loc, vector, int64_t(0)), k.at(k.ptrSlot(spec.statistics), where, f32()));
      };
      put(state[0], at);
      put(factor, k.add(plane, at));
    }
    if (spec.lse >= 0) {
      Value lse = mul(add(vmath::log2(k, total), state[0]), k.constVec(1 / log2OfE));
      lse = arith::SelectOp::create(k.b, k.loc, empty, k.constVec(INFINITY), lse);
      Value row = k.add(k.mul(head.batch, k.size(spec.heads)), head.head);
      Value at = k.at(k.ptrSlot(spec.lse), k.add(k.mul(row, k.size(spec.queries)), index), f32());
      k.store(vector::ExtractOp::create(k.b, k.loc, lse, int64_t(0)), at);
    }
  }

  /// Scores of keys [key + group, + lanes), key by lane; -inf past `count`.
  Value scoreGroup(const AttentionHead &head, Value index, Value key, Value group, Value count) {
    Value stride = k.size(spec.k.row), first = k.add(key, group);
    SmallVector<Value> rows;
    for (int64_t l = 0; l < lanes; ++l) {
      Value row = k.min(k.add(group, k.i64(l)), k.sub(count, k.i64(1)));
      rows.push_back(elementAt(k, head.k, k.mul(k.add(key, row), stride), spec.k.type));
    }
    SmallVector<Value> sums(lanes, k.constVec(0));
    auto step = [&](Value d, Value mask, SmallVector<Value> acc) {
      Value q = k.load(k.vecF32(), k.at(query, d, f32()));
      for (int64_t l = 0; l < lanes; ++l)
        acc[l] = k.fma(loadVector(k, elementAt(k, rows[l], d, spec.k.type), spec.k.type, mask), q, acc[l]);
      return acc;
    };
    int64_t whole = spec.headDim / lanes * lanes;
    if (whole)
      sums = SmallVector<Value>(k.loop(k.i64(0), k.i64(whole), k.i64(lanes), sums, [&](Value d, ValueRange carried) {
        return step(d, nullptr, SmallVector<Value>(carried));
      }));
    if (whole < spec.headDim)
      sums = step(k.i64(whole), k.laneMask(k.i64(spec.headDim - whole)), sums);
    Value exists = k.laneMask(k.sub(count, group));
    Value score = sumRows(k, sums);
    if (scores.alwaysFinishes()) // the causal mask and the window are the borders of the loop over keys
      score = scores.finishScore(head, score, index, first, /*lanesAreKeys=*/true, exists);
    return arith::SelectOp::create(k.b, k.loc, exists, score, k.constVec(-INFINITY));
  }

  /// result = result * correction + sum over keys of p[key] * v[key]; some vectors of dimensions at a time.
  void addValues(const AttentionHead &head, Value key, Value count, Value correction) {
    constexpr int64_t together = 8;
    Value stride = k.size(spec.v.row);
    Value values = elementAt(k, head.v, k.mul(key, stride), spec.v.type);
    for (int64_t d0 = 0; d0 < spec.valueDim; d0 += together * lanes) {
      int64_t dims = std::min(together * lanes, spec.valueDim - d0);
      SmallVector<Value> sums, masks;
      forVectors(dims, [&](int64_t d, Value mask) {
        sums.push_back(mul(k.load(k.vecF32(), k.at(result, k.i64(d0 + d), f32())), correction));
        masks.push_back(mask);
      });
      ValueRange done = k.loop(k.i64(0), count, k.i64(1), sums, [&](Value row, ValueRange carried) {
        Value p = k.splat(k.load(f32(), k.at(block, row, f32())));
        Value at = elementAt(k, values, k.mul(row, stride), spec.v.type);
        SmallVector<Value> next;
        for (size_t i = 0; i < masks.size(); ++i)
          next.push_back(
              k.fma(p, loadVector(k, elementAt(k, at, k.i64(d0 + i * lanes), spec.v.type), spec.v.type, masks[i]),
                    carried[i]));
        return next;
      });
      forVectors(dims, [&](int64_t d, Value) { k.store(done[d / lanes], k.at(result, k.i64(d0 + d), f32())); });
    }
  }

  KernelBuilder &k;
  const AttentionSpec &spec;
  AttentionScores &scores;
  int64_t lanes;
  Value query, block, result;
};

} // namespace

void emitAttentionDecode(KernelBuilder &k, const AttentionSpec &spec, AttentionScores &scores) {
  DecodeEmitter(k, spec, scores).emit();
}

int64_t attentionDecodeScratch(const AttentionSpec &spec, const TargetInfo &target) {
  return 4 * (llvm::alignTo(spec.headDim, target.lanes) + decodeBlock + llvm::alignTo(spec.valueDim, target.lanes));
}

} // namespace weft
