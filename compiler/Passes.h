// Declarations and registration of all passes, generated from Passes.td.
// What each pass does, and their order, stands there.
#ifndef WEFT_PASSES_H
#define WEFT_PASSES_H

#include "dialect/Weft.h"

#include "mlir/Pass/Pass.h"

namespace weft {

#define GEN_PASS_DECL
#include "Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "Passes.h.inc"

} // namespace weft

#endif // WEFT_PASSES_H
