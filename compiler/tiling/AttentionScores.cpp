// Scores of query tiles. Masks that are known to hide nothing in a block (causal blocks below the diagonal) cost a
// branch.
#include "tiling/AttentionScores.h"

#include "tiling/Transpose.h"
#include "tiling/VectorMath.h"

using namespace mlir;

namespace weft {

AttentionScores::AttentionScores(KernelBuilder &k, const AttentionSpec &spec)
    : tile(tileSizes(k.target)), k(k), spec(spec) {}

static bool isConstant(Size s, int64_t value) { return s.isConstant() && s.value == value; }

// ---- Where the data is

static Value headPointer(KernelBuilder &k, const HeadOperand &operand, Value batch, Value head) {
  if (operand.pointer < 0)
    return {};
  Value offset = k.add(k.mul(batch, k.size(operand.batch)), k.mul(head, k.size(operand.head)));
  return elementAt(k, k.ptrSlot(operand.pointer), offset, operand.type);
}

static Value scorePointer(KernelBuilder &k, const ScoreOperand &operand, Value batch, Value head, bool bytes) {
  if (operand.pointer < 0)
    return {};
  Value offset = k.add(k.mul(batch, k.size(operand.batch)), k.mul(head, k.size(operand.head)));
  return k.at(k.ptrSlot(operand.pointer), offset, bytes ? Type(k.b.getI8Type()) : Type(k.b.getF32Type()));
}

Value realTokens(KernelBuilder &k, int validSlot, Value batch, Value all) {
  if (validSlot < 0)
    return all;
  Value pointer = k.ptrSlot(validSlot);
  Value null = LLVM::ZeroOp::create(k.b, k.loc, k.ptrType());
  Value given = LLVM::ICmpOp::create(k.b, k.loc, LLVM::ICmpPredicate::ne, pointer, null);
  Type type = k.i64Type();
  ValueRange result = k.ifElse(
      type, given,
      [&] {
        Value count = k.load(k.b.getI32Type(), k.at(pointer, batch, k.b.getI32Type()));
        return SmallVector<Value>{arith::ExtSIOp::create(k.b, k.loc, k.i64Type(), count)};
      },
      [&] { return SmallVector<Value>{all}; });
  return result[0];
}

Value startPosition(KernelBuilder &k, int startSlot, Value batch) {
  if (startSlot < 0)
    return k.i64(0);
  return k.load(k.i64Type(), k.at(k.ptrSlot(startSlot), batch, k.i64Type()));
}

AttentionHead AttentionScores::head(Value batch, Value head) {
  AttentionHead h;
  h.batch = batch, h.head = head;
  Value group = k.udiv(k.size(spec.heads), k.size(spec.kvHeads));
  Value kvHead = k.udiv(head, group);
  h.q = headPointer(k, spec.q, batch, head);
  h.k = headPointer(k, spec.k, batch, kvHead);
  h.v = headPointer(k, spec.v, batch, kvHead);
  h.out = headPointer(k, spec.out, batch, head);
  h.keyMask = scorePointer(k, spec.keyMask, batch, head, true);
  h.mask = scorePointer(k, spec.mask, batch, head, true);
  h.bias = scorePointer(k, spec.bias, batch, head, false);
  h.start = startPosition(k, spec.start, batch);
  h.keyCount =
      spec.start < 0 ? k.size(spec.keys) : k.add(h.start, realTokens(k, spec.valid, batch, k.size(spec.queries)));
  return h;
}

Value AttentionScores::firstKey(Value firstPosition) {
  if (!spec.causal || !spec.window)
    return k.i64(0);
  return k.max(k.i64(0), k.sub(firstPosition, k.i64(*spec.window - 1)));
}

Value AttentionScores::endKey(const AttentionHead &head, Value lastPosition) {
  return spec.causal ? k.min(head.keyCount, k.add(lastPosition, k.i64(1))) : head.keyCount;
}

// ---- One score

Value AttentionScores::scoreOperandAt(const ScoreOperand &operand, Value base, Value query, Value key, bool bytes) {
  Value offset = k.add(k.mul(query, k.size(operand.query)), k.mul(key, k.size(operand.key)));
  return k.at(base, offset, bytes ? Type(k.b.getI8Type()) : Type(k.b.getF32Type()));
}

Value AttentionScores::loadMask(const ScoreOperand &operand, Value base, Value query, Value key, bool lanesAreKeys,
                                Value exists) {
  Size stride = lanesAreKeys ? operand.key : operand.query;
  Value ptr = scoreOperandAt(operand, base, query, key, true);
  VectorType bytes = k.vec(k.b.getI8Type());
  Value values;
  if (isConstant(stride, 0)) {
    values = k.splat(k.load(k.b.getI8Type(), ptr));
  } else if (isConstant(stride, 1)) {
    values = k.maskedLoad(bytes, ptr, exists);
  } else {
    SmallVector<int64_t> lanes(k.target.lanes);
    for (int64_t i = 0; i < k.target.lanes; ++i)
      lanes[i] = i;
    VectorType i64s = k.vec(k.i64Type());
    Value index = arith::ConstantOp::create(k.b, k.loc, DenseElementsAttr::get(i64s, ArrayRef<int64_t>(lanes)));
    index = arith::MulIOp::create(k.b, k.loc, index, k.splat(k.size(stride)));
    Value pointers =
        LLVM::GEPOp::create(k.b, k.loc, k.vec(k.ptrType()), k.b.getI8Type(), ptr, ArrayRef<LLVM::GEPArg>{index});
    Value zero = arith::ConstantOp::create(k.b, k.loc, k.b.getZeroAttr(bytes));
    values = LLVM::masked_gather::create(k.b, k.loc, bytes, pointers, exists, ValueRange{zero}, 1);
  }
  Value zero = arith::ConstantOp::create(k.b, k.loc, k.b.getZeroAttr(bytes));
  return arith::CmpIOp::create(k.b, k.loc, arith::CmpIPredicate::ne, values, zero);
}

Value AttentionScores::loadBias(Value base, Value query, Value key, bool lanesAreKeys, Value exists) {
  Size stride = lanesAreKeys ? spec.bias.key : spec.bias.query;
  Value ptr = scoreOperandAt(spec.bias, base, query, key, false);
  if (isConstant(stride, 0))
    return k.splat(k.load(k.b.getF32Type(), ptr));
  if (isConstant(stride, 1))
    return k.maskedLoad(k.vecF32(), ptr, exists);
  return gatherVector(k, ptr, k.size(stride), ElementType::F32, exists);
}

Value AttentionScores::additiveTerm(const AttentionHead &head, Value query, Value key, bool lanesAreKeys,
                                    Value exists) {
  Value hidden = k.constVec(-INFINITY), term = k.constVec(0);
  if (head.bias) {
    // Only an infinite bias hides: a finite one is kept finite in base 2, so that a row of one fill stays uniform.
    Value bias = loadBias(head.bias, query, key, lanesAreKeys, exists);
    Value scaled = larger(k, arith::MulFOp::create(k.b, k.loc, bias, k.constVec(log2OfE)), k.constVec(lowestScore));
    Value finite = arith::CmpFOp::create(k.b, k.loc, arith::CmpFPredicate::UNE, bias, hidden);
    term = arith::SelectOp::create(k.b, k.loc, finite, scaled, hidden);
  }
  if (head.mask)
    term = arith::SelectOp::create(k.b, k.loc, loadMask(spec.mask, head.mask, query, key, lanesAreKeys, exists), term,
                                   hidden);
  return term;
}

Value AttentionScores::addTerm(Value score, Value term) {
  Value hidden = k.constVec(-INFINITY);
  Value sum = larger(k, arith::AddFOp::create(k.b, k.loc, score, term), k.constVec(lowestScore));
  Value finite = arith::CmpFOp::create(k.b, k.loc, arith::CmpFPredicate::UNE, term, hidden);
  return arith::SelectOp::create(k.b, k.loc, finite, sum, hidden);
}

bool AttentionScores::transposesTerms() const {
  // Lanes are queries while scores are finished. An operand that is contiguous along keys and not along queries would
  // be gathered there; everything is read along keys instead if all operands can be.
  bool wanted = false;
  for (const ScoreOperand *operand : {&spec.bias, &spec.mask}) {
    if (operand->pointer < 0)
      continue;
    if (!isConstant(operand->key, 0) && !isConstant(operand->key, 1))
      return false;
    wanted |= isConstant(operand->key, 1) && !isConstant(operand->query, 0) && !isConstant(operand->query, 1);
  }
  return wanted;
}

int64_t AttentionScores::termElements() const {
  return transposesTerms() ? llvm::alignTo(tile.keyBlock, k.target.lanes) * tile.queryVectors * k.target.lanes : 0;
}

void AttentionScores::transposeTerms(const AttentionHead &head, const QueryTile &queries, Value from, Value count,
                                     Value terms) {
  int64_t lanes = k.target.lanes, width = queries.vectors * lanes;
  k.loop(k.i64(0), k.i64(width), k.i64(lanes), [&](Value group) {
    k.loop(k.i64(0), count, k.i64(lanes), [&](Value key) {
      Value exists = k.laneMask(k.sub(count, key));
      SmallVector<Value> rows;
      for (int64_t l = 0; l < lanes; ++l) {
        Value query = k.add(queries.first, k.min(k.add(group, k.i64(l)), k.sub(queries.rows, k.i64(1))));
        rows.push_back(additiveTerm(head, query, k.add(from, key), /*lanesAreKeys=*/true, exists));
      }
      rows = transpose(k, rows);
      for (int64_t l = 0; l < lanes; ++l)
        k.store(rows[l], k.at(terms, k.add(k.mul(k.add(key, k.i64(l)), k.i64(width)), group), k.b.getF32Type()));
    });
  });
}

Value AttentionScores::finishScore(const AttentionHead &head, Value score, Value query, Value key, bool lanesAreKeys,
                                   Value exists, Value term) {
  Value hidden = k.constVec(-INFINITY);
  auto cmp = [&](arith::CmpIPredicate predicate, Value x, Value y) -> Value {
    return arith::CmpIOp::create(k.b, k.loc, predicate, x, y);
  };
  auto keep = [&](Value visible) { score = arith::SelectOp::create(k.b, k.loc, visible, score, hidden); };
  if (spec.softcap)
    score = arith::MulFOp::create(k.b, k.loc, vmath::tanh(k, score), k.constVec(*spec.softcap * log2OfE));
  if (hasTerm())
    score = addTerm(score, term ? term : additiveTerm(head, query, key, lanesAreKeys, exists));
  if (head.keyMask)
    keep(loadMask(spec.keyMask, head.keyMask, query, key, lanesAreKeys, exists));
  if (spec.causal) {
    // distance = position of the query - key, in lane 0; positions fit 32 bits.
    Value distance = k.sub(k.add(head.start, query), key);
    Value first = k.splat(arith::TruncIOp::create(k.b, k.loc, k.b.getI32Type(), distance));
    Value distances = lanesAreKeys ? arith::SubIOp::create(k.b, k.loc, first, laneIndices(k)).getResult()
                                   : arith::AddIOp::create(k.b, k.loc, first, laneIndices(k)).getResult();
    Value zero = arith::ConstantOp::create(k.b, k.loc, k.b.getZeroAttr(distances.getType()));
    keep(cmp(arith::CmpIPredicate::sge, distances, zero));
    if (spec.window && *spec.window < INT32_MAX) {
      Value limit = arith::ConstantOp::create(
          k.b, k.loc, DenseElementsAttr::get(cast<VectorType>(distances.getType()), int32_t(*spec.window)));
      keep(cmp(arith::CmpIPredicate::slt, distances, limit));
    }
  }
  return score;
}

// ---- Tiles

int64_t AttentionScores::tileRows(int64_t vectors) const {
  int64_t rows = std::min<int64_t>(12, tile.attentionRows * tile.queryVectors / vectors);
  while (tile.keyBlock % rows) // so that whole blocks have no remainder
    --rows;
  return rows;
}

SmallVector<Value> accumulateTile(KernelBuilder &k, int64_t rows, int64_t vectors, int64_t unroll, Value from, Value to,
                                  ValueRange init, llvm::function_ref<Value(int64_t, Value, int64_t)> a,
                                  llvm::function_ref<Value(Value, int64_t, int64_t)> b) {
  auto steps = [&](Value step, int64_t count, ValueRange carried) {
    SmallVector<Value> acc(carried);
    for (int64_t u = 0; u < count; ++u) {
      SmallVector<Value> columns;
      for (int64_t v = 0; v < vectors; ++v)
        columns.push_back(b(step, u, v));
      for (int64_t r = 0; r < rows; ++r) {
        Value scalar = k.splat(a(r, step, u));
        for (int64_t v = 0; v < vectors; ++v)
          acc[r * vectors + v] = k.fma(scalar, columns[v], acc[r * vectors + v]);
      }
    }
    return acc;
  };
  Value main = k.add(from, k.mul(k.udiv(k.sub(to, from), k.i64(unroll)), k.i64(unroll)));
  ValueRange sums = k.loop(from, main, k.i64(unroll), init,
                           [&](Value step, ValueRange carried) { return steps(step, unroll, carried); });
  auto constantMain = getConstantIntValue(main), constantTo = getConstantIntValue(to);
  if (!(constantMain && constantTo && *constantMain == *constantTo))
    sums = k.loop(main, to, k.i64(1), sums, [&](Value step, ValueRange carried) { return steps(step, 1, carried); });
  return SmallVector<Value>(sums);
}

void AttentionScores::packQueries(const AttentionHead &head, Value first, Value exist, Value width, Value packed) {
  int64_t lanes = k.target.lanes;
  Type f32 = k.b.getF32Type();
  Value scale = k.constVec(queryScale());
  auto square = [&](Value group, Value d0, int64_t dims) {
    Value mask = dims < lanes ? k.laneMask(k.i64(dims)) : nullptr;
    SmallVector<Value> rows;
    for (int64_t l = 0; l < lanes; ++l) {
      // Queries past the end repeat the last one; nothing of them is kept.
      Value query = k.add(first, k.min(k.add(group, k.i64(l)), k.sub(exist, k.i64(1))));
      Value ptr = elementAt(k, head.q, k.add(k.mul(query, k.size(spec.q.row)), d0), spec.q.type);
      rows.push_back(arith::MulFOp::create(k.b, k.loc, loadVector(k, ptr, spec.q.type, mask), scale));
    }
    rows = transpose(k, rows);
    for (int64_t l = 0; l < dims; ++l)
      k.store(rows[l], k.at(packed, k.add(k.mul(k.add(d0, k.i64(l)), width), group), f32));
  };
  int64_t whole = spec.headDim / lanes * lanes;
  k.loop(k.i64(0), width, k.i64(lanes), [&](Value group) {
    if (whole)
      k.loop(k.i64(0), k.i64(whole), k.i64(lanes), [&](Value d0) { square(group, d0, lanes); });
    if (whole < spec.headDim)
      square(group, k.i64(whole), spec.headDim - whole);
  });
}

int64_t AttentionScores::rowElements(int64_t dims) const { return llvm::alignTo(dims, k.target.lanes); }

void AttentionScores::copyRows(const HeadOperand &operand, Value head, int64_t dims, Value from, Value count,
                               Value target) {
  int64_t lanes = k.target.lanes;
  k.loop(k.i64(0), count, k.i64(1), [&](Value row) {
    Value source = elementAt(k, head, k.mul(k.add(from, row), k.size(operand.row)), operand.type);
    Value copy = k.at(target, k.mul(row, k.i64(rowElements(dims))), k.b.getF32Type());
    for (int64_t d = 0; d < dims; d += lanes) {
      Value mask = d + lanes > dims ? k.laneMask(k.i64(dims - d)) : nullptr;
      k.store(loadVector(k, elementAt(k, source, k.i64(d), operand.type), operand.type, mask),
              k.at(copy, k.i64(d), k.b.getF32Type()));
    }
  });
}

SmallVector<Value> AttentionScores::block(const AttentionHead &head, const QueryTile &queries, Value from, Value count,
                                          Value packed, Value scores, Value extra, ValueRange maxima) {
  Value terms = extra, keys = head.k;
  int64_t lanes = k.target.lanes, vectors = queries.vectors, width = vectors * lanes, rows = tileRows(vectors);
  Type f32 = k.b.getF32Type();
  SmallVector<Value> zero(rows * vectors, k.constVec(0));
  Value stride = k.size(spec.k.row), base = from; // key j of the block is row base + j of `keys`
  if (widensKeys()) {
    keys = k.at(extra, k.i64(termElements()), f32);
    copyRows(spec.k, head.k, spec.headDim, from, count, keys);
    stride = k.i64(rowElements(spec.headDim)), base = k.i64(0);
  }

  auto scoreTile = [&](Value row, ArrayRef<Value> keyRows, int64_t unroll, ValueRange running) {
    SmallVector<Value> sums = accumulateTile(
        k, rows, vectors, unroll, k.i64(0), k.i64(spec.headDim), zero,
        [&](int64_t r, Value d, int64_t ahead) {
          return k.load(f32, k.at(k.at(keyRows[r], d, f32), k.i64(ahead), f32));
        },
        [&](Value d, int64_t ahead, int64_t v) {
          return k.load(k.vecF32(),
                        k.at(k.at(packed, k.mul(d, k.i64(width)), f32), k.i64(ahead * width + v * lanes), f32));
        });
    SmallVector<Value> next(running);
    Value target = k.at(scores, k.mul(row, k.i64(width)), f32);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t v = 0; v < vectors; ++v) {
        k.store(sums[r * vectors + v], k.at(target, k.i64(r * width + v * lanes), f32));
        if (!alwaysFinishes())
          next[v] = larger(k, next[v], sums[r * vectors + v]);
      }
    return next;
  };
  Value whole = k.mul(k.udiv(count, k.i64(rows)), k.i64(rows));
  ValueRange running = k.loop(k.i64(0), whole, k.i64(rows), maxima, [&](Value row, ValueRange carried) {
    Value first = k.at(keys, k.mul(k.add(base, row), stride), f32);
    SmallVector<Value> keyRows;
    for (int64_t r = 0; r < rows; ++r)
      keyRows.push_back(k.at(first, k.mul(k.i64(r), stride), f32));
    return scoreTile(row, keyRows, unroll(vectors), carried);
  });
  // A last tile with too few keys repeats the last one: its scores change neither the maximum nor what is read later.
  SmallVector<Type> types(vectors, k.vecF32());
  running = k.ifElse(
      types, k.less(whole, count),
      [&] {
        SmallVector<Value> keyRows;
        for (int64_t r = 0; r < rows; ++r) {
          Value row = k.add(base, k.min(k.add(whole, k.i64(r)), k.sub(count, k.i64(1))));
          keyRows.push_back(k.at(keys, k.mul(row, stride), f32));
        }
        return scoreTile(whole, keyRows, 2, running);
      },
      [&] { return SmallVector<Value>(running); });

