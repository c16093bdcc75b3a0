/* Learning rates and the other numbers of an update: pure functions of the step, in f64. */
#include "trainer.h"

#include <math.h>

static double clamp01(double x) { return x < 0 ? 0 : x > 1 ? 1 : x; }

double weft_learning_rate(const weft_schedule_desc *s, double lr, uint64_t step) {
  static const double pi = 3.14159265358979323846;
  const double at = (double)step, warmup = (double)s->warmup_steps, total = (double)s->total_steps, m = s->min_lr_ratio;
  if (s->kind == WEFT_SCHEDULE_NOAM) {
    double falling = 1 / sqrt(at + 1), rising = warmup > 0 ? (at + 1) * pow(warmup, -1.5) : falling;
    return s->factor / sqrt(s->d_model) * (rising < falling ? rising : falling);
  }
  if (at < warmup) return lr * (at + 1) / warmup;
  const double x = total > warmup ? clamp01((at - warmup) / (total - warmup)) : 1;
  switch (s->kind) {
  case WEFT_SCHEDULE_LINEAR: return lr * (m + (1 - m) * (1 - x));
  case WEFT_SCHEDULE_COSINE: return lr * (m + (1 - m) * (1 + cos(pi * x)) / 2);
  case WEFT_SCHEDULE_WSD: {
    double decay = s->decay_steps > 0 ? (double)s->decay_steps : total / 5;
    double y = decay > 0 ? clamp01((at - (total - decay)) / decay) : 1;
    return lr * (m + (1 - m) * (1 - sqrt(y)));
  }
  case WEFT_SCHEDULE_INVERSE_SQRT: return lr * sqrt((warmup > 1 ? warmup : 1) / (at + 1));
  case WEFT_SCHEDULE_STEP: return s->step_size > 0 ? lr * pow(s->gamma, floor((at - warmup) / (double)s->step_size)) : lr;
  default: return lr;
  }
}

void weft_update_scalars(const weft_optimizer_desc *o, bool decays, double lr, uint64_t step, double scale,
                         float scalars[WEFT_TRAIN_SCALARS]) {
  const double t = (double)step + 1, decay = decays ? o->weight_decay : 0;
  double rate = lr, correction = 1, beta1 = o->beta1, gain1 = 1 - o->beta1;
  if (o->kind == WEFT_SGD) {
    beta1 = step == 0 ? 0 : o->momentum;
    gain1 = o->momentum;
  } else {
    /* 1 - β^t without cancellation where β^t is near 1. */
    rate = lr / -expm1(t * log(o->beta1));
    correction = sqrt(-expm1(t * log(o->beta2)));
  }
  const double values[WEFT_TRAIN_SCALARS] = {
      [WEFT_TRAIN_SCALE] = scale,
      [WEFT_TRAIN_DECAY] = o->kind == WEFT_ADAMW ? 1 - lr * decay : decay,
      [WEFT_TRAIN_RATE] = rate,
      [WEFT_TRAIN_CORRECTION] = correction,
      [WEFT_TRAIN_EPS] = o->eps,
      [WEFT_TRAIN_BETA1] = beta1,
      [WEFT_TRAIN_ONE_MINUS_BETA1] = gain1,
      [WEFT_TRAIN_BETA2] = o->beta2,
      [WEFT_TRAIN_ONE_MINUS_BETA2] = 1 - o->beta2,
  };
  for (int i = 0; i < WEFT_TRAIN_SCALARS; ++i) scalars[i] = (float)values[i];
}

/* ---- The order of samples --------------------------------------------------------------------------------------- */

/* Four rounds of a Feistel network over the smallest even number of bits that holds `count`; places outside walk on until
 * they are inside, which keeps it a permutation. */
static uint64_t mix(uint64_t x) {
  x = (x ^ x >> 33) * 0xff51afd7ed558ccdull;
  x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53ull;
  return x ^ x >> 33;
}

int64_t weft_shuffle(uint64_t seed, uint64_t epoch, int64_t count, int64_t index) {
  enum { ROUNDS = 4 };
  if (count < 1 || count > (int64_t)1 << 62 || index < 0 || index >= count) return -1;
  int half = 1;
  while (half < 31 && (int64_t)1 << 2 * half < count) ++half;
  const uint64_t mask = ((uint64_t)1 << half) - 1, key = mix(seed + 0x9e3779b97f4a7c15ull) ^ mix(epoch + 0xbf58476d1ce4e5b9ull);
  uint64_t at = (uint64_t)index;
  do {
    uint64_t left = at >> half, right = at & mask;
    for (uint64_t round = 0; round < ROUNDS; ++round) {
      uint64_t next = left ^ (mix(right + mix(key + round)) & mask);
      left = right;
      right = next;
    }
    at = left << half | right;
  } while (at >= (uint64_t)count);
  return (int64_t)at;
}
