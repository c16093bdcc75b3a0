/* Filling: threads claim pieces in the parameters' order, so that what was claimed before a piece that fails is
 * complete. A piece is small enough to stay in a core's cache from its reading to its last copy. */
#include "fill.h"

#include "checked.h"
#include "cpu.h"
#include "memory.h"
#include "pack.h"
#include "threads.h"

#include <string.h>

enum {
  PIECE_BYTES = 512 << 10, /* of the parameter: with its raw form and its copies it fits a cache of 2 MB */
  PARALLEL_FROM = 4 << 20, /* bytes; below, starting threads takes longer than filling */
  BAD_BOOL = 0xffff
};
#define NO_FAILURE (~0ull)

/* Memory of one thread for the stages of a piece; offsets in its scratch. */
typedef struct rooms {
  int64_t raw, turned, param, view, bytes;
} rooms;

typedef struct filling {
  weft_model *model;
  const weft_tensor_file *file;
  weft_origin *origins;
  uint64_t seed;
  rooms rooms;
  int64_t pieces;
  bool turns_whole; /* a tensor in one piece */
  atomic_llong next;
  atomic_int stop;
} filling;

static int64_t element_bytes(const filling *f, int32_t p) { return (int64_t)weft_dtype_size(f->model->desc->param[p].dtype); }

static const weft_use *use_at(const weft_model *model, int32_t p, int32_t u) { return &model->uses[model->params[p].first_use + u]; }

/* ---- Planning --------------------------------------------------------------------------------------------------- */

/* Elements after which a target continues in whole panels of columns, or in whole rows. */
static int64_t unit_of(const weft_target *target) {
  int64_t unit = target->stride_k;
  if (target->stride_n > target->stride_k && (target->stride_n == 1 || !weft_ck_mul(target->stride_n, target->nr, &unit))) return 1;
  return unit > 0 ? unit : 1;
}

/* Elements of a piece: about PIECE_BYTES, ending where a target's panels end if they are not much larger. */
static int64_t piece_elements(const filling *f, int32_t p, const weft_origin *origin) {
  const weft_model *model = f->model;
  int64_t elements = PIECE_BYTES / element_bytes(f, p), unit = 1;
  for (int32_t u = 0; u < model->params[p].uses; ++u) {
    weft_target target;
    if (!weft_use_target(model, p, use_at(model, p, u), origin->turned, &target)) continue;
    int64_t wanted = unit_of(&target);
    if (wanted > unit && wanted <= 2 * elements) unit = wanted;
  }
  return unit > elements ? unit : elements / unit * unit;
}

static void at_least(int64_t *room, int64_t bytes) {
  if (bytes > *room) *room = bytes;
}

/* Decides how a parameter is brought and what room its pieces need. `sizes`: bytes of each room. */
static void plan_origin(filling *f, int32_t p, rooms *sizes) {
  const weft_model *model = f->model;
  const weft_param_desc *param = &model->desc->param[p];
  const weft_tensor_info *info = NULL;
  weft_origin *origin = &f->origins[p];
  atomic_init(&origin->nonfinite, 0);
  atomic_init(&origin->failure, NO_FAILURE);
  origin->turned = origin->whole = false;
  origin->pieces = 0;
  origin->first_piece = f->pieces;
  if (origin->kind == WEFT_ORIGIN_NONE || !model->params[p].elements) return;
  if (origin->kind == WEFT_ORIGIN_FILE) {
    info = weft_tensor_file_at(f->file, origin->tensor);
    origin->turned = param->transpose != 0;
    for (int32_t u = 0; u < model->params[p].uses && origin->turned && !origin->whole; ++u) {
      weft_target target;
      origin->whole = !weft_use_target(model, p, use_at(model, p, u), true, &target);
    }
    if (origin->whole) origin->turned = false;
  }
  const int64_t elements = model->params[p].elements;
  origin->piece = origin->whole ? elements : piece_elements(f, p, origin);
  if (origin->piece > elements) origin->piece = elements;
  origin->pieces = (elements - 1) / origin->piece + 1;
  f->pieces += origin->pieces;
  if (info && (origin->whole || info->dtype != param->dtype)) at_least(&sizes->raw, origin->piece * (int64_t)weft_dtype_size(info->dtype));
  f->turns_whole |= origin->whole;
  if (origin->whole) at_least(&sizes->turned, origin->piece * (int64_t)weft_dtype_size(info->dtype));
  if (origin->kind != WEFT_ORIGIN_MEMORY && (!model->params[p].data || origin->turned)) at_least(&sizes->param, origin->piece * element_bytes(f, p));
  for (int32_t u = 0; u < model->params[p].uses; ++u) {
    int32_t dtype = model->variant->view[use_at(model, p, u)->view].dtype;
    if (dtype != param->dtype) at_least(&sizes->view, origin->piece * (int64_t)weft_dtype_size(dtype));
  }
}

