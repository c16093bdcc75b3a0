// Forward propagation in program order; a repeat is walked until its carried values settle.
#include "autodiff/Activity.h"

using namespace mlir;

namespace weft {
namespace {

bool isFloat(Value v) {
  auto type = dyn_cast<RankedTensorType>(v.getType());
  return type && isa<FloatType>(type.getElementType());
}

struct Walk {
  llvm::DenseSet<Value> &varied;
  llvm::function_ref<bool(Value)> wanted;

  void block(Block &block) {
    for (Operation &op : block) {
      if (auto parameter = dyn_cast<ParameterOp>(op)) {
        if (wanted(parameter.getY()))
          varied.insert(parameter.getY());
      } else if (auto repeat = dyn_cast<RepeatOp>(op)) {
        this->repeat(repeat);
      } else if (llvm::any_of(op.getOperands(), [&](Value v) { return varied.contains(v); })) {
        for (Value result : op.getResults())
          if (isFloat(result))
            varied.insert(result);
      }
    }
  }

  void repeat(RepeatOp op) {
    for (auto [init, carried] : llvm::zip(op.getInit(), op.getCarried()))
      if (varied.contains(init))
        varied.insert(carried);
    for (bool changed = true; changed;) {
      block(op.getBody().front());
      changed = false;
      for (auto [yielded, carried] : llvm::zip(op.getYielded(), op.getCarried()))
        changed |= varied.contains(yielded) && varied.insert(carried).second;
    }
    for (auto [yielded, result] : llvm::zip(op.getYielded(), op.getResults()))
      if (varied.contains(yielded))
        varied.insert(result);
  }
};

} // namespace

llvm::DenseSet<Value> variedValues(func::FuncOp func, llvm::function_ref<bool(Value)> wanted) {
  llvm::DenseSet<Value> varied;
  for (BlockArgument argument : func.getArguments())
    if (isFloat(argument) && wanted(argument))
      varied.insert(argument);
  Walk{varied, wanted}.block(func.getBody().front());
  return varied;
}

} // namespace weft
