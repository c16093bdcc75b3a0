// Linking and calling. Every buffer of a call, and the session's whole memory, stands between pages that nobody may touch;
// what is left of the last page holds a pattern that no kernel writes by chance. Outputs start filled with NaN bytes, so an
// element that was never written does not pass for a number.
#include "LoadedModel.h"

#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/TargetSelect.h"

#include <chrono>
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

namespace weft::e2e {

GuardedPages::GuardedPages(size_t bytes) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  usable = (bytes + page - 1) / page * page;
  whole = usable + 2 * page;
  void *place = mmap(nullptr, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (place == MAP_FAILED ||
      mprotect(static_cast<unsigned char *>(place) + page, usable ? usable : page, usable ? PROT_READ | PROT_WRITE : PROT_NONE) != 0)
    throw std::bad_alloc();
  begin = static_cast<unsigned char *>(place);
  first = begin + page;
}

GuardedPages::GuardedPages(GuardedPages &&other) noexcept
    : begin(std::exchange(other.begin, nullptr)), first(other.first), usable(other.usable), whole(other.whole) {}

GuardedPages::~GuardedPages() {
  if (begin)
    munmap(begin, whole);
}

namespace {

constexpr unsigned char kGuardByte = 0xA5, kUnwritten = 0xFF;

/// Memory for one tensor. It ends at the guard page behind it, or (every second one) begins one element behind the guard
/// page before it, so that a read or write past either end is a fault.
struct Buffer {
  GuardedPages pages;
  size_t offset = 0, bytes = 0;

