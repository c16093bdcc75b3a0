// The importer's state while it writes one entry: values by id, parameters by symbol, the builder.
// ImportGraph.cpp drives it; ImportNode.cpp has what all nodes need, the other Import*.cpp one case for each op of the format.
#ifndef WEFT_IMPORT_IMPORTNODE_H
#define WEFT_IMPORT_IMPORTNODE_H

#include "dialect/Weft.h"
#include "import/BatchWeight.h"
#include "import/NodeAttrs.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/SymbolTable.h"

namespace weft {

/// Values of one Graph, by ValueId.
using ValueMap = llvm::DenseMap<ValueId, mlir::Value>;
using Values = llvm::SmallVector<mlir::Value>;

/// A node on its way to ops.
struct NodeCall {
  const Node &node;
  NodeAttrs attrs;
  mlir::Location loc;
  llvm::ArrayRef<mlir::Value> in;  ///< in the op table's order, null where left out
  mlir::RankedTensorType out;      ///< of the first result

  llvm::StringRef op() const { return node.op; }
  mlir::Value operand(size_t i) const { return i < in.size() ? in[i] : mlir::Value(); }
  mlir::Value x() const { return operand(0); }
  mlir::Type element() const { return mlir::cast<mlir::RankedTensorType>(x().getType()).getElementType(); }
};

class EntryImporter {
public:
  EntryImporter(const ModelDesc &model, const EntryDesc &entry, mlir::ModuleOp module, mlir::OpBuilder &builder)
      : b(builder), model(model), entry(entry), module(module), symbols(module) {}

  mlir::Location location(const Node &node) const;
  mlir::Location location(const Position &pos, llvm::StringRef name) const;
  mlir::Type element(DType type) const;
  /// The type with this entry's fixed dims put in.
  mlir::RankedTensorType type(const TensorType &type) const;

  /// Writes the node and defines its results in `values`.
  void node(const Graph &graph, const Node &node, ValueMap &values);

  mlir::OpBuilder &b;

private:
  Values repeat(const Node &node, llvm::ArrayRef<mlir::Value> in);

  // Chapters of the format: the node's results, or nothing if its op is of another chapter.
  Values transformer(const NodeCall &c);
  Values pointwise(const NodeCall &c);
  Values rows(const NodeCall &c);
  Values shapes(const NodeCall &c);
  Values loss(const NodeCall &c);

  Values attention(const NodeCall &c);
  Values mha(const NodeCall &c);
  mlir::Value positionEmbedding(const NodeCall &c);
  mlir::Value rope(const NodeCall &c);

  /// The parameter as values of `type`: what the op computes in. Views convert when weights are loaded. Null if the node has none.
  mlir::Value parameter(const Node &node, llvm::StringRef role, mlir::Type type);
  mlir::Value scalar(mlir::Location loc, double value, mlir::Type element);
  /// A scalar attribute: a number, or a size that is known when the entry runs.
  mlir::Value scalarAttribute(const NodeCall &c, const char *name, mlir::Type element);
  mlir::Value numbers(mlir::Location loc, llvm::ArrayRef<double> values, mlir::RankedTensorType type);

  std::optional<BatchWeight> weight;  ///< once a loss asked for it

  DimExpr fixed(const DimExpr &expr) const;
  Shape shape(const std::vector<DimExpr> &shape) const;
  bool drops() const { return entry.mode == EntryDesc::Mode::train || entry.dropout; }
  /// The site of a node's random numbers, and the round of the repeats around it; null in entries without dropout.
  std::pair<mlir::IntegerAttr, mlir::StringAttr> dropoutSite(const Node &node);
  /// The state that the attribute names if this entry binds it, else null.
  mlir::FlatSymbolRefAttr boundState(const NodeCall &c, const char *attribute) const;
  /// The number that an `offset` attribute says; "0" without one.
  std::string offset(const NodeCall &c) const;

  const ModelDesc &model;
  const EntryDesc &entry;
  mlir::ModuleOp module;
  mlir::SymbolTable symbols;                  ///< of the module; looking up in the module itself goes through all of them
  mlir::Operation *lastSymbol = nullptr;      ///< dim, state or parameter after which the next parameter stands
  std::map<std::string, mlir::Value> rounds;  ///< repeat index name → index value in scope
};

}  // namespace weft

#endif  // WEFT_IMPORT_IMPORTNODE_H
