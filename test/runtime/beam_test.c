/* Beam search: against plain enumeration of all continuations, against a search that keeps whole histories, and its
 * ties, limits, stops and refusals. The model's caches hold the tokens themselves, so logits depend on all of them. */
#include "check.h"
#include "weft/runtime.h"

#include <math.h>
#include <stdlib.h>

enum { B, T, VOCABULARY = 5, LAYERS = 2, HEADS = 3, WIDTH = 2, CAPACITY = 12, BATCH = 64, MOST = 16 };

/* ---- The model -------------------------------------------------------------------------------------------------- */

enum { TABLE, HASH, COARSE, FLAT, INFINITE, BROKEN } mode;
static uint32_t salt;
static int damaged;

/* Probabilities of the next token after the last one: 1 looks best after 0, but all that follows it is poor. */
static const double table[VOCABULARY][VOCABULARY] = {{0.02, 0.5, 0.4, 0.04, 0.04},
                                                     {0.2, 0.2, 0.2, 0.2, 0.2},
                                                     {0.02, 0.02, 0.02, 0.92, 0.02},
                                                     {0.01, 0.01, 0.01, 0.01, 0.96},
                                                     {0.6, 0.1, 0.1, 0.1, 0.1}};

static void logits_after(const int32_t *line, int64_t count, float *logits) {
  uint32_t hash = salt;
  for (int64_t t = 0; t < count; ++t) hash = (hash ^ (uint32_t)(line[t] + 1)) * 2654435761u + 12345u;
  for (int v = 0; v < VOCABULARY; ++v) {
    uint32_t h = (hash ^ (uint32_t)v * 40503u) * 2246822519u;
    h ^= h >> 15;
    h *= 3266489917u;
    switch (mode) {
    case TABLE: logits[v] = (float)log(table[line[count - 1]][v]) + 3; break;
    case HASH: logits[v] = (float)(h >> 8) * 0x1p-22f; break;
    case COARSE: logits[v] = (float)(h >> 31); break;
    case FLAT: logits[v] = 1; break;
    case INFINITE: logits[v] = h >> 30 == 0 ? -INFINITY : h >> 30 == 1 && (h & 64) ? INFINITY : (float)(h >> 30); break;
    default: logits[v] = count > 3 ? NAN : (float)v;
    }
  }
  if (mode == INFINITE) logits[(hash >> 9) % VOCABULARY] = 2;
}

/* What layer, kind and head hold for a token; all must agree when they are read. */
static uint16_t code(int64_t part, int64_t head, int64_t i, int32_t token) { return (uint16_t)(token + 100 * (part * HEADS * WIDTH + head * WIDTH + i + 1)); }

static void run(weft_exec *exec) {
  const int32_t *tokens = exec->inputs[0];
  const weft_cache *cache = &exec->caches[0];
  for (int64_t b = 0; b < exec->dims[B]; ++b) {
    int64_t held = cache->lengths[b], more = exec->valid ? exec->valid[b] : exec->dims[T];
    int32_t line[CAPACITY] = {0};
    for (int64_t part = 0; part < 2 * LAYERS; ++part)
      for (int64_t head = 0; head < HEADS; ++head)
        for (int64_t t = 0; t < held + more; ++t)
          for (int64_t i = 0; i < WIDTH; ++i) {
            uint16_t *at = (uint16_t *)cache->data + (((part * cache->batch + b) * HEADS + head) * CAPACITY + t) * WIDTH + i;
            if (t >= held) *at = code(part, head, i, tokens[b * exec->dims[T] + t - held]);
            if (!part && !head && !i) line[t] = *at - code(0, 0, 0, 0);
            damaged += *at != code(part, head, i, line[t]);
          }
    logits_after(line, held + more, (float *)exec->outputs[0] + b * VOCABULARY);
  }
}
static void plan(const int64_t *dims, int64_t *offsets) {
  (void)dims;
  offsets[0] = offsets[1] = 0;
}
static void shapes(const int64_t *d, int64_t *sizes) {
  const int64_t all[] = {d[B], d[T], d[B], 1, VOCABULARY};
  memcpy(sizes, all, sizeof all);
}

