// weft-opt reads IR, runs the passes named on the command line, and prints the result.
// It is mlir-opt with the weft dialect and passes; the tests are written with it.
#include "Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "mlir/Transforms/Passes.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  registry.insert<weft::WeftDialect, mlir::func::FuncDialect>();
  mlir::registerTransformsPasses();
  weft::registerWeftPasses();
  return mlir::asMainReturnCode(mlir::MlirOptMain(argc, argv, "weft optimizer driver\n", registry));
}
