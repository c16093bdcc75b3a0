/* The trainer: updates have the golden numbers of the optimizers and schedules, batches of one update count as one batch,
 * what is not finite changes nothing, wrong calls say what is wrong. */
#include "check.h"
#include "copies.h"
#include "trained.h"

#include <math.h>
#include <stdlib.h>

static weft_model *model;

static void set_training(weft_optimizer_desc optimizer, weft_schedule_desc schedule, double clip, int64_t accumulate) {
  trained_train.optimizer = optimizer;
  trained_train.schedule = schedule;
  trained_train.clip_grad_norm = clip;
  trained_train.accumulate = accumulate;
}

static weft_trainer *make(const weft_trainer_options *options) {
  const int64_t dims[] = {TRAINED_MAX_B};
  weft_trainer *trainer;
  model = trained_open(NULL);
  CHECK(model != NULL);
  CHECK_EQUAL(weft_trainer_create(model, dims, options, &trainer), WEFT_OK);
  return trainer;
}

static void finish(weft_trainer *trainer) {
  weft_trainer_destroy(trainer);
  CHECK_EQUAL(weft_model_close(model), WEFT_OK);
}

/* A batch of one sample, whose gradient of w is x itself. */
static weft_status one(weft_trainer *trainer, const float *x, weft_metrics *metrics) {
  const int32_t weight[] = {1};
  const int64_t dims[] = {1};
  const void *const inputs[] = {x, weight};
  return weft_trainer_step(trainer, dims, inputs, metrics);
}

static const float *tensor(weft_trainer *trainer, const char *name, weft_role role) {
  float *data = NULL;
  CHECK_EQUAL(weft_trainer_tensor(trainer, name, role, &data, NULL), WEFT_OK);
  return data;
}

static void expect_near(const float *got, const double *wanted, int count, double bound, int line) {
  for (int i = 0; i < count; ++i)
    if (!(fabs((double)got[i] - wanted[i]) <= bound)) {
      fprintf(stderr, "%s:%d: element %d: expected %.9g but got %.9g\n", __FILE__, line, i, wanted[i], (double)got[i]);
      ++check_failures;
    }
}
#define CHECK_NEAR(got, wanted, count, bound) expect_near(got, wanted, count, bound, __LINE__)

/* Three steps with gradients (.1, -.2, .3), (.05, .1, -.3), (0, 1, 2); the results of PyTorch's optimizers. */
static void optimizers_have_their_golden_numbers(void) {
  static const struct {
    weft_optimizer_desc optimizer;
    double w[3];
  } cases[] = {
      {{WEFT_ADAMW, 0, .01, 0, .9, .95, 1e-8, .1}, {0.970284810614, -1.987000968984, 0.483023442477}},
      {{WEFT_ADAM, 0, .01, 0, .9, .999, 1e-8, .1}, {0.970778465326, -1.98446231344, 0.4824663985}},
      {{WEFT_SGD, 0, .1, .9, 0, 0, 0, .01}, {0.957837789, -2.053655578, 0.2729813695}},
      {{WEFT_SGD, 1, .1, .9, 0, 0, 0, 0}, {0.95206, -2.14832, 0.09813}},
      {{WEFT_SGD, 0, .1, 0, 0, 0, 0, 0}, {0.985, -2.09, 0.3}},
  };
  static const float gradients[3][3] = {{.1f, -.2f, .3f}, {.05f, .1f, -.3f}, {0, 1, 2}};
  for (size_t c = 0; c < sizeof cases / sizeof *cases; ++c) {
    set_training(cases[c].optimizer, (weft_schedule_desc){0}, 0, 1);
    weft_trainer *trainer = make(NULL);
    for (int s = 0; s < 3; ++s) CHECK_EQUAL(one(trainer, gradients[s], NULL), WEFT_OK);
    CHECK_NEAR(tensor(trainer, "w", WEFT_ROLE_PARAMETER), cases[c].w, 3, 3e-7);
    finish(trainer);
  }
}

static void weight_decay_spares_what_does_not_decay(void) {
  set_training((weft_optimizer_desc){WEFT_SGD, 0, 1, 0, 0, 0, 0, .5}, (weft_schedule_desc){0}, 0, 1);
  weft_trainer *trainer = make(NULL);
  const float zero[3] = {0};
  CHECK_EQUAL(one(trainer, zero, NULL), WEFT_OK);
  CHECK(tensor(trainer, "w", WEFT_ROLE_PARAMETER)[1] == -1); /* -2 · (1 - .5) */
  CHECK(tensor(trainer, "b", WEFT_ROLE_PARAMETER)[0] == -1); /* 0 - 1 · gradient */
  finish(trainer);
}

