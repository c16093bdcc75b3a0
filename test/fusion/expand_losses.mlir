// Losses become reductions and pointwise ops.
// RUN: weft-opt %s -split-input-file -weft-expand-losses -canonicalize -cse | FileCheck %s

// The row's maximum is taken off before the exponentials, and no table of log-probabilities is made.
// CHECK-LABEL: func @cross_entropy(
// CHECK-DAG: %[[ONE:.*]] = weft.constant dense<1.000000e+00> : tensor<f32>
// CHECK-DAG: %[[ZERO:.*]] = weft.constant dense<0.000000e+00> : tensor<f32>
// CHECK-DAG: %[[IGNORED:.*]] = weft.equal %arg1, %{{.*}} : (tensor<4xi32>, tensor<i32>) -> tensor<4xi1>
// CHECK-DAG: %[[SAFE:.*]] = weft.where %[[IGNORED]], %{{.*}}, %arg1 : (tensor<4xi1>, tensor<i32>, tensor<4xi32>) -> tensor<4xi32>
// CHECK-DAG: %[[MAX:.*]] = weft.reduce_max %arg0 {axes = array<i64: 1>, keepdim}
// CHECK: %[[SHIFTED:.*]] = weft.sub %arg0, %[[MAX]]
// CHECK: %[[EXP:.*]] = weft.exp %[[SHIFTED]]
// CHECK: %[[SUM:.*]] = weft.reduce_sum %[[EXP]] {axes = array<i64: 1>, keepdim}
// CHECK: %[[LOG:.*]] = weft.log %[[SUM]]
// CHECK: %[[PICKED:.*]] = weft.gather %arg0, %{{.*}} {axis = 1 : i64}
// CHECK: %[[LABEL:.*]] = weft.sub %[[PICKED]], %[[MAX]]
// CHECK: %[[NLL:.*]] = weft.sub %[[LOG]], %[[LABEL]]
// CHECK: %[[ROWS:.*]] = weft.reshape %[[NLL]] : tensor<4x1xf32> to tensor<4xf32>
// CHECK: %[[LOSSES:.*]] = weft.where %[[IGNORED]], %[[ZERO]], %[[ROWS]]
// CHECK-DAG: %[[TOTAL:.*]] = weft.reduce_sum %[[LOSSES]] {axes = array<i64: 0>}
// CHECK-DAG: %[[COUNTED:.*]] = weft.where %[[IGNORED]], %[[ZERO]], %[[ONE]]
// CHECK-DAG: %[[COUNT:.*]] = weft.reduce_sum %[[COUNTED]] {axes = array<i64: 0>}
// CHECK-DAG: %[[NONE:.*]] = weft.equal %[[COUNT]], %[[ZERO]]
// CHECK: %[[DIVISOR:.*]] = weft.where %[[NONE]], %[[ONE]], %[[COUNT]]
// CHECK: weft.div %[[TOTAL]], %[[DIVISOR]]
func.func @cross_entropy(%z: tensor<4x5xf32>, %y: tensor<4xi32>) -> tensor<f32> {
  %l = weft.cross_entropy %z, %y : (tensor<4x5xf32>, tensor<4xi32>) -> tensor<f32>
  return %l : tensor<f32>
}

// -----

// CHECK-LABEL: func @smoothing_takes_the_mean_over_the_classes(
// CHECK: weft.reduce_mean %{{.*}} {axes = array<i64: 1>, keepdim}
// CHECK-NOT: weft.reduce_mean
func.func @smoothing_takes_the_mean_over_the_classes(%z: tensor<4x5xf32>, %y: tensor<4xi32>) -> tensor<4xf32> {
  %l = weft.cross_entropy %z, %y {label_smoothing = 0.1 : f64, reduction = "none"} : (tensor<4x5xf32>, tensor<4xi32>) -> tensor<4xf32>
  return %l : tensor<4xf32>
}

// -----

