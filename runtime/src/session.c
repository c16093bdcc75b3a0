/* Creating and destroying sessions. The layout of the session's memory is written once, as a walk that either measures
 * or places; measuring is weft_session_bytes, placing is weft_session_create. */
#include "session.h"

#include "checked.h"
#include "kept.h"
#include "memory.h"

#include <string.h>

int64_t weft_take_product(weft_cursor *c, const int64_t *sizes, int32_t count) {
  int64_t product = 0;
  c->good = c->good && weft_ck_product(sizes, count, &product);
  return c->good ? product : 0;
}

void *weft_take(weft_cursor *c, int64_t count, int64_t size) {
  int64_t begin = c->at, bytes = weft_take_product(c, (const int64_t[]){count, size}, 2);
  c->good = c->good && weft_ck_align(bytes, WEFT_ALIGNMENT, &bytes) && weft_ck_add(c->at, bytes, &c->at);
  return c->base ? c->base + begin : NULL; /* the same walk was measured before */
}

/* Sizes at the session's largest dims, computed with memory that is released before the session exists. */
typedef struct extents {
  int64_t *max_dims;  /* [dims] */
  bool trains;        /* a trainer's: for its two entries, which other sessions can't run */
  int64_t arena, scratch, batch, most_inputs;
  int64_t *fill;      /* [inputs] bytes of optional inputs */
  int64_t *kept;      /* [kepts] bytes of one round */
  int64_t *logits;    /* [generates] bytes of the larger output */
  int64_t *vocabulary;/* [generates] */
  int64_t *tokens;    /* [generates] bytes of the largest token input */
  void *memory;
  int64_t memory_bytes;
} extents;

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

/* One entry's contribution. `numbers` has room for its dims, offsets, sizes and elements. */
static weft_status measure_entry(const weft_model *model, int32_t e, extents *x, int64_t *numbers, weft_error *error) {
  const weft_model_desc *desc = model->desc;
  const weft_entry_desc *entry = &desc->entry[e];
  int64_t *dims = numbers, *offsets = dims + desc->dims, *sizes = offsets + entry->buffers + 2, *elements = sizes + weft_entry_axes(desc, entry);
  for (int32_t d = 0; d < desc->dims; ++d) {
    int64_t fixed = entry->fixed_dims ? entry->fixed_dims[d] : 0;
    dims[d] = fixed ? fixed : x->max_dims[d];
  }
  model->variant->plan[e](dims, offsets);
  entry->shapes(dims, sizes);
  if (!weft_count_elements(desc, entry, sizes, elements) || offsets[entry->buffers] < 0 || offsets[entry->buffers + 1] < 0)
    return weft_fail(error, WEFT_ERR_LIMIT, "%s_%s: these sizes are too large", desc->name, entry->name);
  x->arena = larger(x->arena, offsets[entry->buffers]);
  x->scratch = larger(x->scratch, offsets[entry->buffers + 1]);
  x->most_inputs = larger(x->most_inputs, entry->inputs);
  if (entry->states) x->batch = larger(x->batch, entry->batch_dim >= 0 ? dims[entry->batch_dim] : 1);
  for (int32_t i = 0; i < entry->inputs; ++i) {
    const weft_tensor_desc *input = &desc->input[entry->input_index[i]];
    int64_t bytes = elements[i] * (int64_t)weft_dtype_size(input->dtype);
    if (input->optional) x->fill[entry->input_index[i]] = larger(x->fill[entry->input_index[i]], bytes);
    for (int32_t g = 0; g < desc->generates; ++g)
      if (entry->input_index[i] == desc->generate[g].token_input) x->tokens[g] = larger(x->tokens[g], bytes);
  }
  for (int32_t g = 0; g < desc->generates; ++g) {
    if ((desc->generate[g].prefill != e && desc->generate[g].step != e) || entry->outputs != 1 || entry->output[0].rank < 1) continue;
    int64_t axes = weft_entry_axes(desc, entry);
    x->logits[g] = larger(x->logits[g], elements[entry->inputs] * (int64_t)weft_dtype_size(entry->output[0].dtype));
    x->vocabulary[g] = larger(x->vocabulary[g], sizes[axes - 1]);
  }
  return WEFT_OK;
}

