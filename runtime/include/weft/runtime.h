/* The public interface of the Weft runtime: models, sessions, threads, generation. What is not here or in tensors.h
 * is not public.
 *
 *   #include "gpt2.h"                                      // generated; includes this file
 *   weft_model *model;
 *   if (gpt2_open(NULL, &model) != WEFT_OK || weft_model_load(model, "model.safetensors") != WEFT_OK)
 *     return fprintf(stderr, "%s\n", weft_model_error(model)), 1;
 *   weft_session *session;
 *   if (gpt2_session(model, &(gpt2_dims){.B = 4, .T = 1024}, NULL, &session) != WEFT_OK)
 *     return fprintf(stderr, "%s\n", weft_session_error(session)), 1;
 *   gpt2_forward_args args = {.dims = {.B = 1, .T = n}, .tokens = tokens, .logits = logits};
 *   if (gpt2_forward(session, &args) != WEFT_OK) fprintf(stderr, "%s\n", weft_session_error(session));
 *   weft_session_destroy(session);
 *   weft_model_close(model);
 *
 * Rules that hold everywhere:
 * - No globals, no output, no exit, no signals, no change of locale or errno-dependent behaviour.
 * - A model is used by one thread until its weights are complete; from then on it is immutable and serves any number
 *   of sessions on any threads. A session is used by one thread at a time (a second one gets WEFT_ERR_BUSY).
 * - Strings passed in are copied or only read during the call, unless said otherwise. Strings returned belong to the
 *   handle and stay valid until the next call on it.
 * - Options structures: zero-initialise, then set what you need. NULL means all defaults.
 * - A create or open function that fails still gives a handle when it can, only to hold the error text; release it as
 *   usual. Release functions accept NULL. */
#ifndef WEFT_RUNTIME_H
#define WEFT_RUNTIME_H

#include "weft/abi.h"
#include "weft/status.h"
#include "weft/tensors.h"
#include "weft/train.h"

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default)
#endif

#define WEFT_RUNTIME_VERSION "0.1.0"

/* What the functions of generated headers begin with. A library that gives them as symbols, to programs in other languages,
 * compiles the header once with -DWEFT_FUNCTION=extern. */
#ifndef WEFT_FUNCTION
#define WEFT_FUNCTION static inline
#endif

typedef struct weft_model weft_model;
typedef struct weft_session weft_session;
typedef struct weft_threads weft_threads;

/* ---- The machine ------------------------------------------------------------------------------------------------ */

/* WEFT_CPU_* bits of the instructions that this CPU and this operating system can run (CPUID and XGETBV; the model
 * name is not looked at). 0 on other architectures than x86-64. Any thread. */
uint64_t weft_cpu_features(void);

/* Writes the names of `features` ("avx512f, avx512vl") into text, cut at `size` bytes; returns text. */
const char *weft_cpu_features_text(uint64_t features, char *text, size_t size);

/* Processors that this process may use (its affinity mask and its cgroup's quota), at least 1. */
int64_t weft_cpu_count(void);

/* ---- Models ----------------------------------------------------------------------------------------------------- */

typedef struct weft_model_options {
  weft_log_fn log;
  void *log_user;
  const weft_allocator *allocator;  /* copied; its sessions use it too */
  const weft_file_ops *files;       /* must outlive the model */
  int keep_parameters;              /* 1: keep the parameters themselves beside the packed views: weft_model_save and
                                       weft_model_get need them. 0: the memory is not spent. Objects with a training entry
                                       keep them in any case */
  int reject_nonfinite;             /* 1: weights with NaN or infinity are refused; 0: a warning with their number */
  uint64_t init_seed;               /* for parameters that a weights file may lack */
  const char *cpu;                  /* use the variant of this name (as given to --cpu); NULL: the first that runs */
  uint64_t hide_cpu_features;       /* WEFT_CPU_* bits to treat as absent (tests) */
  int64_t threads;                  /* that fill large weights, during the call alone; 0: weft_cpu_count() */
  const weft_tensor_limits *limits; /* copied; for files of weights, of its sessions and of its trainer */
} weft_model_options;

/* Opens the model that an object describes. Checks the interface version and the CPU; reads no weights and allocates
 * only the handle. `descriptor` (in the object) must outlive the model.
 * Fails: WEFT_ERR_ABI, WEFT_ERR_CPU ("needs avx512f, avx512vl; this CPU lacks avx512vl"), WEFT_ERR_MEMORY. */
weft_status weft_model_open(const weft_model_desc *descriptor, const weft_model_options *options, weft_model **out_model);

/* Releases the model and its weights. Its sessions must be destroyed before: while there are any, nothing is released
 * and WEFT_ERR_BUSY is returned. */
