// Writes the header top down, in the order in which an application reads it: identity, sizes, opening, entries.
// Every text that comes from the model passes through a function that keeps it inside its comment.
#include "emit/EmitHeader.h"

#include "import/Diagnostics.h"
#include "weft/abi.h"

#include <algorithm>
#include <cstdio>
#include <set>

namespace weft {

namespace {

/// Text of the model inside a C comment: nothing in it can end the comment or form a trigraph.
std::string commentText(std::string_view text) {
  std::string out;
  for (char c : escapeText(text)) {
    char last = out.empty() ? '\0' : out.back();
    if ((last == '*' && c == '/') || (last == '/' && c == '*') || (last == '?' && c == '?'))
      out += ' ';
    out += c;
  }
  return out;
}

const char *cType(DType dtype) {
  switch (dtype) {
  case DType::f32: return "float";
  case DType::f64: return "double";
  case DType::f16:
  case DType::bf16: return "uint16_t";
  case DType::i32: return "int32_t";
  case DType::i64: return "int64_t";
  case DType::i8: return "int8_t";
  case DType::u8:
  case DType::boolean: return "uint8_t";
  }
  return "void";
}

const char *dtypeText(DType dtype) {
  static const char *const names[] = {"f32", "f16", "bf16", "f64", "i32", "i64", "i8", "u8", "bool (0 or 1)"};
  return names[size_t(dtype)];
}

std::string axesText(const HeaderTensor &tensor, const std::map<std::string, int64_t> &fixed) {
  std::map<std::string, DimExpr> values;
  for (const auto &[name, value] : fixed)
    values[name] = DimExpr(value);
  std::string text = "[";
  for (size_t i = 0; i < tensor.type.shape.size(); ++i)
    text += (i ? ", " : "") + tensor.type.shape[i].substitute(values).str();
  return text + "] " + dtypeText(tensor.type.dtype);
}

class HeaderWriter {
public:
  explicit HeaderWriter(const HeaderInput &input) : input(input), p(input.prefix) {}

  std::string write() {
    head();
    sizes();
    names();
    opening();
    for (size_t i = 0; i < input.entries.size(); ++i)
      if (input.entries[i].trains)
        training(input.entries[i]);
      else if (!input.entries[i].evaluates)
        entry(input.entries[i], i);
    for (size_t i = 0; i < input.generates.size(); ++i)
      generate(input.generates[i], i);
    line("#ifdef __cplusplus");
    line("}");
    line("#endif");
    line("#endif /* " + guard() + " */");
    return out;
  }

private:
  const HeaderInput &input;
  const std::string &p;
  std::string out;
  std::set<std::string> constants;

  void line(const std::string &text = {}) { out += text + "\n"; }
  std::string guard() const { return "WEFT_MODEL_" + p + "_H"; }

  /// Names of entries share one scope with what the header declares itself, so those get another spelling.
  std::string entryName(const std::string &name) const {
    static const std::set<std::string> own = {"open", "session", "arena_bytes", "dims", "trainer"};
    std::string mangled = mangleName(name);
    std::string stem = mangled.substr(0, mangled.find_last_not_of('_') + 1);
    bool isTrainers = std::any_of(input.entries.begin(), input.entries.end(), [&](const HeaderEntry &entry) {
      return entry.trains && (mangled == mangleName(entry.name) + "_accumulate" || mangled == mangleName(entry.name) + "_eval");
    });
    if (own.count(stem) || isTrainers)
      return p + "_" + mangled + "_";
    auto endsWith = [&](std::string_view end) { return stem.size() > end.size() && stem.compare(stem.size() - end.size(), end.size(), end) == 0; };
    auto startsWith = [&](std::string_view start) { return stem.compare(0, start.size(), start) == 0; };
    if (endsWith("_args") || startsWith("weft_") || startsWith("ENTRY_") || startsWith("DIM_") || startsWith("INPUT_") || startsWith("OUTPUT_")) {
      char code[8];
      std::snprintf(code, sizeof(code), "_x%02x", unsigned(mangled[0]) & 0xff);
      return p + "_" + code + mangled.substr(1) + (endsWith("_args") ? "_call" : "");
    }
    return p + "_" + mangled;
  }

