/* Models: opening, packing, loading (matching, orientation, conversion), initialising, saving. */
#include "check.h"
#include "toy.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

static char folder[] = "weft-model-XXXXXX";
static char path[256], other_path[256], last_log[600];
static int logs;

static void record(void *user, weft_log_level level, const char *text) {
  (void)user;
  (void)level;
  ++logs;
  snprintf(last_log, sizeof last_log, "%s", text);
}

static void opens_only_what_it_understands(void) {
  weft_model *model;
  weft_model_desc desc = toy_model;
  desc.magic = 1;
  CHECK_EQUAL(weft_model_open(&desc, NULL, &model), WEFT_ERR_ABI);
  CHECK_TEXT(weft_model_error(model), "expected the descriptor of a compiled model");
  CHECK_EQUAL(weft_model_load(model, "x"), WEFT_ERR_ABI); /* the handle answers, and closes */
  CHECK_EQUAL(weft_model_entry(model, "forward"), -1);
  CHECK_EQUAL(weft_model_close(model), WEFT_OK);
  desc = toy_model;
  desc.abi_version = WEFT_ABI_VERSION + 1;
  CHECK_EQUAL(weft_model_open(&desc, NULL, &model), WEFT_ERR_ABI);
  CHECK_CONTAINS(weft_model_error(model), "the object has interface version");
  weft_model_close(model);
  desc = toy_model;
  desc.desc_bytes = 8;
  CHECK_EQUAL(weft_model_open(&desc, NULL, &model), WEFT_ERR_ABI);
  weft_model_close(model);
  CHECK_EQUAL(weft_model_open(NULL, NULL, &model), WEFT_ERR_ABI);
  weft_model_close(model);
  CHECK_EQUAL(weft_model_open(&toy_model, NULL, NULL), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_model_close(NULL), WEFT_OK);
  CHECK_TEXT(weft_model_error(NULL), "out of memory");
}

static void chooses_code_by_cpu_features(void) {
  weft_model *model;
  CHECK_EQUAL(weft_model_open(&toy_model, NULL, &model), WEFT_OK);
  CHECK_EQUAL(weft_model_variant(model), 1);
  CHECK_EQUAL(weft_model_entry(model, "decode"), TOY_DECODE);
  CHECK_EQUAL(weft_model_entry(model, "nothing"), -1);
  CHECK_EQUAL(weft_model_generate_entry(model, "generate"), 0);
  CHECK_EQUAL(weft_model_state(model, "kv"), 0);
  CHECK_EQUAL(weft_model_dim(model, "T"), TOY_T);
  weft_model_close(model);
  weft_model_options options = {.cpu = "impossible"};
  CHECK_EQUAL(weft_model_open(&toy_model, &options, &model), WEFT_ERR_CPU);
  CHECK_CONTAINS(weft_model_error(model), "; this CPU lacks bit 63");
  weft_model_close(model);
  options.cpu = "386";
  CHECK_EQUAL(weft_model_open(&toy_model, &options, &model), WEFT_ERR_ARGUMENT);
  weft_model_close(model);

  weft_variant_desc variant = toy_model.variant[1];
  variant.features = WEFT_CPU_AVX512F | WEFT_CPU_AVX512VL;
  weft_model_desc desc = toy_model;
  desc.variants = 1;
  desc.variant = &variant;
  memset(&options, 0, sizeof options);
  options.hide_cpu_features = WEFT_CPU_AVX512VL;
  CHECK_EQUAL(weft_model_open(&desc, &options, &model), WEFT_ERR_CPU);
  if (weft_cpu_features() & WEFT_CPU_AVX512F) CHECK_TEXT(weft_model_error(model), "toy: needs avx512f, avx512vl; this CPU lacks avx512vl");
  weft_model_close(model);
  variant.features = weft_cpu_features();
  options.hide_cpu_features = 0;
  CHECK_EQUAL(weft_model_open(&desc, &options, &model), WEFT_OK);
  weft_model_close(model);
}

