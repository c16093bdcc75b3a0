// Every truncation and every single-byte change of three small files, through the readers under the sanitizers.
// Usage: mutations MODEL.json WEIGHTS.safetensors ARRAY.npy [VALUES]: VALUES of 256 for each byte of the model (default 6).
#include "CaseFile.h"
#include "Targets.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

using namespace weft::test;

namespace {

using Target = int (*)(const uint8_t *, size_t);

int call(Target target, const std::string &bytes) { return target(reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size()); }

/// Returns how many inputs were tried; the sanitizer or an abort ends the program at the first bad one.
long mutate(const char *path, Target target, int values, int &failures) {
  const std::string whole = readFile(path);
  long tried = 0, accepted = 0;
  auto expect = [&](bool truth, const char *text) {
    if (!truth)
      std::fprintf(stderr, "%s: expected %s\n", path, text), ++failures;
  };
  expect(call(target, whole) == 0, "a good file to begin with");
  size_t end = whole.find_last_not_of(" \n") + 1;
  for (size_t length = 0; length < whole.size(); ++length, ++tried) {
    bool bad = call(target, whole.substr(0, length)) != 0;
    expect(bad || (target == tryModel && length >= end), "an error for a cut file");
  }
  // Values that mean something in JSON, in a number or in UTF-8 first; then evenly spread ones.
  const std::string meaning = std::string("\"{}[]:,\\/0-9.eE \n", 17) + '\0' + "\x7f\x80\xc0\xe0\xf0\xff";
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string changed = whole;
    for (int i = 0; i < values; ++i, ++tried) {
      changed[at] = values == 256 ? static_cast<char>(i) : meaning[(at * 7 + size_t(i) * 5) % meaning.size()];
      accepted += call(target, changed) == 0;
    }
  }
  expect(accepted > 0 && accepted < tried * 9 / 10, "some changed files to be good and some to be bad");
  std::printf("%s: %ld inputs, %ld of them good\n", std::strrchr(path, '/') ? std::strrchr(path, '/') + 1 : path, tried, accepted);
  return tried;
}

} // namespace

int main(int argc, char **argv) {
  if (argc < 4)
    return 2;
  int failures = 0, values = argc > 4 ? std::atoi(argv[4]) : 6;
  long tried = mutate(argv[1], tryModel, values, failures);
  tried += mutate(argv[2], tryTensors, 256, failures);
  tried += mutate(argv[3], tryTensors, 256, failures);
  std::printf("count: exhaustive mutations of three files = %ld\n", tried);
  std::printf("%d passed, %d failed\n", 3 - (failures > 0), failures);
  return failures != 0;
}
