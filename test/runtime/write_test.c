/* Writing: whole or not at all, whatever the file system answers; reading survives interruptions. Every operation of a
 * save is made to fail in turn. */
#include "check.h"
#include "faulty_files.h"
#include "scratch_folder.h"
#include "toy.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[100], path[300];

static int files_in_folder(void) {
  int count = 0;
  DIR *stream = opendir(folder);
  for (struct dirent *entry; (entry = readdir(stream));) count += entry->d_name[0] != '.';
  closedir(stream);
  return count;
}

static weft_status write_value(const weft_file_ops *files, float value, char *text, size_t size) {
  float values[300];
  int8_t bytes[3] = {1, 2, 3};
  for (int i = 0; i < 300; ++i) values[i] = value;
  weft_tensor tensors[] = {{"b", WEFT_I8, 1, {3}, bytes}, {"w\n\"\\", WEFT_F32, 2, {3, 100}, values}, {"e", WEFT_F64, 1, {0}, NULL}};
  const char *metadata[] = {"key", "value\t\"", "other", "\xc3\xa9"};
  weft_tensor_options options = {.files = files};
  return weft_safetensors_write(path, tensors, 3, metadata, 2, &options, text, size);
}

/* The value that the file holds; -1: it is not a whole file. */
static float read_value(const weft_file_ops *files) {
  weft_tensor_options options = {.files = files};
  weft_tensor_file *file;
  float values[300] = {-1};
  if (weft_tensor_file_open(path, &options, &file) ||
      weft_tensor_file_read(file, weft_tensor_file_find(file, "w\n\"\\"), values, sizeof values) || values[0] != values[299])
    values[0] = -1;
  else {
    CHECK_TEXT(weft_tensor_file_metadata(file, "key"), "value\t\"");
    CHECK_TEXT(weft_tensor_file_metadata(file, "other"), "\xc3\xa9");
    CHECK_EQUAL(weft_tensor_file_at(file, weft_tensor_file_find(file, "w\n\"\\"))->offset % 64, 0);
  }
  weft_tensor_file_close(file);
  return values[0];
}

static long faults;

static void is_whole_or_absent(void) {
  static const int codes[] = {-ENOSPC, -EIO, -EDQUOT, -EROFS};
  char text[600];
  for (int c = 0; c < 4; ++c)
    for (int exists = 0; exists < 2; ++exists)
      for (long at = 0;; ++at) {
        unlink(path);
        if (exists) CHECK_EQUAL(write_value(NULL, 1, NULL, 0), WEFT_OK);
        faulty_files files;
        faulty_files_begin(&files, at, codes[c]);
        weft_status status = write_value(&files.ops, 2, text, sizeof text);
        float value = access(path, F_OK) ? 0 : read_value(NULL);
        if (files.calls <= at) {
          CHECK_EQUAL(status, WEFT_OK);
          CHECK(value == 2);
          CHECK_TEXT(files.order, "qcwsxnd"); /* synced before it is renamed, the folder after */
          break;
        }
        ++faults;
        CHECK_EQUAL(status, WEFT_ERR_IO);
        CHECK_CONTAINS(text, "cannot ");
        /* Only after the rename may the new content be there. */
        CHECK(value == (exists ? 1 : 0) || (files.failed == 'd' && value == 2));
        CHECK_EQUAL(files_in_folder(), access(path, F_OK) ? 0 : 1);
      }
}

static void survives_interruptions(void) {
  faulty_files files;
  faulty_files_begin(&files, -1, 0);
  files.dribbles = true;
  CHECK_EQUAL(write_value(&files.ops, 5, NULL, 0), WEFT_OK);
  CHECK(read_value(&files.ops) == 5);
  CHECK(files.operations > 300);
}

