/* Kept values: a model written by hand whose prefill keeps its source for the steps. The next token after `t` at position p
 * is (sum of the source + 3 t + p) mod V, so a step that reads another sequence's source, or another round, is seen. */
#include "check.h"
#include "digest.h"
#include "weft/runtime.h"

#include <stdlib.h>
#include <unistd.h>

enum { B, S, T, DIMS };
enum { PREFILL, DECODE };
enum { V = 13, ROUNDS = 3, CAPACITY = 16, MAX_B = 8, MAX_S = 9 };

/* ---- The model -------------------------------------------------------------------------------------------------- */

static void logits_of(weft_exec *exec, const int32_t *tokens, int64_t count) {
  float *logits = exec->outputs[0];
  for (int64_t b = 0; b < exec->dims[B]; ++b) {
    int64_t real = exec->valid ? exec->valid[b] : count, sum = 0;
    for (int64_t r = 0; r < ROUNDS; ++r) {
      const float *source = (const float *)((const char *)exec->kept[0].data + r * exec->kept[0].round_bytes);
      for (int64_t s = 0; s < exec->dims[S]; ++s) sum += (int64_t)source[b * exec->dims[S] + s];
    }
    int64_t next = (sum + 3 * tokens[b * count + real - 1] + exec->caches[0].lengths[b] + real) % V;
    for (int64_t v = 0; v < V; ++v) logits[b * V + v] = -0.1f * (float)((v - next + V) % V);
  }
}

static void prefill_entry(weft_exec *exec) {
  const int32_t *src = exec->inputs[0];
  for (int64_t r = 0; r < ROUNDS; ++r)
    for (int64_t i = 0; i < exec->dims[B] * exec->dims[S]; ++i)
      ((float *)((char *)exec->kept[0].data + r * exec->kept[0].round_bytes))[i] = (float)((r + 1) * src[i]);
  logits_of(exec, exec->inputs[1], exec->dims[T]);
  if (src[0] == 99) exec->fault[0] = 1;
}

static void decode_entry(weft_exec *exec) { logits_of(exec, exec->inputs[0], 1); }

static void nothing_planned(const int64_t *dims, int64_t *offsets) {
  (void)dims;
  offsets[0] = offsets[1] = 0;
}
static void prefill_shapes(const int64_t *dims, int64_t *sizes) {
  const int64_t all[] = {dims[B], dims[S], dims[B], dims[T], dims[B], 1, V};
  memcpy(sizes, all, sizeof all);
}
static void decode_shapes(const int64_t *dims, int64_t *sizes) {
  const int64_t all[] = {dims[B], dims[T], dims[B], 1, V};
  memcpy(sizes, all, sizeof all);
}
static void kept_shapes(const int64_t *dims, int64_t *sizes) {
  sizes[0] = dims[B];
  sizes[1] = dims[S];
}

