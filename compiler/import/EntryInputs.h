// What an entry depends on, and which entries are the prefills of a step: they share its states and compute, once, what
// depends on none of the step's own inputs.
#ifndef WEFT_IMPORT_ENTRYINPUTS_H
#define WEFT_IMPORT_ENTRYINPUTS_H

#include "import/ModelDesc.h"

#include <set>

namespace weft {

/// The nodes of `all`, in file order, that `targets` depend on; `used` gets all values that they read, and the targets.
std::vector<const Node *> neededNodes(const std::vector<const Node *> &all, const std::vector<ValueId> &targets, std::set<ValueId> &used);

/// The prefills of `step`, in file order: inference entries that bind the same states and fix the same dims to the same
/// sizes, except some that `step` fixes to 1 and they leave free; of several such choices the one that leaves fewest free.
/// An input of `step` with an axis of one of those dims is stepped. Empty when no integer input is stepped along an axis
/// other than its first of several (it is no step), or when all inputs are stepped (there is nothing to keep). `keptInputs`
/// gets the names of the inputs that `step` depends on and that are not stepped.
std::vector<const EntryDesc *> prefillsOf(const ModelDesc &model, const EntryDesc &step, std::vector<std::string> *keptInputs = nullptr);

}  // namespace weft

#endif  // WEFT_IMPORT_ENTRYINPUTS_H
