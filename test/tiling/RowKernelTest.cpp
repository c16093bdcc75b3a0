// Every op of the row family over shapes with 0, 1, odd and lane-crossing sizes, and the regions that models make of them.
#include "RowKernelTest.h"

#include "mlir/Parser/Parser.h"
#include "llvm/ADT/APFloat.h"

using namespace mlir;
using namespace weft;
using namespace weft::test;

// ---- Text

static std::string tensorText(StringRef shorthand) {
  auto [axes, element] = shorthand.trim().split(':');
  std::string sizes, names;
  SmallVector<StringRef> parts;
  axes.split(parts, ',', -1, /*KeepEmpty=*/false);
  for (StringRef part : parts) {
    part = part.trim();
    bool fixed = !part.empty() && llvm::all_of(part, [](char c) { return std::isdigit(c); });
    sizes += (fixed ? part.str() : "?") + "x";
    if (!fixed)
      names += (names.empty() ? "\"" : ", \"") + part.str() + "\"";
  }
  return "tensor<" + sizes + element.str() + (names.empty() ? "" : ", #weft.dims<" + names + ">") + ">";
}

static std::string expand(const std::string &text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    size_t close = text[i] == '{' ? text.find('}', i) : std::string::npos;
    std::string inside = close == std::string::npos ? "" : text.substr(i + 1, close - i - 1);
    if (inside.empty() || inside.find('=') != std::string::npos || inside.find(':') == std::string::npos) {
      out += text[i];
      continue;
    }
    out += tensorText(inside);
    i = close;
  }
  return out;
}

FusedOp weft::test::parseCase(const RowCase &test, MLIRContext *context, OwningOpRef<ModuleOp> &holder) {
  std::string arguments, names, types, block, results, values;
  for (auto [i, operand] : llvm::enumerate(test.operands)) {
    std::string sep = i ? ", " : "", number = std::to_string(i), type = tensorText(operand);
    arguments += sep + "%a" + number + ": " + type;
    names += sep + "%a" + number;
    types += sep + type;
    block += sep + "%x" + number + ": " + type;
  }
  for (auto [i, yielded] : llvm::enumerate(test.yields)) {
    auto [value, type] = StringRef(yielded).split(" : ");
    values += (i ? ", " : "") + value.str();
    results += (i ? ", " : "") + tensorText(type);
  }
  std::string body = expand(test.body);
  for (size_t at = 0; (at = body.find('%', at)) != std::string::npos; ++at)
    if (std::isdigit(body[at + 1]))
      body.insert(at + 1, "x");
  std::string text = "func.func private @f(" + arguments + ") {\n  %r" + (test.yields.size() > 1 ? ":" + std::to_string(test.yields.size()) : "") +
                     " = weft.fused(" + names + ") : (" + types + ") -> " + (test.yields.size() > 1 ? "(" + results + ")" : results) + " {\n  ^bb0" +
                     (block.empty() ? "" : "(" + block + ")") + ":\n" + body + "\n  weft.yield " + values + " : " + results + "\n  }\n  func.return\n}\n";
  holder = parseSourceString<ModuleOp>(text, context);
  if (!holder) {
    llvm::errs() << test.name << ":\n" << text;
    std::exit(1);
  }
  FusedOp found;
  holder->walk([&](FusedOp op) { found = op; });
  return found;
}

// ---- Memory

namespace {

struct Storage {
  Type element;
  std::vector<int64_t> shape, strides;
  std::vector<char> bytes;

  int64_t width() const { return elementBytes(element); }
  char *data() { return bytes.data() + 64; }

  Storage(Type type, const Dims &dims, std::vector<int> order) : element(cast<RankedTensorType>(type).getElementType()), shape(sizesOf(type, dims)) {
    strides.resize(shape.size());
    if (order.empty())
      for (size_t i = 0; i < shape.size(); ++i)
        order.push_back(int(i));
    int64_t stride = 1;
    for (size_t i = shape.size(); i-- > 0;) {
      strides[order[i]] = stride;
      stride *= shape[order[i]];
    }
    bytes.assign(size_t(stride * width() + 128), char(0x5a));
  }

  int64_t place(int64_t linear) const {
    int64_t at = 0;
    for (size_t i = shape.size(); i-- > 0;) {
      at += linear % shape[i] * strides[i];
      linear /= shape[i];
    }
    return at;
  }

