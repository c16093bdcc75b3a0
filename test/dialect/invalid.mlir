// What the verifiers refuse: one function for each rule.
// RUN: weft-opt %s -split-input-file -verify-diagnostics

//===-- #weft.dims ---------------------------------------------------------------------------------------------------===//

// expected-error@+1 {{expected 2 dims in #weft.dims, one for each '?', but got 1}}
func.func private @one_dim_for_each_axis(tensor<?x?xf32, #weft.dims<"B">>)

// -----

// expected-error@+1 {{expected an expression of dims but got 'B +'}}
func.func private @dims_are_expressions(tensor<?xf32, #weft.dims<"B +">>)

// -----

// expected-error@+1 {{expected a static size instead of the constant dim '4'}}
func.func private @constants_are_static(tensor<?xf32, #weft.dims<"4">>)

// -----

// expected-error@+1 {{expected the canonical text 'T * 2' but got '2 * T'}}
func.func private @dims_are_canonical(tensor<?xf32, #weft.dims<"2 * T">>)

// -----

//===-- declarations -------------------------------------------------------------------------------------------------===//

// expected-error@+1 {{expected 0 <= min <= hint <= max and multiple_of >= 1 but got 1, 9, 8, 1}}
weft.dim @hint_in_range min 1 max 8 hint 9 multiple_of 1

// -----

// expected-error@+1 {{expected at least one tensor}}
weft.param @a_param_has_tensors : tensor<4xf32> {tensors = array<i32>}

// -----

// expected-error@+1 {{expected a static shape but got}}
weft.param @params_are_static : tensor<?xf32, #weft.dims<"B">> {tensors = array<i32: 0>}

// -----

// expected-error@+1 {{expected layers, kv_heads, head_dim and capacity of at least 1 but got 0}}
weft.state @a_state_holds_something layers 1 kv_heads 0 head_dim 8 capacity 512 : f32

// -----

// expected-error@+1 {{expected a float element type but got 'i32'}}
weft.state @a_state_holds_floats layers 1 kv_heads 2 head_dim 8 capacity 512 : i32

// -----

func.func @params_are_declared() {
  // expected-error@+1 {{expected a declared param but got 'w'}}
  %0 = weft.parameter @w : tensor<4xf32>
  return
}

// -----

weft.param @w : tensor<4xf32> {tensors = array<i32: 0>}
func.func @params_have_one_type() {
  // expected-error@+1 {{expected type 'tensor<4xf32>' but got 'tensor<5xf32>'}}
  %0 = weft.parameter @w : tensor<5xf32>
  return
}

// -----

weft.param @"h.{i}.w" : tensor<4xf32> {tensors = array<i32: 0, 1>}
func.func @one_index_for_each_name() {
  // expected-error@+1 {{expected one index for each name in braces in 'h.{i}.w' but got 0}}
  %0 = weft.parameter @"h.{i}.w" : tensor<4xf32>
  return
}

// -----

//===-- pointwise ----------------------------------------------------------------------------------------------------===//

func.func @shapes_broadcast(%x: tensor<4xf32>, %y: tensor<5xf32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{expected shapes that broadcast but got [4] and [5]}}
  %0 = weft.add %x, %y : (tensor<4xf32>, tensor<5xf32>) -> tensor<4xf32>
  return
}

// -----

// A dim equals only itself.
func.func @dims_do_not_broadcast(%x: tensor<?xf32, #weft.dims<"B">>, %y: tensor<?xf32, #weft.dims<"T">>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{expected shapes that broadcast but got [B] and [T]}}
  %0 = weft.add %x, %y : (tensor<?xf32, #weft.dims<"B">>, tensor<?xf32, #weft.dims<"T">>) -> tensor<?xf32, #weft.dims<"B">>
  return
}

// -----

func.func @one_element_type(%x: tensor<4xf32>, %y: tensor<4xi32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{expected one element type but got 'f32' and 'i32'}}
  %0 = weft.equal %x, %y : (tensor<4xf32>, tensor<4xi32>) -> tensor<4xi1>
  return
}

// -----

func.func @results_are_inferred(%x: tensor<4xf32>, %y: tensor<4xf32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{are incompatible with return type(s)}}
  %0 = weft.mul %x, %y : (tensor<4xf32>, tensor<4xf32>) -> tensor<5xf32>
  return
}

// -----

func.func @where_chooses_of_one_type(%c: tensor<4xi1>, %x: tensor<4xf32>, %y: tensor<4xi32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{expected one element type but got 'f32' and 'i32'}}
  %0 = weft.where %c, %x, %y : (tensor<4xi1>, tensor<4xf32>, tensor<4xi32>) -> tensor<4xf32>
  return
}

// -----

func.func @dropout_probability(%x: tensor<4xf32>) {
  // expected-error@+1 {{expected p in [0, 1) but got 1}}
  %0 = weft.dropout %x {p = 1.0 : f64} : tensor<4xf32>
  return
}

// -----

func.func @cast_keeps_the_shape(%x: tensor<4xf32>) {
  // expected-error@+1 {{expected shape [4] but got [5]}}
  %0 = weft.cast %x : tensor<4xf32> to tensor<5xi32>
  return
}

// -----

//===-- rows ---------------------------------------------------------------------------------------------------------===//

func.func @reduced_axes_exist(%x: tensor<4x5xf32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{expected an axis in 0..1 but got 2}}
  %0 = weft.reduce_sum %x {axes = array<i64: 2>} : (tensor<4x5xf32>) -> tensor<4xf32>
  return
}

