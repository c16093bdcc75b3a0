// RUN: echo '{"format": "1.0", "name": "drops", "inputs": {"x": {"dtype": "f32", "shape": [4]}}, "graph": [{"id": "w", "op": "parameter", "shape": [4]}, {"id": "a", "op": "mul", "in": ["x", "w"]}, {"id": "y", "op": "dropout", "p": 0.25}], "outputs": {"y": "y"}, "train": {"nodes": [{"id": "l", "op": "mean", "in": "y"}], "loss": "l"}, "entries": {"forward": {}, "step": {"mode": "train"}, "slopes": {"mode": "grad", "gradients": ["x"], "outputs": ["y"]}}}' > %t.json
// RUN: weft compile %t.json --entry step --entry slopes --entry forward --stop-after import | FileCheck %s
// Dropout is the identity but in entries that train.

// CHECK-LABEL: func.func @step
// CHECK-SAME: weft.mode = "train"
// CHECK: %[[Y:.*]] = weft.dropout %{{.*}} {p = 2.500000e-01 : f64, site = {{[0-9]+}} : i64}
// CHECK: weft.reduce_mean %[[Y]]
// CHECK-LABEL: func.func @slopes
// CHECK-SAME: (tensor<f32> {weft.name = "loss"}, tensor<4xf32> {weft.name = "y"})
// CHECK-SAME: weft.mode = "grad"
// CHECK-NOT: weft.dropout
// CHECK: %[[Y:.*]] = weft.mul
// CHECK: %[[LOSS:.*]] = weft.reduce_mean %[[Y]]
// CHECK: return %[[LOSS]], %[[Y]]
// CHECK-LABEL: func.func @forward
// CHECK-NOT: weft.mode
// CHECK-NOT: weft.dropout
// CHECK-LABEL: func.func @step_eval
// CHECK-SAME: weft.mode = "eval"
// CHECK-NOT: weft.dropout
