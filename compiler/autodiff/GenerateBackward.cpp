// The reverse walk: from a function that computes a loss to one that also computes gradients.
// Rules write plain weft ops after the forward pass; fusion, memory and tiling see one function.
#include "Passes.h"
#include "autodiff/Activity.h"
#include "autodiff/ReverseRepeat.h"
#include "autodiff/rules/Expr.h"
#include "dialect/Locations.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"

#include <map>
#include <set>

using namespace mlir;

namespace weft {
#define GEN_PASS_DEF_GENERATEBACKWARDPASS
#include "Passes.h.inc"

namespace {

class Backward {
public:
  explicit Backward(func::FuncOp func) : func(func), module(func->getParentOfType<ModuleOp>()), symbols(module), isTrain(mode() == "train") {
    if (auto wanted = func->getAttrOfType<DenseI32ArrayAttr>("weft.gradient_tensors"))
      for (auto [tensor, name] : llvm::zip(wanted.asArrayRef(), func->getAttrOfType<ArrayAttr>("weft.gradient_names")))
        names[tensor] = cast<StringAttr>(name).getValue().str();
    if (auto grouped = func->getAttrOfType<DenseI32ArrayAttr>("weft.gradient_groups"))
      for (auto [tensor, group] : llvm::zip(func->getAttrOfType<DenseI32ArrayAttr>("weft.gradient_tensors").asArrayRef(), grouped.asArrayRef()))
        groups[tensor] = group;
    if (auto nodes = func->getAttrOfType<ArrayAttr>("weft.recompute"))
      for (Attribute node : nodes)
        recompute.nodes.push_back(cast<StringAttr>(node).getValue().str());
    auto policy = func->getAttrOfType<StringAttr>("weft.recompute");
    recompute.block = policy && policy.getValue() == "block";
  }

  LogicalResult run() {
    auto ret = cast<func::ReturnOp>(func.getBody().front().getTerminator());
    Value loss = ret.getNumOperands() ? ret.getOperand(0) : Value();
    auto type = loss ? dyn_cast<RankedTensorType>(loss.getType()) : nullptr;
    if (!type || type.getRank() != 0 || !isa<FloatType>(type.getElementType()))
      return func.emitOpError() << "expected a scalar loss as the first result";
    auto wanted = [&](Value v) { return isWanted(v); };
    saveLogSumExp(variedValues(func, wanted));
    varied = variedValues(func, wanted);
    loss = ret.getOperand(0);

    OpBuilder b(ret);
    Gradients gradients(b, varied);
    gradients.loc = loss.getLoc();
    if (varied.contains(loss))
      gradients.add(loss, seed(gradients, loss));
    reverse(func.getBody().front(), gradients);
    if (isBroken)
      return failure();
    addResults(gradients);
    dropUnreadLogSumExp();
    func->removeAttr("weft.recompute");
    return success();
  }

private:
  StringRef mode() { return func->getAttrOfType<StringAttr>("weft.mode").getValue(); }

  ParamOp paramOf(StringAttr symbol) { return symbols.lookup<ParamOp>(symbol); }

  bool isWanted(Value v) {
    if (auto argument = dyn_cast<BlockArgument>(v))
      return bool(func.getArgAttr(argument.getArgNumber(), "weft.gradient"));
    auto parameter = v.getDefiningOp<ParameterOp>();
    return parameter && llvm::any_of(paramOf(parameter.getParamAttr().getAttr()).getTensors(), [&](int32_t t) { return names.count(t); });
  }

  /// The loss's own gradient: one, or with dynamic loss scaling the scale.
  Value seed(Gradients &g, Value loss) {
    auto type = cast<RankedTensorType>(loss.getType());
    if (func->hasAttr("weft.loss_scale")) {
      inverseScale = LossScaleOp::create(g.b, g.loc, type, /*inverse=*/true);
      return LossScaleOp::create(g.b, g.loc, type, /*inverse=*/false);
    }
    return ConstantOp::create(g.b, g.loc, cast<TypedAttr>(Attribute(DenseElementsAttr::get(type, g.b.getFloatAttr(type.getElementType(), 1.0)))));
  }

  /// A parameter's gradient without the scale of the loss. Rows that are added into a table are what is divided, not the table.
  Value unscale(Gradients &g, Value gradient) {
    if (!inverseScale)
      return gradient;
    if (auto rows = gradient.getDefiningOp<EmbeddingGradOp>()) {
      OpBuilder b(rows);
      rows.getDyMutable().assign(MulOp::create(b, g.loc, rows.getDy(), inverseScale).getResult());
      if (rows.getInit())
        rows.getInitMutable().assign(MulOp::create(b, g.loc, rows.getInit(), inverseScale).getResult());
      return gradient;
    }
    return MulOp::create(g.b, g.loc, gradient, inverseScale);
  }