// -----

func.func @reduced_axes_are_distinct(%x: tensor<4x5xf32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{expected distinct axes but got 1 twice}}
  %0 = weft.reduce_sum %x {axes = array<i64: 1, 1>} : (tensor<4x5xf32>) -> tensor<4xf32>
  return
}

// -----

func.func @softmax_axis_exists(%x: tensor<4x5xf32>) {
  // expected-error@+1 {{expected an axis in 0..1 but got 2}}
  %0 = weft.softmax %x {axis = 2 : i64} : tensor<4x5xf32>
  return
}

// -----

func.func @layer_norm_axis_exists(%x: tensor<4x5xf32>) {
  // expected-error@+1 {{expected an axis in 0..1 but got 2}}
  %0 = weft.layer_norm %x {axis = 2 : i64, eps = 1.0e-5 : f64} : tensor<4x5xf32>
  return
}

// -----

func.func @layer_norm_parameters(%x: tensor<4x5xf32>, %g: tensor<4xf32>) {
  // expected-error@+1 {{expected a parameter of shape [5] but got [4]}}
  %0 = weft.layer_norm %x weight(%g : tensor<4xf32>) {axis = 1 : i64, eps = 1.0e-5 : f64} : tensor<4x5xf32>
  return
}

// -----

func.func @rms_norm_weight(%x: tensor<4x5xf32>, %g: tensor<4xf32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{expected a weight with the size of the last axis but got [4]}}
  %0 = weft.rms_norm %x, %g {eps = 1.0e-5 : f64} : (tensor<4x5xf32>, tensor<4xf32>) -> tensor<4x5xf32>
  return
}

// -----

func.func @pool_rank(%x: tensor<4x5xf32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{expected x of rank 3 but got rank 2}}
  %0 = weft.mean_pool %x : tensor<4x5xf32> to tensor<4xf32>
  return
}

// -----

func.func @pool_mask(%x: tensor<4x5x6xf32>, %m: tensor<4x6xi1>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{expected a mask of shape [4, 5] but got [4, 6]}}
  %0 = weft.max_pool %x mask(%m : tensor<4x6xi1>) : tensor<4x5x6xf32> to tensor<4x6xf32>
  return
}

// -----

//===-- shapes -------------------------------------------------------------------------------------------------------===//

func.func @concat_sizes(%x: tensor<4x5xf32>, %y: tensor<4x6xf32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{expected shapes equal outside axis 0 but got [4, 5] and [4, 6]}}
  %0 = weft.concat %x, %y {axis = 0 : i64} : (tensor<4x5xf32>, tensor<4x6xf32>) -> tensor<8x5xf32>
  return
}

// -----

func.func @concat_of_something() {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{expected at least one operand}}
  %0 = weft.concat {axis = 0 : i64} : () -> tensor<8x5xf32>
  return
}

// -----

func.func @concat_element_type(%x: tensor<4xf32>, %y: tensor<4xi32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{expected one element type but got 'f32' and 'i32'}}
  %0 = weft.concat %x, %y {axis = 0 : i64} : (tensor<4xf32>, tensor<4xi32>) -> tensor<8xf32>
  return
}

// -----

func.func @expand_broadcasts(%x: tensor<4xf32>) {
  // expected-error@+1 {{expected a shape that broadcasts to [3] but got [4]}}
  %0 = weft.expand %x : tensor<4xf32> to tensor<3xf32>
  return
}

// -----

func.func @gather_ranks(%x: tensor<4x5xf32>, %i: tensor<4xi32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{expected an index of rank 2 but got rank 1}}
  %0 = weft.gather %x, %i {axis = 1 : i64} : (tensor<4x5xf32>, tensor<4xi32>) -> tensor<4x5xf32>
  return
}

// -----

func.func @gather_shapes(%x: tensor<4x5xf32>, %i: tensor<3x2xi32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{expected shapes that broadcast outside axis 1 but got [4, 1] and [3, 1]}}
  %0 = weft.gather %x, %i {axis = 1 : i64} : (tensor<4x5xf32>, tensor<3x2xi32>) -> tensor<4x2xf32>
  return
}

// -----

func.func @iota_rank() {
  // expected-error@+1 {{expected a numeric result of rank 1}}
  %0 = weft.iota : tensor<4x5xi32>
  return
}

// -----

