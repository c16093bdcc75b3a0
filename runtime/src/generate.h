/* One call of weft_session_generate, as the loop that samples (generate.c) and beam search (beam.c) share it.
 * Rows are sequences of the session: the prompts, and with beam search their hypotheses. */
#ifndef WEFT_GENERATE_H
#define WEFT_GENERATE_H

#include "sample.h"
#include "session.h"

#pragma GCC visibility push(hidden)

enum { MOST_DIMS = 64, MOST_INPUTS = 64 };

typedef struct weft_generation {
  weft_session *session;
  const weft_generate_desc *desc;
  const weft_entry_desc *prefill, *step;
  weft_generate_options options;
  weft_sampling sampling;
  weft_generate_room *room;
  weft_sequence *sequences;
  int64_t count;   /* rows of the next call: prompts; in beam search, once they are fed, hypotheses */
  int64_t running; /* rows (in beam search: prompts) that have not ended */
  int32_t token_dtype;
  bool stored;     /* a call of the prefill entry has written to the caches */
} weft_generation;

/* Feeds the prompts in as few calls as the session's largest T allows; every sequence has a token in each call. Empties the
 * caches before, unless it appends. When it fails lengths are as they were, or 0 where what was there is overwritten. */
weft_status weft_generation_feed(weft_generation *g);

/* One step: feeds room->last. Rows with room->done ride along; their lengths are put back afterwards, so that what the
 * step stored for them does not count. */
weft_status weft_generation_step(weft_generation *g);

/* The logits that follow row b's last real token, from the last call, which was of entry `index`. */
const float *weft_generation_logits(weft_generation *g, int32_t index, int64_t b, int64_t *vocabulary);

/* New tokens that sequence b may have at most; the cache may hold fewer. */
int64_t weft_generation_limit(const weft_generation *g, int64_t b);
bool weft_generation_stops(const weft_generation *g, int64_t token);

/* Beam search from prompts that are checked. */
weft_status weft_generation_beams(weft_generation *g);

#pragma GCC visibility pop
#endif /* WEFT_GENERATE_H */
