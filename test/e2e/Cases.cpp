// From a line of the table to a model file, its sizes and its inputs.
// Dims are few and have fixed letters: B and T as in models, S for a second length, N for anything else.
#include "Cases.h"

#include <algorithm>
#include <cctype>
#include <sstream>

namespace weft::e2e {
namespace {

std::vector<std::string> split(const std::string &text, char separator) {
  std::vector<std::string> parts;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);)
    if (!part.empty())
      parts.push_back(part);
  return parts;
}

bool isDim(const std::string &axis) { return axis.size() == 1 && std::isupper(static_cast<unsigned char>(axis[0])); }

std::vector<std::string> dimsOf(const Case &c) {
  std::vector<std::string> dims;
  for (const CaseInput &input : caseInputs(c))
    for (const std::string &axis : input.axes)
      if (isDim(axis) && std::find(dims.begin(), dims.end(), axis) == dims.end())
        dims.push_back(axis);
  return dims;
}

// Lengths of 1, odd ones, those of vectors (16) and of tiles (64, 192) and their neighbours.
const std::vector<Sizes> kRounds = {
    {{"B", 1}, {"T", 1}, {"S", 1}, {"N", 1}},    {{"B", 2}, {"T", 3}, {"S", 5}, {"N", 7}},      {{"B", 1}, {"T", 17}, {"S", 16}, {"N", 16}},
    {{"B", 3}, {"T", 8}, {"S", 31}, {"N", 33}},  {{"B", 2}, {"T", 65}, {"S", 64}, {"N", 130}},  {{"B", 1}, {"T", 130}, {"S", 70}, {"N", 64}},
    {{"B", 7}, {"T", 1}, {"S", 129}, {"N", 200}},
};

}  // namespace

const std::string *option(const Case &c, const std::string &name, std::string &storage) {
  for (const std::string &word : split(c.options, ' '))
    if (word == name || word.rfind(name + "=", 0) == 0) {
      storage = word.size() > name.size() ? word.substr(name.size() + 1) : "";
      return &storage;
    }
  return nullptr;
}

std::vector<CaseInput> caseInputs(const Case &c) {
  std::vector<CaseInput> inputs;
  for (const std::string &word : split(c.inputs, ' ')) {
    CaseInput input;
    size_t colon = word.find(':'), open = word.find('['), close = word.find(']');
    input.name = word.substr(0, colon);
    input.dtype = open == colon + 1 ? "f32" : word.substr(colon + 1, open - colon - 1);
    input.axes = split(word.substr(open + 1, close - open - 1), ',');
    std::string rest = word.substr(close + 1);
    if (!rest.empty() && rest[0] == '<')
      input.below = std::stoll(rest.substr(1));
    input.positive = rest == "+";
    input.special = rest == "!";
    if (!rest.empty() && rest[0] == '=') {
      input.fill = rest.substr(1);
      input.given = false;
    }
    inputs.push_back(input);
  }
  return inputs;
}

std::vector<Sizes> rounds(const Case &c) {
  std::string value;
  if (option(c, "set", value)) {
    std::vector<Sizes> result;
    for (const std::string &round : split(value, ';')) {
      result.emplace_back();
      for (const std::string &size : split(round, ','))
        result.back()[size.substr(0, 1)] = std::stoll(size.substr(2));
    }
    return result;
  }
  std::vector<std::string> dims = dimsOf(c);
  std::vector<Sizes> result;
  for (const Sizes &all : kRounds) {
    Sizes sizes;
    for (const std::string &dim : dims)
      sizes[dim] = all.at(dim);
    if (std::find(result.begin(), result.end(), sizes) == result.end())
      result.push_back(sizes);
  }
  if (option(c, "once", value))
    result.resize(std::min<size_t>(result.size(), 1));
  if (option(c, "zero", value))
    for (const std::string &dim : dims) {
      result.push_back(result[result.size() > 1 ? 1 : 0]);
      result.back()[dim] = 0;
    }
  return result;
}

std::string modelText(const Case &c) {
  std::string value, dims, inputs, names, nodes = c.nodes, outputs;
  bool zero = option(c, "zero", value) != nullptr;
  for (const std::string &dim : dimsOf(c))
    dims += (dims.empty() ? "" : ", ") + ("\"" + dim + "\": {" + (zero ? "\"min\": 0, " : "") + "\"max\": 512}");
  for (const CaseInput &input : caseInputs(c)) {
    std::string shape;
    for (const std::string &axis : input.axes)
      shape += (shape.empty() ? "" : ", ") + (std::isdigit(static_cast<unsigned char>(axis[0])) ? axis : "\"" + axis + "\"");
    inputs += (inputs.empty() ? "" : ", ") + ("\"" + input.name + "\": {\"dtype\": \"" + input.dtype + "\", \"shape\": [" + shape + "]");
    if (input.below)
      inputs += ", \"range\": [0, " + std::to_string(input.below - 1) + "]";
    if (!input.fill.empty())
      inputs += ", \"optional\": " + input.fill;
    inputs += "}";
    names += (names.empty() ? "" : ", ") + ("\"" + input.name + "\"");
  }
  if (nodes[0] != '[')
    nodes = "[{\"id\": \"y\", " + (nodes.find("\"in\"") == std::string::npos ? "\"in\": [" + names + "], " : std::string()) + nodes + "}]";
  std::vector<std::string> wanted = {"y"};
  if (option(c, "out", value))
    wanted = split(value, ',');
  for (const std::string &name : wanted)
    outputs += (outputs.empty() ? "" : ", ") + ("\"" + name + "\": \"" + name + "\"");
  std::string train;
  if (option(c, "loss", value)) {
    nodes.insert(nodes.size() - 1, ", {\"id\": \"total\", \"op\": \"sum\"}");
    train = ",\n \"train\": {\"nodes\": " + nodes + ", \"loss\": \"total\"},\n \"entries\": {\"forward\": {}}"; // nothing trains
    nodes = "[{\"id\": \"unread\", \"op\": \"parameter\", \"shape\": [1]}]";
    outputs = "\"unread\": \"unread\"";
  }
  return "{\"format\": \"1.0\", \"name\": \"small\", " + (dims.empty() ? "" : "\"dims\": {" + dims + "}, ") + "\"inputs\": {" + inputs + "},\n \"graph\": " + nodes +
         ",\n \"outputs\": {" + outputs + "}" + train + "}\n";
}

std::string caseName(const Case &c) {
  std::string name = c.inputs + " | ";
  for (char ch : c.nodes)
    if (ch != '"' && ch != ' ')
      name += ch;
  if (name.rfind("op:") != std::string::npos && c.nodes[0] != '[')
    name.erase(name.find("op:"), 3);
  return name.size() > 160 ? name.substr(0, 157) + "..." : name;
}

std::vector<Case> allCases(bool full) {
  std::vector<Case> cases;
  for (auto add : {addPointwiseCases, addRowCases, addDenseCases, addAttentionCases, addShapeCases, addGraphCases, addLossCases})
    add(cases);
  if (!full)
    cases.erase(std::remove_if(cases.begin(), cases.end(), [](const Case &c) { return c.options.find("slow") != std::string::npos; }), cases.end());
  return cases;
}

}  // namespace weft::e2e
