// What CPU names mean: vector lengths, required features, errors; and that code can be generated for each.
#include "target/cpu/CpuTargets.h"
#include "target/cpu/LowerToLLVM.h"

#include "weft/abi.h"

#include "llvm/Support/raw_ostream.h"

using namespace weft;

static int failures = 0;

static void check(bool good, const std::string &what) {
  if (good)
    return;
  ++failures;
  llvm::errs() << "FAILED: " << what << "\n";
}

static CpuTarget get(const char *name) {
  auto target = cpuTarget(name);
  if (target)
    return *target;
  check(false, llvm::toString(target.takeError()));
  return {};
}

int main() {
  CpuTarget v2 = get("x86-64"), v3 = get("x86-64-v3"), v4 = get("x86-64-v4"), sapphire = get("sapphirerapids");
  check(v2.info.lanes == 4 && v2.required == 0, "x86-64 needs nothing");
  check(v3.info.lanes == 8 && (v3.required & WEFT_CPU_FMA) && !(v3.required & WEFT_CPU_AVX512F), "x86-64-v3 is AVX2");
  check(v4.info.lanes == 16 && (v4.required & WEFT_CPU_AVX512VL) && !(v4.required & WEFT_CPU_AMX_TILE),
        "x86-64-v4 is AVX-512");
  check((sapphire.required & WEFT_CPU_AMX_BF16) && (sapphire.required & WEFT_CPU_AVX512_BF16),
        "sapphirerapids has AMX");
  check(sapphire.info.cpu == v4.info.cpu, "code is generated for a level and features, not for a model");
  check(get("haswell").required == v3.required && get("haswell").info.features == v3.info.features,
        "haswell is x86-64-v3");
  check(get("znver4").info.lanes == 16 && !(get("znver4").required & WEFT_CPU_AMX_TILE),
        "znver4 has AVX-512 and no AMX");
  check(get("neoverse-v1").info.triple.rfind("aarch64", 0) == 0 && get("neoverse-v1").info.lanes == 4,
        "neoverse-v1 is AArch64");
  check(get("host").name == "host" && get("native").name == "host", "native is another name of host");
  auto wrong = cpuTarget("pentium-mmm");
  check(!wrong, "unknown names are errors");
  if (!wrong)
    check(llvm::toString(wrong.takeError()).find("but got 'pentium-mmm'") != std::string::npos,
          "the error quotes the name");

  for (const char *name :
       {"host", "x86-64", "x86-64-v3", "x86-64-v4", "sapphirerapids", "znver4", "neoverse-v1", "aarch64"}) {
    auto machine = createTargetMachine(get(name).info);
    check(bool(machine), std::string("code generation for ") + name);
    if (!machine)
      llvm::consumeError(machine.takeError());
  }
  llvm::outs() << (failures ? "failed\n" : "passed\n");
  return failures ? 1 : 0;
}
