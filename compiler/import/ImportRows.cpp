// Reductions, softmax and pooling.
// Axes are normalised by the reader; without any, a reduction takes all.
#include "import/ImportNode.h"

using namespace mlir;

namespace weft {

Values EntryImporter::rows(const NodeCall &c) {
  StringRef op = c.op();
  Value x = c.x();
  Location loc = c.loc;
  std::vector<int64_t> written = c.attrs.integers("axis");
  SmallVector<int64_t> axes(written.begin(), written.end());
  if (!c.attrs.has("axis") && x)
    axes = llvm::to_vector(llvm::seq<int64_t>(0, cast<RankedTensorType>(x.getType()).getRank()));
  bool keepdim = c.attrs.flag("keepdim");
  if (op == "sum")
    return {ReduceSumOp::create(b, loc, x, axes, keepdim)};
  if (op == "mean")
    return {ReduceMeanOp::create(b, loc, x, axes, keepdim)};
  if (op == "max")
    return {ReduceMaxOp::create(b, loc, x, axes, keepdim)};
  if (op == "min")
    return {ReduceMinOp::create(b, loc, x, axes, keepdim)};
  if (op == "var")
    return {VarOp::create(b, loc, x, axes, keepdim, c.attrs.flag("unbiased"))};
  if (op == "argmax")
    return {ArgmaxOp::create(b, loc, x, axes.back(), keepdim)};
  if (op == "softmax")
    return {SoftmaxOp::create(b, loc, x.getType(), x, axes.back())};
  if (op == "log_softmax")
    return {LogSoftmaxOp::create(b, loc, x.getType(), x, axes.back())};
  if (op == "mean_pool" || op == "max_pool") {
    // The dialect pools axis 1.
    Value mask = c.operand(1);
    if (axes.back() == 0) {
      x = TransposeOp::create(b, loc, x, {1, 0, 2});
      mask = mask ? TransposeOp::create(b, loc, mask, {1, 0}).getResult() : mask;
    }
    if (op == "mean_pool")
      return {MeanPoolOp::create(b, loc, x, mask)};
    return {MaxPoolOp::create(b, loc, x, mask)};
  }
  return {};
}

}  // namespace weft