func.func @reshape_keeps_the_count(%x: tensor<?x4xf32, #weft.dims<"B">>) {
  // expected-error@+1 {{expected B * 4 elements but got B * 5}}
  %0 = weft.reshape %x : tensor<?x4xf32, #weft.dims<"B">> to tensor<?x5xf32, #weft.dims<"B">>
  return
}

// -----

func.func @reshape_keeps_the_type(%x: tensor<4xf32>) {
  // expected-error@+1 {{expected element type 'f32' but got 'i32'}}
  %0 = weft.reshape %x : tensor<4xf32> to tensor<4xi32>
  return
}

// -----

func.func @slice_step(%x: tensor<4xf32>) {
  // expected-error@+1 {{expected a step of at least 1 but got 0}}
  %0 = weft.slice %x {axis = 0 : i64, start = "0", step = 0 : i64} : tensor<4xf32> to tensor<4xf32>
  return
}

// -----

func.func @slice_start(%x: tensor<4xf32>) {
  // expected-error@+1 {{expected an expression of dims as start but got 'T -'}}
  %0 = weft.slice %x {axis = 0 : i64, start = "T -", step = 1 : i64} : tensor<4xf32> to tensor<1xf32>
  return
}

// -----

func.func @slice_lies_inside(%x: tensor<4xf32>) {
  // expected-error@+1 {{expected elements inside 0..4 but got start 2, step 2, size 2}}
  %0 = weft.slice %x {axis = 0 : i64, start = "2", step = 2 : i64} : tensor<4xf32> to tensor<2xf32>
  return
}

// -----

func.func @slice_keeps_other_axes(%x: tensor<4x5xf32>) {
  // expected-error@+1 {{expected shapes equal outside axis 0 but got [4, 5] and [2, 4]}}
  %0 = weft.slice %x {axis = 0 : i64, start = "0", step = 1 : i64} : tensor<4x5xf32> to tensor<2x4xf32>
  return
}

// -----

func.func @transpose_permutes(%x: tensor<4x5xf32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{expected a permutation but got axis 0 twice}}
  %0 = weft.transpose %x {perm = array<i64: 0, 0>} : (tensor<4x5xf32>) -> tensor<4x4xf32>
  return
}

// -----

func.func @transpose_rank(%x: tensor<4x5xf32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{expected a permutation of 2 axes but got 1}}
  %0 = weft.transpose %x {perm = array<i64: 0>} : (tensor<4x5xf32>) -> tensor<4xf32>
  return
}

// -----

//===-- embeddings, positions, products --------------------------------------------------------------------------------===//

func.func @table_rank(%i: tensor<4xi32>, %t: tensor<5xf32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{expected a table of rank 2 but got rank 1}}
  %0 = weft.embedding %i, %t : (tensor<4xi32>, tensor<5xf32>) -> tensor<4xf32>
  return
}

// -----

func.func @positions_offset() {
  // expected-error@+1 {{expected an expression as offset but got '+'}}
  %0 = weft.positions {offset = "+"} : tensor<4xi32>
  return
}

// -----

func.func @positions_rank() {
  // expected-error@+1 {{expected a result of rank 1 but got rank 2}}
  %0 = weft.positions {offset = "0"} : tensor<4x4xi32>
  return
}

// -----

func.func @sinusoid_features(%p: tensor<4xi32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{expected at least one feature but got 0}}
  %0 = weft.sinusoid %p {features = 0 : i64, base = 1.0e4 : f64, element_type = f32} : (tensor<4xi32>) -> tensor<4x0xf32>
  return
}

// -----

func.func @rope_shape(%x: tensor<4x8xf32>, %p: tensor<4xi32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{expected x of shape [B, T, features] but got [4, 8]}}
  %0 = weft.rope %x, %p {heads = 2 : i64, theta = 1.0e4 : f64, rotary_dim = 4 : i64} : (tensor<4x8xf32>, tensor<4xi32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @rope_heads(%x: tensor<1x4x8xf32>, %p: tensor<4xi32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{expected heads that divide 8 but got 3}}
  %0 = weft.rope %x, %p {heads = 3 : i64, theta = 1.0e4 : f64, rotary_dim = 2 : i64} : (tensor<1x4x8xf32>, tensor<4xi32>) -> tensor<1x4x8xf32>
  return
}

// -----

func.func @rope_rotary_dim(%x: tensor<1x4x8xf32>, %p: tensor<4xi32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{expected an even rotary_dim in 2..4 but got 3}}
  %0 = weft.rope %x, %p {heads = 2 : i64, theta = 1.0e4 : f64, rotary_dim = 3 : i64} : (tensor<1x4x8xf32>, tensor<4xi32>) -> tensor<1x4x8xf32>
  return
}

// -----

func.func @rope_positions(%x: tensor<1x4x8xf32>, %p: tensor<5xi32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{expected positions of shape [4] or [1, 4] but got [5]}}
  %0 = weft.rope %x, %p {heads = 2 : i64, theta = 1.0e4 : f64, rotary_dim = 4 : i64} : (tensor<1x4x8xf32>, tensor<5xi32>) -> tensor<1x4x8xf32>
  return
}

