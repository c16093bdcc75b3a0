/* Scattering: elements of a parameter, a piece at a time, to the places where kernels read them. */
#ifndef WEFT_PACK_H
#define WEFT_PACK_H

#include "model.h"

#pragma GCC visibility push(hidden)

/* One place of a parameter. Element (k, n) of it is element offset + k * stride_k + n * stride_n of the tensor that is
 * read, and stands at ((column + n) / nr * panel_rows + k) * nr + (column + n) % nr of `to`. */
typedef struct weft_target {
  void *to;
  int32_t dtype;
  bool stream; /* past the caches, where lines are whole */
  int64_t nr, panel_rows, column;
  int64_t k, n, offset, stride_k, stride_n;
} weft_target;

/* The place of a use of `param`. `turned`: the tensor that is read is the parameter's transpose; false: this place is
 * not a matrix of such a tensor (its rows cross the parameter's). */
bool weft_use_target(const weft_model *model, int32_t param, const weft_use *use, bool turned, weft_target *out);
/* The parameter's own memory as a place. */
weft_target weft_own_target(const weft_model *model, int32_t param, bool turned);

/* Copies those of the tensor's elements [begin, end) that the target takes. `from`: element `begin`, of the target's type. */
void weft_pack(const weft_target *target, const void *from, int64_t begin, int64_t end);

/* to[rows][columns] = transpose of from[columns][rows]. */
void weft_transpose(void *to, const void *from, size_t size, int64_t rows, int64_t columns);

#pragma GCC visibility pop
#endif /* WEFT_PACK_H */
