/* The machine: features by what CPUID and XGETBV say, processors by mask and quota; memory and threads that the system
 * refuses; a child after fork. */
#include "check.h"
#include "cpu.h"
#include "memory.h"
#include "toy.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LEAF1 = 1 << 27 | 1 << 28 | 1 << 12 | 1 << 29, LEAF7_AVX2 = 1 << 5 | 1 << 8 };
static const uint32_t leaf7_avx512 = LEAF7_AVX2 | 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31;
static const uint32_t leaf7_d = 1u << 22 | 1u << 23 | 1u << 24 | 1u << 25;
#define AVX2_SET (WEFT_CPU_AVX | WEFT_CPU_AVX2 | WEFT_CPU_FMA | WEFT_CPU_F16C | WEFT_CPU_BMI2)
#define AVX512_SET                                                                                                                      \
  (AVX2_SET | WEFT_CPU_AVX512F | WEFT_CPU_AVX512DQ | WEFT_CPU_AVX512CD | WEFT_CPU_AVX512BW | WEFT_CPU_AVX512VL | WEFT_CPU_AVX512_VNNI | \
   WEFT_CPU_AVX512_FP16 | WEFT_CPU_AVX512_BF16)
#define AMX_SET (WEFT_CPU_AMX_TILE | WEFT_CPU_AMX_BF16 | WEFT_CPU_AMX_INT8)

static void a_feature_needs_its_bit_and_the_systems_state(void) {
  const struct {
    weft_cpu_words words;
    uint64_t features;
  } cases[] = {
      {{0}, 0},
      {{LEAF1, LEAF7_AVX2, 0, 0, 0, 0x7}, AVX2_SET},
      {{LEAF1, LEAF7_AVX2, 0, 0, 0, 0}, WEFT_CPU_BMI2}, /* a virtual machine whose system keeps no ymm */
      {{LEAF1, LEAF7_AVX2, 0, 0, 0, 0x3}, WEFT_CPU_BMI2},
      {{LEAF1, leaf7_avx512, 1 << 11, leaf7_d, 1 << 5, 0x7}, AVX2_SET}, /* no zmm, no tiles */
      {{LEAF1, leaf7_avx512, 1 << 11, leaf7_d, 1 << 5, 0xe7}, AVX512_SET},
      {{LEAF1, leaf7_avx512, 1 << 11, leaf7_d, 1 << 5, 0x600e7}, AVX512_SET | AMX_SET},
      {{LEAF1, leaf7_avx512, 1 << 11, leaf7_d, 1 << 5, 0x200e7}, AVX512_SET},      /* half of the tiles' state */
      {{LEAF1, leaf7_avx512 & ~(1u << 16), 1 << 11, 0, 1 << 5, 0xe7}, AVX2_SET},   /* extensions of nothing */
      {{LEAF1 & ~(1 << 12), LEAF7_AVX2, 0, 0, 0, 0x7}, AVX2_SET & ~WEFT_CPU_FMA},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) CHECK_EQUAL(weft_cpu_decode(&cases[i].words), cases[i].features);
  uint64_t here = weft_cpu_features();
  CHECK(!(here & WEFT_CPU_AVX2) || here & WEFT_CPU_AVX);
  CHECK(!(here & WEFT_CPU_AVX512VL) || here & WEFT_CPU_AVX512F);
}

static void permission_is_asked_for_tiles_alone(void) {
  CHECK(weft_cpu_request(0) && weft_cpu_request(AVX512_SET));
  if (!(weft_cpu_features() & WEFT_CPU_AMX_TILE)) CHECK(!weft_cpu_request(AMX_SET));
}

static void processors_are_those_of_mask_and_quota(void) {
  static const struct {
    int64_t affine, online;
    const char *quota;
    int64_t count;
  } cases[] = {
      {4, 8, "", 4},          {0, 8, "", 8},          {0, 0, "", 1},         {0, -1, "max 100000\n", 1}, {8, 8, "max 100000\n", 8},
      {8, 8, "150000 100000", 2}, {8, 8, "200000 100000", 2}, {8, 8, "50000 100000", 1}, {1, 8, "400000 100000", 1}, {8, 8, "100000 0", 8},
      {8, 8, "100000", 8},    {8, 8, "99999999999999999999 1", 8}, {8, 8, "-3 -1", 8}, {8, 8, "abc", 8},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i)
    CHECK_EQUAL(weft_cpu_allowed(cases[i].affine, cases[i].online, cases[i].quota), cases[i].count);
}

static void a_list_of_features_fits_its_place(void) {
  char text = 'x';
  CHECK(weft_cpu_features_text(WEFT_CPU_AVX, &text, 0) == &text && text == 'x');
}

/* ---- Memory ----------------------------------------------------------------------------------------------------- */

static void *refuse(void *user, size_t bytes, size_t alignment) {
  (void)user, (void)bytes, (void)alignment;
  return NULL;
}

