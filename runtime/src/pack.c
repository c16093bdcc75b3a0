/* Scattering pieces of tensors into panels. A piece was just read and lies in the cache: each of its lines is read there
 * as often as it takes, and each line of a panel is written while it is in the cache too. */
#include "pack.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum {
  STREAM_FROM = 64 << 20, /* bytes of all weights: more than caches still hold at the first call */
  BLOCK = 64              /* rows of a panel that are written before the next columns: 16 KB of a panel of 64 floats */
};

/* The tensor's strides from the parameter's, where it is the transpose; false: an axis would cross its rows. */
static bool turn(weft_target *target, int64_t rows, int64_t columns) {
  int64_t row = target->offset / columns, column = target->offset % columns;
  int64_t k_row = target->stride_k / columns, k_column = target->stride_k % columns;
  int64_t n_row = target->stride_n / columns, n_column = target->stride_n % columns;
  if (column + (target->k - 1) * k_column + (target->n - 1) * n_column >= columns) return false;
  target->offset = column * rows + row;
  target->stride_k = k_column * rows + k_row;
  target->stride_n = n_column * rows + n_row;
  return true;
}

/* `n` contiguous elements of the parameter from `offset` on, to `column` on. */
static weft_target plain_target(void *to, int32_t dtype, int64_t column, int64_t offset, int64_t n) {
  weft_target target = {to, dtype, false, column + n, 1, column, 1, n, offset, 0, 1};
  return target;
}

/* The same as a matrix of whole rows, in a tensor that is the transpose; false: it is none. */
static bool turn_plain(weft_target *target, int64_t rows, int64_t columns) {
  int64_t size = (int64_t)weft_dtype_size(target->dtype);
  if (target->offset % columns || target->n % columns) return turn(target, rows, columns);
  target->to = (char *)target->to + target->column * size;
  target->column = 0;
  target->k = target->panel_rows = target->n / columns;
  target->n = target->nr = columns;
  target->stride_k = columns;
  return turn(target, rows, columns);
}

bool weft_use_target(const weft_model *model, int32_t param, const weft_use *use, bool turned, weft_target *out) {
  const weft_view_desc *view = &model->variant->view[use->view];
  const weft_view_source *source = &model->variant->sources[view->first_source + use->source];
  const int64_t *shape = model->desc->param[param].shape;
  void *to = (void *)(uintptr_t)model->views[use->view];
  if (view->kind != WEFT_VIEW_PANELS) {
    *out = plain_target(to, view->dtype, use->column, source->offset, source->n);
    return !turned || !source->n || turn_plain(out, shape[0], shape[1]);
  }
  weft_target target = {to, view->dtype, model->weights_bytes >= STREAM_FROM, view->nr, view->k, use->column, view->k, source->n, source->offset, source->stride_k, source->stride_n};
  *out = target;
  return !turned || !target.k || !target.n || turn(out, shape[0], shape[1]);
}

weft_target weft_own_target(const weft_model *model, int32_t param, bool turned) {
  const weft_param_desc *desc = &model->desc->param[param];
  weft_target target = plain_target(model->params[param].data, desc->dtype, 0, 0, model->params[param].elements);
  if (turned && target.n) turn_plain(&target, desc->shape[0], desc->shape[1]);
  return target;
}

/* ---- Ranges ----------------------------------------------------------------------------------------------------- */

typedef struct range {
  int64_t begin, end;
} range;

static int64_t ceil_div(int64_t a, int64_t b) { return a <= 0 ? 0 : (a - 1) / b + 1; }

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* The i in [0, count) with begin <= at + i * stride < end. */
static range inside(int64_t at, int64_t stride, int64_t count, int64_t begin, int64_t end) {
  range r = {0, at >= begin && at < end ? count : 0};
  if (stride) {
    r.begin = least(ceil_div(begin - at, stride), count);
    r.end = least(ceil_div(end - at, stride), count);
  }
  return r;
}

/* ---- Copies ----------------------------------------------------------------------------------------------------- */

/* Rows [k0, k1) of a panel at `to`, `columns` of it, from `from`, whose element (k, n) is at k * stride_k + n * stride_n. */
#define COPY(TYPE)                                                                                                  \
  static void copy_##TYPE(TYPE *to, int64_t nr, const TYPE *from, int64_t stride_k, int64_t stride_n, int64_t rows, \
                          int64_t columns) {                                                                        \
    if (stride_n == 1) {                                                                                            \
      for (int64_t k = 0; k < rows; ++k) memcpy(to + k * nr, from + k * stride_k, (size_t)columns * sizeof(TYPE));  \
      return;                                                                                                       \
    }                                                                                                               \
    for (int64_t k0 = 0; k0 < rows; k0 += BLOCK) {                                                                  \
      const int64_t k1 = least(rows, k0 + BLOCK);                                                                   \
      int64_t n = 0;                                                                                                \
      if (stride_k == 1)                                                                                            \
        for (; n + 4 <= columns; n += 4) turn4_##TYPE(to + k0 * nr + n, nr, from + k0 + n * stride_n, stride_n, k1 - k0); \
      for (; n < columns; ++n)                                                                                      \
        for (int64_t k = k0; k < k1; ++k) to[k * nr + n] = from[k * stride_k + n * stride_n];                       \
    }                                                                                                               \
  }

