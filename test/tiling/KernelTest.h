// What the kernel tests share: argument tables, random data, comparison with a reference in double precision.
#ifndef WEFT_TEST_TILING_KERNELTEST_H
#define WEFT_TEST_TILING_KERNELTEST_H

#include "target/cpu/CpuTargets.h"
#include "target/cpu/KernelJit.h"
#include "tiling/ElementType.h"

#include "llvm/Support/raw_ostream.h"

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace weft::test {

/// The argument table of a launch.
struct Args {
  std::vector<int64_t> slots;
  explicit Args(int count) : slots(count) {}
  void set(int slot, const void *pointer) { slots[slot] = reinterpret_cast<intptr_t>(pointer); }
  void set(int slot, int64_t value) { slots[slot] = value; }
  const void *data() const { return slots.data(); }
};

inline std::mt19937 &random() {
  static std::mt19937 generator(7);
  return generator;
}

/// `count` values in [-1, 1), then a guard that `guardIntact` checks.
inline constexpr float guard = 12345.0f;
inline std::vector<float> uniform(size_t count, float scale = 1) {
  std::uniform_real_distribution<float> distribution(-scale, scale);
  std::vector<float> values(count + 1, guard);
  for (size_t i = 0; i < count; ++i)
    values[i] = distribution(random());
  return values;
}
inline std::vector<float> filled(size_t count, float value) {
  std::vector<float> values(count, value);
  values.push_back(guard);
  return values;
}

inline int failures = 0;
inline int checks = 0;

inline void check(bool good, const std::string &what) {
  ++checks;
  if (good)
    return;
  if (++failures <= 20)
    llvm::errs() << "FAILED: " << what << "\n";
}

inline void checkClose(float got, double want, double tolerance, const std::string &what) {
  bool good = std::isnan(want) ? std::isnan(got) : std::isinf(want) ? got == want : std::fabs(got - want) <= tolerance;
  if (good)
    ++checks;
  else
    check(false, what + ": got " + std::to_string(got) + ", want " + std::to_string(want));
}

/// Half precision as kernels store it, and back.
inline uint16_t encode(float x, ElementType type) {
  if (type == ElementType::F16) {
    _Float16 h = static_cast<_Float16>(x);
    uint16_t bits;
    std::memcpy(&bits, &h, 2);
    return bits;
  }
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  return (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}
inline float decode(uint16_t bits, ElementType type) {
  if (type == ElementType::F16) {
    _Float16 h;
    std::memcpy(&h, &bits, 2);
    return h;
  }
  uint32_t wide = uint32_t(bits) << 16;
  float x;
  std::memcpy(&x, &wide, 4);
  return x;
}
inline std::vector<uint16_t> encode(const std::vector<float> &values, ElementType type) {
  std::vector<uint16_t> halves;
  for (float x : values)
    halves.push_back(encode(x, type));
  return halves;
}

inline void checkGuard(const std::vector<float> &values, const std::string &what) {
  check(values.back() == guard, what + ": wrote past the end");
}

/// The targets that this machine can run, widest first.
inline std::vector<TargetInfo> runnableTargets() {
  CpuTarget host = hostTarget();
  std::vector<TargetInfo> targets;
  for (const char *name : {"host", "x86-64-v3", "x86-64"}) {
    auto target = cpuTarget(name);
    if (!target) {
      llvm::consumeError(target.takeError());
      continue;
    }
    bool known = targets.empty() || targets.back().lanes != target->info.lanes;
    if (known && (target->required & ~host.required) == 0 && target->info.triple == host.info.triple)
      targets.push_back(target->info);
  }
  return targets;
}

inline void compileOrDie(KernelJit &jit) {
  if (llvm::Error error = jit.compile()) {
    llvm::errs() << llvm::toString(std::move(error)) << "\n";
    std::exit(1);
  }
}

inline int report() {
  llvm::outs() << checks - failures << " of " << checks << " checks passed\n";
  return failures ? 1 : 0;
}

} // namespace weft::test

#endif // WEFT_TEST_TILING_KERNELTEST_H
