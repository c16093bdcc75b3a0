// Independent chains of multiply-adds, enough of them to hide the latency, in the widest registers that the CPU has.
// Each loop is compiled for its own instruction set, so the tool itself runs anywhere.
#include "PeakProbe.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace weft {

namespace {

using Clock = std::chrono::steady_clock;
using Burst = void (*)(long rounds);

#if defined(__x86_64__)
__attribute__((target("avx512f"), noinline)) void burst512(long rounds) {
  constexpr int kChains = 24;
  __m512 sum[kChains], x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(0.001f);
#pragma GCC unroll 24
  for (int j = 0; j < kChains; ++j)
    sum[j] = _mm512_set1_ps(float(j));
  for (long i = 0; i < rounds; ++i) {
#pragma GCC unroll 24
    for (int j = 0; j < kChains; ++j)
      sum[j] = _mm512_fmadd_ps(sum[j], x, y);
    // The compiler must not see through the recurrence.
    asm volatile("" : "+v"(x), "+v"(y));
  }
#pragma GCC unroll 24
  for (int j = 0; j < kChains; ++j)
    asm volatile("" ::"v"(sum[j]));
}

__attribute__((target("avx2,fma"), noinline)) void burst256(long rounds) {
  constexpr int kChains = 12;
  __m256 sum[kChains], x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(0.001f);
#pragma GCC unroll 12
  for (int j = 0; j < kChains; ++j)
    sum[j] = _mm256_set1_ps(float(j));
  for (long i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < kChains; ++j)
      sum[j] = _mm256_fmadd_ps(sum[j], x, y);
    asm volatile("" : "+x"(x), "+x"(y));
  }
#pragma GCC unroll 12
  for (int j = 0; j < kChains; ++j)
    asm volatile("" ::"x"(sum[j]));
}
#endif

struct Probe {
  Burst burst = nullptr;
  double flopsPerRound = 0;
};

Probe chooseProbe() {
#if defined(__x86_64__)
  // Both tests look at CPUID and at what the operating system saves.
  if (__builtin_cpu_supports("avx512f"))
    return {burst512, 24.0 * 16 * 2};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return {burst256, 12.0 * 8 * 2};
#endif
  return {};
}

/// GFLOP/s of this thread's best burst. Short bursts: some of them run undisturbed on a shared machine.
double bestOf(int bursts, const Probe &probe) {
  constexpr long kRounds = 500000;
  double best = 0;
  for (int i = 0; i < bursts; ++i) {
    auto start = Clock::now();
    probe.burst(kRounds);
    double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::max(best, probe.flopsPerRound * kRounds / seconds / 1e9);
  }
  return best;
}

} // namespace

double measurePeakGflops(int threads) {
  constexpr int kBursts = 24;
  Probe probe = chooseProbe();
  if (!probe.burst)
    return 0;
  std::vector<double> rates(size_t(std::max(threads, 1)), 0.0);
  std::vector<std::thread> others;
  for (size_t i = 1; i < rates.size(); ++i)
    others.emplace_back([&, i] { rates[i] = bestOf(kBursts, probe); });
  rates[0] = bestOf(kBursts, probe);
  for (std::thread &other : others)
    other.join();
  double sum = 0;
  for (double rate : rates)
    sum += rate;
  return sum;
}

} // namespace weft
