// A model that fails is shrunk greedily: fewer outputs, nodes replaced by inputs or by their operands, smaller sizes.
// A step stays if the smaller model fails in the same way; one that is not valid any more does not.
#include "RandomRun.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <functional>
#include <set>
#include <sys/wait.h>
#include <unistd.h>

namespace weft::e2e {

using namespace reference;

namespace {

struct Config {
  std::string name;
  CompileOptions options;
};

std::vector<Config> configs(uint64_t seed, bool rotate, const CompileOptions &base) {
  if (!rotate)
    return {{"", base}};
  const char *const passes[] = {"weft-fuse-attention", "weft-sink-slice", "weft-fuse-projections", "weft-fuse-rows"};
  const char *const pass = passes[seed % std::size(passes)];
  Config without{std::string("without ") + pass + ": ", base}, plain{"-O0: ", base}, older{"x86-64-v3: ", base};
  without.options.disabledPasses.insert(pass);
  plain.options.optimize = false;
  older.options.cpus = {"x86-64-v3"};
  return {{"", base}, without, plain, older};
}

void runModel(const RandomModel &model, const Config &config, uint64_t seed, bool interpretOnly, Tally &tally) {
  std::string text = model.text();
  Diagnostics diagnostics;
  SourceText source;
  source.file = "random.json";
  source.text = text;
  std::optional<ModelDesc> desc = readModel(std::move(source), {}, diagnostics);
  if (!desc && model.zero) {  // something in it has no value over an empty axis
    RandomModel other = model;
    other.zero = false;
    for (Sizes &sizes : other.rounds)
      for (auto &[name, size] : sizes)
        size = std::max<int64_t>(size, 1);
    return runModel(other, config, seed, interpretOnly, tally);
  }
  if (!desc) {
    tally.failures.push_back("read: " + diagnostics.str());
    return;
  }
  Tensors parameters = randomParameters(*desc, seed);
  std::string error;
  std::unique_ptr<LoadedModel> compiled = interpretOnly ? nullptr : LoadedModel::create(*desc, config.options, parameters, error);
  if (!error.empty()) {
    tally.failures.push_back(config.name + error);
    return;
  }
  // A row of one element is exact in naive arithmetic by luck, and the variance of equal elements is 0; with another order
  // of sums they are not.
  Bound bound = defaultBound();
  bound.ofScale = 2e-6;
  bound.absolute = 1e-12;
  Checker checker(*desc, compiled.get(), parameters, bound, tally);
  Sizes most;
  for (const Sizes &sizes : model.rounds)
    for (const auto &[name, size] : sizes)
      most[name] = std::max(most[name], size);
  checker.open(most);
  for (size_t round = 0; round < model.rounds.size(); ++round) {
    CallSpec spec;
    spec.entry = "forward";
    spec.dims = model.rounds[round];
    spec.inputs = randomInputs(*desc, "forward", spec.dims, seed + round);
    for (const RandomInput &input : model.inputs)
      if (!input.fill.empty() && round % 2 == 1)
        spec.inputs.erase(input.value.name);
    std::string label = config.name;
    for (const auto &[name, size] : spec.dims)
      label += name + "=" + std::to_string(size) + " ";
    checker.call(spec, label);
  }
}

// The tally of a run in another process, with its death as one more failure.
Tally isolated(const std::function<void(Tally &)> &run) {
  Tally tally;
  int ends[2];
  if (pipe(ends) != 0) {
    tally.failures.push_back("no pipe");
    return tally;
  }
  std::fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    alarm(60);
    Tally mine;
    run(mine);
    char numbers[128];
    std::snprintf(numbers, sizeof numbers, "%lld %lld %.6g\n", static_cast<long long>(mine.calls), static_cast<long long>(mine.elements), mine.worstRatio);
    std::string text = numbers + mine.worst + "\n";
    for (std::string failure : mine.failures) {
      std::replace(failure.begin(), failure.end(), '\n', ' ');
      text += failure.substr(0, 600) + "\n";
    }
    for (size_t at = 0; at < text.size();) {
      ssize_t written = write(ends[1], text.data() + at, text.size() - at);
      if (written < 0 && errno != EINTR)
        break;
      at += written > 0 ? static_cast<size_t>(written) : 0;
    }
    _exit(0);
  }
  close(ends[1]);
  std::string text;
  char buffer[4096];
  for (ssize_t got; (got = read(ends[0], buffer, sizeof buffer)) > 0 || (got < 0 && errno == EINTR);)
    text.append(buffer, got > 0 ? static_cast<size_t>(got) : 0);
  close(ends[0]);
  int status = 0;
  if (child < 0)
    tally.failures.push_back("no process");
  else if (waitpid(child, &status, 0) == child && WIFSIGNALED(status))
    tally.failures.push_back(std::string("died of ") + strsignal(WTERMSIG(status)));
  else if (WEXITSTATUS(status) != 0)
    tally.failures.push_back("exit code " + std::to_string(WEXITSTATUS(status)));
  std::vector<std::string> lines;
  for (size_t at = 0, end; (end = text.find('\n', at)) != std::string::npos; at = end + 1)
    lines.push_back(text.substr(at, end - at));
  if (lines.size() >= 2) {
    long long calls = 0, elements = 0;
    std::sscanf(lines[0].c_str(), "%lld %lld %lg", &calls, &elements, &tally.worstRatio);
    tally.calls = calls;
    tally.elements = elements;
    tally.worst = lines[1];
    tally.failures.insert(tally.failures.end(), lines.begin() + 2, lines.end());
  }
  return tally;
}

// Failures are alike if their texts are, leaving out names and numbers.
std::string kind(const Tally &tally) {
  if (tally.failures.empty())
    return "";
  const std::string &text = tally.failures[0];
  for (const char *word : {"died of", "exit code", "read: ", "interpreter: ", "two threads", "shape", "was written"})
    if (text.find(word) != std::string::npos)
      return word;
  if (size_t at = text.find("compile: "); at != std::string::npos) {
    std::string plain;
    for (char ch : text.substr(at))
      if (std::isalpha(static_cast<unsigned char>(ch)) || ch == ' ')
        plain += ch;
    return plain.substr(0, 40);
  }
  return "numbers";
}

void rename(RandomModel &model, const std::string &from, const std::string &to) {
  for (RandomNode &node : model.nodes)
    for (std::string &name : node.in)
      name = name == from ? to : name;
  for (auto &[name, value] : model.outputs)
    value = value == from ? to : value;
}

std::string withNumber(const std::string &text, const std::string &from, const std::string &to) {
  std::string result;
  auto digit = [](char ch) { return std::isalnum(static_cast<unsigned char>(ch)) || ch == '.' || ch == '_'; };
  for (size_t at = 0; at < text.size();) {
    if (text.compare(at, from.size(), from) == 0 && (at == 0 || !digit(text[at - 1])) && (at + from.size() == text.size() || !digit(text[at + from.size()]))) {
      result += to;
      at += from.size();
    } else {
      result += text[at++];
    }
  }
  return result;
}

RandomModel withSize(RandomModel model, const std::string &from, const std::string &to) {
  auto change = [&](RandomType &type) {
    for (RandomAxis &axis : type.axes)
      if (axis.text == from) {
        axis.text = to;
        axis.size.fill(std::stoll(to));
      }
  };
  for (RandomInput &input : model.inputs)
    change(input.value.type);
  for (RandomNode &node : model.nodes) {
    node.rest = withNumber(node.rest, from, to);
    for (RandomValue &out : node.out)
      change(out.type);
  }
  for (auto &[name, body] : model.blocks)
    body = withNumber(body, from, to);
  return model;
}

class Shrinker {
public:
  using Fails = std::function<bool(const RandomModel &)>;
  Shrinker(RandomModel model, Fails fails) : best(std::move(model)), fails(std::move(fails)) {}

