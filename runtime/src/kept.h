/* Kept values: what prefills compute once for the steps that follow, like an encoder's output. */
#ifndef WEFT_KEPT_H
#define WEFT_KEPT_H

#include "session.h"

#pragma GCC visibility push(hidden)

/* Bytes of one round of a kept value for these sizes; false: too large. `sizes` has room for all axes of all kept values. */
bool weft_kept_bytes(const weft_model_desc *desc, const int64_t *dims, int64_t *sizes, int32_t kept, int64_t *out);
/* Number of axes of all kept values. */
int64_t weft_kept_axes(const weft_model_desc *desc);

/* Before a call is planned: everything that the entry recalls must be there. */
weft_status weft_kept_present(weft_session *session, int32_t entry);
/* The sizes of a call: where the caller gave 0, what the entry recalls knows better. Returns `dims` or memory of the session. */
const int64_t *weft_kept_dims(weft_session *session, int32_t entry, const int64_t *dims);
/* After a call is planned: its sizes must be those for which its recalled values were kept, its sequences among them. */
weft_status weft_kept_fits(weft_session *session, int32_t entry);

/* A call that keeps values begins: what was there is gone. And it has succeeded. */
void weft_kept_begin(weft_session *session, int32_t entry);
void weft_kept_end(weft_session *session, int32_t entry);
void weft_kept_forget(weft_session *session);

/* Whether the values that an entry recalls can be copied sequence by sequence. */
bool weft_kept_has_rows(const weft_model *model, int32_t entry);
/* Beam search: gives `copies` sequences in a row to each of the first `count`, or takes the first of each `copies` back. */
void weft_kept_spread(weft_session *session, int32_t entry, int64_t count, int64_t copies);
void weft_kept_gather(weft_session *session, int32_t entry, int64_t count, int64_t copies);

#pragma GCC visibility pop
#endif /* WEFT_KEPT_H */
