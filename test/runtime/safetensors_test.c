/* Malformed and legal safetensors: each gets its status and a text that names the place. Then every single-byte change,
 * every truncation and every boundary value of every number in a small file: an answer, never a crash. */
#include "check.h"
#include "toy.h"

#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct sample {
  const char *what, *header;
  int64_t data; /* bytes after the header */
  weft_status status;
  const char *text; /* part of the message */
} sample;

#define T(NAME, REST) "\"" NAME "\":{" REST "}"
#define F32_2(B, E) "\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[" B "," E "]"
#define ONE(REST) "{" T("w", REST) "}"
#define F WEFT_ERR_FORMAT
#define L WEFT_ERR_LIMIT
#define U WEFT_ERR_UNSUPPORTED

static const sample samples[] = {
    {"one tensor", ONE(F32_2("0", "8")), 8, WEFT_OK, ""},
    {"no tensors", "{}", 0, WEFT_OK, ""},
    {"only metadata", "{\"__metadata__\":{\"a\":\"b\"}}", 0, WEFT_OK, ""},
    {"empty metadata", "{\"__metadata__\":{}}", 0, WEFT_OK, ""},
    {"leading spaces", "  \n\t" ONE(F32_2("0", "8")), 8, WEFT_OK, ""},
    {"trailing spaces", ONE(F32_2("0", "8")) "   ", 8, WEFT_OK, ""},
    {"spaces everywhere", "{ \"w\" : { \"shape\" : [ 2 ] , \"dtype\" : \"F32\" , \"data_offsets\" : [ 0 , 8 ] } }", 8, WEFT_OK, ""},
    {"odd header length", ONE(F32_2("0", "8")) " ", 8, WEFT_OK, ""},
    {"unsorted keys", "{" T("b", F32_2("8", "16")) "," T("a", F32_2("0", "8")) "}", 16, WEFT_OK, ""},
    {"scalar", ONE("\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]"), 4, WEFT_OK, ""},
    {"no elements", ONE("\"dtype\":\"F32\",\"shape\":[2,0],\"data_offsets\":[0,0]"), 0, WEFT_OK, ""},
    {"empty tensor between", "{" T("a", F32_2("0", "8")) "," T("e", "\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[8,8]") "," T("b", F32_2("8", "16")) "}", 16, WEFT_OK, ""},
    {"escaped name", "{\"w\\u00e9\\ud83d\\ude00\\n\":{" F32_2("0", "8") "}}", 8, WEFT_OK, ""},
    {"UTF-8 name", "{\"w\xc3\xa9\xe4\xb8\xad\":{" F32_2("0", "8") "}}", 8, WEFT_OK, ""},
    {"empty name", "{\"\":{" F32_2("0", "8") "}}", 8, WEFT_OK, ""},
    {"types that can be listed", "{" T("a", "\"dtype\":\"F8_E4M3\",\"shape\":[3],\"data_offsets\":[0,3]") "," T("b", "\"dtype\":\"F4\",\"shape\":[2],\"data_offsets\":[3,4]") "}", 4, WEFT_OK, ""},
    {"rank 8", ONE("\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,2],\"data_offsets\":[0,2]"), 2, WEFT_OK, ""},

    {"not an object", "[]", 0, F, "header byte 0: expected '{'"},
    {"a number", "12", 0, F, "expected '{'"},
    {"only spaces", "    ", 0, F, "expected '{'"},
    {"trailing NUL", ONE(F32_2("0", "8")) "\\0", 8, F, "expected the end of the header"},
    {"second value", "{}{}", 0, F, "expected the end of the header"},
    {"does not end", "{ ", 0, F, "header byte 2: expected a string"},
    {"no comma", "{" T("a", F32_2("0", "8")) T("b", F32_2("8", "16")) "}", 16, F, "expected ',' or '}'"},
    {"comma at the end", "{" T("a", F32_2("0", "8")) ",}", 8, F, "expected a value after ','"},
    {"comma first", "{," T("a", F32_2("0", "8")) "}", 8, F, "expected a string"},
    {"no colon", "{\"a\" {}}", 0, F, "expected ':'"},
    {"name without quotes", "{a:{}}", 0, F, "expected a string"},
    {"name twice", "{" T("w", F32_2("0", "8")) "," T("w", F32_2("8", "16")) "}", 16, F, "tensor 'w': appears twice"},
    {"name twice, escaped", "{" T("w", F32_2("0", "8")) "," T("\\u0077", F32_2("8", "16")) "}", 16, F, "tensor 'w': appears twice"},
    {"tensor is a list", "{\"w\":[]}", 0, F, "tensor 'w': header byte 5: expected '{'"},
    {"tensor is null", "{\"w\":null}", 0, F, "expected '{'"},
    {"nested tensor", ONE("\"dtype\":{},\"shape\":[2],\"data_offsets\":[0,8]"), 8, F, "expected a string"},
    {"empty tensor object", "{\"w\":{}}", 0, F, "tensor 'w': has no 'dtype'"},
    {"no dtype", ONE("\"shape\":[2],\"data_offsets\":[0,8]"), 8, F, "has no 'dtype'"},
    {"no shape", ONE("\"dtype\":\"F32\",\"data_offsets\":[0,8]"), 8, F, "has no 'shape'"},
    {"no offsets", ONE("\"dtype\":\"F32\",\"shape\":[2]"), 8, F, "has no 'data_offsets'"},
    {"old name of offsets", ONE("\"dtype\":\"F32\",\"shape\":[2],\"offsets\":[0,8]"), 8, F, "unknown key 'offsets'"},
    {"key twice", ONE("\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]"), 8, F, "key 'dtype' appears twice"},
    {"metadata with a number", "{\"__metadata__\":{\"a\":1}}", 0, F, "expected a string"},
    {"metadata is a list", "{\"__metadata__\":[]}", 0, F, "expected '{'"},
    {"metadata twice", "{\"__metadata__\":{},\"__metadata__\":{}}", 0, F, "'__metadata__' appears twice"},
    {"invalid UTF-8", "{\"w\xff\":{" F32_2("0", "8") "}}", 8, F, "not valid UTF-8"},
    {"overlong UTF-8", "{\"\xc0\xaf\":{" F32_2("0", "8") "}}", 8, F, "not valid UTF-8"},
    {"UTF-8 surrogate", "{\"\xed\xa0\x80\":{" F32_2("0", "8") "}}", 8, F, "not valid UTF-8"},
    {"UTF-8 too large", "{\"\xf4\x90\x80\x80\":{" F32_2("0", "8") "}}", 8, F, "not valid UTF-8"},
    {"cut UTF-8", "{\"\xe4\xb8\":{" F32_2("0", "8") "}}", 8, F, "not valid UTF-8"},
    {"half a surrogate pair", "{\"\\ud83d\":{" F32_2("0", "8") "}}", 8, F, "half of a surrogate pair"},
    {"second half alone", "{\"\\ude00\":{" F32_2("0", "8") "}}", 8, F, "half of a surrogate pair"},
    {"zero byte in a name", "{\"a\\u0000b\":{" F32_2("0", "8") "}}", 8, F, "holds a zero byte"},
    {"unknown escape", "{\"a\\x41\":{" F32_2("0", "8") "}}", 8, F, "unknown escape"},
    {"short escape", "{\"a\\u12\":{" F32_2("0", "8") "}}", 8, F, "four hexadecimal digits"},
    {"line break in a name", "{\"a\nb\":{" F32_2("0", "8") "}}", 8, F, "control character"},
    {"string does not end", "{\"w", 0, F, "a string does not end"},

    {"offsets are text", ONE("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":\"0,8\""), 8, F, "expected '['"},
    {"negative offset", ONE(F32_2("-8", "0")), 8, F, "expected a non-negative integer"},
    {"fraction", ONE(F32_2("0", "8.0")), 8, F, "expected a non-negative integer"},
    {"exponent", ONE(F32_2("0", "8e0")), 8, F, "expected a non-negative integer"},
    {"leading zero", ONE(F32_2("0", "08")), 8, F, "a number starts with 0"},
    {"offset is a string", ONE(F32_2("0", "\"8\"")), 8, F, "expected a non-negative integer"},
    {"one offset", ONE("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]"), 8, F, "expected two offsets"},
    {"three offsets", ONE("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8,8]"), 8, F, "expected two offsets"},
    {"no offsets in the list", ONE("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[]"), 8, F, "expected a non-negative integer"},
    {"ends before it begins", ONE(F32_2("8", "0")), 8, F, "data ends before it begins (8, 0)"},
    {"huge offset", ONE(F32_2("0", "99999999999999999999")), 8, F, "an integer is too large"},
    {"2^63", ONE(F32_2("0", "9223372036854775808")), 8, F, "an integer is too large"},
    {"2^63 - 1", ONE(F32_2("9223372036854775799", "9223372036854775807")), 8, F, "there is a hole before its data"},
    {"beyond the file", ONE(F32_2("0", "8")), 7, F, "its data ends at byte 8 of 7"},
    {"garbage behind", ONE(F32_2("0", "8")), 9, F, "1 bytes follow"},
    {"no tensors but data", "{}", 4, F, "4 bytes follow"},
    {"does not start at 0", ONE(F32_2("4", "12")), 12, F, "tensor 'w': there is a hole before its data (begins at 4, expected 0)"},
    {"a hole", "{" T("a", F32_2("0", "8")) "," T("b", F32_2("9", "17")) "}", 17, F, "tensor 'b': there is a hole"},
    {"an overlap", "{" T("a", F32_2("0", "8")) "," T("b", F32_2("7", "15")) "}", 15, F, "tensor 'b': its data overlaps"},
    {"the same range", "{" T("a", F32_2("0", "8")) "," T("b", F32_2("0", "8")) "}", 8, F, "its data overlaps"},
    {"empty tensor inside another", "{" T("a", F32_2("0", "8")) "," T("e", "\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[4,4]") "}", 8, F, "its data overlaps"},

    {"shape does not fit", ONE("\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]"), 8, F, "tensor 'w': expected 12 bytes for F32 [3] but got 8"},
    {"shape is a number", ONE("\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]"), 8, F, "expected '['"},
    {"negative size", ONE("\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]"), 8, F, "expected a non-negative integer"},
    {"size with a fraction", ONE("\"dtype\":\"F32\",\"shape\":[2.5],\"data_offsets\":[0,8]"), 8, F, "expected a non-negative integer"},
    {"true as a size", ONE("\"dtype\":\"F32\",\"shape\":[true],\"data_offsets\":[0,8]"), 8, F, "expected a non-negative integer"},
    {"rank 9", ONE("\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,2],\"data_offsets\":[0,2]"), 2, F, "expected at most 8 axes"},
    {"product overflows", ONE("\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,8]"), 8, L, "has too many elements"},
    {"product wraps to 2", ONE("\"dtype\":\"U8\",\"shape\":[9223372036854775807,2,9223372036854775807],\"data_offsets\":[0,2]"), 2, L, "has too many elements"},
    {"overflow beside a zero", ONE("\"dtype\":\"U8\",\"shape\":[9223372036854775807,9223372036854775807,0],\"data_offsets\":[0,0]"), 0, L, "has too many elements"},
    {"2^41 elements", ONE("\"dtype\":\"U8\",\"shape\":[2199023255552],\"data_offsets\":[0,2]"), 2, L, "has too many elements"},
    {"half a byte", ONE("\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,1]"), 1, F, "not a multiple of 8"},
    {"unknown type", ONE("\"dtype\":\"F99\",\"shape\":[2],\"data_offsets\":[0,8]"), 8, U, "tensor 'w': unknown type 'F99'"},
    {"type in small letters", ONE("\"dtype\":\"f32\",\"shape\":[2],\"data_offsets\":[0,8]"), 8, U, "unknown type 'f32'"},
    {"type is a number", ONE("\"dtype\":32,\"shape\":[2],\"data_offsets\":[0,8]"), 8, F, "expected a string"},
    {"terminal codes in a name", "{\"\\u001b[2J\":{\"dtype\":\"F99\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, U, "tensor '\\x1b[2J'"},
};

static unsigned char buffer[1 << 16];

static size_t build(const char *header, size_t header_bytes, int64_t data) {
  for (int i = 0; i < 8; ++i) buffer[i] = (unsigned char)(header_bytes >> 8 * i);
  memcpy(buffer + 8, header, header_bytes);
  for (int64_t i = 0; i < data; ++i) buffer[8 + header_bytes + (size_t)i] = (unsigned char)i;
  return 8 + header_bytes + (size_t)data;
}

/* Opens from memory of exactly this size, reads everything that can be read, closes. */
static weft_status open_copy(const unsigned char *bytes, size_t count, char *text, size_t text_size) {
  unsigned char *copy = malloc(count ? count : 1);
  if (count) memcpy(copy, bytes, count);
  weft_tensor_file *file;
  weft_status status = weft_tensor_file_open_memory(copy, count, NULL, &file);
  if (text) snprintf(text, text_size, "%s", weft_tensor_file_error(file));
  if (status != WEFT_OK) CHECK_EQUAL(weft_tensor_file_count(file), 0);
  for (int64_t i = 0; i < weft_tensor_file_count(file); ++i) {
    const weft_tensor_info *info = weft_tensor_file_at(file, i);
    CHECK_EQUAL(weft_tensor_file_find(file, info->name), i);
    void *room = malloc(info->bytes ? (size_t)info->bytes : 1);
    weft_tensor_file_read(file, i, room, (size_t)info->bytes);
    free(room);
  }
  weft_tensor_file_close(file);
  free(copy);
  return status;
}

static void answers_each_sample(void) {
  char text[700];
  for (size_t i = 0; i < sizeof samples / sizeof *samples; ++i) {
    const sample *s = &samples[i];
    size_t header_bytes = strlen(s->header);
    char header[1024];
    memcpy(header, s->header, header_bytes + 1);
    if (!strcmp(s->what, "trailing NUL")) header[header_bytes - 2] = 0, --header_bytes;
    size_t count = build(header, header_bytes, s->data);
    weft_status status = open_copy(buffer, count, text, sizeof text);
    if (status != s->status || !strstr(text, s->text)) {
      fprintf(stderr, "%s: expected %s with \"%s\" but got %s: \"%s\"\n", s->what, weft_status_name(s->status), s->text, weft_status_name(status), text);
      ++check_failures;
    }
  }
  int wrong = 0;
  for (size_t i = 0; i < sizeof samples / sizeof *samples; ++i) wrong += samples[i].status != WEFT_OK;
  printf("count: malformed safetensors = %d\n", wrong);
}

static void checks_the_length_field(void) {
  char text[700];
  for (size_t count = 0; count < 10; ++count) CHECK_EQUAL(open_copy((const unsigned char *)"\2\0\0\0\0\0\0\0{}", count, NULL, 0), WEFT_ERR_FORMAT);
  static const uint64_t lengths[] = {0, 1, 3, 4, 100000001, (uint64_t)1 << 31, (uint64_t)1 << 32, (uint64_t)1 << 62, (uint64_t)1 << 63, UINT64_MAX, UINT64_MAX - 7};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; ++i) {
    size_t count = build("{}", 2, 0);
    for (int b = 0; b < 8; ++b) buffer[b] = (unsigned char)(lengths[i] >> 8 * b);
    CHECK_EQUAL(open_copy(buffer, count, text, sizeof text), WEFT_ERR_FORMAT);
    CHECK_CONTAINS(text, "its header length is");
  }
}

