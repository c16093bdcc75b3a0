/* Models in several files: an index with shards beside it, a list of files, and everything an index may not say. */
#include "check.h"
#include "toy.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "weft-shards-XXXXXX";

static const char *in_folder(const char *name) {
  static char paths[4][400];
  static int next;
  char *path = paths[next++ % 4];
  snprintf(path, sizeof paths[0], "%s/%s", folder, name);
  return path;
}

static void write_text(const char *name, const char *text) {
  FILE *file = fopen(in_folder(name), "wb");
  fwrite(text, 1, strlen(text), file);
  fclose(file);
}

static void write_shard(const char *name, const char *first, float value, const char *second) {
  const float values[2] = {value, value + 1};
  weft_tensor tensors[] = {{first, WEFT_F32, 1, {2}, values}, {second, WEFT_F32, 1, {2}, values}};
  CHECK_EQUAL(weft_safetensors_write(in_folder(name), tensors, second ? 2 : 1, NULL, 0, NULL, NULL, 0), WEFT_OK);
}

static int malformed;

static void answer(const char *index, weft_status wanted, const char *text) {
  malformed += wanted != WEFT_OK;
  write_text("m.index.json", index);
  weft_tensor_file *file;
  weft_status status = weft_tensor_file_open(in_folder("m.index.json"), NULL, &file);
  if (status != wanted || !strstr(weft_tensor_file_error(file), text)) {
    fprintf(stderr, "%s: expected %s with \"%s\" but got %s: \"%s\"\n", index, weft_status_name(wanted), text, weft_status_name(status),
            weft_tensor_file_error(file));
    ++check_failures;
  }
  weft_tensor_file_close(file);
}

static void opens_shards(void) {
  weft_tensor_file *file;
  float values[2];
  write_text("m.index.json", "{\"metadata\":{\"total_size\":24,\"deep\":[1,-2.5e-3,{\"x\":[null,true,false,\"\\u00e9\"]},{},[]]},"
                             "\"weight_map\":{\"c\":\"two.safetensors\",\"a\":\"one.safetensors\",\"b\":\"one.safetensors\"}}");
  CHECK_EQUAL(weft_tensor_file_open(in_folder("m.index.json"), NULL, &file), WEFT_OK);
  CHECK_EQUAL(weft_tensor_file_count(file), 3);
  CHECK_EQUAL(weft_tensor_file_read(file, weft_tensor_file_find(file, "c"), values, 8), WEFT_OK);
  CHECK(values[0] == 7 && values[1] == 8);
  CHECK_EQUAL(weft_tensor_file_read(file, weft_tensor_file_find(file, "b"), values, 8), WEFT_OK);
  CHECK(values[0] == 1);
  weft_tensor_file_close(file);
  CHECK(!chdir(folder)); /* an index without a folder in its path */
  CHECK_EQUAL(weft_tensor_file_open("m.index.json", NULL, &file), WEFT_OK);
  weft_tensor_file_close(file);
  CHECK(!chdir(".."));
  const char *const list[] = {in_folder("one.safetensors"), in_folder("two.safetensors")};
  CHECK_EQUAL(weft_tensor_file_open_list(list, 2, NULL, &file), WEFT_OK);
  CHECK_EQUAL(weft_tensor_file_count(file), 3);
  weft_tensor_file_close(file);
  const char *const twice[] = {list[0], list[0]};
  CHECK_EQUAL(weft_tensor_file_open_list(twice, 2, NULL, &file), WEFT_ERR_FORMAT);
  CHECK_TEXT(weft_tensor_file_error(file), "tensor 'a': is in two files");
  CHECK_EQUAL(weft_tensor_file_count(file), 0);
  weft_tensor_file_close(file);
  const char *const missing[] = {list[0], "/nowhere"};
  CHECK_EQUAL(weft_tensor_file_open_list(missing, 2, NULL, &file), WEFT_ERR_IO);
  CHECK_TEXT(weft_tensor_file_error(file), "/nowhere: cannot open: No such file or directory");
  weft_tensor_file_close(file);
  CHECK_EQUAL(weft_tensor_file_open_list(NULL, 2, NULL, &file), WEFT_ERR_ARGUMENT);
  weft_tensor_file_close(file);
}

