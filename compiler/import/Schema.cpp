// The JSON Schema of the format, for editors: what may stand where, with descriptions. Generated from the op table.
// It describes shapes of values only; names, sizes and dtypes are the reader's business.
#include "import/JsonText.h"
#include "import/OpTable.h"
#include "import/ShapeRules.h"

namespace weft {
namespace {

using J = JsonText;

J ref(const char *name) { return J::object({{"$ref", J::string(std::string("#/$defs/") + name)}}); }
J type(const char *name) { return J::object({{"type", J::string(name)}}); }
J words(const std::vector<std::string> &list) { return J::object({{"enum", J::strings(list)}}); }
J listOf(J items) { return J::object({{"type", J::string("array")}, {"items", std::move(items)}}); }
J anyOf(std::initializer_list<J> options) { return J::object({{"anyOf", J::array(options)}}); }
J oneOrMore(const J &item) { return anyOf({item, listOf(item)}); }
J mapOf(J values) { return J::object({{"type", J::string("object")}, {"additionalProperties", std::move(values)}}); }
J with(J schema, const char *description) { return schema.set("description", J::string(description)); }

/// An object with these keys, `doc` and x- keys.
J record(std::vector<std::pair<std::string, J>> properties, const std::vector<std::string> &required,
         const char *description = nullptr) {
  J keys = J::object();
  for (auto &[name, schema] : properties)
    keys.set(name, std::move(schema));
  keys.set("doc", with(type("string"), "a remark; not read"));
  J result = J::object({{"type", J::string("object")}});
  if (description)
    result.set("description", J::string(description));
  result.set("properties", std::move(keys));
  if (!required.empty())
    result.set("required", J::strings(required));
  result.set("patternProperties", J::object({{"^x-", J::raw("true")}}));
  return result.set("additionalProperties", J::raw("false"));
}

J attributeSchema(const AttrInfo &attr) {
  auto words = splitWords(attr.words);
  switch (attr.type) {
  case AttrType::integer:
  case AttrType::count:
  case AttrType::size:
    return ref("integer");
  case AttrType::real:
  case AttrType::scalar:
    return ref("number");
  case AttrType::boolean:
    return ref("boolean");
  case AttrType::word: {
    J list = J::array();
    for (const std::string &word : words)
      list.push(word == "false" ? J::raw("false") : J::string(word));
    return J::object({{"enum", list}});
  }
  case AttrType::text:
    return type("string");
  case AttrType::dtype:
    return ref("dtype");
  case AttrType::axis:
    return ref("axis");
  case AttrType::axes:
    return oneOrMore(ref("axis"));
  case AttrType::sizes:
  case AttrType::integers:
  case AttrType::counts:
    return listOf(ref("integer"));
  case AttrType::reals:
    return listOf(anyOf({ref("number"), type("boolean")}));
  case AttrType::realOrReals:
    return oneOrMore(ref("number"));
  case AttrType::offset:
    return anyOf({ref("integer"), record({{"state", type("string")}}, {"state"})});
  case AttrType::cache:
    return record({{"state", type("string")}, {"layer", ref("integer")}}, {"state"});
  }
  return J::object();
}

J operandSchema(const OpInfo &op) {
  if (op.variadic)
    return oneOrMore(ref("value"));
  std::vector<std::pair<std::string, J>> names;
  std::vector<std::string> required;
  for (const OperandInfo &operand : op.operands) {
    names.emplace_back(operand.name, ref("value"));
    if (!operand.optional)
      required.emplace_back(operand.name);
  }
  return anyOf({ref("value"), listOf(ref("value")), record(std::move(names), required)});
}

J paramSchema(const OpInfo &op) {
  J name = with(type("string"), "base name of the parameters, default the id; '/' in front leaves the scope");
  if (op.params.front().role[0] == '\0')
    return name;
  std::vector<std::pair<std::string, J>> roles;
  for (const ParamInfo &param : op.params)
    roles.emplace_back(param.role, with(type("string"), "full name of this tensor"));
  return anyOf({name, record(std::move(roles), {})});
}

std::vector<std::pair<std::string, J>> nodeKeys(const char *op) {
  return {{"id", ref("name")},
          {"op", J::object({{"const", J::string(op)}})},
          {"out", with(oneOrMore(ref("name")), "names of the results, default the id")}};
}

J opSchema(const OpInfo &op) {
  auto keys = nodeKeys(op.name);
  std::vector<std::string> required = {"id", "op"};
  if (!op.operands.empty())
    keys.emplace_back("in", with(operandSchema(op), "operands; left out: the result of the node before"));
  for (const AttrInfo &attr : op.attrs) {
    J schema = with(attributeSchema(attr), attr.doc);
    if (attr.byDefault)
      schema.set("default", J::raw(attr.byDefault));
    keys.emplace_back(attr.name, std::move(schema));
    if (attr.required)
      required.emplace_back(attr.name);
  }
  if (!op.params.empty())
    keys.emplace_back("param", paramSchema(op));
  if (!op.attr("dtype"))
    keys.emplace_back("dtype", with(ref("dtype"), "compute dtype of this node"));
  std::string text = std::string(op.summary) + (op.formula[0] ? std::string(": ") + op.formula : "");
  return record(std::move(keys), required, text.c_str());
}

J blockUseSchema(const char *op) {
  auto keys = nodeKeys(op);
  std::vector<std::string> required = {"id", "op", "block"};
  keys.emplace_back("block", with(type("string"), "name of a block"));
  keys.emplace_back("in", with(mapOf(ref("value")), "a value for each of the block's inputs"));
  keys.emplace_back("args", with(mapOf(ref("number")), "numbers for the block's args"));
  keys.emplace_back("scope", with(type("string"), "prefix of parameter names; {i} is the index"));
  if (std::string_view(op) == "repeat") {
    keys.emplace_back("count", with(ref("integer"), "number of rounds"));
    keys.emplace_back("index", with(ref("name"), "name of the round's number in expressions and in scope"));
    keys.emplace_back("carry",
                      with(oneOrMore(ref("name")), "the inputs that the results of a round become in the next one"));
    required.emplace_back("count");
  }
  return record(std::move(keys), required,
                std::string_view(op) == "repeat" ? "A block run several times" : "A block run once");
}

J inputSchema() {
  return record({{"dtype", ref("dtype")},
                 {"shape", with(listOf(ref("integer")), "sizes, row-major")},
                 {"optional", with(anyOf({ref("number"), type("boolean")}),
                                   "the input may be left out and is then filled with this")},
                 {"range", with(J::object({{"type", J::string("array")},
                                           {"items", ref("integer")},
                                           {"minItems", J::raw("2")},
                                           {"maxItems", J::raw("2")}}),
                                "lowest and highest value")}},
                {"dtype", "shape"}, "An input of the model");
}

J trainSchema() {
  J optimizer = record(
      {{"kind", words({"sgd", "adam", "adamw"})},
       {"lr", ref("number")},
       {"momentum", ref("number")},
       {"nesterov", ref("boolean")},
       {"betas", listOf(ref("number"))},
       {"eps", ref("number")},
       {"weight_decay", ref("number")},
       {"no_decay", with(anyOf({oneOrMore(type("string")), record({{"rank_below", ref("integer")}}, {"rank_below"})}),
                         "parameters without weight decay")}},
      {"kind"});
  J schedule = record({{"kind", words({"constant", "linear", "cosine", "noam", "inverse_sqrt", "step", "wsd"})},
                       {"warmup_steps", ref("integer")},
                       {"total_steps", ref("integer")},
                       {"min_lr_ratio", ref("number")},
                       {"factor", ref("number")},
                       {"d_model", ref("integer")},
                       {"step_size", ref("integer")},
                       {"gamma", ref("number")},
                       {"decay_steps", ref("integer")}},
                      {"kind"});
  return record({{"inputs", mapOf(ref("input"))},
                 {"nodes", ref("nodes")},
                 {"loss", with(type("string"), "the value that training makes small")},
                 {"optimizer", optimizer},
                 {"schedule", schedule},
                 {"clip_grad_norm", ref("number")},
                 {"accumulate", with(ref("integer"), "batches for one update")},
                 {"freeze", with(oneOrMore(type("string")), "globs of parameters that stay as they are")},
                 {"recompute", with(anyOf({words({"none", "block"}), oneOrMore(type("string"))}),
                                    "values that are computed again instead of kept")},
                 {"loss_scale", words({"dynamic"})}},
                {"nodes", "loss"}, "Training: loss, optimizer, schedule");
}

J entrySchema() {
  J sample = record({{"kind", words({"greedy", "multinomial", "top_k", "top_p", "beam"})},
                     {"temperature", ref("number")},
                     {"k", ref("integer")},
                     {"p", ref("number")},
                     {"beams", ref("integer")},
                     {"length_penalty", ref("number")},
                     {"seed", ref("integer")}},
                    {});
  return anyOf({record({{"outputs", oneOrMore(type("string"))},
                        {"mode", words({"infer", "train", "grad"})},
                        {"state", with(oneOrMore(type("string")), "states that are bound")},
                        {"dims", with(mapOf(ref("integer")), "dims with a fixed size")},
                        {"last_token_only", with(ref("boolean"), "only the last position of axis 1")},
                        {"gradients", with(oneOrMore(type("string")), "globs of parameters and inputs")}},
                       {}, "Something to call"),
                record({{"prefill", type("string")},
                        {"step", type("string")},
                        {"max_new_tokens", ref("integer")},
                        {"stop", oneOrMore(ref("integer"))},
                        {"sample", sample}},
                       {"prefill", "step", "max_new_tokens"}, "Generation of tokens")});
}

J initSchema() {
  auto rule = [](const char *name, std::vector<std::pair<std::string, J>> numbers) {
    return record({{name, record(std::move(numbers), {})}}, {name});
  };
  return anyOf({words({"zeros", "ones"}), rule("normal", {{"mean", ref("number")}, {"std", ref("number")}}),
                rule("uniform", {{"low", ref("number")}, {"high", ref("number")}}),
                rule("xavier_uniform", {{"gain", ref("number")}}), rule("kaiming_uniform", {{"a", ref("number")}}),
                rule("trunc_normal", {{"std", ref("number")}}), record({{"constant", ref("number")}}, {"constant"})});
}

J nodeSchema() {
  J choices = J::array(), rules = J::array();
  auto add = [&](const char *name, const char *summary) {
    choices.push(J::object({{"const", J::string(name)}, {"description", J::string(summary)}}));
    J condition = J::object({{"properties", J::object({{"op", J::object({{"const", J::string(name)}})}})},
                             {"required", J::strings({"op"})}});
    rules.push(J::object({{"if", condition}, {"then", ref((std::string("op_") + name).c_str())}}));
  };
  for (const OpInfo &op : opTable())
    add(op.name, op.summary);
  add("call", "A block run once");
  add("repeat", "A block run several times");
  return J::object({{"type", J::string("object")},
                    {"required", J::strings({"id", "op"})},
                    {"properties", J::object({{"op", J::object({{"anyOf", choices}})}})},
                    {"allOf", rules}});
}

} // namespace

std::string schemaText() {
  J defs = J::object();
  defs.set("name", J::object({{"type", J::string("string")}, {"pattern", J::string("^[A-Za-z_][A-Za-z0-9_]*$")}}));
  defs.set("value", with(type("string"), "name of a value defined before: an input or a node's result"));
  defs.set("integer", with(anyOf({type("integer"), type("string")}),
                           "an integer, or an expression over config and dims: + - * / ( ) sqrt min max"));
  defs.set("number", with(anyOf({type("number"), type("string"), type("boolean")}),
                          "a number, or an expression over config and dims: + - * / ( ) sqrt min max inf"));
  defs.set("boolean", with(anyOf({type("boolean"), type("string")}), "true, false, or the name of a config value"));
  defs.set("axis", with(anyOf({type("integer"), type("string")}),
                        "an axis: negative counts from the end, or the name of a dim that one axis has"));
  defs.set("dtype", words(dtypeNames()));
  defs.set("init", initSchema());
  defs.set("input", inputSchema());
  defs.set("nodes", listOf(ref("node")));
  defs.set("node", nodeSchema());
  for (const OpInfo &op : opTable())
    defs.set(std::string("op_") + op.name, opSchema(op));
  defs.set("op_call", blockUseSchema("call"));
  defs.set("op_repeat", blockUseSchema("repeat"));

  J dim = record({{"min", ref("integer")},
                  {"max", ref("integer")},
                  {"hint", with(ref("integer"), "the usual size")},
                  {"multiple_of", ref("integer")},
                  {"specialize", with(listOf(ref("integer")), "sizes worth code of their own")}},
                 {"max"}, "A size known at run time");
  J state = record({{"kind", words({"kv_cache"})},
                    {"layers", ref("integer")},
                    {"kv_heads", ref("integer")},
                    {"head_dim", ref("integer")},
                    {"capacity", ref("integer")},
                    {"dtype", ref("dtype")}},
                   {"kind", "layers", "kv_heads", "head_dim", "capacity"}, "Keys and values kept from call to call");
  J block = record({{"in", oneOrMore(ref("name"))},
                    {"args", mapOf(ref("number"))},
                    {"nodes", ref("nodes")},
                    {"out", oneOrMore(ref("name"))}},
                   {"in", "nodes", "out"}, "Nodes that call and repeat run");
  J weights =
      record({{"file", with(oneOrMore(type("string")), "safetensors files, relative to the model file")},
              {"map", with(mapOf(type("string")), "glob of model names -> name in the file")},
              {"transpose", with(oneOrMore(type("string")), "globs of parameters that the file holds transposed")},
              {"missing", mapOf(words({"init", "error"}))}},
             {});
  J precision = record({{"params", ref("dtype")},
                        {"compute", ref("dtype")},
                        {"accumulate", ref("dtype")},
                        {"keep_f32", with(oneOrMore(type("string")), "ops that compute in f32")}},
                       {});
  J model = record({{"$schema", type("string")},
                    {"format", J::object({{"const", J::string("1.0")}})},
                    {"name", with(ref("name"), "prefix of the generated functions")},
                    {"config", with(mapOf(ref("number")), "numbers and expressions that the rest of the file uses")},
                    {"dims", mapOf(dim)},
                    {"precision", precision},
                    {"inputs", mapOf(ref("input"))},
                    {"state", mapOf(state)},
                    {"blocks", mapOf(block)},
                    {"graph", ref("nodes")},
                    {"outputs", with(mapOf(ref("value")), "name of an output -> value")},
                    {"init", with(mapOf(ref("init")), "glob -> rule; the last match wins, `default` is tried last")},
                    {"weights", weights},
                    {"train", trainSchema()},
                    {"entries", mapOf(entrySchema())}},
                   {"format", "name", "inputs", "graph", "outputs"});
  J schema = J::object({{"$schema", J::string("https://json-schema.org/draft/2020-12/schema")},
                        {"title", J::string("Weft model, format 1.0")}});
  schema.set("allOf", J::array({ref("model")}));
  defs.set("model", model);
  schema.set("$defs", defs);
  return schema.str() + "\n";
}

} // namespace weft
