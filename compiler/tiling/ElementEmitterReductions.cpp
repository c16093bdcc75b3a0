// Reductions, norms, softmax and pooling: loops over the reduced axes, emitted where the other indices are known.
// Sums run in four chains with a fixed order of combination, so that a row's bits depend on its length alone.
#include "tiling/ElementEmitter.h"

#include "tiling/VectorMath.h"

#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace weft {

static constexpr int kChains = 4;

static Type storageOf(Value v) { return cast<RankedTensorType>(v.getType()).getElementType(); }
static bool isUnsigned(Type storage) { return storage.isUnsignedInteger() || storage.isInteger(1); }

static Value addValues(KernelBuilder &k, Value x, Value y) {
  Type element = getElementTypeOrSelf(x.getType());
  if (isa<FloatType>(element))
    return arith::AddFOp::create(k.b, k.loc, x, y);
  return element.isInteger(1) ? Value(arith::OrIOp::create(k.b, k.loc, x, y)) : Value(arith::AddIOp::create(k.b, k.loc, x, y));
}

static Value extreme(KernelBuilder &k, bool larger, Type storage, Value x, Value y) {
  if (isa<FloatType>(storage))
    return larger ? Value(arith::MaximumFOp::create(k.b, k.loc, x, y)) : Value(arith::MinimumFOp::create(k.b, k.loc, x, y));
  if (isUnsigned(storage))
    return larger ? Value(arith::MaxUIOp::create(k.b, k.loc, x, y)) : Value(arith::MinUIOp::create(k.b, k.loc, x, y));
  return larger ? Value(arith::MaxSIOp::create(k.b, k.loc, x, y)) : Value(arith::MinSIOp::create(k.b, k.loc, x, y));
}

/// The identity of max (or min) in a storage type.
static TypedAttr lowest(KernelBuilder &k, Type storage, bool larger) {
  Type element = computeType(storage);
  if (auto real = dyn_cast<FloatType>(element))
    return k.b.getFloatAttr(element, APFloat::getInf(real.getFloatSemantics(), /*Negative=*/larger));
  unsigned width = element.getIntOrFloatBitWidth();
  if (isUnsigned(storage))
    return k.b.getIntegerAttr(element, larger ? APInt::getMinValue(width) : APInt::getMaxValue(width));
  return k.b.getIntegerAttr(element, larger ? APInt::getSignedMinValue(width) : APInt::getSignedMaxValue(width));
}

// ---- The driver

SmallVector<Value> ElementEmitter::reduceNest(const Shape &shape, ArrayRef<int64_t> axes, int laneAxis, Point &point, Value mask,
                                              ArrayRef<Value> accumulators, const Reduction &reduction) {
  size_t width = reduction.init.size();
  int64_t axis = axes.front();
  Value n = size(shape[axis]);
  auto step = [&](ArrayRef<Value> state, Value on) {
    SmallVector<Value> next = reduction.step(point, on, state);
    for (size_t i = 0; i < width; ++i) {
      if (isa<VectorType>(state[i].getType()))
        next[i] = asVector(k, next[i]);
      if (on && axis == laneAxis)
        next[i] = arith::SelectOp::create(k.b, k.loc, on, next[i], state[i]);
    }
    return next;
  };
  if (axes.size() > 1) {
    SmallVector<Value> results = loop(constant(0), n, constant(1), accumulators, [&](Value iv, ValueRange carried) {
      point[axis] = at(iv);
      return reduceNest(shape, axes.drop_front(), laneAxis, point, mask, SmallVector<Value>(carried), reduction);
    });
    return results;
  }
  if (axis == laneAxis) {
    // `columns` starts all chains from one state; here they start from their own.
    auto first = [&](int chain) { return ArrayRef<Value>(accumulators).slice(chain * width, width); };
    SmallVector<SmallVector<Value>> chains = columns(constant(0), n, kChains, first(0), [&](const Index &j, Value on, ArrayRef<Value> state) {
      point[axis] = j;
      return step(state, on);
    });
    SmallVector<Value> all;
    for (int chain = 0; chain < kChains; ++chain)
      all.append(chains[chain]);
    return all;
  }
  auto fixed = getConstantIntValue(n);
  SmallVector<Value> state(accumulators);
  auto advance = [&](int chain, Index index, ArrayRef<Value> from) {
    point[axis] = index;
    return step(from.slice(chain * width, width), mask);
  };
  if (fixed && *fixed <= 2 * kChains) {
    for (int64_t i = 0; i < *fixed; ++i) {
      SmallVector<Value> next = advance(i % kChains, at(i), state);
      std::copy(next.begin(), next.end(), state.begin() + i % kChains * width);
    }
    return state;
  }
  Value whole = mul(div(n, constant(kChains)), constant(kChains));
  state = loop(constant(0), whole, constant(kChains), state, [&](Value iv, ValueRange carried) {
    SmallVector<Value> from(carried), next;
    for (int chain = 0; chain < kChains; ++chain)
      next.append(advance(chain, at(chain ? add(iv, constant(chain)) : iv), from));
    return next;
  });
  SmallVector<Value> first(state.begin(), state.begin() + width);
  first = loop(whole, n, constant(1), first, [&](Value iv, ValueRange carried) { return advance(0, at(iv), SmallVector<Value>(carried)); });
  std::copy(first.begin(), first.end(), state.begin());
  return state;
}

