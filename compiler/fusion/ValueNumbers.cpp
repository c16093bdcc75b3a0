// Hash consing over the whole graph: a value's text is its op, its attributes and the numbers of its operands.
// A repeat without state is one op; inside it, what it carries is numbered by position.
#include "fusion/ValueNumbers.h"

#include "llvm/Support/raw_ostream.h"

using namespace mlir;

namespace weft {

/// Of an op without its regions.
static bool hasState(Operation *op) {
  if (auto attention = dyn_cast<AttentionOp>(op))
    return bool(attention.getCache());
  if (auto positions = dyn_cast<PositionsOp>(op))
    return bool(positions.getState());
  return isa<LastTokenOp, KeepOp, RecallOp, DropoutOp>(op);
}

bool isStateful(Operation *op) {
  return op->walk([](Operation *inner) { return hasState(inner) ? WalkResult::interrupt() : WalkResult::advance(); }).wasInterrupted();
}

int ValueNumbers::ofArgument(BlockArgument argument) {
  std::string text;
  llvm::raw_string_ostream os(text);
  Operation *parent = argument.getOwner()->getParentOp();
  if (auto func = dyn_cast<func::FuncOp>(parent)) {
    if (auto name = func.getArgAttrOfType<StringAttr>(argument.getArgNumber(), "weft.name")) {
      os << "input " << name.getValue() << " " << argument.getType();
      return intern(text);
    }
  } else if (auto repeat = dyn_cast<RepeatOp>(parent); repeat && argument == repeat.getRound()) {
    os << "round " << repeat.getIndex() << " " << int64_t(repeat.getCount());
    return intern(text);
  }
  return fresh();
}

/// `local` has the values of the repeats that are being numbered as one op, `depth` of them.
int ValueNumbers::ofOp(Operation *op, const Local &local, int depth) {
  if (isStateful(op))
    return fresh();
  std::string text;
  llvm::raw_string_ostream os(text);
  os << op->getName().getStringRef() << op->getAttrDictionary() << "(";
  for (Value operand : op->getOperands())
    os << find(operand, local) << ",";
  os << ")";
  for (Type type : op->getResultTypes())
    os << type << ",";
  if (auto repeat = dyn_cast<RepeatOp>(op)) {
    Local inner = local;
    inner[repeat.getRound()] = ofArgument(cast<BlockArgument>(repeat.getRound()));
    for (auto [i, carried] : llvm::enumerate(repeat.getCarried()))
      inner[carried] = intern("carried " + std::to_string(depth) + " " + std::to_string(i));
    for (Operation &body : repeat.getBody().front().without_terminator()) {
      int number = ofOp(&body, inner, depth + 1);
      for (OpResult result : body.getResults())
        inner[result] = ofResult(number, result.getResultNumber());
    }
    os << "{";
    for (Value yielded : repeat.getBody().front().getTerminator()->getOperands())
      os << find(yielded, inner) << ",";
    os << "}";
  }
  return intern(text);
}

llvm::DenseMap<int, Value> ValueNumbers::add(func::FuncOp entry) {
  llvm::DenseMap<int, Value> values;
  auto define = [&](Value value, int number) {
    known[value] = number;
    values.try_emplace(number, value);
  };
  for (BlockArgument argument : entry.getArguments())
    define(argument, ofArgument(argument));
  entry.getBody().walk<WalkOrder::PreOrder>([&](Operation *op) {
    int number = op->getNumResults() ? ofOp(op, Local(), 0) : 0;
    for (OpResult result : op->getResults())
      define(result, ofResult(number, result.getResultNumber()));
    if (auto repeat = dyn_cast<RepeatOp>(op))
      for (BlockArgument argument : repeat.getBody().getArguments())
        define(argument, ofArgument(argument));
  });
  return values;
}

}  // namespace weft
