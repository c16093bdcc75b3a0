/* The pool: workers spin for a short while after each launch, since the next one usually follows at once, then sleep.
 * A launch is announced by one 64-bit word (its number and its parts). Part i is meant for worker i, whose cache may
 * still hold what it reads, but must be claimed first: the caller claims the parts of workers that have not come by the
 * time its own is done, so that a launch never waits for a thread that is asleep or not scheduled. A claim that succeeds
 * proves that the launch still runs, and with it that the job may be read. */
#include "threads.h"

#include "cpu.h"
#include "memory.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>
#endif

#define THREADS_MAGIC 0x53444854u
enum { SPIN_NANOSECONDS = 50000, PARTS_BITS = 16 };

typedef struct worker {
  /* 2 x launch: its part is free; 2 x launch + 1: somebody has it. */
  _Alignas(64) atomic_ullong part;
  weft_threads *pool;
  int64_t index;
  pthread_t thread;
} worker;

struct weft_threads {
  uint32_t magic;
  weft_allocator allocator;
  int64_t bytes;
  int64_t count; /* workers + the caller */
  /* Zero in a child after fork, where the workers do not exist. Lies in a page of its own. */
  const volatile uint32_t *alive;
  size_t alive_bytes;
  pthread_mutex_t mutex;
  pthread_cond_t wake_workers, wake_caller;
  weft_job job;
  _Alignas(64) atomic_int in_use;
  _Alignas(64) atomic_ullong launch;
  _Alignas(64) atomic_llong remaining;
  _Alignas(64) atomic_int sleepers;
  atomic_int caller_sleeps, stop;
  worker workers[];
};

void weft_job_part(const weft_job *job, int64_t part) {
  /* tasks * parts fits: parts <= 1024 and tasks are counts of tiles; split the product to be safe for any count. */
  int64_t base = job->tasks / job->parts, extra = job->tasks % job->parts;
  int64_t begin = base * part + extra * part / job->parts, end = base * (part + 1) + extra * (part + 1) / job->parts;
  if (begin < end) job->kernel(job->args, begin, end, job->scratch + part * job->scratch_stride);
}

