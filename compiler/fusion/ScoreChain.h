// What stands between the product of queries and keys and the probabilities: a scale, biases, masks.
// Read upward from the softmax; nothing is changed here.
#ifndef WEFT_FUSION_SCORECHAIN_H
#define WEFT_FUSION_SCORECHAIN_H

#include "dialect/Weft.h"

#include <optional>

namespace weft {

/// Says why a reading ends; the text starts with "expected".
using Refuse = llvm::function_ref<mlir::LogicalResult(const llvm::Twine &)>;

/// A bias: the scores get `value · factor` added. `at` is the scores' shape at that point.
struct ScoreBias {
  mlir::Value value;
  double factor = 1;
  Shape at;
};

/// A mask: scores stay where `value == keeps`, the others are filled.
struct ScoreMask {
  mlir::Value value;
  bool keeps = true;
  Shape at;
};

/// scores = fill(mask(softcap(product · scale) + biases)).
struct ScoreChain {
  MatmulOp product;
  double scale = 1;
  std::optional<double> softcap;
  llvm::SmallVector<ScoreBias> biases;
  llvm::SmallVector<ScoreMask> masks;         ///< filled with -inf
  llvm::SmallVector<ScoreMask> fills;         ///< filled with one finite number that no visible score comes near
  llvm::SmallVector<mlir::Operation *> steps; ///< the ops between product and softmax
  Shape heads;                                ///< [B, heads, Tq, Tk] if a reshape of the scores showed it, else empty
};

/// The probabilities of one softmax along the last axis.
struct Probabilities {
  mlir::Value scores, result;
  bool spelled = false; ///< written as max, sub, exp, sum, div: a row of only -inf is NaN, not zeros
};

/// Reads `p` as softmax along the last axis, as one op or spelled out, with no other user of what lies between.
mlir::LogicalResult readProbabilities(mlir::Value p, Probabilities &out, Refuse refuse);

/// Reads the scores up to the product. Every value between has one user.
mlir::LogicalResult readScores(const Probabilities &p, ScoreChain &out, Refuse refuse);

/// True if the mask keeps j <= i and nothing else, over as many keys as queries.
bool isCausal(const ScoreMask &mask);

} // namespace weft

#endif // WEFT_FUSION_SCORECHAIN_H
