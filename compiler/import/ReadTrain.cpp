// The `train` section: extra inputs, loss nodes, optimizer, schedule and the options of a training step.
// Its nodes continue the graph: they see every value of it.
#include "import/BatchWeight.h"
#include "import/GradientReach.h"
#include "import/ModelReader.h"
#include "import/TrainGroups.h"

#include <algorithm>

namespace weft {
namespace {

/// Everything that needs another key to make sense.
struct ScheduleKind {
  const char *name;
  std::vector<std::string> required, optional;
};

constexpr double kAdamWDecay = 0.01;

const std::vector<ScheduleKind> &scheduleKinds() {
  static const std::vector<ScheduleKind> kinds = {
      {"constant", {}, {"warmup_steps"}},
      {"linear", {"total_steps"}, {"warmup_steps", "min_lr_ratio"}},
      {"cosine", {"total_steps"}, {"warmup_steps", "min_lr_ratio"}},
      {"noam", {"d_model", "warmup_steps"}, {"factor"}},
      {"inverse_sqrt", {}, {"warmup_steps"}},
      {"step", {"step_size"}, {"warmup_steps", "gamma"}},
      {"wsd", {"total_steps"}, {"warmup_steps", "min_lr_ratio", "decay_steps"}},
  };
  return kinds;
}

} // namespace

void ModelReader::readTrain() {
  const JsonValue *json = root.find("train");
  if (!json || !checkKeys(*json,
                          {"inputs", "nodes", "loss", "optimizer", "schedule", "clip_grad_norm", "accumulate", "freeze",
                           "recompute", "loss_scale"},
                          "train"))
    return;
  model.train.emplace();
  TrainDesc &train = *model.train;
  readInputs(json->find("inputs"), train.inputs, top, "train input");
  top.isTrain = true;
  if (const JsonValue *nodes = require(*json, "nodes", "train"))
    readNodes(*nodes, top, train.nodes);
  top.list = nullptr;
  const JsonValue *loss = require(*json, "loss", "train");
  if (loss && (loss->isObject() || loss->isArray())) {
    error(*loss, "loss: expected the name of a value but got " + loss->describe(), "weigh and add losses with nodes 'mul' and 'add', and name the sum here");
  } else if (loss) {
    train.loss = lookUp(*loss, top);
    if (train.loss != kNoValue) {
      const TensorType &type = valueOf(top, train.loss).type;
      if (isKnown(type) && (!type.shape.empty() || !isFloat(type.dtype)))
        error(*loss,
              std::string("expected a loss that is one float but got ") + dtypeName(type.dtype) + " " +
                  shapeText(type.shape),
              type.shape.empty() ? "" : "use a reduction, or op 'mean'");
    }
  }
  if (model.tensors.empty() && !root.find("entries") && !diagnostics.hasErrors())
    error(*json, "train: the model has no parameters");
  if (const JsonValue *optimizer = json->find("optimizer"))
    readOptimizer(*optimizer, train.optimizer);
  else
    train.optimizer.weightDecay = kAdamWDecay;
  if (const JsonValue *schedule = json->find("schedule"))
    readSchedule(*schedule, train.schedule);
  if (const JsonValue *clip = json->find("clip_grad_norm"))
    readReal(*clip, config, train.clipGradNorm, AttrRange::positive);
  if (const JsonValue *accumulate = json->find("accumulate");
      accumulate && readWhole(*accumulate, config, train.accumulate) && train.accumulate < 1)
    error(*accumulate, "accumulate: expected at least 1 but got " + std::to_string(train.accumulate));
  if (const JsonValue *freeze = json->find("freeze"); freeze && readGlobs(*freeze, train.freeze)) {
    warnOfIdle(*freeze, "freeze", train.freeze, parameterNames(), "parameter");
    if (trainableTensors(model).empty() && !model.tensors.empty() && !diagnostics.hasErrors())
      diagnostics.warning(freeze->position(), "freeze leaves no parameter to train");
  }
  if (const JsonValue *recompute = json->find("recompute")) {
    if (recompute->isArray()) {
      train.recompute = "globs";
      if (readGlobs(*recompute, train.recomputeGlobs))
        warnOfIdle(*recompute, "recompute", train.recomputeGlobs, allNodes(model), "node");
    } else if (recompute->isString() && recompute->text.find('*') != std::string::npos) {
      train.recompute = "globs";
      train.recomputeGlobs = {recompute->text};
      warnOfIdle(*recompute, "recompute", train.recomputeGlobs, allNodes(model), "node");
    } else {
      readWord(*recompute, {"none", "block"}, train.recompute);
    }
  }
  if (const JsonValue *scale = json->find("loss_scale")) {
    std::string word;
    if (readWord(*scale, {"dynamic"}, word)) {
      train.dynamicLossScale = true;
      if (model.precision.compute != DType::f16)
        error(*scale,
              "loss_scale is for precision.compute 'f16', but it is " + quote(dtypeName(model.precision.compute)));
    }
  }
}

/// What a training entry would do wrong in silence: average batches by another weight than the loss has, or change nothing, as its
/// loss is no function of its parameters as far as gradients go.
void ModelReader::checkTraining() {
  const bool trains = std::any_of(model.entries.begin(), model.entries.end(), [](const EntryDesc &entry) { return entry.mode == EntryDesc::Mode::train; });
  if (const Node *loss = trains && model.train->accumulate > 1 ? batchWeight(model).uncounted : nullptr)
    diagnostics.warning(root.find("train")->find("accumulate")->position(),
                        "accumulate: the loss is not the mean of node " + quote(loss->path) + " alone, so a batch counts by its samples and not by its labels",
                        "exact where each batch has as many labels that count");
  const Node *obstacle = nullptr;
  if (!trains || trainableTensors(model).empty() || lossReachesParameter(model, obstacle))
    return;
  const JsonValue &loss = *root.find("train")->find("loss");
  error(loss, "no gradient of the loss reaches a parameter",
        obstacle ? "node " + quote(obstacle->path) + " (" + obstacle->op + ") makes values without a gradient of floats"
                 : std::string("the loss depends on no parameter") + (model.train->freeze.empty() ? "" : " that 'freeze' leaves to train"));
}

std::vector<std::string> ModelReader::parameterNames() const {
  std::vector<std::string> names;
  for (const ParamTensor &tensor : model.tensors)
    names.push_back(tensor.name);
  return names;
}

void ModelReader::warnOfIdle(const JsonValue &json, const char *key, const std::vector<std::string> &globs, const std::vector<std::string> &names,
                             const char *what) {
  for (size_t i = 0; i < globs.size() && !diagnostics.hasErrors(); ++i)
    if (std::none_of(names.begin(), names.end(), [&](const std::string &name) { return matchGlob(globs[i], name); }))
      diagnostics.warning((json.isArray() ? *json.items[i] : json).position(), std::string(key) + " " + quote(globs[i]) + " matches no " + what);
}

void ModelReader::readOptimizer(const JsonValue &json, OptimizerDesc &optimizer) {
  if (!checkKeys(json, {"kind", "lr", "momentum", "nesterov", "betas", "eps", "weight_decay", "no_decay"}, "optimizer"))
    return;
  if (const JsonValue *kind = require(json, "kind", "optimizer"))
    readWord(*kind, {"sgd", "adam", "adamw"}, optimizer.kind);
  if (optimizer.kind == "adamw")
    optimizer.weightDecay = kAdamWDecay;
  bool isSgd = optimizer.kind == "sgd";
  for (const char *key : {"momentum", "nesterov"})
    if (const JsonValue *value = json.find(key); value && !isSgd)
      error(*value, "'" + std::string(key) + "' is for sgd, but the optimizer is " + quote(optimizer.kind));
  for (const char *key : {"betas", "eps"})
    if (const JsonValue *value = json.find(key); value && isSgd)
      error(*value, "'" + std::string(key) + "' is for adam and adamw, but the optimizer is 'sgd'");
  struct Real {
    const char *key;
    double *place;
    AttrRange range;
  };
  for (const Real &next : {Real{"lr", &optimizer.lr, AttrRange::positive},
                           Real{"momentum", &optimizer.momentum, AttrRange::probability},
                           Real{"eps", &optimizer.eps, AttrRange::nonNegative},
                           Real{"weight_decay", &optimizer.weightDecay, AttrRange::nonNegative}})
    if (const JsonValue *value = json.find(next.key))
      readReal(*value, config, *next.place, next.range);
  if (const JsonValue *nesterov = json.find("nesterov");
      nesterov && readBoolean(*nesterov, config, optimizer.nesterov) && optimizer.nesterov && optimizer.momentum == 0)
    error(*nesterov, "nesterov needs a momentum above 0");
  if (const JsonValue *betas = json.find("betas")) {
    if (!betas->isArray() || betas->items.size() != 2)
      error(*betas, "betas: expected two numbers but got " + betas->describe());
    else {
      readReal(*betas->items[0], config, optimizer.beta1, AttrRange::probability);
      readReal(*betas->items[1], config, optimizer.beta2, AttrRange::probability);
    }
  }
  const JsonValue *noDecay = json.find("no_decay");
  if (noDecay && noDecay->isObject()) {
    checkKeys(*noDecay, {"rank_below"}, "no_decay");
    if (const JsonValue *rank = require(*noDecay, "rank_below", "no_decay"))
      readWhole(*rank, config, optimizer.noDecayRankBelow);
  } else if (noDecay && readGlobs(*noDecay, optimizer.noDecay)) {
    warnOfIdle(*noDecay, "no_decay", optimizer.noDecay, parameterNames(), "parameter");
  }
}

void ModelReader::readSchedule(const JsonValue &json, ScheduleDesc &schedule) {
  std::vector<std::string> words, all = {"kind"};
  for (const ScheduleKind &kind : scheduleKinds()) {
    words.emplace_back(kind.name);
    for (const auto *keys : {&kind.required, &kind.optional})
      for (const std::string &key : *keys)
        if (std::find(all.begin(), all.end(), key) == all.end())
          all.push_back(key);
  }
  if (!checkKeys(json, all, "schedule"))
    return;
  const JsonValue *kindJson = require(json, "kind", "schedule");
  if (!kindJson || !readWord(*kindJson, words, schedule.kind))
    return;
  for (const ScheduleKind &kind : scheduleKinds()) {
    if (schedule.kind != kind.name)
      continue;
    for (const std::string &key : kind.required)
      require(json, key.c_str(), "schedule '" + schedule.kind + "'");
    for (const JsonMember &member : json.members) {
      bool fits = std::find(kind.required.begin(), kind.required.end(), member.key) != kind.required.end() ||
                  std::find(kind.optional.begin(), kind.optional.end(), member.key) != kind.optional.end();
      if (member.key == "kind" || std::find(all.begin(), all.end(), member.key) == all.end())
        continue;
      if (!fits) {
        keyError(member, "schedule " + quote(schedule.kind) + " has no key " + quote(member.key));
        continue;
      }
      bool isCount =
          member.key.find("steps") != std::string::npos || member.key == "step_size" || member.key == "d_model";
      int64_t whole = 0;
      double real = 0;
      if (isCount ? !readWhole(*member.value, config, whole)
                  : !readReal(*member.value, config, real, AttrRange::nonNegative))
        continue;
      if (isCount && whole < (member.key == "warmup_steps" && schedule.kind != "noam" ? 0 : 1))
        error(*member.value, member.key + ": expected at least " +
                                 (member.key == "warmup_steps" && schedule.kind != "noam" ? "0" : "1") + " but got " +
                                 std::to_string(whole));
      if (member.key == "min_lr_ratio" && real > 1)
        error(*member.value, "min_lr_ratio: expected a number from 0 to 1 but got " + member.value->describe(), "it is a share of lr");
      schedule.numbers[member.key] = isCount ? static_cast<double>(whole) : real;
    }
  }
  auto warmup = schedule.numbers.find("warmup_steps"), total = schedule.numbers.find("total_steps");
  if (warmup != schedule.numbers.end() && total != schedule.numbers.end() && total->second >= 1 && warmup->second > total->second)
    diagnostics.warning(json.find("warmup_steps")->position(),
                        "warmup_steps " + std::to_string(int64_t(warmup->second)) + " is above total_steps " + std::to_string(int64_t(total->second)) +
                            ": the learning rate still rises when the schedule ends");
  auto defaultTo = [&](const char *key, double value) { schedule.numbers.emplace(key, value); };
  defaultTo("warmup_steps", 0);
  defaultTo("min_lr_ratio", 0);
  if (schedule.kind == "noam")
    defaultTo("factor", 1);
  if (schedule.kind == "step")
    defaultTo("gamma", 0.1);
  if (schedule.kind == "wsd" && schedule.numbers.count("total_steps"))
    defaultTo("decay_steps", schedule.numbers["total_steps"] / 5);
}

} // namespace weft
