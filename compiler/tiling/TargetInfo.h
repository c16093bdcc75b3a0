// What the kernel emitters know of a CPU: vector length, registers, caches. Filled by target/cpu from `--cpu`.
#ifndef WEFT_TILING_TARGETINFO_H
#define WEFT_TILING_TARGETINFO_H

#include <cstdint>
#include <string>

namespace weft {

struct TargetInfo {
  std::string triple = "x86_64-unknown-linux-gnu";
  std::string cpu = "x86-64-v4";       ///< LLVM CPU name used for code generation
  std::string features;                ///< LLVM feature string, e.g. "+avx512f,+avx512vl,-prefer-256-bit"
  int64_t lanes = 16;                  ///< f32 lanes of a vector register: 16 (AVX-512), 8 (AVX2), 4 (NEON, SSE)
  int64_t vectorRegisters = 32;        ///< 32 (AVX-512, NEON), 16 (AVX2)
  bool avx512 = true;                  ///< vscalefps and masked loads are native
  int64_t l1Bytes = 48 << 10, l2Bytes = 2 << 20;
};

}  // namespace weft

#endif  // WEFT_TILING_TARGETINFO_H