  RandomModel run() {
    for (bool smaller = true; smaller && !late();) {
      smaller = false;
      smaller |= fewerRounds();
      smaller |= fewerOutputs();
      smaller |= fewerNodes();
      smaller |= smallerSizes();
    }
    return best;
  }

private:
  bool late() const { return std::chrono::steady_clock::now() > deadline; }
  bool attempt(RandomModel candidate) {
    if (late() || !candidate.prune() || !fails(candidate))
      return false;
    best = std::move(candidate);
    return true;
  }
  bool fewerRounds() {
    for (size_t i = 0; best.rounds.size() > 1 && i < best.rounds.size(); ++i) {
      RandomModel next = best;
      next.rounds = {best.rounds[i]};
      if (attempt(next))
        return true;
    }
    return false;
  }
  bool fewerOutputs() {
    bool any = false;
    for (size_t i = best.outputs.size(); i-- > 0 && best.outputs.size() > 1;) {
      RandomModel next = best;
      next.outputs.erase(next.outputs.begin() + static_cast<std::ptrdiff_t>(i));
      any |= attempt(next);
      i = std::min(i, best.outputs.size());
    }
    return any;
  }
  // A node goes if its results can come from elsewhere: an operand of the same type, or a new input; or if it is an output.
  bool fewerNodes() {
    bool any = false;
    for (size_t i = best.nodes.size(); i-- > 0;) {
      if (i >= best.nodes.size())
        continue;
      const RandomNode node = best.nodes[i];
      bool gone = false;
      for (const std::string &operand : node.in) {
        for (const auto &type : typesOf(operand))
          if (!gone && node.out.size() == 1 && type == node.out[0].type) {
            RandomModel next = best;
            rename(next, node.out[0].name, operand);
            gone = attempt(next);
          }
      }
      if (!gone) {
        RandomModel next = best;
        for (const RandomValue &out : node.out) {
          RandomValue fresh = out;
          fresh.name = "in_" + out.name;
          fresh.low = std::max(0.0, fresh.low);
          rename(next, out.name, fresh.name);
          next.inputs.push_back({fresh, ""});
        }
        gone = attempt(next);
      }
      if (!gone && std::any_of(best.outputs.begin(), best.outputs.end(), [&](const auto &output) { return output.second == node.out[0].name; }))
        for (const std::string &operand : node.in) {
          RandomModel next = best;
          next.outputs = {{"o0", operand}};
          if (!gone)
            gone = attempt(next);
        }
      any |= gone;
    }
    return any;
  }
  std::vector<RandomType> typesOf(const std::string &name) const {
    std::vector<RandomType> found;
    for (const RandomInput &input : best.inputs)
      if (input.value.name == name)
        found.push_back(input.value.type);
    for (const RandomNode &node : best.nodes)
      for (const RandomValue &out : node.out)
        if (out.name == name)
          found.push_back(out.type);
    return found;
  }
  bool smallerSizes() {
    bool any = false;
    for (size_t round = 0; round < best.rounds.size(); ++round)
      for (const char *name : {"B", "T", "S"})
        for (int64_t to : {int64_t(1), int64_t(2), best.rounds[round].at(name) / 2, best.rounds[round].at(name) - 1})
          if (to > 0 && to < best.rounds[round].at(name)) {
            RandomModel next = best;
            next.rounds[round][name] = to;
            any |= attempt(next);
          }
    std::vector<std::string> texts;
    auto collect = [&](const RandomType &type) {
      for (const RandomAxis &axis : type.axes)
        if (axis.isNumber() && axis.text != "1" && std::find(texts.begin(), texts.end(), axis.text) == texts.end())
          texts.push_back(axis.text);
    };
    for (const RandomInput &input : best.inputs)
      collect(input.value.type);
    for (const RandomNode &node : best.nodes)
      for (const RandomValue &out : node.out)
        collect(out.type);
    for (const std::string &text : texts)
      for (int64_t to : {1LL, 2LL, std::stoll(text) / 2, std::stoll(text) - 1})
        if (to > 0 && to < std::stoll(text) && attempt(withSize(best, text, std::to_string(to)))) {
          any = true;
          break;
        }
    return any;
  }

