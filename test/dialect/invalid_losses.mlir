// What the verifiers refuse of losses: one function for each rule.
// RUN: weft-opt %s -split-input-file -verify-diagnostics

func.func @cross_entropy_has_a_class_axis(%z: tensor<f32>, %y: tensor<i32>) {
  // expected-error@+2 {{expected logits of rank 1 or more but got a scalar}}
  // expected-error@+1 {{failed to infer returned types}}
  %0 = weft.cross_entropy %z, %y : (tensor<f32>, tensor<i32>) -> tensor<f32>
  return
}

// -----

func.func @cross_entropy_has_a_label_for_each_row(%z: tensor<4x5xf32>, %y: tensor<5xi32>) {
  // expected-error@+2 {{expected labels of shape [4] but got [5]}}
  // expected-error@+1 {{failed to infer returned types}}
  %0 = weft.cross_entropy %z, %y : (tensor<4x5xf32>, tensor<5xi32>) -> tensor<f32>
  return
}

// -----

func.func @cross_entropy_has_a_weight_for_each_class(%z: tensor<4x5xf32>, %y: tensor<4xi32>, %w: tensor<4xf32>) {
  // expected-error@+2 {{expected class_weights 'tensor<5xf32>' but got 'tensor<4xf32>'}}
  // expected-error@+1 {{failed to infer returned types}}
  %0 = weft.cross_entropy %z, %y class_weights(%w) : (tensor<4x5xf32>, tensor<4xi32>, tensor<4xf32>) -> tensor<f32>
  return
}

// -----

func.func @cross_entropy_smooths_by_a_share(%z: tensor<4x5xf32>, %y: tensor<4xi32>) {
  // expected-error@+2 {{expected label_smoothing in [0, 1] but got}}
  // expected-error@+1 {{failed to infer returned types}}
  %0 = weft.cross_entropy %z, %y {label_smoothing = 1.5 : f64} : (tensor<4x5xf32>, tensor<4xi32>) -> tensor<f32>
  return
}

// -----

func.func @cross_entropy_reductions(%z: tensor<4x5xf32>, %y: tensor<4xi32>) {
  // expected-error@+2 {{expected reduction 'mean', 'sum' or 'none' but got 'batchmean'}}
  // expected-error@+1 {{failed to infer returned types}}
  %0 = weft.cross_entropy %z, %y {reduction = "batchmean"} : (tensor<4x5xf32>, tensor<4xi32>) -> tensor<f32>
  return
}

// -----

func.func @pos_weight_is_one_or_one_for_each_of_the_last_axis(%x: tensor<4x5xf32>, %w: tensor<4xf32>) {
  // expected-error@+2 {{expected pos_weight 'f32' of shape [] or [5] but got 'tensor<4xf32>'}}
  // expected-error@+1 {{failed to infer returned types}}
  %0 = weft.bce_with_logits %x, %x pos_weight(%w) : (tensor<4x5xf32>, tensor<4x5xf32>, tensor<4xf32>) -> tensor<f32>
  return
}

// -----

func.func @both_sides_of_a_loss_have_one_type(%x: tensor<4x5xf32>, %t: tensor<5xf32>) {
  // expected-error@+2 {{expected operands of one type but got 'tensor<4x5xf32>' and 'tensor<5xf32>'}}
  // expected-error@+1 {{failed to infer returned types}}
  %0 = weft.mse %x, %t : (tensor<4x5xf32>, tensor<5xf32>) -> tensor<f32>
  return
}

// -----

func.func @huber_has_a_positive_delta(%x: tensor<4x5xf32>) {
  // expected-error@+2 {{expected a delta above 0 but got}}
  // expected-error@+1 {{failed to infer returned types}}
  %0 = weft.huber %x, %x {delta = 0.0 : f64} : (tensor<4x5xf32>, tensor<4x5xf32>) -> tensor<f32>
  return
}

// -----

func.func @kl_div_reductions(%x: tensor<4x5xf32>) {
  // expected-error@+2 {{expected reduction 'mean', 'sum', 'none' or 'batchmean' but got 'max'}}
  // expected-error@+1 {{failed to infer returned types}}
  %0 = weft.kl_div %x, %x {reduction = "max"} : (tensor<4x5xf32>, tensor<4x5xf32>) -> tensor<f32>
  return
}

// -----

func.func @batchmean_has_a_batch(%x: tensor<f32>) {
  // expected-error@+2 {{expected a batch axis for reduction 'batchmean' but got a scalar}}
  // expected-error@+1 {{failed to infer returned types}}
  %0 = weft.kl_div %x, %x {reduction = "batchmean"} : (tensor<f32>, tensor<f32>) -> tensor<f32>
  return
}

// -----

func.func @a_reduced_loss_is_a_scalar(%x: tensor<4x5xf32>) {
  // expected-error@+2 {{inferred type(s) 'tensor<f32>' are incompatible with return type(s) of operation 'tensor<4x5xf32>'}}
  // expected-error@+1 {{failed to infer returned types}}
  %0 = weft.l1 %x, %x : (tensor<4x5xf32>, tensor<4x5xf32>) -> tensor<4x5xf32>
  return
}
