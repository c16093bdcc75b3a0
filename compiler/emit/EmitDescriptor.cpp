// Every C struct of abi.h as an LLVM constant of the same field order; LLVM's natural layout equals C's on all targets.
// Strings and arrays become private constants, so the object exports two symbols only.
#include "emit/EmitDescriptor.h"

#include "emit/EmitHeader.h"

#include "weft/abi.h"

#include "llvm/IR/Constants.h"
#include "llvm/IR/DerivedTypes.h"

using namespace llvm;

#ifndef WEFT_VERSION
#define WEFT_VERSION "0.1.0"
#endif

namespace weft {
namespace {

int dimIndex(const ModelDesc &model, const std::string &name) {
  for (size_t i = 0; i < model.dims.size(); ++i)
    if (model.dims[i].name == name)
      return i;
  return -1;
}

/// The model's inputs, then those of `train`.
std::vector<const InputDesc *> inputsOf(const ModelDesc &model) {
  std::vector<const InputDesc *> inputs;
  for (const InputDesc &input : model.inputs)
    inputs.push_back(&input);
  if (model.train)
    for (const InputDesc &input : model.train->inputs)
      inputs.push_back(&input);
  return inputs;
}

int inputIndex(const ModelDesc &model, const std::string &name) {
  std::vector<const InputDesc *> inputs = inputsOf(model);
  for (size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i]->name == name)
      return i;
  return -1;
}

class DescriptorWriter {
public:
  DescriptorWriter(Module &module, const DescriptorInput &in)
      : module(module), in(in), model(*in.model), allInputs(inputsOf(model)), c(module.getContext()), ptr(PointerType::getUnqual(c)) {}

  bool write() {
    Constant *descriptor = record(sizeof(weft_model_desc),
                                  {i32(WEFT_ABI_MAGIC), i32(WEFT_ABI_VERSION), i64(sizeof(weft_model_desc)), i64(in.hash), text(model.name),
                                   text(WEFT_VERSION), i32(model.dims.size()), i32(allInputs.size()), i32(model.tensors.size()),
                                   i32(model.states.size()), i32(in.kept.size()), i32(in.entries.size()), i32(generates().size()), i32(in.variants.size()),
                                   i32(in.sites.size()), array(dims()), array(inputs()), array(params()), array(states()), array(kept()),
                                   array(entries()), array(generates()), array(variants()), array(sites()),
                                   in.keptShapes.empty() ? null() : symbol(in.keptShapes),
                                   model.weightFiles.empty() ? null() : text(model.weightFiles.front()), training(), embedded(), i64(in.embedded.size())});
    global(descriptor, descriptorSymbol(in.prefix), GlobalValue::ExternalLinkage);
    global(ConstantInt::get(Type::getInt8Ty(c), 1), identitySymbol(in.prefix, in.hash), GlobalValue::ExternalLinkage);
    return fits;
  }

private:
  // ---- constants

  Constant *i32(int64_t v) { return ConstantInt::get(Type::getInt32Ty(c), uint64_t(v), true); }
  Constant *i64(int64_t v) { return ConstantInt::get(Type::getInt64Ty(c), uint64_t(v), true); }
  Constant *f64(double v) { return ConstantFP::get(Type::getDoubleTy(c), v); }
  Constant *null() { return ConstantPointerNull::get(ptr); }

  GlobalVariable *global(Constant *value, const std::string &name, GlobalValue::LinkageTypes linkage) {
    auto *variable = new GlobalVariable(module, value->getType(), /*isConstant=*/true, linkage, value, name);
    if (linkage == GlobalValue::PrivateLinkage)
      variable->setUnnamedAddr(GlobalValue::UnnamedAddr::Global);
    return variable;
  }

  Constant *text(const std::string &s) {
    auto [found, added] = strings.try_emplace(s, nullptr);
    if (added)
      found->second = global(ConstantDataArray::getString(c, s), "weft.str", GlobalValue::PrivateLinkage);
    return found->second;
  }

  Constant *record(size_t bytes, ArrayRef<Constant *> fields) {
    Constant *value = ConstantStruct::getAnon(c, fields);
    fits = fits && module.getDataLayout().getTypeAllocSize(value->getType()) == bytes;
    return value;
  }

  /// A private array and its address; null when empty.
  Constant *array(ArrayRef<Constant *> elements) {
    if (elements.empty())
      return null();
    auto *type = ArrayType::get(elements.front()->getType(), elements.size());
    return global(ConstantArray::get(type, elements), "weft.table", GlobalValue::PrivateLinkage);
  }

  template <typename T, size_t N>
  Constant *fixedArray(Type *type, const std::vector<T> &values, int64_t fill) {
    std::vector<Constant *> elements;
    for (size_t i = 0; i < N; ++i)
      elements.push_back(ConstantInt::get(type, uint64_t(i < values.size() ? int64_t(values[i]) : fill), true));
    return ConstantArray::get(ArrayType::get(type, N), elements);
  }

