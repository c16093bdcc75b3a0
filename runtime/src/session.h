/* A session: one block of memory that holds everything calls need, laid out once. */
#ifndef WEFT_SESSION_H
#define WEFT_SESSION_H

#include "error.h"
#include "model.h"
#include "threads.h"
#include "weft/runtime.h"

#include <stdatomic.h>
#include <stdbool.h>

#pragma GCC visibility push(hidden)

#define WEFT_SESSION_MAGIC 0x53534553u

/* What is known about an entry for the sizes of its last call. */
typedef struct weft_entry_plan {
  bool ready;
  int64_t *dims;     /* [dims], as the kernels see them */
  int64_t *given;    /* [dims], as the caller gave them */
  int64_t *offsets;  /* [buffers + 2] */
  int64_t *sizes;    /* of all axes of all inputs, then outputs */
  int64_t *elements; /* [inputs + outputs] */
  int64_t batch, tokens; /* of this call, for entries with states; 1 and 0 where the entry has no such dim */
} weft_entry_plan;

/* Beam search: a hypothesis that runs, or a candidate to become one. */
typedef struct weft_hypothesis {
  double sum;     /* of log-probabilities */
  int64_t row;    /* sequence of the session that holds its positions */
  int32_t parent; /* slot of the hypothesis that it continues */
  int32_t token;
} weft_hypothesis;

typedef struct weft_finished {
  double score;
  int64_t order, count; /* when it finished; tokens without the stop token */
  int32_t slot;         /* of its last token */
  bool end;             /* it took a stop token */
} weft_finished;

typedef struct weft_beam_prompt {
  int64_t limit, running, finished, order;
  bool ended;
} weft_beam_prompt;

/* Slots: those of prompt b begin at b * beams, the best hypothesis first. */
typedef struct weft_beam_room {
  weft_beam_prompt *prompts;     /* [batch] */
  weft_hypothesis *running;      /* [batch] by slot */
  weft_hypothesis *top, *next;   /* [batch] the best candidates of one prompt: of all, of those that run on */
  weft_finished *finished;       /* [batch] `beams` places for each prompt */
  unsigned char *taken;          /* [batch] rows */
  int64_t *lengths;              /* [states][batch] of the prompts */
  int32_t *tokens, *parents;     /* [positions][batch] token of each slot at each step, slot that it continues */
} weft_beam_room;

/* Memory of one generate entry that no other call uses. */
typedef struct weft_generate_room {
  int64_t vocabulary;   /* sizes at the session's largest dims; 0: the entry cannot run */
  int64_t logits_bytes; /* of the larger of both entries' outputs */
  int64_t token_bytes;
  void *logits, *tokens;
  float *row;           /* [vocabulary] */
  uint64_t *heap;       /* [vocabulary] */
  int32_t *last;        /* [batch] token to feed next */
  int32_t *valid;       /* [batch] */
  int64_t *fed;         /* [batch] prompt tokens already fed */
  int64_t *saved;       /* [states][batch] lengths before a step, or the prompts */
  unsigned char *done;  /* [batch] */
  weft_beam_room beam;
} weft_generate_room;

/* What a session knows of a kept value. */
typedef struct weft_kept_state {
  bool present;
  int64_t *dims;     /* [dims] of the call that kept it */
  int64_t rows;      /* sequences that it has, and their bytes; 0 where none are counted */
  int64_t row_bytes;
} weft_kept_state;