  void head() {
    line("/* " + commentText(input.name) + (input.doc.empty() ? "" : ": " + commentText(input.doc)));
    line(" * Made by weft " + input.compilerVersion + "; link it with the object of the same compilation and libweft_runtime. */");
    line("#ifndef " + guard());
    line("#define " + guard());
    line();
    line("#include <weft/runtime.h>");
    line();
    line("#if WEFT_ABI_VERSION != " + std::to_string(WEFT_ABI_VERSION));
    line("#error \"this header was made for ABI version " + std::to_string(WEFT_ABI_VERSION) + " of weft, weft/abi.h has another: compile the model again\"");
    line("#endif");
    line();
    line("#ifdef __cplusplus");
    line("extern \"C\" {");
    line("#endif");
    line();
    line("/* Defined by the object. The second name holds the hash of model and options: an object from another compilation");
    line(" * does not have it, and the program fails to link. */");
    line("extern const weft_model_desc " + descriptorSymbol(p) + ";");
    line("extern const char " + identitySymbol(p, input.hash) + ";");
    line();
  }

  void sizes() {
    line("/* Sizes of the named dims. */");
    line("typedef struct " + p + "_dims {");
    for (const DimDesc &dim : input.dims)
      line("  int64_t " + mangleName(dim.name) + "; /* " + std::to_string(dim.min) + ".." + std::to_string(dim.max) +
           (dim.multipleOf > 1 ? ", a multiple of " + std::to_string(dim.multipleOf) : "") + " */");
    if (input.dims.empty())
      line("  int64_t none; /* the model has no dims */");
    line("} " + p + "_dims;");
    line();
  }

  void enumeration(const std::string &kind, const std::vector<std::string> &list) {
    if (list.empty())
      return;
    std::string text = "enum {";
    for (size_t i = 0; i < list.size(); ++i) {
      std::string constant = p + "_" + kind + "_" + mangleName(list[i]);
      while (!constants.insert(constant).second) // "a" + "b_c" and "a_b" + "c"
        constant += "_";
      text += (i ? ",\n  " : "\n  ") + constant + " = " + std::to_string(i);
    }
    line(text + "\n};");
  }

  void names() {
    line("/* Numbers of dims, entries, states, generate entries, and of the inputs and outputs of each entry, as the generic API counts them. */");
    std::vector<std::string> list;
    for (const DimDesc &dim : input.dims)
      list.push_back(dim.name);
    enumeration("DIM", list);
    list.clear();
    for (const HeaderEntry &entry : input.entries)
      list.push_back(entry.name);
    enumeration("ENTRY", list);
    enumeration("STATE", input.states);
    list.clear();
    for (const GenerateDesc &generate : input.generates)
      list.push_back(generate.name);
    enumeration("GENERATE", list);
    for (const HeaderEntry &entry : input.entries) {
      std::vector<std::string> inputs, outputs;
      for (const HeaderTensor &tensor : entry.inputs)
        inputs.push_back(tensor.name);
      for (const HeaderTensor &tensor : entry.outputs)
        outputs.push_back(tensor.name);
      enumeration("INPUT_" + mangleName(entry.name), inputs);
      enumeration("OUTPUT_" + mangleName(entry.name), outputs);
    }
    line();
  }

  /// `const int64_t sizes[N] = {...};` from a dims struct, with what the entry fixes.
  std::string sizeList(const std::string &dims, const std::map<std::string, int64_t> &fixed) const {
    if (input.dims.empty())
      return "{0}";
    std::string text = "{";
    for (size_t i = 0; i < input.dims.size(); ++i) {
      auto found = fixed.find(input.dims[i].name);
      text += (i ? ", " : "") + (found == fixed.end() ? dims + mangleName(input.dims[i].name) : std::to_string(found->second));
    }
    return text + "}";
  }
  std::string sizeCount() const { return std::to_string(std::max<size_t>(1, input.dims.size())); }
  std::string unusedDims(const std::string &name) const { return input.dims.empty() ? "  (void)" + name + ";\n" : ""; }