static void schedules_have_their_golden_numbers(void) {
  static const struct {
    weft_schedule_desc schedule;
    double lr;
    int count;
    double rates[6];
  } cases[] = {
      {{WEFT_SCHEDULE_NOAM, 4, 0, 0, 0, 0, 1, 64, 0}, 9, 6, {.015625, .03125, .046875, .0625, .0559017, .0510310}},
      {{WEFT_SCHEDULE_CONSTANT, 0, 0, 0, 0, 0, 0, 0, 0}, .5, 2, {.5, .5}},
      {{WEFT_SCHEDULE_LINEAR, 2, 6, 0, 0, .5, 0, 0, 0}, 1, 6, {.5, 1, 1, .875, .75, .625}},
      {{WEFT_SCHEDULE_COSINE, 0, 10, 0, 0, .1, 0, 0, 0}, 1, 3, {1, .977975432, .914057647}},
      {{WEFT_SCHEDULE_INVERSE_SQRT, 4, 0, 0, 0, 0, 0, 0, 0}, 1, 6, {.25, .5, .75, 1, .894427191, .816496581}},
      {{WEFT_SCHEDULE_STEP, 0, 0, 2, 0, 0, 0, 0, .1}, 1, 5, {1, 1, .1, .1, .01}},
      {{WEFT_SCHEDULE_WSD, 0, 10, 0, 4, 0, 0, 0, 0}, 1, 6, {1, 1, 1, 1, 1, 1}},
      /* What is left out: no warm-up, a fifth of the steps falls, no steps at all, steps past the end, no step size. */
      {{WEFT_SCHEDULE_NOAM, 0, 0, 0, 0, 0, 1, 64, 0}, 9, 2, {.125, .0883883476}},
      {{WEFT_SCHEDULE_WSD, 0, 5, 0, 0, .5, 0, 0, 0}, 1, 6, {1, 1, 1, 1, 1, .5}},
      {{WEFT_SCHEDULE_WSD, 0, 0, 0, 0, .5, 0, 0, 0}, 1, 2, {.5, .5}},
      {{WEFT_SCHEDULE_LINEAR, 0, 2, 0, 0, .5, 0, 0, 0}, 1, 5, {1, .75, .5, .5, .5}},
      {{WEFT_SCHEDULE_INVERSE_SQRT, 0, 0, 0, 0, 0, 0, 0, 0}, 1, 3, {1, .707106781, .577350269}},
      {{WEFT_SCHEDULE_STEP, 0, 0, 0, 0, 0, 0, 0, .1}, 1, 3, {1, 1, 1}},
  };
  for (size_t c = 0; c < sizeof cases / sizeof *cases; ++c) {
    set_training((weft_optimizer_desc){WEFT_SGD, 0, cases[c].lr, 0, 0, 0, 0, 0}, cases[c].schedule, 0, 1);
    weft_trainer *trainer = make(NULL);
    for (int s = 0; s < cases[c].count; ++s) {
      double got = weft_trainer_learning_rate(trainer, (uint64_t)s);
      if (fabs(got - cases[c].rates[s]) > 1e-7) {
        fprintf(stderr, "schedule %d, step %d: expected %.9g but got %.9g\n", cases[c].schedule.kind, s, cases[c].rates[s], got);
        ++check_failures;
      }
    }
    /* The last four of ten steps fall. */
    if (cases[c].schedule.kind == WEFT_SCHEDULE_WSD && cases[c].schedule.decay_steps) CHECK(fabs(weft_trainer_learning_rate(trainer, 8) - (1 - sqrt(.5))) < 1e-9);
    finish(trainer);
  }
}

/* n = 5 and a clip of 1: gradients times 1 / (5 + 1e-6). */
static void the_norm_is_clipped(void) {
  set_training((weft_optimizer_desc){WEFT_SGD, 0, 1, 0, 0, 0, 0, 0}, (weft_schedule_desc){0}, 1, 1);
  weft_trainer *trainer = make(NULL);
  const float x[] = {3, 4, 0};
  weft_metrics metrics;
  CHECK_EQUAL(one(trainer, x, &metrics), WEFT_OK);
  CHECK(fabs(metrics.grad_norm - sqrt(26)) < 1e-6); /* b's gradient is 1 */
  const double c = 1 / (sqrt(26) + 1e-6), w[] = {1 - 3 * c, -2 - 4 * c, .5};
  CHECK_NEAR(tensor(trainer, "w", WEFT_ROLE_PARAMETER), w, 3, 2e-7);
  finish(trainer);
}

