// One case per pointwise op. f32 functions come from VectorMath; f64 ones call the C library per lane, because double
// models are for checking and speed does not matter there.
#include "tiling/PointwiseEmitter.h"

#include "tiling/ElementType.h"
#include "tiling/VectorMath.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace weft {

Type computeType(Type storage) {
  if (storage.isF16() || storage.isBF16())
    return Float32Type::get(storage.getContext());
  if (auto integer = dyn_cast<IntegerType>(storage))
    return IntegerType::get(storage.getContext(), integer.getWidth());
  return storage;
}

Value asVector(KernelBuilder &k, Value value) { return isa<VectorType>(value.getType()) ? value : k.splat(value); }

Value literal(KernelBuilder &k, Type like, double value) {
  Type element = getElementTypeOrSelf(like);
  TypedAttr attribute = isa<FloatType>(element) ? TypedAttr(k.b.getFloatAttr(element, value))
                                                : TypedAttr(k.b.getIntegerAttr(element, int64_t(value)));
  if (auto vector = dyn_cast<VectorType>(like))
    attribute = DenseElementsAttr::get(vector, Attribute(attribute));
  return arith::ConstantOp::create(k.b, k.loc, attribute);
}

Value callLibrary(KernelBuilder &k, StringRef name, ValueRange xs) {
  auto module = k.func->getParentOfType<ModuleOp>();
  Type f64 = k.b.getF64Type();
  if (!module.lookupSymbol(name)) {
    OpBuilder::InsertionGuard guard(k.b);
    k.b.setInsertionPointToStart(module.getBody());
    SmallVector<Type> arguments(xs.size(), f64);
    auto declaration = func::FuncOp::create(k.b, k.loc, name, k.b.getFunctionType(arguments, f64));
    declaration.setPrivate();
  }
  auto vector = dyn_cast<VectorType>(xs.front().getType());
  if (!vector)
    return func::CallOp::create(k.b, k.loc, name, f64, xs).getResult(0);
  Value result = literal(k, vector, 0);
  for (int64_t lane = 0; lane < vector.getNumElements(); ++lane) {
    SmallVector<Value> scalars;
    for (Value x : xs)
      scalars.push_back(vector::ExtractOp::create(k.b, k.loc, x, lane));
    Value y = func::CallOp::create(k.b, k.loc, name, f64, scalars).getResult(0);
    result = vector::InsertOp::create(k.b, k.loc, y, result, lane);
  }
  return result;
}

