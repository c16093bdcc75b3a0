// Language models: the logits of all rows at once are the largest value of a training step, and only the loss reads them.
// Forward and backward pass of the last product and the loss become one loop over chunks of rows.
#include "Passes.h"
#include "fusion/LossArithmetic.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;

namespace weft {

#define GEN_PASS_DEF_CHUNKCROSSENTROPYPASS
#include "Passes.h.inc"

namespace {

/// A chunk's logits take about this much: they pass through the outer caches a few times.
constexpr int64_t kChunkBytes = int64_t(16) << 20;
/// Each chunk reads and writes the whole gradient of the weight: with fewer rows that would take as long as the products.
constexpr int64_t kMinRows = 128;
/// More classes than rows of a chunk make a difference; below, logits are no larger than other activations.
constexpr int64_t kMinClasses = 512;

/// What reads dlogits: `op` sums over its rows, or makes a row from each row.
struct Reader {
  enum class Kind { rows, product, sum } kind;
  Operation *op;
  unsigned operand = 0;  ///< product: which operand dlogits is
};

class Chunking {
public:
  explicit Chunking(CrossEntropyOp loss) : loss(loss), block(loss->getBlock()) {}

  bool run() {
    if (!matchForward() || !matchUsers() || !matchReaders() || !matchPlace())
      return false;
    for (Operation *op : hoisted)
      op->moveBefore(place);
    rewrite();
    return true;
  }

private:
  /// A reshape that keeps the classes apart.
  static ReshapeOp rowReshape(Operation *op) {
    auto reshape = dyn_cast_or_null<ReshapeOp>(op);
    if (!reshape || shapeOf(reshape.getX()).empty() || shapeOf(reshape.getY()).empty() ||
        shapeOf(reshape.getX()).back() != shapeOf(reshape.getY()).back())
      return {};
    return reshape;
  }

  /// logits = reshape(x w + bias): the ops from the product to the loss.
  bool matchForward() {
    if (loss.getReduction() == "none" || !elementOf(loss.getLogits()).isF32())
      return false;
    Value v = loss.getLogits();
    while (ReshapeOp reshape = rowReshape(v.getDefiningOp())) {
      chain.push_back(reshape);
      v = reshape.getX();
    }
    if (auto add = v.getDefiningOp<AddOp>()) {
      unsigned sum = add->getOperand(0).getDefiningOp<MatmulOp>() ? 0 : 1;
      bias = add->getOperand(1 - sum);
      chain.push_back(add);
      v = add->getOperand(sum);
    }
    product = v.getDefiningOp<MatmulOp>();
    if (!product || product.getTransposeA() || shapeOf(product.getB()).size() != 2)
      return false;
    chain.push_back(product);
    std::optional<int64_t> k = shapeOf(product.getY()).back().constant();
    if (!k || *k < kMinClasses || (bias && shapeOf(bias) != Shape{DimExpr(*k)}))
      return false;
    classes = *k;
    size = std::max(kMinRows, kChunkBytes / (classes * 4));
    total = elementCount(shapeOf(loss.getLabels()));
    return !total.constant() || *total.constant() > size;
  }

  /// Nobody else sees the logits; one op makes their gradient.
  bool matchUsers() {
    for (Operation *op : chain)
      for (Operation *user : op->getResult(0).getUsers()) {
        if (user->getBlock() != block)
          return false;
        if (user == loss || llvm::is_contained(chain, user))
          continue;
        auto other = dyn_cast<CrossEntropyGradOp>(user);
        if (!other || (grad && grad != other))
          return false;
        grad = other;
      }
    return !grad || (grad.getLogits() == loss.getLogits() && grad.getLabels() == loss.getLabels() &&
                     grad.getClassWeights() == loss.getClassWeights() && grad.getIgnoreIndex() == loss.getIgnoreIndex() &&
                     grad.getLabelSmoothing() == loss.getLabelSmoothing() && grad.getReduction() == loss.getReduction());
  }

  bool matchReaders() {
    if (grad)
      forms.push_back(grad.getDlogits());
    for (size_t i = 0; i < forms.size(); ++i)
      for (OpOperand &use : forms[i].getUses()) {
        Operation *op = use.getOwner();
        if (op->getBlock() != block)
          return false;
        if (ReshapeOp reshape = rowReshape(op))
          forms.push_back(reshape.getY());
        else if (auto cast = dyn_cast<CastOp>(op); cast && isHalf(elementOf(cast.getY())))
          forms.push_back(cast.getY());
        else if (std::optional<Reader> reader = readerOf(use))
          readers.push_back(*reader);
        else
          return false;
      }
    llvm::sort(readers, [](const Reader &x, const Reader &y) { return x.op->isBeforeInBlock(y.op); });
    return true;
  }

