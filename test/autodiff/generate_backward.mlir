// Gradients of a straight line of ops: broadcasts reduce, several uses add up, ties sum, frozen parameters are pruned.
// RUN: weft-opt %s --split-input-file --weft-generate-backward --canonicalize --cse | FileCheck %s

!x = tensor<?x3xf32, #weft.dims<"B">>
!y = tensor<?x4xf32, #weft.dims<"B">>

weft.param @w : tensor<4x3xf32> {tensors = array<i32: 0>}
weft.param @b : tensor<4xf32> {tensors = array<i32: 1>}

// CHECK-LABEL: func @linear(
// CHECK-SAME: (tensor<f32> {weft.name = "loss"}, tensor<4xf32> {weft.name = "grad.b", weft.tensors = array<i32: 1>}, tensor<4x3xf32> {weft.name = "grad.w", weft.tensors = array<i32: 0>})
// CHECK: %[[ONE:.*]] = weft.expand
// CHECK: %[[G:.*]] = weft.mul %[[ONE]]
// CHECK: %[[DB:.*]] = weft.reduce_sum %[[G]] {axes = array<i64: 0>}
// CHECK: %[[DW:.*]] = weft.matmul %[[G]], %arg0 {transpose_a}
// CHECK-NOT: weft.matmul
// CHECK: return %{{.*}}, %[[DB]], %[[DW]]
func.func @linear(%x: !x) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "train", weft.gradient_tensors = array<i32: 0, 1>, weft.gradient_names = ["w", "b"]} {
  %w = weft.parameter @w : tensor<4x3xf32>
  %b = weft.parameter @b : tensor<4xf32>
  %a = weft.matmul %x, %w {transpose_b} : (!x, tensor<4x3xf32>) -> !y
  %c = weft.add %a, %b : (!y, tensor<4xf32>) -> !y
  %t = weft.tanh %c : !y
  %l = weft.reduce_sum %t {axes = array<i64: 0, 1>} : (!y) -> tensor<f32>
  return %l : tensor<f32>
}

// -----

!x = tensor<?x3xf32, #weft.dims<"B">>

weft.param @w1 : tensor<3x3xf32> {tensors = array<i32: 0>}
weft.param @w2 : tensor<3x3xf32> {tensors = array<i32: 1>}

// Only w2 trains: nothing before it has a backward pass.
// CHECK-LABEL: func @frozen(
// CHECK-COUNT-3: weft.matmul
// CHECK-NOT: weft.matmul
// CHECK: return
func.func @frozen(%x: !x) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "train", weft.gradient_tensors = array<i32: 1>, weft.gradient_names = ["w2"]} {
  %w1 = weft.parameter @w1 : tensor<3x3xf32>
  %w2 = weft.parameter @w2 : tensor<3x3xf32>
  %a = weft.matmul %x, %w1 {transpose_b} : (!x, tensor<3x3xf32>) -> !x
  %t = weft.tanh %a : !x
  %b = weft.matmul %t, %w2 {transpose_b} : (!x, tensor<3x3xf32>) -> !x
  %l = weft.reduce_sum %b {axes = array<i64: 0, 1>} : (!x) -> tensor<f32>
  return %l : tensor<f32>
}

// -----

!h = tensor<?x?x8xf32, #weft.dims<"B", "T">>
!z = tensor<?x?x50xf32, #weft.dims<"B", "T">>
!ids = tensor<?x?xi32, #weft.dims<"B", "T">>

weft.param @wte : tensor<50x8xf32> {tensors = array<i32: 0>}

// A tied table: the rows of the embedding are added into the product's gradient, in its memory.
// CHECK-LABEL: func @tied(
// CHECK: %[[DW:.*]] = weft.matmul %{{.*}}, %{{.*}} {transpose_a} : {{.*}} -> tensor<50x8xf32>
// CHECK: %[[SUM:.*]] = weft.embedding_grad %arg0, %{{.*}}, %[[DW]]
// CHECK: return %{{.*}}, %[[SUM]]
func.func @tied(%ids: !ids) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "train", weft.gradient_tensors = array<i32: 0>, weft.gradient_names = ["wte"]} {
  %w = weft.parameter @wte : tensor<50x8xf32>
  %h = weft.embedding %ids, %w : (!ids, tensor<50x8xf32>) -> !h
  %z = weft.matmul %h, %w {transpose_b} : (!h, tensor<50x8xf32>) -> !z
  %t = weft.tanh %z : !z
  %l = weft.reduce_sum %t {axes = array<i64: 0, 1, 2>} : (!z) -> tensor<f32>
  return %l : tensor<f32>
}

// -----

!q = tensor<2x5x8xf32>

