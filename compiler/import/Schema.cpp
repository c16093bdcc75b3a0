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
    return anyOf(
        {ref("integer"),
         record({{"state", with(type("string"), "a state: the first free position of its cache")}}, {"state"})});
  case AttrType::cache:
    return record({{"state", with(type("string"), "name of the state that keeps keys and values")},
                   {"layer", with(ref("integer"), "the layer of that state, from 0; in a repeat its index")}},
                  {"state"});
  }
  return J::object();
}

J operandSchema(const OpInfo &op) {
  if (op.variadic)
    return oneOrMore(ref("value"));
  std::vector<std::pair<std::string, J>> names;
  std::vector<std::string> required;
  for (const OperandInfo &operand : op.operands) {
    static const char *const kKinds[] = {"a value of any dtype", "a float value", "an i32 or i64 value", "a bool value",
                                         "a value of any dtype but bool"};
    std::string text =
        kKinds[static_cast<int>(operand.type)] + std::string(operand.optional ? "; may be left out" : "");
    names.emplace_back(operand.name, with(ref("value"), text.c_str()));
    if (!operand.optional)
      required.emplace_back(operand.name);
  }
  return anyOf({ref("value"), listOf(ref("value")), record(std::move(names), required)});
}

J paramSchema(const OpInfo &op) {
  if (op.params.front().role[0] == '\0')
    return type("string");
  J name = with(type("string"), "base name of the parameters, default the id; '/' in front leaves the scope");
  std::vector<std::pair<std::string, J>> roles;
  for (const ParamInfo &param : op.params)
    roles.emplace_back(param.role,
                       with(type("string"), ("full name of the tensor " + std::string(param.shape)).c_str()));
  return anyOf({name, record(std::move(roles), {}, "full names of single tensors")});
}

