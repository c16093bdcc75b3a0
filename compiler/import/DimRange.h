// What is known about a size before its dims have values: bounds and divisors, from the declared ranges.
// Bounds are safe (never tighter than the truth); all dims are non-negative.
#ifndef WEFT_IMPORT_DIMRANGE_H
#define WEFT_IMPORT_DIMRANGE_H

#include "import/ModelDesc.h"

namespace weft {

struct DimRange {
  int64_t low = 0, high = 0, multipleOf = 1;
};
using DimRanges = std::map<std::string, DimRange>;

std::optional<int64_t> lowestValue(const DimExpr &size, const DimRanges &ranges);
std::optional<int64_t> highestValue(const DimExpr &size, const DimRanges &ranges);
/// The size is a whole number, and `factor` divides it, whatever the dims are.
bool alwaysMultiple(const DimExpr &size, int64_t factor, const DimRanges &ranges);

} // namespace weft

#endif // WEFT_IMPORT_DIMRANGE_H
