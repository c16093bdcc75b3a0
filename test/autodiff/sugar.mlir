// Ops that are written as others before the reverse walk have the gradients of those: no rule of their own.
// RUN: weft-opt %s --weft-expand-sugar --weft-normalize-einsum --weft-generate-backward --canonicalize --cse | FileCheck %s

// CHECK-LABEL: func @einsum_is_a_product(
// CHECK: %[[S:.*]] = weft.matmul %arg0, %arg1 {transpose_b}
// CHECK: %[[G:.*]] = weft.mul %{{.*}}, %{{.*}}
// CHECK: %[[DQ:.*]] = weft.matmul %[[G]], %arg1 :
// CHECK: %[[DK:.*]] = weft.matmul %[[G]], %arg0 {transpose_a}
// CHECK: return %{{.*}}, %[[DQ]], %[[DK]]
func.func @einsum_is_a_product(%q: tensor<2x5x3xf32> {weft.name = "q", weft.gradient}, %k: tensor<2x7x3xf32> {weft.name = "k", weft.gradient}) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %s = weft.einsum %q, %k {equation = "bqd,bkd->bqk"} : (tensor<2x5x3xf32>, tensor<2x7x3xf32>) -> tensor<2x5x7xf32>
  %t = weft.exp %s : tensor<2x5x7xf32>
  %l = weft.reduce_sum %t {axes = array<i64: 0, 1, 2>} : (tensor<2x5x7xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// CHECK-LABEL: func @linear_sums_its_bias(
// CHECK: %[[Y:.*]] = weft.tanh
// CHECK: %[[YY:.*]] = weft.mul %[[Y]], %[[Y]]
// CHECK: %[[D:.*]] = weft.sub %{{.*}}, %[[YY]]
// CHECK: %[[G:.*]] = weft.mul %{{.*}}, %[[D]]
// CHECK: %[[DB:.*]] = weft.reduce_sum %[[G]] {axes = array<i64: 0>}
// CHECK: %[[DW:.*]] = weft.matmul %[[G]], %arg0 {transpose_a}
// CHECK: return %{{.*}}, %[[DW]], %[[DB]]
func.func @linear_sums_its_bias(%x: tensor<4x3xf32>, %w: tensor<5x3xf32> {weft.name = "w", weft.gradient}, %b: tensor<5xf32> {weft.name = "b", weft.gradient}) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %s = weft.linear %x, %w bias(%b) {activation = "tanh"} : (tensor<4x3xf32>, tensor<5x3xf32>, tensor<5xf32>) -> tensor<4x5xf32>
  %l = weft.reduce_sum %s {axes = array<i64: 0, 1>} : (tensor<4x5xf32>) -> tensor<f32>
  return %l : tensor<f32>
}