/* Every type of parameter: initialised, saved, loaded, and counted when it is not finite. */
static void holds_every_type(void) {
  static const unsigned char bad[9][16] = {{0, 0, 0x80, 0x7f}, {0, 0x7c}, {0x80, 0x7f}, {0, 0, 0, 0, 0, 0, 0xf0, 0x7f}};
  for (int32_t dtype = WEFT_F32; dtype <= WEFT_BOOL; ++dtype)
    for (int transpose = 0; transpose < 2; ++transpose) {
      weft_param_desc param = {"w", "f", dtype, 2, {1, 2}, transpose, 0, WEFT_INIT_CONSTANT, 1, 0, -1};
      weft_variant_desc variant = {"baseline", 0, 0, NULL, NULL, packed_model.variant->entry, packed_model.variant->plan};
      weft_model_desc desc = packed_model;
      desc.params = 1;
      desc.param = &param;
      desc.variant = &variant;
      weft_model_options options = {.keep_parameters = 1, .log = record};
      weft_model *model;
      const void *data;
      size_t bytes = 2 * weft_dtype_size(dtype);
      unsigned char before[16];
      CHECK_EQUAL(weft_model_open(&desc, &options, &model), WEFT_OK);
      CHECK_EQUAL(weft_model_init(model, 1), WEFT_OK);
      CHECK_EQUAL(weft_model_get(model, "w", &data, NULL), WEFT_OK);
      memcpy(before, data, bytes);
      CHECK(!memcmp(before, before + bytes / 2, bytes / 2) && (before[bytes - 1] || before[0]));
      CHECK_EQUAL(weft_model_save(model, path), WEFT_OK);
      CHECK_EQUAL(weft_model_load(model, path), WEFT_OK);
      CHECK_EQUAL(weft_model_get(model, "w", &data, NULL), WEFT_OK);
      CHECK(!memcmp(before, data, bytes));
      if (dtype <= WEFT_F64) {
        CHECK_EQUAL(weft_model_set(model, "w", bad[dtype], bytes), WEFT_OK);
        CHECK_EQUAL(weft_model_save(model, path), WEFT_OK);
        CHECK_EQUAL(weft_model_load(model, path), WEFT_OK);
        CHECK_TEXT(last_log, "tensor 'f': 1 elements are not finite");
      }
      weft_model_close(model);
    }
}

static void packs_views(void) {
  weft_model *model;
  float a[PACKED_K * 3], b[4 * PACKED_K], panels[2 * PACKED_K * PACKED_NR];
  uint16_t halves[9];
  for (int i = 0; i < PACKED_K * 3; ++i) a[i] = (float)(i + 1);
  for (int i = 0; i < 4 * PACKED_K; ++i) b[i] = (float)(100 + i);
  CHECK_EQUAL(weft_model_open(&packed_model, NULL, &model), WEFT_OK);
  CHECK_EQUAL(weft_model_set(model, "b", b, sizeof b), WEFT_OK);
  CHECK_EQUAL(weft_model_set(model, "a", a, sizeof a), WEFT_OK);
  weft_session *session;
  CHECK_EQUAL(weft_session_create(model, NULL, NULL, &session), WEFT_OK);
  void *outputs[] = {panels, halves};
  CHECK_EQUAL(weft_session_run(session, 0, NULL, NULL, outputs), WEFT_OK);
  for (int n = 0; n < 2 * PACKED_NR; ++n)
    for (int k = 0; k < PACKED_K; ++k) {
      float expected = n < 3 ? a[k * 3 + n] : n < PACKED_N ? b[(n - 3) * PACKED_K + k] : 0;
      CHECK(panels[n / PACKED_NR * PACKED_K * PACKED_NR + k * PACKED_NR + n % PACKED_NR] == expected);
    }
  for (int i = 0; i < 9; ++i) {
    float back;
    weft_convert(&back, WEFT_F32, &halves[i], WEFT_BF16, 1);
    CHECK(back == a[3 + i]);
  }
  weft_session_destroy(session);
  weft_model_close(model);
}

