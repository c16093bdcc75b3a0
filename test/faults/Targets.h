// One call for each reader, with bytes from anywhere: what the fuzzer and the exhaustive mutations call.
// An answer of a kind that the reader does not document aborts.
#ifndef WEFT_TEST_FAULTS_TARGETS_H
#define WEFT_TEST_FAULTS_TARGETS_H

#include <cstddef>
#include <cstdint>
#include <string>

namespace weft::test {

/// A model file through the whole reader. Returns the exit code: 0, 1 or 4.
int tryModel(const uint8_t *data, size_t size);

/// safetensors or .npy: opens a copy of exactly this size, reads all tensors, asks for names. Returns the status.
int tryTensors(const uint8_t *data, size_t size);

} // namespace weft::test

#endif // WEFT_TEST_FAULTS_TARGETS_H