  void set(int64_t linear, double value) {
    char *to = data() + place(linear) * width();
    auto put = [&](auto v) { std::memcpy(to, &v, sizeof(v)); };
    if (element.isF64())
      put(value);
    else if (element.isF32())
      put(float(value));
    else if (element.isF16() || element.isBF16()) {
      APFloat v(value);
      bool lost;
      v.convert(cast<FloatType>(element).getFloatSemantics(), APFloat::rmNearestTiesToEven, &lost);
      put(uint16_t(v.bitcastToAPInt().getZExtValue()));
    } else if (element.isInteger(64))
      put(int64_t(value));
    else if (element.isInteger(32))
      put(int32_t(value));
    else
      put(int8_t(int64_t(value)));
  }

  double get(int64_t linear) {
    char *from = data() + place(linear) * width();
    auto take = [&](auto v) {
      std::memcpy(&v, from, sizeof(v));
      return v;
    };
    if (element.isF64())
      return take(double());
    if (element.isF32())
      return take(float());
    if (element.isF16() || element.isBF16())
      return APFloat(cast<FloatType>(element).getFloatSemantics(), APInt(16, take(uint16_t()))).convertToDouble();
    if (element.isInteger(64))
      return double(take(int64_t()));
    if (element.isInteger(32))
      return take(int32_t());
    if (element.isInteger(1) || element.isUnsignedInteger())
      return take(uint8_t());
    return take(int8_t());
  }

  bool intact() const {
    return llvm::all_of(ArrayRef<char>(bytes).take_front(64), [](char c) { return c == 0x5a; }) &&
           llvm::all_of(ArrayRef<char>(bytes).take_back(64), [](char c) { return c == 0x5a; });
  }
};

Shape strideExprs(const Shape &shape, std::vector<int> order) {
  if (order.empty())
    for (size_t i = 0; i < shape.size(); ++i)
      order.push_back(int(i));
  Shape strides(shape.size());
  DimExpr stride(1);
  for (size_t i = shape.size(); i-- > 0;) {
    strides[order[i]] = stride;
    stride = stride * shape[order[i]];
  }
  return strides;
}

double randomElement(Type element, std::pair<double, double> range) {
  if (isa<FloatType>(element))
    return std::uniform_real_distribution<double>(range.first, range.second)(test::random());
  if (element.isInteger(1))
    return double(test::random()() % 2);
  return double(std::uniform_int_distribution<int64_t>(int64_t(range.first), int64_t(range.second))(test::random()));
}

/// How often a result was computed in the memory of an operand.
int aliased = 0;

} // namespace

// ---- Run

