/* The call of an entry: checks, floating-point state, threads, and nothing else between the caller and the kernels. */
#include "kept.h"

#include "cpu.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

weft_status weft_session_enter(weft_session *session) {
  if (!weft_session_is(session)) return session && session->magic == WEFT_SESSION_MAGIC ? session->created : WEFT_ERR_ARGUMENT;
  return atomic_exchange_explicit(&session->busy, 1, memory_order_acquire) ? WEFT_ERR_BUSY : WEFT_OK;
}

static weft_status fail(weft_session *session, int32_t entry, weft_status status, const char *what, const char *name) {
  return weft_fail(&session->error, status, "%s_%s: %s '%s'", session->desc->name, session->desc->entry[entry].name, what, name);
}

/* ---- Sizes ------------------------------------------------------------------------------------------------------ */

weft_status weft_prepare_plan(weft_session *session, int32_t index, const int64_t *dims) {
  const weft_model_desc *desc = session->desc;
  const weft_entry_desc *entry = &desc->entry[index];
  weft_entry_plan *plan = &session->plans[index];
  bool same = plan->ready;
  for (int32_t d = 0; d < desc->dims && same; ++d) same = plan->given[d] == dims[d];
  if (same) return WEFT_OK;
  plan->ready = false;
  weft_status status = weft_resolve_dims(session->model, index, dims, session->max_dims, plan->dims, &session->error);
  if (status) return status;
  for (int32_t d = 0; d < desc->dims; ++d) plan->given[d] = dims[d];
  session->model->variant->plan[index](plan->dims, plan->offsets);
  entry->shapes(plan->dims, plan->sizes);
  int64_t arena = plan->offsets[entry->buffers], scratch = plan->offsets[entry->buffers + 1];
  if (arena < 0 || arena > session->arena_bytes || scratch < 0 || scratch > session->scratch_bytes)
    return weft_fail(&session->error, WEFT_ERR_MEMORY, "%s_%s: these sizes need %lld bytes of arena and %lld of scratch, the session has %lld and %lld",
                     desc->name, entry->name, (long long)arena, (long long)scratch, (long long)session->arena_bytes, (long long)session->scratch_bytes);
  if (!weft_count_elements(desc, entry, plan->sizes, plan->elements))
    return weft_fail(&session->error, WEFT_ERR_LIMIT, "%s_%s: these sizes are too large", desc->name, entry->name);
  plan->batch = entry->batch_dim >= 0 ? plan->dims[entry->batch_dim] : 1;
  plan->tokens = entry->token_dim >= 0 ? plan->dims[entry->token_dim] : 0;
  plan->ready = true;
  return WEFT_OK;
}

/* ---- Values ----------------------------------------------------------------------------------------------------- */

/* Index of the first element outside [low, high], or -1. Whole blocks are tested without branches. */
#define FIRST_OUTSIDE(TYPE, UNSIGNED)                                                                          \
  static int64_t first_outside_##TYPE(const TYPE *data, int64_t count, TYPE low, TYPE high) {                  \
    const UNSIGNED base = (UNSIGNED)low, span = (UNSIGNED)high - (UNSIGNED)low;                                \
    for (int64_t begin = 0; begin < count; begin += 1024) {                                                    \
      int64_t end = begin + 1024 < count ? begin + 1024 : count;                                               \
      UNSIGNED bad = 0;                                                                                        \
      for (int64_t i = begin; i < end; ++i) bad |= (UNSIGNED)((UNSIGNED)((UNSIGNED)data[i] - base) > span);    \
      if (!bad) continue;                                                                                      \
      while (data[begin] >= low && data[begin] <= high) ++begin;                                               \
      return begin;                                                                                            \
    }                                                                                                          \
    return -1;                                                                                                 \
  }
FIRST_OUTSIDE(int8_t, uint8_t)
FIRST_OUTSIDE(uint8_t, uint8_t)
FIRST_OUTSIDE(int32_t, uint32_t)
FIRST_OUTSIDE(int64_t, uint64_t)

static int64_t clamp(int64_t value, int64_t low, int64_t high) { return value < low ? low : value > high ? high : value; }

