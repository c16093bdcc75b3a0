// ORC links the object in memory; what it leaves undefined (memcpy and the like) comes from this process.
// No code is generated here, so the JIT's own compiler is never asked.
#include "LoadObject.h"

#include "llvm/ExecutionEngine/Orc/ExecutionUtils.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/Object/ObjectFile.h"
#include "llvm/Support/TargetSelect.h"

#include <algorithm>
#include <map>
#include <vector>

namespace weft {

struct LoadedObject::Impl {
  std::unique_ptr<llvm::orc::LLJIT> jit;
  std::map<uint64_t, std::string> functions; ///< address in this process to name
};

namespace {

/// Offsets of the functions in the object's code section.
std::map<uint64_t, std::string> functionOffsets(const std::string &bytes) {
  std::map<uint64_t, std::string> offsets;
  auto object = llvm::object::ObjectFile::createObjectFile(llvm::MemoryBufferRef(bytes, "model.o"));
  if (!object) {
    llvm::consumeError(object.takeError());
    return offsets;
  }
  for (const llvm::object::SymbolRef &symbol : (*object)->symbols()) {
    auto type = symbol.getType();
    auto name = symbol.getName();
    auto offset = symbol.getValue();
    bool good = type && name && offset && *type == llvm::object::SymbolRef::ST_Function;
    if (good)
      offsets[*offset] = name->str();
    if (!type) llvm::consumeError(type.takeError());
    if (!name) llvm::consumeError(name.takeError());
    if (!offset) llvm::consumeError(offset.takeError());
  }
  return offsets;
}

/// The functions are local symbols, which the linker forgets. Where their section lies follows from the addresses that
/// the descriptor holds: only one base puts all of them on functions.
std::map<uint64_t, std::string> locate(const std::map<uint64_t, std::string> &offsets, const weft_model_desc &desc) {
  std::vector<uint64_t> known;
  for (int32_t v = 0; v < desc.variants; ++v)
    for (int32_t e = 0; e < desc.entries; ++e) {
      known.push_back(reinterpret_cast<uint64_t>(desc.variant[v].entry[e]));
      known.push_back(reinterpret_cast<uint64_t>(desc.variant[v].plan[e]));
    }
  for (const auto &candidate : offsets) {
    if (known.empty())
      break;
    uint64_t base = known.front() - candidate.first;
    bool fits = std::all_of(known.begin(), known.end(), [&](uint64_t address) { return offsets.count(address - base); });
    if (!fits)
      continue;
    std::map<uint64_t, std::string> functions;
    for (const auto &[offset, name] : offsets)
      functions[base + offset] = name;
    return functions;
  }
  return {};
}

} // namespace

std::string LoadedObject::functionAt(const void *address) const {
  auto found = impl->functions.find(reinterpret_cast<uint64_t>(address));
  return found == impl->functions.end() ? std::string() : found->second;
}

LoadedObject::LoadedObject() : impl(std::make_unique<Impl>()) {}
LoadedObject::~LoadedObject() = default;

std::unique_ptr<LoadedObject> LoadedObject::load(const std::string &object, const std::string &descriptorSymbol, std::string &failure) {
  llvm::InitializeNativeTarget();
  llvm::InitializeNativeTargetAsmPrinter();
  auto fail = [&](llvm::Error error) {
    failure = llvm::toString(std::move(error));
    return nullptr;
  };
  std::unique_ptr<LoadedObject> loaded(new LoadedObject);
  auto jit = llvm::orc::LLJITBuilder().create();
  if (!jit)
    return fail(jit.takeError());
  loaded->impl->jit = std::move(*jit);
  llvm::orc::LLJIT &linker = *loaded->impl->jit;
  auto process = llvm::orc::DynamicLibrarySearchGenerator::GetForCurrentProcess(linker.getDataLayout().getGlobalPrefix());
  if (!process)
    return fail(process.takeError());
  linker.getMainJITDylib().addGenerator(std::move(*process));
  if (llvm::Error error = linker.addObjectFile(llvm::MemoryBuffer::getMemBufferCopy(object, "model.o")))
    return fail(std::move(error));
  auto symbol = linker.lookup(descriptorSymbol);
  if (!symbol)
    return fail(symbol.takeError());
  loaded->desc = symbol->toPtr<const weft_model_desc *>();
  if (loaded->desc->magic == WEFT_ABI_MAGIC && loaded->desc->abi_version == WEFT_ABI_VERSION)
    loaded->impl->functions = locate(functionOffsets(object), *loaded->desc);
  return loaded;
}

} // namespace weft
