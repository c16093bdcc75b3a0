/* The toy's descriptor, kernels and entries. */
#include "toy.h"

#include <stdatomic.h>
#include <string.h>

int toy_saw_denormals;
void (*toy_during_entry)(weft_exec *exec);

enum { PANEL = 4 };

typedef struct logits_args {
  const int32_t *tokens;
  const uint8_t *mask;
  const float *embedding, *out, *bias;
  const weft_cache *cache; /* NULL: no cache */
  const int32_t *valid;
  float *logits;
  int64_t T;
  int64_t last; /* only the last position */
} logits_args;

/* One task is one sequence: stores its embeddings in the cache and computes its logits. */
static void logits_kernel(const void *arguments, int64_t begin, int64_t end, void *scratch) {
  const logits_args *a = arguments;
  float *sum = scratch;
  volatile float tiny = 1e-39f;
  if (tiny * 1.0f != 0.0f) toy_saw_denormals = 1;
  for (int64_t b = begin; b < end; ++b) {
    int64_t real = a->valid ? a->valid[b] : a->T, stored = a->cache ? a->cache->lengths[b] : 0;
    float *keys = a->cache ? (float *)a->cache->data + b * TOY_CAPACITY * TOY_WIDTH : NULL;
    memset(sum, 0, TOY_WIDTH * sizeof *sum);
    for (int64_t p = 0; p < stored; ++p)
      for (int64_t i = 0; i < TOY_WIDTH; ++i) sum[i] += keys[p * TOY_WIDTH + i];
    for (int64_t t = 0; t < real; ++t) {
      const float *row = a->embedding + a->tokens[b * a->T + t] * TOY_WIDTH;
      float keep = a->mask ? (float)a->mask[b * a->T + t] : 1.0f;
      for (int64_t i = 0; i < TOY_WIDTH; ++i) {
        sum[i] += keep * row[i];
        if (keys) keys[(stored + t) * TOY_WIDTH + i] = keep * row[i];
      }
      if (a->last && t + 1 < real) continue;
      float *to = a->logits + (a->last ? b : b * a->T + t) * TOY_VOCABULARY;
      for (int64_t n = 0; n < TOY_VOCABULARY; ++n) {
        const float *panel = a->out + n / PANEL * TOY_WIDTH * PANEL + n % PANEL;
        float total = 0;
        for (int64_t i = 0; i < TOY_WIDTH; ++i) total += sum[i] * panel[i * PANEL];
        to[n] = total / (float)(stored + t + 1) + a->bias[n];
      }
    }
  }
}

static void launch(weft_exec *exec, weft_kernel_fn kernel, const void *args, int64_t tasks) {
  if (toy_during_entry) toy_during_entry(exec);
  if (exec->threads == 1) kernel(args, 0, tasks, exec->scratch);
  else exec->parallel_for(exec, kernel, args, tasks);
}

static void forward_entry(weft_exec *exec) {
  /* Inputs are copied through the arena, so that a wrong offset shows. */
  int64_t tokens = exec->dims[TOY_B] * exec->dims[TOY_T];
  int32_t *copy = (int32_t *)(exec->arena + exec->offsets[0]);
  memcpy(copy, exec->inputs[0], (size_t)tokens * sizeof *copy);
  logits_args args = {copy,           exec->inputs[1], exec->views[0],   exec->views[1],      exec->views[2], NULL,
                      NULL,           exec->outputs[0], exec->dims[TOY_T], 0};
  launch(exec, logits_kernel, &args, exec->dims[TOY_B]);
}

static void cached_entry(weft_exec *exec) {
  logits_args args = {exec->inputs[0], NULL,             exec->views[0],    exec->views[1], exec->views[2], &exec->caches[0],
                      exec->valid,     exec->outputs[0], exec->dims[TOY_T], 1};
  launch(exec, logits_kernel, &args, exec->dims[TOY_B]);
}

typedef struct scale_args {
  const double *x;
  const float *gain;
  double *y;
  double factor;
} scale_args;

static void scale_kernel(const void *arguments, int64_t begin, int64_t end, void *scratch) {
  const scale_args *a = arguments;
  (void)scratch;
  for (int64_t i = begin; i < end; ++i) a->y[i] = a->x[i] * a->factor * (double)a->gain[0];
}

/* scaled: y[2 * U] = x[2 * U] * factor, factor optional (2.5). */
static void scaled_entry(weft_exec *exec) {
  scale_args args = {exec->inputs[0], exec->views[3], exec->outputs[0], ((const double *)exec->inputs[1])[0]};
  launch(exec, scale_kernel, &args, 2 * exec->dims[TOY_U]);
}

