/* What every function of the runtime can answer, and the hooks (memory, log) that applications may supply.
 * Included by runtime.h and tensors.h; applications include those. */
#ifndef WEFT_STATUS_H
#define WEFT_STATUS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default)
#endif

/* The result of a call. 0 is success; every other value is an error whose text the handle holds. A call that failed
 * leaves its handle usable, and what it did not promise to change unchanged. */
typedef enum weft_status {
  WEFT_OK = 0,
  WEFT_ERR_ARGUMENT = 1,    /* a pointer, index, option or name that makes no sense; a handle that is not one */
  WEFT_ERR_DIM = 2,         /* a size outside its range, or larger than the session was made for */
  WEFT_ERR_INDEX = 3,       /* an element of an input (or an index computed from it) is out of range */
  WEFT_ERR_LENGTH = 4,      /* a sequence would outgrow its cache or the session */
  WEFT_ERR_IO = 5,          /* the operating system could not open, read, write or rename a file */
  WEFT_ERR_FORMAT = 6,      /* a file's contents are wrong */
  WEFT_ERR_MISSING = 7,     /* a tensor, a shard, the weights, or what a step recalls are not there */
  WEFT_ERR_MEMORY = 8,      /* memory could not be allocated, or the caller's is too small */
  WEFT_ERR_CPU = 9,         /* this CPU lacks instructions that the object needs */
  WEFT_ERR_ABI = 10,        /* object and runtime were built for different interfaces */
  WEFT_ERR_BUSY = 11,       /* the handle is in use by another thread, or has sessions */
  WEFT_ERR_UNSUPPORTED = 12,/* well-formed, but not something this runtime does */
  WEFT_ERR_NUMERIC = 13,    /* no token can be chosen, as the logits hold NaN or no finite value; or a loss or gradient is not finite */
  WEFT_ERR_LIMIT = 14       /* larger than a documented limit */
} weft_status;

/* "ok", "argument", "dim" … Never NULL. Any thread. */
const char *weft_status_name(weft_status status);

typedef enum weft_log_level { WEFT_LOG_INFO = 0, WEFT_LOG_WARNING = 1 } weft_log_level;

/* Receives notes (never errors: those are returned). `text` is one line, valid during the call. Called on the thread
 * that called the runtime. */
typedef void (*weft_log_fn)(void *user, weft_log_level level, const char *text);

/* Where memory comes from. NULL in options: the C library's. `allocate` returns `bytes` (> 0) bytes aligned to
 * `alignment` (a power of two, at least 64), or NULL. `release` gets what `allocate` returned, with the same size;
 * never NULL. Both may be called by any thread that calls the runtime. No call of weft_session_run or
 * weft_session_generate uses either. */
typedef struct weft_allocator {
  void *(*allocate)(void *user, size_t bytes, size_t alignment);
  void (*release)(void *user, void *memory, size_t bytes);
  void *user;
} weft_allocator;

/* A table of the file operations the runtime uses; tests replace it (runtime/src/fileops.h). NULL: the system's. */
typedef struct weft_file_ops weft_file_ops;

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif
#endif /* WEFT_STATUS_H */
