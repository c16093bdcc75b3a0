// The tile numbers and why they are what they are; measured with tools/bench/kernel_bench.
#include "tiling/TileSizes.h"

namespace weft {

TileSizes tileSizes(const TargetInfo &target) {
  TileSizes t;
  // A register tile of r rows by v vectors needs r * v accumulators, v registers for the panel row and one for the
  // broadcast element, and should have at least 8 accumulators (latency 4, two FMA units).
  if (target.vectorRegisters >= 32 && target.lanes >= 16) {
    t.rows = 6; // 24 + 4 + 1 registers of 32; more rows would put unpacked rows of 4 KB stride into one L1 set
    t.panelVectors = 4;
  } else if (target.vectorRegisters >= 32) {
    t.rows = 8; // NEON: 8 x 3 was no better than 8 x 2 in operand traffic and has an odd panel width
    t.panelVectors = 2;
  } else if (target.lanes >= 8) {
    t.rows = 6; // 12 + 2 + 1 registers of 16
    t.panelVectors = 2;
  } else {
    t.rows = 4; // SSE: 8 + 2 + 1 of 16, and one for the product where FMA is missing
    t.panelVectors = 2;
  }
  t.panel = t.panelVectors * target.lanes;
  // A block of rows is read once per panel and must stay in L2 beside a panel: 192 rows of 1024 elements are 768 KB.
  t.rowBlock = t.rows * 32;
  // Four tiles share one panel, which keeps its traffic from L3 below 6 bytes per cycle.
  t.smallRowBlock = t.rows * 4;
  t.wantedTasks = 16;
  // The panel part that a reduction walks must stay in L2: 4096 rows of 64 columns are 1 MB.
  t.depthBlock = target.l2Bytes / 2 / (t.panel * 4);
  // 512 rows of 64 columns are 128 KB, in L2 beside as many lhs rows; each block of rows packs anew, so blocks are tall.
  t.packedDepth = 512;
  t.packedRowBlock = t.rows * 64;
  t.packedWantedTasks = 8;
  t.unroll = 8; // one prefetch per row and half cache line; also keeps loop overhead out of small tiles

  t.queryVectors = t.panelVectors;
  t.attentionRows = t.rows;
  // Scores, queries and outputs of a tile share L1: 3 buffers of 64 x 64 x 4 B are 48 KB. A multiple of the rows of all
  // tiles, of which the narrower ones have up to twice as many.
  t.keyBlock = t.rows == 6 ? 66 : 64;
  return t;
}

} // namespace weft
