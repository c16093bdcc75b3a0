// What inference and verifiers share: shapes as text in messages, element types, reductions.
// Private to this room.
#ifndef WEFT_DIALECT_OPRULES_H
#define WEFT_DIALECT_OPRULES_H

#include "dialect/Weft.h"

namespace weft::rules {

/// "[B, T, 8]"
inline std::string text(llvm::ArrayRef<DimExpr> shape) {
  std::string out = "[";
  for (size_t i = 0; i < shape.size(); ++i)
    out += (i ? ", " : "") + shape[i].str();
  return out + "]";
}

inline mlir::Type elementOf(mlir::Value v) { return mlir::cast<mlir::RankedTensorType>(v.getType()).getElementType(); }

/// `round` of random numbers is an expression over the repeats' indices, and has a `site`.
inline mlir::LogicalResult verifyRound(mlir::Operation *op, std::optional<uint64_t> site, std::optional<llvm::StringRef> round) {
  if (round && (!site || !DimExpr::parse(round->str())))
    return op->emitOpError() << "expected a round that is an expression, together with a site, but got '" << *round << "'";
  return mlir::success();
}

} // namespace weft::rules

#endif // WEFT_DIALECT_OPRULES_H
