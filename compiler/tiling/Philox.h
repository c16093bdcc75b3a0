// Which elements a dropout keeps: Philox4x32-10 (Salmon et al. 2011) as kernel code.
//
// Element e of a site uses word e mod 4 of the block with counter (e / 4 low, e / 4 high, site + 2654435769 · round, step
// low) and key seed. A mask so depends on the element's number alone: not on tiles, threads, or what else a kernel does.
#ifndef WEFT_TILING_PHILOX_H
#define WEFT_TILING_PHILOX_H

#include "tiling/KernelBuilder.h"

#include <array>

namespace weft {

class DropoutMask {
public:
  /// What a round adds to a site's number.
  static constexpr int64_t roundStep = 2654435769;

  /// `random`: address of weft_exec.seed, step, first_sample. `site`: i64, site + roundStep · round, of which the low 32
  /// bits count. The uniform part of the work is emitted where the builder stands, which must dominate all uses.
  DropoutMask(KernelBuilder &k, mlir::Value random, double p, mlir::Value site);

  /// vector<count x i1>, on where elements first, first + 1, … are kept; count is a multiple of 4. `aligned`: first is one
  /// too, which halves the work for short vectors. A block serves four elements: the more at once, the fuller the registers.
  mlir::Value consecutive(mlir::Value first, int64_t count, bool aligned);
  /// i1 for an i64, or vector<n x i1> for a vector<n x i64>: one block for each element.
  mlir::Value each(mlir::Value elements);

  /// Number of the call's first sample within the whole batch, i64.
  mlir::Value firstSample() const { return sample; }
  /// What kept elements are multiplied by: 1 / (1 - p).
  double scale() const { return 1 / (1 - p); }

private:
  /// The block's four words, in the low halves of i64 (vectors); the high halves are unspecified.
  std::array<mlir::Value, 4> block(mlir::Value number);
  mlir::Value atLeastThreshold(mlir::Value words);

  KernelBuilder &k;
  double p;
  mlir::Value sample, site, step;
  std::array<std::array<mlir::Value, 2>, 10> keys;   ///< i64 below 2³²
};

} // namespace weft

#endif // WEFT_TILING_PHILOX_H
