// What a model file, files of tensors and a plan may ask for. Every limit can be raised by the caller; the defaults fit any real
// model. A file that passes them is read in linear time and bounded memory.
#ifndef WEFT_IMPORT_LIMITS_H
#define WEFT_IMPORT_LIMITS_H

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace weft {

struct Limits {
  uint64_t fileBytes = 256ull << 20;    ///< of the JSON text
  uint64_t depth = 64;                  ///< nesting of arrays and objects
  uint64_t nameBytes = 1024;            ///< any identifier, also a full parameter name
  uint64_t nodes = 1000000;             ///< after blocks are expanded
  uint64_t entryNodes = 1000000;        ///< of all entries: nodes times entries
  uint64_t tensors = 1000000;           ///< parameters, tensors of files
  uint64_t elements = uint64_t(1) << 40; ///< of one value at the hints of the dims, of one parameter, of one tensor of a file
  uint64_t rounds = 100000;             ///< of one repeat
  uint64_t callDepth = 32;              ///< blocks inside blocks
  uint64_t headerBytes = 100000000;     ///< of a safetensors or .npy header, of an index of shards
  uint64_t metadata = 1000000;          ///< keys in the metadata of a safetensors file
  uint64_t shards = 10000;              ///< files of weights that are opened as one
  uint64_t arenaBytes = uint64_t(1) << 40; ///< of the plan of one entry
  uint64_t objectBytes = uint64_t(1) << 30; ///< of an object, with the weights in it

  static constexpr size_t rank = 8;    ///< axes of a value; part of the objects' interface (WEFT_MAX_RANK)
  static constexpr size_t states = 64; ///< bits of a number in the objects' interface

  /// False: there is no limit of this name, or it can't be `value`.
  bool set(const std::string &name, uint64_t value);
  /// The highest value that a limit can be given; 0: no such limit.
  static uint64_t most(const std::string &name);
  static std::vector<std::string> names();
};

} // namespace weft

#endif // WEFT_IMPORT_LIMITS_H
