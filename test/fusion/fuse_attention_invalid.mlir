// Near misses of attention stay as they are, and correct.
// RUN: weft-opt %s -split-input-file -weft-fuse-attention -canonicalize | FileCheck %s --implicit-check-not=weft.attention

!x = tensor<?x?x16xf32, #weft.dims<"B", "T">>
!scores = tensor<?x?x?xf32, #weft.dims<"B", "T", "T">>

// CHECK-LABEL: func @softmax_over_queries(
// CHECK: weft.softmax {{.*}} {axis = 1 : i64}
func.func @softmax_over_queries(%x: !x) -> !x {
  %s = weft.matmul %x, %x {transpose_b} : (!x, !x) -> !scores
  %p = weft.softmax %s {axis = 1 : i64} : !scores
  %y = weft.matmul %p, %x : (!scores, !x) -> !x
  return %y : !x
}

// -----

!x = tensor<?x?x16xf32, #weft.dims<"B", "T">>
!scores = tensor<?x?x?xf32, #weft.dims<"B", "T", "T">>

// CHECK-LABEL: func @scores_are_read_elsewhere(
// CHECK: weft.softmax
func.func @scores_are_read_elsewhere(%x: !x) -> (!x, !scores) {
  %s = weft.matmul %x, %x {transpose_b} : (!x, !x) -> !scores
  %c = weft.constant dense<0.3> : tensor<f32>
  %t = weft.mul %s, %c : (!scores, tensor<f32>) -> !scores
  %p = weft.softmax %t {axis = 2 : i64} : !scores
  %y = weft.matmul %p, %x : (!scores, !x) -> !x
  return %y, %s : !x, !scores
}

// -----

!x = tensor<?x?x16xf32, #weft.dims<"B", "T">>
!scores = tensor<?x?x?xf32, #weft.dims<"B", "T", "T">>

// A fill that a score may come near is not a mask.
// CHECK-LABEL: func @a_small_fill_is_a_score(
// CHECK: weft.softmax
func.func @a_small_fill_is_a_score(%x: !x, %m: tensor<?x?xi1, #weft.dims<"T", "T">>) -> !x {
  %s = weft.matmul %x, %x {transpose_b} : (!x, !x) -> !scores
  %low = weft.constant dense<-10.0> : tensor<f32>
  %f = weft.where %m, %s, %low : (tensor<?x?xi1, #weft.dims<"T", "T">>, !scores, tensor<f32>) -> !scores
  %p = weft.softmax %f {axis = 2 : i64} : !scores
  %y = weft.matmul %p, %x : (!scores, !x) -> !x
  return %y : !x
}

// -----

!x = tensor<?x?x16xf32, #weft.dims<"B", "T">>
!scores = tensor<?x?x?xf32, #weft.dims<"B", "T", "T">>

// -inf times a negative factor is +inf.
// CHECK-LABEL: func @masked_then_negated(
// CHECK: weft.softmax
func.func @masked_then_negated(%x: !x, %m: tensor<?x?xi1, #weft.dims<"T", "T">>) -> !x {
  %s = weft.matmul %x, %x {transpose_b} : (!x, !x) -> !scores
  %inf = weft.constant dense<0xFF800000> : tensor<f32>
  %f = weft.where %m, %s, %inf : (tensor<?x?xi1, #weft.dims<"T", "T">>, !scores, tensor<f32>) -> !scores
  %c = weft.constant dense<-1.0> : tensor<f32>
  %t = weft.mul %f, %c : (!scores, tensor<f32>) -> !scores
  %p = weft.softmax %t {axis = 2 : i64} : !scores
  %y = weft.matmul %p, %x : (!scores, !x) -> !x
  return %y : !x
}

// -----

!x = tensor<?x?x16xf32, #weft.dims<"B", "T">>
!scores = tensor<?x?x?xf32, #weft.dims<"B", "T", "T">>

// A finite fill that is scaled to -40: too near.
// CHECK-LABEL: func @a_fill_scaled_down(
// CHECK: weft.softmax
func.func @a_fill_scaled_down(%x: !x, %m: tensor<?x?xi1, #weft.dims<"T", "T">>) -> !x {
  %s = weft.matmul %x, %x {transpose_b} : (!x, !x) -> !scores
  %low = weft.constant dense<-1.0e4> : tensor<f32>
  %f = weft.where %m, %s, %low : (tensor<?x?xi1, #weft.dims<"T", "T">>, !scores, tensor<f32>) -> !scores
  %c = weft.constant dense<0.004> : tensor<f32>
  %t = weft.mul %f, %c : (!scores, tensor<f32>) -> !scores
  %p = weft.softmax %t {axis = 2 : i64} : !scores
  %y = weft.matmul %p, %x : (!scores, !x) -> !x
  return %y : !x
}

// -----

!x = tensor<?x?x16xf32, #weft.dims<"B", "T">>
!scores = tensor<?x?x?xf32, #weft.dims<"B", "T", "T">>
!row = tensor<?x?x1xf32, #weft.dims<"B", "T">>

// A spelled-out softmax of a row of -inf is NaN, weft.attention would say zeros.
// CHECK-LABEL: func @spelled_softmax_of_masked_rows(
// CHECK: weft.reduce_max
func.func @spelled_softmax_of_masked_rows(%x: !x, %m: tensor<?x?xi1, #weft.dims<"T", "T">>) -> !x {
  %s = weft.matmul %x, %x {transpose_b} : (!x, !x) -> !scores
  %inf = weft.constant dense<0xFF800000> : tensor<f32>
  %t = weft.where %m, %s, %inf : (tensor<?x?xi1, #weft.dims<"T", "T">>, !scores, tensor<f32>) -> !scores
  %top = weft.reduce_max %t {axes = array<i64: 2>, keepdim} : (!scores) -> !row
  %shifted = weft.sub %t, %top : (!scores, !row) -> !scores
  %e = weft.exp %shifted : !scores
  %total = weft.reduce_sum %e {axes = array<i64: 2>, keepdim} : (!scores) -> !row
  %p = weft.div %e, %total : (!scores, !row) -> !scores
  %y = weft.matmul %p, %x : (!scores, !x) -> !x
  return %y : !x
}

// -----

!x = tensor<?x?x16xf32, #weft.dims<"B", "T">>
!scores = tensor<?x?x?xf32, #weft.dims<"B", "T", "T">>

// The values depend on the probabilities themselves: no order of one op has both.
// CHECK-LABEL: func @values_from_the_probabilities(
// CHECK: weft.softmax
func.func @values_from_the_probabilities(%x: !x, %r: tensor<?x?x16xf32, #weft.dims<"B", "T">>) -> !x {
  %s = weft.matmul %x, %x {transpose_b} : (!x, !x) -> !scores
  %p = weft.softmax %s {axis = 2 : i64} : !scores
  %m = weft.reduce_max %p {axes = array<i64: 2>, keepdim} : (!scores) -> tensor<?x?x1xf32, #weft.dims<"B", "T">>
  %v = weft.mul %x, %m : (!x, tensor<?x?x1xf32, #weft.dims<"B", "T">>) -> !x
  %y = weft.matmul %p, %v : (!scores, !x) -> !x
  return %y : !x
}
