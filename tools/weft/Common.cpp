// The shared steps print their own errors, so that a command reads as a list of steps that either go on or return a code.
// Model errors look as the importer prints them; everything else starts with "weft: error:".
#include "Common.h"

#include "OutputFiles.h"

#include "Signals.h"

#include "import/ReadJson.h"
#include "import/ReadModel.h"
#include "target/cpu/CpuTargets.h"

#include "llvm/ADT/bit.h"

#include <algorithm>
#include <charconv>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <map>
#include <set>

namespace weft {

void addCommonOptions(CLI::App &command, CommonOptions &options) {
  command.add_option("MODEL", options.model, "model file; - is standard input")->required();
  addRepeated(command, "--set", options.sets, "KEY=VALUE: replace a config value (repeatable)");
  addRepeated(command, "--limit", options.limits, "NAME=N: change a limit on files, memory or the object (repeatable)");
  command.add_option("--threads", options.threads, "threads to use (default: all cores)")->check(CLI::Range(1, 4096));
  command.add_option("--seed", options.seed, "seed of random numbers (default 0)")->check(checkSeed);
  command.add_option("--cpu", options.cpu, "host, or names as clang's -march, one variant each (default host)");
  command.add_option("--target", options.target, "cpu (default)");
  command.add_flag("--json", options.json, "print one JSON object");
  command.add_flag("-q,--quiet", options.quiet, "print errors only");
  command.add_flag("-v,--verbose", options.verbose, "print more about what is done");
}

std::string checkSeed(const std::string &text) {
  uint64_t seed = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seed);
  bool good = error == std::errc() && end == text.data() + text.size();
  return good ? "" : "expected 0..18446744073709551615 but got " + text;
}

CLI::Option *addRepeated(CLI::App &command, const std::string &names, std::vector<std::string> &values, const std::string &text) {
  const bool said = text.find("repeatable") != std::string::npos;
  // One value each time: without expected(1) the help shows "TEXT ...".
  return command.add_option(names, values, said ? text : text + " (repeatable)")->allow_extra_args(false)->type_name("TEXT")->expected(1)->take_all();
}

static HeldErrors *held = nullptr;

HeldErrors::HeldErrors() { held = this; }
HeldErrors::~HeldErrors() { held = nullptr; }

int fail(ExitCode code, const std::string &text, const std::string &hint) {
  if (held) {
    if (held->text.empty())
      held->text = text;
    return code;
  }
  std::string message = "weft: error: " + text + "\n";
  if (!hint.empty())
    message += "  hint: " + hint + "\n";
  std::fflush(stdout);
  std::fputs(message.c_str(), stderr);
  return code;
}

void note(const CommonOptions &options, const std::string &text) {
  if (options.quiet)
    return;
  std::fflush(stdout); // lines in the order in which they were printed, on a terminal
  std::fprintf(stderr, "%s\n", text.c_str());
}

void print(const std::string &text) { std::fwrite(text.data(), 1, text.size(), stdout); }

static int report(const CommonOptions &options, const Diagnostics &diagnostics) {
  for (const Diagnostic &diagnostic : held ? diagnostics.sorted() : std::vector<Diagnostic>())
    if (!diagnostic.warning)
      return fail(ExitCode(diagnostics.exitCode()), diagnostic.text);
  if (options.json && diagnostics.hasErrors())
    print("{\"diagnostics\": " + diagnostics.json() + "}\n");
  std::string text = diagnostics.str();
  if (diagnostics.hasErrors() || !options.quiet)
    std::fputs(text.c_str(), stderr);
  return diagnostics.exitCode();
}

/// `--limit NAME=N`. kOk or kUsage.
static int readLimit(const std::string &text, Limits &limits) {
  size_t equals = text.find('=');
  std::string name = text.substr(0, equals), value = equals == std::string::npos ? "" : text.substr(equals + 1);
  std::vector<std::string> names = Limits::names();
  if (name.empty() || value.empty())
    return fail(kUsage, "expected --limit NAME=N but got " + quote(text), "the limits are " + listWords(names));
  if (std::find(names.begin(), names.end(), name) == names.end()) {
    std::string hint = didYouMean(name, names);
    return fail(kUsage, "expected a limit but got " + quote(name), hint.empty() ? "the limits are " + listWords(names) : hint);
  }
  uint64_t number = 0;
  auto [end, problem] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (problem != std::errc() || end != value.data() + value.size() || !limits.set(name, number))
    return fail(kUsage, "limit " + quote(name) + ": expected 1.." + std::to_string(Limits::most(name)) + " but got " + quote(value));
  return kOk;
}

int readFile(const std::string &path, std::string &bytes) {
  std::FILE *stream = std::fopen(path.c_str(), "rb");
  if (!stream)
    return fail(kFile, "can't read " + quote(path) + ": " + std::strerror(errno));
  char part[1 << 16];
  for (size_t got; (got = std::fread(part, 1, sizeof(part), stream)) > 0;)
    bytes.append(part, got);
  const int error = std::ferror(stream) ? errno : 0;
  std::fclose(stream);
  return error ? fail(kFile, "can't read " + quote(path) + ": " + std::strerror(error)) : int(kOk);
}

