/* Saving checkpoints: all files of one into a temporary folder, synced, which is then renamed; older ones go only after.
 * No moment leaves fewer whole checkpoints than there were. */
#include "checkpoint.h"

#include "memory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TEMPORARY ".tmp-step-"
#define ASIDE ".old-step-"
#define WHOLE "step-"
enum { BUFFER = 1 << 20, DIGITS = 10 };

const char *const weft_checkpoint_keys[WEFT_METAS] = {"format", "model",   "optimizer",   "seed",       "step", "batches", "samples",
                                                      "tokens", "skipped", "loss_scale", "good_updates", "model_bytes", "model_hash", "note", "digest"};
const char *const weft_optimizer_names[3] = {"sgd", "adam", "adamw"};

const weft_file_ops *weft_trainer_files(const weft_trainer *trainer) {
  const weft_file_ops *files = trainer->model->options.files;
  return files ? files : weft_system_files();
}

void weft_digest_tensor(weft_digest *digest, const char *name, int32_t rank, const int64_t *shape) {
  weft_digest_add(digest, name, strlen(name) + 1);
  weft_digest_add(digest, shape, (size_t)rank * sizeof *shape);
}

int64_t weft_checkpoint_number(const char *name, bool *aside) {
  *aside = !strncmp(name, ASIDE, strlen(ASIDE));
  if (*aside) name += strlen(ASIDE);
  else if (!strncmp(name, WHOLE, strlen(WHOLE))) name += strlen(WHOLE);
  else return -1;
  int64_t number = 0;
  int digits = 0;
  for (; name[digits] >= '0' && name[digits] <= '9' && digits < 18; ++digits) number = number * 10 + (name[digits] - '0');
  return digits >= DIGITS && !name[digits] ? number : -1;
}

int weft_hash_file(const weft_file_ops *files, const char *path, void *buffer, int64_t buffer_bytes, int64_t *out_bytes, uint64_t *out_hash) {
  int file = files->open_read(files->user, NULL, path);
  if (file < 0) return file;
  bool regular = false;
  weft_digest digest;
  weft_digest_begin(&digest);
  int code = files->size(files->user, file, out_bytes, &regular);
  if (!code && !regular) code = -EINVAL;
  for (int64_t at = 0; !code && at < *out_bytes;) {
    int64_t piece = *out_bytes - at < buffer_bytes ? *out_bytes - at : buffer_bytes;
    code = weft_read_fully(files, file, buffer, piece, at);
    if (!code) weft_digest_add(&digest, buffer, (size_t)piece);
    at += piece;
  }
  files->close(files->user, file);
  *out_hash = weft_digest_end(&digest);
  return code;
}

typedef struct saving {
  weft_trainer *trainer;
  const weft_file_ops *files;
  const char *folder;
  const weft_checkpoint_options *options;
  weft_path temporary, path, other;
  char *buffer;
  /* What a walk over the folder looks for. */
  int64_t newest_below, found;
} saving;

static weft_status io_error(saving *s, const char *path, const char *what, int code) {
  return weft_fail(&s->trainer->error, WEFT_ERR_IO, "%s: cannot %s: %s", weft_quote(path).text, what, weft_errno(code).text);
}

bool weft_join_path(weft_path *path, const char *folder, const char *name) {
  int length = snprintf(path->text, sizeof path->text, "%s/%s", folder, name);
  return (size_t)length < sizeof path->text;
}

/* ---- Removing --------------------------------------------------------------------------------------------------- */

typedef struct removal {
  const weft_file_ops *files;
  const char *folder;
} removal;

static int remove_file(void *context, const char *name) {
  const removal *r = context;
  weft_path path;
  if (weft_join_path(&path, r->folder, name)) r->files->remove(r->files->user, path.text);
  return 0;
}

/* What can't be removed stays, and is tried again at the next save. */
static void remove_checkpoint(const weft_file_ops *files, const char *folder) {
  removal r = {files, folder};
  files->list(files->user, folder, remove_file, &r);
  files->remove_directory(files->user, folder);
}

