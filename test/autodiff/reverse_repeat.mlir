// The backward pass of a repeat is a loop over the rounds from the last to the first.
// RUN: weft-opt %s --split-input-file --weft-generate-backward --canonicalize --cse | FileCheck %s

!x = tensor<?x4xf32, #weft.dims<"B">>

weft.param @"h.{i}.w" : tensor<4x4xf32> {tensors = array<i32: 0, 1, 2>}
weft.param @b : tensor<4xf32> {tensors = array<i32: 3>}

// The layer's input and the activation's input are kept; the activation, done again from them, is not.
// CHECK-LABEL: func @layers(
// CHECK: %[[FWD:.*]]:3 = weft.repeat 3 "i"({{.*}}) : {{.*}} -> (tensor<?x4xf32, {{.*}}>, tensor<3x?x4xf32, {{.*}}>, tensor<3x?x4xf32, {{.*}}>) {
// CHECK: ^bb0(%[[I:.*]]: index, %[[H:.*]]: tensor
// CHECK: %[[A:.*]] = weft.matmul %[[H]], %{{.*}} {transpose_b}
// CHECK: %[[C:.*]] = weft.add %[[A]]
// CHECK: weft.yield %{{.*}}, %[[H]], %[[C]]
// The gradient of x and of b are carried, the gradients of the layers' weights are stacked.
// CHECK: %[[BWD:.*]]:3 = weft.repeat 3 "i"(%{{.*}}, %{{.*}}) : ({{.*}}) -> (tensor<?x4xf32, {{.*}}>, tensor<4xf32>, tensor<3x4x4xf32>) attributes {reverse} {
// CHECK: ^bb0(%[[J:.*]]: index, %[[G:.*]]: tensor<?x4xf32, {{.*}}>, %[[GB:.*]]: tensor<4xf32>)
// CHECK: weft.slice %[[FWD]]#1 {axis = 0 : i64, start = "i", step = 1 : i64}
// CHECK: %[[X:.*]] = weft.reshape
// CHECK: weft.slice %[[FWD]]#2 {axis = 0 : i64, start = "i", step = 1 : i64}
// CHECK: weft.erf
// CHECK: %[[DC:.*]] = weft.mul %[[G]]
// CHECK: %[[DB:.*]] = weft.reduce_sum %[[DC]] {axes = array<i64: 0>}
// CHECK: %[[W:.*]] = weft.parameter @"h.{i}.w"[%[[J]]]
// CHECK: %[[DX:.*]] = weft.matmul %[[DC]], %[[W]] :
// CHECK: %[[DW:.*]] = weft.matmul %[[DC]], %[[X]] {transpose_a}
// CHECK: weft.yield %{{.*}}, %{{.*}}, %[[DW]]
func.func @layers(%x: !x) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "train", weft.gradient_tensors = array<i32: 0, 1, 2, 3>, weft.gradient_names = ["h.0.w", "h.1.w", "h.2.w", "b"]} {
  %b = weft.parameter @b : tensor<4xf32>
  %y = weft.repeat 3 "i"(%x) : (!x) -> !x {
  ^bb0(%i: index, %h: !x):
    %w = weft.parameter @"h.{i}.w"[%i] : tensor<4x4xf32>
    %a = weft.matmul %h, %w {transpose_b} : (!x, tensor<4x4xf32>) -> !x
    %c = weft.add %a, %b : (!x, tensor<4xf32>) -> !x
    %g = weft.gelu %c : !x
    %r = weft.add %g, %h : (!x, !x) -> !x
    weft.yield %r : !x
  }
  %l = weft.reduce_mean %y {axes = array<i64: 0, 1>} : (!x) -> tensor<f32>
  return %l : tensor<f32>
}
// All rounds of one parameter are one result of a training step.
// CHECK: return %{{.*}}, %[[BWD]]#2, %[[BWD]]#1

// -----

!x = tensor<?x4xf32, #weft.dims<"B">>

weft.param @"h.{i}.w" : tensor<4x4xf32> {tensors = array<i32: 0, 1, 2>}

// With recompute "block" the carried value is all that is kept.
// CHECK-LABEL: func @recompute_block(
// CHECK: weft.repeat 3 "i"({{.*}}) : {{.*}} -> (tensor<?x4xf32, {{.*}}>, tensor<3x?x4xf32, {{.*}}>) {
// CHECK: weft.yield %{{.*}}, %{{.*}}
// CHECK: attributes {reverse}
// CHECK: weft.matmul %{{.*}}, %{{.*}} {transpose_b}
// CHECK: weft.tanh
func.func @recompute_block(%x: !x) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "train", weft.recompute = "block", weft.gradient_tensors = array<i32: 0, 1, 2>, weft.gradient_names = ["h.0.w", "h.1.w", "h.2.w"]} {
  %y = weft.repeat 3 "i"(%x) : (!x) -> !x {
  ^bb0(%i: index, %h: !x):
    %w = weft.parameter @"h.{i}.w"[%i] : tensor<4x4xf32>
    %a = weft.matmul %h, %w {transpose_b} : (!x, tensor<4x4xf32>) -> !x
    %t = weft.tanh %a : !x
    weft.yield %t : !x
  }
  %l = weft.reduce_mean %y {axes = array<i64: 0, 1>} : (!x) -> tensor<f32>
  return %l : tensor<f32>
}

