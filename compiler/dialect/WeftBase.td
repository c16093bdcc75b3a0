// The weft dialect, its encoding attribute, type constraints, traits and the op base classes.
// Every op file includes this one.
#ifndef WEFT_BASE_TD
#define WEFT_BASE_TD

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/BuiltinAttributeInterfaces.td"
include "mlir/IR/OpBase.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/IR/TensorEncoding.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Weft_Dialect : Dialect {
  let name = "weft";
  let summary = "transformer graphs on tensors with named dims";
  let description = [{
    A model between JSON text and loops. Values are ranked tensors whose dynamic axes carry the closed expression that
    gives their size (`#weft.dims`), so that two axes are equal exactly when their expressions are. Parameters are
    symbols and never constants; a `weft.repeat` is one region however many layers it stands for. Every op is pure
    unless it names a state.
  }];
  let cppNamespace = "::weft";
  let useDefaultAttributePrinterParser = 1;
  let hasConstantMaterializer = 1;
}

class Weft_Attr<string name, string mn, list<Trait> traits = []> : AttrDef<Weft_Dialect, name, traits> {
  let mnemonic = mn;
}

def Weft_DimsAttr : Weft_Attr<"Dims", "dims", [DeclareAttrInterfaceMethods<VerifiableTensorEncoding>]> {
  let summary = "the sizes of a tensor's dynamic axes";
  let description = [{
    One text per `?` axis, in order: a named dim (`"T"`), or a closed expression over dims and repeat indices
    (`"B * T"`, `"T + 1"`). The text is canonical (`DimExpr::str()`): equal sizes have equal texts.

    ```mlir
    tensor<?x?x384xf32, #weft.dims<"B", "T">>
    ```
  }];
  let parameters = (ins ArrayRefParameter<"::mlir::StringAttr">:$names);
  let assemblyFormat = "`<` $names `>`";
}

def Weft_Tensor : RankedTensorOf<[F32, F16, BF16, F64, I32, I64, I8, UI8, I1]>;
def Weft_FloatTensor : RankedTensorOf<[F32, F16, BF16, F64]>;
def Weft_BoolTensor : RankedTensorOf<[I1]>;
def Weft_IndexTensor : RankedTensorOf<[I32, I64]>;

/// Result element i depends on the operands' elements at the broadcast position of i and on nothing else.
def Weft_Pointwise : NativeOpTrait<"Pointwise"> { let cppNamespace = "::weft::OpTrait"; }
/// Result element i is one operand element (or a constant); no arithmetic.
def Weft_Movement : NativeOpTrait<"Movement"> { let cppNamespace = "::weft::OpTrait"; }
/// Reduces or normalises along axes of its first operand.
def Weft_RowWise : NativeOpTrait<"RowWise"> { let cppNamespace = "::weft::OpTrait"; }
/// Short for other ops, which `--weft-expand-sugar` writes.
def Weft_Sugar : NativeOpTrait<"Sugar"> { let cppNamespace = "::weft::OpTrait"; }

class Weft_Op<string mnemonic, list<Trait> traits = []> : Op<Weft_Dialect, mnemonic, traits>;

/// A pure op whose result types follow from its operands and attributes; the verifier compares them.
class Weft_InferredOp<string mnemonic, list<Trait> traits = []>
    : Weft_Op<mnemonic, !listconcat([Pure, InferTypeOpAdaptor], traits)>;

/// y = f(x), element by element, same type.
class Weft_UnaryOp<string mnemonic, string what, string formula, Type type = Weft_FloatTensor>
    : Weft_Op<mnemonic, [Pure, Weft_Pointwise, SameOperandsAndResultType]> {
  let summary = what;
  let description = "`" # formula # "`, element by element.\n\n```mlir\n%y = weft." # mnemonic #
      " %x : tensor<?x16xf32, #weft.dims<\"B\">>\n```\n";
  let arguments = (ins type:$x);
  let results = (outs type:$y);
  let assemblyFormat = "$x attr-dict `:` type($x)";
}

/// z = f(x, y) with NumPy broadcasting; a scalar operand is a rank-0 tensor.
class Weft_BinaryOp<string mnemonic, string what, string formula, Type type = Weft_Tensor, list<Trait> traits = []>
    : Weft_InferredOp<mnemonic, !listconcat([Weft_Pointwise], traits)> {
  let summary = what;
  let description = "`" # formula # "` with NumPy's broadcasting: sizes are equal, or 1 on one side. Both operands have " #
      "one element type.\n\n```mlir\n%z = weft." # mnemonic #
      " %x, %y : (tensor<?x16xf32, #weft.dims<\"B\">>, tensor<16xf32>) -> tensor<?x16xf32, #weft.dims<\"B\">>\n```\n";
  let arguments = (ins type:$lhs, type:$rhs);
  let results = (outs type:$result);
  let assemblyFormat = "$lhs `,` $rhs attr-dict `:` functional-type(operands, results)";
}

class Weft_CompareOp<string mnemonic, string what, string formula> : Weft_BinaryOp<mnemonic, what, formula> {
  let description = "`" # formula # "` as bool, with NumPy's broadcasting. A comparison with NaN is false (`not_equal`: true)." #
      "\n\n```mlir\n%z = weft." # mnemonic #
      " %x, %y : (tensor<?xi32, #weft.dims<\"T\">>, tensor<i32>) -> tensor<?xi1, #weft.dims<\"T\">>\n```\n";
  let results = (outs Weft_BoolTensor:$result);
}

#endif // WEFT_BASE_TD
