/* The reader of safetensors: u64 header length, JSON header, data. Everything is checked before anything is used:
 * sizes against the real file length, offsets for holes and overlaps, names for duplicates. */
#include "checked.h"
#include "json.h"
#include "memory.h"
#include "tensor_file.h"

#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "expected a little-endian machine: tensor files are read without swapping bytes"
#endif

typedef struct dtype_row {
  const char *name;
  int32_t bits, dtype;
} dtype_row;

static const dtype_row dtypes[] = {
    {"F32", 32, WEFT_F32},  {"F16", 16, WEFT_F16},      {"BF16", 16, WEFT_BF16},    {"F64", 64, WEFT_F64},
    {"I32", 32, WEFT_I32},  {"I64", 64, WEFT_I64},      {"I8", 8, WEFT_I8},         {"U8", 8, WEFT_U8},
    {"BOOL", 8, WEFT_BOOL}, {"I16", 16, -1},            {"U16", 16, -1},            {"U32", 32, -1},
    {"U64", 64, -1},        {"F8_E4M3", 8, -1},         {"F8_E5M2", 8, -1},         {"F8_E8M0", 8, -1},
    {"F4", 4, -1},          {"F6_E2M3", 6, -1},         {"F6_E3M2", 6, -1},         {"C64", 64, -1},
    {"F8_E4M3FNUZ", 8, -1}, {"F8_E5M2FNUZ", 8, -1}};

int32_t weft_safetensors_dtype(const char *name, int32_t *out_dtype) {
  for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; ++i)
    if (!strcmp(dtypes[i].name, name)) {
      *out_dtype = dtypes[i].dtype;
      return dtypes[i].bits;
    }
  return 0;
}

const char *weft_safetensors_dtype_name(int32_t dtype) {
  for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; ++i)
    if (dtypes[i].dtype == dtype) return dtypes[i].name;
  return NULL;
}

/* Where a scan stands: the file for errors, and the tensor that is being read. */
typedef struct scan {
  weft_tensor_file *file;
  weft_json json;
  weft_tensor_info info;
  int64_t begin, end;
  int32_t bits;
} scan;

static weft_status syntax_error(scan *s) {
  return weft_fail(&s->file->error, WEFT_ERR_FORMAT, "header byte %lld: %s", (long long)(s->json.at - s->json.begin),
                   s->json.failure ? s->json.failure : "expected another value");
}

static weft_status tensor_syntax_error(scan *s) {
  return weft_fail(&s->file->error, WEFT_ERR_FORMAT, "tensor '%s': header byte %lld: %s", weft_quote(s->info.name).text,
                   (long long)(s->json.at - s->json.begin), s->json.failure ? s->json.failure : "expected another value");
}

static bool scan_shape(scan *s) {
  if (!weft_json_take(&s->json, '[')) return false;
  s->info.rank = 0;
  if (weft_json_peek(&s->json) == ']') return weft_json_take(&s->json, ']');
  for (bool more = true; more;) {
    if (s->info.rank == WEFT_MAX_RANK) return weft_json_fail(&s->json, "expected at most 8 axes");
    if (!weft_json_integer(&s->json, &s->info.shape[s->info.rank])) return false;
    ++s->info.rank;
    if (!weft_json_next(&s->json, ']', &more)) return false;
  }
  return true;
}

static bool scan_offsets(scan *s) {
  bool more;
  return weft_json_take(&s->json, '[') && weft_json_integer(&s->json, &s->begin) && weft_json_next(&s->json, ']', &more) &&
         (more || weft_json_fail(&s->json, "expected two offsets")) && weft_json_integer(&s->json, &s->end) &&
         weft_json_next(&s->json, ']', &more) && (!more || weft_json_fail(&s->json, "expected two offsets"));
}