static void names_files_of_other_formats(void) {
  char text[700];
  CHECK_EQUAL(open_copy((const unsigned char *)"PK\3\4..........", 14, text, sizeof text), WEFT_ERR_FORMAT);
  CHECK_CONTAINS(text, "a zip archive, as torch.save and np.savez write");
  CHECK_EQUAL(open_copy((const unsigned char *)"GGUF\3\0\0\0......", 14, text, sizeof text), WEFT_ERR_FORMAT);
  CHECK_CONTAINS(text, "a GGUF file");
}

static void survives_small_changes(void) {
  static const char header[] = "{\"__metadata__\":{\"k\":\"v\"}," T("a", F32_2("0", "8")) "," T("b", "\"dtype\":\"I64\",\"shape\":[1,2],\"data_offsets\":[8,24]") "}";
  static unsigned char seed[512];
  size_t count = build(header, sizeof header - 1, 24);
  memcpy(seed, buffer, count);
  long accepted = 0, tried = 0;
  for (size_t cut = 0; cut < count; ++cut, ++tried) CHECK(open_copy(seed, cut, NULL, 0) != WEFT_OK);
  for (size_t at = 0; at < 8 + sizeof header - 1; ++at) {
    unsigned char kept = seed[at];
    for (int value = 0; value < 256; ++value, ++tried) {
      seed[at] = (unsigned char)value;
      accepted += open_copy(seed, count, NULL, 0) == WEFT_OK;
    }
    seed[at] = kept;
  }
  static const char *const values[] = {"-1", "00", "1", "3", "4", "7", "127", "128", "255", "256", "32767", "65536", "2147483647", "2147483648", "4294967295", "4294967296",
                                       "9007199254740993", "4611686018427387904", "9223372036854775807", "9223372036854775808", "18446744073709551615", "1e3", "1.5", "null"};
  for (size_t at = 0; at + 1 < sizeof header; ++at) {
    if (header[at] < '0' || header[at] > '9' || (at && header[at - 1] >= '0' && header[at - 1] <= '9')) continue;
    size_t end = at;
    while (header[end] >= '0' && header[end] <= '9') ++end;
    for (size_t v = 0; v < sizeof values / sizeof *values; ++v, ++tried) {
      char changed[512];
      int length = snprintf(changed, sizeof changed, "%.*s%s%s", (int)at, header, values[v], header + end);
      count = build(changed, (size_t)length, 24);
      accepted += open_copy(buffer, count, NULL, 0) == WEFT_OK;
    }
  }
  fprintf(stderr, "%ld changed files, %ld still legal\n", tried, accepted);
  CHECK(accepted > 0 && accepted < tried / 10);
}

