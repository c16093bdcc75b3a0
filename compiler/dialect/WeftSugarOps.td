// Ops of the model file that are short for others. The imported graph reads like the file; nothing after them needs to know them.
// `--weft-expand-sugar` writes each with the ops of the other chapters.
#ifndef WEFT_SUGAR_OPS_TD
#define WEFT_SUGAR_OPS_TD

include "WeftBase.td"

class Weft_SugarOp<string mnemonic, list<Trait> traits = []> : Weft_InferredOp<mnemonic, !listconcat([Weft_Sugar], traits)>;

//===-- dense --------------------------------------------------------------------------------------------------------===//

def Weft_LinearOp : Weft_SugarOp<"linear"> {
  let summary = "affine map of the last axis, with an activation";
  let description = [{
    x `[…, in]`, weight W `[features, in]`, bias b `[features]` → `y = act(x Wᵀ + b)`, `[…, features]`. `activation` is one of
    `relu gelu gelu_tanh silu tanh sigmoid`, or left out.

    ```mlir
    %y = weft.linear %x, %w bias(%b) {activation = "gelu"} : (tensor<?x64xf32, #weft.dims<"T">>, tensor<512x64xf32>, tensor<512xf32>) -> tensor<?x512xf32, #weft.dims<"T">>
    ```
  }];
  let arguments = (ins Weft_FloatTensor:$x, Weft_FloatTensor:$weight, Optional<Weft_FloatTensor>:$bias, OptionalAttr<StrAttr>:$activation);
  let results = (outs Weft_FloatTensor:$y);
  let assemblyFormat = "$x `,` $weight (`bias` `(` $bias^ `)`)? attr-dict `:` functional-type(operands, results)";
}

//===-- positions ----------------------------------------------------------------------------------------------------===//

def Weft_PositionEmbeddingOp : Weft_Op<"position_embedding", [Pure, Weft_Sugar]> {
  let summary = "a vector for each position";
  let description = [{
    One row for each place of x's axis `axis`, of positions p = `offset`, `offset` + 1, …; with a `state`, whose B sequences
    have lengths of their own, p = length[b], length[b] + 1, …. With a table `[rows, features]` the row is `table[p, :]`
    (learned), else `y[…, 2i] = sin(p / base^(2i/features))`, `y[…, 2i+1] = cos(same)`. The result is `[T, features]`, or
    `[B, T, features]` where sequences have positions of their own or are written so. Of x only the shape is read.

    ```mlir
    %y = weft.position_embedding %ids table(%w : tensor<512x64xf32>) {axis = 1 : i64, offset = "0"} : tensor<?x?xi32, #weft.dims<"B", "T">> to tensor<?x64xf32, #weft.dims<"T">>
    ```
  }];
  let arguments = (ins Weft_Tensor:$x, Optional<Weft_FloatTensor>:$table, I64Attr:$axis, DefaultValuedStrAttr<StrAttr, "0">:$offset,
      OptionalAttr<FlatSymbolRefAttr>:$state, DefaultValuedAttr<F64Attr, "10000.0">:$base);
  let results = (outs Weft_FloatTensor:$y);
  let assemblyFormat = "$x (`table` `(` $table^ `:` type($table) `)`)? attr-dict `:` type($x) `to` type($y)";
  let hasVerifier = 1;
}

//===-- attention ----------------------------------------------------------------------------------------------------===//

