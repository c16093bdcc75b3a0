/* Inputs and outputs of a call: the first element outside its range is named, for every type; what may be left out has its
 * fill; memories do not overlap. */
#include "check.h"
#include "weft/runtime.h"

#include <stdlib.h>

enum { N, M, DIMS };
enum { I8, U8, I32, I64, BOOL, F32, FILLED, INPUTS };
enum { LENGTH = 3000 };

static int32_t seen[4]; /* of the input that may be left out */

static void run(weft_exec *exec) {
  float *y = exec->outputs[0];
  for (int64_t i = 0; i < exec->dims[N]; ++i) y[i] = ((const float *)exec->inputs[F32])[i];
  memcpy(seen, exec->inputs[FILLED], sizeof seen);
  exec->parallel_for(exec, NULL, NULL, 0); /* no tasks: nothing is called */
  if (exec->dims[M] == 3) exec->fault[0] = 99;
}
static void plan(const int64_t *dims, int64_t *offsets) {
  (void)dims;
  offsets[0] = offsets[1] = 0;
}
static void shapes(const int64_t *dims, int64_t *sizes) {
  for (int i = 0; i < 6; ++i) sizes[i] = dims[N];
  sizes[6] = 4;
  sizes[7] = dims[N];
  sizes[8] = dims[M];
}

static const weft_dim_desc dims[] = {{"N", 0, LENGTH, 1, 1}, {"M", 0, 8, 1, 1}};
static const char *const n[] = {"N"}, *const m[] = {"M"}, *const four[] = {"4"};
static weft_tensor_desc inputs[] = {
    {"a", n, 1, WEFT_I8, {N}, 0, 1, -5, 5, 0},     {"b", n, 1, WEFT_U8, {N}, 0, 1, 2, 200, 0}, {"c", n, 1, WEFT_I32, {N}, 0, 1, -1, 7, 0},
    {"d", n, 1, WEFT_I64, {N}, 0, 1, 3, (int64_t)1 << 40, 0}, {"e", n, 1, WEFT_BOOL, {N}, 0, 0, 0, 0, 0}, {"f", n, 1, WEFT_F32, {N}, 0, 1, 0, 1, 0},
    {"g", four, 1, WEFT_I32, {-1}, 1, 0, 0, 0, 7}};
static const weft_tensor_desc outputs[] = {{"y", n, 1, WEFT_F32, {N}, 0, 0, 0, 0, 0}, {"z", m, 1, WEFT_F32, {M}, 0, 0, 0, 0, 0}};
static const int32_t all[] = {I8, U8, I32, I64, BOOL, F32, FILLED};
static const weft_entry_desc entries[] = {{"all", INPUTS, 2, all, outputs, 0, -1, -1, NULL, 0, 0, 0, 0, NULL, NULL, shapes}};
static const weft_entry_fn runs[] = {run};
static const weft_plan_fn plans[] = {plan};
static const weft_variant_desc variants[] = {{.cpu = "any", .entry = runs, .plan = plans}};
static const weft_model_desc desc = {.magic = WEFT_ABI_MAGIC, .abi_version = WEFT_ABI_VERSION, .desc_bytes = sizeof(weft_model_desc), .name = "m",
                                     .dims = DIMS, .inputs = INPUTS, .entries = 1, .variants = 1, .dim = dims, .input = inputs, .entry = entries, .variant = variants};

static int8_t a[LENGTH];
static uint8_t b[LENGTH], e[LENGTH];
static int32_t c[LENGTH];
static int64_t d[LENGTH];
static float f[LENGTH], y[LENGTH], z[8];

static weft_model *model;
static weft_session *session;

static void open_all(void) {
  weft_session_options options = {.threads = 1};
  CHECK_EQUAL(weft_model_open(&desc, NULL, &model), WEFT_OK);
  CHECK_EQUAL(weft_session_create(model, (const int64_t[]){LENGTH, 8}, &options, &session), WEFT_OK);
}
static void close_all(void) {
  weft_session_destroy(session);
  CHECK_EQUAL(weft_model_close(model), WEFT_OK);
}

static void fill(void) {
  for (int i = 0; i < LENGTH; ++i) a[i] = 5, b[i] = 2, c[i] = 7, d[i] = 3, e[i] = 1, f[i] = 9; /* floats have no range */
}

static weft_status call(int64_t length, int64_t more, float *first, float *second, const int32_t *filled) {
  return weft_session_run(session, 0, (const int64_t[]){length, more}, (const void *const[]){a, b, c, d, e, f, filled}, (void *const[]){first, second});
}

static void expect_bad(const char *text) {
  CHECK_EQUAL(call(LENGTH, 1, y, z, NULL), WEFT_ERR_INDEX);
  CHECK_TEXT(weft_session_error(session), text);
}

