/* Sizes of sessions and calls: sums that do not fit the address space are refused before memory is taken, and no plan of an
 * object is trusted. */
#include "check.h"
#include "copies.h"
#include "toy.h"
#include "trained.h"

#include <stdbool.h>
#include <stdlib.h>

static const int64_t two[TOY_DIMS] = {2, 3, 0}, one[TOY_DIMS] = {1, 3, 0};
static int32_t tokens[TOY_MAX_B * TOY_MAX_T];
static float logits[TOY_MAX_B * TOY_MAX_T * TOY_VOCABULARY];

/* ---- Too large for a session ------------------------------------------------------------------------------------ */

static void huge_arena(const int64_t *dims, int64_t *offsets) { (void)dims, offsets[0] = offsets[2] = 0, offsets[1] = INT64_MAX - 64; }
static void no_arena(const int64_t *dims, int64_t *offsets) { (void)dims, offsets[0] = offsets[2] = 0, offsets[1] = -1; }
static void huge_scratch(const int64_t *dims, int64_t *offsets) { (void)dims, offsets[0] = offsets[1] = 0, offsets[2] = INT64_MAX; }
static void nearly_huge_scratch(const int64_t *dims, int64_t *offsets) { (void)dims, offsets[0] = offsets[1] = 0, offsets[2] = INT64_MAX - 100; }
static void no_scratch(const int64_t *dims, int64_t *offsets) { (void)dims, offsets[0] = offsets[1] = 0, offsets[2] = -1; }
static void overflowing_shapes(const int64_t *dims, int64_t *sizes) { (void)dims, sizes[0] = sizes[1] = INT64_MAX / 2, sizes[2] = sizes[3] = sizes[4] = sizes[5] = sizes[6] = 1; }
static void huge_shapes(const int64_t *dims, int64_t *sizes) { overflowing_shapes(dims, sizes), sizes[1] = 1; }
static void negative_shapes(const int64_t *dims, int64_t *sizes) { overflowing_shapes(dims, sizes), sizes[0] = -1; }
static void huge_fill(const int64_t *dims, int64_t *sizes) { overflowing_shapes(dims, sizes), sizes[0] = sizes[1] = 1, sizes[2] = INT64_MAX / 8; }

#define CHANGE(statement) \
  if (number == at++) {   \
    statement;            \
    return true;          \
  }
static bool too_large(copies *c, int number) {
  int at = 0;
  CHANGE(c->plans[TOY_FORWARD] = huge_arena)
  CHANGE(c->plans[TOY_FORWARD] = no_arena)
  CHANGE(c->plans[TOY_FORWARD] = huge_scratch)
  CHANGE(c->plans[TOY_FORWARD] = nearly_huge_scratch)
  CHANGE(c->plans[TOY_FORWARD] = no_scratch)
  CHANGE(c->entries[TOY_FORWARD].shapes = overflowing_shapes)
  CHANGE(c->entries[TOY_FORWARD].shapes = huge_shapes)
  CHANGE(c->entries[TOY_FORWARD].shapes = negative_shapes)
  CHANGE((c->entries[TOY_FORWARD].shapes = huge_fill, c->plans[TOY_FORWARD] = huge_arena))
  CHANGE(c->states[0].capacity = INT64_MAX)
  CHANGE(c->states[0].capacity = INT64_MAX / 96)
  CHANGE((c->states[0].capacity = INT64_MAX - 1, c->states[0].head_dim = 0)) /* an empty cache, but no room to list hypotheses */
  return false;
}

