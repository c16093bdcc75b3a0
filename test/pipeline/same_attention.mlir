// RUN: split-file %s %t
// RUN: weft compile %t/written.json --stop-after fusion | FileCheck %s
// RUN: weft compile %t/spelled.json --stop-after fusion | FileCheck %s
// RUN: weft compile %t/written.json -o %t/m --explain 2>&1 | FileCheck %s --check-prefix=KERNELS
// RUN: weft compile %t/spelled.json -o %t/m --explain 2>&1 | FileCheck %s --check-prefix=KERNELS
// The op and its formula written out are the same from fusion on: one projection, one attention kernel, one product.

// CHECK: %[[QKV:.*]] = weft.contract {{.*}} -> tensor<?x?x96xf32
// CHECK-DAG: %[[Q:.*]] = weft.slice %[[QKV]] {axis = 2 : i64, start = "0"
// CHECK-DAG: %[[K:.*]] = weft.slice %[[QKV]] {axis = 2 : i64, start = "32"
// CHECK-DAG: %[[V:.*]] = weft.slice %[[QKV]] {axis = 2 : i64, start = "64"
// CHECK: weft.attention %[[Q]], %[[K]], %[[V]] {causal, heads = 4 : i64, kv_heads = 4 : i64, scale = 0.35355339059327373 : f64}
// CHECK-NOT: weft.softmax
// CHECK: weft.contract
// CHECK-NOT: weft.contract

// KERNELS: contract  q + k + v
// KERNELS-NEXT: tiles
// KERNELS-NEXT: attention
// KERNELS-NEXT: tiles
// KERNELS-NEXT: contract  o
// KERNELS-NOT: {{^  (rows|contract|pack)}}

//--- written.json
{
  "format": "1.0", "name": "same",
  "dims": { "B": { "max": 4, "hint": 2 }, "T": { "max": 64, "hint": 16 } },
  "inputs": { "x": { "dtype": "f32", "shape": ["B", "T", 32] } },
  "graph": [
    { "id": "q", "op": "linear", "in": "x", "features": 32 },
    { "id": "k", "op": "linear", "in": "x", "features": 32 },
    { "id": "v", "op": "linear", "in": "x", "features": 32 },
    { "id": "y", "op": "attention", "in": ["q", "k", "v"], "heads": 4, "causal": true },
    { "id": "o", "op": "linear", "features": 32 }
  ],
  "outputs": { "o": "o" }
}

//--- spelled.json
{
  "format": "1.0", "name": "same",
  "dims": { "B": { "max": 4, "hint": 2 }, "T": { "max": 64, "hint": 16 } },
  "inputs": { "x": { "dtype": "f32", "shape": ["B", "T", 32] } },
  "graph": [
    { "id": "q", "op": "linear", "in": "x", "features": 32 },
    { "id": "k", "op": "linear", "in": "x", "features": 32 },
    { "id": "v", "op": "linear", "in": "x", "features": 32 },
    { "id": "q4", "op": "reshape", "in": "q", "shape": ["B", "T", 4, 8] },
    { "id": "k4", "op": "reshape", "in": "k", "shape": ["B", "T", 4, 8] },
    { "id": "v4", "op": "reshape", "in": "v", "shape": ["B", "T", 4, 8] },
    { "id": "s", "op": "einsum", "in": ["q4", "k4"], "equation": "bqhd,bkhd->bhqk" },
    { "id": "past", "op": "causal_mask", "in": "x" },
    { "id": "future", "op": "not" },
    { "id": "masked", "op": "masked_fill", "in": { "x": "s", "mask": "future" }, "value": "-inf" },
    { "id": "scaled", "op": "div", "value": "sqrt(8)" },
    { "id": "p", "op": "softmax" },
    { "id": "c", "op": "einsum", "in": ["p", "v4"], "equation": "bhqk,bkhd->bqhd" },
    { "id": "y", "op": "reshape", "shape": ["B", "T", 32] },
    { "id": "o", "op": "linear", "features": 32 }
  ],
  "outputs": { "o": "o" }
}
