// Loop nests over the results of a region: tasks, rows, columns. ElementEmitter fills them.
#include "tiling/RowKernel.h"

#include "tiling/ElementEmitter.h"
#include "tiling/EmitDimExpr.h"
#include "tiling/SizeMath.h"

#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;

namespace weft {
namespace {

/// All memory has one shape without gaps, or one element: the region is a loop over one axis.
bool isFlat(const RowKernelSpec &spec) {
  Block &body = FusedOp(spec.op).getBody().front();
  auto yielded = body.getTerminator()->getOperands();
  Shape shape = shapeOf(yielded.front());
  if (llvm::all_of(shape, [](const DimExpr &d) { return d.constant() == 1; }))
    return false;
  for (Operation &op : body.without_terminator())
    if (!isPointwise(&op) && !isa<SizeOp, LossScaleOp>(op) && !(isa<ConstantOp>(op) && scalarConstant(op.getResult(0)) && elementCount(shapeOf(op.getResult(0))) == DimExpr(1)))
      return false;
  auto fits = [&](Value v, const RowOperand *memory) {
    Shape own = shapeOf(v);
    return own == shape && (!memory || isRowMajor(own, memory->strides));
  };
  for (auto [i, value] : llvm::enumerate(yielded))
    if (!fits(value, &spec.results[i]))
      return false;
  for (Operation &op : body.without_terminator())
    if (!fits(op.getResult(0), nullptr) && elementCount(shapeOf(op.getResult(0))) != DimExpr(1))
      return false;
  for (BlockArgument argument : body.getArguments())
    if (!argument.use_empty() && !fits(argument, &spec.operands[argument.getArgNumber()]) && elementCount(shapeOf(argument)) != DimExpr(1))
      return false;
  return true;
}

class RowKernel {
public:
  RowKernel(KernelBuilder &k, const RowKernelSpec &spec, const RowPlan &plan)
      : k(k), plan(plan), elements(k, spec, plan), yielded(FusedOp(spec.op).getBody().front().getTerminator()->getOperands()) {}

  void emit() {
    Value start = elements.constant(0);
    for (const RowSegment &segment : plan.segments) {
      Value from = k.begin, to = k.end;
      if (plan.segments.size() > 1) {
        Value count = tasksOf(segment);
        from = k.max(k.sub(k.begin, start), k.i64(0));
        to = k.min(k.sub(k.end, start), count);
        start = elements.add(start, count);
      }
      if (segment.flat)
        emitFlat(segment, from, to);
      else
        emitRows(segment, from, to);
    }
  }

private:
  Value tasksOf(const RowSegment &segment) {
    Value count = elements.constant(1);
    for (const DimExpr &size : segment.outer)
      count = elements.mul(count, elements.size(size));
    if (segment.lanesInTask)
      count = elements.mul(count, laneBlocks(segment));
    return count;
  }

  Value laneBlocks(const RowSegment &segment) {
    int64_t lanes = k.target.lanes;
    return elements.div(elements.add(elements.size(segment.laneSize), elements.constant(lanes - 1)), elements.constant(lanes));
  }

  int chains() const { return plan.heavy ? 2 : 4; }

  void storeAll(ArrayRef<unsigned> results, llvm::function_ref<Point(unsigned)> pointOf, Value mask) {
    SmallVector<Value> values;
    for (unsigned result : results)
      values.push_back(elements.value(yielded[result], pointOf(result), mask));
    for (auto [result, value] : llvm::zip_equal(results, values))
      elements.store(value, result, pointOf(result), mask);
  }

  void emitFlat(const RowSegment &segment, Value from, Value to) {
    Shape shape = shapeOf(yielded.front());
    size_t axis = shape.size() - 1;
    while (shape[axis].constant() == 1)
      --axis;
    Value count = elements.size(elementCount(shape));
    elements.loop(from, to, elements.constant(1), {}, [&](Value task, ValueRange) {
      Value first = elements.mul(task, elements.constant(kFlatBlock));
      Value last = k.min(k.add(first, k.i64(kFlatBlock)), count);
      elements.columns(first, last, chains(), {}, [&](const Index &j, Value mask, ArrayRef<Value>) {
        Point point(shape.size(), elements.at(int64_t(0)));
        point[axis] = j;
        storeAll(segment.results, [&](unsigned) { return point; }, mask);
        return SmallVector<Value>{};
      });
      return SmallVector<Value>{};
    });
  }

  /// Tasks in the order of the outer indices, the last one fastest. Indices are counted on from task to task: division is
  /// only needed for the first.
  void emitRows(const RowSegment &segment, Value from, Value to) {
    SmallVector<Value> sizes;
    for (const DimExpr &size : segment.outer)
      sizes.push_back(elements.size(size));
    if (segment.lanesInTask)
      sizes.push_back(laneBlocks(segment));
    SmallVector<Value> first(sizes.size());
    Value rest = from;
    for (size_t i = sizes.size(); i-- > 1;) {
      first[i] = elements.rem(rest, sizes[i]);
      rest = elements.div(rest, sizes[i]);
    }
    bool counted = sizes.size() > 1;
    if (counted)
      first[0] = rest;
    elements.loop(from, to, elements.constant(1), counted ? ValueRange(first) : ValueRange(), [&](Value task, ValueRange carried) {
      SmallVector<Value> indices(carried), next(carried);
      if (!counted && sizes.size() == 1)
        indices.push_back(task);
      emitTask(segment, indices);
      Value advance;
      for (size_t i = next.size(); i-- > 0;) {
        Value up = k.add(next[i], k.i64(1));
        if (i == 0) {
          next[i] = k.select(advance, up, next[i]);
          break;
        }
        Value wraps = arith::CmpIOp::create(k.b, k.loc, arith::CmpIPredicate::eq, up, sizes[i]);
        Value moved = k.select(wraps, k.i64(0), up);
        next[i] = advance ? k.select(advance, moved, next[i]) : moved;
        advance = advance ? Value(arith::AndIOp::create(k.b, k.loc, advance, wraps)) : wraps;
      }
      return next;
    });
  }