/* The toy's parameters as a file: the projection transposed, one of them in another type. */
static void write_file(const char *to, int32_t out_dtype, int variation) {
  static float embedding[66], out[66], turned[66], bias[11], gain;
  static double wide[66];
  static uint16_t half[66];
  toy_parameters(embedding, out, bias, &gain);
  for (int i = 0; i < 6; ++i)
    for (int j = 0; j < 11; ++j) turned[j * 6 + i] = out[i * 11 + j];
  const void *data = turned;
  if (out_dtype == WEFT_F64) weft_convert(wide, WEFT_F64, turned, WEFT_F32, 66), data = wide;
  if (out_dtype == WEFT_F16 || out_dtype == WEFT_BF16) weft_convert(half, out_dtype, turned, WEFT_F32, 66), data = half;
  weft_tensor tensors[] = {{"file.bias", WEFT_F32, 1, {11}, bias},
                           {"file.emb", WEFT_F32, 2, {11, 6}, embedding},
                           {"file.out", out_dtype, 2, {11, 6}, data},
                           {"file.gain", WEFT_F32, 0, {0}, &gain},
                           {"unused", WEFT_F32, 1, {1}, &gain}};
  int64_t count = 5;
  if (variation == 1) tensors[1].name = "emb";
  if (variation == 2) tensors[1].shape[0] = 6, tensors[1].shape[1] = 11;
  if (variation == 3) tensors[1].dtype = WEFT_I32;
  if (variation == 4) tensors[3].name = "else", count = 4;
  if (variation == 5) bias[2] = NAN;
  if (variation == 6) tensors[2].shape[0] = 6, tensors[2].shape[1] = 11;
  if (variation == 7) tensors[1].name = "model.file.emb";
  CHECK_EQUAL(weft_safetensors_write(to, tensors, count, NULL, 0, NULL, NULL, 0), WEFT_OK);
}

static void loads_files(void) {
  weft_model_options options = {.log = record, .keep_parameters = 1};
  weft_model *model, *reference = toy_open(&options);
  const void *got, *wanted;
  CHECK_EQUAL(weft_model_open(&toy_model, &options, &model), WEFT_OK);
  static const int32_t dtypes[] = {WEFT_F32, WEFT_F64, WEFT_F16, WEFT_BF16};
  for (int i = 0; i < 4; ++i) {
    write_file(path, dtypes[i], 0);
    logs = 0;
    CHECK_EQUAL(weft_model_load(model, path), WEFT_OK);
    CHECK_EQUAL(logs, 1);
    CHECK_TEXT(last_log, "1 tensors of the file are not used, 'unused' first");
    CHECK_EQUAL(weft_model_get(model, "out.weight", &got, NULL), WEFT_OK);
    CHECK_EQUAL(weft_model_get(reference, "out.weight", &wanted, NULL), WEFT_OK);
    for (int j = 0; j < 66; ++j)
      CHECK(fabsf(((const float *)got)[j] - ((const float *)wanted)[j]) <= (i < 2 ? 0 : i == 2 ? 1e-3f : 1e-2f));
  }
  static const struct { weft_status status; const char *text; } expected[] = {
      {WEFT_ERR_MISSING, "tensor 'file.emb': is missing; did you mean 'model.file.emb'?"},
      {WEFT_ERR_FORMAT, "tensor 'file.emb': expected shape [11, 6] but got [6, 11] (add it to 'weights.transpose'?)"},
      {WEFT_ERR_FORMAT, "tensor 'file.emb': expected f32 but got I32"},
      {WEFT_OK, ""},
      {WEFT_OK, ""},
      {WEFT_ERR_FORMAT, "tensor 'file.out': expected shape [11, 6] but got [6, 11] (remove it from 'weights.transpose'?)"},
  };
  for (int v = 1; v <= 6; ++v) {
    write_file(path, WEFT_F32, v == 1 ? 7 : v);
    CHECK_EQUAL(weft_model_load(model, path), expected[v - 1].status);
    CHECK_CONTAINS(weft_model_error(model), expected[v - 1].text);
    if (expected[v - 1].status) CHECK_CONTAINS(weft_model_error(model), "w.safetensors: ");
    /* A refused file changes nothing. */
    CHECK_EQUAL(weft_model_get(model, "out.weight", &got, NULL), WEFT_OK);
    if (v == 4) {
      CHECK_EQUAL(weft_model_get(model, "gain", &got, NULL), WEFT_OK);
      CHECK(*(const float *)got == 1); /* missing, so initialised */
    }
    if (v == 5) CHECK_TEXT(last_log, "1 tensors of the file are not used, 'unused' first");
  }
  write_file(path, WEFT_F32, 0);
  const char *const one[] = {path}, *const none[] = {"/nowhere"};
  CHECK_EQUAL(weft_model_load_files(model, one, 1), WEFT_OK);
  CHECK(weft_model_weights_bytes(model) >= 264 + 288 + 44 + 4);
  CHECK_EQUAL(weft_model_load_files(model, none, 1), WEFT_ERR_IO);
  CHECK_TEXT(weft_model_error(model), "/nowhere: cannot open: No such file or directory");
  CHECK_EQUAL(weft_model_load_files(model, NULL, 1), WEFT_ERR_ARGUMENT);
  weft_model_close(model);
  options.reject_nonfinite = 1;
  weft_model_open(&toy_model, &options, &model);
  write_file(path, WEFT_F32, 5);
  CHECK_EQUAL(weft_model_load(model, path), WEFT_ERR_FORMAT);
  CHECK_CONTAINS(weft_model_error(model), "tensor 'file.bias': 1 elements are not finite");
  CHECK_EQUAL(weft_model_load(model, "/nowhere/at/all"), WEFT_ERR_IO);
  CHECK_TEXT(weft_model_error(model), "/nowhere/at/all: cannot open: No such file or directory");
  CHECK_EQUAL(weft_model_load(model, NULL), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_model_load(model, folder), WEFT_ERR_IO);
  CHECK_EQUAL(weft_model_load_memory(model, NULL, 0), WEFT_ERR_MISSING);
  CHECK_EQUAL(weft_model_load_memory(model, "abc", 3), WEFT_ERR_FORMAT);
  weft_model_close(model);
  weft_model_close(reference);
}