  Constant *symbol(const std::string &name) {
    Function *function = module.getFunction(name);
    fits = fits && function;
    return function ? static_cast<Constant *>(function) : null();
  }

  // ---- tables

  std::vector<Constant *> dims() {
    std::vector<Constant *> out;
    for (const DimDesc &d : model.dims)
      out.push_back(record(sizeof(weft_dim_desc), {text(d.name), i64(d.min), i64(d.max), i64(d.hint), i64(d.multipleOf)}));
    return out;
  }

  Constant *tensor(const std::string &name, const TensorType &type, const InputDesc *input) {
    std::vector<Constant *> axes;
    std::vector<int> named;
    for (const DimExpr &size : type.shape) {
      axes.push_back(text(size.str()));
      named.push_back(size.name() ? dimIndex(model, *size.name()) : -1);
    }
    return record(sizeof(weft_tensor_desc),
                  {text(name), array(axes), i32(type.shape.size()), i32(int(type.dtype)),
                   fixedArray<int, WEFT_MAX_RANK>(Type::getInt32Ty(c), named, -1), i32(input && input->optional), i32(input && input->hasRange),
                   i64(input ? input->low : 0), i64(input ? input->high : 0), f64(input ? input->fill : 0)});
  }

  std::vector<Constant *> inputs() {
    std::vector<Constant *> out;
    for (const InputDesc *input : allInputs)
      out.push_back(tensor(input->name, input->type, input));
    return out;
  }

  std::vector<Constant *> params() {
    std::vector<Constant *> out;
    for (const ParamTensor &p : model.tensors)
      out.push_back(record(sizeof(weft_param_desc),
                           {text(p.name), text(p.fileName.empty() ? p.name : p.fileName), i32(int(p.dtype)), i32(p.shape.size()),
                            fixedArray<int64_t, WEFT_MAX_RANK>(Type::getInt64Ty(c), p.shape, 1), i32(p.transpose), i32(p.mayBeMissing),
                            i32(int(p.init)), f64(p.a), f64(p.b), i64(p.zeroRow)}));
    return out;
  }

  std::vector<Constant *> states() {
    std::vector<Constant *> out;
    for (const StateDesc &s : model.states)
      out.push_back(record(sizeof(weft_state_desc), {text(s.name), i64(s.layers), i64(s.kvHeads), i64(s.headDim), i64(s.capacity), i32(int(s.dtype))}));
    return out;
  }

  std::vector<Constant *> kept() {
    std::vector<Constant *> out;
    for (const DescribedKept &k : in.kept)
      out.push_back(record(sizeof(weft_kept_desc), {tensor(k.name, k.type, nullptr), i64(k.rounds)}));
    return out;
  }

  std::vector<Constant *> numbers(const std::vector<int> &values) {
    std::vector<Constant *> out;
    for (int value : values)
      out.push_back(i32(value));
    return out;
  }

  int entryIndex(const std::string &name) const {
    for (size_t i = 0; i < in.entries.size(); ++i)
      if (in.entries[i].entry->name == name)
        return i;
    return -1;
  }

  std::vector<Constant *> entries() {
    std::vector<Constant *> out;
    for (const DescribedEntry &e : in.entries) {
      std::vector<Constant *> indices, outputs, fixed;
      for (const std::string &name : e.inputs)
        indices.push_back(i32(inputIndex(model, name)));
      for (auto &[name, type] : e.outputs)
        outputs.push_back(tensor(name, type, nullptr));
      for (const DimDesc &d : model.dims) {
        auto it = e.entry->fixedDims.find(d.name);
        fixed.push_back(i64(it == e.entry->fixedDims.end() ? 0 : it->second));
      }
      uint64_t states = 0;
      for (int32_t s : e.entry->states)
        states |= uint64_t(1) << s;
      out.push_back(record(sizeof(weft_entry_desc),
                           {text(e.entry->name), i32(e.inputs.size()), i32(e.outputs.size()), array(indices), array(outputs), i64(states),
                            i32(e.tokenDim.empty() ? -1 : dimIndex(model, e.tokenDim)), i32(e.batchDim.empty() ? -1 : dimIndex(model, e.batchDim)), array(fixed), i32(e.buffers), i32(e.entry->lastTokenOnly), i32(e.keeps.size()),
                            i32(e.recalls.size()), array(numbers(e.keeps)), array(numbers(e.recalls)), symbol(e.shapes)}));
    }
    return out;
  }

  std::vector<Constant *> generates() {
    std::vector<Constant *> out;
    for (const GenerateDesc &g : model.generates) {
      int prefill = entryIndex(g.prefill), step = entryIndex(g.step);
      if (prefill < 0 || step < 0)
        continue; // not among the entries that were asked for
      std::vector<Constant *> stop;
      for (int64_t s : g.stop)
        stop.push_back(i64(s));
      int kind = g.kind == "multinomial" ? WEFT_SAMPLE_MULTINOMIAL
                 : g.kind == "top_k"     ? WEFT_SAMPLE_TOP_K
                 : g.kind == "top_p"     ? WEFT_SAMPLE_TOP_P
                 : g.kind == "beam"      ? WEFT_SAMPLE_BEAM
                                         : WEFT_SAMPLE_GREEDY;
      out.push_back(record(sizeof(weft_generate_desc),
                           {text(g.name), i32(prefill), i32(step), i32(inputIndex(model, g.tokenInput)), i64(g.maxNewTokens), array(stop),
                            i32(stop.size()), i32(kind), f64(g.temperature), f64(g.p), f64(g.lengthPenalty), i64(g.k), i64(g.beams), i64(g.seed)}));
    }
    return out;
  }

