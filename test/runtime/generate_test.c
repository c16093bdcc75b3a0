/* Generation and sampling: greedy against the reference, distributions, seeds, stops, limits, refusals. */
#include "check.h"
#include "sample.h"
#include "toy.h"

#include <math.h>

static weft_model *model;
static weft_session *session;

static int32_t reference_next(const int32_t *line, int64_t count) {
  float logits[TOY_VOCABULARY];
  toy_reference(line, count, logits);
  int32_t best = 0;
  for (int32_t i = 1; i < TOY_VOCABULARY; ++i)
    if (logits[i] > logits[best]) best = i;
  return best;
}

static weft_generate_options defaults(void) {
  weft_generate_options options;
  CHECK_EQUAL(weft_generate_defaults(model, 0, &options), WEFT_OK);
  return options;
}

static void follows_the_reference(void) {
  weft_generate_options options = defaults();
  CHECK_EQUAL(options.max_new_tokens, 6);
  CHECK_EQUAL(options.stops, 1);
  options.stops = 0;
  const int32_t prompts[3][5] = {{3, 1, 4, 1, 5}, {9}, {2, 6}};
  const int64_t lengths[3] = {5, 1, 2};
  int32_t results[3][8];
  weft_sequence sequences[3];
  for (int b = 0; b < 3; ++b) sequences[b] = (weft_sequence){prompts[b], lengths[b], results[b], 8, 0, 0};
  for (int round = 0; round < 2; ++round) { /* the second starts anew */
    CHECK_EQUAL(weft_session_generate(session, 0, &options, sequences, 3), WEFT_OK);
    for (int b = 0; b < 3; ++b) {
      int32_t line[16];
      int64_t count = lengths[b];
      memcpy(line, prompts[b], (size_t)count * sizeof *line);
      CHECK_EQUAL(sequences[b].count, 6);
      CHECK_EQUAL(sequences[b].stopped, WEFT_STOP_LENGTH);
      for (int i = 0; i < 6; ++i) {
        line[count] = reference_next(line, count);
        CHECK_EQUAL(results[b][i], line[count]);
        ++count;
      }
      /* The last token was not fed. */
      CHECK_EQUAL(weft_session_length(session, 0, b), lengths[b] + 5);
    }
  }
}

static void stops(void) {
  weft_generate_options options = defaults();
  const int32_t prompt[2] = {3, 1};
  int32_t line[8] = {3, 1}, results[2][8];
  for (int i = 2; i < 8; ++i) line[i] = reference_next(line, i);
  /* The first token that did not occur before it. */
  int at = 2;
  for (int i = 3; i < 8; ++i) {
    int fresh = 1;
    for (int j = 2; j < i; ++j) fresh = fresh && line[j] != line[i];
    if (fresh) at = i;
  }
  const int64_t stop[2] = {1000, line[at]};
  options.stop = stop;
  options.stops = 2;
  const int32_t other[1] = {7};
  weft_sequence sequences[2] = {{prompt, 2, results[0], 8, 0, 0}, {other, 1, results[1], 3, 0, 0}};
  CHECK_EQUAL(weft_session_generate(session, 0, &options, sequences, 2), WEFT_OK);
  CHECK_EQUAL(sequences[0].count, at - 2);
  CHECK_EQUAL(sequences[0].stopped, WEFT_STOP_END);
  CHECK_EQUAL(weft_session_length(session, 0, 0), at);
  CHECK(sequences[1].count <= 3);
  options.stops = 0;
  options.max_new_tokens = 0;
  CHECK_EQUAL(weft_session_generate(session, 0, &options, sequences, 2), WEFT_OK);
  CHECK_EQUAL(sequences[0].count, 0);
  /* Until the cache is full: 12 positions hold the prompt and all tokens but the last. */
  options.max_new_tokens = 100;
  sequences[0].tokens = NULL;
  sequences[1].capacity = 2;
  CHECK_EQUAL(weft_session_generate(session, 0, &options, sequences, 2), WEFT_OK);
  CHECK_EQUAL(sequences[0].count, TOY_CAPACITY - 2 + 1);
  CHECK_EQUAL(sequences[0].stopped, WEFT_STOP_LENGTH);
  CHECK_EQUAL(weft_session_length(session, 0, 0), TOY_CAPACITY);
  CHECK_EQUAL(sequences[1].count, 2);
  CHECK_EQUAL(weft_session_length(session, 0, 1), 2);
}

