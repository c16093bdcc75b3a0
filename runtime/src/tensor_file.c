/* Opening, listing and reading files of tensors, whatever their format. */
#include "tensor_file.h"

#include "checked.h"
#include "memory.h"

#include <string.h>

#define FILE_MAGIC 0x5446494cu

weft_status weft_no_memory(weft_tensor_file *file) {
  return weft_fail(&file->error, WEFT_ERR_MEMORY, "out of memory");
}

/* Makes room for one more element of a growing array. */
static bool grow(weft_tensor_file *file, void **array, int64_t count, int64_t *capacity, int64_t element) {
  if (count < *capacity) return true;
  int64_t wanted = *capacity ? *capacity * 2 : 16;
  void *larger = weft_allocate(&file->allocator, wanted * element);
  if (!larger) return false;
  if (count) memcpy(larger, *array, (size_t)(count * element));
  weft_release(&file->allocator, *array, *capacity * element);
  *array = larger;
  *capacity = wanted;
  return true;
}

weft_status weft_append_info(weft_tensor_file *file, const weft_tensor_info *info) {
  if (file->count == file->limits.tensors)
    return weft_fail(&file->error, WEFT_ERR_LIMIT, "expected at most %lld tensors", (long long)file->limits.tensors);
  void *array = file->infos;
  if (!grow(file, &array, file->count, &file->capacity, sizeof *info)) return weft_no_memory(file);
  file->infos = array;
  file->infos[file->count++] = *info;
  return WEFT_OK;
}

weft_status weft_append_metadata(weft_tensor_file *file, const char *key, const char *value) {
  if (file->metadata_count == file->limits.metadata)
    return weft_fail(&file->error, WEFT_ERR_LIMIT, "expected at most %lld metadata entries", (long long)file->limits.metadata);
  void *array = file->metadata;
  if (!grow(file, &array, file->metadata_count, &file->metadata_capacity, sizeof *file->metadata)) return weft_no_memory(file);
  file->metadata = array;
  file->metadata[file->metadata_count].key = key;
  file->metadata[file->metadata_count++].value = value;
  return WEFT_OK;
}

static weft_status append_part(weft_tensor_file *file, int32_t *out_part) {
  void *array = file->parts;
  int64_t capacity = file->part_capacity;
  if (!grow(file, &array, file->part_count, &capacity, sizeof *file->parts)) return weft_no_memory(file);
  file->parts = array;
  file->part_capacity = (int32_t)capacity;
  weft_part *part = &file->parts[file->part_count];
  memset(part, 0, sizeof *part);
  part->file = -1;
  *out_part = file->part_count++;
  return WEFT_OK;
}

weft_status weft_open_part(weft_tensor_file *file, const char *directory, const char *name, int32_t *out_part) {
  int32_t index = 0;
  weft_status status = append_part(file, &index);
  if (status) return status;
  weft_part *part = &file->parts[index];
  const weft_file_ops *files = file->files;
  int code = files->open_read(files->user, directory, name);
  if (code < 0) return weft_fail(&file->error, WEFT_ERR_IO, "cannot open: %s", weft_errno(code).text);
  part->file = code;
  bool regular = false;
  code = files->size(files->user, part->file, &part->size, &regular);
  if (code < 0) return weft_fail(&file->error, WEFT_ERR_IO, "cannot read: %s", weft_errno(code).text);
  if (!regular) return weft_fail(&file->error, WEFT_ERR_IO, "expected a regular file");
  *out_part = index;
  return WEFT_OK;
}

static int read_at(const weft_tensor_file *file, const weft_part *part, void *buffer, int64_t bytes, int64_t offset) {
  if (!part->memory) return weft_read_fully(file->files, part->file, buffer, bytes, offset);
  if (bytes) memcpy(buffer, part->memory + offset, (size_t)bytes);
  return 0;
}

