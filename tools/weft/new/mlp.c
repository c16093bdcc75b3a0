/* Classifies one row of numbers. Usage: @NAME@ [WEIGHTS.safetensors]; without weights they are drawn at random. */
#include "@NAME@.h"

#include <stdio.h>

int main(int argc, char **argv) {
  const float x[4] = {5.1f, 3.5f, 1.4f, 0.2f};
  float probabilities[3];
  weft_model *model = NULL;
  weft_session *session = NULL;
  int result = 1;
  if (@NAME@_open(NULL, &model) != WEFT_OK || (argc > 1 ? weft_model_load(model, argv[1]) : weft_model_init(model, 0)) != WEFT_OK) {
    fprintf(stderr, "%s\n", weft_model_error(model));
    goto done;
  }
  /* The largest sizes that this session will see; it allocates here and never again. */
  if (@NAME@_session(model, &(@NAME@_dims){.B = 1}, NULL, &session) != WEFT_OK) {
    fprintf(stderr, "%s\n", weft_session_error(session));
    goto done;
  }
  @NAME@_forward_args args = {.dims = {.B = 1}, .x = x, .probabilities = probabilities};
  if (@NAME@_forward(session, &args) != WEFT_OK) {
    fprintf(stderr, "%s\n", weft_session_error(session));
    goto done;
  }
  for (int i = 0; i < 3; i++)
    printf("class %d: %.4f\n", i, (double)probabilities[i]);
  result = 0;

done:
  weft_session_destroy(session);
  weft_model_close(model);
  return result;
}