/* faulty: an index computed in the graph is out of range if the token is 7; it grows the cache otherwise. */
static void faulty_entry(weft_exec *exec) {
  const int64_t *tokens = exec->inputs[0];
  for (int64_t i = 0; i < exec->dims[TOY_B]; ++i)
    if (tokens[i] == 7) {
      exec->fault[0] = 2;
      exec->fault[1] = 99;
      exec->fault[2] = 0;
      exec->fault[3] = 10;
    }
}

/* ---- Sizes ------------------------------------------------------------------------------------------------------ */

static void forward_plan(const int64_t *dims, int64_t *offsets) {
  offsets[0] = 64;
  offsets[1] = 64 + dims[TOY_B] * dims[TOY_T] * 4;
  offsets[2] = TOY_WIDTH * 4;
}
static void cached_plan(const int64_t *dims, int64_t *offsets) {
  (void)dims;
  offsets[0] = 0;
  offsets[1] = TOY_WIDTH * 4;
}
static void small_plan(const int64_t *dims, int64_t *offsets) {
  (void)dims;
  offsets[0] = 0;
  offsets[1] = 0;
}
static void forward_shapes(const int64_t *dims, int64_t *sizes) {
  const int64_t all[] = {dims[TOY_B], dims[TOY_T], dims[TOY_B], dims[TOY_T], dims[TOY_B], dims[TOY_T], TOY_VOCABULARY};
  memcpy(sizes, all, sizeof all);
}
static void cached_shapes(const int64_t *dims, int64_t *sizes) {
  const int64_t all[] = {dims[TOY_B], dims[TOY_T], dims[TOY_B], 1, TOY_VOCABULARY};
  memcpy(sizes, all, sizeof all);
}
static void scaled_shapes(const int64_t *dims, int64_t *sizes) {
  sizes[0] = 2 * dims[TOY_U]; /* x; the factor has no axes */
  sizes[1] = 2 * dims[TOY_U];
}
static void faulty_shapes(const int64_t *dims, int64_t *sizes) { sizes[0] = dims[TOY_B]; }

/* ---- Descriptor ------------------------------------------------------------------------------------------------- */

static const weft_dim_desc dims[] = {{"B", 1, TOY_MAX_B, 1, 1}, {"T", 1, TOY_MAX_T, 8, 1}, {"U", 0, 32, 4, 4}};
static const char *const bt[] = {"B", "T"};
static const char *const b_only[] = {"B"};
static const char *const twice_u[] = {"2 * U"};
static const char *const btv[] = {"B", "T", "11"};
static const char *const b1v[] = {"B", "1", "11"};

static const weft_tensor_desc inputs[] = {
    {"tokens", bt, 2, WEFT_I32, {TOY_B, TOY_T}, 0, 1, 0, TOY_VOCABULARY - 1, 0},
    {"mask", bt, 2, WEFT_BOOL, {TOY_B, TOY_T}, 1, 0, 0, 0, 1},
    {"x", twice_u, 1, WEFT_F64, {-1}, 0, 0, 0, 0, 0},
    {"factor", NULL, 0, WEFT_F64, {0}, 1, 0, 0, 0, 2.5},
    {"wide", b_only, 1, WEFT_I64, {TOY_B}, 0, 1, -5, (int64_t)1 << 40, 0},
};
static const weft_tensor_desc all_logits[] = {{"logits", btv, 3, WEFT_F32, {TOY_B, TOY_T, -1}, 0, 0, 0, 0, 0}};
static const weft_tensor_desc last_logits[] = {{"logits", b1v, 3, WEFT_F32, {TOY_B, -1, -1}, 0, 0, 0, 0, 0}};
static const weft_tensor_desc scaled_outputs[] = {{"y", twice_u, 1, WEFT_F64, {-1}, 0, 0, 0, 0, 0}};

static const weft_param_desc params[] = {
    {"emb.weight", "file.emb", WEFT_F32, 2, {TOY_VOCABULARY, TOY_WIDTH}, 0, 0, WEFT_INIT_NORMAL, 0, 1, 3},
    {"out.weight", "file.out", WEFT_F32, 2, {TOY_WIDTH, TOY_VOCABULARY}, 1, 0, WEFT_INIT_UNIFORM, -0.5, 0.5, -1},
    {"out.bias", "file.bias", WEFT_F32, 1, {TOY_VOCABULARY}, 0, 0, WEFT_INIT_CONSTANT, 0.25, 0, -1},
    {"gain", "file.gain", WEFT_F32, 0, {0}, 0, 1, WEFT_INIT_CONSTANT, 1, 0, -1},
};
static const weft_state_desc states[] = {{"kv", 1, 1, TOY_WIDTH, TOY_CAPACITY, WEFT_F32}};