typedef struct heard {
  int64_t calls;
  int32_t tokens[8][8];
} heard;
static int hear(void *user, int64_t sequence, int64_t index, int32_t token) {
  heard *h = user;
  ++h->calls;
  h->tokens[sequence][index] = token;
  return sequence == 1 && index == 1;
}

static void calls_back(void) {
  weft_generate_options options = defaults();
  heard h = {0, {{0}}};
  options.stops = 0;
  options.on_token = hear;
  options.on_token_user = &h;
  const int32_t prompt[2] = {3, 1};
  int32_t results[2][8];
  weft_sequence sequences[2] = {{prompt, 2, results[0], 8, 0, 0}, {prompt, 1, results[1], 8, 0, 0}};
  CHECK_EQUAL(weft_session_generate(session, 0, &options, sequences, 2), WEFT_OK);
  CHECK_EQUAL(h.calls, 8);
  CHECK_EQUAL(sequences[1].count, 2);
  CHECK_EQUAL(sequences[1].stopped, WEFT_STOP_CALLER);
  CHECK(!memcmp(h.tokens[0], results[0], 6 * sizeof(int32_t)));
}

static void appends(void) {
  weft_generate_options options = defaults();
  options.stops = 0;
  options.max_new_tokens = 2;
  const int32_t first[2] = {3, 1};
  int32_t results[4], line[16] = {3, 1};
  weft_sequence sequence = {first, 2, results, 4, 0, 0};
  CHECK_EQUAL(weft_session_generate(session, 0, &options, &sequence, 1), WEFT_OK);
  line[2] = results[0];
  const int32_t second[3] = {results[1], 8, 2};
  memcpy(line + 3, second, sizeof second);
  sequence = (weft_sequence){second, 3, results, 4, 0, 0};
  options.append = 1;
  CHECK_EQUAL(weft_session_generate(session, 0, &options, &sequence, 1), WEFT_OK);
  CHECK_EQUAL(results[0], reference_next(line, 6));
  CHECK_EQUAL(weft_session_length(session, 0, 0), 7);
}

static void feeds_long_prompts_in_parts(void) {
  const int64_t dims[TOY_DIMS] = {2, 3, 0};
  weft_session *small;
  int32_t a[8] = {3, 1, 4, 1, 5, 9, 2, 6}, b[3] = {2, 7, 1}, results[2][4];
  weft_generate_options options = defaults();
  options.stops = 0;
  options.max_new_tokens = 1;
  CHECK_EQUAL(weft_session_create(model, dims, NULL, &small), WEFT_OK);
  weft_sequence sequences[2] = {{a, 8, results[0], 4, 0, 0}, {b, 3, results[1], 4, 0, 0}};
  CHECK_EQUAL(weft_session_generate(small, 0, &options, sequences, 2), WEFT_OK);
  CHECK_EQUAL(results[0][0], reference_next(a, 8));
  CHECK_EQUAL(results[1][0], reference_next(b, 3));
  sequences[1].prompt_length = 2;
  CHECK_EQUAL(weft_session_generate(small, 0, &options, sequences, 2), WEFT_ERR_LENGTH);
  CHECK_EQUAL(weft_session_generate(small, 0, &options, sequences, 1), WEFT_OK);
  weft_session_destroy(small);
}

static int calls_before_fault;
static void fault_later(weft_exec *exec) {
  if (calls_before_fault-- == 0) exec->fault[0] = 1;
}

