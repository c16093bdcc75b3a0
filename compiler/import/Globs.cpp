// Glob matching without backtracking further than the last star.
// Each star takes as little as possible; what weights.map puts into its targets depends on that.
#include "import/Globs.h"

namespace weft {

bool matchGlob(std::string_view pattern, std::string_view name, std::vector<std::string> *parts) {
  // Going back to the last star alone is enough: a longer match of an earlier one never helps.
  size_t p = 0, n = 0;
  struct Star {
    size_t pattern, from, to;
  };
  std::vector<Star> stars;
  while (n < name.size() || p < pattern.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      stars.push_back({++p, n, n});
    } else if (p < pattern.size() && n < name.size() && pattern[p] == name[n]) {
      ++p;
      ++n;
    } else if (!stars.empty() && stars.back().to < name.size()) {
      p = stars.back().pattern;
      n = ++stars.back().to;
    } else {
      return false;
    }
  }
  if (parts)
    for (const Star &star : stars)
      parts->emplace_back(name.substr(star.from, star.to - star.from));
  return true;
}

} // namespace weft
