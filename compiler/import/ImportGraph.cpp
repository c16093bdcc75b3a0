// Declarations and entry functions: which nodes an entry needs, its arguments, results and attributes.
// The ops themselves are written by ImportNode.cpp and the files of its chapters.
#include "import/ImportGraph.h"

#include "import/EntryInputs.h"
#include "import/Globs.h"
#include "import/ImportNode.h"
#include "import/TrainGroups.h"

#include "mlir/IR/Verifier.h"
#include "llvm/Support/Path.h"

using namespace mlir;

namespace weft {
namespace {

void declare(const ModelDesc &model, OpBuilder &b, const EntryImporter &types) {
  for (const DimDesc &dim : model.dims)
    DimOp::create(b, types.location(dim.pos, dim.name), dim.name, dim.min, dim.max, dim.hint, dim.multipleOf);
  for (const StateDesc &state : model.states)
    StateOp::create(b, types.location(state.pos, state.name), state.name, state.layers, state.kvHeads, state.headDim, state.capacity,
                      types.element(state.dtype));
}

class ImportEntry {
public:
  ImportEntry(const ModelDesc &model, const EntryDesc &entry, ModuleOp module)
      : model(model), entry(entry), module(module), hasLoss(entry.mode != EntryDesc::Mode::infer) {
    for (const Node &node : model.graph.nodes)
      all.push_back(&node);
    for (const InputDesc &input : model.inputs)
      inputs.push_back(&input);
    if (!hasLoss)
      return;
    for (const Node &node : model.train->nodes)
      all.push_back(&node);
    for (const InputDesc &input : model.train->inputs)
      inputs.push_back(&input);
  }

  void run(OpBuilder &b) {
    EntryImporter importer(model, entry, module, b);
    std::vector<std::pair<std::string, ValueId>> outputs = selectOutputs();
    std::vector<ValueId> targets;
    for (auto &[name, value] : outputs)
      targets.push_back(value);
    std::set<ValueId> used;
    std::vector<const Node *> nodes = neededNodes(all, targets, used);

    llvm::erase_if(inputs, [&](const InputDesc *input) { return !used.count(input->value); });
    SmallVector<Type> argumentTypes;
    for (const InputDesc *input : inputs)
      argumentTypes.push_back(importer.type(input->type));
    auto func = func::FuncOp::create(b, importer.location(entry.pos, entry.name), entry.name, b.getFunctionType(argumentTypes, {}));
    Block *block = func.addEntryBlock();
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(block);
    ValueMap values;
    for (auto [i, input] : llvm::enumerate(inputs)) {
      func.setArgAttr(i, "weft.name", b.getStringAttr(input->name));
      values[input->value] = block->getArgument(i);
    }
    for (const Node *node : nodes)
      importer.node(model.graph, *node, values);

    SmallVector<Value> results;
    for (auto &[name, id] : outputs) {
      Value result = values.lookup(id);
      if (entry.lastTokenOnly && cast<RankedTensorType>(result.getType()).getRank() > 1)
        result = LastTokenOp::create(b, result.getLoc(), result);
      results.push_back(result);
    }
    func::ReturnOp::create(b, func.getLoc(), results);
    func.setFunctionType(b.getFunctionType(argumentTypes, ValueRange(results).getTypes()));
    for (auto [i, output] : llvm::enumerate(outputs))
      func.setResultAttr(i, "weft.name", b.getStringAttr(output.first));
    setAttributes(func, b);
  }

private:
  std::vector<std::pair<std::string, ValueId>> selectOutputs() const {
    std::vector<std::pair<std::string, ValueId>> selected;
    if (hasLoss)
      selected.emplace_back("loss", model.train->loss);
    for (const std::string &name : entry.outputs)
      for (const OutputDesc &output : model.outputs)
        if (output.name == name)
          selected.emplace_back(name, output.value);
    return selected;
  }

  void setAttributes(func::FuncOp func, OpBuilder &b) const {
    func->setAttr("weft.entry", b.getUnitAttr());
    if (hasLoss)
      setGradients(func, b);
    SmallVector<Attribute> states;
    for (int32_t state : entry.states)
      states.push_back(FlatSymbolRefAttr::get(b.getContext(), model.states[state].name));
    if (!states.empty())
      func->setAttr("weft.states", b.getArrayAttr(states));
    SmallVector<NamedAttribute> fixed;
    for (auto &[name, size] : entry.fixedDims)
      fixed.push_back(b.getNamedAttr(name, b.getI64IntegerAttr(size)));
    if (!fixed.empty())
      func->setAttr("weft.fixed", b.getDictionaryAttr(fixed));
    if (entry.lastTokenOnly)
      func->setAttr("weft.last_token_only", b.getUnitAttr());
    SmallVector<Attribute> prefills;
    for (const EntryDesc *prefill : prefillsOf(model, entry))
      prefills.push_back(FlatSymbolRefAttr::get(b.getContext(), prefill->name));
    if (!prefills.empty())
      func->setAttr("weft.prefills", b.getArrayAttr(prefills));
  }

