// The backward pass of NonFinite.h: the last node in order of execution that passes on a gradient which is not finite is
// the first of the backward pass that makes one, for all that it was given came from nodes after it.
#include "NonFinite.h"

#include "import/GradientProbes.h"

#include <algorithm>
#include <cmath>

namespace weft {
namespace {

constexpr int64_t kWrittenOut = 4000; ///< nodes of a repeat's rounds, all of which are compiled

class GradientSearch {
public:
  GradientSearch(const CommonOptions &common, const NonFiniteCall &call) : options(quietly(common)), call(call) {}

  int run(std::string &text) {
    std::vector<std::string> writtenOut;
    for (;;) {
      std::vector<GradientProbe> probes;
      std::vector<HostTensor> values;
      Runner runner;
      if (int code = runner.read(options))
        return code;
      addEntry(runner.model, call.entry);
      const std::string entry = addGradientProbes(runner.model, call.entry, writtenOut, probes);
      if (int code = callAgain(runner, options, entry, call, values))
        return code;
      std::string of;
      const GradientProbe *found = lastWrong(probes, values, /*shared=*/false, of);
      if (!found)
        found = lastWrong(probes, values, /*shared=*/true, of);
      if (!found)
        return kOk; // of a repeat whose rounds are finite one by one the text stays as it is
      text = "; every value of the forward pass is finite; the first gradient that is not finite is made by " + nodeText(runner.model, found->path, found->pos) + ", that of its " + of;
      if (!found->isRepeat || found->nodes > kWrittenOut)
        return kOk;
      writtenOut.push_back(found->path);
    }
  }

private:
  /// Gradients of parameters that several nodes share are looked at alone, and name the last of these nodes.
  static const GradientProbe *lastWrong(const std::vector<GradientProbe> &probes, const std::vector<HostTensor> &values, bool shared, std::string &of) {
    for (auto probe = probes.rbegin(); probe != probes.rend(); ++probe)
      for (const GradientProbe::Gradient &gradient : probe->gradients) {
        if (gradient.isShared != shared)
          continue;
        auto tensor = std::find_if(values.begin(), values.end(), [&](const HostTensor &value) { return value.name == gradient.output; });
        for (int64_t i = 0, count = tensor == values.end() ? 0 : tensor->elements(); i < count; ++i)
          if (!std::isfinite(tensor->at(i))) {
            of = gradient.of + ": " + elementText(*tensor, i);
            return &*probe;
          }
      }
    return nullptr;
  }

  CommonOptions options;
  const NonFiniteCall &call;
};

} // namespace

int explainGradients(const CommonOptions &options, const NonFiniteCall &call, std::string &text) { return GradientSearch(options, call).run(text); }

} // namespace weft