static inline void relax(void) {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* Waits for a launch other than `seen`: spinning first, then asleep. */
static unsigned long long wait_for_launch(weft_threads *pool, unsigned long long seen) {
  unsigned long long launch;
  int64_t deadline = 0;
  for (;;) {
    for (int i = 0; i < 64; ++i) {
      launch = atomic_load_explicit(&pool->launch, memory_order_acquire);
      if (launch != seen || atomic_load_explicit(&pool->stop, memory_order_relaxed)) return launch;
      relax();
    }
    int64_t time = now();
    if (!deadline) deadline = time + SPIN_NANOSECONDS;
    else if (time > deadline) break;
  }
  pthread_mutex_lock(&pool->mutex);
  atomic_fetch_add(&pool->sleepers, 1); /* before the launch is looked at again: the caller looks in the other order */
  while ((launch = atomic_load(&pool->launch)) == seen && !atomic_load(&pool->stop)) pthread_cond_wait(&pool->wake_workers, &pool->mutex);
  atomic_fetch_sub(&pool->sleepers, 1);
  pthread_mutex_unlock(&pool->mutex);
  return launch;
}

static bool claim(worker *of, unsigned long long number) {
  unsigned long long open = 2 * number;
  return atomic_compare_exchange_strong(&of->part, &open, 2 * number + 1);
}

static void *work(void *argument) {
  worker *self = argument;
  weft_threads *pool = self->pool;
  weft_enter_float_state(); /* for the life of the thread: it runs nothing but kernels */
  unsigned long long seen = 0;
  for (;;) {
    seen = wait_for_launch(pool, seen);
    if (atomic_load_explicit(&pool->stop, memory_order_relaxed)) return NULL;
    if (self->index >= (int64_t)(seen & ((1u << PARTS_BITS) - 1)) || !claim(self, seen >> PARTS_BITS)) continue;
    weft_job_part(&pool->job, self->index);
    if (atomic_fetch_sub(&pool->remaining, 1) == 1 && atomic_load(&pool->caller_sleeps)) {
      pthread_mutex_lock(&pool->mutex);
      pthread_cond_signal(&pool->wake_caller);
      pthread_mutex_unlock(&pool->mutex);
    }
  }
}

static void wait_for_workers(weft_threads *pool) {
  int64_t deadline = 0;
  for (;;) {
    for (int i = 0; i < 64; ++i) {
      if (atomic_load_explicit(&pool->remaining, memory_order_acquire) == 0) return;
      relax();
    }
    int64_t time = now();
    if (!deadline) deadline = time + SPIN_NANOSECONDS;
    else if (time > deadline) break;
  }
  pthread_mutex_lock(&pool->mutex);
  atomic_store(&pool->caller_sleeps, 1);
  while (atomic_load(&pool->remaining) != 0) pthread_cond_wait(&pool->wake_caller, &pool->mutex);
  atomic_store(&pool->caller_sleeps, 0);
  pthread_mutex_unlock(&pool->mutex);
}

bool weft_threads_run(weft_threads *pool, const weft_job *job) {
  if (*pool->alive == 0) return false;
  if (atomic_exchange_explicit(&pool->in_use, 1, memory_order_acquire)) return false;
  pool->job = *job;
  atomic_store_explicit(&pool->remaining, job->parts - 1, memory_order_relaxed);
  unsigned long long number = (atomic_load_explicit(&pool->launch, memory_order_relaxed) >> PARTS_BITS) + 1;
  for (int64_t i = 1; i < job->parts; ++i) atomic_store_explicit(&pool->workers[i - 1].part, 2 * number, memory_order_relaxed);
  atomic_store(&pool->launch, number << PARTS_BITS | (unsigned long long)job->parts);
  if (atomic_load(&pool->sleepers)) {
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_broadcast(&pool->wake_workers);
    pthread_mutex_unlock(&pool->mutex);
  }
  weft_job_part(job, 0);
  for (int64_t i = job->parts - 1; i > 0; --i) {
    if (!claim(&pool->workers[i - 1], number)) continue;
    weft_job_part(job, i);
    atomic_fetch_sub(&pool->remaining, 1);
  }
  wait_for_workers(pool);
  atomic_store_explicit(&pool->in_use, 0, memory_order_release);
  return true;
}

/* A word that fork turns to zero in the child, or, where the system cannot do that, one that stays 1. */
static void make_alive_word(weft_threads *pool) {
  static const uint32_t one = 1;
  pool->alive = &one;
#if defined(__linux__) && defined(MADV_WIPEONFORK)
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  void *memory = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return;
  if (madvise(memory, page, MADV_WIPEONFORK) != 0) {
    munmap(memory, page);
    return;
  }
  *(uint32_t *)memory = 1;
  pool->alive = memory;
  pool->alive_bytes = page;
#endif
}

static int64_t threads_of(int64_t threads) {
  if (threads == 0) threads = weft_cpu_count();
  return threads > WEFT_MAX_THREADS ? WEFT_MAX_THREADS : threads;
}

int64_t weft_threads_bytes(int64_t threads) { return (int64_t)sizeof(weft_threads) + (threads_of(threads) - 1) * (int64_t)sizeof(worker); }

weft_status weft_threads_create(int64_t threads, const weft_allocator *given, weft_threads **out_threads) {
  if (!out_threads) return WEFT_ERR_ARGUMENT;
  *out_threads = NULL;
  if (threads < 0) return WEFT_ERR_ARGUMENT;
  threads = threads_of(threads);
  weft_allocator allocator = weft_allocator_or_default(given);
  const int64_t bytes = weft_threads_bytes(threads);
  weft_threads *pool = weft_allocate(&allocator, bytes);
  if (!pool) return WEFT_ERR_MEMORY;
  memset(pool, 0, (size_t)bytes);
  pool->magic = THREADS_MAGIC;
  pool->allocator = allocator;
  pool->bytes = bytes;
  pool->count = 1;
  pthread_mutex_init(&pool->mutex, NULL);
  pthread_cond_init(&pool->wake_workers, NULL);
  pthread_cond_init(&pool->wake_caller, NULL);
  make_alive_word(pool);
  for (int64_t i = 1; i < threads; ++i) {
    worker *next = &pool->workers[i - 1];
    next->pool = pool;
    next->index = i;
    if (pthread_create(&next->thread, NULL, work, next) != 0) break;
    ++pool->count;
  }
  *out_threads = pool;
  return WEFT_OK;
}

int64_t weft_threads_count(const weft_threads *threads) { return threads && threads->magic == THREADS_MAGIC ? threads->count : 0; }

void weft_threads_destroy(weft_threads *pool) {
  if (!pool || pool->magic != THREADS_MAGIC) return;
  bool alive = *pool->alive != 0;
  if (alive) {
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->stop, 1);
    pthread_cond_broadcast(&pool->wake_workers);
    pthread_mutex_unlock(&pool->mutex);
    for (int64_t i = 1; i < pool->count; ++i) pthread_join(pool->workers[i - 1].thread, NULL);
    pthread_cond_destroy(&pool->wake_caller);
    pthread_cond_destroy(&pool->wake_workers);
    pthread_mutex_destroy(&pool->mutex);
  }
#ifdef __linux__
  if (pool->alive_bytes) munmap((void *)(uintptr_t)pool->alive, pool->alive_bytes);
#endif
  pool->magic = 0;
  weft_allocator allocator = pool->allocator;
  weft_release(&allocator, pool, pool->bytes);
}
