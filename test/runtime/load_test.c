/* Loading: what each parameter finds in a file, and what is said when it does not; saving writes a shared tensor once. */
#include "check.h"
#include "copies.h"
#include "scratch_folder.h"
#include "toy.h"

#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

static char folder[100], path[200], last_log[600];
static const float data[200] = {1, 2, 3};

static void record(void *user, weft_log_level level, const char *text) {
  (void)user, (void)level;
  snprintf(last_log, sizeof last_log, "%s", text);
}

/* The toy's file, of which one tensor may be changed. */
static weft_tensor tensors[5];
static int64_t count;
static void usual_tensors(void) {
  const weft_tensor usual[] = {{"file.emb", WEFT_F32, 2, {11, 6}, data}, {"file.out", WEFT_F32, 2, {11, 6}, data}, {"file.bias", WEFT_F32, 1, {11}, data}, {"file.gain", WEFT_F32, 0, {0}, data}};
  memcpy(tensors, usual, sizeof usual);
  count = 4;
}

static weft_status load(const weft_model_desc *desc, char *text, size_t size) {
  const weft_model_options options = {.log = record};
  weft_model *model;
  last_log[0] = 0;
  CHECK_EQUAL(weft_safetensors_write(path, tensors, count, NULL, 0, NULL, NULL, 0), WEFT_OK);
  CHECK_EQUAL(weft_model_open(desc, &options, &model), WEFT_OK);
  weft_status status = weft_model_load(model, path);
  snprintf(text, size, "%s", weft_model_error(model));
  weft_model_close(model);
  return status;
}

#define CHANGE(statement, wanted, said) \
  if (number == at++) {                 \
    statement;                          \
    *status = wanted;                   \
    *text = said;                       \
    return true;                        \
  }
static bool change(int number, weft_status *status, const char **text) {
  int at = 0;
  CHANGE((void)0, WEFT_OK, "")
  CHANGE(tensors[2].dtype = WEFT_F64, WEFT_OK, "")
  CHANGE(tensors[2].dtype = WEFT_I32, WEFT_ERR_FORMAT, "tensor 'file.bias': expected f32 but got I32")
  CHANGE(tensors[2].shape[0] = 10, WEFT_ERR_FORMAT, "tensor 'file.bias': expected shape [11] but got [10]")
  CHANGE((tensors[2].rank = 2, tensors[2].shape[1] = 1), WEFT_ERR_FORMAT, "tensor 'file.bias': expected shape [11] but got [11, 1]")
  CHANGE((tensors[0].shape[0] = 6, tensors[0].shape[1] = 11), WEFT_ERR_FORMAT, "(add it to 'weights.transpose'?)")
  CHANGE((tensors[1].shape[0] = 6, tensors[1].shape[1] = 11), WEFT_ERR_FORMAT, "(remove it from 'weights.transpose'?)")
  CHANGE(tensors[0].shape[1] = 11, WEFT_ERR_FORMAT, "expected shape [11, 6] but got [11, 11]")
  CHANGE(tensors[0].shape[0] = 6, WEFT_ERR_FORMAT, "expected shape [11, 6] but got [6, 6]")
  CHANGE((tensors[0].rank = 1, tensors[0].shape[0] = 66), WEFT_ERR_FORMAT, "expected shape [11, 6] but got [66]")
  CHANGE(tensors[2].name = "file.bais", WEFT_ERR_MISSING, "tensor 'file.bias': is missing; did you mean 'file.bais'?")
  CHANGE(tensors[2] = ((weft_tensor){"zzz", WEFT_F32, 1, {12}, data}), WEFT_ERR_MISSING, "tensor 'file.bias': is missing")
  CHANGE((tensors[0].name = "zzz", tensors[2].name = "yyy"), WEFT_ERR_MISSING, "as is 1 more of")
  return false;
}

static void each_parameter_finds_its_tensor(void) {
  for (int number = 0;; ++number) {
    weft_status wanted;
    const char *text;
    char said[600];
    usual_tensors();
    if (!change(number, &wanted, &text)) break;
    CHECK_EQUAL(load(&toy_model, said, sizeof said), wanted);
    CHECK_CONTAINS(said, text);
  }
}

