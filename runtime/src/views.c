/* Views: the form in which kernels read parameters, and the block of memory that holds it. */
#include "checked.h"
#include "memory.h"
#include "model.h"

#include <string.h>

static const weft_view_source *source_of(const weft_model *model, const weft_view_desc *view, int32_t i) {
  return &model->variant->sources[view->first_source + i];
}

int64_t weft_param_bytes(const weft_model *model, int32_t param) {
  return model->params[param].elements * (int64_t)weft_dtype_size(model->desc->param[param].dtype);
}

bool weft_view_bytes(const weft_view_desc *view, int64_t *out) {
  int64_t elements = view->n, size = (int64_t)weft_dtype_size(view->dtype);
  if (view->kind == WEFT_VIEW_PANELS) {
    if (view->nr <= 0 || view->n < 0 || view->n > INT64_MAX - view->nr) return false;
    if (!weft_ck_mul((view->n + view->nr - 1) / view->nr * view->nr, view->k, &elements)) return false;
  }
  return size && weft_ck_mul(elements, size, out) && weft_ck_align(*out, WEFT_ALIGNMENT, out);
}

bool weft_view_is_param(const weft_model *model, const weft_view_desc *view) {
  if (view->kind != WEFT_VIEW_PLAIN || view->sources != 1) return false;
  const weft_view_source *source = source_of(model, view, 0);
  return source->offset == 0 && source->n == model->params[source->param].elements &&
         view->dtype == model->desc->param[source->param].dtype;
}

/* The last element that a source reads is inside its parameter, and so are all others. */
static bool source_fits(const weft_model *model, const weft_view_desc *view, const weft_view_source *source) {
  if (source->param < 0 || source->param >= model->desc->params || source->offset < 0 || source->n < 0 ||
      source->stride_k < 0 || source->stride_n < 0)
    return false;
  int64_t elements = model->params[source->param].elements, last = source->offset, step;
  if (view->kind != WEFT_VIEW_PANELS) return weft_ck_add(source->offset, source->n, &last) && last <= elements;
  if (view->k == 0 || source->n == 0) return true;
  return weft_ck_mul(view->k - 1, source->stride_k, &step) && weft_ck_add(last, step, &last) &&
         weft_ck_mul(source->n - 1, source->stride_n, &step) && weft_ck_add(last, step, &last) && last < elements;
}

weft_status weft_check_views(weft_model *model) {
  const weft_variant_desc *variant = model->variant;
  for (int32_t v = 0; v < variant->views; ++v) {
    const weft_view_desc *view = &variant->view[v];
    int64_t columns = 0, bytes;
    bool good = view->kind >= WEFT_VIEW_PLAIN && view->kind <= WEFT_VIEW_COPY && weft_view_bytes(view, &bytes);
    for (int32_t i = 0; good && i < view->sources; ++i)
      good = source_fits(model, view, source_of(model, view, i)) && weft_ck_add(columns, source_of(model, view, i)->n, &columns);
    if (!good || columns != view->n)
      return weft_fail(&model->error, WEFT_ERR_ABI, "%s: the object is damaged: view %d does not fit its parameters", model->desc->name, v);
  }
  return WEFT_OK;
}

static bool is_trained(const weft_model *model, int32_t p) {
  const weft_train_desc *train = model->desc->train;
  for (int32_t i = 0; train && i < train->tensors; ++i)
    if (train->tensor[i].param == p) return true;
  return false;
}

/* What is trained stands first, as the update's kernels want it, with zeros between tensors. */
static bool place_trained(weft_model *model, char *block, int64_t *at) {
  const weft_train_desc *train = model->desc->train;
  int64_t end = 0, begin, elements;
  if (!train) return true;
  for (int32_t i = 0; i < train->tensors; ++i) {
    weft_param_state *param = &model->params[train->tensor[i].param];
    if (!weft_train_place(model, i, end, &begin)) return false;
    if (block) {
      param->data = block + begin * (int64_t)sizeof(float);
      memset(block + end * (int64_t)sizeof(float), 0, (size_t)(begin - end) * sizeof(float));
    }
    if (!weft_ck_add(begin, param->elements, &end)) return false;
  }
  if (!weft_train_elements(model, &elements) || !weft_ck_mul(elements, sizeof(float), at)) return false;
  if (block) memset(block + end * (int64_t)sizeof(float), 0, (size_t)(elements - end) * sizeof(float));
  return true;
}

weft_status weft_allocate_weights(weft_model *model) {
  if (model->weights) return WEFT_OK;
  const weft_variant_desc *variant = model->variant;
  /* Twice the same walk: first to measure, then to place. */
  for (int pass = 0; pass < 2; ++pass) {
    int64_t at = 0, bytes = 0;
    char *block = model->weights;
    bool good = place_trained(model, block, &at);
    for (int32_t p = 0; p < model->desc->params; ++p) {
      if (block ? model->params[p].data != NULL : is_trained(model, p)) continue;
      bool keep = model->options.keep_parameters || model->desc->train;
      for (int32_t u = 0; u < model->params[p].uses && !keep; ++u)
        keep = weft_view_is_param(model, &variant->view[model->uses[model->params[p].first_use + u].view]);
      if (!keep) continue;
      if (block) model->params[p].data = block + at;
      good = weft_ck_align(weft_param_bytes(model, p), WEFT_ALIGNMENT, &bytes) && weft_ck_add(at, bytes, &at) && good;
    }
    for (int32_t v = 0; v < variant->views; ++v) {
      const weft_view_desc *view = &variant->view[v];
      if (weft_view_is_param(model, view)) {
        if (block) model->views[v] = model->params[source_of(model, view, 0)->param].data;
        continue;
      }
      weft_view_bytes(view, &bytes); /* possible, as opening checked */
      if (block) {
        model->views[v] = block + at;
        /* Columns past n stay zero for ever: only the last panel has them. */
        if (view->kind == WEFT_VIEW_PANELS && view->n % view->nr) {
          int64_t panel = view->k * view->nr * (int64_t)weft_dtype_size(view->dtype);
          memset(block + at + view->n / view->nr * panel, 0, (size_t)panel);
        }
      }
      good = weft_ck_add(at, bytes, &at) && good;
    }
    if (!good) return weft_fail(&model->error, WEFT_ERR_LIMIT, "%s: the weights are too large", model->desc->name);
    if (pass) break;
    model->weights = weft_allocate(&model->allocator, at);
    if (!model->weights) return weft_fail(&model->error, WEFT_ERR_MEMORY, "%s: out of memory for %lld bytes of weights", model->desc->name, (long long)at);
    model->weights_bytes = at;
  }
  return WEFT_OK;
}
