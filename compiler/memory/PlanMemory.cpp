// Live ranges over the linear order of launches, in-place results, and offsets in one arena.
// Values that may share memory are first joined into one buffer; buffers that live together are then stacked.
#include "memory/EntryPlan.h"

#include "dialect/Locations.h"
#include "lowering/Views.h"
#include "tiling/RowKernel.h"

#include "llvm/ADT/BitVector.h"

#include <algorithm>

using namespace mlir;

namespace weft {
namespace {

DimExpr bytesOf(Value value) {
  Type element = cast<RankedTensorType>(value.getType()).getElementType();
  return elementCount(shapeOf(value)) * DimExpr(elementBytes(element));
}

/// Roots that `value` reads: one behind views, several behind a packed concat (all parameters).
Value rootOf(Value value) {
  std::optional<View> view = viewOf(value);
  return view ? view->root : value;
}

/// Two blocks of rows of the kernel: a third would pack every panel a third time.
constexpr int64_t maxRowsPackedInPassing = 768;

class Planner {
public:
  Planner(func::FuncOp func, const std::map<std::string, int64_t> &hints, int64_t panel) : hints(hints), panel(panel) {
    plan.func = func;
    plan.panel = panel;
    for (auto op : func->getParentOfType<ModuleOp>().getOps<KeptOp>())
      keptNumber.try_emplace(op.getSymName(), keptNumber.size());
  }

  EntryPlan run() {
    Block &body = plan.func.getBody().front();
    for (BlockArgument argument : body.getArguments())
      define(argument, 0, Buffer::Place::input, argument.getArgNumber());
    number(body);
    end = position;
    findLastUses(body);
    plan.func.walk([&](KeepOp keep) { keeps[keep.getX()] = keep; });
    auto ret = cast<func::ReturnOp>(body.getTerminator());
    for (OpOperand &operand : ret->getOpOperands()) {
      lastUse[operand.get()] = end;
      outputs[operand.get()] = operand.getOperandNumber();
    }
    assign(body);
    stack();
    return std::move(plan);
  }

private:
  // ---- positions and last uses

  void number(Block &block) {
    for (Operation &op : block) {
      start[&op] = position;
      if (auto repeat = dyn_cast<RepeatOp>(op))
        number(repeat.getBody().front());
      if (auto chunks = dyn_cast<ChunksOp>(op))
        number(chunks.getBody().front());
      finish[&op] = position++;
    }
  }

  /// A use inside a loop of a value from outside lasts until the loop ends.
  void findLastUses(Block &block) {
    for (Operation &op : block) {
      auto repeat = dyn_cast<RepeatOp>(op);
      if (repeat)
        findLastUses(repeat.getBody().front());
      auto chunks = dyn_cast<ChunksOp>(op);
      if (chunks)
        findLastUses(chunks.getBody().front());
      if (isViewOp(&op))
        continue; // the view's users count, not the view
      for (auto [i, operand] : llvm::enumerate(op.getOperands())) {
        if (!isa<RankedTensorType>(operand.getType()))
          continue;
        Value root = rootOf(operand);
        bool isInitial = repeat || (chunks && i < chunks.getInit().size());
        int at = isInitial ? start[&op] : finish[&op];
        for (Block *b = &block; b != root.getParentBlock() && !isa<func::FuncOp>(b->getParentOp()); b = b->getParentOp()->getBlock())
          at = std::max(at, finish[b->getParentOp()]);
        lastUse[root] = std::max(lastUse.lookup(root), at);
      }
    }
  }

  static bool isViewOp(Operation *op) { return isa<SliceOp, TransposeOp, ReshapeOp, ExpandOp, ConcatOp>(op); }

  // ---- buffers

  int define(Value value, int at, Buffer::Place place, int index) {
    Buffer buffer;
    buffer.place = place;
    buffer.index = index;
    buffer.bytes = isa<RankedTensorType>(value.getType()) ? overLargestChunk(value.getParentBlock(), bytesOf(value)) : DimExpr(0);
    buffer.first = at;
    buffer.last = std::max(at, lastUse.lookup(value));
    buffer.node = nodePath(value.getLoc());
    plan.buffers.push_back(buffer);
    plan.bufferOf[value] = plan.buffers.size() - 1;
    return plan.buffers.size() - 1;
  }

  static DimExpr overLargestChunk(Block *block, const DimExpr &bytes) {
    auto chunks = dyn_cast<ChunksOp>(block->getParentOp());
    return chunks ? chunks.overLargestChunk(bytes) : bytes;
  }

  int defineKept(Value value, int at, StringRef name, ValueRange rounds) {
    int buffer = define(value, at, Buffer::Place::kept, keptNumber.lookup(name));
    plan.buffers[buffer].rounds.assign(rounds.begin(), rounds.end());
    return buffer;
  }

