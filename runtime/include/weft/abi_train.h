/* The training half of abi.h: what a training entry leaves in memory, and the kernels that turn gradients into an update.
 * Included by abi.h; do not include it directly. */
#ifndef WEFT_ABI_TRAIN_H
#define WEFT_ABI_TRAIN_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Elements that one task of a training kernel covers. The memories of parameters, gradients and moments have the same
 * layout, in f32: tensor by tensor in the order of weft_train_desc.tensor, each output's tensors without gaps, every output
 * at a multiple of 16 elements, every run of outputs with the same `decays` at a multiple of WEFT_TRAIN_BLOCK and padded to
 * one. Padding is zero and stays zero. Frozen tensors follow behind, in parameter memory only. */
#define WEFT_TRAIN_BLOCK 1024

typedef enum weft_optimizer_kind { WEFT_SGD = 0, WEFT_ADAM = 1, WEFT_ADAMW = 2 } weft_optimizer_kind;

typedef struct weft_optimizer_desc {
  int32_t kind; /* weft_optimizer_kind */
  int32_t nesterov;
  double lr, momentum, beta1, beta2, eps, weight_decay;
} weft_optimizer_desc;

typedef enum weft_schedule_kind {
  WEFT_SCHEDULE_CONSTANT = 0,
  WEFT_SCHEDULE_LINEAR = 1,
  WEFT_SCHEDULE_COSINE = 2,
  WEFT_SCHEDULE_NOAM = 3,
  WEFT_SCHEDULE_INVERSE_SQRT = 4,
  WEFT_SCHEDULE_STEP = 5,
  WEFT_SCHEDULE_WSD = 6
} weft_schedule_kind;

/* The learning rate at step s (from 0), a pure function of s: the format's page on `train` has the formulas. */
typedef struct weft_schedule_desc {
  int32_t kind; /* weft_schedule_kind */
  int64_t warmup_steps, total_steps, step_size, decay_steps; /* decay_steps 0: a fifth of total_steps */
  double min_lr_ratio, factor, d_model, gamma;
} weft_schedule_desc;

/* A trained tensor, in memory order. */
typedef struct weft_trained_desc {
  int32_t param;  /* index into weft_model_desc.param */
  int32_t output; /* output of the training entry whose memory holds its gradient; tensors of one output are neighbours */
  int32_t decays; /* weight decay applies */
} weft_trained_desc;

/* What the update kernel reads besides memory: one f32 each, computed in f64 by the runtime for every step and group.
 * Elements of g are multiplied by SCALE first. With s[X] for a scalar:
 *   sgd    g += s[DECAY] p;  m = s[BETA1] m + g;  p -= s[RATE] (nesterov: g + s[ONE_MINUS_BETA1] m, else m)
 *          (no momentum: p -= s[RATE] g; m is NULL)
 *   adam   g += s[DECAY] p;  then as adamw with s[DECAY] 1
 *   adamw  p *= s[DECAY];  m = m s[BETA1] + g s[ONE_MINUS_BETA1];  v = v s[BETA2] + g g s[ONE_MINUS_BETA2];
 *          p -= s[RATE] (m / (sqrt(v) / s[CORRECTION] + s[EPS]))
 * At the first step of sgd BETA1 is 0: the momentum starts as the gradient. CORRECTION is sqrt(1 - beta2^t), RATE is
 * lr / (1 - beta1^t) for adam and adamw, lr for sgd. For sgd with nesterov ONE_MINUS_BETA1 holds the momentum. */
enum {
  WEFT_TRAIN_SCALE = 0,
  WEFT_TRAIN_DECAY = 1,
  WEFT_TRAIN_RATE = 2,
  WEFT_TRAIN_CORRECTION = 3,
  WEFT_TRAIN_EPS = 4,
  WEFT_TRAIN_BETA1 = 5,
  WEFT_TRAIN_ONE_MINUS_BETA1 = 6,
  WEFT_TRAIN_BETA2 = 7,
  WEFT_TRAIN_ONE_MINUS_BETA2 = 8,
  WEFT_TRAIN_SCALARS = 9
};

/* Argument tables of the training kernels (8-byte slots); task i covers elements [i, i + 1) * WEFT_TRAIN_BLOCK. */
typedef struct weft_update_args {
  float *p;
  const float *g;
  float *m, *v;                                 /* moments the optimizer does not have: NULL */
  const float *scalar[WEFT_TRAIN_SCALARS];
  int64_t n;                                    /* elements, a multiple of WEFT_TRAIN_BLOCK */
} weft_update_args;
typedef struct weft_norm_args {                 /* squares[i] = sum of g² over task i's elements; not finite if one is not */
  const float *g;
  float *squares;
  int64_t tasks;
} weft_norm_args;
typedef struct weft_add_args {                  /* sum += scale[0] g */
  float *sum;
  const float *g;
  const float *scale;
  int64_t n;
} weft_add_args;

typedef struct weft_train_desc {
  int32_t entry;   /* the training entry: output 0 is the loss, output `weight` the batch's weight, the others are gradients */
  int32_t eval;    /* an entry with the same inputs whose output 0 is the loss without dropout, output `weight` as there */
  int32_t weight;  /* f32 []: what the batch counts in a mean over several (labels not ignored); -1: its samples count */
  int32_t labels, correct; /* outputs of `eval`, f32 []: labels not ignored, and those whose logit is the largest; or -1 */
  int32_t tensors; /* trained; parameters not among them are frozen */
  const weft_trained_desc *tensor;
  weft_optimizer_desc optimizer;
  weft_schedule_desc schedule;
  double clip_grad_norm; /* 0: none */
  int64_t accumulate;    /* calls per update, at least 1 */
  int32_t dynamic_loss_scale;
  int32_t tokens_input;  /* index of the input whose elements count as tokens (labels, else the first integer input), or -1 */
} weft_train_desc;

#ifdef __cplusplus
}
#endif
#endif /* WEFT_ABI_TRAIN_H */
