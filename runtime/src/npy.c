/* The reader of .npy: magic, version, a Python dictionary as text, data. Versions 1 to 3, little-endian, C order. */
#include "checked.h"
#include "memory.h"
#include "tensor_file.h"

#include <string.h>

typedef struct npy_row {
  const char *descr;
  int32_t bits, dtype;
} npy_row;

static const npy_row rows[] = {{"<f4", 32, WEFT_F32}, {"<f2", 16, WEFT_F16}, {"<f8", 64, WEFT_F64}, {"<i4", 32, WEFT_I32},
                               {"<i8", 64, WEFT_I64}, {"|i1", 8, WEFT_I8},   {"|u1", 8, WEFT_U8},   {"|b1", 8, WEFT_BOOL},
                               {"<i2", 16, -1},       {"<u2", 16, -1},       {"<u4", 32, -1},       {"<u8", 64, -1}};

int32_t weft_npy_dtype(const char *descr, int32_t *out_dtype) {
  for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i)
    if (!strcmp(rows[i].descr, descr)) {
      *out_dtype = rows[i].dtype;
      return rows[i].bits;
    }
  return 0;
}

const char *weft_npy_descr(int32_t dtype) {
  for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i)
    if (rows[i].dtype == dtype) return rows[i].descr;
  return NULL;
}

/* A cursor over the dictionary: {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }. */
typedef struct cursor {
  char *at, *end;
} cursor;

static void skip_space(cursor *c) {
  while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\t' || *c->at == '\r')) ++c->at;
}

static bool take(cursor *c, char byte) {
  skip_space(c);
  if (c->at >= c->end || *c->at != byte) return false;
  ++c->at;
  return true;
}

static bool take_word(cursor *c, const char *word) {
  skip_space(c);
  size_t length = strlen(word);
  if ((size_t)(c->end - c->at) < length || memcmp(c->at, word, length)) return false;
  c->at += length;
  return true;
}

/* A quoted string without escapes, terminated in place. */
static bool take_string(cursor *c, char **out) {
  skip_space(c);
  if (c->at >= c->end || (*c->at != '\'' && *c->at != '"')) return false;
  char quote = *c->at++;
  *out = c->at;
  while (c->at < c->end && *c->at != quote && *c->at != '\\' && (unsigned char)*c->at >= 0x20) ++c->at;
  if (c->at >= c->end || *c->at != quote) return false;
  *c->at++ = 0;
  return true;
}

static bool take_size(cursor *c, int64_t *out) {
  skip_space(c);
  const char *start = c->at;
  int64_t value = 0;
  while (c->at < c->end && *c->at >= '0' && *c->at <= '9') {
    if (!weft_ck_mul(value, 10, &value) || !weft_ck_add(value, *c->at - '0', &value)) return false;
    ++c->at;
  }
  *out = value;
  return c->at > start;
}

static bool take_shape(cursor *c, weft_tensor_info *info) {
  info->rank = 0;
  if (!take(c, '(')) return false;
  while (!take(c, ')')) {
    if (info->rank == WEFT_MAX_RANK || !take_size(c, &info->shape[info->rank])) return false;
    ++info->rank;
    if (take(c, ',')) continue;
    /* (3) is a number in Python, not a shape. */
    return info->rank > 1 && take(c, ')');
  }
  return true;
}

static weft_status scan_dictionary(weft_tensor_file *file, cursor *c, weft_tensor_info *info, bool *fortran) {
  enum { DESCR = 1, ORDER = 2, SHAPE = 4 };
  int seen = 0;
  bool good = take(c, '{');
  while (good && !take(c, '}')) {
    char *key = NULL, *text = NULL;
    good = take_string(c, &key) && take(c, ':');
    if (!good) break;
    int field = !strcmp(key, "descr") ? DESCR : !strcmp(key, "fortran_order") ? ORDER : !strcmp(key, "shape") ? SHAPE : 0;
    good = field && !(seen & field);
    seen |= field;
    if (good && field == DESCR) {
      skip_space(c);
      if (c->at < c->end && *c->at == '[') return weft_fail(&file->error, WEFT_ERR_UNSUPPORTED, "structured arrays are not supported");
      good = take_string(c, &text);
      info->dtype_name = text;
    } else if (good && field == ORDER) {
      *fortran = take_word(c, "True");
      good = *fortran || take_word(c, "False");
    } else if (good) {
      good = take_shape(c, info);
    }
    if (good && !take(c, ',')) {
      good = take(c, '}');
      break;
    }
  }
  skip_space(c);
  if (!good || seen != (DESCR | ORDER | SHAPE) || c->at != c->end)
    return weft_fail(&file->error, WEFT_ERR_FORMAT, "expected {'descr': …, 'fortran_order': …, 'shape': …} as the header");
  return WEFT_OK;
}

