/* Threads: the same bits for any number of them, pools shared and supplied, sleep, fork. */
#include "check.h"
#include "threads.h"
#include "toy.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CELLS = 1000 };

typedef struct count_args {
  atomic_int *cells;
} count_args;

static void count_kernel(const void *arguments, int64_t begin, int64_t end, void *scratch) {
  const count_args *a = arguments;
  *(volatile char *)scratch = 1;
  for (int64_t i = begin; i < end; ++i) atomic_fetch_add(&a->cells[i], 1);
}

static void runs_every_task_once(void) {
  static atomic_int cells[CELLS];
  for (int64_t threads = 1; threads <= 8; ++threads) {
    weft_threads *pool;
    CHECK_EQUAL(weft_threads_create(threads, NULL, &pool), WEFT_OK);
    CHECK_EQUAL(weft_threads_count(pool), threads);
    char *scratch = malloc(64 * 8);
    for (int round = 0; round < 2000; ++round) {
      int64_t tasks = 1 + round % CELLS;
      weft_job job = {count_kernel, &(count_args){cells}, tasks, tasks < threads ? tasks : threads, scratch, 64};
      CHECK(weft_threads_run(pool, &job));
      for (int64_t i = 0; i < CELLS; ++i)
        if (atomic_exchange(&cells[i], 0) != (i < tasks)) {
          CHECK(!"each task runs once");
          break;
        }
    }
    free(scratch);
    weft_threads_destroy(pool);
  }
}

static void partitions_any_number_of_tasks(void) {
  static const int64_t tasks[] = {0, 1, 7, 1000, INT64_MAX};
  for (size_t t = 0; t < sizeof tasks / sizeof *tasks; ++t)
    for (int64_t parts = 1; parts <= 1024; parts += 93) {
      int64_t base = tasks[t] / parts, extra = tasks[t] % parts, end = 0;
      for (int64_t p = 0; p < parts; ++p) end = base * (p + 1) + extra * (p + 1) / parts;
      CHECK_EQUAL(end, tasks[t]);
    }
}

static int32_t tokens[TOY_MAX_B * TOY_MAX_T];
enum { LOGITS = TOY_MAX_B * TOY_MAX_T * TOY_VOCABULARY };

static weft_status forward(weft_session *session, float *logits) {
  const int64_t dims[TOY_DIMS] = {TOY_MAX_B, TOY_MAX_T, 0};
  const void *inputs[] = {tokens, NULL};
  void *outputs[] = {logits};
  return weft_session_run(session, TOY_FORWARD, dims, inputs, outputs);
}

static void gives_the_same_bits(weft_model *model, const float *expected) {
  const int64_t dims[TOY_DIMS] = {TOY_MAX_B, TOY_MAX_T, 0};
  float logits[LOGITS];
  for (int64_t threads = 1; threads <= 8; ++threads) {
    weft_session_options options = {.threads = threads};
    weft_session *session;
    CHECK_EQUAL(weft_session_create(model, dims, &options, &session), WEFT_OK);
    CHECK_EQUAL(weft_session_threads(session), threads);
    for (int round = 0; round < 50; ++round) {
      memset(logits, 0, sizeof logits);
      CHECK_EQUAL(forward(session, logits), WEFT_OK);
      CHECK(!memcmp(logits, expected, sizeof logits));
    }
    weft_session_destroy(session);
  }
  CHECK_EQUAL(toy_saw_denormals, 0); /* workers flush denormals too */
}

/* The application's pool: parts in reverse order, on threads of its own. */
typedef struct part_call {
  void (*body)(void *, int64_t);
  void *context;
  int64_t index;
} part_call;
static void *run_part(void *argument) {
  part_call *call = argument;
  call->body(call->context, call->index);
  return NULL;
}
static void application_parallel_for(void *user, int64_t count, void (*body)(void *, int64_t), void *context) {
  pthread_t threads[8];
  part_call calls[8];
  for (int64_t i = count - 1; i >= 0; --i) {
    calls[i] = (part_call){body, context, i};
    pthread_create(&threads[i], NULL, run_part, &calls[i]);
  }
  for (int64_t i = 0; i < count; ++i) pthread_join(threads[i], NULL);
  ++*(int *)user;
}

