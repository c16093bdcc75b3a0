// Groups what is neither a product nor attention into row kernels: weft.fused regions.
// A region walks rows, the tensor's elements along its last axis; values between its ops never reach memory.
#include "Passes.h"
#include "fusion/Values.h"

#include "mlir/Analysis/TopologicalSortUtils.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/PatternMatch.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace weft {

#define GEN_PASS_DEF_FUSEROWSPASS
#include "Passes.h.inc"

namespace {

Shape withoutLast(const Shape &shape) { return shape.empty() ? shape : Shape(shape.begin(), shape.end() - 1); }

/// How an op takes part in a region: the rows it walks, and whether its operands may be values of the same row.
struct RowUse {
  Shape rows;
  bool readsRow = false;
};

/// The rows of an op, or nullopt for an op that makes a region of its own.
std::optional<RowUse> rowUse(Operation *op) {
  Shape result = shapeOf(op->getResult(0));
  if (op->getNumResults() != 1)
    return std::nullopt;
  if (isPointwise(op) && !isa<DropoutOp>(op))
    return RowUse{withoutLast(result), true};
  if (isa<RmsNormOp>(op))
    return RowUse{withoutLast(result), true};
  if (isa<SoftmaxOp, LogSoftmaxOp, L2NormalizeOp, LayerNormOp, ArgmaxOp>(op)) {
    Shape x = shapeOf(op->getOperand(0));
    if (op->getAttrOfType<IntegerAttr>("axis").getInt() != int64_t(x.size()) - 1)
      return std::nullopt;
    return RowUse{withoutLast(x), true};
  }
  if (isa<ReduceSumOp, ReduceMeanOp, ReduceMaxOp, ReduceMinOp, VarOp>(op)) {
    Shape x = shapeOf(op->getOperand(0));
    ArrayRef<int64_t> axes = op->getAttrOfType<DenseI64ArrayAttr>("axes").asArrayRef();
    int64_t last = int64_t(x.size()) - 1;
    if (axes.size() == 1 && axes[0] == last)
      return RowUse{withoutLast(x), true};
    if (!llvm::is_contained(axes, last) && !axes.empty())
      return RowUse{withoutLast(result), false};
    return std::nullopt;
  }
  if (isa<MeanPoolOp, MaxPoolOp, EmbeddingOp, SinusoidOp>(op))
    return RowUse{withoutLast(result), false};
  return std::nullopt;
}

/// Ops that become part of a region. The others are kernels already, structure, or re-index memory.
bool isRowOp(Operation *op) {
  if (isa<ConstantOp, ReshapeOp, SliceOp, TransposeOp, ExpandOp>(op))
    return false;
  if (isa<ConcatOp>(op))
    return !isParameterOnly(op->getResult(0));
  return isPointwise(op) || isRowWise(op) || isMovement(op) || isa<EmbeddingOp, GatherOp, RopeOp, SinusoidOp>(op);
}

/// One region in the making; ops in block order.
struct Group {
  llvm::SetVector<Operation *> ops;
  std::optional<Shape> rows;
};

class Grouping {
public:
  explicit Grouping(Block &block) : block(block) {}

  void run() {
    for (Operation &op : block)
      if (isRowOp(&op))
        place(&op);
    for (Group &group : groups)
      if (!group.ops.empty())
        materialize(group);
    sortTopologically(&block);
  }

private:
  /// Puts op into the groups of the values it reads, as one group, where that is legal; else into one of its own.
  void place(Operation *op) {
    std::optional<RowUse> use = rowUse(op);
    groups.push_back({{}, use ? std::optional<Shape>(use->rows) : std::nullopt});
    size_t own = groups.size() - 1;
    groups[own].ops.insert(op);
    groupOf[op] = own;
    if (!use || !use->readsRow)
      return;
    for (Value operand : op->getOperands()) {
      auto it = groupOf.find(operand.getDefiningOp());
      if (it == groupOf.end() || it->second == own)
        continue;
      Shape shape = shapeOf(operand);
      bool sameRow = groups[it->second].rows == use->rows && shape.size() == use->rows.size() + 1 && withoutLast(shape) == use->rows;
      if (sameRow && !makesCycle(it->second, own))
        merge(it->second, own);
    }
  }

