#!/usr/bin/env python3
# A two-layer language model whose weights come from formulas, in both orders of norms: eight steps of AdamW with decay by rank,
# clipping, label smoothing, an ignored target and the schedule of the Transformer, against PyTorch's numbers in f64.
import json
import math
import unittest

from weft_cli import CommandTest, write_safetensors

V, E, H, FF, L, B, T = 13, 8, 2, 16, 2, 2, 5
BOUND = 1e-5
LR = [.004419417, .008838835, .013258252, .017677670, .015811388, .014433757, .013363062, .012500000]
# Loss, norm before clipping.
POST = [(2.545653359697, 0.952762493007), (2.481272769898, 0.925729793627), (2.368504635386, 0.880562523148), (2.230124147176, 0.850870110689),
        (2.071683927697, 0.841589157028), (1.935478479627, 0.819088133960), (1.819334397932, 0.782018486923), (1.725643714017, 0.762066810993)]
PRE = [(2.546308910150, 0.757497419304), (2.501255516913, 0.765804459653), (2.421025837551, 0.805654997921), (2.310802135599, 0.880683386104),
       (2.155784361120, 0.959177026044), (1.994231990022, 0.982104945265), (1.827985525203, 0.938957800410), (1.671544001909, 0.832806566406)]


def layer(norm_first, activation):
    if norm_first:
        return [{"id": "n1", "op": "layer_norm", "in": "h", "param": "norm1"},
                {"id": "a", "op": "mha", "in": "n1", "heads": H, "causal": True, "param": "self_attn"},
                {"id": "s1", "op": "add", "in": ["h", "a"]},
                {"id": "n2", "op": "layer_norm", "in": "s1", "param": "norm2"},
                {"id": "u", "op": "linear", "in": "n2", "features": FF, "activation": activation, "param": "linear1"},
                {"id": "d", "op": "linear", "features": E, "param": "linear2"},
                {"id": "out", "op": "add", "in": ["s1", "d"]}]
    return [{"id": "a", "op": "mha", "in": "h", "heads": H, "causal": True, "param": "self_attn"},
            {"id": "s1", "op": "add", "in": ["h", "a"]},
            {"id": "n1", "op": "layer_norm", "param": "norm1"},
            {"id": "u", "op": "linear", "in": "n1", "features": FF, "activation": activation, "param": "linear1"},
            {"id": "d", "op": "linear", "features": E, "param": "linear2"},
            {"id": "s2", "op": "add", "in": ["n1", "d"]},
            {"id": "out", "op": "layer_norm", "param": "norm2"}]


def model(norm_first, activation):
    return {"format": "1.0", "name": "small", "inputs": {"x": {"dtype": "i32", "shape": [B, T], "range": [0, V - 1]}},
            "blocks": {"layer": {"in": ["h"], "nodes": layer(norm_first, activation), "out": "out"}},
            "graph": [{"id": "emb", "op": "embedding", "in": "x", "rows": V, "features": E},
                      {"id": "wide", "op": "mul", "value": "sqrt(%d)" % E},
                      {"id": "place", "op": "position_embedding", "in": "wide", "kind": "sinusoidal", "features": E},
                      {"id": "h", "op": "add", "in": ["wide", "place"]},
                      {"id": "layers", "op": "repeat", "block": "layer", "count": L, "index": "i", "in": {"h": "h"}, "carry": "h", "scope": "layers.{i}"},
                      {"id": "head", "op": "linear", "features": V}],
            "outputs": {"logits": "head"},
            "train": {"inputs": {"y": {"dtype": "i32", "shape": [B, T]}},
                      "nodes": [{"id": "loss", "op": "cross_entropy", "in": ["head", "y"], "label_smoothing": 0.1}], "loss": "loss",
                      "optimizer": {"kind": "adamw", "betas": [0.9, 0.98], "eps": 1e-9, "weight_decay": 0.1, "no_decay": {"rank_below": 2}},
                      "schedule": {"kind": "noam", "factor": 0.1, "d_model": E, "warmup_steps": 4}, "clip_grad_norm": 1.0}}


def weights():
    shapes = {"emb.weight": [V, E]}
    for i in range(L):
        shapes.update({f"layers.{i}.{name}": shape for name, shape in (
            ("self_attn.in_proj_weight", [3 * E, E]), ("self_attn.in_proj_bias", [3 * E]), ("self_attn.out_proj.weight", [E, E]), ("self_attn.out_proj.bias", [E]),
            ("linear1.weight", [FF, E]), ("linear1.bias", [FF]), ("linear2.weight", [E, FF]), ("linear2.bias", [E]),
            ("norm1.weight", [E]), ("norm1.bias", [E]), ("norm2.weight", [E]), ("norm2.bias", [E]))})
    shapes.update({"head.weight": [V, E], "head.bias": [V]})
    tensors = {}
    for k, (name, shape) in enumerate(shapes.items()):
        waves = [math.sin(0.7 * i + 1.3 * k) for i in range(math.prod(shape))]
        is_scale = "norm" in name and name.endswith("weight")
        tensors[name] = ("F32", shape, [0.2 * s if len(shape) > 1 else 1 + 0.1 * s if is_scale else 0.05 * s for s in waves])
    return tensors


class SmallGolden(CommandTest):
    def check(self, norm_first, activation, expected):
        (self.folder / "m.json").write_text(json.dumps(model(norm_first, activation), indent=1))
        write_safetensors(self.folder / "w.safetensors", weights())
        token = lambda b, t: (7 * b + 3 * t + b * t) % V
        targets = [token(b, t + 1) for b in range(B) for t in range(T)]
        targets[-1] = -100
        write_safetensors(self.folder / "b.safetensors", {"x": ("I32", [B, T], [token(b, t) for b in range(B) for t in range(T)]), "y": ("I32", [B, T], targets)})
        self.weft("train", "m.json", "--batches", "b.safetensors", "--weights", "w.safetensors", "--steps", 8, "--log", "l.jsonl")
        log = [json.loads(line) for line in (self.folder / "l.jsonl").read_text().splitlines()]
        self.assertEqual(len(log), 8)
        for step, (got, lr, (loss, norm)) in enumerate(zip(log, LR, expected)):
            for key, value in (("lr", lr), ("loss", loss), ("grad_norm", norm)):
                self.assertAlmostEqual(got[key], value, delta=BOUND * value, msg=f"step {step}: {key}")

    def test_norms_behind_their_layers(self):
        self.check(False, "relu", POST)

    def test_norms_before_their_layers(self):
        self.check(True, "gelu", PRE)


if __name__ == "__main__":
    unittest.main()