weft_status weft_read_part(weft_tensor_file *file, int32_t part, void *buffer, int64_t bytes, int64_t offset) {
  const int code = read_at(file, &file->parts[part], buffer, bytes, offset);
  return code < 0 ? weft_fail(&file->error, WEFT_ERR_IO, "cannot read: %s", weft_errno(code).text) : WEFT_OK;
}

int weft_read_tensor(const weft_tensor_file *file, const weft_tensor_info *info, void *buffer, int64_t bytes, int64_t at) {
  return read_at(file, &file->parts[info->part], buffer, bytes, info->offset + at);
}

/* ---- Order ------------------------------------------------------------------------------------------------------ */

void weft_sort_indices(int32_t *order, int32_t *scratch, int64_t count,
                       int (*compare)(const void *context, int32_t a, int32_t b), const void *context) {
  int64_t sorted = 1;
  while (sorted < count && compare(context, order[sorted - 1], order[sorted]) <= 0) ++sorted;
  if (sorted >= count) return; /* the usual case: files are written in order */
  for (int64_t width = 1; width < count; width *= 2) {
    for (int64_t begin = 0; begin < count; begin += 2 * width) {
      int64_t middle = begin + width < count ? begin + width : count;
      int64_t end = begin + 2 * width < count ? begin + 2 * width : count;
      int64_t left = begin, right = middle;
      for (int64_t i = begin; i < end; ++i) {
        bool take_left = left < middle && (right >= end || compare(context, order[left], order[right]) <= 0);
        scratch[i] = take_left ? order[left++] : order[right++];
      }
    }
    memcpy(order, scratch, (size_t)count * sizeof *order);
  }
}

static int compare_names(const void *context, int32_t a, int32_t b) {
  const weft_tensor_info *infos = context;
  return strcmp(infos[a].name, infos[b].name);
}

weft_status weft_index_names(weft_tensor_file *file) {
  int64_t bytes = file->count * (int64_t)sizeof(int32_t);
  file->by_name = weft_allocate(&file->allocator, bytes);
  int32_t *scratch = weft_allocate(&file->allocator, bytes);
  if (!file->by_name || !scratch) {
    weft_release(&file->allocator, scratch, bytes);
    return weft_no_memory(file);
  }
  for (int64_t i = 0; i < file->count; ++i) file->by_name[i] = (int32_t)i;
  weft_sort_indices(file->by_name, scratch, file->count, compare_names, file->infos);
  weft_release(&file->allocator, scratch, bytes);
  for (int64_t i = 1; i < file->count; ++i) {
    const weft_tensor_info *a = &file->infos[file->by_name[i - 1]], *b = &file->infos[file->by_name[i]];
    if (!strcmp(a->name, b->name))
      return weft_fail(&file->error, WEFT_ERR_FORMAT, a->part == b->part ? "tensor '%s': appears twice" : "tensor '%s': is in two files",
                       weft_quote(a->name).text);
  }
  return WEFT_OK;
}

/* ---- Opening ---------------------------------------------------------------------------------------------------- */

weft_status weft_resolve_limits(const weft_tensor_limits *given, weft_tensor_limits *out, weft_error *error) {
  static const weft_tensor_limits none = {0};
  const weft_tensor_limits *in = given ? given : &none;
  const struct {
    const char *name;
    int64_t value, normal, most;
    int64_t *place;
  } rows[] = {
      {"header_bytes", in->header_bytes, 100000000, INT64_MAX, &out->header_bytes}, {"tensors", in->tensors, 1000000, INT32_MAX, &out->tensors},
      {"name_bytes", in->name_bytes, 1024, INT64_MAX, &out->name_bytes},            {"elements", in->elements, (int64_t)1 << 40, (int64_t)1 << 56, &out->elements},
      {"metadata", in->metadata, 1000000, INT64_MAX, &out->metadata},               {"shards", in->shards, 10000, INT32_MAX, &out->shards},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
    if (rows[i].value < 0 || rows[i].value > rows[i].most)
      return weft_fail(error, WEFT_ERR_ARGUMENT, "limit %s: expected 0..%lld but got %lld", rows[i].name, (long long)rows[i].most, (long long)rows[i].value);
    *rows[i].place = rows[i].value ? rows[i].value : rows[i].normal;
  }
  return WEFT_OK;
}

