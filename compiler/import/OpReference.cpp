// The reference page of all ops, generated from the op table.
// One heading for each op: what it computes, operands, attributes with defaults, parameters, an example.
#include "import/OpTable.h"

#include <algorithm>
#include <string>

namespace weft {
namespace {

const char *className(TypeClass type) {
  switch (type) {
  case TypeClass::any:
    return "any dtype";
  case TypeClass::real:
    return "float";
  case TypeClass::index:
    return "i32 or i64";
  case TypeClass::boolean:
    return "bool";
  case TypeClass::number:
    return "any dtype but bool";
  }
  return "";
}

std::string typeName(const AttrInfo &attr) {
  switch (attr.type) {
  case AttrType::integer:
    return "integer";
  case AttrType::count:
    return "integer ≥ 1";
  case AttrType::real:
    return attr.range == AttrRange::probability   ? "number in [0, 1)"
           : attr.range == AttrRange::positive    ? "number > 0"
           : attr.range == AttrRange::nonNegative ? "number ≥ 0"
                                                  : "number";
  case AttrType::scalar:
    return "number, `inf` allowed";
  case AttrType::boolean:
    return "boolean";
  case AttrType::word: {
    std::string text;
    for (const std::string &word : splitWords(attr.words))
      text += (text.empty() ? "`" : ", `") + word + "`";
    return text;
  }
  case AttrType::text:
    return "text";
  case AttrType::dtype:
    return "dtype";
  case AttrType::axis:
    return "axis";
  case AttrType::axes:
    return "axis or list of axes";
  case AttrType::size:
    return "size";
  case AttrType::sizes:
    return "list of sizes";
  case AttrType::integers:
    return "list of integers";
  case AttrType::counts:
    return "list of integers ≥ 1";
  case AttrType::reals:
    return "list of numbers";
  case AttrType::realOrReals:
    return "number or list of numbers";
  case AttrType::offset:
    return "size, or `{\"state\": s}`";
  case AttrType::cache:
    return "`{\"state\": s, \"layer\": n}`";
  }
  return "";
}

/// Text in a table cell.
std::string cell(std::string text) {
  for (size_t at = text.find('|'); at != std::string::npos; at = text.find('|', at + 2))
    text.insert(at, "\\");
  return text;
}

void writeOp(const OpInfo &op, std::string &out) {
  out += "### `" + std::string(op.name) + "`\n\n" + op.summary + ".\n";
  if (op.formula[0])
    out += "\n    " + std::string(op.formula) + "\n";
  out += "\nResult: " + std::string(op.result) + ".\n";
  if (!op.operands.empty()) {
    out += "\n| operand | dtype |\n|---|---|\n";
    for (const OperandInfo &operand : op.operands)
      out += "| `" + std::string(operand.name) + "`" +
             (operand.optional ? " (optional)"
              : op.variadic    ? " (a list)"
                               : "") +
             " | " + className(operand.type) + " |\n";
  }
  if (!op.attrs.empty()) {
    out += "\n| attribute | type | default | |\n|---|---|---|---|\n";
    for (const AttrInfo &attr : op.attrs)
      out += "| `" + std::string(attr.name) + "` | " + cell(typeName(attr)) + " | " +
             (attr.required    ? "required"
              : attr.byDefault ? "`" + std::string(attr.byDefault) + "`"
                               : "") +
             " | " + cell(attr.doc) + " |\n";
  }
  if (!op.params.empty()) {
    out += "\n| parameter | shape | initialisation |\n|---|---|---|\n";
    for (const ParamInfo &param : op.params)
      out += "| `" + std::string(param.role[0] ? param.role : "(the name itself)") + "`" +
             (param.when[0] ? " (if " + std::string(param.when) + ")" : "") + " | " + param.shape + " | " + param.init +
             " |\n";
  }
  if (op.example)
    out += "\n```json\n" + std::string(op.example) + "\n```\n";
  out += "\n";
}

} // namespace

std::string opReferenceText() {
  std::string out = "# Ops of the model format 1.0\n\n"
                    "Made by `weft-docgen ops` from the compiler's op table; do not edit.\n\n"
                    "Sizes, counts and numbers may be expressions over `config` and dims (`+ - * / ( ) sqrt min max "
                    "inf`). An axis is a number\n"
                    "(negative: from the end) or the name of a dim that exactly one axis has. Operands left out are "
                    "the result of the node before.\n\n";
  std::string chapter;
  for (const OpInfo &op : opTable())
    if (chapter != op.chapter) {
      chapter = op.chapter;
      out += "- " + chapter + ":";
      for (const OpInfo &other : opTable())
        if (chapter == other.chapter)
          out += std::string(" [`") + other.name + "`](#" + other.name + ")";
      out += "\n";
    }
  out += "- Structure: [`call`](#call) [`repeat`](#repeat)\n\n";
  chapter.clear();
  for (const OpInfo &op : opTable()) {
    if (chapter != op.chapter)
      out += "## " + std::string(op.chapter) + "\n\n";
    chapter = op.chapter;
    writeOp(op, out);
  }
  out += "## Structure\n\n"
         "### `call`\n\n"
         "Runs a block once. `block` names it, `in` is an object with a value for each of the block's inputs, `args` "
         "gives numbers to the\n"
         "block's args, `scope` is put in front of its parameter names.\n\n"
         "```json\n{\"id\": \"ff\", \"op\": \"call\", \"block\": \"feed_forward\", \"in\": {\"x\": \"norm1\"}, "
         "\"scope\": \"ff\"}\n```\n\n"
         "### `repeat`\n\n"
         "Runs a block `count` times. `carry` names the inputs that take the block's results in the next round; the "
         "results of the last\n"
         "round are the node's results. `index` is the number of the round, from 0, in expressions and as `{i}` in "
         "`scope`.\n\n"
         "```json\n{\"id\": \"h\", \"op\": \"repeat\", \"block\": \"layer\", \"count\": \"layers\", \"index\": \"i\", "
         "\"in\": {\"x\": \"x0\"}, \"carry\": \"x\", \"scope\": \"h.{i}\"}\n```\n";
  return out;
}

} // namespace weft
