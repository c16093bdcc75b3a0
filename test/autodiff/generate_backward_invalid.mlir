// Every op that lacks a rule is named, with what its gradient is needed for.
// RUN: weft-opt %s --split-input-file --verify-diagnostics --weft-generate-backward

func.func @no_loss(%x: tensor<4xf32>) attributes {weft.mode = "grad"} { // expected-error {{expected a scalar loss as the first result}}
  return
}

// -----

weft.param @w : tensor<2x5x8xf32> {tensors = array<i32: 0>}

func.func @last() -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad", weft.gradient_tensors = array<i32: 0>, weft.gradient_names = ["w"]} {
  %w = weft.parameter @w : tensor<2x5x8xf32>
  // expected-error@+1 {{no gradient rule for 'weft.last_token', which the gradient of 'w' needs}}
  %y = weft.last_token %w : (tensor<2x5x8xf32>) -> tensor<2x1x8xf32>
  %l = weft.reduce_sum %y {axes = array<i64: 0, 1, 2>} : (tensor<2x1x8xf32>) -> tensor<f32>
  return %l : tensor<f32>
}
