// y = layer_norm(x + r) * w + b: @emitter as a region of Weft, @linalg as structured ops over the same memory.
func.func private @emitter(%x: tensor<?x${N}xf32, #weft.dims<"B">>, %r: tensor<?x${N}xf32, #weft.dims<"B">>, %w: tensor<${N}xf32>, %b: tensor<${N}xf32>) {
  %out = weft.fused(%x, %r, %w, %b) : (tensor<?x${N}xf32, #weft.dims<"B">>, tensor<?x${N}xf32, #weft.dims<"B">>, tensor<${N}xf32>, tensor<${N}xf32>) -> tensor<?x${N}xf32, #weft.dims<"B">> {
  ^bb0(%bx: tensor<?x${N}xf32, #weft.dims<"B">>, %br: tensor<?x${N}xf32, #weft.dims<"B">>, %bw: tensor<${N}xf32>, %bb: tensor<${N}xf32>):
    %s = weft.add %bx, %br : (tensor<?x${N}xf32, #weft.dims<"B">>, tensor<?x${N}xf32, #weft.dims<"B">>) -> tensor<?x${N}xf32, #weft.dims<"B">>
    %y = weft.layer_norm %s weight(%bw : tensor<${N}xf32>) bias(%bb : tensor<${N}xf32>) {axis = 1 : i64, eps = 1.0e-5 : f64} : tensor<?x${N}xf32, #weft.dims<"B">>
    weft.yield %y : tensor<?x${N}xf32, #weft.dims<"B">>
  }
  func.return
}

func.func @linalg(%xm: memref<?x${N}xf32>, %rm: memref<?x${N}xf32>, %wm: memref<${N}xf32>, %bm: memref<${N}xf32>, %ym: memref<?x${N}xf32>) attributes {llvm.emit_c_interface} {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %rn = arith.constant ${1/N} : f32
  %eps = arith.constant 1.0e-5 : f32
  %x = bufferization.to_tensor %xm restrict : memref<?x${N}xf32> to tensor<?x${N}xf32>
  %r = bufferization.to_tensor %rm restrict : memref<?x${N}xf32> to tensor<?x${N}xf32>
  %w = bufferization.to_tensor %wm restrict : memref<${N}xf32> to tensor<${N}xf32>
  %b = bufferization.to_tensor %bm restrict : memref<${N}xf32> to tensor<${N}xf32>
  %rows = tensor.dim %x, %c0 : tensor<?x${N}xf32>
  %e = tensor.empty(%rows) : tensor<?x${N}xf32>
  %er = tensor.empty(%rows) : tensor<?xf32>
  %zr = linalg.fill ins(%zero : f32) outs(%er : tensor<?xf32>) -> tensor<?xf32>
  %s = linalg.add ins(%x, %r : tensor<?x${N}xf32>, tensor<?x${N}xf32>) outs(%e : tensor<?x${N}xf32>) -> tensor<?x${N}xf32>
  %sum = linalg.reduce {arith.addf} ins(%s : tensor<?x${N}xf32>) outs(%zr : tensor<?xf32>) dimensions = [1]
  %mean = linalg.map ins(%sum : tensor<?xf32>) outs(%er : tensor<?xf32>) (%v: f32, %i: f32) {
    %o = arith.mulf %v, %rn : f32
    linalg.yield %o : f32
  }
  %dev = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i)>], iterator_types = ["parallel", "reduction"]}
      ins(%s, %mean : tensor<?x${N}xf32>, tensor<?xf32>) outs(%zr : tensor<?xf32>) {
  ^bb0(%v: f32, %m: f32, %acc: f32):
    %d = arith.subf %v, %m : f32
    %q = arith.mulf %d, %d fastmath<contract> : f32
    %o = arith.addf %q, %acc fastmath<contract> : f32
    linalg.yield %o : f32
  } -> tensor<?xf32>
  %scale = linalg.map ins(%dev : tensor<?xf32>) outs(%er : tensor<?xf32>) (%v: f32, %i: f32) {
    %ve = math.fma %v, %rn, %eps : f32
    %o = math.rsqrt %ve : f32
    linalg.yield %o : f32
  }
  %y = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (j)>, affine_map<(i, j) -> (j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%s, %mean, %scale, %w, %b : tensor<?x${N}xf32>, tensor<?xf32>, tensor<?xf32>, tensor<${N}xf32>, tensor<${N}xf32>) outs(%e : tensor<?x${N}xf32>) {
  ^bb0(%v: f32, %m: f32, %rs: f32, %wv: f32, %bv: f32, %i: f32):
    %d = arith.subf %v, %m : f32
    %q = arith.mulf %d, %rs : f32
    %o = math.fma %q, %wv, %bv : f32
    linalg.yield %o : f32
  } -> tensor<?x${N}xf32>
  bufferization.materialize_in_destination %y in restrict writable %ym : (tensor<?x${N}xf32>, memref<?x${N}xf32>) -> ()
  func.return
}
