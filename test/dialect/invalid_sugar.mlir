// What the verifiers refuse of ops that are short for others: one function for each rule.
// RUN: weft-opt %s -split-input-file -verify-diagnostics

func.func @linear_has_an_input_axis(%x: tensor<f32>, %w: tensor<5x4xf32>) {
  // expected-error@+2 {{expected x of rank 1 or more but got a scalar}}
  // expected-error@+1 {{failed to infer returned types}}
  %0 = weft.linear %x, %w : (tensor<f32>, tensor<5x4xf32>) -> tensor<5xf32>
  return
}

// -----

func.func @linear_weight_fits_the_input(%x: tensor<2x4xf32>, %w: tensor<5x3xf32>) {
  // expected-error@+2 {{expected a weight 'f32' [features, 4] but got 'tensor<5x3xf32>'}}
  // expected-error@+1 {{failed to infer returned types}}
  %0 = weft.linear %x, %w : (tensor<2x4xf32>, tensor<5x3xf32>) -> tensor<2x5xf32>
  return
}

// -----

func.func @linear_bias_fits_the_features(%x: tensor<2x4xf32>, %w: tensor<5x4xf32>, %b: tensor<4xf32>) {
  // expected-error@+2 {{expected a bias 'tensor<5xf32>' but got 'tensor<4xf32>'}}
  // expected-error@+1 {{failed to infer returned types}}
  %0 = weft.linear %x, %w bias(%b) : (tensor<2x4xf32>, tensor<5x4xf32>, tensor<4xf32>) -> tensor<2x5xf32>
  return
}

// -----

func.func @linear_knows_the_activation(%x: tensor<2x4xf32>, %w: tensor<5x4xf32>) {
  // expected-error@+2 {{expected activation relu, gelu, gelu_tanh, silu, tanh or sigmoid but got 'elu'}}
  // expected-error@+1 {{failed to infer returned types}}
  %0 = weft.linear %x, %w {activation = "elu"} : (tensor<2x4xf32>, tensor<5x4xf32>) -> tensor<2x5xf32>
  return
}

// -----

func.func @gates_have_one_element_type(%g: tensor<4xf32>, %u: tensor<4xf64>) {
  // expected-error@+2 {{expected one element type but got 'f32' and 'f64'}}
  // expected-error@+1 {{failed to infer returned types}}
  %0 = weft.swiglu %g, %u : (tensor<4xf32>, tensor<4xf64>) -> tensor<4xf32>
  return
}

// -----

func.func @gates_broadcast(%g: tensor<4xf32>, %u: tensor<3xf32>) {
  // expected-error@+2 {{expected shapes that broadcast but got [4] and [3]}}
  // expected-error@+1 {{failed to infer returned types}}
  %0 = weft.geglu %g, %u : (tensor<4xf32>, tensor<3xf32>) -> tensor<4xf32>
  return
}

// -----

func.func @masked_fill_takes_a_number(%x: tensor<4xf32>, %m: tensor<4xi1>, %v: tensor<4xf32>) {
  // expected-error@+2 {{expected a value 'tensor<f32>' but got 'tensor<4xf32>'}}
  // expected-error@+1 {{failed to infer returned types}}
  %0 = weft.masked_fill %x, %m, %v : (tensor<4xf32>, tensor<4xi1>, tensor<4xf32>) -> tensor<4xf32>
  return
}

// -----

func.func @flattened_axes_exist(%x: tensor<4x5xf32>) {
  // expected-error@+2 {{expected an axis in 0..1 but got 2}}
  // expected-error@+1 {{failed to infer returned types}}
  %0 = weft.flatten %x {start = 0 : i64, end = 2 : i64} : (tensor<4x5xf32>) -> tensor<20xf32>
  return
}

// -----

func.func @flattened_axes_are_in_order(%x: tensor<4x5xf32>) {
  // expected-error@+2 {{expected a start up to the end, 0, but got 1}}
  // expected-error@+1 {{failed to infer returned types}}
  %0 = weft.flatten %x {start = 1 : i64, end = 0 : i64} : (tensor<4x5xf32>) -> tensor<20xf32>
  return
}

// -----

func.func @selected_index_is_an_expression(%x: tensor<4x5xf32>) {
  // expected-error@+2 {{expected an expression of dims as index but got 'T -'}}
  // expected-error@+1 {{failed to infer returned types}}
  %0 = weft.select %x {axis = 0 : i64, index = "T -"} : (tensor<4x5xf32>) -> tensor<5xf32>
  return
}

// -----

