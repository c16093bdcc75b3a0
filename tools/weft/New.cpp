// `weft new`: a folder with a model, an application, a CMake project and a page, which builds and runs as it is.
// The files are those of tools/weft/new with the project's name put in; they are part of the program.
#include "Commands.h"
#include "OutputFiles.h"

#include "import/OpTable.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

namespace weft {

namespace {

struct NewOptions {
  std::string name, folder, kind = "mlp";
  bool quiet = false;
};

struct TemplateFile {
  const char *name, *text;
};
const TemplateFile kFiles[] = {
#include "New.inc"
};

constexpr const char *kSchema = "weft-1.schema.json"; ///< what an editor completes the model with

const std::vector<std::string> kTemplates = {"gpt", "encoder", "mlp"};

/// The file of the program, with the project's name in place of @NAME@.
std::string instantiate(const std::string &file, const std::string &name) {
  if (file == kSchema)
    return schemaText();
  auto found = std::find_if(std::begin(kFiles), std::end(kFiles), [&](const TemplateFile &one) { return file == one.name; });
  std::string text = found->text;
  const std::string mark = "@NAME@";
  for (size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at + name.size()))
    text.replace(at, mark.size(), name);
  return text;
}

bool isName(const std::string &name) {
  auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  return !name.empty() && name.size() <= 64 && letter(name[0]) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

bool isEmptyFolder(const std::string &path) {
  DIR *folder = opendir(path.c_str());
  int entries = 0;
  while (folder && readdir(folder))
    ++entries;
  if (folder)
    closedir(folder);
  return entries == 2; // . and ..
}

int create(NewOptions options) {
  if (!isName(options.name))
    return fail(kUsage, "expected a name of letters, digits and _ but got " + quote(options.name), "it names the model, the program and C functions");
  if (std::find(kTemplates.begin(), kTemplates.end(), options.kind) == kTemplates.end()) {
    std::string hint = didYouMean(options.kind, kTemplates);
    return fail(kUsage, "expected a template but got " + quote(options.kind), hint.empty() ? "the templates are " + listWords(kTemplates) : hint);
  }
  if (options.folder.empty())
    options.folder = options.name;
  bool made = mkdir(options.folder.c_str(), 0777) == 0;
  if (!made && errno != EEXIST)
    return fail(kFile, "can't make the folder " + quote(options.folder) + ": " + std::strerror(errno));
  if (!made && !isEmptyFolder(options.folder))
    return fail(kFile, "folder " + quote(options.folder) + " exists and is not empty", "nothing was written");
  const std::pair<std::string, std::string> files[] = {{options.name + ".json", options.kind + ".json"},
                                                       {"main.c", options.kind + ".c"},
                                                       {"CMakeLists.txt", "CMakeLists.txt.in"},
                                                       {"README.md", "README.md.in"},
                                                       {kSchema, kSchema}};
  std::string failure;
  {
    OutputFiles outputs;
    for (const auto &[file, source] : files) {
      std::string path = options.folder + "/" + file;
      if (failure.empty())
        failure = outputs.add(path);
      if (failure.empty())
        failure = outputs.write(path, instantiate(source, options.name));
    }
    if (failure.empty())
      failure = outputs.commit();
  }
  if (!failure.empty()) {
    if (made)
      rmdir(options.folder.c_str());
    return fail(kFile, failure);
  }
  if (!options.quiet) {
    std::string out = "wrote       ";
    for (const auto &[file, source] : files)
      out += (file == files[0].first ? "" : ", ") + escapeText(options.folder + "/" + file);
    print(out + "\nbuild       cmake -S " + escapeText(options.folder) + " -B " + escapeText(options.folder) + "/build && cmake --build " +
          escapeText(options.folder) + "/build\n");
  }
  return kOk;
}

} // namespace

void addNew(CLI::App &root, Action &action) {
  auto options = std::make_shared<NewOptions>();
  CLI::App *command = root.add_subcommand("new", "a folder with a model, an application in C, a CMake project and a README");
  command->add_option("NAME", options->name, "name of the model and of the program")->required();
  command->add_option("DIR", options->folder, "folder to make (default: NAME)");
  command->add_option("--template", options->kind, "gpt (text), encoder (classes of token sequences) or mlp (classes of rows; default)");
  command->add_flag("-q,--quiet", options->quiet, "print errors only");
  command->footer("Examples:\n  weft new reviews --template encoder\n  weft new speaker --template gpt work/speaker");
  command->callback([=, &action] { action = [=] { return create(*options); }; });
}

} // namespace weft
