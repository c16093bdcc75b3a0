// Leaves only what kernels and views can express: contract, attention and fused ops, parameters, strided views, repeats.
// Everything else becomes a weft.fused of its own; operands that need memory of their own get a copy.
#include "Passes.h"
#include "dialect/Weft.h"
#include "lowering/Views.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Pass/Pass.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace weft {
#define GEN_PASS_DEF_LOWERTOKERNELSPASS
#include "Passes.h.inc"

namespace {

/// A value that has memory of its own which its producer writes and nobody else owns.
bool ownsMemory(Value value) {
  Operation *op = value.getDefiningOp();
  return op && (isKernel(op) || isa<RepeatOp, ChunksOp>(op));
}

/// Queries, keys, values, results of an attention, and their gradients.
bool isHeads(OpOperand &use) {
  if (auto grad = dyn_cast<AttentionGradOp>(use.getOwner()))
    return llvm::is_contained({grad.getQ(), grad.getK(), grad.getV(), grad.getY(), grad.getDy()}, use.get());
  return isa<AttentionOp>(use.getOwner()) && use.getOperandNumber() < 3;
}

/// Read as one row of memory.
bool isRow(OpOperand &use) {
  auto grad = dyn_cast<AttentionGradOp>(use.getOwner());
  return isa<LastTokenOp>(use.getOwner()) || (grad && use.get() == grad.getLse());
}

/// A use that reads a concat of parameters as one packed parameter. Whatever is no kernel yet will be one.
bool readsPacked(OpOperand &use) {
  Operation *owner = use.getOwner();
  if (auto contract = dyn_cast<ContractOp>(owner); contract && use.getOperandNumber() == 1)
    return parameterMatrix(use.get(), contract.getTransposeB()).has_value();
  if (isa<SliceOp, ReshapeOp, TransposeOp, ExpandOp, LastTokenOp, RepeatOp, ChunksOp, KeepOp, YieldOp, func::ReturnOp>(owner) || isHeads(use))
    return false;
  return parameterPieces(use.get()).has_value();
}

/// A concat that lowering reads as one packed parameter, wherever it is used.
bool isPackedConcat(Operation *op) { return isa<ConcatOp>(op) && llvm::all_of(op->getResult(0).getUses(), readsPacked); }

/// op → weft.fused { op }. Sound because a fused region means exactly its ops.
void wrap(Operation *op) {
  OpBuilder b(op);
  llvm::SetVector<Value> operands(op->operand_begin(), op->operand_end());
  auto fused = FusedOp::create(b, op->getLoc(), op->getResultTypes(), operands.getArrayRef());
  Block &block = fused.getBody().emplaceBlock();
  IRMapping map;
  for (Value operand : operands)
    map.map(operand, block.addArgument(operand.getType(), operand.getLoc()));
  OpBuilder inner = OpBuilder::atBlockBegin(&block);
  Operation *clone = inner.clone(*op, map);
  YieldOp::create(inner, op->getLoc(), clone->getResults());
  op->replaceAllUsesWith(fused.getResults());
  op->erase();
}

Value copy(OpBuilder &b, Value value) {
  auto fused = FusedOp::create(b, value.getLoc(), value.getType(), value);
  Block &block = fused.getBody().emplaceBlock();
  OpBuilder inner = OpBuilder::atBlockBegin(&block);
  YieldOp::create(inner, value.getLoc(), block.addArgument(value.getType(), value.getLoc()));
  return fused.getResult(0);
}

/// Constants used by kernels move into their regions, where they cost nothing.
void sinkConstants(Operation *kernel) {
  if (!isa<FusedOp, ContractOp>(kernel))
    return;
  Block &block = kernel->getRegion(0).front();
  unsigned first = isa<ContractOp>(kernel) ? 2 : 0, skip = isa<ContractOp>(kernel) ? 1 : 0;
  for (unsigned i = kernel->getNumOperands(); i-- > first;) {
    auto constant = kernel->getOperand(i).getDefiningOp<ConstantOp>();
    if (!constant)
      continue;
    OpBuilder inner = OpBuilder::atBlockBegin(&block);
    unsigned argument = i - first + skip;
    block.getArgument(argument).replaceAllUsesWith(inner.clone(*constant)->getResult(0));
    block.eraseArgument(argument);
    kernel->eraseOperand(i);
  }
}

struct LowerToKernelsPass : impl::LowerToKernelsPassBase<LowerToKernelsPass> {
  void runOnOperation() override {
    getOperation().walk([&](func::FuncOp func) {
      lowerBlock(func.getBody().front());
      ownResults(func);
    });
  }

