// Reads the ops between a product and its softmax as scale, softcap, biases and masks.
// The steps are collected upward from the softmax and then replayed in the order in which they run.
#include "fusion/ScoreChain.h"
#include "dialect/Values.h"

#include <cmath>

using namespace mlir;

namespace weft {
namespace {

/// A finite fill counts as a mask from here on: exp(fill - s) is zero in f32 for every visible score s > fill + 104.
constexpr double kLargestFill = -1e4;

struct Step {
  Operation *op;
  Value chain; // the operand through which the scores come
};

bool isLastAxis(ArrayRef<int64_t> axes, Value v) { return axes.size() == 1 && axes[0] == typeOf(v).getRank() - 1; }

/// Looks through the reshape that puts a reduced axis back.
template <typename Reduction> Reduction keptReduction(Value v) {
  auto reduction = v.getDefiningOp<Reduction>();
  if (auto reshape = v.getDefiningOp<ReshapeOp>())
    reduction = reshape.getX().template getDefiningOp<Reduction>();
  if (!reduction || !isLastAxis(reduction.getAxes(), reduction.getX()))
    return nullptr;
  Shape kept = shapeOf(reduction.getX());
  kept.back() = DimExpr(1);
  return shapeOf(v) == kept ? reduction : nullptr;
}

/// The scores' path up to a product, through any of an op's operands that keeps their shape. `missed`: values that no path
/// leads up from, with the depth at which that was found.
bool trace(Value v, SmallVectorImpl<Step> &steps, MatmulOp &product, llvm::DenseMap<Value, unsigned> &missed, unsigned depth = 0) {
  Operation *op = v.getDefiningOp();
  auto known = missed.find(v);
  if (!op || depth > 16 || (known != missed.end() && known->second <= depth))
    return false;
  if ((product = dyn_cast<MatmulOp>(op)))
    return true;
  SmallVector<Value, 2> paths;
  if (isa<AddOp, MulOp>(op))
    paths = {op->getOperand(0), op->getOperand(1)};
  else if (isa<SubOp, DivOp, TanhOp, ReshapeOp>(op))
    paths = {op->getOperand(0)};
  else if (auto where = dyn_cast<WhereOp>(op))
    paths = {where.getA(), where.getB()};
  for (Value path : paths) {
    if (!isa<ReshapeOp>(op) && path.getType() != v.getType())
      continue;
    steps.push_back({op, path});
    if (trace(path, steps, product, missed, depth + 1))
      return true;
    steps.pop_back();
  }
  missed[v] = depth;
  return false;
}

/// Replays one step after another; the fields are the scores after the steps so far.
class Replay {
public:
  Replay(ScoreChain &s, Refuse refuse) : s(s), refuse(refuse) {}

  LogicalResult step(Step step) {
    at = shapeOf(step.chain);
    if (isa<ReshapeOp>(step.op))
      return reshape(shapeOf(step.op->getResult(0)));
    if (isa<TanhOp>(step.op))
      return tanh();
    if (auto where = dyn_cast<WhereOp>(step.op))
      return mask(where, where.getB() == step.chain);
    Value other = step.op->getOperand(step.op->getOperand(0) == step.chain ? 1 : 0);
    if (isa<AddOp>(step.op))
      return bias(other, 1);
    if (isa<SubOp>(step.op))
      return bias(other, -1);
    std::optional<double> factor = scalarConstant(other);
    if (!factor)
      return refuse("expected scores scaled by a constant");
    return times(isa<DivOp>(step.op) ? 1 / *factor : *factor);
  }

  LogicalResult finish() {
    if (capping)
      s.softcap = 1.0; // tanh(x) = 1 · tanh(x / 1)
    if (!s.fills.empty() && fill > kLargestFill)
      return refuse("expected a mask filled with -inf or at most -1e4 but got " + Twine(std::to_string(fill)));
    return success();
  }

private:
  LogicalResult reshape(const Shape &to) {
    bool keeps = to.size() >= 2 && at.size() >= 2 && to.back() == at.back() && to[to.size() - 2] == at[at.size() - 2];
    if (!keeps)
      return refuse("expected a reshape of the scores that keeps queries and keys");
    for (const Shape &shape : {at, to})
      if (shape.size() == 4)
        s.heads = shape;
    return success();
  }

