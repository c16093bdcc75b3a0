// Random valid models: drawn from a seed, kept as a list of nodes so that a failing one can be made smaller.
// Every value carries bounds of its elements, so that no graph leaves the range in which f32 means something.
#ifndef WEFT_E2E_RANDOMGRAPH_H
#define WEFT_E2E_RANDOMGRAPH_H

#include "Cases.h"

#include <array>
#include <cstdint>

namespace weft::e2e {

constexpr size_t kRandomRounds = 3;

/// A size as the file spells it, and what it is in each round of calls.
struct RandomAxis {
  std::string text;
  std::array<int64_t, kRandomRounds> size{};
  bool isNumber() const;
  bool operator==(const RandomAxis &other) const { return text == other.text; }
};

struct RandomType {
  std::string dtype = "f32";
  std::vector<RandomAxis> axes;
  int64_t count() const;  ///< elements in the largest round
  std::string shapeText() const;  ///< a JSON list
  bool operator==(const RandomType &other) const { return dtype == other.dtype && axes == other.axes; }
};

struct RandomValue {
  std::string name;
  RandomType type;
  double low = 0, high = 0;  ///< bounds of the elements
  bool exact = true;         ///< the same bits whoever computes it; only such values may be compared or counted
  int uses = 0;
};

struct RandomNode {
  std::string op, rest;  ///< attributes as JSON, without a leading comma
  std::vector<std::string> in;
  std::string keys;      ///< names of the operands, comma separated; empty: by position
  std::vector<RandomValue> out;
};

std::string nodeText(const RandomNode &node);

struct RandomInput {
  RandomValue value;
  std::string fill;  ///< not empty: optional, left out in every other round
};

struct RandomModel {
  std::vector<Sizes> rounds;
  bool zero = false;  ///< dims may be 0
  std::vector<RandomInput> inputs;
  std::vector<std::pair<std::string, std::string>> blocks;  ///< name, JSON
  std::vector<RandomNode> nodes;
  std::vector<std::pair<std::string, std::string>> outputs;  ///< name, value

  std::string text() const;
  bool mentions(const std::string &dim) const;
  /// Removes nodes, blocks and inputs that no output needs. False: nothing is left.
  bool prune();
};

RandomModel randomModel(uint64_t seed);

}  // namespace weft::e2e

#endif  // WEFT_E2E_RANDOMGRAPH_H