static const int32_t forward_inputs[] = {0, 1}, cached_inputs[] = {0}, scaled_inputs[] = {2, 3}, faulty_inputs[] = {4};
static const int64_t decode_fixed[] = {0, 1, 0};

static const weft_entry_desc entries[] = {
    {"forward", 2, 1, forward_inputs, all_logits, 0, -1, -1, NULL, 1, 0, 0, 0, NULL, NULL, forward_shapes},
    {"prefill", 1, 1, cached_inputs, last_logits, 1, TOY_T, TOY_B, NULL, 0, 1, 0, 0, NULL, NULL, cached_shapes},
    {"decode", 1, 1, cached_inputs, last_logits, 1, TOY_T, TOY_B, decode_fixed, 0, 1, 0, 0, NULL, NULL, cached_shapes},
    {"scaled", 2, 1, scaled_inputs, scaled_outputs, 0, -1, -1, NULL, 0, 0, 0, 0, NULL, NULL, scaled_shapes},
    {"faulty", 1, 0, faulty_inputs, NULL, 1, TOY_T, TOY_B, decode_fixed, 0, 0, 0, 0, NULL, NULL, faulty_shapes},
};
static const weft_entry_fn entry_functions[] = {forward_entry, cached_entry, cached_entry, scaled_entry, faulty_entry};
static const weft_plan_fn plan_functions[] = {forward_plan, cached_plan, cached_plan, small_plan, small_plan};

static const weft_view_source sources[] = {
    {TOY_EMBEDDING, 0, TOY_VOCABULARY * TOY_WIDTH, 0, 0},
    {TOY_OUT, 0, TOY_VOCABULARY, TOY_VOCABULARY, 1},
    {TOY_BIAS, 0, TOY_VOCABULARY, 0, 0},
    {TOY_GAIN, 0, 1, 0, 0},
};
static const weft_view_desc views[] = {
    {WEFT_VIEW_PLAIN, WEFT_F32, 0, TOY_VOCABULARY * TOY_WIDTH, 0, 0, 1},
    {WEFT_VIEW_PANELS, WEFT_F32, TOY_WIDTH, TOY_VOCABULARY, PANEL, 1, 1},
    {WEFT_VIEW_PLAIN, WEFT_F32, 0, TOY_VOCABULARY, 0, 2, 1},
    {WEFT_VIEW_PLAIN, WEFT_F32, 0, 1, 0, 3, 1},
};
static const weft_variant_desc variants[] = {
    {"impossible", (uint64_t)1 << 63 | WEFT_CPU_AVX, 4, views, sources, entry_functions, plan_functions},
    {"baseline", 0, 4, views, sources, entry_functions, plan_functions},
};
static const int64_t stops[] = {1};
static const weft_generate_desc generates[] = {
    {"generate", TOY_PREFILL, TOY_DECODE, 0, 6, stops, 1, WEFT_SAMPLE_GREEDY, 1, 1, 1, 0, 1, 0},
};
static const weft_site_desc sites[] = {{"parameter 'emb'"}, {"the operand of gather 1"}};

const weft_model_desc toy_model = {
    WEFT_ABI_MAGIC, WEFT_ABI_VERSION, sizeof(weft_model_desc), 42, "toy", "by hand", TOY_DIMS, 5, TOY_PARAMS, 1, 0, 5, 1, 2, 2,
    dims, inputs, params, states, NULL, entries, generates, variants, sites, NULL, NULL, NULL, 0,
};

/* ---- The packed model ------------------------------------------------------------------------------------------- */

static const char *const flat[] = {"40"};
static const weft_tensor_desc packed_outputs[] = {{"panels", flat, 1, WEFT_F32, {-1}, 0, 0, 0, 0, 0},
                                                  {"halves", flat, 1, WEFT_BF16, {-1}, 0, 0, 0, 0, 0}};