/* Three calls are needed for 8 tokens; `calls` of them succeed before one fails in the graph. */
static void expect_lengths_after_a_fault(weft_session *small, int append, int32_t sample, int calls, int64_t wanted) {
  static const int32_t prompt[8] = {3, 1, 4, 1, 5, 9, 2, 6};
  weft_generate_options options = defaults();
  weft_sequence sequences[2] = {{prompt, 2, NULL, 0, 0, 0}, {prompt, 3, NULL, 0, 0, 0}};
  options.max_new_tokens = 0;
  CHECK_EQUAL(weft_session_generate(small, 0, &options, sequences, 2), WEFT_OK);
  options.append = append;
  options.sample = sample;
  options.beams = 2;
  sequences[0].prompt_length = 8;
  calls_before_fault = calls;
  toy_during_entry = fault_later;
  CHECK_EQUAL(weft_session_generate(small, 0, &options, sequences, 1), WEFT_ERR_INDEX);
  toy_during_entry = NULL;
  CHECK_EQUAL(weft_session_length(small, 0, 0), wanted);
  CHECK_EQUAL(weft_session_length(small, 0, 1), 3);
}

static void a_prompt_is_stored_whole_or_not_at_all(void) {
  const int64_t dims[TOY_DIMS] = {2, 3, 0};
  weft_session *small;
  CHECK_EQUAL(weft_session_create(model, dims, NULL, &small), WEFT_OK);
  for (int calls = 0; calls < 3; ++calls)
    for (int beam = 0; beam < 2; ++beam) {
      expect_lengths_after_a_fault(small, 1, beam ? WEFT_SAMPLE_BEAM : WEFT_SAMPLE_GREEDY, calls, 2);
      expect_lengths_after_a_fault(small, 0, beam ? WEFT_SAMPLE_BEAM : WEFT_SAMPLE_GREEDY, calls, 0);
    }
  /* What a failed call left: the text goes on as if it had not been. */
  int32_t line[6] = {3, 1, 8, 2, 7}, results[2];
  weft_generate_options options = defaults();
  options.stops = 0;
  options.max_new_tokens = 1;
  expect_lengths_after_a_fault(small, 1, WEFT_SAMPLE_GREEDY, 1, 2);
  options.append = 1;
  weft_sequence sequence = {line + 2, 3, results, 2, 0, 0};
  CHECK_EQUAL(weft_session_generate(small, 0, &options, &sequence, 1), WEFT_OK);
  CHECK_EQUAL(results[0], reference_next(line, 5));
  /* A wrong token is named by its place in the prompt, and seen before anything is lost. */
  const int32_t wrong[8] = {3, 1, 4, 1, 5, 11, 2, 6};
  sequence = (weft_sequence){wrong, 8, results, 2, 0, 0};
  for (options.append = 0; options.append < 2; ++options.append) {
    if (options.append) CHECK_EQUAL(weft_session_rewind(small, 0, 0, 4), WEFT_OK);
    const int64_t length = weft_session_length(small, 0, 0);
    CHECK_EQUAL(weft_session_generate(small, 0, &options, &sequence, 1), WEFT_ERR_INDEX);
    CHECK_TEXT(weft_session_error(small), "toy_generate: token 5 of the prompt of sequence 0 is 11, expected 0..10");
    CHECK_EQUAL(weft_session_length(small, 0, 0), length);
  }
  weft_session_destroy(small);
}