static const char *const bt[] = {"B", "T"}, *const b1v[] = {"B", "1", "5"};
static const weft_dim_desc dim_list[] = {{"B", 1, BATCH, 1, 1}, {"T", 1, 8, 8, 1}};
static const weft_tensor_desc input_list[] = {{"tokens", bt, 2, WEFT_I32, {B, T}, 0, 1, 0, VOCABULARY - 1, 0}};
static const weft_tensor_desc output_list[] = {{"logits", b1v, 3, WEFT_F32, {B, -1, -1}, 0, 0, 0, 0, 0}};
static const int32_t input_indices[] = {0};
static const int64_t fixed[] = {0, 1};
static const weft_state_desc state_list[] = {{"kv", LAYERS, HEADS, WIDTH, CAPACITY, WEFT_F16}};
static const weft_entry_desc entry_list[] = {{"prefill", 1, 1, input_indices, output_list, 1, T, B, NULL, 0, 1, 0, 0, NULL, NULL, shapes},
                                             {"step", 1, 1, input_indices, output_list, 1, T, B, fixed, 0, 1, 0, 0, NULL, NULL, shapes}};
static const weft_entry_fn function_list[] = {run, run};
static const weft_plan_fn plan_list[] = {plan, plan};
static const weft_variant_desc variant_list[] = {{"baseline", 0, 0, NULL, NULL, function_list, plan_list}};
static const int64_t stop_list[] = {4};
static const weft_generate_desc generate_list[] = {{"generate", 0, 1, 0, 4, stop_list, 1, WEFT_SAMPLE_BEAM, 1, 1, 0.5, 0, 3, 0}};
static const weft_model_desc description = {
    WEFT_ABI_MAGIC, WEFT_ABI_VERSION, sizeof(weft_model_desc), 44, "lines", "by hand", 2, 1, 0, 1, 0, 2, 1, 1, 0,
    dim_list, input_list, NULL, state_list, NULL, entry_list, generate_list, variant_list, NULL, NULL, NULL, NULL, 0,
};
static weft_model *model;
static weft_session *session;

/* ---- References ------------------------------------------------------------------------------------------------- */

typedef struct line {
  int32_t tokens[CAPACITY + MOST]; /* with the prompt */
  int64_t count;                   /* new tokens, without the stop token */
  double sum, score;
  int from;
  int32_t token;
  int ended;
} line;

static int is_stop(const weft_generate_options *o, int64_t token) {
  for (int i = 0; i < o->stops; ++i)
    if (o->stop[i] == token) return 1;
  return 0;
}

static void log_probabilities(const int32_t *tokens, int64_t count, double *p) {
  float x[VOCABULARY];
  double top = -INFINITY, total = 0;
  logits_after(tokens, count, x);
  for (int v = 0; v < VOCABULARY; ++v) top = x[v] > top ? x[v] : top;
  for (int v = 0; v < VOCABULARY; ++v) total += x[v] == top ? 1 : isinf(top) ? 0 : exp(x[v] - top);
  for (int v = 0; v < VOCABULARY; ++v) p[v] = x[v] == top ? -log(total) : isinf(top) ? -INFINITY : x[v] - top - log(total);
}

static double score_of(double sum, int64_t length, double penalty) { return sum == 0 ? 0 : sum / pow((double)length, penalty); }

/* The best of all continuations, one after the other. */
static void enumerate(line *now, int64_t prompt, int64_t limit, const weft_generate_options *o, line *best) {
  double p[VOCABULARY];
  log_probabilities(now->tokens, prompt + now->count, p);
  for (int v = 0; v < VOCABULARY; ++v) {
    line next = *now;
    next.sum += p[v];
    next.score = score_of(next.sum, now->count + 1, o->length_penalty);
    next.ended = is_stop(o, v);
    if (!next.ended) next.tokens[prompt + next.count++] = v;
    if (next.ended || next.count == limit) {
      if (next.score > best->score) *best = next;
    } else {
      enumerate(&next, prompt, limit, o, best);
    }
  }
}

static int by_sum(const void *a, const void *b) {
  const line *x = a, *y = b;
  if (x->sum != y->sum) return x->sum < y->sum ? 1 : -1;
  return x->from != y->from ? x->from - y->from : x->token - y->token;
}

