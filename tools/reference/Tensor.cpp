// Element types of reference tensors: rounding, wrapping, and their bytes.
// f16 and bf16 are rounded from double directly, never through float: twice rounded is wrong at ties.
#include "Tensor.h"

#include <cmath>
#include <cstring>
#include <limits>

namespace weft::reference {
namespace {

struct Format {
  int mantissa;  // stored bits
  int minExponent, maxExponent;
};

Format format(DType type) {
  switch (type) {
  case DType::f16:
    return {10, -14, 15};
  case DType::bf16:
    return {7, -126, 127};
  case DType::f32:
    return {23, -126, 127};
  default:
    return {52, -1022, 1023};
  }
}

template <class From> void append(std::vector<char> &out, From value) {
  const char *bytes = reinterpret_cast<const char *>(&value);
  out.insert(out.end(), bytes, bytes + sizeof value);
}

template <class From> From read(const char *data, int64_t i) {
  From value;
  std::memcpy(&value, data + i * static_cast<int64_t>(sizeof value), sizeof value);
  return value;
}

uint16_t halfBits(double value, DType type) {
  Format f = format(type);
  uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  int width = 15 - f.mantissa;
  uint16_t infinity = static_cast<uint16_t>(((1 << width) - 1) << f.mantissa);
  if (std::isnan(value))
    return static_cast<uint16_t>(infinity | (1 << (f.mantissa - 1)));
  double magnitude = std::fabs(roundTo(type, value));
  if (std::isinf(magnitude))
    return sign | infinity;
  if (magnitude == 0)
    return sign;
  int exponent = std::max(std::ilogb(magnitude), f.minExponent);
  // The implicit bit carries into the exponent field; subnormals have none and so get field 0.
  int64_t mantissa = static_cast<int64_t>(std::ldexp(magnitude, f.mantissa - exponent));
  return static_cast<uint16_t>(sign | (mantissa + (static_cast<int64_t>(exponent - f.minExponent) << f.mantissa)));
}

double halfValue(uint16_t bits, DType type) {
  Format f = format(type);
  int fieldMax = (1 << (15 - f.mantissa)) - 1;
  int field = (bits >> f.mantissa) & fieldMax;
  int mantissa = bits & ((1 << f.mantissa) - 1);
  double magnitude = field == fieldMax ? (mantissa ? std::nan("") : INFINITY)
                     : field == 0      ? std::ldexp(mantissa, f.minExponent - f.mantissa)
                                       : std::ldexp(mantissa + (1 << f.mantissa), field - 1 + f.minExponent - f.mantissa);
  return bits & 0x8000 ? -magnitude : magnitude;
}

}  // namespace

const char *dtypeText(DType type) {
  static const char *const names[] = {"f32", "f16", "bf16", "f64", "i32", "i64", "i8", "u8", "bool"};
  return names[static_cast<int>(type)];
}

std::string shapeText(const std::vector<int64_t> &shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i)
    text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

std::optional<int64_t> elementCount(const std::vector<int64_t> &shape) {
  int64_t count = 1;
  bool empty = false;
  for (int64_t size : shape) {
    if (size < 0)
      return std::nullopt;
    empty |= size == 0;
    if (size && (__builtin_mul_overflow(count, size, &count) || count > (int64_t(1) << 40)))
      return std::nullopt;
  }
  return empty ? 0 : count;
}

std::optional<Tensor> zeros(DType dtype, std::vector<int64_t> shape) {
  std::optional<int64_t> count = elementCount(shape);
  if (!count)
    return std::nullopt;
  Tensor result;
  result.dtype = dtype;
  result.shape = std::move(shape);
  if (isReal(dtype))
    result.reals.resize(*count);
  else
    result.integers.resize(*count);
  return result;
}

double largestOf(DType type) {
  Format f = format(type);
  return std::ldexp(2.0 - std::ldexp(1.0, -f.mantissa), f.maxExponent);
}

double roundTo(DType type, double value) {
  if (type == DType::f64 || !std::isfinite(value) || value == 0)
    return value;
  if (type == DType::f32)
    return static_cast<float>(value);
  Format f = format(type);
  int exponent = std::max(std::ilogb(value), f.minExponent);
  double rounded = std::ldexp(std::nearbyint(std::ldexp(value, f.mantissa - exponent)), exponent - f.mantissa);
  return std::fabs(rounded) > largestOf(type) ? std::copysign(INFINITY, value) : rounded;
}

int64_t wrapTo(DType type, int64_t value) {
  switch (type) {
  case DType::i32:
    return static_cast<int32_t>(static_cast<uint32_t>(value));
  case DType::i8:
    return static_cast<int8_t>(static_cast<uint8_t>(value));
  case DType::u8:
    return static_cast<uint8_t>(value);
  case DType::boolean:
    return value != 0;
  default:
    return value;
  }
}

double ulp(DType type, double value) {
  Format f = format(isReal(type) ? type : DType::f64);
  if (!std::isfinite(value))
    return std::numeric_limits<double>::quiet_NaN();
  int exponent = value == 0 ? f.minExponent : std::max(std::ilogb(value), f.minExponent);
  return std::ldexp(1.0, exponent - f.mantissa);
}

int64_t elementBytes(DType type) {
  switch (type) {
  case DType::f64:
  case DType::i64:
    return 8;
  case DType::f32:
  case DType::i32:
    return 4;
  case DType::f16:
  case DType::bf16:
    return 2;
  default:
    return 1;
  }
}

std::optional<Tensor> fromBytes(DType dtype, std::vector<int64_t> shape, const void *source) {
  std::optional<Tensor> result = zeros(dtype, std::move(shape));
  if (!result)
    return std::nullopt;
  const char *data = static_cast<const char *>(source);
  for (int64_t i = 0, n = result->count(); i < n; ++i) {
    switch (dtype) {
    case DType::f32:
      result->reals[i] = read<float>(data, i);
      break;
    case DType::f64:
      result->reals[i] = read<double>(data, i);
      break;
    case DType::f16:
    case DType::bf16:
      result->reals[i] = halfValue(read<uint16_t>(data, i), dtype);
      break;
    case DType::i32:
      result->integers[i] = read<int32_t>(data, i);
      break;
    case DType::i64:
      result->integers[i] = read<int64_t>(data, i);
      break;
    case DType::i8:
      result->integers[i] = read<int8_t>(data, i);
      break;
    case DType::u8:
      result->integers[i] = read<uint8_t>(data, i);
      break;
    case DType::boolean:
      result->integers[i] = read<uint8_t>(data, i) != 0;
      break;
    }
  }
  return result;
}

std::vector<char> toBytes(const Tensor &tensor) {
  std::vector<char> out;
  out.reserve(tensor.count() * elementBytes(tensor.dtype));
  for (int64_t i = 0, n = tensor.count(); i < n; ++i) {
    switch (tensor.dtype) {
    case DType::f32:
      append(out, static_cast<float>(tensor.reals[i]));
      break;
    case DType::f64:
      append(out, tensor.reals[i]);
      break;
    case DType::f16:
    case DType::bf16:
      append(out, halfBits(tensor.reals[i], tensor.dtype));
      break;
    case DType::i32:
      append(out, static_cast<int32_t>(tensor.integers[i]));
      break;
    case DType::i64:
      append(out, tensor.integers[i]);
      break;
    default:
      append(out, static_cast<uint8_t>(tensor.integers[i]));
      break;
    }
  }
  return out;
}

}  // namespace weft::reference
