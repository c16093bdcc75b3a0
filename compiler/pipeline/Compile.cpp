// The compiler told as one story: compileModel calls one function per stage, in order.
// Each stage reports through Diagnostics with the place of the node it failed on.
#include "pipeline/Compile.h"

#include "Passes.h"
#include "dialect/Locations.h"
#include "emit/EmitDescriptor.h"
#include "emit/EmitHeader.h"
#include "entry/BuildEntry.h"
#include "entry/TrainKernels.h"
#include "import/CacheDims.h"
#include "import/EntryInputs.h"
#include "import/ImportGraph.h"
#include "import/TrainGroups.h"
#include "memory/EntryPlan.h"
#include "target/cpu/CpuTargets.h"
#include "target/cpu/LowerToLLVM.h"
#include "tiling/TileSizes.h"

#include "weft/abi.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/Linker/Linker.h"
#include "llvm/Support/xxhash.h"

#include <chrono>

using namespace mlir;

namespace weft {
namespace {

Position positionOf(Location loc) {
  Position pos;
  if (FileLineColLoc place = filePlace(loc)) {
    pos.line = place.getLine();
    pos.column = place.getColumn();
  }
  return pos;
}

void collectNodes(Location loc, std::vector<std::string> &nodes) {
  if (auto fused = dyn_cast<FusedLoc>(loc)) {
    for (Location part : fused.getLocations())
      collectNodes(part, nodes);
    return;
  }
  std::string path = nodePath(loc);
  if (!path.empty() && !llvm::is_contained(nodes, path))
    nodes.push_back(path);
}

std::vector<std::string> nodesOf(Operation *op) {
  std::vector<std::string> nodes;
  op->walk([&](Operation *inner) {
    if (!isa<YieldOp>(inner))
      collectNodes(inner->getLoc(), nodes);
  });
  return nodes;
}

std::string placeOf(Location loc) {
  FileLineColLoc place = filePlace(loc);
  return place ? place.getFilename().str() + ":" + std::to_string(place.getLine()) + ":" + std::to_string(place.getColumn()) : "";
}

/// `places`: with the nodes' names and where they stand in the file.
std::string printed(ModuleOp module, bool places = true) {
  std::string text;
  llvm::raw_string_ostream os(text);
  OpPrintingFlags flags;
  flags.enableDebugInfo(places, /*prettyForm=*/false);
  flags.printNameLocAsPrefix(places);
  module->print(os, flags);
  return text + "\n";
}

class Compilation {
public:
  Compilation(const ModelDesc &model, const CompileOptions &options, CompiledModel &out, Diagnostics &diagnostics)
      : model(model), options(options), out(out), diagnostics(diagnostics), prefix(symbolPrefix(model.name)), context(MLIRContext::Threading::DISABLED) {
    context.loadDialect<WeftDialect, func::FuncDialect>();
  }

  CompileResult run() {
    // Anything MLIR says becomes a diagnostic at the node's place.
    ScopedDiagnosticHandler handler(&context, [&](mlir::Diagnostic &d) {
      if (d.getSeverity() == DiagnosticSeverity::Error)
        diagnostics.error(positionOf(d.getLocation()), d.str());
      return success();
    });
    using Step = CompileResult (Compilation::*)();
    const std::pair<Stage, Step> steps[] = {
        {Stage::import, &Compilation::import}, {Stage::autodiff, &Compilation::differentiate}, {Stage::fusion, &Compilation::fuse},   {Stage::lowering, &Compilation::lower},
        {Stage::memory, &Compilation::plan},   {Stage::tiling, &Compilation::tile},   {Stage::target, &Compilation::target},
        {Stage::emit, &Compilation::emit},
    };
    for (auto [stage, step] : steps) {
      auto begin = std::chrono::steady_clock::now();
      CompileResult result = (this->*step)();
      out.stageMs[stage] = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
      if (result != CompileResult::ok)
        return result;
      if (options.printIrAfter.count(stage))
        out.printedIr[stage] = irAfter(stage);
      if (options.stopAfter == stage) {
        out.ir = irAfter(stage);
        return CompileResult::ok;
      }
      if (options.checkOnly && stage == Stage::memory)
        return choose();
    }
    return CompileResult::ok;
  }

private:
  // ---- stages