// Parts that tile a value are put side by side; attention keeps its log-sum-exp and its gradient starts from it.
// CHECK-LABEL: func @attention(
// CHECK-SAME: -> (tensor<f32> {weft.name = "loss"}, tensor<2x5x24xf32> {weft.name = "grad.x"})
// CHECK: %[[Y:.*]], %[[LSE:.*]] = weft.attention {{.*}} {causal, heads = 2 : i64, kv_heads = 2 : i64, save_lse, scale
// CHECK: %[[DQ:.*]], %[[DK:.*]], %[[DV:.*]] = weft.attention_grad {{.*}}, %[[Y]], %[[LSE]], %{{.*}} {causal
// CHECK: %[[DX:.*]] = weft.concat %[[DQ]], %[[DK]], %[[DV]] {axis = 2 : i64}
// CHECK: return %{{.*}}, %[[DX]]
func.func @attention(%x: tensor<2x5x24xf32> {weft.name = "x", weft.gradient}) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %q = weft.slice %x {axis = 2 : i64, start = "0", step = 1 : i64} : tensor<2x5x24xf32> to !q
  %k = weft.slice %x {axis = 2 : i64, start = "8", step = 1 : i64} : tensor<2x5x24xf32> to !q
  %v = weft.slice %x {axis = 2 : i64, start = "16", step = 1 : i64} : tensor<2x5x24xf32> to !q
  %y = weft.attention %q, %k, %v {heads = 2 : i64, kv_heads = 2 : i64, scale = 0.5 : f64, causal} : (!q, !q, !q) -> !q
  %l = weft.reduce_sum %y {axes = array<i64: 0, 1, 2>} : (!q) -> tensor<f32>
  return %l : tensor<f32>
}

// -----

!q = tensor<2x5x8xf32>
!m = tensor<2x2x5x5xf32>

// A map with a gradient: products over the map itself, no log-sum-exp, and masks have done their part in it.
// CHECK-LABEL: func @map(
// CHECK: %[[Y:.*]], %[[P:.*]] = weft.attention {{.*}} {causal, heads = 2 : i64, kv_heads = 2 : i64, scale = 5.000000e-01 : f64, weights = "per_head"}
// CHECK-NOT: weft.attention_grad
// CHECK: %[[DP:.*]] = weft.matmul %{{.*}}, %{{.*}} {transpose_b}
// CHECK: weft.matmul %[[P]], %{{.*}} {transpose_a}
// CHECK-NOT: weft.where
// CHECK: return
func.func @map(%x: !q {weft.name = "x", weft.gradient}) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y, %m = weft.attention %x, %x, %x {heads = 2 : i64, kv_heads = 2 : i64, scale = 0.5 : f64, causal, weights = "per_head"} : (!q, !q, !q) -> (!q, !m)
  %a = weft.reduce_sum %y {axes = array<i64: 0, 1, 2>} : (!q) -> tensor<f32>
  %b = weft.reduce_sum %m {axes = array<i64: 0, 1, 2, 3>} : (!m) -> tensor<f32>
  %l = weft.add %a, %b : (tensor<f32>, tensor<f32>) -> tensor<f32>
  return %l : tensor<f32>
}

// -----

!q = tensor<2x5x8xf32>
!k = tensor<2x5x4xf32>
!m = tensor<2x5x5xf32>

// The mean over heads: each head's probabilities are e^(s - lse), masked as in the forward pass; heads of a group are rows
// of one product.
// CHECK-LABEL: func @mean(
// CHECK: %{{.*}}, %[[EXTRAS:.*]]:2 = weft.attention {{.*}} {causal, heads = 2 : i64, kv_heads = 1 : i64, save_lse
// CHECK: weft.matmul %{{.*}}, %{{.*}} {transpose_b} : (tensor<2x1x10x4xf32>, tensor<2x1x5x4xf32>) -> tensor<2x1x10x5xf32>
// CHECK: weft.where
// CHECK: weft.reshape %[[EXTRAS]]#1
// CHECK: weft.exp
// CHECK-NOT: weft.attention_grad
// CHECK: return
func.func @mean(%x: !q {weft.name = "x", weft.gradient}, %k: !k {weft.name = "k", weft.gradient}) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y, %m = weft.attention %x, %k, %k {heads = 2 : i64, kv_heads = 1 : i64, scale = 0.5 : f64, causal, weights = "mean"} : (!q, !k, !k) -> (!q, !m)
  %l = weft.reduce_sum %m {axes = array<i64: 0, 1, 2>} : (!m) -> tensor<f32>
  return %l : tensor<f32>
}

// -----

!q = tensor<2x5x8xf32>
!m = tensor<2x5x5xf32>

// A map that the loss does not read takes nothing from the kernels.
// CHECK-LABEL: func @unread_map(
// CHECK: weft.attention_grad
// CHECK-NOT: weft.softmax
// CHECK-NOT: weft.exp
// CHECK: return
func.func @unread_map(%x: !q {weft.name = "x", weft.gradient}) -> (tensor<f32> {weft.name = "loss"}, !m {weft.name = "map"}) attributes {weft.mode = "grad"} {
  %y, %m = weft.attention %x, %x, %x {heads = 2 : i64, kv_heads = 2 : i64, scale = 0.5 : f64, weights = "mean"} : (!q, !q, !q) -> (!q, !m)
  %l = weft.reduce_sum %y {axes = array<i64: 0, 1, 2>} : (!q) -> tensor<f32>
  return %l, %m : tensor<f32>, !m
}
