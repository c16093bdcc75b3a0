// Offsets are longest paths over "lies below": two buffers that live together never overlap, whatever the sizes.
// Each is computed once.
#include "memory/ArenaPlan.h"

#include <algorithm>
#include <functional>

namespace weft {

std::optional<std::vector<int64_t>> ArenaPlan::offsets(const std::map<std::string, int64_t> &dims) const {
  size_t n = bytes.size();
  std::vector<int64_t> size(n), result(n + 1, -1);
  for (size_t i = 0; i < n; ++i) {
    std::optional<int64_t> value = bytes[i].evaluate(dims);
    if (!value || *value < 0 || *value > INT64_MAX - 63)
      return std::nullopt;
    size[i] = (*value + 63) / 64 * 64;
  }
  // below is acyclic: it follows the order of addresses that the planner chose.
  std::function<bool(int)> place = [&](int i) {
    if (result[i] >= 0)
      return true;
    int64_t at = 0;
    for (int j : below[i]) {
      int64_t top;
      if (!place(j) || __builtin_add_overflow(result[j], size[j], &top))
        return false;
      at = std::max(at, top);
    }
    result[i] = at;
    return true;
  };
  result[n] = 0;
  for (size_t i = 0; i < n; ++i) {
    int64_t top;
    if (!place(i) || __builtin_add_overflow(result[i], size[i], &top))
      return std::nullopt;
    result[n] = std::max(result[n], top);
  }
  return result;
}

}  // namespace weft
