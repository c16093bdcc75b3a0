/* Dynamic loss scaling: gradients that overflow skip the update and halve the scale, a long run of good ones doubles it,
 * neither changes what an update does, and a checkpoint continues all of it. */
#include "check.h"
#include "trained.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

static weft_model *model;

static weft_trainer *make(const weft_trainer_options *options, int64_t accumulate) {
  const int64_t dims[] = {TRAINED_MAX_B};
  weft_trainer *trainer;
  trained_train.optimizer = (weft_optimizer_desc){WEFT_ADAM, 0, .01, 0, .9, .95, 1e-8, 0};
  trained_train.accumulate = accumulate;
  model = trained_open(NULL);
  CHECK_EQUAL(weft_trainer_create(model, dims, options, &trainer), WEFT_OK);
  return trainer;
}

static void finish(weft_trainer *trainer) {
  weft_trainer_destroy(trainer);
  CHECK_EQUAL(weft_model_close(model), WEFT_OK);
}

/* A batch whose gradient of w is (x, 2, 3). */
static weft_status step(weft_trainer *trainer, float x, weft_metrics *metrics) {
  const float sample[] = {x, 2, 3};
  const int32_t weight[] = {1};
  const int64_t dims[] = {1};
  const void *const inputs[] = {sample, weight};
  return weft_trainer_step(trainer, dims, inputs, metrics);
}

static const float *tensor(weft_trainer *trainer, weft_role role) {
  float *data = NULL;
  CHECK_EQUAL(weft_trainer_tensor(trainer, "w", role, &data, NULL), WEFT_OK);
  return data;
}

static void an_overflow_skips_the_update_and_halves_the_scale(void) {
  weft_trainer *trainer = make(NULL, 1);
  weft_metrics metrics;
  CHECK_EQUAL(weft_trainer_metrics(trainer, &metrics), WEFT_OK);
  CHECK(metrics.loss_scale == 65536);
  CHECK_EQUAL(step(trainer, 5, &metrics), WEFT_OK); /* 5 · 65536 is too large */
  CHECK(metrics.loss_scale == 32768 && metrics.skipped == 1 && metrics.step == 0 && !metrics.updated);
  CHECK_EQUAL(step(trainer, 5, &metrics), WEFT_OK);
  CHECK_EQUAL(step(trainer, 5, &metrics), WEFT_OK);
  CHECK(metrics.loss_scale == 8192 && metrics.skipped == 3);
  CHECK(tensor(trainer, WEFT_ROLE_PARAMETER)[0] == 1 && tensor(trainer, WEFT_ROLE_M)[0] == 0 && tensor(trainer, WEFT_ROLE_V)[0] == 0);
  CHECK_EQUAL(step(trainer, 5, &metrics), WEFT_OK); /* 40960 fits */
  CHECK(metrics.updated && metrics.step == 1 && metrics.loss_scale == 8192 && metrics.batches == 4);
  CHECK(fabs(metrics.grad_norm - sqrt(25 + 4 + 9 + 1)) < 1e-6); /* without the scale */
  finish(trainer);
}

/* Scales are powers of two: updates are bit for bit those without scaling, whatever was skipped between them. */
static void updates_do_not_depend_on_the_scale(void) {
  float w[2][3];
  for (int scales = 0; scales < 2; ++scales) {
    trained_train.dynamic_loss_scale = scales;
    weft_trainer *trainer = make(NULL, 1);
    weft_metrics metrics = {0};
    while (metrics.step < 12) CHECK_EQUAL(step(trainer, .3f * (float)(metrics.step + 1), &metrics), WEFT_OK);
    CHECK(metrics.loss_scale == (scales ? 16384 : 1));
    CHECK(metrics.skipped == (scales ? 2 : 0));
    memcpy(w[scales], tensor(trainer, WEFT_ROLE_PARAMETER), sizeof w[0]);
    finish(trainer);
  }
  CHECK(!memcmp(w[0], w[1], sizeof w[0]));
}

static void two_thousand_good_updates_double_the_scale(void) {
  weft_trainer *trainer = make(NULL, 1);
  weft_metrics metrics;
  for (int i = 0; i < 2; ++i) CHECK_EQUAL(step(trainer, 3, &metrics), WEFT_OK);
  CHECK(metrics.loss_scale == 16384);
  for (int i = 0; i < 1999; ++i) CHECK_EQUAL(step(trainer, 1, &metrics), WEFT_OK);
  CHECK(metrics.loss_scale == 16384);
  CHECK_EQUAL(step(trainer, 1, &metrics), WEFT_OK);
  CHECK(metrics.loss_scale == 32768);
  CHECK_EQUAL(step(trainer, 1, &metrics), WEFT_OK); /* 3 · 32768 is too large */
  CHECK(metrics.loss_scale == 16384 && metrics.step == 2000);
  finish(trainer);
}

/* One of an update's batches overflows: the update is left out, and the next starts from nothing. */
static void batches_of_an_update_overflow_together(void) {
  weft_trainer *trainer = make(NULL, 2);
  weft_metrics metrics;
  for (int i = 0; i < 3; ++i) {
    CHECK_EQUAL(step(trainer, .1f, &metrics), WEFT_OK);
    CHECK_EQUAL(step(trainer, 7, &metrics), WEFT_OK);
    CHECK(!metrics.updated && metrics.skipped == (uint64_t)i + 1);
  }
  CHECK_EQUAL(step(trainer, 1, &metrics), WEFT_OK);
  CHECK_EQUAL(step(trainer, 2, &metrics), WEFT_OK);
  CHECK(metrics.updated && metrics.loss_scale == 8192);
  CHECK(fabs(metrics.grad_norm - sqrt(1.5 * 1.5 + 4 + 9 + 1)) < 1e-6);
  finish(trainer);
}