  CompileResult import() {
    std::vector<std::string> names = options.entries;
    if (names.empty())
      for (const EntryDesc &entry : model.entries)
        if (entry.mode == EntryDesc::Mode::infer)
          names.push_back(entry.name);
    // A generate entry needs the two it is made of.
    for (const std::string &name : options.entries)
      for (const GenerateDesc &generate : model.generates)
        if (generate.name == name) {
          names.erase(llvm::find(names, name));
          for (const std::string &part : {generate.prefill, generate.step})
            if (!llvm::is_contained(names, part))
              names.push_back(part);
        }
    addPrefills(names);
    // A training entry needs the one that evaluates it.
    for (size_t i = 0; i < names.size(); ++i)
      for (const EntryDesc &entry : model.entries)
        if (entry.name == names[i] && entry.mode == EntryDesc::Mode::train) {
          if (training) {
            diagnostics.error(entry.pos, "entries " + quote(training->entry) + " and " + quote(entry.name) + " both train, but an object has room for one",
                              "choose one with --entry", Failure::model);
            return CompileResult::unsupported;
          }
          training.emplace();
          training->entry = entry.name;
          training->eval = entry.name + "_eval";
          if (!llvm::is_contained(names, training->eval))
            names.push_back(training->eval);
        }
    module = importGraph(model, names, context, diagnostics);
    if (!module)
      return CompileResult::invalid;
    out.descriptorSymbol = descriptorSymbol(prefix);
    return CompileResult::ok;
  }

  /// A step that recalls what a prefill keeps is nothing without one.
  void addPrefills(std::vector<std::string> &names) const {
    for (const EntryDesc &entry : model.entries) {
      if (!llvm::is_contained(names, entry.name))
        continue;
      std::vector<const EntryDesc *> prefills = prefillsOf(model, entry);
      if (!prefills.empty() && llvm::none_of(prefills, [&](const EntryDesc *p) { return llvm::is_contained(names, p->name); }))
        names.push_back(prefills.front()->name);
    }
  }

  bool enabled(StringRef pass) const { return options.optimize && !options.disabledPasses.count(pass.str()); }

  CompileResult differentiate() {
    if (llvm::none_of(module->getOps<func::FuncOp>(), [](func::FuncOp func) { return func->hasAttr("weft.mode"); }))
      return CompileResult::ok;
    PassManager pm(&context);
    pm.addPass(createExpandSugarPass());
    pm.addPass(createCanonicalizerPass());
    pm.addPass(createCSEPass());
    // Attention has one rule, for every spelling; losses have theirs.
    pm.addPass(createNormalizeEinsumPass());
    pm.addPass(createCanonicalizerPass());
    pm.addPass(createFuseAttentionPass());
    pm.addPass(createCanonicalizerPass());
    // Whole attentions and products, and before gradients: they are rounded where values are.
    pm.addPass(createMixedPrecisionPass());
    pm.addPass(createCountLabelsPass());
    pm.addPass(createGenerateBackwardPass());
    pm.addPass(createCanonicalizerPass());
    pm.addPass(createCSEPass());
    // What passes report here are ops without a rule, all of them.
    return runPasses(pm, "autodiff", CompileResult::unsupported);
  }

  CompileResult fuse() {
    PassManager pm(&context);
    pm.addPass(createExpandSugarPass());
    if (enabled("weft-chunk-cross-entropy")) {
      pm.addPass(createCanonicalizerPass());
      pm.addPass(createCSEPass());
      pm.addPass(createChunkCrossEntropyPass());
      pm.addPass(createCanonicalizerPass());
    }
    pm.addPass(createExpandLossesPass());
    // Canonical operands first: patterns see one spelling of each thing.
    pm.addPass(createCanonicalizerPass());
    pm.addPass(createCSEPass());
    pm.addPass(createNormalizeEinsumPass());
    pm.addPass(createCanonicalizerPass());
    if (enabled("weft-fuse-attention"))
      pm.addPass(createFuseAttentionPass());
    pm.addPass(createCanonicalizerPass());
    // Before products are joined: a product of one position is a smaller product.
    if (enabled("weft-sink-slice"))
      pm.addPass(createSinkSlicePass());
    if (enabled("weft-fuse-projections"))
      pm.addPass(createFuseProjectionsPass());
    pm.addPass(createCSEPass());
    // Products are as wide as they get, and steps and prefills still look alike.
    if (enabled("weft-keep-values"))
      pm.addPass(createKeepValuesPass());
    // Contractions take their epilogues before row kernels take what is left.
    pm.addPass(createFuseContractionPass());
    if (enabled("weft-fuse-rows"))
      pm.addPass(createFuseRowsPass());
    pm.addPass(createCanonicalizerPass());
    pm.addPass(createCSEPass());
    return runPasses(pm, "fusion");
  }