  std::vector<Constant *> variants() {
    std::vector<Constant *> out;
    for (const DescribedVariant &v : in.variants) {
      std::vector<Constant *> views, sources, run, plan;
      for (const ViewTable::Entry &view : v.views->entries()) {
        views.push_back(record(sizeof(weft_view_desc), {i32(view.kind), i32(view.dtype), i64(view.k), i64(view.n), i64(view.nr),
                                                        i32(sources.size()), i32(view.sources.size())}));
        for (const ViewTable::Source &s : view.sources)
          sources.push_back(record(sizeof(weft_view_source), {i32(s.tensor), i64(s.offset), i64(s.n), i64(s.strideK), i64(s.strideN)}));
      }
      for (const std::string &name : v.run)
        run.push_back(symbol(name));
      for (const std::string &name : v.plan)
        plan.push_back(symbol(name));
      out.push_back(record(sizeof(weft_variant_desc), {text(v.cpu), i64(v.features), i32(views.size()), array(views), array(sources), array(run), array(plan),
                                                         v.update.empty() ? null() : symbol(v.update), v.norm.empty() ? null() : symbol(v.norm),
                                                         v.add.empty() ? null() : symbol(v.add)}));
    }
    return out;
  }

  Constant *training() {
    if (!in.training)
      return null();
    const TrainDesc &train = *model.train;
    const OptimizerDesc &o = train.optimizer;
    const ScheduleDesc &s = train.schedule;
    std::vector<Constant *> tensors;
    for (const TrainedTensor &t : in.training->tensors)
      tensors.push_back(record(sizeof(weft_trained_desc), {i32(t.tensor), i32(t.output), i32(t.decays)}));
    Constant *optimizer =
        record(sizeof(weft_optimizer_desc), {i32(o.kind == "sgd" ? WEFT_SGD : o.kind == "adam" ? WEFT_ADAM : WEFT_ADAMW), i32(o.nesterov), f64(o.lr),
                                             f64(o.momentum), f64(o.beta1), f64(o.beta2), f64(o.eps), f64(o.weightDecay)});
    static const char *const kinds[] = {"constant", "linear", "cosine", "noam", "inverse_sqrt", "step", "wsd"};
    int kind = int(std::find(std::begin(kinds), std::end(kinds), s.kind) - std::begin(kinds));
    auto number = [&](const char *key, double fallback) {
      auto it = s.numbers.find(key);
      return it == s.numbers.end() ? fallback : it->second;
    };
    Constant *schedule = record(sizeof(weft_schedule_desc),
                                {i32(kind), i64(int64_t(number("warmup_steps", 0))), i64(int64_t(number("total_steps", 0))),
                                 i64(int64_t(number("step_size", 0))), i64(int64_t(number("decay_steps", 0))), f64(number("min_lr_ratio", 0)),
                                 f64(number("factor", 1)), f64(number("d_model", 0)), f64(number("gamma", 0.1))});
    Constant *value = record(sizeof(weft_train_desc),
                             {i32(entryIndex(in.training->entry)), i32(entryIndex(in.training->eval)), i32(in.training->weight),
                              i32(in.training->labels), i32(in.training->correct), i32(tensors.size()), array(tensors), optimizer,
                              schedule, f64(train.clipGradNorm), i64(train.accumulate), i32(train.dynamicLossScale),
                              i32(in.training->tokensInput.empty() ? -1 : inputIndex(model, in.training->tokensInput))});
    return global(value, "weft.train", GlobalValue::PrivateLinkage);
  }

  std::vector<Constant *> sites() {
    std::vector<Constant *> out;
    for (const std::string &table : in.sites)
      out.push_back(record(sizeof(weft_site_desc), {text(table)}));
    return out;
  }

  Constant *embedded() {
    if (in.embedded.empty())
      return null();
    GlobalVariable *bytes = global(ConstantDataArray::getString(c, in.embedded, /*AddNull=*/false), "weft.weights", GlobalValue::PrivateLinkage);
    bytes->setAlignment(Align(64));
    return bytes;
  }

  Module &module;
  const DescriptorInput &in;
  const ModelDesc &model;
  std::vector<const InputDesc *> allInputs;
  LLVMContext &c;
  PointerType *ptr;
  std::map<std::string, Constant *> strings;
  bool fits = true;
};

}  // namespace

bool emitDescriptor(Module &module, const DescriptorInput &input) { return DescriptorWriter(module, input).write(); }

}  // namespace weft
