/* Every table that the descriptor names is copied, and named instead. */
#include "copies.h"

#include <stdlib.h>
#include <string.h>

copies *copies_of(const weft_model_desc *desc, int32_t variant) {
  copies *c = calloc(1, sizeof *c);
  c->desc = *desc;
#define COPY(from, to, field, count)                     \
  memcpy(to, from field, (size_t)(count) * sizeof *to); \
  from field = to
  COPY(c->desc., c->dims, dim, desc->dims);
  COPY(c->desc., c->inputs, input, desc->inputs);
  COPY(c->desc., c->entries, entry, desc->entries);
  COPY(c->desc., c->params, param, desc->params);
  c->variant = desc->variant[variant];
  c->desc.variant = &c->variant;
  c->desc.variants = 1;
  COPY(c->variant., c->views, view, c->variant.views);
  const weft_view_desc *last = &c->variant.view[c->variant.views - 1];
  COPY(c->variant., c->sources, sources, last->first_source + last->sources);
  COPY(c->variant., c->plans, plan, desc->entries);
  for (int i = 0; i < 65 && desc->states; ++i) c->states[i] = desc->state[0];
  c->desc.state = c->states;
  if (desc->generates) c->generate = desc->generate[0];
  c->desc.generate = &c->generate;
  if (desc->train) {
    c->train = *desc->train;
    COPY(c->train., c->tensors, tensor, c->train.tensors);
    c->desc.train = &c->train;
  }
  return c;
}