  LogicalResult tanh() {
    if (s.softcap || capping || !s.biases.empty() || !s.masks.empty() || !s.fills.empty())
      return refuse("expected tanh before biases and masks, once");
    capping = true;
    return success();
  }

  // -inf is the same under any positive factor, a finite fill is scaled like the scores.
  LogicalResult times(double factor) {
    if (!std::isfinite(factor) || factor == 0 || (factor < 0 && !(s.masks.empty() && s.fills.empty() && !capping)))
      return refuse("expected scores scaled by a positive constant");
    if (capping) {
      capping = false;
      s.softcap = factor;
      s.scale *= factor;
      return success();
    }
    if (s.softcap && factor != 1)
      return refuse("expected no scale after a softcap");
    s.scale *= factor;
    fill *= factor;
    for (ScoreBias &bias : s.biases)
      bias.factor *= factor;
    return success();
  }

  LogicalResult bias(Value value, double factor) {
    if (capping)
      s.softcap = 1.0, capping = false;
    // where(m, 0, -inf) added is a mask.
    if (auto where = value.getDefiningOp<WhereOp>(); where && factor == 1) {
      std::optional<double> a = scalarConstant(where.getA()), b = scalarConstant(where.getB());
      if (a && b && ((*a == 0 && *b == -INFINITY) || (*b == 0 && *a == -INFINITY)))
        return addMask(where.getCond(), *a == 0);
    }
    if (!s.fills.empty())
      return refuse("expected biases before a finite fill");
    s.biases.push_back({value, factor, at});
    return success();
  }

  LogicalResult mask(WhereOp where, bool keepsFalse) {
    if (capping)
      s.softcap = 1.0, capping = false;
    std::optional<double> value = scalarConstant(keepsFalse ? where.getA() : where.getB());
    if (!value || std::isnan(*value))
      return refuse("expected masked scores filled with a constant");
    if (*value == -INFINITY)
      return addMask(where.getCond(), !keepsFalse);
    if (!s.masks.empty())
      return refuse("expected a finite fill before masks of -inf");
    if (!s.fills.empty() && fill != *value)
      return refuse("expected one finite fill but got " + Twine(std::to_string(fill)) + " and " +
                    Twine(std::to_string(*value)));
    fill = *value;
    s.fills.push_back({where.getCond(), !keepsFalse, at});
    return success();
  }

  LogicalResult addMask(Value cond, bool keeps) {
    s.masks.push_back({cond, keeps, at});
    return success();
  }