static const weft_dim_desc dims[] = {{"B", 1, 64, 1, 1}, {"S", 1, 64, 4, 1}, {"T", 1, 64, 4, 1}};
static const char *const bs[] = {"B", "S"}, *const bt[] = {"B", "T"}, *const b1v[] = {"B", "1", "13"};
static const weft_tensor_desc inputs[] = {{"src", bs, 2, WEFT_I32, {B, S}, 0, 0, 0, 0, 0}, {"tokens", bt, 2, WEFT_I32, {B, T}, 0, 1, 0, V - 1, 0}};
static const weft_tensor_desc outputs[] = {{"logits", b1v, 3, WEFT_F32, {B, -1, -1}, 0, 0, 0, 0, 0}};
static const weft_state_desc states[] = {{"kv", 1, 1, 1, CAPACITY, WEFT_F32}};
static const weft_kept_desc kept[] = {{{"memory", bs, 2, WEFT_F32, {B, S}, 0, 0, 0, 0, 0}, ROUNDS}};
static const int32_t prefill_inputs[] = {0, 1}, decode_inputs[] = {1}, memory[] = {0};
static const int64_t step[] = {0, 0, 1};
static const weft_entry_desc entries[] = {
    {"prefill", 2, 1, prefill_inputs, outputs, 1, T, B, NULL, 0, 1, 1, 0, memory, NULL, prefill_shapes},
    {"decode", 1, 1, decode_inputs, outputs, 1, T, B, step, 0, 1, 0, 1, NULL, memory, decode_shapes},
};
static const weft_entry_fn functions[] = {prefill_entry, decode_entry};
static const weft_plan_fn plans[] = {nothing_planned, nothing_planned};
static const weft_variant_desc variants[] = {{"baseline", 0, 0, NULL, NULL, functions, plans}};
static const weft_generate_desc generates[] = {{"generate", PREFILL, DECODE, 1, 5, NULL, 0, WEFT_SAMPLE_GREEDY, 1, 1, 1, 0, 1, 0}};
static const weft_site_desc sites[] = {{"parameter 'src'"}};
static const weft_model_desc model_desc = {
    WEFT_ABI_MAGIC, WEFT_ABI_VERSION, sizeof(weft_model_desc), 7, "m", "by hand", DIMS, 2, 0, 1, 1, 2, 1, 1, 1,
    dims, inputs, NULL, states, kept, entries, generates, variants, sites, kept_shapes, NULL, NULL, 0,
};

/* ---- Tests ------------------------------------------------------------------------------------------------------ */

static weft_model *model;

static weft_session *open_session(void) {
  weft_session *session;
  weft_session_options options = {.threads = 1};
  CHECK_EQUAL(weft_session_create(model, (const int64_t[]){MAX_B, MAX_S, 4}, &options, &session), WEFT_OK);
  return session;
}

/* Source s of sequence b. */
static void write_source(int32_t *src, int64_t b, int64_t s, int32_t seed) {
  for (int64_t i = 0; i < b * s; ++i) src[i] = (int32_t)((i * 7 + seed) % 5);
}

static float logits[MAX_B * V];

static weft_status run_prefill(weft_session *session, int64_t b, int64_t s, const int32_t *src) {
  int32_t tokens[MAX_B] = {0};
  return weft_session_run(session, PREFILL, (const int64_t[]){b, s, 1}, (const void *const[]){src, tokens}, (void *const[]){logits});
}

static weft_status run_decode(weft_session *session, int64_t b, int64_t s) {
  int32_t tokens[MAX_B] = {0};
  return weft_session_run(session, DECODE, (const int64_t[]){b, s, 1}, (const void *const[]){tokens}, (void *const[]){logits});
}

static int64_t best(int64_t b) {
  int64_t found = 0;
  for (int64_t v = 1; v < V; ++v)
    if (logits[b * V + v] > logits[b * V + found]) found = v;
  return found;
}

static int64_t expected(const int32_t *src, int64_t s, int64_t b, int64_t length) {
  int64_t sum = 0;
  for (int64_t i = 0; i < s; ++i) sum += 6 * src[b * s + i];
  return (sum + length) % V;
}

static void step_before_prefill_is_refused(void) {
  weft_session *session = open_session();
  CHECK_EQUAL(run_decode(session, 1, 0), WEFT_ERR_MISSING);
  CHECK_TEXT(weft_session_error(session), "m_decode: expected a call of 'prefill' before, which computes 'memory'");
  CHECK_EQUAL(weft_session_length(session, 0, 0), 0);
  weft_session_destroy(session);
}

