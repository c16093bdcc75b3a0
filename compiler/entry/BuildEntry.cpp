// Walks a planned entry and writes its calls. Field offsets come from abi.h itself, so object and runtime can't disagree.
// A launch runs on the calling thread alone when it is too small to share.
#include "entry/BuildEntry.h"

#include "tiling/EmitDimExpr.h"
#include "tiling/SizeMath.h"

#include "weft/abi.h"

#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"

#include <cstddef>

using namespace mlir;

namespace weft {
namespace {

/// Below this much work (multiply-adds, and bytes times kByteWork) waking another thread costs more than it saves: about
/// 10 µs of one core.
constexpr int64_t kParallelWork = 1'000'000;
constexpr int64_t kByteWork = 8;

/// A function with more launches goes on in another: code generation takes more than proportional time for a long one.
constexpr int kLaunchesOfFunction = 200;

class EntryBuilder {
public:
  EntryBuilder(const EntryPlan &plan, const ChosenLaunches &chosen, ModuleOp module, KernelCache &cache, ArrayRef<std::string> dims, StringRef prefix)
      : plan(plan), entry(plan.func), module(module), b(module.getContext()), loc(module.getLoc()), dims(dims), prefix(prefix), chosen(chosen),
        cache(cache), ptr(LLVM::LLVMPointerType::get(module.getContext())), i64(b.getI64Type()) {}

  BuiltEntry build() {
    std::string name = prefix + "." + entry.getName().str();
    built = {name, name + ".plan", name + ".shapes", {}};
    begin(name);
    block(entry.getBody().front());
    func::ReturnOp::create(b, loc);
    // One table serves all launches of a function: it is as long as the longest needs.
    size_t slots = 64;
    for (const BuiltLaunch &made : built.launches)
      slots = std::max(slots, made.launch.slots.size());
    for (arith::ConstantIntOp length : tableLengths)
      length.setValueAttr(b.getI64IntegerAttr(slots));
    writePlan();
    writeShapes();
    return built;
  }

private:
  func::FuncOp function(StringRef name, ArrayRef<Type> arguments) {
    b.setInsertionPointToEnd(module.getBody());
    loc = entry.getLoc();
    auto func = func::FuncOp::create(b, loc, name, b.getFunctionType(arguments, {}));
    b.setInsertionPointToStart(func.addEntryBlock());
    return func;
  }

  /// Starts a function that computes (a part of) the entry.
  void begin(StringRef name) {
    exec = function(name, {ptr}).getArgument(0);
    loadFields();
    tableLengths.push_back(arith::ConstantIntOp::create(b, loc, 1, 64));
    args = LLVM::AllocaOp::create(b, loc, ptr, i64, tableLengths.back(), 8);
    launchesHere = 0;
  }

  /// Ends a long function with a call of the next.
  void goOn() {
    std::string next = built.run + ".part" + std::to_string(tableLengths.size());
    func::CallOp::create(b, loc, next, TypeRange(), ValueRange{exec});
    func::ReturnOp::create(b, loc);
    begin(next);
  }

  // ---- small IR

  Value constant(int64_t v) { return arith::ConstantIntOp::create(b, loc, i64, v); }
  Value at(Value base, int64_t bytes) {
    return bytes ? Value(LLVM::GEPOp::create(b, loc, ptr, b.getI8Type(), base, ArrayRef<LLVM::GEPArg>{int32_t(bytes)})) : base;
  }
  Value atDynamic(Value base, Value bytes) { return LLVM::GEPOp::create(b, loc, ptr, b.getI8Type(), base, ArrayRef<LLVM::GEPArg>{bytes}); }
  Value loadPtr(Value address) { return LLVM::LoadOp::create(b, loc, ptr, address); }
  Value loadI64(Value address) { return LLVM::LoadOp::create(b, loc, i64, address); }
  void store(Value value, Value address) { LLVM::StoreOp::create(b, loc, value, address); }
  Value mul(Value x, Value y) { return arith::MulIOp::create(b, loc, x, y); }
  Value add(Value x, Value y) { return arith::AddIOp::create(b, loc, x, y); }

  Value evaluate(const DimExpr &expr) {
    return emitDimExpr(b, loc, expr, [&](StringRef name) { return sizes.lookup(name); });
  }

