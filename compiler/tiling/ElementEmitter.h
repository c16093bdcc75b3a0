// Values of a weft.fused region at points of their index space, as kernel code.
//
// A point has one Index per axis. At most one of the kernel's loops runs in lanes; an Index says how the axis's index
// depends on the lane: not at all (uniform), by a constant step, or in any way (a vector). A value at a point where all
// indices are uniform is a scalar, otherwise a vector (or a scalar, where it happens not to depend on the lane).
//
// Code goes to the outermost loop in which a point's indices are known: the row's statistics before the loop over
// columns, scalars before the loop over rows. Every value is emitted once per point and loop nest.
#ifndef WEFT_TILING_ELEMENTEMITTER_H
#define WEFT_TILING_ELEMENTEMITTER_H

#include "tiling/Philox.h"
#include "tiling/PointwiseEmitter.h"
#include "tiling/RowKernel.h"
#include "tiling/RowKernelAnalysis.h"

#include <map>
#include <memory>
#include <vector>

namespace weft {

struct Index {
  mlir::Value base;    ///< i64, of lane 0
  int64_t step = 0;    ///< added per lane
  mlir::Value vec;     ///< if set: vector<lanes x i64>, and base and step mean nothing
  int64_t align = 1;   ///< base is a multiple of this
  bool uniform() const { return !vec && step == 0; }
};
using Point = llvm::SmallVector<Index, 4>;

class ElementEmitter {
public:
  ElementEmitter(KernelBuilder &k, const RowKernelSpec &spec, const RowPlan &plan);

  /// The value of tensor `v` at `point`, in its compute type. Lanes where `mask` (may be null) is off are unspecified.
  mlir::Value value(mlir::Value v, const Point &point, mlir::Value mask);
  void store(mlir::Value value, unsigned result, const Point &point, mlir::Value mask);

  // --- loops; code inside may be placed before them
  using Body = KernelBuilder::LoopBody;
  llvm::SmallVector<mlir::Value> loop(mlir::Value from, mlir::Value to, mlir::Value step, mlir::ValueRange init, Body body);
  /// Covers the columns [from, to) with vectors. Each body call gets the column index, the mask of a partial vector and
  /// the accumulators of its chain; `chains` chains advance in turn. Returns the accumulators, chain by chain.
  using ColumnBody = std::function<llvm::SmallVector<mlir::Value>(const Index &, mlir::Value mask, llvm::ArrayRef<mlir::Value>)>;
  llvm::SmallVector<llvm::SmallVector<mlir::Value>> columns(mlir::Value from, mlir::Value to, int chains,
                                                            llvm::ArrayRef<mlir::Value> init, ColumnBody body);

  // --- sizes and indices
  mlir::Value size(const DimExpr &expr);
  mlir::Value constant(int64_t v);
  Index at(mlir::Value base) { return {base, 0, nullptr, 1}; }
  Index at(int64_t base) { return at(constant(base)); }
  mlir::Value add(mlir::Value x, mlir::Value y);
  mlir::Value mul(mlir::Value x, mlir::Value y);
  mlir::Value div(mlir::Value x, mlir::Value y);  ///< y may be 0: the result is then unspecified
  mlir::Value rem(mlir::Value x, mlir::Value y);
  mlir::Value tailMask(mlir::Value count);        ///< lanes below count
  int64_t lanes() const { return k.target.lanes; }

private:
  using Key = std::vector<uint64_t>;
  struct Memory {
    mlir::Value pointer;
    Shape strides;
    mlir::Type element;
  };
  /// A place where code can go: the block that is being filled, or a block around it, just before `anchor`.
  struct Level {
    mlir::Operation *anchor = nullptr;
    bool barrier = false;   ///< a branch: code inside must not move out
    std::map<Key, mlir::Value> cache;
    std::map<Key, int> buffers;   ///< row buffers that are filled here
  };

  // --- ElementEmitter.cpp
  bool available(mlir::Value v, const Level &level) const;
  size_t levelOf(llvm::ArrayRef<mlir::Value> needs) const;
  void hoist(size_t level, llvm::function_ref<void()> emit);
  mlir::Value hoisted(llvm::ArrayRef<mlir::Value> needs, llvm::function_ref<mlir::Value()> emit);
  mlir::Value cached(const Key &key, llvm::ArrayRef<mlir::Value> needs, llvm::function_ref<mlir::Value()> emit);
  Key keyOf(const void *what, int kind, const Point &point, mlir::Value mask) const;
  static llvm::SmallVector<mlir::Value> needsOf(const Point &point, mlir::Value mask);
  mlir::Value conditional(mlir::Value condition, mlir::Type type, llvm::function_ref<mlir::Value()> then,
                          llvm::function_ref<mlir::Value()> otherwise);
  Point broadcast(const Shape &to, const Shape &from, const Point &point);
  mlir::Value emitValue(mlir::Value v, const Point &point, mlir::Value mask);
  mlir::Value load(const Memory &memory, const Point &point, mlir::Value mask);
  Memory memoryOf(mlir::BlockArgument argument);
  std::pair<mlir::Value, Index> address(const Memory &memory, const Point &point);
  mlir::Value laneVector(const Index &index);
  mlir::Value valueOfIndex(const Index &index, mlir::Type storage);
  Index plus(const Index &x, const Index &y);
  Index times(const Index &x, const DimExpr &factor);
  std::pair<Index, Index> split(const Index &x, const DimExpr &size);
  static bool isUniform(const Point &point);
  mlir::Value globalArray(mlir::DenseElementsAttr values);

