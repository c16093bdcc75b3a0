// Files through the runtime's reader and writer; bytes through Tensor's own conversions.
// Nothing is converted by the runtime, so its conversions stay what is tested, not what tests rest on.
#include "TensorFiles.h"

#include "weft/tensors.h"

namespace weft::reference {

std::optional<Tensors> readTensors(const std::string &path, std::string &error) {
  weft_tensor_file *file = nullptr;
  if (weft_tensor_file_open(path.c_str(), nullptr, &file) != WEFT_OK) {
    error = path + ": " + (file ? weft_tensor_file_error(file) : "out of memory");
    weft_tensor_file_close(file);
    return std::nullopt;
  }
  Tensors tensors;
  for (int64_t i = 0, n = weft_tensor_file_count(file); i < n && error.empty(); ++i) {
    const weft_tensor_info *info = weft_tensor_file_at(file, i);
    std::vector<char> bytes(info->bytes);
    if (weft_tensor_file_read(file, i, bytes.data(), bytes.size()) != WEFT_OK) {
      error = path + ": " + weft_tensor_file_error(file);
      break;
    }
    std::optional<Tensor> tensor =
        fromBytes(static_cast<DType>(info->dtype), std::vector<int64_t>(info->shape, info->shape + info->rank), bytes.data());
    if (tensor)
      tensors.emplace(info->name, std::move(*tensor));
    else
      error = path + ": tensor '" + info->name + "' is too large";
  }
  weft_tensor_file_close(file);
  if (!error.empty())
    return std::nullopt;
  return tensors;
}

bool writeTensors(const std::string &path, const Tensors &tensors, std::string &error) {
  std::vector<std::vector<char>> bytes;
  std::vector<weft_tensor> list;
  for (const auto &[name, tensor] : tensors) {
    if (tensor.shape.size() > WEFT_MAX_RANK) {
      error = "'" + name + "' has rank " + std::to_string(tensor.shape.size());
      return false;
    }
    bytes.push_back(toBytes(tensor));
    weft_tensor next{};
    next.name = name.c_str();
    next.dtype = static_cast<int32_t>(tensor.dtype);
    next.rank = static_cast<int32_t>(tensor.shape.size());
    std::copy(tensor.shape.begin(), tensor.shape.end(), next.shape);
    next.data = bytes.back().data();
    list.push_back(next);
  }
  char text[512] = "";
  if (weft_safetensors_write(path.c_str(), list.data(), static_cast<int64_t>(list.size()), nullptr, 0, nullptr, text, sizeof text) == WEFT_OK)
    return true;
  error = path + ": " + text;
  return false;
}

std::optional<Tensors> parametersOf(const ModelDesc &model, const Tensors &file, std::string &error) {
  Tensors parameters;
  for (const ParamTensor &param : model.tensors) {
    auto found = file.find(param.fileName);
    if (found == file.end())
      found = file.find(param.name);
    if (found == file.end()) {
      if (param.mayBeMissing)
        continue;
      error = "the weights have no tensor '" + param.fileName + "'";
      return std::nullopt;
    }
    Tensor tensor = found->second;
    if (!tensor.real()) {
      error = "'" + param.fileName + "' is " + dtypeText(tensor.dtype) + ", not a float";
      return std::nullopt;
    }
    if (param.transpose && tensor.shape.size() == 2) {
      Tensor turned = tensor;
      int64_t rows = tensor.shape[0], columns = tensor.shape[1];
      turned.shape = {columns, rows};
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < columns; ++j)
          turned.reals[j * rows + i] = tensor.reals[i * columns + j];
      tensor = std::move(turned);
    }
    if (tensor.shape != param.shape) {
      error = "'" + param.fileName + "' is " + shapeText(tensor.shape) + ", the model needs " + shapeText(param.shape);
      return std::nullopt;
    }
    parameters[param.name] = std::move(tensor);
  }
  return parameters;
}

}  // namespace weft::reference
