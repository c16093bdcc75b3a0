// The pipeline is text, as mlir-opt takes it; polynomials for exp, log, tanh and erf exist only as patterns in C++.
#include "LinalgKernel.h"

#include "target/cpu/LowerToLLVM.h"

#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/Transform/IR/TransformDialect.h"
#include "mlir/Dialect/Transform/Transforms/TransformInterpreterUtils.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/TargetSelect.h"

#include <chrono>
#include <mutex>

using namespace mlir;

namespace weft {

namespace {

const char *const beforeTiling = "linalg-generalize-named-ops,canonicalize,cse";
const char *const afterTiling = "func.func(scf-for-loop-peeling),canonicalize,cse";
const char *const afterVectors =
    "canonicalize,cse,func.func(loop-invariant-subset-hoisting,loop-invariant-code-motion),canonicalize,cse,"
    "eliminate-empty-tensors,one-shot-bufferize,canonicalize,cse,"
    "func.func(buffer-loop-hoisting,promote-buffers-to-stack{max-alloc-size-in-bytes=262144}),canonicalize,cse,"
    "fold-memref-alias-ops,math-uplift-to-fma,canonicalize,cse";
const char *const toLLVM =
    "func.func(lower-vector-multi-reduction{lowering-strategy=inner-reduction},"
    "convert-vector-to-scf{full-unroll=true}),canonicalize,cse,expand-strided-metadata,lower-affine,"
    "func.func(loop-invariant-code-motion),convert-scf-to-cf,"
    "convert-vector-to-llvm{reassociate-fp-reductions=true},convert-to-llvm,reconcile-unrealized-casts,canonicalize,cse";

DialectRegistry &everyDialect() {
  static DialectRegistry registry;
  static std::once_flag once;
  std::call_once(once, [] {
    registerAllDialects(registry);
    registerAllExtensions(registry);
    registerAllPasses();
  });
  return registry;
}

double milliseconds() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// A memref of one or two dimensions, as the C interface takes it.
struct Memref {
  float *allocated, *aligned;
  int64_t offset = 0, numbers[4] = {}; ///< sizes, then strides
};

void optimizeO3(llvm::Module &module, llvm::TargetMachine &machine) {
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager components;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder builder(&machine);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(components);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, components, modules);
  builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O3).run(module, modules);
}

} // namespace

struct LinalgKernel::State {
  TargetInfo target;
  MLIRContext context{everyDialect(), MLIRContext::Threading::DISABLED};
  std::unique_ptr<llvm::orc::LLJIT> jit;
  void *function = nullptr;
  size_t objectBytes = 0;
  double mlir = 0, all = 0;

  llvm::Error passes(ModuleOp module, const char *pipeline) {
    PassManager manager(&context);
    manager.enableVerifier(false);
    if (failed(parsePassPipeline(pipeline, manager)))
      return llvm::createStringError("the pipeline does not parse");
    if (failed(manager.run(module)))
      return llvm::createStringError("a pass failed");
    return llvm::Error::success();
  }

  llvm::Error sequence(ModuleOp module, ModuleOp schedule, StringRef name) {
    auto entry = transform::detail::findTransformEntryPoint(schedule, schedule, name);
    if (!entry || failed(transform::applyTransformNamedSequence(module, entry, schedule, transform::TransformOptions())))
      return llvm::createStringError("the schedule failed at @" + name);
    return llvm::Error::success();
  }

  llvm::Error polynomials(ModuleOp module) {
    RewritePatternSet patterns(&context);
    populateMathPolynomialApproximationPatterns(patterns, MathPolynomialApproximationOptions());
    if (failed(applyPatternsGreedily(module, std::move(patterns))))
      return llvm::createStringError("the polynomials failed");
    return llvm::Error::success();
  }

  llvm::Error lower(ModuleOp module, ModuleOp schedule) {
    if (llvm::Error error = passes(module, beforeTiling))
      return error;
    if (llvm::Error error = sequence(module, schedule, "tile"))
      return error;
    if (llvm::Error error = passes(module, afterTiling))
      return error;
    if (llvm::Error error = sequence(module, schedule, "vectorize"))
      return error;
    if (llvm::Error error = passes(module, afterVectors))
      return error;
    if (llvm::Error error = polynomials(module))
      return error;
    return passes(module, toLLVM);
  }

  llvm::Error link(ArrayRef<char> object) {
    llvm::InitializeNativeTarget();
    auto created = llvm::orc::LLJITBuilder().create();
    if (!created)
      return created.takeError();
    jit = std::move(*created);
    auto buffer = llvm::MemoryBuffer::getMemBufferCopy({object.data(), object.size()}, "linalg.o");
    if (llvm::Error error = jit->addObjectFile(std::move(buffer)))
      return error;
    auto found = jit->lookup("_mlir_ciface_linalg");
    if (!found)
      return found.takeError();
    function = found->toPtr<void *>();
    return llvm::Error::success();
  }
};

LinalgKernel::LinalgKernel(const TargetInfo &target) : state(std::make_unique<State>()) { state->target = target; }
LinalgKernel::~LinalgKernel() = default;
size_t LinalgKernel::objectBytes() const { return state->objectBytes; }
double LinalgKernel::mlirMilliseconds() const { return state->mlir; }
double LinalgKernel::milliseconds() const { return state->all; }

llvm::Error LinalgKernel::compile(const std::string &source, const std::string &schedule, LlvmLevel level) {
  auto module = parseSourceString<ModuleOp>(source, &state->context);
  auto script = parseSourceString<ModuleOp>(schedule, &state->context);
  if (!module || !script)
    return llvm::createStringError("the source or the schedule does not parse");
  double start = weft::milliseconds();
  if (llvm::Error error = state->lower(*module, *script))
    return error;
  state->mlir = weft::milliseconds() - start;
  auto machine = createTargetMachine(state->target);
  if (!machine)
    return machine.takeError();
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> translated = translateToLLVMIR(*module, context, state->target, **machine);
  if (!translated)
    return llvm::createStringError("the kernel could not be translated");
  if (level == LlvmLevel::O3)
    optimizeO3(*translated, **machine);
  else
    optimizeModule(*translated, **machine);
  auto object = emitObject(*translated, **machine);
  if (!object)
    return object.takeError();
  state->objectBytes = object->size();
  llvm::Error error = state->link(*object);
  state->all = weft::milliseconds() - start;
  return error;
}

void LinalgKernel::run(llvm::ArrayRef<float *> operands, llvm::ArrayRef<bool> isRow, int64_t begin, int64_t end,
                       int64_t columns) const {
  Memref memrefs[5];
  for (size_t i = 0; i < operands.size(); ++i) {
    float *data = operands[i] + (isRow[i] ? 0 : begin * columns);
    memrefs[i] = isRow[i] ? Memref{data, data, 0, {columns, 1}} : Memref{data, data, 0, {end - begin, columns, columns, 1}};
  }
  Memref *m = memrefs;
  switch (operands.size()) {
  case 2:
    return reinterpret_cast<void (*)(Memref *, Memref *)>(state->function)(m, m + 1);
  case 3:
    return reinterpret_cast<void (*)(Memref *, Memref *, Memref *)>(state->function)(m, m + 1, m + 2);
  case 5:
    return reinterpret_cast<void (*)(Memref *, Memref *, Memref *, Memref *, Memref *)>(state->function)(
        m, m + 1, m + 2, m + 3, m + 4);
  default:
    llvm::report_fatal_error("no call for this number of operands");
  }
}

} // namespace weft
