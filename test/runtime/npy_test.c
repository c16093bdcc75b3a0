/* .npy: legal and malformed files, and what is written is read back. */
#include "check.h"
#include "toy.h"

#include <stdlib.h>
#include <unistd.h>

static char path[] = "weft-array-XXXXXX.npy";

typedef struct sample {
  const char *what;
  int version;
  const char *header;
  int64_t data;
  weft_status status;
  const char *text;
} sample;

#define H "expected {'descr'"
static const sample samples[] = {
    {"version 1", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 24, WEFT_OK, ""},
    {"version 2", 2, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 24, WEFT_OK, ""},
    {"version 3", 3, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 24, WEFT_OK, ""},
    {"another order", 1, "{'shape': (3,), 'fortran_order': False, 'descr': '|u1'}\n", 3, WEFT_OK, ""},
    {"double quotes", 1, "{\"descr\": \"<f8\", \"fortran_order\": False, \"shape\": ()}", 8, WEFT_OK, ""},
    {"scalar", 1, "{'descr': '<i8', 'fortran_order': False, 'shape': (), }", 8, WEFT_OK, ""},
    {"no elements", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 5), }", 0, WEFT_OK, ""},
    {"one axis in Fortran order is C order", 1, "{'descr': '<f4', 'fortran_order': True, 'shape': (2,), }", 8, WEFT_OK, ""},
    {"listed only", 1, "{'descr': '<u2', 'fortran_order': False, 'shape': (2,), }", 4, WEFT_OK, ""},
    {"version 4", 4, "{'descr': '<f4', 'fortran_order': False, 'shape': (), }", 4, WEFT_ERR_UNSUPPORTED, "version 4.0 of .npy"},
    {"version 0", 0, "{'descr': '<f4', 'fortran_order': False, 'shape': (), }", 4, WEFT_ERR_UNSUPPORTED, "version 0.0"},
    {"Fortran order", 1, "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }", 24, WEFT_ERR_UNSUPPORTED, "expected C order but got Fortran order"},
    {"big-endian", 1, "{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }", 8, WEFT_ERR_UNSUPPORTED, "big-endian data ('>f4')"},
    {"objects", 1, "{'descr': '|O', 'fortran_order': False, 'shape': (2,), }", 8, WEFT_ERR_UNSUPPORTED, "unknown type '|O'"},
    {"text", 1, "{'descr': '<U3', 'fortran_order': False, 'shape': (2,), }", 24, WEFT_ERR_UNSUPPORTED, "unknown type '<U3'"},
    {"structured", 1, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }", 8, WEFT_ERR_UNSUPPORTED, "structured arrays"},
    {"data too short", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 23, WEFT_ERR_FORMAT, "expected 24 bytes of data for <f4 [2, 3] but got 23"},
    {"data too long", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 25, WEFT_ERR_FORMAT, "but got 25"},
    {"huge shape", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 2), }", 8, WEFT_ERR_LIMIT, "too many elements"},
    {"overflowing size", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", 8, WEFT_ERR_FORMAT, H},
    {"negative size", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }", 8, WEFT_ERR_FORMAT, H},
    {"rank 9", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1), }", 4, WEFT_ERR_FORMAT, H},
    {"no tuple", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2), }", 8, WEFT_ERR_FORMAT, H},
    {"shape is a number", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': 2, }", 8, WEFT_ERR_FORMAT, H},
    {"no shape", 1, "{'descr': '<f4', 'fortran_order': False, }", 4, WEFT_ERR_FORMAT, H},
    {"no descr", 1, "{'fortran_order': False, 'shape': (), }", 4, WEFT_ERR_FORMAT, H},
    {"no order", 1, "{'descr': '<f4', 'shape': (), }", 4, WEFT_ERR_FORMAT, H},
    {"key twice", 1, "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (), }", 4, WEFT_ERR_FORMAT, H},
    {"unknown key", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (), 'x': 1}", 4, WEFT_ERR_FORMAT, H},
    {"order is a number", 1, "{'descr': '<f4', 'fortran_order': 0, 'shape': (), }", 4, WEFT_ERR_FORMAT, H},
    {"not a dictionary", 1, "('descr', '<f4')", 4, WEFT_ERR_FORMAT, H},
    {"empty header", 1, "", 4, WEFT_ERR_FORMAT, H},
    {"does not end", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (", 4, WEFT_ERR_FORMAT, H},
    {"string does not end", 1, "{'descr': '<f4", 4, WEFT_ERR_FORMAT, H},
    {"code behind", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (), }; import os", 4, WEFT_ERR_FORMAT, H},
};

static weft_status open_bytes(const unsigned char *bytes, size_t count, char *text, size_t size) {
  weft_tensor_file *file;
  unsigned char *copy = malloc(count + 1);
  memcpy(copy, bytes, count);
  weft_status status = weft_tensor_file_open_memory(copy, count, NULL, &file);
  if (text) snprintf(text, size, "%s", weft_tensor_file_error(file));
  if (!status) {
    const weft_tensor_info *info = weft_tensor_file_at(file, 0);
    void *room = malloc((size_t)info->bytes + 1);
    weft_status read = weft_tensor_file_read(file, 0, room, (size_t)info->bytes);
    CHECK(read == WEFT_OK || info->dtype < 0 || info->dtype == WEFT_BOOL);
    free(room);
  }
  weft_tensor_file_close(file);
  free(copy);
  return status;
}

static size_t build(unsigned char *to, int version, const char *header, int64_t data) {
  size_t length = strlen(header), at = version == 1 ? 10 : 12;
  memcpy(to, "\x93NUMPY", 6);
  to[6] = (unsigned char)version;
  to[7] = 0;
  to[10] = to[11] = 0;
  to[8] = (unsigned char)length;
  to[9] = (unsigned char)(length >> 8);
  memcpy(to + at, header, length);
  memset(to + at + length, 0, (size_t)data);
  return at + length + (size_t)data;
}

int main(void) {
  unsigned char bytes[1024];
  char text[700];
  close(mkstemps(path, 4));
  for (size_t i = 0; i < sizeof samples / sizeof *samples; ++i) {
    const sample *s = &samples[i];
    size_t count = build(bytes, s->version, s->header, s->data);
    weft_status status = open_bytes(bytes, count, text, sizeof text);
    if (status != s->status || !strstr(text, s->text)) {
      fprintf(stderr, "%s: expected %s with \"%s\" but got %s: \"%s\"\n", s->what, weft_status_name(s->status), s->text, weft_status_name(status), text);
      ++check_failures;
    }
  }
  int wrong = 0;
  for (size_t i = 0; i < sizeof samples / sizeof *samples; ++i) wrong += samples[i].status != WEFT_OK;
  printf("count: malformed .npy = %d\n", wrong);
  size_t count = build(bytes, 1, samples[0].header, 24);
  for (size_t cut = 0; cut < count; ++cut) CHECK(open_bytes(bytes, cut, NULL, 0) != WEFT_OK);
  for (size_t at = 0; at < count - 24; ++at) {
    unsigned char kept = bytes[at];
    for (int value = 0; value < 256; ++value) {
      bytes[at] = (unsigned char)value;
      open_bytes(bytes, count, NULL, 0);
    }
    bytes[at] = kept;
  }
  for (int32_t dtype = WEFT_F32; dtype <= WEFT_BOOL; ++dtype)
    for (int32_t rank = 0; rank <= 4; ++rank) {
      static const unsigned char data[8 * 24];
      weft_tensor tensor = {"x", dtype, rank, {2, 3, 1, 4}, data};
      weft_status status = weft_npy_write(path, &tensor, NULL, text, sizeof text);
      CHECK_EQUAL(status, dtype == WEFT_BF16 ? WEFT_ERR_UNSUPPORTED : WEFT_OK);
      if (status) continue;
      weft_tensor_file *file;
      CHECK_EQUAL(weft_tensor_file_open(path, NULL, &file), WEFT_OK);
      const weft_tensor_info *info = weft_tensor_file_at(file, 0);
      CHECK(info && info->dtype == dtype && info->rank == rank && !memcmp(info->shape, tensor.shape, (size_t)rank * 8));
      CHECK(info && info->offset % 64 == 0);
      weft_tensor_file_close(file);
    }
  CHECK_EQUAL(weft_npy_write(path, NULL, NULL, text, sizeof text), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_npy_write(path, &(weft_tensor){"x", 99, 0, {0}, text}, NULL, text, sizeof text), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_npy_write(path, &(weft_tensor){"x", WEFT_F32, 1, {-1}, text}, NULL, text, sizeof text), WEFT_ERR_ARGUMENT);
  unlink(path);
  return check_result();
}