static void too_large_sessions_are_refused(void) {
  for (int number = 0;; ++number) {
    copies *c = copies_of(&toy_model, 1);
    bool more = too_large(c, number);
    weft_model *model;
    weft_session *session;
    if (more) {
      CHECK_EQUAL(weft_model_open(&c->desc, NULL, &model), WEFT_OK);
      CHECK_EQUAL(weft_model_init(model, 1), WEFT_OK);
      CHECK_EQUAL(weft_session_bytes(model, two, NULL), -1);
      weft_status status = weft_session_create(model, two, NULL, &session);
      if (status != WEFT_ERR_LIMIT) fprintf(stderr, "case %d: status %d\n", number, status);
      CHECK_EQUAL(status, WEFT_ERR_LIMIT);
      CHECK_CONTAINS(weft_session_error(session), "these sizes are too large");
      weft_session_destroy(session);
      CHECK_EQUAL(weft_model_close(model), WEFT_OK);
    }
    free(c);
    if (!more) break;
  }
}

/* ---- No plan is trusted ------------------------------------------------------------------------------------------ */

/* Each has another opinion when the batch is 1. */
static void growing_arena(const int64_t *dims, int64_t *offsets) { offsets[0] = offsets[2] = 0, offsets[1] = dims[TOY_B] == 1 ? 4096 : 0; }
static void shrinking_arena(const int64_t *dims, int64_t *offsets) { offsets[0] = offsets[2] = 0, offsets[1] = dims[TOY_B] == 1 ? -1 : 0; }
static void growing_scratch(const int64_t *dims, int64_t *offsets) { offsets[0] = offsets[1] = 0, offsets[2] = dims[TOY_B] == 1 ? 4096 : 0; }
static void shrinking_scratch(const int64_t *dims, int64_t *offsets) { offsets[0] = offsets[1] = 0, offsets[2] = dims[TOY_B] == 1 ? -1 : 0; }
static void growing_shapes(const int64_t *dims, int64_t *sizes) {
  if (dims[TOY_B] == 1) overflowing_shapes(dims, sizes);
  else toy_model.entry[TOY_FORWARD].shapes(dims, sizes);
}
static void growing_fill(const int64_t *dims, int64_t *sizes) {
  toy_model.entry[TOY_FORWARD].shapes(dims, sizes);
  if (dims[TOY_B] == 1) sizes[2] = 1000;
}

