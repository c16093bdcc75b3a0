// Compiled gradients of a loss held against the f64 reference, in two ways: its own exact derivatives, and differences of its
// loss. Both are only sharp in f64, so the description is widened: every float of it becomes an f64.
#ifndef WEFT_TOOLS_SLOPES_H
#define WEFT_TOOLS_SLOPES_H

#include "Data.h"

#include "Derivatives.h"

namespace weft {

/// What holds for the gradient of one tensor.
struct SlopeCheck {
  std::string name;                     ///< of the parameter or input
  double norm = 0;                      ///< Euclidean, of the compiled gradient's finite elements
  bool byElement = false;               ///< every element was compared, beside the directions
  double allowed = 0;                   ///< of `worst`
  double worst = 0;                     ///< largest difference of the two numbers below; not finite if one of them isn't
  double gradient = 0, derivative = 0;  ///< there: the compiled gradient times the direction, and the reference's derivative
  std::string where;                    ///< "at element [2, 3]" or "along a random direction"

  int differences = 0, kinks = 0;       ///< directions with a central difference; those that crossed a kink and were drawn anew
  double centralDifference = 0;         ///< along a direction
  bool isCorner = false;                ///< a difference is not the reference's derivative: the tensor stands at a corner

  bool agrees() const { return worst <= allowed; }
  /// Every direction crosses a kink within the step: floats may stand on another side of it than f64 does.
  bool isKinked() const { return !agrees() && differences == 0; }
  bool wrong() const { return !agrees() && differences > 0; }
  /// The bound is as large as the gradient: only one that is far too large would be found.
  bool tooSmall() const { return agrees() && norm <= allowed; }
};

/// Every float type, attribute and parameter becomes f64.
void widen(ModelDesc &model);

/// The loss of an entry as a function of its tensors.
class Slopes {
public:
  /// `wide`: lives longer. `at`: the entry and all tensors. `compute`: what the compiled gradients are computed in.
  Slopes(const ModelDesc &wide, const reference::RunOptions &at, DType compute, uint64_t seed) : model(wide), at(at), compute(compute), seed(seed) {}

  /// Compares every gradient, named after its tensor, along `directions` directions of normal numbers drawn from the seed,
  /// and the smallest tensors element by element. False with the reason if the reference has no loss or no derivative there.
  bool check(const std::vector<std::pair<std::string, const HostTensor *>> &gradients, int directions, std::vector<SlopeCheck> &checks,
             std::string &reason);

private:
  struct Drawn;
  void setAllowed(std::vector<SlopeCheck> &checks) const;
  double lossAt(reference::Tensor &tensor, const std::vector<double> &values, const std::vector<double> &direction, double step);
  std::vector<Drawn> draw(SlopeCheck &check, int directions);
  double naiveError(const std::vector<reference::Direction> &directions, const std::vector<double> &exact) const;

  const ModelDesc &model;
  reference::RunOptions at;
  DType compute;
  uint64_t seed;
  double here = 0;
};

} // namespace weft

#endif // WEFT_TOOLS_SLOPES_H
