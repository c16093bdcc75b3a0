/* Generation: prompts through the prefill entry, then one token at a time through the step entry. */
#include "generate.h"

#include "kept.h"

#include <math.h>
#include <string.h>

typedef weft_generation generation;

static weft_status fail(generation *g, weft_status status, const char *text) {
  return weft_fail(&g->session->error, status, "%s_%s: %s", g->session->desc->name, g->desc->name, text);
}

weft_status weft_generate_defaults(const weft_model *model, int32_t generate, weft_generate_options *out_options) {
  if (!weft_model_is_open(model) || generate < 0 || generate >= model->desc->generates || !out_options)
    return WEFT_ERR_ARGUMENT;
  const weft_generate_desc *desc = &model->desc->generate[generate];
  memset(out_options, 0, sizeof *out_options);
  out_options->max_new_tokens = desc->max_new_tokens;
  out_options->sample = desc->sample;
  out_options->temperature = desc->temperature;
  out_options->k = desc->k;
  out_options->p = desc->p;
  out_options->seed = desc->seed;
  out_options->beams = desc->beams;
  out_options->length_penalty = desc->length_penalty;
  out_options->stop = desc->stop;
  out_options->stops = desc->stops;
  return WEFT_OK;
}

/* ---- Checks ----------------------------------------------------------------------------------------------------- */

static weft_status check_entry(generation *g, const weft_entry_desc *entry) {
  if (entry->outputs != 1 || !entry->states || entry->token_dim < 0 || entry->output[0].rank < 2 || entry->output[0].rank > 3 ||
      entry->output[0].dtype > WEFT_F64)
    return fail(g, WEFT_ERR_UNSUPPORTED, "expected entries with a state and one output, the logits");
  if (!g->options.dims)
    for (int32_t d = 0; d < g->session->desc->dims; ++d)
      if (d != entry->token_dim && d != entry->batch_dim && !(entry->fixed_dims && entry->fixed_dims[d]) &&
          g->session->model->mentioned[(entry - g->session->desc->entry) * g->session->desc->dims + d] == WEFT_MENTIONED)
        return fail(g, WEFT_ERR_ARGUMENT, "expected the sizes of the other dims in the options");
  return WEFT_OK;
}

static weft_status check_options(generation *g) {
  const weft_generate_options *o = &g->options;
  const char *model = g->session->desc->name, *name = g->desc->name;
  if (o->sample < WEFT_SAMPLE_GREEDY || o->sample > WEFT_SAMPLE_BEAM) 
    return weft_fail(&g->session->error, WEFT_ERR_ARGUMENT, "%s_%s: expected a weft_sample_kind but got %d", model, name, o->sample);
  if (!(o->temperature >= 0) || isinf(o->temperature)) 
    return weft_fail(&g->session->error, WEFT_ERR_ARGUMENT, "%s_%s: expected a temperature of at least 0 but got %g", model, name, o->temperature);
  if (o->k < 0 || (o->sample == WEFT_SAMPLE_TOP_K && o->k < 1))
    return weft_fail(&g->session->error, WEFT_ERR_ARGUMENT, "%s_%s: expected k of at least %d but got %lld", model, name,
                     o->sample == WEFT_SAMPLE_TOP_K, (long long)o->k);
  if (o->sample == WEFT_SAMPLE_TOP_P && !(o->p > 0 && o->p <= 1))
    return weft_fail(&g->session->error, WEFT_ERR_ARGUMENT, "%s_%s: expected p above 0 and at most 1 but got %g", model, name, o->p);
  if (o->max_new_tokens < 0)
    return weft_fail(&g->session->error, WEFT_ERR_ARGUMENT, "%s_%s: expected max_new_tokens of at least 0 but got %lld", model, name,
                     (long long)o->max_new_tokens);
  if (o->sample == WEFT_SAMPLE_BEAM && o->beams < 1)
    return weft_fail(&g->session->error, WEFT_ERR_ARGUMENT, "%s_%s: expected beams of at least 1 but got %lld", model, name, (long long)o->beams);
  if (o->sample == WEFT_SAMPLE_BEAM && !isfinite(o->length_penalty))
    return weft_fail(&g->session->error, WEFT_ERR_ARGUMENT, "%s_%s: expected a finite length_penalty but got %g", model, name, o->length_penalty);
  if (o->sample == WEFT_SAMPLE_BEAM && !weft_kept_has_rows(g->session->model, g->desc->step))
    return fail(g, WEFT_ERR_UNSUPPORTED, "expected kept values with sequences as their first axis for beam search");
  if (o->stops < 0 || (o->stops && !o->stop)) return fail(g, WEFT_ERR_ARGUMENT, "expected `stop` to hold `stops` tokens");
  return WEFT_OK;
}