  /// True if a value leaves the two groups and comes back: a region can't stand before and after another op.
  bool makesCycle(size_t a, size_t b) {
    llvm::SmallPtrSet<Operation *, 32> seen;
    SmallVector<Operation *> work;
    auto inside = [&](Operation *op) {
      auto it = groupOf.find(op);
      return it != groupOf.end() && (it->second == a || it->second == b);
    };
    auto pushUsers = [&](Operation *op) {
      for (Operation *user : op->getUsers())
        if (Operation *here = block.findAncestorOpInBlock(*user))
          work.push_back(here);
    };
    auto pushOutside = [&](Operation *op) {
      size_t first = work.size();
      pushUsers(op);
      work.erase(std::remove_if(work.begin() + first, work.end(), inside), work.end());
    };
    for (size_t g : {a, b})
      for (Operation *op : groups[g].ops)
        pushOutside(op);
    while (!work.empty()) {
      Operation *op = work.pop_back_val();
      if (inside(op))
        return true;
      if (!seen.insert(op).second)
        continue;
      auto it = groupOf.find(op);
      if (it == groupOf.end()) {
        pushUsers(op);
        continue;
      }
      for (Operation *member : groups[it->second].ops) {
        seen.insert(member);
        pushUsers(member);
      }
    }
    return false;
  }

  void merge(size_t from, size_t into) {
    llvm::SetVector<Operation *> all = groups[from].ops;
    all.insert(groups[into].ops.begin(), groups[into].ops.end());
    SmallVector<Operation *> ordered(all.begin(), all.end());
    llvm::sort(ordered, [](Operation *x, Operation *y) { return x->isBeforeInBlock(y); });
    for (Operation *op : ordered)
      groupOf[op] = into;
    groups[into].ops = llvm::SetVector<Operation *>(ordered.begin(), ordered.end());
    groups[from].ops.clear();
  }

  /// The region computes what its ops computed, from the same operands; only the place and the storage change.
  void materialize(Group &group) {
    Operation *last = group.ops.back();
    llvm::SetVector<Value> operands, results;
    SmallVector<Location> locations;
    for (Operation *op : group.ops) {
      locations.push_back(op->getLoc());
      for (Value operand : op->getOperands())
        if (!group.ops.contains(operand.getDefiningOp()) && !isScalar(operand))
          operands.insert(operand);
      for (Value result : op->getResults())
        if (llvm::any_of(result.getUsers(), [&](Operation *user) { return !group.ops.contains(user); }))
          results.insert(result);
    }
    OpBuilder b(last);
    Location loc = b.getFusedLoc(locations);
    auto fused = FusedOp::create(b, loc, ValueRange(results.getArrayRef()).getTypes(), operands.getArrayRef());
    Block *body = b.createBlock(&fused.getBody());
    IRMapping map;
    for (Value operand : operands)
      map.map(operand, body->addArgument(operand.getType(), operand.getLoc()));
    for (Operation *op : group.ops) {
      for (Value operand : op->getOperands())
        if (!map.contains(operand))
          map.map(operand, b.clone(*operand.getDefiningOp())->getResult(0));
      b.clone(*op, map);
    }
    SmallVector<Value> yields;
    for (Value result : results)
      yields.push_back(map.lookup(result));
    YieldOp::create(b, loc, yields);
    for (auto [result, replacement] : llvm::zip(SmallVector<Value>(results.begin(), results.end()), fused.getResults()))
      result.replaceAllUsesWith(replacement);
    for (Operation *op : llvm::reverse(group.ops))
      op->erase();
  }

  static bool isScalar(Value v) { return isa_and_nonnull<ConstantOp>(v.getDefiningOp()); }

  Block &block;
  std::vector<Group> groups;
  DenseMap<Operation *, size_t> groupOf;
};

struct FuseRowsPass : impl::FuseRowsPassBase<FuseRowsPass> {
  void runOnOperation() override {
    SmallVector<Block *> blocks;
    getOperation()->walk([&](Block *block) {
      if (!isa<FusedOp, ContractOp>(block->getParentOp()))
        blocks.push_back(block);
    });
    for (Block *block : blocks)
      Grouping(*block).run();
  }
};

} // namespace
} // namespace weft