static void refuses_indices(void) {
  static const char *const names[] = {"../x.safetensors", "/etc/passwd", "../../etc/passwd", "a/../../b", "a/b", "C:\\\\x", "./a", "", ".", "..", ".hidden", "a\\u0007b"};
  char index[6000];
  for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
    snprintf(index, sizeof index, "{\"weight_map\":{\"a\":\"%s\"}}", names[i]);
    answer(index, WEFT_ERR_FORMAT, "expected a plain file name beside the index");
  }
  char long_name[5001];
  memset(long_name, 'x', 5000);
  long_name[5000] = 0;
  snprintf(index, sizeof index, "{\"weight_map\":{\"a\":\"%s\"}}", long_name);
  answer(index, WEFT_ERR_FORMAT, "expected a plain file name beside the index");
  answer("{\"weight_map\":{\"a\":\"x\\u0000y\"}}", WEFT_ERR_FORMAT, "zero byte");
  answer("", WEFT_ERR_FORMAT, "expected '{'");
  answer("[]", WEFT_ERR_FORMAT, "expected '{'");
  answer("{}", WEFT_ERR_FORMAT, "there is no 'weight_map'");
  answer("{\"weight_map\":{}}", WEFT_OK, "");
  answer("{\"weight_map\":{},\"weight_map\":{}}", WEFT_ERR_FORMAT, "appears twice");
  answer("{\"weight_map\":[]}", WEFT_ERR_FORMAT, "expected '{'");
  answer("{\"weight_map\":{\"a\":1}}", WEFT_ERR_FORMAT, "expected a string");
  answer("{\"weight_map\":{}} x", WEFT_ERR_FORMAT, "expected the end");
  answer("{\"metadata\":01,\"weight_map\":{}}", WEFT_ERR_FORMAT, "expected a value");
  answer("{\"metadata\":1.,\"weight_map\":{}}", WEFT_ERR_FORMAT, "a number is not complete");
  answer("{\"metadata\":-,\"weight_map\":{}}", WEFT_ERR_FORMAT, "expected a value");
  answer("{\"metadata\":nul,\"weight_map\":{}}", WEFT_ERR_FORMAT, "expected a value");
  answer("{\"metadata\":[1,],\"weight_map\":{}}", WEFT_ERR_FORMAT, "expected a value after ','");
  answer("{\"metadata\":[1}", WEFT_ERR_FORMAT, "expected ',' or ']'");
  answer("{\"metadata\":{\"a\" 1}}", WEFT_ERR_FORMAT, "expected ':'");
  /* Strings: every escape is decoded, what is half of something is none. */
  answer("{\"metadata\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00Ab\\u20ac\\ud83d\\ude42\\ue000\",\"weight_map\":{}}", WEFT_OK, "");
  static const char *const strings[][2] = {{"\\x", "unknown escape"}, {"\\u12", "four hexadecimal digits"}, {"\\u12g4", "four hexadecimal digits"}, {"\\u12G4", "four hexadecimal digits"},
                                           {"\\u12!4", "four hexadecimal digits"}, {"\\ud83d", "half of a surrogate pair"}, {"\\ud83d\\n1234", "half of a surrogate pair"},
                                           {"\\ud83dxu1234", "half of a surrogate pair"}, {"\\ud83d\\u12g4", "half of a surrogate pair"}, {"\\ud83d\\u0041", "half of a surrogate pair"},
                                           {"\\ud83d\\ue000", "half of a surrogate pair"}, {"\\ude42", "half of a surrogate pair"}, {"\x01", "control character"}, {"\xff", "not valid UTF-8"}};
  for (size_t i = 0; i < sizeof strings / sizeof *strings; ++i) {
    snprintf(index, sizeof index, "{\"metadata\":\"%s\",\"weight_map\":{}}", strings[i][0]);
    answer(index, WEFT_ERR_FORMAT, strings[i][1]);
  }
  static const char *const cut[] = {"{\"metadata\":\"", "{\"metadata\":\"\\", "{\"metadata\":\"\\u12", "{\"metadata\":\"\\ud83d\"", "{\"metadata\":1", "{\"metadata\":-1e", "{\"metadata\":1e+", "{\"metadata\":1.",
                                    "{\"metadata\":{", "{\"metadata\":{\"a\":1,", "{\"metadata\":{\"a\":1,2", "{\"metadata\"", "{1", "{\"weight_map\":{1", "{\"weight_map\":{\"a\"", "{\"weight_map\":{\"a\" 1",
                                    "{\"weight_map\":{\"a\":\"b.safetensors\"", "{\"weight_map\":{\"a\":\"b.safetensors\" 1", "{\"weight_map\":{}", "{\"weight_map\":{} 1", "{\"metadata\":[1,2"};
  for (size_t i = 0; i < sizeof cut / sizeof *cut; ++i) answer(cut[i], WEFT_ERR_FORMAT, "byte ");
  static const char *const numbers[] = {"1", "-1", "0", "1.5", "1e5", "1E5", "1e+5", "1e-5", "-0.5E-7"};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; ++i) {
    snprintf(index, sizeof index, "{\"metadata\":%s,\"weight_map\":{}}", numbers[i]);
    answer(index, WEFT_OK, "");
  }
  snprintf(index, sizeof index, "{\"weight_map\":{\"a\":\"b\x7f\"}}");
  answer(index, WEFT_ERR_FORMAT, "expected a plain file name beside the index");
  /* Nesting takes no memory: any depth is fine. */
  enum { DEEP = 1000000 };
  char *deep = malloc(2 * DEEP + 100), *at = deep + sprintf(deep, "{\"metadata\":");
  memset(at, '[', DEEP);
  at[DEEP] = 0;
  answer(deep, WEFT_ERR_FORMAT, "expected a value");
  memset(at + DEEP, ']', DEEP);
  strcpy(at + 2 * DEEP, ",\"weight_map\":{}}");
  answer(deep, WEFT_OK, "");
  at[DEEP + 5] = '}';
  answer(deep, WEFT_ERR_FORMAT, "expected ',' or ']'");
  for (int i = 0; i < DEEP / 8; ++i) memcpy(at + 8 * i, "[{\"k\" : ", 8);
  strcpy(at + DEEP, "7");
  for (int i = 0; i < DEEP / 8; ++i) strcpy(at + DEEP + 1 + 2 * i, "}]");
  strcat(at + DEEP, ",\"weight_map\":{}}");
  answer(deep, WEFT_OK, "");
  free(deep);
  answer("{\"weight_map\":{\"a\":\"none.safetensors\"}}", WEFT_ERR_IO, "shard 'none.safetensors': cannot open: No such file");
  answer("{\"weight_map\":{\"a\":\"one.safetensors\",\"a\":\"one.safetensors\"}}", WEFT_ERR_FORMAT, "tensor 'a': appears twice in the index");
  answer("{\"weight_map\":{\"a\":\"two.safetensors\",\"c\":\"one.safetensors\"}}", WEFT_ERR_MISSING, "is not in shard");
  answer("{\"weight_map\":{\"a\":\"one.safetensors\",\"d\":\"one.safetensors\"}}", WEFT_ERR_MISSING, "tensor 'd': is not in shard 'one.safetensors'");
  answer("{\"weight_map\":{\"a\":\"one.safetensors\",\"q\":\"again.safetensors\"}}", WEFT_ERR_FORMAT, "tensor 'a': is in two files");
  answer("{\"weight_map\":{\"a\":\"link.safetensors\"}}", WEFT_ERR_IO, "shard 'link.safetensors': cannot open: Too many levels of symbolic links");
  answer("{\"weight_map\":{\"a\":\"pipe\"}}", WEFT_ERR_IO, "shard 'pipe': expected a regular file");
  answer("{\"weight_map\":{\"a\":\"folder\"}}", WEFT_ERR_IO, "shard 'folder': expected a regular file");
  answer("{\"weight_map\":{\"a\":\"m.index.json\"}}", WEFT_ERR_FORMAT, "shard 'm.index.json': ");
}

