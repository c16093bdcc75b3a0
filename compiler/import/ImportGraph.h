// ModelDesc → a module of weft ops: declarations of dims, parameters and states, and one function for each entry.
// A node of the file is one op, but for what README.md of dialect/ lists; every op carries the place of its node in the file.
#ifndef WEFT_IMPORT_IMPORTGRAPH_H
#define WEFT_IMPORT_IMPORTGRAPH_H

#include "import/Diagnostics.h"
#include "import/ModelDesc.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace weft {

/// Entries to import by name; each must exist. Those of mode train or grad have the loss as their first result, named
/// "loss", then their outputs; their nodes are the graph's and those of `train`, with dropout.
/// Returns null after diagnostics.error.
/// Functions have arguments named `weft.name` (inputs that the entry needs, in the model's order), results likewise,
/// and the attributes `weft.entry` (unit), `weft.mode` ("train" or "grad"; none: infer), `weft.states` (symbols bound), `weft.fixed` (dim → size),
/// `weft.prefills` (of a step that has something to keep: symbols of entries, which may not be among those imported).
mlir::OwningOpRef<mlir::ModuleOp> importGraph(const ModelDesc &model, const std::vector<std::string> &entries,
                                              mlir::MLIRContext &context, Diagnostics &diagnostics);

/// The site of a node's random numbers, by its path: another place in the file leaves the numbers as they are.
uint32_t randomSite(llvm::StringRef path);

}  // namespace weft

#endif  // WEFT_IMPORT_IMPORTGRAPH_H