static int remove_temporary(void *context, const char *name) {
  saving *s = context;
  if (!strncmp(name, TEMPORARY, strlen(TEMPORARY)) && weft_join_path(&s->path, s->folder, name)) remove_checkpoint(s->files, s->path.text);
  return 0;
}

static int remove_aside(void *context, const char *name) {
  saving *s = context;
  bool aside;
  if (weft_checkpoint_number(name, &aside) >= 0 && aside && weft_join_path(&s->path, s->folder, name)) remove_checkpoint(s->files, s->path.text);
  return 0;
}

static int find_newest_below(void *context, const char *name) {
  saving *s = context;
  bool aside;
  int64_t number = weft_checkpoint_number(name, &aside);
  if (!aside && number > s->found && number < s->newest_below) s->found = number;
  return 0;
}

static void name_checkpoint(char *text, size_t size, const char *prefix, int64_t number) {
  snprintf(text, size, "%s%0*lld", prefix, DIGITS, (long long)number);
}

/* Puts aside, then removes, all but the newest `keep` up to the one just saved. Later ones are not those that this training
 * goes on from: it began behind them because they are damaged. Counting them would leave only them. */
static void prune(saving *s, int64_t keep) {
  char name[64];
  s->newest_below = (int64_t)s->trainer->metrics.step + 1;
  for (int64_t kept = 0;; ++kept) {
    s->found = -1;
    if (s->files->list(s->files->user, s->folder, find_newest_below, s) || s->found < 0) return;
    s->newest_below = s->found;
    if (kept < keep) continue;
    name_checkpoint(name, sizeof name, WHOLE, s->found);
    weft_join_path(&s->path, s->folder, name);
    name_checkpoint(name, sizeof name, ASIDE, s->found);
    weft_join_path(&s->other, s->folder, name);
    if (s->files->rename(s->files->user, s->path.text, s->other.text) < 0) return;
    remove_checkpoint(s->files, s->other.text);
  }
}

/* ---- Writing ---------------------------------------------------------------------------------------------------- */

/* Moments of the trained tensors as "m.NAME", "v.NAME"; names are written to `names`. */
static int64_t list_moments(weft_trainer *trainer, weft_tensor *tensors, char *names, int64_t *name_bytes) {
  const weft_train_desc *train = trainer->train;
  float *const memories[] = {trainer->m, trainer->v};
  int64_t count = 0, used = 0;
  for (int kind = 0; kind < 2; ++kind)
    for (int32_t i = 0; memories[kind] && i < train->tensors; ++i) {
      const weft_param_desc *param = &trainer->desc->param[train->tensor[i].param];
      int64_t length = (int64_t)strlen(param->name) + 3;
      if (tensors) {
        weft_tensor *tensor = &tensors[count];
        snprintf(names + used, (size_t)length, "%c.%s", kind ? 'v' : 'm', param->name);
        tensor->name = names + used;
        tensor->dtype = WEFT_F32;
        tensor->rank = param->rank;
        for (int32_t axis = 0; axis < param->rank; ++axis) tensor->shape[axis] = param->shape[axis];
        tensor->data = memories[kind] + trainer->begins[i];
      }
      used += length;
      ++count;
    }
  *name_bytes = used;
  return count;
}

static void format_numbers(const weft_trainer *trainer, const char *note, int64_t model_bytes, uint64_t model_hash, char numbers[WEFT_METAS][24],
                           const char *values[WEFT_METAS]) {
  const weft_metrics *m = &trainer->metrics;
  const uint64_t written[WEFT_METAS] = {
      [WEFT_META_SEED] = trainer->options.seed, [WEFT_META_STEP] = m->step,       [WEFT_META_BATCHES] = m->batches, [WEFT_META_SAMPLES] = m->samples,
      [WEFT_META_TOKENS] = m->tokens,           [WEFT_META_SKIPPED] = m->skipped, [WEFT_META_MODEL_BYTES] = (uint64_t)model_bytes,
      [WEFT_META_LOSS_SCALE] = (uint64_t)m->loss_scale, [WEFT_META_GOOD_UPDATES] = trainer->good_updates,
  };
  for (int i = 0; i < WEFT_METAS; ++i) {
    snprintf(numbers[i], 24, "%llu", (unsigned long long)written[i]);
    values[i] = numbers[i];
  }
  snprintf(numbers[WEFT_META_MODEL_HASH], 24, "%016llx", (unsigned long long)model_hash);
  values[WEFT_META_FORMAT] = WEFT_CHECKPOINT_FORMAT;
  values[WEFT_META_MODEL] = trainer->desc->name;
  values[WEFT_META_OPTIMIZER] = weft_optimizer_names[trainer->optimizer.kind];
  values[WEFT_META_NOTE] = note ? note : "";
}

