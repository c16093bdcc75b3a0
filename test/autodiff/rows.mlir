// Gradients of reductions, softmax, norms and pools: statistics of a row are computed again from its operand.
// RUN: weft-opt %s --weft-generate-backward --canonicalize --cse | FileCheck %s
// G is the gradient of the result: the loss is its product with a given tensor.

// Every element of a row gets its gradient.
// CHECK-LABEL: func @sum_spreads(
// CHECK: weft.expand
// CHECK-NEXT: %[[G:.*]] = weft.mul %{{.*}}, %arg1
// CHECK: %[[ROW:.*]] = weft.reshape %[[G]] : tensor<4xf32> to tensor<4x1xf32>
// CHECK: %[[DX:.*]] = weft.expand %[[ROW]] : tensor<4x1xf32> to tensor<4x3xf32>
// CHECK: return %{{.*}}, %[[DX]]
func.func @sum_spreads(%x: tensor<4x3xf32> {weft.name = "x", weft.gradient}, %g: tensor<4xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.reduce_sum %x {axes = array<i64: 1>} : (tensor<4x3xf32>) -> tensor<4xf32>
  %w = weft.mul %y, %g : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %l = weft.reduce_sum %w {axes = array<i64: 0>} : (tensor<4xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// … divided by how many they are.
// CHECK-LABEL: func @mean_spreads_parts(
// CHECK: weft.expand
// CHECK-NEXT: %[[G:.*]] = weft.mul %{{.*}}, %arg1
// CHECK: %[[ROW:.*]] = weft.reshape %[[G]]
// CHECK: %[[PART:.*]] = weft.div %[[ROW]]
// CHECK: %[[DX:.*]] = weft.expand %[[PART]]
// CHECK: return %{{.*}}, %[[DX]]
func.func @mean_spreads_parts(%x: tensor<4x3xf32> {weft.name = "x", weft.gradient}, %g: tensor<4xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.reduce_mean %x {axes = array<i64: 1>} : (tensor<4x3xf32>) -> tensor<4xf32>
  %w = weft.mul %y, %g : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %l = weft.reduce_sum %w {axes = array<i64: 0>} : (tensor<4xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// The elements that equal the maximum share.
// CHECK-LABEL: func @ties_of_max_share(
// CHECK: weft.expand
// CHECK-NEXT: %[[G:.*]] = weft.mul %{{.*}}, %arg1
// CHECK: %[[HIT:.*]] = weft.equal %arg0
// CHECK: %[[ONES:.*]] = weft.cast %[[HIT]]
// CHECK: %[[COUNT:.*]] = weft.reduce_sum %[[ONES]] {axes = array<i64: 1>, keepdim}
// CHECK: %[[SHARE:.*]] = weft.div %{{.*}}, %[[COUNT]]
// CHECK: %[[DX:.*]] = weft.mul %[[ONES]], %[[SHARE]]
// CHECK: return %{{.*}}, %[[DX]]
func.func @ties_of_max_share(%x: tensor<4x3xf32> {weft.name = "x", weft.gradient}, %g: tensor<4xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.reduce_max %x {axes = array<i64: 1>} : (tensor<4x3xf32>) -> tensor<4xf32>
  %w = weft.mul %y, %g : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %l = weft.reduce_sum %w {axes = array<i64: 0>} : (tensor<4xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// 2 (x - μ) / (n - 1): with n = 3 the factor is 1.
// CHECK-LABEL: func @var_moves_from_the_mean(
// CHECK: weft.expand
// CHECK-NEXT: %[[G:.*]] = weft.mul %{{.*}}, %arg1
// CHECK: %[[MEAN:.*]] = weft.reduce_mean %arg0 {axes = array<i64: 1>, keepdim}
// CHECK: %[[D:.*]] = weft.sub %arg0, %[[MEAN]]
// CHECK: %[[DX:.*]] = weft.mul %{{.*}}, %[[D]]
// CHECK: return %{{.*}}, %[[DX]]
func.func @var_moves_from_the_mean(%x: tensor<4x3xf32> {weft.name = "x", weft.gradient}, %g: tensor<4xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.var %x {axes = array<i64: 1>, unbiased} : (tensor<4x3xf32>) -> tensor<4xf32>
  %w = weft.mul %y, %g : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %l = weft.reduce_sum %w {axes = array<i64: 0>} : (tensor<4xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// y (G - Σ G y), from the result.
// CHECK-LABEL: func @softmax_uses_its_result(
// CHECK: %[[Y:.*]] = weft.softmax %arg0
// CHECK: weft.expand
// CHECK-NEXT: %[[G:.*]] = weft.mul %{{.*}}, %arg1
// CHECK: %[[GY:.*]] = weft.mul %[[G]], %[[Y]]
// CHECK: %[[SUM:.*]] = weft.reduce_sum %[[GY]] {axes = array<i64: 1>, keepdim}
// CHECK: %[[D:.*]] = weft.sub %[[G]], %[[SUM]]
// CHECK: %[[DX:.*]] = weft.mul %[[Y]], %[[D]]
// CHECK: return %{{.*}}, %[[DX]]
func.func @softmax_uses_its_result(%x: tensor<4x3xf32> {weft.name = "x", weft.gradient}, %g: tensor<4x3xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.softmax %x {axis = 1 : i64} : tensor<4x3xf32>
  %w = weft.mul %y, %g : (tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<4x3xf32>
  %l = weft.reduce_sum %w {axes = array<i64: 0, 1>} : (tensor<4x3xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// G - eʸ Σ G: the probabilities come from the result.
// CHECK-LABEL: func @log_softmax_uses_its_result(
// CHECK: %[[Y:.*]] = weft.log_softmax %arg0
// CHECK: weft.expand
// CHECK-NEXT: %[[G:.*]] = weft.mul %{{.*}}, %arg1
// CHECK: %[[P:.*]] = weft.exp %[[Y]]
// CHECK: %[[SUM:.*]] = weft.reduce_sum %[[G]] {axes = array<i64: 1>, keepdim}
// CHECK: %[[PART:.*]] = weft.mul %[[P]], %[[SUM]]
// CHECK: %[[DX:.*]] = weft.sub %[[G]], %[[PART]]
// CHECK: return %{{.*}}, %[[DX]]
func.func @log_softmax_uses_its_result(%x: tensor<4x3xf32> {weft.name = "x", weft.gradient}, %g: tensor<4x3xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.log_softmax %x {axis = 1 : i64} : tensor<4x3xf32>
  %w = weft.mul %y, %g : (tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<4x3xf32>
  %l = weft.reduce_sum %w {axes = array<i64: 0, 1>} : (tensor<4x3xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// The bias gets Σ G, the weight Σ G x̂; x̂ is made once.
// CHECK-LABEL: func @layer_norm_shares_its_statistics(
// CHECK: weft.expand
// CHECK-NEXT: %[[G:.*]] = weft.mul %{{.*}}, %arg3
// CHECK: %[[MEAN:.*]] = weft.reduce_mean %arg0
// CHECK: %[[CENTRED:.*]] = weft.sub %arg0, %[[MEAN]]
// CHECK: %[[R:.*]] = weft.rsqrt
// CHECK-NOT: weft.rsqrt
// CHECK: %[[HAT:.*]] = weft.mul %[[CENTRED]], %[[R]]
// CHECK: %[[H:.*]] = weft.mul %[[G]], %arg1
// CHECK: weft.reduce_mean %[[H]]
// CHECK: %[[PRODUCT:.*]] = weft.mul %[[G]], %[[HAT]]
// CHECK: %[[DP:.*]] = weft.reduce_sum %[[PRODUCT]] {axes = array<i64: 0>}
// CHECK: %[[DB:.*]] = weft.reduce_sum %[[G]] {axes = array<i64: 0>}
// CHECK: return %{{.*}}, %{{.*}}, %[[DP]], %[[DB]]
func.func @layer_norm_shares_its_statistics(%x: tensor<4x3xf32> {weft.name = "x", weft.gradient}, %p: tensor<3xf32> {weft.name = "p", weft.gradient}, %b: tensor<3xf32> {weft.name = "b", weft.gradient}, %g: tensor<4x3xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.layer_norm %x weight(%p : tensor<3xf32>) bias(%b : tensor<3xf32>) {axis = 1 : i64, eps = 1.0e-5 : f64} : tensor<4x3xf32>
  %w = weft.mul %y, %g : (tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<4x3xf32>
  %l = weft.reduce_sum %w {axes = array<i64: 0, 1>} : (tensor<4x3xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// With a given x, nothing but the weight is worked for.
// CHECK-LABEL: func @rms_norm_of_a_given_operand(
// CHECK: weft.expand
// CHECK-NEXT: %[[G:.*]] = weft.mul %{{.*}}, %arg2
// CHECK: %[[R:.*]] = weft.rsqrt
// CHECK: %[[HAT:.*]] = weft.mul %arg0, %[[R]]
// CHECK: %[[PRODUCT:.*]] = weft.mul %[[G]], %[[HAT]]
// CHECK-NEXT: %[[DP:.*]] = weft.reduce_sum %[[PRODUCT]] {axes = array<i64: 0>}
// CHECK-NEXT: return %{{.*}}, %[[DP]]
func.func @rms_norm_of_a_given_operand(%x: tensor<4x3xf32>, %p: tensor<3xf32> {weft.name = "p", weft.gradient}, %g: tensor<4x3xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.rms_norm %x, %p {eps = 1.0e-5 : f64} : (tensor<4x3xf32>, tensor<3xf32>) -> tensor<4x3xf32>
  %w = weft.mul %y, %g : (tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<4x3xf32>
  %l = weft.reduce_sum %w {axes = array<i64: 0, 1>} : (tensor<4x3xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// Where eps is the divisor, the row moves nothing.
// CHECK-LABEL: func @l2_normalize_below_eps_is_linear(
// CHECK: weft.expand
// CHECK-NEXT: %[[G:.*]] = weft.mul %{{.*}}, %arg1
// CHECK: %[[NORM:.*]] = weft.sqrt
// CHECK: %[[LONG:.*]] = weft.greater %[[NORM]], %[[EPS:[^ ]*]] :
// CHECK: %[[SLOPE:.*]] = weft.where %[[LONG]]
// CHECK: %[[N:.*]] = weft.maximum %[[NORM]], %[[EPS]]
// CHECK: %[[DX:.*]] = weft.div %{{.*}}, %[[N]]
// CHECK: return %{{.*}}, %[[DX]]
func.func @l2_normalize_below_eps_is_linear(%x: tensor<4x3xf32> {weft.name = "x", weft.gradient}, %g: tensor<4x3xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.l2_normalize %x {axis = 1 : i64, eps = 1.0e-12 : f64} : tensor<4x3xf32>
  %w = weft.mul %y, %g : (tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<4x3xf32>
  %l = weft.reduce_sum %w {axes = array<i64: 0, 1>} : (tensor<4x3xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// Positions that count get their part, none where nothing counts.
// CHECK-LABEL: func @mean_pool_divides_by_what_counts(
// CHECK: weft.expand
// CHECK-NEXT: %[[G:.*]] = weft.mul %{{.*}}, %arg2
// CHECK: %[[ONES:.*]] = weft.cast %arg1
// CHECK: %[[M:.*]] = weft.reshape %[[ONES]] : tensor<2x5xf32> to tensor<2x5x1xf32>
// CHECK: %[[N:.*]] = weft.reduce_sum %[[M]] {axes = array<i64: 1>, keepdim}
// CHECK: %[[LEAST:.*]] = weft.maximum %[[N]]
// CHECK: %[[PART:.*]] = weft.div %{{.*}}, %[[LEAST]]
// CHECK: %[[DX:.*]] = weft.mul %[[M]], %[[PART]]
// CHECK: return %{{.*}}, %[[DX]]
func.func @mean_pool_divides_by_what_counts(%x: tensor<2x5x3xf32> {weft.name = "x", weft.gradient}, %m: tensor<2x5xi1>, %g: tensor<2x3xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.mean_pool %x mask(%m : tensor<2x5xi1>) : tensor<2x5x3xf32> to tensor<2x3xf32>
  %w = weft.mul %y, %g : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
  %l = weft.reduce_sum %w {axes = array<i64: 0, 1>} : (tensor<2x3xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// Equal positions share.
// CHECK-LABEL: func @ties_of_max_pool_share(
// CHECK: weft.expand
// CHECK-NEXT: %[[G:.*]] = weft.mul %{{.*}}, %arg1
// CHECK: %[[HIT:.*]] = weft.equal %arg0
// CHECK: %[[ONES:.*]] = weft.cast %[[HIT]]
// CHECK: %[[N:.*]] = weft.reduce_sum %[[ONES]] {axes = array<i64: 1>, keepdim}
// CHECK: %[[LEAST:.*]] = weft.maximum %[[N]]
// CHECK: %[[SHARE:.*]] = weft.div %{{.*}}, %[[LEAST]]
// CHECK: %[[DX:.*]] = weft.mul %[[ONES]], %[[SHARE]]
// CHECK: return %{{.*}}, %[[DX]]
func.func @ties_of_max_pool_share(%x: tensor<2x5x3xf32> {weft.name = "x", weft.gradient}, %g: tensor<2x3xf32>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "grad"} {
  %y = weft.max_pool %x : tensor<2x5x3xf32> to tensor<2x3xf32>
  %w = weft.mul %y, %g : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
  %l = weft.reduce_sum %w {axes = array<i64: 0, 1>} : (tensor<2x3xf32>) -> tensor<f32>
  return %l : tensor<f32>
}