static void packed_shapes(const int64_t *none, int64_t *sizes) {
  (void)none;
  sizes[0] = 2 * PACKED_K * PACKED_NR;
  sizes[1] = 9;
}
static void packed_entry(weft_exec *exec) {
  memcpy(exec->outputs[0], exec->views[0], 2 * PACKED_K * PACKED_NR * sizeof(float));
  memcpy(exec->outputs[1], exec->views[1], 9 * sizeof(uint16_t));
}
static const weft_param_desc packed_params[] = {
    {"a", "a", WEFT_F32, 2, {PACKED_K, 3}, 0, 0, WEFT_INIT_NORMAL, 0, 1, -1},
    {"b", "b", WEFT_F32, 2, {4, PACKED_K}, 0, 0, WEFT_INIT_TRUNC_NORMAL, 1, 2, -1},
};
/* Columns 0..2 are a, 3..6 the transpose of b; the second view is a's middle 9 elements as bf16. */
static const weft_view_source packed_sources[] = {{0, 0, 3, 3, 1}, {1, 0, 4, 1, PACKED_K}, {0, 3, 9, 0, 0}};
static const weft_view_desc packed_views[] = {{WEFT_VIEW_PANELS, WEFT_F32, PACKED_K, PACKED_N, PACKED_NR, 0, 2},
                                              {WEFT_VIEW_PLAIN, WEFT_BF16, 0, 9, 0, 2, 1}};
static const weft_entry_desc packed_entries[] = {{"forward", 0, 2, NULL, packed_outputs, 0, -1, -1, NULL, 0, 0, 0, 0, NULL, NULL, packed_shapes}};
static const weft_entry_fn packed_functions[] = {packed_entry};
static const weft_plan_fn packed_plans[] = {small_plan};
static const weft_variant_desc packed_variants[] = {{"baseline", 0, 2, packed_views, packed_sources, packed_functions, packed_plans}};
const weft_model_desc packed_model = {
    WEFT_ABI_MAGIC, WEFT_ABI_VERSION, sizeof(weft_model_desc), 43, "packed", "by hand", 0, 0, 2, 0, 0, 1, 0, 1, 0,
    NULL, NULL, packed_params, NULL, NULL, packed_entries, NULL, packed_variants, NULL, NULL, NULL, NULL, 0,
};

/* ---- Parameters ------------------------------------------------------------------------------------------------- */

void toy_parameters(float *embedding, float *out, float *bias, float *gain) {
  uint32_t state = 12345;
  for (int i = 0; i < TOY_VOCABULARY * TOY_WIDTH; ++i) embedding[i] = (float)((state = state * 1664525u + 1013904223u) >> 8) * 0x1p-24f - 0.5f;
  for (int i = 0; i < TOY_VOCABULARY * TOY_WIDTH; ++i) out[i] = (float)((state = state * 1664525u + 1013904223u) >> 8) * 0x1p-22f - 2.0f;
  for (int i = 0; i < TOY_VOCABULARY; ++i) bias[i] = 0.01f * (float)i;
  *gain = 2;
}

weft_status toy_set_parameters(weft_model *model) {
  static float embedding[TOY_VOCABULARY * TOY_WIDTH], out[TOY_VOCABULARY * TOY_WIDTH], bias[TOY_VOCABULARY], gain;
  toy_parameters(embedding, out, bias, &gain);
  weft_status status = weft_model_set(model, "emb.weight", embedding, sizeof embedding);
  if (!status) status = weft_model_set(model, "out.weight", out, sizeof out);
  if (!status) status = weft_model_set(model, "out.bias", bias, sizeof bias);
  if (!status) status = weft_model_set(model, "gain", &gain, sizeof gain);
  return status;
}

weft_model *toy_open(const weft_model_options *options) {
  weft_model *model;
  if (weft_model_open(&toy_model, options, &model) || toy_set_parameters(model)) {
    weft_model_close(model);
    return NULL;
  }
  return model;
}

void toy_reference(const int32_t *tokens, int64_t count, float *logits) {
  float embedding[TOY_VOCABULARY * TOY_WIDTH], out[TOY_VOCABULARY * TOY_WIDTH], bias[TOY_VOCABULARY], gain, sum[TOY_WIDTH] = {0};
  toy_parameters(embedding, out, bias, &gain);
  for (int64_t t = 0; t < count; ++t)
    for (int i = 0; i < TOY_WIDTH; ++i) sum[i] += embedding[tokens[t] * TOY_WIDTH + i];
  for (int n = 0; n < TOY_VOCABULARY; ++n) {
    float total = 0;
    for (int i = 0; i < TOY_WIDTH; ++i) total += sum[i] * out[i * TOY_VOCABULARY + n];
    logits[n] = total / (float)count + bias[n];
  }
}
