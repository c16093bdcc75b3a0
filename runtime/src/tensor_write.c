/* Writers of safetensors and .npy. A file is written under a temporary name beside its place, synced, and renamed, so
 * that its name never shows a part of it; a failure removes the temporary file. */
#include "checked.h"
#include "memory.h"
#include "tensor_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct writer {
  const weft_file_ops *files;
  weft_allocator allocator;
  weft_error error;
  weft_tensor_limits limits;
  const char *path;
  char *temporary;
  int64_t temporary_bytes;
  int file;
} writer;

static weft_status io_error(writer *w, const char *what, int code) {
  return weft_fail(&w->error, WEFT_ERR_IO, "cannot %s: %s", what, weft_errno(code).text);
}

static weft_status writer_begin(writer *w, const weft_tensor_options *options) {
  memset(w, 0, sizeof *w);
  w->allocator = weft_allocator_or_default(options ? options->allocator : NULL);
  w->files = options && options->files ? options->files : weft_system_files();
  w->file = -1;
  return weft_resolve_limits(options ? options->limits : NULL, &w->limits, &w->error);
}

static weft_status writer_open(writer *w, const char *path) {
  w->path = path;
  if (!path || !*path) return weft_fail(&w->error, WEFT_ERR_ARGUMENT, "expected a path");
  /* Renaming over a device or a folder would replace it. */
  bool special;
  int code = w->files->is_special(w->files->user, path, &special);
  if (code < 0) return io_error(w, "write", code);
  if (special) return weft_fail(&w->error, WEFT_ERR_IO, "cannot write: it exists and is not a regular file");
  size_t length = strlen(path);
  w->temporary_bytes = (int64_t)length + 40;
  w->temporary = weft_allocate(&w->allocator, w->temporary_bytes);
  if (!w->temporary) return weft_fail(&w->error, WEFT_ERR_MEMORY, "out of memory");
  for (int attempt = 0;; ++attempt) {
    snprintf(w->temporary, (size_t)w->temporary_bytes, "%s.tmp-%ld-%d", path, (long)getpid(), attempt);
    code = w->files->create(w->files->user, w->temporary);
    if (code >= 0) break;
    if (attempt == 99) return io_error(w, "create a temporary file", code);
    if (code != -EEXIST && code != -EINTR) return io_error(w, "create the file", code);
  }
  w->file = code;
  return WEFT_OK;
}

static weft_status writer_put(writer *w, const void *data, int64_t bytes) {
  int code = weft_write_fully(w->files, w->file, data, bytes);
  return code < 0 ? io_error(w, "write", code) : WEFT_OK;
}

/* Syncs and renames if all went well so far, otherwise removes; releases the writer. */
static weft_status writer_close(writer *w, weft_status status) {
  const weft_file_ops *files = w->files;
  if (w->file >= 0) {
    int code;
    if (!status && (code = files->sync(files->user, w->file)) < 0) status = io_error(w, "sync", code);
    code = files->close(files->user, w->file);
    if (!status && code < 0) status = io_error(w, "close", code);
    if (!status && (code = files->rename(files->user, w->temporary, w->path)) < 0) status = io_error(w, "rename", code);
    if (status) {
      files->remove(files->user, w->temporary);
    } else {
      weft_folder_of(w->temporary);
      if ((code = files->sync_directory(files->user, w->temporary)) < 0) status = io_error(w, "sync the folder", code);
    }
  }
  weft_release(&w->allocator, w->temporary, w->temporary_bytes);
  return status;
}

static weft_status report(writer *w, weft_status status, char *error, size_t error_size) {
  if (error && error_size) snprintf(error, error_size, "%s", status ? w->error.text : "");
  return status;
}

/* ---- Header text ------------------------------------------------------------------------------------------------ */

/* Text that is measured first (`to` NULL) and then written by the same code. */
typedef struct text {
  char *to;
  int64_t length;
} text;