  void opening() {
    line("/* Opens the model: checks the ABI version and the CPU. No weights yet: weft_model_load or weft_model_init follows.");
    line(" * `options` may be NULL. Release the model with weft_model_close. */");
    line("WEFT_FUNCTION weft_status " + p + "_open(const weft_model_options *options, weft_model **out_model) {");
    line("  (void)*(const volatile char *)&" + identitySymbol(p, input.hash) + ";");
    line("  return weft_model_open(&" + descriptorSymbol(p) + ", options, out_model);");
    line("}");
    line();
    arena();
    line("/* Makes a session for calls of at most these sizes; all memory that its calls need is allocated here.");
    line(" * `options` may be NULL: default memory and threads. One session is used by one thread at a time. */");
    line("WEFT_FUNCTION weft_status " + p + "_session(weft_model *model, const " + p + "_dims *max_dims, const weft_session_options *options,");
    line("    weft_session **out_session) {");
    line("  const int64_t sizes[" + sizeCount() + "] = " + sizeList("max_dims->", {}) + ";");
    out += unusedDims("max_dims");
    line("  return weft_session_create(weft_model_descriptor(model) == &" + descriptorSymbol(p) + " ? model : NULL, sizes, options, out_session);");
    line("}");
    line();
  }

  /// The formula is in the object: each entry's plan function. It is called for the code that this CPU would run.
  void arena() {
    int buffers = 0;
    bool trains = false;
    for (const HeaderEntry &entry : input.entries) {
      buffers = std::max(buffers, entry.trains || entry.evaluates ? 0 : entry.buffers);
      trains = trains || entry.trains;
    }
    line("/* Bytes of the arena for calls of at most these sizes (the largest entry's), by the compiled formula; -1: a size is out");
    line(" * of its range, or no code of the object runs on this CPU. weft_session_bytes adds threads' scratch and caches. */");
    line("WEFT_FUNCTION int64_t " + p + "_arena_bytes(const " + p + "_dims *dims) {");
    line("  const weft_model_desc *desc = &" + descriptorSymbol(p) + ";");
    line("  const int64_t sizes[" + sizeCount() + "] = " + sizeList("dims->", {}) + ";");
    line("  int64_t plan[" + std::to_string(buffers + 2) + "], most = 0;");
    line("  int32_t v = 0, e, d;");
    out += unusedDims("dims");
    line("  while (v < desc->variants && (desc->variant[v].features & ~weft_cpu_features()) != 0) v++;");
    line("  if (v == desc->variants) return -1;");
    line("  for (d = 0; d < desc->dims; d++)");
    line("    if (sizes[d] < desc->dim[d].min || sizes[d] > desc->dim[d].max) return -1;");
    line("  for (e = 0; e < desc->entries; e++) {");
    line("    int64_t own[" + sizeCount() + "];");
    if (trains)
      line("    if (e == desc->train->entry || e == desc->train->eval) continue; /* weft_trainer_memory has those */");
    line("    for (d = 0; d < desc->dims; d++) own[d] = desc->entry[e].fixed_dims[d] ? desc->entry[e].fixed_dims[d] : sizes[d];");
    line("    desc->variant[v].plan[e](own, plan);");
    line("    if (plan[desc->entry[e].buffers] > most) most = plan[desc->entry[e].buffers];");
    line("  }");
    line("  return most;");
    line("}");
    line();
  }

