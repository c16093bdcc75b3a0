// `weft compile`: PREFIX.o and PREFIX.h, or other forms of the model, and what a user needs to link them.
// All files of one call appear together or not at all.
#include "Commands.h"
#include "OutputFiles.h"
#include "Weights.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <algorithm>
#include <cstring>
#include <sys/stat.h>

namespace weft {

namespace {

struct CompileCommand : CommonOptions {
  std::string prefix, stopAfter, saveTemps, weights;
  std::vector<std::string> entries, emit, printIrAfter;
  bool time = false, explain = false, embedWeights = false;
};

struct Form {
  const char *name, *ending;
};
const Form kForms[] = {{"obj", ".o"}, {"header", ".h"}, {"ir", ".mlir"}, {"llvm", ".ll"}, {"asm", ".s"}};

std::vector<std::string> stageNames() {
  std::vector<std::string> names;
  for (const StageInfo &info : stages())
    names.emplace_back(info.name);
  return names;
}

int parseStage(const std::string &option, const std::string &text, Stage &stage) {
  std::optional<Stage> found = stageByName(text);
  if (!found) {
    std::string hint = didYouMean(text, stageNames());
    return fail(kUsage, "expected a stage for " + option + " but got " + quote(text), hint.empty() ? "the stages are " + listWords(stageNames()) : hint);
  }
  stage = *found;
  return kOk;
}

/// The forms asked for; obj and header without --emit.
int parseForms(const CompileCommand &options, std::vector<Form> &forms) {
  std::vector<std::string> words, known = {"ptx"};
  for (const Form &form : kForms)
    known.push_back(form.name);
  for (const std::string &text : options.emit)
    for (const std::string &word : splitList(text))
      words.push_back(word);
  if (options.emit.empty())
    words = {"obj", "header"};
  if (words.empty())
    return fail(kUsage, "expected a form for --emit but got nothing", "the forms are " + listWords(known));
  for (const std::string &word : words) {
    if (word == "ptx")
      return fail(kUnsupported, "'ptx' needs a GPU target, and this version compiles for CPUs");
    const Form *found = nullptr;
    for (const Form &form : kForms)
      if (word == form.name)
        found = &form;
    if (!found) {
      std::string hint = didYouMean(word, known);
      return fail(kUsage, "expected a form for --emit but got " + quote(word), hint.empty() ? "the forms are " + listWords(known) : hint);
    }
    if (std::none_of(forms.begin(), forms.end(), [&](const Form &form) { return form.name == found->name; }))
      forms.push_back(*found);
  }
  return kOk;
}

const std::string &bytesOf(const CompiledModel &compiled, const Form &form) {
  static const std::string nothing;
  switch (form.ending[1]) {
  case 'o': return compiled.object;
  case 'h': return compiled.header;
  case 'l': return compiled.llvmIr;
  case 's': return compiled.assembly;
  default: {
    auto found = compiled.printedIr.find(Stage::fusion);
    return found == compiled.printedIr.end() ? nothing : found->second;
  }
  }
}

/// Where the runtime's header folder and library are: beside an installed weft, or in the build folder.
std::pair<std::string, std::string> runtimeFiles() {
  std::string program = llvm::sys::fs::getMainExecutable(nullptr, reinterpret_cast<void *>(&runtimeFiles));
  std::string folder = llvm::sys::path::parent_path(program).str();
  std::string include = folder + "/../include", library = folder + "/../lib/libweft_runtime.a";
  if (llvm::sys::fs::exists(library) && llvm::sys::fs::exists(include + "/weft/runtime.h"))
    return {include, library};
  return {WEFT_SOURCE_INCLUDE, folder + "/../../runtime/libweft_runtime.a"};
}

std::string shellWord(const std::string &text) {
  bool plain = !text.empty() && text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./+=@%,:") == std::string::npos;
  if (plain)
    return text;
  std::string out = "'";
  for (char c : text)
    out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string linkLine(const std::string &prefix) {
  auto [include, library] = runtimeFiles();
  llvm::SmallString<256> shortInclude(include), shortLibrary(library);
  llvm::sys::path::remove_dots(shortInclude, true);
  llvm::sys::path::remove_dots(shortLibrary, true);
  // The program includes the header by its name alone.
  const std::string folder = llvm::sys::path::parent_path(prefix).str();
  const std::string here = folder.empty() || folder == "." ? "" : " -I" + shellWord(folder);
  return "cc -I" + shellWord(shortInclude.str().str()) + here + " main.c " + shellWord(prefix + ".o") + " " + shellWord(shortLibrary.str().str()) + " -lm -lpthread -o app";
}

std::string nodesText(const std::vector<std::string> &nodes) {
  std::string text;
  for (const std::string &node : nodes)
    text += (text.empty() ? "" : " + ") + node;
  return text;
}

void printExplanation(const ModelDesc &model, const CompiledModel &compiled) {
  Sizes hints;
  for (const DimDesc &dim : model.dims)
    hints[dim.name] = dim.hint;
  for (const EntryInfo &entry : compiled.entries) {
    Sizes sizes = entrySizes(model, entry.name, hints);
    print("kernels of " + entry.name + (sizes.empty() ? "" : " at " + sizesText(sizes)) + "\n");
    for (const KernelInfo &kernel : compiled.kernels) {
      if (kernel.entry != entry.name)
        continue;
      auto flops = kernel.flops.evaluate(sizes), bytes = kernel.bytes.evaluate(sizes), rounds = kernel.rounds.evaluate(sizes);
      std::string line = "  " + kernel.kind + "  " + nodesText(kernel.nodes);
      line += "\n      " + std::string(kernel.tiles.empty() ? "" : "tiles " + kernel.tiles + ", ");
      line += (flops ? flopText(double(*flops)) : kernel.flops.str() + " FLOP") + ", " + (bytes ? byteText(double(*bytes)) : kernel.bytes.str() + " bytes");
      line += " per launch" + (rounds && *rounds != 1 ? ", " + std::to_string(*rounds) + " launches" : std::string()) + "\n";
      print(line);
    }
  }
  if (!compiled.sites.empty())
    print("indices that are checked when they are used\n");
  for (const SiteInfo &site : compiled.sites)
    print("  into " + site.table + "  " + site.node + " (" + site.place + ")\n");
}

struct Totals {
  int64_t parameters = 0, bytes = 0;
};

Totals parameterTotals(const ModelDesc &model) {
  Totals totals;
  for (const ParamTensor &tensor : model.tensors) {
    int64_t count = 1;
    for (int64_t size : tensor.shape)
      count *= size;
    totals.parameters += count;
    totals.bytes += count * int64_t(dtypeBytes(tensor.dtype));
  }
  return totals;
}

void printResult(const CompileCommand &options, const ModelDesc &model, const CompiledModel &compiled, const std::vector<Form> &forms) {
  Sizes hints;
  for (const DimDesc &dim : model.dims)
    hints[dim.name] = dim.hint;
  Totals totals = parameterTotals(model);
  bool linkable = std::any_of(forms.begin(), forms.end(), [](const Form &form) { return form.ending[1] == 'o'; });
  if (options.json) {
    JsonWriter json;
    json.open('{').key("model").string(model.name).key("files").open('[');
    for (const Form &form : forms)
      json.open('{').key("path").string(options.prefix + form.ending).key("bytes").integer(int64_t(bytesOf(compiled, form).size())).close();
    json.close().key("entries").open('[');
    for (const EntryInfo &entry : compiled.entries) {
      json.open('{').key("name").string(entry.name).key("arena_bytes");
      json.integer(compiled.arenaBytes(entry.name, entrySizes(model, entry.name, hints)).value_or(-1)).close();
    }
    json.close().key("parameters").integer(totals.parameters).key("parameter_bytes").integer(totals.bytes);
    json.key("stage_ms").open('{');
    for (const StageInfo &info : stages())
      if (auto found = compiled.stageMs.find(info.stage); found != compiled.stageMs.end())
        json.key(info.name).number(found->second);
    json.close();
    if (linkable)
      json.key("link").string(linkLine(options.prefix));
    print(json.close().text() + "\n");
    return;
  }
  std::string out = "wrote       ";
  for (const Form &form : forms)
    out += (&form == &forms.front() ? "" : ", ") + escapeText(options.prefix) + form.ending + " (" + groupDigits(int64_t(bytesOf(compiled, form).size())) + " bytes)";
  out += "\ndims        ";
  for (const DimDesc &dim : model.dims)
    out += (&dim == &model.dims.front() ? "" : ", ") + dim.name + " " + std::to_string(dim.min) + ".." + std::to_string(dim.max);
  out += std::string(model.dims.empty() ? "none" : "") + "\nparameters  " + groupDigits(totals.parameters) + " in " + std::to_string(model.tensors.size()) +
         " tensors, " + groupDigits(totals.bytes) + " bytes" + (options.embedWeights ? ", in the object" : "") + "\n";
  const char *title = "arena       ";
  for (const EntryInfo &entry : compiled.entries) {
    Sizes sizes = entrySizes(model, entry.name, hints);
    auto bytes = compiled.arenaBytes(entry.name, sizes);
    out += title + entry.name + ": " + (bytes ? groupDigits(*bytes) + " bytes" : "out of range") + (sizes.empty() ? "" : " at " + sizesText(sizes)) + "\n";
    title = "            ";
  }
  if (linkable)
    out += "link        " + linkLine(options.prefix) + "\n";
  print(out);
}

int writeTemporaries(const CompileCommand &options, const CompiledModel &compiled) {
  if (mkdir(options.saveTemps.c_str(), 0777) != 0 && errno != EEXIST)
    return fail(kFile, "can't make the folder " + quote(options.saveTemps) + ": " + strerror(errno));
  OutputFiles files;
  int number = 0;
  auto save = [&](const std::string &name, const std::string &bytes) {
    std::string path = options.saveTemps + "/" + name, text = files.add(path);
    return text.empty() ? files.write(path, bytes) : text;
  };
  std::string failure;
  for (const StageInfo &info : stages()) {
    ++number;
    auto found = compiled.printedIr.find(info.stage);
    if (found != compiled.printedIr.end() && failure.empty())
      failure = save(std::to_string(number) + "-" + std::string(info.name) + ".mlir", found->second);
  }
  if (failure.empty() && !compiled.llvmIr.empty())
    failure = save("model.ll", compiled.llvmIr);
  if (failure.empty() && !compiled.assembly.empty())
    failure = save("model.s", compiled.assembly);
  if (failure.empty())
    failure = files.commit();
  return failure.empty() ? int(kOk) : fail(kFile, failure);
}

int compile(CompileCommand options) {
  std::vector<Form> forms;
  CompileOptions compile;
  if (int code = parseForms(options, forms))
    return code;
  if (!options.stopAfter.empty()) {
    Stage stage;
    if (int code = parseStage("--stop-after", options.stopAfter, stage))
      return code;
    compile.stopAfter = stage;
  }
  for (const std::string &text : options.printIrAfter)
    for (const std::string &word : splitList(text)) {
      Stage stage;
      if (int code = parseStage("--print-ir-after", word, stage))
        return code;
      compile.printIrAfter.insert(stage);
    }
  std::set<Stage> asked = compile.printIrAfter;
  ModelDesc model;
  if (int code = readModelOrFail(options, model))
    return code;

  for (std::string name : options.entries) {
    bool generates = std::any_of(model.generates.begin(), model.generates.end(), [&](const GenerateDesc &generate) { return generate.name == name; });
    if (!generates)
      if (int code = chooseEntry(model, name, /*mayTrain=*/true))
        return code;
    compile.entries.push_back(name);
  }
  for (const Form &form : forms) {
    compile.wantLlvm |= form.ending == std::string(".ll");
    compile.wantAssembly |= form.ending == std::string(".s");
    if (form.ending == std::string(".mlir"))
      compile.printIrAfter.insert(Stage::fusion);
  }
  if (!options.saveTemps.empty()) {
    compile.wantLlvm = compile.wantAssembly = true;
    for (const StageInfo &info : stages())
      compile.printIrAfter.insert(info.stage);
  }
  for (const Form &form : forms) // the name of one of the files in place of what they have in common
    if (llvm::StringRef prefix = options.prefix, name = llvm::sys::path::filename(prefix); name.size() > std::strlen(form.ending) && name.ends_with(form.ending)) {
      options.prefix = prefix.drop_back(std::strlen(form.ending)).str();
      break;
    }
  if (options.prefix.empty()) {
    options.prefix = model.name;
    std::replace(options.prefix.begin(), options.prefix.end(), '/', '_');
  }

  // Targets are made ready before the long work, so that a folder without permission costs no time.
  OutputFiles files;
  std::vector<std::string> embedded = {options.weights};
  if (options.embedWeights && options.weights.empty())
    embedded = withWeightFiles(options, model, {}, {});
  if (!compile.stopAfter)
    for (const Form &form : forms) {
      std::string path = options.prefix + form.ending;
      if (int code = refuseInputs(options, {path}, embedded))
        return code;
      std::string text = files.add(path);
      if (!text.empty())
        return fail(kFile, text);
    }
  if (options.embedWeights)
    if (int code = readEmbeddedWeights(options, model, options.weights, compile.embeddedWeights))
      return code;

  CompiledModel compiled;
  if (int code = compileOrFail(options, model, compile, compiled))
    return code;
  for (const StageInfo &info : stages())
    if (asked.count(info.stage) && compiled.printedIr.count(info.stage))
      std::fprintf(stderr, "// IR after %s\n%s\n", std::string(info.name).c_str(), compiled.printedIr[info.stage].c_str());
  if (options.time)
    for (const StageInfo &info : stages())
      if (auto found = compiled.stageMs.find(info.stage); found != compiled.stageMs.end())
        std::fprintf(stderr, "%-10s %9.1f ms\n", std::string(info.name).c_str(), found->second);
  if (!options.saveTemps.empty())
    if (int code = writeTemporaries(options, compiled))
      return code;
  if (compile.stopAfter) {
    print(compiled.ir);
    return kOk;
  }

  for (const Form &form : forms) {
    std::string text = files.write(options.prefix + form.ending, bytesOf(compiled, form));
    if (!text.empty())
      return fail(kFile, text);
  }
  std::string text = files.commit();
  if (!text.empty())
    return fail(kFile, text);
  if (options.explain)
    printExplanation(model, compiled);
  if (!options.quiet || options.json)
    printResult(options, model, compiled, forms);
  return kOk;
}

} // namespace

void addCompile(CLI::App &root, Action &action) {
  auto options = std::make_shared<CompileCommand>();
  CLI::App *command = root.add_subcommand("compile", "write PREFIX.o and PREFIX.h");
  addCommonOptions(*command, *options);
  command->add_option("-o,--output", options->prefix, "PREFIX of the files, or the name of one, as PREFIX.o (default: the model's name, in this folder)");
  addRepeated(*command, "--entry", options->entries, "only this entry (repeatable; default: all that run)");
  addRepeated(*command, "--emit", options->emit, "obj,header,ir,llvm,asm (default obj,header)");
  command->add_option("--stop-after", options->stopAfter, "stop after this stage and print its IR");
  addRepeated(*command, "--print-ir-after", options->printIrAfter, "also print the IR after this stage");
  command->add_option("--save-temps", options->saveTemps, "folder for the IR after each stage, LLVM IR and assembly");
  command->add_flag("--time", options->time, "print the time of each stage");
  command->add_flag("--explain", options->explain, "print which nodes became which kernel");
  command->add_flag("--embed-weights", options->embedWeights, "put the weights into the object");
  command->add_option("--weights", options->weights, "with --embed-weights: a file instead of the model's")->needs("--embed-weights");
  command->footer("Examples:\n  weft compile gpt2.json -o build/gpt2 --explain\n  weft compile gpt2.json --entry decode --stop-after fusion");
  command->callback([=, &action] { action = [=] { return compile(*options); }; });
}

} // namespace weft