static const float x4[4][3] = {{1, 2, 3}, {-1, .5, 2}, {4, 0, 0}, {.25, -3, 1}};
static const int32_t weights[4] = {1, 0, 5, 2};

/* Batches of unequal weight in one update are as one batch of them all. */
static void batches_of_an_update_count_as_one(void) {
  double loss[2], w[3];
  for (int split = 0; split < 2; ++split) {
    set_training((weft_optimizer_desc){WEFT_SGD, 0, .5, 0, 0, 0, 0, 0}, (weft_schedule_desc){0}, 0, split ? 2 : 1);
    weft_trainer *trainer = make(NULL);
    weft_metrics metrics;
    for (int part = 0; part <= split; ++part) {
      const int64_t dims[] = {split ? part ? 3 : 1 : 4};
      const void *const inputs[] = {x4[part ? 1 : 0], weights + (part ? 1 : 0)};
      CHECK_EQUAL(weft_trainer_step(trainer, dims, inputs, &metrics), WEFT_OK);
      CHECK_EQUAL(metrics.updated, part == split);
    }
    CHECK_EQUAL(metrics.step, 1);
    CHECK_EQUAL(metrics.batches, split + 1);
    CHECK_EQUAL(metrics.samples, 4);
    loss[split] = metrics.loss;
    if (!split)
      for (int j = 0; j < 3; ++j) w[j] = tensor(trainer, "w", WEFT_ROLE_PARAMETER)[j];
    else
      CHECK_NEAR(tensor(trainer, "w", WEFT_ROLE_PARAMETER), w, 3, 1e-6);
    finish(trainer);
  }
  CHECK(fabs(loss[0] - loss[1]) < 1e-6);
}

static void batches_without_weight_change_nothing(void) {
  set_training((weft_optimizer_desc){WEFT_SGD, 0, .5, 0, 0, 0, 0, 0}, (weft_schedule_desc){0}, 0, 2);
  weft_trainer *trainer = make(NULL);
  const int32_t none[] = {0};
  const int64_t dims[] = {1};
  const void *const inputs[] = {x4[0], none};
  weft_metrics metrics;
  for (int i = 0; i < 2; ++i) CHECK_EQUAL(weft_trainer_step(trainer, dims, inputs, &metrics), WEFT_OK);
  CHECK_EQUAL(metrics.step, 1);
  CHECK(metrics.loss == 0 && tensor(trainer, "w", WEFT_ROLE_PARAMETER)[0] == 1);
  finish(trainer);
}

static void accumulate_and_apply_ask_for_each_other(void) {
  set_training((weft_optimizer_desc){WEFT_SGD, 0, .5, 0, 0, 0, 0, 0}, (weft_schedule_desc){0}, 0, 2);
  weft_trainer *trainer = make(NULL);
  const int64_t dims[] = {1};
  const void *const inputs[] = {x4[0], weights};
  weft_metrics metrics;
  CHECK_EQUAL(weft_trainer_apply(trainer, NULL), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_trainer_error(trainer), "trained_step: expected a batch before the update");
  CHECK_EQUAL(weft_trainer_accumulate(trainer, dims, inputs, &metrics), WEFT_OK);
  CHECK_EQUAL(weft_trainer_save(trainer, "weft-never-written", NULL), WEFT_ERR_ARGUMENT);
  CHECK_CONTAINS(weft_trainer_error(trainer), "1 of 2 batches are added");
  CHECK_EQUAL(weft_trainer_accumulate(trainer, dims, inputs, &metrics), WEFT_OK);
  CHECK_EQUAL(weft_trainer_accumulate(trainer, dims, inputs, &metrics), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_trainer_error(trainer), "trained_step: expected an update after 2 batches but got another batch");
  CHECK_EQUAL(weft_trainer_apply(trainer, &metrics), WEFT_OK);
  CHECK_EQUAL(metrics.updated, 1);
  CHECK(tensor(trainer, "w", WEFT_ROLE_PARAMETER)[0] == 0.5f);
  finish(trainer);
}

