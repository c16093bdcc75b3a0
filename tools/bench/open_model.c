/* Time from nothing to a session of GPT-2 that can be called, beside a plain read of the same file by one thread into
 * memory that was touched before: open_model FILE.safetensors [ROUNDS [THREADS]]. Compiled with gpt2.h and gpt2.o. */
#define _POSIX_C_SOURCE 200809L
#include "gpt2.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MOST_ROUNDS = 1000 };

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e3 + (double)time.tv_nsec * 1e-6;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static double median(double *values, int count) {
  qsort(values, (size_t)count, sizeof *values, ascending);
  return values[count / 2];
}

/* Reads the whole file; its length, or -1. */
static long long plain_read(const char *path, char *buffer, long long room) {
  long long at = 0, got = 1;
  int file = open(path, O_RDONLY);
  if (file < 0) return -1;
  while (got > 0 && at < room) at += got = read(file, buffer + at, (size_t)(room - at));
  close(file);
  return got < 0 ? -1 : at;
}

int main(int argc, char **argv) {
  static double reading[MOST_ROUNDS], opening[MOST_ROUNDS], loading[MOST_ROUNDS], creating[MOST_ROUNDS], beyond[MOST_ROUNDS];
  const int rounds = argc > 2 ? atoi(argv[2]) : 15;
  FILE *file = argc > 1 ? fopen(argv[1], "rb") : NULL;
  if (!file || fseek(file, 0, SEEK_END) || rounds < 1 || rounds > MOST_ROUNDS)
    return fprintf(stderr, "expected: open_model FILE.safetensors [ROUNDS [THREADS]]\n"), 2;
  const long long bytes = ftell(file);
  fclose(file);
  char *buffer = malloc((size_t)bytes);
  if (!buffer) return 4;
  memset(buffer, 1, (size_t)bytes);
  if (plain_read(argv[1], buffer, bytes) != bytes) return 3; /* into the page cache */
  weft_model_options options = {.threads = argc > 3 ? atoi(argv[3]) : 0};
  for (int i = 0; i < rounds; ++i) {
    weft_model *model = NULL;
    weft_session *session = NULL;
    const gpt2_dims dims = {.B = 1, .T = 64};
    const double start = now();
    if (plain_read(argv[1], buffer, bytes) != bytes) return 3;
    const double read = now();
    weft_status status = gpt2_open(&options, &model);
    const double opened = now();
    if (!status) status = weft_model_load(model, argv[1]);
    if (status) return fprintf(stderr, "%s\n", weft_model_error(model)), 1;
    const double loaded = now();
    if (gpt2_session(model, &dims, NULL, &session)) return fprintf(stderr, "%s\n", weft_session_error(session)), 1;
    const double created = now();
    reading[i] = read - start;
    opening[i] = opened - read;
    loading[i] = loaded - opened;
    creating[i] = created - loaded;
    beyond[i] = created - read - reading[i];
    weft_session_destroy(session);
    weft_model_close(model);
  }
  free(buffer);
  double least = beyond[0], most = beyond[0];
  for (int i = 1; i < rounds; ++i) {
    least = beyond[i] < least ? beyond[i] : least;
    most = beyond[i] > most ? beyond[i] : most;
  }
  printf("plain_read_ms %.1f  open_ms %.2f  load_ms %.1f  session_ms %.2f  beyond_reading_ms %.1f (%.1f .. %.1f)\n", median(reading, rounds),
         median(opening, rounds), median(loading, rounds), median(creating, rounds), median(beyond, rounds), least, most);
  return 0;
}
