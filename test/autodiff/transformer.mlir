// Gradients of embeddings, rotary positions and attention.
// RUN: weft-opt %s --weft-generate-backward --canonicalize --cse | FileCheck %s
// G is the gradient of the result: the loss is its product with a given tensor.

// Rows are added where tokens read them; the row of padding gets none.
// CHECK-LABEL: func @embedding_skips_padding(
// CHECK: weft.expand
// CHECK-NEXT: %[[G:.*]] = weft.mul %{{.*}}, %arg2
// CHECK: %[[DT:.*]] = weft.embedding_grad %arg0, %[[G]] {padding_idx = 1 : i64} : {{.*}} -> tensor<9x3xf32>
// CHECK: return %{{.*}}, %[[DT]]
func.func @embedding_skips_padding(%i: tensor<4xi32>, %t: tensor<9x3xf32> {weft.name = "t", weft.gradient}, %g: tensor<4x3xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.embedding %i, %t {padding_idx = 1 : i64} : (tensor<4xi32>, tensor<9x3xf32>) -> tensor<4x3xf32>
  %w = weft.mul %y, %g : (tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<4x3xf32>
  %l = weft.reduce_sum %w {axes = array<i64: 0, 1>} : (tensor<4x3xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// Turned by an angle, turned back by it.
// CHECK-LABEL: func @rope_turns_back(
// CHECK: weft.expand
// CHECK-NEXT: %[[G:.*]] = weft.mul %{{.*}}, %arg2
// CHECK: %[[BACK:.*]] = weft.neg %arg1
// CHECK: %[[DX:.*]] = weft.rope %[[G]], %[[BACK]] {heads = 2 : i64
// CHECK: return %{{.*}}, %[[DX]]
func.func @rope_turns_back(%x: tensor<2x5x8xf32> {weft.name = "x", weft.gradient}, %q: tensor<5xi32>, %g: tensor<2x5x8xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.rope %x, %q {heads = 2 : i64, theta = 10000.0 : f64, rotary_dim = 4 : i64} : (tensor<2x5x8xf32>, tensor<5xi32>) -> tensor<2x5x8xf32>
  %w = weft.mul %y, %g : (tensor<2x5x8xf32>, tensor<2x5x8xf32>) -> tensor<2x5x8xf32>
  %l = weft.reduce_sum %w {axes = array<i64: 0, 1, 2>} : (tensor<2x5x8xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// A bias gets a gradient when it is asked for.
// CHECK-LABEL: func @attention_of_a_wanted_bias(
// CHECK: weft.expand
// CHECK-NEXT: %[[G:.*]] = weft.mul %{{.*}}, %arg3
// CHECK: %[[DQ:.*]], %{{.*}}, %{{.*}}, %[[DM:.*]] = weft.attention_grad %arg0, {{.*}}, %[[G]] bias(%arg2) {bias_grad
// CHECK: return %{{.*}}, %[[DQ]], %[[DM]]
func.func @attention_of_a_wanted_bias(%x: tensor<2x5x8xf32> {weft.name = "x", weft.gradient}, %k: tensor<2x5x8xf32>, %m: tensor<1x2x5x5xf32> {weft.name = "m", weft.gradient}, %g: tensor<2x5x8xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.attention %x, %k, %k bias(%m) {heads = 2 : i64, kv_heads = 2 : i64, scale = 0.5 : f64} : (tensor<2x5x8xf32>, tensor<2x5x8xf32>, tensor<2x5x8xf32>, tensor<1x2x5x5xf32>) -> tensor<2x5x8xf32>
  %w = weft.mul %y, %g : (tensor<2x5x8xf32>, tensor<2x5x8xf32>) -> tensor<2x5x8xf32>
  %l = weft.reduce_sum %w {axes = array<i64: 0, 1, 2>} : (tensor<2x5x8xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// … and else not; its scores are needed all the same. The mask of dropout is drawn again.
// CHECK-LABEL: func @attention_of_a_given_bias(
// CHECK: weft.expand
// CHECK-NEXT: %[[G:.*]] = weft.mul %{{.*}}, %arg3
// CHECK: %{{.*}}, %[[DK:.*]], %[[DV:.*]] = weft.attention_grad {{.*}} bias(%arg2) {dropout = 1.000000e-01 : f64, heads = 2 : i64, kv_heads = 2 : i64, scale = 5.000000e-01 : f64, site = 3 : i64}
// CHECK: %[[BOTH:.*]] = weft.add %[[DK]], %[[DV]]
// CHECK: return %{{.*}}, %[[BOTH]]
func.func @attention_of_a_given_bias(%x: tensor<2x5x8xf32>, %k: tensor<2x5x8xf32> {weft.name = "k", weft.gradient}, %m: tensor<1x2x5x5xf32>, %g: tensor<2x5x8xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.attention %x, %k, %k bias(%m) {heads = 2 : i64, kv_heads = 2 : i64, scale = 0.5 : f64, dropout = 0.1 : f64, site = 3 : i64} : (tensor<2x5x8xf32>, tensor<2x5x8xf32>, tensor<2x5x8xf32>, tensor<1x2x5x5xf32>) -> tensor<2x5x8xf32>
  %w = weft.mul %y, %g : (tensor<2x5x8xf32>, tensor<2x5x8xf32>) -> tensor<2x5x8xf32>
  %l = weft.reduce_sum %w {axes = array<i64: 0, 1, 2>} : (tensor<2x5x8xf32>) -> tensor<f32>
  return %l : tensor<f32>
}