weft_status weft_model_close(weft_model *model);

/* The text of the last error: one line, lower case, no final period. "" when there was none. */
const char *weft_model_error(const weft_model *model);

const weft_model_desc *weft_model_descriptor(const weft_model *model);

/* Index of the variant in use. */
int32_t weft_model_variant(const weft_model *model);

/* Index of an entry, generate entry, state or dim by name; -1: there is none. */
int32_t weft_model_entry(const weft_model *model, const char *name);
int32_t weft_model_generate_entry(const weft_model *model, const char *name);
int32_t weft_model_state(const weft_model *model, const char *name);
int32_t weft_model_dim(const weft_model *model, const char *name);

/* Bytes that the weights take in memory (packed views, and parameters that are kept or used as they are). */
int64_t weft_model_weights_bytes(const weft_model *model);

/* ---- Weights. All of these return WEFT_ERR_BUSY while the model has sessions. ------------------------------------ */

/* Reads the parameters from a safetensors file, or from the shards named by an index (`*.index.json`, the shards beside
 * it). Names, shapes and types of all of them are checked before anything is changed; f16, bf16, f32 and f64 are
 * converted to the parameter's type. Tensors that the model does not use stay unread (the log names them).
 * Fails: WEFT_ERR_IO, WEFT_ERR_FORMAT, WEFT_ERR_MISSING, WEFT_ERR_UNSUPPORTED, WEFT_ERR_MEMORY. After a failure while
 * data was being read (WEFT_ERR_IO, or a refused element) the parameter that failed and all after it, in the order of the
 * descriptor, are missing; any other failure changes nothing. */
weft_status weft_model_load(weft_model *model, const char *path);

/* The same from several files that together hold every tensor once. */
weft_status weft_model_load_files(weft_model *model, const char *const *paths, int64_t count);

/* The same from a whole safetensors file in memory (only read during the call). NULL: the one in the object
 * (--embed-weights). */
weft_status weft_model_load_memory(weft_model *model, const void *data, size_t bytes);

/* The same from open files; error texts then name the tensor but no file. */
weft_status weft_model_load_tensors(weft_model *model, weft_tensor_file *file);

/* Draws every parameter by the model's initialisation rules. The values depend on `seed`, the parameter's name and the
 * element's index alone. */
weft_status weft_model_init(weft_model *model, uint64_t seed);

/* Sets one parameter from memory: row-major, of the parameter's type and shape, `bytes` long. */
weft_status weft_model_set(weft_model *model, const char *name, const void *data, size_t bytes);

/* The parameter's own memory (row-major, as described), valid until the model is closed or loaded again.
 * Fails: WEFT_ERR_ARGUMENT without keep_parameters (unless the object has a training entry), WEFT_ERR_MISSING. */
weft_status weft_model_get(const weft_model *model, const char *name, const void **out_data, const weft_param_desc **out_desc);

/* Writes all parameters as safetensors, with the names and orientation that weft_model_load reads. The file appears
 * whole or not at all. Needs keep_parameters, or an object with a training entry. Allowed while there are sessions, and
 * while there is a trainer: the parameters are then those of its last update. */
weft_status weft_model_save(weft_model *model, const char *path);

/* ---- Threads ---------------------------------------------------------------------------------------------------- */

/* A pool that several sessions may share. A session that finds it in use by another computes alone, with the same
 * result. Idle threads sleep. `threads` counts the caller of weft_session_run: 1 makes none. 0: weft_cpu_count(). More
 * than 1024 become 1024. Where the system refuses a thread, the pool has fewer. After fork the child's pool has no threads
 * and its sessions compute alone. */
weft_status weft_threads_create(int64_t threads, const weft_allocator *allocator, weft_threads **out_threads);
int64_t weft_threads_count(const weft_threads *threads);
/* All sessions that use it must be destroyed before. */
void weft_threads_destroy(weft_threads *threads);

/* The application's own pool: runs body(context, i) once for each i in [0, count), on any threads, in any order, and
 * returns when all are done. `count` is at most the session's number of threads. */
typedef void (*weft_parallel_for_fn)(void *user, int64_t count, void (*body)(void *context, int64_t index), void *context);

/* Called after each launch of a kernel, on the thread that called weft_session_run. */
typedef void (*weft_trace_fn)(void *user, weft_kernel_fn kernel, int64_t tasks, int64_t nanoseconds);

/* ---- Sessions --------------------------------------------------------------------------------------------------- */

