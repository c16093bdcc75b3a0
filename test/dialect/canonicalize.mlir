// Folders and canonical forms.
// RUN: weft-opt %s -split-input-file -canonicalize | FileCheck %s

!x = tensor<?x8xf32, #weft.dims<"B">>

// CHECK-LABEL: func @neutral_elements(
// CHECK-NEXT: return %arg0
func.func @neutral_elements(%x: !x) -> !x {
  %zero = weft.constant dense<0.0> : tensor<f32>
  %one = weft.constant dense<1.0> : tensor<f32>
  %0 = weft.add %x, %zero : (!x, tensor<f32>) -> !x
  %1 = weft.sub %0, %zero : (!x, tensor<f32>) -> !x
  %2 = weft.mul %1, %one : (!x, tensor<f32>) -> !x
  %3 = weft.div %2, %one : (!x, tensor<f32>) -> !x
  %4 = weft.pow %3, %one : (!x, tensor<f32>) -> !x
  return %4 : !x
}

// A neutral element that broadcasts the other operand changes its shape.
// CHECK-LABEL: func @neutral_but_larger(
// CHECK: weft.add
func.func @neutral_but_larger(%x: tensor<8xf32>) -> tensor<2x8xf32> {
  %zero = weft.constant dense<0.0> : tensor<2x8xf32>
  %0 = weft.add %x, %zero : (tensor<8xf32>, tensor<2x8xf32>) -> tensor<2x8xf32>
  return %0 : tensor<2x8xf32>
}

// x · 0 is not 0 where x is NaN.
// CHECK-LABEL: func @times_zero_stays(
// CHECK: weft.mul
func.func @times_zero_stays(%x: !x) -> !x {
  %zero = weft.constant dense<0.0> : tensor<f32>
  %0 = weft.mul %x, %zero : (!x, tensor<f32>) -> !x
  return %0 : !x
}

// CHECK-LABEL: func @power_of_two_divisor(
// CHECK: %[[C:.*]] = weft.constant dense<1.250000e-01>
// CHECK: weft.mul %arg0, %[[C]]
func.func @power_of_two_divisor(%x: !x) -> !x {
  %c = weft.constant dense<8.0> : tensor<f32>
  %0 = weft.div %x, %c : (!x, tensor<f32>) -> !x
  return %0 : !x
}

// CHECK-LABEL: func @other_divisor(
// CHECK: weft.div
func.func @other_divisor(%x: !x) -> !x {
  %c = weft.constant dense<3.0> : tensor<f32>
  %0 = weft.div %x, %c : (!x, tensor<f32>) -> !x
  return %0 : !x
}

// CHECK-LABEL: func @simple_powers(
// CHECK: %[[S:.*]] = weft.mul %arg0, %arg0
// CHECK: weft.sqrt %[[S]]
func.func @simple_powers(%x: !x) -> !x {
  %two = weft.constant dense<2.0> : tensor<f32>
  %half = weft.constant dense<0.5> : tensor<f32>
  %0 = weft.pow %x, %two : (!x, tensor<f32>) -> !x
  %1 = weft.pow %0, %half : (!x, tensor<f32>) -> !x
  return %1 : !x
}

// CHECK-LABEL: func @constants(
// CHECK-DAG: weft.constant dense<[3.000000e+00, 5.000000e+00]>
// CHECK-DAG: weft.constant dense<7> : tensor<i32>
// CHECK-NOT: weft.add
func.func @constants() -> (tensor<2xf32>, tensor<i32>) {
  %a = weft.constant dense<[1.0, 2.0]> : tensor<2xf32>
  %b = weft.constant dense<[2.0, 3.0]> : tensor<2xf32>
  %0 = weft.add %a, %b : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %c = weft.constant dense<9> : tensor<i32>
  %d = weft.constant dense<2> : tensor<i32>
  %1 = weft.sub %c, %d : (tensor<i32>, tensor<i32>) -> tensor<i32>
  return %0, %1 : tensor<2xf32>, tensor<i32>
}