// -----

func.func @causal_mask_rank() {
  // expected-error@+1 {{expected a result of rank 2 but got rank 1}}
  %0 = weft.causal_mask : tensor<4xi1>
  return
}

// -----

func.func @matmul_inner_size(%a: tensor<4x5xf32>, %b: tensor<4x5xf32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{expected one inner size but got 5 and 4}}
  %0 = weft.matmul %a, %b : (tensor<4x5xf32>, tensor<4x5xf32>) -> tensor<4x5xf32>
  return
}

// -----

func.func @matmul_ranks(%a: tensor<4x5xf32>, %b: tensor<5xf32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{expected operands of rank 2 or more but got ranks 2 and 1}}
  %0 = weft.matmul %a, %b : (tensor<4x5xf32>, tensor<5xf32>) -> tensor<4xf32>
  return
}

// -----

func.func @matmul_batches(%a: tensor<2x4x5xf32>, %b: tensor<3x5x4xf32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{expected leading axes that broadcast but got}}
  %0 = weft.matmul %a, %b : (tensor<2x4x5xf32>, tensor<3x5x4xf32>) -> tensor<2x4x4xf32>
  return
}

// -----

func.func @einsum_terms(%a: tensor<4x5xf32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{expected one term for each of one or two operands and '->' but got 'ij,jk->ik'}}
  %0 = weft.einsum %a {equation = "ij,jk->ik"} : (tensor<4x5xf32>) -> tensor<4x5xf32>
  return
}

// -----

func.func @einsum_letters(%a: tensor<4x5xf32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{expected 2 letters in 'ijk' for shape [4, 5]}}
  %0 = weft.einsum %a {equation = "ijk->ik"} : (tensor<4x5xf32>) -> tensor<4x5xf32>
  return
}

// -----

func.func @einsum_sizes(%a: tensor<4x5xf32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{expected one size for 'i' but got 4 and 5}}
  %0 = weft.einsum %a {equation = "ii->i"} : (tensor<4x5xf32>) -> tensor<4xf32>
  return
}

// -----

func.func @einsum_result(%a: tensor<4x5xf32>) {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{expected result letters of the operands, each once, but got 'ik'}}
  %0 = weft.einsum %a {equation = "ij->ik"} : (tensor<4x5xf32>) -> tensor<4x5xf32>
  return
}

// -----

//===-- attention ------------------------------------------------------------------------------------------------------===//

