/* A small model that trains, as a generated object would describe it, written by hand: the loss is the weighted mean over
 * samples of w · x + b + v · x, so that gradients are means of the inputs and every number can be checked on paper.
 * Its update kernels are the formulas of weft/abi_train.h, element by element. */
#ifndef WEFT_TEST_TRAINED_H
#define WEFT_TEST_TRAINED_H

#include "weft/runtime.h"

enum { TRAINED_WIDTH = 3, TRAINED_MAX_B = 8 };
enum { TRAINED_W, TRAINED_FROZEN, TRAINED_B, TRAINED_PARAMS }; /* w [3] decays; frozen [2] is not trained; b [] does not decay */
enum { TRAINED_STEP, TRAINED_EVAL, TRAINED_FORWARD };          /* inputs: x [B, 3], weight [B] (integers from 0); forward: x alone */

/* Its optimizer, schedule and the rest may be changed before a trainer is created. */
extern weft_train_desc trained_train;
extern const weft_model_desc trained_model;

/* Opens it with w = {1, -2, .5}, frozen = {7, 8}, b = 0. NULL on failure. */
weft_model *trained_open(const weft_model_options *options);
weft_status trained_set(weft_model *model, const float w[TRAINED_WIDTH], float b);

/* Set: gradients are computed in this many launches of one task each, on the trainer's threads. */
extern void (*trained_during_step)(weft_exec *exec);

#endif /* WEFT_TEST_TRAINED_H */
