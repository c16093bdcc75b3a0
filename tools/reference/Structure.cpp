// Runs graphs: names to values, repeats, entries, dims, inputs, caches, and the public functions of the interpreter.
// Every failure below is thrown as Failure and leaves as RunResult::error.
#include "Ops.h"

#include <algorithm>
#include <new>
#include <set>

namespace weft::reference {
namespace {

using Values = std::vector<TensorRef>;

class Interpreter {
public:
  Interpreter(Run &run, RunResult &result, bool keepAll) : run(run), result(result), keepAll(keepAll) {}

  /// Executes the nodes (all, or those marked) in order. `prefix`: path of the enclosing round, "enc[3].".
  void execute(const Graph &graph, const std::vector<Node> &nodes, Values &values, const std::string &outer, const std::string &prefix,
               const std::vector<bool> *wanted) {
    for (size_t n = 0; n < nodes.size(); ++n) {
      if (wanted && !(*wanted)[n])
        continue;
      const Node &node = nodes[n];
      std::string path = prefix + (node.path.compare(0, outer.size(), outer) == 0 ? node.path.substr(outer.size()) : node.path);
      here = path;
      Values results = node.op == "repeat" ? repeat(graph, node, values, path) : one(graph, node, values);
      here = path;
      if (results.size() != node.results.size())
        fail("expected ", node.results.size(), " results but got ", results.size());
      for (size_t i = 0; i < results.size(); ++i) {
        check(graph.values.at(node.results[i]), *results[i]);
        values.at(node.results[i]) = results[i];
        keep(i ? path + "#" + std::to_string(i) : path, results[i]);
      }
    }
  }

  std::string here;  ///< the node being executed, for messages

private:
  void keep(const std::string &path, const TensorRef &value) {
    if (!keepAll)
      return;
    result.values[path] = value;
    result.order.push_back(path);
  }

  /// The declared type is the importer's own inference; a difference is an error of one of the two.
  void check(const ValueDesc &declared, const Tensor &value) {
    Shape shape;
    for (const DimExpr &size : declared.type.shape) {
      std::optional<int64_t> known = size.evaluate(run.sizes);
      if (!known)
        fail("cannot evaluate the size '", size.str(), "' of '", declared.name, "'");
      shape.push_back(*known);
    }
    if (shape != value.shape || declared.type.dtype != value.dtype)
      fail("'", declared.name, "' is declared ", dtypeText(declared.type.dtype), " ", shapeText(shape), " but its value is ", dtypeText(value.dtype), " ",
           shapeText(value.shape));
  }

  TensorRef value(const Graph &graph, const Values &values, ValueId id) {
    if (id == kNoValue)
      return nullptr;
    if (!values.at(id))
      fail("'", graph.values.at(id).name, "' has no value here");
    return values[id];
  }

  Values one(const Graph &graph, const Node &node, const Values &values) {
    auto op = ops().find(node.op);
    if (op == ops().end())
      fail("no op '", node.op, "' in the reference interpreter");
    Call call{run, node, graph, {}};
    for (ValueId id : node.operands)
      call.in.push_back(value(graph, values, id));
    // What does not move needs no duals.
    bool moves = std::any_of(call.in.begin(), call.in.end(), [](const TensorRef &x) { return x && !x->tangents.empty(); });
    for (const ParamUse &use : node.params)
      moves |= !call.param(use.role.c_str()).tangents.empty();
    bool narrow = run.arithmetic == Arithmetic::f32;
    const OpForms &forms = op->second;
    Results tensors = (moves ? (narrow ? forms.dual32 : forms.dual64) : (narrow ? forms.f32 : forms.f64))(call);
    Values results;
    for (Tensor &tensor : tensors) {
      // An implementation stores what its dtype holds.
      for (std::vector<double> *part : {&tensor.reals, &tensor.tangents})
        for (double &element : *part)
          element = narrow ? roundTo(tensor.dtype, element) : element;
      results.push_back(std::make_shared<Tensor>(std::move(tensor)));
    }
    return results;
  }