func.func @selected_index_exists(%x: tensor<4x5xf32>) {
  // expected-error@+2 {{expected an index in 0..3 but got 4}}
  // expected-error@+1 {{failed to infer returned types}}
  %0 = weft.select %x {axis = 0 : i64, index = "4"} : (tensor<4x5xf32>) -> tensor<5xf32>
  return
}

// -----

func.func @selected_axis_exists(%x: tensor<4x5xf32>) {
  // expected-error@+2 {{expected an axis in 0..1 but got 2}}
  // expected-error@+1 {{failed to infer returned types}}
  %0 = weft.select %x {axis = 2 : i64, index = "0"} : (tensor<4x5xf32>) -> tensor<5xf32>
  return
}

// -----

func.func @squeezed_axis_exists(%x: tensor<1x5xf32>) {
  // expected-error@+2 {{expected an axis in 0..1 but got 2}}
  // expected-error@+1 {{failed to infer returned types}}
  %0 = weft.squeeze %x {axis = 2 : i64} : (tensor<1x5xf32>) -> tensor<5xf32>
  return
}

// -----

func.func @squeezed_axis_has_size_1(%x: tensor<4x5xf32>) {
  // expected-error@+2 {{expected an axis of size 1 but got 4}}
  // expected-error@+1 {{failed to infer returned types}}
  %0 = weft.squeeze %x {axis = 0 : i64} : (tensor<4x5xf32>) -> tensor<5xf32>
  return
}

// -----

func.func @a_new_axis_has_a_place_in_the_result(%x: tensor<4x5xf32>) {
  // expected-error@+2 {{expected an axis in 0..2 but got 3}}
  // expected-error@+1 {{failed to infer returned types}}
  %0 = weft.unsqueeze %x {axis = 3 : i64} : (tensor<4x5xf32>) -> tensor<4x5x1xf32>
  return
}

// -----

func.func @split_axis_exists(%x: tensor<4x5xf32>) {
  // expected-error@+1 {{expected an axis in 0..1 but got 2}}
  %0:2 = weft.split %x {axis = 2 : i64} : tensor<4x5xf32> to tensor<4x2xf32>, tensor<4x3xf32>
  return
}

// -----

func.func @split_parts_are_alike_outside_the_axis(%x: tensor<4x5xf32>) {
  // expected-error@+1 {{expected parts as 'tensor<4x5xf32>' outside axis 1 but got 'tensor<3x3xf32>'}}
  %0:2 = weft.split %x {axis = 1 : i64} : tensor<4x5xf32> to tensor<4x2xf32>, tensor<3x3xf32>
  return
}

// -----

func.func @split_parts_add_up(%x: tensor<4x5xf32>) {
  // expected-error@+1 {{expected parts of sizes that add up to 5 but got 4}}
  %0:2 = weft.split %x {axis = 1 : i64} : tensor<4x5xf32> to tensor<4x2xf32>, tensor<4x2xf32>
  return
}

// -----

func.func @position_axis_exists(%x: tensor<4x5xi32>) {
  // expected-error@+1 {{expected an axis in 0..1 but got 2}}
  %0 = weft.position_embedding %x {axis = 2 : i64} : tensor<4x5xi32> to tensor<5x8xf32>
  return
}

// -----

func.func @position_offset_is_an_expression(%x: tensor<4x5xi32>) {
  // expected-error@+1 {{expected an expression as offset but got '+'}}
  %0 = weft.position_embedding %x {axis = 1 : i64, offset = "+"} : tensor<4x5xi32> to tensor<5x8xf32>
  return
}

// -----

func.func @position_table_has_rows(%x: tensor<4x5xi32>, %w: tensor<8xf32>) {
  // expected-error@+1 {{expected a table of rank 2 of 'f32' but got 'tensor<8xf32>'}}
  %0 = weft.position_embedding %x table(%w : tensor<8xf32>) {axis = 1 : i64} : tensor<4x5xi32> to tensor<5x8xf32>
  return
}

// -----

func.func @a_position_has_a_vector(%x: tensor<4x5xi32>) {
  // expected-error@+1 {{expected a result of shape [5, 8] or [4, 5, 8] but got [4, 8]}}
  %0 = weft.position_embedding %x {axis = 1 : i64} : tensor<4x5xi32> to tensor<4x8xf32>
  return
}

// -----

func.func @positions_of_a_state_are_each_sequences(%x: tensor<4x5xi32>) {
  // expected-error@+1 {{expected a result of shape [4, 5, 8] but got [5, 8]}}
  %0 = weft.position_embedding %x {axis = 1 : i64, state = @kv} : tensor<4x5xi32> to tensor<5x8xf32>
  return
}

// -----

