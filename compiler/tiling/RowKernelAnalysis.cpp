// Follows every value of a region from the results down and notes at which of the results' indices it is read.
// An axis of a value is read at: an axis of the result, index 0 of a unit axis, the index of a reduction's own loop, or an
// index that is computed.
#include "tiling/RowKernelAnalysis.h"

#include "tiling/PointwiseEmitter.h"
#include "tiling/RowKernel.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/TypeSwitch.h"

#include <set>

using namespace mlir;

namespace weft {
namespace {

/// Ops of one kernel. The time to choose and to compile a kernel grows faster than its ops; those of models have fewer than 20.
constexpr int64_t kMostOps = 64;

constexpr int kUnit = -1, kComputed = -2, kInternal = 1000;
using AxisMap = std::vector<int>;

struct Use {
  Operation *op = nullptr;     ///< row op, or null
  BlockArgument argument;      ///< operand, or null
  AxisMap map;                 ///< row ops: their reduced axes are left out
};

/// Axes of its first operand that a row op reduces or normalises along.
SmallVector<int64_t> rowAxes(Operation *op) {
  if (isa<MeanPoolOp, MaxPoolOp>(op))
    return {1};
  if (isa<RmsNormOp>(op))
    return {int64_t(shapeOf(op->getOperand(0)).size()) - 1};
  if (auto axes = op->getAttrOfType<DenseI64ArrayAttr>("axes"))
    return SmallVector<int64_t>(axes.asArrayRef());
  return {op->getAttrOfType<IntegerAttr>("axis").getInt()};
}

bool keepsShape(Operation *op) { return isa<SoftmaxOp, LogSoftmaxOp, LayerNormOp, RmsNormOp, L2NormalizeOp>(op); }

int64_t lastAxis(const Shape &shape) {
  for (size_t i = shape.size(); i-- > 0;)
    if (shape[i].constant() != 1)
      return int64_t(i);
  return -1;
}

/// True if the row op reduces the axis that its operand's elements are contiguous along.
bool reducesLast(Operation *op) {
  return llvm::is_contained(rowAxes(op), lastAxis(shapeOf(op->getOperand(0))));
}

class Walk {
public:
  std::vector<Use> uses;
  std::map<int, std::pair<Operation *, int64_t>> internal;   ///< op and axis of each internal index

  void visit(Value v, AxisMap map) {
    Shape shape = shapeOf(v);
    for (size_t i = 0; i < map.size(); ++i)
      if (shape[i].constant() == 1)
        map[i] = kUnit;
    if (!seen.insert({v.getAsOpaquePointer(), map}).second)
      return;
    if (auto argument = dyn_cast<BlockArgument>(v)) {
      uses.push_back({nullptr, argument, map});
      return;
    }
    Operation *op = v.getDefiningOp();
    if (isPointwise(op)) {
      for (Value operand : op->getOperands())
        visit(operand, aligned(shapeOf(operand), map));
      return;
    }
    if (isRowWise(op))
      return visitRow(op, map);
    llvm::TypeSwitch<Operation *>(op)
        .Case<TransposeOp>([&](TransposeOp o) {
          AxisMap from(map.size());
          for (auto [i, axis] : llvm::enumerate(o.getPerm()))
            from[axis] = map[i];
          visit(o.getX(), from);
        })
        .Case<ExpandOp>([&](ExpandOp o) { visit(o.getX(), aligned(shapeOf(o.getX()), map)); })
        .Case<SliceOp>([&](SliceOp o) {
          AxisMap from = map;
          if (o.getStart() != "0" || o.getStep() != 1)
            from[o.getAxis()] = kComputed;
          visit(o.getX(), from);
        })
        .Case<ConcatOp>([&](ConcatOp o) {
          AxisMap from = map;
          from[o.getAxis()] = kComputed;
          for (Value x : o.getXs())
            visit(x, from);
        })
        .Case<ReshapeOp>([&](ReshapeOp o) { visit(o.getX(), reshaped(shapeOf(o.getX()), shape, map)); })
        .Case<EmbeddingOp>([&](EmbeddingOp o) {
          visit(o.getIds(), AxisMap(map.begin(), map.end() - 1));
          visit(o.getTable(), {kComputed, map.back()});
        })
        .Case<GatherOp>([&](GatherOp o) {
          visit(o.getIndex(), aligned(shapeOf(o.getIndex()), map));
          AxisMap from = aligned(shapeOf(o.getX()), map);
          from[o.getAxis()] = kComputed;
          visit(o.getX(), from);
        })
        .Case<SinusoidOp>([&](SinusoidOp o) { visit(o.getPositions(), AxisMap(map.begin(), map.end() - 1)); })
        .Case<RopeOp>([&](RopeOp o) {
          visit(o.getX(), map);
          visit(o.getX(), {map[0], map[1], kComputed});
          visit(o.getPositions(), shapeOf(o.getPositions()).size() == 1 ? AxisMap{map[1]} : AxisMap{map[0], map[1]});
        });
  }

private:
  static AxisMap aligned(const Shape &to, const AxisMap &map) {
    AxisMap result(to.size(), kUnit);
    for (size_t i = 0; i < to.size(); ++i)
      if (to[i].constant() != 1)
        result[i] = map[map.size() - to.size() + i];
    return result;
  }

