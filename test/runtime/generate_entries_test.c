/* Generation with entries of every kind: those that can't generate are refused with a reason, unusual ones give the tokens of
 * the reference. */
#include "check.h"
#include "copies.h"
#include "toy.h"

#include <stdbool.h>
#include <stdlib.h>

static const int32_t prompt[6] = {3, 1, 4, 1, 5, 9};
enum { NEW = 5 };

static void expect_reference(const int32_t *got, int64_t length) {
  int32_t line[TOY_CAPACITY];
  float logits[TOY_VOCABULARY];
  memcpy(line, prompt, (size_t)length * sizeof *line);
  for (int64_t i = 0; i < NEW; ++i) {
    int32_t best = 0;
    toy_reference(line, length + i, logits);
    for (int32_t v = 1; v < TOY_VOCABULARY; ++v)
      if (logits[v] > logits[best]) best = v;
    CHECK_EQUAL(got[i], best);
    line[length + i] = best;
  }
}

typedef struct outcome {
  weft_status status;
  char text[300];
  weft_sequence sequence;
  int32_t tokens[16];
  int64_t lengths[2];
} outcome;

/* Generates with a changed toy; `dims`: the session's largest. */
static outcome generate(copies *c, const int64_t *dims, int64_t length, int64_t most, int32_t sample) {
  outcome o = {0};
  weft_model *model;
  weft_session *session;
  weft_generate_options options;
  CHECK_EQUAL(weft_model_open(&c->desc, NULL, &model), WEFT_OK);
  CHECK_EQUAL(toy_set_parameters(model), WEFT_OK);
  CHECK_EQUAL(weft_generate_defaults(model, 0, &options), WEFT_OK);
  options.stops = 0;
  options.max_new_tokens = most;
  options.sample = sample;
  options.beams = 2;
  options.k = 1; /* greedy, by another name */
  CHECK_EQUAL(weft_session_create(model, dims, NULL, &session), WEFT_OK);
  o.sequence = (weft_sequence){prompt, length, o.tokens, 16, 0, 0};
  o.status = weft_session_generate(session, 0, &options, &o.sequence, 1);
  snprintf(o.text, sizeof o.text, "%s", weft_session_error(session));
  for (int i = 0; i < 2; ++i) o.lengths[i] = weft_session_length(session, i, 0);
  weft_session_destroy(session);
  CHECK_EQUAL(weft_model_close(model), WEFT_OK);
  return o;
}

static const int64_t usual[65] = {2, TOY_MAX_T, 0};
static const char *what;
#define CHANGE(statement) \
  if (number == at++) {   \
    what = #statement;    \
    statement;            \
    return true;          \
  }

/* ---- Refused ----------------------------------------------------------------------------------------------------- */

static const int32_t none[65];
static weft_tensor_desc logits_desc;
static weft_tensor_desc *changed(const copies *c) {
  logits_desc = c->entries[TOY_DECODE].output[0];
  return &logits_desc;
}
static bool cannot_generate(copies *c, int number) {
  int at = 0;
  CHANGE(c->entries[TOY_PREFILL].outputs = 0)
  CHANGE(c->entries[TOY_DECODE].states = 0)
  CHANGE(c->entries[TOY_DECODE].token_dim = -1)
  CHANGE((c->entries[TOY_DECODE].output = changed(c), logits_desc.rank = 0))
  CHANGE((c->entries[TOY_DECODE].output = changed(c), logits_desc.rank = 1))
  CHANGE((c->entries[TOY_DECODE].output = changed(c), logits_desc.rank = 4))
  CHANGE((c->entries[TOY_DECODE].output = changed(c), logits_desc.dtype = WEFT_I32))
  CHANGE(c->inputs[0].dtype = WEFT_I8)
  CHANGE((c->entries[TOY_PREFILL].inputs = 65, c->entries[TOY_PREFILL].input_index = none))
  CHANGE((c->entries[TOY_DECODE].inputs = 65, c->entries[TOY_DECODE].input_index = none))
  return false;
}