static void step_reads_the_last_prefill(void) {
  weft_session *session = open_session();
  int32_t src[MAX_B * MAX_S];
  write_source(src, 3, 5, 1);
  CHECK_EQUAL(run_prefill(session, 3, 5, src), WEFT_OK);
  CHECK_EQUAL(run_decode(session, 3, 0), WEFT_OK);
  for (int64_t b = 0; b < 3; ++b) CHECK_EQUAL(best(b), expected(src, 5, b, 2));
  CHECK_EQUAL(run_decode(session, 2, 5), WEFT_OK);
  for (int64_t b = 0; b < 2; ++b) CHECK_EQUAL(best(b), expected(src, 5, b, 3));
  /* Another source of another size: the step's plan, made for the sizes given, must not be the old one. */
  write_source(src, 2, MAX_S, 3);
  CHECK_EQUAL(run_prefill(session, 2, MAX_S, src), WEFT_OK);
  CHECK_EQUAL(run_decode(session, 2, 0), WEFT_OK);
  for (int64_t b = 0; b < 2; ++b) CHECK_EQUAL(best(b), expected(src, MAX_S, b, 5));
  weft_session_destroy(session);
}

static void sizes_of_a_step_are_checked(void) {
  weft_session *session = open_session();
  int32_t src[MAX_B * MAX_S];
  write_source(src, 2, 5, 1);
  CHECK_EQUAL(run_prefill(session, 2, 5, src), WEFT_OK);
  CHECK_EQUAL(run_decode(session, 2, 4), WEFT_ERR_DIM);
  CHECK_TEXT(weft_session_error(session), "m_decode: S is 4, expected 5, for which 'prefill' was called");
  CHECK_EQUAL(run_decode(session, 3, 0), WEFT_ERR_DIM);
  CHECK_TEXT(weft_session_error(session), "m_decode: B is 3, expected at most 2, for which 'prefill' was called");
  CHECK_EQUAL(run_decode(session, 2, 0), WEFT_OK);
  weft_session_destroy(session);
}

static void reset_forgets_and_rewind_does_not(void) {
  weft_session *session = open_session();
  int32_t src[MAX_B * MAX_S];
  write_source(src, 2, 5, 1);
  CHECK_EQUAL(run_prefill(session, 2, 5, src), WEFT_OK);
  for (int64_t b = 0; b < 2; ++b) CHECK_EQUAL(weft_session_rewind(session, 0, b, 0), WEFT_OK);
  CHECK_EQUAL(run_decode(session, 2, 0), WEFT_OK);
  for (int64_t b = 0; b < 2; ++b) CHECK_EQUAL(best(b), expected(src, 5, b, 1));
  CHECK_EQUAL(weft_session_reset(session), WEFT_OK);
  CHECK_EQUAL(run_decode(session, 2, 0), WEFT_ERR_MISSING);
  weft_session_destroy(session);
}

static void failed_prefill_keeps_nothing(void) {
  weft_session *session = open_session();
  int32_t src[MAX_B * MAX_S];
  write_source(src, 2, 5, 1);
  CHECK_EQUAL(run_prefill(session, 2, 5, src), WEFT_OK);
  CHECK_EQUAL(run_prefill(session, 2, MAX_S + 1, src), WEFT_ERR_DIM); /* refused before it ran: nothing has changed */
  CHECK_EQUAL(run_decode(session, 2, 0), WEFT_OK);
  src[0] = 99;
  CHECK_EQUAL(run_prefill(session, 2, 5, src), WEFT_ERR_INDEX);
  CHECK_EQUAL(run_decode(session, 2, 0), WEFT_ERR_MISSING);
  weft_session_destroy(session);
}

