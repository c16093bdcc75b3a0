// Writes the header of a model with awkward names: keywords, escapes, comment ends, trigraphs, names that meet.
// header_test.py compiles it as C99 and as C++17 with every warning as an error. Usage: header_names OUTPUT.h
#include "emit/EmitHeader.h"

#include <cstdio>
#include <set>

using namespace weft;

static DimDesc dim(const char *name, int64_t max) {
  DimDesc desc;
  desc.name = name;
  desc.max = desc.hint = max;
  return desc;
}

static HeaderTensor tensor(const char *name, DType dtype, std::vector<DimExpr> shape) {
  HeaderTensor result;
  result.name = name;
  result.type.dtype = dtype;
  result.type.shape = std::move(shape);
  return result;
}

int main(int argc, char **argv) {
  if (argc != 2)
    return 2;
  const char *const names[] = {"int",  "int_", "int__", "a b",   "a.b",      "a_b",     "a_x2eb", "*/",      "\"; system(\"x\");//", "??/",
                               "main", "9a",   "_A",    "__LINE__", "\xf0\x9f\x98\x80", "linux", "class", "new", "dims", "valid", "x\n#include", "", "_x00a", "-o"};
  std::set<std::string> different;
  for (const char *name : names)
    different.insert(mangleName(name));
  if (different.size() != sizeof(names) / sizeof(names[0])) {
    std::fprintf(stderr, "expected %zu names but got %zu\n", sizeof(names) / sizeof(names[0]), different.size());
    return 1;
  }

  HeaderInput input;
  input.name = "odd */ name ??/";
  input.doc = "ends */ here /* and \\ there";
  input.prefix = symbolPrefix(input.name);
  input.compilerVersion = "0";
  input.hash = 0x0123456789abcdefu;
  input.dims = {dim("B", 4), dim("class", 7)};
  DimExpr b = DimExpr::dim("B"), t = DimExpr::dim("class");
  for (const char *name : {"open", "open_", "session", "dims", "weft_model", "x_args", "x", "ENTRY_x", "return", "arena_bytes"}) {
    HeaderEntry entry;
    entry.name = name;
    for (const char *operand : names)
      if (*operand)
        entry.inputs.push_back(tensor(operand, DType::i32, {b, t * DimExpr(2)}));
    entry.inputs.front().hasRange = true;
    entry.inputs.back().optional = true;
    entry.outputs = {tensor("int", DType::bf16, {b}), tensor("y", DType::boolean, {}), tensor("int_out", DType::f64, {t})};
    entry.fixedDims["class"] = 1;
    entry.batchDim = "B";
    entry.buffers = 3;
    input.entries.push_back(entry);
  }
  HeaderEntry bare;
  bare.name = "bare";
  input.entries.push_back(bare);
  GenerateDesc generate;
  generate.name = "while";
  generate.prefill = "*/";
  input.generates = {generate};
  std::FILE *file = std::fopen(argv[1], "w");
  if (!file)
    return 3;
  std::string text = emitHeader(input);
  std::fwrite(text.data(), 1, text.size(), file);
  input.dims.clear();
  input.entries.resize(1);
  input.entries[0] = bare;
  input.name = input.prefix = "without_dims";
  text = emitHeader(input);
  std::fwrite(text.data(), 1, text.size(), file);
  return std::fclose(file) == 0 ? 0 : 3;
}