  /// Attention whose gradient is asked for keeps the row statistics of its softmax.
  void saveLogSumExp(const llvm::DenseSet<Value> &varied) {
    SmallVector<AttentionOp> ops;
    func.walk([&](AttentionOp op) {
      if (varied.contains(op.getY()) && !op.getSaveLse() && !op.getCache())
        ops.push_back(op);
    });
    for (AttentionOp op : ops) {
      Shape q = shapeOf(op.getQ());
      SmallVector<Type> types(op->getResultTypes());
      types.push_back(tensorType({q[0], DimExpr(int64_t(op.getHeads())), q[1]}, Float32Type::get(op.getContext())));
      replaceByTwin(op, types)->setAttr("save_lse", UnitAttr::get(op.getContext()));
    }
  }

  /// Rules that start from the map don't read them.
  void dropUnreadLogSumExp() {
    SmallVector<AttentionOp> ops;
    func.walk([&](AttentionOp op) {
      if (op.getSaveLse() && op.getLse().use_empty())
        ops.push_back(op);
    });
    for (AttentionOp op : ops)
      replaceByTwin(op, llvm::to_vector(llvm::drop_end(op->getResultTypes())))->removeAttr("save_lse");
  }

  /// The same op but for results at the end.
  static Operation *replaceByTwin(AttentionOp op, ArrayRef<Type> types) {
    OpBuilder b(op);
    OperationState state(op.getLoc(), op->getName(), op->getOperands(), types, op->getAttrs());
    Operation *twin = b.create(state);
    for (auto [from, to] : llvm::zip(op->getResults(), twin->getResults()))
      from.replaceAllUsesWith(to);
    op.erase();
    return twin;
  }

  void reverse(Block &block, Gradients &g) {
    SmallVector<Operation *> ops;
    for (Operation &op : block.without_terminator())
      ops.push_back(&op);
    for (Operation *op : llvm::reverse(ops)) {
      if (llvm::none_of(op->getResults(), [&](Value v) { return g.has(v); }))
        continue;
      g.loc = op->getLoc();
      if (auto parameter = dyn_cast<ParameterOp>(op)) {
        g.addParameter({parameter.getParamAttr().getAttr(), SmallVector<Value, 2>(parameter.getIndices())}, unscale(g, g.of(parameter.getY())));
      } else if (auto repeat = dyn_cast<RepeatOp>(op)) {
        reverseRepeat(repeat, g, varied, recompute, [&](Block &body, Gradients &inner) { reverse(body, inner); });
      } else if (auto rule = dyn_cast<GradientOpInterface>(op)) {
        size_t before = g.missingRules.size();
        if (failed(rule.buildGradient(g)) || g.missingRules.size() != before)
          reportMissing(op, g.missingRules.empty() ? "'" + op->getName().getStringRef().str() + "'" : g.missingRules.back());
      } else {
        reportMissing(op, "'" + op->getName().getStringRef().str() + "'");
      }
    }
  }

  void reportMissing(Operation *op, const std::string &what) {
    isBroken = true;
    std::string node = nodePath(op->getLoc()), source = wantedBehind(op);
    InFlightDiagnostic error = op->emitError();
    error << (node.empty() ? "" : "node '" + node + "': ") << "no gradient rule for " << what;
    if (!source.empty())
      error << ", which the gradient of '" << source << "' needs";
  }

  /// A parameter or input that a gradient is wanted of and that `op` depends on.
  std::string wantedBehind(Operation *op) {
    llvm::SmallPtrSet<Operation *, 16> seen;
    SmallVector<Value> work(op->getOperands());
    while (!work.empty()) {
      Value v = work.pop_back_val();
      if (!varied.contains(v))
        continue;
      if (auto argument = dyn_cast<BlockArgument>(v)) {
        if (auto repeat = dyn_cast<RepeatOp>(argument.getOwner()->getParentOp()))
          work.push_back(repeat.getInit()[argument.getArgNumber() - 1]);
        else
          return cast<StringAttr>(func.getArgAttr(argument.getArgNumber(), "weft.name")).getValue().str();
        continue;
      }
      if (auto parameter = v.getDefiningOp<ParameterOp>())
        return parameter.getParam().str();
      if (seen.insert(v.getDefiningOp()).second)
        llvm::append_range(work, v.getDefiningOp()->getOperands());
    }
    return {};
  }

  // ---- results

  /// A gradient as a result: one tensor, or in training all of a parameter's tensors one after the other.
  struct Result {
    Value value;
    std::string name;
    SmallVector<int32_t> tensors;
  };

  void addResults(Gradients &g) {
    g.loc = func.getLoc();
    std::vector<Result> results;
    for (BlockArgument argument : func.getArguments())
      if (func.getArgAttr(argument.getArgNumber(), "weft.gradient")) {
        Value gradient = g.of(argument);
        std::string name = cast<StringAttr>(func.getArgAttr(argument.getArgNumber(), "weft.name")).getValue().str();
        results.push_back({gradient ? gradient : g.zeros(argument.getType()), "grad." + name, {}});
      }
    addParameters(g, results);
    auto ret = cast<func::ReturnOp>(func.getBody().front().getTerminator());
    unsigned first = ret.getNumOperands();
    for (const Result &result : results)
      ret->insertOperands(ret->getNumOperands(), result.value);
    func.setFunctionType(g.b.getFunctionType(func.getArgumentTypes(), ret.getOperandTypes()));
    SmallVector<Attribute> attributes(ret.getNumOperands(), g.b.getDictionaryAttr({}));
    for (unsigned i = 0; i < first; ++i)
      if (DictionaryAttr known = func.getResultAttrDict(i))
        attributes[i] = known;
    func.setResAttrsAttr(g.b.getArrayAttr(attributes));
    for (auto [i, result] : llvm::enumerate(results)) {
      func.setResultAttr(first + i, "weft.name", g.b.getStringAttr(result.name));
      if (!result.tensors.empty())
        func.setResultAttr(first + i, "weft.tensors", g.b.getDenseI32ArrayAttr(result.tensors));
    }
  }