  if (!spec.causal && !alwaysFinishes())
    return SmallVector<Value>(running);
  auto finish = [&] {
    if (transposesTerms())
      transposeTerms(head, queries, from, count, terms);
    SmallVector<Value> exists;
    for (int64_t v = 0; v < vectors; ++v)
      exists.push_back(k.laneMask(k.sub(queries.rows, k.i64(v * lanes))));
    ValueRange finished = k.loop(k.i64(0), count, k.i64(1), maxima, [&](Value row, ValueRange carried) {
      SmallVector<Value> next(carried);
      for (int64_t v = 0; v < vectors; ++v) {
        Value offset = k.add(k.mul(row, k.i64(width)), k.i64(v * lanes));
        Value address = k.at(scores, offset, f32);
        Value term = transposesTerms() ? k.load(k.vecF32(), k.at(terms, offset, f32)) : Value();
        Value score = finishScore(head, k.load(k.vecF32(), address), k.add(queries.first, k.i64(v * lanes)),
                                  k.add(from, row), /*lanesAreKeys=*/false, exists[v], term);
        k.store(score, address);
        next[v] = larger(k, next[v], score);
      }
      return next;
    });
    return SmallVector<Value>(finished);
  };
  if (alwaysFinishes())
    return finish();
  // Below the diagonal and inside the window nothing is hidden.
  Value firstPosition = k.add(head.start, queries.first);
  Value crosses = k.less(firstPosition, k.add(from, k.sub(count, k.i64(1))));
  if (spec.window) {
    Value lastPosition = k.add(firstPosition, k.sub(queries.rows, k.i64(1)));
    Value leaves = k.less(from, k.add(k.sub(lastPosition, k.i64(*spec.window)), k.i64(1)));
    crosses = arith::OrIOp::create(k.b, k.loc, crosses, leaves);
  }
  ValueRange result = k.ifElse(types, crosses, finish, [&] { return SmallVector<Value>(running); });
  return SmallVector<Value>(result);
}

} // namespace weft
