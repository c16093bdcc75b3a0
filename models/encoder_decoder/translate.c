/* Translates a whole data set: reads `src` [N, S] from a safetensors file, prints the chosen tokens of each sample on a line.
 * Usage: translate WEIGHTS.safetensors DATA.safetensors [BEAMS [FIRST_N]]. Needs encoder_decoder.h and .o, and libweft_runtime. */
#include "encoder_decoder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 32, MOST = 64 };

/* Reads the sources. Returns them, or NULL after a message. */
static int32_t *read_sources(const char *path, int64_t *count, int64_t *length) {
  weft_tensor_file *file = NULL;
  int32_t *sources = NULL;
  weft_status status = weft_tensor_file_open(path, NULL, &file);
  const int64_t at = status == WEFT_OK ? weft_tensor_file_find(file, "src") : -1;
  const weft_tensor_info *info = at >= 0 ? weft_tensor_file_at(file, at) : NULL;
  if (status != WEFT_OK)
    fprintf(stderr, "%s: %s\n", path, weft_tensor_file_error(file));
  else if (!info || info->dtype != WEFT_I32 || info->rank != 2 || info->elements == 0)
    fprintf(stderr, "%s: expected a tensor 'src' of i32 [N, S]\n", path);
  else if ((sources = malloc((size_t)info->bytes)) != NULL && weft_tensor_file_read(file, at, sources, (size_t)info->bytes) == WEFT_OK) {
    *count = info->shape[0];
    *length = info->shape[1];
  } else {
    fprintf(stderr, "%s: %s\n", path, sources ? weft_tensor_file_error(file) : "not enough memory");
    free(sources);
    sources = NULL;
  }
  weft_tensor_file_close(file);
  return sources;
}

static weft_status translate(weft_session *session, const weft_generate_options *given, const int32_t *sources, int64_t rows, int64_t length) {
  static int32_t out[BATCH][MOST];
  const int32_t start = 1;
  int32_t prompts[BATCH];
  weft_sequence sequences[BATCH];
  weft_generate_options how = *given;
  const int64_t dims[3] = {rows, length, 1};
  const void *inputs[2] = {NULL, NULL};
  weft_status status;
  memset(sequences, 0, sizeof(sequences));
  for (int64_t i = 0; i < rows; i++) {
    prompts[i] = start;
    sequences[i].prompt = &prompts[i];
    sequences[i].prompt_length = 1;
    sequences[i].tokens = out[i];
    sequences[i].capacity = MOST;
  }
  inputs[encoder_decoder_INPUT_prefill_src] = sources;
  how.dims = dims;
  how.prefill_inputs = inputs;
  status = encoder_decoder_generate(session, &how, sequences, rows);
  for (int64_t i = 0; status == WEFT_OK && i < rows; i++)
    for (int64_t t = 0; t <= sequences[i].count; t++)
      if (t < sequences[i].count)
        printf(t ? " %d" : "%d", (int)out[i][t]);
      else
        putchar('\n');
  return status;
}

int main(int argc, char **argv) {
  int64_t count = 0, length = 0;
  weft_model *model = NULL;
  weft_session *session = NULL;
  weft_generate_options how;
  if (argc < 3)
    return fprintf(stderr, "usage: %s WEIGHTS.safetensors DATA.safetensors [BEAMS [FIRST_N]]\n", argv[0]), 2;
  int32_t *sources = read_sources(argv[2], &count, &length);
  if (!sources)
    return 1;
  if (argc > 4 && strtoll(argv[4], NULL, 10) < count)
    count = strtoll(argv[4], NULL, 10);
  weft_status status = encoder_decoder_open(NULL, &model);
  if (status == WEFT_OK)
    status = weft_model_load(model, argv[1]);
  if (status != WEFT_OK)
    fprintf(stderr, "%s\n", weft_model_error(model));
  else {
    weft_generate_defaults(model, encoder_decoder_GENERATE_generate, &how);
    how.beams = argc > 3 ? strtoll(argv[3], NULL, 10) : how.beams;
    if (how.beams <= 1) {
      how.beams = 1;
      how.sample = WEFT_SAMPLE_GREEDY;
    }
    how.max_new_tokens = MOST;
    status = encoder_decoder_session(model, &(encoder_decoder_dims){.B = BATCH * how.beams, .S = length, .T = 1}, NULL, &session);
    for (int64_t first = 0; status == WEFT_OK && first < count; first += BATCH)
      status = translate(session, &how, sources + first * length, count - first < BATCH ? count - first : BATCH, length);
    if (status != WEFT_OK)
      fprintf(stderr, "%s\n", weft_session_error(session));
  }
  weft_session_destroy(session);
  weft_model_close(model);
  free(sources);
  return status == WEFT_OK ? 0 : 1;
}
