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

/// Writes a picture, whole or not at all, to `path`, or to standard output for "-". Errors are printed; kOk or an exit code.
int writePicture(const std::string &path, const std::string &svg, const std::vector<std::string> &inputs);

} // namespace weft

#endif // WEFT_TOOLS_VIEW_H
