/* Beam search. Hypotheses are sequences of the session; where several continue the same one, its positions are copied.
 * The first that continues a hypothesis keeps its row, so rows that are read are never written. */
#include "generate.h"

#include "kept.h"

#include <math.h>
#include <string.h>

/* ---- Caches ----------------------------------------------------------------------------------------------------- */

/* Copies positions [begin, end) of one row of a state to another. */
static void copy_positions(const weft_state_desc *state, const weft_cache *cache, int64_t from, int64_t to, int64_t begin, int64_t end) {
  const int64_t position = state->head_dim * (int64_t)weft_dtype_size(state->dtype), head = state->capacity * position, row = state->kv_heads * head;
  if (from == to || begin >= end) return;
  for (int64_t part = 0; part < 2 * state->layers; ++part) {
    char *rows = (char *)cache->data + part * cache->batch * row;
    for (int64_t h = 0; h < state->kv_heads; ++h)
      memcpy(rows + to * row + h * head + begin * position, rows + from * row + h * head + begin * position, (size_t)((end - begin) * position));
  }
}

/* Gives each prompt's hypotheses a row with the prompt. Backwards: a prompt's first row is not before its own. */
static void expand(weft_generation *g, int64_t prompts) {
  const int64_t beams = g->options.beams;
  for (int32_t s = 0; s < g->session->desc->states; ++s) {
    if (!((g->prefill->states | g->step->states) >> s & 1)) continue;
    const weft_cache *cache = &g->session->caches[s];
    for (int64_t b = prompts - 1; b >= 0; --b)
      for (int64_t j = beams - 1; j >= 0; --j) {
        copy_positions(&g->session->desc->state[s], cache, b, b * beams + j, 0, cache->lengths[b]);
        cache->lengths[b * beams + j] = cache->lengths[b];
      }
  }
}

/* Leaves each prompt in its own row, and the other rows empty. Every row of a prompt begins with it. */
static void collapse(weft_generation *g, int64_t prompts) {
  const int64_t beams = g->options.beams;
  for (int32_t s = 0; s < g->session->desc->states; ++s) {
    if (!((g->prefill->states | g->step->states) >> s & 1)) continue;
    const weft_cache *cache = &g->session->caches[s];
    const int64_t *lengths = g->room->beam.lengths + s * g->session->batch;
    for (int64_t b = 0; b < prompts; ++b) {
      copy_positions(&g->session->desc->state[s], cache, b * beams, b, 0, lengths[b]);
      cache->lengths[b] = lengths[b];
    }
    for (int64_t b = prompts; b < prompts * beams; ++b) cache->lengths[b] = 0;
  }
}

/* ---- Candidates ------------------------------------------------------------------------------------------------- */

static double score(const weft_generation *g, double sum, int64_t length) {
  return sum == 0 ? 0 : sum / pow((double)length, g->options.length_penalty);
}

/* Keeps the best `most` in order; a later one stands behind its equals. */
static void insert(weft_hypothesis *list, int64_t *count, int64_t most, const weft_hypothesis *candidate) {
  int64_t at = *count < most ? (*count)++ : most - 1;
  for (; at > 0 && list[at - 1].sum < candidate->sum; --at) list[at] = list[at - 1];
  list[at] = *candidate;
}

static double worst_of(const weft_hypothesis *list, int64_t count, int64_t most) { return count < most ? -INFINITY : list[count - 1].sum; }

/* Adds the continuations of one hypothesis; those of probability 0 are none. `best`: index of the largest logit. */
static void continue_with(weft_generation *g, const float *row, int64_t vocabulary, int64_t best, double sum, int32_t parent, int64_t *tops, int64_t *nexts) {
  weft_beam_room *beam = &g->room->beam;
  const int64_t beams = g->options.beams;
  const double top = row[best];
  double total = 0;
  /* Infinite logits share all the probability among them. */
  for (int64_t i = 0; i < vocabulary; ++i) total += row[i] == top ? 1 : isinf(top) ? 0 : exp(row[i] - top);
  const double scale = log(total);
  for (int64_t i = 0; i < vocabulary; ++i) {
    double p = row[i] == top ? -scale : isinf(top) ? -INFINITY : row[i] - top - scale;
    weft_hypothesis candidate = {sum + p, 0, parent, (int32_t)i};
    if (candidate.sum > worst_of(beam->top, *tops, beams)) insert(beam->top, tops, beams, &candidate);
    if (candidate.sum > worst_of(beam->next, *nexts, beams) && !weft_generation_stops(g, i)) insert(beam->next, nexts, beams, &candidate);
  }
}

