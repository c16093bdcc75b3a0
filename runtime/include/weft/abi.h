/* What generated objects and the runtime agree on: descriptors, the execution record, the kernel call.
 * Standalone and versioned: the compiler includes this file and nothing else of the runtime. */
#ifndef WEFT_ABI_H
#define WEFT_ABI_H

#include "weft/abi_train.h"

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Raised whenever a struct below changes. An object and a runtime with different numbers refuse each other. */
#define WEFT_ABI_VERSION 6u
#define WEFT_ABI_MAGIC 0x54464557u /* "WEFT", little-endian */
#define WEFT_MAX_RANK 8

typedef enum weft_dtype {
  WEFT_F32 = 0,
  WEFT_F16 = 1,
  WEFT_BF16 = 2,
  WEFT_F64 = 3,
  WEFT_I32 = 4,
  WEFT_I64 = 5,
  WEFT_I8 = 6,
  WEFT_U8 = 7,
  WEFT_BOOL = 8 /* one byte, 0 or 1 */
} weft_dtype;

/* ---- What is called -------------------------------------------------------------------------------------------- */

/* A kernel: computes tasks [begin, end) of its launch. `args` is the launch's table of 8-byte slots (pointers and
 * int64_t), read-only and shared by all threads. `scratch` is this thread's private memory (64-byte aligned,
 * weft_exec.scratch_bytes long). Tasks are independent: any partition gives the same bits. */
typedef void (*weft_kernel_fn)(const void *args, int64_t begin, int64_t end, void *scratch);

/* The keys and values of one weft_state_desc in one session.
 * data: [layers][2 (keys, values)][batch][kv_heads][capacity][head_dim] of the state's dtype.
 * lengths: [batch], positions already stored; the runtime advances them after a call that succeeded. */
typedef struct weft_cache {
  void *data;
  int64_t *lengths;
  int64_t batch;
} weft_cache;

/* Places of one weft_kept_desc in one session. Round r stands at data + r * round_bytes: row-major, for the sizes of the
 * call that kept it. */
typedef struct weft_kept {
  void *data;
  int64_t round_bytes;
} weft_kept;

/* Everything a generated entry may touch. Filled by the runtime for each call; no field is NULL when it has elements. */
typedef struct weft_exec {
  const int64_t *dims;          /* sizes of the named dims, in descriptor order */
  const void *const *inputs;    /* in the entry's order; optional inputs left out are already filled */
  void *const *outputs;         /* in the entry's order */
  const void *const *views;     /* packed parameters, in the variant's order of views */
  char *arena;                  /* 64-byte aligned, offsets[arena index] bytes */
  const int64_t *offsets;       /* what the entry's plan function wrote for these dims */
  const weft_cache *caches;     /* in the descriptor's order of states */
  const weft_kept *kept;        /* in the descriptor's order of kept values */
  const int32_t *valid;         /* [B] number of real tokens of each sequence in this call, or NULL: all T */
  char *scratch;                /* private memory of the calling thread */
  int64_t scratch_bytes;
  /* Runs `tasks` tasks of `kernel` on the session's threads and returns when all are done. */
  void (*parallel_for)(struct weft_exec *exec, weft_kernel_fn kernel, const void *args, int64_t tasks);
  int64_t threads;              /* 1: entries call kernels directly */
  int64_t fault[4];             /* written when an index computed inside the graph is out of range:
                                   {site + 1, value, low, high}; 0 in [0] means none */
  uint64_t seed;                /* of the random numbers (dropout); this and the next two are 0 in inference */
  uint64_t step;                /* of training: its low 32 bits make each step's random numbers other ones */
  int64_t first_sample;         /* number of this call's first sample (index of axis 0) within the whole batch */
  float loss_scale[2];          /* what the loss is multiplied by before its gradients are computed, a power of two, and one
                                   over it, which gradients are multiplied by at the end; read by entries that scale */
  void *runtime;                /* private to the runtime */
} weft_exec;

/* Runs an entry. Never allocates. The result is in outputs; faults are in exec->fault. */
typedef void (*weft_entry_fn)(weft_exec *exec);

/* Closed expressions of the dims. `plan`: byte offset of each arena buffer, then (at [buffers]) the arena's size and
 * (at [buffers + 1]) the scratch bytes one thread needs. `shapes`: sizes of all axes of all inputs, then of all outputs. */
