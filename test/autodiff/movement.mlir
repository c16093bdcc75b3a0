// Gradients of ops that move elements: what moved goes back, what was left out gets zeros, what repeats is summed.
// RUN: weft-opt %s --weft-generate-backward --canonicalize --cse | FileCheck %s
// G is the gradient of the result: the loss is its product with a given tensor.

// Back to the shape it had.
// CHECK-LABEL: func @reshape_goes_back(
// CHECK: weft.expand
// CHECK-NEXT: %[[G:.*]] = weft.mul %{{.*}}, %arg1
// CHECK: %[[DX:.*]] = weft.reshape %[[G]] : tensor<2x6xf32> to tensor<4x3xf32>
// CHECK: return %{{.*}}, %[[DX]]
func.func @reshape_goes_back(%x: tensor<4x3xf32> {weft.name = "x", weft.gradient}, %g: tensor<2x6xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.reshape %x : tensor<4x3xf32> to tensor<2x6xf32>
  %w = weft.mul %y, %g : (tensor<2x6xf32>, tensor<2x6xf32>) -> tensor<2x6xf32>
  %l = weft.reduce_sum %w {axes = array<i64: 0, 1>} : (tensor<2x6xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// By the inverse permutation.
// CHECK-LABEL: func @transpose_goes_back(
// CHECK: weft.expand
// CHECK-NEXT: %[[G:.*]] = weft.mul %{{.*}}, %arg1
// CHECK: %[[DX:.*]] = weft.transpose %[[G]] {perm = array<i64: 1, 2, 0>}
// CHECK: return %{{.*}}, %[[DX]]
func.func @transpose_goes_back(%x: tensor<2x4x3xf32> {weft.name = "x", weft.gradient}, %g: tensor<3x2x4xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.transpose %x {perm = array<i64: 2, 0, 1>} : (tensor<2x4x3xf32>) -> tensor<3x2x4xf32>
  %w = weft.mul %y, %g : (tensor<3x2x4xf32>, tensor<3x2x4xf32>) -> tensor<3x2x4xf32>
  %l = weft.reduce_sum %w {axes = array<i64: 0, 1, 2>} : (tensor<3x2x4xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// Zeros before and behind.
// CHECK-LABEL: func @slice_is_padded(
// CHECK: weft.expand
// CHECK-NEXT: %[[G:.*]] = weft.mul %{{.*}}, %arg1
// CHECK: %[[NONE:.*]] = weft.expand %{{.*}} to tensor<1x3xf32>
// CHECK: %[[DX:.*]] = weft.concat %[[NONE]], %[[G]], %[[NONE]] {axis = 0 : i64}
// CHECK: return %{{.*}}, %[[DX]]
func.func @slice_is_padded(%x: tensor<4x3xf32> {weft.name = "x", weft.gradient}, %g: tensor<2x3xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.slice %x {axis = 0 : i64, start = "1", step = 1 : i64} : tensor<4x3xf32> to tensor<2x3xf32>
  %w = weft.mul %y, %g : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
  %l = weft.reduce_sum %w {axes = array<i64: 0, 1>} : (tensor<2x3xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// Zeros between.
// CHECK-LABEL: func @slice_with_a_step_is_spread(
// CHECK: weft.expand
// CHECK-NEXT: %[[G:.*]] = weft.mul %{{.*}}, %arg1
// CHECK: %[[APART:.*]] = weft.reshape %[[G]] : tensor<2x3xf32> to tensor<2x1x3xf32>
// CHECK: %[[NONE:.*]] = weft.expand %{{.*}} to tensor<2x1x3xf32>
// CHECK: %[[BOTH:.*]] = weft.concat %[[APART]], %[[NONE]] {axis = 1 : i64}
// CHECK: %[[DX:.*]] = weft.reshape %[[BOTH]] : tensor<2x2x3xf32> to tensor<4x3xf32>
// CHECK: return %{{.*}}, %[[DX]]
func.func @slice_with_a_step_is_spread(%x: tensor<4x3xf32> {weft.name = "x", weft.gradient}, %g: tensor<2x3xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.slice %x {axis = 0 : i64, start = "0", step = 2 : i64} : tensor<4x3xf32> to tensor<2x3xf32>
  %w = weft.mul %y, %g : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
  %l = weft.reduce_sum %w {axes = array<i64: 0, 1>} : (tensor<2x3xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// Each operand gets its part.
// CHECK-LABEL: func @concat_is_cut(
// CHECK: weft.expand
// CHECK-NEXT: %[[G:.*]] = weft.mul %{{.*}}, %arg2
// CHECK: %[[DX:.*]] = weft.slice %[[G]] {axis = 0 : i64, start = "0", step = 1 : i64} : tensor<5x3xf32> to tensor<4x3xf32>
// CHECK: %[[DZ:.*]] = weft.slice %[[G]] {axis = 0 : i64, start = "4", step = 1 : i64} : tensor<5x3xf32> to tensor<1x3xf32>
// CHECK: return %{{.*}}, %[[DX]], %[[DZ]]
func.func @concat_is_cut(%x: tensor<4x3xf32> {weft.name = "x", weft.gradient}, %z: tensor<1x3xf32> {weft.name = "z", weft.gradient}, %g: tensor<5x3xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.concat %x, %z {axis = 0 : i64} : (tensor<4x3xf32>, tensor<1x3xf32>) -> tensor<5x3xf32>
  %w = weft.mul %y, %g : (tensor<5x3xf32>, tensor<5x3xf32>) -> tensor<5x3xf32>
  %l = weft.reduce_sum %w {axes = array<i64: 0, 1>} : (tensor<5x3xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// The axes that repeat are summed, new ones too.
// CHECK-LABEL: func @expand_is_summed(
// CHECK: weft.expand %arg0
// CHECK: weft.expand
// CHECK-NEXT: %[[G:.*]] = weft.mul %{{.*}}, %arg1
// CHECK: %[[SUM:.*]] = weft.reduce_sum %[[G]] {axes = array<i64: 0, 2>}
// CHECK: %[[DX:.*]] = weft.reshape %[[SUM]] : tensor<4xf32> to tensor<4x1xf32>
// CHECK: return %{{.*}}, %[[DX]]
func.func @expand_is_summed(%x: tensor<4x1xf32> {weft.name = "x", weft.gradient}, %g: tensor<2x4x3xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.expand %x : tensor<4x1xf32> to tensor<2x4x3xf32>
  %w = weft.mul %y, %g : (tensor<2x4x3xf32>, tensor<2x4x3xf32>) -> tensor<2x4x3xf32>
  %l = weft.reduce_sum %w {axes = array<i64: 0, 1, 2>} : (tensor<2x4x3xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// An element that is picked twice gets both.
// CHECK-LABEL: func @gather_scatters_and_adds(
// CHECK: weft.expand
// CHECK-NEXT: %[[G:.*]] = weft.mul %{{.*}}, %arg2
// CHECK: %[[DX:.*]] = weft.scatter_add %arg1, %[[G]] {axis = 1 : i64} : {{.*}} -> tensor<4x3xf32>
// CHECK: return %{{.*}}, %[[DX]]
func.func @gather_scatters_and_adds(%x: tensor<4x3xf32> {weft.name = "x", weft.gradient}, %i: tensor<4x2xi32>, %g: tensor<4x2xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.gather %x, %i {axis = 1 : i64} : (tensor<4x3xf32>, tensor<4x2xi32>) -> tensor<4x2xf32>
  %w = weft.mul %y, %g : (tensor<4x2xf32>, tensor<4x2xf32>) -> tensor<4x2xf32>
  %l = weft.reduce_sum %w {axes = array<i64: 0, 1>} : (tensor<4x2xf32>) -> tensor<f32>
  return %l : tensor<f32>
}