static weft_status measure_kept(const weft_model *model, extents *x, int64_t *numbers, weft_error *error) {
  if (x->trains) return WEFT_OK;
  for (int32_t k = 0; k < model->desc->kepts; ++k)
    if (!weft_kept_bytes(model->desc, x->max_dims, numbers, k, &x->kept[k]) || !weft_ck_align(x->kept[k], WEFT_ALIGNMENT, &x->kept[k]))
      return weft_fail(error, WEFT_ERR_LIMIT, "%s: these sizes are too large", model->desc->name);
  return WEFT_OK;
}

/* Sizes that no entry of a trainer mentions may be left out. */
static void fill_in_dims(const weft_model *model, const int64_t *max_dims, int64_t *dims) {
  const weft_model_desc *desc = model->desc;
  for (int32_t d = 0; d < desc->dims; ++d) {
    bool mentioned = model->mentioned[(int64_t)desc->train->entry * desc->dims + d] || model->mentioned[(int64_t)desc->train->eval * desc->dims + d];
    dims[d] = mentioned || max_dims[d] ? max_dims[d] : weft_lowest_dim(&desc->dim[d]);
  }
}

static weft_status measure(const weft_model *model, const int64_t *max_dims, bool trains, extents *x, weft_error *error) {
  const weft_model_desc *desc = model->desc;
  int64_t most = weft_kept_axes(desc), fixed = desc->dims + desc->inputs + desc->kepts + 3 * (int64_t)desc->generates;
  memset(x, 0, sizeof *x);
  for (int32_t e = 0; e < desc->entries; ++e) {
    const weft_entry_desc *entry = &desc->entry[e];
    most = larger(most, desc->dims + entry->buffers + 2 + weft_entry_axes(desc, entry) + entry->inputs + entry->outputs);
  }
  x->memory_bytes = (fixed + most) * (int64_t)sizeof(int64_t);
  x->memory = weft_allocate(&model->allocator, x->memory_bytes);
  if (!x->memory) return weft_fail(error, WEFT_ERR_MEMORY, "%s: out of memory", desc->name);
  memset(x->memory, 0, (size_t)x->memory_bytes);
  x->trains = trains;
  x->max_dims = x->memory;
  x->fill = x->max_dims + desc->dims;
  x->kept = x->fill + desc->inputs;
  x->logits = x->kept + desc->kepts;
  x->vocabulary = x->logits + desc->generates;
  x->tokens = x->vocabulary + desc->generates;
  if (trains && max_dims) {
    fill_in_dims(model, max_dims, x->max_dims);
    max_dims = x->max_dims;
  }
  weft_status status = weft_check_max_dims(model, max_dims, x->max_dims, error);
  for (int32_t e = 0; !status && e < desc->entries; ++e)
    if (weft_is_trainers(desc, e) == trains) status = measure_entry(model, e, x, x->tokens + desc->generates, error);
  if (!status) status = measure_kept(model, x, x->tokens + desc->generates, error);
  return status;
}

static int64_t thread_count(const weft_session_options *options) {
  int64_t count = options ? options->threads : 0;
  if (options && options->shared_threads && !options->parallel_for) {
    int64_t all = weft_threads_count(options->shared_threads);
    if (count <= 0 || count > all) count = all;
  } else if (count <= 0) {
    count = weft_cpu_count();
  }
  return count > WEFT_MAX_THREADS ? WEFT_MAX_THREADS : count;
}

/* ---- Layout ----------------------------------------------------------------------------------------------------- */

static void lay_plan(weft_session *session, weft_cursor *c, const weft_model_desc *desc, int32_t e) {
  const weft_entry_desc *entry = &desc->entry[e];
  weft_entry_plan plan = {0};
  plan.dims = weft_take(c, desc->dims, sizeof(int64_t));
  plan.given = weft_take(c, desc->dims, sizeof(int64_t));
  plan.offsets = weft_take(c, (int64_t)entry->buffers + 2, sizeof(int64_t));
  plan.sizes = weft_take(c, weft_entry_axes(desc, entry), sizeof(int64_t));
  plan.elements = weft_take(c, (int64_t)entry->inputs + entry->outputs, sizeof(int64_t));
  if (session) session->plans[e] = plan;
}