static void saves_what_it_reads(void) {
  weft_model_options options = {.keep_parameters = 1};
  weft_model *first, *second;
  const void *a, *b;
  const weft_param_desc *desc;
  weft_model_open(&toy_model, &options, &first);
  weft_model_open(&toy_model, &options, &second);
  CHECK_EQUAL(weft_model_save(first, path), WEFT_ERR_MISSING);
  CHECK_EQUAL(weft_model_init(first, 7), WEFT_OK);
  CHECK_EQUAL(weft_model_save(first, path), WEFT_OK);
  CHECK_EQUAL(weft_model_load(second, path), WEFT_OK);
  for (int p = 0; p < TOY_PARAMS; ++p) {
    CHECK_EQUAL(weft_model_get(first, toy_model.param[p].name, &a, &desc), WEFT_OK);
    CHECK_EQUAL(weft_model_get(second, toy_model.param[p].name, &b, NULL), WEFT_OK);
    CHECK(desc == &toy_model.param[p]);
    CHECK(!memcmp(a, b, p == TOY_BIAS ? 44 : p == TOY_GAIN ? 4 : 264));
  }
  CHECK_EQUAL(weft_model_save(second, path), WEFT_OK); /* over the file it was read from */
  CHECK_EQUAL(weft_model_load(first, path), WEFT_OK);
  CHECK_EQUAL(weft_model_save(first, "/nowhere/w.safetensors"), WEFT_ERR_IO);
  CHECK_TEXT(weft_model_error(first), "/nowhere/w.safetensors: cannot create the file: No such file or directory");
  weft_model_close(first);
  weft_model_close(second);
  weft_model_open(&toy_model, NULL, &first);
  weft_model_init(first, 7);
  CHECK_EQUAL(weft_model_save(first, path), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_model_get(first, "gain", &a, NULL), WEFT_ERR_ARGUMENT);
  weft_model_close(first);
}

static void sets_parameters(void) {
  weft_model *model;
  weft_session *session;
  float gain = 1;
  const int64_t dims[TOY_DIMS] = {1, 1, 0};
  weft_model_open(&toy_model, NULL, &model);
  CHECK_EQUAL(weft_session_create(model, dims, NULL, &session), WEFT_ERR_MISSING);
  CHECK_TEXT(weft_session_error(session), "toy: parameter 'emb.weight' has no value, load or initialise the weights first");
  weft_session_destroy(session);
  CHECK_EQUAL(weft_model_set(model, "gian", &gain, 4), WEFT_ERR_ARGUMENT);
  CHECK_TEXT(weft_model_error(model), "toy: there is no parameter 'gian'; did you mean 'gain'?");
  CHECK_EQUAL(weft_model_set(model, "gain", &gain, 8), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_model_set(model, "gain", NULL, 4), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_model_set(model, NULL, &gain, 4), WEFT_ERR_ARGUMENT);
  CHECK_EQUAL(weft_model_set(model, "gain", &gain, 4), WEFT_OK);
  CHECK_EQUAL(weft_model_close(model), WEFT_OK);
}

