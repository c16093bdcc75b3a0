// Reductions, norms, softmax and pooling: work along axes of one operand.
// `axis` / `axes` are normalised to 0 … rank-1.
#ifndef WEFT_ROW_OPS_TD
#define WEFT_ROW_OPS_TD

include "WeftBase.td"

class Weft_ReductionOp<string mnemonic, string what, string formula, Type type = Weft_Tensor>
    : Weft_InferredOp<mnemonic, [Weft_RowWise]> {
  let summary = what;
  let description = "`" # formula # "` over `axes`; with `keepdim` the reduced axes stay, with size 1." #
      "\n\n```mlir\n%y = weft." # mnemonic # " %x {axes = array<i64: 1>} : " #
      "(tensor<?x?x8xf32, #weft.dims<\"B\", \"T\">>) -> tensor<?x8xf32, #weft.dims<\"B\">>\n```\n";
  let arguments = (ins type:$x, DenseI64ArrayAttr:$axes, UnitAttr:$keepdim);
  let results = (outs type:$y);
  let assemblyFormat = "$x attr-dict `:` functional-type(operands, results)";
}

def Weft_ReduceMaxOp : Weft_ReductionOp<"reduce_max", "largest element", "y = max x; NaN if any is">;
def Weft_ReduceMeanOp : Weft_ReductionOp<"reduce_mean", "mean", "y = Σ x / n", Weft_FloatTensor>;
def Weft_ReduceMinOp : Weft_ReductionOp<"reduce_min", "smallest element", "y = min x; NaN if any is">;
def Weft_ReduceSumOp : Weft_ReductionOp<"reduce_sum", "sum", "y = Σ x, accumulated in precision.accumulate">;

def Weft_VarOp : Weft_InferredOp<"var", [Weft_RowWise]> {
  let summary = "variance";
  let description = [{
    `y = Σ (x - mean)² / (n - c)` over `axes`, c = 1 with `unbiased`, else 0.

    ```mlir
    %y = weft.var %x {axes = array<i64: 1>, unbiased} : (tensor<4x8xf32>) -> tensor<4xf32>
    ```
  }];
  let arguments = (ins Weft_FloatTensor:$x, DenseI64ArrayAttr:$axes, UnitAttr:$keepdim, UnitAttr:$unbiased);
  let results = (outs Weft_FloatTensor:$y);
  let assemblyFormat = "$x attr-dict `:` functional-type(operands, results)";
}

def Weft_ArgmaxOp : Weft_InferredOp<"argmax", [Weft_RowWise]> {
  let summary = "position of the largest element";
  let description = [{
    The lowest index j with `x[j] = max x` along `axis`, as i32.

    ```mlir
    %y = weft.argmax %x {axis = 1 : i64} : (tensor<?x10xf32, #weft.dims<"B">>) -> tensor<?xi32, #weft.dims<"B">>
    ```
  }];
  let arguments = (ins Weft_Tensor:$x, I64Attr:$axis, UnitAttr:$keepdim);
  let results = (outs Weft_IndexTensor:$y);
  let assemblyFormat = "$x attr-dict `:` functional-type(operands, results)";
}

class Weft_AlongAxisOp<string mnemonic, string what, string text>
    : Weft_Op<mnemonic, [Pure, Weft_RowWise, SameOperandsAndResultType]> {
  let summary = what;
  let description = text # "\n\n```mlir\n%y = weft." # mnemonic # " %x {axis = 1 : i64} : tensor<?x8xf32, #weft.dims<\"B\">>\n```\n";
  let arguments = (ins Weft_FloatTensor:$x, I64Attr:$axis);
  let results = (outs Weft_FloatTensor:$y);
  let assemblyFormat = "$x attr-dict `:` type($x)";
  let hasVerifier = 1;
}

def Weft_SoftmaxOp : Weft_AlongAxisOp<"softmax", "normalised exponentials",
    "`y = e^(x - max x) / Σ e^(x - max x)` along `axis`; a row of only -inf gives zeros.">;
def Weft_LogSoftmaxOp : Weft_AlongAxisOp<"log_softmax", "logarithm of softmax",
    "`y = x - max x - ln Σ e^(x - max x)` along `axis`.">;

