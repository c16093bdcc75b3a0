// Draws sizes, inputs and then nodes, until there are enough; what no node uses becomes an output.
// Sizes stand around those of vectors (8, 16) and tiles (64), where code for the rest of a row begins.
#include "RandomGenerator.h"

#include <algorithm>
#include <cmath>

namespace weft::e2e {
namespace {

const std::vector<int64_t> kSizes = {1, 2, 3, 5, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 129};
const std::vector<int64_t> kSmallSizes = {1, 1, 2, 3, 5, 7, 8, 15, 16, 17, 31, 33};
constexpr int64_t kMostElements = 30000;

struct Maker {
  bool (*make)(RandomGenerator &);
  int weight;
};
const std::vector<Maker> kMakers = {
    {makeUnary, 8}, {makeBinary, 10}, {makeLogic, 5}, {makeIntegers, 3}, {makeNorm, 6}, {makeReduction, 8}, {makePool, 2}, {makeMove, 9},  {makeCut, 6},       {makeJoin, 4},
    {makeGather, 4}, {makePositions, 4}, {makeLinear, 9}, {makeGated, 2}, {makeEpilogue, 6}, {makeLastRows, 2}, {makeMatmul, 5}, {makeEinsum, 4}, {makeAttention, 4}, {makeMha, 2}, {makeSpelledAttention, 5}, {makeBlock, 4},
};

}  // namespace

RandomGenerator::RandomGenerator(uint64_t seed) : random(seed, "graph") {
  for (int i = 0; i < 3; ++i)
    sizes.push_back(oneOf(kSizes));
  for (size_t round = 0; round < kRandomRounds; ++round) {
    Sizes all;
    for (const char *name : {"B", "T", "S"})
      all[name] = round == 1 && chance(0.7) ? 1 : name[0] == 'B' ? between(1, 3) : oneOf(chance(0.8) ? kSmallSizes : kSizes);
    model.rounds.push_back(all);
  }
  model.zero = chance(0.1);
  if (model.zero)
    model.rounds[2][chance(0.6) ? "B" : "T"] = 0;
}

int64_t RandomGenerator::size(int64_t most) {
  for (int tries = 0; tries < 8; ++tries)
    if (int64_t wanted = chance(0.75) ? oneOf(sizes) : oneOf(kSizes); wanted <= most)
      return wanted;
  return std::min<int64_t>(most, 3);
}

RandomAxis RandomGenerator::number(int64_t size) const {
  RandomAxis axis{std::to_string(size), {}};
  axis.size.fill(size);
  return axis;
}

RandomAxis RandomGenerator::dim(const std::string &name) const {
  RandomAxis axis{name, {}};
  for (size_t round = 0; round < kRandomRounds; ++round)
    axis.size[round] = model.rounds[round].at(name);
  return axis;
}

int64_t RandomGenerator::divisor(int64_t of, int64_t most) {
  std::vector<int64_t> all;
  for (int64_t next = 1; next <= std::min(of, most); ++next)
    if (of % next == 0)
      all.push_back(next);
  return oneOf(all);
}

bool RandomGenerator::pick(RandomValue &found, const Test &test) {
  std::vector<const RandomValue *> suited;
  for (const RandomValue &value : values)
    if (test(value))
      suited.push_back(&value);
  if (suited.empty())
    return false;
  int64_t last = static_cast<int64_t>(suited.size()) - 1;
  found = *suited[static_cast<size_t>(chance(0.5) ? between(std::max<int64_t>(0, last - 2), last) : between(0, last))];
  return true;
}

bool RandomGenerator::pickReal(RandomValue &found, double most) {
  return pick(found, [&](const RandomValue &value) { return value.type.dtype == "f32" && std::max(std::fabs(value.low), std::fabs(value.high)) < most; });
}

void RandomGenerator::use(const RandomValue &value) {
  for (RandomValue &next : values)
    if (next.name == value.name)
      ++next.uses;
}

RandomValue RandomGenerator::add(const std::string &op, const std::string &rest, const std::vector<RandomValue> &in, RandomType type, double low, double high, bool exact,
                                 const std::string &keys) {
  return addMany(op, rest, in, {RandomValue{"", std::move(type), low, high, exact, 0}}, keys)[0];
}

std::vector<RandomValue> RandomGenerator::addMany(const std::string &op, const std::string &rest, const std::vector<RandomValue> &in, std::vector<RandomValue> out,
                                                  const std::string &keys) {
  RandomNode node{op, rest, {}, keys, {}};
  for (const RandomValue &value : in) {
    use(value);
    node.in.push_back(value.name);
  }
  for (RandomValue &value : out) {
    value.name = newName("v");
    values.push_back(value);
  }
  node.out = out;
  model.nodes.push_back(std::move(node));
  return out;
}

RandomValue RandomGenerator::input(const RandomType &type, double low, double high) {
  if (closed) {
    bool flag = type.dtype == "bool", whole = type.dtype[0] == 'i';
    int64_t least = static_cast<int64_t>(std::ceil(std::max(low, -3.0))), number = between(least, std::max(least, static_cast<int64_t>(std::min(high, 3.0))));
    std::string text = flag ? (chance(0.6) ? "true" : "false") : whole ? std::to_string(number) : "0." + std::to_string(between(1, 9));
    return add("constant", "\"value\": " + text + ", \"shape\": " + type.shapeText() + ", \"dtype\": \"" + type.dtype + "\"", {}, type, flag ? 0 : whole ? static_cast<double>(number) : 0, whole ? static_cast<double>(number) : 1, true);
  }
  RandomValue value{newName(type.dtype == "bool" ? "m" : type.dtype[0] == 'i' ? "i" : "x"), type, low, high, true, 0};
  model.inputs.push_back({value, type.dtype == "bool" && chance(0.3) ? (chance(0.7) ? "true" : "false") : ""});
  values.push_back(value);
  return value;
}

std::vector<RandomAxis> RandomGenerator::narrowed(std::vector<RandomAxis> axes) {
  for (RandomAxis &axis : axes)
    if (chance(0.3))
      axis = number(1);
  if (chance(0.4))
    axes.erase(axes.begin(), axes.begin() + between(0, static_cast<int64_t>(axes.size())));
  return axes;
}

RandomValue RandomGenerator::operand(const RandomType &type, double low, double high) {
  RandomValue found;
  bool plain = std::all_of(type.axes.begin(), type.axes.end(), [](const RandomAxis &axis) { return axis.isNumber(); });
  if (chance(0.6) && pick(found, [&](const RandomValue &value) { return value.type == type && value.low >= low && value.high <= high; }))
    return found;
  if (type.dtype == "f32" && plain && !type.axes.empty() && chance(0.4))
    return add("parameter", "\"shape\": " + type.shapeText(), {}, type, -0.15, 0.15, true);
  // Another value, repeated along its axes of size 1 and along new ones in front.
  auto expands = [&](const RandomValue &value) {
    const auto &from = value.type.axes;
    if (value.type.dtype != type.dtype || from.size() > type.axes.size() || value.low < low || value.high > high)
      return false;
    for (size_t i = 0; i < from.size(); ++i)
      if (from[i].text != "1" && !(from[i] == type.axes[type.axes.size() - from.size() + i]))
        return false;
    return true;
  };
  if (chance(0.2) && pick(found, expands))
    return add("expand", "\"shape\": " + type.shapeText(), {found}, type, found.low, found.high, found.exact);
  // A size that is computed shows in no input: there it is the sizes it is made of that count.
  for (const RandomAxis &axis : type.axes)
    if (!axis.isNumber() && axis.text.size() > 1) {
      RandomType one = type;
      for (RandomAxis &next : one.axes)
        if (!next.isNumber() && next.text.size() > 1)
          next = number(1);
      RandomValue base = operand(one, low, high);
      return add("expand", "\"shape\": " + type.shapeText(), {base}, type, base.low, base.high, base.exact);
    }
  return input(type, low, high);
}

RandomValue RandomGenerator::tamed(const RandomValue &value, double limit) {
  if (std::max(std::fabs(value.low), std::fabs(value.high)) <= limit)
    return value;
  if (chance(0.3))
    return add("clamp", "\"min\": -" + std::to_string(limit) + ", \"max\": " + std::to_string(limit), {value}, value.type, -limit, limit, value.exact);
  return add("tanh", "", {value}, value.type, -1, 1, false);
}

RandomModel RandomGenerator::make() {
  RandomAxis batch = dim("B"), tokens = dim("T");
  int64_t width = size();
  input({"f32", {batch, tokens, number(width)}}, -7, 7);
  if (chance(0.6))
    input({"f32", oneOf(std::vector<std::vector<RandomAxis>>{{batch, tokens}, {number(width)}, {tokens, number(width)}, {batch, dim("S"), number(width)}, {batch, number(size(33)), tokens}, {batch, tokens, number(size(8)), number(size(17))}})}, -7, 7);
  if (chance(0.4))
    input({chance(0.7) ? "i32" : "i64", oneOf(std::vector<std::vector<RandomAxis>>{{batch, tokens}, {tokens}, {batch}})}, 0, static_cast<double>(between(0, 40)));
  if (chance(0.4))
    input({"bool", oneOf(std::vector<std::vector<RandomAxis>>{{batch, tokens}, {tokens, tokens}, {batch, number(1), tokens}})}, 0, 1);
  grow(static_cast<size_t>(chance(0.3) ? between(1, 4) : between(4, 25)));
  for (const RandomNode &node : model.nodes)
    for (const RandomValue &out : node.out) {
      bool used = std::any_of(model.nodes.begin(), model.nodes.end(), [&](const RandomNode &other) { return std::count(other.in.begin(), other.in.end(), out.name) > 0; });
      if (!used || chance(0.12))
        model.outputs.emplace_back("o" + std::to_string(model.outputs.size()), out.name);
    }
  if (chance(0.1))
    model.outputs.emplace_back("again", model.outputs[0].second);
  if (chance(0.1))
    model.outputs.emplace_back("same", model.inputs[0].value.name);
  model.prune();
  return model;
}

void RandomGenerator::grow(size_t wanted) {
  int total = 0;
  for (const Maker &maker : kMakers)
    total += maker.weight;
  for (int tries = 0; model.nodes.size() < wanted && tries < 200; ++tries) {
    int64_t ticket = between(0, total - 1);
    for (const Maker &maker : kMakers)
      if ((ticket -= maker.weight) < 0) {
        if (!closed || maker.make != makeBlock)
          maker.make(*this);
        break;
      }
    // Values that became too large serve no longer.
    values.erase(std::remove_if(values.begin(), values.end(),
                                [&](const RandomValue &value) { return value.uses > 0 && value.type.count() > kMostElements; }),
                 values.end());
  }
}

RandomGenerator RandomGenerator::inside() {
  RandomGenerator inner(random.next());
  inner.model.rounds = model.rounds;
  inner.sizes = sizes;
  inner.closed = true;
  return inner;
}

RandomModel randomModel(uint64_t seed) { return RandomGenerator(seed).make(); }

}  // namespace weft::e2e
