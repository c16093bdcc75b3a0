// What is neither a product nor attention becomes row kernels.
// RUN: weft-opt %s -split-input-file -weft-fuse-rows -canonicalize | FileCheck %s

!x = tensor<?x?x8xf32, #weft.dims<"B", "T">>
!ids = tensor<?x?xi32, #weft.dims<"B", "T">>

// Embeddings, their sum and its norm walk the same rows.
// CHECK-LABEL: func @embedding_sum_and_norm(
// CHECK-NEXT: %[[Y:.*]] = weft.fused(%arg0, %arg1, %arg2, %arg3, %arg4)
// CHECK-NEXT: ^bb0(
// CHECK-NEXT: weft.embedding
// CHECK-NEXT: weft.embedding
// CHECK-NEXT: weft.add
// CHECK-NEXT: weft.layer_norm
// CHECK-NEXT: weft.yield
// CHECK: return %[[Y]]
func.func @embedding_sum_and_norm(%i: !ids, %w: tensor<100x8xf32>, %j: !ids, %t: tensor<2x8xf32>, %g: tensor<8xf32>) -> !x {
  %a = weft.embedding %i, %w : (!ids, tensor<100x8xf32>) -> !x
  %b = weft.embedding %j, %t : (!ids, tensor<2x8xf32>) -> !x
  %s = weft.add %a, %b : (!x, !x) -> !x
  %n = weft.layer_norm %s weight(%g : tensor<8xf32>) {axis = 2 : i64, eps = 1.0e-5 : f64} : !x
  return %n : !x
}

// -----

!x = tensor<?x8xf32, #weft.dims<"T">>

// The sum is normalised and read again later: one kernel, two results.
// CHECK-LABEL: func @residual_sum_and_norm(
// CHECK-NEXT: %[[R:.*]]:2 = weft.fused(%arg0, %arg1, %arg2)
// CHECK: %[[S:.*]] = weft.add
// CHECK: %[[N:.*]] = weft.rms_norm %[[S]]
// CHECK: weft.yield %[[S]], %[[N]]
// CHECK: return %[[R]]#0, %[[R]]#1
func.func @residual_sum_and_norm(%x: !x, %r: !x, %g: tensor<8xf32>) -> (!x, !x) {
  %s = weft.add %x, %r : (!x, !x) -> !x
  %n = weft.rms_norm %s, %g {eps = 1.0e-5 : f64} : (!x, tensor<8xf32>) -> !x
  return %s, %n : !x, !x
}

// -----

!x = tensor<?x8xf32, #weft.dims<"T">>
!both = tensor<?x16xf32, #weft.dims<"T">>

// A gated activation reads the halves of one product where they lie; constants move inside.
// CHECK-LABEL: func @gated_activation(
// CHECK-NEXT: %[[A:.*]] = weft.slice %arg0
// CHECK-NEXT: %[[B:.*]] = weft.slice %arg0
// CHECK: weft.fused(%[[A]], %[[B]])
// CHECK: weft.constant
// CHECK: weft.silu
// CHECK: weft.mul
// CHECK: weft.mul
func.func @gated_activation(%y: !both) -> !x {
  %c = weft.constant dense<2.0> : tensor<f32>
  %a = weft.slice %y {axis = 1 : i64, start = "0", step = 1 : i64} : !both to !x
  %b = weft.slice %y {axis = 1 : i64, start = "8", step = 1 : i64} : !both to !x
  %s = weft.silu %a : !x
  %m = weft.mul %s, %b : (!x, !x) -> !x
  %z = weft.mul %m, %c : (!x, tensor<f32>) -> !x
  return %z : !x
}

// -----

!s = tensor<?x4x?x?xf32, #weft.dims<"B", "T", "S">>
!m = tensor<?x1x1x?xi1, #weft.dims<"B", "S">>

// Masked softmax: a mask that broadcasts over rows is an operand of each row.
// CHECK-LABEL: func @masked_softmax(
// CHECK-COUNT-1: weft.fused(%arg1, %arg0)
// CHECK: weft.where
// CHECK: weft.softmax
// CHECK: weft.yield
func.func @masked_softmax(%x: !s, %mask: !m) -> !s {
  %inf = weft.constant dense<0xFF800000> : tensor<f32>
  %f = weft.where %mask, %x, %inf : (!m, !s, tensor<f32>) -> !s
  %p = weft.softmax %f {axis = 3 : i64} : !s
  return %p : !s
}

// -----

!x = tensor<?x?x8xf32, #weft.dims<"B", "T">>
!p = tensor<?x8xf32, #weft.dims<"B">>

