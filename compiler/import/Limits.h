// What a model file may ask of the compiler. Every limit can be raised by the caller; the defaults fit any real model.
// A file that passes them is read in linear time and bounded memory.
#ifndef WEFT_IMPORT_LIMITS_H
#define WEFT_IMPORT_LIMITS_H

#include <cstddef>
#include <cstdint>

namespace weft {

struct Limits {
  uint64_t fileBytes = 256ull << 20;   ///< of the JSON text
  unsigned depth = 64;                 ///< nesting of arrays and objects
  size_t nameBytes = 1024;             ///< any identifier, also a full parameter name
  size_t nodes = 1000000;              ///< after blocks are expanded
  size_t tensors = 1000000;            ///< parameters
  size_t rank = 8;                     ///< axes of a value (WEFT_MAX_RANK)
  int64_t elements = int64_t(1) << 40; ///< of one value at the hints of the dims, and of one parameter
  int64_t rounds = 100000;             ///< of one repeat
  unsigned callDepth = 32;             ///< blocks inside blocks
};

} // namespace weft

#endif // WEFT_IMPORT_LIMITS_H
