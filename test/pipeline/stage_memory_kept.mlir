// RUN: weft compile %S/../../models/encoder_decoder/encoder_decoder.json --set layers=2 --entry decode --stop-after memory | FileCheck %s
// Kept values have no place in an arena: the prefill's kernels write them into the session, and the step's arena does not
// grow with the source.

// CHECK: weft.kept @decoded.cross rounds 2 : tensor<?x?x1024xf32
// CHECK: weft.kept @src_keys rounds 1 : tensor<?x?xi1

// CHECK-LABEL: func.func @decode
// CHECK-NOT: S *
// CHECK: weft.recall @src_keys

// CHECK-LABEL: func.func @prefill
// CHECK: weft.buffers = ["kept 1"]
// CHECK: weft.contract {{.*}}weft.buffers = ["kept 0"]{{.*}} -> tensor<?x?x1024xf32, #weft.dims<"B", "S">>
