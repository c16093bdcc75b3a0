/* Sessions in files: what is saved comes back bit for bit, in sessions of other sizes too; damaged files and files of other
 * models change nothing. */
#include "check.h"
#include "scratch_folder.h"
#include "toy.h"

#include <stdlib.h>
#include <unistd.h>

static char folder[100], path[200];
static weft_model *model;
static float logits[TOY_MAX_B * TOY_MAX_T * TOY_VOCABULARY];
enum { STEP = TOY_MAX_B * TOY_VOCABULARY };

static weft_session *open_session(int64_t batch) {
  weft_session *session;
  weft_session_options options = {.threads = 1};
  CHECK_EQUAL(weft_session_create(model, (const int64_t[]){batch, TOY_MAX_T, 0}, &options, &session), WEFT_OK);
  return session;
}

static void run(weft_session *session, int32_t entry, int64_t batch, int64_t tokens, int32_t first) {
  int32_t ids[TOY_MAX_B * TOY_MAX_T];
  for (int64_t i = 0; i < batch * tokens; ++i) ids[i] = (int32_t)((i * 3 + first) % TOY_VOCABULARY);
  CHECK_EQUAL(weft_session_run(session, entry, (const int64_t[]){batch, tokens, 0}, (const void *const[]){ids, NULL}, (void *const[]){logits}), WEFT_OK);
}

/* Three sequences of lengths 5, 2 and 4. */
static weft_session *used_session(void) {
  weft_session *session = open_session(TOY_MAX_B);
  CHECK_EQUAL(weft_session_set_valid(session, (const int32_t[]){5, 2, 4}, 3), WEFT_OK);
  run(session, TOY_PREFILL, 3, 5, 1);
  return session;
}

static void comes_back_bit_for_bit(void) {
  weft_session *session = used_session();
  CHECK_EQUAL(weft_session_save(session, path), WEFT_OK);
  run(session, TOY_DECODE, 3, 1, 7);
  float expected[STEP];
  memcpy(expected, logits, sizeof expected);
  for (int64_t batch = 3; batch <= TOY_MAX_B; ++batch) {
    weft_session *other = open_session(batch);
    if (batch > 4) run(other, TOY_PREFILL, 5, 7, 2); /* what it held is gone */
    CHECK_EQUAL(weft_session_restore(other, path), WEFT_OK);
    for (int64_t b = 0; b < batch; ++b) CHECK_EQUAL(weft_session_length(other, 0, b), b == 0 ? 5 : b == 1 ? 2 : b == 2 ? 4 : 0);
    run(other, TOY_DECODE, 3, 1, 7);
    CHECK(!memcmp(expected, logits, 3 * TOY_VOCABULARY * sizeof(float)));
    weft_session_destroy(other);
  }
  /* The same session gives the same file. */
  CHECK_EQUAL(weft_session_restore(session, path), WEFT_OK);
  run(session, TOY_DECODE, 3, 1, 7);
  CHECK(!memcmp(expected, logits, 3 * TOY_VOCABULARY * sizeof(float)));
  weft_session_destroy(session);
}

static void an_empty_session_has_a_file_too(void) {
  weft_session *session = open_session(2), *other = used_session();
  CHECK_EQUAL(weft_session_save(session, path), WEFT_OK);
  CHECK_EQUAL(weft_session_restore(other, path), WEFT_OK);
  for (int64_t b = 0; b < 3; ++b) CHECK_EQUAL(weft_session_length(other, 0, b), 0);
  weft_session_destroy(other);
  weft_session_destroy(session);
}

static void too_small_sessions_refuse(void) {
  weft_session *session = used_session(), *other = open_session(2);
  CHECK_EQUAL(weft_session_save(session, path), WEFT_OK);
  CHECK_EQUAL(weft_session_restore(other, path), WEFT_ERR_LENGTH);
  CHECK_CONTAINS(weft_session_error(other), "expected sequences of this session: at most 2 but got 3");
  weft_session_destroy(other);
  weft_session_destroy(session);
}

static char file[65536];
static size_t file_bytes;

static void read_file(void) {
  FILE *stream = fopen(path, "rb");
  file_bytes = fread(file, 1, sizeof file, stream);
  fclose(stream);
}

static void write_file(size_t bytes) {
  FILE *stream = fopen(path, "wb");
  fwrite(file, 1, bytes, stream);
  fclose(stream);
}

/* A session that must not change: its lengths are 1 and 3. */
static void expect_refusal(weft_session *session, const char *what, long at) {
  weft_status status = weft_session_restore(session, path);
  if (status == WEFT_OK) fprintf(stderr, "%s %ld was accepted\n", what, at);
  CHECK(status != WEFT_OK);
  CHECK(weft_session_error(session)[0]);
  CHECK_EQUAL(weft_session_length(session, 0, 0), 1);
  CHECK_EQUAL(weft_session_length(session, 0, 1), 3);
}

