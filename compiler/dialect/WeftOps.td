// Structure of a model (dims, parameters, states, repeats) and the fused ops that kernels are made from.
// Includes all chapters: tablegen runs on this file.
#ifndef WEFT_OPS_TD
#define WEFT_OPS_TD

include "WeftBase.td"
include "WeftGradientOps.td"
include "WeftKeptOps.td"
include "WeftLossOps.td"
include "WeftPointwiseOps.td"
include "WeftRowOps.td"
include "WeftShapeOps.td"
include "WeftSugarOps.td"
include "WeftTransformerOps.td"

//===-- declarations -------------------------------------------------------------------------------------------------===//

def Weft_DimOp : Weft_Op<"dim", [Symbol]> {
  let summary = "a named dim and its range";
  let description = [{
    Sizes of axes named so lie in `min … max`, in steps of `multiple_of`; `hint` is the size plans and figures are made for.

    ```mlir
    weft.dim @T min 1 max 512 hint 128 multiple_of 1
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, I64Attr:$min, I64Attr:$max, I64Attr:$hint, I64Attr:$multiple_of);
  let assemblyFormat = "$sym_name `min` $min `max` $max `hint` $hint `multiple_of` $multiple_of attr-dict";
  let hasVerifier = 1;
}

def Weft_ParamOp : Weft_Op<"param", [Symbol]> {
  let summary = "a parameter tensor, or one per round of the repeats its name contains";
  let description = [{
    `tensors` are the numbers of the model's parameter tensors (weft_param_desc), one per round, the outermost index
    slowest; a single one when the name contains no index.

    ```mlir
    weft.param @"h.{i}.ln_1.weight" : tensor<768xf32> {tensors = array<i32: 2, 14>}
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<Weft_Tensor>:$type, DenseI32ArrayAttr:$tensors);
  let assemblyFormat = "$sym_name `:` $type attr-dict";
  let hasVerifier = 1;
}

def Weft_StateOp : Weft_Op<"state", [Symbol]> {
  let summary = "a key-value cache";
  let description = [{
    Keys and values of `layers` layers, `[kv_heads, capacity, head_dim]` for each sequence of a session.

    ```mlir
    weft.state @kv layers 5 kv_heads 4 head_dim 8 capacity 512 : f32
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, I64Attr:$layers, I64Attr:$kv_heads, I64Attr:$head_dim, I64Attr:$capacity, TypeAttr:$element_type);
  let assemblyFormat = "$sym_name `layers` $layers `kv_heads` $kv_heads `head_dim` $head_dim `capacity` $capacity `:` $element_type attr-dict";
  let hasVerifier = 1;
}

//===-- structure ----------------------------------------------------------------------------------------------------===//

def Weft_ParameterOp : Weft_Op<"parameter", [Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "the value of a parameter";
  let description = [{
    Reads `param`, of the round given by the repeat indices its name contains.

    ```mlir
    %w = weft.parameter @"h.{i}.ln_1.weight"[%i] : tensor<768xf32>
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$param, Variadic<Index>:$indices);
  let results = (outs Weft_Tensor:$y);
  let assemblyFormat = "$param (`[` $indices^ `]`)? attr-dict `:` type($y)";
}

def Weft_RepeatOp : Weft_Op<"repeat", [SingleBlockImplicitTerminator<"::weft::YieldOp">, RecursiveMemoryEffects]> {
  let summary = "the same layers, several times";
  let description = [{
    Runs the region `count` times; the block's first argument is the round, the others are the carried values: `init` in
    the first round, then what the round before yielded. The first results are the carried values of the last round. What
    is yielded beyond the carried values is stacked: a result `[count, …]` whose element r along axis 0 is round r's value.
    Rounds are 0 … count - 1; with `reverse`, as in a backward pass, count - 1 … 0. Values from outside may be used inside.
    It stays a loop down to the machine code.

    ```mlir
    %y = weft.repeat 12 "i"(%x) : (tensor<?x768xf32, #weft.dims<"T">>) -> tensor<?x768xf32, #weft.dims<"T">> {
    ^bb0(%i: index, %h: tensor<?x768xf32, #weft.dims<"T">>):
      …
      weft.yield %z : tensor<?x768xf32, #weft.dims<"T">>
    }
    ```
  }];
  let arguments = (ins I64Attr:$count, StrAttr:$index, Variadic<Weft_Tensor>:$init, UnitAttr:$reverse);
  let results = (outs Variadic<Weft_Tensor>:$results);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$count $index `(` $init `)` `:` functional-type($init, $results) attr-dict-with-keyword $body";
  let hasVerifier = 1;
  let hasCanonicalizer = 1;
  let extraClassDeclaration = [{
    mlir::Value getRound() { return getBody().getArgument(0); }
    mlir::ValueRange getCarried() { return getBody().getArguments().drop_front(); }
    mlir::ResultRange getCarriedResults() { return getResults().take_front(getInit().size()); }
    mlir::ResultRange getStackedResults() { return getResults().drop_front(getInit().size()); }
    mlir::Operation::operand_range getYielded() { return getBody().front().getTerminator()->getOperands(); }
  }];
  let builders = [OpBuilder<(ins "int64_t":$count, "mlir::StringRef":$index, "mlir::ValueRange":$init,
      CArg<"mlir::TypeRange", "{}">:$stacked, CArg<"bool", "false">:$reverse)>];
  let skipDefaultBuilders = 1;
}

def Weft_ChunksOp : Weft_Op<"chunks", [SingleBlockImplicitTerminator<"::weft::YieldOp">, RecursiveMemoryEffects, AttrSizedOperandSegments]> {
  let summary = "rows in chunks, one after the other";
  let description = [{
    Cuts the axis 0 of `rows`, one size N for all, into chunks of `size`; the last has what is left. Runs the region for each
    chunk, in order: the block's arguments are the carried values, as in `repeat`, then the chunk of each operand. `index`
    names the number of the chunk in sizes: chunks have `min(size, N - index * size)` rows. The first results are the
    carried values after the last chunk; what is yielded beyond them are chunks of the other results, `[N, …]`. Values from
    outside may be used inside. No value of the region has more rows than a chunk.

    ```mlir
    %sum, %y = weft.chunks 64 "c"(%zero) rows(%x) : (tensor<f32>, tensor<?x8xf32, #weft.dims<"B">>) -> (tensor<f32>, tensor<?x8xf32, #weft.dims<"B">>) {
    ^bb0(%s: tensor<f32>, %part: tensor<?x8xf32, #weft.dims<"min(64, B - c * 64)">>):
      …
      weft.yield %t, %z : tensor<f32>, tensor<?x8xf32, #weft.dims<"min(64, B - c * 64)">>
    }
    ```
  }];
  let arguments = (ins I64Attr:$size, StrAttr:$index, Variadic<Weft_Tensor>:$init, Variadic<Weft_Tensor>:$rows);
  let results = (outs Variadic<Weft_Tensor>:$results);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$size $index `(` $init `)` `rows` `(` $rows `)` `:` functional-type(operands, $results) attr-dict-with-keyword $body";
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// Rows of all chunks together, and of one, which the index chooses.
    ::weft::DimExpr getTotal();
    ::weft::DimExpr getChunkRows();
    /// `expr`, a polynomial of a chunk's rows, for all rows: what all chunks cost together.
    ::weft::DimExpr overAllChunks(const ::weft::DimExpr &expr);
    /// The largest value over the chunks of a size that grows with a chunk's rows.
    ::weft::DimExpr overLargestChunk(const ::weft::DimExpr &expr);
    mlir::ValueRange getCarried() { return getBody().getArguments().take_front(getInit().size()); }
    mlir::ValueRange getParts() { return getBody().getArguments().drop_front(getInit().size()); }
    mlir::ResultRange getCarriedResults() { return getResults().take_front(getInit().size()); }
    mlir::ResultRange getRowResults() { return getResults().drop_front(getInit().size()); }
    mlir::Operation::operand_range getYielded() { return getBody().front().getTerminator()->getOperands(); }
  }];
  let builders = [OpBuilder<(ins "int64_t":$size, "mlir::StringRef":$index, "mlir::ValueRange":$init, "mlir::ValueRange":$rows,
      "mlir::TypeRange":$rowResults)>];
  let skipDefaultBuilders = 1;
}

