// Every function of VectorMath against libm in double precision: dense samples and special values, in ulp.
#include "KernelTest.h"

#include "tiling/VectorMath.h"

#include <functional>

using namespace weft;
using namespace weft::test;

namespace {

using Emit = mlir::Value (*)(KernelBuilder &, mlir::Value);

struct Function {
  const char *name;
  Emit emit;
  double (*reference)(double);
  double low, high;
  double ulps;         ///< bound on the error
  double absolute = 0; ///< error allowed besides, as a fraction of |x|: tails that are products with rounded arguments
};

double refGelu(double x) { return 0.5 * x * std::erfc(-x / std::sqrt(2.0)); }
double refGeluTanh(double x) { return x / (1 + std::exp(-2 * std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); }
double refSigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double refSilu(double x) { return x / (1 + std::exp(-x)); }
double refSoftplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::fabs(x))); }
double refRsqrt(double x) { return 1 / std::sqrt(x); }

const Function functions[] = {
    {"exp2Unit", vmath::exp2Unit, std::exp2, -126, 0, 2},
    {"exp2", vmath::exp2, std::exp2, -150, 129, 2},
    {"exp", vmath::exp, std::exp, -104, 89, 2},
    {"exp near 0", vmath::exp, std::exp, -2, 2, 2},
    {"log", vmath::log, std::log, 1e-30, 1e3, 2},
    {"log near 1", vmath::log, std::log, 0.5, 2, 2},
    {"log tiny", vmath::log, std::log, 1e-42, 1e-38, 2},
    {"log2", vmath::log2, std::log2, 1e-30, 1e3, 2.5},
    {"log2 near 1", vmath::log2, std::log2, 0.5, 2, 2.5},
    {"tanh", vmath::tanh, std::tanh, -10, 10, 3},
    {"tanh near 0", vmath::tanh, std::tanh, -1e-3, 1e-3, 3},
    {"erf", vmath::erf, std::erf, -5, 5, 2},
    {"sigmoid", vmath::sigmoid, refSigmoid, -87.336, 40, 4},
    {"silu", vmath::silu, refSilu, -87.336, 40, 4},
    {"gelu", vmath::gelu, refGelu, -10, 10, 4, 1e-7},
    {"gelu near 0", vmath::gelu, refGelu, -1, 1, 4},
    {"geluTanh", vmath::geluTanh, refGeluTanh, -10, 10, 4, 1e-7},
    {"geluTanh near 0", vmath::geluTanh, refGeluTanh, -1, 1, 4},
    {"softplus", vmath::softplus, refSoftplus, -87.336, 80, 4},
    {"sin", vmath::sin, std::sin, -10, 10, 2},
    {"sin far", vmath::sin, std::sin, -1.0e6, 1.0e6, 2},
    {"cos", vmath::cos, std::cos, -10, 10, 2},
    {"cos far", vmath::cos, std::cos, -1.0e6, 1.0e6, 2},
    {"sqrt", vmath::sqrt, std::sqrt, 0, 1e6, 0.51},
    {"rsqrt", vmath::rsqrt, refRsqrt, 1e-6, 1e6, 1.5},
};

double ulpOf(double reference) {
  int exponent;
  std::frexp(reference, &exponent);
  return std::ldexp(1.0, std::max(exponent - 24, -149));
}

/// out[i] = f(in[i]) for tasks of `lanes` elements, or of one scalar.
void emitMap(KernelJit &jit, const std::string &name,
             std::function<mlir::Value(KernelBuilder &, mlir::Value, mlir::Value)> f, bool scalar) {
  KernelBuilder k(jit.module(), name, jit.target(), jit.module().getLoc());
  mlir::Type f32 = k.b.getF32Type(), type = scalar ? f32 : mlir::Type(k.vecF32());
  k.loop(k.begin, k.end, k.i64(1), [&](mlir::Value task) {
    mlir::Value at = k.mul(task, k.i64(scalar ? 1 : k.target.lanes));
    mlir::Value x = k.load(type, k.at(k.ptrSlot(0), at, f32)), y = k.load(type, k.at(k.ptrSlot(3), at, f32));
    k.store(f(k, x, y), k.at(k.ptrSlot(1), at, f32));
  });
  EmittedKernel kernel;
  kernel.func = k.finish();
  kernel.tasks = [](mlir::OpBuilder &, mlir::Location, mlir::ValueRange slots) { return slots[2]; };
  jit.add(kernel, 4);
}

std::vector<float> apply(const KernelJit &jit, const std::string &name, const std::vector<float> &x, bool scalar,
                         const std::vector<float> &y) {
  std::vector<float> out(x.size());
  Args args(4);
  args.set(0, x.data()), args.set(1, out.data()), args.set(3, y.data());
  args.set(2, int64_t(x.size() / (scalar ? 1 : jit.target().lanes)));
  jit.get(name).run(args.data());
  return out;
}

