/* A session's caches and kept values in a file, and back. The file is safetensors: of each state the positions that are in
 * use, of each kept value the bytes for its sizes. Reading checks everything, the digest last, before it changes anything. */
#include "digest.h"
#include "kept.h"
#include "memory.h"
#include "tensor_file.h"

#include "checked.h"

#include <stdio.h>
#include <string.h>

enum { NAME_ROOM = 1025 };

/* One tensor of the file: data or numbers of a state or of a kept value. */
typedef struct piece {
  char name[NAME_ROOM];
  weft_tensor tensor;
  int64_t bytes;
  int64_t index; /* in the file that is read; -1: not there */
} piece;

typedef struct snapshot {
  weft_session *session;
  const weft_model_desc *desc;
  const char *path;
  int32_t count; /* of pieces: two of each state, then two of each kept value */
  piece *pieces;
  weft_tensor *tensors; /* those that are there, for the writer */
  int64_t table_bytes;
  void *data;
  int64_t data_bytes;
} snapshot;

static weft_status fail(snapshot *s, weft_status status, const char *text) {
  return weft_fail(&s->session->error, status, "%s: '%s': %s", s->desc->name, weft_quote(s->path).text, text);
}

static weft_status fail_piece(snapshot *s, weft_status status, const piece *p, const char *what, int64_t expected, int64_t got) {
  char text[200];
  snprintf(text, sizeof text, "%s: expected %s%lld but got %lld", weft_quote(p->name).text, what, (long long)expected, (long long)got);
  return fail(s, status, text);
}

static weft_status begin(snapshot *s, weft_session *session, const char *path) {
  memset(s, 0, sizeof *s);
  s->session = session;
  s->desc = session->desc;
  s->path = path ? path : "";
  s->count = 2 * (s->desc->states + s->desc->kepts);
  s->table_bytes = (s->count + 1) * (int64_t)(sizeof(piece) + sizeof(weft_tensor));
  s->pieces = weft_allocate(&session->allocator, s->table_bytes);
  if (!s->pieces) return fail(s, WEFT_ERR_MEMORY, "out of memory");
  memset(s->pieces, 0, (size_t)s->table_bytes);
  s->tensors = (weft_tensor *)(s->pieces + s->count + 1);
  for (int32_t i = 0; i < s->count; ++i) {
    piece *p = &s->pieces[i];
    int32_t number = i / 2;
    const char *name = number < s->desc->states ? s->desc->state[number].name : s->desc->kept[number - s->desc->states].tensor.name;
    int length = snprintf(p->name, NAME_ROOM, "%s.%s%s", number < s->desc->states ? "cache" : "kept", name,
                          i % 2 == 0 ? "" : number < s->desc->states ? ".lengths" : ".sizes");
    if (length >= NAME_ROOM) return fail(s, WEFT_ERR_UNSUPPORTED, "a name of the model is too long for a file");
    p->tensor.name = p->name;
    p->index = -1;
  }
  return WEFT_OK;
}

static weft_status end(snapshot *s, weft_status status) {
  weft_release(&s->session->allocator, s->data, s->data_bytes);
  weft_release(&s->session->allocator, s->pieces, s->table_bytes);
  return status;
}

/* Memory for the data of all pieces that are there, each at a multiple of 64 bytes. */
static weft_status allocate(snapshot *s) {
  bool good = true;
  for (int pass = 0; pass < 2; ++pass) {
    int64_t at = 0;
    for (int32_t i = 0; i < s->count; ++i) {
      piece *p = &s->pieces[i];
      int64_t elements, room;
      if (p->index < 0) continue;
      good = good && weft_ck_product(p->tensor.shape, p->tensor.rank, &elements) &&
             weft_ck_mul(elements, (int64_t)weft_dtype_size(p->tensor.dtype), &p->bytes) && weft_ck_align(p->bytes, WEFT_ALIGNMENT, &room);
      if (!good) return fail(s, WEFT_ERR_LIMIT, "these sizes are too large");
      if (s->data) p->tensor.data = (char *)s->data + at;
      good = weft_ck_add(at, room, &at);
    }
    if (!good) return fail(s, WEFT_ERR_LIMIT, "these sizes are too large");
    if (pass) break;
    s->data_bytes = at;
    s->data = weft_allocate(&s->session->allocator, at);
    if (!s->data) return fail(s, WEFT_ERR_MEMORY, "out of memory");
  }
  return WEFT_OK;
}

