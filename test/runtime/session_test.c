/* Calls of entries: results, every refusal with its text, caches, and that a refused call changes nothing. */
#include "check.h"
#include "toy.h"

#include <math.h>
#include <stdlib.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

static weft_model *model;
static weft_session *session;
static int32_t tokens[TOY_MAX_B * TOY_MAX_T];
static uint8_t mask[TOY_MAX_B * TOY_MAX_T];
static float logits[TOY_MAX_B * TOY_MAX_T * TOY_VOCABULARY];

static weft_status forward(int64_t B, int64_t T, const void *t, const void *m, void *out) {
  const int64_t dims[TOY_DIMS] = {B, T, 0};
  const void *inputs[] = {t, m};
  void *outputs[] = {out};
  return weft_session_run(session, TOY_FORWARD, dims, inputs, outputs);
}

static weft_status cached(int32_t entry, int64_t B, int64_t T, const int32_t *t, float *out) {
  const int64_t dims[TOY_DIMS] = {B, T, 0};
  const void *inputs[] = {t};
  void *outputs[] = {out};
  return weft_session_run(session, entry, dims, inputs, outputs);
}

static int near(const float *a, const float *b, int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    if (!(fabsf(a[i] - b[i]) <= 1e-5f)) return 0;
  return 1;
}

static void computes_the_entry(void) {
  float expected[TOY_VOCABULARY];
  for (int64_t B = 1; B <= TOY_MAX_B; ++B)
    for (int64_t T = 1; T <= TOY_MAX_T; T += 5) {
      memset(logits, 0x7f, sizeof logits);
      CHECK_EQUAL(forward(B, T, tokens, NULL, logits), WEFT_OK);
      for (int64_t b = 0; b < B; ++b)
        for (int64_t t = 0; t < T; ++t) {
          toy_reference(tokens + b * T, t + 1, expected);
          CHECK(near(expected, logits + (b * T + t) * TOY_VOCABULARY, TOY_VOCABULARY));
        }
    }
}

static void refuses_sizes(void) {
  CHECK_EQUAL(forward(0, 4, tokens, NULL, logits), WEFT_ERR_DIM);
  CHECK_TEXT(weft_session_error(session), "toy_forward: B is 0, expected 1..8");
  CHECK_EQUAL(forward(9, 4, tokens, NULL, logits), WEFT_ERR_DIM);
  CHECK_TEXT(weft_session_error(session), "toy_forward: B is 9, expected 1..8");
  CHECK_EQUAL(forward(1, INT64_MAX, tokens, NULL, logits), WEFT_ERR_DIM);
  CHECK_EQUAL(forward(INT64_MIN, 1, tokens, NULL, logits), WEFT_ERR_DIM);
  CHECK_EQUAL(cached(TOY_DECODE, 1, 2, tokens, logits), WEFT_ERR_DIM);
  CHECK_TEXT(weft_session_error(session), "toy_decode: T is 2, expected 1");
  const int64_t multiple[TOY_DIMS] = {0, 0, 6};
  double x[64] = {0}, y[64];
  const void *inputs[] = {x, NULL};
  void *outputs[] = {y};
  CHECK_EQUAL(weft_session_run(session, TOY_SCALED, multiple, inputs, outputs), WEFT_ERR_DIM);
  CHECK_TEXT(weft_session_error(session), "toy_scaled: U is 6, expected a multiple of 4");
  CHECK_EQUAL(weft_session_run(session, -1, multiple, inputs, outputs), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_session_run(session, 5, multiple, inputs, outputs), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_session_error(session), "toy: expected an entry 0..4 but got 5");
  CHECK_EQUAL(weft_session_run(session, TOY_SCALED, NULL, inputs, outputs), WEFT_ERR_ARGUMENT);
  weft_session *small;
  const int64_t two[TOY_DIMS] = {2, 3, 0};
  CHECK_EQUAL(weft_session_create(model, two, NULL, &small), WEFT_OK);
  const int64_t three[TOY_DIMS] = {3, 3, 0};
  const void *forward_inputs[] = {tokens, NULL};
  void *forward_outputs[] = {logits};
  CHECK_EQUAL(weft_session_run(small, TOY_FORWARD, three, forward_inputs, forward_outputs), WEFT_ERR_DIM);
  CHECK_TEXT(weft_session_error(small), "toy_forward: B is 3, expected at most 2, for which the session was made");
  CHECK_EQUAL(weft_session_run(small, TOY_FORWARD, two, forward_inputs, forward_outputs), WEFT_OK);
  weft_session_destroy(small);
  CHECK_EQUAL(forward(2, 3, tokens, NULL, logits), WEFT_OK);
}