/* First element of an integer input that is out of range, or -1; its value in *value. */
static int64_t find_bad(const weft_tensor_desc *input, const void *data, int64_t count, int64_t low, int64_t high, int64_t *value) {
  static const int64_t lows[] = {INT32_MIN, INT64_MIN, INT8_MIN, 0, 0}, highs[] = {INT32_MAX, INT64_MAX, INT8_MAX, UINT8_MAX, UINT8_MAX};
  int kind = input->dtype - WEFT_I32;
  int64_t l = clamp(low, lows[kind], highs[kind]), h = clamp(high, lows[kind], highs[kind]), at = -1;
  if (low > high || low > highs[kind] || high < lows[kind]) {
    at = count ? 0 : -1; /* no value of this type is in range */
  } else {
    switch (input->dtype) {
    case WEFT_I32: at = first_outside_int32_t(data, count, (int32_t)l, (int32_t)h); break;
    case WEFT_I64: at = first_outside_int64_t(data, count, l, h); break;
    case WEFT_I8: at = first_outside_int8_t(data, count, (int8_t)l, (int8_t)h); break;
    default: at = first_outside_uint8_t(data, count, (uint8_t)l, (uint8_t)h); break;
    }
  }
  if (at < 0) return -1;
  switch (input->dtype) {
  case WEFT_I32: *value = ((const int32_t *)data)[at]; break;
  case WEFT_I64: *value = ((const int64_t *)data)[at]; break;
  case WEFT_I8: *value = ((const int8_t *)data)[at]; break;
  default: *value = ((const uint8_t *)data)[at]; break;
  }
  return at;
}

void weft_write_position(char *text, size_t size, const char *name, const int64_t *sizes, int32_t rank, int64_t flat) {
  int64_t index[WEFT_MAX_RANK];
  for (int32_t i = rank - 1; i >= 0; --i) {
    index[i] = flat % sizes[i];
    flat /= sizes[i];
  }
  int used = snprintf(text, size, "%.60s", name);
  for (int32_t i = 0; i < rank; ++i) used += snprintf(text + used, size - (size_t)used, "%s%lld", i ? ", " : "[", (long long)index[i]);
  if (rank) snprintf(text + used, size - (size_t)used, "]");
}

static weft_status check_values(weft_session *session, int32_t index, const weft_tensor_desc *input, const void *data, const int64_t *sizes,
                                int64_t count) {
  int64_t low = input->low, high = input->high, value = 0;
  if (input->dtype == WEFT_BOOL) {
    low = 0;
    high = 1;
  } else if (!input->has_range || input->dtype < WEFT_I32) {
    return WEFT_OK;
  }
  int64_t bad = find_bad(input, data, count, low, high, &value);
  if (bad < 0) return WEFT_OK;
  char position[280];
  weft_write_position(position, sizeof position, input->name, sizes, input->rank, bad);
  return weft_fail(&session->error, WEFT_ERR_INDEX, "%s_%s: %s is %lld, expected %lld..%lld", session->desc->name, session->desc->entry[index].name,
                   position, (long long)value, (long long)low, (long long)high);
}

/* ---- Pointers --------------------------------------------------------------------------------------------------- */

static bool misaligned(const void *data, int32_t dtype) { return (uintptr_t)data % weft_dtype_size(dtype) != 0; }

static weft_status check_inputs(weft_session *session, int32_t index, const void *const *inputs) {
  const weft_entry_desc *entry = &session->desc->entry[index];
  const weft_entry_plan *plan = &session->plans[index];
  const int64_t *sizes = plan->sizes;
  if (entry->inputs && !inputs) return weft_fail(&session->error, WEFT_ERR_ARGUMENT, "%s_%s: expected inputs", session->desc->name, entry->name);
  for (int32_t i = 0; i < entry->inputs; ++i) {
    int32_t which = entry->input_index[i];
    const weft_tensor_desc *input = &session->desc->input[which];
    const void *data = inputs[i];
    if (data) {
      if (misaligned(data, input->dtype)) return fail(session, index, WEFT_ERR_ARGUMENT, "the address is not aligned to the elements of input", input->name);
      weft_status status = check_values(session, index, input, data, sizes, plan->elements[i]);
      if (status) return status;
    } else if (input->optional) {
      data = session->fill[which];
      if (plan->elements[i] * (int64_t)weft_dtype_size(input->dtype) > session->fill_bytes[which])
        return fail(session, index, WEFT_ERR_MEMORY, "these sizes are larger than the session's for input", input->name);
    } else if (plan->elements[i]) {
      return fail(session, index, WEFT_ERR_ARGUMENT, "missing input", input->name);
    } else {
      data = session->arena; /* nothing is read; no kernel sees NULL */
    }
    session->inputs[i] = data;
    sizes += input->rank;
  }
  return WEFT_OK;
}

/* `a` is not empty. */
static bool overlaps(const char *a, int64_t a_bytes, const char *b, int64_t b_bytes) {
  return b_bytes && (uintptr_t)a < (uintptr_t)b + (uint64_t)b_bytes && (uintptr_t)b < (uintptr_t)a + (uint64_t)a_bytes;
}

