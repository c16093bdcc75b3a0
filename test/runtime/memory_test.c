/* Memory: no call allocates; every allocation may fail; everything is given back. */
#include "check.h"
#include "toy.h"

#include <stdlib.h>
#include <unistd.h>

/* ---- The C library's allocator aborts while `forbidden` is set (not under sanitizers, which have their own). ------- */
static volatile int forbidden;

#ifndef SANITIZED
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);

static void refuse(void) {
  static const char text[] = "memory was allocated during a call\n";
  if (!forbidden) return;
  if (write(2, text, sizeof text - 1) < 0) _exit(2);
  abort();
}
void *malloc(size_t bytes) { return refuse(), __libc_malloc(bytes); }
void *calloc(size_t count, size_t bytes) { return refuse(), __libc_calloc(count, bytes); }
void *realloc(void *memory, size_t bytes) { return refuse(), __libc_realloc(memory, bytes); }
void *aligned_alloc(size_t alignment, size_t bytes) { return refuse(), __libc_memalign(alignment, bytes); }
int posix_memalign(void **out, size_t alignment, size_t bytes) {
  refuse();
  *out = __libc_memalign(alignment, bytes);
  return *out ? 0 : 12;
}
#endif

/* ---- An allocator that counts and fails at a chosen call. --------------------------------------------------------- */

typedef struct counting {
  long calls, fail_at; /* -1: never */
  int sticky;          /* all later ones fail too */
  long blocks, bytes;
} counting;

static void *counting_allocate(void *user, size_t bytes, size_t alignment) {
  counting *c = user;
  if (forbidden) abort();
  long now = c->calls++;
  if (now == c->fail_at || (c->sticky && now > c->fail_at)) return NULL;
  void *memory = NULL;
  if (posix_memalign(&memory, alignment, bytes)) return NULL;
  memset(memory, 0xa5, bytes); /* nothing may rely on zeros */
  ++c->blocks;
  c->bytes += (long)bytes;
  return memory;
}
static void counting_release(void *user, void *memory, size_t bytes) {
  counting *c = user;
  --c->blocks;
  c->bytes -= (long)bytes;
  free(memory);
}

static char path[] = "weft-memory-XXXXXX.safetensors";
static char saved[] = "weft-session-XXXXXX.safetensors";
static int32_t tokens[TOY_MAX_B * TOY_MAX_T];
static float logits[TOY_MAX_B * TOY_MAX_T * TOY_VOCABULARY];

static weft_status run_all(weft_session *session) {
  const int64_t dims[TOY_DIMS] = {3, 5, 8};
  const void *inputs[] = {tokens, NULL}, *scaled_inputs[] = {logits, NULL};
  double y[64];
  void *outputs[] = {logits}, *scaled_outputs[] = {y};
  int32_t prompt[3] = {1, 2, 3}, results[2][4];
  weft_status status = weft_session_run(session, TOY_FORWARD, dims, inputs, outputs);
  if (!status) status = weft_session_run(session, TOY_SCALED, dims, scaled_inputs, scaled_outputs);
  if (!status) status = weft_session_reset(session);
  if (!status) status = weft_session_run(session, TOY_PREFILL, dims, inputs, outputs);
  weft_sequence sequences[2] = {{prompt, 3, results[0], 4, 0, 0}, {prompt, 1, results[1], 4, 0, 0}};
  if (!status) status = weft_session_generate(session, 0, NULL, sequences, 2);
  weft_generate_options options = {.max_new_tokens = 4, .sample = WEFT_SAMPLE_BEAM, .beams = 3};
  if (!status) status = weft_session_generate(session, 0, &options, sequences, 1);
  tokens[4] = 99; /* failing calls do not allocate either */
  if (!status && weft_session_run(session, TOY_FORWARD, dims, inputs, outputs) != WEFT_ERR_INDEX) status = WEFT_ERR_FORMAT;
  tokens[4] = 0;
  return status;
}