  void emitTask(const RowSegment &segment, ArrayRef<Value> indices) {
    // Results with the same inner loops share them; those without come first.
    std::vector<std::pair<Shape, SmallVector<unsigned>>> groups;
    for (unsigned result : segment.results) {
      Shape inner;
      for (int64_t axis : plan.loops[result].inner)
        inner.push_back(shapeOf(yielded[result])[axis]);
      auto found = llvm::find_if(groups, [&](auto &group) { return group.first == inner; });
      if (found == groups.end())
        found = groups.insert(inner.empty() ? groups.begin() : groups.end(), {inner, {}});
      found->second.push_back(result);
    }
    for (auto &[inner, results] : groups) {
      std::vector<Point> points;
      Value mask;
      for (unsigned result : results) {
        const ResultLoops &loops = plan.loops[result];
        Point point(shapeOf(yielded[result]).size(), elements.at(int64_t(0)));
        for (auto [i, axis] : llvm::enumerate(loops.outer))
          point[axis] = elements.at(indices[i]);
        if (segment.lanesInTask) {
          Value base = elements.mul(indices.back(), elements.constant(k.target.lanes));
          point[loops.laneAxis] = Index{base, 1, nullptr, k.target.lanes};
          std::optional<int64_t> c = segment.laneSize.constant();
          if (!mask && !(c && *c % k.target.lanes == 0))
            mask = elements.tailMask(k.sub(elements.size(segment.laneSize), base));
        }
        points.push_back(point);
      }
      emitInner(results, inner, 0, points, mask);
    }
  }

  /// The loops over the inner axes from number `depth` on.
  void emitInner(ArrayRef<unsigned> results, const Shape &inner, size_t depth, std::vector<Point> points, Value mask) {
    auto pointOf = [&](unsigned result) { return points[llvm::find(results, result) - results.begin()]; };
    if (depth == inner.size()) {
      storeAll(results, pointOf, mask);
      return;
    }
    auto place = [&](const Index &index) {
      for (auto [i, result] : llvm::enumerate(results))
        points[i][plan.loops[result].inner[depth]] = index;
    };
    Value size = elements.size(inner[depth]);
    const ResultLoops &loops = plan.loops[results.front()];
    if (depth + 1 == inner.size() && loops.laneAxis == loops.inner[depth]) {
      elements.columns(elements.constant(0), size, chains(), {}, [&](const Index &j, Value on, ArrayRef<Value>) {
        place(j);
        storeAll(results, pointOf, on);
        return SmallVector<Value>{};
      });
      return;
    }
    elements.loop(elements.constant(0), size, elements.constant(1), {}, [&](Value iv, ValueRange) {
      place(elements.at(iv));
      emitInner(results, inner, depth + 1, points, mask);
      return SmallVector<Value>{};
    });
  }

  KernelBuilder &k;
  const RowPlan &plan;
  ElementEmitter elements;
  OperandRange yielded;
};

} // namespace

EmittedKernel emitRowKernel(ModuleOp module, llvm::StringRef name, const RowKernelSpec &spec, const TargetInfo &target) {
  RowPlan plan = planRows(spec.op);
  if (isFlat(spec)) {
    RowSegment flat;
    flat.flat = true;
    flat.outer = {elementCount(shapeOf(FusedOp(spec.op).getResult(0)))};
    for (unsigned i = 0; i < spec.results.size(); ++i)
      flat.results.push_back(i);
    plan.segments = {flat};
  }
  KernelBuilder k(module, name, target, FusedOp(spec.op).getLoc());
  RowKernel(k, spec, plan).emit();

  EmittedKernel kernel;
  kernel.func = k.finish();
  kernel.scratchBytes = plan.scratchBytes;
  kernel.tasks = [dims = spec.dims, segments = plan.segments, lanes = target.lanes](OpBuilder &b, Location loc, ValueRange slots) {
    SizeMath math{b, loc};
    auto sizeOf = [&](const DimExpr &expr) {
      return emitDimExpr(b, loc, expr, [&](llvm::StringRef dim) { return slots[dims.at(dim)]; });
    };
    Value total;
    for (const RowSegment &segment : segments) {
      Value count = math.constant(1);
      for (const DimExpr &size : segment.outer)
        count = math.mul(count, sizeOf(size));
      if (segment.flat)
        count = math.ceilDiv(count, math.constant(kFlatBlock));
      if (segment.lanesInTask)
        count = math.mul(count, math.ceilDiv(sizeOf(segment.laneSize), math.constant(lanes)));
      total = total ? math.add(total, count) : count;
    }
    return total;
  };
  return kernel;
}

} // namespace weft
