// The one interface of gradient rules. Ops get it from `rules/`, as external models: the dialect knows no derivatives.
#ifndef WEFT_GRADIENT_OP_INTERFACE_TD
#define WEFT_GRADIENT_OP_INTERFACE_TD

include "mlir/IR/OpBase.td"

def Weft_GradientOpInterface : OpInterface<"GradientOpInterface"> {
  let description = [{
    An op that has a gradient. `buildGradient` reads the gradients of the op's results from `gradients` and adds those of
    its operands, written with weft ops at the builder's place. Values of the forward pass may be used as they are;
    GenerateBackward saves or computes again what a repeat's backward loop reads.
  }];
  let cppNamespace = "::weft";
  let methods = [InterfaceMethod<"Adds the gradients of the operands that need one.", "::llvm::LogicalResult", "buildGradient",
      (ins "::weft::Gradients &":$gradients)>];
}

#endif // WEFT_GRADIENT_OP_INTERFACE_TD