/* A hypothesis grows until a cache of the step is full; its last token is not stored. */
static int64_t most_new_tokens(const weft_model_desc *desc, int32_t g) {
  int64_t most = -1;
  for (int32_t s = 0; s < desc->states; ++s)
    if (desc->entry[desc->generate[g].step].states >> s & 1 && (most < 0 || desc->state[s].capacity < most)) most = desc->state[s].capacity;
  return most + 1;
}

static void lay_beam_room(weft_cursor *c, const weft_model_desc *desc, int64_t batch, int32_t g, weft_beam_room *beam) {
  const int64_t places = weft_take_product(c, (const int64_t[]){batch, most_new_tokens(desc, g)}, 2);
  beam->prompts = weft_take(c, batch, sizeof(weft_beam_prompt));
  beam->running = weft_take(c, batch, sizeof(weft_hypothesis));
  beam->top = weft_take(c, batch, sizeof(weft_hypothesis));
  beam->next = weft_take(c, batch, sizeof(weft_hypothesis));
  beam->finished = weft_take(c, batch, sizeof(weft_finished));
  beam->taken = weft_take(c, batch, 1);
  beam->lengths = weft_take(c, batch, desc->states * (int64_t)sizeof(int64_t));
  beam->tokens = weft_take(c, places, sizeof(int32_t));
  beam->parents = weft_take(c, places, sizeof(int32_t));
}

static void lay_room(weft_session *session, weft_cursor *c, const weft_model_desc *desc, const extents *x, int32_t g) {
  weft_generate_room room = {0};
  room.vocabulary = x->vocabulary[g];
  room.logits_bytes = x->logits[g];
  room.token_bytes = x->tokens[g];
  room.logits = weft_take(c, room.logits_bytes, 1);
  room.tokens = weft_take(c, x->tokens[g], 1);
  room.row = weft_take(c, room.vocabulary, sizeof(float));
  room.heap = weft_take(c, room.vocabulary, sizeof(uint64_t));
  room.last = weft_take(c, x->batch, sizeof(int32_t));
  room.valid = weft_take(c, x->batch, sizeof(int32_t));
  room.fed = weft_take(c, x->batch, sizeof(int64_t));
  room.saved = weft_take(c, x->batch, desc->states * (int64_t)sizeof(int64_t));
  room.done = weft_take(c, x->batch, 1);
  lay_beam_room(c, desc, x->batch, g, &room.beam);
  if (session) session->rooms[g] = room;
}

static void lay_cache(weft_session *session, weft_cursor *c, const weft_model_desc *desc, const extents *x, int32_t s) {
  const weft_state_desc *state = &desc->state[s];
  const int64_t elements = weft_take_product(c, (const int64_t[]){state->layers, 2, x->batch, state->kv_heads, state->capacity, state->head_dim}, 6);
  weft_cache cache = {0};
  cache.batch = x->batch;
  cache.lengths = weft_take(c, x->batch, sizeof(int64_t));
  cache.data = weft_take(c, elements, (int64_t)weft_dtype_size(state->dtype));
  if (session) {
    session->caches[s] = cache;
    session->capacities_bytes[s] = elements * (int64_t)weft_dtype_size(state->dtype);
  }
}

static void lay_kept(weft_session *session, weft_cursor *c, const weft_model_desc *desc, const extents *x, int32_t k) {
  weft_kept kept = {weft_take(c, x->kept[k], desc->kept[k].rounds), x->kept[k]};
  weft_kept_state state = {false, weft_take(c, desc->dims, sizeof(int64_t)), 0, 0};
  if (session) {
    session->kept[k] = kept;
    session->kept_states[k] = state;
  }
}