  void loadFields() {
    auto field = [&](size_t offset) { return loadPtr(at(exec, offset)); };
    Value table = field(offsetof(weft_exec, dims));
    for (auto [i, name] : llvm::enumerate(dims))
      sizes[name] = loadI64(at(table, i * 8));
    arena = field(offsetof(weft_exec, arena));
    offsets = field(offsetof(weft_exec, offsets));
    inputs = field(offsetof(weft_exec, inputs));
    outputs = field(offsetof(weft_exec, outputs));
    kept = field(offsetof(weft_exec, kept));
    views = field(offsetof(weft_exec, views));
    caches = field(offsetof(weft_exec, caches));
    valid = field(offsetof(weft_exec, valid));
    scratch = field(offsetof(weft_exec, scratch));
    parallelFor = field(offsetof(weft_exec, parallel_for));
    threads = loadI64(at(exec, offsetof(weft_exec, threads)));
  }

  // ---- the walk

  void block(Block &block) {
    for (Operation &op : block) {
      if (launchesHere >= kLaunchesOfFunction && isa<func::FuncOp>(block.getParentOp()))
        goOn();
      if (auto repeat = dyn_cast<RepeatOp>(op)) {
        this->repeat(repeat);
      } else if (auto chunks = dyn_cast<ChunksOp>(op)) {
        this->chunks(chunks);
      } else if (isKernel(&op)) {
        loc = op.getLoc();
        for (Launch launch : chosen.at(&op)) {
          const EmittedKernel &kernel = cache.written(launch.kernel, module, prefix);
          if (launch.before) {
            OpBuilder::InsertionGuard guard(b);
            b.setInsertionPoint(loopOf.lookup(launch.before));
            call(launch, kernel);
          } else {
            call(launch, kernel);
          }
          if (auto chunks = dyn_cast<ChunksOp>(op.getParentOp())) {
            launch.flops = chunks.overAllChunks(launch.flops);
            launch.bytes = chunks.overAllChunks(launch.bytes);
            launch.scratch = chunks.overLargestChunk(launch.scratch);
          }
          built.launches.push_back({std::move(launch), &kernel, DimExpr(rounds)});
          ++launchesHere;
        }
      }
    }
  }

  void repeat(RepeatOp op) {
    loc = op.getLoc();
    int64_t outer = rounds;
    rounds *= int64_t(op.getCount());
    auto loop = scf::ForOp::create(b, loc, constant(0), constant(op.getCount()), constant(1));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Value round = loop.getInductionVar();
    if (op.getReverse())
      round = arith::SubIOp::create(b, loc, constant(op.getCount() - 1), round);
    sizes[op.getIndex()] = round;
    roundOf[op.getRound()] = {round, int64_t(op.getCount())};
    block(op.getBody().front());
    closeRound(op);
    rounds = outer;
  }

  void chunks(ChunksOp op) {
    loc = op.getLoc();
    Value size = constant(op.getSize()), rows = evaluate(op.getTotal());
    auto loop = scf::ForOp::create(b, loc, constant(0), SizeMath{b, loc}.ceilDiv(rows, size), constant(1));
    loopOf[op] = loop;
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    sizes[op.getIndex()] = loop.getInductionVar();
    block(op.getBody().front());
    closeRound(op);
  }

  void closeRound(Operation *loop) {
    for (auto [from, to] : plan.closing.lookup(loop)) {
      Type element = cast<RankedTensorType>(from.getType()).getElementType();
      Value bytes = evaluate(elementCount(shapeOf(from)) * DimExpr(elementBytes(element)));
      LLVM::MemcpyOp::create(b, loc, addressOf(plan.bufferOf.lookup(to)), addressOf(plan.bufferOf.lookup(from)), bytes, false);
    }
  }

  /// Number of the round that repeat indices name, the outermost slowest.
  Value roundNumber(ArrayRef<Value> indices) {
    Value round = constant(0);
    for (Value index : indices) {
      auto [value, count] = roundOf.lookup(index);
      round = add(mul(round, constant(count)), value);
    }
    return round;
  }

  /// Loaded where it is used: held in registers from the start, the addresses of thousands of buffers would all be spilled.
  Value addressOf(int number) {
    const Buffer &buffer = plan.buffers[number];
    switch (buffer.place) {
    case Buffer::Place::arena: return atDynamic(arena, loadI64(at(offsets, buffer.index * 8)));
    case Buffer::Place::input: return loadPtr(at(inputs, buffer.index * 8));
    case Buffer::Place::output: return loadPtr(at(outputs, buffer.index * 8));
    case Buffer::Place::parameter: return {};
    case Buffer::Place::kept: break;
    }
    Value place = at(kept, buffer.index * int64_t(sizeof(weft_kept))), data = loadPtr(at(place, offsetof(weft_kept, data)));
    if (buffer.rounds.empty())
      return data;
    return atDynamic(data, mul(roundNumber(buffer.rounds), loadI64(at(place, offsetof(weft_kept, round_bytes)))));
  }

