// What no gradient is wanted of has no backward pass.
// RUN: weft-opt %s --weft-generate-backward --canonicalize --cse | FileCheck %s

!x = tensor<4x3xf32>

weft.param @w1 : tensor<3x3xf32> {tensors = array<i32: 0>}
weft.param @w2 : tensor<3x3xf32> {tensors = array<i32: 1>}

// A frozen weight passes the gradient on and gets none.
// CHECK-LABEL: func @a_frozen_weight_passes_on(
// CHECK-SAME: -> (tensor<f32> {weft.name = "loss"}, tensor<3x3xf32> {weft.name = "grad.w1", weft.tensors = array<i32: 0>})
// CHECK: %[[W2:.*]] = weft.parameter @w2
// CHECK: %[[ONES:.*]] = weft.expand
// CHECK-NEXT: %[[DA:.*]] = weft.matmul %[[ONES]], %[[W2]]
// CHECK-NEXT: %[[DW:.*]] = weft.matmul %[[DA]], %arg0 {transpose_a}
// CHECK-NEXT: return %{{.*}}, %[[DW]]
func.func @a_frozen_weight_passes_on(%x: !x) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "train", weft.gradient_tensors = array<i32: 0>, weft.gradient_names = ["w1"]} {
  %w1 = weft.parameter @w1 : tensor<3x3xf32>
  %w2 = weft.parameter @w2 : tensor<3x3xf32>
  %a = weft.matmul %x, %w1 {transpose_b} : (!x, tensor<3x3xf32>) -> !x
  %b = weft.matmul %a, %w2 {transpose_b} : (!x, tensor<3x3xf32>) -> !x
  %l = weft.reduce_sum %b {axes = array<i64: 0, 1>} : (!x) -> tensor<f32>
  return %l : tensor<f32>
}

// Training leaves out what the loss does not reach: it is frozen.
// CHECK-LABEL: func @training_leaves_out_what_is_not_reached(
// CHECK-SAME: -> (tensor<f32> {weft.name = "loss"}, tensor<3x3xf32> {weft.name = "grad.w1", weft.tensors = array<i32: 0>})
func.func @training_leaves_out_what_is_not_reached(%x: !x) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "train", weft.gradient_tensors = array<i32: 0, 1>, weft.gradient_names = ["w1", "w2"]} {
  %w1 = weft.parameter @w1 : tensor<3x3xf32>
  %a = weft.matmul %x, %w1 {transpose_b} : (!x, tensor<3x3xf32>) -> !x
  %l = weft.reduce_sum %a {axes = array<i64: 0, 1>} : (!x) -> tensor<f32>
  return %l : tensor<f32>
}

// Who asks for a gradient gets one: zeros.
// CHECK-LABEL: func @a_gradient_that_is_asked_for_is_zeros(
// CHECK-SAME: tensor<3x3xf32> {weft.name = "grad.w2", weft.tensors = array<i32: 1>})
// CHECK: %[[ZERO:.*]] = weft.constant dense<0.000000e+00>
// CHECK: %[[NONE:.*]] = weft.expand %[[ZERO]] : tensor<f32> to tensor<3x3xf32>
// CHECK: return %{{.*}}, %{{.*}}, %[[NONE]]
func.func @a_gradient_that_is_asked_for_is_zeros(%x: !x) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad", weft.gradient_tensors = array<i32: 0, 1>, weft.gradient_names = ["w1", "w2"]} {
  %w1 = weft.parameter @w1 : tensor<3x3xf32>
  %a = weft.matmul %x, %w1 {transpose_b} : (!x, tensor<3x3xf32>) -> !x
  %l = weft.reduce_sum %a {axes = array<i64: 0, 1>} : (!x) -> tensor<f32>
  return %l : tensor<f32>
}

// Nothing is wanted: nothing is added.
// CHECK-LABEL: func @all_frozen(
// CHECK: weft.matmul
// CHECK-NEXT: weft.reduce_sum
// CHECK-NEXT: return
func.func @all_frozen(%x: !x) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %w1 = weft.parameter @w1 : tensor<3x3xf32>
  %a = weft.matmul %x, %w1 {transpose_b} : (!x, tensor<3x3xf32>) -> !x
  %l = weft.reduce_sum %a {axes = array<i64: 0, 1>} : (!x) -> tensor<f32>
  return %l : tensor<f32>
}

// Nothing passes through an integer.
// CHECK-LABEL: func @integers_pass_nothing(
// CHECK: %[[ZERO:.*]] = weft.constant dense<0.000000e+00>
// CHECK: %[[DX:.*]] = weft.expand %[[ZERO]]
// CHECK: return %{{.*}}, %[[DX]]
func.func @integers_pass_nothing(%x: !x {weft.name = "x", weft.gradient}) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %i = weft.cast %x : !x to tensor<4x3xi32>
  %r = weft.cast %i : tensor<4x3xi32> to !x
  %l = weft.reduce_sum %r {axes = array<i64: 0, 1>} : (!x) -> tensor<f32>
  return %l : tensor<f32>
}

// An embedding that is frozen leaves no scattered rows behind.
// CHECK-LABEL: func @a_frozen_table_has_no_rows(
// CHECK-NOT: weft.embedding_grad
// CHECK: return
func.func @a_frozen_table_has_no_rows(%i: tensor<4xi32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "train", weft.gradient_tensors = array<i32: 1>, weft.gradient_names = ["w2"]} {
  %t = weft.parameter @w1 : tensor<3x3xf32>
  %w = weft.parameter @w2 : tensor<3x3xf32>
  %e = weft.embedding %i, %t : (tensor<4xi32>, tensor<3x3xf32>) -> !x
  %a = weft.matmul %e, %w {transpose_b} : (!x, tensor<3x3xf32>) -> !x
  %l = weft.reduce_sum %a {axes = array<i64: 0, 1>} : (!x) -> tensor<f32>
  return %l : tensor<f32>
}