/* Walks over everything a session holds; `session` NULL: measure. */
static void lay_out(weft_session *session, weft_cursor *c, const weft_model *model, const extents *x, int64_t threads) {
  const weft_model_desc *desc = model->desc;
  weft_session none;
  weft_session *s = session ? session : &none;
  s->max_dims = weft_take(c, desc->dims, sizeof(int64_t));
  s->plans = weft_take(c, desc->entries, sizeof(weft_entry_plan));
  s->rooms = weft_take(c, desc->generates, sizeof(weft_generate_room));
  s->inputs = weft_take(c, x->most_inputs, sizeof(void *));
  s->fill = weft_take(c, desc->inputs, sizeof(void *));
  s->fill_bytes = weft_take(c, desc->inputs, sizeof(int64_t));
  s->caches = weft_take(c, desc->states, sizeof(weft_cache));
  s->capacities_bytes = weft_take(c, desc->states, sizeof(int64_t));
  s->valid = weft_take(c, x->batch, sizeof(int32_t));
  for (int32_t e = 0; e < desc->entries; ++e) lay_plan(session, c, desc, e);
  for (int32_t g = 0; g < desc->generates; ++g) lay_room(session, c, desc, x, g);
  /* Each thread's scratch ends with two lines that no other thread touches: prefetchers fetch pairs of lines. */
  int64_t stride = 0;
  c->good = c->good && weft_ck_align(x->scratch, WEFT_ALIGNMENT, &stride) && weft_ck_add(stride, 2 * WEFT_ALIGNMENT, &stride);
  s->scratch_bytes = x->scratch;
  s->scratch_stride = stride;
  s->scratch = weft_take(c, threads, stride);
  for (int32_t i = 0; i < desc->inputs; ++i) {
    void *fill = weft_take(c, x->fill[i], 1);
    if (session) {
      session->fill[i] = desc->input[i].optional ? fill : NULL;
      session->fill_bytes[i] = x->fill[i];
    }
  }
  for (int32_t i = 0; i < desc->states; ++i) lay_cache(session, c, desc, x, i);
  s->kept = weft_take(c, desc->kepts, sizeof(weft_kept));
  s->kept_states = weft_take(c, desc->kepts, sizeof(weft_kept_state));
  s->kept_sizes = weft_take(c, weft_kept_axes(desc), sizeof(int64_t));
  s->call_dims = weft_take(c, desc->dims, sizeof(int64_t));
  for (int32_t k = 0; k < desc->kepts; ++k) lay_kept(session, c, desc, x, k);
  s->arena = weft_take(c, x->arena, 1);
  s->arena_bytes = x->arena;
}

/* The walk starts after the session itself; 64 more bytes let the caller's memory begin anywhere. */
static bool total_bytes(const weft_model *model, const extents *x, int64_t threads, int64_t *out) {
  weft_cursor c = {NULL, 0, true};
  weft_take(&c, 1, sizeof(weft_session));
  lay_out(NULL, &c, model, x, threads);
  return c.good && weft_ck_add(c.at, WEFT_ALIGNMENT, out);
}

weft_status weft_measure_session(const weft_model *model, const int64_t *max_dims, const weft_session_options *options, bool trains,
                                 int64_t *out_bytes, int64_t *out_arena, weft_error *error) {
  extents x;
  weft_status status = measure(model, max_dims, trains, &x, error);
  if (!status && !total_bytes(model, &x, thread_count(options), out_bytes))
    status = weft_fail(error, WEFT_ERR_LIMIT, "%s: these sizes are too large", model->desc->name);
  *out_arena = x.arena;
  weft_release(&model->allocator, x.memory, x.memory_bytes);
  return status;
}

int64_t weft_session_bytes(const weft_model *model, const int64_t *max_dims, const weft_session_options *options) {
  weft_error error;
  int64_t bytes, arena;
  if (!weft_model_is_open(model)) return -1;
  return weft_measure_session(model, max_dims, options, false, &bytes, &arena, &error) ? -1 : bytes;
}

/* ---- Creating --------------------------------------------------------------------------------------------------- */

