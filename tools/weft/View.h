// The kinds of pictures of `weft view`: each adds its subcommand, as Commands.h does for commands, and what they share.
#ifndef WEFT_TOOLS_VIEW_H
#define WEFT_TOOLS_VIEW_H

#include "Commands.h"
#include "Svg.h"

namespace weft {

void addViewAttention(CLI::App &view, Action &action);
void addViewGraph(CLI::App &view, Action &action);
void addViewMemory(CLI::App &view, Action &action);
void addViewLog(CLI::App &view, Action &action);

/// Options of a picture of one entry at some sizes.
struct EntryPictureOptions : CommonOptions {
  std::vector<std::string> dims;
  std::string output, entry;
};
/// `file`: where the picture goes without -o; `sizes`: what --dim gives.
void addEntryPictureOptions(CLI::App &command, EntryPictureOptions &options, const std::string &file, const std::string &sizes);
/// The model, with `options.entry` chosen, and the entry's sizes. Errors are printed; kOk or an exit code.
int readPicturedEntry(EntryPictureOptions &options, ModelDesc &model, Sizes &sizes, bool mayTrain = false);

/// Writes a picture, whole or not at all, to `path`, or to standard output for "-". Errors are printed; kOk or an exit code.
int writePicture(const std::string &path, const std::string &svg, const std::vector<std::string> &inputs);

} // namespace weft

#endif // WEFT_TOOLS_VIEW_H