  CompileResult lower() {
    PassManager pm(&context);
    pm.addPass(createLowerToKernelsPass());
    CompileResult result = runPasses(pm, "lowering");
    if (result == CompileResult::ok && model.precision.params == DType::f32)
      markSpared();
    return result;
  }

  /// Marks the products whose packed parameters stay f32; attention has none.
  void markSpared() {
    std::vector<std::string> spared = nodesKeptF32(model);
    if (spared.empty())
      return;
    module->walk([&](ContractOp op) {
      if (llvm::any_of(nodesOf(op), [&](const std::string &node) { return llvm::is_contained(spared, node); }))
        op->setAttr("weft.keep_f32", UnitAttr::get(&context));
    });
  }

  /// `reported`: what it means that a pass fails with a diagnostic of its own.
  CompileResult runPasses(PassManager &pm, const char *stage, CompileResult reported = CompileResult::internal) {
    // After each pass verifying takes a third of all time until kernels are written; weft-opt, and so every test of a pass, does.
    pm.enableVerifier(false);
    if (succeeded(pm.run(*module)) && succeeded(verify(*module)))
      return CompileResult::ok;
    if (diagnostics.hasErrors())
      return reported;
    diagnostics.error(Position(), std::string("internal error in stage ") + stage);
    return CompileResult::internal;
  }

  CompileResult plan() {
    std::map<std::string, int64_t> hints;
    for (const DimDesc &dim : model.dims)
      hints[dim.name] = dim.hint;
    int64_t panel = 1;
    for (const std::string &name : options.cpus) {
      llvm::Expected<CpuTarget> cpu = cpuTarget(name);
      if (!cpu) {
        diagnostics.error(Position(), llvm::toString(cpu.takeError()));
        return CompileResult::unsupported;
      }
      panel = std::max(panel, tileSizes(cpu->info).panel);
    }
    if (training)
      if (CompileResult result = describeTraining(); result != CompileResult::ok)
        return result;
    for (auto op : module->getOps<KeptOp>())
      out.kept.push_back({op.getSymName().str(), tensorTypeOf(op.getType()), int64_t(op.getRounds()),
                          elementCount(shapeOf(op.getType())) * DimExpr(int64_t(op.getRounds()) * elementBytes(cast<RankedTensorType>(op.getType()).getElementType()))});
    for (func::FuncOp func : module->getOps<func::FuncOp>()) {
      plans.push_back(planEntry(func, hints, panel));
      annotate(plans.back());
      describe(plans.back());
      if (CompileResult result = checkArena(out.entries.back().name, hints); result != CompileResult::ok)
        return result;
    }
    return CompileResult::ok;
  }

  /// At the hints of the dims; commands check the sizes that they are given.
  CompileResult checkArena(const std::string &name, std::map<std::string, int64_t> sizes) {
    const EntryDesc &entry = *llvm::find_if(model.entries, [&](const EntryDesc &e) { return e.name == name; });
    for (const auto &[dim, value] : entry.fixedDims)
      sizes[dim] = value;
    std::string text = arenaBeyond(out, name, sizes, options.limits.arenaBytes);
    if (text.empty())
      return CompileResult::ok;
    diagnostics.error(entry.pos, text, "--limit arenaBytes=N raises it", Failure::limit);
    return CompileResult::limit;
  }

  CompileResult objectBeyond(const std::string &what) {
    diagnostics.error(Position(), what + ", the limit is " + std::to_string(options.limits.objectBytes), "--limit objectBytes=N raises it", Failure::limit);
    return CompileResult::limit;
  }

