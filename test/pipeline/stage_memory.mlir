// RUN: weft compile %S/../../models/stories260k/stories260k.json --entry forward --stop-after memory | FileCheck %s
// After memory planning every result has a place: the carried value stays in one buffer through the loop, the logits are
// the caller's memory, and sizes are expressions of the dims.

// CHECK-LABEL: func.func @forward
// CHECK-SAME: weft.arena = ["B * T * 256 bytes, live
// CHECK: weft.repeat {{.*}} attributes {weft.buffers = ["[[CARRIED:arena [0-9]+]]"]}
// CHECK: weft.contract {{.*}} extras({{.*}} weft.buffers = ["[[CARRIED]]"]
// CHECK: weft.contract {{.*}} extras({{.*}} weft.buffers = ["[[CARRIED]]"]
// CHECK: weft.buffers = ["output 0"]