  /// A new result: the caller's output, the session's kept values, or arena memory.
  int defineResult(Value value, int at) {
    if (KeepOp keep = keeps.lookup(value))
      return defineKept(value, at, keep.getKept(), keep.getIndices());
    auto output = outputs.find(value);
    if (output != outputs.end())
      return define(value, at, Buffer::Place::output, output->second);
    return define(value, at, Buffer::Place::arena, -1);
  }

  void join(Value value, int buffer) {
    plan.bufferOf[value] = buffer;
    plan.buffers[buffer].last = std::max(plan.buffers[buffer].last, lastUse.lookup(value));
    auto output = outputs.find(value);
    if (output != outputs.end()) {
      plan.buffers[buffer].place = Buffer::Place::output;
      plan.buffers[buffer].index = output->second;
    }
  }

  int temp(Operation *op, Temp kind, const DimExpr &bytes) {
    Buffer buffer;
    buffer.bytes = overLargestChunk(op->getBlock(), bytes);
    buffer.first = buffer.last = finish[op];
    if (auto contract = dyn_cast<ContractOp>(op))
      if (ChunksOp loop = packedBefore(contract)) {
        buffer.first = start[loop.getOperation()];
        buffer.last = finish[loop.getOperation()];
      }
    buffer.node = nodePath(op->getLoc());
    plan.buffers.push_back(buffer);
    plan.temps[{op, kind}] = plan.buffers.size() - 1;
    return plan.buffers.size() - 1;
  }

  void assign(Block &block) {
    for (Operation &op : block) {
      if (auto parameter = dyn_cast<ParameterOp>(op)) {
        define(parameter.getY(), start[&op], Buffer::Place::parameter, 0);
      } else if (auto recall = dyn_cast<RecallOp>(op)) {
        defineKept(recall.getY(), start[&op], recall.getKept(), recall.getIndices());
      } else if (auto repeat = dyn_cast<RepeatOp>(op)) {
        assignRepeat(repeat);
      } else if (auto chunks = dyn_cast<ChunksOp>(op)) {
        assignChunks(chunks);
      } else if (isKernel(&op)) {
        for (Value result : op.getResults())
          if (!stacked.count(result) && !placeInPlace(&op, result))
            defineResult(result, finish[&op]);
        assignTemps(&op);
      }
    }
  }

  /// Whether the kernel packs the right side in passing, panel by panel, rather than a launch before it: where few rows
  /// share it, a packed copy would cost as much traffic as the product, and its memory.
  bool packsItself(ContractOp contract) {
    // A turned left side is packed by the kernel too, once for all panels if their depth is not cut in parts.
    if (packedBefore(contract) || contract.getTransposeA())
      return false;
    Shape out = shapeOf(contract.getEpilogue().front().getArgument(0)), b = shapeOf(contract.getB());
    std::optional<int64_t> sums = elementCount(out).evaluate(hints), columns = out.back().evaluate(hints);
    std::optional<int64_t> matrices = elementCount(ArrayRef(b).drop_back(2)).evaluate(hints);
    if (!sums || !columns || !matrices)
      return false;
    int64_t most = 0; // sums of that many rows; beyond 64 bits they are more than there are
    return __builtin_mul_overflow(maxRowsPackedInPassing, *columns, &most) || __builtin_mul_overflow(most, *matrices, &most) || *sums <= most;
  }

  void assignTemps(Operation *op) {
    if (auto contract = dyn_cast<ContractOp>(op)) {
      if (parameterMatrix(contract.getB(), contract.getTransposeB()))
        return;
      Shape b = shapeOf(contract.getB());
      if (contract.getTransposeB())
        std::swap(b[b.size() - 1], b[b.size() - 2]);
      if (packsItself(contract))
        return;
      DimExpr elements = packedElements(b[b.size() - 2], b.back(), panel);
      for (size_t i = 0; i + 2 < b.size(); ++i)
        elements = elements * b[i];
      temp(op, Temp::packedRhs, elements * DimExpr(elementBytes(packedElement(contract))));
    }
    if (auto attention = dyn_cast<AttentionOp>(op)) {
      if (!attention.getMap())
        return;
      Shape q = shapeOf(attention.getQ());
      temp(op, Temp::statistics, q[0] * DimExpr(int64_t(attention.getHeads())) * q[1] * DimExpr(8));
    }
  }

  // ---- in place

