/* The default allocator, and alignment of large blocks. */
#include "memory.h"

#include <stdlib.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

enum { HUGE_PAGE = 2 << 20, HUGE_FROM = 4 << 20 };

static void *default_allocate(void *user, size_t bytes, size_t alignment) {
  (void)user;
  void *memory = NULL;
  if (posix_memalign(&memory, alignment, bytes) != 0) return NULL;
#ifdef MADV_HUGEPAGE
  if (alignment >= HUGE_PAGE) madvise(memory, bytes, MADV_HUGEPAGE); /* advice: failure costs speed alone */
#endif
  return memory;
}

static void default_release(void *user, void *memory, size_t bytes) {
  (void)user;
  (void)bytes;
  free(memory);
}

weft_allocator weft_allocator_or_default(const weft_allocator *allocator) {
  if (allocator && allocator->allocate && allocator->release) return *allocator;
  weft_allocator standard = {default_allocate, default_release, NULL};
  return standard;
}

static size_t block_bytes(int64_t bytes) { return bytes ? (size_t)bytes : WEFT_ALIGNMENT; }

void *weft_allocate(const weft_allocator *allocator, int64_t bytes) {
  if (bytes < 0 || (uint64_t)bytes > SIZE_MAX / 2) return NULL;
  return allocator->allocate(allocator->user, block_bytes(bytes), bytes >= HUGE_FROM ? HUGE_PAGE : WEFT_ALIGNMENT);
}

void weft_release(const weft_allocator *allocator, void *memory, int64_t bytes) {
  if (memory) allocator->release(allocator->user, memory, block_bytes(bytes));
}
