// `entries`: what of the model can be called, with which outputs, states and fixed dims; and `generate` entries on top.
// Without the section: `forward` with all outputs, and `train_step` if there is a `train`.
#include "import/CacheDims.h"
#include "import/ModelReader.h"

#include <algorithm>

namespace weft {
namespace {

std::vector<std::string> outputNames(const ModelDesc &model) {
  std::vector<std::string> names;
  for (const OutputDesc &output : model.outputs)
    names.push_back(output.name);
  return names;
}

/// The item of a text-or-list value that stands for its n-th text.
const JsonValue &itemOf(const JsonValue &value, size_t n) { return value.isArray() ? *value.items[n] : value; }

} // namespace

void ModelReader::readEntries() {
  const JsonValue *json = root.find("entries");
  if (!json || (json->isObject() && json->members.empty())) {
    EntryDesc forward;
    forward.name = "forward";
    forward.outputs = outputNames(model);
    model.entries.push_back(forward);
    if (model.train) {
      EntryDesc train;
      train.name = "train_step";
      train.mode = EntryDesc::Mode::train;
      model.entries.push_back(train);
      addEvaluation(train);
    }
    return;
  }
  if (!json->isObject()) {
    error(*json, "entries: expected an object but got " + json->describe());
    return;
  }
  auto isGenerate = [](const JsonValue &value) {
    return value.find("prefill") || value.find("step") || value.find("max_new_tokens") || value.find("sample");
  };
  for (bool generates : {false, true})
    for (const JsonMember &member : json->members) {
      if (member.key == "doc" || member.key.compare(0, 2, "x-") == 0 || isGenerate(*member.value) != generates)
        continue;
      if (!checkDeclaredName(member, "entry"))
        continue;
      if (generates)
        readGenerate(member);
      else
        readEntry(member);
    }
  checkEntryNames(*json);
  // Each is compiled from nodes of its own.
  if (nodeCount > 0 && model.entries.size() > limits.entryNodes / nodeCount)
    limitError(*json, "more than " + std::to_string(limits.entryNodes) + " nodes in " + std::to_string(model.entries.size()) + " entries of a graph of " + std::to_string(nodeCount), "entryNodes");
}

/// Entries, dims and states are symbols of one table; so is the entry that stands beside a training entry.
void ModelReader::checkEntryNames(const JsonValue &json) {
  for (const JsonMember &member : json.members) {
    auto named = [&](const auto &list) {
      return std::count_if(list.begin(), list.end(), [&](const auto &other) { return other.name == member.key; });
    };
    const bool isDim = named(model.dims) > 0, isState = named(model.states) > 0;
    if (named(model.entries) > 0 && (isDim || isState))
      keyError(member, "entry " + quote(member.key) + ": a " + (isDim ? "dim" : "state") + " has this name");
    else if (named(model.entries) > 1)
      keyError(member, "entry " + quote(member.key) + ": the evaluation of a training entry has this name");
  }
}

/// Beside each training entry stands one for its loss alone.
void ModelReader::addEvaluation(const EntryDesc &train) {
  EntryDesc eval = train;
  eval.name += "_eval";
  eval.mode = EntryDesc::Mode::eval;
  eval.outputs.clear();
  model.entries.push_back(eval);
}

void ModelReader::readEntry(const JsonMember &member) {
  const JsonValue &value = *member.value;
  const std::string what = "entry " + quote(member.key);
  if (!checkKeys(value, {"outputs", "mode", "state", "dims", "last_token_only", "gradients"}, what))
    return;
  EntryDesc entry;
  entry.name = member.key;
  entry.pos = member.position();
  if (const JsonValue *mode = value.find("mode")) {
    std::string word;
    if (readWord(*mode, {"infer", "train", "grad"}, word))
      entry.mode = word == "train"  ? EntryDesc::Mode::train
                   : word == "grad" ? EntryDesc::Mode::grad
                                    : EntryDesc::Mode::infer;
    if (entry.mode != EntryDesc::Mode::infer && !model.train && !root.find("train"))
      error(*mode, "mode " + quote(word) + " needs a 'train' section with a loss");
    bool hasNothing = model.tensors.empty() && !diagnostics.hasErrors();
    if (hasNothing && (word == "train" || (word == "grad" && !value.find("gradients"))))
      error(*mode, "the model has no parameters",
            word == "grad" ? R"(name inputs, as in "gradients": ["x"])" : "mode 'grad' gives the gradients of inputs");
  }
  bool infers = entry.mode == EntryDesc::Mode::infer;
  const JsonValue *outputs = value.find("outputs");
  if (outputs && readTexts(*outputs, entry.outputs)) {
    auto known = outputNames(model);
    const JsonValue *declared = root.find("outputs");
    bool lostOutputs = !declared || !declared->isObject() || declared->members.empty(); // reported
    for (size_t i = 0; i < entry.outputs.size(); ++i) {
      if (std::find(known.begin(), known.end(), entry.outputs[i]) == known.end()) {
        if (lostOutputs)
          continue;
        error(itemOf(*outputs, i), "no output " + quote(entry.outputs[i]), didYouMean(entry.outputs[i], known));
      } else if (std::find(entry.outputs.begin(), entry.outputs.begin() + i, entry.outputs[i]) !=
               entry.outputs.begin() + i)
        error(itemOf(*outputs, i), "output " + quote(entry.outputs[i]) + " is named twice");
    }
    if (entry.outputs.empty())
      error(*outputs, what + " has no outputs");
  } else if (!outputs && infers) {
    entry.outputs = outputNames(model);
  }
  if (const JsonValue *states = value.find("state")) {
    std::vector<std::string> names, known;
    for (const StateDesc &state : model.states)
      known.push_back(state.name);
    if (!infers)
      error(*states, what + ": only mode 'infer' binds a state");
    if (readTexts(*states, names))
      for (size_t i = 0; i < names.size(); ++i) {
        auto found = std::find(known.begin(), known.end(), names[i]);
        if (found == known.end()) {
          if (const JsonValue *declared = root.find("state");
              declared ? declared->isObject() && !declared->find(names[i]) : !isMisspelt(root, "state"))
            error(itemOf(*states, i), "no state " + quote(names[i]), didYouMean(names[i], known));
          continue;
        }
        entry.states.push_back(static_cast<int32_t>(found - known.begin()));
        if (auto mask = masksWithCache.find(names[i]); mask != masksWithCache.end())
          diagnostics.error(mask->second, "an attention whose cache is bound (entry " + quote(member.key) +
                                              ") takes no key_mask, mask or bias");
      }
  }
  if (const JsonValue *dims = value.find("dims")) {
    if (!dims->isObject())
      error(*dims, "dims: expected an object but got " + dims->describe());
    for (const JsonMember &fixed : dims->members) {
      std::vector<std::string> known;
      const DimDesc *dim = nullptr;
      for (const DimDesc &next : model.dims) {
        known.push_back(next.name);
        dim = next.name == fixed.key ? &next : dim;
      }
      int64_t size = 0;
      if (!dim && isLost("dims"))
        continue;
      if (!dim)
        keyError(fixed, "no dim " + quote(fixed.key), didYouMean(fixed.key, known));
      else if (readWhole(*fixed.value, config, size)) {
        if (size < dim->min || size > dim->max || size % dim->multipleOf)
          error(*fixed.value, "dim " + quote(fixed.key) + " cannot be " + std::to_string(size) + ", its range is " +
                                  std::to_string(dim->min) + ".." + std::to_string(dim->max) +
                                  (dim->multipleOf > 1 ? " in multiples of " + std::to_string(dim->multipleOf) : ""));
        entry.fixedDims[fixed.key] = size;
      }
    }
  }
  if (const JsonValue *last = value.find("last_token_only");
      last && readBoolean(*last, config, entry.lastTokenOnly) && entry.lastTokenOnly) {
    if (!infers)
      error(*last, "last_token_only is for mode 'infer'");
    for (const OutputDesc &output : model.outputs) {
      if (output.value == kNoValue ||
          std::find(entry.outputs.begin(), entry.outputs.end(), output.name) == entry.outputs.end())
        continue;
      const TensorType &type = valueOf(top, output.value).type;
      if (isKnown(type) && type.shape.size() < 2)
        error(*last, "last_token_only needs a position axis 1, but output " + quote(output.name) + " is " +
                         shapeText(type.shape));
    }
  }
  if (const JsonValue *gradients = value.find("gradients")) {
    if (entry.mode != EntryDesc::Mode::grad)
      error(*gradients, "gradients are for mode 'grad'");
    if (readGlobs(*gradients, entry.gradients))
      for (size_t i = 0; i < entry.gradients.size(); ++i) {
        const std::string &glob = entry.gradients[i];
        std::vector<std::string> known;
        for (const ParamTensor &tensor : model.tensors)
          known.push_back(tensor.name);
        auto addFloats = [&](const std::vector<InputDesc> &inputs) {
          for (const InputDesc &input : inputs)
            if (isKnown(input.type) && isFloat(input.type.dtype))
              known.push_back(input.name);
        };
        addFloats(model.inputs);
        if (model.train)
          addFloats(model.train->inputs);
        if (!diagnostics.hasErrors() &&
            std::none_of(known.begin(), known.end(), [&](const std::string &name) { return matchGlob(glob, name); }))
          error(itemOf(*gradients, i), "gradient " + quote(glob) + " matches no parameter and no float input",
                didYouMean(glob, known));
      }
  }
  checkCacheDims(entry);
  model.entries.push_back(entry);
  if (entry.mode == EntryDesc::Mode::train)
    addEvaluation(entry);
}

/// A call says by one size how many positions it adds, and by one how many sequences there are.
void ModelReader::checkCacheDims(const EntryDesc &entry) {
  if (diagnostics.hasErrors())
    return;
  const std::string what = "a cache that entry " + quote(entry.name) + " binds";
  std::optional<CachedKeys> first;
  for (int32_t state : entry.states)
    for (const CachedKeys &keys : cachedKeys(model, model.states[size_t(state)].name)) {
      const DimExpr &batch = keys.shape[0], &token = keys.shape[1];
      const Position &pos = keys.attention->pos;
      if (!token.name())
        diagnostics.error(pos, what + " grows by axis 1 of k, which must be a dim but is " + token.str());
      else if (!batch.name() && batch != DimExpr(1))
        diagnostics.error(pos, what + " has a sequence for each of axis 0 of k, which must be a dim or 1 but is " + batch.str());
      else if (first && (first->shape[0] != batch || first->shape[1] != token))
        diagnostics.error(pos, "caches that entry " + quote(entry.name) + " binds grow alike, but k is " + shapeText(keys.shape) + " here and " + shapeText(first->shape) + " at node " +
                                   quote(first->attention->path));
      if (!first)
        first = keys;
    }
}

void ModelReader::readGenerate(const JsonMember &member) {
  const JsonValue &value = *member.value;
  const std::string what = "entry " + quote(member.key);
  if (!checkKeys(value, {"prefill", "step", "max_new_tokens", "stop", "sample"}, what))
    return;
  GenerateDesc generate;
  generate.name = member.key;
  generate.pos = member.position();
  std::vector<std::string> known;
  for (const EntryDesc &entry : model.entries)
    known.push_back(entry.name);
  const EntryDesc *step = nullptr;
  for (auto [key, place] : {std::pair("prefill", &generate.prefill), std::pair("step", &generate.step)}) {
    const JsonValue *given = require(value, key, what);
    if (!given || !readText(*given, *place))
      continue;
    auto found = std::find(known.begin(), known.end(), *place);
    if (found == known.end()) {
      error(*given, "no entry " + quote(*place), didYouMean(*place, known));
      continue;
    }
    const EntryDesc &entry = model.entries[found - known.begin()];
    if (entry.mode != EntryDesc::Mode::infer)
      error(*given, "entry " + quote(*place) + " is not of mode 'infer'");
    else if (entry.outputs.size() != 1)
      error(*given, "entry " + quote(*place) + " needs one output, the logits, but has " +
                        std::to_string(entry.outputs.size()));
    else if (const JsonValue *own = root.find("entries")->find(*place);
             entry.states.empty() && !own->find("state") && !isMisspelt(*own, "state"))
      error(*given, "entry " + quote(*place) + " binds no state, so it cannot go on from the tokens before",
            model.states.empty() ? "declare a kv_cache under 'state'" : "give it \"state\": [\"" + model.states.front().name + "\"]");
    else if (std::string_view(key) == "step")
      step = &entry;
  }
  if (step) {
    // The tokens are what the step reads one position at a time.
    std::vector<std::string> candidates;
    for (const InputDesc &input : model.inputs) {
      bool fixed = isKnown(input.type) && isIndex(input.type.dtype) &&
                   std::any_of(input.type.shape.begin(), input.type.shape.end(), [&](const DimExpr &size) {
                     auto name = size.name();
                     auto found = name ? step->fixedDims.find(*name) : step->fixedDims.end();
                     return found != step->fixedDims.end() && found->second == 1;
                   });
      if (fixed)
        candidates.push_back(input.name);
    }
    if (candidates.size() == 1)
      generate.tokenInput = candidates[0];
    else if (!diagnostics.hasErrors())
      error(*value.find("step"),
            candidates.empty()
                ? "entry " + quote(step->name) + " fixes no dim of an integer input to 1, so there is no token input"
                : "entry " + quote(step->name) + " has more than one token input: " + listWords(candidates),
            candidates.empty() ? "give it \"dims\": {\"T\": 1}" : "");
  }
  if (const JsonValue *most = require(value, "max_new_tokens", what);
      most && readWhole(*most, config, generate.maxNewTokens) && generate.maxNewTokens < 1)
    error(*most, "max_new_tokens: expected at least 1 but got " + std::to_string(generate.maxNewTokens));
  if (const JsonValue *stop = value.find("stop")) {
    size_t tokens = stop->isArray() ? stop->items.size() : stop->isNumber() || stop->isString() ? 1 : 0;
    if (tokens == 0 && !stop->isArray())
      error(*stop, "stop: expected a token or a list of tokens but got " + stop->describe());
    for (size_t i = 0; i < tokens; ++i) {
      int64_t token = 0;
      if (readWhole(itemOf(*stop, i), config, token)) {
        generate.stop.push_back(token);
        if (token < 0)
          error(itemOf(*stop, i), "stop: expected a token of 0 or more but got " + std::to_string(token));
      }
    }
  }
  const JsonValue *sample = value.find("sample");
  if (sample && checkKeys(*sample, {"kind", "temperature", "k", "p", "beams", "length_penalty", "seed"}, "sample")) {
    if (const JsonValue *kind = sample->find("kind"))
      readWord(*kind, {"greedy", "multinomial", "top_k", "top_p", "beam"}, generate.kind);
    if (const JsonValue *temperature = sample->find("temperature"))
      readReal(*temperature, config, generate.temperature, AttrRange::nonNegative);
    if (const JsonValue *p = sample->find("p");
        p && readReal(*p, config, generate.p, AttrRange::positive) && generate.p > 1)
      error(*p, "p: expected a number above 0 and up to 1");
    if (const JsonValue *penalty = sample->find("length_penalty"))
      readReal(*penalty, config, generate.lengthPenalty);
    if (const JsonValue *k = sample->find("k"); k && readWhole(*k, config, generate.k) && generate.k < 0)
      error(*k, "k: expected 0 (no limit) or more but got " + std::to_string(generate.k));
    if (const JsonValue *beams = sample->find("beams");
        beams && readWhole(*beams, config, generate.beams) && generate.beams < 1)
      error(*beams, "beams: expected at least 1 but got " + std::to_string(generate.beams));
    int64_t seed = 0;
    if (const JsonValue *given = sample->find("seed"); given && readWhole(*given, config, seed) && seed < 0)
      error(*given, "seed: expected 0 or more but got " + std::to_string(seed));
    generate.seed = static_cast<uint64_t>(seed);
    if (generate.kind == "top_k" && generate.k < 1)
      error(*sample, "kind 'top_k' needs 'k'");
  }
  model.generates.push_back(std::move(generate));
}

} // namespace weft
