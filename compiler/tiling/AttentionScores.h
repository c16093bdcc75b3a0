// The parts of attention that its kernels share: where a (batch, head) pair's data is, which keys a query may see, and
// the scores of a tile of queries with a block of keys.
//
// "Queries in lanes": a tile holds S^T[key][query], so that the running maximum, the sums and the rescaling of the
// online softmax work lane by lane, and keys and values are read in place, as broadcast scalars.
// Scores are in base 2: scale * log2(e) is multiplied into the queries, and probabilities are 2^(score - maximum).
#ifndef WEFT_TILING_ATTENTIONSCORES_H
#define WEFT_TILING_ATTENTIONSCORES_H

#include "tiling/AttentionKernel.h"
#include "tiling/Philox.h"
#include "tiling/TileSizes.h"

namespace weft {

/// The start value of running maxima: below every finite score, and finite, so that differences are never NaN.
inline constexpr double lowestScore = -3.4028234663852886e38;
inline constexpr double log2OfE = 1.4426950408889634;

/// The data of one batch index and head.
struct AttentionHead {
  mlir::Value batch, head;
  mlir::Value q, k, v, out;        ///< pointers
  mlir::Value keyMask, mask, bias; ///< pointers, or null
  mlir::Value start;               ///< absolute position of query 0
  mlir::Value keyCount;
};

/// A tile of queries: `vectors` * lanes of them from `first` on, of which `rows` exist.
struct QueryTile {
  int64_t vectors;
  mlir::Value first, rows;
};

/// i64: position that sequence `batch` starts at; 0 without a slot.
mlir::Value startPosition(KernelBuilder &k, int startSlot, mlir::Value batch);
/// i64: real tokens of sequence `batch` in this call; `all` without a slot or when its pointer is null.
mlir::Value realTokens(KernelBuilder &k, int validSlot, mlir::Value batch, mlir::Value all);

class AttentionScores {
public:
  AttentionScores(KernelBuilder &k, const AttentionSpec &spec);

  AttentionHead head(mlir::Value batch, mlir::Value head);
  /// Keys that some query of positions [first, last] (absolute) may see: [from, to).
  /// alignedFirstKey is at or before firstKey, where a block of random numbers starts.
  mlir::Value firstKey(mlir::Value firstPosition);
  mlir::Value alignedFirstKey(mlir::Value firstPosition);
  mlir::Value endKey(const AttentionHead &head, mlir::Value lastPosition);

  /// Register tile rows for `vectors` vectors of queries.
  int64_t tileRows(int64_t vectors) const;
  /// Steps per iteration of inner loops: fewer in the narrower tiles, which are rare and as large in code.
  int64_t unroll(int64_t vectors) const { return vectors == tile.queryVectors ? 4 : 2; }
  /// The smallest width that holds `rows` queries: `queryVectors` vectors of queries, half of it, and so on.
  mlir::Value widthOf(mlir::Value rows);
  /// Emits body(vectors) for every such width, of which `width` chooses one.
  void forWidth(mlir::Value width, llvm::function_ref<void(int64_t vectors)> body);
  /// Writes the transpose of `rows` rows of a head, times `scale`: packed[d][width], width a multiple of the lanes.
  void pack(const HeadOperand &operand, mlir::Value head, int64_t dims, double scale, mlir::Value first,
            mlir::Value rows, mlir::Value width, mlir::Value packed);
  void packQueries(const AttentionHead &h, mlir::Value first, mlir::Value rows, mlir::Value width, mlir::Value packed) {
    pack(spec.q, h.q, spec.headDim, queryScale(), first, rows, width, packed);
  }
  /// target[j][vectors * lanes] = row j of a head's keys or values, times what is packed, for rows [from, from + count).
  /// Rows past `count` up to the next multiple of tileRows may be written too. `widened` is scratch of
  /// keyBlock * rowElements(dims) elements for types other than f32. With `maxima`, returns the maximum of them and the
  /// products.
  llvm::SmallVector<mlir::Value> products(const HeadOperand &operand, mlir::Value head, int64_t dims, int64_t vectors,
                                          mlir::Value from, mlir::Value count, mlir::Value packed, mlir::Value target,
                                          mlir::Value widened, mlir::ValueRange maxima);
  /// Writes scores[j][vectors * lanes] for keys [from, from + count), finished: capped, biased, masked (-inf). Rows
  /// past `count` as in products. Returns the maximum of `maxima` and the scores. `extra` is scratch of extraElements()
  /// elements.
  llvm::SmallVector<mlir::Value> block(const AttentionHead &head, const QueryTile &tile, mlir::Value from,
                                       mlir::Value count, mlir::Value packed, mlir::Value scores, mlir::Value extra,
                                       mlir::ValueRange maxima);
  /// Emits finished() where scores of the block have to be finished, and plain() where all of them are as they stand.
  llvm::SmallVector<mlir::Value> whereFinished(mlir::TypeRange types, const AttentionHead &head, const QueryTile &tile,
                                               mlir::Value from, mlir::Value count, KernelBuilder::Branch finished,
                                               KernelBuilder::Branch plain);
  /// body for each vector of a block of products: `offset` is its place in scores, `raw` what stands there, `score` that
  /// finished if `finish` is set. `extra` as in block.
  using ScoreBody = llvm::function_ref<void(mlir::Value offset, int64_t vector, mlir::Value raw, mlir::Value score,
                                            llvm::SmallVector<mlir::Value> &carried)>;
  llvm::SmallVector<mlir::Value> overScores(const AttentionHead &head, const QueryTile &tile, mlir::Value from,
                                            mlir::Value count, mlir::Value scores, mlir::Value extra, bool finish,
                                            mlir::ValueRange init, ScoreBody body);
  int64_t extraElements() const { return termElements() + keyElements(); }

