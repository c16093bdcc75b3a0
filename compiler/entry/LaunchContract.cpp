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

}  // namespace

FailureOr<Launches> LaunchBuilder::contract(ContractOp op, std::string &error) {
  if (cast<RankedTensorType>(op.getA().getType()).getElementType().isF64()) {
    error = "products of f64 values are not supported on this target; use f32";
    return failure();
  }
  SlotTable table;
  Shape out = shapeOf(op.getEpilogue().front().getArgument(0));
  Shape aShape = shapeOf(op.getA()), bShape = shapeOf(op.getB());
  std::optional<Operand> a = operand(table, op.getA());
  if (!a) {
    error = "the left operand of a product has no strided form";
    return failure();
  }
  if (op.getTransposeA()) {
    std::swap(a->strides[a->strides.size() - 1], a->strides[a->strides.size() - 2]);
    std::swap(aShape[aShape.size() - 1], aShape[aShape.size() - 2]);
  }
  std::optional<SmallVector<ParameterPart>> packed = parameterMatrix(op.getB(), op.getTransposeB());
  DimExpr k = aShape.back(), n = out.back();
  int64_t panel = tileSizes(target).panel;
  Launches launches;

  // Axes of the product: [lead…, m]; n and k are apart. Strides of each operand over them.
  Shape axes(out.begin(), out.end() - 1);
  auto overAxes = [&](const Shape &strides, const Shape &shape) {
    return alignStrides(Shape(strides.begin(), strides.end() - 1), Shape(shape.begin(), shape.end() - 1), axes);
  };
  Shape aStrides = overAxes(a->strides, aShape);
  DimExpr aColumn = a->strides.back();

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
  Shape outStrides = overAxes(contiguousStrides(out), out);

  // The right side: a packed parameter, or what the product packs itself, or is packed before it into panels with strides.
  Shape rhsStrides(axes.size(), DimExpr(0));
  int rhs = -1;
  std::optional<Operand> rhsSource;
  ElementType rhsType = packed ? panelType(views.panels()) : elementType(packedElement(op));
  if (packed) {
    int number = views.add(WEFT_VIEW_PANELS, *packed, *k.constant(), panel);
    rhs = table.add({Slot::Kind::view, number, DimExpr(0), {}, llvm::to_vector(roundIndices(*packed)), 0});
  } else {
    const auto planned = plan.temps.find({op.getOperation(), Temp::packedRhs});
    const bool packsItself = planned == plan.temps.end();
    SlotTable packTable;
    std::optional<Operand> b = operand(packsItself ? table : packTable, op.getB());
    if (!b) {
      error = "the right operand of a product has no strided form";
      return failure();
    }
    if (op.getTransposeB()) {
      std::swap(b->strides[b->strides.size() - 1], b->strides[b->strides.size() - 2]);
      std::swap(bShape[bShape.size() - 1], bShape[bShape.size() - 2]);
    }
    Shape batch(bShape.begin(), bShape.end() - 2), source(b->strides.begin(), b->strides.end() - 2);
    if (packsItself) {
      Shape aligned = alignStrides(source, batch, Shape(out.begin(), out.end() - 2));
      std::copy(aligned.begin(), aligned.end(), rhsStrides.begin());
      rhsSource = *b;
      // What is half precision already is widened as it is packed, once for all rows.
      if (elementType(b->element) == rhsType)
        rhsType = ElementType::F32;
    } else {
      DimExpr each = packedElements(k, n, plan.panel);
      Shape packedStrides(batch.size(), each);
      for (size_t i = batch.size(); i-- > 1;)
        packedStrides[i - 1] = packedStrides[i] * batch[i];
      Shape aligned = alignStrides(packedStrides, batch, Shape(out.begin(), out.end() - 2));
      for (size_t i = 0; i < aligned.size(); ++i)
        rhsStrides[i] = aligned[i];
      SmallVector<Shape *> joint{&source, &packedStrides};
      for (size_t i = 0; i + 1 < batch.size();)
        if (canJoin(i, batch, joint))
          join(i, batch, joint);
        else
          ++i;
      if (batch.size() > 3) {
        error = "a product has more than three batch axes that can't be joined";
        return failure();
      }
      int buffer = planned->second;
      PackSpec spec;
      spec.k = packTable.size(k);
      spec.n = packTable.size(n);
      for (const DimExpr &size : batch)
        spec.batch.push_back(packTable.size(size));
      spec.source = {b->pointer, elementType(b->element), packTable.size(b->strides[b->strides.size() - 2]), packTable.size(b->strides.back()), {}};
      for (const DimExpr &stride : source)
        spec.source.batch.push_back(packTable.size(stride));
      spec.panels = bufferPointer(packTable, buffer);
      spec.panelType = rhsType;
      spec.matrixStride = packTable.size(each);
      std::string key = "pack" + std::to_string(int(rhsType)) + keyOf(spec.source) + weft::keyOf(spec.k) + weft::keyOf(spec.n) + std::to_string(spec.panels) + weft::keyOf(spec.matrixStride);
      for (const Size &size : spec.batch)
        key += weft::keyOf(size);
      Launch pack;
      pack.kernel = {key, "pack", [spec, &target = target](ModuleOp module, StringRef name) { return emitPack(module, name, spec, target); }};
      pack.slots = packTable.slots;
      pack.bytes = elementCount(bShape) * DimExpr(8);
      pack.kind = "pack";
      pack.op = op;
      pack.before = packedBefore(op);
      launches.push_back(std::move(pack));
      rhs = bufferPointer(table, buffer);
    }
  }

  // Rows of one product, as many as all operands step over evenly; the rest are batch axes.
  SmallVector<Shape *> all{&aStrides, &outStrides, &rhsStrides};
  for (Extra &extra : extras)
    all.push_back(&extra.strides);
  while (axes.size() > 1 && canJoin(axes.size() - 2, axes, all) && rhsStrides[axes.size() - 2] == DimExpr(0))
    join(axes.size() - 2, axes, all);
  for (size_t i = 0; i + 2 < axes.size();)
    if (canJoin(i, axes, all))
      join(i, axes, all);
    else
      ++i;
  if (axes.size() > 4) {
    error = "a product has more than three batch axes that can't be joined";
    return failure();
  }

  ContractionSpec spec;
  spec.m = Size::dynamic(table.sizeSlot(axes.back()));
  spec.n = table.size(n);
  spec.k = table.size(k);
  auto matrix = [&](const Operand &operand, const Shape &strides, const DimExpr &column) {
    MatrixOperand m{operand.pointer, elementType(operand.element), table.size(strides.back()), table.size(column), {}};
    for (size_t i = 0; i + 1 < strides.size(); ++i)
      m.batch.push_back(table.size(strides[i]));
    return m;
  };
  for (size_t i = 0; i + 1 < axes.size(); ++i) {
    spec.batch.push_back(table.size(axes[i]));
    spec.rhsBatch.push_back(table.size(rhsStrides[i]));
  }
  spec.lhs = matrix(*a, aStrides, aColumn);
  spec.rhs = rhs;
  spec.rhsType = rhsType;
  if (rhsSource) {
    const size_t rank = rhsSource->strides.size();
    spec.rhsSource = MatrixOperand{rhsSource->pointer, elementType(rhsSource->element), table.size(rhsSource->strides[rank - 2]),
                                   table.size(rhsSource->strides[rank - 1]), spec.rhsBatch};
    spec.rhsBatch.clear();
  }
  SmallVector<MatrixOperand> inputs, results;
  for (Extra &extra : extras)
    inputs.push_back(matrix(extra.operand, extra.strides, extra.column));
  for (Value result : op.getResults())
    results.push_back(matrix({pointer(table, result, DimExpr(0), elementBytes(cast<RankedTensorType>(result.getType()).getElementType())), {},
                              cast<RankedTensorType>(result.getType()).getElementType()},
                             outStrides, DimExpr(1)));
  spec.results = results;
  Block &block = op.getEpilogue().front();
  if (!canEmitPointwise(block)) {
    error = "an epilogue holds an op that contractions can't compute";
    return failure();
  }
  spec.epilogue.heavy = isHeavy(block);
  spec.epilogue.emit = [inputs, results, &block](KernelBuilder &kb, const EpiloguePoint &point) {
    SmallVector<Value> values = emitPointwise(kb, block, [&](BlockArgument argument) -> Value {
      return argument.getArgNumber() == 0 ? point.sum : loadOperand(kb, point, inputs[argument.getArgNumber() - 1]);
    });
    for (auto [value, result] : llvm::zip(values, results))
      storeOperand(kb, point, value, result);
  };

  std::string key = "contract" + keyOf(spec.lhs) + weft::keyOf(spec.m) + weft::keyOf(spec.n) + weft::keyOf(spec.k) + std::to_string(rhs) + "," +
                    std::to_string(int(spec.rhsType));
  for (const Size &size : llvm::concat<const Size>(spec.batch, spec.rhsBatch))
    key += weft::keyOf(size);
  if (spec.rhsSource)
    key += "source" + keyOf(*spec.rhsSource);
  for (const MatrixOperand &m : llvm::concat<MatrixOperand>(inputs, results))
    key += keyOf(m);
  // In an epilogue a value is a scalar, a vector along n, or as large as the sums: sizes are in the operands' strides.
  key += structuralKey(block, [](Type type) {
    auto tensor = cast<RankedTensorType>(type);
    std::string text;
    llvm::raw_string_ostream(text) << tensor.getElementType() << (tensor.getRank() > 1 ? "m" : tensor.getRank() == 1 ? "v" : "s");
    return text;
  });

  Launch launch;
  launch.kernel = {key, "contract", [spec, &target = target](ModuleOp module, StringRef name) { return emitContraction(module, name, spec, target); }};
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
