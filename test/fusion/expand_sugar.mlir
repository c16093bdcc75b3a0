// Ops of the model file that are short for others are written with those.
// RUN: weft-opt %s -split-input-file -weft-expand-sugar | FileCheck %s

// CHECK-LABEL: func @linear(
// CHECK-NEXT: %[[Y:.*]] = weft.matmul %arg0, %arg1 {transpose_b} : (tensor<4x8xf32>, tensor<16x8xf32>) -> tensor<4x16xf32>
// CHECK-NEXT: %[[Z:.*]] = weft.add %[[Y]], %arg2
// CHECK-NEXT: %[[G:.*]] = weft.gelu %[[Z]] {approximate}
// CHECK-NEXT: return %[[G]]
func.func @linear(%x: tensor<4x8xf32>, %w: tensor<16x8xf32>, %b: tensor<16xf32>) -> tensor<4x16xf32> {
  %y = weft.linear %x, %w bias(%b) {activation = "gelu_tanh"} : (tensor<4x8xf32>, tensor<16x8xf32>, tensor<16xf32>) -> tensor<4x16xf32>
  return %y : tensor<4x16xf32>
}

// -----

// CHECK-LABEL: func @linear_of_a_vector(
// CHECK-NEXT: %[[M:.*]] = weft.reshape %arg0 : tensor<8xf32> to tensor<1x8xf32>
// CHECK-NEXT: %[[Y:.*]] = weft.matmul %[[M]], %arg1 {transpose_b}
// CHECK-NEXT: %[[V:.*]] = weft.reshape %[[Y]] : tensor<1x16xf32> to tensor<16xf32>
// CHECK-NEXT: return %[[V]]
func.func @linear_of_a_vector(%x: tensor<8xf32>, %w: tensor<16x8xf32>) -> tensor<16xf32> {
  %y = weft.linear %x, %w : (tensor<8xf32>, tensor<16x8xf32>) -> tensor<16xf32>
  return %y : tensor<16xf32>
}

// -----

!x = tensor<?x?x64xf32, #weft.dims<"B", "T">>
// One product for q, k and v.
// CHECK-LABEL: func @self_attention(
// CHECK-NEXT: %[[P:.*]] = weft.matmul %arg0, %arg1 {transpose_b} : {{.*}} -> tensor<?x?x192xf32
// CHECK-NEXT: %[[C:.*]] = weft.add %[[P]], %arg2
// CHECK-NEXT: %[[Q:.*]] = weft.slice %[[C]] {axis = 2 : i64, start = "0", step = 1 : i64}
// CHECK-NEXT: %[[K:.*]] = weft.slice %[[C]] {axis = 2 : i64, start = "64", step = 1 : i64}
// CHECK-NEXT: %[[V:.*]] = weft.slice %[[C]] {axis = 2 : i64, start = "128", step = 1 : i64}
// CHECK-NEXT: %[[A:.*]] = weft.attention %[[Q]], %[[K]], %[[V]] {causal, heads = 8 : i64, kv_heads = 8 : i64, scale = 1.250000e-01 : f64}
// CHECK-NEXT: %[[O:.*]] = weft.matmul %[[A]], %arg3 {transpose_b}
// CHECK-NEXT: %[[Y:.*]] = weft.add %[[O]], %arg4
// CHECK-NEXT: return %[[Y]]
func.func @self_attention(%x: !x, %w: tensor<192x64xf32>, %c: tensor<192xf32>, %wo: tensor<64x64xf32>, %co: tensor<64xf32>) -> !x {
  %y = weft.mha %x in_proj(%w, %c) out_proj(%wo, %co) {heads = 8 : i64, scale = 0.125 : f64, causal}
    : (!x, tensor<192x64xf32>, tensor<192xf32>, tensor<64x64xf32>, tensor<64xf32>) -> !x
  return %y : !x
}

// -----

