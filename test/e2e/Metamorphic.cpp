// Objects are compared byte for byte; results bit for bit where the same kernels run on the same sizes, and within a few
// roundings where sizes, and with them the order of sums, differ.
#include "Metamorphic.h"

#include "RandomGraph.h"
#include "RandomTensors.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace weft::e2e {

using namespace reference;

namespace {

/// One model with one session.
class Subject {
public:
  Subject(const ModelDesc &desc, const Tensors &parameters, const Sizes &most, Tally &tally) : tally(tally) {
    std::string error;
    model = LoadedModel::create(desc, {}, parameters, error);
    if (model)
      session = std::make_unique<Session>(*model, most, 1, error);
    if (!error.empty()) {
      tally.failures.push_back(error);
      session.reset();
    }
  }

  Tensors run(const Sizes &sizes, const Tensors &inputs) {
    if (!session)
      return {};
    ++tally.calls;
    Outcome outcome = session->run("forward", sizes, inputs);
    if (!outcome.error.empty())
      tally.failures.push_back(outcome.error);
    return outcome.outputs;
  }

private:
  Tally &tally;
  std::unique_ptr<LoadedModel> model;
  std::unique_ptr<Session> session;
};

/// Whether two lists of numbers are alike: bits, or up to `part` of the largest.
bool alike(const std::vector<double> &a, const std::vector<double> &b, double part) {
  double scale = 0;
  for (double value : a)
    scale = std::max(scale, std::isfinite(value) ? std::fabs(value) : 0);
  for (size_t i = 0; i < a.size(); ++i)
    if (!(a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i])) || std::fabs(a[i] - b[i]) <= part * scale))
      return false;
  return a.size() == b.size();
}

void compare(const Tensors &a, const Tensors &b, double part, const std::string &what, Tally &tally) {
  for (const auto &[name, tensor] : a) {
    auto other = b.find(name);
    if (other == b.end() || tensor.shape != other->second.shape || tensor.integers != other->second.integers ||
        !alike(tensor.reals, other->second.reals, part))
      tally.failures.push_back(what + ": output '" + name + "' differs");
    tally.elements += tensor.count();
  }
}

/// The nodes in another order in which each stands behind what it reads.
void permute(RandomModel &model, Random &random) {
  std::map<std::string, size_t> producer;
  for (size_t i = 0; i < model.nodes.size(); ++i)
    for (const RandomValue &out : model.nodes[i].out)
      producer[out.name] = i;
  std::vector<RandomNode> order;
  std::set<size_t> done;
  while (order.size() < model.nodes.size()) {
    std::vector<size_t> ready;
    for (size_t i = 0; i < model.nodes.size(); ++i)
      if (!done.count(i) && std::all_of(model.nodes[i].in.begin(), model.nodes[i].in.end(),
                                        [&](const std::string &name) { return !producer.count(name) || done.count(producer[name]); }))
        ready.push_back(i);
    size_t next = ready[static_cast<size_t>(random.integer(0, static_cast<int64_t>(ready.size()) - 1))];
    done.insert(next);
    order.push_back(model.nodes[next]);
  }
  model.nodes = std::move(order);
}

/// New names for all nodes. Their parameters, which are named after them where nothing else is said, stay.
void renameAll(RandomModel &model, const ModelDesc &desc) {
  std::map<std::string, std::string> names;
  for (RandomNode &node : model.nodes) {
    const std::string id = (node.out.size() > 1 ? "n_" : "") + node.out[0].name;
    if (std::any_of(desc.graph.nodes.begin(), desc.graph.nodes.end(), [&](const Node &read) { return read.id == id && !read.params.empty(); }))
      node.rest += (node.rest.empty() ? "" : ", ") + ("\"param\": \"" + id + "\"");
    for (RandomValue &out : node.out)
      out.name = names[out.name] = "zz_" + std::to_string(names.size()) + "_renamed";
  }
  auto renamed = [&](std::string &name) {
    if (auto found = names.find(name); found != names.end())
      name = found->second;
  };
  for (RandomNode &node : model.nodes)
    std::for_each(node.in.begin(), node.in.end(), renamed);
  for (auto &[output, value] : model.outputs)
    renamed(value);
}

/// Object and header; empty after a failure.
std::string compiled(const std::string &text, Tally &tally) {
  std::optional<ModelDesc> desc = readCase(text, tally);
  CompiledModel result;
  Diagnostics diagnostics;
  if (desc && compileModel(*desc, {}, result, diagnostics) != CompileResult::ok)
    tally.failures.push_back("compile: " + diagnostics.str() + text);
  ++tally.calls;
  tally.elements += static_cast<int64_t>(result.object.size());
  return result.object + result.header;
}

/// An encoder over vectors with random widths.
struct Encoder {
  int64_t heads, width, layers;
  bool causal, masked, swiglu;