/* The search as its description says, with whole histories and all candidates sorted. */
static line search(const int32_t *prompt, int64_t length, int64_t limit, const weft_generate_options *o) {
  static line running[BATCH], candidates[BATCH * VOCABULARY], finished[4096];
  int64_t runs = 1, ends = 0;
  memset(running, 0, sizeof running);
  memcpy(running[0].tokens, prompt, (size_t)length * sizeof *prompt);
  for (int64_t step = 1; step <= limit && runs; ++step) {
    int64_t count = 0, next = 0;
    for (int64_t i = 0; i < runs; ++i) {
      double p[VOCABULARY];
      log_probabilities(running[i].tokens, length + step - 1, p);
      for (int v = 0; v < VOCABULARY; ++v) {
        if (isinf(p[v])) continue;
        line *c = &candidates[count++];
        *c = running[i];
        c->sum += p[v];
        c->from = (int)i;
        c->token = v;
      }
    }
    qsort(candidates, (size_t)count, sizeof *candidates, by_sum);
    for (int64_t i = 0; i < count; ++i) {
      line c = candidates[i];
      c.score = score_of(c.sum, step, o->length_penalty);
      c.ended = is_stop(o, c.token);
      if (c.ended && i < o->beams) finished[ends++] = c;
      if (c.ended || next == o->beams) continue;
      c.tokens[length + c.count++] = c.token;
      running[next++] = c;
    }
    runs = next;
    if (step == limit)
      for (int64_t i = 0; i < runs; ++i) finished[ends++] = running[i];
    int64_t better = 0; /* the worst of the best `beams` is beaten if fewer than `beams` are at least as good */
    for (int64_t i = 0; i < ends; ++i) better += runs && finished[i].score >= running[0].score;
    if (better >= o->beams) break;
  }
  line best = finished[0];
  for (int64_t i = 1; i < ends; ++i)
    if (finished[i].score > best.score) best = finished[i];
  return best;
}

/* ---- Tests ------------------------------------------------------------------------------------------------------ */

static weft_generate_options options_of(int64_t beams, double penalty, const int64_t *stop, int32_t stops, int64_t most) {
  weft_generate_options o;
  CHECK_EQUAL(weft_generate_defaults(model, 0, &o), WEFT_OK);
  o.beams = beams;
  o.length_penalty = penalty;
  o.stop = stop;
  o.stops = stops;
  o.max_new_tokens = most;
  return o;
}

static void expect_line(const weft_sequence *got, const line *wanted, int64_t prompt) {
  CHECK_EQUAL(got->count, wanted->count);
  CHECK_EQUAL(got->stopped, wanted->ended ? WEFT_STOP_END : WEFT_STOP_LENGTH);
  if (got->count == wanted->count) CHECK(!memcmp(got->tokens, wanted->tokens + prompt, (size_t)got->count * sizeof(int32_t)));
}

static void finds_what_greedy_misses(void) {
  mode = TABLE;
  weft_generate_options o = options_of(1, 1, NULL, 0, 3);
  const int32_t prompt[1] = {0};
  int32_t tokens[8];
  weft_sequence sequence = {prompt, 1, tokens, 8, 0, 0};
  o.sample = WEFT_SAMPLE_GREEDY;
  CHECK_EQUAL(weft_session_generate(session, 0, &o, &sequence, 1), WEFT_OK);
  CHECK_EQUAL(tokens[0], 1);
  o.sample = WEFT_SAMPLE_BEAM;
  CHECK_EQUAL(weft_session_generate(session, 0, &o, &sequence, 1), WEFT_OK);
  CHECK_EQUAL(tokens[0], 1); /* one beam is greedy */
  o.beams = 2;
  CHECK_EQUAL(weft_session_generate(session, 0, &o, &sequence, 1), WEFT_OK);
  CHECK_EQUAL(sequence.count, 3);
  CHECK(tokens[0] == 2 && tokens[1] == 3 && tokens[2] == 4);
  /* The model's own options: token 4 ends and is not returned. */
  CHECK_EQUAL(weft_session_generate(session, 0, NULL, &sequence, 1), WEFT_OK);
  CHECK_EQUAL(sequence.count, 2);
  CHECK(tokens[0] == 2 && tokens[1] == 3);
  CHECK_EQUAL(sequence.stopped, WEFT_STOP_END);
  CHECK_EQUAL(weft_session_length(session, 0, 0), 1);
}

/* With so many beams that nothing is dropped, the best of all continuations is found. */
static void finds_the_best_of_all(void) {
  static const int64_t stops[] = {2, 4, 9, 0};
  static const double penalties[] = {0, 0.6, 1, 2.5, -1};
  const int32_t prompt[3] = {1, 0, 3};
  mode = HASH;
  for (salt = 0; salt < 20; ++salt)
    for (int p = 0; p < 5; ++p)
      for (int32_t count = 0; count <= 4; count += 2) {
        int64_t limit = count == 4 ? 4 : count == 2 ? 3 : 2;
        weft_generate_options o = options_of(BATCH, penalties[p], stops, count, limit);
        int32_t tokens[8];
        weft_sequence sequence = {prompt, 3, tokens, 8, 0, 0};
        line start = {{1, 0, 3}, 0, 0, 0, 0, 0, 0}, best = {.score = -INFINITY};
        enumerate(&start, 3, limit, &o, &best);
        CHECK_EQUAL(weft_session_generate(session, 0, &o, &sequence, 1), WEFT_OK);
        expect_line(&sequence, &best, 3);
      }
}

