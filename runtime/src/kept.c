/* Kept values of a session: for which sizes they stand there, and whether a call may read them. Each has memory for the
 * session's largest sizes; a call that keeps it writes it densely for its own. */
#include "kept.h"

#include "checked.h"

#include <string.h>

int64_t weft_kept_axes(const weft_model_desc *desc) {
  int64_t axes = 0;
  for (int32_t k = 0; k < desc->kepts; ++k) axes += desc->kept[k].tensor.rank;
  return axes;
}

static const int64_t *sizes_of(const weft_model_desc *desc, const int64_t *sizes, int32_t kept) {
  for (int32_t k = 0; k < kept; ++k) sizes += desc->kept[k].tensor.rank;
  return sizes;
}

bool weft_kept_bytes(const weft_model_desc *desc, const int64_t *dims, int64_t *sizes, int32_t kept, int64_t *out) {
  const weft_tensor_desc *tensor = &desc->kept[kept].tensor;
  int64_t elements;
  desc->kept_shapes(dims, sizes);
  return weft_ck_product(sizes_of(desc, sizes, kept), tensor->rank, &elements) && weft_ck_mul(elements, (int64_t)weft_dtype_size(tensor->dtype), out);
}

static bool mentions(const weft_model *model, int32_t kept, int32_t dim) { return model->kept_mentions[(int64_t)kept * model->desc->dims + dim]; }

/* ---- Calls that recall ------------------------------------------------------------------------------------------ */

/* An entry that keeps the value, for texts. */
static const char *keeper(const weft_model_desc *desc, int32_t kept) {
  for (int32_t e = 0; e < desc->entries; ++e)
    for (int32_t i = 0; i < desc->entry[e].keeps; ++i)
      if (desc->entry[e].keep[i] == kept) return desc->entry[e].name;
  return "?";
}

weft_status weft_kept_present(weft_session *session, int32_t index) {
  const weft_model_desc *desc = session->desc;
  const weft_entry_desc *entry = &desc->entry[index];
  for (int32_t i = 0; i < entry->recalls; ++i)
    if (!session->kept_states[entry->recall[i]].present)
      return weft_fail(&session->error, WEFT_ERR_MISSING, "%s_%s: expected a call of '%s' before, which computes '%s'", desc->name, entry->name,
                       keeper(desc, entry->recall[i]), desc->kept[entry->recall[i]].tensor.name);
  return WEFT_OK;
}

const int64_t *weft_kept_dims(weft_session *session, int32_t index, const int64_t *dims) {
  const weft_model_desc *desc = session->desc;
  const weft_entry_desc *entry = &desc->entry[index];
  if (!entry->recalls) return dims;
  for (int32_t d = 0; d < desc->dims; ++d) {
    session->call_dims[d] = dims[d];
    for (int32_t i = 0; i < entry->recalls && !session->call_dims[d]; ++i)
      if (session->model->mentioned[(int64_t)index * desc->dims + d] == WEFT_MENTIONED_KEPT && mentions(session->model, entry->recall[i], d))
        session->call_dims[d] = session->kept_states[entry->recall[i]].dims[d];
  }
  return session->call_dims;
}

weft_status weft_kept_fits(weft_session *session, int32_t index) {
  const weft_model_desc *desc = session->desc;
  const weft_entry_desc *entry = &desc->entry[index];
  const int64_t *dims = session->plans[index].dims;
  for (int32_t i = 0; i < entry->recalls; ++i) {
    int32_t kept = entry->recall[i];
    const weft_kept_state *state = &session->kept_states[kept];
    for (int32_t d = 0; d < desc->dims; ++d) {
      if (!mentions(session->model, kept, d)) continue;
      bool rows = d == session->model->kept_row_dim[kept];
      if (rows ? dims[d] > state->rows : dims[d] != state->dims[d])
        return weft_fail(&session->error, WEFT_ERR_DIM, "%s_%s: %s is %lld, expected %s%lld, for which '%s' was called", desc->name, entry->name,
                         desc->dim[d].name, (long long)dims[d], rows ? "at most " : "", (long long)(rows ? state->rows : state->dims[d]), keeper(desc, kept));
    }
  }
  return WEFT_OK;
}

