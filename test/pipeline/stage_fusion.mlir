// RUN: weft compile %S/../../models/stories260k/stories260k.json --entry forward --stop-after fusion | FileCheck %s
// After fusion: q, k and v are one contraction, residuals are epilogues, the gated activation is one row kernel, and the
// layer is still one region.

// CHECK-LABEL: func.func @forward
// CHECK: weft.repeat 5 "i"
// CHECK: weft.concat {{.*}} -> tensor<128x64xf32>
// CHECK: weft.contract {{.*}} -> tensor<?x?x128xf32
// CHECK: weft.attention
// CHECK: weft.contract {{.*}} extras(
// CHECK: weft.add
// CHECK: weft.fused
// CHECK: weft.silu
// CHECK: weft.mul
// CHECK-NOT: weft.matmul
