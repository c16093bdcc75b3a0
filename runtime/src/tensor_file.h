/* An open file of tensors, as its readers (safetensors, shards, npy) fill it. */
#ifndef WEFT_TENSOR_FILE_H
#define WEFT_TENSOR_FILE_H

#include "error.h"
#include "fileops.h"
#include "weft/tensors.h"

#include <stdbool.h>

#pragma GCC visibility push(hidden)

/* Fills in the defaults. WEFT_ERR_ARGUMENT: one is negative or cannot be so large. */
weft_status weft_resolve_limits(const weft_tensor_limits *given, weft_tensor_limits *out, weft_error *error);

/* One file on disk, or one block of memory. */
typedef struct weft_part {
  int file;                    /* -1: none */
  const unsigned char *memory; /* instead of a file */
  int64_t size;                /* real length in bytes */
  char *header;                /* names and metadata point into it */
  int64_t header_bytes;        /* allocated */
  int32_t first, count;        /* its tensors in weft_tensor_file.infos */
} weft_part;

typedef struct weft_metadata {
  const char *key, *value;
} weft_metadata;

struct weft_tensor_file {
  uint32_t magic;
  weft_allocator allocator;
  const weft_file_ops *files;
  weft_tensor_limits limits;
  weft_error error;
  weft_part *parts;
  int32_t part_count, part_capacity;
  weft_tensor_info *infos;
  int64_t count, capacity;
  int32_t *by_name; /* indices into infos, sorted by name */
  weft_metadata *metadata;
  int64_t metadata_count, metadata_capacity;
  bool complete; /* opened without an error */
};

/* Readers. Each appends the tensors of parts[part] and checks them completely. */
weft_status weft_read_safetensors(weft_tensor_file *file, int32_t part);
weft_status weft_read_npy(weft_tensor_file *file, int32_t part);
/* Opens the shards that the index at `path` names. */
weft_status weft_open_shards(weft_tensor_file *file, const char *path);

/* Opens a file as a new part. `directory`: see weft_file_ops.open_read. */
weft_status weft_open_part(weft_tensor_file *file, const char *directory, const char *name, int32_t *out_part);
/* Reads what lies inside the part's size. */
weft_status weft_read_part(weft_tensor_file *file, int32_t part, void *buffer, int64_t bytes, int64_t offset);

/* Reads `bytes` of a tensor's data from its byte `at` on. 0 or -errno. Any number of threads at once. */
int weft_read_tensor(const weft_tensor_file *file, const weft_tensor_info *info, void *buffer, int64_t bytes, int64_t at);

weft_status weft_append_info(weft_tensor_file *file, const weft_tensor_info *info);
weft_status weft_append_metadata(weft_tensor_file *file, const char *key, const char *value);
weft_status weft_no_memory(weft_tensor_file *file);
/* Sorts the names; a name twice is an error. */
weft_status weft_index_names(weft_tensor_file *file);
/* Index of a tensor by name, or -1; usable as soon as the names are sorted. */
int64_t weft_find_tensor(const weft_tensor_file *file, const char *name);

/* Element type of a safetensors dtype: bits of one element and weft_dtype or -1; 0 bits: no such type. */
int32_t weft_safetensors_dtype(const char *name, int32_t *out_dtype);
const char *weft_safetensors_dtype_name(int32_t dtype);
/* The same for .npy ("<f4"). */
int32_t weft_npy_dtype(const char *descr, int32_t *out_dtype);
const char *weft_npy_descr(int32_t dtype);

/* Sorts `order` (a list of `count` indices) stably; `scratch` has the same length. */
void weft_sort_indices(int32_t *order, int32_t *scratch, int64_t count,
                       int (*compare)(const void *context, int32_t a, int32_t b), const void *context);

#pragma GCC visibility pop
#endif /* WEFT_TENSOR_FILE_H */
