/* Weights into a model: from files, from memory, by initialisation; and out again. Everything that can be checked is
 * checked for all parameters before the first one is changed. */
#include "fill.h"
#include "memory.h"
#include "pack.h"

#include <stdio.h>
#include <string.h>

/* A list of origins, one for each parameter, all of them NONE. NULL, with a text: no memory. */
static weft_origin *make_origins(weft_model *model) {
  const int64_t bytes = model->desc->params * (int64_t)sizeof(weft_origin);
  weft_origin *origins = weft_allocate(&model->allocator, bytes);
  if (origins) memset(origins, 0, (size_t)bytes);
  else weft_fail(&model->error, WEFT_ERR_MEMORY, "%s: out of memory", model->desc->name);
  return origins;
}

static void release_origins(weft_model *model, weft_origin *origins) {
  weft_release(&model->allocator, origins, model->desc->params * (int64_t)sizeof(weft_origin));
}

/* ---- From files ------------------------------------------------------------------------------------------------- */

/* The shape that the file must hold. */
static void shape_in_file(const weft_param_desc *param, int64_t *shape) {
  for (int32_t i = 0; i < param->rank; ++i) shape[i] = param->shape[i];
  if (param->transpose) {
    shape[0] = param->shape[1];
    shape[1] = param->shape[0];
  }
}

static bool is_float(int32_t dtype) { return dtype >= WEFT_F32 && dtype <= WEFT_F64; }

static bool converts(int32_t from, int32_t to) { return from == to || (is_float(from) && is_float(to)); }

static bool is_asked(const weft_model_desc *desc, const char *tensor) {
  for (int32_t p = 0; p < desc->params; ++p)
    if (!strcmp(desc->param[p].file_name, tensor)) return true;
  return false;
}

typedef struct unused_names {
  const weft_tensor_file *file;
  const weft_model_desc *desc;
} unused_names;

/* A name that is meant must be one that no other parameter has; those are near to nothing. */
static const char *unused_at(const void *context, int64_t index) {
  const unused_names *names = context;
  const char *name = weft_tensor_file_at(names->file, index)->name;
  return is_asked(names->desc, name) ? "" : name;
}

/* The first tensor of the shape that a parameter would take, if only one among those not asked for has it. */
static const char *same_shape(const weft_tensor_file *file, const weft_model_desc *desc, const weft_param_desc *param) {
  int64_t shape[WEFT_MAX_RANK];
  shape_in_file(param, shape);
  const char *found = NULL;
  for (int64_t i = 0; i < weft_tensor_file_count(file); ++i) {
    const weft_tensor_info *info = weft_tensor_file_at(file, i);
    bool same = info->rank == param->rank;
    for (int32_t a = 0; same && a < info->rank; ++a) same = info->shape[a] == shape[a];
    if (!same || is_asked(desc, info->name)) continue;
    if (found) return NULL;
    found = info->name;
  }
  return found;
}

static int32_t missing_after(const weft_model_desc *desc, const weft_tensor_file *file, int32_t p) {
  int32_t count = 0;
  while (++p < desc->params) count += !desc->param[p].may_be_missing && weft_tensor_file_find(file, desc->param[p].file_name) < 0;
  return count;
}

