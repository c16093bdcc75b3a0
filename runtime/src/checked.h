/* Arithmetic on sizes that says when it overflows. Every size, offset and count that comes from a descriptor, a file or
 * a caller goes through here. All values are non-negative int64_t. */
#ifndef WEFT_CHECKED_H
#define WEFT_CHECKED_H

#include <stdbool.h>
#include <stdint.h>

static inline bool weft_ck_add(int64_t a, int64_t b, int64_t *out) {
  return a >= 0 && b >= 0 && !__builtin_add_overflow(a, b, out);
}

static inline bool weft_ck_mul(int64_t a, int64_t b, int64_t *out) {
  return a >= 0 && b >= 0 && !__builtin_mul_overflow(a, b, out);
}

/* Rounds up to a multiple of `alignment`, a power of two. */
static inline bool weft_ck_align(int64_t a, int64_t alignment, int64_t *out) {
  int64_t sum;
  if (!weft_ck_add(a, alignment - 1, &sum)) return false;
  *out = sum & ~(alignment - 1);
  return true;
}

/* Product of `rank` sizes; false if one is negative or the product overflows (also when a later size is 0). */
static inline bool weft_ck_product(const int64_t *sizes, int32_t rank, int64_t *out) {
  int64_t product = 1;
  for (int32_t i = 0; i < rank; ++i)
    if (!weft_ck_mul(product, sizes[i], &product)) return false;
  *out = product;
  return true;
}

#endif /* WEFT_CHECKED_H */
