// One case per op. Nothing is shared with the compiler but the op classes.
#include "RowReference.h"

#include "llvm/ADT/TypeSwitch.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

using namespace mlir;

namespace weft::test {

using Index = std::vector<int64_t>;

int64_t Array::count(const std::vector<int64_t> &shape) {
  int64_t n = 1;
  for (int64_t size : shape)
    n *= size;
  return n;
}

Array::Array(std::vector<int64_t> sizes) : shape(std::move(sizes)), values(count(shape)) {}

double Array::at(const Index &index) const {
  int64_t place = 0;
  size_t skip = index.size() - shape.size();
  for (size_t i = 0; i < shape.size(); ++i)
    place = place * shape[i] + (shape[i] == 1 ? 0 : index[skip + i]);
  return values[place];
}

std::vector<int64_t> sizesOf(Type type, const Dims &dims) {
  std::vector<int64_t> sizes;
  for (const DimExpr &size : shapeOf(type))
    sizes.push_back(*size.evaluate(dims));
  return sizes;
}

namespace {

void forEach(const Index &shape, const std::function<void(const Index &)> &body) {
  if (Array::count(shape) == 0)
    return;
  Index index(shape.size());
  while (true) {
    body(index);
    size_t i = shape.size();
    while (i > 0 && ++index[i - 1] == shape[i - 1])
      index[--i] = 0;
    if (i == 0)
      return;
  }
}

Array make(const Index &shape, const std::function<double(const Index &)> &element) {
  Array result(shape);
  int64_t next = 0;
  forEach(shape, [&](const Index &index) { result.values[next++] = element(index); });
  return result;
}

double erfGelu(double x) { return x / 2 * (1 + std::erf(x / std::sqrt(2.0))); }
double tanhGelu(double x) { return x / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); }

double castTo(double x, Type from, Type to) {
  if (to.isInteger(1))
    return x != 0;
  if (to.isBF16()) {
    APFloat value(x);
    bool lost;
    value.convert(APFloat::BFloat(), APFloat::rmNearestTiesToEven, &lost);
    return value.convertToDouble();
  }
  if (to.isF16()) {
    APFloat value(x);
    bool lost;
    value.convert(APFloat::IEEEhalf(), APFloat::rmNearestTiesToEven, &lost);
    return value.convertToDouble();
  }
  if (to.isF32())
    return float(x);
  auto integer = dyn_cast<IntegerType>(to);
  if (!integer)
    return x;
  bool wide = integer.getWidth() == 64, isUnsigned = integer.isUnsigned();
  double high = std::ldexp(1.0, integer.getWidth() - (isUnsigned ? 0 : 1)), low = isUnsigned ? 0 : -high;
  if (isa<FloatType>(from)) {
    if (std::isnan(x))
      return 0;
    x = std::trunc(x);
    return wide ? std::clamp(x, low, high) : std::clamp(x, low, high - 1);
  }
  if (x >= low && x < high)
    return x;
  double range = std::ldexp(1.0, integer.getWidth()), rest = std::fmod(x, range);
  if (rest < 0)
    rest += range;
  return !isUnsigned && rest >= high ? rest - range : rest;
}

double unary(Operation *op, double x) {
  return llvm::TypeSwitch<Operation *, double>(op)
      .Case<AbsOp>([&](auto) { return std::fabs(x); })
      .Case<CosOp>([&](auto) { return std::cos(x); })
      .Case<ErfOp>([&](auto) { return std::erf(x); })
      .Case<ExpOp>([&](auto) { return std::exp(x); })
      .Case<LogOp>([&](auto) { return std::log(x); })
      .Case<NegOp>([&](auto) { return -x; })
      .Case<NotOp>([&](auto) { return x == 0 ? 1.0 : 0.0; })
      .Case<ReluOp>([&](auto) { return x < 0 ? 0 : x; })
      .Case<RsqrtOp>([&](auto) { return 1 / std::sqrt(x); })
      .Case<SigmoidOp>([&](auto) { return 1 / (1 + std::exp(-x)); })
      .Case<SiluOp>([&](auto) { return x / (1 + std::exp(-x)); })
      .Case<SinOp>([&](auto) { return std::sin(x); })
      .Case<SoftplusOp>([&](auto) { return std::max(x, 0.0) + std::log1p(std::exp(-std::fabs(x))); })
      .Case<SqrtOp>([&](auto) { return std::sqrt(x); })
      .Case<TanhOp>([&](auto) { return std::tanh(x); })
      .Case<ClampOp>([&](ClampOp o) {
        double y = x;
        if (o.getLow() && y < o.getLow()->convertToDouble())
          y = o.getLow()->convertToDouble();
        if (o.getHigh() && y > o.getHigh()->convertToDouble())
          y = o.getHigh()->convertToDouble();
        return y;
      })
      .Case<DropoutOp>([&](auto) { return x; })
      .Case<EluOp>([&](EluOp o) { return x > 0 ? x : o.getAlpha().convertToDouble() * std::expm1(x); })
      .Case<GeluOp>([&](GeluOp o) { return o.getApproximate() ? tanhGelu(x) : erfGelu(x); })
      .Case<LeakyReluOp>([&](LeakyReluOp o) { return x > 0 ? x : o.getSlope().convertToDouble() * x; })
      .Case<CastOp>([&](CastOp o) {
        return castTo(x, cast<RankedTensorType>(o.getX().getType()).getElementType(), cast<RankedTensorType>(o.getY().getType()).getElementType());
      });
}

double binary(Operation *op, double x, double y) {
  bool nan = std::isnan(x) || std::isnan(y);
  return llvm::TypeSwitch<Operation *, double>(op)
      .Case<AddOp>([&](auto) { return x + y; })
      .Case<SubOp>([&](auto) { return x - y; })
      .Case<MulOp>([&](auto) { return x * y; })
      .Case<DivOp>([&](auto) { return x / y; })
      .Case<PowOp>([&](auto) { return std::pow(x, y); })
      .Case<MaximumOp>([&](auto) { return nan ? NAN : std::max(x, y); })
      .Case<MinimumOp>([&](auto) { return nan ? NAN : std::min(x, y); })
      .Case<AndOp>([&](auto) { return double(x != 0 && y != 0); })
      .Case<OrOp>([&](auto) { return double(x != 0 || y != 0); })
      .Case<EqualOp>([&](auto) { return double(x == y); })
      .Case<NotEqualOp>([&](auto) { return double(x != y); })
      .Case<LessOp>([&](auto) { return double(x < y); })
      .Case<LessEqualOp>([&](auto) { return double(x <= y); })
      .Case<GreaterOp>([&](auto) { return double(x > y); })
      .Case<GreaterEqualOp>([&](auto) { return double(x >= y); });
}

class Evaluator {
public:
  Evaluator(const Dims &dims, const std::vector<int64_t> &lengths, const reference::RandomFields &random) : dims(dims), lengths(lengths), random(random) {}

