// Tensors in memory as the commands use them: read from safetensors, .npy or a short list, converted to what an entry
// takes, summarised, compared, written.
#ifndef WEFT_TOOLS_DATA_H
#define WEFT_TOOLS_DATA_H

#include "Common.h"

#include "weft/runtime.h"

namespace weft {

struct HostTensor {
  std::string name;
  int32_t dtype = WEFT_F32;
  std::vector<int64_t> shape;
  std::vector<char> bytes;

  int64_t elements() const;
  /// Element `index` as a number; integers and halves are converted.
  double at(int64_t index) const;
  std::string shapeText() const;
  /// "[0, 3, 17]" for a flat index.
  std::string place(int64_t index) const;
};

/// All tensors of a safetensors or .npy file; a .npy tensor gets `name`. Errors are printed; kOk or an exit code.
int readTensors(const CommonOptions &options, const std::string &path, const std::string &name, std::vector<HostTensor> &tensors);
/// The tensors of all `--inputs` files and `--input` options.
int readGivenInputs(const CommonOptions &options, const std::vector<std::string> &files, const std::vector<std::string> &inputs, std::vector<HostTensor> &tensors);
/// `--input NAME=FILE.npy` or `NAME=1,2,3` (an integer row [1, n]).
int readInputOption(const CommonOptions &options, const std::string &text, std::vector<HostTensor> &tensors);

/// The entry's inputs in order, converted to its types; without shape and bytes for one left out. Unknown names are errors.
int bindInputs(const weft_model_desc *desc, int32_t entry, std::vector<HostTensor> given, std::vector<HostTensor> &inputs);
/// Sizes of the entry's dims as its bound inputs have them; a dim that no input shows keeps its value. Checks every axis.
int dimsFromInputs(const weft_model_desc *desc, int32_t entry, const std::vector<HostTensor> &inputs, std::vector<int64_t> &dims);
/// Zeroed outputs of the entry, shaped for `dims`.
std::vector<HostTensor> makeOutputs(const weft_model_desc *desc, int32_t entry, const std::vector<int64_t> &dims);
/// What makeOutputs takes.
int64_t outputBytes(const weft_model_desc *desc, int32_t entry, const std::vector<int64_t> &dims);
/// Whether so much memory can be had now: an allocation that fails ends the process.
bool canHold(int64_t bytes);
/// Inputs drawn from `seed`: integers in their range, floats from a normal distribution, bools true.
std::vector<HostTensor> randomInputs(const weft_model_desc *desc, int32_t entry, const std::vector<int64_t> &dims, uint64_t seed);

/// Writes .npy (one tensor) or safetensors to `path`, which is already a temporary file; the kind is taken from `target`.
int writeTensors(const std::string &path, const std::string &target, const std::vector<HostTensor> &tensors);

struct Summary {
  double low = 0, high = 0, mean = 0, deviation = 0;
  int64_t nonFinite = 0;
};
Summary summarise(const HostTensor &tensor);

struct Comparison {
  bool equal = true;
  int64_t differing = 0, first = -1, worst = -1;
  double worstError = 0, scale = 0;
};
/// |got - expected| <= atol + rtol * |expected|; a negative atol means 1e-5 of the largest |expected|. Shapes must agree.
Comparison compareTensors(const HostTensor &got, const HostTensor &expected, double rtol, double atol);

} // namespace weft

#endif // WEFT_TOOLS_DATA_H