  Values repeat(const Graph &graph, const Node &node, const Values &values, const std::string &path) {
    const Graph &body = *node.body;
    Values given;
    for (ValueId id : node.operands)
      given.push_back(value(graph, values, id));
    if (given.size() != body.inputs.size() || node.carry.size() != body.outputs.size())
      fail("a repeat of ", given.size(), " operands whose block takes ", body.inputs.size());
    std::optional<int64_t> shadowed;
    if (auto known = run.sizes.find(node.index); known != run.sizes.end())
      shadowed = known->second;
    run.rounds.push_back({node.index, 0, node.count});
    for (int64_t round = 0; round < node.count; ++round) {
      run.rounds.back().round = round;
      if (!node.index.empty())
        run.sizes[node.index] = round;
      Values inner(body.values.size());
      for (size_t i = 0; i < given.size(); ++i)
        inner.at(body.inputs[i]) = given[i];
      execute(body, body.nodes, inner, node.path + ".", path + "[" + std::to_string(round) + "].", nullptr);
      Values carried;
      for (ValueId id : body.outputs)
        carried.push_back(value(body, inner, id));
      for (size_t i = 0; i < carried.size(); ++i)
        given.at(node.carry[i]) = carried[i];
    }
    run.rounds.pop_back();
    if (shadowed)
      run.sizes[node.index] = *shadowed;
    else
      run.sizes.erase(node.index);
    Values results;
    for (int32_t position : node.carry)
      results.push_back(given.at(position));
    return results;
  }