  RandomModel best;
  Fails fails;
  std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::now() + std::chrono::seconds(40);
};

}  // namespace

void runRandom(uint64_t seed, bool rotate, const std::string &folder, const Settings &settings, Tally &tally) {
  RandomModel model = randomModel(seed);
  for (const Config &config : configs(seed, rotate, settings.compile)) {
    auto attempt = [&](const RandomModel &tried) { return isolated([&](Tally &inner) { runModel(tried, config, seed, settings.interpretOnly, inner); }); };
    Tally one = attempt(model);
    tally.calls += one.calls;
    tally.elements += one.elements;
    if (one.worstRatio > tally.worstRatio) {
      tally.worstRatio = one.worstRatio;
      tally.worst = one.worst;
    }
    if (one.failures.empty())
      continue;
    if (!settings.shrink) {
      tally.failures.push_back(one.failures[0]);
      return;
    }
    std::string how = kind(one);
    RandomModel small = how == "read: " ? model : Shrinker(model, [&](const RandomModel &tried) { return kind(attempt(tried)) == how; }).run();
    std::string path = folder + "/random-" + std::to_string(seed) + ".json", why = attempt(small).failures.empty() ? "" : attempt(small).failures[0];
    std::ofstream(path) << small.text();
    tally.failures.push_back(one.failures[0]);
    tally.failures.push_back("smallest model: " + path + ", " + std::to_string(small.nodes.size()) + " nodes; " + why);
    return;
  }
}

