// Gradients of losses: of the prediction, and of a target where it is asked for.
// RUN: weft-opt %s --weft-generate-backward --canonicalize --cse | FileCheck %s

// 2 d / n; the target gets the opposite, if it is asked for.
// CHECK-LABEL: func @mse_of_both(
// CHECK: %[[D:.*]] = weft.sub %arg0, %arg1
// CHECK: %[[TWICE:.*]] = weft.mul %[[D]]
// CHECK: %[[DX:.*]] = weft.mul %[[TWICE]]
// CHECK: %[[DT:.*]] = weft.neg %[[DX]]
// CHECK: return %{{.*}}, %[[DX]], %[[DT]]
func.func @mse_of_both(%x: tensor<4x3xf32> {weft.name = "x", weft.gradient}, %t: tensor<4x3xf32> {weft.name = "t", weft.gradient}) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %l = weft.mse %x, %t : (tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// The sign of d, 0 at 0.
// CHECK-LABEL: func @l1_is_flat_at_its_corner(
// CHECK: %[[D:.*]] = weft.sub %arg0, %arg1
// CHECK: %[[UP:.*]] = weft.greater %[[D]]
// CHECK: %[[DOWN:.*]] = weft.less %[[D]]
// CHECK: %[[REST:.*]] = weft.where %[[DOWN]]
// CHECK: %[[DX:.*]] = weft.where %[[UP]], %{{.*}}, %[[REST]]
// CHECK: return %{{.*}}, %[[DX]]
func.func @l1_is_flat_at_its_corner(%x: tensor<4x3xf32> {weft.name = "x", weft.gradient}, %t: tensor<4x3xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %l = weft.l1 %x, %t {reduction = "sum"} : (tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// d inside, δ times its sign outside.
// CHECK-LABEL: func @huber_is_cut(
// CHECK: %[[D:.*]] = weft.sub %arg0, %arg1
// CHECK: %[[SIZE:.*]] = weft.abs %[[D]]
// CHECK: %[[NEAR:.*]] = weft.less_equal %[[SIZE]], %[[DELTA:[^ ]*]] :
// CHECK: %[[FAR:.*]] = weft.mul %{{.*}}, %[[DELTA]]
// CHECK: %[[DX:.*]] = weft.where %[[NEAR]], %[[D]], %[[FAR]]
// CHECK: return %{{.*}}, %[[DX]]
func.func @huber_is_cut(%x: tensor<4x3xf32> {weft.name = "x", weft.gradient}, %t: tensor<4x3xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %l = weft.huber %x, %t {delta = 0.5 : f64, reduction = "sum"} : (tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// σ(x) - t: no logarithm, no exponential that overflows.
// CHECK-LABEL: func @bce_is_a_sigmoid(
// CHECK: %[[P:.*]] = weft.sigmoid %arg0
// CHECK-NEXT: %[[DX:.*]] = weft.sub %[[P]], %arg1
// CHECK-NEXT: return %{{.*}}, %[[DX]]
func.func @bce_is_a_sigmoid(%x: tensor<4x3xf32> {weft.name = "x", weft.gradient}, %t: tensor<4x3xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %l = weft.bce_with_logits %x, %t {reduction = "sum"} : (tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// Where p = 0 its own gradient is 0, not a logarithm of 0. A batch mean divides by the rows.
// CHECK-LABEL: func @kl_div_without_mass(
// CHECK: %[[PART:.*]] = weft.constant dense<2.500000e-01>
// CHECK: %[[P:.*]] = weft.mul %arg1, %[[PART]]
// CHECK: %[[DX:.*]] = weft.neg %[[P]]
// CHECK: %[[MASS:.*]] = weft.greater %arg1
// CHECK: %[[DT:.*]] = weft.where %[[MASS]]
// CHECK: return %{{.*}}, %[[DX]], %[[DT]]
func.func @kl_div_without_mass(%x: tensor<4x3xf32> {weft.name = "x", weft.gradient}, %t: tensor<4x3xf32> {weft.name = "t", weft.gradient}) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %l = weft.kl_div %x, %t {reduction = "batchmean"} : (tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// One op beside the loss, with its attributes, so that later passes see the two together.
// CHECK-LABEL: func @cross_entropy_has_an_op_of_its_own(
// CHECK: %[[ONE:.*]] = weft.constant dense<1.000000e+00> : tensor<f32>
// CHECK: %[[DX:.*]] = weft.cross_entropy_grad %arg0, %arg1, %[[ONE]] {label_smoothing = 1.000000e-01 : f64}
// CHECK: return %{{.*}}, %[[DX]]
func.func @cross_entropy_has_an_op_of_its_own(%x: tensor<4x3xf32> {weft.name = "x", weft.gradient}, %t: tensor<4xi32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %l = weft.cross_entropy %x, %t {label_smoothing = 0.1 : f64} : (tensor<4x3xf32>, tensor<4xi32>) -> tensor<f32>
  return %l : tensor<f32>
}