  /// Finds a kernel for every op, on every CPU, or says which node has none.
  CompileResult choose() {
    for (const std::string &name : options.cpus) {
      llvm::Expected<CpuTarget> cpu = cpuTarget(name);
      if (!cpu) {
        diagnostics.error(Position(), llvm::toString(cpu.takeError()));
        return CompileResult::unsupported;
      }
      variants.push_back(std::make_unique<Variant>(std::move(*cpu), panelType()));
      Variant &variant = *variants.back();
      for (const EntryPlan &entry : plans) {
        NoKernel missing;
        llvm::StringRef name = func::FuncOp(entry.func).getSymName();
        variant.views.beginEntry(/*copied=*/training && name != training->entry && name != training->eval);
        FailureOr<ChosenLaunches> chosen = chooseKernels(entry, variant.cpu.info, variant.views, variant.cache, missing);
        if (failed(chosen)) {
          Location loc = missing.op->getLoc();
          diagnostics.error(positionOf(loc), "node " + quote(nodePath(loc)) + ": " + missing.why);
          return CompileResult::unsupported;
        }
        variant.chosen.push_back(std::move(*chosen));
      }
    }
    for (const KernelCache::Site &site : variants.front()->cache.sites)
      out.sites.push_back({site.table, nodePath(site.loc), placeOf(site.loc)});
    return CompileResult::ok;
  }

  CompileResult tile() {
    if (CompileResult result = choose(); result != CompileResult::ok)
      return result;
    // Only now: patterns of all loaded dialects take part in every pass that makes IR canonical.
    context.loadDialect<arith::ArithDialect, cf::ControlFlowDialect, scf::SCFDialect, vector::VectorDialect, LLVM::LLVMDialect, math::MathDialect>();
    std::vector<std::string> dims;
    for (const DimDesc &dim : model.dims)
      dims.push_back(dim.name);
    for (auto [number, variant] : llvm::enumerate(variants)) {
      variant->module = ModuleOp::create(module->getLoc());
      std::string variantPrefix = variants.size() > 1 ? prefix + "_v" + std::to_string(number) : prefix;
      for (auto [entry, chosen] : llvm::zip_equal(plans, variant->chosen)) {
        BuiltEntry built = buildEntry(entry, chosen, *variant->module, variant->cache, dims, variantPrefix);
        if (number == 0)
          describeKernels(entry, built);
        variant->entries.push_back(std::move(built));
      }
      if (training)
        variant->train = buildTrainKernels(model.train->optimizer, *variant->module, variant->cpu.info, variantPrefix);
      if (number == 0 && !out.kept.empty()) {
        SmallVector<Type> types;
        for (auto op : module->getOps<KeptOp>())
          types.push_back(op.getType());
        writeShapeFunction(*variant->module, prefix + ".weft.kept_shapes", types, dims, module->getLoc());
      }
      if (failed(verify(*variant->module))) {
        diagnostics.error(Position(), "internal error in stage tiling");
        return CompileResult::internal;
      }
    }
    return CompileResult::ok;
  }

  CompileResult target() {
    for (auto &variant : variants) {
      if (failed(lowerKernelsToLLVM(*variant->module, variant->cpu.info))) {
        diagnostics.error(Position(), "internal error in stage target");
        return CompileResult::internal;
      }
    }
    return CompileResult::ok;
  }

  CompileResult emit() {
    out.hash = llvm::xxh3_64bits(printed(*module, /*places=*/false) + weightsText() + llvm::join(options.cpus, ",") + options.embeddedWeights);
    std::unique_ptr<llvm::Module> whole;
    std::unique_ptr<llvm::TargetMachine> machine;
    for (auto &variant : variants) {
      llvm::Expected<std::unique_ptr<llvm::TargetMachine>> made = createTargetMachine(variant->cpu.info);
      if (!made) {
        diagnostics.error(Position(), llvm::toString(made.takeError()));
        return CompileResult::unsupported;
      }
      std::unique_ptr<llvm::Module> part = translateToLLVMIR(*variant->module, llvmContext, variant->cpu.info, **made);
      if (!part) {
        diagnostics.error(Position(), "internal error in stage emit");
        return CompileResult::internal;
      }
      if (options.optimize)
        optimizeModule(*part, **made);
      else
        (*made)->setOptLevel(llvm::CodeGenOptLevel::None);
      if (!whole) {
        whole = std::move(part);
        machine = std::move(*made);
      } else if (llvm::Linker::linkModules(*whole, std::move(part))) {
        diagnostics.error(Position(), "internal error: variants do not link");
        return CompileResult::internal;
      }
    }
    // No instruction takes less than a byte, whatever becomes of it: what is hopeless makes no code.
    uint64_t least = options.embeddedWeights.size();
    for (llvm::Function &function : *whole)
      least += function.getInstructionCount();
    if (least > options.limits.objectBytes)
      return objectBeyond("an object of at least " + std::to_string(least) + " bytes");
    whole->setModuleIdentifier(model.name);
    whole->setSourceFileName(model.name);
    if (!emitDescriptor(*whole, descriptor())) {
      diagnostics.error(Position(), "internal error: descriptor does not fit the ABI");
      return CompileResult::internal;
    }
    for (llvm::Function &function : *whole)
      if (!function.isDeclaration())
        function.setLinkage(llvm::GlobalValue::InternalLinkage);
    if (options.wantLlvm) {
      llvm::raw_string_ostream os(out.llvmIr);
      whole->print(os, nullptr);
    }
    for (bool assembly : {true, false}) {
      if (assembly && !options.wantAssembly)
        continue;
      llvm::Expected<llvm::SmallVector<char, 0>> bytes = emitObject(*whole, *machine, assembly);
      if (!bytes) {
        diagnostics.error(Position(), llvm::toString(bytes.takeError()));
        return CompileResult::internal;
      }
      if (!assembly && bytes->size() > options.limits.objectBytes)
        return objectBeyond("an object of " + std::to_string(bytes->size()) + " bytes");
      (assembly ? out.assembly : out.object).assign(bytes->begin(), bytes->end());
    }
    out.header = emitHeader(header());
    return CompileResult::ok;
  }