static void put(text *t, const char *bytes, size_t length) {
  if (t->to) memcpy(t->to + t->length, bytes, length);
  t->length += (int64_t)length;
}

static void put_word(text *t, const char *word) { put(t, word, strlen(word)); }

static void put_number(text *t, int64_t number) {
  char digits[24];
  put(t, digits, (size_t)snprintf(digits, sizeof digits, "%lld", (long long)number));
}

static void put_string(text *t, const char *string) {
  put(t, "\"", 1);
  for (const unsigned char *c = (const unsigned char *)string; *c; ++c) {
    if (*c == '"' || *c == '\\') {
      char two[2] = {'\\', (char)*c};
      put(t, two, 2);
    } else if (*c < 0x20) {
      char code[8];
      put(t, code, (size_t)snprintf(code, sizeof code, "\\u%04x", *c));
    } else {
      put(t, (const char *)c, 1);
    }
  }
  put(t, "\"", 1);
}

typedef struct plan {
  const weft_tensor *tensors;
  int64_t count;
  int32_t *order; /* by falling alignment, so that no tensor is misaligned by a smaller one before it */
  const char *const *metadata;
  int64_t pairs;
} plan;

static void put_header(text *t, const plan *p) {
  put_word(t, "{");
  if (p->pairs) {
    put_word(t, "\"__metadata__\":{");
    for (int64_t i = 0; i < p->pairs; ++i) {
      if (i) put_word(t, ",");
      put_string(t, p->metadata[2 * i]);
      put_word(t, ":");
      put_string(t, p->metadata[2 * i + 1]);
    }
    put_word(t, "}");
  }
  int64_t at = 0;
  for (int64_t i = 0; i < p->count; ++i) {
    const weft_tensor *tensor = &p->tensors[p->order[i]];
    if (i || p->pairs) put_word(t, ",");
    put_string(t, tensor->name);
    put_word(t, ":{\"dtype\":\"");
    put_word(t, weft_safetensors_dtype_name(tensor->dtype));
    put_word(t, "\",\"shape\":[");
    int64_t bytes = (int64_t)weft_dtype_size(tensor->dtype);
    for (int32_t axis = 0; axis < tensor->rank; ++axis) {
      if (axis) put_word(t, ",");
      put_number(t, tensor->shape[axis]);
      bytes *= tensor->shape[axis];
    }
    put_word(t, "],\"data_offsets\":[");
    put_number(t, at);
    put_word(t, ",");
    put_number(t, at + bytes);
    put_word(t, "]}");
    at += bytes;
  }
  put_word(t, "}");
}

/* ---- Checks ----------------------------------------------------------------------------------------------------- */

static weft_status check_tensor(writer *w, const weft_tensor *tensor, int64_t *out_bytes) {
  const char *name = tensor->name ? tensor->name : "";
  if (!weft_dtype_size(tensor->dtype)) return weft_fail(&w->error, WEFT_ERR_ARGUMENT, "tensor '%s': unknown type", weft_quote(name).text);
  if (tensor->rank < 0 || tensor->rank > WEFT_MAX_RANK)
    return weft_fail(&w->error, WEFT_ERR_ARGUMENT, "tensor '%s': expected at most %d axes but got %d", weft_quote(name).text, WEFT_MAX_RANK, tensor->rank);
  int64_t elements;
  if (!weft_ck_product(tensor->shape, tensor->rank, &elements) || elements > w->limits.elements)
    return weft_fail(&w->error, WEFT_ERR_ARGUMENT, "tensor '%s': shape %s is not possible", weft_quote(name).text,
                     weft_format_shape(tensor->shape, tensor->rank).text);
  *out_bytes = elements * (int64_t)weft_dtype_size(tensor->dtype);
  if (*out_bytes && !tensor->data) return weft_fail(&w->error, WEFT_ERR_ARGUMENT, "tensor '%s': has no data", weft_quote(name).text);
  return WEFT_OK;
}

