// The limits by name, for --limit. Each has a ceiling: beyond it counters of 32 bits or the stack would no longer do.
#include "import/Limits.h"

namespace weft {
namespace {

struct Row {
  const char *name;
  uint64_t Limits::*place;
  uint64_t most;
};

constexpr uint64_t kCounts = (uint64_t(1) << 31) - 1; // values and tensors are numbered with 32 bits
constexpr uint64_t kBytes = uint64_t(1) << 40;

const Row kRows[] = {
    {"fileBytes", &Limits::fileBytes, kBytes}, {"depth", &Limits::depth, kCounts},
    {"nameBytes", &Limits::nameBytes, kBytes}, {"nodes", &Limits::nodes, kCounts / 8},
    {"entryNodes", &Limits::entryNodes, kCounts / 8},
    {"tensors", &Limits::tensors, kCounts / 8}, {"elements", &Limits::elements, uint64_t(1) << 56},
    {"rounds", &Limits::rounds, kCounts},      {"callDepth", &Limits::callDepth, 1000}, // each level is a recursion
    {"headerBytes", &Limits::headerBytes, kBytes}, {"metadata", &Limits::metadata, kCounts}, {"shards", &Limits::shards, kCounts},
    {"arenaBytes", &Limits::arenaBytes, uint64_t(1) << 62}, {"objectBytes", &Limits::objectBytes, kBytes},
};

} // namespace

bool Limits::set(const std::string &name, uint64_t value) {
  for (const Row &row : kRows)
    if (name == row.name) {
      this->*row.place = value;
      return value >= 1 && value <= row.most;
    }
  return false;
}

uint64_t Limits::most(const std::string &name) {
  for (const Row &row : kRows)
    if (name == row.name)
      return row.most;
  return 0;
}

std::vector<std::string> Limits::names() {
  std::vector<std::string> result;
  for (const Row &row : kRows)
    result.emplace_back(row.name);
  return result;
}

} // namespace weft
