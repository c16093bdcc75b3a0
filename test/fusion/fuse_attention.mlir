// Attention written as product, scale, mask, softmax, product is one weft.attention, however its heads are split.
// RUN: weft-opt %s -split-input-file -weft-normalize-einsum -canonicalize -weft-fuse-attention -canonicalize -cse | FileCheck %s

!x = tensor<?x?x64xf32, #weft.dims<"B", "T">>
!split = tensor<?x?x4x16xf32, #weft.dims<"B", "T">>
!heads = tensor<?x4x?x16xf32, #weft.dims<"B", "T">>
!scores = tensor<?x4x?x?xf32, #weft.dims<"B", "T", "T">>

// Heads by reshape and transpose; the split and its inverse cancel.
// CHECK-LABEL: func @heads_by_reshape_and_transpose(
// CHECK-SAME: %[[Q:[a-z0-9]+]]: tensor<{{[^>]*>>}}, %[[K:[a-z0-9]+]]: tensor<{{[^>]*>>}}, %[[V:[a-z0-9]+]]:
// CHECK-NEXT: %[[Y:.*]] = weft.attention %[[Q]], %[[K]], %[[V]] {heads = 4 : i64, kv_heads = 4 : i64, scale = 2.500000e-01 : f64}
// CHECK-NEXT: return %[[Y]]
func.func @heads_by_reshape_and_transpose(%q: !x, %k: !x, %v: !x) -> !x {
  %q4 = weft.reshape %q : !x to !split
  %k4 = weft.reshape %k : !x to !split
  %v4 = weft.reshape %v : !x to !split
  %qh = weft.transpose %q4 {perm = array<i64: 0, 2, 1, 3>} : (!split) -> !heads
  %kh = weft.transpose %k4 {perm = array<i64: 0, 2, 1, 3>} : (!split) -> !heads
  %vh = weft.transpose %v4 {perm = array<i64: 0, 2, 1, 3>} : (!split) -> !heads
  %s = weft.matmul %qh, %kh {transpose_b} : (!heads, !heads) -> !scores
  %c = weft.constant dense<0.25> : tensor<f32>
  %t = weft.mul %s, %c : (!scores, tensor<f32>) -> !scores
  %p = weft.softmax %t {axis = 3 : i64} : !scores
  %y = weft.matmul %p, %vh : (!scores, !heads) -> !heads
  %y4 = weft.transpose %y {perm = array<i64: 0, 2, 1, 3>} : (!heads) -> !split
  %z = weft.reshape %y4 : !split to !x
  return %z : !x
}

// -----

!x = tensor<?x?x64xf32, #weft.dims<"B", "T">>
!split = tensor<?x?x4x16xf32, #weft.dims<"B", "T">>
!heads = tensor<?x4x?x16xf32, #weft.dims<"B", "T">>
!keys = tensor<?x4x16x?xf32, #weft.dims<"B", "T">>
!scores = tensor<?x4x?x?xf32, #weft.dims<"B", "T", "T">>

// k transposed before the product, q scaled before it.
// CHECK-LABEL: func @transposed_keys_and_scaled_queries(
// CHECK-NEXT: weft.attention %arg0, %arg1, %arg1 {heads = 4 : i64, kv_heads = 4 : i64, scale = 1.250000e-01 : f64}
// CHECK-NEXT: return
func.func @transposed_keys_and_scaled_queries(%q: !x, %k: !x) -> !x {
  %c = weft.constant dense<0.125> : tensor<f32>
  %qs = weft.mul %q, %c : (!x, tensor<f32>) -> !x
  %q4 = weft.reshape %qs : !x to !split
  %k4 = weft.reshape %k : !x to !split
  %qh = weft.transpose %q4 {perm = array<i64: 0, 2, 1, 3>} : (!split) -> !heads
  %kt = weft.transpose %k4 {perm = array<i64: 0, 2, 3, 1>} : (!split) -> !keys
  %vh = weft.transpose %k4 {perm = array<i64: 0, 2, 1, 3>} : (!split) -> !heads
  %s = weft.matmul %qh, %kt : (!heads, !keys) -> !scores
  %p = weft.softmax %s {axis = 3 : i64} : !scores
  %y = weft.matmul %p, %vh : (!scores, !heads) -> !heads
  %y4 = weft.transpose %y {perm = array<i64: 0, 2, 1, 3>} : (!heads) -> !split
  %z = weft.reshape %y4 : !split to !x
  return %z : !x
}

// -----