static int compare_alignment(const void *context, int32_t a, int32_t b) {
  const weft_tensor *tensors = context;
  size_t x = weft_dtype_size(tensors[a].dtype), y = weft_dtype_size(tensors[b].dtype);
  return x > y ? -1 : x < y;
}

static int compare_names(const void *context, int32_t a, int32_t b) {
  const weft_tensor *tensors = context;
  return strcmp(tensors[a].name, tensors[b].name);
}

/* Readers refuse a header that is not valid UTF-8. */
static bool is_utf8(const char *string) {
  while (*string) {
    size_t length = weft_utf8_length(string, 4); /* the zero at the end is no continuation */
    if (!length) return false;
    string += length;
  }
  return true;
}

static weft_status check_metadata(writer *w, const plan *p) {
  if (p->pairs < 0 || (p->pairs && !p->metadata)) return weft_fail(&w->error, WEFT_ERR_ARGUMENT, "expected pairs of metadata");
  for (int64_t i = 0; i < 2 * p->pairs; ++i)
    if (!p->metadata[i]) return weft_fail(&w->error, WEFT_ERR_ARGUMENT, "expected pairs of metadata");
  for (int64_t i = 0; i < 2 * p->pairs; ++i)
    if (!is_utf8(p->metadata[i])) return weft_fail(&w->error, WEFT_ERR_ARGUMENT, "metadata '%s': expected valid UTF-8", weft_quote(p->metadata[i / 2 * 2]).text);
  return WEFT_OK;
}

static weft_status check_all(writer *w, const plan *p, int32_t *scratch) {
  weft_status status = check_metadata(w, p);
  if (status) return status;
  for (int64_t i = 0; i < p->count; ++i) {
    const char *name = p->tensors[i].name;
    if (!name || (int64_t)strlen(name) > w->limits.name_bytes || !strcmp(name, "__metadata__"))
      return weft_fail(&w->error, WEFT_ERR_ARGUMENT, "tensor %lld: expected a name of at most %lld bytes", (long long)i, (long long)w->limits.name_bytes);
    if (!is_utf8(name)) return weft_fail(&w->error, WEFT_ERR_ARGUMENT, "tensor '%s': expected a name of valid UTF-8", weft_quote(name).text);
    int64_t bytes;
    if ((status = check_tensor(w, &p->tensors[i], &bytes)) != WEFT_OK) return status;
    p->order[i] = (int32_t)i;
  }
  weft_sort_indices(p->order, scratch, p->count, compare_names, p->tensors);
  for (int64_t i = 1; i < p->count; ++i)
    if (!compare_names(p->tensors, p->order[i - 1], p->order[i]))
      return weft_fail(&w->error, WEFT_ERR_ARGUMENT, "tensor '%s': appears twice", weft_quote(p->tensors[p->order[i]].name).text);
  for (int64_t i = 0; i < p->count; ++i) p->order[i] = (int32_t)i;
  weft_sort_indices(p->order, scratch, p->count, compare_alignment, p->tensors);
  return WEFT_OK;
}

/* ---- The two formats -------------------------------------------------------------------------------------------- */

static weft_status write_all(writer *w, const plan *p) {
  text measured = {NULL, 0};
  put_header(&measured, p);
  /* Padded with spaces so that data starts at a multiple of 64 bytes. */
  int64_t padded = (8 + measured.length + 63) / 64 * 64 - 8;
  if (padded > w->limits.header_bytes)
    return weft_fail(&w->error, WEFT_ERR_LIMIT, "expected a header of at most %lld bytes but got %lld", (long long)w->limits.header_bytes, (long long)padded);
  char *header = weft_allocate(&w->allocator, 8 + padded);
  if (!header) return weft_fail(&w->error, WEFT_ERR_MEMORY, "out of memory");
  for (int i = 0; i < 8; ++i) header[i] = (char)((uint64_t)padded >> 8 * i & 0xff);
  text written = {header + 8, 0};
  put_header(&written, p);
  memset(header + 8 + written.length, ' ', (size_t)(padded - written.length));
  weft_status status = writer_put(w, header, 8 + padded);
  weft_release(&w->allocator, header, 8 + padded);
  for (int64_t i = 0; !status && i < p->count; ++i) {
    const weft_tensor *tensor = &p->tensors[p->order[i]];
    int64_t bytes = 0;
    check_tensor(w, tensor, &bytes); /* again, for its size: it is fine */
    status = writer_put(w, tensor->data, bytes);
  }
  return status;
}

