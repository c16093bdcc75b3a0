// First the backward body is written as if forward values could be used in it; then each such value is kept, stacked by
// round, or its op is cloned. Kept is what is costly (products, attention, reductions); pointwise work on kept values,
// views, constants and parameters is done again. Of a value that is rounded and widened again, the rounded form is kept.
#include "autodiff/ReverseRepeat.h"

#include "dialect/Locations.h"
#include "dialect/Values.h"

#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace weft {
namespace {

/// Bytes of an element after a cast minus those before; 0 for other ops.
int64_t growth(Operation *op) {
  auto cast = dyn_cast<CastOp>(op);
  return cast ? elementBytes(elementOf(cast.getY())) - elementBytes(elementOf(cast.getX())) : 0;
}

/// Element `round` of a stack.
Value partOf(OpBuilder &b, Location loc, Value stack, StringRef index) {
  Shape shape = shapeOf(stack);
  Type element = cast<RankedTensorType>(stack.getType()).getElementType();
  shape[0] = DimExpr(1);
  Value part = SliceOp::create(b, loc, tensorType(shape, element), stack, 0, index, 1);
  return ReshapeOp::create(b, loc, tensorType(ArrayRef<DimExpr>(shape).drop_front(), element), part);
}

/// Turns uses of forward values in a backward body into values that are there.
class Residuals {
public:
  Residuals(RepeatOp forward, RepeatOp backward, const Recompute &recompute)
      : index(forward.getIndex()), round(forward.getRound()), backward(backward), body(forward.getBody().front()), recompute(recompute) {}

  /// Forward values to keep, in order. A body may be long and read a value often, so each op is looked at once, in order.
  SmallVector<Value> choose() {
    backward.getBody().walk([&](Operation *op) {
      for (Value operand : op->getOperands())
        if (isForward(operand))
          needed.insert(operand);
    });
    findReached();
    for (Value argument : body.getArguments())
      if (argument == round)
        available.insert(argument);
      else if (reached.contains(argument))
        keep(argument);
    for (Operation &op : body)
      decide(&op);
    findUsed();
    return used;
  }

  /// `stacks`: what the forward loop returns for the values that were chosen.
  void replace(ValueRange stacks) {
    for (auto [value, stack] : llvm::zip_equal(used, stacks))
      stackOf[value] = stack;
    for (Value value : used)
      if (isa<BlockArgument>(value))
        takePart(value);
    map.map(round, backward.getRound());
    for (Operation &op : body)
      materialize(&op);
    for (Value value : needed)
      value.replaceUsesWithIf(map.lookup(value), [&](OpOperand &use) { return backward.getBody().isAncestor(use.getOwner()->getParentRegion()); });
    sinkClones();
  }

private:
  bool isForward(Value v) const { return v.getParentBlock() == &body; }

  bool isRecomputed(Operation *op) const {
    if (recompute.block)
      return true;
    std::string node = nodePath(op->getLoc());
    return llvm::is_contained(recompute.nodes, node);
  }

  /// Ops that are done again wherever their operands are there.
  bool isCheap(Operation *op) const {
    return isa<ParameterOp>(op) || isGenerator(op) || isView(op) || isPointwise(op) || isRecomputed(op);
  }

  /// The values that are needed, and those behind them that a policy, not what is there, decides on.
  void findReached() {
    reached.insert(needed.begin(), needed.end());
    for (Operation &op : llvm::reverse(body))
      if (isAnyOf(&op, reached) && isCheap(&op) && (isView(&op) || isRecomputed(&op) || growth(&op) > 0))
        reached.insert_range(operandsOf(&op));
  }

  /// Keeps the results of an op that are reached and costly, or needed and not there otherwise.
  void decide(Operation *op) {
    const bool cheap = isCheap(op);
    if (cheap && llvm::all_of(operandsOf(op), [&](Value operand) { return !isForward(operand) || available.contains(operand); })) {
      available.insert_range(op->getResults());
      return;
    }
    const bool narrows = growth(op) < 0 && !isRecomputed(op);
    for (Value result : op->getResults())
      if (reached.contains(result) && (!cheap || narrows || needed.contains(result)))
        keep(result);
  }

  void keep(Value v) {
    kept.insert(v);
    available.insert(v);
  }

  static bool isAnyOf(Operation *op, const llvm::DenseSet<Value> &values) {
    return llvm::any_of(op->getResults(), [&](Value result) { return values.contains(result); });
  }

  /// The operands of a forward op and of its regions, those from outside the loop too.
  static SmallVector<Value> operandsOf(Operation *op) {
    SmallVector<Value> operands;
    op->walk([&](Operation *inner) { llvm::append_range(operands, inner->getOperands()); });
    return operands;
  }