  /// What mixed precision is told: the type of products, and the nodes that are spared.
  void setPrecision(func::FuncOp func, OpBuilder &b) const {
    Type compute = model.precision.compute == DType::bf16 ? Type(b.getBF16Type()) : model.precision.compute == DType::f16 ? Type(b.getF16Type()) : Type();
    if (!compute)
      return;
    func->setAttr("weft.compute", TypeAttr::get(compute));
    SmallVector<Attribute> kept;
    for (const std::string &node : nodesKeptF32(model))
      kept.push_back(b.getStringAttr(node));
    if (!kept.empty())
      func->setAttr("weft.keep_f32", b.getArrayAttr(kept));
    if (entry.mode == EntryDesc::Mode::train && model.train->dynamicLossScale)
      func->setAttr("weft.loss_scale", b.getUnitAttr());
  }

  /// What autodiff is told: the tensors and inputs that gradients are wanted of, and what is computed again.
  void setGradients(func::FuncOp func, OpBuilder &b) const {
    bool trains = entry.mode == EntryDesc::Mode::train;
    setPrecision(func, b);
    if (entry.mode != EntryDesc::Mode::grad)
      func->setAttr("weft.plain_parameters", b.getUnitAttr());
    if (entry.mode == EntryDesc::Mode::eval) {
      func->setAttr("weft.mode", b.getStringAttr("eval"));
      return;
    }
    func->setAttr("weft.mode", b.getStringAttr(trains ? "train" : "grad"));
    std::vector<int32_t> tensors = trains ? trainableTensors(model) : differentiatedTensors(model, entry);
    SmallVector<Attribute> names;
    SmallVector<int32_t> groups;
    for (int32_t tensor : tensors) {
      names.push_back(b.getStringAttr(model.tensors[tensor].name));
      groups.push_back(!isDecayed(model.train->optimizer, model.tensors[tensor]));
    }
    func->setAttr("weft.gradient_tensors", b.getDenseI32ArrayAttr(tensors));
    func->setAttr("weft.gradient_names", b.getArrayAttr(names));
    if (trains)
      func->setAttr("weft.gradient_groups", b.getDenseI32ArrayAttr(groups));
    SmallVector<Attribute> recomputed;
    for (const std::string &node : recomputedNodes(model))
      recomputed.push_back(b.getStringAttr(node));
    if (!recomputed.empty())
      func->setAttr("weft.recompute", b.getArrayAttr(recomputed));
    if (model.train->recompute == "block")
      func->setAttr("weft.recompute", b.getStringAttr("block"));
    for (auto [i, input] : llvm::enumerate(inputs))
      if (llvm::any_of(entry.gradients, [&](const std::string &glob) { return matchGlob(glob, input->name); }) && isa<FloatType>(cast<RankedTensorType>(func.getArgumentTypes()[i]).getElementType()))
        func.setArgAttr(i, "weft.gradient", b.getUnitAttr());
  }

  const ModelDesc &model;
  const EntryDesc &entry;
  ModuleOp module;
  bool hasLoss;
  std::vector<const Node *> all;      ///< the graph's nodes, then those of `train` if the entry has a loss
  std::vector<const InputDesc *> inputs;  ///< likewise; after `run`: those that the entry reads
};

}  // namespace

OwningOpRef<ModuleOp> importGraph(const ModelDesc &model, const std::vector<std::string> &entries, MLIRContext &context,
                                  Diagnostics &diagnostics) {
  context.loadDialect<WeftDialect, func::FuncDialect>();
  OpBuilder b(&context);
  OwningOpRef<ModuleOp> module = ModuleOp::create(FileLineColLoc::get(&context, llvm::sys::path::filename(model.file), 0, 0), model.name);
  b.setInsertionPointToEnd(module->getBody());
  static const EntryDesc none;
  declare(model, b, EntryImporter(model, none, *module, b));
  for (const std::string &name : entries) {
    auto entry = llvm::find_if(model.entries, [&](const EntryDesc &e) { return e.name == name; });
    if (entry == model.entries.end()) {
      diagnostics.error(Position(), "expected an entry of the model but got " + quote(name));
      return nullptr;
    }
    ImportEntry(model, *entry, *module).run(b);
  }
  if (failed(verify(*module))) {
    diagnostics.error(Position(), "the imported graph is not valid");
    return nullptr;
  }
  return module;
}

}  // namespace weft