  llvm::DenseMap<Value, Array> values;

  Array evaluate(Operation *op) {
    shape = sizesOf(op->getResult(0).getType(), dims);
    if (auto where = dyn_cast<WhereOp>(op)) {
      const Array &c = in(op, 0), &a = in(op, 1), &b = in(op, 2);
      return make(shape, [&](const Index &i) { return c.at(i) != 0 ? a.at(i) : b.at(i); });
    }
    if (auto dropout = dyn_cast<DropoutOp>(op); dropout && dropout.getSite())
      return dropped(dropout);
    if (isPointwise(op)) {
      const Array &x = in(op, 0);
      if (op->getNumOperands() == 1)
        return make(shape, [&](const Index &i) { return unary(op, x.at(i)); });
      const Array &y = in(op, 1);
      return make(shape, [&](const Index &i) { return binary(op, x.at(i), y.at(i)); });
    }
    if (isRowWise(op))
      return rows(op);
    return movement(op);
  }

private:
  const Array &in(Operation *op, unsigned i) { return values.find(op->getOperand(i))->second; }

  Array dropped(DropoutOp op) {
    const Array &x = in(op, 0);
    int64_t round = op.getRound() ? *DimExpr::parse(op.getRound()->str())->evaluate(dims) : 0;
    int64_t element = shape.empty() || !shape[0] ? 0 : random.firstSample * (Array::count(shape) / shape[0]);
    double p = op.getP().convertToDouble();
    return make(shape, [&](const Index &i) { return reference::kept(random, int64_t(*op.getSite()), round, p, uint64_t(element++)) ? x.at(i) / (1 - p) : 0; });
  }