SmallVector<Value> ElementEmitter::reduce(const Shape &shape, ArrayRef<int64_t> axes, Point point, Value mask, const Reduction &reduction) {
  SmallVector<int64_t> order(axes);
  llvm::sort(order);
  for (int64_t axis : order)
    point[axis] = at(int64_t(0));
  bool uniform = isUniform(point);
  llvm::erase_if(order, [&](int64_t axis) { return shape[axis].constant() == 1; });
  // Lanes run along the last reduced axis, if they do not run along another already.
  int laneAxis = uniform && !order.empty() ? int(order.back()) : -1;
  SmallVector<Value> init, state;
  for (TypedAttr attribute : reduction.init) {
    Value scalar = arith::ConstantOp::create(k.b, k.loc, attribute);
    init.push_back(uniform && laneAxis < 0 ? scalar : k.splat(scalar));
  }
  if (order.empty()) {
    state = reduction.step(point, mask, init);
    for (auto [next, from] : llvm::zip(state, init))
      if (isa<VectorType>(from.getType()))
        next = asVector(k, next);
    return state;
  }
  for (int chain = 0; chain < kChains; ++chain)
    state.append(init);
  size_t width = init.size();
  if (laneAxis >= 0 && order.size() > 1) {
    // The chains' states go through all loops: each row of the nest has its own, merged into the carried one.
    auto rows = ArrayRef<int64_t>(order).drop_back();
    std::function<SmallVector<Value>(ArrayRef<int64_t>, ArrayRef<Value>)> nest = [&](ArrayRef<int64_t> outer, ArrayRef<Value> carried) {
      if (outer.empty()) {
        SmallVector<Value> own = reduceNest(shape, {laneAxis}, laneAxis, point, mask, state, reduction);
        SmallVector<Value> merged;
        for (int chain = 0; chain < kChains; ++chain)
          merged.append(reduction.merge(carried.slice(chain * width, width), ArrayRef<Value>(own).slice(chain * width, width)));
        return merged;
      }
      return loop(constant(0), size(shape[outer.front()]), constant(1), carried, [&](Value iv, ValueRange inner) {
        point[outer.front()] = at(iv);
        return nest(outer.drop_front(), SmallVector<Value>(inner));
      });
    };
    state = nest(rows, state);
  } else {
    state = reduceNest(shape, order, laneAxis, point, mask, state, reduction);
  }
  auto chain = [&](int i) { return ArrayRef<Value>(state).slice(i * width, width); };
  SmallVector<Value> low = reduction.merge(chain(0), chain(1)), high = reduction.merge(chain(2), chain(3));
  SmallVector<Value> total = reduction.merge(low, high);
  if (laneAxis < 0)
    return total;
  for (int64_t half = lanes() / 2; half >= 1; half /= 2) {
    SmallVector<Value> a, b;
    for (Value v : total) {
      SmallVector<int64_t> lower, upper;
      for (int64_t i = 0; i < half; ++i) {
        lower.push_back(i);
        upper.push_back(half + i);
      }
      a.push_back(vector::ShuffleOp::create(k.b, k.loc, v, v, lower));
      b.push_back(vector::ShuffleOp::create(k.b, k.loc, v, v, upper));
    }
    total = reduction.merge(a, b);
  }
  for (Value &v : total)
    v = vector::ExtractOp::create(k.b, k.loc, v, int64_t(0));
  return total;
}

