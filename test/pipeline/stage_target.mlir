// RUN: weft compile %S/../../models/stories260k/stories260k.json --entry forward --stop-after target --cpu x86-64-v3 | FileCheck %s
// After target only the LLVM dialect is left; vectors have the length of the instruction set.

// CHECK: llvm.func {{.*}}@stories260k.
// CHECK: vector<8xf32>
// CHECK-NOT: vector.fma
// CHECK-NOT: scf.for
