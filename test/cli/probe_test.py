#!/usr/bin/env python3
# `weft run --probe`: values from inside a model, every round of every repeat, against the reference interpreter.
# What the model computes itself is the same bit for bit with and without probes.
import json
import os
import pathlib
import random
import subprocess
import unittest

from weft_cli import MODELS, CommandTest, read_safetensors, write_safetensors

REFERENCE = pathlib.Path(os.environ["WEFT_BUILD"]) / "tools" / "reference" / "weft-reference"

# Two repeats, one in the other; the index is in parameter names and in an attribute; attention in all three spellings.
NESTED = {
    "format": "1.0",
    "name": "nested",
    "config": {"d": 8},
    "dims": {"B": {"max": 4, "hint": 2}, "T": {"max": 16, "hint": 5}},
    "inputs": {"tokens": {"dtype": "i32", "shape": ["B", "T"], "range": [0, 10]}},
    "blocks": {
        "inner": {"in": ["x"], "nodes": [
            {"id": "up", "op": "linear", "in": "x", "features": 16, "activation": "gelu"},
            {"id": "down", "op": "linear", "features": "d"},
            {"id": "y", "op": "add", "in": ["x", "down"]}], "out": "y"},
        "layer": {"in": ["x"], "nodes": [
            {"id": "n", "op": "layer_norm", "in": "x"},
            {"id": "q", "op": "linear", "in": "n", "features": "d"},
            {"id": "a", "op": "attention", "in": {"q": "q", "k": "n", "v": "n"}, "heads": 2, "causal": True},
            {"id": "p", "op": "position_embedding", "in": "x", "kind": "sinusoidal", "features": "d", "offset": "2 * i"},
            {"id": "s", "op": "add", "in": ["a", "p"]},
            {"id": "r", "op": "add", "in": ["x", "s"]},
            {"id": "ff", "op": "repeat", "in": {"x": "r"}, "carry": ["x"], "count": 2, "index": "j", "block": "inner"}], "out": "ff"},
    },
    "graph": [
        {"id": "emb", "op": "embedding", "in": "tokens", "rows": 11, "features": "d"},
        {"id": "first", "op": "mha", "heads": 2},
        {"id": "enc", "op": "repeat", "in": {"x": "first"}, "carry": ["x"], "count": 3, "index": "i", "block": "layer"},
        {"id": "pooled", "op": "mean_pool"},
        {"id": "logits", "op": "linear", "features": 3},
    ],
    "outputs": {"logits": "logits"},
}