weft_status weft_safetensors_write(const char *path, const weft_tensor *tensors, int64_t count, const char *const *metadata,
                                   int64_t pairs, const weft_tensor_options *options, char *error, size_t error_size) {
  writer w;
  weft_status status = writer_begin(&w, options);
  if (status) return report(&w, status, error, error_size);
  if (count < 0 || count > w.limits.tensors || (count && !tensors))
    return report(&w, weft_fail(&w.error, WEFT_ERR_ARGUMENT, "expected a list of at most %lld tensors", (long long)w.limits.tensors), error, error_size);
  int64_t bytes = 2 * count * (int64_t)sizeof(int32_t);
  int32_t *order = weft_allocate(&w.allocator, bytes);
  if (!order) return report(&w, weft_fail(&w.error, WEFT_ERR_MEMORY, "out of memory"), error, error_size);
  plan p = {tensors, count, order, metadata, pairs};
  status = check_all(&w, &p, order + count);
  if (!status) {
    status = writer_open(&w, path);
    if (!status) status = write_all(&w, &p);
    status = writer_close(&w, status);
  }
  weft_release(&w.allocator, order, bytes);
  return report(&w, status, error, error_size);
}

static weft_status write_npy(writer *w, const weft_tensor *tensor, const char *descr, int64_t bytes) {
  char header[512];
  int used = snprintf(header, sizeof header, "\x93NUMPY%c%c%c%c{'descr': '%s', 'fortran_order': False, 'shape': (", 1, 0, 0, 0, descr);
  for (int32_t i = 0; i < tensor->rank; ++i)
    used += snprintf(header + used, sizeof header - (size_t)used, tensor->rank > 1 && i + 1 == tensor->rank ? "%lld" : "%lld, ", (long long)tensor->shape[i]);
  if (tensor->rank == 1) --used; /* (3,) */
  used += snprintf(header + used, sizeof header - (size_t)used, "), }");
  int padded = (used + 1 + 63) / 64 * 64;
  memset(header + used, ' ', (size_t)(padded - used));
  header[padded - 1] = '\n';
  header[8] = (char)((padded - 10) & 0xff);
  header[9] = (char)((padded - 10) >> 8);
  weft_status status = writer_put(w, header, padded);
  return status ? status : writer_put(w, tensor->data, bytes);
}

weft_status weft_npy_write(const char *path, const weft_tensor *tensor, const weft_tensor_options *options, char *error, size_t error_size) {
  writer w;
  weft_status status = writer_begin(&w, options);
  if (status) return report(&w, status, error, error_size);
  if (!tensor) return report(&w, weft_fail(&w.error, WEFT_ERR_ARGUMENT, "expected a tensor"), error, error_size);
  int64_t bytes;
  status = check_tensor(&w, tensor, &bytes);
  if (status) return report(&w, status, error, error_size);
  const char *descr = weft_npy_descr(tensor->dtype);
  if (!descr)
    return report(&w, weft_fail(&w.error, WEFT_ERR_UNSUPPORTED, "type %s does not exist in .npy", weft_dtype_name(tensor->dtype)), error, error_size);
  status = writer_open(&w, path);
  if (!status) status = write_npy(&w, tensor, descr, bytes);
  return report(&w, writer_close(&w, status), error, error_size);
}