static void refuses(void) {
  const int32_t prompt[20] = {3, 1};
  weft_sequence sequence = {prompt, 2, NULL, 0, 0, 0};
  weft_generate_options options = defaults();
#define REFUSED(change, wanted)                                                              \
  do {                                                                                       \
    options = defaults();                                                                    \
    change;                                                                                  \
    CHECK_EQUAL(weft_session_generate(session, 0, &options, &sequence, 1), wanted);          \
    CHECK(weft_session_error(session)[0]);                                                   \
  } while (0)
  REFUSED(options.sample = 9, WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_session_error(session), "toy_generate: expected a weft_sample_kind but got 9");
  REFUSED(options.sample = -1, WEFT_ERR_ARGUMENT);
  REFUSED(options.k = -1, WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_session_error(session), "toy_generate: expected k of at least 0 but got -1");
  REFUSED(options.stops = -1, WEFT_ERR_ARGUMENT);
  REFUSED(options.temperature = -1, WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_session_error(session), "toy_generate: expected a temperature of at least 0 but got -1");
  REFUSED(options.temperature = NAN, WEFT_ERR_ARGUMENT);
  REFUSED(options.temperature = INFINITY, WEFT_ERR_ARGUMENT);
  REFUSED((options.sample = WEFT_SAMPLE_TOP_K, options.k = 0), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_session_error(session), "toy_generate: expected k of at least 1 but got 0");
  REFUSED((options.sample = WEFT_SAMPLE_TOP_P, options.p = 0), WEFT_ERR_ARGUMENT);
  REFUSED((options.sample = WEFT_SAMPLE_TOP_P, options.p = 1.5), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_session_error(session), "toy_generate: expected p above 0 and at most 1 but got 1.5");
  REFUSED((options.sample = WEFT_SAMPLE_TOP_P, options.p = NAN), WEFT_ERR_ARGUMENT);
  REFUSED(options.max_new_tokens = -1, WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_session_error(session), "toy_generate: expected max_new_tokens of at least 0 but got -1");
  REFUSED((options.stops = 1, options.stop = NULL), WEFT_ERR_ARGUMENT);
  REFUSED(sequence.prompt_length = 0, WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_session_error(session), "toy_generate: the prompt of sequence 0 is empty");
  sequence.prompt_length = 2;
  REFUSED(sequence.prompt = NULL, WEFT_ERR_ARGUMENT);
  sequence.prompt = prompt;
  int32_t place[1];
  REFUSED((sequence.tokens = place, sequence.capacity = -1), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_session_error(session), "toy_generate: expected a capacity of at least 0");
  sequence.tokens = NULL;
  sequence.capacity = 0;
  CHECK_EQUAL(weft_session_generate(session, 0, NULL, &(weft_sequence){prompt, 3, NULL, 0, 0, 0}, 1), WEFT_OK);
  int64_t held = weft_session_length(session, 0, 0);
  REFUSED((sequence.prompt_length = 13), WEFT_ERR_LENGTH); /* larger than the cache */
  CHECK_TEXT(weft_session_error(session), "toy_generate: the prompt of sequence 0 has 13 tokens, expected at most 12: 'kv' holds 0 of 12 positions");
  CHECK_EQUAL(weft_session_length(session, 0, 0), held);
  sequence.prompt_length = 2;
  options = defaults();
  const int32_t bad[2] = {3, 11};
  sequence.prompt = bad;
  CHECK_EQUAL(weft_session_generate(session, 0, &options, &sequence, 1), WEFT_ERR_INDEX);
  CHECK_TEXT(weft_session_error(session), "toy_generate: token 1 of the prompt of sequence 0 is 11, expected 0..10");
  sequence.prompt = prompt;
  CHECK_EQUAL(weft_session_generate(session, 1, &options, &sequence, 1), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_session_generate(session, -1, &options, &sequence, 1), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_session_generate(session, 0, &options, &sequence, 9), WEFT_ERR_DIM);
  CHECK_EQUAL(weft_session_generate(session, 0, &options, &sequence, 0), WEFT_ERR_DIM);
  CHECK_EQUAL(weft_session_generate(session, 0, &options, NULL, 1), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_session_error(session), "toy_generate: expected sequences but got NULL");
  CHECK_EQUAL(weft_session_generate(NULL, 0, &options, &sequence, 1), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_session_generate(session, 0, &options, &sequence, 1), WEFT_OK);
}