Limits limitsOf(const CommonOptions &options) {
  Limits limits;
  for (const std::string &text : options.limits)
    if (size_t equals = text.find('='); equals != std::string::npos)
      limits.set(text.substr(0, equals), std::strtoull(text.c_str() + equals + 1, nullptr, 10));
  return limits;
}

int readModelOrFail(const CommonOptions &options, ModelDesc &model) {
  ReadOptions reading;
  for (const std::string &limit : options.limits)
    if (int code = readLimit(limit, reading.limits))
      return code;
  for (const std::string &set : options.sets) {
    size_t equals = set.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == set.size())
      return fail(kUsage, "expected --set KEY=VALUE but got " + quote(set));
    reading.sets.emplace_back(set.substr(0, equals), set.substr(equals + 1));
  }
  Diagnostics diagnostics;
  std::optional<SourceText> source = readTextFile(options.model, reading.limits, diagnostics);
  if (!source)
    return report(options, diagnostics);
  std::string name = options.model.substr(options.model.rfind('/') + 1);
  setReproducer(name == "-" ? "model.json" : name, source->text);
  std::optional<ModelDesc> read = readModel(std::move(*source), reading, diagnostics);
  if (int code = report(options, diagnostics))
    return code;
  if (!read)
    internalError("reading failed without an error");
  model = std::move(*read);
  return kOk;
}

int compileOrFail(const CommonOptions &common, const ModelDesc &model, CompileOptions options, CompiledModel &compiled) {
  if (common.target != "cpu") {
    std::string family = common.target.substr(0, common.target.find(':'));
    if (family == "cuda")
      return fail(kUnsupported, "target " + quote(common.target) + " is not in this version; expected 'cpu'");
    return fail(kUnsupported, "expected a target 'cpu' but got " + quote(common.target), didYouMean(family, {"cpu"}));
  }
  options.cpus = splitList(common.cpu);
  if (options.cpus.empty())
    return fail(kUsage, "expected a CPU but got " + quote(common.cpu));
  std::map<std::string, int> instructions;
  for (const std::string &name : options.cpus) {
    llvm::Expected<CpuTarget> cpu = cpuTarget(name);
    if (!cpu)
      return fail(kUnsupported, escapeText(llvm::toString(cpu.takeError())), "names are those of clang's -march and -mcpu");
    instructions[name] = llvm::popcount(cpu->required);
  }
  // The first that runs is taken: one that runs wherever the next does would hide it.
  std::stable_sort(options.cpus.begin(), options.cpus.end(), [&](const std::string &a, const std::string &b) { return instructions[a] > instructions[b]; });
  options.limits = limitsOf(common);
  Diagnostics diagnostics;
  diagnostics.setFile(model.file);
  CompileResult result = compileModel(model, options, compiled, diagnostics);
  report(common, diagnostics);
  switch (result) {
  case CompileResult::ok: return kOk;
  case CompileResult::invalid: return kInvalid;
  case CompileResult::unsupported: return kUnsupported;
  case CompileResult::limit: return kLimit;
  case CompileResult::internal: break;
  }
  internalError("the compiler refused its own IR");
}

static std::vector<std::string> dimNames(const ModelDesc &model) {
  std::vector<std::string> names;
  for (const DimDesc &dim : model.dims)
    names.push_back(dim.name);
  return names;
}

int parseSizes(const std::vector<std::string> &texts, const ModelDesc &model, Sizes &sizes) {
  for (const DimDesc &dim : model.dims)
    sizes[dim.name] = dim.hint;
  std::set<std::string> seen;
  for (const std::string &text : texts) {
    for (const std::string &part : splitList(text)) {
      size_t equals = part.find('=');
      std::string name = part.substr(0, equals), value = equals == std::string::npos ? "" : part.substr(equals + 1);
      char *end = nullptr;
      errno = 0;
      long long size = std::strtoll(value.c_str(), &end, 10);
      if (name.empty() || value.empty() || *end != 0 || errno != 0)
        return fail(kUsage, "expected --dim NAME=SIZE but got " + quote(part));
      const DimDesc *found = nullptr;
      for (const DimDesc &dim : model.dims)
        if (dim.name == name)
          found = &dim;
      if (!found) {
        std::string hint = didYouMean(name, dimNames(model));
        if (hint.empty())
          hint = model.dims.empty() ? "this model has no dims" : "the model's dims are " + listWords(dimNames(model));
        return fail(kUsage, "expected a dim of the model but got " + quote(name), hint);
      }
      if (!seen.insert(name).second)
        return fail(kUsage, "dim " + quote(name) + " is given twice");
      if (size < found->min || size > found->max)
        return fail(kUsage, "dim " + quote(name) + ": expected " + std::to_string(found->min) + ".." + std::to_string(found->max) + " but got " + value);
      if (found->multipleOf > 1 && size % found->multipleOf != 0)
        return fail(kUsage, "dim " + quote(name) + ": expected a multiple of " + std::to_string(found->multipleOf) + " but got " + value);
      sizes[name] = size;
    }
  }
  return kOk;
}

