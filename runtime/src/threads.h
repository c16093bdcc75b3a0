/* The pool behind weft_threads, as sessions use it. */
#ifndef WEFT_THREADS_H
#define WEFT_THREADS_H

#include "weft/runtime.h"

#include <stdbool.h>

#pragma GCC visibility push(hidden)

enum { WEFT_MAX_THREADS = 1024 };

/* One launch: task range [t * tasks / parts, (t + 1) * tasks / parts) goes to part t, with its own scratch. */
typedef struct weft_job {
  weft_kernel_fn kernel;
  const void *args;
  int64_t tasks, parts;
  char *scratch;
  int64_t scratch_stride;
} weft_job;

/* What weft_threads_create allocates for `threads` (not negative; 0: as many as there are processors). */
int64_t weft_threads_bytes(int64_t threads);

void weft_job_part(const weft_job *job, int64_t part);

/* Runs all parts and returns when they are done. False, and nothing is done: another session uses the pool. */
bool weft_threads_run(weft_threads *threads, const weft_job *job);

#pragma GCC visibility pop
#endif /* WEFT_THREADS_H */
