// Products and attention over sizes that cross lanes (16), panels (64), row tiles (6, 24, 192) and depth blocks (4096).
// And small graphs in which several nodes become one kernel.
#include "Cases.h"

namespace weft::e2e {
namespace {

std::string op(const std::string &name, const std::string &rest = "") { return "\"op\": \"" + name + "\"" + (rest.empty() ? "" : ", " + rest); }
std::string str(int64_t n) { return std::to_string(n); }

}  // namespace

void addDenseCases(std::vector<Case> &t) {
  for (auto [in, out] : {std::pair<int, int>{1, 1}, {3, 5}, {16, 16}, {17, 63}, {64, 64}, {65, 65}, {100, 129}, {7, 300}, {300, 1}, {128, 15}})
    t.push_back({"x:[B,T," + str(in) + "]", op("linear", "\"features\": " + str(out)), in == 3 ? "zero" : ""});
  t.push_back({"x:[T,4100]", op("linear", "\"features\": 20"), "set=T=1;T=7"});
  t.push_back({"x:[T,9000]", op("linear", "\"features\": 70"), "slow set=T=1;T=200"});
  t.push_back({"x:[T,64]", op("linear", "\"features\": 64"), "set=T=191;T=192;T=193;T=400"});
  for (const char *activation : {"relu", "gelu", "gelu_tanh", "silu", "tanh", "sigmoid"})
    t.push_back({"x:[B,T,20]", op("linear", std::string("\"features\": 33, \"activation\": \"") + activation + "\"")});
  t.push_back({"x:[B,T,20]", op("linear", R"("features": 33, "bias": false)")});
  t.push_back({"x:[20]", op("linear", "\"features\": 33")});

  t.push_back({"a:[T,9] b:[9,S]", op("matmul"), "zero"});
  t.push_back({"a:[B,T,9] b:[B,9,S]", op("matmul")});
  t.push_back({"a:[B,T,40] b:[B,S,40]", op("matmul", "\"transpose_b\": true")});
  t.push_back({"a:[B,9,T] b:[B,9,S]", op("matmul", "\"transpose_a\": true")});
  t.push_back({"a:[B,9,T] b:[B,S,9]", op("matmul", R"("transpose_a": true, "transpose_b": true)")});
  t.push_back({"a:[B,3,T,8] b:[3,8,S]", op("matmul")});
  t.push_back({"a:[T,8] b:[B,8,5]", op("matmul")});
  t.push_back({"a:[B,T,S] b:[B,S,6]", op("matmul"), "zero"});
  t.push_back({"a:[B,T,3] b:[B,T,5]", op("einsum", R"("equation": "btd,bte->bde")"), "zero"});
  t.push_back({"a:[B,1,T,S] b:[3,S,6]", op("matmul")});
  t.push_back({"x:[B,T,12]", R"([{"id": "w", "op": "parameter", "shape": [12, 70]}, {"id": "y", "op": "matmul", "in": ["x", "w"]}])"});

  auto einsum = [&](const char *inputs, const char *equation) { t.push_back({inputs, op("einsum", std::string("\"equation\": \"") + equation + "\"")}); };
  einsum("q:[B,T,2,12] k:[B,S,2,12]", "nqhd,nkhd->nhqk");
  einsum("p:[B,2,T,S] v:[B,S,2,12]", "nhqk,nkhd->nqhd");
  einsum("a:[B,T] b:[T,S]", "ij,jk->ik");
  einsum("a:[B,T] b:[T,S]", "ij,jk->ki");
  einsum("a:[B,T,6] b:[6]", "btd,d->bt");
  einsum("a:[T] b:[S]", "i,j->ij");
  einsum("a:[] b:[T,S]", ",ij->ji");
  einsum("a:[T] b:[]", "i,->i");
  einsum("a:[] b:[]", ",->");
  einsum("a:[B,T,5]", "btd->bd");
  einsum("a:[B,T,5]", "btd->tbd");
  einsum("a:[B,T,5] b:[B,T,5]", "btd,btd->bt");
  einsum("a:[B,T,5] b:[5,7]", "...d,de->...e");
}

void addAttentionCases(std::vector<Case> &t) {
  auto attention = [&](int64_t heads, int64_t kv, int64_t dh, int64_t dv, const char *rest, const char *more = "", const char *keys = "S", const char *options = "") {
    std::string shapes = "q:[B,T," + str(heads * dh) + "] k:[B," + keys + "," + str(kv * dh) + "] v:[B," + keys + "," + str(kv * dv) + "]" + more;
    std::string in = R"("in": {"q": "q", "k": "k", "v": "v")";
    for (const char *extra : {"key_mask", "mask", "bias"})
      if (std::string(more).find(std::string(" ") + extra + ":") != std::string::npos)
        in += std::string(", \"") + extra + "\": \"" + extra + "\"";
    t.push_back({shapes, op("attention", "\"heads\": " + str(heads) + (kv != heads ? ", \"kv_heads\": " + str(kv) : "") + ", " + in + "}" + rest), options});
  };
  for (int64_t dh : {1, 3, 8, 16, 17, 32, 64, 80, 128})
    attention(2, 2, dh, dh, "");
  attention(1, 1, 8, 24, "");
  attention(3, 3, 16, 5, "");
  attention(4, 4, 8, 8, ", \"causal\": true", "", "T");
  attention(4, 2, 16, 16, ", \"causal\": true", "", "T");
  attention(8, 1, 16, 16, ", \"causal\": true", "", "T");
  attention(2, 2, 8, 8, ", \"causal\": true");
  attention(2, 2, 8, 8, R"(, "causal": true, "window": 4)", "", "T");
  attention(2, 1, 32, 32, R"(, "causal": true, "window": 20, "softcap": 5)", "", "T");
  attention(2, 2, 16, 16, R"(, "softcap": 2, "scale": 1)");
  attention(2, 2, 16, 16, "", " key_mask:bool[B,S]");
  attention(2, 2, 16, 16, "", " key_mask:bool[B,S]=true");
  attention(2, 2, 16, 16, "", " key_mask:bool[B,S]=false");
  attention(2, 2, 16, 16, "", " mask:bool[T,S]");
  attention(2, 2, 16, 16, "", " mask:bool[B,1,T,S]");
  attention(2, 2, 16, 16, "", " mask:bool[B,2,T,S]");
  attention(2, 2, 16, 16, "", " bias:[2,T,S]");
  attention(2, 2, 16, 16, "", " bias:[B,1,1,S]");
  attention(2, 2, 16, 16, ", \"causal\": true", " key_mask:bool[B,T] mask:bool[1,T] bias:[2,T,1]", "T");
  for (const char *weights : {"per_head", "mean"}) {
    std::string rest = std::string(", \"return_weights\": \"") + weights + "\", \"out\": [\"y\", \"w\"]";
    attention(2, 2, 16, 16, rest.c_str(), "", "S", "out=y,w");
    attention(4, 2, 8, 8, (rest + ", \"causal\": true").c_str(), " key_mask:bool[B,T]", "T", "out=y,w");
  }
  attention(2, 2, 16, 16, "", "", "S", "zero");
  attention(2, 2, 16, 16, ", \"causal\": true", " key_mask:bool[B,S] bias:[2,T,S]", "S", "zero");
  attention(2, 1, 8, 8, R"(, "return_weights": "mean", "out": ["y", "w"])", "", "S", "zero out=y,w");
  for (const char *half : {"f16", "bf16"}) {
    std::string x = std::string("x:") + half + "[B,T,16]";
    t.push_back({x, op("attention", R"("in": ["x", "x", "x"], "heads": 2, "causal": true)")});
    t.push_back({x, op("mha", "\"heads\": 2")});
    t.push_back({x, R"([{"id": "s", "op": "matmul", "in": ["x", "x"], "transpose_b": true}, {"id": "d", "op": "div", "value": 4}, {"id": "p", "op": "softmax"}, {"id": "y", "op": "matmul", "in": ["p", "x"]}])"});
  }
  t.push_back({"x:[B,T,16]", op("mha", "\"heads\": 2")});
  t.push_back({"x:[B,T,24] mask:bool[B,T]", op("mha", R"("heads": 3, "in": {"x": "x", "key_mask": "mask"}, "bias": false, "causal": true)")});
  t.push_back({"q:[B,T,32] k:[B,S,32]", op("mha", R"("heads": 4, "in": {"q": "q", "k": "k", "v": "k"}, "return_weights": "mean", "out": ["y", "w"])"), "out=y,w"});
}

void addGraphCases(std::vector<Case> &t) {
  // Contraction with epilogues: bias, activation, residual, scale, norm before and after.
  t.push_back({"x:[B,T,24]", R"([{"id": "a", "op": "linear", "in": "x", "features": 96, "activation": "gelu"}, {"id": "b", "op": "linear", "features": 24}, {"id": "y", "op": "add", "in": ["x", "b"]}])"});
  t.push_back({"x:[B,T,24]", R"([{"id": "n", "op": "layer_norm", "in": "x"}, {"id": "a", "op": "linear", "features": 50}, {"id": "r", "op": "relu"}, {"id": "y", "op": "linear", "features": 24}])"});
  t.push_back({"x:[B,T,24]", R"([{"id": "a", "op": "linear", "in": "x", "features": 24}, {"id": "s", "op": "add", "in": ["a", "x"]}, {"id": "y", "op": "layer_norm"}])", "out=s,y"});
  t.push_back({"x:[B,T,20]", R"([{"id": "g", "op": "linear", "in": "x", "features": 50, "bias": false}, {"id": "u", "op": "linear", "in": "x", "features": 50, "bias": false}, {"id": "h", "op": "swiglu", "in": ["g", "u"]}, {"id": "y", "op": "linear", "features": 20, "bias": false}])"});
  t.push_back({"x:[B,T,16]", R"([{"id": "q", "op": "linear", "in": "x", "features": 16}, {"id": "k", "op": "linear", "in": "x", "features": 16}, {"id": "v", "op": "linear", "in": "x", "features": 16}, {"id": "y", "op": "attention", "in": ["q", "k", "v"], "heads": 2}])"});
  t.push_back({"x:[B,T,16]", R"([{"id": "qkv", "op": "linear", "in": "x", "features": 48}, {"id": "s", "op": "split", "axis": -1, "sizes": [16, 16, 16], "out": ["q", "k", "v"]}, {"id": "a", "op": "attention", "in": ["q", "k", "v"], "heads": 4, "causal": true}, {"id": "o", "op": "linear", "features": 16}, {"id": "y", "op": "add", "in": ["x", "o"]}])"});
  // Attention written out: must give the same numbers whatever it is fused into.
  const char *head = R"json([{"id": "qh", "op": "reshape", "in": "q", "shape": ["B", "T", 2, 8]}, {"id": "qt", "op": "transpose", "perm": [0, 2, 1, 3]},
   {"id": "kh", "op": "reshape", "in": "k", "shape": ["B", "S", 2, 8]}, {"id": "kt", "op": "transpose", "perm": [0, 2, 1, 3]},
   {"id": "vh", "op": "reshape", "in": "v", "shape": ["B", "S", 2, 8]}, {"id": "vt", "op": "transpose", "perm": [0, 2, 1, 3]},
   {"id": "s", "op": "matmul", "in": ["qt", "kt"], "transpose_b": true}, {"id": "sc", "op": "div", "value": "sqrt(8)"}, )json";
  const char *tail = R"({"id": "p", "op": "softmax"}, {"id": "c", "op": "matmul", "in": ["p", "vt"]}, {"id": "ct", "op": "transpose", "perm": [0, 2, 1, 3]}, {"id": "y", "op": "reshape", "shape": ["B", "T", 16]}])";
  const std::string qkv = "q:[B,T,16] k:[B,S,16] v:[B,S,16]";
  t.push_back({qkv, std::string(head) + tail});
  t.push_back({qkv, std::string(head) + tail, "out=y,p"});
  t.push_back({qkv + " m:bool[B,1,1,S]", std::string(head) + R"({"id": "mf", "op": "masked_fill", "in": ["sc", "m"], "value": -1e9}, )" + tail});
  t.push_back({qkv + " m:bool[T,S]", std::string(head) + R"({"id": "mf", "op": "where", "in": {"cond": "m", "a": "sc"}, "value_false": "-inf"}, )" + tail});
  t.push_back({qkv + " b:[B,2,T,S]", std::string(head) + R"({"id": "mf", "op": "add", "in": ["sc", "b"]}, )" + tail});
  t.push_back({"q:[B,T,2,8] k:[B,S,2,8] v:[B,S,2,8]", R"([{"id": "e", "op": "einsum", "in": ["q", "k"], "equation": "nqhd,nkhd->nhqk"}, {"id": "s", "op": "div", "value": 4}, {"id": "p", "op": "softmax", "axis": 3}, {"id": "c", "op": "einsum", "in": ["p", "v"], "equation": "nhql,nlhd->nqhd"}, {"id": "y", "op": "reshape", "shape": ["B", "T", 16]}])"});
  // Rows: chains, several users, results that are outputs too.
  t.push_back({"x:[B,T,30]", R"([{"id": "a", "op": "exp", "in": "x"}, {"id": "b", "op": "mul", "in": ["a", "x"]}, {"id": "s", "op": "sum", "in": "b", "axis": -1, "keepdim": true}, {"id": "y", "op": "div", "in": ["a", "s"]}])", "ofscale=1e-5"});
  t.push_back({"x:[B,T,30]", R"([{"id": "m", "op": "mean", "in": "x", "axis": -1, "keepdim": true}, {"id": "d", "op": "sub", "in": ["x", "m"]}, {"id": "q", "op": "mul", "in": ["d", "d"]}, {"id": "v", "op": "mean", "axis": -1, "keepdim": true}, {"id": "e", "op": "add", "value": 1e-5}, {"id": "r", "op": "sqrt"}, {"id": "y", "op": "div", "in": ["d", "r"]}])", "out=y,m,v"});
  t.push_back({"x:[B,T,10]", R"([{"id": "a", "op": "relu", "in": "x"}, {"id": "b", "op": "transpose", "in": "a", "perm": [0, 2, 1]}, {"id": "y", "op": "softmax"}])", "out=a,b,y"});
  t.push_back({"i:i32[B,T]<11", R"([{"id": "e", "op": "embedding", "in": "i", "rows": 11, "features": 16}, {"id": "p", "op": "position_embedding", "in": "i", "kind": "learned", "rows": 512, "features": 16}, {"id": "s", "op": "add", "in": ["e", "p"]}, {"id": "y", "op": "layer_norm"}])"});
  t.push_back({"x:[B,T,10] m:bool[B,T]", R"([{"id": "a", "op": "linear", "in": "x", "features": 12}, {"id": "p", "op": "mean_pool", "in": {"x": "a", "mask": "m"}}, {"id": "l", "op": "l2_normalize"}, {"id": "y", "op": "linear", "in": "p", "features": 3}])", "out=l,y"});
  t.push_back({"x:[B,T,10]", R"([{"id": "a", "op": "add", "in": ["x", "x"]}, {"id": "y", "op": "mul", "in": ["a", "a", "x"]}])", "out=a,y"});
  t.push_back({"x:[B,T,6]", R"([{"id": "a", "op": "dropout", "in": "x", "p": 0.5}, {"id": "b", "op": "reshape", "shape": ["B * T", 6]}])", "exact out=x,a,b"});
}

}  // namespace weft::e2e
