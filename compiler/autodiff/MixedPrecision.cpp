// Products of half precision in entries that have a loss: what they read is rounded, what they give is rounded where it is
// kept, and everything between stays f32. Runs before autodiff, so that gradients are rounded at the same places.
#include "Passes.h"
#include "dialect/Locations.h"
#include "dialect/Values.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"

#include <set>

using namespace mlir;

namespace weft {
#define GEN_PASS_DEF_MIXEDPRECISIONPASS
#include "Passes.h.inc"

namespace {

/// What computes in f32 and is no pointwise op: what it reads need not be rounded first.
bool readsSums(Operation *op) {
  return isa<SoftmaxOp, LogSoftmaxOp, CrossEntropyOp, BceWithLogitsOp, MseOp, L1Op, HuberOp, KlDivOp, ArgmaxOp>(op);
}

class Rounding {
public:
  Rounding(func::FuncOp func, Type half) : func(func), half(half) {
    if (auto nodes = func->getAttrOfType<ArrayAttr>("weft.keep_f32"))
      for (Attribute node : nodes)
        keeps.insert(cast<StringAttr>(node).getValue().str());
  }

  void run() {
    SmallVector<Operation *> products;
    func.walk([&](Operation *op) {
      if (isa<MatmulOp, AttentionOp>(op) && elementOf(op->getOperand(0)).isF32() && !keeps.count(nodePath(op->getLoc())))
        products.push_back(op);
    });
    for (Operation *op : products)
      if (auto matmul = dyn_cast<MatmulOp>(op))
        rewrite(matmul);
      else
        rewrite(cast<AttentionOp>(op));
  }

private:
  Value castTo(OpBuilder &b, Value v, Type element) { return CastOp::create(b, v.getLoc(), tensorType(shapeOf(v), element), v); }

  /// matmul x, w  →  matmul (cast x), (cast w) {wide}, and casts to half precision and back after it and its bias
  ///
  /// Every rounding is a cast that is seen: the sums and the bias are added in f32, and what follows reads f32.
  void rewrite(MatmulOp op) {
    OpBuilder b(op);
    Value x = narrow(op.getA(), op->getBlock()), w = narrow(op.getB(), op->getBlock());
    auto wide = MatmulOp::create(b, op.getLoc(), x, w, op.getTransposeA(), op.getTransposeB(), /*wide=*/true);
    op.getY().replaceAllUsesWith(wide.getY());
    op.erase();
    Value end = withBias(wide);
    if (isKept(end))
      round(end);
  }

  /// attention q, k, v  →  attention over casts of them, cast back
  ///
  /// The kernels compute scores, softmax and sums in f32 and round the result once. With a map or a cache the op itself
  /// stays f32, between values that are rounded.
  void rewrite(AttentionOp op) {
    OpBuilder b(op);
    bool stays = op.getMap() || op.getCache();
    for (OpOperand &use : op->getOpOperands().take_front(3)) {
      Value rounded = narrow(use.get(), op->getBlock());
      use.set(stays ? castTo(b, rounded, b.getF32Type()) : rounded);
    }
    Value y = op.getY();
    if (stays)
      return round(y);
    y.setType(tensorType(shapeOf(y), half));
    b.setInsertionPointAfter(op);
    Value back = castTo(b, y, b.getF32Type());
    y.replaceAllUsesExcept(back, back.getDefiningOp());
  }

  void round(Value v) {
    OpBuilder b(v.getContext());
    b.setInsertionPointAfterValue(v);
    Value rounded = castTo(b, v, half), back = castTo(b, rounded, b.getF32Type());
    v.replaceAllUsesExcept(back, rounded.getDefiningOp());
  }

  /// The sum with the bias that is the product's only reader.
  static Value withBias(MatmulOp matmul) {
    auto add = matmul.getY().hasOneUse() ? dyn_cast<AddOp>(*matmul.getY().user_begin()) : AddOp();
    if (!add || add->getBlock() != matmul->getBlock() || add.getType() != matmul.getType())
      return matmul.getY();
    Value bias = add.getLhs() == matmul.getY() ? add.getRhs() : add.getLhs();
    return isParameterOnly(bias) && shapeOf(bias) == Shape{shapeOf(matmul.getY()).back()} ? Value(add.getResult()) : matmul.getY();
  }

  /// Whether a value is stored or read by more than softmax and losses, behind views and pointwise ops.
  static bool isKept(Value v) {
    llvm::SmallPtrSet<Operation *, 16> seen;
    SmallVector<Value> work{v};
    while (!work.empty())
      for (Operation *user : work.pop_back_val().getUsers()) {
        if (readsSums(user) || !seen.insert(user).second)
          continue;
        if (!isPointwise(user) && !isView(user))
          return true;
        work.push_back(user->getResult(0));
      }
    return false;
  }

  /// `v` in half precision, made in `block`: what is read from outside a repeat is cast inside, so that its gradient is
  /// summed over the rounds in f32.
  Value narrow(Value v, Block *block) {
    if (Value known = narrowed(v, block))
      return known;
    OpBuilder b(v.getContext());
    if (v.getParentBlock() == block)
      b.setInsertionPointAfterValue(v);
    else
      b.setInsertionPointToStart(block);
    return forms[{v, block}] = castTo(b, v, half);
  }

  /// The same if it is there without rounding again: `v` is a cast, or a view of one.
  Value narrowed(Value v, Block *block) {
    if (Value known = forms.lookup({v, block}))
      return known;
    Operation *op = v.getDefiningOp();
    if (!op || op->getBlock() != block)
      return {};
    if (auto wide = dyn_cast<CastOp>(op))
      return elementOf(wide.getX()) == half ? wide.getX() : Value();
    Value source = isView(op) ? narrowed(op->getOperand(0), block) : Value();
    if (!source)
      return {};
    OpBuilder b(v.getContext());
    b.setInsertionPointAfter(op);
    Operation *view = b.clone(*op);
    view->setOperand(0, source);
    view->getResult(0).setType(tensorType(shapeOf(v), half));
    return forms[{v, block}] = view->getResult(0);
  }

  func::FuncOp func;
  Type half;
  std::set<std::string> keeps;  ///< nodes that precision.keep_f32 names
  llvm::DenseMap<std::pair<Value, Block *>, Value> forms;
};

struct MixedPrecisionPass : impl::MixedPrecisionPassBase<MixedPrecisionPass> {
  void runOnOperation() override {
    for (func::FuncOp func : getOperation().getOps<func::FuncOp>())
      if (auto type = func->getAttrOfType<TypeAttr>("weft.compute")) {
        Rounding(func, type.getValue()).run();
        func->removeAttr("weft.keep_f32"); // names of nodes leave no trace in objects
      }
  }
};

} // namespace
} // namespace weft
