/* The step of training: gradients of batches, their mean, its norm, clipping, the optimizer's update. Nothing allocates. */
#include "trainer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *entry_name(const weft_trainer *trainer) { return trainer->desc->entry[trainer->train->entry].name; }

void weft_forget_batches(weft_trainer *trainer) {
  trainer->added = 0;
  trainer->weight = trainer->loss = 0;
  trainer->samples = 0;
  trainer->cause[0] = 0;
}

/* ---- What is not finite ----------------------------------------------------------------------------------------- */

static int64_t first_nonfinite(const float *data, int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    if (!isfinite(data[i])) return i;
  return -1;
}

static const char *kind_of(double value) { return isnan(value) ? "nan" : value > 0 ? "inf" : "-inf"; }

/* The first f32 input that is not finite, as "x[3, 5] is nan"; false: there is none. */
static bool find_input(const weft_trainer *trainer, const void *const *inputs, char *text, size_t size) {
  const weft_entry_desc *entry = &trainer->desc->entry[trainer->train->entry];
  const weft_entry_plan *plan = &trainer->session->plans[trainer->train->entry];
  const int64_t *sizes = plan->sizes;
  for (int32_t i = 0; i < entry->inputs; ++i) {
    const weft_tensor_desc *input = &trainer->desc->input[entry->input_index[i]];
    if (input->dtype == WEFT_F32 && inputs[i]) {
      int64_t at = first_nonfinite(inputs[i], plan->elements[i]);
      if (at >= 0) {
        char position[200];
        weft_write_position(position, sizeof position, input->name, sizes, input->rank, at);
        snprintf(text, size, "input %s is %s", position, kind_of(((const float *)inputs[i])[at]));
        return true;
      }
    }
    sizes += input->rank;
  }
  return false;
}

/* The first gradient that is not finite, in the order of memory. */
static void find_gradient(const weft_trainer *trainer, const float *gradients, char *text, size_t size) {
  for (int32_t i = 0; i < trainer->train->tensors; ++i) {
    int32_t p = trainer->train->tensor[i].param;
    const weft_param_desc *param = &trainer->desc->param[p];
    const float *gradient = gradients + trainer->begins[i];
    int64_t at = first_nonfinite(gradient, trainer->model->params[p].elements);
    if (at < 0) continue;
    char position[260];
    weft_write_position(position, sizeof position, param->name, param->shape, param->rank, at);
    snprintf(text, size, "the gradient of %s is %s", position, kind_of(gradient[at]));
    return;
  }
  snprintf(text, size, "the norm of the gradients is too large for f32");
}

/* ---- Batches ---------------------------------------------------------------------------------------------------- */

/* Sizes of an input's first axis, and its elements, by the plan of the last call. */
static int64_t input_elements(const weft_trainer *trainer, int32_t e, int32_t which, int64_t *first_axis) {
  const weft_entry_desc *entry = &trainer->desc->entry[e];
  const weft_entry_plan *plan = &trainer->session->plans[e];
  const int64_t *sizes = plan->sizes;
  for (int32_t i = 0; i < entry->inputs; ++i) {
    const weft_tensor_desc *input = &trainer->desc->input[entry->input_index[i]];
    if (which < 0 || entry->input_index[i] == which) {
      *first_axis = input->rank ? sizes[0] : 1;
      return plan->elements[i];
    }
    sizes += input->rank;
  }
  *first_axis = 1;
  return 1;
}

static int64_t samples_of(const weft_trainer *trainer, int32_t e, int64_t *tokens) {
  int64_t samples;
  *tokens = input_elements(trainer, e, trainer->train->tokens_input, &samples);
  if (trainer->train->tokens_input < 0) *tokens = samples;
  return samples;
}

/* sum += weight g, which is the mean of the batch. */
static void add_gradients(weft_trainer *trainer, float *to, const float *from, double weight) {
  float scale = (float)weight;
  weft_add_args args = {to, from, &scale, trainer->elements};
  weft_launch(trainer->session, trainer->model->variant->add, &args, trainer->elements / WEFT_TRAIN_BLOCK);
}

/* The number of the update that is being made, from 1; those that were left out count. */
static unsigned long long this_step(const weft_trainer *trainer) { return trainer->metrics.step + trainer->metrics.skipped + 1; }

static void report(const weft_trainer *trainer, bool updated, weft_metrics *out) {
  if (!out) return;
  *out = trainer->metrics;
  out->updated = updated;
}

