// Tensors of a call as the reference interpreter takes them.
#ifndef WEFT_TOOLS_REFERENCEVALUES_H
#define WEFT_TOOLS_REFERENCEVALUES_H

#include "Runner.h"

#include "Reference.h"

namespace weft {

reference::Tensor toReference(const HostTensor &tensor);

/// The parameters of an open model that keeps them. Errors are printed; kOk or an exit code.
int parametersToReference(const Runner &runner, const ModelDesc &model, std::map<std::string, reference::Tensor> &parameters);

} // namespace weft

#endif // WEFT_TOOLS_REFERENCEVALUES_H
