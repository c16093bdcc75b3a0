/* What a trainer is made of: a session that runs the training entry, the memories of gradients and moments, counters. */
#ifndef WEFT_TRAINER_H
#define WEFT_TRAINER_H

#include "session.h"

#pragma GCC visibility push(hidden)

#define WEFT_TRAINER_MAGIC 0x4e525454u

/* Elements of one group of the optimizer, neighbours in memory. */
typedef struct weft_group {
  int64_t begin, elements;
  bool decays;
} weft_group;

enum { WEFT_MOST_GROUPS = 2 };

struct weft_trainer {
  uint32_t magic;
  weft_status created; /* not WEFT_OK: the handle only holds the error */
  atomic_int busy;
  weft_error error;
  weft_model *model;
  const weft_model_desc *desc;
  const weft_train_desc *train;
  weft_trainer_options options;
  weft_allocator allocator;
  int64_t block_bytes;
  weft_session *session;
  weft_optimizer_desc optimizer;
  weft_schedule_desc schedule;
  double clip_grad_norm;
  int64_t elements;  /* of each memory, a multiple of WEFT_TRAIN_BLOCK */
  int64_t *begins;   /* [train->tensors] where tensors stand */
  void **outputs;    /* of the training entry */
  float *p;          /* the model's */
  float *g;          /* gradients of the last batch */
  float *sum;        /* of the update's batches; NULL: updates take one */
  float *m, *v;      /* NULL: the optimizer has none */
  float *squares;    /* [elements / WEFT_TRAIN_BLOCK] */
  weft_group groups[WEFT_MOST_GROUPS];
  int32_t group_count;
  int64_t accumulate; /* batches per update */
  /* Of the update that is being made. */
  int64_t added;      /* batches */
  double weight, loss; /* sums over them; loss times weight */
  int64_t samples;
  char cause[300];    /* what was not finite first; "" */
  /* What the training entry writes beside gradients. */
  float loss_output, weight_output;
  weft_metrics metrics;
  uint64_t good_updates; /* since the loss scale last changed */
};

bool weft_trainer_is(const weft_trainer *trainer);
weft_status weft_trainer_enter(weft_trainer *trainer);
static inline void weft_trainer_leave(weft_trainer *trainer) { atomic_store_explicit(&trainer->busy, 0, memory_order_release); }

/* schedule.c: the learning rate of a step, from 0. `lr`: the optimizer's. */
double weft_learning_rate(const weft_schedule_desc *schedule, double lr, uint64_t step);
/* What the update kernel reads for one group at `step`. */
void weft_update_scalars(const weft_optimizer_desc *optimizer, bool decays, double lr, uint64_t step, double scale,
                         float scalars[WEFT_TRAIN_SCALARS]);

/* loss_scale.c. `weft_set` also tells the kernels; `weft_start`: what a new trainer has. */
void weft_set_loss_scale(weft_trainer *trainer, double scale);
void weft_start_loss_scale(weft_trainer *trainer);
/* Half the scale, as gradients were not finite; false: it is not scaled, or 1 already. */
bool weft_lower_loss_scale(weft_trainer *trainer);
void weft_count_good_update(weft_trainer *trainer);
/* Whether a checkpoint's numbers are ones that this trainer can have. */
bool weft_is_loss_scale(const weft_trainer *trainer, uint64_t scale, uint64_t good_updates);

/* Zero gradients, sums and what belongs to an update that is being made. */
void weft_forget_batches(weft_trainer *trainer);

#pragma GCC visibility pop
#endif /* WEFT_TRAINER_H */