// CHECK-LABEL: func @weights_of_labels_are_the_divisor(
// CHECK: %[[W:.*]] = weft.gather %{{.*}} : (tensor<1x5xf32>, tensor<4x1xi64>) -> tensor<4x1xf32>
// CHECK: %[[ROWS:.*]] = weft.reshape %[[W]] : tensor<4x1xf32> to tensor<4xf32>
// CHECK: %[[COUNTED:.*]] = weft.where %{{.*}}, %{{.*}}, %[[ROWS]]
// CHECK: weft.reduce_sum %[[COUNTED]]
func.func @weights_of_labels_are_the_divisor(%z: tensor<4x5xf32>, %y: tensor<4xi64>, %w: tensor<5xf32>) -> tensor<f32> {
  %l = weft.cross_entropy %z, %y class_weights(%w) : (tensor<4x5xf32>, tensor<4xi64>, tensor<5xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// -----

// Half precision is computed in f32 and rounded once.
// CHECK-LABEL: func @half_precision(
// CHECK: weft.cast %arg0 : tensor<4x5xbf16> to tensor<4x5xf32>
// CHECK: weft.reduce_mean %{{.*}} : (tensor<4x5xf32>) -> tensor<f32>
// CHECK: weft.cast %{{.*}} : tensor<f32> to tensor<bf16>
func.func @half_precision(%x: tensor<4x5xbf16>, %t: tensor<4x5xbf16>) -> tensor<bf16> {
  %l = weft.mse %x, %t : (tensor<4x5xbf16>, tensor<4x5xbf16>) -> tensor<bf16>
  return %l : tensor<bf16>
}

// -----

// A mean over dims that are at least 1 is a mean.
weft.dim @B min 1 max 64 hint 8 multiple_of 1
// CHECK-LABEL: func @never_empty(
// CHECK: weft.reduce_mean %{{.*}} {axes = array<i64: 0, 1>}
// CHECK-NOT: weft.div
func.func @never_empty(%x: tensor<?x5xf32, #weft.dims<"B">>, %t: tensor<?x5xf32, #weft.dims<"B">>) -> tensor<f32> {
  %l = weft.l1 %x, %t : (tensor<?x5xf32, #weft.dims<"B">>, tensor<?x5xf32, #weft.dims<"B">>) -> tensor<f32>
  return %l : tensor<f32>
}

// -----

// One over a dim that may be 0 divides by the number of elements, or by 1.
weft.dim @B min 0 max 64 hint 8 multiple_of 1
// CHECK-LABEL: func @maybe_empty(
// CHECK: %[[COUNT:.*]] = weft.size "B * 5" : tensor<f32>
// CHECK: %[[NONE:.*]] = weft.equal %[[COUNT]]
// CHECK: %[[DIVISOR:.*]] = weft.where %[[NONE]], %{{.*}}, %[[COUNT]]
// CHECK: weft.div %{{.*}}, %[[DIVISOR]]
func.func @maybe_empty(%x: tensor<?x5xf32, #weft.dims<"B">>, %t: tensor<?x5xf32, #weft.dims<"B">>) -> tensor<f32> {
  %l = weft.huber %x, %t : (tensor<?x5xf32, #weft.dims<"B">>, tensor<?x5xf32, #weft.dims<"B">>) -> tensor<f32>
  return %l : tensor<f32>
}

// -----

// CHECK-LABEL: func @batchmean_sums_what_is_not_the_batch(
// CHECK: %[[S:.*]] = weft.reduce_sum %{{.*}} {axes = array<i64: 1, 2>} : (tensor<4x5x6xf32>) -> tensor<4xf32>
// CHECK: weft.reduce_mean %[[S]] {axes = array<i64: 0>} : (tensor<4xf32>) -> tensor<f32>
func.func @batchmean_sums_what_is_not_the_batch(%q: tensor<4x5x6xf32>, %p: tensor<4x5x6xf32>) -> tensor<f32> {
  %l = weft.kl_div %q, %p {reduction = "batchmean"} : (tensor<4x5x6xf32>, tensor<4x5x6xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// -----

// CHECK-LABEL: func @bce_with_logits(
// CHECK: %[[N:.*]] = weft.neg %arg0
// CHECK: weft.softplus %[[N]]
// CHECK: weft.reduce_mean
func.func @bce_with_logits(%x: tensor<4xf32>, %t: tensor<4xf32>) -> tensor<f32> {
  %l = weft.bce_with_logits %x, %t : (tensor<4xf32>, tensor<4xf32>) -> tensor<f32>
  return %l : tensor<f32>
}