static weft_status check_outputs(weft_session *session, int32_t index, void *const *outputs) {
  const weft_entry_desc *entry = &session->desc->entry[index];
  const weft_entry_plan *plan = &session->plans[index];
  if (entry->outputs && !outputs) return weft_fail(&session->error, WEFT_ERR_ARGUMENT, "%s_%s: expected outputs", session->desc->name, entry->name);
  for (int32_t i = 0; i < entry->outputs; ++i) {
    const weft_tensor_desc *output = &entry->output[i];
    int64_t bytes = plan->elements[entry->inputs + i] * (int64_t)weft_dtype_size(output->dtype);
    const char *data = outputs[i];
    if (!bytes) continue;
    if (!data) return fail(session, index, WEFT_ERR_ARGUMENT, "missing output", output->name);
    if (misaligned(data, output->dtype)) return fail(session, index, WEFT_ERR_ARGUMENT, "the address is not aligned to the elements of output", output->name);
    bool bad = overlaps(data, bytes, session->model->weights, session->model->weights_bytes);
    for (int32_t j = 0; j < entry->inputs && !bad; ++j)
      bad = overlaps(data, bytes, session->inputs[j], plan->elements[j] * (int64_t)weft_dtype_size(session->desc->input[entry->input_index[j]].dtype));
    for (int32_t j = 0; j < i && !bad; ++j)
      bad = outputs[j] && overlaps(data, bytes, outputs[j], plan->elements[entry->inputs + j] * (int64_t)weft_dtype_size(entry->output[j].dtype));
    if (bad) return fail(session, index, WEFT_ERR_ARGUMENT, "memory of an input, a weight or another output overlaps output", output->name);
  }
  return WEFT_OK;
}

/* ---- Caches ----------------------------------------------------------------------------------------------------- */

static weft_status check_valid(weft_session *session, int32_t index) {
  const weft_entry_desc *entry = &session->desc->entry[index];
  const weft_entry_plan *plan = &session->plans[index];
  if (entry->token_dim < 0 || session->valid_count != plan->batch)
    return weft_fail(&session->error, WEFT_ERR_ARGUMENT, "%s_%s: expected %lld numbers of real tokens but got %lld", session->desc->name, entry->name,
                     entry->token_dim < 0 ? 0ll : (long long)plan->batch, (long long)session->valid_count);
  for (int64_t b = 0; b < plan->batch; ++b)
    if (session->valid[b] < 1 || session->valid[b] > plan->tokens)
      return weft_fail(&session->error, WEFT_ERR_LENGTH, "%s_%s: sequence %lld has %d real tokens, expected 1..%lld", session->desc->name, entry->name,
                       (long long)b, session->valid[b], (long long)plan->tokens);
  return WEFT_OK;
}

static weft_status check_room(weft_session *session, int32_t index, const int32_t *valid) {
  const weft_entry_desc *entry = &session->desc->entry[index];
  const weft_entry_plan *plan = &session->plans[index];
  for (int32_t s = 0; s < session->desc->states; ++s) {
    if (!(entry->states >> s & 1)) continue;
    int64_t capacity = session->desc->state[s].capacity;
    for (int64_t b = 0; b < plan->batch; ++b) {
      int64_t more = valid ? valid[b] : plan->tokens, length = session->caches[s].lengths[b];
      if (more > capacity - length)
        return weft_fail(&session->error, WEFT_ERR_LENGTH, "%s_%s: sequence %lld holds %lld of %lld positions of '%s', expected room for %lld more",
                         session->desc->name, entry->name, (long long)b, (long long)length, (long long)capacity, session->desc->state[s].name,
                         (long long)more);
    }
  }
  return WEFT_OK;
}

static void advance(weft_session *session, int32_t index, const int32_t *valid) {
  const weft_entry_desc *entry = &session->desc->entry[index];
  const weft_entry_plan *plan = &session->plans[index];
  for (int32_t s = 0; s < session->desc->states; ++s)
    if (entry->states >> s & 1)
      for (int64_t b = 0; b < plan->batch; ++b) session->caches[s].lengths[b] += valid ? valid[b] : plan->tokens;
}

/* ---- Threads ---------------------------------------------------------------------------------------------------- */

static void run_part(void *context, int64_t part) {
  unsigned state = weft_enter_float_state(); /* the application's thread has its own */
  weft_job_part(context, part);
  weft_leave_float_state(state);
}

static void parallel_for(weft_exec *exec, weft_kernel_fn kernel, const void *args, int64_t tasks) {
  weft_session *session = exec->runtime;
  if (tasks <= 0) return;
  weft_job job = {kernel, args, tasks, tasks < session->thread_count ? tasks : session->thread_count, session->scratch, session->scratch_stride};
  if (job.parts > 1) {
    if (session->options.parallel_for) {
      session->options.parallel_for(session->options.parallel_for_user, job.parts, run_part, &job);
      return;
    }
    if (session->threads && weft_threads_run(session->threads, &job)) return;
  }
  kernel(args, 0, tasks, session->scratch);
}