// ---- Row buffers

Value ElementEmitter::bufferPointer(int number) {
  const RowBuffer &buffer = plan.buffers[number];
  Value offset = size(buffer.offset);
  return hoisted({offset}, [&] { return k.at(k.scratch, offset, k.b.getI8Type()); });
}

static Point rowOf(const Point &point) { return Point(point.begin(), point.end() - 1); }

Value ElementEmitter::filledBuffer(Value v, int kind, const Point &point) {
  if (point.empty())
    return nullptr;
  Key key = keyOf(v.getAsOpaquePointer(), 100 + kind, rowOf(point), nullptr);
  for (size_t i = levels.size(); i-- > 0;)
    if (auto found = levels[i].buffers.find(key); found != levels[i].buffers.end())
      return bufferPointer(found->second);
  return nullptr;
}

void ElementEmitter::markFilled(Value v, int kind, const Point &point, int number) {
  levels.back().buffers[keyOf(v.getAsOpaquePointer(), 100 + kind, rowOf(point), nullptr)] = number;
}

static int bufferOf(const RowPlan &plan, Value v, int kind) {
  for (auto [i, buffer] : llvm::enumerate(plan.buffers))
    if (buffer.value == v && buffer.kind == kind)
      return int(i);
  return -1;
}

// ---- Statistics

/// One number per row: reduces the elements of x over `axes`. `point` is a point of x; its indices of `axes` are ignored.
Value ElementEmitter::statistic(Statistic kind, Operation *op, Value x, ArrayRef<int64_t> axes, const Point &point, Value mask, Value center) {
  Shape shape = shapeOf(x);
  Point row = point;
  for (int64_t axis : axes)
    row[axis] = at(int64_t(0));
  bool uniform = isUniform(row);
  if (uniform)
    mask = nullptr;
  SmallVector<Value> needs = needsOf(row, mask);
  if (center)
    needs.push_back(center);
  Type storage = storageOf(x), element = computeType(storage);
  int64_t last = int64_t(shape.size()) - 1;
  bool rowWise = uniform && axes.size() == 1 && axes[0] == last;
  auto constantLength = shape.empty() ? std::optional<int64_t>(1) : shape[last].constant();
  bool unrolled = constantLength && *constantLength <= unrolledVectors(plan, k.target) * lanes();
  Value y = op->getResult(0);
  // A softmax finds its NaN again in the sum of the exponentials: a cheaper maximum will do.
  bool quick = kind == maxOf && isa<SoftmaxOp, LogSoftmaxOp>(op);
  Key key = keyOf(kind == exponentialsOf ? (const void *)op : x.getAsOpaquePointer(), quick ? 19 : 10 + kind, row, mask);
  for (int64_t axis : axes)
    key.push_back(uint64_t(axis));
  return cached(key, needs, [&] {
    auto claim = [&](bool wanted, Value of, int which) {
      int buffer = wanted && rowWise && !unrolled ? bufferOf(plan, of, which) : -1;
      return buffer >= 0 && claimed.insert(buffer).second ? buffer : -1;
    };
    int valueBuffer = claim(kind != exponentialsOf && !filledBuffer(x, 0, row), x, 0);
    int exponentials = claim(kind == exponentialsOf, y, 1);
    auto keep = [&](int buffer, Value v, const Point &at) {
      if (buffer < 0)
        return;
      Value address = k.at(bufferPointer(buffer), at.back().base, element);
      k.store(at.back().uniform() ? v : asVector(k, v), address);
    };
    Reduction r;
    bool larger = kind == maxOf;
    if (kind == maxOf || kind == minOf)
      r.init = {lowest(k, storage, larger)};
    else
      r.init = {cast<TypedAttr>(k.b.getZeroAttr(element))};
    r.step = [&](const Point &at, Value on, ArrayRef<Value> state) -> SmallVector<Value> {
      Value v = kind == exponentialsOf ? softmaxElement(op, x, center, at, on) : value(x, at, on);
      keep(kind == exponentialsOf ? exponentials : valueBuffer, v, at);
      if (isa<VectorType>(state[0].getType()))
        v = asVector(k, v);
      auto like = [&](Value other) { return isa<VectorType>(v.getType()) ? asVector(k, other) : other; };
      switch (kind) {
      case maxOf:
      case minOf:
        if (quick) {
          Value more = arith::CmpFOp::create(k.b, k.loc, arith::CmpFPredicate::OGT, v, state[0]);
          return {arith::SelectOp::create(k.b, k.loc, more, v, state[0])};
        }
        return {extreme(k, larger, storage, v, state[0])};
      case squaresOf:
      case deviationOf: {
        Value d = center ? Value(arith::SubFOp::create(k.b, k.loc, v, like(center))) : v;
        return {k.fma(d, d, state[0])};
      }
      default:
        return {addValues(k, state[0], v)};
      }
    };
    r.merge = [&](ArrayRef<Value> a, ArrayRef<Value> b) -> SmallVector<Value> {
      if (kind != maxOf && kind != minOf)
        return {addValues(k, a[0], b[0])};
      if (quick) {
        Value more = arith::CmpFOp::create(k.b, k.loc, arith::CmpFPredicate::OGT, a[0], b[0]);
        return {arith::SelectOp::create(k.b, k.loc, more, a[0], b[0])};
      }
      return {extreme(k, larger, storage, a[0], b[0])};
    };
    Value result = reduce(shape, axes, row, mask, r)[0];
    if (valueBuffer >= 0)
      markFilled(x, 0, row, valueBuffer);
    if (exponentials >= 0)
      markFilled(y, 1, row, exponentials);
    return result;
  });
}

