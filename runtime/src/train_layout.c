/* Where trained tensors stand: the order of the descriptor, with gaps so that an output and a group of the optimizer begin
 * where kernels want them. Parameters, gradients and moments share this layout. */
#include "checked.h"
#include "model.h"

enum { OUTPUT_ALIGNMENT = 16 };

static bool same_group(const weft_train_desc *train, int32_t a, int32_t b) { return !train->tensor[a].decays == !train->tensor[b].decays; }

bool weft_train_place(const weft_model *model, int32_t tensor, int64_t at, int64_t *out_begin) {
  const weft_train_desc *train = model->desc->train;
  if (tensor == 0) return weft_ck_add(at, 0, out_begin);
  if (!same_group(train, tensor - 1, tensor)) return weft_ck_align(at, WEFT_TRAIN_BLOCK, out_begin);
  return weft_ck_align(at, train->tensor[tensor - 1].output == train->tensor[tensor].output ? 1 : OUTPUT_ALIGNMENT, out_begin);
}

bool weft_train_elements(const weft_model *model, int64_t *out) {
  const weft_train_desc *train = model->desc->train;
  int64_t at = 0;
  for (int32_t i = 0; i < train->tensors; ++i)
    if (!weft_train_place(model, i, at, &at) || !weft_ck_add(at, model->params[train->tensor[i].param].elements, &at)) return false;
  return weft_ck_align(at, WEFT_TRAIN_BLOCK, out);
}

static bool good_output(const weft_entry_desc *entry, int32_t output) { return output >= -1 && output < entry->outputs; }

weft_status weft_check_training(weft_model *model) {
  const weft_model_desc *desc = model->desc;
  const weft_train_desc *train = desc->train;
  if (!train) return WEFT_OK;
  int64_t elements;
  bool good = train->entry >= 0 && train->entry < desc->entries && train->eval >= 0 && train->eval < desc->entries && train->entry != train->eval &&
              train->tensors >= 0 && train->accumulate >= 1 && train->tokens_input >= -1 && train->tokens_input < desc->inputs &&
              model->variant->update && model->variant->norm && model->variant->add;
  good = good && desc->entry[train->entry].outputs >= 1 && desc->entry[train->eval].outputs >= 1 && desc->entry[train->eval].outputs <= 4 && good_output(&desc->entry[train->entry], train->weight) &&
         good_output(&desc->entry[train->eval], train->weight) && good_output(&desc->entry[train->eval], train->labels) &&
         good_output(&desc->entry[train->eval], train->correct);
  int changes = 0;
  for (int32_t i = 0; good && i < train->tensors; ++i) {
    const weft_trained_desc *tensor = &train->tensor[i];
    good = tensor->param >= 0 && tensor->param < desc->params && desc->param[tensor->param].dtype == WEFT_F32 && tensor->output > 0 &&
           tensor->output < desc->entry[train->entry].outputs;
    changes += good && i && !same_group(train, i - 1, i);
    for (int32_t j = 0; good && j < i; ++j) good = train->tensor[j].param != tensor->param;
  }
  if (!good || changes > 1 || !weft_train_elements(model, &elements) || !weft_ck_mul(elements, 64, &elements))
    return weft_fail(&model->error, WEFT_ERR_ABI, "%s: the object is damaged: its training makes no sense", desc->name);
  return WEFT_OK;
}
