// A slice of positions moves up through what computes positions one by one.
// RUN: weft-opt %s -split-input-file -weft-sink-slice -canonicalize | FileCheck %s

!x = tensor<?x?x8xf32, #weft.dims<"B", "T">>
!last = tensor<?x1x8xf32, #weft.dims<"B">>
!all = tensor<?x?x32xf32, #weft.dims<"B", "T">>
!logits = tensor<?x1x32xf32, #weft.dims<"B">>

// CHECK-LABEL: func @logits_of_the_last_position(
// CHECK-NEXT: %[[X:.*]] = weft.slice %arg0 {axis = 1 : i64, start = "T - 1", step = 1 : i64}
// CHECK-NEXT: %[[R:.*]] = weft.slice %arg1 {axis = 1 : i64, start = "T - 1", step = 1 : i64}
// CHECK-NEXT: %[[S:.*]] = weft.add %[[X]], %[[R]]
// CHECK-NEXT: %[[N:.*]] = weft.rms_norm %[[S]], %arg2
// CHECK-NEXT: %[[L:.*]] = weft.matmul %[[N]], %arg3 {transpose_b} : (tensor<?x1x8xf32, #weft.dims<"B">>
// CHECK-NEXT: return %[[L]]
func.func @logits_of_the_last_position(%x: !x, %r: !x, %g: tensor<8xf32>, %w: tensor<32x8xf32>) -> !logits {
  %s = weft.add %x, %r : (!x, !x) -> !x
  %n = weft.rms_norm %s, %g {eps = 1.0e-5 : f64} : (!x, tensor<8xf32>) -> !x
  %l = weft.matmul %n, %w {transpose_b} : (!x, tensor<32x8xf32>) -> !all
  %z = weft.slice %l {axis = 1 : i64, start = "T - 1", step = 1 : i64} : !all to !logits
  return %z : !logits
}

// -----

!x = tensor<?x?x8xf32, #weft.dims<"B", "T">>
!ids = tensor<?x?xi32, #weft.dims<"B", "T">>
!part = tensor<?x2x8xf32, #weft.dims<"B">>

// An embedding of the positions that are read; what has no such axis stays whole.
// CHECK-LABEL: func @embedding_with_positions(
// CHECK-NEXT: %[[I:.*]] = weft.slice %arg0 {axis = 1 : i64, start = "0", step = 3 : i64} : {{.*}} to tensor<?x2xi32
// CHECK-NEXT: %[[E:.*]] = weft.embedding %[[I]], %arg1
// CHECK-NEXT: %[[P:.*]] = weft.slice %arg2 {axis = 0 : i64, start = "0", step = 3 : i64} : {{.*}} to tensor<2x8xf32>
// CHECK-NEXT: weft.add %[[E]], %[[P]]
func.func @embedding_with_positions(%i: !ids, %t: tensor<32x8xf32>, %p: tensor<?x8xf32, #weft.dims<"T">>) -> !part {
  %e = weft.embedding %i, %t : (!ids, tensor<32x8xf32>) -> !x
  %s = weft.add %e, %p : (!x, tensor<?x8xf32, #weft.dims<"T">>) -> !x
  %z = weft.slice %s {axis = 1 : i64, start = "0", step = 3 : i64} : !x to !part
  return %z : !part
}

// -----

!x = tensor<?x?x8xf32, #weft.dims<"B", "T">>
!last = tensor<?x1x8xf32, #weft.dims<"B">>

// Near misses: positions mixed by the op, other readers of it, a slice of features.
// CHECK-LABEL: func @softmax_over_positions(
// CHECK: weft.softmax
// CHECK: weft.slice
func.func @softmax_over_positions(%x: !x) -> !last {
  %s = weft.softmax %x {axis = 1 : i64} : !x
  %z = weft.slice %s {axis = 1 : i64, start = "T - 1", step = 1 : i64} : !x to !last
  return %z : !last
}

// CHECK-LABEL: func @all_positions_are_read(
// CHECK: %[[S:.*]] = weft.exp %arg0
// CHECK: weft.slice %[[S]]
func.func @all_positions_are_read(%x: !x) -> (!x, !last) {
  %s = weft.exp %x : !x
  %z = weft.slice %s {axis = 1 : i64, start = "T - 1", step = 1 : i64} : !x to !last
  return %s, %z : !x, !last
}

// CHECK-LABEL: func @features(
// CHECK: weft.exp
// CHECK: weft.slice
func.func @features(%x: !x) -> tensor<?x?x4xf32, #weft.dims<"B", "T">> {
  %s = weft.exp %x : !x
  %z = weft.slice %s {axis = 2 : i64, start = "4", step = 1 : i64} : !x to tensor<?x?x4xf32, #weft.dims<"B", "T">>
  return %z : tensor<?x?x4xf32, #weft.dims<"B", "T">>
}