static void traced_parallel_for(weft_exec *exec, weft_kernel_fn kernel, const void *args, int64_t tasks) {
  weft_session *session = exec->runtime;
  struct timespec begin, end;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  parallel_for(exec, kernel, args, tasks);
  clock_gettime(CLOCK_MONOTONIC, &end);
  session->options.trace(session->options.trace_user, kernel, tasks, (int64_t)(end.tv_sec - begin.tv_sec) * 1000000000 + end.tv_nsec - begin.tv_nsec);
}

void weft_launch(weft_session *session, weft_kernel_fn kernel, const void *args, int64_t tasks) {
  session->exec.runtime = session;
  unsigned state = weft_enter_float_state();
  (session->options.trace ? traced_parallel_for : parallel_for)(&session->exec, kernel, args, tasks);
  weft_leave_float_state(state);
}

/* ---- The call --------------------------------------------------------------------------------------------------- */

static weft_status report_fault(weft_session *session, int32_t index, const int64_t *fault) {
  const weft_model_desc *desc = session->desc;
  int64_t site = fault[0] - 1;
  bool known = site >= 0 && site < desc->sites;
  return weft_fail(&session->error, WEFT_ERR_INDEX, "%s_%s: an index into %s is %lld, expected %lld..%lld", desc->name, desc->entry[index].name,
                   known ? desc->site[site].table : "?", (long long)fault[1], (long long)fault[2], (long long)fault[3]);
}

weft_status weft_run_entry(weft_session *session, int32_t index, const int64_t *dims, const void *const *inputs, void *const *outputs) {
  const weft_model_desc *desc = session->desc;
  bool lengths_given = session->valid_count >= 0;
  weft_status status = WEFT_OK;
  if (index < 0 || index >= desc->entries)
    status = weft_fail(&session->error, WEFT_ERR_ARGUMENT, "%s: expected an entry 0..%d but got %d", desc->name, desc->entries - 1, index);
  else if (desc->dims && !dims)
    status = weft_fail(&session->error, WEFT_ERR_ARGUMENT, "%s_%s: expected sizes", desc->name, desc->entry[index].name);
  else if (weft_is_trainers(desc, index) != session->trains)
    status = weft_fail(&session->error, WEFT_ERR_ARGUMENT, "%s_%s: expected a trainer to run it", desc->name, desc->entry[index].name);
  if (!status) status = weft_kept_present(session, index);
  if (!status) status = weft_prepare_plan(session, index, weft_kept_dims(session, index, dims));
  if (!status) status = weft_kept_fits(session, index);
  if (!status && lengths_given) status = check_valid(session, index);
  if (!status) status = check_inputs(session, index, inputs);
  if (!status) status = check_outputs(session, index, outputs);
  session->valid_count = -1;
  if (status) return status;
  const int32_t *valid = lengths_given ? session->valid : NULL;
  if (desc->entry[index].states && (status = check_room(session, index, valid)) != WEFT_OK) return status;

  weft_exec *exec = &session->exec;
  exec->dims = session->plans[index].dims;
  exec->inputs = session->inputs;
  exec->outputs = outputs;
  exec->views = session->model->views;
  exec->arena = session->arena;
  exec->offsets = session->plans[index].offsets;
  exec->caches = session->caches;
  exec->kept = session->kept;
  exec->valid = valid;
  exec->scratch = session->scratch;
  exec->scratch_bytes = session->scratch_bytes;
  exec->parallel_for = session->options.trace ? traced_parallel_for : parallel_for;
  /* With a trace, entries must not call kernels behind its back: two or more threads make them launch. */
  exec->threads = session->options.trace && session->thread_count == 1 ? 2 : session->thread_count;
  exec->fault[0] = 0;
  exec->runtime = session;
  weft_kept_begin(session, index);
  unsigned state = weft_enter_float_state();
  session->model->variant->entry[index](exec);
  weft_leave_float_state(state);
  if (exec->fault[0]) return report_fault(session, index, exec->fault);
  if (desc->entry[index].states) advance(session, index, valid);
  weft_kept_end(session, index);
  return WEFT_OK;
}

weft_status weft_session_run(weft_session *session, int32_t entry, const int64_t *dims, const void *const *inputs, void *const *outputs) {
  weft_status status = weft_session_enter(session);
  if (status) return status;
  status = weft_run_entry(session, entry, dims, inputs, outputs);
  weft_session_leave(session);
  return status;
}
