// Turns matrix products into weft.contract and draws the pointwise ops that follow into its epilogue.
// The epilogue runs on sums in registers, so that no intermediate is stored.
#include "Passes.h"
#include "dialect/Values.h"

#include "mlir/IR/IRMapping.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace weft {

#define GEN_PASS_DEF_FUSECONTRACTIONPASS
#include "Passes.h.inc"

namespace {

/// An extra operand as the epilogue may read it: a scalar, a vector along the last axis, or the sums' own shape.
std::optional<Shape> extraShape(const Shape &shape, const Shape &sums) {
  if (shape == sums)
    return shape;
  if (!shape.empty() && shape.back() == sums.back() &&
      llvm::all_of(ArrayRef(shape).drop_back(), [](const DimExpr &size) { return size.constant() == 1; }))
    return Shape{sums.back()};
  if (llvm::all_of(shape, [](const DimExpr &size) { return size.constant() == 1; }))
    return Shape{};
  return std::nullopt;
}

/// Float results from float operands, no random numbers: what runs on a register of sums.
bool fitsEpilogue(Operation *op) {
  if (!isPointwise(op) || isa<DropoutOp, WhereOp>(op) || op->getNumResults() != 1)
    return false;
  auto isFloat = [](Type type) { return isa<FloatType>(cast<RankedTensorType>(type).getElementType()); };
  return llvm::all_of(op->getOperandTypes(), isFloat) && isFloat(op->getResult(0).getType());
}

/// matmul, pointwise ops  →  weft.contract with those ops as its epilogue
///
/// Sound because a pointwise op's element depends on the elements at the same place alone: it may run as soon as the
/// sum there is known. Every value that is drawn in has no user outside, except the last, which is the result. The
/// contraction stands where the last of these ops stood, so all that it reads is defined before it.
struct FuseContraction : OpRewritePattern<MatmulOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(MatmulOp matmul, PatternRewriter &b) const override {
    llvm::SetVector<Operation *> epilogue = choose(matmul);
    Operation *last = epilogue.empty() ? matmul.getOperation() : epilogue.back();
    Shape sums = shapeOf(matmul.getY());
    b.setInsertionPoint(last);

    SmallVector<Value> extras;
    llvm::MapVector<Value, Value> extraOf;
    for (Operation *op : epilogue)
      for (Value operand : op->getOperands()) {
        bool inside = operand == matmul.getY() || epilogue.contains(operand.getDefiningOp());
        if (inside || scalarConstant(operand) || extraOf.count(operand))
          continue;
        Value extra = reshapeTo(b, matmul.getLoc(), operand, *extraShape(shapeOf(operand), sums));
        extraOf[operand] = extra;
        extras.push_back(extra);
      }

    auto contract =
        ContractOp::create(b, b.getFusedLoc(locations(matmul, epilogue)), TypeRange(last->getResult(0).getType()),
                           matmul.getA(), packed(matmul.getB()), extras, matmul.getTransposeA(), matmul.getTransposeB());
    Block *block = b.createBlock(&contract.getEpilogue());
    IRMapping map;
    map.map(matmul.getY(), block->addArgument(matmul.getY().getType(), matmul.getLoc()));
    for (auto [operand, extra] : extraOf)
      map.map(operand, block->addArgument(extra.getType(), extra.getLoc()));
    for (Operation *op : epilogue) {
      for (Value operand : op->getOperands())
        if (!map.contains(operand))
          map.map(operand, floatConstant(b, op->getLoc(), elementOf(operand), *scalarConstant(operand)));
      b.clone(*op, map);
    }
    YieldOp::create(b, last->getLoc(), map.lookup(last->getResult(0)));

    b.replaceOp(last, contract.getResults());
    for (Operation *op : llvm::reverse(epilogue))
      if (op != last)
        b.eraseOp(op);
    if (last != matmul)
      b.eraseOp(matmul);
    return success();
  }

private:
  /// A parameter that is rounded is rounded as it is packed: it needs no memory in both forms.
  static Value packed(Value b) {
    auto cast = b.getDefiningOp<CastOp>();
    bool rounds = cast && isHalf(elementOf(b)) && elementOf(cast.getX()).isF32() && isParameterOnly(cast.getX());
    return rounds ? cast.getX() : b;
  }

  /// The longest sequence of ops after the product that leaves one value: each reads the sums or earlier ones of them,
  /// and only the last one's result has users outside.
  static llvm::SetVector<Operation *> choose(MatmulOp matmul) {
    Shape sums = shapeOf(matmul.getY());
    llvm::SetVector<Operation *> reachable;
    for (Operation *op = matmul->getNextNode(); op; op = op->getNextNode()) {
      auto inside = [&](Value v) { return v == matmul.getY() || reachable.contains(v.getDefiningOp()); };
      if (llvm::none_of(op->getOperands(), inside) || !fitsEpilogue(op) || shapeOf(op->getResult(0)) != sums)
        continue;
      bool fits = llvm::all_of(op->getOperands(), [&](Value v) { return inside(v) || extraShape(shapeOf(v), sums); });
      if (fits)
        reachable.insert(op);
    }
    for (size_t end = reachable.size(); end > 0; --end) {
      ArrayRef<Operation *> upTo = reachable.getArrayRef().take_front(end);
      Operation *last = upTo.back();
      llvm::SetVector<Operation *> needed; // those of upTo that lead to last, from last upward
      for (Operation *op : llvm::reverse(upTo))
        if (op == last || llvm::any_of(op->getUsers(), [&](Operation *user) { return needed.contains(user); }))
          needed.insert(op);
      auto closed = [&](Value v) {
        return llvm::all_of(v.getUsers(), [&](Operation *user) { return needed.contains(user); });
      };
      if (!closed(matmul.getY()) ||
          !llvm::all_of(needed, [&](Operation *op) { return op == last || closed(op->getResult(0)); }))
        continue;
      llvm::SetVector<Operation *> ordered;
      for (Operation *op : llvm::reverse(needed))
        ordered.insert(op);
      return ordered;
    }
    return {};
  }

  static SmallVector<Location> locations(MatmulOp matmul, const llvm::SetVector<Operation *> &epilogue) {
    SmallVector<Location> all{matmul.getLoc()};
    for (Operation *op : epilogue)
      all.push_back(op->getLoc());
    return all;
  }
};

struct FuseContractionPass : impl::FuseContractionPassBase<FuseContractionPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FuseContraction>(&getContext());
    GreedyRewriteConfig config;
    config.setUseTopDownTraversal();
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns), config)))
      signalPassFailure();
  }
};

} // namespace
} // namespace weft