// -----

!x = tensor<4x3xf32>

weft.param @"h.{i}.w" : tensor<3x3xf32> {tensors = array<i32: 0, 1>}
weft.param @"h.{i}.v" : tensor<3x3xf32> {tensors = array<i32: 2, 3>}

// With a list of nodes these alone are done again: a is, b is kept, behind its tanh.
// CHECK-LABEL: func @recompute_nodes(
// CHECK: %[[FWD:.*]]:3 = weft.repeat 2 "i"
// CHECK: ^bb0(%{{.*}}: index, %[[H:.*]]: tensor<4x3xf32>)
// CHECK: %[[U:.*]] = weft.tanh
// CHECK: %[[U:.*]] = weft.tanh
// CHECK: weft.yield %[[U]], %[[H]], %[[U]]
// CHECK: attributes {reverse}
// CHECK: %[[KEPT:.*]] = weft.slice %[[FWD]]#1
// CHECK: %[[H:.*]] = weft.reshape %[[KEPT]]
// CHECK: %[[W:.*]] = weft.parameter @"h.{i}.w"
// CHECK: %[[A:.*]] = weft.matmul %[[H]], %[[W]] {transpose_b}
// CHECK: weft.tanh %[[A]]
// CHECK-NOT: weft.tanh
// CHECK: return
func.func @recompute_nodes(%x: !x) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "train", weft.recompute = ["enc.a"], weft.gradient_tensors = array<i32: 0, 1, 2, 3>, weft.gradient_names = ["h.0.w", "h.1.w", "h.0.v", "h.1.v"]} {
  %y = weft.repeat 2 "i"(%x) : (!x) -> !x {
  ^bb0(%i: index, %h: !x):
    %w = weft.parameter @"h.{i}.w"[%i] : tensor<3x3xf32>
    %v = weft.parameter @"h.{i}.v"[%i] : tensor<3x3xf32>
    %a = weft.matmul %h, %w {transpose_b} : (!x, tensor<3x3xf32>) -> !x loc("enc.a")
    %t = weft.tanh %a : !x
    %b = weft.matmul %t, %v {transpose_b} : (!x, tensor<3x3xf32>) -> !x loc("enc.b")
    %u = weft.tanh %b : !x
    weft.yield %u : !x
  }
  %l = weft.reduce_mean %y {axes = array<i64: 0, 1>} : (!x) -> tensor<f32>
  return %l : tensor<f32>
}

// -----

!x = tensor<4x3xf32>

weft.param @"h.{i}.w" : tensor<3x3xf32> {tensors = array<i32: 0, 1>}

// Layers that are frozen pass a gradient on: a product with a weight keeps nothing of the forward loop.
// CHECK-LABEL: func @frozen_layers(
// CHECK: %[[FWD:.*]] = weft.repeat 2 "i"(%arg0) : (tensor<4x3xf32>) -> tensor<4x3xf32> {
// CHECK: %[[BWD:.*]] = weft.repeat 2 "i"(%{{.*}}) : (tensor<4x3xf32>) -> tensor<4x3xf32> attributes {reverse} {
// CHECK: ^bb0(%[[I:.*]]: index, %[[G:.*]]: tensor<4x3xf32>)
// CHECK: %[[W:.*]] = weft.parameter @"h.{i}.w"[%[[I]]]
// CHECK: %[[DX:.*]] = weft.matmul %[[G]], %[[W]]
// CHECK: weft.yield %[[DX]]
// CHECK: return %{{.*}}, %[[BWD]]
func.func @frozen_layers(%x: !x {weft.name = "x", weft.gradient}) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.repeat 2 "i"(%x) : (!x) -> !x {
  ^bb0(%i: index, %h: !x):
    %w = weft.parameter @"h.{i}.w"[%i] : tensor<3x3xf32>
    %a = weft.matmul %h, %w {transpose_b} : (!x, tensor<3x3xf32>) -> !x
    weft.yield %a : !x
  }
  %l = weft.reduce_mean %y {axes = array<i64: 0, 1>} : (!x) -> tensor<f32>
  return %l : tensor<f32>
}

// -----

!x = tensor<4x3xf32>

