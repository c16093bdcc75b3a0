// Attention, forward, in one pass over the keys (online softmax): out = softmax(mask(cap(scale q k^T) + bias)) v.
// Also the probability map recomputed from the row statistics, and the copy of new keys and values into a cache.
//
// Slots are numbers in the launch's argument table, chosen by the caller. Strides count elements.
#ifndef WEFT_TILING_ATTENTIONKERNEL_H
#define WEFT_TILING_ATTENTIONKERNEL_H

#include "tiling/ElementType.h"
#include "tiling/KernelBuilder.h"

#include <optional>

namespace weft {

/// Queries, keys, values or results: element (b, t, h, d) is at pointer[b * batch + t * row + h * head + d].
struct HeadOperand {
  int pointer = -1;
  ElementType type = ElementType::F32;
  Size batch, row, head;
};

/// A mask (u8, nonzero: may be attended) or a bias (f32) over (b, h, i, j); stride 0 broadcasts. pointer < 0: none.
struct ScoreOperand {
  int pointer = -1;
  Size batch, head, query, key;
};

/// Elements of the probabilities are dropped as weft.attention says: element (b, h, i, j) has the number
/// ((b * heads + h) * queries + i) * keys + j, b counted within the whole batch.
struct AttentionDropout {
  double p = 0;
  int random = -1; ///< pointer to weft_exec.seed, step, first_sample
  Size site;       ///< as DropoutMask wants it
};

struct AttentionSpec {
  Size batch, queries, keys; ///< `keys` is not used when `start` is given
  Size heads, kvHeads;       ///< heads is a multiple of kvHeads; query head h reads kv head h / (heads / kvHeads)
  int64_t headDim = 0, valueDim = 0;
  HeadOperand q, k, v, out;

  double scale = 1;
  std::optional<double> softcap;
  /// Query i is at absolute position start(b) + i and sees keys j <= start(b) + i; start(b) is 0 without `start`.
  bool causal = false;
  std::optional<int64_t> window; ///< with causal: only keys j > position - window

  ScoreOperand keyMask; ///< (b, j): head = query = 0
  ScoreOperand mask, bias;
  std::optional<AttentionDropout> dropout; ///< neither lse nor statistics nor a map see it

  /// Pointer to int64 [batch], for a cache: positions stored before this call. Sequence b then has
  /// start[b] + valid[b] keys.
  int start = -1;
  /// Pointer to int32 [batch], real queries of each sequence; the pointer itself may be null at run time: all.
  int valid = -1;

  /// Pointer to f32 [batch, heads, queries], or -1. Natural logarithm of the sum of the exponentials of the row's
  /// scores; +inf for a row that sees no key, so that exp(score - lse) is zero there.
  int lse = -1;
  /// Pointer to f32 [2, batch, heads, queries], or -1: the largest score of each row (times log2 e), then one over the
  /// sum of the exponentials relative to it (0 for a row that sees no key). What a map is recomputed from: lse would lose
  /// the sum beside a score of great size.
  int statistics = -1;
};

/// Task = (batch, head, query tile), tile fastest; with at most three queries task = (batch, head, query).
/// A row that sees no key gives zeros.
EmittedKernel emitAttention(mlir::ModuleOp module, llvm::StringRef name, const AttentionSpec &spec,
                            const TargetInfo &target);

/// The probabilities of the same attention; spec.statistics is read, spec.v and spec.out are not used.
struct AttentionWeightsSpec {
  AttentionSpec attention;
  int weights = -1;  ///< pointer to f32 [batch, heads, queries, keys], or with `mean` [batch, queries, keys]
  bool mean = false; ///< the mean over heads
};

/// Task = (batch, head or 1, query tile).
EmittedKernel emitAttentionWeights(mlir::ModuleOp module, llvm::StringRef name, const AttentionWeightsSpec &spec,
                                   const TargetInfo &target);

/// Copies rows (b, t) of keys and values to position start[b] + t of a cache in the layout of weft_cache, for
/// t < valid[b]. Positions at or past `capacity` are not written.
struct CacheAppendSpec {
  Size batch, tokens, kvHeads;
  int64_t headDim = 0, valueDim = 0;
  HeadOperand k, v;                 ///< sources
  HeadOperand keyCache, valueCache; ///< destinations; row = head dimension, head = capacity * head dimension, …
  Size capacity;
  int start = -1, valid = -1; ///< as in AttentionSpec
};

/// Task = (batch, token).
EmittedKernel emitCacheAppend(mlir::ModuleOp module, llvm::StringRef name, const CacheAppendSpec &spec,
                              const TargetInfo &target);

} // namespace weft

#endif // WEFT_TILING_ATTENTIONKERNEL_H
