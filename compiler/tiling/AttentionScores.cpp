// Scores of query tiles. Masks that are known to hide nothing in a block (causal blocks below the diagonal) cost a
// branch.
#include "tiling/AttentionScores.h"

#include "tiling/Transpose.h"
#include "tiling/VectorMath.h"

using namespace mlir;

namespace weft {

/// With dropout, blocks of keys start where a block of four random numbers does.
static TileSizes attentionTiles(const TargetInfo &target, bool dropout) {
  TileSizes tile = tileSizes(target);
  while (dropout && (tile.keyBlock % 4 || tile.keyBlock % tile.attentionRows))
    --tile.keyBlock;
  return tile;
}

AttentionScores::AttentionScores(KernelBuilder &k, const AttentionSpec &spec)
    : tile(attentionTiles(k.target, spec.dropout.has_value())), k(k), spec(spec) {
  if (!spec.dropout)
    return;
  mask.emplace(k, k.ptrSlot(spec.dropout->random), spec.dropout->p, k.size(spec.dropout->site));
}

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

Value AttentionScores::alignedFirstKey(Value firstPosition) {
  Value first = firstKey(firstPosition);
  return spec.dropout ? k.mul(k.udiv(first, k.i64(4)), k.i64(4)) : first;
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

Value AttentionScores::widthOf(Value rows) {
  int64_t lanes = k.target.lanes;
  Value width = k.i64(lanes);
  for (int64_t vectors = 2; vectors <= tile.queryVectors; vectors *= 2)
    width = k.select(k.less(k.i64(vectors / 2 * lanes), rows), k.i64(vectors * lanes), width);
  return width;
}

void AttentionScores::forWidth(Value width, llvm::function_ref<void(int64_t)> body) {
  std::function<void(int64_t)> variants = [&](int64_t vectors) {
    if (vectors == 1)
      return body(1);
    k.ifThen(
        k.less(width, k.i64(vectors * k.target.lanes)), [&] { variants(vectors / 2); }, [&] { body(vectors); });
  };
  variants(tile.queryVectors);
}

void AttentionScores::pack(const HeadOperand &operand, Value head, int64_t dims, double scale, Value first, Value exist,
                           Value width, Value packed) {
  int64_t lanes = k.target.lanes;
  Type f32 = k.b.getF32Type();
  auto square = [&](Value group, Value d0, int64_t dims) {
    Value mask = dims < lanes ? k.laneMask(k.i64(dims)) : nullptr;
    SmallVector<Value> rows;
    for (int64_t l = 0; l < lanes; ++l) {
      // Rows past the end repeat the last one; nothing of them is kept.
      Value row = k.add(first, k.min(k.add(group, k.i64(l)), k.sub(exist, k.i64(1))));
      Value ptr = elementAt(k, head, k.add(k.mul(row, k.size(operand.row)), d0), operand.type);
      Value values = loadVector(k, ptr, operand.type, mask);
      rows.push_back(scale == 1 ? values : arith::MulFOp::create(k.b, k.loc, values, k.constVec(scale)).getResult());
    }
    rows = transpose(k, rows);
    for (int64_t l = 0; l < dims; ++l)
      k.store(rows[l], k.at(packed, k.add(k.mul(k.add(d0, k.i64(l)), width), group), f32));
  };
  int64_t whole = dims / lanes * lanes;
  k.loop(k.i64(0), width, k.i64(lanes), [&](Value group) {
    if (whole)
      k.loop(k.i64(0), k.i64(whole), k.i64(lanes), [&](Value d0) { square(group, d0, lanes); });
    if (whole < dims)
      square(group, k.i64(whole), dims - whole);
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

SmallVector<Value> AttentionScores::products(const HeadOperand &operand, Value head, int64_t dims, int64_t vectors,
                                             Value from, Value count, Value packed, Value target, Value widened,
                                             ValueRange maxima) {
  int64_t lanes = k.target.lanes, width = vectors * lanes, rows = tileRows(vectors);
  Type f32 = k.b.getF32Type();
  SmallVector<Value> zero(rows * vectors, k.constVec(0));
  Value stride = k.size(operand.row), base = from; // row j of the block is row base + j of `head`
  if (operand.type != ElementType::F32) {
    copyRows(operand, head, dims, from, count, widened);
    head = widened, stride = k.i64(rowElements(dims)), base = k.i64(0);
  }

  auto productTile = [&](Value row, ArrayRef<Value> sources, int64_t unroll, ValueRange running) {
    SmallVector<Value> sums = accumulateTile(
        k, rows, vectors, unroll, k.i64(0), k.i64(dims), zero,
        [&](int64_t r, Value d, int64_t ahead) {
          return k.load(f32, k.at(k.at(sources[r], d, f32), k.i64(ahead), f32));
        },
        [&](Value d, int64_t ahead, int64_t v) {
          return k.load(k.vecF32(),
                        k.at(k.at(packed, k.mul(d, k.i64(width)), f32), k.i64(ahead * width + v * lanes), f32));
        });
    SmallVector<Value> next(running);
    Value results = k.at(target, k.mul(row, k.i64(width)), f32);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t v = 0; v < vectors; ++v) {
        k.store(sums[r * vectors + v], k.at(results, k.i64(r * width + v * lanes), f32));
        if (!next.empty())
          next[v] = larger(k, next[v], sums[r * vectors + v]);
      }
    return next;
  };
  Value whole = k.mul(k.udiv(count, k.i64(rows)), k.i64(rows));
  ValueRange running = k.loop(k.i64(0), whole, k.i64(rows), maxima, [&](Value row, ValueRange carried) {
    Value first = k.at(head, k.mul(k.add(base, row), stride), f32);
    SmallVector<Value> sources;
    for (int64_t r = 0; r < rows; ++r)
      sources.push_back(k.at(first, k.mul(k.i64(r), stride), f32));
    return productTile(row, sources, unroll(vectors), carried);
  });
  // A last tile with too few rows repeats the last one: its products change neither the maximum nor what is read later.
  SmallVector<Type> types(maxima.size(), k.vecF32());
  running = k.ifElse(
      types, k.less(whole, count),
      [&] {
        SmallVector<Value> sources;
        for (int64_t r = 0; r < rows; ++r) {
          Value row = k.add(base, k.min(k.add(whole, k.i64(r)), k.sub(count, k.i64(1))));
          sources.push_back(k.at(head, k.mul(row, stride), f32));
        }
        return productTile(whole, sources, 2, running);
      },
      [&] { return SmallVector<Value>(running); });
  return SmallVector<Value>(running);
}

SmallVector<Value> AttentionScores::block(const AttentionHead &head, const QueryTile &queries, Value from, Value count,
                                          Value packed, Value scores, Value extra, ValueRange maxima) {
  Value widened = widensKeys() ? k.at(extra, k.i64(termElements()), k.b.getF32Type()) : Value();
  ValueRange none;
  SmallVector<Value> running = products(spec.k, head.k, spec.headDim, queries.vectors, from, count, packed, scores,
                                        widened, alwaysFinishes() ? none : maxima);
  SmallVector<Type> types(queries.vectors, k.vecF32());
  return whereFinished(
      types, head, queries, from, count,
      [&] {
        return overScores(head, queries, from, count, scores, extra, /*finish=*/true, maxima,
                          [&](Value offset, int64_t v, Value, Value score, SmallVector<Value> &next) {
                            k.store(score, k.at(scores, offset, k.b.getF32Type()));
                            next[v] = larger(k, next[v], score);
                          });
      },
      [&] { return running; });
}

SmallVector<Value> AttentionScores::whereFinished(TypeRange types, const AttentionHead &head, const QueryTile &queries,
                                                  Value from, Value count, KernelBuilder::Branch finished,
                                                  KernelBuilder::Branch plain) {
  if (alwaysFinishes())
    return finished();
  if (!spec.causal)
    return plain();
  // Below the diagonal and inside the window nothing is hidden.
  Value firstPosition = k.add(head.start, queries.first);
  Value crosses = k.less(firstPosition, k.add(from, k.sub(count, k.i64(1))));
  if (spec.window) {
    Value lastPosition = k.add(firstPosition, k.sub(queries.rows, k.i64(1)));
    Value leaves = k.less(from, k.add(k.sub(lastPosition, k.i64(*spec.window)), k.i64(1)));
    crosses = arith::OrIOp::create(k.b, k.loc, crosses, leaves);
  }
  return SmallVector<Value>(k.ifElse(types, crosses, finished, plain));
}

SmallVector<Value> AttentionScores::overScores(const AttentionHead &head, const QueryTile &queries, Value from,
                                               Value count, Value scores, Value extra, bool finish, ValueRange init,
                                               ScoreBody body) {
  int64_t lanes = k.target.lanes, vectors = queries.vectors, width = vectors * lanes;
  Type f32 = k.b.getF32Type();
  bool terms = finish && transposesTerms();
  if (terms)
    transposeTerms(head, queries, from, count, extra);
  SmallVector<Value> exists;
  for (int64_t v = 0; v < vectors; ++v)
    exists.push_back(k.laneMask(k.sub(queries.rows, k.i64(v * lanes))));
  ValueRange results = k.loop(k.i64(0), count, k.i64(1), init, [&](Value row, ValueRange carried) {
    SmallVector<Value> next(carried);
    for (int64_t v = 0; v < vectors; ++v) {
      Value offset = k.add(k.mul(row, k.i64(width)), k.i64(v * lanes));
      Value raw = k.load(k.vecF32(), k.at(scores, offset, f32)), score = raw;
      if (finish)
        score = finishScore(head, raw, k.add(queries.first, k.i64(v * lanes)), k.add(from, row), /*lanesAreKeys=*/false,
                            exists[v], terms ? k.load(k.vecF32(), k.at(extra, offset, f32)) : Value());
      body(offset, v, raw, score, next);
    }
    return next;
  });
  return SmallVector<Value>(results);
}

// ---- Dropout

Value AttentionScores::elementNumber(const AttentionHead &head, Value query, Value key) {
  Value row = k.add(k.mul(k.add(head.batch, mask->firstSample()), k.size(spec.heads)), head.head);
  row = k.add(k.mul(row, k.size(spec.queries)), query);
  return k.add(k.mul(row, k.size(spec.keys)), key);
}

Value AttentionScores::keepFactor(const AttentionHead &head, Value query, Value key) {
  Value kept = mask->consecutive(elementNumber(head, query, key), k.target.lanes, /*aligned=*/false);
  return arith::SelectOp::create(k.b, k.loc, kept, k.constVec(mask->scale()), k.constVec(0));
}

int64_t AttentionScores::keepElements() const {
  int64_t lanes = k.target.lanes;
  return spec.dropout ? llvm::alignTo(tile.keyBlock, lanes) * tile.queryVectors * lanes + lanes * drawnElements() : 0;
}

void AttentionScores::keepFactors(const AttentionHead &head, Value first, Value rows, Value width, Value from,
                                  Value count, Value keep) {
  int64_t lanes = k.target.lanes;
  Type f32 = k.b.getF32Type();
  Value drawn = k.at(keep, k.i64(llvm::alignTo(tile.keyBlock, lanes) * tile.queryVectors * lanes), f32);
  // Numbers are drawn along keys, where four share a block, and transposed.
  auto draw = [&](Value number, Value target, int64_t together, bool aligned) {
    VectorType type = VectorType::get({together}, f32);
    auto all = [&](double x) -> Value {
      return arith::ConstantOp::create(k.b, k.loc, DenseElementsAttr::get(type, float(x)));
    };
    k.loop(k.i64(0), count, k.i64(together), [&](Value key) {
      Value kept = mask->consecutive(k.add(number, key), together, aligned);
      k.store(arith::SelectOp::create(k.b, k.loc, kept, all(mask->scale()), all(0)), k.at(target, key, f32));
    });
  };
  Value aligned = arith::CmpIOp::create(k.b, k.loc, arith::CmpIPredicate::eq,
                                        k.urem(k.size(spec.keys), k.i64(4)), k.i64(0));
  k.loop(k.i64(0), width, k.i64(lanes), [&](Value group) {
    k.loop(k.i64(0), k.min(k.i64(lanes), k.sub(rows, group)), k.i64(1), [&](Value l) {
      Value number = elementNumber(head, k.add(first, k.add(group, l)), from);
      Value target = k.at(drawn, k.mul(l, k.i64(drawnElements())), f32);
      k.ifThen(
          aligned, [&] { draw(number, target, 2 * lanes, true); }, [&] { draw(number, target, lanes, false); });
    });
    k.loop(k.i64(0), count, k.i64(lanes), [&](Value key) {
      SmallVector<Value> square;
      for (int64_t l = 0; l < lanes; ++l)
        square.push_back(k.load(k.vecF32(), k.at(drawn, k.add(key, k.i64(l * drawnElements())), f32)));
      square = transpose(k, square);
      for (int64_t l = 0; l < lanes; ++l)
        k.store(square[l], k.at(keep, k.add(k.mul(k.add(key, k.i64(l)), width), group), f32));
    });
  });
}

} // namespace weft