static void set_shape(piece *p, int32_t dtype, int32_t rank, const int64_t *shape) {
  p->tensor.dtype = dtype;
  p->tensor.rank = rank;
  memcpy(p->tensor.shape, shape, (size_t)rank * sizeof(int64_t));
  p->index = 0;
}

static void digest_text(const snapshot *s, char text[20]) {
  weft_digest digest;
  weft_digest_begin(&digest);
  for (int32_t i = 0; i < s->count; ++i)
    if (s->pieces[i].index >= 0) weft_digest_add(&digest, s->pieces[i].tensor.data, (size_t)s->pieces[i].bytes);
  snprintf(text, 20, "%016llx", (unsigned long long)weft_digest_end(&digest));
}

/* ---- Caches: [layers][2][sequences][kv_heads][positions][head_dim] of the session's [..][batch][..][capacity][..] ------- */

static int64_t longest(const weft_cache *cache, int64_t sequences) {
  int64_t most = 0;
  for (int64_t b = 0; b < sequences; ++b) most = cache->lengths[b] > most ? cache->lengths[b] : most;
  return most;
}

/* Copies rows of positions between the session's cache and the file's; what a sequence does not use is 0 in the file. */
static void copy_cache(weft_session *session, int32_t state, const piece *p, const int64_t *lengths, bool to_file) {
  const weft_state_desc *desc = &session->desc->state[state];
  const weft_cache *cache = &session->caches[state];
  const int64_t sequences = p->tensor.shape[2], positions = p->tensor.shape[4];
  const size_t row = (size_t)desc->head_dim * weft_dtype_size(desc->dtype);
  for (int64_t plane = 0; plane < 2 * desc->layers; ++plane)
    for (int64_t b = 0; b < sequences; ++b)
      for (int64_t h = 0; h < desc->kv_heads; ++h) {
        char *own = (char *)cache->data + (size_t)(((plane * cache->batch + b) * desc->kv_heads + h) * desc->capacity) * row;
        char *file = (char *)p->tensor.data + (size_t)(((plane * sequences + b) * desc->kv_heads + h) * positions) * row;
        const size_t used = (size_t)lengths[b] * row;
        if (to_file) {
          memcpy(file, own, used);
          memset(file + used, 0, (size_t)positions * row - used);
        } else {
          memcpy(own, file, used);
        }
      }
}

/* ---- Writing ------------------------------------------------------------------------------------------------------ */

static void shape_to_write(snapshot *s) {
  const weft_model_desc *desc = s->desc;
  weft_session *session = s->session;
  for (int32_t i = 0; i < desc->states; ++i) {
    const weft_state_desc *state = &desc->state[i];
    int64_t sequences = session->batch;
    while (sequences > 0 && session->caches[i].lengths[sequences - 1] == 0) --sequences;
    const int64_t shape[] = {state->layers, 2, sequences, state->kv_heads, longest(&session->caches[i], sequences), state->head_dim};
    set_shape(&s->pieces[2 * i], state->dtype, 6, shape);
    set_shape(&s->pieces[2 * i + 1], WEFT_I64, 1, &sequences);
  }
  for (int32_t k = 0; k < desc->kepts; ++k) {
    const weft_kept_state *state = &session->kept_states[k];
    int64_t bytes = 0;
    if (!state->present) continue;
    weft_kept_bytes(desc, state->dims, session->kept_sizes, k, &bytes);
    const int64_t shape[] = {desc->kept[k].rounds, bytes / (int64_t)weft_dtype_size(desc->kept[k].tensor.dtype)}, sizes = desc->dims + 1;
    set_shape(&s->pieces[2 * (desc->states + k)], desc->kept[k].tensor.dtype, 2, shape);
    set_shape(&s->pieces[2 * (desc->states + k) + 1], WEFT_I64, 1, &sizes);
  }
}

