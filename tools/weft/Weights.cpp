// Paths in the model file are seen from the model's folder, paths on the command line from the current one.
// Texts of the runtime come without the file's name, so it is added here.
#include "Weights.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <sys/stat.h>

namespace weft {

ExitCode exitCodeOf(weft_status status) {
  switch (status) {
  case WEFT_OK: return kOk;
  case WEFT_ERR_IO: return kFile;
  case WEFT_ERR_MEMORY:
  case WEFT_ERR_LIMIT: return kLimit;
  case WEFT_ERR_CPU:
  case WEFT_ERR_UNSUPPORTED: return kUnsupported;
  default: return kInvalid;
  }
}

static const char *limitHint(weft_status status) {
  return status == WEFT_ERR_LIMIT ? "  hint: --limit NAME=N raises headerBytes, tensors, nameBytes, elements, metadata and shards\n" : "";
}

int reportFile(const std::string &path, weft_status status, const char *text) {
  // The runtime may have named the file already.
  std::string line = escapeText(text);
  const std::string file = escapeText(path) + ": ";
  if (line.compare(0, file.size(), file) == 0)
    line.erase(0, file.size());
  line = file + "error: " + line;
  std::fprintf(stderr, "%s\n%s", line.c_str(), limitHint(status));
  return status == WEFT_ERR_UNSUPPORTED ? kInvalid : exitCodeOf(status);
}

weft_tensor_limits tensorLimits(const CommonOptions &options) {
  const Limits limits = limitsOf(options);
  return {int64_t(limits.headerBytes), int64_t(limits.tensors), int64_t(limits.nameBytes), int64_t(limits.elements), int64_t(limits.metadata), int64_t(limits.shards)};
}

/// Of a folder in place of a file: the weights of the checkpoint that it is, or of the newest that it holds.
static void hintOfFolder(const std::string &path) {
  const std::string file = "/model.safetensors";
  std::error_code problem;
  std::string newest = llvm::sys::fs::exists(path + file) ? path : "";
  for (llvm::sys::fs::directory_iterator entry(path, problem), end; !problem && entry != end && newest != path; entry.increment(problem))
    if (llvm::sys::path::filename(entry->path()).starts_with("step-") && llvm::sys::fs::exists(entry->path() + file))
      newest = std::max(newest, entry->path()); // the numbers are all of one length
  if (!newest.empty())
    std::fprintf(stderr, "  hint: the weights of this checkpoint are %s\n", quote(newest + file).c_str());
}

int readEmbeddedWeights(const CommonOptions &options, const ModelDesc &model, const std::string &weights, std::string &bytes) {
  std::string path = weights;
  if (path.empty()) {
    if (model.weightFiles.empty())
      return fail(kUsage, "expected --weights FILE with --embed-weights: the model names no weights file");
    if (model.weightFiles.size() > 1)
      return fail(kUnsupported, "expected one weights file to embed but the model names " + std::to_string(model.weightFiles.size()));
    path = besideModel(options, model.weightFiles.front());
  }
  if (path.size() > 5 && path.compare(path.size() - 5, 5, ".json") == 0)
    return fail(kUnsupported, "expected one safetensors file to embed but got the index " + quote(path));
  // Checked as any reader would, so that a damaged file fails now and not in the application.
  weft_tensor_file *file = nullptr;
  const weft_tensor_limits fileLimits = tensorLimits(options);
  weft_tensor_options reading = {};
  reading.limits = &fileLimits;
  weft_status status = weft_tensor_file_open(path.c_str(), &reading, &file);
  std::string text = status == WEFT_OK ? "" : weft_tensor_file_error(file);
  weft_tensor_file_close(file);
  if (status != WEFT_OK) {
    int code = reportFile(path, status, text.c_str());
    hintOfFolder(path);
    return code;
  }
  const uint64_t limit = limitsOf(options).objectBytes;
  struct stat info;
  if (stat(path.c_str(), &info) == 0 && uint64_t(info.st_size) > limit)
    return fail(kLimit, "weights of " + std::to_string(info.st_size) + " bytes in an object, the limit is " + std::to_string(limit), "--limit objectBytes=N raises it");
  return readFile(path, bytes);
}

int loadWeights(const CommonOptions &options, const ModelDesc &model, const WeightsChoice &choice, weft_model *handle) {
  if (!choice.file.empty() && choice.initSeed)
    return fail(kUsage, "expected --weights or --init but got both");
  if (!choice.file.empty()) {
    weft_status status = weft_model_load(handle, choice.file.c_str());
    if (status == WEFT_OK)
      return kOk;
    int code = reportFile(choice.file, status, weft_model_error(handle));
    hintOfFolder(choice.file);
    return code;
  }
  if (model.tensors.empty() && model.weightFiles.empty()) {
    weft_status status = weft_model_init(handle, 0); // nothing to draw, but the model is complete
    return status == WEFT_OK ? int(kOk) : fail(exitCodeOf(status), weft_model_error(handle));
  }
  if (choice.initSeed || (choice.fallBackToInit && model.weightFiles.empty())) {
    weft_status status = weft_model_init(handle, choice.initSeed.value_or(options.seed));
    return status == WEFT_OK ? int(kOk) : fail(exitCodeOf(status), weft_model_error(handle));
  }
  if (model.weightFiles.empty())
    return fail(kInvalid, "expected weights but the model names no file", "give --weights FILE or --init SEED");
  std::vector<std::string> paths;
  std::vector<const char *> pointers;
  for (const std::string &file : model.weightFiles)
    paths.push_back(besideModel(options, file));
  for (const std::string &path : paths)
    pointers.push_back(path.c_str());
  struct stat info;
  if (choice.fallBackToInit && paths.size() == 1 && stat(paths[0].c_str(), &info) != 0 && errno == ENOENT) {
    note(options, "weft: note: " + quote(paths[0]) + " is not there, weights are random");
    weft_status status = weft_model_init(handle, options.seed);
    return status == WEFT_OK ? int(kOk) : fail(exitCodeOf(status), weft_model_error(handle));
  }
  weft_status status = paths.size() == 1 ? weft_model_load(handle, pointers[0]) : weft_model_load_files(handle, pointers.data(), int64_t(pointers.size()));
  if (status == WEFT_OK)
    return kOk;
  int code = reportFile(paths[0], status, weft_model_error(handle));
  if (status == WEFT_ERR_IO)
    std::fprintf(stderr, "  hint: --weights FILE replaces the model's file, --init SEED draws random weights\n");
  return code;
}

} // namespace weft