static weft_status check_sequences(generation *g) {
  if (!g->sequences) return fail(g, WEFT_ERR_ARGUMENT, "expected sequences but got NULL");
  if (g->count < 1 || g->count > g->session->batch)
    return weft_fail(&g->session->error, WEFT_ERR_DIM, "%s_%s: %lld sequences, expected 1..%lld", g->session->desc->name, g->desc->name,
                     (long long)g->count, (long long)g->session->batch);
  for (int64_t b = 0; b < g->count; ++b) {
    weft_sequence *sequence = &g->sequences[b];
    sequence->count = 0;
    sequence->stopped = WEFT_STOP_LENGTH;
    if (sequence->prompt_length < 1 || !sequence->prompt)
      return weft_fail(&g->session->error, WEFT_ERR_ARGUMENT, "%s_%s: the prompt of sequence %lld is empty", g->session->desc->name, g->desc->name, (long long)b);
    if (sequence->tokens && sequence->capacity < 0) return fail(g, WEFT_ERR_ARGUMENT, "expected a capacity of at least 0");
  }
  if (g->options.sample == WEFT_SAMPLE_BEAM && g->options.beams > g->session->batch / g->count)
    return weft_fail(&g->session->error, WEFT_ERR_LENGTH, "%s_%s: %lld beams for each of %lld prompts need as many sequences, but the session has %lld",
                     g->session->desc->name, g->desc->name, (long long)g->options.beams, (long long)g->count, (long long)g->session->batch);
  return WEFT_OK;
}

/* Before anything is stored: a prompt that the caches can't hold changes nothing. Bounds the prompts' lengths. */
static weft_status check_room(const generation *g) {
  weft_session *session = g->session;
  for (int32_t s = 0; s < session->desc->states; ++s)
    for (int64_t b = 0; b < g->count && (g->prefill->states >> s & 1); ++b) {
      int64_t held = g->options.append ? session->caches[s].lengths[b] : 0, room = session->desc->state[s].capacity - held;
      if (g->sequences[b].prompt_length > room)
        return weft_fail(&session->error, WEFT_ERR_LENGTH, "%s_%s: the prompt of sequence %lld has %lld tokens, expected at most %lld: '%s' holds %lld of %lld positions",
                         session->desc->name, g->desc->name, (long long)b, (long long)g->sequences[b].prompt_length, (long long)room,
                         session->desc->state[s].name, (long long)held, (long long)session->desc->state[s].capacity);
    }
  return WEFT_OK;
}

/* Before the calls do, which know no more of a prompt than their part. */
static weft_status check_tokens(const generation *g) {
  const weft_tensor_desc *input = &g->session->desc->input[g->desc->token_input];
  for (int64_t b = 0; b < g->count && input->has_range; ++b)
    for (int64_t t = 0; t < g->sequences[b].prompt_length; ++t) {
      const int32_t token = g->sequences[b].prompt[t];
      if (token < input->low || token > input->high)
        return weft_fail(&g->session->error, WEFT_ERR_INDEX, "%s_%s: token %lld of the prompt of sequence %lld is %d, expected %lld..%lld", g->session->desc->name,
                         g->desc->name, (long long)t, (long long)b, token, (long long)input->low, (long long)input->high);
    }
  return WEFT_OK;
}

/* ---- Calls of entries ------------------------------------------------------------------------------------------- */

static void put_token(generation *g, int64_t at, int64_t token) {
  if (g->token_dtype == WEFT_I64) ((int64_t *)g->room->tokens)[at] = token;
  else ((int32_t *)g->room->tokens)[at] = (int32_t)token;
}

/* Sizes of a call of an entry on [count, tokens] tokens. */
static void call_dims(const generation *g, const weft_entry_desc *entry, int64_t tokens, int64_t *dims) {
  for (int32_t d = 0; d < g->session->desc->dims; ++d) {
    dims[d] = g->options.dims ? g->options.dims[d] : 0;
    if (d == entry->token_dim) dims[d] = tokens;
    if (d == entry->batch_dim) dims[d] = g->count;
  }
}