  /// Of the values that would be kept, those that are needed or behind what is done again.
  void findUsed() {
    wanted.insert(needed.begin(), needed.end());
    for (Operation &op : llvm::reverse(body))
      if (isDoneAgain(&op))
        wanted.insert_range(operandsOf(&op));
    auto use = [&](Value v) {
      if (wanted.contains(v) && kept.contains(v))
        used.push_back(v);
    };
    llvm::for_each(body.getArguments(), use);
    for (Operation &op : body)
      llvm::for_each(op.getResults(), use);
  }

  bool isDoneAgain(Operation *op) const {
    return llvm::any_of(op->getResults(), [&](Value result) { return wanted.contains(result) && !kept.contains(result); });
  }

  void takePart(Value v) {
    OpBuilder b(&backward.getBody().front(), place);
    Value part = partOf(b, v.getLoc(), stackOf.lookup(v), index);
    note(part.getDefiningOp());
    map.map(v, part);
  }

  /// Makes the wanted results of a forward op in the backward body: from their stacks, or by doing the op again.
  void materialize(Operation *op) {
    if (isDoneAgain(op)) {
      OpBuilder b(&backward.getBody().front(), place);
      clones.push_back(b.clone(*op, map));
      note(clones.back());
    }
    for (Value result : op->getResults())
      if (wanted.contains(result) && kept.contains(result))
        takePart(result);
  }

  void note(Operation *op) { place = std::next(Block::iterator(op)); }

  /// Moves each clone to the first op but clones that its value leads to, so that the value lives briefly.
  void sinkClones() {
    Block &block = backward.getBody().front();
    SmallVector<Operation *> ops;
    llvm::DenseMap<Operation *, size_t> position;
    for (Operation &op : block) {
      position[&op] = ops.size();
      ops.push_back(&op);
    }
    for (Operation *clone : llvm::reverse(clones)) {
      size_t first = ops.size() - 1;
      for (Operation *user : clone->getUsers())
        first = std::min(first, position.lookup(block.findAncestorOpInBlock(*user)));
      position[clone] = first;
    }
    for (Operation *clone : clones)
      clone->moveBefore(ops[position.lookup(clone)]);
  }

  std::string index; ///< of the forward loop, like its round
  Value round;
  RepeatOp backward;
  Block &body;
  const Recompute &recompute;
  llvm::SetVector<Value> needed;            ///< forward values that the backward body reads
  llvm::DenseSet<Value> reached, available; ///< `available`: kept, or done again from what is
  llvm::DenseSet<Value> kept, wanted;       ///< `wanted`: needed, or read by what is done again
  SmallVector<Value> used;                  ///< kept and wanted
  llvm::DenseMap<Value, Value> stackOf;
  SmallVector<Operation *> clones;
  Block::iterator place = backward.getBody().front().begin();
  IRMapping map;
};

/// `op` again, with `stacked` values yielded and returned besides.
RepeatOp withStacked(RepeatOp op, ArrayRef<Value> stacked) {
  OpBuilder b(op);
  SmallVector<Type> types(op.getStackedResults().getTypes());
  for (Value v : stacked) {
    Shape shape = shapeOf(v);
    shape.insert(shape.begin(), DimExpr(int64_t(op.getCount())));
    types.push_back(tensorType(shape, cast<RankedTensorType>(v.getType()).getElementType()));
  }
  auto fresh = RepeatOp::create(b, op.getLoc(), op.getCount(), op.getIndex(), op.getInit(), types, op.getReverse());
  fresh.getBody().takeBody(op.getBody());
  auto yield = cast<YieldOp>(fresh.getBody().front().getTerminator());
  yield->insertOperands(yield->getNumOperands(), stacked);
  for (auto [from, to] : llvm::zip(op.getResults(), fresh.getResults()))
    from.replaceAllUsesWith(to);
  op.erase();
  return fresh;
}

} // namespace

