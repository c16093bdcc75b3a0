// Makes one product of all products of one value with parameters: q, k, v, or gate and up.
// The parameters are concatenated, which costs nothing at run time: they are packed once, when a model is opened.
#include "Passes.h"
#include "dialect/Values.h"

#include "llvm/ADT/MapVector.h"

using namespace mlir;

namespace weft {

#define GEN_PASS_DEF_FUSEPROJECTIONSPASS
#include "Passes.h.inc"

namespace {

/// matmul x, w and the add of a bias vector that is its only user.
struct Projection {
  MatmulOp matmul;
  AddOp add;
  Value bias;

  Value result() { return add ? Value(add.getResult()) : Value(matmul.getY()); }
  int64_t features() { return *shapeOf(matmul.getY()).back().constant(); }
};

std::optional<Projection> asProjection(MatmulOp matmul) {
  Shape w = shapeOf(matmul.getB());
  if (w.size() != 2 || matmul.getTransposeA() || !isParameterOnly(matmul.getB()))
    return std::nullopt;
  Projection projection{matmul, nullptr, nullptr};
  if (!matmul.getY().hasOneUse())
    return projection;
  auto add = dyn_cast<AddOp>(*matmul.getY().user_begin());
  if (!add || add->getBlock() != matmul->getBlock() || add.getType() != matmul.getType())
    return projection;
  Value bias = add.getLhs() == matmul.getY() ? add.getRhs() : add.getLhs();
  if (isParameterOnly(bias) && shapeOf(bias) == Shape{shapeOf(matmul.getY()).back()}) {
    projection.add = add;
    projection.bias = bias;
  }
  return projection;
}

/// True if the projection's result goes through a pointwise op of its own, like an activation: that belongs into its
/// epilogue. Two results that meet in one pointwise op (gate and up) do not count.
bool hasOwnEpilogue(Projection &p, ArrayRef<Projection> others) {
  Value v = p.result();
  bool activated = false;
  while (v.hasOneUse() && isPointwise(*v.user_begin())) {
    Operation *user = *v.user_begin();
    for (Value operand : user->getOperands())
      for (Projection other : others) {
        Value o = operand;
        while (o != v && o.getDefiningOp() && isPointwise(o.getDefiningOp()) &&
               o.getDefiningOp()->getNumOperands() == 1)
          o = o.getDefiningOp()->getOperand(0);
        if (other.matmul != p.matmul && o == other.result())
          return false;
      }
    activated = true;
    v = user->getResult(0);
  }
  return activated;
}

/// Moves the movement ops and parameter reads that define v before `point`.
void hoist(Value v, Operation *point) {
  Operation *op = v.getDefiningOp();
  if (op->getBlock() != point->getBlock() || op->isBeforeInBlock(point))
    return;
  for (Value operand : op->getOperands())
    if (operand.getDefiningOp() && isParameterOnly(operand))
      hoist(operand, point);
  op->moveBefore(point);
}

/// matmul x, w1; matmul x, w2; …  →  matmul x, concat(w1, w2, …) and slices of it
///
/// Sound because a column of a product depends on that column of w alone: columns side by side are computed side by
/// side, each by the same sum in the same order, and a slice picks them out again. The biases follow their columns.
void fuse(MutableArrayRef<Projection> group, bool transposed, bool biased) {
  MatmulOp first = group.front().matmul;
  SmallVector<Value> weights, biases;
  SmallVector<Location> locations;
  for (Projection &p : group) {
    hoist(p.matmul.getB(), first);
    weights.push_back(p.matmul.getB());
    if (biased) {
      hoist(p.bias, first);
      biases.push_back(p.bias);
    }
    locations.push_back(p.matmul.getLoc());
  }
  OpBuilder b(first);
  Location loc = b.getFusedLoc(locations);
  Value w = ConcatOp::create(b, loc, weights, uint64_t(transposed ? 0 : 1));
  Value y = MatmulOp::create(b, loc, first.getA(), w, false, transposed, first.getWide());
  if (biased)
    y = AddOp::create(b, loc, y, ConcatOp::create(b, loc, biases, uint64_t(0)));
  int64_t start = 0, axis = typeOf(y).getRank() - 1;
  for (Projection &p : group) {
    auto slice = SliceOp::create(b, p.result().getLoc(), p.result().getType(), y, uint64_t(axis), std::to_string(start),
                                 uint64_t(1));
    start += p.features();
    p.result().replaceAllUsesWith(slice.getY());
  }
  for (Projection &p : group) {
    if (p.add)
      p.add.erase();
    p.matmul.erase();
  }
}

void runOnBlock(Block &block) {
  // One group per value and spelling; a matmul belongs to one group.
  llvm::MapVector<std::tuple<Value, unsigned, unsigned, Type>, SmallVector<Projection>> groups;
  for (auto matmul : block.getOps<MatmulOp>())
    if (std::optional<Projection> p = asProjection(matmul))
      groups[{matmul.getA(), unsigned(matmul.getTransposeB()), unsigned(bool(p->add)), elementOf(matmul.getY())}]
          .push_back(*p);
  for (auto &[key, all] : groups) {
    SmallVector<Projection> group;
    for (Projection &p : all)
      if (!hasOwnEpilogue(p, all))
        group.push_back(p);
    if (group.size() > 1)
      fuse(group, std::get<1>(key) != 0, std::get<2>(key) != 0);
  }
}

struct FuseProjectionsPass : impl::FuseProjectionsPassBase<FuseProjectionsPass> {
  void runOnOperation() override {
    getOperation()->walk([](Block *block) {
      // Parameters that change between calls are not put side by side: that would copy them in each.
      for (Operation *op = block->getParentOp(); op; op = op->getParentOp())
        if (op->hasAttr("weft.plain_parameters"))
          return;
      runOnBlock(*block);
    });
  }
};

} // namespace
} // namespace weft
