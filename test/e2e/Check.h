// Calls of one compiled model, each compared with the interpreter and repeated with two threads.
// State (caches) lives on from call to call, in the sessions and in the interpreter alike.
#ifndef WEFT_E2E_CHECK_H
#define WEFT_E2E_CHECK_H

#include "Compare.h"
#include "LoadedModel.h"
#include "Reference.h"

namespace weft::e2e {

struct Tally {
  int64_t calls = 0, elements = 0;
  double worstRatio = 0;      ///< of error to allowed error, over everything that passed or failed
  std::string worst;          ///< where that was
  std::vector<std::string> failures;
};

/// The bound of reliability: 8 times the error of naive f32 and 4 ulps, and what flushing denormals may cost.
reference::Bound defaultBound();

/// The model that a text is; a text that is none is a failure.
std::optional<ModelDesc> readCase(const std::string &text, Tally &tally);

struct CallSpec {
  std::string entry;
  Tensors inputs;
  std::map<std::string, int64_t> dims;  ///< as far as no input shows them
  std::vector<int64_t> valid;
  bool reset = false;                   ///< caches of both sides are emptied before
  std::string expectedError;            ///< part of the runtime's text; the interpreter must fail too
};

class Checker {
public:
  /// Without `compiled` only the interpreter runs.
  Checker(const ModelDesc &desc, const LoadedModel *compiled, const Tensors &parameters, reference::Bound bound, Tally &tally)
      : desc(desc), compiled(compiled), parameters(parameters), bound(bound), tally(tally) {}

  /// Sessions that hold sizes up to these; calls share them from now on.
  void open(const std::map<std::string, int64_t> &maxDims);
  void call(const CallSpec &spec, const std::string &label);

private:
  /// A step takes no inputs that are kept: the interpreter gets those of the prefill before.
  void recall(const CallSpec &spec, reference::RunOptions &options) const;
  void keep(const CallSpec &spec);
  void fail(const std::string &label, const std::string &text) { tally.failures.push_back(label + ": " + text); }

  const ModelDesc &desc;
  const LoadedModel *compiled;
  const Tensors &parameters;
  reference::Bound bound;
  Tally &tally;
  std::unique_ptr<Session> one, two;
  std::map<std::string, int64_t> opened;
  std::map<std::string, reference::KvCache> caches, naiveCaches;
  std::map<std::string, Tensors> kept;  ///< by step: the inputs of the last call of one of its prefills
};

}  // namespace weft::e2e

#endif  // WEFT_E2E_CHECK_H
