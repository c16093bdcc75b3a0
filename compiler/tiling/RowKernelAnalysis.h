// How the ops of a weft.fused region depend on each other's indices: what decides loops, tasks and row buffers before
// any code is emitted.
#ifndef WEFT_TILING_ROWKERNELANALYSIS_H
#define WEFT_TILING_ROWKERNELANALYSIS_H

#include "dialect/Weft.h"
#include "tiling/TargetInfo.h"

#include "llvm/ADT/SmallVector.h"

#include <map>
#include <vector>

namespace weft {

/// Scratch memory that holds one row of a value that several loops over the row need and that is not cheap.
struct RowBuffer {
  mlir::Value value;
  int kind = 0;           ///< 0: the value itself; 1: the exponentials of the softmax that makes it; 2: tables of a rope
  DimExpr elements;
  int64_t elementBytes = 4;
  DimExpr offset;         ///< in the thread's scratch memory
};

/// One loop nest: the results that share their outer indices.
struct RowSegment {
  llvm::SmallVector<unsigned> results;
  bool flat = false;      ///< all memory is contiguous: one axis, tasks are blocks of it
  Shape outer;            ///< sizes of the task axes; tasks = product, times the blocks of the lane axis if it is among them
  bool lanesInTask = false;  ///< the last result axis runs in lanes and is split over tasks
  DimExpr laneSize;       ///< its size, with lanesInTask
};

/// The part of one result's axes that each loop covers.
struct ResultLoops {
  llvm::SmallVector<int64_t> outer, inner;  ///< axes, in order; with lanesInTask the lane axis is in neither
  int64_t laneAxis = -1;                    ///< the axis that runs in lanes: the last of `inner`, or split over tasks; -1: none
};

struct RowPlan {
  std::vector<RowSegment> segments;
  llvm::SmallVector<ResultLoops> loops;     ///< by result
  std::vector<RowBuffer> buffers;
  int64_t scratchBytes = 0;                 ///< of buffers of constant length
  DimExpr dynamicScratch;                   ///< the rest
  bool heavy = false;                       ///< the region has transcendental ops
};

/// Elements per task of a flat segment.
inline constexpr int64_t kFlatBlock = 1024;
/// Rows up to so many vectors are unrolled: their values stay in registers from loop to loop. Three quarters of 32
/// registers (residual and norm of 384 columns: a quarter less time); fewer where temporaries or code would be many.
inline int64_t unrolledVectors(const RowPlan &plan, const TargetInfo &target) {
  return !plan.heavy && target.vectorRegisters >= 32 ? 24 : 8;
}

RowPlan planRows(FusedOp op);

/// Whether strides are those of a row-major tensor without gaps.
bool isRowMajor(const Shape &shape, const Shape &strides);

} // namespace weft

#endif // WEFT_TILING_ROWKERNELANALYSIS_H
