// einsum becomes transposes, reshapes and one product.
// RUN: weft-opt %s -split-input-file -weft-normalize-einsum -canonicalize | FileCheck %s --implicit-check-not=weft.einsum

// CHECK-LABEL: func @scores(
// CHECK-DAG: %[[Q:.*]] = weft.transpose %arg0 {perm = array<i64: 0, 2, 1, 3>}
// CHECK-DAG: %[[K:.*]] = weft.transpose %arg1 {perm = array<i64: 0, 2, 1, 3>}
// CHECK: %[[S:.*]] = weft.matmul %[[Q]], %[[K]] {transpose_b} : (tensor<2x4x3x8xf32>, tensor<2x4x5x8xf32>) -> tensor<2x4x3x5xf32>
// CHECK: return %[[S]]
func.func @scores(%q: tensor<2x3x4x8xf32>, %k: tensor<2x5x4x8xf32>) -> tensor<2x4x3x5xf32> {
  %y = weft.einsum %q, %k {equation = "nqhd,nkhd->nhqk"} : (tensor<2x3x4x8xf32>, tensor<2x5x4x8xf32>) -> tensor<2x4x3x5xf32>
  return %y : tensor<2x4x3x5xf32>
}

// CHECK-LABEL: func @context(
// CHECK: weft.matmul
// CHECK: weft.transpose
func.func @context(%p: tensor<2x4x3x5xf32>, %v: tensor<2x5x4x8xf32>) -> tensor<2x3x4x8xf32> {
  %y = weft.einsum %p, %v {equation = "nhql,nlhd->nqhd"} : (tensor<2x4x3x5xf32>, tensor<2x5x4x8xf32>) -> tensor<2x3x4x8xf32>
  return %y : tensor<2x3x4x8xf32>
}

// No transposes where a product reads the operands as they are.
// CHECK-LABEL: func @crossed_operands(
// CHECK-NEXT: weft.matmul %arg0, %arg1 {transpose_a} : (tensor<8x3xf32>, tensor<8x5xf32>) -> tensor<3x5xf32>
// CHECK-NEXT: return
func.func @crossed_operands(%a: tensor<8x3xf32>, %b: tensor<8x5xf32>) -> tensor<3x5xf32> {
  %y = weft.einsum %a, %b {equation = "ki,kj->ij"} : (tensor<8x3xf32>, tensor<8x5xf32>) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}

// CHECK-LABEL: func @result_the_other_way_round(
// CHECK-NEXT: weft.matmul %arg1, %arg0 {transpose_b} : (tensor<5x8xf32>, tensor<3x8xf32>) -> tensor<5x3xf32>
func.func @result_the_other_way_round(%a: tensor<3x8xf32>, %b: tensor<5x8xf32>) -> tensor<5x3xf32> {
  %y = weft.einsum %a, %b {equation = "ik,jk->ji"} : (tensor<3x8xf32>, tensor<5x8xf32>) -> tensor<5x3xf32>
  return %y : tensor<5x3xf32>
}

// Letters of one kind become one axis.
// CHECK-LABEL: func @merged_letters(
// CHECK-DAG: %[[A:.*]] = weft.reshape %arg0 : tensor<2x3x4x5xf32> to tensor<6x20xf32>
// CHECK-DAG: %[[B:.*]] = weft.reshape %arg1 : tensor<4x5x7xf32> to tensor<20x7xf32>
// CHECK: %[[P:.*]] = weft.matmul %[[A]], %[[B]] : (tensor<6x20xf32>, tensor<20x7xf32>) -> tensor<6x7xf32>
// CHECK: weft.reshape %[[P]] : tensor<6x7xf32> to tensor<2x3x7xf32>
func.func @merged_letters(%a: tensor<2x3x4x5xf32>, %b: tensor<4x5x7xf32>) -> tensor<2x3x7xf32> {
  %y = weft.einsum %a, %b {equation = "abcd,cde->abe"} : (tensor<2x3x4x5xf32>, tensor<4x5x7xf32>) -> tensor<2x3x7xf32>
  return %y : tensor<2x3x7xf32>
}

// Letters of one operand alone are summed first.
// CHECK-LABEL: func @summed_only(
// CHECK: %[[A:.*]] = weft.reduce_sum %arg0 {axes = array<i64: 1>}
// CHECK: weft.matmul %[[A]], %arg1
func.func @summed_only(%a: tensor<3x2x4xf32>, %b: tensor<4x5xf32>) -> tensor<3x5xf32> {
  %y = weft.einsum %a, %b {equation = "isk,kj->ij"} : (tensor<3x2x4xf32>, tensor<4x5xf32>) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}

// Nothing summed: a product with broadcasting. One dot product: a product and a sum.
// CHECK-LABEL: func @outer_and_inner(
// CHECK-DAG: %[[A:.*]] = weft.reshape %arg0 : tensor<3xf32> to tensor<3x1xf32>
// CHECK-DAG: %[[B:.*]] = weft.reshape %arg1 : tensor<3xf32> to tensor<1x3xf32>
// CHECK-DAG: weft.mul %[[A]], %[[B]]
// CHECK-DAG: %[[P:.*]] = weft.mul %arg0, %arg1
// CHECK-DAG: weft.reduce_sum %[[P]] {axes = array<i64: 0>}
func.func @outer_and_inner(%a: tensor<3xf32>, %b: tensor<3xf32>) -> (tensor<3x3xf32>, tensor<f32>) {
  %y = weft.einsum %a, %b {equation = "i,j->ij"} : (tensor<3xf32>, tensor<3xf32>) -> tensor<3x3xf32>
  %z = weft.einsum %a, %b {equation = "i,i->"} : (tensor<3xf32>, tensor<3xf32>) -> tensor<f32>
  return %y, %z : tensor<3x3xf32>, tensor<f32>
}

// One operand: sums and a transpose. A letter twice: the diagonal, for any size.
// CHECK-LABEL: func @one_operand(
// CHECK-DAG: weft.transpose %arg0 {perm = array<i64: 1, 0>}
// CHECK-DAG: %[[D:.*]] = weft.equal
// CHECK-DAG: %[[W:.*]] = weft.where %[[D]], %arg1, %{{.*}}
// CHECK-DAG: %[[R:.*]] = weft.reduce_sum %[[W]] {axes = array<i64: 1>}
// CHECK-DAG: weft.reduce_sum %[[R]] {axes = array<i64: 0>}
func.func @one_operand(%a: tensor<3x4xf32>, %b: tensor<?x?xf32, #weft.dims<"T", "T">>) -> (tensor<4x3xf32>, tensor<f32>) {
  %y = weft.einsum %a {equation = "ij->ji"} : (tensor<3x4xf32>) -> tensor<4x3xf32>
  %z = weft.einsum %b {equation = "ii->"} : (tensor<?x?xf32, #weft.dims<"T", "T">>) -> tensor<f32>
  return %y, %z : tensor<4x3xf32>, tensor<f32>
}