static void uses_the_applications_threads(weft_model *model, const float *expected) {
  const int64_t dims[TOY_DIMS] = {TOY_MAX_B, TOY_MAX_T, 0};
  float logits[LOGITS] = {0};
  int calls = 0;
  weft_session_options options = {.threads = 5, .parallel_for = application_parallel_for, .parallel_for_user = &calls};
  weft_session *session;
  CHECK_EQUAL(weft_session_create(model, dims, &options, &session), WEFT_OK);
  CHECK_EQUAL(forward(session, logits), WEFT_OK);
  CHECK_EQUAL(calls, 1);
  CHECK(!memcmp(logits, expected, sizeof logits));
  CHECK_EQUAL(toy_saw_denormals, 0);
  weft_session_destroy(session);
}

typedef struct worker_state {
  weft_session *session;
  const float *expected;
  int wrong;
} worker_state;
static void *run_session(void *argument) {
  worker_state *state = argument;
  float logits[LOGITS];
  for (int round = 0; round < 300; ++round) {
    memset(logits, 0, sizeof logits);
    state->wrong += forward(state->session, logits) != WEFT_OK || memcmp(logits, state->expected, sizeof logits);
  }
  return NULL;
}

static void shares_a_pool(weft_model *model, const float *expected) {
  const int64_t dims[TOY_DIMS] = {TOY_MAX_B, TOY_MAX_T, 0};
  weft_threads *pool;
  CHECK_EQUAL(weft_threads_create(3, NULL, &pool), WEFT_OK);
  weft_session_options options = {.shared_threads = pool};
  pthread_t threads[4];
  worker_state states[4];
  for (int i = 0; i < 4; ++i) {
    states[i] = (worker_state){NULL, expected, 0};
    CHECK_EQUAL(weft_session_create(model, dims, &options, &states[i].session), WEFT_OK);
    CHECK_EQUAL(weft_session_threads(states[i].session), 3);
  }
  for (int i = 0; i < 4; ++i) pthread_create(&threads[i], NULL, run_session, &states[i]);
  for (int i = 0; i < 4; ++i) {
    pthread_join(threads[i], NULL);
    CHECK_EQUAL(states[i].wrong, 0);
    weft_session_destroy(states[i].session);
  }
  weft_threads_destroy(pool);
}

/* Two threads on one session: each call is right or says busy. */
static atomic_int busy_calls;
static void *run_or_busy(void *argument) {
  worker_state *state = argument;
  float logits[LOGITS];
  for (int round = 0; round < 2000; ++round) {
    weft_status status = forward(state->session, logits);
    if (status == WEFT_ERR_BUSY) atomic_fetch_add(&busy_calls, 1);
    else state->wrong += status != WEFT_OK || memcmp(logits, state->expected, sizeof logits);
  }
  return NULL;
}
static void detects_misuse(weft_model *model, const float *expected) {
  const int64_t dims[TOY_DIMS] = {TOY_MAX_B, TOY_MAX_T, 0};
  weft_session_options options = {.threads = 1};
  weft_session *session;
  CHECK_EQUAL(weft_session_create(model, dims, &options, &session), WEFT_OK);
  pthread_t threads[2];
  worker_state states[2] = {{session, expected, 0}, {session, expected, 0}};
  for (int i = 0; i < 2; ++i) pthread_create(&threads[i], NULL, run_or_busy, &states[i]);
  for (int i = 0; i < 2; ++i) pthread_join(threads[i], NULL);
  CHECK_EQUAL(states[0].wrong + states[1].wrong, 0);
  weft_session_destroy(session);
}

