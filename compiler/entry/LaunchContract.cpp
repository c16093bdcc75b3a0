// weft.contract → the product with its epilogue, and a packing launch before it when the plan has memory for the right side.
// Leading axes become rows of one product where strides allow it, else batch axes.
#include "entry/Launch.h"
#include "tiling/ContractionKernel.h"
#include "tiling/PointwiseEmitter.h"
#include "tiling/TileSizes.h"

using namespace mlir;

namespace weft {
namespace {

ElementType panelType(weft_dtype type) {
  return type == WEFT_BF16 ? ElementType::BF16 : type == WEFT_F16 ? ElementType::F16 : ElementType::F32;
}

/// How the packed parameter of a product is stored: in the half precision that the product reads, else as the model says, but
/// for products that it spares.
weft_dtype storedAs(ContractOp op, weft_dtype model) {
  Type element = packedElement(op);
  if (isHalf(element))
    return element.isBF16() ? WEFT_BF16 : WEFT_F16;
  return op->hasAttr("weft.keep_f32") ? WEFT_F32 : model;
}

std::string keyOf(const MatrixOperand &m) {
  std::string key = "[" + std::to_string(m.pointer) + "," + std::to_string(int(m.type)) + "," + weft::keyOf(m.row) + "," + weft::keyOf(m.column);
  for (const Size &s : m.batch)
    key += "," + weft::keyOf(s);
  return key + "]";
}

/// Strides of an operand aligned to the axes of `shape` from the right; missing and unit axes broadcast.
Shape alignStrides(const Shape &strides, const Shape &operandShape, const Shape &shape) {
  Shape aligned(shape.size(), DimExpr(0));
  size_t lead = shape.size() - strides.size();
  for (size_t i = 0; i < strides.size(); ++i)
    if (operandShape[i].constant() != 1 || shape[lead + i].constant() == 1)
      aligned[lead + i] = strides[i];
  return aligned;
}

/// Joins axis i into axis i + 1 for all operands if each one steps evenly over both. Unit axes always join.
bool canJoin(size_t i, const Shape &shape, ArrayRef<Shape *> operands) {
  if (shape[i].constant() == 1)
    return true;
  return llvm::all_of(operands, [&](Shape *s) {
    DimExpr inner = shape[i + 1].constant() == 1 ? (*s)[i] : (*s)[i + 1];
    return shape[i + 1].constant() == 1 || (*s)[i] == inner * shape[i + 1];
  });
}

void join(size_t i, Shape &shape, ArrayRef<Shape *> operands) {
  bool unitOuter = shape[i].constant() == 1, unitInner = shape[i + 1].constant() == 1;
  for (Shape *s : operands) {
    if (unitInner && !unitOuter)
      (*s)[i + 1] = (*s)[i];
    s->erase(s->begin() + i);
  }
  shape[i + 1] = shape[i] * shape[i + 1];
  shape.erase(shape.begin() + i);
}

/// Joins every pair of neighbours among the first `count` axes that can be one.
void joinAll(size_t count, Shape &shape, ArrayRef<Shape *> operands) {
  for (size_t i = 0; i + 1 < count;)
    if (canJoin(i, shape, operands)) {
      join(i, shape, operands);
      --count;
    } else {
      ++i;
    }
}

/// The last two axes change places.
void transpose(Shape &shape) { std::swap(shape[shape.size() - 1], shape[shape.size() - 2]); }

MatrixOperand matrixOperand(SlotTable &table, int pointer, Type element, ArrayRef<DimExpr> rows, const DimExpr &column) {
  MatrixOperand m{pointer, elementType(element), table.size(rows.back()), table.size(column), {}};
  for (const DimExpr &stride : rows.drop_back())
    m.batch.push_back(table.size(stride));
  return m;
}

std::string keyOf(const PackSpec &spec) {
  std::string key = "pack" + std::to_string(int(spec.panelType)) + keyOf(spec.source) + weft::keyOf(spec.k) + weft::keyOf(spec.n) + std::to_string(spec.panels) + weft::keyOf(spec.matrixStride);
  for (const Size &size : spec.batch)
    key += weft::keyOf(size);
  return key;
}

std::string keyOf(const ContractionSpec &spec, ArrayRef<MatrixOperand> inputs, Block &epilogue) {
  std::string key = "contract" + keyOf(spec.lhs) + weft::keyOf(spec.m) + weft::keyOf(spec.n) + weft::keyOf(spec.k) + std::to_string(spec.rhs) + "," +
                    std::to_string(int(spec.rhsType));
  for (const Size &size : llvm::concat<const Size>(spec.batch, spec.rhsBatch))
    key += weft::keyOf(size);
  if (spec.rhsSource)
    key += "source" + keyOf(*spec.rhsSource);
  for (const MatrixOperand &m : inputs)
    key += keyOf(m);
  for (const MatrixOperand &m : spec.results)
    key += keyOf(m);
  // In an epilogue a value is a scalar, a vector along n, or as large as the sums: sizes are in the operands' strides.
  return key + structuralKey(epilogue, [](Type type) {
    auto tensor = cast<RankedTensorType>(type);
    std::string text;
    llvm::raw_string_ostream(text) << tensor.getElementType() << (tensor.getRank() > 1 ? "m" : tensor.getRank() == 1 ? "v" : "s");
    return text;
  });
}

}  // namespace

FailureOr<Launch> LaunchBuilder::packRight(ContractOp op, const Operand &b, Shape shape, SlotTable &table, int buffer, RightSide &right, std::string &error) {
  const DimExpr k = shape[shape.size() - 2], n = shape.back(), each = packedElements(k, n, plan.panel);
  const DimExpr bytes = elementCount(shape) * DimExpr(8);
  Shape batch(shape.begin(), shape.end() - 2), source(b.strides.begin(), b.strides.end() - 2), panels(batch.size(), each);
  for (size_t i = batch.size(); i-- > 1;)
    panels[i - 1] = panels[i] * batch[i];
  right.strides = panels;
  joinAll(batch.size(), batch, {&source, &panels});
  if (batch.size() > 3) {
    error = "a product has more than three batch axes that can't be joined";
    return failure();
  }
  PackSpec spec;
  spec.k = table.size(k);
  spec.n = table.size(n);
  for (const DimExpr &size : batch)
    spec.batch.push_back(table.size(size));
  source.push_back(b.strides[b.strides.size() - 2]);
  spec.source = matrixOperand(table, b.pointer, b.element, source, b.strides.back());
  spec.panels = bufferPointer(table, buffer);
  spec.panelType = right.type;
  spec.matrixStride = table.size(each);
  Launch launch;
  launch.kernel = {keyOf(spec), "pack", [spec, &target = target](ModuleOp module, StringRef name) { return emitPack(module, name, spec, target); }};
  launch.slots = table.slots;
  launch.bytes = bytes;
  launch.kind = "pack";
  launch.op = op;
  launch.before = packedBefore(op);
  return launch;
}

FailureOr<LaunchBuilder::RightSide> LaunchBuilder::rightSide(ContractOp op, SlotTable &table, Launches &before, std::string &error) {
  Shape out = shapeOf(op.getEpilogue().front().getArgument(0)), shape = shapeOf(op.getB());
  Shape outBatch(out.begin(), out.end() - 2);
  RightSide right;
  if (std::optional<SmallVector<ParameterPart>> packed = parameterMatrix(op.getB(), op.getTransposeB())) {
    const weft_dtype stored = storedAs(op, views.panels());
    right.type = panelType(stored);
    int number = views.addPanels(*packed, *shape[shape.size() - (op.getTransposeB() ? 1 : 2)].constant(), tileSizes(target).panel, stored);
    right.panels = table.add({Slot::Kind::view, number, DimExpr(0), {}, llvm::to_vector(views.roundIndices(*packed)), 0});
    right.strides.assign(outBatch.size(), DimExpr(0));
    return right;
  }
  right.type = elementType(packedElement(op));
  const auto planned = plan.temps.find({op.getOperation(), Temp::packedRhs});
  const bool packsItself = planned == plan.temps.end();
  SlotTable packTable;
  std::optional<Operand> b = operand(packsItself ? table : packTable, op.getB());
  if (!b) {
    error = "the right operand of a product has no strided form";
    return failure();
  }
  if (op.getTransposeB()) {
    transpose(b->strides);
    transpose(shape);
  }
  Shape batch(shape.begin(), shape.end() - 2);
  if (packsItself) {
    right.source = b;
    right.strides = alignStrides(Shape(b->strides.begin(), b->strides.end() - 2), batch, outBatch);
    // What is half precision already is widened as it is packed, once for all rows.
    if (elementType(b->element) == right.type)
      right.type = ElementType::F32;
    return right;
  }
  FailureOr<Launch> pack = packRight(op, *b, shape, packTable, planned->second, right, error);
  if (failed(pack))
    return failure();
  before.push_back(std::move(*pack));
  right.panels = bufferPointer(table, planned->second);
  right.strides = alignStrides(right.strides, batch, outBatch);
  return right;
}

FailureOr<Launches> LaunchBuilder::contract(ContractOp op, std::string &error) {
  if (cast<RankedTensorType>(op.getA().getType()).getElementType().isF64()) {
    error = "products of f64 values are not supported on this target; use f32";
    return failure();
  }
  SlotTable table;
  Block &block = op.getEpilogue().front();
  if (!canEmitPointwise(block)) {
    error = "an epilogue holds an op that contractions can't compute";
    return failure();
  }
  Shape out = shapeOf(block.getArgument(0)), aShape = shapeOf(op.getA());
  std::optional<Operand> a = operand(table, op.getA());
  if (!a) {
    error = "the left operand of a product has no strided form";
    return failure();
  }
  if (op.getTransposeA()) {
    transpose(a->strides);
    transpose(aShape);
  }
  const DimExpr k = aShape.back(), n = out.back();

  // Axes of the product: [lead…, m]; n and k are apart. Strides of each operand over them.
  Shape axes(out.begin(), out.end() - 1);
  auto overAxes = [&](const Shape &strides, const Shape &shape) {
    return alignStrides(Shape(strides.begin(), strides.end() - 1), Shape(shape.begin(), shape.end() - 1), axes);
  };
  Shape aStrides = overAxes(a->strides, aShape), outStrides = overAxes(contiguousStrides(out), out);

  struct Extra {
    Operand operand;
    Shape strides;
    DimExpr column;
  };
  std::vector<Extra> extras;
  for (Value value : op.getExtras()) {
    std::optional<Operand> extra = operand(table, value);
    if (!extra) {
      error = "an operand of an epilogue has no strided form";
      return failure();
    }
    Shape shape = shapeOf(value);
    if (shape.size() <= 1)
      extras.push_back({*extra, Shape(axes.size(), DimExpr(0)), shape.empty() || shape[0].constant() == 1 ? DimExpr(0) : extra->strides[0]});
    else
      extras.push_back({*extra, overAxes(extra->strides, shape), extra->strides.back()});
  }

  Launches launches;
  FailureOr<RightSide> right = rightSide(op, table, launches, error);
  if (failed(right))
    return failure();
  Shape rightStrides = right->strides;
  rightStrides.push_back(DimExpr(0));

  // Rows of one product, as many as all operands step over evenly; the rest are batch axes.
  SmallVector<Shape *> all{&aStrides, &outStrides, &rightStrides};
  for (Extra &extra : extras)
    all.push_back(&extra.strides);
  while (axes.size() > 1 && canJoin(axes.size() - 2, axes, all) && rightStrides[axes.size() - 2] == DimExpr(0))
    join(axes.size() - 2, axes, all);
  joinAll(axes.size() - 1, axes, all);
  if (axes.size() > 4) {
    error = "a product has more than three batch axes that can't be joined";
    return failure();
  }

  ContractionSpec spec;
  spec.m = Size::dynamic(table.sizeSlot(axes.back()));
  spec.n = table.size(n);
  spec.k = table.size(k);
  for (const DimExpr &size : llvm::drop_end(axes))
    spec.batch.push_back(table.size(size));
  spec.lhs = matrixOperand(table, a->pointer, a->element, aStrides, a->strides.back());
  spec.rhs = right->panels;
  spec.rhsType = right->type;
  if (right->source) {
    rightStrides.back() = right->source->strides[right->source->strides.size() - 2];
    spec.rhsSource = matrixOperand(table, right->source->pointer, right->source->element, rightStrides, right->source->strides.back());
  } else {
    for (const DimExpr &stride : llvm::drop_end(rightStrides))
      spec.rhsBatch.push_back(table.size(stride));
  }
  SmallVector<MatrixOperand> inputs, results;
  for (const Extra &extra : extras)
    inputs.push_back(matrixOperand(table, extra.operand.pointer, extra.operand.element, extra.strides, extra.column));
  for (Value result : op.getResults()) {
    Type element = cast<RankedTensorType>(result.getType()).getElementType();
    results.push_back(matrixOperand(table, pointer(table, result, DimExpr(0), elementBytes(element)), element, outStrides, DimExpr(1)));
  }
  spec.results = results;
  spec.epilogue.heavy = isHeavy(block);
  spec.epilogue.emit = [inputs, results, &block](KernelBuilder &kb, const EpiloguePoint &point) {
    SmallVector<Value> values = emitPointwise(kb, block, [&](BlockArgument argument) -> Value {
      return argument.getArgNumber() == 0 ? point.sum : loadOperand(kb, point, inputs[argument.getArgNumber() - 1]);
    });
    for (auto [value, result] : llvm::zip(values, results))
      storeOperand(kb, point, value, result);
  };

  Launch launch;
  launch.kernel = {keyOf(spec, inputs, block), "contract", [spec, &target = target](ModuleOp module, StringRef name) { return emitContraction(module, name, spec, target); }};
  launch.slots = table.slots;
  launch.flops = elementCount(out) * k * DimExpr(2);
  launch.bytes = (elementCount(aShape) + k * n + elementCount(out)) * DimExpr(4);
  launch.kind = "contract";
  TileSizes tiles = tileSizes(target);
  launch.tiles = std::to_string(tiles.rows) + "x" + std::to_string(tiles.panel) + ", kc " + std::to_string(tiles.depthBlock) + ", mc " +
                 std::to_string(tiles.rowBlock);
  launch.op = op;
  launches.push_back(std::move(launch));
  return launches;
}

}  // namespace weft
