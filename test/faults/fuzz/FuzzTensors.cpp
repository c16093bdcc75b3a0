// Fuzz target: a tensor file, safetensors or .npy by its first bytes. Corpus: test/faults/corpus.
// Run as long as you like: build/test/faults/fuzz_safetensors CORPUS_FOLDER -max_total_time=60.
#include "Targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  weft::test::tryTensors(data, size);
  return 0;
}
