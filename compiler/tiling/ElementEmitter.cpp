// Where code goes (levels), index arithmetic, memory access, and the dispatch over ops.
// Hoisting is decided by dominance alone: a value can be emitted before a loop when all indices it needs are known there.
#include "tiling/ElementEmitter.h"

#include "tiling/EmitDimExpr.h"

#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "llvm/ADT/TypeSwitch.h"

#include <numeric>

using namespace mlir;

namespace weft {

ElementEmitter::ElementEmitter(KernelBuilder &k, const RowKernelSpec &spec, const RowPlan &plan)
    : k(k), spec(spec), plan(plan), levels(1) {}

// ---- Levels

bool ElementEmitter::available(Value v, const Level &level) const {
  if (!level.anchor)
    return true;
  Block *block = v.getParentBlock();
  Operation *ancestor = block->findAncestorOpInBlock(*level.anchor);
  if (!ancestor)
    return false;
  Operation *definition = v.getDefiningOp();
  return !definition || definition->isBeforeInBlock(ancestor);
}

size_t ElementEmitter::levelOf(ArrayRef<Value> needs) const {
  size_t level = levels.size() - 1;
  while (level > 0 && !levels[level].barrier &&
         llvm::all_of(needs, [&](Value v) { return available(v, levels[level - 1]); }))
    --level;
  return level;
}

void ElementEmitter::hoist(size_t level, llvm::function_ref<void()> emit) {
  if (level + 1 == levels.size()) {
    emit();
    return;
  }
  std::vector<Level> inner(std::make_move_iterator(levels.begin() + level + 1), std::make_move_iterator(levels.end()));
  levels.resize(level + 1);
  Operation *anchor = std::exchange(levels[level].anchor, nullptr);
  {
    OpBuilder::InsertionGuard guard(k.b);
    k.b.setInsertionPoint(anchor);
    emit();
  }
  levels[level].anchor = anchor;
  for (Level &next : inner)
    levels.push_back(std::move(next));
}

Value ElementEmitter::hoisted(ArrayRef<Value> needs, llvm::function_ref<Value()> emit) {
  Value result;
  hoist(levelOf(needs), [&] { result = emit(); });
  return result;
}

Value ElementEmitter::cached(const Key &key, ArrayRef<Value> needs, llvm::function_ref<Value()> emit) {
  for (size_t i = levels.size(); i-- > 0;)
    if (auto found = levels[i].cache.find(key); found != levels[i].cache.end())
      return found->second;
  size_t level = levelOf(needs);
  Value result;
  hoist(level, [&] { result = emit(); });
  levels[level].cache[key] = result;
  return result;
}

SmallVector<Value> ElementEmitter::loop(Value from, Value to, Value step, ValueRange init, Body body) {
  size_t outside = levels.size() - 1;
  ValueRange results = k.loop(from, to, step, init, [&](Value iv, ValueRange carried) {
    levels[outside].anchor = iv.getParentBlock()->getParentOp();
    levels.emplace_back();
    SmallVector<Value> yielded = body(iv, carried);
    levels.pop_back();
    return yielded;
  });
  levels[outside].anchor = nullptr;
  return SmallVector<Value>(results.begin(), results.end());
}

Value ElementEmitter::conditional(Value condition, Type type, llvm::function_ref<Value()> then,
                                  llvm::function_ref<Value()> otherwise) {
  size_t outside = levels.size() - 1;
  auto branch = [&](llvm::function_ref<Value()> emit) {
    levels[outside].anchor = k.b.getInsertionBlock()->getParentOp();
    levels.emplace_back();
    levels.back().barrier = true;
    Value value = emit();
    if (isa<VectorType>(type))
      value = asVector(k, value);
    levels.pop_back();
    return SmallVector<Value>{value};
  };
  ValueRange results = k.ifElse({type}, condition, [&] { return branch(then); }, [&] { return branch(otherwise); });
  levels[outside].anchor = nullptr;
  return results[0];
}

SmallVector<SmallVector<Value>> ElementEmitter::columns(Value from, Value to, int chains, ArrayRef<Value> init, ColumnBody body) {
  SmallVector<SmallVector<Value>> accumulators(chains, SmallVector<Value>(init));
  int64_t step = lanes();
  auto index = [&](Value base) { return Index{base, 1, nullptr, step}; };
  auto first = getConstantIntValue(from), last = getConstantIntValue(to);
  bool fixed = first && last;
  int64_t length = fixed ? std::max<int64_t>(*last - *first, 0) : 0;
  auto flatten = [&] {
    SmallVector<Value> all;
    for (auto &chain : accumulators)
      all.append(chain);
    return all;
  };
  auto unflatten = [&](ValueRange all) {
    for (size_t i = 0; i < all.size(); ++i)
      accumulators[i / init.size()][i % init.size()] = all[i];
  };
  auto advance = [&](int64_t start, int64_t end) {
    int chain = 0;
    for (int64_t j = start; j < end; j += step, chain = (chain + 1) % chains)
      accumulators[chain] = body(index(constant(j)), end - j < step ? tailMask(constant(end - j)) : Value(), accumulators[chain]);
  };
  if (fixed && length <= unrolledVectors(plan, k.target) * step) {
    advance(*first, *last);
    return accumulators;
  }
  // Whole groups of vectors, then what is left: one vector at a time with a mask, or unrolled where its length is known.
  Value group = constant(step * chains);
  Value whole = fixed ? constant(*first + length / (step * chains) * (step * chains))
                      : add(from, mul(div(k.max(k.sub(to, from), constant(0)), group), group));
  unflatten(loop(from, whole, group, flatten(), [&](Value iv, ValueRange carried) {
    unflatten(carried);
    for (int chain = 0; chain < chains; ++chain)
      accumulators[chain] = body(index(chain ? add(iv, constant(chain * step)) : iv), nullptr, accumulators[chain]);
    return flatten();
  }));
  if (fixed) {
    advance(*first + length / (step * chains) * (step * chains), *last);
    return accumulators;
  }
  SmallVector<Value> rest = loop(whole, to, constant(step), accumulators[0], [&](Value iv, ValueRange carried) {
    return body(index(iv), tailMask(k.sub(to, iv)), SmallVector<Value>(carried));
  });
  accumulators[0] = rest;
  return accumulators;
}

// ---- Sizes and indices

Value ElementEmitter::constant(int64_t v) {
  Value &value = constants[v];
  if (!value) {
    OpBuilder::InsertionGuard guard(k.b);
    k.b.setInsertionPointToStart(&k.func.getBody().front());
    value = k.i64(v);
  }
  return value;
}

Value ElementEmitter::size(const DimExpr &expr) {
  if (std::optional<int64_t> c = expr.constant())
    return constant(*c);
  Value &value = sizes[expr.str()];
  if (!value)
    hoist(0, [&] { value = emitDimExpr(k, expr, spec.dims); });
  return value;
}

Value ElementEmitter::add(Value x, Value y) {
  Value sum = hoisted({x, y}, [&] { return k.add(x, y); });
  auto c = getConstantIntValue(sum);
  return c ? constant(*c) : sum;
}

Value ElementEmitter::mul(Value x, Value y) {
  Value product = hoisted({x, y}, [&] { return k.mul(x, y); });
  auto c = getConstantIntValue(product);
  return c ? constant(*c) : product;
}

Value ElementEmitter::div(Value x, Value y) {
  auto divisor = getConstantIntValue(y);
  Value quotient = hoisted({x, y}, [&] { return k.udiv(x, divisor && *divisor ? y : k.max(y, k.i64(1))); });
  auto c = getConstantIntValue(quotient);
  return c ? constant(*c) : quotient;
}

Value ElementEmitter::rem(Value x, Value y) {
  auto divisor = getConstantIntValue(y);
  Value rest = hoisted({x, y}, [&] { return k.urem(x, divisor && *divisor ? y : k.max(y, k.i64(1))); });
  auto c = getConstantIntValue(rest);
  return c ? constant(*c) : rest;
}

Value ElementEmitter::tailMask(Value count) {
  auto c = getConstantIntValue(count);
  if (!c)
    return hoisted({count}, [&] { return k.laneMask(count); });
  int64_t on = std::clamp<int64_t>(*c, 0, lanes());
  Value &mask = tailMasks[on];
  if (!mask) {
    OpBuilder::InsertionGuard guard(k.b);
    k.b.setInsertionPointToStart(&k.func.getBody().front());
    SmallVector<bool> bits(lanes());
    std::fill(bits.begin(), bits.begin() + on, true);
    mask = arith::ConstantOp::create(k.b, k.loc, DenseElementsAttr::get(k.vec(k.b.getI1Type()), ArrayRef<bool>(bits)));
  }
  return mask;
}

static Value laneNumbers(KernelBuilder &k, Type element, int64_t step) {
  SmallVector<Attribute> values;
  for (int64_t i = 0; i < k.target.lanes; ++i)
    values.push_back(isa<FloatType>(element) ? Attribute(k.b.getFloatAttr(element, double(i * step)))
                                             : Attribute(k.b.getIntegerAttr(element, APInt(element.getIntOrFloatBitWidth(), i * step, false, true).getSExtValue())));
  return arith::ConstantOp::create(k.b, k.loc, DenseElementsAttr::get(k.vec(element), values));
}

Value ElementEmitter::laneVector(const Index &index) {
  if (index.vec)
    return index.vec;
  Value base = k.splat(index.base);
  return index.step ? Value(arith::AddIOp::create(k.b, k.loc, base, laneNumbers(k, k.i64Type(), index.step))) : base;
}

Value ElementEmitter::valueOfIndex(const Index &index, Type storage) {
  Type element = computeType(storage);
  Value x = index.uniform() ? index.base : laneVector(index);
  Type type = index.uniform() ? element : Type(k.vec(element));
  if (isa<FloatType>(element))
    return arith::SIToFPOp::create(k.b, k.loc, type, x);
  if (element.isInteger(1))
    return arith::CmpIOp::create(k.b, k.loc, arith::CmpIPredicate::ne, x, literal(k, x.getType(), 0));
  return element.isInteger(64) ? x : Value(arith::TruncIOp::create(k.b, k.loc, type, x));
}

Index ElementEmitter::plus(const Index &x, const Index &y) {
  if (x.vec || y.vec)
    return {nullptr, 0, arith::AddIOp::create(k.b, k.loc, laneVector(x), laneVector(y)), 1};
  auto cx = getConstantIntValue(x.base), cy = getConstantIntValue(y.base);
  int64_t align = std::gcd(cx && *cx == 0 ? y.align : x.align, cy && *cy == 0 ? x.align : y.align);
  return {add(x.base, y.base), x.step + y.step, nullptr, align};
}

Index ElementEmitter::times(const Index &x, const DimExpr &factor) {
  Value by = size(factor);
  std::optional<int64_t> c = factor.constant();
  if (x.vec || (x.step && !c))
    return {nullptr, 0, arith::MulIOp::create(k.b, k.loc, laneVector(x), k.splat(by)), 1};
  return {mul(x.base, by), c ? x.step * *c : 0, nullptr, c && *c ? std::abs(x.align * *c) : x.align};
}

/// Quotient and remainder of an index by a size.
std::pair<Index, Index> ElementEmitter::split(const Index &x, const DimExpr &by) {
  Value n = size(by);
  std::optional<int64_t> c = by.constant();
  if (!x.vec) {
    Value quotient = div(x.base, n), rest = rem(x.base, n);
    if (x.uniform())
      return {at(quotient), at(rest)};
    // All lanes lie in one group.
    if (c && x.step == 1 && *c % lanes() == 0 && x.align % lanes() == 0)
      return {at(quotient), Index{rest, 1, nullptr, lanes()}};
    // What lanes add is small: 32-bit division suffices, by a constant it is a multiplication.
    if (c && *c > 0 && *c < (int64_t(1) << 30) && std::abs(x.step) < (int64_t(1) << 20)) {
      Type i32 = k.b.getI32Type();
      Value first = k.splat(arith::TruncIOp::create(k.b, k.loc, i32, rest));
      Value lane = arith::AddIOp::create(k.b, k.loc, first, laneNumbers(k, i32, x.step));
      Value by32 = literal(k, lane.getType(), double(*c));
      Value groups = arith::DivUIOp::create(k.b, k.loc, lane, by32);
      Value inside = arith::RemUIOp::create(k.b, k.loc, lane, by32);
      VectorType wide = k.vec(k.i64Type());
      groups = arith::ExtUIOp::create(k.b, k.loc, wide, groups);
      inside = arith::ExtUIOp::create(k.b, k.loc, wide, inside);
      return {Index{nullptr, 0, arith::AddIOp::create(k.b, k.loc, k.splat(quotient), groups), 1}, Index{nullptr, 0, inside, 1}};
    }
  }
  Value all = laneVector(x), divisor = k.splat(k.max(n, k.i64(1)));
  return {Index{nullptr, 0, arith::DivUIOp::create(k.b, k.loc, all, divisor), 1},
          Index{nullptr, 0, arith::RemUIOp::create(k.b, k.loc, all, divisor), 1}};
}

bool ElementEmitter::isUniform(const Point &point) {
  return llvm::all_of(point, [](const Index &i) { return i.uniform(); });
}

ElementEmitter::Key ElementEmitter::keyOf(const void *what, int kind, const Point &point, Value mask) const {
  Key key{reinterpret_cast<uint64_t>(what), uint64_t(kind), reinterpret_cast<uint64_t>(mask ? mask.getAsOpaquePointer() : nullptr)};
  for (const Index &index : point) {
    Value v = index.vec ? index.vec : index.base;
    auto c = getConstantIntValue(v);
    key.push_back(index.vec ? 2 : c ? 0 : 1);
    key.push_back(c ? uint64_t(*c) : reinterpret_cast<uint64_t>(v.getAsOpaquePointer()));
    key.push_back(index.vec ? 0 : uint64_t(index.step));
  }
  return key;
}

SmallVector<Value> ElementEmitter::needsOf(const Point &point, Value mask) {
  SmallVector<Value> needs;
  for (const Index &index : point)
    needs.push_back(index.vec ? index.vec : index.base);
  if (mask)
    needs.push_back(mask);
  return needs;
}

/// Indices of an operand of shape `to` that is broadcast to `from`, where `point` lies.
Point ElementEmitter::broadcast(const Shape &to, const Shape &from, const Point &point) {
  Point result;
  for (size_t i = 0; i < to.size(); ++i)
    result.push_back(to[i].constant() == 1 ? at(int64_t(0)) : point[from.size() - to.size() + i]);
  return result;
}

// ---- Memory

static Type memoryType(KernelBuilder &k, Type storage) {
  if (storage.isBF16())
    return k.b.getI16Type();
  if (auto integer = dyn_cast<IntegerType>(storage))
    return k.b.getIntegerType(std::max(8u, integer.getWidth()));
  return storage;
}

static Value widen(KernelBuilder &k, Value raw, Type storage) {
  auto like = [&](Type element) { return isa<VectorType>(raw.getType()) ? Type(k.vec(element)) : element; };
  if (storage.isF16())
    return arith::ExtFOp::create(k.b, k.loc, like(k.b.getF32Type()), raw);
  if (storage.isBF16()) {
    Type i32 = like(k.b.getI32Type());
    Value bits = arith::ShLIOp::create(k.b, k.loc, arith::ExtUIOp::create(k.b, k.loc, i32, raw), literal(k, i32, 16));
    return arith::BitcastOp::create(k.b, k.loc, like(k.b.getF32Type()), bits);
  }
  if (storage.isInteger(1))
    return arith::CmpIOp::create(k.b, k.loc, arith::CmpIPredicate::ne, raw, literal(k, raw.getType(), 0));
  return raw;
}

static Value narrow(KernelBuilder &k, Value value, Type storage) {
  auto like = [&](Type element) { return isa<VectorType>(value.getType()) ? Type(k.vec(element)) : element; };
  if (storage.isF16())
    return arith::TruncFOp::create(k.b, k.loc, like(k.b.getF16Type()), value);
  if (storage.isBF16()) {
    Type i32 = like(k.b.getI32Type());
    Value bits = arith::BitcastOp::create(k.b, k.loc, i32, value), sixteen = literal(k, i32, 16);
    Value odd = arith::AndIOp::create(k.b, k.loc, arith::ShRUIOp::create(k.b, k.loc, bits, sixteen), literal(k, i32, 1));
    Value up = arith::AddIOp::create(k.b, k.loc, bits, arith::AddIOp::create(k.b, k.loc, odd, literal(k, i32, 0x7fff)));
    Value nan = arith::CmpFOp::create(k.b, k.loc, arith::CmpFPredicate::UNO, value, value);
    up = arith::SelectOp::create(k.b, k.loc, nan, literal(k, i32, 0x7fc00000), up);
    return arith::TruncIOp::create(k.b, k.loc, like(k.b.getI16Type()), arith::ShRUIOp::create(k.b, k.loc, up, sixteen));
  }
  if (storage.isInteger(1))
    return arith::ExtUIOp::create(k.b, k.loc, like(k.b.getI8Type()), value);
  return value;
}

ElementEmitter::Memory ElementEmitter::memoryOf(BlockArgument argument) {
  const RowOperand &operand = spec.operands[argument.getArgNumber()];
  return {k.ptrSlot(operand.pointer), operand.strides, cast<RankedTensorType>(argument.getType()).getElementType()};
}

/// Address of lane 0 and what each lane adds to it: a step, or a vector of offsets. What is known in outer loops is added
/// there.
std::pair<Value, Index> ElementEmitter::address(const Memory &memory, const Point &point) {
  Type element = memoryType(k, memory.element);
  std::map<size_t, Value> offsets;
  Index lane = at(int64_t(0));
  for (auto [index, stride] : llvm::zip_equal(point, memory.strides)) {
    if (stride.constant() == 0)
      continue;
    if (index.vec) {
      lane = plus(lane, times(index, stride));
      continue;
    }
    Value offset = mul(index.base, size(stride));
    Value &sum = offsets[levelOf({offset})];
    sum = sum ? add(sum, offset) : offset;
    if (index.step)
      lane = plus(lane, times(Index{constant(0), index.step, nullptr, 1}, stride));
  }
  Value pointer = memory.pointer;
  for (auto [level, offset] : offsets)
    pointer = hoisted({pointer, offset}, [&, offset = offset] { return k.at(pointer, offset, element); });
  return {pointer, lane};
}

static Value laneAddresses(KernelBuilder &k, Value pointer, Value offsets, Type element) {
  return LLVM::GEPOp::create(k.b, k.loc, k.vec(k.ptrType()), element, pointer, ArrayRef<LLVM::GEPArg>{offsets});
}

static unsigned alignment(Type element) { return std::max(1u, element.getIntOrFloatBitWidth() / 8); }

Value ElementEmitter::load(const Memory &memory, const Point &point, Value mask) {
  Type element = memoryType(k, memory.element);
  auto [pointer, lane] = address(memory, point);
  if (lane.uniform())
    return widen(k, k.load(element, pointer), memory.element);
  VectorType vector = k.vec(element);
  if (!lane.vec && lane.step == 1)
    return widen(k, mask ? k.maskedLoad(vector, pointer, mask) : k.load(vector, pointer), memory.element);
  Value zero = arith::ConstantOp::create(k.b, k.loc, k.b.getZeroAttr(vector));
  Value raw = LLVM::masked_gather::create(k.b, k.loc, vector, laneAddresses(k, pointer, laneVector(lane), element),
                                          mask ? mask : tailMask(constant(lanes())), ValueRange{zero}, alignment(element));
  return widen(k, raw, memory.element);
}

void ElementEmitter::store(Value value, unsigned result, const Point &point, Value mask) {
  const RowOperand &operand = spec.results[result];
  Type storage = cast<RankedTensorType>(FusedOp(spec.op).getResult(result).getType()).getElementType();
  Memory memory{k.ptrSlot(operand.pointer), operand.strides, storage};
  Type element = memoryType(k, storage);
  auto [pointer, lane] = address(memory, point);
  if (isUniform(point)) {
    k.store(narrow(k, value, storage), pointer);
    return;
  }
  value = narrow(k, asVector(k, value), storage);
  if (!lane.vec && lane.step == 1) {
    if (mask)
      k.maskedStore(value, pointer, mask);
    else
      k.store(value, pointer);
    return;
  }
  LLVM::masked_scatter::create(k.b, k.loc, value, laneAddresses(k, pointer, laneVector(lane), element),
                               mask ? mask : tailMask(constant(lanes())), alignment(element));
}

Value ElementEmitter::globalArray(DenseElementsAttr values) {
  auto module = k.func->getParentOfType<ModuleOp>();
  std::string name = (k.func.getName() + "_table_" + std::to_string(globals++)).str();
  OpBuilder::InsertionGuard guard(k.b);
  k.b.setInsertionPointToStart(module.getBody());
  Type type = LLVM::LLVMArrayType::get(values.getElementType(), values.getNumElements());
  auto global = LLVM::GlobalOp::create(k.b, k.loc, type, /*isConstant=*/true, LLVM::Linkage::Private, name, values, /*alignment=*/64);
  k.b.setInsertionPointToStart(&k.func.getBody().front());
  return LLVM::AddressOfOp::create(k.b, k.loc, k.ptrType(), global.getSymName());
}

// ---- Dispatch

Value ElementEmitter::value(Value v, const Point &original, Value mask) {
  Shape shape = shapeOf(v);
  Point point = broadcast(shape, shape, original);
  if (isUniform(point))
    mask = nullptr;
  return cached(keyOf(v.getAsOpaquePointer(), 0, point, mask), needsOf(point, mask), [&] { return emitValue(v, point, mask); });
}

Value ElementEmitter::emitValue(Value v, const Point &point, Value mask) {
  if (Value buffer = filledBuffer(v, 0, point))
    return load({buffer, {DimExpr(1)}, computeType(cast<RankedTensorType>(v.getType()).getElementType())}, {point.back()}, nullptr);
  if (auto argument = dyn_cast<BlockArgument>(v))
    return load(memoryOf(argument), point, mask);
  Operation *op = v.getDefiningOp();
  if (auto dropout = dyn_cast<DropoutOp>(op); dropout && dropout.getSite())
    return dropoutAt(dropout, point, mask);
  if (isPointwise(op)) {
    SmallVector<Value> operands;
    Shape shape = shapeOf(v);
    for (Value operand : op->getOperands())
      operands.push_back(value(operand, broadcast(shapeOf(operand), shape, point), mask));
    return emitPointwiseOp(k, op, operands);
  }
  if (isRowWise(op))
    return rowValue(op, point, mask);
  return llvm::TypeSwitch<Operation *, Value>(op)
      .Case<ConstantOp>([&](auto o) { return constantAt(o, point, mask); })
      .Case<ConcatOp>([&](auto o) { return concatAt(o, point, mask); })
      .Case<ReshapeOp>([&](auto o) { return reshapeAt(o, point, mask); })
      .Case<SliceOp>([&](auto o) { return sliceAt(o, point, mask); })
      .Case<TransposeOp>([&](TransposeOp o) {
        Point from(point.size());
        for (auto [i, axis] : llvm::enumerate(o.getPerm()))
          from[axis] = point[i];
        return value(o.getX(), from, mask);
      })
      .Case<ExpandOp>([&](ExpandOp o) { return value(o.getX(), broadcast(shapeOf(o.getX()), shapeOf(v), point), mask); })
      .Case<IotaOp>([&](IotaOp o) { return valueOfIndex(point[0], o.getType().getElementType()); })
      .Case<LossScaleOp>([&](LossScaleOp o) { return lossScale(o); })
      .Case<SizeOp>([&](SizeOp o) { return valueOfIndex(at(size(*DimExpr::parse(o.getExpr().str()))), o.getType().getElementType()); })
      .Case<CausalMaskOp>([&](auto) {
        bool uniform = isUniform(point);
        Value row = uniform ? point[0].base : laneVector(point[0]), column = uniform ? point[1].base : laneVector(point[1]);
        return Value(arith::CmpIOp::create(k.b, k.loc, arith::CmpIPredicate::sle, column, row));
      })
      .Case<PositionsOp>([&](auto o) { return positionsAt(o, point, mask); })
      .Case<EmbeddingOp>([&](auto o) { return embeddingAt(o, point, mask); })
      .Case<GatherOp>([&](auto o) { return gatherAt(o, point, mask); })
      .Case<SinusoidOp>([&](auto o) { return sinusoidAt(o, point, mask); })
      .Case<RopeOp>([&](auto o) { return ropeAt(o, point, mask); })
      .Default([](Operation *) -> Value { llvm_unreachable("no row kernel has this op"); });
}

} // namespace weft
