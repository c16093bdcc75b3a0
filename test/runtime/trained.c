/* The trained toy's kernels, entries and descriptor. */
#include "trained.h"

#include <math.h>
#include <string.h>

void (*trained_during_step)(weft_exec *exec);

/* Gradients pass through a type that ends at 65504, where the loss is scaled. */
static float through_f16(const weft_exec *exec, float gradient) {
  if (!trained_train.dynamic_loss_scale) return gradient;
  float scaled = gradient * exec->loss_scale[0];
  return (fabsf(scaled) > 65504 ? INFINITY : scaled) * exec->loss_scale[1];
}

/* loss = Σ weight (w · x + b) / Σ weight; its gradients */
static void step(weft_exec *exec, int trains) {
  const float *x = exec->inputs[0], *w = exec->views[0], *b = exec->views[1];
  const int32_t *weight = exec->inputs[1];
  double sum = 0, loss = 0, gradient[TRAINED_WIDTH] = {0}, positive = 0;
  if (trained_during_step) trained_during_step(exec);
  for (int64_t i = 0; i < exec->dims[0]; ++i) {
    double y = b[0];
    for (int j = 0; j < TRAINED_WIDTH; ++j) {
      y += (double)w[j] * x[i * TRAINED_WIDTH + j];
      gradient[j] += weight[i] * (double)x[i * TRAINED_WIDTH + j];
    }
    loss += weight[i] * y;
    sum += weight[i];
    positive += y > 0;
  }
  *(float *)exec->outputs[0] = (float)(sum ? loss / sum : 0);
  *(float *)exec->outputs[1] = (float)sum;
  if (!trains) {
    *(float *)exec->outputs[2] = (float)exec->dims[0];
    *(float *)exec->outputs[3] = (float)positive;
    return;
  }
  for (int j = 0; j < TRAINED_WIDTH; ++j) ((float *)exec->outputs[2])[j] = through_f16(exec, (float)(sum ? gradient[j] / sum : 0));
  *(float *)exec->outputs[3] = sum != 0;
}
static void step_entry(weft_exec *exec) { step(exec, 1); }
static void eval_entry(weft_exec *exec) { step(exec, 0); }

/* y = packed w · x: reads a view that a trainer must bring up to date. */
static void forward_entry(weft_exec *exec) {
  const float *x = exec->inputs[0], *panels = exec->views[2];
  for (int64_t i = 0; i < exec->dims[0]; ++i) {
    float y = 0;
    for (int j = 0; j < TRAINED_WIDTH; ++j) y += panels[j * 4] * x[i * TRAINED_WIDTH + j];
    ((float *)exec->outputs[0])[i] = y;
  }
}

static void update_kernel(const void *arguments, int64_t begin, int64_t end, void *scratch) {
  const weft_update_args *a = arguments;
  const weft_optimizer_desc *o = &trained_train.optimizer;
  float s[WEFT_TRAIN_SCALARS];
  (void)scratch;
  for (int i = 0; i < WEFT_TRAIN_SCALARS; ++i) s[i] = *a->scalar[i];
  for (int64_t i = begin * WEFT_TRAIN_BLOCK; i < end * WEFT_TRAIN_BLOCK; ++i) {
    float g = a->g[i] * s[WEFT_TRAIN_SCALE];
    if (o->kind == WEFT_ADAMW) a->p[i] *= s[WEFT_TRAIN_DECAY];
    else g += s[WEFT_TRAIN_DECAY] * a->p[i];
    if (o->kind == WEFT_SGD) {
      if (a->m) a->m[i] = s[WEFT_TRAIN_BETA1] * a->m[i] + g;
      a->p[i] -= s[WEFT_TRAIN_RATE] * (!a->m ? g : o->nesterov ? g + s[WEFT_TRAIN_ONE_MINUS_BETA1] * a->m[i] : a->m[i]);
      continue;
    }
    a->m[i] = a->m[i] * s[WEFT_TRAIN_BETA1] + g * s[WEFT_TRAIN_ONE_MINUS_BETA1];
    a->v[i] = a->v[i] * s[WEFT_TRAIN_BETA2] + g * g * s[WEFT_TRAIN_ONE_MINUS_BETA2];
    a->p[i] -= s[WEFT_TRAIN_RATE] * (a->m[i] / (sqrtf(a->v[i]) / s[WEFT_TRAIN_CORRECTION] + s[WEFT_TRAIN_EPS]));
  }
}

static void norm_kernel(const void *arguments, int64_t begin, int64_t end, void *scratch) {
  const weft_norm_args *a = arguments;
  (void)scratch;
  for (int64_t t = begin; t < end; ++t) {
    float sum = 0;
    for (int64_t i = t * WEFT_TRAIN_BLOCK; i < (t + 1) * WEFT_TRAIN_BLOCK; ++i) sum += a->g[i] * a->g[i];
    a->squares[t] = sum;
  }
}

static void add_kernel(const void *arguments, int64_t begin, int64_t end, void *scratch) {
  const weft_add_args *a = arguments;
  (void)scratch;
  for (int64_t i = begin * WEFT_TRAIN_BLOCK; i < end * WEFT_TRAIN_BLOCK; ++i) a->sum[i] += a->scale[0] * a->g[i];
}

