/* Creating and destroying trainers; their numbers and tensors. The layout of a trainer's memory is one walk that either
 * measures or places. */
#include "trainer.h"

#include "checked.h"
#include "memory.h"
#include "threads.h"

#include <math.h>
#include <string.h>

static bool has_m(const weft_optimizer_desc *o) { return o->kind != WEFT_SGD || o->momentum != 0; }
static bool has_v(const weft_optimizer_desc *o) { return o->kind != WEFT_SGD; }

/* What a walk over a trainer's memory finds beside its end. */
typedef struct parts {
  int64_t gradients, moments;
} parts;

/* `trainer` knows model, elements and accumulate; its pointers are set. */
static parts lay_out(weft_trainer *trainer, weft_cursor *w) {
  const weft_model_desc *desc = trainer->desc;
  const weft_train_desc *train = trainer->train;
  trainer->begins = weft_take(w, train->tensors, sizeof(int64_t));
  trainer->outputs = weft_take(w, desc->entry[train->entry].outputs, sizeof(void *));
  trainer->squares = weft_take(w, trainer->elements / WEFT_TRAIN_BLOCK, sizeof(float));
  int64_t before = w->at;
  trainer->g = weft_take(w, trainer->elements, sizeof(float));
  trainer->sum = trainer->accumulate > 1 ? weft_take(w, trainer->elements, sizeof(float)) : NULL;
  const int64_t gradients = w->at - before;
  before = w->at;
  trainer->m = has_m(&train->optimizer) ? weft_take(w, trainer->elements, sizeof(float)) : NULL;
  trainer->v = has_v(&train->optimizer) ? weft_take(w, trainer->elements, sizeof(float)) : NULL;
  return (parts){gradients, w->at - before};
}

static weft_session_options session_options(const weft_trainer_options *options) {
  weft_session_options result;
  memset(&result, 0, sizeof result);
  if (options) {
    result.threads = options->threads;
    result.shared_threads = options->shared_threads;
    result.log = options->log;
    result.log_user = options->log_user;
    result.trace = options->trace;
    result.trace_user = options->trace_user;
  }
  return result;
}

/* Fills in what a walk needs. */
static weft_status prepare(weft_trainer *trainer, const weft_model *model, const weft_trainer_options *options, weft_error *error) {
  memset(trainer, 0, sizeof *trainer);
  trainer->desc = model->desc;
  trainer->train = model->desc->train;
  if (!trainer->train)
    return weft_fail(error, WEFT_ERR_UNSUPPORTED, "%s: the object has no training entry; compile it with --entry and the entry's name", model->desc->name);
  if (options) trainer->options = *options;
  trainer->accumulate = trainer->options.accumulate ? trainer->options.accumulate : trainer->train->accumulate;
  if (trainer->accumulate < 1)
    return weft_fail(error, WEFT_ERR_ARGUMENT, "%s: expected at least 1 batch per update but got %lld", model->desc->name, (long long)trainer->accumulate);
  if (trainer->options.threads < 0)
    return weft_fail(error, WEFT_ERR_ARGUMENT, "%s: expected a number of threads but got %lld", model->desc->name, (long long)trainer->options.threads);
  if (!weft_train_elements(model, &trainer->elements)) return weft_fail(error, WEFT_ERR_LIMIT, "%s: the weights are too large", model->desc->name);
  return WEFT_OK;
}

static int64_t parameter_bytes(const weft_model *model) {
  int64_t bytes = 0;
  for (int32_t p = 0; p < model->desc->params; ++p) bytes += weft_param_bytes(model, p);
  return bytes;
}

weft_status weft_trainer_memory(const weft_model *model, const int64_t *max_dims, const weft_trainer_options *options, weft_train_memory *out_memory) {
  if (!weft_model_is_open(model) || !out_memory) return WEFT_ERR_ARGUMENT;
  weft_trainer trainer;
  weft_error error = {""};
  weft_session_options session = session_options(options);
  int64_t session_bytes = 0, arena = 0;
  weft_cursor w = {NULL, sizeof trainer, true};
  weft_status status = prepare(&trainer, model, options, &error);
  if (!status) status = weft_measure_session(model, max_dims, &session, true, &session_bytes, &arena, &error);
  if (status) return status;
  const parts sizes = lay_out(&trainer, &w);
  memset(out_memory, 0, sizeof *out_memory);
  out_memory->parameters = parameter_bytes(model);
  out_memory->gradients = sizes.gradients;
  out_memory->moments = sizes.moments;
  out_memory->arena = arena;
  /* One thread needs no pool, and a shared one is the caller's. */
  const int64_t threads = session.threads ? session.threads : weft_cpu_count();
  if (threads > 1 && !session.shared_threads) session_bytes += weft_threads_bytes(threads);
  if (!w.good || !weft_ck_add(w.at, session_bytes, &out_memory->other)) return WEFT_ERR_LIMIT;
  out_memory->other -= sizes.gradients + sizes.moments + arena;
  return weft_ck_add(out_memory->parameters, w.at + session_bytes, &out_memory->total) ? WEFT_OK : WEFT_ERR_LIMIT;
}

