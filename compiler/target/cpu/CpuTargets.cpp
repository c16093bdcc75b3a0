// Feature sets of CPU names. Code is generated for an architecture level plus single features, not for a model: two
// machines with the same features get the same code.
#include "target/cpu/CpuTargets.h"

#include "weft/abi.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/TargetParser/AArch64TargetParser.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/X86TargetParser.h"

namespace weft {

namespace {

struct FeatureBit {
  const char *name; ///< LLVM's name
  uint64_t bit;
};

/// Features that the generated code may use. What is not here is never switched on.
constexpr FeatureBit featureBits[] = {
    {"avx", WEFT_CPU_AVX},
    {"avx2", WEFT_CPU_AVX2},
    {"fma", WEFT_CPU_FMA},
    {"f16c", WEFT_CPU_F16C},
    {"bmi2", WEFT_CPU_BMI2},
    {"avx512f", WEFT_CPU_AVX512F},
    {"avx512bw", WEFT_CPU_AVX512BW},
    {"avx512dq", WEFT_CPU_AVX512DQ},
    {"avx512vl", WEFT_CPU_AVX512VL},
    {"avx512cd", WEFT_CPU_AVX512CD},
    {"avx512bf16", WEFT_CPU_AVX512_BF16},
    {"avx512fp16", WEFT_CPU_AVX512_FP16},
    {"avx512vnni", WEFT_CPU_AVX512_VNNI},
    {"amx-tile", WEFT_CPU_AMX_TILE},
    {"amx-bf16", WEFT_CPU_AMX_BF16},
    {"amx-int8", WEFT_CPU_AMX_INT8},
};

constexpr uint64_t level3 = WEFT_CPU_AVX | WEFT_CPU_AVX2 | WEFT_CPU_FMA | WEFT_CPU_F16C | WEFT_CPU_BMI2;
constexpr uint64_t level4 =
    level3 | WEFT_CPU_AVX512F | WEFT_CPU_AVX512BW | WEFT_CPU_AVX512DQ | WEFT_CPU_AVX512VL | WEFT_CPU_AVX512CD;

/// The x86-64 level that `features` reach, plus the single features above it.
CpuTarget x86Target(llvm::StringRef name, const llvm::StringSet<> &features) {
  CpuTarget target;
  target.name = name.str();
  uint64_t present = 0;
  for (const FeatureBit &feature : featureBits)
    if (features.contains(feature.name))
      present |= feature.bit;

  uint64_t level = 0;
  TargetInfo &info = target.info;
  info.triple = "x86_64-unknown-linux-gnu";
  if ((present & level4) == level4) {
    info.cpu = "x86-64-v4";
    info.lanes = 16, info.vectorRegisters = 32, info.avx512 = true;
    level = level4;
  } else if ((present & level3) == level3) {
    info.cpu = "x86-64-v3";
    info.lanes = 8, info.vectorRegisters = 16, info.avx512 = false;
    info.l1Bytes = 32 << 10, info.l2Bytes = 512 << 10; // the smallest of the AVX2 machines in use
    level = level3;
  } else {
    info.cpu = "x86-64";
    info.lanes = 4, info.vectorRegisters = 16, info.avx512 = false;
    info.l1Bytes = 32 << 10, info.l2Bytes = 256 << 10;
  }
  // Single features count only above AVX-512: all of them work on its registers.
  target.required = level == level4 ? present : level;
  llvm::SmallVector<std::string> list;
  if (level == level4) {
    for (const FeatureBit &feature : featureBits)
      if (present & feature.bit & ~level)
        list.push_back(std::string("+") + feature.name);
    list.push_back("-prefer-256-bit");
  }
  info.features = llvm::join(list, ",");
  return target;
}

CpuTarget aarch64Target(llvm::StringRef name) {
  CpuTarget target;
  target.name = name.str();
  TargetInfo &info = target.info;
  info.triple = "aarch64-unknown-linux-gnu";
  info.cpu = name.str();
  info.lanes = 4, info.vectorRegisters = 32, info.avx512 = false;
  info.l1Bytes = 64 << 10, info.l2Bytes = 1 << 20;
  return target;
}

} // namespace

CpuTarget hostTarget() {
#if defined(__x86_64__)
  llvm::StringSet<> features;
  for (const auto &feature : llvm::sys::getHostCPUFeatures())
    if (feature.getValue())
      features.insert(feature.getKey());
  return x86Target("host", features);
#else
  CpuTarget target = aarch64Target("generic");
  target.name = "host";
  return target;
#endif
}

llvm::Expected<CpuTarget> cpuTarget(llvm::StringRef name) {
  if (name == "host" || name == "native")
    return hostTarget();
  if (llvm::X86::parseArchX86(name, /*Only64Bit=*/true) != llvm::X86::CK_None) {
    llvm::SmallVector<llvm::StringRef> list;
    llvm::X86::getFeaturesForCPU(name, list);
    llvm::StringMap<bool> all;
    for (llvm::StringRef feature : list) {
      all[feature.ltrim('+')] = true;
      llvm::X86::updateImpliedFeatures(feature.ltrim('+'), true, all);
    }
    llvm::StringSet<> features;
    for (const auto &feature : all)
      if (feature.getValue())
        features.insert(feature.getKey());
    return x86Target(name, features);
  }
  if (name == "aarch64" || name == "generic" || llvm::AArch64::parseCpu(name)) {
    CpuTarget target = aarch64Target(name == "aarch64" ? "generic" : name);
    target.name = name.str();
    return target;
  }
  return llvm::createStringError("expected a CPU such as 'host', 'x86-64-v3', 'x86-64-v4', 'sapphirerapids' or "
                                 "'neoverse-v1' but got '" +
                                 name + "'");
}

} // namespace weft
