/* A descriptor's tables, copied so that a test may change them. */
#ifndef WEFT_TEST_COPIES_H
#define WEFT_TEST_COPIES_H

#include "weft/abi.h"

typedef struct copies {
  weft_model_desc desc;
  weft_dim_desc dims[3];
  weft_tensor_desc inputs[5];
  weft_entry_desc entries[5];
  weft_param_desc params[4];
  weft_state_desc states[65];
  weft_generate_desc generate;
  weft_variant_desc variant;
  weft_view_desc views[4];
  weft_view_source sources[4];
  weft_plan_fn plans[5];
  weft_train_desc train;
  weft_trained_desc tensors[3];
} copies;

/* Of the toy, the packed or the trained model, with the variant of this number alone. To be freed. */
copies *copies_of(const weft_model_desc *desc, int32_t variant);

#endif /* WEFT_TEST_COPIES_H */