/* A type that can be listed, but not read. */
static void types_that_are_not_read_are_refused(void) {
  char said[600];
  usual_tensors();
  CHECK_EQUAL(load(&toy_model, said, sizeof said), WEFT_OK);
  char bytes[4096];
  FILE *file = fopen(path, "rb");
  size_t size = fread(bytes, 1, sizeof bytes, file);
  fclose(file);
  char *at = NULL;
  for (size_t i = 0; i + 12 < size && !at; ++i)
    if (!memcmp(bytes + i, "\"file.bias\"", 11)) at = bytes + i;
  while (at && memcmp(at, "F32", 3)) ++at;
  CHECK(at != NULL);
  if (at) memcpy(at, "U32", 3);
  weft_model *model;
  CHECK_EQUAL(weft_model_open(&toy_model, NULL, &model), WEFT_OK);
  CHECK_EQUAL(weft_model_load_memory(model, bytes, size), WEFT_ERR_UNSUPPORTED);
  CHECK_TEXT(weft_model_error(model), "tensor 'file.bias': expected f32 but got U32");
  weft_model_close(model);
}

/* Two parameters that read one tensor: it counts once, and is written once. */
static void a_tensor_may_be_shared(void) {
  copies *c = copies_of(&toy_model, 1);
  char said[600];
  c->params[3].file_name = "file.bias";
  c->params[3].rank = 1;
  c->params[3].shape[0] = TOY_VOCABULARY;
  c->desc.entries = TOY_SCALED; /* nothing computes with it */
  usual_tensors();
  count = 3;
  CHECK_EQUAL(load(&c->desc, said, sizeof said), WEFT_OK);
  CHECK_TEXT(last_log, "");
  tensors[3] = (weft_tensor){"spare", WEFT_F32, 0, {0}, data};
  count = 4;
  CHECK_EQUAL(load(&c->desc, said, sizeof said), WEFT_OK);
  CHECK_TEXT(last_log, "1 tensors of the file are not used, 'spare' first");
  const weft_model_options options = {.keep_parameters = 1};
  weft_model *model;
  weft_tensor_file *file;
  CHECK_EQUAL(weft_model_open(&c->desc, &options, &model), WEFT_OK);
  CHECK_EQUAL(weft_model_load(model, path), WEFT_OK);
  CHECK_EQUAL(weft_model_save(model, path), WEFT_OK);
  CHECK_EQUAL(weft_model_save(model, NULL), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_model_error(model), "weights: expected a path");
  weft_model_close(model);
  CHECK_EQUAL(weft_tensor_file_open(path, NULL, &file), WEFT_OK);
  CHECK_EQUAL(weft_tensor_file_count(file), 3);
  weft_tensor_file_close(file);
  free(c);
}

static void parameters_are_asked_for_by_name(void) {
  weft_model *kept, *plain;
  const weft_model_options options = {.keep_parameters = 1};
  const void *found;
  const weft_param_desc *described;
  CHECK_EQUAL(weft_model_open(&toy_model, &options, &kept), WEFT_OK);
  CHECK_EQUAL(weft_model_open(&toy_model, NULL, &plain), WEFT_OK);
  CHECK_EQUAL(weft_model_get(kept, "gain", &found, NULL), WEFT_ERR_MISSING);
  CHECK_EQUAL(weft_model_init(kept, 1), WEFT_OK);
  CHECK_EQUAL(weft_model_init(plain, 1), WEFT_OK);
  CHECK_EQUAL(weft_model_get(kept, "gain", &found, &described), WEFT_OK);
  CHECK_TEXT(described->file_name, "file.gain");
  CHECK_EQUAL(weft_model_get(kept, "other", &found, NULL), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_model_get(plain, "gain", &found, NULL), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_model_set(kept, "gain", NULL, 4), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_model_error(kept), "toy: parameter 'gain': expected 4 bytes but got 0");
  CHECK_EQUAL(weft_model_set(kept, "gain", NULL, 0), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_model_set(kept, "gain", data, 8), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_model_set(kept, "zzzzzzzzzz", data, 4), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_model_error(kept), "toy: there is no parameter 'zzzzzzzzzz'");
  CHECK_EQUAL(weft_model_set(kept, NULL, data, 4), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_model_error(kept), "toy: expected a parameter's name");
  weft_model_close(kept);
  weft_model_close(plain);
}

int main(void) {
  scratch_folder(folder, sizeof folder, "load");
  snprintf(path, sizeof path, "%s/w.safetensors", folder);
  each_parameter_finds_its_tensor();
  types_that_are_not_read_are_refused();
  a_tensor_may_be_shared();
  parameters_are_asked_for_by_name();
  unlink(path);
  CHECK_EQUAL(rmdir(folder), 0);
  return check_result();
}
