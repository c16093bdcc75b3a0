// A tensor as the reference interpreter sees it: dtype, shape, and every element as a double or an int64.
// Also how a number becomes an element of a dtype.
#ifndef WEFT_REFERENCE_TENSOR_H
#define WEFT_REFERENCE_TENSOR_H

#include "import/ModelDesc.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace weft::reference {

inline bool isReal(DType type) { return type == DType::f32 || type == DType::f16 || type == DType::bf16 || type == DType::f64; }
const char *dtypeText(DType type);
std::string shapeText(const std::vector<int64_t> &shape);  ///< "[2, 3]"

/// Row-major. Elements of f32, f16, bf16 and f64 stand in `reals`, all others in `integers` (bool: 0 or 1); the other
/// vector is empty. `tangents` is empty, or has kLanes derivatives of each real (Dual.h), one after the other.
struct Tensor {
  DType dtype = DType::f32;
  std::vector<int64_t> shape;
  std::vector<double> reals;
  std::vector<int64_t> integers;
  std::vector<double> tangents;

  Tensor() = default;
  Tensor(DType dtype, std::vector<int64_t> shape, std::vector<double> reals) : dtype(dtype), shape(std::move(shape)), reals(std::move(reals)) {}
  Tensor(DType dtype, std::vector<int64_t> shape, std::vector<int64_t> integers)
      : dtype(dtype), shape(std::move(shape)), integers(std::move(integers)) {}

  bool real() const { return isReal(dtype); }
  int64_t rank() const { return static_cast<int64_t>(shape.size()); }
  int64_t count() const { return static_cast<int64_t>(real() ? reals.size() : integers.size()); }
  /// Element as a double, whatever the dtype.
  double at(int64_t i) const { return real() ? reals[i] : static_cast<double>(integers[i]); }
};

using TensorRef = std::shared_ptr<const Tensor>;

/// Product of the sizes; nullopt if one is negative or the product is above 2^40.
std::optional<int64_t> elementCount(const std::vector<int64_t> &shape);
/// All zero; nullopt as above.
std::optional<Tensor> zeros(DType dtype, std::vector<int64_t> shape);

/// The nearest value of a floating dtype (ties to even).
double roundTo(DType dtype, double value);
/// The largest finite value of a floating dtype.
double largestOf(DType dtype);
/// The lowest bits of an integer dtype, as arithmetic in it wraps; for bool: value != 0.
int64_t wrapTo(DType dtype, int64_t value);
/// Distance between neighbours of a floating dtype at |value|.
double ulp(DType dtype, double value);

/// Bytes of an element in memory and in safetensors files.
int64_t elementBytes(DType dtype);
/// Elements from memory in the dtype's own representation, and back. `data` holds count * elementBytes bytes.
std::optional<Tensor> fromBytes(DType dtype, std::vector<int64_t> shape, const void *data);
std::vector<char> toBytes(const Tensor &tensor);

}  // namespace weft::reference

#endif  // WEFT_REFERENCE_TENSOR_H