static void refuses_what_is_not_a_file(void) {
  weft_tensor_file *file;
  char long_path[5000];
  snprintf(long_path, sizeof long_path, "%s", folder);
  while (strlen(long_path) < 4070) strcat(long_path, "/.");
  strcat(long_path, "/m.index.json");
  answer("{\"weight_map\":{\"a\":\"one.safetensors\"}}", WEFT_OK, "");
  CHECK_EQUAL(weft_tensor_file_open(long_path, NULL, &file), WEFT_OK);
  weft_tensor_file_close(file);
  CHECK_EQUAL(weft_tensor_file_open("/nowhere.json", NULL, &file), WEFT_ERR_IO);
  weft_tensor_file_close(file);
  static const char *const paths[] = {"/dev/null", "/dev/zero", "/"};
  for (int i = 0; i < 3; ++i) {
    CHECK_EQUAL(weft_tensor_file_open(paths[i], NULL, &file), WEFT_ERR_IO);
    CHECK_TEXT(weft_tensor_file_error(file), "expected a regular file");
    weft_tensor_file_close(file);
  }
  CHECK_EQUAL(weft_tensor_file_open(in_folder("pipe"), NULL, &file), WEFT_ERR_IO); /* and does not wait */
  weft_tensor_file_close(file);
  CHECK_EQUAL(weft_tensor_file_open(in_folder("loop"), NULL, &file), WEFT_ERR_IO);
  weft_tensor_file_close(file);
  CHECK_EQUAL(weft_tensor_file_open(in_folder("link.safetensors"), NULL, &file), WEFT_OK); /* the user's own links are fine */
  weft_tensor_file_close(file);
}

