// The generated pages are those that the table gives, and the op table itself is well formed.
// After a change of the table: weft-docgen ops > docs/ops.md; weft-docgen schema > docs/weft-1.schema.json.
#include "Helpers.h"
#include "import/ReadJson.h"

#include <fstream>
#include <set>

using namespace weft;
using namespace weft::test;

namespace {

std::string fileText(const std::string &name) {
  std::ifstream file(std::string(WEFT_SOURCE_DIR) + "/docs/" + name);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::optional<JsonDocument> readSchema() {
  SourceText text;
  text.text = schemaText();
  Diagnostics diagnostics;
  auto document = readJson(text, {}, diagnostics);
  EXPECT_TRUE(document.has_value()) << diagnostics.str();
  return document;
}

TEST(Docs, CommittedPagesAreCurrent) {
  EXPECT_TRUE(fileText("ops.md") == opReferenceText()) << "run: weft-docgen ops > docs/ops.md";
  EXPECT_TRUE(fileText("weft-1.schema.json") == schemaText()) << "run: weft-docgen schema > docs/weft-1.schema.json";
}

TEST(Docs, SchemaIsJsonAndHasEveryOp) {
  auto document = readSchema();
  ASSERT_TRUE(document.has_value());
  const JsonValue *defs = document->root()->find("$defs");
  for (const std::string &op : opNames())
    EXPECT_NE(defs->find("op_" + op), nullptr) << op;
}

/// What an editor shows over a key. Conditions are not shown.
void expectDescriptions(const JsonValue &schema) {
  for (const JsonMember &member : schema.members) {
    if (member.key == "if")
      continue;
    for (const JsonMember &property : member.key == "properties" ? member.value->members : std::vector<JsonMember>()) {
      const JsonValue *text = property.value->find("description");
      EXPECT_TRUE(text && !text->text.empty()) << property.value->pointer();
    }
    expectDescriptions(*member.value);
  }
  for (const JsonValue *item : schema.items)
    expectDescriptions(*item);
}

TEST(Docs, EveryPropertyOfTheSchemaHasADescription) {
  auto document = readSchema();
  ASSERT_TRUE(document.has_value());
  expectDescriptions(*document->root());
}

/// Keys of the sections that this part of the schema describes.
void collectKeys(const JsonValue &schema, std::set<std::string> &keys) {
  for (const JsonMember &member : schema.members) {
    for (const JsonMember &property : member.key == "properties" ? member.value->members : std::vector<JsonMember>())
      keys.insert(property.key);
    collectKeys(*member.value, keys);
  }
  for (const JsonValue *item : schema.items)
    collectKeys(*item, keys);
}

TEST(Docs, TheFormatPageNamesEveryKeyOfEverySection) {
  auto document = readSchema();
  ASSERT_TRUE(document.has_value());
  std::set<std::string> keys;
  for (const char *part : {"model", "input", "init", "node"})
    collectKeys(*document->root()->find("$defs")->find(part), keys);
  ASSERT_GT(keys.size(), 60u);
  const std::string page = fileText("format.md");
  for (const std::string &key : keys)
    EXPECT_TRUE(page.find("`" + key + "`") != std::string::npos || page.find("\"" + key + "\"") != std::string::npos) << "docs/format.md does not name " << key;
}

TEST(OpTable, NamesAreUniqueAndTextsAreThere) {
  std::set<std::string> names;
  for (const OpInfo &op : opTable()) {
    EXPECT_TRUE(names.insert(op.name).second) << op.name;
    EXPECT_TRUE(op.summary[0] && op.result[0] && op.shape) << op.name;
    EXPECT_EQ(findOp(op.name), &op);
    std::set<std::string> keys = {"id", "op", "in", "out", "param", "doc"};
    for (const AttrInfo &attr : op.attrs) {
      EXPECT_TRUE(keys.insert(attr.name).second) << op.name << " " << attr.name;
      EXPECT_TRUE(attr.doc[0]) << op.name << " " << attr.name;
      EXPECT_EQ(attr.words != nullptr, attr.type == AttrType::word) << op.name << " " << attr.name;
    }
  }
  EXPECT_EQ(opTable().size(), 82u);
}

TEST(OpTable, ExamplesAreNodesOfTheirOp) {
  for (const OpInfo &op : opTable()) {
    if (!op.example)
      continue;
    SourceText text;
    text.text = op.example;
    Diagnostics diagnostics;
    auto document = readJson(text, {}, diagnostics);
    ASSERT_TRUE(document.has_value()) << op.name << diagnostics.str();
    EXPECT_EQ(document->root()->find("op")->text, op.name);
    for (const JsonMember &member : document->root()->members)
      EXPECT_TRUE(op.attr(member.key) || member.key == "id" || member.key == "op" || member.key == "in" ||
                  member.key == "out" || member.key == "param")
          << op.name << " " << member.key;
    for (const AttrInfo &attr : op.attrs)
      EXPECT_TRUE(!attr.required || document->root()->find(attr.name)) << op.name << " " << attr.name;
  }
}

} // namespace
