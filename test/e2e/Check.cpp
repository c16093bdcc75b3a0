// One call: interpreter in f64 and naive f32, object with one thread and with two.
// The two runs of the object must give the same bits; NaN is compared by its bits too.
#include "Check.h"

#include "import/EntryInputs.h"
#include "import/ReadModel.h"

#include <algorithm>
#include <cstring>

namespace weft::e2e {

using namespace reference;

namespace {

// Rows of padding (axis 1 at or past valid[b]) hold nothing that is promised: they are made equal.
void forgetPadding(Tensor &got, const Tensor &expected, const std::vector<int64_t> &valid, int64_t tokens) {
  if (valid.empty() || expected.rank() < 2 || expected.shape != got.shape || expected.shape[0] != static_cast<int64_t>(valid.size()) || expected.shape[1] != tokens)
    return;
  int64_t inner = expected.count() / std::max<int64_t>(1, expected.shape[0] * tokens);
  for (size_t b = 0; b < valid.size(); ++b)
    for (int64_t i = (b * tokens + valid[b]) * inner; i < static_cast<int64_t>(b + 1) * tokens * inner; ++i)
      if (got.real())
        got.reals[i] = expected.reals[i];
      else
        got.integers[i] = expected.integers[i];
}

}  // namespace

std::optional<ModelDesc> readCase(const std::string &text, Tally &tally) {
  Diagnostics diagnostics;
  SourceText source;
  source.file = "case.json";
  source.text = text;
  std::optional<ModelDesc> desc = readModel(std::move(source), {}, diagnostics);
  if (!desc)
    tally.failures.push_back("read: " + diagnostics.str() + text);
  return desc;
}

Bound defaultBound() {
  Bound bound;
  bound.absolute = 0x1p-126;
  return bound;
}

void Checker::open(const std::map<std::string, int64_t> &maxDims) {
  if (!compiled)
    return;
  std::string error;
  one = std::make_unique<Session>(*compiled, maxDims, 1, error);
  two = std::make_unique<Session>(*compiled, maxDims, 2, error);
  opened = maxDims;
  caches.clear();
  naiveCaches.clear();
  if (!error.empty()) {
    fail("session", error);
    one = nullptr;
    two = nullptr;
  }
}

void Checker::recall(const CallSpec &spec, RunOptions &options) const {
  for (const EntryDesc &entry : desc.entries) {
    std::vector<std::string> names;
    if (entry.name != spec.entry || prefillsOf(desc, entry, &names).empty())
      continue;
    for (const InputDesc &input : desc.inputs) {
      if (std::find(names.begin(), names.end(), input.name) == names.end())
        continue;
      options.inputs.erase(input.name);
      if (auto found = kept.find(entry.name); found != kept.end() && found->second.count(input.name))
        options.inputs[input.name] = found->second.at(input.name);
      for (const DimExpr &size : input.type.shape) // the input shows its sizes
        for (const std::string &dim : size.names())
          options.dims.erase(dim);
    }
  }
}

void Checker::keep(const CallSpec &spec) {
  for (const EntryDesc &step : desc.entries)
    for (const EntryDesc *prefill : prefillsOf(desc, step))
      if (prefill->name == spec.entry)
        kept[step.name] = spec.inputs;
}

void Checker::call(const CallSpec &spec, const std::string &label) {
  RunOptions options;
  options.entry = spec.entry;
  options.inputs = spec.inputs;
  options.parameters = parameters;
  options.dims = spec.dims;
  options.valid = spec.valid;
  if (spec.reset) {
    caches.clear();
    naiveCaches.clear();
    kept.clear();
  }
  recall(spec, options);
  options.caches = &caches;
  RunResult expected = runReference(desc, options);
  if (!expected.ok() && spec.expectedError.empty())
    return fail(label, "interpreter: " + expected.error);
  if (expected.ok())
    keep(spec);
  options.caches = &naiveCaches;
  options.arithmetic = Arithmetic::f32;
  RunResult naive = runReference(desc, options);
  if (!compiled) {
    ++tally.calls;
    for (const auto &[name, value] : expected.outputs)
      tally.elements += value.count();
    if (expected.ok() != spec.expectedError.empty())
      fail(label, "the interpreter found no error");
    return;
  }

  std::map<std::string, int64_t> dims = expected.dims;
  dims.insert(spec.dims.begin(), spec.dims.end());
  if (!one)
    open(dims);
  if (!one)
    return;
  if (spec.reset) {
    one->reset();
    two->reset();
  }
  Outcome first = one->run(spec.entry, dims, spec.inputs, spec.valid), second = two->run(spec.entry, dims, spec.inputs, spec.valid);
  ++tally.calls;
  if (!spec.expectedError.empty()) {
    if (expected.ok())
      fail(label, "the interpreter found no error");
    if (first.error.find(spec.expectedError) == std::string::npos)
      fail(label, "expected the error '" + spec.expectedError + "' but got '" + first.error + "'");
    return;
  }
  if (!first.error.empty())
    return fail(label, first.error);
  if (!second.error.empty())
    return fail(label, "two threads: " + second.error);
  for (const auto &[name, want] : expected.outputs) {
    if (name == "loss" && !first.outputs.count(name))
      continue;
    auto got = first.outputs.find(name);
    if (got == first.outputs.end()) {
      fail(label, "no output '" + name + "'");
      continue;
    }
    int64_t tokens = dims.count("T") ? dims.at("T") : 1;
    if (tokens > 1) {
      forgetPadding(got->second, want, spec.valid, tokens);
      forgetPadding(second.outputs.at(name), want, spec.valid, tokens);
    }
    auto naiveValue = naive.outputs.find(name);
    Comparison compared = compare(got->second, want, naiveValue == naive.outputs.end() ? nullptr : &naiveValue->second, bound);
    tally.elements += compared.elements;
    if (compared.worstRatio > tally.worstRatio) {
      tally.worstRatio = compared.worstRatio;
      tally.worst = label + " '" + name + "' " + compared.worst.str();
    }
    if (!compared.ok())
      fail(label, "'" + name + "' " + shapeText(want.shape) + ": " + compared.str());
    if (toBytes(got->second) != toBytes(second.outputs.at(name)))
      fail(label, "'" + name + "': two threads give other bits than one");
  }
}

}  // namespace weft::e2e