  /// What a step needs from a call before it, and what a prefill leaves for calls after it.
  std::string keptText(const HeaderEntry &entry) const {
    std::string text;
    auto list = [&](const std::vector<HeaderTensor> &tensors) {
      for (size_t i = 0; i < tensors.size(); ++i)
        text += (i ? ", " : " ") + commentText(tensors[i].name) + " " + commentText(axesText(tensors[i], entry.fixedDims));
    };
    if (!entry.keeps.empty()) {
      text += "\n * The session keeps for steps:";
      list(entry.keeps);
      text += ".";
    }
    if (entry.recalls.empty())
      return text;
    text += "\n * After a call of";
    size_t found = 0;
    for (const HeaderEntry &other : input.entries)
      if (std::any_of(other.keeps.begin(), other.keeps.end(), [&](const HeaderTensor &t) { return t.name == entry.recalls.front().name; }))
        text += (found++ ? " or '" : " '") + commentText(other.name) + "'";
    text += ", whose sizes it takes where dims has 0, and which kept:";
    list(entry.recalls);
    return text + ".";
  }

  /// Names of an argument structure's fields; no two are the same.
  class Fields {
  public:
    std::string name(const std::string &tensor, const char *suffix) {
      std::string field = mangleName(tensor);
      if (taken.count(field))
        field += suffix;
      while (!taken.insert(field).second)
        field += "_";
      return field;
    }

  private:
    std::set<std::string> taken = {"dims", "valid"};
  };

  /// Opens the structure of an entry's arguments: sizes and inputs. Returns the inputs' fields.
  std::vector<std::string> beginArguments(const HeaderEntry &entry, const std::string &name, Fields &fields) {
    std::vector<std::string> inputs;
    line("/* Arguments of entry '" + commentText(entry.name) + "'. Arrays are row-major and belong to the caller. */");
    line("typedef struct " + name + "_args {");
    std::string fixed;
    for (const auto &[dim, value] : entry.fixedDims)
      fixed += (fixed.empty() ? "" : ", ") + commentText(dim) + " is always " + std::to_string(value);
    line("  " + p + "_dims dims;" + (fixed.empty() ? "" : " /* " + fixed + " here, whatever is given */"));
    for (const HeaderTensor &tensor : entry.inputs) {
      inputs.push_back(fields.name(tensor.name, "_in"));
      std::string text = "  const " + std::string(cType(tensor.type.dtype)) + " *" + inputs.back() + "; /* " + commentText(axesText(tensor, entry.fixedDims));
      if (tensor.hasRange)
        text += ", " + std::to_string(tensor.low) + ".." + std::to_string(tensor.high);
      line(text + (tensor.optional ? "; NULL: left out */" : " */"));
    }
    return inputs;
  }

  /// `const void *const inputs[N] = {args->x, …};`
  void fieldList(const std::string &type, const char *array, const std::vector<std::string> &fields) {
    std::string text = "  " + type + array + "[" + std::to_string(std::max<size_t>(1, fields.size())) + "] = {";
    for (size_t i = 0; i < fields.size(); ++i)
      text += (i ? ", args->" : "args->") + fields[i];
    line(text + (fields.empty() ? "0};" : "};"));
  }

  void entry(const HeaderEntry &entry, size_t index) {
    const std::string name = entryName(entry.name);
    Fields fields;
    std::vector<std::string> inputs = beginArguments(entry, name, fields), outputs;
    for (const HeaderTensor &tensor : entry.outputs) {
      outputs.push_back(fields.name(tensor.name, "_out"));
      line("  " + std::string(cType(tensor.type.dtype)) + " *" + outputs.back() + "; /* out: " + commentText(axesText(tensor, entry.fixedDims)) + " */");
    }
    if (!entry.batchDim.empty())
      line("  const int32_t *valid; /* [" + commentText(entry.batchDim) + "] i32: the real tokens of each sequence in this call, padding follows them; NULL: all are real */");
    line("} " + name + "_args;");
    line();
    line("/* Runs '" + commentText(entry.name) + "'. No allocation, no lock. On failure the session stays usable; weft_session_error has the text." + keptText(entry) + " */");
    line("WEFT_FUNCTION weft_status " + name + "(weft_session *session, const " + name + "_args *args) {");
    line("  const int64_t sizes[" + sizeCount() + "] = " + sizeList("args->dims.", entry.fixedDims) + ";");
    fieldList("const void *const ", "inputs", inputs);
    fieldList("void *const ", "outputs", outputs);
    line("  weft_status status = weft_session_expect(session, &" + descriptorSymbol(p) + ");");
    if (inputs.empty() && outputs.empty() && input.dims.empty())
      line("  (void)args;");
    if (!entry.batchDim.empty()) {
      size_t batch = 0;
      while (batch < input.dims.size() && input.dims[batch].name != entry.batchDim)
        ++batch;
      line("  if (status == WEFT_OK && args->valid) status = weft_session_set_valid(session, args->valid, sizes[" + std::to_string(batch) + "]);");
    }
    line("  return status != WEFT_OK ? status : weft_session_run(session, " + std::to_string(index) + ", sizes, inputs, outputs);");
    line("}");
    line();
  }

