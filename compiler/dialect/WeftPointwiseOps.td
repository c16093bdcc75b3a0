// Pointwise ops: unary and binary arithmetic, comparisons, logic, selection, casts, activations, dropout.
// Alphabetical within a chapter.
#ifndef WEFT_POINTWISE_OPS_TD
#define WEFT_POINTWISE_OPS_TD

include "WeftBase.td"

//===-- unary ------------------------------------------------------------------------------------------------------===//

def Weft_AbsOp : Weft_UnaryOp<"abs", "absolute value", "y = |x|", Weft_Tensor>;
def Weft_CosOp : Weft_UnaryOp<"cos", "cosine", "y = cos(x), x in radians">;
def Weft_ErfOp : Weft_UnaryOp<"erf", "error function", "y = 2/√π ∫₀ˣ exp(-t²) dt">;
def Weft_ExpOp : Weft_UnaryOp<"exp", "exponential", "y = eˣ">;
def Weft_LogOp : Weft_UnaryOp<"log", "natural logarithm", "y = ln(x); -inf at 0, NaN below">;
def Weft_NegOp : Weft_UnaryOp<"neg", "negation", "y = -x", Weft_Tensor>;
def Weft_NotOp : Weft_UnaryOp<"not", "logical negation", "y = !x", Weft_BoolTensor> { let hasFolder = 1; }
def Weft_ReluOp : Weft_UnaryOp<"relu", "rectified linear unit", "y = max(x, 0); NaN stays NaN">;
def Weft_RsqrtOp : Weft_UnaryOp<"rsqrt", "reciprocal square root", "y = 1/√x">;
def Weft_SigmoidOp : Weft_UnaryOp<"sigmoid", "logistic function", "y = 1 / (1 + e⁻ˣ)">;
def Weft_SiluOp : Weft_UnaryOp<"silu", "sigmoid-weighted linear unit", "y = x / (1 + e⁻ˣ)">;
def Weft_SinOp : Weft_UnaryOp<"sin", "sine", "y = sin(x), x in radians">;
def Weft_SoftplusOp : Weft_UnaryOp<"softplus", "smooth rectifier", "y = ln(1 + eˣ), without overflow">;
def Weft_SqrtOp : Weft_UnaryOp<"sqrt", "square root", "y = √x">;
def Weft_TanhOp : Weft_UnaryOp<"tanh", "hyperbolic tangent", "y = (eˣ - e⁻ˣ) / (eˣ + e⁻ˣ)">;

//===-- unary with attributes ----------------------------------------------------------------------------------------===//

class Weft_AttributedUnaryOp<string mnemonic, string what, string text, dag attributes>
    : Weft_Op<mnemonic, [Pure, Weft_Pointwise, SameOperandsAndResultType]> {
  let summary = what;
  let description = text;
  let arguments = !con((ins Weft_Tensor:$x), attributes);
  let results = (outs Weft_Tensor:$y);
  let assemblyFormat = "$x attr-dict `:` type($x)";
}

def Weft_ClampOp : Weft_AttributedUnaryOp<"clamp", "limit to a range", [{
    `y = min(max(x, low), high)`; a bound left out does not limit. NaN stays NaN.

    ```mlir
    %y = weft.clamp %x {low = 0.0 : f64, high = 6.0 : f64} : tensor<?x16xf32, #weft.dims<"B">>
    ```
  }], (ins OptionalAttr<F64Attr>:$low, OptionalAttr<F64Attr>:$high)>;

def Weft_DropoutOp : Weft_AttributedUnaryOp<"dropout", "random zeroing in training", [{
    `y = x · keep / (1 - p)`. Element e (row-major over the whole batch, across micro-batches) is kept where
    `u >= round(p · 2³²)` with u = word `e mod 4` of Philox4x32-10 (Salmon et al. 2011), whose key is the call's seed and
    whose counter is `(e / 4 low, e / 4 high, site + 2654435769 · round, step)`. `round` is an expression over the repeats'
    indices. The same op with the same `site` is the gradient of the op. Without a `site` it is the identity.

    ```mlir
    %y = weft.dropout %x {p = 1.000000e-01 : f64, site = 7 : i64} : tensor<?x16xf32, #weft.dims<"B">>
    ```
  }], (ins F64Attr:$p, OptionalAttr<I64Attr>:$site, OptionalAttr<StrAttr>:$round)> { let hasVerifier = 1; let hasFolder = 1; }

def Weft_EluOp : Weft_AttributedUnaryOp<"elu", "exponential linear unit", [{
    `y = x` where x > 0, else `alpha · (eˣ - 1)`.

    ```mlir
    %y = weft.elu %x {alpha = 1.0 : f64} : tensor<?x16xf32, #weft.dims<"B">>
    ```
  }], (ins F64Attr:$alpha)>;

