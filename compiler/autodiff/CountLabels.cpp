// What a trainer asks of a batch beside its loss: how much the batch counts in a mean over several, and how many labels
// the model gets right.
#include "Passes.h"
#include "dialect/Labels.h"
#include "dialect/Values.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"

using namespace mlir;

namespace weft {
#define GEN_PASS_DEF_COUNTLABELSPASS
#include "Passes.h.inc"

namespace {

/// More classes are a vocabulary: its logits, for all positions at once, are what training avoids to hold.
constexpr int64_t kMostClasses = 8192;

class Counts {
public:
  explicit Counts(func::FuncOp func) : func(func), ret(cast<func::ReturnOp>(func.getBody().front().getTerminator())), b(ret) {}

  void add() {
    b.setInsertionPoint(ret);
    Type f32 = b.getF32Type();
    for (auto op : func.getOps<CrossEntropyOp>())
      if (op->hasAttr("weft.counts_batch") && isAnyLabelLighter(op))
        insert("weight", total(labelWeights(b, op, f32)));
    CrossEntropyOp loss = onlyCrossEntropy();
    if (!loss)
      return;
    DimExpr classes = shapeOf(loss.getLogits()).back();
    if (mode() != "eval" || !classes.constant() || *classes.constant() > kMostClasses)
      return;
    Value counted = countedLabels(b, loss, f32);
    insert("labels", total(counted));
    insert("correct", total(MulOp::create(b, loss.getLoc(), counted, hits(loss))));
  }

private:
  StringRef mode() { return func->getAttrOfType<StringAttr>("weft.mode").getValue(); }

  /// The function's loss over labels, unless there are several, or one in each round of a repeat.
  CrossEntropyOp onlyCrossEntropy() {
    SmallVector<CrossEntropyOp> found;
    func.walk([&](CrossEntropyOp op) { found.push_back(op); });
    return found.size() == 1 && found[0]->getBlock() == &func.getBody().front() ? found[0] : CrossEntropyOp();
  }

  /// 1 where the label's logit is the largest of its row, else 0.
  Value hits(CrossEntropyOp loss) {
    Location loc = loss.getLoc();
    Value best = ArgmaxOp::create(b, loc, loss.getLogits(), int64_t(typeOf(loss.getLogits()).getRank() - 1), /*keepdim=*/false);
    if (elementOf(best) != elementOf(loss.getLabels()))
      best = CastOp::create(b, loc, cast<RankedTensorType>(loss.getLabels().getType()), best);
    Value same = EqualOp::create(b, loc, best, loss.getLabels());
    Type f32 = b.getF32Type();
    return WhereOp::create(b, loc, same, floatConstant(b, loc, f32, 1), floatConstant(b, loc, f32, 0));
  }

  Value total(Value x) {
    return ReduceSumOp::create(b, x.getLoc(), x, llvm::to_vector(llvm::seq<int64_t>(0, typeOf(x).getRank())), false);
  }

  void insert(StringRef name, Value value) {
    ret->insertOperands(ret->getNumOperands(), value);
    func.setFunctionType(b.getFunctionType(func.getArgumentTypes(), ret.getOperandTypes()));
    SmallVector<Attribute> attributes(ret.getNumOperands(), b.getDictionaryAttr({}));
    for (unsigned i = 0; i + 1 < ret.getNumOperands(); ++i)
      if (DictionaryAttr known = func.getResultAttrDict(i))
        attributes[i] = known;
    attributes.back() = b.getDictionaryAttr({b.getNamedAttr("weft.count", b.getStringAttr(name)), b.getNamedAttr("weft.name", b.getStringAttr(name))});
    func.setResAttrsAttr(b.getArrayAttr(attributes));
  }

  func::FuncOp func;
  func::ReturnOp ret;
  OpBuilder b;
};

struct CountLabelsPass : impl::CountLabelsPassBase<CountLabelsPass> {
  void runOnOperation() override {
    for (func::FuncOp func : getOperation().getOps<func::FuncOp>())
      if (auto mode = func->getAttrOfType<StringAttr>("weft.mode"))
        if (mode.getValue() == "train" || mode.getValue() == "eval")
          Counts(func).add();
  }
};

} // namespace
} // namespace weft
