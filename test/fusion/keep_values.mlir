// RUN: weft-opt %s -split-input-file -weft-keep-values | FileCheck %s
// A step recalls what depends on none of its stepped inputs; its prefills keep it.

!ids = tensor<?x?xi32, #weft.dims<"B", "S">>
!mask = tensor<?x?xi1, #weft.dims<"B", "S">>
!mem = tensor<?x?x8xf32, #weft.dims<"B", "S">>
!kv = tensor<?x?x16xf32, #weft.dims<"B", "S">>
!x = tensor<?x?x8xf32, #weft.dims<"B", "T">>
!one = tensor<?x1x8xf32, #weft.dims<"B">>

weft.state @kv layers 2 kv_heads 1 head_dim 8 capacity 32 : f32
weft.param @e : tensor<9x8xf32> {tensors = array<i32: 0>}
weft.param @"w.{i}" : tensor<16x8xf32> {tensors = array<i32: 1, 2>}

// The product of each layer is kept, not what it is made from; the slices stay in the step, as views. The mask has no
// rounds. Neither the encoder nor its input is left in the step.
// CHECK: weft.kept @layers.cross rounds 2 : tensor<?x?x16xf32, #weft.dims<"B", "S">>
// CHECK: weft.kept @mask rounds 1 : tensor<?x?xi1, #weft.dims<"B", "S">>

// CHECK-LABEL: func @prefill(
// CHECK: %[[M:.*]] = weft.not_equal
// CHECK-NEXT: weft.keep %[[M]] in @mask : tensor<?x?xi1
// CHECK: weft.repeat 2 "i"
// CHECK-NEXT: ^bb0(%[[I:.*]]: index,
// CHECK: %[[KV:.*]] = weft.matmul
// CHECK-NEXT: weft.keep %[[KV]] in @layers.cross[%[[I]]]
func.func @prefill(%src: !ids {weft.name = "src"}, %x: !x {weft.name = "x"}) -> !x attributes {weft.states = [@kv]} {
  %zero = weft.constant dense<0> : tensor<i32>
  %mask = weft.not_equal %src, %zero : (!ids, tensor<i32>) -> !mask loc("mask"("m.json":1:1))
  %e = weft.parameter @e : tensor<9x8xf32>
  %memory = weft.embedding %src, %e : (!ids, tensor<9x8xf32>) -> !mem
  %y = weft.repeat 2 "i"(%x) : (!x) -> !x {
  ^bb0(%i: index, %h: !x):
    %w = weft.parameter @"w.{i}"[%i] : tensor<16x8xf32>
    %kv = weft.matmul %memory, %w {transpose_b} : (!mem, tensor<16x8xf32>) -> !kv loc("layers.cross"("m.json":2:1))
    %k = weft.slice %kv {axis = 2 : i64, start = "0", step = 1 : i64} : !kv to !mem
    %v = weft.slice %kv {axis = 2 : i64, start = "8", step = 1 : i64} : !kv to !mem
    %self = weft.attention %h, %h, %h {heads = 1 : i64, kv_heads = 1 : i64, scale = 1.0 : f64, causal, cache = @kv, layer = "i"} : (!x, !x, !x) -> !x
    %c = weft.attention %self, %k, %v key_mask(%mask) {heads = 1 : i64, kv_heads = 1 : i64, scale = 1.0 : f64} : (!x, !mem, !mem, !mask) -> !x
    weft.yield %c : !x
  }
  return %y : !x
}

// CHECK-LABEL: func @decode(
// CHECK-SAME: %[[X:.*]]: tensor<?x1x8xf32, #weft.dims<"B">> {weft.name = "x"})
// CHECK-NOT: weft.embedding
// CHECK: %[[MASK:.*]] = weft.recall @mask : tensor<?x?xi1
// CHECK-NOT: weft.embedding
// CHECK: weft.repeat 2 "i"(%[[X]])
// CHECK-NEXT: ^bb0(%[[I:.*]]: index,
// CHECK-NEXT: %[[KV:.*]] = weft.recall @layers.cross[%[[I]]]
// CHECK-NEXT: %[[K:.*]] = weft.slice %[[KV]]
// CHECK-NEXT: %[[V:.*]] = weft.slice %[[KV]]
// CHECK-NEXT: weft.attention
// CHECK-NEXT: weft.attention {{.*}}, %[[K]], %[[V]] key_mask(%[[MASK]])
func.func @decode(%src: !ids {weft.name = "src"}, %x: !one {weft.name = "x"}) -> !one attributes {weft.states = [@kv], weft.prefills = [@prefill]} {
  %zero = weft.constant dense<0> : tensor<i32>
  %mask = weft.not_equal %src, %zero : (!ids, tensor<i32>) -> !mask loc("mask"("m.json":1:1))
  %e = weft.parameter @e : tensor<9x8xf32>
  %memory = weft.embedding %src, %e : (!ids, tensor<9x8xf32>) -> !mem
  %y = weft.repeat 2 "i"(%x) : (!one) -> !one {
  ^bb0(%i: index, %h: !one):
    %w = weft.parameter @"w.{i}"[%i] : tensor<16x8xf32>
    %kv = weft.matmul %memory, %w {transpose_b} : (!mem, tensor<16x8xf32>) -> !kv loc("layers.cross"("m.json":2:1))
    %k = weft.slice %kv {axis = 2 : i64, start = "0", step = 1 : i64} : !kv to !mem
    %v = weft.slice %kv {axis = 2 : i64, start = "8", step = 1 : i64} : !kv to !mem
    %self = weft.attention %h, %h, %h {heads = 1 : i64, kv_heads = 1 : i64, scale = 1.0 : f64, causal, cache = @kv, layer = "i"} : (!one, !one, !one) -> !one
    %c = weft.attention %self, %k, %v key_mask(%mask) {heads = 1 : i64, kv_heads = 1 : i64, scale = 1.0 : f64} : (!one, !mem, !mem, !mask) -> !one
    weft.yield %c : !one
  }
  return %y : !one
}

