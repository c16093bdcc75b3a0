// Attention for very few queries (token by token generation): one query at a time, at the speed of reading keys and
// values.
#ifndef WEFT_TILING_ATTENTIONDECODE_H
#define WEFT_TILING_ATTENTIONDECODE_H

#include "tiling/AttentionScores.h"

namespace weft {

/// Emits the loop over tasks (batch, head, query) at the builder's position.
void emitAttentionDecode(KernelBuilder &k, const AttentionSpec &spec, AttentionScores &scores);
int64_t attentionDecodeScratch(const AttentionSpec &spec, const TargetInfo &target);

} // namespace weft

#endif // WEFT_TILING_ATTENTIONDECODE_H
