/* Handles: no function takes what is none, what is closed, or what failed to open for one that works; no function is in the
 * way of another that runs. */
#include "check.h"
#include "toy.h"
#include "trained.h"

#include <stdlib.h>

static const int64_t dims[TOY_DIMS] = {1, 1, 0};
static const int64_t one[] = {1};

/* What every function answers for a model that is none (WEFT_ERR_ARGUMENT) or did not open. */
static void expect_no_model(weft_model *model, weft_status wanted) {
  weft_generate_options generate;
  weft_train_memory memory;
  weft_session *session;
  weft_trainer *trainer;
  const void *data;
  const char *paths[] = {"x"};
  CHECK(!weft_model_descriptor(model) && weft_model_variant(model) == -1 && weft_model_weights_bytes(model) == 0);
  CHECK(weft_model_entry(model, "forward") == -1 && weft_model_generate_entry(model, "generate") == -1);
  CHECK(weft_model_state(model, "kv") == -1 && weft_model_dim(model, "B") == -1);
  CHECK_EQUAL(weft_model_load(model, "x"), wanted);
  CHECK_EQUAL(weft_model_load_files(model, paths, 1), wanted);
  CHECK_EQUAL(weft_model_load_memory(model, NULL, 0), wanted);
  CHECK_EQUAL(weft_model_load_tensors(model, NULL), wanted);
  CHECK_EQUAL(weft_model_init(model, 1), wanted);
  CHECK_EQUAL(weft_model_set(model, "gain", dims, 4), wanted);
  CHECK_EQUAL(weft_model_get(model, "gain", &data, NULL), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_model_save(model, "x"), wanted);
  CHECK_EQUAL(weft_session_bytes(model, dims, NULL), -1);
  CHECK_EQUAL(weft_entry_arena_bytes(model, 0, dims), -1);
  CHECK_EQUAL(weft_session_create(model, dims, NULL, &session), wanted);
  weft_session_destroy(session);
  CHECK_EQUAL(weft_generate_defaults(model, 0, &generate), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_trainer_memory(model, dims, NULL, &memory), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_trainer_create(model, dims, NULL, &trainer), wanted);
  if (trainer) CHECK_TEXT(weft_trainer_error(trainer), weft_model_error(model));
  weft_trainer_destroy(trainer);
}

static void expect_no_session(weft_session *session, weft_status wanted) {
  weft_sequence sequence = {0};
  CHECK(!weft_session_descriptor(session) && weft_session_threads(session) == 0 && weft_session_length(session, 0, 0) == -1);
  CHECK_EQUAL(weft_session_expect(session, &toy_model), wanted);
  CHECK_EQUAL(weft_session_run(session, 0, dims, NULL, NULL), wanted);
  CHECK_EQUAL(weft_session_set_valid(session, NULL, 0), wanted);
  CHECK_EQUAL(weft_session_reset(session), wanted);
  CHECK_EQUAL(weft_session_rewind(session, 0, 0, 0), wanted);
  CHECK_EQUAL(weft_session_save(session, "x"), wanted);
  CHECK_EQUAL(weft_session_restore(session, "x"), wanted);
  CHECK_EQUAL(weft_session_generate(session, 0, NULL, &sequence, 1), wanted);
}

static void expect_no_trainer(weft_trainer *trainer, weft_status wanted) {
  weft_metrics metrics;
  weft_evaluation evaluation;
  double number;
  float *data;
  CHECK(!weft_trainer_descriptor(trainer) && weft_trainer_learning_rate(trainer, 1) == 0);
  CHECK_EQUAL(weft_trainer_expect(trainer, &trained_model), wanted);
  CHECK_EQUAL(weft_trainer_step(trainer, one, NULL, &metrics), wanted);
  CHECK_EQUAL(weft_trainer_accumulate(trainer, one, NULL, &metrics), wanted);
  CHECK_EQUAL(weft_trainer_apply(trainer, &metrics), wanted);
  CHECK_EQUAL(weft_trainer_eval(trainer, one, NULL, &evaluation), wanted);
  CHECK_EQUAL(weft_trainer_publish(trainer), wanted);
  CHECK_EQUAL(weft_trainer_set(trainer, "lr", 1), wanted);
  CHECK_EQUAL(weft_trainer_save(trainer, "x", NULL), wanted);
  CHECK_EQUAL(weft_trainer_load(trainer, "x", NULL, 0), wanted);
  CHECK_EQUAL(weft_trainer_metrics(trainer, &metrics), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_trainer_get(trainer, "lr", &number), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_trainer_tensor(trainer, "w", WEFT_ROLE_GRADIENT, &data, NULL), WEFT_ERR_ARGUMENT);
}

