// Names stand in the hash as the file has them: a renamed node is another one, for its dropout draws other masks. What sets up
// a training (losses, rates of dropout, the optimizer's numbers) does not.
#include "TrainGraph.h"

#include "import/ModelDesc.h"

#include "llvm/Support/xxhash.h"

#include <set>

namespace weft {
namespace {

constexpr std::string_view kNode = "node ";

template <typename T> struct IsList : std::false_type {};
template <typename T> struct IsList<std::vector<T>> : std::true_type {};

template <typename T> std::string textOf(const T &value) {
  if constexpr (std::is_same_v<T, std::string>)
    return value;
  else if constexpr (std::is_same_v<T, DimExpr>)
    return value.str();
  else if constexpr (std::is_same_v<T, double>) {
    char text[32];
    std::snprintf(text, sizeof(text), "%.17g", value);
    return text;
  } else if constexpr (IsList<T>::value) {
    std::string text = "[";
    for (const auto &item : value)
      text += textOf(item) + ",";
    return text + "]";
  } else
    return std::to_string(value);
}

std::string describe(const Node &node, const Graph &graph) {
  std::string text = node.op;
  const std::string_view rate = node.op == "dropout" ? "p" : "dropout";
  for (const auto &[name, value] : node.attrs)
    if (name != rate)
      text += " " + name + "=" + std::visit([](const auto &held) { return textOf(held); }, value);
  for (ValueId operand : node.operands)
    text += operand == kNoValue ? " -" : " %" + graph.values[size_t(operand)].name;
  for (const ParamUse &use : node.params)
    text += " " + use.role + "@" + use.name;
  if (node.body) {
    text += " x" + std::to_string(node.count) + " {";
    for (const Node &inner : node.body->nodes)
      text += inner.path + ": " + describe(inner, *node.body) + ";";
    for (ValueId output : node.body->outputs)
      text += " %" + node.body->values[size_t(output)].name;
    text += "}";
  }
  return text;
}

std::string hashOf(const std::string &text) {
  char digits[17];
  std::snprintf(digits, sizeof(digits), "%016llx", static_cast<unsigned long long>(llvm::xxh3_64bits(text)));
  return digits;
}

/// The lines of a checkpoint's note that are about nodes, without kNode.
std::map<std::string, std::string> nodesOf(const std::string &stored) {
  std::map<std::string, std::string> nodes;
  for (const std::string &line : splitList(stored, '\n'))
    if (size_t equals = line.rfind('='); line.compare(0, kNode.size(), kNode) == 0 && equals != std::string::npos)
      nodes[line.substr(kNode.size(), equals - kNode.size())] = line.substr(equals + 1);
  return nodes;
}

std::string opOf(const std::string &value) { return value.substr(0, value.find(' ')); }

} // namespace

TrainNote graphNote(const ModelDesc &model) {
  std::vector<const Node *> needed;
  std::set<ValueId> read = {model.train->loss};
  for (const std::vector<Node> *nodes : {&model.train->nodes, &model.graph.nodes})
    for (auto node = nodes->rbegin(); node != nodes->rend(); ++node)
      for (ValueId result : node->results)
        if (read.count(result)) {
          if (nodes == &model.graph.nodes)
            needed.push_back(&*node);
          read.insert(node->operands.begin(), node->operands.end());
          break;
        }
  TrainNote note;
  for (auto node = needed.rbegin(); node != needed.rend(); ++node)
    note.emplace_back(std::string(kNode) + (*node)->path, (*node)->op + " " + hashOf(describe(**node, model.graph)));
  return note;
}

int checkGraphNote(const std::string &folder, const std::string &stored, const TrainNote &now) {
  const std::map<std::string, std::string> before = nodesOf(stored);
  if (before.empty())
    return kOk;
  const std::string hint = "training goes on with the same model only; --weights takes a checkpoint's model.safetensors as the start of a new one";
  const std::map<std::string, std::string> after = nodesOf(noteText(now));
  for (const auto &[path, value] : before)
    if (!after.count(path))
      return fail(kInvalid, "expected a node " + quote(path) + " (" + opOf(value) + ") as in the checkpoint in " + quote(folder), hint);
  for (const auto &[path, value] : after)
    if (!before.count(path))
      return fail(kInvalid, "node " + quote(path) + " (" + opOf(value) + ") is not in the model of the checkpoint in " + quote(folder), hint);
  for (const auto &[name, value] : now) {
    const std::string path = name.substr(kNode.size()), op = opOf(value), &was = before.at(path);
    if (opOf(was) != op)
      return fail(kInvalid, "node " + quote(path) + ": expected " + quote(opOf(was)) + " as in the checkpoint in " + quote(folder) + " but got " + quote(op), hint);
    if (was != value)
      return fail(kInvalid, "node " + quote(path) + " (" + op + ") has other attributes or operands than in the checkpoint in " + quote(folder), hint);
  }
  return kOk;
}

} // namespace weft
