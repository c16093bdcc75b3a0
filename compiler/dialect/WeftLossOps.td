// Losses: what training makes small. Results are one number, or one for each element with reduction "none".
// `--weft-expand-losses` writes them with the ops of the other chapters.
#ifndef WEFT_LOSS_OPS_TD
#define WEFT_LOSS_OPS_TD

include "WeftBase.td"

class Weft_LossOp<string mnemonic, string what, string text> : Weft_InferredOp<mnemonic> {
  let summary = what;
  let description = text;
  let results = (outs Weft_FloatTensor:$loss);
}

/// ℓ(x, y) of two tensors of one type; `reduction`: "mean" over all elements, "sum", "none".
class Weft_PairLossOp<string mnemonic, string what, string text, dag operands, dag attributes = (ins)>
    : Weft_LossOp<mnemonic, what, text> {
  let arguments = !con(operands, attributes, (ins DefaultValuedStrAttr<StrAttr, "mean">:$reduction));
}

def Weft_CrossEntropyOp : Weft_LossOp<"cross_entropy", "negative log-likelihood of labels", [{
    logits `[…, K]`, labels `[…]`, class_weights w `[K]` (1 if left out). With p = softmax(logits) of a row and y its label:
    `ℓ = -(1-ε) · w[y] · ln p[y] - ε/K · Σ_k w[k] ln p[k]`, ε = label_smoothing; ℓ = 0 and weight 0 where y is
    `ignore_index`. `reduction`: "sum" Σ ℓ; "mean" Σ ℓ / Σ w[y] over the rows not ignored, 0 if there are none; "none" ℓ
    `[…]`. The log-sum-exp is shifted by the row's maximum and computed in f32 or f64. Another label outside 0…K-1 is an
    error of the call that names the element.

    ```mlir
    %l = weft.cross_entropy %z, %y {ignore_index = -1 : i64, label_smoothing = 1.000000e-01 : f64} : (tensor<?x?x50xf32, #weft.dims<"B", "T">>, tensor<?x?xi32, #weft.dims<"B", "T">>) -> tensor<f32>
    ```
  }]> {
  let arguments = (ins Weft_FloatTensor:$logits, Weft_IndexTensor:$labels, Optional<Weft_FloatTensor>:$class_weights,
      DefaultValuedAttr<I64Attr, "-100">:$ignore_index, DefaultValuedAttr<F64Attr, "0.0">:$label_smoothing,
      DefaultValuedStrAttr<StrAttr, "mean">:$reduction);
  let assemblyFormat = [{
    $logits `,` $labels (`class_weights` `(` $class_weights^ `)`)? attr-dict `:` functional-type(operands, results)
  }];
}

def Weft_BceWithLogitsOp : Weft_PairLossOp<"bce_with_logits", "binary cross entropy of logits", [{
    `ℓ = (1 - t) · x + (1 + (w - 1) · t) · ln(1 + e⁻ˣ)`: logits x and targets t of one shape, pos_weight w (1 if left out) a
    scalar or one for each element of the last axis. No exponential overflows.

    ```mlir
    %l = weft.bce_with_logits %x, %t : (tensor<?x4xf32, #weft.dims<"B">>, tensor<?x4xf32, #weft.dims<"B">>) -> tensor<f32>
    ```
  }], (ins Weft_FloatTensor:$logits, Weft_FloatTensor:$targets, Optional<Weft_FloatTensor>:$pos_weight)> {
  let assemblyFormat = [{
    $logits `,` $targets (`pos_weight` `(` $pos_weight^ `)`)? attr-dict `:` functional-type(operands, results)
  }];
}

class Weft_DifferenceLossOp<string mnemonic, string what, string formula, dag attributes = (ins), string written = "">
    : Weft_PairLossOp<mnemonic, what, "`" # formula # "` of the difference d = prediction - target.\n\n```mlir\n%l = weft." # mnemonic #
      " %x, %t" # written # " : (tensor<?x4xf32, #weft.dims<\"B\">>, tensor<?x4xf32, #weft.dims<\"B\">>) -> tensor<f32>\n```\n",
      (ins Weft_FloatTensor:$prediction, Weft_FloatTensor:$target), attributes> {
  let assemblyFormat = "$prediction `,` $target attr-dict `:` functional-type(operands, results)";
}

def Weft_HuberOp : Weft_DifferenceLossOp<"huber", "squared error near zero, absolute error far away",
    "ℓ = d²/2 where |d| <= delta, else delta · (|d| - delta/2)", (ins DefaultValuedAttr<F64Attr, "1.0">:$delta), " {delta = 2.0 : f64}">;
def Weft_L1Op : Weft_DifferenceLossOp<"l1", "absolute error", "ℓ = |d|">;
def Weft_MseOp : Weft_DifferenceLossOp<"mse", "squared error", "ℓ = d²">;

def Weft_KlDivOp : Weft_PairLossOp<"kl_div", "Kullback-Leibler divergence", [{
    `ℓ = p ln p - p · log_q`, 0 ln 0 = 0. `reduction` may also be "batchmean": Σ ℓ over the size of axis 0.

    ```mlir
    %l = weft.kl_div %log_q, %p {reduction = "batchmean"} : (tensor<?x4xf32, #weft.dims<"B">>, tensor<?x4xf32, #weft.dims<"B">>) -> tensor<f32>
    ```
  }], (ins Weft_FloatTensor:$log_q, Weft_FloatTensor:$p)> {
  let assemblyFormat = "$log_q `,` $p attr-dict `:` functional-type(operands, results)";
}

#endif // WEFT_LOSS_OPS_TD
