/* Training: the trainer of a model whose object has a training entry, its checkpoints, and the order of samples.
 * Included by runtime.h, whose rules hold here too.
 *
 *   weft_trainer *trainer;                                  // after gpt_open and weft_model_load or weft_model_init
 *   if (gpt_trainer(model, &(gpt_dims){.B = 12, .T = 64}, NULL, &trainer) != WEFT_OK)
 *     return fprintf(stderr, "%s\n", weft_trainer_error(trainer)), 1;
 *   for (int step = 0; step < 2000; ++step) {
 *     gpt_train_step_args args = {.dims = {.B = 12, .T = 64}, .tokens = tokens, .targets = targets};
 *     weft_metrics metrics;
 *     if (gpt_train_step(trainer, &args, &metrics) != WEFT_OK) return fprintf(stderr, "%s\n", weft_trainer_error(trainer)), 1;
 *   }
 *   weft_trainer_publish(trainer);                          // sessions now compute with the trained parameters
 *   weft_model_save(model, "gpt.safetensors");
 *
 * A trainer changes its model's parameters in place. While there is one, weights can't be loaded, drawn or set, and a
 * second trainer is WEFT_ERR_BUSY; sessions may be created and used, by any thread but not during weft_trainer_publish or
 * weft_trainer_load: they compute with the parameters as they were when the trainer was created, loaded or last published.
 * A trainer is used by one thread at a time. A call that fails leaves the trainer as it was before, unless said otherwise. */
#ifndef WEFT_TRAIN_H
#define WEFT_TRAIN_H

#include "weft/abi.h"
#include "weft/status.h"

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default)
#endif

struct weft_model;
typedef struct weft_trainer weft_trainer;

/* What a step reports of itself. `loss` and `grad_norm` are those of the last update: the loss before it, as if its
 * batches were one, and the Euclidean norm of all gradients before clipping. Loss, norm and rate are NaN until there is an
 * update: a checkpoint does not hold those of the one before it. */
typedef struct weft_metrics {
  double loss, grad_norm;
  double lr;          /* of the last update */
  double loss_scale;  /* of the next batch; 1 without dynamic loss scaling */
  uint64_t step;      /* updates made, ever */
  uint64_t batches;   /* batches seen, ever */
  uint64_t samples;   /* ever: sizes of the batches' first axis */
  uint64_t tokens;    /* ever: elements of the labels, or of the first integer input */
  uint64_t skipped;   /* updates left out because a gradient was not finite */
  int updated;        /* 1: this call made an update; 0: it only added to the gradients, or skipped */
} weft_metrics;

/* What to do when a loss or a gradient is NaN or infinite. With dynamic loss scaling (models of f16 that ask for it) a
 * gradient that is not finite first leaves the update out and halves the scale; 2,000 updates without that double it. It
 * starts at 65536 and is at least 1, where this choice counts again. Gradients and norms are those of the loss itself. */
typedef enum weft_nonfinite {
  WEFT_NONFINITE_STOP = 0, /* WEFT_ERR_NUMERIC; the text says where. The batches of this update are forgotten */
  WEFT_NONFINITE_SKIP = 1  /* leave this update out: parameters and moments stay, `skipped` counts */
} weft_nonfinite;

/* Called when all gradients of an update are there, before their norm is taken: to read or to replace them
 * (weft_trainer_tensor, WEFT_ROLE_GRADIENT). Gradients are the mean over the update's batches; with dynamic loss scaling
 * some may not be finite, and whether the update is left out depends on what the callback leaves. A status other than
 * WEFT_OK ends the call with it, before any parameter or moment has changed; the batches of this update are forgotten. Of
 * this trainer the callback may call weft_trainer_tensor, _get, _metrics, _learning_rate, _descriptor and _error; others
 * answer WEFT_ERR_BUSY. Other trainers may be called freely. */
typedef weft_status (*weft_gradients_fn)(void *user, weft_trainer *trainer);

