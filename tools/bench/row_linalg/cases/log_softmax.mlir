// y = log_softmax(x): @emitter as a region of Weft, @linalg as structured ops over the same memory.
func.func private @emitter(%x: tensor<?x${N}xf32, #weft.dims<"B">>) {
  %out = weft.fused(%x) : (tensor<?x${N}xf32, #weft.dims<"B">>) -> tensor<?x${N}xf32, #weft.dims<"B">> {
  ^bb0(%bx: tensor<?x${N}xf32, #weft.dims<"B">>):
    %y = weft.log_softmax %bx {axis = 1 : i64} : tensor<?x${N}xf32, #weft.dims<"B">>
    weft.yield %y : tensor<?x${N}xf32, #weft.dims<"B">>
  }
  func.return
}

func.func @linalg(%xm: memref<?x${N}xf32>, %ym: memref<?x${N}xf32>) attributes {llvm.emit_c_interface} {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %minf = arith.constant 0xFF800000 : f32
  %x = bufferization.to_tensor %xm restrict : memref<?x${N}xf32> to tensor<?x${N}xf32>
  %rows = tensor.dim %x, %c0 : tensor<?x${N}xf32>
  %e = tensor.empty(%rows) : tensor<?x${N}xf32>
  %er = tensor.empty(%rows) : tensor<?xf32>
  %low = linalg.fill ins(%minf : f32) outs(%er : tensor<?xf32>) -> tensor<?xf32>
  %zr = linalg.fill ins(%zero : f32) outs(%er : tensor<?xf32>) -> tensor<?xf32>
  %max = linalg.reduce {arith.maxnumf {fastmath = #arith.fastmath<nnan>}} ins(%x : tensor<?x${N}xf32>) outs(%low : tensor<?xf32>) dimensions = [1]
  %sum = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i)>], iterator_types = ["parallel", "reduction"]}
      ins(%x, %max : tensor<?x${N}xf32>, tensor<?xf32>) outs(%zr : tensor<?xf32>) {
  ^bb0(%vx: f32, %vmax: f32, %acc: f32):
    %d = arith.subf %vx, %vmax : f32
    %p = math.exp %d : f32
    %o = arith.addf %p, %acc : f32
    linalg.yield %o : f32
  } -> tensor<?xf32>
  %lse = linalg.map ins(%sum, %max : tensor<?xf32>, tensor<?xf32>) outs(%er : tensor<?xf32>) (%v: f32, %m: f32, %i: f32) {
    %l = math.log %v : f32
    %o = arith.addf %l, %m : f32
    linalg.yield %o : f32
  }
  %y = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%x, %lse : tensor<?x${N}xf32>, tensor<?xf32>) outs(%e : tensor<?x${N}xf32>) {
  ^bb0(%vx: f32, %vlse: f32, %acc: f32):
    %o = arith.subf %vx, %vlse : f32
    linalg.yield %o : f32
  } -> tensor<?x${N}xf32>
  bufferization.materialize_in_destination %y in restrict writable %ym : (tensor<?x${N}xf32>, memref<?x${N}xf32>) -> ()
  func.return
}
