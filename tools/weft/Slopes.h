// Central differences of a loss that the f64 reference computes, along random directions, held against a compiled gradient.
// Differences are only sharp in f64, so the description is widened: every float of it becomes an f64.
#ifndef WEFT_TOOLS_SLOPES_H
#define WEFT_TOOLS_SLOPES_H

#include "Data.h"

#include "Reference.h"

namespace weft {

/// What holds for the gradient of one tensor.
struct SlopeCheck {
  std::string name;                       ///< of the parameter or input
  double norm = 0;                        ///< Euclidean, of the compiled gradient
  double allowed = 0;
  int compared = 0, kinks = 0;            ///< directions that were compared; those that crossed a kink and were drawn anew
  double worst = 0;                       ///< largest difference of the two numbers below; not finite if one of them isn't
  double gradient = 0, difference = 0;    ///< there: the compiled gradient times the direction, and the central difference

  bool wrong() const { return compared > 0 && !(worst <= allowed); }
  /// The bound is as large as the gradient: only one that is far too large would be found.
  bool tooSmall() const { return !wrong() && compared > 0 && norm <= allowed; }
};

/// Sets `allowed` of all: a part of the tensor's own gradient, as far as floats of `compute` are exact, and a fiftieth of that part
/// of the largest gradient, since a gradient that is small by cancellation is as far off as the terms that it is a sum of.
/// The product with a direction of normal numbers has the norm as its standard deviation, so norms are the measure.
void setAllowed(std::vector<SlopeCheck> &checks, DType compute);

/// Every float type, attribute and parameter becomes f64.
void widen(ModelDesc &model);

double normOf(const HostTensor &tensor);

/// The loss of an entry as a function of its tensors.
class Slopes {
public:
  /// `wide`: lives longer. `at`: the entry and all tensors.
  Slopes(const ModelDesc &wide, const reference::RunOptions &at, uint64_t seed) : model(wide), at(at), seed(seed) {}

  /// The loss where the tensors stand; false with the reason, also if it is not finite. Before `check`.
  bool start(std::string &reason);
  /// Compares along `directions` directions, of normal numbers drawn from the seed. One-sided differences that disagree
  /// mean a kink, where no gradient is right: another direction is drawn, a few times.
  void check(const HostTensor &gradient, int directions, SlopeCheck &result);

private:
  double lossAt(reference::Tensor &tensor, const std::vector<double> &values, const std::vector<double> &direction, double step);

  const ModelDesc &model;
  reference::RunOptions at;
  uint64_t seed;
  double here = 0;
};

} // namespace weft

#endif // WEFT_TOOLS_SLOPES_H
