// weft.embedding_grad and weft.scatter_add → one scatter kernel.
// The result stands in init's memory where the plan found that nobody else reads it.
#include "entry/Launch.h"
#include "lowering/Views.h"
#include "tiling/ScatterKernel.h"

#include "llvm/Support/raw_ostream.h"

using namespace mlir;

namespace weft {

FailureOr<Launches> LaunchBuilder::scatter(Operation *op, std::string &error) {
  SlotTable table;
  const ScatterAxes axes = scatterAxes(op);
  auto embedding = dyn_cast<EmbeddingGradOp>(op);
  std::optional<Operand> index = operand(table, op->getOperand(0)), source = operand(table, op->getOperand(1));
  std::optional<Shape> indexStrides, sourceStrides;
  if (index && source) {
    indexStrides = reshapeStrides(shapeOf(op->getOperand(0)), index->strides, axes.indexShape());
    sourceStrides = reshapeStrides(shapeOf(op->getOperand(1)), source->strides, axes.sourceShape());
  }
  if (!indexStrides || !sourceStrides) {
    error = "an operand of a scatter has no strided form";
    return failure();
  }
  Value result = op->getResult(0);
  ScatterSpec spec;
  spec.outer = table.size(axes.outer);
  spec.rows = table.size(axes.rows);
  spec.places = table.size(axes.places);
  spec.columns = table.size(axes.columns);
  spec.element = source->element;
  spec.indexElement = index->element;
  spec.source = source->pointer;
  spec.index = index->pointer;
  const int64_t bytes = elementBytes(source->element);
  spec.result = pointer(table, result, DimExpr(0), bytes);
  spec.sourceOuter = table.size((*sourceStrides)[0]);
  spec.sourcePlace = table.size((*sourceStrides)[1]);
  spec.indexOuter = table.size((*indexStrides)[0]);
  spec.indexPlace = table.size((*indexStrides)[1]);
  spec.indexColumn = table.size((*indexStrides)[2]);
  if (embedding && embedding.getPaddingIdx())
    spec.padding = int64_t(*embedding.getPaddingIdx());
  if (Value init = embedding ? embedding.getInit() : Value()) {
    std::optional<Operand> initial = operand(table, init);
    if (!initial) {
      error = "the initial value of a scatter has no strided form";
      return failure();
    }
    spec.init = initial->pointer == spec.result ? ScatterSpec::Init::inPlace : ScatterSpec::Init::copied;
    spec.initial = initial->pointer;
    spec.initialRow = table.size(initial->strides[0]);
  }

  std::string key = "scatter";
  llvm::raw_string_ostream os(key);
  os << spec.element << spec.indexElement << "i" << int(spec.init);
  if (spec.padding)
    os << "p" << *spec.padding;
  for (int slot : {spec.result, spec.source, spec.index, spec.initial})
    os << "/" << slot;
  for (const Size &size : {spec.outer, spec.rows, spec.places, spec.columns, spec.sourceOuter, spec.sourcePlace, spec.indexOuter, spec.indexPlace,
                           spec.indexColumn, spec.initialRow})
    os << keyOf(size);
  Launch launch;
  launch.kind = embedding ? "embedding-grad" : "scatter-add";
  launch.kernel = {key, embedding ? "embedding_grad" : "scatter_add",
                   [spec, &target = target](ModuleOp module, StringRef name) { return emitScatter(module, name, spec, target); }};
  launch.slots = table.slots;
  launch.flops = axes.outer * axes.places * axes.columns;
  launch.bytes = (launch.flops * DimExpr(3) + elementCount(shapeOf(result))) * DimExpr(bytes);
  launch.tiles = std::to_string(target.lanes) + " lanes";
  launch.op = op;
  return Launches{launch};
}

} // namespace weft
