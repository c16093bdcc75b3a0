// Products of one value with parameters become one product; its parts are slices.
// RUN: weft-opt %s -split-input-file -weft-fuse-projections -canonicalize | FileCheck %s

!x = tensor<?x?x64xf32, #weft.dims<"B", "T">>
!kv = tensor<?x?x32xf32, #weft.dims<"B", "T">>

module {
  weft.param @wq : tensor<64x64xf32> {tensors = array<i32: 0>}
  weft.param @wk : tensor<32x64xf32> {tensors = array<i32: 1>}
  weft.param @wv : tensor<32x64xf32> {tensors = array<i32: 2>}

  // CHECK-LABEL: func @query_key_value(
  // CHECK-DAG: %[[WQ:.*]] = weft.parameter @wq
  // CHECK-DAG: %[[WK:.*]] = weft.parameter @wk
  // CHECK-DAG: %[[WV:.*]] = weft.parameter @wv
  // CHECK: %[[W:.*]] = weft.concat %[[WQ]], %[[WK]], %[[WV]] {axis = 0 : i64}
  // CHECK: %[[Y:.*]] = weft.matmul %arg0, %[[W]] {transpose_b}
  // CHECK: %[[Q:.*]] = weft.slice %[[Y]] {axis = 2 : i64, start = "0", step = 1 : i64}
  // CHECK: %[[K:.*]] = weft.slice %[[Y]] {axis = 2 : i64, start = "64", step = 1 : i64}
  // CHECK: %[[V:.*]] = weft.slice %[[Y]] {axis = 2 : i64, start = "96", step = 1 : i64}
  // CHECK: return %[[Q]], %[[K]], %[[V]]
  func.func @query_key_value(%x: !x) -> (!x, !kv, !kv) {
    %wq = weft.parameter @wq : tensor<64x64xf32>
    %q = weft.matmul %x, %wq {transpose_b} : (!x, tensor<64x64xf32>) -> !x
    %wk = weft.parameter @wk : tensor<32x64xf32>
    %k = weft.matmul %x, %wk {transpose_b} : (!x, tensor<32x64xf32>) -> !kv
    %wv = weft.parameter @wv : tensor<32x64xf32>
    %v = weft.matmul %x, %wv {transpose_b} : (!x, tensor<32x64xf32>) -> !kv
    return %q, %k, %v : !x, !kv, !kv
  }
}

// -----

!x = tensor<?x8xf32, #weft.dims<"T">>
!y = tensor<?x16xf32, #weft.dims<"T">>

module {
  weft.param @"h.{i}.w" : tensor<16x8xf32> {tensors = array<i32: 0, 3>}
  weft.param @"h.{i}.v" : tensor<16x8xf32> {tensors = array<i32: 1, 4>}
  weft.param @b : tensor<16xf32> {tensors = array<i32: 2>}
  weft.param @c : tensor<16xf32> {tensors = array<i32: 5>}

  // Gate and up in one round of a repeat; the biases follow their columns.
  // CHECK-LABEL: func @gate_and_up_with_biases(
  // CHECK: weft.repeat
  // CHECK: %[[W:.*]] = weft.concat %{{.*}}, %{{.*}} {axis = 0 : i64}
  // CHECK: %[[P:.*]] = weft.matmul %{{.*}}, %[[W]] {transpose_b}
  // CHECK: %[[B:.*]] = weft.concat %{{.*}}, %{{.*}} {axis = 0 : i64} : (tensor<16xf32>, tensor<16xf32>) -> tensor<32xf32>
  // CHECK: %[[S:.*]] = weft.add %[[P]], %[[B]]
  // CHECK: %[[GATE:.*]] = weft.slice %[[S]] {axis = 1 : i64, start = "0"
  // CHECK: %[[UP:.*]] = weft.slice %[[S]] {axis = 1 : i64, start = "16"
  // CHECK: %[[ACT:.*]] = weft.silu %[[GATE]]
  // CHECK: weft.mul %[[ACT]], %[[UP]]
  func.func @gate_and_up_with_biases(%x: !x) -> !x {
    %z = weft.repeat 2 "i"(%x) : (!x) -> !x {
    ^bb0(%i: index, %h: !x):
      %w = weft.parameter @"h.{i}.w"[%i] : tensor<16x8xf32>
      %b = weft.parameter @b : tensor<16xf32>
      %g = weft.matmul %h, %w {transpose_b} : (!x, tensor<16x8xf32>) -> !y
      %gb = weft.add %g, %b : (!y, tensor<16xf32>) -> !y
      %v = weft.parameter @"h.{i}.v"[%i] : tensor<16x8xf32>
      %c = weft.parameter @c : tensor<16xf32>
      %u = weft.matmul %h, %v {transpose_b} : (!x, tensor<16x8xf32>) -> !y
      %ub = weft.add %u, %c : (!y, tensor<16xf32>) -> !y
      %a = weft.silu %gb : !y
      %m = weft.mul %a, %ub : (!y, !y) -> !y
      %d = weft.matmul %m, %w : (!y, tensor<16x8xf32>) -> !x
      weft.yield %d : !x
    }
    return %z : !x
  }
}

