// Pointwise ops: arithmetic, comparisons, selection, casts, activations, dropout.
// A number in place of an operand is a constant; n-ary sums and products are chains.
#include "import/ImportNode.h"

using namespace mlir;

namespace weft {

Values EntryImporter::pointwise(const NodeCall &c) {
  StringRef op = c.op();
  Value x = c.x();
  Location loc = c.loc;
#define WEFT_UNARY(NAME, OP) \
  if (op == NAME)            \
    return {OP::create(b, loc, x.getType(), x)};
  WEFT_UNARY("neg", NegOp)
  WEFT_UNARY("abs", AbsOp)
  WEFT_UNARY("exp", ExpOp)
  WEFT_UNARY("log", LogOp)
  WEFT_UNARY("sqrt", SqrtOp)
  WEFT_UNARY("rsqrt", RsqrtOp)
  WEFT_UNARY("erf", ErfOp)
  WEFT_UNARY("tanh", TanhOp)
  WEFT_UNARY("sigmoid", SigmoidOp)
  WEFT_UNARY("sin", SinOp)
  WEFT_UNARY("cos", CosOp)
  WEFT_UNARY("relu", ReluOp)
  WEFT_UNARY("silu", SiluOp)
  WEFT_UNARY("not", NotOp)
  WEFT_UNARY("softplus", SoftplusOp)
#undef WEFT_UNARY
  if (op == "gelu")
    return {GeluOp::create(b, loc, x.getType(), x, c.attrs.word("approximate") == "tanh")};
  if (op == "leaky_relu")
    return {LeakyReluOp::create(b, loc, x.getType(), x, APFloat(c.attrs.real("slope", 0.01)))};
  if (op == "elu")
    return {EluOp::create(b, loc, x.getType(), x, APFloat(c.attrs.real("alpha", 1)))};
  if (op == "clamp") {
    // A bound that depends on a dim is no number before the entry runs.
    auto isSize = [&](const char *name) { return c.attrs.has(name) && std::holds_alternative<DimExpr>(*c.attrs.find(name)); };
    if (isSize("min") || isSize("max")) {
      Value low = c.attrs.has("min") ? MaximumOp::create(b, loc, x, scalarAttribute(c, "min", c.element())).getResult() : x;
      return {c.attrs.has("max") ? MinimumOp::create(b, loc, low, scalarAttribute(c, "max", c.element())).getResult() : low};
    }
    return {ClampOp::create(b, loc, x.getType(), x, c.attrs.has("min") ? b.getF64FloatAttr(c.attrs.real("min")) : FloatAttr(),
                            c.attrs.has("max") ? b.getF64FloatAttr(c.attrs.real("max")) : FloatAttr())};
  }
  if (op == "cast")
    return {CastOp::create(b, loc, c.out, x)};
  if (op == "dropout")
    return {drops() ? Value(DropoutOp::create(b, loc, x.getType(), x, APFloat(c.attrs.real("p")), dropoutSite(c.node).first, dropoutSite(c.node).second)) : x};
  if (op == "swiglu")
    return {SwigluOp::create(b, loc, x, c.in[1])};
  if (op == "geglu")
    return {GegluOp::create(b, loc, x, c.in[1], c.attrs.word("approximate") == "tanh")};

  auto second = [&]() { return c.operand(1) ? c.operand(1) : scalarAttribute(c, "value", c.element()); };
#define WEFT_BINARY(NAME, OP) \
  if (op == NAME)             \
    return {OP::create(b, loc, x, second())};
  WEFT_BINARY("sub", SubOp)
  WEFT_BINARY("div", DivOp)
  WEFT_BINARY("pow", PowOp)
  WEFT_BINARY("minimum", MinimumOp)
  WEFT_BINARY("maximum", MaximumOp)
  WEFT_BINARY("equal", EqualOp)
  WEFT_BINARY("not_equal", NotEqualOp)
  WEFT_BINARY("less", LessOp)
  WEFT_BINARY("less_equal", LessEqualOp)
  WEFT_BINARY("greater", GreaterOp)
  WEFT_BINARY("greater_equal", GreaterEqualOp)
  WEFT_BINARY("and", AndOp)
  WEFT_BINARY("or", OrOp)
#undef WEFT_BINARY
  if (op == "add" || op == "mul") {
    Value result = x;
    Values rest(c.in.drop_front());
    if (c.attrs.has("value"))
      rest.push_back(scalarAttribute(c, "value", c.element()));
    for (Value next : rest)
      result = op == "add" ? Value(AddOp::create(b, loc, result, next)) : Value(MulOp::create(b, loc, result, next));
    return {result};
  }
  if (op == "where") {
    Type element = c.out.getElementType();
    Value whenTrue = c.operand(1) ? c.operand(1) : scalarAttribute(c, "value_true", element);
    Value whenFalse = c.operand(2) ? c.operand(2) : scalarAttribute(c, "value_false", element);
    return {WhereOp::create(b, loc, x, whenTrue, whenFalse)};
  }
  if (op == "masked_fill")
    return {MaskedFillOp::create(b, loc, x, c.in[1], scalarAttribute(c, "value", c.element()))};
  return {};
}

}  // namespace weft