Value ElementEmitter::divideByCount(Value sum, const Shape &shape, ArrayRef<int64_t> axes, int64_t less) {
  DimExpr count(1);
  for (int64_t axis : axes)
    count = count * shape[axis];
  count = count - DimExpr(less);
  Type element = getElementTypeOrSelf(sum.getType());
  Value n;
  if (std::optional<int64_t> c = count.constant()) {
    n = literal(k, element, double(*c));
  } else {
    Value whole = size(count);
    if (less) // of nothing, the divisor is 0 as without `less`
      whole = arith::MaxSIOp::create(k.b, k.loc, whole, arith::ConstantOp::create(k.b, k.loc, k.b.getIntegerAttr(whole.getType(), 0)));
    n = arith::SIToFPOp::create(k.b, k.loc, element, whole);
  }
  return arith::DivFOp::create(k.b, k.loc, sum, isa<VectorType>(sum.getType()) ? k.splat(n) : n);
}

Value ElementEmitter::meanOf(Operation *op, Value x, ArrayRef<int64_t> axes, const Point &point, Value mask) {
  Value sum = statistic(sumOf, op, x, axes, point, mask);
  return cached(keyOf(sum.getAsOpaquePointer(), 20, {}, nullptr), {sum}, [&] { return divideByCount(sum, shapeOf(x), axes, 0); });
}

// ---- Ops

static SmallVector<int64_t> axesOf(Operation *op) {
  if (auto axes = op->getAttrOfType<DenseI64ArrayAttr>("axes")) {
    SmallVector<int64_t> all(axes.asArrayRef());
    return all;
  }
  return {op->getAttrOfType<IntegerAttr>("axis").getInt()};
}

