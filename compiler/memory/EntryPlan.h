// Where every value of an entry lives: arena buffers with closed offsets, the caller's inputs and outputs, parameters.
// Made by planEntry from an entry function after LowerToKernels; read by tiling and by the reports.
#ifndef WEFT_MEMORY_ENTRYPLAN_H
#define WEFT_MEMORY_ENTRYPLAN_H

#include "dialect/Weft.h"
#include "memory/ArenaPlan.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <map>
#include <string>
#include <vector>

namespace weft {

/// Memory that holds one value, or several one after the other.
struct Buffer {
  enum class Place { arena, input, output, parameter, kept };
  Place place = Place::arena;
  int index = 0;         ///< arena: number of its offset; input, output: number of the argument or result; kept: of the KeptOp
  llvm::SmallVector<mlir::Value> rounds;  ///< kept: the repeat rounds that choose the place, outermost first
  DimExpr bytes;         ///< arena only
  int first = 0, last = 0;  ///< positions of the launches between which it is live, both included
  std::string node;      ///< path of the node whose value it holds first
};

/// Memory that one launch needs besides its operands and results.
enum class Temp { packedRhs, statistics };

struct EntryPlan {
  mlir::func::FuncOp func;
  int64_t panel = 0;     ///< columns of a packed panel that packed activations have room for
  std::vector<Buffer> buffers;
  llvm::DenseMap<mlir::Value, int> bufferOf;                     ///< by root value (see View::root)
  /// Bytes from the buffer's start at which a root lies, over the repeats' indices; 0 if it is not here.
  llvm::DenseMap<mlir::Value, DimExpr> offsetOf;
  std::map<std::pair<mlir::Operation *, Temp>, int> temps;
  /// (yielded, carried) roots that no kernel could bring into one buffer: copied at the end of each round.
  llvm::DenseMap<mlir::Operation *, llvm::SmallVector<std::pair<mlir::Value, mlir::Value>>> closing;
  std::vector<int> arena;                                        ///< buffer numbers, by arena index
  ArenaPlan arenaPlan;
};

/// Plans the memory of one entry. `hints` are the sizes for which the packing is made; it is valid for all others.
/// `panel` is the widest packed panel of all variants (TileSizes); it sizes the packed form of an activation.
EntryPlan planEntry(mlir::func::FuncOp func, const std::map<std::string, int64_t> &hints, int64_t panel);

/// Bytes of the packed form of a [.., k, n] matrix: each matrix of the batch takes k * (n + panel) elements, an upper
/// bound of ceil(n / panel) * panel that is a closed expression.
DimExpr packedElements(const DimExpr &k, const DimExpr &n, int64_t panel);

}  // namespace weft

#endif  // WEFT_MEMORY_ENTRYPLAN_H