static void reads_what_it_lists(void) {
  weft_tensor_file *file;
  float values[2];
  static const char header[] = "{\"__metadata__\":{\"k\":\"v\\n\",\"l\":\"m\"}," T("b", F32_2("8", "16")) "," T("a", F32_2("0", "8")) ","
      T("z", "\"dtype\":\"BOOL\",\"shape\":[2],\"data_offsets\":[16,18]") "," T("u", "\"dtype\":\"U16\",\"shape\":[1],\"data_offsets\":[18,20]") "}";
  size_t count = build(header, sizeof header - 1, 20);
  float ones[2] = {1.5f, -2};
  memcpy(buffer + 8 + sizeof header - 1 + 8, ones, 8);
  CHECK_EQUAL(weft_tensor_file_open_memory(buffer, count, NULL, &file), WEFT_OK);
  CHECK_EQUAL(weft_tensor_file_count(file), 4);
  CHECK_TEXT(weft_tensor_file_at(file, 0)->name, "a");
  CHECK_TEXT(weft_tensor_file_at(file, 1)->name, "b");
  CHECK_EQUAL(weft_tensor_file_read(file, 1, values, 8), WEFT_OK);
  CHECK(values[0] == 1.5f && values[1] == -2);
  CHECK_EQUAL(weft_tensor_file_read(file, 1, values, 7), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_tensor_file_read(file, 1, NULL, 8), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_tensor_file_read(file, 4, values, 8), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_tensor_file_read(file, -1, values, 8), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_tensor_file_read(file, 2, values, 2), WEFT_ERR_FORMAT);
  CHECK_CONTAINS(weft_tensor_file_error(file), "tensor 'z': expected bools of 0 or 1");
  CHECK_EQUAL(weft_tensor_file_read(file, 3, values, 2), WEFT_ERR_UNSUPPORTED);
  CHECK_TEXT(weft_tensor_file_error(file), "tensor 'u': type U16 is not supported");
  CHECK_EQUAL(weft_tensor_file_find(file, "c"), -1);
  CHECK_EQUAL(weft_tensor_file_find(file, NULL), -1);
  CHECK_TEXT(weft_tensor_file_metadata(file, "k"), "v\n");
  CHECK(!weft_tensor_file_metadata(file, "x"));
  CHECK(!weft_tensor_file_at(file, 4));
  weft_tensor_file_close(file);
  weft_tensor_file_close(NULL);
  CHECK_EQUAL(weft_tensor_file_open_memory(NULL, 4, NULL, &file), WEFT_ERR_ARGUMENT);
  weft_tensor_file_close(file);
  CHECK_EQUAL(weft_tensor_file_open(NULL, NULL, &file), WEFT_ERR_ARGUMENT);
  weft_tensor_file_close(file);
}

