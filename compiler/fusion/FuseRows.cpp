// Groups what is neither a product nor attention into row kernels: weft.fused regions.
// Values between the ops of a region never reach memory; tiling says which regions are one kernel's worth of work.
#include "Passes.h"
#include "dialect/Values.h"
#include "tiling/RowKernel.h"

#include "mlir/Analysis/TopologicalSortUtils.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace weft {

#define GEN_PASS_DEF_FUSEROWSPASS
#include "Passes.h.inc"

namespace {

/// The value that a chain of views reads.
Value baseOf(Value v) {
  while (isView(v.getDefiningOp()))
    v = v.getDefiningOp()->getOperand(0);
  return v;
}

/// Ops that a region is made of, besides generators and views.
bool isRowOp(Operation *op) {
  if (isGenerator(op) || isView(op))
    return false;
  if (isa<ConcatOp>(op))
    return !isParameterOnly(op->getResult(0));
  return isPointwise(op) || isRowWise(op) || isMovement(op) || isa<EmbeddingOp, GatherOp, RopeOp, SinusoidOp>(op);
}

/// Computing v again costs about as much as loading it: table rows, casts, comparisons and logic of what is in memory.
bool isCheap(Value v, unsigned depth = 0) {
  Operation *op = baseOf(v).getDefiningOp();
  if (!op || isGenerator(op) || !isRowOp(op))
    return true;
  bool light =
      isa<EmbeddingOp, CastOp, NotOp, AndOp, OrOp, EqualOp, NotEqualOp, LessOp, LessEqualOp, GreaterOp, GreaterEqualOp>(
          op);
  return light && depth < 3 &&
         llvm::all_of(op->getOperands(), [&](Value operand) { return isCheap(operand, depth + 1); });
}

/// True if the op reads each element of the operand about once: at its own index, or along the rows that it walks.
/// False where the operand repeats along an axis before the last, or is read at indices that are computed.
bool readsOnce(OpOperand &operand) {
  Operation *op = operand.getOwner();
  unsigned number = operand.getOperandNumber();
  Shape from = shapeOf(operand.get()), to = shapeOf(op->getResult(0));
  if (isa<EmbeddingOp, SinusoidOp>(op))
    return number == 0;
  if (isa<GatherOp>(op))
    return number == 1;
  if (isa<RopeOp, ConcatOp, DropoutOp>(op))
    return false;
  if (isRowWise(op))
    return number == 0;
  for (size_t i = 0; i + 1 < to.size(); ++i) {
    bool missing = i + from.size() < to.size();
    if (missing ? to[i].constant() != 1 : from[i + from.size() - to.size()] != to[i])
      return false;
  }
  return true;
}

/// The ops of one region in the making, in block order.
using Group = llvm::SetVector<Operation *>;

/// Makes a weft.fused of the group before the builder's place. `outside` gets the values that are read elsewhere.
FusedOp buildRegion(OpBuilder &b, const Group &group, SmallVectorImpl<Value> &outside) {
  llvm::SetVector<Value> operands;
  SmallVector<Location> locations;
  std::function<bool(Value)> isInside = [&](Value v) {
    Operation *op = v.getDefiningOp();
    return op && (group.contains(op) || isGenerator(op) || (isView(op) && isInside(op->getOperand(0))));
  };
  // A view outside the group may read a value of it: its users decide whether that value is a result.
  std::function<bool(Value)> isReadOutside = [&](Value v) {
    return llvm::any_of(v.getUsers(), [&](Operation *user) {
      if (group.contains(user))
        return false;
      return isView(user) && user->getBlock() == v.getParentBlock() ? isReadOutside(user->getResult(0)) : true;
    });
  };
  for (Operation *op : group) {
    locations.push_back(op->getLoc());
    for (Value operand : op->getOperands())
      if (!isInside(operand))
        operands.insert(operand);
    if (isReadOutside(op->getResult(0)))
      outside.push_back(op->getResult(0));
  }
  Location loc = b.getFusedLoc(locations);
  auto fused = FusedOp::create(b, loc, ValueRange(outside).getTypes(), operands.getArrayRef());
  OpBuilder::InsertionGuard guard(b);
  Block *body = b.createBlock(&fused.getBody());
  IRMapping map;
  for (Value operand : operands)
    map.map(operand, body->addArgument(operand.getType(), operand.getLoc()));
  std::function<void(Value)> bring = [&](Value v) {
    if (map.contains(v))
      return;
    for (Value operand : v.getDefiningOp()->getOperands())
      bring(operand);
    b.clone(*v.getDefiningOp(), map);
  };
  for (Operation *op : group) {
    for (Value operand : op->getOperands())
      bring(operand);
    b.clone(*op, map);
  }
  SmallVector<Value> yields;
  for (Value v : outside)
    yields.push_back(map.lookup(v));
  YieldOp::create(b, loc, yields);
  return fused;
}

/// Grouping of one block. Ops join the groups of the values they read, in block order, where the joint region
///  - can stand in one place: no value leaves it and comes back,
///  - computes no value more often than once, but for cheap ones,
///  - is one kernel's worth of work (canEmitRowKernel).
/// Sound because a region means its ops, in their order, on the same operands: only place and storage change.
class Grouping {
public:
  explicit Grouping(Block &block) : block(block) {}

