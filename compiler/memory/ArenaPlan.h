// The arena of one entry as plain data: sizes as closed expressions, and which buffers lie below which.
// Valid for all sizes of the dims; the generated plan function computes the same offsets.
#ifndef WEFT_MEMORY_ARENAPLAN_H
#define WEFT_MEMORY_ARENAPLAN_H

#include "dialect/DimExpr.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace weft {

struct ArenaPlan {
  std::vector<DimExpr> bytes;           ///< by arena index
  /// offset(i) = max over b in below[i] of offset(b) + align64(bytes(b)), 0 if there is none. Acyclic.
  std::vector<std::vector<int>> below;

  /// Offsets for these sizes, then the arena's size; nullopt on overflow or a missing size.
  std::optional<std::vector<int64_t>> offsets(const std::map<std::string, int64_t> &dims) const;
};

}  // namespace weft

#endif  // WEFT_MEMORY_ARENAPLAN_H