  /// Writes `result` over an operand that dies here, when the kernel reads that operand only where it writes.
  bool placeInPlace(Operation *op, Value result) {
    if ((outputs.count(result) && !isa<EmbeddingGradOp>(op)) || keeps.count(result) || !isa<RankedTensorType>(result.getType()))
      return false;
    for (OpOperand &operand : op->getOpOperands()) {
      if (!canReplace(op, operand, result))
        continue;
      int buffer = plan.bufferOf[rootOf(operand.get())];
      bool othersFit = true;
      for (OpOperand &other : op->getOpOperands()) {
        auto found = plan.bufferOf.find(rootOf(other.get()));
        if (&other != &operand && found != plan.bufferOf.end() && found->second == buffer)
          othersFit = othersFit && canReplace(op, other, result);
      }
      for (Value sibling : op->getResults()) {
        auto found = plan.bufferOf.find(sibling);
        if (sibling != result && found != plan.bufferOf.end() && found->second == buffer)
          othersFit = false;
      }
      if (!othersFit)
        continue;
      join(result, buffer);
      return true;
    }
    return false;
  }

  bool canReplace(Operation *op, OpOperand &operand, Value result) {
    Value value = operand.get();
    if (value.getType() != result.getType() || !isa<ContractOp, FusedOp, EmbeddingGradOp>(op))
      return false;
    std::optional<View> view = viewOf(value);
    if (!view || view->offset != DimExpr(0) || !isContiguous(*view, shapeOf(value)) || shapeOf(view->root) != shapeOf(value))
      return false;
    auto found = plan.bufferOf.find(view->root);
    if (found == plan.bufferOf.end())
      return false;
    const Buffer &buffer = plan.buffers[found->second];
    bool writable = buffer.place == Buffer::Place::arena || buffer.place == Buffer::Place::output;
    if (!writable || buffer.last > finish[op] || view->root.getParentBlock() != op->getBlock())
      return false;
    // What stands in a carried value's buffer when the round ends must be that value's next one.
    auto carried = carriedAt.find(found->second);
    if (carried != carriedAt.end())
      for (OpOperand &use : result.getUses())
        if (isa<YieldOp>(use.getOwner()) && use.getOperandNumber() != carried->second)
          return false;
    if (auto contract = dyn_cast<ContractOp>(op))
      return operand.getOperandNumber() >= 2 && shapeOf(value).size() >= 2;
    // Rows are added where the table's gradient stands; if that is a result, the caller's memory holds it from the start.
    if (isa<EmbeddingGradOp>(op))
      return operand.getOperandNumber() == 2 && (buffer.place == Buffer::Place::arena || !outputs.count(result));
    auto fused = cast<FusedOp>(op);
    return mayAlias(fused, operand.getOperandNumber(), cast<OpResult>(result).getResultNumber());
  }

  // ---- repeats

  /// The initial value's buffer (LowerToKernels gives it one of its own) becomes the carried value's; what is yielded ends
  /// up there in place, or by a copy at the end of each round; the result is what stands there after the last.
  template <class Loop> void assignCarried(Loop loop) {
    for (auto [i, init, carried] : llvm::enumerate(loop.getInit(), loop.getCarried())) {
      int buffer = plan.bufferOf[init];
      plan.bufferOf[carried] = buffer;
      plan.buffers[buffer].last = std::max(lastUse.lookup(carried), start[loop.getOperation()]);
      carriedAt[buffer] = i;
    }
  }

  template <class Loop> void closeCarried(Loop loop) {
    for (auto [yielded, carried, result] : llvm::zip(loop.getYielded(), loop.getCarried(), loop.getCarriedResults())) {
      int buffer = plan.bufferOf[carried];
      if (plan.bufferOf[yielded] != buffer)
        plan.closing[loop].emplace_back(yielded, carried);
      join(result, buffer);
      plan.buffers[buffer].last = std::max(plan.buffers[buffer].last, finish[loop.getOperation()]);
      carriedAt.erase(buffer);
    }
  }

  /// Chunks of operands are read, and chunks of results written, where they stand among all rows.
  void assignChunks(ChunksOp chunks) {
    assignCarried(chunks);
    const DimExpr first = DimExpr::dim(chunks.getIndex().str()) * DimExpr(int64_t(chunks.getSize()));
    auto place = [&](Value part, int buffer, const DimExpr &base) {
      Shape row = shapeOf(part);
      const int64_t bytes = elementBytes(cast<RankedTensorType>(part.getType()).getElementType());
      plan.bufferOf[part] = buffer;
      plan.offsetOf[part] = base + first * elementCount(ArrayRef(row).drop_front()) * DimExpr(bytes);
    };
    for (auto [whole, part] : llvm::zip(chunks.getRows(), chunks.getParts())) {
      View view = *viewOf(whole);
      const int64_t bytes = elementBytes(cast<RankedTensorType>(whole.getType()).getElementType());
      place(part, plan.bufferOf[view.root], plan.offsetOf.lookup(view.root) + view.offset * DimExpr(bytes));
    }
    for (auto [yielded, result] : llvm::zip(chunks.getYielded().drop_front(chunks.getInit().size()), chunks.getRowResults())) {
      int buffer = defineResult(result, start[chunks.getOperation()]);
      plan.buffers[buffer].last = std::max(plan.buffers[buffer].last, finish[chunks.getOperation()]);
      place(yielded, buffer, DimExpr(0));
      stacked.insert(yielded);
    }
    assign(chunks.getBody().front());
    closeCarried(chunks);
  }

