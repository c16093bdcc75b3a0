/* Power loss: for every state that a disk may be in afterwards, a file is the old one or the new one, and a trainer goes on
 * from the last checkpoint that was reported as saved, or from a newer one, whole. Writers with a planted mistake are caught. */
#include "check.h"
#include "power_disk.h"
#include "trained.h"

#include <stdlib.h>

enum { FILE_STATES = 20000, CHECKPOINT_STATES = 4000 }; /* at most at one moment */
static long states_tried;

/* ---- A file ----------------------------------------------------------------------------------------------------- */

enum { VALUES = 20 };

static void write_value(const weft_file_ops *files, float value) {
  float values[VALUES];
  double more[3] = {value, value, value};
  for (int i = 0; i < VALUES; ++i) values[i] = value;
  const weft_tensor tensors[] = {{"w", WEFT_F32, 1, {VALUES}, values}, {"more", WEFT_F64, 1, {3}, more}};
  weft_tensor_options options = {.files = files};
  char text[200] = "";
  CHECK_EQUAL(weft_safetensors_write("w.safetensors", tensors, 2, NULL, 0, &options, text, sizeof text), WEFT_OK);
  CHECK_TEXT(text, "");
}

/* What the file holds; 0: it is not there, -1: it is not whole. */
static float read_value(const weft_file_ops *files) {
  weft_tensor_options options = {.files = files};
  weft_tensor_file *file;
  float values[VALUES];
  double more[3];
  weft_status status = weft_tensor_file_open("w.safetensors", &options, &file);
  bool missing = status == WEFT_ERR_IO;
  if (!status) status = weft_tensor_file_read(file, weft_tensor_file_find(file, "w"), values, sizeof values);
  if (!status) status = weft_tensor_file_read(file, weft_tensor_file_find(file, "more"), more, sizeof more);
  weft_tensor_file_close(file);
  if (status) return missing ? 0 : -1;
  for (int i = 0; i < VALUES; ++i)
    if (values[i] != values[0] || more[i % 3] != values[0]) return -1;
  return values[0];
}

/* Writes 1, then 2, and looks at every state. How many hold something else than the file before or the one after. */
static long bad_files(int mistakes) {
  power_disk *disk = power_disk_create(mistakes), *now = disk, *state = power_disk_create(0);
  weft_file_ops files = power_disk_files(&now);
  int saved[3] = {0};
  long bad = 0;
  for (int value = 1; value <= 2; ++value) {
    write_value(&files, (float)value);
    saved[value] = power_disk_operations(disk);
  }
  for (int at = 1; at <= saved[2]; ++at) {
    if (at < saved[2] && at != saved[1] && !power_disk_syncs(disk, at)) continue;
    power_states states;
    power_states_begin(&states, disk, at, FILE_STATES);
    for (now = state; power_states_next(&states, state); ++states_tried) {
      float value = read_value(&files);
      bad += !(value == 0 && at < saved[1]) && !(value == 1 && at < saved[2]) && value != 2;
    }
  }
  power_disk_destroy(disk);
  power_disk_destroy(state);
  return bad;
}

static void a_file_is_the_old_or_the_new_one(void) {
  CHECK_EQUAL(bad_files(0), 0);
  CHECK(bad_files(POWER_NO_SYNC) > 0);
  CHECK(bad_files(POWER_NO_FOLDER_SYNC) > 0);
  CHECK(bad_files(POWER_LATE_SYNC) > 0);
  CHECK(bad_files(POWER_IN_PLACE) > 0);
}

/* ---- Checkpoints ------------------------------------------------------------------------------------------------ */

static const char folder[] = "runs/one";

typedef struct state {
  float w[3], m[3], v[3], b;
  uint64_t step;
} state;

static state read_state(weft_trainer *trainer) {
  const weft_role roles[] = {WEFT_ROLE_PARAMETER, WEFT_ROLE_M, WEFT_ROLE_V};
  state s;
  memset(&s, 0, sizeof s);
  float *const to[] = {s.w, s.m, s.v};
  float *data;
  for (int i = 0; i < 3; ++i) {
    CHECK_EQUAL(weft_trainer_tensor(trainer, "w", roles[i], &data, NULL), WEFT_OK);
    memcpy(to[i], data, sizeof s.w);
  }
  CHECK_EQUAL(weft_trainer_tensor(trainer, "b", WEFT_ROLE_PARAMETER, &data, NULL), WEFT_OK);
  s.b = *data;
  weft_metrics metrics;
  weft_trainer_metrics(trainer, &metrics);
  s.step = metrics.step;
  return s;
}

static int same(state a, state b) { return !memcmp(&a, &b, sizeof a); }

static void train(weft_trainer *trainer, int steps) {
  const float x[2][3] = {{.5f, -1, 2}, {1, .25f, -3}};
  const int32_t weight[] = {1, 2};
  for (int s = 0; s < steps; ++s)
    CHECK_EQUAL(weft_trainer_step(trainer, (const int64_t[]){2}, (const void *const[]){x, weight}, NULL), WEFT_OK);
}

