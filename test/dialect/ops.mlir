// Every op, written, read back as text and as bytecode: three times the same.
// RUN: weft-opt %s -o %t.once
// RUN: weft-opt %t.once | diff %t.once -
// RUN: weft-opt %s -emit-bytecode | weft-opt | diff %t.once -
// RUN: FileCheck %s < %t.once

!x = tensor<?x16xf32, #weft.dims<"B">>
!b = tensor<?x16xi1, #weft.dims<"B">>
!i = tensor<?x16xi32, #weft.dims<"B">>
!s = tensor<?x?x64xf32, #weft.dims<"B", "T">>

// CHECK: weft.dim @B min 1 max 64 hint 8 multiple_of 1
weft.dim @B min 1 max 64 hint 8 multiple_of 1
// CHECK: weft.dim @T min 0 max 512 hint 128 multiple_of 2
weft.dim @T min 0 max 512 hint 128 multiple_of 2
// CHECK: weft.param @"h.{i}.weight" : tensor<16xf32> {tensors = array<i32: 2, 14>}
weft.param @"h.{i}.weight" : tensor<16xf32> {tensors = array<i32: 2, 14>}
// CHECK: weft.param @table : tensor<100x16xf32> {tensors = array<i32: 0>}
weft.param @table : tensor<100x16xf32> {tensors = array<i32: 0>}
// CHECK: weft.state @kv layers 5 kv_heads 4 head_dim 8 capacity 512 : f32
weft.state @kv layers 5 kv_heads 4 head_dim 8 capacity 512 : f32

// CHECK-LABEL: func @unary(
func.func @unary(%x: !x, %m: !b) -> (!x, !b) {
  // CHECK: weft.abs
  %0 = weft.abs %x : !x
  // CHECK: weft.cos
  %1 = weft.cos %0 : !x
  // CHECK: weft.erf
  %2 = weft.erf %1 : !x
  // CHECK: weft.exp
  %3 = weft.exp %2 : !x
  // CHECK: weft.log
  %4 = weft.log %3 : !x
  // CHECK: weft.neg
  %5 = weft.neg %4 : !x
  // CHECK: weft.relu
  %6 = weft.relu %5 : !x
  // CHECK: weft.rsqrt
  %7 = weft.rsqrt %6 : !x
  // CHECK: weft.sigmoid
  %8 = weft.sigmoid %7 : !x
  // CHECK: weft.silu
  %9 = weft.silu %8 : !x
  // CHECK: weft.sin
  %10 = weft.sin %9 : !x
  // CHECK: weft.softplus
  %11 = weft.softplus %10 : !x
  // CHECK: weft.sqrt
  %12 = weft.sqrt %11 : !x
  // CHECK: weft.tanh
  %13 = weft.tanh %12 : !x
  // CHECK: weft.clamp %{{.*}} {high = 6.000000e+00 : f64}
  %14 = weft.clamp %13 {high = 6.0 : f64} : !x
  // CHECK: weft.dropout %{{.*}} {p = 1.000000e-01 : f64}
  %15 = weft.dropout %14 {p = 0.1 : f64} : !x
  // CHECK: weft.elu
  %16 = weft.elu %15 {alpha = 1.0 : f64} : !x
  // CHECK: weft.gelu %{{.*}} {approximate}
  %17 = weft.gelu %16 {approximate} : !x
  // CHECK: weft.leaky_relu
  %18 = weft.leaky_relu %17 {slope = 0.01 : f64} : !x
  // CHECK: weft.cast %{{.*}} : tensor<?x16xf32, #weft.dims<"B">> to tensor<?x16xbf16, #weft.dims<"B">>
  %19 = weft.cast %18 : !x to tensor<?x16xbf16, #weft.dims<"B">>
  // CHECK: weft.cast
  %20 = weft.cast %19 : tensor<?x16xbf16, #weft.dims<"B">> to !x
  // CHECK: weft.not
  %21 = weft.not %m : !b
  return %20, %21 : !x, !b
}

