// Blocks and their uses: `call` is expanded in place, `repeat` becomes a loop with a body graph.
// A repeat whose index shapes the computation (not only names, caches and offsets) is unrolled instead.
#include "import/ModelReader.h"

#include <algorithm>
#include <map>
#include <set>

namespace weft {

/// "1 result", "2 results"
static std::string countOf(size_t count, const char *what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

/// Empty if the node has none, which is reported elsewhere.
static std::string idOf(const JsonValue &json) {
  const JsonValue *id = json.find("id");
  return id ? id->text : "";
}

void ModelReader::readBlocks() {
  const JsonValue *json = root.find("blocks");
  if (!json)
    return;
  if (!json->isObject()) {
    error(*json, "blocks: expected an object but got " + json->describe());
    return;
  }
  for (const JsonMember &member : json->members) {
    if (member.key.compare(0, 2, "x-") == 0 || member.key == "doc")
      continue;
    Block &block = blocks[member.key];
    blockNames.push_back(member.key);
    block.name = member.key;
    block.json = member.value;
    const std::string what = "block " + quote(member.key);
    bool good = checkDeclaredName(member, "block");
    if (!checkKeys(*member.value, {"in", "args", "nodes", "out"}, what))
      continue;
    const JsonValue *in = require(*member.value, "in", what), *out = require(*member.value, "out", what);
    block.nodes = require(*member.value, "nodes", what);
    good &= in && out && block.nodes && readTexts(*in, block.in) && readTexts(*out, block.out);
    for (size_t i = 0; i < block.in.size(); ++i) {
      if (!isName(block.in[i]))
        good = error(*in, quote(block.in[i]) + " is not a name");
      if (std::find(block.in.begin(), block.in.begin() + i, block.in[i]) != block.in.begin() + i)
        good = error(*in, quote(block.in[i]) + " is named twice");
    }
    if (const JsonValue *args = member.value->find("args")) {
      if (!args->isObject())
        good = error(*args, "args: expected an object but got " + args->describe());
      for (const JsonMember &arg : args->members) {
        good &= checkDeclaredName(arg, "arg");
        block.args.push_back(&arg);
      }
    }
    if (block.nodes && !block.nodes->isArray())
      good = error(*block.nodes, what + ": expected a list of nodes but got " + block.nodes->describe());
    block.good = good;
  }
}

void ModelReader::checkUnusedBlocks() {
  for (const std::string &name : blockNames) {
    const Block &block = blocks[name];
    if (block.used || !block.nodes || !block.nodes->isArray())
      continue;
    // After an error the nodes that use it may not have been read.
    if (!diagnostics.hasErrors())
      diagnostics.warning(block.json->position(), "block " + quote(name) + " is not used");
    for (const JsonValue *node : block.nodes->items) {
      const JsonValue *op = node->find("op");
      if (!node->isObject() || !op || !op->isString()) {
        error(*node, "expected a node with 'id' and 'op'");
        continue;
      }
      const OpInfo *info = findOp(op->text);
      if (!info && op->text != "call" && op->text != "repeat")
        error(*op, "unknown op " + quote(op->text), opHint(op->text));
      else
        checkNodeKeys(*node, info, op->text);
    }
  }
}

bool ModelReader::readBlockUse(const JsonValue &json, Frame &frame, const std::vector<std::string> &taken,
                               BlockUse &use) {
  const JsonValue *op = json.find("op"), *name = require(json, "block", "op '" + op->text + "'");
  std::string text;
  if (!name || !readText(*name, text))
    return false;
  auto found = blocks.find(text);
  if (found == blocks.end())
    return isLost("blocks") ? false : error(*name, "no block " + quote(text), didYouMean(text, blockNames));
  Block &block = found->second;
  block.used = true;
  if (std::find(callStack.begin(), callStack.end(), text) != callStack.end()) {
    std::string chain;
    for (auto step = std::find(callStack.begin(), callStack.end(), text); step != callStack.end(); ++step)
      chain += *step + " -> ";
    return error(*name, "block " + quote(text) + " contains itself: " + chain + text);
  }
  if (callStack.size() >= limits.callDepth)
    return limitError(*name, "blocks are nested deeper than the limit of " + std::to_string(limits.callDepth), "callDepth");
  if (!block.good)
    return false;
  use.block = &block;
  use.inputs.assign(block.in.size(), kNoValue);
  bool good = true;
  const JsonValue *in = json.find("in");
  if (in && !in->isObject()) {
    good = error(*in, "expected an object with the block's inputs but got " + in->describe(),
                 block.in.empty() ? ""
                                  : "as in {\"" + block.in[0] + "\": " +
                                        (in->isString() ? jsonString(in->text.substr(0, 40)) : "\"value\"") + "}");
  } else if (in) {
    for (const JsonMember &member : in->members) {
      auto place = std::find(block.in.begin(), block.in.end(), member.key);
      if (place == block.in.end()) {
        good = keyError(member, "block " + quote(text) + " has no input " + quote(member.key),
                        didYouMean(member.key, block.in));
        continue;
      }
      ValueId value = lookUp(*member.value, frame);
      good &= value != kNoValue;
      use.inputs[place - block.in.begin()] = value;
    }
  }
  if (!in && isMisspelt(json, "in"))
    return false;
  for (size_t i = 0; good && i < block.in.size(); ++i)
    if (use.inputs[i] == kNoValue)
      good = error(in ? *in : json, "block " + quote(text) + " needs the input " + quote(block.in[i]));
  // Defaults see config and dims only; the use's own values see everything the node sees.
  Frame plain(*this, *frame.graph);
  for (const JsonMember *arg : block.args)
    if (Number number; readNumber(*arg->value, plain, number))
      use.args[arg->key] = number;
    else
      good = false;
  const JsonValue *args = json.find("args");
  if (args && !args->isObject())
    return error(*args, "args: expected an object but got " + args->describe());
  for (const JsonMember &member : membersOf(args)) {
    std::vector<std::string> known;
    for (const JsonMember *arg : block.args)
      known.push_back(arg->key);
    Number number;
    if (known.empty() && isMisspelt(*block.json, "args"))
      good = false;
    else if (std::find(known.begin(), known.end(), member.key) == known.end())
      good =
          keyError(member, "block " + quote(text) + " has no arg " + quote(member.key), didYouMean(member.key, known));
    else if (readNumber(*member.value, frame, number))
      use.args[member.key] = number;
    else
      good = false;
  }
  use.complete = good;
  return good;
}

bool ModelReader::readScope(const JsonValue &json, const std::string &index, std::string &scope) {
  const JsonValue *given = json.find("scope");
  if (!given)
    return true;
  if (!readText(*given, scope))
    return false;
  std::string plain = scope, place = "{" + index + "}";
  for (size_t at = index.empty() ? std::string::npos : plain.find(place); at != std::string::npos;
       at = plain.find(place))
    plain.replace(at, place.size(), "0");
  if (size_t brace = plain.find('{'); brace != std::string::npos)
    return error(*given,
                 "unknown index " + quote(plain.substr(brace, plain.find('}', brace) - brace + 1)) + " in scope",
                 index.empty() ? "name the repeat's 'index'" : "this repeat's index is {" + index + "}");
  if (!isParameterName(plain))
    return error(*given, "scope " + quote(scope) + " is not a parameter name", "letters, digits, _ and dots");
  scope += ".";
  return true;
}

std::vector<ValueId> ModelReader::expandBlock(const BlockUse &use, Frame &inner, std::vector<Node> &nodes,
                                              const JsonValue &json) {
  for (size_t i = 0; i < use.inputs.size(); ++i) {
    inner.values[use.block->in[i]] = use.inputs[i];
    inner.defined[use.block->in[i]] = use.block->json->position();
  }
  for (const auto &[name, number] : use.args)
    inner.locals.emplace(name, number);
  callStack.push_back(use.block->name);
  readNodes(*use.block->nodes, inner, nodes);
  callStack.pop_back();
  std::vector<ValueId> results;
  const JsonValue *out = use.block->json->find("out");
  for (size_t i = 0; i < use.block->out.size(); ++i)
    results.push_back(lookUp(out->isArray() ? *out->items[i] : *out, inner));
  return results;
}

void ModelReader::readCall(const JsonValue &json, Frame &frame, std::vector<Node> &nodes,
                           const std::vector<std::string> &names) {
  checkNodeKeys(json, nullptr, "call");
  BlockUse use;
  std::string scope;
  bool good = readBlockUse(json, frame, {}, use);
  if (!readScope(json, "", scope) || !good)
    return;
  if (use.block->out.size() != names.size()) {
    frame.lost = true;
    if (!names.empty())
      error(json,
            "block " + quote(use.block->name) + " gives " + countOf(use.block->out.size(), "result") + " but got " +
                countOf(names.size(), "name"),
            "name them with 'out'");
    return;
  }
  Frame inner(*this, *frame.graph);
  inner.path = frame.path + idOf(json) + ".";
  inner.scope = frame.scope + scope;
  inner.isTrain = frame.isTrain;
  auto results = expandBlock(use, inner, nodes, json);
  for (size_t i = 0; i < results.size(); ++i)
    if (results[i] != kNoValue)
      bindName(frame, names[i], results[i], json);
}

/// The strings below a value that may be expressions.
static void collectIdentifiers(const JsonValue &value, std::vector<std::string> &out) {
  std::vector<const JsonValue *> open = {&value};
  while (!open.empty()) {
    const JsonValue *next = open.back();
    open.pop_back();
    if (next->isString())
      for (std::string &name : identifiersIn(next->text))
        out.push_back(std::move(name));
    for (const JsonValue *item : next->items)
      open.push_back(item);
    for (const JsonMember &member : next->members)
      open.push_back(member.value);
  }
}

bool ModelReader::dependsOnIndex(const Block &block, const std::string &index) const {
  std::map<const Block *, std::set<std::string>> tainted = {{&block, {index}}};
  std::vector<const Block *> work = {&block};
  while (!work.empty()) {
    const Block &at = *work.back();
    work.pop_back();
    const std::set<std::string> &names = tainted[&at];
    auto mentions = [&](const JsonValue &value) {
      std::vector<std::string> found;
      collectIdentifiers(value, found);
      return std::any_of(found.begin(), found.end(), [&](const std::string &name) { return names.count(name); });
    };
    for (size_t i = 0; at.nodes && i < at.nodes->items.size(); ++i) {
      const JsonValue &node = *at.nodes->items[i];
      const JsonValue *op = node.find("op");
      if (!op)
        continue;
      bool isUse = op->text == "call" || op->text == "repeat";
      const OpInfo *info = findOp(op->text);
      for (const JsonMember &member : node.members) {
        if (isUse && member.key == "count" && mentions(*member.value))
          return true;
        const AttrInfo *attr = info ? info->attr(member.key) : nullptr;
        bool symbolic = !attr || attr->type == AttrType::cache || attr->type == AttrType::offset ||
                        attr->type == AttrType::text || attr->type == AttrType::word || attr->type == AttrType::dtype;
        if (!symbolic && mentions(*member.value))
          return true;
      }
      const JsonValue *args = isUse ? node.find("args") : nullptr, *name = node.find("block");
      auto used = args && name ? blocks.find(name->text) : blocks.end();
      if (used == blocks.end())
        continue;
      // A block may be used from many places: it is looked at again only where another of its args depends on the index.
      std::set<std::string> &inner = tainted[&used->second];
      const size_t before = inner.size();
      for (const JsonMember &arg : args->members)
        if (mentions(*arg.value))
          inner.insert(arg.key);
      if (inner.size() != before)
        work.push_back(&used->second);
    }
  }
  return false;
}

void ModelReader::readRepeat(const JsonValue &json, Frame &frame, std::vector<Node> &nodes,
                             const std::vector<std::string> &names) {
  checkNodeKeys(json, nullptr, "repeat");
  BlockUse use;
  bool good = readBlockUse(json, frame, {}, use);
  std::string index, scope;
  const JsonValue *countJson = require(json, "count", "op 'repeat'"), *indexJson = json.find("index"),
                  *carryJson = json.find("carry");
  int64_t count = 0;
  good = countJson && readWhole(*countJson, frame, count) && good;
  if (countJson && count < 1 && good)
    good = error(*countJson, "expected a count of at least 1 but got " + std::to_string(count));
  if (count > static_cast<int64_t>(limits.rounds))
    good = limitError(*countJson, "count " + std::to_string(count) + ", the limit is " + std::to_string(limits.rounds), "rounds");
  if (indexJson && readText(*indexJson, index) && !isName(index))
    good = error(*indexJson, "index " + quote(index) + " is not a name");
  else
    good = readScope(json, index, scope) && good;
  std::vector<std::string> carried;
  if (carryJson)
    good = readTexts(*carryJson, carried) && good;
  if (!good)
    return;
  const Block &block = *use.block;
  std::vector<int32_t> carry;
  for (const std::string &name : carried) {
    auto place = std::find(block.in.begin(), block.in.end(), name);
    if (place == block.in.end())
      good = error(*carryJson, "block " + quote(block.name) + " has no input " + quote(name) + " to carry",
                   didYouMean(name, block.in));
    else if (std::find(carry.begin(), carry.end(), place - block.in.begin()) != carry.end())
      good = error(*carryJson, quote(name) + " is carried twice");
    carry.push_back(static_cast<int32_t>(place - block.in.begin()));
  }
  if (good && carry.size() != block.out.size())
    good = error(carryJson ? *carryJson : json,
                 "block " + quote(block.name) + " gives " + countOf(block.out.size(), "result") + ", but 'carry' names " +
                     countOf(carry.size(), "input"),
                 "'carry' names one input for each of the block's results");
  if (good && names.size() != carry.size()) {
    good = false;
    frame.lost = true;
    if (!names.empty())
      error(json, "repeat gives " + countOf(carry.size(), "result") + " but got " + countOf(names.size(), "name"),
            "name them with 'out'");
  }
  if (!good)
    return;
  if (!index.empty() && dependsOnIndex(block, index)) {
    unrollRepeat(json, frame, nodes, use, carry, index, scope, count, names);
    return;
  }

  Node node;
  node.id = idOf(json);
  node.op = "repeat";
  node.path = frame.path + node.id;
  node.pos = json.position();
  node.count = count;
  node.operands = use.inputs;
  node.carry = carry;
  node.body = std::make_unique<Graph>();
  node.index = index.empty() ? "round" : index;
  // Unique among dims and enclosing loops, as sizes and names refer to it.
  for (int number = 2; ranges.count(node.index) || config.has(node.index); ++number)
    node.index = (index.empty() ? "round" : index) + "_" + std::to_string(number);
  for (const auto &attr : {"count", "scope", "carry", "args", "block"})
    if (const JsonValue *written = json.find(attr))
      node.attrPos[attr] = written->position();

  Frame inner(*this, *node.body);
  for (size_t i = 0; i < block.in.size(); ++i) {
    node.body->inputs.push_back(defineValue(inner, block.in[i], valueOf(frame, use.inputs[i]).type, json.position()));
    use.inputs[i] = node.body->inputs.back();
  }
  inner.path = node.path + ".";
  inner.isTrain = frame.isTrain;
  std::string place = "{" + index + "}", unique = "{" + node.index + "}";
  for (size_t at = index.empty() ? std::string::npos : scope.find(place); at != std::string::npos;
       at = scope.find(place, at + unique.size()))
    scope.replace(at, place.size(), unique);
  inner.scope = frame.scope + scope;
  if (!index.empty())
    inner.locals[index] = Number::of(DimExpr::dim(node.index));
  ranges[node.index] = {0, count - 1, 1};
  loops.push_back({node.index, count});
  auto results = expandBlock(use, inner, node.body->nodes, json);
  loops.pop_back();
  ranges.erase(node.index);

  for (size_t i = 0; i < results.size(); ++i) {
    if (results[i] == kNoValue)
      return;
    node.body->outputs.push_back(results[i]);
    const TensorType &from = valueOf(inner, node.body->inputs[carry[i]]).type, &to = valueOf(inner, results[i]).type;
    if (!isKnown(from) || !isKnown(to))
      return;
    if (from.dtype != to.dtype || from.shape != to.shape) {
      error(carryJson ? *carryJson : json, "carried value " + quote(block.in[carry[i]]) + " changes from " +
                                               dtypeName(from.dtype) + " " + shapeText(from.shape) + " to " +
                                               dtypeName(to.dtype) + " " + shapeText(to.shape));
      return;
    }
  }
  for (size_t i = 0; i < results.size(); ++i) {
    ValueId id = defineValue(frame, names[i], valueOf(inner, results[i]).type, json.position());
    node.results.push_back(id);
    bindName(frame, names[i], id, json);
  }
  nodes.push_back(std::move(node));
}

void ModelReader::unrollRepeat(const JsonValue &json, Frame &frame, std::vector<Node> &nodes, const BlockUse &use,
                               const std::vector<int32_t> &carry, const std::string &index, const std::string &scope,
                               int64_t count, const std::vector<std::string> &names) {
  BlockUse round = use;
  std::vector<ValueId> results;
  std::string place = "{" + index + "}";
  for (int64_t i = 0; i < count && !nodeLimit; ++i) {
    Frame inner(*this, *frame.graph);
    inner.path = frame.path + idOf(json) + "." + std::to_string(i) + ".";
    inner.isTrain = frame.isTrain;
    std::string own = scope;
    for (size_t at = own.find(place); at != std::string::npos; at = own.find(place))
      own.replace(at, place.size(), std::to_string(i));
    inner.scope = frame.scope + own;
    inner.locals[index] = Number::of(i);
    results = expandBlock(round, inner, nodes, json);
    for (size_t k = 0; k < results.size(); ++k) {
      if (results[k] == kNoValue)
        return;
      const TensorType &from = valueOf(frame, round.inputs[carry[k]]).type, &to = valueOf(frame, results[k]).type;
      bool known = isKnown(from) && isKnown(to);
      if (known && (from.dtype != to.dtype || from.shape != to.shape)) {
        error(json, "carried value " + quote(use.block->in[carry[k]]) + " changes from " + dtypeName(from.dtype) + " " +
                        shapeText(from.shape) + " to " + dtypeName(to.dtype) + " " + shapeText(to.shape) +
                        " in round " + std::to_string(i));
        known = false;
      }
      if (!known)
        return;
      round.inputs[carry[k]] = results[k];
    }
  }
  for (size_t k = 0; k < results.size(); ++k)
    bindName(frame, names[k], results[k], json);
}

} // namespace weft
