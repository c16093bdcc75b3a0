// Times single kernels on one core, each against a burst of register-only FMAs run right before and after it: the clock
// of a shared machine moves, the ratio does not. Prints the median over the samples.
//   kernel_bench [--cpu NAME] [--filter TEXT]
#include "target/cpu/CpuTargets.h"
#include "target/cpu/KernelJit.h"
#include "tiling/AttentionGradKernel.h"
#include "tiling/ContractionKernel.h"
#include "tiling/TileSizes.h"
#include "tiling/VectorMath.h"

#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <vector>

using namespace weft;

namespace {

double now() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

struct Buffer {
  float *data;
  explicit Buffer(int64_t count)
      : data(static_cast<float *>(std::aligned_alloc(4096, (count * 4 + 8191) / 4096 * 4096))) {
    for (int64_t i = 0; i < count; ++i)
      data[i] = static_cast<uint32_t>(i * 2654435761u + 12345) / 4294967296.0f - 0.5f;
  }
  ~Buffer() { std::free(data); }
  Buffer(const Buffer &) = delete;
};

/// A kernel that only multiplies and adds in registers: 24 chains on 32 registers, else 12.
void emitProbe(KernelJit &jit) {
  KernelBuilder k(jit.module(), "probe", jit.target(), jit.module().getLoc());
  int64_t chains = jit.target().vectorRegisters >= 32 ? 24 : 12;
  mlir::Value x = k.splat(k.load(k.b.getF32Type(), k.ptrSlot(0))), y = k.constVec(0.001);
  llvm::SmallVector<mlir::Value> init;
  for (int64_t i = 0; i < chains; ++i)
    init.push_back(k.constVec(i));
  mlir::ValueRange sums = k.loop(k.begin, k.end, k.i64(1), init, [&](mlir::Value, mlir::ValueRange carried) {
    llvm::SmallVector<mlir::Value> next;
    for (mlir::Value c : carried)
      next.push_back(k.fma(c, x, y));
    return next;
  });
  mlir::Value total = sums[0];
  for (mlir::Value s : sums.drop_front())
    total = mlir::arith::AddFOp::create(k.b, k.loc, total, s);
  k.store(total, k.ptrSlot(1));
  EmittedKernel kernel;
  kernel.func = k.finish();
  kernel.tasks = [chains](mlir::OpBuilder &b, mlir::Location loc, mlir::ValueRange) -> mlir::Value {
    return mlir::arith::ConstantIntOp::create(b, loc, 24 * 20000 / chains, 64);
  };
  jit.add(kernel, 2);
}

struct Options {
  std::string cpu = "host", filter;
};

struct Bench {
  const Options &options;
  TargetInfo target;

  /// Floating-point operations per second of the probe, over about 0.5 ms.
  double probe(const JitKernel &kernel) {
    float x = 0.999f, sink[16];
    const void *args[2] = {&x, sink};
    double t = now();
    kernel.run(args);
    return 24.0 * 20000 * target.lanes * 2 / (now() - t);
  }

  void time(const std::string &name, KernelJit &jit, const std::vector<const void *> &args, double flops) {
    double compileStart = now();
    emitProbe(jit);
    if (llvm::Error error = jit.compile()) {
      llvm::errs() << llvm::toString(std::move(error)) << "\n";
      std::exit(1);
    }
    double compileTime = now() - compileStart;
    JitKernel kernel = jit.get("kernel"), probeKernel = jit.get("probe");
    int64_t tasks = kernel.tasks(args.data());
    void *scratch = std::aligned_alloc(4096, (kernel.scratchBytes + 8191) / 4096 * 4096);
    auto run = [&](int64_t repeat) {
      double t = now();
      for (int64_t i = 0; i < repeat; ++i)
        kernel.function(args.data(), 0, tasks, scratch);
      return (now() - t) / repeat;
    };
    run(1);
    int64_t repeat = std::max<int64_t>(1, static_cast<int64_t>(2e-3 / run(1)));
    std::vector<double> ratios, times;
    for (int sample = 0; sample < 21; ++sample) {
      double before = probe(probeKernel);
      double t = run(repeat);
      double after = probe(probeKernel);
      times.push_back(t);
      ratios.push_back(flops / t / ((before + after) / 2));
    }
    llvm::outs() << llvm::format(
        "%-36s %8.3f ms  %7.1f GFLOP/s  %5.1f %% of peak  (%d tasks, compile %.0f ms, %zu B)\n", name.c_str(),
        median(times) * 1e3, flops / median(times) * 1e-9, median(ratios) * 100, int(tasks), compileTime * 1e3,
        jit.objectBytes());
    llvm::outs().flush();
    std::free(scratch);
  }

  bool wanted(const std::string &name) {
    return options.filter.empty() || name.find(options.filter) != std::string::npos;
  }

  enum class Finish { Store, Bias, BiasGelu };