!q = tensor<?x?x64xf32, #weft.dims<"B", "T">>
!k = tensor<?x?x64xf32, #weft.dims<"B", "S">>
// Each projection reads its rows of the weight.
// CHECK-LABEL: func @cross_attention(
// CHECK-NEXT: %[[WQ:.*]] = weft.slice %arg2 {axis = 0 : i64, start = "0", step = 1 : i64}
// CHECK-NEXT: %[[Q:.*]] = weft.matmul %arg0, %[[WQ]]
// CHECK-NEXT: %[[WK:.*]] = weft.slice %arg2 {axis = 0 : i64, start = "64", step = 1 : i64}
// CHECK-NEXT: %[[K:.*]] = weft.matmul %arg1, %[[WK]]
// CHECK-NEXT: %[[WV:.*]] = weft.slice %arg2 {axis = 0 : i64, start = "128", step = 1 : i64}
// CHECK-NEXT: %[[V:.*]] = weft.matmul %arg1, %[[WV]]
// CHECK-NEXT: %[[A:.*]], %[[MAP:.*]] = weft.attention %[[Q]], %[[K]], %[[V]] key_mask(%arg4)
// CHECK-NEXT: %[[Y:.*]] = weft.matmul %[[A]], %arg3
// CHECK-NEXT: return %[[Y]], %[[MAP]]
func.func @cross_attention(%q: !q, %k: !k, %w: tensor<192x64xf32>, %wo: tensor<64x64xf32>, %m: tensor<?x?xi1, #weft.dims<"B", "S">>)
    -> (!q, tensor<?x?x?xf32, #weft.dims<"B", "T", "S">>) {
  %y, %map = weft.mha %q, %k, %k in_proj(%w) out_proj(%wo) key_mask(%m) {heads = 8 : i64, scale = 0.125 : f64, weights = "mean"}
    : (!q, !k, !k, tensor<192x64xf32>, tensor<64x64xf32>, tensor<?x?xi1, #weft.dims<"B", "S">>) -> (!q, tensor<?x?x?xf32, #weft.dims<"B", "T", "S">>)
  return %y, %map : !q, tensor<?x?x?xf32, #weft.dims<"B", "T", "S">>
}

// -----

!x = tensor<2x4x64xbf16>
// Kernels read half precision, but for a bias.
// CHECK-LABEL: func @half_precision(
// CHECK-NEXT: %[[BIAS:.*]] = weft.cast %arg3 : tensor<4x4xbf16> to tensor<4x4xf32>
// CHECK-NEXT: %[[Y:.*]] = weft.attention %arg0, %arg1, %arg2 bias(%[[BIAS]]) {{.*}} -> tensor<2x4x64xbf16>
// CHECK-NEXT: return %[[Y]]
func.func @half_precision(%q: !x, %k: !x, %v: !x, %bias: tensor<4x4xbf16>) -> !x {
  %y = weft.attention %q, %k, %v bias(%bias) {heads = 8 : i64, kv_heads = 8 : i64, scale = 0.125 : f64} : (!x, !x, !x, tensor<4x4xbf16>) -> !x
  return %y : !x
}

// -----

!x = tensor<2x4x64xbf16>
!map = tensor<2x4x4xbf16>
// With a map attention is computed in f32, and both results are rounded once.
// CHECK-LABEL: func @half_precision_with_a_map(
// CHECK-COUNT-3: weft.cast %{{.*}} : tensor<2x4x64xbf16> to tensor<2x4x64xf32>
// CHECK-NEXT: %[[Y:.*]], %[[MAP:.*]] = weft.attention {{.*}} -> (tensor<2x4x64xf32>, tensor<2x4x4xf32>)
// CHECK-DAG: weft.cast %[[Y]] : tensor<2x4x64xf32> to tensor<2x4x64xbf16>
// CHECK-DAG: weft.cast %[[MAP]] : tensor<2x4x4xf32> to tensor<2x4x4xbf16>
func.func @half_precision_with_a_map(%q: !x, %k: !x, %v: !x) -> (!x, !map) {
  %y, %m = weft.attention %q, %k, %v {heads = 8 : i64, kv_heads = 8 : i64, scale = 0.125 : f64, weights = "mean"} : (!x, !x, !x) -> (!x, !map)
  return %y, %m : !x, !map
}

// -----

// CHECK-LABEL: func @learned_positions(
// CHECK-NEXT: %[[P:.*]] = weft.positions {offset = "2"} : tensor<?xi32, #weft.dims<"T">>
// CHECK-NEXT: weft.embedding %[[P]], %arg1
func.func @learned_positions(%x: tensor<?x?xi32, #weft.dims<"B", "T">>, %w: tensor<512x64xf32>) -> tensor<?x64xf32, #weft.dims<"T">> {
  %y = weft.position_embedding %x table(%w : tensor<512x64xf32>) {axis = 1 : i64, offset = "2"} : tensor<?x?xi32, #weft.dims<"B", "T">> to tensor<?x64xf32, #weft.dims<"T">>
  return %y : tensor<?x64xf32, #weft.dims<"T">>
}

// -----

// CHECK-LABEL: func @positions_of_each_sequence(
// CHECK-NEXT: %[[P:.*]] = weft.positions {offset = "0", state = @kv} : tensor<?x?xi32, #weft.dims<"B", "T">>
// CHECK-NEXT: weft.sinusoid %[[P]] {base = 1.000000e+03 : f64, element_type = f32, features = 64 : i64}
func.func @positions_of_each_sequence(%x: tensor<?x?xi32, #weft.dims<"B", "T">>) -> tensor<?x?x64xf32, #weft.dims<"B", "T">> {
  %y = weft.position_embedding %x {axis = 1 : i64, state = @kv, base = 1.0e3 : f64} : tensor<?x?xi32, #weft.dims<"B", "T">> to tensor<?x?x64xf32, #weft.dims<"B", "T">>
  return %y : tensor<?x?x64xf32, #weft.dims<"B", "T">>
}

// -----

// Where no state is bound, sequences written apart have the same positions.
// CHECK-LABEL: func @same_positions_for_all_sequences(
// CHECK-NEXT: %[[P:.*]] = weft.positions {offset = "0"} : tensor<?xi32, #weft.dims<"T">>
// CHECK-NEXT: %[[E:.*]] = weft.expand %[[P]] : tensor<?xi32, #weft.dims<"T">> to tensor<?x?xi32, #weft.dims<"B", "T">>
// CHECK-NEXT: weft.sinusoid %[[E]]
func.func @same_positions_for_all_sequences(%x: tensor<?x?xi32, #weft.dims<"B", "T">>) -> tensor<?x?x64xf32, #weft.dims<"B", "T">> {
  %y = weft.position_embedding %x {axis = 1 : i64} : tensor<?x?xi32, #weft.dims<"B", "T">> to tensor<?x?x64xf32, #weft.dims<"B", "T">>
  return %y : tensor<?x?x64xf32, #weft.dims<"B", "T">>
}

// -----

// CHECK-LABEL: func @gates(
// CHECK-NEXT: %[[S:.*]] = weft.silu %arg0
// CHECK-NEXT: %[[A:.*]] = weft.mul %[[S]], %arg1
// CHECK-NEXT: %[[G:.*]] = weft.gelu %arg0 {approximate}
// CHECK-NEXT: %[[B:.*]] = weft.mul %[[G]], %arg1
// CHECK-NEXT: return %[[A]], %[[B]]
func.func @gates(%g: tensor<4xf32>, %u: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %a = weft.swiglu %g, %u : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %b = weft.geglu %g, %u {approximate} : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  return %a, %b : tensor<4xf32>, tensor<4xf32>
}

// -----

// CHECK-LABEL: func @masked_fill(
// CHECK-NEXT: weft.where %arg1, %arg2, %arg0 : (tensor<4xi1>, tensor<f32>, tensor<3x4xf32>) -> tensor<3x4xf32>
func.func @masked_fill(%x: tensor<3x4xf32>, %m: tensor<4xi1>, %v: tensor<f32>) -> tensor<3x4xf32> {
  %y = weft.masked_fill %x, %m, %v : (tensor<3x4xf32>, tensor<4xi1>, tensor<f32>) -> tensor<3x4xf32>
  return %y : tensor<3x4xf32>
}

// -----

// CHECK-LABEL: func @split(
// CHECK-NEXT: %[[A:.*]] = weft.slice %arg0 {axis = 1 : i64, start = "0", step = 1 : i64} : tensor<?x?xf32, #weft.dims<"B", "T + 1">> to tensor<?x?xf32, #weft.dims<"B", "T">>
// CHECK-NEXT: %[[B:.*]] = weft.slice %arg0 {axis = 1 : i64, start = "T", step = 1 : i64} : tensor<?x?xf32, #weft.dims<"B", "T + 1">> to tensor<?x1xf32, #weft.dims<"B">>
// CHECK-NEXT: return %[[A]], %[[B]]
func.func @split(%x: tensor<?x?xf32, #weft.dims<"B", "T + 1">>) -> (tensor<?x?xf32, #weft.dims<"B", "T">>, tensor<?x1xf32, #weft.dims<"B">>) {
  %a, %b = weft.split %x {axis = 1 : i64} : tensor<?x?xf32, #weft.dims<"B", "T + 1">> to tensor<?x?xf32, #weft.dims<"B", "T">>, tensor<?x1xf32, #weft.dims<"B">>
  return %a, %b : tensor<?x?xf32, #weft.dims<"B", "T">>, tensor<?x1xf32, #weft.dims<"B">>
}

// -----

// CHECK-LABEL: func @select(
// CHECK-NEXT: %[[S:.*]] = weft.slice %arg0 {axis = 1 : i64, start = "T - 1", step = 1 : i64} : tensor<2x?x8xf32, #weft.dims<"T">> to tensor<2x1x8xf32>
// CHECK-NEXT: weft.reshape %[[S]] : tensor<2x1x8xf32> to tensor<2x8xf32>
func.func @select(%x: tensor<2x?x8xf32, #weft.dims<"T">>) -> tensor<2x8xf32> {
  %y = weft.select %x {axis = 1 : i64, index = "T - 1"} : (tensor<2x?x8xf32, #weft.dims<"T">>) -> tensor<2x8xf32>
  return %y : tensor<2x8xf32>
}

// -----

// CHECK-LABEL: func @axes_that_come_and_go(
// CHECK-NEXT: %[[S:.*]] = weft.reshape %arg0 : tensor<2x1x8xf32> to tensor<2x8xf32>
// CHECK-NEXT: %[[U:.*]] = weft.reshape %[[S]] : tensor<2x8xf32> to tensor<2x8x1xf32>
// CHECK-NEXT: %[[F:.*]] = weft.reshape %[[U]] : tensor<2x8x1xf32> to tensor<16x1xf32>
// CHECK-NEXT: return %[[F]]
func.func @axes_that_come_and_go(%x: tensor<2x1x8xf32>) -> tensor<16x1xf32> {
  %0 = weft.squeeze %x {axis = 1 : i64} : (tensor<2x1x8xf32>) -> tensor<2x8xf32>
  %1 = weft.unsqueeze %0 {axis = 2 : i64} : (tensor<2x8xf32>) -> tensor<2x8x1xf32>
  %2 = weft.flatten %1 {start = 0 : i64, end = 1 : i64} : (tensor<2x8x1xf32>) -> tensor<16x1xf32>
  return %2 : tensor<16x1xf32>
}

// -----

// Inside repeats, too.
// CHECK-LABEL: func @inside_a_repeat(
// CHECK: weft.repeat
// CHECK: weft.matmul
// CHECK-NOT: weft.linear
func.func @inside_a_repeat(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>) -> tensor<4x8xf32> {
  %y = weft.repeat 3 "i"(%x) : (tensor<4x8xf32>) -> tensor<4x8xf32> {
  ^bb0(%i: index, %h: tensor<4x8xf32>):
    %z = weft.linear %h, %w : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
    weft.yield %z : tensor<4x8xf32>
  }
  return %y : tensor<4x8xf32>
}