  Run &run;
  RunResult &result;
  bool keepAll;
};

const EntryDesc *findEntry(const ModelDesc &model, const std::string &name) {
  for (const EntryDesc &entry : model.entries)
    if (entry.name == name)
      return &entry;
  if (!name.empty())
    fail("no entry '", name, "'");
  return nullptr;
}

// What an entry computes, and which nodes that needs.
struct Plan {
  const EntryDesc *entry = nullptr;
  std::vector<const OutputDesc *> outputs;
  bool loss = false;
  std::vector<bool> nodes, trainNodes;
  std::set<ValueId> needed;
};

std::vector<bool> mark(const std::vector<Node> &nodes, std::set<ValueId> &needed) {
  std::vector<bool> wanted(nodes.size());
  for (size_t n = nodes.size(); n-- > 0;) {
    const Node &node = nodes[n];
    wanted[n] = std::any_of(node.results.begin(), node.results.end(), [&](ValueId id) { return needed.count(id) != 0; });
    if (wanted[n])
      needed.insert(node.operands.begin(), node.operands.end());
  }
  return wanted;
}

Plan plan(const ModelDesc &model, const std::string &entryName, bool loss) {
  Plan p;
  p.entry = findEntry(model, entryName);
  p.loss = loss || (p.entry && p.entry->mode != EntryDesc::Mode::infer);
  for (const OutputDesc &output : model.outputs)
    if (!p.entry || std::count(p.entry->outputs.begin(), p.entry->outputs.end(), output.name)) {
      p.outputs.push_back(&output);
      p.needed.insert(output.value);
    }
  if (p.loss) {
    if (!model.train)
      fail("the model has no 'train'");
    p.needed.insert(model.train->loss);
    p.trainNodes = mark(model.train->nodes, p.needed);
  }
  p.nodes = mark(model.graph.nodes, p.needed);
  return p;
}

std::vector<const InputDesc *> inputsOf(const ModelDesc &model, const Plan &p) {
  std::vector<const InputDesc *> inputs;
  for (const InputDesc &input : model.inputs)
    if (p.needed.count(input.value))
      inputs.push_back(&input);
  if (p.loss)
    for (const InputDesc &input : model.train->inputs)
      if (p.needed.count(input.value))
        inputs.push_back(&input);
  return inputs;
}

// Sizes of the dims: given, fixed by the entry, or read from the inputs; all must agree.
void bindDims(Run &run, const Plan &p, const std::vector<const InputDesc *> &inputs, const RunOptions &options) {
  auto bind = [&](const std::string &name, int64_t size, const std::string &where) {
    auto [known, isNew] = run.sizes.emplace(name, size);
    if (!isNew && known->second != size)
      fail(where, ": dim '", name, "' is ", size, ", elsewhere ", known->second);
  };
  for (const auto &[name, size] : options.dims)
    bind(name, size, "options");
  if (p.entry)
    for (const auto &[name, size] : p.entry->fixedDims)
      bind(name, size, "entry '" + p.entry->name + "'");
  for (const InputDesc *input : inputs) {
    auto found = options.inputs.find(input->name);
    if (found == options.inputs.end())
      continue;
    const Tensor &tensor = found->second;
    if (tensor.shape.size() != input->type.shape.size())
      fail("input '", input->name, "': expected rank ", input->type.shape.size(), " but got ", tensor.rank());
    for (size_t i = 0; i < tensor.shape.size(); ++i)
      if (auto name = input->type.shape[i].name())
        bind(*name, tensor.shape[i], "input '" + input->name + "'");
  }
  for (const DimDesc &dim : run.model.dims) {
    auto found = run.sizes.find(dim.name);
    if (found == run.sizes.end())
      continue;
    int64_t size = found->second;
    if (size < dim.min || size > dim.max || (dim.multipleOf > 1 && size % dim.multipleOf))
      fail("dim '", dim.name, "' = ", size, " is outside ", dim.min, "..", dim.max, " or no multiple of ", dim.multipleOf);
  }
}

/// Tangents that a caller gave are one for each lane of each element.
void checkTangents(const std::string &what, const Tensor &tensor) {
  if (!tensor.tangents.empty() && tensor.tangents.size() != tensor.reals.size() * kLanes)
    fail(what, ": expected ", tensor.reals.size() * kLanes, " tangents but got ", tensor.tangents.size());
}

TensorRef prepareInput(const Run &run, const InputDesc &input, const RunOptions &options) {
  Shape shape;
  for (const DimExpr &size : input.type.shape) {
    std::optional<int64_t> known = size.evaluate(run.sizes);
    if (!known)
      fail("input '", input.name, "': the size '", size.str(), "' is not known");
    shape.push_back(*known);
  }
  auto found = options.inputs.find(input.name);
  if (found == options.inputs.end()) {
    if (!input.optional)
      fail("input '", input.name, "' is missing");
    Tensor filled = make(input.type.dtype, shape);
    std::fill(filled.reals.begin(), filled.reals.end(), roundTo(filled.dtype, input.fill));
    std::fill(filled.integers.begin(), filled.integers.end(), wrapTo(filled.dtype, static_cast<int64_t>(input.fill)));
    return std::make_shared<Tensor>(std::move(filled));
  }
  Tensor tensor = found->second;
  if (tensor.shape != shape)
    fail("input '", input.name, "': expected shape ", shapeText(shape), " but got ", shapeText(tensor.shape));
  if (tensor.real() != isReal(input.type.dtype))
    fail("input '", input.name, "': expected ", dtypeText(input.type.dtype), " but got ", dtypeText(tensor.dtype));
  if (tensor.count() != *elementCount(shape))
    fail("input '", input.name, "': ", tensor.count(), " elements for shape ", shapeText(shape));
  checkTangents("input '" + input.name + "'", tensor);
  tensor.dtype = input.type.dtype;
  for (double &element : tensor.reals)
    element = roundTo(tensor.dtype, element);
  for (int64_t element : tensor.integers) {
    if (wrapTo(tensor.dtype, element) != element)
      fail("input '", input.name, "': ", element, " is no ", dtypeText(tensor.dtype));
    if (input.hasRange && (element < input.low || element > input.high))
      fail("input '", input.name, "': ", element, " is outside ", input.low, "..", input.high);
  }
  return std::make_shared<Tensor>(std::move(tensor));
}

// Parameters that the run was given, rounded to their dtype.
void prepareParameters(Run &run, const RunOptions &options) {
  for (const ParamTensor &param : run.model.tensors) {
    auto found = options.parameters.find(param.name);
    if (found == options.parameters.end())
      continue;
    Tensor tensor = found->second;
    if (tensor.shape != param.shape || !tensor.real() || tensor.count() != elementCount(param.shape).value_or(-1))
      fail("parameter '", param.name, "': expected a float tensor of shape ", shapeText(param.shape), " but got ", dtypeText(tensor.dtype), " ",
           shapeText(tensor.shape));
    checkTangents("parameter '" + param.name + "'", tensor);
    // A parameter is stored in its own dtype and computed with in the declared one of its uses.
    for (double &element : tensor.reals)
      element = roundTo(param.dtype, element);
    tensor.dtype = param.dtype == DType::f64 ? DType::f64 : run.model.precision.compute == DType::f64 ? DType::f64 : DType::f32;
    run.parameters[param.name] = std::make_shared<Tensor>(std::move(tensor));
  }
}

// Every bound state of the entry has a cache, new and empty where none was given.
void bindCaches(Run &run, const Plan &p, const RunOptions &options, const std::vector<const InputDesc *> &inputs) {
  if (!p.entry)
    return;
  int64_t batch = 1;
  for (const InputDesc *input : inputs)
    if (auto found = options.inputs.find(input->name); found != options.inputs.end() && found->second.rank() > 0) {
      batch = found->second.shape[0];
      break;
    }
  for (int32_t s : p.entry->states) {
    const StateDesc &state = run.model.states.at(s);
    const KvCache *given = nullptr;
    if (options.caches)
      if (auto found = options.caches->find(state.name); found != options.caches->end())
        given = &found->second;
    KvCache cache = given ? *given : emptyCache(state, batch);
    size_t expected = static_cast<size_t>(state.layers * 2 * cache.batch * state.kvHeads * state.capacity * state.headDim);
    if (cache.lengths.size() != static_cast<size_t>(cache.batch) || cache.data.size() != expected)
      fail("state '", state.name, "': its cache has not the state's size");
    run.caches.emplace(state.name, std::move(cache));
  }
}

// The last real position of axis 1, as [B, 1, …].
Tensor lastToken(const Run &run, const Tensor &x) {
  if (x.rank() < 2)
    fail("expected an output of rank 2 or more but got ", shapeText(x.shape));
  Shape shape = x.shape;
  shape[1] = 1;
  Tensor y = make(x.dtype, shape);
  AxisView from = axisView(x.shape, 1), to = axisView(shape, 1);
  for (int64_t b = 0; b < from.outer; ++b) {
    int64_t last = (run.valid.empty() ? from.size : run.valid.at(b)) - 1;
    if (last < 0 || last >= from.size)
      fail("sequence ", b, " has no last token");
    for (int64_t k = 0; k < from.inner; ++k)
      copyElement(y, to.at(b, 0, k), x, from.at(b, last, k));
  }
  return y;
}

void runChecked(const ModelDesc &model, const RunOptions &options, RunResult &result, std::string &here) {
  Run run{model, {}, {}, {}, {}, {}, options.valid, options.arithmetic, options.dropout};
  Plan p = plan(model, options.entry, options.loss);
  std::vector<const InputDesc *> inputs = inputsOf(model, p);
  bindDims(run, p, inputs, options);
  prepareParameters(run, options);
  bindCaches(run, p, options, inputs);
  Values values(model.graph.values.size());
  for (const InputDesc *input : inputs)
    values.at(input->value) = prepareInput(run, *input, options);
  result.dims = run.sizes;

  Interpreter interpreter(run, result, options.keepAll);
  try {
    interpreter.execute(model.graph, model.graph.nodes, values, "", "", &p.nodes);
    if (p.loss)
      interpreter.execute(model.graph, model.train->nodes, values, "", "", &p.trainNodes);
  } catch (...) {
    here = interpreter.here + ": ";
    throw;
  }
  bool last = options.lastTokenOnly.value_or(p.entry && p.entry->lastTokenOnly);
  for (const OutputDesc *output : p.outputs)
    result.outputs[output->name] = last ? lastToken(run, *values.at(output->value)) : *values.at(output->value);
  if (p.loss)
    result.outputs["loss"] = *values.at(model.train->loss);
  for (auto &[name, cache] : run.caches) {
    int64_t tokens = run.appended.count(name) ? run.appended[name] : 0;
    for (int64_t b = 0; b < cache.batch; ++b)
      cache.lengths[b] += run.valid.empty() ? tokens : std::min(tokens, run.valid.at(b));
    if (options.caches)
      (*options.caches)[name] = std::move(cache);
  }
}

}  // namespace

KvCache emptyCache(const StateDesc &state, int64_t batch) {
  KvCache cache;
  std::optional<int64_t> count = elementCount({state.layers, 2, batch, state.kvHeads, state.capacity, state.headDim});
  if (!count)
    return cache;
  cache.batch = batch;
  cache.lengths.assign(batch, 0);
  cache.data.assign(*count, 0.0);
  return cache;
}

RunResult runReference(const ModelDesc &model, const RunOptions &options) {
  RunResult result;
  std::string here;
  try {
    runChecked(model, options, result, here);
  } catch (const Failure &failure) {
    result.error = here + failure.text;
  } catch (const std::bad_alloc &) {
    result.error = here + "out of memory";
  } catch (const std::exception &problem) {
    // at() on a description whose numbers do not fit together.
    result.error = here + "the description is inconsistent: " + problem.what();
  }
  if (!result.ok())
    result.outputs.clear();
  return result;
}

std::vector<std::string> neededInputs(const ModelDesc &model, const std::string &entry) {
  std::vector<std::string> names;
  try {
    for (const InputDesc *input : inputsOf(model, plan(model, entry, false)))
      names.push_back(input->name);
  } catch (const Failure &) {
    names.clear();  // no such entry: no inputs
  }
  return names;
}

}  // namespace weft::reference