/* A model of one large parameter, to look at distributions. */
static void draws_distributions(void) {
  enum { N = 200000 };
  weft_param_desc param = {"w", "w", WEFT_F32, 2, {N / 10, 10}, 0, 0, WEFT_INIT_NORMAL, 0, 0, -1};
  static const struct { int kind; double a, b, mean, std, low, high; } cases[] = {
      {WEFT_INIT_NORMAL, 0.5, 2, 0.5, 2, -20, 20},
      {WEFT_INIT_UNIFORM, -3, 1, -1, 4 / 3.4641016, -3, 1},
      {WEFT_INIT_TRUNC_NORMAL, 1, 0.5, 1, 0.5 * 0.8796257, 0, 2},
      {WEFT_INIT_CONSTANT, 4, 0, 4, 0, 4, 4},
  };
  for (size_t c = 0; c < sizeof cases / sizeof *cases; ++c) {
    param.init = cases[c].kind;
    param.a = cases[c].a;
    param.b = cases[c].b;
    weft_variant_desc variant = {"baseline", 0, 0, NULL, NULL, packed_model.variant->entry, packed_model.variant->plan};
    weft_model_desc desc = packed_model;
    desc.params = 1;
    desc.param = &param;
    desc.variant = &variant;
    weft_model_options options = {.keep_parameters = 1};
    weft_model *model, *again;
    const void *data, *other;
    CHECK_EQUAL(weft_model_open(&desc, &options, &model), WEFT_OK);
    CHECK_EQUAL(weft_model_open(&desc, &options, &again), WEFT_OK);
    CHECK_EQUAL(weft_model_init(model, 11), WEFT_OK);
    CHECK_EQUAL(weft_model_get(model, "w", &data, NULL), WEFT_OK);
    const float *w = data;
    double sum = 0, squares = 0, lowest = 1e9, highest = -1e9;
    for (int i = 0; i < N; ++i) {
      sum += w[i];
      lowest = fmin(lowest, w[i]);
      highest = fmax(highest, w[i]);
    }
    for (int i = 0; i < N; ++i) squares += (w[i] - sum / N) * (w[i] - sum / N);
    CHECK(fabs(sum / N - cases[c].mean) < 0.02);
    CHECK(fabs(sqrt(squares / N) - cases[c].std) < 0.02);
    CHECK(lowest >= cases[c].low && highest <= cases[c].high);
    CHECK_EQUAL(weft_model_init(again, 11), WEFT_OK);
    weft_model_get(again, "w", &other, NULL);
    CHECK(!memcmp(data, other, N * sizeof(float)));
    CHECK_EQUAL(weft_model_init(again, 12), WEFT_OK);
    CHECK(cases[c].kind == WEFT_INIT_CONSTANT || memcmp(data, other, N * sizeof(float)));
    weft_model_close(model);
    weft_model_close(again);
  }
}

static void zeroes_the_padding_row(void) {
  weft_model_options options = {.keep_parameters = 1};
  weft_model *model;
  const void *data;
  weft_model_open(&toy_model, &options, &model);
  CHECK_EQUAL(weft_model_init(model, 3), WEFT_OK);
  CHECK_EQUAL(weft_model_get(model, "emb.weight", &data, NULL), WEFT_OK);
  for (int i = 0; i < 66; ++i) CHECK((((const float *)data)[i] == 0) == (i / 6 == 3));
  weft_model_close(model);
}

int main(void) {
  if (!mkdtemp(folder)) return 1;
  snprintf(path, sizeof path, "%s/w.safetensors", folder);
  snprintf(other_path, sizeof other_path, "%s/v.safetensors", folder);
  opens_only_what_it_understands();
  chooses_code_by_cpu_features();
  holds_every_type();
  packs_views();
  loads_files();
  saves_what_it_reads();
  sets_parameters();
  draws_distributions();
  zeroes_the_padding_row();
  unlink(path);
  unlink(other_path);
  CHECK_EQUAL(rmdir(folder), 0); /* no temporary files are left */
  return check_result();
}
