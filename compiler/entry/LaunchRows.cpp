// weft.fused → one row kernel. Its slots are its operands, its results, and the dims that its sizes need.
// Regions that read computed indices also get the place where faults are recorded.
#include "entry/Launch.h"
#include "tiling/RowKernel.h"

using namespace mlir;

namespace weft {
namespace {

void collectNames(const DimExpr &expr, std::set<std::string> &names) {
  for (const std::string &name : expr.names())
    names.insert(name);
}

/// Every dim and index that the region's shapes and attributes mention.
void collectNames(Block &block, std::set<std::string> &names) {
  auto ofValue = [&](Value value) {
    if (isa<RankedTensorType>(value.getType()))
      for (const DimExpr &size : shapeOf(value))
        collectNames(size, names);
  };
  for (BlockArgument argument : block.getArguments())
    ofValue(argument);
  for (Operation &op : block) {
    for (Value result : op.getResults())
      ofValue(result);
    for (NamedAttribute attribute : op.getAttrs())
      if (auto text = dyn_cast<StringAttr>(attribute.getValue()))
        if (std::optional<DimExpr> expr = DimExpr::parse(text.getValue().str()))
          collectNames(*expr, names);
  }
}

}  // namespace

FailureOr<Launches> LaunchBuilder::fused(FusedOp op, std::string &error) {
  SlotTable table;
  RowKernelSpec spec;
  spec.op = op;
  Block &block = op.getBody().front();
  std::set<std::string> names;
  collectNames(block, names);
  std::string key = "rows" + structuralKey(block);
  DimExpr bytes(0);
  auto add = [&](SmallVector<RowOperand> &list, int pointer, const Shape &strides) {
    key += "/" + std::to_string(pointer);
    for (const DimExpr &stride : strides) {
      collectNames(stride, names);
      key += "," + stride.str();
    }
    list.push_back({pointer, strides});
  };
  for (Value value : op.getOperands_()) {
    std::optional<Operand> o = operand(table, value);
    if (!o) {
      error = "an operand of a row kernel has no strided form";
      return failure();
    }
    add(spec.operands, o->pointer, o->strides);
    // A table that rows are gathered from is not read whole.
    BlockArgument argument = block.getArgument(spec.operands.size() - 1);
    bool gathered = llvm::all_of(argument.getUses(), [](OpOperand &use) {
      return (isa<EmbeddingOp>(use.getOwner()) && use.getOperandNumber() == 1) || (isa<GatherOp>(use.getOwner()) && use.getOperandNumber() == 0);
    });
    if (!gathered)
      bytes = bytes + elementCount(shapeOf(value)) * DimExpr(elementBytes(o->element));
  }
  for (Value result : op.getResults()) {
    int64_t size = elementBytes(cast<RankedTensorType>(result.getType()).getElementType());
    add(spec.results, pointer(table, result, DimExpr(0), size), contiguousStrides(shapeOf(result)));
    bytes = bytes + elementCount(shapeOf(result)) * DimExpr(size);
  }
  bool reads = false, random = false;
  llvm::StringMap<int> lengths;
  for (Operation &inner : block) {
    if (isa<EmbeddingOp, GatherOp>(inner)) {
      reads = true;
      key += "@" + std::to_string(cache.site(&inner));
    }
    random |= isa<DropoutOp, LossScaleOp>(inner);
    if (auto positions = dyn_cast<PositionsOp>(inner))
      if (positions.getState())
        key += "!" + std::to_string(lengths[*positions.getState()] = table.add(stateLengths(op, *positions.getState())));
  }
  if (reads)
    spec.fault = table.add({Slot::Kind::fault, 0, {}, {}, {}, 0});
  if (random)
    spec.random = table.add({Slot::Kind::random, 0, {}, {}, {}, 0});
  for (const std::string &name : names) {
    spec.dims[name] = table.sizeSlot(DimExpr::dim(name));
    key += ";" + name + "=" + std::to_string(spec.dims[name]);
  }
  key += "f" + std::to_string(spec.fault) + "r" + std::to_string(spec.random);
  spec.site = [&cache = cache](Operation *inner) { return cache.site(inner); };
  spec.lengths = [lengths](StringRef state) { return lengths.lookup(state); };

  Launch launch;
  launch.kernel = {key, "rows", [spec, &target = target](ModuleOp module, StringRef name) { return emitRowKernel(module, name, spec, target); }};
  launch.slots = table.slots;
  launch.bytes = bytes;
  launch.kind = "rows";
  launch.tiles = std::to_string(target.lanes) + " lanes";
  launch.op = op;
  launch.scratch = rowKernelScratch(op);
  return Launches{launch};
}

Slot LaunchBuilder::stateLengths(Operation *op, StringRef state) {
  int number = 0;
  for (StateOp other : op->getParentOfType<ModuleOp>().getOps<StateOp>()) {
    if (other.getSymName() == state)
      break;
    ++number;
  }
  return {Slot::Kind::cacheLengths, number, {}, {}, {}, 0};
}

}  // namespace weft
