// Pointwise ops after a product run on its sums, before anything is stored.
// RUN: weft-opt %s -split-input-file -weft-fuse-contraction | FileCheck %s --implicit-check-not=weft.matmul

!x = tensor<?x8xf32, #weft.dims<"T">>
!y = tensor<?x16xf32, #weft.dims<"T">>

// CHECK-LABEL: func @bias_and_activation(
// CHECK-NEXT: %[[R:.*]] = weft.contract %arg0, %arg1 extras(%arg2) {transpose_b}
// CHECK-NEXT: ^bb0(%[[ACC:.*]]: tensor<?x16xf32, #weft.dims<"T">>, %[[B:.*]]: tensor<16xf32>):
// CHECK-NEXT: %[[S:.*]] = weft.add %[[ACC]], %[[B]]
// CHECK-NEXT: %[[G:.*]] = weft.gelu %[[S]]
// CHECK-NEXT: weft.yield %[[G]]
// CHECK: return %[[R]]
func.func @bias_and_activation(%x: !x, %w: tensor<16x8xf32>, %b: tensor<16xf32>) -> !y {
  %p = weft.matmul %x, %w {transpose_b} : (!x, tensor<16x8xf32>) -> !y
  %s = weft.add %p, %b : (!y, tensor<16xf32>) -> !y
  %g = weft.gelu %s : !y
  return %g : !y
}

// -----

!x = tensor<?x8xf32, #weft.dims<"T">>

// A residual; it is defined after the product, so the contraction stands where the sum stood.
// CHECK-LABEL: func @residual_defined_later(
// CHECK-NEXT: %[[N:.*]] = weft.rms_norm
// CHECK-NEXT: %[[R:.*]] = weft.contract %arg0, %arg1 extras(%[[N]])
// CHECK: weft.add
// CHECK: return %[[R]], %[[N]]
func.func @residual_defined_later(%x: !x, %w: tensor<8x8xf32>, %g: tensor<8xf32>) -> (!x, !x) {
  %p = weft.matmul %x, %w {transpose_b} : (!x, tensor<8x8xf32>) -> !x
  %n = weft.rms_norm %x, %g {eps = 1.0e-5 : f64} : (!x, tensor<8xf32>) -> !x
  %s = weft.add %n, %p : (!x, !x) -> !x
  return %s, %n : !x, !x
}

// -----

!x = tensor<?x8xf32, #weft.dims<"T">>
!half = tensor<?x8xbf16, #weft.dims<"T">>

weft.param @w : tensor<8x8xf32> {tensors = array<i32: 0>}

// A parameter is rounded as it is packed; an activation is there in half precision. The sums are f32.
// CHECK-LABEL: func @half_precision(
// CHECK: %[[W:.*]] = weft.parameter @w
// CHECK-NOT: weft.cast
// CHECK: weft.contract %arg0, %[[W]] {transpose_b} : (tensor<?x8xbf16, #weft.dims<"T">>, tensor<8x8xf32>) -> tensor<?x8xbf16, #weft.dims<"T">>
// CHECK-NEXT: ^bb0(%[[ACC:[^:]*]]: tensor<?x8xf32
// CHECK-NEXT: weft.gelu %[[ACC]]
// CHECK-NEXT: weft.cast
func.func @half_precision(%x: !half) -> !half {
  %w = weft.parameter @w : tensor<8x8xf32>
  %h = weft.cast %w : tensor<8x8xf32> to tensor<8x8xbf16>
  %p = weft.matmul %x, %h {transpose_b, wide} : (!half, tensor<8x8xbf16>) -> !x
  %g = weft.gelu %p : !x
  %y = weft.cast %g : !x to !half
  return %y : !half
}

// -----

!x = tensor<?x8xf32, #weft.dims<"T">>

// The sums read several times, constants, a scale and a cast.
// CHECK-LABEL: func @written_out_activation(
// CHECK-NOT: weft.constant
// CHECK: weft.contract %arg0, %arg1 : (tensor<?x8xf32, #weft.dims<"T">>, tensor<8x8xf32>) -> tensor<?x8xbf16, #weft.dims<"T">>
// CHECK-NEXT: ^bb0(%[[ACC:[^:]*]]:
// CHECK-NEXT: weft.constant dense<1.702000e+00> : tensor<f32>
// CHECK-NEXT: weft.mul %[[ACC]]
// CHECK-NEXT: weft.sigmoid
// CHECK-NEXT: weft.mul %[[ACC]]
// CHECK-NEXT: weft.cast
func.func @written_out_activation(%x: !x, %w: tensor<8x8xf32>) -> tensor<?x8xbf16, #weft.dims<"T">> {
  %c = weft.constant dense<1.702> : tensor<f32>
  %p = weft.matmul %x, %w : (!x, tensor<8x8xf32>) -> !x
  %t = weft.mul %p, %c : (!x, tensor<f32>) -> !x
  %s = weft.sigmoid %t : !x
  %y = weft.mul %p, %s : (!x, !x) -> !x
  %z = weft.cast %y : !x to tensor<?x8xbf16, #weft.dims<"T">>
  return %z : tensor<?x8xbf16, #weft.dims<"T">>
}

