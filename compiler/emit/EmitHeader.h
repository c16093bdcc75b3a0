// The typed C header of a compiled model: what an application includes. C99 and C++17, no warnings under -Wall -Wextra
// -pedantic. Plain text in, plain text out; knows nothing of MLIR.
#ifndef WEFT_EMIT_EMITHEADER_H
#define WEFT_EMIT_EMITHEADER_H

#include "import/ModelDesc.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weft {

struct HeaderTensor {
  std::string name;
  TensorType type;
  bool optional = false;
  bool hasRange = false;
  int64_t low = 0, high = 0;
};

/// One compiled entry, in descriptor order.
struct HeaderEntry {
  std::string name;
  std::vector<HeaderTensor> inputs, outputs; ///< in the entry's order
  std::map<std::string, int64_t> fixedDims;
  std::string batchDim;                      ///< the dim that counts the bound cache's sequences; empty: no state
  int buffers = 0;                           ///< as in the descriptor
  std::vector<HeaderTensor> keeps, recalls;  ///< kept values that it writes, and reads; of one round
  bool trains = false, evaluates = false;    ///< run by trainers; the second has no functions of its own
};

struct HeaderInput {
  std::string name, doc;          ///< of the model
  std::string prefix;             ///< symbolPrefix(name), or another C identifier
  std::string compilerVersion;
  uint64_t hash = 0;              ///< as in the descriptor
  std::vector<DimDesc> dims;      ///< in descriptor order
  std::vector<HeaderEntry> entries;
  std::vector<std::string> states; ///< names, in descriptor order
  std::vector<GenerateDesc> generates;
  int64_t parameters = 0;         ///< number of elements
};

std::string emitHeader(const HeaderInput &input);

/// What every symbol and C name of the model starts with: its name, made a C identifier.
std::string symbolPrefix(std::string_view modelName);
/// A C identifier for any name; different names give different identifiers. Names that are identifiers and no keywords
/// of C or C++ stay as they are.
std::string mangleName(std::string_view name);
/// "<prefix>_weft_model": the weft_model_desc.
std::string descriptorSymbol(std::string_view prefix);
/// "<prefix>_weft_id_<16 hex digits>": a char whose presence says that object and header were made together.
std::string identitySymbol(std::string_view prefix, uint64_t hash);

} // namespace weft

#endif // WEFT_EMIT_EMITHEADER_H