struct weft_session {
  uint32_t magic;
  weft_status created; /* not WEFT_OK: the handle only holds the error */
  atomic_int busy;
  weft_error error;
  weft_model *model;
  const weft_model_desc *desc;
  bool trains;               /* it is a trainer's */
  weft_session_options options;
  weft_allocator allocator;
  void *block;               /* what was allocated; NULL: the caller's memory */
  int64_t block_bytes;
  char *begin, *end;         /* of the session's memory, for overlap checks */
  weft_threads *threads;     /* NULL: one thread, or the application's */
  bool owns_threads;
  int64_t thread_count;
  int64_t *max_dims;
  weft_entry_plan *plans;    /* [entries] */
  const void **inputs;       /* [most inputs of an entry] with optional ones filled in */
  const void **fill;         /* [desc->inputs] NULL for inputs that are not optional */
  int64_t *fill_bytes;
  weft_cache *caches;        /* [states] */
  int64_t *capacities_bytes; /* [states] */
  weft_kept *kept;           /* [kepts] */
  weft_kept_state *kept_states;
  int64_t *kept_sizes;       /* of all axes of all kept values */
  int64_t *call_dims;        /* [dims] of the next call */
  int64_t batch;             /* sequences of the caches */
  int32_t *valid;            /* [batch] for the next call */
  int64_t valid_count;       /* -1: all tokens are real */
  char *arena;
  int64_t arena_bytes;
  char *scratch;             /* of thread 0; others follow at scratch_stride */
  int64_t scratch_bytes, scratch_stride;
  weft_generate_room *rooms; /* [generates] */
  weft_exec exec;
};

/* session.c: laying out memory. The same walk first measures (base NULL), then places. ----------------------------- */

typedef struct weft_cursor {
  char *base;
  int64_t at;
  bool good;
} weft_cursor;

/* The product of sizes; 0, and no longer good, on overflow. */
int64_t weft_take_product(weft_cursor *cursor, const int64_t *sizes, int32_t count);
/* `count` elements of `size` bytes at the next line; NULL while measuring. `good` becomes false on overflow. */
void *weft_take(weft_cursor *cursor, int64_t count, int64_t size);

/* plan.c: sizes -------------------------------------------------------------------------------------------------- */

/* Makes the sizes of a call from what the caller gave: fixed and unused dims are filled in, all are checked against the
 * model's ranges and against `limits` (NULL: none). On failure the text names the dim. */
weft_status weft_resolve_dims(const weft_model *model, int32_t entry, const int64_t *dims, const int64_t *limits, int64_t *out_dims,
                              weft_error *error);
/* Largest sizes of a session as multiples that calls can have. */
weft_status weft_check_max_dims(const weft_model *model, const int64_t *max_dims, int64_t *out_dims, weft_error *error);
/* The smallest size that a dim can have. */
int64_t weft_lowest_dim(const weft_dim_desc *dim);
/* Number of axes of all inputs and outputs of an entry. */
int64_t weft_entry_axes(const weft_model_desc *desc, const weft_entry_desc *entry);
/* Elements of each input and output from `sizes`; false: an impossible size. */
bool weft_count_elements(const weft_model_desc *desc, const weft_entry_desc *entry, const int64_t *sizes, int64_t *elements);

/* session.c / run.c ---------------------------------------------------------------------------------------------- */

bool weft_session_is(const weft_session *session);
/* Whether an entry is run by trainers, and not by other sessions. */
static inline bool weft_is_trainers(const weft_model_desc *desc, int32_t entry) {
  return desc->train && (entry == desc->train->entry || entry == desc->train->eval);
}
/* weft_session_create for either kind of session. */
weft_status weft_make_session(weft_model *model, const int64_t *max_dims, const weft_session_options *options, bool trains,
                              weft_session **out_session);
weft_status weft_measure_session(const weft_model *model, const int64_t *max_dims, const weft_session_options *options, bool trains,
                                 int64_t *out_bytes, int64_t *out_arena, weft_error *error);
/* Runs a kernel outside of entries, on the session's threads. */
void weft_launch(weft_session *session, weft_kernel_fn kernel, const void *args, int64_t tasks);
/* "tokens[0, 17]" for a flat index. */
void weft_write_position(char *text, size_t size, const char *name, const int64_t *sizes, int32_t rank, int64_t flat);
/* Takes the session for this call; WEFT_ERR_BUSY when another has it. */
weft_status weft_session_enter(weft_session *session);
static inline void weft_session_leave(weft_session *session) { atomic_store_explicit(&session->busy, 0, memory_order_release); }
/* weft_session_run inside a call that has the session. */
weft_status weft_run_entry(weft_session *session, int32_t entry, const int64_t *dims, const void *const *inputs, void *const *outputs);
/* The sizes of an entry for a call, computed if they differ from the last call's. */
weft_status weft_prepare_plan(weft_session *session, int32_t entry, const int64_t *dims);

#pragma GCC visibility pop
#endif /* WEFT_SESSION_H */