/* Files that open but end too early later: a size beyond 4 GiB, and a file cut after it was opened. */
static void reads_files_of_any_size(void) {
  char path[] = "weft-large-XXXXXX";
  int fd = mkstemp(path);
  static const char header[] = "{" T("big", "\"dtype\":\"U8\",\"shape\":[5000000000],\"data_offsets\":[0,5000000000]") "," T("w", F32_2("5000000000", "5000000008")) "}";
  size_t count = build(header, sizeof header - 1, 0);
  float ones[2] = {3, 4}, values[2];
  CHECK(write(fd, buffer, count) == (ssize_t)count);
  CHECK(pwrite(fd, ones, 8, (off_t)count + 5000000000) == 8); /* a sparse file */
  weft_tensor_file *file;
  CHECK_EQUAL(weft_tensor_file_open(path, NULL, &file), WEFT_OK);
  CHECK_EQUAL(weft_tensor_file_read(file, 1, values, 8), WEFT_OK);
  CHECK(values[0] == 3 && values[1] == 4);
  CHECK(!ftruncate(fd, (off_t)count + 5000000004));
  CHECK_EQUAL(weft_tensor_file_read(file, 1, values, 8), WEFT_ERR_IO);
  CHECK_TEXT(weft_tensor_file_error(file), "tensor 'w': cannot read: the file ends too early");
  weft_tensor_file_close(file);
  close(fd);
  unlink(path);
}

