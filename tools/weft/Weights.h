// Weights for the commands: which file they come from, and into which open model they go.
// Order of preference: --weights, --init, the weights in the object, the model's own weights.file.
#ifndef WEFT_TOOLS_WEIGHTS_H
#define WEFT_TOOLS_WEIGHTS_H

#include "Common.h"

#include "weft/runtime.h"

namespace weft {

/// The bytes of the one safetensors file that --embed-weights puts into an object. kOk or an exit code.
int readEmbeddedWeights(const CommonOptions &options, const ModelDesc &model, const std::string &weights, std::string &bytes);

struct WeightsChoice {
  std::string file;                 ///< --weights
  std::optional<uint64_t> initSeed; ///< --init
  bool fallBackToInit = false;      ///< draw weights when the model names no file (bench)
};

/// Fills the model's parameters. Errors are printed; kOk or an exit code.
int loadWeights(const CommonOptions &options, const ModelDesc &model, const WeightsChoice &choice, weft_model *handle);

/// Limits of the files that a command opens.
weft_tensor_limits tensorLimits(const CommonOptions &options);

/// The exit code that a status of the runtime means.
ExitCode exitCodeOf(weft_status status);
/// Prints an error about a tensor file. A type that weft does not read is a fault of the file, not of the target.
int reportFile(const std::string &path, weft_status status, const char *text);

} // namespace weft

#endif // WEFT_TOOLS_WEIGHTS_H
