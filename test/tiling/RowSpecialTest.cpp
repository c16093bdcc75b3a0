// What a table of random cases does not show: special values, indices out of range, and the answers of the analysis.
#include "RowKernelTest.h"

using namespace mlir;

namespace weft::test {
namespace {

/// One kernel with f32 and i32 operands of constant shape.
struct Small {
  KernelJit jit;
  OwningOpRef<ModuleOp> holder;
  FusedOp op;
  int64_t fault[4] = {};

  Small(const RowCase &test, const TargetInfo &target) : jit(target) {
    jit.module().getContext()->loadDialect<WeftDialect>();
    op = parseCase(test, jit.module().getContext(), holder);
  }

  void run(std::vector<const void *> operands, void *result) {
    RowKernelSpec spec;
    spec.op = op;
    int slots = 0;
    auto memory = [&](Value v) {
      Shape shape = shapeOf(v), strides(shape.size());
      DimExpr stride(1);
      for (size_t i = shape.size(); i-- > 0;) {
        strides[i] = stride;
        stride = stride * shape[i];
      }
      return RowOperand{slots++, strides};
    };
    for (Value operand : op.getOperands())
      spec.operands.push_back(memory(operand));
    spec.results.push_back(memory(op.getResult(0)));
    spec.fault = slots++;
    spec.site = [](Operation *) { return 6; };
    jit.add(emitRowKernel(jit.module(), "kernel", spec, jit.target()), slots);
    compileOrDie(jit);
    Args args(slots);
    for (auto [i, operand] : llvm::enumerate(operands))
      args.set(int(i), operand);
    args.set(spec.results[0].pointer, result);
    args.set(spec.fault, fault);
    jit.get("kernel").run(args.data());
  }
};

void specialValues(const TargetInfo &target) {
  const float inf = INFINITY;
  for (std::string op : {"softmax", "log_softmax"})
    for (int n : {20, 300}) {
      std::string x = "4," + std::to_string(n) + ":f32";
      std::vector<float> in(4 * n, 0.5f), out(4 * n);
      std::fill(in.begin(), in.begin() + n, -inf);
      in[n + 3] = NAN;
      in[2 * n + 1] = -inf;
      Small({op, {x}, "%y = weft." + op + " %0 {axis = 1 : i64} : {" + x + "}", {"%y : " + x}}, target).run({in.data()}, out.data());
      for (int j = 0; j < n; ++j) {
        check(op == "softmax" ? out[j] == 0 : std::isnan(out[j]), op + ": a row of -inf");
        check(std::isnan(out[n + j]), op + ": NaN spreads over its row");
      }
      check(out[2 * n + 1] == (op == "softmax" ? 0 : -inf), op + ": one -inf");
      checkClose(out[2 * n], op == "softmax" ? 1.0 / (n - 1) : -std::log(n - 1.0), 1e-6, op + ": beside a -inf");
    }
  float in[] = {NAN, 1, -1, -inf, inf, -0.0f}, out[6];
  Small({"relu", {"6:f32"}, "%y = weft.relu %0 : {6:f32}", {"%y : 6:f32"}}, target).run({in}, out);
  check(std::isnan(out[0]) && out[1] == 1 && out[2] == 0 && out[3] == 0 && out[4] == inf, "relu of special values");
  float most;
  Small({"max", {"6:f32"}, "%y = weft.reduce_max %0 {axes = array<i64: 0>} : ({6:f32}) -> {:f32}", {"%y : :f32"}}, target).run({in}, &most);
  check(std::isnan(most), "reduce_max of NaN");
  int32_t place;
  Small({"argmax", {"5:f32"}, "%y = weft.argmax %0 {axis = 0 : i64} : ({5:f32}) -> {:i32}", {"%y : :i32"}}, target).run({in + 1}, &place);
  check(place == 3, "argmax with infinities");
  int32_t whole[6];
  Small({"cast", {"6:f32"}, "%y = weft.cast %0 : {6:f32} to {6:i32}", {"%y : 6:i32"}}, target).run({in}, whole);
  check(whole[0] == 0 && whole[3] == INT32_MIN && whole[4] == INT32_MAX, "cast saturates");
}

void faults(const TargetInfo &target) {
  std::vector<float> table(7 * 20), out(3 * 20);
  for (size_t i = 0; i < table.size(); ++i)
    table[i] = float(i);
  for (int32_t bad : {7, -1, INT32_MAX}) {
    int32_t ids[] = {2, bad, 6};
    Small kernel({"embedding", {"3:i32", "7,20:f32"}, "%y = weft.embedding %0, %1 : ({3:i32}, {7,20:f32}) -> {3,20:f32}", {"%y : 3,20:f32"}}, target);
    kernel.run({ids, table.data()}, out.data());
    check(kernel.fault[0] == 7 && kernel.fault[1] == bad && kernel.fault[2] == 0 && kernel.fault[3] == 6, "fault of an embedding");
    check(out[0] == 40 && out[20] == 0 && out[59] == 139, "rows around a wrong id");
  }
  int32_t indices[60] = {};
  indices[37] = 20;
  float picked[60];
  Small kernel({"gather", {"3,20:f32", "3,20:i32"}, "%y = weft.gather %0, %1 {axis = 1 : i64} : ({3,20:f32}, {3,20:i32}) -> {3,20:f32}", {"%y : 3,20:f32"}}, target);
  kernel.run({table.data(), indices}, picked);
  check(kernel.fault[0] == 7 && kernel.fault[1] == 20 && kernel.fault[3] == 19 && picked[37] == 20, "fault of a gather");
}

/// Regions by whether they are one kernel's work, and operands that results may lie over.
void analysis(const TargetInfo &target) {
  struct Question {
    RowCase region;
    bool oneKernel;
    std::vector<bool> inPlace; ///< by operand, for the first result
  };
  const std::string x = "B,T,8:f32", t = "{" + x + "}";
  const std::vector<Question> questions{
      {{"norm", {x, "8:f32"}, "%y = weft.rms_norm %0, %1 {eps = 1.0e-5 : f64} : (" + t + ", {8:f32}) -> " + t, {"%y : " + x}}, true, {true, false}},
      {{"column norm", {x}, "%y = weft.softmax %0 {axis = 1 : i64} : " + t, {"%y : " + x}}, true, {true}},
      {{"add", {x, "B,1,8:f32"}, "%y = weft.add %0, %1 : (" + t + ", {B,1,8:f32}) -> " + t, {"%y : " + x}}, true, {true, false}},
      {{"shift", {x},
        "%a = weft.slice %0 {axis = 2 : i64, start = \"1\", step = 1 : i64} : " + t + " to {B,T,7:f32}\n%b = weft.slice %0 {axis = 2 : i64, start = \"0\", step = 1 : i64} : " + t +
            " to {B,T,1:f32}\n%y = weft.concat %a, %b {axis = 2 : i64} : ({B,T,7:f32}, {B,T,1:f32}) -> " + t,
        {"%y : " + x}},
       true,
       {false}},
      {{"rope", {x, "T:i32"}, "%y = weft.rope %0, %1 {heads = 2 : i64, theta = 1.0e4 : f64, rotary_dim = 4 : i64} : (" + t + ", {T:i32}) -> " + t, {"%y : " + x}}, true, {false, false}},
      {{"softmax over two axes", {x}, "%a = weft.softmax %0 {axis = 1 : i64} : " + t + "\n%y = weft.softmax %a {axis = 2 : i64} : " + t, {"%y : " + x}}, false, {}},
      {{"norm of heads", {x, "4:f32"},
        "%h = weft.reshape %0 : " + t + " to {B,T,2,4:f32}\n%n = weft.rms_norm %h, %1 {eps = 1.0e-5 : f64} : ({B,T,2,4:f32}, {4:f32}) -> {B,T,2,4:f32}\n%y = weft.reshape %n : {B,T,2,4:f32} to " + t,
        {"%y : " + x}},
       false,
       {}},
      {{"sum of maxima", {x}, "%m = weft.reduce_max %0 {axes = array<i64: 2>} : (" + t + ") -> {B,T:f32}\n%y = weft.reduce_sum %m {axes = array<i64: 1>} : ({B,T:f32}) -> {B:f32}", {"%y : B:f32"}}, false, {}},
      {{"other rows", {x}, "%a = weft.exp %0 : " + t + "\n%b = weft.reduce_sum %0 {axes = array<i64: 1>} : (" + t + ") -> {B,8:f32}", {"%a : " + x, "%b : B,8:f32"}}, false, {}},
  };
  KernelJit jit(target);
  jit.module().getContext()->loadDialect<WeftDialect>();
  for (const Question &question : questions) {
    OwningOpRef<ModuleOp> holder;
    FusedOp op = parseCase(question.region, jit.module().getContext(), holder);
    std::string why;
    check(succeeded(canEmitRowKernel(op, why)) == question.oneKernel, question.region.name + ": one kernel or not: " + why);
    check(question.oneKernel || !why.empty(), question.region.name + ": a reason");
    for (auto [operand, allowed] : llvm::enumerate(question.inPlace))
      check(mayAlias(op, unsigned(operand), 0) == allowed, question.region.name + ": in place of operand " + std::to_string(operand));
  }
}

} // namespace

void runSpecialCases(const TargetInfo &target) {
  specialValues(target);
  faults(target);
  analysis(target);
}

} // namespace weft::test