  std::optional<Reader> readerOf(OpOperand &use) {
    Operation *op = use.getOwner();
    int64_t rank = typeOf(use.get()).getRank();
    if (auto sum = dyn_cast<ReduceSumOp>(op)) {
      bool overRows = !sum.getKeepdim() && llvm::equal(sum.getAxes(), llvm::seq<int64_t>(0, rank - 1));
      return overRows ? std::optional<Reader>({Reader::Kind::sum, op, 0}) : std::nullopt;
    }
    auto matmul = dyn_cast<MatmulOp>(op);
    unsigned number = use.getOperandNumber();
    if (!matmul || llvm::is_contained(forms, op->getOperand(1 - number)))
      return std::nullopt;
    if (number == 0 && !matmul.getTransposeA() && shapeOf(matmul.getB()).size() == 2)
      return Reader{Reader::Kind::rows, op, 0};
    if (rank == 2 && typeOf(op->getOperand(1 - number)).getRank() == 2 && matmul.getTransposeA() && !matmul.getTransposeB())
      return Reader{Reader::Kind::product, op, number};
    return std::nullopt;
  }

  /// The loop stands before whatever reads its results; what it reads must be there, or can move there.
  bool matchPlace() {
    auto earlier = [&](Operation *op) {
      for (Operation *user : op->getResult(0).getUsers()) {
        Operation *here = block->findAncestorOpInBlock(*user);
        if (!place || here->isBeforeInBlock(place))
          place = here;
      }
    };
    earlier(loss);
    for (const Reader &reader : readers)
      earlier(reader.op);
    if (!place)
      return false;
    SmallVector<Value> read{product.getA(), product.getB(), loss.getLabels()};
    if (bias)
      read.push_back(bias);
    if (loss.getClassWeights())
      read.push_back(loss.getClassWeights());
    if (grad)
      read.push_back(grad.getDloss());
    for (const Reader &reader : readers)
      if (reader.kind != Reader::Kind::sum)
        read.push_back(reader.op->getOperand(1 - reader.operand));
    return llvm::all_of(read, [&](Value v) { return canMove(v); });
  }

  bool canMove(Value v) {
    Operation *op = v.getDefiningOp();
    if (!op || op->getBlock() != block || op->isBeforeInBlock(place) || llvm::is_contained(hoisted, op))
      return !op || (op != loss && op != grad && !llvm::is_contained(chain, op));
    bool depends = op == loss || op == grad || llvm::any_of(readers, [&](const Reader &reader) { return reader.op == op; });
    if (depends || op->getNumRegions() || !isMemoryEffectFree(op) || !llvm::all_of(op->getOperands(), [&](Value operand) { return canMove(operand); }))
      return false;
    hoisted.push_back(op);
    return true;
  }

  void rewrite() {
    OpBuilder b(place);
    Location loc = b.getFusedLoc({product.getLoc(), loss.getLoc()});
    LossArithmetic m(b, loss);
    Value count = loss.getReduction() == "mean" ? totalWeight(m, b, loss) : Value();
    Value scale = grad ? grad.getDloss() : Value();
    if (scale && count)
      scale = m.where(GreaterOp::create(b, loc, count, m.number(0)), DivOp::create(b, loc, scale, count), m.number(0));

    auto zeros = [&](Type type) {
      auto tensor = cast<RankedTensorType>(type);
      return tensor.getRank() ? Value(ExpandOp::create(b, loc, tensor, m.number(0))) : m.number(0);
    };
    SmallVector<Value> init{m.number(0)};
    rows.push_back(reshapeTo(b, loc, loss.getLabels(), {total}));
    const size_t x = rowsOf(b, loc, product.getA());
    SmallVector<Type> rowResults;
    for (const Reader &reader : readers) {
      if (reader.kind == Reader::Kind::rows)
        rowResults.push_back(tensorType({total, shapeOf(reader.op->getResult(0)).back()}, elementOf(reader.op->getResult(0))));
      else
        init.push_back(zeros(reader.op->getResult(0).getType()));
      if (reader.kind == Reader::Kind::product)
        factors.push_back(rowsOf(b, loc, reader.op->getOperand(1 - reader.operand)));
    }
    auto chunks = ChunksOp::create(b, loc, size, "chunk", init, rows, rowResults);
    writeBody(chunks, x, scale);

    Value sum = chunks.getResult(0);
    loss.getLoss().replaceAllUsesWith(count ? m.quotient(sum, count) : sum);
    size_t nextSum = 1, nextRows = init.size();
    for (const Reader &reader : readers) {
      Value before = reader.op->getResult(0);
      Value after = chunks.getResult(reader.kind == Reader::Kind::rows ? nextRows++ : nextSum++);
      before.replaceAllUsesWith(reshapeTo(b, reader.op->getLoc(), after, shapeOf(before)));
    }
    for (const Reader &reader : readers)
      reader.op->erase();
  }

