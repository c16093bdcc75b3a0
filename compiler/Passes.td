// All passes in pipeline order: a table of contents of the compiler.
// `--canonicalize` and `--cse` run between those of one room.
#ifndef WEFT_PASSES_TD
#define WEFT_PASSES_TD

include "mlir/Pass/PassBase.td"

//===-- import: one op for each node ------------------------------------------------------------------------------------===//

def ExpandSugarPass : Pass<"weft-expand-sugar"> {
  let summary = "write ops that are short for others with those";
  let description = [{
    Before:
    ```mlir
    %y = weft.linear %x, %w bias(%b) {activation = "gelu"} : …
    ```
    After:
    ```mlir
    %p = weft.matmul %x, %w {transpose_b} : …
    %s = weft.add %p, %b : …
    %y = weft.gelu %s : …
    ```
    Attention over half precision with a map or a cache becomes attention over f32 between casts.

    Sound because each rewrite is the definition of its op, whose operands and sizes the verifier has checked.

    Precondition: none. Postcondition: no op with the trait `Sugar` is left, and no attention that no kernel computes.
  }];
}

//===-- autodiff: from a loss to gradients ------------------------------------------------------------------------------===//

def MixedPrecisionPass : Pass<"weft-mixed-precision", "::mlir::ModuleOp"> {
  let summary = "compute products in half precision, the rest in f32";
  let description = [{
    Before:
    ```mlir
    func.func @f(%x: …) -> … attributes {weft.compute = bf16} {
      %w = weft.parameter @w : tensor<4x3xf32>
      %s = weft.matmul %x, %w {transpose_b} : …
      %y = weft.add %s, %bias : …
      %z = weft.gelu %y : …
    ```
    After:
    ```mlir
      %xh = weft.cast %x : … to tensor<?x3xbf16, …>
      %wh = weft.cast %w : tensor<4x3xf32> to tensor<4x3xbf16>
      %s = weft.matmul %xh, %wh {transpose_b, wide} : (tensor<?x3xbf16, …>, tensor<4x3xbf16>) -> tensor<?x4xf32, …>
      %y = weft.add %s, %bias : …
      %yh = weft.cast %y : … to tensor<?x4xbf16, …>
      %yf = weft.cast %yh : … to tensor<?x4xf32, …>
      %z = weft.gelu %yf : …
    ```
    Rounded are the operands of products and of attention (q, k, v), and their results: a product's after its bias, and not
    where only softmax and losses read it. Everything else stays f32: sums, bias, pointwise ops, norms, softmax, reductions,
    losses, parameters. Nodes in `weft.keep_f32` are left alone. A gradient is rounded where a value was: the one of a
    result to the type that the result had, the one that enters a product before it does. Gradients of parameters are not.

    Sound as rounding is what `precision.compute` asks for: each is a cast that is seen, to nearest even, and its gradient
    that of the identity. No value is rounded twice: what is half precision already, or a view of it, is read as it is.

    Precondition: no `weft.einsum`, sugar expanded, attention fused. Postcondition: products and attention of such functions
    read half precision, but for attention with a map or a cache, which reads rounded values.
  }];
  let dependentDialects = ["::weft::WeftDialect"];
}

def CountLabelsPass : Pass<"weft-count-labels", "::mlir::ModuleOp"> {
  let summary = "return how much a batch counts, and how many labels are right";
  let description = [{
    Before:
    ```mlir
    func.func @step_eval(%x: …, %y: …) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "eval"} {
      %l = weft.cross_entropy %x, %y {weft.counts_batch} : (tensor<?x3xf32, #weft.dims<"B">>, tensor<?xi32, #weft.dims<"B">>) -> tensor<f32>
      return %l : tensor<f32>
    }
    ```
    After (`weight` only of a mean that is marked, as the loss is a factor times it, and that ignores labels or weighs classes; `labels` and `correct` only in
    entries that evaluate):
    ```mlir
      return %l, %weight, %labels, %correct : tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>
    ```
    A mean over several batches is then `Σ weight · loss / Σ weight`, as if they were one.

    Sound because results are only added. Functions without a mode, with several losses over labels or with more than 8,192
    classes (whose logits for all positions should not exist at once) get less or nothing.
  }];
  let dependentDialects = ["::weft::WeftDialect"];
}

