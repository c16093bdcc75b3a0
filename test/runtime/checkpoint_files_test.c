/* Checkpoints of other trainings and of other makes: whole files, with right checksums, that say something else; names of
 * folders; paths that are too long. */
#include "check.h"
#include "checkpoint.h"
#include "copies.h"
#include "faulty_files.h"
#include "scratch_folder.h"
#include "trained.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[100], path[300];
static weft_model *model;
static char warning[600];

static const char *in(const char *name) {
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static void keep_warning(void *user, weft_log_level level, const char *text) {
  (void)user, (void)level;
  snprintf(warning, sizeof warning, "%s", text);
}

static weft_trainer *make(const weft_file_ops *files) {
  weft_model_options options = {.files = files};
  weft_trainer_options training = {.seed = 5, .log = keep_warning};
  weft_trainer *trainer;
  model = trained_open(&options);
  CHECK_EQUAL(weft_trainer_create(model, (const int64_t[]){2}, &training, &trainer), WEFT_OK);
  return trainer;
}
static void finish(weft_trainer *trainer) {
  weft_trainer_destroy(trainer);
  CHECK_EQUAL(weft_model_close(model), WEFT_OK);
}

/* ---- Files that say something else -------------------------------------------------------------------------------- */

/* What trainer.safetensors holds, to be changed and written again with the checksum that belongs to it. */
typedef struct content {
  const char *values[WEFT_METAS];
  weft_tensor tensors[6];
  int64_t count;
  float data[6][4];
} content;

static content read_content(void) {
  content c = {0};
  static char texts[WEFT_METAS][64];
  static char names[6][8];
  weft_tensor_file *file;
  CHECK_EQUAL(weft_tensor_file_open(in("step-0000000000/trainer.safetensors"), NULL, &file), WEFT_OK);
  for (int i = 0; i < WEFT_METAS; ++i) {
    snprintf(texts[i], sizeof texts[i], "%s", weft_tensor_file_metadata(file, weft_checkpoint_keys[i]));
    c.values[i] = texts[i];
  }
  c.count = weft_tensor_file_count(file);
  CHECK_EQUAL(c.count, 4);
  for (int64_t i = 0; i < c.count; ++i) {
    const weft_tensor_info *info = weft_tensor_file_at(file, i);
    snprintf(names[i], sizeof names[i], "%s", info->name);
    c.tensors[i] = (weft_tensor){names[i], info->dtype, info->rank, {info->shape[0]}, NULL};
    CHECK_EQUAL(weft_tensor_file_read(file, i, c.data[i], (size_t)info->bytes), WEFT_OK);
  }
  weft_tensor_file_close(file);
  return c;
}

static void write_content(content *c, bool right) {
  const char *pairs[2 * WEFT_METAS];
  char digest_text[24];
  weft_digest digest;
  weft_digest_begin(&digest);
  for (int i = 0; i < WEFT_META_DIGEST; ++i)
    if (c->values[i]) weft_digest_add(&digest, c->values[i], strlen(c->values[i]) + 1);
  for (int64_t i = 0; i < c->count; ++i) {
    int64_t elements = 1;
    c->tensors[i].data = c->data[i];
    for (int32_t axis = 0; axis < c->tensors[i].rank; ++axis) elements *= c->tensors[i].shape[axis];
    weft_digest_tensor(&digest, c->tensors[i].name, c->tensors[i].rank, c->tensors[i].shape);
    weft_digest_add(&digest, c->data[i], (size_t)elements * weft_dtype_size(c->tensors[i].dtype));
  }
  if (right) {
    snprintf(digest_text, sizeof digest_text, "%016llx", (unsigned long long)weft_digest_end(&digest));
    c->values[WEFT_META_DIGEST] = digest_text;
  }
  int pairs_used = 0;
  for (int i = 0; i < WEFT_METAS; ++i) {
    if (!c->values[i]) continue;
    pairs[pairs_used++] = weft_checkpoint_keys[i];
    pairs[pairs_used++] = c->values[i];
  }
  CHECK_EQUAL(weft_safetensors_write(in("step-0000000000/trainer.safetensors"), c->tensors, c->count, pairs, pairs_used / 2, NULL, NULL, 0), WEFT_OK);
}

typedef struct refusal {
  const char *text; /* of the error, or of the warning of one that is passed over */
  bool damaged;     /* passed over */
  bool wrong_sum;
} refusal;

#define CHANGE(statement, ...)         \
  if (number == at++) {                \
    statement;                         \
    *out = (refusal){__VA_ARGS__};     \
    return true;                       \
  }
static bool change(content *c, int number, refusal *out) {
  int at = 0;
  CHANGE(c->values[WEFT_META_FORMAT] = "weft-checkpoint-1", "expected format 'weft-checkpoint-2' but got 'weft-checkpoint-1'", false, false)
  CHANGE(c->values[WEFT_META_MODEL] = "other", "expected a checkpoint of model 'trained' but got one of 'other'", false, false)
  CHANGE(c->values[WEFT_META_OPTIMIZER] = "lion", "expected a checkpoint of optimizer 'adam' but got one of 'lion'", false, false)
  CHANGE(c->values[WEFT_META_SEED] = "6", "expected a checkpoint of seed 5 but got one of 6", false, false)
  CHANGE(c->values[WEFT_META_STEP] = NULL, "trainer.safetensors: expected metadata 'step'", true, false)
  CHANGE(c->values[WEFT_META_STEP] = "", "metadata 'step' is not a number", true, false)
  CHANGE(c->values[WEFT_META_STEP] = "-1", "metadata 'step' is not a number", true, false)
  CHANGE(c->values[WEFT_META_STEP] = "+1", "metadata 'step' is not a number", true, false)
  CHANGE(c->values[WEFT_META_STEP] = " 1", "metadata 'step' is not a number", true, false)
  CHANGE(c->values[WEFT_META_STEP] = "1f", "metadata 'step' is not a number", true, false)
  CHANGE(c->values[WEFT_META_STEP] = "18446744073709551616", "metadata 'step' is not a number", true, false)
  CHANGE(c->values[WEFT_META_LOSS_SCALE] = "2", "a loss scale of 2 after 0 good updates is none of this model's", false, false)
  CHANGE(c->values[WEFT_META_LOSS_SCALE] = "0", "a loss scale of 0 after 0 good updates is none of this model's", false, false)
  CHANGE(c->values[WEFT_META_GOOD_UPDATES] = "1", "a loss scale of 1 after 1 good updates is none of this model's", false, false)
  CHANGE(c->values[WEFT_META_MODEL_HASH] = "xyz", "metadata 'model_hash' is not a number", true, false)
  CHANGE(c->values[WEFT_META_MODEL_HASH] = "0", "model.safetensors: its checksum does not match", true, false)
  CHANGE(c->values[WEFT_META_MODEL_BYTES] = "1", "model.safetensors: expected 1 bytes but got ", true, false)
  CHANGE(c->values[WEFT_META_DIGEST] = "0", "trainer.safetensors: its checksum does not match", true, true)
  CHANGE(c->tensors[0].name = "k.w", "tensor 'k.w' is not one of this model's moments", false, false)
  CHANGE(c->tensors[0].name = "m-w", "tensor 'm-w' is not one of this model's moments", false, false)
  CHANGE(c->tensors[0].name = "m.frozen", "tensor 'm.frozen' is not one of this model's moments", false, false)
  CHANGE(c->tensors[0].name = "m", "tensor 'm' is not one of this model's moments", false, false)
  CHANGE(c->tensors[0].dtype = WEFT_I32, "expected f32 ", false, false)
  CHANGE((c->tensors[0].rank = 2, c->tensors[0].shape[0] = c->tensors[0].shape[1] = 1), "but got F32 [1, 1]", false, false)
  CHANGE((c->tensors[0].rank = c->tensors[1].rank = 1, c->tensors[0].shape[0] = c->tensors[1].shape[0] = 2), "but got F32 [2]", false, false)
  CHANGE(c->count = 3, "expected a checkpoint with 4 moments, as the model has parameters to train, but got 3", false, false)
  return false;
}

static void whole_files_that_say_something_else_are_refused(void) {
  weft_trainer *trainer = make(NULL);
  CHECK_EQUAL(weft_trainer_save(trainer, folder, NULL), WEFT_OK);
  content good = read_content();
  for (int number = 0;; ++number) {
    content c = good;
    refusal wanted;
    if (!change(&c, number, &wanted)) break;
    write_content(&c, !wanted.wrong_sum);
    warning[0] = 0;
    weft_status status = weft_trainer_load(trainer, folder, NULL, 0);
    CHECK_EQUAL(status, WEFT_ERR_FORMAT);
    CHECK_CONTAINS(weft_trainer_error(trainer), wanted.text);
    CHECK_CONTAINS(wanted.damaged ? warning : "no warning", wanted.damaged ? wanted.text : "no warning");
  }
  write_content(&good, true);
  char note[10] = "note";
  CHECK_EQUAL(weft_trainer_load(trainer, folder, note, 0), WEFT_OK);
  CHECK_TEXT(note, "note"); /* no room was given */
  finish(trainer);
}

/* The weights' file belongs to the checkpoint by its checksum, but not to the model. */
static void weights_of_another_model_are_refused(void) {
  weft_trainer *trainer = make(NULL);
  CHECK_EQUAL(weft_trainer_save(trainer, folder, NULL), WEFT_OK);
  const float w[2] = {1, 2};
  const weft_tensor tensor = {"w", WEFT_F32, 1, {2}, w};
  CHECK_EQUAL(weft_safetensors_write(in("step-0000000000/model.safetensors"), &tensor, 1, NULL, 0, NULL, NULL, 0), WEFT_OK);
  content c = read_content();
  char bytes[24], hash_text[24], buffer[4096];
  int64_t size;
  uint64_t hash;
  CHECK_EQUAL(weft_hash_file(weft_system_files(), in("step-0000000000/model.safetensors"), buffer, 16, &size, &hash), 0); /* in pieces */
  snprintf(bytes, sizeof bytes, "%lld", (long long)size);
  snprintf(hash_text, sizeof hash_text, "%016llx", (unsigned long long)hash);
  c.values[WEFT_META_MODEL_BYTES] = bytes;
  c.values[WEFT_META_MODEL_HASH] = hash_text;
  write_content(&c, true);
  CHECK_EQUAL(weft_trainer_load(trainer, folder, NULL, 0), WEFT_ERR_FORMAT);
  CHECK_CONTAINS(weft_trainer_error(trainer), "tensor 'w': expected shape [3] but got [2]");
  CHECK_EQUAL(weft_hash_file(weft_system_files(), folder, buffer, sizeof buffer, &size, &hash), -EINVAL);
  CHECK_EQUAL(weft_hash_file(weft_system_files(), "/nowhere", buffer, sizeof buffer, &size, &hash), -ENOENT);
  CHECK_EQUAL(weft_trainer_save(trainer, folder, NULL), WEFT_OK);
  finish(trainer);
}

/* ---- Names ---------------------------------------------------------------------------------------------------------- */

static void names_of_checkpoints(void) {
  static const struct {
    const char *name;
    int64_t number;
    bool aside;
  } cases[] = {{"step-0000000012", 12, false},       {".old-step-0000000012", 12, true}, {"step-12345678901", 12345678901, false}, {"step-000000001", -1, false},
               {"step-00000000012x", -1, false},     {"step-", -1, false},               {".tmp-step-0000000012-3", -1, false},   {"step-000000001/", -1, false},
               {"step-:000000001", -1, false},       {"other", -1, false},               {".old-step-1", -1, true},               {"step-0000000000000000012", -1, false},
               {"step-000000000000000012", 12, false}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    bool aside;
    CHECK_EQUAL(weft_checkpoint_number(cases[i].name, &aside), cases[i].number);
    CHECK_EQUAL(aside, cases[i].aside);
  }
}

static void a_folder_has_a_path_that_fits(void) {
  weft_trainer *trainer = make(NULL);
  char long_path[5000], nearly[4096];
  memset(long_path, 'x', sizeof long_path - 1);
  long_path[sizeof long_path - 1] = 0;
  /* Room for the folder and what is written into it, but not for its files. */
  snprintf(nearly, sizeof nearly, "%s", folder);
  while (strlen(nearly) < 4060) strcat(nearly, "/.");
  static const char *const none[] = {NULL, ""};
  for (int i = 0; i < 2; ++i) {
    CHECK_EQUAL(weft_trainer_save(trainer, none[i], NULL), WEFT_ERR_ARGUMENT);
    CHECK_EQUAL(weft_trainer_load(trainer, none[i], NULL, 0), WEFT_ERR_ARGUMENT);
    CHECK_TEXT(weft_trainer_error(trainer), "expected a folder's path");
  }
  CHECK_EQUAL(weft_trainer_save(trainer, long_path, NULL), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_trainer_error(trainer), "the folder's path is too long");
  CHECK_EQUAL(weft_trainer_save(trainer, nearly, NULL), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_trainer_load(trainer, long_path, NULL, 0), WEFT_ERR_IO);
  CHECK_EQUAL(weft_trainer_save(trainer, folder, NULL), WEFT_OK);
  CHECK_EQUAL(weft_trainer_load(trainer, nearly, NULL, 0), WEFT_ERR_FORMAT);
  CHECK_CONTAINS(weft_trainer_error(trainer), "its path is too long");
  finish(trainer);
}

/* Names that a file system could hold, but no path: they are left alone. */
static char odd[3][4200];
static int list_with_odd_names(void *user, const char *where, int (*visit)(void *context, const char *name), void *context) {
  (void)user;
  for (int i = 0; i < 3; ++i) visit(context, odd[i]);
  return weft_system_files()->list(NULL, where, visit, context);
}
static long removed_odd;
static int remove_and_count(void *user, const char *name) {
  (void)user;
  removed_odd += strlen(name) > 4000;
  return weft_system_files()->remove(NULL, name);
}

static void names_that_fit_no_path_are_left_alone(void) {
  static const char *const starts[] = {".tmp-step-", ".old-step-", "x"};
  faulty_files files;
  for (int i = 0; i < 3; ++i) {
    memset(odd[i], '0', sizeof odd[i] - 1);
    memcpy(odd[i], starts[i], strlen(starts[i]));
  }
  faulty_files_begin(&files, -1, 0);
  files.ops.list = list_with_odd_names;
  files.ops.remove = remove_and_count;
  weft_trainer *trainer = make(&files.ops);
  CHECK_EQUAL(mkdir(in(".tmp-step-0000000001-1"), 0777), 0);
  CHECK_EQUAL(weft_trainer_save(trainer, folder, NULL), WEFT_OK);
  CHECK_EQUAL(weft_trainer_load(trainer, folder, NULL, 0), WEFT_OK);
  CHECK_EQUAL(removed_odd, 0);
  finish(trainer);
}

/* Some systems say EEXIST where a folder is in the way of a rename. */
static void a_checkpoint_of_the_same_step_makes_way(void) {
  faulty_files files;
  faulty_files_begin(&files, -1, 0);
  weft_trainer *trainer = make(&files.ops);
  CHECK_EQUAL(weft_trainer_save(trainer, folder, NULL), WEFT_OK);
  faulty_files_begin(&files, 2, -EEXIST); /* after the renames of two files */
  files.only = 'n';
  CHECK_EQUAL(weft_trainer_save(trainer, folder, NULL), WEFT_OK);
  CHECK_EQUAL(files.failed, 'n');
  faulty_files_begin(&files, 3, -EIO); /* the one in the way stays */
  files.only = 'n';
  CHECK_EQUAL(weft_trainer_save(trainer, folder, NULL), WEFT_ERR_IO);
  files.fail_at = -1;
  CHECK_EQUAL(weft_trainer_load(trainer, folder, NULL, 0), WEFT_OK);
  finish(trainer);
}

int main(void) {
  trained_train.optimizer = (weft_optimizer_desc){WEFT_ADAM, 0, .05, 0, .9, .95, 1e-8, .01};
  scratch_folder(folder, sizeof folder, "checkpoint-files");
  whole_files_that_say_something_else_are_refused();
  weights_of_another_model_are_refused();
  names_of_checkpoints();
  a_folder_has_a_path_that_fits();
  names_that_fit_no_path_are_left_alone();
  a_checkpoint_of_the_same_step_makes_way();
  unlink(in("step-0000000000/model.safetensors"));
  unlink(in("step-0000000000/trainer.safetensors"));
  rmdir(in("step-0000000000"));
  CHECK_EQUAL(rmdir(folder), 0);
  return check_result();
}
