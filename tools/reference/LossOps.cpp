// Losses, forward. K: classes, w: class weights.
// `mean` divides by the sum of the elements' weights; a divisor of 0 gives the loss 0.
#include "Ops.h"

namespace weft::reference {
namespace {

// none: every element; sum: Σ loss; mean: Σ loss / Σ weight; batchmean: Σ loss / size of axis 0
template <class T> Results reduceLoss(Call &c, const Tensor &losses, const std::vector<T> &weights) {
  std::string how = c.word("reduction", "mean");
  if (how == "none")
    return {losses};
  T sum = 0, total = 0;
  for (int64_t i = 0; i < losses.count(); ++i) {
    sum += load<T>(losses, i);
    total += weights[i];
  }
  Tensor y = make(losses.dtype, {});
  if (how == "batchmean")
    total = losses.rank() ? static_cast<T>(losses.shape[0]) : T(1);
  store(y, 0, how == "sum" ? sum : T(sum / (total == 0 ? T(1) : total)));
  return {y};
}

// nll = -log p[label] · w[label]; loss = (1-ε) · nll - ε/K · Σₖ w[k] · log p[k]
template <class T> Results crossEntropy(Call &c) {
  const Tensor &logits = needReal(c.operand(0)), &labels = needIndex(c.operand(1));
  if (logits.rank() < 1)
    fail("expected logits of rank 1 or more");
  int64_t k = logits.shape.back(), ignored = c.integer("ignore_index", -100);
  needShape(labels, Shape(logits.shape.begin(), logits.shape.end() - 1), "labels");
  std::vector<T> w(k, T(1));
  if (c.has(2) || c.given("class_weights")) {
    std::vector<double> given = c.has(2) ? needReal(c.operand(2)).reals : c.reals("class_weights");
    if (static_cast<int64_t>(given.size()) != k)
      fail("expected ", k, " class weights but got ", given.size());
    for (int64_t j = 0; j < k; ++j)
      w[j] = c.has(2) ? load<T>(c.operand(2), j) : static_cast<T>(given[j]);
  }
  T smoothing = static_cast<T>(c.real("label_smoothing", 0));
  Tensor losses = make(logits.dtype, labels.shape);
  std::vector<T> weights(labels.count(), T(0));
  for (int64_t i = 0; i < labels.count(); ++i) {
    int64_t label = labels.integers[i];
    if (label == ignored)
      continue;
    if (label < 0 || label >= k)
      fail("label ", label, " is outside 0..", k - 1);
    T top = -INFINITY, sum = 0, smooth = 0;
    auto z = [&](int64_t j) { return load<T>(logits, i * k + j); };
    for (int64_t j = 0; j < k; ++j)
      top = z(j) > top || isnan(z(j)) ? constant(z(j)) : top;
    for (int64_t j = 0; j < k; ++j)
      sum += exp(z(j) - top);
    auto logP = [&](int64_t j) { return z(j) - top - log(sum); };
    for (int64_t j = 0; j < k && smoothing != 0; ++j)
      smooth += w[j] * logP(j);
    store(losses, i, T((1 - smoothing) * -logP(label) * w[label] - smoothing / static_cast<T>(k) * smooth));
    weights[i] = w[label];
  }
  return reduceLoss<T>(c, losses, weights);
}

// log σ(x), without overflow
template <class T> T logSigmoid(T x) { return x < 0 ? x - log1p(exp(x)) : -log1p(exp(-x)); }

// loss = (1 - t) · x - (1 + (w - 1) · t) · log σ(x)
template <class T> Results bceWithLogits(Call &c) {
  const Tensor &x = needReal(c.operand(0)), &t = needReal(c.operand(1));
  needSameType(x, t);
  needShape(t, x.shape, "targets");
  std::vector<double> w = c.given("pos_weight") ? c.reals("pos_weight") : std::vector<double>{1};
  if (w.size() != 1 && (x.rank() < 1 || static_cast<int64_t>(w.size()) != x.shape.back()))
    fail("expected one pos_weight or one for each element of the last axis but got ", w.size());
  Tensor losses = make(x.dtype, x.shape);
  for (int64_t i = 0; i < x.count(); ++i) {
    T a = load<T>(x, i), b = load<T>(t, i), factor = static_cast<T>(w[i % w.size()]);
    store(losses, i, T((1 - b) * a - (1 + (factor - 1) * b) * logSigmoid(a)));
  }
  return reduceLoss<T>(c, losses, std::vector<T>(x.count(), T(1)));
}

// A loss of the difference d = prediction - target.
template <class T, class Fn> Results difference(Call &c, Fn fn) {
  const Tensor &x = needReal(c.operand(0)), &t = needReal(c.operand(1));
  needSameType(x, t);
  needShape(t, x.shape, "a target");
  Tensor losses = make(x.dtype, x.shape);
  for (int64_t i = 0; i < x.count(); ++i)
    store(losses, i, T(fn(T(load<T>(x, i) - load<T>(t, i)))));
  return reduceLoss<T>(c, losses, std::vector<T>(x.count(), T(1)));
}

// d²
template <class T> Results mse(Call &c) {
  return difference<T>(c, [](T d) { return d * d; });
}
// |d|
template <class T> Results l1(Call &c) {
  return difference<T>(c, [](T d) { return T(fabs(d)); });
}
// |d| ≤ δ ? d²/2 : δ(|d| - δ/2)
template <class T> Results huber(Call &c) {
  return difference<T>(c, [delta = static_cast<T>(c.real("delta", 1))](T d) {
    return fabs(d) <= delta ? T(T(0.5) * d * d) : T(delta * (fabs(d) - T(0.5) * delta));
  });
}

// p · ln p - p · log q, 0 · ln 0 = 0; where p = 0 it counts as flat along p
template <class T> Results klDiv(Call &c) {
  const Tensor &q = needReal(c.operand(0)), &p = needReal(c.operand(1));
  needSameType(q, p);
  needShape(p, q.shape, "p");
  Tensor losses = make(q.dtype, q.shape);
  for (int64_t i = 0; i < q.count(); ++i) {
    T a = load<T>(p, i);
    a = a == 0 ? constant(a) : a;
    store(losses, i, T((a == 0 ? T(0) : T(a * log(a))) - a * load<T>(q, i)));
  }
  return reduceLoss<T>(c, losses, std::vector<T>(q.count(), T(1)));
}

}  // namespace

void addLossOps(OpTable &table) {
  forEachArithmetic([&](auto number) {
    using T = decltype(number);
    table["cross_entropy"].of<T>() = crossEntropy<T>;
    table["bce_with_logits"].of<T>() = bceWithLogits<T>;
    table["mse"].of<T>() = mse<T>;
    table["l1"].of<T>() = l1<T>;
    table["huber"].of<T>() = huber<T>;
    table["kl_div"].of<T>() = klDiv<T>;
  });
}

}  // namespace weft::reference
