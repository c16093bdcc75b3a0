// The gradient rules of a model's nodes, one by one: each node becomes a model of its own, whose loss is its results times
// fixed random numbers, and whose gradients are held against the f64 reference.
#ifndef WEFT_TOOLS_NODECHECK_H
#define WEFT_TOOLS_NODECHECK_H

#include "Runner.h"
#include "Slopes.h"

#include <optional>

namespace weft {

/// A gradient that the rule of a node's op gets wrong.
struct WrongRule {
  std::string node, op;
  Position pos;
  std::string of;        ///< "operand 1 ('x')", "parameter 'weight'"
  SlopeCheck check;
};

/// A node whose rule was not checked, or, `partly`, not for all operands.
struct Unchecked {
  std::string node, reason;
  bool partly = false;
};

struct NodeChecks {
  size_t rules = 0;      ///< that were compared
  std::vector<WrongRule> wrong;
  std::vector<Unchecked> unchecked;
};

class NodeCheck {
public:
  /// Takes the nodes apart, those inside repeats too; of nodes with the same op, attributes and shapes the first stands
  /// for all. `entry`: whose gradients they make; `sizes`: of all dims. Nothing is computed.
  NodeCheck(const ModelDesc &model, const EntryDesc &entry, const Sizes &sizes);
  NodeCheck(const NodeCheck &) = delete;
  ~NodeCheck();

  /// Compiles and compares. `values`: a run of the whole model with keepAll; each node gets the values that it has there,
  /// moved a little so that none is special.
  void run(const CommonOptions &options, const reference::RunOptions &given, const reference::RunResult &values, int directions,
           NodeChecks &result);

private:
  struct Case;
  class Collector;
  std::vector<std::unique_ptr<Case>> cases;
  std::vector<Unchecked> unchecked;
};

} // namespace weft

#endif // WEFT_TOOLS_NODECHECK_H