typedef void (*weft_plan_fn)(const int64_t *dims, int64_t *offsets);
typedef void (*weft_shapes_fn)(const int64_t *dims, int64_t *sizes);

/* ---- What is described ------------------------------------------------------------------------------------------ */

typedef struct weft_dim_desc {
  const char *name;
  int64_t min, max, hint, multiple_of;
} weft_dim_desc;

/* An input or output of an entry. Inputs are those of the model, then those of its `train` section. `axes[i]` is the text of axis i ("B", "T", "384", "2 * T"). */
typedef struct weft_tensor_desc {
  const char *name;
  const char *const *axes;
  int32_t rank;
  int32_t dtype;      /* weft_dtype */
  int32_t dims[WEFT_MAX_RANK]; /* index of the dim this axis is, or -1: any other expression */
  int32_t optional;   /* inputs: may be left out, then every element is `fill` */
  int32_t has_range;  /* integer inputs: low <= element <= high is checked on every call */
  int64_t low, high;
  double fill;
} weft_tensor_desc;

typedef enum weft_init_kind {
  WEFT_INIT_CONSTANT = 0,     /* a = value */
  WEFT_INIT_UNIFORM = 1,      /* a = low, b = high */
  WEFT_INIT_NORMAL = 2,       /* a = mean, b = std */
  WEFT_INIT_TRUNC_NORMAL = 3  /* a = mean, b = std, cut at two std */
} weft_init_kind;

/* One parameter tensor, with its full name. Row-major. */
typedef struct weft_param_desc {
  const char *name;
  const char *file_name;  /* name in the weights file */
  int32_t dtype;          /* of the parameter in memory */
  int32_t rank;
  int64_t shape[WEFT_MAX_RANK];
  int32_t transpose;      /* 1: the file holds the transpose (rank 2) */
  int32_t may_be_missing; /* 1: initialised when the file lacks it */
  int32_t init;           /* weft_init_kind */
  double a, b;
  int64_t zero_row;       /* this row is zero after initialisation; -1: none */
} weft_param_desc;

typedef enum weft_view_kind {
  WEFT_VIEW_PLAIN = 0,  /* the sources' elements, one source after the other, row-major; may be the parameter's own memory */
  WEFT_VIEW_PANELS = 1, /* a [k, n] matrix as [ceil(n / nr)][k][nr], columns past n zero */
  WEFT_VIEW_COPY = 2    /* as PLAIN, but never the parameter's own memory, which training changes */
} weft_view_kind;

/* One source of a view: a part of a parameter seen as the matrix element (k, n) = data[offset + k * stride_k +
 * n * stride_n] for n < this source's n. Sources stand side by side along n. For PLAIN and COPY views the part is the n contiguous
 * elements from offset on, and the strides are not used. */
typedef struct weft_view_source {
  int32_t param;
  int64_t offset, n, stride_k, stride_n;
} weft_view_source;

/* The form in which kernels read one or several parameters; made once when weights are loaded. Training entries read
 * parameters as they are: their views are PLAIN, of one whole tensor. Entries beside them, which compute with the parameters
 * as they were published, have COPY in the place of PLAIN.
 * `dtype` is the element type of the packed memory (converted from the parameter's). */
typedef struct weft_view_desc {
  int32_t kind;  /* weft_view_kind */
  int32_t dtype; /* weft_dtype */
  int64_t k, n, nr;
  int32_t first_source, sources; /* in weft_variant_desc.sources */
} weft_view_desc;

typedef struct weft_state_desc {
  const char *name;
  int64_t layers, kv_heads, head_dim, capacity;
  int32_t dtype;
} weft_state_desc;

/* A value that entries compute (`keep`) for later calls of others (`recall`): what a step needs and depends on none of its
 * inputs, like an encoder's output. Its tensor is one round's; if its first axis is a dim, that counts sequences. */
typedef struct weft_kept_desc {
  weft_tensor_desc tensor;
  int64_t rounds; /* how many of them: one for each round of the repeats that it depends on */
} weft_kept_desc;

