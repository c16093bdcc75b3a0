/* Filling large weights by several threads: the packed memory is what abi.h says, element by element, for any number of
 * threads, odd sizes and every way in; failures in the middle. */
#include "check.h"
#include "fileops.h"
#include "model.h"
#include "weft/tensors.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- A model of odd sizes, of more than 4 MB so that threads are used. -------------------------------------------- */

enum { WORDS = 1031, WIDTH = 517, ROWS = 703, COLUMNS = 901, LONG = 300007, DEPTH = 7, NR = 16 };
enum { EMBEDDING, TURNED, VECTOR, CUBE, PARAMS };

static const weft_param_desc params[] = {
    {"embedding", "file.embedding", WEFT_F32, 2, {WORDS, WIDTH}, 0, 0, WEFT_INIT_NORMAL, 0, 1, 1000},
    {"turned", "file.turned", WEFT_F32, 2, {ROWS, COLUMNS}, 1, 0, WEFT_INIT_UNIFORM, -1, 1, -1},
    {"vector", "file.vector", WEFT_F32, 1, {LONG}, 0, 0, WEFT_INIT_TRUNC_NORMAL, 0, 1, -1},
    {"cube", "file.cube", WEFT_F32, 3, {101, 53, DEPTH}, 0, 0, WEFT_INIT_NORMAL, 1, 2, -1},
};
static const weft_view_source sources[] = {
    {EMBEDDING, 0, WORDS * WIDTH, 0, 0},                /* 0: rows that are looked up */
    {EMBEDDING, 0, WORDS, 1, WIDTH},                    /* 1: the same, transposed */
    {TURNED, 0, COLUMNS, COLUMNS, 1},                   /* 2: against its order in the file */
    {TURNED, 5 * COLUMNS, ROWS - 6, 1, COLUMNS},        /* 3: along it, between rows 5 and ROWS - 1 */
    {TURNED, 7 * COLUMNS, 3 * COLUMNS, 0, 0},           /* 4: rows, plain */
    {TURNED, 3 * COLUMNS + 11, 40, 0, 0},               /* 5: a part of a row, after rows of another parameter */
    {VECTOR, 3, 100001, 0, 0},                          /* 6 */
    {CUBE, 2, 53, 53 * DEPTH, DEPTH},                   /* 7: no stride is 1 */
    {CUBE, 0, DEPTH, 53 * DEPTH, 1},                    /* 8: beside it */
    {TURNED, 0, 2 * ROWS, COLUMNS / 2 - 1, 1},          /* 9: rows that overlap and cross the parameter's */
    {VECTOR, 1, 13, 23, 0},                             /* 10: one element for every column */
};
static const weft_view_desc views[] = {
    {WEFT_VIEW_PLAIN, WEFT_F32, 0, WORDS * WIDTH, 0, 0, 1},
    {WEFT_VIEW_PANELS, WEFT_F32, WIDTH, WORDS, NR, 1, 1},
    {WEFT_VIEW_PANELS, WEFT_F32, ROWS, COLUMNS, NR, 2, 1},
    {WEFT_VIEW_PANELS, WEFT_BF16, COLUMNS, ROWS - 6, 2 * NR, 3, 1},
    {WEFT_VIEW_PLAIN, WEFT_F32, 0, 3 * COLUMNS + 40 + 100001, 0, 4, 3},
    {WEFT_VIEW_PANELS, WEFT_F64, 101, 53 + DEPTH, NR, 7, 2},
    {WEFT_VIEW_PLAIN, WEFT_F16, 0, 100001, 0, 6, 1},
    {WEFT_VIEW_PANELS, WEFT_F32, 1000, 13, 5, 10, 1},
};
/* And one with a view that is no matrix of its file: the tensor is turned whole. */
static const weft_view_desc crossing_views[] = {{WEFT_VIEW_PANELS, WEFT_F32, 300, 2 * ROWS, NR, 9, 1}, {WEFT_VIEW_PANELS, WEFT_F32, ROWS, COLUMNS, NR, 2, 1}};
static const weft_variant_desc all_views = {"baseline", 0, sizeof views / sizeof *views, views, sources, NULL, NULL};
static const weft_variant_desc crossing = {"baseline", 0, 2, crossing_views, sources, NULL, NULL};