  void addParameters(Gradients &g, std::vector<Result> &results) {
    std::map<int32_t, int> symbolsOf;
    for (auto &[key, values] : g.parameters)
      for (int32_t tensor : paramOf(key.first).getTensors())
        ++symbolsOf[tensor];
    std::map<int32_t, SmallVector<Value>> pieces;
    for (auto &[key, values] : g.parameters) {
      ParamOp param = paramOf(key.first);
      ArrayRef<int32_t> tensors = param.getTensors();
      Value gradient = g.sum(values);
      bool whole = isTrain && llvm::all_of(tensors, [&](int32_t t) { return names.count(t) && symbolsOf[t] == 1 && groupOf(t) == groupOf(tensors[0]); }) &&
                   std::set<int32_t>(tensors.begin(), tensors.end()).size() == tensors.size();
      if (whole) {
        results.push_back({gradient, "grad." + param.getSymName().str(), SmallVector<int32_t>(tensors)});
        continue;
      }
      // One piece a tensor: it is tied to others, or wanted by its own name.
      Shape shape = shapeOf(param.getType());
      Type element = cast<RankedTensorType>(param.getType()).getElementType();
      Shape rounds = shape;
      rounds.insert(rounds.begin(), DimExpr(int64_t(tensors.size())));
      // A repeat stacks its rounds, also a single one.
      RankedTensorType type = tensors.size() > 1 ? tensorType(rounds, element) : cast<RankedTensorType>(param.getType());
      if (gradient.getType() != type)
        gradient = ReshapeOp::create(g.b, g.loc, type, gradient);
      for (auto [round, tensor] : llvm::enumerate(tensors)) {
        if (!names.count(tensor))
          continue;
        Value piece = gradient;
        if (tensors.size() > 1) {
          Shape one = rounds;
          one[0] = DimExpr(1);
          piece = SliceOp::create(g.b, g.loc, tensorType(one, element), gradient, 0, std::to_string(round), 1);
          piece = ReshapeOp::create(g.b, g.loc, cast<RankedTensorType>(param.getType()), piece);
        }
        pieces[tensor].push_back(piece);
      }
    }
    for (auto &[tensor, values] : pieces)
      results.push_back({g.sum(values), "grad." + names[tensor], {tensor}});
    if (isTrain) {
      llvm::stable_sort(results, [&](const Result &x, const Result &y) { return groupOf(x.tensors.front()) < groupOf(y.tensors.front()); });
      return;
    }
    // What the loss does not reach has a zero gradient; its shape stands with its symbol.
    for (auto &[tensor, name] : names)
      if (!pieces.count(tensor))
        for (ParamOp param : module.getOps<ParamOp>())
          if (llvm::is_contained(param.getTensors(), tensor)) {
            results.push_back({g.zeros(param.getType()), "grad." + name, {tensor}});
            break;
          }
  }

  func::FuncOp func;
  ModuleOp module;
  SymbolTable symbols;
  bool isTrain, isBroken = false;
  Recompute recompute;
  int groupOf(int32_t tensor) const {
    auto it = groups.find(tensor);
    return it == groups.end() ? 0 : it->second;
  }

  std::map<int32_t, int> groups;         ///< training: results of one group stand together
  std::map<int32_t, std::string> names;  ///< of the parameter tensors a gradient is wanted of
  llvm::DenseSet<Value> varied;
  Value inverseScale;  ///< null: the loss is not scaled
};

struct GenerateBackwardPass : impl::GenerateBackwardPassBase<GenerateBackwardPass> {
  void getDependentDialects(DialectRegistry &registry) const override {
    registry.insert<WeftDialect>();
    registry.addExtension(+[](MLIRContext *context, WeftDialect *) { registerGradientRules(*context); });
  }
  void runOnOperation() override {
    for (func::FuncOp func : getOperation().getOps<func::FuncOp>())
      if (auto mode = func->getAttrOfType<StringAttr>("weft.mode"); mode && mode.getValue() != "eval" && failed(Backward(func).run()))
        return signalPassFailure();
  }
};

} // namespace

void registerGradientRules(MLIRContext &context) {
  registerPointwiseRules(context);
  registerShapeRules(context);
  registerRowRules(context);
  registerTransformerRules(context);
  registerAttentionRules(context);
  registerLossRules(context);
}

} // namespace weft