static uint32_t random_state = 7;
static uint32_t random_below(uint32_t bound) { return ((random_state = random_state * 1664525u + 1013904223u) >> 8) % bound; }

/* Any beams, stops, penalties, limits; several prompts at once, each as if it were alone. */
static void follows_the_description(void) {
  static const double penalties[] = {0, 0.6, 1, 2, -0.5};
  for (int round = 0; round < 4000; ++round) {
    static const int modes[] = {HASH, COARSE, FLAT, INFINITE, TABLE};
    int32_t prompts[3][CAPACITY], tokens[3][MOST];
    weft_sequence sequences[3];
    int64_t stops[2] = {random_below(VOCABULARY), random_below(VOCABULARY + 2)}, count = 1 + random_below(3);
    mode = modes[random_below(5)];
    salt = (uint32_t)round;
    weft_generate_options o = options_of(1 + random_below(8), penalties[random_below(5)], stops, (int32_t)random_below(3), random_below(MOST));
    for (int64_t b = 0; b < count; ++b) {
      int64_t length = 1 + random_below(8);
      for (int64_t t = 0; t < length; ++t) prompts[b][t] = (int32_t)random_below(VOCABULARY);
      sequences[b] = (weft_sequence){prompts[b], length, tokens[b], random_below(4) ? MOST : random_below(4), 0, 0};
    }
    CHECK_EQUAL(weft_session_generate(session, 0, &o, sequences, count), WEFT_OK);
    for (int64_t b = 0; b < count; ++b) {
      int64_t length = sequences[b].prompt_length, limit = o.max_new_tokens;
      if (sequences[b].capacity < limit) limit = sequences[b].capacity;
      if (CAPACITY - length + 1 < limit) limit = CAPACITY - length + 1;
      if (limit) {
        line best = search(prompts[b], length, limit, &o);
        expect_line(&sequences[b], &best, length);
      } else {
        CHECK_EQUAL(sequences[b].count, 0);
        CHECK_EQUAL(sequences[b].stopped, WEFT_STOP_LENGTH);
      }
      CHECK_EQUAL(weft_session_length(session, 0, b), length);
    }
    for (int64_t b = count; b < count * o.beams; ++b) CHECK_EQUAL(weft_session_length(session, 0, b), 0);
    if (check_failures > 10) return;
  }
}

static void breaks_ties_by_order(void) {
  mode = FLAT;
  const int64_t stop[] = {3};
  const int32_t prompt[2] = {1, 2};
  int32_t tokens[8];
  weft_sequence sequence = {prompt, 2, tokens, 8, 0, 0};
  weft_generate_options o = options_of(3, 1, NULL, 0, 3);
  CHECK_EQUAL(weft_session_generate(session, 0, &o, &sequence, 1), WEFT_OK);
  CHECK(sequence.count == 3 && !tokens[0] && !tokens[1] && !tokens[2]);
  /* All scores are equal with penalty 1: the first to finish wins, here at once. */
  o = options_of(4, 1, stop, 1, 3);
  CHECK_EQUAL(weft_session_generate(session, 0, &o, &sequence, 1), WEFT_OK);
  CHECK_EQUAL(sequence.count, 0);
  CHECK_EQUAL(sequence.stopped, WEFT_STOP_END);
  /* Token 3 is not among the best three. */
  o.beams = 3;
  CHECK_EQUAL(weft_session_generate(session, 0, &o, &sequence, 1), WEFT_OK);
  CHECK_EQUAL(sequence.count, 3);
  CHECK_EQUAL(sequence.stopped, WEFT_STOP_LENGTH);
}

static void appends(void) {
  mode = HASH;
  salt = 3;
  weft_generate_options o = options_of(4, 1, NULL, 0, 3);
  const int32_t first[2] = {1, 2}, second[3] = {0, 3, 1}, whole[5] = {1, 2, 0, 3, 1}, other[4] = {4, 2, 2, 1};
  int32_t tokens[2][8];
  weft_sequence sequences[2] = {{first, 2, tokens[0], 8, 0, 0}, {other, 1, tokens[1], 8, 0, 0}};
  CHECK_EQUAL(weft_session_generate(session, 0, &o, sequences, 2), WEFT_OK);
  sequences[0].prompt = second;
  sequences[0].prompt_length = 3;
  sequences[1].prompt = other + 1;
  sequences[1].prompt_length = 3;
  o.append = 1;
  CHECK_EQUAL(weft_session_generate(session, 0, &o, sequences, 2), WEFT_OK);
  line best = search(whole, 5, 3, &o);
  expect_line(&sequences[0], &best, 5);
  best = search(other, 4, 3, &o);
  expect_line(&sequences[1], &best, 4);
  CHECK_EQUAL(weft_session_length(session, 0, 1), 4);
}