static weft_status check_match(weft_model *model, const weft_tensor_file *file, int32_t p, int64_t index) {
  const weft_param_desc *param = &model->desc->param[p];
  const weft_quoted name = weft_quote(param->file_name);
  if (index < 0) {
    const unused_names names = {file, model->desc};
    const char *near = weft_closest(param->file_name, unused_at, &names, weft_tensor_file_count(file));
    if (!near) near = same_shape(file, model->desc, param);
    const int32_t more = missing_after(model->desc, file, p);
    char also[48] = "";
    if (more) snprintf(also, sizeof also, ", as %s %d more of %d", more == 1 ? "is" : "are", more, model->desc->params);
    return near ? weft_fail(&model->error, WEFT_ERR_MISSING, "tensor '%s': is missing%s; did you mean '%s'?", name.text, also, weft_quote(near).text)
                : weft_fail(&model->error, WEFT_ERR_MISSING, "tensor '%s': is missing%s", name.text, also);
  }
  const weft_tensor_info *info = weft_tensor_file_at(file, index);
  int64_t shape[WEFT_MAX_RANK];
  shape_in_file(param, shape);
  bool same = info->rank == param->rank;
  for (int32_t i = 0; same && i < info->rank; ++i) same = info->shape[i] == shape[i];
  if (!same) {
    bool turned = param->rank == 2 && info->rank == 2 && info->shape[0] == shape[1] && info->shape[1] == shape[0];
    return weft_fail(&model->error, WEFT_ERR_FORMAT, "tensor '%s': expected shape %s but got %s%s", name.text,
                     weft_format_shape(shape, param->rank).text, weft_format_shape(info->shape, info->rank).text,
                     !turned ? "" : param->transpose ? " (remove it from 'weights.transpose'?)" : " (add it to 'weights.transpose'?)");
  }
  if (info->dtype < 0 || !converts(info->dtype, param->dtype))
    return weft_fail(&model->error, info->dtype < 0 ? WEFT_ERR_UNSUPPORTED : WEFT_ERR_FORMAT, "tensor '%s': expected %s but got %s", name.text,
                     weft_dtype_name(param->dtype), info->dtype_name);
  return WEFT_OK;
}

/* Says which tensors of the file were not asked for; without memory for a mark of each, nothing. */
static void log_unused(weft_model *model, const weft_tensor_file *file) {
  const int64_t count = weft_tensor_file_count(file);
  char *asked = model->options.log && count ? weft_allocate(&model->allocator, count) : NULL;
  if (!asked) return;
  memset(asked, 0, (size_t)count);
  int64_t unused = count, first = 0;
  for (int32_t p = 0; p < model->desc->params; ++p) {
    const int64_t index = weft_tensor_file_find(file, model->desc->param[p].file_name);
    unused -= index >= 0 && !asked[index]; /* two parameters may read one tensor */
    if (index >= 0) asked[index] = 1;
  }
  while (first < count && asked[first]) ++first;
  weft_release(&model->allocator, asked, count);
  if (unused > 0)
    weft_log(model->options.log, model->options.log_user, WEFT_LOG_INFO, "%lld tensors of the file are not used, '%s' first", (long long)unused,
             weft_quote(weft_tensor_file_at(file, first)->name).text);
}

weft_status weft_load_tensors(weft_model *model, weft_tensor_file *file) {
  const weft_model_desc *desc = model->desc;
  weft_status status = WEFT_OK;
  weft_origin *origins = make_origins(model);
  if (!origins) return WEFT_ERR_MEMORY;
  for (int32_t p = 0; !status && p < desc->params; ++p) {
    const weft_param_desc *param = &desc->param[p];
    int64_t index = weft_tensor_file_find(file, param->file_name);
    origins[p].kind = index >= 0 ? WEFT_ORIGIN_FILE : WEFT_ORIGIN_DRAWN;
    origins[p].tensor = index;
    if (index >= 0 || !param->may_be_missing) status = check_match(model, file, p, index);
  }
  if (!status) status = weft_fill(model, file, origins, model->options.init_seed);
  release_origins(model, origins);
  if (!status) log_unused(model, file);
  return status;
}

weft_status weft_model_load_tensors(weft_model *model, weft_tensor_file *file) {
  weft_status status = weft_begin_change(model);
  if (status) return status;
  return file ? weft_load_tensors(model, file) : weft_fail(&model->error, WEFT_ERR_ARGUMENT, "expected an open file");
}

/* Loads from a file that was (or was not) opened, and puts the path in front of a text. */
static weft_status load_opened(weft_model *model, weft_status status, weft_tensor_file *file, const char *path) {
  if (status) {
    weft_fail(&model->error, status, "%s", weft_tensor_file_error(file));
  } else {
    status = weft_model_load_tensors(model, file);
  }
  weft_tensor_file_close(file);
  if (status && path) weft_error_prefix(&model->error, weft_quote(path).text);
  return status;
}

