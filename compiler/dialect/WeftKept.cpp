// Verifiers of kept values: a declaration, and uses that agree with it in type and in their number of rounds.
// That every recall has a keep before it is the runtime's to check: they stand in different entries.
#include "dialect/Weft.h"

using namespace mlir;

namespace weft {

LogicalResult KeptOp::verify() {
  if (int64_t(getRounds()) < 1)
    return emitOpError() << "expected at least one round but got " << int64_t(getRounds());
  return success();
}

/// `indices` are rounds of the repeats around `op`; together they have as many values as the declaration has places.
static LogicalResult verifyUse(Operation *op, FlatSymbolRefAttr name, Type type, ValueRange indices, SymbolTableCollection &symbols) {
  auto kept = symbols.lookupNearestSymbolFrom<KeptOp>(op, name);
  if (!kept)
    return op->emitOpError() << "expected a declared kept value but got '" << name.getValue() << "'";
  if (kept.getType() != type)
    return op->emitOpError() << "expected type " << kept.getType() << " but got " << type;
  int64_t rounds = 1;
  for (Value index : indices) {
    auto argument = dyn_cast<BlockArgument>(index);
    auto repeat = argument ? dyn_cast<RepeatOp>(argument.getOwner()->getParentOp()) : RepeatOp();
    if (!repeat || repeat.getRound() != index)
      return op->emitOpError() << "expected rounds of repeats as indices";
    rounds *= int64_t(repeat.getCount());
  }
  if (rounds != int64_t(kept.getRounds()))
    return op->emitOpError() << "expected " << int64_t(kept.getRounds()) << " rounds but got " << rounds;
  return success();
}

LogicalResult KeepOp::verifySymbolUses(SymbolTableCollection &symbols) {
  return verifyUse(*this, getKeptAttr(), getX().getType(), getIndices(), symbols);
}

LogicalResult RecallOp::verifySymbolUses(SymbolTableCollection &symbols) {
  return verifyUse(*this, getKeptAttr(), getY().getType(), getIndices(), symbols);
}

}  // namespace weft