  /// Only unit axes come and go; all else is computed.
  static AxisMap reshaped(const Shape &from, const Shape &to, const AxisMap &map) {
    AxisMap result(from.size(), kUnit);
    size_t j = 0;
    for (size_t i = 0; i < from.size(); ++i) {
      if (from[i].constant() == 1)
        continue;
      while (j < to.size() && to[j].constant() == 1)
        ++j;
      if (j == to.size() || to[j] != from[i]) {
        for (size_t rest = i; rest < from.size(); ++rest)
          result[rest] = kComputed;
        return result;
      }
      result[i] = map[j++];
    }
    return result;
  }

  int internalOf(Operation *op, int64_t axis) {
    auto [it, added] = numbers.try_emplace({op, axis}, kInternal + int(numbers.size()));
    if (added)
      internal[it->second] = {op, axis};
    return it->second;
  }

  void visitRow(Operation *op, const AxisMap &map) {
    Value x = op->getOperand(0);
    size_t rank = shapeOf(x).size();
    SmallVector<int64_t> axes = rowAxes(op);
    AxisMap inside(rank), outside;
    bool keep = keepsShape(op) || op->hasAttr("keepdim");
    size_t next = 0;
    for (size_t i = 0; i < rank; ++i) {
      if (llvm::is_contained(axes, int64_t(i))) {
        inside[i] = internalOf(op, i);
        next += keep;
        continue;
      }
      inside[i] = map[next++];
      outside.push_back(inside[i]);
    }
    uses.push_back({op, nullptr, outside});
    visit(x, inside);
    if (keepsShape(op)) {
      visit(x, map);
      for (Value parameter : llvm::drop_begin(op->getOperands()))
        visit(parameter, {map[axes[0]]});
    } else if (op->getNumOperands() > 1) {
      visit(op->getOperand(1), {inside[0], inside[1]});
    }
  }

  std::set<std::pair<const void *, AxisMap>> seen;
  std::map<std::pair<Operation *, int64_t>, int> numbers;
};

AxisMap identity(const Shape &shape) {
  AxisMap map;
  for (size_t i = 0; i < shape.size(); ++i)
    map.push_back(shape[i].constant() == 1 ? kUnit : int(i));
  return map;
}

Walk walkResult(Value yielded) {
  Walk walk;
  walk.visit(yielded, identity(shapeOf(yielded)));
  return walk;
}

std::set<int> resultAxes(const AxisMap &map) {
  std::set<int> axes;
  for (int axis : map)
    if (axis >= 0 && axis < kInternal)
      axes.insert(axis);
  return axes;
}

bool hasInternal(const AxisMap &map) { return llvm::any_of(map, [](int axis) { return axis >= kInternal; }); }

/// A result's loops, and whether its lane axis is split over tasks.
std::pair<ResultLoops, bool> loopsOf(const Shape &shape, const Walk &walk) {
  ResultLoops loops;
  int64_t last = lastAxis(shape);
  std::set<int> outer;
  bool anyRow = false, scalarRows = false;
  for (const Use &use : walk.uses) {
    if (!use.op || llvm::is_contained(use.map, kComputed))
      continue;
    std::set<int> axes = resultAxes(use.map);
    if (!hasInternal(use.map))
      scalarRows |= reducesLast(use.op);
    if (!anyRow) {
      outer = axes;
    } else {
      for (auto it = outer.begin(); it != outer.end();)
        it = axes.count(*it) ? std::next(it) : outer.erase(it);
    }
    anyRow = true;
  }
  for (int64_t i = 0; i < int64_t(shape.size()); ++i) {
    if (shape[i].constant() == 1)
      continue;
    bool task = anyRow ? outer.count(int(i)) != 0 : i != last;
    (task ? loops.outer : loops.inner).push_back(i);
  }
  bool split = false;
  if (!loops.inner.empty() && loops.inner.back() == last) {
    loops.laneAxis = last;
  } else if (last >= 0 && !scalarRows) {
    loops.laneAxis = last;
    loops.outer.pop_back();
    split = true;
  }
  return {loops, split};
}

// ---- Row buffers

class Costs {
public:
  /// Vector operations that one vector of v takes, roughly.
  int of(Value v) {
    auto [it, added] = known.try_emplace(v, 0);
    if (!added)
      return it->second;
    int cost = compute(v);
    return known[v] = std::min(cost, 10000);
  }

private:
  int compute(Value v) {
    Operation *op = v.getDefiningOp();
    if (!op)
      return 1;
    if (isa<ConstantOp>(op))
      return 0;
    if (isRowWise(op)) {
      if (!reducesLast(op))
        return 100;
      return keepsShape(op) ? 3 + of(op->getOperand(0)) : 0;
    }
    int own = isTranscendental(op) ? 12 : isa<DivOp, SqrtOp, RsqrtOp, ReshapeOp, ConcatOp>(op) ? 4 : 1;
    if (isa<GatherOp, RopeOp, SinusoidOp>(op))
      own = 10;
    if (auto transpose = dyn_cast<TransposeOp>(op))
      own = transpose.getPerm().back() + 1 == int64_t(transpose.getPerm().size()) ? 1 : 10;
    for (Value operand : op->getOperands())
      own += of(operand);
    return own;
  }