/* More tensors and pairs than the first rooms hold. */
static void reads_any_number_of_tensors(void) {
  enum { MANY = 1000 };
  static weft_tensor tensors[MANY];
  static char names[MANY][8];
  static const char *pairs[2 * MANY];
  const unsigned char bytes[1] = {7};
  char path[] = "weft-many-XXXXXX";
  close(mkstemp(path));
  for (int i = 0; i < MANY; ++i) {
    snprintf(names[i], sizeof names[i], "t%d", i * 7 % MANY);
    tensors[i] = (weft_tensor){names[i], WEFT_U8, 1, {i % 2}, bytes};
    pairs[2 * i] = pairs[2 * i + 1] = names[i];
  }
  CHECK_EQUAL(weft_safetensors_write(path, tensors, MANY, pairs, MANY, NULL, NULL, 0), WEFT_OK);
  weft_tensor_file *file;
  CHECK_EQUAL(weft_tensor_file_open(path, NULL, &file), WEFT_OK);
  CHECK_EQUAL(weft_tensor_file_count(file), MANY);
  for (int i = 0; i < MANY; ++i) {
    int64_t index = weft_tensor_file_find(file, names[i]);
    unsigned char got[1] = {0};
    CHECK_EQUAL(weft_tensor_file_read(file, index, got, (size_t)(i % 2)), WEFT_OK);
    CHECK_EQUAL(got[0], i % 2 ? 7 : 0);
    CHECK_TEXT(weft_tensor_file_metadata(file, names[i]), names[i]);
  }
  CHECK(!weft_tensor_file_metadata(file, NULL) && !weft_tensor_file_metadata(file, "none"));
  CHECK_EQUAL(weft_tensor_file_find(file, NULL), -1);
  CHECK_EQUAL(weft_tensor_file_read(file, weft_tensor_file_find(file, names[1]), NULL, 1), WEFT_ERR_ARGUMENT);
  weft_tensor_file_close(file);
  unlink(path);
}

