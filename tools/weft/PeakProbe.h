// The fp32 limit of this machine now: fused multiply-adds on registers only, on a number of threads at once.
// Measured in the same run as a benchmark, so that "percent of peak" means this machine under its present load.
#ifndef WEFT_TOOLS_PEAKPROBE_H
#define WEFT_TOOLS_PEAKPROBE_H

namespace weft {

/// GFLOP/s in fp32 of `threads` threads running at once, each at its best of many short bursts (about 0.1 s in all);
/// 0: no fused multiply-add on this CPU.
double measurePeakGflops(int threads);

} // namespace weft

#endif // WEFT_TOOLS_PEAKPROBE_H
