// Gradients of the pointwise ops. Above each rule: the op, then its derivative; G is the gradient of the result y.
// Subgradients at kinks are PyTorch's: relu'(0) = 0, abs'(0) = 0, equal operands of max and min share.
#include "autodiff/rules/Expr.h"

#include <cmath>

using namespace mlir;

namespace weft {
namespace {

constexpr double kPi = 3.14159265358979323846;

/// y = f(x): dx = G · f'(x), with f' from x and y.
template <typename Op, typename Derivative>
void unary(Op op, Gradients &g, Derivative derivative) {
  Expr x{op.getX(), &g}, y{op.getY(), &g}, G{g.of(op.getY()), &g};
  g.add(op.getX(), derivative(G, x, y));
}

// y = |x|: sign(x), 0 at 0
void absRule(AbsOp op, Gradients &g) {
  unary(op, g, [](Expr G, Expr x, Expr) { return where(x > 0, G, where(x < 0, -G, 0)); });
}
// y = cos x: -sin x
void cosRule(CosOp op, Gradients &g) {
  unary(op, g, [](Expr G, Expr x, Expr) { return -(G * sin(x)); });
}
// y = erf x: 2/√π e^(-x²)
void erfRule(ErfOp op, Gradients &g) {
  unary(op, g, [](Expr G, Expr x, Expr) { return G * exp(-(x * x)) * (2 / std::sqrt(kPi)); });
}
// y = e^x: y
void expRule(ExpOp op, Gradients &g) {
  unary(op, g, [](Expr G, Expr, Expr y) { return G * y; });
}
// y = ln x: 1/x
void logRule(LogOp op, Gradients &g) {
  unary(op, g, [](Expr G, Expr x, Expr) { return G / x; });
}
// y = -x: -1
void negRule(NegOp op, Gradients &g) {
  unary(op, g, [](Expr G, Expr, Expr) { return -G; });
}
// y = max(x, 0): 1 where x > 0
void reluRule(ReluOp op, Gradients &g) {
  unary(op, g, [](Expr G, Expr, Expr y) { return where(y > 0, G, 0); });
}
// y = 1/√x: -y³/2
void rsqrtRule(RsqrtOp op, Gradients &g) {
  unary(op, g, [](Expr G, Expr, Expr y) { return G * (y * y * y) * -0.5; });
}
// y = σ(x): y (1 - y)
void sigmoidRule(SigmoidOp op, Gradients &g) {
  unary(op, g, [](Expr G, Expr, Expr y) { return G * y * (1 - y); });
}
// y = x σ(x): σ (1 + x (1 - σ))
void siluRule(SiluOp op, Gradients &g) {
  unary(op, g, [](Expr G, Expr x, Expr) {
    Expr s = sigmoid(x);
    return G * s * (1 + x * (1 - s));
  });
}
// y = sin x: cos x
void sinRule(SinOp op, Gradients &g) {
  unary(op, g, [](Expr G, Expr x, Expr) { return G * cos(x); });
}
// y = ln(1 + e^x): σ(x)
void softplusRule(SoftplusOp op, Gradients &g) {
  unary(op, g, [](Expr G, Expr x, Expr) { return G * sigmoid(x); });
}
// y = √x: 1/(2y)
void sqrtRule(SqrtOp op, Gradients &g) {
  unary(op, g, [](Expr G, Expr, Expr y) { return G * 0.5 / y; });
}
// y = tanh x: 1 - y²
void tanhRule(TanhOp op, Gradients &g) {
  unary(op, g, [](Expr G, Expr, Expr y) { return G * (1 - y * y); });
}
// y = min(max(x, low), high): 1 where low ≤ x ≤ high
void clampRule(ClampOp op, Gradients &g) {
  unary(op, g, [&](Expr G, Expr x, Expr) {
    if (op.getLow())
      G = where(x >= op.getLow()->convertToDouble(), G, 0);
    return op.getHigh() ? where(x <= op.getHigh()->convertToDouble(), G, 0) : G;
  });
}
// y = x · keep/(1 - p): keep/(1 - p), the same op with the same site
void dropoutRule(DropoutOp op, Gradients &g) {
  g.add(op.getX(), DropoutOp::create(g.b, g.loc, op.getType(), g.of(op.getY()), op.getPAttr(), op.getSiteAttr(), op.getRoundAttr()));
}
// y = x > 0 ? x : α (e^x - 1): 1, α e^x
void eluRule(EluOp op, Gradients &g) {
  unary(op, g, [&](Expr G, Expr x, Expr) { return where(x > 0, G, G * exp(x) * op.getAlpha().convertToDouble()); });
}
// y = x Φ(x): Φ + x φ; tanh form with u = √(2/π)(x + c x³), t = tanh u: (1 + t)/2 + x/2 (1 - t²) u'
void geluRule(GeluOp op, Gradients &g) {
  unary(op, g, [&](Expr G, Expr x, Expr) {
    if (op.getApproximate()) {
      double k = std::sqrt(2 / kPi), c = 0.044715;
      Expr t = tanh((x + x * x * x * c) * k);
      return G * (0.5 + 0.5 * t + 0.5 * x * (1 - t * t) * (k + x * x * (3 * c * k)));
    }
    return G * (0.5 + 0.5 * erf(x * std::sqrt(0.5)) + x * exp(x * x * -0.5) * (1 / std::sqrt(2 * kPi)));
  });
}
// y = x > 0 ? x : slope x: 1, slope
void leakyReluRule(LeakyReluOp op, Gradients &g) {
  unary(op, g, [&](Expr G, Expr x, Expr) { return where(x > 0, G, G * op.getSlope().convertToDouble()); });
}
// y = cast x: the gradient cast back. Rounding counts as the identity: what comes unrounded stays so.
void castRule(CastOp op, Gradients &g) {
  Expr G{g.unrounded(op.getY()), &g};
  g.add(op.getX(), G.cast(cast<RankedTensorType>(op.getX().getType()).getElementType()));
}

/// z = f(x, y): what is not needed is not built.
template <typename Op, typename Left, typename Right>
void binary(Op op, Gradients &g, Left left, Right right) {
  Expr x{op.getLhs(), &g}, y{op.getRhs(), &g}, z{op.getResult(), &g}, G{g.of(op.getResult()), &g};
  if (g.needs(x))
    g.add(x, left(G, x, y, z));
  if (g.needs(y))
    g.add(y, right(G, x, y, z));
}

// z = x + y: 1, 1
void addRule(AddOp op, Gradients &g) {
  auto same = [](Expr G, Expr, Expr, Expr) { return G; };
  binary(op, g, same, same);
}
// z = x - y: 1, -1
void subRule(SubOp op, Gradients &g) {
  binary(op, g, [](Expr G, Expr, Expr, Expr) { return G; }, [](Expr G, Expr, Expr, Expr) { return -G; });
}
// z = x y: y, x
void mulRule(MulOp op, Gradients &g) {
  binary(op, g, [](Expr G, Expr, Expr y, Expr) { return G * y; }, [](Expr G, Expr x, Expr, Expr) { return G * x; });
}
// z = x / y: 1/y, -z/y
void divRule(DivOp op, Gradients &g) {
  binary(op, g, [](Expr G, Expr, Expr y, Expr) { return G / y; }, [](Expr G, Expr, Expr y, Expr z) { return -(G * z / y); });
}
// z = x^y: y x^(y-1), 0 where y = 0; z ln x, 0 where x = 0 and y ≥ 0
void powRule(PowOp op, Gradients &g) {
  binary(
      op, g, [](Expr G, Expr x, Expr y, Expr) { return where(equal(y, 0), 0, G * y * pow(x, y - 1)); },
      [](Expr G, Expr x, Expr y, Expr z) { return where(equal(x, 0) & (y >= 0), 0, G * z * log(x)); });
}

Expr larger(Expr G, Expr x, Expr y) { return where(x > y, G, where(equal(x, y), G * 0.5, 0)); }
// z = max(x, y): 1 where larger, 1/2 where equal
void maximumRule(MaximumOp op, Gradients &g) {
  binary(op, g, [](Expr G, Expr x, Expr y, Expr) { return larger(G, x, y); }, [](Expr G, Expr x, Expr y, Expr) { return larger(G, y, x); });
}
// z = min(x, y): 1 where smaller, 1/2 where equal
void minimumRule(MinimumOp op, Gradients &g) {
  binary(op, g, [](Expr G, Expr x, Expr y, Expr) { return larger(G, y, x); }, [](Expr G, Expr x, Expr y, Expr) { return larger(G, x, y); });
}
// y = c ? a : b: G where c, G where not c
void whereRule(WhereOp op, Gradients &g) {
  Expr c{op.getCond(), &g}, G{g.of(op.getY()), &g};
  if (g.needs(op.getA()))
    g.add(op.getA(), where(c, G, 0));
  if (g.needs(op.getB()))
    g.add(op.getB(), where(c, 0, G));
}

} // namespace

void registerPointwiseRules(MLIRContext &context) {
  attach<AbsOp, absRule>(context);
  attach<CosOp, cosRule>(context);
  attach<ErfOp, erfRule>(context);
  attach<ExpOp, expRule>(context);
  attach<LogOp, logRule>(context);
  attach<NegOp, negRule>(context);
  attach<ReluOp, reluRule>(context);
  attach<RsqrtOp, rsqrtRule>(context);
  attach<SigmoidOp, sigmoidRule>(context);
  attach<SiluOp, siluRule>(context);
  attach<SinOp, sinRule>(context);
  attach<SoftplusOp, softplusRule>(context);
  attach<SqrtOp, sqrtRule>(context);
  attach<TanhOp, tanhRule>(context);
  attach<ClampOp, clampRule>(context);
  attach<DropoutOp, dropoutRule>(context);
  attach<EluOp, eluRule>(context);
  attach<GeluOp, geluRule>(context);
  attach<LeakyReluOp, leakyReluRule>(context);
  attach<CastOp, castRule>(context);
  attach<AddOp, addRule>(context);
  attach<SubOp, subRule>(context);
  attach<MulOp, mulRule>(context);
  attach<DivOp, divRule>(context);
  attach<PowOp, powRule>(context);
  attach<MaximumOp, maximumRule>(context);
  attach<MinimumOp, minimumRule>(context);
  attach<WhereOp, whereRule>(context);
}

} // namespace weft
