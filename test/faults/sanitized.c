/* Eight threads, each with a session of its own, call one model. Built with an object whose generated code is instrumented by
 * a sanitizer, too. Usage: sanitized CALLS [race | short]: the last words plant what the sanitizer must report. */
#include "m.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 8, LENGTH = 4, VOCABULARY = 512, COUNT = LENGTH * VOCABULARY };

static weft_model *model;
static int calls, race;
static float expected[THREADS][COUNT];
static float shared[COUNT];
static int wrong;
static pthread_barrier_t start;

static int call(weft_session *session, int number, float *logits) {
  int32_t tokens[LENGTH];
  for (int i = 0; i < LENGTH; i++) tokens[i] = (number * 31 + i * 7) % VOCABULARY;
  return stories260k_forward(session, &(stories260k_forward_args){.dims = {.B = 1, .T = LENGTH}, .tokens = tokens, .logits = logits});
}

static weft_session *open_session(int64_t threads) {
  weft_session *session;
  if (stories260k_session(model, &(stories260k_dims){.B = 1, .T = LENGTH}, &(weft_session_options){.threads = threads}, &session)) exit(3);
  return session;
}

static void *work(void *argument) {
  int own = (int)(size_t)argument;
  float *logits = race ? shared : malloc(COUNT * sizeof(float));
  weft_session *session = open_session(1 + own % 2);
  pthread_barrier_wait(&start);
  for (int i = 0; i < calls / THREADS; i++) {
    if (call(session, own, logits)) exit(4);
    if (!race && memcmp(logits, expected[own], sizeof expected[own])) __atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED);
    if (i % 50 == 49) { /* sessions come and go while others compute */
      weft_session_destroy(session);
      session = open_session(1);
    }
  }
  weft_session_destroy(session);
  if (!race) free(logits);
  return NULL;
}

int main(int argc, char **argv) {
  pthread_t threads[THREADS];
  calls = atoi(argv[1]);
  race = argc > 2 && !strcmp(argv[2], "race");
  if (stories260k_open(NULL, &model) || weft_model_init(model, 3)) return 2;
  weft_session *session = open_session(1);
  if (argc > 2 && !strcmp(argv[2], "short")) { /* one element less than the call writes */
    float *logits = malloc((COUNT - 1) * sizeof(float));
    return call(session, 0, logits);
  }
  for (int i = 0; i < THREADS; i++)
    if (call(session, i, expected[i])) return 5;
  weft_session_destroy(session);
  pthread_barrier_init(&start, NULL, THREADS);
  for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, work, (void *)(size_t)i);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  weft_model_close(model);
  printf("%d of %d differ\n", wrong, calls);
  return wrong != 0;
}