def GenerateBackwardPass : Pass<"weft-generate-backward", "::mlir::ModuleOp"> {
  let summary = "add the gradients of a loss to its function";
  let description = [{
    Before (`weft.gradient_tensors` are the numbers of the parameter tensors that gradients are wanted of):
    ```mlir
    func.func @f(%x: …) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad", weft.gradient_tensors = array<i32: 0>, weft.gradient_names = ["w"]} {
      %w = weft.parameter @w : tensor<3x4xf32>
      %y = weft.matmul %x, %w {transpose_b} : …
      %l = weft.reduce_sum %y {axes = array<i64: 0, 1>} : …
      return %l : tensor<f32>
    }
    ```
    After:
    ```mlir
      %one = weft.constant dense<1.0> : tensor<f32>
      %g = weft.expand %one : …
      %dw = weft.matmul %g, %x {transpose_a} : …
      return %l, %dw : tensor<f32>, tensor<3x4xf32>
    ```
    With the mode `train`, a parameter of a repeat gives one result with all its tensors, in the order of the rounds, and
    results stand in the order of `weft.gradient_groups`.
    With `weft.loss_scale` the walk starts from `weft.loss_scale` instead of one, and gradients of parameters are multiplied
    by its inverse.
    `weft.recompute` lists nodes whose values a repeat's backward loop computes again, or is `"block"`: all of them.

    Sound because each rule is the transposed derivative of its op, contributions are summed in a fixed order, and a value
    that the backward loop reads is the one of the same round: kept, or the result of the same ops on kept values.

    Precondition: no `weft.einsum`, sugar expanded, attention fused. Postcondition: gradients are results; only reported
    ops lack a rule.
  }];
}

//===-- fusion: fewer, larger weft ops --------------------------------------------------------------------------------===//

def ChunkCrossEntropyPass : Pass<"weft-chunk-cross-entropy"> {
  let summary = "compute logits, their loss and its gradients chunk by chunk";
  let description = [{
    Before (the last three ops where the entry has gradients):
    ```mlir
    %z = weft.matmul %x, %w {transpose_b} : …
    %l = weft.cross_entropy %z, %y {reduction = "sum"} : … -> tensor<f32>
    %dz = weft.cross_entropy_grad %z, %y, %g {reduction = "sum"} : …
    %dx = weft.matmul %dz, %w : …
    %dw = weft.matmul %dz, %x {transpose_a} : …
    ```
    After:
    ```mlir
    %l, %dw, %dx = weft.chunks 128 "chunk"(%zero, %zeros) rows(%x, %y) : … {
    ^bb0(%sum: …, %dws: …, %xs: …, %ys: …):
      %z = weft.matmul %xs, %w {transpose_b} : …
      …
      weft.yield %sum', %dws', %dxs : …
    }
    ```
    With the reduction "mean" the rows that count are counted first. Only products with 512 classes or more.

    Sound because each row of the logits depends on one row of x, and sums over rows are taken chunk by chunk, in order.

    Precondition: sugar expanded, canonical form. Postcondition: no value has the logits of more rows than a chunk, where
    only the loss and its gradient read them.
  }];
}

def ExpandLossesPass : Pass<"weft-expand-losses"> {
  let summary = "write losses with reductions and pointwise ops";
  let description = [{
    Before:
    ```mlir
    %l = weft.mse %x, %t : … -> tensor<f32>
    ```
    After:
    ```mlir
    %d = weft.sub %x, %t : …
    %s = weft.mul %d, %d : …
    %l = weft.reduce_mean %s {axes = array<i64: 0, 1>} : … -> tensor<f32>
    ```
    Precondition: none. Postcondition: no loss op and no `weft.cross_entropy_grad` is left. Half precision is computed in f32 and rounded once.
  }];
}

def NormalizeEinsumPass : Pass<"weft-normalize-einsum"> {
  let summary = "write einsum as transposes, reshapes and one product";
  let description = [{
    Before:
    ```mlir
    %s = weft.einsum %q, %k {equation = "nqhd,nkhd->nhqk"} : …
    ```
    After:
    ```mlir
    %a = weft.transpose %q {perm = array<i64: 0, 2, 1, 3>} : …
    %b = weft.transpose %k {perm = array<i64: 0, 2, 1, 3>} : …
    %s = weft.matmul %a, %b {transpose_b} : …
    ```
    Precondition: none. Postcondition: no `weft.einsum` is left.
  }];
}

def FuseAttentionPass : Pass<"weft-fuse-attention"> {
  let summary = "recognise attention written as product, softmax, product";
  let description = [{
    Before (scale, bias and masks in any order between product and softmax):
    ```mlir
    %s = weft.matmul %q, %k {transpose_b} : …
    %t = weft.mul %s, %scale : …
    %p = weft.softmax %t {axis = 3 : i64} : …
    %y = weft.matmul %p, %v : …
    ```
    After (and `--canonicalize`, which cancels the split into heads):
    ```mlir
    %y = weft.attention %q, %k, %v {heads = 8 : i64, kv_heads = 8 : i64, scale = 1.250000e-01 : f64} : …
    ```
    Precondition: no `weft.einsum`; operands in canonical form. Postcondition: no score matrix of a recognised attention
    is a value of the graph.
  }];
}

def SinkSlicePass : Pass<"weft-sink-slice"> {
  let summary = "compute only the positions that are read";
  let description = [{
    Before:
    ```mlir
    %y = weft.matmul %x, %w {transpose_b} : …
    %z = weft.slice %y {axis = 1 : i64, start = "T - 1", step = 1 : i64} : …
    ```
    After:
    ```mlir
    %z' = weft.slice %x {axis = 1 : i64, start = "T - 1", step = 1 : i64} : …
    %z = weft.matmul %z', %w {transpose_b} : …
    ```
    Precondition: no fused ops. Postcondition: a slice of an axis other than the last follows an op that mixes positions
    of that axis, a value with other users, or an argument.
  }];
}

