// A model file after every check: names resolved, expressions evaluated, shapes inferred, blocks expanded.
// Plain structs, no MLIR and no JSON: ImportGraph turns them into IR, tools/reference executes them in f64.
#ifndef WEFT_IMPORT_MODELDESC_H
#define WEFT_IMPORT_MODELDESC_H

#include "dialect/DimExpr.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace weft {

enum class DType : uint8_t { f32, f16, bf16, f64, i32, i64, i8, u8, boolean };  // numbers as weft_dtype in abi.h

/// A place in the model file: 1-based line and column (in bytes), and the JSON pointer.
struct Position {
  uint32_t line = 0, column = 0;
  std::string pointer;
};

struct TensorType {
  DType dtype = DType::f32;
  std::vector<DimExpr> shape;
};

struct DimDesc {
  std::string name;
  int64_t min = 1, max = 1, hint = 1, multipleOf = 1;
  std::vector<int64_t> specialize;
  Position pos;
};

/// Index into Graph::values. A left-out optional operand is kNoValue.
using ValueId = int32_t;
constexpr ValueId kNoValue = -1;

struct ValueDesc {
  std::string name;  ///< as written in the file, e.g. "q"
  TensorType type;
  Position pos;      ///< of the node or input that defines it
};

/// Attributes after evaluation, under the names of ops.md, defaults filled in. Sizes that may contain dims (reshape's
/// `shape`, slice's `end`, split's `sizes`, iota's `size`, position `offset` when a number, a cache's `layer`) are DimExpr.
/// A number that ops.md types as real is always double, an integer always int64_t. Axes are normalised to 0..rank-1.
/// In detail (OpTable.h says the alternative of every attribute):
/// - absent stays absent only for: padding_idx, activation, window, softcap, return_weights (also when `false`), clamp's min and
///   max, value, value_true, value_false, values, class_weights, position_embedding's rows. Everything else is filled in: kv_heads,
///   scale (1/sqrt(dh)), rotary_dim, a reduction's axis list, slice's end.
/// - `axis` of sum, mean, max, min, var: sorted vector<int64_t>; of all other ops int64_t. `perm`: vector<int64_t>.
/// - slice's start and end: DimExpr from the front; step: int64_t. select's index: int64_t, from the front if the axis has a fixed
///   size, else as written (-1 = last). shape of reshape, expand, constant: vector<DimExpr>, of parameter: vector<int64_t>.
/// - `value`, `value_true`, `value_false`, clamp's min and max: double (±inf allowed), or DimExpr if they depend on a dim.
/// - `offset`: DimExpr, or instead of it `offset_state`: string. `cache`: `cache_state` string and `cache_layer` DimExpr.
/// - pos_weight: double or vector<double>. einsum's equation: no spaces, "..." replaced by letters.
/// - `dtype` on an op that has no such attribute: the node's own compute dtype.
using AttrValue = std::variant<bool, int64_t, double, std::string, std::vector<int64_t>, std::vector<double>, DimExpr, std::vector<DimExpr>>;

enum class InitKind : uint8_t { constant, uniform, normal, truncNormal };

/// One parameter tensor of the model, with its full name.
struct ParamTensor {
  std::string name;
  DType dtype = DType::f32;      ///< precision.params
  std::vector<int64_t> shape;
  InitKind init = InitKind::constant;  ///< the rule that applies, numbers evaluated (xavier, kaiming → uniform)
  double a = 0, b = 0;           ///< as weft_param_desc
  int64_t zeroRow = -1;
  std::string fileName;          ///< after weights.map
  bool transpose = false, mayBeMissing = false;
  Position pos;                  ///< of the first node that uses it
};

/// A node's use of a parameter. Outside repeats, or when the name does not depend on an index: one tensor.
/// Inside: one tensor per round, in round order (nested repeats: outer index varies slowest).
struct ParamUse {
  std::string role;              ///< "weight", "bias", "in_proj_weight", "" for op `parameter`
  std::string name;              ///< full name, indices left as "{i}": "h.{i}.ln_1.weight"
  std::vector<std::string> indices;  ///< the repeat indices that the name contains, outermost first ("i")
  std::vector<int32_t> tensors;  ///< into ModelDesc::tensors
};

struct Graph;