static void fill_to_write(snapshot *s) {
  const weft_model_desc *desc = s->desc;
  weft_session *session = s->session;
  for (int32_t i = 0; i < desc->states; ++i) {
    memcpy((void *)s->pieces[2 * i + 1].tensor.data, session->caches[i].lengths, (size_t)s->pieces[2 * i + 1].bytes);
    copy_cache(session, i, &s->pieces[2 * i], session->caches[i].lengths, true);
  }
  for (int32_t k = 0; k < desc->kepts; ++k) {
    const piece *data = &s->pieces[2 * (desc->states + k)], *sizes = data + 1;
    if (data->index < 0) continue;
    const int64_t round = data->bytes / desc->kept[k].rounds;
    for (int64_t r = 0; r < desc->kept[k].rounds; ++r)
      memcpy((char *)data->tensor.data + r * round, (const char *)session->kept[k].data + r * session->kept[k].round_bytes, (size_t)round);
    memcpy((void *)sizes->tensor.data, session->kept_states[k].dims, (size_t)desc->dims * sizeof(int64_t));
    ((int64_t *)sizes->tensor.data)[desc->dims] = session->kept_states[k].rows;
  }
}

static weft_status write_file(snapshot *s) {
  char digest[20], text[400];
  int32_t count = 0;
  digest_text(s, digest);
  for (int32_t i = 0; i < s->count; ++i)
    if (s->pieces[i].index >= 0) s->tensors[count++] = s->pieces[i].tensor;
  const char *const metadata[] = {"weft.session", "1", "weft.model", s->desc->name, "weft.xxh64", digest};
  weft_tensor_options options = {&s->session->allocator, s->session->model->options.files, s->session->model->options.limits};
  weft_status status = weft_safetensors_write(s->path, s->tensors, count, metadata, 3, &options, text, sizeof text);
  return status ? fail(s, status, text) : WEFT_OK;
}

weft_status weft_session_save(weft_session *session, const char *path) {
  snapshot s;
  weft_status status = weft_session_enter(session);
  if (status) return status;
  status = begin(&s, session, path);
  if (!status) {
    shape_to_write(&s);
    status = allocate(&s);
  }
  if (!status) {
    fill_to_write(&s);
    status = write_file(&s);
  }
  status = end(&s, status);
  weft_session_leave(session);
  return status;
}

/* ---- Reading ------------------------------------------------------------------------------------------------------ */

static weft_status check_axis(snapshot *s, const piece *p, const weft_tensor_info *info, int32_t axis, int64_t expected) {
  return info->shape[axis] == expected ? WEFT_OK : fail_piece(s, WEFT_ERR_FORMAT, p, "another size of an axis: ", expected, info->shape[axis]);
}

/* The numbers that belong to a state or kept value: `count` of them. */
static weft_status check_numbers_of(snapshot *s, const piece *p, const weft_tensor_info *info, int64_t count) {
  bool right = info->dtype == WEFT_I64 && info->rank == 1 && info->shape[0] == count;
  return right ? WEFT_OK : fail_piece(s, WEFT_ERR_FORMAT, p, "numbers: ", count, info->elements);
}

static weft_status check_state(snapshot *s, int32_t i, const weft_tensor_info *info, const weft_tensor_info *lengths) {
  const weft_state_desc *state = &s->desc->state[i];
  const piece *p = &s->pieces[2 * i];
  if (info->dtype != state->dtype) return fail_piece(s, WEFT_ERR_FORMAT, p, "type ", state->dtype, info->dtype);
  if (info->rank != 6) return fail_piece(s, WEFT_ERR_FORMAT, p, "axes: ", 6, info->rank);
  const int64_t expected[] = {state->layers, 2, info->shape[2], state->kv_heads, info->shape[4], state->head_dim};
  for (int32_t axis = 0; axis < 6; ++axis)
    if (check_axis(s, p, info, axis, expected[axis])) return WEFT_ERR_FORMAT;
  if (check_numbers_of(s, p + 1, lengths, info->shape[2])) return WEFT_ERR_FORMAT;
  if (info->shape[2] > s->session->batch)
    return fail_piece(s, WEFT_ERR_LENGTH, p, "sequences of this session: at most ", s->session->batch, info->shape[2]);
  if (info->shape[4] > state->capacity) return fail_piece(s, WEFT_ERR_LENGTH, p, "positions: at most ", state->capacity, info->shape[4]);
  return WEFT_OK;
}

