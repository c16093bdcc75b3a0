// Polynomials with rational coefficients as integer arithmetic: terms are brought to one denominator, summed and divided
// once, because a single term need not be whole.
#include "tiling/EmitDimExpr.h"

#include "tiling/SizeMath.h"

#include <numeric>

using namespace mlir;

namespace weft {
namespace {

using ValueOf = llvm::function_ref<Value(llvm::StringRef)>;

Value emitAtom(OpBuilder &b, Location loc, llvm::StringRef atom, ValueOf valueOf) {
  if (!atom.ends_with(")"))
    return valueOf(atom);
  SizeMath math{b, loc};
  bool minimum = atom.starts_with("min(");
  llvm::StringRef rest = atom.drop_front(4).drop_back();
  Value best;
  while (!rest.empty()) {
    size_t end = 0;
    for (int depth = 0; end < rest.size() && (depth || rest[end] != ','); ++end)
      depth += rest[end] == '(' ? 1 : rest[end] == ')' ? -1 : 0;
    std::optional<DimExpr> argument = DimExpr::parse(rest.take_front(end).str());
    Value next = emitDimExpr(b, loc, *argument, valueOf);
    best = !best ? next : minimum ? math.min(best, next) : math.max(best, next);
    rest = rest.drop_front(std::min(end + 1, rest.size()));
  }
  return best;
}

} // namespace

Value emitDimExpr(OpBuilder &b, Location loc, const DimExpr &expr, ValueOf valueOf) {
  SizeMath math{b, loc};
  if (std::optional<int64_t> constant = expr.constant())
    return math.constant(*constant);
  int64_t denominator = 1;
  for (const auto &[monomial, ratio] : expr.terms())
    denominator = std::lcm(denominator, ratio.den);
  Value sum;
  for (const auto &[monomial, ratio] : expr.terms()) {
    Value product = math.constant(ratio.num * (denominator / ratio.den));
    for (const auto &[atom, power] : monomial) {
      Value value = emitAtom(b, loc, atom, valueOf);
      for (int i = 0; i < power; ++i)
        product = math.mul(value, product);
    }
    sum = sum ? math.add(sum, product) : product;
  }
  if (denominator != 1)
    sum = b.createOrFold<arith::DivSIOp>(loc, sum, math.constant(denominator));
  return sum;
}

Value emitDimExpr(KernelBuilder &k, const DimExpr &expr, const llvm::StringMap<int> &slots) {
  return emitDimExpr(k.b, k.loc, expr, [&](llvm::StringRef name) { return k.i64Slot(slots.at(name)); });
}

} // namespace weft
