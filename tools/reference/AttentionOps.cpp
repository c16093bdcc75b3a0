// Attention with its whole score matrix, mha, and the causal mask.
// B: sequences, Tq, Tk: queries and keys, dh, dv: sizes of a head, S: stored positions of a cache.
#include "Ops.h"

#include <limits>

namespace weft::reference {
namespace {

// Keys and values in head-major order: element (b, g, j, d) at ((b · groups + g) · length + j) · dh + d.
template <class T> struct Heads {
  int64_t batch, groups, length, dh;
  std::vector<T> data;
  const T &at(int64_t b, int64_t g, int64_t j, int64_t d) const { return data[((b * groups + g) * length + j) * dh + d]; }
};

template <class T> Heads<T> splitHeads(const Tensor &x, int64_t heads) {
  if (needReal(x).rank() != 3)
    fail("expected an operand of rank 3 but got ", shapeText(x.shape));
  if (heads < 1 || x.shape[2] % heads)
    fail(x.shape[2], " features are not divisible by heads = ", heads);
  Heads<T> h{x.shape[0], heads, x.shape[1], x.shape[2] / heads, std::vector<T>(x.reals.size())};
  for (int64_t b = 0; b < h.batch; ++b)
    for (int64_t t = 0; t < h.length; ++t)
      for (int64_t g = 0; g < heads; ++g)
        for (int64_t d = 0; d < h.dh; ++d)
          h.data[((b * heads + g) * h.length + t) * h.dh + d] = load<T>(x, ((b * h.length + t) * heads + g) * h.dh + d);
  return h;
}

double plain(double x) { return x; }
template <class T> double plain(const Dual<T> &x) { return x.value; }

// Stores the call's keys or values behind those of each sequence; gives all positions of the cache. What stood there before
// moves with nothing.
template <class T> Heads<T> append(Call &c, KvCache &cache, const StateDesc &state, int64_t layer, int64_t part, const Heads<T> &fresh) {
  if (layer < 0 || layer >= state.layers)
    fail("layer ", layer, " of a cache of ", state.layers, " layers");
  if (fresh.groups != state.kvHeads || fresh.dh != state.headDim || fresh.batch != cache.batch)
    fail("expected keys and values of ", cache.batch, " sequences, ", state.kvHeads, " heads of ", state.headDim, " but got ", fresh.batch, ", ",
         fresh.groups, " heads of ", fresh.dh);
  int64_t one = cache.batch * state.kvHeads * state.capacity * state.headDim, base = (layer * 2 + part) * one;
  for (int64_t b = 0; b < fresh.batch; ++b)
    if (int64_t tokens = c.validTokens(b, fresh.length); tokens < 0 || tokens > fresh.length || cache.lengths[b] + tokens > state.capacity)
      fail("the cache holds ", state.capacity, " positions");
  Heads<T> all{fresh.batch, fresh.groups, state.capacity, fresh.dh, {}};
  all.data.assign(cache.data.begin() + base, cache.data.begin() + base + one);
  for (int64_t b = 0; b < fresh.batch; ++b)
    for (int64_t g = 0; g < fresh.groups; ++g)
      for (int64_t t = 0, tokens = c.validTokens(b, fresh.length); t < tokens; ++t)
        for (int64_t d = 0; d < fresh.dh; ++d) {
          int64_t to = ((b * state.kvHeads + g) * state.capacity + cache.lengths[b] + t) * fresh.dh + d;
          T value = fresh.at(b, g, t, d);
          double stored = state.dtype == DType::f32 ? plain(value) : roundTo(state.dtype, plain(value));
          cache.data[base + to] = stored;
          all.data[to] = value + (T(stored) - constant(value));
        }
  return all;
}

// s = q·kᵀ · scale; s = softcap · tanh(s / softcap); s += bias; masked keys -inf; p = softmax(s); y = dropout(p) · v.
// A row with every key masked: p = 0.
template <class T>
Results attend(Call &c, const Tensor &queries, const Tensor &keys, const Tensor &values, const TensorRef &keyMask, const TensorRef &mask, const TensorRef &bias) {
  int64_t heads = c.integer("heads"), groups = c.integer("kv_heads", heads);
  Heads<T> q = splitHeads<T>(queries, heads), k = splitHeads<T>(keys, groups), v = splitHeads<T>(values, groups);
  if (heads % groups || q.dh != k.dh || k.batch != q.batch || v.batch != q.batch || k.length != v.length)
    fail("q ", shapeText(queries.shape), ", k ", shapeText(keys.shape), ", v ", shapeText(values.shape), " do not fit together");
  bool causal = c.flag("causal");
  int64_t window = c.integer("window", std::numeric_limits<int64_t>::max());
  T scale = static_cast<T>(c.real("scale", 1 / std::sqrt(static_cast<double>(q.dh))));
  bool capped = c.given("softcap");
  T cap = static_cast<T>(c.real("softcap", 1));
  const Call::Kept kept = c.dropout(c.real("dropout", 0));

  // Absolute position of query i is first[b] + i; keys below filled[b] exist.
  std::vector<int64_t> first(q.batch, 0), filled(q.batch, k.length);
  std::string stateName = c.word("cache_state");
  KvCache *cache = stateName.empty() ? nullptr : c.cache(stateName);
  if (cache) {
    if (keyMask || mask || bias)
      fail("an attention with a bound cache takes no key_mask, mask or bias");
    const StateDesc &state = c.state(stateName);
    for (int64_t b = 0; b < q.batch; ++b) {
      first[b] = cache->lengths.at(b);
      filled[b] = first[b] + c.validTokens(b, k.length);
    }
    c.run.appended[stateName] = k.length;
    int64_t layer = c.integer("cache_layer", 0);
    k = append(c, *cache, state, layer, 0, k);
    v = append(c, *cache, state, layer, 1, v);
  }
  Shape full{q.batch, heads, q.length, k.length};
  if (keyMask)
    needShape(needBool(*keyMask), {q.batch, k.length}, "key_mask");
  for (const TensorRef &extra : {mask, bias})
    if (extra && broadcast(extra->shape, full) != full)
      fail("a mask or bias of shape ", shapeText(extra->shape), " does not broadcast to ", shapeText(full));
  if (mask)
    needBool(*mask);
  if (bias)
    needReal(*bias);

  Tensor y = make(queries.dtype, {q.batch, q.length, heads * v.dh});
  Tensor map = make(queries.dtype, full);
  std::vector<T> p(k.length);
  for (int64_t b = 0; b < q.batch; ++b)
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t i = 0; i < q.length; ++i) {
        int64_t g = h / (heads / groups), at = first[b] + i;
        T top = -INFINITY;
        for (int64_t j = 0; j < k.length; ++j) {
          bool seen = j < filled[b] && (!causal || (j <= at && at - j < window)) && (!keyMask || keyMask->integers[b * k.length + j]) &&
                      (!mask || mask->integers[place(mask->shape, {b, h, i, j})]);
          p[j] = -INFINITY;
          if (!seen)
            continue;
          T s = 0;
          for (int64_t d = 0; d < q.dh; ++d)
            s += q.at(b, h, i, d) * k.at(b, g, j, d);
          s *= scale;
          s = capped ? T(cap * tanh(s / cap)) : s;
          p[j] = bias ? T(s + load<T>(*bias, place(bias->shape, {b, h, i, j}))) : s;
          // NaN must win the maximum, or it would vanish from the row.
          top = p[j] > top || isnan(p[j]) ? constant(p[j]) : top;
        }
        T sum = 0;
        for (T &s : p) {
          s = top == T(-INFINITY) ? T(0) : T(exp(s - top));
          sum += s;
        }
        for (int64_t j = 0; j < k.length; ++j) {
          p[j] = sum == 0 ? T(0) : T(p[j] / sum);
          const int64_t element = ((b * heads + h) * q.length + i) * k.length + j;
          store(map, element, p[j]);
          p[j] = kept(element) ? T(p[j] * static_cast<T>(kept.scale)) : T(0);
        }
        for (int64_t d = 0; d < v.dh; ++d) {
          T r = 0;
          for (int64_t j = 0; j < k.length; ++j)
            // Positions of a cache that were never written do not exist.
            r += j < filled[b] ? T(p[j] * v.at(b, g, j, d)) : T(0);
          store(y, ((b * q.length + i) * heads + h) * v.dh + d, r);
        }
      }
  std::string weights = c.word("return_weights");
  if (weights.empty())
    return {y};
  if (weights == "per_head")
    return {y, map};
  Tensor mean = make(queries.dtype, {q.batch, q.length, k.length});
  for (int64_t b = 0; b < q.batch; ++b)
    for (int64_t at = 0; at < q.length * k.length; ++at) {
      T sum = 0;
      for (int64_t h = 0; h < heads; ++h)
        sum += load<T>(map, (b * heads + h) * q.length * k.length + at);
      store(mean, b * q.length * k.length + at, T(sum / static_cast<T>(heads)));
    }
  return {y, mean};
}

TensorRef optional(Call &c, size_t i) { return c.has(i) ? c.in[i] : nullptr; }

template <class T> Results attention(Call &c) {
  return attend<T>(c, c.operand(0), c.operand(1), c.operand(2), optional(c, 3), optional(c, 4), optional(c, 5));
}

// linear(attention(q·Wqᵀ + bq, k·Wkᵀ + bk, v·Wvᵀ + bv)); W of q, k, v stacked in in_proj_weight [3E, E]
template <class T> Results mha(Call &c) {
  const Tensor &weight = c.param("in_proj_weight");
  const Tensor *bias = c.hasParam("in_proj_bias") ? &c.param("in_proj_bias") : nullptr;
  const Tensor *outBias = c.hasParam("out_proj.bias") ? &c.param("out_proj.bias") : nullptr;
  int64_t e = weight.shape.at(0) / 3;
  Tensor part[3];
  for (int64_t n = 0; n < 3; ++n)
    part[n] = linearRows<T>(c.has(0) ? c.operand(0) : c.operand(1 + n), weight, bias, n * e, e);
  Results results = attend<T>(c, part[0], part[1], part[2], optional(c, 4), optional(c, 5), optional(c, 6));
  results[0] = linearRows<T>(results[0], c.param("out_proj.weight"), outBias, 0, e);
  return results;
}

// y[i, j] = j ≤ i
Results causalMask(Call &c) {
  const Tensor &x = c.operand(0);
  int64_t n = x.shape.at(c.axis(x.rank(), 1));
  Tensor y = make(DType::boolean, {n, n});
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j)
      y.integers[i * n + j] = j <= i;
  return {y};
}

}  // namespace

void addAttentionOps(OpTable &table) {
  forEachArithmetic([&](auto number) {
    using T = decltype(number);
    table["attention"].of<T>() = attention<T>;
    table["mha"].of<T>() = mha<T>;
    table["causal_mask"].of<T>() = causalMask;
  });
}

}  // namespace weft::reference
