/* CPU features from CPUID and XGETBV, and the number of processors. */
#include "cpu.h"

#include "weft/runtime.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif
#if defined(__x86_64__)
#include <cpuid.h>
#endif

uint64_t weft_cpu_decode(const weft_cpu_words *words) {
  /* State that the operating system keeps: of ymm, of zmm, of tiles. */
  static const uint64_t none = 0, ymm = 0x6, zmm = 0xe6, tiles = 0x60000;
  const struct {
    uint32_t word;
    int bit;
    uint64_t state, feature;
  } rows[] = {
      {words->leaf1_c, 28, ymm, WEFT_CPU_AVX},           {words->leaf1_c, 12, ymm, WEFT_CPU_FMA},
      {words->leaf1_c, 29, ymm, WEFT_CPU_F16C},          {words->leaf7_b, 5, ymm, WEFT_CPU_AVX2},
      {words->leaf7_b, 8, none, WEFT_CPU_BMI2},          {words->leaf7_b, 16, zmm, WEFT_CPU_AVX512F},
      {words->leaf7_b, 17, zmm, WEFT_CPU_AVX512DQ},      {words->leaf7_b, 28, zmm, WEFT_CPU_AVX512CD},
      {words->leaf7_b, 30, zmm, WEFT_CPU_AVX512BW},      {words->leaf7_b, 31, zmm, WEFT_CPU_AVX512VL},
      {words->leaf7_c, 11, zmm, WEFT_CPU_AVX512_VNNI},   {words->leaf7_d, 23, zmm, WEFT_CPU_AVX512_FP16},
      {words->leaf7_1_a, 5, zmm, WEFT_CPU_AVX512_BF16},  {words->leaf7_d, 22, tiles, WEFT_CPU_AMX_BF16},
      {words->leaf7_d, 24, tiles, WEFT_CPU_AMX_TILE},    {words->leaf7_d, 25, tiles, WEFT_CPU_AMX_INT8},
  };
  static const uint64_t avx512 = WEFT_CPU_AVX512F | WEFT_CPU_AVX512DQ | WEFT_CPU_AVX512CD | WEFT_CPU_AVX512BW | WEFT_CPU_AVX512VL |
                                 WEFT_CPU_AVX512_VNNI | WEFT_CPU_AVX512_FP16 | WEFT_CPU_AVX512_BF16;
  uint64_t features = 0;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i)
    if (rows[i].word >> rows[i].bit & 1 && (words->state & rows[i].state) == rows[i].state) features |= rows[i].feature;
  return features & WEFT_CPU_AVX512F ? features : features & ~avx512;
}

#if defined(__x86_64__)
uint64_t weft_cpu_features(void) {
  weft_cpu_words words = {0};
  unsigned leaves = 0, b, c, d; /* a leaf that the CPU does not have leaves its words as they are */
  __get_cpuid(1, &leaves, &b, &words.leaf1_c, &d);
  leaves = 0;
  __get_cpuid_count(7, 0, &leaves, &words.leaf7_b, &words.leaf7_c, &words.leaf7_d);
  if (leaves > 0) __get_cpuid_count(7, 1, &words.leaf7_1_a, &b, &c, &d);
  if (words.leaf1_c & 1u << 27) { /* without OSXSAVE the system keeps no vector state, and the register can't be read */
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    words.state = (uint64_t)high << 32 | low;
  }
  return weft_cpu_decode(&words);
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
    if ((size_t)wrote >= size - used) break;
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

/* A number at *text, which moves past it; 0: there is none. */
static int64_t take_number(const char **text) {
  char *end;
  const long long value = strtoll(*text, &end, 10);
  *text = end;
  return value;
}

/* CPUs that a quota ("150000 100000", or "max 100000") allows, rounded up; 0: no limit. */
static int64_t quota_of(const char *text) {
  int64_t allowed = take_number(&text), period = take_number(&text);
  return allowed > 0 && period > 0 ? (allowed - 1) / period + 1 : 0;
}

int64_t weft_cpu_allowed(int64_t affine, int64_t online, const char *quota) {
  int64_t count = affine > 0 ? affine : online, limit = quota_of(quota);
  if (limit > 0 && limit < count) count = limit;
  return count < 1 ? 1 : count;
}

int64_t weft_cpu_count(void) {
  int64_t affine = 0;
  char quota[64] = {0};
#ifdef __linux__
  cpu_set_t set;
  CPU_ZERO(&set); /* what a failed call leaves */
  sched_getaffinity(0, sizeof set, &set);
  affine = CPU_COUNT(&set);
  int file = open("/sys/fs/cgroup/cpu.max", O_RDONLY | O_CLOEXEC);
  if (file >= 0) {
    if (read(file, quota, sizeof quota - 1) < 0) quota[0] = 0;
    close(file);
  }
#endif
  return weft_cpu_allowed(affine, sysconf(_SC_NPROCESSORS_ONLN), quota);
}
