// Parameter names, tied tensors, and the families that a repeat makes of one name.
// The same full name twice is one tensor, so its shapes must agree.
#include "import/ModelReader.h"

#include <algorithm>

namespace weft {
namespace {

/// Another node has this id.
bool isTaken(const JsonValue &json, const Frame &frame) {
  const JsonValue *id = json.find("id");
  auto first = id ? frame.defined.find("node " + id->text) : frame.defined.end();
  return first != frame.defined.end() && (first->second.line != id->line || first->second.column != id->column);
}

/// The full name of a node's parameter, indices as "{i}"; nullopt after an error.
std::optional<std::string> parameterName(ModelReader &reader, const JsonValue &json, const Frame &frame,
                                         const Node &node, std::string_view role) {
  if (!json.find("param") && (!isName(node.id) || node.id.size() > reader.limits.nameBytes || isTaken(json, frame)))
    return std::nullopt; // the id is reported
  std::string base = node.id + (role.empty() ? "" : ".") + std::string(role);
  const JsonValue *given = json.find("param"), *at = given;
  if (given && given->isObject()) {
    const JsonValue *own = given->find(role);
    at = own;
    if (own && !reader.readText(*own, base))
      return std::nullopt;
  } else if (given) {
    if (!reader.readText(*given, base))
      return std::nullopt;
    base += (role.empty() ? "" : ".") + std::string(role);
  }
  bool atRoot = !base.empty() && base[0] == '/';
  if (atRoot)
    base.erase(0, 1);
  if (!isParameterName(base) || base.back() == '.') {
    reader.error(at ? *at : json, quote(base) + " is not a parameter name",
                 "letters, digits, _ and dots; '/' in front leaves the scope");
    return std::nullopt;
  }
  std::string full = atRoot ? base : frame.scope + base;
  if (full.size() > reader.limits.nameBytes) {
    reader.limitError(at ? *at : json,
                      "parameter name of " + std::to_string(full.size()) + " bytes, the limit is " +
                          std::to_string(reader.limits.nameBytes),
                      "nameBytes");
    return std::nullopt;
  }
  return full;
}

std::string listShape(const std::vector<int64_t> &shape) { return shapeText(Shape(shape.begin(), shape.end())); }

} // namespace

bool ModelReader::useParameter(const JsonValue &json, const Frame &frame, Node &node, std::string_view role,
                               const Shape &shape, const InitRule &rule, int64_t zeroRow) {
  const JsonValue *param = json.find("param");
  if (param && param->isObject()) {
    std::vector<std::string> roles;
    for (const ParamInfo &info : findOp(node.op)->params)
      roles.emplace_back(info.role);
    for (const JsonMember &member : param->members)
      if (std::find(roles.begin(), roles.end(), member.key) == roles.end())
        return keyError(member, "op " + quote(node.op) + " has no parameter " + quote(member.key),
                        didYouMean(member.key, roles));
  } else if (param && !param->isString()) {
    return error(*param, "expected a name or an object of names but got " + param->describe());
  }
  auto full = parameterName(*this, json, frame, node, role);
  if (!full)
    return false;
  std::vector<int64_t> sizes;
  double elements = 1;
  for (const DimExpr &size : shape) {
    sizes.push_back(size.constant().value_or(0));
    elements *= static_cast<double>(sizes.back());
    if (sizes.back() < 1)
      return error(json, "parameter " + quote(*full) + " has the shape " + shapeText(shape));
  }
  if (sizes.size() > limits.rank)
    return error(json,
                 "parameter " + quote(*full) + " of rank " + std::to_string(sizes.size()) + ", the limit is " +
                     std::to_string(limits.rank),
                 {}, Failure::limit);
  if (elements > static_cast<double>(limits.elements))
    return limitError(json,
                      "parameter " + quote(*full) + " of shape " + shapeText(shape) +
                          " has more elements than the limit of " + std::to_string(limits.elements),
                      "elements");

  ParamUse use;
  use.role = std::string(role);
  use.name = *full;
  std::vector<const Loop *> inside;
  for (const Loop &loop : loops)
    if (full->find("{" + loop.index + "}") != std::string::npos) {
      use.indices.push_back(loop.index);
      inside.push_back(&loop);
    }
  std::vector<int64_t> round(inside.size(), 0);
  while (true) {
    std::string name = *full;
    for (size_t i = 0; i < inside.size(); ++i) {
      std::string place = "{" + inside[i]->index + "}";
      for (size_t at = name.find(place); at != std::string::npos; at = name.find(place))
        name.replace(at, place.size(), std::to_string(round[i]));
    }
    auto [found, added] = tensorIndex.emplace(name, static_cast<int32_t>(model.tensors.size()));
    if (added) {
      if (model.tensors.size() >= limits.tensors)
        return limitError(json, "more than " + std::to_string(limits.tensors) + " parameters", "tensors");
      ParamTensor tensor;
      tensor.name = name;
      tensor.dtype = model.precision.params;
      tensor.shape = sizes;
      tensor.zeroRow = zeroRow;
      tensor.pos = json.position();
      model.tensors.push_back(std::move(tensor));
      tensorRules.push_back(rule);
    } else {
      const ParamTensor &first = model.tensors[found->second];
      if (first.shape != sizes)
        return error(json,
                     "parameter " + quote(name) + " is " + listShape(sizes) + " here and " + listShape(first.shape) +
                         " at " + std::to_string(first.pos.line) + ":" + std::to_string(first.pos.column),
                     "the same name is the same tensor; give one of them another 'param' or a 'scope'");
    }
    use.tensors.push_back(found->second);
    if (++parameterUses > 8 * limits.tensors)
      return limitError(json, "more than " + std::to_string(8 * limits.tensors) + " uses of parameters", "tensors");
    size_t digit = inside.size();
    while (digit > 0 && ++round[digit - 1] == inside[digit - 1]->count)
      round[--digit] = 0;
    if (digit == 0)
      break;
  }
  node.params.push_back(std::move(use));
  return true;
}

} // namespace weft