/* NULL: no memory. The status says whether the options are fine. */
static weft_tensor_file *create(const weft_tensor_options *options, weft_status *status) {
  *status = WEFT_ERR_MEMORY;
  weft_allocator allocator = weft_allocator_or_default(options ? options->allocator : NULL);
  weft_tensor_file *file = weft_allocate(&allocator, sizeof *file);
  if (!file) return NULL;
  memset(file, 0, sizeof *file);
  file->magic = FILE_MAGIC;
  file->allocator = allocator;
  file->files = options && options->files ? options->files : weft_system_files();
  *status = weft_resolve_limits(options ? options->limits : NULL, &file->limits, &file->error);
  return file;
}

static weft_status finish(weft_tensor_file *file, weft_status status) {
  file->complete = status == WEFT_OK;
  return status;
}

static bool ends_with(const char *text, const char *end) {
  size_t a = strlen(text), b = strlen(end);
  return a >= b && !strcmp(text + a - b, end);
}

weft_status weft_tensor_file_open(const char *path, const weft_tensor_options *options, weft_tensor_file **out_file) {
  if (!out_file) return WEFT_ERR_ARGUMENT;
  weft_status status;
  weft_tensor_file *file = *out_file = create(options, &status);
  if (status) return status;
  if (!path) return weft_fail(&file->error, WEFT_ERR_ARGUMENT, "expected a path");
  if (ends_with(path, ".json")) {
    status = weft_open_shards(file, path);
  } else {
    int32_t part;
    status = weft_open_part(file, NULL, path, &part);
    if (!status) status = ends_with(path, ".npy") ? weft_read_npy(file, part) : weft_read_safetensors(file, part);
    if (!status) status = weft_index_names(file);
  }
  return finish(file, status);
}

weft_status weft_tensor_file_open_list(const char *const *paths, int64_t count, const weft_tensor_options *options,
                                       weft_tensor_file **out_file) {
  if (!out_file) return WEFT_ERR_ARGUMENT;
  weft_status status;
  weft_tensor_file *file = *out_file = create(options, &status);
  if (status) return status;
  if (!paths || count < 1) return weft_fail(&file->error, WEFT_ERR_ARGUMENT, "expected at least one path");
  if (count > file->limits.shards) return weft_fail(&file->error, WEFT_ERR_LIMIT, "expected at most %lld files", (long long)file->limits.shards);
  for (int64_t i = 0; i < count; ++i) {
    if (!paths[i]) return weft_fail(&file->error, WEFT_ERR_ARGUMENT, "expected a path");
    int32_t part;
    status = weft_open_part(file, NULL, paths[i], &part);
    if (!status) status = weft_read_safetensors(file, part);
    if (status) {
      if (count > 1) weft_error_prefix(&file->error, weft_quote(paths[i]).text);
      return status;
    }
  }
  return finish(file, weft_index_names(file));
}

weft_status weft_tensor_file_open_memory(const void *data, size_t bytes, const weft_tensor_options *options,
                                         weft_tensor_file **out_file) {
  if (!out_file) return WEFT_ERR_ARGUMENT;
  weft_status status;
  weft_tensor_file *file = *out_file = create(options, &status);
  if (status) return status;
  if (!data && bytes) return weft_fail(&file->error, WEFT_ERR_ARGUMENT, "expected data");
  int32_t part = 0;
  if ((status = append_part(file, &part)) != WEFT_OK) return status;
  file->parts[part].memory = bytes ? data : (const unsigned char *)"";
  file->parts[part].size = (int64_t)bytes;
  /* As a safetensors header length, .npy's first bytes are larger than any file. */
  bool npy = bytes >= 6 && !memcmp(data, "\x93NUMPY", 6);
  status = npy ? weft_read_npy(file, part) : weft_read_safetensors(file, part);
  return finish(file, status ? status : weft_index_names(file));
}

