/* A model: the descriptor of an object, the variant that this CPU runs, and the weights in the form it reads. */
#ifndef WEFT_MODEL_H
#define WEFT_MODEL_H

#include "error.h"
#include "weft/runtime.h"

#include <stdatomic.h>
#include <stdbool.h>

#pragma GCC visibility push(hidden)

#define WEFT_MODEL_MAGIC 0x4c444f4du

/* Where a dim of an entry stands: in its inputs and outputs, or only in what it recalls, so that the caller may leave it out. */
enum { WEFT_NOT_MENTIONED = 0, WEFT_MENTIONED = 1, WEFT_MENTIONED_KEPT = 2 };

/* One place where a parameter's elements stand in a packed view. */
typedef struct weft_use {
  int32_t view, source;
  int64_t column; /* of the view, where this source's begin */
} weft_use;

typedef struct weft_param_state {
  void *data;       /* kept, or read by a view as it is; else NULL */
  int64_t elements;
  int32_t first_use, uses; /* in weft_model.uses */
  bool set;
} weft_param_state;

struct weft_model {
  uint32_t magic;
  weft_status opened; /* not WEFT_OK: the handle only holds the error */
  const weft_model_desc *desc;
  const weft_variant_desc *variant;
  weft_model_options options;
  weft_allocator allocator;
  weft_tensor_limits limits;
  weft_error error;
  atomic_int sessions;      /* the trainer's own among them */
  atomic_int trainers;      /* 0 or 1 */
  int64_t handle_bytes;
  weft_param_state *params; /* [desc->params] */
  weft_use *uses;
  const void **views;       /* [variant->views]; NULL until the weights are allocated */
  unsigned char *mentioned; /* [entries][dims] WEFT_MENTIONED_*: where the entry's shapes name the dim */
  unsigned char *kept_mentions; /* [kepts][dims]: the kept value's shape names the dim */
  int32_t *kept_row_dim;    /* [kepts] the dim that counts sequences, if it is the first axis and in no other; or -1 */
  void *weights;            /* one block: parameters that are kept, then packed views */
  int64_t weights_bytes;
};

/* Whether it is a handle; whether one that is open. */
static inline bool weft_model_is(const weft_model *model) { return model && model->magic == WEFT_MODEL_MAGIC; }
static inline bool weft_model_is_open(const weft_model *model) { return weft_model_is(model) && model->opened == WEFT_OK; }

/* Bytes of a packed view; false on overflow. */
bool weft_view_bytes(const weft_view_desc *view, int64_t *out);
/* Whether a view is one whole parameter as it is. */
bool weft_view_is_param(const weft_model *model, const weft_view_desc *view);
/* Checks that all sources lie inside their parameters. */
weft_status weft_check_views(weft_model *model);
/* Allocates the weights' block if that has not happened. */
weft_status weft_allocate_weights(weft_model *model);
int64_t weft_param_bytes(const weft_model *model, int32_t param);

/* Draws elements [begin, end) of a parameter that has `elements`. `data`: element `begin`. */
void weft_init_elements(const weft_param_desc *param, int64_t elements, uint64_t seed, int64_t begin, int64_t end, void *data);

/* load.c: weft_model_load_tensors without asking whether sessions read the weights. */
weft_status weft_load_tensors(weft_model *model, weft_tensor_file *file);
/* Index of a parameter by name, or -1; and the error of there being none, with what was perhaps meant. */
int32_t weft_find_param(const weft_model_desc *desc, const char *name);
weft_status weft_no_param(weft_error *error, const weft_model_desc *desc, const char *name);
/* Brings every packed view up to date with the parameters' own memory. */
weft_status weft_pack_views(weft_model *model);

/* train_layout.c: places of trained tensors in the memories of training (abi_train.h), in elements. Called for tensor 0, 1, …:
 * the place of `tensor` when those before it end at `at`. False on overflow. */
bool weft_train_place(const weft_model *model, int32_t tensor, int64_t at, int64_t *out_begin);
/* Elements of each of those memories; false on overflow. */
bool weft_train_elements(const weft_model *model, int64_t *out);
weft_status weft_check_training(weft_model *model);

/* Refuses changes of weights while sessions read them, and broken handles. */
weft_status weft_begin_change(weft_model *model);

#pragma GCC visibility pop
#endif /* WEFT_MODEL_H */