static weft_model_desc describe(const weft_variant_desc *variant) {
  weft_model_desc desc = {.magic = WEFT_ABI_MAGIC, .abi_version = WEFT_ABI_VERSION, .desc_bytes = sizeof(weft_model_desc), .name = "large",
                          .params = PARAMS, .variants = 1, .param = params, .variant = variant};
  return desc;
}

/* ---- What must stand where: abi.h, written plainly. ---------------------------------------------------------------- */

static float *values[PARAMS]; /* in the parameter's order */
static int64_t elements_of(int p) {
  int64_t product = 1;
  for (int i = 0; i < params[p].rank; ++i) product *= params[p].shape[i];
  return product;
}

static int same_element(const void *view, int32_t dtype, int64_t at, float wanted) {
  unsigned char bytes[8];
  const size_t size = weft_dtype_size(dtype);
  weft_convert(bytes, dtype, &wanted, WEFT_F32, 1);
  return !memcmp((const char *)view + at * (int64_t)size, bytes, size);
}

static int64_t wrong_elements(const weft_model *model) {
  int64_t wrong = 0;
  for (int v = 0; v < model->variant->views; ++v) {
    const weft_view_desc *view = &model->variant->view[v];
    int64_t column = 0;
    for (int i = 0; i < view->sources; ++i) {
      const weft_view_source *s = &model->variant->sources[view->first_source + i];
      for (int64_t n = 0; n < s->n; ++n, ++column)
        for (int64_t k = 0; k < (view->kind == WEFT_VIEW_PLAIN ? 1 : view->k); ++k)
          if (view->kind == WEFT_VIEW_PLAIN)
            wrong += !same_element(model->views[v], view->dtype, column, values[s->param][s->offset + n]);
          else
            wrong += !same_element(model->views[v], view->dtype, (column / view->nr * view->k + k) * view->nr + column % view->nr,
                                   values[s->param][s->offset + k * s->stride_k + n * s->stride_n]);
    }
    if (view->kind == WEFT_VIEW_PANELS)
      for (; column % view->nr; ++column)
        for (int64_t k = 0; k < view->k; ++k)
          wrong += !same_element(model->views[v], view->dtype, (column / view->nr * view->k + k) * view->nr + column % view->nr, 0);
  }
  return wrong;
}

static char path[] = "weft-fill-XXXXXX.safetensors";

/* Writes the values as a file of this type; `turned` as it is, the transpose of the parameter. */
static void write_file(int32_t dtype) {
  weft_tensor tensors[PARAMS];
  void *data[PARAMS];
  memset(tensors, 0, sizeof tensors);
  float *turned = malloc((size_t)elements_of(TURNED) * sizeof *turned);
  for (int64_t r = 0; r < ROWS; ++r)
    for (int64_t c = 0; c < COLUMNS; ++c) turned[c * ROWS + r] = values[TURNED][r * COLUMNS + c];
  for (int p = 0; p < PARAMS; ++p) {
    data[p] = malloc((size_t)elements_of(p) * weft_dtype_size(dtype));
    weft_convert(data[p], dtype, p == TURNED ? turned : values[p], WEFT_F32, elements_of(p));
    tensors[p].name = params[p].file_name;
    tensors[p].dtype = dtype;
    tensors[p].rank = params[p].rank;
    for (int i = 0; i < params[p].rank; ++i) tensors[p].shape[i] = params[p].shape[p == TURNED ? 1 - i : i];
    tensors[p].data = data[p];
  }
  CHECK_EQUAL(weft_safetensors_write(path, tensors, PARAMS, NULL, 0, NULL, NULL, 0), WEFT_OK);
  for (int p = 0; p < PARAMS; ++p) free(data[p]);
  free(turned);
}

