// weft-lsp-server: definitions, references, hover texts and errors for `weft` IR in an editor that speaks LSP.
// It knows the dialects that stand in IR after any stage: those of `weft compile --stop-after`.
#include "dialect/Weft.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Tools/mlir-lsp-server/MlirLspServerMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  registry.insert<weft::WeftDialect, mlir::func::FuncDialect, mlir::arith::ArithDialect, mlir::cf::ControlFlowDialect, mlir::scf::SCFDialect, mlir::vector::VectorDialect, mlir::math::MathDialect,
                  mlir::LLVM::LLVMDialect>();
  return mlir::failed(mlir::MlirLspServerMain(argc, argv, registry));
}