typedef struct weft_trainer_options {
  uint64_t seed;                     /* of dropout */
  int64_t accumulate;                /* batches per update; 0: what the model says */
  int32_t nonfinite;                 /* weft_nonfinite */
  int64_t threads;                   /* 0: weft_cpu_count() */
  struct weft_threads *shared_threads;
  weft_gradients_fn gradients;
  void *gradients_user;
  weft_log_fn log;
  void *log_user;
  void (*trace)(void *user, weft_kernel_fn kernel, int64_t tasks, int64_t nanoseconds); /* as in weft_session_options */
  void *trace_user;
} weft_trainer_options;

/* Bytes of a trainer for batches up to some sizes, before anything is allocated. */
typedef struct weft_train_memory {
  int64_t parameters; /* in the model: trained and frozen */
  int64_t gradients;  /* and their sum, when updates take several batches */
  int64_t moments;
  int64_t arena;      /* activations and all else between the first kernel and the last */
  int64_t other;      /* scratch of threads, tables */
  int64_t total;
} weft_train_memory;

weft_status weft_trainer_memory(const struct weft_model *model, const int64_t *max_dims, const weft_trainer_options *options,
                                weft_train_memory *out_memory);

/* Creates a trainer for batches with sizes up to `max_dims`. Everything is allocated here: no step allocates. Moments and
 * counters start at zero. Fails: WEFT_ERR_UNSUPPORTED (the object has no training entry), WEFT_ERR_MISSING (weights),
 * WEFT_ERR_DIM, WEFT_ERR_BUSY, WEFT_ERR_MEMORY, WEFT_ERR_ARGUMENT. */
weft_status weft_trainer_create(struct weft_model *model, const int64_t *max_dims, const weft_trainer_options *options,
                                weft_trainer **out_trainer);
void weft_trainer_destroy(weft_trainer *trainer);
const char *weft_trainer_error(const weft_trainer *trainer);
const weft_model_desc *weft_trainer_descriptor(const weft_trainer *trainer);
/* WEFT_ERR_ARGUMENT, with a text, for a trainer of another model (generated headers call it). */
weft_status weft_trainer_expect(weft_trainer *trainer, const weft_model_desc *descriptor);

/* ---- Steps. `dims` and `inputs` as in weft_session_run, for the training entry. ---------------------------------- */

/* Computes loss and gradients of one batch; the batch that completes an update also makes it. `out_metrics` may be NULL.
 * Fails as weft_session_run does, and with WEFT_ERR_NUMERIC. */
weft_status weft_trainer_step(weft_trainer *trainer, const int64_t *dims, const void *const *inputs, weft_metrics *out_metrics);

/* The first half of a step: the gradients of one more batch. WEFT_ERR_ARGUMENT when an update has all it takes. */
weft_status weft_trainer_accumulate(weft_trainer *trainer, const int64_t *dims, const void *const *inputs, weft_metrics *out_metrics);
/* The second half: the update with the mean of what was added (at least one batch, at most the number that an update takes).
 * Fails: WEFT_ERR_NUMERIC, WEFT_ERR_ARGUMENT (nothing was added), and with what the gradients callback returns. */
weft_status weft_trainer_apply(weft_trainer *trainer, weft_metrics *out_metrics);

/* What a batch is worth without dropout. */
typedef struct weft_evaluation {
  double loss;
  double weight;           /* what the batch counts in a mean over several: labels that are not ignored, weighted by class; else samples */
  int64_t labels, correct; /* of cross entropy: labels not ignored, and those whose class has the largest logit; else -1 */
} weft_evaluation;

/* Evaluates a batch, without dropout and without any change. Fails as weft_session_run does. */
weft_status weft_trainer_eval(weft_trainer *trainer, const int64_t *dims, const void *const *inputs, weft_evaluation *out_evaluation);

/* The counters, and loss, norm and rate of the last update. */
weft_status weft_trainer_metrics(const weft_trainer *trainer, weft_metrics *out_metrics);

/* Copies the parameters to where sessions' kernels read them (see above). No session may be running or be created. */
weft_status weft_trainer_publish(weft_trainer *trainer);

/* ---- Inside ------------------------------------------------------------------------------------------------------ */