  Encoder(Random &random, bool causal, bool masked)
      : heads(int64_t(1) << random.integer(0, 2)), width(heads * 4 * random.integer(1, 5)), layers(random.integer(1, 3)), causal(causal),
        masked(masked), swiglu(random.integer(0, 1)) {}

  std::string text() const {
    std::string d = std::to_string(width), mask = masked ? ", \"key_mask\": \"real\"" : "";
    std::string up = swiglu ? R"({"id": "g", "op": "linear", "in": "n2", "features": )" + d +
                                  R"(}, {"id": "l", "op": "linear", "in": "n2", "features": )" + d +
                                  R"(}, {"id": "up", "op": "swiglu", "in": ["g", "l"]})"
                            : R"({"id": "up", "op": "linear", "in": "n2", "features": )" + std::to_string(2 * width) + R"(, "activation": "gelu"})";
    return R"({"format": "1.0", "name": "m", "dims": {"B": {"max": 8, "hint": 4}, "T": {"max": 64, "hint": 16}}, "inputs": {"x": {"dtype": "f32", "shape": ["B", "T", )" +
           d + "]}" + (masked ? R"(, "real": {"dtype": "bool", "shape": ["B", "T"]})" : "") + R"(}, "blocks": {"layer": {"in": ["x")" +
           (masked ? R"(, "real")" : "") + R"(], "nodes": [{"id": "n1", "op": "layer_norm", "in": "x"}, {"id": "a", "op": "mha", "in": {"x": "n1")" +
           mask + R"(}, "heads": )" + std::to_string(heads) + (causal ? R"(, "causal": true)" : "") +
           R"(}, {"id": "r1", "op": "add", "in": ["x", "a"]}, {"id": "n2", "op": "rms_norm", "eps": 1e-5}, )" + up +
           R"(, {"id": "down", "op": "linear", "in": "up", "features": )" + d +
           R"(}, {"id": "r2", "op": "add", "in": ["r1", "down"]}], "out": "r2"}}, "graph": [{"id": "y", "op": "repeat", "block": "layer", "count": )" +
           std::to_string(layers) + R"(, "index": "i", "in": {"x": "x")" + (masked ? R"(, "real": "real")" : "") +
           R"(}, "carry": "x"}], "outputs": {"y": "y"}})";
  }
};

/// Rows [first, first + rows) of the first axis.
Tensor rowsOf(const Tensor &tensor, int64_t first, int64_t rows) {
  Tensor part = tensor;
  int64_t each = tensor.count() / tensor.shape[0];
  part.shape[0] = rows;
  auto cut = [&](auto &values) {
    if (!values.empty())
      values = {values.begin() + first * each, values.begin() + (first + rows) * each};
  };
  cut(part.reals);
  cut(part.integers);
  return part;
}

/// Positions [0, keep) of [B, T, …].
std::vector<double> beginnings(const Tensor &tensor, int64_t keep) {
  std::vector<double> values;
  int64_t inner = tensor.count() / (tensor.shape[0] * tensor.shape[1]);
  for (int64_t b = 0; b < tensor.shape[0]; ++b)
    for (int64_t i = 0; i < keep * inner; ++i)
      values.push_back(tensor.at(b * tensor.shape[1] * inner + i));
  return values;
}

Tensor withTail(const Tensor &tensor, int64_t length, int64_t from, Random &random) {
  Tensor longer = tensor;
  longer.shape[1] = length;
  int64_t inner = tensor.count() / (tensor.shape[0] * tensor.shape[1]);
  longer.reals.clear();
  for (int64_t b = 0; b < tensor.shape[0]; ++b)
    for (int64_t i = 0; i < length * inner; ++i)
      longer.reals.push_back(i < from * inner ? tensor.reals[static_cast<size_t>(b * tensor.shape[1] * inner + i)]
                                              : roundTo(DType::f32, 4 * random.uniform() - 2));
  return longer;
}

Tensor maskOf(int64_t batch, int64_t length, int64_t real) {
  std::vector<int64_t> values;
  for (int64_t i = 0; i < batch * length; ++i)
    values.push_back(i % length < real);
  return Tensor(DType::boolean, {batch, length}, values);
}

/// Whether tokens behind position `keep` change what stands before.
bool looksBehind(Subject &subject, const Tensors &inputs, int64_t batch, int64_t length, int64_t keep, Random &random) {
  const Sizes sizes = {{"B", batch}, {"T", length}};
  Tensors changed = inputs;
  changed["x"] = withTail(inputs.at("x"), length, keep, random);
  Tensors a = subject.run(sizes, inputs), b = subject.run(sizes, changed);
  return a.empty() || b.empty() || !alike(beginnings(a.at("y"), keep), beginnings(b.at("y"), keep), 0);
}