namespace {

Type withElement(Type like, Type element) {
  if (auto vector = dyn_cast<VectorType>(like))
    return vector.clone(element);
  return element;
}

Type storageOf(Value tensor) { return cast<RankedTensorType>(tensor.getType()).getElementType(); }

bool isUnsigned(Type storage) { return storage.isUnsignedInteger() || storage.isInteger(1); }

/// Short names for arithmetic on values of one shape.
struct Math {
  KernelBuilder &k;
  Value lit(Value like, double v) { return literal(k, like.getType(), v); }
  Value add(Value x, Value y) { return arith::AddFOp::create(k.b, k.loc, x, y); }
  Value sub(Value x, Value y) { return arith::SubFOp::create(k.b, k.loc, x, y); }
  Value mul(Value x, Value y) { return arith::MulFOp::create(k.b, k.loc, x, y); }
  Value div(Value x, Value y) { return arith::DivFOp::create(k.b, k.loc, x, y); }
  Value neg(Value x) { return arith::NegFOp::create(k.b, k.loc, x); }
  Value abs(Value x) { return LLVM::FAbsOp::create(k.b, k.loc, x); }
  Value cmp(arith::CmpFPredicate p, Value x, Value y) { return arith::CmpFOp::create(k.b, k.loc, p, x, y); }
  Value cmp(arith::CmpIPredicate p, Value x, Value y) { return arith::CmpIOp::create(k.b, k.loc, p, x, y); }
  Value select(Value c, Value x, Value y) { return arith::SelectOp::create(k.b, k.loc, c, x, y); }
};

bool isDouble(Value x) { return getElementTypeOrSelf(x.getType()).isF64(); }

Value sigmoid(KernelBuilder &k, Value x) {
  if (!isDouble(x))
    return vmath::sigmoid(k, x);
  Math m{k};
  return m.div(m.lit(x, 1), m.add(m.lit(x, 1), callLibrary(k, "exp", m.neg(x))));
}

Value gelu(KernelBuilder &k, Value x, bool approximate) {
  if (!isDouble(x))
    return approximate ? vmath::geluTanh(k, x) : vmath::gelu(k, x);
  Math m{k};
  Value inner;
  if (approximate) {
    Value cube = m.mul(m.mul(x, x), x);
    Value sum = m.add(x, m.mul(m.lit(x, 0.044715), cube));
    inner = callLibrary(k, "tanh", m.mul(m.lit(x, 0.79788456080286535588), sum));
  } else {
    inner = callLibrary(k, "erf", m.mul(x, m.lit(x, 0.70710678118654752440)));
  }
  return m.mul(m.mul(x, m.lit(x, 0.5)), m.add(m.lit(x, 1), inner));
}

Value softplus(KernelBuilder &k, Value x) {
  if (!isDouble(x))
    return vmath::softplus(k, x);
  Math m{k};
  Value tail = callLibrary(k, "log1p", callLibrary(k, "exp", m.neg(m.abs(x))));
  Value positive = m.select(m.cmp(arith::CmpFPredicate::OLT, x, m.lit(x, 0)), m.lit(x, 0), x);
  return m.add(positive, tail);
}

/// alpha (e^x - 1) for x <= 0. Near 0 the difference would lose its leading digits: a polynomial takes over.
Value elu(KernelBuilder &k, Value x, double alpha) {
  Math m{k};
  Value below;
  if (isDouble(x)) {
    below = callLibrary(k, "expm1", x);
  } else {
    Value series = m.lit(x, 1.0 / 5040);
    for (double c : {1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5, 1.0})
      series = k.fma(series, x, m.lit(x, c));
    Value far = m.cmp(arith::CmpFPredicate::OLT, x, m.lit(x, -0.5));
    below = m.select(far, m.sub(vmath::exp(k, x), m.lit(x, 1)), m.mul(series, x));
  }
  Value positive = m.cmp(arith::CmpFPredicate::OGT, x, m.lit(x, 0));
  return m.select(positive, x, m.mul(below, m.lit(x, alpha)));
}

Value roundToBF16(KernelBuilder &k, Value x) {
  Math m{k};
  Type i32 = withElement(x.getType(), k.b.getI32Type());
  Value bits = arith::BitcastOp::create(k.b, k.loc, i32, x);
  Value odd = arith::AndIOp::create(k.b, k.loc, arith::ShRUIOp::create(k.b, k.loc, bits, literal(k, i32, 16)), literal(k, i32, 1));
  Value up = arith::AddIOp::create(k.b, k.loc, bits, arith::AddIOp::create(k.b, k.loc, odd, literal(k, i32, 0x7fff)));
  Value cut = arith::AndIOp::create(k.b, k.loc, up, literal(k, i32, -0x10000));
  Value rounded = arith::BitcastOp::create(k.b, k.loc, x.getType(), cut);
  return m.select(m.cmp(arith::CmpFPredicate::UNO, x, x), x, rounded);
}

Value cast(KernelBuilder &k, Value x, Type from, Type to) {
  Math m{k};
  Type target = withElement(x.getType(), computeType(to));
  bool fromFloat = isa<FloatType>(from), toFloat = isa<FloatType>(to);
  if (fromFloat && toFloat) {
    Value y = x;
    if (from.isF64() && !to.isF64())
      y = arith::TruncFOp::create(k.b, k.loc, target, x);
    else if (!from.isF64() && to.isF64())
      y = arith::ExtFOp::create(k.b, k.loc, target, x);
    if (to.isBF16())
      return roundToBF16(k, y);
    if (to.isF16()) {
      Value half = arith::TruncFOp::create(k.b, k.loc, withElement(y.getType(), k.b.getF16Type()), y);
      return arith::ExtFOp::create(k.b, k.loc, y.getType(), half);
    }
    return y;
  }
  if (to.isInteger(1)) {
    if (fromFloat)
      return m.cmp(arith::CmpFPredicate::UNE, x, m.lit(x, 0));
    return m.cmp(arith::CmpIPredicate::ne, x, m.lit(x, 0));
  }
  if (fromFloat) {
    StringRef name = to.isUnsignedInteger() ? "llvm.fptoui.sat" : "llvm.fptosi.sat";
    return LLVM::CallIntrinsicOp::create(k.b, k.loc, target, k.b.getStringAttr(name), ValueRange{x}).getResult(0);
  }
  if (toFloat) {
    if (isUnsigned(from))
      return arith::UIToFPOp::create(k.b, k.loc, target, x);
    return arith::SIToFPOp::create(k.b, k.loc, target, x);
  }
  unsigned have = computeType(from).getIntOrFloatBitWidth(), want = computeType(to).getIntOrFloatBitWidth();
  if (want < have)
    return arith::TruncIOp::create(k.b, k.loc, target, x);
  if (want == have)
    return x;
  if (isUnsigned(from))
    return arith::ExtUIOp::create(k.b, k.loc, target, x);
  return arith::ExtSIOp::create(k.b, k.loc, target, x);
}

template <class FloatOp, class IntOp>
Value arithmetic(KernelBuilder &k, Value x, Value y) {
  if (isa<FloatType>(getElementTypeOrSelf(x.getType())))
    return FloatOp::create(k.b, k.loc, x, y);
  return IntOp::create(k.b, k.loc, x, y);
}

Value extreme(KernelBuilder &k, bool larger, Type storage, Value x, Value y) {
  if (isa<FloatType>(storage))
    return larger ? Value(arith::MaximumFOp::create(k.b, k.loc, x, y)) : Value(arith::MinimumFOp::create(k.b, k.loc, x, y));
  if (isUnsigned(storage))
    return larger ? Value(arith::MaxUIOp::create(k.b, k.loc, x, y)) : Value(arith::MinUIOp::create(k.b, k.loc, x, y));
  return larger ? Value(arith::MaxSIOp::create(k.b, k.loc, x, y)) : Value(arith::MinSIOp::create(k.b, k.loc, x, y));
}

Value compare(KernelBuilder &k, Operation *op, Value x, Value y) {
  Type storage = storageOf(op->getOperand(0));
  Math m{k};
  using F = arith::CmpFPredicate;
  using I = arith::CmpIPredicate;
  auto [ordered, signedInt, unsignedInt] =
      llvm::TypeSwitch<Operation *, std::tuple<F, I, I>>(op)
          .Case<EqualOp>([](auto) { return std::tuple(F::OEQ, I::eq, I::eq); })
          .Case<NotEqualOp>([](auto) { return std::tuple(F::UNE, I::ne, I::ne); })
          .Case<LessOp>([](auto) { return std::tuple(F::OLT, I::slt, I::ult); })
          .Case<LessEqualOp>([](auto) { return std::tuple(F::OLE, I::sle, I::ule); })
          .Case<GreaterOp>([](auto) { return std::tuple(F::OGT, I::sgt, I::ugt); })
          .Default([](auto) { return std::tuple(F::OGE, I::sge, I::uge); });
  if (isa<FloatType>(storage))
    return m.cmp(ordered, x, y);
  return m.cmp(isUnsigned(storage) ? unsignedInt : signedInt, x, y);
}

Value clamp(KernelBuilder &k, ClampOp op, Value x) {
  Math m{k};
  Type storage = storageOf(op.getX());
  if (!isa<FloatType>(storage)) {
    if (op.getLow())
      x = extreme(k, true, storage, x, m.lit(x, std::ceil(op.getLow()->convertToDouble())));
    if (op.getHigh())
      x = extreme(k, false, storage, x, m.lit(x, std::floor(op.getHigh()->convertToDouble())));
    return x;
  }
  if (op.getLow()) {
    Value low = m.lit(x, op.getLow()->convertToDouble());
    x = m.select(m.cmp(arith::CmpFPredicate::OLT, x, low), low, x);
  }
  if (op.getHigh()) {
    Value high = m.lit(x, op.getHigh()->convertToDouble());
    x = m.select(m.cmp(arith::CmpFPredicate::OGT, x, high), high, x);
  }
  return x;
}

Value absolute(KernelBuilder &k, Type storage, Value x) {
  Math m{k};
  if (isa<FloatType>(storage))
    return m.abs(x);
  if (isUnsigned(storage))
    return x;
  Value negative = arith::SubIOp::create(k.b, k.loc, m.lit(x, 0), x);
  return arith::MaxSIOp::create(k.b, k.loc, x, negative);
}

Value unary(KernelBuilder &k, Operation *op, Value x) {
  Math m{k};
  bool wide = isDouble(x);
  auto function = [&](StringRef name, Value (*narrow)(KernelBuilder &, Value)) {
    return wide ? callLibrary(k, name, x) : narrow(k, x);
  };
  return llvm::TypeSwitch<Operation *, Value>(op)
      .Case<AbsOp>([&](auto) { return absolute(k, storageOf(op->getOperand(0)), x); })
      .Case<CosOp>([&](auto) { return function("cos", vmath::cos); })
      .Case<ErfOp>([&](auto) { return function("erf", vmath::erf); })
      .Case<ExpOp>([&](auto) { return function("exp", vmath::exp); })
      .Case<LogOp>([&](auto) { return function("log", vmath::log); })
      .Case<NegOp>([&](auto) {
        return isa<FloatType>(getElementTypeOrSelf(x.getType())) ? m.neg(x)
                                                                 : Value(arith::SubIOp::create(k.b, k.loc, m.lit(x, 0), x));
      })
      .Case<NotOp>([&](auto) { return Value(arith::XOrIOp::create(k.b, k.loc, x, m.lit(x, 1))); })
      .Case<ReluOp>([&](auto) { return m.select(m.cmp(arith::CmpFPredicate::OLT, x, m.lit(x, 0)), m.lit(x, 0), x); })
      .Case<RsqrtOp>([&](auto) {
        return wide ? m.div(m.lit(x, 1), LLVM::SqrtOp::create(k.b, k.loc, x)) : vmath::rsqrt(k, x);
      })
      .Case<SigmoidOp>([&](auto) { return sigmoid(k, x); })
      .Case<SiluOp>([&](auto) { return wide ? m.mul(x, sigmoid(k, x)) : vmath::silu(k, x); })
      .Case<SinOp>([&](auto) { return function("sin", vmath::sin); })
      .Case<SoftplusOp>([&](auto) { return softplus(k, x); })
      .Case<SqrtOp>([&](auto) { return wide ? Value(LLVM::SqrtOp::create(k.b, k.loc, x)) : vmath::sqrt(k, x); })
      .Case<TanhOp>([&](auto) { return function("tanh", vmath::tanh); })
      .Case<ClampOp>([&](ClampOp o) { return clamp(k, o, x); })
      .Case<DropoutOp>([&](auto) { return x; })
      .Case<EluOp>([&](EluOp o) { return elu(k, x, o.getAlpha().convertToDouble()); })
      .Case<GeluOp>([&](GeluOp o) { return gelu(k, x, o.getApproximate()); })
      .Case<LeakyReluOp>([&](LeakyReluOp o) {
        Value below = m.mul(x, m.lit(x, o.getSlope().convertToDouble()));
        return m.select(m.cmp(arith::CmpFPredicate::OGT, x, m.lit(x, 0)), x, below);
      })
      .Case<CastOp>([&](CastOp o) { return cast(k, x, storageOf(o.getX()), storageOf(o.getY())); })
      .Default([](auto) { return Value(); });
}

Value binary(KernelBuilder &k, Operation *op, Value x, Value y) {
  bool isBool = getElementTypeOrSelf(x.getType()).isInteger(1);
  return llvm::TypeSwitch<Operation *, Value>(op)
      .Case<AddOp>([&](auto) {
        return isBool ? Value(arith::OrIOp::create(k.b, k.loc, x, y)) : arithmetic<arith::AddFOp, arith::AddIOp>(k, x, y);
      })
      .Case<SubOp>([&](auto) {
        return isBool ? Value(arith::XOrIOp::create(k.b, k.loc, x, y)) : arithmetic<arith::SubFOp, arith::SubIOp>(k, x, y);
      })
      .Case<MulOp>([&](auto) { return arithmetic<arith::MulFOp, arith::MulIOp>(k, x, y); })
      .Case<DivOp>([&](auto) { return Value(arith::DivFOp::create(k.b, k.loc, x, y)); })
      .Case<PowOp>([&](auto) { return isDouble(x) ? callLibrary(k, "pow", {x, y}) : vmath::pow(k, x, y); })
      .Case<MaximumOp>([&](auto) { return extreme(k, true, storageOf(op->getOperand(0)), x, y); })
      .Case<MinimumOp>([&](auto) { return extreme(k, false, storageOf(op->getOperand(0)), x, y); })
      .Case<AndOp>([&](auto) { return Value(arith::AndIOp::create(k.b, k.loc, x, y)); })
      .Case<OrOp>([&](auto) { return Value(arith::OrIOp::create(k.b, k.loc, x, y)); })
      .Case<EqualOp, NotEqualOp, LessOp, LessEqualOp, GreaterOp, GreaterEqualOp>([&](auto) { return compare(k, op, x, y); })
      .Default([](auto) { return Value(); });
}

} // namespace

