// Embeddings and positions, contractions, attention.
#ifndef WEFT_TRANSFORMER_OPS_TD
#define WEFT_TRANSFORMER_OPS_TD

include "WeftBase.td"

//===-- embeddings and positions -------------------------------------------------------------------------------------===//

def Weft_EmbeddingOp : Weft_InferredOp<"embedding"> {
  let summary = "rows of a table";
  let description = [{
    `y[…, :] = table[ids[…], :]`. An id outside the table is an error of the call that names the element. The gradient of
    row `padding_idx` is zero.

    ```mlir
    %y = weft.embedding %ids, %table : (tensor<?x?xi32, #weft.dims<"B", "T">>, tensor<512x64xf32>) -> tensor<?x?x64xf32, #weft.dims<"B", "T">>
    ```
  }];
  let arguments = (ins Weft_IndexTensor:$ids, Weft_FloatTensor:$table, OptionalAttr<I64Attr>:$padding_idx);
  let results = (outs Weft_FloatTensor:$y);
  let assemblyFormat = "$ids `,` $table attr-dict `:` functional-type(operands, results)";
}

def Weft_PositionsOp : Weft_Op<"positions", [Pure, Weft_Movement]> {
  let summary = "the positions of a call's tokens";
  let description = [{
    `y[t] = offset + t`; with a `state`, whose B sequences have lengths of their own: `y[b, t] = length[b] + t`.

    ```mlir
    %p = weft.positions {offset = "0"} : tensor<?xi32, #weft.dims<"T">>
    %q = weft.positions {offset = "0", state = @kv} : tensor<?x?xi32, #weft.dims<"B", "T">>
    ```
  }];
  let arguments = (ins StrAttr:$offset, OptionalAttr<FlatSymbolRefAttr>:$state);
  let results = (outs Weft_IndexTensor:$y);
  let assemblyFormat = "attr-dict `:` type($y)";
  let hasVerifier = 1;
}

def Weft_SinusoidOp : Weft_InferredOp<"sinusoid"> {
  let summary = "sinusoidal position table";
  let description = [{
    `y[…, 2i] = sin(p / base^(2i/features))`, `y[…, 2i+1] = cos(same)` for positions p (Vaswani et al. 2017, 3.5).

    ```mlir
    %y = weft.sinusoid %p {features = 64 : i64, base = 1.0e4 : f64} : (tensor<?xi32, #weft.dims<"T">>) -> tensor<?x64xf32, #weft.dims<"T">>
    ```
  }];
  let arguments = (ins Weft_IndexTensor:$positions, I64Attr:$features, F64Attr:$base, TypeAttr:$element_type);
  let results = (outs Weft_FloatTensor:$y);
  let assemblyFormat = "$positions attr-dict `:` functional-type(operands, results)";
}

def Weft_RopeOp : Weft_InferredOp<"rope"> {
  let summary = "rotary position embedding";
  let description = [{
    x `[B, T, heads · dh]`, positions `[T]` or `[B, T]`. Of each head the first `rotary_dim` elements are rotated in pairs
    (a, c) by the angle p · theta^(-2i/rotary_dim): `(a cos - c sin, a sin + c cos)`. Pair i is (i, i + rotary_dim/2), or
    (2i, 2i+1) with `interleaved` (Su et al. 2021).

    ```mlir
    %y = weft.rope %x, %p {heads = 8 : i64, theta = 1.0e4 : f64, rotary_dim = 8 : i64, interleaved} : (tensor<?x?x64xf32, #weft.dims<"B", "T">>, tensor<?x?xi32, #weft.dims<"B", "T">>) -> tensor<?x?x64xf32, #weft.dims<"B", "T">>
    ```
  }];
  let arguments = (ins Weft_FloatTensor:$x, Weft_IndexTensor:$positions, I64Attr:$heads, F64Attr:$theta, I64Attr:$rotary_dim, UnitAttr:$interleaved);
  let results = (outs Weft_FloatTensor:$y);
  let assemblyFormat = "$x `,` $positions attr-dict `:` functional-type(operands, results)";
}

def Weft_LastTokenOp : Weft_InferredOp<"last_token"> {
  let summary = "the last real position of each sequence";
  let description = [{
    x `[B, T, …]` → `[B, 1, …]`: `y[b, 0, …] = x[b, n_b - 1, …]`, where n_b is the number of real tokens of sequence b in
    this call (weft_exec.valid; T when all are).

    ```mlir
    %y = weft.last_token %x : (tensor<?x?x64xf32, #weft.dims<"B", "T">>) -> tensor<?x1x64xf32, #weft.dims<"B">>
    ```
  }];
  let arguments = (ins Weft_Tensor:$x);
  let results = (outs Weft_Tensor:$y);
  let assemblyFormat = "$x attr-dict `:` functional-type(operands, results)";
}

def Weft_CausalMaskOp : Weft_Op<"causal_mask", [Pure, Weft_Movement]> {
  let summary = "lower triangle";
  let description = [{
    `y[i, j] = (j <= i)`.

    ```mlir
    %m = weft.causal_mask : tensor<?x?xi1, #weft.dims<"T", "T">>
    ```
  }];
  let results = (outs Weft_BoolTensor:$y);
  let assemblyFormat = "attr-dict `:` type($y)";
  let hasVerifier = 1;
}

//===-- contractions -------------------------------------------------------------------------------------------------===//