/* ---- One piece -------------------------------------------------------------------------------------------------- */

/* Elements that are NaN or infinite: their exponent's bits are all set. Adding its lowest bit then carries into the sign,
 * which first tells, in a loop that is nothing but three operations, whether there are any. */
#define COUNT_NONFINITE(TYPE, EXPONENT, LOWEST)                                                        \
  do {                                                                                                 \
    const TYPE *bits = data;                                                                           \
    TYPE any = 0;                                                                                      \
    for (int64_t i = 0; i < elements; ++i) any |= (TYPE)((bits[i] & (EXPONENT)) + (LOWEST));           \
    if (any >> (sizeof(TYPE) * 8 - 1))                                                                 \
      for (int64_t i = 0; i < elements; ++i) count += (bits[i] & (EXPONENT)) == (EXPONENT);            \
  } while (0)

static int64_t count_nonfinite(const void *data, int32_t dtype, int64_t elements) {
  int64_t count = 0;
  if (dtype == WEFT_F32) COUNT_NONFINITE(uint32_t, 0x7f800000u, 0x800000u);
  else if (dtype == WEFT_F64) COUNT_NONFINITE(uint64_t, 0x7ff0000000000000u, 0x10000000000000u);
  else if (dtype == WEFT_F16) COUNT_NONFINITE(uint16_t, 0x7c00u, 0x400u);
  else if (dtype == WEFT_BF16) COUNT_NONFINITE(uint16_t, 0x7f80u, 0x80u);
  return count;
}

static bool are_bools(const unsigned char *bytes, int64_t count) {
  unsigned char bad = 0;
  for (int64_t i = 0; i < count; ++i) bad |= bytes[i] > 1;
  return !bad;
}

/* Reads a piece and brings it into the parameter's type and, for a whole one, order. 0, or what failed. */
static unsigned read_piece(filling *f, int32_t p, int64_t begin, int64_t count, void *place, char *scratch, const void **out) {
  const weft_param_desc *param = &f->model->desc->param[p];
  const weft_tensor_info *info = weft_tensor_file_at(f->file, f->origins[p].tensor);
  const int64_t size = (int64_t)weft_dtype_size(info->dtype);
  const bool converts = info->dtype != param->dtype, whole = f->origins[p].whole;
  void *raw = converts || whole ? scratch + f->rooms.raw : place;
  int code = weft_read_tensor(f->file, info, raw, count * size, begin * size);
  if (code) return (unsigned)-code;
  if (info->dtype == WEFT_BOOL && !are_bools(raw, count)) return BAD_BOOL;
  *out = raw;
  if (whole) {
    void *turned = converts ? scratch + f->rooms.turned : place;
    weft_transpose(turned, raw, (size_t)size, param->shape[0], param->shape[1]);
    *out = turned;
  }
  if (converts) {
    weft_convert(place, param->dtype, *out, info->dtype, count);
    *out = place;
  }
  return 0;
}