static void memory_is_a_file_too(void) {
  static const unsigned char bools[] = "\x38\0\0\0\0\0\0\0{\"b\":{\"dtype\":\"BOOL\",\"shape\":[2],\"data_offsets\":[0,2]}} \0\1";
  weft_tensor_file *file;
  unsigned char got[2];
  CHECK_EQUAL(weft_tensor_file_open_memory(NULL, 0, NULL, &file), WEFT_ERR_FORMAT);
  weft_tensor_file_close(file);
  CHECK_EQUAL(weft_tensor_file_open_memory(NULL, 5, NULL, &file), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_tensor_file_error(file), "expected data");
  weft_tensor_file_close(file);
  CHECK_EQUAL(weft_tensor_file_open_memory(bools, 8 + 0x38 + 2, NULL, &file), WEFT_OK);
  CHECK_TEXT(weft_tensor_file_error(file), "");
  CHECK_EQUAL(weft_tensor_file_read(file, 0, got, 2), WEFT_OK);
  CHECK(got[0] == 0 && got[1] == 1);
  weft_tensor_file_close(file);
  const char *const none[] = {NULL};
  CHECK_EQUAL(weft_tensor_file_open_list(none, 1, NULL, &file), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_tensor_file_error(file), "expected a path");
  weft_tensor_file_close(file);
  CHECK_EQUAL(weft_tensor_file_open_list(none, 0, NULL, &file), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_tensor_file_error(file), "expected at least one path");
  weft_tensor_file_close(file);
  CHECK_EQUAL(weft_tensor_file_open(NULL, NULL, &file), WEFT_ERR_ARGUMENT);
  weft_tensor_file_close(file);
}

int main(void) {
  answers_each_sample();
  checks_the_length_field();
  names_files_of_other_formats();
  survives_small_changes();
  reads_what_it_lists();
  reads_files_of_any_size();
  reads_any_number_of_tensors();
  memory_is_a_file_too();
  return check_result();
}