class Probe(CommandTest):
    def setUp(self):
        super().setUp()
        (self.folder / "m.json").write_text(json.dumps(NESTED))
        self.weft("init", "m.json", "--seed", "3", "--save", "w.safetensors")
        tokens = random.Random(5).choices(range(11), k=10)
        write_safetensors(self.folder / "in.safetensors", {"tokens": ("I32", [2, 5], tokens)})

    def run_nested(self, *words, code=0):
        return self.weft("run", "m.json", "--weights", "w.safetensors", "--inputs", "in.safetensors", *words, code=code)

    def reference(self):
        subprocess.run([REFERENCE, "m.json", "--inputs", "in.safetensors", "--weights", "w.safetensors", "--all", "--outputs", "all.safetensors"],
                       cwd=self.folder, check=True)
        return read_safetensors(self.folder / "all.safetensors")

    def test_every_node_of_every_round_is_that_of_the_reference(self):
        expected = self.reference()
        nodes = [name for name in expected if name != "logits"] + ["logits"]
        self.assertIn("enc[2].ff[1].up", nodes)
        self.run_nested("--outputs", "out.safetensors", *(word for node in nodes for word in ("--probe", node)))
        found = read_safetensors(self.folder / "out.safetensors")
        for node in nodes:
            (shape, values), (_, want) = found["probe." + node], expected[node]
            self.assertEqual((shape, len(values)), (expected[node][0], len(want)), node)
            self.assertLess(max(abs(a - b) for a, b in zip(values, want)), 2e-6 * max(map(abs, want)) + 1e-7, node)
        self.assertNotEqual(found["probe.enc[0].a"], found["probe.enc[1].a"])

    def test_attention_has_its_map(self):
        self.run_nested("--probe", "first", "--probe", "enc[2].a", "--outputs", "out.safetensors")
        found = read_safetensors(self.folder / "out.safetensors")
        for node, causal in (("first", False), ("enc[2].a", True)):
            shape, values = found[f"probe.{node}.weights"]
            self.assertEqual(shape, [2, 2, 5, 5])
            for row in range(2 * 2 * 5):
                weights = values[row * 5:row * 5 + 5]
                self.assertAlmostEqual(sum(weights), 1, places=5)
                if causal:
                    self.assertEqual(weights[row % 5 + 1:], [0] * (4 - row % 5))

    def test_the_model_itself_computes_the_same_bits(self):
        self.run_nested("--outputs", "plain.safetensors")
        self.run_nested("--probe", "enc[1].ff[0].up", "--outputs", "probed.safetensors")
        self.assertEqual(read_safetensors(self.folder / "plain.safetensors")["logits"], read_safetensors(self.folder / "probed.safetensors")["logits"])

    def test_a_cached_model_is_probed_as_if_its_cache_were_empty(self):
        out, _ = self.weft("run", MODELS / "stories260k" / "stories260k.json", "--entry", "prefill", "--input", "tokens=1,403,407", "--probe", "x[4].a", "--json")
        shapes = {tensor["name"]: tensor["shape"] for tensor in json.loads(out)["outputs"]}
        self.assertEqual(shapes["probe.x[4].a.weights"], [1, 8, 3, 3])

    def test_rounds_of_a_repeat_whose_index_is_a_number_have_the_same_names(self):
        body = [{"id": "up", "op": "mul", "in": "x", "value": "i + 1"}, {"id": "in", "op": "repeat", "in": {"x": "up"}, "carry": ["x"], "count": 2, "index": "j", "block": "twice"}]
        model = {**NESTED, "blocks": {"twice": {"in": ["x"], "nodes": [{"id": "y", "op": "add", "in": ["x", "x"]}], "out": "y"}, "layer": {"in": ["x"], "nodes": body, "out": "in"}}}
        (self.folder / "m.json").write_text(json.dumps(model))
        self.weft("init", "m.json", "--seed", "3", "--save", "w.safetensors")
        for name in ("enc[1].up", "enc.1.up", "enc[2].in[1].y"):
            self.run_nested("--probe", name, "--outputs", "o.safetensors")
            self.assertIn(f"probe.{name}", read_safetensors(self.folder / "o.safetensors"))
        for name in ("enc[3].up", "enc[1].in[2].y", "enc[1].no"):
            self.assertIn("expected ", self.run_nested("--probe", name, code=2)[1])

    def test_wrong_nodes(self):
        for node, expect in (("enc.a", "give the round: 'enc[0].a'"), ("enc[3].a", "round 3 of 'enc': expected 0..2"), ("enc[0].b", "expected a node of the model but got 'enc[0].b'"),
                             ("enc[0].ff[2].up", "round 2 of 'enc[0].ff': expected 0..1"), ("enc[x].a", "enc[x].a"), ("enc[0]a", "enc[0]a"), ("pooledd", "did you mean 'pooled'?")):
            self.assertIn(expect, self.run_nested("--probe", node, code=2)[1])

    def test_a_node_that_the_entry_does_not_compute_needs_its_inputs(self):
        self.weft("run", self.model(), "--init", "1", "--entry", "look", "--input", "ids=0,6,3,1", "--probe", "words")
        _, err = self.weft("run", "small.json", "--init", "1", "--entry", "look", "--input", "ids=0,6,3,1", "--probe", "up", code=1)
        self.assertIn("expected input 'x' but it is missing", err)


if __name__ == "__main__":
    unittest.main()
