// The mapping is read-only and private. A file that is cut while it is mapped ends the process with a file error, because
// its path is known to the handler of faults.
#include "TrainFile.h"

#include "Signals.h"
#include "Weights.h"

#include <cmath>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace weft {

std::string MappedTensor::shapeText() const {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i)
    text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

bool isIntegerType(int32_t dtype) { return dtype == WEFT_I32 || dtype == WEFT_I64 || dtype == WEFT_I8 || dtype == WEFT_U8 || dtype == WEFT_BOOL; }

bool isConvertible(int32_t from, int32_t to) { return isIntegerType(from) == isIntegerType(to); }

static int64_t integerAt(const char *data, int32_t dtype, int64_t index) {
  switch (dtype) {
  case WEFT_I64: {
    int64_t value;
    std::memcpy(&value, data + index * 8, 8);
    return value;
  }
  case WEFT_I32: {
    int32_t value;
    std::memcpy(&value, data + index * 4, 4);
    return value;
  }
  case WEFT_I8: return reinterpret_cast<const signed char *>(data)[index];
  default: return reinterpret_cast<const unsigned char *>(data)[index];
  }
}

static double realAt(const char *data, int32_t dtype, int64_t index) {
  double value = 0;
  weft_convert(&value, WEFT_F64, data + index * int64_t(weft_dtype_size(dtype)), dtype, 1);
  return value;
}

void copyElements(void *to, int32_t dtype, const MappedTensor &from, int64_t first, int64_t count) {
  const char *data = from.data + first * int64_t(weft_dtype_size(from.dtype));
  if (dtype == from.dtype) {
    std::memcpy(to, data, size_t(count) * weft_dtype_size(dtype));
  } else if (!isIntegerType(dtype)) {
    weft_convert(to, dtype, data, from.dtype, count);
  } else {
    const size_t width = weft_dtype_size(dtype);
    for (int64_t i = 0; i < count; ++i) {
      int64_t value = integerAt(data, from.dtype, i);
      std::memcpy(static_cast<char *>(to) + size_t(i) * width, &value, width); // little-endian
    }
  }
}

TrainFile::TrainFile(TrainFile &&other) noexcept
    : path(std::move(other.path)), tensors(std::move(other.tensors)), mapping(std::exchange(other.mapping, nullptr)), bytes(std::exchange(other.bytes, 0)) {}

TrainFile::~TrainFile() {
  if (mapping)
    munmap(mapping, bytes);
}

static int failFile(ExitCode code, const std::string &path, const std::string &text) {
  std::fprintf(stderr, "%s: error: %s\n", escapeText(path).c_str(), escapeText(text).c_str());
  return code;
}

int TrainFile::open(const std::string &file, const weft_tensor_limits &limits) {
  path = file;
  auto endsWith = [&](const std::string &end) { return path.size() >= end.size() && path.compare(path.size() - end.size(), end.size(), end) == 0; };
  if (endsWith(".npy") || endsWith(".json"))
    return failFile(kUsage, path, "expected a safetensors file");
  weft_tensor_file *header = nullptr;
  weft_tensor_options reading = {};
  reading.limits = &limits;
  weft_status status = weft_tensor_file_open(path.c_str(), &reading, &header);
  int code = status == WEFT_OK ? int(kOk) : reportFile(path, status, weft_tensor_file_error(header));
  if (code == kOk) {
    int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat info = {};
    if (fd < 0 || fstat(fd, &info) != 0) {
      code = failFile(kFile, path, std::strerror(errno));
    } else if (info.st_size > 0) {
      bytes = size_t(info.st_size);
      void *mapped = mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
      if (mapped == MAP_FAILED)
        code = failFile(errno == ENOMEM ? kLimit : kFile, path, std::string("can't be mapped into memory: ") + std::strerror(errno));
      else
        mapping = static_cast<char *>(mapped);
    }
    if (fd >= 0)
      close(fd);
  }
  for (int64_t i = 0; code == kOk && i < weft_tensor_file_count(header); ++i) {
    const weft_tensor_info *info = weft_tensor_file_at(header, i);
    if (uint64_t(info->offset) + uint64_t(info->bytes) > bytes) {
      code = failFile(kFile, path, "the file was cut while it was opened");
      break;
    }
    MappedTensor tensor;
    tensor.name = info->name;
    tensor.dtype = info->dtype;
    tensor.shape.assign(info->shape, info->shape + info->rank);
    tensor.data = mapping + info->offset;
    tensor.elements = info->elements;
    tensors.push_back(std::move(tensor));
  }
  weft_tensor_file_close(header);
  if (code == kOk)
    setMappedFile(path);
  return code;
}

const MappedTensor *TrainFile::find(const std::string &name) const {
  for (const MappedTensor &tensor : tensors)
    if (tensor.name == name)
      return &tensor;
  return nullptr;
}