def Weft_MhaOp : Weft_Op<"mha", [Weft_Sugar, AttrSizedOperandSegments, DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "multi-head attention with its projections";
  let description = [{
    q `[B, Tq, E]` alone, or q with k and v `[B, Tk, E]` (cross). in_proj W `[3E, E]` and c `[3E]` are three projections one
    below the other: `y = attention(q W₀ᵀ + c₀, k W₁ᵀ + c₁, v W₂ᵀ + c₂) Wₒᵀ + cₒ`, out_proj Wₒ `[E, E]`, cₒ `[E]`. Attributes,
    masks and the second result as `weft.attention`, with one key head for each query head.

    ```mlir
    %y = weft.mha %x in_proj(%w, %c) out_proj(%wo, %co) {heads = 8 : i64, scale = 0.125 : f64, causal} : (tensor<?x?x64xf32, #weft.dims<"B", "T">>, tensor<192x64xf32>, tensor<192xf32>, tensor<64x64xf32>, tensor<64xf32>) -> tensor<?x?x64xf32, #weft.dims<"B", "T">>
    ```
  }];
  let arguments = (ins Weft_FloatTensor:$q, Optional<Weft_FloatTensor>:$k, Optional<Weft_FloatTensor>:$v,
      Weft_FloatTensor:$in_weight, Optional<Weft_FloatTensor>:$in_bias, Weft_FloatTensor:$out_weight, Optional<Weft_FloatTensor>:$out_bias,
      Optional<Weft_BoolTensor>:$key_mask, Optional<Weft_BoolTensor>:$mask, Optional<Weft_FloatTensor>:$bias,
      I64Attr:$heads, F64Attr:$scale, UnitAttr:$causal, OptionalAttr<I64Attr>:$window, OptionalAttr<F64Attr>:$softcap,
      DefaultValuedAttr<F64Attr, "0.0">:$dropout, OptionalAttr<FlatSymbolRefAttr>:$cache, OptionalAttr<StrAttr>:$layer,
      OptionalAttr<StrAttr>:$weights, OptionalAttr<I64Attr>:$site, OptionalAttr<StrAttr>:$round);
  let results = (outs Weft_FloatTensor:$y, Optional<Weft_FloatTensor>:$map);
  let assemblyFormat = [{
    $q (`,` $k^ `,` $v)? `in_proj` `(` $in_weight (`,` $in_bias^)? `)` `out_proj` `(` $out_weight (`,` $out_bias^)? `)`
    (`key_mask` `(` $key_mask^ `)`)? (`mask` `(` $mask^ `)`)? (`bias` `(` $bias^ `)`)? attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

//===-- pointwise ----------------------------------------------------------------------------------------------------===//

class Weft_GatedOp<string mnemonic, string what, string formula, dag attributes = (ins)> : Weft_SugarOp<mnemonic> {
  let summary = what;
  let description = "`" # formula # "` with NumPy's broadcasting.\n\n```mlir\n%y = weft." # mnemonic #
      " %gate, %up : (tensor<?x16xf32, #weft.dims<\"B\">>, tensor<?x16xf32, #weft.dims<\"B\">>) -> tensor<?x16xf32, #weft.dims<\"B\">>\n```\n";
  let arguments = !con((ins Weft_FloatTensor:$gate, Weft_FloatTensor:$up), attributes);
  let results = (outs Weft_FloatTensor:$y);
  let assemblyFormat = "$gate `,` $up attr-dict `:` functional-type(operands, results)";
}

def Weft_GegluOp : Weft_GatedOp<"geglu", "unit gated by gelu", "y = gelu(gate) · up (`approximate`: the tanh form)", (ins UnitAttr:$approximate)>;
def Weft_SwigluOp : Weft_GatedOp<"swiglu", "unit gated by silu", "y = silu(gate) · up">;

def Weft_MaskedFillOp : Weft_SugarOp<"masked_fill"> {
  let summary = "a number where a mask is true";
  let description = [{
    `y = mask ? value : x` with NumPy's broadcasting of x and mask; value is a scalar.

    ```mlir
    %y = weft.masked_fill %x, %m, %v : (tensor<?x16xf32, #weft.dims<"B">>, tensor<16xi1>, tensor<f32>) -> tensor<?x16xf32, #weft.dims<"B">>
    ```
  }];
  let arguments = (ins Weft_Tensor:$x, Weft_BoolTensor:$mask, Weft_Tensor:$value);
  let results = (outs Weft_Tensor:$y);
  let assemblyFormat = "$x `,` $mask `,` $value attr-dict `:` functional-type(operands, results)";
  let hasFolder = 1;
}

//===-- shapes -------------------------------------------------------------------------------------------------------===//

def Weft_FlattenOp : Weft_SugarOp<"flatten"> {
  let summary = "merge neighbouring axes";
  let description = [{
    The axes `start` … `end` (inclusive) become one, in row-major order.

    ```mlir
    %y = weft.flatten %x {start = 1 : i64, end = 2 : i64} : (tensor<?x28x28xf32, #weft.dims<"B">>) -> tensor<?x784xf32, #weft.dims<"B">>
    ```
  }];
  let arguments = (ins Weft_Tensor:$x, I64Attr:$start, I64Attr:$end);
  let results = (outs Weft_Tensor:$y);
  let assemblyFormat = "$x attr-dict `:` functional-type(operands, results)";
  let hasFolder = 1;
}

def Weft_SelectOp : Weft_SugarOp<"select"> {
  let summary = "one element of an axis";
  let description = [{
    `y[…, …] = x[…, index, …]` at `axis`, which is dropped. `index` is a DimExpr text (non-negative).

    ```mlir
    %y = weft.select %x {axis = 1 : i64, index = "T - 1"} : (tensor<?x?x8xf32, #weft.dims<"B", "T">>) -> tensor<?x8xf32, #weft.dims<"B">>
    ```
  }];
  let arguments = (ins Weft_Tensor:$x, I64Attr:$axis, StrAttr:$index);
  let results = (outs Weft_Tensor:$y);
  let assemblyFormat = "$x attr-dict `:` functional-type(operands, results)";
  let hasFolder = 1;
}

def Weft_SplitOp : Weft_Op<"split", [Pure, Weft_Sugar]> {
  let summary = "cut an axis into parts";
  let description = [{
    The parts lie behind each other along `axis`; their sizes, given by the result types, add up to the axis.

    ```mlir
    %a, %b = weft.split %x {axis = 1 : i64} : tensor<?x5xf32, #weft.dims<"B">> to tensor<?x2xf32, #weft.dims<"B">>, tensor<?x3xf32, #weft.dims<"B">>
    ```
  }];
  let arguments = (ins Weft_Tensor:$x, I64Attr:$axis);
  let results = (outs Variadic<Weft_Tensor>:$parts);
  let assemblyFormat = "$x attr-dict `:` type($x) `to` type($parts)";
  let hasVerifier = 1;
  let hasFolder = 1;
}

class Weft_UnitAxisOp<string mnemonic, string what, string text, string types> : Weft_SugarOp<mnemonic> {
  let summary = what;
  let description = text # "\n\n```mlir\n%y = weft." # mnemonic # " %x {axis = 1 : i64} : " # types # "\n```\n";
  let arguments = (ins Weft_Tensor:$x, I64Attr:$axis);
  let results = (outs Weft_Tensor:$y);
  let assemblyFormat = "$x attr-dict `:` functional-type(operands, results)";
  let hasFolder = 1;
}

def Weft_SqueezeOp : Weft_UnitAxisOp<"squeeze", "drop an axis of size 1", "x without its axis `axis`, which has size 1.",
    "(tensor<?x1x8xf32, #weft.dims<\"B\">>) -> tensor<?x8xf32, #weft.dims<\"B\">>">;
def Weft_UnsqueezeOp : Weft_UnitAxisOp<"unsqueeze", "add an axis of size 1", "x with a new axis of size 1 in place `axis` of the result.",
    "(tensor<?x8xf32, #weft.dims<\"B\">>) -> tensor<?x1x8xf32, #weft.dims<\"B\">>">;

#endif // WEFT_SUGAR_OPS_TD
