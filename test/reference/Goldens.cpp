// Reads golden.json with the project's own JSON reader.
// Settings go the way of the command line's --set, as text.
#include "Goldens.h"

#include "import/ReadJson.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

namespace weft::reference {
namespace {

namespace fs = std::filesystem;

std::string shared() {
  const char *folder = std::getenv("WEFT_SHARED");
  return folder ? folder : "";
}

}  // namespace

std::vector<std::string> goldenNames() {
  std::vector<std::string> names;
  std::error_code ignored;
  if (!shared().empty())
    for (const fs::directory_entry &entry : fs::directory_iterator(shared() + "/data/goldens", ignored))
      if (fs::exists(entry.path() / "golden.json"))
        names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::optional<Golden> readGolden(const std::string &name, std::string &error) {
  std::string folder = shared() + "/data/goldens/" + name + "/";
  Diagnostics diagnostics;
  Limits limits;
  std::optional<SourceText> text = readTextFile(folder + "golden.json", limits, diagnostics);
  std::optional<JsonDocument> json = text ? readJson(*text, limits, diagnostics) : std::nullopt;
  const JsonValue *root = json ? json->root() : nullptr;
  const JsonValue *model = root ? root->find("model") : nullptr, *entry = root ? root->find("entry") : nullptr;
  if (!model || !entry) {
    error = diagnostics.hasErrors() ? diagnostics.str() : "golden.json needs 'model' and 'entry'";
    return std::nullopt;
  }
  std::string weights = folder + "weights.safetensors";
  if (!fs::exists(weights)) {
    const char *elsewhere = std::getenv("WEFT_MINILM");
    if (!elsewhere)
      return std::nullopt;
    weights = elsewhere;
  }
  ReadOptions options;
  if (const JsonValue *sets = root->find("set"))
    for (const JsonMember &member : sets->members)
      options.sets.emplace_back(member.key, member.value->kind == JsonValue::Kind::boolean ? member.value->truth ? "true" : "false" : member.value->text);
  std::optional<ModelDesc> desc = readModelFile(shared() + "/design/format/" + model->text, options, diagnostics);
  if (!desc) {
    error = diagnostics.str();
    return std::nullopt;
  }
  Golden golden{name, entry->text, std::move(*desc), {}, {}, {}};
  std::optional<Tensors> inputs = readTensors(folder + "inputs.safetensors", error), expected = readTensors(folder + "expected.safetensors", error);
  std::optional<Tensors> file = readTensors(weights, error);
  if (!inputs || !expected || !file)
    return std::nullopt;
  std::optional<Tensors> parameters = parametersOf(golden.model, *file, error);
  if (!parameters)
    return std::nullopt;
  golden.inputs = std::move(*inputs);
  golden.expected = std::move(*expected);
  golden.parameters = std::move(*parameters);
  return golden;
}

}  // namespace weft::reference