/* Four columns: to[k * nr + j] = from[j * stride + k]. */
#define TURN4(TYPE)                                                                                          \
  static void turn4_##TYPE(TYPE *to, int64_t nr, const TYPE *from, int64_t stride, int64_t rows) {           \
    for (int64_t k = 0; k < rows; ++k)                                                                       \
      for (int64_t j = 0; j < 4; ++j) to[k * nr + j] = from[j * stride + k];                                 \
  }
TURN4(uint8_t)
TURN4(uint16_t)
TURN4(uint64_t)
#ifdef __SSE2__
static void turn4_uint32_t(uint32_t *to, int64_t nr, const uint32_t *from, int64_t stride, int64_t rows) {
  int64_t k = 0;
  for (; k + 4 <= rows; k += 4) {
    __m128i a = _mm_loadu_si128((const __m128i *)(const void *)(from + k)), b = _mm_loadu_si128((const __m128i *)(const void *)(from + stride + k));
    __m128i c = _mm_loadu_si128((const __m128i *)(const void *)(from + 2 * stride + k)), d = _mm_loadu_si128((const __m128i *)(const void *)(from + 3 * stride + k));
    __m128i ab = _mm_unpacklo_epi32(a, b), cd = _mm_unpacklo_epi32(c, d), ab2 = _mm_unpackhi_epi32(a, b), cd2 = _mm_unpackhi_epi32(c, d);
    _mm_storeu_si128((__m128i *)(void *)(to + k * nr), _mm_unpacklo_epi64(ab, cd));
    _mm_storeu_si128((__m128i *)(void *)(to + (k + 1) * nr), _mm_unpackhi_epi64(ab, cd));
    _mm_storeu_si128((__m128i *)(void *)(to + (k + 2) * nr), _mm_unpacklo_epi64(ab2, cd2));
    _mm_storeu_si128((__m128i *)(void *)(to + (k + 3) * nr), _mm_unpackhi_epi64(ab2, cd2));
  }
  for (; k < rows; ++k)
    for (int64_t j = 0; j < 4; ++j) to[k * nr + j] = from[j * stride + k];
}

/* The same past the caches, for memory that is not read soon: whole lines, so that they need not be fetched. */
static void stream_rows(char *to, int64_t to_stride, const char *from, int64_t from_stride, int64_t rows, int64_t bytes) {
  for (int64_t k = 0; k < rows; ++k)
    for (int64_t at = 0; at < bytes; at += 16)
      _mm_stream_si128((__m128i *)(void *)(to + k * to_stride + at), _mm_loadu_si128((const __m128i *)(const void *)(from + k * from_stride + at)));
}

static void stream_turn16(uint32_t *to, int64_t nr, const uint32_t *from, int64_t stride, int64_t rows) {
  for (int64_t k = 0; k + 4 <= rows; k += 4)
    for (int64_t j = 0; j < 16; j += 4) {
      const uint32_t *at = from + j * stride + k;
      uint32_t *line = to + k * nr + j;
      __m128i a = _mm_loadu_si128((const __m128i *)(const void *)at), b = _mm_loadu_si128((const __m128i *)(const void *)(at + stride));
      __m128i c = _mm_loadu_si128((const __m128i *)(const void *)(at + 2 * stride)), d = _mm_loadu_si128((const __m128i *)(const void *)(at + 3 * stride));
      __m128i ab = _mm_unpacklo_epi32(a, b), cd = _mm_unpacklo_epi32(c, d), ab2 = _mm_unpackhi_epi32(a, b), cd2 = _mm_unpackhi_epi32(c, d);
      _mm_stream_si128((__m128i *)(void *)line, _mm_unpacklo_epi64(ab, cd));
      _mm_stream_si128((__m128i *)(void *)(line + nr), _mm_unpackhi_epi64(ab, cd));
      _mm_stream_si128((__m128i *)(void *)(line + 2 * nr), _mm_unpacklo_epi64(ab2, cd2));
      _mm_stream_si128((__m128i *)(void *)(line + 3 * nr), _mm_unpackhi_epi64(ab2, cd2));
    }
  for (int64_t k = rows / 4 * 4; k < rows; ++k)
    for (int64_t j = 0; j < 16; ++j) to[k * nr + j] = from[j * stride + k];
}

