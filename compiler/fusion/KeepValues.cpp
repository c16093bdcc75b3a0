// Splits steps from their prefills: values that depend on no stepped input are kept by the prefills, recalled by the steps.
// Only values that every prefill computes are kept, which equal numbers show; the rest stays in the step, on top of them.
#include "Passes.h"
#include "dialect/Locations.h"
#include "fusion/ValueNumbers.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/Iterators.h"
#include "mlir/Pass/Pass.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace weft {

#define GEN_PASS_DEF_KEEPVALUESPASS
#include "Passes.h.inc"

namespace {

using ValueSet = llvm::DenseSet<Value>;

StringAttr nameOf(func::FuncOp func, unsigned argument) { return func.getArgAttrOfType<StringAttr>(argument, "weft.name"); }

/// Adds everything below `block` that depends on a value of `set`, and what `self` says of an op alone.
void spread(Block &block, ValueSet &set, llvm::function_ref<bool(Operation *)> self) {
  for (Operation &op : block) {
    auto repeat = dyn_cast<RepeatOp>(op);
    if (!repeat) {
      if (self(&op) || llvm::any_of(op.getOperands(), [&](Value v) { return set.contains(v); }))
        set.insert(op.result_begin(), op.result_end());
      continue;
    }
    for (auto [init, carried] : llvm::zip(repeat.getInit(), repeat.getCarried()))
      if (set.contains(init))
        set.insert(carried);
    for (bool changed = true; changed;) {
      changed = false;
      spread(repeat.getBody().front(), set, self);
      for (auto [yielded, carried] : llvm::zip(repeat.getYielded(), repeat.getCarried()))
        changed |= set.contains(yielded) && set.insert(carried).second;
    }
    for (auto [carried, result] : llvm::zip(repeat.getCarried(), repeat.getCarriedResults()))
      if (set.contains(carried))
        set.insert(result);
    for (auto [yielded, result] : llvm::zip(repeat.getYielded().drop_front(repeat.getInit().size()), repeat.getStackedResults()))
      if (set.contains(yielded))
        set.insert(result);
  }
}

/// The rounds that a value depends on, outermost first.
SmallVector<Value> roundsOf(Value value) {
  llvm::SetVector<Value> seen;
  seen.insert(value);
  for (size_t i = 0; i < seen.size(); ++i)
    if (Operation *op = seen[i].getDefiningOp())
      op->walk([&](Operation *inner) { seen.insert(inner->operand_begin(), inner->operand_end()); });
  SmallVector<Value> rounds;
  Block *block = value.getParentBlock();
  for (auto repeat = dyn_cast<RepeatOp>(block->getParentOp()); repeat; repeat = dyn_cast<RepeatOp>(repeat->getParentOp()))
    if (seen.contains(repeat.getRound()))
      rounds.insert(rounds.begin(), repeat.getRound());
  return rounds;
}

/// The values of one step that its prefills keep.
class Frontier {
public:
  Frontier(func::FuncOp step, func::FuncOp prefill, llvm::function_ref<bool(Value)> isKept) : isKept(isKept) {
    for (BlockArgument argument : step.getArguments())
      (isStepped(step, prefill, argument.getArgNumber()) ? stepped : given).insert(argument);
    Block &body = step.getBody().front();
    spread(body, stepped, isStateful);
    spread(body, given, [](Operation *) { return false; });
    read(body);
  }

  /// In the order in which the step reads them.
  llvm::SetVector<Value> kept;

private:
  /// An input that the prefill takes with another type, or not at all.
  static bool isStepped(func::FuncOp step, func::FuncOp prefill, unsigned argument) {
    for (unsigned i = 0; i < prefill.getNumArguments(); ++i)
      if (nameOf(prefill, i) && nameOf(prefill, i) == nameOf(step, argument))
        return prefill.getArgument(i).getType() != step.getArgument(argument).getType();
    return true;
  }

  bool isCandidate(Value v) const { return given.contains(v) && !stepped.contains(v); }

  /// Ops that remain in the step read their operands.
  void read(Block &block) {
    for (Operation &op : block) {
      auto repeat = dyn_cast<RepeatOp>(op);
      bool remains = isStateful(&op) || op.hasTrait<mlir::OpTrait::IsTerminator>() ||
                     llvm::any_of(op.getResults(), [&](Value v) { return stepped.contains(v); });
      if (!remains)
        continue;
      readOperands(&op);
      if (repeat)
        read(repeat.getBody().front());
    }
  }

  void readOperands(Operation *op) {
    for (Value operand : op->getOperands())
      if (isCandidate(operand))
        keep(operand);
  }

  static bool isInside(Value v, Operation *op) { return op->isAncestor(v.getParentBlock()->getParentOp()); }

  void keep(Value v) {
    v = behindViews(v);
    if (kept.contains(v) || !done.insert(v).second)
      return;
    if (isKept(v)) {
      kept.insert(v);
      return;
    }
    // Not every prefill has it: the step computes it from what they do have.
    Operation *op = v.getDefiningOp();
    if (!op)
      return;
    op->walk([&](Operation *inner) {
      for (Value operand : inner->getOperands())
        if (isCandidate(operand) && !isInside(operand, op))
          keep(operand);
    });
  }