static void samples_reproducibly(void) {
  weft_generate_options options = defaults();
  options.stops = 0;
  options.sample = WEFT_SAMPLE_MULTINOMIAL;
  options.seed = 5;
  const int32_t prompt[2] = {3, 1};
  int32_t results[3][8], again[8];
  weft_sequence sequences[3];
  for (int b = 0; b < 3; ++b) sequences[b] = (weft_sequence){prompt, 2, results[b], 8, 0, 0};
  CHECK_EQUAL(weft_session_generate(session, 0, &options, sequences, 3), WEFT_OK);
  CHECK(memcmp(results[0], results[1], 24) || memcmp(results[0], results[2], 24));
  /* Sequence 0 is the same without its neighbours. */
  sequences[0].tokens = again;
  CHECK_EQUAL(weft_session_generate(session, 0, &options, sequences, 1), WEFT_OK);
  CHECK(!memcmp(results[0], again, 24));
  options.seed = 6;
  CHECK_EQUAL(weft_session_generate(session, 0, &options, sequences, 1), WEFT_OK);
  options.temperature = 0;
  CHECK_EQUAL(weft_session_generate(session, 0, &options, sequences, 1), WEFT_OK);
  CHECK_EQUAL(again[0], reference_next(prompt, 2));
}

/* Relative frequency of each token over many positions. */
static void frequencies(const weft_sampling *sampling, const float *row, int64_t count, double *out) {
  enum { DRAWS = 40000 };
  uint64_t heap[64];
  memset(out, 0, (size_t)count * sizeof *out);
  for (int64_t position = 0; position < DRAWS; ++position) {
    int64_t token = weft_sample(sampling, row, count, 0, position, heap);
    if (token < 0 || token >= count) {
      CHECK(!"a token");
      return;
    }
    out[token] += 1.0 / DRAWS;
  }
}

static void draws_by_probability(void) {
  const float row[6] = {logf(0.1f), logf(0.4f), logf(0.05f), logf(0.25f), logf(0.15f), logf(0.05f)};
  double f[6];
  frequencies(&(weft_sampling){WEFT_SAMPLE_MULTINOMIAL, 1, 1, 0, 1}, row, 6, f);
  for (int i = 0; i < 6; ++i) CHECK(fabs(f[i] - exp(row[i])) < 0.01);
  frequencies(&(weft_sampling){WEFT_SAMPLE_TOP_K, 1, 1, 2, 1}, row, 6, f);
  CHECK(fabs(f[1] - 0.4 / 0.65) < 0.01 && fabs(f[3] - 0.25 / 0.65) < 0.01);
  frequencies(&(weft_sampling){WEFT_SAMPLE_TOP_K, 1, 1, 5, 1}, row, 6, f);
  CHECK(f[2] > 0.03 && f[5] == 0); /* of equal ones, the lower index is kept */
  frequencies(&(weft_sampling){WEFT_SAMPLE_TOP_K, 1, 1, 100, 1}, row, 6, f);
  CHECK(f[5] > 0.03);
  frequencies(&(weft_sampling){WEFT_SAMPLE_TOP_P, 1, 0.5, 0, 1}, row, 6, f);
  CHECK(fabs(f[1] + f[3] - 1) < 1e-9 && fabs(f[1] - 0.4 / 0.65) < 0.01);
  frequencies(&(weft_sampling){WEFT_SAMPLE_TOP_P, 1, 0.01, 0, 1}, row, 6, f);
  CHECK(f[1] == 1 || fabs(f[1] - 1) < 1e-9);
  frequencies(&(weft_sampling){WEFT_SAMPLE_TOP_P, 1, 1, 0, 1}, row, 6, f);
  for (int i = 0; i < 6; ++i) CHECK(fabs(f[i] - exp(row[i])) < 0.01);
  frequencies(&(weft_sampling){WEFT_SAMPLE_TOP_P, 1, 0.9, 2, 1}, row, 6, f);
  CHECK(fabs(f[1] + f[3] - 1) < 1e-9);
  frequencies(&(weft_sampling){WEFT_SAMPLE_TOP_P, 1, 0.5, 2, 1}, row, 6, f);
  CHECK(fabs(f[1] - 1) < 1e-9);
  frequencies(&(weft_sampling){WEFT_SAMPLE_MULTINOMIAL, 0.5, 1, 0, 1}, row, 6, f);
  CHECK(fabs(f[1] - 0.16 / 0.26) < 0.01);
  frequencies(&(weft_sampling){WEFT_SAMPLE_MULTINOMIAL, 1e-300, 1, 0, 1}, row, 6, f);
  CHECK(fabs(f[1] - 1) < 1e-9);
}

