/* A small language model as a generated object would describe it, written by hand, so that the runtime is tested without
 * the compiler: logits[b, t] = mean of the embeddings of positions 0..t (cached ones too) times w plus bias. */
#ifndef WEFT_TEST_TOY_H
#define WEFT_TEST_TOY_H

#include "weft/runtime.h"

enum { TOY_VOCABULARY = 11, TOY_WIDTH = 6, TOY_CAPACITY = 12, TOY_MAX_B = 8, TOY_MAX_T = 16 };
enum { TOY_B, TOY_T, TOY_U, TOY_DIMS };                             /* U is used by `scaled` alone */
enum { TOY_FORWARD, TOY_PREFILL, TOY_DECODE, TOY_SCALED, TOY_FAULTY }; /* entries */
enum { TOY_EMBEDDING, TOY_OUT, TOY_BIAS, TOY_GAIN, TOY_PARAMS };

extern const weft_model_desc toy_model;

/* A model with views of several sources and of another type; its entry gives the packed memory back. */
extern const weft_model_desc packed_model;
enum { PACKED_K = 5, PACKED_NR = 4, PACKED_N = 7 };

/* Parameters that the tests know: embedding, out (as [width, vocabulary]), bias, gain. */
void toy_parameters(float *embedding, float *out, float *bias, float *gain);
/* Opens the toy with these parameters. NULL on failure. */
weft_model *toy_open(const weft_model_options *options);
weft_status toy_set_parameters(weft_model *model);

/* What the toy computes, written plainly: the logits after `count` tokens. */
void toy_reference(const int32_t *tokens, int64_t count, float *logits);

/* Set to make the entries check and record: the floating-point state in which kernels ran, and the number of launches. */
extern int toy_saw_denormals;
extern void (*toy_during_entry)(weft_exec *exec);

#endif /* WEFT_TEST_TOY_H */
