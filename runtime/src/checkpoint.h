/* The parts of a checkpoint that saving and loading share: names of files and of metadata, checksums. */
#ifndef WEFT_CHECKPOINT_H
#define WEFT_CHECKPOINT_H

#include "digest.h"
#include "fileops.h"
#include "tensor_file.h"
#include "trainer.h"

#pragma GCC visibility push(hidden)

#define WEFT_CHECKPOINT_MODEL "model.safetensors"
#define WEFT_CHECKPOINT_TRAINER "trainer.safetensors"
#define WEFT_CHECKPOINT_FORMAT "weft-checkpoint-2"

/* Metadata of trainer.safetensors, in this order; DIGEST covers the values before it, then each tensor's name, shape and bytes. */
enum {
  WEFT_META_FORMAT,
  WEFT_META_MODEL,       /* the model's name */
  WEFT_META_OPTIMIZER,   /* "sgd", "adam", "adamw" */
  WEFT_META_SEED,
  WEFT_META_STEP,        /* and the other counters of weft_metrics */
  WEFT_META_BATCHES,
  WEFT_META_SAMPLES,
  WEFT_META_TOKENS,
  WEFT_META_SKIPPED,
  WEFT_META_LOSS_SCALE,
  WEFT_META_GOOD_UPDATES, /* since it last changed */
  WEFT_META_MODEL_BYTES, /* of model.safetensors */
  WEFT_META_MODEL_HASH,
  WEFT_META_NOTE,
  WEFT_META_DIGEST,
  WEFT_METAS
};
extern const char *const weft_checkpoint_keys[WEFT_METAS];
extern const char *const weft_optimizer_names[3];

typedef struct weft_path {
  char text[4096];
} weft_path;

/* "folder/name"; false: too long. */
bool weft_join_path(weft_path *path, const char *folder, const char *name);

/* Adds what a digest covers of a tensor beside its bytes. */
void weft_digest_tensor(weft_digest *digest, const char *name, int32_t rank, const int64_t *shape);

/* Number of a checkpoint from its folder's name "step-0000000012", or of one that was put aside; -1: neither. */
int64_t weft_checkpoint_number(const char *name, bool *aside);

const weft_file_ops *weft_trainer_files(const weft_trainer *trainer);
/* Hashes a whole file through `buffer`. 0 or -errno. */
int weft_hash_file(const weft_file_ops *files, const char *path, void *buffer, int64_t buffer_bytes, int64_t *out_bytes, uint64_t *out_hash);

#pragma GCC visibility pop
#endif /* WEFT_CHECKPOINT_H */