/* Copies a piece to everything that reads it. */
static void scatter(const filling *f, int32_t p, int64_t begin, int64_t end, const void *piece, char *scratch) {
  const weft_model *model = f->model;
  const bool turned = f->origins[p].turned;
  const int32_t dtype = model->desc->param[p].dtype;
  const void *own = model->params[p].data;
  int32_t converted = dtype;
  if (own && piece != (const char *)own + begin * element_bytes(f, p)) {
    weft_target target = weft_own_target(model, p, turned);
    weft_pack(&target, piece, begin, end);
  }
  for (int32_t u = 0; u < model->params[p].uses; ++u) {
    const weft_use *use = use_at(model, p, u);
    weft_target target;
    if (model->views[use->view] == own || !weft_use_target(model, p, use, turned, &target)) continue;
    if (target.dtype != dtype && converted != target.dtype) {
      weft_convert(scratch + f->rooms.view, target.dtype, piece, dtype, end - begin);
      converted = target.dtype;
    }
    weft_pack(&target, target.dtype == dtype ? piece : scratch + f->rooms.view, begin, end);
  }
}

static void fail_piece(filling *f, weft_origin *origin, int64_t piece, unsigned what) {
  unsigned long long mine = (unsigned long long)piece << 16 | what, least = atomic_load(&origin->failure);
  while (mine < least && !atomic_compare_exchange_weak(&origin->failure, &least, mine)) continue;
  atomic_store(&f->stop, 1);
}

static void fill_piece(filling *f, int32_t p, int64_t index, char *scratch) {
  const weft_model *model = f->model;
  weft_origin *origin = &f->origins[p];
  const int64_t elements = model->params[p].elements, begin = index * origin->piece;
  const int64_t end = elements - begin < origin->piece ? elements : begin + origin->piece, size = element_bytes(f, p);
  char *own = model->params[p].data;
  void *place = own && !origin->turned ? own + begin * size : scratch + f->rooms.param;
  const void *piece = place;
  if (origin->kind == WEFT_ORIGIN_MEMORY) {
    piece = (const char *)origin->data + begin * size;
  } else if (origin->kind == WEFT_ORIGIN_DRAWN) {
    weft_init_elements(&model->desc->param[p], elements, f->seed, begin, end, place);
  } else {
    unsigned failed = read_piece(f, p, begin, end - begin, place, scratch, &piece);
    if (failed) {
      fail_piece(f, origin, index, failed);
      return;
    }
    atomic_fetch_add(&origin->nonfinite, count_nonfinite(piece, model->desc->param[p].dtype, end - begin));
  }
  scatter(f, p, begin, end, piece, scratch);
}

/* ---- Running ---------------------------------------------------------------------------------------------------- */

/* Touches its part of the weights' huge pages. Two threads that first write to one page at the same time would both make
 * the system clear one, and each piece writes to many. */
static void touch_pages(const void *args, int64_t begin, int64_t end, void *scratch) {
  const weft_model *model = ((const filling *)args)->model;
  (void)scratch;
  for (int64_t page = begin; page < end; ++page) ((volatile char *)model->weights)[page * WEFT_HUGE_PAGE] = 0;
}

/* A launch's part: claims pieces until there are none. */
static void fill_pieces(const void *args, int64_t part, int64_t end, void *scratch) {
  filling *f = (filling *)(uintptr_t)args;
  /* Workers flush denormals; what is stored must not depend on who stores it. */
  unsigned before = weft_enter_plain_float_state();
  int32_t p = 0;
  (void)part;
  (void)end;
  while (!atomic_load(&f->stop)) {
    int64_t piece = atomic_fetch_add(&f->next, 1);
    if (piece >= f->pieces) break;
    while (piece >= f->origins[p].first_piece + f->origins[p].pieces) ++p;
    fill_piece(f, p, piece - f->origins[p].first_piece, scratch);
  }
  weft_restore_float_state(before);
}

static int64_t thread_count(const filling *f, int64_t bytes) {
  int64_t threads = f->model->options.threads > 0 ? f->model->options.threads : weft_cpu_count();
  if (bytes < PARALLEL_FROM || f->turns_whole) return 1; /* the room for a whole tensor is spent once */
  if (threads > WEFT_MAX_THREADS) threads = WEFT_MAX_THREADS;
  return threads < f->pieces ? threads : f->pieces;
}