static void reports_failing_reads(void) {
  CHECK_EQUAL(write_value(NULL, 5, NULL, 0), WEFT_OK);
  for (long at = 0;; ++at) {
    faulty_files files;
    faulty_files_begin(&files, at, -EIO);
    weft_tensor_options options = {.files = &files.ops};
    weft_tensor_file *file;
    float values[300];
    weft_status status = weft_tensor_file_open(path, &options, &file);
    if (!status) status = weft_tensor_file_read(file, weft_tensor_file_find(file, "w\n\"\\"), values, sizeof values);
    if (status) CHECK_CONTAINS(weft_tensor_file_error(file), "Input/output error");
    weft_tensor_file_close(file);
    CHECK_EQUAL(status, !files.failed || files.failed == 'x' ? WEFT_OK : WEFT_ERR_IO);
    if (!files.failed) break;
    ++faults;
  }
}

static void a_failed_load_leaves_a_usable_model(void) {
  weft_model_options options = {.keep_parameters = 1};
  faulty_files files;
  faulty_files_begin(&files, -1, -EIO);
  options.files = &files.ops;
  weft_model *model;
  weft_session *session;
  const int64_t dims[TOY_DIMS] = {1, 1, 0};
  CHECK_EQUAL(weft_model_open(&toy_model, &options, &model), WEFT_OK);
  CHECK_EQUAL(weft_model_init(model, 1), WEFT_OK);
  CHECK_EQUAL(weft_model_save(model, path), WEFT_OK);
  files.calls = 0;
  files.fail_at = 5; /* after the header, in the data */
  CHECK_EQUAL(weft_model_load(model, path), WEFT_ERR_IO);
  CHECK_CONTAINS(weft_model_error(model), "tensor 'file.");
  CHECK_EQUAL(weft_session_create(model, dims, NULL, &session), WEFT_ERR_MISSING);
  weft_session_destroy(session);
  files.fail_at = -1;
  CHECK_EQUAL(weft_model_load(model, path), WEFT_OK);
  CHECK_EQUAL(weft_session_create(model, dims, NULL, &session), WEFT_OK);
  weft_session_destroy(session);
  weft_model_close(model);
}