typedef struct weft_entry_desc {
  const char *name;
  int32_t inputs, outputs;
  const int32_t *input_index;            /* into weft_model_desc.inputs */
  const weft_tensor_desc *output;        /* [outputs] */
  uint64_t states;                       /* bit i: state i is bound */
  int32_t token_dim;                     /* the dim that the bound cache grows by (T), or -1 */
  int32_t batch_dim;                     /* the dim that counts the cache's sequences (B), or -1 */
  const int64_t *fixed_dims;             /* [dims] value that this entry fixes a dim to, or 0 */
  int32_t buffers;                       /* arena buffers: plan writes buffers + 2 numbers */
  int32_t last_token_only;
  int32_t keeps, recalls;                /* kept values that it writes, or reads; never both of one */
  const int32_t *keep, *recall;          /* into weft_model_desc.kept */
  weft_shapes_fn shapes;
} weft_entry_desc;

typedef enum weft_sample_kind {
  WEFT_SAMPLE_GREEDY = 0,
  WEFT_SAMPLE_MULTINOMIAL = 1,
  WEFT_SAMPLE_TOP_K = 2,
  WEFT_SAMPLE_TOP_P = 3,
  WEFT_SAMPLE_BEAM = 4
} weft_sample_kind;

typedef struct weft_generate_desc {
  const char *name;
  int32_t prefill, step; /* entries */
  int32_t token_input;   /* index into weft_model_desc.inputs */
  int64_t max_new_tokens;
  const int64_t *stop;
  int32_t stops;
  int32_t sample; /* weft_sample_kind */
  double temperature, p, length_penalty;
  int64_t k, beams;
  uint64_t seed;
} weft_generate_desc;

/* CPU features a variant needs, as bits. */
#define WEFT_CPU_AVX 0x1u
#define WEFT_CPU_AVX2 0x2u
#define WEFT_CPU_FMA 0x4u
#define WEFT_CPU_F16C 0x8u
#define WEFT_CPU_BMI2 0x10u
#define WEFT_CPU_AVX512F 0x20u
#define WEFT_CPU_AVX512BW 0x40u
#define WEFT_CPU_AVX512DQ 0x80u
#define WEFT_CPU_AVX512VL 0x100u
#define WEFT_CPU_AVX512CD 0x200u
#define WEFT_CPU_AVX512_BF16 0x400u
#define WEFT_CPU_AVX512_FP16 0x800u
#define WEFT_CPU_AVX512_VNNI 0x1000u
#define WEFT_CPU_AMX_TILE 0x2000u
#define WEFT_CPU_AMX_BF16 0x4000u
#define WEFT_CPU_AMX_INT8 0x8000u

/* The code of the model for one instruction set. The first variant whose features the CPU has is used. */
typedef struct weft_variant_desc {
  const char *cpu;         /* as given to --cpu */
  uint64_t features;       /* WEFT_CPU_* */
  int32_t views;
  const weft_view_desc *view;
  const weft_view_source *sources;
  const weft_entry_fn *entry; /* [entries] */
  const weft_plan_fn *plan;   /* [entries] */
  weft_kernel_fn update, norm, add; /* of training; NULL without it */
} weft_variant_desc;

/* Where an index computed inside the graph is used; named by weft_exec.fault. */
typedef struct weft_site_desc {
  const char *table; /* what it chooses from: "parameter 'wte.weight'", "input 'x'", "the operand of gather 2" */
} weft_site_desc;

typedef struct weft_model_desc {
  uint32_t magic, abi_version;
  uint64_t desc_bytes; /* sizeof(weft_model_desc) of the compiler that wrote it */
  uint64_t hash;       /* of model, options and ABI: binds header and object */
  const char *name;
  const char *compiler; /* version of weft that wrote it */
  int32_t dims, inputs, params, states, kepts, entries, generates, variants, sites;
  const weft_dim_desc *dim;
  const weft_tensor_desc *input;
  const weft_param_desc *param;
  const weft_state_desc *state;
  const weft_kept_desc *kept;
  const weft_entry_desc *entry;
  const weft_generate_desc *generate;
  const weft_variant_desc *variant;
  const weft_site_desc *site;
  weft_shapes_fn kept_shapes; /* sizes of all axes of all kept values; NULL: there are none */
  const char *weights_file; /* the model's weights.file, or NULL */
  const weft_train_desc *train; /* NULL: the model does not train, or its training entry was not compiled */
  const void *embedded;     /* a whole safetensors file (--embed-weights), or NULL */
  uint64_t embedded_bytes;
} weft_model_desc;

#ifdef __cplusplus
}
#endif
#endif /* WEFT_ABI_H */
