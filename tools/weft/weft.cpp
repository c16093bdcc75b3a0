// The command line of Weft: `weft COMMAND ARGS [OPTIONS]`. Chooses the command, explains wrong usage, reports the version.
// What a command does stands in the file of its name.
#include "Commands.h"
#include "Signals.h"

#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/TargetParser/Host.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

using namespace weft;

namespace {

/// Commands of later versions: named, so that nobody looks for a typing error.
const char *const kLaterCommands[] = {"import"};

const char kFooter[] = "Examples:\n"
                       "  weft check model.json\n"
                       "  weft compile model.json -o build/model\n\n"
                       "weft COMMAND --help explains a command. Exit codes: 0 ok, 1 model or data wrong, 2 usage, 3 file,\n"
                       "4 memory or limit, 5 not supported here, 70 internal error.";

std::string versionText() {
  std::string text = "weft " WEFT_VERSION " (LLVM " LLVM_VERSION_STRING ")\n";
  text += "host CPU: " + llvm::sys::getHostCPUName().str() + "\n";
  std::vector<std::string> features;
  for (const auto &feature : llvm::sys::getHostCPUFeatures())
    if (feature.second)
      features.push_back(feature.first().str());
  std::sort(features.begin(), features.end());
  std::string line = "features:";
  for (const std::string &feature : features) {
    if (line.size() + 1 + feature.size() > 100) {
      text += line + "\n";
      line = "         ";
    }
    line += " " + feature;
  }
  return text + line + "\n";
}

std::vector<std::string> optionNames(const CLI::App &command) {
  std::vector<std::string> names;
  for (const CLI::Option *option : command.get_options()) {
    for (const std::string &name : option->get_lnames())
      names.push_back("--" + name);
    for (const std::string &name : option->get_snames())
      names.push_back("-" + name);
  }
  return names;
}

std::vector<std::string> commandNames(const CLI::App &command) {
  std::vector<std::string> names;
  for (const CLI::App *one : command.get_subcommands({}))
    names.push_back(one->get_name());
  return names;
}

/// The command that was chosen, or the kind of it: "view attention".
const CLI::App &chosenCommand(const CLI::App &root) {
  const CLI::App *command = &root;
  while (!command->get_subcommands().empty())
    command = command->get_subcommands().front();
  return *command;
}

/// "weft view attention"
std::string fullName(const CLI::App *command) {
  return command->get_parent() ? fullName(command->get_parent()) + " " + command->get_name() : command->get_name();
}

/// "--entry a --entry b" of a command line with `--entry a b`, where `extra` is b.
std::string repetitionHint(const CLI::App &command, int argc, char **argv, const std::string &extra) {
  for (int i = 3; i < argc; ++i)
    if (const CLI::Option *option = argv[i] == extra && argv[i - 2][0] == '-' ? command.get_option_no_throw(argv[i - 2]) : nullptr;
        option && option->get_multi_option_policy() == CLI::MultiOptionPolicy::TakeAll)
      return "one value each time: " + escapeText(std::string(argv[i - 2]) + " " + argv[i - 1] + " " + argv[i - 2] + " " + extra);
  return "";
}

int usageError(const CLI::App &root, const CLI::ParseError &error, int argc, char **argv) {
  const CLI::App *command = &chosenCommand(root);
  std::string text = error.what(), hint;
  if (dynamic_cast<const CLI::ExtrasError *>(&error)) {
    std::vector<std::string> extra = command->remaining(true);
    std::string word = extra.empty() ? "" : extra.front();
    std::string name = word.substr(0, word.find('='));
    text = !name.empty() && name[0] == '-' && name.size() > 1 ? "unknown option " + quote(name) : "unexpected argument " + quote(word);
    if (!name.empty() && name[0] == '-')
      hint = didYouMean(name, optionNames(*command));
    else
      hint = didYouMean(word, commandNames(*command));
    if (hint.empty())
      hint = repetitionHint(*command, argc, argv, word);
  } else if (auto *missing = dynamic_cast<const CLI::RequiredError *>(&error)) {
    text = missing->what();
    size_t is = text.find(" is required");
    if (is != std::string::npos)
      text = "expected " + text.substr(0, is) + " but got nothing";
  }
  while (!text.empty() && (text.back() == '.' || text.back() == '\n'))
    text.pop_back();
  return fail(kUsage, escapeText(text), hint.empty() ? "'" + fullName(command) + " --help' lists the options" : hint);
}

int unknownCommand(const CLI::App &root, const std::string &word) {
  for (const char *later : kLaterCommands)
    if (word == later)
      return fail(kUnsupported, "command " + quote(word) + " is not in this version of weft");
  std::vector<std::string> names = commandNames(root);
  std::string hint = didYouMean(word, names);
  return fail(kUsage, "expected a command but got " + quote(word), hint.empty() ? "the commands are " + listWords(names) : hint);
}

int finish(int code) {
  if ((std::fflush(stdout) != 0 || std::ferror(stdout)) && code == kOk)
    return fail(kFile, std::string("can't write standard output: ") + std::strerror(errno));
  return code;
}

} // namespace

int main(int argc, char **argv) {
  installSignalHandlers(argc, argv);
  CLI::App root("Weft compiles a model written as a JSON graph to an object file and a C header.", "weft");
  root.footer(kFooter);
  root.require_subcommand(0, 1);
  bool version = false;
  root.add_flag("--version", version, "version, LLVM version, host CPU and its features");
  Action action;
  for (auto add : {addCheck, addCompile, addRun, addGrad, addInit, addTrain, addGenerate, addBench, addInspect, addNew, addView})
    add(root, action);

  if (argc > 1 && argv[1][0] != '-') {
    auto commands = root.get_subcommands({});
    if (std::none_of(commands.begin(), commands.end(), [&](const CLI::App *command) { return command->get_name() == argv[1]; }))
      return unknownCommand(root, argv[1]);
  }
  try {
    root.parse(argc, argv);
  } catch (const CLI::CallForHelp &) {
    const CLI::App &shown = chosenCommand(root);
    print(shown.help(&shown == &root ? "" : fullName(shown.get_parent())));
    return finish(kOk);
  } catch (const CLI::ParseError &error) {
    return usageError(root, error, argc, argv);
  }
  if (version) {
    print(versionText());
    return finish(kOk);
  }
  if (!action) {
    std::fputs(root.help().c_str(), stderr);
    return kUsage;
  }
  return finish(action());
}