  Value slotValue(const Slot &slot) {
    switch (slot.kind) {
    case Slot::Kind::size: return evaluate(slot.offset);
    case Slot::Kind::buffer: return offset(addressOf(slot.number), slot.offset);
    case Slot::Kind::view: {
      Value number = constant(slot.number);
      if (!slot.indices.empty())
        number = add(number, roundNumber(slot.indices));
      return offset(loadPtr(atDynamic(views, mul(number, constant(8)))), slot.offset);
    }
    case Slot::Kind::cacheKeys:
    case Slot::Kind::cacheValues: {
      // data[layer][keys, values][batch][…]: one half of one layer is batch · layerBytes.
      Value cache = at(caches, slot.number * int64_t(sizeof(weft_cache)));
      Value half = mul(loadI64(at(cache, offsetof(weft_cache, batch))), constant(slot.layerBytes));
      Value index = mul(evaluate(slot.layer), constant(2));
      if (slot.kind == Slot::Kind::cacheValues)
        index = add(index, constant(1));
      return atDynamic(loadPtr(at(cache, offsetof(weft_cache, data))), mul(index, half));
    }
    case Slot::Kind::cacheLengths: return loadPtr(at(at(caches, slot.number * int64_t(sizeof(weft_cache))), offsetof(weft_cache, lengths)));
    case Slot::Kind::valid: return valid;
    case Slot::Kind::fault: return at(exec, offsetof(weft_exec, fault));
    case Slot::Kind::random: return at(exec, offsetof(weft_exec, seed));
    }
    return {};
  }

  Value offset(Value base, const DimExpr &bytes) {
    if (std::optional<int64_t> constant = bytes.constant())
      return *constant ? atDynamic(base, this->constant(*constant)) : base;
    return atDynamic(base, evaluate(bytes));
  }

  void call(const Launch &launch, const EmittedKernel &emitted) {
    SmallVector<Value> values;
    for (const Slot &slot : launch.slots)
      values.push_back(slotValue(slot));
    for (auto [i, value] : llvm::enumerate(values))
      store(value, at(args, i * 8));
    Value tasks = emitted.tasks(b, loc, values);
    func::FuncOp kernel = emitted.func;
    Value work = add(evaluate(launch.flops), mul(evaluate(launch.bytes), constant(kByteWork)));
    auto compare = [&](arith::CmpIPredicate p, Value x, int64_t y) { return Value(arith::CmpIOp::create(b, loc, p, x, constant(y))); };
    Value shared = arith::AndIOp::create(b, loc, compare(arith::CmpIPredicate::sgt, threads, 1), compare(arith::CmpIPredicate::sgt, tasks, 1));
    shared = arith::AndIOp::create(b, loc, shared, compare(arith::CmpIPredicate::sge, work, kParallelWork));
    auto share = [&] {
      Value function = func::ConstantOp::create(b, loc, kernel.getFunctionType(), kernel.getName());
      Value address = UnrealizedConversionCastOp::create(b, loc, ptr, function).getResult(0);
      auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()), {ptr, ptr, ptr, i64});
      LLVM::CallOp::create(b, loc, type, ValueRange{parallelFor, exec, address, args, tasks});
    };
    branch(shared, share, [&] { func::CallOp::create(b, loc, kernel, ValueRange{args, constant(0), tasks, scratch}); });
  }

  /// One of two ways. Where the entry is written at its end, as blocks: lowering an scf.if moves all ops that follow it, which for
  /// each of a thousand launches takes a million moves.
  void branch(Value condition, llvm::function_ref<void()> yes, llvm::function_ref<void()> no) {
    Block *before = b.getInsertionBlock();
    if (!isa<func::FuncOp>(before->getParentOp()) || b.getInsertionPoint() != before->end()) {
      auto either = scf::IfOp::create(b, loc, condition, /*withElseRegion=*/true);
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(either.thenBlock());
      yes();
      b.setInsertionPointToStart(either.elseBlock());
      no();
      return;
    }
    Region *body = before->getParent();
    Block *ways[] = {b.createBlock(body), b.createBlock(body)}, *after = b.createBlock(body);
    b.setInsertionPointToEnd(before);
    cf::CondBranchOp::create(b, loc, condition, ways[0], ways[1]);
    for (bool isYes : {true, false}) {
      b.setInsertionPointToStart(ways[isYes ? 0 : 1]);
      isYes ? yes() : no();
      cf::BranchOp::create(b, loc, after);
    }
    b.setInsertionPointToStart(after);
  }

  // ---- closed expressions