static void handles_special_logits(void) {
  uint64_t heap[8];
  const float nan[3] = {0, NAN, 1}, low[3] = {-INFINITY, -INFINITY, -INFINITY}, high[3] = {0, INFINITY, INFINITY}, zeros[3] = {-0.0f, 0.0f, -1};
  const float masked[4] = {-INFINITY, 1, -INFINITY, 1};
  for (int kind = WEFT_SAMPLE_GREEDY; kind <= WEFT_SAMPLE_TOP_P; ++kind) {
    weft_sampling sampling = {kind, 1, 0.9, 2, 3};
    CHECK_EQUAL(weft_sample(&sampling, nan, 3, 0, 0, heap), -1);
    CHECK_EQUAL(weft_sample(&sampling, low, 3, 0, 0, heap), -1);
    CHECK_EQUAL(weft_sample(&sampling, low, 0, 0, 0, heap), -1);
    for (int64_t position = 0; position < 50; ++position) {
      CHECK(weft_sample(&sampling, high, 3, 0, position, heap) >= 1);
      CHECK(weft_sample(&sampling, masked, 4, 0, position, heap) % 2 == 1);
    }
  }
  CHECK_EQUAL(weft_argmax(zeros, 3), 0);
  CHECK_EQUAL(weft_argmax(high, 3), 1);
}

static weft_status with_bias(float value) {
  float bias[TOY_VOCABULARY];
  for (int i = 0; i < TOY_VOCABULARY; ++i) bias[i] = value;
  weft_model *other = toy_open(NULL);
  weft_session *s;
  const int64_t dims[TOY_DIMS] = {1, 4, 0};
  const int32_t prompt[1] = {3};
  weft_sequence sequence = {prompt, 1, NULL, 0, 0, 0};
  CHECK_EQUAL(weft_model_set(other, "out.bias", bias, sizeof bias), WEFT_OK);
  CHECK_EQUAL(weft_session_create(other, dims, NULL, &s), WEFT_OK);
  weft_status status = weft_session_generate(s, 0, NULL, &sequence, 1);
  if (status) CHECK_TEXT(weft_session_error(s), "toy_generate: the logits of sequence 0 at position 1 hold NaN or nothing finite");
  weft_session_destroy(s);
  weft_model_close(other);
  return status;
}

/* ---- A model of another make: i64 tokens, all rows of f16 logits from prefill, [B, V] of bf16 from the step. -------- */

enum { OTHER_B, OTHER_T, OTHER_S, OTHER_VOCABULARY = 13 };

static int64_t other_next(int64_t token, int64_t position) { return (token * 7 + position * 3 + 5) % OTHER_VOCABULARY; }

