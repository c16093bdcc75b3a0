// Every op: shapes and dtypes of its results, and what it refuses, as two tables.
// The last test fails if an op of the table has no line in both.
#include "Helpers.h"

#include <set>

using namespace weft;
using namespace weft::test;

namespace {

struct Good {
  const char *op, *inputs, *node, *result;
};
struct Wrong {
  const char *op, *inputs, *node, *message;
};

constexpr const char *kX = "x:f32[B,T,8]";
constexpr const char *kTwo = "x:f32[B,T,8] z:f32[B,T,8]";
constexpr const char *kQkv = "q:f32[B,T,8] k:f32[B,S,8] v:f32[B,S,8]";
constexpr const char *kLoss = "x:f32[B,T,5] t:i32[B,T]";

const std::vector<Good> kGood = {
    {"embedding", "i:i32[B,T]", R"("in": "i", "rows": 9, "features": 8)", "f32 [B, T, 8]"},
    {"embedding", "i:i64[B]", R"("in": "i", "rows": 9, "features": "2 * 4", "padding_idx": 8)", "f32 [B, 8]"},
    {"position_embedding", "i:i32[B,T]", R"("in": "i", "kind": "learned", "rows": 40, "features": 8)", "f32 [T, 8]"},
    {"position_embedding", "i:i32[B,T]", R"("in": "i", "kind": "sinusoidal", "features": 7, "offset": {"state": "kv"})",
     "f32 [B, T, 7]"},
    {"position_embedding", "i:f16[T,4]", R"("in": "i", "kind": "sinusoidal", "features": 8, "axis": "T", "offset": 3)",
     "f16 [T, 8]"},
    {"rope", kX, R"("in": "x", "heads": 2)", "f32 [B, T, 8]"},
    {"rope", kX,
     R"("in": "x", "heads": 2, "rotary_dim": 2, "interleaved": true, "theta": 500, "offset": {"state": "kv"})",
     "f32 [B, T, 8]"},
    {"linear", kX, R"("in": "x", "features": 4)", "f32 [B, T, 4]"},
    {"linear", "x:bf16[8]", R"("in": ["x"], "features": 4, "bias": false, "activation": "gelu_tanh")", "bf16 [4]"},
    {"matmul", "x:f32[B,T,8] z:f32[8,3]", R"("in": ["x", "z"])", "f32 [B, T, 3]"},
    {"matmul", kTwo, R"("in": {"a": "x", "b": "z"}, "transpose_b": true)", "f32 [B, T, T]"},
    {"matmul", "x:f32[B,1,T,8] z:f32[2,T,5]", R"("in": ["x", "z"], "transpose_a": true)", "f32 [B, 2, 8, 5]"},
    {"einsum", "x:f32[B,T,2,4] z:f32[B,S,2,4]", R"("in": ["x", "z"], "equation": "nqhd, nkhd -> nhqk")",
     "f32 [B, 2, T, S]"},
    {"einsum", kX, R"("in": "x", "equation": "btd->bd")", "f32 [B, 8]"},
    {"einsum", "x:f32[B,T,8] z:f32[8,3]", R"("in": ["x", "z"], "equation": "...i,ij->...j")", "f32 [B, T, 3]"},
    {"einsum", "x:f32[3,3]", R"("in": "x", "equation": "ii->i")", "f32 [3]"},
    {"layer_norm", kX, R"("in": "x")", "f32 [B, T, 8]"},
    {"layer_norm", kX, R"("in": "x", "axis": 1, "weight": false, "bias": false, "unbiased": true, "eps_outside": true)",
     "f32 [B, T, 8]"},
    {"rms_norm", kX, R"("in": "x", "eps": 1e-5)", "f32 [B, T, 8]"},
    {"l2_normalize", kX, R"("in": "x", "axis": "T")", "f32 [B, T, 8]"},
    {"attention", kQkv, R"("in": ["q", "k", "v"], "heads": 2)", "f32 [B, T, 8]"},
    {"attention", "q:f32[B,T,8] k:f32[B,S,4] v:f32[B,S,6] m:bool[B,S] a:bool[T,S] b:f32[2,1,S]",
     R"("in": {"q": "q", "k": "k", "v": "v", "key_mask": "m", "mask": "a", "bias": "b"}, "heads": 2, "kv_heads": 1, "causal": true, "window": 4, "softcap": 30, "dropout": 0.1, "scale": 0.5)",
     "f32 [B, T, 12]"},
    {"attention", kQkv, R"("in": ["q", "k", "v"], "heads": 2, "return_weights": "per_head", "out": ["o", "y"])",
     "f32 [B, 2, T, S]"},
    {"attention", kQkv, R"("in": ["q", "k", "v"], "heads": 2, "return_weights": "mean", "out": ["o", "y"])",
     "f32 [B, T, S]"},
    {"attention", kX,
     R"("in": ["x", "x", "x"], "heads": 2, "causal": true, "cache": {"state": "kv", "layer": 1}, "return_weights": false)",
     "f32 [B, T, 8]"},
    {"mha", kX, R"("in": "x", "heads": 4)", "f32 [B, T, 8]"},
    {"mha", "x:f32[B,T,8] z:f32[B,S,8] m:bool[B,S]",
     R"("in": {"q": "x", "k": "z", "v": "z", "key_mask": "m"}, "heads": 2, "bias": false)", "f32 [B, T, 8]"},
    {"mha", "x:f32[B,T,8] z:f32[B,S,8]", R"("in": ["x", "z", "z"], "heads": 2)", "f32 [B, T, 8]"},
    {"causal_mask", kX, R"("in": "x")", "bool [T, T]"},
    {"causal_mask", kX, R"("in": "x", "axis": -1)", "bool [8, 8]"},
    {"neg", "x:i32[B]", R"("in": "x")", "i32 [B]"},
    {"abs", "x:i8[B]", R"("in": "x")", "i8 [B]"},
    {"exp", kX, R"("in": "x")", "f32 [B, T, 8]"},
    {"log", kX, R"("in": "x")", "f32 [B, T, 8]"},
    {"sqrt", kX, R"("in": "x")", "f32 [B, T, 8]"},
    {"rsqrt", kX, R"("in": "x")", "f32 [B, T, 8]"},
    {"erf", kX, R"("in": "x")", "f32 [B, T, 8]"},
    {"tanh", kX, R"("in": "x")", "f32 [B, T, 8]"},
    {"sigmoid", kX, R"("in": "x")", "f32 [B, T, 8]"},
    {"sin", kX, R"("in": "x")", "f32 [B, T, 8]"},
    {"cos", kX, R"("in": "x")", "f32 [B, T, 8]"},
    {"relu", "x:f64[]", R"("in": "x")", "f64 []"},
    {"silu", kX, R"("in": "x", "dtype": "f32")", "f32 [B, T, 8]"},
    {"not", "x:bool[B]", R"("in": "x")", "bool [B]"},
    {"gelu", kX, R"("in": "x", "approximate": "tanh")", "f32 [B, T, 8]"},
    {"leaky_relu", kX, R"("in": "x", "slope": 0.2)", "f32 [B, T, 8]"},
    {"elu", kX, R"("in": "x")", "f32 [B, T, 8]"},
    {"softplus", kX, R"("in": "x")", "f32 [B, T, 8]"},
    {"clamp", "x:i32[B]", R"("in": "x", "min": 0)", "i32 [B]"},
    {"clamp", kX, R"("in": "x", "min": -1, "max": "inf")", "f32 [B, T, 8]"},
    {"cast", "x:bool[B]", R"("in": "x", "dtype": "f16")", "f16 [B]"},
    {"dropout", kX, R"("in": "x", "p": 0)", "f32 [B, T, 8]"},
    {"sub", "x:f32[B,T,8] z:f32[8]", R"("in": ["x", "z"])", "f32 [B, T, 8]"},
    {"sub", "x:i32[B]", R"("in": "x", "value": 3)", "i32 [B]"},
    {"div", kX, R"x("in": "x", "value": "sqrt(16)")x", "f32 [B, T, 8]"},
    {"div", kX, R"("in": "x", "value": "T")", "f32 [B, T, 8]"},
    {"pow", kX, R"("in": {"a": "x"}, "value": 2)", "f32 [B, T, 8]"},
    {"minimum", kTwo, R"("in": ["x", "z"])", "f32 [B, T, 8]"},
    {"maximum", "x:f32[B,1,8] z:f32[T,1]", R"("in": ["x", "z"])", "f32 [B, T, 8]"},
    {"add", "x:f32[B,T,8] z:f32[T,8] w:f32[8]", R"("in": ["x", "z", "w"], "value": 1)", "f32 [B, T, 8]"},
    {"mul", "x:i64[B]", R"("in": "x", "value": 2)", "i64 [B]"},
    {"swiglu", kTwo, R"("in": {"gate": "x", "up": "z"})", "f32 [B, T, 8]"},
    {"geglu", kTwo, R"("in": ["x", "z"], "approximate": "tanh")", "f32 [B, T, 8]"},
    {"equal", "x:i32[B,T]", R"("in": "x", "value": 0)", "bool [B, T]"},
    {"not_equal", "x:bool[B] z:bool[B]", R"("in": ["x", "z"])", "bool [B]"},
    {"less", kTwo, R"("in": ["x", "z"])", "bool [B, T, 8]"},
    {"less_equal", kTwo, R"("in": ["x", "z"])", "bool [B, T, 8]"},
    {"greater", kX, R"("in": "x", "value": 0.5)", "bool [B, T, 8]"},
    {"greater_equal", kTwo, R"("in": ["x", "z"])", "bool [B, T, 8]"},
    {"and", "x:bool[B,T] z:bool[T]", R"("in": ["x", "z"])", "bool [B, T]"},
    {"or", "x:bool[B,T] z:bool[B,1]", R"("in": ["x", "z"])", "bool [B, T]"},
    {"where", "c:bool[B,T,1] x:f32[B,T,8] z:f32[8]", R"("in": ["c", "x", "z"])", "f32 [B, T, 8]"},
    {"where", "c:bool[B,T,1] x:f32[B,T,8]", R"("in": {"cond": "c", "b": "x"}, "value_true": "-inf")", "f32 [B, T, 8]"},
    {"where", "c:bool[B,T,1] x:f32[B,T,8]", R"("in": ["c", "x"], "value_true": 0)", "f32 [B, T, 8]"},
    {"where", "c:bool[B]", R"("in": "c", "value_true": 1, "value_false": 0)", "f32 [B]"},
    {"masked_fill", "x:f32[B,2,T,S] m:bool[T,S]", R"("in": ["x", "m"], "value": "-inf")", "f32 [B, 2, T, S]"},
    {"reshape", kX, R"("in": "x", "shape": ["B", "T", 2, -1])", "f32 [B, T, 2, 4]"},
    {"reshape", kX, R"("in": "x", "shape": ["B * T", 8])", "f32 [B * T, 8]"},
    {"reshape", kX, R"("in": "x", "shape": [-1])", "f32 [B * T * 8]"},
    {"reshape", "x:f32[E,6]", R"("in": "x", "shape": [-1, 12])", "f32 [E / 2, 12]"},
    {"transpose", kX, R"("in": "x", "perm": [0, -1, 1])", "f32 [B, 8, T]"},
    {"split", kX, R"("in": "x", "axis": "T", "sizes": ["T - 1", 1], "out": ["y", "rest"])", "f32 [B, T - 1, 8]"},
    {"concat", "x:f32[B,T,8] z:f32[B,S,8]", R"("in": ["x", "z"], "axis": 1)", "f32 [B, S + T, 8]"},
    {"slice", kX, R"("in": "x", "axis": -1, "start": 1, "end": -1, "step": 2)", "f32 [B, T, 3]"},
    {"slice", "x:f32[40,8]", R"("in": "x", "axis": 0, "end": "T")", "f32 [T, 8]"},
    {"slice", "x:f32[40,8]", R"("in": "x", "axis": 0, "start": 3, "end": "T + 3")", "f32 [T, 8]"},
    {"slice", kX, R"("in": "x", "axis": 1, "start": -1)", "f32 [B, 1, 8]"},
    {"slice", "x:f32[E]", R"("in": "x", "axis": 0, "step": 2)", "f32 [E / 2]"},
    {"select", kX, R"("in": "x", "axis": "T", "index": -1)", "f32 [B, 8]"},
    {"squeeze", "x:f32[B,1,8]", R"("in": "x", "axis": 1)", "f32 [B, 8]"},
    {"unsqueeze", kX, R"("in": "x", "axis": -1)", "f32 [B, T, 8, 1]"},
    {"expand", "x:f32[B,1,8]", R"("in": "x", "shape": [3, "B", "T", 8])", "f32 [3, B, T, 8]"},
    {"flatten", "x:f32[B,1,28,28]", R"("in": "x", "start": 1)", "f32 [B, 784]"},
    {"flatten", kX, R"("in": "x")", "f32 [B * T * 8]"},
    {"gather", "x:f32[B,T,8] i:i32[B,T,3]", R"("in": ["x", "i"], "axis": -1)", "f32 [B, T, 3]"},
    {"gather", "x:f32[B,T,8] i:i64[B,T,1]", R"("in": {"x": "x", "index": "i"}, "axis": 2)", "f32 [B, T, 1]"},
    {"constant", "", R"("values": [1, 2, 3, 4], "shape": [2, 2])", "f32 [2, 2]"},
    {"constant", "", R"("value": true, "dtype": "bool", "shape": ["B"])", "bool [B]"},
    {"constant", "", R"("value": "-inf")", "f32 []"},
    {"iota", "", R"("size": "T + 1")", "i32 [T + 1]"},
    {"iota", "", R"("size": 5, "dtype": "f32")", "f32 [5]"},
    {"parameter", "", R"("shape": [3, "2 + 2"])", "f32 [3, 4]"},
    {"sum", kX, R"("in": "x", "axis": [0, "T"])", "f32 [8]"},
    {"sum", "x:i32[B,T]", R"("in": "x")", "i32 []"},
    {"mean", kX, R"("in": "x", "axis": -1, "keepdim": true)", "f32 [B, T, 1]"},
    {"max", kX, R"("in": "x", "axis": 1)", "f32 [B, 8]"},
    {"min", kX, R"("in": "x")", "f32 []"},
    {"var", kX, R"("in": "x", "axis": 2, "unbiased": true)", "f32 [B, T]"},
    {"argmax", kX, R"("in": "x")", "i32 [B, T]"},
    {"argmax", kX, R"("in": "x", "axis": "T", "keepdim": true)", "i32 [B, 1, 8]"},
    {"softmax", kX, R"("in": "x", "axis": 1)", "f32 [B, T, 8]"},
    {"log_softmax", kX, R"("in": "x")", "f32 [B, T, 8]"},
    {"mean_pool", "x:f32[B,T,8] m:bool[B,T]", R"("in": {"x": "x", "mask": "m"}, "axis": "T")", "f32 [B, 8]"},
    {"max_pool", kX, R"("in": "x")", "f32 [B, 8]"},
    {"cross_entropy", kLoss, R"("in": {"logits": "x", "labels": "t"}, "label_smoothing": 0.1, "ignore_index": -1)",
     "f32 []"},
    {"cross_entropy", "x:f32[B,5] t:i64[B] w:f32[5]", R"("in": ["x", "t", "w"], "reduction": "none")", "f32 [B]"},
    {"cross_entropy", kLoss, R"("in": ["x", "t"], "class_weights": [1, 2, 3, 4, 5], "reduction": "sum")", "f32 []"},
    {"bce_with_logits", "x:f32[B,3] t:f32[B,3]", R"("in": ["x", "t"], "pos_weight": [1, 2, 3])", "f32 []"},
    {"mse", "x:f32[B,3] t:f32[B,3]", R"("in": {"prediction": "x", "target": "t"})", "f32 []"},
    {"l1", "x:f32[B,3] t:f32[B,3]", R"("in": ["x", "t"], "reduction": "none")", "f32 [B, 3]"},
    {"huber", "x:f32[B,3] t:f32[B,3]", R"("in": ["x", "t"], "delta": 2)", "f32 []"},
    {"kl_div", "x:f32[B,3] t:f32[B,3]", R"("in": {"log_q": "x", "p": "t"}, "reduction": "batchmean")", "f32 []"},
};

const std::vector<Wrong> kWrong = {
    {"embedding", "i:f32[B]", R"("in": "i", "rows": 9, "features": 8)", "expected an i32 or i64 operand but got f32"},
    {"embedding", "i:i32[B]", R"("in": "i", "rows": 9, "features": 8, "padding_idx": 9)",
     "padding_idx 9 is outside 0..8"},
    {"embedding", "i:i32[B]", R"("in": "i", "rows": 0, "features": 8)", "expected an integer of at least 1 but got 0"},
    {"position_embedding", "i:i32[B,T]", R"("in": "i", "kind": "learned", "features": 8)",
     "learned positions need 'rows'"},
    {"position_embedding", "i:i32[B,T]", R"("in": "i", "kind": "sinusodial", "features": 8)",
     "did you mean 'sinusoidal'?"},
    {"position_embedding", "i:i32[B,T]", R"("in": "i", "kind": "sinusoidal", "features": 8, "offset": {"state": "kw"})",
     "did you mean 'kv'?"},
    {"rope", kX, R"("in": "x", "heads": 8)", "rotary_dim 1 must be even"},
    {"rope", kX, R"("in": "x", "heads": 3)", "8 features are not divisible by 3 heads"},
    {"rope", "x:f32[B,8]", R"("in": "x", "heads": 2)", "expected rank 3 but got [B, 8]"},
    {"linear", "x:i32[B,8]", R"("in": "x", "features": 4)", "expected a float operand but got i32"},
    {"linear", "x:f32[8,T]", R"("in": "x", "features": 4)", "has no fixed size"},
    {"linear", "x:f32[]", R"("in": "x", "features": 4)", "expected rank 1 or more"},
    {"linear", kX, R"("in": "x", "features": "T")", "known at run time only"},
    {"linear", kX, R"("in": "x")", "needs the attribute 'features'"},
    {"linear", kX, R"("in": "x", "features": 4, "activation": "swish")", "unknown word 'swish'"},
    {"matmul", "x:f32[B,T,8] z:f32[4,3]", R"("in": ["x", "z"])", "inner axes differ"},
    {"matmul", "x:f32[8] z:f32[8,3]", R"("in": ["x", "z"])", "expected rank 2 or more"},
    {"matmul", "x:f32[B,T,8] z:f32[T,8,3]", R"("in": ["x", "z"])", "do not broadcast"},
    {"matmul", "x:f32[B,8] z:f16[8,3]", R"("in": ["x", "z"])", "dtypes f32 and f16"},
    {"einsum", kTwo, R"("in": ["x", "z"], "equation": "btd,bsd")", "has no '->'"},
    {"einsum", kTwo, R"("in": ["x", "z"], "equation": "btd->b")", "names 1 operands but got 2"},
    {"einsum", kTwo, R"("in": ["x", "z"], "equation": "btd,dbs->b")", "axis 'd' is 8 and B"},
    {"einsum", kX, R"("in": "x", "equation": "btd->bz")", "axis 'z' of the result is in no operand"},
    {"einsum", kX, R"("in": "x", "equation": "btd->bb")", "occurs twice"},
    {"einsum", kX, R"("in": "x", "equation": "bt->b")", "gives this operand 2 axes"},
    {"einsum", kX, R"("in": "x", "equation": "b1d->b")", "unexpected '1'"},
    {"parameter", "", R"("shape": ["B"])", "known at run time only"},
    {"parameter", "", R"("shape": [0])", "expected an integer of at least 1 but got 0"},
    {"layer_norm", kX, R"("in": "x", "axis": 1)", "has no fixed size"},
    {"layer_norm", kX, R"("in": "x", "axis": 3)", "axis 3 of a value of shape [B, T, 8]"},
    {"layer_norm", kX, R"("in": "x", "eps": -1)", "expected a number of 0 or more"},
    {"layer_norm", "x:f32[B,1]", R"("in": "x", "unbiased": true)", "divides by zero"},
    {"rms_norm", kX, R"("in": "x")", "needs the attribute 'eps'"},
    {"l2_normalize", kX, R"("in": "x", "axis": "S")", "no axis of [B, T, 8] is 'S'"},
    {"attention", kQkv, R"("in": ["q", "k", "v"], "heads": 3)", "8 features of 'q' are not divisible by 3 heads"},
    {"attention", kQkv, R"("in": ["q", "k", "v"], "heads": 4, "kv_heads": 3)",
     "4 heads are not divisible by 3 kv_heads"},
    {"attention", kQkv, R"("in": ["q", "k", "v"], "heads": 4, "kv_heads": 2)",
     "heads of q have 2 features, but heads of k have 4"},
    {"attention", kQkv, R"("in": ["q", "k"], "heads": 2)", "needs operand 'v'"},
    {"attention", "q:f32[B,T,8] k:f32[B,S,8] v:f32[B,T,8]", R"("in": ["q", "k", "v"], "heads": 2)",
     "keys and values differ in length"},
    {"attention", "q:f32[B,T,8] k:f32[S,T,8]", R"("in": ["q", "k", "k"], "heads": 2)", "batch sizes differ"},
    {"attention", "q:f32[B,T,8] m:bool[B,S]", R"("in": {"q": "q", "k": "q", "v": "q", "key_mask": "m"}, "heads": 2)",
     "expected [B, T] but got [B, S]"},
    {"attention", "q:f32[B,T,8] m:bool[3,T,T]", R"("in": {"q": "q", "k": "q", "v": "q", "mask": "m"}, "heads": 2)",
     "broadcasts to [B, 2, T, T]"},
    {"attention", "q:f32[B,T,8] m:f32[T,T]", R"("in": {"q": "q", "k": "q", "v": "q", "mask": "m"}, "heads": 2)",
     "expected a bool operand"},
    {"attention", kQkv, R"("in": ["q", "k", "v"], "heads": 2, "window": 3)", "'window' needs causal"},
    {"attention", kQkv, R"("in": ["q", "k", "v"], "heads": 2, "dropout": 1.0)", "from 0 to below 1 but got 1.0"},
    {"attention", kQkv, R"("in": ["q", "k", "v"], "heads": 2, "scale": "inf")", "expected a finite number"},
    {"attention", kQkv, R"("in": ["q", "k", "v"], "heads": 2, "return_weights": "mean")",
     "gives 2 results but got 1 name"},
    {"attention", kX, R"("in": ["x", "x", "x"], "heads": 2, "cache": {"state": "kv", "layer": 2})",
     "layer 2 reaches 2, but state 'kv' has layers 0..1"},
    {"attention", kX, R"("in": ["x", "x", "x"], "heads": 4, "cache": {"state": "kv"})",
     "state 'kv' holds 2 heads of 4, but keys are 4 heads of 2"},
    {"attention", kX, R"("in": ["x", "x", "x"], "heads": 2, "cache": {"stat": "kv"})", "cache has no key 'stat'"},
    {"mha", kX, R"("in": ["x", "x"], "heads": 2)", "mha takes x, or q, k and v"},
    {"mha", kX, R"("in": {"q": "x"}, "heads": 2)", "mha takes x, or q, k and v"},
    {"mha", "x:f32[B,T,8] z:f32[B,S,6]", R"("in": ["x", "z", "z"], "heads": 2)", "expected 8 features as in q"},
    {"mha", kX, R"("in": "x", "heads": 2, "kv_heads": 2)", "op 'mha' has no attribute 'kv_heads'"},
    {"causal_mask", "x:f32[B]", R"("in": "x")", "axis 1 of a value of shape [B]"},
    {"neg", "x:bool[B]", R"("in": "x")", "expected a numeric operand but got bool"},
    {"abs", kTwo, R"("in": ["x", "z"])", "takes 1 operand but got 2"},
    {"exp", "x:i32[B]", R"("in": "x")", "expected a float operand but got i32"},
    {"log", kX, R"("in": "x", "base": 2)", "op 'log' has no attribute 'base'"},
    {"softmax", kX, R"("in": "x", "across": -1)", "op 'softmax' has no attribute 'across' (it takes 'in', 'out', 'param', 'dtype' or 'axis')"},
    {"softmax", kX, R"("in": "x", "inputs": "x")", "op 'softmax' has no attribute 'inputs' (did you mean 'in'?)"},
    {"sqrt", "x:i32[B]", R"("in": "x")", "expected a float operand"},
    {"rsqrt", "x:i32[B]", R"("in": "x")", "expected a float operand"},
    {"erf", "x:i32[B]", R"("in": "x")", "expected a float operand"},
    {"tanh", "x:i32[B]", R"("in": "x")", "expected a float operand"},
    {"sigmoid", "x:i32[B]", R"("in": "x")", "expected a float operand"},
    {"sin", "x:i32[B]", R"("in": "x")", "expected a float operand"},
    {"cos", "x:bool[B]", R"("in": "x")", "expected a float operand"},
    {"relu", kX, R"("in": [])", "takes 1 operand but got 0"},
    {"silu", kX, R"("in": "x", "dtype": "i32")", "expected a float dtype but got 'i32'"},
    {"not", kX, R"("in": "x")", "expected a bool operand but got f32"},
    {"gelu", kX, R"("in": "x", "approximate": true)", "expected 'none' or 'tanh' but got true"},
    {"leaky_relu", kX, R"("in": "x", "slope": "inf")", "expected a finite number"},
    {"elu", kX, R"("in": "x", "alpha": "a")", "unknown name 'a'"},
    {"softplus", "x:i64[B]", R"("in": "x")", "expected a float operand"},
    {"clamp", kX, R"("in": "x")", "needs 'min' or 'max'"},
    {"clamp", kX, R"("in": "x", "min": 1, "max": 0)", "min is larger than max"},
    {"clamp", "x:i32[B]", R"("in": "x", "min": 0.5)", "expected a value of dtype i32"},
    {"cast", kX, R"("in": "x", "dtype": "float32")", "did you mean 'f32'?"},
    {"dropout", kX, R"("in": "x", "p": 1)", "from 0 to below 1 but got 1"},
    {"dropout", kX, R"("in": "x", "p": -0.1)", "from 0 to below 1 but got -0.1"},
    {"sub", kX, R"("in": "x")", "needs a second operand or 'value'"},
    {"sub", kTwo, R"("in": ["x", "z"], "value": 1)", "not both"},
    {"div", "x:i32[B]", R"("in": "x", "value": 2)", "expected a float operand"},
    {"pow", "x:f32[B] z:f16[B]", R"("in": ["x", "z"])", "dtypes f32 and f16"},
    {"minimum", "x:f32[B,T] z:f32[B,S]", R"("in": ["x", "z"])", "do not broadcast: axis -1 is T and S"},
    {"maximum", "x:i8[B]", R"("in": "x", "value": 128)", "expected a value of dtype i8"},
    {"add", "x:f32[B,T] z:f32[B,32]", R"("in": ["x", "z"])", "axis -1 is T and 32"},
    {"add", kX, R"("in": "x")", "needs two or more operands"},
    {"add", kTwo, R"("in": {"a": "x", "b": "z"})", "takes a list of operands"},
    {"mul", "x:bool[B]", R"("in": ["x", "x"])", "expected a numeric operand"},
    {"swiglu", "x:f32[B,8] z:f32[B,4]", R"("in": ["x", "z"])", "do not broadcast"},
    {"geglu", kX, R"("in": "x")", "needs operand 'up'"},
    {"equal", "x:i32[B] z:i64[B]", R"("in": ["x", "z"])", "dtypes i32 and i64"},
    {"not_equal", "x:bool[B]", R"("in": "x", "value": 2)", "expected a value of dtype bool"},
    {"less", kX, R"("in": "x")", "needs a second operand or 'value'"},
    {"less_equal", "x:f32[T] z:f32[S]", R"("in": ["x", "z"])", "do not broadcast"},
    {"greater", "x:i32[B]", R"("in": "x", "value": "inf")", "expected a value of dtype i32"},
    {"greater_equal", kX, R"("in": "x", "value": [1])", "expected a number or an expression but got a list"},
    {"and", "x:bool[B] z:f32[B]", R"("in": ["x", "z"])", "expected a bool operand but got f32"},
    {"or", "x:bool[B]", R"("in": "x")", "needs operand 'b'"},
    {"where", "c:bool[B] x:f32[B] z:i32[B]", R"("in": ["c", "x", "z"])", "dtypes f32 and i32"},
    {"where", "c:bool[B] x:f32[B]", R"("in": {"cond": "c", "a": "x"})", "takes operand 'b' or 'value_false'"},
    {"where", kX, R"("in": ["x", "x", "x"])", "expected a bool operand"},
    {"masked_fill", "x:i32[B] m:bool[B]", R"("in": ["x", "m"], "value": "-inf")", "expected a value of dtype i32"},
    {"masked_fill", "x:f32[B] m:f32[B]", R"("in": ["x", "m"], "value": 0)", "expected a bool operand"},
    {"reshape", kX, R"("in": "x", "shape": [-1, -1])", "only one entry may be -1"},
    {"reshape", kX, R"("in": "x", "shape": ["B", 3, -1])", "is not always divisible by B * 3"},
    {"reshape", "x:f32[B,8]", R"("in": "x", "shape": ["B", 3, -1])", "is not divisible by B * 3"},
    {"reshape", kX, R"("in": "x", "shape": ["B", "T", 4])", "has B * T * 8 elements, but [B, T, 4] has B * T * 4"},
    {"reshape", kX, R"("in": "x", "shape": ["B", "T", 0, 8])", "expected sizes of at least 1 but got 0"},
    {"reshape", "x:f32[T,6]", R"("in": "x", "shape": [-1, 12])", "is not always divisible by 12"},
    {"transpose", kX, R"("in": "x", "perm": [0, 1])", "expected 3 axes"},
    {"transpose", kX, R"("in": "x", "perm": [0, 1, 1])", "axis 1 is named twice"},
    {"transpose", kX, R"("in": "x", "perm": [0, 1, 3])", "axis 3 of a value of shape [B, T, 8]"},
    {"split", kX, R"("in": "x", "axis": -1, "sizes": [3, 4], "out": ["y", "z"])",
     "sizes add up to 7, but axis 2 of [B, T, 8] is 8"},
    {"split", kX, R"("in": "x", "axis": -1, "sizes": [4, 4])", "gives 2 results but got 1 name"},
    {"split", kX, R"("in": "x", "axis": 1, "sizes": ["T - 4", 4], "out": ["y", "z"])",
     "expected sizes of at least 1 but got T - 4"},
    {"concat", "x:f32[B,T,8] z:f32[B,T,4]", R"("in": ["x", "z"], "axis": 1)", "axis 2 is 8 and 4"},
    {"concat", "x:f32[B,T,8] z:f32[B,T]", R"("in": ["x", "z"], "axis": 0)", "expected rank 3 but got [B, T]"},
    {"slice", kX, R"("in": "x", "axis": -1, "end": 9)", "slice 0:9 is not inside axis 2"},
    {"slice", kX, R"("in": "x", "axis": -1, "start": 4, "end": 4)", "is empty or runs backwards"},
    {"slice", kX, R"("in": "x", "axis": -1, "step": 0)", "expected an integer of at least 1 but got 0"},
    {"slice", "x:f32[20,8]", R"("in": "x", "axis": 0, "end": "T")", "slice 0:T, which may be 32, is not inside axis 0"},
    {"slice", "x:f32[T]", R"("in": "x", "axis": 0, "step": 2)", "is not always a multiple of step 2"},
    {"slice", kX, R"("in": "x", "axis": -1, "start": "-9223372036854775807 - 1")", "is not inside axis 2"},
    {"select", kX, R"("in": "x", "axis": -1, "index": 8)", "index 8 of an axis of 8"},
    {"select", kX, R"("in": "x", "axis": 1, "index": -2)", "index -2 of an axis of T, which may be 1"},
    {"squeeze", kX, R"("in": "x", "axis": 1)", "is T, not 1"},
    {"unsqueeze", kX, R"("in": "x", "axis": 4)", "axis 4 of a value of shape [B, T, 8]"},
    {"expand", kX, R"("in": "x", "shape": ["B", "S", 8])", "does not expand to [B, S, 8]"},
    {"expand", "x:f32[B,1]", R"("in": "x", "shape": ["B", -1])", "expected sizes of at least 1 but got -1"},
    {"flatten", kX, R"("in": "x", "start": 2, "end": 1)", "axis 2 is behind axis 1"},
    {"gather", "x:f32[B,T,8] i:i32[B,3]", R"("in": ["x", "i"], "axis": -1)", "expected rank 3"},
    {"gather", "x:f32[B,T,8] i:f32[B,T,3]", R"("in": ["x", "i"], "axis": -1)", "expected an i32 or i64 operand"},
    {"gather", "x:f32[B,T,8] i:i32[B,S,3]", R"("in": ["x", "i"], "axis": -1)", "do not broadcast"},
    {"constant", "", R"("value": 1, "values": [1])", "not both"},
    {"constant", "", R"("values": [1, 2], "shape": [3])", "[3] needs 3 values but got 2"},
    {"constant", "", R"("value": 0.5, "dtype": "i32")", "expected a value of dtype i32 but got 0.5"},
    {"constant", "x:f32[B]", R"("in": "x", "value": 1)", "takes no operands"},
    {"iota", "", R"("size": 0)", "expected sizes of at least 1 but got 0"},
    {"iota", "", R"("size": 4, "dtype": "bool")", "expected a number's dtype"},
    {"sum", kX, R"("in": "x", "axis": [0, -3])", "axis 0 is named twice"},
    {"sum", "x:bool[B]", R"("in": "x")", "expected a numeric operand"},
    {"mean", "x:i32[B]", R"("in": "x")", "expected a float operand"},
    {"max", kX, R"("in": "x", "axis": [])", "the list is empty"},
    {"min", kX, R"("in": "x", "axis": 3)", "axis 3 of a value of shape"},
    {"var", "x:f32[B,1]", R"("in": "x", "axis": 1, "unbiased": true)", "divides by zero"},
    {"argmax", "x:f32[]", R"("in": "x")", "axis -1 of a value of shape []"},
    {"softmax", kX, R"("in": "x", "axis": [1])", "expected a number or an expression but got a list"},
    {"log_softmax", "x:i32[B]", R"("in": "x")", "expected a float operand"},
    {"mean_pool", "x:f32[B,T,8] m:bool[B,S]", R"("in": ["x", "m"])", "expected [B, T] but got [B, S]"},
    {"mean_pool", kX, R"("in": "x", "axis": 2)", "expected a position axis of 0 or 1 but got 2"},
    {"max_pool", "x:f32[B,T]", R"("in": "x")", "expected rank 3"},
    {"cross_entropy", "x:f32[B,T,5] t:i32[B]", R"("in": ["x", "t"])", "expected labels of shape [B, T] but got [B]"},
    {"cross_entropy", "x:f32[B,5] t:f32[B]", R"("in": ["x", "t"])", "expected an i32 or i64 operand"},
    {"cross_entropy", "x:f32[B,5] t:i32[B]", R"("in": ["x", "t"], "class_weights": [1, 2])",
     "expected 5 weights but got 2"},
    {"cross_entropy", "x:f32[B,5] t:i32[B]", R"("in": ["x", "t"], "reduction": "batchmean")",
     "unknown word 'batchmean'"},
    {"bce_with_logits", "x:f32[B,3] t:f32[B]", R"("in": ["x", "t"])", "differ in shape"},
    {"bce_with_logits", "x:f32[B,3] t:f32[B,3]", R"("in": ["x", "t"], "pos_weight": [1, 2])", "but got 2"},
    {"mse", "x:f32[B,1] t:f32[B]", R"("in": ["x", "t"])", "prediction [B, 1] and target [B] differ in shape"},
    {"l1", "x:f32[B] t:i32[B]", R"("in": ["x", "t"])", "expected a float operand"},
    {"huber", "x:f32[B] t:f32[B]", R"("in": ["x", "t"], "delta": 0)", "expected a number above 0"},
    {"kl_div", "x:f32[] t:f32[]", R"("in": ["x", "t"], "reduction": "batchmean")", "batchmean needs a batch axis"},
};

/// Losses stand in train/nodes and read train inputs; their sum is the loss.
Reading readCase(const char *op, const char *inputs, const char *node) {
  std::string line = std::string("{\"id\": \"") +
                     (std::string(node).find("\"out\"") == std::string::npos ? "y" : "both") + "\", \"op\": \"" + op +
                     "\", " + node + "}";
  if (!findOp(op)->isLoss) {
    size_t out = std::string(node).find("\"out\"");
    return readParts(inputs, line,
                     out == std::string::npos || std::string(node).find("\"y\"", out) != std::string::npos ? "y" : "o");
  }
  std::string train = "\"train\": {\"inputs\": {" + inputsText(inputs) + "}, \"nodes\": [" + line +
                      R"(, {"id": "total", "op": "sum", "in": "y"}], "loss": "total"}, "entries": {"forward": {}},)";
  return readParts("", R"({"id": "p", "op": "parameter", "shape": [1]})", "p", train);
}

TEST(ShapeRules, ResultsOfEveryOp) {
  for (const Good &good : kGood) {
    Reading got = readCase(good.op, good.inputs, good.node);
    ASSERT_TRUE(static_cast<bool>(got)) << good.op << " " << good.node << "\n" << got.errors();
    EXPECT_EQ(typeOf(*got, "y"), good.result) << good.op << " " << good.node;
  }
}

TEST(ShapeRules, RefusalsOfEveryOp) {
  for (const Wrong &wrong : kWrong) {
    Reading got = readCase(wrong.op, wrong.inputs, wrong.node);
    // An operand that is left out may leave its input unused.
    size_t count = 0;
    for (const Diagnostic &next : got.diagnostics.sorted())
      count += !next.warning && next.text.find("nothing uses") == std::string::npos;
    EXPECT_EQ(count, 1u) << wrong.op << " " << wrong.node << "\n" << got.errors();
    EXPECT_NE(got.errors().find(wrong.message), std::string::npos) << wrong.op << " " << wrong.node << "\n"
                                                                   << got.errors();
    for (const Diagnostic &next : got.diagnostics.sorted())
      EXPECT_NE(next.pos.line, 0u) << next.text;
  }
}

TEST(ShapeRules, EveryOpIsTestedBothWays) {
  std::set<std::string> good, wrong;
  for (const Good &next : kGood)
    good.insert(next.op);
  for (const Wrong &next : kWrong)
    wrong.insert(next.op);
  for (const OpInfo &op : opTable()) {
    EXPECT_TRUE(good.count(op.name)) << op.name;
    EXPECT_TRUE(wrong.count(op.name)) << op.name;
  }
}

TEST(ShapeRules, AttributesAreNormalised) {
  Reading got = readParts(
      "x:f32[B,T,8]",
      R"({"id": "a", "op": "slice", "in": "x", "axis": -1, "start": -3, "end": -1}, {"id": "b", "op": "sum", "in": "x"},
     {"id": "c", "op": "reshape", "in": "x", "shape": ["B", -1]}, {"id": "d", "op": "select", "in": "x", "axis": "T", "index": -1},
     {"id": "e", "op": "select", "in": "x", "axis": 2, "index": -1}, {"id": "f", "op": "attention", "in": ["x", "x", "x"], "heads": 2},
     {"id": "g", "op": "rope", "in": "x", "heads": 2}, {"id": "h", "op": "div", "in": "x", "value": "2 * T"}, {"id": "i", "op": "div", "in": "x", "value": 2},
     {"id": "j", "op": "einsum", "in": "x", "equation": " ...d -> d... "}, {"id": "k", "op": "transpose", "in": "x", "perm": [-1, 0, 1]})",
      "a b c d e f g h i j k");
  EXPECT_READS(got);
  auto attr = [&](const char *node, const char *name) -> const AttrValue & {
    return findNode(got->graph.nodes, node)->attrs.at(name);
  };
  EXPECT_EQ(std::get<DimExpr>(attr("a", "start")), DimExpr(5));
  EXPECT_EQ(std::get<DimExpr>(attr("a", "end")), DimExpr(7));
  EXPECT_EQ(std::get<int64_t>(attr("a", "axis")), 2);
  EXPECT_EQ(std::get<std::vector<int64_t>>(attr("b", "axis")), (std::vector<int64_t>{0, 1, 2}));
  EXPECT_EQ(std::get<bool>(attr("b", "keepdim")), false);
  EXPECT_EQ(shapeText(std::get<Shape>(attr("c", "shape"))), "[B, T * 8]");
  EXPECT_EQ(std::get<int64_t>(attr("d", "axis")), 1);
  EXPECT_EQ(std::get<int64_t>(attr("d", "index")), -1);
  EXPECT_EQ(std::get<int64_t>(attr("e", "index")), 7);
  EXPECT_EQ(std::get<double>(attr("f", "scale")), 0.5);
  EXPECT_EQ(std::get<int64_t>(attr("f", "kv_heads")), 2);
  EXPECT_FALSE(findNode(got->graph.nodes, "f")->attrs.count("return_weights"));
  EXPECT_FALSE(findNode(got->graph.nodes, "f")->attrs.count("cache"));
  EXPECT_EQ(std::get<int64_t>(attr("g", "rotary_dim")), 4);
  EXPECT_EQ(std::get<DimExpr>(attr("g", "offset")), DimExpr(0));
  EXPECT_EQ(std::get<DimExpr>(attr("h", "value")).str(), "T * 2");
  EXPECT_EQ(std::get<double>(attr("i", "value")), 2.0);
  EXPECT_EQ(std::get<std::string>(attr("j", "equation")), "abd->dab");
  EXPECT_EQ(std::get<std::vector<int64_t>>(attr("k", "perm")), (std::vector<int64_t>{2, 0, 1}));
}

} // namespace