static void write_fill(const weft_tensor_desc *input, void *to, int64_t bytes) {
  int64_t size = (int64_t)weft_dtype_size(input->dtype), elements = bytes / size;
  unsigned char element[8] = {0};
  if (input->dtype <= WEFT_F64) {
    weft_convert(element, input->dtype, &input->fill, WEFT_F64, 1);
  } else {
    int64_t whole = (int64_t)input->fill;
    if (input->dtype == WEFT_BOOL) whole = input->fill != 0;
    memcpy(element, &whole, (size_t)size);
  }
  for (int64_t i = 0; i < elements; ++i) memcpy((char *)to + i * size, element, (size_t)size);
}

/* `zero`: the memory is known to be; then the caches stay untouched, and their pages appear when they are used. */
static void fill_session(weft_session *session, const extents *x, bool zero) {
  const weft_model_desc *desc = session->desc;
  if (desc->dims) memcpy(session->max_dims, x->max_dims, (size_t)desc->dims * sizeof(int64_t));
  session->batch = x->batch;
  session->valid_count = -1;
  for (int32_t i = 0; i < desc->inputs; ++i)
    if (session->fill[i]) write_fill(&desc->input[i], (void *)(uintptr_t)session->fill[i], session->fill_bytes[i]);
  for (int32_t s = 0; s < desc->states; ++s) {
    memset(session->caches[s].lengths, 0, (size_t)x->batch * sizeof(int64_t));
    if (!zero) memset(session->caches[s].data, 0, (size_t)session->capacities_bytes[s]);
  }
}

static weft_status check_weights(const weft_model *model, weft_error *error) {
  for (int32_t p = 0; p < model->desc->params; ++p)
    if (!model->params[p].set)
      return weft_fail(error, WEFT_ERR_MISSING, "%s: parameter '%s' has no value, load or initialise the weights first", model->desc->name,
                       model->desc->param[p].name);
  return WEFT_OK;
}

/* A handle that only holds a text. */
static weft_status failed(const weft_allocator *allocator, weft_status status, const weft_error *error, weft_session **out_session) {
  weft_session *session = weft_allocate(allocator, sizeof *session);
  *out_session = session;
  if (!session) return status;
  memset(session, 0, sizeof *session);
  session->magic = WEFT_SESSION_MAGIC;
  session->created = status;
  session->allocator = *allocator;
  session->block = session;
  session->block_bytes = sizeof *session;
  session->error = *error;
  return status;
}

static weft_status place(weft_model *model, const weft_session_options *options, const extents *x, int64_t threads, weft_session **out_session,
                         weft_error *error) {
  int64_t bytes;
  if (!total_bytes(model, x, threads, &bytes)) return weft_fail(error, WEFT_ERR_LIMIT, "%s: these sizes are too large", model->desc->name);
  char *memory = options ? options->memory : NULL;
  bool own = !memory;
  if (memory && options->memory_bytes < (uint64_t)bytes)
    return weft_fail(error, WEFT_ERR_MEMORY, "%s: expected %lld bytes of memory but got %zu", model->desc->name, (long long)bytes, options->memory_bytes);
  if (own) memory = weft_allocate(&model->allocator, bytes);
  if (!memory) return weft_fail(error, WEFT_ERR_MEMORY, "%s: out of memory for a session of %lld bytes", model->desc->name, (long long)bytes);
  char *aligned = memory + (WEFT_ALIGNMENT - (uintptr_t)memory % WEFT_ALIGNMENT) % WEFT_ALIGNMENT;
  weft_cursor c = {aligned, 0, true};
  weft_session *session = weft_take(&c, 1, sizeof *session);
  memset(session, 0, sizeof *session);
  session->block = own ? memory : NULL;
  session->block_bytes = own ? bytes : 0;
  session->begin = memory;
  session->end = memory + bytes;
  session->allocator = model->allocator;
  session->model = model;
  session->desc = model->desc;
  session->trains = x->trains;
  if (options) session->options = *options;
  session->thread_count = threads;
  atomic_init(&session->busy, 0);
  lay_out(session, &c, model, x, threads);
  fill_session(session, x, own && weft_allocates_zeros(&model->allocator, bytes));
  session->magic = WEFT_SESSION_MAGIC;
  *out_session = session;
  return WEFT_OK;
}

