// Fuzz target: a model file, and if it is good every entry of it as IR, verified. Corpus: test/faults/corpus/graph.
// Inputs are models with few bytes changed; libMLIR and the dialect are not instrumented, reader and importer are.
#include "dialect/Weft.h"
#include "import/ImportGraph.h"
#include "import/ReadModel.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/MLIRContext.h"

using namespace weft;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  SourceText source;
  source.file = "m.json";
  source.text.assign(reinterpret_cast<const char *>(data), size);
  ReadOptions options;
  options.limits.nodes = 200;
  options.limits.rounds = 50;
  options.limits.tensors = 200;
  Diagnostics diagnostics;
  std::optional<ModelDesc> model = readModel(std::move(source), options, diagnostics);
  if (!model)
    return 0;
  // A context keeps every attribute it has seen, so that a new one is made now and then.
  static std::unique_ptr<mlir::MLIRContext> context;
  static int uses = 0;
  if (uses++ % 200 == 0) {
    context = std::make_unique<mlir::MLIRContext>(mlir::MLIRContext::Threading::DISABLED);
    context->loadDialect<WeftDialect, mlir::func::FuncDialect, mlir::arith::ArithDialect>();
  }
  std::vector<std::string> entries;
  for (const EntryDesc &entry : model->entries)
    if (entry.mode == EntryDesc::Mode::infer)
      entries.push_back(entry.name);
  mlir::OwningOpRef<mlir::ModuleOp> module = importGraph(*model, entries, *context, diagnostics);
  // importGraph verifies; what the reader accepts, it must accept too.
  if (!module || diagnostics.hasErrors()) {
    fprintf(stderr, "broken promise: a good model gives good IR\n%s", diagnostics.str().c_str());
    abort();
  }
  return 0;
}