  /// Elements of x along `axes` through the point of the result.
  std::vector<double> along(const Array &x, const std::vector<int64_t> &axes, const Index &point) {
    Index sizes;
    for (int64_t axis : axes)
      sizes.push_back(x.shape[axis]);
    std::vector<double> elements;
    forEach(sizes, [&](const Index &inner) {
      Index index = point;
      for (size_t i = 0; i < axes.size(); ++i)
        index[axes[i]] = inner[i];
      elements.push_back(x.at(index));
    });
    return elements;
  }

  static double sum(const std::vector<double> &xs) {
    double total = 0;
    for (double x : xs)
      total += x;
    return total;
  }
  static double variance(const std::vector<double> &xs, bool unbiased) {
    double mean = sum(xs) / double(xs.size()), total = 0;
    for (double x : xs)
      total += (x - mean) * (x - mean);
    return total / (double(xs.size()) - unbiased);
  }
  static double extreme(const std::vector<double> &xs, bool larger) {
    double best = larger ? -INFINITY : INFINITY;
    for (double x : xs)
      best = std::isnan(x) || std::isnan(best) ? NAN : larger ? std::max(best, x) : std::min(best, x);
    return best;
  }

  Array reduced(const Array &x, std::vector<int64_t> axes, bool keepdim, const std::function<double(const std::vector<double> &)> &reduce) {
    return make(shape, [&](const Index &index) {
      Index point(x.shape.size());
      size_t next = 0;
      for (size_t i = 0; i < point.size(); ++i) {
        bool gone = std::find(axes.begin(), axes.end(), int64_t(i)) != axes.end();
        if (!gone)
          point[i] = index[next];
        next += !gone || keepdim;
      }
      return reduce(along(x, axes, point));
    });
  }