def FuseProjectionsPass : Pass<"weft-fuse-projections"> {
  let summary = "one product for all projections of a value";
  let description = [{
    Before:
    ```mlir
    %q = weft.matmul %x, %wq {transpose_b} : …
    %k = weft.matmul %x, %wk {transpose_b} : …
    ```
    After:
    ```mlir
    %w = weft.concat %wq, %wk {axis = 0 : i64} : …
    %qk = weft.matmul %x, %w {transpose_b} : …
    %q = weft.slice %qk {axis = 1 : i64, start = "0", step = 1 : i64} : …
    %k = weft.slice %qk {axis = 1 : i64, start = "64", step = 1 : i64} : …
    ```
    Precondition: no fused ops. Postcondition: products of one value with parameters, in one round of a repeat, are one.
  }];
}

def KeepValuesPass : Pass<"weft-keep-values", "::mlir::ModuleOp"> {
  let summary = "let prefills keep what steps would compute again";
  let description = [{
    Before, in a step (`weft.prefills`) and in its prefills, whose `%src` has one type in both:
    ```mlir
    func.func @decode(%src: …, %tgt: …) …
      %memory = … %src …
      %y = weft.repeat 6 "i"(%x) … {
        %kv = weft.matmul %memory, %w {transpose_b} : …
        … %kv …
    ```
    After, in the step, and in the prefills:
    ```mlir
    func.func @decode(%tgt: …) …
      %y = weft.repeat 6 "i"(%x) … {
        %kv = weft.recall @decoded.cross[%i] : …

        %kv = weft.matmul %memory, %w {transpose_b} : …
        weft.keep %kv in @decoded.cross[%i] : …
    ```
    Precondition: canonical form after `--cse`; no fused ops. Postcondition: steps compute nothing from inputs that are
    not stepped, except what not all of their prefills compute, and have no arguments that nothing uses.
  }];
  let dependentDialects = ["::weft::WeftDialect"];
}

def FuseContractionPass : Pass<"weft-fuse-contraction"> {
  let summary = "turn products into contractions with an epilogue";
  let description = [{
    Before:
    ```mlir
    %y = weft.matmul %x, %w {transpose_b} : …
    %z = weft.add %y, %bias : …
    %g = weft.gelu %z : …
    ```
    After:
    ```mlir
    %g = weft.contract %x, %w extras(%bias) {transpose_b} : … {
    ^bb0(%acc: …, %b: …):
      %z = weft.add %acc, %b : …
      %g = weft.gelu %z : …
      weft.yield %g : …
    }
    ```
    Precondition: none. Postcondition: no `weft.matmul` is left.
  }];
}

def FuseRowsPass : Pass<"weft-fuse-rows"> {
  let summary = "group what is left into row kernels";
  let description = [{
    Before:
    ```mlir
    %s = weft.add %x, %r : …
    %y = weft.rms_norm %s, %g {eps = 1.0e-5 : f64} : …
    ```
    After:
    ```mlir
    %y = weft.fused(%x, %r, %g) : … {
    ^bb0(%a: …, %b: …, %c: …):
      %s = weft.add %a, %b : …
      %n = weft.rms_norm %s, %c {eps = 1.0e-5 : f64} : …
      weft.yield %n : …
    }
    ```
    Precondition: products are contractions. Postcondition: outside fused regions are only contractions, attention,
    repeats, parameters, reshapes, and slices, transposes and concatenations that become views of memory or of packed
    parameters.
  }];
}

//===-- lowering: kernels and views -----------------------------------------------------------------------------------===//

def LowerToKernelsPass : Pass<"weft-lower-to-kernels", "::mlir::ModuleOp"> {
  let summary = "leave only kernels, views, parameters and repeats";
  let description = [{
    Before:
    ```mlir
    %y = weft.embedding %ids, %table : …
    %c = weft.slice %y {axis = 1 : i64, start = "0", step = 1 : i64} : …
    return %c : …
    ```
    After (the slice is a view; a result needs memory of its own):
    ```mlir
    %y = weft.fused(%ids, %table) : … { … weft.embedding … }
    %c = weft.slice %y {axis = 1 : i64, start = "0", step = 1 : i64} : …
    %r = weft.fused(%c) : … { … weft.yield … }
    return %r : …
    ```
    Precondition: no `weft.matmul`, no `weft.einsum`. Postcondition: every op is a kernel (`contract`,
    `attention`, `fused`, `last_token`, `embedding_grad`, `scatter_add`), a parameter, a movement op that strides express,
    a repeat, or a terminator; results and yields are kernel results.
  }];
  let dependentDialects = ["::weft::WeftDialect"];
}

#endif // WEFT_PASSES_TD
