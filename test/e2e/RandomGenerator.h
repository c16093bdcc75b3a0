// What the makers of random nodes share: the model so far, choices, and operands of wanted shapes.
// A maker returns false if nothing in the model suits it; it has added nothing then.
#ifndef WEFT_E2E_RANDOMGENERATOR_H
#define WEFT_E2E_RANDOMGENERATOR_H

#include "RandomGraph.h"
#include "RandomTensors.h"

#include <functional>

namespace weft::e2e {

class RandomGenerator {
public:
  explicit RandomGenerator(uint64_t seed);
  RandomModel make();
  /// Adds nodes up to this number, as far as they come about.
  void grow(size_t nodes);
  /// The inside of a block: what no operand gives is a constant, and nothing is called.
  RandomGenerator inside();

  // ---- choices
  int64_t between(int64_t low, int64_t high) { return random.integer(low, high); }
  bool chance(double probability) { return random.uniform() < probability; }
  template <typename T> const T &oneOf(const std::vector<T> &all) { return all[static_cast<size_t>(between(0, static_cast<int64_t>(all.size()) - 1))]; }
  /// One of the few sizes of this model, at most `most`.
  int64_t size(int64_t most = 129);
  RandomAxis number(int64_t size) const;
  RandomAxis dim(const std::string &name) const;
  int64_t divisor(int64_t of, int64_t most);

  // ---- values; recent ones are likelier. Copies, as adding nodes moves them.
  using Test = std::function<bool(const RandomValue &)>;
  bool pick(RandomValue &found, const Test &test);
  bool pickReal(RandomValue &found, double most = 1e4);  ///< f32 with elements below `most`
  /// A value of this type: one that is there, a new input, a parameter, or another value expanded.
  RandomValue operand(const RandomType &type, double low = -7, double high = 7);
  RandomValue input(const RandomType &type, double low, double high);
  /// The shape, with some axes 1 and some leading ones missing.
  std::vector<RandomAxis> narrowed(std::vector<RandomAxis> axes);

  RandomValue add(const std::string &op, const std::string &rest, const std::vector<RandomValue> &in, RandomType type, double low, double high, bool exact,
                  const std::string &keys = {});
  /// Several results; their names are new.
  std::vector<RandomValue> addMany(const std::string &op, const std::string &rest, const std::vector<RandomValue> &in, std::vector<RandomValue> out, const std::string &keys = {});
  std::string newName(const char *prefix) { return prefix + std::to_string(names++); }
  /// The value, or one computed from it, with elements in -limit … limit.
  RandomValue tamed(const RandomValue &value, double limit);
  void use(const RandomValue &value);

  RandomModel model;
  std::vector<RandomValue> values;
  bool closed = false;  ///< inside a block

private:
  reference::Random random;
  std::vector<int64_t> sizes;
  int names = 0;
};

// Each adds one node or a few that belong together.
bool makeUnary(RandomGenerator &g);
bool makeBinary(RandomGenerator &g);
bool makeLogic(RandomGenerator &g);
bool makeIntegers(RandomGenerator &g);
bool makeNorm(RandomGenerator &g);
bool makeReduction(RandomGenerator &g);
bool makePool(RandomGenerator &g);
bool makeMove(RandomGenerator &g);
bool makeCut(RandomGenerator &g);
bool makeJoin(RandomGenerator &g);
bool makeGather(RandomGenerator &g);
bool makePositions(RandomGenerator &g);
bool makeLinear(RandomGenerator &g);
bool makeGated(RandomGenerator &g);
bool makeEpilogue(RandomGenerator &g);
bool makeLastRows(RandomGenerator &g);
bool makeMatmul(RandomGenerator &g);
bool makeEinsum(RandomGenerator &g);
bool makeAttention(RandomGenerator &g);
bool makeMha(RandomGenerator &g);
bool makeSpelledAttention(RandomGenerator &g);
bool makeBlock(RandomGenerator &g);

}  // namespace weft::e2e

#endif  // WEFT_E2E_RANDOMGENERATOR_H
