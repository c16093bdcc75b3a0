/* Continuing from a checkpoint: the newest that is whole. Everything is verified before anything is changed. */
#include "checkpoint.h"

#include "memory.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUFFER = 1 << 20 };

/* One that was found to be damaged is passed over; any other failure ends the search. */
typedef enum verdict { WHOLE_ONE, DAMAGED, FAILED } verdict; /* FAILED: loading.status says how */

typedef struct loading {
  weft_trainer *trainer;
  const weft_file_ops *files;
  const char *folder;
  weft_path path, file;
  char name[64];
  char reason[400], newest_reason[400];
  weft_status status;
  char *buffer;
  weft_tensor_file *tensors; /* trainer.safetensors */
  const char *values[WEFT_METAS];
  uint64_t numbers[WEFT_METAS];
  /* What a walk over the folder looks for: the greatest (number, not put aside) below these. */
  int64_t below, found;
  bool below_aside, found_aside;
} loading;

static weft_tensor_options file_options(const loading *l) {
  weft_tensor_options options = {&l->trainer->allocator, l->trainer->model->options.files, l->trainer->model->options.limits};
  return options;
}

__attribute__((format(printf, 2, 3))) static verdict damaged(loading *l, const char *format, ...) {
  va_list list;
  va_start(list, format);
  vsnprintf(l->reason, sizeof l->reason, format, list);
  va_end(list);
  return DAMAGED;
}

static bool precedes(int64_t a, bool a_aside, int64_t b, bool b_aside) { return a != b ? a < b : a_aside && !b_aside; }

static int find_next(void *context, const char *name) {
  loading *l = context;
  bool aside;
  int64_t number = weft_checkpoint_number(name, &aside);
  if (number < 0 || !precedes(number, aside, l->below, l->below_aside)) return 0;
  if (l->found >= 0 && !precedes(l->found, l->found_aside, number, aside)) return 0;
  l->found = number;
  l->found_aside = aside;
  snprintf(l->name, sizeof l->name, "%s", name);
  return 0;
}

/* ---- Verifying -------------------------------------------------------------------------------------------------- */

static bool parse(const char *text, int base, uint64_t *out) {
  errno = 0;
  *out = strtoull(text, NULL, base);
  return *text && !text[strspn(text, base == 16 ? "0123456789abcdef" : "0123456789")] && !errno;
}

static verdict read_values(loading *l) {
  for (int i = 0; i < WEFT_METAS; ++i) {
    l->values[i] = weft_tensor_file_metadata(l->tensors, weft_checkpoint_keys[i]);
    if (!l->values[i]) return damaged(l, "%s: expected metadata '%s'", WEFT_CHECKPOINT_TRAINER, weft_checkpoint_keys[i]);
    bool text = i == WEFT_META_FORMAT || i == WEFT_META_MODEL || i == WEFT_META_OPTIMIZER || i == WEFT_META_NOTE;
    int base = i == WEFT_META_MODEL_HASH || i == WEFT_META_DIGEST ? 16 : 10;
    if (!text && !parse(l->values[i], base, &l->numbers[i]))
      return damaged(l, "%s: metadata '%s' is not a number", WEFT_CHECKPOINT_TRAINER, weft_checkpoint_keys[i]);
  }
  return WHOLE_ONE;
}

static verdict check_digest(loading *l) {
  weft_digest digest;
  weft_digest_begin(&digest);
  for (int i = 0; i < WEFT_META_DIGEST; ++i) weft_digest_add(&digest, l->values[i], strlen(l->values[i]) + 1);
  for (int64_t i = 0; i < weft_tensor_file_count(l->tensors); ++i) {
    const weft_tensor_info *info = weft_tensor_file_at(l->tensors, i);
    weft_digest_tensor(&digest, info->name, info->rank, info->shape);
    for (int64_t at = 0; at < info->bytes; at += BUFFER) {
      int64_t piece = info->bytes - at < BUFFER ? info->bytes - at : BUFFER;
      int code = weft_read_tensor(l->tensors, info, l->buffer, piece, at);
      if (code) return damaged(l, "%s: cannot read: %s", WEFT_CHECKPOINT_TRAINER, weft_errno(code).text);
      weft_digest_add(&digest, l->buffer, (size_t)piece);
    }
  }
  if (weft_digest_end(&digest) != l->numbers[WEFT_META_DIGEST]) return damaged(l, "%s: its checksum does not match", WEFT_CHECKPOINT_TRAINER);
  return WHOLE_ONE;
}

