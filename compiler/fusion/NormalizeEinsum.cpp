// Writes einsum as transposes, reshapes and one matrix product, so that later passes know products only.
// Letters are sorted into four kinds: in both operands and the result, summed, left only, right only.
#include "Passes.h"
#include "dialect/Values.h"

#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;

namespace weft {

#define GEN_PASS_DEF_NORMALIZEEINSUMPASS
#include "Passes.h.inc"

namespace {

/// A tensor whose axes have letters.
struct Labelled {
  Value value;
  std::string letters;

  bool has(char letter) const { return letters.find(letter) != std::string::npos; }
  DimExpr size(char letter) const { return shapeOf(value)[letters.find(letter)]; }
};

class Rewriter {
public:
  Rewriter(OpBuilder &b, Location loc) : b(b), loc(loc) {}

  /// "ii" → "i": the elements off the diagonal are replaced by 0 and summed away.
  void takeDiagonals(Labelled &x) {
    for (size_t j = 1; j < x.letters.size(); ++j) {
      size_t i = x.letters.find(x.letters[j]);
      if (i >= j)
        continue;
      Shape shape = shapeOf(x.value), rowShape(shape.size(), DimExpr(1)), columnShape = rowShape;
      rowShape[i] = shape[i];
      columnShape[j] = shape[j];
      Value positions = IotaOp::create(b, loc, tensorType({shape[i]}, b.getI32Type()));
      Value onDiagonal =
          EqualOp::create(b, loc, reshapeTo(b, loc, positions, rowShape), reshapeTo(b, loc, positions, columnShape));
      Value kept = WhereOp::create(b, loc, onDiagonal, x.value, floatConstant(b, loc, elementOf(x.value), 0));
      x.value = ReduceSumOp::create(b, loc, kept, ArrayRef<int64_t>{int64_t(j)});
      x.letters.erase(j--, 1);
    }
  }

  /// Sums the axes whose letters occur nowhere else.
  void sumAway(Labelled &x, StringRef elsewhere) {
    SmallVector<int64_t> axes;
    std::string kept;
    for (auto [i, letter] : llvm::enumerate(x.letters)) {
      if (elsewhere.contains(letter))
        kept += letter;
      else
        axes.push_back(i);
    }
    if (!axes.empty())
      x.value = ReduceSumOp::create(b, loc, x.value, axes);
    x.letters = kept;
  }

  void permute(Labelled &x, StringRef letters) {
    SmallVector<int64_t> perm;
    for (char letter : letters)
      perm.push_back(x.letters.find(letter));
    x.value = transposeBy(b, loc, x.value, perm);
    x.letters = letters.str();
  }

  /// x with an axis for each of `letters`, of size 1 where x has none.
  Value spread(Labelled x, StringRef letters) {
    std::string own;
    Shape shape;
    for (char letter : letters) {
      shape.push_back(x.has(letter) ? x.size(letter) : DimExpr(1));
      if (x.has(letter))
        own += letter;
    }
    permute(x, own);
    return reshapeTo(b, loc, x.value, shape);
  }

  /// x as a matrix [batch…, rows, columns], or with its last two axes swapped if it stands so in memory.
  Value matrix(Labelled x, StringRef batch, StringRef rows, StringRef columns, bool &swapped) {
    std::string straight = (batch + rows + columns).str(), crossed = (batch + columns + rows).str();
    // Of the two orders the one that needs no transpose; else the one that the kernels read directly.
    swapped = x.letters == crossed && !rows.empty() && !columns.empty();
    permute(x, swapped ? crossed : straight);
    Shape shape;
    for (char letter : batch)
      shape.push_back(x.size(letter));
    DimExpr r(1), c(1);
    for (char letter : rows)
      r = r * x.size(letter);
    for (char letter : columns)
      c = c * x.size(letter);
    shape.push_back(swapped ? c : r);
    shape.push_back(swapped ? r : c);
    return reshapeTo(b, loc, x.value, shape);
  }

  Value two(Labelled x, Labelled y, StringRef result) {
    sumAway(x, y.letters + result.str());
    sumAway(y, x.letters + result.str());
    std::string batch, left, right, summed;
    for (char letter : result)
      (x.has(letter) && y.has(letter) ? batch : x.has(letter) ? left : right) += letter;
    for (char letter : x.letters)
      if (!StringRef(result).contains(letter))
        summed += letter;
    // No sum, or one product of two vectors: pointwise.
    if (summed.empty() || (left.empty() && right.empty())) {
      std::string order = result.str() + summed;
      Value product = MulOp::create(b, loc, spread(x, order), spread(y, order));
      Labelled z{product, order};
      sumAway(z, result);
      return z.value;
    }
    // A result with the right letters before the left ones is the product the other way round.
    if (result == batch + right + left && !right.empty()) {
      std::swap(x, y);
      std::swap(left, right);
    }
    bool crossedX, crossedY;
    Value a = matrix(x, batch, left, summed, crossedX);
    Value c = matrix(y, batch, right, summed, crossedY);
    Value product = MatmulOp::create(b, loc, a, c, crossedX, !crossedY);
    std::string order = batch + left + right;
    Shape shape;
    for (char letter : order)
      shape.push_back(x.has(letter) ? x.size(letter) : y.size(letter));
    Labelled z{reshapeTo(b, loc, product, shape), order};
    permute(z, result);
    return z.value;
  }

  Value one(Labelled x, StringRef result) {
    sumAway(x, result);
    permute(x, result);
    return x.value;
  }

private:
  OpBuilder &b;
  Location loc;
};

/// einsum  →  transpose, reshape, matmul, reshape, transpose
///
/// Sound because the equation is Σ over the summed letters of a product: letters of one operand alone are summed first
/// (distributivity), letters of one kind are merged into one axis (row-major order keeps them apart), and what is left
/// is a batched matrix product by definition. Without summed letters it is a broadcast product.
struct NormalizeEinsum : OpRewritePattern<EinsumOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(EinsumOp einsum, PatternRewriter &rewriter) const override {
    auto [inputs, result] = einsum.getEquation().split("->");
    SmallVector<StringRef> terms;
    inputs.split(terms, ',');
    if (terms.size() != einsum.getXs().size() || terms.size() > 2)
      return rewriter.notifyMatchFailure(einsum, "expected one term for each of one or two operands");
    Rewriter r(rewriter, einsum.getLoc());
    SmallVector<Labelled, 2> xs;
    for (auto [term, x] : llvm::zip(terms, einsum.getXs())) {
      xs.push_back({x, term.trim().str()});
      r.takeDiagonals(xs.back());
    }
    rewriter.replaceOp(einsum, xs.size() == 1 ? r.one(xs[0], result.trim()) : r.two(xs[0], xs[1], result.trim()));
    return success();
  }
};

struct NormalizeEinsumPass : impl::NormalizeEinsumPassBase<NormalizeEinsumPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<NormalizeEinsum>(&getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
} // namespace weft