// Kernels flush denormals; folding must not do better.
// CHECK-LABEL: func @denormal_constants(
// CHECK: weft.mul
func.func @denormal_constants() -> tensor<f32> {
  %a = weft.constant dense<1.0e-30> : tensor<f32>
  %0 = weft.mul %a, %a : (tensor<f32>, tensor<f32>) -> tensor<f32>
  %b = weft.constant dense<1.0e-20> : tensor<f32>
  %1 = weft.mul %a, %b : (tensor<f32>, tensor<f32>) -> tensor<f32>
  %c = weft.constant dense<1.0e-10> : tensor<f32>
  %2 = weft.mul %a, %c : (tensor<f32>, tensor<f32>) -> tensor<f32>
  return %2 : tensor<f32>
}

// CHECK-LABEL: func @double_negation(
// CHECK-NEXT: return %arg0
func.func @double_negation(%m: tensor<?xi1, #weft.dims<"T">>) -> tensor<?xi1, #weft.dims<"T">> {
  %0 = weft.not %m : tensor<?xi1, #weft.dims<"T">>
  %1 = weft.not %0 : tensor<?xi1, #weft.dims<"T">>
  return %1 : tensor<?xi1, #weft.dims<"T">>
}

// To a wider type and back; the other way round numbers would be lost.
// CHECK-LABEL: func @casts(
// CHECK: %[[N:.*]] = weft.cast %arg1
// CHECK: %[[W:.*]] = weft.cast %[[N]]
// CHECK: return %arg0, %[[W]]
func.func @casts(%n: tensor<4xf16>, %w: tensor<4xf32>) -> (tensor<4xf16>, tensor<4xf32>) {
  %0 = weft.cast %n : tensor<4xf16> to tensor<4xf32>
  %1 = weft.cast %0 : tensor<4xf32> to tensor<4xf16>
  %2 = weft.cast %w : tensor<4xf32> to tensor<4xf16>
  %3 = weft.cast %2 : tensor<4xf16> to tensor<4xf32>
  return %1, %3 : tensor<4xf16>, tensor<4xf32>
}

// -----

!x = tensor<?x?x8xf32, #weft.dims<"B", "T">>

