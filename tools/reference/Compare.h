// Compares a computed tensor with the oracle's: how far apart they may be, and where they are furthest apart.
// The bound of an element is a multiple of the error that naive f32 loops make there, with a floor of a few ulps.
#ifndef WEFT_REFERENCE_COMPARE_H
#define WEFT_REFERENCE_COMPARE_H

#include "Tensor.h"

#include <string>

namespace weft::reference {

struct Bound {
  double naiveFactor = 8;  ///< times the error of naive f32: the largest of this element's own, the tensor's root mean
                           ///< square, a quarter of its largest, and its median relative error at this magnitude
  double ulps = 4;         ///< of the expected element
  double ofScale = 0;      ///< times the tensor's largest finite magnitude
  double relative = 0, absolute = 0;

  /// Equal bits up to the sign of zero and the payload of NaN.
  static Bound exact() { return {0, 0, 0, 0, 0}; }
  /// For numbers from another program: a part of the tensor's largest value.
  static Bound scale(double part) { return {0, 0, part, 0, 0}; }
};

struct Difference {
  std::vector<int64_t> index;
  double got = 0, expected = 0, allowed = 0;
  std::string str() const;  ///< "[0, 3]: expected 1.5 but got 1.25, allowed error 1e-06"
};

struct Comparison {
  std::string error;        ///< shapes or dtypes differ; nothing else is set then
  int64_t elements = 0, wrong = 0;
  double worstRatio = 0;    ///< largest |got - expected| / allowed; 0 / 0 counts as 0
  double largestError = 0, scale = 0;
  Difference first, worst;  ///< the first wrong element in row-major order, and the one with the worst ratio

  bool ok() const { return error.empty() && wrong == 0; }
  /// One line for a failure: how many, the first, the worst.
  std::string str() const;
};

/// `naive`: the same value from runReference in f32, or null. NaN must meet NaN and infinities their equals.
Comparison compare(const Tensor &got, const Tensor &expected, const Tensor *naive, const Bound &bound);

}  // namespace weft::reference

#endif  // WEFT_REFERENCE_COMPARE_H