  // --- ElementEmitterMovement.cpp
  mlir::Value constantAt(ConstantOp op, const Point &point, mlir::Value mask);
  mlir::Value concatAt(ConcatOp op, const Point &point, mlir::Value mask);
  mlir::Value reshapeAt(ReshapeOp op, const Point &point, mlir::Value mask);
  mlir::Value sliceAt(SliceOp op, const Point &point, mlir::Value mask);
  mlir::Value positionsAt(PositionsOp op, const Point &point, mlir::Value mask);
  mlir::Value embeddingAt(EmbeddingOp op, const Point &point, mlir::Value mask);
  mlir::Value gatherAt(GatherOp op, const Point &point, mlir::Value mask);
  mlir::Value lossScale(LossScaleOp op);
  mlir::Value dropoutAt(DropoutOp op, const Point &point, mlir::Value mask);
  Index checkedIndex(mlir::Operation *op, mlir::Value indices, const Point &point, const DimExpr &size, mlir::Value mask);

  // --- ElementEmitterPositions.cpp
  mlir::Value sinusoidAt(SinusoidOp op, const Point &point, mlir::Value mask);
  mlir::Value ropeAt(RopeOp op, const Point &point, mlir::Value mask);
  mlir::Value ropeTable(RopeOp op, const Point &position, mlir::Value mask);
  mlir::Value ropePartner(RopeOp op, const Index &inHead, const Point &point, mlir::Value mask);
  mlir::Value ropeAnywhere(RopeOp op, const Point &position, const Point &point, mlir::Value mask);
  mlir::Value hoistedGlobal(mlir::Operation *op, int kind, mlir::DenseElementsAttr values);
  mlir::Value fraction(mlir::Value position, mlir::Value high, mlir::Value low, mlir::Value phase);

  // --- ElementEmitterReductions.cpp
  struct Reduction {
    llvm::SmallVector<mlir::TypedAttr> init;   ///< scalars
    /// New accumulators; `element` calls of masked lanes are undone by the driver.
    std::function<llvm::SmallVector<mlir::Value>(const Point &, mlir::Value mask, llvm::ArrayRef<mlir::Value>)> step;
    std::function<llvm::SmallVector<mlir::Value>(llvm::ArrayRef<mlir::Value>, llvm::ArrayRef<mlir::Value>)> merge;
  };
  /// Runs over `axes` of a tensor of shape `shape`; `point` gives the other axes' indices.
  llvm::SmallVector<mlir::Value> reduce(const Shape &shape, llvm::ArrayRef<int64_t> axes, Point point, mlir::Value mask,
                                        const Reduction &reduction);
  llvm::SmallVector<mlir::Value> reduceNest(const Shape &shape, llvm::ArrayRef<int64_t> axes, int laneAxis, Point &point,
                                            mlir::Value mask, llvm::ArrayRef<mlir::Value> accumulators, const Reduction &reduction);
  mlir::Value rowValue(mlir::Operation *op, const Point &point, mlir::Value mask);
  mlir::Value alongAxis(mlir::Operation *op, int64_t axis, const Point &point, mlir::Value mask);
  mlir::Value reductionAt(mlir::Operation *op, llvm::ArrayRef<int64_t> axes, bool keepdim, const Point &point, mlir::Value mask);
  mlir::Value argmaxAt(ArgmaxOp op, const Point &point, mlir::Value mask);
  mlir::Value poolAt(mlir::Operation *op, const Point &point, mlir::Value mask);
  enum Statistic { sumOf, maxOf, minOf, squaresOf, deviationOf, exponentialsOf };
  mlir::Value statistic(Statistic kind, mlir::Operation *op, mlir::Value x, llvm::ArrayRef<int64_t> axes, const Point &point,
                        mlir::Value mask, mlir::Value center = nullptr);
  mlir::Value softmaxElement(mlir::Operation *op, mlir::Value x, mlir::Value maximum, const Point &point, mlir::Value mask);
  mlir::Value meanOf(mlir::Operation *op, mlir::Value x, llvm::ArrayRef<int64_t> axes, const Point &point, mlir::Value mask);
  mlir::Value divideByCount(mlir::Value sum, const Shape &shape, llvm::ArrayRef<int64_t> axes, int64_t less);
  /// Row buffer of `v` for the row that `point` lies in: its address if it is filled, null otherwise.
  mlir::Value filledBuffer(mlir::Value v, int kind, const Point &point);
  mlir::Value bufferPointer(int number);
  /// From here on, in the innermost level, the buffer holds the row.
  void markFilled(mlir::Value v, int kind, const Point &point, int number);

  KernelBuilder &k;
  const RowKernelSpec &spec;
  const RowPlan &plan;
  std::vector<Level> levels;
  std::map<std::string, mlir::Value> sizes;
  std::map<int64_t, mlir::Value> constants;
  std::map<int64_t, mlir::Value> tailMasks;
  llvm::DenseMap<mlir::Operation *, std::unique_ptr<DropoutMask>> dropouts;
  llvm::SmallDenseSet<int> claimed;   ///< buffers in use: each holds rows of one place in the code
  int globals = 0;
};

} // namespace weft

#endif // WEFT_TILING_ELEMENTEMITTER_H