bool writeTraining(uint64_t seed, const std::string &prefix, std::string &error) {
  RandomModel model = randomModel(seed);
  model.zero = false;
  for (auto &[name, size] : model.rounds[0])
    size = std::max<int64_t>(size, 1);
  std::string nodes, terms;
  std::set<std::string> floats;
  for (const RandomInput &input : model.inputs)
    if (input.value.type.dtype == "f32")
      floats.insert(input.value.name);
  for (const RandomNode &node : model.nodes)
    for (const RandomValue &out : node.out)
      if (out.type.dtype == "f32")
        floats.insert(out.name);
  int count = 0;
  for (const auto &[name, value] : model.outputs)
    if (floats.count(value)) {
      std::string number = std::to_string(count++);
      // A parameter in every loss: a model that trains has one.
      nodes += (count == 1 ? "{\"id\": \"gain\", \"op\": \"parameter\", \"shape\": [1]}, " : "") + std::string("{\"id\": \"square") + number + "\", \"op\": \"mul\", \"in\": [\"" + value + "\", \"" + value + "\"]}, {\"id\": \"scaled" + number +
               "\", \"op\": \"mul\", \"in\": [\"square" + number + "\", \"gain\"]}, {\"id\": \"term" + number + "\", \"op\": \"mean\"}, ";
      terms += (terms.empty() ? "" : ", ") + ("\"term" + number + "\"");
    }
  if (count == 0)
    return false;
  nodes += count > 1 ? "{\"id\": \"loss\", \"op\": \"add\", \"in\": [" + terms + "]}" : std::string("{\"id\": \"loss\", \"op\": \"mul\", \"value\": 1}");
  std::string text = model.text();
  text.erase(text.rfind('}'));
  text += ",\n  \"train\": {\"nodes\": [" + nodes + "], \"loss\": \"loss\"},\n  \"entries\": {\"forward\": {}, \"slope\": {\"mode\": \"grad\", \"gradients\": [\"*\"]}}}\n";
  Diagnostics diagnostics;
  SourceText source;
  source.file = prefix + ".json";
  source.text = text;
  std::ofstream(source.file) << text;
  std::optional<ModelDesc> desc = readModel(std::move(source), {}, diagnostics);
  if (!desc) {
    error = diagnostics.str();
    return false;
  }
  return writeTensors(prefix + ".safetensors", randomInputs(*desc, "forward", model.rounds[0], seed), error);
}

}  // namespace weft::e2e
