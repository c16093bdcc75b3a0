// Files that a command reads are none that it writes: what was read is lost otherwise, and so is what was written first when
// two outputs have one name.
#include "Common.h"
#include "OutputFiles.h"

#include <fstream>
#include <nlohmann/json.hpp>

namespace weft {

/// The files that an index of shards names, beside it; none of anything else. Whether the index is right is for its reader to say.
static std::vector<std::string> shardsOf(const std::string &path) {
  std::vector<std::string> shards;
  if (path.size() < 5 || path.compare(path.size() - 5, 5, ".json") != 0)
    return shards;
  std::ifstream stream(path, std::ios::binary);
  const nlohmann::json index = nlohmann::json::parse(stream, nullptr, /*allow_exceptions=*/false);
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object())
    return shards;
  const std::string folder = path.substr(0, path.rfind('/') + 1);
  std::string last;
  for (const auto &[tensor, file] : index["weight_map"].items())
    if (file.is_string() && file.get_ref<const std::string &>() != last)
      shards.push_back(folder + (last = file.get<std::string>()));
  return shards;
}

int refuseInputs(const std::vector<std::string> &outputs, const std::vector<std::string> &inputs) {
  std::vector<std::string> read;
  for (const std::string &output : outputs) {
    if (output.empty())
      continue;
    if (read.empty())
      for (const std::string &input : inputs)
        if (!input.empty()) {
          read.push_back(input);
          for (std::string &shard : shardsOf(input))
            read.push_back(std::move(shard));
        }
    for (const std::string &input : read)
      if (sameFile(output, input))
        return fail(kUsage, "output " + quote(output) + " is an input file");
    for (const std::string &other : outputs)
      if (&other != &output && sameFile(output, other))
        return fail(kUsage, "expected outputs in files of their own but got " + quote(output) + " twice");
  }
  return kOk;
}

int refuseInputs(const CommonOptions &options, const std::vector<std::string> &outputs, const std::vector<std::string> &inputs) {
  for (const std::string &output : outputs)
    if (!output.empty() && sameFile(output, options.model))
      return fail(kUsage, "output " + quote(output) + " is the model file itself");
  return refuseInputs(outputs, inputs);
}

std::vector<std::string> withWeightFiles(const CommonOptions &options, const ModelDesc &model, std::vector<std::string> files, const std::vector<std::string> &more) {
  files.insert(files.end(), more.begin(), more.end());
  for (const std::string &file : model.weightFiles)
    files.push_back(besideModel(options, file));
  return files;
}

} // namespace weft
