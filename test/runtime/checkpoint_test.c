/* Checkpoints: training goes on from them bit by bit; every file operation of a save may fail and every byte of a file may
 * change: an older whole one is then found, or a clear error, and never a start from nothing. */
#include "check.h"
#include "checkpoint.h"
#include "faulty_files.h"
#include "scratch_folder.h"
#include "trained.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[100], path[400];
static weft_model *model;
static int warnings;
static char warning[600];

static void count_warning(void *user, weft_log_level level, const char *text) {
  (void)user;
  warnings += level == WEFT_LOG_WARNING;
  snprintf(warning, sizeof warning, "%s", text);
}

static weft_trainer *make(const weft_file_ops *files, uint64_t seed) {
  weft_model_options options = {.files = files};
  weft_trainer_options training = {.seed = seed, .log = count_warning};
  const int64_t dims[] = {TRAINED_MAX_B};
  weft_trainer *trainer;
  model = trained_open(&options);
  CHECK_EQUAL(weft_trainer_create(model, dims, &training, &trainer), WEFT_OK);
  return trainer;
}

static void finish(weft_trainer *trainer) {
  weft_trainer_destroy(trainer);
  CHECK_EQUAL(weft_model_close(model), WEFT_OK);
}

/* Steps of a stream of samples whose place is the trainer's own counter. */
static void run(weft_trainer *trainer, int steps) {
  for (int s = 0; s < steps; ++s) {
    weft_metrics metrics;
    weft_trainer_metrics(trainer, &metrics);
    float x[2][3];
    for (int i = 0; i < 6; ++i) x[i / 3][i % 3] = (float)((metrics.batches * 6 + (uint64_t)i) * 2654435761u % 1000) / 500 - 1;
    const int32_t weight[] = {1, 2};
    const int64_t dims[] = {2};
    const void *const inputs[] = {x, weight};
    CHECK_EQUAL(weft_trainer_step(trainer, dims, inputs, NULL), WEFT_OK);
  }
}

typedef struct state {
  float w[3], m[3], v[3], b;
  uint64_t step;
} state;

static state read_state(weft_trainer *trainer) {
  state s;
  memset(&s, 0, sizeof s);
  float *data;
  const weft_role roles[] = {WEFT_ROLE_PARAMETER, WEFT_ROLE_M, WEFT_ROLE_V};
  float *const to[] = {s.w, s.m, s.v};
  for (int i = 0; i < 3; ++i)
    if (!weft_trainer_tensor(trainer, "w", roles[i], &data, NULL)) memcpy(to[i], data, sizeof s.w);
  if (!weft_trainer_tensor(trainer, "b", WEFT_ROLE_PARAMETER, &data, NULL)) s.b = *data;
  weft_metrics metrics;
  weft_trainer_metrics(trainer, &metrics);
  s.step = metrics.step;
  return s;
}

static int same(state a, state b) { return !memcmp(&a, &b, sizeof a); }

static int remove_one(const char *name, const struct stat *status, int kind, struct FTW *place) {
  (void)status, (void)kind, (void)place;
  return remove(name);
}