static verdict check_model_file(loading *l) {
  int64_t bytes = 0;
  uint64_t hash;
  weft_join_path(&l->file, l->path.text, WEFT_CHECKPOINT_MODEL);
  int code = weft_hash_file(l->files, l->file.text, l->buffer, BUFFER, &bytes, &hash);
  if (code < 0) return damaged(l, "%s: cannot read: %s", WEFT_CHECKPOINT_MODEL, weft_errno(code).text);
  if ((uint64_t)bytes != l->numbers[WEFT_META_MODEL_BYTES])
    return damaged(l, "%s: expected %llu bytes but got %lld", WEFT_CHECKPOINT_MODEL, (unsigned long long)l->numbers[WEFT_META_MODEL_BYTES], (long long)bytes);
  if (hash != l->numbers[WEFT_META_MODEL_HASH]) return damaged(l, "%s: its checksum does not match", WEFT_CHECKPOINT_MODEL);
  return WHOLE_ONE;
}

__attribute__((format(printf, 2, 3))) static verdict other(loading *l, const char *format, ...) {
  char text[400];
  va_list list;
  va_start(list, format);
  vsnprintf(text, sizeof text, format, list);
  va_end(list);
  l->status = weft_fail(&l->trainer->error, WEFT_ERR_FORMAT, "%s: %s", weft_quote(l->path.text).text, text);
  return FAILED;
}

/* Where a moment stands; NULL: the file must not have it. */
static float *place_of(const weft_trainer *trainer, const char *name, const weft_param_desc **out_param) {
  float *memory = name[0] == 'm' ? trainer->m : name[0] == 'v' ? trainer->v : NULL;
  if (!memory || name[1] != '.') return NULL;
  for (int32_t i = 0; i < trainer->train->tensors; ++i) {
    *out_param = &trainer->desc->param[trainer->train->tensor[i].param];
    if (!strcmp((*out_param)->name, name + 2)) return memory + trainer->begins[i];
  }
  return NULL;
}

/* A whole one has the number of its folder; a greater one than a folder can have would leave the next saves without a name. */
static verdict check_step(loading *l) {
  if (l->numbers[WEFT_META_STEP] == (uint64_t)l->found) return WHOLE_ONE;
  return damaged(l, "%s: expected step %lld, as its folder is named, but got %s", WEFT_CHECKPOINT_TRAINER, (long long)l->found,
                 weft_quote(l->values[WEFT_META_STEP]).text);
}