static int calls, infinite;
static weft_status count(void *user, weft_trainer *trainer) {
  float *gradient;
  weft_status status = weft_trainer_tensor(trainer, "w", WEFT_ROLE_GRADIENT, &gradient, NULL);
  ++calls;
  infinite += isinf(gradient[2]) != 0;
  CHECK(isinf(gradient[0]) || gradient[0] == .5f); /* unscaled */
  if (*(int *)user) gradient[0] = INFINITY;
  return status;
}

/* It sees overflows, and what it leaves decides: of several processes one's overflow is then everybody's. */
static void the_callback_comes_before_the_decision(void) {
  int poisons = 0;
  weft_trainer_options options = {.gradients = count, .gradients_user = &poisons};
  weft_trainer *trainer = make(&options, 1);
  weft_metrics metrics;
  for (int i = 0; i < 4; ++i) CHECK_EQUAL(step(trainer, .5f, &metrics), WEFT_OK);
  CHECK(metrics.skipped == 2 && calls == 4 && infinite == 2 && metrics.loss_scale == 16384);
  poisons = 1;
  CHECK_EQUAL(step(trainer, .5f, &metrics), WEFT_OK);
  CHECK(metrics.skipped == 3 && metrics.loss_scale == 8192 && !metrics.updated);
  finish(trainer);
}

/* No scale helps: then it is as without scaling. */
static void what_overflows_unscaled_stops(void) {
  weft_trainer *trainer = make(NULL, 1);
  weft_metrics metrics;
  for (int i = 0; i < 16; ++i) CHECK_EQUAL(step(trainer, 1e5f, &metrics), WEFT_OK);
  CHECK(metrics.loss_scale == 1 && metrics.skipped == 16);
  CHECK_EQUAL(step(trainer, 1e5f, &metrics), WEFT_ERR_NUMERIC);
  CHECK_TEXT(weft_trainer_error(trainer), "trained_step: step 17: the gradient of w[0] is inf");
  CHECK_EQUAL(step(trainer, NAN, &metrics), WEFT_ERR_NUMERIC);
  finish(trainer);
}

static void a_loss_that_is_not_finite_stops(void) {
  weft_trainer *trainer = make(NULL, 1);
  weft_metrics metrics;
  CHECK_EQUAL(step(trainer, NAN, &metrics), WEFT_ERR_NUMERIC);
  CHECK_TEXT(weft_trainer_error(trainer), "trained_step: step 1: input x[0, 0] is nan");
  CHECK(metrics.loss_scale == 65536 && metrics.skipped == 0);
  finish(trainer);
}

static void a_checkpoint_continues_the_scale(void) {
  char folder[] = "weft-loss-scale-XXXXXX", command[200];
  if (!mkdtemp(folder)) exit(1);
  weft_trainer *trainer = make(NULL, 1);
  weft_metrics metrics, resumed;
  for (int i = 0; i < 1500; ++i) CHECK_EQUAL(step(trainer, 1, NULL), WEFT_OK);
  CHECK_EQUAL(weft_trainer_save(trainer, folder, NULL), WEFT_OK);
  for (int i = 0; i < 600; ++i) CHECK_EQUAL(step(trainer, 1, &metrics), WEFT_OK);
  float w = tensor(trainer, WEFT_ROLE_PARAMETER)[0];
  finish(trainer);
  trainer = make(NULL, 1);
  CHECK_EQUAL(weft_trainer_load(trainer, folder, NULL, 0), WEFT_OK);
  weft_trainer_metrics(trainer, &resumed);
  CHECK(resumed.loss_scale == 16384 && resumed.skipped == 2);
  for (int i = 0; i < 600; ++i) CHECK_EQUAL(step(trainer, 1, &resumed), WEFT_OK);
  CHECK(resumed.loss_scale == metrics.loss_scale && resumed.skipped == metrics.skipped && metrics.skipped == 3);
  CHECK(w == tensor(trainer, WEFT_ROLE_PARAMETER)[0]);
  finish(trainer);
  /* A trainer that does not scale has no use for the number. */
  trained_train.dynamic_loss_scale = 0;
  trainer = make(NULL, 1);
  CHECK_EQUAL(weft_trainer_load(trainer, folder, NULL, 0), WEFT_ERR_FORMAT);
  CHECK_CONTAINS(weft_trainer_error(trainer), "a loss scale of 16384 after 1498 good updates is none of this model's");
  finish(trainer);
  snprintf(command, sizeof command, "rm -r '%s'", folder);
  CHECK_EQUAL(system(command), 0);
}

int main(void) {
  updates_do_not_depend_on_the_scale();
  trained_train.dynamic_loss_scale = 1;
  an_overflow_skips_the_update_and_halves_the_scale();
  two_thousand_good_updates_double_the_scale();
  batches_of_an_update_overflow_together();
  the_callback_comes_before_the_decision();
  what_overflows_unscaled_stops();
  a_loss_that_is_not_finite_stops();
  a_checkpoint_continues_the_scale();
  return check_failures != 0;
}