/* Plans the next call, and checks that its tokens and logits fit the room before anything is written there. */
static weft_status plan_call(generation *g, int32_t index, int64_t tokens) {
  const weft_entry_desc *entry = &g->session->desc->entry[index];
  const weft_entry_plan *plan = &g->session->plans[index];
  int64_t dims[MOST_DIMS];
  call_dims(g, entry, tokens, dims);
  weft_status status = weft_kept_present(g->session, index);
  if (!status) status = weft_prepare_plan(g->session, index, weft_kept_dims(g->session, index, dims));
  if (status) return status;
  bool good = plan->elements[entry->inputs] * (int64_t)weft_dtype_size(entry->output[0].dtype) <= g->room->logits_bytes, found = false;
  for (int32_t i = 0; i < entry->inputs; ++i) {
    if (entry->input_index[i] != g->desc->token_input) continue;
    found = true;
    good = good && plan->elements[i] == g->count * tokens && plan->elements[i] * (int64_t)weft_dtype_size(g->token_dtype) <= g->room->token_bytes;
  }
  const int64_t *sizes = plan->sizes + weft_entry_axes(g->session->desc, entry);
  good = good && sizes[-1] > 0 && sizes[-1] <= g->room->vocabulary;
  return good && found ? WEFT_OK : fail(g, WEFT_ERR_UNSUPPORTED, "expected tokens [B, T] and logits [B, V], [B, 1, V] or [B, T, V]");
}

/* Runs an entry on room->tokens. */
static weft_status call(generation *g, int32_t index, int64_t tokens, const void *const *others) {
  const weft_entry_desc *entry = &g->session->desc->entry[index];
  int64_t dims[MOST_DIMS];
  const void *inputs[MOST_INPUTS];
  call_dims(g, entry, tokens, dims);
  for (int32_t i = 0; i < entry->inputs; ++i)
    inputs[i] = entry->input_index[i] == g->desc->token_input ? g->room->tokens : others ? others[i] : NULL;
  void *outputs[1] = {g->room->logits};
  return weft_run_entry(g->session, index, dims, inputs, outputs);
}

const float *weft_generation_logits(generation *g, int32_t index, int64_t b, int64_t *vocabulary) {
  const weft_entry_desc *entry = &g->session->desc->entry[index];
  const weft_entry_plan *plan = &g->session->plans[index];
  const weft_tensor_desc *output = &entry->output[0];
  int64_t axes = weft_entry_axes(g->session->desc, entry);
  const int64_t *sizes = plan->sizes + axes - output->rank;
  int64_t rows = output->rank == 3 ? sizes[1] : 1, width = sizes[output->rank - 1];
  int64_t row = b * rows + (rows > 1 ? g->room->valid[b] - 1 : 0);
  *vocabulary = width;
  const char *data = (const char *)g->room->logits + row * width * (int64_t)weft_dtype_size(output->dtype);
  if (output->dtype == WEFT_F32) return (const float *)data;
  weft_convert(g->room->row, WEFT_F32, data, output->dtype, width);
  return g->room->row;
}