  /// Dropout: what probabilities are multiplied by, 0 or 1 / (1 - p). `keep` is scratch of keepElements() elements, at its
  /// start keep[j][width] afterwards, for keys [from, from + count) and `rows` queries from `first` on.
  void keepFactors(const AttentionHead &head, mlir::Value first, mlir::Value rows, mlir::Value width, mlir::Value from,
                   mlir::Value count, mlir::Value keep);
  int64_t keepElements() const;
  /// The same for one query and `lanes` keys.
  mlir::Value keepFactor(const AttentionHead &head, mlir::Value query, mlir::Value key);

  /// Copies rows [from, from + count) of a head's keys or values to scratch as f32, rowElements(dims) apart.
  void copyRows(const HeadOperand &operand, mlir::Value head, int64_t dims, mlir::Value from, mlir::Value count,
                mlir::Value target);
  int64_t rowElements(int64_t dims) const;

  /// score -> cap, bias and masks at vectors of pairs (query, key). `query` and `key` are those of lane 0; lanes are
  /// consecutive queries, or with `lanesAreKeys` keys; `exists` says which lanes are inside the tensors.
  /// `term` is what addTerm adds, or null: bias and mask are read here.
  mlir::Value finishScore(const AttentionHead &head, mlir::Value score, mlir::Value query, mlir::Value key,
                          bool lanesAreKeys, mlir::Value exists, mlir::Value term = nullptr);
  /// Whether finishScore does more than the causal mask and the window.
  bool alwaysFinishes() const { return spec.softcap || hasTerm() || spec.keyMask.pointer >= 0; }
  bool hasBias() const { return spec.bias.pointer >= 0; }
  bool hasTerm() const { return hasBias() || spec.mask.pointer >= 0; }
  /// What queries are multiplied with.
  double queryScale() const { return spec.softcap ? spec.scale / *spec.softcap : spec.scale * log2OfE; }

  const TileSizes tile;

private:
  /// Elements between the rows of random numbers before they are transposed.
  int64_t drawnElements() const { return llvm::alignTo(tile.keyBlock, 2 * k.target.lanes); }
  mlir::Value elementNumber(const AttentionHead &head, mlir::Value query, mlir::Value key);
  int64_t termElements() const;
  /// Keys of other types than f32 are widened block by block: a scalar is converted in more steps than it is used.
  bool widensKeys() const { return spec.k.type != ElementType::F32; }
  int64_t keyElements() const { return widensKeys() ? tile.keyBlock * rowElements(spec.headDim) : 0; }
  mlir::Value scoreOperandAt(const ScoreOperand &operand, mlir::Value base, mlir::Value query, mlir::Value key,
                             bool bytes);
  mlir::Value loadMask(const ScoreOperand &operand, mlir::Value base, mlir::Value query, mlir::Value key,
                       bool lanesAreKeys, mlir::Value exists);
  /// Bias and mask as one summand in base 2: -inf where the mask or the bias hides the key.
  mlir::Value additiveTerm(const AttentionHead &head, mlir::Value query, mlir::Value key, bool lanesAreKeys,
                           mlir::Value exists);
  mlir::Value addTerm(mlir::Value score, mlir::Value term);
  /// Whether bias or mask are rows of keys per query: they are then transposed block by block.
  bool transposesTerms() const;
  void transposeTerms(const AttentionHead &head, const QueryTile &tile, mlir::Value from, mlir::Value count,
                      mlir::Value terms);
  mlir::Value loadBias(mlir::Value base, mlir::Value query, mlir::Value key, bool lanesAreKeys, mlir::Value exists);

  KernelBuilder &k;
  const AttentionSpec &spec;
  std::optional<DropoutMask> mask;
};

/// acc[r][v] += a(r, step) * b(step, v) for step in [from, to): the inner loop of all products of attention, `unroll`
/// steps per iteration. `a` returns a scalar, `b` a vector.
llvm::SmallVector<mlir::Value>
accumulateTile(KernelBuilder &k, int64_t rows, int64_t vectors, int64_t unroll, mlir::Value from, mlir::Value to,
               mlir::ValueRange init, llvm::function_ref<mlir::Value(int64_t row, mlir::Value step, int64_t ahead)> a,
               llvm::function_ref<mlir::Value(mlir::Value step, int64_t ahead, int64_t vector)> b);

} // namespace weft

#endif // WEFT_TILING_ATTENTIONSCORES_H