static weft_status check_npy(weft_tensor_file *file, const weft_part *part, weft_tensor_info *info, bool fortran) {
  weft_error *error = &file->error;
  if (info->dtype_name[0] == '>') return weft_fail(error, WEFT_ERR_UNSUPPORTED, "big-endian data ('%s') is not supported", weft_quote(info->dtype_name).text);
  int32_t bits = weft_npy_dtype(info->dtype_name, &info->dtype);
  if (!bits) return weft_fail(error, WEFT_ERR_UNSUPPORTED, "unknown type '%s'", weft_quote(info->dtype_name).text);
  if (fortran && info->rank > 1)
    return weft_fail(error, WEFT_ERR_UNSUPPORTED, "expected C order but got Fortran order (save numpy.ascontiguousarray of the array)");
  if (!weft_ck_product(info->shape, info->rank, &info->elements) || info->elements > file->limits.elements)
    return weft_fail(error, WEFT_ERR_LIMIT, "shape %s has too many elements", weft_format_shape(info->shape, info->rank).text);
  info->bytes = info->elements * (bits / 8);
  if (part->size - info->offset != info->bytes)
    return weft_fail(error, WEFT_ERR_FORMAT, "expected %lld bytes of data for %s %s but got %lld", (long long)info->bytes, info->dtype_name,
                     weft_format_shape(info->shape, info->rank).text, (long long)(part->size - info->offset));
  return WEFT_OK;
}

weft_status weft_read_npy(weft_tensor_file *file, int32_t index) {
  weft_part *part = &file->parts[index];
  unsigned char start[12] = {0};
  int64_t available = part->size < 12 ? part->size : 12;
  weft_status status = weft_read_part(file, index, start, available, 0);
  if (status) return status;
  if (available < 10 || memcmp(start, "\x93NUMPY", 6)) return weft_fail(&file->error, WEFT_ERR_FORMAT, "expected a .npy file");
  if (start[6] < 1 || start[6] > 3 || start[7] != 0)
    return weft_fail(&file->error, WEFT_ERR_UNSUPPORTED, "version %d.%d of .npy is not supported", start[6], start[7]);
  int64_t at = start[6] == 1 ? 10 : 12;
  int64_t length = start[8] | start[9] << 8;
  if (start[6] > 1) length |= (int64_t)start[10] << 16 | (int64_t)start[11] << 24;
  if (available < at || length > part->size - at)
    return weft_fail(&file->error, WEFT_ERR_FORMAT, "the header length %lld is larger than the file", (long long)length);
  if (length > file->limits.header_bytes)
    return weft_fail(&file->error, WEFT_ERR_LIMIT, "expected a header of at most %lld bytes but got %lld", (long long)file->limits.header_bytes, (long long)length);
  part->header_bytes = length;
  part->header = weft_allocate(&file->allocator, length);
  if (!part->header) return weft_no_memory(file);
  status = weft_read_part(file, index, part->header, length, at);
  if (status) return status;
  weft_tensor_info info;
  memset(&info, 0, sizeof info);
  info.name = "";
  info.part = index;
  info.offset = at + length;
  cursor c = {part->header, part->header + length};
  bool fortran = false;
  status = scan_dictionary(file, &c, &info, &fortran);
  if (!status) status = check_npy(file, part, &info, fortran);
  if (!status) status = weft_append_info(file, &info);
  part->count = status ? 0 : 1;
  return status;
}
