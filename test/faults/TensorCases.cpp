// Wrong tensor files: the status and the whole text that the runtime says, or what it lists when the file is good.
// Usage: tensor_cases FILE.cases…; a table begins with its kind: "@ safetensors" or "@ npy" in the first case.
#include "CaseFile.h"

#include "weft/tensors.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>

using namespace weft::test;

namespace {

struct FileCloser {
  void operator()(weft_tensor_file *file) const { weft_tensor_file_close(file); }
};

/// "data N": zeros after the header; "length N": another header length than the real one; "version N": of .npy.
std::string bytesOf(const Case &next, const std::string &header, bool isNpy) {
  long long data = 0, version = 1;
  unsigned long long length = header.size();
  for (const std::string &line : next.options) {
    std::string what = line.substr(0, line.find(' '));
    const char *value = line.c_str() + what.size();
    if (what == "data")
      data = std::atoll(value);
    else if (what == "length")
      length = std::strtoull(value, nullptr, 0);
    else if (what == "version")
      version = std::atoll(value);
    else if (what != "raw" && what != "npy" && what != "safetensors")
      std::fprintf(stderr, "case '%s': unknown option '%s'\n", next.name.c_str(), line.c_str()), std::exit(2);
    if (what == "raw")
      return header;
  }
  std::string bytes;
  if (isNpy)
    bytes = std::string("\x93NUMPY") + char(version) + '\0';
  for (int i = 0; i < (isNpy ? version == 1 ? 2 : 4 : 8); ++i)
    bytes += char(length >> 8 * i & 0xff);
  return bytes + header + std::string(size_t(data), '\0');
}

/// Opens a copy of exactly this size, so that the sanitizer sees every byte too far, and reads all of it.
std::vector<std::string> sayingsOf(const std::string &bytes) {
  std::unique_ptr<char[]> copy(new char[bytes.size()]);
  std::memcpy(copy.get(), bytes.data(), bytes.size());
  weft_tensor_file *opened = nullptr;
  weft_status status = weft_tensor_file_open_memory(copy.get(), bytes.size(), nullptr, &opened);
  std::unique_ptr<weft_tensor_file, FileCloser> file(opened);
  std::vector<std::string> said = {std::string("exit ") + weft_status_name(status)};
  if (status != WEFT_OK) {
    said.push_back(std::string("> ") + weft_tensor_file_error(opened));
    if (weft_tensor_file_count(opened) != 0)
      said.push_back("> and lists tensors");
    return said;
  }
  for (int64_t i = 0; i < weft_tensor_file_count(opened); ++i) {
    const weft_tensor_info *info = weft_tensor_file_at(opened, i);
    std::string line = std::string("> ") + info->name + ": " + info->dtype_name + " [";
    for (int32_t axis = 0; axis < info->rank; ++axis)
      line += (axis ? ", " : "") + std::to_string(info->shape[axis]);
    std::vector<char> room(size_t(info->bytes) + 1);
    status = weft_tensor_file_read(opened, i, room.data(), size_t(info->bytes));
    said.push_back(line + "]" + (status ? std::string(", ") + weft_tensor_file_error(opened) : ""));
  }
  return said;
}

} // namespace

int main(int argc, char **argv) {
  bool write = std::getenv("WEFT_WRITE_CASES") != nullptr;
  int passed = 0, failed = 0;
  std::map<bool, int> wrong;
  for (int i = 1; i < argc; ++i) {
    std::vector<Case> cases = readCases(argv[i]);
    bool isNpy = !cases.empty() && !cases[0].options.empty() && cases[0].options[0] == "npy";
    std::vector<std::vector<std::string>> all;
    for (const Case &next : cases) {
      all.push_back(sayingsOf(bytesOf(next, next.text, isNpy)));
      wrong[isNpy] += all.back()[0] != "exit ok";
      ++(write || checkCase(next, all.back()) ? passed : failed);
    }
    if (write)
      writeExpected(argv[i], all);
  }
  std::printf("count: malformed safetensors = %d\n", wrong[false]);
  std::printf("count: malformed .npy = %d\n", wrong[true]);
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed != 0;
}
