// Model text -> ModelDesc, or errors with places and hints. The whole front end behind one function.
// Everything in the file is checked and all errors are reported at once; a ModelDesc that comes back is free of errors.
#ifndef WEFT_IMPORT_READMODEL_H
#define WEFT_IMPORT_READMODEL_H

#include "import/Diagnostics.h"
#include "import/Limits.h"

#include <optional>
#include <utility>

namespace weft {

struct ReadOptions {
  /// `--set KEY=VALUE`: replaces config values before anything is computed. The value is an expression, true or false.
  std::vector<std::pair<std::string, std::string>> sets;
  Limits limits;
};

/// nullopt exactly if `diagnostics` has errors afterwards; its exitCode() is the command line's.
std::optional<ModelDesc> readModel(SourceText source, const ReadOptions &options, Diagnostics &diagnostics);

/// The same for a file; "-" is standard input.
std::optional<ModelDesc> readModelFile(const std::string &path, const ReadOptions &options, Diagnostics &diagnostics);

} // namespace weft

#endif // WEFT_IMPORT_READMODEL_H