static void what_is_not_finite_stops_or_is_skipped(void) {
  const float bad[] = {1, NAN, 2}, huge[] = {1, 3e38f, 2};
  set_training((weft_optimizer_desc){WEFT_ADAM, 0, .1, 0, .9, .999, 1e-8, 0}, (weft_schedule_desc){0}, 0, 1);
  for (int skip = 0; skip < 2; ++skip) {
    weft_trainer_options options = {.nonfinite = skip};
    weft_trainer *trainer = make(&options);
    weft_metrics metrics;
    CHECK_EQUAL(one(trainer, bad, &metrics), skip ? WEFT_OK : WEFT_ERR_NUMERIC);
    CHECK_EQUAL(metrics.skipped, skip);
    CHECK_EQUAL(metrics.updated, 0);
    if (!skip) CHECK_TEXT(weft_trainer_error(trainer), "trained_step: step 1: input x[0, 1] is nan");
    CHECK_EQUAL(one(trainer, huge, &metrics), skip ? WEFT_OK : WEFT_ERR_NUMERIC);
    CHECK(tensor(trainer, "w", WEFT_ROLE_PARAMETER)[0] == 1 && tensor(trainer, "w", WEFT_ROLE_M)[0] == 0);
    CHECK_EQUAL(one(trainer, x4[0], &metrics), WEFT_OK);
    CHECK_EQUAL(metrics.step, 1);
    finish(trainer);
  }
}

static void the_schedule_goes_on_with_updates_that_are_left_out(void) {
  const float bad[] = {1, NAN, 2};
  set_training((weft_optimizer_desc){WEFT_SGD, 0, 1, 0, 0, 0, 0, 0}, (weft_schedule_desc){WEFT_SCHEDULE_LINEAR, 0, 4, 0, 0, 0, 0, 0, 0}, 0, 1);
  weft_trainer_options options = {.nonfinite = WEFT_NONFINITE_SKIP};
  weft_trainer *trainer = make(&options);
  weft_metrics metrics;
  CHECK_EQUAL(one(trainer, bad, &metrics), WEFT_OK);
  CHECK_EQUAL(one(trainer, x4[0], &metrics), WEFT_OK);
  CHECK(metrics.step == 1 && metrics.skipped == 1 && fabs(metrics.lr - .75) < 1e-9);
  finish(trainer);
}

static weft_status poison(void *user, weft_trainer *trainer) {
  float *gradient;
  (void)user;
  weft_status status = weft_trainer_tensor(trainer, "w", WEFT_ROLE_GRADIENT, &gradient, NULL);
  if (!status) gradient[1] = -INFINITY;
  return status;
}

static void the_first_that_is_not_finite_is_named(void) {
  const float x[] = {1, 2, 3}, huge[] = {1, 3e30f, 3};
  set_training((weft_optimizer_desc){WEFT_SGD, 0, .1, 0, 0, 0, 0, 0}, (weft_schedule_desc){0}, 0, 1);
  weft_trainer_options options = {.gradients = poison};
  weft_trainer *trainer = make(&options);
  CHECK_EQUAL(one(trainer, x, NULL), WEFT_ERR_NUMERIC);
  CHECK_TEXT(weft_trainer_error(trainer), "trained_step: step 1: the gradient of w[1] is -inf");
  finish(trainer);
  trainer = make(NULL);
  CHECK_EQUAL(one(trainer, huge, NULL), WEFT_ERR_NUMERIC);
  CHECK_TEXT(weft_trainer_error(trainer), "trained_step: step 1: the norm of the gradients is too large for f32");
  ((float *)(uintptr_t)tensor(trainer, "w", WEFT_ROLE_PARAMETER))[2] = INFINITY;
  CHECK_EQUAL(one(trainer, x, NULL), WEFT_ERR_NUMERIC);
  CHECK_TEXT(weft_trainer_error(trainer), "trained_step: step 1: the loss is inf");
  finish(trainer);
}

static weft_status halve(void *user, weft_trainer *trainer) {
  float *gradient;
  weft_status status = weft_trainer_tensor(trainer, "w", WEFT_ROLE_GRADIENT, &gradient, NULL);
  for (int j = 0; j < 3 && !status; ++j) gradient[j] /= 2;
  return status ? status : *(weft_status *)user;
}

/* The callback sees the mean of an update's batches, and what it leaves is applied. */
static void the_callback_sees_and_replaces_gradients(void) {
  for (int64_t accumulate = 1; accumulate <= 2; ++accumulate) {
    weft_status answer = WEFT_OK;
    weft_trainer_options options = {.gradients = halve, .gradients_user = &answer};
    set_training((weft_optimizer_desc){WEFT_SGD, 0, 1, 0, 0, 0, 0, 0}, (weft_schedule_desc){0}, 0, accumulate);
    weft_trainer *trainer = make(&options);
    const float x[] = {2, 4, 8};
    for (int64_t i = 0; i < accumulate; ++i) CHECK_EQUAL(one(trainer, x, NULL), WEFT_OK);
    const double w[] = {0, -4, -3.5};
    CHECK_NEAR(tensor(trainer, "w", WEFT_ROLE_PARAMETER), w, 3, 1e-6);
    answer = WEFT_ERR_IO;
    for (int64_t i = 0; i < accumulate; ++i) CHECK_EQUAL(one(trainer, x, NULL), i + 1 == accumulate ? WEFT_ERR_IO : WEFT_OK);
    CHECK_NEAR(tensor(trainer, "w", WEFT_ROLE_PARAMETER), w, 3, 1e-6);
    finish(trainer);
  }
}