static void kept_values_come_back_from_a_file(void) {
  weft_session *session = open_session(), *other = open_session();
  int32_t src[MAX_B * MAX_S];
  char path[] = "weft-kept-XXXXXX.safetensors";
  close(mkstemps(path, 12));
  write_source(src, 3, 5, 1);
  CHECK_EQUAL(run_prefill(session, 3, 5, src), WEFT_OK);
  CHECK_EQUAL(weft_session_save(session, path), WEFT_OK);
  CHECK_EQUAL(weft_session_restore(other, path), WEFT_OK);
  CHECK_EQUAL(run_decode(other, 3, 0), WEFT_OK);
  for (int64_t b = 0; b < 3; ++b) CHECK_EQUAL(best(b), expected(src, 5, b, 2));
  CHECK_EQUAL(run_decode(other, 4, 0), WEFT_ERR_DIM);
  /* A file from before the prefill: nothing is kept any more. */
  CHECK_EQUAL(weft_session_reset(session), WEFT_OK);
  CHECK_EQUAL(weft_session_save(session, path), WEFT_OK);
  CHECK_EQUAL(weft_session_restore(other, path), WEFT_OK);
  CHECK_EQUAL(run_decode(other, 3, 0), WEFT_ERR_MISSING);
  weft_session_destroy(other);
  /* A session without room for the source. */
  weft_session_options options = {.threads = 1};
  CHECK_EQUAL(run_prefill(session, 3, 5, src), WEFT_OK);
  CHECK_EQUAL(weft_session_save(session, path), WEFT_OK);
  CHECK_EQUAL(weft_session_create(model, (const int64_t[]){3, 4, 4}, &options, &other), WEFT_OK);
  CHECK_EQUAL(weft_session_restore(other, path), WEFT_ERR_DIM);
  CHECK_CONTAINS(weft_session_error(other), "expected a size of this session: at most 4 but got 5");
  CHECK_EQUAL(weft_session_length(other, 0, 0), 0);
  weft_session_destroy(other);
  weft_session_destroy(session);
  unlink(path);
}

/* The tokens of the call that kept a value are no size of the value. */
static void kept_values_come_back_where_calls_are_shorter(void) {
  weft_session *session = open_session(), *other;
  weft_session_options options = {.threads = 1};
  int32_t src[MAX_B * MAX_S], tokens[MAX_B * 6] = {0};
  char path[] = "weft-kept-XXXXXX.safetensors";
  close(mkstemps(path, 12));
  write_source(src, 3, 5, 1);
  CHECK_EQUAL(weft_session_run(session, PREFILL, (const int64_t[]){3, 5, 4}, (const void *const[]){src, tokens}, (void *const[]){logits}), WEFT_OK);
  CHECK_EQUAL(weft_session_save(session, path), WEFT_OK);
  weft_session_destroy(session);
  CHECK_EQUAL(weft_session_create(model, (const int64_t[]){MAX_B, MAX_S, 1}, &options, &other), WEFT_OK);
  CHECK_EQUAL(weft_session_restore(other, path), WEFT_OK);
  CHECK_EQUAL(run_decode(other, 3, 0), WEFT_OK);
  for (int64_t b = 0; b < 3; ++b) CHECK_EQUAL(best(b), expected(src, 5, b, 5));
  weft_session_destroy(other);
  /* An entry that fixes its tokens may have more than other calls of the session. */
  static const int64_t six[] = {0, 0, 6};
  weft_entry_desc fixed[2] = {entries[0], entries[1]};
  weft_model_desc desc = model_desc;
  weft_model *fixes;
  fixed[0].fixed_dims = six;
  desc.entry = fixed;
  CHECK_EQUAL(weft_model_open(&desc, NULL, &fixes), WEFT_OK);
  CHECK_EQUAL(weft_session_create(fixes, (const int64_t[]){MAX_B, MAX_S, 4}, &options, &session), WEFT_OK);
  CHECK_EQUAL(weft_session_run(session, PREFILL, (const int64_t[]){3, 5, 0}, (const void *const[]){src, tokens}, (void *const[]){logits}), WEFT_OK);
  CHECK_EQUAL(weft_session_save(session, path), WEFT_OK);
  CHECK_EQUAL(weft_session_restore(session, path), WEFT_OK);
  CHECK_EQUAL(run_decode(session, 3, 0), WEFT_OK);
  weft_session_destroy(session);
  weft_model_close(fixes);
  unlink(path);
}