static void empty(void) {
  CHECK_EQUAL(nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
  CHECK_EQUAL(mkdir(folder, 0777), 0);
}

static int entries(const char *where) {
  int count = 0;
  DIR *stream = opendir(where);
  if (!stream) return -1;
  for (struct dirent *entry; (entry = readdir(stream));) count += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
  closedir(stream);
  return count;
}

static const char *in(const char *name) {
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static void training_goes_on_bit_by_bit(void) {
  empty();
  weft_checkpoint_options options = {.note = "data 1\n\"x\""};
  char note[40];
  weft_trainer *trainer = make(NULL, 5);
  run(trainer, 7);
  CHECK_EQUAL(weft_trainer_save(trainer, folder, &options), WEFT_OK);
  run(trainer, 9);
  state whole = read_state(trainer);
  finish(trainer);
  trainer = make(NULL, 5);
  run(trainer, 2); /* is forgotten */
  CHECK_EQUAL(weft_trainer_load(trainer, folder, note, sizeof note), WEFT_OK);
  CHECK_TEXT(note, "data 1\n\"x\"");
  CHECK_EQUAL(read_state(trainer).step, 7);
  run(trainer, 9);
  CHECK(same(whole, read_state(trainer)));
  finish(trainer);
  CHECK_EQUAL(entries(folder), 1);
}

/* The file of weights is an ordinary one. */
static void weights_of_a_checkpoint_load_by_themselves(void) {
  empty();
  weft_trainer *trainer = make(NULL, 0);
  run(trainer, 3);
  CHECK_EQUAL(weft_trainer_save(trainer, folder, NULL), WEFT_OK);
  state trained = read_state(trainer);
  finish(trainer);
  model = trained_open(NULL);
  const void *w;
  CHECK_EQUAL(weft_model_load(model, in("step-0000000003/model.safetensors")), WEFT_OK);
  CHECK_EQUAL(weft_model_get(model, "w", &w, NULL), WEFT_OK);
  CHECK(!memcmp(w, trained.w, sizeof trained.w));
  weft_model_close(model);
}

static void the_last_ones_are_kept(void) {
  empty();
  weft_checkpoint_options options = {.keep = 2}, negative = {.keep = -1};
  weft_trainer *trainer = make(NULL, 0);
  CHECK_EQUAL(mkdir(in(".tmp-step-0000000099-1"), 0777), 0); /* of a save that was killed */
  for (int i = 0; i < 4; ++i) {
    run(trainer, 1);
    CHECK_EQUAL(weft_trainer_save(trainer, folder, &options), WEFT_OK);
    CHECK_EQUAL(weft_trainer_save(trainer, folder, &options), WEFT_OK); /* the same step again */
  }
  CHECK_EQUAL(weft_trainer_save(trainer, folder, &negative), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_trainer_error(trainer), "keep is -1, expected at least 0");
  finish(trainer);
  CHECK_EQUAL(entries(folder), 2);
  CHECK_EQUAL(entries(in("step-0000000003")), 2);
  CHECK_EQUAL(entries(in("step-0000000004")), 2);
}

/* ---- File operations that fail ---------------------------------------------------------------------------------- */

static long faults;

static void a_save_that_fails_leaves_the_older_one(void) {
  static const int codes[] = {-ENOSPC, -EIO};
  for (int c = 0; c < 2; ++c)
    for (long at = 0;; ++at) {
      empty();
      faulty_files files;
      faulty_files_begin(&files, -1, codes[c]);
      weft_checkpoint_options options = {.keep = 1};
      weft_trainer *trainer = make(&files.ops, 0);
      run(trainer, 2);
      CHECK_EQUAL(weft_trainer_save(trainer, folder, &options), WEFT_OK);
      run(trainer, 2);
      faulty_files_begin(&files, at, codes[c]);
      weft_status status = weft_trainer_save(trainer, folder, &options);
      long calls = files.calls;
      state now = read_state(trainer);
      files.fail_at = -1;
      CHECK(now.step == 4);
      CHECK(status == WEFT_OK || status == WEFT_ERR_IO);
      if (status) CHECK_CONTAINS(weft_trainer_error(trainer), "cannot ");
      CHECK_EQUAL(weft_trainer_load(trainer, folder, NULL, 0), WEFT_OK);
      uint64_t found = read_state(trainer).step;
      /* What was said to be saved is there; else the older one, or the newer if the failure came after its rename. */
      CHECK(status == WEFT_OK ? found == 4 : found == 2 || found == 4);
      run(trainer, (int)(5 - found));
      CHECK_EQUAL(weft_trainer_save(trainer, folder, &options), WEFT_OK); /* and the next one works */
      finish(trainer);
      CHECK_EQUAL(entries(folder), 1);
      if (calls <= at) break;
      ++faults;
    }
}

/* The name of a folder that is new must last; one that was there before may lie where we may not look. */
static void the_folder_itself_is_synced(void) {
  empty();
  faulty_files files;
  faulty_files_begin(&files, -1, -EACCES);
  weft_trainer *trainer = make(&files.ops, 0);
  for (int there = 0; there < 2; ++there) {
    faulty_files_begin(&files, 0, -EACCES);
    files.only = 'd';
    weft_status status = weft_trainer_save(trainer, in("new/"), NULL);
    CHECK_EQUAL(status, there ? WEFT_OK : WEFT_ERR_IO);
    if (!there) CHECK_CONTAINS(weft_trainer_error(trainer), "cannot sync: Permission denied");
  }
  faulty_files_begin(&files, 0, -EIO);
  files.only = 'd';
  CHECK_EQUAL(weft_trainer_save(trainer, in("new"), NULL), WEFT_ERR_IO);
  finish(trainer);
}

static void a_load_that_fails_says_so(void) {
  empty();
  weft_trainer *trainer = make(NULL, 0);
  run(trainer, 2);
  CHECK_EQUAL(weft_trainer_save(trainer, folder, NULL), WEFT_OK);
  state saved = read_state(trainer);
  finish(trainer);
  for (long at = 0;; ++at) {
    faulty_files files;
    faulty_files_begin(&files, -1, -EIO);
    trainer = make(&files.ops, 0);
    faulty_files_begin(&files, at, -EIO);
    weft_status status = weft_trainer_load(trainer, folder, NULL, 0);
    CHECK(status == WEFT_OK || status == WEFT_ERR_IO || status == WEFT_ERR_FORMAT);
    if (status) CHECK(weft_trainer_error(trainer)[0] != 0);
    else CHECK(same(saved, read_state(trainer)));
    long calls = files.calls;
    files.fail_at = -1;
    CHECK_EQUAL(weft_trainer_load(trainer, folder, NULL, 0), WEFT_OK);
    CHECK(same(saved, read_state(trainer)));
    finish(trainer);
    if (calls <= at) break;
    ++faults;
  }
}

static int64_t (*system_read)(void *user, int file, void *buffer, size_t bytes, int64_t offset);
static int reads, reads_without_a_value;

static int64_t read_and_look(void *user, int file, void *buffer, size_t bytes, int64_t offset) {
  const void *data;
  ++reads;
  reads_without_a_value += weft_model_get(model, "w", &data, NULL) != WEFT_OK;
  return system_read(user, file, buffer, bytes, offset);
}

/* Only reading that has failed takes a parameter's value away. */
static void parameters_have_values_while_a_checkpoint_is_read(void) {
  empty();
  faulty_files files;
  faulty_files_begin(&files, -1, 0);
  system_read = files.ops.read;
  files.ops.read = read_and_look;
  weft_trainer *trainer = make(&files.ops, 0);
  run(trainer, 1);
  CHECK_EQUAL(weft_trainer_save(trainer, folder, NULL), WEFT_OK);
  reads = 0;
  CHECK_EQUAL(weft_trainer_load(trainer, folder, NULL, 0), WEFT_OK);
  CHECK(reads > 4);
  CHECK_EQUAL(reads_without_a_value, 0);
  finish(trainer);
}

/* ---- Damage ------------------------------------------------------------------------------------------------------ */

static char *slurp(const char *file, long *size) {
  FILE *stream = fopen(file, "rb");
  CHECK(stream != NULL);
  fseek(stream, 0, SEEK_END);
  *size = ftell(stream);
  rewind(stream);
  char *bytes = malloc((size_t)*size + 1);
  CHECK_EQUAL(fread(bytes, 1, (size_t)*size, stream), *size);
  fclose(stream);
  return bytes;
}

static void spill(const char *file, const char *bytes, long size) {
  FILE *stream = fopen(file, "wb");
  CHECK_EQUAL(fwrite(bytes, 1, (size_t)size, stream), size);
  fclose(stream);
}

/* A trainer with checkpoints of step 2 and of step 2 + `more`. */
static weft_trainer *with_two_checkpoints(int more) {
  empty();
  weft_trainer *trainer = make(NULL, 0);
  run(trainer, 2);
  CHECK_EQUAL(weft_trainer_save(trainer, folder, NULL), WEFT_OK);
  run(trainer, more);
  CHECK_EQUAL(weft_trainer_save(trainer, folder, NULL), WEFT_OK);
  return trainer;
}

/* Every byte of both files is changed in turn, and both are cut at every length: the older checkpoint is found. */
static void damage_is_found(void) {
  static const char *const names[] = {"step-0000000004/model.safetensors", "step-0000000004/trainer.safetensors"};
  weft_trainer *trainer = with_two_checkpoints(2);
  state newest = read_state(trainer);
  for (int n = 0; n < 2; ++n) {
    long size;
    char *bytes = slurp(in(names[n]), &size);
    for (int cut = 0; cut < 2; ++cut)
      for (long at = 0; at < size; ++at) {
        char before = bytes[at];
        bytes[at] = (char)(bytes[at] ^ (at % 2 ? 0x80 : 0x01));
        spill(in(names[n]), bytes, cut ? at : size);
        bytes[at] = before;
        warnings = 0;
        CHECK_EQUAL(weft_trainer_load(trainer, folder, NULL, 0), WEFT_OK);
        state found = read_state(trainer);
        /* Padding between header and data means nothing: a space may become a tab's neighbour and still be whole. */
        CHECK(found.step == 2 ? warnings == 1 : same(found, newest) && !cut && n == 1);
        ++faults;
      }
    spill(in(names[n]), bytes, size);
    free(bytes);
  }
  CHECK_EQUAL(weft_trainer_load(trainer, folder, NULL, 0), WEFT_OK);
  CHECK(same(newest, read_state(trainer)));
  spill(in(names[0]), "", 0);
  spill(in("step-0000000002/trainer.safetensors"), "", 0);
  CHECK_EQUAL(weft_trainer_load(trainer, folder, NULL, 0), WEFT_ERR_FORMAT);
  CHECK_CONTAINS(weft_trainer_error(trainer), "none of 2 checkpoints is whole; the newest: model.safetensors: expected");
  CHECK_CONTAINS(warning, "step-0000000002' is damaged and passed over: trainer.safetensors: ");
  CHECK(same(newest, read_state(trainer)));
  finish(trainer);
}

/* A training that goes on behind a damaged checkpoint saves below it: the damaged one must not count among those kept. */
static void a_damaged_newest_does_not_push_out_good_ones(void) {
  const weft_checkpoint_options keep_one = {.keep = 1};
  weft_trainer *trainer = with_two_checkpoints(4);
  spill(in("step-0000000006/model.safetensors"), "", 0);
  CHECK_EQUAL(weft_trainer_load(trainer, folder, NULL, 0), WEFT_OK);
  CHECK_EQUAL(read_state(trainer).step, 2);
  run(trainer, 1);
  state saved = read_state(trainer);
  CHECK_EQUAL(weft_trainer_save(trainer, folder, &keep_one), WEFT_OK);
  CHECK(access(in("step-0000000003"), F_OK) == 0 && access(in("step-0000000002"), F_OK) != 0);
  run(trainer, 1);
  CHECK_EQUAL(weft_trainer_load(trainer, folder, NULL, 0), WEFT_OK);
  CHECK(same(saved, read_state(trainer)));
  run(trainer, 3);
  CHECK_EQUAL(weft_trainer_save(trainer, folder, &keep_one), WEFT_OK); /* in the place of the damaged one */
  saved = read_state(trainer);
  CHECK_EQUAL(weft_trainer_load(trainer, folder, NULL, 0), WEFT_OK);
  CHECK(same(saved, read_state(trainer)) && entries(folder) == 1);
  finish(trainer);
}

/* What a checkpoint does not hold is not made up from what the trainer did before. */
static void a_loaded_trainer_knows_no_loss(void) {
  empty();
  weft_trainer *trainer = make(NULL, 0);
  weft_metrics metrics;
  CHECK_EQUAL(weft_trainer_metrics(trainer, &metrics), WEFT_OK);
  CHECK(isnan(metrics.loss) && isnan(metrics.grad_norm) && isnan(metrics.lr));
  run(trainer, 2);
  CHECK_EQUAL(weft_trainer_metrics(trainer, &metrics), WEFT_OK);
  CHECK(isfinite(metrics.loss) && isfinite(metrics.grad_norm) && isfinite(metrics.lr));
  CHECK_EQUAL(weft_trainer_save(trainer, folder, NULL), WEFT_OK);
  CHECK_EQUAL(weft_trainer_load(trainer, folder, NULL, 0), WEFT_OK);
  CHECK_EQUAL(weft_trainer_metrics(trainer, &metrics), WEFT_OK);
  CHECK(metrics.step == 2 && isnan(metrics.loss) && isnan(metrics.grad_norm) && isnan(metrics.lr));
  finish(trainer);
}

/* What could not be read again must not push out what can. */
static void a_note_that_is_no_utf8_is_refused(void) {
  weft_checkpoint_options options = {.keep = 1, .note = "fine"};
  char note[40];
  empty();
  weft_trainer *trainer = make(NULL, 0);
  run(trainer, 1);
  CHECK_EQUAL(weft_trainer_save(trainer, folder, &options), WEFT_OK);
  run(trainer, 1);
  options.note = "caf\xe9";
  CHECK_EQUAL(weft_trainer_save(trainer, folder, &options), WEFT_ERR_ARGUMENT);
  CHECK_CONTAINS(weft_trainer_error(trainer), "metadata 'note': expected valid UTF-8");
  CHECK_EQUAL(entries(folder), 1);
  CHECK_EQUAL(weft_trainer_load(trainer, folder, note, sizeof note), WEFT_OK);
  CHECK_TEXT(note, "fine");
  finish(trainer);
}

/* Writes trainer.safetensors again with another step and a right digest. */
static void forge_step(const char *name, const char *step) {
  weft_tensor_file *file;
  weft_tensor tensors[8];
  float data[8][TRAINED_WIDTH];
  const char *pairs[2 * WEFT_METAS];
  char digest_text[24];
  weft_digest digest;
  CHECK_EQUAL(weft_tensor_file_open(in(name), NULL, &file), WEFT_OK);
  weft_digest_begin(&digest);
  for (int i = 0; i < WEFT_METAS; ++i) {
    pairs[2 * i] = weft_checkpoint_keys[i];
    pairs[2 * i + 1] = i == WEFT_META_STEP ? step : weft_tensor_file_metadata(file, weft_checkpoint_keys[i]);
    if (i < WEFT_META_DIGEST) weft_digest_add(&digest, pairs[2 * i + 1], strlen(pairs[2 * i + 1]) + 1);
  }
  const int64_t count = weft_tensor_file_count(file);
  for (int64_t i = 0; i < count; ++i) {
    const weft_tensor_info *info = weft_tensor_file_at(file, i);
    tensors[i] = (weft_tensor){.name = info->name, .dtype = info->dtype, .rank = info->rank, .data = data[i]};
    memcpy(tensors[i].shape, info->shape, sizeof info->shape);
    CHECK_EQUAL(weft_tensor_file_read(file, i, data[i], (size_t)info->bytes), WEFT_OK);
    weft_digest_tensor(&digest, info->name, info->rank, info->shape);
    weft_digest_add(&digest, data[i], (size_t)info->bytes);
  }
  snprintf(digest_text, sizeof digest_text, "%016llx", (unsigned long long)weft_digest_end(&digest));
  pairs[2 * WEFT_META_DIGEST + 1] = digest_text;
  CHECK_EQUAL(weft_safetensors_write(in(name), tensors, count, pairs, WEFT_METAS, NULL, NULL, 0), WEFT_OK);
  weft_tensor_file_close(file);
}

static void a_step_that_is_not_its_folders_is_damage(void) {
  static const char *const steps[] = {"18446744073709551615", "9223372036854775807", "5", "2"};
  weft_trainer *trainer = with_two_checkpoints(2);
  state newest = read_state(trainer);
  for (int i = 0; i < 4; ++i) {
    forge_step("step-0000000004/trainer.safetensors", steps[i]);
    CHECK_EQUAL(weft_trainer_load(trainer, folder, NULL, 0), WEFT_OK);
    CHECK_EQUAL(read_state(trainer).step, 2);
    CHECK_CONTAINS(warning, "trainer.safetensors: expected step 4, as its folder is named, but got ");
  }
  forge_step("step-0000000004/trainer.safetensors", "4");
  CHECK_EQUAL(weft_trainer_load(trainer, folder, NULL, 0), WEFT_OK);
  CHECK(same(newest, read_state(trainer)));
  finish(trainer);
}

static void others_are_refused(void) {
  empty();
  const weft_optimizer_desc adam = trained_train.optimizer;
  weft_trainer *trainer = make(NULL, 3);
  CHECK_EQUAL(weft_trainer_load(trainer, folder, NULL, 0), WEFT_ERR_MISSING);
  CHECK_CONTAINS(weft_trainer_error(trainer), ": there is no checkpoint");
  CHECK_EQUAL(weft_trainer_load(trainer, in("nowhere"), NULL, 0), WEFT_ERR_MISSING);
  CHECK_CONTAINS(weft_trainer_error(trainer), "/nowhere: there is no such folder, so no checkpoint");
  run(trainer, 1);
  CHECK_EQUAL(weft_trainer_save(trainer, folder, NULL), WEFT_OK);
  finish(trainer);
  trainer = make(NULL, 4);
  state before = read_state(trainer);
  CHECK_EQUAL(weft_trainer_load(trainer, folder, NULL, 0), WEFT_ERR_FORMAT);
  CHECK_CONTAINS(weft_trainer_error(trainer), "step-0000000001: expected a checkpoint of seed 4 but got one of 3");
  CHECK(same(before, read_state(trainer)));
  finish(trainer);
  trained_train.optimizer = (weft_optimizer_desc){WEFT_SGD, 0, .1, 0, 0, 0, 0, 0};
  trainer = make(NULL, 3);
  CHECK_EQUAL(weft_trainer_load(trainer, folder, NULL, 0), WEFT_ERR_FORMAT);
  CHECK_CONTAINS(weft_trainer_error(trainer), "expected a checkpoint of optimizer 'sgd' but got one of 'adam'");
  finish(trainer);
  trained_train.optimizer = adam;
}

/* ---- Allocations that fail ---------------------------------------------------------------------------------------- */

typedef struct counting {
  long calls, fail_at, blocks;
} counting;

static void *count_allocate(void *user, size_t bytes, size_t alignment) {
  counting *c = user;
  if (c->calls++ == c->fail_at) return NULL;
  void *memory = aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (memory) memset(memory, 0xa5, bytes);
  c->blocks += memory != NULL;
  return memory;
}
static void count_release(void *user, void *memory, size_t bytes) {
  (void)bytes;
  --((counting *)user)->blocks;
  free(memory);
}

static void every_allocation_may_fail(void) {
  for (long at = 0;; ++at) {
    empty();
    counting c = {0, at, 0};
    weft_allocator allocator = {count_allocate, count_release, &c};
    weft_model_options options = {.allocator = &allocator};
    weft_trainer_options training = {.threads = 2};
    const int64_t dims[] = {TRAINED_MAX_B};
    weft_trainer *trainer = NULL;
    int failed = !(model = trained_open(&options));
    if (!failed) {
      weft_status status = weft_trainer_create(model, dims, &training, &trainer);
      failed = status != WEFT_OK;
      CHECK(!status || status == WEFT_ERR_MEMORY);
      if (!status) {
        run(trainer, 1);
        status = weft_trainer_save(trainer, folder, NULL);
        failed |= status != WEFT_OK;
        CHECK(!status || status == WEFT_ERR_MEMORY);
        if (!status && (status = weft_trainer_load(trainer, folder, NULL, 0)) != WEFT_OK) {
          failed = 1;
          CHECK(status == WEFT_ERR_MEMORY || status == WEFT_ERR_FORMAT);
        }
        if (weft_trainer_publish(trainer) == WEFT_ERR_MEMORY) failed = 1;
      }
      weft_trainer_destroy(trainer);
      CHECK_EQUAL(weft_model_close(model), WEFT_OK);
    }
    CHECK_EQUAL(c.blocks, 0);
    if (c.calls <= at) {
      CHECK(!failed);
      break;
    }
    ++faults;
  }
}

int main(void) {
  trained_train.optimizer = (weft_optimizer_desc){WEFT_ADAM, 0, .05, 0, .9, .95, 1e-8, .01};
  scratch_folder(folder, sizeof folder, "checkpoint");
  training_goes_on_bit_by_bit();
  weights_of_a_checkpoint_load_by_themselves();
  the_last_ones_are_kept();
  a_save_that_fails_leaves_the_older_one();
  the_folder_itself_is_synced();
  a_load_that_fails_says_so();
  parameters_have_values_while_a_checkpoint_is_read();
  damage_is_found();
  a_damaged_newest_does_not_push_out_good_ones();
  a_loaded_trainer_knows_no_loss();
  a_note_that_is_no_utf8_is_refused();
  a_step_that_is_not_its_folders_is_damage();
  others_are_refused();
  every_allocation_may_fail();
  empty();
  rmdir(folder);
  printf("%ld faults\n", faults);
  return check_failures != 0;
}
