/* Limits on files of tensors: what is one too large is refused before memory is taken for it, and read where the limit is
 * raised; writers keep the same limits; models, sessions and checkpoints use those of the model. */
#include "check.h"
#include "scratch_folder.h"
#include "toy.h"
#include "trained.h"

#include <stdlib.h>
#include <unistd.h>

static char folder[100], path[4][200];
enum { WEIGHTS, MORE, INDEX, ARRAY };

/* ---- An allocator that knows the most that was taken at once ---------------------------------------------------- */

static size_t held, most;
static void *take(void *user, size_t bytes, size_t alignment) {
  void *memory = NULL;
  (void)user;
  if (posix_memalign(&memory, alignment, bytes)) return NULL;
  held += bytes;
  if (held > most) most = held;
  return memory;
}
static void give(void *user, void *memory, size_t bytes) { (void)user, held -= bytes, free(memory); }
static const weft_allocator counting = {take, give, NULL};

static weft_status open_with(const char *file, weft_tensor_limits limits, char *text, size_t size) {
  const weft_tensor_options options = {.allocator = &counting, .limits = &limits};
  weft_tensor_file *opened;
  most = 0;
  weft_status status = weft_tensor_file_open(file, &options, &opened);
  snprintf(text, size, "%s", weft_tensor_file_error(opened));
  weft_tensor_file_close(opened);
  CHECK_EQUAL(held, 0);
  return status;
}

static const char *const pairs[] = {"a", "1", "b", "2", "c", "3"};
enum { PADDING = 1 << 20 };

/* A header of more than a megabyte, three pairs, two tensors of six elements, names of 30 bytes. */
static int64_t write_files(void) {
  static char large[PADDING + 1];
  const float data[6] = {1, 2, 3, 4, 5, 6};
  memset(large, 'x', PADDING);
  const char *const with_large[] = {"a", "1", "b", "2", "c", large};
  const weft_tensor first[] = {{"123456789 123456789 123456789 ", WEFT_F32, 1, {6}, data}, {"w", WEFT_F32, 2, {2, 3}, data}};
  const weft_tensor second[] = {{"v", WEFT_F32, 1, {6}, data}, {"u", WEFT_F32, 1, {1}, data}};
  CHECK_EQUAL(weft_safetensors_write(path[WEIGHTS], first, 2, with_large, 3, NULL, NULL, 0), WEFT_OK);
  CHECK_EQUAL(weft_safetensors_write(path[MORE], second, 2, pairs, 3, NULL, NULL, 0), WEFT_OK);
  CHECK_EQUAL(weft_npy_write(path[ARRAY], &second[0], NULL, NULL, 0), WEFT_OK);
  FILE *index = fopen(path[INDEX], "wb");
  fprintf(index, "{\"weight_map\":{\"w\":\"w.safetensors\",\"u\":\"v.safetensors\",\"v\":\"v.safetensors\"}}");
  fclose(index);
  unsigned char length[8];
  FILE *weights = fopen(path[WEIGHTS], "rb");
  CHECK_EQUAL(fread(length, 1, 8, weights), 8);
  fclose(weights);
  return length[0] | length[1] << 8 | length[2] << 16;
}

static void one_too_large_is_refused_and_may_be_allowed(void) {
  const int64_t header = write_files();
  CHECK(header > PADDING);
  const struct {
    int file;
    weft_tensor_limits limits; /* one below what the file has */
    const char *text;
  } cases[] = {
      {WEIGHTS, {.header_bytes = header - 1}, "expected a header of at most "},
      {WEIGHTS, {.tensors = 1}, "expected at most 1 tensors"},
      {WEIGHTS, {.name_bytes = 29}, "expected a name of at most 29 bytes"},
      {WEIGHTS, {.elements = 5}, "has too many elements"},
      {WEIGHTS, {.metadata = 2}, "expected at most 2 metadata entries"},
      {ARRAY, {.header_bytes = 117}, "expected a header of at most 117 bytes but got 118"},
      {ARRAY, {.elements = 5}, "shape [6] has too many elements"},
      {INDEX, {.tensors = 2}, "expected at most 2 tensors"},
      {INDEX, {.shards = 1}, "expected at most 1 shards"},
      {INDEX, {.header_bytes = 60}, "expected an index of at most 60 bytes but got "},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    char text[600];
    CHECK_EQUAL(open_with(path[cases[i].file], cases[i].limits, text, sizeof text), WEFT_ERR_LIMIT);
    CHECK_CONTAINS(text, cases[i].text);
    if (cases[i].limits.header_bytes) CHECK(most < 20000); /* no memory for the header */
    weft_tensor_limits raised = cases[i].limits;
    int64_t *const fields[] = {&raised.header_bytes, &raised.tensors, &raised.name_bytes, &raised.elements, &raised.metadata, &raised.shards};
    for (int f = 0; f < 6; ++f) *fields[f] += *fields[f] != 0;
    if (cases[i].file == INDEX) raised = (weft_tensor_limits){.tensors = 4, .shards = 2, .header_bytes = header};
    CHECK_EQUAL(open_with(path[cases[i].file], raised, text, sizeof text), WEFT_OK);
    CHECK_TEXT(text, "");
  }
  const char *const both[] = {path[WEIGHTS], path[MORE]};
  weft_tensor_limits limits = {.shards = 1};
  const weft_tensor_options options = {.limits = &limits};
  weft_tensor_file *file;
  CHECK_EQUAL(weft_tensor_file_open_list(both, 2, &options, &file), WEFT_ERR_LIMIT);
  CHECK_TEXT(weft_tensor_file_error(file), "expected at most 1 files");
  weft_tensor_file_close(file);
  limits = (weft_tensor_limits){.tensors = 3};
  CHECK_EQUAL(weft_tensor_file_open_list(both, 2, &options, &file), WEFT_ERR_LIMIT);
  weft_tensor_file_close(file);
  limits = (weft_tensor_limits){.tensors = 4};
  CHECK_EQUAL(weft_tensor_file_open_list(both, 2, &options, &file), WEFT_OK);
  CHECK_EQUAL(weft_tensor_file_count(file), 4);
  weft_tensor_file_close(file);
}