  Buffer(size_t bytes, size_t elementBytes) : pages(bytes + elementBytes), bytes(bytes) {
    static bool atEnd = false;
    atEnd = !atEnd;
    offset = atEnd ? pages.size() - bytes : elementBytes;
    std::memset(pages.data(), kGuardByte, pages.size());
    std::memset(data(), kUnwritten, bytes);
  }
  unsigned char *data() { return pages.data() + offset; }
  bool guardsHold() {
    for (size_t i = 0; i < pages.size(); ++i)
      if ((i < offset || i >= offset + bytes) && pages.data()[i] != kGuardByte)
        return false;
    return true;
  }
};

}  // namespace

struct LoadedModel::Jit {
  std::unique_ptr<llvm::orc::LLJIT> lljit;
};

LoadedModel::LoadedModel() = default;

LoadedModel::~LoadedModel() { weft_model_close(handle); }

std::unique_ptr<LoadedModel> LoadedModel::create(const ModelDesc &desc, const CompileOptions &options, const Tensors &parameters,
                                                 std::string &error) {
  auto start = std::chrono::steady_clock::now();
  Diagnostics diagnostics;
  weft::CompiledModel object;
  if (compileModel(desc, options, object, diagnostics) != CompileResult::ok) {
    error = "compile: " + diagnostics.str();
    return nullptr;
  }
  std::unique_ptr<LoadedModel> result(new LoadedModel());
  result->milliseconds = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();

  llvm::InitializeNativeTarget();
  llvm::InitializeNativeTargetAsmPrinter();
  auto jit = llvm::orc::LLJITBuilder().create();
  if (!jit) {
    error = "link: " + llvm::toString(jit.takeError());
    return nullptr;
  }
  result->jit = std::make_unique<Jit>();
  result->jit->lljit = std::move(*jit);
  llvm::orc::LLJIT &lljit = *result->jit->lljit;
  auto process = llvm::orc::DynamicLibrarySearchGenerator::GetForCurrentProcess(lljit.getDataLayout().getGlobalPrefix());
  if (!process) {
    error = "link: " + llvm::toString(process.takeError());
    return nullptr;
  }
  lljit.getMainJITDylib().addGenerator(std::move(*process));
  if (llvm::Error problem = lljit.addObjectFile(llvm::MemoryBuffer::getMemBufferCopy(object.object, "model.o"))) {
    error = "link: " + llvm::toString(std::move(problem));
    return nullptr;
  }
  auto symbol = lljit.lookup(object.descriptorSymbol);
  if (!symbol) {
    error = "link: " + llvm::toString(symbol.takeError());
    return nullptr;
  }
  result->desc = symbol->toPtr<const weft_model_desc *>();

  weft_model_options modelOptions{};
  if (weft_model_open(result->desc, &modelOptions, &result->handle) != WEFT_OK) {
    error = std::string("open: ") + (result->handle ? weft_model_error(result->handle) : "no handle");
    return nullptr;
  }
  for (int32_t i = 0; i < result->desc->params; ++i) {
    const weft_param_desc &param = result->desc->param[i];
    auto found = parameters.find(param.name);
    if (found == parameters.end()) {
      error = std::string("no parameter '") + param.name + "'";
      return nullptr;
    }
    Tensor tensor = found->second;
    tensor.dtype = static_cast<DType>(param.dtype);
    for (double &element : tensor.reals)
      element = reference::roundTo(tensor.dtype, element);
    std::vector<char> bytes = reference::toBytes(tensor);
    if (weft_model_set(result->handle, param.name, bytes.data(), bytes.size()) != WEFT_OK) {
      error = std::string("parameter: ") + weft_model_error(result->handle);
      return nullptr;
    }
  }
  return result;
}

std::vector<int64_t> Session::dimNumbers(const std::map<std::string, int64_t> &dims) const {
  std::vector<int64_t> numbers;
  for (int32_t i = 0; i < compiled.descriptor().dims; ++i) {
    auto found = dims.find(compiled.descriptor().dim[i].name);
    numbers.push_back(found == dims.end() ? compiled.descriptor().dim[i].min : found->second);
  }
  return numbers;
}

Session::Session(const LoadedModel &model, const std::map<std::string, int64_t> &maxDims, int64_t threads, std::string &error) : compiled(model) {
  weft_session_options options{};
  options.threads = threads;
  std::vector<int64_t> numbers = dimNumbers(maxDims);
  // The session's memory ends at its guard page; it begins at a page, which is aligned enough.
  if (int64_t bytes = weft_session_bytes(model.model(), numbers.data(), &options); bytes > 0) {
    memory = std::make_unique<GuardedPages>(static_cast<size_t>(bytes));
    options.memory = memory->data() + (memory->size() - static_cast<size_t>(bytes)) / 64 * 64;
    options.memory_bytes = static_cast<size_t>(bytes);
  }
  if (weft_session_create(model.model(), numbers.data(), &options, &session) != WEFT_OK)
    error = std::string("session: ") + (session ? weft_session_error(session) : "no handle");
}

Session::~Session() { weft_session_destroy(session); }

void Session::reset() { weft_session_reset(session); }

Outcome Session::run(const std::string &entryName, const std::map<std::string, int64_t> &dims, const Tensors &inputs,
                     const std::vector<int64_t> &valid) {
  Outcome outcome;
  const weft_model_desc &model = compiled.descriptor();
  int32_t index = weft_model_entry(compiled.model(), entryName.c_str());
  if (index < 0) {
    outcome.error = "no entry '" + entryName + "' in the object";
    return outcome;
  }
  const weft_entry_desc &entry = model.entry[index];
  std::vector<int64_t> numbers = dimNumbers(dims);

  std::vector<Buffer> in;
  std::vector<const void *> inPointers;
  size_t axes = 0;
  in.reserve(entry.inputs);
  for (int32_t i = 0; i < entry.inputs; ++i) {
    const weft_tensor_desc &desc = model.input[entry.input_index[i]];
    axes += desc.rank;
    auto found = inputs.find(desc.name);
    if (found == inputs.end()) {
      inPointers.push_back(nullptr);
      continue;
    }
    Tensor tensor = found->second;
    tensor.dtype = static_cast<DType>(desc.dtype);
    std::vector<char> bytes = reference::toBytes(tensor);
    in.emplace_back(bytes.size(), reference::elementBytes(tensor.dtype));
    std::memcpy(in.back().data(), bytes.data(), bytes.size());
    inPointers.push_back(bytes.empty() ? nullptr : in.back().data());
  }
  size_t firstOutputAxis = axes;
  for (int32_t i = 0; i < entry.outputs; ++i)
    axes += entry.output[i].rank;
  std::vector<int64_t> sizes(axes + 1);
  entry.shapes(numbers.data(), sizes.data());

  std::vector<Buffer> out;
  std::vector<void *> outPointers;
  std::vector<std::vector<int64_t>> shapes;
  out.reserve(entry.outputs);
  for (int32_t i = 0; i < entry.outputs; ++i) {
    shapes.emplace_back(sizes.begin() + firstOutputAxis, sizes.begin() + firstOutputAxis + entry.output[i].rank);
    firstOutputAxis += entry.output[i].rank;
    std::optional<int64_t> count = reference::elementCount(shapes.back());
    int64_t elementBytes = reference::elementBytes(static_cast<DType>(entry.output[i].dtype));
    if (!count) {
      outcome.error = std::string("output '") + entry.output[i].name + "' has shape " + reference::shapeText(shapes.back());
      return outcome;
    }
    out.emplace_back(*count * elementBytes, elementBytes);
    outPointers.push_back(*count ? out.back().data() : nullptr);
  }

  std::vector<int32_t> realTokens(valid.begin(), valid.end());
  if (!realTokens.empty() && weft_session_set_valid(session, realTokens.data(), static_cast<int64_t>(realTokens.size())) != WEFT_OK) {
    outcome.error = std::string("valid: ") + weft_session_error(session);
    return outcome;
  }
  if (weft_session_run(session, index, numbers.data(), inPointers.data(), outPointers.data()) != WEFT_OK) {
    outcome.error = weft_session_error(session);
    return outcome;
  }
  for (Buffer &buffer : in)
    if (!buffer.guardsHold())
      outcome.error = "memory beside an input was written";
  for (int32_t i = 0; i < entry.outputs; ++i) {
    if (!out[i].guardsHold())
      outcome.error = std::string("memory beside output '") + entry.output[i].name + "' was written";
    if (entry.output[i].dtype == WEFT_BOOL)
      for (size_t byte = 0; byte < out[i].bytes; ++byte)
        if (out[i].data()[byte] > 1)
          outcome.error = std::string("output '") + entry.output[i].name + "' holds a bool that is neither 0 nor 1";
    outcome.outputs[entry.output[i].name] = *reference::fromBytes(static_cast<DType>(entry.output[i].dtype), shapes[i], out[i].data());
  }
  return outcome;
}

}  // namespace weft::e2e
