// Where an op comes from in the model file: the path of its node and the place of its text.
// Ops that passes made of several nodes carry all of them.
#ifndef WEFT_DIALECT_LOCATIONS_H
#define WEFT_DIALECT_LOCATIONS_H

#include "mlir/IR/Location.h"

#include <string>

namespace weft {

/// The node's path ("enc.q"); of a fused location the last part's that has one; "" if there is none.
std::string nodePath(mlir::Location loc);

/// The first file position found inside; null if there is none.
mlir::FileLineColLoc filePlace(mlir::Location loc);

}  // namespace weft

#endif  // WEFT_DIALECT_LOCATIONS_H
