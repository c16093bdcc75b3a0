// Gradients of products: two products with the same operands, transposed where that makes no copy.
// RUN: weft-opt %s --weft-generate-backward --canonicalize --cse | FileCheck %s
// G is the gradient of the result: the loss is its product with a given tensor.

// da = G bᵀ, db = aᵀ G.
// CHECK-LABEL: func @plain(
// CHECK: weft.expand
// CHECK-NEXT: %[[G:.*]] = weft.mul %{{.*}}, %arg2
// CHECK: %[[DA:.*]] = weft.matmul %[[G]], %arg1 {transpose_b}
// CHECK: %[[DB:.*]] = weft.matmul %arg0, %[[G]] {transpose_a}
// CHECK-NOT: weft.transpose
// CHECK: return %{{.*}}, %[[DA]], %[[DB]]
func.func @plain(%a: tensor<4x3xf32> {weft.name = "a", weft.gradient}, %b: tensor<3x5xf32> {weft.name = "b", weft.gradient}, %g: tensor<4x5xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.matmul %a, %b : (tensor<4x3xf32>, tensor<3x5xf32>) -> tensor<4x5xf32>
  %w = weft.mul %y, %g : (tensor<4x5xf32>, tensor<4x5xf32>) -> tensor<4x5xf32>
  %l = weft.reduce_sum %w {axes = array<i64: 0, 1>} : (tensor<4x5xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// y = aᵀ b: da = b Gᵀ, db = a G.
// CHECK-LABEL: func @first_transposed(
// CHECK: weft.expand
// CHECK-NEXT: %[[G:.*]] = weft.mul %{{.*}}, %arg2
// CHECK: %[[DA:.*]] = weft.matmul %arg1, %[[G]] {transpose_b}
// CHECK: %[[DB:.*]] = weft.matmul %arg0, %[[G]] :
// CHECK-NOT: weft.transpose
// CHECK: return %{{.*}}, %[[DA]], %[[DB]]
func.func @first_transposed(%a: tensor<3x4xf32> {weft.name = "a", weft.gradient}, %b: tensor<3x5xf32> {weft.name = "b", weft.gradient}, %g: tensor<4x5xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.matmul %a, %b {transpose_a} : (tensor<3x4xf32>, tensor<3x5xf32>) -> tensor<4x5xf32>
  %w = weft.mul %y, %g : (tensor<4x5xf32>, tensor<4x5xf32>) -> tensor<4x5xf32>
  %l = weft.reduce_sum %w {axes = array<i64: 0, 1>} : (tensor<4x5xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// y = a bᵀ, as linear has it: da = G b, db = Gᵀ a.
// CHECK-LABEL: func @second_transposed(
// CHECK: weft.expand
// CHECK-NEXT: %[[G:.*]] = weft.mul %{{.*}}, %arg2
// CHECK: %[[DA:.*]] = weft.matmul %[[G]], %arg1 :
// CHECK: %[[DB:.*]] = weft.matmul %[[G]], %arg0 {transpose_a}
// CHECK-NOT: weft.transpose
// CHECK: return %{{.*}}, %[[DA]], %[[DB]]
func.func @second_transposed(%a: tensor<4x3xf32> {weft.name = "a", weft.gradient}, %b: tensor<5x3xf32> {weft.name = "b", weft.gradient}, %g: tensor<4x5xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.matmul %a, %b {transpose_b} : (tensor<4x3xf32>, tensor<5x3xf32>) -> tensor<4x5xf32>
  %w = weft.mul %y, %g : (tensor<4x5xf32>, tensor<4x5xf32>) -> tensor<4x5xf32>
  %l = weft.reduce_sum %w {axes = array<i64: 0, 1>} : (tensor<4x5xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// A weight that a whole batch reads: one product over all rows, no sum of products.
// CHECK-LABEL: func @one_matrix_for_a_batch(
// CHECK: weft.expand
// CHECK-NEXT: %[[G:.*]] = weft.mul %{{.*}}, %arg2
// CHECK: %[[ROWS:.*]] = weft.reshape %arg0 : tensor<2x4x3xf32> to tensor<8x3xf32>
// CHECK: %[[GROWS:.*]] = weft.reshape %[[G]] : tensor<2x4x5xf32> to tensor<8x5xf32>
// CHECK: %[[DB:.*]] = weft.matmul %[[GROWS]], %[[ROWS]] {transpose_a}
// CHECK-NEXT: return %{{.*}}, %[[DB]]
func.func @one_matrix_for_a_batch(%a: tensor<2x4x3xf32>, %b: tensor<5x3xf32> {weft.name = "b", weft.gradient}, %g: tensor<2x4x5xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.matmul %a, %b {transpose_b} : (tensor<2x4x3xf32>, tensor<5x3xf32>) -> tensor<2x4x5xf32>
  %w = weft.mul %y, %g : (tensor<2x4x5xf32>, tensor<2x4x5xf32>) -> tensor<2x4x5xf32>
  %l = weft.reduce_sum %w {axes = array<i64: 0, 1, 2>} : (tensor<2x4x5xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// A batch axis of size 1 is summed over what it met.
// CHECK-LABEL: func @broadcast_batches_are_summed(
// CHECK: weft.expand
// CHECK-NEXT: %[[G:.*]] = weft.mul %{{.*}}, %arg2
// CHECK: %[[EACH:.*]] = weft.matmul %[[G]], %arg1 {transpose_b}
// CHECK: %[[DA:.*]] = weft.reduce_sum %[[EACH]] {axes = array<i64: 0>, keepdim}
// CHECK: return %{{.*}}, %[[DA]]
func.func @broadcast_batches_are_summed(%a: tensor<1x4x3xf32> {weft.name = "a", weft.gradient}, %b: tensor<2x3x5xf32>, %g: tensor<2x4x5xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.matmul %a, %b : (tensor<1x4x3xf32>, tensor<2x3x5xf32>) -> tensor<2x4x5xf32>
  %w = weft.mul %y, %g : (tensor<2x4x5xf32>, tensor<2x4x5xf32>) -> tensor<2x4x5xf32>
  %l = weft.reduce_sum %w {axes = array<i64: 0, 1, 2>} : (tensor<2x4x5xf32>) -> tensor<f32>
  return %l : tensor<f32>
}
