// Directions are packed into the lanes of as few runs as possible, whatever tensors they move.
#include "Derivatives.h"

#include "Dual.h"

#include <algorithm>

namespace weft::reference {
namespace {

class Runs {
public:
  Runs(const ModelDesc &model, const RunOptions &at) : model(model), at(at) {
    this->at.keepAll = false;
  }

  Tensor *tensor(const std::string &name) {
    for (std::map<std::string, Tensor> *tensors : {&at.parameters, &at.inputs})
      if (auto found = tensors->find(name); found != tensors->end() && found->second.real())
        return &found->second;
    return nullptr;
  }

  /// Lets an element of a tensor move in a lane.
  void move(Tensor &tensor, int64_t element, int lane, double component) {
    tensor.tangents.resize(tensor.reals.size() * kLanes);
    tensor.tangents[static_cast<size_t>(element * kLanes + lane)] = component;
  }

  /// Runs, and everything stands still again. False: `error` says why.
  bool run() {
    KeptCaches caches(at);
    RunResult result = runReference(model, at);
    for (std::map<std::string, Tensor> *tensors : {&at.parameters, &at.inputs})
      for (auto &[name, each] : *tensors)
        each.tangents.clear();
    error = result.error;
    if (!result.ok())
      return false;
    const Tensor &found = result.outputs.at("loss");
    loss = found.at(0);
    derivatives = found.tangents.empty() ? std::vector<double>(kLanes, 0.0) : found.tangents;
    return true;
  }

  std::string error;
  double loss = 0;
  std::vector<double> derivatives;  ///< one for each lane

private:
  /// A run must not leave its tokens in the caller's caches.
  struct KeptCaches {
    explicit KeptCaches(RunOptions &at) : at(at), original(at.caches) {
      if (original) {
        copy = *original;
        at.caches = &copy;
      }
    }
    ~KeptCaches() { at.caches = original; }
    RunOptions &at;
    std::map<std::string, KvCache> *original, copy;
  };

  const ModelDesc &model;
  RunOptions at;
};

}  // namespace

Derivatives lossDerivatives(const ModelDesc &model, const RunOptions &at, const std::vector<Direction> &directions) {
  Derivatives result;
  Runs runs(model, at);
  for (size_t first = 0; first < directions.size(); first += kLanes) {
    size_t end = std::min(first + kLanes, directions.size());
    for (size_t i = first; i < end; ++i) {
      Tensor *tensor = runs.tensor(directions[i].tensor);
      if (!tensor || tensor->reals.size() != directions[i].components.size()) {
        result.error = "no float tensor '" + directions[i].tensor + "' of " + std::to_string(directions[i].components.size()) + " elements";
        return result;
      }
      for (size_t element = 0; element < tensor->reals.size(); ++element)
        runs.move(*tensor, static_cast<int64_t>(element), static_cast<int>(i - first), directions[i].components[element]);
    }
    if (!runs.run()) {
      result.error = runs.error;
      return result;
    }
    result.loss = runs.loss;
    result.along.insert(result.along.end(), runs.derivatives.begin(), runs.derivatives.begin() + static_cast<int64_t>(end - first));
  }
  return result;
}

LossGradients lossGradients(const ModelDesc &model, const RunOptions &at, const std::vector<std::string> &tensors) {
  LossGradients result;
  Runs runs(model, at);
  std::vector<double *> places;  // of the lanes in use
  auto flush = [&] {
    if (places.empty())
      return true;
    bool ok = runs.run();
    for (size_t lane = 0; ok && lane < places.size(); ++lane)
      *places[lane] = runs.derivatives[lane];
    places.clear();
    return ok;
  };
  for (const std::string &name : tensors) {
    Tensor *tensor = runs.tensor(name);
    if (!tensor) {
      result.error = "no float tensor '" + name + "'";
      return result;
    }
    Tensor &gradient = result.of[name];
    gradient = Tensor(tensor->dtype, tensor->shape, std::vector<double>(tensor->reals.size(), 0.0));
    for (size_t element = 0; element < tensor->reals.size(); ++element) {
      runs.move(*tensor, static_cast<int64_t>(element), static_cast<int>(places.size()), 1);
      places.push_back(&gradient.reals[element]);
      if (places.size() == kLanes && !flush()) {
        result.error = runs.error;
        return result;
      }
    }
  }
  if (!flush())
    result.error = runs.error;
  return result;
}

}  // namespace weft::reference
