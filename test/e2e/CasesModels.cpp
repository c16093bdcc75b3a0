// Small whole models with entries and state: cached decoding, blocks, repeats, tied weights.
// Calls run in order on the same sessions; the interpreter keeps caches of its own.
#include "Cases.h"

namespace weft::e2e {
namespace {

const char *const kEntries = R"("entries": {
    "forward": {"outputs": ["logits"]},
    "prefill": {"state": ["kv"], "outputs": ["logits"], "last_token_only": true},
    "extend": {"state": ["kv"], "outputs": ["logits"]},
    "decode": {"state": ["kv"], "dims": {"T": 1}, "outputs": ["logits"]}})";

const std::string kGpt = std::string(R"({"format": "1.0", "name": "tiny_gpt",
  "config": {"vocab": 37, "d": 24, "layers": 3, "heads": 3, "ctx": 80},
  "dims": {"B": {"max": 8}, "T": {"max": "ctx"}},
  "inputs": {"tokens": {"dtype": "i32", "shape": ["B", "T"], "range": [0, "vocab - 1"]}},
  "state": {"kv": {"kind": "kv_cache", "layers": "layers", "kv_heads": "heads", "head_dim": "d / heads", "capacity": "ctx", "dtype": "f32"}},
  "blocks": {"layer": {"in": ["x"], "nodes": [
      {"id": "n1", "op": "layer_norm", "in": "x"},
      {"id": "qkv", "op": "linear", "features": "3 * d"},
      {"id": "s", "op": "split", "axis": -1, "sizes": ["d", "d", "d"], "out": ["q", "k", "v"]},
      {"id": "a", "op": "attention", "in": ["q", "k", "v"], "heads": "heads", "causal": true, "cache": {"state": "kv", "layer": "i"}},
      {"id": "o", "op": "linear", "features": "d"},
      {"id": "r1", "op": "add", "in": ["x", "o"]},
      {"id": "n2", "op": "layer_norm"},
      {"id": "up", "op": "linear", "features": "4 * d", "activation": "gelu_tanh"},
      {"id": "down", "op": "linear", "features": "d"},
      {"id": "r2", "op": "add", "in": ["r1", "down"]}], "out": "r2"}},
  "graph": [
    {"id": "wte", "op": "embedding", "in": "tokens", "rows": "vocab", "features": "d"},
    {"id": "wpe", "op": "position_embedding", "in": "tokens", "kind": "learned", "rows": "ctx", "features": "d", "offset": {"state": "kv"}},
    {"id": "x0", "op": "add", "in": ["wte", "wpe"]},
    {"id": "h", "op": "repeat", "block": "layer", "count": "layers", "index": "i", "in": {"x": "x0"}, "carry": "x", "scope": "h.{i}"},
    {"id": "ln", "op": "layer_norm"},
    {"id": "logits", "op": "linear", "features": "vocab", "bias": false, "param": {"weight": "wte.weight"}}],
  "outputs": {"logits": "logits"}, )") +
                         kEntries + "}";

