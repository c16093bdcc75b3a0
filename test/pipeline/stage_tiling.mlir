// RUN: weft compile %S/../../models/stories260k/stories260k.json --entry forward --stop-after tiling --cpu x86-64-v4 | FileCheck %s
// After tiling: kernels are loops over tiles of vectors; the entry launches them, directly or through the threads; the
// plan and the shapes are functions of the dims.

// CHECK-DAG: func.func {{(private )?}}@stories260k.contract.
// CHECK-DAG: fma{{.*}}vector<16xf32>
// CHECK-DAG: func.func {{(private )?}}@stories260k.attention.
// CHECK-DAG: func.func {{(private )?}}@stories260k.rows.
// CHECK-DAG: func.func @stories260k.forward(%{{.*}}: !llvm.ptr
// CHECK-DAG: scf.for
// CHECK-DAG: func.func @stories260k.forward.plan(
// CHECK-DAG: func.func @stories260k.forward.shapes(