static void expect_no_file(weft_tensor_file *file) {
  char buffer[4];
  CHECK(weft_tensor_file_count(file) == 0 && !weft_tensor_file_at(file, 0) && weft_tensor_file_find(file, "w") == -1);
  CHECK_EQUAL(weft_tensor_file_read(file, 0, buffer, sizeof buffer), WEFT_ERR_ARGUMENT);
  CHECK(!weft_tensor_file_metadata(file, "key"));
}

static char zeros[16384]; /* a handle that was closed, or never was one */

static void what_is_no_handle_is_refused(void) {
  expect_no_model(NULL, WEFT_ERR_ARGUMENT);
  expect_no_model((weft_model *)zeros, WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_model_error((weft_model *)zeros), "expected an open model");
  CHECK_EQUAL(weft_model_close((weft_model *)zeros), WEFT_ERR_ARGUMENT);
  expect_no_session(NULL, WEFT_ERR_ARGUMENT);
  expect_no_session((weft_session *)zeros, WEFT_ERR_ARGUMENT);
  CHECK_CONTAINS(weft_session_error(NULL), "no session");
  CHECK_TEXT(weft_session_error((weft_session *)zeros), "expected a session");
  weft_session_destroy((weft_session *)zeros);
  expect_no_trainer(NULL, WEFT_ERR_ARGUMENT);
  expect_no_trainer((weft_trainer *)zeros, WEFT_ERR_ARGUMENT);
  CHECK_CONTAINS(weft_trainer_error(NULL), "no trainer");
  CHECK_TEXT(weft_trainer_error((weft_trainer *)zeros), "expected a trainer");
  weft_trainer_destroy(NULL);
  weft_trainer_destroy((weft_trainer *)zeros);
  expect_no_file(NULL);
  expect_no_file((weft_tensor_file *)zeros);
  CHECK_TEXT(weft_tensor_file_error(NULL), "out of memory");
  CHECK_TEXT(weft_tensor_file_error((weft_tensor_file *)zeros), "out of memory");
  weft_tensor_file_close((weft_tensor_file *)zeros);
}

static void what_failed_to_open_answers_why(void) {
  weft_model_desc damaged = toy_model;
  damaged.entries = -1;
  weft_model *model, *whole = toy_open(NULL), *trains = trained_open(NULL);
  CHECK_EQUAL(weft_model_open(&damaged, NULL, &model), WEFT_ERR_ABI);
  expect_no_model(model, WEFT_ERR_ABI);
  CHECK_EQUAL(weft_model_close(model), WEFT_OK);
  weft_session *session;
  const int64_t large[] = {99, 99, 99};
  CHECK_EQUAL(weft_session_create(whole, large, NULL, &session), WEFT_ERR_DIM);
  expect_no_session(session, WEFT_ERR_DIM);
  weft_session_destroy(session);
  weft_trainer *trainer;
  CHECK_EQUAL(weft_trainer_create(trains, large, NULL, &trainer), WEFT_ERR_DIM);
  expect_no_trainer(trainer, WEFT_ERR_DIM);
  weft_trainer_destroy(trainer);
  CHECK_EQUAL(weft_trainer_create(whole, dims, NULL, &trainer), WEFT_ERR_UNSUPPORTED);
  CHECK_CONTAINS(weft_trainer_error(trainer), "the object has no training entry");
  weft_trainer_destroy(trainer);
  weft_model_close(whole);
  weft_model_close(trains);
  const char *paths[2] = {"/nowhere/x.npy", NULL};
  weft_tensor_file *file;
  CHECK_EQUAL(weft_tensor_file_open(paths[0], NULL, &file), WEFT_ERR_IO);
  expect_no_file(file);
  CHECK_CONTAINS(weft_tensor_file_error(file), "expected the index of a tensor");
  weft_tensor_file_close(file);
}

static void results_need_a_place(void) {
  weft_model *toy = toy_open(NULL), *trains = trained_open(NULL);
  weft_trainer *trainer;
  weft_generate_options generate;
  double number;
  CHECK_EQUAL(weft_model_entry(toy, NULL), -1);
  CHECK_EQUAL(weft_model_state(toy, "other"), -1);
  CHECK_EQUAL(weft_model_dim(toy, "other"), -1);
  CHECK_EQUAL(weft_model_generate_entry(toy, "other"), -1);
  CHECK_EQUAL(weft_model_get(toy, "gain", NULL, NULL), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_generate_defaults(toy, 0, NULL), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_generate_defaults(toy, -1, &generate), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_generate_defaults(toy, 1, &generate), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_entry_arena_bytes(toy, -1, dims), -1);
  CHECK_EQUAL(weft_entry_arena_bytes(toy, 0, NULL), -1);
  CHECK_EQUAL(weft_model_load_tensors(toy, NULL), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_model_error(toy), "expected an open file");
  CHECK_EQUAL(weft_model_load_files(toy, NULL, 1), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_session_create(toy, dims, NULL, NULL), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_trainer_create(trains, one, NULL, NULL), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_trainer_memory(trains, one, NULL, NULL), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_trainer_create(trains, one, NULL, &trainer), WEFT_OK);
  CHECK_EQUAL(weft_trainer_metrics(trainer, NULL), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_trainer_get(trainer, "lr", NULL), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_trainer_get(trainer, "other", &number), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_trainer_tensor(trainer, "w", WEFT_ROLE_GRADIENT, NULL, NULL), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_trainer_expect(trainer, NULL), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_trainer_expect(trainer, &toy_model), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_trainer_error(trainer), "expected a trainer of 'toy' but got one of 'trained'");
  CHECK_EQUAL(weft_trainer_expect(trainer, &trained_model), WEFT_OK);
  CHECK(weft_trainer_descriptor(trainer) == &trained_model);
  weft_trainer_destroy(trainer);
  weft_model_close(toy);
  weft_model_close(trains);
  CHECK_EQUAL(weft_tensor_file_open("x", NULL, NULL), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_tensor_file_open_list(NULL, 1, NULL, NULL), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_tensor_file_open_memory(zeros, 10, NULL, NULL), WEFT_ERR_ARGUMENT);
}

