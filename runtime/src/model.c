/* Opening and closing a model: interface version, CPU, variant, consistency of the descriptor. */
#include "model.h"

#include "checked.h"
#include "cpu.h"
#include "memory.h"

#include <string.h>

static weft_status check_abi(weft_model *model) {
  const weft_model_desc *desc = model->desc;
  if (!desc || desc->magic != WEFT_ABI_MAGIC) return weft_fail(&model->error, WEFT_ERR_ABI, "expected the descriptor of a compiled model");
  if (desc->abi_version != WEFT_ABI_VERSION || desc->desc_bytes != sizeof *desc)
    return weft_fail(&model->error, WEFT_ERR_ABI, "the object has interface version %u but the runtime has version %u", desc->abi_version,
                     WEFT_ABI_VERSION);
  if (!desc->name || desc->kepts < 0 || (desc->kepts && !desc->kept_shapes) || desc->dims < 0 || desc->inputs < 0 || desc->params < 0 || desc->states < 0 || desc->states > 64 ||
      desc->entries < 0 || desc->generates < 0 || desc->variants < 1 || desc->sites < 0)
    return weft_fail(&model->error, WEFT_ERR_ABI, "the object is damaged: its descriptor makes no sense");
  return WEFT_OK;
}

static weft_status choose_variant(weft_model *model) {
  const weft_model_desc *desc = model->desc;
  uint64_t have = weft_cpu_features() & ~model->options.hide_cpu_features;
  const char *wanted = model->options.cpu;
  const weft_variant_desc *named = NULL, *nearest = NULL;
  for (int32_t i = 0; i < desc->variants; ++i) {
    const weft_variant_desc *variant = &desc->variant[i];
    if (wanted && strcmp(wanted, variant->cpu)) continue;
    named = variant;
    uint64_t lacks = variant->features & ~have;
    if (!lacks && weft_cpu_request(variant->features)) {
      model->variant = variant;
      return WEFT_OK;
    }
    if (!nearest || __builtin_popcountll(lacks) < __builtin_popcountll(nearest->features & ~have)) nearest = variant;
  }
  if (!named) return weft_fail(&model->error, WEFT_ERR_ARGUMENT, "%s: has no code for cpu '%s'", desc->name, weft_quote(wanted).text);
  char needs[200], lacks[200];
  uint64_t missing = nearest->features & ~have;
  if (!missing) return weft_fail(&model->error, WEFT_ERR_CPU, "%s: the system does not allow amx", desc->name);
  return weft_fail(&model->error, WEFT_ERR_CPU, "%s: needs %s; this CPU lacks %s", desc->name,
                   weft_cpu_features_text(nearest->features, needs, sizeof needs), weft_cpu_features_text(missing, lacks, sizeof lacks));
}

static bool is_word(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; }

/* Whether the text of an axis ("2 * T") contains the name as a word. */
static bool mentions(const char *axis, const char *name) {
  size_t length = strlen(name);
  for (const char *at = axis; length && (at = strstr(at, name)); at += length)
    if ((at == axis || !is_word(at[-1])) && !is_word(at[length])) return true;
  return false;
}

static bool tensor_mentions(const weft_tensor_desc *tensor, int32_t dim, const char *name) {
  for (int32_t i = 0; i < tensor->rank; ++i)
    if (tensor->dims[i] == dim || (tensor->axes && tensor->axes[i] && mentions(tensor->axes[i], name))) return true;
  return false;
}

static bool good_numbers(const int32_t *numbers, int32_t count, int32_t below) {
  for (int32_t i = 0; i < count; ++i)
    if (numbers[i] < 0 || numbers[i] >= below) return false;
  return count >= 0;
}

/* Where the dims of kept values stand. Their entries are checked. */
static void describe_kept(weft_model *model) {
  const weft_model_desc *desc = model->desc;
  for (int32_t k = 0; k < desc->kepts; ++k) {
    model->kept_row_dim[k] = -1;
    for (int32_t d = 0; d < desc->dims; ++d) model->kept_mentions[(int64_t)k * desc->dims + d] = tensor_mentions(&desc->kept[k].tensor, d, desc->dim[d].name);
  }
  for (int32_t e = 0; e < desc->entries; ++e) {
    const weft_entry_desc *entry = &desc->entry[e];
    for (int32_t i = 0; i < entry->keeps; ++i) {
      weft_tensor_desc rest = desc->kept[entry->keep[i]].tensor;
      if (entry->batch_dim < 0 || !rest.rank || rest.dims[0] != entry->batch_dim) continue;
      /* The same without its first axis. */
      --rest.rank;
      memmove(rest.dims, rest.dims + 1, sizeof rest.dims - sizeof *rest.dims);
      rest.axes = rest.axes ? rest.axes + 1 : NULL;
      if (!tensor_mentions(&rest, entry->batch_dim, desc->dim[entry->batch_dim].name)) model->kept_row_dim[entry->keep[i]] = entry->batch_dim;
    }
    for (int32_t i = 0; i < entry->recalls; ++i)
      for (int32_t d = 0; d < desc->dims; ++d)
        if (model->kept_mentions[(int64_t)entry->recall[i] * desc->dims + d] && !model->mentioned[(int64_t)e * desc->dims + d])
          model->mentioned[(int64_t)e * desc->dims + d] = WEFT_MENTIONED_KEPT;
  }
}