static weft_status write_trainer(saving *s, int64_t model_bytes, uint64_t model_hash) {
  weft_trainer *trainer = s->trainer;
  int64_t name_bytes, count = list_moments(trainer, NULL, NULL, &name_bytes);
  int64_t bytes = count * (int64_t)sizeof(weft_tensor) + name_bytes;
  weft_tensor *tensors = weft_allocate(&trainer->allocator, bytes);
  if (!tensors) return weft_fail(&trainer->error, WEFT_ERR_MEMORY, "%s: out of memory for a checkpoint", trainer->desc->name);
  memset(tensors, 0, (size_t)bytes);
  list_moments(trainer, tensors, (char *)(tensors + count), &name_bytes);

  char numbers[WEFT_METAS][24], text[500] = "";
  const char *values[WEFT_METAS], *pairs[2 * WEFT_METAS];
  format_numbers(trainer, s->options ? s->options->note : NULL, model_bytes, model_hash, numbers, values);
  weft_digest digest;
  weft_digest_begin(&digest);
  for (int i = 0; i < WEFT_META_DIGEST; ++i) weft_digest_add(&digest, values[i], strlen(values[i]) + 1);
  for (int64_t i = 0; i < count; ++i) {
    int64_t elements = 1;
    for (int32_t axis = 0; axis < tensors[i].rank; ++axis) elements *= tensors[i].shape[axis];
    weft_digest_tensor(&digest, tensors[i].name, tensors[i].rank, tensors[i].shape);
    weft_digest_add(&digest, tensors[i].data, (size_t)elements * sizeof(float));
  }
  snprintf(numbers[WEFT_META_DIGEST], 24, "%016llx", (unsigned long long)weft_digest_end(&digest));
  for (int i = 0; i < WEFT_METAS; ++i) {
    pairs[2 * i] = weft_checkpoint_keys[i];
    pairs[2 * i + 1] = values[i];
  }
  weft_tensor_options options = {&trainer->allocator, trainer->model->options.files, trainer->model->options.limits};
  weft_join_path(&s->path, s->temporary.text, WEFT_CHECKPOINT_TRAINER);
  weft_status status = weft_safetensors_write(s->path.text, tensors, count, pairs, WEFT_METAS, &options, text, sizeof text);
  if (status) weft_fail(&trainer->error, status, "%s: %s", weft_quote(s->path.text).text, text);
  weft_release(&trainer->allocator, tensors, bytes);
  return status;
}

static weft_status write_files(saving *s) {
  weft_trainer *trainer = s->trainer;
  int64_t bytes;
  uint64_t hash;
  int code;
  weft_join_path(&s->path, s->temporary.text, WEFT_CHECKPOINT_MODEL);
  weft_status status = weft_model_save(trainer->model, s->path.text);
  if (status) return weft_fail(&trainer->error, status, "%s", trainer->model->error.text);
  if ((code = weft_hash_file(s->files, s->path.text, s->buffer, BUFFER, &bytes, &hash)) < 0) return io_error(s, s->path.text, "read back", code);
  return write_trainer(s, bytes, hash);
}

