/* The default allocator, and alignment of large blocks. */
#include "memory.h"

#include <stdlib.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

enum { HUGE_FROM = 4 << 20 };

#ifdef __linux__
/* Large blocks come straight from the system: pages appear, zero, when they are first touched, and all of them go back. */
static size_t whole_pages(size_t bytes) { return (bytes + WEFT_HUGE_PAGE - 1) & ~(size_t)(WEFT_HUGE_PAGE - 1); }

static void *map(size_t bytes) {
  const size_t pages = whole_pages(bytes);
  char *memory = mmap(NULL, pages + WEFT_HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return NULL;
  const size_t before = (WEFT_HUGE_PAGE - (size_t)memory % WEFT_HUGE_PAGE) % WEFT_HUGE_PAGE;
  munmap(memory, before); /* nothing to unmap is an error that changes nothing */
  munmap(memory + before + pages, WEFT_HUGE_PAGE - before);
#ifdef MADV_HUGEPAGE
  madvise(memory + before, pages, MADV_HUGEPAGE); /* advice: failure costs speed alone */
#endif
  return memory + before;
}
#endif

static void *default_allocate(void *user, size_t bytes, size_t alignment) {
  (void)user;
#ifdef __linux__
  if (alignment >= WEFT_HUGE_PAGE) return map(bytes);
#endif
  void *memory = NULL;
  return posix_memalign(&memory, alignment, bytes) == 0 ? memory : NULL;
}

static void default_release(void *user, void *memory, size_t bytes) {
  (void)user;
#ifdef __linux__
  if (bytes >= HUGE_FROM) {
    munmap(memory, whole_pages(bytes));
    return;
  }
#endif
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
  if ((uint64_t)bytes > SIZE_MAX / 2) return NULL; /* negative ones as well */
  return allocator->allocate(allocator->user, block_bytes(bytes), bytes >= HUGE_FROM ? WEFT_HUGE_PAGE : WEFT_ALIGNMENT);
}

void weft_release(const weft_allocator *allocator, void *memory, int64_t bytes) {
  if (memory) allocator->release(allocator->user, memory, block_bytes(bytes));
}

bool weft_allocates_zeros(const weft_allocator *allocator, int64_t bytes) {
#ifdef __linux__
  return allocator->allocate == default_allocate && bytes >= HUGE_FROM;
#else
  (void)allocator;
  (void)bytes;
  return false;
#endif
}