static void no_plan_is_trusted(void) {
  const struct {
    weft_plan_fn plan;
    weft_shapes_fn shapes;
    weft_status status;
    const char *text;
  } cases[] = {{growing_arena, NULL, WEFT_ERR_MEMORY, "toy_forward: these sizes need 4096 bytes of arena"},
               {shrinking_arena, NULL, WEFT_ERR_MEMORY, "these sizes need -1 bytes of arena"},
               {growing_scratch, NULL, WEFT_ERR_MEMORY, "and 4096 of scratch"},
               {shrinking_scratch, NULL, WEFT_ERR_MEMORY, "and -1 of scratch"},
               {NULL, growing_shapes, WEFT_ERR_LIMIT, "toy_forward: these sizes are too large"},
               {NULL, growing_fill, WEFT_ERR_MEMORY, "larger than the session's for input 'mask'"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    copies *c = copies_of(&toy_model, 1);
    /* No other entry's room to hide in. */
    for (int e = 0; e < 5; ++e) c->plans[e] = c->plans[TOY_SCALED];
    if (cases[i].plan) c->plans[TOY_FORWARD] = cases[i].plan;
    else c->plans[TOY_FORWARD] = toy_model.variant[1].plan[TOY_FORWARD];
    if (cases[i].shapes) c->entries[TOY_FORWARD].shapes = cases[i].shapes;
    weft_model *model;
    weft_session *session;
    CHECK_EQUAL(weft_model_open(&c->desc, NULL, &model), WEFT_OK);
    CHECK_EQUAL(weft_model_init(model, 1), WEFT_OK);
    CHECK_EQUAL(weft_session_create(model, two, NULL, &session), WEFT_OK);
    CHECK_EQUAL(weft_session_run(session, TOY_FORWARD, one, (const void *const[]){tokens, NULL}, (void *const[]){logits}), cases[i].status);
    CHECK_CONTAINS(weft_session_error(session), cases[i].text);
    weft_session_destroy(session);
    CHECK_EQUAL(weft_model_close(model), WEFT_OK);
    free(c);
  }
}

/* ---- What is unusual works --------------------------------------------------------------------------------------- */

enum { MANY = 300 };
static void many_buffers(const int64_t *dims, int64_t *offsets) {
  memset(offsets, 0, MANY * sizeof *offsets);
  offsets[MANY] = dims[TOY_B] == 8 ? -1 : 1000 * dims[TOY_B];
  offsets[MANY + 1] = 0;
}
static void negative_at_eight(const int64_t *dims, int64_t *offsets) { offsets[0] = dims[TOY_B] == 8 ? -1 : 64, offsets[1] = 0; } /* no buffers */
static void *refuse(void *user, size_t bytes, size_t alignment) { return (void)bytes, (void)alignment, *(int *)user ? NULL : malloc(bytes); }
static void release(void *user, void *memory, size_t bytes) { (void)user, (void)bytes, free(memory); }

static void the_arena_is_known_for_any_number_of_buffers(void) {
  copies *c = copies_of(&toy_model, 1);
  int full = 0;
  const weft_allocator allocator = {refuse, release, &full};
  const weft_model_options options = {.allocator = &allocator};
  const int64_t eight[TOY_DIMS] = {8, 3, 0};
  weft_model *model;
  c->entries[TOY_FORWARD].buffers = MANY;
  c->plans[TOY_FORWARD] = many_buffers;
  c->plans[TOY_PREFILL] = negative_at_eight;
  CHECK_EQUAL(weft_model_open(&c->desc, &options, &model), WEFT_OK);
  CHECK_EQUAL(weft_entry_arena_bytes(model, TOY_FORWARD, two), 2000);
  CHECK_EQUAL(weft_entry_arena_bytes(model, TOY_FORWARD, eight), -1);
  CHECK_EQUAL(weft_entry_arena_bytes(model, TOY_PREFILL, two), 64);
  CHECK_EQUAL(weft_entry_arena_bytes(model, TOY_PREFILL, eight), -1);
  full = 1;
  CHECK_EQUAL(weft_entry_arena_bytes(model, TOY_FORWARD, two), -1);
  full = 0;
  CHECK_EQUAL(weft_model_close(model), WEFT_OK);
  free(c);
}

/* More dims than fit the stack, and none. */
static void any_number_of_dims(void) {
  static weft_dim_desc dims[65];
  static int64_t sizes[65];
  copies *c = copies_of(&packed_model, 0);
  weft_model *model;
  for (int d = 0; d < 65; ++d) dims[d] = (weft_dim_desc){"D", 1, 4, 1, 1}, sizes[d] = 1;
  CHECK_EQUAL(weft_model_open(&c->desc, NULL, &model), WEFT_OK);
  CHECK(weft_entry_arena_bytes(model, 0, NULL) >= 0);
  CHECK_EQUAL(weft_model_close(model), WEFT_OK);
  c->desc.dims = 65;
  c->desc.dim = dims;
  CHECK_EQUAL(weft_model_open(&c->desc, NULL, &model), WEFT_OK);
  CHECK_EQUAL(weft_entry_arena_bytes(model, 0, sizes), -1);
  CHECK_EQUAL(weft_model_close(model), WEFT_OK);
  free(c);
}

/* Caches of some megabytes come from the system as zeros, and are not written to before they are used. */
static void large_caches_begin_empty(void) {
  copies *c = copies_of(&toy_model, 1);
  weft_model *model;
  weft_session *session;
  c->states[0].capacity = 200000;
  CHECK_EQUAL(weft_model_open(&c->desc, NULL, &model), WEFT_OK);
  CHECK_EQUAL(weft_model_init(model, 1), WEFT_OK);
  CHECK_EQUAL(weft_session_create(model, two, NULL, &session), WEFT_OK);
  CHECK_EQUAL(weft_session_length(session, 0, 1), 0);
  CHECK_EQUAL(weft_session_length(session, 1, 0), -1);
  CHECK_EQUAL(weft_session_length(session, -1, 0), -1);
  CHECK_EQUAL(weft_session_length(session, 0, 2), -1);
  CHECK_EQUAL(weft_session_length(session, 0, -1), -1);
  CHECK_EQUAL(weft_session_run(session, TOY_PREFILL, two, (const void *const[]){tokens}, (void *const[]){logits}), WEFT_OK);
  weft_session_destroy(session);
  CHECK_EQUAL(weft_model_close(model), WEFT_OK);
  free(c);
}

/* A size that no entry of a trainer has may be left out. */
static void a_trainer_asks_for_its_own_sizes(void) {
  copies *c = copies_of(&trained_model, 0);
  weft_model *model;
  weft_trainer *trainer;
  c->dims[1] = (weft_dim_desc){"Z", 2, 9, 2, 2};
  c->desc.dims = 2;
  CHECK_EQUAL(weft_model_open(&c->desc, NULL, &model), WEFT_OK);
  CHECK_EQUAL(weft_model_init(model, 1), WEFT_OK);
  const int64_t given[][2] = {{2, 0}, {2, 4}, {2, 1}, {0, 4}};
  const weft_status wanted[] = {WEFT_OK, WEFT_OK, WEFT_ERR_DIM, WEFT_ERR_DIM};
  for (int i = 0; i < 4; ++i) {
    CHECK_EQUAL(weft_trainer_create(model, given[i], NULL, &trainer), wanted[i]);
    weft_trainer_destroy(trainer);
  }
  CHECK_EQUAL(weft_trainer_create(model, NULL, NULL, &trainer), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_trainer_error(trainer), "trained: expected the largest sizes");
  weft_trainer_destroy(trainer);
  CHECK_EQUAL(weft_model_close(model), WEFT_OK);
  free(c);
}

/* The largest size of a session is rounded down to what calls can have; below the smallest of those there is none. */
static void largest_sizes_are_multiples(void) {
  copies *c = copies_of(&toy_model, 1);
  weft_model *model;
  weft_session *session;
  c->dims[TOY_U] = (weft_dim_desc){"U", 3, 32, 8, 5};
  CHECK_EQUAL(weft_model_open(&c->desc, NULL, &model), WEFT_OK);
  CHECK_EQUAL(weft_model_init(model, 1), WEFT_OK);
  CHECK_EQUAL(weft_session_create(model, (const int64_t[]){1, 1, 4}, NULL, &session), WEFT_ERR_DIM);
  CHECK_TEXT(weft_session_error(session), "toy: U is 4, expected at least 5");
  weft_session_destroy(session);
  CHECK_EQUAL(weft_session_bytes(model, (const int64_t[]){1, 1, 9}, NULL), weft_session_bytes(model, (const int64_t[]){1, 1, 5}, NULL));
  CHECK_EQUAL(weft_model_close(model), WEFT_OK);
  free(c);
}

/* A session of few of a pool's threads. */
static void threads_are_as_many_as_asked_for(void) {
  weft_model *model = toy_open(NULL);
  weft_threads *pool;
  weft_session *session;
  CHECK_EQUAL(weft_threads_create(3, NULL, &pool), WEFT_OK);
  for (int64_t asked = 0; asked < 4; ++asked) {
    const weft_session_options options = {.threads = asked, .shared_threads = pool};
    CHECK_EQUAL(weft_session_create(model, two, &options, &session), WEFT_OK);
    CHECK_EQUAL(weft_session_threads(session), asked ? asked : 3);
    weft_session_destroy(session);
  }
  const weft_session_options many = {.threads = 5000};
  CHECK(weft_session_bytes(model, two, &many) > 0);
  weft_threads_destroy(pool);
  CHECK_EQUAL(weft_model_close(model), WEFT_OK);
}

int main(void) {
  too_large_sessions_are_refused();
  no_plan_is_trusted();
  the_arena_is_known_for_any_number_of_buffers();
  any_number_of_dims();
  large_caches_begin_empty();
  a_trainer_asks_for_its_own_sizes();
  largest_sizes_are_multiples();
  threads_are_as_many_as_asked_for();
  return check_result();
}