  Array rows(Operation *op) {
    const Array &x = in(op, 0);
    std::vector<int64_t> axes;
    if (auto attribute = op->getAttrOfType<DenseI64ArrayAttr>("axes"))
      axes = attribute.asArrayRef().vec();
    else if (auto axis = op->getAttrOfType<IntegerAttr>("axis"))
      axes = {axis.getInt()};
    else
      axes = {int64_t(x.shape.size()) - 1};
    bool keepdim = op->hasAttr("keepdim");
    auto normalised = [&](const std::function<double(double, const std::vector<double> &, int64_t)> &element) {
      return make(shape, [&](const Index &i) { return element(x.at(i), along(x, axes, i), i[axes[0]]); });
    };
    return llvm::TypeSwitch<Operation *, Array>(op)
        .Case<ReduceSumOp>([&](auto) { return reduced(x, axes, keepdim, [&](auto &v) { return sum(v); }); })
        .Case<ReduceMeanOp>([&](auto) { return reduced(x, axes, keepdim, [&](auto &v) { return sum(v) / double(v.size()); }); })
        .Case<ReduceMaxOp>([&](auto) { return reduced(x, axes, keepdim, [&](auto &v) { return extreme(v, true); }); })
        .Case<ReduceMinOp>([&](auto) { return reduced(x, axes, keepdim, [&](auto &v) { return extreme(v, false); }); })
        .Case<VarOp>([&](VarOp o) { return reduced(x, axes, keepdim, [&](auto &v) { return variance(v, o.getUnbiased()); }); })
        .Case<ArgmaxOp>([&](auto) {
          return reduced(x, axes, keepdim, [&](auto &v) { return double(std::max_element(v.begin(), v.end()) - v.begin()); });
        })
        .Case<SoftmaxOp>([&](auto) {
          return normalised([&](double e, auto &row, int64_t) {
            double top = extreme(row, true), total = 0;
            if (top == -INFINITY)
              return 0.0;
            for (double v : row)
              total += std::exp(v - top);
            return std::exp(e - top) / total;
          });
        })
        .Case<LogSoftmaxOp>([&](auto) {
          return normalised([&](double e, auto &row, int64_t) {
            double top = extreme(row, true), total = 0;
            for (double v : row)
              total += std::exp(v - top);
            return e - top - std::log(total);
          });
        })
        .Case<L2NormalizeOp>([&](L2NormalizeOp o) {
          return normalised([&](double e, auto &row, int64_t) {
            double squares = 0;
            for (double v : row)
              squares += v * v;
            return e / std::max(std::sqrt(squares), o.getEps().convertToDouble());
          });
        })
        .Case<RmsNormOp>([&](RmsNormOp o) {
          const Array &w = in(op, 1);
          return normalised([&](double e, auto &row, int64_t j) {
            double squares = 0;
            for (double v : row)
              squares += v * v;
            return e / std::sqrt(squares / double(row.size()) + o.getEps().convertToDouble()) * w.values[j];
          });
        })
        .Case<LayerNormOp>([&](LayerNormOp o) {
          const Array *w = o.getWeight() ? &values.find(o.getWeight())->second : nullptr;
          const Array *b = o.getBias() ? &values.find(o.getBias())->second : nullptr;
          double eps = o.getEps().convertToDouble();
          return normalised([&](double e, auto &row, int64_t j) {
            double v = variance(row, o.getUnbiased()), divisor = o.getEpsOutside() ? std::sqrt(v) + eps : std::sqrt(v + eps);
            return (e - sum(row) / double(row.size())) / divisor * (w ? w->values[j] : 1) + (b ? b->values[j] : 0);
          });
        })
        .Case<MeanPoolOp, MaxPoolOp>([&](auto) {
          const Array *mask = op->getNumOperands() > 1 ? &in(op, 1) : nullptr;
          return make(shape, [&](const Index &i) {
            double total = 0, n = 0, best = -INFINITY;
            for (int64_t t = 0; t < x.shape[1]; ++t)
              if (!mask || mask->at({i[0], t}) != 0) {
                total += x.at({i[0], t, i[1]});
                best = std::max(best, x.at({i[0], t, i[1]}));
                ++n;
              }
            return isa<MeanPoolOp>(op) ? total / std::max(n, 1.0) : n ? best : 0;
          });
        });
  }