/* Puts a finished hypothesis among the prompt's best `beams`. */
static void finish(weft_generation *g, int64_t b, const weft_finished *one) {
  weft_beam_prompt *prompt = &g->room->beam.prompts[b];
  weft_finished *list = g->room->beam.finished + b * g->options.beams;
  int64_t at = prompt->finished;
  if (at == g->options.beams) {
    if (one->score <= list[at - 1].score) return;
    --at;
  } else {
    ++prompt->finished;
  }
  for (; at > 0 && list[at - 1].score < one->score; --at) list[at] = list[at - 1];
  list[at] = *one;
}

/* Finds rows for the hypotheses in `next`: the first child of a hypothesis stays in its row, the others get copies. */
static void place(weft_generation *g, int64_t b, int64_t step, int64_t nexts) {
  weft_beam_room *beam = &g->room->beam;
  const int64_t beams = g->options.beams;
  memset(beam->taken + b * beams, 0, (size_t)beams);
  for (int64_t i = 0; i < nexts; ++i) {
    int64_t row = beam->running[beam->next[i].parent].row;
    beam->next[i].row = beam->taken[row] ? -1 : row;
    beam->taken[row] = 1;
  }
  int64_t free = b * beams;
  for (int64_t i = 0; i < nexts; ++i) {
    if (beam->next[i].row >= 0) continue;
    while (beam->taken[free]) ++free;
    beam->taken[free] = 1;
    beam->next[i].row = free;
    int64_t from = beam->running[beam->next[i].parent].row;
    for (int32_t s = 0; s < g->session->desc->states; ++s) {
      if (!(g->step->states >> s & 1)) continue;
      const weft_cache *cache = &g->session->caches[s];
      /* Only the positions since the prompt differ. */
      copy_positions(&g->session->desc->state[s], cache, from, free, cache->lengths[from] - step, cache->lengths[from]);
      cache->lengths[free] = cache->lengths[from];
    }
  }
}

static void end(weft_generation *g, int64_t b) {
  g->room->beam.prompts[b].ended = true;
  --g->running;
}

/* Chooses prompt b's next hypotheses from the output of entry `index`; `step` tokens were fed after the prompt. */
static weft_status advance(weft_generation *g, int32_t index, int64_t b, int64_t step) {
  weft_beam_room *beam = &g->room->beam;
  weft_beam_prompt *prompt = &beam->prompts[b];
  const int64_t beams = g->options.beams, batch = g->session->batch, first = b * beams, length = step + 1;
  int64_t tops = 0, nexts = 0;
  for (int64_t i = 0; i < prompt->running; ++i) {
    int64_t vocabulary;
    const float *row = weft_generation_logits(g, index, step ? beam->running[first + i].row : b, &vocabulary);
    int64_t best = weft_argmax(row, vocabulary);
    if (best < 0)
      return weft_fail(&g->session->error, WEFT_ERR_NUMERIC, "%s_%s: the logits of sequence %lld at new token %lld hold NaN or nothing finite",
                       g->session->desc->name, g->desc->name, (long long)b, (long long)step);
    continue_with(g, row, vocabulary, best, beam->running[first + i].sum, (int32_t)(first + i), &tops, &nexts);
  }
  for (int64_t i = 0; i < tops; ++i)
    if (weft_generation_stops(g, beam->top[i].token))
      finish(g, b, &(weft_finished){score(g, beam->top[i].sum, length), prompt->order++, step, beam->top[i].parent, true});
  place(g, b, step, nexts);
  prompt->running = nexts;
  for (int64_t i = 0; i < nexts; ++i) {
    const weft_hypothesis *next = &beam->next[i];
    beam->tokens[step * batch + first + i] = next->token;
    beam->parents[step * batch + first + i] = next->parent;
    beam->running[first + i] = *next;
    g->room->last[next->row] = next->token;
  }
  if (length >= prompt->limit) {
    for (int64_t i = 0; i < nexts; ++i)
      finish(g, b, &(weft_finished){score(g, beam->running[first + i].sum, length), prompt->order++, length, (int32_t)(first + i), false});
    end(g, b);
  } else if (!nexts || (prompt->finished == beams && score(g, beam->running[first].sum, length) <= beam->finished[first + beams - 1].score)) {
    end(g, b);
  }
  for (int64_t row = first; row < first + beams; ++row) g->room->done[row] = prompt->ended || !beam->taken[row];
  return WEFT_OK;
}

