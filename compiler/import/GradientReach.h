// Whether training has anything to do: the way from the loss back to the parameters, over float values only.
#ifndef WEFT_IMPORT_GRADIENTREACH_H
#define WEFT_IMPORT_GRADIENTREACH_H

#include "import/ModelDesc.h"

namespace weft {

/// Whether a gradient of the model's loss reaches a parameter that `freeze` leaves to train. If none does, `obstacle` is a
/// node on the way that makes values without a gradient (whole numbers, bools) of floats, or null if there is none.
bool lossReachesParameter(const ModelDesc &model, const Node *&obstacle);

} // namespace weft

#endif // WEFT_IMPORT_GRADIENTREACH_H
