// Half precision: where sums are wider than what is summed, and the one number that a loss is scaled by.
// RUN: weft-opt %s -split-input-file -verify-diagnostics

func.func @only_half_precision_has_wider_sums(%x: tensor<2x2xf32>) {
  // expected-error@+2 {{expected operands of half precision with wide but got 'f32'}}
  // expected-error@+1 {{failed to infer returned types}}
  %0 = weft.matmul %x, %x {wide} : (tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<2x2xf32>
  return
}

// -----

func.func @a_loss_scale_is_one_number() {
  // expected-error@+1 {{expected an f32 scalar but got 'tensor<2xf32>'}}
  %0 = weft.loss_scale : tensor<2xf32>
  return
}

// -----

!h = tensor<2x5x8xbf16>
func.func @gradients_of_half_precision_are_f32(%q: !h, %lse: tensor<2x2x5xf32>) {
  // expected-error@+1 {{expected dq of type 'tensor<2x5x8xf32>' but got 'tensor<2x5x8xbf16>'}}
  %0:3 = weft.attention_grad %q, %q, %q, %q, %lse, %q {heads = 2 : i64, kv_heads = 2 : i64, scale = 0.5 : f64} : (!h, !h, !h, !h, tensor<2x2x5xf32>, !h) -> (!h, !h, !h)
  return
}
