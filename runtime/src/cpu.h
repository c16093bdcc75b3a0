/* What the processor can run, and the floating-point state that kernels expect. */
#ifndef WEFT_CPU_H
#define WEFT_CPU_H

#include <stdbool.h>
#include <stdint.h>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#pragma GCC visibility push(hidden)

/* Asks the operating system for the state that `features` need (AMX tiles); false: refused. */
bool weft_cpu_request(uint64_t features);

/* What CPUID says in some of its words, and XGETBV (0: it can't be asked). */
typedef struct weft_cpu_words {
  uint32_t leaf1_c, leaf7_b, leaf7_c, leaf7_d, leaf7_1_a;
  uint64_t state;
} weft_cpu_words;
/* WEFT_CPU_* bits: what the CPU has and the operating system keeps the state of. */
uint64_t weft_cpu_decode(const weft_cpu_words *words);
/* Processors to use where the affinity mask has `affine` (0: unknown) of `online`; `quota`: the cgroup's cpu.max. */
int64_t weft_cpu_allowed(int64_t affine, int64_t online, const char *quota);

#pragma GCC visibility pop

/* All exceptions masked, round to nearest, denormals flushed to zero on input and output. */
static inline unsigned weft_enter_float_state(void) {
#if defined(__x86_64__)
  unsigned before = _mm_getcsr();
  if (before != 0x9fc0u) _mm_setcsr(0x9fc0u);
  return before;
#else
  return 0;
#endif
}

static inline void weft_leave_float_state(unsigned before) {
#if defined(__x86_64__)
  if (before != 0x9fc0u) _mm_setcsr(before);
#else
  (void)before;
#endif
}

/* All exceptions masked, round to nearest, denormals kept. What it returns goes to weft_restore_float_state. */
static inline unsigned weft_enter_plain_float_state(void) {
#if defined(__x86_64__)
  unsigned before = _mm_getcsr();
  _mm_setcsr(0x1f80u);
  return before;
#else
  return 0;
#endif
}

static inline void weft_restore_float_state(unsigned before) {
#if defined(__x86_64__)
  _mm_setcsr(before);
#else
  (void)before;
#endif
}

#endif /* WEFT_CPU_H */