static weft_status check_kept(snapshot *s, int32_t k, const weft_tensor_info *info, const weft_tensor_info *sizes) {
  const weft_kept_desc *kept = &s->desc->kept[k];
  const piece *p = &s->pieces[2 * (s->desc->states + k)];
  if (info->dtype != kept->tensor.dtype) return fail_piece(s, WEFT_ERR_FORMAT, p, "type ", kept->tensor.dtype, info->dtype);
  if (info->rank != 2) return fail_piece(s, WEFT_ERR_FORMAT, p, "axes: ", 2, info->rank);
  return check_axis(s, p, info, 0, kept->rounds) ? WEFT_ERR_FORMAT : check_numbers_of(s, p + 1, sizes, (int64_t)s->desc->dims + 1);
}

/* Finds the tensors, checks them against the model and the session, and gives each its shape. */
static weft_status find_pieces(snapshot *s, const weft_tensor_file *file) {
  int64_t found = 0;
  for (int32_t i = 0; i < s->count; i += 2) {
    const int64_t index[2] = {weft_tensor_file_find(file, s->pieces[i].name), weft_tensor_file_find(file, s->pieces[i + 1].name)};
    const bool isState = i / 2 < s->desc->states;
    if (!isState && index[0] < 0 && index[1] < 0) continue; /* it was not there when the session was saved */
    for (int j = 0; j < 2; ++j) {
      char text[NAME_ROOM + 40];
      snprintf(text, sizeof text, "expected tensor '%s' but it is missing", s->pieces[i + j].name);
      if (index[j] < 0) return fail(s, WEFT_ERR_FORMAT, text);
    }
    const weft_tensor_info *data = weft_tensor_file_at(file, index[0]), *numbers = weft_tensor_file_at(file, index[1]);
    weft_status status = isState ? check_state(s, i / 2, data, numbers) : check_kept(s, i / 2 - s->desc->states, data, numbers);
    if (status) return status;
    set_shape(&s->pieces[i], data->dtype, data->rank, data->shape);
    set_shape(&s->pieces[i + 1], numbers->dtype, numbers->rank, numbers->shape);
    for (int j = 0; j < 2; ++j) s->pieces[i + j].index = index[j];
    found += 2;
  }
  return found == weft_tensor_file_count(file) ? WEFT_OK : fail(s, WEFT_ERR_FORMAT, "it has tensors that are none of this model's");
}

static weft_status read_pieces(snapshot *s, weft_tensor_file *file) {
  char digest[20];
  for (int32_t i = 0; i < s->count; ++i) {
    const piece *p = &s->pieces[i];
    if (p->index < 0) continue;
    weft_status status = weft_tensor_file_read(file, p->index, (void *)p->tensor.data, (size_t)p->bytes);
    if (status) return fail(s, status, weft_tensor_file_error(file));
  }
  digest_text(s, digest);
  const char *expected = weft_tensor_file_metadata(file, "weft.xxh64");
  return expected && !strcmp(expected, digest) ? WEFT_OK : fail(s, WEFT_ERR_FORMAT, "its data is damaged");
}

static weft_status check_lengths(snapshot *s, int32_t state) {
  const piece *data = &s->pieces[2 * state], *lengths = data + 1;
  for (int64_t b = 0; b < data->tensor.shape[2]; ++b) {
    int64_t length = ((const int64_t *)lengths->tensor.data)[b];
    if (length < 0 || length > data->tensor.shape[4])
      return fail_piece(s, WEFT_ERR_FORMAT, lengths, "a length of at most ", data->tensor.shape[4], length);
  }
  return WEFT_OK;
}

/* The largest size of a dim that a call which keeps the value can have in this session. */
static int64_t most_of(const snapshot *s, int32_t k, int32_t d) {
  int64_t most = s->session->max_dims[d];
  for (int32_t e = 0; e < s->desc->entries; ++e) {
    const weft_entry_desc *entry = &s->desc->entry[e];
    for (int32_t i = 0; i < entry->keeps && entry->fixed_dims; ++i)
      if (entry->keep[i] == k && entry->fixed_dims[d] > most) most = entry->fixed_dims[d];
  }
  return most;
}

/* A kept value's own dims must be possible here, and give the size that its data has. The other dims are those of the call
 * that kept it, perhaps in a larger session; nothing reads them. */
