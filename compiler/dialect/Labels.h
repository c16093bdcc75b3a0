// The labels of a cross entropy: which are ignored, and what each counts.
// Makers of IR for passes that write the loss, or numbers about it.
#ifndef WEFT_DIALECT_LABELS_H
#define WEFT_DIALECT_LABELS_H

#include "dialect/Weft.h"

#include "mlir/IR/Builders.h"

namespace weft {

/// What a cross entropy and its gradient say of labels.
struct Labels {
  template <class Op> Labels(Op op) : loc(op.getLoc()), labels(op.getLabels()), classWeights(op.getClassWeights()), ignoreIndex(op.getIgnoreIndex()) {}
  mlir::Location loc;
  mlir::Value labels, classWeights;
  int64_t ignoreIndex;
};

/// Bool `[…]` of the labels' shape; null: no label of their type can be the ignored one.
mlir::Value ignoredLabels(mlir::OpBuilder &b, const Labels &y);
/// The labels with 0 in place of ignored ones: valid indices of classes.
mlir::Value labelIndices(mlir::OpBuilder &b, const Labels &y);
/// 1 for a label that counts, 0 for one that is ignored; `[…]` of float type f.
mlir::Value countedLabels(mlir::OpBuilder &b, const Labels &y, mlir::Type f);
/// The same with the weight of the label's class in place of 1.
mlir::Value labelWeights(mlir::OpBuilder &b, const Labels &y, mlir::Type f);
/// False: every label has weight 1.
bool isAnyLabelLighter(const Labels &y);

} // namespace weft

#endif // WEFT_DIALECT_LABELS_H
