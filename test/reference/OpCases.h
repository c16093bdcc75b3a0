// The cases of OpNumbers.inc: one op on small operands, with the results of PyTorch.
// One table for the tests of values and of derivatives.
#ifndef WEFT_REFERENCE_OPCASES_H
#define WEFT_REFERENCE_OPCASES_H

#include "Ops.h"

namespace weft::reference {

struct Case {
  const char *op;
  std::map<std::string, AttrValue> attrs;
  std::vector<std::optional<Tensor>> operands;
  std::vector<std::pair<std::string, Tensor>> parameters;
  std::vector<Tensor> results;
};

const std::vector<Case> &cases();

}  // namespace weft::reference

#endif  // WEFT_REFERENCE_OPCASES_H