  Array movement(Operation *op) {
    auto text = [&](StringRef expr) { return *DimExpr::parse(expr.str())->evaluate(dims); };
    return llvm::TypeSwitch<Operation *, Array>(op)
        .Case<ConstantOp>([&](ConstantOp o) {
          Array result(shape);
          int64_t next = 0;
          if (auto floats = dyn_cast<DenseFPElementsAttr>(o.getValue()))
            for (const APFloat &v : floats.getValues<APFloat>())
              result.values[next++] = v.convertToDouble();
          else
            for (const APInt &v : cast<DenseIntElementsAttr>(o.getValue()).getValues<APInt>())
              result.values[next++] = v.getBitWidth() == 1 ? double(v.getZExtValue()) : double(v.getSExtValue());
          return result;
        })
        .Case<ConcatOp>([&](ConcatOp o) {
          return make(shape, [&](Index i) {
            for (unsigned part = 0;; ++part) {
              const Array &x = in(op, part);
              if (i[o.getAxis()] < x.shape[o.getAxis()])
                return x.at(i);
              i[o.getAxis()] -= x.shape[o.getAxis()];
            }
          });
        })
        .Case<ExpandOp>([&](auto) { return make(shape, [&](const Index &i) { return in(op, 0).at(i); }); })
        .Case<ReshapeOp>([&](auto) {
          Array result(shape);
          result.values = in(op, 0).values;
          return result;
        })
        .Case<SliceOp>([&](SliceOp o) {
          return make(shape, [&](Index i) {
            i[o.getAxis()] = text(o.getStart()) + i[o.getAxis()] * int64_t(o.getStep());
            return in(op, 0).at(i);
          });
        })
        .Case<TransposeOp>([&](TransposeOp o) {
          return make(shape, [&](const Index &i) {
            Index from(i.size());
            for (size_t a = 0; a < i.size(); ++a)
              from[o.getPerm()[a]] = i[a];
            return in(op, 0).at(from);
          });
        })
        .Case<IotaOp>([&](auto) { return make(shape, [&](const Index &i) { return double(i[0]); }); })
        .Case<CausalMaskOp>([&](auto) { return make(shape, [&](const Index &i) { return double(i[1] <= i[0]); }); })
        .Case<PositionsOp>([&](PositionsOp o) {
          return make(shape, [&](const Index &i) { return double(text(o.getOffset()) + i.back() + (o.getState() ? lengths[i[0]] : 0)); });
        })
        .Case<EmbeddingOp>([&](auto) {
          return make(shape, [&](const Index &i) {
            int64_t row = int64_t(in(op, 0).at(Index(i.begin(), i.end() - 1)));
            return in(op, 1).at({row < 0 || row >= in(op, 1).shape[0] ? 0 : row, i.back()});
          });
        })
        .Case<GatherOp>([&](GatherOp o) {
          return make(shape, [&](Index i) {
            int64_t index = int64_t(in(op, 1).at(i)), n = in(op, 0).shape[o.getAxis()];
            i[o.getAxis()] = index < 0 || index >= n ? 0 : index;
            return in(op, 0).at(i);
          });
        })
        .Case<SinusoidOp>([&](SinusoidOp o) {
          return make(shape, [&](const Index &i) {
            double p = in(op, 0).at(Index(i.begin(), i.end() - 1)), base = o.getBase().convertToDouble();
            double angle = p / std::pow(base, double(i.back() / 2 * 2) / double(o.getFeatures()));
            return i.back() % 2 ? std::cos(angle) : std::sin(angle);
          });
        })
        .Case<RopeOp>([&](RopeOp o) {
          const Array &x = in(op, 0), &p = in(op, 1);
          int64_t head = x.shape[2] / int64_t(o.getHeads()), rotary = o.getRotaryDim(), half = rotary / 2;
          return make(shape, [&](Index i) {
            int64_t w = i[2] % head;
            if (w >= rotary)
              return x.at(i);
            int64_t pair = o.getInterleaved() ? w / 2 : w % half;
            bool first = o.getInterleaved() ? w % 2 == 0 : w < half;
            double position = p.shape.size() == 1 ? p.at({i[1]}) : p.at({i[0], i[1]});
            double angle = position * std::pow(o.getTheta().convertToDouble(), -2.0 * double(pair) / double(rotary));
            double own = x.at(i);
            i[2] += (first ? 1 : -1) * (o.getInterleaved() ? 1 : half);
            double other = x.at(i);
            return first ? own * std::cos(angle) - other * std::sin(angle) : other * std::sin(angle) + own * std::cos(angle);
          });
        });
  }

  const Dims &dims;
  const std::vector<int64_t> &lengths;
  const reference::RandomFields &random;
  Index shape;
};

} // namespace

std::vector<Array> evaluate(FusedOp op, const std::vector<Array> &operands, const Dims &dims, const std::vector<int64_t> &lengths,
                            const reference::RandomFields &random) {
  Block &body = op.getBody().front();
  Evaluator evaluator(dims, lengths, random);
  for (BlockArgument argument : body.getArguments())
    evaluator.values[argument] = operands[argument.getArgNumber()];
  for (Operation &inner : body.without_terminator()) {
    Array result = evaluator.evaluate(&inner);
    evaluator.values[inner.getResult(0)] = std::move(result);
  }
  std::vector<Array> results;
  for (Value yielded : body.getTerminator()->getOperands())
    results.push_back(evaluator.values.find(yielded)->second);
  return results;
}

} // namespace weft::test
