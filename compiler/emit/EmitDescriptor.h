// The weft_model_desc of a generated object, as constants of its LLVM module.
// Layout follows abi.h; sizes are compared with the C structs when the module is made.
#ifndef WEFT_EMIT_EMITDESCRIPTOR_H
#define WEFT_EMIT_EMITDESCRIPTOR_H

#include "entry/ViewTable.h"
#include "import/ModelDesc.h"

#include "llvm/IR/Module.h"

namespace weft {

/// One compiled entry: what the model says of it, and the functions that every variant has for it.
struct DescribedEntry {
  const EntryDesc *entry = nullptr;
  std::vector<std::string> inputs;                        ///< names, in argument order
  std::vector<std::pair<std::string, TensorType>> outputs; ///< names and types, in result order
  int buffers = 0;
  std::vector<int> keeps, recalls;                        ///< numbers of kept values
  std::string shapes;                                     ///< symbol, taken from the first variant
  std::string tokenDim, batchDim;                         ///< dims that bound states grow by and count sequences with; empty: none
};

/// A tensor that training changes, in the order of the gradient memory.
struct TrainedTensor {
  int tensor = 0, output = 0;   ///< of the model; of the training entry, which has its gradient there
  bool decays = false;
};

struct DescribedTraining {
  std::string entry, eval;
  int weight = -1, labels = -1, correct = -1; ///< outputs of both entries; of `eval`
  std::vector<TrainedTensor> tensors;
  std::string tokensInput;      ///< may be empty
};

/// A value that some entries keep and others recall.
struct DescribedKept {
  std::string name;
  TensorType type;                                        ///< of one round
  int64_t rounds = 1;
};

struct DescribedVariant {
  std::string cpu;
  uint64_t features = 0;
  const ViewTable *views = nullptr;
  std::vector<std::string> run, plan;                     ///< symbols, by entry
  std::string update, norm, add;                          ///< symbols; empty without training
};

struct DescriptorInput {
  const ModelDesc *model = nullptr;
  std::string prefix;
  uint64_t hash = 0;
  std::vector<DescribedKept> kept;
  std::string keptShapes;                                 ///< symbol; empty if nothing is kept
  std::vector<DescribedEntry> entries;
  std::vector<DescribedVariant> variants;
  std::optional<DescribedTraining> training;
  std::vector<std::string> sites; ///< weft_site_desc::table
  std::string embedded;                                   ///< bytes of a safetensors file, or empty
};

/// Adds PREFIX_weft_model (weft_model_desc) and PREFIX_weft_id_HASH (char) to `module`; the only external symbols of the
/// object. Returns false if a struct's layout differs from abi.h.
bool emitDescriptor(llvm::Module &module, const DescriptorInput &input);

}  // namespace weft

#endif  // WEFT_EMIT_EMITDESCRIPTOR_H