def Weft_GeluOp : Weft_AttributedUnaryOp<"gelu", "Gaussian error linear unit", [{
    `y = x/2 · (1 + erf(x/√2))`; with `approximate` (tanh): `x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³)))`.

    ```mlir
    %y = weft.gelu %x : tensor<?x16xf32, #weft.dims<"B">>
    ```
  }], (ins UnitAttr:$approximate)>;

def Weft_LeakyReluOp : Weft_AttributedUnaryOp<"leaky_relu", "rectifier with a slope below zero", [{
    `y = x` where x > 0, else `slope · x`.

    ```mlir
    %y = weft.leaky_relu %x {slope = 1.000000e-02 : f64} : tensor<?x16xf32, #weft.dims<"B">>
    ```
  }], (ins F64Attr:$slope)>;

def Weft_CastOp : Weft_Op<"cast", [Pure, Weft_Pointwise]> {
  let summary = "change the element type";
  let description = [{
    Float to float rounds to nearest even; float to integer truncates toward zero, saturates, and takes NaN to 0; to bool
    is `x != 0`; bool to number is 0 or 1.

    ```mlir
    %y = weft.cast %x : tensor<?xi32, #weft.dims<"T">> to tensor<?xf32, #weft.dims<"T">>
    ```
  }];
  let arguments = (ins Weft_Tensor:$x);
  let results = (outs Weft_Tensor:$y);
  let assemblyFormat = "$x attr-dict `:` type($x) `to` type($y)";
  let hasVerifier = 1;
  let hasFolder = 1;
}

//===-- binary -------------------------------------------------------------------------------------------------------===//

def Weft_AddOp : Weft_BinaryOp<"add", "sum", "z = x + y", Weft_Tensor, [Commutative]> { let hasFolder = 1; }
def Weft_AndOp : Weft_BinaryOp<"and", "logical and", "z = x && y", Weft_BoolTensor, [Commutative]>;
def Weft_DivOp : Weft_BinaryOp<"div", "quotient", "z = x / y", Weft_FloatTensor> { let hasFolder = 1; let hasCanonicalizer = 1; }
def Weft_MaximumOp : Weft_BinaryOp<"maximum", "larger of two", "z = max(x, y); NaN if either is", Weft_Tensor, [Commutative]>;
def Weft_MinimumOp : Weft_BinaryOp<"minimum", "smaller of two", "z = min(x, y); NaN if either is", Weft_Tensor, [Commutative]>;
def Weft_MulOp : Weft_BinaryOp<"mul", "product", "z = x · y", Weft_Tensor, [Commutative]> { let hasFolder = 1; }
def Weft_OrOp : Weft_BinaryOp<"or", "logical or", "z = x || y", Weft_BoolTensor, [Commutative]>;
def Weft_PowOp : Weft_BinaryOp<"pow", "power", "z = xʸ", Weft_FloatTensor> { let hasCanonicalizer = 1; }
def Weft_SubOp : Weft_BinaryOp<"sub", "difference", "z = x - y"> { let hasFolder = 1; }

def Weft_EqualOp : Weft_CompareOp<"equal", "equality", "z = (x == y)">;
def Weft_GreaterEqualOp : Weft_CompareOp<"greater_equal", "comparison", "z = (x >= y)">;
def Weft_GreaterOp : Weft_CompareOp<"greater", "comparison", "z = (x > y)">;
def Weft_LessEqualOp : Weft_CompareOp<"less_equal", "comparison", "z = (x <= y)">;
def Weft_LessOp : Weft_CompareOp<"less", "comparison", "z = (x < y)">;
def Weft_NotEqualOp : Weft_CompareOp<"not_equal", "inequality", "z = (x != y)">;

//===-- selection ----------------------------------------------------------------------------------------------------===//

def Weft_WhereOp : Weft_InferredOp<"where", [Weft_Pointwise]> {
  let summary = "choose between two values";
  let description = [{
    `y = cond ? a : b` with NumPy's broadcasting over all three operands. The value not chosen is not looked at: a NaN
    there does not spread. `masked_fill(x, mask, v)` is `where(mask, v, x)`.

    ```mlir
    %y = weft.where %c, %a, %b : (tensor<?xi1, #weft.dims<"T">>, tensor<f32>, tensor<?xf32, #weft.dims<"T">>) -> tensor<?xf32, #weft.dims<"T">>
    ```
  }];
  let arguments = (ins Weft_BoolTensor:$cond, Weft_Tensor:$a, Weft_Tensor:$b);
  let results = (outs Weft_Tensor:$y);
  let assemblyFormat = "$cond `,` $a `,` $b attr-dict `:` functional-type(operands, results)";
}

#endif // WEFT_POINTWISE_OPS_TD