Value ElementEmitter::rowValue(Operation *op, const Point &point, Value mask) {
  return llvm::TypeSwitch<Operation *, Value>(op)
      .Case<ReduceSumOp, ReduceMeanOp, ReduceMaxOp, ReduceMinOp, VarOp>([&](auto o) {
        return reductionAt(o, axesOf(o), o.getKeepdim(), point, mask);
      })
      .Case<ArgmaxOp>([&](auto o) { return argmaxAt(o, point, mask); })
      .Case<MeanPoolOp, MaxPoolOp>([&](auto) { return poolAt(op, point, mask); })
      .Case<RmsNormOp>([&](auto) { return alongAxis(op, int64_t(point.size()) - 1, point, mask); })
      .Default([&](Operation *) { return alongAxis(op, axesOf(op)[0], point, mask); });
}

/// A point of the operand of a reduction, from a point of its result.
static Point operandPoint(const Point &point, ArrayRef<int64_t> axes, bool keepdim, size_t rank, Index zero) {
  Point from(rank, zero);
  size_t next = 0;
  for (size_t i = 0; i < rank; ++i) {
    bool reduced = llvm::is_contained(axes, int64_t(i));
    if (!reduced)
      from[i] = point[next++];
    else if (keepdim)
      ++next;
  }
  return from;
}

Value ElementEmitter::reductionAt(Operation *op, ArrayRef<int64_t> axes, bool keepdim, const Point &point, Value mask) {
  Value x = op->getOperand(0);
  Shape shape = shapeOf(x);
  Point from = operandPoint(point, axes, keepdim, shape.size(), at(int64_t(0)));
  if (isa<ReduceMaxOp>(op))
    return statistic(maxOf, op, x, axes, from, mask);
  if (isa<ReduceMinOp>(op))
    return statistic(minOf, op, x, axes, from, mask);
  if (isa<ReduceSumOp>(op))
    return statistic(sumOf, op, x, axes, from, mask);
  Value mean = meanOf(op, x, axes, from, mask);
  if (isa<ReduceMeanOp>(op))
    return mean;
  Value squares = statistic(deviationOf, op, x, axes, from, mask, mean);
  return divideByCount(squares, shape, axes, cast<VarOp>(op).getUnbiased() ? 1 : 0);
}

Value ElementEmitter::softmaxElement(Operation *op, Value x, Value maximum, const Point &point, Value mask) {
  Value v = value(x, point, mask);
  if (isa<VectorType>(maximum.getType()))
    v = asVector(k, v);
  Value m = isa<VectorType>(v.getType()) ? asVector(k, maximum) : maximum;
  Value d = arith::SubFOp::create(k.b, k.loc, v, m);
  if (getElementTypeOrSelf(d.getType()).isF64())
    return callLibrary(k, "exp", d);
  return vmath::exp2Unit(k, arith::MulFOp::create(k.b, k.loc, d, literal(k, d.getType(), 1.44269504088896340736)));
}