// Pooling and the norm of what it gives.
// CHECK-LABEL: func @pooled_and_normalised(
// CHECK-NEXT: weft.fused(%arg0, %arg1)
// CHECK: weft.mean_pool
// CHECK: weft.l2_normalize
// CHECK: weft.yield
func.func @pooled_and_normalised(%x: !x, %m: tensor<?x?xi1, #weft.dims<"B", "T">>) -> !p {
  %y = weft.mean_pool %x mask(%m : tensor<?x?xi1, #weft.dims<"B", "T">>) : !x to !p
  %z = weft.l2_normalize %y {axis = 1 : i64, eps = 1.0e-12 : f64} : !p
  return %z : !p
}

// -----

!x = tensor<?x8xf32, #weft.dims<"T">>

// Near misses. A value that leaves and comes back by a product can't be in one region: two of them.
// CHECK-LABEL: func @around_a_product(
// CHECK: %[[A:.*]] = weft.fused(%arg0)
// CHECK: weft.exp
// CHECK: %[[P:.*]] = weft.contract %[[A]], %arg1
// CHECK: weft.fused(%[[P]], %[[A]])
// CHECK: weft.relu
// CHECK: weft.add
func.func @around_a_product(%x: !x, %w: tensor<8x8xf32>) -> !x {
  %a = weft.exp %x : !x
  %p = weft.contract %a, %w : (!x, tensor<8x8xf32>) -> !x {
  ^bb0(%acc: !x):
    weft.yield %acc : !x
  }
  %q = weft.relu %p : !x
  %s = weft.add %a, %q : (!x, !x) -> !x
  return %s : !x
}

// -----

!s = tensor<?x?xf32, #weft.dims<"T", "T">>
!x = tensor<?xf32, #weft.dims<"T">>

// A sum per row, then read along the row: its T elements are not of one row, though the sizes are equal.
// CHECK-LABEL: func @row_sums_read_across(
// CHECK: %[[R:.*]] = weft.fused(%arg0)
// CHECK: weft.reduce_sum
// CHECK: weft.fused(%arg0, %[[R]])
// CHECK: weft.sub
func.func @row_sums_read_across(%x: !s) -> !s {
  %r = weft.reduce_sum %x {axes = array<i64: 1>} : (!s) -> !x
  %y = weft.sub %x, %r : (!s, !x) -> !s
  return %y : !s
}

// -----

!x = tensor<?x?x8xf32, #weft.dims<"B", "T">>
!ids = tensor<?x?xi32, #weft.dims<"B", "T">>
!t = tensor<?xi32, #weft.dims<"T">>

// Positions have no operands: every region makes its own. Rows of a table are read as cheaply as their sum would be.
// CHECK-LABEL: func @learned_positions(
// CHECK-NEXT: weft.fused(%arg0, %arg1, %arg2)
// CHECK: weft.embedding
// CHECK-NEXT: weft.positions
// CHECK-NEXT: weft.embedding
// CHECK-NEXT: weft.add
// CHECK-NEXT: weft.yield
func.func @learned_positions(%i: !ids, %w: tensor<100x8xf32>, %t: tensor<64x8xf32>) -> !x {
  %a = weft.embedding %i, %w : (!ids, tensor<100x8xf32>) -> !x
  %p = weft.positions {offset = "0"} : !t
  %b = weft.embedding %p, %t : (!t, tensor<64x8xf32>) -> tensor<?x8xf32, #weft.dims<"T">>
  %s = weft.add %a, %b : (!x, tensor<?x8xf32, #weft.dims<"T">>) -> !x
  return %s : !x
}

// -----

!s = tensor<?x?xf32, #weft.dims<"B", "T">>
!x = tensor<?xf32, #weft.dims<"B">>
!k = tensor<?x1xf32, #weft.dims<"B">>

// A reduction whose axis is put back by a reshape: the reshape is index arithmetic inside.
// CHECK-LABEL: func @centred_rows(
// CHECK-NEXT: weft.fused(%arg0)
// CHECK: weft.reduce_mean
// CHECK-NEXT: weft.reshape
// CHECK-NEXT: weft.sub
// CHECK-NEXT: weft.yield
// CHECK-NOT: weft.reshape
func.func @centred_rows(%x: !s) -> !s {
  %m = weft.reduce_mean %x {axes = array<i64: 1>} : (!s) -> !x
  %k = weft.reshape %m : !x to !k
  %y = weft.sub %x, %k : (!s, !k) -> !s
  return %y : !s
}

// -----

!x = tensor<?x8xf32, #weft.dims<"T">>
!b = tensor<?x?x8xf32, #weft.dims<"B", "T">>

// Arithmetic that would run again for every sequence is stored once.
// CHECK-LABEL: func @computed_once_for_all_sequences(
// CHECK: %[[P:.*]] = weft.fused() : () -> tensor<?x8xf32
// CHECK: weft.sinusoid
// CHECK: weft.fused(%arg0, %[[P]])
// CHECK: weft.add
func.func @computed_once_for_all_sequences(%x: !b) -> !b {
  %p = weft.positions {offset = "0"} : tensor<?xi32, #weft.dims<"T">>
  %s = weft.sinusoid %p {features = 8 : i64, base = 1.0e4 : f64, element_type = f32} : (tensor<?xi32, #weft.dims<"T">>) -> !x
  %y = weft.add %x, %s : (!b, !x) -> !b
  return %y : !b
}
