// Operands of a node, the services that shape rules ask for, and the result's way into the graph.
// Operands may be a name, a list by position or an object by name; left out, the first result of the node before.
#include "import/NodeReader.h"

#include <algorithm>
#include <unordered_map>

namespace weft {

bool ModelReader::readOperation(const JsonValue &json, const OpInfo &op, Frame &frame, Node &node, ValueId before,
                                const std::vector<std::string> &names) {
  NodeReader reader(*this, json, op, frame, node);
  bool known = checkNodeKeys(json, &op, op.name);
  if (!reader.read(before) || !known)
    return false;
  if (names.empty())
    return false; // reported
  if (reader.results().size() != names.size()) {
    frame.lost = true;
    const JsonValue *out = json.find("out");
    size_t results = reader.results().size();
    return error(out ? *out : json,
                 "op " + quote(op.name) + " gives " + std::to_string(results) +
                     (results == 1 ? " result" : " results") + " but got " + std::to_string(names.size()) +
                     (names.size() == 1 ? " name" : " names"),
                 out ? "" : "name them with 'out'");
  }
  for (size_t i = 0; i < names.size(); ++i) {
    bool good = checkSizes(json, reader.results()[i]);
    ValueId id = defineValue(frame, names[i], good ? reader.results()[i] : unknownType(), json.position());
    node.results.push_back(id);
    bindName(frame, names[i], id, json);
  }
  return true;
}

bool NodeReader::read(ValueId before) {
  bool operands = readOperands(before), attributes = readAttributes();
  if (!operands || !attributes || !typesKnown || !op.shape(call))
    return false;
  noteRanges();
  node.attrs = std::move(call.attrs);
  return true;
}

bool NodeReader::setOperand(int index, const JsonValue &name) {
  operandJson[index] = &name;
  node.operands[index] = reader.lookUp(name, frame);
  return node.operands[index] != kNoValue;
}

bool NodeReader::readOperands(ValueId before) {
  const JsonValue *in = json.find("in");
  if (op.operands.empty())
    return !in || reader.error(*in, "op " + quote(op.name) + " takes no operands");
  size_t places = op.variadic ? 1 : op.operands.size();
  if (op.variadic && in && in->isArray())
    places = in->items.size();
  node.operands.assign(places, kNoValue);
  operandJson.assign(places, nullptr);
  bool good = true;
  if (!in) {
    // The operands stand under a key that is not 'in', which is reported.
    auto unknown = reader.unknownKeys.find(&json);
    if (unknown != reader.unknownKeys.end() &&
        std::any_of(unknown->second.begin(), unknown->second.end(),
                    [](const std::string &key) { return key.compare(0, 5, "input") == 0 || editDistance(key, "in") == 1; })) {
      reader.lostUses = true;
      return false;
    }
    if (before == kNoValue) {
      reader.lostUses = true;
      return fail("the first node needs 'in'", "");
    }
    node.operands[0] = before;
    if (frame.graph == &reader.model.graph)
      reader.usedValues.insert(before);
  } else if (in->isString()) {
    good = setOperand(0, *in);
  } else if (in->isArray()) {
    // mha's list is x alone, or q, k, v and what follows.
    size_t first = std::string_view(op.name) == "mha" && in->items.size() > 1 ? 1 : 0,
           most = op.variadic ? op.variadic : op.operands.size() - first;
    reader.lostUses |= in->items.empty();
    if (in->items.empty() || in->items.size() > most)
      return reader.error(*in, "op " + quote(op.name) + " takes " + (op.variadic ? "up to " : "") +
                                   std::to_string(most) + (most == 1 ? " operand" : " operands") + " but got " +
                                   std::to_string(in->items.size()));
    // With value_true a list [cond, b] leaves out a.
    bool skipsA = std::string_view(op.name) == "where" && in->items.size() == 2 && json.find("value_true");
    for (size_t i = 0; i < in->items.size(); ++i)
      good &= setOperand(static_cast<int>(i + first + (skipsA && i == 1)), *in->items[i]);
  } else if (in->isObject()) {
    if (op.variadic)
      return reader.error(*in, "op " + quote(op.name) + " takes a list of operands, not an object");
    std::vector<std::string> names;
    for (const OperandInfo &operand : op.operands)
      names.emplace_back(operand.name);
    for (const JsonMember &member : in->members) {
      int index = op.operandIndex(member.key);
      if (index < 0)
        good = reader.keyError(member, "op " + quote(op.name) + " has no operand " + quote(member.key),
                               didYouMean(member.key, names));
      else
        good &= setOperand(index, *member.value);
    }
  } else {
    reader.lostUses = true;
    return reader.error(*in, "expected a name, a list or an object but got " + in->describe());
  }
  if (!good)
    return false;
  for (size_t i = 0; i < op.operands.size() && !op.variadic; ++i)
    if (!op.operands[i].optional && node.operands[i] == kNoValue)
      return reader.error(in ? *in : json, "op " + quote(op.name) + " needs operand " + quote(op.operands[i].name));
  return checkOperandTypes();
}

bool NodeReader::checkOperandTypes() {
  for (ValueId id : node.operands) {
    call.operands.push_back(id == kNoValue ? nullptr : &frame.graph->values[id].type);
    typesKnown &= id == kNoValue || isKnown(*call.operands.back());
  }
  if (!typesKnown)
    return true;
  for (size_t i = 0; i < call.operands.size(); ++i) {
    if (!call.operands[i])
      continue;
    const OperandInfo &info = op.operands[op.variadic ? 0 : i];
    DType dtype = call.operands[i]->dtype;
    bool fits = info.type == TypeClass::any || (info.type == TypeClass::real && isFloat(dtype)) ||
                (info.type == TypeClass::index && isIndex(dtype)) ||
                (info.type == TypeClass::boolean && dtype == DType::boolean) ||
                (info.type == TypeClass::number && dtype != DType::boolean);
    if (fits)
      continue;
    static const char *const kWords[] = {"any", "a float", "an i32 or i64", "a bool", "a numeric"};
    return failOperand(static_cast<int>(i),
                       std::string("expected ") + kWords[static_cast<int>(info.type)] + " operand but got " +
                           dtypeName(dtype),
                       info.type == TypeClass::real || info.type == TypeClass::number ? "op 'cast' converts it" : "");
  }
  return true;
}

bool NodeReader::fail(std::string text, std::string hint) {
  const JsonValue *at = json.find("op");
  return reader.error(at ? *at : json, std::move(text), std::move(hint));
}

bool NodeReader::failAt(std::string_view attribute, std::string text, std::string hint) {
  const JsonValue *at = json.find(attribute);
  if (!at)
    return fail(std::move(text), std::move(hint));
  return reader.error(*at, std::move(text), std::move(hint));
}

bool NodeReader::failOperand(int operand, std::string text, std::string hint) {
  const JsonValue *at = operandJson[operand];
  const std::string name =
      op.variadic ? "operand " + std::to_string(operand + 1) : "operand " + quote(op.operands[operand].name);
  if (!at)
    at = json.find("op");
  return reader.error(*at, name + ": " + text, std::move(hint));
}

void NodeReader::warn(std::string text) { reader.diagnostics.warning(json.position(), std::move(text)); }

bool NodeReader::param(std::string_view role, const Shape &shape, const InitRule &rule, int64_t zeroRow) {
  return reader.useParameter(json, frame, node, role, shape, rule, zeroRow);
}

DType NodeReader::floatType() const {
  const Precision &precision = reader.model.precision;
  return precision.params == DType::f64 || precision.compute == DType::f64 ? DType::f64 : DType::f32;
}

const StateDesc *NodeReader::state(std::string_view name) const {
  for (const StateDesc &next : reader.model.states)
    if (next.name == name)
      return &next;
  return nullptr;
}

/// A label that the loss leaves out must pass the check of its input first.
void NodeReader::warnIgnoredLabel() {
  auto written = node.attrPos.find("ignore_index");
  if (node.op != "cross_entropy" || written == node.attrPos.end())
    return;
  const int64_t ignored = call.integer("ignore_index");
  auto warnOf = [&](const std::vector<InputDesc> &inputs) {
    for (const InputDesc &input : inputs)
      if (input.value == node.operands[1] && input.hasRange && (ignored < input.low || ignored > input.high))
        reader.diagnostics.warning(written->second,
                                   "ignore_index " + std::to_string(ignored) + " is outside the range " + std::to_string(input.low) + ".." + std::to_string(input.high) +
                                       " of input " + quote(input.name) + ", so no label may be it",
                                   "leave the range out: the loss checks the labels that it does not ignore");
  };
  warnOf(reader.model.inputs);
  if (reader.model.train)
    warnOf(reader.model.train->inputs);
}

/// Ids that come straight from an input must be rows of the table that they read.
void NodeReader::noteRanges() {
  if (frame.graph != &reader.model.graph)
    return;
  warnIgnoredLabel();
  std::optional<int64_t> size;
  ValueId ids = kNoValue;
  if (node.op == "embedding") {
    size = call.integer("rows");
    ids = node.operands[0];
  } else if (node.op == "gather") {
    size = call.shape(0)[call.integer("axis")].constant();
    ids = node.operands[1];
  }
  if (!size)
    return;
  for (InputDesc &input : reader.model.inputs) {
    if (input.value != ids || (input.hasRange && input.low >= 0 && input.high < *size))
      continue;
    if (input.hasRange)
      reader.diagnostics.warning(json.position(), "input " + quote(input.name) + " may be " +
                                                      std::to_string(input.low) + ".." + std::to_string(input.high) +
                                                      ", but the table has rows 0.." + std::to_string(*size - 1));
    input.high = input.hasRange ? std::min(input.high, *size - 1) : *size - 1;
    input.low = input.hasRange ? std::max<int64_t>(input.low, 0) : 0;
    input.hasRange = true;
  }
}

std::string describeCycle(const JsonValue &definition, const JsonValue &use, const JsonValue &list) {
  // Nodes by the names they define, then a walk from the definition along its operands until the user is met.
  const JsonValue *user = &use;
  while (user->parent != &list)
    user = user->parent;
  std::unordered_map<std::string, const JsonValue *> makers;
  const JsonValue *before = nullptr;
  std::unordered_map<const JsonValue *, const JsonValue *> previous;
  for (const JsonValue *node : list.items) {
    previous[node] = before;
    before = node;
    if (const JsonValue *out = node->find("out")) {
      makers.emplace(out->text, node);
      for (const JsonValue *name : out->items)
        makers.emplace(name->text, node);
    } else if (const JsonValue *id = node->find("id")) {
      makers.emplace(id->text, node);
    }
  }
  std::unordered_map<const JsonValue *, const JsonValue *> cameFrom = {{&definition, nullptr}};
  std::vector<const JsonValue *> open = {&definition};
  while (!open.empty() && !cameFrom.count(user)) {
    const JsonValue *node = open.back();
    open.pop_back();
    auto visit = [&](const JsonValue *next) {
      if (next && cameFrom.emplace(next, node).second)
        open.push_back(next);
    };
    auto visitName = [&](const JsonValue *name) {
      auto maker = makers.find(name->text);
      if (name->isString() && maker != makers.end())
        visit(maker->second);
    };
    const JsonValue *in = node->find("in");
    if (!in) {
      visit(previous[node]);
      continue;
    }
    visitName(in);
    for (const JsonValue *name : in->items)
      visitName(name);
    for (const JsonMember &member : in->members)
      visitName(member.value);
  }
  if (!cameFrom.count(user))
    return {};
  auto nameOf = [](const JsonValue *node) {
    const JsonValue *id = node->find("id");
    return id ? escapeText(id->text.substr(0, 40)) : "?";
  };
  std::string text = nameOf(user);
  size_t count = 1;
  for (const JsonValue *at = cameFrom[user]; at && count < 10; at = cameFrom[at], ++count)
    text = nameOf(at) + " -> " + text;
  return nameOf(user) + " -> " + (count == 10 ? "... -> " : "") + text;
}

} // namespace weft