static weft_status check_sizes(snapshot *s, int32_t k) {
  const piece *data = &s->pieces[2 * (s->desc->states + k)], *sizes = data + 1;
  const int64_t *dims = sizes->tensor.data, rounds = s->desc->kept[k].rounds;
  const int32_t row_dim = s->session->model->kept_row_dim[k];
  int64_t bytes = 0;
  if (data->index < 0) return WEFT_OK;
  for (int32_t d = 0; d < s->desc->dims; ++d) {
    if (!s->session->model->kept_mentions[(int64_t)k * s->desc->dims + d]) continue;
    const int64_t most = most_of(s, k, d);
    if (dims[d] < 0 || dims[d] > most) return fail_piece(s, WEFT_ERR_DIM, sizes, "a size of this session: at most ", most, dims[d]);
  }
  if (!weft_kept_bytes(s->desc, dims, s->session->kept_sizes, k, &bytes) || bytes > s->session->kept[k].round_bytes || bytes * rounds != data->bytes)
    return fail_piece(s, WEFT_ERR_FORMAT, data, "bytes: ", bytes * rounds, data->bytes);
  const int64_t rows = dims[s->desc->dims], most_rows = row_dim >= 0 ? dims[row_dim] : 0;
  return rows < 0 || rows > most_rows ? fail_piece(s, WEFT_ERR_FORMAT, sizes, "sequences: at most ", most_rows, rows) : WEFT_OK;
}

static weft_status check_numbers(snapshot *s) {
  weft_status status = WEFT_OK;
  for (int32_t i = 0; !status && i < s->desc->states; ++i) status = check_lengths(s, i);
  for (int32_t k = 0; !status && k < s->desc->kepts; ++k) status = check_sizes(s, k);
  return status;
}

static void take_over(snapshot *s) {
  weft_session *session = s->session;
  for (int32_t i = 0; i < s->desc->states; ++i) {
    const piece *data = &s->pieces[2 * i];
    const int64_t *lengths = data[1].tensor.data;
    copy_cache(session, i, data, lengths, false);
    for (int64_t b = 0; b < session->batch; ++b) session->caches[i].lengths[b] = b < data->tensor.shape[2] ? lengths[b] : 0;
  }
  weft_kept_forget(session);
  for (int32_t k = 0; k < s->desc->kepts; ++k) {
    const piece *data = &s->pieces[2 * (s->desc->states + k)];
    weft_kept_state *state = &session->kept_states[k];
    const int32_t row_dim = session->model->kept_row_dim[k];
    if (data->index < 0) continue;
    const int64_t round = data->bytes / s->desc->kept[k].rounds;
    for (int64_t r = 0; r < s->desc->kept[k].rounds; ++r)
      memcpy((char *)session->kept[k].data + r * session->kept[k].round_bytes, (const char *)data->tensor.data + r * round,
             (size_t)round);
    memcpy(state->dims, data[1].tensor.data, (size_t)s->desc->dims * sizeof(int64_t));
    state->rows = ((const int64_t *)data[1].tensor.data)[s->desc->dims];
    state->row_bytes = row_dim >= 0 && state->dims[row_dim] > 0 ? round / state->dims[row_dim] : 0;
    state->present = true;
  }
  session->valid_count = -1;
}

static weft_status read_file(snapshot *s, weft_tensor_file *file) {
  const char *kind = weft_tensor_file_metadata(file, "weft.session"), *model = weft_tensor_file_metadata(file, "weft.model");
  if (!kind || strcmp(kind, "1") || !model) return fail(s, WEFT_ERR_FORMAT, "it is no saved session of this version");
  if (strcmp(model, s->desc->name)) {
    char text[200];
    snprintf(text, sizeof text, "it is a session of model '%s'", weft_quote(model).text);
    return fail(s, WEFT_ERR_FORMAT, text);
  }
  weft_status status = find_pieces(s, file);
  if (!status) status = allocate(s);
  if (!status) status = read_pieces(s, file);
  if (!status) status = check_numbers(s);
  if (!status) take_over(s);
  return status;
}

weft_status weft_session_restore(weft_session *session, const char *path) {
  snapshot s;
  weft_tensor_file *file = NULL;
  weft_status status = weft_session_enter(session);
  if (status) return status;
  status = begin(&s, session, path);
  if (!status) {
    weft_tensor_options options = {&session->allocator, session->model->options.files, session->model->options.limits};
    status = weft_tensor_file_open(s.path, &options, &file);
    if (status) fail(&s, status, file ? weft_tensor_file_error(file) : "out of memory");
  }
  if (!status) status = read_file(&s, file);
  weft_tensor_file_close(file);
  status = end(&s, status);
  weft_session_leave(session);
  return status;
}
