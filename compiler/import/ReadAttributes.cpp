// Attributes of a node by their AttrType: evaluated, checked, normalised, defaults filled in.
// Where each written attribute stands is kept in Node::attrPos.
#include "import/NodeReader.h"

#include <algorithm>
#include <cmath>

namespace weft {

bool NodeReader::readAttributes() {
  bool good = true;
  for (const AttrInfo &attr : op.attrs) {
    // cross_entropy's class_weights is an operand and an attribute; only the latter is a key of the node.
    if (const JsonMember *member = json.member(attr.name)) {
      node.attrPos[attr.name] = member->value->position();
      good &= readAttribute(attr, *member->value);
    } else if (attr.required) {
      good = false;
      if (!reader.isMisspelt(json, attr.name))
        fail("op " + quote(op.name) + " needs the attribute '" + attr.name + "'", attr.doc);
    } else if (attr.byDefault) {
      good &= readDefault(attr);
    }
  }
  const JsonMember *dtype = json.member("dtype");
  if (dtype && !op.attr("dtype")) {
    DType type;
    node.attrPos["dtype"] = dtype->value->position();
    good &= reader.readDtype(*dtype->value, type, true);
    call.attrs["dtype"] = dtype->value->text;
  }
  if (const JsonMember *param = json.member("param"); param && op.params.empty())
    good = reader.keyError(*param, "op " + quote(op.name) + " has no parameters");
  return good;
}

bool NodeReader::readDefault(const AttrInfo &attr) {
  std::string text = attr.byDefault;
  Number number;
  ExpressionError unused;
  switch (attr.type) {
  case AttrType::boolean:
    call.attrs[attr.name] = text == "true";
    return true;
  case AttrType::word:
  case AttrType::dtype:
    call.attrs[attr.name] = text.substr(1, text.size() - 2);
    return true;
  case AttrType::sizes:
    call.attrs[attr.name] = Shape();
    return true;
  default:
    break;
  }
  evaluateExpression(text, frame, number, unused);
  switch (attr.type) {
  case AttrType::axis: {
    int64_t axis = 0;
    if (!readAxis(nullptr, number.integer, axis))
      return false;
    call.attrs[attr.name] = axis;
    return true;
  }
  case AttrType::size:
  case AttrType::offset:
    call.attrs[attr.name] = number.asDims();
    return true;
  case AttrType::integer:
  case AttrType::count:
    call.attrs[attr.name] = number.integer;
    return true;
  default:
    call.attrs[attr.name] = number.asReal();
    return true;
  }
}

bool NodeReader::readAxis(const JsonValue *value, int64_t given, int64_t &axis) {
  if (op.operands.empty() || node.operands.empty() || node.operands[0] == kNoValue ||
      !isKnown(frame.graph->values[node.operands[0]].type)) {
    axis = 0;
    return true;
  }
  const Shape &shape = frame.graph->values[node.operands[0]].type.shape;
  int64_t rank = static_cast<int64_t>(shape.size()) + (std::string_view(op.name) == "unsqueeze");
  auto isDim = [&](const DimDesc &dim) { return value && value->isString() && dim.name == value->text; };
  if (std::any_of(reader.model.dims.begin(), reader.model.dims.end(), isDim)) {
    int64_t count = std::count(shape.begin(), shape.end(), DimExpr::dim(value->text));
    axis = std::find(shape.begin(), shape.end(), DimExpr::dim(value->text)) - shape.begin();
    std::string which = (count == 0 ? "no axis of " : std::to_string(count) + " axes of ") + shapeText(shape);
    return count == 1 || reader.error(*value, which + (count == 0 ? " is " : " are ") + quote(value->text),
                                      count == 0 ? "" : "name the axis by its number");
  }
  if (value && !reader.readWhole(*value, frame, given))
    return false;
  axis = given < 0 ? given + rank : given;
  if (axis >= 0 && axis < rank)
    return true;
  std::string text = "axis " + std::to_string(given) + " of a value of shape " + shapeText(shape);
  return value ? reader.error(*value, text,
                              rank > 0 ? "axes are " + std::to_string(-rank) + ".." + std::to_string(rank - 1) : "")
               : fail(text, "");
}

bool NodeReader::readAttribute(const AttrInfo &attr, const JsonValue &value) {
  AttrValue &result = call.attrs[attr.name];
  switch (attr.type) {
  case AttrType::boolean: {
    bool truth = false;
    bool good = reader.readBoolean(value, frame, truth);
    result = truth;
    return good;
  }
  case AttrType::word: {
    auto words = splitWords(attr.words);
    std::string word;
    bool allowsFalse = std::find(words.begin(), words.end(), "false") != words.end();
    if (allowsFalse && value.kind == JsonValue::Kind::boolean && !value.truth) {
      call.attrs.erase(attr.name);
      return true;
    }
    words.erase(std::remove(words.begin(), words.end(), "false"), words.end());
    bool good = reader.readWord(value, words, word);
    result = word;
    return good;
  }
  case AttrType::text: {
    std::string text;
    bool good = reader.readText(value, text);
    result = text;
    return good;
  }
  case AttrType::dtype: {
    DType dtype = DType::f32;
    bool good = reader.readDtype(value, dtype);
    result = std::string(dtypeName(dtype));
    return good;
  }
  case AttrType::integer:
  case AttrType::count: {
    int64_t whole = 0;
    if (!reader.readWhole(value, frame, whole))
      return false;
    result = whole;
    if (attr.type == AttrType::count && whole < 1)
      return reader.error(value, std::string(attr.name) + ": expected an integer of at least 1 but got " +
                                     std::to_string(whole));
    return attr.range != AttrRange::nonNegative || whole >= 0 ||
           reader.error(value,
                        std::string(attr.name) + ": expected an integer of 0 or more but got " + std::to_string(whole));
  }
  case AttrType::real: {
    double real = 0;
    bool good = readReal(value, real, attr.range);
    result = real;
    return good;
  }
  case AttrType::scalar: {
    Number number;
    if (!reader.readNumber(value, frame, number))
      return false;
    if (number.kind == Number::Kind::dims)
      result = number.dims;
    else
      result = number.asReal();
    bool exact = number.kind != Number::Kind::integer || std::abs(number.integer) <= (int64_t(1) << 53);
    return exact || reader.error(value, "integer " + number.str() + " is larger than 2^53");
  }
  case AttrType::axis: {
    int64_t axis = 0;
    bool good = readAxis(&value, 0, axis);
    result = axis;
    return good;
  }
  case AttrType::size: {
    DimExpr size;
    bool good = reader.readSize(value, frame, size);
    result = size;
    return good;
  }
  case AttrType::realOrReals:
    if (!value.isArray()) {
      double real = 0;
      bool good = readReal(value, real, AttrRange::nonNegative);
      result = real;
      return good;
    }
    return readList(attr, value);
  case AttrType::axes:
    if (!value.isArray()) {
      int64_t axis = 0;
      bool good = readAxis(&value, 0, axis);
      result = std::vector<int64_t>{axis};
      return good;
    }
    return readList(attr, value);
  case AttrType::sizes:
  case AttrType::integers:
  case AttrType::counts:
  case AttrType::reals:
    return readList(attr, value);
  case AttrType::offset:
    return readOffset(value);
  case AttrType::cache:
    return readCache(value);
  }
  return false;
}

/// Kernels compute in f32, or f64 with f64 operands. Values of an op without operands have the dtype that it names.
bool NodeReader::readReal(const JsonValue &value, double &real, AttrRange range) {
  if (!reader.readReal(value, frame, real, range))
    return false;
  DType dtype = op.operands.empty() ? DType::f64 : DType::f32;
  for (const TensorType *operand : call.operands)
    if (operand && isKnown(*operand) && operand->dtype == DType::f64)
      dtype = DType::f64;
  return isValueOf(dtype, real) || reader.error(value, notValueText(dtype, real));
}

bool NodeReader::readList(const AttrInfo &attr, const JsonValue &value) {
  if (!value.isArray())
    return reader.error(value, std::string(attr.name) + ": expected a list but got " + value.describe());
  if (value.items.empty() && attr.type == AttrType::axes)
    return reader.error(value, std::string(attr.name) + ": the list is empty");
  bool good = true, isReal = attr.type == AttrType::reals || attr.type == AttrType::realOrReals;
  std::vector<double> reals;
  std::vector<int64_t> integers;
  Shape sizes;
  for (const JsonValue *item : value.items) {
    double real = 0;
    int64_t whole = 0;
    DimExpr size;
    if (isReal && item->kind == JsonValue::Kind::boolean)
      real = item->truth;
    else if (isReal)
      good &= readReal(*item, real, AttrRange::any);
    else if (attr.type == AttrType::axes)
      good &= readAxis(item, 0, whole);
    else if (attr.type == AttrType::sizes)
      good &= reader.readSize(*item, frame, size);
    else
      good &= reader.readWhole(*item, frame, whole);
    if (good && attr.type == AttrType::counts && whole < 1)
      good = reader.error(*item, std::string(attr.name) + ": expected an integer of at least 1 but got " +
                                     std::to_string(whole));
    reals.push_back(real);
    integers.push_back(whole);
    sizes.push_back(size);
  }
  if (isReal)
    call.attrs[attr.name] = reals;
  else if (attr.type == AttrType::sizes)
    call.attrs[attr.name] = sizes;
  else
    call.attrs[attr.name] = integers;
  return good;
}

bool NodeReader::checkStateName(const JsonValue &value, std::string &name) {
  if (!reader.readText(value, name))
    return false;
  reader.usedStates.insert(name);
  if (state(name))
    return true;
  std::vector<std::string> names;
  for (const StateDesc &next : reader.model.states)
    names.push_back(next.name);
  // A state whose own declaration is wrong is there, but without a description.
  const JsonValue *states = reader.root.find("state");
  if (states ? states->find(name) || !states->isObject() : reader.isMisspelt(reader.root, "state"))
    return false;
  return reader.error(value, "no state " + quote(name),
                      names.empty() ? "declare it under 'state'" : didYouMean(name, names));
}

bool NodeReader::readOffset(const JsonValue &value) {
  call.attrs.erase("offset");
  if (!value.isObject()) {
    DimExpr offset;
    if (!reader.readSize(value, frame, offset))
      return false;
    call.attrs["offset"] = offset;
    auto low = lowest(offset);
    return (low && *low >= 0) || reader.error(value, "expected an offset of 0 or more but got " + offset.str());
  }
  std::string name;
  reader.checkKeys(value, {"state"}, "offset");
  const JsonValue *given = reader.require(value, "state", "offset");
  if (!given || !checkStateName(*given, name))
    return false;
  call.attrs["offset_state"] = name;
  return true;
}

/// Two attentions that append to one layer of a cache would read each other's keys.
bool NodeReader::claimLayer(const JsonValue &value, const std::string &state, const DimExpr &layer) {
  const std::string what = "layer " + layer.str() + " of state " + quote(state);
  std::vector<std::string> used = layer.names();
  for (const Loop &loop : reader.loops)
    if (loop.count > 1 && std::find(used.begin(), used.end(), loop.index) == used.end())
      return reader.error(value, what + " is the same in all " + std::to_string(loop.count) + " rounds of the repeat",
                          "name the repeat's 'index' in it, as in \"layer\": \"i\"");
  auto [found, added] = reader.cacheLayers.emplace(std::pair(state, layer.str()), value.position());
  return added || reader.error(value, what + " is used by two attentions, first at " + std::to_string(found->second.line) +
                                          ":" + std::to_string(found->second.column),
                               "give each a layer of its own");
}

bool NodeReader::readCache(const JsonValue &value) {
  call.attrs.erase("cache");
  if (value.isString())
    return reader.error(value, "cache: expected an object but got " + value.describe(),
                        "as in {\"state\": " + jsonString(value.text.substr(0, 40)) + ", \"layer\": 0}");
  if (!reader.checkKeys(value, {"state", "layer"}, "cache"))
    return false;
  std::string name;
  const JsonValue *given = reader.require(value, "state", "cache"), *layer = value.find("layer");
  DimExpr number;
  bool good = given && checkStateName(*given, name);
  good = (!layer || reader.readSize(*layer, frame, number)) && good;
  if (!good)
    return false;
  if (!claimLayer(layer ? *layer : value, name, number))
    return false;
  call.attrs["cache_state"] = name;
  call.attrs["cache_layer"] = number;
  bool masked = false;
  for (const char *operand : {"key_mask", "mask", "bias"})
    masked |= node.operands[op.operandIndex(operand)] != kNoValue;
  if (masked)
    reader.masksWithCache.emplace(name, value.position());
  return true;
}

} // namespace weft
