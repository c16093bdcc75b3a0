// Gradients of pointwise ops: from the operand or the result, corners by comparison, broadcasts summed.
// RUN: weft-opt %s --weft-generate-backward --canonicalize --cse | FileCheck %s
// G is the gradient of the result: the loss is its product with a given tensor.

// y = tanh x: G (1 - y²), from the result.
// CHECK-LABEL: func @tanh_uses_its_result(
// CHECK: %[[Y:.*]] = weft.tanh %arg0
// CHECK: weft.expand
// CHECK-NEXT: %[[G:.*]] = weft.mul %{{.*}}, %arg1
// CHECK: %[[YY:.*]] = weft.mul %[[Y]], %[[Y]]
// CHECK: %[[D:.*]] = weft.sub %{{.*}}, %[[YY]]
// CHECK: %[[DX:.*]] = weft.mul %[[G]], %[[D]]
// CHECK: return %{{.*}}, %[[DX]]
func.func @tanh_uses_its_result(%x: tensor<4x3xf32> {weft.name = "x", weft.gradient}, %g: tensor<4x3xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.tanh %x : tensor<4x3xf32>
  %w = weft.mul %y, %g : (tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<4x3xf32>
  %l = weft.reduce_sum %w {axes = array<i64: 0, 1>} : (tensor<4x3xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// y = sin x: G cos x, from the operand.
// CHECK-LABEL: func @sin_uses_its_operand(
// CHECK: weft.expand
// CHECK-NEXT: %[[G:.*]] = weft.mul %{{.*}}, %arg1
// CHECK: %[[D:.*]] = weft.cos %arg0
// CHECK: %[[DX:.*]] = weft.mul %[[G]], %[[D]]
// CHECK: return %{{.*}}, %[[DX]]
func.func @sin_uses_its_operand(%x: tensor<4x3xf32> {weft.name = "x", weft.gradient}, %g: tensor<4x3xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.sin %x : tensor<4x3xf32>
  %w = weft.mul %y, %g : (tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<4x3xf32>
  %l = weft.reduce_sum %w {axes = array<i64: 0, 1>} : (tensor<4x3xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// At 0 nothing passes: only y > 0 does.
// CHECK-LABEL: func @relu_is_flat_at_its_corner(
// CHECK: %[[Y:.*]] = weft.relu %arg0
// CHECK: weft.expand
// CHECK-NEXT: %[[G:.*]] = weft.mul %{{.*}}, %arg1
// CHECK: %[[ON:.*]] = weft.greater %[[Y]]
// CHECK: %[[DX:.*]] = weft.where %[[ON]], %[[G]], %{{.*}}
// CHECK: return %{{.*}}, %[[DX]]
func.func @relu_is_flat_at_its_corner(%x: tensor<4x3xf32> {weft.name = "x", weft.gradient}, %g: tensor<4x3xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.relu %x : tensor<4x3xf32>
  %w = weft.mul %y, %g : (tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<4x3xf32>
  %l = weft.reduce_sum %w {axes = array<i64: 0, 1>} : (tensor<4x3xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// Both bounds pass.
// CHECK-LABEL: func @clamp_passes_at_its_bounds(
// CHECK: weft.expand
// CHECK-NEXT: %[[G:.*]] = weft.mul %{{.*}}, %arg1
// CHECK: %[[ABOVE:.*]] = weft.greater_equal %arg0
// CHECK: %[[LOW:.*]] = weft.where %[[ABOVE]], %[[G]]
// CHECK: %[[BELOW:.*]] = weft.less_equal %arg0
// CHECK: %[[DX:.*]] = weft.where %[[BELOW]], %[[LOW]]
// CHECK: return %{{.*}}, %[[DX]]
func.func @clamp_passes_at_its_bounds(%x: tensor<4x3xf32> {weft.name = "x", weft.gradient}, %g: tensor<4x3xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.clamp %x {low = -1.0 : f64, high = 2.0 : f64} : tensor<4x3xf32>
  %w = weft.mul %y, %g : (tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<4x3xf32>
  %l = weft.reduce_sum %w {axes = array<i64: 0, 1>} : (tensor<4x3xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// No mask is kept: the same site draws it again.
// CHECK-LABEL: func @dropout_draws_the_same_mask(
// CHECK: weft.expand
// CHECK-NEXT: %[[G:.*]] = weft.mul %{{.*}}, %arg1
// CHECK: %[[DX:.*]] = weft.dropout %[[G]] {p = 1.000000e-01 : f64, site = 7 : i64}
// CHECK: return %{{.*}}, %[[DX]]
func.func @dropout_draws_the_same_mask(%x: tensor<4x3xf32> {weft.name = "x", weft.gradient}, %g: tensor<4x3xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.dropout %x {p = 0.1 : f64, site = 7 : i64} : tensor<4x3xf32>
  %w = weft.mul %y, %g : (tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<4x3xf32>
  %l = weft.reduce_sum %w {axes = array<i64: 0, 1>} : (tensor<4x3xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// A gradient has its value's type.
// CHECK-LABEL: func @cast_casts_back(
// CHECK: weft.expand
// CHECK-NEXT: %[[G:.*]] = weft.mul %{{.*}}, %arg1
// CHECK: %[[DX:.*]] = weft.cast %[[G]] : tensor<4x3xf32> to tensor<4x3xbf16>
// CHECK: return %{{.*}}, %[[DX]]
func.func @cast_casts_back(%x: tensor<4x3xbf16> {weft.name = "x", weft.gradient}, %g: tensor<4x3xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.cast %x : tensor<4x3xbf16> to tensor<4x3xf32>
  %w = weft.mul %y, %g : (tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<4x3xf32>
  %l = weft.reduce_sum %w {axes = array<i64: 0, 1>} : (tensor<4x3xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// A row that every row of x meets gets the sum over them.
// CHECK-LABEL: func @broadcast_rows_are_summed(
// CHECK: weft.expand
// CHECK-NEXT: %[[G:.*]] = weft.mul %{{.*}}, %arg2
// CHECK: %[[DX:.*]] = weft.mul %[[G]], %arg1
// CHECK: %[[PRODUCT:.*]] = weft.mul %[[G]], %arg0
// CHECK: %[[DR:.*]] = weft.reduce_sum %[[PRODUCT]] {axes = array<i64: 0>}
// CHECK: return %{{.*}}, %[[DX]], %[[DR]]
func.func @broadcast_rows_are_summed(%x: tensor<4x3xf32> {weft.name = "x", weft.gradient}, %r: tensor<3xf32> {weft.name = "r", weft.gradient}, %g: tensor<4x3xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.mul %x, %r : (tensor<4x3xf32>, tensor<3xf32>) -> tensor<4x3xf32>
  %w = weft.mul %y, %g : (tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<4x3xf32>
  %l = weft.reduce_sum %w {axes = array<i64: 0, 1>} : (tensor<4x3xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// An axis of size 1 stays in the sum over it.
// CHECK-LABEL: func @broadcast_columns_are_summed(
// CHECK: weft.expand
// CHECK-NEXT: %[[G:.*]] = weft.mul %{{.*}}, %arg2
// CHECK: %[[MINUS:.*]] = weft.neg %[[G]]
// CHECK: %[[DC:.*]] = weft.reduce_sum %[[MINUS]] {axes = array<i64: 1>, keepdim}
// CHECK: return %{{.*}}, %[[G]], %[[DC]]
func.func @broadcast_columns_are_summed(%x: tensor<4x3xf32> {weft.name = "x", weft.gradient}, %c: tensor<4x1xf32> {weft.name = "c", weft.gradient}, %g: tensor<4x3xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.sub %x, %c : (tensor<4x3xf32>, tensor<4x1xf32>) -> tensor<4x3xf32>
  %w = weft.mul %y, %g : (tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<4x3xf32>
  %l = weft.reduce_sum %w {axes = array<i64: 0, 1>} : (tensor<4x3xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// Each side gets what was taken from it, the condition nothing.
// CHECK-LABEL: func @where_divides_by_its_condition(
// CHECK: weft.expand
// CHECK-NEXT: %[[G:.*]] = weft.mul %{{.*}}, %arg3
// CHECK: %[[DX:.*]] = weft.where %arg0, %[[G]], %[[ZERO:[^ ]*]] :
// CHECK: %[[DK:.*]] = weft.where %arg0, %[[ZERO]], %[[G]] :
// CHECK: return %{{.*}}, %[[DX]], %[[DK]]
func.func @where_divides_by_its_condition(%m: tensor<4x3xi1>, %x: tensor<4x3xf32> {weft.name = "x", weft.gradient}, %k: tensor<4x3xf32> {weft.name = "k", weft.gradient}, %g: tensor<4x3xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.where %m, %x, %k : (tensor<4x3xi1>, tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<4x3xf32>
  %w = weft.mul %y, %g : (tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<4x3xf32>
  %l = weft.reduce_sum %w {axes = array<i64: 0, 1>} : (tensor<4x3xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// Equal operands share.
// CHECK-LABEL: func @equal_operands_of_maximum_share(
// CHECK: weft.expand
// CHECK-NEXT: %[[G:.*]] = weft.mul %{{.*}}, %arg2
// CHECK: %[[MORE:.*]] = weft.greater %arg0, %arg1
// CHECK: %[[SAME:.*]] = weft.equal %arg0, %arg1
// CHECK: %[[HALF:.*]] = weft.mul %[[G]], %{{.*}}
// CHECK: %[[SHARE:.*]] = weft.where %[[SAME]], %[[HALF]]
// CHECK: %[[DX:.*]] = weft.where %[[MORE]], %[[G]], %[[SHARE]]
// CHECK: return %{{.*}}, %[[DX]]
func.func @equal_operands_of_maximum_share(%x: tensor<4x3xf32> {weft.name = "x", weft.gradient}, %k: tensor<4x3xf32>, %g: tensor<4x3xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.maximum %x, %k : (tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<4x3xf32>
  %w = weft.mul %y, %g : (tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<4x3xf32>
  %l = weft.reduce_sum %w {axes = array<i64: 0, 1>} : (tensor<4x3xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// An operand that is used twice gets the sum.
// CHECK-LABEL: func @uses_add_up(
// CHECK: weft.expand
// CHECK-NEXT: %[[G:.*]] = weft.mul %{{.*}}, %arg1
// CHECK: %[[ONE:.*]] = weft.mul %[[G]], %arg0
// CHECK: %[[DX:.*]] = weft.add %[[ONE]], %[[ONE]]
// CHECK: return %{{.*}}, %[[DX]]
func.func @uses_add_up(%x: tensor<4x3xf32> {weft.name = "x", weft.gradient}, %g: tensor<4x3xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.mul %x, %x : (tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<4x3xf32>
  %w = weft.mul %y, %g : (tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<4x3xf32>
  %l = weft.reduce_sum %w {axes = array<i64: 0, 1>} : (tensor<4x3xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// Of a power with a given exponent, only the base has a gradient: no logarithm.
// CHECK-LABEL: func @pow_of_a_given_exponent_takes_no_logarithm(
// CHECK: weft.expand
// CHECK-NEXT: %[[G:.*]] = weft.mul %{{.*}}, %arg2
// CHECK-NOT: weft.log
// CHECK: %[[ZERO:.*]] = weft.equal %arg1
// CHECK: %[[LESS:.*]] = weft.sub %arg1
// CHECK: %[[D:.*]] = weft.pow %arg0, %[[LESS]]
// CHECK: weft.where %[[ZERO]]
// CHECK-NOT: weft.log
// CHECK: return
func.func @pow_of_a_given_exponent_takes_no_logarithm(%x: tensor<4x3xf32> {weft.name = "x", weft.gradient}, %k: tensor<4x3xf32>, %g: tensor<4x3xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.pow %x, %k : (tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<4x3xf32>
  %w = weft.mul %y, %g : (tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<4x3xf32>
  %l = weft.reduce_sum %w {axes = array<i64: 0, 1>} : (tensor<4x3xf32>) -> tensor<f32>
  return %l : tensor<f32>
}