/* Shapes that say something else for a batch of 1 than for the session's 2. */
static void shapes(const int64_t *dims, int64_t *sizes) { toy_model.entry[TOY_DECODE].shapes(dims, sizes); }
static void twice_the_tokens(const int64_t *dims, int64_t *sizes) { shapes(dims, sizes), sizes[1] = dims[TOY_B] == 1 ? 2 * dims[TOY_T] : dims[TOY_T]; }
static void few_tokens(const int64_t *dims, int64_t *sizes) { shapes(dims, sizes), sizes[1] = dims[TOY_B] == 1 ? dims[TOY_T] : 0; }
static void many_logits(const int64_t *dims, int64_t *sizes) { shapes(dims, sizes), sizes[4] = dims[TOY_B] == 1 ? 1000 : TOY_VOCABULARY; }
static void more_words(const int64_t *dims, int64_t *sizes) { shapes(dims, sizes), sizes[4] = dims[TOY_B] == 1 ? TOY_VOCABULARY + 1 : TOY_VOCABULARY; }
static void no_words(const int64_t *dims, int64_t *sizes) { shapes(dims, sizes), sizes[4] = dims[TOY_B] == 1 ? 0 : TOY_VOCABULARY; }
static bool has_wrong_shapes(copies *c, int number) {
  int at = 0;
  CHANGE(c->generate.token_input = 4) /* no input of these entries */
  CHANGE(c->entries[TOY_PREFILL].shapes = twice_the_tokens)
  CHANGE((c->entries[TOY_PREFILL].shapes = c->entries[TOY_DECODE].shapes = c->entries[TOY_FORWARD].shapes = few_tokens, c->entries[TOY_FORWARD].input_index = none + 1, c->entries[TOY_FORWARD].inputs = 1))
  CHANGE(c->entries[TOY_PREFILL].shapes = many_logits)
  CHANGE(c->entries[TOY_PREFILL].shapes = more_words)
  CHANGE(c->entries[TOY_PREFILL].shapes = no_words)
  CHANGE(c->entries[TOY_DECODE].shapes = no_words)
  return false;
}

static void expect_all(bool (*change)(copies *, int), const char *text) {
  for (int number = 0;; ++number) {
    copies *c = copies_of(&toy_model, 1);
    bool more = change(c, number);
    if (more) {
      outcome o = generate(c, usual, 3, NEW, WEFT_SAMPLE_GREEDY);
      if (o.status != WEFT_ERR_UNSUPPORTED) fprintf(stderr, "%s: status %d\n", what, o.status);
      CHECK_EQUAL(o.status, WEFT_ERR_UNSUPPORTED);
      CHECK_CONTAINS(o.text, text);
    }
    free(c);
    if (!more) break;
  }
}

static void too_many_dims(void) {
  static weft_dim_desc dims[65];
  copies *c = copies_of(&toy_model, 1);
  for (int d = 0; d < 65; ++d) dims[d] = (weft_dim_desc){"D", 0, 4, 1, 1};
  memcpy(dims, toy_model.dim, TOY_DIMS * sizeof *dims);
  c->desc.dims = 65;
  c->desc.dim = dims;
  outcome o = generate(c, usual, 3, NEW, WEFT_SAMPLE_GREEDY);
  CHECK_EQUAL(o.status, WEFT_ERR_UNSUPPORTED);
  CHECK_CONTAINS(o.text, "at most 64 dims and inputs");
  free(c);
}

static void a_session_without_tokens(void) {
  copies *c = copies_of(&toy_model, 1);
  c->dims[TOY_T].min = 0;
  outcome o = generate(c, (const int64_t[]){2, 0, 0}, 3, NEW, WEFT_SAMPLE_GREEDY);
  CHECK_EQUAL(o.status, WEFT_ERR_LENGTH);
  CHECK_CONTAINS(o.text, "needs a session for more than 0 tokens a call");
  free(c);
}