/* The defaults: what they let through, and what not. */
static void defaults_hold_for_any_real_file(void) {
  static char name[1026];
  const float data = 1;
  weft_tensor tensor = {name, WEFT_F32, 0, {0}, &data};
  weft_tensor_limits raised = {.name_bytes = 1025};
  const weft_tensor_options options = {.limits = &raised};
  char text[600];
  memset(name, 'n', 1024);
  CHECK_EQUAL(weft_safetensors_write(path[WEIGHTS], &tensor, 1, NULL, 0, NULL, NULL, 0), WEFT_OK);
  CHECK_EQUAL(open_with(path[WEIGHTS], (weft_tensor_limits){0}, text, sizeof text), WEFT_OK);
  name[1024] = 'n';
  CHECK_EQUAL(weft_safetensors_write(path[WEIGHTS], &tensor, 1, NULL, 0, NULL, text, sizeof text), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(text, "tensor 0: expected a name of at most 1024 bytes");
  CHECK_EQUAL(weft_safetensors_write(path[WEIGHTS], &tensor, 1, NULL, 0, &options, text, sizeof text), WEFT_OK);
  CHECK_EQUAL(open_with(path[WEIGHTS], (weft_tensor_limits){0}, text, sizeof text), WEFT_ERR_LIMIT);
  CHECK_EQUAL(open_with(path[WEIGHTS], raised, text, sizeof text), WEFT_OK);
  /* A header of 100,000,001 bytes: refused by its length alone. */
  FILE *file = fopen(path[WEIGHTS], "wb");
  const unsigned char length[8] = {0x01, 0xe1, 0xf5, 0x05};
  CHECK_EQUAL(fwrite(length, 1, 8, file), 8);
  fclose(file);
  CHECK_EQUAL(truncate(path[WEIGHTS], 8 + 100000001), 0);
  CHECK_EQUAL(open_with(path[WEIGHTS], (weft_tensor_limits){0}, text, sizeof text), WEFT_ERR_LIMIT);
  CHECK_TEXT(text, "expected a header of at most 100000000 bytes but got 100000001");
  CHECK(most < 20000);
}

static void writers_keep_the_limits(void) {
  const float data[6] = {0};
  const weft_tensor tensors[] = {{"a", WEFT_F32, 1, {6}, data}, {"b", WEFT_F32, 1, {6}, data}};
  char text[300];
  const struct {
    weft_tensor_limits limits;
    weft_status status;
    const char *text;
  } cases[] = {{{.tensors = 1}, WEFT_ERR_ARGUMENT, "expected a list of at most 1 tensors"},
               {{.elements = 5}, WEFT_ERR_ARGUMENT, "tensor 'a': shape [6] is not possible"},
               {{.header_bytes = 100}, WEFT_ERR_LIMIT, "expected a header of at most 100 bytes but got "},
               {{.tensors = 2, .elements = 6, .header_bytes = 1000}, WEFT_OK, ""}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    const weft_tensor_options options = {.limits = &cases[i].limits};
    CHECK_EQUAL(weft_safetensors_write(path[MORE], tensors, 2, NULL, 0, &options, text, sizeof text), cases[i].status);
    CHECK_CONTAINS(text, cases[i].text);
  }
  const weft_tensor_limits few = {.elements = 5};
  const weft_tensor_options options = {.limits = &few};
  CHECK_EQUAL(weft_npy_write(path[ARRAY], tensors, &options, text, sizeof text), WEFT_ERR_ARGUMENT);
}

static void limits_that_make_no_sense_are_refused(void) {
  static const struct {
    weft_tensor_limits limits;
    const char *text;
  } cases[] = {{{.header_bytes = -1}, "limit header_bytes: expected 0..9223372036854775807 but got -1"},
               {{.tensors = (int64_t)1 << 31}, "limit tensors: expected 0..2147483647 but got 2147483648"},
               {{.name_bytes = INT64_MIN}, "limit name_bytes: "},
               {{.elements = ((int64_t)1 << 56) + 1}, "limit elements: expected 0..72057594037927936 but got 72057594037927937"},
               {{.metadata = -5}, "limit metadata: "},
               {{.shards = (int64_t)1 << 31}, "limit shards: "}};
  const float data = 1;
  const weft_tensor tensor = {"a", WEFT_F32, 0, {0}, &data};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    const weft_tensor_options options = {.limits = &cases[i].limits};
    weft_tensor_file *file;
    char text[600];
    CHECK_EQUAL(weft_tensor_file_open("/nowhere", &options, &file), WEFT_ERR_ARGUMENT);
    CHECK_CONTAINS(weft_tensor_file_error(file), cases[i].text);
    weft_tensor_file_close(file);
    CHECK_EQUAL(weft_safetensors_write(path[MORE], &tensor, 1, NULL, 0, &options, text, sizeof text), WEFT_ERR_ARGUMENT);
    CHECK_CONTAINS(text, cases[i].text);
    CHECK_EQUAL(weft_npy_write(path[ARRAY], &tensor, &options, NULL, 0), WEFT_ERR_ARGUMENT);
  }
}

