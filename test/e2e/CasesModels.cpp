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

/// A source is encoded once; decoder layers attend to it through its mask and shift it by a table row chosen for the call.
const std::string kEncoderDecoder = std::string(R"({"format": "1.0", "name": "tiny_translator",
  "config": {"vocab": 31, "d": 24, "layers": 3, "heads": 3, "ctx": 40},
  "dims": {"B": {"max": 8}, "S": {"max": 40}, "T": {"max": "ctx"}},
  "inputs": {"src": {"dtype": "i32", "shape": ["B", "S"], "range": [0, "vocab - 1"]},
             "seen": {"dtype": "bool", "shape": ["B", "S"], "optional": 1},
             "style": {"dtype": "i32", "shape": ["B"], "range": [0, 4]},
             "tokens": {"dtype": "i32", "shape": ["B", "T"], "range": [0, "vocab - 1"]}},
  "state": {"kv": {"kind": "kv_cache", "layers": "layers", "kv_heads": "heads", "head_dim": "d / heads", "capacity": "ctx", "dtype": "f32"}},
  "blocks": {
    "encoder": {"in": ["x", "m"], "nodes": [
      {"id": "a", "op": "mha", "in": {"x": "x", "key_mask": "m"}, "heads": "heads"},
      {"id": "r", "op": "add", "in": ["x", "a"]},
      {"id": "n", "op": "layer_norm"}], "out": "n"},
    "decoder": {"in": ["x", "memory", "m"], "nodes": [
      {"id": "a", "op": "mha", "in": "x", "heads": "heads", "causal": true, "cache": {"state": "kv", "layer": "i"}},
      {"id": "r1", "op": "add", "in": ["x", "a"]},
      {"id": "n1", "op": "layer_norm"},
      {"id": "c", "op": "mha", "in": {"q": "n1", "k": "memory", "v": "memory", "key_mask": "m"}, "heads": "heads"},
      {"id": "r2", "op": "add", "in": ["n1", "c"]},
      {"id": "n2", "op": "layer_norm"},
      {"id": "up", "op": "linear", "features": "2 * d", "activation": "relu"},
      {"id": "down", "op": "linear", "features": "d"},
      {"id": "r3", "op": "add", "in": ["n2", "down"]},
      {"id": "n3", "op": "layer_norm"}], "out": "n3"}},
  "graph": [
    {"id": "given", "op": "not_equal", "in": "src", "value": 0},
    {"id": "m", "op": "and", "in": ["given", "seen"]},
    {"id": "words", "op": "embedding", "in": "src", "rows": "vocab", "features": "d"},
    {"id": "memory", "op": "repeat", "block": "encoder", "count": "layers", "index": "i", "in": {"x": "words", "m": "m"}, "carry": "x", "scope": "enc.{i}"},
    {"id": "manner", "op": "embedding", "in": "style", "rows": 5, "features": "d"},
    {"id": "shift", "op": "unsqueeze", "in": "manner", "axis": 1},
    {"id": "wte", "op": "embedding", "in": "tokens", "rows": "vocab", "features": "d"},
    {"id": "wpe", "op": "position_embedding", "in": "tokens", "kind": "sinusoidal", "features": "d", "offset": {"state": "kv"}},
    {"id": "x0", "op": "add", "in": ["wte", "wpe", "shift"]},
    {"id": "h", "op": "repeat", "block": "decoder", "count": "layers", "index": "i", "in": {"x": "x0", "memory": "memory", "m": "m"}, "carry": "x", "scope": "dec.{i}"},
    {"id": "logits", "op": "linear", "features": "vocab", "in": "h"}],
  "outputs": {"logits": "logits", "memory": "memory"}, )") + kEntries + "}";

/// The encoder's output is a result of both entries, and so kept beside what the layers keep of it.
std::string withMemoryAsResult() {
  std::string text = kEncoderDecoder.substr(0, kEncoderDecoder.rfind("\"entries\""));
  return text + R"("entries": {"prefill": {"state": ["kv"], "outputs": ["memory", "logits"]},
    "decode": {"state": ["kv"], "dims": {"T": 1}, "outputs": ["logits", "memory"]}}})";
}

/// A table that all sequences read, given to the prefill; softmax of its products is computed by hand in every step.
const char *const kLookup = R"({"format": "1.0", "name": "lookup",
  "dims": {"B": {"max": 8}, "S": {"max": 40}, "T": {"max": 40}},
  "inputs": {"x": {"dtype": "i32", "shape": ["B", "T"], "range": [0, 8]}, "table": {"dtype": "f32", "shape": ["S", 24]}, "weight": {"dtype": "f32", "shape": []}},
  "state": {"kv": {"kind": "kv_cache", "layers": 1, "kv_heads": 2, "head_dim": 12, "capacity": 64, "dtype": "f32"}},
  "graph": [
    {"id": "e", "op": "embedding", "in": "x", "rows": 9, "features": 24},
    {"id": "a", "op": "attention", "in": ["e", "e", "e"], "heads": 2, "causal": true, "cache": {"state": "kv", "layer": 0}},
    {"id": "sharp", "op": "mul", "in": ["table", "weight"]},
    {"id": "scores", "op": "matmul", "in": ["a", "sharp"], "transpose_b": true},
    {"id": "p", "op": "softmax"},
    {"id": "found", "op": "matmul", "in": ["p", "table"]},
    {"id": "y", "op": "mul", "in": ["found", "weight"]}],
  "outputs": {"y": "y"},
  "entries": {"prefill": {"state": ["kv"]}, "decode": {"state": ["kv"], "dims": {"T": 1}}}})";

}  // namespace

const std::vector<ModelCase> &modelCases() {
  static const std::vector<ModelCase> cases = {
      {"gpt/forward", kGpt, "forward; forward B=2,T=7; forward B=3,T=65"},
      {"gpt/decode", kGpt, "prefill B=2,T=5; decode B=2; decode B=2; decode B=2"},
      {"gpt/ragged", kGpt, "prefill B=3,T=9 valid=9,1,4; decode B=3; extend B=3,T=6 valid=2,6,1; decode B=3; reset prefill B=3,T=20; decode B=3"},
      {"gpt/long", kGpt, "prefill T=70; decode; extend T=8; decode; decode T=1 error=room"},
      {"llama/forward", kLlama, "forward; forward B=2,T=7; forward B=1,T=64"},
      {"llama/decode", kLlama, "prefill B=2,T=33 valid=33,20; decode B=2; extend B=2,T=17; decode B=2"},
      {"kept/steps", kEncoderDecoder, "prefill B=2,S=7,T=3; decode B=2; decode B=2; decode B=2"},
      {"kept/other_prefill", kEncoderDecoder, "extend B=3,S=40,T=9 valid=9,1,4; decode B=3; decode B=3"},
      {"kept/anew", kEncoderDecoder, "prefill B=4,S=3,T=2; decode B=4; prefill B=4,S=11,T=5; decode B=4; reset prefill S=5,T=1; decode"},
      {"kept/missing", kEncoderDecoder, "decode error=prefill; prefill S=2,T=4; decode; reset decode error=prefill"},
      {"kept/result", withMemoryAsResult(), "prefill B=2,S=7,T=3; decode B=2; prefill B=2,S=5,T=2; decode B=2"},
      {"kept/shared", kLookup, "prefill B=3,S=9,T=4; decode B=3; decode B=3; reset prefill B=1,S=40,T=2; decode"},
      {"repeats", kTwoCarries, "forward; forward B=2,T=5; forward B=1,T=33"},
  };
  return cases;
}

}  // namespace weft::e2e
