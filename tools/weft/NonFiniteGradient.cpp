// The backward pass of NonFinite.h: the last node in order of execution that passes on a gradient which is not finite is
// the first of the backward pass that makes one, for all that it was given came from nodes after it.
#include "NonFinite.h"

#include "Signals.h"
#include "import/GradientProbes.h"

#include <algorithm>
#include <cmath>

namespace weft {
namespace {

constexpr int64_t kWrittenOut = 4000; ///< nodes of a repeat's rounds, all of which are compiled
/// Of gradients at once, if a quarter of what the entry takes is less. Each takes four times its bytes: as an output, in the
/// arena, the zeros that it is the gradient of, and their sum with the operand.
constexpr int64_t kPieceBytes = 64 << 20;

class GradientSearch {
public:
  GradientSearch(const CommonOptions &common, const NonFiniteCall &call) : options(quietly(common)), call(call) {}

  int run(std::string &text) {
    std::vector<std::string> writtenOut;
    for (;;) {
      std::optional<GradientProbe> found;
      if (int code = findLast(writtenOut, found, text))
        return code;
      if (!found || !found->isRepeat || found->nodes > kWrittenOut)
        return kOk; // of a repeat whose rounds are finite one by one the text stays as it is
      writtenOut.push_back(found->path);
    }
  }

private:
  /// The last node that makes a gradient which is not finite. Those of parameters that several nodes share name the last of
  /// these nodes, when there are no others.
  int findLast(const std::vector<std::string> &writtenOut, std::optional<GradientProbe> &found, std::string &text) {
    std::string ofShared;
    GradientPiece piece;
    piece.bytes = std::max(kPieceBytes, call.bytes / 4);
    while (piece.end > 0 && !caughtInterrupt()) {
      Runner runner;
      if (int code = runner.read(options))
        return code;
      addEntry(runner.model, call.entry);
      for (size_t d = 0; d < runner.model.dims.size(); ++d)
        piece.sizes[runner.model.dims[d].name] = call.dims[d];
      std::vector<GradientProbe> probes;
      const std::string entry = addGradientProbes(runner.model, call.entry, writtenOut, piece, probes);
      if (probes.empty())
        break;
      std::vector<HostTensor> values;
      if (int code = callAgain(runner, options, entry, call, values))
        return code;
      std::string of;
      if (const GradientProbe *own = lastWrong(probes, values, /*shared=*/false, of)) {
        found = *own;
        text = madeBy(runner.model, *own, of);
        return kOk;
      }
      if (const GradientProbe *shared = found ? nullptr : lastWrong(probes, values, /*shared=*/true, of)) {
        found = *shared;
        ofShared = madeBy(runner.model, *shared, of);
      }
    }
    if (found)
      text = ofShared;
    return kOk;
  }

  static std::string madeBy(const ModelDesc &model, const GradientProbe &probe, const std::string &of) {
    return "; every value of the forward pass is finite; the first gradient that is not finite is made by " + nodeText(model, probe.path, probe.pos) + ", that of its " + of;
  }

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
