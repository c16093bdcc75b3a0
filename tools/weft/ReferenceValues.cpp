// Bytes keep their meaning: the runtime and the reference number the types alike.
#include "ReferenceValues.h"

namespace weft {

reference::Tensor toReference(const HostTensor &tensor) { return *reference::fromBytes(DType(tensor.dtype), tensor.shape, tensor.bytes.data()); }

int parametersToReference(const Runner &runner, const ModelDesc &model, std::map<std::string, reference::Tensor> &parameters) {
  for (const ParamTensor &parameter : model.tensors) {
    const void *data = nullptr;
    const weft_param_desc *desc = nullptr;
    if (weft_model_get(runner.handle, parameter.name.c_str(), &data, &desc) != WEFT_OK)
      return fail(kInternal, "parameter " + quote(parameter.name) + " has no value");
    parameters[parameter.name] = *reference::fromBytes(parameter.dtype, parameter.shape, data);
  }
  return kOk;
}

} // namespace weft