// CHECK-LABEL: func @transposes_compose(
// CHECK-NEXT: %[[Y:.*]] = weft.transpose %arg0 {perm = array<i64: 2, 0, 1>}
// CHECK-NEXT: return %[[Y]], %arg0
func.func @transposes_compose(%x: !x) -> (tensor<8x?x?xf32, #weft.dims<"B", "T">>, !x) {
  %0 = weft.transpose %x {perm = array<i64: 1, 0, 2>} : (!x) -> tensor<?x?x8xf32, #weft.dims<"T", "B">>
  %1 = weft.transpose %0 {perm = array<i64: 2, 1, 0>} : (tensor<?x?x8xf32, #weft.dims<"T", "B">>) -> tensor<8x?x?xf32, #weft.dims<"B", "T">>
  %2 = weft.transpose %0 {perm = array<i64: 1, 0, 2>} : (tensor<?x?x8xf32, #weft.dims<"T", "B">>) -> !x
  return %1, %2 : tensor<8x?x?xf32, #weft.dims<"B", "T">>, !x
}

// CHECK-LABEL: func @unit_axes_are_reshaped(
// CHECK-NEXT: weft.reshape %arg0
func.func @unit_axes_are_reshaped(%x: tensor<?x1x4x8xf32, #weft.dims<"B">>) -> tensor<?x4x1x8xf32, #weft.dims<"B">> {
  %0 = weft.transpose %x {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x1x4x8xf32, #weft.dims<"B">>) -> tensor<?x4x1x8xf32, #weft.dims<"B">>
  return %0 : tensor<?x4x1x8xf32, #weft.dims<"B">>
}

// CHECK-LABEL: func @reshapes_compose(
// CHECK-NEXT: return %arg0
func.func @reshapes_compose(%x: !x) -> !x {
  %0 = weft.reshape %x : !x to tensor<?x8xf32, #weft.dims<"B * T">>
  %1 = weft.reshape %0 : tensor<?x8xf32, #weft.dims<"B * T">> to tensor<?x2x4xf32, #weft.dims<"B * T">>
  %2 = weft.reshape %1 : tensor<?x2x4xf32, #weft.dims<"B * T">> to !x
  return %2 : !x
}

// CHECK-LABEL: func @slices_compose(
// CHECK-NEXT: weft.slice %arg0 {axis = 0 : i64, start = "7", step = 6 : i64} : tensor<32xf32> to tensor<3xf32>
func.func @slices_compose(%x: tensor<32xf32>) -> tensor<3xf32> {
  %0 = weft.slice %x {axis = 0 : i64, start = "1", step = 2 : i64} : tensor<32xf32> to tensor<15xf32>
  %1 = weft.slice %0 {axis = 0 : i64, start = "3", step = 3 : i64} : tensor<15xf32> to tensor<3xf32>
  return %1 : tensor<3xf32>
}

// CHECK-LABEL: func @slices_and_concats_cancel(
// CHECK-NEXT: return %arg0, %arg0
func.func @slices_and_concats_cancel(%x: !x, %y: tensor<?x?x4xf32, #weft.dims<"B", "T">>) -> (!x, !x) {
  %a = weft.slice %x {axis = 2 : i64, start = "0", step = 1 : i64} : !x to tensor<?x?x2xf32, #weft.dims<"B", "T">>
  %b = weft.slice %x {axis = 2 : i64, start = "2", step = 1 : i64} : !x to tensor<?x?x6xf32, #weft.dims<"B", "T">>
  %0 = weft.concat %a, %b {axis = 2 : i64} : (tensor<?x?x2xf32, #weft.dims<"B", "T">>, tensor<?x?x6xf32, #weft.dims<"B", "T">>) -> !x
  %c = weft.concat %y, %x {axis = 2 : i64} : (tensor<?x?x4xf32, #weft.dims<"B", "T">>, !x) -> tensor<?x?x12xf32, #weft.dims<"B", "T">>
  %1 = weft.slice %c {axis = 2 : i64, start = "4", step = 1 : i64} : tensor<?x?x12xf32, #weft.dims<"B", "T">> to !x
  return %0, %1 : !x, !x
}

// CHECK-LABEL: func @neighbouring_slices_join(
// CHECK-NEXT: %[[S:.*]] = weft.slice %arg0 {axis = 0 : i64, start = "2", step = 1 : i64} : tensor<9xf32> to tensor<5xf32>
// CHECK-NEXT: weft.concat %[[S]], %arg1
func.func @neighbouring_slices_join(%x: tensor<9xf32>, %y: tensor<3xf32>) -> tensor<8xf32> {
  %a = weft.slice %x {axis = 0 : i64, start = "2", step = 1 : i64} : tensor<9xf32> to tensor<2xf32>
  %b = weft.slice %x {axis = 0 : i64, start = "4", step = 1 : i64} : tensor<9xf32> to tensor<3xf32>
  %0 = weft.concat %a, %b, %y {axis = 0 : i64} : (tensor<2xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<8xf32>
  return %0 : tensor<8xf32>
}

// CHECK-LABEL: func @unit_axes_cancel(
// CHECK-NEXT: return %arg0, %arg1, %arg0
func.func @unit_axes_cancel(%x: !x, %y: tensor<4x1x8xf32>) -> (!x, tensor<4x1x8xf32>, !x) {
  %0 = weft.unsqueeze %x {axis = 1 : i64} : (!x) -> tensor<?x1x?x8xf32, #weft.dims<"B", "T">>
  %1 = weft.squeeze %0 {axis = 1 : i64} : (tensor<?x1x?x8xf32, #weft.dims<"B", "T">>) -> !x
  %2 = weft.squeeze %y {axis = 1 : i64} : (tensor<4x1x8xf32>) -> tensor<4x8xf32>
  %3 = weft.unsqueeze %2 {axis = 1 : i64} : (tensor<4x8xf32>) -> tensor<4x1x8xf32>
  %4 = weft.select %0 {axis = 1 : i64, index = "0"} : (tensor<?x1x?x8xf32, #weft.dims<"B", "T">>) -> !x
  return %1, %3, %4 : !x, tensor<4x1x8xf32>, !x
}

// CHECK-LABEL: func @another_unit_axis_stays(
// CHECK: weft.unsqueeze
// CHECK: weft.squeeze
func.func @another_unit_axis_stays(%x: tensor<1x8xf32>) -> tensor<8x1xf32> {
  %0 = weft.unsqueeze %x {axis = 2 : i64} : (tensor<1x8xf32>) -> tensor<1x8x1xf32>
  %1 = weft.squeeze %0 {axis = 0 : i64} : (tensor<1x8x1xf32>) -> tensor<8x1xf32>
  return %1 : tensor<8x1xf32>
}

// CHECK-LABEL: func @one_part_and_one_axis(
// CHECK-NEXT: return %arg0, %arg0
func.func @one_part_and_one_axis(%x: !x) -> (!x, !x) {
  %0 = weft.split %x {axis = 2 : i64} : !x to !x
  %1 = weft.flatten %x {start = 1 : i64, end = 1 : i64} : (!x) -> !x
  return %0, %1 : !x, !x
}

// CHECK-LABEL: func @a_mask_that_fills_nothing(
// CHECK-NEXT: return %arg0
func.func @a_mask_that_fills_nothing(%x: !x, %v: tensor<f32>) -> !x {
  %m = weft.constant dense<false> : tensor<8xi1>
  %0 = weft.masked_fill %x, %m, %v : (!x, tensor<8xi1>, tensor<f32>) -> !x
  return %0 : !x
}

// CHECK-LABEL: func @a_mask_that_fills_stays(
// CHECK: weft.masked_fill
func.func @a_mask_that_fills_stays(%x: !x, %v: tensor<f32>) -> !x {
  %m = weft.constant dense<[true, false, false, false, false, false, false, false]> : tensor<8xi1>
  %0 = weft.masked_fill %x, %m, %v : (!x, tensor<8xi1>, tensor<f32>) -> !x
  return %0 : !x
}

// A mask that adds an axis changes the shape.
// CHECK-LABEL: func @a_larger_mask_stays(
// CHECK: weft.masked_fill
func.func @a_larger_mask_stays(%x: tensor<8xf32>, %v: tensor<f32>) -> tensor<2x8xf32> {
  %m = weft.constant dense<false> : tensor<2x8xi1>
  %0 = weft.masked_fill %x, %m, %v : (tensor<8xf32>, tensor<2x8xi1>, tensor<f32>) -> tensor<2x8xf32>
  return %0 : tensor<2x8xf32>
}

// CHECK-LABEL: func @a_value_that_no_round_changes_is_not_carried(
// CHECK-NEXT: %[[Y:.*]] = weft.repeat 4 "i"(%arg0) : (tensor<9xf32>) -> tensor<9xf32> {
// CHECK-NEXT: ^bb0(%{{.*}}: index, %[[H:.*]]: tensor<9xf32>):
// CHECK-NEXT: %[[S:.*]] = weft.add %[[H]], %arg1
// CHECK-NEXT: weft.yield %[[S]] : tensor<9xf32>
// CHECK-NEXT: }
// CHECK-NEXT: return %arg1, %[[Y]]
func.func @a_value_that_no_round_changes_is_not_carried(%x: tensor<9xf32>, %m: tensor<9xf32>) -> (tensor<9xf32>, tensor<9xf32>) {
  %0, %1 = weft.repeat 4 "i"(%m, %x) : (tensor<9xf32>, tensor<9xf32>) -> (tensor<9xf32>, tensor<9xf32>) {
  ^bb0(%i: index, %k: tensor<9xf32>, %h: tensor<9xf32>):
    %s = weft.add %h, %k : (tensor<9xf32>, tensor<9xf32>) -> tensor<9xf32>
    weft.yield %k, %s : tensor<9xf32>, tensor<9xf32>
  }
  return %0, %1 : tensor<9xf32>, tensor<9xf32>
}

// CHECK-LABEL: func @values_that_change_places_are_carried(
// CHECK-NEXT: weft.repeat 4 "i"(%arg0, %arg1)
func.func @values_that_change_places_are_carried(%x: tensor<9xf32>, %m: tensor<9xf32>) -> tensor<9xf32> {
  %0, %1 = weft.repeat 4 "i"(%x, %m) : (tensor<9xf32>, tensor<9xf32>) -> (tensor<9xf32>, tensor<9xf32>) {
  ^bb0(%i: index, %a: tensor<9xf32>, %b: tensor<9xf32>):
    weft.yield %b, %a : tensor<9xf32>, tensor<9xf32>
  }
  return %0 : tensor<9xf32>
}