def Weft_EinsumOp : Weft_InferredOp<"einsum"> {
  let summary = "sum of products by an equation";
  let description = [{
    NumPy's einsum with an explicit `->` for one or two operands.

    ```mlir
    %y = weft.einsum %a, %b {equation = "nqhd,nkhd->nhqk"} : (tensor<2x3x4x8xf32>, tensor<2x5x4x8xf32>) -> tensor<2x4x3x5xf32>
    ```
  }];
  let arguments = (ins Variadic<Weft_FloatTensor>:$xs, StrAttr:$equation);
  let results = (outs Weft_FloatTensor:$y);
  let assemblyFormat = "$xs attr-dict `:` functional-type(operands, results)";
}

def Weft_MatmulOp : Weft_InferredOp<"matmul"> {
  let summary = "matrix product";
  let description = [{
    `y[…, i, j] = Σ_k a[…, i, k] b[…, k, j]`; leading axes broadcast. `transpose_a` / `transpose_b` swap the last two axes
    of an operand first. A linear layer is `matmul x, W {transpose_b}` with W `[features, in]`. Sums are f32; of half
    precision they are rounded to it once, or with `wide` left as they are.

    ```mlir
    %y = weft.matmul %x, %w {transpose_b} : (tensor<?x?x64xf32, #weft.dims<"B", "T">>, tensor<512x64xf32>) -> tensor<?x?x512xf32, #weft.dims<"B", "T">>
    ```
  }];
  let arguments = (ins Weft_FloatTensor:$a, Weft_FloatTensor:$b, UnitAttr:$transpose_a, UnitAttr:$transpose_b, UnitAttr:$wide);
  let results = (outs Weft_FloatTensor:$y);
  let assemblyFormat = "$a `,` $b attr-dict `:` functional-type(operands, results)";
}

//===-- attention ----------------------------------------------------------------------------------------------------===//

def Weft_AttentionOp : Weft_Op<"attention", [AttrSizedOperandSegments, DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "scaled dot-product attention over heads";
  let description = [{
    q `[B, Tq, heads·dh]`, k `[B, Tk, kv_heads·dh]`, v `[B, Tk, kv_heads·dv]` → `[B, Tq, heads·dv]`. For every head h with
    its group g = h / (heads/kv_heads): `s = q_h k_gᵀ · scale`; `s = softcap · tanh(s / softcap)`; `s += bias`; masked
    keys (key_mask, mask, causal: j > i, window: j ≤ i - window) become -inf; `p = softmax(s)`, a row with every key masked
    is zero; `y_h = dropout(p) v_g`. key_mask `[B, Tk]`, mask and bias broadcast to `[B, heads, Tq, Tk]`.

    With `cache` the call's keys and values are appended to that state's layer `layer` (an expression over the repeat's
    index, as in #weft.dims) and queries see all stored
    positions; i and j are absolute positions then. `weights` asks for a further result: the map p, `per_head`
    `[B, heads, Tq, Tk]` or `mean` over heads `[B, Tq, Tk]`. `save_lse` asks for the last result, the log-sum-exp that the
    backward pass starts from: `lse[b, h, i] = ln Σ_j e^(s_ij)` `[B, heads, Tq]` f32, +inf for a row with every key masked.

    `dropout` drops elements of p only where a `site` is given, as in weft.dropout; element (b, h, i, j) has the number
    `((b · heads + h) · Tq + i) · Tk + j`.

    q, k and v of half precision give a y of it, rounded once; scores, softmax and sums are f32, and bias and lse too.

    Never materialises s: kernels stream over key blocks with an online softmax (Milakov & Gimelshein 2018; Dao 2022).

    ```mlir
    %y = weft.attention %q, %k, %v {heads = 8 : i64, kv_heads = 8 : i64, scale = 0.125 : f64, causal} : (tensor<?x?x512xf32, #weft.dims<"B", "T">>, tensor<?x?x512xf32, #weft.dims<"B", "T">>, tensor<?x?x512xf32, #weft.dims<"B", "T">>) -> tensor<?x?x512xf32, #weft.dims<"B", "T">>
    ```
  }];
  let arguments = (ins Weft_FloatTensor:$q, Weft_FloatTensor:$k, Weft_FloatTensor:$v, Optional<Weft_BoolTensor>:$key_mask,
      Optional<Weft_BoolTensor>:$mask, Optional<Weft_FloatTensor>:$bias,
      I64Attr:$heads, I64Attr:$kv_heads, F64Attr:$scale, UnitAttr:$causal, OptionalAttr<I64Attr>:$window,
      OptionalAttr<F64Attr>:$softcap, DefaultValuedAttr<F64Attr, "0.0">:$dropout, OptionalAttr<FlatSymbolRefAttr>:$cache, OptionalAttr<StrAttr>:$layer,
      OptionalAttr<StrAttr>:$weights, UnitAttr:$save_lse, OptionalAttr<I64Attr>:$site, OptionalAttr<StrAttr>:$round);
  let results = (outs Weft_FloatTensor:$y, Variadic<Weft_FloatTensor>:$extras);
  let assemblyFormat = [{
    $q `,` $k `,` $v (`key_mask` `(` $key_mask^ `)`)? (`mask` `(` $mask^ `)`)? (`bias` `(` $bias^ `)`)?
    attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// The results that are asked for, or null.
    mlir::Value getMap() { return getWeights() ? getExtras().front() : mlir::Value(); }
    mlir::Value getLse() { return getSaveLse() ? getExtras().back() : mlir::Value(); }
  }];
}

#endif // WEFT_TRANSFORMER_OPS_TD
