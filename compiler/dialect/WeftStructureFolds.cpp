// Canonicalisation patterns of repeats.
// A carried value that no round changes is not carried: the rounds read it from outside.
#include "dialect/Weft.h"

#include "mlir/IR/PatternMatch.h"

using namespace mlir;

namespace weft {
namespace {

/// repeat (x, m) { …; yield y, m }  →  repeat (x) { …; yield y }, with the value from outside for m
///
/// Sound because m is its initial value in round 0, and in every next round what the round before had.
struct UnchangedCarry : OpRewritePattern<RepeatOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(RepeatOp op, PatternRewriter &b) const override {
    auto yield = cast<YieldOp>(op.getBody().front().getTerminator());
    SmallVector<unsigned> unchanged;
    SmallVector<Value> init;
    for (auto [i, carried] : llvm::enumerate(op.getCarried())) {
      if (carried == yield.getValues()[i])
        unchanged.push_back(i);
      else
        init.push_back(op.getInit()[i]);
    }
    if (unchanged.empty())
      return b.notifyMatchFailure(op, "expected a carried value that is yielded as it is");
    auto smaller = RepeatOp::create(b, op.getLoc(), op.getCount(), op.getIndex(), init, op.getStackedResults().getTypes(), op.getReverse());
    Block &from = op.getBody().front(), &to = smaller.getBody().front();
    SmallVector<Value> arguments{smaller.getRound()}, results, yielded;
    unsigned next = 0;
    for (unsigned i = 0; i < op.getInit().size(); ++i) {
      bool fixed = llvm::is_contained(unchanged, i);
      arguments.push_back(fixed ? op.getInit()[i] : smaller.getCarried()[next]);
      results.push_back(fixed ? op.getInit()[i] : smaller.getResults()[next]);
      if (!fixed) {
        yielded.push_back(yield.getValues()[i]);
        ++next;
      }
    }
    llvm::append_range(results, smaller.getStackedResults());
    llvm::append_range(yielded, yield.getValues().drop_front(op.getInit().size()));
    b.modifyOpInPlace(yield, [&] { yield.getValuesMutable().assign(yielded); });
    b.mergeBlocks(&from, &to, arguments);
    b.replaceOp(op, results);
    return success();
  }
};

} // namespace

void RepeatOp::getCanonicalizationPatterns(RewritePatternSet &patterns, MLIRContext *context) { patterns.add<UnchangedCarry>(context); }

} // namespace weft