func.func @attention_ranks(%q: tensor<4x8xf32>) {
  // expected-error@+1 {{expected q, k, v of rank 3 but got}}
  %0 = weft.attention %q, %q, %q {heads = 2 : i64, kv_heads = 2 : i64, scale = 1.0 : f64} : (tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  return
}

// -----

!q = tensor<1x4x8xf32>
func.func @attention_groups(%q: !q) {
  // expected-error@+1 {{expected kv_heads that divide heads = 4 but got 3}}
  %0 = weft.attention %q, %q, %q {heads = 4 : i64, kv_heads = 3 : i64, scale = 1.0 : f64} : (!q, !q, !q) -> !q
  return
}

// -----

!q = tensor<1x4x8xf32>
func.func @attention_features(%q: !q) {
  // expected-error@+1 {{expected feature counts divisible by heads = 3}}
  %0 = weft.attention %q, %q, %q {heads = 3 : i64, kv_heads = 3 : i64, scale = 1.0 : f64} : (!q, !q, !q) -> !q
  return
}

// -----

!q = tensor<1x4x8xf32>
func.func @attention_head_size(%q: !q) {
  // expected-error@+1 {{expected k heads of size 2 but got 4}}
  %0 = weft.attention %q, %q, %q {heads = 4 : i64, kv_heads = 2 : i64, scale = 1.0 : f64} : (!q, !q, !q) -> !q
  return
}

// -----

!q = tensor<1x4x8xf32>
func.func @attention_batch(%q: !q, %k: tensor<2x4x8xf32>) {
  // expected-error@+1 {{expected one batch and one key count}}
  %0 = weft.attention %q, %k, %q {heads = 2 : i64, kv_heads = 2 : i64, scale = 1.0 : f64} : (!q, tensor<2x4x8xf32>, !q) -> !q
  return
}

// -----

!q = tensor<1x4x8xf32>
func.func @attention_result(%q: !q, %v: tensor<1x4x16xf32>) {
  // expected-error@+1 {{expected result shape [1, 4, 16] but got [1, 4, 8]}}
  %0 = weft.attention %q, %q, %v {heads = 2 : i64, kv_heads = 2 : i64, scale = 1.0 : f64} : (!q, !q, tensor<1x4x16xf32>) -> !q
  return
}

// -----

!q = tensor<1x4x8xf32>
func.func @attention_key_mask(%q: !q, %m: tensor<1x5xi1>) {
  // expected-error@+1 {{expected key_mask of shape [1, 4] but got [1, 5]}}
  %0 = weft.attention %q, %q, %q key_mask(%m) {heads = 2 : i64, kv_heads = 2 : i64, scale = 1.0 : f64} : (!q, !q, !q, tensor<1x5xi1>) -> !q
  return
}

// -----

!q = tensor<1x4x8xf32>
func.func @attention_mask(%q: !q, %m: tensor<3x4xi1>) {
  // expected-error@+1 {{expected a mask or bias that broadcasts to [1, 2, 4, 4] but got [3, 4]}}
  %0 = weft.attention %q, %q, %q mask(%m) {heads = 2 : i64, kv_heads = 2 : i64, scale = 1.0 : f64} : (!q, !q, !q, tensor<3x4xi1>) -> !q
  return
}

// -----

!q = tensor<1x4x8xf32>
func.func @attention_window(%q: !q) {
  // expected-error@+1 {{expected a positive window together with causal}}
  %0 = weft.attention %q, %q, %q {heads = 2 : i64, kv_heads = 2 : i64, scale = 1.0 : f64, window = 4 : i64} : (!q, !q, !q) -> !q
  return
}

// -----

!q = tensor<1x4x8xf32>
func.func @attention_cache_layer(%q: !q) {
  // expected-error@+1 {{expected cache and layer together}}
  %0 = weft.attention %q, %q, %q {heads = 2 : i64, kv_heads = 2 : i64, scale = 1.0 : f64, cache = @kv} : (!q, !q, !q) -> !q
  return
}

// -----

!q = tensor<1x4x8xf32>
func.func @attention_cache_masks(%q: !q, %m: tensor<4x4xi1>) {
  // expected-error@+1 {{expected no key_mask, mask or bias with a cache}}
  %0 = weft.attention %q, %q, %q mask(%m) {heads = 2 : i64, kv_heads = 2 : i64, scale = 1.0 : f64, cache = @kv, layer = "0"} : (!q, !q, !q, tensor<4x4xi1>) -> !q
  return
}

// -----

!q = tensor<1x4x8xf32>
func.func @attention_map(%q: !q) {
  // expected-error@+1 {{expected a map result exactly when weights are asked for}}
  %0 = weft.attention %q, %q, %q {heads = 2 : i64, kv_heads = 2 : i64, scale = 1.0 : f64, weights = "mean"} : (!q, !q, !q) -> !q
  return
}

// -----

!q = tensor<1x4x8xf32>
func.func @attention_weights(%q: !q) {
  // expected-error@+1 {{expected weights 'per_head' or 'mean' but got 'sum'}}
  %0, %1 = weft.attention %q, %q, %q {heads = 2 : i64, kv_heads = 2 : i64, scale = 1.0 : f64, weights = "sum"} : (!q, !q, !q) -> (!q, tensor<1x4x4xf32>)
  return
}

// -----

!q = tensor<1x4x8xf32>
func.func @attention_map_shape(%q: !q) {
  // expected-error@+1 {{expected a map of shape [1, 2, 4, 4] but got [1, 4, 4]}}
  %0, %1 = weft.attention %q, %q, %q {heads = 2 : i64, kv_heads = 2 : i64, scale = 1.0 : f64, weights = "per_head"} : (!q, !q, !q) -> (!q, tensor<1x4x4xf32>)
  return
}

// -----

//===-- structure and fused ops --------------------------------------------------------------------------------------===//

func.func @repeat_count(%x: tensor<4xf32>) {
  // expected-error@+1 {{expected a count of at least 1 but got 0}}
  %0 = weft.repeat 0 "i"(%x) : (tensor<4xf32>) -> tensor<4xf32> {
  ^bb0(%i: index, %h: tensor<4xf32>):
    weft.yield %h : tensor<4xf32>
  }
  return
}

// -----

func.func @repeat_arguments(%x: tensor<4xf32>) {
  // expected-error@+1 {{expected block arguments (index, carried values)}}
  %0 = weft.repeat 2 "i"(%x) : (tensor<4xf32>) -> tensor<4xf32> {
  ^bb0(%h: tensor<4xf32>):
    weft.yield %h : tensor<4xf32>
  }
  return
}

// -----

func.func @repeat_carries_one_type(%x: tensor<4xf32>) {
  // expected-error@+1 {{expected carried type 'tensor<4xf32>' but got 'tensor<5xf32>'}}
  %0 = weft.repeat 2 "i"(%x) : (tensor<4xf32>) -> tensor<4xf32> {
  ^bb0(%i: index, %h: tensor<5xf32>):
    weft.yield %h : tensor<5xf32>
  }
  return
}

// -----

func.func @repeat_yields_the_carried(%x: tensor<4xf32>, %z: tensor<5xf32>) {
  // expected-error@+1 {{expected to yield the carried types}}
  %0 = weft.repeat 2 "i"(%x) : (tensor<4xf32>) -> tensor<4xf32> {
  ^bb0(%i: index, %h: tensor<4xf32>):
    weft.yield %z : tensor<5xf32>
  }
  return
}

// -----

func.func @repeat_yields_each_result(%x: tensor<4xf32>) {
  // expected-error@+1 {{expected to yield 1 values, 1 of them carried, but got 0}}
  %0 = weft.repeat 2 "i"(%x) : (tensor<4xf32>) -> tensor<4xf32> {
  ^bb0(%i: index, %h: tensor<4xf32>):
    weft.yield
  }
  return
}

// -----

func.func @repeat_stacks_by_round(%x: tensor<4xf32>) {
  // expected-error@+1 {{expected stacked type 'tensor<2x4xf32>' but got 'tensor<3x4xf32>'}}
  %0:2 = weft.repeat 2 "i"(%x) : (tensor<4xf32>) -> (tensor<4xf32>, tensor<3x4xf32>) {
  ^bb0(%i: index, %h: tensor<4xf32>):
    weft.yield %h, %h : tensor<4xf32>, tensor<4xf32>
  }
  return
}

// -----

func.func @size_is_a_scalar() {
  // expected-error@+1 {{expected a scalar but got 'tensor<1xf32>'}}
  %0 = weft.size "B" : tensor<1xf32>
  return
}

// -----

func.func @size_is_an_expression() {
  // expected-error@+1 {{expected an expression of dims but got 'B +'}}
  %0 = weft.size "B +" : tensor<f32>
  return
}

// -----

func.func @dropout_round_with_site(%x: tensor<4xf32>) {
  // expected-error@+1 {{expected a round that is an expression, together with a site, but got 'i'}}
  %0 = weft.dropout %x {p = 0.5 : f64, round = "i"} : tensor<4xf32>
  return
}

// -----

func.func @embedding_grad_rows(%i: tensor<3xi32>, %g: tensor<4x8xf32>) {
  // expected-error@+1 {{expected dy of shape [3, 8] but got [4, 8]}}
  %0 = weft.embedding_grad %i, %g : (tensor<3xi32>, tensor<4x8xf32>) -> tensor<10x8xf32>
  return
}

// -----

func.func @embedding_grad_table(%i: tensor<3xi32>, %g: tensor<3x8xf32>) {
  // expected-error@+1 {{expected a table of rank 2 but got [8]}}
  %0 = weft.embedding_grad %i, %g : (tensor<3xi32>, tensor<3x8xf32>) -> tensor<8xf32>
  return
}

// -----

func.func @embedding_grad_init(%i: tensor<3xi32>, %g: tensor<3x8xf32>, %t: tensor<9x8xf32>) {
  // expected-error@+1 {{expected init of type 'tensor<10x8xf32>' but got 'tensor<9x8xf32>'}}
  %0 = weft.embedding_grad %i, %g, %t : (tensor<3xi32>, tensor<3x8xf32>, tensor<9x8xf32>) -> tensor<10x8xf32>
  return
}

// -----

func.func @scatter_add_rows(%i: tensor<2x3xi32>, %g: tensor<2x4xf32>) {
  // expected-error@+1 {{expected dy of index's shape [2, 3] but got [2, 4]}}
  %0 = weft.scatter_add %i, %g {axis = 1 : i64} : (tensor<2x3xi32>, tensor<2x4xf32>) -> tensor<2x9xf32>
  return
}

// -----

func.func @scatter_add_other_axes(%i: tensor<2x3xi32>, %g: tensor<2x3xf32>) {
  // expected-error@+1 {{expected a result of shape [2, 3] but for axis 1 but got [4, 9]}}
  %0 = weft.scatter_add %i, %g {axis = 1 : i64} : (tensor<2x3xi32>, tensor<2x3xf32>) -> tensor<4x9xf32>
  return
}

// -----

func.func @attention_grad_types(%q: tensor<2x5x8xf32>, %l: tensor<2x2x5xf32>) {
  // expected-error@+1 {{expected dk of type 'tensor<2x5x8xf32>' but got 'tensor<2x6x8xf32>'}}
  %0, %1, %2 = weft.attention_grad %q, %q, %q, %q, %l, %q {heads = 2 : i64, kv_heads = 2 : i64, scale = 0.5 : f64} : (tensor<2x5x8xf32>, tensor<2x5x8xf32>, tensor<2x5x8xf32>, tensor<2x5x8xf32>, tensor<2x2x5xf32>, tensor<2x5x8xf32>) -> (tensor<2x5x8xf32>, tensor<2x6x8xf32>, tensor<2x5x8xf32>)
  return
}

// -----

func.func @attention_grad_lse(%q: tensor<2x5x8xf32>, %l: tensor<2x5xf32>) {
  // expected-error@+1 {{expected lse of shape [2, 2, 5] but got [2, 5]}}
  %0, %1, %2 = weft.attention_grad %q, %q, %q, %q, %l, %q {heads = 2 : i64, kv_heads = 2 : i64, scale = 0.5 : f64} : (tensor<2x5x8xf32>, tensor<2x5x8xf32>, tensor<2x5x8xf32>, tensor<2x5x8xf32>, tensor<2x5xf32>, tensor<2x5x8xf32>) -> (tensor<2x5x8xf32>, tensor<2x5x8xf32>, tensor<2x5x8xf32>)
  return
}

// -----

func.func @attention_grad_bias(%q: tensor<2x5x8xf32>, %l: tensor<2x2x5xf32>) {
  // expected-error@+1 {{expected a dbias of bias's type exactly with bias_grad}}
  %0, %1, %2 = weft.attention_grad %q, %q, %q, %q, %l, %q {heads = 2 : i64, kv_heads = 2 : i64, scale = 0.5 : f64, bias_grad} : (tensor<2x5x8xf32>, tensor<2x5x8xf32>, tensor<2x5x8xf32>, tensor<2x5x8xf32>, tensor<2x2x5xf32>, tensor<2x5x8xf32>) -> (tensor<2x5x8xf32>, tensor<2x5x8xf32>, tensor<2x5x8xf32>)
  return
}

// -----

func.func @attention_lse(%q: tensor<2x5x8xf32>) {
  // expected-error@+1 {{expected an f32 lse of shape [2, 2, 5] but got 'tensor<2x5xf32>'}}
  %0, %1 = weft.attention %q, %q, %q {heads = 2 : i64, kv_heads = 2 : i64, scale = 0.5 : f64, save_lse} : (tensor<2x5x8xf32>, tensor<2x5x8xf32>, tensor<2x5x8xf32>) -> (tensor<2x5x8xf32>, tensor<2x5xf32>)
  return
}

// -----

func.func @fused_arguments(%x: tensor<4xf32>) {
  // expected-error@+1 {{expected block arguments of the operands' types}}
  %0 = weft.fused(%x) : (tensor<4xf32>) -> tensor<5xf32> {
  ^bb0(%a: tensor<5xf32>):
    weft.yield %a : tensor<5xf32>
  }
  return
}

// -----

func.func @fused_results(%x: tensor<4xf32>) {
  // expected-error@+1 {{expected to yield the results' types}}
  %0 = weft.fused(%x) : (tensor<4xf32>) -> tensor<5xf32> {
  ^bb0(%a: tensor<4xf32>):
    weft.yield %a : tensor<4xf32>
  }
  return
}

// -----

func.func @fused_ops(%x: tensor<4x4xf32>) {
  %0 = weft.fused(%x) : (tensor<4x4xf32>) -> tensor<4x4xf32> {
  ^bb0(%a: tensor<4x4xf32>):
    // expected-error@+1 {{expected only pointwise, row and movement ops, gathers and positions in a fused region}}
    %b = weft.matmul %a, %a : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
    weft.yield %b : tensor<4x4xf32>
  }
  return
}

// -----

!x = tensor<4x4xf32>
func.func @contract_inner_size(%x: !x, %w: tensor<5x4xf32>) {
  // expected-error@+1 {{expected one inner size but got 4 and 5}}
  %0 = weft.contract %x, %w : (!x, tensor<5x4xf32>) -> !x {
  ^bb0(%acc: !x):
    weft.yield %acc : !x
  }
  return
}

// -----

!x = tensor<4x4xf32>
func.func @contract_arguments(%x: !x) {
  // expected-error@+1 {{expected block arguments (acc of shape [4, 4], extras)}}
  %0 = weft.contract %x, %x extras(%x) : (!x, !x, !x) -> !x {
  ^bb0(%acc: !x):
    weft.yield %acc : !x
  }
  return
}

// -----

!x = tensor<4x4xf32>
func.func @contract_extras(%x: !x, %r: tensor<4x1xf32>) {
  // expected-error@+1 {{expected a scalar, [4] or [4, 4] as extra but got [4, 1]}}
  %0 = weft.contract %x, %x extras(%r) : (!x, !x, tensor<4x1xf32>) -> !x {
  ^bb0(%acc: !x, %e: tensor<4x1xf32>):
    weft.yield %acc : !x
  }
  return
}

// -----

!x = tensor<4x4xf32>
func.func @contract_epilogue(%x: !x) {
  %0 = weft.contract %x, %x : (!x, !x) -> !x {
  ^bb0(%acc: !x):
    // expected-error@+1 {{expected only pointwise ops in an epilogue}}
    %s = weft.softmax %acc {axis = 1 : i64} : !x
    weft.yield %s : !x
  }
  return
}

// -----

!x = tensor<4x4xf32>
func.func @contract_results(%x: !x) {
  // expected-error@+1 {{expected to yield the results' types}}
  %0 = weft.contract %x, %x : (!x, !x) -> tensor<4x4xbf16> {
  ^bb0(%acc: !x):
    weft.yield %acc : !x
  }
  return
}

// -----

//===-- kept values --------------------------------------------------------------------------------------------------===//

// expected-error@+1 {{expected at least one round but got 0}}
weft.kept @memory rounds 0 : tensor<4xf32>

// -----

func.func @keep_undeclared(%x: tensor<4xf32>) {
  // expected-error@+1 {{expected a declared kept value but got 'memory'}}
  weft.keep %x in @memory : tensor<4xf32>
  return
}

// -----

weft.kept @memory rounds 1 : tensor<4xf32>
func.func @recall_another_type() {
  // expected-error@+1 {{expected type 'tensor<4xf32>' but got 'tensor<5xf32>'}}
  %0 = weft.recall @memory : tensor<5xf32>
  return
}

// -----

weft.kept @memory rounds 3 : tensor<4xf32>
func.func @recall_without_its_rounds() {
  // expected-error@+1 {{expected 3 rounds but got 1}}
  %0 = weft.recall @memory : tensor<4xf32>
  return
}

// -----

weft.kept @memory rounds 3 : tensor<4xf32>
func.func @keep_by_another_index(%x: tensor<4xf32>, %i: index) {
  // expected-error@+1 {{expected rounds of repeats as indices}}
  weft.keep %x in @memory[%i] : tensor<4xf32>
  return
}

// -----

func.func @embedding_grad_sums_are_wide(%i: tensor<3xi32>, %g: tensor<3x8xbf16>) {
  // expected-error@+1 {{expected a result of f32 or f64 but got 'bf16'}}
  %0 = weft.embedding_grad %i, %g : (tensor<3xi32>, tensor<3x8xbf16>) -> tensor<10x8xbf16>
  return
}

// -----

func.func @scatter_add_of_one_type(%i: tensor<2x3xi32>, %g: tensor<2x3xf16>) {
  // expected-error@+1 {{expected dy of 'f32' like the result but got 'f16'}}
  %0 = weft.scatter_add %i, %g {axis = 1 : i64} : (tensor<2x3xi32>, tensor<2x3xf16>) -> tensor<2x9xf32>
  return
}

// -----

func.func @cross_entropy_grad_loss(%z: tensor<3x5xf32>, %y: tensor<3xi32>, %g: tensor<3xf32>) {
  // expected-error@+1 {{expected dloss of type 'tensor<f32>' but got 'tensor<3xf32>'}}
  %0 = weft.cross_entropy_grad %z, %y, %g : (tensor<3x5xf32>, tensor<3xi32>, tensor<3xf32>) -> tensor<3x5xf32>
  return
}

// -----

func.func @cross_entropy_grad_logits(%z: tensor<3x5xf32>, %y: tensor<3xi32>, %g: tensor<f32>) {
  // expected-error@+1 {{expected a result of type 'tensor<3x5xf32>' but got 'tensor<5xf32>'}}
  %0 = weft.cross_entropy_grad %z, %y, %g : (tensor<3x5xf32>, tensor<3xi32>, tensor<f32>) -> tensor<5xf32>
  return
}

// -----

func.func @chunks_of_rows(%x: tensor<4xf32>, %y: tensor<5xf32>) {
  // expected-error@+1 {{expected operands and results with one size along axis 0}}
  weft.chunks 2 "c"() rows(%x, %y) : (tensor<4xf32>, tensor<5xf32>) -> () {
  ^bb0(%a: tensor<?xf32, #weft.dims<"min(2, 4 - c * 2)">>, %b: tensor<?xf32, #weft.dims<"min(2, 5 - c * 2)">>):
    weft.yield
  }
  return
}

// -----

func.func @chunks_with_nothing_to_cut(%x: tensor<4xf32>) {
  // expected-error@+1 {{expected rows to cut}}
  %0 = weft.chunks 2 "c"(%x) rows() : (tensor<4xf32>) -> tensor<4xf32> {
  ^bb0(%a: tensor<4xf32>):
    weft.yield %a : tensor<4xf32>
  }
  return
}

// -----

func.func @chunks_of_one_row_or_more(%x: tensor<4xf32>) {
  // expected-error@+1 {{expected chunks of at least 1 row but got 0}}
  weft.chunks 0 "c"() rows(%x) : (tensor<4xf32>) -> () {
  ^bb0(%a: tensor<4xf32>):
    weft.yield
  }
  return
}

// -----

func.func @chunks_know_their_rows(%x: tensor<4xf32>) {
  // expected-error@+1 {{expected a chunk 'tensor<?xf32, #weft.dims<"min(2, 4 - c * 2)">>' but got 'tensor<2xf32>'}}
  weft.chunks 2 "c"() rows(%x) : (tensor<4xf32>) -> () {
  ^bb0(%a: tensor<2xf32>):
    weft.yield
  }
  return
}

// -----

func.func @chunks_carry_one_type(%s: tensor<f32>, %x: tensor<?xf32, #weft.dims<"B">>) {
  // expected-error@+1 {{expected carried type 'tensor<f32>' but got 'tensor<1xf32>'}}
  %0 = weft.chunks 2 "c"(%s) rows(%x) : (tensor<f32>, tensor<?xf32, #weft.dims<"B">>) -> tensor<f32> {
  ^bb0(%a: tensor<1xf32>, %b: tensor<?xf32, #weft.dims<"min(2, B - c * 2)">>):
    weft.yield %s : tensor<f32>
  }
  return
}
