// The oracle's own derivatives of an entry's loss: forward mode, by the calculus of Dual.h in every op's loops.
// Shares no rule with the compiler, which works backwards. At corners: the subgradients that training promises.
#ifndef WEFT_REFERENCE_DERIVATIVES_H
#define WEFT_REFERENCE_DERIVATIVES_H

#include "Reference.h"

namespace weft::reference {

/// An input or parameter that moves: a component for each element. What does not move has no components.
struct Direction {
  std::string tensor;
  std::vector<double> components;
};

struct Derivatives {
  std::string error;          ///< empty: success
  double loss = 0;
  std::vector<double> along;  ///< of the loss along each direction
};

/// One run for kLanes directions.
Derivatives lossDerivatives(const ModelDesc &model, const RunOptions &at, const std::vector<Direction> &directions);

struct LossGradients {
  std::string error;
  std::map<std::string, Tensor> of;  ///< of the loss, by tensor
};

/// Every element of the gradients of some inputs and parameters: one run for kLanes elements.
LossGradients lossGradients(const ModelDesc &model, const RunOptions &at, const std::vector<std::string> &tensors);

}  // namespace weft::reference

#endif  // WEFT_REFERENCE_DERIVATIVES_H