/* ---- Calls that keep -------------------------------------------------------------------------------------------- */

void weft_kept_begin(weft_session *session, int32_t index) {
  const weft_entry_desc *entry = &session->desc->entry[index];
  for (int32_t i = 0; i < entry->keeps; ++i) session->kept_states[entry->keep[i]].present = false;
}

void weft_kept_end(weft_session *session, int32_t index) {
  const weft_model_desc *desc = session->desc;
  const weft_entry_desc *entry = &desc->entry[index];
  for (int32_t i = 0; i < entry->keeps; ++i) {
    weft_kept_state *state = &session->kept_states[entry->keep[i]];
    int64_t bytes = 0;
    memcpy(state->dims, session->plans[index].dims, (size_t)desc->dims * sizeof(int64_t));
    weft_kept_bytes(desc, state->dims, session->kept_sizes, entry->keep[i], &bytes);
    int32_t row_dim = session->model->kept_row_dim[entry->keep[i]];
    state->rows = row_dim >= 0 ? state->dims[row_dim] : 0;
    state->row_bytes = state->rows > 0 ? bytes / state->rows : 0;
    state->present = true;
  }
}

void weft_kept_forget(weft_session *session) {
  for (int32_t k = 0; k < session->desc->kepts; ++k) session->kept_states[k].present = false;
}

/* ---- Beam search ------------------------------------------------------------------------------------------------ */

bool weft_kept_has_rows(const weft_model *model, int32_t index) {
  const weft_entry_desc *entry = &model->desc->entry[index];
  for (int32_t i = 0; i < entry->recalls && entry->batch_dim >= 0; ++i)
    if (mentions(model, entry->recall[i], entry->batch_dim) && model->kept_row_dim[entry->recall[i]] != entry->batch_dim) return false;
  return true;
}

static void copy_row(weft_session *session, int32_t kept, int64_t from, int64_t to) {
  const int64_t bytes = session->kept_states[kept].row_bytes;
  for (int64_t round = 0; round < session->desc->kept[kept].rounds && from != to; ++round) {
    char *rows = (char *)session->kept[kept].data + round * session->kept[kept].round_bytes;
    memcpy(rows + to * bytes, rows + from * bytes, (size_t)bytes);
  }
}

/* Whether a value has a row for each sequence; others serve all of them. */
static bool counts_sequences(const weft_session *session, const weft_entry_desc *entry, int32_t kept) {
  return entry->batch_dim >= 0 && session->model->kept_row_dim[kept] == entry->batch_dim;
}

void weft_kept_spread(weft_session *session, int32_t index, int64_t count, int64_t copies) {
  const weft_entry_desc *entry = &session->desc->entry[index];
  for (int32_t i = 0; i < entry->recalls; ++i) {
    if (!counts_sequences(session, entry, entry->recall[i])) continue;
    /* Backwards: the first copy of a sequence is not before its own row. */
    for (int64_t b = count - 1; b >= 0; --b)
      for (int64_t j = copies - 1; j >= 0; --j) copy_row(session, entry->recall[i], b, b * copies + j);
    session->kept_states[entry->recall[i]].rows = count * copies;
  }
}

void weft_kept_gather(weft_session *session, int32_t index, int64_t count, int64_t copies) {
  const weft_entry_desc *entry = &session->desc->entry[index];
  for (int32_t i = 0; i < entry->recalls; ++i) {
    if (!counts_sequences(session, entry, entry->recall[i])) continue;
    for (int64_t b = 0; b < count; ++b) copy_row(session, entry->recall[i], b * copies, b);
    session->kept_states[entry->recall[i]].rows = count;
  }
}