static bool place_rooms(const rooms *sizes, rooms *out) {
  int64_t at = 0;
  int64_t *const offsets[] = {&out->raw, &out->turned, &out->param, &out->view};
  const int64_t bytes[] = {sizes->raw, sizes->turned, sizes->param, sizes->view};
  for (int i = 0; i < 4; ++i) {
    int64_t aligned;
    *offsets[i] = at;
    if (!weft_ck_align(bytes[i], WEFT_ALIGNMENT, &aligned) || !weft_ck_add(at, aligned, &at)) return false;
  }
  /* Two lines that no other thread touches. */
  return weft_ck_add(at, 2 * WEFT_ALIGNMENT, &out->bytes);
}

/* `fresh`: nobody has written to the weights yet. */
static weft_status run(filling *f, int64_t threads, bool fresh) {
  weft_model *model = f->model;
  int64_t bytes = threads * f->rooms.bytes;
  char *scratch = weft_allocate(&model->allocator, bytes);
  if (!scratch) return weft_fail(&model->error, WEFT_ERR_MEMORY, "%s: out of memory", model->desc->name);
  weft_threads *pool = NULL;
  if (threads > 1 && weft_threads_create(threads, &model->allocator, &pool) == WEFT_OK) threads = weft_threads_count(pool);
  weft_job job = {touch_pages, f, model->weights_bytes / WEFT_HUGE_PAGE, threads, scratch, f->rooms.bytes};
  if (pool && threads > 1 && fresh) weft_threads_run(pool, &job);
  job.kernel = fill_pieces;
  job.tasks = threads;
  if (!pool || threads < 2 || !weft_threads_run(pool, &job)) fill_pieces(f, 0, 1, scratch);
  weft_threads_destroy(pool);
  weft_release(&model->allocator, scratch, bytes);
  return WEFT_OK;
}

/* The outcome of one parameter. */
static weft_status finish(const filling *f, int32_t p) {
  weft_model *model = f->model;
  const weft_quoted name = weft_quote(model->desc->param[p].file_name);
  const unsigned long long failure = atomic_load(&f->origins[p].failure);
  const long long bad = atomic_load(&f->origins[p].nonfinite);
  if (failure != NO_FAILURE && (failure & 0xffff) == BAD_BOOL)
    return weft_fail(&model->error, WEFT_ERR_FORMAT, "tensor '%s': expected bools of 0 or 1 but got another byte", name.text);
  if (failure != NO_FAILURE) return weft_fail(&model->error, WEFT_ERR_IO, "tensor '%s': cannot read: %s", name.text, weft_errno(-(int)(failure & 0xffff)).text);
  if (bad && model->options.reject_nonfinite) return weft_fail(&model->error, WEFT_ERR_FORMAT, "tensor '%s': %lld elements are not finite", name.text, bad);
  if (bad) weft_log(model->options.log, model->options.log_user, WEFT_LOG_WARNING, "tensor '%s': %lld elements are not finite", name.text, bad);
  return WEFT_OK;
}

weft_status weft_fill(weft_model *model, const weft_tensor_file *file, weft_origin *origins, uint64_t seed) {
  filling f = {.model = model, .file = file, .origins = origins, .seed = seed};
  rooms sizes = {0};
  int64_t bytes = 0;
  const bool fresh = !model->weights;
  weft_status status = weft_allocate_weights(model);
  if (status) return status;
  for (int32_t p = 0; p < model->desc->params; ++p) {
    plan_origin(&f, p, &sizes);
    if (origins[p].pieces && !weft_ck_add(bytes, weft_param_bytes(model, p), &bytes)) bytes = INT64_MAX;
  }
  if (!place_rooms(&sizes, &f.rooms)) return weft_fail(&model->error, WEFT_ERR_LIMIT, "%s: the weights are too large", model->desc->name);
  atomic_init(&f.next, 0);
  atomic_init(&f.stop, 0);
  status = run(&f, thread_count(&f, bytes), fresh);
  if (status) return status; /* nothing was written */
  /* Those after one that failed may be written in part. */
  for (int32_t p = 0; p < model->desc->params; ++p) {
    if (origins[p].kind == WEFT_ORIGIN_NONE) continue;
    if (!status) status = finish(&f, p);
    model->params[p].set = !status;
  }
  return status;
}