  /// plan(dims, offsets): offset of each arena buffer above those below it, then the arena's size and the scratch bytes.
  void writePlan() {
    func::FuncOp func = function(built.plan, {ptr, ptr});
    Value table = func.getArgument(0), result = func.getArgument(1);
    sizes.clear();
    for (auto [i, name] : llvm::enumerate(dims))
      sizes[name] = loadI64(at(table, i * 8));
    size_t n = plan.arena.size();
    std::vector<Value> top(n), placed(n);
    std::function<Value(int)> place = [&](int i) -> Value {
      if (placed[i])
        return placed[i];
      Value low = constant(0);
      for (int j : plan.arenaPlan.below[i]) {
        place(j);
        low = arith::MaxSIOp::create(b, loc, low, top[j]);
      }
      Value bytes = arith::AndIOp::create(b, loc, add(evaluate(plan.buffers[plan.arena[i]].bytes), constant(63)), constant(-64));
      top[i] = add(low, bytes);
      return placed[i] = low;
    };
    Value size = constant(0);
    for (size_t i = 0; i < n; ++i) {
      store(place(i), at(result, i * 8));
      size = arith::MaxSIOp::create(b, loc, size, top[i]);
    }
    store(size, at(result, n * 8));
    int64_t fixed = 0;
    Value scratchBytes = constant(0);
    for (const BuiltLaunch &made : built.launches) {
      fixed = std::max(fixed, made.kernel->scratchBytes);
      if (made.launch.scratch != DimExpr(0))
        scratchBytes = arith::MaxSIOp::create(b, loc, scratchBytes, add(evaluate(made.launch.scratch), constant(made.kernel->scratchBytes)));
    }
    store(arith::MaxSIOp::create(b, loc, scratchBytes, constant(fixed)), at(result, (n + 1) * 8));
    func::ReturnOp::create(b, loc);
  }

  /// shapes(dims, sizes): all axes of all inputs, then of all outputs.
  void writeShapes() {
    FunctionType type = cast<FunctionType>(entry.getFunctionType());
    writeShapeFunction(module, built.shapes, llvm::to_vector(llvm::concat<const Type>(type.getInputs(), type.getResults())), dims, entry.getLoc());
  }

  const EntryPlan &plan;
  func::FuncOp entry;
  ModuleOp module;
  OpBuilder b;
  Location loc;
  ArrayRef<std::string> dims;
  std::string prefix;
  const ChosenLaunches &chosen;
  KernelCache &cache;
  Type ptr, i64;
  BuiltEntry built;
  Value exec, args, arena, offsets, inputs, outputs, kept, views, caches, valid, scratch, parallelFor, threads;
  SmallVector<arith::ConstantIntOp> tableLengths; ///< of each function's table of slots
  int launchesHere = 0;                           ///< of the function that is being written
  llvm::StringMap<Value> sizes;
  llvm::DenseMap<Value, std::pair<Value, int64_t>> roundOf;
  llvm::DenseMap<Operation *, Operation *> loopOf; ///< of a weft.chunks
  int64_t rounds = 1;
};

}  // namespace

void writeShapeFunction(ModuleOp module, StringRef name, ArrayRef<Type> tensors, ArrayRef<std::string> dims, Location loc) {
  OpBuilder b = OpBuilder::atBlockEnd(module.getBody());
  Type ptr = LLVM::LLVMPointerType::get(b.getContext());
  auto func = func::FuncOp::create(b, loc, name, b.getFunctionType({ptr, ptr}, {}));
  b.setInsertionPointToStart(func.addEntryBlock());
  auto place = [&](Value table, int64_t i) {
    return LLVM::GEPOp::create(b, loc, ptr, b.getI64Type(), table, ArrayRef<LLVM::GEPArg>{int32_t(i)});
  };
  llvm::StringMap<Value> sizes;
  for (auto [i, dim] : llvm::enumerate(dims))
    sizes[dim] = LLVM::LoadOp::create(b, loc, b.getI64Type(), place(func.getArgument(0), i));
  int64_t next = 0;
  for (Type tensor : tensors)
    for (const DimExpr &size : shapeOf(tensor))
      LLVM::StoreOp::create(b, loc, emitDimExpr(b, loc, size, [&](StringRef dim) { return sizes.lookup(dim); }), place(func.getArgument(1), next++));
  func::ReturnOp::create(b, loc);
}

BuiltEntry buildEntry(const EntryPlan &plan, const ChosenLaunches &chosen, ModuleOp kernels, KernelCache &cache, ArrayRef<std::string> dims,
                      StringRef prefix) {
  return EntryBuilder(plan, chosen, kernels, cache, dims, prefix).build();
}

}  // namespace weft
