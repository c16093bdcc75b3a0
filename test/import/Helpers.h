// Small models as text, and checks of the messages that a wrong one gives.
// Every helper model has the dims B, T, S and the state kv (2 layers, 2 heads of 4, 32 positions).
#ifndef WEFT_TEST_IMPORT_HELPERS_H
#define WEFT_TEST_IMPORT_HELPERS_H

#include "import/ReadModel.h"
#include "import/ShapeRules.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <sstream>

namespace weft::test {

struct Reading {
  std::optional<ModelDesc> model;
  Diagnostics diagnostics;

  std::string errors() const {
    std::string text;
    for (const Diagnostic &next : diagnostics.sorted())
      if (!next.warning)
        text += std::to_string(next.pos.line) + ":" + std::to_string(next.pos.column) + " " + next.pos.pointer + ": " +
                next.text + (next.hint.empty() ? "" : " (" + next.hint + ")") + "\n";
    return text;
  }
  std::string warnings() const {
    std::string text;
    for (const Diagnostic &next : diagnostics.sorted())
      if (next.warning)
        text += next.pos.pointer + ": " + next.text + "\n";
    return text;
  }
  const ModelDesc &operator*() const { return *model; }
  const ModelDesc *operator->() const { return &*model; }
  explicit operator bool() const { return model.has_value(); }
};

inline Reading readText(const std::string &text, const ReadOptions &options = {}) {
  Reading result;
  SourceText source;
  source.file = "m.json";
  source.text = text;
  result.model = readModel(std::move(source), options, result.diagnostics);
  EXPECT_EQ(result.model.has_value(), !result.diagnostics.hasErrors());
  return result;
}

/// "x:f32[B,T,8] m:bool[B,T]" as the members of `inputs`.
inline std::string inputsText(const std::string &spec) {
  std::istringstream words(spec);
  std::string text;
  for (std::string word; words >> word;) {
    size_t colon = word.find(':'), open = word.find('[');
    text += (text.empty() ? "\"" : ", \"") + word.substr(0, colon) + "\": {\"dtype\": \"" +
            word.substr(colon + 1, open - colon - 1) + "\", \"shape\": [";
    std::istringstream sizes(word.substr(open + 1, word.size() - open - 2));
    bool first = true;
    for (std::string size; std::getline(sizes, size, ',');) {
      bool number = !size.empty() && size.find_first_not_of("0123456789") == std::string::npos;
      text += (first ? "" : ", ") + (number ? size : "\"" + size + "\"");
      first = false;
    }
    text += "]}";
  }
  return text;
}

constexpr const char *kDims =
    R"("dims": {"B": {"max": 64, "hint": 4}, "T": {"max": 32}, "S": {"max": 32}, "E": {"max": 64, "multiple_of": 2, "min": 2}})";
constexpr const char *kState =
    R"("state": {"kv": {"kind": "kv_cache", "layers": 2, "kv_heads": 2, "head_dim": 4, "capacity": 32}})";

/// A model from its parts; `more` holds further sections, each followed by a comma.
inline std::string modelText(const std::string &inputs, const std::string &nodes, const std::string &outputs,
                             const std::string &more = "") {
  std::string text = std::string("{\"format\": \"1.0\", \"name\": \"m\",\n") + kDims + ",\n" + kState + ",\n" + more +
                     "\n\"inputs\": {" + inputsText(inputs) + "},\n\"graph\": [\n" + nodes + "\n],\n\"outputs\": {";
  std::istringstream words(outputs);
  bool first = true;
  for (std::string word; words >> word;) {
    text += (first ? "\"" : ", \"") + word + "\": \"" + word + "\"";
    first = false;
  }
  return text + "}}";
}

inline Reading readParts(const std::string &inputs, const std::string &nodes, const std::string &outputs,
                         const std::string &more = "", const ReadOptions &options = {}) {
  return readText(modelText(inputs, nodes, outputs, more), options);
}

inline std::string typeText(const TensorType &type) {
  return std::string(dtypeName(type.dtype)) + " " + shapeText(type.shape);
}

/// The type of a value of the top graph.
inline std::string typeOf(const ModelDesc &model, const std::string &name) {
  for (const ValueDesc &value : model.graph.values)
    if (value.name == name)
      return typeText(value.type);
  return "no value " + name;
}

inline const Node *findNode(const std::vector<Node> &nodes, const std::string &path) {
  for (const Node &node : nodes) {
    if (node.path == path)
      return &node;
    if (const Node *inner = node.body ? findNode(node.body->nodes, path) : nullptr)
      return inner;
  }
  return nullptr;
}

inline const ParamTensor *findTensor(const ModelDesc &model, const std::string &name) {
  for (const ParamTensor &tensor : model.tensors)
    if (tensor.name == name)
      return &tensor;
  return nullptr;
}

#define EXPECT_READS(reading) EXPECT_TRUE(static_cast<bool>(reading)) << (reading).errors()
/// An error with all of `parts` in its place, text and hint.
#define EXPECT_ERROR(reading, part)                                                                                    \
  EXPECT_NE((reading).errors().find(part), std::string::npos) << "errors:\n" << (reading).errors()

} // namespace weft::test

#endif // WEFT_TEST_IMPORT_HELPERS_H