/* Numbers that may change between steps: "lr", "factor" (noam), "weight_decay", "momentum", "beta1", "beta2", "eps",
 * "clip_grad_norm". "lr" is what the schedule multiplies. They are not stored in checkpoints.
 * A number that the optimizer or the schedule does not use is stored and has no effect.
 * Fails: WEFT_ERR_ARGUMENT (no such number; negative or not finite; "momentum", "beta1", "beta2" of 1 or more; "momentum"
 * above 0 when the model's sgd has none). */
weft_status weft_trainer_set(weft_trainer *trainer, const char *name, double value);
/* What such a number is now. */
weft_status weft_trainer_get(const weft_trainer *trainer, const char *name, double *out_value);

/* The learning rate that update `step` (from 0) has by the schedule. Updates that are left out count. */
double weft_trainer_learning_rate(const weft_trainer *trainer, uint64_t step);

typedef enum weft_role { WEFT_ROLE_PARAMETER = 0, WEFT_ROLE_GRADIENT = 1, WEFT_ROLE_M = 2, WEFT_ROLE_V = 3 } weft_role;

/* The memory of one tensor: row-major f32 of the parameter's shape, valid as long as the trainer. Gradients are, in the
 * callback, the mean over the update's batches. Outside of it and while batches are added, they are the sum over these, each
 * weighted (of updates that take one batch: that batch's mean); else what the last update used.
 * Fails: WEFT_ERR_ARGUMENT (no such parameter or role), WEFT_ERR_MISSING (frozen, or no such moment). */
weft_status weft_trainer_tensor(weft_trainer *trainer, const char *name, weft_role role, float **out_data, const weft_param_desc **out_desc);

/* ---- Checkpoints -------------------------------------------------------------------------------------------------- */

/* A checkpoint is a folder `step-NNNNNNNNNN` with model.safetensors (the weights file of the model) and
 * trainer.safetensors (moments, counters, checksums), which appears whole or not at all: files and folders are synced,
 * then renamed. Training on from it is bitwise the training that was interrupted. */
typedef struct weft_checkpoint_options {
  int64_t keep;      /* delete older ones once this one is safe, so that so many remain, with it; 0: keep all; below: an error.
                      * Checkpoints of later steps neither count nor go: a training that goes on behind them found them damaged */
  const char *note;  /* the application's own, stored and given back; valid UTF-8 */
} weft_checkpoint_options;

/* Saves into `folder`, which is created if its parent exists. Not between the batches of one update, and
 * with no note that is not UTF-8 (WEFT_ERR_ARGUMENT). One folder holds one training: trainers that train together (with
 * seeds of their own) save into folders of their own. When it fails (WEFT_ERR_IO, WEFT_ERR_MEMORY) older checkpoints are
 * untouched, and training can go on. */
weft_status weft_trainer_save(weft_trainer *trainer, const char *folder, const weft_checkpoint_options *options);

/* Continues from the newest whole checkpoint in `folder`; damaged ones are logged as warnings and passed over. Publishes
 * what it loads: as during weft_trainer_publish, no session may be running or be created. `note` (may be NULL) receives the
 * stored note, cut at `note_size`. Fails: WEFT_ERR_MISSING (there is none, or no folder), WEFT_ERR_FORMAT (none is whole; or
 * of another model, optimizer, seed or version), WEFT_ERR_IO, WEFT_ERR_MEMORY. Of another model: of another name, or with
 * other parameters; `weft train` compares the nodes too. Everything is verified first; only when reading fails after that
 * (WEFT_ERR_IO), parameters and moments may hold anything until a load succeeds. */
weft_status weft_trainer_load(weft_trainer *trainer, const char *folder, char *note, size_t note_size);

/* ---- Data --------------------------------------------------------------------------------------------------------- */

/* Sample number `index` (0..count-1) of an epoch in shuffled order: a permutation of 0..count-1 that depends on seed,
 * epoch and count alone, computed without memory. -1: index outside, or count not in 1..2^62. */
int64_t weft_shuffle(uint64_t seed, uint64_t epoch, int64_t count, int64_t index);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif
#endif /* WEFT_TRAIN_H */