  /// Products read weights in the narrower of what parameters are stored and computed in.
  weft_dtype panelType() const {
    for (DType type : {model.precision.params, model.precision.compute})
      if (type == DType::bf16 || type == DType::f16)
        return weft_dtype(int(type));
    return WEFT_F32;
  }

  // ---- facts for reports, descriptor and header

  const EntryDesc &entryOf(func::FuncOp func) const {
    return *llvm::find_if(model.entries, [&](const EntryDesc &e) { return e.name == func.getName(); });
  }

  const InputDesc &inputOf(StringRef name) const {
    auto named = [&](const InputDesc &i) { return i.name == name; };
    auto found = llvm::find_if(model.inputs, named);
    return found != model.inputs.end() ? *found : *llvm::find_if(model.train->inputs, named);
  }

  static DType dtypeOf(Type element) {
    if (element.isF32()) return DType::f32;
    if (element.isF16()) return DType::f16;
    if (element.isBF16()) return DType::bf16;
    if (element.isF64()) return DType::f64;
    if (element.isInteger(1)) return DType::boolean;
    if (element.isUnsignedInteger()) return DType::u8;
    if (element.isInteger(8)) return DType::i8;
    return element.isInteger(64) ? DType::i64 : DType::i32;
  }

  static TensorType tensorTypeOf(Type type) {
    TensorType result{dtypeOf(cast<RankedTensorType>(type).getElementType()), {}};
    for (const DimExpr &size : shapeOf(type))
      result.shape.push_back(size);
    return result;
  }

  static std::string nameOf(Attribute name) { return cast<StringAttr>(name).getValue().str(); }

  /// Which tensors the results of the training entry are gradients of.
  CompileResult describeTraining() {
    auto func = module->lookupSymbol<func::FuncOp>(training->entry);
    auto eval = module->lookupSymbol<func::FuncOp>(training->eval);
    for (unsigned i = 0; i < eval.getNumResults(); ++i)
      if (auto count = eval.getResultAttrOfType<StringAttr>(i, "weft.count"))
        (count.getValue() == "weight" ? training->weight : count.getValue() == "labels" ? training->labels : training->correct) = int(i);
    for (unsigned i = 0; i < func.getNumResults(); ++i)
      if (auto tensors = func.getResultAttrOfType<DenseI32ArrayAttr>(i, "weft.tensors"))
        for (int32_t tensor : tensors.asArrayRef())
          training->tensors.push_back({tensor, int(i), isDecayed(model.train->optimizer, model.tensors[tensor])});
    for (const TrainedTensor &trained : training->tensors)
      if (const ParamTensor &tensor = model.tensors[trained.tensor]; tensor.dtype != DType::f32) {
        diagnostics.error(tensor.pos, "parameter " + quote(tensor.name) + ": expected f32, the only type that training can change in this version",
                          "leave precision.params at f32, or freeze the parameter", Failure::model);
        return CompileResult::unsupported;
      }
    // Labels count as tokens; without any, what the model reads.
    for (const auto *inputs : {&model.train->inputs, &model.inputs})
      for (const InputDesc &input : *inputs)
        if (training->tokensInput.empty() && (input.type.dtype == DType::i32 || input.type.dtype == DType::i64))
          training->tokensInput = input.name;
    return CompileResult::ok;
  }