/* Whole, but is it this model's? */
static verdict check_match(loading *l) {
  const weft_trainer *trainer = l->trainer;
  const weft_train_desc *train = trainer->train;
  if (strcmp(l->values[WEFT_META_FORMAT], WEFT_CHECKPOINT_FORMAT))
    return other(l, "expected format '" WEFT_CHECKPOINT_FORMAT "' but got '%s'", weft_quote(l->values[WEFT_META_FORMAT]).text);
  if (strcmp(l->values[WEFT_META_MODEL], trainer->desc->name))
    return other(l, "expected a checkpoint of model '%s' but got one of '%s'", trainer->desc->name, weft_quote(l->values[WEFT_META_MODEL]).text);
  if (strcmp(l->values[WEFT_META_OPTIMIZER], weft_optimizer_names[trainer->optimizer.kind]))
    return other(l, "expected a checkpoint of optimizer '%s' but got one of '%s'", weft_optimizer_names[trainer->optimizer.kind], weft_quote(l->values[WEFT_META_OPTIMIZER]).text);
  if (l->numbers[WEFT_META_SEED] != trainer->options.seed)
    return other(l, "expected a checkpoint of seed %llu but got one of %llu", (unsigned long long)trainer->options.seed, (unsigned long long)l->numbers[WEFT_META_SEED]);
  if (!weft_is_loss_scale(trainer, l->numbers[WEFT_META_LOSS_SCALE], l->numbers[WEFT_META_GOOD_UPDATES]))
    return other(l, "a loss scale of %s after %s good updates is none of this model's", weft_quote(l->values[WEFT_META_LOSS_SCALE]).text,
                 weft_quote(l->values[WEFT_META_GOOD_UPDATES]).text);
  int64_t wanted = (int64_t)train->tensors * ((trainer->m != NULL) + (trainer->v != NULL)), count = weft_tensor_file_count(l->tensors);
  for (int64_t i = 0; i < count; ++i) {
    const weft_tensor_info *info = weft_tensor_file_at(l->tensors, i);
    const weft_param_desc *param;
    if (!place_of(trainer, info->name, &param)) return other(l, "tensor '%s' is not one of this model's moments", weft_quote(info->name).text);
    bool same = info->dtype == WEFT_F32 && info->rank == param->rank;
    for (int32_t axis = 0; same && axis < info->rank; ++axis) same = info->shape[axis] == param->shape[axis];
    if (!same)
      return other(l, "tensor '%s': expected f32 %s but got %s %s", weft_quote(info->name).text, weft_format_shape(param->shape, param->rank).text,
                   info->dtype_name, weft_format_shape(info->shape, info->rank).text);
  }
  return count == wanted ? WHOLE_ONE : other(l, "expected a checkpoint with %lld moments, as the model has parameters to train, but got %lld", (long long)wanted, (long long)count);
}

/* ---- Reading ---------------------------------------------------------------------------------------------------- */

static weft_status read_model(loading *l) {
  weft_tensor_options options = file_options(l);
  weft_tensor_file *file = NULL;
  weft_error *error = &l->trainer->error;
  weft_status status = weft_tensor_file_open(l->file.text, &options, &file);
  if (status) weft_fail(error, status, "%s: %s", weft_quote(l->file.text).text, weft_tensor_file_error(file));
  else if ((status = weft_load_tensors(l->trainer->model, file)) != WEFT_OK)
    weft_fail(error, status, "%s: %s", weft_quote(l->file.text).text, l->trainer->model->error.text);
  weft_tensor_file_close(file);
  return status;
}

static weft_status read_moments(loading *l) {
  for (int64_t i = 0; i < weft_tensor_file_count(l->tensors); ++i) {
    const weft_tensor_info *info = weft_tensor_file_at(l->tensors, i);
    const weft_param_desc *param;
    weft_status status = weft_tensor_file_read(l->tensors, i, place_of(l->trainer, info->name, &param), (size_t)info->bytes);
    if (status) return weft_fail(&l->trainer->error, status, "%s: %s", weft_quote(l->path.text).text, weft_tensor_file_error(l->tensors));
  }
  return WEFT_OK;
}

static verdict read_checkpoint(loading *l, char *note, size_t note_size) {
  verdict result = check_match(l);
  if (result != WHOLE_ONE) return result;
  l->status = read_model(l);
  if (!l->status) l->status = read_moments(l);
  if (l->status) return FAILED;
  weft_metrics *m = &l->trainer->metrics;
  m->step = l->numbers[WEFT_META_STEP];
  m->batches = l->numbers[WEFT_META_BATCHES];
  m->samples = l->numbers[WEFT_META_SAMPLES];
  m->tokens = l->numbers[WEFT_META_TOKENS];
  m->skipped = l->numbers[WEFT_META_SKIPPED];
  m->loss = m->grad_norm = m->lr = NAN;
  weft_set_loss_scale(l->trainer, (double)l->numbers[WEFT_META_LOSS_SCALE]);
  l->trainer->good_updates = l->numbers[WEFT_META_GOOD_UPDATES];
  weft_forget_batches(l->trainer);
  if (note && note_size) snprintf(note, note_size, "%s", l->values[WEFT_META_NOTE]);
  return WHOLE_ONE;
}