struct Node {
  std::string id;
  std::string op;                ///< name of ops.md; "repeat" has a body; calls are expanded, "mha" and "linear" are kept
  std::string path;              ///< unique for messages and probes: "h.attn", "enc.n1"
  std::vector<ValueId> operands; ///< in the op table's order of operands, kNoValue where left out; variadic ops: all
  std::vector<ValueId> results;
  std::map<std::string, AttrValue> attrs;
  std::vector<ParamUse> params;
  Position pos;
  std::map<std::string, Position> attrPos;  ///< where each written attribute stands

  // repeat only
  std::unique_ptr<Graph> body;   ///< its `inputs` are the block's `in`, its `outputs` one value per carry
  int64_t count = 0;
  std::string index;             ///< name of the index, unique in its nest; may occur in DimExprs of the body
  std::vector<int32_t> carry;    ///< position in body->inputs of each carried value; operands are in order of body->inputs
};

struct Graph {
  std::vector<ValueDesc> values;
  std::vector<ValueId> inputs;
  std::vector<Node> nodes;       ///< in the order in which the outputs need them; each behind what it reads
  std::vector<ValueId> outputs;
};

struct InputDesc {
  std::string name;
  TensorType type;
  bool optional = false;
  double fill = 0;
  bool hasRange = false;         ///< declared, or implied by an embedding / gather that reads it directly
  int64_t low = 0, high = 0;
  ValueId value = kNoValue;      ///< in the top graph
  Position pos;
};

struct StateDesc {
  std::string name;
  int64_t layers = 0, kvHeads = 0, headDim = 0, capacity = 0;
  DType dtype = DType::f32;
  Position pos;
};

struct Precision {
  DType params = DType::f32, compute = DType::f32, accumulate = DType::f32;
  std::vector<std::string> keepF32;
};

struct EntryDesc {
  /// `eval` stands in no file: the loss of a training entry without dropout, on the parameters being trained.
  enum class Mode { infer, train, grad, eval };
  std::string name;
  Mode mode = Mode::infer;
  std::vector<std::string> outputs;         ///< names of ModelDesc::outputs
  std::vector<int32_t> states;              ///< bound states
  std::map<std::string, int64_t> fixedDims;
  bool lastTokenOnly = false;
  std::vector<std::string> gradients;       ///< mode grad: globs
  bool dropout = false;                     ///< mode grad: as in the first step of a training with seed 0; stands in no file
  Position pos;
};

struct GenerateDesc {
  std::string name, prefill, step;
  int64_t maxNewTokens = 0;
  std::vector<int64_t> stop;
  std::string kind = "greedy";
  double temperature = 1, p = 1, lengthPenalty = 1;
  int64_t k = 0, beams = 1;
  uint64_t seed = 0;
  std::string tokenInput;                   ///< step's integer input with the dim that it fixes to 1
  Position pos;
};

struct OutputDesc {
  std::string name;
  ValueId value = kNoValue;
  Position pos;
};

struct OptimizerDesc {
  std::string kind = "adamw";
  double lr = 1e-3, momentum = 0, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weightDecay = 0;
  bool nesterov = false;
  std::vector<std::string> noDecay;
  int64_t noDecayRankBelow = 0;
};

struct ScheduleDesc {
  std::string kind = "constant";
  std::map<std::string, double> numbers;    ///< warmup_steps, total_steps, min_lr_ratio, factor, d_model, …
};

struct TrainDesc {
  std::vector<InputDesc> inputs;            ///< values continue in ModelDesc::graph.values
  std::vector<Node> nodes;
  ValueId loss = kNoValue;
  OptimizerDesc optimizer;
  ScheduleDesc schedule;
  double clipGradNorm = 0;                  ///< 0: none
  int64_t accumulate = 1;
  std::vector<std::string> freeze, recomputeGlobs;
  std::string recompute = "none";
  bool dynamicLossScale = false;
};

struct ModelDesc {
  std::string file;                         ///< path as given, for messages and locations
  std::string name, doc;
  std::vector<DimDesc> dims;
  std::vector<InputDesc> inputs;
  Precision precision;
  std::vector<StateDesc> states;
  std::vector<ParamTensor> tensors;         ///< in the order of their first use
  Graph graph;                              ///< graph.outputs empty; see outputs
  std::vector<OutputDesc> outputs;
  std::optional<TrainDesc> train;
  std::vector<EntryDesc> entries;           ///< in file order, without generate entries
  std::vector<GenerateDesc> generates;
  std::vector<std::string> weightFiles;     ///< as written; empty if none
  std::map<std::string, double> config;     ///< evaluated, for --explain and messages
};

}  // namespace weft

#endif  // WEFT_IMPORT_MODELDESC_H
