// Shape ops, constants and iota.
// Sizes and starts may be expressions of dims; an entry's fixed dims are put in.
#include "import/ImportNode.h"

using namespace mlir;

namespace weft {

Values EntryImporter::shapes(const NodeCall &c) {
  StringRef op = c.op();
  Value x = c.x();
  Location loc = c.loc;
  int64_t axis = c.attrs.integer("axis");
  if (op == "reshape")
    return {ReshapeOp::create(b, loc, c.out, x)};
  if (op == "flatten")
    return {FlattenOp::create(b, loc, x, c.attrs.integer("start"), c.attrs.integer("end"))};
  if (op == "squeeze")
    return {SqueezeOp::create(b, loc, x, axis)};
  if (op == "unsqueeze")
    return {UnsqueezeOp::create(b, loc, x, axis)};
  if (op == "transpose")
    return {TransposeOp::create(b, loc, x, c.attrs.integers("perm"))};
  if (op == "split") {
    SmallVector<Type> parts;
    Shape part = shapeOf(x);
    for (const DimExpr &size : c.attrs.dims("sizes")) {
      part[axis] = fixed(size);
      parts.push_back(tensorType(part, c.element()));
    }
    return Values(SplitOp::create(b, loc, parts, x, axis).getParts());
  }
  if (op == "concat")
    return {ConcatOp::create(b, loc, c.in, axis)};
  if (op == "slice")
    return {SliceOp::create(b, loc, c.out, x, axis, fixed(c.attrs.dim("start")).str(), c.attrs.integer("step", 1))};
  if (op == "select") {
    DimExpr index = fixed(c.attrs.dim("index"));
    if (index.constant() && *index.constant() < 0)
      index = shapeOf(x)[axis] + index;
    return {SelectOp::create(b, loc, x, axis, index.str())};
  }
  if (op == "expand")
    return {ExpandOp::create(b, loc, c.out, x)};
  if (op == "gather")
    return {GatherOp::create(b, loc, x, c.in[1], axis)};
  if (op == "iota")
    return {IotaOp::create(b, loc, c.out)};
  if (op == "constant") {
    if (!c.attrs.has("values"))
      return {ExpandOp::create(b, loc, c.out, scalarAttribute(c, "value", c.out.getElementType()))};
    return {numbers(loc, c.attrs.reals("values"), c.out)};
  }
  return {};
}

}  // namespace weft