/* ---- Tests --------------------------------------------------------------------------------------------------------- */

enum { COUNTS = 3 };
static const int64_t thread_counts[COUNTS] = {1, 2, 4};

static weft_model *open_large(const weft_variant_desc *variant, weft_model_options options) {
  static weft_model_desc descs[2];
  weft_model_desc *desc = &descs[variant == &crossing];
  weft_model *model;
  *desc = describe(variant);
  CHECK_EQUAL(weft_model_open(desc, &options, &model), WEFT_OK);
  return model;
}

static void files_are_packed_alike_by_any_number_of_threads(const weft_variant_desc *variant) {
  for (int type = 0; type < 2; ++type) {
    write_file(type ? WEFT_F64 : WEFT_F32);
    for (int i = 0; i < COUNTS; ++i)
      for (int keep = 0; keep < 2; ++keep) {
        weft_model *model = open_large(variant, (weft_model_options){.threads = thread_counts[i], .keep_parameters = keep});
        CHECK_EQUAL(weft_model_load(model, path), WEFT_OK);
        CHECK_EQUAL(wrong_elements(model), 0);
        for (int p = 0; keep && p < PARAMS; ++p) CHECK(!memcmp(model->params[p].data, values[p], (size_t)elements_of(p) * sizeof(float)));
        CHECK_EQUAL(weft_model_load(model, path), WEFT_OK); /* over what is there */
        CHECK_EQUAL(wrong_elements(model), 0);
        weft_model_close(model);
      }
  }
}

static void set_and_init_give_the_same_with_any_number_of_threads(void) {
  void *first = NULL;
  for (int i = 0; i < COUNTS; ++i) {
    weft_model *model = open_large(&all_views, (weft_model_options){.threads = thread_counts[i]});
    for (int p = 0; p < PARAMS; ++p)
      CHECK_EQUAL(weft_model_set(model, params[p].name, values[p], (size_t)elements_of(p) * sizeof(float)), WEFT_OK);
    CHECK_EQUAL(wrong_elements(model), 0);
    CHECK_EQUAL(weft_model_init(model, 99), WEFT_OK);
    CHECK(wrong_elements(model) > 0);
    if (first) CHECK(!memcmp(first, model->weights, (size_t)model->weights_bytes));
    else first = memcpy(malloc((size_t)model->weights_bytes), model->weights, (size_t)model->weights_bytes);
    /* The padding row that begins in the middle of a piece. */
    const float *rows = model->views[0];
    for (int64_t j = 0; j < WIDTH; ++j) CHECK(rows[1000 * WIDTH + j] == 0);
    CHECK(rows[1000 * WIDTH - 1] != 0 && rows[1001 * WIDTH] != 0);
    weft_model_close(model);
  }
  free(first);
}

static void drawn_elements_do_not_depend_on_the_piece(void) {
  static float whole[1000], piece[1000];
  weft_init_elements(&params[EMBEDDING], 1000, 5, 0, 1000, whole);
  for (int64_t begin = 0; begin < 9; ++begin)
    for (int64_t end = begin; end <= 1000; end += 111) {
      weft_init_elements(&params[EMBEDDING], 1000, 5, begin, end, piece);
      CHECK(!memcmp(piece, whole + begin, (size_t)(end - begin) * sizeof *piece));
    }
}

/* Reading fails from this position of the file on, or gives little at a time. */
typedef struct trouble {
  int64_t fail_from;
  int code;
  size_t at_most;
} trouble;

static int64_t troubled_read(void *user, int file, void *buffer, size_t bytes, int64_t offset) {
  const trouble *t = user;
  if (offset + (int64_t)bytes > t->fail_from) return t->code;
  return weft_system_files()->read(NULL, file, buffer, bytes < t->at_most ? bytes : t->at_most, offset);
}

