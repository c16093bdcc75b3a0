// The explanation of NonFinite.h for a command that has done its work: nothing in it may be the command's failure.
#include "NonFinite.h"

namespace weft {

NonFiniteReason reasonOf(const CommonOptions &options, const ModelDesc &model, size_t calls, const std::function<NonFiniteCall(size_t)> &callOf,
                         const std::function<bool(const std::string &)> &isFinite) {
  NonFiniteReason reason;
  bool isForwardFinite = false;
  int code = kOk;
  HeldErrors errors;
  for (auto *explain : {explainNonFinite, explainGradients}) {
    for (reason.call = 0; reason.call < calls; ++reason.call) {
      code = explain(options, callOf(reason.call), reason.text);
      if (code)
        note(options, "weft: note: the search for where that begins ended early: " + errors.text);
      if (code && reason.text.empty())
        break;
      if (!reason.text.empty())
        return reason;
    }
    if (code)
      break;
    isForwardFinite = true;
  }
  reason.call = calls - 1;
  reason.text = (isForwardFinite ? "; every value of the forward pass is finite" : "") + nodeOfGradient(model, isFinite);
  return reason;
}

} // namespace weft