static void numbers_change_between_steps(void) {
  set_training((weft_optimizer_desc){WEFT_SGD, 0, .5, 0, 0, 0, 0, 0}, (weft_schedule_desc){0}, 0, 1);
  weft_trainer *trainer = make(NULL);
  double lr = 0;
  CHECK_EQUAL(weft_trainer_set(trainer, "lr", 2), WEFT_OK);
  CHECK_EQUAL(weft_trainer_get(trainer, "lr", &lr), WEFT_OK);
  CHECK(lr == 2);
  weft_metrics metrics;
  CHECK_EQUAL(one(trainer, x4[0], &metrics), WEFT_OK);
  CHECK(metrics.lr == 2 && tensor(trainer, "w", WEFT_ROLE_PARAMETER)[0] == -1);
  CHECK_EQUAL(weft_trainer_set(trainer, "weight_decy", 1), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_trainer_error(trainer), "there is no number 'weight_decy'; did you mean 'weight_decay'?");
  CHECK_EQUAL(weft_trainer_set(trainer, "lr", -1), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_trainer_error(trainer), "'lr' is -1, expected a finite number of at least 0");
  CHECK_EQUAL(weft_trainer_set(trainer, "momentum", .9), WEFT_ERR_ARGUMENT);
  CHECK_CONTAINS(weft_trainer_error(trainer), "the model was compiled without");
  CHECK_EQUAL(weft_trainer_set(trainer, "momentum", 0), WEFT_OK);
  CHECK_EQUAL(weft_trainer_set(trainer, "lr", NAN), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_trainer_set(trainer, "lr", INFINITY), WEFT_ERR_ARGUMENT);
  static const char *const fractions[] = {"momentum", "beta1", "beta2"};
  for (int i = 0; i < 3; ++i) {
    char text[80];
    CHECK_EQUAL(weft_trainer_set(trainer, fractions[i], 1), WEFT_ERR_ARGUMENT);
    snprintf(text, sizeof text, "'%s' is 1, expected 0 <= value < 1", fractions[i]);
    CHECK_TEXT(weft_trainer_error(trainer), text);
  }
  CHECK_EQUAL(weft_trainer_set(trainer, "beta1", .5), WEFT_OK);
  CHECK_EQUAL(weft_trainer_set(trainer, "temperature", 1), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_trainer_error(trainer), "there is no number 'temperature'");
  CHECK_EQUAL(weft_trainer_set(trainer, NULL, 1), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_trainer_error(trainer), "there is no number ''");
  CHECK_EQUAL(weft_trainer_get(trainer, "beta3", &lr), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_trainer_error(trainer), "there is no number 'beta3'; did you mean 'beta1'?");
  CHECK_EQUAL(weft_trainer_get(trainer, "lr", NULL), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_trainer_error(trainer), "expected a place for the number 'lr'");
  CHECK_EQUAL(weft_trainer_tensor(trainer, "w", WEFT_ROLE_GRADIENT, NULL, NULL), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_trainer_error(trainer), "expected a place for the tensor's address");
  finish(trainer);
}

static void a_model_with_a_trainer_says_so(void) {
  set_training((weft_optimizer_desc){WEFT_SGD, 0, 1, 0, 0, 0, 0, 0}, (weft_schedule_desc){0}, 0, 1);
  weft_trainer *trainer = make(NULL);
  CHECK_EQUAL(weft_model_init(model, 1), WEFT_ERR_BUSY);
  CHECK_TEXT(weft_model_error(model), "trained: has a trainer, which changes its weights");
  CHECK_EQUAL(weft_model_close(model), WEFT_ERR_BUSY);
  CHECK_TEXT(weft_model_error(model), "trained: has a trainer, destroy it first");
  finish(trainer);
}

