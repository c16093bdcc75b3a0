// One tile of queries in the backward pass of attention: what is loaded once per tile, and the probabilities and
// gradients of scores of a block of keys. Queries are in lanes, as in AttentionScores.
#ifndef WEFT_TILING_ATTENTIONGRADTILE_H
#define WEFT_TILING_ATTENTIONGRADTILE_H

#include "tiling/AttentionGradKernel.h"
#include "tiling/AttentionScores.h"

namespace weft {

/// Which gradient of a score is wanted.
enum class ScoreGrad {
  Product, ///< of q k^T: through the cap, times the scale
  Score    ///< of what the bias is added to
};

class AttentionGradTile {
public:
  AttentionGradTile(KernelBuilder &k, const AttentionGradSpec &spec, AttentionScores &scores, ScoreGrad wanted);

  /// Scratch, in elements; `place` says where it begins.
  int64_t elements() const;
  void place(mlir::Value scratch);

  /// Loads queries [first, first + rows) of a head.
  void load(const AttentionHead &head, mlir::Value first, mlir::Value rows);
  /// Keys that some query of the tile may see.
  mlir::Value fromKey(const AttentionHead &head), toKey(const AttentionHead &head);
  /// Leaves in probabilities[key][width] and slopes[key][width] those of keys [from, from + count), after dropout: what
  /// values were multiplied by, and the gradients of the scores. Lanes past the queries hold anything.
  void block(const AttentionHead &head, mlir::Value from, mlir::Value count);

  /// The keys from `from` on of the last block, in f32: the first row, and elements from one row to the next.
  std::pair<mlir::Value, mlir::Value> keys(const AttentionHead &head, mlir::Value from);

  mlir::Value first, rows, width;
  mlir::Value probabilities, slopes;
  mlir::Value queries, douts; ///< rows of the tile, scores.rowElements(dims) apart, zero between
  const int64_t tileQueries;

private:
  int64_t widenedElements(const HeadOperand &operand, int64_t dims) const;
  void restoreStatistics(const AttentionHead &head);
  mlir::Type f32() { return k.b.getF32Type(); }
  mlir::Value sub(mlir::Value x, mlir::Value y) { return mlir::arith::SubFOp::create(k.b, k.loc, x, y); }

  KernelBuilder &k;
  const AttentionGradSpec &spec;
  const AttentionSpec &attention;
  AttentionScores &scores;
  const ScoreGrad wanted;
  const int64_t lanes;
  mlir::Value packedQueries, packedDouts; ///< transposed, [dims][width]
  /// Of each query: lse in base 2 as lse + rest, and the sum of dout * out.
  mlir::Value lse, rest, delta;
  mlir::Value extra, keep;                ///< scratch of AttentionScores
  mlir::Value widenedKeys, widenedValues; ///< rows of a block where they have half precision
};

} // namespace weft

#endif // WEFT_TILING_ATTENTIONGRADTILE_H