func.func @mha_of_rank_3(%x: tensor<2x3x4xf32>, %w: tensor<12x4xf32>, %o: tensor<4x4xf32>, %k: tensor<2x5x4xf32>) {
  // expected-error@+1 {{expected q of rank 3, and k and v as q but for their key count, but got [2, 3, 4], [2, 5, 4], [2, 3, 4]}}
  %0 = weft.mha %x, %k, %x in_proj(%w) out_proj(%o) {heads = 2 : i64, scale = 1.0 : f64} : (tensor<2x3x4xf32>, tensor<2x5x4xf32>, tensor<2x3x4xf32>, tensor<12x4xf32>, tensor<4x4xf32>) -> tensor<2x3x4xf32>
  return
}

// -----

func.func @mha_heads_divide_the_features(%x: tensor<2x3x4xf32>, %w: tensor<12x4xf32>, %o: tensor<4x4xf32>) {
  // expected-error@+1 {{expected heads that divide 4 but got 3}}
  %0 = weft.mha %x in_proj(%w) out_proj(%o) {heads = 3 : i64, scale = 1.0 : f64} : (tensor<2x3x4xf32>, tensor<12x4xf32>, tensor<4x4xf32>) -> tensor<2x3x4xf32>
  return
}

// -----

func.func @mha_in_proj_is_three_projections(%x: tensor<2x3x4xf32>, %w: tensor<12x4xf32>, %o: tensor<4x4xf32>) {
  // expected-error@+1 {{expected in_proj weight of shape [12, 4] but got [4, 4]}}
  %0 = weft.mha %x in_proj(%o) out_proj(%o) {heads = 2 : i64, scale = 1.0 : f64} : (tensor<2x3x4xf32>, tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<2x3x4xf32>
  return
}

// -----

func.func @mha_in_proj_bias(%x: tensor<2x3x4xf32>, %w: tensor<12x4xf32>, %o: tensor<4x4xf32>, %c: tensor<4xf32>) {
  // expected-error@+1 {{expected in_proj bias of shape [12] but got [4]}}
  %0 = weft.mha %x in_proj(%w, %c) out_proj(%o) {heads = 2 : i64, scale = 1.0 : f64} : (tensor<2x3x4xf32>, tensor<12x4xf32>, tensor<4xf32>, tensor<4x4xf32>) -> tensor<2x3x4xf32>
  return
}

// -----

func.func @mha_out_proj_is_square(%x: tensor<2x3x4xf32>, %w: tensor<12x4xf32>, %o: tensor<4x4xf32>) {
  // expected-error@+1 {{expected out_proj weight of shape [4, 4] but got [12, 4]}}
  %0 = weft.mha %x in_proj(%w) out_proj(%w) {heads = 2 : i64, scale = 1.0 : f64} : (tensor<2x3x4xf32>, tensor<12x4xf32>, tensor<12x4xf32>) -> tensor<2x3x4xf32>
  return
}

// -----

func.func @mha_out_proj_bias(%x: tensor<2x3x4xf32>, %w: tensor<12x4xf32>, %o: tensor<4x4xf32>, %c: tensor<12xf32>) {
  // expected-error@+1 {{expected out_proj bias of shape [4] but got [12]}}
  %0 = weft.mha %x in_proj(%w) out_proj(%o, %c) {heads = 2 : i64, scale = 1.0 : f64} : (tensor<2x3x4xf32>, tensor<12x4xf32>, tensor<4x4xf32>, tensor<12xf32>) -> tensor<2x3x4xf32>
  return
}

// -----

func.func @mha_result_is_as_its_input(%x: tensor<2x3x4xf32>, %w: tensor<12x4xf32>, %o: tensor<4x4xf32>) {
  // expected-error@+1 {{expected a result as q, 'tensor<2x3x4xf32>', but got 'tensor<2x3x8xf32>'}}
  %0 = weft.mha %x in_proj(%w) out_proj(%o) {heads = 2 : i64, scale = 1.0 : f64} : (tensor<2x3x4xf32>, tensor<12x4xf32>, tensor<4x4xf32>) -> tensor<2x3x8xf32>
  return
}

// -----

func.func @mha_masks_follow_the_rules_of_attention(%x: tensor<2x3x4xf32>, %w: tensor<12x4xf32>, %o: tensor<4x4xf32>, %m: tensor<2x4xi1>) {
  // expected-error@+1 {{expected key_mask of shape [2, 3] but got [2, 4]}}
  %0 = weft.mha %x in_proj(%w) out_proj(%o) key_mask(%m) {heads = 2 : i64, scale = 1.0 : f64} : (tensor<2x3x4xf32>, tensor<12x4xf32>, tensor<4x4xf32>, tensor<2x4xi1>) -> tensor<2x3x4xf32>
  return
}
