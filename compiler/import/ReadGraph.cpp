// Nodes of a list, in order: names, operands, attributes, shape rule, results.
// A node with an error defines its results with an unknown type, so that one mistake gives one message.
#include "import/ModelReader.h"
#include "import/NodeReader.h"

#include <algorithm>
#include <cmath>

namespace weft {

void ModelReader::readNodes(const JsonValue &list, Frame &frame, std::vector<Node> &nodes) {
  if (!list.isArray()) {
    error(list, "expected a list of nodes but got " + list.describe());
    return;
  }
  const JsonValue *outer = frame.list;
  frame.list = &list;
  ValueId before = kNoValue;
  for (const JsonValue *json : list.items) {
    if (nodeLimit)
      break;
    if (++nodeCount > limits.nodes) {
      limitError(*json, "more than " + std::to_string(limits.nodes) + " nodes after blocks are expanded", "nodes");
      nodeLimit = true;
      break;
    }
    readNode(*json, frame, nodes, before);
  }
  frame.list = outer;
}

/// The names of a node's results: `out`, or its id.
static bool resultNames(ModelReader &reader, const JsonValue &json, const std::string &id,
                        std::vector<std::string> &names) {
  const JsonValue *out = json.find("out");
  if (!out) {
    names = {id};
    return true;
  }
  if (!reader.readTexts(*out, names))
    return false;
  for (const std::string &name : names)
    if (!isName(name))
      return reader.error(*out, quote(name) + " is not a name",
                          "names are letters, digits and _, and start with no digit");
  return !names.empty() || reader.error(*out, "'out' names no result");
}

void ModelReader::readNode(const JsonValue &json, Frame &frame, std::vector<Node> &nodes, ValueId &before) {
  ValueId previous = before;
  before = kNoValue;
  if (!json.isObject()) {
    error(json, "expected a node (an object) but got " + json.describe());
    frame.lost = lostUses = true;
    before = defineValue(frame, "", unknownType(), json.position());
    return;
  }
  markUsed(json, frame);
  std::string id, op;
  std::vector<std::string> names;
  checkHeadKeys(json);
  const JsonValue *idJson = require(json, "id", "a node");
  bool good = idJson && readText(*idJson, id);
  if (good && !isName(id))
    good = error(*idJson, "node id " + quote(id) + " is not a name",
                 "ids are letters, digits and _, and start with no digit");
  if (good && id.size() > limits.nameBytes)
    good = limitError(*idJson, "node id of " + std::to_string(id.size()) + " bytes", "nameBytes");
  if (good) {
    auto [found, added] = frame.defined.emplace("node " + id, idJson->position());
    if (!added)
      frame.lost = !error(*idJson, "node " + quote(id) + " is defined twice, first at " + std::to_string(found->second.line) + ":" +
                         std::to_string(found->second.column));
  }
  good = resultNames(*this, json, id, names) && good;
  frame.lost |= !good;
  const JsonValue *opJson = require(json, "op", "a node");
  size_t oldValues = frame.graph->values.size();
  if (opJson && readText(*opJson, op)) {
    const OpInfo *info = findOp(op);
    if (op == "call") {
      readCall(json, frame, nodes, names);
    } else if (op == "repeat") {
      readRepeat(json, frame, nodes, names);
    } else if (!info) {
      error(*opJson, "unknown op " + quote(op), opHint(op));
    } else {
      Node node;
      node.id = id;
      node.op = op;
      node.path = frame.path + id;
      node.pos = json.position();
      if (info->isLoss && !frame.isTrain)
        error(*opJson, "op " + quote(op) + " is a loss and belongs to train/nodes");
      else if (readOperation(json, *info, frame, node, previous, good ? names : std::vector<std::string>()) && good)
        nodes.push_back(std::move(node));
    }
  }
  for (const std::string &name : names)
    if (!name.empty() && !frame.values.count(name))
      bindName(frame, name, defineValue(frame, name, unknownType(), json.position()), json);
  auto first = names.empty() ? frame.values.end() : frame.values.find(names[0]);
  before = first != frame.values.end()              ? first->second
           : oldValues < frame.graph->values.size() ? static_cast<ValueId>(oldValues)
                                                    : kNoValue;
  if (before == kNoValue)
    before = defineValue(frame, "", unknownType(), json.position());
}

/// A node without 'op' gets no other check of its keys.
void ModelReader::checkHeadKeys(const JsonValue &json) {
  for (const char *key : {"id", "op"})
    for (const JsonMember &member : json.members)
      if (!json.find(key) && member.key != "id" && member.key != "in" && !closest(member.key, {key}).empty()) {
        unknownKeys[&json].push_back(member.key);
        if (!json.find("op"))
          keyError(member, "a node has no key " + quote(member.key), "did you mean " + quote(key) + "?");
      }
}

/// A node with an error still uses what it names, so that no unused input is reported on top.
void ModelReader::markUsed(const JsonValue &json, const Frame &frame) {
  const JsonValue *in = json.find("in");
  if (!in || frame.graph != &model.graph)
    return;
  auto mark = [&](const JsonValue &name) {
    auto found = frame.values.find(name.text);
    if (name.isString() && found != frame.values.end())
      usedValues.insert(found->second);
  };
  mark(*in);
  for (const JsonValue *name : in->items)
    mark(*name);
  for (const JsonMember &member : in->members)
    mark(*member.value);
}

ValueId ModelReader::defineValue(Frame &frame, const std::string &name, const TensorType &type, const Position &pos) {
  frame.graph->values.push_back({name, type, pos});
  return static_cast<ValueId>(frame.graph->values.size() - 1);
}

void ModelReader::bindName(Frame &frame, const std::string &name, ValueId value, const JsonValue &at) {
  Position pos = at.position();
  auto [found, added] = frame.defined.emplace(name, pos);
  if (!added) {
    // A node whose id is taken was reported for its id.
    const JsonValue *id = at.find("id");
    if (auto node = frame.defined.find("node " + name);
        id && id->text == name && node != frame.defined.end() &&
        node->second.line + node->second.column != id->line + id->column)
      return;
    error(at, quote(name) + " is defined twice, first at " + std::to_string(found->second.line) + ":" +
                  std::to_string(found->second.column));
    // Which of the two a later node means is open, so nothing is said about either.
    if (auto first = frame.values.find(name); first != frame.values.end()) {
      if (frame.graph == &model.graph)
        usedValues.insert(first->second);
      first->second = defineValue(frame, name, unknownType(), pos);
    }
    return;
  }
  frame.values[name] = value;
}

ValueId ModelReader::lookUp(const JsonValue &name, Frame &frame) {
  if (!name.isString()) {
    error(name, "expected the name of a value but got " + name.describe());
    return kNoValue;
  }
  auto found = frame.values.find(name.text);
  if (found != frame.values.end()) {
    if (frame.graph == &model.graph)
      usedValues.insert(found->second);
    return found->second;
  }
  if (nodeLimit || frame.lost)
    return kNoValue;
  // With hundreds of errors nobody reads the hints, and searching for each would take quadratic time.
  if (diagnostics.errorCount() > 5 * Diagnostics::kShown) {
    lostUses = !error(name, "no value " + quote(name.text) + " is defined here");
    return kNoValue;
  }
  // A name that a later node defines is a wrong order or a cycle; say which.
  for (const JsonValue *later : itemsOf(frame.list)) {
    if (!later->isObject())
      continue;
    const JsonValue *out = later->find("out"), *id = later->find("id");
    bool defines = !out && id && id->text == name.text;
    if (out)
      defines = out->text == name.text || std::any_of(out->items.begin(), out->items.end(),
                                                      [&](const JsonValue *x) { return x->text == name.text; });
    if (!defines)
      continue;
    std::string cycle = cycleSearches++ < 3 ? describeCycle(*later, name, *frame.list) : "";
    error(name,
          quote(name.text) + " is defined later, at " + std::to_string(later->line) + ":" +
              std::to_string(later->column),
          cycle.empty() ? "a node uses what stands before it; move that node up" : "the nodes form a cycle: " + cycle);
    lostUses = true;
    return kNoValue;
  }
  std::vector<std::string> names;
  for (const auto &[known, value] : frame.values)
    names.push_back(known);
  std::sort(names.begin(), names.end());
  auto near = closest(name.text, names);
  std::string hint = near.empty() ? "" : "did you mean " + listWords(near) + "?";
  if (std::string block = near.empty() ? blockThatDefines(name.text) : ""; !block.empty())
    hint = "a node of block " + quote(block) + " is called so; outside it only the block's results are seen, under the id of the node that runs it";
  error(name, "no value " + quote(name.text) + " is defined here", hint);
  lostUses |= near.empty();
  for (const std::string &meant : near)
    if (frame.graph == &model.graph)
      usedValues.insert(frame.values[meant]);
  return kNoValue;
}

std::string ModelReader::blockThatDefines(std::string_view id) const {
  for (const std::string &name : blockNames) {
    auto found = blocks.find(name);
    if (found != blocks.end())
      for (const JsonValue *node : itemsOf(found->second.nodes))
        if (const JsonValue *other = node->isObject() ? node->find("id") : nullptr; other && other->text == id)
          return name;
  }
  return "";
}

bool ModelReader::checkNodeKeys(const JsonValue &json, const OpInfo *op, const std::string &name) {
  std::vector<std::string> allowed = {"id", "op", "in", "out"};
  std::vector<std::string> more = {"param", "dtype"};
  if (name == "call")
    more = {"block", "args", "scope"};
  else if (name == "repeat")
    more = {"block", "count", "index", "carry", "args", "scope"};
  allowed.insert(allowed.end(), more.begin(), more.end());
  if (!op)
    return checkKeys(json, allowed, "op '" + name + "'");
  bool good = true;
  for (const AttrInfo &attr : op->attrs)
    allowed.push_back(attr.name);
  for (const JsonMember &member : json.members) {
    bool known = std::find(allowed.begin(), allowed.end(), member.key) != allowed.end() || member.key == "doc" ||
                 member.key.compare(0, 2, "x-") == 0;
    if (known)
      continue;
    good = false;
    unknownKeys[&json].push_back(member.key);
    std::vector<std::string> meant = allowed;
    meant.erase(meant.begin() + 1); // 'op' is there
    std::string hint = didYouMean(member.key, meant), owners;
    // An attribute of another op: say which op has it.
    int count = 0;
    for (const OpInfo &other : opTable())
      if (hint.empty() && other.attr(member.key) && ++count <= 3)
        owners += (owners.empty() ? "" : ", ") + quote(other.name);
    if (hint.empty() && !owners.empty())
      hint = "it belongs to " + owners;
    else if (hint.empty())
      hint = member.key.compare(0, 5, "input") == 0 ? "did you mean 'in'?" : "it takes " + listWords({allowed.begin() + 2, allowed.end()});
    keyError(member, "op " + quote(name) + " has no attribute " + quote(member.key), hint);
  }
  if (const JsonValue *doc = json.find("doc")) {
    std::string text;
    readText(*doc, text);
  }
  return good;
}

/// Sizes must be whole numbers for every choice of the dims, and small enough to be meant.
bool ModelReader::checkSizes(const JsonValue &json, const TensorType &type) {
  if (type.shape.size() > limits.rank) {
    error(json,
          "a value of rank " + std::to_string(type.shape.size()) + ", the limit is " + std::to_string(limits.rank), {},
          Failure::limit);
    return false;
  }
  for (const DimExpr &size : type.shape) {
    if (!size.isValid())
      return error(json, "the shape " + shapeText(type.shape) + " overflows 64 bits");
    if (!alwaysMultiple(size, 1, ranges)) {
      auto names = size.names();
      error(json,
            "size " + quote(size.str()) + " is not a whole number for every " + (names.empty() ? "dim" : names.front()),
            "give the dim a multiple_of");
      return false;
    }
  }
  std::map<std::string, int64_t> sizes = hints;
  for (const Loop &loop : loops)
    sizes[loop.index] = loop.count - 1;
  double elements = 1;
  for (const DimExpr &size : type.shape) {
    auto known = size.evaluate(sizes);
    if (!known)
      known = highestValue(size, ranges);
    elements *= known ? static_cast<double>(*known) : HUGE_VAL; // overflows even at the hints
  }
  return elements <= static_cast<double>(limits.elements) ||
         limitError(json,
                    "a value of shape " + shapeText(type.shape) + " has more elements than the limit of " +
                        std::to_string(limits.elements),
                    "elements");
}

} // namespace weft
