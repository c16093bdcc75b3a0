// `weft init`: freshly drawn weights by the model's own rules, as a safetensors file under the names that loading reads.
// The same seed gives the same bytes everywhere.
#include "Commands.h"
#include "OutputFiles.h"
#include "Runner.h"

namespace weft {

namespace {

struct InitOptions : CommonOptions {
  std::string save;
};

int init(const InitOptions &options) {
  Runner runner;
  if (int code = runner.read(options))
    return code;
  if (int code = refuseInputs(options, {options.save}, {}))
    return code;
  if (options.save.size() > 4 && options.save.compare(options.save.size() - 4, 4, ".npy") == 0)
    return fail(kUsage, "expected a safetensors file but got " + quote(options.save), "a .npy file holds one array; name the file .safetensors");
  OutputFiles files;
  std::string text = files.add(options.save);
  if (!text.empty())
    return fail(kFile, text);
  if (int code = runner.compile(options, CompileOptions()))
    return code;
  WeightsChoice weights;
  weights.initSeed = options.seed;
  if (int code = runner.open(options, weights, true))
    return code;
  weft_status status = weft_model_save(runner.handle, files.temporary(options.save).c_str());
  if (status != WEFT_OK)
    return fail(exitCodeOf(status), weft_model_error(runner.handle));
  text = files.commit();
  if (!text.empty())
    return fail(kFile, text);
  int64_t bytes = 0;
  for (const ParamTensor &tensor : runner.model.tensors) {
    int64_t count = 1;
    for (int64_t size : tensor.shape)
      count *= size;
    bytes += count * int64_t(dtypeBytes(tensor.dtype));
  }
  if (options.json) {
    JsonWriter json;
    json.open('{').key("path").string(options.save).key("tensors").integer(int64_t(runner.model.tensors.size()));
    print(json.key("bytes").integer(bytes).key("seed").integer(int64_t(options.seed)).close().text() + "\n");
  } else if (!options.quiet) {
    print("wrote " + escapeText(options.save) + ": " + std::to_string(runner.model.tensors.size()) + " tensors, " + groupDigits(bytes) + " bytes of weights, seed " +
          std::to_string(options.seed) + "\n");
  }
  return kOk;
}

} // namespace

void addInit(CLI::App &root, Action &action) {
  auto options = std::make_shared<InitOptions>();
  CLI::App *command = root.add_subcommand("init", "write freshly initialised weights");
  addCommonOptions(*command, *options);
  command->add_option("--save", options->save, "safetensors file to write")->required();
  command->footer("Examples:\n  weft init gpt2.json --save gpt2.safetensors\n  weft init gpt2.json --save small.safetensors --set layers=2 --seed 7");
  command->callback([=, &action] { action = [=] { return init(*options); }; });
}

} // namespace weft
