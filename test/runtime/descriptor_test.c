/* Descriptors: what a damaged object could say is refused when the model is opened, one change at a time; what is unusual but
 * possible is accepted. */
#include "check.h"
#include "copies.h"
#include "model.h"
#include "toy.h"
#include "trained.h"

#include <stdlib.h>

static const int32_t outside[] = {0, 5}, below[] = {-1, 0}, first[] = {0};
static const char *what; /* the change that is tried */
#define CHANGE(statement)  \
  if (number == at++) {    \
    what = #statement;     \
    statement;             \
    return true;           \
  }

static bool damage(copies *c, int number) {
  int at = 0;
  CHANGE(c->desc.name = NULL)
  CHANGE(c->desc.dims = -1)
  CHANGE(c->desc.inputs = -1)
  CHANGE(c->desc.params = -1)
  CHANGE(c->desc.states = -1)
  CHANGE(c->desc.states = 65)
  CHANGE(c->desc.kepts = -1)
  CHANGE(c->desc.kepts = 1)
  CHANGE(c->desc.entries = -1)
  CHANGE(c->desc.generates = -1)
  CHANGE(c->desc.variants = 0)
  CHANGE(c->desc.sites = -1)
  CHANGE(c->entries[0].inputs = -1)
  CHANGE(c->entries[0].outputs = -1)
  CHANGE(c->entries[0].buffers = -1)
  CHANGE(c->entries[0].input_index = outside)
  CHANGE(c->entries[0].input_index = below)
  CHANGE(c->entries[0].keeps = -1)
  CHANGE((c->entries[0].keeps = 1, c->entries[0].keep = first))
  CHANGE((c->entries[0].recalls = 1, c->entries[0].recall = below))
  CHANGE(c->entries[1].token_dim = 3)
  CHANGE(c->entries[1].batch_dim = 3)
  CHANGE(c->entries[1].states = 2)
  CHANGE(c->generate.prefill = -1)
  CHANGE(c->generate.prefill = 5)
  CHANGE(c->generate.step = -1)
  CHANGE(c->generate.step = 5)
  CHANGE(c->generate.token_input = -1)
  CHANGE(c->generate.token_input = 5)
  CHANGE(c->params[0].rank = -1)
  CHANGE(c->params[0].rank = WEFT_MAX_RANK + 1)
  CHANGE(c->params[0].dtype = 50)
  CHANGE(c->params[0].shape[0] = INT64_MAX)
  CHANGE(c->params[2].shape[0] = INT64_MAX / 4)
  CHANGE(c->params[2].transpose = 1)
  CHANGE(c->views[0].sources = -1)
  CHANGE(c->views[0].first_source = -1)
  CHANGE(c->views[0].n = INT64_MAX / 4)
  CHANGE(c->views[1].nr = 0)
  CHANGE(c->views[1].n = -1)
  CHANGE(c->views[1].n = INT64_MAX)
  CHANGE(c->views[1].n = 12)
  CHANGE(c->views[1].k = INT64_MAX)
  CHANGE(c->views[1].k = -1)
  CHANGE((c->views[1].k = 0, c->views[1].sources = 2, c->sources[1].n = c->sources[2].n = INT64_MAX))
  CHANGE(c->views[2].kind = 5)
  CHANGE(c->views[2].dtype = 77)
  CHANGE(c->sources[0].param = -1)
  CHANGE(c->sources[0].param = 99)
  CHANGE(c->sources[0].offset = 1)
  CHANGE(c->sources[0].offset = INT64_MAX)
  CHANGE(c->sources[1].offset = -1)
  CHANGE(c->sources[1].offset = INT64_MAX)
  CHANGE((c->sources[1].offset = INT64_MAX - 60, c->sources[1].stride_k = 0, c->sources[1].stride_n = 10))
  CHANGE(c->sources[1].n = -1)
  CHANGE(c->sources[1].n = 10)
  CHANGE(c->sources[1].stride_k = -1)
  CHANGE(c->sources[1].stride_k = 12)
  CHANGE(c->sources[1].stride_k = INT64_MAX)
  CHANGE(c->sources[1].stride_n = -1)
  CHANGE(c->sources[1].stride_n = INT64_MAX)
  return false;
}

