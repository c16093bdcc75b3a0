// RUN: weft compile %S/../../models/stories260k/stories260k.json --entry forward --stop-after lowering | FileCheck %s
// After lowering every op is a kernel, a view, a parameter or structure: parts of the joint projection are slices that
// the attention reads in place.

// CHECK-LABEL: func.func @forward
// CHECK: %[[V:.*]] = weft.slice {{.*}}start = "96"
// CHECK: weft.attention %{{.*}}, %{{.*}}, %[[V]]
// CHECK-NOT: weft.matmul
// CHECK: return