/* ---- The search ------------------------------------------------------------------------------------------------- */

/* What the options, the room for tokens and the caches allow. */
static int64_t limit_of(const weft_generation *g, int64_t b) {
  int64_t limit = weft_generation_limit(g, b);
  for (int32_t s = 0; s < g->session->desc->states; ++s) {
    int64_t room = g->session->desc->state[s].capacity - g->session->caches[s].lengths[b] + 1; /* the last is not stored */
    if (g->step->states >> s & 1 && room < limit) limit = room;
  }
  return limit;
}

static void start(weft_generation *g) {
  const int64_t prompts = g->count, beams = g->options.beams;
  weft_beam_room *beam = &g->room->beam;
  g->running = 0;
  for (int64_t b = 0; b < prompts; ++b) {
    beam->prompts[b] = (weft_beam_prompt){limit_of(g, b), 1, 0, 0, false};
    beam->prompts[b].ended = beam->prompts[b].limit < 1;
    g->running += !beam->prompts[b].ended;
    beam->running[b * beams] = (weft_hypothesis){0, b * beams, 0, 0};
    int32_t last = g->sequences[b].prompt[g->sequences[b].prompt_length - 1];
    for (int64_t row = b * beams; row < (b + 1) * beams; ++row) {
      g->room->last[row] = last; /* rows without a hypothesis are fed, too */
      g->room->done[row] = 1;
    }
    for (int32_t s = 0; s < g->session->desc->states; ++s) beam->lengths[s * g->session->batch + b] = g->session->caches[s].lengths[b];
  }
}

/* Hands out each prompt's best hypothesis, following it back from its last token. */
static void give_results(weft_generation *g, int64_t prompts) {
  weft_beam_room *beam = &g->room->beam;
  const int64_t beams = g->options.beams, batch = g->session->batch;
  for (int64_t b = 0; b < prompts; ++b) {
    weft_sequence *sequence = &g->sequences[b];
    const weft_finished *best = &beam->finished[b * beams];
    if (!beam->prompts[b].finished) continue;
    int32_t slot = best->slot;
    /* The way back is written over the steps' first places, which no step before reads. */
    for (int64_t t = best->count - 1; t >= 0; --t) {
      int32_t parent = beam->parents[t * batch + slot];
      beam->tokens[t * batch + b * beams] = beam->tokens[t * batch + slot];
      slot = parent;
    }
    sequence->stopped = best->end ? WEFT_STOP_END : WEFT_STOP_LENGTH;
    while (sequence->count < best->count) {
      int64_t number = sequence->count++;
      int32_t token = beam->tokens[number * batch + b * beams];
      if (sequence->tokens) sequence->tokens[number] = token;
      if (g->options.on_token && g->options.on_token(g->options.on_token_user, b, number, token)) {
        sequence->stopped = WEFT_STOP_CALLER;
        break;
      }
    }
  }
}

weft_status weft_generation_beams(weft_generation *g) {
  const int64_t prompts = g->count;
  weft_status status = weft_generation_feed(g);
  if (status) return status;
  start(g);
  expand(g, prompts);
  weft_kept_spread(g->session, g->desc->step, prompts, g->options.beams);
  int32_t index = g->desc->prefill;
  for (int64_t step = 0; !status && g->running > 0; ++step) {
    for (int64_t b = 0; !status && b < prompts; ++b)
      if (!g->room->beam.prompts[b].ended) status = advance(g, index, b, step);
    g->count = prompts * g->options.beams;
    index = g->desc->step;
    if (!status && g->running > 0) status = weft_generation_step(g);
  }
  collapse(g, prompts);
  weft_kept_gather(g->session, g->desc->step, prompts, g->options.beams);
  if (!status) give_results(g, prompts);
  return status;
}