Value ElementEmitter::alongAxis(Operation *op, int64_t axis, const Point &point, Value mask) {
  Value x = op->getOperand(0);
  Shape shape = shapeOf(x);
  Type element = computeType(storageOf(x));
  auto lit = [&](Value like, double v) { return literal(k, like.getType(), v); };
  auto row = [&](int kind, Value from, llvm::function_ref<Value()> make) {
    return cached(keyOf(op, 50 + kind, {}, from), {from}, make);
  };
  auto match = [&](Value v, Value scalar) { return isa<VectorType>(v.getType()) ? asVector(k, scalar) : scalar; };
  auto pair = [&](Value &a, Value &b) {
    if (isa<VectorType>(a.getType()) || isa<VectorType>(b.getType())) {
      a = asVector(k, a);
      b = asVector(k, b);
    }
  };
  auto mulF = [&](Value a, Value b) {
    pair(a, b);
    return Value(arith::MulFOp::create(k.b, k.loc, a, b));
  };
  auto subF = [&](Value a, Value b) {
    pair(a, b);
    return Value(arith::SubFOp::create(k.b, k.loc, a, b));
  };
  auto rsqrt = [&](Value v) {
    if (!element.isF64())
      return vmath::rsqrt(k, v);
    return Value(arith::DivFOp::create(k.b, k.loc, lit(v, 1), LLVM::SqrtOp::create(k.b, k.loc, v)));
  };
  auto along = [&](Value parameter) { return value(parameter, {point[axis]}, mask); };

  if (isa<SoftmaxOp, LogSoftmaxOp>(op)) {
    Value maximum = statistic(maxOf, op, x, {axis}, point, mask);
    if (isa<LogSoftmaxOp>(op)) {
      Value sum = statistic(exponentialsOf, op, x, {axis}, point, mask, maximum);
      Value log = row(1, sum, [&] { return element.isF64() ? callLibrary(k, "log", sum) : vmath::log(k, sum); });
      return subF(subF(value(x, point, mask), maximum), log);
    }
    // A row of only -inf: subtracting 0 makes all exponentials 0, and so the quotients.
    Value shift = row(2, maximum, [&] {
      Value low = literal(k, maximum.getType(), -std::numeric_limits<double>::infinity());
      Value empty = arith::CmpFOp::create(k.b, k.loc, arith::CmpFPredicate::OEQ, maximum, low);
      return Value(arith::SelectOp::create(k.b, k.loc, empty, lit(maximum, 0), maximum));
    });
    Value sum = statistic(exponentialsOf, op, x, {axis}, point, mask, shift);
    Value inverse = row(3, sum, [&] {
      Value none = arith::CmpFOp::create(k.b, k.loc, arith::CmpFPredicate::OEQ, sum, lit(sum, 0));
      Value quotient = arith::DivFOp::create(k.b, k.loc, lit(sum, 1), sum);
      return Value(arith::SelectOp::create(k.b, k.loc, none, lit(sum, 0), quotient));
    });
    Value exponential;
    if (Value buffer = axis == int64_t(shape.size()) - 1 ? filledBuffer(op->getResult(0), 1, point) : nullptr)
      exponential = load({buffer, {DimExpr(1)}, element}, {point.back()}, nullptr);
    else
      exponential = cached(keyOf(op, 3, point, mask), needsOf(point, mask), [&] { return softmaxElement(op, x, shift, point, mask); });
    return mulF(exponential, inverse);
  }
  if (auto norm = dyn_cast<LayerNormOp>(op)) {
    Value mean = meanOf(op, x, {axis}, point, mask);
    Value squares = statistic(deviationOf, op, x, {axis}, point, mask, mean);
    Value scale = row(4, squares, [&] {
      Value variance = divideByCount(squares, shape, {axis}, norm.getUnbiased() ? 1 : 0);
      Value eps = lit(variance, norm.getEps().convertToDouble());
      if (!norm.getEpsOutside())
        return rsqrt(arith::AddFOp::create(k.b, k.loc, variance, eps));
      Value deviation = element.isF64() ? Value(LLVM::SqrtOp::create(k.b, k.loc, variance)) : vmath::sqrt(k, variance);
      return Value(arith::DivFOp::create(k.b, k.loc, lit(variance, 1), arith::AddFOp::create(k.b, k.loc, deviation, eps)));
    });
    Value y = mulF(subF(value(x, point, mask), mean), scale);
    if (!norm.getWeight() && !norm.getBias())
      return y;
    Value weight = norm.getWeight() ? along(norm.getWeight()) : lit(y, 1);
    if (!norm.getBias())
      return mulF(y, weight);
    Value bias = along(norm.getBias());
    if (isa<VectorType>(y.getType()) || isa<VectorType>(weight.getType()) || isa<VectorType>(bias.getType())) {
      y = asVector(k, y);
      weight = asVector(k, weight);
      bias = asVector(k, bias);
    }
    if (!norm.getWeight())
      return arith::AddFOp::create(k.b, k.loc, y, bias);
    return k.fma(y, weight, bias);
  }
  Value squares = statistic(squaresOf, op, x, {axis}, point, mask);
  if (auto norm = dyn_cast<RmsNormOp>(op)) {
    Value scale = row(5, squares, [&] {
      Value mean = divideByCount(squares, shape, {axis}, 0);
      return rsqrt(arith::AddFOp::create(k.b, k.loc, mean, lit(mean, norm.getEps().convertToDouble())));
    });
    return mulF(mulF(value(x, point, mask), scale), along(norm.getWeight()));
  }
  auto norm = cast<L2NormalizeOp>(op);
  Value inverse = row(6, squares, [&] {
    Value length = element.isF64() ? Value(LLVM::SqrtOp::create(k.b, k.loc, squares)) : vmath::sqrt(k, squares);
    Value least = lit(length, norm.getEps().convertToDouble());
    Value below = arith::CmpFOp::create(k.b, k.loc, arith::CmpFPredicate::OLT, length, least);
    return Value(arith::DivFOp::create(k.b, k.loc, lit(length, 1), arith::SelectOp::create(k.b, k.loc, below, match(length, least), length)));
  });
  return mulF(value(x, point, mask), inverse);
}