/* Every allocation of opening fails in turn. */
static void *allocate(void *user, size_t bytes, size_t alignment) {
  long *left = user;
  return (*left)-- == 0 ? NULL : aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}
static void release(void *user, void *memory, size_t bytes) { (void)user, (void)bytes, free(memory); }

static void every_allocation_may_fail(void) {
  for (int list = 0; list < 2; ++list)
    for (long at = 0;; ++at) {
      long left = at;
      const weft_allocator allocator = {allocate, release, &left};
      const weft_tensor_options options = {.allocator = &allocator};
      const char *const paths[] = {in_folder("one.safetensors"), in_folder("two.safetensors")};
      weft_tensor_file *file;
      weft_status status = list ? weft_tensor_file_open_list(paths, 2, &options, &file) : weft_tensor_file_open(in_folder("m.index.json"), &options, &file);
      CHECK_CONTAINS(weft_tensor_file_error(file), status ? "out of memory" : "");
      weft_tensor_file_close(file);
      if (left >= 0) {
        CHECK_EQUAL(status, WEFT_OK);
        break;
      }
      CHECK_EQUAL(status, WEFT_ERR_MEMORY);
    }
}

int main(void) {
  if (!mkdtemp(folder)) return 1;
  write_shard("one.safetensors", "a", 3, "b");
  {
    const float a[2] = {3, 4}, b[2] = {1, 2};
    weft_tensor tensors[] = {{"a", WEFT_F32, 1, {2}, a}, {"b", WEFT_F32, 1, {2}, b}};
    CHECK_EQUAL(weft_safetensors_write(in_folder("one.safetensors"), tensors, 2, NULL, 0, NULL, NULL, 0), WEFT_OK);
  }
  write_shard("two.safetensors", "c", 7, NULL);
  write_shard("again.safetensors", "a", 3, "q");
  CHECK(!symlink("two.safetensors", in_folder("link.safetensors")));
  CHECK(!symlink("loop", in_folder("loop")));
  CHECK(!mkfifo(in_folder("pipe"), 0600));
  CHECK(!mkdir(in_folder("folder"), 0700));
  opens_shards();
  refuses_indices();
  refuses_what_is_not_a_file();
  answer("{\"weight_map\":{\"a\":\"one.safetensors\",\"c\":\"two.safetensors\"}}", WEFT_OK, "");
  every_allocation_may_fail();
  printf("count: malformed indices of shards = %d\n", malformed);
  static const char *const all[] = {"one.safetensors", "two.safetensors", "again.safetensors", "link.safetensors", "loop", "pipe", "m.index.json"};
  for (size_t i = 0; i < sizeof all / sizeof *all; ++i) unlink(in_folder(all[i]));
  rmdir(in_folder("folder"));
  CHECK_EQUAL(rmdir(folder), 0);
  return check_result();
}
