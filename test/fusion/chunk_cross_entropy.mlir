// The last product of a language model, its loss and their gradients become one loop over chunks of rows.
// RUN: weft-opt %s -split-input-file -weft-chunk-cross-entropy -canonicalize -cse | FileCheck %s

!h = tensor<?x?x64xf32, #weft.dims<"B", "T">>
!z = tensor<?x?x32000xf32, #weft.dims<"B", "T">>
!flat_h = tensor<?x64xf32, #weft.dims<"B * T">>
!flat_z = tensor<?x32000xf32, #weft.dims<"B * T">>
!y = tensor<?x?xi32, #weft.dims<"B", "T">>
!w = tensor<32000x64xf32>

// CHECK-LABEL: func @a_step_of_training(
// CHECK-NOT: tensor<?x?x32000xf32
// The rows that count are counted first.
// CHECK: %[[COUNT:.*]] = weft.reduce_sum %{{.*}} : (tensor<?x?xf32, {{.*}}>) -> tensor<f32>
// CHECK: %[[SHARE:.*]] = weft.div %{{.*}}, %[[COUNT]]
// CHECK: %[[SCALE:.*]] = weft.where %{{.*}}, %[[SHARE]]
// CHECK: %[[ALL:.*]]:4 = weft.chunks 131 "chunk"(%{{.*}}, %{{.*}}, %{{.*}}) rows(%{{.*}}, %{{.*}})
// CHECK: ^bb0(%[[SUM:.*]]: tensor<f32>, %[[DB:.*]]: tensor<32000xf32>, %[[DW:.*]]: tensor<32000x64xf32>, %[[Y:.*]]: tensor<?xi32, #weft.dims<"min({{.*}})">>, %[[X:.*]]: tensor<?x64xf32, #weft.dims<"min({{[^"]*}})">>):
// CHECK: %[[P:.*]] = weft.matmul %[[X]], %arg1 {transpose_b}
// CHECK: %[[Z:.*]] = weft.add %[[P]], %arg2
// CHECK: %[[L:.*]] = weft.cross_entropy %[[Z]], %[[Y]] {reduction = "sum"}
// CHECK: weft.add %[[SUM]], %[[L]]
// CHECK: %[[DZ:.*]] = weft.cross_entropy_grad %[[Z]], %[[Y]], %[[SCALE]] {reduction = "sum"}
// CHECK-DAG: weft.matmul %[[DZ]], %arg1
// CHECK-DAG: %[[TERM:.*]] = weft.matmul %[[DZ]], %[[X]] {transpose_a}
// CHECK-DAG: weft.add %[[TERM]], %[[DW]]
// CHECK-DAG: weft.reduce_sum %[[DZ]] {axes = array<i64: 0>}
// CHECK: weft.yield
// CHECK: %[[DX:.*]] = weft.reshape %[[ALL]]#3
// CHECK: return %{{.*}}, %[[ALL]]#1, %[[ALL]]#2, %[[DX]]
func.func @a_step_of_training(%x: !h, %w: !w, %b: tensor<32000xf32>, %y: !y) -> (tensor<f32>, tensor<32000xf32>, !w, !h) {
  %p = weft.matmul %x, %w {transpose_b} : (!h, !w) -> !z
  %z = weft.add %p, %b : (!z, tensor<32000xf32>) -> !z
  %l = weft.cross_entropy %z, %y : (!z, !y) -> tensor<f32>
  %one = weft.constant dense<1.0> : tensor<f32>
  %dz = weft.cross_entropy_grad %z, %y, %one : (!z, !y, tensor<f32>) -> !z
  %db = weft.reduce_sum %dz {axes = array<i64: 0, 1>} : (!z) -> tensor<32000xf32>
  %dx = weft.matmul %dz, %w : (!z, !w) -> !h
  %flat = weft.reshape %dz : !z to !flat_z
  %rows = weft.reshape %x : !h to !flat_h
  %dw = weft.matmul %flat, %rows {transpose_a} : (!flat_z, !flat_h) -> !w
  return %l, %db, %dw, %dx : tensor<f32>, tensor<32000xf32>, !w, !h
}

// -----

!h = tensor<?x64xbf16, #weft.dims<"N">>
!z = tensor<?x32000xf32, #weft.dims<"N">>
!zh = tensor<?x32000xbf16, #weft.dims<"N">>
!y = tensor<?xi32, #weft.dims<"N">>
!w = tensor<32000x64xbf16>

// Products of half precision read the gradient of the logits rounded; the loss and the bias read f32.
// CHECK-LABEL: func @half_precision(
// CHECK: weft.chunks
// CHECK: %[[P:.*]] = weft.matmul %[[X:.*]], %arg1 {transpose_b, wide}
// CHECK: %[[DZ:.*]] = weft.cross_entropy_grad
// CHECK-DAG: %[[H:.*]] = weft.cast %[[DZ]] : {{.*}} to tensor<?x32000xbf16
// CHECK-DAG: weft.matmul %[[H]], %arg1 {wide}
// CHECK-DAG: weft.matmul %[[H]], %[[X]] {transpose_a, wide}
// CHECK-DAG: weft.reduce_sum %[[DZ]] {axes = array<i64: 0>}
// CHECK: weft.yield
// CHECK-NOT: weft.cross_entropy
func.func @half_precision(%x: !h, %w: !w, %y: !y) -> (tensor<f32>, tensor<32000xf32>, tensor<32000x64xf32>, tensor<?x64xf32, #weft.dims<"N">>) {
  %z = weft.matmul %x, %w {transpose_b, wide} : (!h, !w) -> !z
  %l = weft.cross_entropy %z, %y : (!z, !y) -> tensor<f32>
  %one = weft.constant dense<1.0> : tensor<f32>
  %dz = weft.cross_entropy_grad %z, %y, %one : (!z, !y, tensor<f32>) -> !z
  %db = weft.reduce_sum %dz {axes = array<i64: 0>} : (!z) -> tensor<32000xf32>
  %g = weft.cast %dz : !z to !zh
  %dx = weft.matmul %g, %w {wide} : (!zh, !w) -> tensor<?x64xf32, #weft.dims<"N">>
  %dw = weft.matmul %g, %x {transpose_a, wide} : (!zh, !h) -> tensor<32000x64xf32>
  return %l, %db, %dw, %dx : tensor<f32>, tensor<32000xf32>, tensor<32000x64xf32>, tensor<?x64xf32, #weft.dims<"N">>
}

