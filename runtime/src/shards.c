/* The index of a sharded model: {"metadata": …, "weight_map": {"tensor": "file"}}. The files must be plain names beside
 * the index, whatever the index says. */
#include "json.h"
#include "memory.h"
#include "tensor_file.h"

#include <string.h>

typedef struct mapping {
  const char *tensor, *file;
} mapping;

typedef struct index_text {
  weft_tensor_file *file;
  char *text;
  int64_t bytes;
  mapping *maps;
  int64_t count, map_bytes;
} index_text;

/* Letters, digits and punctuation, no separators, not hidden, not a folder. */
static bool is_plain_name(const char *name) {
  size_t length = strlen(name);
  if (length == 0 || length > 255 || name[0] == '.') return false;
  for (const char *c = name; *c; ++c)
    if (*c == '/' || *c == '\\' || (unsigned char)*c < 0x20 || *c == 0x7f) return false;
  return true;
}

static weft_status syntax_error(index_text *index, weft_json *json) {
  return weft_fail(&index->file->error, WEFT_ERR_FORMAT, "byte %lld: %s", (long long)(json->at - json->begin),
                   json->failure ? json->failure : "expected another value");
}

static weft_status scan_map(index_text *index, weft_json *json) {
  if (!weft_json_take(json, '{')) return syntax_error(index, json);
  bool more = weft_json_peek(json) != '}';
  if (!more) weft_json_take(json, '}');
  while (more) {
    char *tensor, *file;
    size_t length;
    if (!weft_json_string(json, &tensor, &length) || !weft_json_take(json, ':') || !weft_json_string(json, &file, &length) ||
        !weft_json_next(json, '}', &more))
      return syntax_error(index, json);
    if (!is_plain_name(file))
      return weft_fail(&index->file->error, WEFT_ERR_FORMAT, "tensor '%s': expected a plain file name beside the index but got '%s'",
                       weft_quote(tensor).text, weft_quote(file).text);
    if (index->count == index->file->limits.tensors)
      return weft_fail(&index->file->error, WEFT_ERR_LIMIT, "expected at most %lld tensors", (long long)index->count);
    index->maps[index->count].tensor = tensor;
    index->maps[index->count++].file = file;
  }
  return WEFT_OK;
}

static weft_status scan_index(index_text *index) {
  weft_json json;
  weft_json_begin(&json, index->text, (size_t)index->bytes);
  if (!weft_json_take(&json, '{')) return syntax_error(index, &json);
  bool more = weft_json_peek(&json) != '}', found = false;
  if (!more) weft_json_take(&json, '}');
  while (more) {
    char *key;
    size_t length;
    if (!weft_json_string(&json, &key, &length) || !weft_json_take(&json, ':')) return syntax_error(index, &json);
    if (!strcmp(key, "weight_map")) {
      if (found) return weft_fail(&index->file->error, WEFT_ERR_FORMAT, "key 'weight_map' appears twice");
      found = true;
      weft_status status = scan_map(index, &json);
      if (status) return status;
    } else if (!weft_json_skip(&json)) {
      return syntax_error(index, &json);
    }
    if (!weft_json_next(&json, '}', &more)) return syntax_error(index, &json);
  }
  if (!weft_json_finish(&json)) return syntax_error(index, &json);
  return found ? WEFT_OK : weft_fail(&index->file->error, WEFT_ERR_FORMAT, "expected an index of shards but there is no 'weight_map'");
}

static int compare_files(const void *context, int32_t a, int32_t b) {
  const mapping *maps = context;
  return strcmp(maps[a].file, maps[b].file);
}

static weft_status open_shard(weft_tensor_file *file, const char *directory, const char *name) {
  int32_t part;
  weft_status status = weft_open_part(file, directory, name, &part);
  if (!status) status = weft_read_safetensors(file, part);
  if (status) {
    char prefix[200] = "shard '";
    strcat(strcat(prefix, weft_quote(name).text), "'");
    weft_error_prefix(&file->error, prefix);
  }
  return status;
}

