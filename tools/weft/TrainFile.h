// One file of training data: safetensors, mapped into memory. Its header is checked as that of every tensor file; the
// elements are read where they lie.
#ifndef WEFT_TOOLS_TRAINFILE_H
#define WEFT_TOOLS_TRAINFILE_H

#include "Common.h"

#include "weft/runtime.h"

namespace weft {

/// A tensor where it lies in the file. `data` need not be aligned.
struct MappedTensor {
  std::string name;
  int32_t dtype = -1;
  std::vector<int64_t> shape;
  const char *data = nullptr;
  int64_t elements = 0;

  std::string shapeText() const;
};

/// What NaN and infinity in floats are: an error, one that leaving out updates would avoid, or a warning.
enum class NonFinite { error, skippable, warning };

/// What the elements of an input may be: integers in low..high, or the one that a loss ignores; floats finite.
struct ElementRule {
  int64_t low = INT64_MIN, high = INT64_MAX;
  std::optional<int64_t> ignored;
  std::optional<int64_t> refused = {}; ///< the loss ignores it, but it is outside the input's range
  NonFinite nonFinite = NonFinite::error;
};

bool isIntegerType(int32_t dtype);

/// Integers go to integers, floats to floats.
bool isConvertible(int32_t from, int32_t to);

/// Copies `count` elements from `first` on, as `dtype`. Integers must have been checked to fit.
void copyElements(void *to, int32_t dtype, const MappedTensor &from, int64_t first, int64_t count);

class TrainFile {
public:
  TrainFile() = default;
  TrainFile(TrainFile &&other) noexcept;
  TrainFile(const TrainFile &) = delete;
  ~TrainFile();

  std::string path;
  std::vector<MappedTensor> tensors;

  /// Errors are printed; kOk or an exit code.
  int open(const std::string &file, const weft_tensor_limits &limits);
  const MappedTensor *find(const std::string &name) const;
  /// `FILE: error: tensor 'NAME': TEXT`; kInvalid.
  int fail(const std::string &tensor, const std::string &text, const std::string &hint = {}) const;

  /// Reads the tensor from end to end. The first element against the rule is an error that names its sample (axis 0) or,
  /// with `isWhole`, its place. `fingerprint` takes up all bytes.
  int check(const MappedTensor &tensor, const ElementRule &rule, bool isWhole, uint64_t &fingerprint) const;

private:
  char *mapping = nullptr;
  size_t bytes = 0;
};

} // namespace weft

#endif // WEFT_TOOLS_TRAINFILE_H