static void calls_do_not_allocate(void) {
  weft_model *model = toy_open(NULL);
  const int64_t dims[TOY_DIMS] = {TOY_MAX_B, TOY_MAX_T, 8};
  for (int64_t threads = 1; threads <= 3; threads += 2) {
    weft_session_options options = {.threads = threads};
    weft_session *session;
    CHECK_EQUAL(weft_session_create(model, dims, &options, &session), WEFT_OK);
    forbidden = 1;
    weft_status status = run_all(session);
    forbidden = 0;
    CHECK_EQUAL(status, WEFT_OK);
    weft_session_destroy(session);
  }
  weft_model_close(model);
}

/* Open, load, save, create, run, destroy, close, with one failing allocation. Returns the first error. */
static weft_status life(const counting *c, int use_memory_file, const void *file, size_t file_bytes) {
  weft_allocator allocator = {counting_allocate, counting_release, (void *)(uintptr_t)c};
  weft_model_options options = {.allocator = &allocator, .keep_parameters = use_memory_file};
  weft_model *model = NULL;
  weft_session *session = NULL;
  const int64_t dims[TOY_DIMS] = {3, 5, 8};
  weft_session_options session_options = {.threads = 2};
  weft_status status = weft_model_open(&toy_model, &options, &model);
  if (status == WEFT_OK) status = use_memory_file ? weft_model_load_memory(model, file, file_bytes) : weft_model_load(model, path);
  if (status == WEFT_OK && use_memory_file) status = weft_model_save(model, path);
  if (status == WEFT_OK) status = weft_session_create(model, dims, &session_options, &session);
  if (status == WEFT_OK) status = run_all(session);
  if (status == WEFT_OK) status = weft_session_save(session, saved);
  if (status == WEFT_OK) status = weft_session_restore(session, saved);
  if (status != WEFT_OK) {
    /* Whatever failed: texts can be asked for, and a second try is possible. */
    CHECK(weft_model_error(model)[0] || weft_session_error(session)[0]);
    ((counting *)(uintptr_t)c)->sticky = 0; /* there is memory again */
    if (model && weft_model_descriptor(model)) {
      weft_session_destroy(session);
      session = NULL;
      CHECK_EQUAL(weft_model_init(model, 1), WEFT_OK);
      CHECK_EQUAL(weft_session_create(model, dims, &session_options, &session), WEFT_OK);
      CHECK_EQUAL(run_all(session), WEFT_OK);
    }
  }
  weft_session_destroy(session);
  CHECK_EQUAL(weft_model_close(model), WEFT_OK);
  return status;
}

static void survives_every_failing_allocation(void) {
  static float embedding[66], out[66], bias[11], gain;
  toy_parameters(embedding, out, bias, &gain);
  static double wide[66]; /* converted and transposed on the way */
  weft_convert(wide, WEFT_F64, out, WEFT_F32, 66);
  weft_tensor tensors[] = {{"file.bias", WEFT_F32, 1, {11}, bias}, {"file.emb", WEFT_F32, 2, {11, 6}, embedding}, {"file.out", WEFT_F64, 2, {11, 6}, wide}};
  close(mkstemps(path, 12));
  close(mkstemps(saved, 12));
  CHECK_EQUAL(weft_safetensors_write(path, tensors, 3, NULL, 0, NULL, NULL, 0), WEFT_OK);
  static char file[4096];
  FILE *stream = fopen(path, "rb");
  size_t bytes = fread(file, 1, sizeof file, stream);
  fclose(stream);
  long tried = 0;
  for (int mode = 0; mode < 4; ++mode) {
    int memory = mode / 2;
    long n = 0;
    for (;; ++n, ++tried) {
      counting c = {0, n, mode % 2, 0, 0};
      weft_status status = life(&c, memory, file, bytes);
      CHECK_EQUAL(c.blocks, 0);
      CHECK_EQUAL(c.bytes, 0);
      if (c.calls <= n) {
        CHECK_EQUAL(status, WEFT_OK);
        break;
      }
      CHECK_EQUAL(status, WEFT_ERR_MEMORY);
    }
    CHECK(n > 8);
  }
  printf("count: lives of a model with a failing allocation = %ld\n", tried);
  unlink(path);
  unlink(saved);
}

int main(void) {
  calls_do_not_allocate();
  survives_every_failing_allocation();
  return check_result();
}
