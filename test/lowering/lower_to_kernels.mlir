// RUN: weft-opt %s --weft-lower-to-kernels --split-input-file | FileCheck %s
// What is no kernel and no view becomes a kernel of its own; results and yields own their memory.

// CHECK-LABEL: func @an_op_without_a_kernel_becomes_one
func.func @an_op_without_a_kernel_becomes_one(%x: tensor<?x8xf32, #weft.dims<"B">>) -> tensor<?x8xf32, #weft.dims<"B">> {
  // CHECK: %[[Y:.*]] = weft.fused(%{{.*}})
  // CHECK: weft.exp
  // CHECK: return %[[Y]]
  %y = weft.exp %x : tensor<?x8xf32, #weft.dims<"B">>
  return %y : tensor<?x8xf32, #weft.dims<"B">>
}

// -----

// CHECK-LABEL: func @a_strided_slice_stays_a_view
func.func @a_strided_slice_stays_a_view(%x: tensor<?x8xf32, #weft.dims<"B">>) -> tensor<?x4xf32, #weft.dims<"B">> {
  // CHECK: %[[S:.*]] = weft.slice
  // CHECK: weft.fused(%[[S]])
  // CHECK-NOT: weft.fused
  %s = weft.slice %x {axis = 1 : i64, start = "2", step = 1 : i64} : tensor<?x8xf32, #weft.dims<"B">> to tensor<?x4xf32, #weft.dims<"B">>
  %y = weft.exp %s : tensor<?x4xf32, #weft.dims<"B">>
  return %y : tensor<?x4xf32, #weft.dims<"B">>
}

// -----

// CHECK-LABEL: func @a_view_that_is_returned_is_copied
func.func @a_view_that_is_returned_is_copied(%x: tensor<?x8xf32, #weft.dims<"B">>) -> tensor<8x?xf32, #weft.dims<"B">> {
  // CHECK: %[[T:.*]] = weft.transpose
  // CHECK: %[[C:.*]] = weft.fused(%[[T]])
  // CHECK: return %[[C]]
  %t = weft.transpose %x {perm = array<i64: 1, 0>} : (tensor<?x8xf32, #weft.dims<"B">>) -> tensor<8x?xf32, #weft.dims<"B">>
  return %t : tensor<8x?xf32, #weft.dims<"B">>
}

// -----

// CHECK-LABEL: func @a_reshape_across_a_gap_is_a_copy
func.func @a_reshape_across_a_gap_is_a_copy(%x: tensor<4x8xf32>) -> tensor<16xf32> {
  // CHECK: %[[S:.*]] = weft.slice
  // CHECK: weft.fused(%[[S]])
  // CHECK: weft.reshape
  %s = weft.slice %x {axis = 1 : i64, start = "0", step = 1 : i64} : tensor<4x8xf32> to tensor<4x4xf32>
  %y = weft.reshape %s : tensor<4x4xf32> to tensor<16xf32>
  %z = weft.exp %y : tensor<16xf32>
  return %z : tensor<16xf32>
}

// -----

// CHECK-LABEL: func @one_value_returned_twice_is_copied_once
func.func @one_value_returned_twice_is_copied_once(%x: tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>) {
  // CHECK: %[[Y:.*]] = weft.fused
  // CHECK: %[[C:.*]] = weft.fused(%[[Y]])
  // CHECK: return %[[Y]], %[[C]]
  %y = weft.exp %x : tensor<8xf32>
  return %y, %y : tensor<8xf32>, tensor<8xf32>
}

// -----

// CHECK-LABEL: func @a_repeat_gets_an_initial_value_of_its_own
func.func @a_repeat_gets_an_initial_value_of_its_own(%x: tensor<8xf32>) -> tensor<8xf32> {
  // CHECK: %[[C:.*]] = weft.fused(%{{.*}})
  // CHECK: weft.repeat 3 "i"(%[[C]])
  %y = weft.repeat 3 "i"(%x) : (tensor<8xf32>) -> tensor<8xf32> {
  ^bb0(%i: index, %h: tensor<8xf32>):
    %z = weft.exp %h : tensor<8xf32>
    weft.yield %z : tensor<8xf32>
  }
  return %y : tensor<8xf32>
}

// -----

// CHECK-LABEL: func @a_constant_moves_into_the_kernel
func.func @a_constant_moves_into_the_kernel(%x: tensor<8xf32>) -> tensor<8xf32> {
  // CHECK: weft.fused(%{{[a-z0-9]+}}) :
  // CHECK: weft.constant
  %c = weft.constant dense<2.0> : tensor<f32>
  %y = weft.fused(%x, %c) : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32> {
  ^bb0(%a: tensor<8xf32>, %b: tensor<f32>):
    %z = weft.mul %a, %b : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
    weft.yield %z : tensor<8xf32>
  }
  return %y : tensor<8xf32>
}

// -----

!x = tensor<?x4xf32, #weft.dims<"B">>

// A kernel writes its part of a stack itself; a carried value, overwritten by the next round, is copied into its part.
// CHECK-LABEL: func @stacked(
// CHECK: weft.repeat 3 "i"
// CHECK: ^bb0(%{{.*}}: index, %[[H:.*]]: tensor
// CHECK: %[[E:.*]] = weft.fused(%[[H]])
// CHECK: weft.exp
// CHECK: %[[N:.*]] = weft.fused(%[[E]])
// CHECK: weft.neg
// CHECK: %[[COPY:.*]] = weft.fused(%[[H]])
// CHECK: weft.yield %[[N]], %[[E]], %[[COPY]]
func.func @stacked(%x: !x) -> tensor<3x?x4xf32, #weft.dims<"B">> {
  %y:3 = weft.repeat 3 "i"(%x) : (!x) -> (!x, tensor<3x?x4xf32, #weft.dims<"B">>, tensor<3x?x4xf32, #weft.dims<"B">>) {
  ^bb0(%i: index, %h: !x):
    %e = weft.exp %h : !x
    %n = weft.neg %e : !x
    weft.yield %n, %e, %h : !x, !x, !x
  }
  %s = weft.add %y#1, %y#2 : (tensor<3x?x4xf32, #weft.dims<"B">>, tensor<3x?x4xf32, #weft.dims<"B">>) -> tensor<3x?x4xf32, #weft.dims<"B">>
  return %s : tensor<3x?x4xf32, #weft.dims<"B">>
}