/* As a resumed training that comes to the same step another way. */
static void change(weft_trainer *trainer) {
  float *w;
  CHECK_EQUAL(weft_trainer_tensor(trainer, "w", WEFT_ROLE_PARAMETER, &w, NULL), WEFT_OK);
  w[0] += 1;
}

/* Four saves: the first, one that removes it, the same step again with other numbers, one more. */
enum { SAVES = 4 };
static const int steps_before[SAVES] = {2, 2, 0, 3};
static const weft_checkpoint_options keep_one = {.keep = 1};

typedef struct run {
  power_disk *disk, *now;
  weft_file_ops files;
  weft_model *model;
  weft_trainer *trainer;
  state saved[SAVES];
  int began, done[SAVES]; /* operations before the first save, and when each was reported as saved */
} run;

static void record(run *r, int mistakes) {
  memset(r, 0, sizeof *r);
  r->disk = r->now = power_disk_create(mistakes);
  r->files = power_disk_files(&r->now);
  CHECK_EQUAL(r->files.make_directory(&r->now, "runs"), 0);
  CHECK_EQUAL(r->files.sync_directory(&r->now, "."), 0);
  r->began = power_disk_operations(r->disk);
  weft_model_options options = {.files = &r->files};
  r->model = trained_open(&options);
  CHECK_EQUAL(weft_trainer_create(r->model, (const int64_t[]){2}, NULL, &r->trainer), WEFT_OK);
  for (int s = 0; s < SAVES; ++s) {
    train(r->trainer, steps_before[s]);
    if (!steps_before[s]) change(r->trainer);
    CHECK_EQUAL(weft_trainer_save(r->trainer, folder, &keep_one), WEFT_OK);
    r->saved[s] = read_state(r->trainer);
    r->done[s] = power_disk_operations(r->disk);
  }
}

static void end(run *r) {
  weft_trainer_destroy(r->trainer);
  CHECK_EQUAL(weft_model_close(r->model), WEFT_OK);
  power_disk_destroy(r->disk);
}

/* What a load finds in the disk's state: the number of a save, -1: it says that there is none, -2: something else. */
static int found(run *r) {
  weft_status status = weft_trainer_load(r->trainer, folder, NULL, 0);
  if (status) return status == WEFT_ERR_IO || status == WEFT_ERR_MISSING || status == WEFT_ERR_FORMAT ? -1 : -2;
  state now = read_state(r->trainer);
  for (int s = SAVES - 1; s >= 0; --s)
    if (same(now, r->saved[s])) return s;
  return -2;
}

/* The trainer goes on from what it found: the next save works, and is found. */
static bool goes_on(run *r) {
  train(r->trainer, 1);
  state next = read_state(r->trainer);
  bool good = weft_trainer_save(r->trainer, folder, &keep_one) == WEFT_OK;
  train(r->trainer, 1);
  return good && weft_trainer_load(r->trainer, folder, NULL, 0) == WEFT_OK && same(next, read_state(r->trainer));
}

/* States in which a checkpoint that was reported as saved is lost, or what is found is none that was saved. */
static long bad_checkpoints(int mistakes) {
  run r;
  record(&r, mistakes);
  power_disk *state = power_disk_create(0);
  const int last = r.done[SAVES - 1];
  int reported = -1; /* the last save that was */
  long bad = 0, tried = 0;
  for (int at = r.began; at <= last; ++at) {
    if (reported + 1 < SAVES && at >= r.done[reported + 1]) ++reported;
    if (at < last && at != r.done[reported < 0 ? 0 : reported] && !power_disk_syncs(r.disk, at)) continue;
    power_states states;
    power_states_begin(&states, r.disk, at, CHECKPOINT_STATES);
    for (r.now = state; power_states_next(&states, state); ++tried) {
      int save = found(&r);
      bad += save == -2 || save < reported || (tried % 64 == 0 && !goes_on(&r));
    }
  }
  states_tried += tried;
  end(&r);
  power_disk_destroy(state);
  return bad;
}

static void the_last_checkpoint_or_a_newer_one_is_found(void) {
  CHECK_EQUAL(bad_checkpoints(0), 0);
  CHECK(bad_checkpoints(POWER_NO_SYNC) > 0);
  CHECK(bad_checkpoints(POWER_NO_FOLDER_SYNC) > 0);
  /* A step that is saved again is the only checkpoint there is, and is lost while it is written anew. */
  CHECK(bad_checkpoints(POWER_IN_PLACE) > 0);
}

int main(void) {
  trained_train.optimizer = (weft_optimizer_desc){WEFT_ADAM, 0, .05, 0, .9, .95, 1e-8, .01};
  a_file_is_the_old_or_the_new_one();
  the_last_checkpoint_or_a_newer_one_is_found();
  printf("count: states of a disk after power loss = %ld\n", states_tried);
  return check_result();
}
