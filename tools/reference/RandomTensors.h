// Seeded tensors for tests: the same seed and name give the same elements on every machine.
// Each tensor has its own stream, so adding one changes no other.
#ifndef WEFT_REFERENCE_RANDOMTENSORS_H
#define WEFT_REFERENCE_RANDOMTENSORS_H

#include "Tensor.h"

#include <cmath>
#include <string_view>

namespace weft::reference {

/// splitmix64 (Steele, Lea, Flood 2014).
class Random {
public:
  explicit Random(uint64_t seed, std::string_view name = {}) : state(seed) {
    for (unsigned char ch : name)
      state = (state ^ ch) * 0x100000001b3ull;
  }
  uint64_t next() {
    uint64_t z = (state += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }  ///< [0, 1)
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  int64_t integer(int64_t low, int64_t high) {  ///< inclusive; high - low below 2^63
    return low + static_cast<int64_t>(next() % (static_cast<uint64_t>(high - low) + 1));
  }
  double normal() {
    double radius = std::sqrt(-2 * std::log(1 - uniform()));
    return radius * std::cos(6.283185307179586476925 * uniform());
  }

private:
  uint64_t state;
};

/// Standard normal floats; integers in [low, high]; bools true three times in four. Floats are values of the dtype.
inline Tensor randomTensor(uint64_t seed, std::string_view name, DType dtype, std::vector<int64_t> shape, int64_t low = -100, int64_t high = 100) {
  Random random(seed, name);
  Tensor tensor = zeros(dtype, std::move(shape)).value_or(Tensor());
  for (double &element : tensor.reals)
    element = roundTo(dtype, random.normal());
  for (int64_t &element : tensor.integers)
    element = dtype == DType::boolean ? random.integer(0, 3) != 0 : wrapTo(dtype, random.integer(low, high));
  return tensor;
}

/// A parameter by its initialisation rule; what would be constant (norm weights, biases) is normal around it, so that
/// leaving it out shows.
inline Tensor randomParameter(uint64_t seed, const ParamTensor &param) {
  Random random(seed, param.name);
  Tensor tensor = zeros(param.dtype, param.shape).value_or(Tensor());
  for (double &element : tensor.reals) {
    double value = param.init == InitKind::uniform    ? random.uniform(param.a, param.b)
                   : param.init == InitKind::constant ? param.a + 0.1 * random.normal()
                                                      : param.a + param.b * random.normal();
    element = roundTo(param.dtype, value);
  }
  return tensor;
}

}  // namespace weft::reference

#endif  // WEFT_REFERENCE_RANDOMTENSORS_H
