// Runs a case, a golden or a model file from reading to comparison. Each gives a Tally.
// `settings` are what the command line may change for all of them.
#ifndef WEFT_E2E_RUNCASE_H
#define WEFT_E2E_RUNCASE_H

#include "Cases.h"
#include "Check.h"
#include "Goldens.h"

namespace weft::e2e {

struct Settings {
  uint64_t seed = 1;
  CompileOptions compile;
  bool shrink = true;          ///< a random model that fails is made smaller
  bool interpretOnly = false;  ///< read the model and run the interpreter, compile nothing
};

void runCase(const Case &c, const Settings &settings, Tally &tally);
void runModelCase(const ModelCase &c, const Settings &settings, Tally &tally);
/// Compares with PyTorch's numbers to 1e-5 of scale, on one and two threads. False: its weights are not here.
bool runGolden(const std::string &name, const Settings &settings, Tally &tally);

/// Random values for every input that an entry needs and that is not given, in its range.
Tensors randomInputs(const ModelDesc &desc, const std::string &entry, const Sizes &sizes, uint64_t seed, Tensors given = {});
Tensors randomParameters(const ModelDesc &desc, uint64_t seed);

}  // namespace weft::e2e

#endif  // WEFT_E2E_RUNCASE_H