void testFunctions(const TargetInfo &target, bool verbose) {
  KernelJit jit(target);
  for (const Function &f : functions)
    for (bool scalar : {false, true})
      emitMap(
          jit, f.name + std::string(scalar ? " scalar" : ""),
          [&](KernelBuilder &k, mlir::Value x, mlir::Value) { return f.emit(k, x); }, scalar);
  emitMap(jit, "pow", [](KernelBuilder &k, mlir::Value x, mlir::Value y) { return vmath::pow(k, x, y); }, false);
  compileOrDie(jit);

  // Without fused multiply-add each step of a polynomial rounds twice.
  double slack = target.lanes < 8 ? 2 : 0;
  for (const Function &f : functions)
    for (bool scalar : {false, true}) {
      const int64_t samples = scalar ? 16 * 1024 : 16 * 16384;
      std::vector<float> x(samples);
      for (int64_t i = 0; i < samples; ++i)
        x[i] = static_cast<float>(f.low + (f.high - f.low) * ((i + 0.37) / samples));
      std::vector<float> y = apply(jit, f.name + std::string(scalar ? " scalar" : ""), x, scalar, x);
      double worst = 0, worstAt = 0;
      for (int64_t i = 0; i < samples; ++i) {
        double want = f.reference(x[i]);
        if (std::fabs(want) > 3.4028235677973366e38) {
          check(std::isinf(y[i]), std::string(f.name) + " overflows to inf");
          continue;
        }
        double error = std::max(0.0, std::fabs(y[i] - want) - f.absolute * std::fabs(x[i])) / ulpOf(want);
        if (!(error <= worst))
          worst = error, worstAt = x[i];
      }
      check(worst <= f.ulps + slack, std::string(f.name) + (scalar ? " scalar" : "") + " lanes " +
                                         std::to_string(target.lanes) + ": " + std::to_string(worst) + " ulp at " +
                                         std::to_string(worstAt));
      if (verbose)
        llvm::outs() << "lanes " << target.lanes << " " << f.name << (scalar ? " scalar" : "") << ": " << worst
                     << " ulp\n";
    }

  // Special values, filled up to a whole number of vectors.
  const float inf = INFINITY, nan = NAN;
  std::vector<float> special = {0.0f,   -0.0f, inf,   -inf,   nan,     1e-40f, -1e-40f, 1e38f,
                                -1e38f, 1.0f,  -1.0f, 200.0f, -200.0f, 88.7f,  -87.4f,  -103.0f};
  auto expect = [&](const char *name, int i, const std::vector<float> &y, double want) {
    bool good = std::isnan(want)                ? std::isnan(y[i])
                : std::isinf(want) || want == 0 ? y[i] == want
                                                : std::fabs(y[i] - want) <= 8 * ulpOf(want);
    check(good, std::string(name) + "(" + std::to_string(special[i]) + ") = " + std::to_string(y[i]) + ", want " +
                    std::to_string(want));
  };
  for (const char *name : {"exp2", "exp", "log", "log2", "tanh", "erf", "sigmoid", "softplus", "sqrt"}) {
    std::vector<float> y = apply(jit, name, special, false, special);
    for (const Function &f : functions)
      if (!std::strcmp(f.name, name))
        for (size_t i = 0; i < special.size(); ++i) {
          double want = f.reference(special[i]);
          if (std::fabs(want) < 1.2e-38 && want != 0)
            check(std::fabs(y[i] - want) <= 1.2e-38, std::string(name) + " of a tiny result");
          else
            expect(name, int(i), y, std::fabs(want) > 3.4028235677973366e38 ? std::copysign(INFINITY, want) : want);
        }
  }
  std::vector<float> unit(16, -126.01f);
  unit[1] = -inf, unit[2] = nan, unit[3] = -1e30f, unit[4] = 0.0f, unit[5] = -126.0f;
  std::vector<float> y = apply(jit, "exp2Unit", unit, false, unit);
  check(y[0] == 0 && y[1] == 0 && std::isnan(y[2]) && y[3] == 0 && y[4] == 1 && y[5] == 1.17549435e-38f,
        "exp2Unit of special values");

  // pow: a grid of magnitudes, then the rules of IEEE 754 for special values.
  std::vector<float> bases, exponents;
  for (float base :
       {1e-30f, 1e-3f, 0.3f, 0.999f, 1.0f, 1.001f, 2.0f, 10.0f, 1e4f, 3e20f, -2.0f, -0.5f, 0.0f, -0.0f, inf, -inf, nan})
    for (float exponent :
         {-3.0f, -2.0f, -0.5f, 0.0f, 0.3333f, 0.5f, 1.0f, 2.0f, 2.5f, 3.0f, 17.0f, 1000.0f, inf, -inf, nan}) {
      bases.push_back(base);
      exponents.push_back(exponent);
    }
  while (bases.size() % 16)
    bases.push_back(1), exponents.push_back(1);
  y = apply(jit, "pow", bases, false, exponents);
  for (size_t i = 0; i < bases.size(); ++i) {
    float want = std::pow(double(bases[i]), double(exponents[i]));
    bool good = std::isnan(want)   ? std::isnan(y[i])
                : std::isinf(want) ? y[i] == want
                                   : std::fabs(y[i] - want) <= 2 * ulpOf(want);
    check(good && (std::isnan(want) || std::signbit(want) == std::signbit(y[i])),
          "pow(" + std::to_string(bases[i]) + ", " + std::to_string(exponents[i]) + ") = " + std::to_string(y[i]) +
              ", want " + std::to_string(want));
  }
}

} // namespace

int main(int argc, char **) {
  for (const TargetInfo &target : runnableTargets())
    testFunctions(target, /*verbose=*/argc > 1);
  return report();
}
