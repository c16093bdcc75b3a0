// A model compiled in this process: object code linked by ORC, called through the C runtime.
// Everything an application would do with model.o, without the files.
#ifndef WEFT_E2E_LOADEDMODEL_H
#define WEFT_E2E_LOADEDMODEL_H

#include "TensorFiles.h"

#include "pipeline/Compile.h"
#include "weft/runtime.h"

#include <memory>

namespace weft::e2e {

using reference::Tensor;
using reference::Tensors;

/// Memory between two pages that may not be touched.
class GuardedPages {
public:
  explicit GuardedPages(size_t bytes);
  GuardedPages(GuardedPages &&other) noexcept;
  GuardedPages(const GuardedPages &) = delete;
  ~GuardedPages();
  unsigned char *data() const { return first; }
  size_t size() const { return usable; }  ///< whole pages

private:
  unsigned char *begin = nullptr, *first = nullptr;
  size_t usable = 0, whole = 0;
};

class LoadedModel {
public:
  /// Compiles, links, opens and sets every parameter. nullptr: `error` says why.
  static std::unique_ptr<LoadedModel> create(const ModelDesc &desc, const CompileOptions &options, const Tensors &parameters, std::string &error);
  ~LoadedModel();

  weft_model *model() const { return handle; }
  const weft_model_desc &descriptor() const { return *desc; }
  double compileMs() const { return milliseconds; }

private:
  LoadedModel();
  struct Jit;
  std::unique_ptr<Jit> jit;
  const weft_model_desc *desc = nullptr;
  weft_model *handle = nullptr;
  double milliseconds = 0;
};

struct Outcome {
  std::string error;
  Tensors outputs;
};

class Session {
public:
  /// For calls up to these sizes. `error` says why it is not usable.
  Session(const LoadedModel &model, const std::map<std::string, int64_t> &maxDims, int64_t threads, std::string &error);
  ~Session();

  /// One call. Inputs not given are left out. `valid`: real tokens of each sequence; empty: all. Buffers are only aligned to
  /// their elements and stand between guard pages; a result that was not written, or a write beside it, is an error.
  Outcome run(const std::string &entry, const std::map<std::string, int64_t> &dims, const Tensors &inputs, const std::vector<int64_t> &valid = {});
  void reset();

private:
  std::vector<int64_t> dimNumbers(const std::map<std::string, int64_t> &dims) const;
  const LoadedModel &compiled;
  std::unique_ptr<GuardedPages> memory;
  weft_session *session = nullptr;
};

}  // namespace weft::e2e

#endif  // WEFT_E2E_LOADEDMODEL_H