// -----

// Evaluation has the sum alone.
// CHECK-LABEL: func @evaluation(
// CHECK: %[[L:.*]] = weft.chunks 128 "chunk"(%{{.*}}) rows(%arg2, %{{.*}})
// CHECK-NOT: cross_entropy_grad
// CHECK: return %[[L]]
func.func @evaluation(%x: tensor<?x64xf32, #weft.dims<"N">>, %w: tensor<64x50000xf32>, %y: tensor<?xi32, #weft.dims<"N">>) -> tensor<f32> {
  %z = weft.matmul %x, %w : (tensor<?x64xf32, #weft.dims<"N">>, tensor<64x50000xf32>) -> tensor<?x50000xf32, #weft.dims<"N">>
  %l = weft.cross_entropy %z, %y {reduction = "sum"} : (tensor<?x50000xf32, #weft.dims<"N">>, tensor<?xi32, #weft.dims<"N">>) -> tensor<f32>
  return %l : tensor<f32>
}

// -----

// Logits that somebody else reads are made whole.
// CHECK-LABEL: func @logits_with_another_reader(
// CHECK-NOT: weft.chunks
func.func @logits_with_another_reader(%x: tensor<?x64xf32, #weft.dims<"N">>, %w: tensor<64x50000xf32>, %y: tensor<?xi32, #weft.dims<"N">>) -> (tensor<f32>, tensor<?x50000xf32, #weft.dims<"N">>) {
  %z = weft.matmul %x, %w : (tensor<?x64xf32, #weft.dims<"N">>, tensor<64x50000xf32>) -> tensor<?x50000xf32, #weft.dims<"N">>
  %l = weft.cross_entropy %z, %y : (tensor<?x50000xf32, #weft.dims<"N">>, tensor<?xi32, #weft.dims<"N">>) -> tensor<f32>
  return %l, %z : tensor<f32>, tensor<?x50000xf32, #weft.dims<"N">>
}

// -----

// CHECK-LABEL: func @few_classes(
// CHECK-NOT: weft.chunks
func.func @few_classes(%x: tensor<?x64xf32, #weft.dims<"N">>, %w: tensor<64x500xf32>, %y: tensor<?xi32, #weft.dims<"N">>) -> tensor<f32> {
  %z = weft.matmul %x, %w : (tensor<?x64xf32, #weft.dims<"N">>, tensor<64x500xf32>) -> tensor<?x500xf32, #weft.dims<"N">>
  %l = weft.cross_entropy %z, %y : (tensor<?x500xf32, #weft.dims<"N">>, tensor<?xi32, #weft.dims<"N">>) -> tensor<f32>
  return %l : tensor<f32>
}

// -----

// One chunk would hold all rows.
// CHECK-LABEL: func @few_rows(
// CHECK-NOT: weft.chunks
func.func @few_rows(%x: tensor<100x64xf32>, %w: tensor<64x50000xf32>, %y: tensor<100xi32>) -> tensor<f32> {
  %z = weft.matmul %x, %w : (tensor<100x64xf32>, tensor<64x50000xf32>) -> tensor<100x50000xf32>
  %l = weft.cross_entropy %z, %y : (tensor<100x50000xf32>, tensor<100xi32>) -> tensor<f32>
  return %l : tensor<f32>
}

// -----

// A gradient that depends on the loss can't be computed beside it.
// CHECK-LABEL: func @a_gradient_that_needs_the_loss(
// CHECK-NOT: weft.chunks
func.func @a_gradient_that_needs_the_loss(%x: tensor<?x64xf32, #weft.dims<"N">>, %w: tensor<64x50000xf32>, %y: tensor<?xi32, #weft.dims<"N">>) -> (tensor<f32>, tensor<64x50000xf32>) {
  %z = weft.matmul %x, %w : (tensor<?x64xf32, #weft.dims<"N">>, tensor<64x50000xf32>) -> tensor<?x50000xf32, #weft.dims<"N">>
  %l = weft.cross_entropy %z, %y : (tensor<?x50000xf32, #weft.dims<"N">>, tensor<?xi32, #weft.dims<"N">>) -> tensor<f32>
  %g = weft.exp %l : tensor<f32>
  %dz = weft.cross_entropy_grad %z, %y, %g : (tensor<?x50000xf32, #weft.dims<"N">>, tensor<?xi32, #weft.dims<"N">>, tensor<f32>) -> tensor<?x50000xf32, #weft.dims<"N">>
  %dw = weft.matmul %x, %dz {transpose_a} : (tensor<?x64xf32, #weft.dims<"N">>, tensor<?x50000xf32, #weft.dims<"N">>) -> tensor<64x50000xf32>
  return %l, %dw : tensor<f32>, tensor<64x50000xf32>
}