/* Every call of a save fails in turn: the session's older file stays whole, and so does the session. */
static void a_failed_session_save_keeps_the_old_file(void) {
  faulty_files files;
  faulty_files_begin(&files, -1, -ENOSPC);
  weft_model_options options = {.files = &files.ops};
  weft_model *model;
  weft_session *session;
  const int64_t dims[TOY_DIMS] = {2, 4, 0};
  int32_t tokens[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  float logits[8 * TOY_VOCABULARY];
  CHECK_EQUAL(weft_model_open(&toy_model, &options, &model), WEFT_OK);
  CHECK_EQUAL(weft_model_init(model, 1), WEFT_OK);
  CHECK_EQUAL(weft_session_create(model, dims, NULL, &session), WEFT_OK);
  CHECK_EQUAL(weft_session_save(session, path), WEFT_OK); /* empty */
  CHECK_EQUAL(weft_session_run(session, TOY_PREFILL, dims, (const void *const[]){tokens, NULL}, (void *const[]){logits}), WEFT_OK);
  for (long at = 0;; ++at) {
    faulty_files_begin(&files, at, -ENOSPC);
    weft_status status = weft_session_save(session, path);
    if (files.calls <= at) break;
    ++faults;
    CHECK_EQUAL(status, WEFT_ERR_IO);
    CHECK_CONTAINS(weft_session_error(session), "cannot ");
    CHECK_EQUAL(weft_session_length(session, 0, 1), 4);
    files.fail_at = -1;
    if (files.failed == 'd') continue; /* renamed: the new file is there */
    weft_session *other;
    CHECK_EQUAL(weft_session_create(model, dims, NULL, &other), WEFT_OK);
    CHECK_EQUAL(weft_session_restore(other, path), WEFT_OK);
    CHECK_EQUAL(weft_session_length(other, 0, 1), 0);
    weft_session_destroy(other);
  }
  for (long at = 0;; ++at) {
    faulty_files_begin(&files, at, -EIO);
    weft_status status = weft_session_restore(session, path);
    if (!files.failed) break;
    ++faults;
    CHECK_EQUAL(status, files.failed == 'x' ? WEFT_OK : WEFT_ERR_IO);
    CHECK_EQUAL(weft_session_length(session, 0, 1), 4);
  }
  weft_session_destroy(session);
  weft_model_close(model);
}

static void refuses_places_and_tensors(void) {
  char text[600];
  float value = 1;
  weft_tensor good = {"w", WEFT_F32, 0, {0}, &value};
  CHECK_EQUAL(weft_safetensors_write("/dev/null", &good, 1, NULL, 0, NULL, text, sizeof text), WEFT_ERR_IO);
  CHECK_TEXT(text, "cannot write: it exists and is not a regular file");
  struct stat status;
  CHECK(!stat("/dev/null", &status) && S_ISCHR(status.st_mode));
  CHECK_EQUAL(weft_safetensors_write(folder, &good, 1, NULL, 0, NULL, text, sizeof text), WEFT_ERR_IO);
  CHECK_EQUAL(weft_safetensors_write("/nowhere/x", &good, 1, NULL, 0, NULL, text, sizeof text), WEFT_ERR_IO);
  CHECK_EQUAL(weft_safetensors_write("", &good, 1, NULL, 0, NULL, text, sizeof text), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_safetensors_write(NULL, &good, 1, NULL, 0, NULL, text, sizeof text), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_safetensors_write(path, NULL, 1, NULL, 0, NULL, text, sizeof text), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_safetensors_write(path, &good, -1, NULL, 0, NULL, text, sizeof text), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_safetensors_write(path, &good, 1, NULL, 1, NULL, text, sizeof text), WEFT_ERR_ARGUMENT);
  const char *const half[] = {"key", NULL};
  CHECK_EQUAL(weft_safetensors_write(path, &good, 1, half, 1, NULL, text, sizeof text), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_safetensors_write(path, &good, 1, half, -1, NULL, text, sizeof text), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(text, "expected pairs of metadata");
  /* What no reader takes. */
  const char *const value_in_latin_1[] = {"other", "\xc3\xa9", "key", "caf\xe9"}, *const key_cut_short[] = {"k\xc3", "value"};
  CHECK_EQUAL(weft_safetensors_write(path, &good, 1, value_in_latin_1, 2, NULL, text, sizeof text), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(text, "metadata 'key': expected valid UTF-8");
  CHECK_EQUAL(weft_safetensors_write(path, &good, 1, key_cut_short, 1, NULL, text, sizeof text), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(text, "metadata 'k\\xc3': expected valid UTF-8");
  CHECK_EQUAL(weft_safetensors_write(path, &(weft_tensor){"a\xff", WEFT_F32, 0, {0}, &value}, 1, NULL, 0, NULL, text, sizeof text), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(text, "tensor 'a\\xff': expected a name of valid UTF-8");
  CHECK_EQUAL(weft_safetensors_write(path, &good, -1, NULL, 0, NULL, text, 0), WEFT_ERR_ARGUMENT); /* no room for the text */
  CHECK_EQUAL(weft_safetensors_write("relative/nowhere", &good, 1, NULL, 0, NULL, text, sizeof text), WEFT_ERR_IO);
  CHECK_EQUAL(weft_npy_write(path, &(weft_tensor){NULL, WEFT_F32, 0, {0}, NULL}, NULL, text, sizeof text), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(text, "tensor '': has no data");
  static const weft_tensor bad[] = {{NULL, WEFT_F32, 0, {0}, "abc"}, {"__metadata__", WEFT_F32, 0, {0}, "abc"}, {"w", 9, 0, {0}, "abc"},
                                    {"w", WEFT_F32, 9, {0}, "abc"}, {"w", WEFT_F32, -1, {0}, "abc"},  {"w", WEFT_F32, 1, {-1}, "abc"},           {"w", WEFT_F32, 1, {1}, NULL},
                                    {"w", WEFT_F32, 2, {INT64_MAX, 3}, "abc"}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) CHECK_EQUAL(weft_safetensors_write(path, &bad[i], 1, NULL, 0, NULL, text, sizeof text), WEFT_ERR_ARGUMENT);
  weft_tensor twice[] = {good, good};
  CHECK_EQUAL(weft_safetensors_write(path, twice, 2, NULL, 0, NULL, text, sizeof text), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(text, "tensor 'w': appears twice");
  CHECK_EQUAL(weft_safetensors_write(path, NULL, 0, NULL, 0, NULL, text, sizeof text), WEFT_OK);
  weft_tensor_file *file;
  CHECK_EQUAL(weft_tensor_file_open(path, NULL, &file), WEFT_OK);
  CHECK_EQUAL(weft_tensor_file_count(file), 0);
  weft_tensor_file_close(file);
}

/* A temporary file's name is taken, or the call is interrupted: others are tried, up to a hundred. */
static void another_temporary_name_is_tried(void) {
  float value = 1;
  const weft_tensor tensor = {"w", WEFT_F32, 0, {0}, &value};
  char text[600];
  static const int codes[] = {-EEXIST, -EINTR};
  for (int c = 0; c < 2; ++c) {
    faulty_files files;
    faulty_files_begin(&files, 0, codes[c]);
    files.only = 'c';
    const weft_tensor_options options = {.files = &files.ops};
    CHECK_EQUAL(weft_safetensors_write(path, &tensor, 1, NULL, 0, &options, text, sizeof text), WEFT_OK);
    CHECK_EQUAL(files.calls, 2);
  }
  char taken[400];
  for (int i = 0; i < 100; ++i) {
    snprintf(taken, sizeof taken, "%s.tmp-%ld-%d", path, (long)getpid(), i);
    CHECK_EQUAL(mkdir(taken, 0700), 0);
  }
  CHECK_EQUAL(weft_safetensors_write(path, &tensor, 1, NULL, 0, NULL, text, sizeof text), WEFT_ERR_IO);
  CHECK_TEXT(text, "cannot create a temporary file: File exists");
  for (int i = 0; i < 100; ++i) {
    snprintf(taken, sizeof taken, "%s.tmp-%ld-%d", path, (long)getpid(), i);
    rmdir(taken);
  }
}

/* Every call of writing an array fails in turn. */
static void an_array_is_whole_or_absent(void) {
  char array[400];
  const float values[] = {1, 2, 3};
  const weft_tensor tensor = {"w", WEFT_F32, 1, {3}, values};
  snprintf(array, sizeof array, "%s/a.npy", folder);
  for (long at = 0;; ++at) {
    faulty_files files;
    faulty_files_begin(&files, at, -EIO);
    const weft_tensor_options options = {.files = &files.ops};
    weft_status status = weft_npy_write(array, &tensor, &options, NULL, 0);
    if (!files.failed) break;
    ++faults;
    CHECK_EQUAL(status, WEFT_ERR_IO);
    CHECK((access(array, F_OK) == 0) == (files.failed == 'd'));
    unlink(array);
  }
  unlink(array);
}

int main(void) {
  scratch_folder(folder, sizeof folder, "write");
  snprintf(path, sizeof path, "%s/w.safetensors", folder);
  is_whole_or_absent();
  survives_interruptions();
  reports_failing_reads();
  a_failed_load_leaves_a_usable_model();
  a_failed_session_save_keeps_the_old_file();
  another_temporary_name_is_tried();
  an_array_is_whole_or_absent();
  refuses_places_and_tensors();
  unlink(path);
  CHECK_EQUAL(rmdir(folder), 0);
  printf("count: loads and saves with a failing file call = %ld\n", faults);
  return check_result();
}