// -----

!v = tensor<?x8xf32, #weft.dims<"B">>
!x = tensor<?x?x8xf32, #weft.dims<"B", "T">>
!one = tensor<?x1x8xf32, #weft.dims<"B">>

// An input that both take alike is kept as it is, under its own name. What the prefill lacks is computed by the step, on top.
// CHECK: weft.kept @shift rounds 1 : tensor<?x8xf32, #weft.dims<"B">>
// CHECK-LABEL: func @prefill(
// CHECK: weft.keep %arg0 in @shift
func.func @prefill(%shift: !v {weft.name = "shift"}, %x: !x {weft.name = "x"}) -> !x {
  %s = weft.reshape %shift : !v to !one
  %y = weft.add %x, %s : (!x, !one) -> !x
  return %y : !x
}

// CHECK-LABEL: func @decode(
// CHECK-SAME: %[[X:.*]]: tensor<?x1x8xf32, #weft.dims<"B">> {weft.name = "x"})
// CHECK: %[[S:.*]] = weft.recall @shift
// CHECK-NEXT: %[[N:.*]] = weft.neg %[[S]]
// CHECK-NEXT: weft.reshape %[[N]]
func.func @decode(%shift: !v {weft.name = "shift"}, %x: !one {weft.name = "x"}) -> !one attributes {weft.prefills = [@prefill]} {
  %n = weft.neg %shift : !v
  %s = weft.reshape %n : !v to !one
  %y = weft.add %x, %s : (!one, !one) -> !one
  return %y : !one
}

// -----

!v = tensor<?x8xf32, #weft.dims<"B">>
!part = tensor<?x3xf32, #weft.dims<"B">>
!x = tensor<?x?xf32, #weft.dims<"B", "T">>
!one = tensor<?x1xf32, #weft.dims<"B">>

// Of a value that is read in part only the part is kept; an encoder, a repeat of its own, is kept by its result.
// CHECK: weft.kept @part rounds 1 : tensor<?x3xf32, #weft.dims<"B">>
// CHECK-NOT: weft.kept
// CHECK-LABEL: func @decode(
// CHECK-NOT: weft.repeat
// CHECK: weft.recall @part
// CHECK-LABEL: func @prefill(
// CHECK: %[[E:.*]] = weft.repeat 3 "j"
// CHECK: %[[P:.*]] = weft.slice %[[E]]
// CHECK-NEXT: weft.keep %[[P]] in @part
func.func @decode(%v: !v {weft.name = "v"}, %x: !one {weft.name = "x"}) -> !one attributes {weft.prefills = [@prefill]} {
  %e = weft.repeat 3 "j"(%v) : (!v) -> !v {
  ^bb0(%j: index, %h: !v):
    %n = weft.tanh %h : !v
    weft.yield %n : !v
  }
  %p = weft.slice %e {axis = 1 : i64, start = "0", step = 1 : i64} : !v to !part loc("part"("m.json":1:1))
  %q = weft.mul %x, %p : (!one, !part) -> !part
  %z = weft.reduce_sum %q {axes = array<i64: 1>, keepdim} : (!part) -> !one
  return %z : !one
}
func.func @prefill(%v: !v {weft.name = "v"}, %x: !x {weft.name = "x"}) -> !part {
  %e = weft.repeat 3 "j"(%v) : (!v) -> !v {
  ^bb0(%j: index, %h: !v):
    %n = weft.tanh %h : !v
    weft.yield %n : !v
  }
  %p = weft.slice %e {axis = 1 : i64, start = "0", step = 1 : i64} : !v to !part loc("part"("m.json":1:1))
  return %p : !part
}

// -----

!v = tensor<?x8xf32, #weft.dims<"B">>

// Without a prefill among the entries a step stays whole.
// CHECK-NOT: weft.kept
// CHECK-LABEL: func @alone(
// CHECK-SAME: weft.name = "v"
func.func @alone(%v: !v {weft.name = "v"}) -> !v attributes {weft.prefills = [@prefill]} {
  %y = weft.neg %v : !v
  return %y : !v
}
