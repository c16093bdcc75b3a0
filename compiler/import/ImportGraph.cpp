// Declarations and entry functions: which nodes an entry needs, its arguments, results and attributes.
// The ops themselves are written by ImportNode.cpp.
#include "import/ImportGraph.h"

#include "import/ImportNode.h"

#include "mlir/IR/Verifier.h"

using namespace mlir;

namespace weft {
namespace {

/// Marks the nodes that `targets` depend on, walking the file order backwards.
std::vector<bool> neededNodes(const Graph &graph, const std::vector<ValueId> &targets, std::set<ValueId> &used) {
  used.insert(targets.begin(), targets.end());
  std::vector<bool> wanted(graph.nodes.size());
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    const Node &node = graph.nodes[i];
    for (ValueId result : node.results)
      wanted[i] = wanted[i] || used.count(result);
    if (wanted[i])
      used.insert(node.operands.begin(), node.operands.end());
  }
  return wanted;
}

void declare(const ModelDesc &model, OpBuilder &b, const EntryImporter &types) {
  for (const DimDesc &dim : model.dims)
    DimOp::create(b, types.location(dim.pos, dim.name), dim.name, dim.min, dim.max, dim.hint, dim.multipleOf);
  for (const StateDesc &state : model.states)
    StateOp::create(b, types.location(state.pos, state.name), state.name, state.layers, state.kvHeads, state.headDim, state.capacity,
                      types.element(state.dtype));
}

class ImportEntry {
public:
  ImportEntry(const ModelDesc &model, const EntryDesc &entry, ModuleOp module, const std::vector<std::string> &probes)
      : model(model), entry(entry), module(module), probes(probes) {}

  void run(OpBuilder &b) {
    EntryImporter importer(model, entry, module, b);
    std::vector<std::pair<std::string, ValueId>> outputs = selectOutputs();
    std::vector<ValueId> targets;
    for (auto &[name, value] : outputs)
      targets.push_back(value);
    std::set<ValueId> used;
    std::vector<bool> wanted = neededNodes(model.graph, targets, used);

    SmallVector<const InputDesc *> inputs;
    SmallVector<Type> argumentTypes;
    for (const InputDesc &input : model.inputs) {
      if (!used.count(input.value))
        continue;
      inputs.push_back(&input);
      argumentTypes.push_back(importer.type(input.type));
    }
    auto func = func::FuncOp::create(b, importer.location(entry.pos, entry.name), entry.name, b.getFunctionType(argumentTypes, {}));
    Block *block = func.addEntryBlock();
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(block);
    ValueMap values;
    for (auto [i, input] : llvm::enumerate(inputs)) {
      func.setArgAttr(i, "weft.name", b.getStringAttr(input->name));
      values[input->value] = block->getArgument(i);
    }
    importer.nodes(model.graph, values, wanted);

    SmallVector<Value> results;
    for (auto &[name, id] : outputs) {
      Value result = values.lookup(id);
      if (entry.lastTokenOnly && !StringRef(name).starts_with("probe."))
        if (cast<RankedTensorType>(result.getType()).getRank() > 1)
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
    for (const std::string &name : entry.outputs)
      for (const OutputDesc &output : model.outputs)
        if (output.name == name)
          selected.emplace_back(name, output.value);
    std::vector<ValueId> targets;
    for (auto &[name, value] : selected)
      targets.push_back(value);
    std::set<ValueId> used;
    std::vector<bool> wanted = neededNodes(model.graph, targets, used);
    for (const std::string &probe : probes)
      for (auto [i, node] : llvm::enumerate(model.graph.nodes))
        if (wanted[i] && node.path == probe && !node.results.empty())
          selected.emplace_back("probe." + probe, node.results.front());
    return selected;
  }

  void setAttributes(func::FuncOp func, OpBuilder &b) const {
    func->setAttr("weft.entry", b.getUnitAttr());
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
  }

  const ModelDesc &model;
  const EntryDesc &entry;
  ModuleOp module;
  const std::vector<std::string> &probes;
};

}  // namespace

OwningOpRef<ModuleOp> importGraph(const ModelDesc &model, const std::vector<std::string> &entries,
                                  const std::vector<std::string> &probes, MLIRContext &context, Diagnostics &diagnostics) {
  context.loadDialect<WeftDialect, func::FuncDialect>();
  OpBuilder b(&context);
  OwningOpRef<ModuleOp> module = ModuleOp::create(FileLineColLoc::get(&context, model.file, 0, 0), model.name);
  b.setInsertionPointToEnd(module->getBody());
  static const EntryDesc none;
  declare(model, b, EntryImporter(model, none, *module, b));
  for (const std::string &name : entries) {
    auto entry = llvm::find_if(model.entries, [&](const EntryDesc &e) { return e.name == name; });
    if (entry == model.entries.end() || entry->mode != EntryDesc::Mode::infer) {
      diagnostics.error(Position(), "expected an inference entry but got " + quote(name));
      return nullptr;
    }
    ImportEntry(model, *entry, *module, probes).run(b);
  }
  if (failed(verify(*module))) {
    diagnostics.error(Position(), "the imported graph is not valid");
    return nullptr;
  }
  return module;
}

}  // namespace weft
