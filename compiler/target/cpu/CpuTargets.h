// What a CPU name means: the host by its feature bits, or a name as clang's -march takes it.
#ifndef WEFT_TARGET_CPU_CPUTARGETS_H
#define WEFT_TARGET_CPU_CPUTARGETS_H

#include "tiling/TargetInfo.h"

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

namespace weft {

struct CpuTarget {
  TargetInfo info;
  std::string name;      ///< as given to --cpu
  uint64_t required = 0; ///< WEFT_CPU_* bits of abi.h that a machine must have to run the code
};

/// The machine that runs the compiler, by its feature bits and never by its model name.
CpuTarget hostTarget();

/// "host", or a name of an x86-64 or AArch64 processor or architecture level ("x86-64-v3", "sapphirerapids",
/// "neoverse-v1"). The error names what is wrong and lists the names that are always good.
llvm::Expected<CpuTarget> cpuTarget(llvm::StringRef name);

inline TargetInfo hostTargetInfo() { return hostTarget().info; }

} // namespace weft

#endif // WEFT_TARGET_CPU_CPUTARGETS_H
