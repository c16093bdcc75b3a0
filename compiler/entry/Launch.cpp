// Slots, operands and structural keys shared by the launch builders of the three kernel families.
// A key has everything that the emitted code depends on, so equal keys share one kernel.
#include "entry/Launch.h"

#include "llvm/Support/raw_ostream.h"

using namespace mlir;

namespace weft {

int SlotTable::add(const Slot &slot) {
  for (auto [i, existing] : llvm::enumerate(slots))
    if (existing == slot)
      return i;
  slots.push_back(slot);
  return slots.size() - 1;
}

/// The name of the input if that is all an op's indices are computed from; empty: they come from several, or from none.
static std::string indexOrigin(Operation *op) {
  std::string name;
  SmallVector<Value> pending{op->getOperand(isa<EmbeddingOp>(op) ? 0 : 1)};
  llvm::SmallPtrSet<Value, 8> seen;
  while (!pending.empty()) {
    Value value = pending.pop_back_val();
    auto type = dyn_cast<RankedTensorType>(value.getType());
    if (!seen.insert(value).second || !type || !type.getElementType().isInteger() || type.getElementType().isInteger(1))
      continue;
    auto argument = dyn_cast<BlockArgument>(value);
    if (!argument) {
      llvm::append_range(pending, value.getDefiningOp()->getOperands());
      continue;
    }
    Operation *parent = argument.getOwner()->getParentOp();
    if (auto entry = dyn_cast<func::FuncOp>(parent)) {
      StringRef input = cast<StringAttr>(entry.getArgAttr(argument.getArgNumber(), "weft.name")).getValue();
      if (!name.empty() && name != input)
        return {};
      name = input.str();
    } else if (!isa<RepeatOp>(parent)) {
      pending.push_back(parent->getOperand(argument.getArgNumber()));
    } else {
      return {};
    }
  }
  return name;
}

/// In words that stay when nodes are renamed: objects are the same then.
static std::string tableOf(Operation *op, size_t number) {
  Value table = op->getOperand(isa<EmbeddingOp>(op) ? 1 : 0);
  if (auto argument = dyn_cast<BlockArgument>(table))
    table = op->getParentOp()->getOperand(argument.getArgNumber());
  if (std::optional<View> view = viewOf(table))
    table = view->root;
  if (auto parameter = table.getDefiningOp<ParameterOp>())
    return "parameter '" + parameter.getParam().str() + "'";
  auto input = dyn_cast<BlockArgument>(table);
  if (auto entry = input ? dyn_cast<func::FuncOp>(input.getOwner()->getParentOp()) : func::FuncOp())
    return "input '" + cast<StringAttr>(entry.getArgAttr(input.getArgNumber(), "weft.name")).getValue().str() + "'";
  if (std::string origin = indexOrigin(op); !origin.empty())
    return "the operand that input '" + origin + "' indexes";
  return "the operand of " + op->getName().stripDialect().str() + " " + std::to_string(number);
}

int KernelCache::site(Operation *op) {
  auto [known, added] = siteOf.try_emplace(op, 0);
  if (!added)
    return known->second;
  std::string table = tableOf(op, sites.size() + 1);
  auto found = llvm::find_if(sites, [&](const Site &site) { return site.table == table; });
  if (found == sites.end())
    found = sites.insert(sites.end(), {table, op->getLoc()});
  return known->second = int(found - sites.begin());
}

const EmittedKernel &KernelCache::written(const KernelChoice &kernel, ModuleOp module, StringRef prefix) {
  auto found = kernels.find(kernel.key);
  if (found == kernels.end()) {
    std::string name = (prefix + "." + kernel.family + "." + Twine(kernels.size())).str();
    found = kernels.emplace(kernel.key, kernel.write(module, name)).first;
  }
  return found->second;
}

FailureOr<ChosenLaunches> chooseKernels(const EntryPlan &plan, const TargetInfo &target, ViewTable &views, KernelCache &cache,
                                        NoKernel &missing) {
  LaunchBuilder builder(target, plan, views, cache);
  ChosenLaunches chosen;
  func::FuncOp entry = plan.func;
  WalkResult walked = entry.walk<WalkOrder::PreOrder>([&](Operation *op) {
    if (!isKernel(op))
      return WalkResult::advance();
    FailureOr<Launches> launches = builder.build(op, missing.why);
    if (failed(launches)) {
      missing.op = op;
      return WalkResult::interrupt();
    }
    chosen[op] = std::move(*launches);
    return WalkResult::skip();
  });
  if (walked.wasInterrupted())
    return failure();
  return chosen;
}

FailureOr<Launches> LaunchBuilder::build(Operation *op, std::string &error) {
  if (auto c = dyn_cast<ContractOp>(op))
    return contract(c, error);
  if (auto a = dyn_cast<AttentionOp>(op))
    return attention(a, error);
  if (auto grad = dyn_cast<AttentionGradOp>(op))
    return attentionGrad(grad, error);
  if (auto last = dyn_cast<LastTokenOp>(op))
    return lastToken(last, error);
  if (isa<EmbeddingGradOp, ScatterAddOp>(op))
    return scatter(op, error);
  return fused(cast<FusedOp>(op), error);
}

int LaunchBuilder::bufferPointer(SlotTable &table, int buffer) {
  return table.add({Slot::Kind::buffer, buffer, DimExpr(0), {}, {}, 0});
}

int LaunchBuilder::pointer(SlotTable &table, Value root, const DimExpr &offset, int64_t bytes) {
  return table.add({Slot::Kind::buffer, plan.bufferOf.lookup(root), plan.offsetOf.lookup(root) + offset * DimExpr(bytes), {}, {}, 0});
}

std::optional<LaunchBuilder::Operand> LaunchBuilder::operand(SlotTable &table, Value value) {
  Type element = cast<RankedTensorType>(value.getType()).getElementType();
  if (std::optional<View> view = viewOf(value)) {
    if (view->root.getDefiningOp<ParameterOp>()) {
      int64_t count = *elementCount(shapeOf(view->root)).constant();
      SmallVector<ParameterPart> whole{{view->root, 0, count, 0, 1}};
      int number = views.addPlain(whole);
      Slot slot{Slot::Kind::view, number, view->offset * DimExpr(elementBytes(element)), {}, llvm::to_vector(views.roundIndices(whole)), 0};
      return Operand{table.add(slot), view->strides, element};
    }
    if (plan.bufferOf.count(view->root))
      return Operand{pointer(table, view->root, view->offset, elementBytes(element)), view->strides, element};
  }
  if (std::optional<SmallVector<ParameterPart>> pieces = parameterPieces(value)) {
    int number = views.addPlain(*pieces);
    return Operand{table.add({Slot::Kind::view, number, DimExpr(0), {}, llvm::to_vector(views.roundIndices(*pieces)), 0}),
                   contiguousStrides(shapeOf(value)), element};
  }
  return std::nullopt;
}

ElementType elementType(Type type) {
  return type.isBF16() ? ElementType::BF16 : type.isF16() ? ElementType::F16 : ElementType::F32;
}

std::string structuralKey(Block &block) {
  return structuralKey(block, [](Type type) {
    std::string text;
    llvm::raw_string_ostream(text) << type;
    return text;
  });
}

std::string structuralKey(Block &block, function_ref<std::string(Type)> typeText) {
  std::string text;
  llvm::raw_string_ostream os(text);
  llvm::DenseMap<Value, int> numbers;
  for (BlockArgument argument : block.getArguments()) {
    numbers[argument] = numbers.size();
    os << typeText(argument.getType()) << ",";
  }
  for (Operation &op : block) {
    os << op.getName().getStringRef() << "(";
    for (Value operand : op.getOperands())
      os << numbers.lookup(operand) << ",";
    os << ")" << op.getAttrDictionary() << "->";
    for (Value result : op.getResults()) {
      numbers[result] = numbers.size();
      os << typeText(result.getType()) << ",";
    }
  }
  return text;
}

std::string keyOf(const Size &size) {
  return size.isConstant() ? "#" + std::to_string(size.value) : "$" + std::to_string(size.slot);
}

}  // namespace weft
