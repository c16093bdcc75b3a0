// Rules and effects of attention, its gradient, and mha, which is attention with its projections.
// Masks, window, cache and the map of probabilities follow the same rules in both.
#include "dialect/OpRules.h"

using namespace mlir;

namespace weft {
using namespace rules;
namespace {

/// `scores`: [batch, heads, queries, keys].
template <class Op>
LogicalResult verifyScores(Op op, const Shape &scores) {
  Shape keys{scores[0], scores[3]};
  if (op.getKeyMask() && shapeOf(op.getKeyMask()) != keys)
    return op.emitOpError() << "expected key_mask of shape " << text(keys) << " but got " << text(shapeOf(op.getKeyMask()));
  for (Value extra : {Value(op.getMask()), Value(op.getBias())}) {
    if (!extra)
      continue;
    std::optional<Shape> joined = broadcast(shapeOf(extra), scores);
    if (!joined || *joined != scores)
      return op.emitOpError() << "expected a mask or bias that broadcasts to " << text(scores) << " but got " << text(shapeOf(extra));
  }
  if (op.getWindow() && (!op.getCausal() || int64_t(*op.getWindow()) < 1))
    return op.emitOpError() << "expected a positive window together with causal";
  if (bool(op.getCache()) != bool(op.getLayer()))
    return op.emitOpError() << "expected cache and layer together";
  if (op.getCache() && (op.getKeyMask() || op.getMask() || op.getBias()))
    return op.emitOpError() << "expected no key_mask, mask or bias with a cache";
  if (failed(verifyRound(op, op.getSite(), op.getRound())))
    return failure();
  if (op.getWeights()) {
    bool perHead = *op.getWeights() == "per_head";
    if (!perHead && *op.getWeights() != "mean")
      return op.emitOpError() << "expected weights 'per_head' or 'mean' but got '" << *op.getWeights() << "'";
    if (op.getCache())
      return op.emitOpError() << "expected no weights with a cache";
    Shape map = perHead ? scores : Shape{scores[0], scores[2], scores[3]};
    if (shapeOf(op.getMap()) != map)
      return op.emitOpError() << "expected a map of shape " << text(map) << " but got " << text(shapeOf(op.getMap()));
  }
  return success();
}

using Effects = SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>;

/// With a cache, the call's keys and values are appended to it.
void addCacheEffects(bool hasCache, Effects &effects) {
  if (!hasCache)
    return;
  effects.emplace_back(MemoryEffects::Read::get());
  effects.emplace_back(MemoryEffects::Write::get());
}

} // namespace

LogicalResult AttentionOp::verify() {
  Shape q = shapeOf(getQ()), k = shapeOf(getK()), v = shapeOf(getV()), y = shapeOf(getY());
  int64_t heads = getHeads(), kvHeads = getKvHeads();
  if (q.size() != 3 || k.size() != 3 || v.size() != 3)
    return emitOpError() << "expected q, k, v of rank 3 but got " << text(q) << ", " << text(k) << ", " << text(v);
  if (heads < 1 || kvHeads < 1 || heads % kvHeads)
    return emitOpError() << "expected kv_heads that divide heads = " << heads << " but got " << kvHeads;
  std::optional<int64_t> qe = q[2].constant(), ke = k[2].constant(), ve = v[2].constant();
  if (!qe || !ke || !ve || *qe % heads || *ke % kvHeads || *ve % kvHeads)
    return emitOpError() << "expected feature counts divisible by heads = " << heads << " and kv_heads = " << kvHeads << " but got "
                         << q[2].str() << ", " << k[2].str() << ", " << v[2].str();
  if (*qe / heads != *ke / kvHeads)
    return emitOpError() << "expected k heads of size " << *qe / heads << " but got " << *ke / kvHeads;
  if (k[0] != q[0] || v[0] != q[0] || k[1] != v[1])
    return emitOpError() << "expected one batch and one key count but got " << text(q) << ", " << text(k) << ", " << text(v);
  if (y != Shape{q[0], q[1], DimExpr(*ve / kvHeads * heads)})
    return emitOpError() << "expected result shape " << text({q[0], q[1], DimExpr(*ve / kvHeads * heads)}) << " but got " << text(y);
  if (getExtras().size() != size_t(getWeights().has_value()) + size_t(getSaveLse()))
    return emitOpError() << "expected a map result exactly when weights are asked for, and an lse result with save_lse";
  if (getSaveLse() && (shapeOf(getLse()) != Shape{q[0], DimExpr(heads), q[1]} || !elementOf(getLse()).isF32()))
    return emitOpError() << "expected an f32 lse of shape " << text({q[0], DimExpr(heads), q[1]}) << " but got " << getLse().getType();
  return verifyScores(*this, {q[0], DimExpr(heads), q[1], k[1]});
}

LogicalResult AttentionGradOp::verify() {
  Type element = elementOf(getQ()), sums = isHalf(element) ? Float32Type::get(getContext()) : element;
  for (auto [name, value, gradient, expected] :
       {std::tuple{"dq", Value(getQ()), Value(getDq()), sums}, std::tuple{"dk", Value(getK()), Value(getDk()), sums},
        std::tuple{"dv", Value(getV()), Value(getDv()), sums}, std::tuple{"dy", Value(getY()), Value(getDy()), elementOf(getY())}})
    if (RankedTensorType type = tensorType(shapeOf(value), expected); type != gradient.getType())
      return emitOpError() << "expected " << name << " of type " << type << " but got " << gradient.getType();
  Shape q = shapeOf(getQ()), lse{q[0], DimExpr(int64_t(getHeads())), q[1]};
  if (shapeOf(getLse()) != lse)
    return emitOpError() << "expected lse of shape " << text(lse) << " but got " << text(shapeOf(getLse()));
  if (getBiasGrad() != bool(getDbias()) || (getBiasGrad() && (!getBias() || getDbias().getType() != getBias().getType())))
    return emitOpError() << "expected a dbias of bias's type exactly with bias_grad";
  return verifyRound(*this, getSite(), getRound());
}

LogicalResult MhaOp::verify() {
  if (bool(getK()) != bool(getV()))
    return emitOpError() << "expected k and v together";
  Shape q = shapeOf(getQ()), k = getK() ? shapeOf(getK()) : q, v = getV() ? shapeOf(getV()) : q;
  if (q.size() != 3 || k.size() != 3 || v != k || k[0] != q[0] || k[2] != q[2])
    return emitOpError() << "expected q of rank 3, and k and v as q but for their key count, but got " << text(q) << ", " << text(k) << ", "
                         << text(v);
  int64_t heads = getHeads();
  std::optional<int64_t> e = q[2].constant();
  if (!e || heads < 1 || *e % heads)
    return emitOpError() << "expected heads that divide " << q[2].str() << " but got " << heads;
  struct Expected {
    const char *name;
    Value value;
    Shape shape;
  };
  for (const Expected &next : {Expected{"in_proj weight", getInWeight(), {DimExpr(3 * *e), DimExpr(*e)}},
                               Expected{"in_proj bias", getInBias(), {DimExpr(3 * *e)}},
                               Expected{"out_proj weight", getOutWeight(), {DimExpr(*e), DimExpr(*e)}},
                               Expected{"out_proj bias", getOutBias(), {DimExpr(*e)}}})
    if (next.value && shapeOf(next.value) != next.shape)
      return emitOpError() << "expected " << next.name << " of shape " << text(next.shape) << " but got " << text(shapeOf(next.value));
  if (getY().getType() != getQ().getType())
    return emitOpError() << "expected a result as q, " << getQ().getType() << ", but got " << getY().getType();
  if (bool(getWeights()) != bool(getMap()))
    return emitOpError() << "expected a map result exactly when weights are asked for";
  return verifyScores(*this, {q[0], DimExpr(heads), q[1], k[1]});
}

void AttentionOp::getEffects(Effects &effects) { addCacheEffects(bool(getCache()), effects); }
void MhaOp::getEffects(Effects &effects) { addCacheEffects(bool(getCache()), effects); }

} // namespace weft
