// The packed forms of parameters that kernels read (weft_view_desc), collected while kernels are chosen.
// Equal views are one; a view of a parameter with one tensor per round takes one number per round.
#ifndef WEFT_ENTRY_VIEWTABLE_H
#define WEFT_ENTRY_VIEWTABLE_H

#include "lowering/Views.h"

#include "weft/abi.h"

#include <map>
#include <string>
#include <vector>

namespace weft {

class ViewTable {
public:
  struct Source {
    int32_t tensor;
    int64_t offset, n, strideK, strideN;
  };
  struct Entry {
    weft_view_kind kind;
    weft_dtype dtype;
    int64_t k, n, nr;
    std::vector<Source> sources;
  };

  /// `panelType`: how the model has packed panels stored; kernels widen half precision as they read.
  explicit ViewTable(weft_dtype panelType) : panelType(panelType) {}

  /// Views of the next entry. `copied`: it computes with parameters as they were published, while others train them.
  void beginEntry(bool copied) { plain = copied ? WEFT_VIEW_COPY : WEFT_VIEW_PLAIN; }
  /// The number of the first round's view: parts as they are, in the type of their parameters' values.
  int addPlain(llvm::ArrayRef<ParameterPart> parts);
  /// The same for panels of `nr` columns and `k` rows, stored as `dtype`.
  int addPanels(llvm::ArrayRef<ParameterPart> parts, int64_t k, int64_t nr, weft_dtype dtype);
  /// The repeat indices that choose the round of a view with these parts (those of the parameter that has several tensors).
  mlir::ValueRange roundIndices(llvm::ArrayRef<ParameterPart> parts);
  weft_dtype panels() const { return panelType; }
  const std::vector<Entry> &entries() const { return views; }

private:
  int add(weft_view_kind kind, weft_dtype dtype, llvm::ArrayRef<ParameterPart> parts, int64_t k, int64_t nr);
  ParamOp paramOf(mlir::Value parameter);

  weft_dtype panelType;
  weft_view_kind plain = WEFT_VIEW_PLAIN;
  llvm::DenseMap<mlir::Attribute, ParamOp> params;  ///< by symbol
  std::vector<Entry> views;
  std::map<std::string, int> known;
};

}  // namespace weft

#endif  // WEFT_ENTRY_VIEWTABLE_H
