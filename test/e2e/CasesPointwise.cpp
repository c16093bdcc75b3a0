// Pointwise ops, row ops (norms, reductions, softmax, pools, embeddings), and moves of elements.
// One line is one case; families of sizes are loops.
#include "Cases.h"

namespace weft::e2e {
namespace {

std::string op(const std::string &name, const std::string &rest = "") { return "\"op\": \"" + name + "\"" + (rest.empty() ? "" : ", " + rest); }
std::string str(int64_t n) { return std::to_string(n); }

}  // namespace

void addPointwiseCases(std::vector<Case> &t) {
  for (const char *name : {"neg", "abs", "relu"})
    t.push_back({"x:[B,T,3]", op(name), "exact zero"});
  for (const char *name : {"exp", "erf", "tanh", "sigmoid", "sin", "cos", "silu", "gelu", "leaky_relu", "elu", "softplus"})
    t.push_back({"x:[B,T,5]", op(name)});
  for (const char *name : {"log", "sqrt", "rsqrt"})
    t.push_back({"x:[N]+", op(name)});
  for (const char *name : {"neg", "abs", "relu", "exp", "log", "sqrt", "tanh", "sigmoid", "erf", "softplus"})
    t.push_back({"x:[N,4]!", op(name)});
  t.push_back({"x:[N]", op("gelu", R"("approximate": "tanh")")});
  t.push_back({"x:[N]", op("leaky_relu", R"("slope": 0.2)")});
  t.push_back({"x:[N]", op("elu", R"("alpha": 0.5)")});
  t.push_back({"x:[N]", op("dropout", R"("p": 0.3)"), "exact"});
  t.push_back({"x:[N]", op("clamp", R"("min": -0.5, "max": 1)"), "exact"});
  t.push_back({"x:i32[N]", op("clamp", R"("min": -3)"), "exact"});
  t.push_back({"x:i32[N]", op("neg"), "exact"});
  t.push_back({"x:i64[N]", op("abs"), "exact"});
  t.push_back({"m:bool[N]", op("not"), "exact"});

  for (const char *name : {"sub", "div", "minimum", "maximum"}) {
    t.push_back({"a:[B,T,7] b:[B,T,7]", op(name), "zero"});
    t.push_back({"a:[B,T,7] b:[7]", op(name)});
    t.push_back({"a:[T,1] b:[B,1,5]", op(name)});
    t.push_back({"a:[B,T]", op(name, R"("value": 1.5)")});
  }
  t.push_back({"a:[B,T]+ b:[B,T]", op("pow")});
  t.push_back({"a:[B,T]", op("pow", R"("value": 2)")});
  t.push_back({"a:[B,T]", op("pow", R"("value": 3)")});
  t.push_back({"a:[B,T]+", op("pow", R"("value": -0.5)")});
  t.push_back({"a:[B,T,4] b:[B,T,4] c:[4] d:[B,1,1]", op("add")});
  t.push_back({"a:[B,T,4] b:[B,T,4] c:[4]", op("mul")});
  t.push_back({"a:[B,T,4]", op("add", R"("value": 0.25)")});
  t.push_back({"a:[N]", op("add", R"("in": ["a", "a"])")});
  for (const char *name : {"add", "sub", "mul", "minimum", "maximum"})
    t.push_back({"a:i32[B,T] b:i32[T]", op(name), "exact"});
  t.push_back({"a:i64[B,T]", op("mul", R"("value": 3)"), "exact"});
  t.push_back({"g:[B,T,9] u:[B,T,9]", op("swiglu")});
  t.push_back({"g:[B,T,9] u:[B,T,9]", op("geglu")});
  t.push_back({"g:[B,T,9] u:[9]", op("geglu", R"("approximate": "tanh")")});
  for (const char *name : {"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"}) {
    t.push_back({"a:[B,T]! b:[T]!", op(name), "exact"});
    t.push_back({"a:i32[B,T]<3 b:i32[T]<3", op(name), "exact"});
  }
  t.push_back({"a:i64[N]<5", op("less", R"("value": 2)"), "exact"});
  t.push_back({"a:bool[N] b:bool[N]", op("equal"), "exact"});
  t.push_back({"a:bool[B,T] b:bool[T]", op("and"), "exact zero"});
  t.push_back({"a:bool[B,T] b:bool[B,1]", op("or"), "exact"});
  t.push_back({"c:bool[B,T] a:[B,T] b:[T]", op("where"), "exact zero"});
  t.push_back({"c:bool[T] a:[B,T]", op("where", R"("value_false": "-inf")"), "exact"});
  t.push_back({"c:bool[T]", op("where", R"("value_true": 1, "value_false": 0)"), "exact"});
  t.push_back({"c:bool[B,1] a:i32[B,T] b:i32[T]", op("where"), "exact"});
  t.push_back({"x:[B,T,3] m:bool[B,T,1]", op("masked_fill", R"("value": "-inf")"), "exact"});
  t.push_back({"x:i32[B,T] m:bool[T]", op("masked_fill", R"("value": 7)"), "exact"});
  for (const char *to : {"f32", "i32", "i64", "bool"}) {
    for (const char *from : {"f32", "i32", "i64"})
      t.push_back({std::string("x:") + from + "[B,T]", op("cast", std::string("\"dtype\": \"") + to + "\""), "exact"});
    t.push_back({"x:bool[N]", op("cast", std::string("\"dtype\": \"") + to + "\""), "exact"});
  }
  for (const char *from : {"i8", "u8", "f16", "bf16", "f64"}) {
    t.push_back({std::string("x:") + from + "[N]", op("cast", "\"dtype\": \"f32\""), "exact"});
    t.push_back({"x:[N]", op("cast", std::string("\"dtype\": \"") + from + "\""), "exact"});
  }
  t.push_back({"x:i32[N]", op("cast", "\"dtype\": \"u8\""), "exact"});
  t.push_back({"x:i64[N]", op("cast", "\"dtype\": \"i8\""), "exact"});
}

void addRowCases(std::vector<Case> &t) {
  for (int64_t n : {1, 2, 5, 16, 17, 64, 100, 768}) {
    std::string x = "x:[B,T," + str(n) + "]";
    t.push_back({x, op("layer_norm")});
    t.push_back({x, op("rms_norm", "\"eps\": 1e-5")});
    t.push_back({x, op("softmax")});
  }
  for (const char *rest : {R"("weight": false)", R"("bias": false)", R"("weight": false, "bias": false, "eps": 0.1)", R"("unbiased": true, "eps_outside": true, "eps": 1e-6)"})
    t.push_back({"x:[B,T,12]", op("layer_norm", rest), "zero"});
  t.push_back({"x:[B,6,N]", op("layer_norm", "\"axis\": 1")});
  t.push_back({"x:[7,N]", op("layer_norm", "\"axis\": 0")});
  for (const char *axis : {"-1", "0", "1"}) {
    std::string a = std::string("\"axis\": ") + axis;
    t.push_back({"x:[B,T,9]", op("l2_normalize", a)});
    t.push_back({"x:[B,T,9]", op("softmax", a)});
    t.push_back({"x:[B,T,9]", op("log_softmax", a)});
    t.push_back({"x:[B,T,9]", op("argmax", a), "exact"});
    t.push_back({"x:i32[B,T]<4", op("argmax", std::string("\"keepdim\": true, \"axis\": ") + (*axis == '-' ? "-1" : axis)), "exact"});
  }
  t.push_back({"x:[B,T]", op("softmax", "\"axis\": \"T\""), "zero"});
  t.push_back({"x:[B,N]", R"([{"id": "m", "op": "greater", "in": "x", "value": -10}, {"id": "f", "op": "masked_fill", "in": ["x", "m"], "value": "-inf"}, {"id": "y", "op": "softmax"}])"});
  for (const char *name : {"sum", "mean", "max", "min", "var"}) {
    bool picks = name[0] == 'm' && name[1] != 'e';
    std::string how = picks ? "exact" : "";
    t.push_back({"x:[B,T,10]", op(name), how});
    t.push_back({"x:[B,T,10]", op(name, "\"axis\": -1"), how});
    t.push_back({"x:[B,T,10]", op(name, R"("axis": 1, "keepdim": true)"), how});
    t.push_back({"x:[B,T,10]", op(name, R"("axis": [0, 2])"), how});
    t.push_back({"x:[B,T,10]", op(name, "\"axis\": 0"), how});
    t.push_back({"x:[B,T]", op(name, R"("axis": "T")"), how});
    t.push_back({"x:[B,70,N]", op(name, "\"axis\": 1"), how});
    for (const char *type : {"f32", "f64", "bf16"})
      t.push_back({std::string("x:") + type + "[B,T]", op(name, "\"axis\": 1"), how + " zero"});
    for (const char *type : {"i8", "u8", "i32", "i64"})
      if (name[0] != 'v' && name[1] != 'e')
        t.push_back({std::string("x:") + type + "[B,T]", op(name, "\"axis\": 1"), "exact zero"});
  }
  // Over nothing: what docs/format.md says of axes of size 0.
  t.push_back({"x:[B,T]", op("var", R"("axis": 1, "unbiased": true)"), "zero"});
  t.push_back({"x:[B,T,3]", op("argmax", "\"axis\": 1"), "exact zero"});
  for (const char *name : {"log_softmax", "l2_normalize"})
    t.push_back({"x:[B,T]", op(name, "\"axis\": 1"), "zero"});
  for (const char *name : {"mean_pool", "max_pool"}) {
    t.push_back({"x:[B,T,11]", op(name), "zero"});
    t.push_back({"x:[B,T,11] mask:bool[B,T]", op(name), "zero"});
  }
  t.push_back({"x:[B,T,10]", op("var", R"("axis": -1, "unbiased": true)")});
  t.push_back({"x:[B,T]", op("sum", "\"axis\": 1"), "zero"});
  t.push_back({"x:i32[B,T]", op("sum", "\"axis\": 1"), "exact"});
  t.push_back({"x:i64[B,T]", op("max", "\"axis\": 0"), "exact"});
  t.push_back({"x:i32[B,T]", op("min"), "exact"});
  for (const char *name : {"mean_pool", "max_pool"}) {
    t.push_back({"x:[B,T,11]", op(name)});
    t.push_back({"x:[B,T,11] mask:bool[B,T]", op(name)});
    t.push_back({"x:[B,T,20] mask:bool[B,T]=true", op(name)});
    t.push_back({"x:[B,T,11]", op(name, "\"axis\": 0")});
    t.push_back({"x:[B,T,11] mask:bool[B,T]", op(name, "\"axis\": 0")});
  }
  t.push_back({"i:i32[B,T]<13", op("embedding", R"("rows": 13, "features": 7)"), "exact zero"});
  t.push_back({"i:i64[N]<300", op("embedding", R"("rows": 300, "features": 64, "padding_idx": 3)"), "exact"});
  t.push_back({"x:[B,T,1]", op("position_embedding", R"("kind": "learned", "rows": 520, "features": 5, "offset": 8)"), "exact"});
  for (int64_t features : {1, 6, 17, 64})
    t.push_back({"x:[B,T,1]", op("position_embedding", R"("kind": "sinusoidal", "features": )" + str(features)), "ofscale=5e-7"});
  t.push_back({"x:[T,B]", op("position_embedding", R"("kind": "sinusoidal", "features": 6, "axis": 0, "base": 100, "offset": 3)"), "ofscale=5e-7"});
  t.push_back({"x:[B,T,8]", op("rope", "\"heads\": 2"), "ofscale=5e-7"});
  t.push_back({"x:[B,T,24]", op("rope", R"("heads": 2, "interleaved": true, "theta": 500)"), "ofscale=5e-7"});
  t.push_back({"x:[B,T,96]", op("rope", R"("heads": 3, "rotary_dim": 10, "offset": 5)"), "ofscale=5e-7"});
  t.push_back({"x:[B,T,96]", op("rope", R"("heads": 3, "rotary_dim": 10, "interleaved": true)"), "ofscale=5e-7"});
  t.push_back({"x:[B,T,1]", op("causal_mask"), "exact"});
  t.push_back({"x:[T]", op("causal_mask", "\"axis\": 0"), "exact"});
}

void addShapeCases(std::vector<Case> &t) {
  t.push_back({"x:[B,T,12]", op("reshape", R"("shape": ["B", "T", 3, -1])"), "exact zero"});
  t.push_back({"x:[B,T,12]", op("reshape", R"("shape": ["B * T", 12])"), "exact"});
  for (const char *perm : {"[0, 2, 1]", "[2, 1, 0]", "[1, 0, 2]", "[2, 0, 1]"})
    t.push_back({"x:[B,T,18]", op("transpose", std::string("\"perm\": ") + perm), "exact zero"});
  t.push_back({"x:[B,T,4,5]", op("transpose", R"("perm": [0, 2, 1, 3])"), "exact"});
  t.push_back({"x:i64[B,T]", op("transpose", R"("perm": [1, 0])"), "exact"});
  t.push_back({"x:bool[B,T]", op("transpose", R"("perm": [1, 0])"), "exact"});
  t.push_back({"x:[B,T,9]", op("split", R"("axis": -1, "sizes": [2, 3, 4], "out": ["p", "q", "y"])"), "exact out=p,q,y"});
  t.push_back({"x:[6,T]", op("split", R"("axis": 0, "sizes": [5, 1], "out": ["p", "y"])"), "exact out=p,y"});
  t.push_back({"a:[B,T,3] b:[B,T,5]", op("concat", "\"axis\": -1"), "exact"});
  t.push_back({"a:[B,T,3] b:[B,S,3] c:[B,1,3]", op("concat", "\"axis\": 1"), "exact zero"});
  t.push_back({"a:i32[B,4] b:i32[T,4]", op("concat", "\"axis\": 0"), "exact"});
  t.push_back({"x:[B,T,9]", op("slice", R"("axis": -1, "start": 2, "end": -1)"), "exact"});
  t.push_back({"x:[B,T,9]", op("slice", R"("axis": 2, "start": 1, "end": 8, "step": 3)"), "exact"});
  t.push_back({"x:[B,T,9]", op("slice", R"("axis": 1, "start": -1)"), "exact"});
  t.push_back({"x:i64[20,N]", op("slice", R"("axis": 0, "start": 3, "step": 2)"), "exact"});
  t.push_back({"x:[B,T,9]", op("select", R"("axis": 1, "index": -1)"), "exact"});
  t.push_back({"x:[B,T,9]", op("select", R"("axis": 1, "index": 0)"), "exact"});
  t.push_back({"x:[B,T,9]", op("select", R"("axis": 2, "index": 4)"), "exact"});
  t.push_back({"x:[B,T,2]", R"([{"id": "s", "op": "select", "in": "x", "axis": 1, "index": -1}, {"id": "y", "op": "reshape", "shape": ["B * 2"]}])", "exact"});
  t.push_back({"x:[B,T,2,3]", R"([{"id": "s", "op": "slice", "in": "x", "axis": 1, "end": 1}, {"id": "y", "op": "flatten", "start": 0, "end": 2}])", "exact"});
  t.push_back({"x:[B,1,T]", op("squeeze", "\"axis\": 1"), "exact"});
  t.push_back({"x:[B,T]", op("unsqueeze", "\"axis\": 1"), "exact"});
  t.push_back({"x:[B,1,6]", op("expand", R"("shape": [2, "B", 5, 6])"), "exact"});
  t.push_back({"x:[T]", op("expand", R"("shape": [3, "T"])"), "exact"});
  t.push_back({"x:[B,T,3,2]", op("flatten", R"("start": 1, "end": 2)"), "exact"});
  t.push_back({"x:[B,T,3]", op("flatten"), "exact"});
  t.push_back({"x:[B,10] i:i32[B,T]<10", op("gather", "\"axis\": 1"), "exact"});
  t.push_back({"x:[10,T] i:i64[3,1]<10", op("gather", "\"axis\": 0"), "exact"});
  t.push_back({"x:[1,10,6] i:i32[B,T,6]<10", op("gather", "\"axis\": 1"), "exact"});
  t.push_back({"x:i32[N]", R"([{"id": "c", "op": "constant", "values": [1, 2, 3], "shape": [3, 1], "dtype": "i32"}, {"id": "y", "op": "add", "in": ["x", "c"]}])", "exact"});
  t.push_back({"x:[N]", R"([{"id": "n", "op": "iota", "size": "N", "dtype": "f32"}, {"id": "y", "op": "mul", "in": ["x", "n"]}])"});
  t.push_back({"x:i32[N]", R"([{"id": "y", "op": "iota", "size": "N"}, {"id": "z", "op": "add", "in": ["x", "y"]}])", "exact out=y,z"});
  t.push_back({"x:[B,T,6]", R"([{"id": "w", "op": "parameter", "shape": [6]}, {"id": "y", "op": "mul", "in": ["x", "w"]}])"});
  t.push_back({"x:[B,3]", R"([{"id": "w", "op": "parameter", "shape": [5, 3]}, {"id": "y", "op": "unsqueeze", "in": "x", "axis": 1}, {"id": "z", "op": "add", "in": ["y", "w"]}])", "out=z"});
  // Parameters side by side: no product reads them as one packed parameter.
  t.push_back({"x:[B,3]", R"([{"id": "w", "op": "parameter", "shape": [1, 3]}, {"id": "y", "op": "concat", "in": ["w", "w"], "axis": -1}])", "exact out=x,y"});
  t.push_back({"x:[B,8]", R"([{"id": "w", "op": "parameter", "shape": [4]}, {"id": "c", "op": "concat", "in": ["w", "w"], "axis": 0}, {"id": "r", "op": "reshape", "shape": [2, 4]}, {"id": "s", "op": "transpose", "perm": [1, 0]}, {"id": "y", "op": "mul", "in": ["x", "c"]}])", "out=s,y"});
  // Indices computed inside the graph: the call fails, memory is not touched.
  t.push_back({"x:[B,10] i:i32[B,3]<5", R"([{"id": "far", "op": "add", "in": "i", "value": 100}, {"id": "y", "op": "gather", "in": ["x", "far"], "axis": 1}])", "error=expected_0.. set=B=2"});
  t.push_back({"i:i32[B,3]<5", R"([{"id": "far", "op": "sub", "in": "i", "value": 9}, {"id": "y", "op": "embedding", "in": "far", "rows": 4, "features": 8}])", "error=expected_0.. set=B=2"});
}

}  // namespace weft::e2e