static weft_status feed(generation *g) {
  weft_session *session = g->session;
  const int32_t dim = g->prefill->token_dim;
  int64_t fixed = g->prefill->fixed_dims ? g->prefill->fixed_dims[dim] : 0, most = fixed ? fixed : session->max_dims[dim];
  int64_t multiple = session->desc->dim[dim].multiple_of > 1 ? session->desc->dim[dim].multiple_of : 1, least = session->desc->dim[dim].min;
  int64_t longest = 0, shortest = INT64_MAX;
  for (int64_t b = 0; b < g->count; ++b) {
    int64_t length = g->sequences[b].prompt_length;
    longest = length > longest ? length : longest;
    shortest = length < shortest ? length : shortest;
    g->room->fed[b] = 0;
  }
  int64_t calls = most > 0 ? (longest + most - 1) / most : 0;
  if (!calls || shortest < calls)
    return weft_fail(&session->error, WEFT_ERR_LENGTH, "%s_%s: a prompt of %lld tokens beside one of %lld needs a session for more than %lld tokens a call",
                     session->desc->name, g->desc->name, (long long)longest, (long long)shortest, (long long)most);
  for (int64_t c = 0; c < calls; ++c) {
    int64_t tokens = fixed ? fixed : least > 1 ? least : 1;
    for (int64_t b = 0; b < g->count; ++b) {
      /* Equal shares; written so that no product overflows. */
      int64_t length = g->sequences[b].prompt_length, end = length / calls * (c + 1) + length % calls * (c + 1) / calls;
      g->room->valid[b] = (int32_t)(end - g->room->fed[b]);
      if (g->room->valid[b] > tokens) tokens = g->room->valid[b];
    }
    tokens = (tokens + multiple - 1) / multiple * multiple;
    weft_status status = plan_call(g, g->desc->prefill, tokens);
    if (status) return status;
    bool padded = false;
    for (int64_t b = 0; b < g->count; ++b) {
      const int32_t *from = g->sequences[b].prompt + g->room->fed[b];
      for (int64_t t = 0; t < tokens; ++t) put_token(g, b * tokens + t, from[t < g->room->valid[b] ? t : g->room->valid[b] - 1]);
      g->room->fed[b] += g->room->valid[b];
      padded = padded || g->room->valid[b] < tokens;
    }
    session->valid_count = -1;
    if (padded) {
      memcpy(session->valid, g->room->valid, (size_t)g->count * sizeof(int32_t));
      session->valid_count = g->count;
    }
    session->exec.fault[0] = 0;
    status = call(g, g->desc->prefill, tokens, g->options.prefill_inputs);
    g->stored = g->stored || !status || session->exec.fault[0];
    if (status) return status;
  }
  return WEFT_OK;
}

weft_status weft_generation_feed(generation *g) {
  weft_session *session = g->session;
  const uint64_t states = g->prefill->states | g->step->states;
  for (int32_t s = 0; s < session->desc->states; ++s)
    for (int64_t b = 0; b < g->count && states >> s & 1; ++b) {
      int64_t *length = &session->caches[s].lengths[b];
      g->room->saved[s * session->batch + b] = *length;
      if (!g->options.append) *length = 0;
    }
  weft_status status = feed(g);
  /* Parts of a prompt do not count. Without `append` what was there is gone once a call has stored something over it. */
  for (int32_t s = 0; status && s < session->desc->states; ++s)
    for (int64_t b = 0; b < g->count && states >> s & 1; ++b)
      session->caches[s].lengths[b] = g->options.append || !g->stored ? g->room->saved[s * session->batch + b] : 0;
  return status;
}

/* ---- Choosing --------------------------------------------------------------------------------------------------- */

int64_t weft_generation_limit(const generation *g, int64_t b) {
  const weft_sequence *sequence = &g->sequences[b];
  return sequence->tokens && sequence->capacity < g->options.max_new_tokens ? sequence->capacity : g->options.max_new_tokens;
}

static void finish(generation *g, int64_t b, weft_stop_reason reason) {
  g->sequences[b].stopped = reason;
  g->room->done[b] = 1;
  --g->running;
}

bool weft_generation_stops(const generation *g, int64_t token) {
  for (int32_t i = 0; i < g->options.stops; ++i)
    if (g->options.stop[i] == token) return true;
  return false;
}

/* Positions that sequence b has in the states of the step entry, and whether one more fits. */
static int64_t length_of(const generation *g, int64_t b, bool *room) {
  int64_t length = 0;
  *room = true;
  for (int32_t s = 0; s < g->session->desc->states; ++s) {
    if (!(g->step->states >> s & 1)) continue;
    length = g->session->caches[s].lengths[b];
    *room = *room && length < g->session->desc->state[s].capacity;
  }
  return length;
}

/* Chooses the next token of every running sequence from the output of entry `index`. */
static weft_status choose(generation *g, int32_t index) {
  for (int64_t b = 0; b < g->count; ++b) {
    if (g->room->done[b]) continue;
    weft_sequence *sequence = &g->sequences[b];
    int64_t vocabulary;
    bool room;
    int64_t position = length_of(g, b, &room);
    const float *row = weft_generation_logits(g, index, b, &vocabulary);
    int64_t token = weft_sample(&g->sampling, row, vocabulary, b, position, g->room->heap);
    if (token < 0)
      return weft_fail(&g->session->error, WEFT_ERR_NUMERIC, "%s_%s: the logits of sequence %lld at position %lld hold NaN or nothing finite",
                       g->session->desc->name, g->desc->name, (long long)b, (long long)position);
    if (weft_generation_stops(g, token)) {
      finish(g, b, WEFT_STOP_END);
      continue;
    }
    int64_t number = sequence->count++;
    if (sequence->tokens) sequence->tokens[number] = (int32_t)token;
    g->room->last[b] = (int32_t)token;
    if (g->options.on_token && g->options.on_token(g->options.on_token_user, b, number, (int32_t)token)) finish(g, b, WEFT_STOP_CALLER);
    else if (sequence->count >= weft_generation_limit(g, b) || !room) finish(g, b, WEFT_STOP_LENGTH);
  }
  return WEFT_OK;
}

