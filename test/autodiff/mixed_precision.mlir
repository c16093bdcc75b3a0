// Products read half precision and sum in f32; what they give is rounded once, after the bias; the rest stays f32.
// RUN: weft-opt %s --split-input-file --weft-mixed-precision --canonicalize --cse | FileCheck %s

!x = tensor<?x3xf32, #weft.dims<"B">>
!y = tensor<?x4xf32, #weft.dims<"B">>

weft.param @w : tensor<4x3xf32> {tensors = array<i32: 0>}
weft.param @b : tensor<4xf32> {tensors = array<i32: 1>}
weft.param @v : tensor<4x4xf32> {tensors = array<i32: 2>}

// The result of the first product is rounded after its bias, and gelu reads it back; the last one goes into a loss.
// CHECK-LABEL: func @linear(
// CHECK-DAG: %[[X:.*]] = weft.cast %arg0 : {{.*}} to tensor<?x3xbf16
// CHECK-DAG: %[[W:.*]] = weft.cast %{{.*}} : tensor<4x3xf32> to tensor<4x3xbf16>
// CHECK: %[[S:.*]] = weft.matmul %[[X]], %[[W]] {transpose_b, wide} : ({{.*}}bf16{{.*}}bf16>) -> tensor<?x4xf32
// CHECK: %[[Z:.*]] = weft.add %[[S]], %{{.*}}
// CHECK: %[[R:.*]] = weft.cast %[[Z]] : tensor<?x4xf32, {{.*}} to tensor<?x4xbf16
// CHECK: %[[F:.*]] = weft.cast %[[R]] : tensor<?x4xbf16, {{.*}} to tensor<?x4xf32
// CHECK: %[[G:.*]] = weft.gelu %[[F]]
// CHECK: %[[H:.*]] = weft.cast %[[G]] : tensor<?x4xf32, {{.*}} to tensor<?x4xbf16
// CHECK: %[[O:.*]] = weft.matmul %[[H]], %{{.*}} {transpose_b, wide}
// CHECK: weft.mse %[[O]], %arg1
func.func @linear(%x: !x, %t: !y) -> tensor<f32> attributes {weft.compute = bf16} {
  %w = weft.parameter @w : tensor<4x3xf32>
  %b = weft.parameter @b : tensor<4xf32>
  %v = weft.parameter @v : tensor<4x4xf32>
  %s = weft.matmul %x, %w {transpose_b} : (!x, tensor<4x3xf32>) -> !y
  %z = weft.add %s, %b : (!y, tensor<4xf32>) -> !y
  %g = weft.gelu %z : !y
  %o = weft.matmul %g, %v {transpose_b} : (!y, tensor<4x4xf32>) -> !y
  %l = weft.mse %o, %t : (!y, !y) -> tensor<f32>
  return %l : tensor<f32>
}

// -----

!q = tensor<?x?x12xf32, #weft.dims<"B", "T">>
!h = tensor<?x?x4xf32, #weft.dims<"B", "T">>

weft.param @w : tensor<12x4xf32> {tensors = array<i32: 0>}

// q, k and v are parts of the one rounded projection: nothing is rounded twice. The norm reads the sum in f32.
// CHECK-LABEL: func @attention(
// CHECK: %[[S:.*]] = weft.matmul
// CHECK: %[[R:.*]] = weft.cast %[[S]] : {{.*}} to tensor<?x?x12xf16
// CHECK: %[[Q:.*]] = weft.slice %[[R]] {{.*}}start = "0"
// CHECK: %[[K:.*]] = weft.slice %[[R]] {{.*}}start = "4"
// CHECK: %[[V:.*]] = weft.slice %[[R]] {{.*}}start = "8"
// CHECK: %[[Y:.*]] = weft.attention %[[Q]], %[[K]], %[[V]] {{.*}} -> tensor<?x?x4xf16
// CHECK: %[[F:.*]] = weft.cast %[[Y]] : {{.*}} to tensor<?x?x4xf32
// CHECK: %[[A:.*]] = weft.add %arg0, %[[F]]
// CHECK: weft.l2_normalize %[[A]]
func.func @attention(%x: !h) -> !h attributes {weft.compute = f16} {
  %w = weft.parameter @w : tensor<12x4xf32>
  %p = weft.matmul %x, %w {transpose_b} : (!h, tensor<12x4xf32>) -> !q
  %q = weft.slice %p {axis = 2 : i64, start = "0", step = 1 : i64} : !q to !h
  %k = weft.slice %p {axis = 2 : i64, start = "4", step = 1 : i64} : !q to !h
  %v = weft.slice %p {axis = 2 : i64, start = "8", step = 1 : i64} : !q to !h
  %y = weft.attention %q, %k, %v {heads = 2 : i64, kv_heads = 2 : i64, scale = 1.0 : f64, causal} : (!h, !h, !h) -> !h
  %a = weft.add %x, %y : (!h, !h) -> !h
  %n = weft.l2_normalize %a {axis = 2 : i64, eps = 1.0e-12 : f64} : !h
  return %n : !h
}

// -----

!x = tensor<?x3xf32, #weft.dims<"B">>

weft.param @w : tensor<3x3xf32> {tensors = array<i32: 0>}

// Without a type to compute in, nothing changes; nor do nodes that are kept.
// CHECK-LABEL: func @plain(
// CHECK-NOT: weft.cast
// CHECK: return
func.func @plain(%x: !x) -> !x {
  %w = weft.parameter @w : tensor<3x3xf32>
  %y = weft.matmul %x, %w : (!x, tensor<3x3xf32>) -> !x
  return %y : !x
}
// CHECK-LABEL: func @kept(
// CHECK-NOT: weft.cast
// CHECK: return
func.func @kept(%x: !x) -> !x attributes {weft.compute = bf16, weft.keep_f32 = ["up"]} {
  %w = weft.parameter @w : tensor<3x3xf32>
  %y = weft.matmul %x, %w : (!x, tensor<3x3xf32>) -> !x loc("up")
  return %y : !x
}

// -----

!x = tensor<?x3xf32, #weft.dims<"B">>

weft.param @w : tensor<3x3xf32> {tensors = array<i32: 0>}

// What a repeat reads from outside is rounded inside, where its gradient is a sum in f32.
// CHECK-LABEL: func @captured(
// CHECK-NOT: weft.cast
// CHECK: weft.repeat
// CHECK: weft.cast %arg0 : tensor<?x3xf32
func.func @captured(%x: !x) -> !x attributes {weft.compute = bf16} {
  %y = weft.repeat 2 "i"(%x) : (!x) -> !x {
  ^bb0(%i: index, %h: !x):
    %p = weft.matmul %x, %h {transpose_a} : (!x, !x) -> tensor<3x3xf32>
    %z = weft.matmul %h, %p : (!x, tensor<3x3xf32>) -> !x
    weft.yield %z : !x
  }
  return %y : !x
}
