// The one table of the format's ops: names, operands, attributes, parameters, shape rules, documentation.
// It drives the reader, the JSON Schema and the reference page, so that they cannot disagree.
#ifndef WEFT_IMPORT_OPTABLE_H
#define WEFT_IMPORT_OPTABLE_H

#include "import/ModelDesc.h"

#include <string>
#include <string_view>
#include <vector>

namespace weft {

class OpCall;

enum class TypeClass : uint8_t { any, real, index, boolean, number }; ///< number: all but bool; index: i32 or i64

struct OperandInfo {
  const char *name;
  TypeClass type = TypeClass::any;
  bool optional = false;
};

/// How an attribute is written, and (→) the alternative of AttrValue that the description holds.
enum class AttrType : uint8_t {
  integer,     ///< → int64_t
  count,       ///< an integer ≥ 1 → int64_t
  real,        ///< finite → double
  scalar,      ///< real, infinity allowed → double, or DimExpr if it depends on a dim
  boolean,     ///< → bool
  word,        ///< one of AttrInfo::words → string; `false` is allowed where the default is "false" and leaves it out
  text,        ///< → string
  dtype,       ///< a dtype's name → string
  axis,        ///< integer or dim name → int64_t, normalised
  axes,        ///< one axis or a list → vector<int64_t>, normalised
  size,        ///< an integer that may contain dims → DimExpr
  sizes,       ///< a list of them → vector<DimExpr>
  integers,    ///< → vector<int64_t>
  counts,      ///< a list of integers ≥ 1 → vector<int64_t>
  reals,       ///< → vector<double>
  realOrReals, ///< → double or vector<double>
  offset,      ///< size, or {"state": s} → "offset" DimExpr, or "offset_state" string
  cache        ///< {"state", "layer"} → "cache_state" string and "cache_layer" DimExpr
};

enum class AttrRange : uint8_t { any, positive, nonNegative, probability }; ///< probability: [0, 1)

struct AttrInfo {
  const char *name;
  AttrType type;
  bool required = false;
  const char *byDefault =
      nullptr;                 ///< JSON text that the reader fills in; nullptr: absent, or computed by the shape rule
  const char *words = nullptr; ///< separated by spaces
  AttrRange range = AttrRange::any;
  const char *doc = "";
};

struct ParamInfo {
  const char *role;      ///< "weight"; "" for the tensor named by `param` itself
  const char *shape;     ///< "[features, in]"
  const char *init;      ///< "uniform(±1/√in)"
  const char *when = ""; ///< condition, e.g. "if bias"
};

struct OpInfo {
  const char *name, *chapter, *summary, *formula, *example;
  std::vector<OperandInfo> operands;
  std::vector<AttrInfo> attrs;
  std::vector<ParamInfo> params;
  const char *result;      ///< shape, for the reference page
  bool (*shape)(OpCall &); ///< checks operands and attributes, fills in results; false after an error
  int variadic = 0;        ///< > 0: at most so many operands in a list, all of the one OperandInfo
  bool isLoss = false;

  const AttrInfo *attr(std::string_view name) const;
  int operandIndex(std::string_view name) const; ///< -1: none
};

/// Every op but call and repeat, in the order of the reference page.
const std::vector<OpInfo> &opTable();
/// nullptr if there is no such op.
const OpInfo *findOp(std::string_view name);
/// Names of all ops, call and repeat included.
const std::vector<std::string> &opNames();
/// What to do about an op that there is not.
std::string opHint(std::string_view op);

std::vector<std::string> splitWords(const char *words);

/// JSON Schema 2020-12 of the format.
std::string schemaText();
/// docs/ops.md.
std::string opReferenceText();

} // namespace weft

#endif // WEFT_IMPORT_OPTABLE_H