std::vector<std::pair<std::string, J>> nodeKeys(const char *op) {
  return {{"id", with(ref("name"), "name of the node, and of its result")},
          {"op", with(J::object({{"const", J::string(op)}}), "what the node computes")},
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
    keys.emplace_back("param", with(paramSchema(op),
                                    op.params.front().role[0] == '\0'
                                        ? "name of the parameter, default the id; '/' in front leaves the scope"
                                        : "names of the parameters: a base name, default the id, or each by its role"));
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
  return record({{"dtype", with(ref("dtype"), "type of the elements")},
                 {"shape", with(listOf(ref("integer")), "sizes, row-major")},
                 {"optional", with(anyOf({ref("number"), type("boolean")}),
                                   "the input may be left out and is then filled with this; without the key it must be given")},
                 {"range", with(J::object({{"type", J::string("array")},
                                           {"items", ref("integer")},
                                           {"minItems", J::raw("2")},
                                           {"maxItems", J::raw("2")}}),
                                "lowest and highest value")}},
                {"dtype", "shape"}, "An input of the model");
}

J trainSchema() {
  auto number = [](const char *text) { return with(ref("number"), text); };
  auto integer = [](const char *text) { return with(ref("integer"), text); };
  J optimizer = record(
      {{"kind", with(words({"sgd", "adam", "adamw"}), "the rule of an update")},
       {"lr", number("learning rate, above 0, default 1e-3; the schedule scales it")},
       {"momentum", number("sgd: share of the last update that is kept, default 0")},
       {"nesterov", with(ref("boolean"), "sgd: Nesterov's momentum, default false")},
       {"betas", with(listOf(ref("number")), "adam, adamw: decay of the two moments, default [0.9, 0.999]")},
       {"eps", number("adam, adamw: keeps the divisor from zero, default 1e-8")},
       {"weight_decay", number("pull of the parameters towards zero, default 0, of adamw 0.01")},
       {"no_decay", with(anyOf({oneOrMore(type("string")),
                                record({{"rank_below", integer("parameters of a lower rank")}}, {"rank_below"})}),
                         "parameters without weight decay")}},
      {"kind"}, "How parameters are updated");
  J schedule = record({{"kind", with(words({"constant", "linear", "cosine", "noam", "inverse_sqrt", "step", "wsd"}),
                                     "how the learning rate goes on after the warm-up")},
                       {"warmup_steps", integer("steps in which the learning rate rises, default 0")},
                       {"total_steps", integer("linear, cosine, wsd: the step at which it is lowest")},
                       {"min_lr_ratio", number("linear, cosine, wsd: the lowest, as a share of lr (0 to 1), default 0")},
                       {"factor", number("noam: factor of the learning rate")},
                       {"d_model", integer("noam: width of the model")},
                       {"step_size", integer("step: steps between two falls")},
                       {"gamma", number("step: factor of a fall")},
                       {"decay_steps", integer("wsd: steps of the fall at the end, default a fifth of total_steps")}},
                      {"kind"}, "Learning rate by step");
  return record(
      {{"inputs", with(mapOf(ref("input")), "inputs of training alone, as labels")},
       {"nodes", with(ref("nodes"), "nodes from the model's values to the loss")},
       {"loss", with(type("string"), "the value that training makes small")},
       {"optimizer", optimizer},
       {"schedule", schedule},
       {"clip_grad_norm", number("largest norm of all gradients; longer ones are scaled down")},
       {"accumulate", with(ref("integer"), "batches for one update")},
       {"freeze", with(oneOrMore(type("string")), "globs of parameters that stay as they are")},
       {"recompute", with(anyOf({words({"none", "block"}), oneOrMore(type("string"))}),
                          "values that are computed again instead of kept")},
       {"loss_scale", with(words({"dynamic"}), "compute f16: the loss is scaled so that gradients do not vanish")}},
      {"nodes", "loss"}, "Training: loss, optimizer, schedule");
}

J entrySchema() {
  J sample =
      record({{"kind", with(words({"greedy", "multinomial", "top_k", "top_p", "beam"}),
                            "how the next token is chosen, default greedy")},
              {"temperature", with(ref("number"), "divides the logits, default 1; 0 is greedy")},
              {"k", with(ref("integer"), "top_k: the likeliest tokens that are drawn from")},
              {"p", with(ref("number"), "top_p: share of probability that is drawn from")},
              {"beams", with(ref("integer"), "beam: hypotheses that run side by side")},
              {"length_penalty", with(ref("number"), "beam: exponent of the length that divides a score, default 1")},
              {"seed", with(ref("integer"), "of the random numbers, default 0")}},
             {}, "Choice of the next token");
  return anyOf({record({{"outputs", with(oneOrMore(type("string")), "outputs of the model that it gives, default all")},
                        {"mode", with(words({"infer", "train", "grad"}), "infer, an update, or gradients without one")},
                        {"state", with(oneOrMore(type("string")), "states that are bound")},
                        {"dims", with(mapOf(ref("integer")), "dims with a fixed size")},
                        {"last_token_only", with(ref("boolean"), "only the last position of axis 1")},
                        {"gradients", with(oneOrMore(type("string")), "globs of parameters and inputs")}},
                       {}, "Something to call"),
                record({{"prefill", with(type("string"), "entry that takes the prompt")},
                        {"step", with(type("string"), "entry that takes one token")},
                        {"max_new_tokens", with(ref("integer"), "most tokens that are generated")},
                        {"stop", with(oneOrMore(ref("integer")), "tokens that end a sequence; they are not returned")},
                        {"sample", sample}},
                       {"prefill", "step", "max_new_tokens"}, "Generation of tokens")});
}

J initSchema() {
  auto rule = [](const char *name, const char *text, std::vector<std::pair<std::string, J>> numbers) {
    return record({{name, record(std::move(numbers), {}, text)}}, {name});
  };
  auto number = [](const char *text) { return with(ref("number"), text); };
  return anyOf({words({"zeros", "ones"}),
                rule("normal", "Normal distribution",
                     {{"mean", number("default 0")}, {"std", number("standard deviation, default 1")}}),
                rule("uniform", "Every number of a range as likely",
                     {{"low", number("least, default 0")}, {"high", number("largest, default 1")}}),
                rule("xavier_uniform", "Uniform, ± gain · sqrt(6 / (in + out))", {{"gain", number("default 1")}}),
                rule("kaiming_uniform", "Uniform, ± sqrt(6 / ((1 + a²) · in))",
                     {{"a", number("slope below zero of the activation, default 0")}}),
                rule("trunc_normal", "Normal distribution, cut at two standard deviations",
                     {{"std", number("standard deviation, default 1")}}),
                record({{"constant", number("every element")}}, {"constant"})});
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
  return J::object(
      {{"type", J::string("object")},
       {"required", J::strings({"id", "op"})},
       {"properties", J::object({{"op", with(J::object({{"anyOf", choices}}), "what the node computes")}})},
       {"allOf", rules}});
}

} // namespace

