/* Sampling: greedy, from all tokens, from the k most probable, from the fewest that together have probability p.
 * Random numbers come from (seed, sequence, position), so a token does not depend on what ran before it. */
#include "sample.h"

#include <math.h>
#include <string.h>

/* Integers in the order of the floats they stand for; -0 and 0 are one value. NaN is sorted out before. */
static int32_t ordered(float value) {
  value += 0.0f;
  int32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits ^ (bits >> 31 & 0x7fffffff);
}

int64_t weft_argmax(const float *row, int64_t count) {
  int32_t best = INT32_MIN, nan = 0;
  for (int64_t i = 0; i < count; ++i) {
    int32_t bits, key = ordered(row[i]);
    memcpy(&bits, &row[i], sizeof bits);
    nan |= (bits & 0x7fffffff) > 0x7f800000;
    best = key > best ? key : best;
  }
  if (nan || count < 1 || best <= ordered(-INFINITY)) return -1;
  for (int64_t i = 0;; ++i)
    if (ordered(row[i]) == best) return i;
}

static double uniform(const weft_sampling *sampling, int64_t sequence, int64_t position) {
  const uint32_t key[2] = {(uint32_t)sampling->seed, (uint32_t)(sampling->seed >> 32)};
  const uint32_t counter[4] = {(uint32_t)position, (uint32_t)((uint64_t)position >> 32), (uint32_t)sequence, 0x534d504cu};
  uint32_t words[4];
  weft_philox4x32(key, counter, words);
  return ((double)(words[0] >> 5) * 67108864.0 + (double)(words[1] >> 6)) * 0x1p-53;
}

/* A token with its logit as one word: larger logits first, then lower indices. */
static uint64_t make_word(float value, int64_t index) {
  return (uint64_t)((uint32_t)ordered(value) ^ 0x80000000u) << 32 | (0xffffffffu - (uint32_t)index);
}

static int64_t word_index(uint64_t word) { return 0xffffffffu - (uint32_t)word; }

static void sift(uint64_t *heap, int64_t count, int64_t at) {
  uint64_t moved = heap[at];
  for (;;) {
    int64_t child = 2 * at + 1;
    if (child >= count) break;
    if (child + 1 < count && heap[child + 1] > heap[child]) ++child;
    if (heap[child] <= moved) break;
    heap[at] = heap[child];
    at = child;
  }
  heap[at] = moved;
}

/* Takes the largest word; it ends behind the heap, so that the words taken stand there in order. */
static uint64_t pop(uint64_t *heap, int64_t *count) {
  uint64_t top = heap[0];
  --*count;
  heap[0] = heap[*count];
  heap[*count] = top;
  if (*count > 1) sift(heap, *count, 0);
  return top;
}

/* Weight of a logit relative to the largest one. Infinite logits share all the weight among them. */
static double weight(float logit, float top, double scale) {
  if (logit == top) return 1;
  return isinf(top) ? 0 : exp(((double)logit - (double)top) * scale);
}

int64_t weft_sample(const weft_sampling *sampling, const float *row, int64_t count, int64_t sequence, int64_t position, uint64_t *heap) {
  int64_t best = weft_argmax(row, count);
  if (best < 0 || sampling->kind == WEFT_SAMPLE_GREEDY || sampling->temperature == 0) return best;
  const float top = row[best];
  const double scale = 1 / sampling->temperature, draw = uniform(sampling, sequence, position);
  int64_t most = sampling->kind == WEFT_SAMPLE_MULTINOMIAL || sampling->k <= 0 || sampling->k > count ? count : sampling->k;
  double p = sampling->kind == WEFT_SAMPLE_TOP_P ? sampling->p : 1, total = 0;

  if (most == count && p >= 1) {
    for (int64_t i = 0; i < count; ++i) total += weight(row[i], top, scale);
    double left = draw * total;
    for (int64_t i = 0; i < count; ++i) {
      double w = weight(row[i], top, scale);
      if (left < w) return i;
      left -= w;
    }
    return best; /* rounding used up all weights */
  }

  int64_t remaining = count, taken = 0;
  for (int64_t i = 0; i < count; ++i) heap[i] = make_word(row[i], i);
  for (int64_t i = count / 2 - 1; i >= 0; --i) sift(heap, count, i);
  /* p counts from the weight of all tokens, or of the k that are left. */
  if (most == count)
    for (int64_t i = 0; i < count; ++i) total += weight(row[i], top, scale);
  double sum = 0;
  for (; taken < most && (most < count || taken == 0 || sum < p * total); ++taken) sum += weight(row[word_index(pop(heap, &remaining))], top, scale);
  if (most < count && p < 1) {
    total = sum;
    sum = 0;
    int64_t kept = 0;
    for (; kept < taken && (kept == 0 || sum < p * total); ++kept) sum += weight(row[word_index(heap[count - 1 - kept])], top, scale);
    taken = kept;
  }
  double left = draw * sum;
  for (int64_t i = 0; i < taken; ++i) {
    int64_t index = word_index(heap[count - 1 - i]);
    double w = weight(row[index], top, scale);
    if (left < w) return index;
    left -= w;
  }
  return best;
}