// CHECK-LABEL: func @binary(
func.func @binary(%x: !x, %y: tensor<16xf32>, %s: tensor<f32>) -> (!x, !b) {
  // CHECK: weft.add %{{.*}}, %{{.*}} : (tensor<?x16xf32, #weft.dims<"B">>, tensor<16xf32>) -> tensor<?x16xf32, #weft.dims<"B">>
  %0 = weft.add %x, %y : (!x, tensor<16xf32>) -> !x
  // CHECK: weft.div
  %1 = weft.div %0, %s : (!x, tensor<f32>) -> !x
  // CHECK: weft.maximum
  %2 = weft.maximum %1, %y : (!x, tensor<16xf32>) -> !x
  // CHECK: weft.minimum
  %3 = weft.minimum %2, %y : (!x, tensor<16xf32>) -> !x
  // CHECK: weft.mul
  %4 = weft.mul %3, %x : (!x, !x) -> !x
  // CHECK: weft.pow
  %5 = weft.pow %4, %s : (!x, tensor<f32>) -> !x
  // CHECK: weft.sub
  %6 = weft.sub %y, %5 : (tensor<16xf32>, !x) -> !x
  // CHECK: weft.equal
  %7 = weft.equal %x, %y : (!x, tensor<16xf32>) -> !b
  // CHECK: weft.greater_equal
  %8 = weft.greater_equal %x, %y : (!x, tensor<16xf32>) -> !b
  // CHECK: weft.greater
  %9 = weft.greater %x, %y : (!x, tensor<16xf32>) -> !b
  // CHECK: weft.less_equal
  %10 = weft.less_equal %x, %y : (!x, tensor<16xf32>) -> !b
  // CHECK: weft.less
  %11 = weft.less %x, %y : (!x, tensor<16xf32>) -> !b
  // CHECK: weft.not_equal
  %12 = weft.not_equal %x, %y : (!x, tensor<16xf32>) -> !b
  // CHECK: weft.and
  %13 = weft.and %7, %8 : (!b, !b) -> !b
  // CHECK: weft.or
  %14 = weft.or %13, %12 : (!b, !b) -> !b
  // CHECK: weft.where
  %15 = weft.where %14, %6, %s : (!b, !x, tensor<f32>) -> !x
  return %15, %14 : !x, !b
}