void reverseRepeat(RepeatOp repeat, Gradients &outer, const llvm::DenseSet<Value> &varied, const Recompute &recompute,
                   ReverseBlock reverseBlock) {
  OpBuilder &b = outer.b;
  Location loc = repeat.getLoc();
  Block &body = repeat.getBody().front();
  outer.loc = loc;

  SmallVector<unsigned> carried;
  for (auto [i, value] : llvm::enumerate(repeat.getCarried()))
    if (varied.contains(value))
      carried.push_back(i);
  // Read from outside: values, and parameters that this repeat's index does not choose.
  llvm::SetVector<Value> captured;
  SmallVector<ParameterKey> shared;
  repeat.getBody().walk([&](Operation *op) {
    for (Value operand : op->getOperands())
      if (varied.contains(operand) && !repeat.getBody().isAncestor(operand.getParentRegion()))
        captured.insert(operand);
    auto parameter = dyn_cast<ParameterOp>(op);
    if (!parameter || !varied.contains(parameter.getY()) || llvm::is_contained(parameter.getIndices(), repeat.getRound()))
      return;
    SmallVector<Value, 2> indices;
    for (Value index : parameter.getIndices())
      if (!repeat.getBody().isAncestor(index.getParentRegion()))
        indices.push_back(index);
    ParameterKey key{parameter.getParamAttr().getAttr(), indices};
    if (!llvm::is_contained(shared, key))
      shared.push_back(key);
  });

  SmallVector<Value> init;
  for (unsigned i : carried) {
    Value gradient = outer.of(repeat.getResult(i));
    init.push_back(gradient ? gradient : outer.zeros(repeat.getResult(i).getType()));
  }
  for (Value value : captured)
    init.push_back(outer.zeros(value.getType()));
  // The gradient of a parameter that inner repeats index comes stacked by their rounds.
  auto typeOf = [&](const ParameterKey &key) {
    Type type;
    repeat.getBody().walk([&](ParameterOp parameter) {
      if (parameter.getParamAttr().getAttr() != key.first)
        return;
      Shape shape;
      for (Value index : parameter.getIndices())
        if (repeat.getBody().isAncestor(index.getParentRegion()))
          shape.push_back(DimExpr(int64_t(cast<RepeatOp>(index.getParentBlock()->getParentOp()).getCount())));
      llvm::append_range(shape, shapeOf(parameter.getY()));
      type = tensorType(shape, cast<RankedTensorType>(parameter.getType()).getElementType());
    });
    return type;
  };
  for (const ParameterKey &key : shared)
    init.push_back(outer.zeros(typeOf(key)));

  auto backward = RepeatOp::create(b, loc, repeat.getCount(), repeat.getIndex(), init, TypeRange(), /*reverse=*/true);
  SmallVector<std::pair<ParameterKey, Value>> stacked;
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(&backward.getBody().front());
    Gradients inner(b, varied);
    inner.loc = loc;
    for (auto [argument, i] : llvm::enumerate(carried))
      inner.add(repeat.getYielded()[i], backward.getCarried()[argument]);
    reverseBlock(body, inner);
    inner.loc = loc;
    for (std::string &what : inner.missingRules)
      outer.missingRules.push_back(what);

    SmallVector<Value> yields;
    for (unsigned i : carried) {
      Value gradient = inner.of(repeat.getCarried()[i]);
      yields.push_back(gradient ? gradient : inner.zeros(repeat.getCarried()[i].getType()));
    }
    auto accumulate = [&](Value gradient) {
      Value before = backward.getCarried()[yields.size()];
      yields.push_back(gradient ? inner.sum({gradient, before}) : before);
    };
    for (Value value : captured)
      accumulate(inner.of(value));
    auto gradientOf = [&](const ParameterKey &key) -> Value {
      for (auto &[known, values] : inner.parameters)
        if (known == key)
          return inner.sum(values);
      return {};
    };
    for (const ParameterKey &key : shared)
      accumulate(gradientOf(key));
    for (auto &[key, values] : inner.parameters)
      if (llvm::is_contained(key.second, repeat.getRound())) {
        ParameterKey rest = key;
        llvm::erase(rest.second, repeat.getRound());
        stacked.push_back({rest, inner.sum(values)});
      }
    YieldOp::create(b, loc, yields);
  }

  Residuals residuals(repeat, backward, recompute);
  SmallVector<Value> kept = residuals.choose();
  RepeatOp forward = kept.empty() ? repeat : withStacked(repeat, kept);
  residuals.replace(forward.getResults().take_back(kept.size()));

  SmallVector<Value> stackedValues;
  for (auto &[key, value] : stacked)
    stackedValues.push_back(value);
  backward = withStacked(backward, stackedValues);

  size_t result = 0;
  for (unsigned i : carried)
    outer.add(forward.getInit()[i], backward.getResult(result++));
  for (Value value : captured)
    outer.add(value, backward.getResult(result++));
  for (const ParameterKey &key : shared)
    outer.addParameter(key, backward.getResult(result++));
  for (auto &[key, value] : stacked)
    outer.addParameter(key, backward.getResult(result++));
}

} // namespace weft