  llvm::DenseMap<Value, int> known;
};

int passesOver(Operation *op) {
  if (isa<SoftmaxOp, RmsNormOp, L2NormalizeOp, VarOp>(op))
    return 2;
  return isa<LogSoftmaxOp, LayerNormOp>(op) ? 3 : 1;
}

void planBuffers(Block &body, RowPlan &plan) {
  Costs costs;
  llvm::SmallDenseSet<Value> considered;
  auto bytesOf = [](Value v) {
    return std::max<int64_t>(1, computeType(cast<RankedTensorType>(v.getType()).getElementType()).getIntOrFloatBitWidth() / 8);
  };
  for (Operation &op : body.without_terminator()) {
    if (auto rope = dyn_cast<RopeOp>(op)) {
      int64_t head = *shapeOf(rope.getX())[2].constant() / int64_t(rope.getHeads());
      plan.buffers.push_back({rope.getY(), 2, DimExpr(2 * (head + 32)), bytesOf(rope.getY()), {}});
    }
    if (!isRowWise(&op))
      continue;
    Value x = op.getOperand(0);
    Shape shape = shapeOf(x);
    SmallVector<int64_t> axes = rowAxes(&op);
    if (shape.empty() || axes.size() != 1 || axes[0] + 1 != int64_t(shape.size()))
      continue;
    if (isa<SoftmaxOp>(op))
      plan.buffers.push_back({op.getResult(0), 1, shape.back(), bytesOf(op.getResult(0)), {}});
    // From two loads and an addition on, a store and one load are cheaper than to compute the value in every pass.
    if (!considered.insert(x).second || isa<BlockArgument>(x) || costs.of(x) < 3)
      continue;
    int passes = 0;
    for (Operation *user : x.getUsers())
      passes += isRowWise(user) ? passesOver(user) : 1;
    if (passes >= 2 && !cast<RankedTensorType>(x.getType()).getElementType().isInteger(1))
      plan.buffers.push_back({x, 0, shape.back(), bytesOf(x), {}});
  }
  for (RowBuffer &buffer : plan.buffers) {
    std::optional<int64_t> elements = buffer.elements.constant();
    if (!elements)
      continue;
    buffer.offset = DimExpr(plan.scratchBytes);
    plan.scratchBytes += (*elements * buffer.elementBytes + 192 + 63) / 64 * 64;
  }
  DimExpr end(plan.scratchBytes);
  for (RowBuffer &buffer : plan.buffers) {
    if (buffer.elements.constant())
      continue;
    buffer.offset = end;
    end = end + buffer.elements * DimExpr(buffer.elementBytes) + DimExpr(192);
  }
  plan.dynamicScratch = end - DimExpr(plan.scratchBytes);
}

Shape sizesOf(const Shape &shape, ArrayRef<int64_t> axes) {
  Shape sizes;
  for (int64_t axis : axes)
    sizes.push_back(shape[axis]);
  return sizes;
}

} // namespace

bool isRowMajor(const Shape &shape, const Shape &strides) {
  DimExpr stride(1);
  for (size_t i = shape.size(); i-- > 0;) {
    if (shape[i].constant() != 1 && strides[i] != stride)
      return false;
    stride = stride * shape[i];
  }
  return true;
}

RowPlan planRows(FusedOp op) {
  RowPlan plan;
  Block &body = op.getBody().front();
  for (auto [number, yielded] : llvm::enumerate(body.getTerminator()->getOperands())) {
    Shape shape = shapeOf(yielded);
    auto [loops, split] = loopsOf(shape, walkResult(yielded));
    plan.loops.push_back(loops);
    Shape outer = sizesOf(shape, loops.outer);
    DimExpr laneSize = split ? shape[loops.laneAxis] : DimExpr(1);
    auto fits = [&, split = split](const RowSegment &s) { return s.outer == outer && s.lanesInTask == split && s.laneSize == laneSize; };
    auto found = llvm::find_if(plan.segments, fits);
    if (found == plan.segments.end()) {
      plan.segments.push_back({{}, false, outer, split, laneSize});
      found = std::prev(plan.segments.end());
    }
    found->results.push_back(unsigned(number));
  }
  planBuffers(body, plan);
  plan.heavy = isHeavy(body) || llvm::any_of(body, [](Operation &o) { return isa<RopeOp, SinusoidOp>(o); });
  return plan;
}

DimExpr rowKernelScratch(FusedOp op) { return planRows(op).dynamicScratch; }

LogicalResult canEmitRowKernel(FusedOp op, std::string &why) {
  Block &body = op.getBody().front();
  for (Operation &inner : body.without_terminator())
    if (!isPointwise(&inner) && !isRowWise(&inner) && !isMovement(&inner) && !isa<EmbeddingOp, GatherOp, RopeOp, SinusoidOp>(inner)) {
      why = "'" + inner.getName().getStringRef().str() + "' is not a row op";
      return failure();
    }
  auto counted = llvm::make_filter_range(body.without_terminator(), [](Operation &o) { return !isa<ConstantOp>(o); });
  auto ops = std::distance(counted.begin(), counted.end());
  if (ops <= 1)
    return success();
  if (ops > kMostOps) {
    why = "it has more than " + std::to_string(kMostOps) + " ops";
    return failure();
  }
  RowPlan plan = planRows(op);
  if (plan.segments.size() > 1) {
    why = "its results have different rows";
    return failure();
  }
  for (auto [number, yielded] : llvm::enumerate(body.getTerminator()->getOperands())) {
    Walk walk = walkResult(yielded);
    const ResultLoops &loops = plan.loops[number];
    std::set<int> outer(loops.outer.begin(), loops.outer.end());
    if (plan.segments[0].lanesInTask)
      outer.insert(int(loops.laneAxis));
    for (const Use &use : walk.uses) {
      if (!use.op)
        continue;
      if (llvm::is_contained(use.map, kComputed)) {
        why = "a reduction's rows are picked by an index";
        return failure();
      }
      if (hasInternal(use.map) && reducesLast(use.op)) {
        why = "a reduction runs inside the loop of another";
        return failure();
      }
      // Inside a task, a reduction may depend on the first of the inner loops only.
      std::set<int> axes = resultAxes(use.map);
      for (int axis : outer)
        axes.erase(axis);
      if (hasInternal(use.map))
        continue;
      for (size_t i = 0; i < axes.size(); ++i)
        if (i >= loops.inner.size() || !axes.count(int(loops.inner[i]))) {
          why = "a reduction would run again for every element of another axis";
          return failure();
        }
    }
  }
  return success();
}

bool mayAlias(FusedOp op, unsigned operand, unsigned result) {
  Block &body = op.getBody().front();
  BlockArgument argument = body.getArgument(operand);
  Value yielded = body.getTerminator()->getOperand(result);
  if (argument.getType() != yielded.getType())
    return false;
  Shape shape = shapeOf(yielded);
  for (Value other : body.getTerminator()->getOperands())
    if (shapeOf(other) != shape)
      return false;
  RowPlan plan = planRows(op);
  if (plan.segments.size() > 1)
    return false;
  for (auto [number, other] : llvm::enumerate(body.getTerminator()->getOperands())) {
    const ResultLoops &loops = plan.loops[number];
    Walk walk = walkResult(other);
    for (const Use &use : walk.uses) {
      if (use.argument != argument)
        continue;
      for (auto [i, axis] : llvm::enumerate(use.map)) {
        if (axis == kUnit ? shape[i].constant() == 1 : axis == int(i))
          continue;
        bool ownRow = axis >= kInternal && llvm::is_contained(loops.inner, int64_t(i));
        if (!ownRow)
          return false;
      }
    }
  }
  return true;
}

} // namespace weft