static bool damage_training(copies *c, int number) {
  int at = 0;
  CHANGE(c->train.entry = -1)
  CHANGE(c->train.entry = 3)
  CHANGE(c->train.eval = -1)
  CHANGE(c->train.eval = 3)
  CHANGE(c->train.eval = TRAINED_STEP)
  CHANGE(c->train.tensors = -1)
  CHANGE(c->train.accumulate = 0)
  CHANGE(c->train.tokens_input = -2)
  CHANGE(c->train.tokens_input = 2)
  CHANGE(c->train.weight = -2)
  CHANGE(c->train.weight = 4)
  CHANGE((c->train.weight = 3, c->train.labels = c->train.correct = -1, c->entries[TRAINED_EVAL].outputs = 3))
  CHANGE(c->train.labels = -2)
  CHANGE(c->train.labels = 4)
  CHANGE(c->train.correct = -2)
  CHANGE(c->train.correct = 4)
  CHANGE(c->variant.update = NULL)
  CHANGE(c->variant.norm = NULL)
  CHANGE(c->variant.add = NULL)
  CHANGE((c->entries[TRAINED_STEP].outputs = 0, c->train.weight = -1))
  CHANGE((c->entries[TRAINED_EVAL].outputs = 0, c->train.weight = -1))
  CHANGE(c->entries[TRAINED_EVAL].outputs = 5)
  CHANGE(c->tensors[0].param = -1)
  CHANGE(c->tensors[0].param = TRAINED_PARAMS)
  CHANGE(c->params[TRAINED_W].dtype = WEFT_F16)
  CHANGE(c->tensors[0].output = 0)
  CHANGE(c->tensors[0].output = 4)
  CHANGE(c->tensors[1] = c->tensors[0])
  CHANGE((c->train.tensors = 3, c->tensors[1].decays = 0, c->tensors[2] = (weft_trained_desc){TRAINED_FROZEN, 3, 1})) /* three groups */
  CHANGE((c->params[TRAINED_W].shape[0] = (int64_t)1 << 59, c->views[2].kind = WEFT_VIEW_PLAIN, c->views[2].n = 1))
  return false;
}

static void every_change_is_refused(const weft_model_desc *desc, int32_t variant, bool (*change)(copies *, int)) {
  for (int number = 0;; ++number) {
    copies *c = copies_of(desc, variant);
    bool more = change(c, number);
    weft_model *model = NULL;
    if (more) {
      weft_status status = weft_model_open(&c->desc, NULL, &model);
      if (status != WEFT_ERR_ABI) fprintf(stderr, "%s: was accepted\n", what);
      CHECK_EQUAL(status, WEFT_ERR_ABI);
      CHECK_CONTAINS(weft_model_error(model), "the object is damaged");
      CHECK_EQUAL(weft_model_close(model), WEFT_OK);
    }
    free(c);
    if (!more) break;
  }
}

static bool vary(copies *c, int number) {
  int at = 0;
  CHANGE((void)c)
  CHANGE((c->views[1].k = 0))
  CHANGE((c->views[1].n = c->sources[1].n = 0))
  CHANGE((c->desc.states = 64, c->entries[1].states = ~(uint64_t)0))
  CHANGE((c->desc.sites = 0, c->desc.generates = 0))
  CHANGE((c->entries[0].states = 1, c->entries[0].batch_dim = -1))
  return false;
}

static void what_is_possible_is_accepted(void) {
  for (int number = 0;; ++number) {
    copies *c = copies_of(&toy_model, 1);
    bool more = vary(c, number);
    weft_model *model = NULL;
    if (more) {
      if (weft_model_open(&c->desc, NULL, &model)) fprintf(stderr, "%s: %s\n", what, weft_model_error(model));
      CHECK(weft_model_descriptor(model) != NULL);
      weft_model_close(model);
    }
    free(c);
    if (!more) break;
  }
}

