// Philox4x32-10 as in the paper, and what dropout keeps by it: plain words, for the interpreter and for tests of kernels.
// An element's fate depends on the seed, the step, the site and its number in the whole batch alone.
#ifndef WEFT_REFERENCE_PHILOX_H
#define WEFT_REFERENCE_PHILOX_H

#include <array>
#include <cmath>
#include <cstdint>

namespace weft::reference {

inline std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, uint32_t key0, uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    uint64_t first = uint64_t(0xD2511F53u) * counter[0], second = uint64_t(0xCD9E8D57u) * counter[2];
    counter = {uint32_t(second >> 32) ^ counter[1] ^ key0, uint32_t(second), uint32_t(first >> 32) ^ counter[3] ^ key1, uint32_t(first)};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter;
}

/// The three fields of weft_exec in their order.
struct RandomFields {
  uint64_t seed = 0, step = 0;
  int64_t firstSample = 0;
};

/// `site`: of the node; `round`: of the repeats around it.
inline bool kept(const RandomFields &random, int64_t site, int64_t round, double p, uint64_t element) {
  uint64_t block = element / 4;
  auto words = philox({uint32_t(block), uint32_t(block >> 32), uint32_t(site + 2654435769 * round), uint32_t(random.step)},
                      uint32_t(random.seed), uint32_t(random.seed >> 32));
  return words[element % 4] >= std::round(p * 4294967296.0);
}

}  // namespace weft::reference

#endif  // WEFT_REFERENCE_PHILOX_H
