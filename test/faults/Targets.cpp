// The readers as the fuzzer sees them. Limits are low, so that a small input cannot keep a reader busy by being legal.
// What the readers promise beyond not crashing is checked here: codes, places, printable text.
#include "Targets.h"

#include "import/ReadModel.h"
#include "weft/tensors.h"

#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

namespace weft::test {
namespace {

void demand(bool truth, const char *text) {
  if (truth)
    return;
  fprintf(stderr, "broken promise: %s\n", text);
  abort();
}

} // namespace

int tryModel(const uint8_t *data, size_t size) {
  SourceText source;
  source.file = "m.json";
  source.text.assign(reinterpret_cast<const char *>(data), size);
  ReadOptions options;
  options.limits.nodes = 5000;
  options.limits.rounds = 200;
  options.limits.tensors = 5000;
  Diagnostics diagnostics;
  bool good = readModel(std::move(source), options, diagnostics).has_value();
  int code = diagnostics.exitCode();
  demand(good == (code == 0), "a model exactly without errors");
  demand(code == 0 || code == 1 || code == 4, "exit codes 0, 1 and 4");
  for (const Diagnostic &next : diagnostics.sorted())
    demand(!next.text.empty(), "every error has a text");
  for (char c : diagnostics.str() + diagnostics.json())
    demand(static_cast<unsigned char>(c) >= 0x20 || c == '\n', "printed text has no control characters");
  return code;
}

int tryTensors(const uint8_t *data, size_t size) {
  std::unique_ptr<uint8_t[]> copy(new uint8_t[size]);
  if (size)
    std::memcpy(copy.get(), data, size);
  weft_tensor_file *file = nullptr;
  weft_status status = weft_tensor_file_open_memory(copy.get(), size, nullptr, &file);
  demand(file != nullptr, "a handle that holds the text");
  demand(status == WEFT_OK || status == WEFT_ERR_FORMAT || status == WEFT_ERR_LIMIT || status == WEFT_ERR_UNSUPPORTED, "a documented status");
  demand((status == WEFT_OK) == (*weft_tensor_file_error(file) == 0), "a text exactly with an error");
  demand(status == WEFT_OK || weft_tensor_file_count(file) == 0, "no tensors after an error");
  for (int64_t i = 0; i < weft_tensor_file_count(file); ++i) {
    const weft_tensor_info *info = weft_tensor_file_at(file, i);
    demand(weft_tensor_file_find(file, info->name) == i, "a tensor is found by its name");
    std::vector<char> room(static_cast<size_t>(info->bytes) + 1);
    weft_status read = weft_tensor_file_read(file, i, room.data(), static_cast<size_t>(info->bytes));
    demand(read == WEFT_OK || (info->dtype < 0 && read == WEFT_ERR_UNSUPPORTED) || (info->dtype == WEFT_BOOL && read == WEFT_ERR_FORMAT),
           "a listed tensor can be read");
  }
  weft_tensor_file_close(file);
  return status;
}

} // namespace weft::test
