/* Loaded in front of the C library (LD_PRELOAD): makes one call fail, chosen by WEFT_FAULT, or counts the calls.
 * WEFT_FAULT: "memory:N" (allocation N), "memory:N+" (and all later ones), "io:N:ENOSPC|EIO|EINTR|short" (file call N).
 * WEFT_FAULT_COUNT names a file that receives "MEMORY IO" when the program ends by itself. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static long allocations, calls, memory_at = -1, io_at = -1;
static int sticky, io_errno, shorten, ready;

static void *real(const char *name) {
  void *found = dlsym(RTLD_NEXT, name);
  if (!found) abort();
  return found;
}

static void prepare(void) {
  if (ready) return;
  ready = 1;
  const char *fault = getenv("WEFT_FAULT");
  if (!fault) return;
  char *end;
  if (!strncmp(fault, "memory:", 7)) {
    memory_at = strtol(fault + 7, &end, 10);
    sticky = *end == '+';
  } else if (!strncmp(fault, "io:", 3)) {
    io_at = strtol(fault + 3, &end, 10);
    shorten = !strcmp(end, ":short");
    io_errno = !strcmp(end, ":ENOSPC") ? ENOSPC : !strcmp(end, ":EINTR") ? EINTR : EIO;
  }
}

__attribute__((destructor)) static void tell(void) {
  const char *path = getenv("WEFT_FAULT_COUNT");
  long memory = allocations, io = calls;
  FILE *file = path ? fopen(path, "w") : NULL;
  if (!file) return;
  fprintf(file, "%ld %ld\n", memory, io);
  fclose(file);
}

/* ---- Memory. dlsym may allocate before the real functions are known; that comes from a small block. ---------------- */

static char first[1 << 16];
static size_t used;

static void *from_first(size_t bytes) {
  size_t at = (used + 15) / 16 * 16;
  if (bytes > sizeof first - at) abort();
  used = at + bytes;
  return first + at;
}

static int memory_fails(void) {
  prepare();
  long now = __atomic_fetch_add(&allocations, 1, __ATOMIC_RELAXED);
  if (memory_at < 0 || (sticky ? now < memory_at : now != memory_at)) return 0;
  errno = ENOMEM;
  return 1;
}

static int looking;
#define ALLOCATE(NAME, TYPE, PARAMETERS, ARGUMENTS, BOOTSTRAP)  \
  void *NAME PARAMETERS {                                       \
    static TYPE function;                                       \
    if (!function) {                                            \
      if (looking) return BOOTSTRAP;                            \
      looking = 1;                                              \
      function = (TYPE)real(#NAME);                             \
      looking = 0;                                              \
    }                                                           \
    return memory_fails() ? NULL : function ARGUMENTS;          \
  }

typedef void *(*malloc_fn)(size_t);
typedef void *(*calloc_fn)(size_t, size_t);
typedef void *(*realloc_fn)(void *, size_t);
ALLOCATE(malloc, malloc_fn, (size_t bytes), (bytes), from_first(bytes))
ALLOCATE(calloc, calloc_fn, (size_t count, size_t bytes), (count, bytes), from_first(count * bytes))
ALLOCATE(realloc, realloc_fn, (void *memory, size_t bytes), (memory, bytes), from_first(bytes))
ALLOCATE(aligned_alloc, calloc_fn, (size_t alignment, size_t bytes), (alignment, bytes), from_first(bytes))
/* What a program calls that has its own malloc. */
ALLOCATE(__libc_malloc, malloc_fn, (size_t bytes), (bytes), from_first(bytes))
ALLOCATE(__libc_calloc, calloc_fn, (size_t count, size_t bytes), (count, bytes), from_first(count * bytes))
ALLOCATE(__libc_realloc, realloc_fn, (void *memory, size_t bytes), (memory, bytes), from_first(bytes))

int posix_memalign(void **out, size_t alignment, size_t bytes) {
  static int (*function)(void **, size_t, size_t);
  if (!function) function = (int (*)(void **, size_t, size_t))real("posix_memalign");
  return memory_fails() ? ENOMEM : function(out, alignment, bytes);
}

void free(void *memory) {
  static void (*function)(void *);
  if ((char *)memory >= first && (char *)memory < first + sizeof first) return;
  if (!function) function = (void (*)(void *))real("free");
  function(memory);
}

/* ---- Files --------------------------------------------------------------------------------------------------------- */

static int io_fails(void) {
  prepare();
  if (__atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED) != io_at) return 0;
  if (shorten) return 0;
  errno = io_errno;
  return 1;
}
static size_t io_size(size_t bytes) { return shorten && calls - 1 == io_at && bytes > 1 ? bytes / 2 : bytes; }

#define FAIL_OR(NAME, TYPE, CALL)                       \
  static TYPE function;                                 \
  if (!function) function = (TYPE)real(NAME);           \
  return io_fails() ? -1 : function CALL

typedef int (*open_fn)(const char *, int, ...);
typedef int (*openat_fn)(int, const char *, int, ...);
typedef ssize_t (*read_fn)(int, void *, size_t);
typedef ssize_t (*pread_fn)(int, void *, size_t, off_t);
typedef ssize_t (*pread64_fn)(int, void *, size_t, off64_t);
typedef int (*fsync_fn)(int);
typedef int (*rename_fn)(const char *, const char *);
#define MODE(LAST)                        \
  va_list list;                           \
  va_start(list, LAST);                   \
  mode_t mode = flags & O_CREAT ? va_arg(list, mode_t) : 0; \
  va_end(list)
int open(const char *path, int flags, ...) { MODE(flags); FAIL_OR("open", open_fn, (path, flags, mode)); }
int open64(const char *path, int flags, ...) { MODE(flags); FAIL_OR("open64", open_fn, (path, flags, mode)); }
int openat(int folder, const char *path, int flags, ...) { MODE(flags); FAIL_OR("openat", openat_fn, (folder, path, flags, mode)); }
ssize_t read(int file, void *to, size_t bytes) { FAIL_OR("read", read_fn, (file, to, io_size(bytes))); }
ssize_t pread(int file, void *to, size_t bytes, off_t at) { FAIL_OR("pread", pread_fn, (file, to, io_size(bytes), at)); }
ssize_t pread64(int file, void *to, size_t bytes, off64_t at) { FAIL_OR("pread64", pread64_fn, (file, to, io_size(bytes), at)); }
ssize_t write(int file, const void *from, size_t bytes) {
  static ssize_t (*function)(int, const void *, size_t);
  if (!function) function = (ssize_t (*)(int, const void *, size_t))real("write");
  if (file <= 2) return function(file, from, bytes); /* what is said must be heard */
  return io_fails() ? -1 : function(file, from, io_size(bytes));
}
int fsync(int file) { FAIL_OR("fsync", fsync_fn, (file)); }
int rename(const char *from, const char *to) { FAIL_OR("rename", rename_fn, (from, to)); }
int link(const char *from, const char *to) { FAIL_OR("link", rename_fn, (from, to)); }
int close(int file) {
  static int (*function)(int);
  if (!function) function = (int (*)(int))real("close");
  int failed = io_fails(), code = errno, result = function(file); /* closed in any case, as on Linux */
  if (!failed) return result;
  errno = code;
  return -1;
}
