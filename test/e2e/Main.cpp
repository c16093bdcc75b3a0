// weft-e2e: compiled code against the interpreter (small cases, small models, one model file) and against goldens.
// Every case runs in a process of its own, so that a crash is one failed case.
#include "Metamorphic.h"
#include "RandomRun.h"
#include "UnarySweep.h"

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <sys/wait.h>
#include <unistd.h>

using namespace weft;
using namespace weft::e2e;

namespace {

const char *const kUsage =
    "usage: weft-e2e table [--full] [--filter TEXT]... | models [--filter TEXT]... | goldens [--filter TEXT]... | unary [--full] | list [--full]\n"
    "       weft-e2e write --seed N --out PREFIX                        a random model that has a loss, and inputs, as files\n"
    "       weft-e2e random --count N [--rotate] [--whole] [--out FOLDER] | guards | metamorphic [--count N]\n"
    "       weft-e2e file MODEL.json [--weights FILE] [--inputs FILE] [--entry NAME] [--set KEY=VALUE]... [--dim NAME=SIZE]...\n"
    "       each: [--seed N] [--cpu NAME] [--disable PASS]... [-O0] [--jobs N] [--here] [--verbose] [--interpret]\n";

struct Arguments {
  std::string command, model, weights, inputs, entry = "forward", out = ".";
  std::vector<std::string> filters;
  std::vector<std::pair<std::string, std::string>> sets;
  Sizes dims;
  bool full = false, here = false, verbose = false, rotate = false;
  int jobs = 1;
  int64_t count = 100;
  Settings settings;
};

struct Job {
  std::string name;
  std::function<bool(Tally &)> run;  ///< false: skipped
};

struct Running {
  pid_t pid;
  int pipe;
  size_t job;
};

struct Totals {
  int64_t passed = 0, failed = 0, skipped = 0, calls = 0, elements = 0;
  double worstRatio = 0;
  std::string worst;
};

// What a child tells its parent: a line of numbers, the worst place, then one block for each failure.
std::string pack(const Tally &tally, bool skipped) {
  char numbers[128];
  std::snprintf(numbers, sizeof numbers, "%d %lld %lld %.6g\n", skipped, static_cast<long long>(tally.calls), static_cast<long long>(tally.elements), tally.worstRatio);
  std::string text = numbers + tally.worst + "\n";
  for (size_t i = 0; i < tally.failures.size() && i < 8; ++i)
    text += "    " + tally.failures[i].substr(0, 1500) + "\n";
  if (tally.failures.size() > 8)
    text += "    and " + std::to_string(tally.failures.size() - 8) + " more\n";
  return text;
}

void report(const Job &job, const std::string &text, const std::string &death, bool verbose, Totals &totals) {
  size_t first = text.find('\n'), second = first == std::string::npos ? first : text.find('\n', first + 1);
  int skipped = 0;
  long long calls = 0, elements = 0;
  double ratio = 0;
  std::string failures = death;
  if (second != std::string::npos) {
    std::sscanf(text.c_str(), "%d %lld %lld %lg", &skipped, &calls, &elements, &ratio);
    failures += text.substr(second + 1);
  }
  totals.calls += calls;
  totals.elements += elements;
  if (ratio > totals.worstRatio) {
    totals.worstRatio = ratio;
    totals.worst = job.name + ": " + text.substr(first + 1, second - first - 1);
  }
  ++(!failures.empty() ? totals.failed : skipped ? totals.skipped : totals.passed);
  if (!failures.empty())
    std::printf("FAIL %s\n%s", job.name.c_str(), failures.c_str());
  else if (verbose)
    std::printf("%s %s (%lld calls, %lld elements, worst error %.2g of what is allowed)\n", skipped ? "skip" : "ok  ", job.name.c_str(), calls, elements, ratio);
  std::fflush(stdout);
}

Running start(const std::vector<Job> &jobs, size_t index, const Arguments &args) {
  int ends[2];
  if (pipe(ends) != 0)
    return {-1, -1, index};
  std::fflush(stdout);
  pid_t child = fork();
  if (child != 0) {
    close(ends[1]);
    return {child, ends[0], index};
  }
  close(ends[0]);
  alarm(args.full ? 7200 : 120);  // a case that hangs is a failed case
  Tally tally;
  bool ran = jobs[index].run(tally);
  std::string text = pack(tally, !ran);
  for (size_t at = 0; at < text.size();) {
    ssize_t written = write(ends[1], text.data() + at, text.size() - at);
    if (written <= 0 && errno != EINTR)
      break;
    at += written > 0 ? written : 0;
  }
  _exit(0);
}

void finish(const std::vector<Job> &jobs, const Running &running, bool verbose, Totals &totals) {
  std::string text, death;
  char buffer[4096];
  for (ssize_t got; (got = read(running.pipe, buffer, sizeof buffer)) > 0 || (got < 0 && errno == EINTR);)
    text.append(buffer, got > 0 ? got : 0);
  close(running.pipe);
  int status = 0;
  if (running.pid < 0)
    death = "    no process\n";
  else if (waitpid(running.pid, &status, 0) == running.pid && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
    death = WIFSIGNALED(status) ? std::string("    died of ") + strsignal(WTERMSIG(status)) + "\n" : "    exit code " + std::to_string(WEXITSTATUS(status)) + "\n";
  report(jobs[running.job], text, death, verbose, totals);
}

int runAll(const std::vector<Job> &jobs, const Arguments &args) {
  auto begin = std::chrono::steady_clock::now();
  Totals totals;
  std::vector<Running> running;
  for (size_t i = 0; i < jobs.size(); ++i) {
    if (args.here) {
      Tally tally;
      bool ran = jobs[i].run(tally);
      report(jobs[i], pack(tally, !ran), "", args.verbose, totals);
      continue;
    }
    running.push_back(start(jobs, i, args));
    if (static_cast<int>(running.size()) >= args.jobs) {
      finish(jobs, running.front(), args.verbose, totals);
      running.erase(running.begin());
    }
  }
  for (const Running &next : running)
    finish(jobs, next, args.verbose, totals);
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::printf("seed %llu: %lld passed, %lld failed, %lld skipped; %lld calls, %lld elements compared, %.1f s\n", static_cast<unsigned long long>(args.settings.seed),
              static_cast<long long>(totals.passed), static_cast<long long>(totals.failed), static_cast<long long>(totals.skipped), static_cast<long long>(totals.calls),
              static_cast<long long>(totals.elements), seconds);
  if (!args.here)
    std::printf("count: calls between guard pages = %lld\n", static_cast<long long>(totals.calls));
  if (totals.worstRatio > 0)
    std::printf("worst error %.3g of what is allowed: %s\n", totals.worstRatio, totals.worst.c_str());
  return totals.failed != 0;
}

bool selected(const Arguments &args, const std::string &name) {
  for (const std::string &filter : args.filters)
    if (name.find(filter) == std::string::npos)
      return false;
  return true;
}

// One model file, with random numbers for what is not given.
bool runFile(const Arguments &args, Tally &tally) {
  Diagnostics diagnostics;
  ReadOptions read;
  read.sets = args.sets;
  std::optional<ModelDesc> desc = readModelFile(args.model, read, diagnostics);
  std::string error = desc ? "" : diagnostics.str();
  Tensors given, parameters;
  if (desc && !args.inputs.empty())
    if (auto tensors = reference::readTensors(args.inputs, error))
      given = std::move(*tensors);
  if (desc && !args.weights.empty()) {
    if (auto file = reference::readTensors(args.weights, error))
      if (auto found = reference::parametersOf(*desc, *file, error))
        parameters = std::move(*found);
  } else if (desc) {
    parameters = randomParameters(*desc, args.settings.seed);
  }
  std::unique_ptr<LoadedModel> compiled;
  if (error.empty()) {
    CompileOptions options = args.settings.compile;
    options.entries = {args.entry};
    compiled = LoadedModel::create(*desc, options, parameters, error);
  }
  if (!error.empty()) {
    tally.failures.push_back(error);
    return true;
  }
  Sizes sizes = args.dims;
  for (const DimDesc &dim : desc->dims)
    sizes.emplace(dim.name, std::min<int64_t>(dim.max, std::max<int64_t>(dim.min, 2 * dim.multipleOf)));
  for (const EntryDesc &entry : desc->entries)
    if (entry.name == args.entry)
      for (const auto &[name, size] : entry.fixedDims)
        sizes[name] = size;
  for (const InputDesc &input : desc->inputs)
    if (auto found = given.find(input.name); found != given.end())
      for (size_t i = 0; i < input.type.shape.size() && i < found->second.shape.size(); ++i)
        if (auto name = input.type.shape[i].name())
          sizes[*name] = found->second.shape[i];
  CallSpec spec;
  spec.entry = args.entry;
  spec.dims = sizes;
  spec.inputs = randomInputs(*desc, args.entry, sizes, args.settings.seed, given);
  Checker checker(*desc, compiled.get(), parameters, defaultBound(), tally);
  checker.call(spec, args.entry);
  return true;
}

std::vector<Job> jobsOf(const Arguments &args) {
  std::vector<Job> jobs;
  if (args.command == "table" || args.command == "list")
    for (const Case &c : allCases(args.full))
      if (selected(args, caseName(c)))
        jobs.push_back({caseName(c), [c, &args](Tally &tally) { return runCase(c, args.settings, tally), true; }});
  if (args.command == "models" || args.command == "list")
    for (const ModelCase &c : modelCases())
      if (selected(args, c.name))
        jobs.push_back({c.name, [c, &args](Tally &tally) { return runModelCase(c, args.settings, tally), true; }});
  if (args.command == "unary")
    for (const UnaryFunction &function : unaryFunctions())
      if (selected(args, function.node))
        jobs.push_back({function.node, [function, &args](Tally &tally) { return sweep(function, args.full ? 1 : 4099, args.settings, tally), true; }});
  if (args.command == "goldens")
    for (const std::string &name : reference::goldenNames())
      if (selected(args, name))
        jobs.push_back({name, [name, &args](Tally &tally) { return runGolden(name, args.settings, tally); }});
  if (args.command == "random")
    for (int64_t i = 0; i < args.count; ++i) {
      uint64_t seed = args.settings.seed + static_cast<uint64_t>(i);
      jobs.push_back({"random --seed " + std::to_string(seed) + " --count 1", [seed, &args](Tally &tally) { return runRandom(seed, args.rotate, args.out, args.settings, tally), true; }});
    }
  if (args.command == "metamorphic") {
    jobs.push_back({"planted", [](Tally &tally) { return runPlanted(tally), true; }});
    for (int64_t i = 0; i < args.count; ++i) {
      uint64_t seed = args.settings.seed + static_cast<uint64_t>(i);
      jobs.push_back({"spellings --seed " + std::to_string(seed), [seed](Tally &tally) { return runSpellings(seed, tally); }});
      jobs.push_back({"invariances --seed " + std::to_string(seed), [seed](Tally &tally) { return runInvariances(seed, tally), true; }});
    }
  }
  if (args.command == "file")
    jobs.push_back({args.model, [&args](Tally &tally) { return runFile(args, tally); }});
  return jobs;
}

std::optional<int64_t> number(const std::string &text) {
  int64_t value = 0;
  auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  return problem == std::errc() && end == text.data() + text.size() ? std::optional<int64_t>(value) : std::nullopt;
}

bool parse(int argc, char **argv, Arguments &args) {
  for (int i = 1; i < argc; ++i) {
    std::string arg = argv[i];
    bool plain = arg == "--full" || arg == "--here" || arg == "--verbose" || arg == "--interpret" || arg == "--rotate" || arg == "--whole" || arg == "-O0" || arg[0] != '-';
    if (!plain && i + 1 == argc)
      return false;
    std::string value = plain ? "" : argv[++i];
    size_t equals = value.find('=');
    if (arg == "--full")
      args.full = true;
    else if (arg == "--here")
      args.here = true;
    else if (arg == "--verbose")
      args.verbose = true;
    else if (arg == "--interpret")
      args.settings.interpretOnly = true;
    else if (arg == "--rotate")
      args.rotate = true;
    else if (arg == "--whole")
      args.settings.shrink = false;
    else if (arg == "-O0")
      args.settings.compile.optimize = false;
    else if (arg == "--count" && number(value))
      args.count = *number(value);
    else if (arg == "--out")
      args.out = value;
    else if (arg == "--filter")
      args.filters.push_back(value);
    else if (arg == "--weights")
      args.weights = value;
    else if (arg == "--inputs")
      args.inputs = value;
    else if (arg == "--entry")
      args.entry = value;
    else if (arg == "--cpu")
      args.settings.compile.cpus = {value};
    else if (arg == "--disable")
      args.settings.compile.disabledPasses.insert(value);
    else if (arg == "--seed" && number(value))
      args.settings.seed = static_cast<uint64_t>(*number(value));
    else if (arg == "--jobs" && number(value))
      args.jobs = static_cast<int>(*number(value));
    else if (arg == "--set" && equals != std::string::npos)
      args.sets.emplace_back(value.substr(0, equals), value.substr(equals + 1));
    else if (arg == "--dim" && equals != std::string::npos && number(value.substr(equals + 1)))
      args.dims[value.substr(0, equals)] = *number(value.substr(equals + 1));
    else if (plain && args.command.empty())
      args.command = arg;
    else if (plain && args.command == "file" && args.model.empty())
      args.model = arg;
    else
      return false;
  }
  return args.command == "table" || args.command == "models" || args.command == "goldens" || args.command == "unary" || args.command == "list" || args.command == "random" || args.command == "guards" || args.command == "metamorphic" || args.command == "write" || (args.command == "file" && !args.model.empty());
}

/// Touching a byte beside a buffer must end the process; else the guards of all other tests prove nothing.
int checkGuards() {
  int caught = 0;
  for (bool behind : {false, true}) {
    pid_t child = fork();
    if (child == 0) {
      GuardedPages pages(100);
      volatile unsigned char *place = behind ? pages.data() + pages.size() : pages.data() - 1;
      _exit(*place == 0 ? 0 : 1);
    }
    int status = 0;
    caught += child > 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status);
  }
  std::printf("count: planted bugs caught = %d\n", caught);
  return caught == 2 ? 0 : 1;
}

}  // namespace

int main(int argc, char **argv) {
  Arguments args;
  if (!parse(argc, argv, args)) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  if (args.command == "guards")
    return checkGuards();
  if (args.command == "write") {
    std::string error;
    bool written = writeTraining(args.settings.seed, args.out, error);
    std::fprintf(stderr, "%s", error.c_str());
    return written ? 0 : error.empty() ? 77 : 1;
  }
  std::vector<Job> jobs = jobsOf(args);
  if (args.command == "list") {
    for (const Job &job : jobs)
      std::printf("%s\n", job.name.c_str());
    std::printf("%zu cases\n", jobs.size());
    return 0;
  }
  if (jobs.empty()) {
    std::printf(args.command == "goldens" ? "skipped: WEFT_SHARED names no folder with data/goldens\n" : "no case is called so\n");
    return args.command == "goldens" ? 77 : 2;
  }
  if (args.command == "metamorphic")
    std::printf("count: metamorphic models of each kind = %lld\n", static_cast<long long>(args.count));
  if (args.command == "random" && args.rotate)
    std::printf("count: valid random models, each compiled four ways = %lld\n", static_cast<long long>(args.count));
  return runAll(jobs, args);
}