static int hear(void *user, int64_t sequence, int64_t index, int32_t token) {
  int32_t *heard = user;
  heard[sequence * 4 + index] = token;
  return sequence == 0 && index == 1;
}

static void calls_back(void) {
  mode = HASH;
  salt = 5;
  weft_generate_options o = options_of(3, 1, NULL, 0, 4);
  const int32_t prompt[2] = {1, 2};
  int32_t tokens[4], heard[8] = {-1, -1, -1, -1, -1, -1, -1, -1};
  weft_sequence sequences[2] = {{prompt, 2, tokens, 4, 0, 0}, {prompt, 2, NULL, 0, 0, 0}};
  o.on_token = hear;
  o.on_token_user = heard;
  CHECK_EQUAL(weft_session_generate(session, 0, &o, sequences, 2), WEFT_OK);
  CHECK_EQUAL(sequences[0].count, 2);
  CHECK_EQUAL(sequences[0].stopped, WEFT_STOP_CALLER);
  CHECK_EQUAL(heard[2], -1);
  CHECK_EQUAL(sequences[1].count, 4);
  line best = search(prompt, 2, 4, &o);
  CHECK(!memcmp(heard + 4, best.tokens + 2, 4 * sizeof(int32_t)) && !memcmp(heard, tokens, 2 * sizeof(int32_t)));
}

static void refuses(void) {
  mode = HASH;
  const int32_t prompt[2] = {1, 2};
  int32_t tokens[8];
  weft_sequence sequences[2] = {{prompt, 2, tokens, 8, 0, 0}, {prompt, 2, NULL, 0, 0, 0}};
  const int64_t dims[] = {7, 8};
  weft_session *small;
  CHECK_EQUAL(weft_session_create(model, dims, NULL, &small), WEFT_OK);
  weft_generate_options o = options_of(4, 1, NULL, 0, 4);
  CHECK_EQUAL(weft_session_generate(small, 0, &o, sequences, 2), WEFT_ERR_LENGTH);
  CHECK_TEXT(weft_session_error(small), "lines_generate: 4 beams for each of 2 prompts need as many sequences, but the session has 7");
  CHECK_EQUAL(weft_session_generate(small, 0, &o, sequences, 1), WEFT_OK);
  o.beams = 0;
  CHECK_EQUAL(weft_session_generate(small, 0, &o, sequences, 1), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_session_error(small), "lines_generate: expected beams of at least 1 but got 0");
  o.beams = INT64_MAX;
  CHECK_EQUAL(weft_session_generate(small, 0, &o, sequences, 1), WEFT_ERR_LENGTH);
  o = options_of(3, INFINITY, NULL, 0, 4);
  CHECK_EQUAL(weft_session_generate(small, 0, &o, sequences, 2), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_session_error(small), "lines_generate: expected a finite length_penalty but got inf");
  o.length_penalty = 1;
  mode = BROKEN;
  CHECK_EQUAL(weft_session_generate(small, 0, &o, sequences, 2), WEFT_ERR_NUMERIC);
  CHECK_TEXT(weft_session_error(small), "lines_generate: the logits of sequence 0 at new token 2 hold NaN or nothing finite");
  CHECK_EQUAL(weft_session_length(small, 0, 1), 2);
  CHECK_EQUAL(weft_session_length(small, 0, 2), 0);
  mode = HASH;
  CHECK_EQUAL(weft_session_generate(small, 0, &o, sequences, 2), WEFT_OK);
  weft_session_destroy(small);
}

int main(void) {
  const int64_t dims[] = {BATCH, 8};
  if (weft_model_open(&description, NULL, &model) || weft_session_create(model, dims, NULL, &session)) return 1;
  finds_what_greedy_misses();
  finds_the_best_of_all();
  follows_the_description();
  breaks_ties_by_order();
  appends();
  calls_back();
  refuses();
  CHECK_EQUAL(damaged, 0);
  weft_session_destroy(session);
  weft_model_close(model);
  return check_result();
}
