// p = 2^(score - lse) needs no running maximum: a block is finished in one pass over its two products, q k^T and
// dout v^T.
#include "tiling/AttentionGradTile.h"

#include "tiling/Transpose.h"
#include "tiling/VectorMath.h"

using namespace mlir;

namespace weft {

/// Up to this size, lse holds the sum of a row's exponentials to a few units in the last place of a probability.
constexpr double largestExactLse = 256;

AttentionGradTile::AttentionGradTile(KernelBuilder &k, const AttentionGradSpec &spec, AttentionScores &scores,
                                     ScoreGrad wanted)
    : tileQueries(scores.tile.queryVectors * k.target.lanes), k(k), spec(spec), attention(spec.attention),
      scores(scores), wanted(wanted), lanes(k.target.lanes) {}

int64_t AttentionGradTile::widenedElements(const HeadOperand &operand, int64_t dims) const {
  return operand.type == ElementType::F32 ? 0 : scores.tile.keyBlock * scores.rowElements(dims);
}

int64_t AttentionGradTile::elements() const {
  int64_t rowElements = scores.rowElements(attention.headDim) + scores.rowElements(attention.valueDim);
  return tileQueries * (attention.headDim + attention.valueDim + 2 * scores.tile.keyBlock + rowElements + 3) +
         widenedElements(attention.k, attention.headDim) + widenedElements(attention.v, attention.valueDim) +
         scores.extraElements() + scores.keepElements();
}

void AttentionGradTile::place(Value scratch) {
  auto take = [&](int64_t count) {
    Value here = scratch;
    scratch = k.at(scratch, k.i64(count), f32());
    return here;
  };
  packedQueries = take(tileQueries * attention.headDim);
  packedDouts = take(tileQueries * attention.valueDim);
  probabilities = take(tileQueries * scores.tile.keyBlock);
  slopes = take(tileQueries * scores.tile.keyBlock);
  queries = take(tileQueries * scores.rowElements(attention.headDim));
  douts = take(tileQueries * scores.rowElements(attention.valueDim));
  lse = take(tileQueries);
  rest = take(tileQueries);
  delta = take(tileQueries);
  widenedKeys = take(widenedElements(attention.k, attention.headDim));
  widenedValues = take(widenedElements(attention.v, attention.valueDim));
  extra = take(scores.extraElements());
  keep = scratch;
}

void AttentionGradTile::load(const AttentionHead &head, Value firstQuery, Value count) {
  first = firstQuery, rows = count, width = scores.widthOf(rows);
  Value offset =
      k.add(k.mul(head.batch, k.size(spec.dout.batch)), k.mul(head.head, k.size(spec.dout.head)));
  Value dout = elementAt(k, k.ptrSlot(spec.dout.pointer), offset, spec.dout.type);
  scores.packQueries(head, first, rows, width, packedQueries);
  scores.pack(spec.dout, dout, attention.valueDim, 1, first, rows, width, packedDouts);
  scores.copyRows(attention.q, head.q, attention.headDim, first, rows, queries);
  scores.copyRows(spec.dout, dout, attention.valueDim, first, rows, douts);

  Value row = k.add(k.mul(head.batch, k.size(attention.heads)), head.head);
  Value stored = k.at(k.ptrSlot(attention.lse), k.add(k.mul(row, k.size(attention.queries)), first), f32());
  int64_t whole = attention.valueDim / lanes * lanes;
  k.loop(k.i64(0), width, k.i64(lanes), [&](Value group) {
    Value exists = k.laneMask(k.sub(rows, group));
    Value values = k.maskedLoad(k.vecF32(), k.at(stored, group, f32()), exists);
    k.store(arith::MulFOp::create(k.b, k.loc, values, k.constVec(log2OfE)), k.at(lse, group, f32()));
    k.store(k.constVec(0), k.at(rest, group, f32()));
    SmallVector<Value> outRows, doutRows, sums(lanes, k.constVec(0));
    for (int64_t l = 0; l < lanes; ++l) {
      Value query = k.min(k.add(group, k.i64(l)), k.sub(rows, k.i64(1)));
      outRows.push_back(elementAt(k, head.out, k.mul(k.add(first, query), k.size(attention.out.row)), attention.out.type));
      doutRows.push_back(k.at(douts, k.mul(query, k.i64(scores.rowElements(attention.valueDim))), f32()));
    }
    auto step = [&](Value d, Value mask, ValueRange carried) {
      SmallVector<Value> next;
      for (int64_t l = 0; l < lanes; ++l)
        next.push_back(k.fma(loadVector(k, elementAt(k, outRows[l], d, attention.out.type), attention.out.type, mask),
                             k.load(k.vecF32(), k.at(doutRows[l], d, f32())), carried[l]));
      return next;
    };
    if (whole)
      sums = SmallVector<Value>(k.loop(k.i64(0), k.i64(whole), k.i64(lanes), sums, [&](Value d, ValueRange carried) {
        return step(d, nullptr, carried);
      }));
    if (whole < attention.valueDim)
      sums = step(k.i64(whole), k.laneMask(k.i64(attention.valueDim - whole)), sums);
    k.store(sumRows(k, sums), k.at(delta, group, f32()));
  });
  restoreStatistics(head);
}

/// Where scores are of great size (a finite fill in place of a mask, in a row with nothing else), lse has lost the sum
/// beside the maximum: both are found again.
void AttentionGradTile::restoreStatistics(const AttentionHead &head) {
  ValueRange sizes = k.loop(k.i64(0), width, k.i64(lanes), k.constVec(0), [&](Value group, ValueRange carried) {
    Value size = LLVM::FAbsOp::create(k.b, k.loc, k.load(k.vecF32(), k.at(lse, group, f32())));
    Value unseen = arith::CmpFOp::create(k.b, k.loc, arith::CmpFPredicate::OEQ, size, k.constVec(INFINITY));
    return SmallVector<Value>{
        larger(k, carried[0], arith::SelectOp::create(k.b, k.loc, unseen, k.constVec(0), size))};
  });
  Value largest = vector::ExtractOp::create(k.b, k.loc, maxLanes(k, sizes[0]), int64_t(0));
  Value lost = arith::CmpFOp::create(k.b, k.loc, arith::CmpFPredicate::OGT, largest, k.f32(largestExactLse));
  auto emit = [&](int64_t vectors) {
    QueryTile tile{vectors, first, rows};
    SmallVector<Value> init(vectors, k.constVec(lowestScore)); // maxima, then sums
    init.append(vectors, k.constVec(0));
    Value to = toKey(head);
    ValueRange state =
        k.loop(fromKey(head), to, k.i64(scores.tile.keyBlock), init, [&](Value key, ValueRange carried) {
          Value count = k.min(k.i64(scores.tile.keyBlock), k.sub(to, key));
          ValueRange before = carried.take_front(vectors);
          SmallVector<Value> maxima =
              scores.block(head, tile, key, count, packedQueries, probabilities, extra, before);
          SmallVector<Value> sums;
          for (int64_t v = 0; v < vectors; ++v)
            sums.push_back(arith::MulFOp::create(k.b, k.loc, carried[vectors + v],
                                                 vmath::exp2Unit(k, sub(before[v], maxima[v]))));
          ValueRange total = k.loop(k.i64(0), count, k.i64(1), sums, [&](Value row, ValueRange running) {
            SmallVector<Value> next;
            for (int64_t v = 0; v < vectors; ++v) {
              Value offset = k.add(k.mul(row, k.i64(vectors * lanes)), k.i64(v * lanes));
              Value p = vmath::exp2Unit(k, sub(k.load(k.vecF32(), k.at(probabilities, offset, f32())), maxima[v]));
              next.push_back(arith::AddFOp::create(k.b, k.loc, running[v], p));
            }
            return next;
          });
          maxima.append(total.begin(), total.end());
          return maxima;
        });
    for (int64_t v = 0; v < vectors; ++v) {
      Value sum = state[vectors + v], zero = k.constVec(0);
      Value empty = arith::CmpFOp::create(k.b, k.loc, arith::CmpFPredicate::OEQ, sum, zero);
      k.store(state[v], k.at(lse, k.i64(v * lanes), f32()));
      k.store(arith::SelectOp::create(k.b, k.loc, empty, zero, vmath::log2(k, sum)),
              k.at(rest, k.i64(v * lanes), f32()));
    }
  };
  k.ifThen(lost, [&] { scores.forWidth(width, emit); });
}

Value AttentionGradTile::fromKey(const AttentionHead &head) {
  return scores.alignedFirstKey(k.add(head.start, first));
}

Value AttentionGradTile::toKey(const AttentionHead &head) {
  return scores.endKey(head, k.add(head.start, k.add(first, k.sub(rows, k.i64(1)))));
}

std::pair<Value, Value> AttentionGradTile::keys(const AttentionHead &head, Value from) {
  if (attention.k.type != ElementType::F32)
    return {widenedKeys, k.i64(scores.rowElements(attention.headDim))};
  Value row = k.size(attention.k.row);
  return {k.at(head.k, k.mul(from, row), f32()), row};
}

void AttentionGradTile::block(const AttentionHead &head, Value from, Value count) {
  if (attention.dropout)
    scores.keepFactors(head, first, rows, width, from, count, keep);
  auto emit = [&](int64_t vectors) {
    QueryTile tile{vectors, first, rows};
    scores.products(attention.k, head.k, attention.headDim, vectors, from, count, packedQueries, probabilities, widenedKeys, {});
    scores.products(attention.v, head.v, attention.valueDim, vectors, from, count, packedDouts, slopes, widenedValues, {});
    SmallVector<Value> lses, rests, deltas;
    for (int64_t v = 0; v < vectors; ++v) {
      lses.push_back(k.load(k.vecF32(), k.at(lse, k.i64(v * lanes), f32())));
      rests.push_back(k.load(k.vecF32(), k.at(rest, k.i64(v * lanes), f32())));
      deltas.push_back(k.load(k.vecF32(), k.at(delta, k.i64(v * lanes), f32())));
    }
    // The softmax of one score does not depend on it. Dp and delta would differ by rounding alone, which an optimizer that
    // divides by the size of gradients makes into whole steps.
    Value alone = arith::CmpIOp::create(k.b, k.loc, arith::CmpIPredicate::eq, k.size(attention.keys), k.i64(1));
    auto mul = [&](Value x, Value y) { return arith::MulFOp::create(k.b, k.loc, x, y).getResult(); };
    auto over = [&](bool finish) {
      return scores.overScores(
          head, tile, from, count, probabilities, extra, finish, {},
          [&](Value offset, int64_t v, Value raw, Value score, SmallVector<Value> &) {
            Value slopeAt = k.at(slopes, offset, f32());
            Value p = vmath::exp2Unit(k, sub(sub(score, lses[v]), rests[v])), kept = p;
            Value dp = k.load(k.vecF32(), slopeAt);
            if (attention.dropout) {
              Value factor = k.load(k.vecF32(), k.at(keep, offset, f32()));
              kept = mul(p, factor), dp = mul(dp, factor);
            }
            Value slope = arith::SelectOp::create(k.b, k.loc, alone, k.constVec(0), mul(p, sub(dp, deltas[v])));
            if (wanted == ScoreGrad::Product) {
              if (attention.softcap) {
                Value t = vmath::tanh(k, raw);
                slope = mul(slope, sub(k.constVec(1), mul(t, t)));
              }
              slope = mul(slope, k.constVec(attention.scale));
            }
            k.store(kept, k.at(probabilities, offset, f32()));
            k.store(slope, slopeAt);
          });
    };
    scores.whereFinished({}, head, tile, from, count, [&] { return over(true); }, [&] { return over(false); });
  };
  scores.forWidth(width, emit);
}

} // namespace weft
