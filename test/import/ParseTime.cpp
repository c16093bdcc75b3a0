// Reads a model file again and again and fails if the median takes 50 ms or more.
// usage: weft_parse_time MODEL.json
#include "import/ReadModel.h"

#include <algorithm>
#include <chrono>
#include <cstdio>

int main(int argc, char **argv) {
  if (argc != 2)
    return 2;
  std::vector<double> times;
  for (int i = 0; i < 21; ++i) {
    auto start = std::chrono::steady_clock::now();
    weft::Diagnostics diagnostics;
    auto model = weft::readModelFile(argv[1], {}, diagnostics);
    times.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
    if (!model) {
      std::fputs(diagnostics.str().c_str(), stderr);
      return 1;
    }
  }
  std::sort(times.begin(), times.end());
  std::printf("median %.2f ms, slowest %.2f ms\n", times[times.size() / 2], times.back());
  return times[times.size() / 2] < 50 ? 0 : 1;
}
