// Each kernel is a weft.fused region on vectors of n elements, its steps in the order and with the roundings of PyTorch's
// optimizers.
#include "entry/TrainKernels.h"

#include "tiling/RowKernel.h"

#include "weft/abi.h"

#include <cstddef>

#include "mlir/IR/Builders.h"

using namespace mlir;

namespace weft {
namespace {

constexpr int kSlot = 8;  ///< bytes of a slot of an argument table

class FlatKernel {
public:
  FlatKernel(ModuleOp kernels, const TargetInfo &target)
      : kernels(kernels), target(target), scratch(ModuleOp::create(kernels.getLoc())), b(kernels.getContext()), loc(kernels.getLoc()),
        f32(b.getF32Type()) {}

  /// `body` writes the region from its arguments (vectors [n], then scalars) and returns the results.
  /// `vectors`, `scalars`, `results`: slots of the argument table; `n`: the slot of the element count.
  template <typename Body>
  std::string emit(StringRef name, ArrayRef<int> vectors, ArrayRef<int> scalars, ArrayRef<int> results, int n, Body body) {
    RankedTensorType flat = tensorType({DimExpr::dim("n")}, f32), scalar = RankedTensorType::get({}, f32);
    return region(name, flat, vectors, scalar, scalars, flat, results, n, body);
  }

  /// squares[i] = Σ g² of block i.
  std::string emitNorm(StringRef name, int g, int squares, int tasks) {
    RankedTensorType blocks = tensorType({DimExpr::dim("n"), DimExpr(WEFT_TRAIN_BLOCK)}, f32), sums = tensorType({DimExpr::dim("n")}, f32);
    return region(name, blocks, {g}, {}, {}, sums, {squares}, tasks, [&](ArrayRef<Value> in) {
      Value square = MulOp::create(b, loc, in[0], in[0]);
      return SmallVector<Value>{ReduceSumOp::create(b, loc, square, ArrayRef<int64_t>{1}, false)};
    });
  }

  Value add(Value x, Value y) { return AddOp::create(b, loc, x, y); }
  Value sub(Value x, Value y) { return SubOp::create(b, loc, x, y); }
  Value mul(Value x, Value y) { return MulOp::create(b, loc, x, y); }
  Value div(Value x, Value y) { return DivOp::create(b, loc, x, y); }
  Value sqrt(Value x) { return SqrtOp::create(b, loc, x.getType(), x); }

private:
  template <typename Body>
  std::string region(StringRef name, RankedTensorType type, ArrayRef<int> vectors, RankedTensorType scalarType, ArrayRef<int> scalars,
                     RankedTensorType resultType, ArrayRef<int> results, int n, Body body) {
    b.setInsertionPointToEnd(scratch->getBody());
    // The operands are block arguments of a region that nothing calls: a kernel only asks for their types.
    Block &operands = scratch->getBodyRegion().emplaceBlock();
    SmallVector<Value> values;
    RowKernelSpec spec;
    for (int slot : vectors) {
      values.push_back(operands.addArgument(type, loc));
      spec.operands.push_back({slot, strides(type)});
    }
    for (int slot : scalars) {
      values.push_back(operands.addArgument(scalarType, loc));
      spec.operands.push_back({slot, {}});
    }
    b.setInsertionPointToStart(&operands);
    SmallVector<Type> types(results.size(), resultType);
    auto fused = FusedOp::create(b, loc, types, values);
    Block *block = b.createBlock(&fused.getBody());
    SmallVector<Value> arguments;
    for (Value value : values)
      arguments.push_back(block->addArgument(value.getType(), loc));
    YieldOp::create(b, loc, body(arguments));
    for (int slot : results)
      spec.results.push_back({slot, strides(resultType)});
    spec.op = fused;
    spec.dims["n"] = n;
    return emitRowKernel(kernels, name, spec, target).func.getName().str();
  }

  static Shape strides(RankedTensorType type) {
    Shape shape = shapeOf(type), result(shape.size(), DimExpr(1));
    for (size_t i = shape.size(); i-- > 1;)
      result[i - 1] = result[i] * shape[i];
    return result;
  }

