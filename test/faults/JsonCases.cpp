// Wrong model files: exit code, and every line that is said, with its place, pointer and hint; nothing more may be said.
// Usage: json_cases FILE.cases…; the bases stand in the folder of the table.
#include "CaseFile.h"

#include "import/ReadModel.h"

#include <cstdio>
#include <cstdlib>

using namespace weft;
using namespace weft::test;

namespace {

/// "set KEY=VALUE" and "limit NAME=N" lines.
ReadOptions optionsOf(const Case &next) {
  ReadOptions options;
  for (const std::string &line : next.options) {
    size_t space = line.find(' '), equals = line.find('=');
    std::string what = line.substr(0, space), key = line.substr(space + 1, equals - space - 1), value = line.substr(equals + 1);
    if (what == "set")
      options.sets.emplace_back(key, value);
    else if (what != "limit" || !options.limits.set(key, std::strtoull(value.c_str(), nullptr, 10)))
      std::fprintf(stderr, "case '%s': unknown option '%s'\n", next.name.c_str(), line.c_str()), std::exit(2);
  }
  return options;
}

std::vector<std::string> sayingsOf(const std::string &text, const ReadOptions &options) {
  SourceText source;
  source.file = "m.json";
  source.text = text;
  Diagnostics diagnostics;
  bool good = readModel(std::move(source), options, diagnostics).has_value();
  std::vector<std::string> said = {"exit " + std::to_string(diagnostics.exitCode())};
  if (good == diagnostics.hasErrors())
    said.push_back("> a model and errors, or neither");
  for (const Diagnostic &next : diagnostics.sorted()) {
    if (said.size() > Diagnostics::kShown) { // as the command line
      said.push_back("> " + std::to_string(diagnostics.sorted().size() - Diagnostics::kShown) + " more");
      break;
    }
    said.push_back("> " + std::to_string(next.pos.line) + ":" + std::to_string(next.pos.column) + " " +
                   escapeText(next.pos.pointer) + ": " + (next.warning ? "warning: " : "") + escapeText(next.text) +
                   (next.hint.empty() ? "" : " (" + escapeText(next.hint) + ")"));
  }
  return said;
}

} // namespace

int main(int argc, char **argv) {
  bool write = std::getenv("WEFT_WRITE_CASES") != nullptr;
  int passed = 0, failed = 0, wrong = 0;
  for (int i = 1; i < argc; ++i) {
    std::string path = argv[i], folder = path.substr(0, path.rfind('/'));
    std::vector<std::vector<std::string>> all;
    for (const Case &next : readCases(path)) {
      all.push_back(sayingsOf(inputOf(next, folder), optionsOf(next)));
      wrong += all.back()[0] != "exit 0";
      bool good = write || checkCase(next, all.back());
      ++(good ? passed : failed);
    }
    if (write)
      writeExpected(path, all);
  }
  std::printf("count: malformed models (JSON) = %d\n", wrong);
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed != 0;
}
