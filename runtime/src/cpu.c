/* CPU features from CPUID and XGETBV, and the number of processors. */
#include "cpu.h"

#include "weft/runtime.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#if defined(__x86_64__)
static uint64_t xcr0(void) {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t)high << 32 | low;
}

uint64_t weft_cpu_features(void) {
  unsigned a, b, c, d;
  uint64_t features = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return 0;
  if (!(c & 1u << 27)) return 0; /* without OSXSAVE the system keeps no vector state */
  uint64_t saved = xcr0();
  bool ymm = (saved & 0x6) == 0x6, zmm = (saved & 0xe6) == 0xe6, tiles = (saved & 0x60000) == 0x60000;
  if (ymm) {
    if (c & 1u << 28) features |= WEFT_CPU_AVX;
    if (c & 1u << 12) features |= WEFT_CPU_FMA;
    if (c & 1u << 29) features |= WEFT_CPU_F16C;
  }
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return features;
  unsigned leaves = a;
  if (ymm && (b & 1u << 5)) features |= WEFT_CPU_AVX2;
  if (b & 1u << 8) features |= WEFT_CPU_BMI2;
  if (zmm && (b & 1u << 16)) {
    features |= WEFT_CPU_AVX512F;
    if (b & 1u << 17) features |= WEFT_CPU_AVX512DQ;
    if (b & 1u << 28) features |= WEFT_CPU_AVX512CD;
    if (b & 1u << 30) features |= WEFT_CPU_AVX512BW;
    if (b & 1u << 31) features |= WEFT_CPU_AVX512VL;
    if (c & 1u << 11) features |= WEFT_CPU_AVX512_VNNI;
    if (d & 1u << 23) features |= WEFT_CPU_AVX512_FP16;
  }
  if (tiles) {
    if (d & 1u << 22) features |= WEFT_CPU_AMX_BF16;
    if (d & 1u << 24) features |= WEFT_CPU_AMX_TILE;
    if (d & 1u << 25) features |= WEFT_CPU_AMX_INT8;
  }
  if (zmm && leaves >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 5)) features |= WEFT_CPU_AVX512_BF16;
  return features;
}
#else
uint64_t weft_cpu_features(void) { return 0; }
#endif

const char *weft_cpu_features_text(uint64_t features, char *text, size_t size) {
  static const char *const names[] = {"avx",      "avx2",     "fma",         "f16c",        "bmi2",        "avx512f",  "avx512bw", "avx512dq",
                                      "avx512vl", "avx512cd", "avx512_bf16", "avx512_fp16", "avx512_vnni", "amx_tile", "amx_bf16", "amx_int8"};
  size_t used = 0;
  if (size) text[0] = 0;
  for (unsigned i = 0; i < 64; ++i) {
    if (!(features >> i & 1)) continue;
    char number[16];
    snprintf(number, sizeof number, "bit %u", i);
    int wrote = snprintf(text + used, size - used, "%s%s", used ? ", " : "", i < sizeof names / sizeof *names ? names[i] : number);
    if (wrote < 0 || (size_t)wrote >= size - used) break;
    used += (size_t)wrote;
  }
  return text;
}

bool weft_cpu_request(uint64_t features) {
  if (!(features & (WEFT_CPU_AMX_TILE | WEFT_CPU_AMX_BF16 | WEFT_CPU_AMX_INT8))) return true;
#if defined(__linux__) && defined(__x86_64__) && defined(SYS_arch_prctl)
  enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
  return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
#else
  return false;
#endif
}

/* A number at *text, which moves past it; -1: there is none. */
static int64_t take_number(const char **text) {
  int64_t value = 0;
  const char *at = *text;
  while (*at == ' ') ++at;
  if (*at < '0' || *at > '9') return -1;
  for (; *at >= '0' && *at <= '9' && value < INT64_MAX / 100; ++at) value = value * 10 + (*at - '0');
  *text = at;
  return value;
}

/* CPUs that the cgroup's quota ("150000 100000", or "max 100000") allows, rounded up; 0: no limit known. */
static int64_t quota(void) {
  char text[64] = {0};
  int file = open("/sys/fs/cgroup/cpu.max", O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  ssize_t got = read(file, text, sizeof text - 1);
  close(file);
  const char *at = text;
  int64_t allowed = got > 0 ? take_number(&at) : -1, period = allowed > 0 ? take_number(&at) : -1;
  return allowed > 0 && period > 0 ? (allowed + period - 1) / period : 0;
}

int64_t weft_cpu_count(void) {
  int64_t count = 0;
#ifdef __linux__
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) count = CPU_COUNT(&set);
#endif
  if (count < 1) count = sysconf(_SC_NPROCESSORS_ONLN);
  int64_t limit = quota();
  if (limit > 0 && limit < count) count = limit;
  return count < 1 ? 1 : count;
}