// -----

!x = tensor<?x8xf32, #weft.dims<"T">>

// A gate: the other product is an operand of the epilogue.
// CHECK-LABEL: func @gated(
// CHECK: %[[UP:.*]] = weft.contract %arg0, %arg2
// CHECK: weft.contract %arg0, %arg1 extras(%[[UP]])
// CHECK: weft.silu
// CHECK: weft.mul
func.func @gated(%x: !x, %w: tensor<8x8xf32>, %v: tensor<8x8xf32>) -> !x {
  %p = weft.matmul %x, %w : (!x, tensor<8x8xf32>) -> !x
  %s = weft.silu %p : !x
  %q = weft.matmul %x, %v : (!x, tensor<8x8xf32>) -> !x
  %y = weft.mul %s, %q : (!x, !x) -> !x
  return %y : !x
}

// -----

!x = tensor<?x8xf32, #weft.dims<"T">>

// Near misses. A value with a reader outside ends the epilogue.
// CHECK-LABEL: func @value_read_elsewhere(
// CHECK: %[[S:.*]] = weft.contract
// CHECK: weft.add
// CHECK: weft.yield
// CHECK: %[[R:.*]] = weft.relu %[[S]]
// CHECK: return %[[R]], %[[S]]
func.func @value_read_elsewhere(%x: !x, %w: tensor<8x8xf32>, %b: tensor<8xf32>) -> (!x, !x) {
  %p = weft.matmul %x, %w : (!x, tensor<8x8xf32>) -> !x
  %s = weft.add %p, %b : (!x, tensor<8xf32>) -> !x
  %r = weft.relu %s : !x
  return %r, %s : !x, !x
}

// CHECK-LABEL: func @operand_along_rows(
// CHECK: %[[P:.*]] = weft.contract
// CHECK-NEXT: ^bb0(%[[ACC:[^:]*]]:
// CHECK-NEXT: weft.yield %[[ACC]]
// CHECK: weft.add %[[P]], %arg2
func.func @operand_along_rows(%x: !x, %w: tensor<8x8xf32>, %b: tensor<?x1xf32, #weft.dims<"T">>) -> !x {
  %p = weft.matmul %x, %w : (!x, tensor<8x8xf32>) -> !x
  %s = weft.add %p, %b : (!x, tensor<?x1xf32, #weft.dims<"T">>) -> !x
  return %s : !x
}

// A bias [1, 1, n] is a vector.
// CHECK-LABEL: func @vector_with_unit_axes(
// CHECK: %[[V:.*]] = weft.reshape %arg2 : tensor<1x8xf32> to tensor<8xf32>
// CHECK: weft.contract %arg0, %arg1 extras(%[[V]])
func.func @vector_with_unit_axes(%x: !x, %w: tensor<8x8xf32>, %b: tensor<1x8xf32>) -> !x {
  %p = weft.matmul %x, %w : (!x, tensor<8x8xf32>) -> !x
  %s = weft.add %p, %b : (!x, tensor<1x8xf32>) -> !x
  return %s : !x
}

// The residual needs the product itself, by way of a norm: it can't be an operand of it.
// CHECK-LABEL: func @residual_through_a_norm(
// CHECK: %[[P:.*]] = weft.contract
// CHECK: %[[N:.*]] = weft.rms_norm %[[P]]
// CHECK: weft.add %[[P]], %[[N]]
func.func @residual_through_a_norm(%x: !x, %w: tensor<8x8xf32>, %g: tensor<8xf32>) -> !x {
  %p = weft.matmul %x, %w : (!x, tensor<8x8xf32>) -> !x
  %n = weft.rms_norm %p, %g {eps = 1.0e-5 : f64} : (!x, tensor<8xf32>) -> !x
  %s = weft.add %p, %n : (!x, !x) -> !x
  return %s : !x
}