/* ---- During a call ---------------------------------------------------------------------------------------------- */

static weft_session *session;
static weft_trainer *trainer;

static void ask_session(weft_exec *exec) {
  weft_sequence sequence = {0};
  (void)exec;
  CHECK_EQUAL(weft_session_run(session, 0, dims, NULL, NULL), WEFT_ERR_BUSY);
  CHECK_EQUAL(weft_session_set_valid(session, NULL, 0), WEFT_ERR_BUSY);
  CHECK_EQUAL(weft_session_reset(session), WEFT_ERR_BUSY);
  CHECK_EQUAL(weft_session_rewind(session, 0, 0, 0), WEFT_ERR_BUSY);
  CHECK_EQUAL(weft_session_save(session, "x"), WEFT_ERR_BUSY);
  CHECK_EQUAL(weft_session_restore(session, "x"), WEFT_ERR_BUSY);
  CHECK_EQUAL(weft_session_generate(session, 0, NULL, &sequence, 1), WEFT_ERR_BUSY);
  CHECK_EQUAL(weft_session_expect(session, &packed_model), WEFT_ERR_BUSY);
}

static void ask_trainer(weft_exec *exec) {
  weft_evaluation evaluation;
  (void)exec;
  CHECK_EQUAL(weft_trainer_step(trainer, one, NULL, NULL), WEFT_ERR_BUSY);
  CHECK_EQUAL(weft_trainer_accumulate(trainer, one, NULL, NULL), WEFT_ERR_BUSY);
  CHECK_EQUAL(weft_trainer_apply(trainer, NULL), WEFT_ERR_BUSY);
  CHECK_EQUAL(weft_trainer_eval(trainer, one, NULL, &evaluation), WEFT_ERR_BUSY);
  CHECK_EQUAL(weft_trainer_publish(trainer), WEFT_ERR_BUSY);
  CHECK_EQUAL(weft_trainer_set(trainer, "lr", 1), WEFT_ERR_BUSY);
  CHECK_EQUAL(weft_trainer_save(trainer, "x", NULL), WEFT_ERR_BUSY);
  CHECK_EQUAL(weft_trainer_load(trainer, "x", NULL, 0), WEFT_ERR_BUSY);
  CHECK_EQUAL(weft_trainer_expect(trainer, &toy_model), WEFT_ERR_BUSY);
}

static void one_call_at_a_time(void) {
  weft_model *toy = toy_open(NULL), *trains = trained_open(NULL);
  const int32_t token[] = {1}, weight[] = {1};
  float logits[TOY_VOCABULARY], x[TRAINED_WIDTH] = {1, 2, 3};
  CHECK_EQUAL(weft_session_create(toy, dims, NULL, &session), WEFT_OK);
  toy_during_entry = ask_session;
  CHECK_EQUAL(weft_session_run(session, TOY_FORWARD, dims, (const void *const[]){token, NULL}, (void *const[]){logits}), WEFT_OK);
  toy_during_entry = NULL;
  CHECK(weft_session_descriptor(session) == &toy_model);
  weft_session_destroy(session);
  CHECK_EQUAL(weft_trainer_create(trains, one, NULL, &trainer), WEFT_OK);
  trained_during_step = ask_trainer;
  CHECK_EQUAL(weft_trainer_step(trainer, one, (const void *const[]){x, weight}, NULL), WEFT_OK);
  trained_during_step = NULL;
  weft_trainer_destroy(trainer);
  weft_model_close(toy);
  weft_model_close(trains);
}

int main(void) {
  what_is_no_handle_is_refused();
  what_failed_to_open_answers_why();
  results_need_a_place();
  one_call_at_a_time();
  return check_result();
}
