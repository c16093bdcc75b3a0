/* Files of tensors: safetensors (one file, several, or shards with an index) and NumPy's .npy.
 * Files are treated as hostile: every number in them is checked against the real length of the file before it is used.
 * What is larger than weft_tensor_limits is refused before memory is taken for it. */
#ifndef WEFT_TENSORS_H
#define WEFT_TENSORS_H

#include "weft/abi.h"
#include "weft/status.h"

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default)
#endif

typedef struct weft_tensor_file weft_tensor_file;

/* What a file may hold at most (WEFT_ERR_LIMIT). 0: the default. */
typedef struct weft_tensor_limits {
  int64_t header_bytes; /* of a header, and of an index of shards: 100,000,000 */
  int64_t tensors;      /* in all files that are opened as one: 1,000,000; goes up to 2^31 - 1 */
  int64_t name_bytes;   /* of a tensor's name: 1,024 */
  int64_t elements;     /* of a tensor: 2^40; goes up to 2^56 */
  int64_t metadata;     /* keys with a text: 1,000,000 */
  int64_t shards;       /* files that are opened as one: 10,000; goes up to 2^31 - 1 */
} weft_tensor_limits;

typedef struct weft_tensor_options {
  const weft_allocator *allocator;  /* copied */
  const weft_file_ops *files;       /* must outlive the file */
  const weft_tensor_limits *limits; /* copied */
} weft_tensor_options;

/* One tensor of a file. Pointers stay valid until the file is closed. */
typedef struct weft_tensor_info {
  const char *name;       /* UTF-8, as in the file; "" in .npy */
  const char *dtype_name; /* as in the file: "F32", "<f4" */
  int32_t dtype;          /* weft_dtype, or -1: a type that can be listed but not read */
  int32_t rank;
  int64_t shape[WEFT_MAX_RANK];
  int64_t elements, bytes;
  int64_t offset;         /* of the data in its file */
  int32_t part;           /* which file, for shards and lists */
} weft_tensor_info;

/* A tensor in memory, to be written. Row-major. */
typedef struct weft_tensor {
  const char *name;
  int32_t dtype; /* weft_dtype */
  int32_t rank;
  int64_t shape[WEFT_MAX_RANK];
  const void *data;
} weft_tensor;

/* ---- Reading ---------------------------------------------------------------------------------------------------- */

/* Opens a file and checks its header. The kind is taken from the name (`.npy`, `.json`: an index of shards in the same
 * folder, anything else: safetensors). Keeps the file open; data is read when asked for. When it fails, *out_file still
 * is a handle that holds the text (NULL only without memory).
 * Fails: WEFT_ERR_IO, WEFT_ERR_FORMAT, WEFT_ERR_MISSING, WEFT_ERR_UNSUPPORTED, WEFT_ERR_LIMIT, WEFT_ERR_MEMORY. */
weft_status weft_tensor_file_open(const char *path, const weft_tensor_options *options, weft_tensor_file **out_file);

/* Several safetensors files as one; a tensor that is in two of them is an error. */
weft_status weft_tensor_file_open_list(const char *const *paths, int64_t count, const weft_tensor_options *options,
                                       weft_tensor_file **out_file);

/* A whole safetensors or .npy file in memory, which must outlive the handle. Any alignment. */
weft_status weft_tensor_file_open_memory(const void *data, size_t bytes, const weft_tensor_options *options,
                                         weft_tensor_file **out_file);

void weft_tensor_file_close(weft_tensor_file *file);

/* The text of the last error, without the file's name: "tensor 'w': expected 24 bytes for F32 [2, 3] but got 20". */
const char *weft_tensor_file_error(const weft_tensor_file *file);

int64_t weft_tensor_file_count(const weft_tensor_file *file);
/* The tensor at an index (in the order of their data), or NULL. */
const weft_tensor_info *weft_tensor_file_at(const weft_tensor_file *file, int64_t index);
/* Index of the tensor of this name, or -1. */
int64_t weft_tensor_file_find(const weft_tensor_file *file, const char *name);

/* Reads a whole tensor as it is in the file. `bytes` must be its size. Bool tensors are checked for 0 and 1.
 * Fails: WEFT_ERR_IO (also when the file has been cut since), WEFT_ERR_FORMAT, WEFT_ERR_UNSUPPORTED. */
weft_status weft_tensor_file_read(weft_tensor_file *file, int64_t index, void *buffer, size_t bytes);

/* The string that the header's __metadata__ has for a key (first file that has it), or NULL. */
const char *weft_tensor_file_metadata(const weft_tensor_file *file, const char *key);

/* ---- Writing: the file appears whole or not at all (temporary file beside it, fsync, rename) ---------------------- */

/* `metadata`: `pairs` keys and values, alternating; may be NULL. Tensors are stored in order of falling alignment, then
 * as given. Names and metadata are valid UTF-8. On failure `error` (may be NULL) receives the text, cut at `error_size`.
 * Fails: WEFT_ERR_IO, WEFT_ERR_ARGUMENT (names twice or not UTF-8, bad shapes), WEFT_ERR_MEMORY. */
weft_status weft_safetensors_write(const char *path, const weft_tensor *tensors, int64_t count,
                                   const char *const *metadata, int64_t pairs, const weft_tensor_options *options,
                                   char *error, size_t error_size);

/* One tensor as .npy (version 1.0; bf16 is not a NumPy type: WEFT_ERR_UNSUPPORTED). The name is not used. */
weft_status weft_npy_write(const char *path, const weft_tensor *tensor, const weft_tensor_options *options, char *error,
                           size_t error_size);

/* ---- Element types ---------------------------------------------------------------------------------------------- */

/* Bytes of one element; 0: not a weft_dtype. */
size_t weft_dtype_size(int32_t dtype);
/* "f32" …; "?" for others. */
const char *weft_dtype_name(int32_t dtype);
/* Converts between f16, bf16, f32 and f64 (nearest, ties to even); equal types are copied. The two buffers may not
 * overlap; `from` need not be aligned. WEFT_ERR_UNSUPPORTED: no such conversion. */
weft_status weft_convert(void *to, int32_t to_dtype, const void *from, int32_t from_dtype, int64_t elements);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif
#endif /* WEFT_TENSORS_H */