static weft_status accumulate(weft_trainer *trainer, const int64_t *dims, const void *const *inputs) {
  const weft_train_desc *train = trainer->train;
  weft_session *session = trainer->session;
  if (trainer->added == trainer->accumulate)
    return weft_fail(&trainer->error, WEFT_ERR_ARGUMENT, "%s_%s: expected an update after %lld batches but got another batch", trainer->desc->name,
                     entry_name(trainer), (long long)trainer->accumulate);
  session->exec.step = trainer->metrics.step + trainer->metrics.skipped;
  session->exec.first_sample = trainer->samples;
  weft_status status = weft_run_entry(session, train->entry, dims, inputs, trainer->outputs);
  if (status) return weft_fail(&trainer->error, status, "%s", session->error.text);
  int64_t tokens, samples = samples_of(trainer, train->entry, &tokens);
  double weight = train->weight > 0 ? trainer->weight_output : (double)samples;
  if (trainer->sum) {
    if (!trainer->added) memset(trainer->sum, 0, (size_t)trainer->elements * sizeof(float));
    add_gradients(trainer, trainer->sum, trainer->g, weight);
  }
  if (!isfinite(trainer->loss_output) && !trainer->cause[0] && !find_input(trainer, inputs, trainer->cause, sizeof trainer->cause))
    snprintf(trainer->cause, sizeof trainer->cause, "the loss is %s", kind_of(trainer->loss_output));
  ++trainer->added;
  trainer->weight += weight;
  trainer->loss += weight * (double)trainer->loss_output;
  trainer->samples += samples;
  ++trainer->metrics.batches;
  trainer->metrics.samples += (uint64_t)samples;
  trainer->metrics.tokens += (uint64_t)tokens;
  return WEFT_OK;
}

/* ---- Updates ---------------------------------------------------------------------------------------------------- */

static double sum_of_squares(weft_trainer *trainer, const float *gradients) {
  const int64_t tasks = trainer->elements / WEFT_TRAIN_BLOCK;
  weft_norm_args args = {gradients, trainer->squares, tasks};
  if (tasks) weft_launch(trainer->session, trainer->model->variant->norm, &args, tasks);
  double sum = 0;
  for (int64_t i = 0; i < tasks; ++i) sum += (double)trainer->squares[i];
  return sum;
}

static void update(weft_trainer *trainer, const float *gradients, double lr, double scale) {
  for (int32_t i = 0; i < trainer->group_count; ++i) {
    const weft_group *group = &trainer->groups[i];
    float scalars[WEFT_TRAIN_SCALARS];
    weft_update_scalars(&trainer->optimizer, group->decays, lr, trainer->metrics.step, scale, scalars);
    weft_update_args args = {.p = trainer->p + group->begin, .g = gradients + group->begin, .n = group->elements};
    args.m = trainer->m ? trainer->m + group->begin : NULL;
    args.v = trainer->v ? trainer->v + group->begin : NULL;
    for (int s = 0; s < WEFT_TRAIN_SCALARS; ++s) args.scalar[s] = &scalars[s];
    weft_launch(trainer->session, trainer->model->variant->update, &args, group->elements / WEFT_TRAIN_BLOCK);
  }
}

/* Parameters and moments stay as they are. */
static weft_status skip(weft_trainer *trainer) {
  ++trainer->metrics.skipped;
  weft_forget_batches(trainer);
  return WEFT_OK;
}

static weft_status apply(weft_trainer *trainer, bool *updated) {
  *updated = false;
  if (!trainer->added)
    return weft_fail(&trainer->error, WEFT_ERR_ARGUMENT, "%s_%s: expected a batch before the update", trainer->desc->name, entry_name(trainer));
  float *gradients = trainer->sum ? trainer->sum : trainer->g;
  double scale = !trainer->sum ? 1 : trainer->weight > 0 ? 1 / trainer->weight : 0;
  const double loss = trainer->weight > 0 ? trainer->loss / trainer->weight : trainer->sum ? 0 : trainer->loss_output;
  if (trainer->options.gradients) {
    if (trainer->sum) {
      memset(trainer->g, 0, (size_t)trainer->elements * sizeof(float));
      add_gradients(trainer, trainer->g, trainer->sum, scale);
      gradients = trainer->g;
      scale = 1;
    }
    /* The callback asks for gradients: it sees the mean. */
    int64_t added = trainer->added;
    trainer->added = 0;
    weft_status status = trainer->options.gradients(trainer->options.gradients_user, trainer);
    trainer->added = added;
    if (status) {
      weft_forget_batches(trainer);
      return weft_fail(&trainer->error, status, "%s_%s: stopped by the gradients callback", trainer->desc->name, entry_name(trainer));
    }
  }
  const double squares = sum_of_squares(trainer, gradients), norm = sqrt(squares) * scale;
  if (!isfinite(squares) || !isfinite(loss)) {
    /* After the callback: where it is a mean over processes, all of them decide the same. */
    const bool overflowed = isfinite(loss) && weft_lower_loss_scale(trainer);
    if (overflowed || trainer->options.nonfinite == WEFT_NONFINITE_SKIP) return skip(trainer);
    if (!trainer->cause[0]) find_gradient(trainer, gradients, trainer->cause, sizeof trainer->cause);
    weft_fail(&trainer->error, WEFT_ERR_NUMERIC, "%s_%s: step %llu: %s", trainer->desc->name, entry_name(trainer), this_step(trainer), trainer->cause);
    weft_forget_batches(trainer);
    return WEFT_ERR_NUMERIC;
  }
  const double clip = trainer->clip_grad_norm / (norm + 1e-6);
  if (trainer->clip_grad_norm > 0 && clip < 1) scale *= clip;
  /* The schedule goes on with updates that were left out, so that it ends with the training; the moments' counter does not. */
  const double lr = weft_learning_rate(&trainer->schedule, trainer->optimizer.lr, trainer->metrics.step + trainer->metrics.skipped);
  update(trainer, gradients, lr, scale);
  trainer->metrics.loss = loss;
  trainer->metrics.grad_norm = norm;
  trainer->metrics.lr = lr;
  ++trainer->metrics.step;
  weft_count_good_update(trainer);
  weft_forget_batches(trainer);
  *updated = true;
  return WEFT_OK;
}