/// Accumulates (value, index); NaN counts as the largest, ties go to the lower index.
Value ElementEmitter::argmaxAt(ArgmaxOp op, const Point &point, Value mask) {
  Value x = op.getX();
  Shape shape = shapeOf(x);
  int64_t axis = op.getAxis();
  Type storage = storageOf(x), element = computeType(storage), i32 = k.b.getI32Type();
  Point row = operandPoint(point, {axis}, op.getKeepdim(), shape.size(), at(int64_t(0)));
  if (isUniform(row))
    mask = nullptr;
  auto larger = [&](Value a, Value b) -> Value {
    if (!isa<FloatType>(element))
      return arith::CmpIOp::create(k.b, k.loc, isUnsigned(storage) ? arith::CmpIPredicate::ugt : arith::CmpIPredicate::sgt, a, b);
    Value above = arith::CmpFOp::create(k.b, k.loc, arith::CmpFPredicate::UGT, a, b);
    Value number = arith::CmpFOp::create(k.b, k.loc, arith::CmpFPredicate::ORD, b, b);
    return arith::AndIOp::create(k.b, k.loc, above, number);
  };
  auto equal = [&](Value a, Value b) -> Value {
    if (!isa<FloatType>(element))
      return arith::CmpIOp::create(k.b, k.loc, arith::CmpIPredicate::eq, a, b);
    return arith::XOrIOp::create(k.b, k.loc, arith::OrIOp::create(k.b, k.loc, larger(a, b), larger(b, a)),
                                 literal(k, larger(a, b).getType(), 1));
  };
  auto choose = [&](Value take, ArrayRef<Value> a, ArrayRef<Value> b) -> SmallVector<Value> {
    return {arith::SelectOp::create(k.b, k.loc, take, a[0], b[0]), arith::SelectOp::create(k.b, k.loc, take, a[1], b[1])};
  };
  Reduction r;
  r.init = {lowest(k, storage, true), k.b.getI32IntegerAttr(INT32_MAX)};
  r.step = [&](const Point &at, Value on, ArrayRef<Value> state) -> SmallVector<Value> {
    Value v = value(x, at, on), index = valueOfIndex(at[axis], i32);
    if (isa<VectorType>(state[0].getType())) {
      v = asVector(k, v);
      index = asVector(k, index);
    }
    // The first element always counts, also where it is the lowest value there is.
    Value fresh = arith::CmpIOp::create(k.b, k.loc, arith::CmpIPredicate::eq, state[1], literal(k, state[1].getType(), INT32_MAX));
    return choose(arith::OrIOp::create(k.b, k.loc, larger(v, state[0]), fresh), {v, index}, state);
  };
  r.merge = [&](ArrayRef<Value> a, ArrayRef<Value> b) -> SmallVector<Value> {
    Value before = arith::CmpIOp::create(k.b, k.loc, arith::CmpIPredicate::slt, a[1], b[1]);
    Value tie = arith::AndIOp::create(k.b, k.loc, equal(a[0], b[0]), before);
    return choose(arith::OrIOp::create(k.b, k.loc, larger(a[0], b[0]), tie), a, b);
  };
  return cached(keyOf(op.getOperation(), 30, row, mask), needsOf(row, mask), [&] {
    Value index = reduce(shape, {axis}, row, mask, r)[1];
    Value none = arith::CmpIOp::create(k.b, k.loc, arith::CmpIPredicate::eq, index, literal(k, index.getType(), INT32_MAX));
    return Value(arith::SelectOp::create(k.b, k.loc, none, literal(k, index.getType(), 0), index));
  });
}