/* Tensors' places, groups, and where the training entry writes. */
static void connect(weft_trainer *trainer) {
  const weft_model *model = trainer->model;
  const weft_train_desc *train = trainer->train;
  int64_t at = 0;
  trainer->outputs[0] = &trainer->loss_output;
  if (train->weight > 0) trainer->outputs[train->weight] = &trainer->weight_output;
  for (int32_t i = 0; i < train->tensors; ++i) {
    const weft_trained_desc *tensor = &train->tensor[i];
    weft_train_place(model, i, at, &trainer->begins[i]);
    at = trainer->begins[i] + model->params[tensor->param].elements;
    if (i == 0 || train->tensor[i - 1].output != tensor->output) trainer->outputs[tensor->output] = trainer->g + trainer->begins[i];
    weft_group *group = trainer->group_count ? &trainer->groups[trainer->group_count - 1] : NULL;
    if (!group || group->decays != !!tensor->decays) {
      group = &trainer->groups[trainer->group_count++];
      group->begin = trainer->begins[i];
      group->decays = !!tensor->decays;
    }
  }
  for (int32_t i = 0; i < trainer->group_count; ++i)
    trainer->groups[i].elements = (i + 1 < trainer->group_count ? trainer->groups[i + 1].begin : trainer->elements) - trainer->groups[i].begin;
  trainer->p = train->tensors ? model->params[train->tensor[0].param].data : NULL;
}

static weft_status failed(const weft_allocator *allocator, weft_status status, const weft_error *error, weft_trainer **out_trainer) {
  weft_trainer *trainer = *out_trainer = weft_allocate(allocator, sizeof *trainer);
  if (!trainer) return status;
  memset(trainer, 0, sizeof *trainer);
  trainer->magic = WEFT_TRAINER_MAGIC;
  trainer->created = status;
  trainer->allocator = *allocator;
  trainer->block_bytes = sizeof *trainer;
  trainer->error = *error;
  return status;
}

/* The trainer and its memories in one block, all zero. */
static weft_status place(weft_model *model, weft_trainer *prepared, weft_trainer **out_trainer, weft_error *error) {
  weft_cursor w = {NULL, sizeof *prepared, true};
  lay_out(prepared, &w);
  if (!w.good) return weft_fail(error, WEFT_ERR_LIMIT, "%s: the weights are too large", model->desc->name);
  const int64_t bytes = w.at;
  char *block = weft_allocate(&model->allocator, bytes);
  if (!block) return weft_fail(error, WEFT_ERR_MEMORY, "%s: out of memory for a trainer of %lld bytes", model->desc->name, (long long)bytes);
  if (!weft_allocates_zeros(&model->allocator, bytes)) memset(block, 0, (size_t)bytes);
  weft_trainer *trainer = (weft_trainer *)block;
  *trainer = *prepared;
  w = (weft_cursor){block, sizeof *trainer, true};
  lay_out(trainer, &w);
  trainer->model = model;
  trainer->allocator = model->allocator;
  trainer->block_bytes = bytes;
  trainer->optimizer = trainer->train->optimizer;
  trainer->schedule = trainer->train->schedule;
  trainer->metrics.loss = trainer->metrics.grad_norm = trainer->metrics.lr = NAN;
  trainer->clip_grad_norm = trainer->train->clip_grad_norm;
  atomic_init(&trainer->busy, 0);
  *out_trainer = trainer;
  return WEFT_OK;
}