static void session_has_memory_for_its_sizes(void) {
  const int64_t small[] = {1, 1, 4}, large[] = {1, 33, 4};
  weft_session_options options = {.threads = 1};
  /* Three rounds of 64 and of 192 bytes. */
  CHECK_EQUAL(weft_session_bytes(model, large, &options) - weft_session_bytes(model, small, &options), 3 * (192 - 64));
}

/* ---- Generation ------------------------------------------------------------------------------------------------- */

static weft_generate_options options_for(int64_t count, int64_t s, const int32_t *src) {
  static int64_t sizes[DIMS];
  static const void *others[2];
  sizes[B] = count;
  sizes[S] = s;
  sizes[T] = 0;
  others[0] = src;
  weft_generate_options options;
  weft_generate_defaults(model, 0, &options);
  options.dims = sizes;
  options.prefill_inputs = others;
  return options;
}

static void generation_takes_the_source(void) {
  weft_session *session = open_session();
  int32_t src[MAX_B * MAX_S], prompt[] = {4}, tokens[2][8];
  write_source(src, 2, 6, 2);
  weft_sequence sequences[2] = {{prompt, 1, tokens[0], 8, 0, 0}, {prompt, 1, tokens[1], 8, 0, 0}};
  weft_generate_options options = options_for(2, 6, src);
  CHECK_EQUAL(weft_session_generate(session, 0, &options, sequences, 2), WEFT_OK);
  for (int64_t b = 0; b < 2; ++b) {
    int64_t last = 4, sum = expected(src, 6, b, 0);
    CHECK_EQUAL(sequences[b].count, 5);
    for (int64_t i = 0; i < sequences[b].count; ++i) {
      CHECK_EQUAL(tokens[b][i], (sum + 3 * last + i + 1) % V);
      last = tokens[b][i];
    }
  }
  CHECK_EQUAL(weft_session_generate(session, 0, NULL, sequences, 2), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_session_error(session), "m_generate: expected the sizes of the other dims in the options");
  weft_session_destroy(session);
}

/* Each prompt of a batch gets what it gets alone: its beams read its own source. */
static void beams_of_a_prompt_share_its_source(void) {
  weft_session *session = open_session();
  int32_t src[MAX_B * MAX_S], prompt[] = {4}, tokens[2][8], alone[8];
  write_source(src, 2, 6, 2);
  weft_sequence sequences[2] = {{prompt, 1, tokens[0], 8, 0, 0}, {prompt, 1, tokens[1], 8, 0, 0}};
  weft_generate_options options = options_for(2, 6, src);
  options.sample = WEFT_SAMPLE_BEAM;
  options.beams = 3;
  CHECK_EQUAL(weft_session_generate(session, 0, &options, sequences, 2), WEFT_OK);
  /* The prompts' own rows are theirs again. */
  CHECK_EQUAL(run_decode(session, 2, 0), WEFT_OK);
  for (int64_t b = 0; b < 2; ++b) CHECK_EQUAL(best(b), expected(src, 6, b, 2));
  CHECK_EQUAL(run_decode(session, 3, 0), WEFT_ERR_DIM);
  for (int64_t b = 0; b < 2; ++b) {
    weft_sequence one = {prompt, 1, alone, 8, 0, 0};
    options = options_for(1, 6, src + b * 6);
    options.sample = WEFT_SAMPLE_BEAM;
    options.beams = 3;
    CHECK_EQUAL(weft_session_generate(session, 0, &options, &one, 1), WEFT_OK);
    CHECK_EQUAL(one.count, sequences[b].count);
    for (int64_t i = 0; i < one.count; ++i) CHECK_EQUAL(tokens[b][i], alone[i]);
  }
  CHECK(memcmp(tokens[0], tokens[1], 5 * sizeof(int32_t)) != 0);
  weft_session_destroy(session);
}