  ScoreChain &s;
  Refuse refuse;
  Shape at;
  double fill = 0;
  bool capping = false; // a tanh waits for the factor that follows it
};

/// v as a position along one of the last two axes: 0 for queries, 1 for keys.
std::optional<int> positionAxis(Value v) {
  Shape shape = shapeOf(v);
  while (Operation *op = v.getDefiningOp()) {
    if (isa<IotaOp>(op))
      break;
    if (auto positions = dyn_cast<PositionsOp>(op)) {
      if (positions.getState() || positions.getOffset() != "0")
        return std::nullopt;
      break;
    }
    if (!isa<ReshapeOp, CastOp>(op))
      return std::nullopt;
    v = op->getOperand(0);
  }
  if (!v.getDefiningOp() || shape.empty())
    return std::nullopt;
  Shape counted = shapeOf(v);
  for (size_t i = 0; i + 2 < shape.size(); ++i)
    if (shape[i] != DimExpr(1))
      return std::nullopt;
  if (shape.back() == counted[0])
    return shape.size() == 1 || shape[shape.size() - 2] == DimExpr(1) ? std::optional<int>(1) : std::nullopt;
  return shape.size() >= 2 && shape.back() == DimExpr(1) && shape[shape.size() - 2] == counted[0]
             ? std::optional<int>(0)
             : std::nullopt;
}

/// True if `m == keeps` is j <= i along the last two axes.
bool keepsPast(Value m, bool keeps) {
  Shape shape = shapeOf(m);
  if (shape.size() < 2 || shape.back() != shape[shape.size() - 2])
    return false;
  Operation *op = m.getDefiningOp();
  if (!op)
    return false;
  if (auto inverted = dyn_cast<NotOp>(op))
    return keepsPast(inverted.getX(), !keeps);
  if (isa<CausalMaskOp>(op))
    return keeps;
  if (isa<ReshapeOp, ExpandOp>(op)) {
    Shape inner = shapeOf(op->getOperand(0));
    bool kept = inner.size() >= 2 && inner.back() == shape.back() && inner[inner.size() - 2] == shape.back();
    return kept && keepsPast(op->getOperand(0), keeps);
  }
  if (!isa<LessOp, LessEqualOp, GreaterOp, GreaterEqualOp>(op))
    return false;
  std::optional<int> left = positionAxis(op->getOperand(0)), right = positionAxis(op->getOperand(1));
  if (!left || !right || *left == *right)
    return false;
  // j <= i, as i >= j; or its opposites j > i and i < j where the mask is false.
  bool keysLeft = *left == 1;
  if (keeps)
    return keysLeft ? isa<LessEqualOp>(op) : isa<GreaterEqualOp>(op);
  return keysLeft ? isa<GreaterOp>(op) : isa<LessOp>(op);
}

} // namespace

bool isCausal(const ScoreMask &mask) {
  Shape shape = shapeOf(mask.value);
  // A mask of size 1 that broadcasts is no triangle.
  bool covers =
      shape.size() >= 2 && shape.back() == mask.at.back() && shape[shape.size() - 2] == mask.at[mask.at.size() - 2];
  return covers && keepsPast(mask.value, mask.keeps);
}

LogicalResult readProbabilities(Value p, Probabilities &out, Refuse refuse) {
  out.result = p;
  if (auto softmax = p.getDefiningOp<SoftmaxOp>()) {
    if (int64_t(softmax.getAxis()) != typeOf(p).getRank() - 1)
      return refuse("expected softmax along the last axis but got axis " + Twine(int64_t(softmax.getAxis())));
    out.scores = softmax.getX();
    if (!out.scores.hasOneUse())
      return refuse("expected scores with one use");
    return success();
  }
  auto div = p.getDefiningOp<DivOp>();
  auto exp = div ? div.getLhs().getDefiningOp<ExpOp>() : nullptr;
  auto sum = div ? keptReduction<ReduceSumOp>(div.getRhs()) : nullptr;
  auto sub = exp ? exp.getX().getDefiningOp<SubOp>() : nullptr;
  auto max = sub ? keptReduction<ReduceMaxOp>(sub.getRhs()) : nullptr;
  if (!sum || !max || sum.getX() != exp.getY() || max.getX() != sub.getLhs())
    return refuse("expected probabilities from a softmax");
  bool inner = exp.getY().hasNUses(2) && exp.getX().hasOneUse() && div.getRhs().hasOneUse() &&
               sub.getRhs().hasOneUse() && sum.getY().hasOneUse() && max.getY().hasOneUse();
  if (!inner || !sub.getLhs().hasNUses(2))
    return refuse("expected scores with one use");
  out.scores = sub.getLhs();
  out.spelled = true;
  return success();
}

LogicalResult readScores(const Probabilities &p, ScoreChain &out, Refuse refuse) {
  SmallVector<Step> steps;
  llvm::DenseMap<Value, unsigned> missed;
  if (!trace(p.scores, steps, out.product, missed))
    return refuse("expected scores from a matrix product");
  for (Step step : steps)
    if (!step.chain.hasOneUse())
      return refuse("expected scores with one use");
  Replay replay(out, refuse);
  for (Step step : llvm::reverse(steps)) {
    if (failed(replay.step(step)))
      return failure();
    out.steps.push_back(step.op);
  }
  if (failed(replay.finish()))
    return failure();
  // The spelled softmax makes NaN of a row with every key masked, weft.attention zeros: only masks that leave a key.
  if (p.spelled) {
    bool open = out.biases.empty() && llvm::all_of(out.masks, isCausal);
    if (!open)
      return refuse("expected weft.softmax where a whole row may be masked");
  }
  return success();
}

} // namespace weft