  void matmul(int64_t m, int64_t n, int64_t k, Finish finish = Finish::Bias) {
    std::string name = "matmul " + std::to_string(m) + "x" + std::to_string(n) + "x" + std::to_string(k) +
                       (finish == Finish::BiasGelu ? " gelu"
                        : finish == Finish::Bias   ? " bias"
                                                   : "");
    if (!wanted(name))
      return;
    ContractionSpec spec;
    spec.m = Size::dynamic(4), spec.n = Size::constant(n), spec.k = Size::constant(k);
    spec.lhs.pointer = 0, spec.lhs.row = Size::constant(k);
    spec.rhs = 1;
    MatrixOperand out, bias;
    out.pointer = 2, out.row = Size::constant(n);
    bias.pointer = 3, bias.row = Size::constant(0);
    spec.epilogue.heavy = finish == Finish::BiasGelu;
    spec.epilogue.emit = [=](KernelBuilder &b, const EpiloguePoint &point) {
      mlir::Value sum = point.sum;
      if (finish != Finish::Store)
        sum = mlir::arith::AddFOp::create(b.b, b.loc, sum, loadOperand(b, point, bias));
      if (finish == Finish::BiasGelu)
        sum = vmath::gelu(b, sum);
      storeOperand(b, point, sum, out);
    };
    KernelJit jit(target);
    jit.add(emitContraction(jit.module(), "kernel", spec, target), 5);
    Buffer lhs(m * k), rhs(packedElements(k, n, target)), result(m * n), biasData(n);
    time(name, jit, {lhs.data, rhs.data, result.data, biasData.data, reinterpret_cast<void *>(m)}, 2.0 * m * n * k);
  }

  enum class Pass { Forward, Dropout, Backward };

  void attention(int64_t b, int64_t heads, int64_t tq, int64_t tk, int64_t d, bool causal, Pass pass = Pass::Forward) {
    std::string name = "attention B" + std::to_string(b) + " H" + std::to_string(heads) + " T" + std::to_string(tq) +
                       "x" + std::to_string(tk) + " D" + std::to_string(d) + (causal ? " causal" : "") +
                       (pass == Pass::Backward  ? " backward"
                        : pass == Pass::Dropout ? " dropout"
                                                : "");
    if (!wanted(name))
      return;
    AttentionGradSpec grad;
    AttentionSpec &spec = grad.attention;
    spec.batch = Size::dynamic(4), spec.queries = Size::dynamic(5), spec.keys = Size::dynamic(6);
    spec.heads = spec.kvHeads = Size::constant(heads);
    spec.headDim = spec.valueDim = d;
    spec.scale = 0.125, spec.causal = causal;
    auto operand = [&](int pointer, int batch) {
      return HeadOperand{pointer, ElementType::F32, Size::dynamic(batch), Size::constant(heads * d), Size::constant(d)};
    };
    spec.q = operand(0, 7), spec.k = operand(1, 8), spec.v = operand(2, 8), spec.out = operand(3, 7);
    if (pass == Pass::Dropout)
      spec.dropout = AttentionDropout{0.1, 10, Size::constant(1)};
    grad.dout = operand(11, 7), grad.dq = operand(12, 7), grad.dk = operand(13, 8), grad.dv = operand(14, 8);
    KernelJit jit(target);
    bool backward = pass == Pass::Backward;
    if (backward)
      spec.lse = 9;
    jit.add(backward ? emitAttentionGrad(jit.module(), "kernel", grad, target)
                     : emitAttention(jit.module(), "kernel", spec, target),
            15);
    int64_t nq = b * tq * heads * d, nk = b * tk * heads * d;
    Buffer q(nq), k(nk), v(nk), out(nq), lse(b * heads * tq), dout(nq), dq(nq), dk(nk), dv(nk);
    std::fill_n(lse.data, b * heads * tq, std::log(float(tk)));
    uint64_t random[3] = {1, 2, 3};
    auto number = [](int64_t x) { return reinterpret_cast<const void *>(x); };
    double pairs = causal ? tq * (tq + 1) / 2.0 : double(tq) * tk;
    time(name, jit,
         {q.data, k.data, v.data, out.data, number(b), number(tq), number(tk), number(tq * heads * d),
          number(tk * heads * d), lse.data, random, dout.data, dq.data, dk.data, dv.data},
         (backward ? 10.0 : 4.0) * b * heads * d * pairs);
  }
};

} // namespace

int main(int argc, char **argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::string(argv[i]) == "--cpu")
      options.cpu = argv[i + 1];
    else if (std::string(argv[i]) == "--filter")
      options.filter = argv[i + 1];
  }
  auto target = cpuTarget(options.cpu);
  if (!target) {
    llvm::errs() << llvm::toString(target.takeError()) << "\n";
    return 1;
  }
  Bench bench{options, target->info};
  using Finish = Bench::Finish;
  bench.matmul(1024, 1024, 1024);
  bench.matmul(512, 512, 512);
  bench.matmul(128, 1536, 384);
  bench.matmul(128, 384, 384);
  bench.matmul(128, 384, 1536);
  bench.matmul(128, 1536, 384, Finish::BiasGelu);
  bench.matmul(509, 1000, 1000);
  bench.matmul(64, 64, 64, Finish::Store);
  bench.matmul(1, 3072, 768);
  bench.matmul(1, 50257, 768);
  bench.attention(1, 12, 1024, 1024, 64, false);
  bench.attention(1, 12, 1024, 1024, 64, true);
  bench.attention(8, 12, 128, 128, 32, false);
  bench.attention(1, 12, 1, 1024, 64, false);
  using Pass = Bench::Pass;
  bench.attention(1, 12, 1024, 1024, 64, false, Pass::Dropout);
  for (bool causal : {false, true}) {
    bench.attention(1, 12, 1024, 1024, 64, causal, Pass::Backward);
    bench.attention(1, 12, 4096, 4096, 64, causal);
    bench.attention(1, 12, 4096, 4096, 64, causal, Pass::Backward);
  }
  return 0;
}
