// The numeric oracle: executes a checked model description with plain loops, in f64 or in naive f32.
// Shares nothing with the compiler but ModelDesc and DimExpr. Slow and right; nothing is fused, reordered or skipped.
#ifndef WEFT_REFERENCE_REFERENCE_H
#define WEFT_REFERENCE_REFERENCE_H

#include "Tensor.h"

#include "import/ModelDesc.h"

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace weft::reference {

/// Keys and values of one state, as weft_cache: data[layer][0 keys, 1 values][batch][kv_head][position][head_dim].
struct KvCache {
  int64_t batch = 0;
  std::vector<int64_t> lengths;  ///< [batch], positions stored
  std::vector<double> data;
};

/// An empty cache for `batch` sequences; its data is empty if the size is absurd.
KvCache emptyCache(const StateDesc &state, int64_t batch);

/// f64: results to compare with. f32: the same loops with float arithmetic and every float value rounded to its dtype;
/// its distance from f64 is the size of error that an honest f32 implementation has.
enum class Arithmetic : uint8_t { f64, f32 };

/// The random numbers of dropout: those of the first step of a training with seed 0.
struct Dropout {
  std::function<uint32_t(const std::string &path)> site;  ///< of a node, as the compiler numbers it
};

/// Inputs and parameters with tangents move along kLanes directions (Dual.h); results have their derivatives as tangents then.
struct RunOptions {
  std::string entry;                       ///< name of an infer, train or grad entry; empty: all outputs, nothing bound
  std::map<std::string, int64_t> dims;     ///< only needed for dims that no input shows
  std::map<std::string, Tensor> inputs;    ///< those the entry needs; optional ones may be missing
  std::map<std::string, Tensor> parameters;///< by full name in the model
  /// Bound states of the entry by name. A state that is missing starts empty. Lengths advance after a run that succeeded.
  std::map<std::string, KvCache> *caches = nullptr;
  std::vector<int64_t> valid;              ///< real tokens of each sequence in this call; empty: all
  std::optional<bool> lastTokenOnly;       ///< in place of the entry's own
  bool loss = false;                       ///< also run train.nodes; result "loss". Implied by train and grad entries
  std::optional<Dropout> dropout;          ///< none: it is the identity
  bool keepAll = false;                    ///< RunResult::values
  Arithmetic arithmetic = Arithmetic::f64;
};

struct RunResult {
  std::string error;                       ///< empty: success. "enc[3].attn: expected …" otherwise
  std::map<std::string, Tensor> outputs;   ///< the entry's outputs by name, and "loss"
  /// With keepAll: every node's results by path, with the round of each repeat: "enc[3].attn". The second result of a node
  /// is at "PATH#1". In order of execution in `order`.
  std::map<std::string, TensorRef> values;
  std::vector<std::string> order;
  std::map<std::string, int64_t> dims;     ///< sizes that held

  bool ok() const { return error.empty(); }
};

RunResult runReference(const ModelDesc &model, const RunOptions &options);

/// Names of the inputs that an entry (empty: all outputs) depends on, in the model's order.
std::vector<std::string> neededInputs(const ModelDesc &model, const std::string &entry);

}  // namespace weft::reference

#endif  // WEFT_REFERENCE_REFERENCE_H