static int missing(const weft_model *model) {
  int count = 0;
  for (int p = 0; p < PARAMS; ++p) count += !model->params[p].set;
  return count;
}

static void a_failed_read_leaves_the_rest_missing(void) {
  write_file(WEFT_F32);
  weft_tensor_file *file;
  CHECK_EQUAL(weft_tensor_file_open(path, NULL, &file), WEFT_OK);
  for (int i = 0; i < COUNTS; i += 2)
    for (int p = 0; p < PARAMS; ++p)
      for (int late = 0; late < 2; ++late) {
        const weft_tensor_info *info = weft_tensor_file_at(file, weft_tensor_file_find(file, params[p].file_name));
        trouble t = {info->offset + (late ? info->bytes - 4 : 0), -EIO, 1 << 30};
        weft_file_ops files = *weft_system_files();
        files.user = &t;
        files.read = troubled_read;
        weft_model *model = open_large(&all_views, (weft_model_options){.threads = thread_counts[i], .files = &files});
        char text[100];
        snprintf(text, sizeof text, "tensor '%s': cannot read: Input/output error", params[p].file_name);
        CHECK_EQUAL(weft_model_load(model, path), WEFT_ERR_IO);
        CHECK_CONTAINS(weft_model_error(model), text);
        CHECK_EQUAL(missing(model), PARAMS - p); /* the file has the parameters' order */
        t.code = 0;                              /* the file has become shorter */
        CHECK_EQUAL(weft_model_load(model, path), WEFT_ERR_IO);
        CHECK_CONTAINS(weft_model_error(model), "cannot read: the file ends too early");
        t.fail_from = INT64_MAX; /* the model is as good as before */
        t.at_most = 100003;
        CHECK_EQUAL(weft_model_load(model, path), WEFT_OK);
        CHECK_EQUAL(missing(model), 0);
        CHECK_EQUAL(wrong_elements(model), 0);
        weft_model_close(model);
      }
  weft_tensor_file_close(file);
}

static void refused_elements_are_counted_over_all_pieces(void) {
  float *x = values[EMBEDDING], first = x[0], last = x[WORDS * WIDTH - 1];
  x[0] = NAN;
  x[WORDS * WIDTH - 1] = -INFINITY;
  write_file(WEFT_F32);
  for (int i = 0; i < COUNTS; ++i) {
    weft_model *model = open_large(&all_views, (weft_model_options){.threads = thread_counts[i], .reject_nonfinite = 1});
    CHECK_EQUAL(weft_model_load(model, path), WEFT_ERR_FORMAT);
    CHECK_CONTAINS(weft_model_error(model), "tensor 'file.embedding': 2 elements are not finite");
    CHECK_EQUAL(missing(model), PARAMS);
    weft_model_close(model);
  }
  x[0] = first;
  x[WORDS * WIDTH - 1] = last;
}

int main(void) {
  uint32_t state = 1;
  for (int p = 0; p < PARAMS; ++p) {
    values[p] = malloc((size_t)elements_of(p) * sizeof(float));
    for (int64_t i = 0; i < elements_of(p); ++i) values[p][i] = (float)((state = state * 1664525u + 1013904223u) >> 8) * 0x1p-24f - 0.5f;
  }
  values[VECTOR][2] = 1e-39f; /* denormals stay what they are, whichever thread converts them */
  values[VECTOR][100000] = 3e-7f;
  values[EMBEDDING][5] = -2e-41f;
  int file = mkstemps(path, 12);
  if (file < 0) return 1;
  close(file);
  files_are_packed_alike_by_any_number_of_threads(&all_views);
  files_are_packed_alike_by_any_number_of_threads(&crossing);
  set_and_init_give_the_same_with_any_number_of_threads();
  drawn_elements_do_not_depend_on_the_piece();
  a_failed_read_leaves_the_rest_missing();
  refused_elements_are_counted_over_all_pieces();
  unlink(path);
  for (int p = 0; p < PARAMS; ++p) free(values[p]);
  return check_result();
}