// -----

weft.kept @v rounds 1 : tensor<8xf32>

// CHECK-LABEL: func @a_kernel_writes_what_is_kept
func.func @a_kernel_writes_what_is_kept(%x: tensor<8xf32>) -> tensor<8xf32> {
  // CHECK-NEXT: %[[V:.*]] = weft.fused(%arg0)
  // CHECK: weft.exp
  // CHECK: weft.keep %[[V]] in @v
  // CHECK-NEXT: weft.fused(%[[V]])
  %v = weft.exp %x : tensor<8xf32>
  weft.keep %v in @v : tensor<8xf32>
  %y = weft.neg %v : tensor<8xf32>
  return %y : tensor<8xf32>
}

// -----

weft.kept @v rounds 1 : tensor<8xf32>
weft.kept @w rounds 1 : tensor<8xf32>

// CHECK-LABEL: func @results_and_arguments_are_copied_to_be_kept
func.func @results_and_arguments_are_copied_to_be_kept(%x: tensor<8xf32>) -> tensor<8xf32> {
  // CHECK-NEXT: %[[C:.*]] = weft.fused(%arg0)
  // CHECK: weft.keep %[[C]] in @w
  // CHECK: %[[V:.*]] = weft.fused(%arg0)
  // CHECK: %[[D:.*]] = weft.fused(%[[V]])
  // CHECK: weft.keep %[[D]] in @v
  // CHECK-NEXT: return %[[V]]
  weft.keep %x in @w : tensor<8xf32>
  %v = weft.exp %x : tensor<8xf32>
  weft.keep %v in @v : tensor<8xf32>
  return %v : tensor<8xf32>
}

// -----

!h = tensor<2x5x8xf32>
!l = tensor<2x2x5xf32>

// Its operands may be strided as long as the features of a head lie next to each other; rows of lse lie one after the other.
// CHECK-LABEL: func @a_gradient_of_attention_is_a_kernel
func.func @a_gradient_of_attention_is_a_kernel(%q: !h, %kv: tensor<2x5x16xf32>, %y: !h, %lse: tensor<2x5x2xf32>, %dy: tensor<2x8x5xf32>) -> (!h, !h, !h) {
  // CHECK-DAG: %[[K:.*]] = weft.slice %arg1
  // CHECK-DAG: %[[LSE:.*]] = weft.fused(%{{.*}}) : (tensor<2x2x5xf32>)
  // CHECK-DAG: %[[DY:.*]] = weft.fused(%{{.*}}) : (tensor<2x5x8xf32>)
  // CHECK: weft.attention_grad %arg0, %[[K]], %{{.*}}, %arg2, %[[LSE]], %[[DY]] {
  // CHECK-NEXT: return %dq, %dk, %dv
  %k = weft.slice %kv {axis = 2 : i64, start = "0", step = 1 : i64} : tensor<2x5x16xf32> to !h
  %v = weft.slice %kv {axis = 2 : i64, start = "8", step = 1 : i64} : tensor<2x5x16xf32> to !h
  %l = weft.transpose %lse {perm = array<i64: 0, 2, 1>} : (tensor<2x5x2xf32>) -> !l
  %d = weft.transpose %dy {perm = array<i64: 0, 2, 1>} : (tensor<2x8x5xf32>) -> !h
  %dq, %dk, %dv = weft.attention_grad %q, %k, %v, %y, %l, %d {heads = 2 : i64, kv_heads = 2 : i64, scale = 0.5 : f64} : (!h, !h, !h, !h, !l, !h) -> (!h, !h, !h)
  return %dq, %dk, %dv : !h, !h, !h
}

