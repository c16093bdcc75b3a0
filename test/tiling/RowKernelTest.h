// Builds weft.fused regions from short text, runs their kernels for every target of this machine in several partitions,
// and compares with RowReference.
#ifndef WEFT_TEST_TILING_ROWKERNELTEST_H
#define WEFT_TEST_TILING_ROWKERNELTEST_H

#include "KernelTest.h"
#include "RowReference.h"
#include "tiling/RowKernel.h"

#include "mlir/IR/OwningOpRef.h"

namespace weft::test {

/// "{B,7:f32}" in these texts stands for tensor<?x7xf32, #weft.dims<"B">>.
struct RowCase {
  std::string name;
  std::vector<std::string> operands;   ///< types, as "B,7:f32"; the region's arguments are %0, %1, …
  std::string body;                    ///< ops
  std::vector<std::string> yields;     ///< "%y : B,7:f32"
  std::vector<Dims> dims{{}};
  std::vector<std::pair<double, double>> ranges{};  ///< of operands' elements; default -2..2, integers 0..5
  double tolerance = 1e-6;             ///< of the result's scale, at least 1
  std::vector<std::vector<int>> layout{};  ///< order of the axes in memory, outermost first, by operand; default row-major
};

/// What the analysis says of known regions, special values, and indices out of range.
void runSpecialCases(const TargetInfo &target);

/// Parses the region; `holder` owns it.
FusedOp parseCase(const RowCase &test, mlir::MLIRContext *context, mlir::OwningOpRef<mlir::ModuleOp> &holder);

/// All cases (RowCases.cpp).
std::vector<RowCase> rowCases();

void runCase(const RowCase &test, const TargetInfo &target);

} // namespace weft::test

#endif // WEFT_TEST_TILING_ROWKERNELTEST_H
