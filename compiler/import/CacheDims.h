// Along which dims an entry's bound states grow: those of the keys that their attentions append.
#ifndef WEFT_IMPORT_CACHEDIMS_H
#define WEFT_IMPORT_CACHEDIMS_H

#include "import/ModelDesc.h"

namespace weft {

struct CachedKeys {
  const Node *attention;
  std::vector<DimExpr> shape; ///< of k: [sequences, positions, features]
};

/// The keys of all attentions whose cache is in that state, in repeats too.
std::vector<CachedKeys> cachedKeys(const ModelDesc &model, const std::string &state);

/// Names of the dims that count an entry's sequences and its new positions; empty where there is no such dim.
struct CacheDims {
  std::string batch, token;
};

/// Of a model that the reader has checked: all attentions of the entry's states agree.
CacheDims cacheDims(const ModelDesc &model, const EntryDesc &entry);

} // namespace weft

#endif // WEFT_IMPORT_CACHEDIMS_H