  /// Memory facts of an entry; FLOPs are added when its kernels are chosen.
  void describe(const EntryPlan &plan) {
    func::FuncOp func = plan.func;
    EntryInfo info;
    info.name = func.getName().str();
    for (unsigned i = 0; i < func.getNumArguments(); ++i)
      info.inputs.push_back({nameOf(func.getArgAttr(i, "weft.name")), tensorTypeOf(func.getArgumentTypes()[i])});
    for (unsigned i = 0; i < func.getNumResults(); ++i)
      info.outputs.push_back({nameOf(func.getResultAttr(i, "weft.name")), tensorTypeOf(func.getResultTypes()[i])});
    func.walk([&](Operation *op) {
      if (auto keep = dyn_cast<KeepOp>(op))
        info.keeps.push_back(keptNumber(keep.getKept()));
      else if (auto recall = dyn_cast<RecallOp>(op))
        info.recalls.push_back(keptNumber(recall.getKept()));
    });
    info.buffers = plan.arena.size();
    info.flops = flopsOf(func.getBody().front(), 1);
    for (int buffer : plan.arena) {
      const Buffer &b = plan.buffers[buffer];
      out.buffers.push_back({info.name, b.node, b.bytes, b.first, b.last});
    }
    out.arenas[info.name] = plan.arenaPlan;
    out.entries.push_back(std::move(info));
  }

  int keptNumber(StringRef name) const {
    return llvm::find_if(out.kept, [&](const KeptInfo &kept) { return kept.name == name; }) - out.kept.begin();
  }

  static DimExpr flopsOf(Block &block, int64_t rounds) {
    DimExpr sum(0);
    for (Operation &op : block) {
      if (auto chunks = dyn_cast<ChunksOp>(op))
        sum = sum + chunks.overAllChunks(flopsOf(chunks.getBody().front(), rounds));
      if (auto repeat = dyn_cast<RepeatOp>(op))
        sum = sum + flopsOf(repeat.getBody().front(), rounds * int64_t(repeat.getCount()));
      if (auto contract = dyn_cast<ContractOp>(op)) {
        Shape a = shapeOf(contract.getA());
        sum = sum + elementCount(shapeOf(contract.getEpilogue().front().getArgument(0))) *
                        a[a.size() - (contract.getTransposeA() ? 2 : 1)] * DimExpr(2 * rounds);
      }
      if (auto attention = dyn_cast<AttentionOp>(op)) {
        Shape q = shapeOf(attention.getQ()), k = shapeOf(attention.getK()), y = shapeOf(attention.getY());
        sum = sum + q[0] * q[1] * k[1] * (q[2] + y[2]) * DimExpr(2 * rounds);
      }
    }
    return sum;
  }

  void describeKernels(const EntryPlan &plan, const BuiltEntry &built) {
    func::FuncOp func = plan.func;
    for (const auto &[launch, written, rounds] : built.launches) {
      func::FuncOp kernel = written->func;
      out.kernels.push_back({func.getName().str(), kernel.getName().str(), launch.kind, nodesOf(launch.op), launch.tiles, launch.flops,
                             launch.bytes, rounds});
    }
  }

  /// Shows the plan in the IR: each kernel's results name their buffers, the function lists the arena.
  void annotate(const EntryPlan &plan) {
    OpBuilder b(&context);
    func::FuncOp func = plan.func;
    auto place = [](const Buffer &buffer) {
      switch (buffer.place) {
      case Buffer::Place::arena: return "arena " + std::to_string(buffer.index);
      case Buffer::Place::input: return "input " + std::to_string(buffer.index);
      case Buffer::Place::output: return "output " + std::to_string(buffer.index);
      case Buffer::Place::parameter: return std::string("parameter");
      case Buffer::Place::kept: return "kept " + std::to_string(buffer.index);
      }
      return std::string();
    };
    func.walk([&](Operation *op) {
      if (!isKernel(op) && !isa<RepeatOp, ChunksOp>(op))
        return;
      SmallVector<Attribute> places;
      for (Value result : op->getResults())
        places.push_back(b.getStringAttr(place(plan.buffers[plan.bufferOf.lookup(result)])));
      op->setAttr("weft.buffers", b.getArrayAttr(places));
    });
    SmallVector<Attribute> arena;
    for (auto [i, buffer] : llvm::enumerate(plan.arena)) {
      const Buffer &info = plan.buffers[buffer];
      std::string text = info.bytes.str() + " bytes, live " + std::to_string(info.first) + ".." + std::to_string(info.last) + ", above";
      for (int below : plan.arenaPlan.below[i])
        text += " " + std::to_string(below);
      arena.push_back(b.getStringAttr(text));
    }
    func->setAttr("weft.arena", b.getArrayAttr(arena));
  }