const std::string kLlama = std::string(R"({"format": "1.0", "name": "tiny_llama",
  "config": {"vocab": 40, "d": 32, "layers": 2, "heads": 4, "kv_heads": 2, "dh": 8, "ctx": 64},
  "dims": {"B": {"max": 8}, "T": {"max": "ctx"}},
  "inputs": {"tokens": {"dtype": "i32", "shape": ["B", "T"], "range": [0, "vocab - 1"]}},
  "state": {"kv": {"kind": "kv_cache", "layers": "layers", "kv_heads": "kv_heads", "head_dim": "dh", "capacity": "ctx", "dtype": "f32"}},
  "blocks": {"layer": {"in": ["x"], "nodes": [
      {"id": "n1", "op": "rms_norm", "in": "x", "eps": 1e-5},
      {"id": "q", "op": "linear", "in": "n1", "features": "d", "bias": false},
      {"id": "k", "op": "linear", "in": "n1", "features": "kv_heads * dh", "bias": false},
      {"id": "v", "op": "linear", "in": "n1", "features": "kv_heads * dh", "bias": false},
      {"id": "qr", "op": "rope", "in": "q", "heads": "heads", "interleaved": true, "offset": {"state": "kv"}},
      {"id": "kr", "op": "rope", "in": "k", "heads": "kv_heads", "interleaved": true, "offset": {"state": "kv"}},
      {"id": "a", "op": "attention", "in": ["qr", "kr", "v"], "heads": "heads", "kv_heads": "kv_heads", "causal": true, "cache": {"state": "kv", "layer": "i"}},
      {"id": "o", "op": "linear", "features": "d", "bias": false},
      {"id": "r1", "op": "add", "in": ["x", "o"]},
      {"id": "n2", "op": "rms_norm", "eps": 1e-5},
      {"id": "g", "op": "linear", "in": "n2", "features": 88, "bias": false},
      {"id": "u", "op": "linear", "in": "n2", "features": 88, "bias": false},
      {"id": "s", "op": "swiglu", "in": ["g", "u"]},
      {"id": "down", "op": "linear", "features": "d", "bias": false},
      {"id": "r2", "op": "add", "in": ["r1", "down"]}], "out": "r2"}},
  "graph": [
    {"id": "wte", "op": "embedding", "in": "tokens", "rows": "vocab", "features": "d"},
    {"id": "h", "op": "repeat", "block": "layer", "count": "layers", "index": "i", "in": {"x": "wte"}, "carry": "x", "scope": "h.{i}"},
    {"id": "n", "op": "rms_norm", "eps": 1e-5},
    {"id": "logits", "op": "linear", "features": "vocab", "bias": false}],
  "outputs": {"logits": "logits"}, )") +
                           kEntries + "}";

const char *const kTwoCarries = R"({"format": "1.0", "name": "two_carries",
  "dims": {"B": {"max": 8}, "T": {"max": 64}},
  "inputs": {"x": {"dtype": "f32", "shape": ["B", "T", 12]}, "m": {"dtype": "bool", "shape": ["B", "T"], "optional": true}},
  "blocks": {
    "inner": {"in": ["x"], "nodes": [{"id": "l", "op": "linear", "in": "x", "features": 12, "activation": "tanh"}], "out": "l"},
    "outer": {"in": ["a", "b", "m"], "args": {"scale": 1}, "nodes": [
      {"id": "deep", "op": "repeat", "block": "inner", "count": 2, "index": "j", "in": {"x": "a"}, "carry": "x", "scope": "inner.{j}"},
      {"id": "att", "op": "mha", "in": {"x": "deep", "key_mask": "m"}, "heads": 3},
      {"id": "sum", "op": "add", "in": ["att", "b"]},
      {"id": "next", "op": "mul", "in": "deep", "value": "scale"}], "out": ["next", "sum"]}},
  "graph": [
    {"id": "y0", "op": "linear", "in": "x", "features": 12},
    {"id": "r", "op": "repeat", "block": "outer", "count": 3, "index": "i", "in": {"a": "x", "b": "y0", "m": "m"}, "carry": ["a", "b"],
     "args": {"scale": "0.5"}, "scope": "outer.{i}", "out": ["p", "q"]},
    {"id": "c", "op": "call", "block": "inner", "in": {"x": "q"}, "scope": "last"},
    {"id": "z", "op": "layer_norm"}],
  "outputs": {"p": "p", "q": "q", "z": "z"}})";

}  // namespace

const std::vector<ModelCase> &modelCases() {
  static const std::vector<ModelCase> cases = {
      {"gpt/forward", kGpt, "forward; forward B=2,T=7; forward B=3,T=65"},
      {"gpt/decode", kGpt, "prefill B=2,T=5; decode B=2; decode B=2; decode B=2"},
      {"gpt/ragged", kGpt, "prefill B=3,T=9 valid=9,1,4; decode B=3; extend B=3,T=6 valid=2,6,1; decode B=3; reset prefill B=3,T=20; decode B=3"},
      {"gpt/long", kGpt, "prefill T=70; decode; extend T=8; decode; decode T=1 error=room"},
      {"llama/forward", kLlama, "forward; forward B=2,T=7; forward B=1,T=64"},
      {"llama/decode", kLlama, "prefill B=2,T=33 valid=33,20; decode B=2; extend B=2,T=17; decode B=2"},
      {"repeats", kTwoCarries, "forward; forward B=2,T=5; forward B=1,T=33"},
  };
  return cases;
}

}  // namespace weft::e2e
