// Row kernels by Weft's emitter and by MLIR's linalg passes, for the same computation on the same memory in one process.
// Both are checked against double precision, then timed in turn; prints medians and the ratio of each pair of samples.
//   row_linalg_bench [--filter TEXT] [--samples N] [--smoke]       --smoke: small and odd sizes, checks only
#include "LinalgKernel.h"
#include "target/cpu/CpuTargets.h"
#include "target/cpu/KernelJit.h"
#include "tiling/RowKernel.h"

#include "mlir/Parser/Parser.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <thread>
#include <vector>

using namespace weft;

namespace {

using Rows = std::vector<const float *>;

struct Case {
  const char *name;
  std::vector<bool> isRow; ///< by operand, the result last
  void (*reference)(const Rows &rows, int64_t n, double *y);
  std::vector<std::pair<int64_t, int64_t>> sizes; ///< rows and columns
};

void addNorm(const Rows &in, int64_t n, double *y) {
  double sum = 0, deviation = 0;
  for (int64_t j = 0; j < n; ++j)
    sum += y[j] = double(in[0][j]) + in[1][j];
  for (int64_t j = 0; j < n; ++j)
    deviation += (y[j] - sum / n) * (y[j] - sum / n);
  for (int64_t j = 0; j < n; ++j)
    y[j] = (y[j] - sum / n) / std::sqrt(deviation / n + 1e-5) * in[2][j] + in[3][j];
}

double logSum(const float *x, int64_t n, double &largest) {
  double sum = 0;
  largest = *std::max_element(x, x + n);
  for (int64_t j = 0; j < n; ++j)
    sum += std::exp(x[j] - largest);
  return std::log(sum);
}

void logSoftmax(const Rows &in, int64_t n, double *y) {
  double largest, sum = logSum(in[0], n, largest);
  for (int64_t j = 0; j < n; ++j)
    y[j] = in[0][j] - largest - sum;
}

void softmax(const Rows &in, int64_t n, double *y) {
  logSoftmax(in, n, y);
  std::transform(y, y + n, y, [](double v) { return std::exp(v); });
}

void biasGelu(const Rows &in, int64_t n, double *y) {
  for (int64_t j = 0; j < n; ++j) {
    double x = double(in[0][j]) + in[1][j];
    y[j] = 0.5 * x * std::erfc(-x / std::sqrt(2.0));
  }
}

void biasGeluTanh(const Rows &in, int64_t n, double *y) {
  for (int64_t j = 0; j < n; ++j) {
    double x = double(in[0][j]) + in[1][j];
    y[j] = x / (1 + std::exp(-2 * std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  }
}

void swiglu(const Rows &in, int64_t n, double *y) {
  for (int64_t j = 0; j < n; ++j)
    y[j] = in[0][j] / (1 + std::exp(-double(in[0][j]))) * in[1][j];
}

const Case cases[] = {
    {"add_norm", {false, false, true, true, false}, addNorm, {{128, 384}, {128, 385}, {128, 768}, {1024, 384}, {1024, 768}}},
    {"softmax", {false, false}, softmax, {{128, 1024}, {128, 1023}, {1024, 1024}}},
    {"bias_gelu", {false, true, false}, biasGelu, {{128, 1536}, {1024, 1536}}},
    {"bias_gelu_tanh", {false, true, false}, biasGeluTanh, {{128, 1536}, {1024, 1536}}},
    {"swiglu", {false, false, false}, swiglu, {{128, 1536}, {1024, 1536}}},
    {"log_softmax", {false, false}, logSoftmax, {{16, 50257}}},
};

[[noreturn]] void die(const std::string &message) {
  llvm::errs() << "row_linalg_bench: " << message << "\n";
  std::exit(1);
}
void dieOn(llvm::Error error, const std::string &where) {
  if (error)
    die(where + ": " + llvm::toString(std::move(error)));
}

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

std::string readText(const std::string &file) {
  auto buffer = llvm::MemoryBuffer::getFile(std::string(WEFT_ROW_LINALG_DIR "/") + file);
  if (!buffer)
    die("cannot read " + file);
  return (*buffer)->getBuffer().str();
}

std::string replaced(std::string text, const std::string &from, const std::string &to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

/// Two threads that spin, so that a fork costs as little as one can.
class Pair {
  std::atomic<int64_t> started{0}, finished{0};
  std::atomic<bool> stop{false};
  llvm::function_ref<void()> work{nullptr};
  std::thread worker{[this] {
    for (int64_t seen = 0;; ++seen) {
      while (started.load(std::memory_order_acquire) == seen)
        if (stop.load(std::memory_order_relaxed))
          return;
      work();
      finished.store(seen + 1, std::memory_order_release);
    }
  }};

public:
  ~Pair() {
    stop = true;
    worker.join();
  }
  void run(llvm::function_ref<void()> here, llvm::function_ref<void()> there) {
    work = there;
    int64_t count = started.fetch_add(1, std::memory_order_release) + 1;
    here();
    while (finished.load(std::memory_order_acquire) != count) {
    }
  }
};

struct EmitterKernel {
  KernelJit jit;
  JitKernel kernel;
  std::vector<const void *> slots;
  int64_t tasks = 0;
  double milliseconds = 0;
  void *scratch[2];

  EmitterKernel(const TargetInfo &target, const std::string &source, llvm::ArrayRef<float *> operands, int64_t rows)
      : jit(target) {
    mlir::MLIRContext *context = jit.module().getContext();
    context->loadDialect<WeftDialect>();
    auto parsed = mlir::parseSourceString<mlir::ModuleOp>(source, context);
    if (!parsed)
      die("the region does not parse");
    RowKernelSpec spec;
    parsed->walk([&](FusedOp op) { spec.op = op; });
    for (float *operand : operands)
      slots.push_back(operand);
    slots.push_back(reinterpret_cast<const void *>(rows));
    int count = int(operands.size());
    auto place = [](int slot, mlir::Value value) {
      Shape shape = shapeOf(value);
      return RowOperand{slot, shape.size() == 1 ? Shape{DimExpr(1)} : Shape{shape[1], DimExpr(1)}};
    };
    for (auto [i, operand] : llvm::enumerate(spec.op.getOperands()))
      spec.operands.push_back(place(int(i), operand));
    spec.results.push_back(place(count - 1, spec.op.getResult(0)));
    spec.dims["B"] = count;
    double start = now();
    jit.add(emitRowKernel(jit.module(), "kernel", spec, target), count + 1);
    dieOn(jit.compile(), "the emitter");
    milliseconds = (now() - start) * 1e3;
    kernel = jit.get("kernel");
    tasks = kernel.tasks(slots.data());
    int64_t bytes = kernel.scratchBytes + rowKernelScratch(spec.op).evaluate({{"B", rows}}).value_or(0);
    for (void *&memory : scratch)
      memory = std::aligned_alloc(4096, (bytes + 8191) / 4096 * 4096);
  }
  ~EmitterKernel() {
    for (void *memory : scratch)
      std::free(memory);
  }
  /// One of `parts` parts of the tasks.
  void run(int part, int parts) const {
    kernel.function(slots.data(), tasks * part / parts, tasks * (part + 1) / parts, scratch[part]);
  }
};

struct Options {
  std::string filter;
  int samples = 31;
  bool smoke = false;
};

class Comparison {
  const Case &which;
  const int64_t rows, columns;
  const Options &options;
  std::vector<std::vector<float>> memory;
  std::vector<float *> operands;
  std::string name;
  bool good = true;

  double error(const std::vector<float> &got) const {
    std::vector<double> want(columns);
    double worst = 0;
    for (int64_t i = 0; i < rows; ++i) {
      Rows in;
      for (size_t k = 0; k + 1 < operands.size(); ++k)
        in.push_back(operands[k] + (which.isRow[k] ? 0 : i * columns));
      which.reference(in, columns, want.data());
      double scale = 0;
      for (double v : want)
        scale = std::max(scale, std::fabs(v));
      for (int64_t j = 0; j < columns; ++j) {
        double difference = std::fabs(got[i * columns + j] - want[j]) / scale;
        worst = difference <= worst ? worst : std::isnan(difference) ? INFINITY : difference;
      }
    }
    return worst;
  }

  double checked(llvm::function_ref<void()> run, const std::string &by) {
    std::fill(memory.back().begin(), memory.back().end(), NAN);
    run();
    double worst = error(memory.back());
    if (worst > 5e-6) {
      llvm::errs() << name << " by " << by << ": error " << worst << " of the row's scale\n";
      good = false;
    }
    return worst;
  }

  static double timed(int64_t repeat, llvm::function_ref<void()> run) {
    double start = now();
    for (int64_t i = 0; i < repeat; ++i)
      run();
    return (now() - start) / repeat;
  }

public:
  Comparison(const Case &which, int64_t rows, int64_t columns, const Options &options)
      : which(which), rows(rows), columns(columns), options(options),
        name(std::string(which.name) + " " + std::to_string(rows) + "x" + std::to_string(columns)) {
    uint32_t state = 12345;
    for (bool isRow : which.isRow) {
      memory.emplace_back(isRow ? columns : rows * columns);
      for (float &value : memory.back())
        value = (state = state * 1664525u + 1013904223u) * (8.0f / 4294967296.0f) - 4.0f;
    }
    for (auto &values : memory)
      operands.push_back(values.data());
  }

  bool run(const TargetInfo &target, Pair &pair) {
    char inverse[32];
    std::snprintf(inverse, sizeof inverse, "%.9e", 1.0 / columns);
    std::string source = replaced(readText("cases/" + std::string(which.name) + ".mlir"), "${N}", std::to_string(columns));
    source = replaced(source, "${1/N}", inverse);
    size_t border = source.find("func.func @linalg");
    EmitterKernel emitter(target, source.substr(0, border), operands, rows);
    double emitterError = checked([&] { emitter.run(0, 1); }, "the emitter");

    auto rowsOf = [&](const LinalgKernel &kernel, int part, int parts) {
      kernel.run(operands, isRow(), rows * part / parts, rows * (part + 1) / parts, columns);
    };
    // The schedule's tile and LLVM's level are chosen by trial, for this size: the best that this way can give.
    std::unique_ptr<LinalgKernel> linalg;
    double best = INFINITY, linalgError = 0;
    std::string variant;
    for (int tile : {16, 32, 64, 128})
      for (LlvmLevel level : {LlvmLevel::CleanUp, LlvmLevel::O3}) {
        auto tried = std::make_unique<LinalgKernel>(target);
        std::string schedule = replaced(readText("schedule.mlir"), "${TILE}", std::to_string(tile));
        dieOn(tried->compile(source.substr(border), schedule, level), name);
        double tryError = checked([&] { rowsOf(*tried, 0, 1); }, "linalg");
        double time = INFINITY;
        for (int i = 0; i < 5 && !options.smoke; ++i)
          time = std::min(time, timed(1, [&] { rowsOf(*tried, 0, 1); }));
        if (linalg && time >= best)
          continue;
        best = time, linalgError = tryError, linalg = std::move(tried);
        variant = std::to_string(tile) + (level == LlvmLevel::O3 ? " O3" : "");
      }
    if (options.smoke)
      return good;

    llvm::outs() << llvm::format("%-24s", name.c_str());
    double elements = double(rows) * columns;
    for (int threads : {1, 2}) {
      auto emitterRun = [&] {
        threads == 1 ? emitter.run(0, 1) : pair.run([&] { emitter.run(0, 2); }, [&] { emitter.run(1, 2); });
      };
      auto linalgRun = [&] {
        threads == 1 ? rowsOf(*linalg, 0, 1) : pair.run([&] { rowsOf(*linalg, 0, 2); }, [&] { rowsOf(*linalg, 1, 2); });
      };
      int64_t repeat = std::max<int64_t>(1, int64_t(1e-3 / timed(1, emitterRun)));
      std::vector<double> emitted, structured, ratios;
      for (int i = 0; i < options.samples; ++i) {
        emitted.push_back(timed(repeat, emitterRun));
        structured.push_back(timed(repeat, linalgRun));
        ratios.push_back(structured.back() / emitted.back());
      }
      llvm::outs() << llvm::format("  %dT %.3f %.3f ns/elem (x%.2f)", threads, median(emitted) / elements * 1e9,
                                   median(structured) / elements * 1e9, median(ratios));
    }
    llvm::outs() << llvm::format("  compile %.0f %.0f ms (MLIR %.0f)  object %zu %zu B  error %.0e %.0e  [%s]\n",
                                 emitter.milliseconds, linalg->milliseconds(), linalg->mlirMilliseconds(),
                                 emitter.jit.objectBytes(), linalg->objectBytes(), emitterError, linalgError,
                                 variant.c_str());
    llvm::outs().flush();
    return good;
  }

private:
  llvm::SmallVector<bool> isRow() const { return {which.isRow.begin(), which.isRow.end()}; }
};

} // namespace

int main(int argc, char **argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    std::string option = argv[i];
    if (option == "--smoke")
      options.smoke = true;
    else if (option == "--filter" && i + 1 < argc)
      options.filter = argv[++i];
    else if (option == "--samples" && i + 1 < argc)
      options.samples = std::max(1, std::atoi(argv[++i]));
    else
      die("usage: row_linalg_bench [--filter TEXT] [--samples N] [--smoke]");
  }
  TargetInfo target = hostTargetInfo();
  Pair pair;
  bool good = true;
  if (!options.smoke)
    llvm::outs() << "each pair: emitter, linalg\n";
  for (const Case &which : cases) {
    if (!llvm::StringRef(which.name).contains(options.filter))
      continue;
    auto sizes = options.smoke ? std::vector<std::pair<int64_t, int64_t>>{{3, 257}} : which.sizes;
    for (auto [rows, columns] : sizes)
      good &= Comparison(which, rows, columns, options).run(target, pair);
  }
  return good ? 0 : 1;
}
