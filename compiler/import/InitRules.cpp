// `init` and `weights`: which rule initialises each parameter, and under which name a weights file holds it.
// Rules of named distributions (xavier, kaiming) are evaluated to plain bounds here, per tensor.
#include "import/ModelReader.h"

#include <algorithm>
#include <cmath>

namespace weft {
namespace {

struct RuleKind {
  const char *name;
  std::vector<std::string> numbers;
};

const std::vector<RuleKind> &ruleKinds() {
  static const std::vector<RuleKind> kinds = {{"normal", {"mean", "std"}},  {"uniform", {"low", "high"}},
                                              {"xavier_uniform", {"gain"}}, {"kaiming_uniform", {"a"}},
                                              {"trunc_normal", {"std"}},    {"constant", {}}};
  return kinds;
}

struct ReadRule {
  std::string glob, kind;
  std::map<std::string, double> numbers;
  const JsonValue *json = nullptr;
  bool matched = false;

  double number(const char *name, double byDefault) const {
    auto found = numbers.find(name);
    return found == numbers.end() ? byDefault : found->second;
  }
};

/// A number of a rule: a value that a parameter may have.
bool readRuleNumber(ModelReader &reader, const JsonValue &value, Frame &names, double &number, AttrRange range) {
  DType dtype = reader.model.precision.params;
  return reader.readReal(value, names, number, range) &&
         (!isFloat(dtype) || isValueOf(dtype, number) || reader.error(value, notValueText(dtype, number)));
}

bool parseRule(ModelReader &reader, const JsonMember &member, ReadRule &rule) {
  const JsonValue &value = *member.value;
  rule.glob = member.key;
  rule.json = &value;
  Frame names(reader, reader.model.graph);
  if (value.isString()) {
    rule.kind = value.text;
    if (rule.kind == "zeros" || rule.kind == "ones")
      return true;
    std::vector<std::string> words = {"zeros", "ones"};
    for (const RuleKind &kind : ruleKinds())
      if (rule.kind == kind.name)
        return reader.error(value, "init rule " + quote(rule.kind) + " is an object",
                            "as in {\"" + rule.kind + "\": {}}");
    for (const RuleKind &kind : ruleKinds())
      words.emplace_back(kind.name);
    return reader.error(value, "unknown init rule " + quote(rule.kind), didYouMean(rule.kind, words));
  }
  if (!value.isObject() || value.members.size() != 1)
    return reader.error(value, "expected an init rule (\"zeros\", \"ones\" or an object with one key) but got " +
                                   value.describe());
  rule.kind = value.members[0].key;
  const JsonValue &given = *value.members[0].value;
  std::vector<std::string> words;
  for (const RuleKind &kind : ruleKinds()) {
    words.emplace_back(kind.name);
    if (rule.kind != kind.name)
      continue;
    if (rule.kind == "constant")
      return readRuleNumber(reader, given, names, rule.numbers["value"], AttrRange::any);
    if (!given.isObject()) {
      const std::string number = given.isNumber() && given.text[0] != '-' ? given.describe() : "1";
      return reader.error(given, "init rule " + quote(rule.kind) + ": expected an object but got " + given.describe(),
                          "as in {\"" + rule.kind + "\": {" + (rule.kind == "uniform" ? "\"low\": -" + number + ", " : "") + "\"" + kind.numbers.back() +
                              "\": " + number + "}}");
    }
    reader.checkKeys(given, kind.numbers, "init rule " + quote(rule.kind));
    bool good = true;
    for (const JsonMember &number : given.members)
      if (std::find(kind.numbers.begin(), kind.numbers.end(), number.key) != kind.numbers.end())
        good &= readRuleNumber(reader, *number.value, names, rule.numbers[number.key],
                               number.key == "std" ? AttrRange::nonNegative : AttrRange::any);
    if (good && rule.number("low", 0) > rule.number("high", 1))
      return reader.error(given, "low is above high");
    return good;
  }
  return reader.keyError(value.members[0], "unknown init rule " + quote(rule.kind), didYouMean(rule.kind, words));
}

/// The rule's distribution for one tensor; false after an error.
bool applyRule(ModelReader &reader, const ReadRule &rule, const ParamTensor &tensor, InitRule &out) {
  if (rule.kind == "zeros" || rule.kind == "ones" || rule.kind == "constant") {
    out = initConstant(rule.kind == "ones" ? 1 : rule.number("value", 0));
  } else if (rule.kind == "normal") {
    out = {InitKind::normal, rule.number("mean", 0), rule.number("std", 1)};
  } else if (rule.kind == "trunc_normal") {
    out = {InitKind::truncNormal, 0, rule.number("std", 1)};
  } else if (rule.kind == "uniform") {
    out = {InitKind::uniform, rule.number("low", 0), rule.number("high", 1)};
  } else {
    if (tensor.shape.size() < 2)
      return reader.error(*rule.json, "init rule " + quote(rule.kind) + " needs rank 2 or more, but " +
                                          quote(tensor.name) + " has rank " + std::to_string(tensor.shape.size()));
    double inside = 1;
    for (size_t i = 2; i < tensor.shape.size(); ++i)
      inside *= static_cast<double>(tensor.shape[i]);
    double fanOut = static_cast<double>(tensor.shape[0]) * inside,
           fanIn = static_cast<double>(tensor.shape[1]) * inside, a = rule.number("a", 0);
    out = initUniform(rule.kind == "xavier_uniform" ? rule.number("gain", 1) * std::sqrt(6 / (fanIn + fanOut))
                                                    : std::sqrt(6 / ((1 + a * a) * fanIn)));
  }
  return true;
}

bool isSafePath(std::string_view path) {
  if (path.empty() || path[0] == '/' || path.find('\\') != std::string_view::npos)
    return false;
  while (true) {
    size_t end = path.find('/');
    if (path.substr(0, end) == "..")
      return false;
    if (end == std::string_view::npos)
      return true;
    path.remove_prefix(end + 1);
  }
}

} // namespace

void ModelReader::readInit() {
  std::vector<ReadRule> rules;
  const JsonValue *json = root.find("init");
  if (json && !json->isObject())
    error(*json, "init: expected an object but got " + json->describe());
  for (const JsonMember &member : membersOf(json)) {
    if (member.key == "doc" || member.key.compare(0, 2, "x-") == 0)
      continue;
    ReadRule rule;
    if (parseRule(*this, member, rule))
      rules.push_back(std::move(rule));
  }
  ReadRule *fallback = nullptr;
  for (ReadRule &rule : rules)
    if (rule.glob == "default")
      fallback = &rule;
  for (size_t i = 0; i < model.tensors.size(); ++i) {
    ParamTensor &tensor = model.tensors[i];
    ReadRule *chosen = fallback;
    for (ReadRule &rule : rules)
      if (&rule != fallback && matchGlob(rule.glob, tensor.name)) {
        rule.matched = true;
        chosen = &rule;
      }
    InitRule result = tensorRules[i];
    if (chosen)
      applyRule(*this, *chosen, tensor, result);
    tensor.init = result.kind;
    tensor.a = result.a;
    tensor.b = result.b;
  }
  for (const ReadRule &rule : rules)
    if (!rule.matched && rule.glob != "default" && !diagnostics.hasErrors())
      diagnostics.warning(rule.json->position(), "init rule " + quote(rule.glob) + " matches no parameter");
}

void ModelReader::readWeights() {
  for (ParamTensor &tensor : model.tensors)
    tensor.fileName = tensor.name;
  const JsonValue *json = root.find("weights");
  if (!json || !checkKeys(*json, {"file", "map", "transpose", "missing"}, "weights"))
    return;
  if (const JsonValue *file = json->find("file"); file && readTexts(*file, model.weightFiles))
    for (const std::string &path : model.weightFiles)
      if (!isSafePath(path))
        error(*file, "weights file " + quote(path) + " is not below the model's folder",
              "no absolute paths and no '..'; the command line may name any file");
  auto checkMatch = [&](const JsonValue &at, const std::string &glob, bool matched) {
    if (!matched && !diagnostics.hasErrors())
      diagnostics.warning(at.position(), "glob " + quote(glob) + " matches no parameter");
  };
  if (const JsonValue *map = json->find("map")) {
    if (!map->isObject())
      error(*map, "map: expected an object but got " + map->describe());
    for (const JsonMember &member : map->members) {
      std::string target;
      if (!readText(*member.value, target))
        continue;
      if (std::count(target.begin(), target.end(), '*') > std::count(member.key.begin(), member.key.end(), '*')) {
        error(*member.value, quote(target) + " has more '*' than its pattern " + quote(member.key));
        continue;
      }
      bool matched = false;
      for (ParamTensor &tensor : model.tensors) {
        std::vector<std::string> parts;
        if (!matchGlob(member.key, tensor.name, &parts))
          continue;
        matched = true;
        tensor.fileName.clear();
        size_t next = 0;
        for (char c : target)
          tensor.fileName += c == '*' ? parts[next++] : std::string(1, c);
      }
      checkMatch(member.value[0], member.key, matched);
    }
  }
  if (const JsonValue *transpose = json->find("transpose")) {
    std::vector<std::string> globs;
    if (readGlobs(*transpose, globs))
      for (size_t i = 0; i < globs.size(); ++i) {
        const JsonValue &at = transpose->isArray() ? *transpose->items[i] : *transpose;
        bool matched = false;
        for (ParamTensor &tensor : model.tensors) {
          if (!matchGlob(globs[i], tensor.name))
            continue;
          matched = tensor.transpose = true;
          if (tensor.shape.size() != 2) {
            error(at, "transpose needs rank 2, but " + quote(tensor.name) + " has rank " +
                          std::to_string(tensor.shape.size()));
            break;
          }
        }
        checkMatch(at, globs[i], matched);
      }
  }
  if (const JsonValue *missing = json->find("missing")) {
    if (!missing->isObject())
      error(*missing, "missing: expected an object but got " + missing->describe());
    for (const JsonMember &member : missing->members) {
      std::string word;
      bool matched = false;
      if (!readWord(*member.value, {"init", "error"}, word))
        continue;
      for (ParamTensor &tensor : model.tensors)
        if (matchGlob(member.key, tensor.name)) {
          tensor.mayBeMissing = word == "init";
          matched = true;
        }
      checkMatch(*member.value, member.key, matched);
    }
  }
}

} // namespace weft