/* Opens each file once, in the order of their names. */
static weft_status open_all(index_text *index, const char *directory, const int32_t *order) {
  weft_tensor_file *file = index->file;
  int64_t opened = 0;
  for (int64_t i = 0; i < index->count; ++i) {
    const char *name = index->maps[order[i]].file;
    if (i && !strcmp(name, index->maps[order[i - 1]].file)) continue;
    if (opened++ == file->limits.shards) return weft_fail(&file->error, WEFT_ERR_LIMIT, "expected at most %lld shards", (long long)file->limits.shards);
    weft_status status = open_shard(file, directory, name);
    if (status) return status;
  }
  return weft_index_names(file);
}

/* Every tensor is where the index says, and is named once. Shards were opened in the order of `order`. */
static weft_status check_places(index_text *index, const int32_t *order, int32_t first_part, unsigned char *seen) {
  weft_tensor_file *file = index->file;
  int32_t part = first_part - 1;
  for (int64_t i = 0; i < index->count; ++i) {
    const mapping *map = &index->maps[order[i]];
    if (!i || strcmp(map->file, index->maps[order[i - 1]].file)) ++part;
    int64_t found = weft_find_tensor(file, map->tensor);
    if (found < 0 || file->infos[found].part != part)
      return weft_fail(&file->error, WEFT_ERR_MISSING, "tensor '%s': is not in shard '%s' as the index says",
                       weft_quote(map->tensor).text, weft_quote(map->file).text);
    if (seen[found]++) return weft_fail(&file->error, WEFT_ERR_FORMAT, "tensor '%s': appears twice in the index", weft_quote(map->tensor).text);
  }
  return WEFT_OK;
}

static weft_status open_from(index_text *index, const char *path) {
  weft_tensor_file *file = index->file;
  char directory[4096];
  const char *slash = strrchr(path, '/');
  size_t length = slash ? (size_t)(slash - path) : 0;
  if (length + 2 > sizeof directory) return weft_fail(&file->error, WEFT_ERR_IO, "the path is too long");
  memcpy(directory, path, length);
  directory[length] = 0;
  if (!slash) strcpy(directory, ".");
  else if (!length) strcpy(directory, "/");

  int64_t bytes = index->count * (int64_t)(2 * sizeof(int32_t));
  int32_t *order = weft_allocate(&file->allocator, bytes), first_part = file->part_count;
  if (!order) return weft_no_memory(file);
  for (int64_t i = 0; i < index->count; ++i) order[i] = (int32_t)i;
  weft_sort_indices(order, order + index->count, index->count, compare_files, index->maps);
  weft_status status = open_all(index, directory, order);
  if (!status) {
    int64_t tensors = file->count;
    unsigned char *seen = weft_allocate(&file->allocator, tensors);
    if (seen) {
      memset(seen, 0, (size_t)tensors);
      status = check_places(index, order, first_part, seen);
      weft_release(&file->allocator, seen, tensors);
    } else {
      status = weft_no_memory(file);
    }
  }
  weft_release(&file->allocator, order, bytes);
  return status;
}

weft_status weft_open_shards(weft_tensor_file *file, const char *path) {
  int32_t part;
  weft_status status = weft_open_part(file, NULL, path, &part);
  if (status) return status;
  index_text index = {file, NULL, file->parts[part].size, NULL, 0, 0};
  if (index.bytes > file->limits.header_bytes)
    return weft_fail(&file->error, WEFT_ERR_LIMIT, "expected an index of at most %lld bytes but got %lld", (long long)file->limits.header_bytes, (long long)index.bytes);
  index.text = weft_allocate(&file->allocator, index.bytes);
  if (!index.text) return weft_no_memory(file);
  status = weft_read_part(file, part, index.text, index.bytes, 0);
  if (!status) {
    /* Every mapping needs a colon: their number bounds the table. */
    int64_t colons = 0;
    for (int64_t i = 0; i < index.bytes; ++i) colons += index.text[i] == ':';
    index.map_bytes = (colons < file->limits.tensors ? colons : file->limits.tensors) * (int64_t)sizeof(mapping);
    index.maps = weft_allocate(&file->allocator, index.map_bytes);
    status = index.maps ? scan_index(&index) : weft_no_memory(file);
  }
  if (!status) status = open_from(&index, path);
  weft_release(&file->allocator, index.maps, index.map_bytes);
  weft_release(&file->allocator, index.text, index.bytes);
  return status;
}
