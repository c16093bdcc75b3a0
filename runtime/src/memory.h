/* The one place where memory is allocated and released. */
#ifndef WEFT_MEMORY_H
#define WEFT_MEMORY_H

#include "weft/status.h"

#include <stdbool.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

enum { WEFT_ALIGNMENT = 64, WEFT_HUGE_PAGE = 2 << 20 };

/* The given allocator or, for NULL, the C library's. */
weft_allocator weft_allocator_or_default(const weft_allocator *allocator);

/* NULL when there is no memory or bytes is negative. Zero bytes give a block of one line. Blocks of some megabytes are
 * aligned to 2 MiB, so that the system can use huge pages. */
void *weft_allocate(const weft_allocator *allocator, int64_t bytes);
/* `bytes` as given to weft_allocate. NULL is fine. */
void weft_release(const weft_allocator *allocator, void *memory, int64_t bytes);
/* Whether new blocks of this size are known to be zero. */
bool weft_allocates_zeros(const weft_allocator *allocator, int64_t bytes);

#pragma GCC visibility pop
#endif /* WEFT_MEMORY_H */