def Weft_YieldOp : Weft_Op<"yield", [Pure, Terminator, ReturnLike, ParentOneOf<["RepeatOp", "ChunksOp", "FusedOp", "ContractOp"]>]> {
  let summary = "values of a region";
  let description = [{
    Ends the region of a `repeat` or `chunks` (next carried values first), a `fused` (results) or a `contract` (epilogue results).

    ```mlir
    weft.yield %y : tensor<?x768xf32, #weft.dims<"T">>
    ```
  }];
  let arguments = (ins Variadic<AnyType>:$values);
  let assemblyFormat = "($values^ `:` type($values))? attr-dict";
  let builders = [OpBuilder<(ins), [{ build($_builder, $_state, ::mlir::ValueRange()); }]>];
}

//===-- fused ops ----------------------------------------------------------------------------------------------------===//

def Weft_FusedOp : Weft_Op<"fused", [IsolatedFromAbove, Pure, SingleBlockImplicitTerminator<"::weft::YieldOp">]> {
  let summary = "several ops as one row kernel";
  let description = [{
    The region computes the results from the operands with weft ops; nothing inside it is stored except what it yields
    (and what the kernel keeps of one row). Block arguments stand for the operands in order.

    ```mlir
    %y = weft.fused(%x, %r, %g) : (tensor<?x8xf32, #weft.dims<"B">>, tensor<?x8xf32, #weft.dims<"B">>, tensor<8xf32>) -> tensor<?x8xf32, #weft.dims<"B">> {
    ^bb0(%a: tensor<?x8xf32, #weft.dims<"B">>, %b: tensor<?x8xf32, #weft.dims<"B">>, %c: tensor<8xf32>):
      %s = weft.add %a, %b : (tensor<?x8xf32, #weft.dims<"B">>, tensor<?x8xf32, #weft.dims<"B">>) -> tensor<?x8xf32, #weft.dims<"B">>
      %n = weft.rms_norm %s, %c {eps = 1.0e-5 : f64} : (tensor<?x8xf32, #weft.dims<"B">>, tensor<8xf32>) -> tensor<?x8xf32, #weft.dims<"B">>
      weft.yield %n : tensor<?x8xf32, #weft.dims<"B">>
    }
    ```
  }];
  let arguments = (ins Variadic<Weft_Tensor>:$operands_);
  let results = (outs Variadic<Weft_Tensor>:$results);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "`(` $operands_ `)` `:` functional-type($operands_, results) attr-dict-with-keyword $body";
  let hasVerifier = 1;
}

