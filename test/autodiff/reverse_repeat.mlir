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
func.func @recompute_block(%x: !x) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "train", weft.recompute = ["block"], weft.gradient_tensors = array<i32: 0, 1, 2>, weft.gradient_names = ["h.0.w", "h.1.w", "h.2.w"]} {
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