static weft_tensor_options file_options(const weft_model *model) {
  weft_tensor_options options = {&model->allocator, model->options.files, model->options.limits};
  return options;
}

weft_status weft_model_load(weft_model *model, const char *path) {
  weft_status status = weft_begin_change(model);
  if (status) return status;
  if (!path) return weft_fail(&model->error, WEFT_ERR_ARGUMENT, "expected a path");
  weft_tensor_options options = file_options(model);
  weft_tensor_file *file = NULL;
  status = weft_tensor_file_open(path, &options, &file);
  return load_opened(model, status, file, path);
}

weft_status weft_model_load_files(weft_model *model, const char *const *paths, int64_t count) {
  weft_status status = weft_begin_change(model);
  if (status) return status;
  weft_tensor_options options = file_options(model);
  weft_tensor_file *file = NULL;
  status = weft_tensor_file_open_list(paths, count, &options, &file);
  return load_opened(model, status, file, count == 1 && paths ? paths[0] : NULL);
}

weft_status weft_model_load_memory(weft_model *model, const void *data, size_t bytes) {
  weft_status status = weft_begin_change(model);
  if (status) return status;
  if (!data) {
    data = model->desc->embedded;
    bytes = (size_t)model->desc->embedded_bytes;
  }
  if (!data) return weft_fail(&model->error, WEFT_ERR_MISSING, "%s: the object holds no weights", model->desc->name);
  weft_tensor_options options = file_options(model);
  weft_tensor_file *file = NULL;
  status = weft_tensor_file_open_memory(data, bytes, &options, &file);
  return load_opened(model, status, file, NULL);
}

/* ---- Without files ---------------------------------------------------------------------------------------------- */

weft_status weft_model_init(weft_model *model, uint64_t seed) {
  weft_status status = weft_begin_change(model);
  if (status) return status;
  weft_origin *origins = make_origins(model);
  if (!origins) return WEFT_ERR_MEMORY;
  for (int32_t p = 0; p < model->desc->params; ++p) origins[p].kind = WEFT_ORIGIN_DRAWN;
  status = weft_fill(model, NULL, origins, seed);
  release_origins(model, origins);
  return status;
}

weft_status weft_pack_views(weft_model *model) {
  weft_origin *origins = make_origins(model);
  if (!origins) return WEFT_ERR_MEMORY;
  for (int32_t p = 0; p < model->desc->params; ++p) {
    origins[p].kind = model->params[p].data ? WEFT_ORIGIN_MEMORY : WEFT_ORIGIN_NONE;
    origins[p].data = model->params[p].data;
  }
  weft_status status = weft_fill(model, NULL, origins, 0);
  release_origins(model, origins);
  return status;
}

int32_t weft_find_param(const weft_model_desc *desc, const char *name) {
  for (int32_t p = 0; name && p < desc->params; ++p)
    if (!strcmp(desc->param[p].name, name)) return p;
  return -1;
}

static const char *param_name_at(const void *context, int64_t index) { return ((const weft_model_desc *)context)->param[index].name; }

weft_status weft_no_param(weft_error *error, const weft_model_desc *desc, const char *name) {
  if (!name) return weft_fail(error, WEFT_ERR_ARGUMENT, "%s: expected a parameter's name", desc->name);
  const char *near = weft_closest(name, param_name_at, desc, desc->params);
  return near ? weft_fail(error, WEFT_ERR_ARGUMENT, "%s: there is no parameter '%s'; did you mean '%s'?", desc->name, weft_quote(name).text, near)
              : weft_fail(error, WEFT_ERR_ARGUMENT, "%s: there is no parameter '%s'", desc->name, weft_quote(name).text);
}

