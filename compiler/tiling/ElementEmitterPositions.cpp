// Rotary and sinusoidal position embeddings.
// Angles are p * frequency with p up to 2^24. The product is kept in turns and reduced exactly before it is rounded: the
// frequency in turns is a sum of two floats, and fma gives the product's fraction without loss.
#include "tiling/ElementEmitter.h"

#include "tiling/VectorMath.h"

#include <cmath>

using namespace mlir;

namespace weft {

static constexpr double kTurn = 6.283185307179586476925286766559;

static Type storageOf(Value v) { return cast<RankedTensorType>(v.getType()).getElementType(); }

/// Without a fused multiply-add the product is formed in f64, where 24 bits of position times a frequency lose nothing that
/// a float would show. Adding and subtracting 1.5 * 2^52 rounds to a whole number.
static Value wideFraction(KernelBuilder &k, Value position, Value high, Value low, Value phase) {
  Type narrow = position.getType(), f64 = k.b.getF64Type();
  Type wide = isa<VectorType>(narrow) ? Type(k.vec(f64)) : f64;
  auto widen = [&](Value x) { return Value(arith::ExtFOp::create(k.b, k.loc, wide, x)); };
  auto add = [&](Value x, Value y) { return Value(arith::AddFOp::create(k.b, k.loc, x, y)); };
  Value turns = arith::MulFOp::create(k.b, k.loc, widen(position), add(widen(high), widen(low)));
  if (phase)
    turns = add(turns, widen(phase));
  Value magic = literal(k, wide, 6755399441055744.0);
  Value whole = arith::SubFOp::create(k.b, k.loc, add(turns, magic), magic);
  return arith::TruncFOp::create(k.b, k.loc, narrow, arith::SubFOp::create(k.b, k.loc, turns, whole));
}

/// The fraction in [-1/2, 1/2] of position * (high + low) + phase.
Value ElementEmitter::fraction(Value position, Value high, Value low, Value phase) {
  bool fused = lanes() >= 8 || !StringRef(k.target.triple).starts_with("x86");
  if (!fused && getElementTypeOrSelf(position.getType()).isF32())
    return wideFraction(k, position, high, low, phase);
  auto round = [&](Value x) { return Value(LLVM::RoundEvenOp::create(k.b, k.loc, x)); };
  auto sub = [&](Value x, Value y) { return Value(arith::SubFOp::create(k.b, k.loc, x, y)); };
  Value whole = round(arith::MulFOp::create(k.b, k.loc, position, high));
  Value turns = k.fma(position, low, k.fma(position, high, arith::NegFOp::create(k.b, k.loc, whole)));
  if (phase)
    turns = arith::AddFOp::create(k.b, k.loc, turns, phase);
  return sub(turns, round(turns));
}

namespace {

/// Two floats (or doubles) whose sum is the frequency in turns.
struct Frequencies {
  SmallVector<Attribute> high, low;
  void push(OpBuilder &b, Type element, double turns) {
    double first = element.isF64() ? turns : double(float(turns));
    high.push_back(b.getFloatAttr(element, first));
    low.push_back(b.getFloatAttr(element, turns - first));
  }
};

DenseElementsAttr dense(Type element, ArrayRef<Attribute> values) {
  return DenseElementsAttr::get(RankedTensorType::get({int64_t(values.size())}, element), values);
}

} // namespace

static Value sine(KernelBuilder &k, Value x, bool cosine) {
  if (getElementTypeOrSelf(x.getType()).isF64())
    return callLibrary(k, cosine ? "cos" : "sin", x);
  return cosine ? vmath::cos(k, x) : vmath::sin(k, x);
}

Value ElementEmitter::sinusoidAt(SinusoidOp op, const Point &point, Value mask) {
  Type element = computeType(storageOf(op.getY()));
  int64_t features = op.getFeatures();
  auto table = [&](int kind, llvm::function_ref<DenseElementsAttr()> make) {
    return cached(keyOf(op.getOperation(), kind, {}, nullptr), {}, [&] { return globalArray(make()); });
  };
  Frequencies frequencies;
  SmallVector<Attribute> phases;
  for (int64_t j = 0; j < features; ++j) {
    double exponent = double(j / 2 * 2) / double(features);
    frequencies.push(k.b, element, std::pow(op.getBase().convertToDouble(), -exponent) / kTurn);
    phases.push_back(k.b.getFloatAttr(element, j % 2 ? 0.25 : 0.0));
  }
  Value high = table(60, [&] { return dense(element, frequencies.high); });
  Value low = table(61, [&] { return dense(element, frequencies.low); });
  Value phase = table(62, [&] { return dense(element, phases); });
  auto at = [&](Value array) { return load({array, {DimExpr(1)}, element}, {point.back()}, mask); };

  Point where(point.begin(), point.end() - 1);
  Value position = value(op.getPositions(), where, mask);
  bool vector = !isUniform(point);
  auto widen = [&](Value v) { return vector ? asVector(k, v) : v; };
  position = arith::SIToFPOp::create(k.b, k.loc, isa<VectorType>(position.getType()) ? Type(k.vec(element)) : element, position);
  Value turns = fraction(widen(position), widen(at(high)), widen(at(low)), widen(at(phase)));
  return sine(k, arith::MulFOp::create(k.b, k.loc, turns, literal(k, turns.getType(), kTurn)), false);
}

/// The factors of one position, for the columns of a head: cosines [head], then sines with their sign [head], each padded
/// by two vectors. Columns past rotary_dim have 1 and 0.
Value ElementEmitter::ropeTable(RopeOp op, const Point &where, Value mask) {
  Type element = computeType(storageOf(op.getX()));
  int64_t head = *shapeOf(op.getX())[2].constant() / int64_t(op.getHeads()), rotary = op.getRotaryDim(), half = rotary / 2;
  int number = -1;
  for (auto [i, buffer] : llvm::enumerate(plan.buffers))
    if (buffer.value == op.getY() && buffer.kind == 2)
      number = int(i);
  int64_t row = head + 2 * lanes();
  // One table serves all ropes with the same angles of the same position.
  Key key = keyOf(op.getPositions().getAsOpaquePointer(), 63, where, nullptr);
  for (double x : {op.getTheta().convertToDouble(), double(rotary), double(head), double(op.getInterleaved()), double(element.isF64())})
    key.push_back(llvm::bit_cast<uint64_t>(x));
  return cached(key, needsOf(where, nullptr), [&] {
    Value table = bufferPointer(number);
    Frequencies frequencies;
    for (int64_t i = 0; i < half; ++i)
      frequencies.push(k.b, element, std::pow(op.getTheta().convertToDouble(), -2.0 * double(i) / double(rotary)) / kTurn);
    for (int64_t i = half; i % lanes(); ++i)
      frequencies.push(k.b, element, 0);
    Value high = hoistedGlobal(op, 64, dense(element, frequencies.high));
    Value low = hoistedGlobal(op, 65, dense(element, frequencies.low));
    Value position = value(op.getPositions(), where, mask);
    position = k.splat(arith::SIToFPOp::create(k.b, k.loc, element, position));
    auto put = [&](Value vector, int64_t part, Value column) {
      k.store(vector, k.at(k.at(table, k.i64(part * row), element), column, element));
    };
    VectorType type = k.vec(element);
    auto interleave = [&](Value a, Value b, int64_t from) {
      SmallVector<int64_t> order;
      for (int64_t i = 0; i < lanes() / 2; ++i) {
        order.push_back(from + i);
        order.push_back(lanes() + from + i);
      }
      return Value(vector::ShuffleOp::create(k.b, k.loc, a, b, order));
    };
    int64_t vectors = (half + lanes() - 1) / lanes();
    SmallVector<std::pair<Value, Value>> kept;
    auto factors = [&](Value i) {
      Value turns = fraction(position, k.load(type, k.at(high, i, element)), k.load(type, k.at(low, i, element)), nullptr);
      Value angle = arith::MulFOp::create(k.b, k.loc, turns, literal(k, type, kTurn));
      return std::pair(sine(k, angle, true), sine(k, angle, false));
    };
    // A partial vector writes past its part; what follows is written later.
    auto write = [&](Value i, bool second) {
      auto [cosine, sin] = factors(i);
      Value negative = arith::NegFOp::create(k.b, k.loc, sin);
      if (op.getInterleaved()) {
        Value column = k.mul(i, k.i64(2));
        put(interleave(cosine, cosine, 0), 0, column);
        put(interleave(cosine, cosine, lanes() / 2), 0, k.add(column, k.i64(lanes())));
        put(interleave(negative, sin, 0), 1, column);
        put(interleave(negative, sin, lanes() / 2), 1, k.add(column, k.i64(lanes())));
        return;
      }
      Value column = second ? k.add(i, k.i64(half)) : i;
      put(cosine, 0, column);
      put(second ? sin : negative, 1, column);
    };
    bool both = half % lanes() == 0;
    for (bool second : {false, true}) {
      if (second && (op.getInterleaved() || both))
        break;
      loop(constant(0), constant(vectors * lanes()), constant(lanes()), {}, [&](Value i, ValueRange) {
        write(i, second);
        if (both && !op.getInterleaved())
          write(i, true);
        return SmallVector<Value>{};
      });
    }
    for (int64_t column = rotary; column < head; column += lanes()) {
      put(literal(k, type, 1), 0, k.i64(column));
      put(literal(k, type, 0), 1, k.i64(column));
    }
    return table;
  });
}

Value ElementEmitter::hoistedGlobal(Operation *op, int kind, DenseElementsAttr values) {
  return cached(keyOf(op, kind, {}, nullptr), {}, [&] { return globalArray(values); });
}

/// x cos + partner sin, with the pair's other column as partner.
Value ElementEmitter::ropeAt(RopeOp op, const Point &point, Value mask) {
  Type element = computeType(storageOf(op.getX()));
  int64_t head = *shapeOf(op.getX())[2].constant() / int64_t(op.getHeads()), rotary = op.getRotaryDim(), half = rotary / 2;
  Point where = shapeOf(op.getPositions()).size() == 1 ? Point{point[1]} : Point{point[0], point[1]};
  if (!isUniform(where))
    return ropeAnywhere(op, where, point, mask);
  Value table = ropeTable(op, where, mask);
  const Index &column = point[2];
  auto factor = [&](int64_t part, const Index &inHead) {
    Index at = plus(this->at(part * (head + 2 * lanes())), inHead);
    return load({table, {DimExpr(1)}, element}, {at}, nullptr);
  };
  auto combine = [&](Value x, Value partner, Value cosine, Value sin) {
    if (!isUniform(point))
      for (Value *v : {&x, &partner, &cosine, &sin})
        *v = asVector(k, *v);
    return k.fma(x, cosine, arith::MulFOp::create(k.b, k.loc, partner, sin));
  };
  Value x = value(op.getX(), point, mask);
  bool block = !column.vec && column.step == 1 && column.align % lanes() == 0;
  // Where a vector holds whole pairs, the partner is in another lane.
  bool inVector = block && (op.getInterleaved() || lanes() % head == 0);
  if (inVector && (head % lanes() == 0 || lanes() % head == 0)) {
    SmallVector<int64_t> order;
    SmallVector<int64_t> columns;
    for (int64_t lane = 0; lane < lanes(); ++lane) {
      int64_t w = lane % head, other = op.getInterleaved() ? w ^ 1 : w < half ? w + half : w - half;
      order.push_back(op.getInterleaved() ? lane ^ 1 : w < rotary ? lane - w + other : lane);
    }
    x = asVector(k, x);
    Value partner = vector::ShuffleOp::create(k.b, k.loc, x, x, order);
    if (head % lanes() == 0) {
      Index inHead = split(column, DimExpr(head)).second;
      return combine(x, partner, factor(0, inHead), factor(1, inHead));
    }
    auto repeated = [&](int64_t part) {
      // The table's contents belong to this position, not only its address.
      return cached(keyOf(table.getAsOpaquePointer(), 66 + int(part), where, nullptr), needsOf(where, nullptr), [&] {
        Value first = k.load(k.vec(element), k.at(table, k.i64(part * (head + 2 * lanes())), element));
        SmallVector<int64_t> period;
        for (int64_t lane = 0; lane < lanes(); ++lane)
          period.push_back(lane % head);
        return Value(vector::ShuffleOp::create(k.b, k.loc, first, first, period));
      });
    };
    return combine(x, partner, repeated(0), repeated(1));
  }
  Index inHead = split(column, DimExpr(head)).second;
  return combine(x, ropePartner(op, inHead, point, mask), factor(0, inHead), factor(1, inHead));
}

/// x at the other column of the pair; the column itself past rotary_dim.
Value ElementEmitter::ropePartner(RopeOp op, const Index &inHead, const Point &point, Value mask) {
  int64_t rotary = op.getRotaryDim(), half = rotary / 2;
  Point other = point;
  bool oneHalf = !inHead.vec && (inHead.uniform() || (inHead.step == 1 && inHead.align % lanes() == 0 && half % lanes() == 0));
  if (oneHalf && (!op.getInterleaved() || inHead.uniform())) {
    Value column = inHead.base, shift;
    if (op.getInterleaved()) {
      Value odd = hoisted({column}, [&] { return k.urem(column, k.i64(2)); });
      shift = hoisted({odd}, [&] { return k.select(k.less(odd, k.i64(1)), k.i64(1), k.i64(-1)); });
    } else {
      shift = hoisted({column}, [&] { return k.select(k.less(column, k.i64(half)), k.i64(half), k.i64(-half)); });
    }
    shift = hoisted({column, shift}, [&] { return k.select(k.less(column, k.i64(rotary)), shift, k.i64(0)); });
    other[2] = plus(point[2], at(shift));
    return value(op.getX(), other, mask);
  }
  Value w = laneVector(inHead), all = laneVector(point[2]);
  auto lit = [&](int64_t v) { return literal(k, w.getType(), double(v)); };
  auto less = [&](Value a, int64_t b) { return Value(arith::CmpIOp::create(k.b, k.loc, arith::CmpIPredicate::slt, a, lit(b))); };
  Value shift;
  if (op.getInterleaved()) {
    Value odd = arith::AndIOp::create(k.b, k.loc, w, lit(1));
    shift = arith::SelectOp::create(k.b, k.loc, less(odd, 1), lit(1), lit(-1));
  } else {
    shift = arith::SelectOp::create(k.b, k.loc, less(w, half), lit(half), lit(-half));
  }
  shift = arith::SelectOp::create(k.b, k.loc, less(w, rotary), shift, lit(0));
  other[2] = Index{nullptr, 0, arith::AddIOp::create(k.b, k.loc, all, shift), 1};
  return value(op.getX(), other, mask);
}

/// Lanes at different positions: every lane computes its own angle.
Value ElementEmitter::ropeAnywhere(RopeOp op, const Point &where, const Point &point, Value mask) {
  Type element = computeType(storageOf(op.getX()));
  int64_t head = *shapeOf(op.getX())[2].constant() / int64_t(op.getHeads()), rotary = op.getRotaryDim(), half = rotary / 2;
  Frequencies frequencies;
  SmallVector<Attribute> signs;
  for (int64_t w = 0; w < head; ++w) {
    int64_t pair = op.getInterleaved() ? w / 2 : w % half;
    bool rotated = w < rotary, first = op.getInterleaved() ? w % 2 == 0 : w < half;
    frequencies.push(k.b, element, rotated ? std::pow(op.getTheta().convertToDouble(), -2.0 * double(pair) / double(rotary)) / kTurn : 0);
    signs.push_back(k.b.getFloatAttr(element, rotated ? (first ? -1.0 : 1.0) : 0.0));
  }
  Index inHead = split(point[2], DimExpr(head)).second;
  auto at = [&](int kind, ArrayRef<Attribute> values) {
    Value array = hoistedGlobal(op, kind, dense(element, values));
    return asVector(k, load({array, {DimExpr(1)}, element}, {inHead}, mask));
  };
  Value position = asVector(k, value(op.getPositions(), where, mask));
  position = arith::SIToFPOp::create(k.b, k.loc, k.vec(element), position);
  Value turns = fraction(position, at(70, frequencies.high), at(71, frequencies.low), nullptr);
  Value angle = arith::MulFOp::create(k.b, k.loc, turns, literal(k, turns.getType(), kTurn));
  Value sin = arith::MulFOp::create(k.b, k.loc, sine(k, angle, false), at(72, signs));
  Value x = asVector(k, value(op.getX(), point, mask)), partner = asVector(k, ropePartner(op, inHead, point, mask));
  return k.fma(x, sine(k, angle, true), arith::MulFOp::create(k.b, k.loc, partner, sin));
}

} // namespace weft