/* Whether the copy was done. Lines must be whole. */
static bool stream(const weft_target *t, char *to, const char *from, int64_t size, int64_t rows, int64_t columns) {
  if (!t->stream || (uintptr_t)to % 64 || columns * size % 64 || t->nr * size % 64) return false;
  if (t->stride_n == 1) {
    stream_rows(to, t->nr * size, from, t->stride_k * size, rows, columns * size);
  } else {
    if (t->stride_k != 1 || size != 4) return false;
    for (int64_t k = 0; k < rows; k += BLOCK)
      for (int64_t n = 0; n < columns; n += 16)
        stream_turn16((uint32_t *)(void *)to + k * t->nr + n, t->nr, (const uint32_t *)(const void *)from + k + n * t->stride_n, t->stride_n, least(rows - k, BLOCK));
  }
  return true;
}
#else
TURN4(uint32_t)

static bool stream(const weft_target *t, char *to, const char *from, int64_t size, int64_t rows, int64_t columns) {
  (void)t, (void)to, (void)from, (void)size, (void)rows, (void)columns;
  return false;
}
#endif
COPY(uint8_t)
COPY(uint16_t)
COPY(uint32_t)
COPY(uint64_t)

/* The elements (k, n) of the two ranges; `from` is element 0 of the tensor. */
static void copy(const weft_target *t, const char *piece, int64_t begin, range k, range n) {
  const int64_t size = (int64_t)weft_dtype_size(t->dtype), rows = k.end - k.begin;
  for (int64_t at = n.begin; rows > 0 && at < n.end;) {
    const int64_t column = t->column + at, in_panel = column % t->nr, width = least(t->nr - in_panel, n.end - at);
    char *to = (char *)t->to + ((column / t->nr * t->panel_rows + k.begin) * t->nr + in_panel) * size;
    const char *from = piece + (t->offset + k.begin * t->stride_k + at * t->stride_n - begin) * size;
    at += width;
    if (stream(t, to, from, size, rows, width)) continue;
    switch (size) {
    case 1: copy_uint8_t((void *)to, t->nr, (const void *)from, t->stride_k, t->stride_n, rows, width); break;
    case 2: copy_uint16_t((void *)to, t->nr, (const void *)from, t->stride_k, t->stride_n, rows, width); break;
    case 4: copy_uint32_t((void *)to, t->nr, (const void *)from, t->stride_k, t->stride_n, rows, width); break;
    default: copy_uint64_t((void *)to, t->nr, (const void *)from, t->stride_k, t->stride_n, rows, width); break;
    }
  }
}

void weft_pack(const weft_target *t, const void *piece, int64_t begin, int64_t end) {
  if (!t->k || !t->n || begin >= end) return;
  /* Of the axis with the larger stride, the steps whose whole inner axis lies in the piece, and those before and after
   * of which a part may. */
  const bool by_rows = t->stride_k >= t->stride_n;
  const int64_t outer = by_rows ? t->stride_k : t->stride_n, inner = by_rows ? t->stride_n : t->stride_k;
  const int64_t outer_count = by_rows ? t->k : t->n, inner_count = by_rows ? t->n : t->k, span = (inner_count - 1) * inner;
  const range some = inside(t->offset, outer, outer_count, begin - span, end), all = {0, inner_count};
  range whole = inside(t->offset, outer, outer_count, begin, end - span);
  if (whole.begin >= whole.end) whole.begin = whole.end = some.end;
  for (int64_t i = some.begin; i < some.end; ++i) {
    if (i == whole.begin && whole.begin < whole.end) {
      copy(t, piece, begin, by_rows ? whole : all, by_rows ? all : whole);
      i = whole.end - 1;
      continue;
    }
    const range one = {i, i + 1}, part = inside(t->offset + i * outer, inner, inner_count, begin, end);
    if (part.begin < part.end) copy(t, piece, begin, by_rows ? one : part, by_rows ? part : one);
  }
#ifdef __SSE2__
  if (t->stream) _mm_sfence(); /* before another thread is told */
#endif
}

/* ---- Whole matrices --------------------------------------------------------------------------------------------- */

#define TRANSPOSE(TYPE)                                                                                   \
  do {                                                                                                    \
    const TYPE *source = from;                                                                            \
    TYPE *target = to;                                                                                    \
    for (int64_t i0 = 0; i0 < rows; i0 += 32)                                                             \
      for (int64_t j0 = 0; j0 < columns; j0 += 32)                                                        \
        for (int64_t i = i0; i < rows && i < i0 + 32; ++i)                                                \
          for (int64_t j = j0; j < columns && j < j0 + 32; ++j) target[i * columns + j] = source[j * rows + i]; \
  } while (0)

void weft_transpose(void *to, const void *from, size_t size, int64_t rows, int64_t columns) {
  switch (size) {
  case 1: TRANSPOSE(uint8_t); break;
  case 2: TRANSPOSE(uint16_t); break;
  case 4: TRANSPOSE(uint32_t); break;
  default: TRANSPOSE(uint64_t); break;
  }
}