/* A dim stands in an axis as a word, not as a part of another name. */
static void a_dim_is_mentioned_as_a_word(void) {
  static const struct {
    const char *axis, *name;
    int mentioned;
  } cases[] = {{"2 * U", "U", 1}, {"U*U", "U", 1}, {"(U)", "U", 1},  {"U", "U", 1},    {"UU", "U", 0},     {"bU", "U", 0},   {"Ub", "U", 0}, {"U0", "U", 0},
               {"_U", "U", 0},    {"U_", "U", 0},  {"9U", "U", 0},   {"ZU", "U", 0},   {"Ux + U", "U", 1}, {"4", "U", 0},    {"U", "", 0},   {NULL, "U", 0},
               {"U@U{", "U@", 0}, {"[U]", "U", 1}, {"{U}", "U", 1},  {"`U`", "U", 1}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    copies *c = copies_of(&toy_model, 1);
    const char *axes[] = {cases[i].axis};
    weft_model *model;
    weft_tensor_desc output = c->entries[TOY_SCALED].output[0];
    c->inputs[2].axes = axes;
    output.axes = i % 2 ? axes : NULL;
    c->entries[TOY_SCALED].output = &output;
    c->dims[TOY_U].name = cases[i].name;
    CHECK_EQUAL(weft_model_open(&c->desc, NULL, &model), WEFT_OK);
    if (model->mentioned[TOY_SCALED * TOY_DIMS + TOY_U] != cases[i].mentioned) fprintf(stderr, "'%s' in '%s'\n", cases[i].name, cases[i].axis ? cases[i].axis : "");
    CHECK_EQUAL(model->mentioned[TOY_SCALED * TOY_DIMS + TOY_U], cases[i].mentioned);
    weft_model_close(model);
    free(c);
  }
}

/* Of several variants that this CPU can't run, the nearest is named. */
static void the_nearest_variant_is_named(void) {
  weft_variant_desc variants[3];
  weft_model_desc desc = toy_model;
  weft_model *model;
  for (int i = 0; i < 3; ++i) variants[i] = toy_model.variant[1];
  variants[0].features = (uint64_t)7 << 60;
  variants[1].features = (uint64_t)1 << 62;
  variants[2].features = (uint64_t)3 << 62;
  desc.variants = 3;
  desc.variant = variants;
  CHECK_EQUAL(weft_model_open(&desc, NULL, &model), WEFT_ERR_CPU);
  CHECK_TEXT(weft_model_error(model), "toy: needs bit 62; this CPU lacks bit 62");
  weft_model_close(model);
}

/* Weights that do not fit the address space are refused before memory is taken. */
static void too_large_weights_are_refused(void) {
  static weft_param_desc params[9];
  static char names[9][8];
  for (int last = 1; last <= 9; last += 8) {
    copies *c = copies_of(&packed_model, 0);
    for (int p = 0; p < last; ++p) {
      snprintf(names[p], sizeof names[p], "w%d", p);
      params[p] = (weft_param_desc){names[p], names[p], WEFT_F64, 1, {INT64_MAX / 8}, 0, 0, WEFT_INIT_CONSTANT, 0, 0, -1};
    }
    c->desc.param = params;
    c->desc.params = last;
    c->variant.views = 0;
    weft_model_options options = {.keep_parameters = 1};
    weft_model *model;
    CHECK_EQUAL(weft_model_open(&c->desc, &options, &model), WEFT_OK);
    CHECK_EQUAL(weft_model_init(model, 1), WEFT_ERR_LIMIT);
    CHECK_CONTAINS(weft_model_error(model), "the weights are too large");
    weft_model_close(model);
    free(c);
  }
}

int main(void) {
  every_change_is_refused(&toy_model, 1, damage);
  every_change_is_refused(&trained_model, 0, damage_training);
  what_is_possible_is_accepted();
  a_dim_is_mentioned_as_a_word();
  the_nearest_variant_is_named();
  too_large_weights_are_refused();
  return check_result();
}