  /// The number in `rows` of `v` with one axis of rows; one for all reshapes of one value.
  size_t rowsOf(OpBuilder &b, Location loc, Value v) {
    while (ReshapeOp reshape = rowReshape(v.getDefiningOp()))
      v = reshape.getX();
    auto [known, isNew] = numberOf.try_emplace(v, rows.size());
    if (isNew)
      rows.push_back(reshapeTo(b, loc, v, {total, shapeOf(v).back()}));
    return known->second;
  }

  void writeBody(ChunksOp chunks, size_t x, Value scale) {
    OpBuilder b = OpBuilder::atBlockEnd(&chunks.getBody().front());
    ValueRange parts = chunks.getParts(), carried = chunks.getCarried();
    Value z = MatmulOp::create(b, product.getLoc(), parts[x], product.getB(), false, product.getTransposeB(), product.getWide());
    if (bias)
      z = AddOp::create(b, product.getLoc(), z, bias);
    Value classWeights = loss.getClassWeights();
    Value losses = CrossEntropyOp::create(b, loss.getLoc(), z, parts[0], classWeights, loss.getIgnoreIndex(), loss.getLabelSmoothing(), "sum");
    SmallVector<Value> sums{AddOp::create(b, loss.getLoc(), carried[0], losses)}, results;
    Value dz;
    if (grad)
      dz = CrossEntropyGradOp::create(b, grad.getLoc(), z.getType(), z, parts[0], scale, classWeights, grad.getIgnoreIndex(),
                                      grad.getLabelSmoothing(), "sum");
    // Products of half precision read dz rounded to it.
    Value rounded;
    auto dzFor = [&](MatmulOp matmul) {
      Type element = elementOf(matmul.getA());
      if (element != elementOf(dz) && !rounded)
        rounded = CastOp::create(b, grad.getLoc(), tensorType(shapeOf(dz), element), dz);
      return element == elementOf(dz) ? dz : rounded;
    };
    size_t nextFactor = 0;
    for (const Reader &reader : readers) {
      Location loc = reader.op->getLoc();
      if (reader.kind == Reader::Kind::rows) {
        auto matmul = cast<MatmulOp>(reader.op);
        results.push_back(MatmulOp::create(b, loc, dzFor(matmul), matmul.getB(), false, matmul.getTransposeB(), matmul.getWide()));
        continue;
      }
      Value term;
      if (reader.kind == Reader::Kind::sum) {
        term = ReduceSumOp::create(b, loc, dz, ArrayRef<int64_t>{0}, false);
      } else {
        auto matmul = cast<MatmulOp>(reader.op);
        Value operands[2] = {dzFor(matmul), parts[factors[nextFactor++]]};
        if (reader.operand == 1)
          std::swap(operands[0], operands[1]);
        term = MatmulOp::create(b, loc, operands[0], operands[1], true, false, matmul.getWide());
      }
      sums.push_back(AddOp::create(b, loc, term, carried[sums.size()]));
    }
    llvm::append_range(sums, results);
    YieldOp::create(b, loss.getLoc(), sums);
  }

  CrossEntropyOp loss;
  Block *block;
  SmallVector<Operation *> chain, hoisted;  ///< from the logits up to the product; what moves before the loop, in order
  MatmulOp product;
  Value bias;
  CrossEntropyGradOp grad;
  SmallVector<Value> forms;  ///< dlogits, its reshapes, and what it is rounded to
  SmallVector<Reader> readers;
  Operation *place = nullptr;
  int64_t classes = 0, size = 0;
  DimExpr total;
  SmallVector<Value> rows;                  ///< what is cut: the labels first
  llvm::DenseMap<Value, size_t> numberOf;   ///< in `rows`
  SmallVector<size_t> factors;              ///< of the products that sum over rows, in `rows`
};

struct ChunkCrossEntropyPass : impl::ChunkCrossEntropyPassBase<ChunkCrossEntropyPass> {
  void runOnOperation() override {
    SmallVector<CrossEntropyOp> losses;
    getOperation()->walk([&](CrossEntropyOp op) { losses.push_back(op); });
    for (CrossEntropyOp loss : losses)
      Chunking(loss).run();
  }
};

} // namespace
} // namespace weft