static void the_first_element_outside_is_named(void) {
  static const int places[] = {0, 1023, 1024, LENGTH - 1};
  char text[100];
  fill();
  CHECK_EQUAL(call(LENGTH, 1, y, z, NULL), WEFT_OK);
  CHECK(y[LENGTH - 1] == 9);
  for (int p = 0; p < 4; ++p) {
    const int at = places[p];
    const struct {
      const char *name;
      int type;
      int64_t wrong, low, high;
    } cases[] = {{"a", I8, -6, -5, 5},  {"a", I8, 6, -5, 5},   {"b", U8, 1, 2, 200}, {"b", U8, 201, 2, 200}, {"c", I32, -2, -1, 7}, {"c", I32, INT32_MAX, -1, 7},
                 {"d", I64, 2, 3, (int64_t)1 << 40}, {"d", I64, INT64_MIN, 3, (int64_t)1 << 40}, {"d", I64, INT64_MAX, 3, (int64_t)1 << 40}, {"e", BOOL, 2, 0, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
      fill();
      for (int later = at; later < LENGTH; later += 700) { /* the first of several */
        if (cases[i].type == I8) a[later] = (int8_t)cases[i].wrong;
        if (cases[i].type == U8) b[later] = (uint8_t)cases[i].wrong;
        if (cases[i].type == I32) c[later] = (int32_t)cases[i].wrong;
        if (cases[i].type == I64) d[later] = cases[i].wrong;
        if (cases[i].type == BOOL) e[later] = (uint8_t)cases[i].wrong;
      }
      snprintf(text, sizeof text, "m_all: %s[%d] is %lld, expected %lld..%lld", cases[i].name, at, (long long)cases[i].wrong, (long long)cases[i].low, (long long)cases[i].high);
      expect_bad(text);
    }
  }
  fill();
}

/* A range beside what the type can hold leaves no value; one that is wider leaves all. */
static void ranges_may_be_wider_than_the_type(void) {
  const weft_tensor_desc before = inputs[I8];
  static const int64_t none[][2] = {{200, 300}, {-300, -200}, {5, -5}}, wide[][2] = {{-1000, 1000}, {INT64_MIN, INT64_MAX}, {-1000, 5}, {5, 1000}};
  for (int i = 0; i < 3; ++i) {
    inputs[I8].low = none[i][0];
    inputs[I8].high = none[i][1];
    CHECK_EQUAL(call(LENGTH, 1, y, z, NULL), WEFT_ERR_INDEX);
    CHECK_CONTAINS(weft_session_error(session), "a[0] is 5");
    CHECK_EQUAL(call(0, 1, y, z, NULL), WEFT_OK); /* nor is there one to refuse */
  }
  for (int i = 0; i < 4; ++i) {
    inputs[I8].low = wide[i][0];
    inputs[I8].high = wide[i][1];
    CHECK_EQUAL(call(LENGTH, 1, y, z, NULL), WEFT_OK);
  }
  inputs[I8] = before;
}

static void what_is_left_out_has_its_fill(void) {
  const int32_t given[] = {1, 2, 3, 4};
  CHECK_EQUAL(call(2, 1, y, z, NULL), WEFT_OK);
  CHECK(seen[0] == 7 && seen[3] == 7);
  CHECK_EQUAL(call(2, 1, y, z, given), WEFT_OK);
  CHECK(seen[0] == 1 && seen[3] == 4);
}

static void outputs_do_not_overlap(void) {
  CHECK_EQUAL(call(8, 4, y, y + 7, NULL), WEFT_ERR_ARGUMENT);
  CHECK_CONTAINS(weft_session_error(session), "overlaps output 'z'");
  CHECK_EQUAL(call(8, 4, y, y + 8, NULL), WEFT_OK);
  CHECK_EQUAL(call(8, 4, y + 4, y, NULL), WEFT_OK);
  CHECK_EQUAL(call(8, 4, f + 4, z, NULL), WEFT_ERR_ARGUMENT); /* an input */
  CHECK_EQUAL(call(8, 4, f + 8, z, NULL), WEFT_OK);
  CHECK_EQUAL(call(0, 4, NULL, z, NULL), WEFT_OK); /* what is empty needs no place */
  CHECK_EQUAL(call(8, 0, y, NULL, NULL), WEFT_OK);
  CHECK_EQUAL(call(8, 1, y, NULL, NULL), WEFT_ERR_ARGUMENT);
  CHECK_CONTAINS(weft_session_error(session), "missing output 'z'");
}

static void a_fault_without_a_site_is_reported(void) {
  CHECK_EQUAL(call(8, 3, y, z, NULL), WEFT_ERR_INDEX);
  CHECK_CONTAINS(weft_session_error(session), "an index into ? is");
}

int main(void) {
  open_all();
  the_first_element_outside_is_named();
  ranges_may_be_wider_than_the_type();
  what_is_left_out_has_its_fill();
  outputs_do_not_overlap();
  a_fault_without_a_site_is_reported();
  close_all();
  return check_result();
}