void weft::test::runCase(const RowCase &test, const TargetInfo &target) {
  KernelJit jit(target);
  MLIRContext *context = jit.module().getContext();
  context->loadDialect<WeftDialect>();
  OwningOpRef<ModuleOp> holder;
  FusedOp op = parseCase(test, context, holder);
  std::string label = test.name + " lanes " + std::to_string(target.lanes);

  RowKernelSpec spec;
  spec.op = op;
  int slots = 0;
  auto layout = [&](size_t i) { return i < test.layout.size() ? test.layout[i] : std::vector<int>(); };
  for (auto [i, operand] : llvm::enumerate(op.getOperands()))
    spec.operands.push_back({slots++, strideExprs(shapeOf(operand), layout(i))});
  for (Value result : op.getResults())
    spec.results.push_back({slots++, strideExprs(shapeOf(result), {})});
  spec.fault = slots++;
  spec.random = slots++;
  int lengthsSlot = slots++;
  spec.lengths = [&](StringRef) { return lengthsSlot; };
  spec.site = [](Operation *) { return 6; };
  for (const auto &[name, size] : test.dims.front())
    spec.dims[name] = slots++;
  EmittedKernel kernel = emitRowKernel(jit.module(), "kernel", spec, target);
  DimExpr scratch = rowKernelScratch(op);
  auto isConstant = [](Operation &o) { return isa<ConstantOp, YieldOp>(o); };
  if (std::string why; llvm::count_if(op.getBody().front(), isConstant) + 1 == int64_t(op.getBody().front().getOperations().size()))
    check(succeeded(canEmitRowKernel(op, why)), label + ": refused: " + why);
  jit.add(kernel, slots);
  compileOrDie(jit);
  JitKernel compiled = jit.get("kernel");

  for (const Dims &dims : test.dims) {
    std::string at = label;
    for (const auto &[name, size] : dims)
      at += " " + name + "=" + std::to_string(size);
    std::vector<Array> inputs;
    std::vector<Storage> memory, outputs;
    Args args(slots);
    for (auto [i, operand] : llvm::enumerate(op.getOperands())) {
      memory.emplace_back(operand.getType(), dims, layout(i));
      Storage &storage = memory.back();
      Array input(storage.shape);
      auto range = i < test.ranges.size() && test.ranges[i] != std::pair(0.0, 0.0)
                       ? test.ranges[i]
                       : isa<FloatType>(storage.element) ? std::pair(-2.0, 2.0) : std::pair(0.0, 5.0);
      for (size_t j = 0; j < input.values.size(); ++j) {
        storage.set(j, randomElement(storage.element, range));
        input.values[j] = storage.get(j);
      }
      inputs.push_back(std::move(input));
    }
    for (Value result : op.getResults())
      outputs.emplace_back(result.getType(), dims, std::vector<int>());
    for (auto [operand, storage] : llvm::zip(spec.operands, memory))
      args.set(operand.pointer, storage.data());
    for (auto [result, storage] : llvm::zip(spec.results, outputs))
      args.set(result.pointer, storage.data());
    int64_t fault[4] = {};
    std::vector<int64_t> lengths{3, 0, 7, 11};
    args.set(spec.fault, fault);
    const reference::RandomFields random{0x0123456789abcdef, 41, 3};
    args.set(spec.random, &random);
    args.set(lengthsSlot, lengths.data());
    for (const auto &[name, size] : dims)
      args.set(spec.dims[name], size);

    JitKernel whole = compiled;
    whole.scratchBytes += scratch.evaluate(dims).value_or(0);
    whole.run(args.data(), 1);
    std::vector<std::vector<char>> first;
    for (Storage &output : outputs)
      first.push_back(output.bytes);
    for (int64_t parts : {2, 7}) {
      whole.run(args.data(), parts);
      for (auto [output, bytes] : llvm::zip(outputs, first))
        check(output.bytes == bytes, at + ": " + std::to_string(parts) + " parts give other bits");
    }
    check(fault[0] == 0, at + ": unexpected fault");
    // A result in the memory of an operand, wherever the analysis allows it.
    for (auto [i, operand] : llvm::enumerate(spec.operands))
      for (auto [j, result] : llvm::enumerate(spec.results)) {
        if (!layout(i).empty() || !mayAlias(op, unsigned(i), unsigned(j)))
          continue;
        Storage &output = outputs[j];
        output.bytes = memory[i].bytes;
        args.set(operand.pointer, output.data());
        whole.run(args.data(), 3);
        check(output.bytes == first[j], at + ": in place of operand " + std::to_string(i) + " gives other bits");
        args.set(operand.pointer, memory[i].data());
        ++aliased;
      }
    std::vector<Array> want = evaluate(op, inputs, dims, lengths, random);
    for (auto [number, output] : llvm::enumerate(outputs)) {
      check(output.intact(), at + ": wrote outside");
      double scale = 1;
      for (double v : want[number].values)
        if (std::isfinite(v))
          scale = std::max(scale, std::fabs(v));
      double tolerance = isa<FloatType>(output.element) ? test.tolerance * scale : 0;
      if (output.element.isBF16())
        tolerance = scale / 256;
      if (output.element.isF16())
        tolerance = scale / 2048;
      for (size_t j = 0; j < want[number].values.size(); ++j) {
        double w = want[number].values[j], got = output.get(j);
        bool good = std::isnan(w) ? std::isnan(got) : std::isinf(w) ? got == w : std::fabs(got - w) <= tolerance;
        check(good, at + " [" + std::to_string(number) + "][" + std::to_string(j) + "]: got " + std::to_string(got) + ", want " + std::to_string(w));
        if (!good)
          break;
      }
    }
  }
}

int main(int argc, char **argv) {
  std::string only = argc > 1 ? argv[1] : "";
  for (const TargetInfo &target : runnableTargets())
    for (const RowCase &test : rowCases())
      if (only.empty() || StringRef(test.name).contains(only))
        runCase(test, target);
  for (const TargetInfo &target : runnableTargets())
    if (only.empty())
      runSpecialCases(target);
  check(!only.empty() || aliased > 100, "too few kernels work in place");
  return report();
}