// Both operands of a product of one value with itself; each along its own axis.
// CHECK-LABEL: func @rows_of_a_gram_matrix(
// CHECK: %[[Q:.*]] = weft.slice %arg0
// CHECK: weft.matmul %[[Q]], %arg0 {transpose_b} : (tensor<?x1x8xf32, #weft.dims<"B">>, tensor<?x?x8xf32, #weft.dims<"B", "T">>) -> tensor<?x1x?xf32
func.func @rows_of_a_gram_matrix(%x: !x) -> tensor<?x1x?xf32, #weft.dims<"B", "T">> {
  %s = weft.matmul %x, %x {transpose_b} : (!x, !x) -> tensor<?x?x?xf32, #weft.dims<"B", "T", "T">>
  %z = weft.slice %s {axis = 1 : i64, start = "T - 1", step = 1 : i64} : tensor<?x?x?xf32, #weft.dims<"B", "T", "T">> to tensor<?x1x?xf32, #weft.dims<"B", "T">>
  return %z : tensor<?x1x?xf32, #weft.dims<"B", "T">>
}

// -----

!x = tensor<?x?x8xf32, #weft.dims<"B", "T">>
!last = tensor<?x1x8xf32, #weft.dims<"B">>

// The last real position of each sequence moves the same way, as far as operands have a batch.
// CHECK-LABEL: func @last_tokens(
// CHECK-NEXT: %[[X:.*]] = weft.last_token %arg0
// CHECK-NEXT: weft.rms_norm %[[X]], %arg1
func.func @last_tokens(%x: !x, %g: tensor<8xf32>) -> !last {
  %n = weft.rms_norm %x, %g {eps = 1.0e-5 : f64} : (!x, tensor<8xf32>) -> !x
  %z = weft.last_token %n : (!x) -> !last
  return %z : !last
}

// CHECK-LABEL: func @last_tokens_of_shared_positions(
// CHECK: %[[S:.*]] = weft.add %arg0, %arg1
// CHECK: weft.last_token %[[S]]
func.func @last_tokens_of_shared_positions(%x: !x, %p: tensor<?x8xf32, #weft.dims<"T">>) -> !last {
  %n = weft.add %x, %p : (!x, tensor<?x8xf32, #weft.dims<"T">>) -> !x
  %z = weft.last_token %n : (!x) -> !last
  return %z : !last
}

// -----

!x = tensor<?x?x8xf32, #weft.dims<"B", "T">>
!last = tensor<?x1x8xf32, #weft.dims<"B">>

// However long the chain of ops is.
// CHECK-LABEL: func @a_long_chain(
// CHECK-NEXT: weft.slice %arg0
// CHECK-COUNT-14: weft.tanh %{{.*}} : tensor<?x1x8xf32
// CHECK-NEXT: return
func.func @a_long_chain(%x: !x) -> !last {
  %0 = weft.tanh %x : !x
  %1 = weft.tanh %0 : !x
  %2 = weft.tanh %1 : !x
  %3 = weft.tanh %2 : !x
  %4 = weft.tanh %3 : !x
  %5 = weft.tanh %4 : !x
  %6 = weft.tanh %5 : !x
  %7 = weft.tanh %6 : !x
  %8 = weft.tanh %7 : !x
  %9 = weft.tanh %8 : !x
  %10 = weft.tanh %9 : !x
  %11 = weft.tanh %10 : !x
  %12 = weft.tanh %11 : !x
  %13 = weft.tanh %12 : !x
  %last = weft.slice %13 {axis = 1 : i64, start = "T - 1", step = 1 : i64} : !x to !last
  return %last : !last
}

// -----

!w = tensor<6x4xf32>
!part = tensor<2x4xf32>
!h = tensor<?x4xf32, #weft.dims<"B">>
!y = tensor<?x2xf32, #weft.dims<"B">>

// A parameter of a round has the round, which is no tensor, as its operand.
// CHECK-LABEL: func @part_of_a_parameter_of_a_round(
// CHECK: %[[W:.*]] = weft.parameter @"l.{i}.w"[%{{.*}}] : tensor<6x4xf32>
// CHECK-NEXT: weft.slice %[[W]]
weft.param @"l.{i}.w" : tensor<6x4xf32> {tensors = array<i32: 0, 1, 2>}
func.func @part_of_a_parameter_of_a_round(%h: !h) -> !h {
  %z = weft.repeat 3 "i"(%h) : (!h) -> !h {
  ^bb0(%i: index, %x: !h):
    %w = weft.parameter @"l.{i}.w"[%i] : !w
    %p = weft.slice %w {axis = 0 : i64, start = "2", step = 1 : i64} : !w to !part
    %y = weft.matmul %x, %p {transpose_b} : (!h, !part) -> !y
    %n = weft.matmul %y, %p : (!y, !part) -> !h
    weft.yield %n : !h
  }
  return %z : !h
}
