// Products, attention as an op and spelled out, blocks that are called and repeated.
// Spelled-out attention varies in everything its pattern may vary in, and in what makes it another computation.
#include "RandomGenerator.h"

#include <algorithm>
#include <cmath>

namespace weft::e2e {
namespace {

constexpr int64_t kMost = 30000, kMostWork = 4000000;

std::string str(int64_t n) { return std::to_string(n); }
double most(const RandomValue &value) { return std::max(std::fabs(value.low), std::fabs(value.high)); }
int64_t largest(const RandomAxis &axis) { return std::max({axis.size[0], axis.size[1], axis.size[2]}); }
bool real(const RandomValue &value, size_t low, size_t high) {
  return value.type.dtype == "f32" && value.type.axes.size() >= low && value.type.axes.size() <= high && most(value) < 300;
}
bool endsInNumber(const RandomValue &value) { return value.type.axes.back().isNumber(); }

RandomValue linear(RandomGenerator &g, const RandomValue &x, int64_t features, bool bias, const std::string &activation) {
  RandomType type = x.type;
  double limit = std::sqrt(static_cast<double>(x.type.axes.back().size[0])) * most(x) + 1;
  type.axes.back() = g.number(features);
  return g.add("linear", "\"features\": " + str(features) + (bias ? "" : ", \"bias\": false") + (activation.empty() ? "" : ", \"activation\": \"" + activation + "\""), {x}, type, -limit, limit, false);
}

bool pickRows(RandomGenerator &g, RandomValue &x) {
  return g.pick(x, [](const RandomValue &value) { return real(value, 1, 4) && endsInNumber(value) && value.type.axes.back().size[0] > 0; });
}

std::string activation(RandomGenerator &g) { return g.chance(0.5) ? "" : g.oneOf<std::string>({"relu", "gelu", "gelu_tanh", "silu", "tanh", "sigmoid"}); }

}  // namespace

bool makeLinear(RandomGenerator &g) {
  RandomValue x;
  if (!pickRows(g, x))
    return false;
  int64_t features = g.chance(0.4) ? x.type.axes.back().size[0] : g.size();
  if (x.type.count() * features > kMostWork || x.type.count() / x.type.axes.back().size[0] * features > kMost)
    return false;
  RandomValue y = linear(g, x, features, g.chance(0.7), activation(g));
  if (g.chance(0.3) && y.type == x.type)
    g.add("add", "", g.chance(0.5) ? std::vector<RandomValue>{x, y} : std::vector<RandomValue>{y, x}, x.type, y.low + x.low, y.high + x.high, false);
  // A second product of the same rows: products that share an operand may be joined.
  if (g.chance(0.25))
    linear(g, x, g.chance(0.5) ? features : g.size(65), g.chance(0.7), activation(g));
  return true;
}

bool makeGated(RandomGenerator &g) {
  RandomValue x;
  if (!pickRows(g, x))
    return false;
  int64_t features = g.size(65);
  if (x.type.count() * features > kMostWork || x.type.count() / x.type.axes.back().size[0] * features > kMost)
    return false;
  bool bias = g.chance(0.5);
  RandomValue gate = linear(g, x, features, bias, ""), up = linear(g, x, features, g.chance(0.8) ? bias : !bias, "");
  if (g.chance(0.2))
    std::swap(gate, up);
  double limit = most(gate) * most(up);
  if (g.chance(0.7)) {
    g.add(g.chance(0.6) ? "swiglu" : "geglu", "", {gate, up}, gate.type, -limit, limit, false);
  } else {
    RandomValue act = g.add(g.oneOf<std::string>({"silu", "gelu", "sigmoid", "relu"}), "", {gate}, gate.type, -1, most(gate), false);
    g.add("mul", "", {act, up}, gate.type, -limit, limit, false);
  }
  return true;
}

// What may join a product's kernel: pointwise ops with operands of narrower shapes, on either side.
bool makeEpilogue(RandomGenerator &g) {
  std::vector<std::string> products;
  for (const RandomNode &node : g.model.nodes)
    if (node.op == "linear" || node.op == "matmul" || node.op == "einsum" || node.op == "mha" || node.op == "attention")
      products.push_back(node.out[0].name);
  RandomValue x;
  if (!g.pick(x, [&](const RandomValue &value) { return real(value, 1, 5) && std::count(products.begin(), products.end(), value.name); }))
    return false;
  const RandomValue first = x;
  for (int64_t steps = g.between(1, 4); steps > 0; --steps) {
    x = g.tamed(x, 100);
    int64_t kind = g.between(0, 6);
    double limit = most(x);
    if (kind == 0) {
      x = g.add(g.oneOf<std::string>({"relu", "gelu", "tanh", "silu", "neg", "abs", "sigmoid"}), "", {x}, x.type, -limit, limit + 1, false);
    } else if (kind == 1) {
      RandomValue m = g.operand({"bool", g.narrowed(x.type.axes)}, 0, 1);
      x = g.add("masked_fill", "\"value\": -1.5", {x, m}, x.type, -limit - 1.5, limit, false);
    } else if (kind == 2) {
      RandomValue m = g.operand({"bool", g.narrowed(x.type.axes)}, 0, 1), y = g.operand({"f32", g.narrowed(x.type.axes)});
      x = g.add("where", "", g.chance(0.5) ? std::vector<RandomValue>{m, x, y} : std::vector<RandomValue>{m, y, x}, x.type, -limit - most(y), limit + most(y), false);
    } else if (kind == 3) {
      RandomType stood = x.type;
      x = g.add("mul", "", {x, g.chance(0.3) && stood == first.type ? first : x}, x.type, -limit * std::max(limit, most(first)), limit * std::max(limit, most(first)), false);
    } else {
      RandomValue y = g.operand({"f32", g.narrowed(x.type.axes)});
      std::string op = g.oneOf<std::string>({"add", "mul", "sub", "maximum"});
      x = g.add(op, "", g.chance(0.5) ? std::vector<RandomValue>{x, y} : std::vector<RandomValue>{y, x}, x.type, -limit * 8 - 8, limit * 8 + 8, false);
    }
  }
  return true;
}

// Only the last position is wanted of what came before.
bool makeLastRows(RandomGenerator &g) {
  RandomValue x;
  if (!g.pick(x, [](const RandomValue &value) { return real(value, 2, 4); }))
    return false;
  RandomType type = x.type;
  size_t axis = type.axes.size() == 2 ? 0 : 1;
  if (g.chance(0.5)) {
    type.axes.erase(type.axes.begin() + static_cast<std::ptrdiff_t>(axis));
    x = g.add("select", "\"axis\": " + str(static_cast<int64_t>(axis)) + ", \"index\": -1", {x}, type, x.low, x.high, x.exact);
  } else {
    type.axes[axis] = g.number(1);
    x = g.add("slice", "\"axis\": " + str(static_cast<int64_t>(axis)) + ", \"start\": -1", {x}, type, x.low, x.high, x.exact);
  }
  if (endsInNumber(x) && g.chance(0.5))
    linear(g, x, g.size(65), true, "");
  return true;
}

bool makeMatmul(RandomGenerator &g) {
  RandomValue a;
  if (!g.pick(a, [](const RandomValue &value) { return real(value, 2, 4); }))
    return false;
  bool ta = g.chance(0.3), tb = g.chance(0.4);
  size_t rank = a.type.axes.size();
  RandomAxis m = a.type.axes[rank - 2], k = a.type.axes[rank - 1];
  if (ta)
    std::swap(m, k);
  RandomAxis n = g.chance(0.7) ? g.number(g.size(65)) : g.chance(0.5) ? g.dim("S") : m;
  std::vector<RandomAxis> batch(a.type.axes.begin(), a.type.axes.end() - 2), narrow = g.narrowed(batch);
  RandomType other{"f32", narrow}, type{"f32", batch};
  other.axes.insert(other.axes.end(), tb ? std::initializer_list<RandomAxis>{n, k} : std::initializer_list<RandomAxis>{k, n});
  type.axes.push_back(m);
  type.axes.push_back(n);
  if (type.count() > kMost || other.count() > kMost || type.count() * largest(k) > kMostWork)
    return false;
  RandomValue b = g.operand(other);
  double limit = most(a) * most(b) * static_cast<double>(largest(k));
  std::string rest = ta ? "\"transpose_a\": true" : "";
  if (tb)
    rest += std::string(ta ? ", " : "") + "\"transpose_b\": true";
  RandomValue y = g.add("matmul", rest, {a, b}, type, -limit, limit, false);
  if (g.chance(0.3))
    g.add(g.oneOf<std::string>({"mul", "div", "add"}), "\"value\": 2", {y}, type, y.low * 2 - 2, y.high * 2 + 2, false);
  return true;
}

bool makeEinsum(RandomGenerator &g) {
  RandomValue a;
  if (!g.pick(a, [](const RandomValue &value) { return real(value, 1, 4); }))
    return false;
  size_t rank = a.type.axes.size();
  std::string letters = "abcdefgh", first, second, result;
  std::vector<RandomAxis> otherAxes;
  std::vector<std::pair<char, RandomAxis>> kept;
  double terms = 1;
  bool two = g.chance(0.8);
  for (size_t i = 0; i < rank; ++i) {
    char letter = letters[i];
    const RandomAxis &axis = a.type.axes[i];
    first += letter;
    bool shared = two && g.chance(0.5);
    if (shared) {
      size_t at = static_cast<size_t>(g.between(0, static_cast<int64_t>(second.size())));
      second.insert(second.begin() + static_cast<std::ptrdiff_t>(at), letter);
      otherAxes.insert(otherAxes.begin() + static_cast<std::ptrdiff_t>(at), axis);
    }
    if (g.chance(shared ? 0.4 : 0.85))
      kept.insert(kept.begin() + g.between(0, static_cast<int64_t>(kept.size())), {letter, axis});
    else
      terms *= static_cast<double>(largest(axis));
  }
  if (two && (second.empty() || g.chance(0.6))) {
    RandomAxis axis = g.number(g.size(33));
    size_t at = static_cast<size_t>(g.between(0, static_cast<int64_t>(second.size())));
    second.insert(second.begin() + static_cast<std::ptrdiff_t>(at), letters[rank]);
    otherAxes.insert(otherAxes.begin() + static_cast<std::ptrdiff_t>(at), axis);
    kept.insert(kept.begin() + g.between(0, static_cast<int64_t>(kept.size())), {letters[rank], axis});
  }
  RandomType type;
  for (const auto &[letter, axis] : kept) {
    result += letter;
    type.axes.push_back(axis);
  }
  RandomType other{"f32", otherAxes};
  if (type.axes.size() > 5 || type.count() > kMost || other.count() > kMost || static_cast<double>(type.count()) * terms > kMostWork)
    return false;
  std::vector<RandomValue> in = {a};
  double limit = most(a) * terms;
  if (two) {
    in.push_back(g.operand(other));
    limit *= most(in[1]);
  }
  g.add("einsum", "\"equation\": \"" + first + (two ? "," + second : "") + "->" + result + "\"", in, type, -limit, limit, false);
  return true;
}

namespace {

struct Heads {
  RandomValue q, k, v;
  int64_t heads = 1, groups = 1, depth = 1, width = 1;
};

// q from what is there; k and v with keys of the same length or another one.
bool operandsOfAttention(RandomGenerator &g, Heads &h, bool grouped, bool sameLength) {
  if (!g.pick(h.q, [](const RandomValue &value) { return real(value, 3, 3) && endsInNumber(value) && largest(value.type.axes[1]) < 200 && value.type.count() < 20000; }))
    return false;
  h.heads = g.divisor(h.q.type.axes[2].size[0], 8);
  h.depth = h.q.type.axes[2].size[0] / h.heads;
  h.groups = grouped && g.chance(0.4) ? g.divisor(h.heads, 8) : h.heads;
  h.width = g.chance(0.8) ? h.depth : g.size(33);
  RandomAxis keys = sameLength || g.chance(0.5) ? h.q.type.axes[1] : g.chance(0.7) ? g.dim("S") : g.number(g.size(65));
  RandomType k{"f32", {h.q.type.axes[0], keys, g.number(h.groups * h.depth)}}, v = k;
  v.axes[2] = g.number(h.groups * h.width);
  if (k.count() > kMost || v.count() > kMost)
    return false;
  if (sameLength && h.groups == h.heads && g.chance(0.3)) {
    RandomValue x = h.q;
    if (g.chance(0.5)) {
      h.q = linear(g, x, h.heads * h.depth, true, "");
      h.k = linear(g, x, h.heads * h.depth, true, "");
      h.v = linear(g, x, h.heads * h.width, true, "");
    } else {
      RandomValue joined = linear(g, x, 2 * h.heads * h.depth + h.heads * h.width, true, "");
      std::vector<RandomValue> parts(3, {"", k, joined.low, joined.high, false, 0});
      parts[2].type = v;
      parts = g.addMany("split", "\"axis\": -1, \"sizes\": [" + k.axes[2].text + ", " + k.axes[2].text + ", " + v.axes[2].text + "]", {joined}, parts);
      h.q = parts[0];
      h.k = parts[1];
      h.v = parts[2];
    }
  } else {
    h.k = g.operand(k);
    h.v = g.operand(v);
  }
  // Scores so steep that one key takes all would amplify rounding of what came before.
  if (most(h.q) > 30)
    h.q = g.tamed(h.q, 8);
  if (most(h.k) > 30)
    h.k = g.tamed(h.k, 8);
  return true;
}

std::vector<RandomAxis> scoreShape(RandomGenerator &g, const Heads &h) { return {h.q.type.axes[0], g.number(h.heads), h.q.type.axes[1], h.k.type.axes[1]}; }

}  // namespace

bool makeAttention(RandomGenerator &g) {
  Heads h;
  bool causal = g.chance(0.4);
  if (!operandsOfAttention(g, h, true, causal && g.chance(0.8)))
    return false;
  std::vector<RandomValue> in = {h.q, h.k, h.v};
  std::string keys = "q,k,v", rest = "\"heads\": " + str(h.heads);
  if (h.groups != h.heads)
    rest += ", \"kv_heads\": " + str(h.groups);
  if (causal)
    rest += ", \"causal\": true";
  if (causal && g.chance(0.3))
    rest += ", \"window\": " + str(g.between(1, 20));
  if (g.chance(0.2))
    rest += ", \"scale\": 0.3";
  if (g.chance(0.15))
    rest += ", \"softcap\": 5";
  if (g.chance(0.1))
    rest += ", \"dropout\": 0.1";
  if (g.chance(0.3)) {
    in.push_back(g.operand({"bool", {h.k.type.axes[0], h.k.type.axes[1]}}, 0, 1));
    keys += ",key_mask";
  }
  if (g.chance(0.25)) {
    in.push_back(g.operand({"bool", g.narrowed(scoreShape(g, h))}, 0, 1));
    keys += ",mask";
  }
  if (g.chance(0.25)) {
    in.push_back(g.operand({"f32", g.narrowed(scoreShape(g, h))}));
    keys += ",bias";
  }
  RandomValue y{"", h.q.type, h.v.low, h.v.high, false, 0};
  y.type.axes[2] = g.number(h.heads * h.width);
  y.low = std::min(0.0, y.low);
  y.high = std::max(0.0, y.high);
  std::vector<RandomValue> out = {y};
  if (g.chance(0.2)) {
    bool mean = g.chance(0.5);
    rest += std::string(", \"return_weights\": \"") + (mean ? "mean" : "per_head") + "\"";
    RandomValue weights{"", {"f32", scoreShape(g, h)}, 0, 1, false, 0};
    if (mean)
      weights.type.axes.erase(weights.type.axes.begin() + 1);
    out.push_back(weights);
  }
  g.addMany("attention", rest, in, out, keys);
  return true;
}

bool makeMha(RandomGenerator &g) {
  RandomValue x;
  if (!g.pick(x, [](const RandomValue &value) { return real(value, 3, 3) && endsInNumber(value) && most(value) < 50 && largest(value.type.axes[1]) < 200 && value.type.count() < 10000; }))
    return false;
  int64_t width = x.type.axes[2].size[0];
  if (x.type.count() * width > kMostWork)
    return false;
  std::string rest = "\"heads\": " + str(g.divisor(width, 8)), keys = "x";
  std::vector<RandomValue> in = {x};
  RandomAxis length = x.type.axes[1];
  if (g.chance(0.4)) {
    length = g.chance(0.5) ? g.dim("S") : length;
    RandomValue memory = g.operand({"f32", {x.type.axes[0], length, x.type.axes[2]}});
    in = {x, memory, g.chance(0.7) ? memory : g.operand(memory.type)};
    keys = "q,k,v";
  } else if (g.chance(0.5)) {
    rest += ", \"causal\": true";
  }
  if (g.chance(0.4)) {
    in.push_back(g.operand({"bool", {x.type.axes[0], length}}, 0, 1));
    keys += ",key_mask";
  }
  if (g.chance(0.3))
    rest += ", \"bias\": false";
  double limit = 4 * static_cast<double>(width) * 7;
  g.add("mha", rest, in, x.type, -limit, limit, false, keys);
  return true;
}

bool makeSpelledAttention(RandomGenerator &g) {
  Heads h;
  bool causal = g.chance(0.3), one = g.chance(0.2), products = g.chance(0.3);
  if (!operandsOfAttention(g, h, false, causal))
    return false;
  if (one) {
    h.depth *= h.heads;
    h.width *= h.heads;
    h.heads = 1;
  }
  std::vector<RandomAxis> scoreAxes = scoreShape(g, h);
  if (RandomType{"f32", scoreAxes}.count() > kMost)
    return false;
  double scale = std::sqrt(static_cast<double>(h.depth));
  bool before = g.chance(0.25);  // q is scaled, not the scores
  auto scaled = [&](const RandomValue &x) {
    bool times = g.chance(0.5);
    double limit = most(x) * (scale > 2 ? 1 : 2);
    return g.add(times ? "mul" : "div", times ? "\"value\": \"1 / sqrt(" + str(h.depth) + ")\"" : "\"value\": \"sqrt(" + str(h.depth) + ")\"", {x}, x.type, -limit, limit, false);
  };
  if (before)
    h.q = scaled(h.q);
  auto split = [&](const RandomValue &x, int64_t width) {
    RandomType type{"f32", {x.type.axes[0], x.type.axes[1], g.number(h.heads), g.number(width)}};
    return g.add("reshape", "\"shape\": " + type.shapeText(), {x}, type, x.low, x.high, x.exact);
  };
  auto permuted = [&](const RandomValue &x, std::vector<int64_t> perm) {
    RandomType type{"f32", {}};
    std::string list;
    for (int64_t axis : perm) {
      type.axes.push_back(x.type.axes[static_cast<size_t>(axis)]);
      list += (list.empty() ? "" : ", ") + str(axis);
    }
    return g.add("transpose", "\"perm\": [" + list + "]", {x}, type, x.low, x.high, x.exact);
  };
  double limit = most(h.q) * most(h.k) * static_cast<double>(h.depth);
  RandomType scoreType{"f32", scoreAxes};
  if (one)
    scoreType.axes.erase(scoreType.axes.begin() + 1);
  RandomValue q = h.q, k = h.k, v = h.v, s;
  if (!one) {
    q = split(q, h.depth);
    k = split(k, h.depth);
    v = split(v, h.width);
  }
  if (products) {
    s = g.add("einsum", one ? "\"equation\": \"bqd,bkd->bqk\"" : "\"equation\": \"bqhd,bkhd->bhqk\"", {q, k}, scoreType, -limit, limit, false);
  } else {
    if (!one) {
      q = permuted(q, {0, 2, 1, 3});
      v = permuted(v, {0, 2, 1, 3});
    }
    if (g.chance(0.5)) {
      k = one ? k : permuted(k, {0, 2, 1, 3});
      s = g.add("matmul", "\"transpose_b\": true", {q, k}, scoreType, -limit, limit, false);
    } else {
      k = one ? permuted(k, {0, 2, 1}) : g.chance(0.5) ? permuted(k, {0, 2, 3, 1}) : permuted(permuted(k, {0, 2, 1, 3}), {0, 1, 3, 2});
      s = g.add("matmul", "", {q, k}, scoreType, -limit, limit, false);
    }
  }
  std::vector<RandomValue> scores = {s};
  if (!before && g.chance(0.9))
    scores.push_back(s = scaled(s));
  if (g.chance(0.1)) {
    RandomValue t = g.add("tanh", "", {s}, scoreType, -1, 1, false);
    scores.push_back(s = g.add("mul", "\"value\": 5", {t}, scoreType, -5, 5, false));
  }
  if (g.chance(0.3)) {
    RandomValue bias = g.operand({"f32", g.narrowed(scoreType.axes)});
    scores.push_back(s = g.add("add", "", g.chance(0.8) ? std::vector<RandomValue>{s, bias} : std::vector<RandomValue>{bias, s}, scoreType, s.low + bias.low, s.high + bias.high, false));
  }
  std::string fill = g.oneOf<std::string>({"\"-inf\"", "-1e9", "-1e4", "-3.4e38", "-5"});
  bool masked = false;
  auto mask = [&](const RandomValue &m, bool hides) {
    masked = true;
    bool where = g.chance(0.5);
    if (where)
      s = g.add("where", (hides ? "\"value_true\": " : "\"value_false\": ") + fill, {m, s}, scoreType, -1e30, s.high, false, hides ? "cond,b" : "cond,a");
    else
      s = g.add("masked_fill", "\"value\": " + fill, {s, hides ? m : g.add("not", "", {m}, m.type, 0, 1, true)}, scoreType, -1e30, s.high, false);
    g.values.pop_back();  // infinite scores serve the softmax alone
  };
  if (causal) {
    RandomValue m = g.add("causal_mask", "", {h.q}, {"bool", {h.q.type.axes[1], h.q.type.axes[1]}}, 0, 1, true);
    mask(m, false);
  }
  if (g.chance(0.4)) {
    std::vector<RandomAxis> axes = scoreType.axes;
    if (g.chance(0.5)) {  // a key mask
      axes[axes.size() - 2] = g.number(1);
      if (!one)
        axes[1] = g.number(1);
      axes = g.chance(0.3) ? std::vector<RandomAxis>{axes.back()} : axes;
    } else {
      axes = g.narrowed(axes);
    }
    mask(g.operand({"bool", axes}, 0, 1), g.chance(0.5));
  }
  RandomValue p = g.add("softmax", g.chance(0.5) ? "" : "\"axis\": -1", {s}, scoreType, 0, 1, false);
  if (g.chance(0.2))
    p = g.add("dropout", "\"p\": 0.1", {p}, scoreType, 0, 1, false);
  if (g.chance(0.06))  // no longer attention
    p = g.add("mul", "\"value\": 2", {p}, scoreType, 0, 2, false);
  RandomType joined{"f32", {h.q.type.axes[0], h.q.type.axes[1], g.number(h.heads), g.number(h.width)}};
  if (products && !one) {
    RandomValue y = g.add("einsum", "\"equation\": \"bhqk,bkhd->bqhd\"", {p, v}, joined, 2 * v.low - 1, 2 * v.high + 1, false);
    joined.axes = {joined.axes[0], joined.axes[1], g.number(h.heads * h.width)};
    if (g.chance(0.8))
      g.add("reshape", "\"shape\": " + joined.shapeText(), {y}, joined, y.low, y.high, false);
    return true;
  }
  RandomType split4 = one ? RandomType{"f32", {h.q.type.axes[0], h.q.type.axes[1], g.number(h.width)}} : RandomType{"f32", {joined.axes[0], joined.axes[2], joined.axes[1], joined.axes[3]}};
  RandomValue y = g.add("matmul", "", {p, v}, split4, 2 * v.low - 1, 2 * v.high + 1, false);
  if (!one && g.chance(0.85)) {
    y = permuted(y, {0, 2, 1, 3});
    joined.axes = {joined.axes[0], joined.axes[1], g.number(h.heads * h.width)};
    y = g.add("reshape", "\"shape\": " + joined.shapeText(), {y}, joined, y.low, y.high, false);
  }
  if (y.type.axes.size() == 3 && g.chance(0.3))
    linear(g, y, g.size(65), true, "");
  return true;
}

bool makeBlock(RandomGenerator &g) {
  RandomValue x;
  if (!g.pick(x, [](const RandomValue &value) { return real(value, 2, 3) && endsInNumber(value) && value.type.count() < 8000; }))
    return false;
  int64_t width = x.type.axes.back().size[0];
  if (x.type.count() * width > kMostWork / 8)
    return false;
  // The body keeps the shape of its carry; a value from outside may come along.
  bool outside = g.chance(0.4), two = g.chance(0.35), indexed = g.chance(0.3);
  std::string nodes, last = "x";
  int count = 0;
  auto node = [&](const std::string &op, const std::string &in, const std::string &rest) {
    last = "b" + std::to_string(count++);
    nodes += (nodes.empty() ? "" : ", ") + ("{\"id\": \"" + last + "\", \"op\": \"" + op + "\", \"in\": " + in + (rest.empty() ? "" : ", " + rest) + "}");
    return last;
  };
  auto name = [](const std::string &value) { return "\"" + value + "\""; };
  bool anything = g.chance(0.5);
  if (anything) {
    RandomGenerator body = g.inside();
    body.values = {{"x", x.type, -7, 7, false, 0}};
    body.grow(static_cast<size_t>(g.between(1, 8)));
    auto result = std::find_if(body.values.rbegin(), body.values.rend(), [&](const RandomValue &value) { return value.type == x.type && value.name != "x"; });
    RandomValue chosen = result != body.values.rend() ? *result : body.values.back();
    if (chosen.type.dtype != "f32")
      chosen = body.add("cast", "\"dtype\": \"f32\"", {chosen}, {"f32", chosen.type.axes}, chosen.low, chosen.high, false);
    if (!(chosen.type == x.type)) {
      RandomType scalar{"f32", {}};
      chosen = chosen.type.axes.empty() ? chosen : body.add("max", "", {chosen}, scalar, chosen.low, chosen.high, false);
      chosen = body.add("sub", "", {body.values[0].name == "x" ? body.values[0] : RandomValue{"x", x.type, -7, 7, false, 0}, chosen}, x.type, -50, 50, false);
    }
    for (const RandomNode &next : body.model.nodes)
      nodes += (nodes.empty() ? "" : ", ") + nodeText(next);
    last = chosen.name;
    node("tanh", name(last), "");
    node("mul", name(last), "\"value\": 3");
  }
  for (int64_t steps = anything ? 0 : g.between(1, 4); steps > 0; --steps) {
    std::string from = last;
    switch (g.between(0, 7)) {
    case 0: node("linear", name(last), "\"features\": " + str(width) + ", \"activation\": \"tanh\""); break;
    case 1:
      node("linear", name(last), "\"features\": " + str(g.size(65)) + ", \"activation\": \"gelu\"");
      node("linear", name(last), "\"features\": " + str(width));
      break;
    case 2:
      if (x.type.axes.size() == 3)
        node("mha", name(last), "\"heads\": " + str(g.divisor(width, 4)) + (g.chance(0.5) ? ", \"causal\": true" : ""));
      break;
    case 3: node("tanh", name(last), ""); break;
    case 4: node("layer_norm", name(last), "\"eps\": 1e-1"); break;
    case 5: node("mul", name(last), "\"value\": 0.5"); break;
    case 6: node("add", "[\"" + last + "\", \"x\"]", ""); break;
    default:
      if (indexed)
        node("mul", name(last), "\"value\": \"0.25 * (i + 1)\"");
      else
        node("neg", name(last), "");
    }
    if (last != from && g.chance(0.3))
      node("add", "[\"" + from + "\", \"" + last + "\"]", "");
  }
  if (outside)
    node("add", g.chance(0.5) ? "[\"" + last + "\", \"c\"]" : "[\"c\", \"" + last + "\"]", "");
  if (last == "x" || g.chance(0.3))
    node("layer_norm", name(last), "\"eps\": 1e-1");
  std::string block = "block" + std::to_string(g.model.blocks.size()), ins = "\"x\"", outs = name(last), use = "\"x\": \"" + x.name + "\"";
  std::vector<RandomValue> in = {x};
  if (two) {
    RandomValue y = g.operand(x.type);
    in.push_back(y);
    ins += ", \"y\"";
    use += ", \"y\": \"" + y.name + "\"";
    // Carries that swap, that pass through, that are one value.
    switch (g.between(0, 3)) {
    case 0: outs = "[\"y\", " + name(last) + "]"; break;
    case 1: outs = "[" + name(node("add", "[\"" + last + "\", \"y\"]", "")) + ", \"x\"]"; break;
    case 2: outs = "[" + name(last) + ", \"y\"]"; break;
    default: outs = "[" + name(last) + ", " + name(last) + "]";
    }
  }
  if (outside) {
    RandomValue c = g.operand({"f32", g.narrowed(x.type.axes)});
    in.push_back(c);
    ins += ", \"c\"";
    use += ", \"c\": \"" + c.name + "\"";
  }
  bool repeated = indexed || g.chance(0.75);
  g.model.blocks.emplace_back(block, "{\"in\": [" + ins + "], \"nodes\": [" + nodes + "], \"out\": " + outs + "}");
  std::string scope = "s" + std::to_string(g.model.blocks.size()), rest = "\"block\": \"" + block + "\"";
  if (repeated)
    rest += ", \"count\": " + str(g.between(1, 4)) + ", \"index\": \"i\", \"carry\": " + (two ? "[\"x\", \"y\"]" : "\"x\"") + ", \"scope\": \"" + scope + ".{i}\"";
  else
    rest += ", \"scope\": \"" + scope + "\"";
  std::string keys = two ? "x,y" : "x";
  if (outside)
    keys += ",c";
  RandomValue y{"", x.type, -250, 250, false, 0};
  g.addMany(repeated ? "repeat" : "call", rest, in, std::vector<RandomValue>(two ? 2 : 1, y), keys);
  return true;
}

}  // namespace weft::e2e