Sizes entrySizes(const ModelDesc &model, const std::string &entry, Sizes sizes) {
  for (const EntryDesc &candidate : model.entries)
    if (candidate.name == entry)
      for (const auto &[name, value] : candidate.fixedDims)
        sizes[name] = value;
  return sizes;
}

int chooseEntry(const ModelDesc &model, std::string &name, bool mayTrain) {
  using Mode = EntryDesc::Mode;
  std::vector<std::string> names;
  for (const EntryDesc &entry : model.entries) {
    if (entry.mode == Mode::infer || entry.mode == Mode::grad || (entry.mode == Mode::train && mayTrain))
      names.push_back(entry.name);
    else if (entry.name == name)
      return fail(kUsage, "entry " + quote(name) + " trains", "weft train runs it, weft bench times it");
  }
  for (const GenerateDesc &generate : model.generates)
    if (generate.name == name)
      return fail(kUsage, "entry " + quote(name) + " generates tokens", "weft generate runs it");
  if (name.empty())
    name = names.size() == 1 ? names[0] : "forward";
  if (std::find(names.begin(), names.end(), name) != names.end())
    return kOk;
  std::string hint = didYouMean(name, names);
  return fail(kUsage, "expected an entry of the model but got " + quote(name), hint.empty() && !names.empty() ? "the entries are " + listWords(names) : hint);
}

bool hasEmptyPart(const std::string &text) { return text.find(",,") != std::string::npos || text.front() == ',' || text.back() == ','; }

CLI::Validator notNegative() {
  return CLI::Validator([](std::string &text) { return text.find('-') == 0 || std::isnan(std::strtod(text.c_str(), nullptr)) ? "expected 0 or more but got " + text : std::string(); }, "NONNEGATIVE");
}

std::vector<std::string> splitList(const std::string &text, char separator) {
  std::vector<std::string> parts;
  size_t start = 0;
  while (start <= text.size()) {
    size_t end = std::min(text.find(separator, start), text.size());
    if (end > start)
      parts.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  return parts;
}

std::string besideModel(const CommonOptions &options, const std::string &path) {
  size_t slash = options.model.rfind('/');
  if (path.empty() || path[0] == '/' || slash == std::string::npos)
    return path;
  return options.model.substr(0, slash + 1) + path;
}

size_t dtypeBytes(DType dtype) {
  static const size_t bytes[] = {4, 2, 2, 8, 4, 8, 1, 1, 1};
  return bytes[size_t(dtype)];
}

std::string typeText(const TensorType &type) {
  std::string text = "[";
  for (size_t i = 0; i < type.shape.size(); ++i)
    text += (i ? ", " : "") + type.shape[i].str();
  return text + "] " + dtypeName(type.dtype);
}

std::string groupDigits(int64_t value) {
  std::string digits = std::to_string(value);
  for (int at = int(digits.size()) - 3; at > (value < 0 ? 1 : 0); at -= 3)
    digits.insert(size_t(at), ",");
  return digits;
}

static std::string withUnit(double value, const char *const *units, size_t count) {
  size_t unit = 0;
  while (value >= 999.5 && unit + 1 < count) {
    value /= 1000;
    ++unit;
  }
  char text[64];
  std::snprintf(text, sizeof(text), unit == 0 ? "%.0f %s" : "%.3g %s", value, units[unit]);
  return text;
}

std::string byteText(double bytes) {
  static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB"};
  return withUnit(bytes, units, 5);
}

std::string flopText(double flops) {
  static const char *const units[] = {"FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP"};
  return withUnit(flops, units, 5);
}

std::string sizesText(const Sizes &sizes) {
  std::string text;
  for (const auto &[name, value] : sizes)
    text += (text.empty() ? "" : ", ") + name + "=" + std::to_string(value);
  return text;
}

void JsonWriter::separate() {
  if (!first && !afterKey)
    out += ", ";
  first = afterKey = false;
}

JsonWriter &JsonWriter::open(char bracket) {
  separate();
  out += bracket;
  brackets += bracket == '{' ? '}' : ']';
  first = true;
  return *this;
}

JsonWriter &JsonWriter::close() {
  out += brackets.back();
  brackets.pop_back();
  first = false;
  return *this;
}

JsonWriter &JsonWriter::key(std::string_view name) {
  separate();
  out += jsonString(name) + ": ";
  afterKey = true;
  return *this;
}

JsonWriter &JsonWriter::string(std::string_view value) {
  separate();
  out += jsonString(value);
  return *this;
}

JsonWriter &JsonWriter::number(double value, int digits) {
  separate();
  char text[40];
  std::snprintf(text, sizeof(text), "%.*g", digits, value);
  out += std::isfinite(value) ? text : "null";
  return *this;
}

JsonWriter &JsonWriter::integer(int64_t value) {
  separate();
  out += std::to_string(value);
  return *this;
}

JsonWriter &JsonWriter::boolean(bool value) {
  separate();
  out += value ? "true" : "false";
  return *this;
}

} // namespace weft
