/* Runs `forward` of any model from files, through its descriptor alone: for objects of other CPUs, which run under an emulator.
 * Usage: any_model WEIGHTS.safetensors INPUTS.safetensors OUTPUTS.safetensors; prints the variant. Built with -DMODEL=NAME_weft_model. */
#include "weft/runtime.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const weft_model_desc MODEL;

static int stop(const char *text) {
  fprintf(stderr, "%s\n", text);
  return 1;
}

int main(int argc, char **argv) {
  weft_model *model = NULL;
  weft_session *session = NULL;
  weft_tensor_file *file = NULL;
  if (argc != 4) return stop("usage: any_model WEIGHTS INPUTS OUTPUTS");
  weft_status status = weft_model_open(&MODEL, NULL, &model);
  if (status) {
    stop(weft_model_error(model));
    return status == WEFT_ERR_CPU ? 5 : 1;
  }
  printf("%s\n", MODEL.variant[weft_model_variant(model)].cpu);
  if (weft_model_load(model, argv[1])) return stop(weft_model_error(model));
  if (weft_tensor_file_open(argv[2], NULL, &file)) return stop(weft_tensor_file_error(file));
  int32_t index = weft_model_entry(model, "forward");
  const weft_entry_desc *entry = &MODEL.entry[index];
  int64_t dims[16] = {0}, sizes[512];
  const void *inputs[16];
  void *outputs[16];
  for (int32_t d = 0; d < MODEL.dims; ++d) dims[d] = MODEL.dim[d].min;
  for (int32_t i = 0; i < entry->inputs; ++i) {
    const weft_tensor_desc *input = &MODEL.input[entry->input_index[i]];
    int64_t at = weft_tensor_file_find(file, input->name);
    const weft_tensor_info *info = weft_tensor_file_at(file, at);
    if (!info || info->dtype != input->dtype) return stop(input->name);
    for (int32_t axis = 0; axis < input->rank; ++axis)
      if (input->dims[axis] >= 0) dims[input->dims[axis]] = info->shape[axis];
    void *data = malloc((size_t)info->bytes + 1);
    if (weft_tensor_file_read(file, at, data, (size_t)info->bytes)) return stop(weft_tensor_file_error(file));
    inputs[i] = data;
  }
  if (weft_session_create(model, dims, NULL, &session)) return stop(weft_session_error(session));
  entry->shapes(dims, sizes);
  const int64_t *shape = sizes;
  weft_tensor written[16];
  for (int32_t i = 0; i < entry->inputs; ++i) shape += MODEL.input[entry->input_index[i]].rank;
  for (int32_t i = 0; i < entry->outputs; ++i) {
    weft_tensor *tensor = &written[i];
    int64_t count = 1;
    memset(tensor, 0, sizeof *tensor);
    tensor->name = entry->output[i].name;
    tensor->dtype = entry->output[i].dtype;
    tensor->rank = entry->output[i].rank;
    for (int32_t axis = 0; axis < tensor->rank; ++axis) count *= tensor->shape[axis] = *shape++;
    tensor->data = outputs[i] = malloc((size_t)count * weft_dtype_size(tensor->dtype) + 1);
  }
  if (weft_session_run(session, index, dims, inputs, outputs)) return stop(weft_session_error(session));
  char error[400];
  if (weft_safetensors_write(argv[3], written, entry->outputs, NULL, 0, NULL, error, sizeof error)) return stop(error);
  return 0;
}