  std::string weightsText() const {
    std::string text;
    for (const ParamTensor &p : model.tensors) {
      text += p.name + "/" + p.fileName + (p.transpose ? "t" : "") + (p.mayBeMissing ? "m" : "") + std::to_string(int(p.init)) + "," +
              std::to_string(p.a) + "," + std::to_string(p.b) + "," + std::to_string(p.zeroRow) + ";";
      for (int64_t n : p.shape)
        text += std::to_string(n) + ",";
    }
    for (const GenerateDesc &g : model.generates)
      text += g.name + g.kind + std::to_string(g.seed) + std::to_string(g.maxNewTokens);
    return text;
  }

  DescriptorInput descriptor() {
    DescriptorInput d;
    d.model = &model;
    d.prefix = prefix;
    d.hash = out.hash;
    d.embedded = options.embeddedWeights;
    d.training = training;
    for (const KeptInfo &kept : out.kept)
      d.kept.push_back({kept.name, kept.type, kept.rounds});
    if (!out.kept.empty())
      d.keptShapes = prefix + ".weft.kept_shapes";
    for (auto [i, info] : llvm::enumerate(out.entries)) {
      DescribedEntry entry;
      entry.entry = &entryOf(plans[i].func);
      for (const TensorInfo &input : info.inputs)
        entry.inputs.push_back(input.name);
      for (const TensorInfo &output : info.outputs)
        entry.outputs.emplace_back(output.name, output.type);
      entry.buffers = info.buffers;
      entry.keeps = info.keeps;
      entry.recalls = info.recalls;
      entry.shapes = variants.front()->entries[i].shapes;
      const CacheDims grow = cacheDims(model, *entry.entry);
      entry.tokenDim = grow.token;
      entry.batchDim = grow.batch;
      d.entries.push_back(std::move(entry));
    }
    for (auto &variant : variants) {
      DescribedVariant v;
      v.cpu = variant->cpu.name;
      v.features = variant->cpu.required;
      v.views = &variant->views;
      for (const BuiltEntry &entry : variant->entries) {
        v.run.push_back(entry.run);
        v.plan.push_back(entry.plan);
      }
      v.update = variant->train.update;
      v.norm = variant->train.norm;
      v.add = variant->train.add;
      d.variants.push_back(std::move(v));
    }
    for (const SiteInfo &site : out.sites)
      d.sites.push_back(site.table);
    return d;
  }

  HeaderInput header() {
    HeaderInput h;
    h.name = model.name;
    h.doc = model.doc;
    h.prefix = prefix;
    h.compilerVersion = WEFT_VERSION;
    h.hash = out.hash;
    h.dims = model.dims;
    for (const StateDesc &state : model.states)
      h.states.push_back(state.name);
    for (auto [number, info] : llvm::enumerate(out.entries)) {
      const EntryDesc &desc = *llvm::find_if(model.entries, [&](const EntryDesc &e) { return e.name == info.name; });
      HeaderEntry entry;
      entry.name = info.name;
      for (const TensorInfo &input : info.inputs) {
        const InputDesc &given = inputOf(input.name);
        entry.inputs.push_back({input.name, input.type, given.optional, given.hasRange, given.low, given.high});
      }
      for (const TensorInfo &output : info.outputs)
        entry.outputs.push_back({output.name, output.type, false, false, 0, 0});
      entry.trains = desc.mode == EntryDesc::Mode::train;
      entry.evaluates = desc.mode == EntryDesc::Mode::eval;
      entry.fixedDims = desc.fixedDims;
      entry.buffers = info.buffers;
      for (auto [from, to] : {std::pair(&info.keeps, &entry.keeps), std::pair(&info.recalls, &entry.recalls)})
        for (int kept : *from)
          to->push_back({out.kept[kept].name, out.kept[kept].type, false, false, 0, 0});
      entry.batchDim = cacheDims(model, desc).batch;
      h.entries.push_back(std::move(entry));
    }
    for (const GenerateDesc &g : model.generates)
      if (llvm::any_of(h.entries, [&](const HeaderEntry &e) { return e.name == g.prefill; }) &&
          llvm::any_of(h.entries, [&](const HeaderEntry &e) { return e.name == g.step; }))
        h.generates.push_back(g);
    for (const ParamTensor &p : model.tensors) {
      int64_t count = 1;
      for (int64_t n : p.shape)
        count *= n;
      h.parameters += count;
    }
    return h;
  }