// -----

!x = tensor<?x8xf32, #weft.dims<"T">>
!y = tensor<?x16xf32, #weft.dims<"T">>

module {
  weft.param @in_proj : tensor<48x8xf32> {tensors = array<i32: 0>}

  // Slices of one parameter side by side: one slice again.
  // CHECK-LABEL: func @parts_of_one_parameter(
  // CHECK: %[[P:.*]] = weft.parameter @in_proj
  // CHECK: %[[W:.*]] = weft.slice %[[P]] {axis = 0 : i64, start = "16", step = 1 : i64} : tensor<48x8xf32> to tensor<32x8xf32>
  // CHECK: weft.matmul %arg0, %[[W]] {transpose_b}
  func.func @parts_of_one_parameter(%memory: !x) -> (!y, !y) {
    %p = weft.parameter @in_proj : tensor<48x8xf32>
    %wk = weft.slice %p {axis = 0 : i64, start = "16", step = 1 : i64} : tensor<48x8xf32> to tensor<16x8xf32>
    %wv = weft.slice %p {axis = 0 : i64, start = "32", step = 1 : i64} : tensor<48x8xf32> to tensor<16x8xf32>
    %k = weft.matmul %memory, %wk {transpose_b} : (!x, tensor<16x8xf32>) -> !y
    %v = weft.matmul %memory, %wv {transpose_b} : (!x, tensor<16x8xf32>) -> !y
    return %k, %v : !y, !y
  }
}

// -----

!x = tensor<?x8xf32, #weft.dims<"T">>
!y = tensor<?x8xf32, #weft.dims<"T">>

module {
  weft.param @w1 : tensor<8x8xf32> {tensors = array<i32: 0>}
  weft.param @w2 : tensor<8x8xf32> {tensors = array<i32: 1>}

  // Parameters [in, features] stand side by side along their second axis.
  // CHECK-LABEL: func @features_last(
  // CHECK: weft.concat %{{.*}}, %{{.*}} {axis = 1 : i64}
  // CHECK: weft.matmul %arg0, %{{[^ ]*}} : (
  func.func @features_last(%x: !x) -> (!y, !y) {
    %w1 = weft.parameter @w1 : tensor<8x8xf32>
    %w2 = weft.parameter @w2 : tensor<8x8xf32>
    %a = weft.matmul %x, %w1 : (!x, tensor<8x8xf32>) -> !y
    %b = weft.matmul %x, %w2 : (!x, tensor<8x8xf32>) -> !y
    return %a, %b : !y, !y
  }

  // Near misses: a factor that is no parameter, another value, and an activation of its own, which is an epilogue.
  // CHECK-LABEL: func @not_parameters(
  // CHECK-NOT: weft.concat
  func.func @not_parameters(%x: !x, %v: tensor<8x8xf32>) -> (!y, !y) {
    %w1 = weft.parameter @w1 : tensor<8x8xf32>
    %a = weft.matmul %x, %w1 : (!x, tensor<8x8xf32>) -> !y
    %b = weft.matmul %x, %v : (!x, tensor<8x8xf32>) -> !y
    return %a, %b : !y, !y
  }

  // CHECK-LABEL: func @different_values(
  // CHECK-NOT: weft.concat
  func.func @different_values(%x: !x, %z: !x) -> (!y, !y) {
    %w1 = weft.parameter @w1 : tensor<8x8xf32>
    %w2 = weft.parameter @w2 : tensor<8x8xf32>
    %a = weft.matmul %x, %w1 : (!x, tensor<8x8xf32>) -> !y
    %b = weft.matmul %z, %w2 : (!x, tensor<8x8xf32>) -> !y
    return %a, %b : !y, !y
  }

  // CHECK-LABEL: func @activation_of_its_own(
  // CHECK-NOT: weft.concat
  func.func @activation_of_its_own(%x: !x) -> (!y, !y) {
    %w1 = weft.parameter @w1 : tensor<8x8xf32>
    %w2 = weft.parameter @w2 : tensor<8x8xf32>
    %a = weft.matmul %x, %w1 : (!x, tensor<8x8xf32>) -> !y
    %g = weft.gelu %a : !y
    %b = weft.matmul %x, %w2 : (!x, tensor<8x8xf32>) -> !y
    return %g, %b : !y, !y
  }
}
