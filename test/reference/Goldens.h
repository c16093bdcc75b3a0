// The golden folders: a model, settings, weights, inputs and what PyTorch computed from them in f64.
// They lie outside the project, below the folder that WEFT_SHARED names.
#ifndef WEFT_REFERENCE_GOLDENS_H
#define WEFT_REFERENCE_GOLDENS_H

#include "TensorFiles.h"

#include "import/ReadModel.h"

#include <optional>
#include <string>
#include <vector>

namespace weft::reference {

struct Golden {
  std::string name, entry;
  ModelDesc model;
  Tensors inputs, parameters, expected;
};

/// Names of the golden folders, sorted; empty without WEFT_SHARED.
std::vector<std::string> goldenNames();

/// Reads one. nullopt: `error` says why, or is "" where its weights are not on this machine (they then come from the
/// file that WEFT_MINILM names).
std::optional<Golden> readGolden(const std::string &name, std::string &error);

}  // namespace weft::reference

#endif  // WEFT_REFERENCE_GOLDENS_H
