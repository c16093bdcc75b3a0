// RUN: weft compile %S/../../models/simple_transformer/simple_transformer.json --entry train_step --stop-after import | FileCheck %s
// RUN: weft compile %S/../../models/simple_transformer/simple_transformer.json --entry train_step --stop-after autodiff | FileCheck %s --check-prefix=JOINT
// An entry that trains is one function: the model's inputs and those of the train section, the graph's nodes and the
// loss's; the loss is its first result, gradients are the others.
// Beside it stands the same loss without gradients, with what the batch counts and how many labels are right.

// CHECK-LABEL: func.func @train_step
// CHECK-SAME: weft.name = "x"
// CHECK-SAME: tensor<?xi32, #weft.dims<"B">> {weft.name = "targets"}
// CHECK-SAME: (tensor<f32> {weft.name = "loss"})
// CHECK-SAME: weft.mode = "train"
// CHECK: %[[LOSS:.*]] = weft.cross_entropy %{{.*}}, %{{.*}} : (tensor<?x3xf32, #weft.dims<"B">>, tensor<?xi32, #weft.dims<"B">>) -> tensor<f32>
// CHECK: return %[[LOSS]] : tensor<f32>

// JOINT-LABEL: func.func @train_step
// JOINT-SAME: (tensor<f32> {weft.name = "loss"}, {{.*}}tensor<3xf32> {weft.name = "grad.classifier.bias", weft.tensors
// JOINT: weft.attention_grad
// JOINT: weft.embedding_grad
// JOINT-LABEL: func.func @train_step_eval
// JOINT-SAME: weft.count = "labels", weft.name = "labels"}, tensor<f32> {weft.count = "correct"
// JOINT-NOT: _grad
