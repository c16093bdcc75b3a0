/* Sizes of calls: which are allowed, and how many elements they make. */
#include "session.h"

#include "checked.h"
#include "memory.h"

int64_t weft_lowest_dim(const weft_dim_desc *dim) {
  int64_t multiple = dim->multiple_of > 1 ? dim->multiple_of : 1;
  return (dim->min + multiple - 1) / multiple * multiple;
}

weft_status weft_check_max_dims(const weft_model *model, const int64_t *max_dims, int64_t *out_dims, weft_error *error) {
  const weft_model_desc *desc = model->desc;
  if (desc->dims && !max_dims) return weft_fail(error, WEFT_ERR_ARGUMENT, "%s: expected the largest sizes", desc->name);
  for (int32_t d = 0; d < desc->dims; ++d) {
    const weft_dim_desc *dim = &desc->dim[d];
    if (max_dims[d] < dim->min || max_dims[d] > dim->max)
      return weft_fail(error, WEFT_ERR_DIM, "%s: %s is %lld, expected %lld..%lld", desc->name, dim->name, (long long)max_dims[d],
                       (long long)dim->min, (long long)dim->max);
    int64_t multiple = dim->multiple_of > 1 ? dim->multiple_of : 1;
    out_dims[d] = max_dims[d] / multiple * multiple;
    if (out_dims[d] < weft_lowest_dim(dim))
      return weft_fail(error, WEFT_ERR_DIM, "%s: %s is %lld, expected at least %lld", desc->name, dim->name, (long long)max_dims[d], (long long)weft_lowest_dim(dim));
  }
  return WEFT_OK;
}

weft_status weft_resolve_dims(const weft_model *model, int32_t index, const int64_t *dims, const int64_t *limits, int64_t *out_dims,
                              weft_error *error) {
  const weft_model_desc *desc = model->desc;
  const weft_entry_desc *entry = &desc->entry[index];
  for (int32_t d = 0; d < desc->dims; ++d) {
    const weft_dim_desc *dim = &desc->dim[d];
    int64_t fixed = entry->fixed_dims ? entry->fixed_dims[d] : 0, value = dims[d];
    if (fixed) {
      if (value != 0 && value != fixed)
        return weft_fail(error, WEFT_ERR_DIM, "%s_%s: %s is %lld, expected %lld", desc->name, entry->name, dim->name, (long long)value, (long long)fixed);
      out_dims[d] = fixed;
      continue;
    }
    /* No input or output shows it, but values inside may have it. */
    if (!value && !model->mentioned[(int64_t)index * desc->dims + d]) {
      out_dims[d] = weft_lowest_dim(dim);
      continue;
    }
    if (value < dim->min || value > dim->max)
      return weft_fail(error, WEFT_ERR_DIM, "%s_%s: %s is %lld, expected %lld..%lld", desc->name, entry->name, dim->name, (long long)value,
                       (long long)dim->min, (long long)dim->max);
    if (limits && value > limits[d])
      return weft_fail(error, WEFT_ERR_DIM, "%s_%s: %s is %lld, expected at most %lld, for which the session was made", desc->name, entry->name,
                       dim->name, (long long)value, (long long)limits[d]);
    if (dim->multiple_of > 1 && value % dim->multiple_of)
      return weft_fail(error, WEFT_ERR_DIM, "%s_%s: %s is %lld, expected a multiple of %lld", desc->name, entry->name, dim->name, (long long)value,
                       (long long)dim->multiple_of);
    out_dims[d] = value;
  }
  return WEFT_OK;
}

int64_t weft_entry_axes(const weft_model_desc *desc, const weft_entry_desc *entry) {
  int64_t axes = 0;
  for (int32_t i = 0; i < entry->inputs; ++i) axes += desc->input[entry->input_index[i]].rank;
  for (int32_t i = 0; i < entry->outputs; ++i) axes += entry->output[i].rank;
  return axes;
}

bool weft_count_elements(const weft_model_desc *desc, const weft_entry_desc *entry, const int64_t *sizes, int64_t *elements) {
  for (int32_t i = 0; i < entry->inputs + entry->outputs; ++i) {
    const weft_tensor_desc *tensor = i < entry->inputs ? &desc->input[entry->input_index[i]] : &entry->output[i - entry->inputs];
    int64_t bytes;
    if (!weft_ck_product(sizes, tensor->rank, &elements[i]) || !weft_ck_mul(elements[i], 8, &bytes)) return false;
    sizes += tensor->rank;
  }
  return true;
}

int64_t weft_entry_arena_bytes(const weft_model *model, int32_t index, const int64_t *dims) {
  enum { MOST_DIMS = 64, MOST_BUFFERS = 256 }; /* what fits on a small stack */
  if (!weft_model_is_open(model) || index < 0 || index >= model->desc->entries) return -1;
  const weft_entry_desc *entry = &model->desc->entry[index];
  int64_t resolved[MOST_DIMS], offsets[MOST_BUFFERS + 2];
  weft_error error;
  if (model->desc->dims > MOST_DIMS || (model->desc->dims && !dims) || weft_resolve_dims(model, index, dims, NULL, resolved, &error)) return -1;
  if (entry->buffers <= MOST_BUFFERS) {
    model->variant->plan[index](resolved, offsets);
    return offsets[entry->buffers] < 0 ? -1 : offsets[entry->buffers];
  }
  int64_t bytes = ((int64_t)entry->buffers + 2) * (int64_t)sizeof(int64_t);
  int64_t *large = weft_allocate(&model->allocator, bytes);
  if (!large) return -1;
  model->variant->plan[index](resolved, large);
  int64_t arena = large[entry->buffers];
  weft_release(&model->allocator, large, bytes);
  return arena < 0 ? -1 : arena;
}