static void names_the_bad_element(void) {
  static const struct { int64_t at; int32_t value; const char *text; } bad[] = {
      {0, -1, "toy_forward: tokens[0, 0] is -1, expected 0..10"},
      {15, 11, "toy_forward: tokens[0, 15] is 11, expected 0..10"},
      {16, INT32_MIN, "toy_forward: tokens[1, 0] is -2147483648, expected 0..10"},
      {127, INT32_MAX, "toy_forward: tokens[7, 15] is 2147483647, expected 0..10"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) {
    int32_t kept = tokens[bad[i].at];
    tokens[bad[i].at] = bad[i].value;
    CHECK_EQUAL(forward(8, 16, tokens, NULL, logits), WEFT_ERR_INDEX);
    CHECK_TEXT(weft_session_error(session), bad[i].text);
    tokens[bad[i].at] = kept;
  }
  /* The first of several; and only elements of this call are looked at. */
  int32_t kept = tokens[40];
  tokens[40] = 77;
  tokens[100] = 78;
  CHECK_EQUAL(forward(8, 16, tokens, NULL, logits), WEFT_ERR_INDEX);
  CHECK_TEXT(weft_session_error(session), "toy_forward: tokens[2, 8] is 77, expected 0..10");
  CHECK_EQUAL(forward(2, 16, tokens, NULL, logits), WEFT_OK);
  tokens[40] = kept;
  tokens[100] = 0;
  memset(mask, 1, sizeof mask);
  mask[5] = 2;
  CHECK_EQUAL(forward(2, 4, tokens, mask, logits), WEFT_ERR_INDEX);
  CHECK_TEXT(weft_session_error(session), "toy_forward: mask[1, 1] is 2, expected 0..1");
  mask[5] = 1;
  const int64_t dims[TOY_DIMS] = {2, 0, 0};
  int64_t wide[2] = {-5, ((int64_t)1 << 40) + 1};
  const void *inputs[] = {wide};
  CHECK_EQUAL(weft_session_run(session, TOY_FAULTY, dims, inputs, NULL), WEFT_ERR_INDEX);
  CHECK_TEXT(weft_session_error(session), "toy_faulty: wide[1] is 1099511627777, expected -5..1099511627776");
  wide[1] = INT64_MIN;
  CHECK_EQUAL(weft_session_run(session, TOY_FAULTY, dims, inputs, NULL), WEFT_ERR_INDEX);
}

static void fills_optional_inputs(void) {
  static float with[sizeof logits / sizeof *logits];
  memset(mask, 1, sizeof mask);
  CHECK_EQUAL(forward(3, 7, tokens, mask, with), WEFT_OK);
  CHECK_EQUAL(forward(3, 7, tokens, NULL, logits), WEFT_OK);
  CHECK(!memcmp(with, logits, 3 * 7 * TOY_VOCABULARY * sizeof(float)));
  mask[0] = 0;
  CHECK_EQUAL(forward(3, 7, tokens, mask, with), WEFT_OK);
  CHECK(memcmp(with, logits, 3 * 7 * TOY_VOCABULARY * sizeof(float)));
  const int64_t dims[TOY_DIMS] = {0, 0, 4};
  double x[8], y[8], factor = -1;
  for (int i = 0; i < 8; ++i) x[i] = i;
  const void *inputs[] = {x, NULL};
  void *outputs[] = {y};
  CHECK_EQUAL(weft_session_run(session, TOY_SCALED, dims, inputs, outputs), WEFT_OK);
  CHECK(y[7] == 7 * 2.5 * 2);
  inputs[1] = &factor;
  CHECK_EQUAL(weft_session_run(session, TOY_SCALED, dims, inputs, outputs), WEFT_OK);
  CHECK(y[7] == -14);
  const int64_t nothing[TOY_DIMS] = {0, 0, 0};
  const void *no_inputs[] = {NULL, NULL};
  void *no_outputs[] = {NULL};
  CHECK_EQUAL(weft_session_run(session, TOY_SCALED, nothing, no_inputs, no_outputs), WEFT_OK);
}

static void refuses_pointers(void) {
  CHECK_EQUAL(forward(1, 4, NULL, NULL, logits), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_session_error(session), "toy_forward: missing input 'tokens'");
  CHECK_EQUAL(forward(1, 4, tokens, NULL, NULL), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_session_error(session), "toy_forward: missing output 'logits'");
  const int64_t dims[TOY_DIMS] = {1, 4, 0};
  const void *inputs[] = {tokens, NULL};
  void *outputs[] = {logits};
  CHECK_EQUAL(weft_session_run(session, TOY_FORWARD, dims, NULL, outputs), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_session_run(session, TOY_FORWARD, dims, inputs, NULL), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(forward(1, 4, (char *)tokens + 1, NULL, logits), WEFT_ERR_ARGUMENT);
  CHECK_CONTAINS(weft_session_error(session), "not aligned to the elements of input 'tokens'");
  CHECK_EQUAL(forward(1, 4, tokens, NULL, (char *)logits + 2), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(forward(1, 4, tokens, NULL, tokens), WEFT_ERR_ARGUMENT);
  CHECK_CONTAINS(weft_session_error(session), "overlaps output 'logits'");
  memset(logits, 0, sizeof logits);
  CHECK_EQUAL(forward(1, 4, logits + 43, NULL, logits), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(forward(1, 4, logits + 44, NULL, logits), WEFT_OK);
  CHECK_EQUAL(forward(1, 4, tokens, NULL, logits + 1), WEFT_OK); /* aligned to elements, not to vectors */
}

static void keeps_caches(void) {
  float expected[TOY_VOCABULARY];
  int32_t line[TOY_CAPACITY + 1] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9};
  CHECK_EQUAL(weft_session_reset(session), WEFT_OK);
  CHECK_EQUAL(cached(TOY_PREFILL, 1, 5, line, logits), WEFT_OK);
  toy_reference(line, 5, expected);
  CHECK(near(expected, logits, TOY_VOCABULARY));
  CHECK_EQUAL(weft_session_length(session, 0, 0), 5);
  for (int i = 5; i < TOY_CAPACITY; ++i) {
    CHECK_EQUAL(cached(TOY_DECODE, 1, i % 2, line + i, logits), WEFT_OK); /* T is 1 by itself */
    toy_reference(line, i + 1, expected);
    CHECK(near(expected, logits, TOY_VOCABULARY));
  }
  CHECK_EQUAL(cached(TOY_DECODE, 1, 1, line + 12, logits), WEFT_ERR_LENGTH);
  CHECK_TEXT(weft_session_error(session), "toy_decode: sequence 0 holds 12 of 12 positions of 'kv', expected room for 1 more");
  CHECK_EQUAL(weft_session_length(session, 0, 0), 12);
  CHECK_EQUAL(weft_session_rewind(session, 0, 0, 13), WEFT_ERR_LENGTH);
  CHECK_TEXT(weft_session_error(session), "toy: sequence 0 of 'kv': expected a length 0..12 but got 13");
  CHECK_EQUAL(weft_session_rewind(session, 0, 0, -1), WEFT_ERR_LENGTH);
  CHECK_EQUAL(weft_session_rewind(session, 1, 0, 0), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_session_rewind(session, 0, 8, 0), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_session_rewind(session, 0, 0, 10), WEFT_OK);
  CHECK_EQUAL(cached(TOY_PREFILL, 1, 3, line + 10, logits), WEFT_ERR_LENGTH);
  CHECK_EQUAL(weft_session_length(session, 0, 0), 10);
  CHECK_EQUAL(cached(TOY_PREFILL, 1, 2, line + 10, logits), WEFT_OK);
  toy_reference(line, 12, expected);
  CHECK(near(expected, logits, TOY_VOCABULARY));
  CHECK_EQUAL(weft_session_length(session, 0, -1), -1);
  CHECK_EQUAL(weft_session_length(session, 0, 8), -1);
  CHECK_EQUAL(weft_session_length(session, 1, 0), -1);
}

static void keeps_sequences_of_different_lengths(void) {
  float expected[TOY_VOCABULARY];
  const int32_t lengths[3] = {4, 1, 2};
  CHECK_EQUAL(weft_session_reset(session), WEFT_OK);
  CHECK_EQUAL(weft_session_set_valid(session, lengths, 3), WEFT_OK);
  CHECK_EQUAL(cached(TOY_PREFILL, 3, 4, tokens, logits), WEFT_OK);
  for (int b = 0; b < 3; ++b) {
    toy_reference(tokens + b * 4, lengths[b], expected);
    CHECK(near(expected, logits + b * TOY_VOCABULARY, TOY_VOCABULARY));
    CHECK_EQUAL(weft_session_length(session, 0, b), lengths[b]);
  }
  /* The lengths held for one call only. */
  CHECK_EQUAL(cached(TOY_PREFILL, 3, 4, tokens, logits), WEFT_OK);
  CHECK_EQUAL(weft_session_length(session, 0, 1), 5);
  CHECK_EQUAL(weft_session_length(session, 0, 3), 0);
  static const int32_t wrong[] = {4, 0, 2}, more[] = {4, 5, 2};
  CHECK_EQUAL(weft_session_set_valid(session, wrong, 3), WEFT_OK);
  CHECK_EQUAL(cached(TOY_PREFILL, 3, 4, tokens, logits), WEFT_ERR_LENGTH);
  CHECK_TEXT(weft_session_error(session), "toy_prefill: sequence 1 has 0 real tokens, expected 1..4");
  CHECK_EQUAL(weft_session_set_valid(session, more, 3), WEFT_OK);
  CHECK_EQUAL(cached(TOY_PREFILL, 3, 4, tokens, logits), WEFT_ERR_LENGTH);
  CHECK_EQUAL(weft_session_set_valid(session, lengths, 2), WEFT_OK);
  CHECK_EQUAL(cached(TOY_PREFILL, 3, 4, tokens, logits), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_session_set_valid(session, lengths, 9), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_session_set_valid(session, lengths, 3), WEFT_OK);
  CHECK_EQUAL(forward(3, 4, tokens, NULL, logits), WEFT_ERR_ARGUMENT); /* an entry without positions */
  CHECK_EQUAL(weft_session_set_valid(session, lengths, 3), WEFT_OK);
  CHECK_EQUAL(weft_session_set_valid(session, NULL, 0), WEFT_OK);
  CHECK_EQUAL(cached(TOY_PREFILL, 3, 1, tokens, logits), WEFT_OK);
  CHECK_EQUAL(weft_session_length(session, 0, 1), 6);
}

static void reports_faults_in_the_graph(void) {
  const int64_t dims[TOY_DIMS] = {2, 0, 0};
  int64_t wide[2] = {7, 1};
  const void *inputs[] = {wide};
  CHECK_EQUAL(weft_session_reset(session), WEFT_OK);
  CHECK_EQUAL(weft_session_run(session, TOY_FAULTY, dims, inputs, NULL), WEFT_ERR_INDEX);
  CHECK_TEXT(weft_session_error(session), "toy_faulty: an index into the operand of gather 1 is 99, expected 0..10");
  CHECK_EQUAL(weft_session_length(session, 0, 0), 0);
  wide[0] = 1;
  CHECK_EQUAL(weft_session_run(session, TOY_FAULTY, dims, inputs, NULL), WEFT_OK);
  CHECK_EQUAL(weft_session_length(session, 0, 1), 1);
}

static void restores_the_float_state(void) {
#if defined(__x86_64__)
  unsigned before = _mm_getcsr(), odd = 0x1f80 | 0x2000; /* rounding down, denormals kept */
  _mm_setcsr(odd);
  toy_saw_denormals = 0;
  CHECK_EQUAL(forward(2, 4, tokens, NULL, logits), WEFT_OK);
  CHECK_EQUAL(_mm_getcsr() & ~0x3fu, odd);
  CHECK_EQUAL(forward(2, 4, NULL, NULL, logits), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(_mm_getcsr() & ~0x3fu, odd);
  _mm_setcsr(before);
  CHECK_EQUAL(toy_saw_denormals, 0);
#endif
}

static void knows_broken_handles(void) {
  static char zeros[4096];
  int64_t dims[TOY_DIMS] = {1, 1, 0};
  CHECK_EQUAL(weft_session_run(NULL, 0, dims, NULL, NULL), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_session_expect(NULL, &toy_model), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_session_expect(session, NULL), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_session_expect(session, &toy_model), WEFT_OK);
  CHECK_EQUAL(weft_session_expect(session, &packed_model), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_session_error(session), "expected a session of 'packed' but got one of 'toy'");
  CHECK_EQUAL(weft_session_run((weft_session *)zeros, 0, dims, NULL, NULL), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_session_reset((weft_session *)zeros), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_session_length((weft_session *)zeros, 0, 0), -1);
  CHECK_TEXT(weft_session_error((weft_session *)zeros), "expected a session");
  weft_session_destroy(NULL);
  weft_session_destroy((weft_session *)zeros);
  CHECK_EQUAL(weft_session_create(NULL, dims, NULL, &(weft_session *){NULL}), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_session_create(model, dims, NULL, NULL), WEFT_ERR_ARGUMENT);
}

static void nested_run(weft_exec *exec) {
  (void)exec;
  toy_during_entry = NULL;
  CHECK_EQUAL(forward(1, 1, tokens, NULL, logits), WEFT_ERR_BUSY);
  CHECK_EQUAL(weft_session_reset(session), WEFT_ERR_BUSY);
}

static void is_busy_during_a_call(void) {
  toy_during_entry = nested_run;
  CHECK_EQUAL(forward(1, 1, tokens, NULL, logits), WEFT_OK);
  CHECK(!toy_during_entry);
  CHECK_EQUAL(forward(1, 1, tokens, NULL, logits), WEFT_OK);
}

static void creates_with_limits(void) {
  weft_session *other;
  static const int64_t bad[][TOY_DIMS] = {{0, 1, 0}, {9, 1, 0}, {1, 17, 0}, {1, 1, -1}, {1, 1, 33}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) {
    CHECK_EQUAL(weft_session_bytes(model, bad[i], NULL), -1);
    CHECK_EQUAL(weft_session_create(model, bad[i], NULL, &other), WEFT_ERR_DIM);
    if (i == 0) CHECK_TEXT(weft_session_error(other), "toy: B is 0, expected 1..8");
    CHECK_EQUAL(weft_session_run(other, 0, bad[i], NULL, NULL), WEFT_ERR_DIM);
    weft_session_destroy(other);
  }
  CHECK_EQUAL(weft_session_create(model, NULL, NULL, &other), WEFT_ERR_ARGUMENT);
  weft_session_destroy(other);
  weft_session_options options = {.threads = -1};
  const int64_t dims[TOY_DIMS] = {2, 3, 8};
  CHECK_EQUAL(weft_session_create(model, dims, &options, &other), WEFT_ERR_ARGUMENT);
  weft_session_destroy(other);
  CHECK_EQUAL(weft_entry_arena_bytes(model, TOY_FORWARD, dims), 64 + 2 * 3 * 4);
  CHECK_EQUAL(weft_entry_arena_bytes(model, TOY_FORWARD, bad[0]), -1);
  CHECK_EQUAL(weft_entry_arena_bytes(model, 77, dims), -1);
}

static void lives_in_the_callers_memory(void) {
  const int64_t dims[TOY_DIMS] = {2, 3, 8};
  weft_session_options options = {.threads = 1};
  int64_t bytes = weft_session_bytes(model, dims, &options);
  CHECK(bytes > 0);
  char *memory = malloc((size_t)bytes + 3);
  options.memory = memory + 3;
  options.memory_bytes = (size_t)bytes - 1;
  weft_session *other;
  CHECK_EQUAL(weft_session_create(model, dims, &options, &other), WEFT_ERR_MEMORY);
  CHECK_CONTAINS(weft_session_error(other), "bytes of memory but got");
  weft_session_destroy(other);
  options.memory_bytes = (size_t)bytes;
  CHECK_EQUAL(weft_session_create(model, dims, &options, &other), WEFT_OK);
  const void *inputs[] = {tokens, NULL};
  void *outputs[] = {logits};
  CHECK_EQUAL(weft_session_run(other, TOY_FORWARD, dims, inputs, outputs), WEFT_OK);
  weft_session_destroy(other);
  free(memory);
}

int main(void) {
  for (int i = 0; i < TOY_MAX_B * TOY_MAX_T; ++i) tokens[i] = i * 7 % TOY_VOCABULARY;
  tokens[100] = 0;
  model = toy_open(NULL);
  const int64_t dims[TOY_DIMS] = {TOY_MAX_B, TOY_MAX_T, 32};
  weft_session_options options = {.threads = 1};
  if (!model || weft_session_create(model, dims, &options, &session)) return 1;
  computes_the_entry();
  refuses_sizes();
  names_the_bad_element();
  fills_optional_inputs();
  refuses_pointers();
  keeps_caches();
  keeps_sequences_of_different_lengths();
  reports_faults_in_the_graph();
  restores_the_float_state();
  knows_broken_handles();
  is_busy_during_a_call();
  creates_with_limits();
  lives_in_the_callers_memory();
  CHECK_EQUAL(weft_model_close(model), WEFT_ERR_BUSY);
  CHECK_EQUAL(weft_model_init(model, 1), WEFT_ERR_BUSY);
  weft_session_destroy(session);
  CHECK_EQUAL(weft_model_close(model), WEFT_OK);
  return check_result();
}