static weft_status start_threads(weft_session *session, weft_error *error) {
  const weft_session_options *options = &session->options;
  if (options->parallel_for || session->thread_count == 1) return WEFT_OK;
  if (options->shared_threads) {
    session->threads = options->shared_threads;
    return WEFT_OK;
  }
  if (weft_threads_create(session->thread_count, &session->allocator, &session->threads))
    return weft_fail(error, WEFT_ERR_MEMORY, "%s: out of memory", session->desc->name);
  session->owns_threads = true;
  int64_t got = weft_threads_count(session->threads);
  if (got < session->thread_count)
    weft_log(options->log, options->log_user, WEFT_LOG_WARNING, "the system allows only %lld of %lld threads", (long long)got,
             (long long)session->thread_count);
  session->thread_count = got;
  return WEFT_OK;
}

weft_status weft_session_create(weft_model *model, const int64_t *max_dims, const weft_session_options *options, weft_session **out_session) {
  return weft_make_session(model, max_dims, options, false, out_session);
}

weft_status weft_make_session(weft_model *model, const int64_t *max_dims, const weft_session_options *options, bool trains,
                              weft_session **out_session) {
  if (!out_session) return WEFT_ERR_ARGUMENT;
  *out_session = NULL;
  if (!weft_model_is(model)) return WEFT_ERR_ARGUMENT;
  if (model->opened) return failed(&model->allocator, model->opened, &model->error, out_session);
  weft_error error = {""};
  extents x = {0};
  weft_status status = WEFT_OK;
  if (options && options->threads < 0)
    status = weft_fail(&error, WEFT_ERR_ARGUMENT, "%s: expected a number of threads but got %lld", model->desc->name, (long long)options->threads);
  if (!status) status = check_weights(model, &error);
  if (!status) status = measure(model, max_dims, trains, &x, &error);
  if (!status) status = place(model, options, &x, thread_count(options), out_session, &error);
  weft_release(&model->allocator, x.memory, x.memory_bytes);
  if (!status && (status = start_threads(*out_session, &error)) != WEFT_OK)
    weft_release(&model->allocator, (*out_session)->block, (*out_session)->block_bytes);
  if (status) return failed(&model->allocator, status, &error, out_session);
  atomic_fetch_add(&model->sessions, 1);
  return WEFT_OK;
}

void weft_session_destroy(weft_session *session) {
  if (!session || session->magic != WEFT_SESSION_MAGIC) return;
  session->magic = 0;
  if (session->owns_threads) weft_threads_destroy(session->threads);
  if (session->model) atomic_fetch_sub(&session->model->sessions, 1);
  weft_allocator allocator = session->allocator;
  weft_release(&allocator, session->block, session->block_bytes);
}

const char *weft_session_error(const weft_session *session) {
  if (!session) return "no session: out of memory, or not a model of this kind";
  return session->magic == WEFT_SESSION_MAGIC ? session->error.text : "expected a session";
}

bool weft_session_is(const weft_session *session) { return session && session->magic == WEFT_SESSION_MAGIC && session->created == WEFT_OK; }

const weft_model_desc *weft_session_descriptor(const weft_session *session) { return weft_session_is(session) ? session->desc : NULL; }

weft_status weft_session_expect(weft_session *session, const weft_model_desc *descriptor) {
  if (weft_session_is(session) && session->desc == descriptor) return WEFT_OK;
  weft_status status = descriptor ? weft_session_enter(session) : WEFT_ERR_ARGUMENT;
  if (status) return status;
  status = weft_fail(&session->error, WEFT_ERR_ARGUMENT, "expected a session of '%s' but got one of '%s'", descriptor->name, session->desc->name);
  weft_session_leave(session);
  return status;
}

int64_t weft_session_threads(const weft_session *session) { return weft_session_is(session) ? session->thread_count : 0; }
