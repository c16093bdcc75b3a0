// The C library's allocation functions, with an end in place of NULL: LLVM does not look at what malloc returns in many
// places. Aligned allocation is left alone: the runtime uses it, looks, and has a better text.
// Not under sanitizers, which bring their own, and only where glibc gives its functions a second name.
#include "Signals.h"

#include <cstddef>
#include <cstdlib>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WEFT_SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define WEFT_SANITIZED
#endif
#endif

#if defined(__GLIBC__) && !defined(WEFT_SANITIZED)

extern "C" {

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);

static void *checked(void *memory, bool wanted) {
  if (!memory && wanted)
    weft::outOfMemory();
  return memory;
}

void *malloc(size_t bytes) { return checked(__libc_malloc(bytes), true); }
void *calloc(size_t count, size_t bytes) { return checked(__libc_calloc(count, bytes), true); }
void *realloc(void *memory, size_t bytes) { return checked(__libc_realloc(memory, bytes), bytes != 0); }

} // extern "C"

#endif