/// Whether more tokens that a mask hides change what stands before.
bool looksAtPadding(Subject &subject, const Tensor &x, int64_t more, bool masked, Random &random) {
  const int64_t batch = x.shape[0], length = x.shape[1];
  Tensors shorter = {{"x", x}}, longer = {{"x", withTail(x, length + more, length, random)}};
  if (masked) {
    shorter["real"] = maskOf(batch, length, length);
    longer["real"] = maskOf(batch, length + more, length);
  }
  Tensors a = subject.run({{"B", batch}, {"T", length}}, shorter), b = subject.run({{"B", batch}, {"T", length + more}}, longer);
  return a.empty() || b.empty() || !alike(beginnings(a.at("y"), length), beginnings(b.at("y"), length), 3e-6);
}

}  // namespace

bool runSpellings(uint64_t seed, Tally &tally) {
  RandomModel model = randomModel(seed);
  std::optional<ModelDesc> desc = readCase(model.text(), tally);
  if (!desc) {
    tally.failures.clear();
    return false;
  }
  const std::string expected = compiled(model.text(), tally);
  RandomModel renamed = model, permuted = model;
  renameAll(renamed, *desc);
  Random random(seed);
  permute(permuted, random);
  for (auto [other, what] : {std::pair(&renamed, "renamed nodes"), std::pair(&permuted, "permuted nodes")})
    if (const std::string text = other->text(); compiled(text, tally) != expected)
      tally.failures.push_back(std::string(what) + ", seed " + std::to_string(seed) + ": another object\n" + model.text() + text);
  return true;
}

void runInvariances(uint64_t seed, Tally &tally) {
  Random random(seed);
  const Sizes most = {{"B", 8}, {"T", 64}};
  const int64_t batch = random.integer(2, 6), length = random.integer(2, 40);
  const std::string where = ", seed " + std::to_string(seed);
  for (bool causal : {false, true}) {
    Encoder encoder(random, causal, !causal);
    std::optional<ModelDesc> desc = readCase(encoder.text(), tally);
    if (!desc)
      return;
    Subject subject(*desc, randomParameters(*desc, seed), most, tally);
    Tensors inputs = randomInputs(*desc, "forward", {{"B", batch}, {"T", length}}, seed);
    if (!causal)
      inputs["real"] = maskOf(batch, length, random.integer(1, length));
    Tensors whole = subject.run({{"B", batch}, {"T", length}}, inputs), parts[2];
    const int64_t cut = random.integer(1, batch - 1);
    for (int half = 0; half < 2 && !whole.empty(); ++half) {
      int64_t first = half ? cut : 0, rows = half ? batch - cut : cut;
      Tensors some;
      for (const auto &[name, tensor] : inputs)
        some[name] = rowsOf(tensor, first, rows);
      Tensors part = subject.run({{"B", rows}, {"T", length}}, some);
      compare({{"y", rowsOf(whole.at("y"), first, rows)}}, part, 3e-6, "a batch in parts" + where, tally);
    }
    if (causal) {
      if (looksBehind(subject, inputs, batch, length, random.integer(1, length), random))
        tally.failures.push_back("a later token changes what stands before it" + where);
    } else {
      if (looksAtPadding(subject, inputs.at("x"), random.integer(1, 64 - length), true, random))
        tally.failures.push_back("padding changes the real tokens" + where);
    }
  }
}

void runPlanted(Tally &tally) {
  Random random(1);
  std::optional<ModelDesc> desc = readCase(Encoder(random, false, false).text(), tally);
  if (!desc)
    return;
  Subject subject(*desc, randomParameters(*desc, 1), {{"B", 8}, {"T", 64}}, tally);
  Tensors inputs = randomInputs(*desc, "forward", {{"B", 2}, {"T", 9}}, 1);
  if (!looksBehind(subject, inputs, 2, 9, 5, random) || !looksAtPadding(subject, inputs.at("x"), 3, false, random))
    tally.failures.push_back("expected two planted faults to be seen");
  // What an application sees by name, and the order of operands, are part of the object.
  auto model = [](const char *parameter, const char *output, const char *operands) {
    return std::string(R"({"format": "1.0", "name": "m", "inputs": {"x": {"dtype": "f32", "shape": [3]}, "y": {"dtype": "f32", "shape": [3]}},
      "graph": [{"id": "p", "op": "parameter", "shape": [3], "param": ")") + parameter + R"("}, {"id": "a", "op": "sub", "in": )" + operands +
           R"(}, {"id": "b", "op": "mul", "in": ["a", "p"]}], "outputs": {")" + output + R"(": "b"}})";
  };
  const std::string object = compiled(model("w", "out", R"(["x", "y"])"), tally);
  for (const std::string &other : {model("v", "out", R"(["x", "y"])"), model("w", "result", R"(["x", "y"])"), model("w", "out", R"(["y", "x"])")})
    if (object == compiled(other, tally))
      tally.failures.push_back("expected another object for another model");
}

}  // namespace weft::e2e