  void assignRepeat(RepeatOp repeat) {
    assignCarried(repeat);
    // Each round writes its part of a stacked result where it stays.
    for (auto [yielded, result] : llvm::zip(repeat.getYielded().drop_front(repeat.getInit().size()), repeat.getStackedResults())) {
      int buffer = stacked.count(result) ? plan.bufferOf[result] : defineResult(result, start[repeat.getOperation()]);
      plan.buffers[buffer].last = std::max(plan.buffers[buffer].last, finish[repeat.getOperation()]);
      plan.bufferOf[yielded] = buffer;
      plan.offsetOf[yielded] = plan.offsetOf.lookup(result) + DimExpr::dim(repeat.getIndex().str()) * bytesOf(yielded);
      stacked.insert(yielded);
    }
    assign(repeat.getBody().front());
    closeCarried(repeat);
  }

  // ---- stacking

  void stack() {
    for (auto [i, buffer] : llvm::enumerate(plan.buffers))
      if (buffer.place == Buffer::Place::arena) {
        buffer.index = plan.arena.size();
        plan.arena.push_back(i);
      }
    size_t n = plan.arena.size();
    std::vector<int64_t> size(n), offset(n, -1);
    for (size_t i = 0; i < n; ++i) {
      std::optional<int64_t> bytes = plan.buffers[plan.arena[i]].bytes.evaluate(hints);
      size[i] = ((bytes.value_or(int64_t(1) << 40) + 63) / 64) * 64;
    }
    std::vector<size_t> order(n);
    for (size_t i = 0; i < n; ++i)
      order[i] = i;
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return size[a] > size[b]; });
    // Largest first, each at the lowest offset that no buffer living at the same time covers.
    for (size_t i : order) {
      std::vector<std::pair<int64_t, int64_t>> taken;
      for (size_t j = 0; j < n; ++j)
        if (offset[j] >= 0 && overlap(i, j))
          taken.emplace_back(offset[j], offset[j] + size[j]);
      std::sort(taken.begin(), taken.end());
      int64_t at = 0;
      for (auto [low, high] : taken) {
        if (low - at >= size[i])
          break;
        at = std::max(at, high);
      }
      offset[i] = at;
    }
    // The order of addresses at the hints is kept for all sizes: that alone makes the offsets valid for them.
    std::vector<llvm::BitVector> below(n, llvm::BitVector(unsigned(n)));
    for (size_t i = 0; i < n; ++i)
      for (size_t j = 0; j < n; ++j)
        if (i != j && overlap(i, j) && std::make_pair(offset[j], j) < std::make_pair(offset[i], i))
          below[i].set(unsigned(j));
    for (const llvm::BitVector &lower : below) {
      // What lies below one of them is below already.
      llvm::BitVector nearest = lower;
      for (unsigned k : lower.set_bits())
        nearest.reset(below[k]);
      auto bits = nearest.set_bits();
      plan.arenaPlan.below.emplace_back(bits.begin(), bits.end());
    }
    for (int buffer : plan.arena)
      plan.arenaPlan.bytes.push_back(plan.buffers[buffer].bytes);
  }

  bool overlap(size_t i, size_t j) const {
    const Buffer &a = plan.buffers[plan.arena[i]], &b = plan.buffers[plan.arena[j]];
    return a.first <= b.last && b.first <= a.last;
  }

  const std::map<std::string, int64_t> &hints;
  int64_t panel;
  EntryPlan plan;
  int position = 0, end = 0;
  llvm::DenseMap<Operation *, int> start, finish;
  llvm::SmallDenseSet<Value> stacked;   ///< yielded values that lie in a stacked result, or among all rows
  llvm::DenseMap<Value, int> lastUse, outputs;
  llvm::DenseMap<Value, KeepOp> keeps;    ///< by what they keep; each value is kept once
  llvm::StringMap<int> keptNumber;
  llvm::DenseMap<int, unsigned> carriedAt; ///< buffer of a carried value of a repeat being assigned → its number
};

}  // namespace

DimExpr packedElements(const DimExpr &k, const DimExpr &n, int64_t panel) {
  if (std::optional<int64_t> columns = n.constant())
    return k * DimExpr((*columns + panel - 1) / panel * panel);
  return k * (n + DimExpr(panel));
}

EntryPlan planEntry(func::FuncOp func, const std::map<std::string, int64_t> &hints, int64_t panel) {
  return Planner(func, hints, panel).run();
}

}  // namespace weft