static weft_status check_entries(weft_model *model) {
  const weft_model_desc *desc = model->desc;
  for (int32_t e = 0; e < desc->entries; ++e) {
    const weft_entry_desc *entry = &desc->entry[e];
    bool good = entry->inputs >= 0 && entry->outputs >= 0 && entry->buffers >= 0 && entry->token_dim < desc->dims &&
                entry->batch_dim < desc->dims && (desc->states == 64 || !(entry->states >> desc->states));
    good = good && good_numbers(entry->keep, entry->keeps, desc->kepts) && good_numbers(entry->recall, entry->recalls, desc->kepts);
    for (int32_t i = 0; good && i < entry->inputs; ++i) good = entry->input_index[i] >= 0 && entry->input_index[i] < desc->inputs;
    if (!good) return weft_fail(&model->error, WEFT_ERR_ABI, "%s: the object is damaged: entry '%s' makes no sense", desc->name, entry->name);
    for (int32_t d = 0; d < desc->dims; ++d) {
      bool named = d == entry->token_dim || d == entry->batch_dim;
      for (int32_t i = 0; i < entry->inputs && !named; ++i) named = tensor_mentions(&desc->input[entry->input_index[i]], d, desc->dim[d].name);
      for (int32_t i = 0; i < entry->outputs && !named; ++i) named = tensor_mentions(&entry->output[i], d, desc->dim[d].name);
      model->mentioned[e * desc->dims + d] = named;
    }
  }
  for (int32_t g = 0; g < desc->generates; ++g) {
    const weft_generate_desc *generate = &desc->generate[g];
    if (generate->prefill < 0 || generate->prefill >= desc->entries || generate->step < 0 || generate->step >= desc->entries ||
        generate->token_input < 0 || generate->token_input >= desc->inputs)
      return weft_fail(&model->error, WEFT_ERR_ABI, "%s: the object is damaged: entry '%s' makes no sense", desc->name, generate->name);
  }
  return WEFT_OK;
}

/* Lists, for each parameter, the views that read it. */
static void collect_uses(weft_model *model) {
  const weft_variant_desc *variant = model->variant;
  int32_t next = 0;
  for (int32_t p = 0; p < model->desc->params; ++p) {
    model->params[p].first_use = next;
    next += model->params[p].uses;
    model->params[p].uses = 0;
  }
  for (int32_t v = 0; v < variant->views; ++v) {
    int64_t column = 0;
    for (int32_t i = 0; i < variant->view[v].sources; ++i) {
      const weft_view_source *source = &variant->sources[variant->view[v].first_source + i];
      weft_param_state *param = &model->params[source->param];
      weft_use *use = &model->uses[param->first_use + param->uses++];
      use->view = v;
      use->source = i;
      use->column = column;
      column += source->n;
    }
  }
}

static weft_status check_params(weft_model *model) {
  const weft_model_desc *desc = model->desc;
  for (int32_t p = 0; p < desc->params; ++p) {
    const weft_param_desc *param = &desc->param[p];
    int64_t bytes, size = (int64_t)weft_dtype_size(param->dtype);
    if (param->rank < 0 || param->rank > WEFT_MAX_RANK || !size || !weft_ck_product(param->shape, param->rank, &model->params[p].elements) ||
        !weft_ck_mul(model->params[p].elements, 8, &bytes) || (param->transpose && param->rank != 2))
      return weft_fail(&model->error, WEFT_ERR_ABI, "%s: the object is damaged: parameter '%s' makes no sense", desc->name, param->name);
  }
  return WEFT_OK;
}

/* Number of sources of all views: the length of the uses table. Counts the uses of each parameter. */
static weft_status count_uses(weft_model *model, int64_t *out) {
  const weft_variant_desc *variant = model->variant;
  int64_t count = 0;
  for (int32_t v = 0; v < variant->views; ++v) {
    if (variant->view[v].sources < 0 || variant->view[v].first_source < 0)
      return weft_fail(&model->error, WEFT_ERR_ABI, "%s: the object is damaged: view %d makes no sense", model->desc->name, v);
    count += variant->view[v].sources;
  }
  *out = count;
  return WEFT_OK;
}