/* The largest logit of a row stands at other_next. */
static void other_row(uint16_t *to, int32_t dtype, int64_t token, int64_t position) {
  for (int64_t v = 0; v < OTHER_VOCABULARY; ++v) {
    float value = v == other_next(token, position) ? 2 : -(float)v;
    weft_convert(to + v, dtype, &value, WEFT_F32, 1);
  }
}
static void other_prefill(weft_exec *exec) {
  const int64_t *tokens = exec->inputs[0];
  for (int64_t b = 0; b < exec->dims[OTHER_B]; ++b)
    for (int64_t t = 0; t < exec->dims[OTHER_T]; ++t) {
      int64_t i = b * exec->dims[OTHER_T] + t;
      other_row((uint16_t *)exec->outputs[0] + i * OTHER_VOCABULARY, WEFT_F16, tokens[i], exec->caches[0].lengths[b] + t);
    }
}
static void other_step(weft_exec *exec) {
  const int64_t *tokens = exec->inputs[0];
  for (int64_t b = 0; b < exec->dims[OTHER_B]; ++b)
    other_row((uint16_t *)exec->outputs[0] + b * OTHER_VOCABULARY, WEFT_BF16, tokens[b], exec->caches[0].lengths[b]);
}
static void other_plan(const int64_t *dims, int64_t *offsets) {
  (void)dims;
  offsets[0] = offsets[1] = 0;
}
static void other_prefill_shapes(const int64_t *d, int64_t *sizes) {
  const int64_t all[] = {d[OTHER_B], d[OTHER_T], d[OTHER_B], d[OTHER_S], d[OTHER_B], d[OTHER_T], OTHER_VOCABULARY};
  memcpy(sizes, all, sizeof all);
}
static void other_step_shapes(const int64_t *d, int64_t *sizes) {
  const int64_t all[] = {d[OTHER_B], d[OTHER_T], d[OTHER_B], OTHER_VOCABULARY};
  memcpy(sizes, all, sizeof all);
}

