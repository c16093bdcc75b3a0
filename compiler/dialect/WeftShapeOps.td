// Movement ops: results are elements of the operand at other places, or constants.
// Sizes that may contain dims are DimExpr texts, as in #weft.dims.
#ifndef WEFT_SHAPE_OPS_TD
#define WEFT_SHAPE_OPS_TD

include "WeftBase.td"

def Weft_ConcatOp : Weft_InferredOp<"concat", [Weft_Movement]> {
  let summary = "join along an axis";
  let description = [{
    Operands side by side along `axis`; all other sizes are equal.

    ```mlir
    %y = weft.concat %a, %b {axis = 0 : i64} : (tensor<2x8xf32>, tensor<3x8xf32>) -> tensor<5x8xf32>
    ```
  }];
  let arguments = (ins Variadic<Weft_Tensor>:$xs, I64Attr:$axis);
  let results = (outs Weft_Tensor:$y);
  let assemblyFormat = "$xs attr-dict `:` functional-type(operands, results)";
  let hasFolder = 1;
  let hasCanonicalizer = 1;
}

def Weft_ConstantOp : Weft_Op<"constant", [Pure, ConstantLike, Weft_Movement, AllTypesMatch<["value", "y"]>]> {
  let summary = "literal values of the model file";
  let description = [{
    A scalar or small tensor written in the file. Parameters are never constants.

    ```mlir
    %c = weft.constant dense<2.0> : tensor<f32>
    ```
  }];
  let arguments = (ins TypedAttrInterface:$value);
  let results = (outs Weft_Tensor:$y);
  let assemblyFormat = "$value attr-dict";
  let hasFolder = 1;
  let hasVerifier = 1;
}

def Weft_ExpandOp : Weft_Op<"expand", [Pure, Weft_Movement]> {
  let summary = "broadcast to a shape";
  let description = [{
    NumPy's broadcast_to: axes of size 1 (and missing leading axes) repeat.

    ```mlir
    %y = weft.expand %x : tensor<1x8xf32> to tensor<?x8xf32, #weft.dims<"B">>
    ```
  }];
  let arguments = (ins Weft_Tensor:$x);
  let results = (outs Weft_Tensor:$y);
  let assemblyFormat = "$x attr-dict `:` type($x) `to` type($y)";
  let hasVerifier = 1;
  let hasFolder = 1;
}

def Weft_GatherOp : Weft_InferredOp<"gather"> {
  let summary = "take along an axis";
  let description = [{
    NumPy's take_along_axis: `y[…, j, …] = x[…, index[…, j, …], …]` at `axis`; x and index have one rank and broadcast on
    the other axes. An index outside the axis is an error of the call that names the element, never a wild read.

    ```mlir
    %y = weft.gather %x, %i {axis = 1 : i64} : (tensor<?x8xf32, #weft.dims<"B">>, tensor<?x2xi32, #weft.dims<"B">>) -> tensor<?x2xf32, #weft.dims<"B">>
    ```
  }];
  let arguments = (ins Weft_Tensor:$x, Weft_IndexTensor:$index, I64Attr:$axis);
  let results = (outs Weft_Tensor:$y);
  let assemblyFormat = "$x `,` $index attr-dict `:` functional-type(operands, results)";
}

def Weft_IotaOp : Weft_Op<"iota", [Pure, Weft_Movement]> {
  let summary = "0, 1, 2, …";
  let description = [{
    `y[i] = i` in the element type.

    ```mlir
    %y = weft.iota : tensor<?xi32, #weft.dims<"T">>
    ```
  }];
  let results = (outs Weft_Tensor:$y);
  let assemblyFormat = "attr-dict `:` type($y)";
  let hasVerifier = 1;
}

def Weft_ReshapeOp : Weft_Op<"reshape", [Pure, Weft_Movement]> {
  let summary = "the same elements in row-major order under another shape";
  let description = [{
    Element counts are equal as expressions of the dims. `flatten`, `squeeze` and `unsqueeze` are reshapes.

    ```mlir
    %y = weft.reshape %x : tensor<?x?x64xf32, #weft.dims<"B", "T">> to tensor<?x?x8x8xf32, #weft.dims<"B", "T">>
    ```
  }];
  let arguments = (ins Weft_Tensor:$x);
  let results = (outs Weft_Tensor:$y);
  let assemblyFormat = "$x attr-dict `:` type($x) `to` type($y)";
  let hasVerifier = 1;
  let hasFolder = 1;
  let hasCanonicalizer = 1;
}

def Weft_SizeOp : Weft_Op<"size", [Pure, Weft_Movement]> {
  let summary = "a size as a number";
  let description = [{
    The value of `expr`, a DimExpr text, as a scalar of the element type: exact up to 2^24 in f32.

    ```mlir
    %n = weft.size "B * T" : tensor<f32>
    ```
  }];
  let arguments = (ins StrAttr:$expr);
  let results = (outs Weft_Tensor:$y);
  let assemblyFormat = "$expr attr-dict `:` type($y)";
  let hasVerifier = 1;
  let hasFolder = 1;
}

def Weft_SliceOp : Weft_Op<"slice", [Pure, Weft_Movement]> {
  let summary = "a strided part of one axis";
  let description = [{
    `y[…, j, …] = x[…, start + j · step, …]`; the result's axis has the size ceil((end - start) / step), given by its type.
    `start` is a DimExpr text (non-negative). `split` is one slice per part; `select` a slice and a reshape.

    ```mlir
    %y = weft.slice %x {axis = 1 : i64, start = "T - 1", step = 1 : i64} : tensor<?x?x8xf32, #weft.dims<"B", "T">> to tensor<?x1x8xf32, #weft.dims<"B">>
    ```
  }];
  let arguments = (ins Weft_Tensor:$x, I64Attr:$axis, StrAttr:$start, I64Attr:$step);
  let results = (outs Weft_Tensor:$y);
  let assemblyFormat = "$x attr-dict `:` type($x) `to` type($y)";
  let hasVerifier = 1;
  let hasFolder = 1;
  let hasCanonicalizer = 1;
}

def Weft_TransposeOp : Weft_InferredOp<"transpose", [Weft_Movement]> {
  let summary = "permute the axes";
  let description = [{
    Axis i of the result is axis `perm[i]` of x.

    ```mlir
    %y = weft.transpose %x {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x8x64xf32, #weft.dims<"B", "T">>) -> tensor<?x8x?x64xf32, #weft.dims<"B", "T">>
    ```
  }];
  let arguments = (ins Weft_Tensor:$x, DenseI64ArrayAttr:$perm);
  let results = (outs Weft_Tensor:$y);
  let assemblyFormat = "$x attr-dict `:` functional-type(operands, results)";
  let hasFolder = 1;
  let hasCanonicalizer = 1;
}

#endif // WEFT_SHAPE_OPS_TD
