// RUN: weft compile %S/../../models/simple_transformer/simple_transformer.json --entry train_step --stop-after import | FileCheck %s
// RUN: not weft compile %S/../../models/simple_transformer/simple_transformer.json --entry train_step --stop-after fusion 2>&1 | FileCheck %s --check-prefix=LATER
// An entry that trains is one function: the model's inputs and those of the train section, the graph's nodes and the
// loss's; the loss is its first result. Later stages are for inference.

// CHECK-LABEL: func.func @train_step
// CHECK-SAME: weft.name = "x"
// CHECK-SAME: tensor<?xi32, #weft.dims<"B">> {weft.name = "targets"}
// CHECK-SAME: (tensor<f32> {weft.name = "loss"})
// CHECK-SAME: weft.mode = "train"
// CHECK: %[[LOSS:.*]] = weft.cross_entropy %{{.*}}, %{{.*}} : (tensor<?x3xf32, #weft.dims<"B">>, tensor<?xi32, #weft.dims<"B">>) -> tensor<f32>
// CHECK: return %[[LOSS]] : tensor<f32>

// LATER: error: entry 'train_step' is for training, which is not in this version