/* ---- Unusual, but the same tokens ------------------------------------------------------------------------------------ */

static const int64_t four_tokens[] = {0, 4, 0}, any_tokens[] = {0, 0, 0}, another[] = {0, 1, 4};
static bool is_unusual(copies *c, int number) {
  int at = 0;
  CHANGE(c->entries[TOY_PREFILL].fixed_dims = four_tokens)
  CHANGE(c->entries[TOY_PREFILL].fixed_dims = any_tokens)
  CHANGE(c->entries[TOY_DECODE].fixed_dims = another)
  CHANGE(c->dims[TOY_T] = ((weft_dim_desc){"T", 4, TOY_MAX_T, 8, 1}))
  CHANGE(c->dims[TOY_T] = ((weft_dim_desc){"T", 1, TOY_MAX_T, 8, 4}))
  CHANGE(c->desc.states = 2)
  CHANGE((c->desc.states = 2, c->entries[TOY_PREFILL].states = c->entries[TOY_DECODE].states = 3))
  return false;
}

static void unusual_entries_give_the_same_tokens(void) {
  for (int number = 0;; ++number)
    for (int64_t length = 1; length <= 6; ++length)
      for (int32_t sample = WEFT_SAMPLE_GREEDY; sample <= WEFT_SAMPLE_TOP_P; ++sample) {
        copies *c = copies_of(&toy_model, 1);
        if (!is_unusual(c, number)) {
          free(c);
          return;
        }
        if (c->entries[TOY_DECODE].fixed_dims == toy_model.entry[TOY_DECODE].fixed_dims && c->dims[TOY_T].min > 1)
          c->entries[TOY_DECODE].fixed_dims = another; /* a step is one token, whatever prefills take */
        outcome o = generate(c, usual, length, NEW, sample == WEFT_SAMPLE_MULTINOMIAL ? WEFT_SAMPLE_GREEDY : sample);
        if (o.status || o.sequence.count != NEW) fprintf(stderr, "%s: %s\n", what, o.text);
        CHECK_EQUAL(o.status, WEFT_OK);
        CHECK_EQUAL(o.sequence.count, NEW);
        expect_reference(o.tokens, length);
        CHECK_EQUAL(o.lengths[0], length + NEW - 1);
        if (c->desc.states == 2) CHECK_EQUAL(o.lengths[1], c->entries[TOY_DECODE].states == 3 ? length + NEW - 1 : 0);
        free(c);
      }
}

/* The shortest of the caches that a step uses ends the sequence; others do not count. */
static void the_shortest_cache_ends_a_sequence(void) {
  for (int32_t sample = WEFT_SAMPLE_GREEDY; sample <= WEFT_SAMPLE_BEAM; sample += WEFT_SAMPLE_BEAM)
    for (int which = 0; which < 2; ++which)
      for (int both = 0; both < 2; ++both) {
        copies *c = copies_of(&toy_model, 1);
        c->desc.states = 2;
        if (both) c->entries[TOY_PREFILL].states = c->entries[TOY_DECODE].states = 3;
        c->states[which].capacity = 5;
        outcome o = generate(c, usual, 3, 9, sample);
        CHECK_EQUAL(o.status, WEFT_OK);
        CHECK_EQUAL(o.sequence.count, both || which == 0 ? 5 - 3 + 1 : 9);
        free(c);
      }
}

int main(void) {
  expect_all(cannot_generate, "toy_generate: expected ");
  expect_all(has_wrong_shapes, "toy_generate: expected tokens [B, T] and logits [B, V], [B, 1, V] or [B, T, V]");
  too_many_dims();
  a_session_without_tokens();
  unusual_entries_give_the_same_tokens();
  the_shortest_cache_ends_a_sequence();
  return check_result();
}
