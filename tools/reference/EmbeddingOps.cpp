// Embeddings and positions. B: sequences, T: positions, dh: size of a head.
// Angles are products of the arithmetic's own type: an f32 implementation rounds frequency and angle.
#include "Ops.h"

namespace weft::reference {
namespace {

int64_t row(const Tensor &table, int64_t id) {
  if (id < 0 || id >= table.shape[0])
    fail("index ", id, " is outside 0..", table.shape[0] - 1);
  return id;
}

// y[…, :] = weight[ids[…], :]; a row of padding moves with nothing
Results embedding(Call &c) {
  const Tensor &ids = needIndex(c.operand(0)), &weight = c.param("weight");
  int64_t features = weight.shape.at(1), padding = c.integer("padding_idx", -1);
  Shape shape = ids.shape;
  shape.push_back(features);
  Tensor y = make(weight.dtype, shape);
  for (int64_t i = 0; i < ids.count(); ++i)
    for (int64_t f = 0; f < features; ++f) {
      int64_t from = row(weight, ids.integers[i]) * features + f;
      if (ids.integers[i] == padding)
        y.reals[i * features + f] = weight.reals[from];
      else
        copyElement(y, i * features + f, weight, from);
    }
  return {y};
}

// Positions [T], p[t] = offset + t; with a state [B, T], p[b, t] = length[b] + t.
Tensor positions(Call &c, int64_t batch, int64_t tokens) {
  if (!c.given("offset_state")) {
    Tensor p = make(DType::i64, {tokens});
    for (int64_t t = 0; t < tokens; ++t)
      p.integers[t] = c.integer("offset", 0) + t;
    return p;
  }
  Tensor p = make(DType::i64, {batch, tokens});
  KvCache *cache = c.cache(c.word("offset_state"));
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t t = 0; t < tokens; ++t)
      p.integers[b * tokens + t] = (cache ? cache->lengths.at(b) : 0) + t;
  return p;
}

// learned: y[p, :] = weight[p, :]; sinusoidal: y[p, 2i] = sin(p / base^(2i/features)), y[p, 2i+1] = cos(same)
template <class T> Results positionEmbedding(Call &c) {
  const Tensor &x = c.operand(0);
  int64_t features = c.integer("features");
  Tensor p = positions(c, x.rank() ? x.shape[0] : 1, x.shape.at(c.axis(x.rank(), 1)));
  bool learned = c.word("kind") == "learned";
  Shape shape = p.shape;
  shape.push_back(features);
  Tensor y = make(learned ? c.param("weight").dtype : c.floatType(), shape);
  for (int64_t i = 0; i < p.count(); ++i)
    for (int64_t f = 0; f < features; ++f) {
      if (learned) {
        const Tensor &weight = c.param("weight");
        copyElement(y, i * features + f, weight, row(weight, p.integers[i]) * features + f);
      } else {
        T frequency = T(1) / pow(static_cast<T>(c.real("base", 10000)), static_cast<T>(2.0 * static_cast<double>(f / 2) / static_cast<double>(features)));
        T angle = static_cast<T>(p.integers[i]) * frequency;
        store(y, i * features + f, f % 2 == 0 ? T(sin(angle)) : T(cos(angle)));
      }
    }
  return {y};
}

// pair (a, b) of a head → (a cos φ - b sin φ, a sin φ + b cos φ), φ = p · theta^(-2i/rotary_dim)
template <class T> Results rope(Call &c) {
  const Tensor &x = needReal(c.operand(0));
  if (x.rank() != 3)
    fail("expected x of rank 3 but got ", shapeText(x.shape));
  int64_t batch = x.shape[0], tokens = x.shape[1], heads = c.integer("heads");
  if (heads < 1 || x.shape[2] % heads)
    fail(x.shape[2], " features are not divisible by heads = ", heads);
  int64_t dh = x.shape[2] / heads, rotary = c.integer("rotary_dim", dh);
  if (rotary % 2 || rotary > dh)
    fail("expected an even rotary_dim of at most ", dh, " but got ", rotary);
  bool interleaved = c.flag("interleaved");
  Tensor p = positions(c, batch, tokens), y = x;
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t t = 0; t < tokens; ++t)
      for (int64_t i = 0; i < rotary / 2; ++i) {
        T position = static_cast<T>(p.integers[p.rank() == 2 ? b * tokens + t : t]);
        T angle = position * pow(static_cast<T>(c.real("theta", 10000)), static_cast<T>(-2.0 * static_cast<double>(i) / static_cast<double>(rotary)));
        T cosine = cos(angle), sine = sin(angle);
        for (int64_t h = 0; h < heads; ++h) {
          int64_t head = ((b * tokens + t) * heads + h) * dh;
          int64_t first = head + (interleaved ? 2 * i : i), second = interleaved ? first + 1 : first + rotary / 2;
          T a = load<T>(x, first), z = load<T>(x, second);
          store(y, first, T(a * cosine - z * sine));
          store(y, second, T(a * sine + z * cosine));
        }
      }
  return {y};
}

}  // namespace

void addEmbeddingOps(OpTable &table) {
  forEachArithmetic([&](auto number) {
    using T = decltype(number);
    table["embedding"].of<T>() = embedding;
    table["position_embedding"].of<T>() = positionEmbedding<T>;
    table["rope"].of<T>() = rope<T>;
  });
}

}  // namespace weft::reference