  void training(const HeaderEntry &entry) {
    const std::string name = entryName(entry.name), descriptor = "&" + descriptorSymbol(p);
    line("/* Makes a trainer for batches of at most these sizes; all memory that its steps need is allocated here. `options` may");
    line(" * be NULL. One trainer a model; see weft/train.h. */");
    line("WEFT_FUNCTION weft_status " + p + "_trainer(weft_model *model, const " + p + "_dims *max_dims, const weft_trainer_options *options,");
    line("    weft_trainer **out_trainer) {");
    line("  const int64_t sizes[" + sizeCount() + "] = " + sizeList("max_dims->", {}) + ";");
    out += unusedDims("max_dims");
    line("  return weft_trainer_create(weft_model_descriptor(model) == " + descriptor + " ? model : NULL, sizes, options, out_trainer);");
    line("}");
    line();
    Fields fields;
    std::vector<std::string> inputs = beginArguments(entry, name, fields);
    line("} " + name + "_args;");
    line();
    auto call = [&](const char *doc, const std::string &function, const char *runtime, const char *result, const char *variable) {
      line(std::string("/* ") + doc + " */");
      line("WEFT_FUNCTION weft_status " + function + "(weft_trainer *trainer, const " + name + "_args *args, " + result + " *" + variable + ") {");
      line("  const int64_t sizes[" + sizeCount() + "] = " + sizeList("args->dims.", entry.fixedDims) + ";");
      fieldList("const void *const ", "inputs", inputs);
      line("  weft_status status = weft_trainer_expect(trainer, " + descriptor + ");");
      if (inputs.empty() && input.dims.empty())
        line("  (void)args;");
      line(std::string("  return status != WEFT_OK ? status : ") + runtime + "(trainer, sizes, inputs, " + variable + ");");
      line("}");
      line();
    };
    call("One batch: forward, loss, gradients; and the update, when the batch completes it. `metrics` may be NULL.", name, "weft_trainer_step", "weft_metrics", "metrics");
    call("The gradients of one more batch; weft_trainer_apply makes the update.", name + "_accumulate", "weft_trainer_accumulate", "weft_metrics", "metrics");
    call("The loss of a batch without dropout; nothing changes.", name + "_eval", "weft_trainer_eval", "weft_evaluation", "evaluation");
  }

  void generate(const GenerateDesc &generate, size_t index) {
    const std::string name = entryName(generate.name);
    line("/* Continues `count` prompts token by token: '" + commentText(generate.prefill) + "' for the prompts, then steps of '" + commentText(generate.step) + "'.");
    line(" * `options` NULL: what the model states (" + commentText(generate.kind) + ", at most " + std::to_string(generate.maxNewTokens) + " new tokens). See weft_session_generate. */");
    line("WEFT_FUNCTION weft_status " + name + "(weft_session *session, const weft_generate_options *options, weft_sequence *sequences, int64_t count) {");
    line("  weft_status status = weft_session_expect(session, &" + descriptorSymbol(p) + ");");
    line("  return status != WEFT_OK ? status : weft_session_generate(session, " + std::to_string(index) + ", options, sequences, count);");
    line("}");
    line();
  }
};

} // namespace

std::string emitHeader(const HeaderInput &input) { return HeaderWriter(input).write(); }

} // namespace weft