static void sessions_see_what_was_published(void) {
  set_training((weft_optimizer_desc){WEFT_SGD, 0, 1, 0, 0, 0, 0, 0}, (weft_schedule_desc){0}, 0, 1);
  weft_trainer *trainer = make(NULL);
  const int64_t dims[] = {1};
  weft_session *session;
  float y = 0;
  void *const outputs[] = {&y};
  const void *const inputs[] = {x4[0], weights};
  CHECK_EQUAL(weft_session_create(model, dims, NULL, &session), WEFT_OK);
  CHECK_EQUAL(one(trainer, x4[0], NULL), WEFT_OK); /* w = {0, -4, -2.5} */
  CHECK_EQUAL(weft_session_run(session, TRAINED_FORWARD, dims, inputs, outputs), WEFT_OK);
  CHECK(y == 1 - 4 + 1.5f);
  CHECK_EQUAL(weft_trainer_publish(trainer), WEFT_OK);
  CHECK_EQUAL(weft_session_run(session, TRAINED_FORWARD, dims, inputs, outputs), WEFT_OK);
  CHECK(y == -8 - 7.5f);
  CHECK_EQUAL(weft_session_run(session, TRAINED_STEP, dims, inputs, outputs), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_session_error(session), "trained_step: expected a trainer to run it");
  weft_session_destroy(session);
  finish(trainer);
}

static void evaluation_changes_nothing(void) {
  set_training((weft_optimizer_desc){WEFT_SGD, 0, 1, 0, 0, 0, 0, 0}, (weft_schedule_desc){0}, 0, 1);
  weft_trainer *trainer = make(NULL);
  const int64_t dims[] = {4};
  const void *const inputs[] = {x4, weights};
  weft_evaluation e;
  CHECK_EQUAL(weft_trainer_eval(trainer, dims, inputs, &e), WEFT_OK);
  CHECK(fabs(e.loss - (1 * (1 - 4 + 1.5) + 5 * 4 + 2 * (.25 + 6 + .5)) / 8) < 1e-6);
  CHECK(e.weight == 8 && e.labels == 4 && e.correct == 2);
  CHECK(tensor(trainer, "w", WEFT_ROLE_PARAMETER)[0] == 1);
  finish(trainer);
}

static void wrong_calls_say_what_is_wrong(void) {
  set_training((weft_optimizer_desc){WEFT_SGD, 0, 1, 0, 0, 0, 0, 0}, (weft_schedule_desc){0}, 0, 1);
  weft_trainer *trainer = make(NULL), *second;
  const int64_t dims[] = {2}, large[] = {TRAINED_MAX_B + 1};
  const int32_t wrong[] = {1, -5};
  const void *const inputs[] = {x4, wrong};
  float *data;
  CHECK_EQUAL(weft_trainer_step(trainer, dims, inputs, NULL), WEFT_ERR_INDEX);
  CHECK_TEXT(weft_trainer_error(trainer), "trained_step: weight[1] is -5, expected 0..1000");
  CHECK_EQUAL(weft_trainer_step(trainer, large, inputs, NULL), WEFT_ERR_DIM);
  CHECK_EQUAL(weft_trainer_create(model, dims, NULL, &second), WEFT_ERR_BUSY);
  CHECK_TEXT(weft_trainer_error(second), "trained: has a trainer already");
  weft_trainer_destroy(second);
  CHECK_EQUAL(weft_model_init(model, 3), WEFT_ERR_BUSY);
  CHECK_EQUAL(weft_trainer_tensor(trainer, "frozen", WEFT_ROLE_GRADIENT, &data, NULL), WEFT_ERR_MISSING);
  CHECK_TEXT(weft_trainer_error(trainer), "trained: parameter 'frozen' is not trained");
  CHECK_EQUAL(weft_trainer_tensor(trainer, "w", WEFT_ROLE_V, &data, NULL), WEFT_ERR_MISSING);
  CHECK_EQUAL(weft_trainer_tensor(trainer, "u", WEFT_ROLE_V, &data, NULL), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_trainer_tensor(trainer, "embedding", WEFT_ROLE_V, &data, NULL), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_trainer_error(trainer), "trained: there is no parameter 'embedding'");
  CHECK_EQUAL(weft_trainer_tensor(trainer, "w", (weft_role)-1, &data, NULL), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_trainer_tensor(trainer, "w", (weft_role)4, &data, NULL), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_trainer_error(trainer), "expected a role but got 4");
  const weft_param_desc *described;
  CHECK_EQUAL(weft_trainer_tensor(trainer, "b", WEFT_ROLE_GRADIENT, &data, &described), WEFT_OK);
  CHECK_TEXT(described->name, "b");
  CHECK_EQUAL(weft_trainer_eval(trainer, dims, inputs, NULL), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_trainer_error(trainer), "expected a place for the evaluation");
  weft_evaluation evaluation;
  CHECK_EQUAL(weft_trainer_eval(trainer, dims, inputs, &evaluation), WEFT_ERR_INDEX);
  CHECK_TEXT(weft_trainer_error(trainer), "trained_step_eval: weight[1] is -5, expected 0..1000");
  CHECK_EQUAL(weft_trainer_step(NULL, dims, inputs, NULL), WEFT_ERR_ARGUMENT);
  weft_trainer_options negative = {.threads = -1}, backwards = {.accumulate = -1};
  finish(trainer);
  model = trained_open(NULL);
  CHECK_EQUAL(weft_trainer_create(model, dims, &negative, &trainer), WEFT_ERR_ARGUMENT);
  weft_trainer_destroy(trainer);
  CHECK_EQUAL(weft_trainer_create(model, dims, &backwards, &trainer), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_trainer_error(trainer), "trained: expected at least 1 batch per update but got -1");
  weft_trainer_destroy(trainer);
  CHECK_EQUAL(weft_trainer_create(model, large, NULL, &trainer), WEFT_ERR_DIM);
  CHECK_TEXT(weft_trainer_error(trainer), "trained: B is 9, expected 1..8");
  finish(trainer);
  CHECK_EQUAL(weft_model_open(&trained_model, NULL, &model), WEFT_OK);
  CHECK_EQUAL(weft_trainer_create(model, dims, NULL, &trainer), WEFT_ERR_MISSING);
  finish(trainer);
}

