// The text of a random model, and which of its parts are needed.
// What the nodes are is decided in RandomOps.cpp.
#include "RandomGraph.h"

#include <algorithm>
#include <set>

namespace weft::e2e {

bool RandomAxis::isNumber() const { return std::all_of(text.begin(), text.end(), [](unsigned char ch) { return ch >= '0' && ch <= '9'; }); }

int64_t RandomType::count() const {
  int64_t most = 0;
  for (size_t round = 0; round < kRandomRounds; ++round) {
    int64_t product = 1;
    for (const RandomAxis &axis : axes)
      product *= axis.size[round];
    most = std::max(most, product);
  }
  return most;
}

std::string RandomType::shapeText() const {
  std::string text = "[";
  for (const RandomAxis &axis : axes)
    text += (text.size() > 1 ? ", " : "") + (axis.isNumber() ? axis.text : "\"" + axis.text + "\"");
  return text + "]";
}

namespace {

std::string quoted(const std::string &text) { return "\"" + text + "\""; }

std::string operandsText(const RandomNode &node) {
  if (node.keys.empty() && node.in.size() == 1)
    return quoted(node.in[0]);
  std::string text, key;
  size_t at = 0;
  for (const std::string &name : node.in) {
    text += text.empty() ? "" : ", ";
    if (!node.keys.empty()) {
      size_t comma = std::min(node.keys.find(',', at), node.keys.size());
      text += quoted(node.keys.substr(at, comma - at)) + ": ";
      at = comma + 1;
    }
    text += quoted(name);
  }
  return node.keys.empty() ? "[" + text + "]" : "{" + text + "}";
}

std::string textOf(const RandomNode &node, const std::string &id) {
  std::string text = "{\"id\": " + quoted(id) + ", \"op\": " + quoted(node.op);
  if (!node.in.empty())
    text += ", \"in\": " + operandsText(node);
  if (!node.rest.empty())
    text += ", " + node.rest;
  if (node.out.size() > 1) {
    std::string names;
    for (const RandomValue &out : node.out)
      names += (names.empty() ? "" : ", ") + quoted(out.name);
    text += ", \"out\": [" + names + "]";
  }
  return text + "}";
}

std::string join(const std::vector<std::string> &parts, const char *separator) {
  std::string text;
  for (const std::string &part : parts)
    text += (text.empty() ? "" : separator) + part;
  return text;
}

}  // namespace

std::string nodeText(const RandomNode &node) { return textOf(node, node.out.size() > 1 ? "n_" + node.out[0].name : node.out[0].name); }

bool RandomModel::mentions(const std::string &dim) const {
  auto inType = [&](const RandomType &type) {
    return std::any_of(type.axes.begin(), type.axes.end(), [&](const RandomAxis &axis) { return axis.text.find(dim) != std::string::npos; });
  };
  for (const RandomInput &input : inputs)
    if (inType(input.value.type))
      return true;
  for (const RandomNode &node : nodes) {
    if (node.rest.find(quoted(dim)) != std::string::npos)
      return true;
    for (const RandomValue &out : node.out)
      if (inType(out.type))
        return true;
  }
  for (const auto &[name, body] : blocks)
    if (body.find(quoted(dim)) != std::string::npos)
      return true;
  return false;
}

std::string RandomModel::text() const {
  std::vector<std::string> dims, inputTexts, blockTexts, nodeTexts, outputTexts;
  for (const char *dim : {"B", "T", "S"})
    if (mentions(dim))
      dims.push_back(quoted(dim) + ": {" + (zero ? "\"min\": 0, " : "") + "\"max\": 140}");
  for (const RandomInput &input : inputs) {
    const RandomType &type = input.value.type;
    std::string text = quoted(input.value.name) + ": {\"dtype\": " + quoted(type.dtype) + ", \"shape\": " + type.shapeText();
    if (type.dtype[0] == 'i')
      text += ", \"range\": [" + std::to_string(static_cast<int64_t>(input.value.low)) + ", " + std::to_string(static_cast<int64_t>(input.value.high)) + "]";
    if (!input.fill.empty())
      text += ", \"optional\": " + input.fill;
    inputTexts.push_back(text + "}");
  }
  for (const auto &[name, body] : blocks)
    blockTexts.push_back(quoted(name) + ": " + body);
  for (const RandomNode &node : nodes)
    nodeTexts.push_back(nodeText(node));
  for (const auto &[name, value] : outputs)
    outputTexts.push_back(quoted(name) + ": " + quoted(value));
  return "{\"format\": \"1.0\", \"name\": \"random\",\n" + (dims.empty() ? "" : "  \"dims\": {" + join(dims, ", ") + "},\n") + "  \"inputs\": {\n    " +
         join(inputTexts, ",\n    ") + "},\n" + (blockTexts.empty() ? "" : "  \"blocks\": {\n    " + join(blockTexts, ",\n    ") + "},\n") + "  \"graph\": [\n    " +
         join(nodeTexts, ",\n    ") + "],\n  \"outputs\": {" + join(outputTexts, ", ") + "}}\n";
}

bool RandomModel::prune() {
  std::set<std::string> wanted;
  for (const auto &[name, value] : outputs)
    wanted.insert(value);
  std::vector<RandomNode> kept;
  std::string rests;
  for (size_t i = nodes.size(); i-- > 0;) {
    RandomNode &node = nodes[i];
    if (std::none_of(node.out.begin(), node.out.end(), [&](const RandomValue &out) { return wanted.count(out.name) > 0; }))
      continue;
    wanted.insert(node.in.begin(), node.in.end());
    rests += node.rest;
    kept.insert(kept.begin(), std::move(node));
  }
  nodes = std::move(kept);
  inputs.erase(std::remove_if(inputs.begin(), inputs.end(), [&](const RandomInput &input) { return !wanted.count(input.value.name); }), inputs.end());
  // From the last block to the first: an outer block is declared after those that it repeats.
  for (size_t i = blocks.size(); i-- > 0;)
    if (rests.find("\"block\": " + quoted(blocks[i].first)) == std::string::npos)
      blocks.erase(blocks.begin() + static_cast<std::ptrdiff_t>(i));
    else
      rests += blocks[i].second;
  return !nodes.empty() && !inputs.empty() && !outputs.empty();
}

}  // namespace weft::e2e