Value emitPointwiseOp(KernelBuilder &k, Operation *op, ValueRange operands) {
  SmallVector<Value> values(operands);
  if (llvm::any_of(values, [](Value v) { return isa<VectorType>(v.getType()); }))
    for (Value &value : values)
      value = asVector(k, value);
  if (isa<WhereOp>(op))
    return arith::SelectOp::create(k.b, k.loc, values[0], values[1], values[2]);
  return values.size() == 1 ? unary(k, op, values[0]) : binary(k, op, values[0], values[1]);
}

bool isTranscendental(Operation *op) {
  return isa<CosOp, ErfOp, ExpOp, LogOp, SigmoidOp, SiluOp, SinOp, SoftplusOp, TanhOp, EluOp, GeluOp, PowOp, DropoutOp>(op);
}

bool isHeavy(Block &block) {
  return llvm::any_of(block, [](Operation &op) { return isTranscendental(&op); });
}

bool canEmitPointwise(Block &block) {
  return llvm::all_of(block.without_terminator(), [](Operation &op) {
    return (isPointwise(&op) && !isa<DropoutOp>(op)) || (isa<ConstantOp>(op) && scalarConstant(op.getResult(0)));
  });
}

SmallVector<Value> emitPointwise(KernelBuilder &k, Block &block, llvm::function_ref<Value(BlockArgument)> load) {
  llvm::DenseMap<Value, Value> values;
  auto valueOf = [&](Value tensor) {
    Value &value = values[tensor];
    if (value)
      return value;
    if (auto argument = dyn_cast<BlockArgument>(tensor))
      return value = load(argument);
    return value = literal(k, computeType(storageOf(tensor)), *scalarConstant(tensor));
  };
  for (Operation &op : block.without_terminator()) {
    if (isa<ConstantOp>(op))
      continue;
    SmallVector<Value> operands;
    for (Value operand : op.getOperands())
      operands.push_back(valueOf(operand));
    Value result = emitPointwiseOp(k, &op, operands);
    values[op.getResult(0)] = result;
  }
  SmallVector<Value> results;
  for (Value yielded : block.getTerminator()->getOperands())
    results.push_back(valueOf(yielded));
  return results;
}

} // namespace weft
