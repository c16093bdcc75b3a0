// A module of kernels, compiled to an object in memory and linked into this process.
#include "target/cpu/KernelJit.h"

#include "target/cpu/LowerToLLVM.h"

#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/TargetSelect.h"

#include <cstdlib>

using namespace mlir;

namespace weft {

struct KernelJit::State {
  TargetInfo target;
  MLIRContext context{MLIRContext::Threading::DISABLED};
  OwningOpRef<ModuleOp> module;
  std::unique_ptr<llvm::orc::LLJIT> jit;
  llvm::StringMap<JitKernel> kernels;
  size_t objectBytes = 0;
};

void JitKernel::run(const void *args, int64_t parts) const {
  int64_t count = tasks(args);
  void *scratch = std::aligned_alloc(64, (scratchBytes + 127) / 64 * 64);
  for (int64_t part = 0; part < parts; ++part)
    function(args, count * part / parts, count * (part + 1) / parts, scratch);
  std::free(scratch);
}

KernelJit::KernelJit(const TargetInfo &target) : state(std::make_unique<State>()) {
  state->target = target;
  state->context
      .loadDialect<arith::ArithDialect, func::FuncDialect, LLVM::LLVMDialect, scf::SCFDialect, vector::VectorDialect>();
  state->module = ModuleOp::create(UnknownLoc::get(&state->context));
}

KernelJit::~KernelJit() = default;

ModuleOp KernelJit::module() { return *state->module; }
const TargetInfo &KernelJit::target() const { return state->target; }
size_t KernelJit::objectBytes() const { return state->objectBytes; }

void KernelJit::add(const EmittedKernel &kernel, int slots) {
  OpBuilder b(&state->context);
  b.setInsertionPointToEnd(state->module->getBody());
  Location loc = b.getUnknownLoc();
  func::FuncOp function = kernel.func;
  std::string name = function.getName().str();
  Type ptr = LLVM::LLVMPointerType::get(&state->context), i64 = b.getI64Type();
  auto count = func::FuncOp::create(b, loc, name + "_tasks", b.getFunctionType({ptr}, {i64}));
  b.setInsertionPointToStart(count.addEntryBlock());
  SmallVector<Value> values;
  for (int slot = 0; slot < slots; ++slot) {
    Value at = LLVM::GEPOp::create(b, loc, ptr, i64, count.getArgument(0), ArrayRef<LLVM::GEPArg>{slot});
    values.push_back(LLVM::LoadOp::create(b, loc, i64, at));
  }
  func::ReturnOp::create(b, loc, kernel.tasks(b, loc, values));
  state->kernels[name].scratchBytes = kernel.scratchBytes;
}

llvm::Error KernelJit::compile() {
  if (failed(lowerKernelsToLLVM(*state->module, state->target)))
    return llvm::createStringError("the kernels could not be lowered");
  auto machine = createTargetMachine(state->target);
  if (!machine)
    return machine.takeError();
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> module = translateToLLVMIR(*state->module, context, state->target, **machine);
  if (!module)
    return llvm::createStringError("the kernels could not be translated");
  optimizeModule(*module, **machine);
  auto object = emitObject(*module, **machine);
  if (!object)
    return object.takeError();
  state->objectBytes = object->size();

  llvm::InitializeNativeTarget();
  auto jit = llvm::orc::LLJITBuilder().create();
  if (!jit)
    return jit.takeError();
  state->jit = std::move(*jit);
  auto buffer = llvm::MemoryBuffer::getMemBufferCopy({object->data(), object->size()}, "kernels.o");
  if (llvm::Error error = state->jit->addObjectFile(std::move(buffer)))
    return error;
  for (auto &entry : state->kernels) {
    auto function = state->jit->lookup(entry.getKey());
    if (!function)
      return function.takeError();
    auto tasks = state->jit->lookup((entry.getKey() + "_tasks").str());
    if (!tasks)
      return tasks.takeError();
    entry.getValue().function = function->toPtr<weft_kernel_fn>();
    entry.getValue().tasks = tasks->toPtr<int64_t (*)(const void *)>();
  }
  return llvm::Error::success();
}

JitKernel KernelJit::get(llvm::StringRef name) const { return state->kernels.lookup(name); }

} // namespace weft