weft_status weft_generation_step(generation *g) {
  weft_session *session = g->session;
  weft_status status = plan_call(g, g->desc->step, 1);
  if (status) return status;
  for (int64_t b = 0; b < g->count; ++b) {
    put_token(g, b, g->room->last[b]);
    g->room->valid[b] = 1;
  }
  for (int32_t s = 0; s < session->desc->states; ++s)
    for (int64_t b = 0; b < g->count; ++b) {
      int64_t *length = &session->caches[s].lengths[b], capacity = session->desc->state[s].capacity;
      g->room->saved[s * session->batch + b] = *length;
      /* A full cache has no free position; nothing can follow it, so its last one may be overwritten. */
      if (g->room->done[b] && *length >= capacity) *length = capacity - 1;
    }
  status = call(g, g->desc->step, 1, g->options.step_inputs);
  for (int32_t s = 0; s < session->desc->states; ++s)
    for (int64_t b = 0; b < g->count; ++b)
      if (g->room->done[b]) session->caches[s].lengths[b] = g->room->saved[s * session->batch + b];
  return status;
}

static weft_status generate(generation *g) {
  if (g->options.sample == WEFT_SAMPLE_BEAM) return weft_generation_beams(g);
  weft_status status = weft_generation_feed(g);
  if (status) return status;
  g->running = g->count;
  memset(g->room->done, 0, (size_t)g->count);
  for (int64_t b = 0; b < g->count; ++b) {
    g->room->last[b] = g->sequences[b].prompt[g->sequences[b].prompt_length - 1];
    if (weft_generation_limit(g, b) < 1) finish(g, b, WEFT_STOP_LENGTH);
  }
  for (int32_t index = g->desc->prefill; g->running > 0; index = g->desc->step) {
    status = choose(g, index);
    if (!status && g->running > 0) status = weft_generation_step(g);
    if (status) return status;
  }
  return WEFT_OK;
}

static weft_status prepare(generation *g, int32_t index, const weft_generate_options *options) {
  weft_session *session = g->session;
  const weft_model_desc *desc = session->desc;
  if (index < 0 || index >= desc->generates)
    return weft_fail(&session->error, WEFT_ERR_ARGUMENT, "%s: expected a generate entry 0..%d but got %d", desc->name, desc->generates - 1, index);
  g->desc = &desc->generate[index];
  g->room = &session->rooms[index];
  g->prefill = &desc->entry[g->desc->prefill];
  g->step = &desc->entry[g->desc->step];
  g->token_dtype = desc->input[g->desc->token_input].dtype;
  if (options) g->options = *options;
  else weft_generate_defaults(session->model, index, &g->options);
  weft_sampling sampling = {g->options.sample, g->options.temperature, g->options.p, g->options.k, g->options.seed};
  g->sampling = sampling;
  if (desc->dims > MOST_DIMS || g->prefill->inputs > MOST_INPUTS || g->step->inputs > MOST_INPUTS || (g->token_dtype != WEFT_I32 && g->token_dtype != WEFT_I64))
    return fail(g, WEFT_ERR_UNSUPPORTED, "expected tokens of i32 or i64 and at most 64 dims and inputs");
  weft_status status = check_entry(g, g->prefill);
  if (!status) status = check_entry(g, g->step);
  if (!status) status = check_options(g);
  if (!status) status = check_sequences(g);
  if (!status) status = check_room(g);
  return status ? status : check_tokens(g);
}

weft_status weft_session_generate(weft_session *session, int32_t generate_entry, const weft_generate_options *options, weft_sequence *sequences,
                                  int64_t count) {
  weft_status status = weft_session_enter(session);
  if (status) return status;
  generation g;
  memset(&g, 0, sizeof g);
  g.session = session;
  g.sequences = sequences;
  g.count = count;
  status = prepare(&g, generate_entry, options);
  if (!status) status = generate(&g);
  session->valid_count = -1;
  weft_session_leave(session);
  return status;
}
