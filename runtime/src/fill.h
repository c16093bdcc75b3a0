/* Filling parameters: pieces of tensors are brought, checked and packed by several threads. */
#ifndef WEFT_FILL_H
#define WEFT_FILL_H

#include "model.h"
#include "tensor_file.h"

#include <stdatomic.h>

#pragma GCC visibility push(hidden)

typedef enum weft_origin_kind {
  WEFT_ORIGIN_NONE, /* the parameter stays as it is */
  WEFT_ORIGIN_FILE,
  WEFT_ORIGIN_MEMORY,
  WEFT_ORIGIN_DRAWN
} weft_origin_kind;

/* Where one parameter's elements come from. What follows `data` belongs to weft_fill. */
typedef struct weft_origin {
  weft_origin_kind kind;
  int64_t tensor;   /* FILE: its index, of the right shape and a type that converts */
  const void *data; /* MEMORY: row-major, of the parameter's type; may be the parameter's own memory */
  bool turned;      /* pieces are in the order of the parameter's transpose */
  bool whole;       /* one piece, which is transposed before it is packed */
  int64_t piece, pieces, first_piece;
  atomic_llong nonfinite;
  atomic_ullong failure; /* piece of the parameter << 16 | what; the least one counts */
} weft_origin;

/* Fills the parameters of a model from `origins` (one for each parameter). On a failure while data is brought, those
 * before the first parameter that fails are filled, it and those after it are missing. The result is the same for any
 * number of threads. */
weft_status weft_fill(weft_model *model, const weft_tensor_file *file, weft_origin *origins, uint64_t seed);

#pragma GCC visibility pop
#endif /* WEFT_FILL_H */
