// Runs random models, each in processes of its own, and makes the failing ones smaller.
// A graph is repeated by its seed alone; `weft-e2e file` runs the file that is left of it.
#ifndef WEFT_E2E_RANDOMRUN_H
#define WEFT_E2E_RANDOMRUN_H

#include "RandomGraph.h"
#include "RunCase.h"

namespace weft::e2e {

/// Compiles and calls the model of this seed. `rotate`: also compiled once more, without one of the fusion passes or for
/// another CPU, in turn. On failure the smallest model that still fails is written to "random-<seed>.json" under `folder`.
void runRandom(uint64_t seed, bool rotate, const std::string &folder, const Settings &settings, Tally &tally);

/// Writes the model of this seed, with the mean square of its float results as the loss, to "<prefix>.json", and inputs of its
/// first round to "<prefix>.safetensors". False: `error` says why, or is empty if the model has no float result.
bool writeTraining(uint64_t seed, const std::string &prefix, std::string &error);

}  // namespace weft::e2e

#endif  // WEFT_E2E_RANDOMRUN_H
