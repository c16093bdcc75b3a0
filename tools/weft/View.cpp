// `weft view`: chooses the kind of picture. Each kind lives in the file of its name.
// A picture is a file that any browser shows; nothing is opened from here.
#include "View.h"

#include "OutputFiles.h"

namespace weft {

int writePicture(const std::string &path, const std::string &svg, const std::vector<std::string> &inputs) {
  if (path == "-") {
    print(svg);
    return kOk;
  }
  if (int code = refuseInputs({path}, inputs))
    return code;
  OutputFiles files;
  std::string text = files.add(path);
  if (text.empty())
    text = files.write(path, svg);
  if (text.empty())
    text = files.commit();
  return text.empty() ? int(kOk) : fail(kFile, text);
}

void addEntryPictureOptions(CLI::App &command, EntryPictureOptions &options, const std::string &file, const std::string &sizes) {
  options.output = file;
  addCommonOptions(command, options);
  command.add_option("-o,--output", options.output, "file to write, - is standard output (default " + file + ")");
  command.add_option("--entry", options.entry, "entry to draw (default: forward)");
  addRepeated(command, "--dim", options.dims, "B=8,T=128: " + sizes + " (default: the hints)");
}

int readPicturedEntry(EntryPictureOptions &options, ModelDesc &model, Sizes &sizes, bool mayTrain) {
  if (int code = readModelOrFail(options, model))
    return code;
  if (int code = chooseEntry(model, options.entry, mayTrain))
    return code;
  if (int code = parseSizes(options.dims, model, sizes))
    return code;
  sizes = entrySizes(model, options.entry, sizes);
  return kOk;
}

void addView(CLI::App &root, Action &action) {
  CLI::App *command = root.add_subcommand("view", "pictures as SVG: attention maps, the graph before and after fusion, memory, a training log");
  command->require_subcommand(0, 1);
  for (auto add : {addViewAttention, addViewGraph, addViewMemory, addViewLog})
    add(*command, action);
  command->footer("Examples:\n  weft view attention model.json --inputs in.safetensors --node enc[3].attn -o map.svg\n  weft view log run/log.jsonl "
                  "-o curves.svg\n\n"
                  "weft view KIND --help explains a kind.");
  command->callback([command, &action] {
    if (command->get_subcommands().empty())
      action = [] { return fail(kUsage, "expected a kind of picture but got nothing", "the kinds are 'attention', 'graph', 'memory' or 'log'"); };
  });
}

} // namespace weft