Value ElementEmitter::poolAt(Operation *op, const Point &point, Value mask) {
  Value x = op->getOperand(0), keep = op->getNumOperands() > 1 ? op->getOperand(1) : nullptr;
  Shape shape = shapeOf(x);
  Type element = computeType(storageOf(x));
  bool mean = isa<MeanPoolOp>(op);
  Point row{point[0], at(int64_t(0)), point[1]};
  if (isUniform(row))
    mask = nullptr;
  // Positions that count, as a number.
  Value count;
  Type counting = mean ? element : k.b.getI32Type();
  if (keep) {
    Reduction r;
    r.init = {cast<TypedAttr>(k.b.getZeroAttr(counting))};
    r.step = [&](const Point &at, Value on, ArrayRef<Value> state) -> SmallVector<Value> {
      Value flag = value(keep, at, on);
      if (isa<VectorType>(state[0].getType()))
        flag = asVector(k, flag);
      Value one = literal(k, state[0].getType(), 1), zero = literal(k, state[0].getType(), 0);
      return {addValues(k, state[0], arith::SelectOp::create(k.b, k.loc, flag, one, zero))};
    };
    r.merge = [&](ArrayRef<Value> a, ArrayRef<Value> b) -> SmallVector<Value> { return {addValues(k, a[0], b[0])}; };
    Point counted{point[0], at(int64_t(0))};
    Value lanesOn = isUniform(counted) ? Value() : mask;
    count = cached(keyOf(op, 40, counted, lanesOn), needsOf(counted, lanesOn), [&] { return reduce(shapeOf(keep), {1}, counted, lanesOn, r)[0]; });
  }
  Reduction r;
  r.init = {mean ? cast<TypedAttr>(k.b.getZeroAttr(element)) : lowest(k, element, true)};
  auto join = [&](Value a, Value b) { return mean ? addValues(k, a, b) : extreme(k, true, element, a, b); };
  r.step = [&](const Point &at, Value on, ArrayRef<Value> state) -> SmallVector<Value> {
    Value v = value(x, at, on);
    Value flag = keep ? value(keep, {at[0], at[1]}, on) : Value();
    bool vector = isa<VectorType>(state[0].getType());
    if (vector)
      v = asVector(k, v);
    Value next = join(state[0], v);
    if (!flag)
      return {next};
    if (!vector || isa<VectorType>(flag.getType()))
      return {arith::SelectOp::create(k.b, k.loc, flag, next, state[0])};
    return {arith::SelectOp::create(k.b, k.loc, k.splat(flag), next, state[0])};
  };
  r.merge = [&](ArrayRef<Value> a, ArrayRef<Value> b) -> SmallVector<Value> { return {join(a[0], b[0])}; };
  Value total = cached(keyOf(op, 41, row, mask), needsOf(row, mask), [&] { return reduce(shape, {1}, row, mask, r)[0]; });
  auto like = [&](Value v) { return isa<VectorType>(total.getType()) ? asVector(k, v) : v; };
  if (mean) {
    Value n = count;
    if (!n) {
      Value size = this->size(shape[1]);
      n = arith::SIToFPOp::create(k.b, k.loc, element, size);
    }
    Value one = literal(k, n.getType(), 1);
    Value few = arith::CmpFOp::create(k.b, k.loc, arith::CmpFPredicate::OLT, n, one);
    return arith::DivFOp::create(k.b, k.loc, total, like(arith::SelectOp::create(k.b, k.loc, few, one, n)));
  }
  Value zero = literal(k, total.getType(), 0);
  if (!count) {
    Value some = k.less(constant(0), size(shape[1]));
    return arith::SelectOp::create(k.b, k.loc, some, total, zero);
  }
  Value none = arith::CmpIOp::create(k.b, k.loc, arith::CmpIPredicate::eq, count, literal(k, count.getType(), 0));
  return arith::SelectOp::create(k.b, k.loc, isa<VectorType>(none.getType()) ? none : like(none), zero, total);
}

} // namespace weft
