// Every tile number of the kernels, per target, with its reason. The only place where such numbers are chosen.
// The packed panel width is part of the memory format: views of parameters are packed with `panel` columns.
#ifndef WEFT_TILING_TILESIZES_H
#define WEFT_TILING_TILESIZES_H

#include "tiling/TargetInfo.h"

namespace weft {

struct TileSizes {
  // --- contraction
  int64_t rows;          ///< rows of the register tile
  int64_t panelVectors;  ///< vectors of a panel row: the register tile has rows * panelVectors accumulators
  int64_t panel;         ///< columns of a packed panel (nr): panelVectors * lanes
  int64_t rowBlock;      ///< rows that one task covers at most; a multiple of `rows`
  int64_t smallRowBlock; ///< rows that one task covers at least when rows are split for parallelism
  int64_t wantedTasks;   ///< rows are split further while there are fewer tasks than this
  int64_t depthBlock;    ///< longest reduction that runs in one go; longer ones keep partial sums in scratch
  // --- contraction that packs its own panels
  int64_t packedDepth;       ///< rows of a panel that are packed and multiplied in one go
  int64_t packedRowBlock;    ///< in place of rowBlock
  int64_t packedWantedTasks; ///< in place of wantedTasks
  int64_t unroll;        ///< reduction steps per iteration of the inner loop
  // --- attention
  int64_t queryVectors;  ///< vectors of queries of the largest query tile; tiles of half and quarter size follow
  int64_t keyBlock;      ///< keys per step of the online softmax
  int64_t attentionRows; ///< rows of the register tile at `queryVectors` vectors
};

TileSizes tileSizes(const TargetInfo &target);

} // namespace weft

#endif // WEFT_TILING_TILESIZES_H