static weft_status open_model(weft_model *model) {
  weft_status status = check_abi(model);
  if (!status) status = choose_variant(model);
  int64_t uses = 0;
  if (!status) status = count_uses(model, &uses);
  if (status) return status;
  const weft_model_desc *desc = model->desc;
  int64_t params = desc->params * (int64_t)sizeof(weft_param_state), views = model->variant->views * (int64_t)sizeof(void *),
          table = uses * (int64_t)sizeof(weft_use), named = (int64_t)desc->entries * desc->dims, kept_named = (int64_t)desc->kepts * desc->dims,
          rows = desc->kepts * (int64_t)sizeof(int32_t);
  model->handle_bytes = params + views + table + rows + named + kept_named;
  char *at = weft_allocate(&model->allocator, model->handle_bytes);
  if (!at) return weft_fail(&model->error, WEFT_ERR_MEMORY, "%s: out of memory", desc->name);
  memset(at, 0, (size_t)model->handle_bytes);
  model->params = (weft_param_state *)at;
  model->uses = (weft_use *)(at + params);
  model->views = (const void **)(at + params + table);
  model->kept_row_dim = (int32_t *)(at + params + table + views);
  model->mentioned = (unsigned char *)(at + params + table + views + rows);
  model->kept_mentions = model->mentioned + named;
  status = check_params(model);
  if (!status) status = weft_check_views(model);
  if (!status) status = check_entries(model);
  if (!status) status = weft_check_training(model);
  if (status) return status;
  describe_kept(model);
  for (int32_t v = 0; v < model->variant->views; ++v)
    for (int32_t i = 0; i < model->variant->view[v].sources; ++i)
      ++model->params[model->variant->sources[model->variant->view[v].first_source + i].param].uses;
  collect_uses(model);
  /* Without parameters there is nothing to load: the model is complete. */
  return desc->params ? WEFT_OK : weft_allocate_weights(model);
}

weft_status weft_model_open(const weft_model_desc *descriptor, const weft_model_options *options, weft_model **out_model) {
  if (!out_model) return WEFT_ERR_ARGUMENT;
  weft_allocator allocator = weft_allocator_or_default(options ? options->allocator : NULL);
  weft_model *model = *out_model = weft_allocate(&allocator, sizeof *model);
  if (!model) return WEFT_ERR_MEMORY;
  memset(model, 0, sizeof *model);
  model->magic = WEFT_MODEL_MAGIC;
  model->allocator = allocator;
  if (options) model->options = *options;
  model->options.allocator = &model->allocator;
  if (model->options.limits) model->limits = *model->options.limits;
  model->options.limits = &model->limits;
  model->desc = descriptor;
  atomic_init(&model->sessions, 0);
  atomic_init(&model->trainers, 0);
  model->opened = open_model(model);
  model->options.cpu = NULL; /* the caller's string; no longer needed */
  return model->opened;
}

weft_status weft_model_close(weft_model *model) {
  if (!model) return WEFT_OK;
  if (model->magic != WEFT_MODEL_MAGIC) return WEFT_ERR_ARGUMENT;
  if (atomic_load(&model->trainers)) return weft_fail(&model->error, WEFT_ERR_BUSY, "%s: has a trainer, destroy it first", model->desc->name);
  int sessions = atomic_load(&model->sessions);
  if (sessions) return weft_fail(&model->error, WEFT_ERR_BUSY, "%s: has %d sessions, destroy them first", model->desc->name, sessions);
  model->magic = 0;
  weft_allocator allocator = model->allocator;
  weft_release(&allocator, model->weights, model->weights_bytes);
  weft_release(&allocator, model->params, model->handle_bytes);
  weft_release(&allocator, model, sizeof *model);
  return WEFT_OK;
}

const char *weft_model_error(const weft_model *model) {
  if (!model) return "out of memory";
  return model->magic == WEFT_MODEL_MAGIC ? model->error.text : "expected an open model";
}

const weft_model_desc *weft_model_descriptor(const weft_model *model) { return weft_model_is_open(model) ? model->desc : NULL; }

int32_t weft_model_variant(const weft_model *model) { return weft_model_is_open(model) ? (int32_t)(model->variant - model->desc->variant) : -1; }

int64_t weft_model_weights_bytes(const weft_model *model) { return weft_model_is_open(model) ? model->weights_bytes : 0; }

#define FIND(FUNCTION, COUNT, ARRAY)                                       \
  int32_t FUNCTION(const weft_model *model, const char *name) {            \
    if (!weft_model_is_open(model) || !name) return -1;                    \
    for (int32_t i = 0; i < model->desc->COUNT; ++i)                       \
      if (!strcmp(model->desc->ARRAY[i].name, name)) return i;             \
    return -1;                                                             \
  }
FIND(weft_model_entry, entries, entry)
FIND(weft_model_generate_entry, generates, generate)
FIND(weft_model_state, states, state)
FIND(weft_model_dim, dims, dim)

weft_status weft_begin_change(weft_model *model) {
  if (!weft_model_is(model)) return WEFT_ERR_ARGUMENT;
  if (model->opened) return model->opened;
  if (atomic_load(&model->trainers)) return weft_fail(&model->error, WEFT_ERR_BUSY, "%s: has a trainer, which changes its weights", model->desc->name);
  if (atomic_load(&model->sessions)) return weft_fail(&model->error, WEFT_ERR_BUSY, "%s: has sessions that read its weights", model->desc->name);
  model->error.text[0] = 0;
  return WEFT_OK;
}