  std::string irAfter(Stage stage) {
    if (stage < Stage::tiling)
      return printed(*module);
    std::string text;
    for (auto &variant : variants)
      text += printed(*variant->module);
    return text;
  }

  struct Variant {
    Variant(CpuTarget cpu, weft_dtype panelType) : cpu(std::move(cpu)), views(panelType) {}
    CpuTarget cpu;
    OwningOpRef<ModuleOp> module;
    ViewTable views;
    std::vector<ChosenLaunches> chosen;  ///< by entry
    std::vector<BuiltEntry> entries;
    KernelCache cache;
    TrainKernels train;
  };

  const ModelDesc &model;
  const CompileOptions &options;
  CompiledModel &out;
  Diagnostics &diagnostics;
  std::string prefix;
  MLIRContext context;
  llvm::LLVMContext llvmContext;
  OwningOpRef<ModuleOp> module;
  std::vector<EntryPlan> plans;
  std::optional<DescribedTraining> training;
  std::vector<std::unique_ptr<Variant>> variants;
};

}  // namespace

CompileResult compileModel(const ModelDesc &model, const CompileOptions &options, CompiledModel &out, Diagnostics &diagnostics) {
  return Compilation(model, options, out, diagnostics).run();
}

std::string arenaBeyond(const CompiledModel &compiled, const std::string &entry, const std::map<std::string, int64_t> &sizes, uint64_t limit) {
  std::optional<int64_t> bytes = compiled.arenaBytes(entry, sizes);
  if (bytes && uint64_t(*bytes) <= limit)
    return {};
  std::string text = "entry " + quote(entry) + " needs " + (bytes ? std::to_string(*bytes) : "more than 9223372036854775807") + " bytes of memory";
  const char *before = " at ";
  for (const auto &[dim, size] : sizes) {
    text += before + dim + "=" + std::to_string(size);
    before = ", ";
  }
  text += ", the limit is " + std::to_string(limit);
  auto peak = compiled.peak(entry, sizes);
  return peak.empty() ? text : text + "; the largest value is that of node " + quote(peak.front().first->node) + " with " + std::to_string(peak.front().second) + " bytes";
}

std::optional<int64_t> CompiledModel::arenaBytes(const std::string &entry, const std::map<std::string, int64_t> &dims) const {
  auto found = arenas.find(entry);
  if (found == arenas.end())
    return std::nullopt;
  std::optional<std::vector<int64_t>> offsets = found->second.offsets(dims);
  return offsets ? std::optional<int64_t>(offsets->back()) : std::nullopt;
}

std::vector<std::pair<const BufferInfo *, int64_t>> CompiledModel::peak(const std::string &entry, const std::map<std::string, int64_t> &dims) const {
  std::vector<std::pair<const BufferInfo *, int64_t>> all, best;
  int last = 0;
  for (const BufferInfo &buffer : buffers)
    if (buffer.entry == entry)
      if (std::optional<int64_t> bytes = buffer.bytes.evaluate(dims)) {
        all.emplace_back(&buffer, *bytes);
        last = std::max(last, buffer.last);
      }
  int64_t most = -1;
  for (int at = 0; at <= last; ++at) {
    std::vector<std::pair<const BufferInfo *, int64_t>> live;
    int64_t sum = 0;
    for (auto &[buffer, bytes] : all)
      if (buffer->first <= at && at <= buffer->last) {
        live.emplace_back(buffer, bytes);
        sum += bytes;
      }
    if (sum > most) {
      most = sum;
      best = std::move(live);
    }
  }
  std::stable_sort(best.begin(), best.end(), [](const auto &a, const auto &b) { return a.second > b.second; });
  return best;
}

}  // namespace weft
