// Result shapes follow from operands: sizes are expressions of dims, equal exactly when their canonical texts are.
// RUN: weft-opt %s | FileCheck %s

!x = tensor<?x?x8xf32, #weft.dims<"B", "T">>

// CHECK-LABEL: func @sizes_add_and_multiply(
func.func @sizes_add_and_multiply(%x: !x, %y: tensor<?x1x8xf32, #weft.dims<"B">>) {
  // CHECK: weft.concat {{.*}} -> tensor<?x?x8xf32, #weft.dims<"B", "T + 1">>
  %0 = weft.concat %x, %y {axis = 1 : i64} : (!x, tensor<?x1x8xf32, #weft.dims<"B">>) -> tensor<?x?x8xf32, #weft.dims<"B", "T + 1">>
  // CHECK: weft.reshape {{.*}} to tensor<?x2xf32, #weft.dims<"B * 4 + B * T * 4">>
  %1 = weft.reshape %0 : tensor<?x?x8xf32, #weft.dims<"B", "T + 1">> to tensor<?x2xf32, #weft.dims<"B * 4 + B * T * 4">>
  // CHECK: weft.slice {{.*}} to tensor<?x?x8xf32, #weft.dims<"B", "T - 1">>
  %2 = weft.slice %x {axis = 1 : i64, start = "1", step = 1 : i64} : !x to tensor<?x?x8xf32, #weft.dims<"B", "T - 1">>
  return
}

// CHECK-LABEL: func @broadcasting(
func.func @broadcasting(%x: !x, %row: tensor<?x1xf32, #weft.dims<"T">>, %col: tensor<?xf32, #weft.dims<"T">>) {
  // CHECK: weft.add {{.*}} -> tensor<?x?x8xf32, #weft.dims<"B", "T">>
  %0 = weft.add %x, %row : (!x, tensor<?x1xf32, #weft.dims<"T">>) -> !x
  // CHECK: weft.less {{.*}} -> tensor<?x?xi1, #weft.dims<"T", "T">>
  %1 = weft.less %row, %col : (tensor<?x1xf32, #weft.dims<"T">>, tensor<?xf32, #weft.dims<"T">>) -> tensor<?x?xi1, #weft.dims<"T", "T">>
  return
}

// CHECK-LABEL: func @reductions(
func.func @reductions(%x: !x) {
  // CHECK: weft.reduce_sum {{.*}} -> tensor<?x1x1xf32, #weft.dims<"B">>
  %0 = weft.reduce_sum %x {axes = array<i64: 2, 1>, keepdim} : (!x) -> tensor<?x1x1xf32, #weft.dims<"B">>
  // CHECK: weft.argmax {{.*}} -> tensor<?x8xi32, #weft.dims<"B">>
  %1 = weft.argmax %x {axis = 1 : i64} : (!x) -> tensor<?x8xi32, #weft.dims<"B">>
  return
}

// CHECK-LABEL: func @products(
func.func @products(%x: !x, %w: tensor<4x1x8x16xf32>) {
  // CHECK: weft.matmul {{.*}} -> tensor<4x?x?x16xf32, #weft.dims<"B", "T">>
  %0 = weft.matmul %x, %w : (!x, tensor<4x1x8x16xf32>) -> tensor<4x?x?x16xf32, #weft.dims<"B", "T">>
  // CHECK: weft.matmul {{.*}} {transpose_a} {{.*}} -> tensor<?x8x8xf32, #weft.dims<"B">>
  %1 = weft.matmul %x, %x {transpose_a} : (!x, !x) -> tensor<?x8x8xf32, #weft.dims<"B">>
  // CHECK: weft.einsum {{.*}} -> tensor<8x?xf32, #weft.dims<"T">>
  %2 = weft.einsum %x, %x {equation = "btd,btd->dt"} : (!x, !x) -> tensor<8x?xf32, #weft.dims<"T">>
  return
}

// CHECK-LABEL: func @gathers(
func.func @gathers(%x: !x, %i: tensor<?x2x1xi32, #weft.dims<"B">>, %ids: tensor<?xi64, #weft.dims<"T * 2">>, %t: tensor<100x8xbf16>) {
  // CHECK: weft.gather {{.*}} -> tensor<?x2x8xf32, #weft.dims<"B">>
  %0 = weft.gather %x, %i {axis = 1 : i64} : (!x, tensor<?x2x1xi32, #weft.dims<"B">>) -> tensor<?x2x8xf32, #weft.dims<"B">>
  // CHECK: weft.embedding {{.*}} -> tensor<?x8xbf16, #weft.dims<"T * 2">>
  %1 = weft.embedding %ids, %t : (tensor<?xi64, #weft.dims<"T * 2">>, tensor<100x8xbf16>) -> tensor<?x8xbf16, #weft.dims<"T * 2">>
  return
}