typedef struct weft_session_options {
  int64_t threads;                  /* 0: weft_cpu_count(). More than 1024 become 1024 */
  weft_threads *shared_threads;     /* use this pool; `threads` 0 then means all of it */
  weft_parallel_for_fn parallel_for;/* use the application's threads instead; `threads` says into how many parts */
  void *parallel_for_user;
  void *memory;                     /* the session's memory, weft_session_bytes long; NULL: allocated */
  size_t memory_bytes;
  weft_log_fn log;
  void *log_user;
  weft_trace_fn trace;              /* per-kernel times: every launch that is not too small to be divided reports */
  void *trace_user;
} weft_session_options;

/* Bytes of memory that a session needs for calls up to these sizes, all included; -1: the sizes are not allowed, or
 * overflow. `max_dims`: one number per dim of the model, in descriptor order. */
int64_t weft_session_bytes(const weft_model *model, const int64_t *max_dims, const weft_session_options *options);

/* Bytes of arena of one entry for these sizes, by the compiled formula; -1: sizes not allowed. */
int64_t weft_entry_arena_bytes(const weft_model *model, int32_t entry, const int64_t *dims);

/* Creates a session for calls of any entry with sizes up to `max_dims`. The only allocation: no later call allocates.
 * Caches start empty.
 * Fails: WEFT_ERR_DIM, WEFT_ERR_MISSING (weights), WEFT_ERR_MEMORY, WEFT_ERR_ARGUMENT. */
weft_status weft_session_create(weft_model *model, const int64_t *max_dims, const weft_session_options *options,
                                weft_session **out_session);
void weft_session_destroy(weft_session *session);

/* The text of the last error: "gpt2_forward: tokens[0, 17] is 50300, expected 0..50256". "" when there was none. */
const char *weft_session_error(const weft_session *session);

const weft_model_desc *weft_session_descriptor(const weft_session *session);

/* WEFT_ERR_ARGUMENT, with a text, for a session of another model than the one of this descriptor. The functions of
 * generated headers call it first: their arrays have the sizes of their own model. */
weft_status weft_session_expect(weft_session *session, const weft_model_desc *descriptor);
int64_t weft_session_threads(const weft_session *session);

/* Computes an entry. Generated headers wrap this call in typed ones.
 * `dims`: one number per dim of the model. A dim that the entry fixes or does not use may be 0; one that neither inputs
 * nor outputs show but values inside have is then as small as it may be. `inputs`, `outputs`: pointers in the entry's
 * order, row-major, aligned to their element type; NULL for an optional input left out, and for tensors without
 * elements. Outputs may not overlap anything else. Integer inputs are checked against their ranges, bool inputs for
 * being 0 or 1, before anything is computed. Results do not depend on the number of threads. Denormal numbers are
 * flushed to zero during the call; the caller's floating-point state is restored.
 * A step that recalls what a prefill keeps (weft_entry_desc.recalls) takes it from the last call of such a prefill: a dim
 * that only kept values have may be 0 and is what it was there, other sizes of those dims are WEFT_ERR_DIM, and so are more
 * sequences than that call had. Without such a call: WEFT_ERR_MISSING.
 * Fails: WEFT_ERR_ARGUMENT, WEFT_ERR_DIM, WEFT_ERR_INDEX, WEFT_ERR_LENGTH, WEFT_ERR_MISSING, WEFT_ERR_BUSY; the caches are
 * then as before, outputs may hold anything. A prefill that fails with WEFT_ERR_INDEX leaves nothing kept, one that fails
 * otherwise changes nothing. */
weft_status weft_session_run(weft_session *session, int32_t entry, const int64_t *dims, const void *const *inputs,
                             void *const *outputs);

/* ---- State: the caches of keys and values. Each of the session's sequences has its own length. -------------------- */

/* For the next weft_session_run only (whether it succeeds or not): sequence b has valid[b] real tokens (1..T), the
 * rest of its row is padding that is not stored. `count` = B of that call. NULL: all T. */
weft_status weft_session_set_valid(weft_session *session, const int32_t *valid, int64_t count);

/* Empties the caches of all sequences and forgets what prefills kept. */
weft_status weft_session_reset(weft_session *session);

/* Shortens one sequence of a cache to `length` positions (0..its present length). What prefills kept does not depend on
 * positions and stays: after a rewind to 0 steps begin again with the same source. */
weft_status weft_session_rewind(weft_session *session, int32_t state, int64_t sequence, int64_t length);

/* Positions stored, or -1: no such state or sequence. */
int64_t weft_session_length(const weft_session *session, int32_t state, int64_t sequence);

/* Writes the caches and what prefills kept to a file (safetensors), as much as is in use; the file appears whole or not
 * at all. The session stays as it is. Like weft_session_restore, it allocates memory for the time of the call.
 * Fails: WEFT_ERR_IO, WEFT_ERR_MEMORY, WEFT_ERR_BUSY. */
weft_status weft_session_save(weft_session *session, const char *path);

