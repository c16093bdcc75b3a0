// y = gelu(x + b), by erf: @emitter as a region of Weft, @linalg as structured ops over the same memory.
func.func private @emitter(%x: tensor<?x${N}xf32, #weft.dims<"B">>, %b: tensor<${N}xf32>) {
  %out = weft.fused(%x, %b) : (tensor<?x${N}xf32, #weft.dims<"B">>, tensor<${N}xf32>) -> tensor<?x${N}xf32, #weft.dims<"B">> {
  ^bb0(%bx: tensor<?x${N}xf32, #weft.dims<"B">>, %bb: tensor<${N}xf32>):
    %s = weft.add %bx, %bb : (tensor<?x${N}xf32, #weft.dims<"B">>, tensor<${N}xf32>) -> tensor<?x${N}xf32, #weft.dims<"B">>
    %y = weft.gelu %s : tensor<?x${N}xf32, #weft.dims<"B">>
    weft.yield %y : tensor<?x${N}xf32, #weft.dims<"B">>
  }
  func.return
}

func.func @linalg(%xm: memref<?x${N}xf32>, %bm: memref<${N}xf32>, %ym: memref<?x${N}xf32>) attributes {llvm.emit_c_interface} {
  %c0 = arith.constant 0 : index
  %half = arith.constant 0.5 : f32
  %root = arith.constant 0.70710678 : f32
  %x = bufferization.to_tensor %xm restrict : memref<?x${N}xf32> to tensor<?x${N}xf32>
  %b = bufferization.to_tensor %bm restrict : memref<${N}xf32> to tensor<${N}xf32>
  %rows = tensor.dim %x, %c0 : tensor<?x${N}xf32>
  %e = tensor.empty(%rows) : tensor<?x${N}xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%x, %b : tensor<?x${N}xf32>, tensor<${N}xf32>) outs(%e : tensor<?x${N}xf32>) {
  ^bb0(%vx: f32, %vb: f32, %acc: f32):
    %s = arith.addf %vx, %vb : f32
    %u = arith.mulf %s, %root : f32
    %f = math.erf %u : f32
    %h = arith.mulf %s, %half : f32
    %o = math.fma %h, %f, %h : f32
    linalg.yield %o : f32
  } -> tensor<?x${N}xf32>
  bufferization.materialize_in_destination %y in restrict writable %ym : (tensor<?x${N}xf32>, memref<?x${N}xf32>) -> ()
  func.return
}