weft_status weft_trainer_accumulate(weft_trainer *trainer, const int64_t *dims, const void *const *inputs, weft_metrics *out_metrics) {
  weft_status status = weft_trainer_enter(trainer);
  if (status) return status;
  status = accumulate(trainer, dims, inputs);
  report(trainer, false, out_metrics);
  weft_trainer_leave(trainer);
  return status;
}

weft_status weft_trainer_apply(weft_trainer *trainer, weft_metrics *out_metrics) {
  bool updated;
  weft_status status = weft_trainer_enter(trainer);
  if (status) return status;
  status = apply(trainer, &updated);
  report(trainer, updated, out_metrics);
  weft_trainer_leave(trainer);
  return status;
}

weft_status weft_trainer_step(weft_trainer *trainer, const int64_t *dims, const void *const *inputs, weft_metrics *out_metrics) {
  bool updated = false;
  weft_status status = weft_trainer_enter(trainer);
  if (status) return status;
  status = accumulate(trainer, dims, inputs);
  if (!status && trainer->added == trainer->accumulate) {
    const unsigned long long step = this_step(trainer);
    char text[300];
    status = apply(trainer, &updated);
    /* The loss may be finite though an input is not, where an activation saturates. */
    if (status == WEFT_ERR_NUMERIC && find_input(trainer, inputs, text, sizeof text))
      weft_fail(&trainer->error, WEFT_ERR_NUMERIC, "%s_%s: step %llu: %s", trainer->desc->name, entry_name(trainer), step, text);
  }
  report(trainer, updated, out_metrics);
  weft_trainer_leave(trainer);
  return status;
}

/* ---- Evaluation ------------------------------------------------------------------------------------------------- */

weft_status weft_trainer_eval(weft_trainer *trainer, const int64_t *dims, const void *const *inputs, weft_evaluation *out_evaluation) {
  enum { LOSS, WEIGHT, LABELS, CORRECT, KINDS };
  weft_status status = weft_trainer_enter(trainer);
  if (status) return status;
  const weft_train_desc *train = trainer->train;
  const int32_t places[KINDS] = {0, train->weight, train->labels, train->correct};
  float values[KINDS] = {0};
  void *outputs[KINDS] = {0};
  for (int i = 0; i < KINDS; ++i)
    if (places[i] >= 0) outputs[places[i]] = &values[i]; /* below KINDS: opening checked it */
  if (!out_evaluation) status = weft_fail(&trainer->error, WEFT_ERR_ARGUMENT, "expected a place for the evaluation");
  if (!status && (status = weft_run_entry(trainer->session, train->eval, dims, inputs, outputs)) != WEFT_OK)
    weft_fail(&trainer->error, status, "%s", trainer->session->error.text);
  if (!status) {
    int64_t tokens, samples = samples_of(trainer, train->eval, &tokens);
    out_evaluation->loss = values[LOSS];
    out_evaluation->weight = train->weight > 0 ? values[WEIGHT] : (double)samples;
    out_evaluation->labels = train->labels > 0 ? (int64_t)values[LABELS] : -1;
    out_evaluation->correct = train->correct > 0 ? (int64_t)values[CORRECT] : -1;
  }
  weft_trainer_leave(trainer);
  return status;
}