/* Takes caches and kept values from a file that weft_session_save wrote, in place of what the session has; sequences that
 * the file lacks are empty. The next call gives, bit for bit, what it would have given where the file was saved: with the
 * same weights, which the file does not know, and the same object. A session that fails is as before.
 * Fails: WEFT_ERR_FORMAT (a damaged file, or one of another model), WEFT_ERR_LENGTH (more sequences or positions than the
 * session has), WEFT_ERR_DIM (larger kept values), WEFT_ERR_IO, WEFT_ERR_MEMORY, WEFT_ERR_BUSY. */
weft_status weft_session_restore(weft_session *session, const char *path);

/* ---- Generation ------------------------------------------------------------------------------------------------- */

typedef struct weft_generate_options {
  int64_t max_new_tokens;
  int32_t sample;                   /* weft_sample_kind */
  double temperature;               /* logits are divided by it; 0: greedy */
  int64_t k;                        /* top_k, and top_p when > 0: only the k most probable */
  double p;                         /* top_p: the fewest most probable tokens that together have at least p */
  uint64_t seed;
  int64_t beams;                    /* beam: hypotheses of each prompt */
  double length_penalty;            /* beam: a hypothesis's score is its sum of log-probabilities / length^length_penalty */
  const int64_t *stop;              /* a sequence ends when one of these is chosen; it is not returned */
  int32_t stops;
  int append;                       /* 1: continue after what the caches hold; 0: start empty */
  /* Called for each new token, in the order of sequences; a non-zero result ends that sequence. */
  int (*on_token)(void *user, int64_t sequence, int64_t index, int32_t token);
  void *on_token_user;
  /* For models whose entries have more than tokens: sizes of the other dims, and the other inputs of the prefill and
   * step entries in the entry's order (the token input's place is ignored). NULL: there are none. Inputs whose values the
   * prefill keeps, like the source of an encoder-decoder, are none of the step's. */
  const int64_t *dims;
  const void *const *prefill_inputs;
  const void *const *step_inputs;
} weft_generate_options;

typedef enum weft_stop_reason { WEFT_STOP_END = 0, WEFT_STOP_LENGTH = 1, WEFT_STOP_CALLER = 2 } weft_stop_reason;

/* One sequence's prompt and result. */
typedef struct weft_sequence {
  const int32_t *prompt;            /* at least one token */
  int64_t prompt_length;
  int32_t *tokens;                  /* receives the new tokens; may be NULL */
  int64_t capacity;                 /* of `tokens`; the sequence ends when it is full */
  int64_t count;                    /* out: number of new tokens */
  weft_stop_reason stopped;         /* out: a stop token, a limit (max_new_tokens, capacity, cache full), on_token */
} weft_sequence;

/* The options that the model itself states for this generate entry. WEFT_ERR_ARGUMENT: no such entry. */
weft_status weft_generate_defaults(const weft_model *model, int32_t generate, weft_generate_options *out_options);

/* Continues `count` prompts (up to the session's batch; lengths may differ) token by token. `options` NULL: the model's.
 * The choice at a position depends on the logits, the seed, the sequence's number and the position alone; equal logits:
 * the lowest token wins. Allocates nothing.
 * Fails as weft_session_run, and with WEFT_ERR_NUMERIC, WEFT_ERR_UNSUPPORTED. Counts then say what was generated before.
 * Prompts that fail are in no part in the caches: with `append` these hold what they held, else that or nothing.
 *
 * WEFT_SAMPLE_BEAM: each prompt has up to `beams` running hypotheses, the best by their sums of log-probabilities among
 * all continuations that take no stop token. Of all continuations the best `beams` are looked at: those that take a stop
 * token are finished, their length counts it. A prompt ends when `beams` are finished and no running one, scored at its
 * present length, beats the worst of the best `beams` of them, or at the limit, where running ones count as finished.
 * The best score wins, ties: the earlier finished; equal sums: the better hypothesis before, then the lowest token.
 * Temperature, k, p and seed are not used. Needs a session for count * beams sequences (else WEFT_ERR_LENGTH) and uses
 * the first of them, each with its prompt's kept values; inputs of the step have a row for each, those of a prompt one after the other. on_token hears the
 * winners when all prompts have ended. The caches then hold the prompts (with `append`, after what was there); those of
 * sequences from count up to count * beams are empty. */
weft_status weft_session_generate(weft_session *session, int32_t generate, const weft_generate_options *options,
                                  weft_sequence *sequences, int64_t count);

/* ---- Random numbers --------------------------------------------------------------------------------------------- */

/* Philox4x32-10: four random words that depend on key and counter alone. */
void weft_philox4x32(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4]);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif
#endif /* WEFT_RUNTIME_H */
