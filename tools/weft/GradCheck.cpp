// First whole tensors, as they are what training uses; only when one is wrong, or on demand, the nodes one by one.
#include "GradCheck.h"

#include "ReferenceValues.h"

#include "import/ImportGraph.h"

#include <algorithm>

namespace weft {

bool GradCheck::ok() const {
  return std::none_of(tensors.begin(), tensors.end(), [](const SlopeCheck &check) { return check.wrong(); }) && (!nodes || nodes->wrong.empty());
}

/// Inputs that were left out are what the entry fills in.
static void fillIn(const InputDesc &input, const Sizes &sizes, std::map<std::string, reference::Tensor> &inputs) {
  if (!input.optional || inputs.count(input.name))
    return;
  std::vector<int64_t> shape;
  for (const DimExpr &size : input.type.shape)
    shape.push_back(size.evaluate(sizes).value_or(0));
  reference::Tensor tensor = reference::zeros(input.type.dtype, shape).value_or(reference::Tensor());
  std::fill(tensor.reals.begin(), tensor.reals.end(), input.fill);
  std::fill(tensor.integers.begin(), tensor.integers.end(), int64_t(input.fill));
  inputs[input.name] = std::move(tensor);
}

int checkGradients(const CommonOptions &options, Runner &runner, const std::string &entry, const std::vector<HostTensor> &inputs,
                   const std::vector<HostTensor> &outputs, const Sizes &sizes, int directions, bool allNodes, GradCheck &result) {
  ModelDesc &model = runner.model;
  result.seed = options.seed;
  result.directions = directions;
  auto own = std::find_if(model.entries.begin(), model.entries.end(), [&](const EntryDesc &e) { return e.name == entry; });
  own->outputs.clear(); // the loss is enough
  reference::RunOptions at;
  at.entry = entry;
  at.dims = entrySizes(model, entry, sizes);
  if (own->dropout)
    at.dropout = reference::Dropout{[](const std::string &path) { return randomSite(path); }};
  for (const HostTensor &tensor : inputs)
    if (!tensor.bytes.empty() || !tensor.shape.empty())
      at.inputs[tensor.name] = toReference(tensor);
  for (const InputDesc &input : model.inputs)
    fillIn(input, at.dims, at.inputs);
  for (const InputDesc &input : model.train->inputs)
    fillIn(input, at.dims, at.inputs);
  if (int code = parametersToReference(runner, model, at.parameters))
    return code;

  NodeCheck nodes(model, *own, at.dims);
  const DType compute = model.precision.compute;
  widen(model);
  std::vector<std::pair<std::string, const HostTensor *>> gradients;
  for (const HostTensor &output : outputs)
    if (output.name.compare(0, 5, "grad.") == 0)
      gradients.emplace_back(output.name.substr(5), &output);
  if (std::string reason; !Slopes(model, at, compute, options.seed).check(gradients, directions, result.tensors, reason))
    return fail(kInvalid, "the reference can't compute this: " + escapeText(reason));
  if (result.ok() && !allNodes)
    return kOk;
  at.keepAll = true;
  nodes.run(options, at, reference::runReference(model, at), directions, result.nodes.emplace());
  return kOk;
}

static std::string shortText(const char *format, double a, double b = 0) {
  char text[120];
  std::snprintf(text, sizeof(text), format, a, b);
  return text;
}

static const char *verdictOf(const SlopeCheck &check) {
  return check.wrong() ? "WRONG" : check.isKinked() ? "kink" : check.isCorner ? "corner" : check.tooSmall() ? "small" : "ok";
}

static std::string numbersText(const SlopeCheck &check) {
  return shortText(" (gradient %.4g", check.gradient) + " " + check.where +
         shortText(", derivative %.4g)\n", check.derivative);
}

static std::string ruleText(const ModelDesc &model, const WrongRule &wrong) {
  std::string place = escapeText(model.file) + ":" + std::to_string(wrong.pos.line) + ":" + std::to_string(wrong.pos.column);
  return "the rule of op " + quote(wrong.op) + " is wrong at node " + quote(wrong.node) + " (" + place + "): the gradient of its " + wrong.of +
         shortText(" differs by %.3g", wrong.check.worst) + numbersText(wrong.check);
}

void printGradCheck(const ModelDesc &model, const GradCheck &check) {
  size_t width = 6, wrong = 0, kinks = 0, corners = 0, small = 0, elements = 0, differences = 0;
  for (const SlopeCheck &tensor : check.tensors)
    width = std::max(width, tensor.name.size());
  std::string text = "gradients against derivatives of the f64 reference, " + std::to_string(check.directions) +
                     (check.directions == 1 ? " random direction" : " random directions") + " a tensor, seed " + std::to_string(check.seed) +
                     "\n  tensor" + std::string(width - 6, ' ') + "        norm  difference     allowed\n";
  for (const SlopeCheck &tensor : check.tensors) {
    text += "  " + escapeText(tensor.name) + std::string(width - tensor.name.size(), ' ') + shortText("  %10.3g  %10.3g", tensor.norm, tensor.worst) +
            shortText("  %10.3g  ", tensor.allowed) + verdictOf(tensor) + (tensor.wrong() ? numbersText(tensor) : "\n");
    wrong += tensor.wrong();
    kinks += tensor.isKinked();
    differences += tensor.differences > 0;
    corners += tensor.isCorner;
    small += tensor.tooSmall();
    elements += tensor.byElement;
  }
  text += wrong ? std::to_string(wrong) + " of " + std::to_string(check.tensors.size()) + " tensors are wrong\n"
                : (kinks || corners || small ? "all others agree" : "all agree") + std::string("\n");
  text += std::to_string(elements) + " tensors were compared element by element, " + std::to_string(differences) +
          " derivatives were also compared with central differences\n";
  if (kinks)
    text += "kink: " + std::to_string(kinks) + " can't be compared, as every direction that was drawn crosses one at once\n";
  if (corners)
    text += "corner: " + std::to_string(corners) + " have the reference's derivative, but its loss has a corner where they stand: differences give another\n";
  if (small)
    text += "small: " + std::to_string(small) + " can't be told from 0 beside the largest gradient" +
            (check.nodes ? "\n" : "; --nodes checks the rules alone\n");
  if (check.nodes) {
    for (const Unchecked &left : check.nodes->unchecked)
      text += "node " + quote(left.node) + (left.partly ? " is only partly checked: " : " is not checked: ") + escapeText(left.reason) + "\n";
    for (const WrongRule &rule : check.nodes->wrong)
      text += ruleText(model, rule);
    if (check.nodes->wrong.empty())
      text += "the rules of all " + std::to_string(check.nodes->rules) + " different nodes agree when each is alone" +
              (wrong ? ": the fault lies in how they are put together\n" : "\n");
  }
  print(text);
}

static void writeCheck(JsonWriter &json, const SlopeCheck &check) {
  json.key("norm").number(check.norm).key("difference").number(check.worst).key("allowed").number(check.allowed);
  json.key("gradient").number(check.gradient).key("derivative").number(check.derivative).key("where").string(check.where);
  json.key("by_element").boolean(check.byElement).key("differences").integer(check.differences).key("kinks").integer(check.kinks);
  json.key("central_difference").number(check.centralDifference).key("corner").boolean(check.isCorner);
}

void writeGradCheck(JsonWriter &json, const GradCheck &check) {
  json.key("check").open('{').key("agrees").boolean(check.ok()).key("seed").integer(int64_t(check.seed)).key("directions").integer(check.directions);
  json.key("tensors").open('[');
  for (const SlopeCheck &tensor : check.tensors) {
    json.open('{').key("name").string(tensor.name).key("result").string(tensor.wrong() ? "wrong" : verdictOf(tensor));
    writeCheck(json, tensor);
    json.close();
  }
  json.close();
  if (check.nodes) {
    json.key("rules").integer(int64_t(check.nodes->rules)).key("wrong_rules").open('[');
    for (const WrongRule &rule : check.nodes->wrong) {
      json.open('{').key("node").string(rule.node).key("op").string(rule.op);
      json.key("line").integer(rule.pos.line).key("column").integer(rule.pos.column);
      json.key("pointer").string(rule.pos.pointer).key("of").string(rule.of);
      writeCheck(json, rule.check);
      json.close();
    }
    json.close().key("not_checked").open('[');
    for (const Unchecked &left : check.nodes->unchecked)
      json.open('{').key("node").string(left.node).key("reason").string(left.reason).key("partly").boolean(left.partly).close();
    json.close();
  }
  json.close();
}

} // namespace weft