std::string schemaText() {
  J defs = J::object();
  defs.set("name", with(J::object({{"type", J::string("string")}, {"pattern", J::string("^[A-Za-z_][A-Za-z0-9_]*$")}}),
                        "letters, digits and _, no digit in front"));
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

  J dim = record({{"min", with(ref("integer"), "least size, default 1")},
                  {"max", with(ref("integer"), "largest size")},
                  {"hint", with(ref("integer"), "the usual size")},
                  {"multiple_of", with(ref("integer"), "a number that divides every size, default 1")},
                  {"specialize", with(listOf(ref("integer")), "sizes worth code of their own")}},
                 {"max"}, "A size known at run time");
  J state = record({{"kind", with(words({"kv_cache"}), "keys and values of attention")},
                    {"layers", with(ref("integer"), "attentions that keep something")},
                    {"kv_heads", with(ref("integer"), "heads of keys and values")},
                    {"head_dim", with(ref("integer"), "elements of a head")},
                    {"capacity", with(ref("integer"), "most positions of a sequence")},
                    {"dtype", with(ref("dtype"), "how they are stored")}},
                   {"kind", "layers", "kv_heads", "head_dim", "capacity"}, "Keys and values kept from call to call");
  J block = record({{"in", with(oneOrMore(ref("name")), "names of the values that it is given")},
                    {"args", with(mapOf(ref("number")), "numbers that it is given -> default")},
                    {"nodes", with(ref("nodes"), "what it computes")},
                    {"out", with(oneOrMore(ref("name")), "its results; in a repeat one for each carried input")}},
                   {"in", "nodes", "out"}, "Nodes that call and repeat run");
  J weights = record(
      {{"file", with(oneOrMore(type("string")), "safetensors files, relative to the model file")},
       {"map", with(mapOf(type("string")), "glob of model names -> name in the file")},
       {"transpose", with(oneOrMore(type("string")), "globs of parameters that the file holds transposed")},
       {"missing", with(mapOf(words({"init", "error"})), "glob of parameters -> what happens if the file lacks them")}},
      {}, "Where parameters are read from");
  J precision = record({{"params", with(ref("dtype"), "how parameters are stored, default f32")},
                        {"compute", with(ref("dtype"), "what products compute in, default f32")},
                        {"accumulate", with(ref("dtype"), "what sums are kept in, default f32")},
                        {"keep_f32", with(oneOrMore(type("string")), "ops that compute in f32")}},
                       {}, "dtypes of storage and of computing");
  J model = record(
      {{"$schema", with(type("string"), "this schema, for editors; not read")},
       {"format", with(J::object({{"const", J::string("1.0")}}), "version of the format")},
       {"name", with(ref("name"), "prefix of the generated functions")},
       {"config", with(mapOf(ref("number")), "numbers and expressions that the rest of the file uses")},
       {"dims", with(mapOf(dim), "sizes that are known at run time only")},
       {"precision", precision},
       {"inputs", with(mapOf(ref("input")), "name -> what the model is given")},
       {"state", with(mapOf(state), "name -> what is kept from call to call")},
       {"blocks", with(mapOf(block), "name -> nodes that call and repeat run")},
       {"graph", with(ref("nodes"), "the nodes; each stands behind those it reads")},
       {"outputs", with(mapOf(ref("value")), "name of an output -> value")},
       {"init", with(mapOf(ref("init")), "glob -> rule; the last match wins, `default` is tried last")},
       {"weights", weights},
       {"train", trainSchema()},
       {"entries", with(mapOf(entrySchema()),
                        "name -> a function of the object; default `forward`, and `train_step` with a `train`")}},
      {"format", "name", "inputs", "graph", "outputs"});
  J schema = J::object({{"$schema", J::string("https://json-schema.org/draft/2020-12/schema")},
                        {"title", J::string("Weft model, format 1.0")}});
  schema.set("allOf", J::array({ref("model")}));
  defs.set("model", model);
  schema.set("$defs", defs);
  return schema.str() + "\n";
}

} // namespace weft
