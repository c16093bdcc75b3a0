/* Tells a story: opens the compiled model, reads its weights, generates token by token, prints text and figures.
 * Usage: story WEIGHTS.safetensors TOKENIZER.bin [PROMPT_TOKENS…]. Needs stories260k.h and .o, and libweft_runtime. */
#define _POSIX_C_SOURCE 200809L
#include "stories260k.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* llama2.c's tokenizer file: int32 longest piece, then for each id float32 score, int32 length, bytes. */
typedef struct vocabulary {
  char *pieces[512];
  int32_t count;
} vocabulary;

static int read_vocabulary(const char *path, vocabulary *out) {
  FILE *file = fopen(path, "rb");
  int32_t longest, length;
  float score;
  if (!file)
    return 0;
  out->count = 0;
  if (fread(&longest, 4, 1, file) == 1)
    while (out->count < 512 && fread(&score, 4, 1, file) == 1 && fread(&length, 4, 1, file) == 1) {
      char *piece = length >= 0 && length <= 1024 ? calloc((size_t)length + 1, 1) : NULL;
      if (!piece || fread(piece, 1, (size_t)length, file) != (size_t)length) {
        free(piece);
        break;
      }
      out->pieces[out->count++] = piece;
    }
  fclose(file);
  return out->count == 512;
}

typedef struct story {
  const vocabulary *words;
  int32_t previous;
  int64_t count;
  double first, last;
} story;

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Peak memory of this process in MB, or 0 where the system does not say. */
static double peak_memory(void) {
  char line[256];
  double kilobytes = 0;
  FILE *status = fopen("/proc/self/status", "r");
  while (status && fgets(line, sizeof(line), status))
    if (sscanf(line, "VmHWM: %lf", &kilobytes) == 1)
      break;
  if (status)
    fclose(status);
  return kilobytes / 1e3;
}

/* Prints each token as it comes; a non-zero result would end the story. */
static int on_token(void *user, int64_t sequence, int64_t index, int32_t token) {
  story *s = user;
  const char *piece = s->words->pieces[token];
  unsigned byte;
  (void)sequence;
  s->last = seconds();
  if (index == 0)
    s->first = s->last;
  s->count = index + 1;
  if (s->previous == 1 && piece[0] == ' ')
    piece++;
  if (sscanf(piece, "<0x%02X>", &byte) == 1)
    putchar((int)byte);
  else
    fputs(piece, stdout);
  fflush(stdout);
  s->previous = token;
  return 0;
}

int main(int argc, char **argv) {
  enum { MAX_PROMPT = 64 };
  int32_t prompt[MAX_PROMPT] = {1}; /* begin of text */
  int64_t prompt_length = 1;
  vocabulary words;
  weft_model *model = NULL;
  weft_session *session = NULL;
  int result = 1;
  if (argc < 3) {
    fprintf(stderr, "usage: %s WEIGHTS.safetensors TOKENIZER.bin [PROMPT_TOKENS...]\n", argv[0]);
    return 2;
  }
  for (int i = 3; i < argc && prompt_length < MAX_PROMPT; i++)
    prompt[prompt_length++] = (int32_t)strtol(argv[i], NULL, 10);
  if (!read_vocabulary(argv[2], &words)) {
    fprintf(stderr, "%s: can't read 512 pieces\n", argv[2]);
    return 3;
  }

  double start = seconds();
  if (stories260k_open(NULL, &model) != WEFT_OK || weft_model_load(model, argv[1]) != WEFT_OK) {
    fprintf(stderr, "%s\n", weft_model_error(model));
    goto done;
  }
  stories260k_dims dims = {.B = 1, .T = prompt_length};
  weft_session_options options = {.threads = 1}; /* matrices of 64 columns: more threads would only wait */
  if (stories260k_session(model, &dims, &options, &session) != WEFT_OK) {
    fprintf(stderr, "%s\n", weft_session_error(session));
    goto done;
  }
  double loaded = seconds();

  story told = {.words = &words, .previous = prompt[prompt_length - 1]};
  weft_generate_options how;
  weft_generate_defaults(model, 0, &how); /* greedy, until the end token, at most 256: as the model file says */
  how.on_token = on_token;
  how.on_token_user = &told;
  weft_sequence sequence = {.prompt = prompt, .prompt_length = prompt_length};
  sequence.capacity = how.max_new_tokens;
  sequence.tokens = malloc((size_t)sequence.capacity * sizeof(int32_t));
  if (stories260k_generate(session, &how, &sequence, 1) != WEFT_OK) {
    fprintf(stderr, "%s\n", weft_session_error(session));
    free(sequence.tokens);
    goto done;
  }
  free(sequence.tokens);
  result = 0;

  printf("\n\n%lld tokens, %.0f tokens/s; model ready in %.1f ms; arena %lld bytes; peak memory %.1f MB\n", (long long)told.count,
         told.count > 1 ? (double)(told.count - 1) / (told.last - told.first) : 0.0, (loaded - start) * 1e3,
         (long long)stories260k_arena_bytes(&dims), peak_memory());

done:
  weft_session_destroy(session);
  weft_model_close(model);
  for (int32_t i = 0; i < words.count; i++)
    free(words.pieces[i]);
  return result;
}