def Weft_ContractOp : Weft_Op<"contract", [IsolatedFromAbove, Pure, SingleBlockImplicitTerminator<"::weft::YieldOp">]> {
  let summary = "a matrix product with its epilogue";
  let description = [{
    `acc = matmul(a, b)` (with `transpose_a`, `transpose_b` as in `weft.matmul`), then the region maps acc to the results,
    element by element, while it is in registers. Block arguments: acc, then the extra operands. An extra operand is a
    scalar, a vector along the last axis (`[N]`, a bias), or has acc's shape (a residual). Inside are pointwise ops only.
    Where one of a and b has half precision, an f32 b is rounded to it as it is packed; sums are f32.

    ```mlir
    %y = weft.contract %x, %w extras(%b) {transpose_b} : (tensor<?x64xf32, #weft.dims<"T">>, tensor<512x64xf32>, tensor<512xf32>) -> tensor<?x512xf32, #weft.dims<"T">> {
    ^bb0(%acc: tensor<?x512xf32, #weft.dims<"T">>, %bias: tensor<512xf32>):
      %s = weft.add %acc, %bias : (tensor<?x512xf32, #weft.dims<"T">>, tensor<512xf32>) -> tensor<?x512xf32, #weft.dims<"T">>
      %g = weft.gelu %s : tensor<?x512xf32, #weft.dims<"T">>
      weft.yield %g : tensor<?x512xf32, #weft.dims<"T">>
    }
    ```
  }];
  let arguments = (ins Weft_FloatTensor:$a, Weft_FloatTensor:$b, Variadic<Weft_Tensor>:$extras, UnitAttr:$transpose_a, UnitAttr:$transpose_b);
  let results = (outs Variadic<Weft_Tensor>:$results);
  let regions = (region SizedRegion<1>:$epilogue);
  let assemblyFormat = [{
    $a `,` $b (`extras` `(` $extras^ `)`)? attr-dict `:` functional-type(operands, results) $epilogue
  }];
  let hasVerifier = 1;
}

#endif // WEFT_OPS_TD
