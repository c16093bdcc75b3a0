// One line per command of `weft`: each adds its subcommand with options and examples, and sets `action` when it is chosen.
// A command lives in the file of its name.
#ifndef WEFT_TOOLS_COMMANDS_H
#define WEFT_TOOLS_COMMANDS_H

#include "Common.h"

namespace weft {

void addCheck(CLI::App &root, Action &action);
void addCompile(CLI::App &root, Action &action);
void addRun(CLI::App &root, Action &action);
void addGrad(CLI::App &root, Action &action);
void addInit(CLI::App &root, Action &action);
void addTrain(CLI::App &root, Action &action);
void addGenerate(CLI::App &root, Action &action);
void addBench(CLI::App &root, Action &action);
void addInspect(CLI::App &root, Action &action);
void addNew(CLI::App &root, Action &action);
void addView(CLI::App &root, Action &action);

} // namespace weft

#endif // WEFT_TOOLS_COMMANDS_H
