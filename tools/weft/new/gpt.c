/* Continues a text, byte by byte. Usage: @NAME@ [TEXT [WEIGHTS.safetensors]]; without weights they are drawn at random. */
#include "@NAME@.h"

#include <ctype.h>
#include <stdio.h>

/* Prints each byte as it comes; a non-zero result would end the text. */
static int on_token(void *user, int64_t sequence, int64_t index, int32_t token) {
  (void)user, (void)sequence, (void)index;
  putchar(isprint(token) || token == '\n' ? token : '.');
  return 0;
}

int main(int argc, char **argv) {
  const char *text = argc > 1 ? argv[1] : "Once upon a time";
  int32_t prompt[64], tokens[32];
  int64_t length = 0;
  weft_model *model = NULL;
  weft_session *session = NULL;
  int result = 1;
  for (; length < 64 && text[length]; length++)
    prompt[length] = (unsigned char)text[length];
  if (@NAME@_open(NULL, &model) != WEFT_OK || (argc > 2 ? weft_model_load(model, argv[2]) : weft_model_init(model, 0)) != WEFT_OK) {
    fprintf(stderr, "%s\n", weft_model_error(model));
    goto done;
  }
  /* The largest sizes that this session will see; it allocates here and never again. */
  if (@NAME@_session(model, &(@NAME@_dims){.B = 1, .T = 64}, NULL, &session) != WEFT_OK) {
    fprintf(stderr, "%s\n", weft_session_error(session));
    goto done;
  }
  weft_generate_options how;
  weft_generate_defaults(model, 0, &how); /* as the model file says: 32 tokens, drawn at temperature 0.8 */
  how.on_token = on_token;
  weft_sequence sequence = {.prompt = prompt, .prompt_length = length, .tokens = tokens, .capacity = 32};
  fputs(text, stdout);
  if (@NAME@_generate(session, &how, &sequence, 1) != WEFT_OK) {
    fprintf(stderr, "%s\n", weft_session_error(session));
    goto done;
  }
  putchar('\n');
  result = 0;

done:
  weft_session_destroy(session);
  weft_model_close(model);
  return result;
}
