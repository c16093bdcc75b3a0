// What a trainer asks of a batch beside its loss is further results.
// RUN: weft-opt %s --weft-count-labels | FileCheck %s

// A batch counts as many labels as are not ignored. An entry that evaluates also says how many are right.
// CHECK-LABEL: func.func @evaluates
// CHECK-SAME: tensor<f32> {weft.count = "weight", weft.name = "weight"}, tensor<f32> {weft.count = "labels", weft.name = "labels"}, tensor<f32> {weft.count = "correct", weft.name = "correct"}
// CHECK: %[[IGNORED:.*]] = weft.equal %arg1, %{{.*}}
// CHECK: weft.where %[[IGNORED]]
// CHECK: %[[BEST:.*]] = weft.argmax %arg0 {axis = 1 : i64}
// CHECK: weft.equal %[[BEST]], %arg1
func.func @evaluates(%x: tensor<?x3xf32, #weft.dims<"B">>, %y: tensor<?xi32, #weft.dims<"B">>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "eval"} {
  %l = weft.cross_entropy %x, %y {weft.counts_batch} : (tensor<?x3xf32, #weft.dims<"B">>, tensor<?xi32, #weft.dims<"B">>) -> tensor<f32>
  return %l : tensor<f32>
}

// Training needs the weight alone.
// CHECK-LABEL: func.func @trains
// CHECK-SAME: (tensor<f32> {weft.name = "loss"}, tensor<f32> {weft.count = "weight", weft.name = "weight"})
func.func @trains(%x: tensor<?x3xf32, #weft.dims<"B">>, %y: tensor<?xi32, #weft.dims<"B">>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "train"} {
  %l = weft.cross_entropy %x, %y {weft.counts_batch} : (tensor<?x3xf32, #weft.dims<"B">>, tensor<?xi32, #weft.dims<"B">>) -> tensor<f32>
  return %l : tensor<f32>
}

// Logits over a vocabulary are not looked through for the largest.
// CHECK-LABEL: func.func @vocabulary
// CHECK-NOT: weft.argmax
func.func @vocabulary(%x: tensor<?x50257xf32, #weft.dims<"B">>, %y: tensor<?xi32, #weft.dims<"B">>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "eval"} {
  %l = weft.cross_entropy %x, %y {weft.counts_batch} : (tensor<?x50257xf32, #weft.dims<"B">>, tensor<?xi32, #weft.dims<"B">>) -> tensor<f32>
  return %l : tensor<f32>
}

// The labels of a loss that is a mean of two things are not marked (import/BatchWeight.h), and it has no weight.
// CHECK-LABEL: func.func @several
// CHECK-SAME: -> (tensor<f32> {weft.name = "loss"})
func.func @several(%x: tensor<?x3xf32, #weft.dims<"B">>, %y: tensor<?xi32, #weft.dims<"B">>, %z: tensor<?xi32, #weft.dims<"B">>) -> (tensor<f32> {weft.name = "loss"}) attributes {weft.mode = "train"} {
  %l = weft.cross_entropy %x, %y : (tensor<?x3xf32, #weft.dims<"B">>, tensor<?xi32, #weft.dims<"B">>) -> tensor<f32>
  %m = weft.cross_entropy %x, %z : (tensor<?x3xf32, #weft.dims<"B">>, tensor<?xi32, #weft.dims<"B">>) -> tensor<f32>
  %s = weft.add %l, %m : (tensor<f32>, tensor<f32>) -> tensor<f32>
  return %s : tensor<f32>
}
