/* The choice of one token from a row of logits. */
#ifndef WEFT_SAMPLE_H
#define WEFT_SAMPLE_H

#include "weft/runtime.h"

#pragma GCC visibility push(hidden)

typedef struct weft_sampling {
  int32_t kind; /* weft_sample_kind */
  double temperature, p;
  int64_t k;
  uint64_t seed;
} weft_sampling;

/* Index of the largest value (the lowest of equal ones); -1: the row is empty, holds NaN, or nothing above -inf. */
int64_t weft_argmax(const float *row, int64_t count);

/* The token for `sequence` at `position`. `heap`: room for `count` words. -1 as weft_argmax. */
int64_t weft_sample(const weft_sampling *sampling, const float *row, int64_t count, int64_t sequence, int64_t position, uint64_t *heap);

#pragma GCC visibility pop
#endif /* WEFT_SAMPLE_H */