!x = tensor<?x?x64xf32, #weft.dims<"B", "T">>
!split = tensor<?x?x4x16xf32, #weft.dims<"B", "T">>
!scores = tensor<?x4x?x?xf32, #weft.dims<"B", "T", "T">>

// Heads by einsum; future scores at -inf, then the scale: -inf is the same under a positive factor.
// CHECK-LABEL: func @masked_before_scaled(
// CHECK-NEXT: weft.attention %arg0, %arg0, %arg0 {causal, heads = 4 : i64, kv_heads = 4 : i64, scale = 1.250000e-01 : f64}
// CHECK-NEXT: return
func.func @masked_before_scaled(%x: !x) -> !x {
  %x4 = weft.reshape %x : !x to !split
  %past = weft.causal_mask : tensor<?x?xi1, #weft.dims<"T", "T">>
  %future = weft.not %past : tensor<?x?xi1, #weft.dims<"T", "T">>
  %s = weft.einsum %x4, %x4 {equation = "nqhd,nkhd->nhqk"} : (!split, !split) -> !scores
  %inf = weft.constant dense<0xFF800000> : tensor<f32>
  %m = weft.where %future, %inf, %s : (tensor<?x?xi1, #weft.dims<"T", "T">>, tensor<f32>, !scores) -> !scores
  %c = weft.constant dense<8.0> : tensor<f32>
  %t = weft.div %m, %c : (!scores, tensor<f32>) -> !scores
  %p = weft.softmax %t {axis = 3 : i64} : !scores
  %y = weft.einsum %p, %x4 {equation = "nhql,nlhd->nqhd"} : (!scores, !split) -> !split
  %z = weft.reshape %y : !split to !x
  return %z : !x
}

// -----

!x = tensor<?x?x16xf32, #weft.dims<"B", "T">>
!scores = tensor<?x?x?xf32, #weft.dims<"B", "T", "T">>

// One head, no split; the causal mask is a comparison of positions.
// CHECK-LABEL: func @compared_positions_are_causal(
// CHECK-NEXT: weft.attention %arg0, %arg0, %arg0 {causal, heads = 1 : i64, kv_heads = 1 : i64, scale = 1.000000e+00 : f64}
// CHECK-NEXT: return
func.func @compared_positions_are_causal(%x: !x) -> !x {
  %i = weft.iota : tensor<?xi32, #weft.dims<"T">>
  %rows = weft.reshape %i : tensor<?xi32, #weft.dims<"T">> to tensor<?x1xi32, #weft.dims<"T">>
  %past = weft.less_equal %i, %rows : (tensor<?xi32, #weft.dims<"T">>, tensor<?x1xi32, #weft.dims<"T">>) -> tensor<?x?xi1, #weft.dims<"T", "T">>
  %s = weft.matmul %x, %x {transpose_b} : (!x, !x) -> !scores
  %inf = weft.constant dense<0xFF800000> : tensor<f32>
  %m = weft.where %past, %s, %inf : (tensor<?x?xi1, #weft.dims<"T", "T">>, !scores, tensor<f32>) -> !scores
  %p = weft.softmax %m {axis = 2 : i64} : !scores
  %y = weft.matmul %p, %x : (!scores, !x) -> !x
  return %y : !x
}

// -----

!x = tensor<?x?x16xf32, #weft.dims<"B", "T">>
!scores = tensor<?x?x?xf32, #weft.dims<"B", "T", "T">>

// The other comparison keeps the future: a mask like any other.
// CHECK-LABEL: func @the_future_is_not_causal(
// CHECK: %[[FUTURE:.*]] = weft.greater_equal
// CHECK: weft.attention %arg0, %arg0, %arg0 mask(%[[FUTURE]]) {heads
func.func @the_future_is_not_causal(%x: !x) -> !x {
  %i = weft.iota : tensor<?xi32, #weft.dims<"T">>
  %rows = weft.reshape %i : tensor<?xi32, #weft.dims<"T">> to tensor<?x1xi32, #weft.dims<"T">>
  %m = weft.greater_equal %i, %rows : (tensor<?xi32, #weft.dims<"T">>, tensor<?x1xi32, #weft.dims<"T">>) -> tensor<?x?xi1, #weft.dims<"T", "T">>
  %s = weft.matmul %x, %x {transpose_b} : (!x, !x) -> !scores
  %inf = weft.constant dense<0xFF800000> : tensor<f32>
  %f = weft.where %m, %s, %inf : (tensor<?x?xi1, #weft.dims<"T", "T">>, !scores, tensor<f32>) -> !scores
  %p = weft.softmax %f {axis = 2 : i64} : !scores
  %y = weft.matmul %p, %x : (!scores, !x) -> !x
  return %y : !x
}

// -----

!q = tensor<?x4x?x16xf32, #weft.dims<"B", "T">>
!k = tensor<?x4x?x16xf32, #weft.dims<"B", "S">>
!scores = tensor<?x4x?x?xf32, #weft.dims<"B", "T", "S">>
!keys = tensor<?x1x1x?xi1, #weft.dims<"B", "S">>

// A mask of keys, cross-attention, a bias: scaled with the scores when the scale comes after it.
// CHECK-LABEL: func @bias_then_scale_then_key_mask(
// CHECK-DAG: %[[C:.*]] = weft.constant dense<5.000000e-01>
// CHECK-DAG: %[[BIAS:.*]] = weft.mul %arg3, %[[C]]
// CHECK-DAG: %[[KEYS:.*]] = weft.reshape %arg2 : {{.*}} to tensor<?x?xi1, #weft.dims<"B", "S">>
// CHECK: weft.attention %{{.*}} key_mask(%[[KEYS]]) bias(%[[BIAS]]) {{.*}}scale = 5.000000e-01
func.func @bias_then_scale_then_key_mask(%q: !q, %k: !k, %mask: !keys, %bias: tensor<4x1x?xf32, #weft.dims<"S">>) -> !q {
  %s = weft.matmul %q, %k {transpose_b} : (!q, !k) -> !scores
  %b = weft.add %s, %bias : (!scores, tensor<4x1x?xf32, #weft.dims<"S">>) -> !scores
  %c = weft.constant dense<0.5> : tensor<f32>
  %t = weft.mul %b, %c : (!scores, tensor<f32>) -> !scores
  %inf = weft.constant dense<0xFF800000> : tensor<f32>
  %f = weft.where %mask, %t, %inf : (!keys, !scores, tensor<f32>) -> !scores
  %p = weft.softmax %f {axis = 3 : i64} : !scores
  %y = weft.matmul %p, %k : (!scores, !k) -> !q
  return %y : !q
}

// -----

!q = tensor<?x4x?x16xf32, #weft.dims<"B", "T">>
!scores = tensor<?x4x?x?xf32, #weft.dims<"B", "T", "T">>
!mask = tensor<?x1x?x?xi1, #weft.dims<"B", "T", "T">>
!keys = tensor<?x1x1x?xi1, #weft.dims<"B", "T">>

// A conjunction of masks: each part becomes what the op knows of it.
// CHECK-LABEL: func @conjunctions_are_split(
// CHECK: %[[KEYS:.*]] = weft.reshape %arg1
// CHECK: weft.attention %{{.*}} key_mask(%[[KEYS]]) {causal,
func.func @conjunctions_are_split(%q: !q, %keys: !keys) -> !q {
  %past = weft.causal_mask : tensor<?x?xi1, #weft.dims<"T", "T">>
  %m = weft.and %keys, %past : (!keys, tensor<?x?xi1, #weft.dims<"T", "T">>) -> !mask
  %zero = weft.constant dense<0.0> : tensor<f32>
  %inf = weft.constant dense<0xFF800000> : tensor<f32>
  %additive = weft.where %m, %zero, %inf : (!mask, tensor<f32>, tensor<f32>) -> tensor<?x1x?x?xf32, #weft.dims<"B", "T", "T">>
  %s = weft.matmul %q, %q {transpose_b} : (!q, !q) -> !scores
  %f = weft.add %s, %additive : (!scores, tensor<?x1x?x?xf32, #weft.dims<"B", "T", "T">>) -> !scores
  %p = weft.softmax %f {axis = 3 : i64} : !scores
  %y = weft.matmul %p, %q : (!scores, !q) -> !q
  return %y : !q
}

// -----

!q = tensor<?x4x?x16xf32, #weft.dims<"B", "T">>
!scores = tensor<?x4x?x?xf32, #weft.dims<"B", "T", "T">>
!keys = tensor<?x1x1x?xi1, #weft.dims<"B", "T">>

// A finite fill: a row with every key masked stays uniform, so it is a bias that absorbs the scores, not a mask.
// CHECK-LABEL: func @a_finite_fill_is_a_bias(
// CHECK-DAG: %[[MASKED:.*]] = weft.constant dense<-1.000000e+30>
// CHECK-DAG: %[[OPEN:.*]] = weft.constant dense<0.000000e+00>
// CHECK: %[[BIAS:.*]] = weft.where %arg1, %[[MASKED]], %[[OPEN]]
// CHECK: weft.attention %{{.*}} bias(%[[BIAS]]) {heads
func.func @a_finite_fill_is_a_bias(%q: !q, %hidden: !keys) -> !q {
  %s = weft.matmul %q, %q {transpose_b} : (!q, !q) -> !scores
  %low = weft.constant dense<-1.0e9> : tensor<f32>
  %f = weft.where %hidden, %low, %s : (!keys, tensor<f32>, !scores) -> !scores
  %p = weft.softmax %f {axis = 3 : i64} : !scores
  %y = weft.matmul %p, %q : (!scores, !q) -> !q
  return %y : !q
}

// -----

!q = tensor<?x4x?x16xf32, #weft.dims<"B", "T">>
!scores = tensor<?x4x?x?xf32, #weft.dims<"B", "T", "T">>

// Under a causal mask no row is masked whole: the fill's value does not matter.
// CHECK-LABEL: func @a_finite_fill_of_the_future_is_causal(
// CHECK: weft.attention %{{.*}} {causal, heads
func.func @a_finite_fill_of_the_future_is_causal(%q: !q) -> !q {
  %past = weft.causal_mask : tensor<?x?xi1, #weft.dims<"T", "T">>
  %s = weft.matmul %q, %q {transpose_b} : (!q, !q) -> !scores
  %low = weft.constant dense<-1.0e9> : tensor<f32>
  %f = weft.where %past, %s, %low : (tensor<?x?xi1, #weft.dims<"T", "T">>, !scores, tensor<f32>) -> !scores
  %p = weft.softmax %f {axis = 3 : i64} : !scores
  %y = weft.matmul %p, %q : (!scores, !q) -> !q
  return %y : !q
}

// -----

!x = tensor<?x?x2xf32, #weft.dims<"S", "N">>
!scores = tensor<?x?x?xf32, #weft.dims<"S", "N", "N">>
!row = tensor<?x?x1xf32, #weft.dims<"S", "N">>

// Softmax in five ops, probabilities also read elsewhere: the op's second result, in the shape that they had.
// CHECK-LABEL: func @spelled_softmax_with_map(
// CHECK: %[[Y:.*]], %[[MAP:.*]] = weft.attention %arg0, %arg0, %arg0 {heads = 1 : i64, kv_heads = 1 : i64, {{.*}}weights = "per_head"}
// CHECK: %[[P:.*]] = weft.reshape %[[MAP]] : tensor<?x1x?x?xf32, {{.*}} to tensor<?x?x?xf32
// CHECK: return %[[Y]], %[[P]]
func.func @spelled_softmax_with_map(%x: !x) -> (!x, !scores) {
  %s = weft.matmul %x, %x {transpose_b} : (!x, !x) -> !scores
  %c = weft.constant dense<1.41421354> : tensor<f32>
  %t = weft.div %s, %c : (!scores, tensor<f32>) -> !scores
  %top = weft.reduce_max %t {axes = array<i64: 2>, keepdim} : (!scores) -> !row
  %shifted = weft.sub %t, %top : (!scores, !row) -> !scores
  %e = weft.exp %shifted : !scores
  %total = weft.reduce_sum %e {axes = array<i64: 2>, keepdim} : (!scores) -> !row
  %p = weft.div %e, %total : (!scores, !row) -> !scores
  %y = weft.matmul %p, %x : (!scores, !x) -> !x
  return %y, %p : !x, !scores
}

// -----

!q4 = tensor<?x4x?x16xf32, #weft.dims<"B", "T">>
!merged = tensor<?x?x16xf32, #weft.dims<"B * 4", "T">>
!scores = tensor<?x?x?xf32, #weft.dims<"B * 4", "T", "T">>

// Batch and heads in one axis, as torch.bmm wants them.
// CHECK-LABEL: func @batch_and_heads_merged(
// CHECK: weft.attention %{{.*}} {heads = 4 : i64
func.func @batch_and_heads_merged(%q: !q4) -> !merged {
  %m = weft.reshape %q : !q4 to !merged
  %s = weft.matmul %m, %m {transpose_b} : (!merged, !merged) -> !scores
  %p = weft.softmax %s {axis = 2 : i64} : !scores
  %y = weft.matmul %p, %m : (!scores, !merged) -> !merged
  return %y : !merged
}

// -----

!q = tensor<?x8x?x16xf32, #weft.dims<"B", "T">>
!kv = tensor<?x2x?x16xf32, #weft.dims<"B", "T">>
!kv1 = tensor<?x2x1x?x16xf32, #weft.dims<"B", "T">>
!kv4 = tensor<?x2x4x?x16xf32, #weft.dims<"B", "T">>
!scores = tensor<?x8x?x?xf32, #weft.dims<"B", "T", "T">>

// Keys repeated for groups of query heads are not repeated.
// CHECK-LABEL: func @grouped_queries(
// CHECK-NOT: weft.expand
// CHECK: weft.attention %{{.*}} {heads = 8 : i64, kv_heads = 2 : i64
func.func @grouped_queries(%q: !q, %kv: !kv) -> !q {
  %one = weft.reshape %kv : !kv to !kv1
  %four = weft.expand %one : !kv1 to !kv4
  %k = weft.reshape %four : !kv4 to !q
  %s = weft.matmul %q, %k {transpose_b} : (!q, !q) -> !scores
  %p = weft.softmax %s {axis = 3 : i64} : !scores
  %y = weft.matmul %p, %k : (!scores, !q) -> !q
  return %y : !q
}

// -----

!q = tensor<?x4x?x16xf32, #weft.dims<"B", "T">>
!one = tensor<?x1x?x16xf32, #weft.dims<"B", "T">>
!scores = tensor<?x4x?x?xf32, #weft.dims<"B", "T", "T">>

// One key head for all queries by broadcasting; softcap; dropout of the probabilities.
// CHECK-LABEL: func @one_key_head_softcap_and_dropout(
// CHECK: weft.attention %{{.*}} {dropout = 1.000000e-01 : f64, heads = 4 : i64, kv_heads = 1 : i64, scale = 2.500000e-01 : f64, site = 7 : i64, softcap = 5.000000e+01 : f64}
func.func @one_key_head_softcap_and_dropout(%q: !q, %k: !one) -> !q {
  %s = weft.matmul %q, %k {transpose_b} : (!q, !one) -> !scores
  %c = weft.constant dense<0.005> : tensor<f32>
  %t = weft.mul %s, %c : (!scores, tensor<f32>) -> !scores
  %th = weft.tanh %t : !scores
  %cap = weft.constant dense<50.0> : tensor<f32>
  %u = weft.mul %th, %cap : (!scores, tensor<f32>) -> !scores
  %p = weft.softmax %u {axis = 3 : i64} : !scores
  %d = weft.dropout %p {p = 0.1 : f64, site = 7 : i64} : !scores
  %y = weft.matmul %d, %k : (!scores, !one) -> !q
  return %y : !q
}

// -----

!x = tensor<?x?x16xf32, #weft.dims<"B", "T">>
!scores = tensor<?x?x?xf32, #weft.dims<"B", "T", "T">>

// A row that is masked whole by a finite fill has the map 1/n: kernels compute it from the row's maximum and sum.
// CHECK-LABEL: func @a_map_of_a_finite_fill_is_a_result(
// CHECK: weft.attention {{.*}} bias({{.*}}weights = "per_head"
func.func @a_map_of_a_finite_fill_is_a_result(%x: !x, %m: tensor<?x?xi1, #weft.dims<"T", "T">>) -> (!x, !scores) {
  %s = weft.matmul %x, %x {transpose_b} : (!x, !x) -> !scores
  %low = weft.constant dense<-1.0e9> : tensor<f32>
  %f = weft.where %m, %s, %low : (tensor<?x?xi1, #weft.dims<"T", "T">>, !scores, tensor<f32>) -> !scores
  %p = weft.softmax %f {axis = 2 : i64} : !scores
  %y = weft.matmul %p, %x : (!scores, !x) -> !x
  return %y, %p : !x, !scores
}

// -----

!x = tensor<?x?x16xf16, #weft.dims<"B", "T">>
!scores = tensor<?x?x?xf16, #weft.dims<"B", "T", "T">>

// CHECK-LABEL: func @half_precision_rounds_at_every_step(
// CHECK-NOT: weft.attention
func.func @half_precision_rounds_at_every_step(%x: !x) -> !x {
  %s = weft.matmul %x, %x {transpose_b} : (!x, !x) -> !scores
  %p = weft.softmax %s {axis = 2 : i64} : !scores
  %y = weft.matmul %p, %x : (!scores, !x) -> !x
  return %y : !x
}