static void an_allocator_has_both_functions(void) {
  const weft_allocator half[] = {{refuse, NULL, NULL}, {NULL, NULL, NULL}};
  for (int i = 0; i < 2; ++i) {
    weft_allocator allocator = weft_allocator_or_default(&half[i]);
    void *memory = weft_allocate(&allocator, 100);
    CHECK(memory && (uintptr_t)memory % WEFT_ALIGNMENT == 0);
    weft_release(&allocator, memory, 100);
  }
  weft_allocator standard = weft_allocator_or_default(NULL);
  CHECK(!weft_allocate(&standard, -1) && !weft_allocate(&standard, INT64_MIN));
}

static void large_blocks_are_aligned_and_zero(void) {
  weft_allocator standard = weft_allocator_or_default(NULL);
  for (int64_t bytes = 4 << 20; bytes < 9 << 20; bytes += 3 << 20) {
    unsigned char *memory = weft_allocate(&standard, bytes);
    CHECK(memory && (uintptr_t)memory % WEFT_HUGE_PAGE == 0 && !memory[0] && !memory[bytes - 1]);
    CHECK(weft_allocates_zeros(&standard, bytes) && !weft_allocates_zeros(&standard, 100));
    weft_release(&standard, memory, bytes);
  }
}

/* ---- In a child, which may lose its memory ---------------------------------------------------------------------- */

static char pool_memory[8 << 20];
static size_t pool_used;
static void *take(void *user, size_t bytes, size_t alignment) {
  (void)user;
  pool_used = (pool_used + alignment - 1) / alignment * alignment;
  if (bytes > sizeof pool_memory - pool_used) return NULL;
  pool_used += bytes;
  return pool_memory + pool_used - bytes;
}
static void keep(void *user, void *memory, size_t bytes) { (void)user, (void)memory, (void)bytes; }
static const weft_allocator own = {take, keep, NULL};

static void in_a_child(void (*body)(void)) {
  fflush(NULL);
  int status = -1;
  pid_t child = fork();
  if (child == 0) {
    alarm(60);
    body();
    exit(check_failures != 0);
  }
  waitpid(child, &status, 0);
  CHECK_EQUAL(status, 0);
}

static int log_lines;
static char log_line[300];
static void record(void *user, weft_log_level level, const char *text) {
  (void)user;
  log_lines += level == WEFT_LOG_WARNING;
  snprintf(log_line, sizeof log_line, "%s", text);
}

static weft_model *model;

/* From here on the system gives no more memory. */
static void lose_memory(void) {
  long pages = 0;
  FILE *statm = fopen("/proc/self/statm", "r");
  CHECK(statm && fscanf(statm, "%ld", &pages) == 1);
  if (statm) fclose(statm);
  const rlim_t bytes = (rlim_t)(pages * sysconf(_SC_PAGESIZE));
  CHECK_EQUAL(setrlimit(RLIMIT_AS, &(struct rlimit){bytes, bytes}), 0);
}

static void nothing_is_there(void) {
  weft_allocator standard = weft_allocator_or_default(NULL);
  lose_memory();
  CHECK(!weft_allocate(&standard, 16 << 20)); /* mapped */
  CHECK(!weft_allocate(&standard, 3 << 20));
}

static void a_session_has_as_many_threads_as_there_are(void) {
  weft_session *session;
  weft_session_options options = {.threads = 4, .log = record};
  const int64_t dims[TOY_DIMS] = {2, 3, 0};
  const int32_t tokens[6] = {1, 2, 3, 4, 5, 6};
  float logits[6 * TOY_VOCABULARY], expected[TOY_VOCABULARY];
  weft_threads *pool;
  lose_memory();
  CHECK_EQUAL(weft_threads_create(5000, &own, &pool), WEFT_OK);
  CHECK_EQUAL(weft_threads_count(pool), 1);
  weft_threads_destroy(pool);
  CHECK_EQUAL(weft_session_create(model, dims, &options, &session), WEFT_OK);
  CHECK_EQUAL(weft_session_threads(session), 1);
  CHECK_EQUAL(log_lines, 1);
  CHECK_TEXT(log_line, "the system allows only 1 of 4 threads");
  CHECK_EQUAL(weft_session_run(session, TOY_FORWARD, dims, (const void *const[]){tokens, NULL}, (void *const[]){logits}), WEFT_OK);
  toy_reference(tokens, 3, expected);
  for (int i = 0; i < TOY_VOCABULARY; ++i) CHECK(logits[2 * TOY_VOCABULARY + i] - expected[i] < 1e-4f && expected[i] - logits[2 * TOY_VOCABULARY + i] < 1e-4f);
  weft_session_destroy(session);
}

int main(void) {
  a_feature_needs_its_bit_and_the_systems_state();
  permission_is_asked_for_tiles_alone();
  processors_are_those_of_mask_and_quota();
  a_list_of_features_fits_its_place();
  an_allocator_has_both_functions();
  large_blocks_are_aligned_and_zero();
#ifndef SANITIZED /* sanitizers take more memory for themselves */
  weft_model_options options = {.allocator = &own};
  model = toy_open(&options);
  in_a_child(nothing_is_there);
  in_a_child(a_session_has_as_many_threads_as_there_are);
#endif
  return check_result();
}