/* ---- Models ----------------------------------------------------------------------------------------------------- */

static void a_model_has_its_limits(void) {
  weft_model *whole = toy_open(&(weft_model_options){.keep_parameters = 1}), *model;
  weft_session *session;
  const int64_t dims[TOY_DIMS] = {1, 1, 0};
  CHECK_EQUAL(weft_model_save(whole, path[WEIGHTS]), WEFT_OK);
  for (int64_t elements = 65; elements <= 66; ++elements) {
    weft_tensor_limits limits = {.elements = elements, .metadata = 2 + elements % 65};
    const weft_model_options options = {.limits = &limits};
    CHECK_EQUAL(weft_model_open(&toy_model, &options, &model), WEFT_OK);
    limits.elements = 1; /* was copied */
    CHECK_EQUAL(weft_model_load(model, path[WEIGHTS]), elements < 66 ? WEFT_ERR_LIMIT : WEFT_OK);
    if (elements < 66) CHECK_CONTAINS(weft_model_error(model), "tensor 'file.emb': shape [11, 6] has too many elements");
    CHECK_EQUAL(weft_model_init(model, 1), WEFT_OK);
    CHECK_EQUAL(weft_session_create(model, dims, NULL, &session), WEFT_OK);
    CHECK_EQUAL(weft_session_save(session, path[MORE]), WEFT_OK);
    CHECK_EQUAL(weft_session_restore(session, path[MORE]), elements < 66 ? WEFT_ERR_LIMIT : WEFT_OK); /* three pairs of metadata */
    weft_session_destroy(session);
    weft_model_close(model);
  }
  weft_model_close(whole);
}

static void a_checkpoint_has_the_models_limits(void) {
  weft_trainer *trainer;
  for (int64_t elements = 2; elements <= 3; ++elements) {
    const weft_tensor_limits limits = {.elements = elements};
    const weft_model_options options = {.limits = &limits};
    weft_model *model = trained_open(&options);
    CHECK_EQUAL(weft_trainer_create(model, (const int64_t[]){1}, NULL, &trainer), WEFT_OK);
    CHECK_EQUAL(weft_trainer_save(trainer, folder, NULL), elements < 3 ? WEFT_ERR_ARGUMENT : WEFT_OK); /* w has three */
    if (elements == 3) CHECK_EQUAL(weft_trainer_load(trainer, folder, NULL, 0), WEFT_OK);
    weft_trainer_destroy(trainer);
    weft_model_close(model);
  }
}

int main(void) {
  static const char *const names[] = {"w.safetensors", "v.safetensors", "i.json", "a.npy"};
  scratch_folder(folder, sizeof folder, "limits");
  for (int i = 0; i < 4; ++i) snprintf(path[i], sizeof path[i], "%s/%s", folder, names[i]);
  one_too_large_is_refused_and_may_be_allowed();
  defaults_hold_for_any_real_file();
  writers_keep_the_limits();
  limits_that_make_no_sense_are_refused();
  a_model_has_its_limits();
  a_checkpoint_has_the_models_limits();
  char file[300];
  for (int i = 0; i < 4; ++i) unlink(path[i]);
  for (int i = 0; i < 2; ++i) {
    snprintf(file, sizeof file, "%s/step-0000000000/%s.safetensors", folder, i ? "trainer" : "model");
    unlink(file);
  }
  snprintf(file, sizeof file, "%s/step-0000000000", folder);
  rmdir(file);
  CHECK_EQUAL(rmdir(folder), 0);
  return check_result();
}