void weft_tensor_file_close(weft_tensor_file *file) {
  if (!file || file->magic != FILE_MAGIC) return;
  file->magic = 0;
  weft_allocator allocator = file->allocator;
  for (int32_t i = 0; i < file->part_count; ++i) {
    if (file->parts[i].file >= 0) file->files->close(file->files->user, file->parts[i].file);
    weft_release(&allocator, file->parts[i].header, file->parts[i].header_bytes);
  }
  weft_release(&allocator, file->parts, file->part_capacity * (int64_t)sizeof *file->parts);
  weft_release(&allocator, file->infos, file->capacity * (int64_t)sizeof *file->infos);
  weft_release(&allocator, file->by_name, file->count * (int64_t)sizeof *file->by_name);
  weft_release(&allocator, file->metadata, file->metadata_capacity * (int64_t)sizeof *file->metadata);
  weft_release(&allocator, file, sizeof *file);
}

/* ---- Asking ----------------------------------------------------------------------------------------------------- */

const char *weft_tensor_file_error(const weft_tensor_file *file) {
  return !file || file->magic != FILE_MAGIC ? "out of memory" : file->error.text;
}

int64_t weft_tensor_file_count(const weft_tensor_file *file) {
  return file && file->magic == FILE_MAGIC && file->complete ? file->count : 0;
}

const weft_tensor_info *weft_tensor_file_at(const weft_tensor_file *file, int64_t index) {
  return index >= 0 && index < weft_tensor_file_count(file) ? &file->infos[index] : NULL;
}

int64_t weft_find_tensor(const weft_tensor_file *file, const char *name) {
  int64_t low = 0, high = file->count;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    int order = strcmp(file->infos[file->by_name[middle]].name, name);
    if (order == 0) return file->by_name[middle];
    if (order < 0) low = middle + 1;
    else high = middle;
  }
  return -1;
}

int64_t weft_tensor_file_find(const weft_tensor_file *file, const char *name) {
  return name && weft_tensor_file_count(file) ? weft_find_tensor(file, name) : -1;
}

weft_status weft_tensor_file_read(weft_tensor_file *file, int64_t index, void *buffer, size_t bytes) {
  if (!file || file->magic != FILE_MAGIC) return WEFT_ERR_ARGUMENT;
  const weft_tensor_info *info = weft_tensor_file_at(file, index);
  if (!info) return weft_fail(&file->error, WEFT_ERR_ARGUMENT, "expected the index of a tensor");
  const weft_quoted name = weft_quote(info->name);
  if (info->dtype < 0)
    return weft_fail(&file->error, WEFT_ERR_UNSUPPORTED, "tensor '%s': type %s is not supported", name.text, info->dtype_name);
  if (bytes != (uint64_t)info->bytes || (!buffer && bytes))
    return weft_fail(&file->error, WEFT_ERR_ARGUMENT, "tensor '%s': expected room for %lld bytes but got %zu", name.text,
                     (long long)info->bytes, bytes);
  weft_status status = weft_read_part(file, info->part, buffer, info->bytes, info->offset);
  if (status) {
    char prefix[200] = "tensor '";
    strcat(strcat(prefix, name.text), "'");
    weft_error_prefix(&file->error, prefix);
    return status;
  }
  if (info->dtype == WEFT_BOOL) {
    const unsigned char *values = buffer;
    unsigned char bad = 0;
    for (int64_t i = 0; i < info->bytes; ++i) bad |= values[i] > 1;
    if (bad) return weft_fail(&file->error, WEFT_ERR_FORMAT, "tensor '%s': expected bools of 0 or 1 but got another byte", name.text);
  }
  return WEFT_OK;
}

const char *weft_tensor_file_metadata(const weft_tensor_file *file, const char *key) {
  if (!file || file->magic != FILE_MAGIC || !file->complete || !key) return NULL;
  for (int64_t i = 0; i < file->metadata_count; ++i)
    if (!strcmp(file->metadata[i].key, key)) return file->metadata[i].value;
  return NULL;
}
