// A data set of `weft train`: which tensor is which input of the training entry, how many samples there are, what sizes
// they give to the model's dims, and the copy of a batch into memory.
#ifndef WEFT_TOOLS_TRAINDATA_H
#define WEFT_TOOLS_TRAINDATA_H

#include "Data.h"
#include "TrainFile.h"

namespace weft {

/// An input of the training entry, as data sets see it.
struct TrainInput {
  const weft_tensor_desc *desc = nullptr;
  bool isLabel = false; ///< of the `train` section
  ElementRule rule;
};

/// The training entry's inputs, and the dim that counts a batch's samples.
struct TrainInputs {
  std::string entry;
  const weft_model_desc *desc = nullptr;
  std::vector<TrainInput> list;
  int32_t batchDim = -1; ///< the first axis of all of them; -1: they do not agree on one
  weft_tensor_limits limits = {}; ///< of the files

  static TrainInputs of(const ModelDesc &model, const weft_model_desc *desc, int32_t entry);
};

/// A batch in memory: one buffer for each input, empty for one left out.
struct Batch {
  std::vector<int64_t> dims;
  std::vector<std::vector<char>> buffers;
  std::vector<const void *> pointers;
};

/// Sizes of the model's dims, and which of them the command line fixes.
struct TrainSizes {
  std::vector<int64_t> dims;
  std::vector<bool> isGiven;
};

class DataSet {
public:
  /// Opens and checks everything: names, types, shapes, every element. `files`: one with samples or a stream, or, with
  /// `wholeBatches`, any number with a batch each. `sizes` gets the sizes that the data has. Errors are printed.
  int open(const TrainInputs &inputs, const std::vector<std::string> &files, bool wholeBatches, TrainSizes &sizes);

  /// Samples, windows of the stream, or whole batches.
  int64_t count() const { return samples; }
  bool hasWholeBatches() const { return whole; }
  bool isStream() const { return stream != nullptr; }
  /// The largest sizes of any batch, when each batch may have `batch` samples.
  std::vector<int64_t> maxDims(int64_t batch) const;
  /// Two data sets with the same content have the same one.
  uint64_t fingerprint() const { return hash; }

  /// Windows of a stream may begin up to this many places later.
  int64_t streamSlack() const { return slack; }
  /// With fewer windows, but room to shift all of them by up to a window.
  void leaveSlack();

  /// Copies samples, windows (each `shift` places later), or one whole batch.
  void fill(Batch &batch, const std::vector<int64_t> &chosen, int64_t shift) const;
  /// The inputs of a batch by name, without those left out.
  std::vector<HostTensor> tensorsOf(const Batch &batch) const;

private:
  const TrainInputs *inputs = nullptr;
  std::vector<TrainFile> files;
  std::vector<int64_t> dims;                             ///< of all samples; the batch dim's entry is not used
  std::vector<std::vector<const MappedTensor *>> bound;  ///< per file, per input; null for one left out
  std::vector<std::vector<int64_t>> batchDims;           ///< of each whole batch
  const MappedTensor *stream = nullptr;
  int64_t samples = 0, window = 0, slack = 0;
  bool whole = false;
  uint64_t hash = 0xcbf29ce484222325u;

  int openSamples(TrainSizes &sizes);
  int openStream(TrainSizes &sizes);
  int openBatches(TrainSizes &sizes);
  int bind(const TrainFile &file, std::vector<const MappedTensor *> &list);
  int matchAxes(const TrainFile &file, const std::vector<const MappedTensor *> &list, int32_t firstAxis, TrainSizes &sizes);
  int checkElements(const TrainFile &file, const std::vector<const MappedTensor *> &list);
  int64_t rowElements(const MappedTensor &tensor) const;
};

} // namespace weft

#endif // WEFT_TOOLS_TRAINDATA_H