  void lowerBlock(Block &block) {
    for (Operation &op : llvm::make_early_inc_range(block)) {
      if (auto repeat = dyn_cast<RepeatOp>(op))
        lowerBlock(repeat.getBody().front());
      else if (auto chunks = dyn_cast<ChunksOp>(op))
        lowerBlock(chunks.getBody().front());
      else if (!isKernel(&op) && !isStructure(&op))
        wrap(&op);
    }
    for (Operation &op : llvm::make_early_inc_range(block)) {
      sinkConstants(&op);
      if (isKernel(&op))
        ownOperands(&op);
      else if (auto repeat = dyn_cast<RepeatOp>(op))
        ownInits(repeat, repeat->getOpOperands());
      else if (auto chunks = dyn_cast<ChunksOp>(op))
        ownChunks(chunks);
      else if (auto keep = dyn_cast<KeepOp>(op))
        ownKept(keep);
    }
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block)))
      if (isa<ConstantOp, ConcatOp, SliceOp, ReshapeOp, TransposeOp, ExpandOp, ParameterOp, RecallOp>(op) && op.use_empty())
        op.erase();
    if (auto yield = dyn_cast<YieldOp>(block.getTerminator()))
      ownYields(yield);
  }

  bool isStructure(Operation *op) {
    if (isa<ParameterOp, RepeatOp, ChunksOp, KeepOp, RecallOp, YieldOp, func::ReturnOp>(op))
      return true;
    if (isa<ConstantOp>(op))
      return llvm::all_of(op->getUsers(), [](Operation *user) { return isa<FusedOp, ContractOp>(user); });
    if (isa<SliceOp, ReshapeOp, TransposeOp, ExpandOp>(op))
      return viewOf(op->getResult(0)).has_value();
    return isPackedConcat(op);
  }

  /// Kernels read operands as strided views; attention wants the features of a head next to each other.
  void ownOperands(Operation *kernel) {
    OpBuilder b(kernel);
    for (OpOperand &operand : kernel->getOpOperands()) {
      Value value = operand.get();
      bool isConcat = value.getDefiningOp<ConcatOp>() != nullptr, fits = true;
      if (isConcat) {
        auto contract = dyn_cast<ContractOp>(kernel);
        fits = contract && operand.getOperandNumber() == 1 ? parameterMatrix(value, contract.getTransposeB()).has_value()
                                                           : parameterPieces(value).has_value();
        if (!fits) {
          wrap(value.getDefiningOp());
          continue;
        }
      }
      if (isRow(operand)) {
        std::optional<View> view = viewOf(value);
        if (!view || !isContiguous(*view, shapeOf(value)))
          operand.set(copy(b, value));
      }
      if (isa<EmbeddingGradOp, ScatterAddOp>(kernel) && !fitsScatter(kernel, operand))
        operand.set(copy(b, value));
      if (isHeads(operand)) {
        std::optional<View> view = isConcat ? std::nullopt : viewOf(value);
        if (!view || view->strides.back() != DimExpr(1))
          operand.set(copy(b, value));
      }
    }
  }

  /// A scatter kernel reads indices and rows by three strides, and columns next to each other.
  static bool fitsScatter(Operation *kernel, OpOperand &operand) {
    std::optional<View> view = viewOf(operand.get());
    if (!view)
      return false;
    const Shape shape = shapeOf(operand.get());
    if (operand.getOperandNumber() == 2)
      return view->strides[1] == DimExpr(1) || shape[1].constant() == 1;
    const ScatterAxes axes = scatterAxes(kernel);
    bool isSource = operand.getOperandNumber() == 1;
    std::optional<Shape> strides = reshapeStrides(shape, view->strides, isSource ? axes.sourceShape() : axes.indexShape());
    return strides && (!isSource || (*strides)[2] == DimExpr(1) || axes.columns.constant() == 1);
  }

  /// A loop overwrites its initial values: each needs memory that nobody reads later.
  void ownInits(Operation *loop, MutableArrayRef<OpOperand> inits) {
    OpBuilder b(loop);
    for (OpOperand &operand : inits) {
      Value init = operand.get();
      bool sole = ownsMemory(init) && init.getParentBlock() == loop->getBlock();
      for (OpOperand &use : init.getUses())
        sole = sole && (&use == &operand || (isKernel(use.getOwner()) && use.getOwner()->getBlock() == loop->getBlock() &&
                                             use.getOwner()->isBeforeInBlock(loop)));
      if (!sole)
        operand.set(copy(b, init));
    }
  }

  /// Chunks are parts of memory that has its rows one after the other.
  void ownChunks(ChunksOp chunks) {
    MutableArrayRef<OpOperand> operands = chunks->getOpOperands();
    ownInits(chunks, operands.take_front(chunks.getInit().size()));
    OpBuilder b(chunks);
    for (OpOperand &operand : operands.drop_front(chunks.getInit().size())) {
      std::optional<View> view = viewOf(operand.get());
      Operation *root = view ? view->root.getDefiningOp() : nullptr;
      if (!view || !isContiguous(*view, shapeOf(operand.get())) || isa_and_nonnull<ParameterOp, ConcatOp, ConstantOp>(root))
        operand.set(copy(b, operand.get()));
    }
  }

  /// A kernel writes what is kept into the session's memory: it must not belong to anybody else.
  void ownKept(KeepOp keep) {
    Value x = keep.getX();
    bool sole = ownsMemory(x) && !isa<RepeatOp>(x.getDefiningOp()) && x.getParentBlock() == keep->getBlock();
    for (Operation *user : x.getUsers())
      sole = sole && (user == keep || !isa<KeepOp, RepeatOp, YieldOp, func::ReturnOp>(user));
    if (!sole) {
      OpBuilder b(keep);
      keep.getXMutable().assign(copy(b, x));
    }
  }

  /// The next round's values must not be this round's arguments or parts of something else. A stacked value is written
  /// into its part of the stack: not one that an inner repeat carries.
  void ownYields(YieldOp yield) {
    OpBuilder b(yield);
    auto repeat = dyn_cast<RepeatOp>(yield->getParentOp());
    llvm::SmallDenseSet<Value> seen;
    for (OpOperand &operand : yield->getOpOperands()) {
      Value value = operand.get();
      auto inner = value.getDefiningOp<RepeatOp>();
      bool carriedInside = repeat && inner && operand.getOperandNumber() >= repeat.getInit().size() &&
                           cast<OpResult>(value).getResultNumber() < inner.getInit().size();
      if (!ownsMemory(value) || value.getParentBlock() != yield->getBlock() || carriedInside || !seen.insert(value).second)
        operand.set(copy(b, value));
    }
  }

  void ownResults(func::FuncOp func) {
    auto ret = cast<func::ReturnOp>(func.getBody().front().getTerminator());
    OpBuilder b(ret);
    llvm::SmallDenseSet<Value> seen;
    for (OpOperand &operand : ret->getOpOperands())
      if (!ownsMemory(operand.get()) || !seen.insert(operand.get()).second)
        operand.set(copy(b, operand.get()));
  }
};

}  // namespace
}  // namespace weft