weft_status weft_model_set(weft_model *model, const char *name, const void *data, size_t bytes) {
  weft_status status = weft_begin_change(model);
  if (status) return status;
  int32_t p = weft_find_param(model->desc, name);
  if (p < 0) return weft_no_param(&model->error, model->desc, name);
  if (bytes != (uint64_t)weft_param_bytes(model, p) || (bytes && !data))
    return weft_fail(&model->error, WEFT_ERR_ARGUMENT, "%s: parameter '%s': expected %lld bytes but got %zu", model->desc->name, name,
                     (long long)weft_param_bytes(model, p), data || !bytes ? bytes : 0);
  weft_origin *origins = make_origins(model);
  if (!origins) return WEFT_ERR_MEMORY;
  origins[p].kind = WEFT_ORIGIN_MEMORY;
  origins[p].data = data;
  status = weft_fill(model, NULL, origins, 0);
  release_origins(model, origins);
  return status;
}

weft_status weft_model_get(const weft_model *model, const char *name, const void **out_data, const weft_param_desc **out_desc) {
  if (!weft_model_is_open(model) || !out_data) return WEFT_ERR_ARGUMENT;
  int32_t p = weft_find_param(model->desc, name);
  if (p < 0 || (!model->options.keep_parameters && !model->desc->train)) return WEFT_ERR_ARGUMENT;
  if (!model->params[p].set) return WEFT_ERR_MISSING;
  *out_data = model->params[p].data;
  if (out_desc) *out_desc = &model->desc->param[p];
  return WEFT_OK;
}

/* ---- Saving ----------------------------------------------------------------------------------------------------- */

weft_status weft_model_save(weft_model *model, const char *path) {
  if (!weft_model_is(model)) return WEFT_ERR_ARGUMENT;
  if (model->opened) return model->opened;
  const weft_model_desc *desc = model->desc;
  if (!model->options.keep_parameters && !desc->train) return weft_fail(&model->error, WEFT_ERR_ARGUMENT, "%s: was opened without keep_parameters", desc->name);
  int64_t turned_bytes = 0, list_bytes = desc->params * (int64_t)sizeof(weft_tensor);
  for (int32_t p = 0; p < desc->params; ++p) {
    if (!model->params[p].set) return weft_fail(&model->error, WEFT_ERR_MISSING, "%s: parameter '%s' has no value", desc->name, desc->param[p].name);
    if (desc->param[p].transpose) turned_bytes += (weft_param_bytes(model, p) + 7) / 8 * 8;
  }
  weft_tensor *tensors = weft_allocate(&model->allocator, list_bytes);
  char *turned = turned_bytes ? weft_allocate(&model->allocator, turned_bytes) : NULL;
  weft_status status = WEFT_OK;
  if (!tensors || (turned_bytes && !turned)) {
    status = weft_fail(&model->error, WEFT_ERR_MEMORY, "%s: out of memory", desc->name);
  } else {
    char *to = turned;
    int64_t count = 0;
    for (int32_t p = 0; p < desc->params; ++p) {
      const weft_param_desc *param = &desc->param[p];
      bool again = false; /* two parameters may read one tensor */
      for (int32_t q = 0; q < p && !again; ++q) again = !strcmp(desc->param[q].file_name, param->file_name);
      if (again) continue;
      weft_tensor *tensor = &tensors[count++];
      memset(tensor, 0, sizeof *tensor);
      tensor->name = param->file_name;
      tensor->dtype = param->dtype;
      tensor->rank = param->rank;
      shape_in_file(param, tensor->shape);
      tensor->data = model->params[p].data;
      if (param->transpose) {
        weft_transpose(to, tensor->data, weft_dtype_size(param->dtype), tensor->shape[0], tensor->shape[1]);
        tensor->data = to;
        to += (weft_param_bytes(model, p) + 7) / 8 * 8;
      }
    }
    static const char *const metadata[] = {"format", "pt"}; /* what other readers of safetensors expect */
    weft_tensor_options options = file_options(model);
    char text[400];
    status = weft_safetensors_write(path, tensors, count, metadata, 1, &options, text, sizeof text);
    if (status) weft_fail(&model->error, status, "%s: %s", path ? weft_quote(path).text : "weights", text);
  }
  weft_release(&model->allocator, turned, turned_bytes);
  weft_release(&model->allocator, tensors, list_bytes);
  return status;
}
