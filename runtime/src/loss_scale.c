/* Dynamic loss scaling, as PyTorch's GradScaler: half the scale after gradients that are not finite, twice after a long run
 * of good updates. Powers of two: scaling and unscaling round nothing. */
#include "trainer.h"

#define INITIAL 65536.0
#define LARGEST 1152921504606846976.0 /* 2^60: gradients leave f32 long before */
enum { GROWTH_INTERVAL = 2000 };

void weft_set_loss_scale(weft_trainer *trainer, double scale) {
  trainer->metrics.loss_scale = scale;
  trainer->session->exec.loss_scale[0] = (float)scale;
  trainer->session->exec.loss_scale[1] = (float)(1 / scale);
}

void weft_start_loss_scale(weft_trainer *trainer) {
  trainer->good_updates = 0;
  weft_set_loss_scale(trainer, trainer->train->dynamic_loss_scale ? INITIAL : 1);
}

bool weft_lower_loss_scale(weft_trainer *trainer) {
  if (!trainer->train->dynamic_loss_scale || trainer->metrics.loss_scale <= 1) return false;
  trainer->good_updates = 0;
  weft_set_loss_scale(trainer, trainer->metrics.loss_scale / 2);
  return true;
}

void weft_count_good_update(weft_trainer *trainer) {
  if (!trainer->train->dynamic_loss_scale || ++trainer->good_updates < GROWTH_INTERVAL) return;
  trainer->good_updates = 0;
  if (trainer->metrics.loss_scale < LARGEST) weft_set_loss_scale(trainer, trainer->metrics.loss_scale * 2);
}

bool weft_is_loss_scale(const weft_trainer *trainer, uint64_t scale, uint64_t good_updates) {
  const bool power = scale && !(scale & (scale - 1)) && (double)scale <= LARGEST;
  return power && good_updates < GROWTH_INTERVAL && (trainer->train->dynamic_loss_scale || (scale == 1 && !good_updates));
}