// A value from outside is read in every round: its gradient is carried, beginning with zeros.
// CHECK-LABEL: func @captured(
// CHECK: %[[K:.*]] = weft.exp %arg1
// CHECK: %[[ZEROS:.*]] = weft.expand %{{.*}} : tensor<f32> to tensor<3xf32>
// CHECK: %[[BWD:.*]]:2 = weft.repeat 2 "i"(%{{.*}}, %[[ZEROS]])
// CHECK: ^bb0(%{{.*}}: index, %{{.*}}: tensor<4x3xf32>, %[[SO_FAR:.*]]: tensor<3xf32>)
// CHECK: %[[THIS:.*]] = weft.reduce_sum
// CHECK: %[[SUM:.*]] = weft.add %[[THIS]], %[[SO_FAR]]
// CHECK: weft.yield %{{.*}}, %[[SUM]]
// CHECK: %[[DC:.*]] = weft.mul %[[BWD]]#1, %[[K]]
// CHECK: return %{{.*}}, %[[DC]]
func.func @captured(%x: !x, %c: tensor<3xf32> {weft.name = "c", weft.gradient}) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %k = weft.exp %c : tensor<3xf32>
  %y = weft.repeat 2 "i"(%x) : (!x) -> !x {
  ^bb0(%i: index, %h: !x):
    %a = weft.mul %h, %k : (!x, tensor<3xf32>) -> !x
    weft.yield %a : !x
  }
  %l = weft.reduce_mean %y {axes = array<i64: 0, 1>} : (!x) -> tensor<f32>
  return %l : tensor<f32>
}

// -----

!h = tensor<2x5x8xf32>

// Attention keeps its operands, its result and its log-sum-exp; the round chooses the mask of its dropout both times.
// CHECK-LABEL: func @attention(
// CHECK: %[[FWD:.*]]:4 = weft.repeat 2 "i"(%arg0) : {{.*}} -> (tensor<2x5x8xf32>, tensor<2x2x5x8xf32>, tensor<2x2x5x8xf32>, tensor<2x2x2x5xf32>) {
// CHECK: ^bb0(%{{.*}}: index, %[[H:.*]]: tensor<2x5x8xf32>)
// CHECK: %[[Y:.*]], %[[LSE:.*]] = weft.attention {{.*}} round = "i", save_lse
// CHECK: weft.yield %[[Y]], %[[H]], %[[Y]], %[[LSE]]
// CHECK: attributes {reverse}
// CHECK-NOT: weft.attention %
// CHECK: weft.attention_grad {{.*}} round = "i"
func.func @attention(%x: !h {weft.name = "x", weft.gradient}) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.repeat 2 "i"(%x) : (!h) -> !h {
  ^bb0(%i: index, %h: !h):
    %a = weft.attention %h, %h, %h {heads = 2 : i64, kv_heads = 2 : i64, scale = 0.5 : f64, dropout = 0.1 : f64, site = 3 : i64, round = "i"} : (!h, !h, !h) -> !h
    weft.yield %a : !h
  }
  %l = weft.reduce_mean %y {axes = array<i64: 0, 1, 2>} : (!h) -> tensor<f32>
  return %l : tensor<f32>
}

// -----

!x = tensor<4x3xf32>

// A loop in front of all that moves is not run backwards.
// CHECK-LABEL: func @nothing_moves_inside(
// CHECK: weft.repeat
// CHECK-NOT: reverse
// CHECK: return
func.func @nothing_moves_inside(%x: !x, %c: !x {weft.name = "c", weft.gradient}) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.repeat 2 "i"(%x) : (!x) -> !x {
  ^bb0(%i: index, %h: !x):
    %a = weft.exp %h : !x
    weft.yield %a : !x
  }
  %z = weft.mul %y, %c : (!x, !x) -> !x
  %l = weft.reduce_mean %z {axes = array<i64: 0, 1>} : (!x) -> tensor<f32>
  return %l : tensor<f32>
}

// -----

!x = tensor<4x3xf32>

weft.param @"h.{i}.w" : tensor<3x3xf32> {tensors = array<i32: 0, 1>}

// A node that happens to be called so is not the policy: the tanh of the other one is kept.
// CHECK-LABEL: func @recompute_a_node_named_block(
// CHECK: %[[T:.*]] = weft.tanh
// CHECK: weft.yield %[[T]], %{{.*}}, %[[T]]
// CHECK: attributes {reverse}
// CHECK-NOT: weft.tanh
// CHECK: return
func.func @recompute_a_node_named_block(%x: !x) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "train", weft.recompute = ["block"], weft.gradient_tensors = array<i32: 0, 1>, weft.gradient_names = ["h.0.w", "h.1.w"]} {
  %e = weft.exp %x : !x loc("block")
  %y = weft.repeat 2 "i"(%e) : (!x) -> !x {
  ^bb0(%i: index, %h: !x):
    %w = weft.parameter @"h.{i}.w"[%i] : tensor<3x3xf32>
    %a = weft.matmul %h, %w {transpose_b} : (!x, tensor<3x3xf32>) -> !x loc("enc.a")
    %t = weft.tanh %a : !x
    weft.yield %t : !x
  }
  %l = weft.reduce_mean %y {axes = array<i64: 0, 1>} : (!x) -> tensor<f32>
  return %l : tensor<f32>
}
