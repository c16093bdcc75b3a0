/* Trains a small GPT on the characters of a text, then continues a few words: one program, no dependency but libc.
 * Usage: char_gpt TEXT [STEPS [WEIGHTS.safetensors]]. Needs char_gpt.h and .o, and libweft_runtime. */
#define _POSIX_C_SOURCE 200809L
#include "char_gpt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH = 12, WINDOW = 64, CHARACTERS = 65, NEW = 400 };

/* The text as numbers of its characters, which are numbered in order of their bytes. */
typedef struct corpus {
  int32_t *tokens;
  int64_t count;
  int32_t characters;
  char letter[256];
  int32_t number[256];
} corpus;

static int read_corpus(const char *path, corpus *out) {
  FILE *file = fopen(path, "rb");
  long bytes = -1;
  if (!file)
    return perror(path), 0;
  char *text = NULL;
  memset(out, 0, sizeof(*out));
  if (fseek(file, 0, SEEK_END) == 0 && (bytes = ftell(file)) > 0 && fseek(file, 0, SEEK_SET) == 0)
    text = malloc((size_t)bytes);
  if (!text || fread(text, 1, (size_t)bytes, file) != (size_t)bytes)
    bytes = -1;
  fclose(file);
  for (long i = 0; i < bytes; i++)
    out->number[(unsigned char)text[i]] = 1;
  for (int byte = 0; byte < 256; byte++)
    if (out->number[byte]) {
      out->number[byte] = out->characters;
      out->letter[out->characters++] = (char)byte;
    }
  out->tokens = bytes > 0 ? malloc((size_t)bytes * sizeof(int32_t)) : NULL;
  for (long i = 0; out->tokens && i < bytes; i++)
    out->tokens[i] = out->number[(unsigned char)text[i]];
  out->count = bytes;
  free(text);
  if (out->tokens && bytes > WINDOW + 1 && out->characters <= CHARACTERS)
    return 1;
  return fprintf(stderr, "%s: expected a text of at least %d and at most %d different characters\n", path, WINDOW + 2, CHARACTERS), 0;
}

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Batch number `batch`: windows in shuffled order, each window's targets one character later. */
static void fill_batch(const corpus *text, uint64_t batch, int32_t *tokens, int32_t *targets) {
  const int64_t windows = (text->count - 1) / WINDOW, batches = windows / BATCH > 0 ? windows / BATCH : 1;
  for (int64_t i = 0; i < BATCH; i++) {
    int64_t sample = (int64_t)(batch % (uint64_t)batches) * BATCH + i;
    int64_t first = weft_shuffle(0, batch / (uint64_t)batches, windows, sample % windows) * WINDOW;
    memcpy(tokens + i * WINDOW, text->tokens + first, WINDOW * sizeof(int32_t));
    memcpy(targets + i * WINDOW, text->tokens + first + 1, WINDOW * sizeof(int32_t));
  }
}

static int train(weft_model *model, const corpus *text, int64_t steps) {
  static int32_t tokens[BATCH * WINDOW], targets[BATCH * WINDOW];
  const double start = seconds();
  weft_trainer *trainer = NULL;
  weft_status status = char_gpt_trainer(model, &(char_gpt_dims){.B = BATCH, .T = WINDOW}, NULL, &trainer);
  for (int64_t step = 0; status == WEFT_OK && step < steps; step++) {
    char_gpt_train_step_args args = {.dims = {.B = BATCH, .T = WINDOW}, .tokens = tokens, .targets = targets};
    weft_metrics metrics;
    fill_batch(text, (uint64_t)step, tokens, targets);
    status = char_gpt_train_step(trainer, &args, &metrics);
    if (status == WEFT_OK && (step % 100 == 0 || step + 1 == steps))
      fprintf(stderr, "step %lld  loss %.3f  %.1f s\n", (long long)step + 1, metrics.loss, seconds() - start);
  }
  if (status == WEFT_OK)
    status = weft_trainer_publish(trainer); /* sessions now see the trained weights */
  if (status != WEFT_OK)
    fprintf(stderr, "%s\n", weft_trainer_error(trainer));
  weft_trainer_destroy(trainer);
  return status == WEFT_OK;
}

static int on_token(void *user, int64_t sequence, int64_t index, int32_t token) {
  const corpus *text = user;
  (void)sequence;
  (void)index;
  putchar(token < text->characters ? text->letter[token] : '?');
  fflush(stdout);
  return 0;
}

static int generate(weft_model *model, const corpus *text) {
  const char prompt[] = "\n";
  int32_t start[sizeof(prompt)], out[NEW];
  weft_session *session = NULL;
  weft_generate_options how;
  weft_sequence sequence = {.prompt = start, .prompt_length = sizeof(prompt) - 1, .tokens = out, .capacity = NEW};
  for (size_t i = 0; i + 1 < sizeof(prompt); i++)
    start[i] = text->number[(unsigned char)prompt[i]];
  weft_status status = char_gpt_session(model, &(char_gpt_dims){.B = 1, .T = WINDOW}, NULL, &session);
  weft_generate_defaults(model, 0, &how);
  how.on_token = on_token;
  how.on_token_user = (void *)text;
  if (status == WEFT_OK)
    status = char_gpt_generate(session, &how, &sequence, 1);
  if (status != WEFT_OK)
    fprintf(stderr, "%s\n", weft_session_error(session));
  putchar('\n');
  weft_session_destroy(session);
  return status == WEFT_OK;
}

int main(int argc, char **argv) {
  corpus text;
  weft_model *model = NULL;
  const weft_model_options options = {.keep_parameters = 1};
  int done = 0;
  char *end = "";
  const long long steps = argc > 2 ? strtoll(argv[2], &end, 10) : 600;
  if (argc < 2 || argc > 4)
    return fprintf(stderr, "usage: %s TEXT [STEPS [WEIGHTS.safetensors]]\n", argv[0]), 2;
  if (*end || steps < 0 || (argc > 2 && end == argv[2]))
    return fprintf(stderr, "expected a number of steps but got '%s'\n", argv[2]), 2;
  if (!read_corpus(argv[1], &text))
    return 3;
  if (char_gpt_open(&options, &model) != WEFT_OK || weft_model_init(model, 1) != WEFT_OK)
    fprintf(stderr, "%s\n", weft_model_error(model));
  else if (train(model, &text, steps) && generate(model, &text)) {
    done = argc < 4 || weft_model_save(model, argv[3]) == WEFT_OK;
    if (!done)
      fprintf(stderr, "%s\n", weft_model_error(model));
  }
  weft_model_close(model);
  free(text.tokens);
  return done ? 0 : 1;
}
