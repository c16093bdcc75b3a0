// Whole models: the interpreter in f64 against what PyTorch computed, to 1e-6 of each tensor's largest value.
// Prints one line for each folder; the last line counts.
#include "Compare.h"
#include "Goldens.h"
#include "Reference.h"

#include <cstdio>

using namespace weft::reference;

int main() {
  std::vector<std::string> names = goldenNames();
  if (names.empty()) {
    std::printf("skipped: WEFT_SHARED names no folder with data/goldens\n");
    return 77;
  }
  int failed = 0, passed = 0, skipped = 0;
  for (const std::string &name : names) {
    std::string error;
    std::optional<Golden> golden = readGolden(name, error);
    if (!golden && error.empty()) {
      std::printf("%-32s skipped: set WEFT_MINILM to its weights\n", name.c_str());
      ++skipped;
      continue;
    }
    std::string result;
    double worst = 0;
    if (golden) {
      RunOptions options;
      options.entry = golden->entry;
      options.inputs = golden->inputs;
      options.parameters = golden->parameters;
      RunResult run = runReference(golden->model, options);
      error = run.error;
      for (const auto &[output, expected] : golden->expected) {
        if (!run.ok())
          break;
        auto found = run.outputs.find(output);
        if (found == run.outputs.end()) {
          error = "no output '" + output + "'";
          break;
        }
        Comparison compared = compare(found->second, expected, nullptr, Bound{0, 0, 1e-6, 0, 0});
        worst = std::max(worst, compared.scale > 0 ? compared.largestError / compared.scale : 0);
        if (!compared.ok())
          error = "'" + output + "': " + compared.str();
      }
    }
    std::printf("%-32s %s\n", name.c_str(), error.empty() ? ("ok, largest error " + std::to_string(worst * 1e9) + "e-9 of scale").c_str() : error.c_str());
    ++(error.empty() ? passed : failed);
  }
  std::printf("%d agree, %d differ, %d skipped\n", passed, failed, skipped);
  return failed != 0;
}
