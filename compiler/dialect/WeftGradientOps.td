// Backward ops that are not spelled with forward ops: attention, and rows added into a table.
// They exist in gradients only and have no gradient themselves.
#ifndef WEFT_GRADIENT_OPS_TD
#define WEFT_GRADIENT_OPS_TD

include "WeftBase.td"

def Weft_AttentionGradOp : Weft_Op<"attention_grad", [Pure, AttrSizedOperandSegments]> {
  let summary = "gradients of weft.attention";
  let description = [{
    From q, k, v, y, lse of a `weft.attention` with the same attributes and the gradient dy of y, for every head, with the
    probabilities recomputed tile by tile (Dao 2022, algorithm 4); keep is the forward's dropout mask over (1 - dropout):
    `p = e^(s - lse)`, `Δ_i = Σ_d dy_id y_id`, `dv = (p ∘ keep)ᵀ dy`, `dp = (dy vᵀ) ∘ keep`, `ds = p ∘ (dp - Δ)`,
    through the softcap `ds ∘ (1 - (s_capped / softcap)²)`, `dq = scale · ds k`, `dk = scale · dsᵀ q`. Groups of query heads
    sum into their kv head. With `bias_grad` a fourth result `dbias = ds` (before softcap's factor), summed over the axes
    that bias broadcasts along.

    Gradients are f32, also of half precision. No `[Tq, Tk]` buffer; the sums have one order for any number of threads.

    ```mlir
    %dq, %dk, %dv = weft.attention_grad %q, %k, %v, %y, %lse, %dy {heads = 2 : i64, kv_heads = 2 : i64, scale = 0.5 : f64, causal} : (tensor<2x5x8xf32>, tensor<2x5x8xf32>, tensor<2x5x8xf32>, tensor<2x5x8xf32>, tensor<2x2x5xf32>, tensor<2x5x8xf32>) -> (tensor<2x5x8xf32>, tensor<2x5x8xf32>, tensor<2x5x8xf32>)
    ```
  }];
  let arguments = (ins Weft_FloatTensor:$q, Weft_FloatTensor:$k, Weft_FloatTensor:$v, Weft_FloatTensor:$y, Weft_FloatTensor:$lse,
      Weft_FloatTensor:$dy, Optional<Weft_BoolTensor>:$key_mask, Optional<Weft_BoolTensor>:$mask, Optional<Weft_FloatTensor>:$bias,
      I64Attr:$heads, I64Attr:$kv_heads, F64Attr:$scale, UnitAttr:$causal, OptionalAttr<I64Attr>:$window,
      OptionalAttr<F64Attr>:$softcap, DefaultValuedAttr<F64Attr, "0.0">:$dropout, OptionalAttr<I64Attr>:$site,
      OptionalAttr<StrAttr>:$round, UnitAttr:$bias_grad);
  let results = (outs Weft_FloatTensor:$dq, Weft_FloatTensor:$dk, Weft_FloatTensor:$dv, Optional<Weft_FloatTensor>:$dbias);
  let assemblyFormat = [{
    $q `,` $k `,` $v `,` $y `,` $lse `,` $dy (`key_mask` `(` $key_mask^ `)`)? (`mask` `(` $mask^ `)`)? (`bias` `(` $bias^ `)`)?
    attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Weft_LossScaleOp : Weft_Op<"loss_scale", [Pure, Weft_Movement]> {
  let summary = "what a loss is multiplied by before its gradients are computed";
  let description = [{
    The number that dynamic loss scaling has at this call (weft_exec.loss_scale), or with `inverse` one over it. It is a
    power of two, so that multiplying by one and then the other changes nothing but what overflows or underflows.

    ```mlir
    %s = weft.loss_scale : tensor<f32>
    ```
  }];
  let arguments = (ins UnitAttr:$inverse);
  let results = (outs Weft_FloatTensor:$y);
  let assemblyFormat = "attr-dict `:` type($y)";
  let hasVerifier = 1;
}

def Weft_EmbeddingGradOp : Weft_Op<"embedding_grad", [Pure]> {
  let summary = "rows added into a table: the gradient of weft.embedding";
  let description = [{
    `dtable[r, :] = init[r, :] + Σ dy[…, :]` over the ids equal to r, in their row-major order; init is zero if left out.
    Ids equal to `padding_idx` add nothing. Ids were checked by the forward op.

    ```mlir
    %dt = weft.embedding_grad %ids, %dy : (tensor<?x?xi32, #weft.dims<"B", "T">>, tensor<?x?x64xf32, #weft.dims<"B", "T">>) -> tensor<512x64xf32>
    ```
  }];
  let arguments = (ins Weft_IndexTensor:$ids, Weft_FloatTensor:$dy, Optional<Weft_FloatTensor>:$init, OptionalAttr<I64Attr>:$padding_idx);
  let results = (outs Weft_FloatTensor:$dtable);
  let assemblyFormat = "$ids `,` $dy (`,` $init^)? attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Weft_ScatterAddOp : Weft_Op<"scatter_add", [Pure]> {
  let summary = "elements added along an axis: the gradient of weft.gather";
  let description = [{
    `y[…, r, …] = Σ dy[…, j, …]` over the j with `index[…, j, …] = r` at `axis`, in order; y has index's and dy's other
    sizes. Indices were checked by the forward op.

    ```mlir
    %dx = weft.scatter_add %i, %dy {axis = 1 : i64} : (tensor<?x2xi32, #weft.dims<"B">>, tensor<?x2xf32, #weft.dims<"B">>) -> tensor<?x8xf32, #weft.dims<"B">>
    ```
  }];
  let arguments = (ins Weft_IndexTensor:$index, Weft_FloatTensor:$dy, I64Attr:$axis);
  let results = (outs Weft_FloatTensor:$y);
  let assemblyFormat = "$index `,` $dy attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Weft_CrossEntropyGradOp : Weft_Op<"cross_entropy_grad", [Pure]> {
  let summary = "gradient of weft.cross_entropy";
  let description = [{
    For the operands and attributes of a `weft.cross_entropy` and the gradient G of its result, with p = softmax(logits):
    `dz = (1-ε) · w[y] (p - onehot(y)) + ε/K (p Σ w - w)`, 0 where y is `ignore_index`, times G of the row ("none") or G;
    "mean" divides by Σ w[y] over the rows not ignored, and gives 0 if there are none.

    ```mlir
    %dz = weft.cross_entropy_grad %z, %y, %g {reduction = "sum"} : (tensor<?x50xf32, #weft.dims<"B">>, tensor<?xi32, #weft.dims<"B">>, tensor<f32>) -> tensor<?x50xf32, #weft.dims<"B">>
    ```
  }];
  let arguments = (ins Weft_FloatTensor:$logits, Weft_IndexTensor:$labels, Weft_FloatTensor:$dloss, Optional<Weft_FloatTensor>:$class_weights,
      DefaultValuedAttr<I64Attr, "-100">:$ignore_index, DefaultValuedAttr<F64Attr, "0.0">:$label_smoothing,
      DefaultValuedStrAttr<StrAttr, "mean">:$reduction);
  let results = (outs Weft_FloatTensor:$dlogits);
  let assemblyFormat = [{
    $logits `,` $labels `,` $dloss (`class_weights` `(` $class_weights^ `)`)? attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

#endif // WEFT_GRADIENT_OPS_TD