static verdict try_checkpoint(loading *l, char *note, size_t note_size) {
  /* The longer of its two files' paths. */
  if (!weft_join_path(&l->path, l->folder, l->name) || !weft_join_path(&l->file, l->path.text, WEFT_CHECKPOINT_TRAINER)) return damaged(l, "its path is too long");
  weft_tensor_options options = file_options(l);
  weft_status status = weft_tensor_file_open(l->file.text, &options, &l->tensors);
  verdict result = WHOLE_ONE;
  if (status == WEFT_ERR_MEMORY) {
    l->status = weft_fail(&l->trainer->error, status, "%s: out of memory for a checkpoint", l->trainer->desc->name);
    result = FAILED;
  } else if (status) {
    result = damaged(l, "%s: %s", WEFT_CHECKPOINT_TRAINER, weft_tensor_file_error(l->tensors));
  }
  if (result == WHOLE_ONE) result = read_values(l);
  if (result == WHOLE_ONE) result = check_digest(l);
  if (result == WHOLE_ONE) result = check_step(l);
  if (result == WHOLE_ONE) result = check_model_file(l);
  if (result == WHOLE_ONE) result = read_checkpoint(l, note, note_size);
  weft_tensor_file_close(l->tensors);
  l->tensors = NULL;
  return result;
}

static weft_status search(loading *l, char *note, size_t note_size) {
  weft_trainer *trainer = l->trainer;
  const weft_trainer_options *options = &trainer->options;
  if (!l->folder || !*l->folder) return weft_fail(&trainer->error, WEFT_ERR_ARGUMENT, "expected a folder's path");
  int64_t seen = 0;
  l->below = INT64_MAX;
  for (;; ++seen) {
    l->found = -1;
    int code = l->files->list(l->files->user, l->folder, find_next, l);
    if (code == -ENOENT) return weft_fail(&trainer->error, WEFT_ERR_MISSING, "%s: there is no such folder, so no checkpoint", weft_quote(l->folder).text);
    if (code < 0) return weft_fail(&trainer->error, WEFT_ERR_IO, "%s: cannot read the folder: %s", weft_quote(l->folder).text, weft_errno(code).text);
    if (l->found < 0) break;
    l->below = l->found;
    l->below_aside = l->found_aside;
    switch (try_checkpoint(l, note, note_size)) {
    case WHOLE_ONE: return WEFT_OK;
    case FAILED: return l->status;
    case DAMAGED:
      weft_log(options->log, options->log_user, WEFT_LOG_WARNING, "checkpoint '%s' is damaged and passed over: %s", weft_quote(l->path.text).text, l->reason);
      if (!seen) snprintf(l->newest_reason, sizeof l->newest_reason, "%s", l->reason);
      break;
    }
  }
  if (!seen) return weft_fail(&trainer->error, WEFT_ERR_MISSING, "%s: there is no checkpoint", weft_quote(l->folder).text);
  return weft_fail(&trainer->error, WEFT_ERR_FORMAT, "%s: none of %lld checkpoints is whole; the newest: %s", weft_quote(l->folder).text, (long long)seen,
                   l->newest_reason);
}

weft_status weft_trainer_load(weft_trainer *trainer, const char *folder, char *note, size_t note_size) {
  weft_status status = weft_trainer_enter(trainer);
  if (status) return status;
  const int64_t bytes = (int64_t)sizeof(loading) + BUFFER;
  loading *l = weft_allocate(&trainer->allocator, bytes);
  if (!l) {
    status = weft_fail(&trainer->error, WEFT_ERR_MEMORY, "%s: out of memory for a checkpoint", trainer->desc->name);
  } else {
    memset(l, 0, sizeof *l);
    l->trainer = trainer;
    l->files = weft_trainer_files(trainer);
    l->folder = folder;
    l->buffer = (char *)(l + 1);
    status = search(l, note, note_size);
  }
  weft_release(&trainer->allocator, l, bytes);
  weft_trainer_leave(trainer);
  return status;
}