static void damage_is_seen_and_changes_nothing(void) {
  weft_session *session = used_session(), *other = open_session(TOY_MAX_B);
  CHECK_EQUAL(weft_session_save(session, path), WEFT_OK);
  CHECK_EQUAL(weft_session_set_valid(other, (const int32_t[]){1, 3}, 2), WEFT_OK);
  run(other, TOY_PREFILL, 2, 3, 4);
  read_file();
  long tried = 0, header = 8;
  for (int i = 0; i < 8; ++i) header += (long)(unsigned char)file[i] << 8 * i;
  for (size_t bytes = 0; bytes < file_bytes; bytes += bytes < (size_t)header ? 7 : 13, ++tried) {
    write_file(bytes);
    expect_refusal(other, "length", (long)bytes);
  }
  for (size_t at = 0; at < file_bytes; ++at) {
    if (at >= 8 && (long)at < header && file[at] == ' ') continue; /* blanks of the header's padding say nothing */
    file[at] ^= 0x10;
    write_file(file_bytes);
    expect_refusal(other, "byte", (long)at);
    file[at] ^= 0x10;
    ++tried;
  }
  printf("count: damaged session files = %ld\n", tried);
  weft_session_destroy(other);
  weft_session_destroy(session);
}

/* A file with one thing changed, and a right digest where `digest` says so. */
static void refused(weft_session *session, const weft_tensor *tensors, int64_t count, const char *const *metadata, int64_t pairs, const char *text) {
  CHECK_EQUAL(weft_safetensors_write(path, tensors, count, metadata, pairs, NULL, NULL, 0), WEFT_OK);
  CHECK(weft_session_restore(session, path) != WEFT_OK);
  CHECK_CONTAINS(weft_session_error(session), text);
}

static void other_files_are_refused_by_name(void) {
  weft_session *session = open_session(2);
  const weft_state_desc *state = &toy_model.state[0];
  static float data[4096];
  int64_t lengths[2] = {1, 1};
  weft_tensor tensors[3] = {{"cache.kv", WEFT_F32, 6, {state->layers, 2, 2, state->kv_heads, 1, state->head_dim}, data}, {"cache.kv.lengths", WEFT_I64, 1, {2}, lengths},
                            {"more", WEFT_F32, 1, {1}, data}};
  char name[100];
  snprintf(name, sizeof name, "cache.%s", state->name);
  tensors[0].name = name;
  char numbers[120];
  snprintf(numbers, sizeof numbers, "%s.lengths", name);
  tensors[1].name = numbers;
  const char *good[] = {"weft.session", "1", "weft.model", toy_model.name, "weft.xxh64", "0"}, *version[] = {"weft.session", "2", "weft.model", toy_model.name},
             *name_of[] = {"weft.session", "1", "weft.model", "another"};
  refused(session, tensors, 2, NULL, 0, "it is no saved session of this version");
  refused(session, tensors, 2, version, 2, "it is no saved session of this version");
  refused(session, tensors, 2, name_of, 2, "it is a session of model 'another'");
  refused(session, tensors, 2, good, 3, "its data is damaged");
  refused(session, tensors, 1, good, 3, ".lengths' but it is missing");
  refused(session, tensors, 3, good, 3, "none of this model's");
  for (int32_t axis = 0; axis < 6; ++axis) {
    weft_tensor changed[2] = {tensors[0], tensors[1]};
    changed[0].shape[axis] += axis == 4 ? TOY_CAPACITY : 1;
    refused(session, changed, 2, good, 3, axis == 4 ? "expected positions: at most 12 but got 13" : axis == 2 ? "expected numbers: 3 but got 2" : "another size of an axis");
  }
  weft_tensor type[2] = {tensors[0], tensors[1]};
  type[0].dtype = WEFT_F64;
  refused(session, type, 2, good, 3, "expected type");
  type[0] = tensors[0];
  type[0].rank = 5;
  refused(session, type, 2, good, 3, "expected axes: 6 but got 5");
  CHECK_EQUAL(weft_session_restore(session, "/nowhere/x.safetensors"), WEFT_ERR_IO);
  CHECK_CONTAINS(weft_session_error(session), "'/nowhere/x.safetensors': cannot open");
  CHECK_EQUAL(weft_session_save(session, "/nowhere/x.safetensors"), WEFT_ERR_IO);
  CHECK_EQUAL(weft_session_save(session, NULL), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_session_save(NULL, path), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_session_restore(NULL, path), WEFT_ERR_ARGUMENT);
  weft_session_destroy(session);
}

int main(void) {
  scratch_folder(folder, sizeof folder, "snapshot");
  snprintf(path, sizeof path, "%s/s.safetensors", folder);
  model = toy_open(NULL);
  comes_back_bit_for_bit();
  an_empty_session_has_a_file_too();
  too_small_sessions_refuse();
  damage_is_seen_and_changes_nothing();
  other_files_are_refused_by_name();
  weft_model_close(model);
  unlink(path);
  rmdir(folder);
  return check_result();
}
