// Changes of a model or of its inputs that must not change results, or only in a known way. No oracle is needed for them.
#ifndef WEFT_E2E_METAMORPHIC_H
#define WEFT_E2E_METAMORPHIC_H

#include "RunCase.h"

namespace weft::e2e {

/// A random model whose nodes have other names, and stand in another order of the file: the same object and header, byte for
/// byte. False: the model of this seed has no value over its empty axes.
bool runSpellings(uint64_t seed, Tally &tally);
/// Encoders of random shape: a batch in two parts, tokens behind a mask, tokens of the future.
void runInvariances(uint64_t seed, Tally &tally);
/// A model without a mask must be seen to look at padding, one without causality to look ahead; objects of different models
/// must be seen to differ.
void runPlanted(Tally &tally);

}  // namespace weft::e2e

#endif  // WEFT_E2E_METAMORPHIC_H