weft_status weft_trainer_create(weft_model *model, const int64_t *max_dims, const weft_trainer_options *options, weft_trainer **out_trainer) {
  if (!out_trainer) return WEFT_ERR_ARGUMENT;
  *out_trainer = NULL;
  if (!weft_model_is(model)) return WEFT_ERR_ARGUMENT;
  if (model->opened) return failed(&model->allocator, model->opened, &model->error, out_trainer);
  weft_error error = {""};
  weft_trainer prepared;
  weft_session *session = NULL;
  weft_session_options inner = session_options(options);
  if (atomic_exchange(&model->trainers, 1)) {
    weft_fail(&error, WEFT_ERR_BUSY, "%s: has a trainer already", model->desc->name);
    return failed(&model->allocator, WEFT_ERR_BUSY, &error, out_trainer);
  }
  weft_status status = prepare(&prepared, model, options, &error);
  if (!status && (status = weft_make_session(model, max_dims, &inner, true, &session)) != WEFT_OK)
    weft_fail(&error, status, "%s", weft_session_error(session));
  if (!status) status = place(model, &prepared, out_trainer, &error);
  if (status) {
    weft_session_destroy(session);
    atomic_store(&model->trainers, 0);
    return failed(&model->allocator, status, &error, out_trainer);
  }
  weft_trainer *trainer = *out_trainer;
  trainer->session = session;
  trainer->session->exec.seed = trainer->options.seed;
  weft_start_loss_scale(trainer);
  connect(trainer);
  trainer->magic = WEFT_TRAINER_MAGIC;
  return WEFT_OK;
}

void weft_trainer_destroy(weft_trainer *trainer) {
  if (!trainer || trainer->magic != WEFT_TRAINER_MAGIC) return;
  trainer->magic = 0;
  weft_session_destroy(trainer->session);
  if (trainer->model) atomic_store(&trainer->model->trainers, 0);
  weft_allocator allocator = trainer->allocator;
  weft_release(&allocator, trainer, trainer->block_bytes);
}

const char *weft_trainer_error(const weft_trainer *trainer) {
  if (!trainer) return "no trainer: out of memory, or not a model of this kind";
  return trainer->magic == WEFT_TRAINER_MAGIC ? trainer->error.text : "expected a trainer";
}

bool weft_trainer_is(const weft_trainer *trainer) { return trainer && trainer->magic == WEFT_TRAINER_MAGIC && trainer->created == WEFT_OK; }

weft_status weft_trainer_enter(weft_trainer *trainer) {
  if (!weft_trainer_is(trainer)) return trainer && trainer->magic == WEFT_TRAINER_MAGIC ? trainer->created : WEFT_ERR_ARGUMENT;
  if (atomic_exchange_explicit(&trainer->busy, 1, memory_order_acquire)) return WEFT_ERR_BUSY;
  trainer->error.text[0] = 0;
  return WEFT_OK;
}

const weft_model_desc *weft_trainer_descriptor(const weft_trainer *trainer) { return weft_trainer_is(trainer) ? trainer->desc : NULL; }

weft_status weft_trainer_expect(weft_trainer *trainer, const weft_model_desc *descriptor) {
  if (weft_trainer_is(trainer) && trainer->desc == descriptor) return WEFT_OK;
  weft_status status = descriptor ? weft_trainer_enter(trainer) : WEFT_ERR_ARGUMENT;
  if (status) return status;
  status = weft_fail(&trainer->error, WEFT_ERR_ARGUMENT, "expected a trainer of '%s' but got one of '%s'", descriptor->name, trainer->desc->name);
  weft_trainer_leave(trainer);
  return status;
}

weft_status weft_trainer_publish(weft_trainer *trainer) {
  weft_status status = weft_trainer_enter(trainer);
  if (status) return status;
  status = weft_pack_views(trainer->model);
  if (status) weft_fail(&trainer->error, status, "%s", trainer->model->error.text);
  weft_trainer_leave(trainer);
  return status;
}

/* ---- Numbers ---------------------------------------------------------------------------------------------------- */

static const char *const number_names[] = {"lr", "factor", "weight_decay", "momentum", "beta1", "beta2", "eps", "clip_grad_norm"};
enum { NUMBERS = sizeof number_names / sizeof *number_names };

static double *number(weft_trainer *trainer, int i) {
  weft_optimizer_desc *o = &trainer->optimizer;
  double *const places[NUMBERS] = {&o->lr, &trainer->schedule.factor, &o->weight_decay, &o->momentum, &o->beta1, &o->beta2, &o->eps, &trainer->clip_grad_norm};
  return places[i];
}

static const char *number_name_at(const void *context, int64_t index) {
  (void)context;
  return number_names[index];
}

static int find_number(const char *name) {
  for (int i = 0; name && i < NUMBERS; ++i)
    if (!strcmp(number_names[i], name)) return i;
  return -1;
}