static void plan(const int64_t *dims, int64_t *offsets) {
  offsets[0] = 64 * dims[0];
  offsets[1] = 0;
}
static void step_shapes(const int64_t *dims, int64_t *sizes) {
  const int64_t all[] = {dims[0], TRAINED_WIDTH, dims[0], TRAINED_WIDTH};
  memcpy(sizes, all, sizeof all);
}
static void eval_shapes(const int64_t *dims, int64_t *sizes) { step_shapes(dims, (int64_t[4]){0}), sizes[0] = dims[0], sizes[1] = TRAINED_WIDTH, sizes[2] = dims[0]; }
static void forward_shapes(const int64_t *dims, int64_t *sizes) {
  const int64_t all[] = {dims[0], TRAINED_WIDTH, dims[0]};
  memcpy(sizes, all, sizeof all);
}

static const weft_dim_desc dims[] = {{"B", 1, TRAINED_MAX_B, 4, 1}};
static const char *const b3[] = {"B", "3"};
static const char *const three[] = {"3"};
static const weft_tensor_desc inputs[] = {{"x", b3, 2, WEFT_F32, {0, -1}, 0, 0, 0, 0, 0}, {"weight", b3, 1, WEFT_I32, {0}, 0, 1, 0, 1000, 0}};
static const weft_tensor_desc step_outputs[] = {{"loss", NULL, 0, WEFT_F32, {0}, 0, 0, 0, 0, 0},
                                                {"weight", NULL, 0, WEFT_F32, {0}, 0, 0, 0, 0, 0},
                                                {"grad.w", three, 1, WEFT_F32, {-1}, 0, 0, 0, 0, 0},
                                                {"grad.b", NULL, 0, WEFT_F32, {0}, 0, 0, 0, 0, 0}};
static const weft_tensor_desc eval_outputs[] = {{"loss", NULL, 0, WEFT_F32, {0}, 0, 0, 0, 0, 0},
                                                {"weight", NULL, 0, WEFT_F32, {0}, 0, 0, 0, 0, 0},
                                                {"labels", NULL, 0, WEFT_F32, {0}, 0, 0, 0, 0, 0},
                                                {"correct", NULL, 0, WEFT_F32, {0}, 0, 0, 0, 0, 0}};
static const weft_tensor_desc forward_outputs[] = {{"y", b3, 1, WEFT_F32, {0}, 0, 0, 0, 0, 0}};
static const weft_param_desc params[] = {
    {"w", "w", WEFT_F32, 1, {TRAINED_WIDTH}, 0, 0, WEFT_INIT_UNIFORM, -1, 1, -1},
    {"frozen", "frozen", WEFT_F32, 1, {2}, 0, 0, WEFT_INIT_UNIFORM, -1, 1, -1},
    {"b", "b", WEFT_F32, 0, {0}, 0, 0, WEFT_INIT_CONSTANT, 0, 0, -1},
};
static const int32_t both[] = {0, 1};
static const int64_t free_dims[] = {0};
static const weft_entry_desc entries[] = {
    {"step", 2, 4, both, step_outputs, 0, -1, -1, free_dims, 0, 0, 0, 0, NULL, NULL, step_shapes},
    {"step_eval", 2, 4, both, eval_outputs, 0, -1, -1, free_dims, 0, 0, 0, 0, NULL, NULL, eval_shapes},
    {"forward", 1, 1, both, forward_outputs, 0, -1, -1, free_dims, 0, 0, 0, 0, NULL, NULL, forward_shapes},
};
static const weft_view_desc views[] = {{WEFT_VIEW_PLAIN, WEFT_F32, 1, TRAINED_WIDTH, 0, 0, 1},
                                       {WEFT_VIEW_PLAIN, WEFT_F32, 1, 1, 0, 1, 1},
                                       {WEFT_VIEW_PANELS, WEFT_F32, TRAINED_WIDTH, 1, 4, 2, 1}};
static const weft_view_source sources[] = {{TRAINED_W, 0, TRAINED_WIDTH, 0, 1}, {TRAINED_B, 0, 1, 0, 1}, {TRAINED_W, 0, 1, 1, 1}};
static const weft_entry_fn runs[] = {step_entry, eval_entry, forward_entry};
static const weft_plan_fn plans[] = {plan, plan, plan};
static const weft_variant_desc variants[] = {{"any", 0, 3, views, sources, runs, plans, update_kernel, norm_kernel, add_kernel}};
static const weft_trained_desc tensors[] = {{TRAINED_W, 2, 1}, {TRAINED_B, 3, 0}};

weft_train_desc trained_train = {TRAINED_STEP, TRAINED_EVAL, 1, 2, 3, 2, tensors, {WEFT_SGD, 0, 0.1, 0, 0, 0, 0, 0},
                                 {0}, 0, 1, 0, -1};
const weft_model_desc trained_model = {WEFT_ABI_MAGIC, WEFT_ABI_VERSION, sizeof(weft_model_desc), 77, "trained", "test", 1, 2, TRAINED_PARAMS, 0, 0, 3, 0, 1, 0,
                                       dims, inputs, params, NULL, NULL, entries, NULL, variants, NULL, NULL, NULL, &trained_train, NULL, 0};

weft_status trained_set(weft_model *model, const float w[TRAINED_WIDTH], float b) {
  const float frozen[] = {7, 8};
  weft_status status = weft_model_set(model, "w", w, TRAINED_WIDTH * sizeof *w);
  if (!status) status = weft_model_set(model, "frozen", frozen, sizeof frozen);
  return status ? status : weft_model_set(model, "b", &b, sizeof b);
}

weft_model *trained_open(const weft_model_options *options) {
  const float w[] = {1, -2, 0.5f};
  weft_model *model;
  if (weft_model_open(&trained_model, options, &model) || trained_set(model, w, 0)) {
    weft_model_close(model);
    return NULL;
  }
  return model;
}
