// `weft inspect`: what an object file says about itself: ABI version, hash, dims, entries, parameters, CPU variants.
// The object is linked into this process to read its descriptor; none of its code runs.
#include "Commands.h"
#include "LoadObject.h"

#include "weft/runtime.h"

#include "llvm/Object/ObjectFile.h"

namespace weft {

namespace {

struct InspectOptions {
  std::string object;
  bool json = false;
};

/// The one symbol that ends in "_weft_model"; empty and a reason if there is none.
std::string findDescriptor(const std::string &bytes, std::string &failure) {
  auto object = llvm::object::ObjectFile::createObjectFile(llvm::MemoryBufferRef(bytes, "object"));
  if (!object) {
    failure = llvm::toString(object.takeError());
    return {};
  }
  if (!(*object)->isRelocatableObject()) {
    failure = "it is a linked program or library";
    return {};
  }
  for (const llvm::object::SymbolRef &symbol : (*object)->symbols()) {
    auto name = symbol.getName();
    if (!name) {
      llvm::consumeError(name.takeError());
      continue;
    }
    if (name->ends_with("_weft_model"))
      return name->str();
  }
  failure = "it holds no model";
  return {};
}

std::string axesText(const weft_tensor_desc &tensor, const weft_entry_desc &entry) {
  std::string text = "[";
  for (int32_t i = 0; i < tensor.rank; ++i) {
    bool isFixed = tensor.dims[i] >= 0 && entry.fixed_dims[tensor.dims[i]];
    text += (i ? ", " : "") + (isFixed ? std::to_string(entry.fixed_dims[tensor.dims[i]]) : std::string(tensor.axes[i]));
  }
  return text + "] " + weft_dtype_name(tensor.dtype);
}

/// {"name", "dtype", "shape": ["B", 3]}: sizes that are fixed in this entry are numbers.
void writeTensor(JsonWriter &json, const weft_tensor_desc &tensor, const weft_entry_desc &entry) {
  json.open('{').key("name").string(tensor.name).key("dtype").string(weft_dtype_name(tensor.dtype)).key("shape").open('[');
  for (int32_t i = 0; i < tensor.rank; ++i) {
    const char *axis = tensor.axes[i];
    bool isFixed = tensor.dims[i] >= 0 && entry.fixed_dims[tensor.dims[i]], isNumber = *axis >= '0' && *axis <= '9' && !axis[std::strspn(axis, "0123456789")];
    if (isFixed || isNumber)
      json.integer(isFixed ? entry.fixed_dims[tensor.dims[i]] : std::strtoll(axis, nullptr, 10));
    else
      json.string(axis);
  }
  json.close();
  if (tensor.has_range)
    json.key("range").open('[').integer(tensor.low).integer(tensor.high).close();
  json.close();
}

void writeEntry(JsonWriter &json, const weft_model_desc &desc, const weft_entry_desc &entry) {
  json.open('{').key("name").string(entry.name).key("inputs").open('[');
  for (int32_t i = 0; i < entry.inputs; ++i)
    writeTensor(json, desc.input[entry.input_index[i]], entry);
  json.close().key("outputs").open('[');
  for (int32_t i = 0; i < entry.outputs; ++i)
    writeTensor(json, entry.output[i], entry);
  json.close().close();
}

void writeParameter(JsonWriter &json, const weft_param_desc &param) {
  json.open('{').key("name").string(param.name).key("dtype").string(weft_dtype_name(param.dtype)).key("shape").open('[');
  for (int32_t i = 0; i < param.rank; ++i)
    json.integer(param.shape[i]);
  json.close().key("file_name").string(param.file_name).close();
}

int64_t parameterBytes(const weft_model_desc &desc) {
  int64_t bytes = 0;
  for (int32_t i = 0; i < desc.params; ++i) {
    int64_t count = int64_t(weft_dtype_size(desc.param[i].dtype));
    for (int32_t axis = 0; axis < desc.param[i].rank; ++axis)
      count *= desc.param[i].shape[axis];
    bytes += count;
  }
  return bytes;
}

std::string hashText(uint64_t hash) {
  char text[24];
  std::snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(hash));
  return text;
}

/// "memory [B, S, 64] f32: prefill, then decode".
std::string keptText(const weft_model_desc &desc, int32_t kept) {
  const weft_tensor_desc &tensor = desc.kept[kept].tensor;
  std::string text = std::string(tensor.name) + " " + (desc.kept[kept].rounds > 1 ? std::to_string(desc.kept[kept].rounds) + " x " : "") + "[";
  for (int32_t i = 0; i < tensor.rank; ++i)
    text += (i ? ", " : "") + std::string(tensor.axes[i]);
  text += std::string("] ") + weft_dtype_name(tensor.dtype) + ": ";
  auto names = [&](int32_t weft_entry_desc::*count, const int32_t *weft_entry_desc::*list) {
    std::string found;
    for (int32_t e = 0; e < desc.entries; ++e)
      for (int32_t i = 0; i < desc.entry[e].*count; ++i)
        if ((desc.entry[e].*list)[i] == kept)
          found += (found.empty() ? "" : ", ") + std::string(desc.entry[e].name);
    return found;
  };
  return text + names(&weft_entry_desc::keeps, &weft_entry_desc::keep) + ", then " + names(&weft_entry_desc::recalls, &weft_entry_desc::recall);
}

void printText(const weft_model_desc &desc) {
  std::string out = std::string("model       ") + desc.name + "\nmade by     weft " + desc.compiler + ", ABI version " + std::to_string(desc.abi_version) + "\n";
  out += "hash        " + hashText(desc.hash) + "\ndims        ";
  for (int32_t i = 0; i < desc.dims; ++i)
    out += (i ? ", " : "") + std::string(desc.dim[i].name) + " " + std::to_string(desc.dim[i].min) + ".." + std::to_string(desc.dim[i].max);
  out += std::string(desc.dims ? "" : "none") + "\nparameters  " + std::to_string(desc.params) + " tensors, " + groupDigits(parameterBytes(desc)) + " bytes" +
         (desc.embedded ? ", " + groupDigits(int64_t(desc.embedded_bytes)) + " bytes embedded" : desc.weights_file ? ", from '" + escapeText(desc.weights_file) + "'" : "") + "\n";
  for (int32_t i = 0; i < desc.entries; ++i) {
    const weft_entry_desc &entry = desc.entry[i];
    out += std::string(i ? "            " : "entries     ") + entry.name + "(";
    for (int32_t k = 0; k < entry.inputs; ++k)
      out += (k ? ", " : "") + std::string(desc.input[entry.input_index[k]].name) + " " + axesText(desc.input[entry.input_index[k]], entry);
    out += ") -> ";
    for (int32_t k = 0; k < entry.outputs; ++k)
      out += (k ? ", " : "") + std::string(entry.output[k].name) + " " + axesText(entry.output[k], entry);
    out += "\n";
  }
  for (int32_t i = 0; i < desc.generates; ++i)
    out += std::string("            ") + desc.generate[i].name + ": " + desc.entry[desc.generate[i].prefill].name + ", then " + desc.entry[desc.generate[i].step].name + "\n";
  for (int32_t i = 0; i < desc.kepts; ++i)
    out += (i ? "            " : "kept        ") + keptText(desc, i) + "\n";
  for (int32_t i = 0; i < desc.variants; ++i) {
    char features[400];
    weft_cpu_features_text(desc.variant[i].features, features, sizeof(features));
    bool runs = (desc.variant[i].features & ~weft_cpu_features()) == 0;
    out += std::string(i ? "            " : "variants    ") + desc.variant[i].cpu + ": " + features + (runs ? "" : " (not on this CPU)") + "\n";
  }
  print(out);
}

void printJson(const weft_model_desc &desc) {
  JsonWriter json;
  json.open('{').key("model").string(desc.name).key("compiler").string(desc.compiler).key("abi_version").integer(desc.abi_version);
  json.key("hash").string(hashText(desc.hash)).key("dims").open('[');
  for (int32_t i = 0; i < desc.dims; ++i)
    json.open('{').key("name").string(desc.dim[i].name).key("min").integer(desc.dim[i].min).key("max").integer(desc.dim[i].max).close();
  json.close().key("parameters").open('[');
  for (int32_t i = 0; i < desc.params; ++i)
    writeParameter(json, desc.param[i]);
  json.close().key("parameter_bytes").integer(parameterBytes(desc)).key("embedded_bytes").integer(int64_t(desc.embedded_bytes));
  json.key("entries").open('[');
  for (int32_t i = 0; i < desc.entries; ++i)
    writeEntry(json, desc, desc.entry[i]);
  json.close().key("kept").open('[');
  for (int32_t i = 0; i < desc.kepts; ++i)
    json.open('{').key("name").string(desc.kept[i].tensor.name).key("rounds").integer(desc.kept[i].rounds).close();
  json.close().key("variants").open('[');
  for (int32_t i = 0; i < desc.variants; ++i) {
    char features[400];
    json.open('{').key("cpu").string(desc.variant[i].cpu).key("features").string(weft_cpu_features_text(desc.variant[i].features, features, sizeof(features))).close();
  }
  print(json.close().close().text() + "\n");
}

int inspect(const InspectOptions &options) {
  std::string bytes;
  if (int code = readFile(options.object, bytes))
    return code;
  std::string failure, symbol = findDescriptor(bytes, failure);
  if (symbol.empty())
    return fail(kInvalid, quote(options.object) + ": expected an object made by weft: " + escapeText(failure));
  std::unique_ptr<LoadedObject> loaded = LoadedObject::load(bytes, symbol, failure);
  if (!loaded)
    return fail(kInvalid, quote(options.object) + ": " + escapeText(failure));
  const weft_model_desc &desc = *loaded->descriptor();
  if (desc.magic != WEFT_ABI_MAGIC)
    return fail(kInvalid, quote(options.object) + ": expected an object made by weft but its descriptor is damaged");
  if (desc.abi_version != WEFT_ABI_VERSION)
    return fail(kUnsupported, quote(options.object) + ": expected ABI version " + std::to_string(WEFT_ABI_VERSION) + " but got " + std::to_string(desc.abi_version));
  if (options.json)
    printJson(desc);
  else
    printText(desc);
  return kOk;
}

} // namespace

void addInspect(CLI::App &root, Action &action) {
  auto options = std::make_shared<InspectOptions>();
  CLI::App *command = root.add_subcommand("inspect", "print what an object file says about itself");
  command->add_option("OBJECT", options->object, "object file made by weft compile")->required();
  command->add_flag("--json", options->json, "print one JSON object");
  command->footer("Examples:\n  weft inspect gpt2.o\n  weft inspect gpt2.o --json");
  command->callback([=, &action] { action = [=] { return inspect(*options); }; });
}

} // namespace weft