int TrainFile::fail(const std::string &tensor, const std::string &text, const std::string &hint) const {
  std::fprintf(stderr, "%s: error: tensor %s: %s\n", escapeText(path).c_str(), quote(tensor).c_str(), text.c_str());
  if (!hint.empty())
    std::fprintf(stderr, "  hint: %s\n", hint.c_str());
  return kInvalid;
}

static std::string placeOf(const MappedTensor &tensor, int64_t index, bool isWhole) {
  int64_t row = 1;
  for (size_t axis = 1; axis < tensor.shape.size(); ++axis)
    row *= tensor.shape[axis];
  std::string text = "[";
  const int64_t inner = isWhole ? index : index % row;
  int64_t stride = isWhole ? tensor.elements : row;
  for (size_t axis = isWhole ? 0 : 1; axis < tensor.shape.size(); ++axis) {
    stride /= tensor.shape[axis];
    text += (text.size() > 1 ? ", " : "") + std::to_string(inner / stride % tensor.shape[axis]);
  }
  if (isWhole)
    return "element " + text + "]";
  return "sample " + std::to_string(index / row) + (tensor.shape.size() > 1 ? ", element " + text + "]" : std::string());
}

/// Index of the first element against the rule, or -1.
static int64_t firstWrong(const MappedTensor &tensor, const ElementRule &rule) {
  if (isIntegerType(tensor.dtype)) {
    for (int64_t i = 0; i < tensor.elements; ++i) {
      int64_t value = integerAt(tensor.data, tensor.dtype, i);
      if ((value < rule.low || value > rule.high) && value != rule.ignored)
        return i;
    }
    return -1;
  }
  // Nearly always there is none: whole blocks are summed first, where a NaN or an infinity stays.
  constexpr int64_t kBlock = 1024;
  float block[kBlock];
  for (int64_t first = 0; first < tensor.elements; first += kBlock) {
    const int64_t count = std::min(kBlock, tensor.elements - first);
    if (tensor.dtype == WEFT_F32) {
      std::memcpy(block, tensor.data + first * 4, size_t(count) * 4);
      bool finite = true;
      for (int64_t i = 0; i < count; ++i)
        finite &= std::fabs(block[i]) <= 3.4028234663852886e38f;
      if (finite)
        continue;
    }
    for (int64_t i = first; i < first + count; ++i)
      if (!std::isfinite(realAt(tensor.data, tensor.dtype, i)))
        return i;
  }
  return -1;
}

static void mix(uint64_t &hash, uint64_t value) {
  hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
  hash ^= hash >> 32;
}

/// Adds the tensor to the fingerprint. kOk.
static int hashOf(const MappedTensor &tensor, uint64_t &fingerprint) {
  for (char letter : tensor.name)
    mix(fingerprint, (unsigned char)letter);
  mix(fingerprint, uint64_t(tensor.dtype));
  for (int64_t size : tensor.shape)
    mix(fingerprint, uint64_t(size));
  const size_t length = size_t(tensor.elements) * weft_dtype_size(tensor.dtype);
  for (size_t at = 0; at < length; at += 8) {
    uint64_t word = 0;
    std::memcpy(&word, tensor.data + at, std::min<size_t>(8, length - at));
    mix(fingerprint, word);
  }
  return kOk;
}

int TrainFile::check(const MappedTensor &tensor, const ElementRule &rule, bool isWhole, uint64_t &fingerprint) const {
  int64_t wrong = firstWrong(tensor, rule);
  if (wrong >= 0) {
    std::string text = placeOf(tensor, wrong, isWhole) + ": expected ";
    if (!isIntegerType(tensor.dtype)) {
      text += std::string("a finite number but got ") + (std::isnan(realAt(tensor.data, tensor.dtype, wrong)) ? "NaN" : "infinity");
      if (rule.nonFinite != NonFinite::warning)
        return fail(tensor.name, text, rule.nonFinite == NonFinite::skippable ? "--on-nonfinite skip leaves out the updates that this spoils" : "");
      std::fprintf(stderr, "%s: warning: tensor %s: %s\n", escapeText(path).c_str(), quote(tensor.name).c_str(), text.c_str());
      return hashOf(tensor, fingerprint);
    }
    text += std::to_string(rule.low) + ".." + std::to_string(rule.high) + (rule.ignored ? " or " + std::to_string(*rule.ignored) : "");
    const int64_t value = integerAt(tensor.data, tensor.dtype, wrong);
    return fail(tensor.name, text + " but got " + std::to_string(value),
                value == rule.refused ? "the loss ignores it, but the input's 'range' does not hold it; without a range the loss checks the labels itself" : "");
  }
  return hashOf(tensor, fingerprint);
}

} // namespace weft
