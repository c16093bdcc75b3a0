// Reference tensors from and to tensor files, and the parameters of a model from its weights.
// Needs the runtime's file reader, the interpreter itself does not.
#ifndef WEFT_REFERENCE_TENSORFILES_H
#define WEFT_REFERENCE_TENSORFILES_H

#include "Tensor.h"

#include <map>
#include <string>

namespace weft::reference {

using Tensors = std::map<std::string, Tensor>;

/// Every tensor of a safetensors (or shard index) file. nullopt: `error` says why.
std::optional<Tensors> readTensors(const std::string &path, std::string &error);
/// False: `error` says why.
bool writeTensors(const std::string &path, const Tensors &tensors, std::string &error);

/// The model's parameters by their names in the model: found under their names in the file or in the model, transposed
/// where the model says so. Those that may be missing and are, stay out. nullopt: `error` says which is missing or wrong.
std::optional<Tensors> parametersOf(const ModelDesc &model, const Tensors &file, std::string &error);

}  // namespace weft::reference

#endif  // WEFT_REFERENCE_TENSORFILES_H
