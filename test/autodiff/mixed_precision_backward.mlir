// Gradients are rounded where values were: the result's before the products of the backward pass, those of parameters never.
// RUN: weft-opt %s --split-input-file --weft-mixed-precision --weft-generate-backward --canonicalize --cse | FileCheck %s

!x = tensor<?x3xf32, #weft.dims<"B">>
!y = tensor<?x4xf32, #weft.dims<"B">>

weft.param @w : tensor<4x3xf32> {tensors = array<i32: 0>}
weft.param @b : tensor<4xf32> {tensors = array<i32: 1>}

// CHECK-LABEL: func @linear(
// CHECK: %[[X:.*]] = weft.cast %arg0 : {{.*}} to tensor<?x3xbf16
// CHECK: weft.tanh
// CHECK: %[[G:.*]] = weft.cast %{{.*}} : tensor<?x4xf32, {{.*}} to tensor<?x4xbf16
// CHECK: %[[WIDE:.*]] = weft.cast %[[G]] : tensor<?x4xbf16, {{.*}} to tensor<?x4xf32
// CHECK: %[[DB:.*]] = weft.reduce_sum %[[WIDE]] {axes = array<i64: 0>}
// CHECK: %[[DW:.*]] = weft.matmul %[[G]], %[[X]] {transpose_a, wide} : {{.*}} -> tensor<4x3xf32>
// CHECK: return %{{.*}}, %[[DB]], %[[DW]]
func.func @linear(%x: !x) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.compute = bf16, weft.mode = "train", weft.gradient_tensors = array<i32: 0, 1>, weft.gradient_names = ["w", "b"]} {
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

weft.param @w : tensor<3x3xf32> {tensors = array<i32: 0>}

// With dynamic loss scaling the walk starts from the scale, and gradients are divided by it where they leave the function.
// CHECK-LABEL: func @scaled(
// CHECK-DAG: %[[S:.*]] = weft.loss_scale : tensor<f32>
// CHECK-DAG: %[[I:.*]] = weft.loss_scale {inverse} : tensor<f32>
// CHECK: %[[SEED:.*]] = weft.reshape %[[S]]
// CHECK: weft.expand %[[SEED]]
// CHECK: %[[DW:.*]] = weft.matmul {{.*}}{{{.*}}wide}
// CHECK: %[[OUT:.*]] = weft.mul %[[DW]], %[[I]]
// CHECK: return %{{.*}}, %[[OUT]]
func.func @scaled(%x: !x) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.compute = f16, weft.loss_scale, weft.mode = "train", weft.gradient_tensors = array<i32: 0>, weft.gradient_names = ["w"]} {
  %w = weft.parameter @w : tensor<3x3xf32>
  %a = weft.matmul %x, %w : (!x, tensor<3x3xf32>) -> !x
  %l = weft.reduce_sum %a {axes = array<i64: 0, 1>} : (!x) -> tensor<f32>
  return %l : tensor<f32>
}

// -----

!x = tensor<?x3xf32, #weft.dims<"B">>

weft.param @w : tensor<2x3xf32> {tensors = array<i32: 0>}

// Rows are divided before they are added into their table: the table is not read again.
// CHECK-LABEL: func @table(
// CHECK: %[[I:.*]] = weft.loss_scale {inverse}
// CHECK: %[[DY:.*]] = weft.mul %{{.*}}, %[[I]]
// CHECK: %[[DT:.*]] = weft.embedding_grad %arg0, %[[DY]]
// CHECK: return %{{.*}}, %[[DT]]
func.func @table(%ids: tensor<?xi32, #weft.dims<"B">>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.compute = f16, weft.loss_scale, weft.mode = "train", weft.gradient_tensors = array<i32: 0>, weft.gradient_names = ["w"]} {
  %w = weft.parameter @w : tensor<2x3xf32>
  %a = weft.embedding %ids, %w : (tensor<?xi32, #weft.dims<"B">>, tensor<2x3xf32>) -> !x
  %l = weft.reduce_sum %a {axes = array<i64: 0, 1>} : (!x) -> tensor<f32>
  return %l : tensor<f32>
}

// -----

!x = tensor<?x3xf32, #weft.dims<"B">>

weft.param @"w.{i}" : tensor<3x3xf32> {tensors = array<i32: 0, 1>}

// A repeat keeps what its backward loop reads in the form that takes half the memory: the rounded operand of the product,
// and the rounded result that gelu reads.
// CHECK-LABEL: func @kept(
// CHECK: weft.repeat 2 "i"(%arg0) : ({{.*}}) -> (tensor<?x3xf32, #weft.dims<"B">>, tensor<2x?x3xbf16, #weft.dims<"B">>, tensor<2x?x3xbf16, #weft.dims<"B">>)
// CHECK: weft.repeat 2 "i"
func.func @kept(%x: !x) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.compute = bf16, weft.mode = "train", weft.gradient_tensors = array<i32: 0, 1>, weft.gradient_names = ["w.0", "w.1"]} {
  %y = weft.repeat 2 "i"(%x) : (!x) -> !x {
  ^bb0(%i: index, %h: !x):
    %w = weft.parameter @"w.{i}"[%i] : tensor<3x3xf32>
    %a = weft.matmul %h, %w : (!x, tensor<3x3xf32>) -> !x
    %g = weft.gelu %a : !x
    weft.yield %g : !x
  }
  %l = weft.reduce_sum %y {axes = array<i64: 0, 1>} : (!x) -> tensor<f32>
  return %l : tensor<f32>
}