// -----

// CHECK-LABEL: func @rows_for_a_table_come_from_a_view
func.func @rows_for_a_table_come_from_a_view(%i: tensor<?x?xi32, #weft.dims<"B", "T">>, %g: tensor<?x?x16xf32, #weft.dims<"B", "T">>) -> tensor<9x8xf32> {
  // CHECK: %[[S:.*]] = weft.slice
  // CHECK-NOT: weft.fused
  // CHECK: %[[T:.*]] = weft.embedding_grad %{{.*}}, %[[S]]
  // CHECK: return %[[T]]
  %s = weft.slice %g {axis = 2 : i64, start = "8", step = 1 : i64} : tensor<?x?x16xf32, #weft.dims<"B", "T">> to tensor<?x?x8xf32, #weft.dims<"B", "T">>
  %t = weft.embedding_grad %i, %s : (tensor<?x?xi32, #weft.dims<"B", "T">>, tensor<?x?x8xf32, #weft.dims<"B", "T">>) -> tensor<9x8xf32>
  return %t : tensor<9x8xf32>
}

// -----

// CHECK-LABEL: func @scattered_columns_must_lie_next_to_each_other
func.func @scattered_columns_must_lie_next_to_each_other(%i: tensor<4x1xi32>, %g: tensor<3x4xf32>) -> tensor<9x3xf32> {
  // CHECK-DAG: %[[T:.*]] = weft.transpose
  // CHECK-DAG: %[[E:.*]] = weft.expand
  // CHECK: %[[C:.*]] = weft.fused(%[[T]])
  // CHECK: weft.scatter_add %[[E]], %[[C]]
  %t = weft.transpose %g {perm = array<i64: 1, 0>} : (tensor<3x4xf32>) -> tensor<4x3xf32>
  %e = weft.expand %i : tensor<4x1xi32> to tensor<4x3xi32>
  %y = weft.scatter_add %e, %t {axis = 0 : i64} : (tensor<4x3xi32>, tensor<4x3xf32>) -> tensor<9x3xf32>
  return %y : tensor<9x3xf32>
}

// -----

// Chunks are cut where the rows stand; sums start in memory of their own.
// CHECK-LABEL: func @rows_in_chunks(
// CHECK: %[[ZERO:.*]] = weft.fused()
// CHECK: weft.chunks 64 "c"(%[[ZERO]]) rows(%arg0)
// CHECK: ^bb0(%[[S:.*]]: tensor<f32>, %[[X:.*]]: tensor<?x8xf32
// CHECK-COUNT-2: weft.fused
// CHECK: weft.yield
func.func @rows_in_chunks(%x: tensor<?x8xf32, #weft.dims<"B">>) -> (tensor<f32>, tensor<?x8xf32, #weft.dims<"B">>) {
  %zero = weft.constant dense<0.0> : tensor<f32>
  %r:2 = weft.chunks 64 "c"(%zero) rows(%x) : (tensor<f32>, tensor<?x8xf32, #weft.dims<"B">>) -> (tensor<f32>, tensor<?x8xf32, #weft.dims<"B">>) {
  ^bb0(%s: tensor<f32>, %part: tensor<?x8xf32, #weft.dims<"min(64, B - c * 64)">>):
    %e = weft.exp %part : tensor<?x8xf32, #weft.dims<"min(64, B - c * 64)">>
    %t = weft.add %s, %s : (tensor<f32>, tensor<f32>) -> tensor<f32>
    weft.yield %t, %e : tensor<f32>, tensor<?x8xf32, #weft.dims<"min(64, B - c * 64)">>
  }
  return %r#0, %r#1 : tensor<f32>, tensor<?x8xf32, #weft.dims<"B">>
}
