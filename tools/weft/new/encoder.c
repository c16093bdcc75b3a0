/* Classifies a sequence of token ids. Usage: @NAME@ [WEIGHTS.safetensors]; without weights they are drawn at random. */
#include "@NAME@.h"

#include <stdio.h>

int main(int argc, char **argv) {
  const int32_t tokens[6] = {12, 7, 431, 9, 0, 0}; /* 0 pads */
  float logits[3];
  weft_model *model = NULL;
  weft_session *session = NULL;
  int result = 1;
  if (@NAME@_open(NULL, &model) != WEFT_OK || (argc > 1 ? weft_model_load(model, argv[1]) : weft_model_init(model, 0)) != WEFT_OK) {
    fprintf(stderr, "%s\n", weft_model_error(model));
    goto done;
  }
  /* The largest sizes that this session will see; it allocates here and never again. */
  if (@NAME@_session(model, &(@NAME@_dims){.B = 1, .T = 128}, NULL, &session) != WEFT_OK) {
    fprintf(stderr, "%s\n", weft_session_error(session));
    goto done;
  }
  @NAME@_forward_args args = {.dims = {.B = 1, .T = 6}, .tokens = tokens, .logits = logits};
  if (@NAME@_forward(session, &args) != WEFT_OK) {
    fprintf(stderr, "%s\n", weft_session_error(session));
    goto done;
  }
  for (int i = 0; i < 3; i++)
    printf("logit of class %d: %.4f\n", i, (double)logits[i]);
  result = 0;

done:
  weft_session_destroy(session);
  weft_model_close(model);
  return result;
}