static void generates_with_other_types(void) {
  static const char *const bt[] = {"B", "T"}, *const bs[] = {"B", "S"}, *const btv[] = {"B", "T", "13"}, *const bv[] = {"B", "13"};
  static const weft_dim_desc dims[] = {{"B", 1, 4, 1, 1}, {"T", 1, 8, 8, 4}, {"S", 1, 3, 3, 1}};
  static const weft_tensor_desc inputs[] = {{"tokens", bt, 2, WEFT_I64, {OTHER_B, OTHER_T}, 0, 1, 0, OTHER_VOCABULARY - 1, 0},
                                            {"source", bs, 2, WEFT_I8, {OTHER_B, OTHER_S}, 0, 1, -3, 3, 0}};
  static const weft_tensor_desc all_rows[] = {{"logits", btv, 3, WEFT_F16, {OTHER_B, OTHER_T, -1}, 0, 0, 0, 0, 0}};
  static const weft_tensor_desc one_row[] = {{"logits", bv, 2, WEFT_BF16, {OTHER_B, -1}, 0, 0, 0, 0, 0}};
  static const int32_t first[] = {0, 1};
  static const int64_t fixed[] = {0, 1, 0};
  static const weft_state_desc states[] = {{"kv", 1, 1, 2, 20, WEFT_F16}, {"extra", 1, 1, 1, 30, WEFT_F32}};
  weft_entry_desc entries[] = {{"prefill", 2, 1, first, all_rows, 3, OTHER_T, OTHER_B, NULL, 0, 0, 0, 0, NULL, NULL, other_prefill_shapes},
                               {"step", 1, 1, first, one_row, 3, OTHER_T, OTHER_B, fixed, 0, 0, 0, 0, NULL, NULL, other_step_shapes}};
  static const weft_entry_fn functions[] = {other_prefill, other_step};
  static const weft_plan_fn plans[] = {other_plan, other_plan};
  static const weft_variant_desc variants[] = {{"baseline", 0, 0, NULL, NULL, functions, plans}};
  weft_generate_desc generates[] = {{"generate", 0, 1, 0, 5, NULL, 0, WEFT_SAMPLE_GREEDY, 1, 1, 1, 0, 1, 0}};
  weft_model_desc desc = toy_model;
  desc.name = "other";
  desc.dims = 3, desc.dim = dims;
  desc.inputs = 2, desc.input = inputs;
  desc.params = 0;
  desc.states = 2, desc.state = states;
  desc.entries = 2, desc.entry = entries;
  desc.generates = 1, desc.generate = generates;
  desc.variants = 1, desc.variant = variants;
  weft_model *other;
  weft_session *s;
  const int64_t largest[] = {3, 8, 3}, sizes[] = {0, 0, 2};
  CHECK_EQUAL(weft_model_open(&desc, NULL, &other), WEFT_OK);
  CHECK_EQUAL(weft_session_create(other, largest, NULL, &s), WEFT_OK);
  weft_generate_options options;
  CHECK_EQUAL(weft_generate_defaults(other, 0, &options), WEFT_OK);
  const int32_t prompts[3][11] = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, {3, 4}, {12, 1, 0, 5, 2}};
  const int64_t lengths[3] = {11, 2, 5};
  int32_t results[3][8];
  weft_sequence sequences[3];
  for (int b = 0; b < 3; ++b) sequences[b] = (weft_sequence){prompts[b], lengths[b], results[b], 8, 0, 0};
  CHECK_EQUAL(weft_session_generate(s, 0, &options, sequences, 3), WEFT_ERR_ARGUMENT);
  CHECK_CONTAINS(weft_session_error(s), "expected the sizes of the other dims");
  static const int8_t source[6] = {1, 2, 3, -3, 0, 1};
  const void *extra[] = {NULL, source};
  options.dims = sizes;
  CHECK_EQUAL(weft_session_generate(s, 0, &options, sequences, 3), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_session_error(s), "other_prefill: missing input 'source'");
  options.prefill_inputs = extra;
  CHECK_EQUAL(weft_session_generate(s, 0, &options, sequences, 3), WEFT_OK);
  for (int b = 0; b < 3; ++b) {
    int64_t token = prompts[b][lengths[b] - 1];
    CHECK_EQUAL(sequences[b].count, 5);
    for (int i = 0; i < 5; ++i) {
      token = other_next(token, lengths[b] - 1 + i);
      CHECK_EQUAL(results[b][i], token);
    }
    CHECK_EQUAL(weft_session_length(s, 1, b), lengths[b] + 4);
  }
  /* A call that is refused has not emptied the caches. */
  options.prefill_inputs = NULL;
  CHECK_EQUAL(weft_session_generate(s, 0, &options, sequences, 3), WEFT_ERR_ARGUMENT);
  for (int b = 0; b < 3; ++b) CHECK_EQUAL(weft_session_length(s, 1, b), lengths[b] + 4);
  options.prefill_inputs = extra;
  static const int8_t bad[6] = {1, 2, 4};
  extra[1] = bad;
  CHECK_EQUAL(weft_session_generate(s, 0, &options, sequences, 3), WEFT_ERR_INDEX);
  CHECK_TEXT(weft_session_error(s), "other_prefill: source[1, 0] is 4, expected -3..3");
  weft_session_destroy(s);
  /* Entries that cannot be generated with. */
  entries[1].states = 0;
  CHECK_EQUAL(weft_session_create(other, largest, NULL, &s), WEFT_OK);
  CHECK_EQUAL(weft_session_generate(s, 0, &options, sequences, 3), WEFT_ERR_UNSUPPORTED);
  weft_session_destroy(s);
  weft_model_close(other);
  generates[0].step = 2;
  CHECK_EQUAL(weft_model_open(&desc, NULL, &other), WEFT_ERR_ABI);
  weft_model_close(other);
}

int main(void) {
  model = toy_open(NULL);
  const int64_t dims[TOY_DIMS] = {TOY_MAX_B, TOY_MAX_T, 0};
  if (!model || weft_session_create(model, dims, NULL, &session)) return 1;
  follows_the_reference();
  stops();
  calls_back();
  appends();
  feeds_long_prompts_in_parts();
  a_prompt_is_stored_whole_or_not_at_all();
  refuses();
  samples_reproducibly();
  draws_by_probability();
  handles_special_logits();
  generates_with_other_types();
  CHECK_EQUAL(with_bias(NAN), WEFT_ERR_NUMERIC);
  CHECK_EQUAL(with_bias(-INFINITY), WEFT_ERR_NUMERIC);
  CHECK_EQUAL(with_bias(1), WEFT_OK);
  weft_session_destroy(session);
  weft_model_close(model);
  return check_result();
}
