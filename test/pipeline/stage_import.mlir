// RUN: weft compile %S/../../models/stories260k/stories260k.json --stop-after import | FileCheck %s
// After import: dims with their ranges, parameters as symbols, one function for each entry, the repeat as one region,
// and the place in the model file of every node.

// CHECK: weft.dim @T min 1 max 512 hint 256
// CHECK: weft.state @kv layers 5 kv_heads 4 head_dim 8 capacity 512
// CHECK: weft.param @"layers.{i}.attention.wq.weight" : tensor<64x64xf32>
// CHECK-LABEL: func.func @forward
// CHECK: weft.repeat 5 "i"
// CHECK: weft.parameter @"layers.{i}.attention.wq.weight"[%{{.*}}]
// CHECK: weft.linear
// CHECK: weft.rope
// CHECK: weft.attention {{.*}}causal, heads = 8 : i64, kv_heads = 4 : i64
// CHECK: weft.swiglu
// CHECK-NOT: weft.contract
// CHECK-LABEL: func.func @prefill
// CHECK: weft.attention {{.*}}cache = @kv
// CHECK-SAME: layer = "i"
// CHECK: weft.last_token
// CHECK-LABEL: func.func @decode
// CHECK-SAME: tensor<?x1xi32, #weft.dims<"B">>
// CHECK: = loc("{{.*}}stories260k.json":{{[0-9]+}}:{{[0-9]+}})
