/* The caches of a session: how long each sequence is, and how it becomes shorter. */
#include "kept.h"

weft_status weft_session_set_valid(weft_session *session, const int32_t *valid, int64_t count) {
  weft_status status = weft_session_enter(session);
  if (status) return status;
  if (!valid) {
    session->valid_count = -1;
  } else if (count < 0 || count > session->batch) {
    status = weft_fail(&session->error, WEFT_ERR_ARGUMENT, "%s: expected numbers of real tokens for at most %lld sequences but got %lld",
                       session->desc->name, (long long)session->batch, (long long)count);
  } else {
    for (int64_t b = 0; b < count; ++b) session->valid[b] = valid[b];
    session->valid_count = count;
  }
  weft_session_leave(session);
  return status;
}

weft_status weft_session_reset(weft_session *session) {
  weft_status status = weft_session_enter(session);
  if (status) return status;
  for (int32_t s = 0; s < session->desc->states; ++s)
    for (int64_t b = 0; b < session->batch; ++b) session->caches[s].lengths[b] = 0;
  weft_kept_forget(session);
  session->valid_count = -1;
  weft_session_leave(session);
  return WEFT_OK;
}

weft_status weft_session_rewind(weft_session *session, int32_t state, int64_t sequence, int64_t length) {
  weft_status status = weft_session_enter(session);
  if (status) return status;
  const char *name = session->desc->name;
  if (state < 0 || state >= session->desc->states)
    status = weft_fail(&session->error, WEFT_ERR_ARGUMENT, "%s: expected a state 0..%d but got %d", name, session->desc->states - 1, state);
  else if (sequence < 0 || sequence >= session->batch)
    status = weft_fail(&session->error, WEFT_ERR_ARGUMENT, "%s: expected a sequence 0..%lld but got %lld", name, (long long)session->batch - 1,
                       (long long)sequence);
  else if (length < 0 || length > session->caches[state].lengths[sequence])
    status = weft_fail(&session->error, WEFT_ERR_LENGTH, "%s: sequence %lld of '%s': expected a length 0..%lld but got %lld", name, (long long)sequence,
                       session->desc->state[state].name, (long long)session->caches[state].lengths[sequence], (long long)length);
  else
    session->caches[state].lengths[sequence] = length;
  weft_session_leave(session);
  return status;
}

int64_t weft_session_length(const weft_session *session, int32_t state, int64_t sequence) {
  if (!weft_session_is(session) || state < 0 || state >= session->desc->states || sequence < 0 || sequence >= session->batch) return -1;
  return session->caches[state].lengths[sequence];
}