def Weft_L2NormalizeOp : Weft_Op<"l2_normalize", [Pure, Weft_RowWise, SameOperandsAndResultType]> {
  let summary = "scale to unit length";
  let description = [{
    `y = x / max(√Σ x², eps)` along `axis`.

    ```mlir
    %y = weft.l2_normalize %x {axis = 1 : i64, eps = 1.0e-12 : f64} : tensor<?x8xf32, #weft.dims<"B">>
    ```
  }];
  let arguments = (ins Weft_FloatTensor:$x, I64Attr:$axis, F64Attr:$eps);
  let results = (outs Weft_FloatTensor:$y);
  let assemblyFormat = "$x attr-dict `:` type($x)";
  let hasVerifier = 1;
}

def Weft_LayerNormOp : Weft_Op<"layer_norm", [Pure, Weft_RowWise, AttrSizedOperandSegments, AllTypesMatch<["x", "y"]>]> {
  let summary = "zero mean and unit variance along an axis";
  let description = [{
    `y = (x - μ) / √(σ² + eps) · weight + bias` along `axis`, μ and σ² its mean and variance (divided by n, by n - 1 with
    `unbiased`); with `eps_outside` the divisor is `σ + eps`. Weight and bias `[n]` are optional.

    ```mlir
    %y = weft.layer_norm %x weight(%g : tensor<8xf32>) bias(%b : tensor<8xf32>) {axis = 1 : i64, eps = 1.0e-5 : f64} : tensor<?x8xf32, #weft.dims<"B">>
    ```
  }];
  let arguments = (ins Weft_FloatTensor:$x, Optional<Weft_FloatTensor>:$weight, Optional<Weft_FloatTensor>:$bias,
      I64Attr:$axis, F64Attr:$eps, UnitAttr:$unbiased, UnitAttr:$eps_outside);
  let results = (outs Weft_FloatTensor:$y);
  let assemblyFormat = [{
    $x (`weight` `(` $weight^ `:` type($weight) `)`)? (`bias` `(` $bias^ `:` type($bias) `)`)? attr-dict `:` type($x)
  }];
  let hasVerifier = 1;
}

def Weft_RmsNormOp : Weft_InferredOp<"rms_norm", [Weft_RowWise]> {
  let summary = "unit root mean square along the last axis";
  let description = [{
    `y = x / √(mean(x²) + eps) · weight`.

    ```mlir
    %y = weft.rms_norm %x, %g {eps = 1.0e-5 : f64} : (tensor<?x8xf32, #weft.dims<"B">>, tensor<8xf32>) -> tensor<?x8xf32, #weft.dims<"B">>
    ```
  }];
  let arguments = (ins Weft_FloatTensor:$x, Weft_FloatTensor:$weight, F64Attr:$eps);
  let results = (outs Weft_FloatTensor:$y);
  let assemblyFormat = "$x `,` $weight attr-dict `:` functional-type(operands, results)";
}

class Weft_PoolOp<string mnemonic, string what, string text> : Weft_InferredOp<mnemonic, [Weft_RowWise]> {
  let summary = what;
  let description = text # "\n\n```mlir\n%y = weft." # mnemonic # " %x mask(%m : tensor<?x?xi1, #weft.dims<\"B\", \"T\">>) : " #
      "tensor<?x?x8xf32, #weft.dims<\"B\", \"T\">> to tensor<?x8xf32, #weft.dims<\"B\">>\n```\n";
  let arguments = (ins Weft_FloatTensor:$x, Optional<Weft_BoolTensor>:$mask);
  let results = (outs Weft_FloatTensor:$y);
  let assemblyFormat = "$x (`mask` `(` $mask^ `:` type($mask) `)`)? attr-dict `:` type($x) `to` type($y)";
}

def Weft_MeanPoolOp : Weft_PoolOp<"mean_pool", "mean over the positions a mask keeps",
    "x `[B, T, D]`, mask `[B, T]` → `y[b, d] = Σ_t x[b, t, d] mask[b, t] / max(Σ_t mask[b, t], 1)`; all positions without a mask.">;
def Weft_MaxPoolOp : Weft_PoolOp<"max_pool", "largest element over the positions a mask keeps",
    "x `[B, T, D]`, mask `[B, T]` → `y[b, d] = max_t x[b, t, d]` over the t with mask; no such t gives 0.">;

#endif // WEFT_ROW_OPS_TD