/* {"dtype": …, "shape": […], "data_offsets": [begin, end]}, in any order. */
static weft_status scan_fields(scan *s) {
  enum { DTYPE = 1, SHAPE = 2, OFFSETS = 4 };
  int seen = 0;
  if (!weft_json_take(&s->json, '{')) return tensor_syntax_error(s);
  bool more = weft_json_peek(&s->json) != '}';
  if (!more) weft_json_take(&s->json, '}');
  while (more) {
    char *key, *text;
    size_t length;
    if (!weft_json_string(&s->json, &key, &length) || !weft_json_take(&s->json, ':')) return tensor_syntax_error(s);
    int field = !strcmp(key, "dtype") ? DTYPE : !strcmp(key, "shape") ? SHAPE : !strcmp(key, "data_offsets") ? OFFSETS : 0;
    if (!field || (seen & field))
      return weft_fail(&s->file->error, WEFT_ERR_FORMAT, field ? "tensor '%s': key '%s' appears twice" : "tensor '%s': unknown key '%s'",
                       weft_quote(s->info.name).text, weft_quote(key).text);
    seen |= field;
    bool good = true;
    if (field == DTYPE) {
      good = weft_json_string(&s->json, &text, &length);
      if (good) s->info.dtype_name = text;
    } else if (field == SHAPE) {
      good = scan_shape(s);
    } else {
      good = scan_offsets(s);
    }
    if (!good || !weft_json_next(&s->json, '}', &more)) return tensor_syntax_error(s);
  }
  static const char *const missing[] = {"dtype", "shape", "data_offsets"};
  for (int i = 0; i < 3; ++i)
    if (!(seen & 1 << i))
      return weft_fail(&s->file->error, WEFT_ERR_FORMAT, "tensor '%s': has no '%s'", weft_quote(s->info.name).text, missing[i]);
  return WEFT_OK;
}

static weft_status check_size(scan *s) {
  weft_tensor_info *info = &s->info;
  weft_error *error = &s->file->error;
  const weft_quoted name = weft_quote(info->name);
  s->bits = weft_safetensors_dtype(info->dtype_name, &info->dtype);
  if (!s->bits)
    return weft_fail(error, WEFT_ERR_UNSUPPORTED, "tensor '%s': unknown type '%s'", name.text, weft_quote(info->dtype_name).text);
  if (!weft_ck_product(info->shape, info->rank, &info->elements) || info->elements > s->file->limits.elements)
    return weft_fail(error, WEFT_ERR_LIMIT, "tensor '%s': shape %s has too many elements", name.text,
                     weft_format_shape(info->shape, info->rank).text);
  int64_t bits = info->elements * s->bits; /* at most 2^56 * 64 */
  if (bits % 8) return weft_fail(error, WEFT_ERR_FORMAT, "tensor '%s': its bits are not a multiple of 8", name.text);
  info->bytes = bits / 8;
  if (s->begin > s->end)
    return weft_fail(error, WEFT_ERR_FORMAT, "tensor '%s': data ends before it begins (%lld, %lld)", name.text,
                     (long long)s->begin, (long long)s->end);
  if (s->end - s->begin != info->bytes)
    return weft_fail(error, WEFT_ERR_FORMAT, "tensor '%s': expected %lld bytes for %s %s but got %lld", name.text,
                     (long long)info->bytes, info->dtype_name, weft_format_shape(info->shape, info->rank).text,
                     (long long)(s->end - s->begin));
  return WEFT_OK;
}

static weft_status scan_metadata(scan *s) {
  if (!weft_json_take(&s->json, '{')) return syntax_error(s);
  bool more = weft_json_peek(&s->json) != '}';
  if (!more) weft_json_take(&s->json, '}');
  while (more) {
    char *key, *value;
    size_t length;
    if (!weft_json_string(&s->json, &key, &length) || !weft_json_take(&s->json, ':') ||
        !weft_json_string(&s->json, &value, &length) || !weft_json_next(&s->json, '}', &more))
      return syntax_error(s);
    weft_status status = weft_append_metadata(s->file, key, value);
    if (status) return status;
  }
  return WEFT_OK;
}

static weft_status scan_header(scan *s) {
  if (!weft_json_take(&s->json, '{')) return syntax_error(s);
  bool more = weft_json_peek(&s->json) != '}', metadata = false;
  if (!more) weft_json_take(&s->json, '}');
  while (more) {
    char *name;
    size_t length;
    if (!weft_json_string(&s->json, &name, &length) || !weft_json_take(&s->json, ':')) return syntax_error(s);
    weft_status status;
    if (!strcmp(name, "__metadata__")) {
      if (metadata) return weft_fail(&s->file->error, WEFT_ERR_FORMAT, "'__metadata__' appears twice");
      metadata = true;
      status = scan_metadata(s);
    } else {
      if ((int64_t)length > s->file->limits.name_bytes)
        return weft_fail(&s->file->error, WEFT_ERR_LIMIT, "tensor '%s': expected a name of at most %lld bytes", weft_quote(name).text,
                         (long long)s->file->limits.name_bytes);
      s->info.name = name;
      status = scan_fields(s);
      if (!status) status = check_size(s);
      s->info.offset = s->begin; /* made absolute when the order has been checked */
      if (!status) status = weft_append_info(s->file, &s->info);
    }
    if (status) return status;
    if (!weft_json_next(&s->json, '}', &more)) return syntax_error(s);
  }
  return weft_json_finish(&s->json) ? WEFT_OK : syntax_error(s);
}