  ModuleOp kernels;
  const TargetInfo &target;
  OwningOpRef<ModuleOp> scratch;
  OpBuilder b;
  Location loc;
  Type f32;
};

} // namespace

TrainKernels buildTrainKernels(const OptimizerDesc &optimizer, ModuleOp kernels, const TargetInfo &target, StringRef prefix) {
  FlatKernel k(kernels, target);
  const int p = offsetof(weft_update_args, p) / kSlot, g = offsetof(weft_update_args, g) / kSlot, m = offsetof(weft_update_args, m) / kSlot,
            v = offsetof(weft_update_args, v) / kSlot, first = offsetof(weft_update_args, scalar) / kSlot, n = offsetof(weft_update_args, n) / kSlot;
  SmallVector<int> scalars;
  for (int i = 0; i < WEFT_TRAIN_SCALARS; ++i)
    scalars.push_back(first + i);
  std::string update = (prefix + ".weft.update").str();
  TrainKernels names;
  if (optimizer.kind == "sgd") {
    bool momentum = optimizer.momentum != 0;
    SmallVector<int> in{p, g}, out{p};
    if (momentum) {
      in.push_back(m);
      out.push_back(m);
    }
    names.update = k.emit(update, in, scalars, out, n, [&](ArrayRef<Value> a) {
      ArrayRef<Value> s = a.drop_front(in.size());
      Value gradient = k.add(k.mul(a[1], s[WEFT_TRAIN_SCALE]), k.mul(a[0], s[WEFT_TRAIN_DECAY]));
      if (!momentum)
        return SmallVector<Value>{k.sub(a[0], k.mul(gradient, s[WEFT_TRAIN_RATE]))};
      Value moment = k.add(k.mul(a[2], s[WEFT_TRAIN_BETA1]), gradient);
      Value step = optimizer.nesterov ? k.add(gradient, k.mul(moment, s[WEFT_TRAIN_ONE_MINUS_BETA1])) : moment;
      return SmallVector<Value>{k.sub(a[0], k.mul(step, s[WEFT_TRAIN_RATE])), moment};
    });
  } else {
    bool decoupled = optimizer.kind == "adamw";
    names.update = k.emit(update, {p, g, m, v}, scalars, {p, m, v}, n, [&](ArrayRef<Value> a) {
      ArrayRef<Value> s = a.drop_front(4);
      Value parameter = a[0], gradient = k.mul(a[1], s[WEFT_TRAIN_SCALE]);
      if (decoupled)
        parameter = k.mul(parameter, s[WEFT_TRAIN_DECAY]);
      else
        gradient = k.add(gradient, k.mul(parameter, s[WEFT_TRAIN_DECAY]));
      Value first = k.add(k.mul(a[2], s[WEFT_TRAIN_BETA1]), k.mul(gradient, s[WEFT_TRAIN_ONE_MINUS_BETA1]));
      Value second = k.add(k.mul(a[3], s[WEFT_TRAIN_BETA2]), k.mul(k.mul(gradient, gradient), s[WEFT_TRAIN_ONE_MINUS_BETA2]));
      Value divisor = k.add(k.div(k.sqrt(second), s[WEFT_TRAIN_CORRECTION]), s[WEFT_TRAIN_EPS]);
      return SmallVector<Value>{k.sub(parameter, k.mul(s[WEFT_TRAIN_RATE], k.div(first, divisor))), first, second};
    });
  }
  names.norm = k.emitNorm((prefix + ".weft.norm").str(), offsetof(weft_norm_args, g) / kSlot, offsetof(weft_norm_args, squares) / kSlot,
                          offsetof(weft_norm_args, tasks) / kSlot);
  const int sum = offsetof(weft_add_args, sum) / kSlot;
  names.add = k.emit((prefix + ".weft.add").str(), {sum, int(offsetof(weft_add_args, g) / kSlot)}, {int(offsetof(weft_add_args, scale) / kSlot)}, {sum},
                     offsetof(weft_add_args, n) / kSlot, [&](ArrayRef<Value> a) { return SmallVector<Value>{k.add(a[0], k.mul(a[2], a[1]))}; });
  return names;
}

} // namespace weft
