// One kernel launch: which kernel, what stands in each slot of its argument table, how much work it is.
// Kernels are chosen first, for all ops of a planned entry; BuildEntry then writes their bodies and the calls.
#ifndef WEFT_ENTRY_LAUNCH_H
#define WEFT_ENTRY_LAUNCH_H

#include "entry/ViewTable.h"
#include "memory/EntryPlan.h"
#include "tiling/AttentionKernel.h"
#include "tiling/KernelBuilder.h"

#include <set>

namespace weft {

/// What a slot holds. Pointers are `base + offset` (offset in bytes, an expression of dims and repeat indices).
struct Slot {
  enum class Kind {
    size,          ///< i64 `offset`
    buffer,        ///< memory of a value: buffer number in the entry's plan
    view,          ///< packed parameter: number of the first round's view, rounds chosen by `indices`
    cacheKeys,     ///< weft_cache `number`: keys of layer `layer`
    cacheValues,
    cacheLengths,
    valid,
    fault,
    random         ///< address of weft_exec.seed, step, first_sample
  };
  Kind kind = Kind::size;
  int number = 0;
  DimExpr offset, layer;
  llvm::SmallVector<mlir::Value> indices;
  int64_t layerBytes = 0;  ///< cache: bytes of one sequence of one layer's keys

  bool operator==(const Slot &other) const {
    return kind == other.kind && number == other.number && offset == other.offset && layer == other.layer && indices == other.indices;
  }
};

/// The argument table under construction. Equal slots are one.
class SlotTable {
public:
  int add(const Slot &slot);
  int sizeSlot(const DimExpr &value) { return add({Slot::Kind::size, 0, value, {}, {}, 0}); }
  /// A constant, or a slot that holds the value.
  Size size(const DimExpr &value) {
    std::optional<int64_t> constant = value.constant();
    return constant ? Size::constant(*constant) : Size::dynamic(sizeSlot(value));
  }
  std::vector<Slot> slots;
};

/// A kernel that a launch asks for. Nothing of its body exists before `write` is called.
struct KernelChoice {
  std::string key;             ///< equal keys are one kernel
  std::string family;          ///< begins its symbol's name
  std::function<EmittedKernel(mlir::ModuleOp, llvm::StringRef name)> write;
};

struct Launch {
  KernelChoice kernel;
  std::vector<Slot> slots;
  DimExpr flops, bytes;
  std::string kind, tiles;
  mlir::Operation *op = nullptr;
  ChunksOp before;             ///< runs once before this loop, not in its place inside
  DimExpr scratch;             ///< bytes of scratch per thread beyond EmittedKernel::scratchBytes
};

using Launches = std::vector<Launch>;

/// Kernels of one variant, each written once however many launches use it.
class KernelCache {
public:
  /// The body in `module`, named PREFIX.FAMILY.NUMBER; the reference stays good.
  const EmittedKernel &written(const KernelChoice &kernel, mlir::ModuleOp module, llvm::StringRef prefix);
  /// Numbers the ops of fused regions that use computed indices, by what these choose from (weft_site_desc).
  int site(mlir::Operation *op);
  struct Site {
    std::string table;
    mlir::Location loc;        ///< of the first such op
  };
  std::vector<Site> sites;

private:
  std::map<std::string, EmittedKernel> kernels;
  llvm::DenseMap<mlir::Operation *, int> siteOf;
};

/// The launches of an entry's kernel ops.
using ChosenLaunches = llvm::DenseMap<mlir::Operation *, Launches>;

/// Why an op of an entry has no kernel: a sentence for the user.
struct NoKernel {
  mlir::Operation *op = nullptr;
  std::string why;
};

/// Chooses all of an entry's kernels and writes none. `target` and `cache` must outlive the choices.
mlir::FailureOr<ChosenLaunches> chooseKernels(const EntryPlan &plan, const TargetInfo &target, ViewTable &views, KernelCache &cache,
                                              NoKernel &missing);

class LaunchBuilder {
public:
  LaunchBuilder(const TargetInfo &target, const EntryPlan &plan, ViewTable &views, KernelCache &cache)
      : target(target), plan(plan), views(views), cache(cache) {}

  /// The launches that compute `op`, in order. On failure `error` says why in a sentence for the user.
  mlir::FailureOr<Launches> build(mlir::Operation *op, std::string &error);

private:
  mlir::FailureOr<Launches> contract(ContractOp op, std::string &error);
  mlir::FailureOr<Launches> attention(AttentionOp op, std::string &error);
  mlir::FailureOr<Launches> attentionGrad(AttentionGradOp op, std::string &error);
  mlir::FailureOr<Launches> lastToken(LastTokenOp op, std::string &error);
  mlir::FailureOr<Launches> scatter(mlir::Operation *op, std::string &error);
  mlir::FailureOr<Launches> fused(FusedOp op, std::string &error);

  /// The slot with the address of element `offset` of a root's memory.
  int pointer(SlotTable &table, mlir::Value root, const DimExpr &offset, int64_t elementBytes);
  int bufferPointer(SlotTable &table, int buffer);
  /// Slot and strides (in elements) of an operand: a view of memory, or pieces of parameters.
  struct Operand {
    int pointer;
    Shape strides;
    mlir::Type element;
  };
  std::optional<Operand> operand(SlotTable &table, mlir::Value value);
  /// The right side of a product: panels (a packed parameter, or packed by a launch before), or what the product packs itself.
  struct RightSide {
    int panels = -1;
    std::optional<Operand> source;
    ElementType type = ElementType::F32;  ///< of the panels
    Shape strides;                        ///< of panels or source, over the batch axes of the product
  };
  mlir::FailureOr<RightSide> rightSide(ContractOp op, SlotTable &table, Launches &before, std::string &error);
  /// Packs `b` of shape [batch…, k, n] into panels in `buffer`; fills right.strides, over the batch axes of `b`.
  mlir::FailureOr<Launch> packRight(ContractOp op, const Operand &b, Shape shape, SlotTable &table, int buffer, RightSide &right, std::string &error);
  /// [B, T, heads · size], with features next to each other.
  std::optional<HeadOperand> headOperand(SlotTable &table, mlir::Value value, int64_t size);
  /// A mask or bias over (b, h, i, j), aligned from the right; none without a value.
  std::optional<ScoreOperand> scoreOperand(SlotTable &table, mlir::Value value);
  /// What an attention and its gradient have in common: sizes, q, attributes, and with `keys` k, v, bias and masks.
  template <typename Op> mlir::LogicalResult attentionSpec(Op op, SlotTable &table, bool keys, AttentionSpec &spec, std::string &error);
  static Slot stateLengths(mlir::Operation *op, llvm::StringRef state);

  const TargetInfo &target;
  const EntryPlan &plan;
  ViewTable &views;
  KernelCache &cache;
};

/// How kernels of products and attention see a tensor's elements.
ElementType elementType(mlir::Type type);

/// A text that is equal for two regions exactly when they compute the same from the same kinds of operands. `typeText`
/// says what of a type counts.
std::string structuralKey(mlir::Block &block, llvm::function_ref<std::string(mlir::Type)> typeText);
/// The whole type counts.
std::string structuralKey(mlir::Block &block);
/// The same for slots-independent parts: sizes as constants or slot numbers.
std::string keyOf(const Size &size);
std::string keyOf(const HeadOperand &operand);
std::string keyOf(const ScoreOperand &operand);
std::string keyOf(const AttentionSpec &spec);

}  // namespace weft

#endif  // WEFT_ENTRY_LAUNCH_H