static int compare_offsets(const void *context, int32_t a, int32_t b) {
  const weft_tensor_info *infos = context, *x = &infos[a], *y = &infos[b];
  if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
  return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

/* Sorts the part's tensors by offset; they must cover its data exactly, one after the other. */
static weft_status check_layout(weft_tensor_file *file, weft_part *part, int64_t data) {
  weft_tensor_info *infos = file->infos + part->first;
  int64_t count = part->count, bytes = count * (int64_t)(2 * sizeof(int32_t) + sizeof *infos);
  if (count) {
    weft_tensor_info *sorted = weft_allocate(&file->allocator, bytes);
    if (!sorted) return weft_no_memory(file);
    int32_t *order = (int32_t *)(sorted + count), *scratch = order + count;
    for (int64_t i = 0; i < count; ++i) order[i] = (int32_t)i;
    weft_sort_indices(order, scratch, count, compare_offsets, infos);
    for (int64_t i = 0; i < count; ++i) sorted[i] = infos[order[i]];
    memcpy(infos, sorted, (size_t)count * sizeof *infos);
    weft_release(&file->allocator, sorted, bytes);
  }
  int64_t at = 0, room = part->size - data;
  for (int64_t i = 0; i < count; ++i) {
    const weft_quoted name = weft_quote(infos[i].name);
    if (infos[i].offset != at)
      return weft_fail(&file->error, WEFT_ERR_FORMAT,
                       infos[i].offset < at ? "tensor '%s': its data overlaps another tensor's (begins at %lld, expected %lld)"
                                            : "tensor '%s': there is a hole before its data (begins at %lld, expected %lld)",
                       name.text, (long long)infos[i].offset, (long long)at);
    at += infos[i].bytes; /* no overflow: offset + bytes was a parsed int64_t */
    if (at > room)
      return weft_fail(&file->error, WEFT_ERR_FORMAT, "tensor '%s': its data ends at byte %lld of %lld", name.text, (long long)at,
                       (long long)room);
    infos[i].offset += data;
  }
  if (at != room)
    return weft_fail(&file->error, WEFT_ERR_FORMAT, "expected the file to end after its tensors but %lld bytes follow", (long long)(room - at));
  return WEFT_OK;
}

weft_status weft_read_safetensors(weft_tensor_file *file, int32_t index) {
  weft_part *part = &file->parts[index];
  weft_error *error = &file->error;
  if (part->size < 10) return weft_fail(error, WEFT_ERR_FORMAT, "expected a safetensors file but got only %lld bytes", (long long)part->size);
  unsigned char prefix[8];
  weft_status status = weft_read_part(file, index, prefix, 8, 0);
  if (status) return status;
  if (!memcmp(prefix, "PK\3\4", 4))
    return weft_fail(error, WEFT_ERR_FORMAT,
                     "expected a safetensors file but got a zip archive, as torch.save and np.savez write; save it with safetensors.torch.save_file or safetensors.numpy.save_file");
  if (!memcmp(prefix, "GGUF", 4))
    return weft_fail(error, WEFT_ERR_FORMAT, "expected a safetensors file but got a GGUF file; take the model's safetensors files instead");
  uint64_t length = 0;
  for (int i = 7; i >= 0; --i) length = length << 8 | prefix[i];
  if (length > (uint64_t)part->size - 8 || length < 2)
    return weft_fail(error, WEFT_ERR_FORMAT, "expected a safetensors file but its header length is %llu of %lld bytes",
                     (unsigned long long)length, (long long)part->size);
  if (length > (uint64_t)file->limits.header_bytes)
    return weft_fail(error, WEFT_ERR_LIMIT, "expected a header of at most %lld bytes but got %llu", (long long)file->limits.header_bytes, (unsigned long long)length);
  part->header_bytes = (int64_t)length;
  part->header = weft_allocate(&file->allocator, part->header_bytes);
  if (!part->header) return weft_no_memory(file);
  status = weft_read_part(file, index, part->header, part->header_bytes, 8);
  if (status) return status;
  scan s;
  memset(&s, 0, sizeof s);
  s.file = file;
  s.info.part = index;
  weft_json_begin(&s.json, part->header, (size_t)length);
  part->first = (int32_t)file->count;
  int64_t data = 8 + (int64_t)length;
  status = scan_header(&s);
  part->count = (int32_t)file->count - part->first;
  return status ? status : check_layout(file, part, data);
}