/* Gives the temporary folder its name. One of that name already is put aside first, and found there if we end here. */
static weft_status publish(saving *s) {
  char name[64];
  const int64_t number = (int64_t)s->trainer->metrics.step;
  name_checkpoint(name, sizeof name, WHOLE, number);
  weft_join_path(&s->path, s->folder, name);
  name_checkpoint(name, sizeof name, ASIDE, number);
  weft_join_path(&s->other, s->folder, name);
  int code = s->files->sync_directory(s->files->user, s->temporary.text);
  if (code < 0) return io_error(s, s->temporary.text, "sync", code);
  code = s->files->rename(s->files->user, s->temporary.text, s->path.text);
  if (code == -ENOTEMPTY || code == -EEXIST) {
    remove_checkpoint(s->files, s->other.text);
    code = s->files->rename(s->files->user, s->path.text, s->other.text);
    if (code >= 0) code = s->files->rename(s->files->user, s->temporary.text, s->path.text);
  }
  if (code < 0) return io_error(s, s->path.text, "rename", code);
  code = s->files->sync_directory(s->files->user, s->folder);
  return code < 0 ? io_error(s, s->folder, "sync", code) : WEFT_OK;
}

/* The folder's own name must last as well, whoever made it: perhaps a save that did not end. One that lies where we may not
 * look was not made by us. */
static weft_status make_folder(saving *s) {
  const int made = s->files->make_directory(s->files->user, s->folder);
  if (made < 0 && made != -EEXIST) return io_error(s, s->folder, "create the folder", made);
  snprintf(s->path.text, sizeof s->path.text, "%s", s->folder);
  weft_folder_of(s->path.text);
  const int code = s->files->sync_directory(s->files->user, s->path.text);
  return code < 0 && (made >= 0 || code != -EACCES) ? io_error(s, s->path.text, "sync", code) : WEFT_OK;
}

static weft_status save(saving *s) {
  weft_trainer *trainer = s->trainer;
  char name[80];
  if (trainer->added)
    return weft_fail(&trainer->error, WEFT_ERR_ARGUMENT, "%s: expected the update to be complete: %lld of %lld batches are added", trainer->desc->name,
                     (long long)trainer->added, (long long)trainer->accumulate);
  snprintf(name, sizeof name, TEMPORARY "%0*lld-%ld", DIGITS, (long long)trainer->metrics.step, (long)getpid());
  if (!s->folder || !*s->folder) return weft_fail(&trainer->error, WEFT_ERR_ARGUMENT, "expected a folder's path");
  if (s->options && s->options->keep < 0)
    return weft_fail(&trainer->error, WEFT_ERR_ARGUMENT, "keep is %lld, expected at least 0", (long long)s->options->keep);
  /* No path of a save is longer than this one. */
  if (!weft_join_path(&s->temporary, s->folder, name) || !weft_join_path(&s->path, s->temporary.text, WEFT_CHECKPOINT_TRAINER))
    return weft_fail(&trainer->error, WEFT_ERR_ARGUMENT, "the folder's path is too long");
  weft_status status = make_folder(s);
  if (status) return status;
  int code;
  /* Leftovers of a save that did not end; they may hold the space that this one needs. */
  if ((code = s->files->list(s->files->user, s->folder, remove_temporary, s)) < 0) return io_error(s, s->folder, "read the folder", code);
  if ((code = s->files->make_directory(s->files->user, s->temporary.text)) < 0) return io_error(s, s->temporary.text, "create the folder", code);
  status = write_files(s);
  if (!status) status = publish(s);
  if (status) {
    remove_checkpoint(s->files, s->temporary.text);
    return status;
  }
  s->files->list(s->files->user, s->folder, remove_aside, s);
  if (s->options && s->options->keep > 0) prune(s, s->options->keep);
  return WEFT_OK;
}

weft_status weft_trainer_save(weft_trainer *trainer, const char *folder, const weft_checkpoint_options *options) {
  weft_status status = weft_trainer_enter(trainer);
  if (status) return status;
  const int64_t bytes = (int64_t)sizeof(saving) + BUFFER;
  saving *s = weft_allocate(&trainer->allocator, bytes);
  if (!s) {
    status = weft_fail(&trainer->error, WEFT_ERR_MEMORY, "%s: out of memory for a checkpoint", trainer->desc->name);
  } else {
    memset(s, 0, sizeof *s);
    s->trainer = trainer;
    s->files = weft_trainer_files(trainer);
    s->folder = folder;
    s->options = options;
    s->buffer = (char *)(s + 1);
    status = save(s);
  }
  weft_release(&trainer->allocator, s, bytes);
  weft_trainer_leave(trainer);
  return status;
}
