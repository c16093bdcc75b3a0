// y = silu(x) * g: @emitter as a region of Weft, @linalg as structured ops over the same memory.
func.func private @emitter(%x: tensor<?x${N}xf32, #weft.dims<"B">>, %g: tensor<?x${N}xf32, #weft.dims<"B">>) {
  %out = weft.fused(%x, %g) : (tensor<?x${N}xf32, #weft.dims<"B">>, tensor<?x${N}xf32, #weft.dims<"B">>) -> tensor<?x${N}xf32, #weft.dims<"B">> {
  ^bb0(%bx: tensor<?x${N}xf32, #weft.dims<"B">>, %bg: tensor<?x${N}xf32, #weft.dims<"B">>):
    %s = weft.silu %bx : tensor<?x${N}xf32, #weft.dims<"B">>
    %y = weft.mul %s, %bg : (tensor<?x${N}xf32, #weft.dims<"B">>, tensor<?x${N}xf32, #weft.dims<"B">>) -> tensor<?x${N}xf32, #weft.dims<"B">>
    weft.yield %y : tensor<?x${N}xf32, #weft.dims<"B">>
  }
  func.return
}

func.func @linalg(%xm: memref<?x${N}xf32>, %gm: memref<?x${N}xf32>, %ym: memref<?x${N}xf32>) attributes {llvm.emit_c_interface} {
  %c0 = arith.constant 0 : index
  %one = arith.constant 1.0 : f32
  %x = bufferization.to_tensor %xm restrict : memref<?x${N}xf32> to tensor<?x${N}xf32>
  %g = bufferization.to_tensor %gm restrict : memref<?x${N}xf32> to tensor<?x${N}xf32>
  %rows = tensor.dim %x, %c0 : tensor<?x${N}xf32>
  %e = tensor.empty(%rows) : tensor<?x${N}xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%x, %g : tensor<?x${N}xf32>, tensor<?x${N}xf32>) outs(%e : tensor<?x${N}xf32>) {
  ^bb0(%vx: f32, %vg: f32, %acc: f32):
    %m = arith.negf %vx : f32
    %p = math.exp %m : f32
    %d = arith.addf %p, %one : f32
    %q = arith.mulf %vx, %vg : f32
    %o = arith.divf %q, %d : f32
    linalg.yield %o : f32
  } -> tensor<?x${N}xf32>
  bufferization.materialize_in_destination %y in restrict writable %ym : (tensor<?x${N}xf32>, memref<?x${N}xf32>) -> ()
  func.return
}