  void run() {
    for (Operation &op : block)
      if (isRowOp(&op))
        place(&op);
    for (Group &group : groups)
      if (!group.empty())
        materialize(group);
    sortTopologically(&block);
  }

private:
  void place(Operation *op) {
    groups.emplace_back();
    size_t own = groups.size() - 1;
    groups[own].insert(op);
    groupOf[op] = own;
    for (OpOperand &operand : op->getOpOperands()) {
      auto it = groupOf.find(baseOf(operand.get()).getDefiningOp());
      if (it == groupOf.end() || it->second == own)
        continue;
      if ((readsOnce(operand) || isCheap(operand.get())) && !makesCycle(it->second, own, op) &&
          isOneKernel(it->second, own))
        merge(it->second, own);
    }
  }

  /// The places in this block that read the op's result, through views too.
  void pushReaders(Operation *op, SmallVectorImpl<Operation *> &work) {
    for (Operation *user : op->getUsers()) {
      if (isView(user))
        pushReaders(user, work);
      if (Operation *here = block.findAncestorOpInBlock(*user))
        work.push_back(here);
    }
  }

  /// Ops behind `newest` are in no group yet: no way leads back from them.
  bool makesCycle(size_t a, size_t b, Operation *newest) {
    llvm::SmallPtrSet<Operation *, 32> seen;
    SmallVector<Operation *> work;
    auto inside = [&](Operation *op) {
      auto it = groupOf.find(op);
      return it != groupOf.end() && (it->second == a || it->second == b);
    };
    for (size_t g : {a, b})
      for (Operation *op : groups[g])
        pushReaders(op, work);
    // What the groups read of each other directly, or through views, is no detour.
    llvm::erase_if(work, [&](Operation *op) { return inside(op) || isView(op); });
    while (!work.empty()) {
      Operation *op = work.pop_back_val();
      if (inside(op))
        return true;
      if (newest->isBeforeInBlock(op) || !seen.insert(op).second)
        continue;
      auto it = groupOf.find(op);
      if (it == groupOf.end()) {
        pushReaders(op, work);
        continue;
      }
      for (Operation *member : groups[it->second])
        if (member == op || seen.insert(member).second)
          pushReaders(member, work);
    }
    return false;
  }

  Group joined(size_t a, size_t b) {
    SmallVector<Operation *> ops(groups[a].begin(), groups[a].end());
    ops.append(groups[b].begin(), groups[b].end());
    llvm::sort(ops, [](Operation *x, Operation *y) { return x->isBeforeInBlock(y); });
    return Group(ops.begin(), ops.end());
  }

  /// Asks tiling, with the region as it would be.
  bool isOneKernel(size_t a, size_t b) {
    OpBuilder builder(block.getTerminator());
    SmallVector<Value> outside;
    FusedOp trial = buildRegion(builder, joined(a, b), outside);
    std::string why;
    bool fits = succeeded(canEmitRowKernel(trial, why));
    trial.erase();
    return fits;
  }

  void merge(size_t from, size_t into) {
    groups[into] = joined(from, into);
    groups[from].clear();
    for (Operation *op : groups[into])
      groupOf[op] = into;
  }

  void materialize(const Group &group) {
    OpBuilder b(group.back());
    SmallVector<Value> outside;
    FusedOp fused = buildRegion(b, group, outside);
    for (auto [value, result] : llvm::zip(outside, fused.getResults()))
      value.replaceAllUsesWith(result);
    for (Operation *op : llvm::reverse(group)) {
      eraseViews(op->getResult(0));
      op->erase();
    }
  }

  /// Views that only the region read: they are inside now.
  static void eraseViews(Value v) {
    for (Operation *user : llvm::make_early_inc_range(v.getUsers())) {
      eraseViews(user->getResult(0));
      user->erase();
    }
  }

  Block &block;
  std::vector<Group> groups;
  DenseMap<Operation *, size_t> groupOf;
};

struct FuseRowsPass : impl::FuseRowsPassBase<FuseRowsPass> {
  void runOnOperation() override {
    SmallVector<Block *> blocks; // inner ones first
    getOperation()->walk([&](Block *block) {
      if (isa<RepeatOp, ChunksOp, FunctionOpInterface>(block->getParentOp()))
        blocks.push_back(block);
    });
    for (Block *block : blocks)
      Grouping(*block).run();
  }
};

} // namespace
} // namespace weft
