// What a checkpoint notes about the model: one line for each node that its losses are computed from, so that training goes on
// with the same model or not at all. Parameters and sizes are compared by the runtime.
#ifndef WEFT_TOOLS_TRAINGRAPH_H
#define WEFT_TOOLS_TRAINGRAPH_H

#include "TrainFolder.h"

namespace weft {

struct ModelDesc;

/// "node PATH" → "OP HASH", in the order of the graph; the hash is of attributes but rates of
/// dropout, of operands, parameters, and for a repeat of its body. Losses are not part of it.
TrainNote graphNote(const ModelDesc &model);

/// Compares the lines above with those of a checkpoint; the first difference is an error. A text without any, as of a
/// checkpoint that another application wrote, agrees. kOk or kInvalid.
int checkGraphNote(const std::string &folder, const std::string &stored, const TrainNote &now);

} // namespace weft

#endif // WEFT_TOOLS_TRAINGRAPH_H
