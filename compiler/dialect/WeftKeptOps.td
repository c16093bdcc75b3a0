// Kept values: what a prefill computes once for all the steps that follow it.
// They live in the session beside the caches; keys and values grow there, these do not.
#ifndef WEFT_KEPT_OPS_TD
#define WEFT_KEPT_OPS_TD

include "WeftBase.td"

def Weft_KeptOp : Weft_Op<"kept", [Symbol]> {
  let summary = "a value that prefills keep for steps";
  let description = [{
    Memory of a session for `rounds` values of `type`: one for each round of the repeats that the value depends on, the
    outermost slowest. Each round has its own place there, large enough for the session's largest sizes; the value stands
    at its begin, row-major for the sizes of the call that kept it.

    ```mlir
    weft.kept @decoded.cross rounds 6 : tensor<?x?x1024xf32, #weft.dims<"B", "S">>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, I64Attr:$rounds, TypeAttrOf<Weft_Tensor>:$type);
  let assemblyFormat = "$sym_name `rounds` $rounds `:` $type attr-dict";
  let hasVerifier = 1;
}

def Weft_KeepOp : Weft_Op<"keep", [DeclareOpInterfaceMethods<SymbolUserOpInterface>, MemoryEffects<[MemWrite]>]> {
  let summary = "keeps a value";
  let description = [{
    Puts `x` where `weft.recall` finds it in later calls. Lowering lets the producer of `x` write there. An entry keeps or
    recalls a value, never both.

    ```mlir
    weft.keep %kv in @decoded.cross[%i] : tensor<?x?x1024xf32, #weft.dims<"B", "S">>
    ```
  }];
  let arguments = (ins Weft_Tensor:$x, FlatSymbolRefAttr:$kept, Variadic<Index>:$indices);
  let assemblyFormat = "$x `in` $kept (`[` $indices^ `]`)? attr-dict `:` type($x)";
}

def Weft_RecallOp : Weft_Op<"recall", [Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "a value that an earlier call kept";
  let description = [{
    The kept value of the round given by `indices`. The sizes of its dims are those of the call that kept it: the runtime
    checks that, and that there was one.

    ```mlir
    %kv = weft.recall @decoded.cross[%i] : tensor<?x?x1024xf32, #weft.dims<"B", "S">>
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$kept, Variadic<Index>:$indices);
  let results = (outs Weft_Tensor:$y);
  let assemblyFormat = "$kept (`[` $indices^ `]`)? attr-dict `:` type($y)";
}

#endif // WEFT_KEPT_OPS_TD