// CHECK-LABEL: func @rows(
func.func @rows(%x: !x, %g: tensor<16xf32>, %t: tensor<?x?x8xf32, #weft.dims<"B", "T">>, %m: tensor<?x?xi1, #weft.dims<"B", "T">>) -> !x {
  // CHECK: weft.reduce_max %{{.*}} {axes = array<i64: 1>, keepdim}
  %0 = weft.reduce_max %x {axes = array<i64: 1>, keepdim} : (!x) -> tensor<?x1xf32, #weft.dims<"B">>
  // CHECK: weft.reduce_mean
  %1 = weft.reduce_mean %x {axes = array<i64: 0>} : (!x) -> tensor<16xf32>
  // CHECK: weft.reduce_min
  %2 = weft.reduce_min %x {axes = array<i64: 0, 1>} : (!x) -> tensor<f32>
  // CHECK: weft.reduce_sum
  %3 = weft.reduce_sum %x {axes = array<i64: 1>} : (!x) -> tensor<?xf32, #weft.dims<"B">>
  // CHECK: weft.var %{{.*}} {axes = array<i64: 1>, unbiased}
  %4 = weft.var %x {axes = array<i64: 1>, unbiased} : (!x) -> tensor<?xf32, #weft.dims<"B">>
  // CHECK: weft.argmax
  %5 = weft.argmax %x {axis = 1 : i64} : (!x) -> tensor<?xi32, #weft.dims<"B">>
  // CHECK: weft.softmax
  %6 = weft.softmax %x {axis = 1 : i64} : !x
  // CHECK: weft.log_softmax
  %7 = weft.log_softmax %6 {axis = 1 : i64} : !x
  // CHECK: weft.l2_normalize
  %8 = weft.l2_normalize %7 {axis = 1 : i64, eps = 1.0e-12 : f64} : !x
  // CHECK: weft.layer_norm %{{.*}} weight(%{{.*}} : tensor<16xf32>) bias(%{{.*}} : tensor<16xf32>) {axis = 1 : i64, eps = 1.000000e-05 : f64, eps_outside, unbiased}
  %9 = weft.layer_norm %8 weight(%g : tensor<16xf32>) bias(%g : tensor<16xf32>) {axis = 1 : i64, eps = 1.0e-5 : f64, unbiased, eps_outside} : !x
  // CHECK: weft.layer_norm %{{[^ ]*}} {axis
  %10 = weft.layer_norm %9 {axis = 1 : i64, eps = 1.0e-5 : f64} : !x
  // CHECK: weft.rms_norm
  %11 = weft.rms_norm %10, %g {eps = 1.0e-5 : f64} : (!x, tensor<16xf32>) -> !x
  // CHECK: weft.mean_pool %{{.*}} mask(
  %12 = weft.mean_pool %t mask(%m : tensor<?x?xi1, #weft.dims<"B", "T">>) : tensor<?x?x8xf32, #weft.dims<"B", "T">> to tensor<?x8xf32, #weft.dims<"B">>
  // CHECK: weft.max_pool
  %13 = weft.max_pool %t : tensor<?x?x8xf32, #weft.dims<"B", "T">> to tensor<?x8xf32, #weft.dims<"B">>
  return %11 : !x
}

// CHECK-LABEL: func @shapes(
func.func @shapes(%x: !x, %s: !s, %j: tensor<?x2xi32, #weft.dims<"B">>) -> !x {
  // CHECK: weft.concat %{{.*}}, %{{.*}} {axis = 1 : i64}
  %0 = weft.concat %x, %x {axis = 1 : i64} : (!x, !x) -> tensor<?x32xf32, #weft.dims<"B">>
  // CHECK: weft.constant dense<2.000000e+00> : tensor<f32>
  %1 = weft.constant dense<2.0> : tensor<f32>
  // CHECK: weft.expand %{{.*}} : tensor<f32> to tensor<?x16xf32, #weft.dims<"B">>
  %2 = weft.expand %1 : tensor<f32> to !x
  // CHECK: weft.gather
  %3 = weft.gather %x, %j {axis = 1 : i64} : (!x, tensor<?x2xi32, #weft.dims<"B">>) -> tensor<?x2xf32, #weft.dims<"B">>
  // CHECK: weft.iota : tensor<?xi32, #weft.dims<"T + 1">>
  %4 = weft.iota : tensor<?xi32, #weft.dims<"T + 1">>
  // CHECK: weft.reshape %{{.*}} : tensor<?x?x64xf32, #weft.dims<"B", "T">> to tensor<?x8x8xf32, #weft.dims<"B * T">>
  %5 = weft.reshape %s : !s to tensor<?x8x8xf32, #weft.dims<"B * T">>
  // CHECK: weft.slice %{{.*}} {axis = 1 : i64, start = "T - 1", step = 1 : i64}
  %6 = weft.slice %s {axis = 1 : i64, start = "T - 1", step = 1 : i64} : !s to tensor<?x1x64xf32, #weft.dims<"B">>
  // CHECK: weft.transpose %{{.*}} {perm = array<i64: 1, 0, 2>}
  %7 = weft.transpose %s {perm = array<i64: 1, 0, 2>} : (!s) -> tensor<?x?x64xf32, #weft.dims<"T", "B">>
  return %2 : !x
}

// CHECK-LABEL: func @transformer(
func.func @transformer(%ids: tensor<?x?xi32, #weft.dims<"B", "T">>, %s: !s, %w: tensor<512x64xf32>, %m: tensor<?x?xi1, #weft.dims<"B", "T">>,
                       %bias: tensor<8x1x?xf32, #weft.dims<"T">>) -> !s {
  // CHECK: weft.parameter @table
  %0 = weft.parameter @table : tensor<100x16xf32>
  // CHECK: weft.embedding
  %1 = weft.embedding %ids, %0 : (tensor<?x?xi32, #weft.dims<"B", "T">>, tensor<100x16xf32>) -> tensor<?x?x16xf32, #weft.dims<"B", "T">>
  // CHECK: weft.positions {offset = "0", state = @kv}
  %2 = weft.positions {offset = "0", state = @kv} : tensor<?x?xi32, #weft.dims<"B", "T">>
  // CHECK: weft.positions {offset = "T"}
  %3 = weft.positions {offset = "T"} : tensor<?xi32, #weft.dims<"T">>
  // CHECK: weft.sinusoid
  %4 = weft.sinusoid %3 {features = 64 : i64, base = 1.0e4 : f64, element_type = f32} : (tensor<?xi32, #weft.dims<"T">>) -> tensor<?x64xf32, #weft.dims<"T">>
  // CHECK: weft.rope
  %5 = weft.rope %s, %2 {heads = 8 : i64, theta = 1.0e4 : f64, rotary_dim = 8 : i64, interleaved} : (!s, tensor<?x?xi32, #weft.dims<"B", "T">>) -> !s
  // CHECK: weft.causal_mask
  %6 = weft.causal_mask : tensor<?x?xi1, #weft.dims<"T", "T">>
  // CHECK: weft.einsum
  %7 = weft.einsum %s, %s {equation = "btd,bsd->bts"} : (!s, !s) -> tensor<?x?x?xf32, #weft.dims<"B", "T", "T">>
  // CHECK: weft.matmul %{{.*}}, %{{.*}} {transpose_b}
  %8 = weft.matmul %s, %w {transpose_b} : (!s, tensor<512x64xf32>) -> tensor<?x?x512xf32, #weft.dims<"B", "T">>
  // CHECK: weft.attention %{{.*}} key_mask(%{{.*}}) mask(%{{.*}}) bias(%{{.*}}) {causal, dropout = 1.000000e-01 : f64, heads = 8 : i64, kv_heads = 4 : i64
  %k = weft.slice %s {axis = 2 : i64, start = "0", step = 1 : i64} : !s to tensor<?x?x32xf32, #weft.dims<"B", "T">>
  %9, %10 = weft.attention %s, %k, %k key_mask(%m) mask(%6) bias(%bias) {heads = 8 : i64, kv_heads = 4 : i64, scale = 0.125 : f64, causal, window = 16 : i64, softcap = 50.0 : f64, dropout = 0.1 : f64, weights = "mean"}
    : (!s, tensor<?x?x32xf32, #weft.dims<"B", "T">>, tensor<?x?x32xf32, #weft.dims<"B", "T">>, tensor<?x?xi1, #weft.dims<"B", "T">>, tensor<?x?xi1, #weft.dims<"T", "T">>, tensor<8x1x?xf32, #weft.dims<"T">>)
    -> (!s, tensor<?x?x?xf32, #weft.dims<"B", "T", "T">>)
  // CHECK: weft.attention %{{.*}} {cache = @kv, causal, heads = 8 : i64, kv_heads = 4 : i64, layer = "3"
  %11 = weft.attention %s, %k, %k {heads = 8 : i64, kv_heads = 4 : i64, scale = 0.125 : f64, causal, cache = @kv, layer = "3"}
    : (!s, tensor<?x?x32xf32, #weft.dims<"B", "T">>, tensor<?x?x32xf32, #weft.dims<"B", "T">>) -> !s
  return %11 : !s
}

// CHECK-LABEL: func @gradients(
func.func @gradients(%s: !s, %ids: tensor<?x?xi32, #weft.dims<"B", "T">>, %table: tensor<9x64xf32>, %dropped: !s) -> !s {
  // CHECK: weft.attention {{.*}}save_lse
  %y, %lse = weft.attention %s, %s, %s {heads = 8 : i64, kv_heads = 8 : i64, scale = 0.125 : f64, dropout = 0.1 : f64, site = 3 : i64, round = "i", save_lse}
    : (!s, !s, !s) -> (!s, tensor<?x8x?xf32, #weft.dims<"B", "T">>)
  // CHECK: weft.attention_grad
  %dq, %dk, %dv = weft.attention_grad %s, %s, %s, %y, %lse, %s {heads = 8 : i64, kv_heads = 8 : i64, scale = 0.125 : f64, dropout = 0.1 : f64, site = 3 : i64, round = "i"}
    : (!s, !s, !s, !s, tensor<?x8x?xf32, #weft.dims<"B", "T">>, !s) -> (!s, !s, !s)
  // CHECK: weft.embedding_grad %{{[^,]*}}, %{{[^,]*}}, %{{[^,]*}} {padding_idx = 0 : i64}
  %t = weft.embedding_grad %ids, %dq, %table {padding_idx = 0 : i64} : (tensor<?x?xi32, #weft.dims<"B", "T">>, !s, tensor<9x64xf32>) -> tensor<9x64xf32>
  // CHECK: weft.scatter_add
  %i = weft.constant dense<0> : tensor<2x1xi32>
  %g = weft.constant dense<1.0> : tensor<2x1xf32>
  %a = weft.scatter_add %i, %g {axis = 1 : i64} : (tensor<2x1xi32>, tensor<2x1xf32>) -> tensor<2x8xf32>
  // CHECK: weft.dropout %{{.*}} {p = 1.000000e-01 : f64, round = "i", site = 7 : i64}
  %d = weft.dropout %dk {p = 0.1 : f64, site = 7 : i64, round = "i"} : !s
  // CHECK: weft.loss_scale {inverse} : tensor<f32>
  %inverse = weft.loss_scale {inverse} : tensor<f32>
  // CHECK: weft.size "B * T" : tensor<f32>
  %n = weft.size "B * T" : tensor<f32>
  return %d : !s
}

// CHECK-LABEL: func @sugar(
func.func @sugar(%s: !s, %w: tensor<192x64xf32>, %c: tensor<192xf32>, %wo: tensor<64x64xf32>, %co: tensor<64xf32>, %m: tensor<?x?xi1, #weft.dims<"B", "T">>,
                 %table: tensor<512x64xf32>, %one: tensor<f32>) -> !s {
  // CHECK: weft.linear %{{.*}}, %{{.*}} bias(%{{.*}}) {activation = "gelu"}
  %0 = weft.linear %s, %w bias(%c) {activation = "gelu"} : (!s, tensor<192x64xf32>, tensor<192xf32>) -> tensor<?x?x192xf32, #weft.dims<"B", "T">>
  // CHECK: weft.position_embedding %{{.*}} table(%{{.*}} : tensor<512x64xf32>) {axis = 1 : i64, offset = "T"}
  %1 = weft.position_embedding %s table(%table : tensor<512x64xf32>) {axis = 1 : i64, offset = "T"} : !s to tensor<?x64xf32, #weft.dims<"T">>
  // CHECK: weft.position_embedding %{{.*}} {axis = 1 : i64, state = @kv}
  %2 = weft.position_embedding %s {axis = 1 : i64, state = @kv} : !s to !s
  // CHECK: weft.mha %{{.*}} in_proj(%{{.*}}, %{{.*}}) out_proj(%{{.*}}, %{{.*}}) {causal, heads = 8 : i64, scale = 1.250000e-01 : f64}
  %3 = weft.mha %s in_proj(%w, %c) out_proj(%wo, %co) {heads = 8 : i64, scale = 0.125 : f64, causal}
    : (!s, tensor<192x64xf32>, tensor<192xf32>, tensor<64x64xf32>, tensor<64xf32>) -> !s
  // CHECK: weft.mha %{{.*}}, %{{.*}}, %{{.*}} in_proj(%{{.*}}) out_proj(%{{.*}}) key_mask(%{{.*}}) {heads = 8 : i64, scale = 1.250000e-01 : f64, weights = "mean"}
  %4, %5 = weft.mha %s, %3, %3 in_proj(%w) out_proj(%wo) key_mask(%m) {heads = 8 : i64, scale = 0.125 : f64, weights = "mean"}
    : (!s, !s, !s, tensor<192x64xf32>, tensor<64x64xf32>, tensor<?x?xi1, #weft.dims<"B", "T">>) -> (!s, tensor<?x?x?xf32, #weft.dims<"B", "T", "T">>)
  // CHECK: weft.swiglu
  %6 = weft.swiglu %4, %s : (!s, !s) -> !s
  // CHECK: weft.geglu %{{.*}}, %{{.*}} {approximate}
  %7 = weft.geglu %6, %s {approximate} : (!s, !s) -> !s
  // CHECK: weft.unsqueeze
  %8 = weft.unsqueeze %m {axis = 2 : i64} : (tensor<?x?xi1, #weft.dims<"B", "T">>) -> tensor<?x?x1xi1, #weft.dims<"B", "T">>
  // CHECK: weft.masked_fill
  %9 = weft.masked_fill %7, %8, %one : (!s, tensor<?x?x1xi1, #weft.dims<"B", "T">>, tensor<f32>) -> !s
  // CHECK: weft.split %{{.*}} {axis = 2 : i64} : {{.*}} to tensor<?x?x1xf32, #weft.dims<"B", "T">>, tensor<?x?x63xf32, #weft.dims<"B", "T">>
  %10, %11 = weft.split %9 {axis = 2 : i64} : !s to tensor<?x?x1xf32, #weft.dims<"B", "T">>, tensor<?x?x63xf32, #weft.dims<"B", "T">>
  // CHECK: weft.squeeze
  %12 = weft.squeeze %10 {axis = 2 : i64} : (tensor<?x?x1xf32, #weft.dims<"B", "T">>) -> tensor<?x?xf32, #weft.dims<"B", "T">>
  // CHECK: weft.flatten {{.*}} -> tensor<?xf32, #weft.dims<"B * T">>
  %13 = weft.flatten %12 {start = 0 : i64, end = 1 : i64} : (tensor<?x?xf32, #weft.dims<"B", "T">>) -> tensor<?xf32, #weft.dims<"B * T">>
  // CHECK: weft.select %{{.*}} {axis = 1 : i64, index = "T - 1"}
  %14 = weft.select %9 {axis = 1 : i64, index = "T - 1"} : (!s) -> tensor<?x64xf32, #weft.dims<"B">>
  return %9 : !s
}

// CHECK-LABEL: func @losses(
func.func @losses(%z: !s, %y: tensor<?x?xi32, #weft.dims<"B", "T">>, %w: tensor<64xf32>, %one: tensor<f32>) -> tensor<?x?xf32, #weft.dims<"B", "T">> {
  // CHECK: weft.cross_entropy %{{.*}}, %{{.*}} : (
  %0 = weft.cross_entropy %z, %y : (!s, tensor<?x?xi32, #weft.dims<"B", "T">>) -> tensor<f32>
  // CHECK: weft.cross_entropy %{{.*}}, %{{.*}} class_weights(%{{.*}}) {ignore_index = -1 : i64, label_smoothing = 1.000000e-01 : f64, reduction = "none"}
  %1 = weft.cross_entropy %z, %y class_weights(%w) {ignore_index = -1 : i64, label_smoothing = 0.1 : f64, reduction = "none"}
    : (!s, tensor<?x?xi32, #weft.dims<"B", "T">>, tensor<64xf32>) -> tensor<?x?xf32, #weft.dims<"B", "T">>
  // CHECK: weft.bce_with_logits %{{.*}}, %{{.*}} : (
  %2 = weft.bce_with_logits %z, %z : (!s, !s) -> tensor<f32>
  // CHECK: weft.bce_with_logits %{{.*}}, %{{.*}} pos_weight(%{{.*}}) {reduction = "sum"}
  %3 = weft.bce_with_logits %z, %z pos_weight(%w) {reduction = "sum"} : (!s, !s, tensor<64xf32>) -> tensor<f32>
  // CHECK: weft.bce_with_logits %{{.*}}, %{{.*}} pos_weight(%{{.*}}) {reduction = "none"}
  %4 = weft.bce_with_logits %z, %z pos_weight(%one) {reduction = "none"} : (!s, !s, tensor<f32>) -> !s
  // CHECK: weft.mse
  %5 = weft.mse %z, %z : (!s, !s) -> tensor<f32>
  // CHECK: weft.l1
  %6 = weft.l1 %z, %z {reduction = "none"} : (!s, !s) -> !s
  // CHECK: weft.huber %{{.*}}, %{{.*}} {delta = 2.000000e+00 : f64}
  %7 = weft.huber %z, %z {delta = 2.0 : f64} : (!s, !s) -> tensor<f32>
  // CHECK: weft.kl_div %{{.*}}, %{{.*}} {reduction = "batchmean"}
  %8 = weft.kl_div %z, %z {reduction = "batchmean"} : (!s, !s) -> tensor<f32>
  // CHECK: weft.cross_entropy_grad %{{[^,]*}}, %{{[^,]*}}, %{{[^ ]*}} {ignore_index = 3 : i64, reduction = "sum"}
  %9 = weft.cross_entropy_grad %z, %y, %8 {reduction = "sum", ignore_index = 3 : i64} : (!s, tensor<?x?xi32, #weft.dims<"B", "T">>, tensor<f32>) -> !s
  return %1 : tensor<?x?xf32, #weft.dims<"B", "T">>
}

// CHECK-LABEL: func @structure(
func.func @structure(%x: !x, %w: tensor<16x16xf32>) -> !x {
  // CHECK: weft.repeat 12 "i"(%{{.*}})
  // CHECK: weft.parameter @"h.{i}.weight"[%{{.*}}] : tensor<16xf32>
  // CHECK: weft.yield
  %0 = weft.repeat 12 "i"(%x) : (!x) -> !x {
  ^bb0(%i: index, %h: !x):
    %g = weft.parameter @"h.{i}.weight"[%i] : tensor<16xf32>
    %n = weft.rms_norm %h, %g {eps = 1.0e-5 : f64} : (!x, tensor<16xf32>) -> !x
    weft.yield %n : !x
  }
  // CHECK: weft.repeat 12 "i"(%{{.*}}) : (tensor<?x16xf32, {{.*}}>) -> (tensor<?x16xf32, {{.*}}>, tensor<12x?x16xf32, {{.*}}>) attributes {reverse}
  %stack:2 = weft.repeat 12 "i"(%x) : (!x) -> (!x, tensor<12x?x16xf32, #weft.dims<"B">>) attributes {reverse} {
  ^bb0(%i: index, %h: !x):
    %n = weft.neg %h : !x
    weft.yield %n, %h : !x, !x
  }
  // CHECK: weft.chunks 64 "c"(%{{.*}}) rows(%{{.*}}) : (tensor<16xf32>, tensor<?x16xf32, {{.*}}>) -> (tensor<16xf32>, tensor<?x16xf32, {{.*}}>)
  // CHECK: ^bb0(%{{.*}}: tensor<16xf32>, %{{.*}}: tensor<?x16xf32, #weft.dims<"min(64, B - c * 64)">>):
  %zero = weft.constant dense<0.0> : tensor<16xf32>
  %sums:2 = weft.chunks 64 "c"(%zero) rows(%x) : (tensor<16xf32>, !x) -> (tensor<16xf32>, !x) {
  ^bb0(%s: tensor<16xf32>, %part: tensor<?x16xf32, #weft.dims<"min(64, B - c * 64)">>):
    %t = weft.neg %s : tensor<16xf32>
    weft.yield %t, %part : tensor<16xf32>, tensor<?x16xf32, #weft.dims<"min(64, B - c * 64)">>
  }
  // CHECK: weft.fused(%{{.*}}, %{{.*}})
  %1 = weft.fused(%0, %x) : (!x, !x) -> !x {
  ^bb0(%a: !x, %b: !x):
    %s = weft.add %a, %b : (!x, !x) -> !x
    weft.yield %s : !x
  }
  // CHECK: weft.contract %{{.*}}, %{{.*}} extras(%{{.*}}) {transpose_b}
  %2 = weft.contract %1, %w extras(%x) {transpose_b} : (!x, tensor<16x16xf32>, !x) -> !x {
  ^bb0(%acc: !x, %r: !x):
    %s = weft.add %acc, %r : (!x, !x) -> !x
    weft.yield %s : !x
  }
  return %2 : !x
}

weft.kept @memory rounds 1 : !x
weft.kept @layers.kv rounds 12 : !x

// CHECK: weft.kept @memory rounds 1 : tensor<
// CHECK: weft.kept @layers.kv rounds 12 : tensor<
// CHECK-LABEL: func @kept_values(
func.func @kept_values(%x: !x) -> !x {
  // CHECK: weft.keep %arg0 in @memory : tensor<
  weft.keep %x in @memory : !x
  %0 = weft.repeat 12 "i"(%x) : (!x) -> !x {
  ^bb0(%i: index, %h: !x):
    // CHECK: weft.recall @layers.kv[%{{.*}}] : tensor<
    %kv = weft.recall @layers.kv[%i] : !x
    weft.yield %kv : !x
  }
  return %0 : !x
}
