// Shapes are checked here with the descriptor's own formula, so that messages name files and axes; the runtime checks
// the rest (ranges of indices, bools) on every call anyway.
#include "Data.h"

#include "Weights.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>

#include <sys/mman.h>

namespace weft {

int64_t HostTensor::elements() const {
  int64_t count = 1;
  for (int64_t size : shape)
    count *= size;
  return count;
}

double HostTensor::at(int64_t index) const {
  const char *p = bytes.data() + size_t(index) * weft_dtype_size(dtype);
  switch (dtype) {
  case WEFT_F64: {
    double value;
    std::memcpy(&value, p, 8);
    return value;
  }
  case WEFT_I32: {
    int32_t value;
    std::memcpy(&value, p, 4);
    return value;
  }
  case WEFT_I64: {
    int64_t value;
    std::memcpy(&value, p, 8);
    return double(value);
  }
  case WEFT_I8: return double(*reinterpret_cast<const signed char *>(p));
  case WEFT_U8:
  case WEFT_BOOL: return double(*reinterpret_cast<const unsigned char *>(p));
  default: {
    float value;
    weft_convert(&value, WEFT_F32, p, dtype, 1);
    return value;
  }
  }
}

static std::string listText(const std::vector<int64_t> &numbers) {
  std::string text = "[";
  for (size_t i = 0; i < numbers.size(); ++i)
    text += (i ? ", " : "") + std::to_string(numbers[i]);
  return text + "]";
}

std::string HostTensor::shapeText() const { return listText(shape); }

std::string HostTensor::place(int64_t index) const {
  std::vector<int64_t> position(shape.size());
  for (size_t i = shape.size(); i-- > 0;) {
    position[i] = index % shape[i];
    index /= shape[i];
  }
  return listText(position);
}

int readTensors(const CommonOptions &options, const std::string &path, const std::string &name, std::vector<HostTensor> &tensors) {
  weft_tensor_file *file = nullptr;
  const weft_tensor_limits limits = tensorLimits(options);
  weft_tensor_options reading = {};
  reading.limits = &limits;
  weft_status status = weft_tensor_file_open(path.c_str(), &reading, &file);
  int code = status == WEFT_OK ? int(kOk) : reportFile(path, status, weft_tensor_file_error(file));
  for (int64_t i = 0; code == kOk && i < weft_tensor_file_count(file); ++i) {
    const weft_tensor_info *info = weft_tensor_file_at(file, i);
    HostTensor tensor;
    tensor.name = *info->name ? info->name : name;
    tensor.dtype = info->dtype;
    tensor.shape.assign(info->shape, info->shape + info->rank);
    if (info->dtype < 0) {
      std::fprintf(stderr, "%s: error: tensor %s: expected a type that weft reads but got %s\n", escapeText(path).c_str(), quote(tensor.name).c_str(),
                   escapeText(info->dtype_name).c_str());
      code = kInvalid;
      break;
    }
    tensor.bytes.resize(size_t(info->bytes));
    status = weft_tensor_file_read(file, i, tensor.bytes.data(), tensor.bytes.size());
    if (status != WEFT_OK)
      code = reportFile(path, status, weft_tensor_file_error(file));
    tensors.push_back(std::move(tensor));
  }
  weft_tensor_file_close(file);
  return code;
}

int readInputOption(const CommonOptions &options, const std::string &text, std::vector<HostTensor> &tensors) {
  size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
    return fail(kUsage, "expected --input NAME=FILE.npy or NAME=1,2,3 but got " + quote(text));
  std::string name = text.substr(0, equals), value = text.substr(equals + 1);
  if (value.find_first_not_of("0123456789,- ") != std::string::npos) {
    if (value.size() < 4 || value.compare(value.size() - 4, 4, ".npy") != 0)
      return fail(kUsage, "input " + quote(name) + ": expected a .npy file or a list of integers but got " + quote(value), "--inputs takes safetensors files");
    return readTensors(options, value, name, tensors);
  }
  if (hasEmptyPart(value))
    return fail(kUsage, "input " + quote(name) + ": expected a list of integers but got " + quote(value));
  HostTensor tensor;
  tensor.name = name;
  tensor.dtype = WEFT_I64;
  std::vector<int64_t> numbers;
  for (const std::string &part : splitList(value)) {
    char *end = nullptr;
    errno = 0;
    numbers.push_back(std::strtoll(part.c_str(), &end, 10));
    if (errno != 0 || *end != 0)
      return fail(kUsage, "input " + quote(name) + ": expected an integer but got " + quote(part));
  }
  tensor.shape = {1, int64_t(numbers.size())};
  tensor.bytes.resize(numbers.size() * 8);
  std::memcpy(tensor.bytes.data(), numbers.data(), tensor.bytes.size());
  tensors.push_back(std::move(tensor));
  return kOk;
}

int readGivenInputs(const CommonOptions &options, const std::vector<std::string> &files, const std::vector<std::string> &inputs, std::vector<HostTensor> &tensors) {
  for (const std::string &file : files)
    if (int code = readTensors(options, file, "", tensors))
      return code;
  for (const std::string &text : inputs)
    if (int code = readInputOption(options, text, tensors))
      return code;
  return kOk;
}

static const weft_tensor_desc &inputOf(const weft_model_desc *desc, int32_t entry, int32_t i) { return desc->input[desc->entry[entry].input_index[i]]; }

static bool isLeftOut(const HostTensor &tensor) { return tensor.shape.empty() && tensor.bytes.empty(); }

static std::string axesText(const weft_tensor_desc &tensor) {
  std::string text = "[";
  for (int32_t i = 0; i < tensor.rank; ++i)
    text += (i ? ", " : "") + std::string(tensor.axes[i]);
  return text + "]";
}

/// Sizes of all axes of all inputs, then of all outputs.
static std::vector<int64_t> axisSizes(const weft_model_desc *desc, int32_t entry, const std::vector<int64_t> &dims) {
  const weft_entry_desc &e = desc->entry[entry];
  size_t count = 1;
  for (int32_t i = 0; i < e.inputs; ++i)
    count += size_t(inputOf(desc, entry, i).rank);
  for (int32_t i = 0; i < e.outputs; ++i)
    count += size_t(e.output[i].rank);
  std::vector<int64_t> sizes(count), safe = dims;
  safe.resize(std::max<size_t>(1, safe.size()));
  e.shapes(safe.data(), sizes.data());
  return sizes;
}

int dimsFromInputs(const weft_model_desc *desc, int32_t entry, const std::vector<HostTensor> &inputs, std::vector<int64_t> &dims) {
  const weft_entry_desc &e = desc->entry[entry];
  for (int32_t d = 0; d < desc->dims; ++d)
    if (e.fixed_dims[d])
      dims[size_t(d)] = e.fixed_dims[d];
  std::vector<const char *> source(size_t(desc->dims), nullptr);
  for (int32_t i = 0; i < e.inputs; ++i) {
    const weft_tensor_desc &input = inputOf(desc, entry, i);
    const HostTensor *tensor = &inputs[size_t(i)];
    if (isLeftOut(*tensor)) {
      if (input.optional)
        continue;
      return fail(kInvalid, "expected input " + quote(input.name) + " but it is missing", "--inputs FILE or --input " + std::string(input.name) + "=... gives it");
    }
    if (tensor->shape.size() != size_t(input.rank))
      return fail(kInvalid, "input " + quote(input.name) + ": expected " + axesText(input) + " but got " + tensor->shapeText());
    for (int32_t axis = 0; axis < input.rank; ++axis) {
      int32_t d = input.dims[axis];
      if (d < 0)
        continue;
      const weft_dim_desc &dim = desc->dim[d];
      int64_t size = tensor->shape[size_t(axis)];
      std::string where = "input " + quote(input.name) + ": axis " + dim.name;
      if (e.fixed_dims[d] && size != e.fixed_dims[d])
        return fail(kInvalid, where + ": expected " + std::to_string(e.fixed_dims[d]) + " in entry " + quote(e.name) + " but got " + std::to_string(size));
      if (source[size_t(d)] && dims[size_t(d)] != size)
        return fail(kInvalid, where + ": expected " + std::to_string(dims[size_t(d)]) + " as in " + quote(source[size_t(d)]) + " but got " + std::to_string(size));
      if (size < dim.min || size > dim.max)
        return fail(kInvalid, where + ": expected " + std::to_string(dim.min) + ".." + std::to_string(dim.max) + " but got " + std::to_string(size));
      dims[size_t(d)] = size;
      source[size_t(d)] = input.name;
    }
  }
  std::vector<int64_t> sizes = axisSizes(desc, entry, dims);
  size_t at = 0;
  for (int32_t i = 0; i < e.inputs; ++i) {
    const weft_tensor_desc &input = inputOf(desc, entry, i);
    const HostTensor *tensor = &inputs[size_t(i)];
    for (int32_t axis = 0; axis < input.rank; ++axis, ++at)
      if (!isLeftOut(*tensor) && tensor->shape[size_t(axis)] != sizes[at])
        return fail(kInvalid, "input " + quote(input.name) + ": axis " + std::to_string(axis) + " (" + input.axes[axis] + "): expected " +
                                  std::to_string(sizes[at]) + " but got " + std::to_string(tensor->shape[size_t(axis)]));
  }
  return kOk;
}

static bool isInteger(int32_t dtype) { return dtype == WEFT_I32 || dtype == WEFT_I64 || dtype == WEFT_I8 || dtype == WEFT_U8 || dtype == WEFT_BOOL; }

static int64_t integerAt(const HostTensor &tensor, int64_t index) {
  if (tensor.dtype != WEFT_I64)
    return int64_t(tensor.at(index));
  int64_t value;
  std::memcpy(&value, tensor.bytes.data() + size_t(index) * 8, 8);
  return value;
}

/// Integers go to any integer type that holds their values, floats to any float type.
static int convertInput(HostTensor &tensor, const weft_tensor_desc &input) {
  if (tensor.dtype == input.dtype)
    return kOk;
  std::vector<char> bytes(size_t(tensor.elements()) * weft_dtype_size(input.dtype));
  std::string expected = "input " + quote(input.name) + ": expected " + weft_dtype_name(input.dtype);
  if (isInteger(tensor.dtype) != isInteger(input.dtype))
    return fail(kInvalid, expected + " but got " + weft_dtype_name(tensor.dtype));
  if (!isInteger(input.dtype)) {
    if (weft_convert(bytes.data(), input.dtype, tensor.bytes.data(), tensor.dtype, tensor.elements()) != WEFT_OK)
      return fail(kInvalid, expected + " but got " + weft_dtype_name(tensor.dtype));
  } else {
    for (int64_t i = 0; i < tensor.elements(); ++i) {
      int64_t value = integerAt(tensor, i);
      int64_t low = input.dtype == WEFT_I32 ? INT32_MIN : input.dtype == WEFT_I8 ? -128 : input.dtype == WEFT_I64 ? INT64_MIN : 0;
      int64_t high = input.dtype == WEFT_I32 ? INT32_MAX : input.dtype == WEFT_I8 ? 127 : input.dtype == WEFT_I64 ? INT64_MAX : input.dtype == WEFT_U8 ? 255 : 1;
      if (value < low || value > high)
        return fail(kInvalid, expected + " but " + quote(input.name) + tensor.place(i) + " is " + std::to_string(value));
      std::memcpy(bytes.data() + size_t(i) * weft_dtype_size(input.dtype), &value, weft_dtype_size(input.dtype)); // little-endian
    }
  }
  tensor.bytes = std::move(bytes);
  tensor.dtype = input.dtype;
  return kOk;
}

int bindInputs(const weft_model_desc *desc, int32_t entry, std::vector<HostTensor> given, std::vector<HostTensor> &inputs) {
  const weft_entry_desc &e = desc->entry[entry];
  std::vector<std::string> names, own;
  for (int32_t i = 0; i < desc->inputs; ++i)
    names.push_back(desc->input[i].name);
  for (int32_t i = 0; i < e.inputs; ++i)
    own.push_back(inputOf(desc, entry, i).name);
  for (size_t i = 0; i < given.size(); ++i) {
    // A file may serve several entries: inputs of the model that this entry does not read are left aside.
    if (std::find(names.begin(), names.end(), given[i].name) == names.end()) {
      std::string hint = didYouMean(given[i].name, own);
      if (hint.empty())
        hint = own.empty() ? "entry " + quote(e.name) + " has no inputs" : "the inputs of entry " + quote(e.name) + " are " + listWords(own);
      return fail(kInvalid, "expected an input of the model but got " + quote(given[i].name), hint);
    }
    for (size_t j = 0; j < i; ++j)
      if (given[j].name == given[i].name)
        return fail(kUsage, "input " + quote(given[i].name) + " is given twice");
  }
  for (int32_t i = 0; i < e.inputs; ++i) {
    const weft_tensor_desc &input = inputOf(desc, entry, i);
    HostTensor bound;
    bound.name = input.name;
    for (HostTensor &tensor : given)
      if (tensor.name == input.name)
        bound = std::move(tensor);
    if (!bound.bytes.empty())
      if (int code = convertInput(bound, input))
        return code;
    inputs.push_back(std::move(bound));
  }
  return kOk;
}

std::vector<HostTensor> makeOutputs(const weft_model_desc *desc, int32_t entry, const std::vector<int64_t> &dims) {
  const weft_entry_desc &e = desc->entry[entry];
  std::vector<int64_t> sizes = axisSizes(desc, entry, dims);
  size_t at = 0;
  for (int32_t i = 0; i < e.inputs; ++i)
    at += size_t(inputOf(desc, entry, i).rank);
  std::vector<HostTensor> outputs;
  for (int32_t i = 0; i < e.outputs; ++i) {
    HostTensor tensor;
    tensor.name = e.output[i].name;
    tensor.dtype = e.output[i].dtype;
    tensor.shape.assign(sizes.begin() + std::ptrdiff_t(at), sizes.begin() + std::ptrdiff_t(at) + e.output[i].rank);
    at += size_t(e.output[i].rank);
    tensor.bytes.resize(size_t(tensor.elements()) * weft_dtype_size(tensor.dtype));
    outputs.push_back(std::move(tensor));
  }
  return outputs;
}

int64_t outputBytes(const weft_model_desc *desc, int32_t entry, const std::vector<int64_t> &dims) {
  const weft_entry_desc &e = desc->entry[entry];
  const std::vector<int64_t> sizes = axisSizes(desc, entry, dims);
  size_t at = sizes.size();
  int64_t bytes = 0;
  for (int32_t i = e.outputs; i-- > 0;) {
    int64_t each = int64_t(weft_dtype_size(e.output[i].dtype));
    for (int32_t axis = 0; axis < e.output[i].rank; ++axis)
      each *= sizes[--at];
    bytes += each;
  }
  return bytes;
}

bool canHold(int64_t bytes) {
  if (bytes <= 0)
    return true;
  void *memory = mmap(nullptr, size_t(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return memory != MAP_FAILED && munmap(memory, size_t(bytes)) == 0;
}

std::vector<HostTensor> randomInputs(const weft_model_desc *desc, int32_t entry, const std::vector<int64_t> &dims, uint64_t seed) {
  const weft_entry_desc &e = desc->entry[entry];
  std::vector<int64_t> sizes = axisSizes(desc, entry, dims);
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  std::vector<HostTensor> inputs;
  size_t at = 0;
  for (int32_t i = 0; i < e.inputs; ++i) {
    const weft_tensor_desc &input = inputOf(desc, entry, i);
    HostTensor tensor;
    tensor.name = input.name;
    tensor.dtype = input.dtype;
    tensor.shape.assign(sizes.begin() + std::ptrdiff_t(at), sizes.begin() + std::ptrdiff_t(at) + input.rank);
    at += size_t(input.rank);
    size_t width = weft_dtype_size(input.dtype);
    tensor.bytes.resize(size_t(tensor.elements()) * width);
    int64_t low = input.has_range ? input.low : 0, high = input.has_range ? input.high : 1;
    for (int64_t k = 0; k < tensor.elements(); ++k) {
      char *p = tensor.bytes.data() + size_t(k) * width;
      if (input.dtype == WEFT_BOOL) {
        *p = 1;
      } else if (isInteger(input.dtype)) {
        int64_t value = low + int64_t(random() % (uint64_t(high) - uint64_t(low) + 1));
        std::memcpy(p, &value, width);
      } else {
        float value = normal(random);
        weft_convert(p, input.dtype, &value, WEFT_F32, 1);
      }
    }
    inputs.push_back(std::move(tensor));
  }
  return inputs;
}

int writeTensors(const std::string &path, const std::string &target, const std::vector<HostTensor> &tensors) {
  std::vector<weft_tensor> list;
  for (const HostTensor &tensor : tensors) {
    weft_tensor view = {};
    view.name = tensor.name.c_str();
    view.dtype = tensor.dtype;
    view.rank = int32_t(tensor.shape.size());
    std::copy(tensor.shape.begin(), tensor.shape.end(), view.shape);
    view.data = tensor.bytes.data();
    list.push_back(view);
  }
  char text[512] = "";
  weft_status status;
  if (target.size() > 4 && target.compare(target.size() - 4, 4, ".npy") == 0) {
    if (list.size() != 1)
      return fail(kUsage, "expected one output for a .npy file but got " + std::to_string(list.size()), "name a .safetensors file");
    status = weft_npy_write(path.c_str(), list.data(), nullptr, text, sizeof(text));
  } else {
    status = weft_safetensors_write(path.c_str(), list.data(), int64_t(list.size()), nullptr, 0, nullptr, text, sizeof(text));
  }
  return status == WEFT_OK ? int(kOk) : reportFile(target, status, text);
}

Summary summarise(const HostTensor &tensor) {
  Summary summary;
  int64_t count = tensor.elements(), finite = 0;
  double sum = 0, squares = 0;
  summary.low = INFINITY;
  summary.high = -INFINITY;
  for (int64_t i = 0; i < count; ++i) {
    double value = tensor.at(i);
    if (!std::isfinite(value)) {
      ++summary.nonFinite;
      continue;
    }
    ++finite;
    summary.low = std::min(summary.low, value);
    summary.high = std::max(summary.high, value);
    sum += value;
    squares += value * value;
  }
  if (finite > 0) {
    summary.mean = sum / double(finite);
    summary.deviation = std::sqrt(std::max(0.0, squares / double(finite) - summary.mean * summary.mean));
  } else {
    summary.low = summary.high = summary.mean = summary.deviation = NAN;
  }
  return summary;
}

Comparison compareTensors(const HostTensor &got, const HostTensor &expected, double rtol, double atol) {
  Comparison result;
  int64_t count = expected.elements();
  for (int64_t i = 0; i < count; ++i)
    if (double value = std::fabs(expected.at(i)); std::isfinite(value))
      result.scale = std::max(result.scale, value);
  double slack = atol >= 0 ? atol : 1e-5 * result.scale;
  for (int64_t i = 0; i < count; ++i) {
    double a = got.at(i), b = expected.at(i);
    if (a == b || (std::isnan(a) && std::isnan(b)))
      continue;
    double error = std::fabs(a - b);
    if (std::isnan(error))
      error = INFINITY;
    if (result.worst < 0 || error > result.worstError) {
      result.worst = i;
      result.worstError = error;
    }
    if (!(error <= slack + rtol * std::fabs(b))) {
      ++result.differing;
      if (result.first < 0)
        result.first = i;
    }
  }
  result.equal = result.differing == 0;
  return result;
}

} // namespace weft