static double cpu_seconds(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + 1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void sleeps_when_idle(weft_model *model, const float *expected) {
  const int64_t dims[TOY_DIMS] = {TOY_MAX_B, TOY_MAX_T, 0};
  float logits[LOGITS];
  weft_session_options options = {.threads = 4};
  weft_session *session;
  CHECK_EQUAL(weft_session_create(model, dims, &options, &session), WEFT_OK);
  CHECK_EQUAL(forward(session, logits), WEFT_OK);
  nanosleep(&(struct timespec){0, 100000000}, NULL);
  double before = cpu_seconds();
  nanosleep(&(struct timespec){0, 300000000}, NULL);
  CHECK(cpu_seconds() - before < 0.02);
  CHECK_EQUAL(forward(session, logits), WEFT_OK); /* and wakes up */
  CHECK(!memcmp(logits, expected, sizeof logits));
  weft_session_destroy(session);
}

static void works_after_fork(weft_model *model, const float *expected) {
  const int64_t dims[TOY_DIMS] = {TOY_MAX_B, TOY_MAX_T, 0};
  float logits[LOGITS];
  weft_session_options options = {.threads = 3};
  weft_session *session;
  CHECK_EQUAL(weft_session_create(model, dims, &options, &session), WEFT_OK);
  CHECK_EQUAL(forward(session, logits), WEFT_OK);
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    alarm(20);
    int good = forward(session, logits) == WEFT_OK && !memcmp(logits, expected, sizeof logits);
    weft_session_destroy(session);
    exit(good ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  CHECK_EQUAL(status, 0);
  CHECK_EQUAL(forward(session, logits), WEFT_OK);
  weft_session_destroy(session);
}

static void clamps_counts(weft_model *model) {
  const int64_t dims[TOY_DIMS] = {1, 1, 0};
  weft_threads *pool;
  static char zeros[4096];
  CHECK_EQUAL(weft_threads_create(1, NULL, NULL), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_threads_create(-1, NULL, &pool), WEFT_ERR_ARGUMENT);
  CHECK(!weft_threads_count(NULL) && !weft_threads_count((weft_threads *)zeros));
  weft_threads_destroy((weft_threads *)zeros); /* is no pool */
  CHECK_EQUAL(weft_threads_create(0, NULL, &pool), WEFT_OK);
  CHECK_EQUAL(weft_threads_count(pool), weft_cpu_count());
  weft_session_options options = {.shared_threads = pool, .threads = 1000};
  weft_session *session;
  CHECK_EQUAL(weft_session_create(model, dims, &options, &session), WEFT_OK);
  CHECK_EQUAL(weft_session_threads(session), weft_threads_count(pool));
  weft_session_destroy(session);
  weft_threads_destroy(pool);
  weft_threads_destroy(NULL);
}

static void trace(void *user, weft_kernel_fn kernel, int64_t tasks, int64_t nanoseconds) {
  CHECK(kernel != NULL && nanoseconds >= 0);
  *(int64_t *)user += tasks;
}

static void traces_launches(weft_model *model) {
  const int64_t dims[TOY_DIMS] = {TOY_MAX_B, TOY_MAX_T, 0};
  float logits[LOGITS];
  for (int64_t threads = 1; threads <= 2; ++threads) {
    int64_t tasks = 0;
    weft_session_options options = {.threads = threads, .trace = trace, .trace_user = &tasks};
    weft_session *session;
    CHECK_EQUAL(weft_session_create(model, dims, &options, &session), WEFT_OK);
    CHECK_EQUAL(forward(session, logits), WEFT_OK);
    CHECK_EQUAL(tasks, TOY_MAX_B);
    weft_session_destroy(session);
  }
}

int main(void) {
  static float expected[LOGITS];
  for (int i = 0; i < TOY_MAX_B * TOY_MAX_T; ++i) tokens[i] = i * 5 % TOY_VOCABULARY;
  weft_model *model = toy_open(NULL);
  for (int b = 0; model && b < TOY_MAX_B; ++b)
    for (int t = 0; t < TOY_MAX_T; ++t) toy_reference(tokens + b * TOY_MAX_T, t + 1, expected + (b * TOY_MAX_T + t) * TOY_VOCABULARY);
  const int64_t dims[TOY_DIMS] = {TOY_MAX_B, TOY_MAX_T, 0};
  weft_session_options options = {.threads = 1};
  weft_session *session;
  if (!model || weft_session_create(model, dims, &options, &session) || forward(session, expected)) return 1;
  weft_session_destroy(session);
  runs_every_task_once();
  partitions_any_number_of_tasks();
  gives_the_same_bits(model, expected);
  uses_the_applications_threads(model, expected);
  shares_a_pool(model, expected);
  detects_misuse(model, expected);
  sleeps_when_idle(model, expected);
  works_after_fork(model, expected);
  clamps_counts(model);
  traces_launches(model);
  weft_model_close(model);
  return check_result();
}