static void memory_is_known_before(void) {
  set_training((weft_optimizer_desc){WEFT_ADAM, 0, .1, 0, .9, .999, 1e-8, 0}, (weft_schedule_desc){0}, 0, 1);
  const int64_t dims[] = {5};
  weft_train_memory plain, summed;
  weft_trainer_options two = {.accumulate = 2};
  model = trained_open(NULL);
  CHECK_EQUAL(weft_trainer_memory(model, dims, NULL, &plain), WEFT_OK);
  CHECK_EQUAL(weft_trainer_memory(model, dims, &two, &summed), WEFT_OK);
  CHECK_EQUAL(plain.parameters, (3 + 2 + 1) * 4);
  CHECK_EQUAL(plain.gradients, 2 * WEFT_TRAIN_BLOCK * 4); /* a block for what decays, one for what does not */
  CHECK_EQUAL(plain.moments, 4 * WEFT_TRAIN_BLOCK * 4);
  CHECK_EQUAL(plain.arena, 320);
  CHECK_EQUAL(summed.gradients, 2 * plain.gradients);
  weft_trainer_options backwards = {.accumulate = -1};
  CHECK_EQUAL(weft_trainer_memory(model, dims, &backwards, &summed), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_trainer_memory(model, NULL, NULL, &summed), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(plain.total, plain.parameters + plain.gradients + plain.moments + plain.arena + plain.other);
  weft_model_close(model);
}

/* ---- Training entries of other kinds ------------------------------------------------------------------------------ */

static void only_the_loss(weft_exec *exec) { *(float *)exec->outputs[0] = 3; }
/* loss, gradient of w, gradient of b: samples count, not weights. */
static void unweighted(weft_exec *exec) {
  only_the_loss(exec);
  for (int j = 0; j < 3; ++j) ((float *)exec->outputs[1])[j] = (float)(j + 1);
  *(float *)exec->outputs[2] = 1;
}
static void loss_and_weight(weft_exec *exec) { only_the_loss(exec), *(float *)exec->outputs[1] = 8; }
/* loss, weight, gradients of w and of `frozen` side by side. */
static void joined(weft_exec *exec) {
  loss_and_weight(exec);
  for (int j = 0; j < 5; ++j) ((float *)exec->outputs[2])[j] = 1;
}

static void training_entries_of_other_kinds(void) {
  const int64_t dims[] = {4};
  const void *const inputs[] = {x4, weights};
  set_training((weft_optimizer_desc){WEFT_SGD, 0, 1, 0, 0, 0, 0, 0}, (weft_schedule_desc){0}, 100, 1); /* a bound that is not reached */
  for (int kind = 0; kind < 3; ++kind) {
    static const weft_entry_fn steps[] = {unweighted, loss_and_weight, joined};
    copies *c = copies_of(&trained_model, 0);
    weft_entry_fn functions[3] = {steps[kind], only_the_loss, trained_model.variant[0].entry[TRAINED_FORWARD]};
    weft_trainer *trainer;
    weft_metrics metrics;
    weft_evaluation e;
    c->variant.entry = functions;
    c->entries[TRAINED_EVAL].outputs = 1;
    c->train.labels = c->train.correct = -1;
    if (kind == 0) {
      c->entries[TRAINED_STEP].outputs = 3;
      c->train.weight = -1;
      c->train.tokens_input = 1;
      c->tensors[0].output = 1;
      c->tensors[1].output = 2;
    } else {
      functions[TRAINED_EVAL] = loss_and_weight;
      c->entries[TRAINED_STEP].outputs = kind + 1;
      c->entries[TRAINED_EVAL].outputs = 2;
      c->train.tensors = kind == 1 ? 0 : 2;
      c->tensors[1] = (weft_trained_desc){TRAINED_FROZEN, 2, 1};
    }
    CHECK_EQUAL(weft_model_open(&c->desc, NULL, &model), WEFT_OK);
    CHECK_EQUAL(trained_set(model, (const float[]){1, -2, .5f}, 0), WEFT_OK);
    CHECK_EQUAL(weft_trainer_create(model, dims, NULL, &trainer), WEFT_OK);
    CHECK_EQUAL(weft_trainer_eval(trainer, dims, inputs, &e), WEFT_OK);
    CHECK(e.loss == 3 && e.weight == (kind == 0 ? 4 : 8) && e.labels == -1 && e.correct == -1);
    CHECK_EQUAL(weft_trainer_step(trainer, dims, inputs, &metrics), WEFT_OK);
    CHECK(metrics.updated && metrics.loss == 3 && metrics.samples == 4 && metrics.tokens == 4);
    if (kind == 1) CHECK(metrics.grad_norm == 0);
    else CHECK(tensor(trainer, "w", WEFT_ROLE_PARAMETER)[1] == (kind == 0 ? -4 : -3));
    if (kind == 2) CHECK(tensor(trainer, "frozen", WEFT_ROLE_PARAMETER)[1] == 7 && tensor(trainer, "frozen", WEFT_ROLE_GRADIENT) == tensor(trainer, "w", WEFT_ROLE_GRADIENT) + 3);
    finish(trainer);
    free(c);
  }
}

static void shuffling_is_a_permutation(void) {
  static const int64_t counts[] = {1, 2, 3, 4, 5, 17, 64, 1000, 4097};
  unsigned char seen[4097];
  for (size_t c = 0; c < sizeof counts / sizeof *counts; ++c)
    for (uint64_t epoch = 0; epoch < 3; ++epoch) {
      int64_t in_place = 0;
      memset(seen, 0, sizeof seen);
      for (int64_t i = 0; i < counts[c]; ++i) {
        int64_t at = weft_shuffle(11, epoch, counts[c], i);
        CHECK(at >= 0 && at < counts[c] && !seen[at]);
        if (at >= 0 && at < counts[c]) seen[at] = 1;
        in_place += at == i;
      }
      CHECK(counts[c] < 64 || in_place < 10);
    }
  CHECK(weft_shuffle(1, 0, 1000, 5) != weft_shuffle(1, 1, 1000, 5) || weft_shuffle(1, 0, 1000, 6) != weft_shuffle(1, 1, 1000, 6));
  CHECK_EQUAL(weft_shuffle(1, 0, 10, 10), -1);
  CHECK_EQUAL(weft_shuffle(1, 0, 10, -1), -1);
  CHECK_EQUAL(weft_shuffle(1, 0, ((int64_t)1 << 62) + 1, 0), -1);
  CHECK(weft_shuffle(1, 0, (int64_t)1 << 62, 12345) >= 0 && weft_shuffle(1, 0, (int64_t)1 << 62, 12345) < (int64_t)1 << 62);
  CHECK_EQUAL(weft_shuffle(1, 0, 0, 0), -1);
}

int main(void) {
  optimizers_have_their_golden_numbers();
  weight_decay_spares_what_does_not_decay();
  schedules_have_their_golden_numbers();
  the_norm_is_clipped();
  batches_of_an_update_count_as_one();
  batches_without_weight_change_nothing();
  accumulate_and_apply_ask_for_each_other();
  what_is_not_finite_stops_or_is_skipped();
  the_schedule_goes_on_with_updates_that_are_left_out();
  the_first_that_is_not_finite_is_named();
  the_callback_sees_and_replaces_gradients();
  numbers_change_between_steps();
  a_model_with_a_trainer_says_so();
  sessions_see_what_was_published();
  evaluation_changes_nothing();
  wrong_calls_say_what_is_wrong();
  memory_is_known_before();
  training_entries_of_other_kinds();
  shuffling_is_a_permutation();
  return check_failures != 0;
}