static void damaged_numbers_are_refused(void) {
  static const int32_t outside[] = {1};
  weft_entry_desc damaged[2] = {entries[0], entries[1]};
  weft_model_desc desc = model_desc;
  weft_model *broken;
  damaged[1].recall = outside;
  desc.entry = damaged;
  CHECK_EQUAL(weft_model_open(&desc, NULL, &broken), WEFT_ERR_ABI);
  weft_model_close(broken);
  desc = model_desc;
  desc.kept_shapes = NULL;
  CHECK_EQUAL(weft_model_open(&desc, NULL, &broken), WEFT_ERR_ABI);
  weft_model_close(broken);
}

/* A file's kept value that says something else is refused, and changes nothing. The digest is the file's own where it matters. */
static void kept_values_of_other_makes_are_refused(void) {
  weft_session *session = open_session(), *other = open_session();
  int32_t src[MAX_B * MAX_S];
  char path[] = "weft-kept-XXXXXX.safetensors";
  close(mkstemps(path, 12));
  write_source(src, 2, 5, 1);
  CHECK_EQUAL(run_prefill(session, 2, 5, src), WEFT_OK);
  static float cache[2 * 2], values[4 * 64];
  const struct {
    weft_tensor data, numbers, lengths;
    int64_t sizes[DIMS + 1], length[2];
    const char *text;
  } cases[] = {
      {{"kept.memory", WEFT_F64, 2, {3, 10}, values}, {"kept.memory.sizes", WEFT_I64, 1, {4}, NULL}, {"cache.kv.lengths", WEFT_I64, 1, {2}, NULL}, {2, 5, 1, 2}, {1, 1}, "expected type"},
      {{"kept.memory", WEFT_F32, 1, {30}, values}, {"kept.memory.sizes", WEFT_I64, 1, {4}, NULL}, {"cache.kv.lengths", WEFT_I64, 1, {2}, NULL}, {2, 5, 1, 2}, {1, 1}, "expected axes: 2"},
      {{"kept.memory", WEFT_F32, 2, {2, 10}, values}, {"kept.memory.sizes", WEFT_I64, 1, {4}, NULL}, {"cache.kv.lengths", WEFT_I64, 1, {2}, NULL}, {2, 5, 1, 2}, {1, 1}, "another size of an axis"},
      {{"kept.memory", WEFT_F32, 2, {3, 10}, values}, {"kept.memory.sizes", WEFT_I64, 1, {3}, NULL}, {"cache.kv.lengths", WEFT_I64, 1, {2}, NULL}, {2, 5, 1, 2}, {1, 1}, "expected numbers: 4"},
      {{"kept.memory", WEFT_F32, 2, {3, 10}, values}, {"kept.memory.sizes", WEFT_I32, 1, {4}, NULL}, {"cache.kv.lengths", WEFT_I64, 1, {2}, NULL}, {2, 5, 1, 2}, {1, 1}, "expected numbers: 4"},
      {{"kept.memory", WEFT_F32, 2, {3, 10}, values}, {"kept.memory.sizes", WEFT_I64, 2, {4, 1}, NULL}, {"cache.kv.lengths", WEFT_I64, 1, {2}, NULL}, {2, 5, 1, 2}, {1, 1}, "expected numbers: 4"},
      {{"kept.memory", WEFT_F32, 2, {3, 10}, values}, {"kept.memory.sizes", WEFT_I64, 1, {4}, NULL}, {"cache.kv.lengths", WEFT_I64, 1, {2}, NULL}, {-2, 5, 1, 2}, {1, 1}, "a size of this session: at most 8"},
      {{"kept.memory", WEFT_F32, 2, {3, 10}, values}, {"kept.memory.sizes", WEFT_I64, 1, {4}, NULL}, {"cache.kv.lengths", WEFT_I64, 1, {2}, NULL}, {2, 4, 1, 2}, {1, 1}, "expected bytes: 96 but got 120"},
      {{"kept.memory", WEFT_F32, 2, {3, 10}, values}, {"kept.memory.sizes", WEFT_I64, 1, {4}, NULL}, {"cache.kv.lengths", WEFT_I64, 1, {2}, NULL}, {2, 5, 1, -1}, {1, 1}, "sequences: at most 2 but got -1"},
      {{"kept.memory", WEFT_F32, 2, {3, 10}, values}, {"kept.memory.sizes", WEFT_I64, 1, {4}, NULL}, {"cache.kv.lengths", WEFT_I64, 1, {2}, NULL}, {2, 5, 1, 3}, {1, 1}, "sequences: at most 2 but got 3"},
      {{"kept.memory", WEFT_F32, 2, {3, 10}, values}, {"kept.memory.sizes", WEFT_I64, 1, {4}, NULL}, {"cache.kv.lengths", WEFT_I64, 1, {2}, NULL}, {2, 5, 1, 2}, {-1, 1}, "a length of at most 1 but got -1"},
      {{"kept.memory", WEFT_F32, 2, {3, 10}, values}, {"kept.memory.sizes", WEFT_I64, 1, {4}, NULL}, {"cache.kv.lengths", WEFT_I64, 1, {2}, NULL}, {2, 5, 1, 2}, {1, 2}, "a length of at most 1 but got 2"},
      {{"kept.memory", WEFT_F32, 2, {3, 10}, values}, {"none", WEFT_I64, 1, {4}, NULL}, {"cache.kv.lengths", WEFT_I64, 1, {2}, NULL}, {2, 5, 1, 2}, {1, 1}, "expected tensor 'kept.memory.sizes' but it is missing"},
      {{"none", WEFT_F32, 2, {3, 10}, values}, {"kept.memory.sizes", WEFT_I64, 1, {4}, NULL}, {"cache.kv.lengths", WEFT_I64, 1, {2}, NULL}, {2, 5, 1, 2}, {1, 1}, "expected tensor 'kept.memory' but it is missing"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    weft_tensor tensors[4] = {{"cache.kv", WEFT_F32, 6, {1, 2, 2, 1, 1, 1}, cache}, cases[i].lengths, cases[i].data, cases[i].numbers};
    tensors[1].data = cases[i].length;
    tensors[3].data = cases[i].sizes;
    weft_digest digest;
    char text[24];
    weft_digest_begin(&digest);
    for (int t = 0; t < 4; ++t) {
      int64_t elements = 1;
      for (int32_t axis = 0; axis < tensors[t].rank; ++axis) elements *= tensors[t].shape[axis];
      weft_digest_add(&digest, tensors[t].data, (size_t)elements * weft_dtype_size(tensors[t].dtype));
    }
    snprintf(text, sizeof text, "%016llx", (unsigned long long)weft_digest_end(&digest));
    const char *const pairs[] = {"weft.session", "1", "weft.model", "m", "weft.xxh64", text};
    CHECK_EQUAL(weft_safetensors_write(path, tensors, 4, pairs, 3, NULL, NULL, 0), WEFT_OK);
    CHECK(weft_session_restore(other, path) != WEFT_OK);
    CHECK_CONTAINS(weft_session_error(other), cases[i].text);
    CHECK_EQUAL(run_decode(other, 2, 0), WEFT_ERR_MISSING);
  }
  weft_session_destroy(other);
  weft_session_destroy(session);
  unlink(path);
}

int main(void) {
  CHECK_EQUAL(weft_model_open(&model_desc, NULL, &model), WEFT_OK);
  step_before_prefill_is_refused();
  step_reads_the_last_prefill();
  sizes_of_a_step_are_checked();
  reset_forgets_and_rewind_does_not();
  failed_prefill_keeps_nothing();
  kept_values_come_back_from_a_file();
  kept_values_come_back_where_calls_are_shorter();
  session_has_memory_for_its_sizes();
  generation_takes_the_source();
  beams_of_a_prompt_share_its_source();
  damaged_numbers_are_refused();
  kept_values_of_other_makes_are_refused();
  weft_model_close(model);
  return check_result();
}
