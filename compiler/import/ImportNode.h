// The importer's state while it writes one entry: values by id, parameters by symbol, the builder.
// ImportGraph.cpp drives it; ImportNode.cpp has one function for each op of the format.
#ifndef WEFT_IMPORT_IMPORTNODE_H
#define WEFT_IMPORT_IMPORTNODE_H

#include "dialect/Weft.h"
#include "import/ModelDesc.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"

namespace weft {

/// Values of one Graph, by ValueId.
using ValueMap = llvm::DenseMap<ValueId, mlir::Value>;

class EntryImporter {
public:
  EntryImporter(const ModelDesc &model, const EntryDesc &entry, mlir::ModuleOp module, mlir::OpBuilder &builder)
      : b(builder), model(model), entry(entry), module(module) {}

  mlir::Location location(const Node &node) const;
  mlir::Location location(const Position &pos, llvm::StringRef name) const;
  mlir::Type element(DType type) const;
  /// The type with this entry's fixed dims put in.
  mlir::RankedTensorType type(const TensorType &type) const;
  Shape shape(const std::vector<DimExpr> &shape) const;
  DimExpr fixed(const DimExpr &expr) const;

  /// Writes the node and defines its results in `values`.
  void node(const Graph &graph, const Node &node, ValueMap &values);

  mlir::OpBuilder &b;

private:
  llvm::SmallVector<mlir::Value> lower(const Graph &graph, const Node &node, llvm::ArrayRef<mlir::Value> in);
  llvm::SmallVector<mlir::Value> repeat(const Node &node, llvm::ArrayRef<mlir::Value> in);
  llvm::SmallVector<mlir::Value> attention(const Node &node, mlir::Value q, mlir::Value k, mlir::Value v, mlir::Value keyMask,
                                           mlir::Value mask, mlir::Value bias);
  llvm::SmallVector<mlir::Value> mha(const Node &node, llvm::ArrayRef<mlir::Value> in);
  mlir::Value loss(const Node &node, llvm::ArrayRef<mlir::Value> in);
  mlir::Value linear(mlir::Location loc, mlir::Value x, mlir::Value weight, mlir::Value bias);
  mlir::Value activation(mlir::Location loc, mlir::Value x, const std::string &name);
  mlir::Value positions(const Node &node, const DimExpr &batch, const DimExpr &count);
  /// The parameter as values of `type`: what the op computes in. Views convert when weights are loaded.
  mlir::Value parameter(const Node &node, llvm::StringRef role, mlir::Type type);
  mlir::Value scalar(mlir::Location loc, double value, mlir::Type element);
  mlir::Value numbers(mlir::Location loc, llvm::ArrayRef<double> values, mlir::RankedTensorType type);
  mlir::Value scalarAttribute(const Node &node, const char *name, mlir::Type element);
  mlir::Value slice(mlir::Location loc, mlir::Value x, int64_t axis, const DimExpr &start, const DimExpr &size, int64_t step = 1);
  mlir::Value reshape(mlir::Location loc, mlir::Value x, llvm::ArrayRef<DimExpr> shape);
  std::pair<mlir::IntegerAttr, mlir::StringAttr> dropoutSite(const Node &node);
  const StateDesc *boundState(const Node &node, llvm::StringRef attribute) const;

  const ModelDesc &model;
  const EntryDesc &entry;
  mlir::ModuleOp module;
  std::map<std::string, mlir::Value> rounds;  ///< repeat index name → index value in scope
};

}  // namespace weft

#endif  // WEFT_IMPORT_IMPORTNODE_H