  /// Views cost nothing in the step: the memory behind them is kept. A reshape stays below what moves axes, where strides
  /// may not express it.
  Value behindViews(Value v) {
    bool reshaped = false;
    while (Operation *op = v.getDefiningOp()) {
      if (isa<ReshapeOp>(op))
        reshaped = true;
      else if (!isa<SliceOp, TransposeOp, ExpandOp>(op) || reshaped)
        break;
      if (!isCandidate(op->getOperand(0)) || (isa<SliceOp>(op) && !isReadWhole(op->getOperand(0))))
        break;
      v = op->getOperand(0);
    }
    return v;
  }

  /// True if the slices of a value that the step reads are together as large as the value.
  bool isReadWhole(Value whole) const {
    llvm::MapVector<int64_t, int64_t> parts;
    for (Operation *user : whole.getUsers())
      if (auto slice = dyn_cast<SliceOp>(user))
        if (std::optional<int64_t> size = shapeOf(slice.getY())[slice.getAxis()].constant())
          parts[int64_t(slice.getAxis())] += *size;
    Shape shape = shapeOf(whole);
    return llvm::any_of(parts, [&](auto &part) { return shape[part.first].constant() && part.second >= *shape[part.first].constant(); });
  }

  llvm::function_ref<bool(Value)> isKept;
  ValueSet stepped, given, done;
};

struct KeepValuesPass : impl::KeepValuesPassBase<KeepValuesPass> {
  void runOnOperation() override {
    SmallVector<func::FuncOp> steps;
    for (auto func : getOperation().getOps<func::FuncOp>())
      if (func->hasAttr("weft.prefills"))
        steps.push_back(func);
    if (steps.empty())
      return;
    // All are numbered before any is changed.
    for (auto func : getOperation().getOps<func::FuncOp>())
      values[func] = numbers.add(func);
    for (func::FuncOp step : steps)
      split(step);
  }

  void split(func::FuncOp step) {
    SmallVector<func::FuncOp> prefills;
    for (Attribute name : cast<ArrayAttr>(step->getAttr("weft.prefills")))
      if (auto prefill = getOperation().lookupSymbol<func::FuncOp>(cast<FlatSymbolRefAttr>(name).getValue()))
        prefills.push_back(prefill);
    if (prefills.empty())
      return;
    Frontier frontier(step, prefills.front(), [&](Value v) {
      return llvm::all_of(prefills, [&](func::FuncOp prefill) { return values[prefill].contains(numbers.of(v)); });
    });
    for (Value v : frontier.kept) {
      KeptOp kept = declare(v);
      for (func::FuncOp prefill : prefills)
        keepIn(prefill, kept, numbers.of(v));
      recall(v, kept);
    }
    eraseDead(step);
  }

  KeptOp declare(Value v) {
    KeptOp &kept = declared[numbers.of(v)];
    if (kept)
      return kept;
    int64_t rounds = 1;
    for (Value round : roundsOf(v))
      rounds *= int64_t(cast<RepeatOp>(cast<BlockArgument>(round).getOwner()->getParentOp()).getCount());
    std::string name = nodePath(v.getLoc());
    if (auto argument = dyn_cast<BlockArgument>(v))
      name = nameOf(cast<func::FuncOp>(argument.getOwner()->getParentOp()), argument.getArgNumber()).str();
    if (name.empty())
      name = "value";
    std::string symbol = name;
    for (int copy = 2; getOperation().lookupSymbol(symbol) != nullptr; ++copy)
      symbol = name + "#" + std::to_string(copy);
    OpBuilder b = OpBuilder::atBlockBegin(getOperation().getBody());
    for (Operation &op : *getOperation().getBody())
      if (isa<DimOp, StateOp, ParamOp, KeptOp>(op))
        b.setInsertionPointAfter(&op);
    return kept = KeptOp::create(b, v.getLoc(), symbol, rounds, cast<RankedTensorType>(v.getType()));
  }

  void keepIn(func::FuncOp prefill, KeptOp kept, int number) {
    if (!keeps.insert({prefill, number}).second)
      return;
    Value v = values[prefill].lookup(number);
    OpBuilder b(prefill.getContext());
    b.setInsertionPointAfterValue(v);
    KeepOp::create(b, v.getLoc(), v, FlatSymbolRefAttr::get(kept), roundsOf(v));
  }

  /// Sound because the value is a function of inputs that the steps after a prefill do not have, of parameters and of the
  /// round: the prefill's is the one that the step would compute from the same inputs.
  static void recall(Value v, KeptOp kept) {
    OpBuilder b(v.getContext());
    b.setInsertionPointAfterValue(v);
    auto recalled = RecallOp::create(b, v.getLoc(), v.getType(), FlatSymbolRefAttr::get(kept), roundsOf(v));
    v.replaceAllUsesWith(recalled.getY());
  }

  static void eraseDead(func::FuncOp func) {
    for (bool changed = true; changed;) {
      changed = false;
      func.walk<WalkOrder::PostOrder, ReverseIterator>([&](Operation *op) {
        if (op != func && isOpTriviallyDead(op)) {
          op->erase();
          changed = true;
        }
      });
    }
    for (unsigned i = func.getNumArguments(); i-- > 0;)
      if (func.getArgument(i).use_empty())
        (void)func.eraseArgument(i);
  }

  ValueNumbers numbers;
  llvm::DenseMap<Operation *, llvm::DenseMap<int, Value>> values;
  std::map<int, KeptOp> declared;
  llvm::DenseSet<std::pair<Operation *, int>> keeps;
};

} // namespace
} // namespace weft