static weft_status fail_number(weft_trainer *trainer, const char *name) {
  const char *near = name ? weft_closest(name, number_name_at, NULL, NUMBERS) : NULL;
  return weft_fail(&trainer->error, WEFT_ERR_ARGUMENT, "there is no number '%s'%s%s%s", name ? weft_quote(name).text : "", near ? "; did you mean '" : "",
                   near ? near : "", near ? "'?" : "");
}

weft_status weft_trainer_set(weft_trainer *trainer, const char *name, double value) {
  weft_status status = weft_trainer_enter(trainer);
  if (status) return status;
  int i = find_number(name);
  const bool fraction = i >= 0 && (!strcmp(name, "momentum") || !strcmp(name, "beta1") || !strcmp(name, "beta2"));
  if (i < 0) {
    status = fail_number(trainer, name);
  } else if (!isfinite(value) || value < 0 || (fraction && value >= 1)) {
    status = weft_fail(&trainer->error, WEFT_ERR_ARGUMENT, "'%s' is %g, expected %s", name, value, fraction ? "0 <= value < 1" : "a finite number of at least 0");
  } else if (!strcmp(name, "momentum") && value != 0 && !trainer->m) {
    status = weft_fail(&trainer->error, WEFT_ERR_ARGUMENT, "'momentum' is %g, expected 0: the model was compiled without", value);
  } else {
    *number(trainer, i) = value;
  }
  weft_trainer_leave(trainer);
  return status;
}

weft_status weft_trainer_get(const weft_trainer *trainer, const char *name, double *out_value) {
  int i = find_number(name);
  if (!weft_trainer_is(trainer)) return WEFT_ERR_ARGUMENT;
  weft_trainer *own = (weft_trainer *)(uintptr_t)trainer; /* its numbers stay; the text of the error is its too */
  if (i < 0) return fail_number(own, name);
  if (!out_value) return weft_fail(&own->error, WEFT_ERR_ARGUMENT, "expected a place for the number '%s'", name);
  *out_value = *number(own, i);
  return WEFT_OK;
}

double weft_trainer_learning_rate(const weft_trainer *trainer, uint64_t step) {
  return weft_trainer_is(trainer) ? weft_learning_rate(&trainer->schedule, trainer->optimizer.lr, step) : 0;
}

weft_status weft_trainer_metrics(const weft_trainer *trainer, weft_metrics *out_metrics) {
  if (!weft_trainer_is(trainer) || !out_metrics) return WEFT_ERR_ARGUMENT;
  *out_metrics = trainer->metrics;
  return WEFT_OK;
}

/* ---- Tensors ---------------------------------------------------------------------------------------------------- */

static weft_status find_tensor(weft_trainer *trainer, const char *name, weft_role role, float **out_data, const weft_param_desc **out_desc) {
  const weft_model_desc *desc = trainer->desc;
  int32_t p = weft_find_param(desc, name), i = 0;
  if (p < 0) return weft_no_param(&trainer->error, desc, name);
  while (i < trainer->train->tensors && trainer->train->tensor[i].param != p) ++i;
  if (i == trainer->train->tensors) return weft_fail(&trainer->error, WEFT_ERR_MISSING, "%s: parameter '%s' is not trained", desc->name, name);
  float *const memories[] = {trainer->p, trainer->sum && trainer->added ? trainer->sum : trainer->g, trainer->m, trainer->v};
  if (role < WEFT_ROLE_PARAMETER || role > WEFT_ROLE_V) return weft_fail(&trainer->error, WEFT_ERR_ARGUMENT, "expected a role but got %d", (int)role);
  if (!memories[role]) return weft_fail(&trainer->error, WEFT_ERR_MISSING, "%s: the optimizer has no such moment", desc->name);
  *out_data = memories[role] + trainer->begins[i];
  if (out_desc) *out_desc = &desc->param[p];
  return WEFT_OK;
}

weft_status weft_trainer_tensor(weft_trainer *trainer, const char *name, weft_role role, float **out_data, const weft_param_desc **out_desc) {
  /* The gradients callback calls this while a step has the trainer. */
  if (!weft_trainer_is(trainer)) return WEFT_ERR_ARGUMENT;
  if (!out_data) return weft_fail(&trainer->error, WEFT_ERR_ARGUMENT, "expected a place for the tensor's address");
  return find_tensor(trainer, name, role, out_data, out_desc);
}
